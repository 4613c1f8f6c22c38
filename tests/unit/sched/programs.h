/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of a few acts, one for each thread, and all choices of them; for one test each. */
#ifndef NEXUS_SCHED_PROGRAMS_H
#define NEXUS_SCHED_PROGRAMS_H

#include <stdio.h>

#include "sched.h"

#define THREADS	3
#define OPS	4

/* What it means is the test's. */
struct act {
	char what;		/* 0: nothing more */
	u8 n;
};

struct program {
	struct act act[OPS];
};

static const struct program *program[THREADS];
static int threads;

static struct {
	u64 programs, states, steps, ends;
} sum;

/* Out of a string like "t1g1", of up to OPS acts. */
static inline struct program program_of(const char *acts)
{
	struct program p = { 0 };
	int i;

	for (i = 0; i < OPS && acts[2 * i]; i++)
		p.act[i] = (struct act){ acts[2 * i], (u8)(acts[2 * i + 1] - '0') };
	return p;
}

/* Every order of program[0 .. threads - 1]; one that fails is printed, with @note, and is the end. */
static inline void run_programs(const struct sched_test *test, const char *note)
{
	static struct sched_result r;
	int t, i;

	if (!sched_run(test, &r)) {
		printf("# %s\n", note);
		for (t = 0; t < threads; t++) {
			printf("#  thread %d:", t);
			for (i = 0; i < OPS && program[t]->act[i].what; i++)
				printf(" %c%d", program[t]->act[i].what, program[t]->act[i].n);
			printf("\n");
		}
		sched_failed(&r);
	}
	sum.programs++;
	sum.states += r.states;
	sum.steps += r.steps;
	sum.ends += r.ends;
}

/* @run for all choices of @n programs out of @count, whichever thread has which. */
static inline void each_choice(const struct program *from, int count, int n, void (*run)(void))
{
	int pick[THREADS] = { 0 }, i;

	threads = n;
	for (;;) {
		for (i = 0; i < n; i++)
			program[i] = &from[pick[i]];
		run();
		for (i = n - 1; i >= 0 && pick[i] == count - 1; i--)
			;
		if (i < 0)
			return;
		pick[i]++;
		for (; i < n - 1; i++)
			pick[i + 1] = pick[i];
	}
}

static inline void report(int n, int ops)
{
	printf("# %d threads x %d operations: %llu programs, %llu states, %llu steps, %llu ends\n",
	       n, ops, sum.programs, sum.states, sum.steps, sum.ends);
	memset(&sum, 0, sizeof(sum));
}

#endif /* NEXUS_SCHED_PROGRAMS_H */
