// SPDX-License-Identifier: Apache-2.0
/* What time does to tasks. */
#include "tasks.h"

#include <errno.h>

static bool given_up(const struct change *c, const struct queue_task *t)
{
	return t->claim >= c->s->opts.claims_max;
}

static int expire_work(struct change *c, struct nexus_records *r, struct nexus_record_tx *tx)
{
	uint32_t i;
	int ret = 0;

	c->n_due = queue_due(&c->s->queue, c->now, c->due, TASKS_BATCH);
	if (!c->n_due)
		return -ENOENT;
	for (i = 0; i < c->n_due && !ret; i++) {
		const struct queue_task *t = c->due[i];

		if (queue_late(t, c->now))
			ret = task_ended(r, tx, t->id, NEXUS_TASK_FAILED, "deadline", c->now);
		else if (given_up(c, t))
			ret = task_ended(r, tx, t->id, NEXUS_TASK_FAILED, "its workers were lost", c->now);
		else
			ret = task_queued(r, tx, t->id);
	}
	return ret;
}

static int expire_done(struct change *c)
{
	struct tasks *s = c->s;
	uint32_t i;

	for (i = 0; i < c->n_due; i++) {
		struct queue_task *t = c->due[i];
		bool late = queue_late(t, c->now);

		s->late += late;
		s->lost += !late;
		if (late || given_up(c, t))
			queue_remove(&s->queue, t, c->now);
		else
			queue_back(&s->queue, t, c->now);
	}
	return 0;
}

int tasks_expire(struct tasks *s)
{
	struct change c = { .s = s, .work = expire_work, .done = expire_done };
	int ret;

	do
		ret = tasks_change(&c);
	while (!ret && c.n_due == TASKS_BATCH);
	return ret == -ENOENT ? 0 : ret;
}

static int purge_work(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	struct tasks *s = arg;

	return task_purge(s, r, tx, s->opts.now_ms());
}

void tasks_tick(struct tasks *s)
{
	pthread_mutex_lock(&s->table.writing);
	tasks_expire(s);
	if (!(s->ticks++ % TASKS_PURGE_TICKS))
		table_run(&s->table, NEXUS_RECORD_WRITE, purge_work, s);
	pthread_mutex_unlock(&s->table.writing);
}
