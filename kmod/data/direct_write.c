// SPDX-License-Identifier: GPL-2.0-only
/*
 * O_DIRECT writes: who waits for them, and with what locks.
 *
 * Writes inside of the file hold i_rwsem shared: they are as many as there are callers,
 * and log_mutex orders their records.
 *
 * One that has an iocb of its own (io_uring, AIO) need not be waited for, if nothing but
 * the disk is: its data, its room and its pages are there.  It holds no lock after it
 * has been started, but counts as direct I/O, for which nexus_dio_wait() waits: whoever
 * takes blocks from the file, or promises some, does that first.  With O_DSYNC or O_SYNC a
 * worker waits for the flush, and in a nodatacow file for the whole of the write.
 */
#include <linux/slab.h>
#include <linux/uio.h>

#include "data.h"
#include "direct_batch.h"

static void nexus_batch_init(struct nexus_batch *b, struct kiocb *iocb,
			     struct iov_iter *from, u32 max)
{
	memset(b, 0, sizeof(*b));
	b->inode = file_inode(iocb->ki_filp);
	b->fblock = iocb->ki_pos >> NEXUS_BLOCK_SHIFT;
	b->max = max;
	b->kind = iov_iter_count(from) >> NEXUS_BLOCK_SHIFT <= NEXUS_SMALL_BLOCKS ?
		  NEXUS_PACKS_SMALL : NEXUS_PACKS_STREAM;
	INIT_LIST_HEAD(&b->pieces);
	atomic_set(&b->left, 1);
	init_completion(&b->done);
}

/* ---- waited for ------------------------------------------------------------------ */

/* Bytes, or -errno when nothing was written.  0: it is to be tried again. */
static ssize_t nexus_direct_write_some(struct kiocb *iocb, struct iov_iter *from)
{
	struct nexus_batch b;
	int err, late = 0;
	u32 done = 0;

	nexus_batch_init(&b, iocb, from, NEXUS_DIRECT_WRITE);
	b.waits = true;
	err = nexus_batch_begin(&b, from);
	if (!err)
		err = nexus_batch_reserve(&b);
	if (!err && b.room.use == NEXUS_PACKS_INPLACE) {
		done = nexus_batch_inplace(&b, &err);
	} else if (!err) {
		err = nexus_batch_start(&b);
		nexus_batch_wait(&b);
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

/* ---- not waited for --------------------------------------------------------------- */

struct nexus_async_write {
	struct nexus_batch b;
	struct kiocb *iocb;
	ssize_t ret;			/* what the iocb is told */
	struct work_struct work;
};

static void nexus_async_write_tell(struct nexus_async_write *aw)
{
	struct kiocb *iocb = aw->iocb;
	ssize_t ret = aw->ret;

	kfree(aw);
	iocb->ki_complete(iocb, ret);
}

/*
 * A flush, which may take others with it.  Also for O_SYNC: the records of the extents
 * carry mtime and ctime (see nexus_direct_write_start() for those that have none).
 */
static void nexus_async_write_sync(struct work_struct *work)
{
	struct nexus_async_write *aw =
		container_of(work, struct nexus_async_write, work);

	struct kiocb *iocb = aw->iocb;
	int err = vfs_fsync_range(iocb->ki_filp, iocb->ki_pos - aw->ret,
				  iocb->ki_pos - 1, 1);

	if (err)
		aw->ret = err;
	nexus_async_write_tell(aw);
}

/* @done blocks are the file's. */
static void nexus_async_write_over(struct nexus_async_write *aw, u32 done, int err)
{
	struct inode *inode = aw->b.inode;
	bool sync = done && iocb_is_dsync(aw->iocb);

	nexus_batch_end(&aw->b);
	aw->ret = done ? (ssize_t)done << NEXUS_BLOCK_SHIFT : err;
	if (done) {
		aw->iocb->ki_pos += aw->ret;
		nexus_touched(inode);
	}
	nexus_dio_end(inode);
	if (sync) {
		/* Among themselves: what they wait for may need the other workers. */
		INIT_WORK(&aw->work, nexus_async_write_sync);
		queue_work(nexus_sync_wq, &aw->work);
	} else {
		nexus_async_write_tell(aw);
	}
}

static void nexus_async_write_work(struct work_struct *work)
{
	struct nexus_async_write *aw =
		container_of(work, struct nexus_async_write, work);
	int err = 0;
	u32 done = nexus_batch_commit(&aw->b, &err);

	nexus_async_write_over(aw, done, err);
}

/* One worker does all of it: the page cache stays out meanwhile. */
static void nexus_async_inplace_work(struct work_struct *work)
{
	struct nexus_async_write *aw =
		container_of(work, struct nexus_async_write, work);
	int err = 0;
	u32 done = nexus_batch_inplace(&aw->b, &err);

	/* A pack that goes just now, which is rare. */
	nexus_async_write_over(aw, done, err ?: -EAGAIN);
}

/* In a worker of the parts, which those that write back pages need: goes to another. */
static void nexus_async_write_end(struct nexus_batch *b)
{
	struct nexus_async_write *aw =
		container_of(b, struct nexus_async_write, b);

	queue_work(nexus_misc_wq, &aw->work);
}

/* What of nexus_write_prepare() waits for nothing; -EAGAIN: that is not all. */
static int nexus_write_prepared(struct kiocb *iocb)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	int err;

	if (IS_IMMUTABLE(inode))
		return -EPERM;
	err = nexus_inode_writable(inode);
	if (err)
		return err;
	if (!nexus_content_ready(inode) || !nexus_inline_ended(inode))
		return -EAGAIN;
	err = file_modified(iocb->ki_filp);
	if (!err)
		nexus_touched(inode);
	return err;
}

/* i_rwsem held shared. */
static ssize_t nexus_direct_write_start(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct nexus_async_write *aw;
	ssize_t count;
	int err;

	count = generic_write_checks(iocb, from);
	if (count <= 0)
		return count;
	if (count > NEXUS_ASYNC_WRITE << NEXUS_BLOCK_SHIFT ||
	    !IS_ALIGNED(iocb->ki_pos | count, NEXUS_BLOCK_SIZE) ||
	    !nexus_writes_inside(iocb, from))
		return -EAGAIN;
	err = nexus_write_prepared(iocb);
	if (err)
		return err;
	aw = kmalloc(sizeof(*aw), GFP_KERNEL);
	if (!aw)
		return -EAGAIN;
	nexus_batch_init(&aw->b, iocb, from, NEXUS_ASYNC_WRITE);
	aw->b.end = nexus_async_write_end;
	aw->iocb = iocb;
	INIT_WORK(&aw->work, nexus_async_write_work);
	inode_dio_begin(inode);
	err = nexus_batch_begin(&aw->b, from);
	if (!err && aw->b.nr != count >> NEXUS_BLOCK_SHIFT)
		err = -EAGAIN;
	if (!err)
		err = nexus_batch_try_reserve(&aw->b);
	if (err)
		goto out;
	if (aw->b.room.use == NEXUS_PACKS_INPLACE) {
		/* O_SYNC: no record has the times, and room for one is waited for, killably. */
		if (iocb->ki_flags & IOCB_SYNC)
			goto out;
		INIT_WORK(&aw->work, nexus_async_inplace_work);
		queue_work(nexus_sync_wq, &aw->work);
		return -EIOCBQUEUED;
	}
	err = nexus_batch_start(&aw->b);
	if (!err) {
		nexus_batch_put(&aw->b);
		return -EIOCBQUEUED;
	}
	/* No memory, which is rare; what was written is nobody's. */
	nexus_batch_wait(&aw->b);
out:
	iov_iter_revert(from, (size_t)aw->b.taken << NEXUS_BLOCK_SHIFT);
	nexus_batch_end(&aw->b);
	nexus_dio_end(inode);
	kfree(aw);
	/* Whoever can wait finds out what it is. */
	return -EAGAIN;
}

ssize_t nexus_direct_write_begin(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret;

	if (is_sync_kiocb(iocb) || !nexus_writes_inside(iocb, from) || !inode_trylock_shared(inode))
		return -EAGAIN;
	ret = nexus_direct_write_start(iocb, from);
	inode_unlock_shared(inode);
	return ret;
}
