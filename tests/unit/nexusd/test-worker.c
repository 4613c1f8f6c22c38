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
		assert_int_equal(workers_add(w, job, slow ? w : NULL), 0);
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
	assert_int_equal(workers_add(w, waits, NULL), 0);
	assert_int_equal(workers_add(w, opens, NULL), 0);
	workers_free(w);
	assert_true(atomic_load(&gate));
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
	assert_int_equal(workers_add(w, where, &got), 0);
	workers_free(w);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
	assert_true(CPU_EQUAL(&got, &all));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_done),
		cmocka_unit_test(test_blocked_job),
		cmocka_unit_test(test_anywhere),
	};

	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
