// SPDX-License-Identifier: Apache-2.0
/* Records for tests. */
#include "records.h"

static u64 buffer[NEXUS_REC_LEN_MAX / 8];

/* Dirt that a builder must overwrite. */
static void *fresh(size_t len)
{
	memset(buffer, 0xa5, len + 64);
	return buffer;
}

void *rec_create(const struct create_args *a)
{
	size_t namelen = a->name ? strlen(a->name) : 0;
	size_t xlen = a->xname ? nexus_rec_xattr_len(strlen(a->xname),
						     strlen(a->xval)) : 0;
	size_t len = nexus_rec_create_len(namelen, a->contentlen, xlen);
	struct nexus_rec_create *r = fresh(len);

	nexus_rec_init(&r->head, len, NEXUS_REC_CREATE, 0, NOW);
	r->parent = cpu_to_le64(a->parent);
	r->pos = cpu_to_le64(a->pos);
	r->ino = cpu_to_le64(a->ino);
	r->data_id = cpu_to_le64(a->data_id);
	r->rdev = cpu_to_le64(a->rdev);
	r->mode = cpu_to_le32(a->mode);
	r->uid = cpu_to_le32(a->uid);
	r->gid = cpu_to_le32(a->gid);
	r->projid = cpu_to_le32(a->projid);
	r->iflags = cpu_to_le32(a->iflags);
	r->generation = cpu_to_le32(7);
	r->xattrlen = cpu_to_le32((u32)xlen);
	nexus_rec_create_body(r, a->name, namelen, a->content, a->contentlen);
	if (a->xname)
		assert_int_equal(nexus_rec_put_xattr(nexus_rec_create_xattrs(r),
						     a->xname, strlen(a->xname),
						     a->xval, strlen(a->xval)),
				 xlen);
	return r;
}

void *rec_mk(u64 parent, u64 pos, u64 ino, const char *name, u32 mode)
{
	struct create_args a = {
		.parent = parent, .pos = pos, .ino = ino, .data_id = ino,
		.name = name, .mode = mode,
	};

	return rec_create(&a);
}

void *rec_link(u64 parent, u64 pos, u64 ino, const char *name)
{
	void *r = fresh(512);

	nexus_rec_link(r, parent, pos, ino, name, strlen(name), NOW);
	return r;
}

void *rec_unlink(u64 parent, u64 pos, u64 ino, const char *name)
{
	void *r = fresh(512);

	nexus_rec_unlink(r, parent, pos, ino, name, strlen(name), false, NOW);
	return r;
}

void *rec_rmdir(u64 parent, u64 pos, u64 ino, const char *name)
{
	void *r = fresh(512);

	nexus_rec_unlink(r, parent, pos, ino, name, strlen(name), true, NOW);
	return r;
}

void *rec_rename(u64 sparent, u64 spos, u64 ino, const char *sname, u64 dparent,
		 u64 dpos, u64 replaced, const char *dname, u16 flags)
{
	struct nexus_rename_args a = {
		.sparent = sparent, .spos = spos, .ino = ino,
		.dparent = dparent, .dpos = dpos, .replaced = replaced,
		.sname = sname, .snamelen = (u16)strlen(sname),
		.dname = dname, .dnamelen = (u16)strlen(dname),
		.flags = flags,
	};
	void *r = fresh(1024);

	nexus_rec_rename(r, &a, NOW);
	return r;
}

void *rec_whiteout(u64 sparent, u64 spos, u64 ino, const char *sname, u64 dparent,
		   u64 dpos, u64 replaced, const char *dname, u64 whiteout,
		   const char *xval)
{
	u64 xattrs[16];
	struct nexus_whiteout_args w = {
		.ino = whiteout, .generation = 7, .uid = 1, .gid = 2, .projid = 3,
		.xattrs = xattrs,
	};
	struct nexus_rename_args a = {
		.sparent = sparent, .spos = spos, .ino = ino,
		.dparent = dparent, .dpos = dpos, .replaced = replaced,
		.sname = sname, .snamelen = (u16)strlen(sname),
		.dname = dname, .dnamelen = (u16)strlen(dname),
		.whiteout = &w,
	};
	void *r = fresh(1024);

	if (xval)
		w.xattrlen = (u32)nexus_rec_put_xattr(xattrs, "user.1", 6, xval,
						      strlen(xval));
	assert_int_equal(nexus_rec_rename(r, &a, NOW),
			 nexus_rec_rename_len(a.snamelen, a.dnamelen) +
			 nexus_rec_whiteout_len(w.xattrlen));
	return r;
}

void *rec_truncate(u64 ino, u64 data_id, u64 new_id, u64 size, u64 pack, u32 block)
{
	struct nexus_rec_truncate *r = fresh(sizeof(*r));

	nexus_rec_init(&r->head, sizeof(*r), NEXUS_REC_TRUNCATE, 0, NOW);
	r->ino = cpu_to_le64(ino);
	r->data_id = cpu_to_le64(data_id);
	r->new_data_id = cpu_to_le64(new_id);
	r->size = cpu_to_le64(size);
	r->tail_pack = cpu_to_le64(pack);
	r->tail_block = cpu_to_le32(block);
	return r;
}

void *rec_extent(u64 ino, u64 data_id, u64 fblock, u64 size, u64 pack, u32 block,
		 u32 nblocks, u32 flags)
{
	size_t len = nexus_rec_extent_len(nblocks);
	struct nexus_rec_extent *r = fresh(len);
	u32 i;

	nexus_rec_init(&r->head, len, NEXUS_REC_EXTENT, 0, NOW);
	r->ino = cpu_to_le64(ino);
	r->data_id = cpu_to_le64(data_id);
	r->offset = cpu_to_le64(fblock << NEXUS_BLOCK_SHIFT);
	r->size = cpu_to_le64(size);
	r->pack = cpu_to_le64(pack);
	r->block = cpu_to_le32(block);
	r->nblocks = cpu_to_le32(nblocks);
	r->flags = cpu_to_le32(flags);
	r->mtime_s = cpu_to_le64(2000);
	r->ctime_s = cpu_to_le64(2001);
	for (i = 0; i < nblocks; i++)
		r->crc[i] = cpu_to_le32(flags & NEXUS_EF_NOCRC ? 0 : i);
	return r;
}

void *rec_setxattr(u64 ino, const char *name, const char *val, u16 flags)
{
	void *r = fresh(1024 + strlen(val));

	nexus_rec_setxattr(r, ino, name, strlen(name), val, strlen(val), flags, NOW);
	return r;
}

void *rec_removexattr(u64 ino, const char *name)
{
	void *r = fresh(1024);

	nexus_rec_removexattr(r, ino, name, strlen(name), NOW);
	return r;
}

void *rec_xattr_mode(void *rec, u32 mode)
{
	nexus_rec_xattr_mode(rec, mode);
	return rec;
}

void *rec_forget(u64 ino, u64 data_id, u32 max)
{
	void *r = fresh(128);

	nexus_rec_forget(r, ino, data_id, max, NOW);
	return r;
}

void *rec_bulk(u64 data_id, u32 max)
{
	void *r = fresh(128);

	nexus_rec_bulk(r, data_id, max, NOW);
	return r;
}

void *rec_setattr(u64 ino, u32 mask, u32 mode, u32 uid, u32 gid, u32 projid)
{
	struct nexus_rec_setattr *r = fresh(sizeof(*r));

	nexus_rec_init(&r->head, sizeof(*r), NEXUS_REC_SETATTR, 0, NOW);
	r->ino = cpu_to_le64(ino);
	r->mask = cpu_to_le32(mask);
	r->mode = cpu_to_le32(mode);
	r->uid = cpu_to_le32(uid);
	r->gid = cpu_to_le32(gid);
	r->projid = cpu_to_le32(projid);
	r->atime_s = cpu_to_le64(31);
	r->mtime_s = cpu_to_le64(32);
	r->ctime_s = cpu_to_le64(33);
	r->btime_s = cpu_to_le64(34);
	return r;
}

void *rec_pack(u64 pack, u32 state, u32 used)
{
	struct nexus_rec_pack *r = fresh(sizeof(*r));

	nexus_rec_init(&r->head, sizeof(*r), NEXUS_REC_PACK, 0, NOW);
	r->pack = cpu_to_le64(pack);
	r->state = cpu_to_le32(state);
	r->used = cpu_to_le32(used);
	return r;
}

void *rec_setting(u64 hash, const char *path, const char *val)
{
	size_t pathlen = strlen(path), vallen = strlen(val);
	size_t len = NEXUS_ALIGN(sizeof(struct nexus_rec_setting) + pathlen + vallen,
				 (size_t)8);
	struct nexus_rec_setting *r = fresh(len);

	nexus_rec_init(&r->head, len, NEXUS_REC_SETTING, 0, NOW);
	r->hash = cpu_to_le64(hash);
	r->pathlen = cpu_to_le16((u16)pathlen);
	r->vallen = cpu_to_le32((u32)vallen);
	memcpy(r->data, path, pathlen);
	memcpy(r->data + pathlen, val, vallen);
	return r;
}

void *rec_quota(u32 kind, u64 id, u64 inodes_soft, u64 blocks_soft)
{
	struct nexus_rec_quota *r = fresh(sizeof(*r));

	nexus_rec_init(&r->head, sizeof(*r), NEXUS_REC_QUOTA, 0, NOW);
	r->kind = cpu_to_le32(kind);
	r->id = cpu_to_le64(id);
	r->inodes_soft = cpu_to_le64(inodes_soft);
	r->blocks_soft = cpu_to_le64(blocks_soft);
	return r;
}

void *rec_data(u64 ino, u64 data_id, u64 offset, const char *bytes)
{
	size_t n = strlen(bytes);
	size_t len = NEXUS_ALIGN(sizeof(struct nexus_rec_data) + n, (size_t)8);
	struct nexus_rec_data *r = fresh(len);

	nexus_rec_init(&r->head, len, NEXUS_REC_DATA, 0, NOW);
	r->ino = cpu_to_le64(ino);
	r->data_id = cpu_to_le64(data_id);
	r->offset = cpu_to_le64(offset);
	r->mtime_s = cpu_to_le64(NOW.s);
	r->ctime_s = cpu_to_le64(NOW.s);
	r->len = cpu_to_le32((u32)n);
	r->crc = cpu_to_le32(nexus_crc32c(0, bytes, n));
	memcpy(r->data, bytes, n);
	return r;
}

void *rec_share(u64 ino, u64 data_id, u64 fblock, u32 nblocks)
{
	struct nexus_rec_share *r = fresh(sizeof(*r));

	nexus_rec_init(&r->head, sizeof(*r), NEXUS_REC_SHARE, 0, NOW);
	r->ino = cpu_to_le64(ino);
	r->data_id = cpu_to_le64(data_id);
	r->offset = cpu_to_le64(fblock << NEXUS_BLOCK_SHIFT);
	r->nblocks = cpu_to_le32(nblocks);
	return r;
}

void *rec_clone(const struct clone_args *a)
{
	struct nexus_rec_clone *r = fresh(sizeof(*r));

	nexus_rec_init(&r->head, sizeof(*r), NEXUS_REC_CLONE, 0, NOW);
	r->src_ino = cpu_to_le64(a->src);
	r->src_data_id = cpu_to_le64(a->src_id);
	r->src_offset = cpu_to_le64(a->from << NEXUS_BLOCK_SHIFT);
	r->ino = cpu_to_le64(a->ino);
	r->data_id = cpu_to_le64(a->id);
	r->offset = cpu_to_le64(a->to << NEXUS_BLOCK_SHIFT);
	r->size = cpu_to_le64(a->size);
	r->nblocks = cpu_to_le32(a->nblocks);
	r->mapped = cpu_to_le32(a->mapped);
	r->mtime_s = cpu_to_le64(3000);
	r->ctime_s = cpu_to_le64(3001);
	return r;
}

void *rec_range(u16 type, u64 ino, u64 data_id, u64 fblock, u64 nblocks, u64 size)
{
	struct nexus_rec_range *r = fresh(sizeof(*r));

	nexus_rec_init(&r->head, sizeof(*r), type, 0, NOW);
	r->ino = cpu_to_le64(ino);
	r->data_id = cpu_to_le64(data_id);
	r->offset = cpu_to_le64(fblock << NEXUS_BLOCK_SHIFT);
	r->len = cpu_to_le64(nblocks << NEXUS_BLOCK_SHIFT);
	r->size = cpu_to_le64(size);
	return r;
}

void *rec_inline(u64 ino, u64 data_id, const void *bytes, u32 len)
{
	size_t reclen = nexus_rec_inline_len(len);
	struct nexus_rec_inline *r = fresh(reclen);

	nexus_rec_init(&r->head, reclen, NEXUS_REC_INLINE, 0, NOW);
	r->ino = cpu_to_le64(ino);
	r->data_id = cpu_to_le64(data_id);
	r->mtime_s = cpu_to_le64(3000);
	r->ctime_s = cpu_to_le64(3001);
	r->len = cpu_to_le32(len);
	memcpy(r->data, bytes, len);
	return r;
}

void *rec_nop(void)
{
	struct nexus_rec_head *r = fresh(sizeof(*r));

	nexus_rec_init(r, sizeof(*r), NEXUS_REC_NOP, 0, NOW);
	return r;
}

void *rec_move(const struct move_args *a)
{
	size_t len = nexus_rec_move_len(a->nblocks);
	struct nexus_rec_move *r = fresh(len);
	u32 i;

	nexus_rec_init(&r->head, len, NEXUS_REC_MOVE, 0, NOW);
	r->ino = cpu_to_le64(a->ino);
	r->data_id = cpu_to_le64(a->id);
	r->offset = cpu_to_le64(a->at << NEXUS_BLOCK_SHIFT);
	r->from_pack = cpu_to_le64(a->from_pack);
	r->from_block = cpu_to_le32(a->from_block);
	r->to_pack = cpu_to_le64(a->to_pack);
	r->to_block = cpu_to_le32(a->to_block);
	r->nblocks = cpu_to_le32(a->nblocks);
	for (i = 0; i < a->nblocks; i++)
		r->crc[i] = cpu_to_le32(i);
	return r;
}

void *rec_lease(const struct lease_args *a)
{
	struct nexus_rec_lease *r = fresh(sizeof(*r));

	memset(r, 0, sizeof(*r));
	nexus_rec_init(&r->head, sizeof(*r), NEXUS_REC_LEASE, 0,
		       (struct nexus_time){ .s = (s64)a->now, .ns = 0 });
	r->head.lsn = cpu_to_le64(a->lsn);
	r->ino = cpu_to_le64(a->ino);
	r->op = cpu_to_le32(a->op);
	r->max_holders = cpu_to_le32(a->max);
	if (a->op <= NEXUS_LEASE_EXTEND)
		r->expires = cpu_to_le64((a->now + a->ttl) * 1000000000);
	if (a->op <= NEXUS_LEASE_DROP)
		r->id[0] = a->id;
	if (a->op == NEXUS_LEASE_TAKE)
		memcpy(r->name, "holder", 6);
	return r;
}
