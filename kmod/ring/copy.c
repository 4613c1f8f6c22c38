// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bytes of messages.
 *
 * User memory is copied with faults switched off, under the side's mutex; when a page
 * is missing the mutex is given up, the page fetched, and the copy begun again.  So a
 * page that takes its time (swap, userfaultfd, a FUSE mapping) delays its owner alone.
 *
 * copy_from_iter() and its like have the ring's memory looked up among all mappings of
 * the kernel each time (CONFIG_HARDENED_USERCOPY), under a lock, which costs more than
 * a short message; here nothing a user says has to do with where it goes.
 */
#include <linux/instrumented.h>
#include <linux/iov_iter.h>
#include <linux/uaccess.h>

#include "ring.h"

static __always_inline size_t nexus_ring_from_user(void __user *from, size_t progress,
						   size_t len, void *to, void *priv2)
{
	size_t left;

	if (!access_ok(from, len))
		return len;
	to += progress;
	instrument_copy_from_user_before(to, from, len);
	left = raw_copy_from_user(to, from, len);
	instrument_copy_from_user_after(to, from, len, left);
	return left;
}

static __always_inline size_t nexus_ring_from_kernel(void *from, size_t progress,
						     size_t len, void *to, void *priv2)
{
	memcpy(to + progress, from, len);
	return 0;
}

static __always_inline size_t nexus_ring_to_user(void __user *to, size_t progress,
						 size_t len, void *from, void *priv2)
{
	if (!access_ok(to, len))
		return len;
	from += progress;
	instrument_copy_to_user(to, from, len);
	return raw_copy_to_user(to, from, len);
}

static __always_inline size_t nexus_ring_to_kernel(void *to, size_t progress,
						   size_t len, void *from, void *priv2)
{
	memcpy(to, from + progress, len);
	return 0;
}

static bool nexus_ring_copy_in(struct nexus_ring *ring, u32 pos, u32 len,
			       struct iov_iter *from)
{
	struct nexus_ringbuf_span s;
	size_t n;

	nexus_ringbuf_span(ring->size, pos, len, &s);
	pagefault_disable();
	n = iterate_and_advance(from, s.len[0], ring->data + s.off[0],
				nexus_ring_from_user, nexus_ring_from_kernel);
	if (unlikely(s.len[1]) && n == s.len[0])
		n += iterate_and_advance(from, s.len[1], ring->data + s.off[1],
					 nexus_ring_from_user, nexus_ring_from_kernel);
	pagefault_enable();
	if (likely(n == len))
		return true;
	iov_iter_revert(from, n);
	return false;
}

bool nexus_ring_copy_out(const struct nexus_ring *ring, u32 pos, u32 len,
			 struct iov_iter *to)
{
	struct nexus_ringbuf_span s;
	size_t n;

	nexus_ringbuf_span(ring->size, pos, len, &s);
	pagefault_disable();
	n = iterate_and_advance(to, s.len[0], ring->data + s.off[0],
				nexus_ring_to_user, nexus_ring_to_kernel);
	if (unlikely(s.len[1]) && n == s.len[0])
		n += iterate_and_advance(to, s.len[1], ring->data + s.off[1],
					 nexus_ring_to_user, nexus_ring_to_kernel);
	pagefault_enable();
	if (likely(n == len))
		return true;
	iov_iter_revert(to, n);
	return false;
}

bool nexus_ring_put_message(struct nexus_ring *ring, u32 len, struct iov_iter *from)
{
	struct nexus_ring_side *side = &ring->send;
	u32 pos;

	pos = nexus_ringbuf_put_len(ring->data, ring->size, side->pos, len);
	if (unlikely(!nexus_ring_copy_in(ring, pos, len, from)))
		return false;
	side->pos = nexus_ringbuf_next(ring->size, pos, len);
	side->count++;
	side->bytes += len;
	nexus_credit_give(&ring->recv.credit, 1);
	return true;
}

u32 nexus_ring_next(const struct nexus_ring *ring, u32 *pos)
{
	u32 len;

	*pos = nexus_ringbuf_get_len(ring->data, ring->size, ring->recv.pos, &len);
	return len;
}

void nexus_ring_took(struct nexus_ring *ring, u32 pos, u32 len)
{
	struct nexus_ring_side *side = &ring->recv;

	side->pos = nexus_ringbuf_next(ring->size, pos, len);
	side->count++;
	side->bytes += len;
	nexus_credit_give(&ring->send.credit, len);
}
