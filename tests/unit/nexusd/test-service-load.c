// SPDX-License-Identifier: Apache-2.0
/*
 * A thousand times load, swap, swap, unload, while others call all the time: a
 * call that has a reference never fails, and nothing stays mapped.
 */
#include <pthread.h>
#include <stdatomic.h>

#include <nexus/services/echo.h>

#include "service-world.h"

#define ROUNDS	1000
#define CALLERS	3

static atomic_bool over, keep_off;
static atomic_uint calls, failed, none;

static void *caller(void *arg)
{
	char answer[NEXUS_ECHO_MAX];
	struct nexus_ref *ref;
	int i, ret;

	(void)arg;
	while (!atomic_load(&over)) {
		/* Without this nobody could ever unload it. */
		if (atomic_load(&keep_off) || service_get(reg, "caller", NEXUS_ECHO, 1, &ref)) {
			atomic_fetch_add(&none, 1);
			usleep(50);
			continue;
		}
		for (i = 0; i < 3; i++) {
			ret = say(ref, "who", answer, 0);
			if (ret || (strcmp(answer, "1") && strcmp(answer, "2")))
				atomic_fetch_add(&failed, 1);
			atomic_fetch_add(&calls, 1);
		}
		service_put(ref);
	}
	return NULL;
}

/* Swaps have to come between calls, and calls between swaps. */
static void let_call(void)
{
	unsigned int before = atomic_load(&calls);

	while (atomic_load(&calls) < before + 2)
		usleep(20);
}

static void round_of(unsigned int i)
{
	unsigned int refused = 0;
	int ret;

	put_object("echo-1", "echo");
	assert_int_equal(load("echo"), 0);
	let_call();
	put_object(i % 2 ? "echo-2" : "echo-1", "echo");
	assert_int_equal(swap("echo"), 0);
	let_call();
	/* The very file again. */
	assert_int_equal(swap("echo"), 0);
	let_call();
	if (i % 4 == 0)
		assert_int_equal(mapped(), 1);
	atomic_store(&keep_off, true);
	while ((ret = unload("echo")) == -EBUSY) {
		assert_said("caller holds nexus.echo");
		refused++;
		usleep(100);
	}
	assert_int_equal(ret, 0);
	if (i % 4 == 0)
		assert_int_equal(mapped(), 0);
	atomic_store(&keep_off, false);
}

static void test_thousand(void **state)
{
	pthread_t thread[CALLERS];
	unsigned int i;

	(void)state;
	world_begin(false, 0);
	for (i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, caller, NULL), 0);
	for (i = 0; i < ROUNDS; i++)
		round_of(i);
	atomic_store(&over, true);
	for (i = 0; i < CALLERS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(atomic_load(&failed), 0);
	assert_true(atomic_load(&calls) >= 6 * ROUNDS);
	world_end();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_thousand, world_setup, world_teardown),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
