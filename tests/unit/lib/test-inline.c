// SPDX-License-Identifier: Apache-2.0
/* Apply: the body of a tiny file, from its record to its end. */
#include "records.h"

static struct store s;

static int setup(void **state)
{
	(void)state;
	store_mkfs(&s);
	return 0;
}

static int teardown(void **state)
{
	s64 problems = store_problems(&s, true);

	(void)state;
	store_destroy(&s);
	return problems != 0;
}

#define INO(field, ino) le64_to_cpu(store_inode(&s, ino)->field)
#define INO32(field, ino) le32_to_cpu(store_inode(&s, ino)->field)

static void test_inline(void **state)
{
	struct create_args a = {
		.parent = 1, .pos = 3, .ino = 20, .data_id = 20, .name = "f",
		.mode = S_IFREG | 0644, .content = "0123456789", .contentlen = 10,
	};
	struct nexus_key k;
	const u8 *val;
	size_t len = 0;
	u64 gen;

	(void)state;
	must(&s, rec_create(&a));
	gen = INO(gen, 20);
	nexus_key_content(&k, 20);
	must(&s, rec_truncate(20, 20, 0, 4, 0, 0));
	assert_non_null(store_get(&s, &k, &len));
	assert_int_equal(len, 8 + 4);
	must(&s, rec_truncate(20, 20, 0, 100, 0, 0));
	assert_non_null(store_get(&s, &k, &len));
	assert_int_equal(len, 8 + 4);
	/* It is replaced as a whole. */
	must(&s, rec_inline(20, 20, "other", 5));
	val = store_get(&s, &k, &len);
	assert_int_equal(len, 8 + 5);
	assert_memory_equal(val + 8, "other", 5);
	assert_int_equal(INO(size, 20), 100);
	assert_int_equal(INO(disk_size, 20), 5);
	assert_int_equal(INO(mtime_s, 20), 3000);
	assert_int_equal(INO(gen, 20), gen + 3);
	assert_int_equal(INO(blocks, 20), 0);
	assert_int_equal(store_problems(&s, true), 0);
	/* Block 0 ends it, and then there is none any more. */
	must(&s, rec_extent(20, 20, 0, 16384, 5, 2, 1, 0));
	assert_false(INO32(flags, 20) & NEXUS_IF_INLINE);
	assert_null(store_get(&s, &k, NULL));
	refused(&s, rec_inline(20, 20, "x", 1), "inline body beside extents");
	/* But when all of it has gone. */
	must(&s, rec_truncate(20, 20, 30, 0, 0, 0));
	must(&s, rec_inline(20, 30, "again", 5));
	assert_true(INO32(flags, 20) & NEXUS_IF_INLINE);
	assert_int_equal(INO(size, 20), 5);
	must(&s, rec_truncate(20, 30, 31, 0, 0, 0));
	assert_false(INO32(flags, 20) & NEXUS_IF_INLINE);
	assert_null(store_get(&s, &k, NULL));
	assert_int_equal(store_problems(&s, true), 0);

	a.ino = a.data_id = 21;
	a.pos = 4;
	a.name = "g";
	must(&s, rec_create(&a));
	must(&s, rec_truncate(21, 21, 0, 0, 0, 0));
	assert_false(INO32(flags, 21) & NEXUS_IF_INLINE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_inline, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
