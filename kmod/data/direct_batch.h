/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A part of an O_DIRECT write: begin, reserve or try_reserve, then start, wait and
 * commit, or inplace; end.
 */
#ifndef NEXUS_DATA_DIRECT_BATCH_H
#define NEXUS_DATA_DIRECT_BATCH_H

#include <linux/completion.h>

#include "data.h"

#define NEXUS_DIRECT_WRITE	1024u	/* blocks of one batch */
#define NEXUS_ASYNC_WRITE	4096u	/* ... that nobody waits for */

struct nexus_bounce;
struct nexus_source;

struct nexus_batch {
	struct inode *inode;
	u64 fblock;
	u32 max;			/* blocks it may have */
	u32 nr;				/* blocks */
	u32 taken;			/* of the caller's data */
	bool waits;			/* the caller, who may do some of it itself */
	enum nexus_packs_kind kind;
	struct nexus_room room;		/* for those not given out yet */
	struct nexus_source *source;
	struct nexus_bounce *data;
	struct list_head pieces;	/* in the order of the file */
	atomic_t left;			/* parts in flight, and one for who starts them */
	struct completion done;
	void (*end)(struct nexus_batch *b);	/* in the place of @done, in a worker */
};

/*
 * Pages for as much of the caller's data as can be had, at most @max
 * blocks.  Faults are taken now: who has taken room does not wait for them.
 */
int nexus_batch_begin(struct nexus_batch *b, struct iov_iter *from);
/*
 * Room for all of it, or for less; nothing is held while waiting but the pages.
 * What was promised to unwritten blocks goes to them and to no others.
 */
int nexus_batch_reserve(struct nexus_batch *b);
/* Room for all of it, without waiting; else -EAGAIN, or why there is none. */
int nexus_batch_try_reserve(struct nexus_batch *b);
/*
 * Has workers write it to new blocks, and the caller, if it waits.  0 or -errno, with
 * some of it under way: either way nexus_batch_put() or nexus_batch_wait() follows.
 */
int nexus_batch_start(struct nexus_batch *b);
/* One less in flight; the last one ends it. */
void nexus_batch_put(struct nexus_batch *b);
/* Who starts it waits until nothing is in flight. */
void nexus_batch_wait(struct nexus_batch *b);
/*
 * Makes what was written the file's, in order, up to the first that failed: how many
 * blocks, and *@err, when not all.
 */
u32 nexus_batch_commit(struct nexus_batch *b, int *err);
/*
 * In the place of start, wait and commit: overwrites the batch's blocks, where the room
 * is NEXUS_PACKS_INPLACE.  How many; less with *@err 0: what follows has another place
 * by now.
 */
u32 nexus_batch_inplace(struct nexus_batch *b, int *err);
/* Gives back what it has. */
void nexus_batch_end(struct nexus_batch *b);

#endif /* NEXUS_DATA_DIRECT_BATCH_H */
