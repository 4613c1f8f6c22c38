// SPDX-License-Identifier: Apache-2.0
/*
 * The repair: whatever is damaged, the check finds nothing afterwards, what was not
 * damaged is byte by byte as it was, and a second repair has nothing to do.
 */
#include "lib/repair.h"
#include "records.h"

static struct store s;		/* a sound one, with keys of every kind */
static bool print_notes;

static void note(void *arg, const struct nexus_repair_note *n)
{
	(*(u32 *)arg)++;
	if (print_notes)
		printf("# %c %llu (%llu) %.*s: %s\n", n->letter, n->id, n->other,
		       (int)n->namelen, n->name ? (const char *)n->name : "", n->what);
}

/* The packs know nothing, and are not asked about what is in none. */
static bool fits(void *arg, const struct nexus_kext *x)
{
	(void)arg;
	assert_true(x->pack && x->block && !(x->flags & NEXUS_EF_UNWRITTEN));
	return true;
}

static u64 owner(void *arg, u64 data_id, u64 pack, u32 block)
{
	(void)arg;
	(void)data_id;
	assert_true(pack && block);
	return 0;
}

static s64 repair(struct store *t)
{
	u32 notes = 0;
	const struct nexus_repair r = {
		.kv = &t->kv, .now = { 5000, 7 }, .arg = &notes, .note = note,
		.alloc = true, .min_pack = 2, .fits = fits, .owner = owner,
	};
	s64 ret = nexus_store_repair(&r);

	if (ret >= 0)
		assert_int_equal(ret, notes);
	return ret;
}

/* Clean now, and nothing is left to do. */
static void mended(struct store *t, const char *what, const struct nexus_key *k, size_t at)
{
	struct store before, damaged;
	s64 n;

	store_copy(&damaged, t);
	n = repair(t);

	if (n >= 0 && !store_problems(t, false)) {
		store_copy(&before, t);
		n = repair(t);
		if (!n && store_equal(&before, t)) {
			store_destroy(&before);
			store_destroy(&damaged);
			return;
		}
		printf("# a second repair made %lld changes\n", (long long)n);
	}
	print_notes = true;
	printf("# the first repair again:\n");
	repair(&damaged);
	store_problems(&damaged, true);
	printf("# and a second:\n");
	repair(&damaged);
	fail_msg("%s of %c %llu at %zu (%lld)", what, k ? k->b[0] : '?',
		 k && k->len >= 9 ? nexus_get_be64(k->b + 1) : 0, at, (long long)n);
}

static void put_alloc(void)
{
	struct nexus_alloc_val al = { .next_ino = cpu_to_le64(100), .next_pack = cpu_to_le64(7) };

	nexus_val_seal(&al, sizeof(al), NEXUS_KEY_ALLOC);
	assert_int_equal(nexus_omap_put(&s.map, "N", 1, &al, sizeof(al)), 0);
}

/* Blocks of 23 that it shares with others, and what is reserved. */
static void put_shared(void)
{
	struct clone_args a = {
		.src = 23, .src_id = 23, .from = 7, .ino = 29, .id = 29, .to = 600,
		.nblocks = 2, .mapped = 2,
	};

	must(&s, rec_share(23, 23, 7, 2));
	must(&s, rec_clone(&a));
	a.ino = 30;
	a.id = 30;
	a.to = 12;
	must(&s, rec_clone(&a));
	a = (struct clone_args){
		.src = 23, .src_id = 23, .from = 8, .ino = 29, .id = 29, .to = 700,
		.nblocks = 1, .mapped = 1,
	};
	must(&s, rec_clone(&a));
	must(&s, rec_range(NEXUS_REC_RESERVE, 23, 23, 20, 3, 0));
	must(&s, rec_range(NEXUS_REC_RESERVE, 24, 24, 1, 2, 12288));
	must(&s, rec_range(NEXUS_REC_RESERVE, 30, 30, 20, 4, 0));
}

static int setup(void **state)
{
	struct create_args a = {
		.parent = 20, .pos = 4, .ino = 25, .data_id = 25, .name = "link",
		.mode = S_IFLNK | 0777, .content = "to", .contentlen = 2,
	};

	(void)state;
	store_mkfs(&s);
	must(&s, rec_mk(1, 3, 20, "dir", S_IFDIR | 0755));
	must(&s, rec_mk(20, 3, 21, "sub", S_IFDIR | 0755));
	must(&s, rec_mk(21, 3, 31, "deep", S_IFDIR | 0750));
	must(&s, rec_mk(1, 4, 22, "file", S_IFREG | 0644));
	must(&s, rec_link(1, 5, 22, "hard"));
	must(&s, rec_link(21, 4, 22, "harder"));
	must(&s, rec_mk(1, 6, 23, "one", S_IFREG | 0644));
	must(&s, rec_mk(0, 0, 24, NULL, S_IFREG | 0600));
	must(&s, rec_create(&a));
	a = (struct create_args){
		.parent = 31, .pos = 3, .ino = 26, .data_id = 26, .name = "small",
		.mode = S_IFREG | 0644, .iflags = NEXUS_IF_INLINE, .content = "hello",
		.contentlen = 5, .uid = 7, .gid = 8, .projid = 9, .xname = "user.b",
		.xval = "2",
	};
	must(&s, rec_create(&a));
	a = (struct create_args){
		.parent = 21, .pos = 5, .ino = 27, .data_id = 27, .name = "null",
		.mode = S_IFCHR | 0666, .rdev = 1ull << 32 | 3,
	};
	must(&s, rec_create(&a));
	must(&s, rec_mk(31, 4, 28, "pipe", S_IFIFO | 0600));
	must(&s, rec_mk(31, 5, 29, "big", S_IFREG | 0600));
	must(&s, rec_mk(1, 7, 30, "freed", S_IFREG | 0600));
	must(&s, rec_mk(1, 8, 32, "removed", S_IFDIR | 0700));
	must(&s, rec_extent(23, 23, 0, 8192, 5, 1, 2, 0));
	must(&s, rec_extent(23, 23, 7, 8192, 5, 9, 2, 0));
	must(&s, rec_extent(24, 24, 0, 4096, 5, 20, 1, 0));
	must(&s, rec_extent(29, 29, 0, 1 << 20, 6, 1, 200, 0));
	must(&s, rec_extent(29, 29, 500, 3 << 20, 6, 300, 3, 0));
	must(&s, rec_extent(30, 30, 0, 4096, 6, 400, 1, 0));
	must(&s, rec_extent(30, 30, 9, 40960, 6, 410, 1, 0));
	put_shared();
	must(&s, rec_pack(5, NEXUS_PACK_SEALED, 30));
	must(&s, rec_setxattr(23, "user.a", "1", 0));
	must(&s, rec_setting(1, "/a", "1"));
	must(&s, rec_quota(NEXUS_QUOTA_USER, 7, 10, 20));
	must(&s, rec_quota(NEXUS_QUOTA_GRACE + NEXUS_QUOTA_USER, 0, 60, 90));
	must(&s, rec_unlink(1, 7, 30, "freed"));
	must(&s, rec_forget(30, 30, 1));
	must(&s, rec_rmdir(1, 8, 32, "removed"));
	put_alloc();
	assert_int_equal(store_problems(&s, true), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_destroy(&s);
	return 0;
}

static const struct nexus_omap_entry *next_entry(const struct store *t,
						 const struct nexus_omap_entry *e)
{
	return e ? nexus_omap_lower(&t->map, e->data, e->klen, true) :
		   nexus_omap_lower(&t->map, "", 0, false);
}

static void key_of(struct nexus_key *k, const struct nexus_omap_entry *e)
{
	memcpy(k->b, e->data, e->klen);
	k->len = e->klen;
}

static void test_sound(void **state)
{
	struct store t;

	(void)state;
	store_copy(&t, &s);
	assert_int_equal(repair(&t), 0);
	store_same(&t, &s);
	store_destroy(&t);
}

/* One wrong byte, wherever it is, is right again, and nothing is lost. */
static void test_each_byte(void **state)
{
	const struct nexus_omap_entry *e = NULL;
	struct nexus_key k;
	struct store t;
	u32 n = 0;
	size_t at;

	(void)state;
	while ((e = next_entry(&s, e))) {
		key_of(&k, e);
		for (at = 0; at < e->vlen; at++) {
			u8 bits = at % 2 ? 0xff : 0x01;

			store_copy(&t, &s);
			((u8 *)store_get(&t, &k, NULL))[at] ^= bits;
			assert_int_equal(repair(&t), 1);
			if (!store_equal(&t, &s))
				fail_msg("%c, byte %zu ^ %x", k.b[0], at, bits);
			store_destroy(&t);
			n++;
		}
	}
	printf("# %u damaged bytes\n", n);
}

/* ---- what a change may change ----------------------------------------------------- */

static u64 related[8];
static u32 nrelated;

static void relate(u64 id)
{
	if (nrelated < 8)
		related[nrelated++] = id;
}

static bool is_related(u64 id)
{
	u32 i;

	for (i = 0; i < nrelated; i++)
		if (related[i] == id)
			return true;
	return id >= 100;		/* made by the repair */
}

static u64 target(const u8 *key, const void *val)
{
	u64 ino;

	if (key[0] == NEXUS_KEY_SHARED)
		return nexus_get_be64(key + 15);
	if (key[0] != NEXUS_KEY_DIRENT && key[0] != NEXUS_KEY_LIST)
		return nexus_get_be64(key + 1);
	memcpy(&ino, (const u8 *)val + sizeof(struct nexus_val_head), 8);
	return le64_to_cpu(ino);
}

/* What the key is about, and the directory that counts it. */
static void relate_to(const struct nexus_omap_entry *e)
{
	const struct nexus_omap_entry *d = NULL;
	u64 ino;

	nrelated = 0;
	if (e->klen < 9)
		return;
	ino = target(e->data, nexus_omap_val(e));
	relate(ino);
	if (e->data[0] == NEXUS_KEY_SHARED)
		return;
	if (e->data[0] == NEXUS_KEY_DIRENT || e->data[0] == NEXUS_KEY_LIST)
		relate(nexus_get_be64(e->data + 1));
	/* Where its names are. */
	while ((d = next_entry(&s, d)))
		if (d->data[0] == NEXUS_KEY_DIRENT && target(d->data, nexus_omap_val(d)) == ino)
			relate(nexus_get_be64(d->data + 1));
}

static bool may_change(const u8 *key, const void *val)
{
	switch (key[0]) {
	case NEXUS_KEY_QUOTA:
	case NEXUS_KEY_PACK:
	case NEXUS_KEY_ALLOC:
		return true;		/* sums */
	case NEXUS_KEY_INODE:
		return is_related(nexus_get_be64(key + 1)) ||
		       nexus_get_be64(key + 1) == NEXUS_ROOT_INO;
	case NEXUS_KEY_DIRENT:
	case NEXUS_KEY_LIST:
		return target(key, val) == related[0] || target(key, val) >= 100;
	case NEXUS_KEY_SHARED:
		return target(key, val) == related[0];
	case NEXUS_KEY_SETTING:
		return false;
	default:
		return nexus_get_be64(key + 1) == related[0];
	}
}

/* Every key of @a that may not change is in @b as it was. */
static void unchanged(const struct store *a, struct store *b, const u8 *damaged, size_t len,
		      const char *what)
{
	const struct nexus_omap_entry *e = NULL;
	struct nexus_key k;

	while ((e = next_entry(a, e))) {
		const void *v;
		size_t n = 0;

		if (e->klen == len && !memcmp(e->data, damaged, len))
			continue;
		if (may_change(e->data, nexus_omap_val(e)))
			continue;
		key_of(&k, e);
		v = store_get(b, &k, &n);
		if (!v || n != e->vlen || memcmp(v, nexus_omap_val(e), n))
			fail_msg("%s of %c %llu changed %c %llu", what, damaged[0],
				 len >= 9 ? nexus_get_be64(damaged + 1) : 0, k.b[0],
				 k.len >= 9 ? nexus_get_be64(k.b + 1) : 0);
	}
}

/* What others say completely, so that nothing of it may be lost. */
static bool said_twice(const struct nexus_key *k)
{
	if (k->b[0] == NEXUS_KEY_QUOTA)
		return k->b[1] == NEXUS_QUOTA_UNWRITTEN;
	/* Whose the extents were that are being freed nobody says any more. */
	return k->b[0] == NEXUS_KEY_SHARED && target(k->b, NULL) != 30;
}

/* Each key removed, and each value made garbage of which nothing can be told. */
static void test_each_key(void **state)
{
	const struct nexus_omap_entry *e = NULL;
	struct nexus_key k;
	struct store t;
	size_t i;
	u8 *v;

	(void)state;
	while ((e = next_entry(&s, e))) {
		key_of(&k, e);
		relate_to(e);
		store_copy(&t, &s);
		assert_true(nexus_omap_remove(&t.map, k.b, k.len));
		mended(&t, "loss", &k, 0);
		unchanged(&s, &t, k.b, k.len, "loss");
		if (said_twice(&k))
			store_same(&t, &s);
		store_destroy(&t);

		store_copy(&t, &s);
		v = (u8 *)store_get(&t, &k, NULL);
		for (i = 0; i < e->vlen; i++)
			v[i] ^= (u8)(0x5a + i);
		mended(&t, "garbage", &k, 0);
		unchanged(&s, &t, k.b, k.len, "garbage");
		if (said_twice(&k))
			store_same(&t, &s);
		store_destroy(&t);

		store_copy(&t, &s);
		assert_int_equal(nexus_omap_put(&t.map, k.b, k.len, nexus_omap_val(e), 5), 0);
		mended(&t, "cut", &k, 5);
		unchanged(&s, &t, k.b, k.len, "cut");
		if (said_twice(&k))
			store_same(&t, &s);
		store_destroy(&t);
	}
}

/*
 * Written wrong: the checksum is right, and a byte is not.  A third of the bytes: of
 * each field of eight, two or three.
 */
static void test_each_field(void **state)
{
	const struct nexus_omap_entry *e = NULL;
	struct nexus_key k;
	struct store t;
	u8 val[512];
	size_t at;

	(void)state;
	while ((e = next_entry(&s, e))) {
		key_of(&k, e);
		for (at = sizeof(struct nexus_val_head); at < e->vlen; at += 3) {
			store_copy(&t, &s);
			memcpy(val, nexus_omap_val(e), e->vlen);
			val[at] ^= at % 2 ? 0x90 : 0x01;
			nexus_val_seal(val, e->vlen, k.b[0]);
			nexus_omap_put(&t.map, k.b, k.len, val, e->vlen);
			mended(&t, "field", &k, at);
			store_destroy(&t);
		}
	}
}

/* ---- shared blocks ---------------------------------------------------------------- */

static void put_extent(struct store *t, u64 data_id, u64 fblock, u64 pack, u32 block,
		       u32 nblocks, u32 flags)
{
	struct nexus_extent_val v = {
		.pack = cpu_to_le64(pack), .block = cpu_to_le32(block),
		.nblocks = cpu_to_le32(nblocks), .flags = cpu_to_le32(flags),
	};
	struct nexus_key k;

	nexus_key_extent(&k, data_id, fblock << NEXUS_BLOCK_SHIFT);
	nexus_val_seal(&v, sizeof(v), k.b[0]);
	assert_int_equal(nexus_omap_put(&t->map, k.b, k.len, &v, sizeof(v)), 0);
}

/* The extent is there, with these blocks and flags; a SHARED one has its reference. */
static bool has_extent(struct store *t, u64 data_id, u64 fblock, u32 nblocks, u32 flags)
{
	struct nexus_extent_val v;
	struct nexus_key k;
	const void *at;

	nexus_key_extent(&k, data_id, fblock << NEXUS_BLOCK_SHIFT);
	at = store_get(t, &k, NULL);
	if (!at)
		return false;
	memcpy(&v, at, sizeof(v));
	assert_int_equal(le32_to_cpu(v.nblocks), nblocks);
	assert_int_equal(le32_to_cpu(v.flags), flags);
	if (flags & NEXUS_EF_SHARED) {
		nexus_key_shared(&k, le64_to_cpu(v.pack), le32_to_cpu(v.block), nblocks,
				 data_id, fblock << NEXUS_BLOCK_SHIFT);
		assert_non_null(store_get(t, &k, NULL));
	}
	return true;
}

/* Blocks that others share can be had by one more; nobody loses them. */
static void test_joins_shared(void **state)
{
	struct store t;

	(void)state;
	store_copy(&t, &s);
	put_extent(&t, 23, 30, 5, 10, 3, 0);
	/* This one overlaps it alone, and not what was shared. */
	put_extent(&t, 24, 30, 5, 12, 2, NEXUS_EF_NOCRC);
	/* Neighbours of shared blocks keep theirs. */
	put_extent(&t, 24, 40, 5, 14, 2, 0);
	put_extent(&t, 24, 50, 5, 8, 1, 0);
	mended(&t, "joins", NULL, 0);
	assert_true(has_extent(&t, 23, 30, 3, NEXUS_EF_SHARED));
	assert_true(has_extent(&t, 24, 30, 2, NEXUS_EF_SHARED | NEXUS_EF_NOCRC));
	assert_true(has_extent(&t, 24, 40, 2, 0));
	assert_true(has_extent(&t, 24, 50, 1, 0));
	assert_true(has_extent(&t, 23, 7, 2, NEXUS_EF_SHARED));
	assert_true(has_extent(&t, 29, 600, 2, NEXUS_EF_SHARED));
	store_destroy(&t);
}

/* Where nobody shares, the first keeps the blocks. */
static void test_one_owner(void **state)
{
	struct store t;

	(void)state;
	store_copy(&t, &s);
	put_extent(&t, 24, 30, 5, 2, 4, 0);
	mended(&t, "owner", NULL, 0);
	assert_true(has_extent(&t, 23, 0, 2, 0));
	assert_false(has_extent(&t, 24, 30, 4, 0));
	store_destroy(&t);
}

/* Cut, and its reference with it; unwritten ones are cut, too, and lie nowhere. */
static void test_cut(void **state)
{
	struct store t;

	(void)state;
	store_copy(&t, &s);
	put_extent(&t, 29, 601, 6, 500, 1, 0);
	put_extent(&t, 23, 22, 6, 510, 4, 0);
	put_extent(&t, 24, 2, 0, 0, 5, NEXUS_EF_UNWRITTEN);
	mended(&t, "cut", NULL, 0);
	assert_true(has_extent(&t, 29, 600, 1, NEXUS_EF_SHARED));
	assert_true(has_extent(&t, 29, 601, 1, 0));
	assert_true(has_extent(&t, 23, 20, 2, NEXUS_EF_UNWRITTEN));
	assert_true(has_extent(&t, 24, 1, 1, NEXUS_EF_UNWRITTEN));
	assert_true(has_extent(&t, 24, 2, 5, NEXUS_EF_UNWRITTEN));
	assert_int_equal(le64_to_cpu(store_inode(&t, 23)->unwritten), 2);
	assert_int_equal(le64_to_cpu(store_inode(&t, 24)->unwritten), 6);
	store_destroy(&t);
}

/* No inode of that number had the data id: the reference knows which one did. */
static void test_owner_of_shared(void **state)
{
	struct clone_args a = {
		.src = 23, .src_id = 23, .from = 7, .ino = 29, .id = 60, .to = 9,
		.nblocks = 2, .mapped = 2,
	};
	struct nexus_key k;
	struct store t;

	(void)state;
	store_copy(&t, &s);
	must(&t, rec_truncate(29, 29, 60, 0, 0, 0));
	must(&t, rec_range(NEXUS_REC_RESERVE, 29, 60, 1, 1, 8192));
	must(&t, rec_clone(&a));
	must(&t, rec_range(NEXUS_REC_RESERVE, 29, 60, 11, 1, 0));
	nexus_key_inode(&k, 29);
	assert_true(nexus_omap_remove(&t.map, k.b, k.len));
	mended(&t, "lost", NULL, 0);
	assert_int_equal(le64_to_cpu(store_inode(&t, 29)->data_id), 60);
	assert_int_equal(le64_to_cpu(store_inode(&t, 29)->blocks), 4);
	assert_int_equal(le64_to_cpu(store_inode(&t, 29)->unwritten), 2);
	assert_int_equal(le64_to_cpu(store_inode(&t, 29)->size), 12 << 12);
	assert_int_equal(le64_to_cpu(store_inode(&t, 29)->disk_size), 11 << 12);
	store_destroy(&t);
}

/* @len bytes of content, whatever the inode says. */
static void put_content(struct store *t, u64 ino, size_t len)
{
	struct {
		struct nexus_blob_val v;
		u8 bytes[3000];
	} body;
	struct nexus_key k;

	memset(&body, 'x', sizeof(body));
	nexus_key_content(&k, ino);
	nexus_val_seal(&body, sizeof(body.v) + len, k.b[0]);
	assert_int_equal(nexus_omap_put(&t->map, k.b, k.len, &body, sizeof(body.v) + len), 0);
}

static size_t content_len(struct store *t, u64 ino)
{
	struct nexus_key k;
	size_t len = 0;

	nexus_key_content(&k, ino);
	return store_get(t, &k, &len) ? len - sizeof(struct nexus_blob_val) : 0;
}

/* A body is inline or extents: what is in extents stays. */
static void test_inline(void **state)
{
	struct store t;

	(void)state;
	store_copy(&t, &s);
	put_content(&t, 23, 7);
	put_extent(&t, 26, 3, 5, 25, 1, 0);
	put_content(&t, 22, 8);
	mended(&t, "inline", NULL, 0);
	assert_int_equal(content_len(&t, 23), 0);
	assert_true(has_extent(&t, 23, 0, 2, 0));
	assert_int_equal(content_len(&t, 26), 0);
	assert_true(has_extent(&t, 26, 3, 1, 0));
	assert_false(le32_to_cpu(store_inode(&t, 26)->flags) & NEXUS_IF_INLINE);
	/* Content that an inode does not know of is its own all the same. */
	assert_int_equal(content_len(&t, 22), 8);
	assert_true(le32_to_cpu(store_inode(&t, 22)->flags) & NEXUS_IF_INLINE);
	assert_int_equal(le64_to_cpu(store_inode(&t, 22)->size), 8);
	store_destroy(&t);

	/* Longer than its file, and than any may be. */
	store_copy(&t, &s);
	put_content(&t, 26, 2000);
	must(&t, rec_truncate(22, 22, 0, 5000, 0, 0));
	put_content(&t, 22, NEXUS_INLINE_MAX + 1);
	mended(&t, "long", NULL, 0);
	assert_int_equal(content_len(&t, 26), 5);
	assert_int_equal(content_len(&t, 22), NEXUS_INLINE_MAX);
	assert_int_equal(le64_to_cpu(store_inode(&t, 22)->size), 5000);
	store_destroy(&t);
}

/* Many at once, of every sort. */
static void test_random(void **state)
{
	u32 round, i, n;

	(void)state;
	seed_init(4711);
	for (round = 0; round < 200; round++) {
		struct store t;

		store_copy(&t, &s);
		n = 1 + rnd(12);
		for (i = 0; i < n; i++) {
			const struct nexus_omap_entry *e = NULL;
			u32 skip = rnd((u32)t.map.count), what = rnd(5);
			struct nexus_key k;
			u8 val[512];
			size_t len;

			for (e = next_entry(&t, NULL); skip--; e = next_entry(&t, e))
				;
			key_of(&k, e);
			len = e->vlen;
			memcpy(val, nexus_omap_val(e), len);
			if (what == 0 || len < 9) {
				nexus_omap_remove(&t.map, k.b, k.len);
				continue;
			}
			val[rnd((u32)len)] ^= (u8)(1 + rnd(255));
			val[rnd((u32)len)] ^= (u8)(1 + rnd(255));
			if (what == 1 && k.len >= 9)
				k.b[1 + rnd((u32)k.len - 1)] ^= (u8)(1 + rnd(3));
			if (what >= 2)
				nexus_val_seal(val, len, k.b[0]);
			nexus_omap_put(&t.map, k.b, k.len, val, len);
		}
		mended(&t, "much", NULL, round);
		store_destroy(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_sound), T(test_each_byte), T(test_each_key), T(test_each_field),
		T(test_joins_shared), T(test_one_owner), T(test_cut), T(test_owner_of_shared), T(test_inline),
		T(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
