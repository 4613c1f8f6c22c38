// SPDX-License-Identifier: Apache-2.0
#include "drivers/recordstore/pool.h"

#include <stddef.h>

void record_pool_init(struct record_pool *pool, uint32_t connections)
{
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->returned, NULL);
	pool->idle = NULL;
	pool->unopened = connections;
}

void record_pool_destroy(struct record_pool *pool)
{
	pthread_cond_destroy(&pool->returned);
	pthread_mutex_destroy(&pool->lock);
}

static struct record_link *pop(struct record_pool *pool)
{
	struct record_link *link = pool->idle;

	if (link)
		pool->idle = link->next;
	return link;
}

struct record_link *record_pool_take(struct record_pool *pool)
{
	struct record_link *link;

	pthread_mutex_lock(&pool->lock);
	while (!pool->idle && !pool->unopened)
		pthread_cond_wait(&pool->returned, &pool->lock);
	link = pop(pool);
	if (!link)
		pool->unopened--;
	pthread_mutex_unlock(&pool->lock);
	return link;
}

struct record_link *record_pool_idle(struct record_pool *pool)
{
	struct record_link *link;

	pthread_mutex_lock(&pool->lock);
	link = pop(pool);
	pthread_mutex_unlock(&pool->lock);
	return link;
}

void record_pool_give(struct record_pool *pool, struct record_link *link)
{
	pthread_mutex_lock(&pool->lock);
	link->next = pool->idle;
	pool->idle = link;
	pthread_cond_signal(&pool->returned);
	pthread_mutex_unlock(&pool->lock);
}

void record_pool_gone(struct record_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->unopened++;
	pthread_cond_signal(&pool->returned);
	pthread_mutex_unlock(&pool->lock);
}
