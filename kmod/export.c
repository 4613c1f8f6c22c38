// SPDX-License-Identifier: GPL-2.0-only
/*
 * File handles: for open_by_handle_at(), the kernel's NFS server, fanotify and
 * overlayfs.
 *
 * A handle is the inode's number and generation, the kernel's generic format.  Both
 * are the zone's and stay: handles outlive remounts, helpers, evictions.  A number is
 * never given out twice; the generation makes a handle hard to guess, and tells zones
 * apart that were made from one dump.
 *
 * Files below __sys__ have handles that nothing opens (ESTALE): fanotify names them so.
 */
#include <linux/exportfs.h>

#include "nexusfs.h"

/* In words of 32 bits: number and generation, and the same of the parent. */
#define NEXUS_FH_LEN		3
#define NEXUS_FH_PARENT_LEN	6

static void nexus_fh_put(u32 *fh, const struct inode *inode)
{
	u64 ino = inode->i_ino;

	memcpy(fh, &ino, sizeof(ino));
	fh[2] = inode->i_generation;
}

static int nexus_encode_fh(struct inode *inode, u32 *fh, int *max_len,
			   struct inode *parent)
{
	int room = *max_len;

	*max_len = parent ? NEXUS_FH_PARENT_LEN : NEXUS_FH_LEN;
	if (room < *max_len)
		return FILEID_INVALID;
	nexus_fh_put(fh, inode);
	if (!parent)
		return FILEID_INO64_GEN;
	nexus_fh_put(fh + NEXUS_FH_LEN, parent);
	return FILEID_INO64_GEN_PARENT;
}

/*
 * The inode that a handle names, from the cache or asked for.  One without a name
 * is found as long as it is in use, as with ext4.
 */
static struct inode *nexus_fh_inode(struct super_block *sb, const u32 *fh)
{
	struct inode *inode;
	u64 ino;

	memcpy(&ino, fh, sizeof(ino));
	if (!ino || ino >= NEXUS_SYS_INO)
		return ERR_PTR(-ESTALE);
	inode = nexus_iget(sb, ino);
	if (IS_ERR(inode)) {
		switch (PTR_ERR(inode)) {
		case -ENOENT:
			return ERR_PTR(-ESTALE);
		case -EINTR:
		case -ENOTCONN:
			/* An NFS client comes again, and does not give the file up. */
			return ERR_PTR(-ETIMEDOUT);
		}
		return inode;
	}
	if (inode->i_generation != fh[2]) {
		iput(inode);
		return ERR_PTR(-ESTALE);
	}
	return inode;
}

static struct dentry *nexus_fh_to_dentry(struct super_block *sb, struct fid *fid,
					 int fh_len, int fh_type)
{
	switch (fh_type) {
	case FILEID_INO64_GEN:
	case FILEID_INO64_GEN_PARENT:
		if (fh_len < NEXUS_FH_LEN)
			return NULL;
		return d_obtain_alias(nexus_fh_inode(sb, fid->raw));
	}
	return NULL;
}

static struct dentry *nexus_fh_to_parent(struct super_block *sb, struct fid *fid,
					 int fh_len, int fh_type)
{
	struct inode *inode;

	if (fh_type != FILEID_INO64_GEN_PARENT || fh_len < NEXUS_FH_PARENT_LEN)
		return NULL;
	inode = nexus_fh_inode(sb, fid->raw + NEXUS_FH_LEN);
	if (!IS_ERR(inode) && !S_ISDIR(inode->i_mode)) {
		iput(inode);
		return NULL;
	}
	return d_obtain_alias(inode);
}

/* The child's i_rwsem is held: it stays in its parent. */
static struct dentry *nexus_get_parent(struct dentry *child)
{
	struct nexus_inode *ni = NEXUS_I(d_inode(child));
	struct inode *parent;

	if (!ni->parent)
		return ERR_PTR(-ENOENT);
	parent = nexus_iget(child->d_sb, ni->parent);
	/* The VFS takes for granted what is above a directory. */
	if (!IS_ERR(parent) && !S_ISDIR(parent->i_mode)) {
		nexus_err(ni->zone, "inode %llu, parent of directory %llu, is no directory",
			  (u64)parent->i_ino, (u64)ni->vfs.i_ino);
		iput(parent);
		return ERR_PTR(-EIO);
	}
	return d_obtain_alias(parent);
}

/*
 * A name of @child in @parent; the caller looks whether it still is.  @name has room
 * for NAME_MAX bytes and a NUL.
 */
static int nexus_get_name(struct dentry *parent, char *name, struct dentry *child)
{
	struct nexus_inode *ni = NEXUS_I(d_inode(child));
	u64 dir = d_inode(parent)->i_ino, applied;
	struct {
		struct nexus_name_reply head;
		u8 name[NAME_MAX];
	} reply;
	int n;

	if (test_bit(NEXUS_I_SYS, &ni->state))
		return -ENOENT;
	n = nexus_ms_read(ni->zone, NEXUS_OP_GETNAME, ni->vfs.i_ino, dir, 0, NULL,
			  0, READ_ONCE(ni->last_lsn), &reply, sizeof(reply),
			  &applied);
	if (n < 0)
		return n;
	/* The root has none. */
	if (!reply.head.namelen)
		return -ENOENT;
	memcpy(name, reply.name, reply.head.namelen);
	name[reply.head.namelen] = '\0';
	return 0;
}

/* Before the NFS server answers a client that a change was made. */
static int nexus_commit_metadata(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	int err;

	err = nexus_times_reserve(inode);
	if (!err)
		err = sync_inode_metadata(inode, 1);
	return err ?: nexus_log_flush(ni->zone, READ_ONCE(ni->last_lsn));
}

const struct export_operations nexus_export_ops = {
	.encode_fh	= nexus_encode_fh,
	.fh_to_dentry	= nexus_fh_to_dentry,
	.fh_to_parent	= nexus_fh_to_parent,
	.get_parent	= nexus_get_parent,
	.get_name	= nexus_get_name,
	.commit_metadata = nexus_commit_metadata,
};
