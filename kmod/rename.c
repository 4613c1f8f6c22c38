// SPDX-License-Identifier: GPL-2.0-only
/*
 * rename, with NOREPLACE (which the VFS has checked), EXCHANGE and WHITEOUT.
 *
 * Directories: i_rwsem of both parents is held, and s_vfs_rename_mutex when
 * they differ.  A directory renamed within its parent is not locked by the VFS:
 * its log mutex orders what changes of it.
 */
#include <linux/slab.h>

#include "listing.h"
#include "plock.h"
#include "quota.h"
#include "xattr.h"

struct nexus_move {
	struct inode	*sdir, *ddir;
	struct inode	*inode;
	struct inode	*target;	/* replaced or exchanged, or NULL */
	struct inode	*whiteout;	/* new, at the old name, or NULL */
	struct nexus_rename_args a;
	struct timespec64 now;
};

static void nexus_touch_dir(struct inode *dir, struct timespec64 now, u64 lsn)
{
	struct nexus_inode *ni = NEXUS_I(dir);

	inode_set_mtime_to_ts(dir, now);
	inode_set_ctime_to_ts(dir, now);
	nexus_times_logged(ni, NEXUS_SA_MTIME | NEXUS_SA_CTIME);
	ni->version++;
	nexus_inode_logged(ni, lsn);
}

static void nexus_touch_inode(struct inode *inode, struct timespec64 now, u64 lsn)
{
	struct nexus_inode *ni = NEXUS_I(inode);

	inode_set_ctime_to_ts(inode, now);
	nexus_times_logged(ni, NEXUS_SA_CTIME);
	ni->version++;
	nexus_inode_logged(ni, lsn);
}

/* The name that an inode with one name has now. */
static void nexus_set_name(struct inode *inode, u64 parent, u64 pos)
{
	if (S_ISDIR(inode->i_mode) || inode->i_nlink == 1) {
		NEXUS_I(inode)->parent = parent;
		NEXUS_I(inode)->pos = pos;
	}
}

/* In memory what the record says; log mutexes of all are held. */
static void nexus_moved(struct nexus_move *m, u64 lsn)
{
	struct nexus_inode *sdi = NEXUS_I(m->sdir), *ddi = NEXUS_I(m->ddir);
	bool is_dir = S_ISDIR(m->inode->i_mode);
	bool target_dir = m->target && S_ISDIR(m->target->i_mode);

	if (m->a.flags & NEXUS_RF_EXCHANGE) {
		if (is_dir && !target_dir) {
			nexus_subdir_removed(m->sdir);
			nexus_subdir_added(m->ddir);
		} else if (!is_dir && target_dir) {
			nexus_subdir_removed(m->ddir);
			nexus_subdir_added(m->sdir);
		}
		nexus_set_name(m->target, m->a.sparent, m->a.spos);
	} else {
		if (is_dir) {
			nexus_subdir_removed(m->sdir);
			nexus_subdir_added(m->ddir);
		}
		if (!m->whiteout)
			sdi->children--;
		ddi->children++;
		if (m->target) {
			ddi->children--;
			if (target_dir) {
				nexus_subdir_removed(m->ddir);
				clear_nlink(m->target);
			} else {
				drop_nlink(m->target);
			}
			NEXUS_I(m->target)->parent = 0;
			NEXUS_I(m->target)->pos = 0;
		} else {
			ddi->next_pos = m->a.dpos + 1;
		}
	}
	nexus_set_name(m->inode, m->a.dparent, m->a.dpos);
	nexus_touch_dir(m->sdir, m->now, lsn);
	if (m->ddir != m->sdir)
		nexus_touch_dir(m->ddir, m->now, lsn);
	/* fsync of the file covers its new name. */
	nexus_touch_inode(m->inode, m->now, lsn);
	if (m->target)
		nexus_touch_inode(m->target, m->now, lsn);
}

static int nexus_move(struct nexus_move *m)
{
	struct nexus_zone *zone = nexus_sb_zone(m->sdir->i_sb);
	bool exchange = m->a.flags & NEXUS_RF_EXCHANGE;
	struct nexus_inode *ti = m->target ? NEXUS_I(m->target) : NULL;
	struct nexus_rec_head *rec;
	struct nexus_resv resv = {};
	struct nexus_lockset set;
	size_t len, forget = 0;
	u64 lsn;
	int err;

	if (m->target && !exchange &&
	    (S_ISDIR(m->target->i_mode) || m->target->i_nlink == 1))
		forget = sizeof(struct nexus_rec_forget);
	len = nexus_rec_rename_len(m->a.snamelen, m->a.dnamelen);
	if (m->a.whiteout)
		len += nexus_rec_whiteout_len(m->a.whiteout->xattrlen);
	rec = kvzalloc(len, GFP_KERNEL);
	if (!rec)
		return -ENOMEM;
	err = nexus_log_reserve(zone, &resv, len + forget, 0);
	/* Last, as for any new inode: see nexus_make(). */
	if (!err && m->whiteout)
		err = nexus_hash_new(m->whiteout);
	if (err) {
		nexus_log_unreserve(&resv);
		goto out;
	}
	nexus_rec_rename(rec, &m->a, nexus_ts(m->now));

	nexus_lock_inodes(&set, m->sdir, m->ddir, m->inode, m->target);
	/* Nobody else can have it: its number is new. */
	if (m->whiteout)
		mutex_lock_nested(&NEXUS_I(m->whiteout)->log_mutex, NEXUS_LOCKSET);
	err = nexus_mutate(zone, &resv, rec, &lsn);
	if (!err) {
		nexus_moved(m, lsn);
		if (m->whiteout) {
			nexus_inode_logged(NEXUS_I(m->whiteout), lsn);
			nexus_quota_created(NEXUS_I(m->whiteout), lsn);
		}
		if (forget) {
			set_bit(NEXUS_I_ORPHAN, &ti->state);
			ti->evict_resv.zone = zone;
			nexus_resv_move(&ti->evict_resv, &resv, forget);
		}
	}
	if (m->whiteout)
		mutex_unlock(&NEXUS_I(m->whiteout)->log_mutex);
	nexus_unlock_inodes(&set);
	nexus_log_unreserve(&resv);
out:
	kvfree(rec);
	return err;
}

/* ---- whiteouts ------------------------------------------------------------------ */

/*
 * A character device 0/0 without rights takes the old name, as the record of the rename
 * says.  On success m->whiteout is referenced and unlocked.
 */
static int nexus_move_whiteout(struct mnt_idmap *idmap, struct nexus_move *m)
{
	struct nexus_whiteout_args w = {};
	struct nexus_xattr_part xattrs = {};
	struct nexus_inode *wi;
	struct inode *inode;
	int err;

	inode = nexus_new_inode(idmap, m->sdir, S_IFCHR | WHITEOUT_MODE, WHITEOUT_DEV);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	wi = NEXUS_I(inode);
	/* The record has none. */
	wi->iflags = 0;
	nexus_set_flags(inode, 0);
	wi->parent = m->a.sparent;
	wi->pos = m->a.spos;
	/* The times are the record's, which is one of the rename. */
	nexus_born(inode, m->now);
	err = nexus_xattr_new(inode, m->sdir, NULL, &xattrs);
	if (err) {
		iput(inode);
		goto out;
	}
	w.ino = inode->i_ino;
	w.generation = inode->i_generation;
	w.uid = i_uid_read(inode);
	w.gid = i_gid_read(inode);
	w.projid = wi->projid;
	w.xattrs = xattrs.buf;
	w.xattrlen = xattrs.len;
	m->a.whiteout = &w;
	m->whiteout = inode;
	err = nexus_move(m);
	m->a.whiteout = NULL;
	if (!err)
		unlock_new_inode(inode);
	else if (inode_unhashed(inode))
		iput(inode);
	else
		nexus_discard(inode);
out:
	kvfree(xattrs.buf);
	return err;
}

/*
 * So that the directory's names are still all in the dcache: @left gets the old name.
 * It is free only when the old dentry has moved; the VFS moves it once more, which then
 * changes nothing.
 */
static void nexus_leave_whiteout(struct dentry *left, const struct nexus_move *m,
				 struct dentry *old_dentry, struct dentry *new_dentry)
{
	d_move(old_dentry, new_dentry);
	nexus_dentry_set_pos(left, m->a.spos);
	d_add(left, m->whiteout);
}

/* ---- the operation --------------------------------------------------------------- */

int nexus_rename(struct mnt_idmap *idmap, struct inode *old_dir,
		 struct dentry *old_dentry, struct inode *new_dir,
		 struct dentry *new_dentry, unsigned int flags)
{
	bool exchange = flags & RENAME_EXCHANGE;
	struct nexus_move m = {
		.sdir = old_dir,
		.ddir = new_dir,
		.inode = d_inode(old_dentry),
		.target = d_inode(new_dentry),
	};
	struct nexus_plock_move locks = {};
	struct dentry *left = NULL;
	int err;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	if ((flags & RENAME_WHITEOUT) &&
	    !(nexus_sb_zone(old_dir->i_sb)->features & NEXUS_INCOMPAT_WHITEOUT))
		return -EINVAL;
	if (nexus_sys_name(old_dir, &old_dentry->d_name) ||
	    nexus_sys_name(new_dir, &new_dentry->d_name))
		return -EPERM;
	if (nexus_other_project(new_dir, m.inode) ||
	    (exchange && nexus_other_project(old_dir, m.target)))
		return -EXDEV;
	if (m.target && !exchange && S_ISDIR(m.target->i_mode) &&
	    NEXUS_I(m.target)->children)
		return -ENOTEMPTY;
	if (m.target && !m.target->i_nlink)
		return -EUCLEAN;
	if (!m.target && NEXUS_I(new_dir)->next_pos >= NEXUS_POS_MAX)
		return -ENOSPC;
	/*
	 * After a crash the name shows the old content or the new: the new is
	 * on its way to disk before the record that names it, or before it in
	 * the log.
	 */
	if (m.target && !exchange && S_ISREG(m.inode->i_mode) &&
	    !nexus_logged_all(m.inode)) {
		err = nexus_write_and_wait(m.inode, 0, LLONG_MAX);
		if (err)
			return err;
	}

	m.now = nexus_after(new_dir, nexus_after(old_dir, current_time(old_dir)));
	m.now = nexus_after(m.inode, m.now);
	if (m.target)
		m.now = nexus_after(m.target, m.now);
	m.a = (struct nexus_rename_args){
		.sparent = old_dir->i_ino,
		.spos = nexus_dentry_pos(old_dentry),
		.ino = m.inode->i_ino,
		.dparent = new_dir->i_ino,
		.dpos = m.target ? nexus_dentry_pos(new_dentry) :
				   NEXUS_I(new_dir)->next_pos,
		.replaced = m.target ? m.target->i_ino : 0,
		.sname = old_dentry->d_name.name,
		.dname = new_dentry->d_name.name,
		.snamelen = old_dentry->d_name.len,
		.dnamelen = new_dentry->d_name.len,
		.flags = exchange ? NEXUS_RF_EXCHANGE : 0,
	};
	if (flags & RENAME_WHITEOUT) {
		left = d_alloc(old_dentry->d_parent, &old_dentry->d_name);
		if (!left)
			return -ENOMEM;
	}
	err = nexus_plock_move_begin(&locks, old_dentry, new_dentry, exchange);
	if (!err)
		err = left ? nexus_move_whiteout(idmap, &m) : nexus_move(&m);
	nexus_plock_move_end(&locks, err);
	if (err) {
		dput(left);
		return err;
	}

	nexus_listing_changed(old_dir, m.a.spos, exchange ? m.target : m.whiteout);
	if (m.target)
		nexus_listing_changed(new_dir, m.a.dpos, m.inode);
	else
		nexus_listing_added(new_dir, m.a.dpos, m.inode, &new_dentry->d_name);
	/* The VFS moves the dentries next; their positions go with the names. */
	nexus_dentry_set_pos(old_dentry, m.a.dpos);
	if (exchange)
		nexus_dentry_set_pos(new_dentry, m.a.spos);
	if (left)
		nexus_leave_whiteout(left, &m, old_dentry, new_dentry);
	dput(left);
	if (IS_DIRSYNC(old_dir) || IS_DIRSYNC(new_dir))
		nexus_settle(nexus_sb_zone(old_dir->i_sb),
			     READ_ONCE(NEXUS_I(m.inode)->last_lsn));
	return 0;
}
