// SPDX-License-Identifier: GPL-2.0-only
/*
 * Symbolic links.  The target is read once and stays with the inode, which
 * frees it after a grace period, so that walks under RCU may use it.
 */
#include <linux/slab.h>

#include "xattr.h"

static const char *nexus_get_link(struct dentry *dentry, struct inode *inode,
				  struct delayed_call *done)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	char *link, *buf;
	u64 applied;
	int n;

	/* Pairs with cmpxchg() below: the target is there with its bytes. */
	link = smp_load_acquire(&ni->link);
	if (link)
		return link;
	if (!dentry)
		return ERR_PTR(-ECHILD);

	buf = kmalloc(NEXUS_SYMLINK_MAX, GFP_KERNEL);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	n = nexus_ms_read(ni->zone, NEXUS_OP_READLINK, inode->i_ino, 0, 0,
			  NULL, 0, READ_ONCE(ni->last_lsn), buf,
			  NEXUS_SYMLINK_MAX, &applied);
	if (n < 0) {
		link = ERR_PTR(n);
		goto out;
	}
	if (n != i_size_read(inode) || memchr(buf, '\0', n)) {
		nexus_err(ni->zone, "inode %llu: the link target read does not fit the inode",
			  (u64)inode->i_ino);
		link = ERR_PTR(-EIO);
		goto out;
	}
	link = kmemdup_nul(buf, n, GFP_KERNEL);
	if (!link) {
		link = ERR_PTR(-ENOMEM);
		goto out;
	}
	/* The first one stays. */
	if (cmpxchg(&ni->link, NULL, link)) {
		kfree(link);
		link = ni->link;
	}
out:
	kfree(buf);
	return link;
}

const struct inode_operations nexus_symlink_iops = {
	.get_link	= nexus_get_link,
	.getattr	= nexus_getattr,
	.setattr	= nexus_setattr,
	.listxattr	= nexus_listxattr,
};
