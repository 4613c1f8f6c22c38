// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Validation of replies.  The helper may be buggy or hostile: after this check
 * no length, count, name, mode or extent of a reply can hurt whoever uses it.
 * What only the caller can know (a live inode that changes its type, a pack that
 * does not exist) is the caller's to refuse.
 */
#include "key.h"
#include "read.h"

#define UID_NONE	0xffffffffu
#define NSEC_PER_S	1000000000u

#define REFUSE(text) do { *field = (text); return -EIO; } while (0)

static int check_attr(const struct nexus_attr *a, const char **field)
{
	if (!a->ino || a->ino > NEXUS_SIZE_MAX)
		REFUSE("attr.ino");
	if (!nexus_mode_ok(a->mode))
		REFUSE("attr.mode");
	if (a->uid == UID_NONE)
		REFUSE("attr.uid");
	if (a->gid == UID_NONE)
		REFUSE("attr.gid");
	if (a->nlink > 0x7fffffffu || (S_ISDIR(a->mode) && a->nlink == 1))
		REFUSE("attr.nlink");
	if (a->projid == UID_NONE)
		REFUSE("attr.projid");
	if (a->size > NEXUS_SIZE_MAX)
		REFUSE("attr.size");
	if (S_ISLNK(a->mode) && (!a->size || a->size > NEXUS_SYMLINK_MAX))
		REFUSE("attr.size");
	if (a->disk_size > NEXUS_SIZE_MAX)
		REFUSE("attr.disk_size");
	if (a->blocks > NEXUS_SIZE_MAX >> NEXUS_BLOCK_SHIFT)
		REFUSE("attr.blocks");
	if (a->atime_ns >= NSEC_PER_S || a->mtime_ns >= NSEC_PER_S ||
	    a->ctime_ns >= NSEC_PER_S || a->btime_ns >= NSEC_PER_S)
		REFUSE("attr.*time_ns");
	if (a->pos > NEXUS_POS_MAX)
		REFUSE("attr.pos");
	if (S_ISDIR(a->mode) && (a->next_pos < NEXUS_FIRST_POS ||
				 a->next_pos > NEXUS_POS_MAX))
		REFUSE("attr.next_pos");
	if (a->children > NEXUS_POS_MAX)
		REFUSE("attr.children");
	if (!a->data_id)
		REFUSE("attr.data_id");
	if ((a->flags & NEXUS_IF_INLINE) && !S_ISREG(a->mode))
		REFUSE("attr.flags");
	if ((a->flags & (NEXUS_IF_RING | NEXUS_IF_STREAM)) &&
	    !S_ISFIFO(a->mode))
		REFUSE("attr.flags");
	return 0;
}

/* @floor: no extent may begin below it (bytes). */
static int check_extents(const struct nexus_extent *e, u32 n, u64 floor,
			 const char **field)
{
	u32 i;

	for (i = 0; i < n; i++, e++) {
		if (e->offset & (NEXUS_BLOCK_SIZE - 1) ||
		    e->offset > NEXUS_SIZE_MAX)
			REFUSE("extent.offset");
		if (e->offset < floor)
			REFUSE("extent.offset (order)");
		if (!e->pack)
			REFUSE("extent.pack");
		if (!e->nblocks || e->nblocks > NEXUS_PACK_BLOCKS_MAX)
			REFUSE("extent.nblocks");
		if (!e->block || e->block >= NEXUS_PACK_BLOCKS_MAX ||
		    e->block + e->nblocks > NEXUS_PACK_BLOCKS_MAX)
			REFUSE("extent.block");
		floor = e->offset + ((u64)e->nblocks << NEXUS_BLOCK_SHIFT);
		if (floor > NEXUS_SIZE_MAX + 1)
			REFUSE("extent.offset + nblocks");
	}
	return 0;
}

static int check_entry(const struct nexus_request *req, const u8 *p, size_t len,
		       const char **field)
{
	const struct nexus_entry_reply *r = (const void *)p;
	const struct nexus_extent *ext = (const void *)(r + 1);
	size_t rest;
	int err;

	if (len < sizeof(*r))
		REFUSE("len");
	err = check_attr(&r->attr, field);
	if (err)
		return err;
	if (req->op == NEXUS_OP_GETATTR && r->attr.ino != req->ino)
		REFUSE("attr.ino");
	if (req->op == NEXUS_OP_LOOKUP &&
	    (r->pos < NEXUS_FIRST_POS || r->pos > NEXUS_POS_MAX))
		REFUSE("pos");
	/* A directory is not its own child. */
	if (req->op == NEXUS_OP_LOOKUP && r->attr.ino == req->ino)
		REFUSE("attr.ino");
	rest = len - sizeof(*r);
	if (r->nextents > NEXUS_ENTRY_EXTENTS ||
	    r->nextents * sizeof(*ext) > rest)
		REFUSE("nextents");
	rest -= r->nextents * sizeof(*ext);
	if (r->content_len != rest)
		REFUSE("content_len");
	if (r->nextents && (!S_ISREG(r->attr.mode) ||
			    (r->attr.flags & NEXUS_IF_INLINE)))
		REFUSE("nextents");
	if (r->flags & NEXUS_ER_CONTENT) {
		if (!S_ISLNK(r->attr.mode) && !(r->attr.flags & NEXUS_IF_INLINE))
			REFUSE("flags");
		if (r->content_len != r->attr.size)
			REFUSE("content_len");
		if (S_ISLNK(r->attr.mode) && memchr(ext, 0, r->content_len))
			REFUSE("content");
	} else if (r->content_len) {
		REFUSE("content_len");
	}
	return check_extents(ext, r->nextents, 0, field);
}

static int check_list(const struct nexus_request *req, const u8 *p, size_t len,
		      const char **field)
{
	const struct nexus_list_reply *r = (const void *)p;
	size_t off = sizeof(*r), pad, need;
	u64 floor = req->arg0;
	u32 i;
	int err;

	if (len < sizeof(*r))
		REFUSE("len");
	if (floor < NEXUS_FIRST_POS)
		floor = NEXUS_FIRST_POS;
	for (i = 0; i < r->count; i++) {
		const struct nexus_list_ent *e = (const void *)(p + off);
		const struct nexus_attr *a;

		if (len - off < sizeof(*e))
			REFUSE("count");
		pad = NEXUS_ALIGN((size_t)e->namelen, 8);
		need = sizeof(*e) + pad;
		if (e->flags & NEXUS_DE_ATTR)
			need += sizeof(*a);
		if (e->reclen != need || need > len - off)
			REFUSE("entry.reclen");
		if (!nexus_name_ok(e->name, e->namelen))
			REFUSE("entry.name");
		if (!e->ino || e->ino > NEXUS_SIZE_MAX || e->ino == req->ino)
			REFUSE("entry.ino");
		if (e->pos < floor || e->pos > NEXUS_POS_MAX ||
		    (req->arg1 && e->pos >= req->arg1))
			REFUSE("entry.pos");
		floor = e->pos + 1;
		if (e->flags & NEXUS_DE_ATTR) {
			a = (const void *)(e->name + pad);
			err = check_attr(a, field);
			if (err)
				return err;
			if (a->ino != e->ino)
				REFUSE("entry.attr.ino");
			if (nexus_mode_dtype(a->mode) != e->dtype)
				REFUSE("entry.dtype");
		}
		off += need;
	}
	if (off != len)
		REFUSE("len");
	if (r->flags & NEXUS_LR_END)
		return 0;
	/* Not the end: progress must be made, or a listing never ends. */
	if (!r->count || r->next_pos < floor)
		REFUSE("next_pos");
	return 0;
}

static int check_extents_reply(const struct nexus_request *req, const u8 *p,
			       size_t len, const char **field)
{
	const struct nexus_extents_reply *r = (const void *)p;
	u64 end = req->arg1;
	int err;

	if (len < sizeof(*r))
		REFUSE("len");
	if (r->count > (len - sizeof(*r)) / sizeof(r->extent[0]) ||
	    len != sizeof(*r) + r->count * sizeof(r->extent[0]))
		REFUSE("count");
	err = check_extents(r->extent, r->count, req->arg1, field);
	if (err)
		return err;
	if (r->flags & NEXUS_XR_END)
		return 0;
	if (!r->count)
		REFUSE("count");
	end = r->extent[r->count - 1].offset +
	      ((u64)r->extent[r->count - 1].nblocks << NEXUS_BLOCK_SHIFT);
	if (r->next_offset < end)
		REFUSE("next_offset");
	return 0;
}

static int check_names(const u8 *p, size_t len, const char **field)
{
	size_t n;

	if (len && p[len - 1])
		REFUSE("names");
	while (len) {
		n = strlen((const char *)p);
		if (!n || n > NEXUS_XATTR_NAME_MAX)
			REFUSE("names");
		p += n + 1;
		len -= n + 1;
	}
	return 0;
}

static int check_name(const u8 *p, size_t len, const char **field)
{
	const struct nexus_name_reply *r = (const void *)p;

	if (len < sizeof(*r))
		REFUSE("len");
	if (!r->parent)
		REFUSE("parent");
	if (r->pos < NEXUS_FIRST_POS || r->pos > NEXUS_POS_MAX)
		REFUSE("pos");
	if (len - sizeof(*r) != r->namelen ||
	    !nexus_name_ok(r->name, r->namelen))
		REFUSE("name");
	return 0;
}

static int check_settings(const u8 *p, size_t len, const char **field)
{
	while (len) {
		const struct nexus_setting_ent *e = (const void *)p;

		if (len < sizeof(*e) || e->reclen > len || e->reclen & 7 ||
		    e->reclen < sizeof(*e) + e->pathlen + e->vallen)
			REFUSE("setting.reclen");
		if (!e->pathlen || e->pathlen > NEXUS_SYMLINK_MAX ||
		    memchr(e->data, 0, e->pathlen))
			REFUSE("setting.path");
		p += e->reclen;
		len -= e->reclen;
	}
	return 0;
}

int nexus_reply_check(const struct nexus_request *req, const void *data,
		      size_t len, const char **field)
{
	const struct nexus_xattr_reply *x = data;

	*field = NULL;
	switch (req->op) {
	case NEXUS_OP_LOOKUP:
	case NEXUS_OP_GETATTR:
		return check_entry(req, data, len, field);
	case NEXUS_OP_LIST:
		return check_list(req, data, len, field);
	case NEXUS_OP_EXTENTS:
		return check_extents_reply(req, data, len, field);
	case NEXUS_OP_READLINK:
		if (!len || len > NEXUS_SYMLINK_MAX || memchr(data, 0, len))
			REFUSE("target");
		return 0;
	case NEXUS_OP_INLINE:
		if (len > NEXUS_INLINE_MAX)
			REFUSE("len");
		return 0;
	case NEXUS_OP_GETXATTR:
		if (len < sizeof(*x))
			REFUSE("len");
		if (x->total > NEXUS_XATTR_VALUE_MAX || req->arg0 > x->total ||
		    len - sizeof(*x) > x->total - req->arg0)
			REFUSE("total");
		/* All of it, or a full reply: else reading it never ends. */
		if (len - sizeof(*x) < x->total - req->arg0 &&
		    len - sizeof(*x) == 0)
			REFUSE("len");
		return 0;
	case NEXUS_OP_LISTXATTR:
		return check_names(data, len, field);
	case NEXUS_OP_STATFS:
		if (len != sizeof(struct nexus_statfs_reply))
			REFUSE("len");
		return 0;
	case NEXUS_OP_GETNAME:
		return check_name(data, len, field);
	case NEXUS_OP_SETTINGS:
		return check_settings(data, len, field);
	case NEXUS_OP_OPEN_ZONE:
	case NEXUS_OP_OPEN_PACK:
		if (len)
			REFUSE("len");
		return 0;
	default:
		REFUSE("op");
	}
}
