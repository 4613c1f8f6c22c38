/* SPDX-License-Identifier: Apache-2.0 */
/* For the files of the cache: cache.c has what is kept, cache_known.c of which revisions. */
#ifndef PERMISSIONS_CACHE_IMPL_H
#define PERMISSIONS_CACHE_IMPL_H

#include <pthread.h>

#include "cache.h"

#define CLOSURE		REBAC_RELATIONS_MAX	/* place of closures among relations */
#define STAMPS		(REBAC_RELATIONS_MAX + 1)

struct entry;

/**
 * struct cache - see cache.h
 * @lock: of all that follows
 * @known: the highest revision of which it is known what changed
 * @floor: since which that is known; no entry is older
 * @pending: being committed, or 0
 * @now: store and policy that entries are of
 * @mark: of @known
 * @blank: it does not know @marks
 * @stamps: by relation: the last revision that changed what it depends on
 * @marks: of these; 0: who knows
 * @secret: of the store
 * @will: what @pending changes
 * @will_all: everything
 */
struct cache {
	pthread_mutex_t lock;
	size_t limit;
	bool closures;
	u64 known, floor, pending;
	struct rebac_state now, will_state;
	u64 mark;
	bool blank;
	u64 stamps[STAMPS], marks[STAMPS];
	u8 secret[REBAC_SECRET];
	bool will[STAMPS];
	bool will_all;
	struct entry **buckets;
	u32 mask;
	struct entry *newest, *oldest;
	struct cache_stats stats;
};

/* Nothing of before @state is known any more.  With the lock. */
void cache_empty(struct cache *c, const struct rebac_state *state);

#endif /* PERMISSIONS_CACHE_IMPL_H */
