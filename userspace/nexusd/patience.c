// SPDX-License-Identifier: Apache-2.0
#include "patience.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS		24
/*
 * A look pays while it is shorter than what it saves: the sleeps and wakeups of both
 * sides, and the caller's way from one answer to its next question.
 */
#define WORTH		4u
#define LIMIT_MIN_US	20u
#define LIMIT_MAX_US	1000u
#define GROW_FROM_US	10u	/* KVM's halt_poll_ns_grow_start, for the same trade */

/* Two threads that wake each other, on two CPUs where there are two. */
struct pair {
	int there, back;
	cpu_set_t cpu[2];
	u64 best;		/* ns there and back */
};

static void *echo(void *arg)
{
	struct pair *p = arg;
	eventfd_t v;
	int i;

	sched_setaffinity(0, sizeof(p->cpu[1]), &p->cpu[1]);
	for (i = 0; i < ROUNDS; i++)
		if (eventfd_read(p->there, &v) || eventfd_write(p->back, 1))
			break;
	return NULL;
}

/* On a thread of its own, whose affinity is its own too. */
static void *ask(void *arg)
{
	struct pair *p = arg;
	pthread_t other;
	eventfd_t v;
	int i;

	sched_setaffinity(0, sizeof(p->cpu[0]), &p->cpu[0]);
	if (pthread_create(&other, NULL, echo, p))
		return NULL;
	for (i = 0; i < ROUNDS; i++) {
		struct timespec a, b;
		u64 ns;

		clock_gettime(CLOCK_MONOTONIC, &a);
		if (eventfd_write(p->there, 1) || eventfd_read(p->back, &v))
			break;
		clock_gettime(CLOCK_MONOTONIC, &b);
		ns = (u64)(b.tv_sec - a.tv_sec) * 1000000000 + (u64)b.tv_nsec -
		     (u64)a.tv_nsec;
		if (!p->best || ns < p->best)
			p->best = ns;
	}
	/* It would wait for what will not come. */
	if (i < ROUNDS)
		pthread_cancel(other);
	pthread_join(other, NULL);
	return NULL;
}

/* Microseconds of two wakeups between CPUs, undisturbed; 0 where there is one CPU. */
static u32 wakeups_us(void)
{
	struct pair p = { .there = -1, .back = -1, .best = 0 };
	int cpu, found = 0;
	pthread_t asker;
	cpu_set_t all;

	if (sched_getaffinity(0, sizeof(all), &all) || CPU_COUNT(&all) < 2)
		return 0;
	for (cpu = 0; found < 2 && cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&p.cpu[found]);
		CPU_SET(cpu, &p.cpu[found++]);
	}
	p.there = eventfd(0, EFD_CLOEXEC);
	p.back = eventfd(0, EFD_CLOEXEC);
	if (p.there >= 0 && p.back >= 0 && !pthread_create(&asker, NULL, ask, &p))
		pthread_join(asker, NULL);
	if (p.there >= 0)
		close(p.there);
	if (p.back >= 0)
		close(p.back);
	return (u32)(p.best / 1000);
}

void patience_init(struct patience *p, s32 limit_us)
{
	u32 us;

	if (limit_us >= 0) {
		p->limit_us = (u32)limit_us;
	} else {
		us = wakeups_us() * WORTH;
		p->limit_us = us ? NEXUS_MIN(NEXUS_MAX(us, LIMIT_MIN_US), LIMIT_MAX_US) : 0;
	}
	atomic_init(&p->us, p->limit_us);
	atomic_init(&p->gave_up_at, 0);
}

void patience_gave_up(struct patience *p, u64 now)
{
	atomic_store_explicit(&p->gave_up_at, now, memory_order_relaxed);
}

void patience_woke(struct patience *p, u64 now)
{
	u64 since = atomic_exchange_explicit(&p->gave_up_at, 0, memory_order_relaxed);
	u32 us = atomic_load_explicit(&p->us, memory_order_relaxed);

	if (!since)
		return;
	if (now - since <= p->limit_us)
		us = NEXUS_MAX(us * 2, GROW_FROM_US);
	else
		us /= 2;
	us = NEXUS_MIN(us, p->limit_us);
	atomic_store_explicit(&p->us, us, memory_order_relaxed);
}

void patience_crowded(struct patience *p)
{
	atomic_store_explicit(&p->us, 0, memory_order_relaxed);
}
