// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes of the size.
 *
 * Cutting a file inside of a mapped block writes that block anew, with zeros
 * where it was cut, before the record names it: no crash and no later extension
 * shows what was cut off.
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
	struct nexus_pack *pack; /* of the new tail block, or NULL */
	u32 block, crc;
	u32 changes;		/* of the map, prepared */
};

/* A copy of the block with the last byte that stays, zeros after it. */
static struct page *nexus_tail_copy(struct inode *inode, loff_t size)
{
	size_t keep = offset_in_page(size);
	struct folio *folio;
	struct page *page;

	folio = read_mapping_folio(inode->i_mapping, size >> PAGE_SHIFT, NULL);
	if (IS_ERR(folio))
		return ERR_CAST(folio);
	page = alloc_page(GFP_NOFS | __GFP_ZERO);
	if (!page) {
		folio_put(folio);
		return ERR_PTR(-ENOMEM);
	}
	folio_lock(folio);
	memcpy_from_folio(page_address(page), folio, 0, keep);
	folio_unlock(folio);
	folio_put(folio);
	return page;
}

static bool nexus_tail_needed(struct nexus_cut *cut)
{
	struct nexus_ext e;
	u64 disk_size;

	if (!offset_in_page(cut->size))
		return false;
	/* Nothing on disk above the cut, then nothing to hide. */
	return nexus_map_find(NEXUS_I(cut->inode), cut->size >> PAGE_SHIFT, &e,
			      &disk_size) && disk_size > cut->size;
}

static int nexus_cut_tail(struct nexus_cut *cut)
{
	struct nexus_inode *ni = NEXUS_I(cut->inode);
	u64 block = cut->size >> NEXUS_BLOCK_SHIFT;
	struct page *page;
	int err;

	page = nexus_tail_copy(cut->inode, cut->size);
	if (IS_ERR(page))
		return PTR_ERR(page);
	err = nexus_packs_reserve(ni->zone, 1);
	if (!err) {
		err = nexus_write_block(ni->zone, page, &cut->pack, &cut->block,
					&cut->crc);
		if (!err)
			nexus_pack_note(cut->pack, cut->block,
					cut->inode->i_ino, ni->data_id,
					block << NEXUS_BLOCK_SHIFT, cut->crc);
		else if (err == -ENOSPC)
			nexus_packs_unreserve(ni->zone, 1);
	}
	__free_page(page);
	return err;
}

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
	ni->map_changes -= cut->changes;
	up_write(&ni->map_sem);
	WRITE_ONCE(ni->data_id, cut->new_data_id);
	inode_set_bytes(cut->inode, 0);
	/* Whoever sees the bit sees the map. */
	smp_mb__before_atomic();
	set_bit(NEXUS_I_EXTENTS, &ni->state);
}

static void nexus_cut_map(struct nexus_cut *cut)
{
	struct nexus_inode *ni = NEXUS_I(cut->inode);
	u64 first = DIV_ROUND_UP_ULL(cut->size, NEXUS_BLOCK_SIZE);

	nexus_map_punch(ni, first);
	if (cut->pack)
		nexus_map_insert(ni, first - 1, cut->pack->id, cut->block, 1);
	else
		nexus_map_unprepare(ni, 1);
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
	if (err) {
		nexus_map_unprepare(ni, cut->changes);
		goto out;
	}
	if (cut->new_data_id)
		nexus_cut_body(cut);
	else if (cut->changes)
		nexus_cut_map(cut);
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
	struct address_space *mapping = cut->inode->i_mapping;
	int err;

	/* Killable: a reader may hold it while it waits for the helper. */
	if (down_write_killable(&mapping->invalidate_lock)) {
		nexus_map_unprepare(NEXUS_I(cut->inode), cut->changes);
		return -EINTR;
	}
	/*
	 * Waits for writeback, whose completion needs log_mutex, so it comes
	 * first.  From here on only a failing zone can stop this.
	 */
	truncate_setsize(cut->inode, cut->size);
	err = nexus_cut_commit(cut);
	filemap_invalidate_unlock(mapping);
	return err;
}

static int nexus_cut_extend(struct nexus_cut *cut)
{
	int err;

	nexus_zero_beyond(cut->inode, cut->old, cut->size);
	err = nexus_cut_commit(cut);
	if (!err && cut->size > cut->old)
		pagecache_isize_extended(cut->inode, cut->old, cut->size);
	return err;
}

int nexus_data_truncate(struct inode *inode, loff_t size, struct timespec64 now)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_cut cut = {
		.inode = inode,
		.old = i_size_read(inode),
		.size = size,
		.now = now,
	};
	bool shrink = size < cut.old;
	int err;

	if (shrink && size) {
		err = nexus_extents_load(inode);
		if (err)
			return err;
	}
	/* Writeback may map blocks until the cache is dropped. */
	if (shrink && !size) {
		err = nexus_zone_new_ino(ni->zone, &cut.new_data_id);
		if (err)
			return err;
	}
	if (shrink && nexus_tail_needed(&cut)) {
		err = nexus_cut_tail(&cut);
		if (err)
			return err;
	}
	err = nexus_log_reserve(ni->zone, &cut.resv,
				sizeof(struct nexus_rec_truncate),
				shrink ? NEXUS_RESV_DELETE : 0);
	if (err)
		goto out;
	if (shrink) {
		err = nexus_map_prepare(ni, 2);
		if (err)
			goto out_resv;
		cut.changes = 2;
	}
	err = shrink ? nexus_cut_shrink(&cut) : nexus_cut_extend(&cut);
	if (!err && shrink && !size)
		set_bit(NEXUS_I_EMPTIED, &ni->state);
out_resv:
	nexus_log_unreserve(&cut.resv);
out:
	if (cut.pack) {
		nexus_pack_written(cut.pack);
		nexus_pack_put(cut.pack);
	}
	return err;
}
