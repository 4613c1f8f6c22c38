/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Quotas of a zone: what users, groups, projects and the zone itself use, what
 * is reserved for them, and their limits.
 *
 * The index counts usage (Q records).  Here is a copy for the ids that somebody
 * asks about, and it only exists where limits or quotactl(2) need it.  Locks:
 * nexus_inode.resv_lock > nexus_quota.lock; set_mutex and load_mutex are outer
 * to both, taken under VFS locks at most, and load_mutex is the one that is held
 * while the helper is asked.
 */
#ifndef NEXUS_QUOTA_H
#define NEXUS_QUOTA_H

#include "nexusfs.h"

enum { NEXUS_Q_INODES, NEXUS_Q_BLOCKS, NEXUS_Q_WHAT };

/* quota.c's; others read copies, from nexus_quota_get(). */
struct nexus_quota_use {
	u64 used;		/* as of the last record */
	u64 reserved;		/* by operations under way and dirty pages */
	u64 hard, soft;		/* 0: no limit */
	time64_t since;		/* when used + reserved rose above soft, 0: it is not */
};

struct nexus_quota_limits {
	u64 hard[NEXUS_Q_WHAT], soft[NEXUS_Q_WHAT];
};

/* A change of owner that is under way. */
struct nexus_quota_move {
	struct nexus_owner to;
	u64 blocks;		/* reserved at the new owners, with one inode */
	unsigned int kinds;	/* where that is */
};

int nexus_quota_alloc(struct nexus_zone *zone);
void nexus_quota_free(struct nexus_zone *zone);
/* Kinds (bits) that have limits, as the helper said. */
void nexus_quota_start(struct nexus_zone *zone, u64 kinds);

/*
 * What the owners of @ni are known by is there afterwards, up to date.  May ask
 * the helper and wait, killably; under VFS locks at most.  0 or -errno.  Costs
 * nothing where there are no limits.
 */
int nexus_quota_load(struct nexus_inode *ni);

/*
 * One inode is reserved for the owners of the new inode @ni, until
 * nexus_quota_created() or eviction.  Waits as nexus_quota_load().
 */
int nexus_quota_new(struct nexus_inode *ni);
/* log_mutex held. */
void nexus_quota_created(struct nexus_inode *ni, u64 lsn);
/* The inode is no more: its FORGET is logged.  log_mutex held. */
void nexus_quota_forgotten(struct nexus_inode *ni, u64 lsn);
/* At eviction: what is still reserved goes. */
void nexus_quota_evict(struct nexus_inode *ni);

/* Whether there are limits at all. */
bool nexus_quota_any(const struct nexus_zone *zone);
/*
 * Reserve for new blocks of an operation, to be given back when it is over,
 * whether records have used it or not; of those that nexus_inode.delayed counts
 * by then, it goes on.  _take() never waits: -EAGAIN, try again after
 * nexus_quota_load().  @force: beyond all limits.  Others: -EDQUOT, -ENOSPC (limit
 * of the zone).
 */
int nexus_quota_take(struct nexus_inode *ni, u64 n, bool force);
void nexus_quota_give(struct nexus_inode *ni, u64 n);
/* nexus_inode.delayed got less: what it held and no record has used goes. */
void nexus_quota_landed(struct nexus_inode *ni);
/*
 * Takes for the holes of [fblock, fblock + n); *@taken is what to give back.  May
 * write back the range to find out what is none; i_rwsem held, no folio lock.
 */
int nexus_quota_take_holes(struct inode *inode, u64 fblock, u64 n, u64 *taken);
/* The same without waiting: -EAGAIN, -EDQUOT or -ENOSPC, which may not be the last word. */
int nexus_quota_try_holes(struct inode *inode, u64 fblock, u64 n, u64 *taken);

/*
 * @ni is going to belong to mv->to: reserves there.  log_mutex held; as
 * nexus_quota_take().  _end() with the LSN of the record, or 0: it was not to be.
 */
int nexus_quota_move_begin(struct nexus_inode *ni, struct nexus_quota_move *mv);
void nexus_quota_move_end(struct nexus_inode *ni, struct nexus_quota_move *mv,
			  u64 lsn);
/* As nexus_quota_load(), for those. */
int nexus_quota_move_load(struct nexus_inode *ni,
			  const struct nexus_quota_move *mv);
/* @n of its blocks went with the record at @lsn, and come back; log_mutex held. */
void nexus_quota_gone(struct nexus_inode *ni, u64 n, u64 lsn);

/*
 * Appends a QUOTA record, for which @resv has room, and makes it known here.
 * -EOPNOTSUPP: a grace time, and the zone does not have the feature.
 */
int nexus_quota_mutate(struct nexus_zone *zone, struct nexus_resv *resv,
		       struct nexus_rec_quota *rec, u64 *lsn);
/* The helper had inodes forgotten that the kernel does not know. */
void nexus_quota_stale(struct nexus_zone *zone);
/* Use of one id, now.  Waits as nexus_quota_load(). */
int nexus_quota_get(struct nexus_zone *zone, unsigned int kind, u32 id,
		    struct nexus_quota_use use[NEXUS_Q_WHAT]);
/* Whether any id of that kind has a limit. */
bool nexus_quota_limited(struct nexus_zone *zone, unsigned int kind);
/* Seconds; known once anything of the kind was asked for. */
u32 nexus_quota_grace(struct nexus_zone *zone, unsigned int kind, int what);

/*
 * A directory whose project new files inherit takes no files of others, as with
 * ext4 and XFS: that would go around its limits.
 */
static inline bool nexus_other_project(const struct inode *dir,
				       const struct inode *inode)
{
	return READ_ONCE(NEXUS_I(dir)->iflags) & NEXUS_IF_PROJINHERIT &&
	       READ_ONCE(NEXUS_I(dir)->projid) !=
	       READ_ONCE(NEXUS_I(inode)->projid);
}

/* quotactl.c */
void nexus_quota_setup_sb(struct super_block *sb);
/* Mounting: what statfs always needs is asked for. */
int nexus_quota_statfs_load(struct nexus_zone *zone);
/* Limits of the zone, and of the directory's project, bound what statfs says. */
int nexus_quota_statfs(struct inode *inode, struct kstatfs *buf);

#endif /* NEXUS_QUOTA_H */
