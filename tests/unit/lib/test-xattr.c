// SPDX-License-Identifier: Apache-2.0
/* Apply: extended attributes, with the mode or without, and whiteouts. */
#include "records.h"

#define FILE_MODE (S_IFREG | 0644)
#define DIR_MODE (S_IFDIR | 0755)

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

static void test_xattr(void **state)
{
	struct nexus_key k;
	size_t len = 0;

	(void)state;
	must(&s, rec_mk(1, 3, 20, "f", FILE_MODE));
	must(&s, rec_setxattr(20, "user.a", "one", NEXUS_RF_XATTR_CREATE));
	must(&s, rec_setxattr(20, "user.a", "three", NEXUS_RF_XATTR_REPLACE));
	must(&s, rec_setxattr(20, "user.b", "", 0));
	nexus_key_xattr(&k, 20, "user.a", 6);
	assert_non_null(store_get(&s, &k, &len));
	assert_int_equal(len, 8 + 5);
	must(&s, rec_removexattr(20, "user.a"));
	assert_null(store_get(&s, &k, NULL));
	assert_int_equal(INO(version, 20), 5);
	/* An ACL and its mode, set and removed; the type stays. */
	must(&s, rec_xattr_mode(rec_setxattr(20, "system.acl", "x", 0), 02751));
	assert_int_equal(INO32(mode, 20), S_IFREG | 02751);
	must(&s, rec_setxattr(20, "system.acl", "y", 0));
	assert_int_equal(INO32(mode, 20), S_IFREG | 02751);
	must(&s, rec_xattr_mode(rec_removexattr(20, "system.acl"), 0));
	assert_int_equal(INO32(mode, 20), S_IFREG);
	assert_int_equal(INO(version, 20), 8);
}

/* The old name keeps its pos, and names a device that nobody may use. */
static void test_whiteout(void **state)
{
	struct nexus_key k;

	(void)state;
	must(&s, rec_mk(1, 3, 20, "d", DIR_MODE));
	must(&s, rec_mk(1, 4, 21, "e", DIR_MODE));
	must(&s, rec_mk(20, 3, 22, "f", FILE_MODE));
	must(&s, rec_mk(21, 3, 23, "g", FILE_MODE));
	must(&s, rec_whiteout(20, 3, 22, "f", 21, 3, 23, "g", 30, "v"));
	assert_int_equal(INO32(mode, 30), S_IFCHR);
	assert_int_equal(INO32(nlink, 30), 1);
	assert_int_equal(INO(parent, 30), 20);
	assert_int_equal(INO(pos, 30), 3);
	assert_int_equal(INO(rdev, 30), 0);
	assert_int_equal(INO32(uid, 30), 1);
	assert_int_equal(INO(data_id, 30), 30);
	assert_int_equal(INO(version, 30), 1);
	assert_int_equal(INO(children, 20), 1);
	assert_int_equal(INO(children, 21), 1);
	assert_int_equal(INO(parent, 22), 21);
	assert_int_equal(INO32(nlink, 23), 0);
	nexus_key_xattr(&k, 30, "user.1", 6);
	assert_non_null(store_get(&s, &k, NULL));
	/* A directory that leaves one, within its parent. */
	must(&s, rec_whiteout(1, 3, 20, "d", 1, 5, 0, "dd", 31, NULL));
	assert_int_equal(INO32(nlink, 1), 4);
	assert_int_equal(INO(children, 1), 3);
	assert_int_equal(INO(next_pos, 1), 6);
	assert_int_equal(INO(pos, 31), 3);
	/* And goes like any file. */
	must(&s, rec_unlink(1, 3, 31, "d"));
	must(&s, rec_forget(31, 31, 10));
	refused(&s, rec_whiteout(20, 3, 30, "f", 1, 9, 0, "n", 22, NULL), "inode exists");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_xattr, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whiteout, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
