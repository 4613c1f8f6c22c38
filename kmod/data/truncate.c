// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes of the size.
 *
 * Cutting a file inside of a mapped block writes that block anew, with zeros
 * where it was cut, before the record names it: no crash and no later extension
 * shows what was cut off.
 *
 * The block is copied with its folio locked and not under writeback, and the
 * lock is kept until the record is appended: no EXTENT record of the block can
 * come in between, so the copy is never older than what the map says.  A store
 * through a mapping after the copy finds the folio dirty, or makes it so behind
 * the lock, and is written with a later record.  Everything that can fail or
 * must wait for others (room, memory, reading the block) is done before the
 * size changes; after that only a failing zone stops it.
 */
#include <linux/highmem.h>
#include <linux/pagemap.h>

#include "data.h"

struct nexus_cut {
	struct inode *inode;
	loff_t old, size;
	struct timespec64 now;
	struct nexus_resv resv;
	u64 new_data_id;	/* nonzero: the whole body goes */
	struct folio *folio;	/* the one that is cut, or NULL */
	struct page *page;	/* room for its copy */
	bool reserved;		/* a block for the copy */
	struct nexus_pack *pack; /* of the new tail block, or NULL */
	u32 block, crc;
	u32 changes;		/* of the map, prepared */
};

/* ---- the block that is cut ------------------------------------------------- */

/* What the tail may need.  Waits killably and for the helper, so without locks. */
static int nexus_tail_prepare(struct nexus_cut *cut)
{
	struct nexus_zone *zone = NEXUS_I(cut->inode)->zone;
	int err;

	cut->page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!cut->page)
		return -ENOMEM;
	err = nexus_content_load(cut->inode, cut->size, 1);
	if (err)
		return err;
	err = nexus_packs_reserve(zone, 1, NEXUS_PACKS_CUT);
	if (!err)
		cut->reserved = true;
	return err;
}

static void nexus_tail_done(struct nexus_cut *cut)
{
	if (cut->pack) {
		nexus_pack_written(cut->pack);
		nexus_pack_put(cut->pack);
	}
	if (cut->reserved)
		nexus_packs_unreserve(NEXUS_I(cut->inode)->zone, 1);
	if (cut->page)
		__free_page(cut->page);
}

/*
 * Takes invalidate_lock and, for a size inside of a block, the folio: locked,
 * read, not under writeback.
 */
static int nexus_tail_lock(struct nexus_cut *cut)
{
	struct address_space *mapping = cut->inode->i_mapping;
	struct folio *folio;
	int err = 0;

	/* Before, so that nobody else waits for it: what is cut off is waited for again. */
	if (nexus_wait_written(mapping, cut->size, LLONG_MAX) ||
	    down_write_killable(&mapping->invalidate_lock))
		return -EINTR;
	if (!cut->page)
		return 0;
	folio = read_mapping_folio(mapping, cut->size >> PAGE_SHIFT, NULL);
	if (IS_ERR(folio)) {
		err = PTR_ERR(folio);
		goto out;
	}
	err = nexus_folio_lock_stable(folio);
	if (err)
		goto put;
	/* Only memory that failed is taken from under a reference. */
	if (folio->mapping == mapping && folio_test_uptodate(folio)) {
		cut->folio = folio;
		return 0;
	}
	folio_unlock(folio);
	err = -EIO;
put:
	folio_put(folio);
out:
	filemap_invalidate_unlock(mapping);
	return err;
}

/* The same, and the block is fetched if need be. */
static int nexus_tail_begin(struct nexus_cut *cut)
{
	unsigned int tries = 0;
	int err;

	do {
		err = nexus_tail_lock(cut);
	} while (err && nexus_content_mend(cut->inode, cut->size, 1, &err, &tries));
	return err;
}

static void nexus_tail_unlock(struct nexus_cut *cut)
{
	if (cut->folio) {
		folio_unlock(cut->folio);
		folio_put(cut->folio);
	}
	filemap_invalidate_unlock(cut->inode->i_mapping);
}

/*
 * Whether the block on disk may have something above the cut.  Exact while the
 * folio is locked and writeback of what is behind it is over.
 */
static bool nexus_tail_needed(struct nexus_cut *cut)
{
	struct nexus_ext e;
	u64 disk_size;

	return nexus_map_find(NEXUS_I(cut->inode), cut->size >> PAGE_SHIFT, &e,
			      &disk_size) && disk_size > cut->size;
}

/*
 * What is cut off of the folio itself goes, and all that is behind it.  Returns with
 * writeback of that over.
 */
static void nexus_tail_clear(struct nexus_cut *cut)
{
	struct inode *inode = cut->inode;
	struct folio *folio = cut->folio;
	size_t offset;

	if (!folio) {
		truncate_pagecache(inode, cut->size);
		return;
	}
	offset = offset_in_folio(folio, cut->size);
	/* Below, only what is behind the folio is unmapped. */
	unmap_mapping_range(inode->i_mapping, round_up(cut->size, PAGE_SIZE), 0,
			    1);
	nexus_folio_forget(inode, folio, DIV_ROUND_UP(offset, PAGE_SIZE),
			   folio_nr_pages(folio));
	folio_zero_segment(folio, offset, folio_size(folio));
	truncate_pagecache(inode, folio_pos(folio) + folio_size(folio));
}

/* The size is the new one already, the folio locked and its end cleared. */
static int nexus_tail_write(struct nexus_cut *cut)
{
	struct nexus_inode *ni = NEXUS_I(cut->inode);
	size_t keep = offset_in_page(cut->size);
	int err;

	if (!nexus_tail_needed(cut))
		return 0;
	memcpy_from_folio(page_address(cut->page), cut->folio,
			  offset_in_folio(cut->folio, cut->size) - keep, keep);
	err = nexus_write_block(ni->zone, cut->page, &cut->pack, &cut->block,
				&cut->crc);
	/* Taken also when writing it failed. */
	cut->reserved = err == -ENOSPC;
	if (err)
		return err;
	nexus_pack_note(cut->pack, cut->block, cut->inode->i_ino, ni->data_id,
			round_down(cut->size, NEXUS_BLOCK_SIZE), cut->crc);
	return 0;
}

/* ---- the record -------------------------------------------------------------- */

static void nexus_cut_record(struct nexus_cut *cut,
			     struct nexus_rec_truncate *rec)
{
	struct nexus_inode *ni = NEXUS_I(cut->inode);

	memset(rec, 0, sizeof(*rec));
	nexus_rec_init(&rec->head, sizeof(*rec), NEXUS_REC_TRUNCATE, 0,
		       nexus_ts(cut->now));
	rec->ino = cpu_to_le64(cut->inode->i_ino);
	rec->data_id = cpu_to_le64(ni->data_id);
	rec->new_data_id = cpu_to_le64(cut->new_data_id);
	rec->size = cpu_to_le64(cut->size);
	if (cut->pack) {
		rec->tail_pack = cpu_to_le64(cut->pack->id);
		rec->tail_block = cpu_to_le32(cut->block);
		rec->tail_crc = cpu_to_le32(cut->crc);
	}
}

/* Whole body gone: nothing is known better than an empty map. */
static void nexus_cut_body(struct nexus_cut *cut)
{
	struct nexus_inode *ni = NEXUS_I(cut->inode);

	down_write(&ni->map_sem);
	if (ni->map)
		nexus_extmap_clear(ni->map);
	up_write(&ni->map_sem);
	WRITE_ONCE(ni->data_id, cut->new_data_id);
	nexus_packs_unpromise(ni->zone, ni->unwritten);
	WRITE_ONCE(ni->unwritten, 0);
	inode_set_bytes(cut->inode, 0);
	set_bit(NEXUS_I_PACKS, &ni->state);
	/* Whoever sees the bit sees the map. */
	smp_mb__before_atomic();
	set_bit(NEXUS_I_EXTENTS, &ni->state);
}

static void nexus_cut_map(struct nexus_cut *cut)
{
	struct nexus_inode *ni = NEXUS_I(cut->inode);
	u64 first = DIV_ROUND_UP_ULL(cut->size, NEXUS_BLOCK_SIZE);

	nexus_map_punch(ni, first, U64_MAX - first);
	cut->changes--;
	if (cut->pack) {
		nexus_map_insert(ni, first - 1, cut->pack->id, cut->block, 1,
				 0);
		cut->changes--;
	}
}

/* True if dropping the whole body is more than clearing an empty map. */
static bool nexus_has_body(struct nexus_inode *ni)
{
	bool any = true;

	if (test_bit_acquire(NEXUS_I_EXTENTS, &ni->state)) {
		down_read(&ni->map_sem);
		any = ni->map && nexus_extmap_count(ni->map);
		up_read(&ni->map_sem);
	}
	return any;
}

/* Record, then map and inode: one step for everybody else. */
static int nexus_cut_commit(struct nexus_cut *cut)
{
	struct inode *inode = cut->inode;
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_rec_truncate rec;
	u64 lsn;
	int err;

	mutex_lock(&ni->log_mutex);
	/* No body needs to be replaced that never got to a pack. */
	if (!nexus_has_body(ni))
		cut->new_data_id = 0;
	nexus_cut_record(cut, &rec);
	err = nexus_mutate(ni->zone, &cut->resv, &rec.head, &lsn);
	if (err)
		goto out;
	if (cut->new_data_id)
		nexus_cut_body(cut);
	else if (cut->changes)
		nexus_cut_map(cut);
	nexus_inline_cut(ni, cut->size);
	if (ni->disk_size > cut->size)
		WRITE_ONCE(ni->disk_size, cut->size);
	i_size_write(inode, cut->size);
	inode_set_mtime_to_ts(inode, cut->now);
	inode_set_ctime_to_ts(inode, cut->now);
	ni->version++;
	ni->gen++;
	nexus_inode_logged(ni, lsn);
	nexus_times_logged(ni, NEXUS_SA_MTIME | NEXUS_SA_CTIME);
out:
	mutex_unlock(&ni->log_mutex);
	return err;
}

static int nexus_cut_shrink(struct nexus_cut *cut)
{
	struct inode *inode = cut->inode;
	int err;

	err = nexus_tail_begin(cut);
	if (err)
		return err;
	/*
	 * Waits for writeback, whose completion needs log_mutex, so it comes
	 * first.  The folio that is cut is locked: only what is behind it goes.
	 */
	i_size_write(inode, cut->size);
	/*
	 * Direct reads that have looked at the size before: bytes that were cut
	 * off are not read once this is over.  They wait for the disk alone.
	 */
	smp_mb();
	nexus_dio_hold(inode);
	inode_dio_wait(inode);
	nexus_dio_release(inode);
	nexus_tail_clear(cut);
	if (cut->folio)
		err = nexus_tail_write(cut);
	if (!err)
		err = nexus_cut_commit(cut);
	nexus_tail_unlock(cut);
	return err;
}

static int nexus_cut_extend(struct nexus_cut *cut)
{
	int err;

	err = nexus_zero_beyond(cut->inode, cut->old, cut->size);
	if (!err)
		err = nexus_cut_commit(cut);
	if (!err && cut->size > cut->old)
		pagecache_isize_extended(cut->inode, cut->old, cut->size);
	return err;
}

static int nexus_shrink(struct nexus_cut *cut)
{
	struct nexus_inode *ni = NEXUS_I(cut->inode);
	int err;

	if (cut->size)
		err = nexus_extents_load(cut->inode);
	else
		err = nexus_zone_new_ino(ni->zone, &cut->new_data_id);
	if (!err && offset_in_page(cut->size))
		err = nexus_tail_prepare(cut);
	if (!err)
		err = nexus_log_reserve(ni->zone, &cut->resv,
					sizeof(struct nexus_rec_truncate),
					NEXUS_RESV_DELETE);
	if (!err)
		err = nexus_map_prepare(ni, 2);
	if (!err) {
		cut->changes = 2;
		err = nexus_cut_shrink(cut);
		nexus_map_unprepare(ni, cut->changes);
	}
	if (!err && !cut->size)
		set_bit(NEXUS_I_EMPTIED, &ni->state);
	nexus_log_unreserve(&cut->resv);
	nexus_tail_done(cut);
	return err;
}

static int nexus_extend(struct nexus_cut *cut)
{
	int err;

	err = nexus_log_reserve(NEXUS_I(cut->inode)->zone, &cut->resv,
				sizeof(struct nexus_rec_truncate), 0);
	if (!err)
		err = nexus_cut_extend(cut);
	nexus_log_unreserve(&cut->resv);
	return err;
}

int nexus_data_truncate(struct inode *inode, loff_t size, struct timespec64 now)
{
	struct nexus_cut cut = {
		.inode = inode,
		.old = i_size_read(inode),
		.size = size,
		.now = now,
	};
	int err;

	/* Direct writes inside of it want pages that are going to be locked. */
	err = nexus_dio_wait(inode);
	if (err)
		return err;
	/* With the same size: what is reserved behind the end goes. */
	return size <= cut.old ? nexus_shrink(&cut) : nexus_extend(&cut);
}
