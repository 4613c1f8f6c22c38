// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reservations of log space, and nexus_mutate(), which uses them up.
 *
 * A reservation is admitted against two things: how far the helper may lag
 * behind (limit), and the segments at hand (room).  A byte counts in
 * "outstanding" until it is appended and in "tail" from then on, so appending
 * never needs to ask.  log.h says what the room must be enough for.
 */
#include <linux/freezer.h>
#include <linux/hrtimer.h>
#include <linux/sched/signal.h>
#include <linux/writeback.h>

#include "../data/data.h"
#include "log.h"

/* Throttling from half the limit on, in nanoseconds a byte. */
#define NEXUS_PACE_MIN		30ull
#define NEXUS_PACE_MAX		1000ull
#define NEXUS_PACE_SLEEP	(100ull * NSEC_PER_USEC)
#define NEXUS_PACE_SLEEP_MAX	(50ull * NSEC_PER_MSEC)

enum nexus_shortage { NEXUS_ENOUGH, NEXUS_SHORT_LIMIT, NEXUS_SHORT_ROOM };

/* Bytes growth may not take, so that a full log can be emptied by deleting. */
static u64 nexus_log_delete_reserve(const struct nexus_log *log)
{
	return max(log->pool / 20, min_t(u64, 64ull << 20, log->pool / 8));
}

/* lock held.  Usable bytes, after @blocks more were written. */
static u64 nexus_log_room(const struct nexus_log *log, u64 blocks)
{
	const struct nexus_segment *cur = log->cur;
	u64 left = cur ? cur->blocks - cur->next : 0;
	u64 room = log->spare_room, lost;

	if (left >= blocks)
		return room + nexus_segment_usable((left - blocks) <<
						   NEXUS_BLOCK_SHIFT);
	/* The end of this segment, and then one block more of the next. */
	lost = (blocks + 1) << NEXUS_BLOCK_SHIFT;
	return room > lost ? room - lost : 0;
}

/* lock held. */
static enum nexus_shortage nexus_log_short(const struct nexus_log *log,
					   u64 bytes, unsigned int flags)
{
	u64 used;

	if (log->tail + log->outstanding + bytes - log->applied > log->limit)
		return NEXUS_SHORT_LIMIT;

	used = log->tail - log->durable + log->outstanding + bytes +
	       NEXUS_LOG_SLACK;
	if (!(flags & NEXUS_RESV_DELETE))
		used += nexus_log_delete_reserve(log);
	return used > nexus_log_room(log, 0) ? NEXUS_SHORT_ROOM : NEXUS_ENOUGH;
}

void nexus_log_space(struct nexus_log *log, u64 *left, u64 *spare, u64 *pool)
{
	spin_lock_irq(&log->lock);
	*left = log->cur ? (u64)(log->cur->blocks - log->cur->next) << NEXUS_BLOCK_SHIFT : 0;
	*spare = log->spare_room;
	*pool = log->pool;
	spin_unlock_irq(&log->lock);
}

/* lock held.  The log may have to be kept for content that is in no pack yet. */
static bool nexus_log_data_held(const struct nexus_log *log)
{
	return log->data > log->checkpoint;
}

/* lock held.  What must be left over after the next small batch. */
static u64 nexus_log_left_over(const struct nexus_log *log)
{
	if (test_bit(NEXUS_LOG_LAST, &log->state))
		return 0;
	if (log->sync_to > log->durable)
		return NEXUS_LOG_SYNC;
	return nexus_log_data_held(log) ? NEXUS_LOG_REHOME : NEXUS_LOG_FSYNC;
}

bool nexus_log_may_batch(struct nexus_log *log)
{
	unsigned long irq;
	u64 pending, left, blocks;
	bool may;

	spin_lock_irqsave(&log->lock, irq);
	pending = log->tail - log->durable;
	blocks = DIV_ROUND_UP(pending + sizeof(struct nexus_batch_head),
			      NEXUS_BLOCK_SIZE);
	left = log->outstanding + nexus_log_left_over(log);
	may = pending >= NEXUS_BATCH_LARGE ||
	      nexus_log_room(log, blocks) >= left;
	/* Under the lock: whoever makes room after this sees the bit. */
	if (may)
		clear_bit(NEXUS_LOG_SHORT, &log->state);
	else
		set_bit(NEXUS_LOG_SHORT, &log->state);
	spin_unlock_irqrestore(&log->lock, irq);
	return may;
}

static enum nexus_shortage nexus_log_try(struct nexus_resv *resv, size_t bytes,
					 unsigned int flags)
{
	struct nexus_log *log = resv->zone->log;
	enum nexus_shortage shortage;
	unsigned long irq;

	spin_lock_irqsave(&log->lock, irq);
	shortage = nexus_log_short(log, bytes, flags);
	if (!shortage) {
		log->outstanding += bytes;
		resv->bytes += bytes;
	}
	spin_unlock_irqrestore(&log->lock, irq);
	return shortage;
}

/* ---- waiting ------------------------------------------------------------- */

/*
 * Dirty pages hold reservations for more than they will need: writing them
 * gives some back.  Its own worker, because only somebody without locks may wait
 * for the flusher threads.
 */
void nexus_log_kick_work(struct work_struct *work)
{
	struct nexus_log *log = container_of(work, struct nexus_log, kick_work);
	struct nexus_zone *zone = log->zone;
	struct super_block *sb = nexus_zone_grab_sb(zone);

	if (sb) {
		try_to_writeback_inodes_sb(sb, WB_REASON_FS_FREE_SPACE);
		/* May be the last reference; then this unmounts. */
		deactivate_super(sb);
	}
	nexus_zone_put(zone);
}

static void nexus_log_writeback(struct nexus_log *log)
{
	nexus_zone_get(log->zone);
	if (!queue_work(nexus_misc_wq, &log->kick_work))
		nexus_zone_put(log->zone);
}

/* ---- content in the log ---------------------------------------------------- */

void nexus_log_has_data(struct nexus_zone *zone, u64 lsn)
{
	struct nexus_log *log = zone->log;
	unsigned long irq;

	spin_lock_irqsave(&log->lock, irq);
	log->data = max(log->data, lsn);
	spin_unlock_irqrestore(&log->lock, irq);
}

/*
 * Content takes 40 times the log that an EXTENT record takes, and keeps it until it
 * has moved: it may use neither the last quarter of the segments nor what the helper
 * cannot keep up with.
 */
bool nexus_log_plenty(struct nexus_zone *zone)
{
	struct nexus_log *log = zone->log;
	unsigned long irq;
	bool plenty;

	spin_lock_irqsave(&log->lock, irq);
	plenty = log->spare_room >= log->pool / 4 &&
		 log->tail - log->applied + log->outstanding < log->limit / 2;
	spin_unlock_irqrestore(&log->lock, irq);
	return plenty;
}

void nexus_log_rehome(struct nexus_log *log)
{
	unsigned long irq;
	bool due;

	spin_lock_irqsave(&log->lock, irq);
	due = log->spare_room < log->pool / 2 && nexus_log_data_held(log);
	spin_unlock_irqrestore(&log->lock, irq);
	if (due)
		nexus_log_writeback(log);
}

static void nexus_log_ask(struct nexus_log *log, enum nexus_shortage shortage)
{
	if (shortage == NEXUS_SHORT_LIMIT)
		nexus_log_set_flags(log->zone, NEXUS_LF_WANT_APPLY, 0);
	else
		nexus_log_set_flags(log->zone, NEXUS_LF_WANT_SEGMENT |
				    NEXUS_LF_WANT_CHECKPOINT, 0);
	nexus_log_kick(log->zone);
	nexus_log_writeback(log);
}

static int nexus_log_wait_room(struct nexus_resv *resv, size_t bytes,
			       unsigned int flags)
{
	struct nexus_log *log = resv->zone->log;
	enum nexus_shortage shortage;
	DEFINE_WAIT(wait);
	int err = 0;

	nexus_count(log_waits);
	for (;;) {
		prepare_to_wait(&log->room_wait, &wait, NEXUS_WAIT_STATE);
		err = nexus_zone_writable(resv->zone);
		if (err)
			break;
		shortage = nexus_log_try(resv, bytes, flags);
		if (!shortage)
			break;
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
		nexus_log_ask(log, shortage);
		/*
		 * What was dirtied since the last kick holds room, too, and the
		 * helper may have come back and not looked.
		 */
		if (!schedule_timeout(HZ))
			nexus_log_nudge(resv->zone);
	}
	finish_wait(&log->room_wait, &wait);
	return err;
}

/*
 * Slows the caller down in proportion to what it adds, once the helper is more
 * than half the limit behind.  The reservation is held already: a kill only
 * ends the sleep.
 */
static void nexus_log_throttle(struct nexus_log *log, size_t bytes)
{
	u64 half = log->limit / 2, backlog, pace, sleep = 0;
	unsigned long irq;
	ktime_t until;

	backlog = READ_ONCE(log->tail) - READ_ONCE(log->applied) +
		  READ_ONCE(log->outstanding);
	/* Read without the lock: may be off, even below zero. */
	if ((s64)backlog <= (s64)half)
		return;
	pace = NEXUS_PACE_MIN + (NEXUS_PACE_MAX - NEXUS_PACE_MIN) *
	       min(backlog - half, half) / half;
	spin_lock_irqsave(&log->lock, irq);
	log->debt += bytes * pace;
	if (log->debt >= NEXUS_PACE_SLEEP) {
		sleep = min(log->debt, NEXUS_PACE_SLEEP_MAX);
		log->debt = 0;
	}
	spin_unlock_irqrestore(&log->lock, irq);
	if (!sleep)
		return;
	nexus_log_set_flags(log->zone, NEXUS_LF_WANT_APPLY, 0);
	until = ns_to_ktime(sleep);
	set_current_state(NEXUS_WAIT_STATE);
	schedule_hrtimeout_range(&until, sleep / 8, HRTIMER_MODE_REL);
}

/* ---- reservations ---------------------------------------------------------- */

static int nexus_log_take(struct nexus_resv *resv, size_t bytes,
			  unsigned int flags)
{
	struct nexus_zone *zone = resv->zone;
	enum nexus_shortage shortage;
	int err;

	err = nexus_zone_writable(zone);
	if (err)
		return err;
	if (zone->store_rdonly)
		return -EROFS;
	if (!zone->log) {
		resv->bytes += bytes;
		return 0;
	}
	shortage = nexus_log_try(resv, bytes, flags);
	if (shortage) {
		if (flags & NEXUS_RESV_NOWAIT) {
			nexus_log_ask(zone->log, shortage);
			return -EAGAIN;
		}
		err = nexus_log_wait_room(resv, bytes, flags);
		if (err)
			return err;
	}
	if (!(flags & NEXUS_RESV_NOWAIT))
		nexus_log_throttle(zone->log, bytes);
	return 0;
}

int nexus_log_reserve(struct nexus_zone *zone, struct nexus_resv *resv,
		      size_t bytes, unsigned int flags)
{
	resv->zone = zone;
	resv->bytes = 0;
	return nexus_log_take(resv, bytes, flags);
}

int nexus_log_reserve_more(struct nexus_resv *resv, size_t bytes)
{
	return nexus_log_take(resv, bytes, 0);
}

void nexus_log_reserve_forced(struct nexus_zone *zone, struct nexus_resv *resv,
			      size_t bytes)
{
	struct nexus_log *log = zone->log;
	unsigned long flags;

	resv->zone = zone;
	resv->bytes = bytes;
	if (!log)
		return;
	spin_lock_irqsave(&log->lock, flags);
	log->outstanding += bytes;
	spin_unlock_irqrestore(&log->lock, flags);
}

bool nexus_log_reserve_late(struct nexus_zone *zone, struct nexus_resv *resv,
			    size_t bytes)
{
	struct nexus_log *log = zone->log;
	unsigned long irq;
	bool ok = true;
	u64 used;

	resv->zone = zone;
	resv->bytes = 0;
	if (log) {
		spin_lock_irqsave(&log->lock, irq);
		used = log->tail - log->durable + log->outstanding + bytes +
		       NEXUS_LOG_FSYNC;
		ok = used <= nexus_log_room(log, 0);
		if (ok)
			log->outstanding += bytes;
		spin_unlock_irqrestore(&log->lock, irq);
	}
	if (ok)
		resv->bytes = bytes;
	return ok;
}

void nexus_log_wake_room(struct nexus_log *log)
{
	if (wq_has_sleeper(&log->room_wait))
		wake_up_all(&log->room_wait);
	if (test_bit(NEXUS_LOG_SHORT, &log->state) &&
	    test_and_clear_bit(NEXUS_LOG_SHORT, &log->state))
		queue_work(log->wq, &log->flush_work);
}

static void nexus_log_give_back(struct nexus_zone *zone, u64 bytes)
{
	struct nexus_log *log = zone->log;
	unsigned long flags;

	if (!log || !bytes)
		return;
	spin_lock_irqsave(&log->lock, flags);
	log->outstanding -= bytes;
	spin_unlock_irqrestore(&log->lock, flags);
	nexus_log_wake_room(log);
}

void nexus_log_unreserve(struct nexus_resv *resv)
{
	u64 bytes = resv->bytes;

	resv->bytes = 0;
	if (resv->zone)
		nexus_log_give_back(resv->zone, bytes);
}

void nexus_resv_move(struct nexus_resv *to, struct nexus_resv *from, u64 bytes)
{
	if (WARN_ON_ONCE(from->bytes < bytes))
		bytes = from->bytes;
	to->zone = from->zone;
	to->bytes += bytes;
	from->bytes -= bytes;
}

int nexus_mutate(struct nexus_zone *zone, struct nexus_resv *resv,
		 struct nexus_rec_head *rec, u64 *lsn)
{
	u64 len = le32_to_cpu(rec->len);
	int err;

	err = nexus_zone_writable(zone);
	if (err)
		return err;
	/* One record that nobody can apply would be the end of the zone. */
	if (nexus_rec_check_form(rec, len)) {
		nexus_err(zone, "a malformed %s record was refused",
			  nexus_rec_name(le16_to_cpu(rec->type)));
		return -EIO;
	}
	err = zone->ms->mutate(zone, rec, lsn);
	if (err)
		return err;
	/* For a moment it counts twice, which errs on the safe side. */
	if (WARN_ON_ONCE(resv->bytes < len))
		len = resv->bytes;
	resv->bytes -= len;
	nexus_log_give_back(zone, len);
	return 0;
}
