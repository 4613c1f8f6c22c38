// SPDX-License-Identifier: GPL-2.0-only
/*
 * Times that change without a record of their own: atime, and mtime and ctime
 * of writes.  They are logged by write_inode as one SETATTR of what the log
 * does not have yet.
 *
 * Room is taken when the inode becomes dirty, without waiting; without room
 * write_inode tries once more, and in the end the times are dropped at eviction.
 * write_inode never waits: the VFS has the inode marked as being written, and
 * sync, the flusher threads and other fsyncs wait for that unkillably.  fsync
 * waits, before it.
 */
#include <linux/writeback.h>

#include "nexusfs.h"

#define NEXUS_TIMES_LEN	sizeof(struct nexus_rec_setattr)

/* Keeps @resv for the times, or gives it back when there is one. */
static void nexus_times_give(struct nexus_inode *ni, struct nexus_resv *resv)
{
	spin_lock(&ni->resv_lock);
	if (!ni->time_resv.bytes) {
		ni->time_resv.zone = ni->zone;
		nexus_resv_move(&ni->time_resv, resv, NEXUS_TIMES_LEN);
	}
	spin_unlock(&ni->resv_lock);
	nexus_log_unreserve(resv);
}

void nexus_dirty_inode(struct inode *inode, int flags)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_resv resv = {};

	if (!(flags & (I_DIRTY_SYNC | I_DIRTY_DATASYNC)) ||
	    test_bit(NEXUS_I_SYS, &ni->state) ||
	    READ_ONCE(ni->time_resv.bytes))
		return;
	if (nexus_log_reserve(ni->zone, &resv, NEXUS_TIMES_LEN,
			      NEXUS_RESV_NOWAIT))
		return;
	nexus_times_give(ni, &resv);
}

/* Which times the log does not have; log_mutex to be exact. */
static u32 nexus_times_unlogged(struct nexus_inode *ni)
{
	struct timespec64 atime = inode_get_atime(&ni->vfs);
	struct timespec64 mtime = inode_get_mtime(&ni->vfs);
	struct timespec64 ctime = inode_get_ctime(&ni->vfs);
	u32 mask = 0;

	if (!timespec64_equal(&atime, &ni->log_atime))
		mask |= NEXUS_SA_ATIME;
	if (!timespec64_equal(&mtime, &ni->log_mtime))
		mask |= NEXUS_SA_MTIME;
	if (!timespec64_equal(&ctime, &ni->log_ctime))
		mask |= NEXUS_SA_CTIME;
	return mask;
}

int nexus_times_reserve(struct inode *inode)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_resv resv = {};
	int err;

	if (test_bit(NEXUS_I_SYS, &ni->state) ||
	    test_bit(NEXUS_I_ORPHAN, &ni->state) ||
	    READ_ONCE(ni->time_resv.bytes) || !nexus_times_unlogged(ni))
		return 0;
	err = nexus_log_reserve(ni->zone, &resv, NEXUS_TIMES_LEN, 0);
	if (!err)
		nexus_times_give(ni, &resv);
	return err;
}

int nexus_write_inode(struct inode *inode, struct writeback_control *wbc)
{
	struct nexus_inode *ni = NEXUS_I(inode);
	struct nexus_resv resv = { .zone = ni->zone };
	struct nexus_rec_setattr rec;
	struct timespec64 atime, mtime, ctime;
	u64 lsn;
	u32 mask;
	int err;

	/* Nobody will see the times of an orphan again but through stat. */
	if (test_bit(NEXUS_I_SYS, &ni->state) ||
	    test_bit(NEXUS_I_ORPHAN, &ni->state))
		return 0;

	spin_lock(&ni->resv_lock);
	if (ni->time_resv.bytes)
		nexus_resv_move(&resv, &ni->time_resv, ni->time_resv.bytes);
	spin_unlock(&ni->resv_lock);
	if (!nexus_times_unlogged(ni)) {
		err = 0;
		goto out;
	}
	if (resv.bytes < NEXUS_TIMES_LEN) {
		err = nexus_log_reserve(ni->zone, &resv, NEXUS_TIMES_LEN,
					NEXUS_RESV_NOWAIT);
		if (err == -EAGAIN) {
			/* Later, when there is room. */
			mark_inode_dirty_sync(inode);
			err = 0;
			goto out;
		}
		if (err)
			goto out;
	}

	mutex_lock(&ni->log_mutex);
	mask = nexus_times_unlogged(ni);
	if (mask) {
		atime = inode_get_atime(inode);
		mtime = inode_get_mtime(inode);
		ctime = inode_get_ctime(inode);
		memset(&rec, 0, sizeof(rec));
		nexus_rec_init(&rec.head, sizeof(rec), NEXUS_REC_SETATTR, 0,
			       nexus_ts(current_time(inode)));
		rec.ino = cpu_to_le64(inode->i_ino);
		rec.mask = cpu_to_le32(mask);
		rec.atime_s = cpu_to_le64(atime.tv_sec);
		rec.atime_ns = cpu_to_le32(atime.tv_nsec);
		rec.mtime_s = cpu_to_le64(mtime.tv_sec);
		rec.mtime_ns = cpu_to_le32(mtime.tv_nsec);
		rec.ctime_s = cpu_to_le64(ctime.tv_sec);
		rec.ctime_ns = cpu_to_le32(ctime.tv_nsec);
		err = nexus_mutate(ni->zone, &resv, &rec.head, &lsn);
		if (!err) {
			ni->log_atime = atime;
			ni->log_mtime = mtime;
			ni->log_ctime = ctime;
			ni->version++;
			nexus_inode_logged(ni, lsn);
		}
	} else {
		err = 0;
	}
	mutex_unlock(&ni->log_mutex);
out:
	nexus_log_unreserve(&resv);
	return err;
}
