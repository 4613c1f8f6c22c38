// SPDX-License-Identifier: Apache-2.0
/* The regular check of a zone: runs, what they find, how they go on in another helper. */
#include <fcntl.h>
#include <time.h>

#include "scrub.h"
#include "util.h"

#define FILES	40

static struct config cfg;
static struct fake k;
static struct zone *z;
static struct gen g;
static struct pack_tables *tables;

static void apply(struct nexus_rec_head *rec)
{
	fake_append(&k, rec);
	fake_durable(&k, k.tail);
	assert_int_equal(applier_run(&z->applier, 0), 0);
	assert_int_equal(pack_tables_add(tables, (void *)rec, le32_to_cpu(rec->len)), 0);
}

/* FILES files with an extent each; blocks. */
static u64 fill(void)
{
	u64 lines;
	u32 i, j;

	for (i = 0; i < FILES; i++) {
		apply(gen_create(&g));
		for (j = 0; g.file[j].ino != g.next_ino - 1; j++)
			;
		apply(gen_extent(&g, &g.file[j]));
	}
	assert_int_equal(pack_tables_write(tables, z->os, z->sb.uuid, &lines), 0);
	return g.next_block - 3;
}

static int setup(void **state)
{
	test_setup(state);
	test_config(&cfg, &nexus_ms_lmdb);
	cfg.scrub_interval = 0;
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 22);
	gen_init(&g, z->al.next_ino, k.last_pack, 256);
	g.os = z->os;
	tables = pack_tables_new();
	return 0;
}

static int teardown(void **state)
{
	zone_scrub_stop(z);
	pack_tables_free(tables);
	fake_close(&k, z);
	return test_teardown(state);
}

static struct scrub_status look(void)
{
	struct scrub_status st;

	assert_int_equal(scrub_look(z, &st), 0);
	return st;
}

static struct scrub_status wait_for(bool (*cond)(const struct scrub_status *st))
{
	struct scrub_status st;
	int i;

	for (i = 0; i < 6000; i++) {
		st = look();
		if (cond(&st))
			return st;
		usleep(10000);
	}
	fail_msg("it does not come: running %d, %llu blocks", st.running, st.run.blocks);
	return st;
}

static bool is_over(const struct scrub_status *st)
{
	return !st->running;
}

static bool is_partly_done(const struct scrub_status *st)
{
	return st->running && st->run.blocks >= 4;
}

/* Another byte at the end of a block of the pack. */
static void spoil(u32 block)
{
	u32 blocks;
	u8 *buf = aligned_alloc(4096, 4096);
	int fd = z->os->drv->open_pack(z->os, g.pack, true, &blocks);

	assert_true(fd >= 0);
	assert_non_null(buf);
	assert_int_equal(pread(fd, buf, 4096, (off_t)block * 4096), 4096);
	buf[4095] ^= 1;
	assert_int_equal(pwrite(fd, buf, 4096, (off_t)block * 4096), 4096);
	free(buf);
	close(fd);
}

static void test_run(void **state)
{
	struct scrub_status st;
	u64 blocks = fill();

	(void)state;
	assert_int_equal(scrub_begin(z), -EROFS);
	assert_int_equal(scrub_look(z, &st), -EROFS);
	assert_int_equal(zone_scrub_start(z), 0);
	assert_int_equal(scrub_end(z), -EALREADY);
	st = look();
	assert_true(!st.running && !st.run.begun && !st.due);
	assert_int_equal(scrub_begin(z), 0);
	st = wait_for(is_over);
	assert_true(st.last.blocks == blocks && !st.last.problems && !st.last.unchecked);
	assert_true(st.last.begun && st.last.ended >= st.last.begun && !st.due);

	spoil(g.next_block - 1);
	spoil(5);
	assert_int_equal(scrub_begin(z), 0);
	st = wait_for(is_over);
	assert_true(st.last.blocks == blocks && st.last.problems == 2);
	/* And the next one begins at the beginning. */
	spoil(5);
	assert_int_equal(scrub_begin(z), 0);
	st = wait_for(is_over);
	assert_true(st.last.blocks == blocks && st.last.problems == 1);
}

/* A helper that ends in the middle, and one that goes on there. */
static void test_goes_on(void **state)
{
	struct scrub_status st, later;
	u64 blocks = fill();

	(void)state;
	spoil(3);
	cfg.scrub_rate = 64 << 10;
	assert_int_equal(zone_scrub_start(z), 0);
	assert_int_equal(scrub_begin(z), 0);
	assert_int_equal(scrub_begin(z), -EALREADY);
	wait_for(is_partly_done);
	st = look();
	zone_scrub_stop(z);
	cfg.scrub_rate = 1ull << 40;
	assert_int_equal(zone_scrub_start(z), 0);
	later = wait_for(is_over);
	assert_true(later.last.begun == st.run.begun);
	assert_true(later.last.blocks == blocks);
	assert_true(later.last.problems == 1);
	/* What was stopped by somebody stays so. */
	zone_scrub_stop(z);
	cfg.scrub_rate = 64 << 10;
	assert_int_equal(zone_scrub_start(z), 0);
	assert_int_equal(scrub_begin(z), 0);
	wait_for(is_partly_done);
	assert_int_equal(scrub_end(z), 0);
	assert_int_equal(scrub_end(z), -EALREADY);
	st = look();
	assert_true(!st.running && st.run.ended && st.run.blocks < blocks);
	zone_scrub_stop(z);
	assert_int_equal(zone_scrub_start(z), 0);
	later = look();
	assert_true(!later.running && later.run.blocks == st.run.blocks);
	assert_true(later.last.blocks == blocks && later.last.problems == 1);
}

/* It is kept to the rate: not faster, whatever the disk can do. */
static void test_rate(void **state)
{
	struct timespec a, b;
	u64 blocks = fill();

	(void)state;
	cfg.scrub_rate = blocks * 4096;
	assert_int_equal(zone_scrub_start(z), 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(scrub_begin(z), 0);
	wait_for(is_over);
	clock_gettime(CLOCK_MONOTONIC, &b);
	/* A second's worth in steps of a quarter; after the last nobody waits. */
	assert_true((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 >= 500);
}

static u64 since;

static bool is_newer(const struct scrub_status *st)
{
	return st->last.begun > since;
}

static void test_by_itself(void **state)
{
	u64 blocks = fill();

	(void)state;
	cfg.scrub_interval = 1;
	assert_int_equal(zone_scrub_start(z), 0);
	since = 0;
	since = wait_for(is_newer).last.begun;
	assert_true(wait_for(is_newer).last.blocks == blocks);
}

static void write_state(const char *text)
{
	char path[PATH_MAX + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/" STORE_SCRUB, z->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void test_state_file(void **state)
{
	static const char *const bad[] = {
		"", "nexusfs scrub 2\n", "nexusfs scrub 1\n", "nexusfs scrub 1\ndue x\n",
		"nexusfs scrub 1\ndue 1\nlast 1 2 3 4\n",
		"nexusfs scrub 1\ndue 1\nlast 1 2 3 4 5\nrun 1 2 3 4 5\n",
		"nexusfs scrub 1\ndue 1\nlast 1 2 3 4 5\nrun 1 2 3 4 5\ncursor 4\n",
		"nexusfs scrub 1\ndue 1\nlast 1 2 3 4 5\nrun 1 2 3 4 5\ncursor 45zz\n",
		"nexusfs scrub 1\ndue 1\nlast 1 2 3 4 5\nrun 1 2 3 4 5\ncursor "
		"45454545454545454545454545454545454545454545454545454545454545454545\n",
	};
	u64 blocks = fill();
	size_t i;

	(void)state;
	cfg.scrub_interval = 1000;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct scrub_status st;

		write_state(bad[i]);
		assert_int_equal(zone_scrub_start(z), 0);
		st = look();
		assert_true(!st.running && !st.last.begun);
		assert_true(st.due >= (u64)time(NULL) + 900);
		zone_scrub_stop(z);
	}
	/* A cursor of nobody's ends the run; it is not tried for ever. */
	write_state("nexusfs scrub 1\ndue 1\nlast 1 2 3 4 5\nrun 6 0 0 0 0\ncursor 4949\n");
	assert_int_equal(zone_scrub_start(z), 0);
	assert_true(wait_for(is_over).last.blocks == 3);
	assert_int_equal(scrub_begin(z), 0);
	assert_true(wait_for(is_over).last.blocks == blocks);
	/* Long over: it begins at once. */
	zone_scrub_stop(z);
	write_state("nexusfs scrub 1\ndue 1\nlast 1 2 3 4 5\nrun 1 2 3 4 5\ncursor -\n");
	assert_int_equal(zone_scrub_start(z), 0);
	since = 1;
	wait_for(is_newer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_run), T(test_goes_on), T(test_rate), T(test_state_file),
		T(test_by_itself),
	};

	return cmocka_run_group_tests_name("scrub", tests, NULL, NULL);
}
