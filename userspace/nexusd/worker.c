// SPDX-License-Identifier: Apache-2.0
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

struct job {
	struct job *next;
	work_fn fn;
	void *arg;
};

/* The jobs of one key that wait, in their order; there as long as it has any, or any run. */
struct group {
	struct group *next;
	u64 key;
	unsigned int running;
	struct job *first, **last;
};

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	const char *name;
	struct group *groups;
	unsigned int max, running, idle, busy, queued;
	bool stop;
	bool anywhere;		/* cpus is known */
	cpu_set_t cpus;		/* of who made them */
	pthread_t threads[];
};

/* ---- whose turn it is -------------------------------------------------------- */

/* lock held.  NULL: no memory. */
static struct group *get_group(struct workers *w, u64 key)
{
	struct group *g;

	for (g = w->groups; g; g = g->next)
		if (g->key == key)
			return g;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->key = key;
	g->last = &g->first;
	g->next = w->groups;
	w->groups = g;
	return g;
}

/* lock held. */
static void drop_if_idle(struct workers *w, struct group *g)
{
	struct group **at;

	if (g->first || g->running)
		return;
	for (at = &w->groups; *at != g; at = &(*at)->next)
		;
	*at = g->next;
	free(g);
}

/*
 * lock held.  The one with the fewest jobs under way, if it may have one more: a key may have
 * as many threads as are left for all others.  So one whose jobs never end has half of them,
 * the next one like it half of the rest, and there are some left for long.
 */
static struct group *next_group(const struct workers *w)
{
	struct group *g, *best = NULL;

	for (g = w->groups; g; g = g->next)
		if (g->first && (!best || g->running < best->running) &&
		    (!g->key || g->running < w->max - w->busy))
			best = g;
	return best;
}

/* lock held, and given up meanwhile. */
static void run_one(struct workers *w, struct group *g)
{
	struct job *job = g->first;

	g->first = job->next;
	if (!g->first)
		g->last = &g->first;
	g->running++;
	w->busy++;
	w->queued--;
	/* Two more may have become possible with one thread that is free again. */
	if (w->idle && next_group(w))
		pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
	job->fn(job->arg);
	free(job);
	pthread_mutex_lock(&w->lock);
	g->running--;
	w->busy--;
	drop_if_idle(w, g);
}

/* ---- threads ------------------------------------------------------------------- */

static void *worker_main(void *arg)
{
	struct workers *w = arg;
	struct group *g;

	pthread_setname_np(pthread_self(), w->name);
	/*
	 * Who adds work may be bound to a CPU, as the threads of queues are, and what it
	 * starts is, too: as would be all that is started from here, for the whole of a zone.
	 */
	if (w->anywhere)
		sched_setaffinity(0, sizeof(w->cpus), &w->cpus);
	pthread_mutex_lock(&w->lock);
	for (;;) {
		g = next_group(w);
		if (g) {
			run_one(w, g);
			continue;
		}
		/* What may not run yet is run by whoever is at the others of its key. */
		if (w->stop)
			break;
		w->idle++;
		pthread_cond_wait(&w->cond, &w->lock);
		w->idle--;
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

struct workers *workers_new(unsigned int max, const char *name)
{
	struct workers *w = calloc(1, sizeof(*w) + max * sizeof(w->threads[0]));

	if (!w)
		return NULL;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->cond, NULL);
	w->max = max;
	w->name = name;
	w->anywhere = !sched_getaffinity(0, sizeof(w->cpus), &w->cpus);
	return w;
}

int workers_add(struct workers *w, u64 key, work_fn fn, void *arg)
{
	struct job *job = malloc(sizeof(*job));
	struct group *g = NULL;
	int ret = 0;

	if (!job)
		return -ENOMEM;
	*job = (struct job){ .fn = fn, .arg = arg };
	pthread_mutex_lock(&w->lock);
	if (w->queued >= w->idle && w->running < w->max) {
		ret = -pthread_create(&w->threads[w->running], NULL, worker_main, w);
		if (!ret)
			w->running++;
	}
	/* One thread is enough for it to be done some time. */
	if (w->stop || !w->running)
		ret = ret ? ret : -ESHUTDOWN;
	else
		g = get_group(w, key);
	if (g) {
		ret = 0;
		*g->last = job;
		g->last = &job->next;
		w->queued++;
		pthread_cond_signal(&w->cond);
	} else {
		ret = ret ? ret : -ENOMEM;
		free(job);
	}
	pthread_mutex_unlock(&w->lock);
	return ret;
}

void workers_free(struct workers *w)
{
	unsigned int i;

	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_broadcast(&w->cond);
	pthread_mutex_unlock(&w->lock);
	for (i = 0; i < w->running; i++)
		pthread_join(w->threads[i], NULL);
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
