// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a folio of a file holds: room for its dirty blocks.
 *
 * A folio is up to 2^NEXUS_FOLIO_ORDER blocks.  It is up to date wholly or not at
 * all, as for the VFS, but which of its blocks are to be written is known one by
 * one (struct nexus_fstate): else a small write into a large folio would need room
 * for, and write, all of it.  For being up to date there is no need of that: a folio
 * that write() makes begins with the block that is written first and is no longer
 * than what is written (buffered.c).  Only reading looks at single blocks, where
 * others could not be read.
 *
 * A dirty folio none of whose blocks is marked got dirty behind our back.
 */
#include <linux/bits.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
/* struct folio_batch; what declares it has had two names. */
#include <linux/writeback.h>

#include "../log/log.h"
#include "../quota.h"
#include "data.h"

/* ---- room ------------------------------------------------------------------ */

enum nexus_packs_use nexus_folio_use(struct inode *inode, pgoff_t index)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	bool unwritten;

	if (nexus_inplace_blocks(inode, index, 1))
		return NEXUS_PACKS_INPLACE;
	if (!READ_ONCE(ni->unwritten))
		return NEXUS_PACKS_GROW;
	nexus_map_has(ni, index, &unwritten);
	return unwritten ? NEXUS_PACKS_PROMISED : NEXUS_PACKS_GROW;
}

int nexus_room_take(struct inode *inode, u32 n, enum nexus_packs_use use,
		    struct nexus_room *room)
{
	struct nexus_zone *zone = NEXUS_I(inode)->zone;
	int err;

	/* Blocks first: log bytes are what everybody in the zone waits for. */
	err = use == NEXUS_PACKS_INPLACE ? 0 : nexus_packs_reserve(zone, n, use);
	if (err)
		return err;
	/* As if each block had a record of its own: runs end where packs do. */
	err = nexus_log_reserve(zone, &room->resv, n * NEXUS_FOLIO_BYTES, 0);
	if (err) {
		if (use != NEXUS_PACKS_INPLACE)
			nexus_packs_unreserve(zone, n);
		return err;
	}
	room->use = use;
	room->blocks = n;
	return 0;
}

/* How many of the @n blocks from @index on are for @use. */
static u32 nexus_room_alike(struct inode *inode, pgoff_t index, u32 n,
			    enum nexus_packs_use use)
{
	u32 i;

	if (use == NEXUS_PACKS_INPLACE)
		return max(nexus_inplace_blocks(inode, index, n), 1);
	if (!READ_ONCE(NEXUS_I(inode)->unwritten) && !nexus_inplace_flags(inode))
		return n;
	for (i = 1; i < n; i++)
		if (nexus_folio_use(inode, index + i) != use)
			break;
	return i;
}

int nexus_room_some(struct inode *inode, pgoff_t index, u32 n,
		    struct nexus_room *room)
{
	enum nexus_packs_use use = nexus_folio_use(inode, index);
	struct nexus_zone *zone = NEXUS_I(inode)->zone;
	int err;

	n = nexus_room_alike(inode, index, n, use);
	n = min(n, max(zone->packs->pack_blocks / 4, 1));
	while ((err = nexus_room_take(inode, n, use, room))) {
		if (err != -ENOSPC || n == 1)
			break;
		n /= 2;
	}
	return err;
}

int nexus_room_try(struct inode *inode, pgoff_t index, u32 n, struct nexus_room *room)
{
	struct nexus_zone *zone = NEXUS_I(inode)->zone;
	enum nexus_packs_use use = nexus_folio_use(inode, index);
	bool inplace = use == NEXUS_PACKS_INPLACE;

	/* Who waits is slowed down where the helper falls behind. */
	if (use == NEXUS_PACKS_PROMISED ||
	    nexus_room_alike(inode, index, n, use) < n ||
	    (zone->log && !nexus_log_plenty(zone)) ||
	    (!inplace && !nexus_packs_try_reserve(zone, n, use)))
		return -EAGAIN;
	if (nexus_log_reserve(zone, &room->resv, n * NEXUS_FOLIO_BYTES,
			      NEXUS_RESV_NOWAIT)) {
		if (!inplace)
			nexus_packs_unreserve(zone, n);
		return -EAGAIN;
	}
	room->use = use;
	room->blocks = n;
	return 0;
}

void nexus_room_give(struct inode *inode, struct nexus_room *room)
{
	nexus_log_unreserve(&room->resv);
	if (room->use != NEXUS_PACKS_INPLACE)
		nexus_packs_unreserve(NEXUS_I(inode)->zone, room->blocks);
	nexus_quota_give(NEXUS_I(inode), room->quota);
	room->blocks = 0;
	room->quota = 0;
}

/* ---- state ------------------------------------------------------------------- */

struct nexus_fstate *nexus_folio_state(struct folio *folio)
{
	struct nexus_fstate *fs = folio_get_private(folio);

	BUILD_BUG_ON(1u << NEXUS_FOLIO_ORDER > BITS_PER_TYPE(fs->marked));
	if (fs)
		return fs;
	fs = kzalloc(sizeof(*fs), GFP_NOFS | __GFP_ACCOUNT);
	if (fs)
		folio_attach_private(folio, fs);
	return fs;
}

u64 nexus_folio_pending(struct folio *folio)
{
	const struct nexus_fstate *fs = folio_get_private(folio);
	u64 blocks = 0;

	if (folio_test_dirty(folio))
		blocks = fs ? nexus_folio_wanted(fs) : 0;
	if (folio_test_dirty(folio) && !blocks)
		blocks = nexus_folio_all(folio);
	if (folio_test_writeback(folio))
		blocks |= fs ? fs->writing : nexus_folio_all(folio);
	return blocks;
}

/* ---- marks ------------------------------------------------------------------- */

u32 nexus_folio_fits(struct inode *inode, struct folio *folio, pgoff_t index,
		     u32 n, const struct nexus_room *room)
{
	const struct nexus_fstate *fs = folio_get_private(folio);
	u32 at = index - folio->index, i;

	n = min(n, room->blocks);
	if (room->use != NEXUS_PACKS_PROMISED && room->use != NEXUS_PACKS_INPLACE)
		return n;
	for (i = 0; i < n; i++)
		if (!(fs->marked & BIT_ULL(at + i)) &&
		    nexus_folio_use(inode, index + i) != room->use)
			break;
	return i;
}

/* Those of @blocks that have no extent. */
static u64 nexus_folio_unmapped(struct inode *inode, struct folio *folio,
				u64 blocks)
{
	u64 at = folio->index + __ffs64(blocks);
	u64 end = folio->index + fls64(blocks);
	struct nexus_ext e;

	/* Not under writeback: the map knows what was written of it. */
	while (at < end && nexus_map_next(NEXUS_I(inode), at, &e) &&
	       e.fblock < end) {
		at = max(at, e.fblock);
		blocks &= ~nexus_folio_mask(at - folio->index,
					    min(end, e.fblock + e.nblocks) -
					    folio->index);
		at = e.fblock + e.nblocks;
	}
	return blocks;
}

int nexus_folio_quota(struct inode *inode, struct folio *folio, pgoff_t index,
		      u32 *n, struct nexus_room *room)
{
	const struct nexus_fstate *fs = folio_get_private(folio);
	struct nexus_inode *ni = NEXUS_I(inode);
	u32 at = index - folio->index, want;
	u64 fresh;
	int err;

	if (likely(!nexus_quota_any(ni->zone)))
		return 0;
	for (;; *n /= 2) {
		fresh = nexus_folio_mask(at, at + *n) & ~fs->marked;
		want = fresh ? hweight64(nexus_folio_unmapped(inode, folio,
							      fresh)) : 0;
		if (!want)
			return 0;
		/* A full quota can be emptied by punching, too. */
		err = nexus_quota_take(ni, want, room->use >= NEXUS_PACKS_CUT);
		if (!err)
			room->quota += want;
		if ((err != -EDQUOT && err != -ENOSPC) || *n == 1)
			break;
	}
	if (err == -EAGAIN) {
		room->ask = true;
		*n = 0;
		err = 0;
	}
	return err;
}

void nexus_folio_mark(struct inode *inode, struct folio *folio, pgoff_t index,
		      u32 n, struct nexus_room *room)
{
	struct nexus_fstate *fs = folio_get_private(folio);
	struct nexus_inode *ni = NEXUS_I(inode);
	u32 at = index - folio->index;
	u64 fresh = nexus_folio_mask(at, at + n) & ~fs->marked, delayed;

	fs->logged &= ~nexus_folio_mask(at, at + n);
	if (!fresh)
		return;
	n = hweight64(fresh);
	delayed = nexus_folio_unmapped(inode, folio, fresh);
	if (room->use == NEXUS_PACKS_INPLACE)
		fs->bare |= fresh;
	fs->marked |= fresh;
	fs->delayed |= delayed;
	spin_lock(&ni->resv_lock);
	nexus_resv_move(&ni->data_resv, &room->resv, n * NEXUS_FOLIO_BYTES);
	if (room->use != NEXUS_PACKS_INPLACE)
		ni->resv_blocks += n;
	WRITE_ONCE(ni->delayed, ni->delayed + hweight64(delayed));
	spin_unlock(&ni->resv_lock);
	room->blocks -= n;
}

void nexus_folio_landed(struct inode *inode, u32 n)
{
	struct nexus_inode *ni = NEXUS_I(inode);

	if (!n)
		return;
	spin_lock(&ni->resv_lock);
	WRITE_ONCE(ni->delayed, ni->delayed - n);
	spin_unlock(&ni->resv_lock);
	nexus_quota_landed(ni);
}

u64 nexus_folio_take(struct inode *inode, struct folio *folio, u64 blocks,
		     struct nexus_resv *resv, u64 *delayed)
{
	struct nexus_fstate *fs = folio_get_private(folio);
	struct nexus_inode *ni = NEXUS_I(inode);
	u64 full;
	u32 n;

	*delayed = 0;
	blocks &= fs ? fs->marked : 0;
	if (!blocks)
		return 0;
	n = hweight64(blocks);
	*delayed = fs->delayed & blocks;
	full = blocks & ~fs->bare;
	fs->marked &= ~blocks;
	fs->bare &= ~blocks;
	fs->delayed &= ~blocks;
	fs->logged &= ~blocks;
	spin_lock(&ni->resv_lock);
	nexus_resv_move(resv, &ni->data_resv, n * NEXUS_FOLIO_BYTES);
	ni->resv_blocks -= hweight64(full);
	spin_unlock(&ni->resv_lock);
	return full;
}

void nexus_folio_unmark(struct inode *inode, struct folio *folio, u64 blocks)
{
	struct nexus_resv resv = {};
	u64 delayed;

	blocks = nexus_folio_take(inode, folio, blocks, &resv, &delayed);
	nexus_log_unreserve(&resv);
	nexus_packs_unreserve(NEXUS_I(inode)->zone, hweight64(blocks));
	nexus_folio_landed(inode, hweight64(delayed));
}

void nexus_folio_forget(struct inode *inode, struct folio *folio, u32 first,
			u32 end)
{
	struct nexus_fstate *fs = folio_get_private(folio);
	u64 blocks;
	bool some;

	if (!fs)
		return;
	blocks = nexus_folio_mask(first, end);
	some = fs->marked & blocks;
	nexus_folio_unmark(inode, folio, blocks);
	fs->writing &= ~blocks;
	/* Dirty and nothing marked has another meaning. */
	if (some && !nexus_folio_wanted(fs))
		folio_cancel_dirty(folio);
}

/* Detaches the state; nothing is in flight. */
static void nexus_folio_bare(struct inode *inode, struct folio *folio)
{
	nexus_folio_unmark(inode, folio, U64_MAX);
	kfree(folio_detach_private(folio));
}

void nexus_folio_dirty(struct folio *folio)
{
	if (!folio_test_dirty(folio))
		folio_mark_dirty(folio);
}

/*
 * Whatever is dirtied from outside may have changed anywhere.  Not always with the folio
 * locked, and then what was stored before is seen by who copies.
 */
bool nexus_dirty_folio(struct address_space *mapping, struct folio *folio)
{
	if (folio_test_checked(folio))
		folio_clear_checked(folio);
	return filemap_dirty_folio(mapping, folio);
}

/* A block that cannot be read is no reason not to show the others. */
bool nexus_folio_part_uptodate(struct folio *folio, size_t from, size_t count)
{
	struct nexus_fstate *fs = folio_get_private(folio);
	u64 blocks = nexus_folio_mask(from >> PAGE_SHIFT,
				      DIV_ROUND_UP(min(from + count,
						       folio_size(folio)),
						   PAGE_SIZE));

	return fs && !(blocks & ~atomic64_read(&fs->good));
}

void nexus_invalidate_folio(struct folio *folio, size_t offset, size_t length)
{
	struct inode *inode = folio->mapping->host;

	if (!offset && length == folio_size(folio))
		nexus_folio_bare(inode, folio);
	else
		nexus_folio_forget(inode, folio,
				   DIV_ROUND_UP(offset, PAGE_SIZE),
				   (offset + length) >> PAGE_SHIFT);
}

bool nexus_release_folio(struct folio *folio, gfp_t gfp)
{
	if (folio_test_dirty(folio) || folio_test_writeback(folio))
		return false;
	nexus_folio_bare(folio->mapping->host, folio);
	return true;
}

int nexus_folio_shrink(struct inode *inode, pgoff_t index)
{
	return invalidate_inode_pages2_range(inode->i_mapping, index, index);
}

/* ---- waiting ----------------------------------------------------------------- */

/*
 * The kernel's own waits for writeback cannot be killed, and the disk below may not
 * answer for as long as its filesystem is frozen.
 */
int nexus_wait_written(struct address_space *mapping, loff_t from, loff_t to)
{
	pgoff_t index = from >> PAGE_SHIFT, end = to >> PAGE_SHIFT;
	struct folio_batch batch;
	unsigned int i, nr;
	int err = 0;

	folio_batch_init(&batch);
	while (!err && index <= end) {
		nr = filemap_get_folios_tag(mapping, &index, end,
					    PAGECACHE_TAG_WRITEBACK, &batch);
		if (!nr)
			break;
		for (i = 0; !err && i < nr; i++)
			err = folio_wait_writeback_killable(batch.folios[i]);
		folio_batch_release(&batch);
		cond_resched();
	}
	return err;
}

int nexus_folio_lock_stable(struct folio *folio)
{
	for (;;) {
		if (folio_lock_killable(folio))
			return -EINTR;
		if (!folio_test_writeback(folio))
			return 0;
		/* Who waits for the lock shall not wait for the disk. */
		folio_unlock(folio);
		if (folio_wait_writeback_killable(folio))
			return -EINTR;
	}
}

int nexus_write_and_settle(struct inode *inode, loff_t from, loff_t to)
{
	struct address_space *mapping = inode->i_mapping;
	int err;

	if (!mapping->nrpages)
		return 0;
	/* Before, or writeback itself waits for those that are dirty again. */
	err = nexus_wait_written(mapping, from, to);
	if (err)
		return err;
	err = filemap_fdatawrite_range(mapping, from, to);
	return nexus_wait_written(mapping, from, to) ?: err;
}

int nexus_write_and_wait(struct inode *inode, loff_t from, loff_t to)
{
	int err = nexus_write_and_settle(inode, from, to);

	return err ?: filemap_write_and_wait_range(inode->i_mapping, from, to);
}

/* ---- dropping ---------------------------------------------------------------- */

/* So often is an edge written that gets dirty again; only a device can do that. */
#define NEXUS_EDGE_TRIES	8

/*
 * No folio has blocks on both sides of @index afterwards: what there is goes, after
 * it was written.
 */
static int nexus_cache_edge(struct inode *inode, pgoff_t index)
{
	struct address_space *mapping = inode->i_mapping;
	struct folio *folio = filemap_get_folio(mapping, index);
	loff_t from, to;
	int err = 0, i;

	if (IS_ERR(folio))
		return 0;
	from = folio_pos(folio);
	to = from + folio_size(folio) - 1;
	folio_put(folio);
	if (from == (loff_t)index << PAGE_SHIFT)
		return 0;
	for (i = 0; i < NEXUS_EDGE_TRIES; i++) {
		err = nexus_write_and_wait(inode, from, to);
		if (!err)
			err = invalidate_inode_pages2_range(mapping, index, index);
		if (err != -EBUSY)
			break;
	}
	return err;
}

int nexus_cache_drop(struct inode *inode, u64 fblock, u64 end)
{
	struct address_space *mapping = inode->i_mapping;
	int err;

	lockdep_assert_held_write(&mapping->invalidate_lock);
	if (mapping_empty(mapping))
		return 0;
	err = nexus_cache_edge(inode, fblock);
	if (!err)
		err = nexus_cache_edge(inode, end);
	if (!err)
		truncate_pagecache_range(inode, fblock << PAGE_SHIFT,
					 (end << PAGE_SHIFT) - 1);
	return err;
}
