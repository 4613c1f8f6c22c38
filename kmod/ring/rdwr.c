// SPDX-License-Identifier: GPL-2.0-only
/*
 * One message at a time: read(2) and write(2) of rings, and the waiting of all.
 *
 * User memory is copied with faults switched off, under the side's mutex; when a page
 * is missing the mutex is given up, the page fetched, and the copy begun again.  So a
 * page that takes its time (swap, userfaultfd, a FUSE mapping) delays its owner alone.
 */
#include <linux/pagemap.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "ring.h"

/* ---- waiting --------------------------------------------------------------- */

static void nexus_ring_wake_poll(struct nexus_ring_side *side, int band)
{
	__poll_t mask = band == POLL_IN ? EPOLLIN | EPOLLRDNORM : EPOLLOUT | EPOLLWRNORM;

	if (wq_has_sleeper(&side->poll))
		wake_up_interruptible_poll(&side->poll, mask);
	kill_fasync(&side->fasync, SIGIO, band);
}

void nexus_ring_give(struct nexus_ring_side *side, u64 n, int band)
{
	NEXUS_WAKES(wakes);

	nexus_credit_give(&side->credit, n, &wakes);
	nexus_wakes_done(&wakes);
	nexus_ring_wake_poll(side, band);
}

void nexus_ring_break(struct nexus_ring_side *side, int err)
{
	NEXUS_WAKES(wakes);

	nexus_credit_break(&side->credit, err, &wakes);
	nexus_wakes_done(&wakes);
	wake_up_interruptible_all(&side->poll);
	kill_fasync(&side->fasync, SIGIO, POLL_HUP);
}

static int nexus_ring_wait(struct nexus_ring *ring, struct nexus_ring_side *side,
			   u64 need)
{
	NEXUS_WAKES(wakes);
	struct nexus_credit_waiter w;
	bool small;
	int err;

	err = nexus_credit_enqueue(&side->credit, &w, need, current);
	if (err <= 0)
		return err;
	/* There will never be so much: the ring was made smaller meanwhile. */
	small = need > READ_ONCE(ring->capacity);
	while (!small) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (!nexus_credit_waits(&w) || signal_pending(current))
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	err = nexus_credit_leave(&side->credit, &w, &wakes);
	nexus_wakes_done(&wakes);
	if (err != -EINTR)
		return err;
	/* Who polls is not behind us any more. */
	wake_up_interruptible_all(&side->poll);
	return small ? -EMSGSIZE : -ERESTARTSYS;
}

int nexus_ring_take(struct nexus_ring *ring, struct nexus_ring_side *side, u64 need,
		    bool nowait)
{
	int err = nexus_credit_take(&side->credit, need);

	if (likely(err != -EAGAIN))
		return err;
	atomic64_inc(&side->waits);
	return nowait ? err : nexus_ring_wait(ring, side, need);
}

static bool nexus_ring_nowait(const struct kiocb *iocb)
{
	return iocb->ki_flags & IOCB_NOWAIT || iocb->ki_filp->f_flags & O_NONBLOCK;
}

/* ---- copying --------------------------------------------------------------- */

bool nexus_ring_copy_in(struct nexus_ring *ring, u32 pos, u32 len,
			struct iov_iter *from)
{
	struct nexus_ringbuf_span s;
	size_t n;

	nexus_ringbuf_span(ring->size, pos, len, &s);
	pagefault_disable();
	n = copy_from_iter(ring->data + s.off[0], s.len[0], from);
	if (n == s.len[0] && s.len[1])
		n += copy_from_iter(ring->data + s.off[1], s.len[1], from);
	pagefault_enable();
	if (likely(n == len))
		return true;
	iov_iter_revert(from, n);
	return false;
}

bool nexus_ring_copy_out(struct nexus_ring *ring, u32 pos, u32 len,
			 struct iov_iter *to)
{
	struct nexus_ringbuf_span s;
	size_t n;

	nexus_ringbuf_span(ring->size, pos, len, &s);
	pagefault_disable();
	n = copy_to_iter(ring->data + s.off[0], s.len[0], to);
	if (n == s.len[0] && s.len[1])
		n += copy_to_iter(ring->data + s.off[1], s.len[1], to);
	pagefault_enable();
	if (likely(n == len))
		return true;
	iov_iter_revert(to, n);
	return false;
}

/* ---- sending ---------------------------------------------------------------- */

/* Puts a message whose bytes were taken; false if its memory is not there. */
static bool nexus_ring_put_message(struct nexus_ring *ring, u32 len,
				   struct iov_iter *from)
{
	struct nexus_ring_side *side = &ring->send;
	bool there;
	u32 pos;

	mutex_lock(&side->mutex);
	pos = nexus_ringbuf_put_len(ring->data, ring->size, side->pos, len);
	there = nexus_ring_copy_in(ring, pos, len, from);
	if (likely(there)) {
		side->pos = nexus_ringbuf_next(ring->size, pos, len);
		side->count++;
		side->bytes += len;
	}
	mutex_unlock(&side->mutex);
	return there;
}

ssize_t nexus_ring_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct nexus_ring_file *rf = iocb->ki_filp->private_data;
	struct nexus_ring *ring = rf->ring;
	size_t len = iov_iter_count(from);
	int err;

	if (!len)
		return 0;
	if (len > READ_ONCE(ring->capacity))
		return -EMSGSIZE;
	err = nexus_ring_take(ring, &ring->send, len, nexus_ring_nowait(iocb));
	if (err == -EPIPE && !nexus_iocb_nosignal(iocb))
		send_sig(SIGPIPE, current, 0);
	if (err == -EAGAIN)
		WRITE_ONCE(rf->want, len);
	if (err)
		return err;
	while (unlikely(!nexus_ring_put_message(ring, len, from))) {
		if (fault_in_iov_iter_readable(from, len))
			err = -EFAULT;
		else if (fatal_signal_pending(current))
			err = -EINTR;
		if (err) {
			nexus_ring_give(&ring->send, len, POLL_OUT);
			return err;
		}
	}
	WRITE_ONCE(rf->want, 0);
	nexus_ring_give(&ring->recv, 1, POLL_IN);
	return len;
}

/* ---- receiving --------------------------------------------------------------- */

/*
 * Takes the next message, for one whose credit was taken: its length, *@copied of it in
 * @to; -EMSGSIZE: it does not fit, -EAGAIN: memory for *@copied bytes is not there; it
 * stays then.
 */
static int nexus_ring_get_message(struct nexus_ring *ring, bool truncate,
				  struct iov_iter *to, u32 *copied)
{
	struct nexus_ring_side *side = &ring->recv;
	size_t room = iov_iter_count(to);
	u32 pos, len;
	int ret;

	mutex_lock(&side->mutex);
	pos = nexus_ringbuf_get_len(ring->data, ring->size, side->pos, &len);
	*copied = min_t(size_t, len, room);
	if (*copied < len && !truncate) {
		ret = -EMSGSIZE;
	} else if (unlikely(!nexus_ring_copy_out(ring, pos, *copied, to))) {
		ret = -EAGAIN;
	} else {
		side->pos = nexus_ringbuf_next(ring->size, pos, len);
		side->count++;
		side->bytes += len;
		ret = len;
	}
	mutex_unlock(&side->mutex);
	return ret;
}

ssize_t nexus_ring_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct nexus_ring_file *rf = iocb->ki_filp->private_data;
	bool truncate = READ_ONCE(rf->mode) & NEXUS_RING_TRUNCATE;
	struct nexus_ring *ring = rf->ring;
	u32 copied;
	int ret;

	if (!iov_iter_count(to))
		return 0;
	ret = nexus_ring_take(ring, &ring->recv, 1, nexus_ring_nowait(iocb));
	if (ret)
		return ret == -ENODATA ? 0 : ret;
	for (;;) {
		ret = nexus_ring_get_message(ring, truncate, to, &copied);
		if (likely(ret >= 0))
			break;
		if (ret == -EAGAIN) {
			ret = 0;
			if (fault_in_iov_iter_writeable(to, copied))
				ret = -EFAULT;
			else if (fatal_signal_pending(current))
				ret = -EINTR;
		}
		if (ret) {
			nexus_ring_give(&ring->recv, 1, POLL_IN);
			return ret;
		}
	}
	nexus_ring_give(&ring->send, ret, POLL_OUT);
	return copied;
}
