// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Messages in a circle of bytes; see ringbuf.h. */
#include "ringbuf.h"

void nexus_ringbuf_span(u32 size, u32 pos, u32 len, struct nexus_ringbuf_span *span)
{
	u32 first = NEXUS_MIN(len, size - pos);

	span->off[0] = pos;
	span->len[0] = first;
	span->off[1] = 0;
	span->len[1] = len - first;
}

u32 nexus_ringbuf_put_len(u8 *data, u32 size, u32 pos, u32 len)
{
	while (len >= 0x80) {
		data[pos] = (u8)(len | 0x80);
		pos = nexus_ringbuf_next(size, pos, 1);
		len >>= 7;
	}
	data[pos] = (u8)len;
	return nexus_ringbuf_next(size, pos, 1);
}

u32 nexus_ringbuf_get_len(const u8 *data, u32 size, u32 pos, u32 *len)
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
