// SPDX-License-Identifier: Apache-2.0
/*
 * Every order of up to three threads of up to four operations each on path locks: a
 * directory and a file in it.  What is granted must go with all that is
 * held; whoever is woken has the lock; who sleeps on when nobody can go on must have
 * somebody in the way, and not wait in a circle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "lib/plock_impl.h"
#include "programs.h"

#define PLACES	2

/*
 * Acts: s, x: shared or exclusive, waiting; S, X: so, but may be killed; t, y: as s and x, without
 * waiting; e, d: makes what it has exclusive (waiting) or shared; u: gives it up.  Of the
 * thread's own open file of place n.
 */
static struct world {
	struct nexus_plock_table t;
	struct nexus_plock lk[THREADS][PLACES];
	struct nexus_plock_node node[PLACES];
	struct nexus_plock_node *hash[1 << NEXUS_PLOCK_HASH_BITS];
	/* What should be: */
	u8 held[THREADS][PLACES];
	u8 want[THREADS], at[THREADS];	/* NONE: does not wait */
	u8 granted[THREADS];
	struct { u8 on, n, mode; } less[THREADS];	/* being given up, and maybe not yet */
	u8 nodes;
} w;

/* Of nodes and the table of them: world.h. */
void *world_alloc(size_t size)
{
	if (size == sizeof(w.hash))
		return w.hash;
	return &w.node[w.nodes++];
}

void world_free(void *p)
{
	(void)p;
}


/* All places are on one path. */
static bool against(u8 mode, u8 other)
{
	return mode && other && (mode == NEXUS_PLM_X || other == NEXUS_PLM_X);
}

static bool free_for(int t, int n, u8 mode)
{
	int i, k;

	for (i = 0; i < threads; i++)
		for (k = 0; k < PLACES; k++)
			if ((i != t || k != n) && against(mode, w.held[i][k]))
				return false;
	return true;
}

static void has(int t, int n, u8 mode)
{
	sched_check(mode == NEXUS_PLM_S || free_for(t, n, mode),
		    "thread %d is given what is not free", t);
	sched_check(mode == NEXUS_PLM_X || w.held[t][n] == NEXUS_PLM_X ||
		    free_for(t, n, mode), "thread %d is given what is not free", t);
	w.held[t][n] = mode;
}

/* What thread @t gives up is given up, at the latest now. */
static void happened(int t)
{
	if (w.less[t].on)
		w.held[t][w.less[t].n] = w.less[t].mode;
	w.less[t].on = 0;
}

static void granted(int t, int who)
{
	happened(t);
	sched_check(w.want[who], "thread %d is woken and does not wait", who);
	sched_check(!w.granted[who], "thread %d is woken twice", who);
	w.granted[who] = 1;
	/* Or has failed: then it has nothing more than before. */
	if (w.lk[who][w.at[who]].held == w.want[who])
		has(who, w.at[who], w.want[who]);
}

static void wait_for(int t, int n, u8 mode, bool convert, bool killable)
{
	struct nexus_plock *me = &w.lk[t][n];
	const void *drop;
	NEXUS_WAKES(q);
	int ret;

	sched_wait_begin();
	w.want[t] = mode;
	w.at[t] = (u8)n;
	w.granted[t] = 0;
	ret = nexus_plock_take(&w.t, me, mode, convert, &program[t], sched_task(t), &drop, &q);
	if (ret != 1) {
		w.want[t] = NEXUS_PLM_NONE;
		if (!ret)
			has(t, n, mode);
		sched_wait_end(false);
		nexus_wakes_done(&q);
		return;
	}
	for (;;) {
		sched_prepare();
		if (!nexus_plock_waits(me))
			break;
		if (sched_sleep(killable))
			break;
	}
	sched_running();
	ret = nexus_plock_leave(&w.t, me, &drop, &q);
	sched_check(!ret == (w.granted[t] && w.held[t][n] == mode),
		    "leave of thread %d: %d", t, ret);
	sched_check(killable || ret != -EINTR, "thread %d gave up", t);
	w.want[t] = NEXUS_PLM_NONE;
	sched_wait_end(w.granted[t]);
	nexus_wakes_done(&q);
}

static void act(int t, struct act a)
{
	u8 mode = a.what == 'x' || a.what == 'X' || a.what == 'y' ? NEXUS_PLM_X : NEXUS_PLM_S;
	struct nexus_plock *me = &w.lk[t][a.n];
	const void *drop;
	NEXUS_WAKES(q);
	int ret;

	switch (a.what) {
	case 's':
	case 'x':
	case 'S':
	case 'X':
		if (!w.held[t][a.n])
			wait_for(t, a.n, mode, false, a.what < 'a');
		break;
	case 'e':
		if (w.held[t][a.n] == NEXUS_PLM_S)
			wait_for(t, a.n, NEXUS_PLM_X, true, false);
		break;
	case 't':
	case 'y':
		ret = nexus_plock_take(&w.t, me, mode, false, &program[t], NULL, &drop, &q);
		if (!ret)
			has(t, a.n, mode);
		nexus_wakes_done(&q);
		break;
	case 'd':
	case 'u':
		mode = a.what == 'd' ? NEXUS_PLM_S : NEXUS_PLM_NONE;
		if (!w.held[t][a.n] || w.held[t][a.n] == mode)
			break;
		w.less[t].on = 1;
		w.less[t].n = a.n;
		w.less[t].mode = mode;
		ret = mode ? nexus_plock_take(&w.t, me, mode, true, &program[t], NULL, &drop, &q) :
			     nexus_plock_release(&w.t, me, &drop, &q);
		happened(t);
		sched_check(!ret, "thread %d cannot give it up: %d", t, ret);
		nexus_wakes_done(&q);
		break;
	}
}

static void thread(int t)
{
	int i;

	for (i = 0; i < OPS; i++)
		act(t, program[t]->act[i]);
}

static void init(void)
{
	static const u64 ino[PLACES] = { 2, 1 };
	struct nexus_plock_path path = { .name = &w };
	int t, n;

	nexus_plock_init(&w.t);
	for (n = PLACES - 1; n >= 0; n--) {
		path.ino = ino + PLACES - 1 - n;
		path.n = (u32)n + 1;
		path.is_dir = !n;
		for (t = 0; t < threads; t++)
			if (nexus_plock_place(&w.t, &w.lk[t][n], &path))
				sched_fail("no place");
	}
}

/* What the table holds is what is held and waited for. */
static void consistent(void)
{
	u32 count[NEXUS_PLM_MAX], i;
	struct nexus_plock_node *n;
	int t, k, place;

	for (place = 0; place < PLACES; place++) {
		n = w.lk[0][place].node;
		memset(count, 0, sizeof(count));
		for (t = 0; t < threads; t++) {
			for (k = place; k < PLACES; k++)
				if (w.held[t][k])
					count[k == place ? w.held[t][k] :
					      w.held[t][k] == NEXUS_PLM_X ? NEXUS_PLM_IX :
					      NEXUS_PLM_IS]++;
			sched_check(w.held[t][place] == w.lk[t][place].held,
				    "thread %d has something else", t);
		}
		for (i = NEXUS_PLM_IS; i < NEXUS_PLM_MAX && !w.t.waiting; i++)
			sched_check(n->count[i] == count[i] && !n->queue[i].first,
				    "counts of place %d are wrong", place);
	}
}

static void stuck(unsigned int asleep)
{
	bool good[THREADS] = { false }, more = true;
	int t, i, k;

	consistent();
	/* Somebody who has ended has it, or somebody who waits for such a one. */
	while (more) {
		more = false;
		for (t = 0; t < threads; t++) {
			for (i = 0; i < threads && asleep >> t & 1 && !good[t]; i++) {
				if (i == t || (asleep >> i & 1 && !good[i]))
					continue;
				for (k = 0; k < PLACES; k++)
					good[t] |= against(w.want[t], w.held[i][k]);
				if (asleep >> i & 1)
					good[t] |= against(w.want[t], w.want[i]);
				more |= good[t];
			}
		}
	}
	for (t = 0; t < threads; t++)
		sched_check(!(asleep >> t & 1) || good[t], "thread %d sleeps on", t);
}

static void done(void)
{
	consistent();
	sched_check(!w.t.waiting && !w.t.wait_first, "somebody waits still");
}

static void run(void)
{
	const struct sched_test test = {
		.threads = threads, .world = &w, .size = sizeof(w),
		.shared = offsetof(struct world, held), .init = init,
		.thread = thread, .granted = granted, .stuck = stuck, .done = done,
	};

	run_programs(&test, "path locks");
}

/* All choices of @n of @acts. */
static void each(const char *const *acts, int count, int n)
{
	static struct program table[64];
	int i;

	for (i = 0; i < count; i++)
		table[i] = program_of(acts[i]);
	each_choice(table, count, n, run);
	report(n, (int)strlen(acts[0]) / 2);
}

#define EACH(acts, n)	each(acts, (int)(sizeof(acts) / sizeof((acts)[0])), n)

static void test_two_each(void **state)
{
	static const char *const acts[] = {
		"s0u0", "x0u0", "s1u1", "x1u1", "X0u0", "S0u0", "X1u1", "y1u1", "t0u0",
		"x1", "s0", "s1e1", "x1d1", "s0e0",
	};

	(void)state;
	EACH(acts, 2);
	EACH(acts, 3);
}

static void test_four_each(void **state)
{
	static const char *const acts[] = {
		"s1e1d1u1", "x0d0e0u0", "s1u1x0u0", "X1u1S0u0", "s1s0u0u1", "s0x1u0u1",
		"x1s0u1u0", "y0u0t1u1", "S0e0u0x1",
	};
	static const char *const three[] = { "s1e1d1u1", "X1u1S0u0", "s1s0u0u1" };

	(void)state;
	EACH(acts, 2);
	/* Those of three are many: all of them are a long part. */
	if (getenv("NEXUS_LONG"))
		EACH(acts, 3);
	else
		EACH(three, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_each),
		cmocka_unit_test(test_four_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
