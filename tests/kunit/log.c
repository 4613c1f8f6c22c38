// SPDX-License-Identifier: GPL-2.0-only
/* The log as far as it goes without a segment: reservations, LSNs, the ring. */
#include "../../kmod/log/log.h"
#include "kunit.h"

static int nexus_test_read(struct nexus_zone *zone, struct nexus_request *req,
			   const void *data, void *out, size_t cap, u64 *applied)
{
	return -ENOTCONN;
}

static const struct nexus_metastore_ops nexus_test_store = {
	.read	= nexus_test_read,
	.mutate	= nexus_log_append,
};

static const struct nexus_log_params nexus_test_params = {
	.incarnation = 1,
	.tail = NEXUS_FIRST_LSN,
	.applied = NEXUS_FIRST_LSN,
	.checkpoint = NEXUS_FIRST_LSN,
	.segment = 1,
	.segment_blocks = NEXUS_SEGMENT_SIZE >> NEXUS_BLOCK_SHIFT,
};

static int nexus_log_init_test(struct kunit *test)
{
	struct nexus_zone *zone = nexus_zone_alloc("kunit");

	if (!zone)
		return -ENOMEM;
	zone->ms = &nexus_test_store;
	test->priv = zone;
	return nexus_log_start(zone, &nexus_test_params);
}

static void nexus_log_exit_test(struct kunit *test)
{
	struct nexus_zone *zone = test->priv;

	if (!zone)
		return;
	/* There is nowhere to write to: the flusher must not wait for it. */
	nexus_zone_fail(zone, -EIO, "expected by a test");
	if (zone->log)
		nexus_log_stop(zone);
	nexus_zone_put(zone);
}

static void nexus_log_start_bad(struct kunit *test)
{
	struct nexus_log_params p = nexus_test_params;
	struct nexus_zone *zone = nexus_zone_alloc("kunit");

	KUNIT_ASSERT_NOT_NULL(test, zone);
	p.tail = 8;
	KUNIT_EXPECT_EQ(test, nexus_log_start(zone, &p), -EINVAL);
	p = nexus_test_params;
	p.tail += 4;
	KUNIT_EXPECT_EQ(test, nexus_log_start(zone, &p), -EINVAL);
	p = nexus_test_params;
	p.applied += 8;
	KUNIT_EXPECT_EQ(test, nexus_log_start(zone, &p), -EINVAL);
	p = nexus_test_params;
	p.checkpoint += 8;
	KUNIT_EXPECT_EQ(test, nexus_log_start(zone, &p), -EINVAL);
	p = nexus_test_params;
	p.segment = 0;
	KUNIT_EXPECT_EQ(test, nexus_log_start(zone, &p), -EINVAL);
	KUNIT_EXPECT_NULL(test, zone->log);
	nexus_zone_put(zone);
}

/*
 * Without a segment there is no room, and whoever may not wait is told so.
 * Scenario A4.
 */
static void nexus_log_no_room(struct kunit *test)
{
	struct nexus_zone *zone = test->priv;
	struct nexus_resv resv = {};

	KUNIT_EXPECT_EQ(test, nexus_log_reserve(zone, &resv, 64, NEXUS_RESV_NOWAIT),
			-EAGAIN);
	KUNIT_EXPECT_EQ(test, resv.bytes, 0);
	nexus_log_unreserve(&resv);
	nexus_zone_fail(zone, -EIO, "expected by a test");
	KUNIT_EXPECT_EQ_MSG(test, nexus_log_reserve(zone, &resv, 64, 0), -EROFS,
			    "a failed zone ends the wait");
}

/* Scenario C37. */
static void nexus_log_reports(struct kunit *test)
{
	struct nexus_zone *zone = test->priv;
	u64 first = NEXUS_FIRST_LSN;

	KUNIT_EXPECT_EQ(test, nexus_log_report(zone, first, first), 0);
	KUNIT_EXPECT_EQ_MSG(test, nexus_log_report(zone, first + 8, first), -EINVAL,
			    "applied above the tail");
	KUNIT_EXPECT_EQ_MSG(test, nexus_log_report(zone, first, first + 8), -EINVAL,
			    "checkpoint above applied");
	KUNIT_EXPECT_EQ_MSG(test, nexus_log_report(zone, first - 8, first - 8),
			    -EINVAL, "backwards");
	KUNIT_EXPECT_EQ(test, nexus_log_applied(zone), first);
}

static void nexus_log_nothing_to_flush(struct kunit *test)
{
	struct nexus_zone *zone = test->priv;

	KUNIT_EXPECT_EQ(test, nexus_log_flush(zone, nexus_log_tail(zone)), 0);
	KUNIT_EXPECT_EQ(test, nexus_log_durable(zone), NEXUS_FIRST_LSN);
}

/* The same numbers as if one spare segment were there, with @bytes of room. */
static void nexus_log_pretend(struct nexus_log *log, u64 bytes)
{
	log->pool = 16 << 20;
	log->spare_room = bytes;
}

/* Scenario A3. */
static void nexus_log_admits(struct kunit *test)
{
	struct nexus_zone *zone = test->priv;
	struct nexus_log *log = zone->log;
	struct nexus_resv a = {}, b = {};
	u64 deletions = 2 << 20;	/* an eighth of the pool */

	nexus_log_pretend(log, deletions + NEXUS_LOG_SLACK + 64);
	KUNIT_EXPECT_EQ(test, nexus_log_reserve(zone, &a, 72, NEXUS_RESV_NOWAIT),
			-EAGAIN);
	KUNIT_EXPECT_EQ(test, nexus_log_reserve(zone, &a, 64, NEXUS_RESV_NOWAIT), 0);
	KUNIT_EXPECT_EQ(test, nexus_log_reserve(zone, &b, 8, NEXUS_RESV_NOWAIT),
			-EAGAIN);
	KUNIT_EXPECT_EQ(test, nexus_log_reserve(zone, &b, deletions,
						NEXUS_RESV_NOWAIT | NEXUS_RESV_DELETE), 0);
	KUNIT_EXPECT_EQ(test, b.bytes, deletions);
	nexus_log_unreserve(&b);
	KUNIT_EXPECT_EQ(test, nexus_log_reserve(zone, &b, deletions + 8,
						NEXUS_RESV_NOWAIT | NEXUS_RESV_DELETE),
			-EAGAIN);

	/* 64 are still reserved. */
	nexus_log_pretend(log, NEXUS_LOG_FSYNC + 64 + 8);
	KUNIT_EXPECT_FALSE(test, nexus_log_reserve_late(zone, &b, 16));
	KUNIT_EXPECT_TRUE(test, nexus_log_reserve_late(zone, &b, 8));
	nexus_log_unreserve(&b);
	nexus_log_unreserve(&a);
	KUNIT_EXPECT_EQ(test, log->outstanding, 0);
}

/* A small batch may take only what nobody was promised.  Scenario M6. */
static void nexus_log_small_batches(struct kunit *test)
{
	struct nexus_zone *zone = test->priv;
	struct nexus_log *log = zone->log;
	u64 cost = 2 * NEXUS_BLOCK_SIZE;	/* no segment is begun */

	log->tail += 64;
	log->outstanding = 800;
	nexus_log_pretend(log, NEXUS_LOG_FSYNC + 800 + cost);
	KUNIT_EXPECT_TRUE(test, nexus_log_may_batch(log));
	KUNIT_EXPECT_FALSE(test, test_bit(NEXUS_LOG_SHORT, &log->state));
	nexus_log_pretend(log, NEXUS_LOG_FSYNC + 800 + cost - 1);
	KUNIT_EXPECT_FALSE(test, nexus_log_may_batch(log));
	KUNIT_EXPECT_TRUE(test, test_bit(NEXUS_LOG_SHORT, &log->state));

	nexus_log_has_data(zone, log->checkpoint + 8);
	KUNIT_EXPECT_TRUE_MSG(test, nexus_log_may_batch(log), "content in the log");
	nexus_log_pretend(log, NEXUS_LOG_REHOME + 800 + cost - 1);
	KUNIT_EXPECT_FALSE(test, nexus_log_may_batch(log));
	nexus_log_pretend(log, NEXUS_LOG_FSYNC + 800 + cost - 1);
	log->data = log->checkpoint;
	KUNIT_EXPECT_FALSE_MSG(test, nexus_log_may_batch(log), "that has moved");

	log->sync_to = log->tail;
	KUNIT_EXPECT_TRUE_MSG(test, nexus_log_may_batch(log), "sync");
	nexus_log_pretend(log, NEXUS_LOG_SYNC + 800 + cost - 1);
	KUNIT_EXPECT_FALSE(test, nexus_log_may_batch(log));
	set_bit(NEXUS_LOG_LAST, &log->state);
	KUNIT_EXPECT_TRUE_MSG(test, nexus_log_may_batch(log), "unmounting");
	clear_bit(NEXUS_LOG_LAST, &log->state);

	nexus_log_pretend(log, 0);
	KUNIT_EXPECT_FALSE(test, nexus_log_may_batch(log));
	log->tail += NEXUS_BATCH_LARGE - 64;
	KUNIT_EXPECT_TRUE_MSG(test, nexus_log_may_batch(log), "a large one");
	KUNIT_EXPECT_FALSE(test, test_bit(NEXUS_LOG_SHORT, &log->state));
	log->tail -= NEXUS_BATCH_LARGE;
	log->sync_to = 0;
	log->outstanding = 0;
}

/* Content may use neither the last quarter of the segments nor half of the limit. */
static void nexus_log_plenty_for_content(struct kunit *test)
{
	struct nexus_zone *zone = test->priv;
	struct nexus_log *log = zone->log;
	u64 pool = log->pool, spare = log->spare_room, limit = log->limit;

	log->pool = 64u << 20;
	log->spare_room = 16u << 20;
	log->limit = 1u << 20;
	KUNIT_EXPECT_TRUE(test, nexus_log_plenty(zone));
	log->spare_room--;
	KUNIT_EXPECT_FALSE(test, nexus_log_plenty(zone));
	log->spare_room++;
	log->outstanding = 512u << 10;
	KUNIT_EXPECT_FALSE(test, nexus_log_plenty(zone));
	log->outstanding = 0;
	log->pool = pool;
	log->spare_room = spare;
	log->limit = limit;
}

static void nexus_log_moves(struct kunit *test)
{
	struct nexus_zone *zone = test->priv;
	struct nexus_resv a = { .zone = zone, .bytes = 100 };
	struct nexus_resv b = {};

	nexus_resv_move(&b, &a, 40);
	KUNIT_EXPECT_EQ(test, a.bytes, 60);
	KUNIT_EXPECT_EQ(test, b.bytes, 40);
	KUNIT_EXPECT_PTR_EQ(test, b.zone, zone);
}

static void nexus_log_failed_mutate(struct kunit *test)
{
	struct nexus_zone *zone = test->priv;
	struct nexus_resv resv = { .zone = zone };
	struct nexus_rec_bulk rec = {};
	u64 lsn = 1;

	nexus_zone_fail(zone, -EIO, "expected by a test");
	nexus_rec_bulk(&rec, 16, 1, nexus_test_time);
	KUNIT_EXPECT_EQ(test, nexus_mutate(zone, &resv, &rec.head, &lsn), -EROFS);
	KUNIT_EXPECT_EQ(test, lsn, 1);
	KUNIT_EXPECT_EQ(test, nexus_log_tail(zone), NEXUS_FIRST_LSN);
}

/* One that nobody could apply does not get into the log, and the zone goes on. */
static void nexus_log_malformed(struct kunit *test)
{
	struct nexus_zone *zone = test->priv;
	struct nexus_resv resv = { .zone = zone };
	struct nexus_rec_bulk rec = {};
	u64 lsn = 1;

	nexus_rec_bulk(&rec, 16, 1, nexus_test_time);
	rec.head.time_ns = cpu_to_le32(NSEC_PER_SEC);
	KUNIT_EXPECT_EQ(test, nexus_mutate(zone, &resv, &rec.head, &lsn), -EIO);
	KUNIT_EXPECT_EQ(test, lsn, 1);
	KUNIT_EXPECT_EQ(test, nexus_log_tail(zone), NEXUS_FIRST_LSN);
	KUNIT_EXPECT_EQ(test, nexus_zone_writable(zone), 0);
}

static struct kunit_case nexus_log_cases[] = {
	KUNIT_CASE(nexus_log_malformed),
	KUNIT_CASE(nexus_log_start_bad),
	KUNIT_CASE(nexus_log_no_room),
	KUNIT_CASE(nexus_log_admits),
	KUNIT_CASE(nexus_log_small_batches),
	KUNIT_CASE(nexus_log_reports),
	KUNIT_CASE(nexus_log_nothing_to_flush),
	KUNIT_CASE(nexus_log_plenty_for_content),
	KUNIT_CASE(nexus_log_moves),
	KUNIT_CASE(nexus_log_failed_mutate),
	{}
};

struct kunit_suite nexus_log_suite = {
	.name = "nexus_log",
	.init = nexus_log_init_test,
	.exit = nexus_log_exit_test,
	.test_cases = nexus_log_cases,
};
