/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed packs go to what holds copies of them, in the background; and what is held of
 * packs that are gone is deleted.
 *
 * What there is to do follows from the index and from the file "uploads" (uploadmark.h),
 * so nothing is lost with the helper.  Nobody waits for any of it who does not ask.
 * Locks: upload.lock and upload.mark_lock are leaves, neither is taken under the other.
 */
#ifndef NEXUSD_UPLOAD_H
#define NEXUSD_UPLOAD_H

#include <stdatomic.h>

#include "fetch.h"
#include "uploadmark.h"

#define UPLOAD_THREADS_MAX	16u

struct upload_item {
	u64 pack;
	u64 bytes;		/* about what is to be put; not known: a pack */
	u64 since;		/* ns, when it was found sealed, or is gone */
	u64 lsn;		/* not before the log is durable up to here */
	u64 not_before;		/* ns, after it has failed */
	time_t error_at;
	int error;		/* the last, since it was begun; 0: none */
	unsigned int failures;	/* in a row */
	bool local;		/* the last was of its file here */
	bool counted;		/* in those of its side */
	bool del;		/* its copy is to go */
	bool first;		/* somebody waits for it */
	bool busy;
	bool then_del;		/* busy being put: and gone meanwhile */
};

/* Puts, or deletes: what is wrong with the one need not be with the other. */
struct upload_side {
	unsigned int busy;		/* items */
	unsigned int failures;		/* different items, since one went well */
	u64 not_before;			/* ns */
};

struct upload {
	struct zone *z;
	pthread_t threads[UPLOAD_THREADS_MAX];
	unsigned int nthreads;

	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct upload_item *items;	/* lock; in the order of packs */
	size_t nitems, cap;		/* lock */
	struct upload_side side[2];	/* lock; of puts, of deletes */
	bool full;			/* lock; there is no room for what is put */
	u64 held;			/* lock; pack that somebody else gives away; 0: none */
	bool scanning;			/* lock */
	bool scan_now;			/* lock; whatever the clock says */
	u64 scans;			/* lock; that came to their end */
	u64 scan_at;			/* lock; ns */
	u64 put_packs, put_bytes;	/* lock; since the zone was opened */

	u64 scanned_lsn;		/* who scans */
	atomic_bool looked_back;	/* what is gone since the last time is found */

	pthread_mutex_t mark_lock;
	struct uploadmarks marks;	/* mark_lock */
};

/* How far it is. */
struct upload_status {
	u64 packs;		/* sealed and not held elsewhere */
	u64 bytes;		/* of them, up to their last blocks */
	u64 oldest;		/* seconds since the first of them was found sealed */
	u64 deletes;		/* copies of packs that are gone */
	u64 put_packs, put_bytes;
	u64 busy;		/* being put or deleted now */
	u64 error_at;		/* seconds since 1970 */
	char error[256];	/* of what is left: the last; "": none */
	bool failing;		/* it is of a put, or none is begun */
	struct content_state driver;
};

/* Where content is held elsewhere.  When it fails nothing goes there, which is logged. */
void zone_upload_start(struct zone *z);
/* After zone_fetch_stop(); what is under way is given up. */
void zone_upload_stop(struct zone *z);
void zone_upload_free(struct zone *z);

/* -EOPNOTSUPP: there is nothing that would hold its content, or the zone is read-only. */
int zone_upload_status(struct zone *z, struct upload_status *st);
/*
 * Looks for sealed packs now, and waits up to @wait_ms until all are held and what is gone is
 * deleted.  As zone_upload_status(), with what is left; -ESHUTDOWN; -EROFS: another machine
 * owns the zone, and nothing of it is put any more.
 */
int zone_upload_flush(struct zone *z, unsigned int wait_ms, struct upload_status *st);
/* The pack is gone for good: its copy goes when there is time. */
void zone_upload_forget(struct zone *z, u64 pack);
/* It is being put or deleted, or is to be. */
bool zone_upload_busy(struct zone *z, u64 pack);
/* It was put whole, as far as is known here. */
bool zone_upload_held(struct zone *z, u64 pack);
/* It was begun to be put, and whether it is gone since is not known yet. */
bool zone_upload_unsure(struct zone *z, u64 pack);
/* Somebody else has deleted its copy. */
void zone_upload_gone(struct zone *z, u64 pack);
/* Some of the pack, or all that is asked for of it, is elsewhere only. */
bool zone_upload_away(struct zone *z, u64 pack);
/*
 * The pack is not put from here on, until zone_upload_release(), for somebody else
 * does, and then takes from its file what is held.  One at a time: space.work is held.
 * @held: all of it is there now, and was compared.
 */
int zone_upload_hold(struct zone *z, u64 pack);
void zone_upload_release(struct zone *z, u64 pack, bool held);

/*
 * Puts the sealed packs among @pack before all others, and waits until they are held.  Not for
 * what cannot be put now, nor longer than uploads go on: zone_upload_held() tells.  The records
 * that seal them are durable.
 */
void zone_upload_first(struct zone *z, const u64 *pack, size_t n);

/* What is known of it, by this helper and those before. */
enum upload_mark zone_upload_mark(struct zone *z, u64 pack);
/* It should be held, and is not any more: it is put again. */
void zone_upload_again(struct zone *z, u64 pack);

/* lock held, and given up until anything changes, or it is @ns, at the latest. */
void upload_wait(struct upload *u, u64 ns);

/* One that fails is by itself; more, with none that went well between, are the store. */
static inline bool upload_fails(const struct upload_side *s)
{
	return s->failures > 1;
}

/* upload_queue.c, for upload.c; lock held */
struct upload_item *upload_find(struct upload *u, u64 pack);
/* There already, or new and empty.  NULL: no memory. */
struct upload_item *upload_add(struct upload *u, u64 pack);
void upload_remove(struct upload *u, u64 pack);
/* The one to do next, made busy, or NULL and *@until is when to look again at the latest. */
struct upload_item *upload_next(struct upload *u, u64 durable, u64 now, u64 *until);

/* upload_scan.c, without locks */
/* Adds what is sealed and not held; at the first time what is held and gone, too. */
int upload_scan(struct upload *u);

#endif /* NEXUSD_UPLOAD_H */
