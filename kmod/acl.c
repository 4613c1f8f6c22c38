// SPDX-License-Identifier: GPL-2.0-only
/*
 * POSIX ACLs: attributes with the bytes of Linux' own xattr form.  The VFS keeps them in
 * memory; the tree of attributes has their names only.
 *
 * An access ACL and the mode say one thing twice.  They change in one record where the
 * zone has that (incompat bit ACLMODE); elsewhere the mode is logged first.
 */
#include <linux/fs.h>
#include <linux/posix_acl_xattr.h>
#include <linux/slab.h>

#include "xattr.h"

static u32 nexus_acl_id(const struct posix_acl_entry *entry)
{
	switch (entry->e_tag) {
	case ACL_USER:
		return from_kuid(&init_user_ns, entry->e_uid);
	case ACL_GROUP:
		return from_kgid(&init_user_ns, entry->e_gid);
	}
	return ACL_UNDEFINED_ID;
}

/* The bytes of @acl, for kvfree(); or ERR_PTR. */
static void *nexus_acl_value(const struct posix_acl *acl, size_t *len)
{
	const struct posix_acl_entry *from, *end;
	struct posix_acl_xattr_header *head;
	struct posix_acl_xattr_entry *to;

	*len = posix_acl_xattr_size(acl->a_count);
	/* As on ext4 when it does not fit. */
	if (*len > NEXUS_ACL_MAX)
		return ERR_PTR(-ENOSPC);
	head = kvmalloc(*len, GFP_KERNEL);
	if (!head)
		return ERR_PTR(-ENOMEM);
	head->a_version = cpu_to_le32(POSIX_ACL_XATTR_VERSION);
	to = (void *)(head + 1);
	FOREACH_ACL_ENTRY(from, acl, end) {
		to->e_tag = cpu_to_le16(from->e_tag);
		to->e_perm = cpu_to_le16(from->e_perm);
		to->e_id = cpu_to_le32(nexus_acl_id(from));
		to++;
	}
	return head;
}

/* The VFS keeps what this returns; it calls with @rcu where it must not sleep. */
struct posix_acl *nexus_get_acl(struct inode *inode, int type, bool rcu)
{
	struct posix_acl *acl;
	void *value;
	int n;

	if (rcu)
		return ERR_PTR(-ECHILD);
	n = nexus_xattr_get_alloc(inode, posix_acl_xattr_name(type), &value);
	if (n < 0)
		return n == -ENODATA ? NULL : ERR_PTR(n);
	acl = posix_acl_from_xattr(&init_user_ns, value, n);
	kvfree(value);
	/* One without entries is none that anybody could have set, either. */
	if (!IS_ERR_OR_NULL(acl) || acl == ERR_PTR(-ENOMEM))
		return acl;
	nexus_err(NEXUS_I(inode)->zone, "inode %llu: its ACL is damaged",
		  (u64)inode->i_ino);
	return ERR_PTR(-EIO);
}

/* @acl (NULL: none) and @mode, in one record if that is possible; i_rwsem held. */
static int nexus_acl_log(struct inode *inode, struct posix_acl *acl, int type,
			 umode_t mode)
{
	struct nexus_zone *zone = NEXUS_I(inode)->zone;
	bool remode = mode != inode->i_mode;
	void *value = NULL;
	size_t len = 0;
	int err = 0;

	if (acl) {
		value = nexus_acl_value(acl, &len);
		if (IS_ERR(value))
			return PTR_ERR(value);
	}
	if (remode && !(zone->features & NEXUS_INCOMPAT_ACLMODE)) {
		err = nexus_log_mode(inode, mode);
		remode = false;
	}
	if (!err)
		err = nexus_xattr_set(inode, posix_acl_xattr_name(type), value, len, 0,
				      remode ? &mode : NULL);
	/* There was none. */
	if (err == -ENODATA && !acl)
		err = remode ? nexus_log_mode(inode, mode) : 0;
	if (!err)
		set_cached_acl(inode, type, acl);
	kvfree(value);
	return err;
}

int nexus_set_acl(struct mnt_idmap *idmap, struct dentry *dentry,
		  struct posix_acl *acl, int type)
{
	struct inode *inode = d_inode(dentry);
	umode_t mode = inode->i_mode;
	int err;

	if (type == ACL_TYPE_DEFAULT && !S_ISDIR(mode))
		return acl ? -EACCES : 0;
	if (type == ACL_TYPE_ACCESS && acl) {
		/* No ACL is left of one that says what a mode says. */
		err = posix_acl_update_mode(idmap, inode, &mode, &acl);
		if (err)
			return err;
	}
	return nexus_acl_log(inode, acl, type, mode);
}

int nexus_acl_chmod(struct inode *inode, umode_t mode)
{
	struct posix_acl *acl;
	int err;

	if (!IS_POSIXACL(inode) || !((mode ^ inode->i_mode) & 0777))
		return 0;
	acl = get_inode_acl(inode, ACL_TYPE_ACCESS);
	if (IS_ERR_OR_NULL(acl))
		return PTR_ERR_OR_ZERO(acl);
	/* Gives the ACL back and makes another one. */
	err = __posix_acl_chmod(&acl, GFP_KERNEL, mode);
	if (err)
		return err;
	err = nexus_acl_log(inode, acl, ACL_TYPE_ACCESS, mode);
	posix_acl_release(acl);
	return err ?: 1;
}

/* ---- of new inodes --------------------------------------------------------------- */

/* Takes over the reference of @acl, which may be NULL. */
static int nexus_acl_new(struct inode *inode, struct posix_acl *acl, int type,
			 struct nexus_xattr_part *part)
{
	void *value;
	size_t len;
	int err;

	if (!acl)
		return 0;
	value = nexus_acl_value(acl, &len);
	err = PTR_ERR_OR_ZERO(value);
	if (!err) {
		err = nexus_xattr_part_add(part, "", posix_acl_xattr_name(type), value,
					   len);
		kvfree(value);
	}
	if (!err)
		set_cached_acl(inode, type, acl);
	posix_acl_release(acl);
	return err;
}

int nexus_acl_inherit(struct inode *inode, struct inode *dir,
		      struct nexus_xattr_part *part)
{
	struct posix_acl *def, *acl;
	int err, err2;

	err = posix_acl_create(dir, &inode->i_mode, &def, &acl);
	if (err)
		return err;
	err = nexus_acl_new(inode, def, ACL_TYPE_DEFAULT, part);
	err2 = nexus_acl_new(inode, acl, ACL_TYPE_ACCESS, part);
	return err ?: err2;
}
