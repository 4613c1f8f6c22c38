// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading pack blocks into the page cache, or into pages of a caller who waits.
 *
 * The reader resolves extents and packs, which nexus_content_load() has brought
 * here.  A read is started where it is asked for, if the host can do that without
 * waiting, and goes to a worker if not, if it failed or came out short, or if
 * checksums are to be looked at.  Its end is taken care of wherever the host says
 * so, in an interrupt, too.
 *
 * A folio that does not lie in one piece in a pack is several reads; its state
 * counts them.
 */
#include <linux/highmem.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "data.h"
#include "host.h"

/* A read of contiguous file blocks that are contiguous in a pack. */
struct nexus_rio {
	struct work_struct work;
	/* The read's, and of who starts it: the host looks at the iocb after its end. */
	refcount_t ref;
	struct kiocb iocb;
	struct inode *inode;
	struct nexus_pack *pack;
	int epoch;			/* of nexus_pack_read_begin() */
	u64 fblock;
	u64 disk_size;
	u32 block;
	u32 nr, max;			/* blocks */
	u32 segs;			/* of bvec: whole blocks each */
	bool verify;
	struct nexus_read_wait *wait;	/* NULL: folios, which are unlocked at the end */
	struct bio_vec bvec[];
};

static atomic_t nexus_reads = ATOMIC_INIT(0);

/* ---- the end ----------------------------------------------------------------- */

void nexus_read_put(struct nexus_read_wait *wait, int err)
{
	if (err)
		cmpxchg(&wait->err, 0, err);
	if (!atomic_dec_and_test(&wait->left))
		return;
	if (wait->end)
		wait->end(wait);
	else
		complete(&wait->done);
}

/* Of a locked folio, @blocks have been read, or could not be. */
static void nexus_folio_part(struct folio *folio, u64 blocks, bool ok)
{
	struct nexus_fstate *fs = folio_get_private(folio);

	if (fs) {
		if (ok)
			atomic64_or(blocks, &fs->good);
		else
			WRITE_ONCE(fs->failed, true);
		if (!atomic_dec_and_test(&fs->parts))
			return;
		ok = !READ_ONCE(fs->failed);
	}
	folio_end_read(folio, ok);
}

/* Bytes after the last one ever written are zeros, whatever the block holds. */
static void nexus_rio_clear_tail(struct nexus_rio *rio)
{
	u64 at = rio->fblock << NEXUS_BLOCK_SHIFT, from, i;
	struct bio_vec *bv;
	struct page *page;

	if (at + ((u64)rio->nr << NEXUS_BLOCK_SHIFT) <= rio->disk_size)
		return;
	for (bv = rio->bvec; bv < rio->bvec + rio->segs; bv++) {
		for (i = 0; i < bv->bv_len; i += PAGE_SIZE, at += PAGE_SIZE) {
			if (at + PAGE_SIZE <= rio->disk_size)
				continue;
			from = rio->disk_size > at ? rio->disk_size - at : 0;
			page = bv->bv_page + (i >> PAGE_SHIFT);
			memzero_page(page, from, PAGE_SIZE - from);
		}
	}
}

static void nexus_rio_free(struct nexus_rio *rio)
{
	nexus_pack_put(rio->pack);
	kfree(rio);
}

static void nexus_rio_free_work(struct work_struct *work)
{
	nexus_rio_free(container_of(work, struct nexus_rio, work));
	if (atomic_dec_and_test(&nexus_reads))
		wake_up_var(&nexus_reads);
}

/* Any context. */
static void nexus_rio_put(struct nexus_rio *rio)
{
	if (!refcount_dec_and_test(&rio->ref))
		return;
	/* The last user of a pack may sleep, and that is not for here. */
	if (!refcount_dec_not_one(&rio->pack->ref.refcount)) {
		INIT_WORK(&rio->work, nexus_rio_free_work);
		queue_work(nexus_read_wq, &rio->work);
		return;
	}
	kfree(rio);
	if (atomic_dec_and_test(&nexus_reads))
		wake_up_var(&nexus_reads);
}

/* Any context; puts the read's reference. */
static void nexus_rio_end(struct nexus_rio *rio, int err)
{
	struct bio_vec *bv;
	struct folio *folio;
	u32 first;

	if (!err)
		nexus_rio_clear_tail(rio);
	nexus_count(pack_reads);
	nexus_count_n(pack_read_blocks, rio->nr);
	if (rio->wait) {
		nexus_read_put(rio->wait, err);
	} else {
		/* After the last one the inode, and then the zone, may go. */
		for (bv = rio->bvec; bv < rio->bvec + rio->segs; bv++) {
			folio = page_folio(bv->bv_page);
			first = folio_page_idx(folio, bv->bv_page);
			nexus_folio_part(folio,
					 nexus_folio_mask(first, first +
							  (bv->bv_len >> PAGE_SHIFT)),
					 !err);
		}
	}
	nexus_pack_read_end(rio->pack, rio->epoch);
	nexus_rio_put(rio);
}

static int nexus_rio_verify_block(struct nexus_rio *rio, struct page *page, u32 block)
{
	void *p = kmap_local_page(page);
	u32 crc = nexus_crc32c(0, p, PAGE_SIZE);

	kunmap_local(p);
	return nexus_pack_verify(rio->pack, block, crc, rio->inode->i_ino);
}

static int nexus_rio_verify(struct nexus_rio *rio)
{
	u32 i, at = rio->block;
	struct bio_vec *bv;
	int err = 0;

	for (bv = rio->bvec; bv < rio->bvec + rio->segs; bv++)
		for (i = 0; i < bv->bv_len >> PAGE_SHIFT && !err; i++, at++)
			err = nexus_rio_verify_block(rio, bv->bv_page + i, at);
	return err;
}

/*
 * It failed: each block of large folios by itself, so that what is good of them can
 * be read.  Single ones are going to be tried by whoever wants them.
 */
static void nexus_rio_salvage(struct nexus_rio *rio)
{
	struct nexus_fstate *fs;
	struct bio_vec *bv, one;
	u32 i, at = rio->block;
	struct page *page;
	int err;

	for (bv = rio->bvec; bv < rio->bvec + rio->segs; bv++) {
		fs = folio_get_private(page_folio(bv->bv_page));
		for (i = 0; i < bv->bv_len >> PAGE_SHIFT; i++, at++) {
			if (!fs)
				continue;
			page = bv->bv_page + i;
			bvec_set_page(&one, page, PAGE_SIZE, 0);
			err = nexus_host_read(rio->pack->file, &one, 1, PAGE_SIZE, at);
			if (!err && rio->verify)
				err = nexus_rio_verify_block(rio, page, at);
			if (!err)
				atomic64_or(BIT_ULL(folio_page_idx(page_folio(page), page)),
					    &fs->good);
		}
	}
	nexus_rio_clear_tail(rio);
}

static size_t nexus_rio_bytes(const struct nexus_rio *rio)
{
	return (size_t)rio->nr << NEXUS_BLOCK_SHIFT;
}

static void nexus_rio_work(struct work_struct *work)
{
	struct nexus_rio *rio = container_of(work, struct nexus_rio, work);
	struct nexus_pack *pack = rio->pack;
	unsigned int flags = nexus_host_begin();
	int err;

	err = nexus_host_read(pack->file, rio->bvec, rio->segs,
			      nexus_rio_bytes(rio), rio->block);
	if (err)
		nexus_err(NEXUS_I(rio->inode)->zone,
			  "inode %llu: reading pack %llu at block %u failed (%pe)",
			  (u64)rio->inode->i_ino, pack->id, rio->block,
			  ERR_PTR(err));
	else if (rio->verify)
		err = nexus_rio_verify(rio);
	if (err && !rio->wait)
		nexus_rio_salvage(rio);
	nexus_host_end(flags);
	nexus_rio_end(rio, err);
}

static void nexus_rio_complete(struct kiocb *iocb, long ret)
{
	struct nexus_rio *rio = container_of(iocb, struct nexus_rio, iocb);

	/* nexus_reads_drain() waits for who is in here, too. */
	rcu_read_lock();
	if (ret == nexus_rio_bytes(rio))
		nexus_rio_end(rio, 0);
	else
		queue_work(nexus_read_wq, &rio->work);
	rcu_read_unlock();
}

void nexus_reads_drain(void)
{
	wait_var_event(&nexus_reads, !atomic_read(&nexus_reads));
	synchronize_rcu();
}

/* ---- the start ----------------------------------------------------------------- */

static void nexus_rio_start(struct nexus_rio *rio)
{
	atomic_inc(&nexus_reads);
	refcount_inc(&rio->ref);
	if (rio->verify ||
	    !nexus_host_read_begin(&rio->iocb, rio->pack->file, rio->bvec,
				   rio->segs, nexus_rio_bytes(rio), rio->block,
				   nexus_rio_complete))
		queue_work(nexus_read_wq, &rio->work);
	nexus_rio_put(rio);
}

void nexus_reader_submit(struct nexus_reader *r)
{
	if (r->rio)
		nexus_rio_start(r->rio);
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
	refcount_set(&rio->ref, 1);
	rio->inode = inode;
	rio->pack = pack;
	rio->epoch = epoch;
	rio->fblock = fblock;
	rio->disk_size = disk_size;
	rio->block = e->block;
	rio->nr = 0;
	rio->segs = 0;
	rio->max = max;
	rio->verify = READ_ONCE(pack->zone->opts.verify) == NEXUS_VERIFY_ALWAYS;
	rio->wait = NULL;
	return rio;
}

/* @nr blocks in a row. */
static void nexus_rio_add(struct nexus_rio *rio, struct page *page, u32 nr)
{
	bvec_set_page(&rio->bvec[rio->segs++], page, nr << PAGE_SHIFT, 0);
	rio->nr += nr;
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
 * one that the map still names is to be fetched: -EAGAIN.
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
		if (e.pack == old.pack && e.block == old.block)
			return ERR_PTR(-EAGAIN);
		old = e;
	}
	return NULL;
}

/*
 * Blocks of a folio from @first on: adds as many as there are in one piece and
 * returns how many; 0: there is nothing to read for the first one, which is zeroed;
 * or -errno.
 */
static int nexus_reader_some(struct nexus_reader *r, struct folio *folio,
			     u32 first)
{
	u64 fblock = folio->index + first;
	u32 n = folio_nr_pages(folio) - first;
	struct nexus_fstate *fs = folio_get_private(folio);
	struct nexus_rio *rio = r->rio;

	/* rio->max is within one extent. */
	if (!rio || rio->nr == rio->max || fblock != rio->fblock + rio->nr) {
		nexus_reader_submit(r);
		rio = nexus_rio_at(r->inode, fblock, max(r->hint, n), r->ahead);
		if (!rio) {
			if (!nexus_inline_read(r->inode, fblock,
					       folio_page(folio, first)))
				folio_zero_range(folio, first << PAGE_SHIFT,
						 PAGE_SIZE);
			if (fs)
				atomic64_or(BIT_ULL(first), &fs->good);
			return 0;
		}
		if (IS_ERR(rio))
			return PTR_ERR(rio);
		r->rio = rio;
	}
	n = min(n, rio->max - rio->nr);
	if (fs)
		atomic_inc(&fs->parts);
	nexus_rio_add(rio, folio_page(folio, first), n);
	return n;
}

int nexus_reader_add(struct nexus_reader *r, struct folio *folio)
{
	struct nexus_fstate *fs = folio_get_private(folio);
	u32 nr = folio_nr_pages(folio), at = 0, missing = 0;
	int ret = 0;

	/* A single block is one read; where there is a state it counts. */
	if (!fs && nr > 1) {
		fs = nexus_folio_state(folio);
		if (!fs)
			return -ENOMEM;
	}
	if (fs) {
		fs->failed = false;
		atomic64_set(&fs->good, 0);
		atomic_set(&fs->parts, 1);
	}
	while (at < nr) {
		ret = nexus_reader_some(r, folio, at);
		/* What is not there is no reason not to show the rest. */
		if (ret == -EAGAIN)
			missing++;
		else if (ret < 0)
			break;
		at += max(ret, 1);
	}
	if (ret < 0 && at == missing)
		return ret;
	/* What has been started unlocks it. */
	if (fs)
		nexus_folio_part(folio, 0, ret >= 0 && !missing);
	else if (!ret)
		folio_end_read(folio, true);
	return 0;
}

u32 nexus_pages_row(struct page **pages, u32 nr)
{
	struct folio *folio = page_folio(pages[0]);
	u32 n = 1;

	while (n < nr && pages[n] == pages[0] + n &&
	       page_folio(pages[n]) == folio)
		n++;
	return n;
}

int nexus_read_begin(struct nexus_read_wait *wait, struct inode *inode, u64 fblock,
		     struct page **pages, u32 nr, bool unstable)
{
	struct nexus_rio *rio;
	u32 i = 0, n;

	while (i < nr) {
		if (nexus_inline_read(inode, fblock + i, pages[i])) {
			i++;
			continue;
		}
		rio = nexus_rio_at(inode, fblock + i, nr - i, true);
		if (!rio) {
			memzero_page(pages[i++], 0, PAGE_SIZE);
			continue;
		}
		if (IS_ERR(rio))
			return PTR_ERR(rio);
		for (; rio->nr < rio->max; i += n) {
			n = nexus_pages_row(pages + i, rio->max - rio->nr);
			nexus_rio_add(rio, pages[i], n);
		}
		if (unstable)
			rio->verify = false;
		rio->wait = wait;
		atomic_inc(&wait->left);
		nexus_rio_start(rio);
	}
	return 0;
}

int nexus_read_wait(struct nexus_read_wait *wait, int err)
{
	wait->end = NULL;
	nexus_read_put(wait, err);
	/* Local disk, so this ends. */
	wait_for_completion_io(&wait->done);
	return wait->err;
}

int nexus_read_pages(struct inode *inode, u64 fblock, struct page **pages,
		     u32 nr, bool unstable)
{
	struct nexus_read_wait wait;

	nexus_read_wait_init(&wait, NULL);
	return nexus_read_wait(&wait, nexus_read_begin(&wait, inode, fblock, pages,
						       nr, unstable));
}

int nexus_read_blocks(struct inode *inode, struct folio *folio, u32 first, u32 nr)
{
	struct page *pages[16];
	u32 n, i;
	int err = 0;

	for (; nr && !err; first += n, nr -= n) {
		n = min_t(u32, nr, ARRAY_SIZE(pages));
		for (i = 0; i < n; i++)
			pages[i] = folio_page(folio, first + i);
		err = nexus_read_pages(inode, folio->index + first, pages, n,
				       false);
	}
	return err;
}
