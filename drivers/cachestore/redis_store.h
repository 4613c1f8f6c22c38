/* SPDX-License-Identifier: Apache-2.0 */
/* Cache store on a Redis server, between its files. */
#ifndef NEXUS_CACHESTORE_REDIS_STORE_H
#define NEXUS_CACHESTORE_REDIS_STORE_H

#include <stdatomic.h>

#include "drivers/cachestore/redis_link.h"

#define REDIS_LINKS		8u		/* at once, but for the one of subscriptions */
#define REDIS_CHANNEL		"nexus:channel:"

/* What is asked of the listener: to subscribe to a channel, or no longer. */
struct redis_want {
	struct redis_want *next;
	bool subscribe;
	bool *done;			/* NULL: nobody waits for it */
	int64_t until;
	struct cache_bytes channel;
};

struct redis_listener {
	pthread_mutex_t attaching;	/* one at a time; above @lock */
	pthread_mutex_t lock;		/* all below */
	pthread_cond_t cond;
	pthread_t thread;
	bool running, ending;
	bool ended;			/* the thread: it looks at nothing any more */
	int wake;			/* an eventfd, or -1 */
	struct redis_want *asked;	/* in order: not sent yet */
	/* The thread's own: */
	struct redis_link *link;
	struct redis_want *sent;	/* in order: not answered yet */
	int64_t pinged;			/* not answered yet, or 0 */
	size_t unparsed;		/* bytes read since the last message */
};

struct redis_store {
	struct nexus_cache base;
	struct redis_place place;
	uint32_t reply_ms;
	void (*told)(void *arg, const struct nexus_cache_fault *fault);
	void *told_arg;
	char run_id[41];
	pthread_mutex_t telling;	/* below all others */
	atomic_bool lost;
	struct cache_hub hub;
	struct redis_listener listener;

	pthread_mutex_t lock;		/* all below */
	pthread_cond_t returned;
	struct redis_link *idle;
	uint32_t unopened;
	char generation[17];
};

/** redis_store_lost() - nobody uses the server any more; returns -ENOTCONN */
int redis_store_lost(struct redis_store *s, const struct nexus_cache_fault *fault);

/** redis_store_link() - a connection more to the same server process */
int redis_store_link(struct redis_store *s, int64_t until, struct nexus_cache_fault *fault,
		     struct redis_link **link);

/** redis_give_link() - one back that was lent, or with NULL the leave to make one */
void redis_give_link(struct redis_store *s, struct redis_link *link);

/* redis_listen.c: the one connection of subscriptions, and its thread. */
int redis_listener_init(struct redis_listener *l);
void redis_listener_end(struct redis_store *s);
int redis_attach(struct nexus_cache *cache, struct nexus_cache_sub *sub);
void redis_detach(struct nexus_cache *cache, struct nexus_cache_sub *sub);

#endif /* NEXUS_CACHESTORE_REDIS_STORE_H */
