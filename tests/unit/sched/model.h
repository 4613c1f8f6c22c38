/* SPDX-License-Identifier: Apache-2.0 */
/* State of the scheduler: all of it is here, in the world and on the threads' stacks. */
#ifndef NEXUS_SCHED_MODEL_H
#define NEXUS_SCHED_MODEL_H

#include "sched.h"

#define MODEL_LOCATIONS	16
#define MODEL_STORES	16
#define MODEL_LOCKS	4
#define MODEL_WORDS	512	/* of four bytes, in the world */

/* Of each location the oldest store that can still be seen; of each thread its clock. */
struct view {
	u8 at[MODEL_LOCATIONS];
	u8 clock[SCHED_THREADS];
};

struct store {
	u64 val;
	struct view with;	/* what an acquire gets */
	u32 zero;
};

struct location {
	u8 n;			/* 0: the world's value is all there is */
	u8 size;
	u16 word;
	u32 zero;
	struct store store[MODEL_STORES];
};

/* Clocks of accesses that another thread may still be unordered with. */
struct word {
	u8 writer, written;	/* thread + 1, and when; plain */
	u8 read[SCHED_THREADS];
	u8 marked_write[SCHED_THREADS];
	u8 marked_read[SCHED_THREADS];
	u8 gone;
	u8 ordered;
};

enum op_kind { OP_NONE, OP_LOCK, OP_LOAD, OP_STORE, OP_MB, OP_WAKE, OP_PREPARE, OP_SLEEP,
	       OP_CHOOSE };

enum { SLEEP_KILLABLE = 1, SLEEP_PARKED = 2 };

struct op {
	const struct sched_place *at;
	const void *p;
	u64 val;
	u8 kind, size, order, index;
	u32 zero;
};

struct thread {
	struct view now;	/* what it has seen */
	struct view early;	/* what it will have, after a barrier, from loads before */
	struct view before;	/* what it had at the last barrier */
	struct view parked;	/* of who woke it, if it parks */
	u8 parks;
	u8 done;
	u8 asleep;		/* prepared to sleep, and not woken since */
	u8 waits, woken_for;
	struct op op;		/* the next step */
	u64 got;		/* what the last one gave */
};

struct model {
	struct thread thread[SCHED_THREADS];
	struct { struct view with; u8 held; u8 zero[3]; } lock[MODEL_LOCKS];
	struct view barrier;	/* of all barriers so far; no clocks */
	struct location loc[MODEL_LOCATIONS];
	struct word word[MODEL_WORDS];
};

extern struct model model;
/* Of each no more than this is in use. */
extern int model_locations, model_words;
extern int sched_current;	/* the thread that runs, or -1 */

void model_reset(void *world, size_t size, int threads);
/* In how many ways thread @t can take its step, without being killed. */
int model_ways(int t);
bool model_may_be_killed(int t);
/* Takes the step of thread @t; @way is the last one plus one for killed. */
void model_step(int t, int way);
void model_done(int t);
/* Forgets what makes no difference any more, so that equal states look equal. */
void model_settle(void);
extern bool model_unsettled;	/* does not, for a test whether that makes a difference */
u64 model_hash(u64 h);

u64 sched_hash(u64 h, const void *p, size_t n);
/* sched.c: the running thread wants to take a step; returns once it was taken. */
void sched_point(const struct op *op);

#endif /* NEXUS_SCHED_MODEL_H */
