// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looking at a ring, and closing it, by name: without a file of one's own on either side,
 * which would let those through who wait in open(2) for somebody to talk to.
 */
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/uaccess.h>

#include "ring.h"

static void nexus_ring_stat_of(struct inode *inode, struct nexus_ring *ring,
			       struct nexus_ring_stat *st)
{
	if (ring)
		nexus_ring_fill_stat(ring, st);
	else
		*st = (struct nexus_ring_stat){
			.capacity = get_unaligned_le64(NEXUS_I(inode)->target),
		};
}

static int nexus_ring_do_at(struct inode *inode, unsigned int cmd, struct nexus_ring_at *at)
{
	struct nexus_ring *ring = nexus_ring_find(inode);
	int ret;

	switch (cmd) {
	case NEXUS_IOC_RING_STAT_AT:
		nexus_ring_stat_of(inode, ring, &at->stat);
		ret = 0;
		break;
	case NEXUS_IOC_RING_PEEK_AT:
		ret = ring ? nexus_ring_peek(ring, &at->peek) : -EAGAIN;
		if (ret < 0)
			break;
		at->peek.next = ret;
		ret = 0;
		break;
	default:
		ret = ring ? nexus_ring_close(ring) : -ENXIO;
	}
	if (ring)
		nexus_ring_put(inode, ring);
	return ret;
}

/* What is known of the name in @dir, with a reference, if it is a ring and @may be done. */
static struct dentry *nexus_ring_find_at(struct file *dir, const u8 *name, int may)
{
	struct mnt_idmap *idmap = file_mnt_idmap(dir);
	struct dentry *dentry;
	int len, err = -ENOENT;

	len = nexus_ring_name_len(name);
	if (len < 0)
		return ERR_PTR(len);
	dentry = nexus_lookup_one_unlocked(idmap, (const char *)name, len, dir->f_path.dentry);
	if (IS_ERR(dentry))
		return dentry;
	if (d_is_positive(dentry)) {
		err = -ENOTTY;
		if (NEXUS_I(d_inode(dentry))->iflags & NEXUS_IF_RING)
			err = inode_permission(idmap, d_inode(dentry), may);
	}
	if (!err)
		return dentry;
	dput(dentry);
	return ERR_PTR(err);
}

long nexus_ring_at(struct file *dir, unsigned int cmd, unsigned long arg)
{
	struct nexus_ring_at __user *user = (void __user *)arg;
	struct nexus_ring_at at;
	struct dentry *dentry;
	int err;

	if (!S_ISDIR(file_inode(dir)->i_mode))
		return -ENOTDIR;
	if (copy_from_user(&at, user, sizeof(at)))
		return -EFAULT;
	dentry = nexus_ring_find_at(dir, at.name, cmd == NEXUS_IOC_RING_CLOSE_AT ?
				    MAY_WRITE : MAY_READ);
	if (IS_ERR(dentry))
		return PTR_ERR(dentry);
	err = nexus_ring_do_at(d_inode(dentry), cmd, &at);
	dput(dentry);
	if (err || cmd == NEXUS_IOC_RING_CLOSE_AT)
		return err;
	return copy_to_user(user, &at, sizeof(at)) ? -EFAULT : 0;
}
