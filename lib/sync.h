/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the concurrent parts of lib/ need from their surroundings beyond port.h: a
 * spin lock, a mutex, ordered loads and stores, and waking a task.  In the module these are
 * the kernel's own, in programs those of sync_user.h.  A test may bring its own, in the
 * header that NEXUS_SYNC names: tests/unit/sched makes them steps of a scheduler that
 * tries every order, so that what is compiled into the module is what was tried.
 */
#ifndef NEXUS_LIB_SYNC_H
#define NEXUS_LIB_SYNC_H

#include "port.h"

#ifdef __KERNEL__

#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/spinlock.h>

typedef spinlock_t nexus_spin;

#define nexus_spin_init(l)	spin_lock_init(l)

static inline void nexus_spin_lock(nexus_spin *l) __acquires(l)
{
	spin_lock(l);
}

static inline void nexus_spin_unlock(nexus_spin *l) __releases(l)
{
	spin_unlock(l);
}

/* Initialised where it is used, so that each has a class of its own. */
typedef struct mutex nexus_mutex;

#define nexus_mutex_init(l)	mutex_init(l)
#define nexus_mutex_lock(l)	mutex_lock(l)
#define nexus_mutex_unlock(l)	mutex_unlock(l)

/* Whom to wake once no lock is held; more than fit are woken at once. */
#define NEXUS_WAKES_MAX		8u

typedef struct {
	struct task_struct *task[NEXUS_WAKES_MAX];
	unsigned int n;
} nexus_wakes;

#define NEXUS_WAKES(name)	nexus_wakes name = { .n = 0 }

/*
 * @state is stored, with release, such that whoever sees it may be gone at once: the
 * task is held before.
 */
static inline void nexus_wakes_add(nexus_wakes *q, struct task_struct *task,
				   int *state, int to)
{
	get_task_struct(task);
	smp_store_release(state, to);
	if (likely(q->n < NEXUS_WAKES_MAX)) {
		q->task[q->n++] = task;
		return;
	}
	wake_up_process(task);
	put_task_struct(task);
}

static inline void nexus_wakes_done(nexus_wakes *q)
{
	unsigned int i;

	for (i = 0; i < q->n; i++) {
		wake_up_process(q->task[i]);
		put_task_struct(q->task[i]);
	}
	q->n = 0;
}

typedef struct task_struct nexus_task;

/* Of a member that begins another line of cache. */
#define NEXUS_LINE_ALIGNED		____cacheline_aligned_in_smp

#define nexus_load(p)			READ_ONCE(*(p))
#define nexus_load_acquire(p)		smp_load_acquire(p)
#define nexus_store(p, v)		WRITE_ONCE(*(p), v)
#define nexus_store_release(p, v)	smp_store_release(p, v)
#define nexus_mb()			smp_mb()

#elif defined(NEXUS_SYNC)

#include NEXUS_SYNC

#else

#include "sync_user.h"

#endif

#endif /* NEXUS_LIB_SYNC_H */
