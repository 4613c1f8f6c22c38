/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space that dies inside of packs: the thread that looks for it, and what its
 * parts share.  The thread waits for the disk and for the kernel, and the maker
 * must never wait for that, so it is one of its own.
 */
#ifndef NEXUSD_SPACE_H
#define NEXUSD_SPACE_H

#include "survey.h"

/* What is known of a pack since it was looked at last. */
struct space_hint {
	u64 pack;
	u32 live;		/* then */
	u32 absent;		/* by its head */
};

struct space {
	struct zone *z;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool kick;			/* lock */
	struct memtable index;		/* the metastore alone */
	/* In the order of ids, of the last pass and of the one under way. */
	struct space_hint *hints, *next;
	size_t nhints, nnext, next_cap;
	u64 looked_at;			/* checkpoint of the last pass */
	u64 tail;			/* of the log, when we last paid */
	bool cannot_punch;		/* the host's filesystem has no holes */
};

/*
 * Has used the disk for @bytes and @ns: sleeps for as long as is due, or less when
 * the zone ends.
 */
void space_pay(struct space *sp, u64 bytes, u64 ns);
u64 space_clock(void);

/* punch.c */
/*
 * Gives dead blocks of a surveyed pack back to the host.  0 also if there are none,
 * or they must wait; or an error that ends the pass.
 */
int space_punch(struct space *sp, struct survey *s);

#endif /* NEXUSD_SPACE_H */
