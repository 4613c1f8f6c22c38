// SPDX-License-Identifier: Apache-2.0
/* The queue in memory, and the store it is of. */
#include "tasks.h"

#include <errno.h>

/* Memory has what this transaction sees. */
static int catch_up(struct change *c, struct nexus_records *r, struct nexus_record_tx *tx)
{
	struct tasks *s = c->s;
	int ret = task_revision(r, tx, &c->revision);

	if (ret || c->revision == s->revision)
		return ret;
	s->revision = -1;
	ret = task_load_queue(s, r, tx);
	if (!ret)
		s->revision = c->revision;
	return ret;
}

static int one_try(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	struct change *c = arg;
	int ret = catch_up(c, r, tx);

	if (!ret)
		ret = c->work(c, r, tx);
	if (ret || c->reads)
		return ret;
	return task_set_revision(r, tx, ++c->revision);
}

int tasks_change(struct change *c)
{
	struct tasks *s = c->s;
	int ret;

	c->now = s->opts.now_ms();
	ret = table_run(&s->table, c->reads ? NEXUS_RECORD_READ : NEXUS_RECORD_WRITE, one_try, c);
	/* What was in the way of others may have read what was never there. */
	if (ret == -ENOTCONN || ret == -EAGAIN)
		s->revision = -1;
	if (ret || c->reads)
		return ret;
	s->revision = c->revision;
	if (c->done && c->done(c))
		s->revision = -1;
	return 0;
}
