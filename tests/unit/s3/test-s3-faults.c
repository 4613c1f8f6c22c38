// SPDX-License-Identifier: Apache-2.0
/* The S3 client behind a proxy that does to answers what networks do: tests/unit/s3/fault-proxy. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "world.h"

#define SIZE	300000u
#define MANY	1000000u

static struct world_client client;
static unsigned char data[SIZE], buf[SIZE];

static struct s3_settings through_proxy(void)
{
	struct s3_settings set = world_settings();

	set.endpoint = world_env("NEXUS_S3_PROXY_ENDPOINT");
	set.base_ms = 5;
	set.cap_ms = 20;
	set.attempts = 4;
	set.deadline_ms = 20000;
	set.stall_ms = 1000;
	set.breaker = 1000;
	set.part = S3_PART_LEAST;
	return set;
}

static int open_client(void **state)
{
	struct s3_settings set = through_proxy();

	(void)state;
	client = world_open(&set);
	world_fault("none", 0, "");
	return 0;
}

static int close_client(void **state)
{
	struct s3_stats stats;

	(void)state;
	s3_stats(client.s3, &stats);
	world_close(&client);
	return stats.memory || stats.queued ? -1 : 0;
}

static int begin(void **state)
{
	world_fill(data, sizeof(data), 9);
	return world_begin(state);
}

enum op { GET, PUT, HEAD, LIST, DELETE };

static int run(enum op op, struct s3_result *result)
{
	const char *keys[] = { "gone" };
	struct s3_get get = { .key = "object", .buf = buf, .len = SIZE };
	struct s3_put put = { .key = "written", .data = data, .len = SIZE, .fd = -1 };
	struct s3_query query = { .prefix = "object" };
	struct s3_list list;
	int ret = -EINVAL;

	switch (op) {
	case GET:
		memset(buf, 0, sizeof(buf));
		ret = s3_get(client.s3, &get, result);
		if (!ret) {
			assert_int_equal(result->len, SIZE);
			assert_memory_equal(buf, data, SIZE);
		}
		break;
	case PUT:
		ret = s3_put(client.s3, &put, result);
		if (!ret)
			world_expect(client.s3, "written", data, SIZE);
		break;
	case HEAD:
		ret = s3_head(client.s3, "object", result);
		if (!ret)
			assert_int_equal(result->size, SIZE);
		break;
	case LIST:
		ret = s3_list(client.s3, &query, &list, result);
		if (!ret)
			assert_int_equal(list.n, 1);
		s3_list_free(&list);
		break;
	case DELETE:
		ret = s3_delete(client.s3, keys, 1, NULL, result);
		break;
	}
	return ret;
}

/*
 * What happens twice passes by itself, if it passes at all; what goes on happening ends
 * in the error of the row.
 */
static const struct row {
	enum op op;
	const char *fault;
	int error;
	bool once;	/* another attempt would not help, and none is made */
} rows[] = {
	{ GET, "drop-request", -ECONNRESET, false },
	{ GET, "drop-answer", -ECONNRESET, false },
	{ GET, "reset", -ECONNRESET, false },
	{ GET, "truncate", -ECONNRESET, false },
	{ GET, "corrupt", -EBADMSG, false },
	{ GET, "clip", -EPROTO, false },
	{ GET, "garbage", -EPROTO, false },
	{ GET, "web-page", -EPROTO, false },
	{ GET, "endless", -EPROTO, false },
	{ GET, "hang", -ETIMEDOUT, false },
	{ GET, "lost-500", -EIO, false },
	{ GET, "status:503:SlowDown", -EBUSY, false },
	{ GET, "status:503", -EBUSY, false },
	{ GET, "status:429", -EBUSY, false },
	{ GET, "status:500:InternalError", -EIO, false },
	{ GET, "status:502", -EIO, false },
	{ GET, "status:403:AccessDenied", -EACCES, true },
	{ GET, "status:403", -EACCES, true },
	{ GET, "status:404:NoSuchKey", -ENOENT, true },
	/* Of something on the way there: it knows nothing of objects. */
	{ GET, "status:404", -EPROTO, false },
	{ GET, "status:400:ExpiredToken", -EKEYEXPIRED, true },
	{ GET, "status:403:SignatureDoesNotMatch", -EKEYREJECTED, true },
	{ GET, "status:301:PermanentRedirect", -EREMOTE, true },
	{ PUT, "drop-request", -ECONNRESET, false },
	{ PUT, "drop-answer", -ECONNRESET, false },
	{ PUT, "corrupt-request", -EBADMSG, false },
	{ PUT, "garbage", -EPROTO, false },
	{ PUT, "lost-500", -EIO, false },
	{ PUT, "status:503:SlowDown", -EBUSY, false },
	{ PUT, "status:403:AccessDenied", -EACCES, true },
	{ PUT, "status:404:NoSuchBucket", -ENODEV, true },
	{ PUT, "status:404", -EPROTO, false },
	{ HEAD, "drop-answer", -ECONNRESET, false },
	{ HEAD, "status:500", -EIO, false },
	{ HEAD, "status:403", -EACCES, true },
	{ HEAD, "status:404", -ENOENT, true },
	{ HEAD, "garbage", -EPROTO, false },
	{ LIST, "truncate", -ECONNRESET, false },
	{ LIST, "reset", -ECONNRESET, false },
	{ LIST, "web-page", -EPROTO, false },
	{ LIST, "status:500", -EIO, false },
	{ LIST, "status:404", -EPROTO, false },
	{ DELETE, "drop-answer", -ECONNRESET, false },
	{ DELETE, "web-page", -EPROTO, false },
	{ DELETE, "status:404", -EPROTO, false },
	{ DELETE, "status:503:SlowDown", -EBUSY, false },
};

static void one_fault(const struct row *row)
{
	static const char *const filters[] = { "GET ", "PUT ", "HEAD ", "GET ", "POST " };
	struct s3_result result;
	int ret;

	world_fault(row->fault, 2, filters[row->op]);
	ret = run(row->op, &result);
	if (ret != (row->once ? row->error : 0))
		fprintf(stderr, "# %s twice: %s\n", row->fault, result.fault.text);
	assert_int_equal(ret, row->once ? row->error : 0);
	assert_int_equal(world_tell("hits\n"), row->once ? 1 : 2);
	world_fault(row->fault, MANY, filters[row->op]);
	ret = run(row->op, &result);
	if (ret != row->error)
		fprintf(stderr, "# %s: %d %s\n", row->fault, ret, result.fault.text);
	assert_int_equal(ret, row->error);
	assert_int_equal(result.attempts, row->once ? 1 : 4);
	assert_true(result.fault.text[0]);
	world_fault("none", 0, "");
}

static void every_fault(void **state)
{
	size_t i;

	(void)state;
	world_put(client.s3, "object", data, SIZE, 0);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		one_fault(&rows[i]);
}

/* Two answers to one request are never taken for those of two. */
static void twice(void **state)
{
	const char *const faults[] = { "twice", "twice-late" };
	struct s3_result result;
	char key[16], text[16];
	unsigned int i, j;

	(void)state;
	for (i = 0; i < 30; i++) {
		snprintf(key, sizeof(key), "twice-%u", i);
		snprintf(text, sizeof(text), "content-%02u", i);
		world_put(client.s3, key, text, 10, 0);
	}
	for (j = 0; j < 2; j++) {
		world_fault(faults[j], MANY, "GET ");
		for (i = 0; i < 30; i++) {
			snprintf(key, sizeof(key), "twice-%u", i);
			snprintf(text, sizeof(text), "content-%02u", i);
			world_expect(client.s3, key, text, 10);
		}
	}
	world_fault("twice-late", MANY, "HEAD ");
	for (i = 0; i < 10; i++) {
		assert_int_equal(s3_head(client.s3, "twice-1", &result), 0);
		assert_int_equal(s3_head(client.s3, "twice-none", &result), -ENOENT);
	}
}

/* The answer to a conditional write is lost: who asks again is told what is true. */
static void lost_answer(void **state)
{
	const char *const faults[] = { "drop-answer", "lost-500", "garbage" };
	struct s3_put put = { .key = "mine", .data = "mine", .len = 4, .fd = -1, .absent = true };
	struct s3_result result;
	char key[16], etag[S3_ETAG_MAX];
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		snprintf(key, sizeof(key), "mine-%u", i);
		put.key = key;
		put.absent = true;
		put.if_match = NULL;
		world_fault(faults[i], 1, "PUT ");
		assert_int_equal(s3_put(client.s3, &put, &result), 0);
		assert_int_equal(world_tell("hits\n"), 1);
		assert_true(result.etag[0]);
		world_expect(client.s3, key, "mine", 4);
		/* Somebody else's stays, whatever is lost. */
		world_fault(faults[i], 1, "PUT ");
		put.data = "not!";
		assert_int_equal(s3_put(client.s3, &put, &result), -EEXIST);
		world_expect(client.s3, key, "mine", 4);
		/* The same over a version that is known. */
		assert_int_equal(s3_head(client.s3, key, &result), 0);
		memcpy(etag, result.etag, sizeof(etag));
		put.absent = false;
		put.if_match = etag;
		put.data = "next";
		world_fault(faults[i], 1, "PUT ");
		if (s3_put(client.s3, &put, &result))
			fprintf(stderr, "# %s: %s\n", faults[i], result.fault.text);
		assert_int_equal(result.error, 0);
		world_expect(client.s3, key, "next", 4);
		put.data = "mine";
		assert_int_equal(s3_put(client.s3, &put, &result), -EEXIST);
	}
}

static void uploads(void **state)
{
	size_t len = 2 * S3_PART_LEAST + 1000;
	unsigned char *big = malloc(len), *back = malloc(len);
	struct s3_put put = { .key = "upload", .data = big, .len = len, .fd = -1 };
	struct s3_get get = { .key = "upload", .buf = back, .len = len };
	struct s3_result result;
	unsigned int aborted;

	(void)state;
	world_fill(big, len, 10);
	/* Any of its steps loses its answer once. */
	world_fault("drop-answer", 1, "?uploads");
	assert_int_equal(s3_upload(client.s3, &put, &result), 0);
	world_fault("reset", 2, "partNumber=2");
	assert_int_equal(s3_upload(client.s3, &put, &result), 0);
	world_fault("drop-answer", 1, "POST /");
	assert_int_equal(s3_upload(client.s3, &put, &result), 0);
	assert_int_equal(world_tell("hits\n"), 1);
	world_fault("lost-500", 1, "?uploadId=");
	assert_int_equal(s3_upload(client.s3, &put, &result), 0);
	assert_int_equal(world_tell("hits\n"), 1);
	assert_int_equal(s3_read(client.s3, &get, &result), 0);
	assert_memory_equal(back, big, len);
	/* The one that was begun and whose answer was lost is left over; nothing else is. */
	assert_int_equal(s3_abort_leftovers(client.s3, NULL, time(NULL) + 3600, &aborted, &result), 0);
	assert_int_equal(aborted, 2);
	/* One of three parts fails for good: nothing stays. */
	put.key = "upload-fails";
	world_fault("status:500:InternalError", MANY, "partNumber=2");
	assert_int_equal(s3_upload(client.s3, &put, &result), -EIO);
	assert_int_equal(world_tell("hits\n"), 4);
	assert_int_equal(s3_head(client.s3, "upload-fails", &result), -ENOENT);
	assert_int_equal(s3_abort_leftovers(client.s3, NULL, time(NULL) + 3600, &aborted, &result), 0);
	assert_int_equal(aborted, 0);
	/* A range of a read: damage of the whole is found, and read once more. */
	world_fault("clip", 1, "GET ");
	assert_int_equal(s3_read(client.s3, &get, &result), 0);
	assert_memory_equal(back, big, len);
	free(big);
	free(back);
}

/* A listing whose pages lead back to themselves is no reason to ask for ever. */
static void circle(void **state)
{
	struct s3_result result;
	unsigned int aborted;

	(void)state;
	world_fault("circle:uploads", MANY, "?");
	assert_int_equal(s3_abort_leftovers(client.s3, NULL, time(NULL), &aborted, &result), -EPROTO);
	assert_non_null(strstr(result.fault.text, "does not end"));
	assert_int_equal(world_tell("hits\n"), 2);
}

static void the_clock(void **state)
{
	struct s3_result result;

	(void)state;
	world_put(client.s3, "object", data, SIZE, 0);
	world_fault("skew:700", 1, "GET ");
	assert_int_equal(run(GET, &result), 0);
	assert_int_equal(result.attempts, 2);
	/* A server that never agrees does not keep anybody. */
	world_fault("skew:90000", MANY, "GET ");
	assert_int_equal(run(GET, &result), -ETIME);
	assert_int_equal(result.attempts, 2);
}

static void less(void **state)
{
	struct world_count count = { 0 };
	struct s3_result result;
	struct s3_stats before, stats;
	char key[16];
	unsigned int i;

	(void)state;
	world_put(client.s3, "object", data, SIZE, 0);
	s3_stats(client.s3, &before);
	/* Retry-After is kept to, in whole seconds. */
	world_fault("status:503:SlowDown:1", 1, "GET ");
	i = (unsigned int)time(NULL);
	assert_int_equal(run(GET, &result), 0);
	assert_true((unsigned int)time(NULL) > i);
	world_fault("status:503:SlowDown", 8, "PUT ");
	for (i = 0; i < 100; i++) {
		struct s3_put put = { .key = key, .data = data, .len = 1000, .fd = -1 };

		snprintf(key, sizeof(key), "less-%u", i);
		assert_int_equal(s3_put_start(client.s3, &put, world_counted, &count), 0);
	}
	world_wait(&count, 100);
	assert_int_equal(count.failed, 0);
	s3_stats(client.s3, &stats);
	assert_true(stats.slowed >= 1);
	/* What was refused was not taken. */
	assert_int_equal(stats.taken - before.taken, 100 * 1000);
	assert_true(stats.sent - before.sent >= stats.taken - before.taken);
}

/* A server that is gone is asked by one at a time, and all goes on when it is back. */
static void breaker(void **state)
{
	struct s3_settings set = through_proxy();
	struct world_count count = { 0 };
	struct world_client broken;
	struct s3_stats stats;
	unsigned int i, hits;

	(void)state;
	set.breaker = 5;
	set.open_ms = 300;
	set.attempts = 1000;
	broken = world_open(&set);
	world_fault("drop-request", MANY, "HEAD ");
	for (i = 0; i < 50; i++)
		assert_int_equal(s3_head_start(broken.s3, "never-there", world_counted, &count), 0);
	do {
		usleep(1000);
		s3_stats(broken.s3, &stats);
	} while (stats.opened < 3);
	hits = world_tell("hits\n");
	s3_stats(broken.s3, &stats);
	/* Those that were under way when it opened, and a probe for each opening after. */
	assert_in_range(hits, 5, 16 + 5 + stats.opened);
	world_fault("none", 0, "");
	world_wait(&count, 50);
	assert_int_equal(count.error, -ENOENT);
	s3_stats(broken.s3, &stats);
	world_close(&broken);
	/* What cannot be tried before its deadline is not kept until then. */
	set.open_ms = 60000;
	set.deadline_ms = 15000;
	broken = world_open(&set);
	world_fault("drop-request", MANY, "HEAD ");
	memset(&count, 0, sizeof(count));
	for (i = 0; i < 50; i++)
		assert_int_equal(s3_head_start(broken.s3, "never-there", world_counted, &count), 0);
	world_wait(&count, 50);
	assert_int_equal(count.failed, 50);
	assert_in_range(world_tell("hits\n"), 5, 16 + 5);
	world_close(&broken);
}

struct order {
	atomic_uint *next;
	unsigned int at;
	atomic_uint *ended;
};

static void in_order(void *ctx, const struct s3_result *result)
{
	struct order *o = ctx;

	assert_int_equal(result->error, 0);
	o->at = atomic_fetch_add(o->next, 1);
	atomic_fetch_add(o->ended, 1);
}

/* What goes first does not wait for all that came before it. */
static void first(void **state)
{
	struct s3_settings set = through_proxy();
	atomic_uint next = 0, ended = 0;
	struct order order[20];
	struct world_client one;
	unsigned int i;

	(void)state;
	set.concurrency = 1;
	one = world_open(&set);
	world_fault("delay:2000", 1, "PUT ");
	for (i = 0; i < 20; i++) {
		struct s3_put put = { .key = "first", .data = data, .len = 1000, .fd = -1, .first = i >= 18 };

		order[i] = (struct order){ .next = &next, .ended = &ended };
		assert_int_equal(s3_put_start(one.s3, &put, in_order, &order[i]), 0);
		/* The others come while it is under way. */
		while (!i && !world_tell("hits\n"))
			usleep(1000);
	}
	while (atomic_load(&ended) < 20)
		usleep(1000);
	world_fault("none", 0, "");
	/* In their own order, too. */
	assert_true(order[18].at < order[19].at);
	assert_true(order[19].at < order[17].at);
	for (i = 1; i < 18; i++)
		assert_true(order[i - 1].at < order[i].at);
	world_close(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_client, close_client)
		TEST(every_fault), TEST(twice), TEST(lost_answer), TEST(uploads), TEST(circle), TEST(the_clock), TEST(less),
		TEST(breaker), TEST(first),
	};

	cmocka_set_test_filter(getenv("NEXUS_TESTS"));
	return cmocka_run_group_tests_name("s3-faults", tests, begin, world_end);
}
