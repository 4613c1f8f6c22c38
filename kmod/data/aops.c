// SPDX-License-Identifier: GPL-2.0-only
/* What the page cache asks of regular files. */
#include <linux/pagemap.h>
#include <linux/writeback.h>

#include "data.h"

static int nexus_read_folio(struct file *file, struct folio *folio)
{
	struct inode *inode = folio->mapping->host;
	struct nexus_reader r = { .inode = inode };
	int err;

	/* Loaded by whoever wants to read; this is for callers not foreseen. */
	err = nexus_extents_load(inode);
	r.hint = folio_nr_pages(folio);
	if (!err)
		err = nexus_reader_add(&r, folio);
	if (err)
		folio_unlock(folio);
	nexus_reader_submit(&r);
	/* Not there: whoever wanted it has it fetched, without the locks held here. */
	return err == -EAGAIN ? -EIO : err;
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

static const struct address_space_operations nexus_aops = {
	.read_folio		= nexus_read_folio,
	.readahead		= nexus_readahead,
	.writepages		= nexus_writepages,
	.dirty_folio		= nexus_dirty_folio,
	.is_partially_uptodate	= nexus_folio_part_uptodate,
	.invalidate_folio	= nexus_invalidate_folio,
	.release_folio		= nexus_release_folio,
	.migrate_folio		= filemap_migrate_folio,
};

void nexus_data_set_mapping(struct address_space *mapping)
{
	mapping->a_ops = &nexus_aops;
	mapping_set_folio_order_range(mapping, 0, NEXUS_FOLIO_ORDER);
}
