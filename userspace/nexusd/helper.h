/* SPDX-License-Identifier: Apache-2.0 */
/* The helper as a whole: its settings, its session, its zones. */
#ifndef NEXUSD_HELPER_H
#define NEXUSD_HELPER_H

#include <stdatomic.h>
#include <pthread.h>
#include <time.h>

#include <nexus/packfile.h>

#include "chan.h"
#include "config.h"
#include "lib/port.h"
#include "patience.h"
#include "worker.h"

struct boot;
struct zone;
struct queue;
struct cachestore;
struct recordstore;
struct registry;

/* A name that is in use: being opened, open, or being closed. */
struct zone_slot {
	struct zone_slot *next;
	char name[NEXUS_ZONE_NAME_LEN];
	struct zone *zone;	/* NULL while it is opened or closed */
	u8 uuid[NEXUS_UUID_SIZE];	/* then, once it is known; else 0 */
};

struct helper {
	struct config cfg;
	struct chan chan;
	struct workers *workers;
	struct recordstore *records;	/* for services; NULL: none */
	struct cachestore *cache;	/* likewise, but there is one */
	struct registry *services;	/* or NULL; the filesystem does not ask */
	struct boot *boot;		/* NULL before the start */
	struct workers *fetchers;	/* for what waits for content from elsewhere */
	struct queue **queues;
	u32 nqueues;
	struct patience patience;
	int data_lock;
	time_t started;
	atomic_bool stopping;
	atomic_bool attached;
	atomic_bool session_over;	/* the kernel ended it */

	pthread_mutex_t lock;
	pthread_cond_t cond;		/* a slot went */
	struct zone_slot *slots;	/* lock */
	char reason[128];		/* lock: why not attached */
	int event_fd;			/* wakes the main loop */
};

int helper_init(struct helper *h);
void helper_free(struct helper *h);

/* The open zone with this id, referenced, or NULL. */
struct zone *helper_zone(struct helper *h, u32 id);
/* Likewise by name. */
struct zone *helper_zone_by_name(struct helper *h, const char *name);
/*
 * Answers OPEN_ZONE; @how: NEXUS_OPEN_*; @source: of OPEN_BUCKET; @ticket goes back to the
 * kernel with the zone.
 */
int helper_open_zone(struct helper *h, const char *name, const char *source, u32 how,
		     u64 ticket, struct errline *err);
/*
 * Takes the name, which others may have for a moment, and makes a zone in *@z that nobody is
 * shown yet, referenced, for zone_open() and its like.  -EBUSY: a zone of that name stays open;
 * -ENOMEM.  It ends with helper_zone_end(), which takes the reference: @ret 0 shows the
 * zone; otherwise it goes, and the name is free again.  Either way it may be over already,
 * and then its closer has it.
 */
int helper_zone_begin(struct helper *h, const char *name, struct zone **z);
void helper_zone_end(struct helper *h, struct zone *z, const char *name, int ret);
/* The kernel is done with the zone, or dropped it; closes it on a worker. */
void helper_zone_over(struct helper *h, struct zone *z);
/*
 * Keeps others from opening the zone; -EBUSY when it is in use here.  For what
 * looks into a store that is not mounted.
 */
int helper_claim(struct helper *h, const char *name);
void helper_release(struct helper *h, const char *name);
/*
 * The zone @name, which is being opened, has this uuid: another one with the same, as
 * that which it was restored from, is waited for while it is being closed, and for a moment
 * when it is open.  -EEXIST: it still is, with a line.
 */
int helper_claim_uuid(struct helper *h, const char *name, const u8 uuid[NEXUS_UUID_SIZE],
		      struct errline *err);
u32 helper_zone_count(struct helper *h);
void helper_set_reason(struct helper *h, const char *reason);

/* session.c */
/*
 * Tries to attach: 0; -ENOENT while there is no device; -EBUSY while the session
 * has another helper; or another error.  Takes living zones over and starts the
 * queues.
 */
int session_attach(struct helper *h, struct errline *err);
/* Leaves every zone in order and detaches. */
void session_end(struct helper *h);

#endif /* NEXUSD_HELPER_H */
