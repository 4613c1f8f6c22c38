// SPDX-License-Identifier: Apache-2.0
/* What goes by itself: by bytes, by age, on a disk that fails, while others append and read. */
#include "log-world.h"

#include <pthread.h>

#define SEGMENT	4096u

static char text[1001];
static int64_t now;

static int64_t test_now(void)
{
	return now;
}

static int setup(void **state)
{
	memset(text, 'x', sizeof(text) - 1);
	now = 1000000000;
	log_setup(state);
	log_now = test_now;
	return 0;
}

/* So many records of 1,056 bytes, three in a segment. */
static void fill(uint32_t n)
{
	while (n--)
		put(text, NEXUS_EVENTLOG_SYNC);
}

static struct nexus_eventlog_state look(void)
{
	struct nexus_eventlog_state st;

	elog_state(&elog, &st);
	return st;
}

static struct nexus_eventlog_retention removed(void)
{
	struct nexus_eventlog_retention r;

	elog_retention(&elog, &r);
	return r;
}

/* The number of the first record that is there, and what is told of those before. */
static uint64_t first_there(void)
{
	struct nexus_eventlog_read_args a;
	uint64_t first;

	assert_int_equal(read_some(&a, 1, 1), 0);
	if (a.lost_from)
		assert_int_equal(a.lost_from, 1);
	if (!a.count && !a.end)
		assert_int_equal(read_some(&a, a.next, 1), 0);
	first = a.count ? a.records[0].seq : 0;
	forget();
	return first;
}

static void test_nothing_goes(void **state)
{
	(void)state;
	begin(SEGMENT);
	fill(60);
	now += 1000000000;
	assert_int_equal(elog_retain(&elog), 0);
	assert_int_equal(first_there(), 1);
	assert_int_equal(removed().files, 0);
	assert_false(elog_due(&elog));
}

static void test_bytes(void **state)
{
	uint64_t first;

	(void)state;
	keep_bytes = 5 * SEGMENT;
	begin(SEGMENT);
	fill(3);
	assert_true(elog_due(&elog));
	assert_false(elog_due(&elog));
	fill(9);
	assert_true(elog_due(&elog));
	assert_int_equal(elog_retain(&elog), 0);
	assert_int_equal(removed().files, 0);
	/* More files than one step removes. */
	fill(90);
	assert_int_equal(elog_retain(&elog), 0);
	assert_true(look().bytes <= keep_bytes);
	assert_true(look().bytes > keep_bytes - SEGMENT);
	first = first_there();
	assert_int_equal(removed().before, first);
	assert_int_equal(look().first, first);
	assert_true(removed().files > 16);
	assert_true(strstr(said, "by eventlog_max_bytes") && !strstr(said, "age"));
	assert_int_equal(elog_retain(&elog), 0);
	assert_int_equal(first_there(), first);
	/* After a restart it is as it was, and numbers go on. */
	assert_int_equal(end(), 0);
	begin(SEGMENT);
	assert_int_equal(first_there(), first);
	assert_int_equal(put(text, NEXUS_EVENTLOG_SYNC), 103);
	assert_int_equal(removed().files, 0);
}

/* What is written stays, however little is wanted. */
static void test_least(void **state)
{
	(void)state;
	keep_bytes = 1;
	begin(SEGMENT);
	fill(2);
	assert_int_equal(elog_retain(&elog), 0);
	assert_int_equal(first_there(), 1);
	fill(2);
	assert_int_equal(elog_retain(&elog), 0);
	assert_int_equal(first_there(), 4);
}

static void test_age(void **state)
{
	(void)state;
	keep_ms = 10000;
	begin(SEGMENT);
	fill(3);
	now += 4000;
	fill(3);
	now += 5999;
	assert_int_equal(elog_retain(&elog), 0);
	assert_int_equal(first_there(), 1);
	now += 1;
	assert_int_equal(elog_retain(&elog), 0);
	assert_int_equal(first_there(), 4);
	assert_true(strstr(said, "by eventlog_max_age") && !strstr(said, "max_bytes"));
	/* Nobody appends: the file that is written is ended, and goes. */
	now += 4000;
	assert_int_equal(elog_retain(&elog), 0);
	assert_int_equal(first_there(), 0);
	assert_int_equal(look().files, 0);
	assert_int_equal(look().last, 6);
	assert_int_equal(put(text, NEXUS_EVENTLOG_SYNC), 7);
	/* What is appended to it all the time stays as long as the last of it. */
	now += 9000;
	assert_int_equal(put(text, NEXUS_EVENTLOG_NONE), 8);
	now += 1000;
	assert_int_equal(elog_retain(&elog), 0);
	assert_int_equal(first_there(), 7);
	assert_int_equal(put(text, NEXUS_EVENTLOG_NONE), 9);
	now += 9000;
	assert_int_equal(elog_retain(&elog), 0);
	assert_int_equal(first_there(), 9);
	now += 1000;
	assert_int_equal(elog_retain(&elog), 0);
	assert_int_equal(first_there(), 0);
	/* A clock that was set back removes nothing. */
	fill(3);
	now -= 100000000;
	assert_int_equal(elog_retain(&elog), 0);
	assert_int_equal(first_there(), 10);
}

/* The age of files from before is that of their last change. */
static void test_age_of_files(void **state)
{
	(void)state;
	log_now = NULL;
	begin(SEGMENT);
	fill(6);
	assert_int_equal(end(), 0);
	keep_ms = 3600000;
	begin(SEGMENT);
	assert_int_equal(elog_retain(&elog), 0);
	assert_int_equal(first_there(), 1);
	crash();
	log_now = test_now;
	now = 4102444800000;	/* a hundred years after 2000 */
	begin(SEGMENT);
	assert_int_equal(elog_retain(&elog), 0);
	assert_int_equal(first_there(), 0);
	assert_int_equal(put(text, NEXUS_EVENTLOG_SYNC) > 6, 1);
}

/* What the disk has yet to get stays; one that fails is told once. */
static void test_bad_disk(void **state)
{
	(void)state;
	keep_bytes = SEGMENT;
	begin(SEGMENT);
	fill(12);
	atomic_store(&sync_fails, true);
	assert_int_equal(elog_retain(&elog), -EIO);
	assert_true(removed().failing);
	assert_true(strstr(said, "cannot be removed"));
	assert_int_equal(first_there(), 1);
	said[0] = '\0';
	assert_int_equal(elog_retain(&elog), -EIO);
	assert_string_equal(said, "");
	atomic_store(&sync_fails, false);
	assert_int_equal(elog_retain(&elog), 0);
	assert_false(removed().failing);
	assert_int_equal(first_there(), 10);
}

/* ---- at once ------------------------------------------------------------------------------ */

static atomic_bool over;
static atomic_uint wrong;

/* Each number comes, or is told as gone, in order. */
static void *reader(void *arg)
{
	struct nexus_eventlog_read_args a;
	uint64_t next = 1;
	uint32_t i;

	(void)arg;
	while (!atomic_load(&over)) {
		if (read_some(&a, next, 7))
			atomic_fetch_add(&wrong, 1);
		if (a.lost_from) {
			if (a.lost_from != next)
				atomic_fetch_add(&wrong, 1);
			next = a.lost_to + 1;
		}
		for (i = 0; i < a.count; i++)
			if (a.records[i].seq != next++)
				atomic_fetch_add(&wrong, 1);
		if (a.next != next)
			atomic_fetch_add(&wrong, 1);
		if (a.end)
			next = 1;
		forget();
	}
	return NULL;
}

static void *retainer(void *arg)
{
	(void)arg;
	while (!atomic_load(&over))
		if (elog_retain(&elog))
			atomic_fetch_add(&wrong, 1);
	return NULL;
}

static void test_at_once(void **state)
{
	pthread_t threads[3];
	uint32_t i;

	(void)state;
	keep_bytes = 4 * SEGMENT;
	begin(SEGMENT);
	atomic_store(&over, false);
	assert_int_equal(pthread_create(&threads[0], NULL, reader, NULL), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, reader, NULL), 0);
	assert_int_equal(pthread_create(&threads[2], NULL, retainer, NULL), 0);
	for (i = 0; i < 1500; i++)
		put(text, i % 50 ? NEXUS_EVENTLOG_NONE : NEXUS_EVENTLOG_SYNC);
	atomic_store(&over, true);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&wrong), 0);
	assert_int_equal(elog_sync(&elog), 0);
	assert_int_equal(elog_retain(&elog), 0);
	assert_true(look().bytes <= keep_bytes);
	assert_int_equal(look().last, 1500);
}

int main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, setup, log_teardown)
	const struct CMUnitTest tests[] = {
		T(test_nothing_goes), T(test_bytes), T(test_least), T(test_age),
		T(test_age_of_files), T(test_bad_disk), T(test_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
