// SPDX-License-Identifier: GPL-2.0-only
/* Open files of streams. */
#include <linux/filelock.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/splice.h>

#include "../data/data.h"
#include "../plock.h"
#include "stream.h"

static int nexus_stream_open(struct inode *inode, struct file *file)
{
	struct nexus_stream_file *sf;
	struct nexus_stream_src src;
	int err;

	err = generic_file_open(inode, file);
	if (err)
		return err;
	sf = kzalloc(sizeof(*sf), GFP_KERNEL_ACCOUNT);
	if (!sf)
		return -ENOMEM;
	sf->known = U64_MAX;
	sf->cursor = U64_MAX;
	sf->s = nexus_stream_get(inode);
	err = PTR_ERR_OR_ZERO(sf->s);
	if (!err)
		err = nexus_stream_load(file, sf->s);
	if (err)
		goto out_free;
	src = nexus_stream_src(file, sf->s, false);
	err = nexus_stream_expire(&src);
	if (err)
		goto out_free;
	file->private_data = sf;
	/* Each reader begins with what there is. */
	file->f_pos = READ_ONCE(sf->s->start);
	file->f_mode |= FMODE_NOWAIT;
	file->f_mode &= ~FMODE_PWRITE;
	return 0;

out_free:
	kfree(sf);
	return err;
}

static int nexus_stream_release(struct inode *inode, struct file *file)
{
	struct nexus_stream_file *sf = nexus_stream_file(file);

	nexus_plock_close(inode, sf->plock);
	kfree(sf);
	return 0;
}

struct nexus_plock_file **nexus_stream_plock(struct file *file)
{
	return &nexus_stream_file(file)->plock;
}

u64 nexus_stream_offset(const struct file *file)
{
	/* Pairs with nexus_stream_set_mode(). */
	loff_t pos = smp_load_acquire(&file->f_pos);

	return pos == NEXUS_STREAM_CURSOR ? READ_ONCE(nexus_stream_file(file)->cursor) : pos;
}

void nexus_stream_set_mode(struct file *file, u32 mode)
{
	struct nexus_stream_file *sf = nexus_stream_file(file);
	u64 pos;

	spin_lock(&file->f_lock);
	pos = nexus_stream_offset(file);
	if (mode & NEXUS_STREAM_WAIT) {
		file->f_mode &= ~FMODE_ATOMIC_POS;
		WRITE_ONCE(sf->cursor, pos);
		pos = NEXUS_STREAM_CURSOR;
	} else {
		file->f_mode |= FMODE_ATOMIC_POS;
	}
	/* Who sees it sees the cursor, in nexus_stream_offset(). */
	smp_store_release(&file->f_pos, pos);
	WRITE_ONCE(sf->mode, mode);
	spin_unlock(&file->f_lock);
}

/*
 * Anywhere up to the tail; whether a record begins there is seen when it is read.  No
 * SEEK_DATA and SEEK_HOLE: grep and others take an offset for the bytes they have read.
 */
static loff_t nexus_stream_llseek(struct file *file, loff_t offset, int whence)
{
	struct nexus_stream_file *sf = nexus_stream_file(file);
	loff_t tail = READ_ONCE(sf->s->tail), base, pos;
	u64 was;

	if (whence != SEEK_SET && whence != SEEK_CUR && whence != SEEK_END)
		return -EINVAL;
	do {
		was = nexus_stream_offset(file);
		base = whence == SEEK_CUR ? was : whence == SEEK_END ? tail : 0;
		if (offset < -base || offset > tail - base)
			return -EINVAL;
		pos = base + offset;
		if (file->f_pos != NEXUS_STREAM_CURSOR)
			return vfs_setpos(file, pos, NEXUS_SIZE_MAX);
	} while (!try_cmpxchg(&sf->cursor, &was, pos));
	return pos;
}

static __poll_t nexus_stream_poll(struct file *file, poll_table *wait)
{
	struct nexus_stream *s = nexus_stream_of(file);
	__poll_t mask = 0;
	u64 pos;

	poll_wait(file, &s->wait, wait);
	pos = nexus_stream_offset(file);
	/* Also what has gone is no reason to wait. */
	if (file->f_mode & FMODE_READ && pos < READ_ONCE(s->tail))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (file->f_mode & FMODE_WRITE)
		mask |= EPOLLOUT | EPOLLWRNORM;
	return mask;
}

/*
 * Not for sendfile and copy_file_range, which have a pipe of their own: the latter moves
 * the offset by as many bytes as it got, and that is no record's position.
 */
static ssize_t nexus_stream_splice_read(struct file *in, loff_t *ppos,
					struct pipe_inode_info *pipe, size_t len,
					unsigned int flags)
{
	return pipe == current->splice_pipe ? -EINVAL :
	       copy_splice_read(in, ppos, pipe, len, flags);
}

/* Bytes of one stream are none of another; EXDEV where only one of the two is. */
static ssize_t nexus_stream_copy_range(struct file *in, loff_t pos_in, struct file *out,
				       loff_t pos_out, size_t len, unsigned int flags)
{
	return -EOPNOTSUPP;
}

static void nexus_stream_fdinfo(struct seq_file *m, struct file *file)
{
	const struct nexus_stream *s = nexus_stream_of(file);

	seq_printf(m, "stream-offset:\t%llu\n", nexus_stream_offset(file));
	seq_printf(m, "stream-start:\t%llu\n", READ_ONCE(s->start));
	seq_printf(m, "stream-tail:\t%llu\n", READ_ONCE(s->tail));
}

const struct file_operations nexus_stream_fops = {
	.owner		= THIS_MODULE,
	.llseek		= nexus_stream_llseek,
	.open		= nexus_stream_open,
	.release	= nexus_stream_release,
	.read_iter	= nexus_stream_read_iter,
	.write_iter	= nexus_stream_write_iter,
	.splice_read	= nexus_stream_splice_read,
	.splice_write	= iter_file_splice_write,
	.copy_file_range = nexus_stream_copy_range,
	.fsync		= nexus_fsync,
	.poll		= nexus_stream_poll,
	.setlease	= generic_setlease,
	.unlocked_ioctl	= nexus_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.show_fdinfo	= nexus_stream_fdinfo,
};
