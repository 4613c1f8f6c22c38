// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attributes that a new inode begins with: ACLs inherited from its directory and labels
 * of security modules.  They are part of the record that creates it.
 */
#include <linux/fs.h>
#include <linux/security.h>
#include <linux/slab.h>

#include "xattr.h"

/* Two ACLs and 3 KiB of labels; a name and a symlink's target fit the record beside them. */
#define NEXUS_XATTR_PART_MAX	(2 * NEXUS_ACL_MAX + 3072u)
static_assert(sizeof(struct nexus_rec_create) + NEXUS_NAME_MAX + 1 + NEXUS_SYMLINK_MAX + 1 +
	      NEXUS_XATTR_PART_MAX <= NEXUS_REC_LEN_MAX);

int nexus_xattr_part_add(struct nexus_xattr_part *part, const char *prefix,
			 const char *name, const void *value, size_t len)
{
	size_t plen = strlen(prefix), namelen = plen + strlen(name);
	size_t size = nexus_rec_xattr_len(namelen, len);
	char full[NEXUS_XATTR_NAME_MAX + 1];
	void *buf;

	if (namelen > NEXUS_XATTR_NAME_MAX || len > NEXUS_XATTR_VALUE_MAX ||
	    part->len + size > NEXUS_XATTR_PART_MAX)
		return -ENOSPC;
	memcpy(full, prefix, plen);
	memcpy(full + plen, name, namelen - plen + 1);
	buf = kvmalloc(part->len + size, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	if (part->len)
		memcpy(buf, part->buf, part->len);
	kvfree(part->buf);
	part->buf = buf;
	part->len += nexus_rec_put_xattr(buf + part->len, full, namelen, value, len);
	return 0;
}

/* Called by the security modules that have a label. */
static int nexus_label_new(struct inode *inode, const struct xattr *label, void *part)
{
	int err = 0;

	for (; label->name && !err; label++)
		err = nexus_xattr_part_add(part, XATTR_SECURITY_PREFIX, label->name,
					   label->value, label->value_len);
	return err;
}

/* What is in memory of it from the beginning; nobody else knows @inode. */
static int nexus_xattr_part_cache(struct inode *inode, const struct nexus_xattr_part *part)
{
	const void *p = part->buf, *end = p + part->len;

	while (p < end) {
		const struct nexus_rec_xattr *x = p;
		size_t namelen = le16_to_cpu(x->namelen), len = le32_to_cpu(x->vallen);
		char name[NEXUS_XATTR_NAME_MAX + 1];
		struct nexus_xattr *new;

		memcpy(name, x->data, namelen);
		name[namelen] = '\0';
		new = nexus_xattr_alloc(name, namelen, nexus_xattr_is_acl(name) ? NULL :
					x->data + namelen, len);
		if (IS_ERR(new))
			return PTR_ERR(new);
		nexus_xattr_put(NEXUS_I(inode), name, new);
		p += nexus_rec_xattr_len(namelen, len);
	}
	return 0;
}

int nexus_xattr_new(struct inode *inode, struct inode *dir, const struct qstr *name,
		    struct nexus_xattr_part *part)
{
	int err;

	err = nexus_acl_inherit(inode, dir, part);
	if (!err)
		err = security_inode_init_security(inode, dir, name, nexus_label_new,
						   part);
	if (!err)
		err = nexus_xattr_part_cache(inode, part);
	return err;
}
