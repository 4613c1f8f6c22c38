// SPDX-License-Identifier: GPL-2.0-only
/* The page cache of regular files: reading, dirtying, reservations of folios. */
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/writeback.h>

#include "../quota.h"
#include "data.h"

/* ---- reservations ---------------------------------------------------------- */

enum nexus_packs_use nexus_folio_use(struct inode *inode, pgoff_t index)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	bool unwritten;

	if (!READ_ONCE(ni->unwritten))
		return NEXUS_PACKS_GROW;
	nexus_map_has(ni, index, &unwritten);
	return unwritten ? NEXUS_PACKS_PROMISED : NEXUS_PACKS_GROW;
}

int nexus_folio_reserve(struct inode *inode, enum nexus_packs_use use)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_resv resv;
	int err;

	/* Blocks first: log bytes are what everybody in the zone waits for. */
	err = nexus_packs_reserve(ni->zone, 1, use);
	if (err)
		return err;
	err = nexus_log_reserve(ni->zone, &resv, NEXUS_FOLIO_BYTES, 0);
	if (err) {
		nexus_packs_unreserve(ni->zone, 1);
		return err;
	}
	spin_lock(&ni->resv_lock);
	nexus_resv_move(&ni->data_resv, &resv, NEXUS_FOLIO_BYTES);
	ni->resv_blocks++;
	spin_unlock(&ni->resv_lock);
	return 0;
}

void nexus_folio_unreserve(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_resv resv = {};

	spin_lock(&ni->resv_lock);
	nexus_resv_move(&resv, &ni->data_resv, NEXUS_FOLIO_BYTES);
	ni->resv_blocks--;
	spin_unlock(&ni->resv_lock);
	nexus_log_unreserve(&resv);
	nexus_packs_unreserve(ni->zone, 1);
}

/* What folio private says. */
#define NEXUS_FOLIO_MARKED	((void *)1)
#define NEXUS_FOLIO_DELAYED	((void *)2)	/* and its block had no extent */

int nexus_folio_mark(struct inode *inode, struct folio *folio,
		     enum nexus_packs_use use)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	bool mapped, unwritten;
	int err;

	if (folio_test_private(folio)) {
		nexus_folio_unreserve(inode);
		return 0;
	}
	/* Not under writeback: the map knows what was written of it. */
	mapped = nexus_map_has(ni, folio->index, &unwritten);
	if (use == NEXUS_PACKS_PROMISED && !unwritten)
		return -EAGAIN;
	if (mapped) {
		folio_attach_private(folio, NEXUS_FOLIO_MARKED);
		return 0;
	}
	spin_lock(&ni->resv_lock);
	WRITE_ONCE(ni->delayed, ni->delayed + 1);
	spin_unlock(&ni->resv_lock);
	/* A full quota can be emptied by punching, too. */
	err = nexus_quota_delay(ni, use >= NEXUS_PACKS_CUT);
	if (err) {
		nexus_folio_landed(inode, 1);
		return err;
	}
	folio_attach_private(folio, NEXUS_FOLIO_DELAYED);
	return 0;
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

void nexus_folio_unmark(struct inode *inode, struct folio *folio)
{
	void *mark = folio_detach_private(folio);

	if (!mark)
		return;
	nexus_folio_unreserve(inode);
	if (mark == NEXUS_FOLIO_DELAYED)
		nexus_folio_landed(inode, 1);
}

bool nexus_folio_take(struct inode *inode, struct folio *folio,
		      struct nexus_resv *resv, bool *delayed)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	void *mark = folio_detach_private(folio);

	*delayed = mark == NEXUS_FOLIO_DELAYED;
	if (!mark)
		return false;
	spin_lock(&ni->resv_lock);
	nexus_resv_move(resv, &ni->data_resv, NEXUS_FOLIO_BYTES);
	ni->resv_blocks--;
	spin_unlock(&ni->resv_lock);
	return true;
}

static void nexus_invalidate_folio(struct folio *folio, size_t offset,
				   size_t length)
{
	if (!offset && length == folio_size(folio))
		nexus_folio_unmark(folio->mapping->host, folio);
}

static bool nexus_release_folio(struct folio *folio, gfp_t gfp)
{
	if (folio_test_dirty(folio) || folio_test_writeback(folio))
		return false;
	nexus_folio_unmark(folio->mapping->host, folio);
	return true;
}

/* ---- reading -------------------------------------------------------------------- */

static int nexus_read_folio(struct file *file, struct folio *folio)
{
	struct inode *inode = folio->mapping->host;
	struct nexus_reader r = { .inode = inode, .hint = 1 };
	int err;

	/* Loaded by whoever wants to read; this is for callers not foreseen. */
	err = nexus_extents_load(inode);
	if (!err)
		err = nexus_reader_add(&r, folio);
	if (err)
		folio_unlock(folio);
	nexus_reader_submit(&r);
	return err;
}

static void nexus_readahead(struct readahead_control *rac)
{
	struct nexus_reader r = { .inode = rac->mapping->host, .ahead = true };
	struct folio *folio;

	/*
	 * On errors the folios left are read one by one, and that one reports.
	 * invalidate_lock is held: nothing here asks the helper.
	 */
	if (!test_bit_acquire(NEXUS_I_EXTENTS, &NEXUS_I(r.inode)->state))
		return;
	for (;;) {
		r.hint = readahead_count(rac);
		folio = readahead_folio(rac);
		if (!folio)
			break;
		if (nexus_reader_add(&r, folio)) {
			folio_unlock(folio);
			break;
		}
	}
	nexus_reader_submit(&r);
}

/* ---- writing ------------------------------------------------------------------------ */

/* As nexus_folio_begin(), but NULL when it must be tried with other room. */
static struct folio *nexus_folio_try(struct inode *inode, pgoff_t index,
				     bool whole, enum nexus_packs_use use)
{
	struct address_space *mapping = inode->i_mapping;
	struct folio *folio;
	int err;

	err = nexus_folio_reserve(inode, use);
	if (err)
		return ERR_PTR(err);
	/* Waits for writeback, too: pages are stable. */
	folio = __filemap_get_folio(mapping, index, FGP_WRITEBEGIN,
				    mapping_gfp_mask(mapping));
	if (IS_ERR(folio)) {
		nexus_folio_unreserve(inode);
		return folio;
	}
	err = nexus_folio_mark(inode, folio, use);
	if (err) {
		nexus_folio_unreserve(inode);
		folio_unlock(folio);
		folio_put(folio);
		return err == -EAGAIN ? NULL : ERR_PTR(err);
	}
	if (folio_test_uptodate(folio) || whole)
		return folio;
	err = nexus_read_locked(inode, folio);
	if (err) {
		nexus_folio_unmark(inode, folio);
		folio_unlock(folio);
		folio_put(folio);
		return ERR_PTR(err);
	}
	folio_mark_uptodate(folio);
	return folio;
}

struct folio *nexus_folio_begin(struct inode *inode, pgoff_t index, bool whole,
				enum nexus_packs_use use)
{
	struct folio *folio;
	int err;

	while (!(folio = nexus_folio_try(inode, index, whole, use))) {
		err = nexus_quota_load(NEXUS_I(inode));
		if (err)
			return ERR_PTR(err);
		if (use < NEXUS_PACKS_CUT)
			use = nexus_folio_use(inode, index);
	}
	return folio;
}

static int nexus_write_begin(NEXUS_WB_FILE file, struct address_space *mapping,
			     loff_t pos, unsigned int len,
			     struct folio **foliop, void **fsdata)
{
	struct inode *inode = mapping->host;
	pgoff_t index = pos >> PAGE_SHIFT;
	struct folio *folio;

	folio = nexus_folio_begin(inode, index, len >= PAGE_SIZE,
				  nexus_folio_use(inode, index));
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	*foliop = folio;
	return 0;
}

static int nexus_write_end(NEXUS_WB_FILE file, struct address_space *mapping,
			   loff_t pos, unsigned int len, unsigned int copied,
			   struct folio *folio, void *fsdata)
{
	struct inode *inode = mapping->host;

	if (!folio_test_uptodate(folio)) {
		/* A whole block was promised; what is missing is not known. */
		if (copied < len)
			copied = 0;
		else
			folio_mark_uptodate(folio);
	}
	if (copied) {
		folio_mark_dirty(folio);
		if (pos + copied > i_size_read(inode))
			i_size_write(inode, pos + copied);
	} else if (!folio_test_dirty(folio)) {
		nexus_folio_unmark(inode, folio);
	}
	folio_unlock(folio);
	folio_put(folio);
	return copied;
}

void nexus_zero_beyond(struct inode *inode, loff_t from, loff_t to)
{
	size_t offset = offset_in_page(from);
	struct folio *folio;
	loff_t end;

	if (!offset || from >= to)
		return;
	folio = filemap_lock_folio(inode->i_mapping, from >> PAGE_SHIFT);
	if (IS_ERR(folio))
		return;
	/*
	 * Only a mapping can have put anything there, and writeback has put
	 * zeros on disk, so this need not make the folio dirty.
	 */
	end = min_t(loff_t, to, folio_pos(folio) + folio_size(folio));
	if (folio_test_uptodate(folio)) {
		folio_wait_stable(folio);
		folio_zero_range(folio, offset, end - from);
	}
	folio_unlock(folio);
	folio_put(folio);
}

const struct address_space_operations nexus_aops = {
	.read_folio		= nexus_read_folio,
	.readahead		= nexus_readahead,
	.writepages		= nexus_writepages,
	.dirty_folio		= filemap_dirty_folio,
	.write_begin		= nexus_write_begin,
	.write_end		= nexus_write_end,
	.invalidate_folio	= nexus_invalidate_folio,
	.release_folio		= nexus_release_folio,
	.migrate_folio		= filemap_migrate_folio,
};
