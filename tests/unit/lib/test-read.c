// SPDX-License-Identifier: Apache-2.0
/* Typed reads, and what nexus_reply_check() refuses of their replies. */
#include "records.h"

#define FILE_MODE (S_IFREG | 0644)
#define DIR_MODE (S_IFDIR | 0755)

static struct store s;
static u64 out64[NEXUS_REPLY_DATA_MAX / 8];
static u8 *const out = (u8 *)out64;
static struct nexus_entry_reply *const entry = (void *)out64;
static struct nexus_list_reply *const list = (void *)out64;
static struct nexus_extents_reply *const exts = (void *)out64;
static char big[20001];

static int setup(void **state)
{
	struct create_args link = {
		.parent = 1, .pos = 4, .ino = 21, .data_id = 21, .name = "link",
		.mode = S_IFLNK | 0777, .content = "to/there", .contentlen = 8,
	}, body = {
		.parent = 1, .pos = 6, .ino = 23, .data_id = 23, .name = "inline",
		.mode = FILE_MODE, .content = "body", .contentlen = 4,
	};
	char name[32];
	u32 i;

	(void)state;
	store_mkfs(&s);
	must(&s, rec_mk(1, 3, 20, "dir", DIR_MODE));
	must(&s, rec_create(&link));
	must(&s, rec_mk(1, 5, 22, "file", FILE_MODE));
	must(&s, rec_create(&body));
	must(&s, rec_mk(1, 7, 24, "few", FILE_MODE));
	for (i = 0; i < NEXUS_ENTRY_EXTENTS; i++)
		must(&s, rec_extent(24, 24, 2 * i, 0, 5, 1001 + 2 * i, 1, 0));
	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "entry-%u", i % 1000);
		must(&s, rec_mk(20, 3 + 2 * i, 100 + i, name, FILE_MODE));
		must(&s, rec_extent(22, 22, 2 * i, 0, 5, 1 + 2 * i, 1, 0));
	}
	memset(big, 'v', 20000);
	must(&s, rec_setxattr(22, "user.big", big, 0));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_destroy(&s);
	return 0;
}

static int rd(u32 op, u64 ino, u64 arg0, u64 arg1, const char *name)
{
	return do_read(&s, op, ino, arg0, arg1, name, out);
}

static void test_lookup(void **state)
{
	(void)state;
	assert_true(rd(NEXUS_OP_LOOKUP, 1, 0, 0, "dir") > 0);
	assert_true(entry->attr.ino == 20 && entry->pos == 3);
	assert_int_equal(entry->flags, NEXUS_ER_EXTENTS_ALL | NEXUS_ER_NO_XATTRS);
	assert_true(rd(NEXUS_OP_LOOKUP, 1, 0, 0, "link") > 0);
	assert_true(entry->flags & NEXUS_ER_CONTENT);
	assert_memory_equal(entry + 1, "to/there", 8);
	/* All extents or none. */
	assert_true(rd(NEXUS_OP_LOOKUP, 1, 0, 0, "file") > 0);
	assert_int_equal(entry->nextents, 0);
	assert_int_equal(entry->flags, 0);
	assert_true(rd(NEXUS_OP_LOOKUP, 1, 0, 0, "few") > 0);
	assert_int_equal(entry->nextents, NEXUS_ENTRY_EXTENTS);
	assert_int_equal(entry->flags, NEXUS_ER_EXTENTS_ALL | NEXUS_ER_NO_XATTRS);
	assert_int_equal(rd(NEXUS_OP_LOOKUP, 1, 0, 0, "no"), -ENOENT);
	assert_int_equal(rd(NEXUS_OP_LOOKUP, 22, 0, 0, "no"), -ENOTDIR);
	assert_int_equal(rd(NEXUS_OP_LOOKUP, 99, 0, 0, "no"), -ENOENT);
	assert_int_equal(rd(NEXUS_OP_LOOKUP, 1, 0, 0, ".."), -EINVAL);
	assert_int_equal(rd(NEXUS_OP_LOOKUP, 1, 0, 0, "a/b"), -EINVAL);
	assert_int_equal(rd(NEXUS_OP_GETATTR, 99, 0, 0, NULL), -ENOENT);
	assert_int_equal(rd(NEXUS_OP_OPEN_PACK, 1, 0, 0, NULL), -EOPNOTSUPP);
}

static void test_list(void **state)
{
	u64 pos = 0, last = 0;
	u32 n = 0, rounds = 0, i, at;

	(void)state;
	for (;;) {
		assert_true(rd(NEXUS_OP_LIST, 20, pos, 0, NULL) > 0);
		for (i = 0, at = sizeof(*list); i < list->count; i++) {
			const struct nexus_list_ent *e = (const void *)(out + at);

			assert_true(e->pos > last && (e->flags & NEXUS_DE_ENTRY));
			last = e->pos;
			at += e->reclen;
			n++;
		}
		rounds++;
		if (list->flags & NEXUS_LR_END)
			break;
		pos = list->next_pos;
	}
	assert_int_equal(n, 200);
	assert_true(rounds > 1);
	/* The file that has an attribute, between two that have none. */
	assert_true(rd(NEXUS_OP_LIST, 1, 4, 7, NULL) > 0);
	assert_int_equal(list->count, 3);
	for (i = 0, at = sizeof(*list); i < list->count; i++) {
		const struct nexus_list_ent *e = (const void *)(out + at);
		const struct nexus_entry_reply *er = (const void *)(e->name + 8);

		assert_int_equal(!(er->flags & NEXUS_ER_NO_XATTRS), e->ino == 22);
		at += e->reclen;
	}
	/* Bounds: from 5 (inclusive) to 9 (exclusive). */
	assert_true(rd(NEXUS_OP_LIST, 20, 5, 9, NULL) > 0);
	assert_int_equal(list->count, 2);
	assert_true(list->flags & NEXUS_LR_END);
	assert_true(rd(NEXUS_OP_LIST, 20, 3 + 400, 0, NULL) > 0);
	assert_int_equal(list->count, 0);
	assert_int_equal(rd(NEXUS_OP_LIST, 22, 0, 0, NULL), -ENOTDIR);
	assert_int_equal(rd(NEXUS_OP_LIST, 99, 0, 0, NULL), -ENOENT);
}

/* Names alone: the same entries, without attributes, several times as many in a reply. */
static void test_list_names(void **state)
{
	const struct nexus_list_ent *e = (const void *)(list + 1);
	u32 with, i;

	(void)state;
	assert_true(rd(NEXUS_OP_LIST, 20, 0, 0, NULL) > 0);
	with = list->count;
	assert_true(rd(NEXUS_OP_LIST, 20, 0, NEXUS_LIST_NAMES, NULL) > 0);
	assert_int_equal(list->count, 200);
	assert_true(with < 100);
	for (i = 0; i < list->count; i++) {
		assert_int_equal(e->flags, 0);
		assert_int_equal(e->ino, 100 + i);
		e = (const void *)e + e->reclen;
	}
	/* Bounds hold as without. */
	assert_true(rd(NEXUS_OP_LIST, 20, 5, 9 | NEXUS_LIST_NAMES, NULL) > 0);
	assert_int_equal(list->count, 2);
	assert_true(list->flags & NEXUS_LR_END);
}

/* The entry reply at @e, as a lookup of the name gives it; @how as in the request. */
static void listed_as_looked_up(const struct nexus_list_ent *e, u64 how)
{
	static u64 one64[NEXUS_REPLY_DATA_MAX / 8];
	struct nexus_entry_reply *one = (void *)one64;
	const struct nexus_entry_reply *er = (const void *)
		(e->name + NEXUS_ALIGN((size_t)e->namelen, (size_t)8));
	char name[256] = "";
	size_t len;

	assert_int_equal(e->flags, NEXUS_DE_ENTRY);
	memcpy(name, e->name, e->namelen);
	len = (size_t)do_read(&s, NEXUS_OP_LOOKUP, 1, 0, 0, name, (u8 *)one64);
	if (!(how & NEXUS_LIST_CONTENT) && S_ISREG(one->attr.mode)) {
		/* The rest of a file was not asked for. */
		if (one->attr.blocks)
			one->flags &= ~NEXUS_ER_EXTENTS_ALL;
		one->flags &= ~NEXUS_ER_CONTENT;
		one->nextents = 0;
		one->content_len = 0;
		len = sizeof(*one);
	}
	assert_memory_equal(er, one, len);
	assert_int_equal(e->reclen, (const u8 *)er - (const u8 *)e +
			 NEXUS_ALIGN(len, (size_t)8));
}

static void test_list_content(void **state)
{
	static const u64 hows[] = { 0, NEXUS_LIST_CONTENT };
	u32 h, i;

	(void)state;
	for (h = 0; h < 2; h++) {
		const struct nexus_list_ent *e = (const void *)(list + 1);

		assert_true(rd(NEXUS_OP_LIST, 1, 0, 9 | hows[h], NULL) > 0);
		assert_int_equal(list->count, 5);
		assert_int_equal(list->flags, NEXUS_LR_END);
		for (i = 0; i < list->count; i++) {
			listed_as_looked_up(e, hows[h]);
			e = (const void *)e + e->reclen;
		}
	}
}

static void test_list_damage(void **state)
{
	const struct nexus_list_ent *e = (const void *)(list + 1);
	struct nexus_key k;
	u8 *val;

	(void)state;
	nexus_key_inode(&k, 100);
	val = (u8 *)store_get(&s, &k, NULL);
	val[20] ^= 1;
	assert_true(rd(NEXUS_OP_LIST, 20, 0, 5, NULL) > 0);
	assert_int_equal(list->count, 1);
	assert_int_equal(e->flags, 0);
	assert_int_equal(rd(NEXUS_OP_LOOKUP, 20, 0, 0, "entry-0"), -EUCLEAN);
	val[20] ^= 1;
}

static void test_extents(void **state)
{
	u64 at = 0;
	u32 n = 0;

	(void)state;
	do {
		assert_true(rd(NEXUS_OP_EXTENTS, 22, 22, at, NULL) > 0);
		n += exts->count;
		at = exts->next_offset;
	} while (!(exts->flags & NEXUS_XR_END));
	assert_int_equal(n, 200);
	/* In the middle of one, which is trimmed. */
	must(&s, rec_extent(22, 22, 500, 0, 6, 1, 100, 0));
	assert_true(rd(NEXUS_OP_EXTENTS, 22, 22, 505 * 4096 + 7, NULL) > 0);
	assert_int_equal(exts->count, 1);
	assert_true(exts->extent[0].offset == 505 * 4096);
	assert_int_equal(exts->extent[0].block, 6);
	/* Cut at a window in the index, whole in the reply. */
	assert_int_equal(exts->extent[0].nblocks, 95);
	assert_int_equal(rd(NEXUS_OP_EXTENTS, 22, 0, 0, NULL), -EINVAL);
}

static void test_content(void **state)
{
	(void)state;
	assert_int_equal(rd(NEXUS_OP_READLINK, 21, 0, 0, NULL), 8);
	assert_memory_equal(out, "to/there", 8);
	assert_int_equal(rd(NEXUS_OP_READLINK, 22, 0, 0, NULL), -EINVAL);
	assert_int_equal(rd(NEXUS_OP_INLINE, 23, 0, 0, NULL), 4);
	assert_int_equal(rd(NEXUS_OP_INLINE, 22, 0, 0, NULL), -EINVAL);
	assert_int_equal(rd(NEXUS_OP_STATFS, 0, 0, 0, NULL), 16);
	assert_true(out64[0] == 206 && out64[1] == 200 + NEXUS_ENTRY_EXTENTS);
}

static void test_quota(void **state)
{
	const struct nexus_quota_reply *q = (const void *)out;
	const int len = sizeof(*q);

	(void)state;
	assert_int_equal(rd(NEXUS_OP_QUOTA, 0, NEXUS_QUOTA_ZONE, 0, NULL), len);
	assert_true(q->id == 0 && q->blocks == 200 + NEXUS_ENTRY_EXTENTS && q->inodes == 206);
	assert_int_equal(q->blocks_grace, NEXUS_QUOTA_GRACE_TIME);
	assert_int_equal(rd(NEXUS_OP_QUOTA, 0, NEXUS_QUOTA_USER, 77, NULL), len);
	assert_true(q->id == 77 && !q->blocks && !q->inodes && !q->inodes_soft);
	assert_int_equal(rd(NEXUS_OP_QUOTA, 0, NEXUS_QUOTA_USER | NEXUS_QUOTA_NEXT, 77, NULL),
			 -ENOENT);
	must(&s, rec_quota(NEXUS_QUOTA_USER, 77, 10, 20));
	must(&s, rec_quota(NEXUS_QUOTA_PROJECT, 5, 1, 2));
	must(&s, rec_quota(NEXUS_QUOTA_GRACE + NEXUS_QUOTA_USER, 0, 60, 0));
	assert_int_equal(rd(NEXUS_OP_QUOTA, 0, NEXUS_QUOTA_USER, 77, NULL), len);
	assert_true(q->id == 77 && q->inodes_soft == 10 && q->blocks_soft == 20);
	assert_int_equal(q->inodes_grace, 60);
	assert_int_equal(q->blocks_grace, NEXUS_QUOTA_GRACE_TIME);
	assert_int_equal(rd(NEXUS_OP_QUOTA, 0, NEXUS_QUOTA_USER | NEXUS_QUOTA_NEXT, 1, NULL),
			 len);
	assert_int_equal(q->id, 77);
	assert_int_equal(rd(NEXUS_OP_QUOTA, 0, NEXUS_QUOTA_USER | NEXUS_QUOTA_NEXT, 78, NULL),
			 -ENOENT);
	assert_int_equal(rd(NEXUS_OP_QUOTA, 0, NEXUS_QUOTA_PROJECT | NEXUS_QUOTA_NEXT, 0, NULL),
			 len);
	assert_true(q->id == 5 && q->blocks_soft == 2);
	assert_int_equal(rd(NEXUS_OP_QUOTA, 0, NEXUS_QUOTA_UNWRITTEN, 0, NULL), -EINVAL);
	assert_int_equal(rd(NEXUS_OP_QUOTA, 0, NEXUS_QUOTA_GRACE, 0, NULL), -EINVAL);
	assert_int_equal(rd(NEXUS_OP_QUOTA, 0, 1ull << 40, 0, NULL), -EINVAL);
	assert_int_equal(store_problems(&s, true), 0);
}

static void test_xattr(void **state)
{
	const struct nexus_xattr_reply *x = (const void *)out;
	u64 at = 0;
	int len;

	(void)state;
	do {
		len = rd(NEXUS_OP_GETXATTR, 22, at, 0, "user.big");
		assert_true(len > (int)sizeof(*x));
		assert_int_equal(x->total, 20000);
		at += (u64)len - sizeof(*x);
	} while (at < 20000);
	assert_int_equal(rd(NEXUS_OP_GETXATTR, 22, 20000, 0, "user.big"), sizeof(*x));
	assert_int_equal(rd(NEXUS_OP_GETXATTR, 22, 0, 0, "user.no"), -ENODATA);
	assert_int_equal(rd(NEXUS_OP_GETXATTR, 99, 0, 0, "user.no"), -ENOENT);
	must(&s, rec_setxattr(22, "user.c", "", 0));
	assert_int_equal(rd(NEXUS_OP_LISTXATTR, 22, 0, 0, NULL), 9 + 7);
	assert_memory_equal(out, "user.big\0user.c", 16);
	assert_int_equal(rd(NEXUS_OP_LISTXATTR, 22, 1, 0, NULL), 7);
	assert_int_equal(rd(NEXUS_OP_LISTXATTR, 22, 2, 0, NULL), 0);
	assert_int_equal(rd(NEXUS_OP_LISTXATTR, 99, 0, 0, NULL), -ENOENT);
}

static void test_names(void **state)
{
	const struct nexus_name_reply *r = (const void *)out;

	(void)state;
	assert_true(rd(NEXUS_OP_GETNAME, 20, 0, 0, NULL) > 0);
	assert_true(r->parent == 1 && r->pos == 3 && r->namelen == 3);
	assert_memory_equal(r->name, "dir", 3);
	assert_int_equal(rd(NEXUS_OP_GETNAME, 1, 0, 0, NULL), sizeof(*r));
	must(&s, rec_link(20, 2000, 22, "hard"));
	assert_true(rd(NEXUS_OP_GETNAME, 22, 0, 0, NULL) > 0);
	assert_true(r->parent == 1 && r->pos == 5);
	assert_true(rd(NEXUS_OP_GETNAME, 22, 20, 0, NULL) > 0);
	assert_true(r->parent == 20 && r->pos == 2000 && r->namelen == 4);
	assert_memory_equal(r->name, "hard", 4);
	assert_true(rd(NEXUS_OP_GETNAME, 22, 1, 0, NULL) > 0);
	assert_true(r->parent == 1 && r->pos == 5);
	assert_int_equal(rd(NEXUS_OP_GETNAME, 22, 21, 0, NULL), -ENOENT);
	assert_true(rd(NEXUS_OP_GETNAME, 20, 1, 0, NULL) > 0);
	assert_int_equal(rd(NEXUS_OP_GETNAME, 20, 22, 0, NULL), -ENOENT);
	must(&s, rec_unlink(20, 2000, 22, "hard"));
	assert_int_equal(rd(NEXUS_OP_GETNAME, 99, 0, 0, NULL), -ENOENT);
}

static void test_settings(void **state)
{
	const struct nexus_setting_ent *e = (const void *)out;
	u64 cursor = 0, n = 0;
	char path[32];
	int len, i;

	(void)state;
	big[8000] = 0;
	for (i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "/cfg/%d", i);
		must(&s, rec_setting((u64)i * 1000, path, big));
	}
	while ((len = rd(NEXUS_OP_SETTINGS, 0, cursor, 0, NULL)) > 0) {
		for (i = 0; i < len; i += (int)((const struct nexus_setting_ent *)
						(out + i))->reclen) {
			cursor++;
			n++;
		}
		assert_int_equal(e->vallen, 8000);
	}
	assert_int_equal(len, 0);
	assert_int_equal(n, 5);
}

/* ---- what the kernel must not believe -------------------------------- */

static const char *verdict(u32 op, u64 ino, u64 arg0, u64 arg1, int len)
{
	struct nexus_request req = {
		.op = op, .ino = ino, .arg0 = arg0, .arg1 = arg1,
		.reply_max = NEXUS_REPLY_DATA_MAX,
	};
	const char *field = "";
	int ret = nexus_reply_check(&req, out, (size_t)len, &field);

	assert_true(ret == 0 ? !field : ret == -EIO && field && *field);
	return field;
}

/* Reads well, changes one thing, and sees it refused for that reason. */
#define BAD(op, ino, arg0, arg1, name, change, why) do {		\
	int len = rd(op, ino, arg0, arg1, name);			\
	const char *field;						\
	assert_true(len >= 0);						\
	change;								\
	field = verdict(op, ino, arg0, arg1, len);			\
	assert_non_null(field);						\
	assert_string_equal(field, why);				\
} while (0)
#define BAD_DIR(change, why) BAD(NEXUS_OP_LOOKUP, 1, 0, 0, "dir", change, why)
#define BAD_FILE(change, why) BAD(NEXUS_OP_LOOKUP, 1, 0, 0, "few", change, why)
#define BAD_LINK(change, why) BAD(NEXUS_OP_LOOKUP, 1, 0, 0, "link", change, why)

static void test_bad_entry(void **state)
{
	struct nexus_extent *e = (void *)(entry + 1);

	(void)state;
	BAD_DIR(entry->attr.ino = 0, "ino");
	BAD_DIR(entry->attr.ino = 1, "ino");
	BAD_FILE(entry->attr.ino = 1, "ino");
	BAD_DIR(entry->attr.mode = 0755, "mode");
	BAD_DIR(entry->attr.mode |= 1u << 20, "mode");
	BAD_DIR(entry->attr.nlink = 1, "nlink");
	BAD_DIR(entry->attr.nlink = ~0u, "nlink");
	BAD_DIR(entry->attr.nlink = 300, "children");
	BAD_DIR(entry->attr.parent = 77, "parent");
	BAD_DIR(entry->attr.uid = ~0u, "owner");
	BAD_DIR(entry->attr.size = ~0ull, "size");
	BAD_DIR(entry->attr.blocks = 1, "blocks");
	BAD_DIR(entry->attr.mtime_ns = ~0u, "time");
	BAD_DIR(entry->attr.next_pos = 0, "next_pos");
	BAD_DIR(entry->attr.data_id = 0, "attr");
	BAD_DIR(entry->attr.flags = NEXUS_IF_INLINE, "inline flag");
	BAD_DIR(entry->pos = 2, "pos");
	BAD_DIR(entry->flags = 8, "reply flags");
	BAD_DIR(entry->reserved = 1, "length");
	BAD_DIR(entry->content_len = 8, "length");
	BAD_DIR(len--, "length");
	BAD_DIR(len = 10, "length");
	BAD_DIR(len = NEXUS_REPLY_SIZE, "length");
	BAD_FILE(entry->attr.nlink = 0, "nlink");
	BAD_FILE(entry->nextents = 33, "nextents");
	BAD_FILE(entry->nextents = 3, "length");
	BAD_FILE(e[1].offset = 0, "extent offset");
	BAD_FILE(e[1].offset = 1, "extent offset");
	BAD_FILE(e[1].offset = ~0xfffull, "extent offset");
	BAD_FILE(e[0].nblocks = 3, "extent offset");
	BAD_FILE(e[1].nblocks = 0, "extent blocks");
	BAD_FILE(e[1].block = 0, "extent place");
	BAD_FILE(e[31].nblocks = NEXUS_PACK_BLOCKS_MAX, "extent blocks");
	BAD_FILE(e[1].pack = 0, "extent place");
	BAD_FILE(e[1].flags = NEXUS_EF_UNWRITTEN, "extent place");
	BAD_FILE(entry->attr.unwritten = entry->attr.blocks + 1, "unwritten");
	BAD_FILE(e[1].flags = 8, "extent");
	BAD_FILE(entry->attr.mode = S_IFIFO, "blocks");
	BAD_LINK(entry->attr.size = 7, "size");
	BAD_LINK(entry->attr.size = 9, "symlink");
	BAD_LINK(entry->attr.size = 5000, "symlink size");
	BAD_LINK(entry->flags &= ~NEXUS_ER_CONTENT, "content_len");
	BAD_LINK(((u8 *)(entry + 1))[3] = 0, "symlink");
	BAD(NEXUS_OP_GETATTR, 22, 0, 0, NULL, entry->attr.ino = 23, "ino");
	/* A removed directory has no entries. */
	BAD(NEXUS_OP_GETATTR, 20, 0, 0, NULL, entry->attr.nlink = 0, "children");
}

static void test_bad_list(void **state)
{
	struct nexus_list_ent *e = (void *)(list + 1);
	struct nexus_entry_reply *er = (void *)(e->name + 8);
	struct nexus_attr *a = &er->attr;

	(void)state;
#define BAD_LIST(change, why) BAD(NEXUS_OP_LIST, 20, 3, 9, NULL, change, why)
	BAD_LIST(e->reclen += 8, "reclen");
	BAD_LIST(e->reclen = 0, "reclen");
	BAD_LIST(e->namelen = 0, "name");
	BAD_LIST(e->name[0] = '/', "name");
	BAD_LIST(e->name[2] = 0, "name");
	BAD_LIST(e->pos = 2, "pos");
	BAD_LIST(e->pos = 9, "pos");
	BAD_LIST(e->pos = 8, "pos");		/* the second one is below */
	BAD_LIST(e->ino = 20, "ino");
	BAD_LIST(e->ino = 101, "ino");
	BAD_LIST(a->mode = DIR_MODE, "nlink");
	BAD_LIST(e->dtype = 4, "dtype");
	BAD_LIST(e->dtype = 0, "dtype");
	BAD_LIST(e->flags = 0, "reclen");
	BAD_LIST(e->flags = 2, "entry flags");
	BAD_LIST(a->nlink = 0, "nlink");
	BAD_LIST(er->pos++, "pos");
	BAD_LIST(er->flags = 8, "reply flags");
	BAD_LIST(er->reserved = 1, "length");
	BAD_LIST(er->nextents = 1, "reclen");
	BAD_LIST(er->nextents = ~0u, "reclen");
	BAD_LIST(er->content_len = 1, "reclen");
	BAD_LIST(er->content_len = ~0u, "reclen");
	BAD_LIST((e->reclen = 24, er->content_len = 0), "reclen");
	BAD_LIST(list->count++, "reclen");
	BAD_LIST(list->count--, "length");
	BAD_LIST(list->count = ~0u, "reclen");
	BAD_LIST(list->next_pos = 3, "next_pos");
	BAD_LIST(list->next_pos = ~0ull, "next_pos");
	BAD_LIST(len -= 8, "reclen");
	BAD(NEXUS_OP_LIST, 20, 1000, 0, NULL, list->flags = 0, "count");
#define BAD_NAMES(change, why)						\
	BAD(NEXUS_OP_LIST, 20, 3, 9 | NEXUS_LIST_NAMES, NULL, change, why)
	BAD_NAMES(e->pos = 9, "pos");
	BAD_NAMES(e->flags = NEXUS_DE_ENTRY, "entry flags");
	BAD_NAMES(e->reclen += 8, "reclen");
}

static void test_bad_rest(void **state)
{
	struct nexus_xattr_reply *x = (void *)out;
	struct nexus_name_reply *n = (void *)out;
	struct nexus_setting_ent *st = (void *)out;
	struct nexus_quota_reply *q = (void *)out;

	(void)state;
#define BAD_EXT(change, why) BAD(NEXUS_OP_EXTENTS, 22, 22, 8192, NULL, change, why)
	BAD_EXT(exts->count++, "length");
	BAD_EXT(exts->extent[0].offset = 4096, "extent offset");
	BAD_EXT(exts->next_offset = 0, "next_offset");
	BAD_EXT(exts->next_offset++, "next_offset");
	BAD_EXT(exts->flags = 4, "reply flags");
	BAD(NEXUS_OP_EXTENTS, 22, 22, 1ull << 40, NULL, exts->flags = 0, "count");
	BAD(NEXUS_OP_READLINK, 21, 0, 0, NULL, out[2] = 0, "symlink");
	BAD(NEXUS_OP_READLINK, 21, 0, 0, NULL, len = 0, "symlink");
	BAD(NEXUS_OP_INLINE, 23, 0, 0, NULL, len = 1901, "length");
	BAD(NEXUS_OP_GETXATTR, 22, 0, 0, "user.big", x->total = 100000, "total");
	BAD(NEXUS_OP_GETXATTR, 22, 0, 0, "user.big", x->total = 10, "length");
	BAD(NEXUS_OP_GETXATTR, 22, 0, 0, "user.big", len = 8, "length");
	BAD(NEXUS_OP_LISTXATTR, 22, 0, 0, NULL, out[8] = 'x', "xattr name");
	BAD(NEXUS_OP_LISTXATTR, 22, 0, 0, NULL, out[0] = 0, "xattr name");
	BAD(NEXUS_OP_STATFS, 0, 0, 0, NULL, len = 8, "length");
	BAD(NEXUS_OP_GETNAME, 20, 0, 0, NULL, n->name[0] = '/', "name");
	BAD(NEXUS_OP_GETNAME, 20, 0, 0, NULL, n->parent = 20, "parent");
	BAD(NEXUS_OP_GETNAME, 20, 0, 0, NULL, n->pos = 0, "pos");
	BAD(NEXUS_OP_GETNAME, 20, 0, 0, NULL, n->namelen = ~0u, "length");
	BAD(NEXUS_OP_QUOTA, 0, 1, 5, NULL, len = 80, "length");
	BAD(NEXUS_OP_QUOTA, 0, 1, 5, NULL, q->id = 6, "id");
	BAD(NEXUS_OP_QUOTA, 0, 1, 5, NULL, q->inodes = ~0ull, "usage");
	BAD(NEXUS_OP_QUOTA, 0, 1, 5, NULL, q->blocks = 1ull << 51, "usage");
	BAD(NEXUS_OP_QUOTA, 0, 1, 5, NULL, q->inodes_time = ~0ull, "time");
	BAD(NEXUS_OP_QUOTA, 0, 1, 5, NULL, q->blocks_time = ~0ull, "time");
	BAD(NEXUS_OP_QUOTA, 0, 1, 5, NULL, q->inodes_grace = 1ull << 31, "time");
	BAD(NEXUS_OP_QUOTA, 0, 1, 5, NULL, q->blocks_grace = ~0ull, "time");
	BAD(NEXUS_OP_QUOTA, 0, 1 | NEXUS_QUOTA_NEXT, 0, NULL, q->id = ~0u, "id");
	BAD(NEXUS_OP_QUOTA, 0, 0 | NEXUS_QUOTA_NEXT, 0, NULL, q->id = 1ull << 40, "id");
	must(&s, rec_setting(1, "/a", "b"));
	BAD(NEXUS_OP_SETTINGS, 0, 0, 0, NULL, st->reclen = 8, "reclen");
	BAD(NEXUS_OP_SETTINGS, 0, 0, 0, NULL, st->reclen = 0, "reclen");
	BAD(NEXUS_OP_SETTINGS, 0, 0, 0, NULL, st->pathlen = 0, "path");
	BAD(NEXUS_OP_SETTINGS, 0, 0, 0, NULL, st->data[0] = 0, "path");
	assert_non_null(verdict(NEXUS_OP_OPEN_ZONE, 0, 0, 0, 1));
	assert_null(verdict(NEXUS_OP_OPEN_PACK, 0, 0, 0, 0));
	assert_null(verdict(NEXUS_OP_ENSURE, 0, 0, 0, 0));
	assert_non_null(verdict(NEXUS_OP_ENSURE, 0, 0, 0, 8));
	assert_non_null(verdict(0x77, 0, 0, 0, 0));
}

static void test_reason(void **state)
{
	char text[NEXUS_REASON_LEN + 1];
	int c;

	(void)state;
	assert_true(nexus_reason_ok("x", 2));
	assert_true(nexus_reason_ok(" ~", 3));
	assert_false(nexus_reason_ok("", 0));
	assert_false(nexus_reason_ok("", 1));
	assert_false(nexus_reason_ok("xy", 2));
	assert_false(nexus_reason_ok("x\0y", 4));
	for (c = 1; c < 256; c++) {
		text[0] = (char)c;
		text[1] = '\0';
		assert_int_equal(nexus_reason_ok(text, 2), c >= 0x20 && c <= 0x7e);
	}
	memset(text, 'x', sizeof(text));
	text[NEXUS_REASON_LEN - 1] = '\0';
	assert_true(nexus_reason_ok(text, NEXUS_REASON_LEN));
	text[NEXUS_REASON_LEN - 1] = 'x';
	text[NEXUS_REASON_LEN] = '\0';
	assert_false(nexus_reason_ok(text, NEXUS_REASON_LEN + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_lookup), T(test_list), T(test_list_names), T(test_list_damage), T(test_list_content),
		T(test_extents), T(test_content), T(test_quota), T(test_xattr), T(test_names),
		T(test_settings), T(test_bad_entry), T(test_bad_list),
		T(test_bad_rest), T(test_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
