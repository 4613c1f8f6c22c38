// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an O_DIRECT write does.
 *
 * It is copied into pages of ours first, for its checksums must be those of
 * what gets to the disk, whatever the caller does to its memory meanwhile.  It
 * goes in batches; for each
 *
 *   the caller's memory is taken hold of (may fault), room is taken, all at once (may
 *   wait for the helper, killably), and workers copy, checksum and write a part each to
 *   new blocks of packs, the last one the caller, if it has to wait; then the records are
 *   appended and the file has the new blocks.
 *
 * Until that last step nobody sees anything of it.  It is taken under
 * invalidate_lock, and drops what the page cache has of the range: whole blocks
 * are replaced, so what was dirty there is what the write overwrites.  Nobody can
 * bring a page back before the file has the new blocks, so stores through a
 * mapping come wholly before or wholly after.
 *
 * Blocks of nodatacow files are overwritten where they are: there the page cache is
 * dropped and the data written with invalidate_lock held.
 */
#include <linux/slab.h>
#include <linux/uio.h>

#include "../quota.h"
#include "bounce.h"
#include "data.h"
#include "direct_batch.h"
#include "host.h"
#include "source.h"

#define NEXUS_DIRECT_PART	64u	/* the least that is worth a worker */

/* Parts of all batches that somebody is at, or will be. */
static atomic_t nexus_direct_parts = ATOMIC_INIT(0);

struct nexus_piece;

/* What one worker copies, checksums and writes. */
struct nexus_part {
	struct work_struct work;
	struct nexus_piece *piece;
	u32 first, nr;			/* of the piece's blocks */
};

/* Part of a batch: what goes to contiguous blocks of one pack, with one record. */
struct nexus_piece {
	struct list_head list;
	struct nexus_batch *batch;
	int err;			/* of the first part that failed */
	struct nexus_run run;
	struct nexus_part parts[NEXUS_EXTENT_BLOCKS_MAX / NEXUS_DIRECT_PART];
	struct nexus_wio wio;
};

int nexus_batch_begin(struct nexus_batch *b, struct iov_iter *from)
{
	u32 n = min_t(size_t, iov_iter_count(from) >> NEXUS_BLOCK_SHIFT, b->max);
	struct nexus_source *source;

	b->data = nexus_bounce_new(n);
	if (!b->data)
		return -ENOMEM;
	source = nexus_source_take(from, b->data->nr, &b->taken);
	if (IS_ERR(source))
		return PTR_ERR(source);
	b->source = source;
	b->nr = b->taken;
	return 0;
}

int nexus_batch_reserve(struct nexus_batch *b)
{
	u32 n = b->nr;
	int err;

	while ((err = nexus_quota_take_holes(b->inode, b->fblock, n,
					     &b->room.quota))) {
		if ((err != -EDQUOT && err != -ENOSPC) || n == 1)
			return err;
		n /= 2;
	}
	err = nexus_room_some(b->inode, b->fblock, n, &b->room);

	b->nr = b->room.blocks;
	return err;
}

int nexus_batch_try_reserve(struct nexus_batch *b)
{
	int err = nexus_quota_try_holes(b->inode, b->fblock, b->nr, &b->room.quota);

	return err ?: nexus_room_try(b->inode, b->fblock, b->nr, &b->room);
}

static void nexus_piece_end(struct nexus_piece *p)
{
	nexus_pack_written(p->run.pack);
	nexus_pack_put(p->run.pack);
	nexus_log_unreserve(&p->wio.resv);
	list_del(&p->list);
	kfree(p);
}

void nexus_batch_put(struct nexus_batch *b)
{
	if (!atomic_dec_and_test(&b->left))
		return;
	if (b->end)
		b->end(b);
	else
		complete(&b->done);
}

/* @here: in the caller's context; false: it is a worker's after all. */
static bool nexus_part_write(struct nexus_part *part, bool here)
{
	struct nexus_piece *p = part->piece;
	struct nexus_batch *b = p->batch;
	u32 at = p->wio.fblock - b->fblock + part->first; /* in the batch */
	__le32 *crc = p->wio.crc + part->first;
	unsigned int flags = nexus_host_begin();
	struct nexus_run run = {
		.wio = &p->wio,
		.pack = p->run.pack,
		.block = p->run.block + part->first,
		.first = part->first,
		.nr = part->nr,
	};
	bool done = true;
	int err = 0;

	if (p->wio.flags & NEXUS_EF_NOCRC) {
		crc = NULL;
		memset(p->wio.crc + part->first, 0, part->nr * sizeof(*crc));
	}
	nexus_source_copy(b->source, at, part->nr, b->data->pages + at, crc);
	if (here)
		done = nexus_run_write_here(&run);
	else
		err = nexus_run_write(&run);
	nexus_host_end(flags);
	if (err)
		cmpxchg(&p->err, 0, err);
	if (done) {
		atomic_dec(&nexus_direct_parts);
		nexus_batch_put(b);
	}
	return done;
}

static void nexus_part_work(struct work_struct *work)
{
	nexus_part_write(container_of(work, struct nexus_part, work), false);
}

/* A piece of up to @n blocks of pages from @at on, added to the batch. */
static struct nexus_piece *nexus_piece_new(struct nexus_batch *b, u32 at, u32 n)
{
	struct nexus_inode *ni = NEXUS_I(b->inode);
	struct nexus_piece *p = kmalloc(sizeof(*p), GFP_KERNEL);
	struct nexus_wio *wio;
	u32 i, row;

	if (!p)
		return ERR_PTR(-ENOMEM);
	if (nexus_map_prepare(ni, 1)) {
		kfree(p);
		return ERR_PTR(-ENOMEM);
	}
	p->run.pack = nexus_packs_alloc(ni->zone, min(n, NEXUS_EXTENT_BLOCKS_MAX),
					b->kind, &p->run.block, &p->run.nr);
	if (!p->run.pack) {
		nexus_map_unprepare(ni, 1);
		kfree(p);
		return ERR_PTR(-ENOSPC);
	}
	b->room.blocks -= p->run.nr;
	wio = &p->wio;
	p->batch = b;
	p->run.wio = wio;
	p->run.first = 0;
	wio->inode = b->inode;
	wio->fblock = b->fblock + at;
	wio->nr = 0;
	wio->segs = 0;
	wio->flags = nexus_inplace_flags(b->inode);
	wio->inplace = false;
	for (i = 0; i < p->run.nr; i += row) {
		row = nexus_pages_row(b->data->pages + at + i, p->run.nr - i);
		nexus_wio_add(wio, b->data->pages[at + i], row);
	}
	wio->size = (wio->fblock + wio->nr) << NEXUS_BLOCK_SHIFT;
	wio->resv = (struct nexus_resv){};
	nexus_resv_move(&wio->resv, &b->room.resv, nexus_rec_extent_len(wio->nr));
	p->err = 0;
	list_add_tail(&p->list, &b->pieces);
	return p;
}

/*
 * What a part of @nr blocks has at most: as many parts as there are processors for,
 * since each costs switches and a request to the disk.
 */
static u32 nexus_part_most(u32 nr)
{
	int idle = (int)num_online_cpus() - atomic_read(&nexus_direct_parts);

	return max(DIV_ROUND_UP(nr, (u32)max(idle, 1)), NEXUS_DIRECT_PART);
}

/*
 * Has workers do it, a part each, but for the last one of all where the caller has to
 * wait anyway: that saves two switches, which is what small writes are made of.  Where
 * that is all of it, since others are busy already, such a caller does it.
 */
static void nexus_piece_start(struct nexus_piece *p)
{
	struct nexus_part *part = p->parts;
	struct nexus_batch *b = p->batch;
	u64 end = p->wio.fblock + p->run.nr - b->fblock; /* in the batch */
	u32 at, most = nexus_part_most(p->run.nr);
	bool here = b->waits && nexus_host_writes_here(p->run.pack->file) &&
		    (end == b->nr || most >= p->run.nr);

	for (at = 0; at < p->run.nr; at += part->nr, part++) {
		bool last = here && at + most >= p->run.nr;

		part->piece = p;
		part->first = at;
		part->nr = min(p->run.nr - at, most);
		INIT_WORK(&part->work, nexus_part_work);
		atomic_inc(&nexus_direct_parts);
		atomic_inc(&b->left);
		/* A worker that was woken on this processor has others woken, on theirs. */
		if (last && at)
			cond_resched();
		if (!last || !nexus_part_write(part, true))
			queue_work(nexus_write_wq, &part->work);
	}
}

int nexus_batch_start(struct nexus_batch *b)
{
	struct nexus_piece *p;
	u32 at;

	for (at = 0; at < b->nr; at += p->run.nr) {
		p = nexus_piece_new(b, at, b->nr - at);
		if (IS_ERR(p))
			return PTR_ERR(p);
		nexus_piece_start(p);
	}
	return 0;
}

void nexus_batch_wait(struct nexus_batch *b)
{
	b->end = NULL;
	nexus_batch_put(b);
	/* Local disk, so this ends. */
	wait_for_completion_io(&b->done);
}

u32 nexus_batch_commit(struct nexus_batch *b, int *err)
{
	struct address_space *mapping = b->inode->i_mapping;
	struct nexus_piece *p, *next;
	u32 done = 0;
	loff_t pos;

	/* It may be a mapping of the same file, whose pages go next. */
	nexus_source_put(b->source);
	b->source = NULL;
	if (down_write_killable(&mapping->invalidate_lock)) {
		*err = -EINTR;
		return 0;
	}
	list_for_each_entry_safe(p, next, &b->pieces, list) {
		*err = p->err;
		if (*err)
			break;
		*err = nexus_cache_drop(b->inode, p->wio.fblock,
					p->wio.fblock + p->run.nr);
		if (*err)
			break;
		*err = nexus_run_commit(&p->run);
		pos = p->wio.size;
		if (!*err) {
			done += p->run.nr;
			if (pos > i_size_read(b->inode))
				i_size_write(b->inode, pos);
		}
		nexus_piece_end(p);
		if (*err)
			break;
	}
	filemap_invalidate_unlock(mapping);
	return done;
}

void nexus_batch_end(struct nexus_batch *b)
{
	struct nexus_inode *ni = NEXUS_I(b->inode);
	struct nexus_piece *p, *next;

	list_for_each_entry_safe(p, next, &b->pieces, list) {
		nexus_map_unprepare(ni, 1);
		nexus_piece_end(p);
	}
	nexus_room_give(b->inode, &b->room);
	if (b->source)
		nexus_source_put(b->source);
	if (b->data)
		nexus_bounce_free(b->data);
}

/* ---- in place ------------------------------------------------------------------- */

/* A part of a batch that is overwritten where it is. */
struct nexus_inplace_part {
	struct work_struct work;
	struct completion done;
	struct nexus_batch *batch;
	int err;
	u32 written;			/* blocks, from the first on */
	struct nexus_wio wio;
};

static void nexus_inplace_part_work(struct work_struct *work)
{
	struct nexus_inplace_part *p =
		container_of(work, struct nexus_inplace_part, work);
	struct nexus_batch *b = p->batch;
	u32 at = p->wio.fblock - b->fblock; /* in the batch */
	unsigned int flags = nexus_host_begin();

	nexus_source_copy(b->source, at, p->wio.nr, b->data->pages + at, NULL);
	memset(p->wio.crc, 0, p->wio.nr * sizeof(p->wio.crc[0]));
	p->err = nexus_inplace_write(&p->wio, &p->written);
	nexus_host_end(flags);
	complete(&p->done);
}

/* Blocks [at, at + nr) of the batch; waits for the disk.  How many were written. */
static u32 nexus_inplace_part(struct nexus_batch *b, struct nexus_inplace_part *p,
			      u32 at, u32 nr, int *err)
{
	struct nexus_wio *wio = &p->wio;
	u32 i, row;

	wio->inode = b->inode;
	wio->fblock = b->fblock + at;
	wio->size = (wio->fblock + nr) << NEXUS_BLOCK_SHIFT;
	wio->nr = 0;
	wio->segs = 0;
	wio->flags = NEXUS_EF_NOCRC;
	wio->inplace = true;
	for (i = 0; i < nr; i += row) {
		row = nexus_pages_row(b->data->pages + at + i, nr - i);
		nexus_wio_add(wio, b->data->pages[at + i], row);
	}
	wio->resv = (struct nexus_resv){};
	nexus_resv_move(&wio->resv, &b->room.resv, nr * NEXUS_FOLIO_BYTES);
	p->batch = b;
	p->written = 0;
	INIT_WORK(&p->work, nexus_inplace_part_work);
	init_completion(&p->done);
	queue_work(nexus_write_wq, &p->work);
	/* Local disk, so this ends. */
	wait_for_completion_io(&p->done);
	nexus_log_unreserve(&wio->resv);
	*err = p->err;
	return p->written;
}

u32 nexus_batch_inplace(struct nexus_batch *b, int *err)
{
	struct address_space *mapping = b->inode->i_mapping;
	struct nexus_inplace_part *p = kmalloc(sizeof(*p), GFP_KERNEL);
	u32 done = 0, want;

	if (!p) {
		*err = -ENOMEM;
		return 0;
	}
	if (down_write_killable(&mapping->invalidate_lock)) {
		*err = -EINTR;
		goto out;
	}
	while (!*err && done < b->nr) {
		want = min(b->nr - done, NEXUS_EXTENT_BLOCKS_MAX);
		*err = nexus_cache_drop(b->inode, b->fblock + done,
					b->fblock + done + want);
		if (!*err)
			done += nexus_inplace_part(b, p, done, want, err);
	}
	if (*err == -EAGAIN)
		*err = 0;
	if (done && ((b->fblock + done) << NEXUS_BLOCK_SHIFT) >
		    i_size_read(b->inode))
		i_size_write(b->inode, (b->fblock + done) << NEXUS_BLOCK_SHIFT);
	filemap_invalidate_unlock(mapping);
out:
	kfree(p);
	return done;
}
