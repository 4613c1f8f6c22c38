/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The surroundings of lib/sync.h under the scheduler: every lock, marked load, marked
 * store, barrier and wake-up is a step, before which any other thread may take steps.
 * Plain accesses are no steps: the compiler's instrumentation (-fsanitize=thread,
 * without its library) reports them, and two of which one is a write that nothing
 * orders are a failure.
 */
#ifndef NEXUS_SCHED_SYNC_H
#define NEXUS_SCHED_SYNC_H

#include "lib/port.h"

/* Where in the source a step is, for the printed schedule. */
struct sched_place {
	const char *file;
	const char *func;
	int line;
};

#define SCHED_HERE \
	({ \
		static const struct sched_place sched_at = { __FILE__, __func__, __LINE__ }; \
		&sched_at; \
	})

enum sched_order { SCHED_RELAXED, SCHED_ORDERED };

u64 sched_load(const void *p, u8 size, enum sched_order order,
	       const struct sched_place *at);
void sched_store(void *p, u8 size, u64 val, enum sched_order order,
		 const struct sched_place *at);
void sched_mb(const struct sched_place *at);
void sched_lock(const void *l, const struct sched_place *at);
void sched_unlock(const void *l);
void *sched_copy(void *to, const void *from, size_t n);

typedef struct {
	u32 unused;
} nexus_spin;

#define nexus_spin_init(l)	((l)->unused = 0)
#define nexus_spin_lock(l)	sched_lock(l, SCHED_HERE)
#define nexus_spin_unlock(l)	sched_unlock(l)

typedef nexus_spin nexus_mutex;

#define nexus_mutex_init(l)	nexus_spin_init(l)
#define nexus_mutex_lock(l)	nexus_spin_lock(l)
#define nexus_mutex_unlock(l)	nexus_spin_unlock(l)

#define SCHED_LOAD(p, order) \
	((__typeof__(*(p) + 0))(uintptr_t)sched_load(p, sizeof(*(p)), order, SCHED_HERE))
#define SCHED_STORE(p, v, order) \
	do { \
		__typeof__(*(p)) sched_v = (v); \
		sched_store(p, sizeof(*(p)), (u64)(uintptr_t)sched_v, order, SCHED_HERE); \
	} while (0)

#define NEXUS_LINE_ALIGNED

#define nexus_load(p)			SCHED_LOAD(p, SCHED_RELAXED)
#define nexus_load_acquire(p)		SCHED_LOAD(p, SCHED_ORDERED)
#define nexus_store(p, v)		SCHED_STORE(p, v, SCHED_RELAXED)
#define nexus_store_release(p, v)	SCHED_STORE(p, v, SCHED_ORDERED)
#define nexus_mb()			sched_mb(SCHED_HERE)

/* A thread of the scheduler. */
typedef struct {
	u8 id;
} nexus_task;

#define NEXUS_WAKES_MAX	8u

typedef struct {
	nexus_task *task[NEXUS_WAKES_MAX];
	unsigned int n;
} nexus_wakes;

#define NEXUS_WAKES(name)	nexus_wakes name = { .n = 0 }

void sched_wakes_add(nexus_wakes *q, nexus_task *task, int *state, int to,
		     const struct sched_place *at);
void sched_wakes_done(nexus_wakes *q, const struct sched_place *at);

#define nexus_wakes_add(q, task, state, to) \
	sched_wakes_add(q, task, state, to, SCHED_HERE)
#define nexus_wakes_done(q)	sched_wakes_done(q, SCHED_HERE)

/* What instrumentation does not see, as it is in a library. */
#ifdef __SANITIZE_THREAD__
#define memcpy(to, from, n)	sched_copy(to, from, n)
#endif

#endif /* NEXUS_SCHED_SYNC_H */
