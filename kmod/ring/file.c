// SPDX-License-Identifier: GPL-2.0-only
/* Open files of rings: opened, closed, polled as FIFOs are. */
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/splice.h>

#include "ring.h"

/* ---- opening and closing ------------------------------------------------------ */

/* One more file on @side: what the other side needs is given again.  open_mutex. */
static void nexus_ring_join(struct nexus_ring *ring, struct nexus_ring_side *side,
			    struct nexus_ring_side *other)
{
	lockdep_assert_held(&ring->open_mutex);
	if (!side->files++ && !ring->closed && !ring->map)
		nexus_credit_mend(&other->credit);
	nexus_map_update(ring);
	WRITE_ONCE(side->seen, side->seen + 1);
	wake_up_interruptible_all(&ring->open_wait);
}

static void nexus_ring_part(struct nexus_ring *ring, fmode_t mode)
{
	mutex_lock(&ring->open_mutex);
	if (mode & FMODE_READ && !--ring->recv.files && !ring->map)
		nexus_ring_break(&ring->send, -EPIPE);
	if (mode & FMODE_WRITE && !--ring->send.files && !ring->map)
		nexus_ring_break(&ring->recv, -ENODATA);
	nexus_map_update(ring);
	mutex_unlock(&ring->open_mutex);
}

void nexus_ring_restore(struct nexus_ring *ring)
{
	lockdep_assert_held(&ring->open_mutex);
	if (ring->recv.files && !ring->closed)
		nexus_credit_mend(&ring->send.credit);
	else
		nexus_ring_break(&ring->send, -EPIPE);
	if (ring->send.files && !ring->closed)
		nexus_credit_mend(&ring->recv.credit);
	else
		nexus_ring_break(&ring->recv, -ENODATA);
}

/* For whoever opens the other side, or closes the ring: interruptible, as for every FIFO. */
static int nexus_ring_wait_open(struct nexus_ring *ring, struct nexus_ring_side *side,
				unsigned int seen)
{
	return wait_event_interruptible(ring->open_wait,
					READ_ONCE(side->seen) != seen ||
					READ_ONCE(ring->closed));
}

static int nexus_ring_open_sides(struct nexus_ring *ring, struct file *file,
				 struct nexus_ring_file *rf)
{
	fmode_t mode = file->f_mode & (FMODE_READ | FMODE_WRITE);
	struct nexus_ring_side *wait = NULL;
	unsigned int seen = 0;
	int err = 0;

	mutex_lock(&ring->open_mutex);
	if (mode == FMODE_WRITE && file->f_flags & O_NONBLOCK && !ring->recv.files) {
		mutex_unlock(&ring->open_mutex);
		return -ENXIO;
	}
	rf->senders_seen = ring->send.seen - 1;
	if (mode & FMODE_READ)
		nexus_ring_join(ring, &ring->recv, &ring->send);
	if (mode & FMODE_WRITE)
		nexus_ring_join(ring, &ring->send, &ring->recv);
	if (mode == FMODE_READ && !ring->send.files) {
		/* No hang-up for one that never saw a sender. */
		rf->senders_seen = ring->send.seen;
		wait = &ring->send;
	} else if (mode == FMODE_WRITE && !ring->recv.files) {
		wait = &ring->recv;
	}
	if (wait)
		seen = wait->seen;
	if (ring->closed || file->f_flags & O_NONBLOCK)
		wait = NULL;
	mutex_unlock(&ring->open_mutex);

	if (wait)
		err = nexus_ring_wait_open(ring, wait, seen);
	if (err)
		nexus_ring_part(ring, mode);
	return err;
}

static int nexus_ring_open(struct inode *inode, struct file *file)
{
	struct nexus_ring_file *rf;
	struct nexus_ring *ring;
	int err;

	if (!(file->f_mode & (FMODE_READ | FMODE_WRITE)))
		return -EINVAL;
	rf = kzalloc(sizeof(*rf), GFP_KERNEL_ACCOUNT);
	if (!rf)
		return -ENOMEM;
	ring = nexus_ring_get(inode);
	if (IS_ERR(ring)) {
		kfree(rf);
		return PTR_ERR(ring);
	}
	rf->ring = ring;
	err = nexus_ring_open_sides(ring, file, rf);
	if (err) {
		nexus_ring_put(inode, ring);
		kfree(rf);
		return err;
	}
	file->private_data = rf;
	stream_open(inode, file);
	file->f_mode |= FMODE_NOWAIT;
	return 0;
}

static int nexus_ring_release(struct inode *inode, struct file *file)
{
	struct nexus_ring_file *rf = file->private_data;

	nexus_ring_part(rf->ring, file->f_mode);
	nexus_ring_put(inode, rf->ring);
	kfree(rf);
	return 0;
}

/* ---- readiness ----------------------------------------------------------------- */

/* Whether a write that was refused would have an answer now, or one of PIPE_BUF bytes. */
static bool nexus_ring_answers(const struct nexus_ring_file *rf)
{
	u32 capacity = READ_ONCE(rf->ring->capacity), want = READ_ONCE(rf->want);

	/* Refused before the capacity became less: no room is enough, so it is EMSGSIZE. */
	if (want > capacity)
		return true;
	/* What was refused must fit, or who polls would spin. */
	return nexus_credit_ready(&rf->ring->send.credit, want ?: min_t(u32, capacity, PIPE_BUF));
}

static __poll_t nexus_ring_poll(struct file *file, poll_table *wait)
{
	struct nexus_ring_file *rf = file->private_data;
	struct nexus_ring *ring = rf->ring;
	__poll_t mask = 0;

	if (file->f_mode & FMODE_READ)
		poll_wait(file, &ring->recv.poll, wait);
	if (file->f_mode & FMODE_WRITE)
		poll_wait(file, &ring->send.poll, wait);
	smp_mb(); /* who gives looks who polls after it gave */

	if (file->f_mode & FMODE_READ) {
		if (nexus_credit_ready(&ring->recv.credit, 1))
			mask |= EPOLLIN | EPOLLRDNORM;
		if (READ_ONCE(ring->closed) ||
		    (!READ_ONCE(ring->send.files) &&
		     READ_ONCE(ring->send.seen) != rf->senders_seen))
			mask |= EPOLLHUP;
	}
	if (file->f_mode & FMODE_WRITE) {
		if (nexus_ring_answers(rf))
			mask |= EPOLLOUT | EPOLLWRNORM;
		if (READ_ONCE(ring->closed) || !READ_ONCE(ring->recv.files))
			mask |= EPOLLERR;
	}
	return mask;
}

static int nexus_ring_fasync(int fd, struct file *file, int on)
{
	struct nexus_ring_file *rf = file->private_data;
	struct nexus_ring *ring = rf->ring;
	int err = 0;

	mutex_lock(&ring->open_mutex);
	if (file->f_mode & FMODE_READ)
		err = fasync_helper(fd, file, on, &ring->recv.fasync);
	if (err >= 0 && file->f_mode & FMODE_WRITE) {
		err = fasync_helper(fd, file, on, &ring->send.fasync);
		if (err < 0 && file->f_mode & FMODE_READ)
			fasync_helper(-1, file, 0, &ring->recv.fasync);
	}
	mutex_unlock(&ring->open_mutex);
	return err;
}

static void nexus_ring_fdinfo(struct seq_file *m, struct file *file)
{
	struct nexus_ring_file *rf = file->private_data;
	struct nexus_ring *ring = rf->ring;

	seq_printf(m, "ring-capacity:\t%u\n", ring->capacity);
	seq_printf(m, "ring-bytes:\t%llu\n",
		   READ_ONCE(ring->send.bytes) - READ_ONCE(ring->recv.bytes));
	seq_printf(m, "ring-messages:\t%llu\n",
		   READ_ONCE(ring->send.count) - READ_ONCE(ring->recv.count));
	seq_printf(m, "ring-files:\t%u readers, %u writers%s%s\n",
		   READ_ONCE(ring->recv.files), READ_ONCE(ring->send.files),
		   READ_ONCE(ring->closed) ? ", closed" : "",
		   READ_ONCE(ring->map) ? ", mapped" : "");
}

const struct file_operations nexus_ring_fops = {
	.owner		= THIS_MODULE,
	.open		= nexus_ring_open,
	.release	= nexus_ring_release,
	.read_iter	= nexus_ring_read_iter,
	.write_iter	= nexus_ring_write_iter,
	.splice_read	= copy_splice_read,
	.splice_write	= iter_file_splice_write,
	.poll		= nexus_ring_poll,
	.fasync		= nexus_ring_fasync,
	.unlocked_ioctl	= nexus_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.uring_cmd	= nexus_ring_uring_cmd,
	.show_fdinfo	= nexus_ring_fdinfo,
};
