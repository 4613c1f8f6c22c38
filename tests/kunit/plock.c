// SPDX-License-Identifier: GPL-2.0-only
/* Path locks, the table alone: what excludes what, who is next, kthreads in each other's way. */
#include <linux/kthread.h>
#include <linux/slab.h>

#include "kunit.h"
#include "../../lib/plock.h"

struct nexus_plock_test {
	struct nexus_plock_table table;
	struct nexus_plock lk[4];
	char owner[4];
	struct completion over;
	atomic_t left;
	int inside, wrong, taken;
};

static int nexus_plock_put_at(struct nexus_plock_test *pt, struct nexus_plock *lk, u32 depth)
{
	static const u64 ino[] = { 3, 2, 1 };
	struct nexus_plock_path path = {
		.ino = ino + ARRAY_SIZE(ino) - depth,
		.n = depth,
		.is_dir = depth < ARRAY_SIZE(ino),
		.name = pt,
	};

	return nexus_plock_place(&pt->table, lk, &path);
}

static struct nexus_plock_test *nexus_plock_test_new(struct kunit *test)
{
	struct nexus_plock_test *pt = kunit_kzalloc(test, sizeof(*pt), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, pt);
	nexus_plock_init(&pt->table);
	init_completion(&pt->over);
	return pt;
}

static void nexus_plock_test_end(struct kunit *test, struct nexus_plock_test *pt)
{
	NEXUS_WAKES(wakes);
	int i;

	for (i = 0; i < ARRAY_SIZE(pt->lk); i++)
		nexus_plock_unplace(&pt->table, &pt->lk[i], &wakes);
	nexus_wakes_done(&wakes);
	KUNIT_EXPECT_EQ(test, pt->table.nodes, 0);
	KUNIT_EXPECT_EQ(test, pt->table.waiting, 0);
	nexus_plock_fini(&pt->table);
}

static int nexus_plock_ask(struct nexus_plock_test *pt, int i, u8 mode, bool convert,
			   bool wait)
{
	NEXUS_WAKES(wakes);
	const void *drop;
	int ret = nexus_plock_take(&pt->table, &pt->lk[i], mode, convert, &pt->owner[i],
				   wait ? current : NULL, &drop, &wakes);

	nexus_wakes_done(&wakes);
	return ret;
}

static void nexus_plock_excludes(struct kunit *test)
{
	struct nexus_plock_test *pt = nexus_plock_test_new(test);
	int i;

	for (i = 0; i < 3; i++)
		KUNIT_ASSERT_EQ(test, nexus_plock_put_at(pt, &pt->lk[i], i + 1), 0);
	KUNIT_EXPECT_EQ(test, nexus_plock_ask(pt, 2, NEXUS_PLM_X, false, false), 0);
	KUNIT_EXPECT_EQ(test, nexus_plock_ask(pt, 0, NEXUS_PLM_S, false, false), -EAGAIN);
	KUNIT_EXPECT_EQ(test, nexus_plock_ask(pt, 1, NEXUS_PLM_S, false, false), -EAGAIN);
	KUNIT_EXPECT_EQ(test, nexus_plock_ask(pt, 2, NEXUS_PLM_S, true, false), 0);
	KUNIT_EXPECT_EQ(test, nexus_plock_ask(pt, 0, NEXUS_PLM_S, false, false), 0);
	KUNIT_EXPECT_EQ(test, nexus_plock_ask(pt, 1, NEXUS_PLM_X, false, false), -EAGAIN);
	KUNIT_EXPECT_EQ(test, nexus_plock_ask(pt, 1, NEXUS_PLM_S, true, false), -ENOENT);
	KUNIT_EXPECT_EQ(test, nexus_plock_ask(pt, 0, NEXUS_PLM_S, false, false), -EALREADY);
	nexus_plock_test_end(test, pt);
}

static void nexus_plock_deadlock(struct kunit *test)
{
	NEXUS_WAKES(wakes);
	struct nexus_plock_test *pt = nexus_plock_test_new(test);
	const void *drop;
	int i;

	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_EQ(test, nexus_plock_put_at(pt, &pt->lk[i], i + 2), 0);
		KUNIT_EXPECT_EQ(test, nexus_plock_ask(pt, i, NEXUS_PLM_S, false, false), 0);
	}
	KUNIT_EXPECT_EQ(test, nexus_plock_ask(pt, 0, NEXUS_PLM_X, true, true), 1);
	KUNIT_EXPECT_EQ(test, nexus_plock_ask(pt, 1, NEXUS_PLM_X, true, true), -EDEADLK);
	KUNIT_EXPECT_EQ(test, nexus_plock_release(&pt->table, &pt->lk[1], &drop, &wakes), 0);
	nexus_wakes_done(&wakes);
	KUNIT_EXPECT_FALSE(test, nexus_plock_waits(&pt->lk[0]));
	KUNIT_EXPECT_EQ(test, nexus_plock_leave(&pt->table, &pt->lk[0], &drop, &wakes), 0);
	KUNIT_EXPECT_EQ(test, pt->lk[0].held, NEXUS_PLM_X);
	nexus_plock_test_end(test, pt);
}

#define NEXUS_PLOCK_ROUNDS	2000

static int nexus_plock_thread(void *arg)
{
	NEXUS_WAKES(wakes);
	struct nexus_plock_test *pt = arg;
	struct nexus_plock lk = {};
	const void *drop;
	int i, ret;

	for (i = 0; i < NEXUS_PLOCK_ROUNDS; i++) {
		ret = nexus_plock_put_at(pt, &lk, 1 + i % 3);
		if (!ret)
			ret = nexus_plock_take(&pt->table, &lk, NEXUS_PLM_X, false, &lk,
					       current, &drop, &wakes);
		for (; ret == 1; schedule()) {
			set_current_state(TASK_UNINTERRUPTIBLE);
			if (!nexus_plock_waits(&lk))
				break;
		}
		__set_current_state(TASK_RUNNING);
		if (ret == 1)
			ret = nexus_plock_leave(&pt->table, &lk, &drop, &wakes);
		if (ret || READ_ONCE(pt->inside))
			WRITE_ONCE(pt->wrong, ret ?: 1);
		WRITE_ONCE(pt->inside, 1);
		cond_resched();
		pt->taken++;
		WRITE_ONCE(pt->inside, 0);
		nexus_plock_unplace(&pt->table, &lk, &wakes);
		nexus_wakes_done(&wakes);
	}
	if (atomic_dec_and_test(&pt->left))
		complete(&pt->over);
	return nexus_test_stay();
}

static void nexus_plock_threads(struct kunit *test)
{
	struct nexus_plock_test *pt = nexus_plock_test_new(test);
	struct task_struct *task[4];
	int i, n = ARRAY_SIZE(task), started = 0;

	atomic_set(&pt->left, n);
	for (i = 0; i < n; i++) {
		task[i] = kthread_run(nexus_plock_thread, pt, "nexus_plock/%d", i);
		if (!IS_ERR(task[i]))
			started++;
		else if (atomic_dec_and_test(&pt->left))
			complete(&pt->over);
	}
	wait_for_completion(&pt->over);
	for (i = 0; i < n; i++)
		if (!IS_ERR(task[i]))
			kthread_stop(task[i]);
	KUNIT_EXPECT_EQ(test, started, n);
	KUNIT_EXPECT_EQ(test, pt->wrong, 0);
	KUNIT_EXPECT_EQ(test, pt->taken, started * NEXUS_PLOCK_ROUNDS);
	nexus_plock_test_end(test, pt);
}

static struct kunit_case nexus_plock_cases[] = {
	KUNIT_CASE(nexus_plock_excludes),
	KUNIT_CASE(nexus_plock_deadlock),
	KUNIT_CASE(nexus_plock_threads),
	{}
};

struct kunit_suite nexus_plock_suite = {
	.name = "nexus_plock",
	.test_cases = nexus_plock_cases,
};
