// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Typed reads: the bytes of a reply, from a store.
 *
 * Every value is checked (type, length, CRC) before a field of it is used: a
 * damaged value is -EUCLEAN for the one request that met it.
 */
#include "key.h"
#include "read.h"

/* Longest value read here but for xattrs: a symlink target. */
#define READ_VAL_MAX	(sizeof(struct nexus_blob_val) + NEXUS_SYMLINK_MAX + 256)

struct read_ctx {
	struct nexus_kv *kv;
	const struct nexus_request *req;
	const void *data;
	u8 *out;
	size_t cap;
	struct nexus_key key;
	u8 seek[NEXUS_KEY_MAX];
	size_t seek_len;
	size_t vlen;
	u8 val[READ_VAL_MAX] __attribute__((aligned(8)));
};

/* ctx->key into ctx->val, checked. */
static int get_val(struct read_ctx *c, size_t min)
{
	int len = nexus_kv_get(c->kv, c->key.b, c->key.len, c->val,
			       sizeof(c->val));

	if (len < 0)
		return len;
	if ((size_t)len > sizeof(c->val))
		return -EUCLEAN;
	c->vlen = len;
	return nexus_val_check(c->val, len, c->key.b[0], min);
}

/*
 * The first key >= ctx->seek that begins with the first @prefix bytes of
 * ctx->key, into ctx->seek and ctx->val, checked; -ENOENT if there is none.
 */
static int seek_val(struct read_ctx *c, size_t prefix, size_t min)
{
	int len = nexus_kv_seek(c->kv, c->seek, &c->seek_len, c->val,
				sizeof(c->val));

	if (len < 0)
		return len;
	if (c->seek_len < prefix || memcmp(c->seek, c->key.b, prefix))
		return -ENOENT;
	/* Xattrs are longer; whoever needs one reads it with its own buffer. */
	if ((size_t)len > sizeof(c->val)) {
		c->vlen = sizeof(c->val);
		return min ? -EUCLEAN : 0;
	}
	c->vlen = len;
	return nexus_val_check(c->val, len, c->key.b[0],
			       min ? min : sizeof(struct nexus_val_head));
}

static void seek_from_key(struct read_ctx *c)
{
	memcpy(c->seek, c->key.b, c->key.len);
	c->seek_len = c->key.len;
}

/* The least key above the one found last. */
static int seek_past(struct read_ctx *c)
{
	if (c->seek_len >= NEXUS_KEY_MAX)
		return -EUCLEAN;
	c->seek[c->seek_len++] = 0;
	return 0;
}

void nexus_attr_from_val(struct nexus_attr *a, u64 ino,
			 const struct nexus_inode_val *v)
{
	memset(a, 0, sizeof(*a));
	a->ino = ino;
	a->mode = le32_to_cpu(v->mode);
	a->flags = le32_to_cpu(v->flags);
	a->uid = le32_to_cpu(v->uid);
	a->gid = le32_to_cpu(v->gid);
	a->nlink = le32_to_cpu(v->nlink);
	a->generation = le32_to_cpu(v->generation);
	a->projid = le32_to_cpu(v->projid);
	a->rdev = le64_to_cpu(v->rdev);
	a->size = le64_to_cpu(v->size);
	a->disk_size = le64_to_cpu(v->disk_size);
	a->blocks = le64_to_cpu(v->blocks);
	a->atime_s = (s64)le64_to_cpu(v->atime_s);
	a->mtime_s = (s64)le64_to_cpu(v->mtime_s);
	a->ctime_s = (s64)le64_to_cpu(v->ctime_s);
	a->btime_s = (s64)le64_to_cpu(v->btime_s);
	a->atime_ns = le32_to_cpu(v->atime_ns);
	a->mtime_ns = le32_to_cpu(v->mtime_ns);
	a->ctime_ns = le32_to_cpu(v->ctime_ns);
	a->btime_ns = le32_to_cpu(v->btime_ns);
	a->version = le64_to_cpu(v->version);
	a->gen = le64_to_cpu(v->gen);
	a->parent = le64_to_cpu(v->parent);
	a->pos = le64_to_cpu(v->pos);
	a->next_pos = le64_to_cpu(v->next_pos);
	a->children = le64_to_cpu(v->children);
	a->data_id = le64_to_cpu(v->data_id);
	memcpy(a->target, v->target, sizeof(a->target));
}

static int get_attr(struct read_ctx *c, u64 ino, struct nexus_attr *attr)
{
	int err;

	nexus_key_inode(&c->key, ino);
	err = get_val(c, sizeof(struct nexus_inode_val));
	if (err)
		return err;
	nexus_attr_from_val(attr, ino, (struct nexus_inode_val *)c->val);
	return 0;
}

/* A directory's attributes; -ENOENT or -ENOTDIR otherwise. */
static int get_dir(struct read_ctx *c, u64 ino, struct nexus_attr *attr)
{
	int err = get_attr(c, ino, attr);

	if (err)
		return err;
	return S_ISDIR(attr->mode) ? 0 : -ENOTDIR;
}

/*
 * Up to @max extents of @data_id from @offset on into @ext.  Returns their
 * number; *@next is where to go on, *@end true when nothing follows.
 */
static int get_extents(struct read_ctx *c, u64 data_id, u64 offset,
		       struct nexus_extent *ext, u32 max, u64 *next, bool *end)
{
	const struct nexus_extent_val *v = (void *)c->val;
	u32 n = 0;
	int err;

	*end = false;
	*next = offset;
	nexus_key_extent(&c->key, data_id, offset);
	seek_from_key(c);
	for (;;) {
		err = seek_val(c, 9, sizeof(*v));
		if (err == -ENOENT) {
			*end = true;
			return n;
		}
		if (err)
			return err;
		if (c->seek_len != 17)
			return -EUCLEAN;
		*next = nexus_get_be64(c->seek + 9);
		if (n == max)
			return n;
		ext[n++] = (struct nexus_extent){
			.offset = *next,
			.pack = le64_to_cpu(v->pack),
			.block = le32_to_cpu(v->block),
			.nblocks = le32_to_cpu(v->nblocks),
			.flags = le32_to_cpu(v->flags),
		};
		*next += (u64)le32_to_cpu(v->nblocks) << NEXUS_BLOCK_SHIFT;
		err = seek_past(c);
		if (err)
			return err;
	}
}

static int has_xattrs(struct read_ctx *c, u64 ino)
{
	int err;

	nexus_key_xattr(&c->key, ino, "", 0);
	seek_from_key(c);
	err = seek_val(c, 9, 0);
	if (err == -ENOENT)
		return 0;
	return err ? err : 1;
}

/* Inline bytes of @ino to @out; their number, or -errno. */
static int get_content(struct read_ctx *c, u64 ino, void *out, size_t cap)
{
	size_t len;
	int err;

	nexus_key_content(&c->key, ino);
	err = get_val(c, sizeof(struct nexus_blob_val));
	if (err)
		return err;
	len = c->vlen - sizeof(struct nexus_blob_val);
	if (len > cap)
		return -EMSGSIZE;
	memcpy(out, c->val + sizeof(struct nexus_blob_val), len);
	return len;
}

static int read_entry(struct read_ctx *c, u64 ino, u64 pos)
{
	struct nexus_entry_reply *r = (void *)c->out;
	struct nexus_extent *ext = (void *)(r + 1);
	size_t used = sizeof(*r);
	bool end = false;
	u64 next;
	int n;

	if (c->cap < sizeof(*r))
		return -EINVAL;
	memset(r, 0, sizeof(*r));
	n = get_attr(c, ino, &r->attr);
	if (n)
		return n;
	r->pos = pos;
	n = has_xattrs(c, ino);
	if (n < 0)
		return n;
	if (!n)
		r->flags |= NEXUS_ER_NO_XATTRS;
	if (S_ISLNK(r->attr.mode) || (r->attr.flags & NEXUS_IF_INLINE)) {
		n = get_content(c, ino, c->out + used, c->cap - used);
		if (n == -EMSGSIZE)
			return used;
		if (n < 0)
			return n == -ENOENT ? -EUCLEAN : n;
		r->flags |= NEXUS_ER_CONTENT;
		r->content_len = n;
		return used + n;
	}
	if (S_ISREG(r->attr.mode)) {
		size_t max = (c->cap - used) / sizeof(*ext);

		if (max > NEXUS_ENTRY_EXTENTS)
			max = NEXUS_ENTRY_EXTENTS;
		n = get_extents(c, r->attr.data_id, 0, ext, max, &next, &end);
		if (n < 0)
			return n;
		r->nextents = n;
		if (end)
			r->flags |= NEXUS_ER_EXTENTS_ALL;
		used += n * sizeof(*ext);
	}
	return used;
}

static int read_lookup(struct read_ctx *c)
{
	const struct nexus_dirent_val *d = (void *)c->val;
	struct nexus_attr *attr = (void *)c->out;
	int err;

	if (!nexus_name_ok(c->data, c->req->len) ||
	    c->cap < sizeof(struct nexus_entry_reply))
		return -EINVAL;
	err = get_dir(c, c->req->ino, attr);
	if (err)
		return err;
	nexus_key_dirent(&c->key, c->req->ino, c->data, c->req->len);
	err = get_val(c, sizeof(*d));
	if (err)
		return err;
	err = read_entry(c, le64_to_cpu(d->ino), le64_to_cpu(d->pos));
	/* An entry without its inode is damage, not absence. */
	return err == -ENOENT ? -EUCLEAN : err;
}

static int read_list(struct read_ctx *c)
{
	struct nexus_list_reply *r = (void *)c->out;
	const struct nexus_list_val *v = (void *)c->val;
	size_t used = sizeof(*r), need, pad;
	struct nexus_list_ent *e;
	u64 pos, end = c->req->arg1;
	int err;

	if (c->cap < sizeof(*r) + sizeof(struct nexus_attr))
		return -EINVAL;
	err = get_dir(c, c->req->ino, (struct nexus_attr *)(c->out + used));
	if (err)
		return err;
	memset(r, 0, sizeof(*r));
	pos = c->req->arg0;
	nexus_key_list(&c->key, c->req->ino, pos);
	seek_from_key(c);
	for (;;) {
		nexus_key_list(&c->key, c->req->ino, 0);
		err = seek_val(c, 9, sizeof(*v));
		if (err == -ENOENT)
			break;
		if (err)
			return err;
		if (c->seek_len != 17 || c->vlen < sizeof(*v) + v->namelen)
			return -EUCLEAN;
		pos = nexus_get_be64(c->seek + 9);
		if (end && pos >= end)
			break;
		pad = NEXUS_ALIGN((size_t)v->namelen, 8);
		need = sizeof(*e) + pad + sizeof(struct nexus_attr);
		if (used + need > c->cap) {
			r->next_pos = pos;
			return used;
		}
		e = (void *)(c->out + used);
		memset(e, 0, sizeof(*e) + pad);
		e->ino = le64_to_cpu(v->ino);
		e->pos = pos;
		e->reclen = need;
		e->dtype = v->dtype;
		e->namelen = v->namelen;
		e->flags = NEXUS_DE_ATTR;
		memcpy(e->name, v->name, v->namelen);
		err = get_attr(c, e->ino, (void *)(e->name + pad));
		if (err)
			return err == -ENOENT ? -EUCLEAN : err;
		used += need;
		r->count++;
		err = seek_past(c);
		if (err)
			return err;
	}
	r->next_pos = end ? end : NEXUS_POS_MAX;
	r->flags = NEXUS_LR_END;
	return used;
}

static int read_extents(struct read_ctx *c)
{
	struct nexus_extents_reply *r = (void *)c->out;
	bool end;
	int n;

	if (c->cap < sizeof(*r) + sizeof(struct nexus_extent))
		return -EINVAL;
	memset(r, 0, sizeof(*r));
	n = get_extents(c, c->req->arg0, c->req->arg1, r->extent,
			(c->cap - sizeof(*r)) / sizeof(struct nexus_extent),
			&r->next_offset, &end);
	if (n < 0)
		return n;
	r->count = n;
	r->flags = end ? NEXUS_XR_END : 0;
	return sizeof(*r) + n * sizeof(struct nexus_extent);
}

static int read_xattr(struct read_ctx *c)
{
	struct nexus_xattr_reply *r = (void *)c->out;
	const struct nexus_blob_val *v;
	size_t total, n;
	int len, err;

	if (!c->req->len || c->req->len > NEXUS_XATTR_NAME_MAX ||
	    c->cap <= sizeof(*r))
		return -EINVAL;
	nexus_key_xattr(&c->key, c->req->ino, c->data, c->req->len);
	len = nexus_kv_get(c->kv, c->key.b, c->key.len, NULL, 0);
	if (len < 0)
		return len == -ENOENT ? -ENODATA : len;
	if ((u32)len > NEXUS_VALUE_MAX)
		return -EUCLEAN;
	v = nexus_alloc(len);
	if (!v)
		return -ENOMEM;
	err = nexus_kv_get(c->kv, c->key.b, c->key.len, (void *)v, len);
	if (err >= 0)
		err = nexus_val_check(v, len, NEXUS_KEY_XATTR, sizeof(*v));
	if (err)
		goto out;
	total = len - sizeof(*v);
	err = -EINVAL;
	if (c->req->arg0 > total)
		goto out;
	n = total - (size_t)c->req->arg0;
	if (n > c->cap - sizeof(*r))
		n = c->cap - sizeof(*r);
	memset(r, 0, sizeof(*r));
	r->total = total;
	memcpy(r->data, v->data + c->req->arg0, n);
	err = sizeof(*r) + n;
out:
	nexus_free((void *)v);
	return err;
}

/* arg0: how many names to skip. */
static int read_listxattr(struct read_ctx *c)
{
	u64 skip = c->req->arg0;
	size_t used = 0, nlen;
	int err;

	nexus_key_xattr(&c->key, c->req->ino, "", 0);
	seek_from_key(c);
	for (;;) {
		err = seek_val(c, 9, 0);
		if (err == -ENOENT)
			return used;
		if (err)
			return err;
		nlen = c->seek_len - 9;
		if (skip) {
			skip--;
		} else {
			if (used + nlen + 1 > c->cap)
				return used;
			memcpy(c->out + used, c->seek + 9, nlen);
			c->out[used + nlen] = 0;
			used += nlen + 1;
		}
		err = seek_past(c);
		if (err)
			return err;
	}
}

static int read_statfs(struct read_ctx *c)
{
	struct nexus_statfs_reply *r = (void *)c->out;
	const struct nexus_quota_val *q = (void *)c->val;
	int err;

	if (c->cap < sizeof(*r))
		return -EINVAL;
	nexus_key_quota(&c->key, NEXUS_QUOTA_ZONE, 0);
	err = get_val(c, sizeof(*q));
	if (err)
		return err == -ENOENT ? -EUCLEAN : err;
	r->inodes = le64_to_cpu(q->inodes);
	r->blocks = le64_to_cpu(q->blocks);
	return sizeof(*r);
}

/* One name of an inode: its own, or the first of U. */
static int read_name(struct read_ctx *c)
{
	struct nexus_name_reply *r = (void *)c->out;
	const struct nexus_list_val *v = (void *)c->val;
	const struct nexus_name_val *u = (void *)c->val;
	struct nexus_attr *attr = (void *)c->out;
	u64 parent, pos;
	int err;

	if (c->cap < sizeof(*attr) + NEXUS_NAME_MAX)
		return -EINVAL;
	err = get_attr(c, c->req->ino, attr);
	if (err)
		return err;
	parent = attr->parent;
	pos = attr->pos;
	memset(r, 0, sizeof(*r));
	if (pos) {
		nexus_key_list(&c->key, parent, pos);
		err = get_val(c, sizeof(*v));
		if (err || c->vlen < sizeof(*v) + v->namelen)
			return err == -ENOENT || !err ? -EUCLEAN : err;
		r->namelen = v->namelen;
		memcpy(r->name, v->name, v->namelen);
	} else {
		nexus_key_name(&c->key, c->req->ino, 0, "", 0);
		seek_from_key(c);
		err = seek_val(c, 9, sizeof(*u));
		if (err)
			return err;
		if (c->seek_len < 18 || c->seek_len > 17 + NEXUS_NAME_MAX)
			return -EUCLEAN;
		parent = nexus_get_be64(c->seek + 9);
		pos = le64_to_cpu(u->pos);
		r->namelen = c->seek_len - 17;
		memcpy(r->name, c->seek + 17, r->namelen);
	}
	r->parent = parent;
	r->pos = pos;
	return sizeof(*r) + r->namelen;
}

/* arg0: how many settings to skip. */
static int read_settings(struct read_ctx *c)
{
	const struct nexus_setting_val *v = (void *)c->val;
	u64 skip = c->req->arg0;
	struct nexus_setting_ent *e;
	size_t used = 0, len, need;
	int err;

	nexus_key_setting(&c->key, 0);
	seek_from_key(c);
	for (;;) {
		err = seek_val(c, 1, sizeof(*v));
		if (err == -ENOENT)
			return used;
		if (err)
			return err;
		len = (size_t)le16_to_cpu(v->pathlen) + le32_to_cpu(v->vallen);
		if (c->vlen < sizeof(*v) + len)
			return -EUCLEAN;
		need = NEXUS_ALIGN(sizeof(*e) + len, 8);
		if (skip) {
			skip--;
		} else {
			if (used + need > c->cap)
				return used;
			e = (void *)(c->out + used);
			memset(e, 0, need);
			e->reclen = need;
			e->pathlen = le16_to_cpu(v->pathlen);
			e->vallen = le32_to_cpu(v->vallen);
			memcpy(e->data, v->data, len);
			used += need;
		}
		err = seek_past(c);
		if (err)
			return err;
	}
}

static int read_link(struct read_ctx *c, bool symlink)
{
	struct nexus_attr *attr = (void *)c->out;
	int err;

	if (c->cap < NEXUS_SYMLINK_MAX)
		return -EINVAL;
	err = get_attr(c, c->req->ino, attr);
	if (err)
		return err;
	if (symlink ? !S_ISLNK(attr->mode) : !(attr->flags & NEXUS_IF_INLINE))
		return -EINVAL;
	err = get_content(c, c->req->ino, c->out, c->cap);
	return err == -ENOENT ? -EUCLEAN : err;
}

static int dispatch(struct read_ctx *c)
{
	switch (c->req->op) {
	case NEXUS_OP_LOOKUP:
		return read_lookup(c);
	case NEXUS_OP_GETATTR:
		return read_entry(c, c->req->ino, 0);
	case NEXUS_OP_LIST:
		return read_list(c);
	case NEXUS_OP_EXTENTS:
		return read_extents(c);
	case NEXUS_OP_READLINK:
		return read_link(c, true);
	case NEXUS_OP_INLINE:
		return read_link(c, false);
	case NEXUS_OP_GETXATTR:
		return read_xattr(c);
	case NEXUS_OP_LISTXATTR:
		return read_listxattr(c);
	case NEXUS_OP_STATFS:
		return read_statfs(c);
	case NEXUS_OP_GETNAME:
		return read_name(c);
	case NEXUS_OP_SETTINGS:
		return read_settings(c);
	default:
		return -EOPNOTSUPP;
	}
}

int nexus_read(struct nexus_kv *kv, const struct nexus_request *req,
	       const void *data, void *out, size_t cap)
{
	struct read_ctx *c = nexus_alloc(sizeof(*c));
	int ret;

	if (!c)
		return -ENOMEM;
	c->kv = kv;
	c->req = req;
	c->data = data;
	c->out = out;
	c->cap = cap;
	ret = dispatch(c);
	nexus_free(c);
	return ret;
}
