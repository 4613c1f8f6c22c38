// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Typed reads: LOOKUP, GETATTR, LIST, GETNAME, STATFS; the rest in read_data.c. */
#include "read_impl.h"
#include "record.h"

/* Index value to native fields; both structures are laid out alike in meaning. */
void nexus_attr_from_val(struct nexus_attr *attr, u64 ino,
			 const struct nexus_inode_val *v)
{
	memset(attr, 0, sizeof(*attr));
	attr->ino = ino;
	attr->mode = le32_to_cpu(v->mode);
	attr->flags = le32_to_cpu(v->flags);
	attr->uid = le32_to_cpu(v->uid);
	attr->gid = le32_to_cpu(v->gid);
	attr->nlink = le32_to_cpu(v->nlink);
	attr->generation = le32_to_cpu(v->generation);
	attr->projid = le32_to_cpu(v->projid);
	attr->rdev = le64_to_cpu(v->rdev);
	attr->size = le64_to_cpu(v->size);
	attr->disk_size = le64_to_cpu(v->disk_size);
	attr->blocks = le64_to_cpu(v->blocks);
	attr->atime_s = (s64)le64_to_cpu(v->atime_s);
	attr->mtime_s = (s64)le64_to_cpu(v->mtime_s);
	attr->ctime_s = (s64)le64_to_cpu(v->ctime_s);
	attr->btime_s = (s64)le64_to_cpu(v->btime_s);
	attr->atime_ns = le32_to_cpu(v->atime_ns);
	attr->mtime_ns = le32_to_cpu(v->mtime_ns);
	attr->ctime_ns = le32_to_cpu(v->ctime_ns);
	attr->btime_ns = le32_to_cpu(v->btime_ns);
	attr->version = le64_to_cpu(v->version);
	attr->gen = le64_to_cpu(v->gen);
	attr->parent = le64_to_cpu(v->parent);
	attr->pos = le64_to_cpu(v->pos);
	attr->next_pos = le64_to_cpu(v->next_pos);
	attr->children = le64_to_cpu(v->children);
	attr->data_id = le64_to_cpu(v->data_id);
	attr->unwritten = le64_to_cpu(v->unwritten);
	memcpy(attr->target, v->target, sizeof(attr->target));
}

int nexus_rd_get(struct nexus_rd *rd, u8 type, size_t min)
{
	int len = nexus_kv_get(rd->kv, rd->key.b, rd->key.len, rd->val,
			       sizeof(rd->val));

	if (len < 0)
		return len;
	if ((size_t)len > sizeof(rd->val) ||
	    nexus_val_check(rd->val, (size_t)len, type, min))
		return -EUCLEAN;
	return len;
}

int nexus_rd_inode(struct nexus_rd *rd, u64 ino, struct nexus_attr *attr)
{
	int len;

	nexus_key_inode(&rd->key, ino);
	len = nexus_rd_get(rd, NEXUS_KEY_INODE, sizeof(struct nexus_inode_val));
	if (len < 0)
		return len;
	nexus_attr_from_val(attr, ino, (const void *)rd->val);
	return 0;
}

int nexus_rd_seek(struct nexus_rd *rd, size_t prefix)
{
	u8 want[17];
	int len;

	memcpy(want, rd->key.b, prefix);
	len = nexus_kv_seek(rd->kv, rd->key.b, &rd->key.len, rd->val,
			    sizeof(rd->val));
	if (len < 0)
		return len;
	if (rd->key.len < prefix || memcmp(want, rd->key.b, prefix))
		return -ENOENT;
	return len;
}

/* ---- LOOKUP and GETATTR -------------------------------------------- */

/*
 * 1: none, 0: some.  What the first xattr found belongs to says it for all inodes in
 * between: mostly one look is enough for a whole listing.
 */
static int no_xattrs(struct nexus_rd *rd, u64 ino)
{
	int ret;

	if (ino >= rd->bare_from && ino < rd->bare_to)
		return 1;
	nexus_key_xattr(&rd->key, ino, NULL, 0);
	ret = nexus_rd_seek(rd, 1);
	if (ret < 0 && ret != -ENOENT)
		return ret;
	if (ret >= 0 && rd->key.len < 9)
		return -EUCLEAN;
	rd->bare_from = ino;
	rd->bare_to = ret < 0 ? ~(u64)0 : nexus_get_be64(rd->key.b + 1);
	return ino < rd->bare_to;
}

/* Appends symlink target or inline body, if there is room. */
static int put_content(struct nexus_rd *rd, struct nexus_entry_reply *rep)
{
	u8 *to = (u8 *)rd->out + rd->len;
	int len = nexus_rd_content(rd, rep->attr.ino, to, rd->cap - rd->len);

	if (len == -ENOBUFS)
		return 0;
	if (len < 0)
		return len == -ENOENT ? -EUCLEAN : len;
	rep->flags |= NEXUS_ER_CONTENT;
	rep->content_len = (u32)len;
	rd->len += (size_t)len;
	return 0;
}

/* Appends the extents of a file, if they are few and there is room. */
static int put_extents(struct nexus_rd *rd, struct nexus_entry_reply *rep)
{
	size_t room = (rd->cap - rd->len) / sizeof(struct nexus_extent);
	u32 max = (u32)NEXUS_MIN(room, (size_t)NEXUS_ENTRY_EXTENTS);
	bool more = false;
	u64 next;
	int ret;

	if (rep->attr.blocks) {
		ret = nexus_rd_extents(rd, rep->attr.data_id, 0,
				       (struct nexus_extent *)(rep + 1), max,
				       &next, &more);
		if (ret < 0)
			return ret;
		/* The first few of many are of no use: a map is known wholly or not. */
		if (more)
			return 0;
		rep->nextents = (u32)ret;
		rd->len += (size_t)ret * sizeof(struct nexus_extent);
	}
	rep->flags |= NEXUS_ER_EXTENTS_ALL;
	return 0;
}

/*
 * Appends what belongs to rep->attr, behind @rep, which is at the end of what was
 * written so far.  @content: also of regular files.
 */
static int put_rest(struct nexus_rd *rd, struct nexus_entry_reply *rep,
		    bool content)
{
	u32 type = rep->attr.mode & S_IFMT;
	int ret;

	ret = no_xattrs(rd, rep->attr.ino);
	if (ret < 0)
		return ret;
	if (ret)
		rep->flags |= NEXUS_ER_NO_XATTRS;
	if (type == S_IFREG && (content || !rep->attr.blocks)) {
		ret = put_extents(rd, rep);
		if (ret)
			return ret;
	} else if (type != S_IFREG) {
		rep->flags |= NEXUS_ER_EXTENTS_ALL;
	}
	if (type == S_IFLNK ||
	    (content && rep->attr.flags & NEXUS_IF_INLINE))
		return put_content(rd, rep);
	return 0;
}

static int put_entry(struct nexus_rd *rd, u64 ino, u64 pos)
{
	struct nexus_entry_reply *rep = rd->out;
	int ret;

	if (rd->cap < sizeof(*rep))
		return -EINVAL;
	memset(rep, 0, sizeof(*rep));
	ret = nexus_rd_inode(rd, ino, &rep->attr);
	if (ret)
		return ret;
	rep->pos = pos;
	rd->len = sizeof(*rep);
	return put_rest(rd, rep, true);
}

/* 0 if @ino is a directory; -ENOENT, -ENOTDIR. */
static int check_dir(struct nexus_rd *rd, u64 ino, struct nexus_attr *attr)
{
	int ret = nexus_rd_inode(rd, ino, attr);

	if (ret)
		return ret;
	return (attr->mode & S_IFMT) == S_IFDIR ? 0 : -ENOTDIR;
}

static int read_lookup(struct nexus_rd *rd, const struct nexus_request *req,
		       const void *name)
{
	const struct nexus_dirent_val *d = (const void *)rd->val;
	int ret;

	if (!nexus_name_ok(name, req->len))
		return -EINVAL;
	nexus_key_dirent(&rd->key, req->ino, name, req->len);
	ret = nexus_rd_get(rd, NEXUS_KEY_DIRENT, sizeof(*d));
	if (ret == -ENOENT) {
		ret = check_dir(rd, req->ino, &rd->attr);
		return ret ? ret : -ENOENT;
	}
	if (ret < 0)
		return ret;
	ret = put_entry(rd, le64_to_cpu(d->ino), le64_to_cpu(d->pos));
	/* The entry is there: an inode that is not means damage. */
	return ret == -ENOENT ? -EUCLEAN : ret;
}

/* ---- LIST ---------------------------------------------------------- */

/*
 * What follows the name of an entry of LIST.  -ENOBUFS when it does not fit.  Damage
 * of an inode or its content must not hide its neighbours: *@there is false then, and
 * nothing was written.
 */
static int put_list_inode(struct nexus_rd *rd, const struct nexus_list_ent *ent,
			  bool content, bool *there)
{
	size_t at = rd->len;
	struct nexus_entry_reply *rep = (void *)((u8 *)rd->out + at);
	int ret;

	*there = false;
	if (rd->cap - at < sizeof(*rep))
		return -ENOBUFS;
	memset(rep, 0, sizeof(*rep));
	ret = nexus_rd_inode(rd, ent->ino, &rep->attr);
	if (ret == -ENOENT || ret == -EUCLEAN ||
	    (!ret && nexus_mode_dtype(rep->attr.mode) != ent->dtype))
		return 0;
	if (ret)
		return ret;
	rep->pos = ent->pos;
	rd->len += sizeof(*rep);
	ret = put_rest(rd, rep, content);
	if (ret == -EUCLEAN) {
		rd->len = at;
		return 0;
	}
	if (ret)
		return ret;
	while (rd->len % 8) {
		if (rd->len == rd->cap)
			return -ENOBUFS;
		((u8 *)rd->out)[rd->len++] = 0;
	}
	*there = true;
	return 0;
}

/* -ENOBUFS when the next entry does not fit.  @how: NEXUS_LIST_FLAGS. */
static int put_list_entry(struct nexus_rd *rd, u64 pos, u64 how)
{
	const struct nexus_list_val *l = (const void *)rd->val;
	struct nexus_list_ent *ent = (void *)((u8 *)rd->out + rd->len);
	size_t from = rd->len, at;
	bool there = false;
	int ret = 0;

	at = sizeof(*ent) + NEXUS_ALIGN((size_t)l->namelen, (size_t)8);
	if (rd->cap - rd->len < at)
		return -ENOBUFS;
	memset(ent, 0, at);
	ent->ino = le64_to_cpu(l->ino);
	ent->pos = pos;
	ent->dtype = l->dtype;
	ent->namelen = l->namelen;
	memcpy(ent->name, l->name, l->namelen);
	rd->len += at;
	if (!(how & NEXUS_LIST_NAMES))
		ret = put_list_inode(rd, ent, how & NEXUS_LIST_CONTENT, &there);
	if (ret) {
		rd->len = from;
		return ret;
	}
	if (there)
		ent->flags = NEXUS_DE_ENTRY;
	ent->reclen = (u16)(rd->len - from);
	return 0;
}

static int read_list(struct nexus_rd *rd, const struct nexus_request *req)
{
	const struct nexus_list_val *l = (const void *)rd->val;
	struct nexus_list_reply *rep = rd->out;
	u64 end = req->arg1 & ~NEXUS_LIST_FLAGS;
	int ret;

	if (rd->cap < sizeof(*rep))
		return -EINVAL;
	memset(rep, 0, sizeof(*rep));
	rep->next_pos = req->arg0;
	rd->len = sizeof(*rep);
	ret = check_dir(rd, req->ino, &rd->attr);
	if (ret)
		return ret;
	for (;;) {
		u64 pos;

		nexus_key_list(&rd->key, req->ino, rep->next_pos);
		ret = nexus_rd_seek(rd, 9);
		if (ret < 0 && ret != -ENOENT)
			return ret;
		if (ret >= 0 && rd->key.len != 17)
			return -EUCLEAN;
		pos = ret < 0 ? 0 : nexus_get_be64(rd->key.b + 9);
		if (ret < 0 || (end && pos >= end)) {
			rep->flags |= NEXUS_LR_END;
			return 0;
		}
		if ((size_t)ret > sizeof(rd->val) || pos > NEXUS_POS_MAX ||
		    nexus_val_check(rd->val, (size_t)ret, NEXUS_KEY_LIST,
				    sizeof(*l)) ||
		    (size_t)ret < sizeof(*l) + l->namelen ||
		    !nexus_name_ok(l->name, l->namelen))
			return -EUCLEAN;
		ret = put_list_entry(rd, pos, req->arg1 & NEXUS_LIST_FLAGS);
		if (ret == -ENOBUFS)
			return rep->count ? 0 : -EINVAL;
		if (ret)
			return ret;
		rep->count++;
		rep->next_pos = pos + 1;
	}
}

/* ---- GETNAME, STATFS and QUOTA ------------------------------------- */

static int put_name(struct nexus_rd *rd, u64 parent, u64 pos, const void *name,
		    size_t len)
{
	struct nexus_name_reply *rep = rd->out;

	if (rd->cap < sizeof(*rep) + len)
		return -EINVAL;
	memset(rep, 0, sizeof(*rep));
	rep->parent = parent;
	rep->pos = pos;
	rep->namelen = (u32)len;
	memcpy(rep->name, name, len);
	rd->len = sizeof(*rep) + len;
	return 0;
}

/* The root names no entry: its reply has an empty name. */
static int read_getname(struct nexus_rd *rd, const struct nexus_request *req)
{
	const struct nexus_list_val *l = (const void *)rd->val;
	const struct nexus_name_val *u = (const void *)rd->val;
	int ret;

	ret = nexus_rd_inode(rd, req->ino, &rd->attr);
	if (ret)
		return ret;
	if (req->ino == NEXUS_ROOT_INO)
		return put_name(rd, NEXUS_ROOT_INO, 0, "", 0);
	if (!rd->attr.nlink)
		return -ENOENT;
	if (rd->attr.parent) {
		if (req->arg0 && req->arg0 != rd->attr.parent)
			return -ENOENT;
		nexus_key_list(&rd->key, rd->attr.parent, rd->attr.pos);
		ret = nexus_rd_get(rd, NEXUS_KEY_LIST, sizeof(*l));
		if (ret < 0)
			return ret == -ENOENT ? -EUCLEAN : ret;
		if ((size_t)ret < sizeof(*l) + l->namelen ||
		    !nexus_name_ok(l->name, l->namelen))
			return -EUCLEAN;
		return put_name(rd, rd->attr.parent, rd->attr.pos, l->name,
				l->namelen);
	}
	nexus_key_name(&rd->key, req->ino, req->arg0, NULL, 0);
	ret = nexus_rd_seek(rd, req->arg0 ? 17 : 9);
	if (ret < 0)
		return ret == -ENOENT && !req->arg0 ? -EUCLEAN : ret;
	if ((size_t)ret > sizeof(rd->val) || rd->key.len < 17 ||
	    nexus_val_check(rd->val, (size_t)ret, NEXUS_KEY_NAME, sizeof(*u)) ||
	    !nexus_name_ok(rd->key.b + 17, rd->key.len - 17))
		return -EUCLEAN;
	return put_name(rd, nexus_get_be64(rd->key.b + 9), le64_to_cpu(u->pos),
			rd->key.b + 17, rd->key.len - 17);
}

static int read_statfs(struct nexus_rd *rd)
{
	const struct nexus_quota_val *q = (const void *)rd->val;
	struct nexus_statfs_reply *rep = rd->out;
	int ret;

	if (rd->cap < sizeof(*rep))
		return -EINVAL;
	nexus_key_quota(&rd->key, NEXUS_QUOTA_ZONE, 0);
	ret = nexus_rd_get(rd, NEXUS_KEY_QUOTA, sizeof(*q));
	if (ret < 0)
		return ret == -ENOENT ? -EUCLEAN : ret;
	rep->inodes = le64_to_cpu(q->inodes);
	rep->blocks = le64_to_cpu(q->blocks);
	rd->len = sizeof(*rep);
	return 0;
}

static u64 grace(__le64 said)
{
	return said ? le64_to_cpu(said) : NEXUS_QUOTA_GRACE_TIME;
}

static int put_grace(struct nexus_rd *rd, u8 kind, struct nexus_quota_reply *rep)
{
	const struct nexus_quota_val *q = (const void *)rd->val;
	int ret;

	nexus_key_quota(&rd->key, NEXUS_QUOTA_GRACE + kind, 0);
	ret = nexus_rd_get(rd, NEXUS_KEY_QUOTA, sizeof(*q));
	if (ret < 0 && ret != -ENOENT)
		return ret;
	rep->inodes_grace = grace(ret < 0 ? 0 : q->inodes_soft);
	rep->blocks_grace = grace(ret < 0 ? 0 : q->blocks_soft);
	return 0;
}

/* Into rd->val; rd->key says of which id.  0, or -ENOENT: there is none. */
static int find_quota(struct nexus_rd *rd, u8 kind, u64 id, bool next)
{
	int ret;

	nexus_key_quota(&rd->key, kind, id);
	if (!next) {
		ret = nexus_rd_get(rd, NEXUS_KEY_QUOTA, sizeof(struct nexus_quota_val));
		return ret < 0 ? ret : 0;
	}
	ret = nexus_rd_seek(rd, 2);
	if (ret < 0)
		return ret;
	if ((size_t)ret > sizeof(rd->val) || rd->key.len != 10 ||
	    nexus_val_check(rd->val, (size_t)ret, NEXUS_KEY_QUOTA,
			    sizeof(struct nexus_quota_val)))
		return -EUCLEAN;
	return 0;
}

static int read_quota(struct nexus_rd *rd, const struct nexus_request *req)
{
	const struct nexus_quota_val *q = (const void *)rd->val;
	bool next = req->arg0 & NEXUS_QUOTA_NEXT;
	u64 kind = req->arg0 & ~(u64)NEXUS_QUOTA_NEXT;
	struct nexus_quota_reply *rep = rd->out;
	int ret;

	if (kind >= NEXUS_QUOTA_LIMITED || rd->cap < sizeof(*rep))
		return -EINVAL;
	memset(rep, 0, sizeof(*rep));
	rep->id = req->arg1;
	ret = find_quota(rd, (u8)kind, req->arg1, next);
	if (ret < 0 && (next || ret != -ENOENT))
		return ret;
	if (!ret) {
		rep->id = nexus_get_be64(rd->key.b + 2);
		rep->inodes = le64_to_cpu(q->inodes);
		rep->blocks = le64_to_cpu(q->blocks);
		rep->inodes_hard = le64_to_cpu(q->inodes_hard);
		rep->inodes_soft = le64_to_cpu(q->inodes_soft);
		rep->blocks_hard = le64_to_cpu(q->blocks_hard);
		rep->blocks_soft = le64_to_cpu(q->blocks_soft);
		rep->inodes_time = le64_to_cpu(q->inodes_time);
		rep->blocks_time = le64_to_cpu(q->blocks_time);
	}
	rd->len = sizeof(*rep);
	return put_grace(rd, (u8)kind, rep);
}

static int read_op(struct nexus_rd *rd, const struct nexus_request *req,
		   const void *data)
{
	switch (req->op) {
	case NEXUS_OP_LOOKUP:
		return read_lookup(rd, req, data);
	case NEXUS_OP_GETATTR:
		return put_entry(rd, req->ino, 0);
	case NEXUS_OP_LIST:
		return read_list(rd, req);
	case NEXUS_OP_EXTENTS:
		return nexus_rd_op_extents(rd, req);
	case NEXUS_OP_READLINK:
	case NEXUS_OP_INLINE:
		return nexus_rd_op_content(rd, req);
	case NEXUS_OP_GETXATTR:
		return nexus_rd_op_getxattr(rd, req, data);
	case NEXUS_OP_LISTXATTR:
		return nexus_rd_op_listxattr(rd, req);
	case NEXUS_OP_STATFS:
		return read_statfs(rd);
	case NEXUS_OP_GETNAME:
		return read_getname(rd, req);
	case NEXUS_OP_SETTINGS:
		return nexus_rd_op_settings(rd, req);
	case NEXUS_OP_LEASES:
		return nexus_rd_op_leases(rd, req);
	case NEXUS_OP_QUOTA:
		return read_quota(rd, req);
	}
	return -EOPNOTSUPP;
}

int nexus_read(struct nexus_kv *kv, const struct nexus_request *req,
	       const void *data, void *out, size_t cap)
{
	struct nexus_rd *rd = nexus_alloc(sizeof(*rd));
	int ret;

	if (!rd)
		return -ENOMEM;
	rd->kv = kv;
	rd->out = out;
	rd->cap = cap;
	if (req->reply_max)
		rd->cap = NEXUS_MIN(cap, (size_t)req->reply_max);
	rd->len = 0;
	rd->bare_from = 0;
	rd->bare_to = 0;
	ret = read_op(rd, req, data);
	if (!ret)
		ret = (int)rd->len;
	nexus_free(rd);
	return ret;
}
