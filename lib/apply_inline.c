// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Apply: the body of a tiny file, kept in the index.
 *
 * A body is inline or extents, never both.  INLINE sets it as long as there is no
 * extent; the first extent takes its place, and must be that of block 0, which holds
 * all of it.
 */
#include "apply_impl.h"

int nexus_ap_drop_inline(struct nexus_ap *ap, struct nexus_ap_inode *in)
{
	if (!nexus_ap_inline(in))
		return 0;
	in->v.flags &= ~cpu_to_le32(NEXUS_IF_INLINE);
	nexus_key_content(&ap->key, in->ino);
	return nexus_ap_del(ap, &ap->key);
}

int nexus_ap_cut_inline(struct nexus_ap *ap, struct nexus_ap_inode *in, u64 size)
{
	struct nexus_blob_val *val;
	size_t keep = sizeof(*val) + (size_t)size;
	u8 *buf;
	int len, ret = 0;

	if (!nexus_ap_inline(in) || size >= NEXUS_INLINE_MAX)
		return 0;
	if (!size)
		return nexus_ap_drop_inline(ap, in);
	nexus_key_content(&ap->key, in->ino);
	buf = nexus_alloc(sizeof(*val) + NEXUS_INLINE_MAX);
	if (!buf)
		return -ENOMEM;
	len = nexus_ap_get(ap, &ap->key, in->ino, sizeof(*val), buf,
			   sizeof(*val) + NEXUS_INLINE_MAX);
	if (len == -ENOENT)
		ret = nexus_ap_fail(ap, in->ino, "inline content is missing");
	else if (len < 0)
		ret = len;
	if (!ret && (size_t)len > keep) {
		val = nexus_ap_put(ap, &ap->key, keep);
		if (val)
			memcpy(val, buf, keep);
		else
			ret = -ENOMEM;
	}
	nexus_free(buf);
	return ret;
}

int nexus_ap_end_inline(struct nexus_ap *ap, struct nexus_ap_inode *in, u64 fblock)
{
	if (fblock && nexus_ap_inline(in))
		return nexus_ap_fail(ap, in->ino, "extent beside an inline body");
	return nexus_ap_drop_inline(ap, in);
}

int nexus_ap_body(struct nexus_ap *ap)
{
	const struct nexus_rec_inline *r = (const void *)ap->rec;
	u32 len = le32_to_cpu(r->len);
	const struct nexus_ap_written w = {
		cpu_to_le64(len), r->mtime_s, r->ctime_s, r->mtime_ns, r->ctime_ns,
	};
	struct nexus_ap_inode *in;
	struct nexus_blob_val *val;
	int ret;

	ret = nexus_ap_file(ap, r->ino, r->data_id, &in);
	if (ret)
		return ret;
	if (in->v.blocks)
		return nexus_ap_fail(ap, in->ino, "inline body beside extents");
	nexus_key_content(&ap->key, in->ino);
	val = nexus_ap_put(ap, &ap->key, sizeof(*val) + len);
	if (!val)
		return -ENOMEM;
	memcpy(val->data, r->data, len);
	in->v.flags |= cpu_to_le32(NEXUS_IF_INLINE);
	nexus_ap_written(in, &w);
	return 0;
}

/* The bytes stay in the log (lib/logdata.c); here is what else they say of the file. */
int nexus_ap_data(struct nexus_ap *ap)
{
	const struct nexus_rec_data *r = (const void *)ap->rec;
	const struct nexus_ap_written w = {
		cpu_to_le64(le64_to_cpu(r->offset) + le32_to_cpu(r->len)),
		r->mtime_s, r->ctime_s, r->mtime_ns, r->ctime_ns,
	};
	struct nexus_ap_inode *in;
	__le64 disk_size;
	int ret;

	ret = nexus_ap_file(ap, r->ino, r->data_id, &in);
	if (ret)
		return ret;
	if (nexus_ap_inline(in))
		return nexus_ap_fail(ap, in->ino, "content in the log beside an inline body");
	/* Of packs that is. */
	disk_size = in->v.disk_size;
	nexus_ap_written(in, &w);
	in->v.disk_size = disk_size;
	return 0;
}
