/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of this helper to others, and theirs to it, through the cache store.
 *
 * Each event that is published here has a number of its own for the others, from 1 on, and
 * goes out in messages of consecutive ones; a number is used up also by an event
 * that is not sent, so whoever misses some sees how many.  A message of no event says how
 * far the numbers have come.  An origin is a bus from its start to its end.
 *
 * Two threads: the sender, since a server may be slow and publishing is not to be; and
 * the keeper, which takes what comes.  It begins when no other build of this service
 * does so in this helper: what one of them appends to the log, the other must not.
 */
#ifndef EVENT_BUS_SHARE_H
#define EVENT_BUS_SHARE_H

#include <pthread.h>
#include <stdatomic.h>

#include <nexus/cachestore.h>
#include <nexus/services/event_bus.h>

#define SHARE_QUEUE_MAX		8192u		/* events that wait for the sender */
#define SHARE_QUEUE_BYTES	(8u << 20)
#define SHARE_ORIGINS_MAX	1024u

struct bus;

/* ---- wire.c: pure ---------------------------------------------------------------- */

#define SHARE_HEAD_SIZE		24u
#define SHARE_EVENT_MAX		(NEXUS_CACHE_MESSAGE_MAX - SHARE_HEAD_SIZE)

#define SHARE_CUT	1u	/* some before @first were not sent */
#define SHARE_BYE	2u	/* that was all of this origin */

/* The head of a message: events @first to @first + @count - 1 of an origin. */
struct share_head {
	uint64_t origin;
	uint64_t first;
	uint32_t count;
	uint32_t flags;
};

/* Of an event in a message; it may be beyond SHARE_EVENT_MAX. */
size_t share_event_size(const struct nexus_bus_event *e);
void share_event_put(uint8_t *buf, const struct nexus_bus_event *e);
void share_head_put(uint8_t *buf, const struct share_head *h);
/*
 * A message of anybody's: @events has room for NEXUS_EVENT_BATCH_MAX, gets h->count of them,
 * which point into it.  -EBADMSG, and nothing of it is to be used.
 */
int share_get(const void *data, size_t size, struct share_head *h, struct nexus_bus_event *events);

/* ---- what there is ----------------------------------------------------------------- */

/* An event that waits. */
struct share_item {
	struct share_item *next;
	uint64_t number;
	uint32_t size;
	uint8_t bytes[];
};

struct share_origin {
	uint64_t id;		/* 0: free */
	uint64_t seen;		/* the last number that came or is known to be missing */
	uint64_t heard;		/* which message of all was the last */
	bool excused;		/* what it misses next was told already */
};

struct share {
	struct bus *b;
	char group[24];			/* a number */
	uint64_t me;			/* this bus, among the origins */
	struct nexus_cache *cache;	/* the keeper's, then the sender's, too */
	int stop;			/* readable: end */
	pthread_t keeper, sender;
	bool running;
	atomic_uint how;		/* enum nexus_event_bus_how */
	atomic_ullong since;

	/* The keeper's. */
	int turn;			/* locked while this build has it; or -1 */
	struct nexus_cache_sub *sub;
	struct share_origin origins[SHARE_ORIGINS_MAX];
	uint64_t messages;
	bool forgot;			/* an origin, for lack of room */
	bool joined;			/* once at least */
	bool owed;			/* something missed could not be told yet */
	uint64_t owed_n;		/* 0: nobody knows how many */
	struct nexus_bus_event events[NEXUS_EVENT_BATCH_MAX];

	pthread_mutex_t lock;		/* all below */
	pthread_cond_t wake;
	bool ending, on, due;		/* @due: say how far we are */
	uint64_t number, sent;		/* the last that was given, and that was told */
	struct share_item *first, **last;
	uint32_t count;
	size_t bytes;

	atomic_uint known;		/* origins */
	atomic_ullong n_sent, n_unsent, n_too_large, n_received, n_repeated, n_malformed,
		      n_missed, n_gaps;
};

/* ---- share.c: to others ------------------------------------------------------------- */

/* Nothing has begun, and share_end() and share_destroy() do nothing. */
void share_init(struct share *s, struct bus *b);
/* Begins, unless it is not wanted; never waits.  What is missing it does without. */
int share_start(struct share *s);
/* For service_stop: sends what it can in a short time. */
void share_end(struct share *s);
void share_destroy(struct share *s);
/* Published here, with b->order held; never waits. */
void share_offer(struct share *s, const struct nexus_bus_event *events, uint32_t count);
/* The server is there, or lost. */
void share_switch(struct share *s, bool on);
/* How it is from now on; true: it was otherwise. */
bool share_note(struct share *s, enum nexus_event_bus_how how);
void share_counts(struct share *s, struct nexus_event_bus_sharing *st);
/* Its channel; @part belongs to the key. */
struct nexus_cache_key share_channel(const struct share *s, struct nexus_cache_part part[2]);

/* ---- share_take.c: from others -------------------------------------------------------- */

void *share_keep(void *arg);

#endif /* EVENT_BUS_SHARE_H */
