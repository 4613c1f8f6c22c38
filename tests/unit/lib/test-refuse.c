// SPDX-License-Identifier: Apache-2.0
/* Every precondition: refused, with its text, and not one write. */
#include "records.h"

#define FILE_MODE (S_IFREG | 0644)
#define DIR_MODE (S_IFDIR | 0755)

static struct store s, before;

/*
 * /dir (20) with /dir/sub (21); /file (22) with names "file" and "hard"; /one
 * (23); a removed directory (24), an orphan file (25) and an inline file (26).
 */
static int setup(void **state)
{
	struct create_args small = {
		.parent = 1, .pos = 8, .ino = 26, .data_id = 26, .name = "small",
		.mode = FILE_MODE, .content = "0123", .contentlen = 4,
	};

	(void)state;
	store_mkfs(&s);
	must(&s, rec_mk(1, 3, 20, "dir", DIR_MODE));
	must(&s, rec_mk(20, 3, 21, "sub", DIR_MODE));
	must(&s, rec_mk(1, 4, 22, "file", FILE_MODE));
	must(&s, rec_link(1, 5, 22, "hard"));
	must(&s, rec_mk(1, 6, 23, "one", FILE_MODE));
	must(&s, rec_mk(1, 7, 24, "gone", DIR_MODE));
	must(&s, rec_rmdir(1, 7, 24, "gone"));
	must(&s, rec_mk(0, 0, 25, NULL, FILE_MODE));
	must(&s, rec_extent(23, 23, 0, 8192, 5, 1, 2, 0));
	must(&s, rec_setxattr(23, "user.a", "1", 0));
	must(&s, rec_create(&small));
	store_copy(&before, &s);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_same(&s, &before);
	store_destroy(&s);
	store_destroy(&before);
	return 0;
}

static void test_create(void **state)
{
	(void)state;
	refused(&s, rec_mk(1, 9, 22, "new", FILE_MODE), "inode exists");
	refused(&s, rec_mk(99, 9, 30, "new", FILE_MODE), "inode does not exist");
	refused(&s, rec_mk(23, 9, 30, "new", FILE_MODE), "parent is no directory");
	refused(&s, rec_mk(24, 9, 30, "new", FILE_MODE),
		"parent is a removed directory");
	refused(&s, rec_mk(1, 9, 30, "file", FILE_MODE), "entry exists");
	refused(&s, rec_mk(1, 4, 30, "new", FILE_MODE), "pos is taken");
}

static void test_link(void **state)
{
	(void)state;
	refused(&s, rec_link(1, 9, 99, "new"), "inode does not exist");
	refused(&s, rec_link(1, 9, 21, "new"), "link to a directory");
	refused(&s, rec_link(24, 9, 23, "new"), "parent is a removed directory");
	refused(&s, rec_link(1, 9, 23, "dir"), "entry exists");
	refused(&s, rec_link(1, 3, 23, "new"), "pos is taken");
}

static void test_unlink(void **state)
{
	(void)state;
	refused(&s, rec_unlink(1, 9, 23, "new"), "entry is missing");
	refused(&s, rec_unlink(1, 6, 22, "one"), "entry names another inode");
	refused(&s, rec_unlink(1, 4, 23, "one"), "entry has another pos");
	refused(&s, rec_unlink(1, 3, 20, "dir"), "rmdir and type differ");
	refused(&s, rec_rmdir(1, 6, 23, "one"), "rmdir and type differ");
	refused(&s, rec_rmdir(1, 3, 20, "dir"), "directory not empty");
}

/* Scenario A29. */
static void test_rename(void **state)
{
	(void)state;
	refused(&s, rec_rename(1, 6, 23, "two", 1, 9, 0, "new", 0),
		"entry is missing");
	refused(&s, rec_rename(1, 6, 22, "one", 1, 9, 0, "new", 0),
		"entry names another inode");
	refused(&s, rec_rename(1, 5, 23, "one", 1, 9, 0, "new", 0),
		"entry has another pos");
	refused(&s, rec_rename(1, 6, 23, "one", 1, 9, 0, "file", 0), "entry exists");
	refused(&s, rec_rename(1, 6, 23, "one", 1, 5, 0, "new", 0), "pos is taken");
	refused(&s, rec_rename(1, 6, 23, "one", 1, 9, 22, "file", 0),
		"entry has another pos");
	refused(&s, rec_rename(1, 6, 23, "one", 1, 4, 25, "file", 0),
		"entry names another inode");
	refused(&s, rec_rename(1, 6, 23, "one", 1, 3, 20, "dir", 0),
		"replaced inode of another type");
	refused(&s, rec_rename(1, 3, 20, "dir", 1, 6, 23, "one", 0),
		"replaced inode of another type");
	refused(&s, rec_rename(1, 3, 20, "dir", 20, 9, 0, "new", 0),
		"directory moved below itself");
	refused(&s, rec_rename(1, 3, 20, "dir", 21, 9, 0, "new", 0),
		"directory moved below itself");
	refused(&s, rec_rename(1, 3, 20, "dir", 20, 3, 21, "sub", NEXUS_RF_EXCHANGE),
		"directory moved below itself");
	refused(&s, rec_rename(20, 3, 21, "sub", 1, 3, 20, "dir", NEXUS_RF_EXCHANGE),
		"directory moved below itself");
	refused(&s, rec_rename(20, 3, 21, "sub", 1, 3, 20, "dir", 0),
		"directory moved below itself");
	refused(&s, rec_rename(1, 6, 23, "one", 24, 9, 0, "new", 0),
		"parent is a removed directory");
}

static void test_replace_full(void **state)
{
	(void)state;
	refused(&s, rec_rename(1, 6, 23, "one", 23, 9, 0, "new", 0),
		"parent is no directory");
	/* /dir/sub over /dir needs /dir empty; from elsewhere, the same. */
	must(&s, rec_mk(1, 9, 40, "other", DIR_MODE));
	refused(&s, rec_rename(1, 9, 40, "other", 1, 3, 20, "dir", 0),
		"directory not empty");
	store_destroy(&before);
	store_copy(&before, &s);
}

/* Of a damaged store: /dir/sub is above /dir. */
static void test_rename_cycle(void **state)
{
	struct nexus_inode_val v;
	struct nexus_key k;

	(void)state;
	must(&s, rec_mk(1, 9, 40, "other", DIR_MODE));
	v = *store_inode(&s, 20);
	v.parent = cpu_to_le64(21);
	nexus_val_seal(&v, sizeof(v), NEXUS_KEY_INODE);
	nexus_key_inode(&k, 20);
	assert_int_equal(nexus_kv_put(&s.kv, k.b, k.len, &v, sizeof(v)), 0);
	store_destroy(&before);
	store_copy(&before, &s);
	refused(&s, rec_rename(1, 9, 40, "other", 21, 9, 0, "new", 0),
		"directories form a cycle");
}

static void test_inode(void **state)
{
	(void)state;
	refused(&s, rec_setattr(99, NEXUS_SA_MODE, 0, 0, 0, 0),
		"inode does not exist");
	refused(&s, rec_setxattr(99, "user.a", "1", 0), "inode does not exist");
	refused(&s, rec_setxattr(23, "user.a", "1", NEXUS_RF_XATTR_CREATE),
		"xattr exists");
	refused(&s, rec_setxattr(23, "user.b", "1", NEXUS_RF_XATTR_REPLACE),
		"xattr does not exist");
	refused(&s, rec_removexattr(23, "user.b"), "xattr does not exist");
	refused(&s, rec_forget(23, 23, 1), "forgotten inode has links");
	refused(&s, rec_forget(25, 23, 1), "inode has another data id");
	refused(&s, rec_forget(99, 99, 1), "inode does not exist");
	refused(&s, rec_bulk(25, 1), "data id belongs to an inode");
	refused(&s, rec_data(99, 99, 0, "x"), "inode does not exist");
}

static void test_content(void **state)
{
	(void)state;
	refused(&s, rec_truncate(99, 99, 0, 0, 0, 0), "inode does not exist");
	refused(&s, rec_truncate(20, 20, 0, 0, 0, 0), "content of no regular file");
	refused(&s, rec_truncate(23, 22, 0, 0, 0, 0), "inode has another data id");
	refused(&s, rec_truncate(22, 22, 23, 0, 0, 0), "new data id is in use");
	refused(&s, rec_truncate(22, 22, 25, 0, 0, 0), "new data id is in use");
	refused(&s, rec_extent(23, 22, 0, 0, 5, 1, 1, 0),
		"inode has another data id");
	refused(&s, rec_extent(20, 20, 0, 0, 5, 1, 1, 0),
		"content of no regular file");
	refused(&s, rec_range(NEXUS_REC_PUNCH, 23, 22, 0, 1, 0),
		"inode has another data id");
	refused(&s, rec_range(NEXUS_REC_PUNCH, 20, 20, 0, 1, 0),
		"content of no regular file");
	refused(&s, rec_range(NEXUS_REC_RESERVE, 99, 99, 0, 1, 0),
		"inode does not exist");
	refused(&s, rec_range(NEXUS_REC_RESERVE, 23, 22, 0, 1, 0),
		"inode has another data id");
	refused(&s, rec_range(NEXUS_REC_RESERVE, 26, 26, 5, 1, 0),
		"space for an inline body");
	refused(&s, rec_extent(26, 26, 1, 0, 5, 1, 1, 0), "extent beside an inline body");
	refused(&s, rec_truncate(26, 26, 0, 5000, 5, 1), "extent beside an inline body");
	refused(&s, rec_inline(99, 99, "x", 1), "inode does not exist");
	refused(&s, rec_inline(20, 20, "x", 1), "content of no regular file");
	refused(&s, rec_inline(23, 22, "x", 1), "inode has another data id");
	refused(&s, rec_inline(23, 23, "x", 1), "inline body beside extents");
	must(&s, rec_range(NEXUS_REC_RESERVE, 22, 22, 7, 1, 0));
	refused(&s, rec_inline(22, 22, "x", 1), "inline body beside extents");
	must(&s, rec_range(NEXUS_REC_PUNCH, 22, 22, 7, 1, 0));
	store_destroy(&before);
	store_copy(&before, &s);
}

static void test_clone(void **state)
{
	struct create_args inl = {
		.parent = 1, .pos = 12, .ino = 31, .data_id = 31, .name = "inline",
		.mode = FILE_MODE, .content = "body", .contentlen = 4,
		.iflags = NEXUS_IF_INLINE,
	};
	struct clone_args a = {
		.src = 23, .src_id = 23, .ino = 22, .id = 22, .nblocks = 2, .mapped = 2,
	};

	(void)state;
	refused(&s, rec_share(99, 99, 0, 1), "inode does not exist");
	refused(&s, rec_share(20, 20, 0, 1), "content of no regular file");
	refused(&s, rec_share(23, 22, 0, 1), "inode has another data id");
	refused(&s, rec_clone(&a), "source is not shared");
	must(&s, rec_share(23, 23, 0, 2));
	a.mapped = 1;
	refused(&s, rec_clone(&a), "source has other blocks");
	a.mapped = 2;
	a.from = 1;
	refused(&s, rec_clone(&a), "source has other blocks");
	a.from = 0;
	a.id = 99;
	refused(&s, rec_clone(&a), "inode has another data id");
	a.id = 20;
	a.ino = 20;
	refused(&s, rec_clone(&a), "content of no regular file");
	a.id = 99;
	a.ino = 99;
	refused(&s, rec_clone(&a), "inode does not exist");
	a.id = 22;
	a.ino = 22;
	a.src_id = 98;
	refused(&s, rec_clone(&a), "inode has another data id");
	must(&s, rec_create(&inl));
	a.src = 31;
	a.src_id = 31;
	a.mapped = 0;
	refused(&s, rec_clone(&a), "source is inline");
	a.from = 1;
	refused(&s, rec_clone(&a), "source is inline");
	a = (struct clone_args) {
		.src = 23, .src_id = 23, .ino = 31, .id = 31, .to = 1, .nblocks = 2, .mapped = 2,
	};
	refused(&s, rec_clone(&a), "extent beside an inline body");
	store_destroy(&before);
	store_copy(&before, &s);
}

static void test_store_records(void **state)
{
	(void)state;
	refused(&s, rec_pack(5, 0, 0), "removed pack is in use");
	refused(&s, rec_pack(77, 0, 0), "removed pack is in use");
	refused(&s, rec_pack(5, NEXUS_PACK_SEALED, 2), "pack shorter than it is used");
	must(&s, rec_pack(5, NEXUS_PACK_SEALED, 3));
	refused(&s, rec_pack(5, 0, 0), "removed pack is in use");
	refused(&s, rec_pack(5, NEXUS_PACK_OPEN, 3), "sealed pack opened");
	must(&s, rec_setting(1, "/a", "1"));
	refused(&s, rec_setting(1, "/b", "1"), "two settings with one hash");
	refused(&s, rec_setting(1, "/b", ""), "two settings with one hash");
	store_destroy(&before);
	store_copy(&before, &s);
}

static void *sample(int i)
{
	switch (i) {
	case 0: return rec_mk(1, 9, 30, "new", DIR_MODE);
	case 1: return rec_link(1, 9, 23, "new");
	case 2: return rec_link(1, 9, 25, "new");
	case 3: return rec_unlink(1, 4, 22, "file");
	case 4: return rec_unlink(1, 6, 23, "one");
	case 5: return rec_rmdir(20, 3, 21, "sub");
	case 6: return rec_rename(20, 3, 21, "sub", 1, 9, 0, "new", 0);
	case 7: return rec_rename(1, 6, 23, "one", 1, 4, 22, "file", 0);
	case 8: return rec_rename(20, 3, 21, "sub", 1, 4, 22, "file",
				  NEXUS_RF_EXCHANGE);
	case 9: return rec_setattr(23, NEXUS_SA_UID, 0, 1, 0, 0);
	case 10: return rec_truncate(23, 23, 0, 5000, 6, 1);
	case 11: return rec_truncate(23, 23, 31, 0, 0, 0);
	case 12: return rec_extent(23, 23, 1, 0, 6, 1, 300 - 50, 0);
	case 13: return rec_setxattr(23, "user.a", "2", 0);
	case 14: return rec_forget(25, 25, 1);
	case 15: return rec_share(23, 23, 0, 9);
	case 16: return rec_clone(&(struct clone_args) {
		.src = 40, .src_id = 40, .ino = 41, .id = 41, .to = 1, .nblocks = 20,
		.mapped = 12 });
	case 17: return rec_extent(40, 40, 2, 0, 6, 1, 30, 0);
	case 18: return rec_truncate(41, 41, 0, 5 * 4096, 0, 0);
	case 19: return rec_range(NEXUS_REC_PUNCH, 23, 23, 0, 300, 0);
	case 20: return rec_range(NEXUS_REC_RESERVE, 23, 23, 1, 300, 0);
	case 21: return rec_move(&(struct move_args) {
		.ino = 23, .id = 23, .from_pack = 5, .from_block = 1,
		.to_pack = 9, .to_block = 5, .nblocks = 2 });
	default: return NULL;
	}
}

/* /shared (40) and /other (41) with the same blocks, some of which are twice in 41. */
static int setup_shared(void **state)
{
	setup(state);
	must(&s, rec_mk(1, 10, 40, "shared", FILE_MODE));
	must(&s, rec_mk(1, 11, 41, "other", FILE_MODE));
	must(&s, rec_extent(40, 40, 0, 0, 5, 20, 10, 0));
	must(&s, rec_extent(40, 40, 15, 0, 5, 40, 2, 0));
	must(&s, rec_share(40, 40, 0, 20));
	must(&s, rec_clone(&(struct clone_args) {
		.src = 40, .src_id = 40, .ino = 41, .id = 41, .nblocks = 20,
		.mapped = 12 }));
	must(&s, rec_clone(&(struct clone_args) {
		.src = 40, .src_id = 40, .ino = 41, .id = 41, .to = 30, .nblocks = 5,
		.mapped = 5 }));
	store_destroy(&before);
	store_copy(&before, &s);
	return 0;
}

/*
 * With any one value damaged a record either does not care or fails before its
 * first write.
 */
static void test_damage(void **state)
{
	const struct nexus_omap_entry *e;
	u32 failures = 0;
	int i;

	(void)state;
	for (e = nexus_omap_lower(&before.map, "", 0, false); e;
	     e = nexus_omap_lower(&before.map, e->data, e->klen, true)) {
		for (i = 0; sample(i); i++) {
			struct store t;
			u8 *val;
			int ret;

			store_copy(&t, &before);
			val = (u8 *)nexus_omap_val(nexus_omap_find(&t.map, e->data,
								   e->klen));
			val[e->vlen - 1] ^= 1;
			ret = nexus_apply(&t.kv, sample(i), NULL);
			assert_true(ret == 0 || ret == -EUCLEAN);
			if (ret)
				assert_true(t.writes == 0);
			failures += ret != 0;
			store_destroy(&t);
		}
	}
	assert_true(failures > 50);
}

/* A store that fails in the middle: its error comes back, nothing leaks. */
static void test_store_fails(void **state)
{
	int i, n;

	(void)state;
	for (i = 0; sample(i); i++) {
		for (n = 0;; n++) {
			struct store t;
			int ret;

			store_copy(&t, &before);
			t.fail_after = n;
			ret = nexus_apply(&t.kv, sample(i), NULL);
			store_destroy(&t);
			if (!ret)
				break;
			assert_int_equal(ret, -ENOMEM);
		}
		assert_true(n >= 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_create), T(test_link), T(test_unlink), T(test_rename), T(test_rename_cycle),
		T(test_replace_full), T(test_inode), T(test_content),
		T(test_clone), T(test_store_records),
#undef T
#define T(f) cmocka_unit_test_setup_teardown(f, setup_shared, teardown)
		T(test_damage), T(test_store_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
