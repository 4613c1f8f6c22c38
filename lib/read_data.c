// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Typed reads: extents, content, xattrs, settings. */
#include "lease.h"
#include "read_impl.h"
#include "record.h"

/* ---- extents ------------------------------------------------------- */

static bool goes_on(const struct nexus_extent *a, u64 offset,
		    const struct nexus_kext *x)
{
	/* What is unwritten is nowhere. */
	if (!(x->flags & NEXUS_EF_UNWRITTEN) &&
	    a->block + a->nblocks != x->block)
		return false;
	return a->offset + ((u64)a->nblocks << NEXUS_BLOCK_SHIFT) == offset &&
	       a->pack == x->pack && a->flags == x->flags &&
	       a->nblocks + x->nblocks <= NEXUS_PACK_BLOCKS_MAX;
}

int nexus_rd_extents(struct nexus_rd *rd, u64 data_id, u64 offset,
		     struct nexus_extent *to, u32 max, u64 *next, bool *more)
{
	u64 first = offset >> NEXUS_BLOCK_SHIFT;
	struct nexus_kext x;
	u32 n = 0, seen = 0;
	int len;

	*next = first << NEXUS_BLOCK_SHIFT;
	*more = false;
	len = nexus_ext_seek(rd->kv, data_id, first, &rd->key, rd->val,
			     sizeof(rd->val), &x);
	while (len > 0) {
		u64 skip = x.fblock < first ? first - x.fblock : 0;
		u64 end = x.fblock + x.nblocks;

		x.fblock += skip;
		if (!(x.flags & NEXUS_EF_UNWRITTEN))
			x.block += (u32)skip;
		x.nblocks -= (u32)skip;
		/* As many records at most: a reply must not take a whole scan. */
		if (seen++ == max) {
			*more = true;
			return (int)n;
		}
		/* The index cuts extents at its windows; a reader need not care. */
		if (n && goes_on(&to[n - 1], x.fblock << NEXUS_BLOCK_SHIFT, &x)) {
			to[n - 1].nblocks += x.nblocks;
		} else {
			to[n].offset = x.fblock << NEXUS_BLOCK_SHIFT;
			to[n].pack = x.pack;
			to[n].block = x.block;
			to[n].nblocks = x.nblocks;
			to[n].flags = x.flags;
			to[n].reserved = 0;
			n++;
		}
		*next = end << NEXUS_BLOCK_SHIFT;
		len = nexus_ext_next(rd->kv, data_id, end, &rd->key, rd->val,
				     sizeof(rd->val), &x);
	}
	return len == -ENOENT ? (int)n : len;
}

int nexus_rd_op_extents(struct nexus_rd *rd, const struct nexus_request *req)
{
	struct nexus_extents_reply *rep = rd->out;
	size_t room;
	bool more;
	int ret;

	if (rd->cap < sizeof(*rep) + sizeof(rep->extent[0]) || !req->arg0 ||
	    req->arg1 > NEXUS_SIZE_MAX)
		return -EINVAL;
	room = (rd->cap - sizeof(*rep)) / sizeof(rep->extent[0]);
	ret = nexus_rd_extents(rd, req->arg0, req->arg1, rep->extent,
			       (u32)NEXUS_MIN(room, (size_t)4096),
			       &rep->next_offset, &more);
	if (ret < 0)
		return ret;
	rep->count = (u32)ret;
	rep->flags = more ? 0 : NEXUS_XR_END;
	rd->len = sizeof(*rep) + (size_t)ret * sizeof(rep->extent[0]);
	return 0;
}

/* ---- values of any size -------------------------------------------- */

/*
 * The whole value of rd->key in memory of its own; *@len its length.  Values of
 * this kind change their length between two looks only if the view changes,
 * which the caller of typed reads excludes.
 */
static int get_big(struct nexus_rd *rd, u8 type, size_t min, u8 **val, size_t *len)
{
	u8 *buf;
	int n;

	*val = NULL;
	n = nexus_kv_get(rd->kv, rd->key.b, rd->key.len, rd->val, 0);
	if (n < 0)
		return n;
	if (n > (int)NEXUS_VALUE_MAX)
		return -EUCLEAN;
	*len = (size_t)n;
	buf = nexus_alloc(*len + 1);
	if (!buf)
		return -ENOMEM;
	n = nexus_kv_get(rd->kv, rd->key.b, rd->key.len, buf, *len);
	if (n >= 0 && ((size_t)n != *len || nexus_val_check(buf, *len, type, min)))
		n = -EUCLEAN;
	if (n < 0) {
		nexus_free(buf);
		return n;
	}
	*val = buf;
	return 0;
}

int nexus_rd_content(struct nexus_rd *rd, u64 ino, void *to, size_t room)
{
	const size_t head = sizeof(struct nexus_blob_val);
	size_t len;
	u8 *val;
	int ret;

	nexus_key_content(&rd->key, ino);
	ret = get_big(rd, NEXUS_KEY_CONTENT, head, &val, &len);
	if (ret)
		return ret;
	len -= head;
	ret = len > room ? -ENOBUFS : (int)len;
	if (ret > 0)
		memcpy(to, val + head, len);
	nexus_free(val);
	return ret;
}

/* READLINK of a symlink, INLINE of an inline file; else -EINVAL. */
int nexus_rd_op_content(struct nexus_rd *rd, const struct nexus_request *req)
{
	bool ok;
	int ret;

	ret = nexus_rd_inode(rd, req->ino, &rd->attr);
	if (ret)
		return ret;
	if (req->op == NEXUS_OP_READLINK)
		ok = (rd->attr.mode & S_IFMT) == S_IFLNK;
	else
		ok = rd->attr.flags & NEXUS_IF_INLINE;
	if (!ok)
		return -EINVAL;
	ret = nexus_rd_content(rd, req->ino, rd->out, rd->cap);
	if (ret < 0) {
		if (ret == -ENOENT)
			return -EUCLEAN;
		return ret == -ENOBUFS ? -EINVAL : ret;
	}
	rd->len = (size_t)ret;
	return 0;
}

int nexus_rd_op_getxattr(struct nexus_rd *rd, const struct nexus_request *req,
			 const void *name)
{
	const size_t head = sizeof(struct nexus_blob_val);
	struct nexus_xattr_reply *rep = rd->out;
	size_t len, n;
	u8 *val;
	int ret;

	if (!req->len || req->len > NEXUS_XATTR_NAME_MAX ||
	    rd->cap < sizeof(*rep))
		return -EINVAL;
	nexus_key_xattr(&rd->key, req->ino, name, req->len);
	ret = get_big(rd, NEXUS_KEY_XATTR, head, &val, &len);
	if (ret == -ENOENT) {
		ret = nexus_rd_inode(rd, req->ino, &rd->attr);
		return ret ? ret : -ENODATA;
	}
	if (ret)
		return ret;
	len -= head;
	rep->total = (u32)len;
	rep->reserved = 0;
	n = req->arg0 < len ? len - (size_t)req->arg0 : 0;
	n = NEXUS_MIN(n, rd->cap - sizeof(*rep));
	if (n)
		memcpy(rep->data, val + head + (size_t)req->arg0, n);
	rd->len = sizeof(*rep) + n;
	nexus_free(val);
	return 0;
}

/*
 * Cursors of LISTXATTR and SETTINGS are the number of names (settings) that the
 * reader has: the replies have no room for another one, and both lists are short.
 * An empty reply is the end.
 */
int nexus_rd_op_listxattr(struct nexus_rd *rd, const struct nexus_request *req)
{
	u64 skip = req->arg0;
	int ret;

	ret = nexus_rd_inode(rd, req->ino, &rd->attr);
	if (ret)
		return ret;
	nexus_key_xattr(&rd->key, req->ino, NULL, 0);
	for (;;) {
		size_t n;

		ret = nexus_rd_seek(rd, 9);
		if (ret == -ENOENT)
			return 0;
		if (ret < 0)
			return ret;
		n = rd->key.len - 9;
		if (!n || n > NEXUS_XATTR_NAME_MAX || memchr(rd->key.b + 9, 0, n))
			return -EUCLEAN;
		if (skip) {
			skip--;
		} else {
			if (rd->cap - rd->len < n + 1)
				return rd->len ? 0 : -EINVAL;
			memcpy((u8 *)rd->out + rd->len, rd->key.b + 9, n);
			rd->len += n;
			((u8 *)rd->out)[rd->len++] = 0;
		}
		rd->key.b[rd->key.len++] = 0;	/* the next key there can be */
	}
}

/* One setting of rd->key; -ENOBUFS if it does not fit. */
static int put_setting(struct nexus_rd *rd)
{
	struct nexus_setting_ent *ent = (void *)((u8 *)rd->out + rd->len);
	const struct nexus_setting_val *v;
	size_t len, pathlen, vallen, size;
	u8 *val;
	int ret;

	ret = get_big(rd, NEXUS_KEY_SETTING, sizeof(*v), &val, &len);
	if (ret)
		return ret;
	v = (const void *)val;
	pathlen = le16_to_cpu(v->pathlen);
	vallen = le32_to_cpu(v->vallen);
	size = NEXUS_ALIGN(sizeof(*ent) + pathlen + vallen, (size_t)8);
	if (!pathlen || pathlen > NEXUS_SETTING_PATH_MAX ||
	    vallen > NEXUS_SETTING_VALUE_MAX ||
	    len < sizeof(*v) + pathlen + vallen) {
		ret = -EUCLEAN;
	} else if (size > rd->cap - rd->len) {
		ret = -ENOBUFS;
	} else {
		memset(ent, 0, size);
		ent->reclen = (u32)size;
		ent->pathlen = (u16)pathlen;
		ent->vallen = (u16)vallen;
		memcpy(ent->data, v->data, pathlen + vallen);
		rd->len += size;
	}
	nexus_free(val);
	return ret;
}

int nexus_rd_op_settings(struct nexus_rd *rd, const struct nexus_request *req)
{
	u64 skip = req->arg0, hash = 0;
	int ret;

	for (;;) {
		nexus_key_setting(&rd->key, hash);
		ret = nexus_rd_seek(rd, 1);
		if (ret == -ENOENT)
			return 0;
		if (ret < 0)
			return ret;
		if (rd->key.len != 9)
			return -EUCLEAN;
		hash = nexus_get_be64(rd->key.b + 1);
		if (skip) {
			skip--;
		} else {
			ret = put_setting(rd);
			if (ret == -ENOBUFS)
				return rd->len ? 0 : -EINVAL;
			if (ret)
				return ret;
		}
		if (hash++ == U64_MAX)
			return 0;
	}
}

/* One lease, of rd->key; -ENOBUFS if it does not fit. */
static int put_lease(struct nexus_rd *rd, u64 ino)
{
	struct nexus_lease_ent *ent = (void *)((u8 *)rd->out + rd->len);
	size_t len, size;
	u8 *val;
	int ret;

	ret = get_big(rd, NEXUS_KEY_LEASE, sizeof(struct nexus_lease_val), &val, &len);
	if (ret)
		return ret;
	if (!nexus_lease_val_ok((const void *)val, len)) {
		ret = -EUCLEAN;
		goto out;
	}
	len = nexus_lease_size(le32_to_cpu(((const struct nexus_lease_val *)val)->count));
	size = sizeof(*ent) + len;
	if (size > rd->cap - rd->len) {
		ret = -ENOBUFS;
		goto out;
	}
	memset(ent, 0, sizeof(*ent));
	ent->ino = ino;
	ent->reclen = (u32)size;
	memcpy(ent->val, val, len);
	rd->len += size;
out:
	nexus_free(val);
	return ret;
}

/* An empty reply is the end. */
int nexus_rd_op_leases(struct nexus_rd *rd, const struct nexus_request *req)
{
	u64 ino = req->ino;
	int ret;

	for (;;) {
		nexus_key_lease(&rd->key, ino);
		ret = nexus_rd_seek(rd, 1);
		if (ret == -ENOENT)
			return 0;
		if (ret < 0)
			return ret;
		if (rd->key.len != 9)
			return -EUCLEAN;
		ino = nexus_get_be64(rd->key.b + 1);
		ret = put_lease(rd, ino);
		if (ret == -ENOBUFS)
			return rd->len ? 0 : -EINVAL;
		if (ret || ino++ == U64_MAX)
			return ret;
	}
}
