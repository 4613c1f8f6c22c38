// SPDX-License-Identifier: Apache-2.0
/*
 * Credits: what each call returns, one after the other; and real threads.  Every order
 * of a few threads is tests/unit/sched.
 */
#include "lib/credit.h"
#include "util.h"

static void wake(nexus_wakes *q, unsigned int expected)
{
	assert_int_equal(q->n, expected);
	nexus_wakes_done(q);
}

static void test_take(void **state)
{
	struct nexus_credit c;
	NEXUS_WAKES(q);

	(void)state;
	nexus_credit_init(&c, 10, false);
	assert_true(nexus_credit_ready(&c, 10));
	assert_false(nexus_credit_ready(&c, 11));
	assert_int_equal(nexus_credit_take(&c, 11), -EAGAIN);
	assert_int_equal(nexus_credit_take(&c, 4), 0);
	assert_int_equal(nexus_credit_take_upto(&c, 5), 5);
	assert_int_equal(nexus_credit_take_upto(&c, 5), 1);
	assert_int_equal(nexus_credit_take_upto(&c, 5), -EAGAIN);
	assert_int_equal(nexus_credit_take(&c, 0), 0);
	nexus_credit_give(&c, 3, &q);
	wake(&q, 0);
	assert_int_equal(nexus_credit_shrink(&c, 4), -EBUSY);
	assert_int_equal(nexus_credit_shrink(&c, 2), 0);
	assert_int_equal(nexus_credit_take_upto(&c, U64_MAX), 1);
}

static void test_queue(void **state)
{
	nexus_task t[4] = { NEXUS_TASK_INIT, NEXUS_TASK_INIT, NEXUS_TASK_INIT, NEXUS_TASK_INIT };
	struct nexus_credit_waiter w[4];
	struct nexus_credit c;
	NEXUS_WAKES(q);

	(void)state;
	nexus_credit_init(&c, 2, false);
	assert_int_equal(nexus_credit_enqueue(&c, &w[0], 2, &t[0]), 0);
	nexus_credit_give(&c, 2, &q);
	assert_int_equal(nexus_credit_enqueue(&c, &w[0], 5, &t[0]), 1);
	/* There are two, but not for who comes now. */
	assert_int_equal(nexus_credit_enqueue(&c, &w[1], 1, &t[1]), 1);
	assert_int_equal(nexus_credit_take(&c, 1), -EAGAIN);
	assert_int_equal(nexus_credit_take_upto(&c, 1), -EAGAIN);
	assert_false(nexus_credit_ready(&c, 1));
	assert_int_equal(nexus_credit_enqueue(&c, &w[2], 4, &t[2]), 1);
	assert_int_equal(nexus_credit_enqueue(&c, &w[3], 1, &t[3]), 1);
	nexus_credit_give(&c, 2, &q);
	wake(&q, 0);
	/* Six: the first two, and nothing is left for the third. */
	nexus_credit_give(&c, 2, &q);
	assert_false(nexus_credit_waits(&w[0]));
	assert_false(nexus_credit_waits(&w[1]));
	assert_true(nexus_credit_waits(&w[2]));
	wake(&q, 2);
	assert_int_equal(nexus_credit_leave(&c, &w[0], &q), 0);
	assert_int_equal(nexus_credit_leave(&c, &w[1], &q), 0);
	/* One is there, which the fourth gets when the third gives up. */
	nexus_credit_give(&c, 1, &q);
	assert_true(nexus_credit_waits(&w[3]));
	assert_int_equal(nexus_credit_leave(&c, &w[2], &q), -EINTR);
	assert_false(nexus_credit_waits(&w[3]));
	wake(&q, 1);
	assert_int_equal(nexus_credit_leave(&c, &w[3], &q), 0);
	assert_int_equal(c.avail, 0);
	assert_null(c.first);
	assert_null(c.last);
}

static void test_leave_the_middle(void **state)
{
	nexus_task t[3] = { NEXUS_TASK_INIT, NEXUS_TASK_INIT, NEXUS_TASK_INIT };
	struct nexus_credit_waiter w[3];
	struct nexus_credit c;
	unsigned int i, gone;
	NEXUS_WAKES(q);

	(void)state;
	for (gone = 0; gone < 3; gone++) {
		nexus_credit_init(&c, 0, false);
		for (i = 0; i < 3; i++)
			assert_int_equal(nexus_credit_enqueue(&c, &w[i], 1, &t[i]), 1);
		assert_int_equal(nexus_credit_leave(&c, &w[gone], &q), -EINTR);
		wake(&q, 0);
		nexus_credit_give(&c, 2, &q);
		wake(&q, 2);
		for (i = 0; i < 3; i++)
			if (i != gone)
				assert_int_equal(nexus_credit_leave(&c, &w[i], &q), 0);
		assert_int_equal(c.avail, 0);
	}
}

static void test_break(void **state)
{
	nexus_task t[2] = { NEXUS_TASK_INIT, NEXUS_TASK_INIT };
	struct nexus_credit_waiter w[2];
	struct nexus_credit c;
	NEXUS_WAKES(q);
	int drain;

	(void)state;
	for (drain = 0; drain < 2; drain++) {
		nexus_credit_init(&c, 1, drain);
		assert_int_equal(nexus_credit_enqueue(&c, &w[0], 2, &t[0]), 1);
		assert_int_equal(nexus_credit_enqueue(&c, &w[1], 1, &t[1]), 1);
		nexus_credit_break(&c, -EPIPE, &q);
		wake(&q, 2);
		assert_int_equal(nexus_credit_leave(&c, &w[0], &q), -EPIPE);
		assert_int_equal(nexus_credit_leave(&c, &w[1], &q), -EPIPE);
		nexus_credit_give(&c, 1, &q);
		wake(&q, 0);
		assert_int_equal(nexus_credit_ready(&c, 1), drain);
		assert_int_equal(nexus_credit_enqueue(&c, &w[0], 3, &t[0]), -EPIPE);
		assert_int_equal(nexus_credit_take(&c, 1), drain ? 0 : -EPIPE);
		assert_int_equal(nexus_credit_take_upto(&c, 1), drain ? 1 : -EPIPE);
		assert_int_equal(nexus_credit_take_upto(&c, 1), -EPIPE);
		nexus_credit_mend(&c);
		assert_int_equal(nexus_credit_take_upto(&c, 9), drain ? -EAGAIN : 2);
		assert_int_equal(nexus_credit_enqueue(&c, &w[0], 1, &t[0]), 1);
		nexus_credit_give(&c, 1, &q);
		wake(&q, 1);
		assert_int_equal(nexus_credit_leave(&c, &w[0], &q), 0);
	}
}

#define N_THREADS	4
#define N_TURNS		20000

/* What is sent and what may be sent, as in a ring; tasks that outlive their threads. */
static struct nexus_credit there, room;
static nexus_task tasks[N_THREADS];

static void get(struct nexus_credit *c, u64 n, nexus_task *task)
{
	struct nexus_credit_waiter w;
	NEXUS_WAKES(q);

	if (!nexus_credit_enqueue(c, &w, n, task))
		return;
	while (nexus_credit_waits(&w))
		nexus_task_sleep(task);
	if (nexus_credit_leave(c, &w, &q))
		abort();
}

static void *turns(void *arg)
{
	unsigned int me = (unsigned int)(uintptr_t)arg, i;

	for (i = 0; i < N_TURNS; i++) {
		NEXUS_WAKES(q);

		get(me & 1 ? &there : &room, 1 + (i + me / 2) % 4, &tasks[me]);
		nexus_credit_give(me & 1 ? &room : &there, 1 + (i + me / 2) % 4, &q);
		nexus_wakes_done(&q);
	}
	return NULL;
}

/* Half of the threads send and half receive 1 to 4 at a time, through room for 8. */
static void test_threads(void **state)
{
	pthread_t thread[N_THREADS];
	uintptr_t i;

	(void)state;
	nexus_credit_init(&there, 0, false);
	nexus_credit_init(&room, 8, false);
	for (i = 0; i < N_THREADS; i++) {
		tasks[i] = (nexus_task)NEXUS_TASK_INIT;
		assert_int_equal(pthread_create(&thread[i], NULL, turns, (void *)i), 0);
	}
	for (i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(there.avail, 0);
	assert_int_equal(room.avail, 8);
	assert_null(there.first);
	assert_null(room.first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_leave_the_middle),
		cmocka_unit_test(test_break),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
