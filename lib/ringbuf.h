/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The bytes of a ring: messages one behind the other in a circle, each with its length
 * in front.
 *
 * A length is 7 bits a byte, the lowest first, and the top bit says that more follow:
 * it takes at most as many bytes as the message, which has at least one.  So a circle
 * of twice the capacity has room for whatever messages of so much payload, and only
 * payload need be counted.
 *
 * Not synchronised: @head is of who sends, @tail of who receives, and who receives
 * knows otherwise that there is a message.
 */
#ifndef NEXUS_LIB_RINGBUF_H
#define NEXUS_LIB_RINGBUF_H

#include "port.h"

#define NEXUS_RINGBUF_MAX	(1u << 28)	/* bytes of the longest message: 4 x 7 bits */
#define NEXUS_RINGBUF_HEADER	4u		/* bytes of the longest length */

/* A stretch of the circle: from @off on, @len bytes of it up to the end, the rest at 0. */
struct nexus_ringbuf_span {
	u32	off[2];
	u32	len[2];
};

/* Bytes of the circle for @capacity bytes of payload. */
static inline u64 nexus_ringbuf_size(u64 capacity)
{
	return 2 * capacity;
}

static inline u32 nexus_ringbuf_next(u32 size, u32 pos, u32 n)
{
	u64 to = (u64)pos + n;

	return (u32)(to < size ? to : to - size);
}

/* Where @len bytes from @pos on are; @len is at most @size. */
static inline void nexus_ringbuf_span(u32 size, u32 pos, u32 len,
				      struct nexus_ringbuf_span *span)
{
	u32 first = NEXUS_MIN(len, size - pos);

	span->off[0] = pos;
	span->len[0] = first;
	span->off[1] = 0;
	span->len[1] = len - first;
}

/* Writes the length of a message, not 0; returns where the message begins. */
static inline u32 nexus_ringbuf_put_len(u8 *data, u32 size, u32 pos, u32 len)
{
	while (len >= 0x80) {
		data[pos] = (u8)(len | 0x80);
		pos = nexus_ringbuf_next(size, pos, 1);
		len >>= 7;
	}
	data[pos] = (u8)len;
	return nexus_ringbuf_next(size, pos, 1);
}

/* Reads one; *@len is below NEXUS_RINGBUF_MAX whatever is there. */
static inline u32 nexus_ringbuf_get_len(const u8 *data, u32 size, u32 pos, u32 *len)
{
	u32 shift, value = 0;

	for (shift = 0; shift < 7 * NEXUS_RINGBUF_HEADER; shift += 7) {
		u8 byte = data[pos];

		pos = nexus_ringbuf_next(size, pos, 1);
		value |= (u32)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			break;
	}
	*len = value;
	return pos;
}

#endif /* NEXUS_LIB_RINGBUF_H */
