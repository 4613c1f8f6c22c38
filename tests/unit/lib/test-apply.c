// SPDX-License-Identifier: Apache-2.0
/* Apply, one rule at a time: what each record does to the store. */
#include "records.h"

#define DEEP 65600u	/* more than NEXUS_AP_DEPTH_MAX */

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

static u64 quota(u8 kind, u64 id, bool blocks)
{
	struct nexus_quota_val q;
	struct nexus_key k;
	const void *v;

	nexus_key_quota(&k, kind, id);
	v = store_get(&s, &k, NULL);
	if (!v)
		return 0;
	memcpy(&q, v, sizeof(q));
	return le64_to_cpu(blocks ? q.blocks : q.inodes);
}

static bool has_name(u64 ino, u64 parent, const char *name)
{
	struct nexus_key k;

	nexus_key_name(&k, ino, parent, name, strlen(name));
	return store_get(&s, &k, NULL);
}

static u32 orphan_kind(u64 data_id)
{
	struct nexus_orphan_val o;
	struct nexus_key k;
	const void *v;

	nexus_key_orphan(&k, data_id);
	v = store_get(&s, &k, NULL);
	if (!v)
		return 0;
	memcpy(&o, v, sizeof(o));
	return le32_to_cpu(o.kind);
}

/* Number of E records; *@first: that of the first one. */
static u32 extents(u64 data_id, struct nexus_extent_val *first)
{
	const struct nexus_omap_entry *e;
	struct nexus_key k;
	u32 n = 0;

	nexus_key_extent(&k, data_id, 0);
	for (e = nexus_omap_lower(&s.map, k.b, k.len, false);
	     e && !memcmp(e->data, k.b, 9);
	     e = nexus_omap_lower(&s.map, e->data, e->klen, true))
		if (!n++ && first)
			memcpy(first, nexus_omap_val(e), sizeof(*first));
	return n;
}

static struct nexus_pack_val pack_of(u64 pack)
{
	struct nexus_pack_val b = { 0 };
	struct nexus_key k;
	const void *v;

	nexus_key_pack(&k, pack);
	v = store_get(&s, &k, NULL);
	if (v)
		memcpy(&b, v, sizeof(b));
	return b;
}

#define INO(field, ino) le64_to_cpu(store_inode(&s, ino)->field)
#define INO32(field, ino) le32_to_cpu(store_inode(&s, ino)->field)

static void test_mkfs(void **state)
{
	const struct nexus_inode_val *root = store_inode(&s, 1);

	(void)state;
	assert_int_equal(le32_to_cpu(root->mode), DIR_MODE);
	assert_int_equal(le32_to_cpu(root->nlink), 2);
	assert_int_equal(le64_to_cpu(root->parent), 1);
	assert_int_equal(le64_to_cpu(root->pos), 0);
	assert_int_equal(le64_to_cpu(root->next_pos), NEXUS_FIRST_POS);
	assert_int_equal(le64_to_cpu(root->data_id), 1);
	assert_int_equal(le64_to_cpu(root->version), 1);
	assert_int_equal(quota(NEXUS_QUOTA_ZONE, 0, false), 1);
}

static void test_create(void **state)
{
	struct create_args a = {
		.parent = 1, .pos = 9, .ino = 20, .data_id = 20, .name = "f",
		.mode = S_IFREG | 04750, .uid = 5, .gid = 6, .projid = 7,
		.content = "hello", .contentlen = 5, .xname = "user.a",
		.xval = "1", .iflags = NEXUS_IF_NODUMP,
	};
	struct nexus_key k;
	size_t len;

	(void)state;
	must(&s, rec_create(&a));
	assert_int_equal(INO32(mode, 20), S_IFREG | 04750);
	assert_int_equal(INO32(nlink, 20), 1);
	assert_int_equal(INO(parent, 20), 1);
	assert_int_equal(INO(pos, 20), 9);
	assert_int_equal(INO(size, 20), 5);
	assert_int_equal(INO(version, 20), 1);
	assert_int_equal(INO(gen, 20), 1);
	assert_int_equal(INO(btime_s, 20), 1000);
	assert_int_equal(INO32(ctime_ns, 20), 5);
	assert_int_equal(INO32(generation, 20), 7);
	assert_int_equal(INO32(flags, 20), NEXUS_IF_INLINE | NEXUS_IF_NODUMP);
	nexus_key_content(&k, 20);
	assert_non_null(store_get(&s, &k, &len));
	assert_int_equal(len, 8 + 5);
	nexus_key_xattr(&k, 20, "user.a", 6);
	assert_non_null(store_get(&s, &k, &len));
	assert_int_equal(INO(children, 1), 1);
	assert_int_equal(INO(next_pos, 1), 10);
	assert_int_equal(INO32(nlink, 1), 2);
	assert_int_equal(INO(version, 1), 2);
	assert_int_equal(quota(NEXUS_QUOTA_ZONE, 0, false), 2);
	assert_int_equal(quota(NEXUS_QUOTA_USER, 5, false), 1);
	assert_int_equal(quota(NEXUS_QUOTA_GROUP, 6, false), 1);
	assert_int_equal(quota(NEXUS_QUOTA_PROJECT, 7, false), 1);

	must(&s, rec_mk(1, 10, 21, "d", DIR_MODE));
	assert_int_equal(INO32(nlink, 1), 3);
	assert_int_equal(INO32(nlink, 21), 2);
	assert_int_equal(INO(gen, 21), 0);
	/* A lower pos is legal as long as it is free. */
	must(&s, rec_mk(1, 4, 22, "e", FILE_MODE));
	assert_int_equal(INO(next_pos, 1), 11);
}

static void test_links(void **state)
{
	(void)state;
	must(&s, rec_mk(1, 3, 20, "a", FILE_MODE));
	must(&s, rec_link(1, 4, 20, "b"));
	assert_int_equal(INO32(nlink, 20), 2);
	assert_int_equal(INO(parent, 20), 0);
	assert_true(has_name(20, 1, "a") && has_name(20, 1, "b"));
	must(&s, rec_link(1, 5, 20, "c"));
	assert_true(has_name(20, 1, "c"));
	must(&s, rec_unlink(1, 3, 20, "a"));
	assert_false(has_name(20, 1, "a"));
	assert_int_equal(INO(parent, 20), 0);
	must(&s, rec_unlink(1, 5, 20, "c"));
	assert_int_equal(INO32(nlink, 20), 1);
	assert_int_equal(INO(parent, 20), 1);
	assert_int_equal(INO(pos, 20), 4);
	assert_false(has_name(20, 1, "b"));
	must(&s, rec_unlink(1, 4, 20, "b"));
	assert_int_equal(INO32(nlink, 20), 0);
	assert_int_equal(orphan_kind(20), NEXUS_ORPHAN_INODE);
	assert_int_equal(INO(children, 1), 0);
	assert_int_equal(quota(NEXUS_QUOTA_ZONE, 0, false), 2);
	/* An orphan may get a name again. */
	must(&s, rec_link(1, 6, 20, "z"));
	assert_int_equal(orphan_kind(20), 0);
	assert_int_equal(INO(pos, 20), 6);
}

static void test_tmpfile(void **state)
{
	(void)state;
	must(&s, rec_mk(0, 0, 20, NULL, FILE_MODE));
	assert_int_equal(INO32(nlink, 20), 0);
	assert_int_equal(orphan_kind(20), NEXUS_ORPHAN_INODE);
	must(&s, rec_setxattr(20, "user.x", "y", 0));
	must(&s, rec_forget(20, 20, 10));
	assert_null(store_inode(&s, 20));
	assert_int_equal(orphan_kind(20), 0);
	assert_int_equal(quota(NEXUS_QUOTA_ZONE, 0, false), 1);
}

/* The first name of an inode that had none, then a second, then none again. */
static void test_tmpfile_named(void **state)
{
	(void)state;
	must(&s, rec_mk(1, 3, 19, "d", DIR_MODE));
	must(&s, rec_mk(0, 0, 20, NULL, FILE_MODE));
	must(&s, rec_extent(20, 20, 0, 8192, 5, 1, 2, 0));
	must(&s, rec_link(19, 3, 20, "a"));
	assert_int_equal(INO32(nlink, 20), 1);
	assert_int_equal(INO(parent, 20), 19);
	assert_int_equal(INO(pos, 20), 3);
	assert_int_equal(INO(blocks, 20), 2);
	assert_int_equal(INO(children, 19), 1);
	assert_int_equal(INO(next_pos, 19), 4);
	assert_int_equal(orphan_kind(20), 0);
	assert_false(has_name(20, 19, "a"));
	/* It cannot be forgotten any more, and its names move as any file's. */
	refused(&s, rec_forget(20, 20, 10), NULL);
	must(&s, rec_link(1, 4, 20, "b"));
	assert_int_equal(INO32(nlink, 20), 2);
	assert_int_equal(INO(parent, 20), 0);
	assert_true(has_name(20, 19, "a") && has_name(20, 1, "b"));
	must(&s, rec_unlink(19, 3, 20, "a"));
	assert_int_equal(INO(parent, 20), 1);
	assert_int_equal(INO(pos, 20), 4);
	must(&s, rec_unlink(1, 4, 20, "b"));
	assert_int_equal(orphan_kind(20), NEXUS_ORPHAN_INODE);
	must(&s, rec_forget(20, 20, 10));
	assert_null(store_inode(&s, 20));
	assert_int_equal(quota(NEXUS_QUOTA_ZONE, 0, true), 0);
}

/* Deeper than apply walks up: who wrote the record has looked. */
static void test_rename_deep(void **state)
{
	u64 ino, up = 1;

	(void)state;
	must(&s, rec_mk(1, 4, 20, "x", DIR_MODE));
	for (ino = 100; ino < 100 + DEEP; ino++) {
		must(&s, rec_mk(up, 3, ino, "d", DIR_MODE));
		up = ino;
	}
	must(&s, rec_rename(1, 4, 20, "x", up, 3, 0, "x", 0));
	assert_int_equal(INO(parent, 20), up);
	must(&s, rec_rename(up, 3, 20, "x", 1, 5, 0, "y", 0));
	assert_int_equal(INO(parent, 20), 1);
}

static void test_rename(void **state)
{
	(void)state;
	must(&s, rec_mk(1, 3, 20, "d", DIR_MODE));
	must(&s, rec_mk(1, 4, 21, "e", DIR_MODE));
	must(&s, rec_mk(1, 5, 22, "f", FILE_MODE));
	must(&s, rec_rename(1, 3, 20, "d", 21, 3, 0, "in", 0));
	assert_int_equal(INO(parent, 20), 21);
	assert_int_equal(INO32(nlink, 1), 3);
	assert_int_equal(INO32(nlink, 21), 3);
	assert_int_equal(INO(children, 1), 2);
	assert_int_equal(INO(children, 21), 1);
	assert_int_equal(INO(next_pos, 21), 4);

	must(&s, rec_mk(20, 3, 23, "g", FILE_MODE));
	must(&s, rec_link(1, 7, 23, "g2"));
	must(&s, rec_rename(1, 5, 22, "f", 20, 3, 23, "g", 0));
	assert_int_equal(INO(parent, 22), 20);
	assert_int_equal(INO(pos, 22), 3);
	assert_int_equal(INO32(nlink, 23), 1);
	assert_int_equal(INO(parent, 23), 1);
	assert_int_equal(INO(pos, 23), 7);
	/* Replaced for good. */
	must(&s, rec_rename(1, 7, 23, "g2", 20, 3, 22, "g", 0));
	assert_int_equal(orphan_kind(22), NEXUS_ORPHAN_INODE);
	/* A directory over an empty one. */
	must(&s, rec_mk(1, 8, 24, "h", DIR_MODE));
	must(&s, rec_rename(21, 3, 20, "in", 1, 8, 24, "h", 0));
	assert_int_equal(orphan_kind(24), NEXUS_ORPHAN_INODE);
	assert_int_equal(INO32(nlink, 24), 0);
	assert_int_equal(INO32(nlink, 1), 4);
	assert_int_equal(INO32(nlink, 21), 2);
}

static void test_exchange(void **state)
{
	(void)state;
	must(&s, rec_mk(1, 3, 20, "d", DIR_MODE));
	must(&s, rec_mk(20, 3, 21, "f", FILE_MODE));
	must(&s, rec_mk(1, 4, 22, "e", DIR_MODE));
	must(&s, rec_link(1, 5, 21, "f2"));
	must(&s, rec_rename(20, 3, 21, "f", 1, 4, 22, "e", NEXUS_RF_EXCHANGE));
	assert_int_equal(INO(parent, 22), 20);
	assert_int_equal(INO(pos, 22), 3);
	assert_int_equal(INO32(nlink, 20), 3);
	assert_int_equal(INO32(nlink, 1), 3);
	assert_true(has_name(21, 1, "e") && !has_name(21, 20, "f"));
	assert_int_equal(INO(children, 1), 3);
	/* Within one directory. */
	must(&s, rec_rename(1, 4, 21, "e", 1, 3, 20, "d", NEXUS_RF_EXCHANGE));
	assert_int_equal(INO(pos, 20), 4);
	assert_true(has_name(21, 1, "d"));
}

/* Scenario A20. */
static void test_setattr(void **state)
{
	(void)state;
	must(&s, rec_mk(1, 3, 20, "f", FILE_MODE));
	must(&s, rec_extent(20, 20, 0, 8192, 5, 1, 2, 0));
	must(&s, rec_setattr(20, NEXUS_SA_UID | NEXUS_SA_PROJID | NEXUS_SA_MODE |
			     NEXUS_SA_MTIME, S_IFDIR | 0600, 9, 8, 3));
	assert_int_equal(INO32(mode, 20), S_IFREG | 0600);
	assert_int_equal(INO32(uid, 20), 9);
	assert_int_equal(INO32(gid, 20), 0);
	assert_int_equal(INO(mtime_s, 20), 32);
	assert_int_equal(INO(atime_s, 20), 1000);
	assert_int_equal(quota(NEXUS_QUOTA_USER, 9, true), 2);
	assert_int_equal(quota(NEXUS_QUOTA_USER, 0, true), 0);
	assert_int_equal(quota(NEXUS_QUOTA_USER, 0, false), 1);
	assert_int_equal(quota(NEXUS_QUOTA_GROUP, 0, true), 2);
	assert_int_equal(quota(NEXUS_QUOTA_PROJECT, 3, true), 2);
	assert_int_equal(quota(NEXUS_QUOTA_ZONE, 0, true), 2);
}

/* Scenario A13. */
static void test_extents(void **state)
{
	struct nexus_extent_val e;

	(void)state;
	must(&s, rec_mk(1, 3, 20, "f", FILE_MODE));
	must(&s, rec_extent(20, 20, 0, 16384, 5, 100, 4, 0));
	assert_int_equal(INO(size, 20), 16384);
	assert_int_equal(INO(blocks, 20), 4);
	assert_int_equal(INO(mtime_s, 20), 2000);
	assert_int_equal(INO(ctime_s, 20), 2001);
	assert_int_equal(INO(gen, 20), 1);
	/* Goes on in file and pack: one record. */
	must(&s, rec_extent(20, 20, 4, 20480, 5, 104, 1, 0));
	assert_int_equal(extents(20, &e), 1);
	assert_int_equal(le32_to_cpu(e.nblocks), 5);
	/* Other flags: another record. */
	must(&s, rec_extent(20, 20, 5, 24576, 5, 105, 1, NEXUS_EF_NOCRC));
	assert_int_equal(extents(20, NULL), 2);
	/* A hole is cut into the first one and filled from elsewhere. */
	must(&s, rec_extent(20, 20, 1, 0, 6, 7, 2, 0));
	assert_int_equal(extents(20, &e), 4);
	assert_int_equal(le32_to_cpu(e.nblocks), 1);
	assert_int_equal(INO(blocks, 20), 6);
	assert_int_equal(INO(size, 20), 24576);
	assert_int_equal(le32_to_cpu(pack_of(5).live), 4);
	assert_int_equal(le32_to_cpu(pack_of(5).used), 106);
	assert_int_equal(le32_to_cpu(pack_of(6).live), 2);
	/* Across a window: two records. */
	must(&s, rec_extent(20, 20, 255, 0, 8, 1, 3, 0));
	assert_int_equal(extents(20, NULL), 6);
	assert_int_equal(quota(NEXUS_QUOTA_ZONE, 0, true), 9);
	/* Wholly replaced by one. */
	must(&s, rec_extent(20, 20, 0, 0, 9, 1, 256, 0));
	assert_int_equal(extents(20, NULL), 2);
	assert_int_equal(INO(blocks, 20), 258);
}

/* A file that gets longer in blocks that it has: nothing moves, and nothing is freed. */
static void test_in_place(void **state)
{
	static const u32 where[] = { 9, 9, 0, 5, 6, 2 };
	struct nexus_extent_val e;
	u32 i;

	(void)state;
	must(&s, rec_mk(1, 3, 20, "f", FILE_MODE));
	must(&s, rec_extent(20, 20, 250, 0, 5, 100, 10, NEXUS_EF_NOCRC));
	assert_int_equal(extents(20, NULL), 2);
	/* The last, where files get longer; the first, both sides of a window, the middle. */
	for (i = 0; i < 6; i++) {
		must(&s, rec_extent(20, 20, 250 + where[i], 260 * 4096 - 5 + i, 5,
				    100 + where[i], 1, NEXUS_EF_NOCRC));
		assert_int_equal(INO(disk_size, 20), 260 * 4096 - 5 + i);
		assert_int_equal(INO(size, 20), 260 * 4096 - 5 + i);
		assert_int_equal(INO(gen, 20), 2 + i);
		assert_int_equal(INO(blocks, 20), 10);
		if (i < 2) {
			assert_int_equal(extents(20, &e), 2);
			assert_int_equal(le32_to_cpu(e.block), 100);
			assert_int_equal(le32_to_cpu(e.nblocks), 6);
		}
		assert_int_equal(le32_to_cpu(pack_of(5).live), 10);
		assert_int_equal(le32_to_cpu(pack_of(5).used), 110);
		assert_int_equal(quota(NEXUS_QUOTA_ZONE, 0, true), 10);
	}
}

static void test_punch(void **state)
{
	struct create_args a = {
		.parent = 1, .pos = 4, .ino = 21, .data_id = 21, .name = "g",
		.mode = FILE_MODE, .content = "0123", .contentlen = 4,
	};
	struct nexus_extent_val e;

	(void)state;
	must(&s, rec_mk(1, 3, 20, "f", FILE_MODE));
	must(&s, rec_extent(20, 20, 250, 300 * 4096, 5, 100, 50, 0));
	/* Out of the middle, over a window, and of nothing. */
	must(&s, rec_range(NEXUS_REC_PUNCH, 20, 20, 254, 4, 0));
	assert_int_equal(INO(blocks, 20), 46);
	assert_int_equal(INO(size, 20), 300 * 4096);
	assert_int_equal(INO(mtime_s, 20), 1000);
	assert_int_equal(INO(gen, 20), 2);
	assert_int_equal(extents(20, &e), 2);
	assert_int_equal(le32_to_cpu(e.nblocks), 4);
	assert_int_equal(le32_to_cpu(pack_of(5).live), 46);
	must(&s, rec_range(NEXUS_REC_PUNCH, 20, 20, 254, 4, 0));
	must(&s, rec_range(NEXUS_REC_PUNCH, 20, 20, 1000, 65536, 0));
	assert_int_equal(INO(blocks, 20), 46);
	assert_int_equal(quota(NEXUS_QUOTA_ZONE, 0, true), 46);
	/* What was to prove the size may be gone unwritten. */
	must(&s, rec_range(NEXUS_REC_PUNCH, 20, 20, 400, 1, 399 * 4096 + 5));
	assert_int_equal(INO(size, 20), 399 * 4096 + 5);
	assert_int_equal(INO(disk_size, 20), 300 * 4096);
	must(&s, rec_range(NEXUS_REC_PUNCH, 20, 20, 400, 1, 7));
	assert_int_equal(INO(size, 20), 399 * 4096 + 5);
	/* An inline body goes with its block only. */
	must(&s, rec_create(&a));
	must(&s, rec_range(NEXUS_REC_PUNCH, 21, 21, 1, 5, 0));
	assert_true(INO32(flags, 21) & NEXUS_IF_INLINE);
	must(&s, rec_range(NEXUS_REC_PUNCH, 21, 21, 0, 1, 0));
	assert_false(INO32(flags, 21) & NEXUS_IF_INLINE);
}

static void test_move(void **state)
{
	struct move_args a = {
		.ino = 20, .id = 20, .at = 250, .from_pack = 5, .from_block = 350,
		.to_pack = 6, .to_block = 40, .nblocks = 12,
	};
	struct nexus_extent_val e;
	u64 gen, version;
	u32 i;

	(void)state;
	must(&s, rec_mk(1, 3, 20, "f", FILE_MODE));
	must(&s, rec_extent(20, 20, 0, 0, 5, 100, 256, 0));
	must(&s, rec_extent(20, 20, 256, 4096, 5, 356, 20, 0));
	must(&s, rec_pack(5, NEXUS_PACK_SEALED, 376));
	gen = INO(gen, 20);
	version = INO(version, 20);
	/* Over the border of a window. */
	must(&s, rec_move(&a));
	assert_int_equal(extents(20, &e), 4);
	assert_int_equal(le32_to_cpu(pack_of(5).live), 264);
	assert_int_equal(le32_to_cpu(pack_of(6).live), 12);
	assert_int_equal(le32_to_cpu(pack_of(6).used), 52);
	assert_int_equal(le32_to_cpu(pack_of(6).state), NEXUS_PACK_OPEN);
	assert_int_equal(INO(blocks, 20), 276);
	assert_int_equal(INO(gen, 20), gen);
	assert_int_equal(INO(version, 20), version);
	assert_int_equal(store_problems(&s, true), 0);
	/* Again: it is not there any more.  Nor is what was never so. */
	must(&s, rec_move(&a));
	a.at = 249;
	a.from_block = 349;
	must(&s, rec_move(&a));
	a.at = 270;
	a.from_block = 370;
	a.nblocks = 7;
	must(&s, rec_move(&a));
	a.nblocks = 6;
	a.ino = 21;
	must(&s, rec_move(&a));
	a.ino = 1;
	must(&s, rec_move(&a));
	a.ino = 20;
	a.id = 21;
	must(&s, rec_move(&a));
	assert_int_equal(le32_to_cpu(pack_of(6).live), 12);
	a.id = 20;
	a.to_block = 60;
	must(&s, rec_move(&a));
	assert_int_equal(le32_to_cpu(pack_of(6).live), 18);
	/* Neither what is shared nor what is reserved. */
	must(&s, rec_share(20, 20, 0, 10));
	must(&s, rec_range(NEXUS_REC_RESERVE, 20, 20, 300, 5, 0));
	for (i = 0; i < 2; i++) {
		a = (struct move_args) {
			.ino = 20, .id = 20, .at = i ? 300 : 0, .from_pack = 5,
			.from_block = i ? 1 : 100, .to_pack = 6, .to_block = 70,
			.nblocks = 2,
		};
		must(&s, rec_move(&a));
	}
	assert_int_equal(le32_to_cpu(pack_of(6).live), 18);
	assert_int_equal(store_problems(&s, true), 0);
}

static void test_reserve(void **state)
{
	struct nexus_extent_val e;
	u32 i;

	(void)state;
	must(&s, rec_mk(1, 3, 20, "f", FILE_MODE));
	must(&s, rec_extent(20, 20, 10, 0, 5, 100, 5, 0));
	must(&s, rec_range(NEXUS_REC_RESERVE, 20, 20, 0, 300, 5000));
	assert_int_equal(INO(size, 20), 5000);
	assert_int_equal(INO(disk_size, 20), 0);
	assert_int_equal(INO(blocks, 20), 300);
	assert_int_equal(INO(unwritten, 20), 295);
	assert_int_equal(quota(NEXUS_QUOTA_UNWRITTEN, 0, true), 295);
	assert_int_equal(quota(NEXUS_QUOTA_USER, 0, true), 300);
	assert_int_equal(extents(20, &e), 4);
	assert_int_equal(le64_to_cpu(e.pack) + le32_to_cpu(e.block), 0);
	assert_int_equal(le32_to_cpu(pack_of(5).live), 5);
	/* Again: nothing more. */
	must(&s, rec_range(NEXUS_REC_RESERVE, 20, 20, 0, 300, 0));
	assert_int_equal(INO(blocks, 20), 300);
	/* A write into it takes it over. */
	must(&s, rec_extent(20, 20, 2, 0, 5, 105, 2, 0));
	assert_int_equal(INO(blocks, 20), 300);
	assert_int_equal(INO(unwritten, 20), 293);
	/* Punch and cut give it back. */
	must(&s, rec_range(NEXUS_REC_PUNCH, 20, 20, 1, 2, 0));
	assert_int_equal(INO(unwritten, 20), 292);
	must(&s, rec_truncate(20, 20, 0, 5 * 4096, 0, 0));
	assert_int_equal(INO(blocks, 20), 3);
	assert_int_equal(INO(unwritten, 20), 2);
	/* In small steps, from both ends: one extent. */
	for (i = 0; i < 5; i++) {
		must(&s, rec_range(NEXUS_REC_RESERVE, 20, 20, 100 + i, 1, 0));
		must(&s, rec_range(NEXUS_REC_RESERVE, 20, 20, 110 - i, 1, 0));
	}
	must(&s, rec_range(NEXUS_REC_RESERVE, 20, 20, 105, 1, 0));
	assert_int_equal(extents(20, &e), 4);
	assert_int_equal(INO(unwritten, 20), 13);
	assert_int_equal(store_problems(&s, true), 0);
	/* The whole body at once, and the inode with its body. */
	must(&s, rec_truncate(20, 20, 30, 0, 0, 0));
	assert_int_equal(INO(unwritten, 20), 0);
	assert_int_equal(quota(NEXUS_QUOTA_UNWRITTEN, 0, true), 0);
	must(&s, rec_bulk(20, 100));
	must(&s, rec_range(NEXUS_REC_RESERVE, 20, 30, 0, 600, 0));
	must(&s, rec_unlink(1, 3, 20, "f"));
	must(&s, rec_forget(20, 30, 1));
	assert_int_equal(quota(NEXUS_QUOTA_UNWRITTEN, 0, true), 0);
	assert_int_equal(quota(NEXUS_QUOTA_ZONE, 0, true), 0);
	must(&s, rec_bulk(30, 100));
	assert_int_equal(orphan_kind(30), 0);
}

static void test_truncate(void **state)
{
	struct nexus_extent_val e;

	(void)state;
	must(&s, rec_mk(1, 3, 20, "f", FILE_MODE));
	must(&s, rec_extent(20, 20, 0, 40960, 5, 100, 10, 0));
	must(&s, rec_truncate(20, 20, 0, 5 * 4096, 0, 0));
	assert_int_equal(INO(blocks, 20), 5);
	assert_int_equal(INO(disk_size, 20), 5 * 4096);
	/* With a new tail in the middle of the extent. */
	must(&s, rec_truncate(20, 20, 0, 2 * 4096 + 1, 6, 3));
	assert_int_equal(INO(blocks, 20), 3);
	assert_int_equal(extents(20, &e), 2);
	assert_int_equal(le32_to_cpu(e.nblocks), 2);
	assert_int_equal(le32_to_cpu(pack_of(5).live), 2);
	assert_int_equal(le32_to_cpu(pack_of(6).live), 1);
	/* Up: only the size. */
	must(&s, rec_truncate(20, 20, 0, 1 << 20, 0, 0));
	assert_int_equal(INO(size, 20), 1 << 20);
	assert_int_equal(INO(disk_size, 20), 2 * 4096 + 1);
	/* The whole body at once. */
	must(&s, rec_truncate(20, 20, 30, 0, 0, 0));
	assert_int_equal(INO(data_id, 20), 30);
	assert_int_equal(INO(blocks, 20), 0);
	assert_int_equal(quota(NEXUS_QUOTA_ZONE, 0, true), 0);
	assert_int_equal(orphan_kind(20), NEXUS_ORPHAN_BULK);
	assert_int_equal(le32_to_cpu(pack_of(5).live), 2);
	must(&s, rec_bulk(20, 1));
	assert_int_equal(orphan_kind(20), NEXUS_ORPHAN_BULK);
	must(&s, rec_bulk(20, 1));
	assert_int_equal(orphan_kind(20), 0);
	assert_int_equal(le32_to_cpu(pack_of(5).live), 0);
	/* Once more changes nothing. */
	must(&s, rec_bulk(20, 1));
	/* Nothing to free: nothing queued. */
	must(&s, rec_truncate(20, 30, 31, 0, 0, 0));
	assert_int_equal(orphan_kind(30), 0);
}

/* Scenarios B14, E9. */
static void test_truncate_orphan(void **state)
{
	(void)state;
	must(&s, rec_mk(1, 3, 20, "f", FILE_MODE));
	must(&s, rec_extent(20, 20, 0, 4096, 5, 100, 1, 0));
	must(&s, rec_extent(20, 20, 9, 40960, 5, 102, 1, 0));
	must(&s, rec_unlink(1, 3, 20, "f"));
	must(&s, rec_truncate(20, 20, 30, 0, 0, 0));
	assert_int_equal(orphan_kind(20), NEXUS_ORPHAN_BULK);
	assert_int_equal(orphan_kind(30), NEXUS_ORPHAN_INODE);
	must(&s, rec_extent(20, 30, 0, 4096, 5, 104, 1, 0));
	must(&s, rec_forget(20, 30, 0));
	assert_int_equal(orphan_kind(30), NEXUS_ORPHAN_BULK);
	assert_int_equal(quota(NEXUS_QUOTA_ZONE, 0, true), 0);
	must(&s, rec_bulk(30, 5));
	must(&s, rec_bulk(20, 5));
	assert_int_equal(orphan_kind(20) + orphan_kind(30), 0);
	assert_int_equal(le32_to_cpu(pack_of(5).live), 0);
}

static void test_store_records(void **state)
{
	struct nexus_quota_val q;
	struct nexus_key k;
	size_t len = 0;

	(void)state;
	must(&s, rec_nop());
	must(&s, rec_setting(77, "/cfg/a", "1"));
	must(&s, rec_setting(77, "/cfg/a", "22"));
	nexus_key_setting(&k, 77);
	assert_non_null(store_get(&s, &k, &len));
	assert_int_equal(len, 16 + 8);
	must(&s, rec_setting(77, "/cfg/a", ""));
	assert_null(store_get(&s, &k, NULL));
	must(&s, rec_setting(78, "/cfg/b", ""));

	must(&s, rec_quota(NEXUS_QUOTA_USER, 0, 1, 0));
	nexus_key_quota(&k, NEXUS_QUOTA_USER, 0);
	memcpy(&q, store_get(&s, &k, NULL), sizeof(q));
	assert_int_equal(le64_to_cpu(q.inodes_time), 0);
	must(&s, rec_mk(1, 3, 20, "f", FILE_MODE));
	memcpy(&q, store_get(&s, &k, NULL), sizeof(q));
	assert_int_equal(le64_to_cpu(q.inodes), 2);
	assert_int_equal(le64_to_cpu(q.inodes_time), 1000);
	must(&s, rec_quota(NEXUS_QUOTA_USER, 0, 0, 0));
	memcpy(&q, store_get(&s, &k, NULL), sizeof(q));
	assert_int_equal(le64_to_cpu(q.inodes_time), 0);

	must(&s, rec_extent(20, 20, 0, 4096, 5, 1, 1, 0));
	assert_int_equal(le32_to_cpu(pack_of(5).state), NEXUS_PACK_OPEN);
	must(&s, rec_pack(5, NEXUS_PACK_SEALED, 2));
	must(&s, rec_truncate(20, 20, 0, 0, 0, 0));
	must(&s, rec_pack(5, 0, 0));
	assert_int_equal(le32_to_cpu(pack_of(5).state), 0);
	must(&s, rec_pack(6, NEXUS_PACK_SEALED, 0));
	must(&s, rec_data(20, 20, 0, "bytes"));
}

/* What a later version put behind the known fields stays there.  Scenario A36. */
static void test_unknown_tail(void **state)
{
	u8 val[sizeof(struct nexus_inode_val) + 24];
	struct nexus_key k;
	const u8 *after;
	size_t len = 0;

	(void)state;
	must(&s, rec_mk(1, 3, 20, "f", FILE_MODE));
	nexus_key_inode(&k, 20);
	memcpy(val, store_get(&s, &k, NULL), sizeof(struct nexus_inode_val));
	memset(val + sizeof(struct nexus_inode_val), 0x5a, 24);
	nexus_val_seal(val, sizeof(val), NEXUS_KEY_INODE);
	assert_int_equal(nexus_omap_put(&s.map, k.b, k.len, val, sizeof(val)), 0);
	must(&s, rec_setattr(20, NEXUS_SA_MODE, 0600, 0, 0, 0));
	after = store_get(&s, &k, &len);
	assert_int_equal(len, sizeof(val));
	assert_memory_equal(after + sizeof(struct nexus_inode_val),
			    val + sizeof(struct nexus_inode_val), 24);
	assert_int_equal(INO32(mode, 20), S_IFREG | 0600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_mkfs), T(test_create), T(test_links), T(test_tmpfile),
		T(test_tmpfile_named), T(test_rename), T(test_rename_deep), T(test_exchange), T(test_setattr),
		T(test_extents), T(test_punch), T(test_move), T(test_reserve), T(test_truncate),
		T(test_in_place),
		T(test_truncate_orphan),
		T(test_store_records),
		T(test_unknown_tail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
