// SPDX-License-Identifier: Apache-2.0
/* The worker threads: everything is done, also what was added last. */
#include <sched.h>
#include <stdatomic.h>

#include "util.h"
#include "worker.h"

static atomic_uint done, inside, most;

static void job(void *arg)
{
	unsigned int now = atomic_fetch_add(&inside, 1) + 1;
	unsigned int seen = atomic_load(&most);

	while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
		;
	if (arg)
		usleep(200);
	atomic_fetch_sub(&inside, 1);
	atomic_fetch_add(&done, 1);
}

static void run(unsigned int max, unsigned int jobs, bool slow)
{
	struct workers *w = workers_new(max, "test-work");
	unsigned int i;

	assert_non_null(w);
	atomic_store(&done, 0);
	atomic_store(&most, 0);
	for (i = 0; i < jobs; i++)
		assert_int_equal(workers_add(w, 0, job, slow ? w : NULL), 0);
	workers_free(w);
	assert_int_equal(atomic_load(&done), jobs);
	assert_true(atomic_load(&most) <= max);
}

static void test_all_done(void **state)
{
	(void)state;
	run(1, 100, true);
	run(8, 1000, false);
	run(8, 200, true);
	run(4, 0, false);
}

/* A job that waits for another one: there are threads enough for both. */
static atomic_bool gate;

static void waits(void *arg)
{
	(void)arg;
	while (!atomic_load(&gate))
		usleep(100);
}

static void opens(void *arg)
{
	(void)arg;
	atomic_store(&gate, true);
}

static void test_blocked_job(void **state)
{
	struct workers *w = workers_new(2, "test-work");

	(void)state;
	atomic_store(&gate, false);
	assert_int_equal(workers_add(w, 0, waits, NULL), 0);
	assert_int_equal(workers_add(w, 0, opens, NULL), 0);
	workers_free(w);
	assert_true(atomic_load(&gate));
}

/*
 * What never ends of one key leaves threads for others, of which each has fewer; and is done in
 * its order when it can be.
 */
static atomic_uint stuck, order, place, begun[100];

static void sticks(void *arg)
{
	atomic_store(&begun[atomic_fetch_add(&place, 1)], (unsigned int)(uintptr_t)arg);
	atomic_fetch_add(&stuck, 1);
	waits(NULL);
}

static void in_order(void *arg)
{
	assert_int_equal(atomic_fetch_add(&order, 1), (unsigned int)(uintptr_t)arg);
	atomic_fetch_add(&done, 1);
}

static unsigned int settled(const atomic_uint *what, unsigned int expected)
{
	int i;

	for (i = 0; i < 5000 && atomic_load(what) < expected; i++)
		usleep(1000);
	usleep(20000);
	return atomic_load(what);
}

static void test_keys(void **state)
{
	/* Of 16 threads, one zone that hangs after the other. */
	static const unsigned int has[] = { 8, 12, 14, 15 };
	struct workers *w = workers_new(16, "test-work");
	uintptr_t i;
	u64 key;

	(void)state;
	atomic_store(&gate, false);
	atomic_store(&stuck, 0);
	atomic_store(&done, 0);
	for (key = 1; key <= 4; key++) {
		for (i = 0; i < 20; i++)
			assert_int_equal(workers_add(w, key, sticks, (void *)(uintptr_t)key), 0);
		assert_int_equal(settled(&stuck, has[key - 1]), has[key - 1]);
		assert_int_equal(atomic_load(&begun[has[key - 1] - 1]), key);
		/* Whatever is there yet of somebody else, one after the other at least. */
		atomic_store(&order, 0);
		atomic_store(&done, 0);
		for (i = 0; i < 50; i++)
			assert_int_equal(workers_add(w, 100, key == 4 ? in_order : job, key == 4 ? (void *)i : NULL), 0);
		assert_int_equal(settled(&done, 50), 50);
	}
	atomic_store(&gate, true);
	assert_int_equal(settled(&stuck, 80), 80);
	workers_free(w);
}

/* Nothing that was added is left when they are freed, though its key had too many. */
static void test_keys_end(void **state)
{
	struct workers *w = workers_new(4, "test-work");
	int i;

	(void)state;
	atomic_store(&done, 0);
	for (i = 0; i < 200; i++)
		assert_int_equal(workers_add(w, 1 + (u64)i % 3, job, w), 0);
	workers_free(w);
	assert_int_equal(atomic_load(&done), 200);
}

static void where(void *arg)
{
	assert_int_equal(sched_getaffinity(0, sizeof(cpu_set_t), arg), 0);
}

/* Threads of queues are bound to a CPU each: what they start is not, nor what that starts. */
static void test_anywhere(void **state)
{
	struct workers *w;
	cpu_set_t all, one, got;
	int cpu = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	if (CPU_COUNT(&all) < 2)
		skip();
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	w = workers_new(1, "test-work");
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(workers_add(w, 0, where, &got), 0);
	workers_free(w);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
	assert_true(CPU_EQUAL(&got, &all));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_done),
		cmocka_unit_test(test_blocked_job),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_keys_end),
		cmocka_unit_test(test_anywhere),
	};

	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
