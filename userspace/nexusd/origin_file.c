// SPDX-License-Identifier: Apache-2.0
#include "origin_file.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

u32 origin_crc_without(const void *buf, size_t len, size_t at)
{
	static const __le32 none;
	u32 crc = nexus_crc32c(0, buf, at);

	crc = nexus_crc32c(crc, &none, sizeof(none));
	return nexus_crc32c(crc, (const u8 *)buf + at + sizeof(none), len - at - sizeof(none));
}

void origin_owner_encode(const struct origin_owner *o, struct nexus_origin_owner *raw)
{
	*raw = (struct nexus_origin_owner){
		.magic = cpu_to_le64(NEXUS_OWNER_MAGIC),
		.version = cpu_to_le32(NEXUS_ORIGIN_VERSION),
		.epoch = cpu_to_le64(o->epoch),
		.turn = cpu_to_le64(o->turn),
		.state = cpu_to_le32(o->state),
		.time_s = cpu_to_le64(o->time_s),
	};
	memcpy(raw->zone, o->zone, sizeof(raw->zone));
	memcpy(raw->token, o->token, sizeof(raw->token));
	memcpy(raw->host, o->host, sizeof(raw->host));
	memcpy(raw->machine, o->machine, sizeof(raw->machine));
	raw->crc = cpu_to_le32(origin_crc_without(raw, sizeof(*raw), offsetof(struct nexus_origin_owner, crc)));
}

/* What is shown to people: no more than a name, whoever wrote it. */
static bool text_ok(const char text[NEXUS_ORIGIN_TEXT])
{
	size_t i;

	for (i = 0; i < NEXUS_ORIGIN_TEXT && text[i]; i++)
		if (text[i] < '!' || text[i] > '~')
			return false;
	return i < NEXUS_ORIGIN_TEXT;
}

int origin_owner_parse(const void *buf, size_t len, struct origin_owner *o)
{
	struct nexus_origin_owner raw;

	if (len < sizeof(raw))
		return -EUCLEAN;
	memcpy(&raw, buf, sizeof(raw));
	if (le64_to_cpu(raw.magic) != NEXUS_OWNER_MAGIC)
		return -EUCLEAN;
	if (le32_to_cpu(raw.version) > NEXUS_ORIGIN_VERSION)
		return -EPROTONOSUPPORT;
	if (len != sizeof(raw) ||
	    le32_to_cpu(raw.crc) != origin_crc_without(&raw, sizeof(raw),
						       offsetof(struct nexus_origin_owner, crc)))
		return -EUCLEAN;
	*o = (struct origin_owner){
		.epoch = le64_to_cpu(raw.epoch),
		.turn = le64_to_cpu(raw.turn),
		.time_s = le64_to_cpu(raw.time_s),
		.state = le32_to_cpu(raw.state),
	};
	memcpy(o->zone, raw.zone, sizeof(o->zone));
	memcpy(o->token, raw.token, sizeof(o->token));
	memcpy(o->host, raw.host, sizeof(o->host));
	memcpy(o->machine, raw.machine, sizeof(o->machine));
	if (!o->epoch || (o->state != NEXUS_OWNER_HELD && o->state != NEXUS_OWNER_RELEASED) ||
	    !text_ok(o->host) || !text_ok(o->machine))
		return -EUCLEAN;
	return 0;
}

void origin_part_encode(const struct origin_part *p, struct nexus_origin_part *raw)
{
	*raw = (struct nexus_origin_part){
		.magic = cpu_to_le64(NEXUS_PART_MAGIC),
		.version = cpu_to_le32(p->naming ? NEXUS_NAMING_VERSION : NEXUS_ORIGIN_VERSION),
		.epoch = cpu_to_le64(p->epoch),
		.lsn = cpu_to_le64(p->lsn),
		.end = cpu_to_le64(p->end),
		.incarnation = cpu_to_le64(p->incarnation),
		.kind = cpu_to_le32(p->kind),
		.part = cpu_to_le32(p->part),
		.flags = cpu_to_le32(p->last ? NEXUS_PART_LAST : 0),
		.bytes = cpu_to_le32(p->bytes),
	};
	memcpy(raw->zone, p->zone, sizeof(raw->zone));
	raw->crc = cpu_to_le32(origin_crc_without(raw, sizeof(*raw) + p->bytes,
						  offsetof(struct nexus_origin_part, crc)));
}

int origin_part_parse(const void *buf, size_t len, struct origin_part *p)
{
	struct nexus_origin_part raw;

	if (len < sizeof(raw))
		return -EUCLEAN;
	memcpy(&raw, buf, sizeof(raw));
	if (le64_to_cpu(raw.magic) != NEXUS_PART_MAGIC)
		return -EUCLEAN;
	if (le32_to_cpu(raw.version) > NEXUS_NAMING_VERSION)
		return -EPROTONOSUPPORT;
	if (le32_to_cpu(raw.bytes) != len - sizeof(raw) ||
	    le32_to_cpu(raw.crc) != origin_crc_without(buf, len, offsetof(struct nexus_origin_part, crc)))
		return -EUCLEAN;
	*p = (struct origin_part){
		.epoch = le64_to_cpu(raw.epoch),
		.lsn = le64_to_cpu(raw.lsn),
		.end = le64_to_cpu(raw.end),
		.incarnation = le64_to_cpu(raw.incarnation),
		.kind = le32_to_cpu(raw.kind),
		.part = le32_to_cpu(raw.part),
		.bytes = le32_to_cpu(raw.bytes),
		.last = le32_to_cpu(raw.flags) & NEXUS_PART_LAST,
		.naming = le32_to_cpu(raw.version) == NEXUS_NAMING_VERSION,
	};
	memcpy(p->zone, raw.zone, sizeof(p->zone));
	return p->end >= p->lsn ? 0 : -EUCLEAN;
}

static void folder(const char *top, u64 a, u64 b, char out[ORIGIN_FOLDER])
{
	snprintf(out, ORIGIN_FOLDER, "%s/%016llx-%016llx/", top, (unsigned long long)a,
		 (unsigned long long)b);
}

void origin_checkpoint_folder(u64 epoch, u64 number, char out[ORIGIN_FOLDER])
{
	folder("checkpoint", epoch, number, out);
}

void origin_log_folder(u64 epoch, u64 lsn, char out[ORIGIN_FOLDER])
{
	folder("log", epoch, lsn, out);
}

bool origin_folder_parse(const char *name, const char *top, u64 *epoch, u64 *number)
{
	char want[ORIGIN_FOLDER];
	size_t len = strlen(top);

	if (strncmp(name, top, len) || name[len] != '/' || strlen(name) < len + 35)
		return false;
	*epoch = strtoull(name + len + 1, NULL, 16);
	*number = strtoull(name + len + 18, NULL, 16);
	folder(top, *epoch, *number, want);
	return !strncmp(name, want, strlen(want));
}
