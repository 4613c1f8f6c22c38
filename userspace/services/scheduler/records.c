// SPDX-License-Identifier: Apache-2.0
/* Tasks in the record store. */
#include "tasks.h"

#include <errno.h>
#include <string.h>

/* A key is unique of its owner; NULL, which is as many as there are, is none. */
static const char *const version1[] = {
	"CREATE TABLE scheduler_state (one BIGINT PRIMARY KEY CHECK (one = 1), "
	"revision BIGINT NOT NULL)",
	"INSERT INTO scheduler_state (one, revision) VALUES (1, 0)",
	"CREATE TABLE scheduler_task (id {id}, owner {text} NOT NULL, type {text} NOT NULL, "
	"executor {text} NOT NULL, key {text}, payload {blob} NOT NULL, priority BIGINT NOT NULL, "
	"boost BIGINT NOT NULL, service BIGINT NOT NULL, deadline BIGINT NOT NULL, "
	"state BIGINT NOT NULL, claim BIGINT NOT NULL, worker {text} NOT NULL, "
	"lease BIGINT NOT NULL, submitted BIGINT NOT NULL, started BIGINT NOT NULL, "
	"finished BIGINT NOT NULL, error {text} NOT NULL, UNIQUE (owner, key))",
	"CREATE INDEX scheduler_task_open ON scheduler_task (id) WHERE state IN (1, 2)",
	"CREATE INDEX scheduler_task_ended ON scheduler_task (finished) WHERE finished > 0",
	"CREATE INDEX scheduler_task_owner ON scheduler_task (owner, id)",
	NULL,
};

static const struct nexus_record_step steps[] = {
	{ 1, version1 },
};

int task_migrate(struct tasks *s)
{
	return table_migrate(&s->table, "scheduler", steps, sizeof(steps) / sizeof(steps[0]));
}

int task_revision(struct nexus_records *r, struct nexus_record_tx *tx, int64_t *revision)
{
	int ret = table_numbers(r, tx, "SELECT revision FROM scheduler_state WHERE one = 1", NULL, 0,
				revision, 1);

	return ret == -ENOENT ? -EUCLEAN : ret;
}

int task_set_revision(struct nexus_records *r, struct nexus_record_tx *tx, int64_t revision)
{
	return nexus_record_exec(r, tx, "UPDATE scheduler_state SET revision = $1 WHERE one = 1",
				 TABLE_P(TABLE_I(revision)), NULL);
}

/* ---- rows --------------------------------------------------------------------------- */

static int take_queued(const struct nexus_record_value *v, void *arg)
{
	struct queue *q = arg;
	const struct queue_task t = {
		.id = (uint64_t)v[0].number, .priority = (uint32_t)v[4].number,
		.boost = (uint32_t)v[5].number, .service_ms = (uint32_t)v[6].number,
		.submitted = v[7].number, .deadline = v[8].number,
		.running = v[9].number == NEXUS_TASK_RUNNING, .claim = (uint64_t)v[10].number,
		.started = v[11].number, .lease = v[12].number,
	};

	return queue_add(q, &t, v[1].data, v[2].data, v[3].data);
}

int task_load_queue(struct tasks *s, struct nexus_records *r, struct nexus_record_tx *tx)
{
	int ret;

	queue_clear(&s->queue);
	s->queue.loading = true;
	ret = table_rows(r, tx, "SELECT id, owner, executor, type, priority, boost, service, "
			 "submitted, deadline, state, claim, started, lease FROM scheduler_task "
			 "WHERE state IN (1, 2) ORDER BY id", NULL, 0, take_queued, &s->queue);
	s->queue.loading = false;
	return ret;
}

struct loading {
	struct tasks *s;
	void *args;
	struct nexus_task *tasks;
	uint32_t count, max;
	bool more;
};

/* Followed by a NUL, which its length does not count. */
static void *keep(const struct loading *l, const struct nexus_record_value *v, int *ret)
{
	char *copy = l->s->opts.more(l->args, v->size + 1);

	if (!copy) {
		*ret = -ENOMEM;
		return NULL;
	}
	if (v->size)
		memcpy(copy, v->data, v->size);
	copy[v->size] = '\0';
	return copy;
}

#define COLUMNS	"id, owner, type, executor, key, priority, boost, service, deadline, state, claim, " \
		"worker, lease, submitted, started, finished, error"

static int take_task(const struct nexus_record_value *v, void *arg)
{
	struct loading *l = arg;
	struct nexus_task *t = &l->tasks[l->count];
	int ret = 0;

	if (l->count == l->max) {
		l->more = true;
		return 1;
	}
	l->count++;
	*t = (struct nexus_task){
		.id = (uint64_t)v[0].number, .priority = (uint32_t)v[5].number,
		.boost = (uint32_t)v[6].number, .service_ms = (uint32_t)v[7].number,
		.deadline_ms = v[8].number, .state = (uint32_t)v[9].number,
		.claim = (uint64_t)v[10].number, .lease_ms = v[12].number,
		.submitted_ms = v[13].number, .started_ms = v[14].number,
		.finished_ms = v[15].number,
	};
	t->owner = keep(l, &v[1], &ret);
	t->type = keep(l, &v[2], &ret);
	t->executor = keep(l, &v[3], &ret);
	t->key = v[4].type == NEXUS_RECORD_NULL ? "" : keep(l, &v[4], &ret);
	t->worker = keep(l, &v[11], &ret);
	t->error = keep(l, &v[16], &ret);
	return ret;
}

static int take_whole(const struct nexus_record_value *v, void *arg)
{
	struct loading *l = arg;
	int ret = take_task(v, arg);

	if (!ret)
		l->tasks[0].payload = keep(l, &v[17], &ret);
	l->tasks[0].payload_len = (uint32_t)v[17].size;
	return ret;
}

int task_load(struct tasks *s, struct nexus_records *r, struct nexus_record_tx *tx, void *args,
	      uint64_t id, struct nexus_task *task)
{
	struct loading l = { .s = s, .args = args, .tasks = task, .max = 1 };
	int ret = table_rows(r, tx, "SELECT " COLUMNS ", payload FROM scheduler_task WHERE id = $1",
			     TABLE_P(TABLE_I(id)), take_whole, &l);

	return ret ? ret : l.count ? 0 : -ENOENT;
}

int task_by_key(struct tasks *s, struct nexus_records *r, struct nexus_record_tx *tx, void *args,
		const char *owner, const char *key, struct nexus_task *task)
{
	struct loading l = { .s = s, .args = args, .tasks = task, .max = 1 };
	int ret = table_rows(r, tx, "SELECT " COLUMNS ", payload FROM scheduler_task "
			     "WHERE owner = $1 AND key = $2",
			     TABLE_P(TABLE_T(owner), TABLE_T(key)), take_whole, &l);

	return ret ? ret : l.count ? 0 : -ENOENT;
}

/* ---- changes ------------------------------------------------------------------------ */

int task_insert(struct nexus_records *r, struct nexus_record_tx *tx, const struct nexus_task *t,
		int64_t now, uint64_t *id)
{
	const struct nexus_record_value none = NEXUS_RECORD_N(), key = TABLE_T(t->key);
	int64_t given;
	int ret;

	ret = table_numbers(r, tx, "INSERT INTO scheduler_task (owner, type, executor, key, payload, "
			    "priority, boost, service, deadline, state, claim, worker, lease, "
			    "submitted, started, finished, error) VALUES ($1, $2, $3, $4, $5, $6, $7, "
			    "$8, $9, $10, 0, '', 0, $11, 0, 0, '') RETURNING id",
			    TABLE_P(TABLE_T(t->owner), TABLE_T(t->type), TABLE_T(t->executor),
				    t->key[0] ? key : none, NEXUS_RECORD_B(t->payload, t->payload_len),
				    TABLE_I(t->priority), TABLE_I(t->boost), TABLE_I(t->service_ms),
				    TABLE_I(t->deadline_ms), TABLE_I(NEXUS_TASK_QUEUED), TABLE_I(now)),
			    &given, 1);
	*id = (uint64_t)given;
	return ret == -ENOENT ? -EUCLEAN : ret;
}

int task_claimed(struct nexus_records *r, struct nexus_record_tx *tx, const struct queue_task *t,
		 const char *worker, int64_t now, int64_t lease)
{
	return nexus_record_exec(r, tx, "UPDATE scheduler_task SET state = $2, claim = $3, worker = $4, "
				 "started = $5, lease = $6 WHERE id = $1",
				 TABLE_P(TABLE_I(t->id), TABLE_I(NEXUS_TASK_RUNNING),
					 TABLE_I(t->claim + 1), TABLE_T(worker), TABLE_I(now),
					 TABLE_I(lease)), NULL);
}

int task_leased(struct nexus_records *r, struct nexus_record_tx *tx, uint64_t id, int64_t lease)
{
	return nexus_record_exec(r, tx, "UPDATE scheduler_task SET lease = $2 WHERE id = $1",
				 TABLE_P(TABLE_I(id), TABLE_I(lease)), NULL);
}

int task_queued(struct nexus_records *r, struct nexus_record_tx *tx, uint64_t id)
{
	return nexus_record_exec(r, tx, "UPDATE scheduler_task SET state = $2, worker = '', lease = 0 "
				 "WHERE id = $1", TABLE_P(TABLE_I(id), TABLE_I(NEXUS_TASK_QUEUED)), NULL);
}

int task_ended(struct nexus_records *r, struct nexus_record_tx *tx, uint64_t id, uint32_t state,
	       const char *error, int64_t now)
{
	return nexus_record_exec(r, tx, "UPDATE scheduler_task SET state = $2, error = $3, "
				 "finished = $4, lease = 0 WHERE id = $1",
				 TABLE_P(TABLE_I(id), TABLE_I(state), TABLE_T(error), TABLE_I(now)), NULL);
}

int task_cancel_owner(struct nexus_records *r, struct nexus_record_tx *tx, const char *owner,
		      int64_t now)
{
	return nexus_record_exec(r, tx, "UPDATE scheduler_task SET state = $2, finished = $3, lease = 0 "
				 "WHERE owner = $1 AND state IN (1, 2)",
				 TABLE_P(TABLE_T(owner), TABLE_I(NEXUS_TASK_CANCELLED), TABLE_I(now)), NULL);
}

int task_purge(struct tasks *s, struct nexus_records *r, struct nexus_record_tx *tx, int64_t now)
{
	int ret;

	ret = nexus_record_exec(r, tx, "DELETE FROM scheduler_task WHERE id IN (SELECT id FROM "
				"scheduler_task WHERE finished > 0 AND finished < $1 "
				"ORDER BY finished LIMIT $2)",
				TABLE_P(TABLE_I(now - s->opts.kept_ms), TABLE_I(TASKS_BATCH * 10)), NULL);
	if (ret)
		return ret;
	return nexus_record_exec(r, tx, "DELETE FROM scheduler_task WHERE id IN (SELECT id FROM "
				 "scheduler_task WHERE finished > 0 ORDER BY finished DESC, id DESC "
				 "LIMIT $1 OFFSET $2)",
				 TABLE_P(TABLE_I(TASKS_BATCH * 10), TABLE_I(s->opts.kept_max)), NULL);
}

/* ---- lists -------------------------------------------------------------------------- */

#define LIST(where)	"SELECT " COLUMNS " FROM scheduler_task WHERE " where \
			"id > $1 AND ($2 = '' OR owner = $2) AND ($3 = 0 OR state = $3) " \
			"ORDER BY id LIMIT $4"

int task_list(struct tasks *s, struct nexus_records *r, struct nexus_record_tx *tx,
	      struct nexus_task_list_args *args)
{
	const char *owner = text_or_empty(args->owner);
	struct loading l = { .s = s, .args = args, .tasks = args->tasks, .max = args->max };
	int ret;

	ret = table_rows(r, tx, owner[0] ? LIST("owner = $2 AND ") : LIST(""),
			 TABLE_P(TABLE_I(args->after), TABLE_T(owner), TABLE_I(args->state),
				 TABLE_I(args->max + 1)), take_task, &l);
	args->count = l.count;
	args->more = l.more;
	return ret < 0 ? ret : 0;
}
