// SPDX-License-Identifier: Apache-2.0
/* The extent map against an array of blocks. */
#include "util.h"

#define N 600

/* Unwritten: pack and block 0, and the flag. */
static struct { u64 pack; u32 block, flags; } flat[N];

static bool is_mapped(u64 i)
{
	return flat[i].pack || flat[i].flags;
}

static bool goes_on(u64 i)
{
	return flat[i - 1].pack == flat[i].pack && flat[i - 1].flags == flat[i].flags &&
	       flat[i - 1].block + !!flat[i].pack == flat[i].block;
}

static void check(const struct nexus_extmap *map)
{
	u64 blocks = 0, unwritten = 0, exts = 0, i;
	struct nexus_ext e;

	for (i = 0; i < N; i++) {
		bool found = nexus_extmap_find(map, i, &e);

		assert_true(found == is_mapped(i));
		assert_true(e.fblock == i);
		if (!found) {
			u64 hole = 1;

			while (i + hole < N && !is_mapped(i + hole))
				hole++;
			assert_true(e.nblocks == (i + hole < N ? hole : U32_MAX));
			continue;
		}
		blocks++;
		unwritten += !!(flat[i].flags & NEXUS_EF_UNWRITTEN);
		assert_true(e.pack == flat[i].pack && e.block == flat[i].block &&
			    e.flags == flat[i].flags);
		if (!i || !goes_on(i)) {
			exts++;
			assert_true(nexus_extmap_next(map, i, &e) && e.fblock == i);
		}
	}
	assert_true(blocks == nexus_extmap_blocks(map));
	assert_true(unwritten == nexus_extmap_unwritten(map));
	/* Neighbours that fit are always one extent. */
	assert_true(exts == nexus_extmap_count(map));
}

static u64 mapped(u64 at, u64 n)
{
	u64 i, sum = 0;

	for (i = at; i < at + n; i++)
		sum += is_mapped(i);
	return sum;
}

static void test_random(void **state)
{
	struct nexus_extmap *map = nexus_extmap_new();
	u64 freed = 0, want, i, j;

	(void)state;
	seed_init(11);
	assert_non_null(map);
	for (i = 0; i < 100000; i++) {
		u64 at = rnd(N), n = 1 + rnd(rnd(8) ? 8 : 100);

		n = NEXUS_MIN(n, N - at);
		if (rnd(2))
			assert_int_equal(nexus_extmap_reserve(map, 1), 0);
		else
			nexus_extmap_spare_give(map, nexus_extmap_spare_alloc(1));
		want = mapped(at, n);
		if (rnd(3)) {
			struct nexus_ext e = {
				.fblock = at, .pack = 1 + rnd(2),
				.block = (u32)at + (rnd(4) ? 7 : 3),
				.nblocks = (u32)n, .flags = rnd(8) ? 0 : NEXUS_EF_NOCRC,
			};

			if (!rnd(4)) {
				e.pack = 0;
				e.block = 0;
				e.flags = NEXUS_EF_UNWRITTEN;
			}
			nexus_extmap_insert(map, &e, &freed);
			for (j = 0; j < n; j++) {
				flat[at + j].pack = e.pack;
				flat[at + j].block = e.pack ? e.block + (u32)j : 0;
				flat[at + j].flags = e.flags;
			}
		} else {
			bool all = !rnd(20);

			if (all) {
				n = N - at;
				want = mapped(at, n);
			}
			nexus_extmap_punch(map, at, all ? U64_MAX - at : n, &freed);
			memset(&flat[at], 0, n * sizeof(flat[0]));
		}
		assert_true(freed == want);
		if (i % 16 == 0)
			check(map);
	}
	nexus_extmap_free(map);
}

/* Many changes on what was reserved once. */
static void test_reserve(void **state)
{
	struct nexus_extmap *map = nexus_extmap_new();
	struct nexus_ext e = { .fblock = 0, .pack = 1, .block = 1, .nblocks = 5000 };
	struct nexus_extmap_spare *spare;
	u32 i;

	(void)state;
	assert_int_equal(nexus_extmap_reserve(map, 1001), 0);
	nexus_extmap_insert(map, &e, NULL);
	for (i = 0; i < 1000; i++)
		nexus_extmap_punch(map, 2 + i * 5, 1, NULL);
	assert_true(nexus_extmap_count(map) == 1001);
	assert_true(nexus_extmap_blocks(map) == 4000);
	assert_true(nexus_extmap_may_name(map, 1));
	assert_false(nexus_extmap_may_name(map, 2));
	e.pack = 66;
	e.nblocks = 1;
	nexus_extmap_insert(map, &e, NULL);
	/* 66 it is, but it looks like 2. */
	assert_true(nexus_extmap_may_name(map, 66) && nexus_extmap_may_name(map, 2));
	nexus_extmap_clear(map);
	assert_false(nexus_extmap_may_name(map, 1));
	assert_true(nexus_extmap_count(map) == 0);
	assert_false(nexus_extmap_next(map, 0, &e));

	spare = nexus_extmap_spare_alloc(3);
	assert_non_null(spare);
	nexus_extmap_spare_free(spare);
	nexus_extmap_spare_free(NULL);
	assert_null(nexus_extmap_spare_alloc(0));
	nexus_extmap_spare_give(map, NULL);
	nexus_extmap_free(map);
	nexus_extmap_free(NULL);
}

/* In order, the worst case of a tree that does not balance. */
static void test_many(void **state)
{
	struct nexus_extmap *map = nexus_extmap_new();
	u32 i;

	(void)state;
	for (i = 0; i < 200000; i++) {
		struct nexus_ext e = {
			.fblock = i * 2ull, .pack = 1, .block = 1 + i % 1000,
			.nblocks = 1,
		};

		assert_int_equal(nexus_extmap_reserve(map, 1), 0);
		nexus_extmap_insert(map, &e, NULL);
	}
	assert_true(nexus_extmap_count(map) == 200000);
	for (i = 0; i < 200000; i += 3) {
		struct nexus_ext e;

		assert_true(nexus_extmap_find(map, i * 2ull, &e));
		assert_int_equal(e.block, 1 + i % 1000);
	}
	nexus_extmap_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
