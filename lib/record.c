// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Building log records and batches; lib/record_check.c checks them. */
#include "record.h"

#define PAD8(n)	NEXUS_ALIGN((size_t)(n), 8)

size_t nexus_rec_create_len(size_t namelen, size_t contentlen, size_t xattrlen)
{
	return sizeof(struct nexus_rec_create) + PAD8(namelen) +
	       PAD8(contentlen) + xattrlen;
}

size_t nexus_rec_name_len(size_t namelen)
{
	return sizeof(struct nexus_rec_link) + PAD8(namelen);
}

size_t nexus_rec_rename_len(size_t snamelen, size_t dnamelen)
{
	return sizeof(struct nexus_rec_rename) + PAD8(snamelen + dnamelen);
}

size_t nexus_rec_extent_len(u32 nblocks)
{
	return sizeof(struct nexus_rec_extent) + PAD8((size_t)nblocks * 4);
}

size_t nexus_rec_move_len(u32 nblocks)
{
	return sizeof(struct nexus_rec_move) + PAD8((size_t)nblocks * 4);
}

size_t nexus_rec_inline_len(u32 len)
{
	return sizeof(struct nexus_rec_inline) + PAD8(len);
}

size_t nexus_rec_setxattr_len(size_t namelen, size_t vallen)
{
	return sizeof(struct nexus_rec_setxattr) + PAD8(namelen + vallen);
}

size_t nexus_rec_xattr_len(size_t namelen, size_t vallen)
{
	return sizeof(struct nexus_rec_xattr) + PAD8(namelen + vallen);
}

void nexus_rec_init(struct nexus_rec_head *head, size_t len, u16 type,
		    u16 flags, struct nexus_time now)
{
	/*
	 * The fixed part of every type ends below 128 bytes, and no padding but
	 * that of CREATE's parts lies before the last 8.
	 */
	memset(head, 0, NEXUS_MIN(len, (size_t)128));
	memset((u8 *)head + len - 8, 0, 8);
	head->len = cpu_to_le32((u32)len);
	head->type = cpu_to_le16(type);
	head->flags = cpu_to_le16(flags);
	head->time_s = cpu_to_le64((u64)now.s);
	head->time_ns = cpu_to_le32(now.ns);
}

/* Copies and zeroes up to a multiple of 8; returns the end. */
static u8 *put_padded(u8 *p, const void *src, size_t len)
{
	if (len)
		memcpy(p, src, len);
	memset(p + len, 0, PAD8(len) - len);
	return p + PAD8(len);
}

void nexus_rec_create_body(struct nexus_rec_create *rec, const void *name,
			   size_t namelen, const void *content,
			   size_t contentlen)
{
	rec->namelen = cpu_to_le16((u16)namelen);
	rec->contentlen = cpu_to_le16((u16)contentlen);
	put_padded(put_padded(rec->data, name, namelen), content, contentlen);
}

void *nexus_rec_create_xattrs(struct nexus_rec_create *rec)
{
	return rec->data + PAD8(le16_to_cpu(rec->namelen)) +
	       PAD8(le16_to_cpu(rec->contentlen));
}

size_t nexus_rec_put_xattr(void *p, const void *name, size_t namelen,
			   const void *val, size_t vallen)
{
	struct nexus_rec_xattr *x = p;
	size_t len = nexus_rec_xattr_len(namelen, vallen);

	x->namelen = cpu_to_le16((u16)namelen);
	x->reserved = cpu_to_le16(0);
	x->vallen = cpu_to_le32((u32)vallen);
	memcpy(x->data, name, namelen);
	if (vallen)
		memcpy(x->data + namelen, val, vallen);
	memset(x->data + namelen + vallen, 0,
	       len - sizeof(*x) - namelen - vallen);
	return len;
}

size_t nexus_rec_link(void *buf, u64 parent, u64 pos, u64 ino, const void *name,
		      size_t namelen, struct nexus_time now)
{
	struct nexus_rec_link *rec = buf;
	size_t len = nexus_rec_name_len(namelen);

	nexus_rec_init(&rec->head, len, NEXUS_REC_LINK, 0, now);
	rec->parent = cpu_to_le64(parent);
	rec->pos = cpu_to_le64(pos);
	rec->ino = cpu_to_le64(ino);
	rec->namelen = cpu_to_le16((u16)namelen);
	put_padded(rec->name, name, namelen);
	return len;
}

size_t nexus_rec_unlink(void *buf, u64 parent, u64 pos, u64 ino,
			const void *name, size_t namelen, bool rmdir,
			struct nexus_time now)
{
	struct nexus_rec_unlink *rec = buf;
	size_t len = nexus_rec_name_len(namelen);

	nexus_rec_init(&rec->head, len, NEXUS_REC_UNLINK,
		       rmdir ? NEXUS_RF_RMDIR : 0, now);
	rec->parent = cpu_to_le64(parent);
	rec->pos = cpu_to_le64(pos);
	rec->ino = cpu_to_le64(ino);
	rec->namelen = cpu_to_le16((u16)namelen);
	put_padded(rec->name, name, namelen);
	return len;
}

size_t nexus_rec_whiteout_len(u32 xattrlen)
{
	return sizeof(struct nexus_rec_whiteout) + xattrlen;
}

static void put_whiteout(struct nexus_rec_whiteout *w,
			 const struct nexus_whiteout_args *a)
{
	w->ino = cpu_to_le64(a->ino);
	w->generation = cpu_to_le32(a->generation);
	w->uid = cpu_to_le32(a->uid);
	w->gid = cpu_to_le32(a->gid);
	w->projid = cpu_to_le32(a->projid);
	w->reserved = cpu_to_le32(0);
	w->xattrlen = cpu_to_le32(a->xattrlen);
	if (a->xattrlen)
		memcpy(w->xattrs, a->xattrs, a->xattrlen);
}

size_t nexus_rec_rename(void *buf, const struct nexus_rename_args *a,
			struct nexus_time now)
{
	const struct nexus_whiteout_args *w = a->whiteout;
	struct nexus_rec_rename *rec = buf;
	size_t names = nexus_rec_rename_len(a->snamelen, a->dnamelen);
	size_t len = names + (w ? nexus_rec_whiteout_len(w->xattrlen) : 0);

	nexus_rec_init(&rec->head, len, NEXUS_REC_RENAME,
		       w ? NEXUS_RF_WHITEOUT : a->flags, now);
	if (w) {
		/* The padding of the names. */
		memset((u8 *)buf + names - 8, 0, 8);
		put_whiteout((void *)((u8 *)buf + names), w);
	}
	rec->sparent = cpu_to_le64(a->sparent);
	rec->spos = cpu_to_le64(a->spos);
	rec->ino = cpu_to_le64(a->ino);
	rec->dparent = cpu_to_le64(a->dparent);
	rec->dpos = cpu_to_le64(a->dpos);
	rec->replaced = cpu_to_le64(a->replaced);
	rec->snamelen = cpu_to_le16(a->snamelen);
	rec->dnamelen = cpu_to_le16(a->dnamelen);
	memcpy(rec->names, a->sname, a->snamelen);
	memcpy(rec->names + a->snamelen, a->dname, a->dnamelen);
	return len;
}

static size_t put_xattr_rec(void *buf, u16 type, u64 ino, const void *name,
			    size_t namelen, const void *val, size_t vallen,
			    u16 flags, struct nexus_time now)
{
	struct nexus_rec_setxattr *rec = buf;
	size_t len = nexus_rec_setxattr_len(namelen, vallen);

	nexus_rec_init(&rec->head, len, type, flags, now);
	rec->ino = cpu_to_le64(ino);
	rec->namelen = cpu_to_le16((u16)namelen);
	rec->vallen = cpu_to_le32((u32)vallen);
	memcpy(rec->data, name, namelen);
	if (vallen)
		memcpy(rec->data + namelen, val, vallen);
	return len;
}

size_t nexus_rec_setxattr(void *buf, u64 ino, const void *name, size_t namelen,
			  const void *val, size_t vallen, u16 flags,
			  struct nexus_time now)
{
	return put_xattr_rec(buf, NEXUS_REC_SETXATTR, ino, name, namelen, val,
			     vallen, flags, now);
}

size_t nexus_rec_removexattr(void *buf, u64 ino, const void *name,
			     size_t namelen, struct nexus_time now)
{
	return put_xattr_rec(buf, NEXUS_REC_REMOVEXATTR, ino, name, namelen,
			     NULL, 0, 0, now);
}

void nexus_rec_xattr_mode(void *buf, u32 mode)
{
	struct nexus_rec_setxattr *rec = buf;

	rec->head.flags |= cpu_to_le16(NEXUS_RF_XATTR_MODE);
	rec->mode = cpu_to_le16(mode & 07777);
}

size_t nexus_rec_forget(void *buf, u64 ino, u64 data_id, u32 max,
			struct nexus_time now)
{
	struct nexus_rec_forget *rec = buf;

	nexus_rec_init(&rec->head, sizeof(*rec), NEXUS_REC_FORGET, 0, now);
	rec->ino = cpu_to_le64(ino);
	rec->data_id = cpu_to_le64(data_id);
	rec->max = cpu_to_le32(max);
	return sizeof(*rec);
}

size_t nexus_rec_bulk(void *buf, u64 data_id, u32 max, struct nexus_time now)
{
	struct nexus_rec_bulk *rec = buf;

	nexus_rec_init(&rec->head, sizeof(*rec), NEXUS_REC_BULK, 0, now);
	rec->data_id = cpu_to_le64(data_id);
	rec->max = cpu_to_le32(max);
	return sizeof(*rec);
}

size_t nexus_batch_size(size_t length)
{
	return NEXUS_ALIGN(sizeof(struct nexus_batch_head) + length,
			   (size_t)NEXUS_BLOCK_SIZE);
}
