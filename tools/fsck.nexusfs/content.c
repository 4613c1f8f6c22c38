// SPDX-License-Identifier: Apache-2.0
/* Packs and what points into them. */
#include "fsck.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Table of the pack that was looked at last; extents come in no order of packs. */
struct table {
	u64 pack;
	u32 blocks;
	bool usable;
	struct nexus_pack_line *lines;
	void *buf;
};

#define TABLES	16u

struct content {
	struct fsck *f;
	struct nexus_kv *kv;
	struct pack_reader *reader;
	struct pack_tables *logged;	/* lines that are only in the log yet */
	struct table tables[TABLES];
	unsigned int next;
};

static void drop_table(struct table *t)
{
	free(t->buf);
	memset(t, 0, sizeof(*t));
}

static int read_table(struct content *c, struct table *t, int fd)
{
	u32 head_blocks = 1 + pack_table_blocks(t->blocks);
	size_t bytes = (size_t)head_blocks << NEXUS_BLOCK_SHIFT;
	struct nexus_pack_head head;

	if (posix_memalign(&t->buf, NEXUS_BLOCK_SIZE, bytes))
		return -ENOMEM;
	if (t->blocks <= head_blocks || pread(fd, t->buf, bytes, 0) != (ssize_t)bytes) {
		fsck_problem(c->f, "pack %llu: its table cannot be read", t->pack);
		return 0;
	}
	memcpy(&head, t->buf, sizeof(head));
	t->lines = (struct nexus_pack_line *)((u8 *)t->buf + NEXUS_BLOCK_SIZE);
	t->usable = !pack_check_head(&head, c->f->z->sb.uuid, t->pack, t->blocks);
	if (!t->usable)
		fsck_problem(c->f, "pack %llu: its head is damaged or of another pack", t->pack);
	return 0;
}

static int get_table(struct content *c, u64 pack, struct table **out)
{
	struct nexus_objectstore *os = c->f->z->os;
	struct table *t;
	unsigned int i;
	int fd, ret;

	for (i = 0; i < TABLES; i++) {
		if (c->tables[i].pack == pack) {
			*out = &c->tables[i];
			return 0;
		}
	}
	t = &c->tables[c->next++ % TABLES];
	drop_table(t);
	t->pack = pack;
	*out = t;
	fd = os->drv->open_pack(os, pack, false, &t->blocks);
	if (fd < 0) {
		fsck_problem(c->f, "pack %llu: %s", pack, strerror(-fd));
		return 0;
	}
	ret = read_table(c, t, fd);
	close(fd);
	return ret;
}

/* What a block should be; false when nobody says. */
static bool known_crc(struct content *c, const struct table *t, u32 block, u32 *crc)
{
	const struct nexus_pack_line *line = &t->lines[block];

	if (le32_to_cpu(line->pack) == (u32)t->pack && line->ino) {
		*crc = le32_to_cpu(line->crc);
		return true;
	}
	return pack_tables_find(c->logged, t->pack, block, crc);
}

static void check_block(struct content *c, const struct table *t, u64 data_id,
			u64 offset, u32 block)
{
	u8 data[NEXUS_BLOCK_SIZE];
	u32 crc;
	int ret;

	if (!known_crc(c, t, block, &crc)) {
		fsck_problem(c->f, "data id %llu, offset %llu: block %u of pack %llu has no checksum",
			     data_id, offset, block, t->pack);
		return;
	}
	if (!c->f->data)
		return;
	ret = pack_read_block(c->reader, t->pack, block, data);
	if (ret)
		fsck_problem(c->f, "data id %llu, offset %llu: block %u of pack %llu: %s",
			     data_id, offset, block, t->pack, strerror(-ret));
	else if (nexus_crc32c(0, data, sizeof(data)) != crc)
		fsck_problem(c->f, "data id %llu, offset %llu: block %u of pack %llu is damaged",
			     data_id, offset, block, t->pack);
	c->f->blocks++;
}

static int check_extent(struct content *c, u64 data_id, u64 offset,
			const struct nexus_extent_val *e)
{
	u32 i, n = le32_to_cpu(e->nblocks), first = le32_to_cpu(e->block);
	struct table *t;
	int ret;

	c->f->extents++;
	if (le32_to_cpu(e->flags) & NEXUS_EF_UNWRITTEN)
		return 0;
	ret = get_table(c, le64_to_cpu(e->pack), &t);
	if (ret || !t->usable)
		return ret;
	if (!n || first <= pack_table_blocks(t->blocks) || first >= t->blocks ||
	    n > t->blocks - first) {
		fsck_problem(c->f, "data id %llu, offset %llu: blocks %u+%u are not in pack %llu",
			     data_id, offset, first, n, t->pack);
		return 0;
	}
	if (le32_to_cpu(e->flags) & NEXUS_EF_NOCRC)
		return 0;
	for (i = 0; i < n; i++)
		check_block(c, t, data_id, offset + ((u64)i << NEXUS_BLOCK_SHIFT), first + i);
	return 0;
}

/* ---- walks ------------------------------------------------------------------- */

typedef int (*walk_fn)(struct content *c, const u8 *key, size_t klen, const void *val,
		       size_t vlen);

static int walk(struct content *c, u8 letter, walk_fn fn)
{
	u8 key[NEXUS_KEY_MAX + 1] = { letter };
	u64 val[64];
	size_t klen = 1;
	int ret;

	while ((ret = nexus_kv_seek(c->kv, key, &klen, val, sizeof(val))) >= 0) {
		if (key[0] != letter)
			return 0;
		ret = fn(c, key, klen, val, (size_t)ret);
		if (ret)
			return ret;
		if (klen == NEXUS_KEY_MAX)
			return 0;
		key[klen++] = 0;
	}
	return ret == -ENOENT ? 0 : ret;
}

static int on_inode(struct content *c, const u8 *key, size_t klen, const void *val,
		    size_t vlen)
{
	u64 next = c->f->z->al.next_ino;
	struct nexus_inode_val v;

	if (klen != 9 || vlen < sizeof(v))
		return 0;
	memcpy(&v, val, sizeof(v));
	c->f->inodes++;
	if (nexus_get_be64(key + 1) >= next || le64_to_cpu(v.data_id) >= next)
		fsck_problem(c->f, "inode %llu: its numbers were never handed out (next is %llu)",
			     nexus_get_be64(key + 1), next);
	return 0;
}

static int on_pack(struct content *c, const u8 *key, size_t klen, const void *val,
		   size_t vlen)
{
	struct nexus_pack_val v;
	struct table *t;
	u64 pack;
	int ret;

	if (klen != 9 || vlen < sizeof(v))
		return 0;
	memcpy(&v, val, sizeof(v));
	pack = nexus_get_be64(key + 1);
	c->f->packs++;
	if (pack >= c->f->z->al.next_pack)
		fsck_problem(c->f, "pack %llu: its number was never handed out (next is %llu)",
			     pack, c->f->z->al.next_pack);
	ret = get_table(c, pack, &t);
	if (ret || !t->usable)
		return ret;
	if (le32_to_cpu(v.used) > t->blocks)
		fsck_problem(c->f, "pack %llu: %u blocks used, it has %u", pack,
			     le32_to_cpu(v.used), t->blocks);
	return 0;
}

static int on_extent(struct content *c, const u8 *key, size_t klen, const void *val,
		     size_t vlen)
{
	struct nexus_extent_val v;

	if (klen != 17 || vlen < sizeof(v))
		return 0;
	memcpy(&v, val, sizeof(v));
	return check_extent(c, nexus_get_be64(key + 1), nexus_get_be64(key + 9), &v);
}

int fsck_content(struct fsck *f, struct nexus_kv *kv)
{
	struct content c = { .f = f, .kv = kv };
	unsigned int i;
	int ret = -ENOMEM;

	c.reader = pack_reader_new(f->z->os);
	c.logged = pack_tables_new();
	if (!c.reader || !c.logged)
		goto out;
	ret = f->z->unclean ? replay_collect_tables(&f->z->replay, c.logged) : 0;
	if (!ret)
		ret = walk(&c, NEXUS_KEY_INODE, on_inode);
	if (!ret)
		ret = walk(&c, NEXUS_KEY_PACK, on_pack);
	if (!ret)
		ret = walk(&c, NEXUS_KEY_EXTENT, on_extent);
out:
	for (i = 0; i < TABLES; i++)
		drop_table(&c.tables[i]);
	pack_tables_free(c.logged);
	pack_reader_free(c.reader);
	return ret;
}
