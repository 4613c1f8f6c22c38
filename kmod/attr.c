// SPDX-License-Identifier: GPL-2.0-only
/* stat, and chmod, chown, utimes, truncate. */
#include <linux/fs.h>
#include <linux/fileattr.h>	/* needs the types of fs.h */
#include <linux/mm.h>

#include "data/io.h"
#include "quota.h"
#include "stream/stream.h"
#include "xattr.h"

int nexus_getattr(struct mnt_idmap *idmap, const struct path *path,
		  struct kstat *stat, u32 mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct nexus_inode *ni = NEXUS_I(inode);
	u32 iflags = READ_ONCE(ni->iflags);

	generic_fillattr(idmap, mask, inode, stat);
	stat->result_mask |= STATX_BTIME;
	stat->btime = ni->btime;
	if (mask & STATX_CHANGE_COOKIE) {
		stat->result_mask |= STATX_CHANGE_COOKIE;
		stat->change_cookie = nexus_cookie(inode);
	}
	stat->blksize = NEXUS_BLOCK_SIZE;
	/* Blocks that are mapped, and those dirty pages will add. */
	stat->blocks += READ_ONCE(ni->delayed) << (NEXUS_BLOCK_SHIFT - 9);
	if (iflags & NEXUS_IF_STREAM)
		nexus_stream_getattr(inode, stat);
	/* Archivers take a file without blocks for a hole. */
	if (S_ISREG(inode->i_mode) && stat->size && !stat->blocks)
		stat->blocks = iflags & NEXUS_IF_INLINE ?
			       DIV_ROUND_UP(min(stat->size, NEXUS_INLINE_MAX),
					    SECTOR_SIZE) : 1;

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
	u32	projid, iflags;
	struct timespec64 atime, mtime, ctime;
};

/* What overlayfs copies from another filesystem's disk, or a client of NFS says. */
static struct timespec64 nexus_new_time(struct timespec64 t)
{
	t.tv_nsec = clamp(t.tv_nsec, 0L, NSEC_PER_SEC - 1);
	return t;
}

static void nexus_new_attr(struct mnt_idmap *idmap, struct inode *inode,
			   const struct iattr *attr, unsigned int valid,
			   struct nexus_newattr *new)
{
	vfsgid_t vfsgid = i_gid_into_vfsgid(idmap, inode);

	memset(new, 0, sizeof(*new));
	new->mode = inode->i_mode;
	new->uid = inode->i_uid;
	new->gid = inode->i_gid;
	new->projid = NEXUS_I(inode)->projid;
	new->iflags = NEXUS_I(inode)->iflags;
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
		new->atime = nexus_new_time(attr->ia_atime);
		new->mask |= NEXUS_SA_ATIME;
	}
	if (valid & ATTR_MTIME) {
		new->mtime = nexus_new_time(attr->ia_mtime);
		new->mask |= NEXUS_SA_MTIME;
	}
	if (valid & ATTR_CTIME) {
		new->ctime = nexus_new_time(attr->ia_ctime);
		new->mask |= NEXUS_SA_CTIME;
	}
}

static void nexus_copy_attr(struct inode *inode,
			    const struct nexus_newattr *new)
{
	struct nexus_inode *ni = NEXUS_I(inode);

	inode->i_mode = new->mode;
	inode->i_uid = new->uid;
	inode->i_gid = new->gid;
	if (new->mask & NEXUS_SA_PROJID)
		ni->projid = new->projid;
	/* Writeback decides what is inline. */
	if (new->mask & NEXUS_SA_FLAGS) {
		WRITE_ONCE(ni->iflags, (ni->iflags & NEXUS_IF_INLINE) |
				       (new->iflags & ~NEXUS_IF_INLINE));
		nexus_set_flags(inode, ni->iflags);
	}
	if (new->mask & NEXUS_SA_ATIME)
		inode_set_atime_to_ts(inode, new->atime);
	if (new->mask & NEXUS_SA_MTIME)
		inode_set_mtime_to_ts(inode, new->mtime);
	if (new->mask & NEXUS_SA_CTIME)
		inode_set_ctime_to_ts(inode, new->ctime);
}

static void nexus_attr_record(struct inode *inode,
			      const struct nexus_newattr *new,
			      struct timespec64 now,
			      struct nexus_rec_setattr *r)
{
	struct nexus_rec_setattr rec = {};

	nexus_rec_init(&rec.head, sizeof(rec), NEXUS_REC_SETATTR, 0,
		       nexus_ts(now));
	rec.ino = cpu_to_le64(inode->i_ino);
	rec.mask = cpu_to_le32(new->mask);
	rec.mode = cpu_to_le32(new->mode & S_IALLUGO);
	rec.uid = cpu_to_le32(from_kuid(&init_user_ns, new->uid));
	rec.gid = cpu_to_le32(from_kgid(&init_user_ns, new->gid));
	rec.projid = cpu_to_le32(new->projid);
	rec.iflags = cpu_to_le32(new->iflags);
	rec.atime_s = cpu_to_le64(new->atime.tv_sec);
	rec.atime_ns = cpu_to_le32(new->atime.tv_nsec);
	rec.mtime_s = cpu_to_le64(new->mtime.tv_sec);
	rec.mtime_ns = cpu_to_le32(new->mtime.tv_nsec);
	rec.ctime_s = cpu_to_le64(new->ctime.tv_sec);
	rec.ctime_ns = cpu_to_le32(new->ctime.tv_nsec);
	*r = rec;
}

/* log_mutex held; -EAGAIN as nexus_quota_move_begin(). */
static int nexus_attr_commit(struct inode *inode, const struct nexus_newattr *new,
			     struct nexus_quota_move *mv,
			     struct nexus_resv *resv,
			     struct nexus_rec_setattr *rec)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	u64 lsn;
	int err;

	err = nexus_quota_move_begin(ni, mv);
	if (err)
		return err;
	err = nexus_mutate(ni->zone, resv, &rec->head, &lsn);
	nexus_quota_move_end(ni, mv, err ? 0 : lsn);
	if (err)
		return err;
	nexus_copy_attr(inode, new);
	nexus_times_logged(ni, new->mask);
	ni->version++;
	nexus_inode_logged(ni, lsn);
	return 0;
}

static int nexus_log_attr(struct inode *inode, const struct nexus_newattr *new,
			  struct timespec64 now)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_quota_move mv = {
		.to = {
			from_kuid(&init_user_ns, new->uid),
			from_kgid(&init_user_ns, new->gid),
			new->projid,
		},
	};
	struct nexus_rec_setattr rec;
	struct nexus_resv resv = {};
	int err;

	err = nexus_log_reserve(ni->zone, &resv, sizeof(rec), 0);
	if (err)
		return err;
	nexus_attr_record(inode, new, now, &rec);
	do {
		mutex_lock(&ni->log_mutex);
		err = nexus_attr_commit(inode, new, &mv, &resv, &rec);
		mutex_unlock(&ni->log_mutex);
		if (err != -EAGAIN)
			break;
		err = nexus_quota_move_load(ni, &mv);
	} while (!err);
	nexus_log_unreserve(&resv);
	if (!err && IS_SYNC(inode))
		nexus_settle(ni->zone, ni->last_lsn);
	return err;
}

int nexus_log_mode(struct inode *inode, umode_t mode)
{
	struct nexus_newattr new = {
		.mask = NEXUS_SA_MODE | NEXUS_SA_CTIME,
		.mode = mode,
		.uid = inode->i_uid,
		.gid = inode->i_gid,
		.projid = NEXUS_I(inode)->projid,
		.ctime = nexus_after(inode, current_time(inode)),
	};

	return nexus_log_attr(inode, &new, new.ctime);
}

/* The mode and the ACL that has to change with it, if there is one. */
static int nexus_log_acl_mode(struct inode *inode, struct nexus_newattr *new)
{
	int ret;

	if (!(new->mask & NEXUS_SA_MODE) || S_ISLNK(inode->i_mode))
		return 0;
	ret = nexus_acl_chmod(inode, new->mode);
	if (ret <= 0)
		return ret;
	new->mode = inode->i_mode;
	new->mask &= ~NEXUS_SA_MODE;
	/* That has set it. */
	if (new->mask == NEXUS_SA_CTIME)
		new->mask = 0;
	return 0;
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
	/* The VFS asks only of some changes; who has the file open may not, either. */
	if (IS_IMMUTABLE(inode))
		return -EPERM;
	err = nexus_inode_writable(inode);
	if (err)
		return err;
	err = setattr_prepare(idmap, dentry, attr);
	if (err)
		return err;
	/* Streams are not cut: their begin goes, by ioctl. */
	if (valid & ATTR_SIZE && NEXUS_I(inode)->iflags & NEXUS_IF_STREAM)
		return -EPERM;
	attr->ia_ctime = nexus_after(inode, attr->ia_ctime);

	/* The size it has gives back what is reserved behind it. */
	resize = (valid & ATTR_SIZE) &&
		 (attr->ia_size != i_size_read(inode) ||
		  READ_ONCE(NEXUS_I(inode)->unwritten));
	if (resize) {
		valid &= ~ATTR_CTIME;
		if (!(valid & ATTR_MTIME_SET))
			valid &= ~ATTR_MTIME;
	} else if (valid & ATTR_SIZE) {
		/* The VFS says so for ftruncate() only. */
		valid |= ATTR_MTIME | ATTR_CTIME;
	}
	nexus_new_attr(idmap, inode, attr, valid, &new);
	err = nexus_log_acl_mode(inode, &new);
	if (err)
		return err;
	if (new.mask) {
		err = nexus_log_attr(inode, &new, attr->ia_ctime);
		if (err)
			return err;
	}
	if (resize)
		err = nexus_data_truncate(inode, attr->ia_size, attr->ia_ctime);
	if (resize && !err && IS_SYNC(inode))
		nexus_settle(NEXUS_I(inode)->zone, READ_ONCE(NEXUS_I(inode)->last_lsn));
	return err;
}

/* ---- flags and project ------------------------------------------------------- */

static const struct {
	u32 iflag, fl;
} nexus_flag[] = {
	{ NEXUS_IF_IMMUTABLE, FS_IMMUTABLE_FL },
	{ NEXUS_IF_APPEND, FS_APPEND_FL },
	{ NEXUS_IF_NODUMP, FS_NODUMP_FL },
	{ NEXUS_IF_NOATIME, FS_NOATIME_FL },
	{ NEXUS_IF_SYNC, FS_SYNC_FL },
	{ NEXUS_IF_DIRSYNC, FS_DIRSYNC_FL },
	{ NEXUS_IF_PROJINHERIT, FS_PROJINHERIT_FL },
	{ NEXUS_IF_NODATACOW, FS_NOCOW_FL },
};

int nexus_fileattr_get(struct dentry *dentry, NEXUS_FILEATTR *fa)
{
	struct nexus_inode *ni = NEXUS_I(d_inode(dentry));
	u32 iflags = READ_ONCE(ni->iflags), flags = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(nexus_flag); i++)
		if (iflags & nexus_flag[i].iflag)
			flags |= nexus_flag[i].fl;
	fileattr_fill_flags(fa, flags);
	fa->fsx_projid = READ_ONCE(ni->projid);
	return 0;
}

/* The flags that an inode of a type can have. */
static u32 nexus_flags_of(umode_t mode)
{
	u32 flags = FS_NODUMP_FL | FS_NOATIME_FL;

	/* As with XFS, files that cannot have PROJINHERIT are not complained about. */
	flags |= FS_PROJINHERIT_FL;
	if (S_ISREG(mode) || S_ISDIR(mode))
		flags |= FS_IMMUTABLE_FL | FS_APPEND_FL | FS_SYNC_FL | FS_NOCOW_FL;
	if (S_ISDIR(mode))
		flags |= FS_DIRSYNC_FL;
	return flags;
}

/*
 * What a file has was written with checksums, or without: only an empty one changes.
 * Directories hand it on.  i_rwsem held.
 */
static int nexus_set_nodatacow(struct inode *inode, bool on, u32 *iflags)
{
	struct nexus_inode *ni = NEXUS_I(inode);

	if (on == !!(*iflags & NEXUS_IF_NODATACOW))
		return 0;
	if (!(ni->zone->features & NEXUS_INCOMPAT_NODATACOW) ||
	    (!S_ISREG(inode->i_mode) && !S_ISDIR(inode->i_mode)) ||
	    *iflags & NEXUS_IF_STREAM)
		return -EOPNOTSUPP;
	if (S_ISREG(inode->i_mode) && (i_size_read(inode) || inode->i_blocks))
		return -EINVAL;
	*iflags ^= NEXUS_IF_NODATACOW;
	return 0;
}

/*
 * After the flag was set: what is dirty in the page cache is the last of it, and stores
 * to mappings fault from now on.  i_rwsem held.
 */
static int nexus_made_immutable(struct inode *inode)
{
	return nexus_dio_wait(inode) ?:
	       nexus_write_and_wait(inode, 0, LLONG_MAX);
}

/* i_rwsem held. */
int nexus_fileattr_set(struct mnt_idmap *idmap, struct dentry *dentry,
		       NEXUS_FILEATTR *fa)
{
	struct inode *inode = d_inode(dentry);
	struct nexus_inode *ni = NEXUS_I(inode);
	struct timespec64 now = nexus_after(inode, current_time(inode));
	struct nexus_newattr new = {
		.mask = NEXUS_SA_PROJID | NEXUS_SA_FLAGS | NEXUS_SA_CTIME,
		.mode = inode->i_mode,
		.uid = inode->i_uid,
		.gid = inode->i_gid,
		.projid = fa->fsx_projid,
		.iflags = ni->iflags,
		.ctime = now,
	};
	NEXUS_FILEATTR old = {};
	u32 flags = fa->flags, change;
	bool frozen;
	unsigned int i;
	int err;

	if (test_bit(NEXUS_I_SYS, &ni->state))
		return -EPERM;
	nexus_fileattr_get(dentry, &old);
	change = flags ^ old.flags;
	if (change & ~nexus_flags_of(inode->i_mode) ||
	    fa->fsx_xflags & ~(FS_XFLAG_COMMON | FS_XFLAG_HASATTR) ||
	    fa->fsx_extsize || fa->fsx_cowextsize)
		return -EOPNOTSUPP;
	if (!S_ISDIR(inode->i_mode))
		change &= ~FS_PROJINHERIT_FL;
	/* What is immutable and stays so does not change in anything else. */
	if (old.flags & flags & FS_IMMUTABLE_FL &&
	    (change || new.projid != ni->projid))
		return -EPERM;
	err = nexus_set_nodatacow(inode, flags & FS_NOCOW_FL, &new.iflags);
	if (err)
		return err;
	change &= ~FS_NOCOW_FL;
	for (i = 0; i < ARRAY_SIZE(nexus_flag); i++)
		if (change & nexus_flag[i].fl)
			new.iflags ^= nexus_flag[i].iflag;
	if (new.projid == ni->projid && new.iflags == ni->iflags)
		return 0;
	frozen = change & flags & FS_IMMUTABLE_FL && S_ISREG(inode->i_mode);
	err = nexus_log_attr(inode, &new, now);
	return err ?: frozen ? nexus_made_immutable(inode) : 0;
}

const struct inode_operations nexus_special_iops = {
	.getattr	= nexus_getattr,
	.setattr	= nexus_setattr,
	.listxattr	= nexus_listxattr,
	.get_inode_acl	= nexus_get_acl,
	.set_acl	= nexus_set_acl,
	.fileattr_get	= nexus_fileattr_get,
	.fileattr_set	= nexus_fileattr_set,
};
