// SPDX-License-Identifier: GPL-2.0-only
/* Where the bytes of streams are: pages of their own, or the page cache and packs. */
#include <linux/fs.h>
#include <linux/falloc.h>	/* needs the types of fs.h */
#include <linux/gfp.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>

#include "../data/data.h"
#include "../ring/ring.h"
#include "stream.h"

/* So much is taken from the front of a file at once. */
#define NEXUS_STREAM_PUNCH	(64u << 10)

/* ---- reading ------------------------------------------------------------------------ */

static int nexus_stream_read_pages(struct nexus_stream *s, u64 pos, u8 *buf, size_t len)
{
	struct page *page;
	int err = 0;
	size_t n;

	down_read(&s->sem);
	for (; len; pos += n, buf += n, len -= n) {
		page = xa_load(&s->pages, pos >> PAGE_SHIFT);
		if (!page) {
			err = -ESTALE;
			break;
		}
		n = min_t(size_t, len, PAGE_SIZE - offset_in_page(pos));
		memcpy(buf, page_address(page) + offset_in_page(pos), n);
	}
	up_read(&s->sem);
	return err;
}

static int nexus_stream_read_file(const struct nexus_stream_src *src, u64 pos, u8 *buf,
				  size_t len)
{
	loff_t size = i_size_read(file_inode(src->file));
	size_t there = pos < size ? min_t(u64, len, size - pos) : 0;
	struct kvec vec = { .iov_base = buf, .iov_len = there };
	struct iov_iter to;
	struct kiocb iocb;
	ssize_t n = 0;

	init_sync_kiocb(&iocb, src->file);
	iocb.ki_pos = pos;
	if (src->nowait)
		iocb.ki_flags |= IOCB_NOWAIT;
	iov_iter_kvec(&to, ITER_DEST, &vec, 1, there);
	if (there)
		n = nexus_read_iter(&iocb, &to);
	if (n < 0)
		return n;
	if (n < there)
		return src->nowait ? -EAGAIN : -EIO;
	/* Behind the last record of a block. */
	memset(buf + there, 0, len - there);
	return 0;
}

static int nexus_stream_io_read(const struct nexus_stream_io *io, u64 pos, u8 *buf, size_t len)
{
	const struct nexus_stream_src *src = container_of(io, struct nexus_stream_src, io);

	if (!src->s->persist)
		return nexus_stream_read_pages(src->s, pos, buf, len);
	if (fatal_signal_pending(current))
		return -EINTR;
	return nexus_stream_read_file(src, pos, buf, len);
}

struct nexus_stream_src nexus_stream_src(struct file *file, struct nexus_stream *s, bool nowait)
{
	return (struct nexus_stream_src){
		.io = { .read = nexus_stream_io_read },
		.s = s,
		.file = file,
		.nowait = nowait,
	};
}

/* ---- writing -------------------------------------------------------------------------- */

static int nexus_stream_add_page(struct nexus_stream *s, u64 block)
{
	struct nexus_ring_user *user;
	struct page *page;
	int err;

	user = nexus_ring_charge(s->uid, PAGE_SIZE);
	if (IS_ERR(user))
		return PTR_ERR(user);
	page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	err = page ? xa_err(xa_store(&s->pages, block, page, GFP_KERNEL_ACCOUNT)) : -ENOMEM;
	if (err) {
		if (page)
			__free_page(page);
		nexus_ring_uncharge(user, PAGE_SIZE);
		return err;
	}
	s->user = user;
	atomic_long_inc(&s->nr_pages);
	return 0;
}

/* Nobody reads it: sem is held for writing, or it was not there before. */
static void nexus_stream_free_page(struct nexus_stream *s, u64 block)
{
	struct page *page = xa_erase(&s->pages, block);

	if (!page)
		return;
	__free_page(page);
	atomic_long_dec(&s->nr_pages);
	nexus_ring_uncharge(s->user, PAGE_SIZE);
}

/*
 * Without sem, which is for pages that go: what is written is at and behind the end, and
 * nobody reads that or takes it away.
 */
static int nexus_stream_store_pages(struct nexus_stream *s, u64 pos, const u8 *buf, size_t len)
{
	u64 first = pos >> PAGE_SHIFT, last = (pos + len - 1) >> PAGE_SHIFT, block;
	u64 begun = U64_MAX;
	struct page *page;
	int err = 0;
	size_t n;

	for (block = first; block <= last && !err; block++) {
		if (xa_load(&s->pages, block))
			continue;
		err = nexus_stream_add_page(s, block);
		if (!err && begun == U64_MAX)
			begun = block;
	}
	while (err && begun < block)
		nexus_stream_free_page(s, begun++);
	for (; !err && len; pos += n, buf += n, len -= n) {
		page = xa_load(&s->pages, pos >> PAGE_SHIFT);
		n = min_t(size_t, len, PAGE_SIZE - offset_in_page(pos));
		memcpy(page_address(page) + offset_in_page(pos), buf, n);
	}
	return err;
}

static int nexus_stream_store_file(struct file *file, u64 pos, u8 *buf, size_t len)
{
	struct inode *inode = file_inode(file);
	loff_t size = i_size_read(inode);
	struct kvec vec = { .iov_base = buf, .iov_len = len };
	struct iov_iter from;
	struct kiocb iocb;
	ssize_t n;
	int err;

	init_sync_kiocb(&iocb, file);
	iocb.ki_pos = pos;
	iov_iter_kvec(&from, ITER_SOURCE, &vec, 1, len);
	err = nexus_write_prepare(&iocb, len);
	if (err)
		return err;
	do {
		n = nexus_perform_write(&iocb, &from);
	} while (n > 0 && iov_iter_count(&from));
	if (n > 0)
		return 0;
	/* What is left behind the end would be written over, too. */
	if (i_size_read(inode) > size)
		nexus_data_truncate(inode, size, current_time(inode));
	return n ?: -EIO;
}

int nexus_stream_store(struct file *file, struct nexus_stream *s, u64 pos, u8 *buf, size_t len)
{
	return s->persist ? nexus_stream_store_file(file, pos, buf, len) :
			    nexus_stream_store_pages(s, pos, buf, len);
}

/* ---- taking away ------------------------------------------------------------------------- */

void nexus_stream_drop(struct nexus_stream *s, u64 block)
{
	struct page *page;
	unsigned long at;

	down_write(&s->sem);
	xa_for_each(&s->pages, at, page) {
		if (at >= block)
			break;
		nexus_stream_free_page(s, at);
		cond_resched();
	}
	up_write(&s->sem);
}

int nexus_stream_punch(struct file *file, struct nexus_stream *s, bool all)
{
	u64 from, to = round_down(READ_ONCE(s->start), NEXUS_STREAM_BLOCK);
	int err;

	spin_lock(&s->tail_lock);
	from = s->punched;
	/* Others take what is from here on. */
	if (to > from && to - from >= (all ? NEXUS_STREAM_BLOCK : NEXUS_STREAM_PUNCH))
		s->punched = to;
	else
		to = from;
	spin_unlock(&s->tail_lock);
	if (from == to)
		return 0;
	err = nexus_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, to - from);
	if (err) {
		spin_lock(&s->tail_lock);
		s->punched = min(s->punched, from);
		spin_unlock(&s->tail_lock);
	}
	return err;
}
