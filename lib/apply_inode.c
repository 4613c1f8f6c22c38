// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Apply: one inode.  SETATTR, xattrs, and the end of an inode. */
#include "apply_impl.h"

static void set_times(const struct nexus_rec_setattr *r,
		      struct nexus_inode_val *v, u32 mask)
{
	if (mask & NEXUS_SA_ATIME) {
		v->atime_s = r->atime_s;
		v->atime_ns = r->atime_ns;
	}
	if (mask & NEXUS_SA_MTIME) {
		v->mtime_s = r->mtime_s;
		v->mtime_ns = r->mtime_ns;
	}
	if (mask & NEXUS_SA_CTIME) {
		v->ctime_s = r->ctime_s;
		v->ctime_ns = r->ctime_ns;
	}
	if (mask & NEXUS_SA_BTIME) {
		v->btime_s = r->btime_s;
		v->btime_ns = r->btime_ns;
	}
}

int nexus_ap_setattr(struct nexus_ap *ap)
{
	const struct nexus_rec_setattr *r = (const void *)ap->rec;
	u32 mask = le32_to_cpu(r->mask);
	struct nexus_ap_inode *in;
	u32 mode, flags;
	s64 blocks;
	int ret;

	ret = nexus_ap_inode(ap, le64_to_cpu(r->ino), &in);
	if (ret)
		return ret;
	mode = le32_to_cpu(in->v.mode);
	flags = le32_to_cpu(in->v.flags);
	blocks = (s64)le64_to_cpu(in->v.blocks);

	if (mask & (NEXUS_SA_UID | NEXUS_SA_GID | NEXUS_SA_PROJID))
		nexus_ap_charge(ap, in, -1, -blocks);
	if (mask & NEXUS_SA_MODE)
		in->v.mode = cpu_to_le32((mode & S_IFMT) |
					 (le32_to_cpu(r->mode) & 07777));
	if (mask & NEXUS_SA_UID)
		in->v.uid = r->uid;
	if (mask & NEXUS_SA_GID)
		in->v.gid = r->gid;
	if (mask & NEXUS_SA_PROJID)
		in->v.projid = r->projid;
	if (mask & NEXUS_SA_FLAGS)
		in->v.flags = cpu_to_le32((flags & NEXUS_IF_FIXED) |
					  (le32_to_cpu(r->iflags) &
					   ~(u32)NEXUS_IF_FIXED));
	if (mask & (NEXUS_SA_UID | NEXUS_SA_GID | NEXUS_SA_PROJID))
		nexus_ap_charge(ap, in, 1, blocks);
	set_times(r, &in->v, mask);
	in->dirty = true;
	return 0;
}

int nexus_ap_setxattr(struct nexus_ap *ap)
{
	const struct nexus_rec_setxattr *r = (const void *)ap->rec;
	bool remove = le16_to_cpu(ap->rec->type) == NEXUS_REC_REMOVEXATTR;
	size_t namelen = le16_to_cpu(r->namelen);
	size_t vallen = le32_to_cpu(r->vallen);
	u16 flags = le16_to_cpu(ap->rec->flags);
	struct nexus_ap_inode *in;
	struct nexus_blob_val *val;
	int ret, there;

	ret = nexus_ap_inode(ap, le64_to_cpu(r->ino), &in);
	if (ret)
		return ret;
	nexus_key_xattr(&ap->key, in->ino, r->data, namelen);
	there = nexus_ap_exists(ap, &ap->key);
	if (there < 0)
		return there;
	if (!there && (remove || (flags & NEXUS_RF_XATTR_REPLACE)))
		return nexus_ap_fail(ap, in->ino, "xattr does not exist");
	if (there && (flags & NEXUS_RF_XATTR_CREATE))
		return nexus_ap_fail(ap, in->ino, "xattr exists");
	nexus_ap_ctime(ap, in);
	if (flags & NEXUS_RF_XATTR_MODE)
		in->v.mode = cpu_to_le32(nexus_ap_fmt(in) | le16_to_cpu(r->mode));
	if (remove)
		return nexus_ap_del(ap, &ap->key);
	val = nexus_ap_put(ap, &ap->key, sizeof(*val) + vallen);
	if (!val)
		return -ENOMEM;
	memcpy(val->data, r->data + namelen, vallen);
	return 0;
}

static int forget_xattrs(struct nexus_ap *ap, u64 ino)
{
	struct nexus_key *k = &ap->key;
	int ret;

	nexus_key_xattr(k, ino, NULL, 0);
	for (;;) {
		ret = nexus_ap_seek(ap, k, 9, ino, 0, ap->val, 0);
		if (ret == -ENOENT)
			return 0;
		if (ret < 0)
			return ret;
		ret = nexus_ap_del(ap, k);
		if (ret)
			return ret;
		if (k->len == NEXUS_KEY_MAX)
			return nexus_ap_fail(ap, ino, "xattr name too long");
		k->b[k->len++] = 0;	/* the next key there can be */
	}
}

/*
 * Usage of user, group, project and zone drops here, at once; the pack's live
 * count follows as the extents go, in this record and in BULK.
 */
int nexus_ap_forget(struct nexus_ap *ap)
{
	const struct nexus_rec_forget *r = (const void *)ap->rec;
	const struct nexus_orphan_val *o = (const void *)ap->val;
	u64 data_id = le64_to_cpu(r->data_id);
	struct nexus_ap_inode *in;
	bool more;
	int ret;

	ret = nexus_ap_inode(ap, le64_to_cpu(r->ino), &in);
	if (ret)
		return ret;
	if (nexus_ap_nlink(in))
		return nexus_ap_fail(ap, in->ino, "forgotten inode has links");
	if (le64_to_cpu(in->v.data_id) != data_id)
		return nexus_ap_fail(ap, in->ino, "inode has another data id");
	nexus_key_orphan(&ap->key, data_id);
	ret = nexus_ap_get(ap, &ap->key, in->ino, sizeof(*o), ap->val,
			   sizeof(ap->val));
	if (ret < 0 && ret != -ENOENT)
		return ret;
	if (ret < 0 || le32_to_cpu(o->kind) != NEXUS_ORPHAN_INODE ||
	    le64_to_cpu(o->ino) != in->ino)
		return nexus_ap_fail(ap, in->ino, "orphan record is missing");

	nexus_ap_charge(ap, in, -1, -(s64)le64_to_cpu(in->v.blocks));
	nexus_ap_quota_add(ap, NEXUS_QUOTA_UNWRITTEN, 0, 0,
			   -(s64)le64_to_cpu(in->v.unwritten));
	ret = nexus_ap_free_extents(ap, data_id, le32_to_cpu(r->max), &more);
	if (ret)
		return ret;
	if (more) {
		ret = nexus_ap_orphan_put(ap, data_id, NEXUS_ORPHAN_BULK, 0, in);
	} else {
		nexus_key_orphan(&ap->key, data_id);
		ret = nexus_ap_del(ap, &ap->key);
	}
	if (!ret)
		ret = forget_xattrs(ap, in->ino);
	if (!ret)
		ret = nexus_ap_forget_lease(ap, in->ino);
	if (ret)
		return ret;
	nexus_key_content(&ap->key, in->ino);
	ret = nexus_ap_del(ap, &ap->key);
	if (ret)
		return ret;
	in->dirty = false;
	nexus_key_inode(&ap->key, in->ino);
	return nexus_ap_del(ap, &ap->key);
}

/*
 * A bulk deletion that is over already changes nothing: the helper that comes
 * back may ask for a step whose record is still on its way.
 */
int nexus_ap_bulk(struct nexus_ap *ap)
{
	const struct nexus_rec_bulk *r = (const void *)ap->rec;
	const struct nexus_orphan_val *o = (const void *)ap->val;
	u64 data_id = le64_to_cpu(r->data_id);
	bool more;
	int ret;

	nexus_key_orphan(&ap->key, data_id);
	ret = nexus_ap_get(ap, &ap->key, 0, sizeof(*o), ap->val,
			   sizeof(ap->val));
	if (ret == -ENOENT)
		return 0;
	if (ret < 0)
		return ret;
	if (le32_to_cpu(o->kind) != NEXUS_ORPHAN_BULK)
		return nexus_ap_fail(ap, le64_to_cpu(o->ino),
				     "data id belongs to an inode");
	ret = nexus_ap_free_extents(ap, data_id, le32_to_cpu(r->max), &more);
	if (ret || more)
		return ret;
	nexus_key_orphan(&ap->key, data_id);
	return nexus_ap_del(ap, &ap->key);
}
