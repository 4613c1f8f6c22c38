// SPDX-License-Identifier: GPL-2.0-only
/* Zones: inode numbers, failure, lock sets. */
#include "kunit.h"

static int nexus_zone_init_test(struct kunit *test)
{
	test->priv = nexus_zone_alloc("kunit");
	return test->priv ? 0 : -ENOMEM;
}

static void nexus_zone_exit_test(struct kunit *test)
{
	nexus_zone_put(test->priv);
}

/* Scenarios A33, E10. */
static void nexus_zone_ranges(struct kunit *test)
{
	struct nexus_zone *zone = test->priv;
	u64 ino, want;

	KUNIT_EXPECT_EQ(test, nexus_zone_add_ino_range(zone, 10, 20), -EINVAL);
	KUNIT_EXPECT_EQ(test, nexus_zone_add_ino_range(zone, 100, 100), -EINVAL);
	KUNIT_EXPECT_EQ(test, nexus_zone_add_ino_range(zone, 100, U64_MAX), -EINVAL);
	KUNIT_ASSERT_EQ(test, nexus_zone_add_ino_range(zone, 100, 103), 0);
	KUNIT_EXPECT_EQ_MSG(test, nexus_zone_add_ino_range(zone, 102, 110), -EINVAL,
			    "overlap");
	KUNIT_EXPECT_EQ_MSG(test, nexus_zone_add_ino_range(zone, 50, 60), -EINVAL,
			    "numbers only grow");
	KUNIT_ASSERT_EQ(test, nexus_zone_add_ino_range(zone, 200, 202), 0);
	KUNIT_EXPECT_EQ_MSG(test, nexus_zone_add_ino_range(zone, 300, 400), -EBUSY,
			    "two are held");
	for (want = 100; want < 103; want++) {
		KUNIT_ASSERT_EQ(test, nexus_zone_new_ino(zone, &ino), 0);
		KUNIT_EXPECT_EQ(test, ino, want);
	}
	/* The second one moves in, and there is room for another. */
	KUNIT_ASSERT_EQ(test, nexus_zone_new_ino(zone, &ino), 0);
	KUNIT_EXPECT_EQ(test, ino, 200);
	KUNIT_ASSERT_EQ(test, nexus_zone_add_ino_range(zone, 300, 301), 0);
	KUNIT_ASSERT_EQ(test, nexus_zone_new_ino(zone, &ino), 0);
	KUNIT_EXPECT_EQ(test, ino, 201);
	KUNIT_ASSERT_EQ(test, nexus_zone_new_ino(zone, &ino), 0);
	KUNIT_EXPECT_EQ(test, ino, 300);
}

/* Waiting for a number ends with the zone. */
static void nexus_zone_ino_failed(struct kunit *test)
{
	struct nexus_zone *zone = test->priv;
	u64 ino;

	nexus_zone_fail(zone, -EIO, "expected by a test");
	KUNIT_EXPECT_EQ(test, nexus_zone_new_ino(zone, &ino), -EROFS);
}

static void nexus_zone_fails_once(struct kunit *test)
{
	struct nexus_zone *zone = test->priv;

	KUNIT_EXPECT_EQ(test, nexus_zone_writable(zone), 0);
	nexus_zone_fail(zone, -EUCLEAN, "expected by a test, %d", 1);
	nexus_zone_fail(zone, -ENOSPC, "expected by a test, %d", 2);
	KUNIT_EXPECT_EQ(test, zone->error, -EUCLEAN);
	KUNIT_EXPECT_STREQ(test, zone->reason, "expected by a test, 1");
	KUNIT_EXPECT_EQ(test, nexus_zone_writable(zone), -EROFS);
	KUNIT_EXPECT_NULL(test, nexus_zone_grab_sb(zone));
}

static void nexus_zone_fail_errno(struct kunit *test)
{
	struct nexus_zone *zone = test->priv;

	nexus_zone_fail(zone, 0, "expected by a test");
	KUNIT_EXPECT_EQ_MSG(test, zone->error, -EIO, "0 would mean healthy");
}

/* Scenario M8. */
static void nexus_zone_buckets(struct kunit *test)
{
	struct nexus_zone *zone = test->priv;
	u64 ino, used = 0;
	u32 i;

	for (ino = 16; ino < 16 + NEXUS_LSN_BUCKETS; ino++)
		atomic64_inc(nexus_zone_bucket(zone, ino));
	for (i = 0; i < NEXUS_LSN_BUCKETS; i++)
		used += !!atomic64_read(&zone->lsn_bucket[i]);
	KUNIT_EXPECT_GT_MSG(test, used, NEXUS_LSN_BUCKETS / 2,
			    "neighbours must spread");
}

static void nexus_zone_lockset(struct kunit *test)
{
	struct nexus_inode *ni[4];
	struct nexus_lockset set;
	int i;

	for (i = 0; i < 4; i++) {
		ni[i] = kunit_kzalloc(test, sizeof(*ni[i]), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, ni[i]);
		mutex_init(&ni[i]->log_mutex);
		ni[i]->vfs.i_ino = 10 - i;
	}
	nexus_lock_inodes(&set, &ni[0]->vfs, &ni[1]->vfs, &ni[2]->vfs, &ni[3]->vfs);
	KUNIT_ASSERT_EQ(test, set.n, 4);
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_PTR_EQ(test, set.ni[i], ni[3 - i]);
	nexus_unlock_inodes(&set);
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_FALSE(test, mutex_is_locked(&ni[i]->log_mutex));

	nexus_lock_inodes(&set, &ni[0]->vfs, &ni[0]->vfs, NULL, &ni[1]->vfs);
	KUNIT_EXPECT_EQ(test, set.n, 2);
	nexus_unlock_inodes(&set);
}

static struct kunit_case nexus_zone_cases[] = {
	KUNIT_CASE(nexus_zone_ranges),
	KUNIT_CASE(nexus_zone_ino_failed),
	KUNIT_CASE(nexus_zone_fails_once),
	KUNIT_CASE(nexus_zone_fail_errno),
	KUNIT_CASE(nexus_zone_buckets),
	KUNIT_CASE(nexus_zone_lockset),
	{}
};

struct kunit_suite nexus_zone_suite = {
	.name = "nexus_zone",
	.init = nexus_zone_init_test,
	.exit = nexus_zone_exit_test,
	.test_cases = nexus_zone_cases,
};
