/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Leases of files and directories (lease.c, lease_wait.c); what they do is lib/lease.h.
 *
 * All leases of a zone are in memory once somebody has asked for one; whoever changes
 * one appends a LEASE record under the inode's log_mutex and changes memory with it.
 */
#ifndef NEXUS_KMOD_LEASE_H
#define NEXUS_KMOD_LEASE_H

#include "nexusfs.h"
#include "../lib/lease.h"

/* Holders in a zone, also such as are over; fewer in tests. */
extern u32 nexus_leases_max;

/* Of a zone; NULL without memory.  Free: nothing is open any more; NULL is fine. */
struct nexus_leases *nexus_leases_alloc(void);
void nexus_leases_free(struct nexus_leases *ls);

/* ---- lease.c ---------------------------------------------------------------- */

/* One who waits; on its stack. */
struct nexus_lease_waiter {
	struct list_head node;	/* empty: not in the queue */
	struct task_struct *task;
	bool kicked;		/* is to look again */
};

struct nexus_lease_req {
	u32 op;			/* NEXUS_LEASE_* */
	u32 max_holders;
	u64 ttl;		/* nanoseconds */
	u8 id[NEXUS_LEASE_ID_SIZE];
	u8 name[NEXUS_LEASE_NAME_MAX];
	struct nexus_lease_waiter *w;	/* to be queued when it is held; or NULL */
	u64 lsn;		/* out: after the record */
	u64 token, expires;	/* out: of TAKE and EXTEND */
	u64 left;		/* out, of -EAGAIN: ns until the first ends, if it is next */
};

/*
 * Has them in memory; asks the helper and waits for it, killably, the first time.  0,
 * -EOPNOTSUPP, -EINTR, -ENOTCONN, -EIO, -EUCLEAN, -ENOMEM.
 */
int nexus_leases_load(struct nexus_zone *zone);
/*
 * Does what @rq says, if it can be done now.  They are loaded, and the caller may write to
 * the mount.  0 or as nexus_lease_step(), -ENOLCK, or of nexus_log_reserve().  -EAGAIN:
 * rq->w is in the queue.  Waits for room in the log, killably.
 */
int nexus_lease_change(struct inode *inode, struct nexus_lease_req *rq);
/* Out of the queue, if it is in it; who is next then looks. */
void nexus_lease_leave(struct inode *inode, struct nexus_lease_waiter *w);
/* Removes those that are over, of all inodes; waits as nexus_lease_change(). */
int nexus_leases_sweep(struct super_block *sb);
/*
 * A copy of who has it, for kvfree(), or NULL: nobody; how many wait, and the zone's time.
 * ERR_PTR(-ENOMEM).
 */
struct nexus_lease_val *nexus_lease_copy(struct inode *inode, u32 *waiting, u64 *now);
/* A FORGET of it was appended. */
void nexus_lease_forgotten(struct nexus_zone *zone, u64 ino);

/* ---- lease_show.c, lease_wait.c ------------------------------------------------ */

/* The next one from inode *@ino on, as nexus_lease_copy(). */
struct nexus_lease_val *nexus_leases_next(struct nexus_zone *zone, u64 *ino, u64 *now);
/* A line for each holder: lease, mode, name, token, end, inode, path.  0 or -errno. */
int nexus_leases_show(struct seq_file *m, struct super_block *sb);
/* ioctl.c; may sleep, for as long as the caller said; killable. */
long nexus_lease_ioctl(struct file *file, unsigned int cmd, void __user *arg);

#endif /* NEXUS_KMOD_LEASE_H */
