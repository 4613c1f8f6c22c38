// SPDX-License-Identifier: GPL-2.0-only
/*
 * Zones of a session: opened by a mount, attached by the helper, drained after
 * the unmount, taken over by the next helper.
 *
 *   OPEN_ZONE sent --ZONE_ATTACH--> attached --reply 0--> mounted --kill_sb-->
 *   draining --ZONE_DETACH--> dropped
 *
 * Attached or draining zones are dropped when the helper is lost: nothing is in
 * their rings that is not in the segments too (log_stop() flushed them), and
 * the next helper opens the store from disk.  Mounted ones wait for it.
 */
#include <linux/file.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "chan.h"

/* ---- life -------------------------------------------------------------- */

static void nexus_czone_free_work(struct work_struct *work)
{
	struct nexus_czone *cz = container_of(to_rcu_work(work),
					      struct nexus_czone, free_work);

	nexus_zone_put(cz->zone);
	kfree(cz);
}

void nexus_czone_init(struct nexus_czone *cz, struct nexus_zone *zone)
{
	kref_init(&cz->ref);
	INIT_RCU_WORK(&cz->free_work, nexus_czone_free_work);
	spin_lock_init(&cz->lock);
	cz->zone = zone;
}

static void nexus_czone_release(struct kref *ref)
{
	struct nexus_czone *cz = container_of(ref, struct nexus_czone, ref);

	/* After those that found it under RCU; and the zone's end may sleep. */
	queue_rcu_work(nexus_chan_wq, &cz->free_work);
}

void nexus_czone_put(struct nexus_czone *cz)
{
	kref_put(&cz->ref, nexus_czone_release);
}

struct nexus_czone *nexus_czone_get(struct nexus_session *s, u32 id)
{
	struct nexus_czone *cz;

	rcu_read_lock();
	cz = xa_load(&s->zones, id);
	if (cz && !kref_get_unless_zero(&cz->ref))
		cz = NULL;
	rcu_read_unlock();
	return cz;
}

/* The LOCK file goes with the last of superblock and helper, not with the last mapping. */
static void nexus_czone_unlock(struct nexus_czone *cz)
{
	struct file *file = xchg(&cz->zone->lock_file, NULL);

	if (file)
		fput(file);
}

/* No LOGWAIT from here on; the parked one ends. */
static void nexus_czone_end(struct nexus_czone *cz)
{
	struct io_uring_cmd *cmd;
	unsigned long flags;

	spin_lock_irqsave(&cz->lock, flags);
	cz->ended = true;
	cmd = cz->logwait;
	WRITE_ONCE(cz->logwait, NULL);
	spin_unlock_irqrestore(&cz->lock, flags);
	nexus_uring_end(cmd, -ESHUTDOWN);
}

void nexus_czone_drop(struct nexus_session *s, struct nexus_czone *cz)
{
	lockdep_assert_held(&s->zlock);
	xa_erase(&s->zones, cz->id);
	nexus_czone_end(cz);
	nexus_czone_unlock(cz);
	WRITE_ONCE(s->zone_seq, s->zone_seq + 1);
	wake_up_all(&s->zone_wq);
	nexus_event(NEXUS_EV_ZONE_DETACHED, s->name, cz->zone->name, 0, NULL);
	nexus_czone_put(cz);
}

static struct nexus_czone *nexus_czone_named(struct nexus_session *s,
					     const char *name)
{
	struct nexus_czone *cz;
	unsigned long id;

	lockdep_assert_held(&s->zlock);
	xa_for_each(&s->zones, id, cz)
		if (!strcmp(cz->zone->name, name))
			return cz;
	return NULL;
}

struct nexus_open *nexus_open_named(struct nexus_session *s, const char *name)
{
	struct nexus_open *open;

	lockdep_assert_held(&s->zlock);
	list_for_each_entry(open, &s->opens, node)
		if (!strcmp(open->name, name))
			return open;
	return NULL;
}

/* ---- the session's moves -------------------------------------------------- */

void nexus_zones_lost(struct nexus_session *s)
{
	struct nexus_open *open;
	struct nexus_czone *cz;
	unsigned long id;

	lockdep_assert_held(&s->zlock);
	/* Their OPEN_ZONE is sent again; the next helper attaches them anew. */
	list_for_each_entry(open, &s->opens, node) {
		if (open->cz)
			open->lost = true;
		open->cz = NULL;
	}
	xa_for_each(&s->zones, id, cz)
		if (!cz->mounted)
			nexus_czone_drop(s, cz);
}

void nexus_zones_dead(struct nexus_session *s, const char *reason)
{
	struct nexus_czone *cz;
	unsigned long id;

	nexus_zones_lost(s);
	xa_for_each(&s->zones, id, cz) {
		nexus_czone_end(cz);
		/* Nobody will hand over what its waiters wait for. */
		nexus_zone_fail(cz->zone, -ENOTCONN, "session %s: %s", s->name,
				reason);
	}
}

int nexus_zones_grace(struct nexus_session *s)
{
	struct nexus_czone *cz;
	unsigned long id;
	int grace = -1;

	lockdep_assert_held(&s->zlock);
	if (!list_empty(&s->opens))
		grace = NEXUS_GRACE_DEFAULT;
	xa_for_each(&s->zones, id, cz)
		if (cz->mounted)
			grace = max_t(int, grace,
				      min_t(unsigned int, INT_MAX,
					    READ_ONCE(cz->zone->opts.grace)));
	return grace;
}

/* ---- mount and unmount ------------------------------------------------------ */

/* Waits until nobody has or opens a zone of that name; then zlock is held. */
static int nexus_open_begin(struct nexus_session *s, struct nexus_open *open)
{
	u32 seq;

	for (;;) {
		if (mutex_lock_killable(&s->zlock))
			return -EINTR;
		if (s->state == NEXUS_SESSION_DEAD) {
			mutex_unlock(&s->zlock);
			return -ENOTCONN;
		}
		if (!nexus_czone_named(s, open->name) &&
		    !nexus_open_named(s, open->name))
			return 0;
		seq = s->zone_seq;
		mutex_unlock(&s->zlock);
		if (wait_event_killable(s->zone_wq,
					READ_ONCE(s->zone_seq) != seq ||
					READ_ONCE(s->state) == NEXUS_SESSION_DEAD))
			return -EINTR;
	}
}

/*
 * Sends OPEN_ZONE and waits; returns with zlock held.  0: @open has a zone.
 * Otherwise -errno, and @reason has the helper's words for it, or none.
 */
static int nexus_open_call(struct nexus_session *s, struct nexus_open *open,
			   u32 how, char reason[NEXUS_REASON_LEN])
{
	struct nexus_request req = {
		.op = NEXUS_OP_OPEN_ZONE,
		.arg0 = how,
		.arg1 = open->ticket,
		.len = open->len,
	};
	const char *bad;
	int err;

	for (;;) {
		reason[0] = '\0';
		nexus_count(req_other);
		err = nexus_session_call(s, &req, open->data,
					 NEXUS_GRACE_DEFAULT, open->name,
					 reason, NEXUS_REASON_LEN, NULL, &bad);
		if (bad) {
			nexus_count(req_bad);
			pr_err_ratelimited("nexusfs (%s): reply to OPEN_ZONE refused: bad %s\n",
					   open->name, bad);
		}
		mutex_lock(&s->zlock);
		if (!err && s->state == NEXUS_SESSION_DEAD)
			err = -ENOTCONN;
		if (err || open->cz)
			return err;
		/* Answered, and gone before we came here: ask the next one. */
		if (!open->lost)
			break;
		open->lost = false;
		mutex_unlock(&s->zlock);
	}
	nexus_count(req_bad);
	pr_err_ratelimited("nexusfs (%s): the helper opened the zone without attaching it\n",
			   open->name);
	return -EIO;
}

struct nexus_zone *nexus_session_open_zone(struct nexus_session *s, const char *name,
					   const char *bucket, u32 how,
					   char reason[NEXUS_REASON_LEN])
{
	struct nexus_open open = { .name = name, .data = name, .len = strlen(name) };
	struct nexus_zone *zone = NULL;
	char *both = NULL;
	int err;

	reason[0] = '\0';
	if (!nexus_label_ok(name, open.len))
		return ERR_PTR(-EINVAL);
	if (bucket) {
		both = kasprintf(GFP_KERNEL, "%s%c%s", name, 0, bucket);
		if (!both)
			return ERR_PTR(-ENOMEM);
		open.data = both;
		open.len += 1 + strlen(bucket);
	}
	err = nexus_open_begin(s, &open);
	if (err) {
		kfree(both);
		return ERR_PTR(err);
	}
	open.ticket = ++s->next_ticket;
	list_add_tail(&open.node, &s->opens);
	mutex_unlock(&s->zlock);

	err = nexus_open_call(s, &open, how, reason);
	lockdep_assert_held(&s->zlock);
	list_del(&open.node);
	WRITE_ONCE(s->zone_seq, s->zone_seq + 1);
	wake_up_all(&s->zone_wq);
	if (!err) {
		zone = open.cz->zone;
		nexus_zone_get(zone);
		open.cz->mounted = true;
	} else if (open.cz) {
		nexus_czone_drop(s, open.cz);
	}
	nexus_session_check_idle(s);
	mutex_unlock(&s->zlock);
	kfree(both);
	if (err)
		return ERR_PTR(err);
	nexus_event(NEXUS_EV_ZONE_ATTACHED, s->name, name, 0, NULL);
	return zone;
}

void nexus_session_close_zone(struct nexus_zone *zone)
{
	struct nexus_session *s = zone->session;
	struct nexus_czone *cz;

	mutex_lock(&s->zlock);
	cz = xa_load(&s->zones, zone->id);
	cz->mounted = false;
	/* Only a helper that knows it can drain it, and it may have done so. */
	if (s->state != NEXUS_SESSION_LIVE || cz->epoch != s->epoch ||
	    cz->detached)
		nexus_czone_drop(s, cz);
	nexus_session_check_idle(s);
	mutex_unlock(&s->zlock);
}

/* ---- LOGWAIT ---------------------------------------------------------------- */

int nexus_czone_logwait(struct nexus_czone *cz, struct io_uring_cmd *cmd,
			u32 seen)
{
	unsigned long flags;
	int ret = -EIOCBQUEUED;

	spin_lock_irqsave(&cz->lock, flags);
	if (cz->ended) {
		ret = -ESHUTDOWN;
	} else if (cz->logwait) {
		ret = -EBUSY;
	} else {
		WRITE_ONCE(cz->logwait, cmd);
		/*
		 * Parked before the look at events: pairs with the barrier in
		 * nexus_chan_log_event().
		 */
		smp_mb();
		if (nexus_log_events(cz->zone) != seen) {
			WRITE_ONCE(cz->logwait, NULL);
			ret = 0;
		}
	}
	spin_unlock_irqrestore(&cz->lock, flags);
	return ret;
}

bool nexus_czone_unpark(struct nexus_czone *cz, struct io_uring_cmd *cmd)
{
	unsigned long flags;
	bool mine;

	spin_lock_irqsave(&cz->lock, flags);
	mine = cz->logwait == cmd;
	if (mine)
		WRITE_ONCE(cz->logwait, NULL);
	spin_unlock_irqrestore(&cz->lock, flags);
	return mine;
}

void nexus_chan_log_event(struct nexus_zone *zone)
{
	struct io_uring_cmd *cmd = NULL;
	struct nexus_czone *cz;
	unsigned long flags;

	/* While the zone is being attached it is in no session. */
	if (!zone->session)
		return;
	/*
	 * events (the caller's store) before the look at who waits: pairs with
	 * the barrier in nexus_czone_logwait().  One of the two sees the other.
	 */
	smp_mb();
	rcu_read_lock();
	cz = xa_load(&zone->session->zones, zone->id);
	if (cz && cz->zone == zone && READ_ONCE(cz->logwait)) {
		spin_lock_irqsave(&cz->lock, flags);
		cmd = cz->logwait;
		WRITE_ONCE(cz->logwait, NULL);
		spin_unlock_irqrestore(&cz->lock, flags);
	}
	rcu_read_unlock();
	nexus_uring_ring(cmd);
}
