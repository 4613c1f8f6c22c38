// SPDX-License-Identifier: Apache-2.0
/* An event as a record of the event log. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "bus.h"

#define MAGIC	0x3156454eu	/* "NEV1" */

struct event_disk {
	uint32_t magic;
	uint16_t path_len, new_path_len;
	uint64_t time;
	uint32_t type;
	uint32_t reserved;
};

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
	return sizeof(struct event_disk) + e->path_len + e->new_path_len + e->data_len;
}

void event_put(uint8_t *buf, const struct nexus_bus_event *e)
{
	struct event_disk d = {
		.magic = htole32(MAGIC), .path_len = htole16((uint16_t)e->path_len),
		.new_path_len = htole16((uint16_t)e->new_path_len), .time = htole64(e->time),
		.type = htole32(e->type),
	};

	memcpy(buf, &d, sizeof(d));
	buf += sizeof(d);
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
	struct event_disk d;
	size_t names;

	if (rec->data_len < sizeof(d))
		return -EBADMSG;
	memcpy(&d, p, sizeof(d));
	p += sizeof(d);
	names = (size_t)le16toh(d.path_len) + le16toh(d.new_path_len);
	if (le32toh(d.magic) != MAGIC || d.reserved || names > rec->data_len - sizeof(d))
		return -EBADMSG;
	*e = (struct nexus_bus_event){
		.seq = rec->seq, .time = le64toh(d.time), .type = le32toh(d.type),
		.zone = rec->zone, .zone_len = rec->zone_len,
		.path = p, .path_len = le16toh(d.path_len),
		.new_path = p + le16toh(d.path_len), .new_path_len = le16toh(d.new_path_len),
		.data = p + names, .data_len = (uint32_t)(rec->data_len - sizeof(d) - names),
	};
	return event_check(e) ? -EBADMSG : 0;
}
