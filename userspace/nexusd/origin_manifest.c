// SPDX-License-Identifier: Apache-2.0
/*
 * The manifest: of version 1, which is two checkpoints that are whole; and of version 2,
 * in which each is a chain of steps down to a whole one.
 */
#include "origin_file.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static void encode_checkpoint(const struct origin_checkpoint *c,
			      struct nexus_origin_checkpoint *raw)
{
	*raw = (struct nexus_origin_checkpoint){
		.epoch = cpu_to_le64(c->epoch),
		.number = cpu_to_le64(c->number),
		.lsn = cpu_to_le64(c->lsn),
		.end = cpu_to_le64(c->end),
		.incarnation = cpu_to_le64(c->incarnation),
		.time_s = cpu_to_le64(c->time_s),
		.bytes = cpu_to_le64(c->bytes),
		.parts = cpu_to_le32(c->parts),
		.crc = cpu_to_le32(c->crc),
	};
}

static void encode_step(const struct origin_checkpoint *c, u8 **to)
{
	struct nexus_origin_step raw = {
		.put_bytes = cpu_to_le64(c->put_bytes),
		.put_crc = cpu_to_le32(c->put_crc),
		.kind = cpu_to_le32(c->delta ? NEXUS_STREAM_DELTA : NEXUS_STREAM_CHECKPOINT),
	};

	encode_checkpoint(c, &raw.checkpoint);
	memcpy(*to, &raw, sizeof(raw));
	*to += sizeof(raw);
}

static size_t encode_chains(const struct origin_manifest *m, u8 *raw)
{
	struct nexus_origin_chains head = {
		.magic = cpu_to_le64(NEXUS_MANIFEST_MAGIC),
		.version = cpu_to_le32(NEXUS_CHAIN_VERSION),
		.epoch = cpu_to_le64(m->epoch),
		.number = cpu_to_le64(m->number),
		.count = cpu_to_le32(m->count),
	};
	u8 *to = raw + sizeof(head);
	size_t len;
	u32 i, j;

	for (i = 0; i < m->count; i++) {
		encode_step(&m->checkpoint[i], &to);
		for (j = 0; j < m->base[i].n; j++)
			encode_step(&m->base[i].step[j], &to);
	}
	len = (size_t)(to - raw);
	head.steps = cpu_to_le32((u32)((len - sizeof(head)) / sizeof(struct nexus_origin_step)));
	memcpy(head.zone, m->zone, sizeof(head.zone));
	memcpy(raw, &head, sizeof(head));
	head.crc = cpu_to_le32(origin_crc_without(raw, len, offsetof(struct nexus_origin_chains, crc)));
	memcpy(raw, &head, sizeof(head));
	return len;
}

size_t origin_manifest_encode(const struct origin_manifest *m, u8 raw[ORIGIN_MANIFEST_BYTES])
{
	struct nexus_origin_manifest man = {
		.magic = cpu_to_le64(NEXUS_MANIFEST_MAGIC),
		.version = cpu_to_le32(NEXUS_ORIGIN_VERSION),
		.epoch = cpu_to_le64(m->epoch),
		.number = cpu_to_le64(m->number),
		.count = cpu_to_le32(m->count),
	};
	u32 i;

	for (i = 0; i < m->count; i++)
		if (m->checkpoint[i].delta)
			return encode_chains(m, raw);
	memcpy(man.zone, m->zone, sizeof(man.zone));
	for (i = 0; i < m->count; i++)
		encode_checkpoint(&m->checkpoint[i], &man.checkpoint[i]);
	man.crc = cpu_to_le32(origin_crc_without(&man, sizeof(man),
						 offsetof(struct nexus_origin_manifest, crc)));
	memcpy(raw, &man, sizeof(man));
	return sizeof(man);
}

/* What is in the objects is told apart: of a whole one it is the same. */
static int checkpoint_parse(const struct nexus_origin_checkpoint *raw, struct origin_checkpoint *c)
{
	*c = (struct origin_checkpoint){
		.epoch = le64_to_cpu(raw->epoch),
		.number = le64_to_cpu(raw->number),
		.lsn = le64_to_cpu(raw->lsn),
		.end = le64_to_cpu(raw->end),
		.incarnation = le64_to_cpu(raw->incarnation),
		.time_s = le64_to_cpu(raw->time_s),
		.bytes = le64_to_cpu(raw->bytes),
		.parts = le32_to_cpu(raw->parts),
		.crc = le32_to_cpu(raw->crc),
	};
	c->put_bytes = c->bytes;
	c->put_crc = c->crc;
	return c->parts && c->end >= c->lsn && c->lsn % 8 == 0 && c->end % 8 == 0 ? 0 : -EUCLEAN;
}

static int parts_check(const struct origin_checkpoint *c)
{
	return c->put_bytes <= (u64)c->parts * ORIGIN_PART_MAX ? 0 : -EUCLEAN;
}

static int parse_whole(const void *buf, size_t len, struct origin_manifest *m)
{
	struct nexus_origin_manifest raw;
	u32 i;
	int ret = 0;

	if (len != sizeof(raw))
		return -EUCLEAN;
	memcpy(&raw, buf, sizeof(raw));
	for (i = 0; !ret && i < m->count; i++) {
		ret = checkpoint_parse(&raw.checkpoint[i], &m->checkpoint[i]);
		if (!ret)
			ret = parts_check(&m->checkpoint[i]);
	}
	return ret;
}

static int step_parse(const u8 *buf, struct origin_checkpoint *c)
{
	struct nexus_origin_step raw;
	u32 kind;
	int ret;

	memcpy(&raw, buf, sizeof(raw));
	kind = le32_to_cpu(raw.kind);
	ret = checkpoint_parse(&raw.checkpoint, c);
	if (ret || (kind != NEXUS_STREAM_DELTA && kind != NEXUS_STREAM_CHECKPOINT))
		return -EUCLEAN;
	c->delta = kind == NEXUS_STREAM_DELTA;
	if (!c->delta && (le64_to_cpu(raw.put_bytes) != c->bytes ||
			  le32_to_cpu(raw.put_crc) != c->crc))
		return -EUCLEAN;
	c->put_bytes = le64_to_cpu(raw.put_bytes);
	c->put_crc = le32_to_cpu(raw.put_crc);
	return parts_check(c);
}

/* A chain is of one owner, the newest first; how many steps, or an error. */
static int parse_chain(const u8 *buf, u32 steps, struct origin_checkpoint *top, struct origin_base *base)
{
	struct origin_checkpoint *c = top, *next;
	const u8 *at = buf;
	int ret = steps ? step_parse(at, c) : -EUCLEAN;

	while (!ret && c->delta) {
		at += sizeof(struct nexus_origin_step);
		if (base->n == NEXUS_CHAIN_MAX - 1 || base->n + 1 == steps)
			return -EUCLEAN;
		next = &base->step[base->n++];
		ret = step_parse(at, next);
		if (!ret && (next->epoch != c->epoch || next->number >= c->number))
			ret = -EUCLEAN;
		c = next;
	}
	return ret ? ret : (int)base->n + 1;
}

static int parse_chains(const u8 *buf, size_t len, struct origin_manifest *m)
{
	struct nexus_origin_chains head;
	u32 i, steps;
	int n;

	memcpy(&head, buf, sizeof(head));
	steps = le32_to_cpu(head.steps);
	if (steps > NEXUS_MANIFEST_MAX * NEXUS_CHAIN_MAX ||
	    len != sizeof(head) + steps * sizeof(struct nexus_origin_step))
		return -EUCLEAN;
	buf += sizeof(head);
	for (i = 0; i < m->count; i++) {
		n = parse_chain(buf, steps, &m->checkpoint[i], &m->base[i]);
		if (n < 0)
			return n;
		buf += (size_t)n * sizeof(struct nexus_origin_step);
		steps -= (u32)n;
	}
	return steps ? -EUCLEAN : 0;
}

int origin_manifest_parse(const void *buf, size_t len, struct origin_manifest *m)
{
	struct nexus_origin_chains head;
	u32 version;
	int ret;

	if (len < sizeof(head))
		return -EUCLEAN;
	memcpy(&head, buf, sizeof(head));
	version = le32_to_cpu(head.version);
	if (le64_to_cpu(head.magic) != NEXUS_MANIFEST_MAGIC)
		return -EUCLEAN;
	if (version > NEXUS_CHAIN_VERSION)
		return -EPROTONOSUPPORT;
	if (le32_to_cpu(head.crc) != origin_crc_without(buf, len, offsetof(struct nexus_origin_chains, crc)))
		return -EUCLEAN;
	*m = (struct origin_manifest){
		.epoch = le64_to_cpu(head.epoch),
		.number = le64_to_cpu(head.number),
		.count = le32_to_cpu(head.count),
	};
	memcpy(m->zone, head.zone, sizeof(m->zone));
	if (!m->count || m->count > NEXUS_MANIFEST_MAX)
		return -EUCLEAN;
	ret = version == NEXUS_CHAIN_VERSION ? parse_chains(buf, len, m) : parse_whole(buf, len, m);
	return ret;
}
