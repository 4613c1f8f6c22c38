// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is known of an inode's extended attributes: a tree of their names, with values
 * or without.
 *
 * Names are bounded by what a list can have (XATTR_LIST_MAX), values by the same amount
 * for an inode and by a part of memory for all.  All of it is charged to who read or set
 * it, and freed with the inode, so that the inode shrinker bounds it.
 */
#include <linux/mm.h>
#include <linux/rbtree.h>
#include <linux/slab.h>

#include "xattr.h"

/* Values of one inode that are kept; one of the largest size fits. */
#define NEXUS_XATTR_KEEP	XATTR_SIZE_MAX
/* Values of all inodes: so much of memory. */
#define NEXUS_XATTR_SHARE	64

struct nexus_xattr {
	struct rb_node node;
	void *value;		/* NULL: not in memory; else behind the name */
	u32 len;		/* of the value */
	u16 namelen;
	char name[];		/* with a NUL */
};

/* Bytes of values in memory. */
static atomic_long_t nexus_xattr_bytes = ATOMIC_LONG_INIT(0);

static bool nexus_xattr_room(size_t len)
{
	return ((u64)atomic_long_read(&nexus_xattr_bytes) + len) * NEXUS_XATTR_SHARE <=
	       (u64)totalram_pages() << PAGE_SHIFT;
}

struct nexus_xattr *nexus_xattr_alloc(const char *name, size_t namelen,
				      const void *value, size_t len)
{
	struct nexus_xattr *x;
	size_t size = sizeof(*x) + namelen + 1;

	if (value && nexus_xattr_room(len))
		size += len;
	else
		value = NULL;
	x = kvmalloc(size, GFP_KERNEL_ACCOUNT);
	if (!x)
		return ERR_PTR(-ENOMEM);
	x->namelen = namelen;
	memcpy(x->name, name, namelen);
	x->name[namelen] = '\0';
	x->value = NULL;
	x->len = 0;
	if (value) {
		x->value = x->name + namelen + 1;
		x->len = len;
		memcpy(x->value, value, len);
		atomic_long_add(len, &nexus_xattr_bytes);
	}
	return x;
}

void nexus_xattr_free(struct nexus_xattr *x)
{
	if (IS_ERR_OR_NULL(x))
		return;
	atomic_long_sub(x->len, &nexus_xattr_bytes);
	kvfree(x);
}

static int nexus_xattr_cmp(const void *name, const struct rb_node *node)
{
	return strcmp(name, rb_entry(node, struct nexus_xattr, node)->name);
}

static int nexus_xattr_cmp_node(struct rb_node *new, const struct rb_node *node)
{
	return nexus_xattr_cmp(rb_entry(new, struct nexus_xattr, node)->name, node);
}

/* xattr_lock held, or nobody else knows the tree. */
static struct nexus_xattr *nexus_xattr_find(const struct rb_root *root, const char *name)
{
	struct rb_node *node = rb_find(name, root, nexus_xattr_cmp);

	return node ? rb_entry(node, struct nexus_xattr, node) : NULL;
}

int nexus_xattr_collect(struct rb_root *root, struct nexus_xattr *x)
{
	return rb_find_add(&x->node, root, nexus_xattr_cmp_node) ? -EEXIST : 0;
}

void nexus_xattr_free_all(struct rb_root *root)
{
	struct nexus_xattr *x, *next;

	rbtree_postorder_for_each_entry_safe(x, next, root, node)
		nexus_xattr_free(x);
	*root = RB_ROOT;
}

/* xattr_lock held.  The value of @x is not kept: the memory goes with the name. */
static void nexus_xattr_drop_value(struct nexus_xattr *x)
{
	atomic_long_sub(x->len, &nexus_xattr_bytes);
	x->value = NULL;
	x->len = 0;
}

void nexus_xattr_put(struct nexus_inode *ni, const char *name, struct nexus_xattr *x)
{
	struct nexus_xattr *old;

	spin_lock(&ni->xattr_lock);
	old = nexus_xattr_find(&ni->xattrs, name);
	if (old) {
		ni->xattr_values -= old->len;
		if (!x) {
			ni->xattr_list -= old->namelen + 1;
			rb_erase(&old->node, &ni->xattrs);
		}
	}
	if (x) {
		if (ni->xattr_values + x->len > NEXUS_XATTR_KEEP)
			nexus_xattr_drop_value(x);
		ni->xattr_values += x->len;
		if (old) {
			rb_replace_node(&old->node, &x->node, &ni->xattrs);
		} else {
			ni->xattr_list += x->namelen + 1;
			nexus_xattr_collect(&ni->xattrs, x);
		}
	}
	spin_unlock(&ni->xattr_lock);
	nexus_xattr_free(old);
}

int nexus_xattr_cached(struct nexus_inode *ni, const char *name, void *buf, size_t size)
{
	const struct nexus_xattr *x;
	int ret = -ENODATA;

	/* Pairs with nexus_xattr_learn(): the names are there with the bit. */
	if (!test_bit_acquire(NEXUS_I_XATTRS, &ni->state))
		return -EAGAIN;
	if (RB_EMPTY_ROOT(&ni->xattrs))
		return -ENODATA;
	spin_lock(&ni->xattr_lock);
	x = nexus_xattr_find(&ni->xattrs, name);
	if (x && !x->value) {
		ret = -EAGAIN;
	} else if (x) {
		ret = x->len;
		if (size && size < x->len)
			ret = -ERANGE;
		else if (size)
			memcpy(buf, x->value, x->len);
	}
	spin_unlock(&ni->xattr_lock);
	return ret;
}

bool nexus_xattr_there(struct nexus_inode *ni, const char *name)
{
	bool there;

	spin_lock(&ni->xattr_lock);
	there = nexus_xattr_find(&ni->xattrs, name);
	spin_unlock(&ni->xattr_lock);
	return there;
}

ssize_t nexus_xattr_names(struct nexus_inode *ni, char *buf, size_t size,
			  bool (*show)(const struct inode *inode, const char *name,
				       bool admin))
{
	bool admin = ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN);
	const struct nexus_xattr *x;
	struct rb_node *node;
	ssize_t at = 0;

	spin_lock(&ni->xattr_lock);
	for (node = rb_first(&ni->xattrs); node; node = rb_next(node)) {
		size_t n;

		x = rb_entry(node, struct nexus_xattr, node);
		if (!show(&ni->vfs, x->name, admin))
			continue;
		n = x->namelen + 1;
		if (size && at + n > size) {
			at = -ERANGE;
			break;
		}
		if (size)
			memcpy(buf + at, x->name, n);
		at += n;
	}
	spin_unlock(&ni->xattr_lock);
	return at;
}

void nexus_xattr_learn(struct nexus_inode *ni, struct rb_root *root)
{
	const struct nexus_xattr *x;
	struct rb_node *node;

	lockdep_assert_held(&ni->log_mutex);
	if (!test_bit(NEXUS_I_XATTRS, &ni->state)) {
		spin_lock(&ni->xattr_lock);
		ni->xattrs = *root;
		*root = RB_ROOT;
		for (node = rb_first(&ni->xattrs); node; node = rb_next(node)) {
			x = rb_entry(node, struct nexus_xattr, node);
			ni->xattr_list += x->namelen + 1;
			ni->xattr_values += x->len;
		}
		spin_unlock(&ni->xattr_lock);
		/* Pairs with test_bit_acquire() of readers. */
		smp_mb__before_atomic();
		set_bit(NEXUS_I_XATTRS, &ni->state);
	}
	nexus_xattr_free_all(root);
}

void nexus_xattr_evict(struct nexus_inode *ni)
{
	nexus_xattr_free_all(&ni->xattrs);
}
