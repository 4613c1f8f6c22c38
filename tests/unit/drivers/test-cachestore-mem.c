// SPDX-License-Identifier: Apache-2.0
/* The store in this process: its bounds and its clock, against a model. */
#include "cache-world.h"

#include <stdio.h>

#include "drivers/cachestore/common.h"

const struct nexus_cache_driver *driver = &cache_driver_mem;
const bool world_keeps = true;

static uint64_t clock_ms = 1000;

static uint64_t now_ms(void)
{
	return clock_ms;
}

int world_begin(void)
{
	return 0;
}

void world_end(void)
{
}

void world_options(struct nexus_cache_options *options)
{
	options->now_ms = now_ms;
}

void world_pass(uint64_t ms)
{
	clock_ms += ms;
}

static struct nexus_cache *open_with(uint64_t bytes, uint64_t entries)
{
	const struct nexus_cache_options options = {
		.bytes = bytes, .entries = entries, .now_ms = now_ms,
	};

	return open_cache(&options);
}

static struct nexus_cache_stats stats_of(struct nexus_cache *c)
{
	struct nexus_cache_stats st;

	c->ops->stats(c, &st);
	return st;
}

/* To the millisecond. */
static void expiry(void **state)
{
	struct nexus_cache *c = open_with(1u << 20, 100);
	uint64_t ms = 0;

	(void)state;
	assert_int_equal(set(c, "a", "1", 10), 0);
	assert_int_equal(set(c, "b", "2", 0), 0);
	clock_ms += 9;
	expect(c, "a", "1");
	assert_int_equal(nexus_cache_ttl(c, key_of("a"), &ms), 0);
	assert_int_equal(ms, 1);
	assert_int_equal(stats_of(c).expired, 0);
	clock_ms += 1;
	expect(c, "a", NULL);
	assert_int_equal(stats_of(c).expired, 1);
	assert_int_equal(stats_of(c).entries, 1);
	assert_int_equal(nexus_cache_ttl(c, key_of("b"), &ms), 0);
	assert_int_equal(ms, NEXUS_CACHE_TTL_MAX - 10);
	clock_ms += NEXUS_CACHE_TTL_MAX;
	expect(c, "b", NULL);
	/* What is too old already is not counted as deleted. */
	assert_int_equal(set(c, "a", "1", 10), 0);
	assert_int_equal(set(c, "b", "2", 100), 0);
	clock_ms += 10;
	assert_int_equal(nexus_cache_delete_matching(c, pattern_of("*"), &ms), 0);
	assert_int_equal(ms, 1);
	driver->close(c);
}

static void bounds(void **state)
{
	static char large[4096];
	struct nexus_cache *c = open_with(8192, 100);
	struct nexus_cache_stats st;
	char name[16];
	int i;

	(void)state;
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "k%d", i);
		assert_int_equal(nexus_cache_set(c, key_of(name), large, 1000, 0), 0);
		st = stats_of(c);
		assert_true(st.bytes <= 8192);
	}
	/* As many as fit with what it takes to find them, and the newest. */
	assert_int_equal(st.entries, 7);
	assert_int_equal(st.evicted, 43);
	/* What can never fit: not even what it was to replace is there. */
	assert_int_equal(nexus_cache_set(c, key_of("k49"), large, 4096, 0), 0);
	assert_int_equal(nexus_cache_set(c, key_of("k49"), large, sizeof(large), 0), 0);
	driver->close(c);
	c = open_with(2048, 100);
	assert_int_equal(set(c, "a", "small", 0), 0);
	assert_int_equal(set(c, "b", "small", 0), 0);
	assert_int_equal(nexus_cache_set(c, key_of("a"), large, 4096, 0), -ENOSPC);
	expect(c, "a", NULL);
	expect(c, "b", "small");
	driver->close(c);
}

/* ---- against a model ------------------------------------------------------------------- */

#define KEYS	64
#define ROOM	24

struct model {
	bool there;
	unsigned int value;
	uint64_t expires;
	uint64_t used;
};

static uint64_t seed = 88172645463325252ull;

static unsigned int random_below(unsigned int n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned int)((seed >> 16) % n);
}

static unsigned int count(const struct model *m)
{
	unsigned int i, n = 0;

	for (i = 0; i < KEYS; i++)
		n += m[i].there;
	return n;
}

static void model_evict(struct model *m)
{
	unsigned int i, oldest = KEYS;

	for (i = 0; i < KEYS; i++)
		if (m[i].there && (oldest == KEYS || m[i].used < m[oldest].used))
			oldest = i;
	m[oldest].there = false;
}

static void least_recently_used(void **state)
{
	struct nexus_cache *c = open_with(1u << 20, ROOM);
	struct model m[KEYS] = { { 0 } };
	unsigned int i, k;
	uint64_t tick = 0, ttl, ms;
	char name[16], value[16];

	(void)state;
	for (i = 0; i < 200000; i++) {
		k = random_below(KEYS);
		snprintf(name, sizeof(name), "key %u", k);
		tick++;
		if (random_below(5) == 0)
			clock_ms += random_below(4);
		/* It goes when it is met. */
		if (m[k].there && m[k].expires <= clock_ms)
			m[k].there = false;
		switch (random_below(8)) {
		case 0:
		case 1:
		case 2:
			snprintf(value, sizeof(value), "%u", i);
			ttl = random_below(3) ? 1 + random_below(100) : 0;
			assert_int_equal(set(c, name, value, ttl), 0);
			m[k].there = false;
			if (count(m) == ROOM)
				model_evict(m);
			m[k] = (struct model){ true, i, clock_ms + (ttl ? ttl : NEXUS_CACHE_TTL_MAX),
					       tick };
			break;
		case 3:
			assert_int_equal(nexus_cache_delete(c, key_of(name)),
					 m[k].there ? 0 : -ENOENT);
			m[k].there = false;
			break;
		case 4:
			/* To look how old it is, is no use of it. */
			assert_int_equal(nexus_cache_ttl(c, key_of(name), &ms),
					 m[k].there ? 0 : -ENOENT);
			if (m[k].there)
				assert_int_equal(ms, m[k].expires - clock_ms);
			break;
		default:
			snprintf(value, sizeof(value), "%u", m[k].value);
			expect(c, name, m[k].there ? value : NULL);
			m[k].used = tick;
			break;
		}
		assert_int_equal(stats_of(c).entries, count(m));
	}
	assert_true(stats_of(c).evicted > 10000 && stats_of(c).expired > 1000);
	driver->close(c);
}

/* More than the table of buckets begins with. */
static void growing(void **state)
{
	struct nexus_cache *c = open_with(64u << 20, 5000);
	char name[16];
	int i;

	(void)state;
	for (i = 0; i < 6000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(set(c, name, name, 0), 0);
	}
	for (i = 0; i < 6000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		expect(c, name, i < 1000 ? NULL : name);
	}
	driver->close(c);
}

int world_own_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expiry),
		cmocka_unit_test(bounds),
		cmocka_unit_test(least_recently_used),
		cmocka_unit_test(growing),
	};

	return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
