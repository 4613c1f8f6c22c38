// SPDX-License-Identifier: Apache-2.0
/*
 * A mapped ring: what each call returns, whatever the other side writes, and two real
 * threads through memory that is mapped twice in a row.  Every order of a few messages
 * is tests/unit/sched.
 */
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/spsc.h"
#include "util.h"

#define SIZE	4096u

static struct nexus_spsc_side producer, consumer;
static u8 *data;
static struct nexus_spsc p, c;

static void map_twice(void)
{
	int fd = memfd_create("data", 0);
	int i;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	data = mmap(NULL, 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(data != MAP_FAILED);
	for (i = 0; i < 2; i++)
		assert_true(mmap(data + i * SIZE, SIZE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED);
	close(fd);
}

static void both(u64 pos, u64 capacity)
{
	memset(&producer, 0, sizeof(producer));
	memset(&consumer, 0, sizeof(consumer));
	producer.pos = consumer.pos = pos;
	producer.payload = consumer.payload = pos / 2;
	assert_int_equal(nexus_spsc_attach(&p, true, &producer, &consumer, data, SIZE, capacity), 0);
	assert_int_equal(nexus_spsc_attach(&c, false, &consumer, &producer, data, SIZE, capacity), 0);
}

static void fill(void *to, u32 len, u64 i)
{
	memset(to, (int)(i * 7 + len), len);
}

static void expect(const void *at, u32 len, u64 i)
{
	const u8 *b = at;
	u32 k;

	for (k = 0; k < len; k++)
		if (b[k] != (u8)(i * 7 + len))
			fail_msg("byte %u of message %llu", k, i);
}

/* All lengths, from all places, also where the positions end. */
static void test_lengths(void **state)
{
	static const u64 begin[] = { 0, 8, SIZE - 8, SIZE - 16, 1ull << 32, 0 - 64ull, 0 - 8ull };
	const void *at;
	size_t b;
	void *to;
	u32 len, got;

	(void)state;
	for (b = 0; b < sizeof(begin) / sizeof(begin[0]); b++) {
		both(begin[b], SIZE - 8);
		for (len = 1; len <= SIZE - 8; len++) {
			assert_int_equal(nexus_spsc_peek(&c, &at, &got), -EAGAIN);
			assert_int_equal(nexus_spsc_reserve(&p, len, &to), 0);
			fill(to, len, len);
			nexus_spsc_commit(&p, len);
			assert_int_equal(nexus_spsc_peek(&c, &at, &got), 0);
			assert_int_equal(got, len);
			expect(at, len, len);
			nexus_spsc_consume(&c);
		}
	}
	assert_int_equal(nexus_spsc_reserve(&p, 0, &to), -EINVAL);
	assert_int_equal(nexus_spsc_reserve(&p, SIZE - 7, &to), -EMSGSIZE);
	/* Less than was reserved. */
	assert_int_equal(nexus_spsc_reserve(&p, 100, &to), 0);
	nexus_spsc_commit(&p, 9);
	assert_int_equal(nexus_spsc_peek(&c, &at, &got), 0);
	assert_int_equal(got, 9);
}

static void test_full(void **state)
{
	void *to;
	const void *at;
	u32 n, got, capacity;

	(void)state;
	/* By payload, then by space. */
	for (capacity = 100; capacity <= 2000; capacity += 1900) {
		both(0, capacity);
		for (n = 0; nexus_spsc_reserve(&p, 1, &to) == 0; n++)
			nexus_spsc_commit(&p, 1);
		assert_int_equal(n, NEXUS_MIN(capacity, SIZE / 16));
		assert_int_equal(nexus_spsc_reserve(&p, 1, &to), -EAGAIN);
		assert_int_equal(nexus_spsc_peek(&c, &at, &got), 0);
		assert_int_equal(nexus_spsc_reserve(&p, 1, &to), -EAGAIN);
		nexus_spsc_consume(&c);
		assert_int_equal(nexus_spsc_reserve(&p, 2, &to), capacity == 100 ? -EAGAIN : 0);
		assert_int_equal(nexus_spsc_reserve(&p, 1, &to), 0);
		nexus_spsc_commit(&p, 1);
		while (nexus_spsc_peek(&c, &at, &got) == 0)
			nexus_spsc_consume(&c);
		assert_int_equal(producer.pos, consumer.pos);
		assert_int_equal(producer.payload, consumer.payload);
	}
}

/* A side goes on where another left off. */
static void test_attach(void **state)
{
	void *to;
	const void *at;
	u32 got;

	(void)state;
	both(24, 100);
	assert_int_equal(nexus_spsc_reserve(&p, 60, &to), 0);
	fill(to, 60, 1);
	nexus_spsc_commit(&p, 60);
	assert_int_equal(nexus_spsc_attach(&p, true, &producer, &consumer, data, SIZE, 100), 0);
	assert_int_equal(nexus_spsc_reserve(&p, 60, &to), -EAGAIN);
	assert_int_equal(nexus_spsc_reserve(&p, 40, &to), 0);
	assert_int_equal(nexus_spsc_attach(&c, false, &consumer, &producer, data, SIZE, 100), 0);
	assert_int_equal(nexus_spsc_peek(&c, &at, &got), 0);
	expect(at, 60, 1);
	/* Amid a message: it is still there. */
	assert_int_equal(nexus_spsc_attach(&c, false, &consumer, &producer, data, SIZE, 100), 0);
	assert_int_equal(nexus_spsc_peek(&c, &at, &got), 0);
	assert_int_equal(got, 60);
	producer.pos += 4;
	assert_int_equal(nexus_spsc_attach(&p, true, &producer, &consumer, data, SIZE, 100), -EUCLEAN);
	assert_int_equal(nexus_spsc_attach(&c, false, &consumer, &producer, data, SIZE, 100), -EUCLEAN);
	producer.pos = consumer.pos + SIZE + 8;
	assert_int_equal(nexus_spsc_attach(&p, true, &producer, &consumer, data, SIZE, 100), -EUCLEAN);
	assert_int_equal(nexus_spsc_attach(&c, false, &consumer, &producer, data, SIZE, 100), -EUCLEAN);
}

static const u64 odd[] = {
	1, 4, 7, 8, 16, 64, SIZE - 8, SIZE, SIZE + 8, 2 * SIZE, 1ull << 31, 1ull << 32,
	1ull << 63, 0 - 8ull, 0 - 16ull, 0 - (u64)SIZE, 0 - 1ull,
};

/* The consumer reads what a producer scribbled: a position, or a length. */
static void test_bad_head(void **state)
{
	const void *at;
	size_t i, j;
	u32 got;
	u64 pos;

	(void)state;
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		both(1024, SIZE - 8);
		memset(data, 0, SIZE);
		producer.pos += odd[i];
		/* There is no message of no length, wherever it is said to be. */
		assert_int_equal(nexus_spsc_peek(&c, &at, &got), -EUCLEAN);
		producer.pos = consumer.pos;
		assert_int_equal(nexus_spsc_peek(&c, &at, &got), -EUCLEAN);
	}
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		for (j = 0; j < sizeof(odd) / sizeof(odd[0]); j++) {
			bool fits = odd[i] % 8 == 0 && odd[i] <= SIZE && odd[j] <= SIZE - 8 &&
				nexus_spsc_space((u32)odd[j]) <= odd[i];

			both(1024, SIZE - 8);
			producer.pos += odd[i];
			memcpy(data + 1024, &odd[j], 8);
			assert_int_equal(nexus_spsc_peek(&c, &at, &got), fits ? 0 : -EUCLEAN);
			if (!fits)
				continue;
			assert_int_equal(got, odd[j]);
			/* Read once: what it becomes later is not looked at. */
			memset(data + 1024, 0xff, 8);
			assert_int_equal(nexus_spsc_peek(&c, &at, &got), 0);
			assert_int_equal(got, odd[j]);
			nexus_spsc_consume(&c);
			assert_int_equal(consumer.pos, 1024 + nexus_spsc_space((u32)odd[j]));
		}
	/* Back. */
	both(1024, SIZE - 8);
	producer.pos += 256;
	pos = 8;
	memcpy(data + 1024, &pos, 8);
	assert_int_equal(nexus_spsc_peek(&c, &at, &got), 0);
	nexus_spsc_consume(&c);
	producer.pos = 1024 + 16;
	memcpy(data + 1040, &pos, 8);
	/* It saw 256 bytes, all of which it goes through. */
	for (i = 0; i < 15; i++) {
		memcpy(data + consumer.pos, &pos, 8);
		assert_int_equal(nexus_spsc_peek(&c, &at, &got), 0);
		nexus_spsc_consume(&c);
	}
	assert_int_equal(nexus_spsc_peek(&c, &at, &got), -EUCLEAN);
}

/* The producer reads what a consumer scribbled. */
static void test_bad_tail(void **state)
{
	size_t i, payload;
	void *to;

	(void)state;
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		for (payload = 0; payload < 2; payload++) {
			u64 *what = payload ? &consumer.payload : &consumer.pos;
			u64 sent = payload ? 2000 : 2008;
			bool fits = odd[i] <= sent && (payload || odd[i] % 8 == 0);
			u64 at, room;
			int ret;

			both(1024, 2000);
			assert_int_equal(nexus_spsc_reserve(&p, 2000, &to), 0);
			nexus_spsc_commit(&p, 2000);
			consumer.pos = producer.pos;
			consumer.payload = producer.payload;
			*what += odd[i] - sent;
			at = consumer.pos;
			room = 2000 - (producer.payload - consumer.payload);
			ret = nexus_spsc_reserve(&p, 2000, &to);
			if (!fits) {
				assert_int_equal(ret, -EUCLEAN);
				*what = payload ? producer.payload : producer.pos;
				assert_int_equal(nexus_spsc_reserve(&p, 1, &to), -EUCLEAN);
				continue;
			}
			assert_int_equal(ret, room >= 2000 && SIZE - (producer.pos - at) >= 2008 ?
					 0 : -EAGAIN);
			/* Back, once it was seen. */
			*what -= 8;
			p.held = 0;
			while ((ret = nexus_spsc_reserve(&p, 8, &to)) == 0)
				nexus_spsc_commit(&p, 8);
			assert_int_equal(ret, -EUCLEAN);
		}
}

static u64 turns = 200000;

static void sleep_on(const struct nexus_spsc *r)
{
	u32 value;
	const u32 *word = nexus_spsc_word(r, &value);

	syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void wake(const struct nexus_spsc *r)
{
	if (nexus_spsc_must_wake(r))
		syscall(SYS_futex, &r->mine->pos, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static u32 length(u64 i)
{
	return (u32)(1 + i * 2654435761u % 700);
}

static void *produce(void *arg)
{
	u64 i;
	void *to;

	(void)arg;
	for (i = 0; i < turns; i++) {
		int ret = nexus_spsc_reserve(&p, length(i), &to);

		if (ret == -EAGAIN) {
			nexus_spsc_doze(&p);
			while ((ret = nexus_spsc_reserve(&p, length(i), &to)) == -EAGAIN)
				sleep_on(&p);
			nexus_spsc_awake(&p);
		}
		if (ret)
			abort();
		fill(to, length(i), i);
		nexus_spsc_commit(&p, length(i));
		wake(&p);
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t thread;
	const void *at;
	u32 got;
	u64 i;

	(void)state;
	both(0 - (u64)SIZE * 10, 2000);
	assert_int_equal(pthread_create(&thread, NULL, produce, NULL), 0);
	for (i = 0; i < turns; i++) {
		int ret = nexus_spsc_peek(&c, &at, &got);

		if (ret == -EAGAIN) {
			nexus_spsc_doze(&c);
			while ((ret = nexus_spsc_peek(&c, &at, &got)) == -EAGAIN)
				sleep_on(&c);
			nexus_spsc_awake(&c);
		}
		assert_int_equal(ret, 0);
		assert_int_equal(got, length(i));
		expect(at, got, i);
		nexus_spsc_consume(&c);
		wake(&c);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(nexus_spsc_peek(&c, &at, &got), -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_attach),
		cmocka_unit_test(test_bad_head),
		cmocka_unit_test(test_bad_tail),
		cmocka_unit_test(test_threads),
	};

	map_twice();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
