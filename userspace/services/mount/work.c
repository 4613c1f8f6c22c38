// SPDX-License-Identifier: Apache-2.0
/*
 * What was saved is attached again, by a few threads, so that a store that is away keeps neither the
 * helper's start nor other mounts waiting.  They end when nothing is left to do.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mounts.h"

#define STACK_SIZE	(1u << 20)	/* as the registry's threads have */
#define LOOK_MS		1000		/* while others are at all that is left */

static int64_t backoff(const struct mounts *m, uint32_t tries)
{
	int64_t ms = m->first_ms;

	while (--tries && ms < m->last_ms)
		ms *= 2;
	return ms < m->last_ms ? ms : m->last_ms;
}

static void attempt(struct mounts *m, struct mount_entry *e)
{
	char words[NEXUS_MOUNT_WORDS_MAX];
	int ret = mounts_try(m, e, words);

	if (ret >= 0) {
		if (!ret && mounts_write(m))
			mounts_say(m, true, "since when %s is attached could not be kept",
				   e->directory);
		if (!ret)
			mounts_say(m, false, "%s is attached to %s again", e->source, e->directory);
		return;
	}
	if (!words[0])
		snprintf(words, sizeof(words), "%s", strerror(-ret));
	e->tries++;
	e->next_ms = m->machine->mono_ms() + backoff(m, e->tries);
	/* Once for each reason, as it may be tried for days. */
	if (strcmp(e->reason, words) != 0 && !m->ending)
		mounts_say(m, true, "%s cannot be attached to %s, and is tried again: %s", e->source,
			   e->directory, words);
	memcpy(e->reason, words, sizeof(words));
}

/* The one whose time has come, or how long until then; false: nothing is left. */
static bool next_of(struct mounts *m, struct mount_entry **due, int64_t *wait)
{
	int64_t now = m->machine->mono_ms(), left;
	struct mount_entry *e;
	bool any = false;

	*due = NULL;
	*wait = LOOK_MS;
	for (e = m->entries; e && !*due; e = e->next) {
		if (!e->wanted)
			continue;
		any = true;
		left = e->next_ms - now;
		if (e->busy)
			continue;
		if (left <= 0)
			*due = e;
		else if (left < *wait)
			*wait = left;
	}
	return any;
}

static void *work(void *arg)
{
	struct mounts *m = arg;
	struct mount_entry *e;
	struct timespec until;
	int64_t wait;

	mounts_enter(m);
	while (!m->ending && next_of(m, &e, &wait)) {
		if (e) {
			attempt(m, e);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += wait / 1000;
		until.tv_nsec += wait % 1000 * 1000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
		mounts_wait(m, &until);
	}
	mounts_leave(m);
	return NULL;
}

int mounts_begin(struct mounts *m)
{
	const struct mount_entry *e;
	pthread_attr_t attr;
	sigset_t all, old;
	uint32_t want = 0;

	for (e = m->entries; e; e = e->next)
		want += e->wanted && want < MOUNTS_WORKERS;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	/* Signals are the helper's affair. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (m->n_workers < want &&
	       !pthread_create(&m->workers[m->n_workers], &attr, work, m))
		m->n_workers++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return want && !m->n_workers ? -EAGAIN : 0;
}

void mounts_end(struct mounts *m)
{
	pthread_mutex_lock(&m->lock);
	m->ending = true;
	pthread_cond_broadcast(&m->cond);
	pthread_mutex_unlock(&m->lock);
	while (m->n_workers)
		pthread_join(m->workers[--m->n_workers], NULL);
}
