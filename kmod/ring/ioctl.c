// SPDX-License-Identifier: GPL-2.0-only
/* ioctls and the io_uring commands of rings. */
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/security.h>
#include <linux/uaccess.h>
#include <asm/ioctls.h>

#include "ring.h"
#include "../trace.h"

/* ---- making one ------------------------------------------------------------------ */

int nexus_ring_name_len(const u8 bytes[256])
{
	const char *name = (const char *)bytes;
	size_t len = strnlen(name, 256);

	if (len == 256)
		return -ENAMETOOLONG;
	if (!len || memchr(name, '/', len) || !strcmp(name, ".") || !strcmp(name, ".."))
		return -EINVAL;
	return len;
}

int nexus_mknod_as(struct file *file, const u8 *name, int len, umode_t mode, u64 what)
{
	struct mnt_idmap *idmap = file_mnt_idmap(file);
	struct inode *dir = file_inode(file);
	struct dentry *dentry;
	int err;

	inode_lock_nested(dir, I_MUTEX_PARENT);
	dentry = nexus_lookup_one(idmap, (const char *)name, len, file->f_path.dentry);
	if (IS_ERR(dentry)) {
		err = PTR_ERR(dentry);
		goto out_unlock;
	}
	err = -EEXIST;
	if (d_is_positive(dentry))
		goto out_dput;
	err = security_path_mknod(&file->f_path, dentry, mode, 0);
	if (err)
		goto out_dput;
	/* How nexus_mknod() knows; nobody else can make this name meanwhile. */
	nexus_dentry_set_pos(dentry, what);
	err = nexus_vfs_mknod(idmap, dir, dentry, mode, 0);
	if (err)
		nexus_dentry_set_pos(dentry, 0);
out_dput:
	dput(dentry);
out_unlock:
	inode_unlock(dir);
	return err;
}

long nexus_ring_create(struct file *file, unsigned long arg)
{
	struct nexus_ring_create rc;
	int len, err;

	if (!S_ISDIR(file_inode(file)->i_mode))
		return -ENOTDIR;
	if (copy_from_user(&rc, (void __user *)arg, sizeof(rc)))
		return -EFAULT;
	if (rc.flags || rc.mode & ~07777)
		return -EINVAL;
	len = nexus_ring_name_len(rc.name);
	if (len < 0)
		return len;
	err = nexus_ring_capacity_ok(rc.capacity);
	if (err)
		return err;
	err = mnt_want_write_file(file);
	if (err)
		return err;
	err = nexus_mknod_as(file, rc.name, len, S_IFIFO | rc.mode,
			     NEXUS_DENTRY_RING | rc.capacity);
	mnt_drop_write_file(file);
	return err;
}

/* ---- looking --------------------------------------------------------------------- */

void nexus_ring_fill_stat(struct nexus_ring *ring, struct nexus_ring_stat *st)
{
	u32 pos;

	*st = (struct nexus_ring_stat){
		.capacity	= ring->capacity,
	};
	u64 mapped;

	mutex_lock(&ring->open_mutex);
	st->readers = ring->recv.files;
	st->writers = ring->send.files;
	st->flags = nexus_map_stat(ring, &mapped) | (ring->closed ? NEXUS_RING_CLOSED : 0);
	mutex_unlock(&ring->open_mutex);
	nexus_ring_lock(ring);
	st->received = ring->recv.count;
	st->received_bytes = ring->recv.bytes;
	st->empty = ring->recv.waits;
	st->sent = ring->send.count;
	st->sent_bytes = ring->send.bytes;
	st->full = ring->send.waits;
	if (st->sent != st->received)
		st->next = nexus_ring_next(ring, &pos);
	nexus_ring_unlock(ring);
	st->messages = st->sent - st->received;
	st->bytes = st->sent_bytes - st->received_bytes + mapped;
}

static long nexus_ring_stat(struct nexus_ring *ring, unsigned long arg)
{
	struct nexus_ring_stat st;

	nexus_ring_fill_stat(ring, &st);
	return copy_to_user((void __user *)arg, &st, sizeof(st)) ? -EFAULT : 0;
}

/* Bytes of the next message, up to @len of them in @to; 0: memory is missing. */
static int nexus_ring_look(struct nexus_ring *ring, struct iov_iter *to)
{
	struct nexus_ring_side *side = &ring->recv;
	int ret = -EAGAIN;
	u32 pos, len;

	nexus_mutex_lock(&side->credit.lock);
	/* All that were given; whoever has credit for the next may be about to take it. */
	if (side->count != nexus_load_acquire(&side->credit.given)) {
		len = nexus_ring_next(ring, &pos);
		ret = len;
		if (!nexus_ring_copy_out(ring, pos, min_t(size_t, len, iov_iter_count(to)),
					 to))
			ret = 0;
	}
	nexus_mutex_unlock(&side->credit.lock);
	return ret;
}

int nexus_ring_peek(struct nexus_ring *ring, const struct nexus_ring_peek *peek)
{
	struct iov_iter to;
	int ret;

	if (READ_ONCE(ring->map))
		return -EBUSY;
	for (;;) {
		ret = import_ubuf(ITER_DEST, u64_to_user_ptr(peek->buf), peek->len, &to);
		if (ret)
			return ret;
		ret = nexus_ring_look(ring, &to);
		if (ret)
			return ret;
		if (fault_in_iov_iter_writeable(&to, min_t(size_t, peek->len, ring->capacity)))
			return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
	}
}

static long nexus_ring_peek_file(struct file *file, unsigned long arg)
{
	struct nexus_ring *ring = ((struct nexus_ring_file *)file->private_data)->ring;
	struct nexus_ring_peek __user *user = (void __user *)arg;
	struct nexus_ring_peek peek;
	int ret;

	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	if (copy_from_user(&peek, user, sizeof(peek)))
		return -EFAULT;
	ret = nexus_ring_peek(ring, &peek);
	if (ret < 0)
		return ret;
	return put_user((u32)ret, &user->next);
}

static long nexus_ring_fionread(struct nexus_ring *ring, unsigned long arg)
{
	u64 bytes;

	mutex_lock(&ring->open_mutex);
	nexus_map_stat(ring, &bytes);
	nexus_ring_lock(ring);
	bytes += ring->send.bytes - ring->recv.bytes;
	nexus_ring_unlock(ring);
	mutex_unlock(&ring->open_mutex);
	return put_user((int)bytes, (int __user *)arg);
}

/* ---- changing ---------------------------------------------------------------------- */

int nexus_ring_close(struct nexus_ring *ring)
{
	int err = -ENXIO;

	mutex_lock(&ring->open_mutex);
	if (ring->send.files || ring->recv.files) {
		WRITE_ONCE(ring->closed, true);
		trace_ring_close(ring);
		if (!ring->map)
			nexus_ring_restore(ring);
		nexus_map_update(ring);
		wake_up_interruptible_all(&ring->open_wait);
		err = 0;
	}
	mutex_unlock(&ring->open_mutex);
	return err;
}

static long nexus_ring_close_file(struct file *file)
{
	struct nexus_ring *ring = ((struct nexus_ring_file *)file->private_data)->ring;

	return file->f_mode & FMODE_WRITE ? nexus_ring_close(ring) : -EBADF;
}

static long nexus_ring_mode(struct file *file, unsigned long arg)
{
	struct nexus_ring_file *rf = file->private_data;
	u32 mode;

	if (get_user(mode, (u32 __user *)arg))
		return -EFAULT;
	if (mode & ~NEXUS_RING_TRUNCATE)
		return -EINVAL;
	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	WRITE_ONCE(rf->mode, mode);
	return 0;
}

static long nexus_ring_set_capacity(struct file *file, unsigned long arg)
{
	struct nexus_ring *ring = ((struct nexus_ring_file *)file->private_data)->ring;
	u64 capacity;
	int err;

	if (copy_from_user(&capacity, (void __user *)arg, sizeof(capacity)))
		return -EFAULT;
	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	err = nexus_ring_capacity_ok(capacity);
	return err ?: nexus_ring_resize(ring, capacity);
}

/* ---- batches ------------------------------------------------------------------------ */

static long nexus_ring_batch(struct file *file, unsigned int cmd,
			     struct nexus_ring_batch __user *user, bool nowait)
{
	bool send = cmd == NEXUS_IOC_RING_SEND;
	struct nexus_ring_file *rf = file->private_data;
	struct nexus_ring_batch batch;
	long ret;

	if (!(file->f_mode & (send ? FMODE_WRITE : FMODE_READ)))
		return -EBADF;
	if (copy_from_user(&batch, user, sizeof(batch)))
		return -EFAULT;
	if (!batch.count || batch.count > NEXUS_RING_BATCH_MAX || batch.reserved ||
	    batch.flags & ~NEXUS_RING_DONTWAIT)
		return -EINVAL;
	/* Before anything moves: what was done must be told. */
	if (put_user(0, &user->done))
		return -EFAULT;
	nowait = nowait || batch.flags & NEXUS_RING_DONTWAIT || file->f_flags & O_NONBLOCK;
	ret = send ? nexus_ring_send_batch(file, &batch, nowait) :
		     nexus_ring_recv_batch(file, &batch, nowait);
	if (ret)
		return ret;
	if (send)
		trace_ring_send(rf->ring, batch.done, batch.bytes);
	else if (batch.done)
		trace_ring_recv(rf->ring, batch.done, batch.bytes);
	if (put_user(batch.done, &user->done) || put_user(batch.bytes, &user->bytes))
		return -EFAULT;
	return 0;
}

long nexus_ring_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct nexus_ring_file *rf = file->private_data;

	/* Not of rings alone, and so of the table that is. */
	if (file->f_op != &nexus_ring_fops)
		return -ENOTTY;
	switch (cmd) {
	case NEXUS_IOC_RING_STAT:
		return nexus_ring_stat(rf->ring, arg);
	case NEXUS_IOC_RING_CLOSE:
		return nexus_ring_close_file(file);
	case NEXUS_IOC_RING_PEEK:
		return nexus_ring_peek_file(file, arg);
	case NEXUS_IOC_RING_SEND:
	case NEXUS_IOC_RING_RECV:
		return nexus_ring_batch(file, cmd, (void __user *)arg, false);
	case NEXUS_IOC_RING_MODE:
		return nexus_ring_mode(file, arg);
	case NEXUS_IOC_RING_RESIZE:
		return nexus_ring_set_capacity(file, arg);
	case NEXUS_IOC_RING_MAP:
		return nexus_map_ioctl(file, arg);
	case FIONREAD:
		return nexus_ring_fionread(rf->ring, arg);
	default:
		return -ENOTTY;
	}
}

/*
 * The batches as io_uring commands, with the address of the struct as the command.  One
 * that would have to wait is done by a worker, unless it says NEXUS_RING_DONTWAIT.
 */
int nexus_ring_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	const __u64 *addr = nexus_uring_data(cmd);
	struct nexus_ring_batch __user *user = u64_to_user_ptr(READ_ONCE(*addr));
	bool nowait = issue_flags & IO_URING_F_NONBLOCK;
	u32 flags;
	long ret;

	if (cmd->cmd_op != NEXUS_IOC_RING_SEND && cmd->cmd_op != NEXUS_IOC_RING_RECV)
		return -ENOTTY;
	ret = nexus_ring_batch(cmd->file, cmd->cmd_op, user, nowait);
	if (ret != -EAGAIN || !nowait)
		return ret;
	/* -EAGAIN would have a worker try. */
	if (cmd->file->f_flags & O_NONBLOCK ||
	    (!get_user(flags, &user->flags) && flags & NEXUS_RING_DONTWAIT)) {
		nexus_uring_done(cmd, ret, issue_flags);
		return -EIOCBQUEUED;
	}
	return ret;
}
