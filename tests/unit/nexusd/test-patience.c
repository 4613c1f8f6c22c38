// SPDX-License-Identifier: Apache-2.0
/* How long a queue looks before it sleeps: longer while that would have paid. */
#include "patience.h"
#include "util.h"

static u32 now_worth(struct patience *p)
{
	return atomic_load(&p->us);
}

static void slept(struct patience *p, u64 us)
{
	patience_gave_up(p, 5000);
	patience_woke(p, 5000 + us);
}

static void test_adapts(void **state)
{
	struct patience p;
	int i;

	(void)state;
	patience_init(&p, 100);
	assert_int_equal(p.limit_us, 100);
	assert_int_equal(now_worth(&p), 100);
	slept(&p, 50);
	assert_int_equal(now_worth(&p), 100);
	slept(&p, 101);
	assert_int_equal(now_worth(&p), 50);
	for (i = 0; i < 10; i++)
		slept(&p, 1000000);
	assert_int_equal(now_worth(&p), 0);
	slept(&p, 100);
	assert_int_equal(now_worth(&p), 10);
	slept(&p, 0);
	assert_int_equal(now_worth(&p), 20);
	/* Without a look in vain before it, a wakeup says nothing. */
	patience_woke(&p, 5000);
	patience_woke(&p, 9000000);
	assert_int_equal(now_worth(&p), 20);
	patience_crowded(&p);
	assert_int_equal(now_worth(&p), 0);
}

static void test_off(void **state)
{
	struct patience p;

	(void)state;
	patience_init(&p, 0);
	slept(&p, 0);
	assert_int_equal(p.limit_us, 0);
	assert_int_equal(now_worth(&p), 0);
}

static void test_measured(void **state)
{
	struct patience p;
	cpu_set_t cpus;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	patience_init(&p, -1);
	if (CPU_COUNT(&cpus) < 2)
		assert_int_equal(p.limit_us, 0);
	else
		assert_in_range(p.limit_us, 20, 1000);
	/* One CPU is all there is: nobody could ask while it looks. */
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	assert_int_equal(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
	patience_init(&p, -1);
	assert_int_equal(p.limit_us, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adapts),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_measured),
	};

	return cmocka_run_group_tests_name("patience", tests, NULL, NULL);
}
