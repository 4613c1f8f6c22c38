// SPDX-License-Identifier: GPL-2.0-only
/* The log of a zone: life, append, control page, reports of the helper. */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "../data/data.h"
#include "../memstore.h"
#include "log.h"

static unsigned long log_ring_size = 4ul << 20;
module_param(log_ring_size, ulong, 0444);
MODULE_PARM_DESC(log_ring_size, "bytes of the ring of a zone's log, a power of two (default 4 MiB)");

static unsigned long log_limit;
module_param(log_limit, ulong, 0644);
MODULE_PARM_DESC(log_limit,
		 "bytes of records the helper may lag behind; 0: the smaller of 1 GiB and 1/16 of memory");

static unsigned int log_interval = 1000;
module_param(log_interval, uint, 0644);
MODULE_PARM_DESC(log_interval, "milliseconds until a record is flushed without fsync (default 1000)");

#define NEXUS_RING_MIN		(256ul << 10)
#define NEXUS_RING_MAX		(1024ul << 20)
#define NEXUS_LOG_LIMIT_MIN	(4ull << 20)
#define NEXUS_EVENT_BYTES	(64u << 10)
#define NEXUS_EVENT_DELAY	msecs_to_jiffies(5)

/* ---- control page ----------------------------------------------------- */

void nexus_log_event(struct nexus_log *log)
{
	unsigned long flags;

	spin_lock_irqsave(&log->lock, flags);
	log->told = log->tail;
	WRITE_ONCE(log->ctl->events, log->ctl->events + 1);
	spin_unlock_irqrestore(&log->lock, flags);
	nexus_chan_log_event(log->zone);
}

static void nexus_log_event_work(struct work_struct *work)
{
	struct nexus_log *log = container_of(to_delayed_work(work),
					     struct nexus_log, event_work);

	clear_bit(NEXUS_LOG_EVENT, &log->state);
	/* Whoever finds the bit set has published its tail: look after it. */
	smp_mb__after_atomic();
	nexus_log_event(log);
}

void nexus_log_event_later(struct nexus_log *log)
{
	if (!test_and_set_bit(NEXUS_LOG_EVENT, &log->state))
		queue_delayed_work(nexus_misc_wq, &log->event_work,
				   NEXUS_EVENT_DELAY);
}

void nexus_log_nudge(struct nexus_zone *zone)
{
	if (zone->log)
		nexus_log_event(zone->log);
}

void nexus_log_set_flags(struct nexus_zone *zone, u32 set, u32 clear)
{
	struct nexus_log *log = zone->log;
	unsigned long flags;
	u32 old;

	if (!log) {
		if (zone->mem && set)
			nexus_memstore_want(zone, set);
		return;
	}
	spin_lock_irqsave(&log->lock, flags);
	old = log->ctl->flags;
	WRITE_ONCE(log->ctl->flags, (old & ~clear) | set);
	spin_unlock_irqrestore(&log->lock, flags);
	/* A flag that goes away is no reason to wake anybody. */
	if (set & ~old)
		nexus_log_event(log);
}

void nexus_log_set_keep(struct nexus_zone *zone, u64 blocks)
{
	/* An in-memory zone always keeps all it can. */
	if (zone->log)
		WRITE_ONCE(zone->log->ctl->keep, blocks);
}

u32 nexus_log_events(struct nexus_zone *zone)
{
	return zone->log ? READ_ONCE(zone->log->ctl->events) : 0;
}

u64 nexus_log_tail(struct nexus_zone *zone)
{
	/* Records below are in the ring. */
	return zone->log ? smp_load_acquire(&zone->log->ctl->tail) :
			   nexus_memstore_lsn(zone);
}

u64 nexus_log_durable(struct nexus_zone *zone)
{
	return zone->log ? READ_ONCE(zone->log->durable) :
			   nexus_memstore_lsn(zone);
}

u64 nexus_log_applied(struct nexus_zone *zone)
{
	return zone->log ? READ_ONCE(zone->log->applied) :
			   nexus_memstore_lsn(zone);
}

/* ---- append ------------------------------------------------------------ */

static bool nexus_log_fits(const struct nexus_log *log, u64 tail, size_t len)
{
	return tail + len - READ_ONCE(log->durable) <= log->ring_size;
}

/*
 * Holders of a log_mutex may wait here: the flush worker needs none.  Not
 * killable: who appends on eviction cannot give up.
 */
static void nexus_log_wait_ring(struct nexus_log *log, size_t len)
{
	nexus_count(log_waits);
	nexus_log_flush_to(log, READ_ONCE(log->tail));
	wait_event(log->flush_wait,
		   READ_ONCE(log->zone->error) || READ_ONCE(log->stopped) ||
		   nexus_log_fits(log, READ_ONCE(log->tail), len));
}

static void nexus_log_copy(struct nexus_log *log, u64 lsn, const void *rec,
			   size_t len)
{
	size_t at = lsn & (log->ring_size - 1);
	size_t part = min_t(size_t, len, log->ring_size - at);

	memcpy(log->ring + at, rec, part);
	memcpy(log->ring, rec + part, len - part);
}

/* append_lock held. */
static void nexus_log_slide(struct nexus_log *log, size_t len)
{
	u64 need;

	if (log->tail + len - log->window <= log->ring_size)
		return;
	/* Some records at a time, so that the line is not written for each. */
	need = log->tail + len - log->ring_size;
	/* Pairs with nexus_batch_done(): ctl->durable is no less than ctl->window. */
	log->window = min(smp_load_acquire(&log->durable), need + log->ring_size / 16);
	/* What was seen above before what the helper sees here. */
	smp_store_release(&log->ctl->window, log->window);
	/* A reader whose copy saw newer bytes must see the window, too. */
	smp_wmb();
}

int nexus_log_append(struct nexus_zone *zone, struct nexus_rec_head *rec,
		     u64 *lsn)
{
	struct nexus_log *log = zone->log;
	size_t len = le32_to_cpu(rec->len);
	unsigned long flags;
	u64 tail;

	if (WARN_ON_ONCE(len < sizeof(*rec) || len & 7 ||
			 len > NEXUS_REC_LEN_MAX))
		return -EINVAL;

	for (;;) {
		spin_lock(&log->append_lock);
		if (READ_ONCE(zone->error) || log->stopped) {
			spin_unlock(&log->append_lock);
			return -EROFS;
		}
		if (nexus_log_fits(log, log->tail, len))
			break;
		spin_unlock(&log->append_lock);
		nexus_log_wait_ring(log, len);
	}
	nexus_log_slide(log, len);
	rec->lsn = cpu_to_le64(log->tail);
	nexus_log_copy(log, log->tail, rec, len);
	spin_lock_irqsave(&log->lock, flags);
	tail = log->tail + len;
	/*
	 * The record before the tail that promises it; and that before anybody
	 * can ask for it to be flushed.
	 */
	smp_store_release(&log->ctl->tail, tail);
	WRITE_ONCE(log->tail, tail);
	spin_unlock_irqrestore(&log->lock, flags);
	spin_unlock(&log->append_lock);

	*lsn = tail;
	nexus_count(log_records);
	nexus_count_n(log_bytes, len);
	if (tail - READ_ONCE(log->durable) > log->ring_size / 2)
		nexus_log_flush_to(log, tail);
	else
		nexus_log_later(log, msecs_to_jiffies(READ_ONCE(log_interval)));
	if (tail - READ_ONCE(log->told) >= NEXUS_EVENT_BYTES)
		nexus_log_event(log);
	else
		nexus_log_event_later(log);
	return 0;
}

/* ---- flush -------------------------------------------------------------- */

/* Any context. */
void nexus_log_flush_to(struct nexus_log *log, u64 lsn)
{
	unsigned long flags;
	bool kick;

	spin_lock_irqsave(&log->lock, flags);
	if (lsn > log->flush_to)
		log->flush_to = lsn;
	kick = log->flush_to > log->durable;
	spin_unlock_irqrestore(&log->lock, flags);
	if (kick)
		queue_work(log->wq, &log->flush_work);
}

void nexus_log_kick(struct nexus_zone *zone)
{
	if (zone->log)
		nexus_log_flush_to(zone->log, READ_ONCE(zone->log->tail));
}

static void nexus_log_tick_work(struct work_struct *work)
{
	struct nexus_log *log = container_of(to_delayed_work(work),
					     struct nexus_log, tick_work);

	clear_bit(NEXUS_LOG_TICK, &log->state);
	/* Whoever finds the bit set has published its tail: look after it. */
	smp_mb__after_atomic();
	nexus_log_flush_to(log, READ_ONCE(log->tail));
	nexus_log_rehome(log);
	/* The helper may have come back and not looked. */
	if (test_bit(NEXUS_LOG_SHORT, &log->state))
		nexus_log_event(log);
}

void nexus_log_later(struct nexus_log *log, unsigned long delay)
{
	/*
	 * The caller's tail before the look at the bit: pairs with nexus_log_tick_work(),
	 * which clears it before it looks at the tail.  One of the two sees the other.
	 */
	smp_mb();
	if (!test_bit(NEXUS_LOG_TICK, &log->state) &&
	    !test_and_set_bit(NEXUS_LOG_TICK, &log->state))
		queue_delayed_work(nexus_misc_wq, &log->tick_work, delay);
}

static int nexus_log_wait(struct nexus_log *log, u64 lsn, unsigned int state)
{
	if (wait_event_state(log->flush_wait,
			     READ_ONCE(log->durable) >= lsn ||
			     READ_ONCE(log->zone->error), state))
		return -EINTR;
	/* Was it durable before the zone failed? */
	return READ_ONCE(log->durable) >= lsn ? 0 : -EIO;
}

int nexus_log_flush(struct nexus_zone *zone, u64 lsn)
{
	struct nexus_log *log = zone->log;

	if (!log)
		return READ_ONCE(zone->error) ? -EIO : 0;
	if (READ_ONCE(log->durable) < lsn)
		nexus_log_flush_to(log, lsn);
	return nexus_log_wait(log, lsn, NEXUS_WAIT_STATE);
}

int nexus_log_sync(struct nexus_zone *zone)
{
	struct nexus_log *log = zone->log;
	unsigned long flags;
	u64 lsn;

	if (!log)
		return READ_ONCE(zone->error) ? -EIO : 0;
	lsn = nexus_log_tail(zone);
	spin_lock_irqsave(&log->lock, flags);
	log->sync_to = max(log->sync_to, lsn);
	spin_unlock_irqrestore(&log->lock, flags);
	return nexus_log_flush(zone, lsn);
}

/*
 * What umount does: not killable, for who is killed here would lose what is not
 * yet durable, and it waits for the disk alone.
 */
static int nexus_log_flush_last(struct nexus_log *log)
{
	u64 lsn = nexus_log_tail(log->zone);

	set_bit(NEXUS_LOG_LAST, &log->state);
	nexus_log_flush_to(log, lsn);
	return nexus_log_wait(log, lsn, TASK_UNINTERRUPTIBLE);
}

/* ---- the helper's view --------------------------------------------------- */

int nexus_log_report(struct nexus_zone *zone, u64 applied, u64 checkpoint)
{
	struct nexus_log *log = zone->log;
	bool recycle, ahead;
	unsigned long flags;
	u32 clear = 0;

	if (!log)
		return -EINVAL;
	spin_lock_irqsave(&log->lock, flags);
	if (applied < log->applied || applied > log->tail ||
	    checkpoint < log->checkpoint || checkpoint > log->durable ||
	    checkpoint > applied) {
		spin_unlock_irqrestore(&log->lock, flags);
		nexus_err(zone, "report of the helper refused: applied %llu, checkpoint %llu",
			  applied, checkpoint);
		return -EINVAL;
	}
	ahead = applied > log->applied;
	recycle = checkpoint > log->checkpoint;
	WRITE_ONCE(log->applied, applied);
	log->checkpoint = checkpoint;
	spin_unlock_irqrestore(&log->lock, flags);

	if (ahead)
		clear |= NEXUS_LF_WANT_APPLY;
	if (recycle)
		clear |= NEXUS_LF_WANT_CHECKPOINT;
	if (clear)
		nexus_log_set_flags(zone, 0, clear);
	if (recycle)
		queue_work(log->wq, &log->recycle_work);
	if (ahead)
		nexus_log_wake_room(log);
	return 0;
}

int nexus_log_reattach(struct nexus_zone *zone, u64 applied, u64 checkpoint)
{
	struct nexus_log *log = zone->log;
	unsigned long flags;
	int err = 0;

	if (!log)
		return -EINVAL;
	/* Its memtable died with the last helper, so applied may go back. */
	spin_lock_irqsave(&log->lock, flags);
	if (checkpoint < log->checkpoint || checkpoint > log->durable ||
	    applied < checkpoint || applied > log->tail) {
		err = -EINVAL;
	} else {
		WRITE_ONCE(log->applied, applied);
		log->checkpoint = checkpoint;
	}
	spin_unlock_irqrestore(&log->lock, flags);
	if (err) {
		nexus_err(zone, "a helper with another state of the store: applied %llu, checkpoint %llu",
			  applied, checkpoint);
		return err;
	}
	queue_work(log->wq, &log->recycle_work);
	nexus_log_wake_room(log);
	return 0;
}

static void nexus_log_vm_open(struct vm_area_struct *vma)
{
	nexus_zone_get(vma->vm_private_data);
}

static void nexus_log_vm_close(struct vm_area_struct *vma)
{
	nexus_zone_put_later(vma->vm_private_data);
}

static const struct vm_operations_struct nexus_log_vm_ops = {
	.open	= nexus_log_vm_open,
	.close	= nexus_log_vm_close,
};

int nexus_log_mmap(struct nexus_zone *zone, struct vm_area_struct *vma)
{
	struct nexus_log *log = zone->log;
	int err;

	if (!log || vma->vm_flags & VM_WRITE)
		return -EPERM;
	if (vma->vm_end - vma->vm_start > PAGE_SIZE + log->ring_size)
		return -EINVAL;
	vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP, VM_MAYWRITE);
	err = remap_vmalloc_range(vma, log->ctl, 0);
	if (err)
		return err;
	nexus_zone_get(zone);
	vma->vm_private_data = zone;
	vma->vm_ops = &nexus_log_vm_ops;
	return 0;
}

/* ---- life ----------------------------------------------------------------- */

static u64 nexus_log_limit(void)
{
	u64 limit = READ_ONCE(log_limit);

	if (!limit)
		limit = min_t(u64, 1ull << 30,
			      ((u64)totalram_pages() << PAGE_SHIFT) / 16);
	return max(limit, NEXUS_LOG_LIMIT_MIN);
}

int nexus_log_start(struct nexus_zone *zone, const struct nexus_log_params *p)
{
	struct nexus_log *log;
	int err = -ENOMEM;

	/* Whoever waits for the ring finds enough in it for a large batch. */
	BUILD_BUG_ON(NEXUS_RING_MIN - NEXUS_REC_LEN_MAX < NEXUS_BATCH_LARGE);
	if (WARN_ON_ONCE(zone->log))
		return -EINVAL;
	if (p->tail < NEXUS_FIRST_LSN || p->tail & 7 || p->applied > p->tail ||
	    p->checkpoint > p->applied || !p->segment || p->tail > S64_MAX)
		return -EINVAL;
	log = kzalloc(sizeof(*log), GFP_KERNEL_ACCOUNT);
	if (!log)
		return -ENOMEM;
	log->zone = zone;
	log->ring_size = rounddown_pow_of_two(clamp(log_ring_size, NEXUS_RING_MIN,
						    NEXUS_RING_MAX));
	log->limit = nexus_log_limit();
	spin_lock_init(&log->append_lock);
	spin_lock_init(&log->lock);
	INIT_LIST_HEAD(&log->spares);
	INIT_LIST_HEAD(&log->full);
	init_waitqueue_head(&log->flush_wait);
	init_waitqueue_head(&log->room_wait);
	init_waitqueue_head(&log->segment_wait);
	INIT_WORK(&log->flush_work, nexus_log_flush_work);
	INIT_WORK(&log->recycle_work, nexus_log_recycle_work);
	INIT_WORK(&log->kick_work, nexus_log_kick_work);
	INIT_DELAYED_WORK(&log->tick_work, nexus_log_tick_work);
	INIT_DELAYED_WORK(&log->event_work, nexus_log_event_work);
	log->tail = p->tail;
	log->window = p->tail;
	log->durable = p->tail;
	log->flush_to = p->tail;
	log->told = p->tail;
	log->tables = p->tail;
	log->applied = p->applied;
	log->checkpoint = p->checkpoint;
	log->next_segment = p->segment;
	log->incarnation = p->incarnation;
	log->prev_crc = p->prev_crc;

	log->ctl = vmalloc_user(PAGE_SIZE + log->ring_size);
	if (!log->ctl)
		goto out_log;
	log->ring = (u8 *)log->ctl + PAGE_SIZE;
	log->ctl->tail = p->tail;
	log->ctl->window = p->tail;
	log->ctl->durable = p->tail;
	log->ctl->incarnation = p->incarnation;
	log->ctl->ring_size = log->ring_size;
	log->ctl->flags = NEXUS_LF_WANT_SEGMENT;

	err = nexus_log_batch_alloc(log);
	if (err)
		goto out_ctl;
	/* Two at once: tables are written for recycling while batches flow. */
	log->wq = alloc_workqueue("nexus_log_%s", WQ_MEM_RECLAIM | WQ_UNBOUND,
				  0, zone->name);
	if (!log->wq) {
		err = -ENOMEM;
		goto out_batch;
	}
	zone->log = log;
	return 0;

out_batch:
	nexus_log_batch_free(log);
out_ctl:
	vfree(log->ctl);
out_log:
	kfree(log);
	return err;
}

static void nexus_log_quiet(struct nexus_log *log)
{
	spin_lock(&log->append_lock);
	WRITE_ONCE(log->stopped, true);
	spin_unlock(&log->append_lock);
	wake_up_all(&log->flush_wait);
	wake_up_all(&log->segment_wait);
	/* In the order in which they start each other. */
	cancel_delayed_work_sync(&log->tick_work);
	cancel_work_sync(&log->flush_work);
	/* The flush worker may have set it just before it saw the end. */
	cancel_delayed_work_sync(&log->tick_work);
	cancel_work_sync(&log->recycle_work);
	cancel_delayed_work_sync(&log->event_work);
}

int nexus_log_stop(struct nexus_zone *zone)
{
	struct nexus_log *log = zone->log;
	int err, err2;

	if (!log)
		return 0;
	/* Sealing appends records, so it comes before the last flush. */
	nexus_packs_seal_all(zone);
	err = nexus_log_flush_last(log);
	err2 = nexus_packs_write_tables(zone);
	nexus_log_quiet(log);
	nexus_log_set_flags(zone, NEXUS_LF_DETACHED, 0);
	return err ?: err2;
}

void nexus_log_free(struct nexus_zone *zone)
{
	struct nexus_log *log = zone->log;

	if (!log)
		return;
	nexus_log_quiet(log);
	destroy_workqueue(log->wq);
	nexus_log_free_segments(log);
	nexus_log_batch_free(log);
	vfree(log->ctl);
	kfree(log);
	zone->log = NULL;
}

void nexus_log_wake_all(struct nexus_zone *zone)
{
	struct nexus_log *log = zone->log;

	if (!log)
		return;
	wake_up_all(&log->flush_wait);
	wake_up_all(&log->room_wait);
	wake_up_all(&log->segment_wait);
}
