// SPDX-License-Identifier: Apache-2.0
/*
 * The scheduler itself: small programs of which it is known what can happen.  Each is
 * there as it is right, and with what orders it taken away, which must be found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "model.h"

static struct world {
	u64 x, y, data;
	u64 got[4];
	nexus_spin lock;
} w;

static bool weak;		/* without what orders it */

static void nothing(void)
{
}

static void run(const char *name, void (*thread)(int t), int threads, void (*done)(void),
		const char *why)
{
	static struct sched_result r;
	struct sched_test t = {
		.threads = threads, .world = &w, .size = sizeof(w), .shared = sizeof(w), .init = nothing,
		.thread = thread, .done = done,
	};
	bool ok = sched_run(&t, &r);

	printf("# %s%s: %llu states, %llu steps, %llu ends%s%s\n", name,
	       weak ? ", weak" : "", r.states, r.steps, r.ends, ok ? "" : ": ", r.why);
	if (ok == !!why || (why && !strstr(r.why, why)))
		printf("%s", r.schedule);
	assert_int_equal(ok, !why);
	if (why)
		assert_non_null(strstr(r.why, why));
}

/* Runs it right, then weak, which fails with @why. */
static void both(const char *name, void (*thread)(int t), int threads,
		 void (*done)(void), const char *why)
{
	weak = false;
	run(name, thread, threads, done, NULL);
	weak = true;
	run(name, thread, threads, done, why);
}

static void dekker(int t)
{
	nexus_store(t ? &w.x : &w.y, 1);
	if (!weak)
		nexus_mb();
	w.got[t] = nexus_load(t ? &w.y : &w.x);
}

static void not_both_zero(void)
{
	sched_check(w.got[0] || w.got[1], "both saw nothing");
}

static void test_store_buffering(void **state)
{
	(void)state;
	both("store buffering", dekker, 2, not_both_zero, "both saw nothing");
}

/* Release and acquire do not do for it. */
static void dekker_ordered(int t)
{
	nexus_store_release(t ? &w.x : &w.y, 1);
	w.got[t] = nexus_load_acquire(t ? &w.y : &w.x);
}

static void test_store_buffering_ordered(void **state)
{
	(void)state;
	weak = false;
	run("store buffering, ordered", dekker_ordered, 2, not_both_zero,
	    "both saw nothing");
}

static int lacks;		/* 1: the release, 2: the acquire */

static void message(int t)
{
	if (t == 0) {
		nexus_store(&w.x, 1);
		if (lacks == 1)
			nexus_store(&w.y, 1);
		else
			nexus_store_release(&w.y, 1);
		return;
	}
	w.got[0] = lacks == 2 ? nexus_load(&w.y) : nexus_load_acquire(&w.y);
	w.got[1] = nexus_load(&w.x);
}

static void flag_means_data(void)
{
	sched_check(!w.got[0] || w.got[1], "the flag without the data");
}

static void test_message_passing(void **state)
{
	(void)state;
	weak = false;
	for (lacks = 0; lacks < 3; lacks++)
		run("message passing", message, 2, flag_means_data,
		    lacks ? "the flag without the data" : NULL);
}

static void plain_message(int t)
{
	if (t == 0) {
		sched_touch(&w.data, 8, true);
		w.data = 7;
		if (lacks == 1)
			nexus_store(&w.y, 1);
		else
			nexus_store_release(&w.y, 1);
		return;
	}
	if (lacks == 2 ? nexus_load(&w.y) : nexus_load_acquire(&w.y)) {
		sched_touch(&w.data, 8, false);
		sched_check(w.data == 7, "wrong data");
	}
}

static void test_race(void **state)
{
	(void)state;
	weak = false;
	for (lacks = 0; lacks < 3; lacks++)
		run("plain message", plain_message, 2, nothing, lacks ? "races" : NULL);
}

static void barrier_message(int t)
{
	if (t == 0) {
		sched_touch(&w.data, 8, true);
		if (lacks != 1)
			nexus_mb();
		nexus_store(&w.y, 1);
		return;
	}
	if (nexus_load(&w.y)) {
		if (lacks != 2)
			nexus_mb();
		sched_touch(&w.data, 8, false);
	}
}

static void test_barriers_order(void **state)
{
	(void)state;
	weak = false;
	for (lacks = 0; lacks < 3; lacks++)
		run("message by barriers", barrier_message, 2, nothing,
		    lacks ? "races" : NULL);
}

/* A barrier orders what comes before and after, not by itself two threads. */
static void barriers_alone(int t)
{
	if (t == 0) {
		sched_touch(&w.data, 8, true);
		nexus_mb();
		return;
	}
	nexus_mb();
	sched_touch(&w.data, 8, true);
}

static void test_barriers_alone(void **state)
{
	(void)state;
	weak = false;
	run("barriers alone", barriers_alone, 2, nothing, "races");
}

static void coherence(int t)
{
	if (t == 0) {
		nexus_store(&w.x, 1);
		nexus_store(&w.x, 2);
		return;
	}
	w.got[0] = nexus_load(&w.x);
	w.got[1] = nexus_load(&w.x);
}

static void never_back(void)
{
	sched_check(w.got[0] <= w.got[1], "a location went back");
}

static void test_coherence(void **state)
{
	(void)state;
	weak = false;
	run("coherence", coherence, 2, never_back, NULL);
}

/* Two writers, two readers: without barriers they may disagree on the order. */
static void disagree(int t)
{
	if (t < 2) {
		nexus_store(t ? &w.x : &w.y, 1);
		return;
	}
	w.got[2 * (t - 2)] = nexus_load_acquire(t == 2 ? &w.x : &w.y);
	if (!weak)
		nexus_mb();
	w.got[2 * (t - 2) + 1] = nexus_load_acquire(t == 2 ? &w.y : &w.x);
}

static void agreed(void)
{
	sched_check(!(w.got[0] && !w.got[1] && w.got[2] && !w.got[3]),
		    "readers disagree");
}

static void test_independent_writers(void **state)
{
	(void)state;
	both("independent writers", disagree, 4, agreed, "readers disagree");
}

/* 2+2W: stores of one location that nothing orders come in either order. */
static void crossed(int t)
{
	nexus_store(t ? &w.x : &w.y, 1);
	if (!weak)
		nexus_mb();
	nexus_store(t ? &w.y : &w.x, 2);
}

static void not_both_first(void)
{
	sched_check(w.x != 1 || w.y != 1, "both second stores came first");
}

static void test_crossed_stores(void **state)
{
	(void)state;
	both("crossed stores", crossed, 2, not_both_first, "both second stores came first");
}

static void counter(int t)
{
	if (!weak || t)
		nexus_spin_lock(&w.lock);
	sched_touch(&w.data, 8, true);
	w.data++;
	if (!weak || t)
		nexus_spin_unlock(&w.lock);
}

static void counted(void)
{
	sched_check(w.data == 3, "lost counts");
}

static void test_lock(void **state)
{
	(void)state;
	both("lock", counter, 3, counted, "races");
}

/* A look, then sleep: what comes between is lost unless the state is set before. */
static void waker(int t)
{
	nexus_wakes q = { .n = 1, .task = { sched_task(0) } };

	if (t == 1) {
		nexus_store(&w.x, 1);
		nexus_wakes_done(&q);
		return;
	}
	if (weak) {
		if (nexus_load(&w.x))
			return;
		sched_prepare();
		sched_sleep(false);
		return;
	}
	for (;;) {
		sched_prepare();
		if (nexus_load(&w.x))
			break;
		sched_sleep(false);
	}
	sched_running();
}

static void test_lost_wakeup(void **state)
{
	(void)state;
	both("wake-up", waker, 2, nothing, "nobody can go on");
}

/* Who sees the flag gives the memory back: it was the last access, or was it? */
static void gone(int t)
{
	if (t == 0) {
		nexus_store_release(&w.x, 1);
		if (weak)
			nexus_store(&w.y, 1);
		return;
	}
	if (nexus_load_acquire(&w.x))
		sched_gone(&w.y, sizeof(w.y));
}

static void test_gone(void **state)
{
	(void)state;
	both("memory that is gone", gone, 2, nothing, "");
}

/* Known numbers: n threads of m steps that nobody can tell apart afterwards. */
static void steps(int t)
{
	int i;

	for (i = 0; i < 4; i++)
		(void)nexus_load(&w.got[t]);
}

static void test_count(void **state)
{
	static struct sched_result r;
	struct sched_test t = {
		.threads = 3, .world = &w, .size = sizeof(w), .shared = sizeof(w), .init = nothing,
		.thread = steps, .done = nothing,
	};

	(void)state;
	assert_true(sched_run(&t, &r));
	assert_int_equal(r.states, 5 * 5 * 5);
	assert_int_equal(r.ends, 1);
	assert_int_equal(r.steps, 3 * 4 * 5 * 5);
}

/*
 * Random programs: that equal states are made to look equal changes no outcome.  Two
 * shared locations, each with four values; what is loaded is noted.
 */
static struct { u8 kind, which; } random_op[3][4];

static void random_thread(int t)
{
	int i;

	for (i = 0; i < 4; i++) {
		u64 *p = random_op[t][i].which ? &w.x : &w.y;
		u64 v = (u64)(4 * t + i + 1);

		switch (random_op[t][i].kind) {
		case 0:
			nexus_store(p, v);
			break;
		case 1:
			nexus_store_release(p, v);
			break;
		case 2:
			w.got[t] = w.got[t] * 16 + nexus_load(p);
			break;
		case 3:
			w.got[t] = w.got[t] * 16 + nexus_load_acquire(p);
			break;
		case 4:
			nexus_mb();
			break;
		case 5:
			nexus_spin_lock(&w.lock);
			w.got[3]++;
			nexus_spin_unlock(&w.lock);
			break;
		case 6:
			if (w.got[t])
				sched_touch(&w.data, 8, random_op[t][i].which);
			break;
		}
	}
}

static void test_settled(void **state)
{
	static struct sched_result settled, not;
	struct sched_test test = {
		.threads = 2, .world = &w, .size = sizeof(w), .shared = sizeof(w), .init = nothing,
		.thread = random_thread, .done = nothing,
	};
	u64 seed = 1, less = 0, more = 0, ends = 0, failed = 0;
	int n, t, i;

	(void)state;
	for (n = 0; n < 3000; n++) {
		for (t = 0; t < 3; t++)
			for (i = 0; i < 4; i++) {
				seed = seed * 6364136223846793005u + 1442695040888963407u;
				random_op[t][i].kind = (u8)((seed >> 40) % 7);
				random_op[t][i].which = seed >> 60 & 1;
			}
		test.threads = n % 30 ? 2 : 3;
		model_unsettled = false;
		sched_run(&test, &settled);
		model_unsettled = true;
		sched_run(&test, &not);
		model_unsettled = false;
		assert_int_equal(settled.failed, not.failed);
		failed += settled.failed;
		if (!settled.failed)
			assert_int_equal(settled.ends, not.ends);
		ends += settled.ends;
		less += settled.states;
		more += not.states;
	}
	printf("# %d random programs: %llu outcomes, %llu races, %llu states instead of %llu\n",
	       n, ends, failed, less, more);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_store_buffering),
		cmocka_unit_test(test_store_buffering_ordered),
		cmocka_unit_test(test_message_passing),
		cmocka_unit_test(test_race),
		cmocka_unit_test(test_barriers_order),
		cmocka_unit_test(test_barriers_alone),
		cmocka_unit_test(test_coherence),
		cmocka_unit_test(test_independent_writers),
		cmocka_unit_test(test_crossed_stores),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_lost_wakeup),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_settled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
