// SPDX-License-Identifier: Apache-2.0
/*
 * Keys come in order, so both streams are walked side by side.  What follows them, batches
 * and blocks, is little and in no order: of the earlier stream it is put into a table.
 * Neither has to be so for the result to be right: nothing is a copy that was not compared.
 */
#include "origin_delta.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COPY_BYTES	65536u
#define HASHED		64u	/* bytes of an item that tell it from others, mostly */

/* Of the earlier stream, where something is. */
struct place {
	u64 hash;		/* 0: nothing */
	u64 at;
};

struct making {
	FILE *base;
	struct origin_stream_item old;	/* of the earlier stream, the next one */
	u64 at;				/* where that is; bytes */
	bool over;			/* it has ended */
	struct place *place;
	size_t nplaces, cap;
	u8 *compare;
	struct origin_stream_out *out;
	u64 from, bytes;		/* a copy that may go on */
};

/* Bytes that an item takes in a stream. */
static u64 size_of(const struct origin_stream_item *it)
{
	return sizeof(struct nexus_origin_item) + ((it->len + 7) & ~7u);
}

/* ---- what the earlier stream has ---------------------------------------------------- */

static int next_old(struct making *m, bool first)
{
	int ret;

	if (!first)
		m->at += size_of(&m->old);
	ret = origin_stream_next(m->base, &m->old, false);
	m->over = !ret && m->old.type == NEXUS_ITEM_END;
	return ret;
}

static u64 hash_of(const struct origin_stream_item *it)
{
	u64 h = (u64)it->len << 8 | it->type;

	h = (h ^ it->arg) * 0x9e3779b97f4a7c15ull;
	h = (h ^ h >> 29 ^ it->block) * 0x9e3779b97f4a7c15ull;
	h = (h ^ h >> 29 ^ nexus_crc32c(0, it->data, NEXUS_MIN(it->len, HASHED))) *
	    0x9e3779b97f4a7c15ull;
	return h | 1;
}

static struct place *place_of(const struct making *m, u64 hash)
{
	size_t i = (size_t)(hash >> 20) & (m->cap - 1);

	while (m->place[i].hash && m->place[i].hash != hash)
		i = (i + 1) & (m->cap - 1);
	return &m->place[i];
}

static int grow(struct making *m)
{
	struct making more = *m;
	size_t i;

	more.cap = m->cap ? m->cap * 2 : 1024;
	more.place = calloc(more.cap, sizeof(*more.place));
	if (!more.place)
		return -ENOMEM;
	for (i = 0; i < m->cap; i++)
		if (m->place[i].hash)
			*place_of(&more, m->place[i].hash) = m->place[i];
	free(m->place);
	m->place = more.place;
	m->cap = more.cap;
	return 0;
}

/* All that is left of it but keys. */
static int note_rest(struct making *m)
{
	int ret = 0;

	while (!ret && !m->over) {
		if (m->old.type != NEXUS_ITEM_KEY) {
			struct place new = { hash_of(&m->old), m->at }, *p;

			if (m->nplaces * 2 >= m->cap)
				ret = grow(m);
			if (ret)
				break;
			p = place_of(m, new.hash);
			m->nplaces += !p->hash;
			*p = new;
		}
		ret = next_old(m, false);
	}
	return ret;
}

static int compare_keys(const struct origin_stream_item *a, const struct origin_stream_item *b)
{
	int ret = memcmp(a->data, b->data, NEXUS_MIN(a->arg, b->arg));

	return ret ? ret : (a->arg > b->arg) - (a->arg < b->arg);
}

/* 1: the earlier stream has it, at *@at. */
static int find_key(struct making *m, const struct origin_stream_item *it, u64 *at)
{
	int order, ret = 0;

	while (!ret && !m->over && m->old.type == NEXUS_ITEM_KEY) {
		order = compare_keys(&m->old, it);
		if (order > 0)
			return 0;
		if (!order) {
			*at = m->at;
			order = m->old.len == it->len && !memcmp(m->old.data, it->data, it->len);
			ret = next_old(m, false);
			return ret ? ret : order;
		}
		ret = next_old(m, false);
	}
	return ret;
}

static int find_other(struct making *m, const struct origin_stream_item *it, u64 *at)
{
	struct nexus_origin_item head;
	const struct place *p;
	size_t len = sizeof(head) + it->len;
	int ret = note_rest(m);

	if (ret || !m->cap)
		return ret;
	p = place_of(m, hash_of(it));
	if (!p->hash || pread(fileno(m->base), m->compare, len, (off_t)p->at) != (ssize_t)len)
		return 0;
	memcpy(&head, m->compare, sizeof(head));
	*at = p->at;
	return le32_to_cpu(head.type) == it->type && le32_to_cpu(head.len) == it->len &&
	       le64_to_cpu(head.arg) == it->arg && le64_to_cpu(head.block) == it->block &&
	       !memcmp(m->compare + sizeof(head), it->data, it->len);
}

/* ---- the increment -------------------------------------------------------------------- */

static void end_copy(struct making *m)
{
	if (m->bytes)
		origin_stream_item(m->out, NEXUS_ITEM_COPY, m->from, m->bytes, NULL, 0, NULL, 0);
	m->bytes = 0;
}

static void copy_item(struct making *m, u64 at, u64 bytes)
{
	if (m->bytes && m->from + m->bytes != at)
		end_copy(m);
	if (!m->bytes)
		m->from = at;
	m->bytes += bytes;
}

static int add_item(struct making *m, const struct origin_stream_item *it)
{
	u64 at = 0;
	int ret = it->type == NEXUS_ITEM_END ? 0 :
		  it->type == NEXUS_ITEM_KEY ? find_key(m, it, &at) : find_other(m, it, &at);

	if (ret > 0) {
		copy_item(m, at, size_of(it));
	} else if (!ret) {
		end_copy(m);
		origin_stream_item(m->out, it->type, it->arg, it->block, it->data, it->len, NULL, 0);
	}
	return ret < 0 ? ret : m->out->ret;
}

int origin_delta_make(FILE *base, FILE *new, struct origin_stream_out *out)
{
	struct making m = {
		.base = base, .out = out, .compare = malloc(ORIGIN_ITEM_MAX),
		.old.data = malloc(ORIGIN_ITEM_MAX),
	};
	struct origin_stream_item it = { .data = malloc(ORIGIN_ITEM_MAX) };
	int ret = m.compare && m.old.data && it.data ? 0 : -ENOMEM;

	rewind(base);
	rewind(new);
	if (!ret)
		ret = next_old(&m, true);
	do {
		if (!ret)
			ret = origin_stream_next(new, &it, false);
		if (!ret)
			ret = add_item(&m, &it);
	} while (!ret && it.type != NEXUS_ITEM_END);
	if (!ret && getc(new) != EOF)
		ret = -EUCLEAN;
	if (!ret && fflush(out->spool))
		ret = -errno;
	free(m.place);
	free(m.compare);
	free(m.old.data);
	free(it.data);
	return ret;
}

/* ---- back ------------------------------------------------------------------------------- */

static int copy_bytes(FILE *from, u64 at, u64 bytes, FILE *to)
{
	u8 buf[COPY_BYTES];

	while (bytes) {
		size_t len = (size_t)NEXUS_MIN(bytes, (u64)sizeof(buf));
		ssize_t n = pread(fileno(from), buf, len, (off_t)at);

		if (n != (ssize_t)len)
			return n < 0 ? -errno : -EUCLEAN;
		if (fwrite(buf, 1, len, to) != len)
			return errno ? -errno : -EIO;
		at += len;
		bytes -= len;
	}
	return 0;
}

int origin_delta_apply(FILE *base, FILE *delta, FILE *out, u64 most)
{
	struct origin_stream_out s = { .spool = out };
	struct origin_stream_item it = { .data = malloc(ORIGIN_ITEM_MAX) };
	u64 bytes = 0;
	int ret = it.data ? 0 : -ENOMEM;

	rewind(delta);
	do {
		if (!ret)
			ret = origin_stream_next(delta, &it, true);
		if (ret)
			break;
		if (it.type == NEXUS_ITEM_COPY && (it.block > most || it.arg > (u64)INT64_MAX - it.block))
			ret = -EUCLEAN;
		bytes += it.type == NEXUS_ITEM_COPY ? it.block : size_of(&it);
		if (ret || bytes > most) {
			ret = -EUCLEAN;
		} else if (it.type == NEXUS_ITEM_COPY) {
			ret = copy_bytes(base, it.arg, it.block, out);
		} else {
			origin_stream_item(&s, it.type, it.arg, it.block, it.data, it.len, NULL, 0);
			ret = s.ret;
		}
	} while (!ret && it.type != NEXUS_ITEM_END);
	if (!ret && getc(delta) != EOF)
		ret = -EUCLEAN;
	if (!ret && fflush(out))
		ret = -errno;
	free(it.data);
	return ret;
}
