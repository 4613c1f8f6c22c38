// SPDX-License-Identifier: Apache-2.0
/*
 * The tree as an index: the values are made when they are asked for.  There is nothing but
 * inodes, names, the listing of a directory, extents and the totals.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <linux/nexusfs.h>

#include "lib/key.h"
#include "tree.h"
#include "pack.h"

#define DIR_MODE	(S_IFDIR | 0555)
#define FILE_MODE	(S_IFREG | 0444)

u32 btree_pack_blocks(void)
{
	u32 n = BTREE_PACK_BLOCKS + 1;

	while (n - 1 - pack_table_blocks(n) < BTREE_PACK_BLOCKS)
		n++;
	return n;
}

u32 btree_pack_first(void)
{
	return 1 + pack_table_blocks(btree_pack_blocks());
}

static int copy_out(const void *val, size_t len, void *buf, size_t cap)
{
	memcpy(buf, val, NEXUS_MIN(len, cap));
	return (int)len;
}

static int put_inode(const struct btree *t, u64 ino, void *buf, size_t cap)
{
	const struct bnode *node = btree_node(t, ino);
	struct nexus_inode_val v = { 0 };

	if (!node)
		return -ENOENT;
	v.mode = cpu_to_le32(node->dir ? DIR_MODE : FILE_MODE);
	v.nlink = cpu_to_le32(1);
	v.generation = cpu_to_le32(1);
	v.size = cpu_to_le64(node->size);
	v.disk_size = v.size;
	v.blocks = cpu_to_le64(node->dir ? 0 : bnode_blocks(node));
	v.atime_s = cpu_to_le64(node->mtime);
	v.mtime_s = v.atime_s;
	v.ctime_s = v.atime_s;
	v.btime_s = v.atime_s;
	v.version = cpu_to_le64(1);
	v.parent = cpu_to_le64(node->parent);
	v.pos = cpu_to_le64(node->pos);
	v.data_id = cpu_to_le64(ino);
	if (node->dir) {
		v.nlink = cpu_to_le32((u32)NEXUS_MIN(node->dir->subdirs + 2, (u64)INT32_MAX));
		v.version = cpu_to_le64(node->dir->version);
		v.next_pos = cpu_to_le64(node->dir->nkids + NEXUS_FIRST_POS);
		v.children = cpu_to_le64(node->dir->children);
	}
	nexus_val_seal(&v, sizeof(v), NEXUS_KEY_INODE);
	return copy_out(&v, sizeof(v), buf, cap);
}

static u8 dtype(const struct bnode *node)
{
	return nexus_mode_dtype(node->dir ? DIR_MODE : FILE_MODE);
}

static int put_dirent(const struct btree *t, const u8 *key, size_t klen, void *buf, size_t cap)
{
	struct nexus_dirent_val v = { 0 };
	const struct bnode *node;
	u64 ino;

	node = btree_find(t, nexus_get_be64(key + 1), (const char *)key + 9, klen - 9, &ino);
	if (!node)
		return -ENOENT;
	v.ino = cpu_to_le64(ino);
	v.pos = cpu_to_le64(node->pos);
	v.dtype = dtype(node);
	nexus_val_seal(&v, sizeof(v), NEXUS_KEY_DIRENT);
	return copy_out(&v, sizeof(v), buf, cap);
}

/* The entry at *@pos, or with @after the first from there on. */
static int put_listed(const struct btree *t, u64 parent, u64 *pos, bool after, void *buf,
		      size_t cap)
{
	u8 room[sizeof(struct nexus_list_val) + NEXUS_NAME_MAX + 1] __attribute__((aligned(8)));
	struct nexus_list_val *v = (void *)room;
	const struct bnode *dir = btree_node(t, parent), *node;
	u64 at = *pos < NEXUS_FIRST_POS ? 0 : *pos - NEXUS_FIRST_POS;

	if (!dir || !dir->dir)
		return -ENOENT;
	while (after && at < dir->dir->nkids && !dir->dir->kids[at])
		at++;
	if (at >= dir->dir->nkids || !dir->dir->kids[at])
		return -ENOENT;
	node = btree_node(t, dir->dir->kids[at]);
	*pos = at + NEXUS_FIRST_POS;
	memset(room, 0, sizeof(room));
	v->ino = cpu_to_le64(dir->dir->kids[at]);
	v->dtype = dtype(node);
	v->namelen = node->namelen;
	memcpy(v->name, node->name, node->namelen);
	nexus_val_seal(v, sizeof(*v) + node->namelen, NEXUS_KEY_LIST);
	return copy_out(v, sizeof(*v) + node->namelen, buf, cap);
}

/* Block @fblock of @node and what follows it in the same pack. */
static void place(const struct bnode *node, u64 fblock, u64 *pack, u32 *block, u64 *n)
{
	u64 at = node->vblock + fblock, in = at % BTREE_PACK_BLOCKS;

	*pack = btree_pack(at);
	*block = btree_pack_first() + (u32)in;
	*n = NEXUS_MIN(bnode_blocks(node) - fblock, BTREE_PACK_BLOCKS - in);
}

/* The first extent that begins at or above *@offset. */
static int put_extent(const struct btree *t, u64 ino, u64 *offset, void *buf, size_t cap)
{
	const u64 window = (u64)NEXUS_EXTENT_BLOCKS_MAX << NEXUS_BLOCK_SHIFT;
	const struct bnode *node = btree_node(t, ino);
	struct nexus_extent_val v = { 0 };
	u64 pack, n, at;
	u32 block;

	at = *offset % window ? *offset - *offset % window + window : *offset;
	if (!node || node->dir || at < *offset || at >= node->size)
		return -ENOENT;
	*offset = at;
	place(node, at >> NEXUS_BLOCK_SHIFT, &pack, &block, &n);
	v.pack = cpu_to_le64(pack);
	v.block = cpu_to_le32(block);
	v.nblocks = cpu_to_le32((u32)NEXUS_MIN(n, (u64)NEXUS_EXTENT_BLOCKS_MAX));
	nexus_val_seal(&v, sizeof(v), NEXUS_KEY_EXTENT);
	return copy_out(&v, sizeof(v), buf, cap);
}

static int put_totals(const struct btree *t, void *buf, size_t cap)
{
	struct nexus_quota_val v = { 0 };

	v.inodes = cpu_to_le64(t->files + 1);
	v.blocks = cpu_to_le64(t->blocks);
	nexus_val_seal(&v, sizeof(v), NEXUS_KEY_QUOTA);
	return copy_out(&v, sizeof(v), buf, cap);
}

static int view_get(struct nexus_kv *kv, const void *k, size_t klen, void *buf, size_t cap)
{
	const struct btree *t = NEXUS_CONTAINER(kv, struct bview, kv)->t;
	const u8 *key = k;
	u64 at;

	switch (key[0]) {
	case NEXUS_KEY_INODE:
		return klen == 9 ? put_inode(t, nexus_get_be64(key + 1), buf, cap) : -ENOENT;
	case NEXUS_KEY_DIRENT:
		return klen > 9 ? put_dirent(t, key, klen, buf, cap) : -ENOENT;
	case NEXUS_KEY_LIST:
		if (klen != 17)
			return -ENOENT;
		at = nexus_get_be64(key + 9);
		return put_listed(t, nexus_get_be64(key + 1), &at, false, buf, cap);
	case NEXUS_KEY_QUOTA:
		return klen == 10 && key[1] == NEXUS_QUOTA_ZONE && !nexus_get_be64(key + 2) ?
		       put_totals(t, buf, cap) : -ENOENT;
	}
	return -ENOENT;
}

/* Within a directory or a file only: nobody looks further. */
static int view_seek(struct nexus_kv *kv, void *k, size_t *klen, void *buf, size_t cap)
{
	const struct btree *t = NEXUS_CONTAINER(kv, struct bview, kv)->t;
	u8 *key = k;
	u64 at;
	int ret;

	if (*klen < 9 || (key[0] != NEXUS_KEY_LIST && key[0] != NEXUS_KEY_EXTENT))
		return -ENOENT;
	at = *klen < 17 ? 0 : nexus_get_be64(key + 9);
	if (key[0] == NEXUS_KEY_LIST)
		ret = put_listed(t, nexus_get_be64(key + 1), &at, true, buf, cap);
	else
		ret = put_extent(t, nexus_get_be64(key + 1), &at, buf, cap);
	if (ret < 0)
		return ret;
	nexus_put_be64(key + 9, at);
	*klen = 17;
	return ret;
}

static int view_put(struct nexus_kv *kv, const void *key, size_t klen, const void *val,
		    size_t vlen)
{
	(void)kv;
	(void)key;
	(void)klen;
	(void)val;
	(void)vlen;
	return -EROFS;
}

static int view_del(struct nexus_kv *kv, const void *key, size_t klen)
{
	(void)kv;
	(void)key;
	(void)klen;
	return -EROFS;
}

static const struct nexus_kv_ops view_ops = {
	.get	= view_get,
	.put	= view_put,
	.del	= view_del,
	.seek	= view_seek,
};

void bview_begin(struct bview *v, struct btree *t)
{
	v->kv.ops = &view_ops;
	v->t = t;
	pthread_rwlock_rdlock(&t->lock);
}

void bview_end(struct bview *v)
{
	pthread_rwlock_unlock((pthread_rwlock_t *)&v->t->lock);
}

/* As large as they are, and not in windows: objects may have terabytes. */
int bview_extents(const struct bview *v, u64 ino, u64 offset, void *out, size_t cap)
{
	const struct bnode *node = btree_node(v->t, ino);
	struct nexus_extents_reply *rep = out;
	u64 at = offset >> NEXUS_BLOCK_SHIFT, end, pack, n;
	size_t room;

	if (!node || node->dir)
		return -ENOENT;
	if (cap < sizeof(*rep) + sizeof(rep->extent[0]))
		return -EINVAL;
	room = (cap - sizeof(*rep)) / sizeof(rep->extent[0]);
	end = bnode_blocks(node);
	rep->count = 0;
	rep->flags = 0;
	for (; at < end && rep->count < room; at += n) {
		struct nexus_extent *e = &rep->extent[rep->count++];

		memset(e, 0, sizeof(*e));
		place(node, at, &pack, &e->block, &n);
		e->offset = at << NEXUS_BLOCK_SHIFT;
		e->pack = pack;
		e->nblocks = (u32)n;
	}
	rep->next_offset = at << NEXUS_BLOCK_SHIFT;
	if (at >= end)
		rep->flags |= NEXUS_XR_END;
	return (int)(sizeof(*rep) + rep->count * sizeof(rep->extent[0]));
}
