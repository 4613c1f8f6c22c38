// SPDX-License-Identifier: Apache-2.0
#include "codec.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include <nexus/services/eventlog.h>

#include "lib/port.h"

#define SEG_MAGIC	0x314c454eu	/* "NEL1" */
#define STATE_MAGIC	0x5353454eu	/* "NESS" */
#define REC_MAGIC	0x5245584eu	/* "NXER" */
#define FORMAT		1u

#define STATE_CLEAN	1u

/* What a search for records sums at most: data can be made to look like heads. */
#define LOOK_MAX	(256u << 20)

/* On disk; the checksum is the last of each head and covers all before it. */
struct seg_disk {
	uint32_t magic, format;
	uint8_t id[EVENTLOG_ID_SIZE];
	uint64_t first, prev, synced;
	uint8_t zero[12];
	uint32_t crc;
};

struct state_disk {
	uint32_t magic, format;
	uint8_t id[EVENTLOG_ID_SIZE];
	uint64_t reserved, first, last;
	uint32_t flags;
	uint8_t zero[8];
	uint32_t crc;
};

/* Its checksum covers the head behind it, zone, data and padding. */
struct rec_disk {
	uint32_t magic, crc;
	uint64_t seq, synced;
	uint32_t data_len;
	uint16_t zone_len, flags;
	uint64_t reserved;
};

#define CRC_FROM	offsetof(struct rec_disk, seq)

_Static_assert(sizeof(struct seg_disk) == SEG_HEAD_SIZE, "head of a segment");
_Static_assert(sizeof(struct state_disk) == STATE_SIZE, "state");
_Static_assert(sizeof(struct rec_disk) == REC_HEAD_SIZE, "head of a record");

static bool is_zero(const uint8_t *p, size_t len)
{
	while (len--)
		if (*p++)
			return false;
	return true;
}

uint32_t log_salt(const uint8_t id[EVENTLOG_ID_SIZE])
{
	return nexus_crc32c(0, id, EVENTLOG_ID_SIZE);
}

void seg_head_put(uint8_t buf[SEG_HEAD_SIZE], const struct seg_head *head)
{
	struct seg_disk d = {
		.magic = htole32(SEG_MAGIC), .format = htole32(FORMAT),
		.first = htole64(head->first), .prev = htole64(head->prev),
		.synced = htole64(head->synced),
	};

	memcpy(d.id, head->id, sizeof(d.id));
	d.crc = htole32(nexus_crc32c(0, &d, offsetof(struct seg_disk, crc)));
	memcpy(buf, &d, sizeof(d));
}

int seg_head_get(const uint8_t buf[SEG_HEAD_SIZE], struct seg_head *head)
{
	struct seg_disk d;

	memcpy(&d, buf, sizeof(d));
	if (le32toh(d.magic) != SEG_MAGIC || le32toh(d.format) != FORMAT ||
	    le32toh(d.crc) != nexus_crc32c(0, &d, offsetof(struct seg_disk, crc)) ||
	    !is_zero(d.zero, sizeof(d.zero)))
		return -EUCLEAN;
	memcpy(head->id, d.id, sizeof(d.id));
	head->first = le64toh(d.first);
	head->prev = le64toh(d.prev);
	head->synced = le64toh(d.synced);
	return head->first && head->prev < head->first && head->synced <= head->prev ? 0 : -EUCLEAN;
}

void log_state_put(uint8_t buf[STATE_SIZE], const struct log_state *st)
{
	struct state_disk d = {
		.magic = htole32(STATE_MAGIC), .format = htole32(FORMAT),
		.reserved = htole64(st->reserved), .first = htole64(st->first),
		.last = htole64(st->last),
		.flags = htole32(st->clean ? STATE_CLEAN : 0),
	};

	memcpy(d.id, st->id, sizeof(d.id));
	d.crc = htole32(nexus_crc32c(0, &d, offsetof(struct state_disk, crc)));
	memcpy(buf, &d, sizeof(d));
}

int log_state_get(const uint8_t *buf, size_t len, struct log_state *st)
{
	struct state_disk d;

	if (len != sizeof(d))
		return -EUCLEAN;
	memcpy(&d, buf, sizeof(d));
	if (le32toh(d.magic) != STATE_MAGIC || le32toh(d.format) != FORMAT ||
	    le32toh(d.crc) != nexus_crc32c(0, &d, offsetof(struct state_disk, crc)) ||
	    !is_zero(d.zero, sizeof(d.zero)) || (le32toh(d.flags) & ~STATE_CLEAN))
		return -EUCLEAN;
	memcpy(st->id, d.id, sizeof(d.id));
	st->reserved = le64toh(d.reserved);
	st->first = le64toh(d.first);
	st->last = le64toh(d.last);
	st->clean = le32toh(d.flags) & STATE_CLEAN;
	return st->first && st->first <= st->reserved && st->last < st->reserved ? 0 : -EUCLEAN;
}

size_t rec_size(uint32_t zone_len, uint32_t data_len)
{
	size_t size = (size_t)REC_HEAD_SIZE + zone_len + data_len;

	return (size + REC_ALIGN - 1) & ~(size_t)(REC_ALIGN - 1);
}

void rec_put(uint8_t *buf, uint32_t salt, const struct rec *rec)
{
	size_t used = (size_t)REC_HEAD_SIZE + rec->zone_len + rec->data_len;
	size_t size = rec_size(rec->zone_len, rec->data_len);
	struct rec_disk d = {
		.magic = htole32(REC_MAGIC),
		.seq = htole64(rec->seq), .synced = htole64(rec->synced),
		.data_len = htole32(rec->data_len), .zone_len = htole16(rec->zone_len),
		.flags = htole16(rec->flags),
	};

	memcpy(buf, &d, sizeof(d));
	if (rec->zone_len)
		memcpy(buf + REC_HEAD_SIZE, rec->zone, rec->zone_len);
	if (rec->data_len)
		memcpy(buf + REC_HEAD_SIZE + rec->zone_len, rec->data, rec->data_len);
	memset(buf + used, 0, size - used);
	d.crc = htole32(nexus_crc32c(salt, buf + CRC_FROM, size - CRC_FROM));
	memcpy(buf + offsetof(struct rec_disk, crc), &d.crc, sizeof(d.crc));
}

int64_t rec_get(const uint8_t *buf, size_t len, uint32_t salt, struct rec *rec)
{
	struct rec_disk d;
	size_t size;

	if (len < sizeof(d))
		return len ? -ENODATA : 0;
	memcpy(&d, buf, sizeof(d));
	*rec = (struct rec){
		.seq = le64toh(d.seq), .synced = le64toh(d.synced),
		.data_len = le32toh(d.data_len), .zone_len = le16toh(d.zone_len),
		.flags = le16toh(d.flags),
	};
	if (le32toh(d.magic) != REC_MAGIC || d.reserved || (rec->flags & ~REC_LAST) ||
	    !rec->seq || rec->synced >= rec->seq || rec->data_len > NEXUS_EVENTLOG_DATA_MAX ||
	    rec->zone_len > NEXUS_EVENTLOG_ZONE_MAX)
		return -EUCLEAN;
	size = rec_size(rec->zone_len, rec->data_len);
	if (size > len)
		return -ENODATA;
	if (le32toh(d.crc) != nexus_crc32c(salt, buf + CRC_FROM, size - CRC_FROM))
		return -EUCLEAN;
	rec->zone = (const char *)buf + REC_HEAD_SIZE;
	rec->data = buf + REC_HEAD_SIZE + rec->zone_len;
	return (int64_t)size;
}

bool rec_after(const uint8_t *buf, size_t len, uint32_t salt, uint64_t seq)
{
	const uint32_t magic = htole32(REC_MAGIC);
	uint64_t summed = 0;
	struct rec rec;
	size_t off;

	for (off = 0; off + REC_HEAD_SIZE <= len && summed < LOOK_MAX; off += REC_ALIGN) {
		if (memcmp(buf + off, &magic, sizeof(magic)))
			continue;
		if (rec_get(buf + off, len - off, salt, &rec) > 0 && rec.synced >= seq)
			return true;
		summed += rec.data_len < len ? rec.data_len : len;
	}
	return false;
}
