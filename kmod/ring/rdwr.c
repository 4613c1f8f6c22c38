// SPDX-License-Identifier: GPL-2.0-only
/* One message at a time: read(2) and write(2) of rings, and the waiting of all. */
#include <linux/pagemap.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>

#include "ring.h"
#include "../trace.h"

/* ---- waiting --------------------------------------------------------------- */

static void nexus_ring_wake_poll(struct nexus_ring_side *side, int band)
{
	__poll_t mask = band == POLL_IN ? EPOLLIN | EPOLLRDNORM : EPOLLOUT | EPOLLWRNORM;

	/* The callers have a full barrier before this, as who polls has behind poll_wait(). */
	if (waitqueue_active(&side->poll))
		wake_up_interruptible_poll(&side->poll, mask);
	if (READ_ONCE(side->fasync))
		kill_fasync(&side->fasync, SIGIO, band);
}

void nexus_ring_wake(struct nexus_ring_side *side, nexus_wakes *wakes, int band)
{
	nexus_wakes_done(wakes);
	smp_mb(); /* after what was given, before the look at who polls */
	nexus_ring_wake_poll(side, band);
}

void nexus_ring_end(struct nexus_ring_side *side, struct nexus_ring_side *other, int band)
{
	NEXUS_WAKES(wakes);

	nexus_mutex_unlock(&side->credit.lock);
	/* Has the barrier. */
	nexus_credit_given(&other->credit, &wakes);
	nexus_wakes_done(&wakes);
	nexus_ring_wake_poll(other, band);
}

void nexus_ring_undo(struct nexus_ring_side *side, u64 n, int band)
{
	NEXUS_WAKES(wakes);

	nexus_credit_return(&side->credit, n, &wakes);
	nexus_mutex_unlock(&side->credit.lock);
	nexus_ring_wake(side, &wakes, band);
}

void nexus_ring_break(struct nexus_ring_side *side, int err)
{
	NEXUS_WAKES(wakes);

	nexus_credit_break(&side->credit, err, &wakes);
	nexus_wakes_done(&wakes);
	wake_up_interruptible_all(&side->poll);
	kill_fasync(&side->fasync, SIGIO, POLL_HUP);
}

/* For @w, which is queued; 0: it has its credit. */
static int nexus_ring_wait(struct nexus_ring_side *side, struct nexus_credit_waiter *w)
{
	NEXUS_WAKES(wakes);
	int err;

	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (!nexus_credit_waits(w) || signal_pending(current))
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	err = nexus_credit_leave(&side->credit, w, &wakes);
	nexus_wakes_done(&wakes);
	if (err != -EINTR)
		return err;
	/* Who polls is not behind us any more. */
	wake_up_interruptible_all(&side->poll);
	return -ERESTARTSYS;
}

/* With the mutex, and without it unless 0 is returned: what begin does when it is not there. */
static int nexus_ring_begin_slow(struct nexus_ring *ring, struct nexus_ring_side *side,
				 u64 need, bool nowait)
{
	struct nexus_credit_waiter w;
	int err;

	side->waits++;
	if (nowait) {
		nexus_mutex_unlock(&side->credit.lock);
		return -EAGAIN;
	}
	if (!nexus_credit_enqueue(&side->credit, &w, need, current))
		return 0;
	nexus_mutex_unlock(&side->credit.lock);
	trace_ring_wait(ring, side, need);
	err = nexus_ring_wait(side, &w);
	if (err)
		return err;
	nexus_mutex_lock(&side->credit.lock);
	if (likely(!fatal_signal_pending(current)))
		return 0;
	/* Killed before it was granted, or just then: it is of use to whoever is next. */
	nexus_ring_undo(side, need, side == &ring->send ? POLL_OUT : POLL_IN);
	return -EINTR;
}

int nexus_ring_begin(struct nexus_ring *ring, struct nexus_ring_side *side, u64 need,
		     bool nowait)
{
	int err = -EMSGSIZE;

	nexus_mutex_lock(&side->credit.lock);
	if (likely(need <= ring->capacity))
		err = nexus_credit_take(&side->credit, need);
	if (likely(!err))
		return 0;
	if (err == -EAGAIN)
		return nexus_ring_begin_slow(ring, side, need, nowait);
	nexus_mutex_unlock(&side->credit.lock);
	return err;
}

static bool nexus_ring_nowait(const struct kiocb *iocb)
{
	return iocb->ki_flags & IOCB_NOWAIT || iocb->ki_filp->f_flags & O_NONBLOCK;
}

/* ---- sending ---------------------------------------------------------------- */

ssize_t nexus_ring_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct nexus_ring_file *rf = iocb->ki_filp->private_data;
	struct nexus_ring *ring = rf->ring;
	struct nexus_ring_side *side = &ring->send;
	size_t len = iov_iter_count(from);
	int err;

	if (!len)
		return 0;
	err = nexus_ring_begin(ring, side, len, nexus_ring_nowait(iocb));
	if (unlikely(err)) {
		if (err == -EPIPE && !nexus_iocb_nosignal(iocb))
			send_sig(SIGPIPE, current, 0);
		if (err == -EAGAIN)
			WRITE_ONCE(rf->want, len);
		return err;
	}
	while (unlikely(!nexus_ring_put_message(ring, len, from))) {
		nexus_mutex_unlock(&side->credit.lock);
		if (fault_in_iov_iter_readable(from, len))
			err = -EFAULT;
		else if (fatal_signal_pending(current))
			err = -EINTR;
		nexus_mutex_lock(&side->credit.lock);
		if (err) {
			nexus_ring_undo(side, len, POLL_OUT);
			return err;
		}
	}
	trace_ring_send(ring, 1, len);
	nexus_ring_end(side, &ring->recv, POLL_IN);
	if (unlikely(rf->want))
		WRITE_ONCE(rf->want, 0);
	return len;
}

/* ---- receiving --------------------------------------------------------------- */

/*
 * Takes the next message, for one whose credit was taken: how much of it is in @to;
 * -EMSGSIZE: it does not fit, -EAGAIN: memory for *@wanted bytes is not there; it stays
 * then.
 */
static ssize_t nexus_ring_get_message(struct nexus_ring *ring, bool truncate,
				      struct iov_iter *to, u32 *wanted)
{
	size_t room = iov_iter_count(to);
	u32 pos, len, n;

	len = nexus_ring_next(ring, &pos);
	n = min_t(size_t, len, room);
	if (unlikely(n < len) && !truncate)
		return -EMSGSIZE;
	*wanted = n;
	if (unlikely(!nexus_ring_copy_out(ring, pos, n, to)))
		return -EAGAIN;
	nexus_ring_took(ring, pos, len);
	trace_ring_recv(ring, 1, len);
	return n;
}

ssize_t nexus_ring_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct nexus_ring_file *rf = iocb->ki_filp->private_data;
	bool truncate = READ_ONCE(rf->mode) & NEXUS_RING_TRUNCATE;
	struct nexus_ring *ring = rf->ring;
	struct nexus_ring_side *side = &ring->recv;
	ssize_t ret;
	u32 wanted;

	if (!iov_iter_count(to))
		return 0;
	ret = nexus_ring_begin(ring, side, 1, nexus_ring_nowait(iocb));
	if (unlikely(ret))
		return ret == -ENODATA ? 0 : ret;
	while (unlikely((ret = nexus_ring_get_message(ring, truncate, to, &wanted)) < 0)) {
		if (ret == -EAGAIN) {
			nexus_mutex_unlock(&side->credit.lock);
			if (fault_in_iov_iter_writeable(to, wanted))
				ret = -EFAULT;
			else if (fatal_signal_pending(current))
				ret = -EINTR;
			nexus_mutex_lock(&side->credit.lock);
		}
		if (ret != -EAGAIN) {
			nexus_ring_undo(side, 1, POLL_IN);
			return ret;
		}
	}
	nexus_ring_end(side, &ring->send, POLL_OUT);
	return ret;
}
