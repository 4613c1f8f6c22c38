// SPDX-License-Identifier: GPL-2.0-only
/*
 * O_DIRECT reads.
 *
 * They go straight into the caller's pages if those and the range are whole blocks, and
 * else through pages of ours; so they do when checksums are looked at, which the caller
 * could spoil.  They take no lock: a block once written is never written again, and its
 * pack stays as long as somebody reads it.
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

int nexus_dio_wait(struct inode *inode)
{
	return wait_var_event_killable(&inode->i_dio_count,
				       !atomic_read(&inode->i_dio_count));
}

/* Pages that hold blocks of the file from @first on; @bytes at @pos are wanted. */
static ssize_t nexus_direct_fill(struct inode *inode, loff_t pos, size_t bytes,
				 struct page **pages, u32 nr, bool unstable)
{
	ssize_t ret = 0;
	loff_t size;

	inode_dio_begin(inode);
	/* Truncation sets the size and then looks whether we are here. */
	smp_mb__after_atomic();
	size = i_size_read(inode);
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
static ssize_t nexus_read_pinned(struct inode *inode, loff_t pos, u32 nr,
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
		ret = nexus_direct_fill(inode, pos, bytes, pages, got, true);
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
static ssize_t nexus_direct_read_begin(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	loff_t pos = iocb->ki_pos, size = i_size_read(inode);
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

static ssize_t nexus_read_bounced(struct inode *inode, loff_t pos, size_t bytes,
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
	ret = nexus_direct_fill(inode, pos, bytes, b->pages, b->nr, false);
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
static ssize_t nexus_direct_read_some(struct kiocb *iocb, struct iov_iter *to,
				      bool pinned)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	loff_t pos = iocb->ki_pos, size = i_size_read(inode);
	size_t bytes;

	if (pos >= size)
		return 0;
	bytes = (NEXUS_DIRECT_READ << NEXUS_BLOCK_SHIFT) - offset_in_page(pos);
	bytes = min_t(loff_t, bytes, size - pos);
	bytes = min(bytes, iov_iter_count(to));
	if (pinned)
		return nexus_read_pinned(inode, pos,
					 DIV_ROUND_UP(bytes, PAGE_SIZE), to);
	return nexus_read_bounced(inode, pos, bytes, to);
}

ssize_t nexus_direct_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	size_t count = iov_iter_count(to), done = 0;
	bool pinned, nowait = iocb->ki_flags & IOCB_NOWAIT;
	ssize_t ret;

	if (!count || iocb->ki_pos >= i_size_read(inode))
		return 0;
	pinned = nexus_reads_pinned(iocb, to);
	/* Else it is the disk one waits for. */
	if (nowait && (is_sync_kiocb(iocb) || !pinned || !nexus_content_ready(inode)))
		return -EAGAIN;
	ret = nowait ? 0 : nexus_content_load(inode, iocb->ki_pos, count);
	if (!ret)
		ret = kiocb_write_and_wait(iocb, count);
	if (ret)
		return ret;
	if (pinned && !is_sync_kiocb(iocb)) {
		file_accessed(iocb->ki_filp);
		ret = nexus_direct_read_begin(iocb, to);
		if (ret != -EAGAIN || nowait)
			return ret;
	}
	while (done < count) {
		ret = nexus_direct_read_some(iocb, to, pinned);
		if (ret == -EAGAIN) {
			/* A pack that is not open any more, or not all there. */
			ret = nexus_content_reload(inode, iocb->ki_pos,
						   count - done);
			if (!ret)
				ret = nexus_content_fetch(inode, iocb->ki_pos,
							  min_t(size_t, count - done,
								NEXUS_DIRECT_READ <<
								NEXUS_BLOCK_SHIFT),
							  true);
			if (ret >= 0)
				continue;
		}
		if (ret <= 0)
			break;
		iocb->ki_pos += ret;
		done += ret;
		if (fatal_signal_pending(current))
			break;
	}
	file_accessed(iocb->ki_filp);
	return done ?: ret;
}
