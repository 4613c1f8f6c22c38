/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exhaustive scheduler: runs a few threads, each a coroutine of one real thread, in
 * every order of their steps, with every value that a load may see.
 *
 * The search is depth first over states; what was seen (by a 64-bit hash of memory,
 * stacks and the model) is not entered again.  Two reductions, both sound: an unlock
 * is no step of its own, since until then no other thread can take the lock and all
 * else commutes with it; and plain accesses are none, since programs without races on
 * them cannot tell, and a race is a failure.
 *
 * Memory is the view-based model: to each location there is an order of stores; a load
 * sees any store that is not older than what its thread has seen of the location, or
 * acquired by way of a release, a lock or a barrier.  So stores are delayed and pass
 * each other, and loads are early; all that store buffers per location can do is among
 * it.  Stores to one location that nothing orders are tried in every order.  Not
 * tried: a marked store that becomes visible before an earlier marked load of the same
 * thread.  A lock acquires and its unlock releases; only nexus_mb() is a full barrier,
 * and what the kernel has one in: setting a task's state, waking.  A wake-up by itself
 * gives no order to who is woken, though the kernel's does.
 */
#ifndef NEXUS_SCHED_H
#define NEXUS_SCHED_H

#include "sync.h"

#define SCHED_THREADS	4

struct sched_test {
	int threads;
	/* All memory that threads share, then what the checks note; 8-aligned. */
	void *world;
	size_t size, shared;
	void (*init)(void);			/* sets up *world, which is zero */
	void (*thread)(int t);
	/* A thread puts @task to those to wake; it is counted already. */
	void (*granted)(int t, int task);
	/* Nobody can go on but by being killed, and @asleep (bits) are not done. */
	void (*stuck)(unsigned int asleep);
	void (*done)(void);			/* all are done */
};

struct sched_result {
	u64 states, steps, ends;
	bool failed;
	char why[256];
	char schedule[16384];
};

/* True: every order was tried and nothing failed. */
bool sched_run(const struct sched_test *test, struct sched_result *result);

/* Prints why, and the schedule, and ends the program: one failure is enough. */
void sched_failed(const struct sched_result *result) __attribute__((noreturn));

/* In a thread, or a check: what does not hold fails the run. */
void sched_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
#define sched_check(cond, ...) \
	do { \
		if (!(cond)) \
			sched_fail(__VA_ARGS__); \
	} while (0)

/* Any of 0 .. n - 1. */
int sched_choose(int n);
nexus_task *sched_task(int t);

/*
 * What waits: between the two it may be woken for, once; then the loop of
 * set_current_state(), a look, and schedule(), which is true when it was killed.
 */
void sched_wait_begin(void);
void sched_prepare(void);
bool sched_sleep(bool killable);
void sched_running(void);
void sched_wait_end(bool was_woken_for);

/*
 * Instead of all that, as a semaphore does it: parked until it was woken since it last
 * was, or since the beginning.  That orders what was done before the wake-up with what
 * follows the parking, but nothing else.
 */
void sched_park_begin(void);
void sched_park(void);

/* Nothing may touch it any more; until it is given to who comes next. */
void sched_gone(const void *p, size_t size);
void sched_fresh(const void *p, size_t size);
/*
 * In init: marked accesses there are ordered by locks anyway; they count as plain ones,
 * which fails if they are not, and saves steps.
 */
void sched_ordered(const void *p, size_t size);
/* A plain access by code that is not instrumented. */
void sched_touch(const void *p, size_t size, bool write);

#endif /* NEXUS_SCHED_H */
