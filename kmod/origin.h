/* SPDX-License-Identifier: GPL-2.0-only */
/* What fsync waits for.  Included by nexusfs.h. */
#ifndef NEXUSFS_ORIGIN_H
#define NEXUSFS_ORIGIN_H

#include <linux/spinlock.h>
#include <linux/wait.h>

struct nexus_zone;

/* Of a zone, for durability=origin. */
struct nexus_origin {
	spinlock_t lock;	/* for all of it */
	u64 there;		/* LSN: below it everything is with the content store */
	u64 asked;		/* what the request that is out asks for; 0: none is */
	u64 round;		/* +1 when one has ended */
	int err;		/* of the last one */
	wait_queue_head_t wait;	/* for @round */
};

void nexus_origin_init(struct nexus_origin *o);

/*
 * nexus_log_flush(), and with durability=origin a killable wait until the content store
 * has it, too.  0, -EINTR, -EIO.  There may be no helper: then it waits as every
 * request does.
 */
int nexus_durable(struct nexus_zone *zone, u64 lsn);

#endif /* NEXUSFS_ORIGIN_H */
