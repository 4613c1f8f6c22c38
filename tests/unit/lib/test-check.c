// SPDX-License-Identifier: Apache-2.0
/* The store check: a good store has no problem, and each contradiction is seen. */
#include "records.h"
#include "lib/shared.h"

static struct store s;
static const char *want;
static u32 seen;

static void hear(void *arg, const struct nexus_check_problem *p)
{
	(void)arg;
	seen += want && !strcmp(p->what, want);
}

static int setup(void **state)
{
	struct create_args link = {
		.parent = 20, .pos = 4, .ino = 25, .data_id = 25, .name = "link",
		.mode = S_IFLNK | 0777, .content = "to", .contentlen = 2,
	};

	(void)state;
	store_mkfs(&s);
	must(&s, rec_mk(1, 3, 20, "dir", S_IFDIR | 0755));
	must(&s, rec_mk(20, 3, 21, "sub", S_IFDIR | 0755));
	must(&s, rec_mk(1, 4, 22, "file", S_IFREG | 0644));
	must(&s, rec_link(1, 5, 22, "hard"));
	must(&s, rec_mk(1, 6, 23, "one", S_IFREG | 0644));
	must(&s, rec_mk(0, 0, 24, NULL, S_IFREG | 0600));
	must(&s, rec_create(&link));
	must(&s, rec_mk(1, 7, 26, "tiny", S_IFREG | 0644));
	must(&s, rec_inline(26, 26, "body", 4));
	must(&s, rec_extent(23, 23, 0, 8192, 5, 1, 2, 0));
	must(&s, rec_extent(23, 23, 7, 8192, 5, 9, 2, 0));
	must(&s, rec_range(NEXUS_REC_RESERVE, 23, 23, 100, 3, 0));
	must(&s, rec_setxattr(23, "user.a", "1", 0));
	must(&s, rec_setting(1, "/a", "1"));
	assert_int_equal(store_problems(&s, true), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_destroy(&s);
	return 0;
}

/* @what is among the problems of a copy in which one value was changed. */
static void finds(struct store *t, const char *what)
{
	s64 n;

	want = what;
	seen = 0;
	n = nexus_store_check(&t->kv, hear, NULL);
	if (n <= 0 || !seen) {
		store_problems(t, true);
		fail_msg("not found: %s", what);
	}
	store_destroy(t);
}

/* Changes bytes at @at of a value and seals it again. */
static void poke(const struct nexus_key *k, size_t at, u64 v, size_t bytes,
		 const char *what)
{
	const void *old;
	u8 val[512];
	struct store t;
	size_t len = 0;

	store_copy(&t, &s);
	old = store_get(&t, k, &len);
	assert_non_null(old);
	memcpy(val, old, len);
	memcpy(val + at, &v, bytes);
	nexus_val_seal(val, len, k->b[0]);
	assert_int_equal(nexus_omap_put(&t.map, k->b, k->len, val, len), 0);
	finds(&t, what);
}

static void lose(const struct nexus_key *k, const char *what)
{
	struct store t;

	store_copy(&t, &s);
	assert_true(nexus_omap_remove(&t.map, k->b, k->len));
	finds(&t, what);
}

#define INODE(ino, field, v, what) do {					\
	nexus_key_inode(&k, ino);					\
	poke(&k, offsetof(struct nexus_inode_val, field), v,		\
	     sizeof(((struct nexus_inode_val *)0)->field), what);	\
} while (0)

static void test_inodes(void **state)
{
	struct nexus_key k;

	(void)state;
	INODE(20, children, 5, "directory counts other entries than it has");
	INODE(20, nlink, 2, "directory's link count");
	INODE(20, next_pos, 4, "next pos is not above all");
	INODE(21, parent, 21, "directory not reachable from the root");
	INODE(20, parent, 21, "directory not reachable from the root");
	INODE(20, parent, 99, "directory not reachable from the root");
	INODE(20, pos, 77, "parent and pos name another inode");
	INODE(1, parent, 20, "parent of the root");
	INODE(22, nlink, 3, "link count");
	INODE(22, parent, 1, "parent of an inode without one name");
	INODE(23, nlink, 0, "orphan record and link count differ");
	INODE(23, blocks, 9, "inode counts other blocks than it has");
	INODE(23, unwritten, 7, "inode counts other unwritten blocks than it has");
	INODE(23, uid, 7, "inodes in use");
	INODE(23, data_id, 22, "two inodes with one data id");
	INODE(23, data_id, 90, "extents of no inode");
	INODE(23, mode, 0, "mode of no known type");
	INODE(23, mode, S_IFDIR, "entry and inode of different types");
	INODE(23, flags, NEXUS_IF_INLINE, "content and inode differ");
	INODE(23, size, ~0ull, "size out of range");
	INODE(24, nlink, 1, "link count");
	INODE(25, size, 3, "length of content");
	nexus_key_inode(&k, 23);
	lose(&k, "entry without an inode");
	lose(&k, "xattr without an inode");
	lose(&k, "inode is missing but referred to");
}

static void test_inline(void **state)
{
	struct {
		struct nexus_blob_val v;
		u8 bytes[NEXUS_INLINE_MAX + 1];
	} body = { .bytes = "x" };
	struct nexus_key k;
	struct store t;

	(void)state;
	INODE(26, flags, 0, "content and inode differ");
	INODE(26, size, 3, "length of content");
	nexus_key_content(&k, 26);
	lose(&k, "content and inode differ");
	INODE(23, flags, NEXUS_IF_INLINE, "body both inline and in extents");
	/* One byte more than any may have. */
	nexus_key_content(&k, 26);
	store_copy(&t, &s);
	must(&t, rec_truncate(26, 26, 0, 5000, 0, 0));
	nexus_val_seal(&body, sizeof(body.v) + NEXUS_INLINE_MAX, k.b[0]);
	assert_int_equal(nexus_omap_put(&t.map, k.b, k.len, &body,
					sizeof(body.v) + NEXUS_INLINE_MAX), 0);
	assert_int_equal(store_problems(&t, true), 0);
	nexus_val_seal(&body, sizeof(body.v) + sizeof(body.bytes), k.b[0]);
	assert_int_equal(nexus_omap_put(&t.map, k.b, k.len, &body,
					sizeof(body.v) + sizeof(body.bytes)), 0);
	finds(&t, "length of content");
}

static void put_xattr(const struct nexus_key *k, size_t len, const char *what)
{
	static u8 val[sizeof(struct nexus_blob_val) + NEXUS_XATTR_VALUE_MAX + 1];
	struct store t;

	store_copy(&t, &s);
	nexus_val_seal(val, sizeof(struct nexus_blob_val) + len, k->b[0]);
	assert_int_equal(nexus_omap_put(&t.map, k->b, k->len, val,
					sizeof(struct nexus_blob_val) + len), 0);
	if (what) {
		finds(&t, what);
		return;
	}
	assert_int_equal(store_problems(&t, true), 0);
	store_destroy(&t);
}

static void test_xattr(void **state)
{
	struct nexus_key k;

	(void)state;
	nexus_key_xattr(&k, 23, "user.b", 6);
	put_xattr(&k, 0, NULL);
	put_xattr(&k, NEXUS_XATTR_VALUE_MAX, NULL);
	put_xattr(&k, NEXUS_XATTR_VALUE_MAX + 1, "value is too long");
	nexus_key_xattr(&k, 23, "user\0b", 6);
	put_xattr(&k, 1, "name is not legal");
	nexus_key_xattr(&k, 23, NULL, 0);
	put_xattr(&k, 1, "name is not legal");
	nexus_key_xattr(&k, 99, "user.b", 6);
	put_xattr(&k, 1, "xattr without an inode");
}

static void test_names(void **state)
{
	struct nexus_key k;
	struct store t;

	(void)state;
	nexus_key_dirent(&k, 1, "one", 3);
	lose(&k, "listing entry without its entry");
	poke(&k, offsetof(struct nexus_dirent_val, pos), 4, 8,
	     "entry without its listing entry");
	poke(&k, offsetof(struct nexus_dirent_val, dtype), 4, 1,
	     "entry and inode of different types");
	nexus_key_list(&k, 1, 6);
	lose(&k, "entry without its listing entry");
	nexus_key_name(&k, 22, 1, "hard", 4);
	lose(&k, "number of recorded names");
	poke(&k, offsetof(struct nexus_name_val, pos), 4, 8,
	     "name without its entry");
	nexus_key_orphan(&k, 24);
	lose(&k, "orphan record and link count differ");
	poke(&k, offsetof(struct nexus_orphan_val, ino), 23, 8,
	     "orphan record and link count differ");
	/* A flipped bit, a key of no kind, a key too long. */
	nexus_key_dirent(&k, 1, "one", 3);
	store_copy(&t, &s);
	((u8 *)store_get(&t, &k, NULL))[9] ^= 1;
	finds(&t, "damaged value");
	store_copy(&t, &s);
	nexus_omap_put(&t.map, "w", 1, "x", 1);
	finds(&t, "key of an unknown kind");
	store_copy(&t, &s);
	nexus_omap_put(&t.map, "I12345678x", 10, "x", 1);
	finds(&t, "key of a wrong length");
}

static void test_shared(void **state)
{
	static const struct nexus_kext x = { 0, 5, 1, 2, 0 }, other = { 50, 5, 1, 2, 0 };
	struct nexus_shared_val v = { .ino = 0 };
	struct nexus_key k;
	struct store t;

	(void)state;
	must(&s, rec_share(23, 23, 0, 2));
	must(&s, rec_clone(&(struct clone_args) {
		.src = 23, .src_id = 23, .ino = 23, .id = 23, .to = 50, .nblocks = 2,
		.mapped = 2, .size = 52 * 4096 }));
	assert_int_equal(store_problems(&s, true), 0);
	nexus_ref_key(&k, 23, &x);
	lose(&k, "shared extent without its reference");
	nexus_ref_key(&k, 23, &other);
	lose(&k, "shared extent without its reference");
	/* A reference more. */
	nexus_ref_key(&k, 99, &x);
	store_copy(&t, &s);
	nexus_val_seal(&v, sizeof(v), 'R');
	assert_int_equal(nexus_omap_put(&t.map, k.b, k.len, &v, sizeof(v)), 0);
	finds(&t, "reference without its extent");
	/* One that is none. */
	nexus_ref_key(&k, 23, &x);
	k.b[9] = 1;
	store_copy(&t, &s);
	assert_int_equal(nexus_omap_put(&t.map, k.b, k.len, &v, sizeof(v)), 0);
	finds(&t, "damaged reference");
	nexus_key_extent(&k, 23, 0);
	poke(&k, offsetof(struct nexus_extent_val, flags), 0, 4,
	     "reference without its extent");
	poke(&k, offsetof(struct nexus_extent_val, flags), 0, 4,
	     "shared blocks with an owner");
	poke(&k, offsetof(struct nexus_extent_val, block), 20, 4,
	     "reference without its extent");
	poke(&k, offsetof(struct nexus_extent_val, flags),
	     NEXUS_EF_SHARED | NEXUS_EF_UNWRITTEN, 4, "damaged extent");
	/* Two blocks shared by two, and two more: four are live. */
	nexus_key_pack(&k, 5);
	poke(&k, offsetof(struct nexus_pack_val, live), 6, 4, "live blocks");
	poke(&k, offsetof(struct nexus_pack_val, live), 3, 4, "live blocks");
}

static void test_space(void **state)
{
	struct nexus_key k;

	(void)state;
	nexus_key_pack(&k, 5);
	lose(&k, "pack record is missing");
	poke(&k, offsetof(struct nexus_pack_val, live), 3, 4, "live blocks");
	poke(&k, offsetof(struct nexus_pack_val, used), 3, 4, "used blocks");
	nexus_key_extent(&k, 23, 0);
	poke(&k, offsetof(struct nexus_extent_val, nblocks), 9, 4, "extents overlap");
	poke(&k, offsetof(struct nexus_extent_val, block), 8, 4,
	     "blocks with two owners");
	poke(&k, offsetof(struct nexus_extent_val, block), 10, 4,
	     "blocks with two owners");
	poke(&k, offsetof(struct nexus_extent_val, block), 0, 4, "damaged extent");
	lose(&k, "inode counts other blocks than it has");
	nexus_key_quota(&k, NEXUS_QUOTA_ZONE, 0);
	lose(&k, "inodes in use");
	poke(&k, offsetof(struct nexus_quota_val, blocks), 9, 8, "blocks in use");
	nexus_key_quota(&k, NEXUS_QUOTA_UNWRITTEN, 0);
	lose(&k, "blocks in use");
	nexus_key_extent(&k, 23, 100 * 4096);
	lose(&k, "inode counts other unwritten blocks than it has");
	poke(&k, offsetof(struct nexus_extent_val, pack), 5, 8, "damaged extent");
	nexus_key_content(&k, 25);
	lose(&k, "content and inode differ");
	nexus_key_setting(&k, 1);
	poke(&k, offsetof(struct nexus_setting_val, pathlen), 99, 2,
	     "damaged setting");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_inodes), T(test_inline), T(test_names), T(test_xattr), T(test_space), T(test_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
