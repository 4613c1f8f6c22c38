/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files marked nodatacow: blocks that are overwritten where they are (inplace.c).
 */
#ifndef NEXUS_DATA_INPLACE_H
#define NEXUS_DATA_INPLACE_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "../nexusfs.h"

struct folio;
struct nexus_pack;
struct nexus_packs;
struct nexus_wio;

/*
 * What was written in place and is not flushed.  Flushes have numbers: one takes all
 * that was written before it began.
 */
struct nexus_inplace {
	struct mutex mutex;		/* one flush at a time */
	struct list_head packs;		/* nexus_pack.inplace; nexus_packs.lock */
	u64 now;			/* takes what is written now; nexus_packs.lock */
	u64 done;			/* the last one that is over; nexus_packs.lock */
	u64 need;			/* records in the log rely on it; nexus_packs.lock */
	struct work_struct work;
	wait_queue_head_t wait;
};

void nexus_inplace_init(struct nexus_packs *packs);

/* What a write does with a block of this file that gets a new place: NEXUS_EF_*. */
static inline u32 nexus_inplace_flags(const struct inode *inode)
{
	return READ_ONCE(NEXUS_I(inode)->iflags) & NEXUS_IF_NODATACOW ?
	       NEXUS_EF_NOCRC : 0;
}

/*
 * How many of the @n blocks from @fblock on, from the first on, a write overwrites
 * where they are: they are the file's own, without checksums, and here.  It stays so
 * as long as nobody clones, cuts or punches them, which all wait for dirty folios and
 * for direct writes.  Waits for nothing.
 */
u32 nexus_inplace_blocks(struct inode *inode, u64 fblock, u32 n);
/* Those of @blocks of a locked folio. */
u64 nexus_inplace_mask(struct inode *inode, struct folio *folio, u64 blocks);
/*
 * Before room is taken for a write of [pos, pos + len): opens the packs it is going to
 * overwrite.  What cannot be opened gets a new place.  0 or -EINTR; waits killably for
 * the helper.
 */
int nexus_inplace_load(struct inode *inode, loff_t pos, size_t len);
/*
 * Writes blocks [*first, wio->nr) where they are, and moves *@first behind what is
 * written.  -EAGAIN: the next one has to go elsewhere after all.  In a worker.
 */
int nexus_inplace_write(struct nexus_wio *wio, u32 *first);
/*
 * Waits killably until what was written to the file in place is on stable storage; its
 * folios were waited for.  0, -EINTR, -EIO.
 */
int nexus_inplace_flush(struct inode *inode);
/* The inode is new in memory: what it was left with may not be flushed. */
void nexus_inplace_fill(struct nexus_inode *ni);
/*
 * Before a record that gives the file's blocks to another: they are on stable storage
 * before it is.  log_mutex held, and nothing of the file is being written.
 */
void nexus_inplace_shared(struct inode *inode);
/* Flush worker: before a batch with records that rely on what was written in place. */
int nexus_inplace_flush_needed(struct nexus_packs *packs);
/* A pack goes. */
void nexus_inplace_drop(struct nexus_packs *packs, struct nexus_pack *pack);

#endif /* NEXUS_DATA_INPLACE_H */
