// SPDX-License-Identifier: GPL-2.0-only
/*
 * durability=origin: what is durable here must be with the content store, too, before
 * who asked for it hears so.
 *
 * One request of a zone at a time asks the helper, for all that is durable when it is
 * sent; whoever comes meanwhile waits for it, and for the next one if it asked for less.
 * So any number of waiters take one slot of a queue, and share what is put.
 */
#include "data/data.h"

void nexus_origin_init(struct nexus_origin *o)
{
	spin_lock_init(&o->lock);
	init_waitqueue_head(&o->wait);
}

/* 0, -EINTR, or -EIO with a line. */
static int nexus_origin_ask(struct nexus_zone *zone, u64 lsn)
{
	u64 unused;
	int err = nexus_ms_read(zone, NEXUS_OP_ORIGIN, 0, lsn, 0, NULL, 0, 0,
				&unused, sizeof(unused), NULL);

	if (err >= 0 || err == -EINTR)
		return min(err, 0);
	nexus_err(zone, "what is durable here could not be brought to the content store (%pe)",
		  ERR_PTR(err));
	return -EIO;
}

/* Waits for the request that is out.  0: look again; or an error that is the caller's. */
static int nexus_origin_share(struct nexus_origin *o, u64 lsn, u64 asked, u64 round)
{
	int err = 0;

	if (wait_event_state(o->wait, READ_ONCE(o->round) != round, NEXUS_WAIT_STATE))
		return -EINTR;
	/* One that was killed says nothing of the store. */
	spin_lock(&o->lock);
	if (o->there < lsn && asked >= lsn && o->err != -EINTR)
		err = o->err;
	spin_unlock(&o->lock);
	return err;
}

static int nexus_origin_wait(struct nexus_zone *zone, u64 lsn)
{
	struct nexus_origin *o = &zone->origin;
	u64 asked, round;
	int err;

	for (;;) {
		spin_lock(&o->lock);
		if (o->there >= lsn) {
			spin_unlock(&o->lock);
			return 0;
		}
		asked = o->asked;
		round = o->round;
		if (!asked)
			break;
		spin_unlock(&o->lock);
		err = nexus_origin_share(o, lsn, asked, round);
		if (err)
			return err;
	}
	asked = nexus_log_durable(zone);
	o->asked = asked;
	spin_unlock(&o->lock);

	err = nexus_origin_ask(zone, asked);
	spin_lock(&o->lock);
	o->asked = 0;
	o->err = err;
	if (!err)
		o->there = max(o->there, asked);
	WRITE_ONCE(o->round, round + 1);
	spin_unlock(&o->lock);
	wake_up_all(&o->wait);
	return err;
}

int nexus_durable(struct nexus_zone *zone, u64 lsn)
{
	int err = nexus_log_flush(zone, lsn);

	if (err || zone->opts.durability != NEXUS_DURABLE_ORIGIN)
		return err;
	return nexus_origin_wait(zone, lsn);
}
