// SPDX-License-Identifier: Apache-2.0
/* Events in messages between helpers. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "bus.h"

#define MAGIC	0x3153424eu	/* "NBS1" */

struct head_wire {
	uint32_t magic;
	uint16_t flags, count;
	uint64_t origin, first;
};

_Static_assert(sizeof(struct head_wire) == SHARE_HEAD_SIZE, "it is what others read");

/* In front of an event: of its record, and of its zone, which comes first. */
struct event_wire {
	uint32_t size, zone_len;
};

size_t share_event_size(const struct nexus_bus_event *e)
{
	return sizeof(struct event_wire) + e->zone_len + event_size(e);
}

void share_event_put(uint8_t *buf, const struct nexus_bus_event *e)
{
	const struct event_wire w = { htole32((uint32_t)event_size(e)), htole32(e->zone_len) };

	memcpy(buf, &w, sizeof(w));
	memcpy(buf + sizeof(w), e->zone, e->zone_len);
	event_put(buf + sizeof(w) + e->zone_len, e);
}

void share_head_put(uint8_t *buf, const struct share_head *h)
{
	const struct head_wire w = {
		.magic = htole32(MAGIC), .flags = htole16((uint16_t)h->flags),
		.count = htole16((uint16_t)h->count), .origin = htole64(h->origin),
		.first = htole64(h->first),
	};

	memcpy(buf, &w, sizeof(w));
}

/* How many bytes it takes, or -EBADMSG. */
static int get_event(const uint8_t *p, size_t left, struct nexus_bus_event *e)
{
	struct nexus_eventlog_record rec = { .seq = 0 };
	struct event_wire w;

	if (left < sizeof(w))
		return -EBADMSG;
	memcpy(&w, p, sizeof(w));
	left -= sizeof(w);
	rec.zone = (const char *)p + sizeof(w);
	rec.zone_len = le32toh(w.zone_len);
	rec.data_len = le32toh(w.size);
	if (rec.zone_len > left || rec.data_len > left - rec.zone_len)
		return -EBADMSG;
	rec.data = p + sizeof(w) + rec.zone_len;
	/* Everybody tells of his own events only; and a time of 0 would be made another here. */
	if (event_get(&rec, e) || e->kind != NEXUS_EVENT_IS || e->origin || !e->time)
		return -EBADMSG;
	return (int)(sizeof(w) + rec.zone_len + rec.data_len);
}

int share_get(const void *data, size_t size, struct share_head *h, struct nexus_bus_event *events)
{
	const uint8_t *p = data;
	struct head_wire w;
	uint32_t i;
	int n;

	if (size < sizeof(w) || size > NEXUS_CACHE_MESSAGE_MAX)
		return -EBADMSG;
	memcpy(&w, p, sizeof(w));
	p += sizeof(w);
	size -= sizeof(w);
	*h = (struct share_head){
		.origin = le64toh(w.origin), .first = le64toh(w.first), .count = le16toh(w.count),
		.flags = le16toh(w.flags),
	};
	if (le32toh(w.magic) != MAGIC || h->flags & ~(SHARE_CUT | SHARE_BYE) || !h->origin ||
	    !h->first || h->count > NEXUS_EVENT_BATCH_MAX || h->first > UINT64_MAX - h->count)
		return -EBADMSG;
	for (i = 0; i < h->count; i++) {
		n = get_event(p, size, &events[i]);
		if (n < 0)
			return n;
		events[i].origin = h->origin;
		p += n;
		size -= (size_t)n;
	}
	return size ? -EBADMSG : 0;
}
