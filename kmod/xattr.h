/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Extended attributes.
 *
 * Either all names an inode's attributes have are in memory (NEXUS_I_XATTRS) or none
 * is; of the values those that were read or set, as far as they fit the bound.  Once
 * the names are known they stay so until the inode is evicted: changes wait for the
 * helper at most once, and those of new inodes never.
 *
 * A change holds i_rwsem exclusively and the log_mutex; xattr_lock, inside of it, is
 * for readers, which hold neither.
 */
#ifndef NEXUS_KMOD_XATTR_H
#define NEXUS_KMOD_XATTR_H

#include <linux/fs.h>
#include <linux/posix_acl.h>	/* needs the types of fs.h */
#include <linux/xattr.h>

#include "nexusfs.h"

/*
 * The longest ACL, of 4,095 entries: an access ACL and a default one fit the record that
 * creates a directory, with the labels of security modules beside them.
 */
#define NEXUS_ACL_MAX	(32u << 10)

/* ---- xattr_cache.c ------------------------------------------------------------ */

struct nexus_xattr;

/*
 * One for the tree; without a value (NULL, or too much in memory already) only the
 * name will be known.  ERR_PTR(-ENOMEM).
 */
struct nexus_xattr *nexus_xattr_alloc(const char *name, size_t namelen,
				      const void *value, size_t len);
void nexus_xattr_free(struct nexus_xattr *x);
/*
 * Adds @x, which may replace one of that name (freed); values that exceed the bound are
 * left out.  NULL: @name goes.  Nothing here fails.
 */
void nexus_xattr_put(struct nexus_inode *ni, const char *name, struct nexus_xattr *x);
/* -ENODATA: no such name; -EAGAIN: it must be asked for; -ERANGE; or the length. */
int nexus_xattr_cached(struct nexus_inode *ni, const char *name, void *buf, size_t size);
/* All names are known: is @name one of them? */
bool nexus_xattr_there(struct nexus_inode *ni, const char *name);
/* Names, NUL-terminated, for whom @show is true; length, or -ERANGE. */
ssize_t nexus_xattr_names(struct nexus_inode *ni, char *buf, size_t size,
			  bool (*show)(const struct inode *inode, const char *name,
				       bool admin));
/* log_mutex held: @root becomes what is known of @ni, if nothing is yet; else it is freed. */
void nexus_xattr_learn(struct nexus_inode *ni, struct rb_root *root);
/* Adds to a tree that nobody else knows.  -EEXIST. */
int nexus_xattr_collect(struct rb_root *root, struct nexus_xattr *x);
void nexus_xattr_free_all(struct rb_root *root);
/* evict_inode. */
void nexus_xattr_evict(struct nexus_inode *ni);

/* ---- xattr.c -------------------------------------------------------------------- */

extern const struct xattr_handler * const nexus_xattr_handlers[];
ssize_t nexus_listxattr(struct dentry *dentry, char *buf, size_t size);
/* By full name; as ->get of a handler.  May wait for the helper, killably. */
int nexus_xattr_get(struct inode *inode, const char *name, void *buf, size_t size);
/*
 * The same for names of which values are not kept, or into memory of its own: *@val, for
 * kvfree() if the length is not an error.
 */
int nexus_xattr_get_alloc(struct inode *inode, const char *name, void **val);
/*
 * Sets, or removes (@value NULL); i_rwsem held.  @mode, if not NULL, becomes i_mode with
 * it.  May wait, killably, for the helper, if the names are not known, and for room.
 */
int nexus_xattr_set(struct inode *inode, const char *name, const void *value,
		    size_t len, int flags, const umode_t *mode);

bool nexus_xattr_is_acl(const char *name);

/* ---- xattr_new.c: attributes that an inode begins with --------------------------- */

/* The xattr part of the record that creates it. */
struct nexus_xattr_part {
	void	*buf;		/* for kvfree() */
	size_t	len;
};

/* The name is @prefix and @name.  0, -ENOMEM, -ENOSPC. */
int nexus_xattr_part_add(struct nexus_xattr_part *part, const char *prefix,
			 const char *name, const void *value, size_t len);
/*
 * ACLs and labels of @inode, which is new in @dir and which nobody else knows; sets the
 * mode, too.  @name may be NULL.  May wait for the helper, killably, for the directory's
 * ACL, under its i_rwsem.
 */
int nexus_xattr_new(struct inode *inode, struct inode *dir, const struct qstr *name,
		    struct nexus_xattr_part *part);

/* ---- acl.c ------------------------------------------------------------------------ */

#ifdef CONFIG_FS_POSIX_ACL
struct posix_acl *nexus_get_acl(struct inode *inode, int type, bool rcu);
int nexus_set_acl(struct mnt_idmap *idmap, struct dentry *dentry,
		  struct posix_acl *acl, int type);
/*
 * Sets @mode if the access ACL has to change with it; i_rwsem held.  1: done, 0: there is
 * no such ACL; or -errno.
 */
int nexus_acl_chmod(struct inode *inode, umode_t mode);
/* Of @dir's default ACL: ACLs and mode of a new inode.  As nexus_xattr_new(). */
int nexus_acl_inherit(struct inode *inode, struct inode *dir,
		      struct nexus_xattr_part *part);
#else
#define nexus_get_acl	NULL
#define nexus_set_acl	NULL
static inline int nexus_acl_chmod(struct inode *inode, umode_t mode)
{
	return 0;
}

static inline int nexus_acl_inherit(struct inode *inode, struct inode *dir,
				    struct nexus_xattr_part *part)
{
	return 0;
}
#endif

/* attr.c: the mode alone; i_rwsem held. */
int nexus_log_mode(struct inode *inode, umode_t mode);

#endif /* NEXUS_KMOD_XATTR_H */
