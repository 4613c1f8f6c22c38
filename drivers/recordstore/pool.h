/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded number of connections, lent to one transaction each. */
#ifndef NEXUS_RECORDSTORE_POOL_H
#define NEXUS_RECORDSTORE_POOL_H

#include <pthread.h>
#include <stdint.h>

/** struct record_link - a driver's connection has it as its first member */
struct record_link {
	struct record_link *next;
};

struct record_pool {
	pthread_mutex_t lock;
	pthread_cond_t returned;
	struct record_link *idle;	/* lock */
	uint32_t unopened;		/* lock: those that may yet be made */
};

void record_pool_init(struct record_pool *pool, uint32_t connections);
/* All are to be taken out, and closed, before. */
void record_pool_destroy(struct record_pool *pool);

/**
 * record_pool_take() - an idle connection, or leave to make one
 *
 * Waits while all are lent.
 *
 * Return: the one given back last; NULL: the caller makes one, and gives it or
 * the leave back.
 */
struct record_link *record_pool_take(struct record_pool *pool);
/** record_pool_idle() - an idle connection, or NULL; never waits */
struct record_link *record_pool_idle(struct record_pool *pool);
/** record_pool_give() - give a connection back */
void record_pool_give(struct record_pool *pool, struct record_link *link);
/** record_pool_gone() - instead: it could not be made, or was closed */
void record_pool_gone(struct record_pool *pool);

#endif /* NEXUS_RECORDSTORE_POOL_H */
