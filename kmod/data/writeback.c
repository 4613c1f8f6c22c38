// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writeback: dirty folios to pack blocks, EXTENT records, extent map.
 *
 * Nothing here waits for the helper or for a reservation: folios bring theirs.
 * At completion, under the inode's log_mutex: record, map, and only then the end
 * of writeback, so a folio that is clean can always be read back.
 */
#include <linux/completion.h>
#include <linux/highmem.h>
#include <linux/mempool.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/writeback.h>

#include "../log/log.h"
#include "data.h"
#include "host.h"

#define NEXUS_WIO_MIN		8	/* in the pool: writeback always goes on */
#define NEXUS_WRITERS		16	/* pack writes at once */

struct workqueue_struct *nexus_misc_wq;
struct workqueue_struct *nexus_read_wq;
struct workqueue_struct *nexus_write_wq;
static mempool_t *nexus_wio_pool;

/* A write of contiguous file blocks to contiguous pack blocks. */
struct nexus_wio {
	struct work_struct work;
	struct inode *inode;
	struct nexus_pack *pack;
	struct nexus_resv resv;		/* log bytes the folios held */
	u64 fblock;
	u32 block;
	u32 nr;
	/* Not in the record before it is begun: nexus_rec_init() clears there. */
	__le32 crc[NEXUS_EXTENT_BLOCKS_MAX];
	struct bio_vec bvec[NEXUS_EXTENT_BLOCKS_MAX];
	union {
		struct nexus_rec_extent rec;
		u8 room[sizeof(struct nexus_rec_extent) +
			4 * NEXUS_EXTENT_BLOCKS_MAX];
	};
};

struct nexus_writer {
	struct inode *inode;
	struct nexus_wio *wio;
};

static struct nexus_wio *nexus_wio_new(struct inode *inode, u64 fblock)
{
	/* Never fails: those in flight come back without our help. */
	struct nexus_wio *wio = mempool_alloc(nexus_wio_pool, GFP_NOFS);

	wio->inode = inode;
	wio->pack = NULL;
	wio->resv = (struct nexus_resv){ .zone = NEXUS_I(inode)->zone };
	wio->fblock = fblock;
	wio->nr = 0;
	return wio;
}

/* ---- completion --------------------------------------------------------------- */

static void nexus_wio_checksum(struct nexus_wio *wio)
{
	void *p;
	u32 i;

	for (i = 0; i < wio->nr; i++) {
		p = kmap_local_page(wio->bvec[i].bv_page);
		wio->crc[i] = cpu_to_le32(nexus_crc32c(0, p, PAGE_SIZE));
		kunmap_local(p);
	}
}

/* The record, as file and pack are now; log_mutex held. */
static void nexus_wio_record(struct nexus_wio *wio)
{
	struct nexus_inode *ni = NEXUS_I(wio->inode);
	struct nexus_rec_extent *rec = &wio->rec;
	size_t len = nexus_rec_extent_len(wio->nr);
	struct timespec64 mtime = inode_get_mtime(wio->inode);
	struct timespec64 ctime = inode_get_ctime(wio->inode);
	u64 offset = wio->fblock << NEXUS_BLOCK_SHIFT;
	u64 end = offset + ((u64)wio->nr << NEXUS_BLOCK_SHIFT);

	nexus_rec_init(&rec->head, len, NEXUS_REC_EXTENT, 0, nexus_ts(ctime));
	rec->ino = cpu_to_le64(wio->inode->i_ino);
	rec->data_id = cpu_to_le64(ni->data_id);
	rec->offset = cpu_to_le64(offset);
	rec->size = cpu_to_le64(min_t(u64, i_size_read(wio->inode), end));
	rec->pack = cpu_to_le64(wio->pack->id);
	rec->block = cpu_to_le32(wio->block);
	rec->nblocks = cpu_to_le32(wio->nr);
	rec->flags = 0;
	rec->reserved = 0;
	rec->mtime_s = cpu_to_le64(mtime.tv_sec);
	rec->ctime_s = cpu_to_le64(ctime.tv_sec);
	rec->mtime_ns = cpu_to_le32(mtime.tv_nsec);
	rec->ctime_ns = cpu_to_le32(ctime.tv_nsec);
	memcpy(rec->crc, wio->crc, wio->nr * sizeof(rec->crc[0]));
}

static int nexus_wio_commit(struct nexus_wio *wio)
{
	struct nexus_inode *ni = NEXUS_I(wio->inode);
	u64 lsn, size;
	u32 i;
	int err;

	for (i = 0; i < wio->nr; i++)
		nexus_pack_note(wio->pack, wio->block + i, wio->inode->i_ino,
				READ_ONCE(ni->data_id),
				(wio->fblock + i) << NEXUS_BLOCK_SHIFT,
				le32_to_cpu(wio->crc[i]));

	mutex_lock(&ni->log_mutex);
	nexus_wio_record(wio);
	err = nexus_mutate(ni->zone, &wio->resv, &wio->rec.head, &lsn);
	if (!err) {
		size = le64_to_cpu(wio->rec.size);
		if (size > ni->disk_size)
			WRITE_ONCE(ni->disk_size, size);
		nexus_map_insert(ni, wio->fblock, wio->pack->id, wio->block,
				 wio->nr);
		ni->version++;
		ni->gen++;
		nexus_inode_logged(ni, lsn);
		nexus_times_logged(ni, NEXUS_SA_MTIME | NEXUS_SA_CTIME);
	} else {
		nexus_map_unprepare(ni, 1);
	}
	mutex_unlock(&ni->log_mutex);
	return err;
}

static void nexus_wio_end(struct nexus_wio *wio, int err)
{
	u32 i;

	/* fsync tells each open file once. */
	if (err)
		mapping_set_error(wio->inode->i_mapping,
				  err == -ENOSPC ? err : -EIO);
	nexus_log_unreserve(&wio->resv);
	/* After the last one the inode, and then the zone, may go. */
	for (i = 0; i < wio->nr; i++)
		folio_end_writeback(page_folio(wio->bvec[i].bv_page));
	mempool_free(wio, nexus_wio_pool);
}

static void nexus_wio_work(struct work_struct *work)
{
	struct nexus_wio *wio = container_of(work, struct nexus_wio, work);
	struct nexus_zone *zone = NEXUS_I(wio->inode)->zone;
	struct nexus_pack *pack = wio->pack;
	unsigned int flags = nexus_host_begin();
	int err = READ_ONCE(zone->error);

	if (!err) {
		nexus_wio_checksum(wio);
		err = nexus_host_write(pack->file, wio->bvec, wio->nr,
				       (size_t)wio->nr << NEXUS_BLOCK_SHIFT,
				       wio->block);
		if (err)
			nexus_zone_fail(zone, -EIO, "writing pack %llu failed (%pe)",
					pack->id, ERR_PTR(err));
	}
	if (!err) {
		nexus_count(pack_writes);
		nexus_count_n(pack_write_blocks, wio->nr);
		nexus_pack_dirtied(pack);
		err = nexus_wio_commit(wio);
	} else {
		nexus_map_unprepare(NEXUS_I(wio->inode), 1);
	}
	nexus_host_end(flags);
	nexus_pack_written(pack);
	nexus_pack_put(pack);
	nexus_wio_end(wio, err);
}

/* ---- submission ------------------------------------------------------------------ */

/* What did not fit into the run becomes the next I/O. */
static struct nexus_wio *nexus_wio_split(struct nexus_wio *wio, u32 nr)
{
	struct nexus_wio *rest = nexus_wio_new(wio->inode, wio->fblock + nr);

	rest->nr = wio->nr - nr;
	memcpy(rest->bvec, wio->bvec + nr, rest->nr * sizeof(rest->bvec[0]));
	nexus_resv_move(&rest->resv, &wio->resv,
			(u64)rest->nr * NEXUS_FOLIO_BYTES);
	wio->nr = nr;
	return rest;
}

static void nexus_wio_submit(struct nexus_wio *wio)
{
	struct nexus_inode *ni = NEXUS_I(wio->inode);
	struct nexus_wio *rest;
	u32 got;

	while (wio) {
		/* A few dozen bytes; waiting for them is waiting for reclaim. */
		while (nexus_map_prepare(ni, 1))
			memalloc_retry_wait(GFP_NOFS);
		wio->pack = nexus_packs_alloc(ni->zone, wio->nr, &wio->block,
					      &got);
		if (!wio->pack) {
			nexus_map_unprepare(ni, 1);
			nexus_wio_end(wio, -ENOSPC);
			return;
		}
		rest = got < wio->nr ? nexus_wio_split(wio, got) : NULL;
		INIT_WORK(&wio->work, nexus_wio_work);
		queue_work(nexus_write_wq, &wio->work);
		wio = rest;
	}
}

static void nexus_writer_submit(struct nexus_writer *w)
{
	if (w->wio && w->wio->nr)
		nexus_wio_submit(w->wio);
	else if (w->wio)
		mempool_free(w->wio, nexus_wio_pool);
	w->wio = NULL;
}

/*
 * A folio that got dirty behind our back (pinned pages written by a device) has
 * nothing reserved: take what there is.
 */
static int nexus_folio_late(struct nexus_zone *zone, struct nexus_resv *to)
{
	struct nexus_resv resv;

	if (!nexus_packs_try_reserve(zone, 1))
		return -ENOSPC;
	nexus_log_reserve_forced(zone, &resv, NEXUS_FOLIO_BYTES);
	nexus_resv_move(to, &resv, NEXUS_FOLIO_BYTES);
	return 0;
}

/* @folio is locked, clean by now, and not under writeback. */
static int nexus_write_folio(struct nexus_writer *w, struct folio *folio)
{
	struct inode *inode = w->inode;
	struct nexus_wio *wio = w->wio;
	loff_t size = i_size_read(inode), pos = folio_pos(folio);
	int err;

	if (pos >= size) {
		/* Being truncated. */
		nexus_folio_unmark(inode, folio);
		folio_unlock(folio);
		return 0;
	}
	if (size - pos < folio_size(folio))
		folio_zero_segment(folio, size - pos, folio_size(folio));

	if (wio && (wio->nr == NEXUS_EXTENT_BLOCKS_MAX ||
		    folio->index != wio->fblock + wio->nr)) {
		nexus_writer_submit(w);
		wio = NULL;
	}
	if (!wio) {
		wio = nexus_wio_new(inode, folio->index);
		w->wio = wio;
	}
	if (!nexus_folio_take(inode, folio, &wio->resv)) {
		err = nexus_folio_late(NEXUS_I(inode)->zone, &wio->resv);
		if (err) {
			mapping_set_error(inode->i_mapping, err);
			folio_unlock(folio);
			return 0;
		}
	}
	bvec_set_folio(&wio->bvec[wio->nr++], folio, folio_size(folio), 0);
	folio_start_writeback(folio);
	folio_unlock(folio);
	return 0;
}

int nexus_writepages(struct address_space *mapping,
		     struct writeback_control *wbc)
{
	struct nexus_writer w = { .inode = mapping->host };
	unsigned int nofs = memalloc_nofs_save();
	struct folio *folio = NULL;
	int err;

	while ((folio = writeback_iter(mapping, wbc, folio, &err)))
		err = nexus_write_folio(&w, folio);
	nexus_writer_submit(&w);
	memalloc_nofs_restore(nofs);
	return err;
}

int nexus_data_write_and_wait(struct inode *inode)
{
	return filemap_write_and_wait(inode->i_mapping);
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

	bw.pack = nexus_packs_alloc(zone, 1, &bw.block, &got);
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
	nexus_pack_dirtied(bw.pack);
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
	if (nexus_wio_pool && nexus_misc_wq && nexus_read_wq && nexus_write_wq)
		return 0;
	nexus_data_exit();
	return -ENOMEM;
}

void nexus_data_exit(void)
{
	/* misc first: it may hold the last reference of a zone. */
	if (nexus_misc_wq)
		destroy_workqueue(nexus_misc_wq);
	if (nexus_write_wq)
		destroy_workqueue(nexus_write_wq);
	if (nexus_read_wq)
		destroy_workqueue(nexus_read_wq);
	mempool_destroy(nexus_wio_pool);
}
