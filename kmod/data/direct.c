// SPDX-License-Identifier: GPL-2.0-only
/*
 * O_DIRECT reads.
 *
 * They go straight into the caller's pages if those and the range are whole blocks, and
 * else through pages of ours; so they do when checksums are looked at, which the caller
 * could spoil.  They take no lock: a block once written is never written again, and its
 * pack stays as long as somebody reads it.  Only while somebody waits for all of them
 * they are held up at i_rwsem.
 *
 * What a write() adds beside a read is in the page cache alone, so a file is as long for
 * the read as it was before the page cache was written.
 *
 * Reads into the caller's pages need not be waited for: what has an iocb of its own
 * (io_uring, AIO) is told of the end, from wherever that is noticed.  Whatever would have
 * to wait for the helper is found before, or is done by the caller.
 *
 * Blocks of nodatacow files are, where they are (direct_batch.c): a read beside that may
 * see a part of it, as on any filesystem that writes in place.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "bounce.h"
#include "data.h"

#define NEXUS_DIRECT_READ	256u	/* blocks at once */
#define NEXUS_ASYNC_READ	4096u	/* blocks, of a read that is not waited for */

void nexus_dio_hold(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode);

	WRITE_ONCE(ni->dio_waits, ni->dio_waits + 1);
}

void nexus_dio_release(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode);

	WRITE_ONCE(ni->dio_waits, ni->dio_waits - 1);
}

int nexus_dio_wait(struct inode *inode)
{
	int err;

	nexus_dio_hold(inode);
	err = wait_var_event_killable(&inode->i_dio_count,
				      !atomic_read(&inode->i_dio_count));
	nexus_dio_release(inode);
	return err;
}

/* What is read, and how. */
struct nexus_direct {
	struct inode *inode;
	loff_t end;			/* of the file, before the page cache was written */
	bool pinned;			/* into the caller's pages */
	bool locked;			/* i_rwsem is held shared */
};

/* Behind whoever waits for direct I/O; 0, -EINTR, or -EAGAIN: one would wait. */
static int nexus_direct_line_up(struct nexus_direct *d, bool nowait)
{
	if (d->locked || !READ_ONCE(NEXUS_I(d->inode)->dio_waits))
		return 0;
	if (nowait ? !inode_trylock_shared(d->inode) :
		     down_read_killable(&d->inode->i_rwsem))
		return nowait ? -EAGAIN : -EINTR;
	d->locked = true;
	return 0;
}

static void nexus_direct_leave(struct nexus_direct *d)
{
	if (d->locked)
		inode_unlock_shared(d->inode);
	d->locked = false;
}

/* Pages that hold blocks of the file from @pos on, of which @bytes are wanted. */
static ssize_t nexus_direct_fill(const struct nexus_direct *d, loff_t pos, size_t bytes,
				 struct page **pages, u32 nr, bool unstable)
{
	struct inode *inode = d->inode;
	ssize_t ret = 0;
	loff_t size;

	inode_dio_begin(inode);
	/* Truncation sets the size and then looks whether we are here. */
	smp_mb__after_atomic();
	size = min(i_size_read(inode), d->end);
	if (pos < size)
		ret = nexus_read_pages(inode, pos >> NEXUS_BLOCK_SHIFT, pages,
				       nr, unstable) ?:
		      min_t(loff_t, bytes, size - pos);
	nexus_dio_end(inode);
	return ret;
}

/* How many of @nr pages of the caller's, whole ones, there are; or -errno. */
static int nexus_take_pages(struct iov_iter *to, struct page **pages, u32 nr)
{
	struct page **at;
	size_t offset;
	ssize_t ret = 0;
	u32 got = 0;

	while (got < nr) {
		at = pages + got;
		ret = iov_iter_extract_pages(to, &at, (size_t)(nr - got) <<
					     PAGE_SHIFT, nr - got, 0, &offset);
		if (ret <= 0)
			break;
		got += ret >> PAGE_SHIFT;
	}
	return got ?: ret;
}

/* Into the caller's own pages: everything is whole blocks. */
static ssize_t nexus_read_pinned(const struct nexus_direct *d, loff_t pos, u32 nr,
				 struct iov_iter *to)
{
	bool pinned = iov_iter_extract_will_pin(to);
	struct page **pages;
	size_t bytes;
	ssize_t ret;
	int got;

	pages = kmalloc_array(nr, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	got = nexus_take_pages(to, pages, nr);
	ret = got;
	if (got > 0) {
		bytes = (size_t)got << PAGE_SHIFT;
		ret = nexus_direct_fill(d, pos, bytes, pages, got, true);
		iov_iter_revert(to, bytes - max(ret, 0));
		if (pinned)
			unpin_user_pages_dirty_lock(pages, got, true);
	} else if (!ret) {
		ret = -EFAULT;
	}
	kfree(pages);
	return ret;
}

/* ---- reads that are not waited for ------------------------------------------------ */

struct nexus_async_read {
	struct nexus_read_wait wait;
	struct kiocb *iocb;
	struct inode *inode;		/* the iocb's file holds it */
	size_t bytes;			/* that it says */
	bool pinned;			/* a process's, and dirty from the start */
	u32 nr;
	struct work_struct work;
	struct page *pages[];
};

/* @dirty: they may sleep. */
static void nexus_async_release(struct nexus_async_read *ar, bool dirty)
{
	if (ar->pinned)
		unpin_user_pages_dirty_lock(ar->pages, ar->nr, dirty);
	kfree(ar);
}

static void nexus_async_finish(struct nexus_async_read *ar, bool dirty)
{
	struct kiocb *iocb = ar->iocb;
	ssize_t ret = ar->wait.err ?: ar->bytes;

	nexus_dio_end(ar->inode);
	nexus_async_release(ar, dirty);
	if (ret > 0)
		iocb->ki_pos += ret;
	iocb->ki_complete(iocb, ret);
}

static void nexus_async_work(struct work_struct *work)
{
	nexus_async_finish(container_of(work, struct nexus_async_read, work), true);
}

/*
 * Any context.  Pages were made dirty before; where one was written back meanwhile,
 * that must be done again, which may sleep.
 */
static void nexus_async_end(struct nexus_read_wait *wait)
{
	struct nexus_async_read *ar =
		container_of(wait, struct nexus_async_read, wait);
	u32 i;

	for (i = 0; ar->pinned && i < ar->nr; i++) {
		if (PageDirty(ar->pages[i]))
			continue;
		queue_work(nexus_read_wq, &ar->work);
		return;
	}
	nexus_async_finish(ar, false);
}

static void nexus_dirty_pages(struct page **pages, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (!PageDirty(pages[i]))
			set_page_dirty_lock(pages[i]);
}

/*
 * -EIOCBQUEUED, and the iocb is told; 0 at the end of the file; -EAGAIN: it must be
 * waited for, and nothing was done.
 */
static ssize_t nexus_direct_read_begin(const struct nexus_direct *d, struct kiocb *iocb,
				       struct iov_iter *to)
{
	struct inode *inode = d->inode;
	loff_t pos = iocb->ki_pos, size = min(i_size_read(inode), d->end);
	struct nexus_async_read *ar;
	size_t bytes;
	int got, err;
	u32 nr;

	if (pos >= size)
		return 0;
	bytes = min_t(loff_t, iov_iter_count(to), size - pos);
	if (bytes > (size_t)NEXUS_ASYNC_READ << NEXUS_BLOCK_SHIFT)
		return -EAGAIN;
	nr = DIV_ROUND_UP(bytes, PAGE_SIZE);
	ar = kmalloc(struct_size(ar, pages, nr), GFP_KERNEL | __GFP_NOWARN);
	if (!ar)
		return -EAGAIN;
	nexus_read_wait_init(&ar->wait, nexus_async_end);
	INIT_WORK(&ar->work, nexus_async_work);
	ar->iocb = iocb;
	ar->inode = inode;
	ar->bytes = bytes;
	ar->pinned = iov_iter_extract_will_pin(to);
	got = nexus_take_pages(to, ar->pages, nr);
	ar->nr = max(got, 0);
	err = -EAGAIN;
	if (ar->nr < nr)
		goto out_release;
	if (ar->pinned)
		nexus_dirty_pages(ar->pages, nr);
	inode_dio_begin(inode);
	/* Truncation sets the size and then looks whether we are here. */
	smp_mb__after_atomic();
	if (pos + (loff_t)bytes > i_size_read(inode))
		goto out_dio;
	err = nexus_read_begin(&ar->wait, inode, pos >> NEXUS_BLOCK_SHIFT, ar->pages,
			       nr, true);
	if (!err) {
		nexus_read_put(&ar->wait, 0);
		return -EIOCBQUEUED;
	}
	/* Rare, and it is only the disk. */
	nexus_read_wait(&ar->wait, err);
	err = -EAGAIN;
out_dio:
	nexus_dio_end(inode);
out_release:
	iov_iter_revert(to, (size_t)ar->nr << PAGE_SHIFT);
	nexus_async_release(ar, true);
	return err;
}

/* ---- through pages of ours ------------------------------------------------------- */

static ssize_t nexus_read_bounced(const struct nexus_direct *d, loff_t pos, size_t bytes,
				  struct iov_iter *to)
{
	size_t offset = offset_in_page(pos), want, got, done = 0;
	struct nexus_bounce *b;
	ssize_t ret;
	u32 i;

	b = nexus_bounce_new(DIV_ROUND_UP(offset + bytes, PAGE_SIZE));
	if (!b)
		return -ENOMEM;
	bytes = min_t(size_t, bytes, (size_t)b->nr * PAGE_SIZE - offset);
	ret = nexus_direct_fill(d, pos, bytes, b->pages, b->nr, false);
	for (i = 0; ret > 0 && done < ret; i++) {
		want = min_t(size_t, ret - done, PAGE_SIZE - offset);
		got = copy_page_to_iter(b->pages[i], offset, want, to);
		done += got;
		if (got < want)
			break;
		offset = 0;
	}
	if (ret > 0)
		ret = done ?: -EFAULT;
	nexus_bounce_free(b);
	return ret;
}

static bool nexus_reads_pinned(struct kiocb *iocb, const struct iov_iter *to)
{
	struct nexus_zone *zone = NEXUS_I(file_inode(iocb->ki_filp))->zone;

	return (user_backed_iter(to) || iov_iter_is_bvec(to)) &&
	       READ_ONCE(zone->opts.verify) != NEXUS_VERIFY_ALWAYS &&
	       IS_ALIGNED(iocb->ki_pos | iov_iter_alignment(to),
			  NEXUS_BLOCK_SIZE);
}

/* A part of it: bytes, 0 at the end of the file, or -errno. */
static ssize_t nexus_direct_read_some(const struct nexus_direct *d, struct kiocb *iocb,
				      struct iov_iter *to)
{
	loff_t pos = iocb->ki_pos, size = min(i_size_read(d->inode), d->end);
	size_t bytes;

	if (pos >= size)
		return 0;
	bytes = (NEXUS_DIRECT_READ << NEXUS_BLOCK_SHIFT) - offset_in_page(pos);
	bytes = min_t(loff_t, bytes, size - pos);
	bytes = min(bytes, iov_iter_count(to));
	if (d->pinned)
		return nexus_read_pinned(d, pos, DIV_ROUND_UP(bytes, PAGE_SIZE), to);
	return nexus_read_bounced(d, pos, bytes, to);
}

/* A pack that is not open any more, or not all there. */
static int nexus_direct_mend(struct inode *inode, loff_t pos, size_t bytes)
{
	int err = nexus_content_reload(inode, pos, bytes);

	if (!err)
		err = nexus_content_fetch(inode, pos,
					  min_t(size_t, bytes,
						NEXUS_DIRECT_READ << NEXUS_BLOCK_SHIFT),
					  true);
	return min(err, 0);
}

static ssize_t nexus_direct_read_all(struct nexus_direct *d, struct kiocb *iocb,
				     struct iov_iter *to)
{
	size_t count = iov_iter_count(to), done = 0;
	ssize_t ret = 0;

	while (done < count) {
		ret = nexus_direct_line_up(d, false);
		if (!ret)
			ret = nexus_direct_read_some(d, iocb, to);
		if (ret == -EAGAIN) {
			/* The helper is not waited for with i_rwsem. */
			nexus_direct_leave(d);
			ret = nexus_direct_mend(d->inode, iocb->ki_pos, count - done);
			if (!ret)
				continue;
		}
		if (ret <= 0)
			break;
		iocb->ki_pos += ret;
		done += ret;
		if (fatal_signal_pending(current))
			break;
	}
	return done ?: ret;
}

ssize_t nexus_direct_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct nexus_direct d = {
		.inode = file_inode(iocb->ki_filp),
		.pinned = nexus_reads_pinned(iocb, to),
	};
	bool nowait = iocb->ki_flags & IOCB_NOWAIT;
	size_t count = iov_iter_count(to);
	ssize_t ret;

	d.end = i_size_read(d.inode);
	if (!count || iocb->ki_pos >= d.end)
		return 0;
	/* Else it is the disk one waits for. */
	if (nowait && (is_sync_kiocb(iocb) || !d.pinned || !nexus_content_ready(d.inode)))
		return -EAGAIN;
	ret = nowait ? 0 : nexus_content_load(d.inode, iocb->ki_pos, count);
	if (!ret)
		ret = nexus_direct_line_up(&d, nowait);
	if (ret)
		return ret;
	/* What is dirty of it was so before the size was what it is. */
	ret = kiocb_write_and_wait(iocb, count);
	if (ret)
		goto out;
	if (d.pinned && !is_sync_kiocb(iocb)) {
		file_accessed(iocb->ki_filp);
		ret = nexus_direct_read_begin(&d, iocb, to);
		if (ret != -EAGAIN || nowait)
			goto out;
	}
	ret = nexus_direct_read_all(&d, iocb, to);
	file_accessed(iocb->ki_filp);
out:
	nexus_direct_leave(&d);
	return ret;
}
