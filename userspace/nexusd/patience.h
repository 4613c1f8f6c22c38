/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a queue that has answered looks for the next request before it sleeps.
 *
 * One measure for all queues: where a caller asks next depends on the CPU it woke
 * up on, and it comes to whoever is looking.
 */
#ifndef NEXUSD_PATIENCE_H
#define NEXUSD_PATIENCE_H

#include <stdatomic.h>

#include "lib/port.h"

struct patience {
	u32 limit_us;
	atomic_uint us;			/* what has lately been worth it */
	_Atomic u64 gave_up_at;		/* us: the last look in vain; 0: none since */
};

/* @limit_us < 0: by what a sleep and a wakeup cost on this machine. */
void patience_init(struct patience *p, s32 limit_us);
/* A look ended in vain at @now (us, CLOCK_MONOTONIC). */
void patience_gave_up(struct patience *p, u64 now);
/* A request woke a queue at @now: would a longer look have met it? */
void patience_woke(struct patience *p, u64 now);
/* The CPU was taken away during a look: others need it more. */
void patience_crowded(struct patience *p);

#endif /* NEXUSD_PATIENCE_H */
