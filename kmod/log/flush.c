// SPDX-License-Identifier: GPL-2.0-only
/*
 * The flush worker: one a zone, one batch in flight.
 *
 * Pack data is complete before its EXTENT record is appended.  For each batch:
 * flush packs the log's flush does not cover, write the batch, flush once,
 * publish durable.  While that goes on the next batch forms in the ring.  So
 * after a crash only the last batch can be without its data, and its block
 * checksums tell.
 */
#include <linux/bvec.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "../data/data.h"
#include "../data/host.h"
#include "log.h"

#define NEXUS_BATCH_PAGES	(NEXUS_BATCH_BYTES_MAX >> PAGE_SHIFT)

int nexus_log_batch_alloc(struct nexus_log *log)
{
	unsigned int i;

	log->pages = kcalloc(NEXUS_BATCH_PAGES, sizeof(*log->pages),
			     GFP_KERNEL_ACCOUNT);
	log->bvec = kcalloc(NEXUS_BATCH_PAGES, sizeof(*log->bvec),
			    GFP_KERNEL_ACCOUNT);
	if (!log->pages || !log->bvec)
		goto out;
	for (i = 0; i < NEXUS_BATCH_PAGES; i++) {
		log->pages[i] = alloc_page(GFP_KERNEL_ACCOUNT);
		if (!log->pages[i])
			goto out;
		bvec_set_page(&log->bvec[i], log->pages[i], PAGE_SIZE, 0);
	}
	log->batch = vmap(log->pages, NEXUS_BATCH_PAGES, VM_MAP, PAGE_KERNEL);
	if (log->batch)
		return 0;
out:
	nexus_log_batch_free(log);
	return -ENOMEM;
}

void nexus_log_batch_free(struct nexus_log *log)
{
	unsigned int i;

	vunmap(log->batch);
	for (i = 0; log->pages && i < NEXUS_BATCH_PAGES; i++)
		if (log->pages[i])
			__free_page(log->pages[i]);
	kfree(log->pages);
	kfree(log->bvec);
}

/* Length of the record at @lsn; records are aligned, so it never wraps. */
static size_t nexus_ring_len(const struct nexus_log *log, u64 lsn)
{
	const struct nexus_rec_head *rec;

	rec = (const void *)(log->ring + (lsn & (log->ring_size - 1)));
	return le32_to_cpu(rec->len);
}

/*
 * Copies whole records of [from, to) behind the head, at most @room bytes of
 * batch.  Nobody changes them: the window is at or below durable, and the ring
 * is written from tail on.
 */
static size_t nexus_batch_fill(struct nexus_log *log, u64 from, u64 to,
			       size_t room, u32 *count)
{
	size_t len = 0, at, part;
	u8 *out = log->batch + sizeof(struct nexus_batch_head);

	*count = 0;
	room -= sizeof(struct nexus_batch_head);
	while (from + len < to) {
		size_t n = nexus_ring_len(log, from + len);

		if (len + n > room)
			break;
		len += n;
		(*count)++;
	}
	at = from & (log->ring_size - 1);
	part = min_t(size_t, len, log->ring_size - at);
	memcpy(out, log->ring + at, part);
	memcpy(out + part, log->ring, len - part);
	return len;
}

static u32 nexus_batch_head(struct nexus_log *log, const struct nexus_segment *seg,
			    u64 from, size_t len, u32 count)
{
	struct nexus_batch_head *head = (void *)log->batch;
	u32 crc;

	memset(head, 0, sizeof(*head));
	head->magic = cpu_to_le64(NEXUS_BATCH_MAGIC);
	head->version = cpu_to_le32(NEXUS_BATCH_VERSION);
	head->head_len = cpu_to_le32(sizeof(*head));
	memcpy(head->zone, log->zone->uuid, sizeof(head->zone));
	head->incarnation = cpu_to_le64(log->incarnation);
	head->segment = cpu_to_le64(seg->number);
	head->first_lsn = cpu_to_le64(from);
	head->durable = cpu_to_le64(from);
	head->count = cpu_to_le32(count);
	head->length = cpu_to_le32(len);
	head->block = cpu_to_le32(seg->next);
	head->prev_crc = cpu_to_le32(log->prev_crc);
	crc = nexus_batch_crc(head, head + 1);
	head->crc = cpu_to_le32(crc);
	return crc;
}

static void nexus_batch_done(struct nexus_log *log, struct nexus_segment *seg,
			     u64 end, u32 blocks, u32 crc)
{
	unsigned long flags;

	log->prev_crc = crc;
	spin_lock_irqsave(&log->lock, flags);
	seg->end = end;
	seg->next += blocks;
	WRITE_ONCE(log->ctl->durable, end);
	/*
	 * The helper's copy first: pairs with nexus_log_slide(), which publishes a window
	 * up to here.  A reader below the window looks for it in segments that are durable.
	 */
	smp_store_release(&log->durable, end);
	spin_unlock_irqrestore(&log->lock, flags);
	nexus_count(log_batches);
	nexus_count_n(log_batch_bytes, (u64)blocks << NEXUS_BLOCK_SHIFT);
	wake_up_all(&log->flush_wait);
	nexus_log_event_later(log);
}

/* No room for a small batch: somebody must make some. */
static void nexus_log_short_of_room(struct nexus_log *log)
{
	if (!test_and_set_bit(NEXUS_LOG_DRY, &log->state))
		nexus_warn(log->zone, "little room is left in the log; fsync waits for the helper");
	nexus_log_set_flags(log->zone, NEXUS_LF_WANT_SEGMENT |
			    NEXUS_LF_WANT_CHECKPOINT, 0);
	nexus_log_later(log, HZ);
}

/* One batch.  True if there may be more to do. */
static bool nexus_log_batch(struct nexus_log *log)
{
	struct nexus_zone *zone = log->zone;
	struct nexus_segment *seg;
	size_t len, size, room;
	unsigned long flags;
	u64 from, to, want;
	u32 count, crc;
	int err;

	spin_lock_irqsave(&log->lock, flags);
	from = log->durable;
	want = log->flush_to;
	spin_unlock_irqrestore(&log->lock, flags);
	if (want <= from || READ_ONCE(zone->error) || READ_ONCE(log->stopped))
		return false;
	if (!nexus_log_may_batch(log)) {
		nexus_log_short_of_room(log);
		return false;
	}
	to = nexus_log_tail(zone);
	if (WARN_ON_ONCE(to <= from))
		return false;

	seg = nexus_log_segment(log, nexus_ring_len(log, from));
	if (!seg)
		return false;
	room = min_t(u64, NEXUS_BATCH_BYTES_MAX,
		     (u64)(seg->blocks - seg->next) << NEXUS_BLOCK_SHIFT);
	len = nexus_batch_fill(log, from, to, room, &count);
	crc = nexus_batch_head(log, seg, from, len, count);
	len += sizeof(struct nexus_batch_head);
	size = round_up(len, NEXUS_BLOCK_SIZE);
	memset(log->batch + len, 0, size - len);
	flush_kernel_vmap_range(log->batch, size);

	err = nexus_packs_flush(zone, file_inode(seg->file)->i_sb);
	if (err)
		return false;
	err = nexus_host_write(seg->file, log->bvec, size >> PAGE_SHIFT, size,
			       seg->next);
	if (err) {
		nexus_zone_fail(zone, -EIO, "writing segment file %llu failed (%pe)",
				seg->index, ERR_PTR(err));
		return false;
	}
	/* Never again on this file: the host may have dropped what failed. */
	err = nexus_host_flush(seg->file);
	if (err) {
		nexus_zone_fail(zone, -EIO, "flushing segment file %llu failed (%pe)",
				seg->index, ERR_PTR(err));
		return false;
	}
	nexus_batch_done(log, seg, from + len - sizeof(struct nexus_batch_head),
			 size >> NEXUS_BLOCK_SHIFT, crc);
	return true;
}

void nexus_log_flush_work(struct work_struct *work)
{
	struct nexus_log *log = container_of(work, struct nexus_log, flush_work);
	unsigned int flags = nexus_host_begin();

	while (nexus_log_batch(log))
		cond_resched();
	nexus_host_end(flags);
}
