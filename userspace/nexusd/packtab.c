// SPDX-License-Identifier: Apache-2.0
/*
 * Completing the head tables of packs out of the log.
 *
 * The kernel writes the tables before it lets go of the segments that hold the
 * same facts; after a power cut those segments are still there.  The first
 * owner of a block stays: a line that is there is never changed.
 */
#include "pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/record.h"

struct tab_line {
	u64 pack;
	u64 ino;
	u64 data_id;
	u64 offset;		/* as in the line, with NEXUS_PL_NOCRC */
	u64 order;		/* of arrival; the first one counts */
	u32 block;
	u32 crc;
};

struct pack_tables {
	struct tab_line *lines;
	size_t n, cap;
	bool sorted;
};

struct pack_tables *pack_tables_new(void)
{
	return calloc(1, sizeof(struct pack_tables));
}

void pack_tables_free(struct pack_tables *t)
{
	if (t)
		free(t->lines);
	free(t);
}

size_t pack_tables_count(const struct pack_tables *t)
{
	return t->n;
}

static int add_line(struct pack_tables *t, const struct tab_line *line)
{
	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 1024;
		struct tab_line *more = realloc(t->lines, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->lines = more;
		t->cap = cap;
	}
	t->lines[t->n] = *line;
	t->lines[t->n].order = t->n;
	t->n++;
	t->sorted = false;
	return 0;
}

static int add_extent(struct pack_tables *t, const struct nexus_rec_extent *ext)
{
	struct tab_line line = {
		.pack = le64_to_cpu(ext->pack),
		.ino = le64_to_cpu(ext->ino),
		.data_id = le64_to_cpu(ext->data_id),
	};
	u32 i, n = le32_to_cpu(ext->nblocks);
	u64 flags = le32_to_cpu(ext->flags) & NEXUS_EF_NOCRC ? NEXUS_PL_NOCRC : 0;
	int ret;

	for (i = 0; i < n; i++) {
		line.offset = (le64_to_cpu(ext->offset) + ((u64)i << NEXUS_BLOCK_SHIFT)) | flags;
		line.block = le32_to_cpu(ext->block) + i;
		line.crc = le32_to_cpu(ext->crc[i]);
		ret = add_line(t, &line);
		if (ret)
			return ret;
	}
	return 0;
}

static int add_tail(struct pack_tables *t, const struct nexus_rec_truncate *tr)
{
	struct tab_line line = {
		.pack = le64_to_cpu(tr->tail_pack),
		.ino = le64_to_cpu(tr->ino),
		.data_id = le64_to_cpu(tr->data_id),
		.offset = (le64_to_cpu(tr->size) - 1) & ~(u64)(NEXUS_BLOCK_SIZE - 1),
		.block = le32_to_cpu(tr->tail_block),
		.crc = le32_to_cpu(tr->tail_crc),
	};

	if (!line.pack || !tr->size)
		return 0;
	return add_line(t, &line);
}

static int add_move(struct pack_tables *t, const struct nexus_rec_move *mv)
{
	struct tab_line line = {
		.pack = le64_to_cpu(mv->to_pack),
		.ino = le64_to_cpu(mv->ino),
		.data_id = le64_to_cpu(mv->data_id),
	};
	u32 i, n = le32_to_cpu(mv->nblocks);
	int ret = 0;

	for (i = 0; i < n && !ret; i++) {
		line.offset = le64_to_cpu(mv->offset) + ((u64)i << NEXUS_BLOCK_SHIFT);
		line.block = le32_to_cpu(mv->to_block) + i;
		line.crc = le32_to_cpu(mv->crc[i]);
		ret = add_line(t, &line);
	}
	return ret;
}

int pack_tables_add(struct pack_tables *t, const u8 *records, size_t len)
{
	size_t off;
	int ret = 0;

	for (off = 0; off < len && !ret;) {
		const struct nexus_rec_head *rec = (const void *)(records + off);

		if (nexus_rec_check(rec, len - off))
			return -EUCLEAN;
		off += le32_to_cpu(rec->len);
		if (le16_to_cpu(rec->type) == NEXUS_REC_EXTENT)
			ret = add_extent(t, (const void *)rec);
		else if (le16_to_cpu(rec->type) == NEXUS_REC_TRUNCATE)
			ret = add_tail(t, (const void *)rec);
		else if (le16_to_cpu(rec->type) == NEXUS_REC_MOVE)
			ret = add_move(t, (const void *)rec);
	}
	return ret;
}

static int compare_lines(const void *a, const void *b)
{
	const struct tab_line *x = a, *y = b;

	if (x->pack != y->pack)
		return x->pack < y->pack ? -1 : 1;
	if (x->block != y->block)
		return x->block < y->block ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static bool put_line(struct nexus_pack_line *line, const struct tab_line *l)
{
	if (le32_to_cpu(line->pack) == (u32)l->pack && line->ino)
		return false;
	line->ino = cpu_to_le64(l->ino);
	line->data_id = cpu_to_le64(l->data_id);
	line->offset = cpu_to_le64(l->offset);
	line->crc = cpu_to_le32(l->crc);
	line->pack = cpu_to_le32((u32)l->pack);
	return true;
}

/* A pack that is gone, or a block beyond its end, is for the check to find. */
static int write_pack(struct nexus_objectstore *os, const u8 *uuid,
		      const struct tab_line *lines, size_t n, u64 *written)
{
	struct nexus_pack_head head;
	struct nexus_pack_line *table;
	u64 before = *written;
	u32 blocks, first;
	size_t i, bytes;
	void *buf;
	int fd, ret = 0;

	fd = os->drv->open_pack(os, lines[0].pack, true, &blocks);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	first = 1 + pack_table_blocks(blocks);
	bytes = (size_t)first << NEXUS_BLOCK_SHIFT;
	if (posix_memalign(&buf, NEXUS_BLOCK_SIZE, bytes)) {
		ret = -ENOMEM;
		goto close_fd;
	}
	if (blocks < first || pread(fd, buf, bytes, 0) != (ssize_t)bytes) {
		ret = -EIO;
		goto free_buf;
	}
	memcpy(&head, buf, sizeof(head));
	if (pack_check_head(&head, uuid, lines[0].pack, blocks))
		goto free_buf;
	table = (struct nexus_pack_line *)((u8 *)buf + NEXUS_BLOCK_SIZE);
	for (i = 0; i < n; i++)
		if (lines[i].block >= first && lines[i].block < blocks &&
		    put_line(&table[lines[i].block], &lines[i]))
			(*written)++;
	if (*written == before)
		goto free_buf;
	if (pwrite(fd, table, bytes - NEXUS_BLOCK_SIZE, NEXUS_BLOCK_SIZE) !=
	    (ssize_t)(bytes - NEXUS_BLOCK_SIZE))
		ret = -EIO;
	else if (fdatasync(fd))
		ret = -errno;
free_buf:
	free(buf);
close_fd:
	close(fd);
	return ret;
}

static void sort_lines(struct pack_tables *t)
{
	if (t->n && !t->sorted)
		qsort(t->lines, t->n, sizeof(*t->lines), compare_lines);
	t->sorted = true;
}

bool pack_tables_find(struct pack_tables *t, u64 pack, u32 block, u32 *crc)
{
	size_t lo = 0, hi = t->n;

	sort_lines(t);
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		const struct tab_line *l = &t->lines[mid];

		if (l->pack < pack || (l->pack == pack && l->block < block))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == t->n || t->lines[lo].pack != pack || t->lines[lo].block != block)
		return false;
	*crc = t->lines[lo].crc;
	return true;
}

int pack_tables_each(struct pack_tables *t,
		     int (*fn)(void *arg, u64 pack, u32 block, const struct nexus_pack_line *line),
		     void *arg)
{
	struct nexus_pack_line line;
	size_t i;
	int ret = 0;

	sort_lines(t);
	for (i = 0; !ret && i < t->n; i++) {
		const struct tab_line *l = &t->lines[i];

		if (i && l->pack == l[-1].pack && l->block == l[-1].block)
			continue;
		memset(&line, 0, sizeof(line));
		put_line(&line, l);
		ret = fn(arg, l->pack, l->block, &line);
	}
	return ret;
}

int pack_tables_write(struct pack_tables *t, struct nexus_objectstore *os,
		      const u8 *uuid, u64 *written)
{
	size_t i, j;
	int ret;

	*written = 0;
	sort_lines(t);
	for (i = 0; i < t->n; i = j) {
		for (j = i; j < t->n && t->lines[j].pack == t->lines[i].pack; j++)
			;
		ret = write_pack(os, uuid, t->lines + i, j - i, written);
		if (ret)
			return ret;
	}
	return 0;
}
