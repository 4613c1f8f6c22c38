// SPDX-License-Identifier: GPL-2.0-only
/*
 * fallocate: reserving, punching, zeroing.
 *
 * Whole blocks are changed by records, in steps of bounded length.  Each step
 * drops the page cache of its range and appends its record under
 * invalidate_lock, so no page with the old content can come back in between, and
 * no EXTENT record of an earlier write can come behind it: dropping waits for
 * writeback, which appends before it ends.
 *
 * Of blocks that are punched in part the rest must stay: there zeros are written
 * through the page cache, as by any write().  A crash shows the old block or the
 * new one, and after fsync only the new one.  (Cutting a file cannot do that:
 * what is above the end is never written again.)
 *
 * A reserved block is promised room before it gets its unwritten extent
 * (promise.c).
 */
#include <linux/fs.h>
#include <linux/falloc.h>	/* needs the types of fs.h */
#include <linux/highmem.h>
#include <linux/pagemap.h>

#include "../quota.h"
#include "data.h"

#define NEXUS_FALLOC_MODES	(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | \
				 FALLOC_FL_ZERO_RANGE)

struct nexus_falloc {
	struct inode *inode;
	struct timespec64 now;
	loff_t from, to;
	loff_t size;		/* that the file gets, 0: the one it has */
	bool punch, zero;
	u64 promise;		/* blocks still promised to us */
	u64 quota;		/* blocks taken of quotas */
};

/* ---- records -------------------------------------------------------------- */

/* log_mutex held; the map has not changed yet. */
static int nexus_range_log(struct nexus_falloc *fa, struct nexus_resv *resv,
			   u16 type, u64 fblock, u64 n, loff_t size)
{
	struct nexus_inode *ni = NEXUS_I(fa->inode);
	struct nexus_rec_range rec = {};
	u64 lsn;
	int err;

	nexus_rec_init(&rec.head, sizeof(rec), type, 0, nexus_ts(fa->now));
	rec.ino = cpu_to_le64(fa->inode->i_ino);
	rec.data_id = cpu_to_le64(ni->data_id);
	rec.offset = cpu_to_le64(fblock << NEXUS_BLOCK_SHIFT);
	rec.len = cpu_to_le64(n << NEXUS_BLOCK_SHIFT);
	rec.size = cpu_to_le64(size);
	err = nexus_mutate(ni->zone, resv, &rec.head, &lsn);
	if (err)
		return err;
	inode_set_mtime_to_ts(fa->inode, fa->now);
	inode_set_ctime_to_ts(fa->inode, fa->now);
	ni->version++;
	ni->gen++;
	nexus_inode_logged(ni, lsn);
	nexus_times_logged(ni, NEXUS_SA_MTIME | NEXUS_SA_CTIME);
	return 0;
}

/* ---- reserving --------------------------------------------------------------- */

/* Holes, or (@zeroed) whatever is not unwritten, in [fblock, end). */
struct nexus_gap {
	u64 fblock, end;
};

static bool nexus_gap_next(struct nexus_inode *ni, u64 fblock, u64 end,
			   bool zeroed, struct nexus_gap *gap)
{
	struct nexus_ext e;

	gap->fblock = fblock;
	while (gap->fblock < end) {
		gap->end = end;
		if (!nexus_map_next(ni, gap->fblock, &e) || e.fblock >= end)
			return true;
		if (e.fblock > gap->fblock) {
			gap->end = e.fblock;
			return true;
		}
		if (zeroed && !(e.flags & NEXUS_EF_UNWRITTEN)) {
			gap->end = min(end, e.fblock + e.nblocks);
			return true;
		}
		gap->fblock = e.fblock + e.nblocks;
	}
	return false;
}

/* Blocks of the gaps in [fblock, end); *@n: how many gaps. */
static u64 nexus_gap_blocks(struct nexus_inode *ni, u64 fblock, u64 end,
			    bool zeroed, u32 *n)
{
	struct nexus_gap gap;
	u64 blocks = 0;

	*n = 0;
	while (nexus_gap_next(ni, fblock, end, zeroed, &gap)) {
		blocks += gap.end - gap.fblock;
		(*n)++;
		fblock = gap.end;
		cond_resched();
	}
	return blocks;
}

/*
 * Takes log_mutex with memory for filling the gaps of a step prepared, *@n
 * changes.  Writeback may cut a gap in two meanwhile, so it is counted again.
 */
static int nexus_reserve_lock(struct nexus_inode *ni, u64 fblock, u64 end, u32 *n)
{
	u32 have;
	int err;

	for (;;) {
		nexus_gap_blocks(ni, fblock, end, false, &have);
		err = nexus_map_prepare(ni, have);
		if (err)
			return err;
		mutex_lock(&ni->log_mutex);
		nexus_gap_blocks(ni, fblock, end, false, n);
		if (*n <= have)
			break;
		mutex_unlock(&ni->log_mutex);
		nexus_map_unprepare(ni, have);
	}
	nexus_map_unprepare(ni, have - *n);
	return 0;
}

/* The holes of [fblock, end), at most one record's; @size as in the record. */
static int nexus_reserve_step(struct nexus_falloc *fa, u64 fblock, u64 end,
			      loff_t size)
{
	struct nexus_inode *ni = NEXUS_I(fa->inode);
	struct nexus_resv resv;
	struct nexus_gap gap;
	u64 at = fblock;
	int err;
	u32 n;

	err = nexus_log_reserve(ni->zone, &resv, sizeof(struct nexus_rec_range),
				0);
	if (err)
		return err;
	err = nexus_reserve_lock(ni, fblock, end, &n);
	if (err)
		goto out;
	if (n || size)
		err = nexus_range_log(fa, &resv, NEXUS_REC_RESERVE, fblock,
				      end - fblock, size);
	if (!err) {
		while (nexus_gap_next(ni, at, end, false, &gap)) {
			nexus_map_unwrite(ni, gap.fblock, gap.end - gap.fblock,
					  &fa->promise);
			at = gap.end;
		}
		if (n)
			nexus_inode_logged(ni, ni->last_lsn);
		if (size)
			i_size_write(fa->inode, size);
	} else {
		nexus_map_unprepare(ni, n);
	}
	mutex_unlock(&ni->log_mutex);
out:
	nexus_log_unreserve(&resv);
	return err;
}

static int nexus_reserve_range(struct nexus_falloc *fa)
{
	u64 at = fa->from >> NEXUS_BLOCK_SHIFT;
	u64 end = DIV_ROUND_UP_ULL(fa->to, NEXUS_BLOCK_SIZE), to;
	loff_t old = i_size_read(fa->inode);
	int err = 0;

	if (fa->size)
		err = nexus_zero_beyond(fa->inode, old, fa->size);
	for (; !err && at < end; at = to) {
		to = min(end, at + NEXUS_RANGE_BLOCKS_MAX);
		err = nexus_reserve_step(fa, at, to, to == end ? fa->size : 0);
		cond_resched();
	}
	if (!err && fa->size)
		pagecache_isize_extended(fa->inode, old, fa->size);
	return err;
}

/* ---- punching and zeroing ------------------------------------------------------ */

/* Zeros [from, to) of one block, unless it reads as zeros anyway. */
static int nexus_zero_part(struct nexus_falloc *fa, loff_t from, loff_t to)
{
	struct inode *inode = fa->inode;
	pgoff_t index = from >> PAGE_SHIFT;
	struct nexus_room room = {};
	struct folio *folio;
	struct nexus_ext e;
	u64 disk_size;
	size_t bytes;
	int err;

	/* What is behind the end needs no zeros, and is not to become content. */
	to = min(to, i_size_read(inode));
	if (from >= to)
		return 0;
	bytes = to - from;
	folio = filemap_get_folio(inode->i_mapping, index);
	if (!IS_ERR(folio))
		folio_put(folio);
	else if (!nexus_map_find(NEXUS_I(inode), index, &e, &disk_size))
		return 0;
	err = nexus_content_load(inode, from, 1);
	if (err)
		return err;
	/* A full zone can be emptied by punching, too. */
	folio = nexus_folio_begin(inode, from, &bytes, fa->punch, &room);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	folio_zero_range(folio, offset_in_folio(folio, from), bytes);
	nexus_folio_end(inode, folio, from, bytes, bytes, &room);
	return 0;
}

/* The first block at or above @fblock that has an extent or a page. */
static u64 nexus_next_content(struct inode *inode, u64 fblock)
{
	unsigned long index = fblock;
	struct nexus_ext e;
	u64 first = U64_MAX;

	if (xa_find(&inode->i_mapping->i_pages, &index, ULONG_MAX, XA_PRESENT))
		first = index;
	if (nexus_map_next(NEXUS_I(inode), fblock, &e))
		first = min(first, max(e.fblock, fblock));
	return first;
}

/*
 * The same, behind the PUNCH record, whose blocks come back with this one: nobody
 * else's quota sees them gone.
 */
static int nexus_zero_log(struct nexus_falloc *fa, struct nexus_resv *resv,
			  u64 fblock, u64 end)
{
	struct nexus_inode *ni = NEXUS_I(fa->inode);
	u64 had = end - fblock - nexus_map_holes(ni, fblock, end);
	u64 held = nexus_quota_take(ni, had, true) ? 0 : had;
	int err;

	nexus_quota_gone(ni, had, ni->last_lsn);
	err = nexus_range_log(fa, resv, NEXUS_REC_RESERVE, fblock, end - fblock,
			      0);
	if (!err)
		nexus_map_unwrite(ni, fblock, end - fblock, &fa->promise);
	else
		nexus_map_punch(ni, fblock, end - fblock);
	nexus_inode_logged(ni, ni->last_lsn);
	nexus_quota_give(ni, held);
	return err;
}

/*
 * log_mutex held: [fblock, end) becomes a hole, or unwritten.  The dirty pages that
 * went may have been what was going to tell the log of the file's size: it goes with
 * this record then.  And the log may have what they held.
 */
static int nexus_punch_log(struct nexus_falloc *fa, struct nexus_resv *resv,
			   u64 fblock, u64 end)
{
	struct nexus_inode *ni = NEXUS_I(fa->inode);
	loff_t size = i_size_read(fa->inode);
	struct nexus_ext e;
	int err;

	if (size <= ni->disk_size)
		size = 0;
	if (!size && !test_bit(NEXUS_I_LOGGED, &ni->state) &&
	    (!nexus_map_next(ni, fblock, &e) || e.fblock >= end)) {
		nexus_map_unprepare(ni, 1);
		return 0;
	}
	err = nexus_range_log(fa, resv, NEXUS_REC_PUNCH, fblock, end - fblock,
			      size);
	if (err) {
		nexus_map_unprepare(ni, 1);
		return err;
	}
	if (fa->zero)
		return nexus_zero_log(fa, resv, fblock, end);
	nexus_map_punch(ni, fblock, end - fblock);
	nexus_inode_logged(ni, ni->last_lsn);
	return 0;
}

/* [fblock, end) is at most one record's. */
static int nexus_punch_step(struct nexus_falloc *fa, u64 fblock, u64 end)
{
	struct address_space *mapping = fa->inode->i_mapping;
	struct nexus_inode *ni = NEXUS_I(fa->inode);
	struct nexus_resv resv;
	int err;

	err = nexus_log_reserve(ni->zone, &resv,
				2 * sizeof(struct nexus_rec_range),
				fa->zero ? 0 : NEXUS_RESV_DELETE);
	if (!err)
		err = nexus_map_prepare(ni, 1);
	if (err)
		goto out;
	if (nexus_wait_written(mapping, fblock << PAGE_SHIFT,
			       (end << PAGE_SHIFT) - 1) ||
	    down_write_killable(&mapping->invalidate_lock)) {
		nexus_map_unprepare(ni, 1);
		err = -EINTR;
		goto out;
	}
	/* Waits for writeback, whose completion needs log_mutex. */
	truncate_pagecache_range(fa->inode, fblock << PAGE_SHIFT,
				 (end << PAGE_SHIFT) - 1);
	mutex_lock(&ni->log_mutex);
	err = nexus_punch_log(fa, &resv, fblock, end);
	mutex_unlock(&ni->log_mutex);
	filemap_invalidate_unlock(mapping);
out:
	nexus_log_unreserve(&resv);
	return err;
}

static int nexus_punch_range(struct nexus_falloc *fa)
{
	u64 at = DIV_ROUND_UP_ULL(fa->from, NEXUS_BLOCK_SIZE);
	u64 end = fa->to >> NEXUS_BLOCK_SHIFT, to;
	int err;

	/* Behind the end of the file there is nothing that must stay. */
	if (fa->to >= i_size_read(fa->inode))
		end = DIV_ROUND_UP_ULL(fa->to, NEXUS_BLOCK_SIZE);
	if (at > end)
		return nexus_zero_part(fa, fa->from, fa->to);
	err = nexus_zero_part(fa, fa->from, at << NEXUS_BLOCK_SHIFT);
	if (!err)
		err = nexus_zero_part(fa, end << NEXUS_BLOCK_SHIFT, fa->to);
	while (!err) {
		at = nexus_next_content(fa->inode, at);
		if (at >= end)
			break;
		to = min(end, at + NEXUS_RANGE_BLOCKS_MAX);
		err = nexus_punch_step(fa, at, to);
		at = to;
		cond_resched();
	}
	return err;
}

/* ---- the call ---------------------------------------------------------------------- */

/* Room for all that is going to be unwritten, before anything changes. */
static int nexus_falloc_promise(struct nexus_falloc *fa)
{
	struct nexus_inode *ni = NEXUS_I(fa->inode);
	u64 from = fa->from >> NEXUS_BLOCK_SHIFT;
	u64 end = DIV_ROUND_UP_ULL(fa->to, NEXUS_BLOCK_SIZE), n;
	u32 gaps;
	int err;

	if (fa->punch)
		return 0;
	err = nexus_quota_take_holes(fa->inode, from, end - from, &fa->quota);
	if (err)
		return err;
	n = nexus_gap_blocks(ni, from, end, fa->zero, &gaps);
	err = nexus_packs_promise(ni->zone, n);
	if (!err)
		fa->promise = n;
	return err;
}

/* i_rwsem held. */
static int nexus_falloc_locked(struct nexus_falloc *fa, struct file *file,
			       int mode)
{
	struct inode *inode = fa->inode;
	struct nexus_inode *ni = NEXUS_I(inode);
	int err;

	if (!(mode & FALLOC_FL_KEEP_SIZE) && fa->to > i_size_read(inode)) {
		fa->size = fa->to;
		err = inode_newsize_ok(inode, fa->size);
		if (err)
			return err;
	}
	err = nexus_inode_writable(inode);
	if (!err)
		err = nexus_extents_load(inode);
	if (!err)
		err = nexus_inline_end(inode, fa->punch ? NEXUS_PACKS_CUT :
							  NEXUS_PACKS_GROW);
	if (err)
		return err;
	/* Direct I/O under way knows nothing of invalidate_lock. */
	err = nexus_dio_wait(inode);
	/* A page that waits for its block must not count beside the extent, nor its promise. */
	if (!err && !fa->punch && READ_ONCE(ni->delayed))
		err = nexus_write_and_wait(inode, fa->from, fa->to - 1);
	if (!err)
		err = nexus_falloc_promise(fa);
	if (!err)
		err = file_modified(file);
	if (err)
		return err;
	nexus_touched(inode);
	fa->now = inode_get_ctime(inode);
	if (fa->punch || fa->zero)
		err = nexus_punch_range(fa);
	if (!err && !fa->punch)
		err = nexus_reserve_range(fa);
	return err;
}

long nexus_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	struct nexus_zone *zone = NEXUS_I(inode)->zone;
	struct nexus_falloc fa = {
		.inode = inode,
		.from = offset,
		.to = offset + len,
		.punch = mode & FALLOC_FL_PUNCH_HOLE,
		.zero = mode & FALLOC_FL_ZERO_RANGE,
	};
	int err;

	if (mode & ~NEXUS_FALLOC_MODES ||
	    !(zone->features & NEXUS_INCOMPAT_RANGES))
		return -EOPNOTSUPP;
	/* Killable: who has it may be waiting for the helper. */
	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	err = nexus_falloc_locked(&fa, file, mode);
	nexus_packs_unpromise(zone, fa.promise);
	nexus_quota_give(NEXUS_I(inode), fa.quota);
	if (!err)
		nexus_touched(inode);
	inode_unlock(inode);
	if (!err && (file->f_flags & O_DSYNC || IS_SYNC(inode)))
		err = vfs_fsync_range(file, offset, offset + len - 1, 0);
	return err;
}
