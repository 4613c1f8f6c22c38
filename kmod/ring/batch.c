// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many messages with one call.  One credit is waited for as with read(2) and write(2);
 * for the others there is credit at that moment or they are left.
 */
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "ring.h"

/* ---- sending ---------------------------------------------------------------- */

/*
 * How many of @lens[1..] fit, beside the first, which has its credit; takes credit for
 * them.  A message that can never be sent ends it: its own call will say so.
 */
static u32 nexus_ring_take_more(struct nexus_ring *ring, const u32 *lens, u32 count)
{
	u32 capacity = READ_ONCE(ring->capacity), n;
	u64 sum = 0, got, used = 0;
	s64 taken;

	for (n = 1; n < count; n++) {
		if (!lens[n] || sum + lens[n] > capacity)
			break;
		sum += lens[n];
	}
	if (!sum)
		return 1;
	taken = nexus_credit_take_upto(&ring->send.credit, sum);
	if (taken < 0)
		return 1;
	got = taken;
	for (count = n, n = 1; n < count && used + lens[n] <= got; n++)
		used += lens[n];
	if (got != used)
		nexus_ring_give(&ring->send, got - used, POLL_OUT);
	return n;
}

/* Puts messages from @lens[0] on; how many were put before memory was missing. */
static u32 nexus_ring_put_messages(struct nexus_ring *ring, const u32 *lens, u32 count,
				   struct iov_iter *from)
{
	struct nexus_ring_side *side = &ring->send;
	u64 bytes = 0;
	u32 n, pos;

	mutex_lock(&side->mutex);
	for (n = 0; n < count; n++) {
		pos = nexus_ringbuf_put_len(ring->data, ring->size, side->pos, lens[n]);
		if (!nexus_ring_copy_in(ring, pos, lens[n], from))
			break;
		side->pos = nexus_ringbuf_next(ring->size, pos, lens[n]);
		bytes += lens[n];
	}
	side->count += n;
	side->bytes += bytes;
	mutex_unlock(&side->mutex);
	return n;
}

static u64 nexus_ring_sum(const u32 *lens, u32 count)
{
	u64 sum = 0;

	while (count)
		sum += lens[--count];
	return sum;
}

/* Sends what credit was taken for; how many, or -EFAULT or -EINTR for none. */
static int nexus_ring_send_all(struct nexus_ring *ring, const u32 *lens, u32 count,
			       struct iov_iter *from)
{
	u32 n, done = 0;
	int err = 0;

	for (;;) {
		n = nexus_ring_put_messages(ring, lens + done, count - done, from);
		done += n;
		if (n)
			nexus_ring_give(&ring->recv, n, POLL_IN);
		if (done == count)
			return done;
		if (fault_in_iov_iter_readable(from, lens[done]))
			err = -EFAULT;
		else if (fatal_signal_pending(current))
			err = -EINTR;
		if (err)
			break;
	}
	nexus_ring_give(&ring->send, nexus_ring_sum(lens + done, count - done), POLL_OUT);
	return done ?: err;
}

long nexus_ring_send_batch(struct file *file, struct nexus_ring_batch *batch, bool nowait)
{
	struct nexus_ring_file *rf = file->private_data;
	struct nexus_ring *ring = rf->ring;
	struct iov_iter from;
	u32 *lens, count;
	u64 sum;
	long ret;

	lens = memdup_array_user(u64_to_user_ptr(batch->lens), batch->count, sizeof(*lens));
	if (IS_ERR(lens))
		return PTR_ERR(lens);
	ret = -EINVAL;
	if (!lens[0])
		goto out;
	ret = -EMSGSIZE;
	if (lens[0] > READ_ONCE(ring->capacity))
		goto out;
	ret = nexus_ring_take(ring, &ring->send, lens[0], nowait);
	if (ret == -EPIPE)
		send_sig(SIGPIPE, current, 0);
	if (ret == -EAGAIN)
		WRITE_ONCE(rf->want, lens[0]);
	if (ret)
		goto out;
	count = nexus_ring_take_more(ring, lens, batch->count);
	sum = nexus_ring_sum(lens, count);
	ret = import_ubuf(ITER_SOURCE, u64_to_user_ptr(batch->buf), sum, &from);
	if (ret) {
		nexus_ring_give(&ring->send, sum, POLL_OUT);
		goto out;
	}
	ret = nexus_ring_send_all(ring, lens, count, &from);
	if (ret > 0) {
		WRITE_ONCE(rf->want, 0);
		batch->done = ret;
		batch->bytes = nexus_ring_sum(lens, ret);
		ret = 0;
	}
out:
	kfree(lens);
	return ret;
}

/* ---- receiving --------------------------------------------------------------- */

struct nexus_ring_recv {
	void __user *buf;
	u32 __user *lens;
	u64	room;
	u32	*len;		/* of those received, @n of them */
	u32	n;
	u64	bytes;		/* of them; beyond, when memory was missing: how many are wanted */
};

/*
 * Receives up to @count messages, which credit was taken for.  0; -EMSGSIZE: the first
 * does not fit; -EAGAIN: memory is missing, for r->bytes and r->n lengths.  Nothing was
 * received then.
 */
static int nexus_ring_get_messages(struct nexus_ring *ring, u32 count,
				   struct nexus_ring_recv *r)
{
	struct nexus_ring_side *side = &ring->recv;
	struct iov_iter to;
	u32 pos, len;
	int ret;

	ret = import_ubuf(ITER_DEST, r->buf, r->room, &to);
	if (ret)
		return ret;
	r->n = 0;
	r->bytes = 0;
	mutex_lock(&side->mutex);
	pos = side->pos;
	while (r->n < count) {
		u32 at = nexus_ringbuf_get_len(ring->data, ring->size, pos, &len);

		if (len > iov_iter_count(&to)) {
			if (!r->n)
				ret = -EMSGSIZE;
			break;
		}
		if (!ret && !nexus_ring_copy_out(ring, at, len, &to))
			ret = -EAGAIN;
		if (ret == -EAGAIN)
			iov_iter_advance(&to, len);
		pos = nexus_ringbuf_next(ring->size, at, len);
		r->len[r->n++] = len;
		r->bytes += len;
	}
	if (!ret) {
		pagefault_disable();
		if (__copy_to_user_inatomic(r->lens, r->len, r->n * sizeof(*r->len)))
			ret = -EAGAIN;
		pagefault_enable();
	}
	if (!ret) {
		side->pos = pos;
		side->count += r->n;
		side->bytes += r->bytes;
	}
	mutex_unlock(&side->mutex);
	return ret;
}

static int nexus_ring_recv_all(struct nexus_ring *ring, u32 count, struct nexus_ring_recv *r)
{
	int ret;

	for (;;) {
		ret = nexus_ring_get_messages(ring, count, r);
		if (ret != -EAGAIN)
			return ret;
		if (fault_in_writeable(r->buf, r->bytes) ||
		    fault_in_writeable((void __user *)r->lens, r->n * sizeof(*r->len)))
			return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
	}
}

long nexus_ring_recv_batch(struct file *file, struct nexus_ring_batch *batch, bool nowait)
{
	struct nexus_ring_file *rf = file->private_data;
	struct nexus_ring *ring = rf->ring;
	struct nexus_ring_recv r = {
		.buf = u64_to_user_ptr(batch->buf),
		.lens = u64_to_user_ptr(batch->lens),
		.room = min_t(u64, batch->bytes, MAX_RW_COUNT),
	};
	u32 count = 1;
	s64 more;
	long ret;

	if (!access_ok(r.lens, batch->count * sizeof(*r.lens)))
		return -EFAULT;
	r.len = kmalloc_array(batch->count, sizeof(*r.len), GFP_KERNEL);
	if (!r.len)
		return -ENOMEM;
	ret = nexus_ring_take(ring, &ring->recv, 1, nowait);
	if (ret) {
		batch->done = 0;
		batch->bytes = 0;
		ret = ret == -ENODATA ? 0 : ret;
		goto out;
	}
	if (batch->count > 1) {
		more = nexus_credit_take_upto(&ring->recv.credit, batch->count - 1);
		count += more > 0 ? more : 0;
	}
	ret = nexus_ring_recv_all(ring, count, &r);
	if (ret)
		r.n = 0;
	if (r.n < count)
		nexus_ring_give(&ring->recv, count - r.n, POLL_IN);
	if (!ret) {
		nexus_ring_give(&ring->send, r.bytes, POLL_OUT);
		batch->done = r.n;
		batch->bytes = r.bytes;
	}
out:
	kfree(r.len);
	return ret;
}
