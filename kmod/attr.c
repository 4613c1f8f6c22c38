// SPDX-License-Identifier: GPL-2.0-only
/* stat, and chmod, chown, utimes, truncate. */
#include <linux/mm.h>

#include "nexusfs.h"

int nexus_getattr(struct mnt_idmap *idmap, const struct path *path,
		  struct kstat *stat, u32 mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct nexus_inode *ni = NEXUS_I(inode);
	u32 iflags = READ_ONCE(ni->iflags);

	generic_fillattr(idmap, mask, inode, stat);
	stat->result_mask |= STATX_BTIME;
	stat->btime = ni->btime;
	stat->blksize = NEXUS_BLOCK_SIZE;
	/* Blocks that are mapped, and those dirty pages will add. */
	stat->blocks += READ_ONCE(ni->delayed) << (NEXUS_BLOCK_SHIFT - 9);
	/* Archivers take a file without blocks for a hole. */
	if (S_ISREG(inode->i_mode) && stat->size && !stat->blocks)
		stat->blocks = 1;

	/*
	 * What needs no copy and no page cache; the rest works, too (direct.c).
	 */
	if ((mask & STATX_DIOALIGN) && S_ISREG(inode->i_mode) &&
	    !test_bit(NEXUS_I_SYS, &ni->state)) {
		stat->result_mask |= STATX_DIOALIGN;
		stat->dio_mem_align = NEXUS_BLOCK_SIZE;
		stat->dio_offset_align = NEXUS_BLOCK_SIZE;
	}

	if (iflags & NEXUS_IF_IMMUTABLE)
		stat->attributes |= STATX_ATTR_IMMUTABLE;
	if (iflags & NEXUS_IF_APPEND)
		stat->attributes |= STATX_ATTR_APPEND;
	if (iflags & NEXUS_IF_NODUMP)
		stat->attributes |= STATX_ATTR_NODUMP;
	stat->attributes_mask |= STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND |
				 STATX_ATTR_NODUMP;
	return 0;
}

/* What setattr_copy() would make of the inode, without touching it. */
struct nexus_newattr {
	u32	mask;		/* NEXUS_SA_* */
	umode_t	mode;
	kuid_t	uid;
	kgid_t	gid;
	struct timespec64 atime, mtime, ctime;
};

static void nexus_new_attr(struct mnt_idmap *idmap, struct inode *inode,
			   const struct iattr *attr, unsigned int valid,
			   struct nexus_newattr *new)
{
	vfsgid_t vfsgid = i_gid_into_vfsgid(idmap, inode);

	memset(new, 0, sizeof(*new));
	new->mode = inode->i_mode;
	new->uid = inode->i_uid;
	new->gid = inode->i_gid;
	if ((valid & ATTR_UID) && i_uid_needs_update(idmap, attr, inode)) {
		new->uid = from_vfsuid(idmap, i_user_ns(inode), attr->ia_vfsuid);
		new->mask |= NEXUS_SA_UID;
	}
	if ((valid & ATTR_GID) && i_gid_needs_update(idmap, attr, inode)) {
		vfsgid = attr->ia_vfsgid;
		new->gid = from_vfsgid(idmap, i_user_ns(inode), vfsgid);
		new->mask |= NEXUS_SA_GID;
	}
	if (valid & ATTR_MODE) {
		umode_t mode = attr->ia_mode;

		if (!in_group_or_capable(idmap, inode, vfsgid))
			mode &= ~S_ISGID;
		new->mode = (inode->i_mode & S_IFMT) | (mode & S_IALLUGO);
		new->mask |= NEXUS_SA_MODE;
	}
	if (valid & ATTR_ATIME) {
		new->atime = attr->ia_atime;
		new->mask |= NEXUS_SA_ATIME;
	}
	if (valid & ATTR_MTIME) {
		new->mtime = attr->ia_mtime;
		new->mask |= NEXUS_SA_MTIME;
	}
	if (valid & ATTR_CTIME) {
		new->ctime = attr->ia_ctime;
		new->mask |= NEXUS_SA_CTIME;
	}
}

static void nexus_copy_attr(struct inode *inode,
			    const struct nexus_newattr *new)
{
	inode->i_mode = new->mode;
	inode->i_uid = new->uid;
	inode->i_gid = new->gid;
	if (new->mask & NEXUS_SA_ATIME)
		inode_set_atime_to_ts(inode, new->atime);
	if (new->mask & NEXUS_SA_MTIME)
		inode_set_mtime_to_ts(inode, new->mtime);
	if (new->mask & NEXUS_SA_CTIME)
		inode_set_ctime_to_ts(inode, new->ctime);
}

static int nexus_log_attr(struct inode *inode, const struct nexus_newattr *new,
			  struct timespec64 now)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_rec_setattr rec;
	struct nexus_resv resv = {};
	u64 lsn;
	int err;

	err = nexus_log_reserve(ni->zone, &resv, sizeof(rec), 0);
	if (err)
		return err;
	memset(&rec, 0, sizeof(rec));
	nexus_rec_init(&rec.head, sizeof(rec), NEXUS_REC_SETATTR, 0,
		       nexus_ts(now));
	rec.ino = cpu_to_le64(inode->i_ino);
	rec.mask = cpu_to_le32(new->mask);
	rec.mode = cpu_to_le32(new->mode & S_IALLUGO);
	rec.uid = cpu_to_le32(from_kuid(&init_user_ns, new->uid));
	rec.gid = cpu_to_le32(from_kgid(&init_user_ns, new->gid));
	rec.atime_s = cpu_to_le64(new->atime.tv_sec);
	rec.atime_ns = cpu_to_le32(new->atime.tv_nsec);
	rec.mtime_s = cpu_to_le64(new->mtime.tv_sec);
	rec.mtime_ns = cpu_to_le32(new->mtime.tv_nsec);
	rec.ctime_s = cpu_to_le64(new->ctime.tv_sec);
	rec.ctime_ns = cpu_to_le32(new->ctime.tv_nsec);

	mutex_lock(&ni->log_mutex);
	err = nexus_mutate(ni->zone, &resv, &rec.head, &lsn);
	if (!err) {
		nexus_copy_attr(inode, new);
		nexus_times_logged(ni, new->mask);
		ni->version++;
		nexus_inode_logged(ni, lsn);
	}
	mutex_unlock(&ni->log_mutex);
	nexus_log_unreserve(&resv);
	return err;
}

/*
 * A change of size has a record of its own, which sets mtime and ctime; what
 * goes with it (bits that a truncation clears) is logged first, so that a crash
 * in between leaves the file with fewer rights, not more.
 */
int nexus_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
		  struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	unsigned int valid = attr->ia_valid;
	struct nexus_newattr new;
	bool resize;
	int err;

	if (test_bit(NEXUS_I_SYS, &NEXUS_I(inode)->state))
		return -EPERM;
	err = setattr_prepare(idmap, dentry, attr);
	if (err)
		return err;

	/* The size it has gives back what is reserved behind it. */
	resize = (valid & ATTR_SIZE) &&
		 (attr->ia_size != i_size_read(inode) ||
		  READ_ONCE(NEXUS_I(inode)->unwritten));
	if (resize) {
		valid &= ~ATTR_CTIME;
		if (!(valid & ATTR_MTIME_SET))
			valid &= ~ATTR_MTIME;
	}
	nexus_new_attr(idmap, inode, attr, valid, &new);
	if (new.mask) {
		err = nexus_log_attr(inode, &new, attr->ia_ctime);
		if (err)
			return err;
	}
	if (resize)
		err = nexus_data_truncate(inode, attr->ia_size, attr->ia_ctime);
	return err;
}

const struct inode_operations nexus_special_iops = {
	.getattr	= nexus_getattr,
	.setattr	= nexus_setattr,
};
