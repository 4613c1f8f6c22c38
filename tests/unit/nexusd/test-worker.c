// SPDX-License-Identifier: Apache-2.0
/* The worker threads: everything is done, also what was added last. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_done),
		cmocka_unit_test(test_blocked_job),
	};

	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
