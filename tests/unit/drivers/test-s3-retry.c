// SPDX-License-Identifier: Apache-2.0
/* When the S3 client tries again, and how many requests it has at once: with a clock of the test's. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/objectstore/s3/retry.h"

static uint64_t seed;

static uint64_t any(void *ctx, uint64_t bound)
{
	(void)ctx;
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % bound;
}

static uint64_t least(void *ctx, uint64_t bound)
{
	(void)ctx;
	(void)bound;
	return 0;
}

static uint64_t most(void *ctx, uint64_t bound)
{
	(void)ctx;
	return bound - 1;
}

static void pauses(void **state)
{
	static const struct {
		unsigned int failed;
		int64_t after, deadline;
		int64_t least, most;	/* when; -1: not again */
	} rows[] = {
		{ 1, 0, INT64_MAX, 1000, 1100 },
		{ 2, 0, INT64_MAX, 1000, 1200 },
		{ 3, 0, INT64_MAX, 1000, 1400 },
		{ 6, 0, INT64_MAX, 1000, 4200 },
		{ 7, 0, INT64_MAX, 1000, 6000 },	/* the cap */
		{ 9, 0, INT64_MAX, 1000, 6000 },
		{ 10, 0, INT64_MAX, -1, -1 },		/* the attempts */
		{ 11, 0, INT64_MAX, -1, -1 },
		{ 1, 3000, INT64_MAX, 4000, 4100 },	/* Retry-After */
		{ 1, 3000, 4000, -1, -1 },
		{ 1, 0, 1100, 1000, -1 },		/* the deadline */
		{ 1, 0, 1101, 1000, 1100 },
		{ 1, 0, 1000, -1, -1 },
		{ 1, 0, 500, -1, -1 },
		{ 1, S3_RETRY_AFTER_MAX, INT64_MAX, 1000 + S3_RETRY_AFTER_MAX, 1100 + S3_RETRY_AFTER_MAX },
	};
	struct s3_retry retry = { .base_ms = 100, .cap_ms = 5000, .attempts = 10 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		retry.random = least;
		assert_int_equal(s3_retry_next(&retry, rows[i].failed, rows[i].after, 1000, rows[i].deadline), rows[i].least);
		retry.random = most;
		assert_int_equal(s3_retry_next(&retry, rows[i].failed, rows[i].after, 1000, rows[i].deadline), rows[i].most);
	}
}

/* Whatever the numbers: within the bounds, and spread over all of them. */
static void jitter(void **state)
{
	unsigned int i, low = 0, high = 0;

	(void)state;
	seed = 1;
	for (i = 0; i < 100000; i++) {
		struct s3_retry retry = { 1 + (int64_t)any(NULL, 1000), 1 + (int64_t)any(NULL, 100000),
					  1 + (unsigned int)any(NULL, 100), any, NULL };
		unsigned int failed = 1 + (unsigned int)any(NULL, 120);
		int64_t after = (int64_t)any(NULL, 3) * 1000, now = (int64_t)any(NULL, 1000000);
		int64_t deadline = now + (int64_t)any(NULL, 200000);
		int64_t at = s3_retry_next(&retry, failed, after, now, deadline);

		if (failed >= retry.attempts)
			assert_int_equal(at, -1);
		if (at == -1)
			continue;
		assert_true(at >= now + after && at < deadline && at <= now + after + retry.cap_ms);
	}
	for (i = 0; i < 1000; i++) {
		struct s3_retry retry = { 1000, 100000, 9, any, NULL };
		int64_t at = s3_retry_next(&retry, 1, 0, 0, INT64_MAX);

		low += at < 250;
		high += at > 750;
	}
	assert_true(low > 150 && low < 350 && high > 150 && high < 350);
}

static void retry_after(void **state)
{
	static const struct {
		const char *value;
		int64_t ms;
	} rows[] = {
		{ "", 0 }, { "0", 0 }, { "1", 1000 }, { " 120", 120000 }, { "120 ", 120000 }, { "999999", S3_RETRY_AFTER_MAX },
		{ "99999999999999999999999", S3_RETRY_AFTER_MAX }, { "-5", 0 }, { "5x", 0 }, { "soon", 0 },
		{ "Sun, 06 Nov 1994 08:49:37 GMT", 7000 }, { "Sun, 06 Nov 1994 08:49:30 GMT", 0 },
		{ "Sun, 06 Nov 1994 08:49:29 GMT", 0 }, { "Sun, 06 Nov 2094 08:49:37 GMT", S3_RETRY_AFTER_MAX },
		{ "Sun, 06 Nov 1994 08:49:37 GMTx", 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(s3_retry_after(rows[i].value, 784111770), rows[i].ms);
}

static const struct s3_gate_settings settings = {
	.most = 8, .calm_ms = 500, .failures = 3, .open_ms = 1000, .open_max_ms = 4000, .random = least,
};

/* Starts and ends one at @now. */
static void once(struct s3_gate *gate, int64_t now, enum s3_verdict verdict)
{
	struct s3_ticket ticket;

	assert_true(s3_gate_start(gate, now, &ticket));
	s3_gate_end(gate, now, &ticket, verdict);
}

static void at_once(void **state)
{
	struct s3_ticket tickets[8], ticket;
	struct s3_gate gate;
	unsigned int i, rounds;

	(void)state;
	s3_gate_init(&gate, &settings);
	for (i = 0; i < 8; i++)
		assert_true(s3_gate_start(&gate, 0, &tickets[i]));
	assert_false(s3_gate_start(&gate, 0, &ticket));
	assert_int_equal(s3_gate_wake(&gate, 0), INT64_MAX);
	/* All eight say that it is too much: that is one lowering. */
	for (i = 0; i < 8; i++)
		s3_gate_end(&gate, 10, &tickets[i], S3_VERDICT_SLOW);
	assert_int_equal(s3_gate_limit(&gate), 4);
	once(&gate, 509, S3_VERDICT_SLOW);
	assert_int_equal(s3_gate_limit(&gate), 4);
	once(&gate, 510, S3_VERDICT_SLOW);
	assert_int_equal(s3_gate_limit(&gate), 2);
	once(&gate, 2000, S3_VERDICT_SLOW);
	once(&gate, 4000, S3_VERDICT_SLOW);
	once(&gate, 6000, S3_VERDICT_SLOW);
	assert_int_equal(s3_gate_limit(&gate), 1);
	assert_true(s3_gate_start(&gate, 6000, &ticket));
	assert_false(s3_gate_start(&gate, 6000, &tickets[0]));
	s3_gate_end(&gate, 6000, &ticket, S3_VERDICT_NONE);
	/* It grows by about one a round, and not beyond. */
	for (rounds = 1; rounds <= 7; rounds++) {
		for (i = 0; i < rounds + 1; i++)
			once(&gate, 7000, S3_VERDICT_GOOD);
		assert_in_range(s3_gate_limit(&gate), rounds, rounds + 2);
	}
	for (i = 0; i < 100; i++)
		once(&gate, 7000, S3_VERDICT_GOOD);
	assert_int_equal(s3_gate_limit(&gate), 8);
	assert_int_equal(gate.active, 0);
}

static void circuit(void **state)
{
	struct s3_ticket probe, late, ticket;
	struct s3_gate gate;

	(void)state;
	s3_gate_init(&gate, &settings);
	/* A good one in between, and it is no row. */
	once(&gate, 0, S3_VERDICT_BAD);
	once(&gate, 0, S3_VERDICT_BAD);
	once(&gate, 0, S3_VERDICT_GOOD);
	once(&gate, 0, S3_VERDICT_BAD);
	once(&gate, 0, S3_VERDICT_BAD);
	assert_int_equal(gate.circuit, S3_CLOSED);
	assert_true(s3_gate_start(&gate, 0, &late));
	once(&gate, 100, S3_VERDICT_BAD);
	assert_int_equal(gate.circuit, S3_OPEN);
	assert_int_equal(gate.opened, 1);
	/* Nobody before its time; one then; a late answer of before counts for nothing. */
	assert_int_equal(s3_gate_wake(&gate, 200), 1100);
	assert_false(s3_gate_start(&gate, 1099, &ticket));
	s3_gate_end(&gate, 1099, &late, S3_VERDICT_GOOD);
	assert_int_equal(gate.circuit, S3_OPEN);
	assert_true(s3_gate_start(&gate, 1100, &probe));
	assert_int_equal(gate.circuit, S3_HALF_OPEN);
	assert_false(s3_gate_start(&gate, 1100, &ticket));
	assert_int_equal(s3_gate_wake(&gate, 1100), INT64_MAX);
	/* It fails: twice the time, four times, and no more. */
	s3_gate_end(&gate, 1100, &probe, S3_VERDICT_BAD);
	assert_int_equal(s3_gate_wake(&gate, 1100), 3100);
	assert_true(s3_gate_start(&gate, 3100, &probe));
	s3_gate_end(&gate, 3100, &probe, S3_VERDICT_BAD);
	assert_int_equal(s3_gate_wake(&gate, 3100), 7100);
	assert_true(s3_gate_start(&gate, 7100, &probe));
	s3_gate_end(&gate, 7100, &probe, S3_VERDICT_BAD);
	assert_int_equal(s3_gate_wake(&gate, 7100), 11100);
	/* One that tells nothing: another may at once. */
	assert_true(s3_gate_start(&gate, 11100, &probe));
	s3_gate_end(&gate, 11100, &probe, S3_VERDICT_NONE);
	assert_true(s3_gate_start(&gate, 11100, &probe));
	s3_gate_end(&gate, 11100, &probe, S3_VERDICT_GOOD);
	assert_int_equal(gate.circuit, S3_CLOSED);
	/* Not all at once at what is just back. */
	assert_int_equal(s3_gate_limit(&gate), 1);
	/* The next time it begins with the short pause. */
	once(&gate, 20000, S3_VERDICT_BAD);
	once(&gate, 20000, S3_VERDICT_BAD);
	once(&gate, 20000, S3_VERDICT_BAD);
	assert_int_equal(s3_gate_wake(&gate, 20000), 21000);
	assert_int_equal(gate.active, 0);
}

/* Any order of events: never more than the limit, never stuck, the count is right. */
static void any_order(void **state)
{
	struct s3_gate_settings set = settings;
	struct s3_ticket open[8];
	struct s3_gate gate;
	unsigned int n = 0, i;
	int64_t now = 0;

	(void)state;
	set.random = any;
	seed = 7;
	s3_gate_init(&gate, &set);
	for (i = 0; i < 200000; i++) {
		now += (int64_t)any(NULL, 50);
		if (n < 8 && any(NULL, 2)) {
			unsigned int limit = s3_gate_limit(&gate);
			enum s3_circuit before = gate.circuit;

			if (s3_gate_start(&gate, now, &open[n])) {
				assert_true(before == S3_OPEN || (before == S3_CLOSED && n < limit));
				n++;
			} else if (!n) {
				/* Nothing will end: time alone has to help. */
				assert_int_equal(gate.circuit, S3_OPEN);
				assert_true(s3_gate_wake(&gate, now) <= now + set.open_max_ms);
			}
		} else if (n) {
			unsigned int which = (unsigned int)any(NULL, n);
			struct s3_ticket ticket = open[which];

			open[which] = open[--n];
			s3_gate_end(&gate, now, &ticket, (enum s3_verdict)any(NULL, 4));
		}
		assert_int_equal(gate.active, n);
		assert_in_range(s3_gate_limit(&gate), 1, 8);
	}
	assert_true(gate.opened > 100 && gate.lowered > 100);
}

/* Over any stretch no more than the rate and one burst. */
static void rate(void **state)
{
	struct s3_rate limit;
	uint64_t taken = 0;
	int64_t now = 5000;
	unsigned int i;

	(void)state;
	seed = 3;
	s3_rate_init(&limit, 0, now);
	assert_int_equal(s3_rate_take(&limit, now, 1u << 30), 1u << 30);
	assert_true(s3_rate_owe(&limit, now, 1u << 30));
	s3_rate_init(&limit, 1000000, now);
	assert_int_equal(s3_rate_take(&limit, now, 100), 0);
	for (i = 0; i < 100000; i++) {
		now += (int64_t)any(NULL, 20);
		taken += s3_rate_take(&limit, now, any(NULL, 50000));
		assert_true(taken <= (uint64_t)(now - 5000) * 1000 + 125000);
	}
	/* Enough was asked for: hardly less, either. */
	assert_true(taken >= (uint64_t)(now - 5000) * 1000 * 9 / 10);
	s3_rate_init(&limit, 1000000, 0);
	assert_true(s3_rate_owe(&limit, 100, 300000));
	assert_false(s3_rate_owe(&limit, 299, 1));
	assert_true(s3_rate_owe(&limit, 301, 1));
	/* A long sleep fills one burst. */
	assert_int_equal(s3_rate_take(&limit, 1000000000, 10000000), 125000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pauses), cmocka_unit_test(jitter), cmocka_unit_test(retry_after),
		cmocka_unit_test(at_once), cmocka_unit_test(circuit), cmocka_unit_test(any_order), cmocka_unit_test(rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
