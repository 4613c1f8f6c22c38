// SPDX-License-Identifier: GPL-2.0-only
/*
 * /__sys__/: facts about the mount and the zone's settings, made up on the spot.
 *
 * Its inodes are no part of the tree: unhashed, immutable, root's, with numbers
 * from NEXUS_SYS_INO on; nexus_inode.link holds the path below /__sys__/.  The
 * directory is found by its name but not listed.
 *
 *   session		name of the session
 *   stats		counters of the module
 *   locks		path locks and leases of the zone; root's to read, as it names files
 *   zones/NAME		the zone of this mount
 *   cfg/...		settings of the zone, a file each
 */
#include <linux/list.h>
#include <linux/namei.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/stringhash.h>

#include "lease.h"
#include "log/log.h"
#include "plock.h"

#define NEXUS_CFG_NAMES_MAX	4096	/* entries of a folder below cfg/ */
#define NEXUS_SETTINGS_MAX	65536	/* of a zone; a helper could go on for ever */

static const char * const nexus_sys_top[] = { "session", "stats", "locks", "zones", "cfg" };

static const struct inode_operations nexus_sys_dir_iops;
static const struct file_operations nexus_sys_dir_fops;
static const struct inode_operations nexus_sys_file_iops;
static const struct file_operations nexus_sys_file_fops;

static const char *nexus_sys_path(const struct inode *inode)
{
	return NEXUS_I(inode)->link;
}

static u64 nexus_sys_ino(const char *path)
{
	return NEXUS_SYS_INO | full_name_hash(NULL, path, strlen(path));
}

/* ---- settings ------------------------------------------------------------------ */

static int nexus_settings_endless(struct nexus_zone *zone)
{
	nexus_err(zone, "the helper tells of more than %u settings",
		  NEXUS_SETTINGS_MAX);
	return -EIO;
}

/* Calls @fn for each setting until it returns nonzero, which is returned. */
static int nexus_for_settings(struct nexus_zone *zone,
			      int (*fn)(void *arg, const char *path, size_t len,
					const void *val, size_t vallen),
			      void *arg)
{
	const struct nexus_setting_ent *e;
	const char *path;
	u64 applied, cursor = 0;
	int n = 0, ret = 0;
	size_t len;
	void *buf;

	buf = kmalloc(NEXUS_REPLY_DATA_MAX, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	do {
		n = nexus_ms_read(zone, NEXUS_OP_SETTINGS, 0, cursor, 0, NULL,
				  0, 0, buf, NEXUS_REPLY_DATA_MAX, &applied);
		if (n < 0)
			ret = n;
		else if (fatal_signal_pending(current))
			ret = -EINTR;
		else if (n > 0 && cursor >= NEXUS_SETTINGS_MAX)
			ret = nexus_settings_endless(zone);
		for (e = buf; !ret && (void *)e < buf + n;
		     e = (void *)e + e->reclen) {
			path = (const char *)e->data;
			len = e->pathlen;
			while (len && *path == '/') {
				path++;
				len--;
			}
			cursor++;
			ret = fn(arg, path, len, e->data + e->pathlen, e->vallen);
		}
	} while (!ret && n > 0);
	kfree(buf);
	return ret;
}

struct nexus_cfg_find {
	const char *path;
	size_t len;
	struct seq_file *m;	/* gets the value, if not NULL */
};

/* S_IFREG: it is a setting; S_IFDIR: settings are below. */
static int nexus_cfg_match(void *arg, const char *path, size_t len,
			   const void *val, size_t vallen)
{
	struct nexus_cfg_find *f = arg;

	if (len < f->len || memcmp(path, f->path, f->len))
		return 0;
	if (len == f->len) {
		if (f->m)
			seq_write(f->m, val, vallen);
		return S_IFREG;
	}
	return path[f->len] == '/' ? S_IFDIR : 0;
}

/* ---- tree ------------------------------------------------------------------------ */

/* Type of what is at @path, 0 if nothing, or -errno. */
static int nexus_sys_type(struct nexus_zone *zone, const char *path)
{
	struct nexus_cfg_find f = {};

	if (!*path || !strcmp(path, "zones") || !strcmp(path, "cfg"))
		return S_IFDIR;
	if (!strcmp(path, "session") || !strcmp(path, "stats") ||
	    !strcmp(path, "locks"))
		return S_IFREG;
	if (!strncmp(path, "zones/", 6))
		return strcmp(path + 6, zone->name) ? 0 : S_IFREG;
	if (strncmp(path, "cfg/", 4))
		return 0;
	f.path = path + 4;
	f.len = strlen(f.path);
	return nexus_for_settings(zone, nexus_cfg_match, &f);
}

/* @path is kept (and freed also on failure). */
static struct inode *nexus_sys_inode(struct super_block *sb, char *path, int type)
{
	struct inode *inode = new_inode(sb);
	struct nexus_inode *ni;

	if (!inode) {
		kfree(path);
		return ERR_PTR(-ENOMEM);
	}
	ni = NEXUS_I(inode);
	set_bit(NEXUS_I_SYS, &ni->state);
	ni->link = path;
	inode->i_ino = nexus_sys_ino(path);
	inode->i_mode = type == S_IFDIR ? S_IFDIR | 0555 : S_IFREG | 0444;
	/* It names files that not everybody may see. */
	if (!strcmp(path, "locks"))
		inode->i_mode = S_IFREG | 0400;
	inode->i_uid = GLOBAL_ROOT_UID;
	inode->i_gid = GLOBAL_ROOT_GID;
	ni->btime = inode_set_ctime_current(inode);
	inode_set_atime_to_ts(inode, ni->btime);
	inode_set_mtime_to_ts(inode, ni->btime);
	inode->i_flags |= S_IMMUTABLE | S_NOATIME | S_NOCMTIME;
	if (type == S_IFDIR) {
		set_nlink(inode, 2);
		inode->i_op = &nexus_sys_dir_iops;
		inode->i_fop = &nexus_sys_dir_fops;
	} else {
		inode->i_op = &nexus_sys_file_iops;
		inode->i_fop = &nexus_sys_file_fops;
	}
	return inode;
}

static struct dentry *nexus_sys_dir_lookup(struct inode *dir,
					   struct dentry *dentry,
					   unsigned int flags)
{
	const char *parent = nexus_sys_path(dir);
	struct inode *inode;
	char *path;
	int type;

	if (dentry->d_name.len > NEXUS_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	path = kasprintf(GFP_KERNEL, "%s%s%s", parent, *parent ? "/" : "",
			 dentry->d_name.name);
	if (!path)
		return ERR_PTR(-ENOMEM);
	type = nexus_sys_type(NEXUS_I(dir)->zone, path);
	if (type <= 0) {
		kfree(path);
		/* Not cached: settings come and go without the dcache's knowledge. */
		return ERR_PTR(type ?: -ENOENT);
	}
	inode = nexus_sys_inode(dir->i_sb, path, type);
	return d_splice_alias(inode, dentry);
}

/* ---- listing ------------------------------------------------------------------------ */

struct nexus_cfg_name {
	struct list_head node;
	bool is_dir;
	size_t len;
	char name[];
};

struct nexus_cfg_names {
	const char *prefix;	/* "" or a path without trailing slash */
	size_t len;
	unsigned int count;
	struct list_head list;
};

/* Collects the names directly below the prefix, each once. */
static int nexus_cfg_collect(void *arg, const char *path, size_t len,
			     const void *val, size_t vallen)
{
	struct nexus_cfg_names *names = arg;
	struct nexus_cfg_name *n;
	const char *slash;
	size_t part;

	if (names->len) {
		if (len <= names->len + 1 || path[names->len] != '/' ||
		    memcmp(path, names->prefix, names->len))
			return 0;
		path += names->len + 1;
		len -= names->len + 1;
	}
	slash = memchr(path, '/', len);
	part = slash ? slash - path : len;
	if (!nexus_name_ok(path, part))
		return 0;
	list_for_each_entry(n, &names->list, node)
		if (n->len == part && !memcmp(n->name, path, part))
			return 0;
	if (names->count >= NEXUS_CFG_NAMES_MAX)
		return 0;
	n = kmalloc(struct_size(n, name, part + 1), GFP_KERNEL);
	if (!n)
		return -ENOMEM;
	n->is_dir = slash;
	n->len = part;
	memcpy(n->name, path, part);
	n->name[part] = '\0';
	list_add_tail(&n->node, &names->list);
	names->count++;
	return 0;
}

/* Gives out @name if the listing has come to @index; false: the buffer is full. */
static bool nexus_sys_emit(struct dir_context *ctx, const char *parent,
			   const char *name, bool is_dir, unsigned int index)
{
	char *path;
	u64 ino;

	if (ctx->pos > index + 2)
		return true;
	path = kasprintf(GFP_KERNEL, "%s%s%s", parent, *parent ? "/" : "", name);
	if (!path)
		return false;
	ino = nexus_sys_ino(path);
	kfree(path);
	if (!dir_emit(ctx, name, strlen(name), ino, is_dir ? DT_DIR : DT_REG))
		return false;
	ctx->pos = index + 3;
	return true;
}

static int nexus_cfg_iterate(struct nexus_zone *zone, const char *path,
			     struct dir_context *ctx)
{
	struct nexus_cfg_names names = { .prefix = path + 3 };
	struct nexus_cfg_name *n, *next;
	unsigned int i = 0;
	bool room = true;
	int err;

	if (*names.prefix)
		names.prefix++;
	names.len = strlen(names.prefix);
	INIT_LIST_HEAD(&names.list);
	err = nexus_for_settings(zone, nexus_cfg_collect, &names);
	list_for_each_entry_safe(n, next, &names.list, node) {
		if (!err && room)
			room = nexus_sys_emit(ctx, path, n->name, n->is_dir, i++);
		kfree(n);
	}
	return err;
}

static int nexus_sys_iterate(struct file *file, struct dir_context *ctx)
{
	struct inode *dir = file_inode(file);
	struct nexus_zone *zone = NEXUS_I(dir)->zone;
	const char *path = nexus_sys_path(dir);
	unsigned int i;

	if (!dir_emit_dots(file, ctx))
		return 0;
	if (!*path) {
		for (i = 0; i < ARRAY_SIZE(nexus_sys_top); i++)
			if (!nexus_sys_emit(ctx, path, nexus_sys_top[i],
					    i >= 3, i))
				break;
		return 0;
	}
	if (!strcmp(path, "zones")) {
		nexus_sys_emit(ctx, path, zone->name, false, 0);
		return 0;
	}
	return nexus_cfg_iterate(zone, path, ctx);
}

/* ---- files ------------------------------------------------------------------------------ */

static void nexus_show_zone(struct seq_file *m, struct nexus_zone *zone)
{
	/* Pairs with smp_store_release() in nexus_zone_fail(). */
	int error = smp_load_acquire(&zone->error);
	u64 left, spare, pool;

	seq_printf(m, "name: %s\nuuid: %pUb\nid: %u\n", zone->name, zone->uuid,
		   zone->id);
	seq_printf(m, "store: %s\n", zone->mem ? "mem" : "helper");
	seq_printf(m, "tail: %llu\ndurable: %llu\napplied: %llu\n",
		   nexus_log_tail(zone), nexus_log_durable(zone),
		   nexus_log_applied(zone));
	if (zone->log) {
		nexus_log_space(zone->log, &left, &spare, &pool);
		seq_printf(m, "log_left: %llu\nlog_spare: %llu\nlog_pool: %llu\n", left, spare,
			   pool);
	}
	seq_printf(m, "read_only: %d\n", zone->store_rdonly || error);
	seq_printf(m, "error: %d\n", error);
	if (error)
		seq_printf(m, "reason: %s\n", zone->reason);
}

static int nexus_sys_show(struct seq_file *m, void *v)
{
	struct inode *inode = m->private;
	struct nexus_zone *zone = NEXUS_I(inode)->zone;
	const char *path = nexus_sys_path(inode);
	struct nexus_cfg_find f = { .m = m };
	unsigned int c;
	int ret;

	if (!strcmp(path, "stats")) {
		for (c = 0; c < NEXUS_C_MAX; c++)
			seq_printf(m, "%s %llu\n", nexus_count_name(c),
				   nexus_count_read(c));
	} else if (!strcmp(path, "session")) {
		seq_printf(m, "%s\n", zone->session ?
			   nexus_session_name(zone->session) : "none");
	} else if (!strcmp(path, "locks")) {
		nexus_plock_show(m, zone);
		return nexus_leases_show(m, inode->i_sb);
	} else if (!strncmp(path, "zones/", 6)) {
		nexus_show_zone(m, zone);
	} else {
		f.path = path + 4;
		f.len = strlen(f.path);
		ret = nexus_for_settings(zone, nexus_cfg_match, &f);
		if (ret < 0)
			return ret;
		/* It was there when it was looked up. */
		if (ret != S_IFREG)
			return -ENOENT;
	}
	return 0;
}

static int nexus_sys_open(struct inode *inode, struct file *file)
{
	return single_open(file, nexus_sys_show, inode);
}

static const struct file_operations nexus_sys_file_fops = {
	.owner		= THIS_MODULE,
	.open		= nexus_sys_open,
	.read		= seq_read,
	.llseek		= seq_lseek,
	.release	= single_release,
};

static const struct inode_operations nexus_sys_file_iops = {
	.getattr	= nexus_getattr,
	.setattr	= nexus_setattr,
};

static const struct file_operations nexus_sys_dir_fops = {
	.llseek		= generic_file_llseek,
	.read		= generic_read_dir,
	.iterate_shared	= nexus_sys_iterate,
};

static const struct inode_operations nexus_sys_dir_iops = {
	.lookup		= nexus_sys_dir_lookup,
	.getattr	= nexus_getattr,
	.setattr	= nexus_setattr,
};

/* ---- the name in the root ---------------------------------------------------------------- */

bool nexus_sys_name(const struct inode *dir, const struct qstr *name)
{
	return dir->i_ino == NEXUS_ROOT_INO &&
	       name->len == strlen(NEXUS_SYS_NAME) &&
	       !memcmp(name->name, NEXUS_SYS_NAME, name->len);
}

/* The name is refused to whoever wants to make it, not said to exist. */
static int nexus_sys_check(unsigned int flags)
{
	return flags & (LOOKUP_CREATE | LOOKUP_RENAME_TARGET) ? -EPERM : 1;
}

static int nexus_sys_revalidate(struct dentry *dentry, unsigned int flags)
{
	return nexus_sys_check(flags);
}

NEXUS_DEFINE_REVALIDATE(nexus_op_sys_revalidate, nexus_sys_revalidate)

static const struct dentry_operations nexus_sys_dentry_ops = {
	.d_revalidate	= nexus_op_sys_revalidate,
};

struct dentry *nexus_sys_lookup(struct inode *dir, struct dentry *dentry,
				unsigned int flags)
{
	int err = nexus_sys_check(flags);
	struct inode *inode;
	char *path;

	if (err < 0)
		return ERR_PTR(err);
	path = kstrdup("", GFP_KERNEL);
	if (!path)
		return ERR_PTR(-ENOMEM);
	inode = nexus_sys_inode(dir->i_sb, path, S_IFDIR);
	if (IS_ERR(inode))
		return ERR_CAST(inode);
	/* Nobody else sees the dentry yet. */
	nexus_dentry_set_ops(dentry, &nexus_sys_dentry_ops);
	return d_splice_alias(inode, dentry);
}
