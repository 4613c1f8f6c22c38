// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extended attributes: getxattr, setxattr, listxattr, and the facts of nexus.*.
 *
 * What is read from the helper enters memory only if no attribute of the inode has
 * changed since before it was asked for: a value may take several requests, which are
 * answered from several states.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "xattr.h"

bool nexus_xattr_is_acl(const char *name)
{
	return !strcmp(name, XATTR_NAME_POSIX_ACL_ACCESS) ||
	       !strcmp(name, XATTR_NAME_POSIX_ACL_DEFAULT);
}

/* ---- from the helper ---------------------------------------------------------- */

/* What an answer must include, and what it must not have missed. */
struct nexus_xattr_since {
	u64 changed;		/* last change of an attribute */
	u64 not_before;
};

static struct nexus_xattr_since nexus_xattr_begin(const struct nexus_inode *ni)
{
	return (struct nexus_xattr_since){
		.changed = READ_ONCE(ni->xattr_lsn),
		.not_before = READ_ONCE(ni->last_lsn),
	};
}

/* log_mutex held. */
static bool nexus_xattr_unchanged(const struct nexus_inode *ni,
				  const struct nexus_xattr_since *since)
{
	lockdep_assert_held(&ni->log_mutex);
	return ni->xattr_lsn == since->changed;
}

/* Adds the names of a reply, which nexus_reply_check() has seen.  Their number or -errno. */
static int nexus_xattr_add_names(struct rb_root *root, const char *p, int n, size_t *list)
{
	const char *end = p + n;
	int count = 0, err;

	while (p < end) {
		size_t len = strlen(p);
		struct nexus_xattr *x;

		*list += len + 1;
		if (*list > XATTR_LIST_MAX)
			return -EIO;
		x = nexus_xattr_alloc(p, len, NULL, 0);
		if (IS_ERR(x))
			return PTR_ERR(x);
		err = nexus_xattr_collect(root, x);
		if (err) {
			nexus_xattr_free(x);
			return -EIO;
		}
		p += len + 1;
		count++;
	}
	return count;
}

static int nexus_xattr_ask_names(struct nexus_inode *ni, u64 not_before,
				 struct rb_root *root)
{
	u64 applied, cursor = 0;
	size_t list = 0, len;
	void *buf;
	int n;

	buf = kvmalloc(NEXUS_REPLY_DATA_MAX, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	do {
		n = nexus_ms_read(ni->zone, NEXUS_OP_LISTXATTR, ni->vfs.i_ino, cursor,
				  0, NULL, 0, not_before, buf, NEXUS_REPLY_DATA_MAX,
				  &applied);
		len = max(n, 0);
		if (n > 0) {
			n = nexus_xattr_add_names(root, buf, n, &list);
			if (n == -EIO)
				nexus_err(ni->zone, "inode %llu: the list of its attributes is too long, or has a name twice",
					  (u64)ni->vfs.i_ino);
		}
		if (n < 0)
			break;
		cursor += n;
		/* A reply that has room for another name is the last one. */
	} while (len + NEXUS_XATTR_NAME_MAX + 1 > NEXUS_REPLY_DATA_MAX);
	kvfree(buf);
	/* Of the helper's words, this one would have callers ask for ever. */
	if (n == -EAGAIN)
		return -EIO;
	if (n < 0)
		return n == -ENOENT ? -ESTALE : n;
	return 0;
}

/* Has the names in memory. */
static int nexus_xattr_load(struct nexus_inode *ni)
{
	struct nexus_xattr_since since;
	struct rb_root root = RB_ROOT;
	bool done;
	int err;

	/* Pairs with nexus_xattr_learn(). */
	while (!test_bit_acquire(NEXUS_I_XATTRS, &ni->state)) {
		since = nexus_xattr_begin(ni);
		err = nexus_xattr_ask_names(ni, since.not_before, &root);
		if (err) {
			nexus_xattr_free_all(&root);
			return err;
		}
		mutex_lock(&ni->log_mutex);
		done = nexus_xattr_unchanged(ni, &since);
		if (done)
			nexus_xattr_learn(ni, &root);
		mutex_unlock(&ni->log_mutex);
		nexus_xattr_free_all(&root);
		if (!done && fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

/* All of a value; *@val is for kvfree().  Its length or -errno. */
static int nexus_xattr_ask_value(struct nexus_inode *ni, const char *name,
				 u64 not_before, void **val)
{
	struct nexus_xattr_reply *rep;
	u32 at = 0, total = 0;
	u64 applied;
	int n;

	rep = kvmalloc(NEXUS_REPLY_DATA_MAX, GFP_KERNEL);
	if (!rep)
		return -ENOMEM;
	do {
		/* nexus_reply_check() has seen to lengths. */
		n = nexus_ms_read(ni->zone, NEXUS_OP_GETXATTR, ni->vfs.i_ino, at, 0,
				  name, strlen(name), not_before, rep,
				  NEXUS_REPLY_DATA_MAX, &applied);
		if (n < 0)
			break;
		if (!*val) {
			total = rep->total;
			*val = kvmalloc(max(total, 1u), GFP_KERNEL);
			if (!*val) {
				n = -ENOMEM;
				break;
			}
		}
		n -= sizeof(*rep);
		/* Another length: it was changed in between, which the caller finds out. */
		if (rep->total != total) {
			n = -EAGAIN;
			break;
		}
		memcpy(*val + at, rep->data, n);
		at += n;
	} while (at < total);
	kvfree(rep);
	if (n < 0)
		return n == -ENOENT ? -ESTALE : n;
	return total;
}

/*
 * Asks for a value that the names in memory have, and keeps it there if there is room.
 * Its length; -EAGAIN: something was changed, look again.  *@val is for kvfree().
 */
static int nexus_xattr_fetch(struct nexus_inode *ni, const char *name, void **val)
{
	struct nexus_xattr_since since = nexus_xattr_begin(ni);
	struct nexus_xattr *x = NULL;
	bool done;
	int n;

	n = nexus_xattr_ask_value(ni, name, since.not_before, val);
	if (n < 0 && n != -ENODATA && n != -EAGAIN)
		return n;
	if (n >= 0 && !nexus_xattr_is_acl(name)) {
		x = nexus_xattr_alloc(name, strlen(name), *val, n);
		if (IS_ERR(x))
			return PTR_ERR(x);
	}
	mutex_lock(&ni->log_mutex);
	done = nexus_xattr_unchanged(ni, &since);
	if (done && x) {
		nexus_xattr_put(ni, name, x);
		x = NULL;
	}
	mutex_unlock(&ni->log_mutex);
	nexus_xattr_free(x);
	if (!done)
		return fatal_signal_pending(current) ? -EINTR : -EAGAIN;
	if (n >= 0)
		return n;
	/* It was listed, and nobody has changed it. */
	nexus_err(ni->zone, "inode %llu: the helper lists an attribute and does not have it",
		  (u64)ni->vfs.i_ino);
	return -EIO;
}

int nexus_xattr_get_alloc(struct inode *inode, const char *name, void **val)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	int n;

	do {
		*val = NULL;
		n = nexus_xattr_load(ni);
		if (!n)
			n = nexus_xattr_there(ni, name) ?
			    nexus_xattr_fetch(ni, name, val) : -ENODATA;
		if (n < 0) {
			kvfree(*val);
			*val = NULL;
		}
	} while (n == -EAGAIN);
	return n;
}

int nexus_xattr_get(struct inode *inode, const char *name, void *buf, size_t size)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	void *val;
	int n;

	if (test_bit(NEXUS_I_SYS, &ni->state))
		return -ENODATA;
	n = nexus_xattr_load(ni);
	if (!n)
		n = nexus_xattr_cached(ni, name, buf, size);
	if (n != -EAGAIN)
		return n;
	n = nexus_xattr_get_alloc(inode, name, &val);
	if (n < 0)
		return n;
	if (size && size < n)
		n = -ERANGE;
	else if (size)
		memcpy(buf, val, n);
	kvfree(val);
	return n;
}

static bool nexus_xattr_show(const struct inode *inode, const char *name, bool admin)
{
	if (nexus_xattr_is_acl(name))
		return IS_POSIXACL(inode);
	return admin || strncmp(name, XATTR_TRUSTED_PREFIX, XATTR_TRUSTED_PREFIX_LEN);
}

ssize_t nexus_listxattr(struct dentry *dentry, char *buf, size_t size)
{
	struct nexus_inode *ni = NEXUS_I(d_inode(dentry));
	int err;

	if (test_bit(NEXUS_I_SYS, &ni->state))
		return 0;
	err = nexus_xattr_load(ni);
	return err ?: nexus_xattr_names(ni, buf, size, nexus_xattr_show);
}

/* ---- changes -------------------------------------------------------------------- */

/* What the VFS does not know; i_rwsem held and the names in memory. */
static int nexus_xattr_may_set(struct nexus_inode *ni, const char *name,
			       const void *value, int flags)
{
	if (nexus_xattr_there(ni, name))
		return value && (flags & XATTR_CREATE) ? -EEXIST : 0;
	if (!value || (flags & XATTR_REPLACE))
		return -ENODATA;
	/* More could not be listed. */
	if (ni->xattr_list + strlen(name) + 1 > XATTR_LIST_MAX)
		return -ENOSPC;
	return 0;
}

struct nexus_xattr_change {
	const char *name;
	struct nexus_xattr *x;	/* NULL: remove */
	const umode_t *mode;
	struct timespec64 now;
};

/* log_mutex held. */
static int nexus_xattr_commit(struct nexus_inode *ni, struct nexus_xattr_change *c,
			      struct nexus_resv *resv, struct nexus_rec_head *rec)
{
	u64 lsn;
	int err;

	err = nexus_mutate(ni->zone, resv, rec, &lsn);
	if (err)
		return err;
	if (c->mode)
		ni->vfs.i_mode = *c->mode;
	inode_set_ctime_to_ts(&ni->vfs, c->now);
	nexus_times_logged(ni, NEXUS_SA_CTIME);
	ni->version++;
	nexus_xattr_put(ni, c->name, c->x);
	c->x = NULL;
	WRITE_ONCE(ni->xattr_lsn, lsn);
	nexus_inode_logged(ni, lsn);
	return 0;
}

int nexus_xattr_set(struct inode *inode, const char *name, const void *value,
		    size_t len, int flags, const umode_t *mode)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_xattr_change c = {
		.name = name,
		.mode = mode,
		.now = nexus_after(inode, current_time(inode)),
	};
	size_t namelen = strlen(name), size;
	struct nexus_resv resv = {};
	void *rec;
	int err;

	if (test_bit(NEXUS_I_SYS, &ni->state))
		return -EPERM;
	if (namelen > NEXUS_XATTR_NAME_MAX || len > NEXUS_XATTR_VALUE_MAX)
		return -E2BIG;
	err = nexus_xattr_load(ni);
	if (!err)
		err = nexus_xattr_may_set(ni, name, value, flags);
	if (err)
		return err;

	size = nexus_rec_setxattr_len(namelen, value ? len : 0);
	rec = kvmalloc(size, GFP_KERNEL);
	if (!rec)
		return -ENOMEM;
	if (value) {
		c.x = nexus_xattr_alloc(name, namelen,
					nexus_xattr_is_acl(name) ? NULL : value, len);
		if (IS_ERR(c.x)) {
			err = PTR_ERR(c.x);
			goto out;
		}
		nexus_rec_setxattr(rec, inode->i_ino, name, namelen, value, len, 0,
				   nexus_ts(c.now));
	} else {
		nexus_rec_removexattr(rec, inode->i_ino, name, namelen,
				      nexus_ts(c.now));
	}
	if (mode)
		nexus_rec_xattr_mode(rec, *mode);
	err = nexus_log_reserve(ni->zone, &resv, size, value ? 0 : NEXUS_RESV_DELETE);
	if (err)
		goto out;
	mutex_lock(&ni->log_mutex);
	err = nexus_xattr_commit(ni, &c, &resv, rec);
	mutex_unlock(&ni->log_mutex);
	nexus_log_unreserve(&resv);
	if (!err && IS_SYNC(inode))
		nexus_settle(ni->zone, READ_ONCE(ni->last_lsn));
out:
	nexus_xattr_free(c.x);
	kvfree(rec);
	return err;
}

/* ---- handlers ---------------------------------------------------------------------- */

static int nexus_handler_get(const struct xattr_handler *handler, struct dentry *dentry,
			     struct inode *inode, const char *name, void *buf,
			     size_t size)
{
	return nexus_xattr_get(inode, xattr_full_name(handler, name), buf, size);
}

static int nexus_handler_set(const struct xattr_handler *handler, struct mnt_idmap *idmap,
			     struct dentry *dentry, struct inode *inode, const char *name,
			     const void *value, size_t size, int flags)
{
	return nexus_xattr_set(inode, xattr_full_name(handler, name), value, size, flags,
			       NULL);
}

static const struct xattr_handler nexus_user_handler = {
	.prefix	= XATTR_USER_PREFIX,
	.get	= nexus_handler_get,
	.set	= nexus_handler_set,
};

static const struct xattr_handler nexus_trusted_handler = {
	.prefix	= XATTR_TRUSTED_PREFIX,
	.get	= nexus_handler_get,
	.set	= nexus_handler_set,
};

static const struct xattr_handler nexus_security_handler = {
	.prefix	= XATTR_SECURITY_PREFIX,
	.get	= nexus_handler_get,
	.set	= nexus_handler_set,
};

/* ---- nexus.*: facts, made up on the spot, in no list, and not to be set ------------- */

static int nexus_fact_get(const struct xattr_handler *handler, struct dentry *dentry,
			  struct inode *inode, const char *name, void *buf, size_t size)
{
	const struct nexus_inode *ni = NEXUS_I(inode);
	char text[NEXUS_ZONE_NAME_LEN];
	int n;

	if (test_bit(NEXUS_I_SYS, &ni->state))
		return -ENODATA;
	if (!strcmp(name, "ino"))
		n = scnprintf(text, sizeof(text), "%llu", (u64)inode->i_ino);
	else if (!strcmp(name, "generation"))
		n = scnprintf(text, sizeof(text), "%u", inode->i_generation);
	else if (!strcmp(name, "version"))
		n = scnprintf(text, sizeof(text), "%llu", nexus_cookie(inode));
	else if (!strcmp(name, "data_id"))
		n = scnprintf(text, sizeof(text), "%llu", READ_ONCE(ni->data_id));
	else if (!strcmp(name, "zone"))
		n = scnprintf(text, sizeof(text), "%s", ni->zone->name);
	else
		return -ENODATA;
	if (size && size < n)
		return -ERANGE;
	if (size)
		memcpy(buf, text, n);
	return n;
}

static int nexus_fact_set(const struct xattr_handler *handler, struct mnt_idmap *idmap,
			  struct dentry *dentry, struct inode *inode, const char *name,
			  const void *value, size_t size, int flags)
{
	return -EPERM;
}

static const struct xattr_handler nexus_fact_handler = {
	.prefix	= "nexus.",
	.get	= nexus_fact_get,
	.set	= nexus_fact_set,
};

const struct xattr_handler * const nexus_xattr_handlers[] = {
	&nexus_user_handler,
	&nexus_trusted_handler,
	&nexus_security_handler,
	&nexus_fact_handler,
	NULL,
};
