// SPDX-License-Identifier: Apache-2.0
/* A zone's job, by a thread of its own, for those who ask for it. */
#include "gc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "space.h"

#define PATIENCE_NS	60000000000ull	/* without a question: nobody wants to know */

static bool wanted(struct gc *g)
{
	bool is;

	pthread_mutex_lock(&g->lock);
	is = space_clock() - g->asked_at < PATIENCE_NS;
	pthread_mutex_unlock(&g->lock);
	return is;
}

static void *gc_main(void *arg)
{
	static const struct errline none = { "nobody asks for it any more" };
	struct gc *g = arg;
	int ret = 1;

	pthread_setname_np(pthread_self(), "nexusd-gc");
	while (ret == 1 && !atomic_load(&g->z->stopping) && wanted(g))
		ret = gc_step(g);
	if (ret == 1)
		gc_give_up(g, atomic_load(&g->z->stopping) ? -ESHUTDOWN : -ECANCELED, &none);
	/* A report may wait for long; of a large store, the rest is large. */
	gc_forget(g);
	return NULL;
}

static bool is_over(struct gc *g)
{
	bool over;

	pthread_mutex_lock(&g->lock);
	over = g->r.over;
	pthread_mutex_unlock(&g->lock);
	return over;
}

/* gc_lock held.  The last job and all it found. */
static void drop(struct zone *z)
{
	struct gc *g = z->gc;

	z->gc = NULL;
	if (g && g->running)
		pthread_join(g->thread, NULL);
	gc_free(g);
}

int zone_gc_start(struct zone *z, bool run, u64 *job, struct errline *err)
{
	static _Atomic u64 last;
	struct gc *g;
	int ret;

	pthread_mutex_lock(&z->gc_lock);
	if (z->gc && !is_over(z->gc))
		ret = err_set(err, -EALREADY, "zone %s is being looked through already", z->name);
	else if (atomic_load(&z->stopping))
		ret = -ESHUTDOWN;
	else
		ret = gc_new(z, run, &g, err);
	if (ret)
		goto unlock;
	drop(z);
	*job = g->r.job = atomic_fetch_add(&last, 1) + 1;
	g->asked_at = space_clock();
	ret = -pthread_create(&g->thread, NULL, gc_main, g);
	g->running = !ret;
	if (ret)
		gc_free(g);
	else
		z->gc = g;
unlock:
	pthread_mutex_unlock(&z->gc_lock);
	return ret;
}

static void wait_until(struct gc *g, u64 ns)
{
	const struct timespec until = {
		.tv_sec = (time_t)(ns / 1000000000ull), .tv_nsec = (long)(ns % 1000000000ull),
	};

	pthread_cond_timedwait(&g->cond, &g->lock, &until);
}

int zone_gc_look(struct zone *z, u64 job, unsigned int wait_ms, struct gc_report *r,
		 int (*fn)(void *arg, enum gc_what what, const char *name, u64 bytes), void *arg)
{
	u64 until = space_clock() + (u64)wait_ms * 1000000ull;
	struct gc *g;
	int what, ret = 0;
	size_t i;

	/* Held, so that the job stays; it ends without this lock. */
	pthread_mutex_lock(&z->gc_lock);
	g = z->gc;
	if (!g || g->r.job != job) {
		pthread_mutex_unlock(&z->gc_lock);
		return -ESRCH;
	}
	pthread_mutex_lock(&g->lock);
	while (!g->r.over && !atomic_load(&z->stopping) && space_clock() < until)
		wait_until(g, until);
	g->asked_at = space_clock();
	*r = g->r;
	pthread_mutex_unlock(&g->lock);
	for (what = 0; r->over && what < GC_WHATS; what++)
		for (i = 0; !ret && i < g->nname[what]; i++)
			ret = fn(arg, (enum gc_what)what, g->name[what][i].text,
				 g->name[what][i].bytes);
	pthread_mutex_unlock(&z->gc_lock);
	return ret;
}

void zone_gc_stop(struct zone *z)
{
	pthread_mutex_lock(&z->gc_lock);
	drop(z);
	pthread_mutex_unlock(&z->gc_lock);
}
