// SPDX-License-Identifier: GPL-2.0-only
/*
 * Zones that show what others own and change: buckets.
 *
 * Such a zone is read-only and has no log.  An object that changes gets another inode, so
 * what an inode says stays true: the old object, as far as it can be had.  What changes are
 * names, and directories.  A name is believed for the zone's ttl since it was asked for, and
 * not past a refresh; then whoever looks it up asks again, and a directory is never known as
 * a whole.  A listing that begins asks first whether the directory is as it was.
 */
#include <linux/dcache.h>
#include <linux/jhash.h>
#include <linux/slab.h>

#include "foreign.h"
#include "listing.h"

#define NEXUS_FOREIGN_LABEL	40u	/* of the bucket's name, in the zone's */

void nexus_foreign_name(const char *source, char name[NEXUS_ZONE_NAME_LEN])
{
	size_t len = strlen(source), n;
	const char *at = source + strlen("s3://");

	n = scnprintf(name, NEXUS_ZONE_NAME_LEN, "s3-");
	for (; *at && *at != '/' && *at != ';' && n < NEXUS_FOREIGN_LABEL; at++)
		name[n++] = (*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') ?
			    *at : '-';
	scnprintf(name + n, NEXUS_ZONE_NAME_LEN - n, "-%08x%08x", jhash(source, len, 1),
		  jhash(source, len, 2));
}

void nexus_foreign_start(struct nexus_zone *zone, u64 ttl)
{
	zone->ttl = ttl ? max(msecs_to_jiffies(ttl), 1ul) : 0;
	zone->fresh_from = jiffies;
}

void nexus_foreign_refresh(struct nexus_zone *zone)
{
	/* What was asked for in this very jiffy may be of before. */
	WRITE_ONCE(zone->fresh_from, jiffies + 1);
}

static bool nexus_foreign_fresh(const struct nexus_zone *zone, unsigned long asked)
{
	return time_before(jiffies, asked + zone->ttl) &&
	       !time_before(asked, READ_ONCE(zone->fresh_from));
}

/* ---- directories --------------------------------------------------------------- */

/* A directory is now as @a says.  0 or -EINTR. */
static int nexus_foreign_take(struct inode *dir, const struct nexus_attr *a)
{
	struct nexus_inode *di = NEXUS_I(dir);

	if (READ_ONCE(di->version) == a->version)
		return 0;
	if (mutex_lock_killable(&di->load_mutex))
		return -EINTR;
	if (di->version != a->version) {
		nexus_listing_drop(dir);
		set_nlink(dir, a->nlink);
		inode_set_mtime(dir, a->mtime_s, a->mtime_ns);
		inode_set_ctime(dir, a->ctime_s, a->ctime_ns);
		di->children = a->children;
		WRITE_ONCE(di->next_pos, max(a->next_pos, NEXUS_FIRST_POS));
		WRITE_ONCE(di->version, a->version);
	}
	mutex_unlock(&di->load_mutex);
	return 0;
}

int nexus_foreign_names(struct inode *dir)
{
	struct nexus_zone *zone = NEXUS_I(dir)->zone;
	struct nexus_entry_reply *er;
	u64 applied;
	int n;

	if (!zone->ttl)
		return 0;
	er = kmalloc(NEXUS_ENTRY_MAX, GFP_KERNEL);
	if (!er)
		return -ENOMEM;
	n = nexus_ms_read(zone, NEXUS_OP_GETATTR, dir->i_ino, NEXUS_GETATTR_NAMES, 0, NULL,
			  0, 0, er, NEXUS_ENTRY_MAX, &applied);
	/* A type never changes with an inode number. */
	if (n >= 0)
		n = S_ISDIR(er->attr.mode) ? nexus_foreign_take(dir, &er->attr) : -EIO;
	kfree(er);
	return min(n, 0);
}

/* ---- names --------------------------------------------------------------------- */

/* 1: @dentry is as the helper says; 0: it is not; -errno. */
static int nexus_foreign_look(struct dentry *dentry, struct inode *dir,
			      struct nexus_entry_reply *er)
{
	struct inode *inode = d_inode(dentry);
	struct name_snapshot name;
	u64 applied;
	int n;

	take_dentry_name_snapshot(&name, dentry);
	n = nexus_ms_read(nexus_sb_zone(dentry->d_sb), NEXUS_OP_LOOKUP, dir->i_ino, 0, 0,
			  name.name.name, name.name.len, 0, er, NEXUS_ENTRY_MAX, &applied);
	release_dentry_name_snapshot(&name);
	if (n == -ENOENT)
		return !inode;
	if (n < 0)
		return n;
	if (!inode || er->attr.ino != inode->i_ino ||
	    er->attr.generation != inode->i_generation ||
	    inode_wrong_type(inode, er->attr.mode))
		return 0;
	n = S_ISDIR(inode->i_mode) ? nexus_foreign_take(inode, &er->attr) : 0;
	return n ?: 1;
}

int nexus_foreign_revalidate(struct dentry *dentry, unsigned int flags)
{
	struct nexus_zone *zone = nexus_sb_zone(dentry->d_sb);
	unsigned long asked = jiffies;
	struct nexus_entry_reply *er;
	struct dentry *parent;
	int ret;

	if (IS_ROOT(dentry) || nexus_foreign_fresh(zone, READ_ONCE(dentry->d_time)))
		return 1;
	if (flags & LOOKUP_RCU)
		return -ECHILD;
	er = kmalloc(NEXUS_ENTRY_MAX, GFP_KERNEL);
	if (!er)
		return -ENOMEM;
	parent = dget_parent(dentry);
	ret = nexus_foreign_look(dentry, d_inode(parent), er);
	dput(parent);
	kfree(er);
	if (ret > 0)
		WRITE_ONCE(dentry->d_time, asked);
	return ret;
}
