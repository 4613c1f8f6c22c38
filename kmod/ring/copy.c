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
 *
 * What is short is moved word by word: a string instruction takes longer to begin.
 */
#include <linux/instrumented.h>
#include <linux/iov_iter.h>
#include <linux/uaccess.h>
#include <linux/unaligned.h>

#include "ring.h"

#define NEXUS_RING_SHORT	128u

/* All of it, or false.  No call may be between begin and end. */
static __always_inline bool nexus_ring_get_short(void *to, const void __user *from, size_t len)
{
	u64 word;
	u8 byte;

	if (!user_read_access_begin(from, len))
		return false;
	for (; len >= sizeof(word); len -= sizeof(word)) {
		unsafe_get_user(word, (const u64 __user *)from, fault);
		put_unaligned(word, (u64 *)to);
		from += sizeof(word);
		to += sizeof(word);
	}
	for (; len; len--) {
		unsafe_get_user(byte, (const u8 __user *)from++, fault);
		*(u8 *)to++ = byte;
	}
	user_read_access_end();
	return true;
fault:
	user_read_access_end();
	return false;
}

static __always_inline bool nexus_ring_put_short(void __user *to, const void *from, size_t len)
{
	if (!user_write_access_begin(to, len))
		return false;
	for (; len >= sizeof(u64); len -= sizeof(u64)) {
		unsafe_put_user(get_unaligned((const u64 *)from), (u64 __user *)to, fault);
		from += sizeof(u64);
		to += sizeof(u64);
	}
	for (; len; len--)
		unsafe_put_user(*(const u8 *)from++, (u8 __user *)to++, fault);
	user_write_access_end();
	return true;
fault:
	user_write_access_end();
	return false;
}

static __always_inline size_t nexus_ring_from_user(void __user *from, size_t progress,
						   size_t len, void *to, void *priv2)
{
	size_t left;

	to += progress;
	if (len <= NEXUS_RING_SHORT)
		return nexus_ring_get_short(to, from, len) ? 0 : len;
	if (!access_ok(from, len))
		return len;
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
	from += progress;
	if (len <= NEXUS_RING_SHORT)
		return nexus_ring_put_short(to, from, len) ? 0 : len;
	if (!access_ok(to, len))
		return len;
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
