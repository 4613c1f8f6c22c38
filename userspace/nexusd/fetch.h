/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content that is not here is fetched; and what is held elsewhere is evicted.
 *
 * All of a zone's is in struct fetch; it is there from before the zone's threads
 * until its last reference goes.  Locks: under fetch.lock only that of the workers is taken.
 */
#ifndef NEXUSD_FETCH_H
#define NEXUSD_FETCH_H

#include "content.h"
#include "readon.h"
#include "zone.h"

#define FETCH_PIECE	READON_PIECE	/* blocks fetched at once, from a multiple of that on */

/* A piece that somebody fetches. */
struct fetch_op {
	struct fetch_op *next;
	u64 pack;
	u32 first;
	unsigned int waiters;	/* and the one who fetches */
	bool quiet;		/* the kernel is not told */
	bool over;
	int ret;
};

struct fetch {
	struct zone *z;
	struct content *content;	/* NULL: there is no driver */
	atomic_bool stop;
	pthread_mutex_t lock;
	pthread_cond_t cond;		/* an op is over, room, evicting changed, stop */
	struct fetch_op *ops;		/* lock; not over */
	u64 bytes, bytes_max;		/* lock; in flight now, or about to be; and at most so far */
	u64 evicting;			/* lock; pack nothing of which is fetched, or 0 */
	struct readon readers;		/* lock */
	u64 said_at;			/* lock; ns, when the log was told last */
};

/* Before the zone's threads; without a driver nothing can be fetched.  0 or -ENOMEM. */
int zone_fetch_start(struct zone *z);
/* Whoever fetches or waits ends soon, with -ESHUTDOWN. */
void zone_fetch_stop(struct zone *z);
void zone_fetch_free(struct zone *z);

/*
 * Brings the pieces with blocks [block, block + n) of a sealed pack here: what of them
 * is away is got, checked, written, flushed, and only then said to be here, on disk
 * and to the kernel.  What is good of a piece comes even if the rest does not.  May
 * take as long as the driver does.  0; -EINVAL: no such blocks; -ENODATA: lost, and
 * held nowhere; -ESHUTDOWN; or what is wrong with the first piece that failed, which
 * was logged.
 */
int zone_fetch(struct zone *z, u64 pack, u32 block, u32 n);
/*
 * The same, ahead of use: -ENOSPC when cache_limit and cache_free have no room for it unless
 * something goes that was used at @since (ns, of space_clock()) or later.
 */
int zone_warm(struct zone *z, u64 pack, u32 block, u32 n, u64 since);
/* For statistics. */
void zone_fetch_bytes(struct zone *z, u64 *now, u64 *max);

/*
 * Nothing of @pack is fetched from now on, until zone_fetch_resume().  One at a time:
 * space.work is held.  0; -EBUSY: something is, and not to @wait; -ESHUTDOWN.
 */
int zone_fetch_pause(struct zone *z, u64 pack, bool wait);
void zone_fetch_resume(struct zone *z);
/* The pack is gone for good. */
void zone_fetch_forget(struct zone *z, u64 pack);

/* evict.c */
struct evict_done {
	u64 packs;
	u64 blocks;		/* given back to the host */
};
/*
 * Gives the space of a sealed pack's content back to the host, once the driver is seen
 * to hold all of it that is alive: it is put there if need be, and every block got and
 * checked.  0; -EOPNOTSUPP: no driver, or the zone is too old; -ENOENT: no sealed pack with
 * content; -EUCLEAN: what it holds is not right; or another error, which was logged.
 */
int zone_evict(struct zone *z, u64 pack, struct evict_done *done);
/*
 * The same of a pack that is held, which the caller has just seen: what was put from here is
 * not got.  -ENODATA: it is not known to be held.
 */
int zone_evict_held(struct zone *z, u64 pack, struct evict_done *done);

#endif /* NEXUSD_FETCH_H */
