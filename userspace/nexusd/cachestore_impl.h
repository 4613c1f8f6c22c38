/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache store, between its two files: what it is, and the handles to it.
 *
 * Locks: opening > subscribing > place > list > lock.
 */
#ifndef NEXUSD_CACHESTORE_IMPL_H
#define NEXUSD_CACHESTORE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "cachestore.h"
#include "service_object.h"

/* A store on a server, from its opening until it is lost. */
struct cache_inst {
	struct cachestore *s;
	struct nexus_cache *cache;
	atomic_uint refs;		/* whoever takes the last away closes it */
	struct nexus_cache_fault fault;	/* lock */
	bool lost;			/* lock */
};

struct cache_subscriber {
	struct cache_subscriber *next;
	struct nexus_cache_sub *sub;	/* attached to the local store in any case */
	struct cache_inst *inst;	/* and to this; or NULL */
};

struct cachestore {
	struct cachestore_opts opts;
	char *driver_name, *at, *dir;

	pthread_mutex_t opening;
	struct object object;		/* opening, then the keeper's */
	const struct nexus_cache_driver *driver;	/* likewise */
	struct nexus_cache *local;	/* opening; NULL: not open */
	const struct nexus_cache_driver *local_driver;
	pthread_t keeper;
	bool keeping;

	pthread_mutex_t subscribing;	/* held while a server is told */
	pthread_rwlock_t place;		/* which store it is; held for reading in the local one */
	struct cache_inst *inst;	/* place; NULL: the local one */
	pthread_mutex_t list;		/* subscribing, too, to change it */
	struct cache_subscriber *subscribers;

	pthread_mutex_t lock;		/* all below */
	pthread_cond_t wake;
	bool ending, due;
	struct cachestore_info info;
};

/* Opens it when it is not.  -ENOMEM. */
int cachestore_open(struct cachestore *s);

/* A call into the store as it is now. */
struct cache_use {
	struct cache_inst *inst;
	struct nexus_cache *cache;
	unsigned int tries;
};

/* Takes a reference, or place for reading. */
void cache_use_begin(struct cachestore *s, struct cache_use *u);
/*
 * With what the call returned; true: the server was lost under it, and it is to be made
 * again.  *@ret is an error of the contract otherwise.
 */
bool cache_use_end(struct cachestore *s, struct cache_use *u, int *ret);

void cache_inst_get(struct cache_inst *inst);
void cache_inst_put(struct cache_inst *inst);
/* The one in use, with a reference, or NULL. */
struct cache_inst *cache_inst_now(struct cachestore *s);
/* It is lost: the local store, empty, takes over. */
void cache_inst_leave(struct cachestore *s, struct cache_inst *inst);

#endif /* NEXUSD_CACHESTORE_IMPL_H */
