// SPDX-License-Identifier: GPL-2.0-only
/*
 * O_DIRECT writes.
 *
 * A write is copied into pages of ours first, for its checksums must be those of
 * what gets to the disk, whatever the caller does to its memory meanwhile.  It
 * goes in batches; for each
 *
 *   the caller's memory is taken hold of (may fault), room is taken, all at once (may
 *   wait for the helper, killably), and workers copy, checksum and write a part each to
 *   new blocks of packs; when they are done the records are appended and the file has
 *   the new blocks.
 *
 * Until that last step nobody sees anything of it.  It is taken under
 * invalidate_lock, and drops what the page cache has of the range: whole blocks
 * are replaced, so what was dirty there is what the write overwrites.  Nobody can
 * bring a page back before the file has the new blocks, so stores through a
 * mapping come wholly before or wholly after.
 *
 * Writes inside of the file hold i_rwsem shared: they are as many as there are
 * callers, and log_mutex orders their records.
 *
 * Blocks of nodatacow files are overwritten where they are: there the page cache is
 * dropped and the data written with invalidate_lock held.
 */
#include <linux/completion.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "../quota.h"
#include "bounce.h"
#include "data.h"
#include "host.h"
#include "source.h"

#define NEXUS_DIRECT_WRITE	1024u	/* blocks of one batch */
#define NEXUS_DIRECT_PART	64u	/* what one worker does */

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
	atomic_t left;			/* parts in flight, and one for who starts them */
	struct completion done;
	int err;			/* of the first part that failed */
	struct nexus_run run;
	struct nexus_part parts[NEXUS_EXTENT_BLOCKS_MAX / NEXUS_DIRECT_PART];
	struct nexus_wio wio;
};

struct nexus_batch {
	struct inode *inode;
	u64 fblock;
	u32 nr;				/* blocks */
	u32 taken;			/* of the caller's data */
	enum nexus_packs_kind kind;
	struct nexus_room room;		/* for those not given out yet */
	struct nexus_source *source;
	struct nexus_bounce *data;
	struct list_head pieces;	/* in the order of the file */
};

/*
 * Pages for as much of the caller's data as can be had.  Faults are taken now: who has
 * taken room does not wait for them.
 */
static int nexus_batch_begin(struct nexus_batch *b, struct iov_iter *from)
{
	u32 n = min_t(size_t, iov_iter_count(from) >> NEXUS_BLOCK_SHIFT,
		      NEXUS_DIRECT_WRITE);
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

/*
 * Room for all of it, or for less; nothing is held while waiting but the pages.
 * What was promised to unwritten blocks goes to them and to no others.
 */
static int nexus_batch_reserve(struct nexus_batch *b)
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

static void nexus_piece_end(struct nexus_piece *p)
{
	nexus_pack_written(p->run.pack);
	nexus_pack_put(p->run.pack);
	nexus_log_unreserve(&p->wio.resv);
	list_del(&p->list);
	kfree(p);
}

static void nexus_piece_put(struct nexus_piece *p, int err)
{
	if (err)
		cmpxchg(&p->err, 0, err);
	if (atomic_dec_and_test(&p->left))
		complete(&p->done);
}

static void nexus_part_work(struct work_struct *work)
{
	struct nexus_part *part = container_of(work, struct nexus_part, work);
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
	int err;

	if (p->wio.flags & NEXUS_EF_NOCRC) {
		crc = NULL;
		memset(p->wio.crc + part->first, 0, part->nr * sizeof(*crc));
	}
	nexus_source_copy(b->source, at, part->nr, b->data->pages + at, crc);
	err = nexus_run_write(&run);
	nexus_host_end(flags);
	nexus_piece_put(p, err);
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
	atomic_set(&p->left, 1);
	init_completion(&p->done);
	list_add_tail(&p->list, &b->pieces);
	return p;
}

/* Has workers do it, a part each. */
static void nexus_piece_start(struct nexus_piece *p)
{
	struct nexus_part *part = p->parts;
	u32 at;

	for (at = 0; at < p->run.nr; at += part->nr, part++) {
		part->piece = p;
		part->first = at;
		part->nr = min(p->run.nr - at, NEXUS_DIRECT_PART);
		INIT_WORK(&part->work, nexus_part_work);
		atomic_inc(&p->left);
		queue_work(nexus_write_wq, &part->work);
	}
	nexus_piece_put(p, 0);
}

/* Writes it to new blocks, or as much of it as there are. */
static int nexus_batch_write(struct nexus_batch *b)
{
	struct nexus_piece *p;
	int err = 0;
	u32 at;

	for (at = 0; at < b->nr; at += p->run.nr) {
		p = nexus_piece_new(b, at, b->nr - at);
		if (IS_ERR(p)) {
			err = PTR_ERR(p);
			break;
		}
		nexus_piece_start(p);
	}
	/* Local disk, so this ends. */
	list_for_each_entry(p, &b->pieces, list)
		wait_for_completion_io(&p->done);
	/* It may be a mapping of the same file, whose pages go next. */
	nexus_source_put(b->source);
	b->source = NULL;
	return err;
}

/*
 * Makes it the file's, in order, up to the first that failed; how many blocks.
 */
static u32 nexus_batch_commit(struct nexus_batch *b, int *err)
{
	struct address_space *mapping = b->inode->i_mapping;
	struct nexus_piece *p, *next;
	u32 done = 0;
	loff_t pos;

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

static void nexus_batch_end(struct nexus_batch *b)
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

/*
 * Overwrites the batch's blocks.  How many; less with *@err 0: what follows has another
 * place by now.
 */
static u32 nexus_batch_inplace(struct nexus_batch *b, int *err)
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

/* ---- a batch --------------------------------------------------------------------- */

/* Bytes, or -errno when nothing was written.  0: it is to be tried again. */
static ssize_t nexus_direct_write_some(struct kiocb *iocb, struct iov_iter *from)
{
	struct nexus_batch b = {
		.inode = file_inode(iocb->ki_filp),
		.fblock = iocb->ki_pos >> NEXUS_BLOCK_SHIFT,
		.kind = iov_iter_count(from) >> NEXUS_BLOCK_SHIFT <=
			NEXUS_SMALL_BLOCKS ? NEXUS_PACKS_SMALL :
					     NEXUS_PACKS_STREAM,
		.pieces = LIST_HEAD_INIT(b.pieces),
	};
	int err, late = 0;
	u32 done = 0;

	err = nexus_batch_begin(&b, from);
	if (!err)
		err = nexus_batch_reserve(&b);
	if (!err && b.room.use == NEXUS_PACKS_INPLACE) {
		done = nexus_batch_inplace(&b, &err);
	} else if (!err) {
		err = nexus_batch_write(&b);
		done = nexus_batch_commit(&b, &late);
		err = late ?: err;
	}
	/* What was taken and not written is still to be written. */
	iov_iter_revert(from, (size_t)(b.taken - done) << NEXUS_BLOCK_SHIFT);
	nexus_batch_end(&b);
	return done ? (ssize_t)done << NEXUS_BLOCK_SHIFT : err;
}

/*
 * Whether others may write elsewhere in the file at the same time.  Not where
 * blocks are unwritten: each is promised room once.
 */
static bool nexus_writes_inside(struct kiocb *iocb, const struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);

	return !(iocb->ki_flags & IOCB_APPEND) && IS_NOSEC(inode) &&
	       !READ_ONCE(NEXUS_I(inode)->unwritten) &&
	       iocb->ki_pos + iov_iter_count(from) <= i_size_read(inode);
}

/* i_rwsem held; -EAGAIN: it must be exclusive. */
static ssize_t nexus_direct_write_locked(struct kiocb *iocb,
					 struct iov_iter *from, bool shared)
{
	size_t written = 0;
	ssize_t ret;

	ret = generic_write_checks(iocb, from);
	if (ret <= 0)
		return ret;
	if (!IS_ALIGNED(iocb->ki_pos | iov_iter_count(from), NEXUS_BLOCK_SIZE))
		return -ENOTBLK;
	if (shared && !nexus_writes_inside(iocb, from))
		return -EAGAIN;
	ret = nexus_write_prepare(iocb, ret);
	if (ret)
		return ret;
	while (iov_iter_count(from)) {
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		ret = nexus_direct_write_some(iocb, from);
		if (ret < 0)
			break;
		iocb->ki_pos += ret;
		written += ret;
	}
	return written ?: ret;
}

ssize_t nexus_direct_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret;

	if (nexus_writes_inside(iocb, from)) {
		if (down_read_killable(&inode->i_rwsem))
			return -EINTR;
		ret = nexus_direct_write_locked(iocb, from, true);
		inode_unlock_shared(inode);
		if (ret != -EAGAIN)
			return ret;
	}
	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	ret = nexus_direct_write_locked(iocb, from, false);
	inode_unlock(inode);
	return ret;
}
