// SPDX-License-Identifier: Apache-2.0
/* The operations of the scheduler. */
#include "tasks.h"

#include <errno.h>
#include <string.h>

int tasks_open(struct tasks *s, struct nexus_records *records, const struct tasks_opts *opts,
	       void (*say)(void *arg, const char *line), void *arg)
{
	int ret;

	*s = (struct tasks){ .opts = *opts, .revision = -1 };
	table_init(&s->table, records, say, arg);
	queue_init(&s->queue, opts->running_max);
	ret = task_migrate(s);
	if (ret)
		tasks_close(s);
	return ret;
}

void tasks_close(struct tasks *s)
{
	queue_end(&s->queue);
	table_end(&s->table);
}

static int change(struct change *c)
{
	int ret;

	pthread_mutex_lock(&c->s->table.writing);
	ret = tasks_change(c);
	pthread_mutex_unlock(&c->s->table.writing);
	return ret;
}

static bool is(const char *as, const char *subject)
{
	return !as || !strcmp(as, subject);
}

/* ---- submit ------------------------------------------------------------------------- */

static int fault(struct nexus_task_submit_args *a, int ret, const char *words)
{
	if (ret == -EINVAL)
		a->fault = words;
	return ret;
}

static int check_texts(struct nexus_task_submit_args *a)
{
	const struct nexus_task *t = &a->task;
	int ret = text_subject(t->owner, NEXUS_TASK_SUBJECT_MAX);

	if (ret)
		return fault(a, ret, "the owner is no subject, TYPE:ID");
	ret = text_name(t->type, NEXUS_TASK_TYPE_MAX);
	if (ret)
		return fault(a, ret, "the type is none");
	ret = t->executor[0] ? text_subject(t->executor, NEXUS_TASK_SUBJECT_MAX) : 0;
	if (ret)
		return fault(a, ret, "the executor is no subject, TYPE:ID");
	ret = text_ok(t->key, NEXUS_TASK_KEY_MAX);
	return fault(a, ret, "the key has control characters");
}

static int check_submit(struct nexus_task_submit_args *a)
{
	struct nexus_task *t = &a->task;
	int ret;

	t->executor = text_or_empty(t->executor);
	t->key = text_or_empty(t->key);
	if (!t->payload)
		t->payload = "";
	if (!t->service_ms)
		t->service_ms = NEXUS_TASK_SERVICE_MS;
	ret = check_texts(a);
	if (ret)
		return ret;
	if (t->priority > NEXUS_TASK_BEST_EFFORT || t->boost > 2)
		return fault(a, -EINVAL, "there is no such priority or boost");
	if (t->service_ms > NEXUS_TASK_SERVICE_MAX_MS)
		return fault(a, -EINVAL, "the service time is more than a day");
	if (t->payload_len > NEXUS_TASK_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (!is(a->as, t->owner) || (a->as && (t->priority == NEXUS_TASK_CRITICAL || t->boost)))
		return -EACCES;
	return 0;
}

static bool same(const struct nexus_task *a, const struct nexus_task *b)
{
	return a->priority == b->priority && a->boost == b->boost &&
	       a->service_ms == b->service_ms && a->deadline_ms == b->deadline_ms &&
	       !strcmp(a->type, b->type) && !strcmp(a->executor, b->executor) &&
	       a->payload_len == b->payload_len &&
	       !memcmp(a->payload, b->payload, a->payload_len);
}

static int submit_work(struct change *c, struct nexus_records *r, struct nexus_record_tx *tx)
{
	struct nexus_task_submit_args *a = c->args;
	const struct queue_owner *o = queue_owner(&c->s->queue, a->task.owner);
	struct nexus_task there;
	int ret;

	a->existed = false;
	if (a->task.key[0]) {
		ret = task_by_key(c->s, r, tx, a, a->task.owner, a->task.key, &there);
		if (!ret && !same(&a->task, &there))
			return -EEXIST;
		if (!ret) {
			a->id = there.id;
			a->existed = true;
		}
		if (ret != -ENOENT)
			return ret;
	}
	if (a->task.deadline_ms && a->task.deadline_ms <= c->now)
		return fault(a, -EINVAL, "the deadline is in the past");
	if (o && o->queued + o->running >= c->s->opts.owner_max)
		return -EDQUOT;
	if (c->s->queue.n >= c->s->opts.tasks_max)
		return -ENOSPC;
	return task_insert(r, tx, &a->task, c->now, &a->id);
}

static int submit_done(struct change *c)
{
	struct nexus_task_submit_args *a = c->args;
	const struct queue_task t = {
		.id = a->id, .priority = a->task.priority, .boost = a->task.boost,
		.service_ms = a->task.service_ms, .submitted = c->now,
		.deadline = a->task.deadline_ms,
	};

	if (a->existed)
		return 0;
	c->s->submitted++;
	return queue_add(&c->s->queue, &t, a->task.owner, a->task.executor, a->task.type);
}

int tasks_submit(struct tasks *s, struct nexus_task_submit_args *args)
{
	struct change c = { .s = s, .work = submit_work, .done = submit_done, .args = args };
	int ret = check_submit(args);

	return ret ? ret : change(&c);
}

/* ---- claim, renew, finish ----------------------------------------------------------- */

/* Not beyond the deadline. */
static int64_t lease_end(const struct change *c, const struct queue_task *t, uint32_t lease_ms)
{
	int64_t end = c->now + (lease_ms ? lease_ms : NEXUS_TASK_LEASE_MS);

	return t->deadline && t->deadline < end ? t->deadline : end;
}

static int claim_work(struct change *c, struct nexus_records *r, struct nexus_record_tx *tx)
{
	struct nexus_task_claim_args *a = c->args;
	const struct queue_who who = { a->worker, text_or_empty(a->type), !a->as };
	int ret;

	c->task = queue_next(&c->s->queue, &who, c->now);
	if (!c->task)
		return -ENOENT;
	c->until = lease_end(c, c->task, a->lease_ms);
	ret = task_claimed(r, tx, c->task, a->worker, c->now, c->until);
	return ret ? ret : task_load(c->s, r, tx, a, c->task->id, &a->task);
}

static int claim_done(struct change *c)
{
	c->s->claimed++;
	queue_claim(&c->s->queue, c->task, c->task->claim + 1, c->now, c->until);
	return 0;
}

int tasks_claim(struct tasks *s, struct nexus_task_claim_args *args)
{
	struct change c = { .s = s, .work = claim_work, .done = claim_done, .args = args };
	int ret = text_subject(args->worker, NEXUS_TASK_SUBJECT_MAX);

	if (!ret && text_or_empty(args->type)[0])
		ret = text_name(args->type, NEXUS_TASK_TYPE_MAX);
	if (!ret && args->lease_ms > NEXUS_TASK_LEASE_MAX_MS)
		ret = -EINVAL;
	if (!ret && !is(args->as, args->worker))
		ret = -EACCES;
	if (ret)
		return ret;
	pthread_mutex_lock(&s->table.writing);
	/* What the dead had is to be found at once. */
	if (s->revision < 0 || queue_due(&s->queue, s->opts.now_ms(), c.due, 1))
		ret = tasks_expire(s);
	if (!ret)
		ret = tasks_change(&c);
	pthread_mutex_unlock(&s->table.writing);
	return ret;
}

/*
 * The claim must be the one there is, and its time not over, whether that was noticed
 * yet or not.  *@row has what the store knows.
 */
static int find_claim(struct change *c, struct nexus_records *r, struct nexus_record_tx *tx,
		      struct nexus_task *row)
{
	const struct nexus_task_finish_args *a = c->args;
	int ret;

	c->task = NULL;
	row->claim = 0;
	ret = task_load(c->s, r, tx, c->args, a->id, row);
	if (ret == -ENOENT || (!ret && (!a->claim || row->claim != a->claim)))
		return -EKEYEXPIRED;
	if (ret)
		return ret;
	if (!is(a->as, row->worker))
		return -EACCES;
	c->task = queue_find(&c->s->queue, a->id);
	return c->task && c->task->running && c->task->lease > c->now &&
	       !queue_late(c->task, c->now) ? 0 : -EKEYEXPIRED;
}

static int renew_work(struct change *c, struct nexus_records *r, struct nexus_record_tx *tx)
{
	struct nexus_task_finish_args *a = c->args;
	struct nexus_task row;
	int ret = find_claim(c, r, tx, &row);

	if (ret)
		return ret;
	a->until_ms = lease_end(c, c->task, a->lease_ms);
	return task_leased(r, tx, a->id, a->until_ms);
}

static int renew_done(struct change *c)
{
	c->task->lease = ((struct nexus_task_finish_args *)c->args)->until_ms;
	return 0;
}

int tasks_renew(struct tasks *s, struct nexus_task_finish_args *args)
{
	struct change c = { .s = s, .work = renew_work, .done = renew_done, .args = args };

	return args->lease_ms > NEXUS_TASK_LEASE_MAX_MS ? -EINVAL : change(&c);
}

static int finish_work(struct change *c, struct nexus_records *r, struct nexus_record_tx *tx)
{
	struct nexus_task_finish_args *a = c->args;
	uint32_t state = a->failed ? NEXUS_TASK_FAILED : NEXUS_TASK_COMPLETED;
	const char *error = text_or_empty(a->error);
	struct nexus_task row;
	int ret = find_claim(c, r, tx, &row);

	/* The answer was lost: it is what it was to be. */
	if (ret == -EKEYEXPIRED && !c->task && a->claim && row.claim == a->claim &&
	    row.state == state && !strcmp(row.error, error))
		return 0;
	return ret ? ret : task_ended(r, tx, a->id, state, error, c->now);
}

static int remove_done(struct change *c)
{
	if (c->task)
		queue_remove(&c->s->queue, c->task, c->now);
	return 0;
}

int tasks_finish(struct tasks *s, struct nexus_task_finish_args *args)
{
	struct change c = { .s = s, .work = finish_work, .done = remove_done, .args = args };

	if (args->error && strnlen(args->error, NEXUS_TASK_ERROR_MAX + 1) > NEXUS_TASK_ERROR_MAX)
		return -ENAMETOOLONG;
	return change(&c);
}

/* ---- cancel ------------------------------------------------------------------------- */

static int cancel_work(struct change *c, struct nexus_records *r, struct nexus_record_tx *tx)
{
	struct nexus_task_cancel_args *a = c->args;
	struct nexus_task row;
	int ret = task_load(c->s, r, tx, a, a->id, &row);

	if (ret)
		return ret;
	if (!is(a->as, row.owner))
		return -EACCES;
	c->task = queue_find(&c->s->queue, a->id);
	a->count = 1;
	return c->task ? task_ended(r, tx, a->id, NEXUS_TASK_CANCELLED, "", c->now) : -EBUSY;
}

static int cancel_all_work(struct change *c, struct nexus_records *r, struct nexus_record_tx *tx)
{
	struct nexus_task_cancel_args *a = c->args;

	return task_cancel_owner(r, tx, a->owner, c->now);
}

static int cancel_all_done(struct change *c)
{
	struct nexus_task_cancel_args *a = c->args;
	struct queue *q = &c->s->queue;
	uint32_t i = 0;

	a->count = 0;
	while (i < q->n) {
		if (strcmp(q->tasks[i]->owner->name, a->owner) != 0) {
			i++;
			continue;
		}
		queue_remove(q, q->tasks[i], c->now);
		a->count++;
	}
	return 0;
}

int tasks_cancel(struct tasks *s, struct nexus_task_cancel_args *args)
{
	struct change c = { .s = s, .work = cancel_work, .done = remove_done, .args = args };
	int ret;

	if (!args->id) {
		ret = text_subject(args->owner, NEXUS_TASK_SUBJECT_MAX);
		if (!ret && !is(args->as, args->owner))
			ret = -EACCES;
		if (ret)
			return ret;
		c.work = cancel_all_work;
		c.done = cancel_all_done;
	}
	return change(&c);
}

/* ---- get, list, state --------------------------------------------------------------- */

static int get_work(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	struct change *c = arg;
	struct nexus_task_get_args *a = c->args;
	int ret = task_load(c->s, r, tx, a, a->id, &a->task);

	if (ret)
		return ret;
	return is(a->as, a->task.owner) || is(a->as, a->task.worker) ||
	       is(a->as, a->task.executor) ? 0 : -EACCES;
}

int tasks_get(struct tasks *s, struct nexus_task_get_args *args)
{
	struct change c = { .s = s, .args = args };

	return table_run(&s->table, NEXUS_RECORD_READ, get_work, &c);
}

static int list_work(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	struct change *c = arg;

	return task_list(c->s, r, tx, c->args);
}

int tasks_list(struct tasks *s, struct nexus_task_list_args *args)
{
	struct change c = { .s = s, .args = args };
	int ret = text_ok(args->owner, NEXUS_TASK_SUBJECT_MAX);

	if (ret)
		return ret;
	if (args->state > NEXUS_TASK_CANCELLED || args->max > NEXUS_TASK_LIST_MAX ||
	    args->after > INT64_MAX)
		return -EINVAL;
	if (!is(args->as, text_or_empty(args->owner)))
		return -EACCES;
	if (!args->max)
		args->max = NEXUS_TASK_LIST_MAX;
	args->tasks = s->opts.more(args, args->max * sizeof(*args->tasks));
	if (!args->tasks)
		return -ENOMEM;
	return table_run(&s->table, NEXUS_RECORD_READ, list_work, &c);
}

static int state_work(struct change *c, struct nexus_records *r, struct nexus_record_tx *tx)
{
	struct nexus_scheduler_state *st = c->args;
	const struct queue *q = &c->s->queue;
	const struct queue_task *t;
	uint32_t i;

	(void)r;
	(void)tx;
	*st = (struct nexus_scheduler_state){
		.running = q->running, .submitted = c->s->submitted, .claimed = c->s->claimed,
		.lost = c->s->lost, .late = c->s->late,
	};
	for (i = 0; i < q->n; i++) {
		t = q->tasks[i];
		if (t->running)
			continue;
		st->queued[queue_tier(t, c->now)]++;
		if (c->now - t->submitted > st->oldest_ms)
			st->oldest_ms = c->now - t->submitted;
	}
	return 0;
}

int tasks_state(struct tasks *s, struct nexus_scheduler_state *st)
{
	struct change c = { .s = s, .work = state_work, .args = st, .reads = true };

	return change(&c);
}
