// SPDX-License-Identifier: GPL-2.0-only
/* ioctls of streams. */
#include <linux/fsnotify.h>
#include <linux/mount.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../data/data.h"
#include "../ring/ring.h"
#include "stream.h"

/* ---- making one -------------------------------------------------------------------- */

long nexus_stream_create(struct file *file, unsigned long arg)
{
	struct inode *dir = file_inode(file);
	struct nexus_stream_create sc;
	int len, err;

	if (!S_ISDIR(dir->i_mode))
		return -ENOTDIR;
	if (copy_from_user(&sc, (void __user *)arg, sizeof(sc)))
		return -EFAULT;
	if (sc.flags & ~NEXUS_STREAM_PERSIST || sc.reserved || sc.mode & ~07777)
		return -EINVAL;
	len = nexus_ring_name_len(sc.name);
	if (len < 0)
		return len;
	err = nexus_stream_limits_ok(&sc);
	if (err)
		return err;
	/* What is trimmed becomes a hole. */
	if (sc.flags & NEXUS_STREAM_PERSIST &&
	    !(NEXUS_I(dir)->zone->features & NEXUS_INCOMPAT_RANGES))
		return -EOPNOTSUPP;
	err = mnt_want_write_file(file);
	if (err)
		return err;
	err = nexus_mknod_as(file, sc.name, len, S_IFREG | sc.mode,
			     nexus_stream_pack_opts(&sc));
	mnt_drop_write_file(file);
	return err;
}

/* ---- looking ------------------------------------------------------------------------- */

static u64 nexus_stream_bytes(struct inode *inode, struct nexus_stream *s)
{
	if (!s->persist)
		return (u64)atomic_long_read(&s->nr_pages) << PAGE_SHIFT;
	/* And what is not written yet. */
	return ((u64)inode->i_blocks << 9) +
	       (READ_ONCE(NEXUS_I(inode)->delayed) << NEXUS_BLOCK_SHIFT);
}

static long nexus_stream_stat(struct file *file, void __user *user)
{
	struct nexus_stream *s = nexus_stream_of(file);
	struct nexus_stream_src src = nexus_stream_src(file, s, false);
	struct nexus_stream_stat st = {
		.max_bytes = s->max_bytes,
		.max_age = s->max_age,
		.flags = s->persist ? NEXUS_STREAM_PERSIST : 0,
		.record_max = nexus_stream_record_max(s->max_bytes),
		.id = s->id,
		.bytes = nexus_stream_bytes(file_inode(file), s),
	};
	int err;

	err = nexus_stream_expire(&src);
	if (err)
		return err;
	if (mutex_lock_killable(&s->trim_mutex))
		return -EINTR;
	st.start = s->start;
	spin_lock(&s->tail_lock);
	st.tail = s->tail;
	st.records = s->tail_seq - s->start_seq;
	spin_unlock(&s->tail_lock);
	mutex_unlock(&s->trim_mutex);
	return copy_to_user(user, &st, sizeof(st)) ? -EFAULT : 0;
}

static long nexus_stream_mode(struct file *file, u32 __user *user)
{
	u32 mode;

	if (get_user(mode, user))
		return -EFAULT;
	if (mode & ~NEXUS_STREAM_WAIT)
		return -EINVAL;
	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	nexus_stream_set_mode(file, mode);
	return 0;
}

static long nexus_stream_trim_to(struct file *file, u64 __user *user)
{
	u64 pos;
	long err;

	if (copy_from_user(&pos, user, sizeof(pos)))
		return -EFAULT;
	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	err = mnt_want_write_file(file);
	if (err)
		return err;
	err = nexus_stream_trim(file, pos);
	mnt_drop_write_file(file);
	return err;
}

/* ---- many records --------------------------------------------------------------------- */

static long nexus_stream_append_lens(struct file *file, struct nexus_stream_append *sa,
				     const u32 *lens)
{
	struct nexus_stream *s = nexus_stream_of(file);
	u64 bytes = 0;
	ssize_t done;
	u32 n;
	u8 *data;

	/* What cannot be ends it: its own call will say so. */
	for (n = 0; n < sa->count; n++) {
		if (!lens[n] || lens[n] > nexus_stream_record_max(s->max_bytes))
			break;
		bytes += lens[n];
	}
	if (!n)
		return lens[0] ? -EMSGSIZE : -EINVAL;
	if (bytes > NEXUS_STREAM_APPEND_MAX)
		return -E2BIG;
	data = vmemdup_user(u64_to_user_ptr(sa->buf), bytes);
	if (IS_ERR(data))
		return PTR_ERR(data);
	done = nexus_stream_append(file, data, lens, n, false, &sa->pos);
	kvfree(data);
	if (done < 0)
		return done;
	sa->done = done;
	return 0;
}

static long nexus_stream_append_ioctl(struct file *file, struct nexus_stream_append __user *user)
{
	struct nexus_stream_append sa;
	u32 *lens;
	long err;

	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	if (copy_from_user(&sa, user, sizeof(sa)))
		return -EFAULT;
	if (!sa.count || sa.count > NEXUS_STREAM_BATCH_MAX || sa.flags || sa.reserved)
		return -EINVAL;
	/* Before anything is done: what was done must be told. */
	if (put_user(0, &user->done))
		return -EFAULT;
	lens = memdup_array_user(u64_to_user_ptr(sa.lens), sa.count, sizeof(*lens));
	if (IS_ERR(lens))
		return PTR_ERR(lens);
	err = mnt_want_write_file(file);
	if (!err) {
		err = nexus_stream_append_lens(file, &sa, lens);
		mnt_drop_write_file(file);
	}
	kfree(lens);
	if (err)
		return err;
	fsnotify_modify(file);
	if (put_user(sa.done, &user->done) || put_user(sa.pos, &user->pos))
		return -EFAULT;
	return 0;
}

/* Puts down what was read of one. */
static int nexus_stream_tell(struct nexus_stream_read *sr, const struct nexus_stream_rec *rec)
{
	struct nexus_stream_record __user *user = u64_to_user_ptr(sr->records);
	struct nexus_stream_record r = {
		.pos = rec->pos,
		.time = rec->time,
		.len = rec->len,
	};

	return copy_to_user(user + sr->done, &r, sizeof(r)) ? -EFAULT : 0;
}

/* One more at sr->pos.  0; what the first fails with, the others end with. */
static int nexus_stream_read_one(struct file *file, struct nexus_stream_read *sr, u64 *room)
{
	struct nexus_stream_rec rec = { .pos = sr->pos };
	struct iov_iter to;
	int err;

	err = import_ubuf(ITER_DEST, u64_to_user_ptr(sr->buf + sr->bytes), *room, &to);
	if (!err)
		err = nexus_stream_read_record(file, &rec, &to, false);
	if (!err)
		err = nexus_stream_tell(sr, &rec);
	if (err)
		return err;
	sr->done++;
	sr->bytes += rec.len;
	*room -= rec.len;
	sr->pos = nexus_stream_next(rec.pos, rec.len);
	WRITE_ONCE(nexus_stream_file(file)->known, sr->pos);
	return 0;
}

static long nexus_stream_read_ioctl(struct file *file, struct nexus_stream_read __user *user)
{
	struct nexus_stream_file *sf = nexus_stream_file(file);
	struct nexus_stream_read sr;
	u64 room;
	int err;

	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	if (copy_from_user(&sr, user, sizeof(sr)))
		return -EFAULT;
	if (!sr.count || sr.count > NEXUS_STREAM_BATCH_MAX)
		return -EINVAL;
	room = min_t(u64, sr.bytes, MAX_RW_COUNT);
	sr.bytes = 0;
	sr.done = 0;
	do {
		err = nexus_stream_read_one(file, &sr, &room);
		if (err == -ENODATA && !sr.done) {
			if (file->f_flags & O_NONBLOCK)
				return -EAGAIN;
			if (!(READ_ONCE(sf->mode) & NEXUS_STREAM_WAIT))
				break;
			err = nexus_stream_wait(sf->s, sr.pos);
			if (err)
				return err;
		}
		cond_resched();
	} while (!err && sr.done < sr.count && !fatal_signal_pending(current));
	if (err && err != -ENODATA && !sr.done)
		return err;
	file_accessed(file);
	return copy_to_user(user, &sr, sizeof(sr)) ? -EFAULT : 0;
}

long nexus_stream_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;

	if (file->f_op != &nexus_stream_fops)
		return -ENOTTY;
	switch (cmd) {
	case NEXUS_IOC_STREAM_STAT:
		return nexus_stream_stat(file, user);
	case NEXUS_IOC_STREAM_TRIM:
		return nexus_stream_trim_to(file, user);
	case NEXUS_IOC_STREAM_MODE:
		return nexus_stream_mode(file, user);
	case NEXUS_IOC_STREAM_APPEND:
		return nexus_stream_append_ioctl(file, user);
	default:
		return nexus_stream_read_ioctl(file, user);
	}
}
