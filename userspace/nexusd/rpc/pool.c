// SPDX-License-Identifier: Apache-2.0
/* A small pool of worker threads. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "pool.h"

struct pool_queue {
	struct pool_job *head;
	struct pool_job **tail;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct pool_queue quick;
	struct pool_queue slow;
	unsigned int slow_running;
	unsigned int slow_limit;
	bool stopping;
	unsigned int n;
	pthread_t threads[];
};

static void queue_init(struct pool_queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

static void queue_put(struct pool_queue *q, struct pool_job *job)
{
	job->next = NULL;
	*q->tail = job;
	q->tail = &job->next;
}

static struct pool_job *queue_get(struct pool_queue *q)
{
	struct pool_job *job = q->head;

	if (job) {
		q->head = job->next;
		if (!q->head)
			q->tail = &q->head;
	}
	return job;
}

/* The next job this thread may do; the lock is held. */
static struct pool_job *next_job(struct pool *pool)
{
	struct pool_job *job = queue_get(&pool->quick);

	if (!job && pool->slow_running < pool->slow_limit) {
		job = queue_get(&pool->slow);
		if (job)
			pool->slow_running++;
	}
	return job;
}

static void *worker(void *arg)
{
	struct pool *pool = arg;
	struct pool_job *job;
	bool was_long;

	pthread_setname_np(pthread_self(), "nexusd-call");
	pthread_mutex_lock(&pool->lock);
	while (!pool->stopping) {
		job = next_job(pool);
		if (!job) {
			pthread_cond_wait(&pool->wake, &pool->lock);
			continue;
		}
		was_long = job->is_long;
		pthread_mutex_unlock(&pool->lock);
		job->run(job, false);	/* frees it */
		pthread_mutex_lock(&pool->lock);
		if (was_long) {
			pool->slow_running--;
			pthread_cond_signal(&pool->wake);
		}
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

struct pool *pool_new(unsigned int workers)
{
	sigset_t all, old;
	struct pool *pool;

	if (workers < 2)
		workers = 2;
	pool = calloc(1, sizeof(*pool) + workers * sizeof(pool->threads[0]));
	if (!pool)
		return NULL;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wake, NULL);
	queue_init(&pool->quick);
	queue_init(&pool->slow);
	pool->slow_limit = workers - 1;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (pool->n < workers &&
	       !pthread_create(&pool->threads[pool->n], NULL, worker, pool))
		pool->n++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);

	if (pool->n < workers) {
		pool_stop(pool);
		return NULL;
	}
	return pool;
}

void pool_submit(struct pool *pool, struct pool_job *job)
{
	pthread_mutex_lock(&pool->lock);
	queue_put(job->is_long ? &pool->slow : &pool->quick, job);
	pthread_cond_signal(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
}

void pool_stop(struct pool *pool)
{
	struct pool_job *job;
	unsigned int i;

	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	for (i = 0; i < pool->n; i++)
		pthread_join(pool->threads[i], NULL);

	while ((job = queue_get(&pool->quick)))
		job->run(job, true);
	while ((job = queue_get(&pool->slow)))
		job->run(job, true);
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}
