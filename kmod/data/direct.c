// SPDX-License-Identifier: GPL-2.0-only
/*
 * O_DIRECT reads.
 *
 * They go straight into the caller's pages if those and the range are whole blocks, and
 * else through pages of ours; so they do when checksums are looked at, which the caller
 * could spoil.  They take no lock: a block once written is never written again, and its
 * pack stays as long as somebody reads it.
 *
 * Blocks of nodatacow files are, where they are (direct_write.c): a read beside that may
 * see a part of it, as on any filesystem that writes in place.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "bounce.h"
#include "data.h"

#define NEXUS_DIRECT_READ	256u	/* blocks at once */

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
	inode_dio_end(inode);
	return ret;
}

/* Into the caller's own pages: everything is whole blocks. */
static ssize_t nexus_read_pinned(struct inode *inode, loff_t pos, u32 nr,
				 struct iov_iter *to)
{
	bool pinned = iov_iter_extract_will_pin(to);
	struct page **pages, **at;
	ssize_t ret = -EFAULT;
	size_t offset, bytes;
	u32 got = 0;

	pages = kmalloc_array(nr, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	while (got < nr) {
		at = pages + got;
		ret = iov_iter_extract_pages(to, &at, (size_t)(nr - got) <<
					     PAGE_SHIFT, nr - got, 0, &offset);
		if (ret <= 0)
			break;
		got += ret >> PAGE_SHIFT;
	}
	if (got) {
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
	bool pinned;
	ssize_t ret;

	if (!count || iocb->ki_pos >= i_size_read(inode))
		return 0;
	/* It is the disk one waits for. */
	if (iocb->ki_flags & IOCB_NOWAIT)
		return -EAGAIN;
	ret = nexus_content_load(inode, iocb->ki_pos, count);
	if (!ret)
		ret = kiocb_write_and_wait(iocb, count);
	if (ret)
		return ret;
	pinned = nexus_reads_pinned(iocb, to);
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
