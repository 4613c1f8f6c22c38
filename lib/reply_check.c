// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Validation of the helper's replies: the helper may be wrong in any way.
 *
 * The bytes checked are a private copy.  What only the caller knows (that a live
 * inode keeps its type, how large a pack really is, which ids map into the user
 * namespace) it checks itself.
 */
#include "key.h"
#include "lease.h"
#include "read.h"
#include "record.h"

#define NSEC_PER_S	1000000000u
#define NO_ID		0xffffffffu
#define LINK_MAX_SANE	0x7fffffffu

#define BAD(text)	do { *field = (text); return -EIO; } while (0)

static int check_attr(const struct nexus_attr *a, const char **field)
{
	u32 fmt = a->mode & S_IFMT;

	if (!a->ino)
		BAD("ino");
	if (!nexus_mode_ok(a->mode))
		BAD("mode");
	if (a->flags & ~NEXUS_IF_KNOWN)
		BAD("flags");
	if ((a->flags & NEXUS_IF_INLINE) && fmt != S_IFREG)
		BAD("inline flag");
	if ((a->flags & NEXUS_IF_RING) && fmt != S_IFIFO)
		BAD("ring flag");
	if ((a->flags & NEXUS_IF_STREAM) && fmt != S_IFREG)
		BAD("stream flag");
	if (a->uid == NO_ID || a->gid == NO_ID || a->projid == NO_ID)
		BAD("owner");
	if (a->nlink > LINK_MAX_SANE || (fmt == S_IFDIR && a->nlink == 1))
		BAD("nlink");
	if (a->size > NEXUS_SIZE_MAX || a->disk_size > a->size)
		BAD("size");
	if (fmt == S_IFLNK && (!a->size || a->size > NEXUS_SYMLINK_MAX))
		BAD("symlink size");
	if (a->blocks > NEXUS_SIZE_MAX >> 9)
		BAD("blocks");
	if (fmt != S_IFREG && a->blocks)
		BAD("blocks");
	if (a->unwritten > a->blocks)
		BAD("unwritten");
	if (a->atime_ns >= NSEC_PER_S || a->mtime_ns >= NSEC_PER_S ||
	    a->ctime_ns >= NSEC_PER_S || a->btime_ns >= NSEC_PER_S)
		BAD("time");
	if (a->pos > NEXUS_POS_MAX || !a->data_id || a->reserved0)
		BAD("attr");
	if (fmt != S_IFDIR)
		return 0;
	if (a->next_pos < NEXUS_FIRST_POS || a->next_pos > NEXUS_POS_MAX)
		BAD("next_pos");
	/* Every subdirectory is an entry; a removed directory has none. */
	if (a->nlink ? a->nlink - 2 > a->children : a->children)
		BAD("children");
	if (a->nlink && (!a->parent ||
			 (a->parent == a->ino && a->ino != NEXUS_ROOT_INO)))
		BAD("parent");
	return 0;
}

/* Sorted, apart, in the file and in the data area of a pack. */
static int check_extents(const u8 *p, u32 count, u64 from, u64 *end,
			 const char **field)
{
	*end = from;
	for (; count; count--, p += sizeof(struct nexus_extent)) {
		struct nexus_extent e;

		memcpy(&e, p, sizeof(e));
		if ((e.offset & (NEXUS_BLOCK_SIZE - 1)) ||
		    e.offset > NEXUS_SIZE_MAX || e.offset < *end)
			BAD("extent offset");
		if (!e.nblocks ||
		    (u64)e.block + e.nblocks > NEXUS_PACK_BLOCKS_MAX)
			BAD("extent blocks");
		/* What is unwritten is in no pack. */
		if ((e.flags & NEXUS_EF_UNWRITTEN) ? e.pack || e.block :
						     !e.pack || !e.block)
			BAD("extent place");
		if (e.reserved ||
		    (e.flags & ~(NEXUS_EF_SHARED | NEXUS_EF_UNWRITTEN |
				 NEXUS_EF_NOCRC)))
			BAD("extent");
		*end = e.offset + ((u64)e.nblocks << NEXUS_BLOCK_SHIFT);
	}
	return 0;
}

/*
 * @p: an entry of @len bytes, aligned to 8.  @dir: the directory its name is in;
 * 0: it was asked for by the number @ino.
 */
static int check_entry(u64 dir, u64 ino, const u8 *p, size_t len,
		       const char **field)
{
	const struct nexus_entry_reply *r = (const void *)p;
	const struct nexus_attr *a = &r->attr;
	bool has_content;
	u64 end, want;
	int ret;

	if (len < sizeof(*r))
		BAD("length");
	if (r->nextents > NEXUS_ENTRY_EXTENTS)
		BAD("nextents");
	want = sizeof(*r) + (u64)r->nextents * sizeof(struct nexus_extent) +
	       r->content_len;
	if (len != want || r->reserved)
		BAD("length");
	if (r->flags & ~(NEXUS_ER_EXTENTS_ALL | NEXUS_ER_NO_XATTRS |
			 NEXUS_ER_CONTENT))
		BAD("reply flags");
	ret = check_attr(a, field);
	if (ret)
		return ret;
	if (!dir) {
		if (a->ino != ino || r->pos)
			BAD("ino");
	} else {
		if (a->ino == dir || a->ino == NEXUS_ROOT_INO)
			BAD("ino");
		if (r->pos < NEXUS_FIRST_POS || r->pos >= NEXUS_POS_MAX)
			BAD("pos");
		if (!a->nlink)
			BAD("nlink");
		if (S_ISDIR(a->mode) && a->parent != dir)
			BAD("parent");
	}

	if (r->nextents && (!S_ISREG(a->mode) || !a->blocks))
		BAD("nextents");
	ret = check_extents(p + sizeof(*r), r->nextents, 0, &end, field);
	if (ret)
		return ret;

	has_content = S_ISLNK(a->mode) || (a->flags & NEXUS_IF_INLINE);
	if (!(r->flags & NEXUS_ER_CONTENT)) {
		if (r->content_len)
			BAD("content_len");
		return 0;
	}
	if (!has_content || !r->content_len || r->content_len > a->size)
		BAD("content_len");
	if (!S_ISLNK(a->mode))
		return r->content_len <= NEXUS_INLINE_MAX ? 0 :
		       (*field = "content_len", -EIO);
	if (r->content_len != a->size ||
	    memchr(p + len - r->content_len, 0, r->content_len))
		BAD("symlink");
	return 0;
}

/* The entry reply in an entry of LIST; @len: to the end of that one. */
static int check_listed(const struct nexus_request *req,
			const struct nexus_list_ent *e, const u8 *p, size_t len,
			const char **field)
{
	const struct nexus_entry_reply *r = (const void *)p;
	u64 want;
	int ret;

	if (len < sizeof(*r))
		BAD("reclen");
	want = sizeof(*r) + (u64)r->nextents * sizeof(struct nexus_extent) +
	       r->content_len;
	if (len != NEXUS_ALIGN(want, (u64)8))
		BAD("reclen");
	ret = check_entry(req->ino, 0, p, (size_t)want, field);
	if (ret)
		return ret;
	if (r->attr.ino != e->ino)
		BAD("ino");
	if (r->pos != e->pos)
		BAD("pos");
	if (nexus_mode_dtype(r->attr.mode) != e->dtype)
		BAD("dtype");
	return 0;
}

static int check_list_entry(const struct nexus_request *req, const u8 *p,
			    size_t left, u64 from, const char **field)
{
	const struct nexus_list_ent *e = (const void *)p;
	u64 end = req->arg1 & ~NEXUS_LIST_FLAGS;
	size_t at;

	if (left < sizeof(*e) || e->reclen > left || e->reclen % 8)
		BAD("reclen");
	at = sizeof(*e) + NEXUS_ALIGN((size_t)e->namelen, (size_t)8);
	if (e->flags & ~NEXUS_DE_ENTRY ||
	    (e->flags && req->arg1 & NEXUS_LIST_NAMES))
		BAD("entry flags");
	if (e->flags & NEXUS_DE_ENTRY ? e->reclen < at : e->reclen != at)
		BAD("reclen");
	if (!nexus_name_ok(e->name, e->namelen))
		BAD("name");
	if (e->pos < from || e->pos >= NEXUS_POS_MAX ||
	    (end && e->pos >= end))
		BAD("pos");
	if (!e->ino || e->ino == req->ino || e->ino == NEXUS_ROOT_INO)
		BAD("ino");
	if (!nexus_mode_ok((u32)e->dtype << 12))
		BAD("dtype");
	if (!(e->flags & NEXUS_DE_ENTRY))
		return 0;
	return check_listed(req, e, p + at, e->reclen - at, field);
}

static int check_list(const struct nexus_request *req, const u8 *p, size_t len,
		      const char **field)
{
	const struct nexus_list_reply *r = (const void *)p;
	u64 from = NEXUS_MAX(req->arg0, (u64)NEXUS_FIRST_POS);
	size_t at = sizeof(*r);
	u32 i;
	int ret;

	if (len < sizeof(*r))
		BAD("length");
	if (r->flags & ~NEXUS_LR_END)
		BAD("reply flags");
	/* The length bounds the count: every entry has a name. */
	for (i = 0; i < r->count; i++) {
		ret = check_list_entry(req, p + at, len - at, from, field);
		if (ret)
			return ret;
		from = ((const struct nexus_list_ent *)(p + at))->pos + 1;
		at += ((const struct nexus_list_ent *)(p + at))->reclen;
	}
	if (at != len)
		BAD("length");
	if (!r->count && !(r->flags & NEXUS_LR_END))
		BAD("count");
	if (r->count ? r->next_pos < from : r->next_pos < req->arg0)
		BAD("next_pos");
	if (r->next_pos > NEXUS_POS_MAX && r->next_pos != req->arg0)
		BAD("next_pos");
	return 0;
}

static int check_extents_reply(const struct nexus_request *req, const u8 *p,
			       size_t len, const char **field)
{
	const struct nexus_extents_reply *r = (const void *)p;
	u64 end, from = req->arg1 & ~(u64)(NEXUS_BLOCK_SIZE - 1);
	int ret;

	if (len < sizeof(*r) ||
	    len != sizeof(*r) + (u64)r->count * sizeof(struct nexus_extent))
		BAD("length");
	if (r->flags & ~NEXUS_XR_END)
		BAD("reply flags");
	ret = check_extents(p + sizeof(*r), r->count, from, &end, field);
	if (ret)
		return ret;
	if (!r->count && !(r->flags & NEXUS_XR_END))
		BAD("count");
	if (r->next_offset < end || (r->next_offset & (NEXUS_BLOCK_SIZE - 1)))
		BAD("next_offset");
	return 0;
}

static int check_xattr_names(const u8 *p, size_t len, const char **field)
{
	while (len) {
		const u8 *nul = memchr(p, 0, len);
		size_t n;

		if (!nul)
			BAD("xattr name");
		n = (size_t)(nul - p);
		if (!n || n > NEXUS_XATTR_NAME_MAX)
			BAD("xattr name");
		p += n + 1;
		len -= n + 1;
	}
	return 0;
}

static int check_xattr(const struct nexus_request *req, const u8 *p, size_t len,
		       const char **field)
{
	const struct nexus_xattr_reply *r = (const void *)p;
	u64 n;

	if (len < sizeof(*r) || r->reserved)
		BAD("length");
	n = len - sizeof(*r);
	if (r->total > NEXUS_XATTR_VALUE_MAX)
		BAD("total");
	/* No more than the rest of the value, and something unless at its end. */
	if (req->arg0 >= r->total ? n : !n || n > r->total - req->arg0)
		BAD("length");
	return 0;
}

static int check_name(const struct nexus_request *req, const u8 *p, size_t len,
		      const char **field)
{
	const struct nexus_name_reply *r = (const void *)p;

	if (len < sizeof(*r) || r->reserved || len - sizeof(*r) != r->namelen)
		BAD("length");
	if (req->ino == NEXUS_ROOT_INO) {
		if (r->parent != NEXUS_ROOT_INO || r->pos || r->namelen)
			BAD("name");
		return 0;
	}
	if (!r->parent || r->parent == req->ino ||
	    (req->arg0 && r->parent != req->arg0))
		BAD("parent");
	if (r->pos < NEXUS_FIRST_POS || r->pos >= NEXUS_POS_MAX)
		BAD("pos");
	if (!nexus_name_ok(r->name, r->namelen))
		BAD("name");
	return 0;
}

static int check_settings(const u8 *p, size_t len, const char **field)
{
	while (len) {
		const struct nexus_setting_ent *e = (const void *)p;
		size_t used;

		if (len < sizeof(*e) || e->reclen > len)
			BAD("reclen");
		used = sizeof(*e) + e->pathlen + e->vallen;
		if (e->reclen != NEXUS_ALIGN(used, (size_t)8))
			BAD("reclen");
		if (!e->pathlen || e->pathlen > NEXUS_SETTING_PATH_MAX ||
		    memchr(e->data, 0, e->pathlen))
			BAD("path");
		p += e->reclen;
		len -= e->reclen;
	}
	return 0;
}

static int check_quota(const struct nexus_request *req, const u8 *p, size_t len,
		       const char **field)
{
	const struct nexus_quota_reply *r = (const void *)p;

	if (len != sizeof(*r))
		BAD("length");
	if (req->arg0 & NEXUS_QUOTA_NEXT ?
	    r->id < req->arg1 || r->id >= U32_MAX : r->id != req->arg1)
		BAD("id");
	if (r->inodes > NEXUS_SIZE_MAX || r->blocks > NEXUS_SIZE_MAX >> NEXUS_BLOCK_SHIFT)
		BAD("usage");
	if (r->inodes_time > NEXUS_SIZE_MAX || r->blocks_time > NEXUS_SIZE_MAX ||
	    r->inodes_grace > S32_MAX || r->blocks_grace > S32_MAX)
		BAD("time");
	return 0;
}

static int check_leases(const struct nexus_request *req, const u8 *p, size_t len,
			const char **field)
{
	u64 from = req->ino;

	while (len) {
		const struct nexus_lease_ent *e = (const void *)p;

		if (len < sizeof(*e) || e->reclen > len || e->reclen < sizeof(*e) ||
		    e->reclen % 8 || e->reserved)
			BAD("reclen");
		if (!e->ino || e->ino < from || e->ino > NEXUS_POS_MAX)
			BAD("ino");
		if (!nexus_lease_val_ok((const void *)e->val, e->reclen - sizeof(*e)))
			BAD("lease");
		from = e->ino + 1;
		p += e->reclen;
		len -= e->reclen;
	}
	return 0;
}

bool nexus_reason_ok(const void *text, size_t len)
{
	const u8 *p = text;
	size_t i;

	if (len < 2 || len > NEXUS_REASON_LEN || p[len - 1])
		return false;
	for (i = 0; i < len - 1; i++)
		if (p[i] < ' ' || p[i] > '~')
			return false;
	return true;
}

int nexus_reply_check(const struct nexus_request *req, const void *data,
		      size_t len, const char **field)
{
	const char *ignored;
	const u8 *p = data;

	if (!field)
		field = &ignored;
	*field = NULL;
	if ((req->reply_max && len > req->reply_max) ||
	    len > NEXUS_REPLY_DATA_MAX)
		BAD("length");
	switch (req->op) {
	case NEXUS_OP_OPEN_ZONE:
	case NEXUS_OP_OPEN_PACK:
	case NEXUS_OP_ENSURE:
	case NEXUS_OP_ORIGIN:
		if (len)
			BAD("length");
		return 0;
	case NEXUS_OP_LOOKUP:
		return check_entry(req->ino, 0, p, len, field);
	case NEXUS_OP_GETATTR:
		return check_entry(0, req->ino, p, len, field);
	case NEXUS_OP_LIST:
		return check_list(req, p, len, field);
	case NEXUS_OP_EXTENTS:
		return check_extents_reply(req, p, len, field);
	case NEXUS_OP_READLINK:
		if (!len || len > NEXUS_SYMLINK_MAX || memchr(p, 0, len))
			BAD("symlink");
		return 0;
	case NEXUS_OP_INLINE:
		if (!len || len > NEXUS_INLINE_MAX)
			BAD("length");
		return 0;
	case NEXUS_OP_GETXATTR:
		return check_xattr(req, p, len, field);
	case NEXUS_OP_LISTXATTR:
		return check_xattr_names(p, len, field);
	case NEXUS_OP_STATFS:
		if (len != sizeof(struct nexus_statfs_reply))
			BAD("length");
		return 0;
	case NEXUS_OP_GETNAME:
		return check_name(req, p, len, field);
	case NEXUS_OP_SETTINGS:
		return check_settings(p, len, field);
	case NEXUS_OP_QUOTA:
		return check_quota(req, p, len, field);
	case NEXUS_OP_LEASES:
		return check_leases(req, p, len, field);
	}
	BAD("op");
}
