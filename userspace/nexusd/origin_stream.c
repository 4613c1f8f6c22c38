// SPDX-License-Identifier: Apache-2.0
#include "origin_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/key.h"
#include "lib/kv.h"
#include <nexus/format.h>

#define SUM_BYTES	65536u

FILE *origin_stream_spool(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w+");

	if (fd >= 0 && !file)
		close(fd);
	return file;
}

/* ---- out ---------------------------------------------------------------------- */

static void write_out(struct origin_stream_out *s, const void *buf, size_t len)
{
	if (!s->ret && len && fwrite(buf, 1, len, s->spool) != len)
		s->ret = errno ? -errno : -EIO;
}

void origin_stream_item(struct origin_stream_out *s, u32 type, u64 arg, u64 block, const void *a, size_t alen,
		 const void *b, size_t blen)
{
	static const u8 zeros[8];
	const struct nexus_origin_item item = {
		.type = cpu_to_le32(type),
		.len = cpu_to_le32((u32)(alen + blen)),
		.arg = cpu_to_le64(arg),
		.block = cpu_to_le64(block),
	};

	write_out(s, &item, sizeof(item));
	write_out(s, a, alen);
	write_out(s, b, blen);
	write_out(s, zeros, (8 - (alen + blen) % 8) % 8);
	s->items++;
}

int origin_stream_sum(FILE *spool, u64 *bytes, u32 *crc)
{
	u8 buf[SUM_BYTES];
	ssize_t n;

	*bytes = 0;
	*crc = 0;
	while ((n = pread(fileno(spool), buf, sizeof(buf), (off_t)*bytes)) > 0) {
		*crc = nexus_crc32c(*crc, buf, (size_t)n);
		*bytes += (u64)n;
	}
	return n < 0 ? -errno : 0;
}

int origin_stream_end(struct origin_stream_out *s)
{
	origin_stream_item(s, NEXUS_ITEM_END, s->items, 0, NULL, 0, NULL, 0);
	if (!s->ret && fflush(s->spool))
		s->ret = -errno;
	return s->ret;
}

static void part_name(const char *folder, u32 part, char name[ORIGIN_FOLDER + 16])
{
	snprintf(name, ORIGIN_FOLDER + 16, "%s%06x", folder, part);
}

int origin_stream_put(struct origin_stream_out *s, struct content *c, const char *folder,
	       struct origin_part *p, size_t part_bytes, u64 *bytes, u32 *parts, u32 *crc)
{
	struct stat st = { .st_size = 0 };
	off_t total;
	char name[ORIGIN_FOLDER + 16];
	u8 *buf = malloc(sizeof(struct nexus_origin_part) + part_bytes);
	int ret = buf ? s->ret : -ENOMEM;

	if (!ret && fstat(fileno(s->spool), &st))
		ret = -errno;
	total = st.st_size;
	*bytes = 0;
	*crc = 0;
	for (p->part = 0; !ret && (off_t)*bytes < total; p->part++) {
		u8 *data = buf + sizeof(struct nexus_origin_part);

		p->bytes = (u32)NEXUS_MIN((u64)part_bytes, (u64)total - *bytes);
		if (pread(fileno(s->spool), data, p->bytes, (off_t)*bytes) != (ssize_t)p->bytes) {
			ret = -EIO;
			break;
		}
		*crc = nexus_crc32c(*crc, data, p->bytes);
		*bytes += p->bytes;
		p->last = (off_t)*bytes == total;
		origin_part_encode(p, (void *)buf);
		part_name(folder, p->part, name);
		ret = c->ops->put_named(c, name, buf, sizeof(struct nexus_origin_part) + p->bytes,
					CONTENT_ANY, NULL);
	}
	*parts = p->part;
	free(buf);
	return ret;
}

/* ---- in ----------------------------------------------------------------------- */

/* All of an object into @buf; how long it is. */
static ssize_t get_all(struct content *c, const char *name, u8 **buf, size_t *cap)
{
	size_t len = 0;
	ssize_t n;

	for (;;) {
		if (len == *cap) {
			size_t more = *cap ? *cap * 2 : ORIGIN_PART + sizeof(struct nexus_origin_part) + 1;
			u8 *bigger = more > 2 * (size_t)ORIGIN_PART_MAX ? NULL : realloc(*buf, more);

			if (!bigger)
				return more > 2 * (size_t)ORIGIN_PART_MAX ? -EUCLEAN : -ENOMEM;
			*buf = bigger;
			*cap = more;
		}
		n = c->ops->get_named(c, name, len, *buf + len, *cap - len, NULL);
		if (n <= 0)
			return n ? n : (ssize_t)len;
		len += (size_t)n;
	}
}

static bool same_stream(const struct origin_part *want, const struct origin_part *p, u32 part)
{
	return !memcmp(want->zone, p->zone, sizeof(p->zone)) && want->epoch == p->epoch &&
	       want->lsn == p->lsn && want->kind == p->kind && p->part == part &&
	       (!part || (want->end == p->end && want->incarnation == p->incarnation &&
			  want->naming == p->naming));
}

int origin_stream_get(struct content *c, const char *folder, struct origin_part *want, FILE *spool,
	       u64 *bytes, u32 *crc, struct errline *err)
{
	struct origin_part p = { .last = false };
	char name[ORIGIN_FOLDER + 16];
	size_t cap = 0;
	u8 *buf = NULL;
	u32 part;
	int ret = 0;

	*bytes = 0;
	*crc = 0;
	for (part = 0; !ret && !p.last; part++) {
		const u8 *data;
		ssize_t n;

		part_name(folder, part, name);
		n = get_all(c, name, &buf, &cap);
		ret = n < 0 ? (int)n : origin_part_parse(buf, (size_t)n, &p);
		if (!ret && !same_stream(want, &p, part))
			ret = -EUCLEAN;
		if (ret)
			break;
		data = buf + sizeof(struct nexus_origin_part);
		if (p.bytes && fwrite(data, 1, p.bytes, spool) != p.bytes)
			ret = -EIO;
		*crc = nexus_crc32c(*crc, data, p.bytes);
		*bytes += p.bytes;
		*want = p;
	}
	free(buf);
	if (!ret && fflush(spool))
		ret = -errno;
	return !ret ? 0 : err_set(err, ret, "object %s: %s", name,
				  ret == -ENOENT ? "it is missing" :
				  ret == -EUCLEAN ? "it is damaged" : strerror(-ret));
}

static bool item_ok(const struct origin_stream_item *it, bool delta)
{
	switch (it->type) {
	case NEXUS_ITEM_KEY:
		return it->arg && it->arg <= NEXUS_KEY_MAX && it->arg <= it->len &&
		       it->len - it->arg <= NEXUS_VALUE_MAX && !it->block;
	case NEXUS_ITEM_BATCH:
		return it->len >= sizeof(struct nexus_batch_head) &&
		       it->len <= NEXUS_BATCH_BYTES_MAX;
	case NEXUS_ITEM_BLOCK:
		return it->len == sizeof(struct nexus_pack_line) + NEXUS_BLOCK_SIZE &&
		       it->block < NEXUS_PACK_BLOCKS_MAX;
	case NEXUS_ITEM_PACK:
		return !it->len && it->arg && !it->block;
	case NEXUS_ITEM_COPY:
		return delta && !it->len && it->block && it->arg % 8 == 0 && it->block % 8 == 0;
	default:
		return it->type == NEXUS_ITEM_END && !it->len;
	}
}

int origin_stream_next(FILE *spool, struct origin_stream_item *it, bool delta)
{
	struct nexus_origin_item raw;
	size_t len;

	if (fread(&raw, sizeof(raw), 1, spool) != 1)
		return -EUCLEAN;
	it->type = le32_to_cpu(raw.type);
	it->len = le32_to_cpu(raw.len);
	it->arg = le64_to_cpu(raw.arg);
	it->block = le64_to_cpu(raw.block);
	if (!item_ok(it, delta))
		return -EUCLEAN;
	len = (it->len + 7) & ~7u;
	return fread(it->data, 1, len, spool) == len ? 0 : -EUCLEAN;
}

int origin_stream_each(FILE *spool, int (*fn)(void *arg, const struct origin_stream_item *item), void *arg)
{
	struct origin_stream_item it = { .data = malloc(ORIGIN_ITEM_MAX) };
	u64 count = 0;
	int ret = it.data ? 0 : -ENOMEM;

	rewind(spool);
	while (!ret) {
		ret = origin_stream_next(spool, &it, false);
		if (ret)
			break;
		if (it.type == NEXUS_ITEM_END) {
			ret = it.arg == count && getc(spool) == EOF ? 0 : -EUCLEAN;
			break;
		}
		count++;
		ret = fn(arg, &it);
	}
	free(it.data);
	return ret;
}
