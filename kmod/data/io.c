// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading pack blocks into the page cache.
 *
 * The reader resolves extents and packs, which nexus_content_load() has brought
 * here; a worker does the I/O and unlocks the folios.
 */
#include <linux/completion.h>
#include <linux/highmem.h>
#include <linux/slab.h>

#include "data.h"
#include "host.h"

/* A read of contiguous file blocks that are contiguous in a pack. */
struct nexus_rio {
	struct work_struct work;
	struct inode *inode;
	struct nexus_pack *pack;
	u64 fblock;
	u64 disk_size;
	u32 block;
	u32 nr, max;
	struct completion *done;	/* folio stays locked, result in *err */
	int *err;
	struct bio_vec bvec[];
};

/* Bytes after the last one ever written are zeros, whatever the block holds. */
static void nexus_rio_clear_tail(struct nexus_rio *rio)
{
	u64 end = (rio->fblock + rio->nr) << NEXUS_BLOCK_SHIFT;
	u64 at;
	u32 i;

	if (end <= rio->disk_size)
		return;
	for (i = 0; i < rio->nr; i++) {
		at = (rio->fblock + i) << NEXUS_BLOCK_SHIFT;
		if (at + PAGE_SIZE <= rio->disk_size)
			continue;
		at = rio->disk_size > at ? rio->disk_size - at : 0;
		memzero_page(rio->bvec[i].bv_page, at, PAGE_SIZE - at);
	}
}

static int nexus_rio_verify(struct nexus_rio *rio)
{
	void *p;
	u32 i, crc;
	int err = 0;

	for (i = 0; i < rio->nr && !err; i++) {
		p = kmap_local_page(rio->bvec[i].bv_page);
		crc = nexus_crc32c(0, p, PAGE_SIZE);
		kunmap_local(p);
		err = nexus_pack_verify(rio->pack, rio->block + i, crc,
					rio->inode->i_ino);
	}
	return err;
}

static void nexus_rio_work(struct work_struct *work)
{
	struct nexus_rio *rio = container_of(work, struct nexus_rio, work);
	struct nexus_zone *zone = NEXUS_I(rio->inode)->zone;
	struct nexus_pack *pack = rio->pack;
	unsigned int flags = nexus_host_begin();
	u32 i;
	int err;

	err = nexus_host_read(pack->file, rio->bvec, rio->nr,
			      (size_t)rio->nr << NEXUS_BLOCK_SHIFT, rio->block);
	if (err)
		nexus_err(zone, "reading pack %llu at block %u failed (%pe)",
			  pack->id, rio->block, ERR_PTR(err));
	else if (READ_ONCE(zone->opts.verify) == NEXUS_VERIFY_ALWAYS)
		err = nexus_rio_verify(rio);
	if (!err)
		nexus_rio_clear_tail(rio);
	nexus_count(pack_reads);
	nexus_count_n(pack_read_blocks, rio->nr);
	nexus_host_end(flags);

	if (rio->done) {
		*rio->err = err;
		complete(rio->done);
	} else {
		/* After the last one the inode, and then the zone, may go. */
		for (i = 0; i < rio->nr; i++)
			folio_end_read(page_folio(rio->bvec[i].bv_page), !err);
	}
	nexus_pack_put(pack);
	kfree(rio);
}

void nexus_reader_submit(struct nexus_reader *r)
{
	if (r->rio)
		queue_work(nexus_read_wq, &r->rio->work);
	r->rio = NULL;
}

static struct nexus_rio *nexus_rio_new(struct inode *inode, u64 fblock,
				       const struct nexus_ext *e,
				       u64 disk_size, u32 max, bool ahead)
{
	struct nexus_pack *pack;
	struct nexus_rio *rio;

	pack = nexus_packs_find(NEXUS_I(inode)->zone, e->pack);
	if (!pack && ahead)
		return ERR_PTR(-EAGAIN);
	if (!pack)
		pack = nexus_packs_get(NEXUS_I(inode)->zone, e->pack);
	if (IS_ERR(pack))
		return ERR_CAST(pack);
	if (e->block < nexus_pack_first(pack) ||
	    e->nblocks > pack->blocks - e->block) {
		nexus_err(pack->zone, "inode %llu: extent at block %llu is outside of pack %llu",
			  (u64)inode->i_ino, fblock, pack->id);
		nexus_pack_put(pack);
		return ERR_PTR(-EIO);
	}
	max = min3(max, e->nblocks, NEXUS_EXTENT_BLOCKS_MAX);
	rio = kmalloc(struct_size(rio, bvec, max), GFP_NOFS);
	if (!rio) {
		nexus_pack_put(pack);
		return ERR_PTR(-ENOMEM);
	}
	INIT_WORK(&rio->work, nexus_rio_work);
	rio->inode = inode;
	rio->pack = pack;
	rio->fblock = fblock;
	rio->disk_size = disk_size;
	rio->block = e->block;
	rio->nr = 0;
	rio->max = max;
	rio->done = NULL;
	return rio;
}

static void nexus_rio_add(struct nexus_rio *rio, struct folio *folio)
{
	bvec_set_folio(&rio->bvec[rio->nr++], folio, PAGE_SIZE, 0);
}

int nexus_reader_add(struct nexus_reader *r, struct folio *folio)
{
	struct nexus_rio *rio = r->rio;
	u64 disk_size;
	struct nexus_ext e;

	/* rio->max is within one extent. */
	if (rio && rio->nr < rio->max && folio->index == rio->fblock + rio->nr) {
		nexus_rio_add(rio, folio);
		return 0;
	}
	nexus_reader_submit(r);

	if (!nexus_map_find(NEXUS_I(r->inode), folio->index, &e, &disk_size) ||
	    folio_pos(folio) >= disk_size) {
		folio_zero_range(folio, 0, folio_size(folio));
		folio_end_read(folio, true);
		return 0;
	}
	rio = nexus_rio_new(r->inode, folio->index, &e, disk_size, r->hint,
			    r->ahead);
	if (IS_ERR(rio))
		return PTR_ERR(rio);
	nexus_rio_add(rio, folio);
	r->rio = rio;
	return 0;
}

int nexus_read_locked(struct inode *inode, struct folio *folio)
{
	DECLARE_COMPLETION_ONSTACK(done);
	struct nexus_rio *rio;
	struct nexus_ext e;
	u64 disk_size;
	int err;

	if (!nexus_map_find(NEXUS_I(inode), folio->index, &e, &disk_size) ||
	    folio_pos(folio) >= disk_size) {
		folio_zero_range(folio, 0, folio_size(folio));
		return 0;
	}
	rio = nexus_rio_new(inode, folio->index, &e, disk_size, 1, false);
	if (IS_ERR(rio))
		return PTR_ERR(rio);
	nexus_rio_add(rio, folio);
	rio->done = &done;
	rio->err = &err;
	queue_work(nexus_read_wq, &rio->work);
	/* Local disk, so this ends. */
	wait_for_completion(&done);
	return err;
}
