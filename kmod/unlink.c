// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names of inodes that exist: link, unlink, rmdir.
 *
 * The operation that takes an inode's last name also reserves for the FORGET
 * record, so that eviction, which cannot wait or fail, finds its room paid for.
 */
#include "listing.h"
#include "quota.h"

/* Longest LINK or UNLINK record: fits on the stack. */
#define NEXUS_NAME_REC_MAX \
	(sizeof(struct nexus_rec_link) + NEXUS_ALIGN(NEXUS_NAME_MAX, 8))

union nexus_name_rec {
	struct nexus_rec_head head;
	u8 bytes[NEXUS_NAME_REC_MAX];
};

int nexus_link(struct dentry *old, struct inode *dir, struct dentry *dentry)
{
	struct nexus_inode *di = NEXUS_I(dir), *ni;
	struct inode *inode = d_inode(old);
	struct timespec64 now = nexus_after(dir, nexus_after(inode, current_time(inode)));
	struct nexus_resv resv = {};
	union nexus_name_rec rec;
	struct nexus_lockset set;
	u64 pos = di->next_pos, lsn;
	bool orphan = false;
	int err;

	ni = NEXUS_I(inode);
	if (nexus_sys_name(dir, &dentry->d_name) ||
	    test_bit(NEXUS_I_SYS, &ni->state))
		return -EPERM;
	if (pos >= NEXUS_POS_MAX)
		return -ENOSPC;
	if (nexus_other_project(dir, inode))
		return -EXDEV;
	err = nexus_log_reserve(di->zone, &resv,
				nexus_rec_name_len(dentry->d_name.len), 0);
	if (err)
		return err;
	nexus_rec_link(&rec, dir->i_ino, pos, inode->i_ino,
		       dentry->d_name.name, dentry->d_name.len, nexus_ts(now));

	nexus_lock_inodes(&set, dir, inode, NULL, NULL);
	err = nexus_mutate(di->zone, &resv, &rec.head, &lsn);
	if (!err) {
		inode_set_mtime_to_ts(dir, now);
		inode_set_ctime_to_ts(dir, now);
		nexus_times_logged(di, NEXUS_SA_MTIME | NEXUS_SA_CTIME);
		di->next_pos = pos + 1;
		di->children++;
		di->version++;
		nexus_inode_logged(di, lsn);

		inode_set_ctime_to_ts(inode, now);
		nexus_times_logged(ni, NEXUS_SA_CTIME);
		/* O_TMPFILE: it has a name now. */
		orphan = test_and_clear_bit(NEXUS_I_ORPHAN, &ni->state);
		inc_nlink(inode);
		ni->parent = orphan ? dir->i_ino : 0;
		ni->pos = orphan ? pos : 0;
		ni->version++;
		nexus_inode_logged(ni, lsn);
		if (orphan)
			nexus_log_unreserve(&ni->evict_resv);
	}
	nexus_unlock_inodes(&set);
	nexus_log_unreserve(&resv);
	if (err)
		return err;

	/* Times of a nameless inode are not logged. */
	if (orphan)
		mark_inode_dirty_sync(inode);
	ihold(inode);
	nexus_listing_added(dir, pos, inode, &dentry->d_name);
	nexus_dentry_set_pos(dentry, pos);
	d_instantiate(dentry, inode);
	if (IS_DIRSYNC(dir))
		nexus_settle(di->zone, lsn);
	return 0;
}

static int nexus_remove(struct inode *dir, struct dentry *dentry, bool rmdir)
{
	struct inode *inode = d_inode(dentry);
	struct nexus_inode *di = NEXUS_I(dir), *ni = NEXUS_I(inode);
	struct timespec64 now = nexus_after(dir, nexus_after(inode, current_time(inode)));
	size_t forget = 0, len;
	struct nexus_resv resv = {};
	union nexus_name_rec rec;
	struct nexus_lockset set;
	u64 lsn;
	int err;

	if (test_bit(NEXUS_I_SYS, &ni->state))
		return -EPERM;
	/* Two names of an inode that has one, says the store? */
	if (!inode->i_nlink)
		return -EUCLEAN;
	/* i_rwsem of the inode is held: its links stand still. */
	if (rmdir || inode->i_nlink == 1)
		forget = sizeof(struct nexus_rec_forget);
	len = nexus_rec_name_len(dentry->d_name.len);
	err = nexus_log_reserve(di->zone, &resv, len + forget,
				NEXUS_RESV_DELETE);
	if (err)
		return err;
	nexus_rec_unlink(&rec, dir->i_ino, nexus_dentry_pos(dentry),
			 inode->i_ino, dentry->d_name.name, dentry->d_name.len,
			 rmdir, nexus_ts(now));

	nexus_lock_inodes(&set, dir, inode, NULL, NULL);
	err = nexus_mutate(di->zone, &resv, &rec.head, &lsn);
	if (!err) {
		inode_set_mtime_to_ts(dir, now);
		inode_set_ctime_to_ts(dir, now);
		nexus_times_logged(di, NEXUS_SA_MTIME | NEXUS_SA_CTIME);
		if (rmdir)
			nexus_subdir_removed(dir);
		di->children--;
		di->version++;
		nexus_inode_logged(di, lsn);

		inode_set_ctime_to_ts(inode, now);
		nexus_times_logged(ni, NEXUS_SA_CTIME);
		if (rmdir)
			clear_nlink(inode);
		else
			drop_nlink(inode);
		/* Of two names the one that stays is not known here. */
		ni->parent = 0;
		ni->pos = 0;
		ni->version++;
		nexus_inode_logged(ni, lsn);
		if (forget) {
			set_bit(NEXUS_I_ORPHAN, &ni->state);
			ni->evict_resv.zone = ni->zone;
			nexus_resv_move(&ni->evict_resv, &resv, forget);
		}
	}
	nexus_unlock_inodes(&set);
	nexus_log_unreserve(&resv);
	if (err)
		return err;
	nexus_listing_changed(dir, nexus_dentry_pos(dentry), NULL);
	if (IS_DIRSYNC(dir))
		nexus_settle(di->zone, lsn);
	return 0;
}

int nexus_unlink(struct inode *dir, struct dentry *dentry)
{
	return nexus_remove(dir, dentry, false);
}

int nexus_rmdir(struct inode *dir, struct dentry *dentry)
{
	if (NEXUS_I(d_inode(dentry))->children)
		return -ENOTEMPTY;
	return nexus_remove(dir, dentry, true);
}
