// SPDX-License-Identifier: Apache-2.0
/* An event as a record of the event log. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "bus.h"

#define MAGIC	0x3156454eu	/* "NEV1" */

#define FOREIGN	1u	/* its origin follows */
#define MISSED	2u	/* no event: how many did not come follows */

struct event_disk {
	uint32_t magic;
	uint16_t path_len, new_path_len;
	uint64_t time;
	uint32_t type;
	uint32_t flags;
};

/* What follows the head, of 8 bytes. */
static uint32_t flags_of(const struct nexus_bus_event *e)
{
	return e->kind == NEXUS_EVENT_MISSED ? MISSED : e->origin ? FOREIGN : 0;
}

int event_check(const struct nexus_bus_event *e)
{
	if (e->type > 63 || !e->zone_len || !e->path_len || e->path[0] != '/' ||
	    (e->new_path_len && e->new_path[0] != '/'))
		return -EINVAL;
	if (e->zone_len > NEXUS_EVENT_ZONE_MAX || e->path_len > NEXUS_EVENT_PATH_MAX ||
	    e->new_path_len > NEXUS_EVENT_PATH_MAX || e->data_len > NEXUS_EVENT_DATA_MAX)
		return -EMSGSIZE;
	return 0;
}

size_t event_size(const struct nexus_bus_event *e)
{
	return sizeof(struct event_disk) + (flags_of(e) ? 8 : 0) + e->path_len + e->new_path_len + e->data_len;
}

void event_put(uint8_t *buf, const struct nexus_bus_event *e)
{
	struct event_disk d = {
		.magic = htole32(MAGIC), .path_len = htole16((uint16_t)e->path_len),
		.new_path_len = htole16((uint16_t)e->new_path_len), .time = htole64(e->time),
		.type = htole32(e->type), .flags = htole32(flags_of(e)),
	};
	uint64_t more = htole64(e->origin);

	memcpy(buf, &d, sizeof(d));
	buf += sizeof(d);
	if (d.flags) {
		memcpy(buf, &more, sizeof(more));
		buf += sizeof(more);
	}
	memcpy(buf, e->path, e->path_len);
	buf += e->path_len;
	if (e->new_path_len)
		memcpy(buf, e->new_path, e->new_path_len);
	buf += e->new_path_len;
	if (e->data_len)
		memcpy(buf, e->data, e->data_len);
}

int event_get(const struct nexus_eventlog_record *rec, struct nexus_bus_event *e)
{
	const char *p = rec->data;
	size_t names, left = rec->data_len;
	struct event_disk d;
	uint64_t more = 0;
	uint32_t flags;

	if (left < sizeof(d))
		return -EBADMSG;
	memcpy(&d, p, sizeof(d));
	p += sizeof(d);
	left -= sizeof(d);
	flags = le32toh(d.flags);
	if (flags && left >= sizeof(more)) {
		memcpy(&more, p, sizeof(more));
		p += sizeof(more);
		left -= sizeof(more);
	} else if (flags) {
		return -EBADMSG;
	}
	names = (size_t)le16toh(d.path_len) + le16toh(d.new_path_len);
	if (le32toh(d.magic) != MAGIC || flags > MISSED || names > left || (flags == FOREIGN && !more))
		return -EBADMSG;
	*e = (struct nexus_bus_event){
		.seq = rec->seq, .origin = le64toh(more), .time = le64toh(d.time), .type = le32toh(d.type),
		.zone = rec->zone, .zone_len = rec->zone_len,
		.path = p, .path_len = le16toh(d.path_len),
		.new_path = p + le16toh(d.path_len), .new_path_len = le16toh(d.new_path_len),
		.data = p + names, .data_len = (uint32_t)(left - names),
	};
	if (flags == MISSED) {
		e->kind = NEXUS_EVENT_MISSED;
		return left || e->zone_len || e->type ? -EBADMSG : 0;
	}
	return event_check(e) ? -EBADMSG : 0;
}
