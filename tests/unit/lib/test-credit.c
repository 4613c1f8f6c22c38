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

static void init(struct nexus_credit *c, u64 avail, bool drain)
{
	nexus_mutex_init(&c->lock);
	nexus_credit_init(c, avail, drain);
}

static int take(struct nexus_credit *c, u64 need)
{
	int ret;

	nexus_mutex_lock(&c->lock);
	ret = nexus_credit_take(c, need);
	nexus_mutex_unlock(&c->lock);
	return ret;
}

/* What the module does: 1, queued; else what was taken, or not to be had. */
static int take_or_queue(struct nexus_credit *c, struct nexus_credit_waiter *w, u64 need,
			 nexus_task *task)
{
	int ret;

	nexus_mutex_lock(&c->lock);
	ret = nexus_credit_take(c, need);
	if (ret == -EAGAIN)
		ret = nexus_credit_enqueue(c, w, need, task);
	nexus_mutex_unlock(&c->lock);
	return ret;
}

static int shrink(struct nexus_credit *c, u64 n)
{
	int ret;

	nexus_mutex_lock(&c->lock);
	ret = nexus_credit_shrink(c, n);
	nexus_mutex_unlock(&c->lock);
	return ret;
}

static void give(struct nexus_credit *c, u64 n, nexus_wakes *q)
{
	nexus_credit_give(c, n);
	nexus_credit_given(c, q);
}

static void give_back(struct nexus_credit *c, u64 n, nexus_wakes *q)
{
	nexus_mutex_lock(&c->lock);
	nexus_credit_return(c, n, q);
	nexus_mutex_unlock(&c->lock);
}

static u64 avail(const struct nexus_credit *c)
{
	return c->given - c->taken;
}

static void test_take(void **state)
{
	struct nexus_credit c;
	NEXUS_WAKES(q);

	(void)state;
	init(&c, 10, false);
	assert_true(nexus_credit_ready(&c, 10));
	assert_false(nexus_credit_ready(&c, 11));
	assert_int_equal(take(&c, 11), -EAGAIN);
	assert_int_equal(take(&c, 4), 0);
	assert_int_equal(take(&c, 6), 0);
	assert_int_equal(take(&c, 1), -EAGAIN);
	assert_int_equal(take(&c, 0), 0);
	give(&c, 2, &q);
	wake(&q, 0);
	give_back(&c, 1, &q);
	wake(&q, 0);
	assert_int_equal(shrink(&c, 4), -EBUSY);
	assert_int_equal(shrink(&c, 2), 0);
	assert_int_equal(take(&c, 2), -EAGAIN);
	assert_int_equal(take(&c, 1), 0);
}

static void test_queue(void **state)
{
	nexus_task t[4] = { NEXUS_TASK_INIT, NEXUS_TASK_INIT, NEXUS_TASK_INIT, NEXUS_TASK_INIT };
	struct nexus_credit_waiter w[4];
	struct nexus_credit c;
	NEXUS_WAKES(q);

	(void)state;
	init(&c, 2, false);
	assert_int_equal(take_or_queue(&c, &w[0], 2, &t[0]), 0);
	give(&c, 2, &q);
	assert_int_equal(take_or_queue(&c, &w[0], 5, &t[0]), 1);
	/* There are two, but not for who comes now. */
	assert_int_equal(take_or_queue(&c, &w[1], 1, &t[1]), 1);
	assert_int_equal(take(&c, 1), -EAGAIN);
	assert_false(nexus_credit_ready(&c, 1));
	assert_int_equal(take_or_queue(&c, &w[2], 4, &t[2]), 1);
	assert_int_equal(take_or_queue(&c, &w[3], 1, &t[3]), 1);
	give(&c, 2, &q);
	wake(&q, 0);
	/* Six: the first two, and nothing is left for the third. */
	give_back(&c, 2, &q);
	assert_false(nexus_credit_waits(&w[0]));
	assert_false(nexus_credit_waits(&w[1]));
	assert_true(nexus_credit_waits(&w[2]));
	wake(&q, 2);
	assert_int_equal(nexus_credit_leave(&c, &w[0], &q), 0);
	assert_int_equal(nexus_credit_leave(&c, &w[1], &q), 0);
	/* One is there, which the fourth gets when the third gives up. */
	give(&c, 1, &q);
	assert_true(nexus_credit_waits(&w[3]));
	assert_int_equal(nexus_credit_leave(&c, &w[2], &q), -EINTR);
	assert_false(nexus_credit_waits(&w[3]));
	wake(&q, 1);
	assert_int_equal(nexus_credit_leave(&c, &w[3], &q), 0);
	assert_int_equal(avail(&c), 0);
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
		init(&c, 0, false);
		for (i = 0; i < 3; i++)
			assert_int_equal(take_or_queue(&c, &w[i], 1, &t[i]), 1);
		assert_int_equal(nexus_credit_leave(&c, &w[gone], &q), -EINTR);
		wake(&q, 0);
		give(&c, 2, &q);
		wake(&q, 2);
		for (i = 0; i < 3; i++)
			if (i != gone)
				assert_int_equal(nexus_credit_leave(&c, &w[i], &q), 0);
		assert_int_equal(avail(&c), 0);
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
		init(&c, 1, drain);
		assert_int_equal(take_or_queue(&c, &w[0], 2, &t[0]), 1);
		assert_int_equal(take_or_queue(&c, &w[1], 1, &t[1]), 1);
		nexus_credit_break(&c, -EPIPE, &q);
		wake(&q, 2);
		assert_int_equal(nexus_credit_leave(&c, &w[0], &q), -EPIPE);
		assert_int_equal(nexus_credit_leave(&c, &w[1], &q), -EPIPE);
		give(&c, 1, &q);
		wake(&q, 0);
		assert_int_equal(nexus_credit_ready(&c, 1), drain);
		assert_int_equal(take_or_queue(&c, &w[0], 3, &t[0]), -EPIPE);
		assert_int_equal(take(&c, 1), drain ? 0 : -EPIPE);
		assert_int_equal(take(&c, 1), drain ? 0 : -EPIPE);
		assert_int_equal(take(&c, 1), -EPIPE);
		nexus_credit_mend(&c);
		assert_int_equal(take(&c, 2), drain ? -EAGAIN : 0);
		assert_int_equal(take_or_queue(&c, &w[0], 1, &t[0]), 1);
		give(&c, 1, &q);
		wake(&q, 1);
		assert_int_equal(nexus_credit_leave(&c, &w[0], &q), 0);
	}
}

#define N_THREADS	4
#define N_TURNS		20000

/* What is sent and what may be sent, as in a ring; tasks that outlive their threads. */
static struct nexus_credit there, room;
static nexus_task tasks[N_THREADS];

/* Returns with the lock. */
static void get(struct nexus_credit *c, u64 n, nexus_task *task)
{
	struct nexus_credit_waiter w;
	NEXUS_WAKES(q);

	nexus_mutex_lock(&c->lock);
	if (!nexus_credit_take(c, n) || !nexus_credit_enqueue(c, &w, n, task))
		return;
	nexus_mutex_unlock(&c->lock);
	while (nexus_credit_waits(&w))
		nexus_task_sleep(task);
	if (nexus_credit_leave(c, &w, &q))
		abort();
	nexus_mutex_lock(&c->lock);
}

static void *turns(void *arg)
{
	unsigned int me = (unsigned int)(uintptr_t)arg, i;
	struct nexus_credit *mine = me & 1 ? &there : &room, *other = me & 1 ? &room : &there;

	for (i = 0; i < N_TURNS; i++) {
		u64 n = 1 + (i + me / 2) % 4;
		NEXUS_WAKES(q);

		get(mine, n, &tasks[me]);
		nexus_credit_give(other, n);
		nexus_mutex_unlock(&mine->lock);
		nexus_credit_given(other, &q);
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
	init(&there, 0, false);
	init(&room, 8, false);
	for (i = 0; i < N_THREADS; i++) {
		tasks[i] = (nexus_task)NEXUS_TASK_INIT;
		assert_int_equal(pthread_create(&thread[i], NULL, turns, (void *)i), 0);
	}
	for (i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(avail(&there), 0);
	assert_int_equal(avail(&room), 8);
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
