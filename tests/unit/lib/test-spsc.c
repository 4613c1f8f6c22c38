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

/* @units of the ring and @bytes of payload further, or back. */
static u64 moved(u64 at, u32 units, u32 bytes)
{
	return nexus_spsc_at((u32)at + units, (u32)(at >> 32) + bytes);
}

static void both(u64 pos, u64 capacity)
{
	memset(&producer, 0, sizeof(producer));
	memset(&consumer, 0, sizeof(consumer));
	producer.at = consumer.at = nexus_spsc_at((u32)(pos / 8), (u32)(pos / 2));
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
		assert_int_equal(producer.at, consumer.at);
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
	producer.at = moved(consumer.at, SIZE / 8 + 1, 0);
	assert_int_equal(nexus_spsc_attach(&p, true, &producer, &consumer, data, SIZE, 100), -EUCLEAN);
	assert_int_equal(nexus_spsc_attach(&c, false, &consumer, &producer, data, SIZE, 100), -EUCLEAN);
}

/* Of the ring in units, or of payload. */
static const u32 odd[] = {
	1, 2, 3, 8, SIZE / 8 - 1, SIZE / 8, SIZE / 8 + 1, 2000, 2001, SIZE, 1u << 28, 1u << 31,
	0 - 1u, 0 - 2u, 0 - SIZE / 8, 0 - SIZE,
};

static const u64 lengths[] = {
	0, 1, 8, 16, 64, SIZE - 8, SIZE, SIZE + 8, 1ull << 31, 1ull << 32, (1ull << 32) + 8,
	1ull << 63, 0 - 8ull, 0 - 1ull,
};

/* The consumer reads what a producer scribbled: a position, or a length. */
static void test_bad_head(void **state)
{
	const void *at;
	size_t i, j;
	u32 got;
	u64 len;

	(void)state;
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		both(1024, SIZE - 8);
		memset(data, 0, SIZE);
		producer.at = moved(producer.at, odd[i], 0);
		/* There is no message of no length, wherever it is said to be. */
		assert_int_equal(nexus_spsc_peek(&c, &at, &got), -EUCLEAN);
		producer.at = consumer.at;
		assert_int_equal(nexus_spsc_peek(&c, &at, &got), -EUCLEAN);
	}
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		for (j = 0; j < sizeof(lengths) / sizeof(lengths[0]); j++) {
			bool fits = odd[i] <= SIZE / 8 && lengths[j] && lengths[j] <= SIZE - 8 &&
				nexus_spsc_space((u32)lengths[j]) / 8 <= odd[i];

			both(1024, SIZE - 8);
			producer.at = moved(producer.at, odd[i], 0);
			memcpy(data + 1024, &lengths[j], 8);
			assert_int_equal(nexus_spsc_peek(&c, &at, &got), fits ? 0 : -EUCLEAN);
			if (!fits)
				continue;
			assert_int_equal(got, lengths[j]);
			/* Read once: what it becomes later is not looked at. */
			memset(data + 1024, 0xff, 8);
			assert_int_equal(nexus_spsc_peek(&c, &at, &got), 0);
			assert_int_equal(got, lengths[j]);
			nexus_spsc_consume(&c);
			assert_int_equal((u32)consumer.at, 128 + nexus_spsc_space(got) / 8);
		}
	/* Back. */
	both(1024, SIZE - 8);
	producer.at = moved(producer.at, 32, 0);
	len = 8;
	memcpy(data + 1024, &len, 8);
	assert_int_equal(nexus_spsc_peek(&c, &at, &got), 0);
	nexus_spsc_consume(&c);
	producer.at = moved(consumer.at, 0, 0);
	/* It saw 32 units, all of which it goes through. */
	for (i = 0; i < 15; i++) {
		memcpy(data + (u32)consumer.at * 8, &len, 8);
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
			/* All that was sent but so much. */
			u32 sent = payload ? 2000 : 251, back = sent - odd[i];
			bool fits = odd[i] <= sent;
			int ret;

			both(1024, 2000);
			assert_int_equal(nexus_spsc_reserve(&p, 2000, &to), 0);
			nexus_spsc_commit(&p, 2000);
			consumer.at = moved(producer.at, payload ? 0 : 0 - back,
					    payload ? 0 - back : 0);
			ret = nexus_spsc_reserve(&p, 2000, &to);
			if (!fits) {
				assert_int_equal(ret, -EUCLEAN);
				consumer.at = producer.at;
				assert_int_equal(nexus_spsc_reserve(&p, 1, &to), -EUCLEAN);
				continue;
			}
			assert_int_equal(ret, payload ? back ? -EAGAIN : 0 :
					 SIZE / 8 - back >= 251 ? 0 : -EAGAIN);
			/* Back, once it was seen. */
			consumer.at = moved(consumer.at, payload ? 0 : 0 - 1u, payload ? 0 - 1u : 0);
			p.held = 0;
			while ((ret = nexus_spsc_reserve(&p, 8, &to)) == 0)
				nexus_spsc_commit(&p, 8);
			assert_int_equal(ret, -EUCLEAN);
		}
}

/* Who dozes is woken once, for what it does not know of. */
static void test_wakes(void **state)
{
	const void *at;
	void *to;
	u32 got;
	int i;

	(void)state;
	both(0, 100);
	for (i = 0; i < 10; i++) {
		assert_int_equal(nexus_spsc_peek(&c, &at, &got), -EAGAIN);
		nexus_spsc_doze(&c);
		assert_false(nexus_spsc_must_wake(&p));
		assert_int_equal(nexus_spsc_reserve(&p, 40, &to), 0);
		nexus_spsc_commit(&p, 40);
		assert_true(nexus_spsc_must_wake(&p));
		assert_int_equal(nexus_spsc_reserve(&p, 40, &to), 0);
		nexus_spsc_commit(&p, 40);
		assert_false(nexus_spsc_must_wake(&p));
		assert_int_equal(nexus_spsc_reserve(&p, 40, &to), -EAGAIN);
		/* Not while less than a quarter is free, but it is with the next one. */
		nexus_spsc_doze_lazily(&p);
		assert_int_equal(nexus_spsc_peek(&c, &at, &got), 0);
		nexus_spsc_awake(&c);
		assert_false(nexus_spsc_must_wake(&c));
		if (i % 2)
			nexus_spsc_doze(&p);
		nexus_spsc_consume(&c);
		assert_true(nexus_spsc_must_wake(&c));
		assert_int_equal(nexus_spsc_peek(&c, &at, &got), 0);
		nexus_spsc_consume(&c);
		assert_false(nexus_spsc_must_wake(&c));
		nexus_spsc_awake(&p);
		assert_int_equal(nexus_spsc_attach(&p, true, &producer, &consumer, data, SIZE, 100), 0);
		if (i % 3)
			assert_int_equal(nexus_spsc_attach(&c, false, &consumer, &producer, data,
							   SIZE, 100), 0);
	}
	/* A quarter. */
	both(0, 100);
	for (i = 0; i < 10; i++) {
		assert_int_equal(nexus_spsc_reserve(&p, 10, &to), 0);
		nexus_spsc_commit(&p, 10);
	}
	nexus_spsc_doze_lazily(&p);
	for (i = 0; i < 10; i++) {
		assert_int_equal(nexus_spsc_peek(&c, &at, &got), 0);
		nexus_spsc_consume(&c);
		assert_int_equal(nexus_spsc_must_wake(&c), i == 2);
	}
}

/* A producer that says of an empty ring that there is payload in it. */
static void test_bad_payload(void **state)
{
	const void *at;
	u32 got;

	(void)state;
	both(1024, 100);
	producer.at = moved(producer.at, 0, 1);
	assert_int_equal(nexus_spsc_peek(&c, &at, &got), -EUCLEAN);
}

static u64 turns = 200000;

static void sleep_on(const struct nexus_spsc *r)
{
	/* A futex has 32 bits: those that say where in the ring. */
	syscall(SYS_futex, nexus_spsc_word(r), FUTEX_WAIT, (u32)nexus_spsc_seen(r), NULL, NULL, 0);
}

static void wake(struct nexus_spsc *r)
{
	if (nexus_spsc_must_wake(r))
		syscall(SYS_futex, &r->mine->at, FUTEX_WAKE, 1, NULL, NULL, 0);
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
			while (nexus_spsc_doze(&p),
			       (ret = nexus_spsc_reserve(&p, length(i), &to)) == -EAGAIN)
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
			while (nexus_spsc_doze(&c), (ret = nexus_spsc_peek(&c, &at, &got)) == -EAGAIN)
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
		cmocka_unit_test(test_wakes),
		cmocka_unit_test(test_bad_payload),
		cmocka_unit_test(test_threads),
	};

	map_twice();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
