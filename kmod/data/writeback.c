// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writeback: dirty folios to pack blocks, EXTENT records, extent map.
 *
 * Nothing here waits for the helper or for a reservation: folios bring theirs.
 * At completion, under the inode's log_mutex: record, map, and only then the end
 * of writeback, so a folio that is clean can always be read back.
 */
#include <linux/backing-dev.h>
#include <linux/cgroup.h>
#include <linux/completion.h>
#include <linux/highmem.h>
#include <linux/kthread.h>
#include <linux/mempool.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/writeback.h>

#include "../log/log.h"
#include "bounce.h"
#include "data.h"
#include "host.h"

#define NEXUS_WIO_MIN		8	/* in the pool: writeback always goes on */
#define NEXUS_WRITERS		16	/* pack writes at once */

struct workqueue_struct *nexus_misc_wq;
struct workqueue_struct *nexus_read_wq;
struct workqueue_struct *nexus_write_wq;
struct workqueue_struct *nexus_sync_wq;
static mempool_t *nexus_wio_pool;

struct nexus_writer {
	struct inode *inode;
	struct writeback_control *wbc;
	loff_t size;			/* of the file, when the folio was looked at */
	struct nexus_wio *wio;
};

static struct nexus_wio *nexus_wio_new(struct inode *inode, u64 fblock)
{
	/*
	 * Never fails: those in flight come back without our help.  The caller
	 * must have submitted its last one.
	 */
	struct nexus_wio *wio = mempool_alloc(nexus_wio_pool, GFP_NOFS);

	wio->inode = inode;
	wio->css = NULL;
	wio->size = 0;
	wio->resv = (struct nexus_resv){ .zone = NEXUS_I(inode)->zone };
	wio->fblock = fblock;
	wio->nr = 0;
	wio->segs = 0;
	wio->flags = nexus_inplace_flags(inode);
	wio->inplace = false;
	bitmap_zero(wio->delayed, NEXUS_EXTENT_BLOCKS_MAX);
	return wio;
}

/* ---- completion --------------------------------------------------------------- */

void nexus_wio_add(struct nexus_wio *wio, struct page *page, u32 nr)
{
	bvec_set_page(&wio->bvec[wio->segs++], page, nr << PAGE_SHIFT, 0);
	wio->nr += nr;
}

static void nexus_wio_checksum(struct nexus_wio *wio)
{
	struct bio_vec *bv = wio->bvec;
	u32 i = 0, at;
	void *p;

	if (wio->flags & NEXUS_EF_NOCRC) {
		memset(wio->crc, 0, wio->nr * sizeof(wio->crc[0]));
		return;
	}
	for (at = 0; at < wio->nr; at++, i++) {
		if (i == bv->bv_len >> PAGE_SHIFT) {
			bv++;
			i = 0;
		}
		p = kmap_local_page(bv->bv_page + i);
		wio->crc[at] = cpu_to_le32(nexus_crc32c(0, p, PAGE_SIZE));
		kunmap_local(p);
	}
}

void nexus_run_record(struct nexus_run *run)
{
	struct nexus_wio *wio = run->wio;
	struct nexus_inode *ni = NEXUS_I(wio->inode);
	struct nexus_rec_extent *rec = &wio->rec;
	size_t len = nexus_rec_extent_len(run->nr);
	struct timespec64 mtime = inode_get_mtime(wio->inode);
	struct timespec64 ctime = inode_get_ctime(wio->inode);
	u64 offset = (wio->fblock + run->first) << NEXUS_BLOCK_SHIFT;
	u64 end = offset + ((u64)run->nr << NEXUS_BLOCK_SHIFT);

	nexus_rec_init(&rec->head, len, NEXUS_REC_EXTENT, 0, nexus_ts(ctime));
	rec->ino = cpu_to_le64(wio->inode->i_ino);
	rec->data_id = cpu_to_le64(ni->data_id);
	rec->offset = cpu_to_le64(offset);
	/*
	 * As it was when the blocks were filled, not as it is: a cut that waits
	 * for this write must learn that there is something above it.
	 */
	rec->size = cpu_to_le64(min(wio->size, end));
	rec->pack = cpu_to_le64(run->pack->id);
	rec->block = cpu_to_le32(run->block);
	rec->nblocks = cpu_to_le32(run->nr);
	rec->flags = cpu_to_le32(wio->flags);
	rec->reserved = 0;
	rec->mtime_s = cpu_to_le64(mtime.tv_sec);
	rec->ctime_s = cpu_to_le64(ctime.tv_sec);
	rec->mtime_ns = cpu_to_le32(mtime.tv_nsec);
	rec->ctime_ns = cpu_to_le32(ctime.tv_nsec);
	memcpy(rec->crc, wio->crc + run->first,
	       run->nr * sizeof(rec->crc[0]));
}

int nexus_run_commit(struct nexus_run *run)
{
	struct nexus_wio *wio = run->wio;
	struct nexus_inode *ni = NEXUS_I(wio->inode);
	u64 fblock = wio->fblock + run->first;
	u64 line = wio->flags & NEXUS_EF_NOCRC ? NEXUS_PL_NOCRC : 0;
	u64 lsn, size;
	u32 i;
	int err;

	for (i = 0; i < run->nr; i++)
		nexus_pack_note(run->pack, run->block + i, wio->inode->i_ino,
				READ_ONCE(ni->data_id),
				(fblock + i) << NEXUS_BLOCK_SHIFT | line,
				le32_to_cpu(wio->crc[run->first + i]));

	mutex_lock(&ni->log_mutex);
	nexus_times_logged(ni, NEXUS_SA_MTIME | NEXUS_SA_CTIME);
	nexus_run_record(run);
	err = nexus_mutate(ni->zone, &wio->resv, &wio->rec.head, &lsn);
	if (!err) {
		size = le64_to_cpu(wio->rec.size);
		if (size > ni->disk_size)
			WRITE_ONCE(ni->disk_size, size);
		nexus_map_insert(ni, fblock, run->pack->id, run->block,
				 run->nr, wio->flags);
		/* Readers look there first. */
		nexus_inline_gone(ni);
		ni->version++;
		ni->gen++;
		nexus_inode_logged(ni, lsn);
	} else {
		nexus_map_unprepare(ni, 1);
	}
	mutex_unlock(&ni->log_mutex);
	return err;
}

/* Blocks [first, first + nr) have their extents, or never get them. */
static void nexus_wio_landed(struct nexus_wio *wio, u32 first, u32 nr)
{
	unsigned long at = first;
	u32 n = 0;

	for_each_set_bit_from(at, wio->delayed, first + nr)
		n++;
	nexus_folio_landed(wio->inode, n);
}

static void nexus_run_written(const struct nexus_run *run)
{
	nexus_count(pack_writes);
	nexus_count_n(pack_write_blocks, run->nr);
	nexus_pack_dirtied(run->pack, run->wio->flags & NEXUS_EF_NOCRC);
}

int nexus_run_write(struct nexus_run *run)
{
	struct nexus_wio *wio = run->wio;
	struct nexus_pack *pack = run->pack;
	int err;

	err = nexus_host_write_part(pack->file, wio->bvec, wio->segs,
				    (size_t)run->first << NEXUS_BLOCK_SHIFT,
				    (size_t)run->nr << NEXUS_BLOCK_SHIFT,
				    run->block);
	if (err) {
		nexus_zone_fail(pack->zone, -EIO, "writing pack %llu failed (%pe)",
				pack->id, ERR_PTR(err));
		return err;
	}
	nexus_run_written(run);
	return 0;
}

bool nexus_run_write_here(struct nexus_run *run)
{
	struct nexus_wio *wio = run->wio;

	if (!nexus_host_write_here(run->pack->file, wio->bvec, wio->segs,
				   (size_t)run->first << NEXUS_BLOCK_SHIFT,
				   (size_t)run->nr << NEXUS_BLOCK_SHIFT,
				   run->block))
		return false;
	nexus_run_written(run);
	return true;
}

/* A part of a folio is on disk, or never gets there. */
static void nexus_folio_written(struct folio *folio)
{
	struct nexus_fstate *fs = folio_get_private(folio);

	/* Without a state it is one part. */
	if (!fs || atomic_dec_and_test(&fs->parts))
		folio_end_writeback(folio);
}

static void nexus_wio_end(struct nexus_wio *wio, int err)
{
	struct nexus_zone *zone = NEXUS_I(wio->inode)->zone;
	struct bio_vec *bv;

	/* fsync tells each open file once; but of what a failed zone lost, always. */
	if (err && READ_ONCE(zone->error))
		WRITE_ONCE(zone->content_lost, true);
	if (err)
		mapping_set_error(wio->inode->i_mapping,
				  err == -ENOSPC ? err : -EIO);
	nexus_log_unreserve(&wio->resv);
	/* After the last one the inode, and then the zone, may go. */
	for (bv = wio->bvec; bv < wio->bvec + wio->segs; bv++)
		nexus_folio_written(page_folio(bv->bv_page));
	mempool_free(wio, nexus_wio_pool);
}

/* Writes what follows @first to as many blocks as a pack has in one run. */
static int nexus_wio_run(struct nexus_wio *wio, u32 first, u32 *nr)
{
	struct nexus_inode *ni = NEXUS_I(wio->inode);
	struct nexus_run run = { .wio = wio, .first = first };
	int err;

	run.pack = nexus_packs_alloc(ni->zone, wio->nr - first, wio->kind,
				     &run.block, &run.nr);
	if (!run.pack)
		return -ENOSPC;
	*nr = run.nr;
	/* A few dozen bytes; waiting for them is waiting for reclaim. */
	while (nexus_map_prepare(ni, 1))
		memalloc_retry_wait(GFP_NOIO);
	err = nexus_run_write(&run);
	if (!err)
		err = nexus_run_commit(&run);
	else
		nexus_map_unprepare(ni, 1);
	nexus_wio_landed(wio, first, run.nr);
	nexus_pack_written(run.pack);
	nexus_pack_put(run.pack);
	return err;
}

static void nexus_wio_work(struct work_struct *work)
{
	struct nexus_wio *wio = container_of(work, struct nexus_wio, work);
	struct nexus_zone *zone = NEXUS_I(wio->inode)->zone;
	unsigned int flags = nexus_host_begin();
	int err = READ_ONCE(zone->error);
	u32 first = 0, nr;

	/* The host's requests are made by this thread, on behalf of who dirtied the inode. */
	if (wio->css)
		kthread_associate_blkcg(wio->css);
	if (!err)
		nexus_wio_checksum(wio);
	if (!err && wio->inplace) {
		err = nexus_inplace_write(wio, &first);
		if (err == -EAGAIN) {
			wio->inplace = !nexus_packs_try_reserve(zone, wio->nr - first,
								NEXUS_PACKS_LATE);
			err = wio->inplace ? -ENOSPC : 0;
		}
	}
	while (!err && first < wio->nr) {
		nr = 0;
		err = nexus_wio_run(wio, first, &nr);
		first += nr;
	}
	if (!wio->inplace)
		nexus_packs_unreserve(zone, wio->nr - first);
	nexus_wio_landed(wio, first, wio->nr - first);
	if (wio->css) {
		kthread_associate_blkcg(NULL);
		css_put(wio->css);
	}
	nexus_host_end(flags);
	nexus_wio_end(wio, err);
}

/* ---- submission ------------------------------------------------------------------ */

/* Small is what somebody waits for; sync(2) writes many files with one flush. */
static enum nexus_packs_kind nexus_writer_kind(const struct nexus_writer *w,
					       u32 nr)
{
	return w->wbc->sync_mode == WB_SYNC_ALL && !w->wbc->for_sync &&
	       nr <= NEXUS_SMALL_BLOCKS ? NEXUS_PACKS_SMALL :
					  NEXUS_PACKS_STREAM;
}

/* Of the cgroup whose writeback this is, referenced, or NULL. */
static struct cgroup_subsys_state *nexus_writer_css(const struct nexus_writer *w)
{
	struct cgroup_subsys_state *css = NULL;

#ifdef CONFIG_CGROUP_WRITEBACK
	if (w->wbc->wb)
		css = w->wbc->wb->blkcg_css;
	if (css)
		css_get(css);
#endif
	return css;
}

static void nexus_writer_submit(struct nexus_writer *w)
{
	struct nexus_wio *wio = w->wio;

	w->wio = NULL;
	if (!wio)
		return;
	if (!wio->nr) {
		mempool_free(wio, nexus_wio_pool);
		return;
	}
	wio->kind = nexus_writer_kind(w, wio->nr);
	wio->css = nexus_writer_css(w);
	INIT_WORK(&wio->work, nexus_wio_work);
	queue_work(nexus_write_wq, &wio->work);
}

/*
 * Blocks that got dirty behind our back (pinned pages written by a device) have
 * nothing reserved: take of what is kept for that.  If it is gone, too, fsync says
 * so and the folio stays dirty until there is room again.
 */
static bool nexus_folio_late(struct nexus_zone *zone, u32 n, u32 records,
			     struct nexus_resv *resv)
{
	if (n && !nexus_packs_try_reserve(zone, n, NEXUS_PACKS_LATE))
		return false;
	if (records && !nexus_log_reserve_late(zone, resv,
					       records * NEXUS_FOLIO_BYTES)) {
		nexus_packs_unreserve(zone, n);
		return false;
	}
	return true;
}

/*
 * Which of the @blocks of a folio are to be written, in *@blocks: those that are
 * @wanted, or all if it got dirty behind our back; and in *@inplace which of them
 * where they are.  @resv gets their log bytes.
 */
static int nexus_folio_claim(struct inode *inode, struct folio *folio,
			     u64 wanted, u64 *blocks, struct nexus_resv *resv,
			     u64 *delayed, u64 *inplace)
{
	struct nexus_fstate *fs = folio_get_private(folio);
	struct nexus_zone *zone = NEXUS_I(inode)->zone;
	u64 late, none, full;

	if (wanted)
		*blocks &= wanted;
	*inplace = nexus_inplace_mask(inode, folio, *blocks);
	late = *blocks & ~(fs ? fs->marked : 0);
	none = (late | (fs ? *blocks & fs->bare : 0)) & ~*inplace;
	if ((late || none) && !nexus_folio_late(zone, hweight64(none),
						hweight64(late), resv))
		return -ENOSPC;
	full = nexus_folio_take(inode, folio, *blocks, resv, delayed);
	/* Taken when they had no place yet. */
	nexus_packs_unreserve(zone, hweight64(full & *inplace));
	if (fs) {
		fs->writing = *blocks;
		fs->pinned = folio_maybe_dma_pinned(folio);
	}
	return 0;
}

/* Blocks [first, first + n) of a folio under writeback; all @inplace, or none. */
static void nexus_write_part(struct nexus_writer *w, struct folio *folio,
			     u32 first, u32 n, u64 delayed, bool inplace,
			     struct nexus_resv *resv)
{
	u64 fblock = folio->index + first;
	struct nexus_fstate *fs = folio_get_private(folio);
	struct nexus_wio *wio = w->wio;
	u64 end = (fblock + n) << NEXUS_BLOCK_SHIFT;
	u32 i;

	/* A folio without a state is one part, and does not know of more. */
	if (wio && (wio->nr + n > NEXUS_EXTENT_BLOCKS_MAX ||
		    wio->inplace != inplace || fblock != wio->fblock + wio->nr)) {
		nexus_writer_submit(w);
		wio = NULL;
	}
	if (!wio) {
		wio = nexus_wio_new(w->inode, fblock);
		wio->inplace = inplace;
		w->wio = wio;
	}
	nexus_resv_move(&wio->resv, resv, n * NEXUS_FOLIO_BYTES);
	wio->size = max_t(u64, wio->size,
			  min_t(u64, w->size, end));
	for (i = 0; i < n; i++)
		if (delayed & BIT_ULL(first + i))
			__set_bit(wio->nr + i, wio->delayed);
	if (fs)
		atomic_inc(&fs->parts);
	nexus_wio_add(wio, folio_page(folio, first), n);
}

/* @folio is locked, clean by now, and not under writeback. */
static void nexus_write_folio(struct nexus_writer *w, struct folio *folio)
{
	struct nexus_fstate *fs = folio_get_private(folio);
	struct inode *inode = w->inode;
	struct nexus_resv resv = { .zone = NEXUS_I(inode)->zone };
	u64 wanted = fs ? nexus_folio_wanted(fs) : 0;
	u32 nr = folio_nr_pages(folio), first, n;
	loff_t pos = folio_pos(folio);
	u64 blocks, delayed, inplace, part;

	nexus_wbc_account(w->wbc, folio, folio_size(folio));
	w->size = i_size_read(inode);
	if (w->size < pos + (loff_t)folio_size(folio)) {
		/* Blocks behind the end: it is being truncated. */
		n = w->size > pos ? DIV_ROUND_UP(w->size - pos, PAGE_SIZE) : 0;
		nexus_folio_unmark(inode, folio, nexus_folio_mask(n, nr));
		nr = n;
		if (nr)
			folio_zero_segment(folio, w->size - pos,
					   folio_size(folio));
	}
	blocks = nexus_folio_mask(0, nr);
	if (nr && nexus_folio_claim(inode, folio, wanted, &blocks, &resv,
				    &delayed, &inplace)) {
		mapping_set_error(inode->i_mapping, -ENOSPC);
		folio_redirty_for_writepage(w->wbc, folio);
		blocks = 0;
	}
	if (!blocks) {
		folio_unlock(folio);
		return;
	}
	if (nexus_inline_write(inode, folio, w->size, delayed, &resv))
		return;
	/* While the parts are counted it does not end. */
	if (fs)
		atomic_set(&fs->parts, 1);
	folio_start_writeback(folio);
	while (blocks) {
		first = __ffs64(blocks);
		part = blocks & (inplace & BIT_ULL(first) ? inplace : ~inplace);
		/* Up to the first that is not; the bits above the last are not. */
		n = ~part ? __ffs64(~(part >> first)) : nr;
		nexus_write_part(w, folio, first, n, delayed,
				 inplace & BIT_ULL(first), &resv);
		blocks &= ~nexus_folio_mask(first, first + n);
	}
	folio_unlock(folio);
	if (fs)
		nexus_folio_written(folio);
}

int nexus_writepages(struct address_space *mapping,
		     struct writeback_control *wbc)
{
	struct nexus_writer w = { .inode = mapping->host, .wbc = wbc };
	struct folio *folio = NULL;
	unsigned int nofs;
	int err;

	/* sync_inode_metadata() means it; what the log has may stay dirty. */
	if (!wbc->nr_to_write)
		return 0;
	nofs = memalloc_nofs_save();
	while ((folio = writeback_iter(mapping, wbc, folio, &err)))
		nexus_write_folio(&w, folio);
	nexus_writer_submit(&w);
	memalloc_nofs_restore(nofs);
	return err;
}

/* ---- single blocks ------------------------------------------------------------------ */

struct nexus_block_write {
	struct work_struct work;
	struct completion done;
	struct nexus_pack *pack;
	struct page *page;
	u32 block;
	u32 crc;
	int err;
};

static void nexus_block_write_work(struct work_struct *work)
{
	struct nexus_block_write *bw =
		container_of(work, struct nexus_block_write, work);
	unsigned int flags = nexus_host_begin();
	struct bio_vec bvec;
	void *p;

	p = kmap_local_page(bw->page);
	bw->crc = nexus_crc32c(0, p, PAGE_SIZE);
	kunmap_local(p);
	bvec_set_page(&bvec, bw->page, PAGE_SIZE, 0);
	bw->err = nexus_host_write(bw->pack->file, &bvec, 1, PAGE_SIZE,
				   bw->block);
	if (bw->err)
		nexus_zone_fail(bw->pack->zone, -EIO, "writing pack %llu failed (%pe)",
				bw->pack->id, ERR_PTR(bw->err));
	nexus_host_end(flags);
	complete(&bw->done);
}

int nexus_write_block(struct nexus_zone *zone, struct page *page,
		      struct nexus_pack **pack, u32 *block, u32 *crc)
{
	struct nexus_block_write bw = { .page = page };
	u32 got;

	bw.pack = nexus_packs_alloc(zone, 1, NEXUS_PACKS_SMALL, &bw.block, &got);
	if (!bw.pack)
		return -ENOSPC;
	INIT_WORK_ONSTACK(&bw.work, nexus_block_write_work);
	init_completion(&bw.done);
	queue_work(nexus_write_wq, &bw.work);
	/* Local disk, so this ends. */
	wait_for_completion(&bw.done);
	destroy_work_on_stack(&bw.work);
	if (bw.err) {
		nexus_pack_written(bw.pack);
		nexus_pack_put(bw.pack);
		return -EIO;
	}
	nexus_count(pack_writes);
	nexus_count(pack_write_blocks);
	nexus_pack_dirtied(bw.pack, false);
	*pack = bw.pack;
	*block = bw.block;
	*crc = bw.crc;
	return 0;
}

/* ---- module ---------------------------------------------------------------------------- */

int nexus_data_init(void)
{
	BUILD_BUG_ON(sizeof(struct nexus_rec_extent) +
		     4 * NEXUS_EXTENT_BLOCKS_MAX > NEXUS_REC_LEN_MAX);
	nexus_wio_pool = mempool_create_kmalloc_pool(NEXUS_WIO_MIN,
						     sizeof(struct nexus_wio));
	nexus_misc_wq = alloc_workqueue("nexus_misc", WQ_UNBOUND, 0);
	nexus_read_wq = alloc_workqueue("nexus_read",
					WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	nexus_write_wq = alloc_workqueue("nexus_write",
					 WQ_UNBOUND | WQ_MEM_RECLAIM,
					 NEXUS_WRITERS);
	nexus_sync_wq = alloc_workqueue("nexus_sync", WQ_UNBOUND, 0);
	if (nexus_wio_pool && nexus_misc_wq && nexus_read_wq && nexus_write_wq &&
	    nexus_sync_wq && !nexus_bounce_init())
		return 0;
	nexus_data_exit();
	return -ENOMEM;
}

void nexus_data_exit(void)
{
	if (nexus_sync_wq)
		destroy_workqueue(nexus_sync_wq);
	/* misc before the others: it may hold the last reference of a zone. */
	if (nexus_misc_wq)
		destroy_workqueue(nexus_misc_wq);
	if (nexus_write_wq)
		destroy_workqueue(nexus_write_wq);
	nexus_reads_drain();
	if (nexus_read_wq)
		destroy_workqueue(nexus_read_wq);
	nexus_bounce_exit();
	mempool_destroy(nexus_wio_pool);
}
