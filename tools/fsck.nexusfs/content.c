// SPDX-License-Identifier: Apache-2.0
/* Packs and what points into them. */
#include "fsck.h"

#include <errno.h>
#include <string.h>

#include "verify.h"

struct content {
	struct fsck *f;
	struct nexus_kv *kv;
	struct verify *v;
};

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
	u64 pack;

	if (klen != 9 || vlen < sizeof(v))
		return 0;
	memcpy(&v, val, sizeof(v));
	pack = nexus_get_be64(key + 1);
	if (pack >= c->f->z->al.next_pack)
		fsck_problem(c->f, "pack %llu: its number was never handed out (next is %llu)",
			     pack, c->f->z->al.next_pack);
	return verify_pack(c->v, pack, &v);
}

static int on_extent(struct content *c, const u8 *key, size_t klen, const void *val,
		     size_t vlen)
{
	struct nexus_extent_val v;

	if (klen != 17 || vlen < sizeof(v))
		return 0;
	memcpy(&v, val, sizeof(v));
	return verify_extent(c->v, nexus_get_be64(key + 1), nexus_get_be64(key + 9), &v);
}

static void on_problem(void *arg, const struct verify_problem *p)
{
	char what[256];

	verify_text(p, what, sizeof(what));
	if (!p->data_id)
		fsck_problem(arg, "pack %llu: %s", p->pack, what);
	else
		fsck_problem(arg, "data id %llu, offset %llu: block %u of pack %llu %s",
			     p->data_id, p->offset, p->block, p->pack, what);
}

int fsck_content(struct fsck *f, struct nexus_kv *kv)
{
	struct content c = { .f = f, .kv = kv };
	int ret;

	c.v = verify_new(f->z, false, f->data, on_problem, f);
	if (!c.v)
		return -ENOMEM;
	ret = f->z->unclean ? verify_add_log(c.v) : 0;
	if (!ret)
		ret = walk(&c, NEXUS_KEY_INODE, on_inode);
	if (!ret)
		ret = walk(&c, NEXUS_KEY_PACK, on_pack);
	if (!ret)
		ret = walk(&c, NEXUS_KEY_EXTENT, on_extent);
	f->packs = verify_counts(c.v)->packs;
	f->extents = verify_counts(c.v)->extents;
	f->blocks = verify_counts(c.v)->blocks;
	verify_free(c.v);
	return ret;
}
