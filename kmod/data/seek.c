// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a file has data: SEEK_HOLE, SEEK_DATA and FIEMAP.
 *
 * Data is what an extent in a pack holds, and what is dirty or under writeback in
 * the page cache.  The tags of the page cache are looked at before the map: a
 * page that is clean by then has its extent, because the map changes before
 * writeback ends.
 */
#include <linux/fiemap.h>
#include <linux/xarray.h>

#include "data.h"

enum nexus_seg_kind {
	NEXUS_SEG_DATA,		/* in a pack */
	NEXUS_SEG_DELAYED,	/* in the page cache only */
	NEXUS_SEG_UNWRITTEN,	/* reserved, reads zeros */
	NEXUS_SEG_INLINE,	/* in the index */
};

struct nexus_seg {
	enum nexus_seg_kind kind;
	u64 fblock, end;
	u64 pack;		/* DATA */
	u32 block;
	bool shared;		/* DATA: other files may have it, too */
};

/* The first folio that holds @index or is above and has @tag, referenced, or NULL. */
static struct folio *nexus_tagged_folio(struct address_space *mapping, u64 index,
					xa_mark_t tag)
{
	struct folio *folio;
	unsigned long at = index;

	while (xa_find(&mapping->i_pages, &at, ULONG_MAX, tag)) {
		folio = filemap_get_folio(mapping, at);
		if (!IS_ERR(folio))
			return folio;
		/* It has just gone. */
		at = max_t(u64, at, index) + 1;
	}
	return NULL;
}

/* Blocks [*first, *end) at or above @index are not on disk. */
static bool nexus_folio_next(struct folio *folio, u64 index, u64 *first, u64 *end)
{
	u64 blocks = 0;
	u32 at = index > folio->index ? index - folio->index : 0;

	folio_lock(folio);
	if (folio->mapping && at < folio_nr_pages(folio))
		blocks = nexus_folio_pending(folio) &
			 nexus_folio_mask(at, folio_nr_pages(folio));
	if (blocks) {
		at = __ffs64(blocks);
		*first = folio->index + at;
		blocks >>= at;
		*end = *first + (~blocks ? __ffs64(~blocks) :
					   BITS_PER_TYPE(blocks));
	}
	folio_unlock(folio);
	return blocks;
}

/*
 * The first blocks at or above @index whose content is not on disk, as far as they
 * are in one folio.
 */
static bool nexus_next_tagged(struct address_space *mapping, u64 index,
			      u64 *first, u64 *end)
{
	struct folio *folio, *other;
	bool found;
	u64 next;

	do {
		folio = nexus_tagged_folio(mapping, index, PAGECACHE_TAG_DIRTY);
		other = nexus_tagged_folio(mapping, index,
					   PAGECACHE_TAG_WRITEBACK);
		if (!folio || (other && other->index < folio->index))
			swap(folio, other);
		if (other)
			folio_put(other);
		if (!folio)
			return false;
		found = nexus_folio_next(folio, index, first, end);
		next = folio_next_index(folio);
		folio_put(folio);
		index = max(next, index + 1);
		cond_resched();
	} while (!found);
	return true;
}

/* What is at or above @fblock first that is no hole.  False: nothing. */
static bool nexus_seg_next(struct inode *inode, u64 fblock,
			   struct nexus_seg *seg)
{
	u64 tagged, end, next, next_end;
	struct nexus_ext e = {};
	bool found;

	if (!nexus_next_tagged(inode->i_mapping, fblock, &tagged, &end))
		tagged = U64_MAX;
	if (!fblock && tagged && nexus_inline_len(inode)) {
		*seg = (struct nexus_seg){ .kind = NEXUS_SEG_INLINE, .end = 1 };
		return true;
	}
	found = nexus_map_next(NEXUS_I(inode), fblock, &e);
	if (!found && tagged == U64_MAX)
		return false;
	seg->fblock = found ? max(e.fblock, fblock) : U64_MAX;
	seg->end = found ? e.fblock + e.nblocks : U64_MAX;
	if (found && !(e.flags & NEXUS_EF_UNWRITTEN) && seg->fblock <= tagged) {
		seg->kind = NEXUS_SEG_DATA;
		seg->pack = e.pack;
		seg->block = e.block + (seg->fblock - e.fblock);
		seg->shared = e.flags & NEXUS_EF_SHARED;
	} else if (found && seg->fblock < tagged) {
		seg->kind = NEXUS_SEG_UNWRITTEN;
		seg->end = min(seg->end, tagged);
	} else {
		/* In the hole before the extent, or in the unwritten extent. */
		seg->kind = NEXUS_SEG_DELAYED;
		if (tagged < seg->fblock)
			seg->end = seg->fblock;
		seg->fblock = tagged;
		while (end < seg->end &&
		       nexus_next_tagged(inode->i_mapping, end, &next, &next_end) &&
		       next == end)
			end = next_end;
		seg->end = min(seg->end, end);
	}
	return true;
}

/* ---- lseek ----------------------------------------------------------------- */

loff_t nexus_seek_data(struct inode *inode, loff_t offset, loff_t size)
{
	u64 fblock = offset >> NEXUS_BLOCK_SHIFT;
	struct nexus_seg seg;

	while (nexus_seg_next(inode, fblock, &seg)) {
		if (seg.fblock >= DIV_ROUND_UP_ULL(size, NEXUS_BLOCK_SIZE))
			break;
		if (seg.kind != NEXUS_SEG_UNWRITTEN)
			return max_t(loff_t, offset,
				     seg.fblock << NEXUS_BLOCK_SHIFT);
		fblock = seg.end;
		cond_resched();
	}
	return -ENXIO;
}

static loff_t nexus_seek_hole(struct inode *inode, loff_t offset, loff_t size)
{
	u64 first = offset >> NEXUS_BLOCK_SHIFT, fblock = first;
	struct nexus_seg seg;

	while (fblock < DIV_ROUND_UP_ULL(size, NEXUS_BLOCK_SIZE) &&
	       nexus_seg_next(inode, fblock, &seg) && seg.fblock == fblock &&
	       seg.kind != NEXUS_SEG_UNWRITTEN) {
		fblock = seg.end;
		cond_resched();
	}
	if (fblock == first)
		return offset;
	return min_t(u64, size, fblock << NEXUS_BLOCK_SHIFT);
}

loff_t nexus_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	loff_t size;
	int err;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return generic_file_llseek(file, offset, whence);
	/* Killable, both: who has the lock may be waiting for the helper. */
	if (down_read_killable(&inode->i_rwsem))
		return -EINTR;
	err = nexus_extents_load(inode);
	size = i_size_read(inode);
	if (err)
		offset = err;
	else if (offset < 0 || offset >= size)
		offset = -ENXIO;
	else if (whence == SEEK_DATA)
		offset = nexus_seek_data(inode, offset, size);
	else
		offset = nexus_seek_hole(inode, offset, size);
	inode_unlock_shared(inode);
	return offset < 0 ? offset :
	       vfs_setpos(file, offset, inode->i_sb->s_maxbytes);
}

/* ---- FIEMAP ------------------------------------------------------------------- */

/*
 * There is no device whose blocks could be named.  What stands in their place is
 * the same as long as the data stays where it is, goes on where the data does, and
 * is told as ENCODED, which nobody tries to read from: 4 GiB for each pack, the
 * most one can have, and the offset in it.
 */
static u64 nexus_seg_place(const struct nexus_seg *seg)
{
	return seg->pack * ((u64)NEXUS_PACK_BLOCKS_MAX << NEXUS_BLOCK_SHIFT) +
	       ((u64)seg->block << NEXUS_BLOCK_SHIFT);
}

/* As fiemap_fill_next_extent(): 1 when there is no more room. */
static int nexus_fiemap_put(struct inode *inode, struct fiemap_extent_info *info,
			    const struct nexus_seg *seg, bool last)
{
	u64 len = (seg->end - seg->fblock) << NEXUS_BLOCK_SHIFT, place = 0;
	u32 flags;

	switch (seg->kind) {
	case NEXUS_SEG_INLINE:
		/* Implies NOT_ALIGNED. */
		flags = FIEMAP_EXTENT_DATA_INLINE;
		len = min_t(u64, len, i_size_read(inode));
		break;
	case NEXUS_SEG_DATA:
		flags = FIEMAP_EXTENT_ENCODED;
		if (seg->shared)
			flags |= FIEMAP_EXTENT_SHARED;
		place = nexus_seg_place(seg);
		break;
	case NEXUS_SEG_UNWRITTEN:
		flags = FIEMAP_EXTENT_UNWRITTEN;
		break;
	default:
		/* Implies UNKNOWN. */
		flags = FIEMAP_EXTENT_DELALLOC;
	}
	if (last)
		flags |= FIEMAP_EXTENT_LAST;
	return fiemap_fill_next_extent(info, seg->fblock << NEXUS_BLOCK_SHIFT,
				       place, len, flags);
}

/* i_rwsem held, extents loaded. */
static int nexus_fiemap_range(struct inode *inode,
			      struct fiemap_extent_info *info, u64 from, u64 to)
{
	struct nexus_seg seg, next;
	bool more;
	int ret = 0;

	more = nexus_seg_next(inode, from, &seg);
	while (more && seg.fblock < to && !ret) {
		if (fatal_signal_pending(current))
			return -EINTR;
		more = nexus_seg_next(inode, seg.end, &next);
		ret = nexus_fiemap_put(inode, info, &seg, !more);
		seg = next;
		cond_resched();
	}
	return min(ret, 0);
}

int nexus_fiemap(struct inode *inode, struct fiemap_extent_info *info, u64 start,
		 u64 len)
{
	int err;

	/* Writes what is dirty, if that is wanted. */
	err = fiemap_prep(inode, info, start, &len, 0);
	if (err)
		return err;
	if (down_read_killable(&inode->i_rwsem))
		return -EINTR;
	err = nexus_extents_load(inode);
	if (!err)
		err = nexus_fiemap_range(inode, info, start >> NEXUS_BLOCK_SHIFT,
					 DIV_ROUND_UP_ULL(start + len,
							  NEXUS_BLOCK_SIZE));
	inode_unlock_shared(inode);
	return err;
}
