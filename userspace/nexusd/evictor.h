/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of a zone's content is kept here, of one whose content is elsewhere as well:
 * cache_limit and cache_free.  A thread for each such zone evicts the packs that were used
 * the longest ago; and while nothing can go, the maker makes no more.
 *
 * Locks: evictor.lock is a leaf.
 */
#ifndef NEXUSD_EVICTOR_H
#define NEXUSD_EVICTOR_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/port.h"

struct zone;

#define EVICTOR_PACKS_MIN	8u	/* a limit below is one of so many */
#define EVICTOR_MADE		16u	/* packs made during a look that it is told of */

struct evictor_pack {
	u64 pack;
	u64 bytes;		/* of content, here, when it was looked at last */
	u64 used;		/* ns; 0: not since the zone was opened */
	u64 wait;		/* ns, after it could not go; twice as long each time */
	u64 not_before;		/* ns */
};

struct evictor {
	struct zone *z;
	pthread_t thread;
	bool running;
	u64 pack_bytes;		/* of a whole one */
	u64 limit, limit_low, limit_rest;	/* bytes; 0: none */
	u64 floor, floor_low, floor_rest;	/* likewise */

	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool kick;		/* lock */
	struct evictor_pack *packs;	/* lock; in the order of ids */
	size_t n, cap;		/* lock */
	u64 made[EVICTOR_MADE];	/* lock; ids of packs made since the last look began */
	u32 nmade;		/* lock */
	bool looked;		/* lock */
	u64 here;		/* lock; bytes of content, at the last look and since */
	u64 avail;		/* lock; of the host, likewise */
	u64 claimed;		/* lock; bytes that are to come */
	u64 full_since;		/* lock; ns, since a pack is wanted that there is no room for; 0: none is */
	bool gave_up;		/* lock */
	bool stuck;		/* lock; nothing was left to evict the last time */
	char error[128];	/* lock; why nothing is evicted now, "" */

	/* The thread's. */
	u64 look_at;		/* ns */
	u64 not_before;		/* ns, after an error of the store */
};

struct evictor_status {
	bool on;
	u64 here;		/* bytes */
	u64 limit;		/* 0: none */
	bool full;		/* no pack is made now */
	char error[128];
};

/*
 * What "cache_free" stands for, of a host with @total bytes: a size, or percent.
 * 0 or -EINVAL.
 */
int evictor_floor(const char *text, u64 total, u64 *bytes);

/* With the zone's threads, after zone_upload_start().  0 also when there is nothing to keep to. */
int zone_evictor_start(struct zone *z);
/* After zone_space_stop(). */
void zone_evictor_stop(struct zone *z);
void zone_evictor_free(struct zone *z);

/* For the maker: whether another pack may be made; that one was made. */
bool zone_evictor_room(struct zone *z);
void zone_evictor_made(struct zone *z, u64 pack);
/*
 * There is no room.  Whether whoever waits for a pack has waited for long enough: then it is
 * told so, until there is.  @wanted: somebody does.
 */
bool zone_evictor_gave_up(struct zone *z, bool wanted);
/* So many bytes of the pack were fetched. */
void zone_evictor_used(struct zone *z, u64 pack, u64 bytes);
/* So many bytes of it were evicted by hand: they would count as here until the next look. */
void zone_evictor_gone(struct zone *z, u64 pack, u64 bytes);
/*
 * Whether @bytes of @pack can come, and stay until something else is used, without that
 * anything goes that was used at @since (ns) or later, beside what others have claimed.  As far
 * as is known now.
 */
bool zone_evictor_fits(struct zone *z, u64 pack, u64 bytes, u64 since);
/* The same, and then they are claimed until zone_evictor_came(). */
bool zone_evictor_claim(struct zone *z, u64 pack, u64 bytes, u64 since);
void zone_evictor_came(struct zone *z, u64 bytes);
void zone_evictor_status(struct zone *z, struct evictor_status *st);

/* For the thread, and for tests, which have none: what is due at @now (ns). */
struct evictor *evictor_new(struct zone *z);
/* When the next is. */
u64 evictor_step(struct evictor *e, u64 now);

#endif /* NEXUSD_EVICTOR_H */
