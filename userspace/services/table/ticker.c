// SPDX-License-Identifier: Apache-2.0
#include "table.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#define STACK_SIZE	(1u << 20)	/* as the registry's threads have */

void ticker_init(struct ticker *t, uint32_t every_ms, void (*tick)(void *arg), void *arg)
{
	pthread_condattr_t attr;

	*t = (struct ticker){ .every_ms = every_ms, .tick = tick, .arg = arg };
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->cond, &attr);
	pthread_condattr_destroy(&attr);
}

void ticker_destroy(struct ticker *t)
{
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->cond);
}

static void *ticker_main(void *arg)
{
	struct ticker *t = arg;
	struct timespec until;

	pthread_mutex_lock(&t->lock);
	while (!t->ending) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += t->every_ms / 1000;
		until.tv_nsec += t->every_ms % 1000 * 1000000L;
		if (until.tv_nsec >= 1000000000) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
		while (!t->ending && !t->due &&
		       pthread_cond_timedwait(&t->cond, &t->lock, &until) != ETIMEDOUT)
			;
		if (t->ending)
			break;
		t->due = false;
		pthread_mutex_unlock(&t->lock);
		t->tick(t->arg);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

int ticker_start(struct ticker *t)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	/* Signals are the helper's affair. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&t->thread, &attr, ticker_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	t->running = !ret;
	return ret ? -EAGAIN : 0;
}

void ticker_kick(struct ticker *t)
{
	pthread_mutex_lock(&t->lock);
	t->due = true;
	pthread_cond_signal(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

void ticker_stop(struct ticker *t)
{
	if (!t->running)
		return;
	pthread_mutex_lock(&t->lock);
	t->ending = true;
	pthread_cond_signal(&t->cond);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	t->running = false;
}
