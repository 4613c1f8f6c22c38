// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many messages with one call.  One credit is waited for as with read(2) and write(2);
 * for the others there is credit at that moment or they are left.
 *
 * Each message is given as soon as it is copied, and after each stretch of them the
 * mutex is given up and the other side woken, so that both work at the same time.
 */
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "ring.h"

/* Payload of a stretch, in bytes; its last message may be longer. */
#define NEXUS_RING_STRETCH	4096u

struct nexus_ring_many {
	struct nexus_ring *ring;
	void __user *buf;
	u32 __user *lens;
	u32	count;		/* asked for */
	u32	done;		/* sent or received */
	u64	bytes;		/* of them */
	u64	room;		/* at @buf, of who receives */
	u32	len;		/* of the next message */
};

/* How a stretch ended. */
enum nexus_ring_ended {
	NEXUS_RING_ALL,		/* all that was asked for, or no credit for the next */
	NEXUS_RING_MORE,	/* there may be more, no credit taken for it */
	NEXUS_RING_MISSING,	/* memory is missing, for what credit was taken for */
};

/* ---- sending ---------------------------------------------------------------- */

static bool nexus_ring_next_len(struct nexus_ring_many *m)
{
	bool ok;

	pagefault_disable();
	ok = !__get_user(m->len, &m->lens[m->done]);
	pagefault_enable();
	return ok;
}

/*
 * Sends from m->len on, which credit was taken for.  A message that can never be sent
 * ends it: its own call will say so.  The mutex of who sends.
 */
static enum nexus_ring_ended nexus_ring_send_some(struct nexus_ring_many *m)
{
	struct nexus_ring *ring = m->ring;
	struct iov_iter from;
	u64 bytes = 0;

	for (;;) {
		iov_iter_ubuf(&from, ITER_SOURCE, m->buf + m->bytes, m->len);
		if (unlikely(!nexus_ring_put_message(ring, m->len, &from)))
			return NEXUS_RING_MISSING;
		m->done++;
		m->bytes += m->len;
		bytes += m->len;
		if (m->done == m->count)
			return NEXUS_RING_ALL;
		if (bytes >= NEXUS_RING_STRETCH || unlikely(!nexus_ring_next_len(m)))
			return NEXUS_RING_MORE;
		if (!m->len || m->len > ring->capacity ||
		    nexus_credit_take(&ring->send.credit, m->len))
			return NEXUS_RING_ALL;
	}
}

/* Fetches the memory of the next message, which credit was taken for; no mutex. */
static int nexus_ring_fetch(struct nexus_ring_many *m)
{
	if (fault_in_readable(m->buf + m->bytes, m->len))
		return -EFAULT;
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/* With the mutex, and credit for the first.  0, or for none -EFAULT or -EINTR. */
static int nexus_ring_send_many(struct nexus_ring_many *m)
{
	struct nexus_ring *ring = m->ring;
	struct nexus_ring_side *side = &ring->send;
	enum nexus_ring_ended how;
	int err;

	for (;;) {
		how = nexus_ring_send_some(m);
		nexus_ring_end(side, &ring->recv, POLL_IN);
		if (how == NEXUS_RING_ALL)
			return 0;
		if (how == NEXUS_RING_MISSING) {
			err = nexus_ring_fetch(m);
			nexus_mutex_lock(&side->credit.lock);
			if (!err)
				continue;
			nexus_ring_undo(side, m->len, POLL_OUT);
			return m->done ? 0 : err;
		}
		if (get_user(m->len, &m->lens[m->done]) || !m->len)
			return 0;
		nexus_mutex_lock(&side->credit.lock);
		if (m->len > ring->capacity || nexus_credit_take(&side->credit, m->len)) {
			nexus_mutex_unlock(&side->credit.lock);
			return 0;
		}
	}
}

long nexus_ring_send_batch(struct file *file, struct nexus_ring_batch *batch, bool nowait)
{
	struct nexus_ring_file *rf = file->private_data;
	struct nexus_ring_many m = {
		.ring = rf->ring,
		.buf = u64_to_user_ptr(batch->buf),
		.lens = u64_to_user_ptr(batch->lens),
		.count = batch->count,
	};
	int ret;

	if (!access_ok(m.lens, m.count * sizeof(*m.lens)) || get_user(m.len, m.lens))
		return -EFAULT;
	if (!m.len)
		return -EINVAL;
	ret = nexus_ring_begin(m.ring, &m.ring->send, m.len, nowait);
	if (ret == -EPIPE)
		send_sig(SIGPIPE, current, 0);
	if (ret == -EAGAIN)
		WRITE_ONCE(rf->want, m.len);
	if (ret)
		return ret;
	ret = nexus_ring_send_many(&m);
	if (ret)
		return ret;
	WRITE_ONCE(rf->want, 0);
	batch->done = m.done;
	batch->bytes = m.bytes;
	return 0;
}

/* ---- receiving --------------------------------------------------------------- */

/* Copies a message out, and its length; false if memory is missing. */
static bool nexus_ring_take_out(struct nexus_ring_many *m, u32 pos, u32 len)
{
	struct iov_iter to;
	bool ok;

	iov_iter_ubuf(&to, ITER_DEST, m->buf + m->bytes, len);
	if (unlikely(!nexus_ring_copy_out(m->ring, pos, len, &to)))
		return false;
	pagefault_disable();
	ok = !__put_user(len, &m->lens[m->done]);
	pagefault_enable();
	return ok;
}

/* The mutex of who receives, and credit for one message. */
static enum nexus_ring_ended nexus_ring_recv_some(struct nexus_ring_many *m)
{
	struct nexus_ring *ring = m->ring;
	u64 bytes = 0;
	u32 pos, len;

	for (;;) {
		len = nexus_ring_next(ring, &pos);
		m->len = len;
		if (unlikely(len > m->room - m->bytes || !nexus_ring_take_out(m, pos, len)))
			return NEXUS_RING_MISSING;
		nexus_ring_took(ring, pos, len);
		m->done++;
		m->bytes += len;
		bytes += len;
		if (m->done == m->count)
			return NEXUS_RING_ALL;
		if (bytes >= NEXUS_RING_STRETCH)
			return NEXUS_RING_MORE;
		if (nexus_credit_take(&ring->recv.credit, 1))
			return NEXUS_RING_ALL;
	}
}

/* Makes room for the message of m->len; no mutex. */
static int nexus_ring_make_room(struct nexus_ring_many *m)
{
	if (m->len > m->room - m->bytes)
		return -EMSGSIZE;
	if (fault_in_writeable(m->buf + m->bytes, m->len) ||
	    fault_in_writeable((void __user *)&m->lens[m->done], sizeof(*m->lens)))
		return -EFAULT;
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/* With the mutex, and credit for the first.  0, or for none -EFAULT, -EINTR, -EMSGSIZE. */
static int nexus_ring_recv_many(struct nexus_ring_many *m)
{
	struct nexus_ring *ring = m->ring;
	struct nexus_ring_side *side = &ring->recv;
	enum nexus_ring_ended how;
	int err;

	for (;;) {
		how = nexus_ring_recv_some(m);
		nexus_ring_end(side, &ring->send, POLL_OUT);
		if (how == NEXUS_RING_ALL)
			return 0;
		if (how == NEXUS_RING_MISSING) {
			err = nexus_ring_make_room(m);
			nexus_mutex_lock(&side->credit.lock);
			if (!err)
				continue;
			nexus_ring_undo(side, 1, POLL_IN);
			return m->done ? 0 : err;
		}
		nexus_mutex_lock(&side->credit.lock);
		if (nexus_credit_take(&side->credit, 1)) {
			nexus_mutex_unlock(&side->credit.lock);
			return 0;
		}
	}
}

long nexus_ring_recv_batch(struct file *file, struct nexus_ring_batch *batch, bool nowait)
{
	struct nexus_ring_file *rf = file->private_data;
	struct nexus_ring_many m = {
		.ring = rf->ring,
		.buf = u64_to_user_ptr(batch->buf),
		.lens = u64_to_user_ptr(batch->lens),
		.count = batch->count,
		.room = min_t(u64, batch->bytes, MAX_RW_COUNT),
	};
	int ret;

	if (!access_ok(m.lens, m.count * sizeof(*m.lens)))
		return -EFAULT;
	ret = nexus_ring_begin(m.ring, &m.ring->recv, 1, nowait);
	/* At the end there are none. */
	if (ret && ret != -ENODATA)
		return ret;
	if (!ret)
		ret = nexus_ring_recv_many(&m);
	if (ret && ret != -ENODATA)
		return ret;
	batch->done = m.done;
	batch->bytes = m.bytes;
	return 0;
}
