/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * sync.h for programs: what the kernel gives, by way of the compiler's atomics and
 * POSIX threads.  A task is whatever thread waits; it outlives whoever may wake it.
 */
#ifndef NEXUS_LIB_SYNC_USER_H
#define NEXUS_LIB_SYNC_USER_H

#include <pthread.h>

typedef pthread_mutex_t nexus_spin;

static inline void nexus_spin_init(nexus_spin *l)
{
	pthread_mutex_init(l, NULL);
}

static inline void nexus_spin_lock(nexus_spin *l)
{
	pthread_mutex_lock(l);
}

static inline void nexus_spin_unlock(nexus_spin *l)
{
	pthread_mutex_unlock(l);
}

typedef pthread_mutex_t nexus_mutex;

#define nexus_mutex_init(l)	pthread_mutex_init(l, NULL)
#define nexus_mutex_lock(l)	pthread_mutex_lock(l)
#define nexus_mutex_unlock(l)	pthread_mutex_unlock(l)

typedef struct nexus_task {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool woken;
} nexus_task;

#define NEXUS_TASK_INIT \
	{ PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false }

/* Until it is woken; at once when it was since it last slept. */
static inline void nexus_task_sleep(nexus_task *t)
{
	pthread_mutex_lock(&t->lock);
	while (!t->woken)
		pthread_cond_wait(&t->cond, &t->lock);
	t->woken = false;
	pthread_mutex_unlock(&t->lock);
}

static inline void nexus_task_wake(nexus_task *t)
{
	pthread_mutex_lock(&t->lock);
	t->woken = true;
	pthread_cond_signal(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

/* Whom to wake once no lock is held; more than fit are woken at once. */
#define NEXUS_WAKES_MAX		8u

typedef struct {
	nexus_task *task[NEXUS_WAKES_MAX];
	unsigned int n;
} nexus_wakes;

#define NEXUS_WAKES(name)	nexus_wakes name = { .n = 0 }

static inline void nexus_wakes_add(nexus_wakes *q, nexus_task *task, int *state, int to)
{
	__atomic_store_n(state, to, __ATOMIC_RELEASE);
	if (q->n < NEXUS_WAKES_MAX)
		q->task[q->n++] = task;
	else
		nexus_task_wake(task);
}

static inline void nexus_wakes_done(nexus_wakes *q)
{
	unsigned int i;

	for (i = 0; i < q->n; i++)
		nexus_task_wake(q->task[i]);
	q->n = 0;
}

#define NEXUS_LINE_ALIGNED		__attribute__((aligned(64)))

#define nexus_load(p)			__atomic_load_n(p, __ATOMIC_RELAXED)
#define nexus_load_acquire(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define nexus_store(p, v)		__atomic_store_n(p, v, __ATOMIC_RELAXED)
#define nexus_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define nexus_mb()			__atomic_thread_fence(__ATOMIC_SEQ_CST)

#endif /* NEXUS_LIB_SYNC_USER_H */
