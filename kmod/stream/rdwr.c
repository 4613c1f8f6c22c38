// SPDX-License-Identifier: GPL-2.0-only
/* Records of streams: appended, read, waited for. */
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "../data/data.h"
#include "stream.h"

/* ---- reading --------------------------------------------------------------------- */

/* That a record begins at @pos, which is between start and tail. */
static int nexus_stream_begins(struct nexus_stream_src *src, u64 pos)
{
	u64 seq;
	u8 *block;
	int err;

	block = kmalloc(NEXUS_STREAM_BLOCK, GFP_KERNEL);
	if (!block)
		return -ENOMEM;
	err = src->io.read(&src->io, round_down(pos, NEXUS_STREAM_BLOCK), block,
			   NEXUS_STREAM_BLOCK);
	if (!err)
		err = nexus_stream_find(block, pos, &seq);
	kfree(block);
	return err;
}

/* All of the record, in memory for kvfree().  @rec has position, length and time then. */
static int nexus_stream_get_record(struct nexus_stream_src *src, struct nexus_stream_rec *rec,
				   u64 tail, size_t room, u8 **raw)
{
	u64 at = nexus_stream_head_at(rec->pos), end;
	u8 head[NEXUS_STREAM_RHEAD];
	int err;

	err = src->io.read(&src->io, at, head, sizeof(head));
	if (!err)
		err = nexus_stream_get_head(head, rec);
	if (err)
		return err;
	end = nexus_stream_end(rec->pos, rec->len);
	if (end > tail)
		return -EUCLEAN;
	if (rec->len > room)
		return -EMSGSIZE;
	*raw = kvmalloc(end - at, GFP_KERNEL);
	if (!*raw)
		return -ENOMEM;
	err = src->io.read(&src->io, at, *raw, end - at);
	return err ?: nexus_stream_unpack(*raw, rec);
}

int nexus_stream_read_record(struct file *file, struct nexus_stream_rec *rec,
			     struct iov_iter *to, bool nowait)
{
	struct nexus_stream_file *sf = nexus_stream_file(file);
	struct nexus_stream_src src = nexus_stream_src(file, sf->s, nowait);
	struct nexus_stream *s = sf->s;
	u8 *raw = NULL;
	u64 tail;
	int err;

	err = nexus_stream_expire(&src);
	if (err)
		return err;
	/* What is before it can be read. */
	tail = smp_load_acquire(&s->tail);
	if (rec->pos < READ_ONCE(s->start))
		return -ESTALE;
	if (rec->pos >= tail)
		return rec->pos == tail ? -ENODATA : -EINVAL;
	if (rec->pos != READ_ONCE(sf->known) && rec->pos != READ_ONCE(s->start))
		err = nexus_stream_begins(&src, rec->pos);
	if (!err)
		err = nexus_stream_get_record(&src, rec, tail, iov_iter_count(to), &raw);
	/* Whatever was read in its place. */
	if (rec->pos < READ_ONCE(s->start))
		err = -ESTALE;
	else if (err == -EUCLEAN)
		nexus_err(NEXUS_I(file_inode(file))->zone,
			  "inode %llu: the record at %llu is damaged",
			  (u64)file_inode(file)->i_ino, rec->pos);
	if (!err && copy_to_iter(raw, rec->len, to) != rec->len)
		err = -EFAULT;
	kvfree(raw);
	return err;
}

int nexus_stream_wait(struct nexus_stream *s, u64 pos)
{
	return wait_event_interruptible(s->wait, READ_ONCE(s->tail) > pos ||
						 READ_ONCE(s->start) > pos);
}

/*
 * The next record at the file's own offset, which moves on, or the one where @iocb says.
 * rec->pos is where it was looked for.  Errors as of nexus_stream_read_record().
 */
static int nexus_stream_read_next(struct kiocb *iocb, struct nexus_stream_rec *rec,
				  struct iov_iter *to, bool nowait)
{
	struct file *file = iocb->ki_filp;
	struct nexus_stream_file *sf = nexus_stream_file(file);
	bool own = iocb->ki_pos == NEXUS_STREAM_CURSOR;
	u64 was, next;
	int err;

	for (;;) {
		was = own ? READ_ONCE(sf->cursor) : iocb->ki_pos;
		*rec = (struct nexus_stream_rec){ .pos = was };
		err = nexus_stream_read_record(file, rec, to, nowait);
		if (err)
			return err;
		next = nexus_stream_next(was, rec->len);
		if (!own || try_cmpxchg(&sf->cursor, &was, next))
			break;
		/* Somebody else has got it. */
		iov_iter_revert(to, rec->len);
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	if (!own)
		iocb->ki_pos = next;
	WRITE_ONCE(sf->known, next);
	file_accessed(file);
	return 0;
}

/*
 * For io_uring, which asks not to wait, and when it gets less than the buffer's size goes
 * on with a regular file until that is full; but not if it is told of the end later, nor
 * where a worker reads.  It polls when it hears -EAGAIN, which is about the file's offset:
 * so that is for reads there.  If that is f_pos, it also has to be moved by a worker.
 */
static ssize_t nexus_stream_read_async(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	struct nexus_stream_file *sf = nexus_stream_file(file);
	bool own = iocb->ki_pos == NEXUS_STREAM_CURSOR;
	u64 pos = own ? READ_ONCE(sf->cursor) : iocb->ki_pos;
	u64 tail = READ_ONCE(sf->s->tail);
	struct nexus_stream_rec rec;
	int err;

	if (pos == tail && !(file->f_flags & O_NONBLOCK) &&
	    !(READ_ONCE(sf->mode) & NEXUS_STREAM_WAIT))
		return 0;
	if (pos == tail || (!own && pos == READ_ONCE(file->f_pos)))
		return -EAGAIN;
	err = nexus_stream_read_next(iocb, &rec, to, false);
	if (err)
		return err == -ENODATA ? -EAGAIN : err;
	iocb->ki_complete(iocb, rec.len);
	return -EIOCBQUEUED;
}

ssize_t nexus_stream_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	struct nexus_stream_file *sf = nexus_stream_file(file);
	bool nowait = iocb->ki_flags & IOCB_NOWAIT;
	struct nexus_stream_rec rec;
	int err;

	if (!iov_iter_count(to))
		return 0;
	if (nowait && !is_sync_kiocb(iocb))
		return nexus_stream_read_async(iocb, to);
	for (;;) {
		err = nexus_stream_read_next(iocb, &rec, to, nowait);
		if (err != -ENODATA)
			return err ? err : (ssize_t)rec.len;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		if (!(READ_ONCE(sf->mode) & NEXUS_STREAM_WAIT))
			return 0;
		if (nowait)
			return -EAGAIN;
		err = nexus_stream_wait(sf->s, rec.pos);
		if (err)
			return err;
	}
}

/* ---- appending --------------------------------------------------------------------- */

/* Others see what is before @end. */
static void nexus_stream_show(struct inode *inode, struct nexus_stream *s, u64 end, u64 seq)
{
	bool more;

	spin_lock(&s->tail_lock);
	more = end > s->tail;
	if (more) {
		s->tail_seq = seq;
		/* Pairs with whoever reads records before it. */
		smp_store_release(&s->tail, end);
	}
	spin_unlock(&s->tail_lock);
	if (more && wq_has_sleeper(&s->wait))
		wake_up_interruptible_poll(&s->wait, EPOLLIN | EPOLLRDNORM);
}

/* What a crash, or an append that failed, has left behind the end. */
static int nexus_stream_cut(struct inode *inode, u64 end)
{
	int err = nexus_inode_writable(inode);

	if (!err)
		err = nexus_extents_load(inode);
	return err ?: nexus_data_truncate(inode, end, current_time(inode));
}

/* One record at the end; i_rwsem held.  @image: room for nexus_stream_span(@len). */
static int nexus_stream_put(struct nexus_stream_src *src, const u8 *data, u32 len, u8 *image)
{
	struct nexus_stream *s = src->s;
	struct nexus_stream_rec rec = {
		.pos = s->end,
		.seq = s->end_seq,
		.time = max_t(u64, ktime_get_real_ns(), s->time),
		.len = len,
	};
	u64 next = nexus_stream_next(rec.pos, len), at;
	int err = 0;
	size_t n;

	if (next > NEXUS_STREAM_POS_MAX)
		return -EFBIG;
	/* Or it might be taken for what follows this record, after another crash. */
	if (s->persist && i_size_read(file_inode(src->file)) > rec.pos)
		err = nexus_stream_cut(file_inode(src->file), rec.pos);
	if (err)
		return err;
	/* Also what is in memory for a moment is bounded, and what is not shown cannot go. */
	if (!s->persist) {
		if (ALIGN(next, NEXUS_STREAM_BLOCK) -
		    round_down(READ_ONCE(s->tail), NEXUS_STREAM_BLOCK) > s->max_bytes) {
			i_size_write(file_inode(src->file), rec.pos);
			nexus_stream_show(file_inode(src->file), s, rec.pos, rec.seq);
		}
		nexus_stream_fit(src, next);
	}
	n = nexus_stream_image(image, &rec, data, READ_ONCE(s->tail), &at);
	err = nexus_stream_store(src->file, s, at, image, n);
	if (err)
		return err;
	s->end = next;
	s->end_seq++;
	s->time = rec.time;
	return 0;
}

/* i_rwsem held: as many as there can be; -errno if none. */
static ssize_t nexus_stream_put_all(struct nexus_stream_src *src, const u8 *data, const u32 *lens,
				    u32 count, u8 *image)
{
	struct inode *inode = file_inode(src->file);
	u32 done = 0;
	int err = 0;

	/* As nexus_write_prepare(), which those that persist go through. */
	if (!src->s->persist) {
		err = IS_IMMUTABLE(inode) ? -EPERM : nexus_inode_writable(inode);
		if (!err)
			err = file_modified(src->file);
	}
	while (!err && done < count) {
		err = nexus_stream_put(src, data, lens[done], image);
		if (!err)
			data += lens[done++];
	}
	if (!done)
		return err;
	nexus_touched(inode);
	return done;
}

/*
 * Durable, with all that was appended so far; who comes meanwhile shares the next flush.
 * Without locks.
 */
static int nexus_stream_settle(struct file *file, struct nexus_stream *s, u64 end)
{
	u64 from = round_down(READ_ONCE(s->tail), NEXUS_STREAM_BLOCK);

	/* Somebody else has done it. */
	if (READ_ONCE(s->tail) >= end)
		return 0;
	return vfs_fsync_range(file, from, end - 1, 1);
}

ssize_t nexus_stream_append(struct file *file, const u8 *data, const u32 *lens, u32 count,
			    bool nowait, u64 *pos)
{
	struct nexus_stream *s = nexus_stream_of(file);
	struct nexus_stream_src src = nexus_stream_src(file, s, false);
	struct inode *inode = file_inode(file);
	u32 longest = 0, i;
	u64 end, seq;
	ssize_t done;
	u8 *image;
	int err;

	for (i = 0; i < count; i++)
		longest = max(longest, lens[i]);
	image = kvmalloc(nexus_stream_span(longest), GFP_KERNEL);
	if (!image)
		return -ENOMEM;
	if (nowait ? !inode_trylock(inode) : down_write_killable(&inode->i_rwsem)) {
		kvfree(image);
		return nowait ? -EAGAIN : -EINTR;
	}
	*pos = s->end;
	done = nexus_stream_put_all(&src, data, lens, count, image);
	end = s->end;
	seq = s->end_seq;
	if (done > 0 && !s->persist) {
		i_size_write(inode, end);
		nexus_stream_show(inode, s, end, seq);
	}
	inode_unlock(inode);
	kvfree(image);
	if (done <= 0 || !s->persist)
		goto out;
	err = nexus_stream_settle(file, s, end);
	if (err)
		return err;
	nexus_stream_show(inode, s, end, seq);
	nexus_stream_fit(&src, end);
	/* It is done, whatever becomes of what is old. */
	nexus_stream_punch(file, s, false);
out:
	if (!nowait)
		nexus_stream_expire(&src);
	return done;
}

ssize_t nexus_stream_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct file *file = iocb->ki_filp;
	struct nexus_stream *s = nexus_stream_of(file);
	bool nowait = iocb->ki_flags & IOCB_NOWAIT;
	size_t n = iov_iter_count(from);
	ssize_t ret;
	u64 pos;
	u32 len;
	u8 *data;

	if (!n)
		return 0;
	if (n > nexus_stream_record_max(s->max_bytes))
		return -EMSGSIZE;
	if (nowait && s->persist)
		return -EAGAIN;
	len = n;
	data = kvmalloc(len, GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	ret = -EFAULT;
	if (copy_from_iter_full(data, len, from))
		ret = nexus_stream_append(file, data, &len, 1, nowait, &pos);
	kvfree(data);
	/* The offset is the reader's, and stays. */
	return ret < 0 ? ret : len;
}
