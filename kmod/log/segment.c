// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pool of segment files: handed over by the helper, written by the flush
 * worker, recycled by the kernel itself.
 *
 * A segment is recycled when nothing can ask for it any more: the index holds
 * its records durably (checkpoint) and the tables of the packs hold the block
 * checksums its EXTENT records carry (tables).  It then gets a new number, so
 * batches of its earlier life belong to no chain.
 */
#include <linux/file.h>
#include <linux/slab.h>

#include "../data/data.h"
#include "../data/host.h"
#include "log.h"

#define NEXUS_SEGMENT_BLOCKS_MIN	(1u << (20 - NEXUS_BLOCK_SHIFT))
#define NEXUS_SEGMENT_BLOCKS_MAX	(1u << (30 - NEXUS_BLOCK_SHIFT))

/*
 * Bytes of records that surely fit: large batches lose a head and less than a
 * block each, and the end is lost when the next record is longer.
 */
u64 nexus_segment_usable(u64 bytes)
{
	u64 lost = bytes / 32 + NEXUS_SEGMENT_TAIL;

	return bytes > lost ? bytes - lost : 0;
}

static u64 nexus_segment_bytes(const struct nexus_segment *seg)
{
	return (u64)seg->blocks << NEXUS_BLOCK_SHIFT;
}

/* lock held. */
static void nexus_log_add_spare(struct nexus_log *log,
				struct nexus_segment *seg)
{
	seg->number = 0;
	seg->next = 0;
	list_add_tail(&seg->list, &log->spares);
	log->nr_spares++;
	log->spare_room += nexus_segment_usable(nexus_segment_bytes(seg));
}

/* lock held. */
static struct nexus_segment *nexus_log_take_spare(struct nexus_log *log)
{
	struct nexus_segment *seg;

	seg = list_first_entry_or_null(&log->spares, struct nexus_segment, list);
	if (!seg)
		return NULL;
	list_del_init(&seg->list);
	log->nr_spares--;
	log->spare_room -= nexus_segment_usable(nexus_segment_bytes(seg));
	return seg;
}

static bool nexus_segment_held(struct list_head *list, const struct inode *inode)
{
	struct nexus_segment *seg;

	list_for_each_entry(seg, list, list)
		if (file_inode(seg->file) == inode)
			return true;
	return false;
}

int nexus_log_add_segment(struct nexus_zone *zone, struct file *file,
			  const struct nexus_hand_over *ho)
{
	struct nexus_log *log = zone->log;
	struct inode *inode = file_inode(file);
	struct nexus_segment *seg;
	unsigned long flags;
	int err = 0;

	if (!log)
		return -EINVAL;
	if (ho->blocks < NEXUS_SEGMENT_BLOCKS_MIN ||
	    ho->blocks > NEXUS_SEGMENT_BLOCKS_MAX) {
		nexus_err(zone, "segment file %llu refused: %u blocks", ho->id,
			  ho->blocks);
		return -EINVAL;
	}
	err = nexus_host_check(zone, file, "segment file", ho->id, ho->blocks,
			       true);
	if (err)
		return err;
	seg = kzalloc(sizeof(*seg), GFP_KERNEL_ACCOUNT);
	if (!seg)
		return -ENOMEM;
	seg->file = file;
	seg->index = ho->id;
	seg->blocks = ho->blocks;

	spin_lock_irqsave(&log->lock, flags);
	if (log->nr_segments >= NEXUS_SEGMENTS_MAX) {
		err = -ENOSPC;
	} else if (nexus_segment_held(&log->spares, inode) ||
		   nexus_segment_held(&log->full, inode) ||
		   (log->cur && file_inode(log->cur->file) == inode)) {
		err = -EEXIST;
	} else {
		nexus_log_add_spare(log, seg);
		log->nr_segments++;
		log->pool += nexus_segment_bytes(seg);
	}
	spin_unlock_irqrestore(&log->lock, flags);
	if (err) {
		nexus_err(zone, "segment file %llu refused: %s", ho->id,
			  err == -EEXIST ? "the zone has it already" :
					   "the zone has too many");
		kfree(seg);
		return err;
	}
	clear_bit(NEXUS_LOG_DRY, &log->state);
	nexus_log_set_flags(zone, 0, NEXUS_LF_WANT_SEGMENT);
	wake_up_all(&log->segment_wait);
	nexus_log_wake_room(log);
	return 0;
}

/* ---- flush worker ----------------------------------------------------------- */

static bool nexus_segment_fits(const struct nexus_segment *seg, size_t len)
{
	u64 room = (u64)(seg->blocks - seg->next) << NEXUS_BLOCK_SHIFT;

	return sizeof(struct nexus_batch_head) + len <= room;
}

/* Asks early: a new segment file must be written with zeros first. */
static void nexus_log_look_ahead(struct nexus_log *log)
{
	unsigned long flags;
	u32 want = 0;

	spin_lock_irqsave(&log->lock, flags);
	if (log->spare_room < log->pool / 2)
		want |= NEXUS_LF_WANT_CHECKPOINT;
	if (!log->nr_spares)
		want |= NEXUS_LF_WANT_SEGMENT;
	spin_unlock_irqrestore(&log->lock, flags);
	if (want)
		nexus_log_set_flags(log->zone, want, 0);
	nexus_log_rehome(log);
}

static struct nexus_segment *nexus_log_wait_spare(struct nexus_log *log)
{
	struct nexus_zone *zone = log->zone;
	struct nexus_segment *seg;
	unsigned long flags;

	for (;;) {
		spin_lock_irqsave(&log->lock, flags);
		seg = nexus_log_take_spare(log);
		if (seg) {
			seg->number = log->next_segment++;
			WRITE_ONCE(log->cur, seg);
		}
		spin_unlock_irqrestore(&log->lock, flags);
		if (seg || READ_ONCE(zone->error) || READ_ONCE(log->stopped))
			return seg;

		/*
		 * Before the helper has handed over the first one; later there
		 * is room for everything that was admitted.
		 */
		if (!test_and_set_bit(NEXUS_LOG_DRY, &log->state))
			nexus_warn(zone, "no segment left for the log; changes wait for the helper");
		nexus_log_set_flags(zone, NEXUS_LF_WANT_SEGMENT |
				    NEXUS_LF_WANT_CHECKPOINT, 0);
		wait_event_idle_timeout(log->segment_wait,
					READ_ONCE(log->nr_spares) ||
					READ_ONCE(zone->error) ||
					READ_ONCE(log->stopped), HZ);
	}
}

struct nexus_segment *nexus_log_segment(struct nexus_log *log, size_t len)
{
	struct nexus_segment *seg = log->cur;
	unsigned long flags;

	if (seg && nexus_segment_fits(seg, len))
		return seg;
	if (seg) {
		spin_lock_irqsave(&log->lock, flags);
		list_add_tail(&seg->list, &log->full);
		WRITE_ONCE(log->cur, NULL);
		spin_unlock_irqrestore(&log->lock, flags);
		queue_work(log->wq, &log->recycle_work);
	}
	seg = nexus_log_wait_spare(log);
	if (seg)
		nexus_log_look_ahead(log);
	return seg;
}

/* ---- recycling ---------------------------------------------------------------- */

/* LSN below which no record is needed; 0: no full segment ends there.  */
static u64 nexus_log_recyclable(struct nexus_log *log, u64 *tables)
{
	struct nexus_segment *seg;
	unsigned long flags;
	u64 below;

	spin_lock_irqsave(&log->lock, flags);
	below = min(log->checkpoint, log->durable);
	*tables = log->tables;
	seg = list_first_entry_or_null(&log->full, struct nexus_segment, list);
	if (!seg || seg->end > below)
		below = 0;
	spin_unlock_irqrestore(&log->lock, flags);
	return below;
}

void nexus_log_recycle_work(struct work_struct *work)
{
	struct nexus_log *log = container_of(work, struct nexus_log,
					     recycle_work);
	struct nexus_segment *seg, *tmp;
	unsigned long flags;
	bool any = false;
	u64 below, tables;

	below = nexus_log_recyclable(log, &tables);
	if (!below || READ_ONCE(log->zone->error))
		return;
	if (tables < below) {
		/* Lines are in memory before their record is in the log. */
		tables = nexus_log_tail(log->zone);
		if (nexus_packs_tables_sync(log->zone))
			return;
	}

	spin_lock_irqsave(&log->lock, flags);
	log->tables = max(log->tables, tables);
	below = min(below, log->tables);
	list_for_each_entry_safe(seg, tmp, &log->full, list) {
		if (seg->end > below)
			break;
		list_del(&seg->list);
		nexus_log_add_spare(log, seg);
		any = true;
	}
	spin_unlock_irqrestore(&log->lock, flags);
	if (!any)
		return;
	clear_bit(NEXUS_LOG_DRY, &log->state);
	nexus_log_set_flags(log->zone, 0, NEXUS_LF_WANT_SEGMENT);
	wake_up_all(&log->segment_wait);
	nexus_log_wake_room(log);
}

static void nexus_segment_free(struct nexus_segment *seg)
{
	if (!seg)
		return;
	fput(seg->file);
	kfree(seg);
}

void nexus_log_free_segments(struct nexus_log *log)
{
	struct nexus_segment *seg, *tmp;

	list_for_each_entry_safe(seg, tmp, &log->spares, list)
		nexus_segment_free(seg);
	list_for_each_entry_safe(seg, tmp, &log->full, list)
		nexus_segment_free(seg);
	nexus_segment_free(log->cur);
}
