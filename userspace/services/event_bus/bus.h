/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event bus, between its files.
 *
 * Locks: order > table > subscriber.lock > feeder.lock, and order > share.lock;
 * subscriber.fetching is above them all.
 * @order is held while events get their numbers and go into the queues, which is
 * what makes their order one; a subscriber's own lock never while anything waits.
 */
#ifndef EVENT_BUS_H
#define EVENT_BUS_H

#include <pthread.h>
#include <stdatomic.h>

#include <nexus/services/event_bus.h>
#include <nexus/services/eventlog.h>

#include "feeder.h"
#include "share.h"

#define BUS_BUCKETS	4096u
#define BUS_FETCH_BYTES	(1u << 20)

/* An event in queues; what its pointers lead to is behind it. */
struct bus_event {
	atomic_uint refs;
	size_t size;
	struct nexus_bus_event e;
	char bytes[];
};

/* One pattern of a subscriber, in the index by the folder it is about. */
struct bus_pattern {
	struct bus_pattern *next;
	struct bus_subscriber *sub;
	uint64_t hash;
	uint32_t kind;
	uint16_t key_len;	/* text up to there is plain, and ends a name */
	uint16_t len;
	char text[NEXUS_EVENT_PATTERN_MAX + 1];
};

struct bus_subscriber {
	uint64_t id;
	unsigned int refs;		/* table */
	char name[64];
	uint64_t types;
	char zone[NEXUS_EVENT_ZONE_MAX];
	uint32_t zone_len;
	struct bus_pattern *patterns;
	uint32_t npatterns;
	uint64_t stamp;			/* order: the lookup that found it last */

	pthread_mutex_t fetching;
	bool live;			/* fetching and order: events come through the queue */
	uint64_t next;			/* likewise: nothing below is wanted */

	pthread_mutex_t lock;		/* all below */
	struct bus_event **queue;
	uint32_t cap, head, count;
	size_t bytes;
	uint64_t lost_from, lost_to;	/* behind all that is queued */
	bool overflown;			/* since the last fetch of a loss */
	bool readable;
	int fd;				/* that is readable then; or -1, and a stream is woken: */
	struct feeder_flow *flow;
};

struct bus {
	const struct nexus_service_host *host;
	struct nexus_service *me;
	struct nexus_ref *log;

	pthread_mutex_t order;
	uint64_t last;			/* order: delivered */
	uint64_t stamp;			/* order */
	struct bus_pattern *buckets[BUS_BUCKETS];	/* order */

	pthread_mutex_t table;
	struct bus_subscriber *subs[NEXUS_EVENT_SUBSCRIBERS_MAX];	/* table; order to change it */
	uint64_t salt;			/* of ids: those of another build are none here */
	uint32_t serial;		/* table */

	atomic_ullong published, deliveries, lost, overflows;

	struct feeder feeder;			/* to readers outside of the helper */
	struct share share;			/* with other helpers */
};

/* pattern.c: pure. */

/* -EINVAL, -EMSGSIZE. */
int pattern_set(struct bus_pattern *p, uint32_t kind, const char *text, uint32_t len);
bool pattern_match(const struct bus_pattern *p, const char *path, size_t len);
uint64_t pattern_hash(uint64_t hash, const char *text, size_t len);
#define PATTERN_HASH	0xcbf29ce484222325ull

/* index.c: order held. */

void index_add(struct bus *b, struct bus_subscriber *sub);
void index_remove(struct bus *b, struct bus_subscriber *sub);
/* Those that want it; @found has room for all there can be. */
size_t index_find(struct bus *b, const struct nexus_bus_event *e, struct bus_subscriber **found);
/* The same for one of them, without the index or a lock. */
bool subscriber_wants(const struct bus_subscriber *sub, const struct nexus_bus_event *e);

/* record.c: pure. */

size_t event_size(const struct nexus_bus_event *e);
void event_put(uint8_t *buf, const struct nexus_bus_event *e);
/* Into @e, which points into the record.  -EBADMSG: it is none of the bus. */
int event_get(const struct nexus_eventlog_record *rec, struct nexus_bus_event *e);
/* -EINVAL, -EMSGSIZE: nothing a subscriber could be given. */
int event_check(const struct nexus_bus_event *e);

/* queue.c */

struct bus_event *bus_event_new(const struct nexus_bus_event *e, unsigned int refs);
void bus_event_put(struct bus_event *ev);
/* Takes a reference over; false when the queue was full. */
bool queue_push(struct bus_subscriber *sub, struct bus_event *ev, atomic_ullong *overflows);
void queue_lose(struct bus_subscriber *sub, uint64_t from, uint64_t to);
int queue_fetch(struct bus *b, struct bus_subscriber *sub, struct nexus_event_fetch_args *a,
		size_t max_bytes);
/* Makes its descriptor readable, or not; or wakes its stream. */
void queue_wake(struct bus_subscriber *sub, bool readable);
/* A copy of @e with all it points to, as part of @args; -ENOMEM. */
int event_give(struct bus *b, void *args, struct nexus_bus_event *to, const struct nexus_bus_event *e);

/* replay.c */

/* Subscriptions that begin in the log: fetches from there, until it is live. */
int replay_fetch(struct bus *b, struct bus_subscriber *sub, struct nexus_event_fetch_args *a,
		 uint32_t max_bytes);
/* Delivers what is in the log up to @to and came by another way.  order held. */
void replay_missed(struct bus *b, uint64_t to);

/* bus.c */

void bus_deliver(struct bus *b, const struct nexus_bus_event *e);
int bus_publish(struct bus *b, struct nexus_event_publish_args *a);
/* Events of another helper: good ones, whose origin is set.  What append returns. */
int bus_enter_foreign(struct bus *b, struct nexus_bus_event *events, uint32_t count);
/* So many of other helpers did not come, or 0: nobody knows how many.  Likewise. */
int bus_enter_missed(struct bus *b, uint64_t missed);

/* subscriber.c */

int bus_subscribe(struct bus *b, struct nexus_event_subscribe_args *a);
int bus_unsubscribe(struct bus *b, struct nexus_event_unsubscribe_args *a);
int bus_fetch(struct bus *b, struct nexus_event_fetch_args *a);
void bus_end(struct bus *b);
/* The same for a stream, which is woken whenever there is something to fetch. */
int bus_attach(struct bus *b, const struct nexus_event_subscribe_args *a, struct feeder_flow *flow,
	       struct bus_subscriber **sub);
void bus_detach(struct bus *b, struct bus_subscriber *sub);
/* a->max is set, and one event at least comes whatever its size. */
int bus_fetch_for(struct bus *b, struct bus_subscriber *sub, struct nexus_event_fetch_args *a,
		  uint32_t max_bytes);

/* rpc.c */

extern const struct nexus_rpc_service bus_rpc[];
extern const struct feeder_ops bus_feeder_ops;
/* service.c */

void bus_counts(struct bus *b, struct nexus_event_bus_state *st);

#endif /* EVENT_BUS_H */
