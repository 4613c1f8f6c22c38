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

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	const char *name;
	struct job *first, **last;
	unsigned int max, running, idle, queued;
	bool stop;
	bool anywhere;		/* cpus is known */
	cpu_set_t cpus;		/* of who made them */
	pthread_t threads[];
};

static void *worker_main(void *arg)
{
	struct workers *w = arg;
	struct job *job;

	pthread_setname_np(pthread_self(), w->name);
	/*
	 * Who adds work may be bound to a CPU, as the threads of queues are, and what it
	 * starts is, too: as would be all that is started from here, for the whole of a zone.
	 */
	if (w->anywhere)
		sched_setaffinity(0, sizeof(w->cpus), &w->cpus);
	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (!w->first && !w->stop) {
			w->idle++;
			pthread_cond_wait(&w->cond, &w->lock);
			w->idle--;
		}
		job = w->first;
		if (!job)
			break;
		w->first = job->next;
		if (!w->first)
			w->last = &w->first;
		w->queued--;
		pthread_mutex_unlock(&w->lock);
		job->fn(job->arg);
		free(job);
		pthread_mutex_lock(&w->lock);
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
	w->last = &w->first;
	w->max = max;
	w->name = name;
	w->anywhere = !sched_getaffinity(0, sizeof(w->cpus), &w->cpus);
	return w;
}

int workers_add(struct workers *w, work_fn fn, void *arg)
{
	struct job *job = malloc(sizeof(*job));
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
	if (w->stop || !w->running) {
		ret = ret ? ret : -ESHUTDOWN;
		free(job);
	} else {
		ret = 0;
		*w->last = job;
		w->last = &job->next;
		w->queued++;
		pthread_cond_signal(&w->cond);
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
