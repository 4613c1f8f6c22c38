// SPDX-License-Identifier: Apache-2.0
/* Whose turn it is to work on packs, and for how long one who keeps a rate sleeps. */
#include "space.h"

#include <time.h>

u64 space_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
}

void space_sleep(struct space *sp, u64 ns, enum space_until what)
{
	u64 at = space_clock() + ns;
	const struct timespec until = {
		.tv_sec = (time_t)(at / 1000000000ull), .tv_nsec = (long)(at % 1000000000ull),
	};

	pthread_mutex_lock(&sp->lock);
	while (!atomic_load(&sp->z->stopping) && !(what == SPACE_FOLDED && sp->kick) &&
	       !(what == SPACE_URGENT && sp->urgent) && space_clock() < at)
		pthread_cond_timedwait(&sp->cond, &sp->lock, &until);
	if (what == SPACE_FOLDED)
		sp->kick = false;
	pthread_mutex_unlock(&sp->lock);
}

/* ---- whose turn it is ---------------------------------------------------------- */

void space_lock_urgently(struct space *sp)
{
	pthread_mutex_lock(&sp->lock);
	sp->urgent++;
	pthread_cond_broadcast(&sp->cond);
	pthread_mutex_unlock(&sp->lock);
	pthread_mutex_lock(&sp->work);
	pthread_mutex_lock(&sp->lock);
	if (!--sp->urgent)
		pthread_cond_broadcast(&sp->cond);
	pthread_mutex_unlock(&sp->lock);
}

void space_lock(struct space *sp)
{
	pthread_mutex_lock(&sp->lock);
	while (sp->urgent)
		pthread_cond_wait(&sp->cond, &sp->lock);
	pthread_mutex_unlock(&sp->lock);
	pthread_mutex_lock(&sp->work);
}

/* Others change things; who only reads what is cached needs no disk. */
static bool others_busy(struct space *sp)
{
	u64 tail = sp->z->ring.ctl ?
		   __atomic_load_n(&sp->z->ring.ctl->tail, __ATOMIC_ACQUIRE) : 0;
	bool busy = tail - sp->tail > sp->own;

	sp->tail = tail;
	sp->own = 0;
	return busy;
}

void space_pay(struct space *sp, u64 bytes, u64 ns)
{
	u64 rate = sp->z->cfg->compact_rate, due;

	if (!rate)
		rate = 8u << 20;
	if (others_busy(sp)) {
		rate = rate / 4 + 1;
		ns *= 4;
	}
	due = (u64)((double)bytes * 1e9 / (double)rate);
	/* The disk is others' for as long as it was ours, and more while they need it. */
	due = NEXUS_MIN(NEXUS_MAX(due, ns), SPACE_SLEEP_MAX_NS);
	space_sleep(sp, due, SPACE_URGENT);
}
