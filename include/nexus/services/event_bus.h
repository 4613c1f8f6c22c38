/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol nexus.event_bus, version 2: events to all who want them, in one order.
 *
 * An event is a record of the event log first, which gives it its sequence number;
 * then it is put into the queue of each subscriber whose filter it matches.  The
 * queues are bounded.  Nobody waits in a call: a subscriber has a descriptor that is
 * readable while there is something to fetch.  Helpers that share a cache store with a
 * server share their events: those of others are appended to the log here as they come.
 * Documentation/services/event_bus.md.
 */
#ifndef NEXUS_SERVICES_EVENT_BUS_H
#define NEXUS_SERVICES_EVENT_BUS_H

#include <nexus/service.h>

#define NEXUS_EVENT_BUS			"nexus.event_bus"
#define NEXUS_EVENT_BUS_VERSION		2

#define NEXUS_EVENT_ZONE_MAX		255u
#define NEXUS_EVENT_PATH_MAX		4095u
#define NEXUS_EVENT_DATA_MAX		(64u << 10)
#define NEXUS_EVENT_BATCH_MAX		1024u		/* events in a publish */
#define NEXUS_EVENT_PATTERNS_MAX	16u
#define NEXUS_EVENT_PATTERN_MAX		255u
#define NEXUS_EVENT_SUBSCRIBERS_MAX	1024u
#define NEXUS_EVENT_QUEUE_DEFAULT	4096u		/* events */
#define NEXUS_EVENT_QUEUE_MAX		65536u
#define NEXUS_EVENT_QUEUE_BYTES		(4u << 20)
#define NEXUS_EVENT_FETCH_MAX		4096u

/** enum nexus_event_type - what happened to a path; others up to 63 are free */
enum nexus_event_type {
	NEXUS_EVENT_WRITE	= 0,
	NEXUS_EVENT_DELETE	= 1,
	NEXUS_EVENT_RENAME	= 2,
	NEXUS_EVENT_METADATA	= 3,
	NEXUS_EVENT_DIR_CREATE	= 4,
	NEXUS_EVENT_DIR_DELETE	= 5,
	NEXUS_EVENT_CONFLICT	= 6,
	NEXUS_EVENT_COPY	= 7,
	NEXUS_EVENT_MOUNT	= 8,
	NEXUS_EVENT_UNMOUNT	= 9,
};

/** enum nexus_event_kind - what a fetch gives */
enum nexus_event_kind {
	NEXUS_EVENT_IS		= 0,	/* an event */
	NEXUS_EVENT_LOST	= 1,	/* its queue was full: seq to lost_to may have some it wanted */
	NEXUS_EVENT_GONE	= 2,	/* seq to lost_to are not in the log any more, or damaged */
	NEXUS_EVENT_MISSED	= 3,	/* events of other helpers did not come here; for all, whatever they want */
};

/**
 * struct nexus_bus_event - an event, or that some are lost
 * @seq: its number in the event log; set by the service
 * @lost_to: NEXUS_EVENT_LOST, NEXUS_EVENT_GONE: the last of those lost
 * @origin: NEXUS_EVENT_IS: 0, or a number for the helper it was published on, another
 *	one each time its bus begins; set by the service
 * @missed: NEXUS_EVENT_MISSED: how many; 0: nobody knows
 * @time: ns since 1970; 0 in a publish: now
 * @kind: enum nexus_event_kind; set by the service
 * @type: 0 to 63, enum nexus_event_type
 * @zone: not empty
 * @path: begins with "/"
 * @new_path: of a rename or copy, else empty
 * @data: of no meaning to the bus
 *
 * What the pointers lead to belongs to the arguments (args_more()); no NUL ends it.
 */
struct nexus_bus_event {
	uint64_t seq;
	union {
		uint64_t lost_to;
		uint64_t origin;
		uint64_t missed;
	};
	uint64_t time;
	uint32_t kind;
	uint32_t type;
	const char *zone;
	const char *path;
	const char *new_path;
	const void *data;
	uint32_t zone_len;
	uint32_t path_len;
	uint32_t new_path_len;
	uint32_t data_len;
};

/**
 * struct nexus_event_publish_args - of publish: all or none, one behind the other
 * @events: @count of them, 1 to NEXUS_EVENT_BATCH_MAX
 * @durable: return only when the disk has them
 * @first: number of the first
 * @last: of the last
 * @deliveries: how often one of them was put into a queue
 *
 * -EINVAL, -EMSGSIZE what is in them; or what append of nexus.eventlog returns, and
 * nobody gets them then.  An error of @durable comes after they were delivered.
 */
struct nexus_event_publish_args {
	struct nexus_bus_event *events;
	uint32_t count;
	bool durable;
	uint64_t first;
	uint64_t last;
	uint64_t deliveries;
};

/** enum nexus_event_pattern_kind - how a path is compared */
enum nexus_event_pattern_kind {
	NEXUS_EVENT_PREFIX	= 0,	/* the path itself and all below; "/" is all */
	NEXUS_EVENT_GLOB	= 1,	/* * ? [a-z] [!a-z] \ within a name, ** across names */
};

/** struct nexus_event_pattern - of a filter; begins with "/" */
struct nexus_event_pattern {
	uint32_t kind;
	uint32_t len;
	const char *text;
};

/**
 * struct nexus_event_subscribe_args - of subscribe
 * @patterns: @count of them, any of which must match path or new_path; 0: every path
 * @types: bit n: events of type n; 0: all
 * @zone: its events only; @zone_len 0: of all zones
 * @from: 0: events from now on; else those in the log from this number on first
 * @queue: events that may wait; 0: NEXUS_EVENT_QUEUE_DEFAULT
 * @name: whose it is, for people
 * @id: of the subscription
 * @fd: readable while there is something to fetch; the caller's to close
 *
 * -EINVAL, -EMSGSIZE; -EUSERS NEXUS_EVENT_SUBSCRIBERS_MAX; -EMFILE, -ENOMEM.
 */
struct nexus_event_subscribe_args {
	const struct nexus_event_pattern *patterns;
	uint32_t count;
	uint64_t types;
	const char *zone;
	uint32_t zone_len;
	uint64_t from;
	uint32_t queue;
	char name[64];
	uint64_t id;
	int fd;
};

/**
 * struct nexus_event_fetch_args - of fetch: what waits, without waiting
 * @id: of the subscription
 * @max: events, at most NEXUS_EVENT_FETCH_MAX; 0: that
 * @events: @count of them, in the order of their numbers
 * @more: there is more: fetch again
 *
 * -ESTALE: there is no such subscription any more: it was ended, or the
 * service was swapped or loaded anew.  Subscribe again, from the number after the last
 * event that was fetched.  Or what read of nexus.eventlog returns.
 */
struct nexus_event_fetch_args {
	uint64_t id;
	uint32_t max;
	uint32_t count;
	struct nexus_bus_event *events;
	bool more;
};

/** struct nexus_event_unsubscribe_args - of unsubscribe; -ESTALE */
struct nexus_event_unsubscribe_args {
	uint64_t id;
};

/**
 * struct nexus_event_bus_state - of state
 * @subscribers: how many there are
 * @published: events
 * @deliveries: into queues
 * @lost: events that found a queue full
 * @overflows: how often a queue became full
 * @last: number of the last event delivered
 */
struct nexus_event_bus_state {
	uint64_t subscribers;
	uint64_t published;
	uint64_t deliveries;
	uint64_t lost;
	uint64_t overflows;
	uint64_t last;
};

/** enum nexus_event_bus_how - whether events are shared with other helpers */
enum nexus_event_bus_how {
	NEXUS_EVENT_BUS_ALONE	= 0,	/* no: it is not wanted, or the cache store has no server */
	NEXUS_EVENT_BUS_BEGINS	= 1,	/* not yet: the store opens, or another build is still there */
	NEXUS_EVENT_BUS_SHARED	= 2,
	NEXUS_EVENT_BUS_CUT_OFF	= 3,	/* not until the server is back */
};

/**
 * struct nexus_event_bus_sharing - of sharing
 * @how: enum nexus_event_bus_how
 * @since: s since 1970: when that began
 * @origins: other helpers that were heard of
 * @sent: events given to the server
 * @unsent: that were not: there was no server, no room for those that wait, or
 * @too_large: a message had no room; they are among @unsent
 * @received: events of others that came, once each
 * @repeated: that came again, and were dropped
 * @malformed: messages that made no sense, and were dropped
 * @missed: events of others that did not come, as far as their number is known
 * @gaps: how often NEXUS_EVENT_MISSED was told
 */
struct nexus_event_bus_sharing {
	uint32_t how;
	uint32_t origins;
	uint64_t since;
	uint64_t sent, unsent, too_large;
	uint64_t received, repeated, malformed;
	uint64_t missed, gaps;
};

/** struct nexus_event_bus_ops - the operations; the last one since version 2 */
struct nexus_event_bus_ops {
	nexus_op publish;	/* struct nexus_event_publish_args */
	nexus_op subscribe;	/* struct nexus_event_subscribe_args */
	nexus_op fetch;		/* struct nexus_event_fetch_args */
	nexus_op unsubscribe;	/* struct nexus_event_unsubscribe_args */
	nexus_op state;		/* struct nexus_event_bus_state */
	nexus_op sharing;	/* struct nexus_event_bus_sharing */
};

#endif /* NEXUS_SERVICES_EVENT_BUS_H */
