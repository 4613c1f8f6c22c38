// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading pack blocks into the page cache, or into pages of a caller who waits.
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
	int epoch;			/* of nexus_pack_read_begin() */
	u64 fblock;
	u64 disk_size;
	u32 block;
	u32 nr, max;
	bool verify;
	struct nexus_read_wait *wait;	/* NULL: folios, which are unlocked at the end */
	struct bio_vec bvec[];
};

/* Who waits for reads, on the stack. */
struct nexus_read_wait {
	atomic_t left;			/* in flight, and one for who submits */
	int err;			/* the first one */
	struct completion done;
};

static void nexus_read_put(struct nexus_read_wait *wait, int err)
{
	if (err)
		cmpxchg(&wait->err, 0, err);
	if (atomic_dec_and_test(&wait->left))
		complete(&wait->done);
}

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
	else if (rio->verify)
		err = nexus_rio_verify(rio);
	if (!err)
		nexus_rio_clear_tail(rio);
	nexus_count(pack_reads);
	nexus_count_n(pack_read_blocks, rio->nr);
	nexus_host_end(flags);

	if (rio->wait) {
		nexus_read_put(rio->wait, err);
	} else {
		/* After the last one the inode, and then the zone, may go. */
		for (i = 0; i < rio->nr; i++)
			folio_end_read(page_folio(rio->bvec[i].bv_page), !err);
	}
	nexus_pack_read_end(pack, rio->epoch);
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
	int epoch;

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
	epoch = nexus_pack_read_begin(pack, e->block, &max);
	if (epoch < 0) {
		nexus_pack_put(pack);
		return ERR_PTR(epoch);
	}
	rio = kmalloc(struct_size(rio, bvec, max), GFP_NOFS);
	if (!rio) {
		nexus_pack_read_end(pack, epoch);
		nexus_pack_put(pack);
		return ERR_PTR(-ENOMEM);
	}
	INIT_WORK(&rio->work, nexus_rio_work);
	rio->inode = inode;
	rio->pack = pack;
	rio->epoch = epoch;
	rio->fblock = fblock;
	rio->disk_size = disk_size;
	rio->block = e->block;
	rio->nr = 0;
	rio->max = max;
	rio->verify = READ_ONCE(pack->zone->opts.verify) == NEXUS_VERIFY_ALWAYS;
	rio->wait = NULL;
	return rio;
}

static void nexus_rio_add(struct nexus_rio *rio, struct page *page)
{
	bvec_set_page(&rio->bvec[rio->nr++], page, PAGE_SIZE, 0);
}

/* Whether there is something to read for a block; if not, it is zeros. */
static bool nexus_read_find(struct inode *inode, u64 fblock,
			    struct nexus_ext *e, u64 *disk_size)
{
	return nexus_map_find(NEXUS_I(inode), fblock, e, disk_size) &&
	       fblock << NEXUS_BLOCK_SHIFT < *disk_size;
}

/*
 * A read of what the file has at @fblock, of up to @max blocks; NULL: zeros.  A
 * block that has moved or died since its extent was looked up is looked up again;
 * one that the map still names must be there.
 */
static struct nexus_rio *nexus_rio_at(struct inode *inode, u64 fblock, u32 max,
				      bool ahead)
{
	struct nexus_ext e, old = {};
	struct nexus_rio *rio;
	u64 disk_size;

	while (nexus_read_find(inode, fblock, &e, &disk_size)) {
		rio = nexus_rio_new(inode, fblock, &e, disk_size, max, ahead);
		if (rio != ERR_PTR(-ESTALE))
			return rio;
		if (e.pack == old.pack && e.block == old.block) {
			nexus_err(NEXUS_I(inode)->zone, "inode %llu: offset %llu is in block %u of pack %llu, which is gone",
				  (u64)inode->i_ino, fblock << NEXUS_BLOCK_SHIFT,
				  e.block, e.pack);
			return ERR_PTR(-EIO);
		}
		old = e;
	}
	return NULL;
}

int nexus_reader_add(struct nexus_reader *r, struct folio *folio)
{
	struct nexus_rio *rio = r->rio;

	/* rio->max is within one extent. */
	if (rio && rio->nr < rio->max && folio->index == rio->fblock + rio->nr) {
		nexus_rio_add(rio, folio_page(folio, 0));
		return 0;
	}
	nexus_reader_submit(r);

	rio = nexus_rio_at(r->inode, folio->index, r->hint, r->ahead);
	if (!rio) {
		folio_zero_range(folio, 0, folio_size(folio));
		folio_end_read(folio, true);
		return 0;
	}
	if (IS_ERR(rio))
		return PTR_ERR(rio);
	nexus_rio_add(rio, folio_page(folio, 0));
	r->rio = rio;
	return 0;
}

int nexus_read_pages(struct inode *inode, u64 fblock, struct page **pages,
		     u32 nr, unsigned int flags)
{
	struct nexus_read_wait wait = { .left = ATOMIC_INIT(1) };
	struct nexus_rio *rio;
	int err = 0;
	u32 i = 0;

	init_completion(&wait.done);
	while (i < nr) {
		rio = nexus_rio_at(inode, fblock + i, nr - i,
				   !(flags & NEXUS_READ_ASK));
		if (!rio) {
			memzero_page(pages[i++], 0, PAGE_SIZE);
			continue;
		}
		if (IS_ERR(rio)) {
			err = PTR_ERR(rio);
			break;
		}
		while (rio->nr < rio->max)
			nexus_rio_add(rio, pages[i++]);
		if (flags & NEXUS_READ_UNSTABLE)
			rio->verify = false;
		rio->wait = &wait;
		atomic_inc(&wait.left);
		queue_work(nexus_read_wq, &rio->work);
	}
	nexus_read_put(&wait, err);
	/* Local disk, so this ends. */
	wait_for_completion_io(&wait.done);
	return wait.err;
}

int nexus_read_locked(struct inode *inode, struct folio *folio)
{
	struct page *page = folio_page(folio, 0);

	return nexus_read_pages(inode, folio->index, &page, 1, NEXUS_READ_ASK);
}
