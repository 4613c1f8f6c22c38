// SPDX-License-Identifier: Apache-2.0
/* Keys, values, CRC, records and batches: round trips and refusals. */
#include "records.h"
#include "lib/shared.h"

static void test_crc(void **state)
{
	static u8 b[20000], to[20000];
	u32 i, c;

	(void)state;
	assert_int_equal(nexus_crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(nexus_crc32c_table(0, "123456789", 9), 0xe3069283);
	assert_int_equal(nexus_crc32c(0, "", 0), 0);
	seed_init(3);
	for (i = 0; i < sizeof(b); i++)
		b[i] = (u8)rnd64();
	for (i = 0; i < 3000; i++) {
		u32 at = rnd(100), n = rnd(i % 2 ? 64 : 19000);

		c = (u32)rnd64();
		assert_int_equal(nexus_crc32c_fast(c, b + at, n),
				 nexus_crc32c_table(c, b + at, n));
		assert_int_equal(nexus_crc32c_copy(c, to + i % 9, b + at, n),
				 nexus_crc32c_table(c, b + at, n));
		assert_memory_equal(to + i % 9, b + at, n);
		memset(to, 0, sizeof(to));
		assert_int_equal(nexus_crc32c_table_copy(c, to + i % 9, b + at, n),
				 nexus_crc32c_table(c, b + at, n));
		assert_memory_equal(to + i % 9, b + at, n);
		/* In pieces, the same. */
		assert_int_equal(nexus_crc32c(nexus_crc32c(0, b, n), b + n, 700),
				 nexus_crc32c(0, b, n + 700));
	}
}

/* Scenario A12. */
static void test_keys(void **state)
{
	struct nexus_key k, l;

	(void)state;
	nexus_key_list(&k, 0x0102030405060708ull, 9);
	assert_int_equal(k.len, 17);
	assert_memory_equal(k.b, "L\1\2\3\4\5\6\7\10\0\0\0\0\0\0\0\11", 17);
	nexus_key_dirent(&k, 1, "ab", 2);
	assert_memory_equal(k.b, "D\0\0\0\0\0\0\0\1ab", 11);
	nexus_key_name(&k, 1, 2, "x", 1);
	assert_int_equal(k.len, 18);
	nexus_key_quota(&k, 2, 5);
	assert_memory_equal(k.b, "Q\2\0\0\0\0\0\0\0\5", 10);
	nexus_key_extent(&k, 7, 1ull << 40);
	nexus_key_extent(&l, 7, 1ull << 41);
	assert_true(memcmp(k.b, l.b, 17) < 0);
	assert_true(nexus_get_be64(k.b + 9) == 1ull << 40);
	/* The longest that begins at a block first; long and short apart. */
	nexus_key_shared(&k, 5, 0x01020304, 9, 7, 4096);
	assert_int_equal(k.len, NEXUS_SHARED_KEY_LEN);
	assert_memory_equal(k.b, "R\0\0\0\0\0\0\0\5\1\1\2\3\4\367", 15);
	assert_true(nexus_get_be64(k.b + 15) == 7 && nexus_get_be64(k.b + 23) == 4096);
	nexus_key_shared(&l, 5, 0x01020304, 8, 7, 4096);
	assert_memory_equal(l.b, "R\0\0\0\0\0\0\0\5\0\1\2\3\4\370", 15);
	nexus_key_shared(&l, 5, 0x01020304, 10, 99, 99);
	assert_true(memcmp(l.b, k.b, k.len) < 0);
	nexus_key_zone(&k);
	assert_int_equal(k.len, 1);
	assert_false(nexus_key_logged('Z') || nexus_key_logged('N'));
	assert_true(nexus_key_logged('I'));
}

static void test_values(void **state)
{
	struct nexus_orphan_val v;
	u8 *b = (u8 *)&v;
	size_t i;

	(void)state;
	memset(&v, 0x11, sizeof(v));
	nexus_val_seal(&v, sizeof(v), 'O');
	assert_int_equal(nexus_val_check(&v, sizeof(v), 'O', sizeof(v)), 0);
	assert_int_equal(nexus_val_check(&v, sizeof(v), 'E', sizeof(v)), -EUCLEAN);
	assert_int_equal(nexus_val_check(&v, sizeof(v), 'O', sizeof(v) + 1), -EUCLEAN);
	assert_int_equal(nexus_val_check(&v, 7, 'O', 0), -EUCLEAN);
	for (i = 0; i < sizeof(v); i++) {
		b[i] ^= 0x20;
		assert_int_equal(nexus_val_check(&v, sizeof(v), 'O', 0), -EUCLEAN);
		b[i] ^= 0x20;
	}
}

static void test_names(void **state)
{
	char longest[300];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	assert_true(nexus_name_ok("a", 1) && nexus_name_ok("...", 3));
	assert_true(nexus_name_ok("..a", 3) && nexus_name_ok(longest, 255));
	assert_false(nexus_name_ok("", 0) || nexus_name_ok(".", 1));
	assert_false(nexus_name_ok("..", 2) || nexus_name_ok("a/b", 3));
	assert_false(nexus_name_ok("a\0b", 3) || nexus_name_ok(longest, 256));
	assert_true(nexus_label_ok("a-9", 3) && nexus_label_ok("9", 1));
	assert_false(nexus_label_ok("-a", 2) || nexus_label_ok("A", 1));
	assert_false(nexus_label_ok("", 0) || nexus_label_ok(longest, 64));
	assert_true(nexus_mode_ok(S_IFSOCK | 07777) && !nexus_mode_ok(0644));
	assert_false(nexus_mode_ok(S_IFREG | 0200000) || nexus_mode_ok(0160000));
	assert_int_equal(nexus_mode_dtype(S_IFLNK | 0777), 10);
}

static int check(void *rec)
{
	return nexus_rec_check(rec, le32_to_cpu(((struct nexus_rec_head *)rec)->len));
}

#define GOOD(rec) assert_int_equal(check(rec), 0)
/* A good record with one field changed is bad. */
#define BAD(type, make, change) do {			\
	struct type *r = (make);			\
	GOOD(r);					\
	change;						\
	assert_int_equal(check(r), -EUCLEAN);		\
} while (0)

static void *mk(void)
{
	struct create_args a = {
		.parent = 1, .pos = 3, .ino = 20, .data_id = 20, .name = "name",
		.mode = S_IFREG | 0644, .content = "abc", .contentlen = 3,
		.xname = "user.a", .xval = "v",
	};

	return rec_create(&a);
}

static void test_head(void **state)
{
	(void)state;
	BAD(nexus_rec_head, rec_nop(), r->type = cpu_to_le16(0));
	BAD(nexus_rec_head, rec_nop(), r->type = cpu_to_le16(NEXUS_REC_MAX));
	BAD(nexus_rec_head, rec_nop(), r->len = cpu_to_le32(33));
	BAD(nexus_rec_head, rec_nop(), r->len = cpu_to_le32(24));
	BAD(nexus_rec_head, rec_nop(), r->flags = cpu_to_le16(1));
	BAD(nexus_rec_head, rec_nop(), r->time_ns = cpu_to_le32(1000000000));
	BAD(nexus_rec_head, rec_nop(), r->reserved = cpu_to_le32(1));
	assert_int_equal(nexus_rec_check(rec_nop(), 31), -EUCLEAN);
	assert_int_equal(nexus_rec_check(mk(), 64), -EUCLEAN);
	assert_string_equal(nexus_rec_name(NEXUS_REC_RENAME), "RENAME");
	assert_string_equal(nexus_rec_name(999), "unknown");
}

static void test_create(void **state)
{
	(void)state;
	BAD(nexus_rec_create, mk(), r->ino = 0);
	BAD(nexus_rec_create, mk(), r->ino = cpu_to_le64(1));
	BAD(nexus_rec_create, mk(), r->data_id = 0);
	BAD(nexus_rec_create, mk(), r->pos = cpu_to_le64(2));
	BAD(nexus_rec_create, mk(), r->mode = cpu_to_le32(0644));
	BAD(nexus_rec_create, mk(), r->mode = cpu_to_le32(S_IFDIR | 0755));
	BAD(nexus_rec_create, mk(), r->uid = cpu_to_le32(~0u));
	BAD(nexus_rec_create, mk(), r->gid = cpu_to_le32(~0u));
	BAD(nexus_rec_create, mk(), r->iflags = cpu_to_le32(1u << 20));
	BAD(nexus_rec_create, mk(), r->namelen = cpu_to_le16(3));
	BAD(nexus_rec_create, mk(), r->namelen = cpu_to_le16(200));
	BAD(nexus_rec_create, mk(), r->contentlen = cpu_to_le16(2));
	BAD(nexus_rec_create, mk(), r->contentlen = cpu_to_le16(60000));
	BAD(nexus_rec_create, mk(), r->xattrlen = cpu_to_le32(8));
	BAD(nexus_rec_create, mk(), r->xattrlen = cpu_to_le32(0xfffffff8));
	BAD(nexus_rec_create, mk(), r->data[0] = '/');
	BAD(nexus_rec_create, mk(), r->data[7] = 1);	/* padding */
	BAD(nexus_rec_create, mk(), r->data[16] = 200);	/* xattr's namelen */
	BAD(nexus_rec_create, mk(), r->data[24] = 0);	/* its name */
	BAD(nexus_rec_create, mk(), r->parent = 0);	/* a tmpfile has no name */
	GOOD(rec_mk(0, 0, 20, NULL, S_IFREG | 0600));
	assert_int_equal(check(rec_mk(0, 0, 20, NULL, S_IFDIR | 0600)), -EUCLEAN);
	assert_int_equal(check(rec_mk(1, 3, 20, "l", S_IFLNK | 0777)), -EUCLEAN);
}

static void test_name_records(void **state)
{
	(void)state;
	BAD(nexus_rec_link, rec_link(1, 3, 20, "a"), r->head.flags = cpu_to_le16(1));
	BAD(nexus_rec_link, rec_link(1, 3, 20, "a"), r->parent = 0);
	BAD(nexus_rec_link, rec_link(1, 3, 20, "a"), r->ino = 0);
	BAD(nexus_rec_link, rec_link(1, 3, 20, "a"), r->pos = cpu_to_le64(~0ull));
	BAD(nexus_rec_link, rec_link(1, 3, 20, "a"), r->name[0] = '.');
	BAD(nexus_rec_link, rec_link(1, 3, 20, "a"), r->name[1] = 'x');
	BAD(nexus_rec_link, rec_link(1, 3, 20, "a"), r->reserved[1] = 1);
	GOOD(rec_unlink(1, 3, 20, "a"));
	BAD(nexus_rec_unlink, rec_rmdir(1, 3, 20, "a"),
	    r->head.flags = cpu_to_le16(2));
#define RENAME rec_rename(1, 3, 20, "ab", 1, 4, 0, "cde", 0)
	BAD(nexus_rec_rename, RENAME, r->head.flags = cpu_to_le16(NEXUS_RF_EXCHANGE));
	BAD(nexus_rec_rename, RENAME, r->head.flags = cpu_to_le16(NEXUS_RF_WHITEOUT));
	BAD(nexus_rec_rename, RENAME, r->replaced = r->ino);
#define WHITEOUT rec_whiteout(1, 3, 20, "ab", 1, 4, 0, "cde", 21, "v")
#define WH(r) ((struct nexus_rec_whiteout *)((r)->names + 8))
	BAD(nexus_rec_rename, WHITEOUT, r->head.flags = 0);
	BAD(nexus_rec_rename, WHITEOUT,
	    r->head.flags = cpu_to_le16(NEXUS_RF_WHITEOUT | NEXUS_RF_EXCHANGE));
	BAD(nexus_rec_rename, WHITEOUT, r->names[5] = 'x');
	BAD(nexus_rec_rename, WHITEOUT, r->dnamelen = cpu_to_le16(90));
	BAD(nexus_rec_rename, WHITEOUT, r->dnamelen = cpu_to_le16(255));
	BAD(nexus_rec_rename, WHITEOUT, WH(r)->ino = 0);
	BAD(nexus_rec_rename, WHITEOUT, WH(r)->ino = cpu_to_le64(1));
	BAD(nexus_rec_rename, WHITEOUT, WH(r)->uid = cpu_to_le32(~0u));
	BAD(nexus_rec_rename, WHITEOUT, WH(r)->gid = cpu_to_le32(~0u));
	BAD(nexus_rec_rename, WHITEOUT, WH(r)->projid = cpu_to_le32(~0u));
	BAD(nexus_rec_rename, WHITEOUT, WH(r)->reserved = cpu_to_le32(1));
	BAD(nexus_rec_rename, WHITEOUT, WH(r)->xattrlen = cpu_to_le32(8));
	BAD(nexus_rec_rename, WHITEOUT, WH(r)->xattrlen = cpu_to_le32(~0u));
	BAD(nexus_rec_rename, WHITEOUT, WH(r)->xattrs[0] = 0);	/* namelen */
	BAD(nexus_rec_rename, RENAME, r->snamelen = cpu_to_le16(0));
	BAD(nexus_rec_rename, RENAME, r->dnamelen = cpu_to_le16(9));
	BAD(nexus_rec_rename, RENAME, r->dpos = cpu_to_le64(0));
	BAD(nexus_rec_rename, RENAME, r->reserved = cpu_to_le32(1));
	BAD(nexus_rec_rename, RENAME, r->names[4] = '/');
}

static void test_content_records(void **state)
{
	(void)state;
#define EXTENT rec_extent(20, 20, 1, 8192, 5, 6, 3, 0)
	BAD(nexus_rec_extent, EXTENT, r->nblocks = cpu_to_le32(0));
	BAD(nexus_rec_extent, EXTENT, r->nblocks = cpu_to_le32(5));
	BAD(nexus_rec_extent, EXTENT, r->block = cpu_to_le32(0));
	BAD(nexus_rec_extent, EXTENT, r->block = cpu_to_le32(NEXUS_PACK_BLOCKS_MAX - 2));
	BAD(nexus_rec_extent, EXTENT, r->block = cpu_to_le32(~0u));
	BAD(nexus_rec_extent, EXTENT, r->pack = 0);
	BAD(nexus_rec_extent, EXTENT, r->offset = cpu_to_le64(1));
	BAD(nexus_rec_extent, EXTENT, r->offset = cpu_to_le64(~0xfffull));
	BAD(nexus_rec_extent, EXTENT, r->size = cpu_to_le64(~0ull));
	BAD(nexus_rec_extent, EXTENT, r->flags = cpu_to_le32(NEXUS_EF_SHARED));
	BAD(nexus_rec_extent, EXTENT, r->flags = cpu_to_le32(NEXUS_EF_UNWRITTEN));
	BAD(nexus_rec_extent, EXTENT, r->flags = cpu_to_le32(NEXUS_EF_NOCRC));	/* and CRCs */
	BAD(nexus_rec_extent, rec_extent(20, 20, 1, 8192, 5, 6, 3, NEXUS_EF_NOCRC),
	    r->crc[2] = cpu_to_le32(1));
	BAD(nexus_rec_extent, EXTENT, r->mtime_ns = cpu_to_le32(~0u));
	BAD(nexus_rec_extent, EXTENT, r->crc[3] = cpu_to_le32(1));	/* padding */
#define TRUNC rec_truncate(20, 20, 0, 5000, 6, 1)
	BAD(nexus_rec_truncate, TRUNC, r->new_data_id = cpu_to_le64(30));
	BAD(nexus_rec_truncate, TRUNC, r->size = cpu_to_le64(8192));
	BAD(nexus_rec_truncate, TRUNC, r->size = cpu_to_le64(~0ull));
	BAD(nexus_rec_truncate, TRUNC, r->tail_pack = 0);
	BAD(nexus_rec_truncate, TRUNC, r->tail_block = 0);
	BAD(nexus_rec_truncate, TRUNC, r->ino = 0);
	BAD(nexus_rec_truncate, rec_truncate(20, 20, 30, 0, 0, 0),
	    r->new_data_id = r->data_id);
	BAD(nexus_rec_data, rec_data(20, 20, 0, "abc"), r->data[0] = 'x');
	BAD(nexus_rec_data, rec_data(20, 20, 0, "abc"), r->len = cpu_to_le32(~0u));
	BAD(nexus_rec_data, rec_data(20, 20, 0, "abc"), r->offset = cpu_to_le64(8));
	BAD(nexus_rec_data, rec_data(20, 20, 0, "abc"), r->offset = cpu_to_le64(1ull << 63));
	BAD(nexus_rec_data, rec_data(20, 20, 0, "abc"), r->len = 0);
	BAD(nexus_rec_data, rec_data(20, 20, 0, "abc"), r->ino = 0);
	BAD(nexus_rec_data, rec_data(20, 20, 0, "abc"), r->data_id = 0);
	BAD(nexus_rec_data, rec_data(20, 20, 0, "abc"), r->crc ^= cpu_to_le32(1));
	BAD(nexus_rec_data, rec_data(20, 20, 0, "abc"), r->mtime_ns = cpu_to_le32(~0u));
	BAD(nexus_rec_data, rec_data(20, 20, 0, "abc"), r->ctime_ns = cpu_to_le32(~0u));
	BAD(nexus_rec_data, rec_data(20, 20, 0, "abc"), r->data[4] = 1);	/* padding */
	BAD(nexus_rec_data, rec_data(20, 20, 0, "abc"), r->head.flags = cpu_to_le16(1));
#define PUNCH rec_range(NEXUS_REC_PUNCH, 20, 20, 5, 7, 0)
	BAD(nexus_rec_range, PUNCH, r->head.flags = cpu_to_le16(1));
	BAD(nexus_rec_range, PUNCH, r->ino = 0);
	BAD(nexus_rec_range, PUNCH, r->data_id = 0);
	BAD(nexus_rec_range, PUNCH, r->size = cpu_to_le64((1ull << 63)));
	BAD(nexus_rec_range, PUNCH, r->len = 0);
	BAD(nexus_rec_range, PUNCH, r->len = cpu_to_le64(4095));
	BAD(nexus_rec_range, PUNCH, r->len = cpu_to_le64((NEXUS_RANGE_BLOCKS_MAX + 1) * 4096ull));
	BAD(nexus_rec_range, PUNCH, r->offset = cpu_to_le64(1));
	BAD(nexus_rec_range, PUNCH, r->offset = cpu_to_le64(1ull << 63));
	BAD(nexus_rec_range, PUNCH, r->offset = cpu_to_le64((1ull << 63) - 6 * 4096));
	GOOD(rec_range(NEXUS_REC_PUNCH, 20, 20, (1ull << 51) - 7, 7, 0));
	GOOD(rec_range(NEXUS_REC_RESERVE, 20, 20, 5, NEXUS_RANGE_BLOCKS_MAX, NEXUS_SIZE_MAX));
#define RESERVE rec_range(NEXUS_REC_RESERVE, 20, 20, 5, 7, 9)
	BAD(nexus_rec_range, RESERVE, r->size = cpu_to_le64(1ull << 63));
	BAD(nexus_rec_range, RESERVE, r->len = cpu_to_le64(~0ull << 12));
#define MOVE rec_move(&(struct move_args) { .ino = 20, .id = 20, .at = 5, .from_pack = 5, \
	.from_block = 6, .to_pack = 7, .to_block = 8, .nblocks = 3 })
	GOOD(MOVE);
	BAD(nexus_rec_move, MOVE, r->head.flags = cpu_to_le16(1));
	BAD(nexus_rec_move, MOVE, r->ino = 0);
	BAD(nexus_rec_move, MOVE, r->data_id = 0);
	BAD(nexus_rec_move, MOVE, r->offset = cpu_to_le64(1));
	BAD(nexus_rec_move, MOVE, r->offset = cpu_to_le64((1ull << 63) - 4096));
	BAD(nexus_rec_move, MOVE, r->offset = cpu_to_le64(~0xfffull));
	BAD(nexus_rec_move, MOVE, r->from_pack = 0);
	BAD(nexus_rec_move, MOVE, r->to_pack = 0);
	BAD(nexus_rec_move, MOVE, r->to_pack = r->from_pack);
	BAD(nexus_rec_move, MOVE, r->from_block = 0);
	BAD(nexus_rec_move, MOVE, r->from_block = cpu_to_le32(~0u));
	BAD(nexus_rec_move, MOVE, r->to_block = 0);
	BAD(nexus_rec_move, MOVE, r->to_block = cpu_to_le32(NEXUS_PACK_BLOCKS_MAX - 2));
	BAD(nexus_rec_move, MOVE, r->nblocks = 0);
	BAD(nexus_rec_move, MOVE, r->nblocks = cpu_to_le32(5));
	BAD(nexus_rec_move, MOVE, r->nblocks = cpu_to_le32(~0u));
	BAD(nexus_rec_move, MOVE, r->reserved = cpu_to_le32(1));
	BAD(nexus_rec_move, MOVE, r->crc[3] = cpu_to_le32(1));	/* padding */
}

static void test_inline_record(void **state)
{
	static const char bytes[NEXUS_INLINE_MAX + 8] = "abcde";
	u32 len;

	(void)state;
	for (len = 1; len <= NEXUS_INLINE_MAX; len++)
		GOOD(rec_inline(20, 20, bytes, len));
#define INLINE(len) rec_inline(20, 20, bytes, len)
	BAD(nexus_rec_inline, INLINE(5), r->head.flags = cpu_to_le16(1));
	BAD(nexus_rec_inline, INLINE(5), r->ino = 0);
	BAD(nexus_rec_inline, INLINE(5), r->data_id = 0);
	BAD(nexus_rec_inline, INLINE(5), r->len = 0);
	BAD(nexus_rec_inline, INLINE(5), r->len = cpu_to_le32(4)); /* is padding, not zero */
	BAD(nexus_rec_inline, INLINE(5), r->len = cpu_to_le32(9));
	BAD(nexus_rec_inline, INLINE(5), r->len = cpu_to_le32(~0u));
	BAD(nexus_rec_inline, INLINE(5), r->data[7] = 1);
	BAD(nexus_rec_inline, INLINE(5), r->reserved = cpu_to_le32(1));
	BAD(nexus_rec_inline, INLINE(5), r->mtime_ns = cpu_to_le32(1000000000));
	BAD(nexus_rec_inline, INLINE(5), r->ctime_ns = cpu_to_le32(~0u));
	BAD(nexus_rec_inline, INLINE(NEXUS_INLINE_MAX),
	    r->len = cpu_to_le32(NEXUS_INLINE_MAX + 1));
	/* Of the right length for that, and too long all the same. */
	assert_int_equal(check(INLINE(NEXUS_INLINE_MAX + 1)), -EUCLEAN);
}

static void test_references(void **state)
{
	struct nexus_kext x = {
		.fblock = 300, .pack = 5, .block = 6, .nblocks = 40,
	};
	struct nexus_ref ref;
	struct nexus_key k;
	u32 i;

	(void)state;
	for (i = 1; i <= 212; i += 3) {
		x.nblocks = i;
		nexus_ref_key(&k, 77, &x);
		assert_int_equal(nexus_ref_parse(&k, &ref), 0);
		assert_true(ref.data_id == 77 && ref.x.pack == 5 &&
			    ref.x.block == 6 && ref.x.nblocks == i &&
			    ref.x.fblock == 300 && ref.x.flags == NEXUS_EF_SHARED);
	}
#define BAD_REF(change) do {						\
	nexus_ref_key(&k, 77, &x);					\
	change;								\
	assert_int_equal(nexus_ref_parse(&k, &ref), -EUCLEAN);		\
} while (0)
	x.nblocks = 40;
	BAD_REF(k.len--);
	BAD_REF(k.b[8] = 0);		/* pack */
	BAD_REF(k.b[9] = 0);		/* class */
	BAD_REF(k.b[9] = 7);
	BAD_REF(k.b[13] = 0);		/* block */
	BAD_REF(k.b[10] = 0xff);
	BAD_REF(k.b[14] = 0);		/* 256 blocks from 300 on: two windows */
	BAD_REF(k.b[30] = 1);		/* within a block */
	BAD_REF(k.b[23] = 0x80);
}

static void test_clone_records(void **state)
{
	struct clone_args a = {
		.src = 20, .src_id = 21, .from = 4, .ino = 22, .id = 23, .to = 5,
		.size = 8192, .nblocks = 8, .mapped = 7,
	};
	struct clone_args same = {
		.src = 20, .src_id = 20, .from = 0, .ino = 20, .id = 20, .to = 8,
		.nblocks = 8,
	};

	(void)state;
#define SHARE rec_share(20, 20, 3, 9)
	BAD(nexus_rec_share, SHARE, r->ino = 0);
	BAD(nexus_rec_share, SHARE, r->data_id = 0);
	BAD(nexus_rec_share, SHARE, r->offset = cpu_to_le64(1));
	BAD(nexus_rec_share, SHARE, r->offset = cpu_to_le64(~0xfffull));
	BAD(nexus_rec_share, SHARE, r->nblocks = 0);
	BAD(nexus_rec_share, SHARE, r->nblocks = cpu_to_le32(NEXUS_CLONE_BLOCKS_MAX + 1));
	BAD(nexus_rec_share, SHARE, r->reserved = cpu_to_le32(1));
	BAD(nexus_rec_share, SHARE, r->head.flags = cpu_to_le16(1));
#define CLONE rec_clone(&a)
	BAD(nexus_rec_clone, CLONE, r->src_ino = 0);
	BAD(nexus_rec_clone, CLONE, r->src_data_id = 0);
	BAD(nexus_rec_clone, CLONE, r->ino = 0);
	BAD(nexus_rec_clone, CLONE, r->data_id = 0);
	BAD(nexus_rec_clone, CLONE, r->ino = r->src_ino);
	BAD(nexus_rec_clone, CLONE, r->data_id = r->src_data_id);
	BAD(nexus_rec_clone, CLONE, r->src_offset = cpu_to_le64(2048));
	BAD(nexus_rec_clone, CLONE, r->offset = cpu_to_le64(2048));
	BAD(nexus_rec_clone, CLONE, r->offset = cpu_to_le64(0x7ffffffffffff000));
	BAD(nexus_rec_clone, CLONE, r->size = cpu_to_le64(~0ull));
	BAD(nexus_rec_clone, CLONE, r->nblocks = 0);
	BAD(nexus_rec_clone, CLONE, r->nblocks = cpu_to_le32(2000));
	BAD(nexus_rec_clone, CLONE, r->mapped = cpu_to_le32(9));
	BAD(nexus_rec_clone, CLONE, r->mtime_ns = cpu_to_le32(~0u));
	BAD(nexus_rec_clone, CLONE, r->ctime_ns = cpu_to_le32(~0u));
	BAD(nexus_rec_clone, CLONE, r->head.flags = cpu_to_le16(1));
	/* Within a file the ranges lie apart. */
	BAD(nexus_rec_clone, rec_clone(&same), r->nblocks = cpu_to_le32(9));
	BAD(nexus_rec_clone, rec_clone(&same), r->src_offset = cpu_to_le64(4096));
}

static void test_other_records(void **state)
{
	(void)state;
	BAD(nexus_rec_setattr, rec_setattr(20, 1, 0, 0, 0, 0),
	    r->mask = cpu_to_le32(0x200));
	BAD(nexus_rec_setattr, rec_setattr(20, NEXUS_SA_UID, 0, 0, 0, 0),
	    r->uid = cpu_to_le32(~0u));
	BAD(nexus_rec_setattr, rec_setattr(20, NEXUS_SA_FLAGS, 0, 0, 0, 0),
	    r->iflags = cpu_to_le32(~0u));
	BAD(nexus_rec_setattr, rec_setattr(20, 1, 0, 0, 0, 0), r->ino = 0);
	BAD(nexus_rec_setxattr, rec_setxattr(20, "a", "b", 0),
	    r->head.flags = cpu_to_le16(3));
	BAD(nexus_rec_setxattr, rec_setxattr(20, "a", "b", 0), r->namelen = 0);
	BAD(nexus_rec_setxattr, rec_setxattr(20, "a", "b", 0), r->data[0] = 0);
	BAD(nexus_rec_setxattr, rec_setxattr(20, "a", "b", 0),
	    r->vallen = cpu_to_le32(NEXUS_XATTR_VALUE_MAX + 1));
	BAD(nexus_rec_setxattr, rec_removexattr(20, "a"), r->vallen = cpu_to_le32(1));
	BAD(nexus_rec_setxattr, rec_setxattr(20, "a", "b", 0), r->mode = cpu_to_le16(1));
	BAD(nexus_rec_setxattr, rec_xattr_mode(rec_setxattr(20, "a", "b", 0), 0644),
	    r->mode = cpu_to_le16(010644));
	BAD(nexus_rec_setxattr, rec_xattr_mode(rec_removexattr(20, "a"), 0644),
	    r->head.flags = cpu_to_le16(NEXUS_RF_XATTR_MODE | NEXUS_RF_XATTR_REPLACE));
	BAD(nexus_rec_setxattr, rec_xattr_mode(rec_setxattr(20, "a", "b", 0), 0644),
	    r->head.flags = cpu_to_le16(NEXUS_RF_XATTR_MODE << 1));
	BAD(nexus_rec_forget, rec_forget(20, 20, 1), r->ino = 0);
	BAD(nexus_rec_forget, rec_forget(20, 20, 1), r->reserved = cpu_to_le32(1));
	BAD(nexus_rec_bulk, rec_bulk(20, 1), r->max = 0);
	BAD(nexus_rec_bulk, rec_bulk(20, 1), r->data_id = 0);
	BAD(nexus_rec_pack, rec_pack(5, 1, 1), r->state = cpu_to_le32(3));
	BAD(nexus_rec_pack, rec_pack(5, 1, 1), r->hash[0] = 1);
	BAD(nexus_rec_pack, rec_pack(5, 1, 1), r->hash_alg = 2);
	BAD(nexus_rec_setting, rec_setting(1, "/a", "b"), r->pathlen = 0);
	BAD(nexus_rec_setting, rec_setting(1, "/a", "b"),
	    r->vallen = cpu_to_le32(~0u));
	BAD(nexus_rec_quota, rec_quota(1, 5, 0, 0), r->kind = cpu_to_le32(4));
	BAD(nexus_rec_quota, rec_quota(1, 5, 0, 0), r->kind = 0);
	BAD(nexus_rec_quota, rec_quota(1, 5, 0, 0), r->id = cpu_to_le64(~0u));
	BAD(nexus_rec_quota, rec_quota(1, 5, 0, 0), r->kind = cpu_to_le32(7));
	BAD(nexus_rec_quota, rec_quota(9, 0, 60, 60), r->kind = cpu_to_le32(12));
	BAD(nexus_rec_quota, rec_quota(9, 0, 60, 60), r->id = cpu_to_le64(1));
	BAD(nexus_rec_quota, rec_quota(9, 0, 60, 60), r->blocks_hard = cpu_to_le64(1));
	BAD(nexus_rec_quota, rec_quota(9, 0, 60, 60), r->inodes_hard = cpu_to_le64(1));
	BAD(nexus_rec_quota, rec_quota(9, 0, 60, 60),
	    r->blocks_soft = cpu_to_le64(1ull << 31));
	BAD(nexus_rec_quota, rec_quota(9, 0, 60, 60),
	    r->inodes_soft = cpu_to_le64(1ull << 31));
}

/* Three records in a batch; returns its size without padding. */
static size_t make_batch(u8 *buf, u64 lsn)
{
	struct nexus_batch_head *h = (void *)buf;
	size_t at = sizeof(*h);
	int i;

	memset(buf, 0, 8192);
	h->magic = cpu_to_le64(NEXUS_BATCH_MAGIC);
	h->version = cpu_to_le32(1);
	h->head_len = cpu_to_le32(sizeof(*h));
	memset(h->zone, 7, sizeof(h->zone));
	h->first_lsn = cpu_to_le64(lsn);
	h->count = cpu_to_le32(3);
	for (i = 0; i < 3; i++) {
		struct nexus_rec_head *r = i ? mk() : rec_nop();

		r->lsn = cpu_to_le64(lsn + at - sizeof(*h));
		memcpy(buf + at, r, le32_to_cpu(r->len));
		at += le32_to_cpu(r->len);
	}
	h->length = cpu_to_le32((u32)(at - sizeof(*h)));
	h->crc = cpu_to_le32(nexus_batch_crc(h, buf + sizeof(*h)));
	return at;
}

static void test_batch(void **state)
{
	static u8 buf[8192] __attribute__((aligned(8)));
	struct nexus_batch_head *h = (void *)buf;
	u8 zone[16], other[16];
	size_t len = make_batch(buf, 4096), i;

	(void)state;
	memset(zone, 7, 16);
	memset(other, 8, 16);
	assert_int_equal(nexus_batch_check(buf, len, zone), 0);
	assert_int_equal(nexus_batch_check(buf, 8192, zone), 0);
	assert_int_equal(nexus_batch_check(buf, len - 1, zone), -EUCLEAN);
	assert_int_equal(nexus_batch_check(buf, 100, zone), -ENODATA);
	assert_int_equal(nexus_batch_check(buf, len, other), -EUCLEAN);
	assert_int_equal(nexus_batch_size(0), 4096);
	assert_int_equal(nexus_batch_size(4096 - 128), 4096);
	assert_int_equal(nexus_batch_size(4096 - 127), 8192);
	for (i = 0; i < len; i++) {
		buf[i] ^= 1;
		assert_int_equal(nexus_batch_check(buf, len, zone),
				 i < 8 ? -ENODATA : -EUCLEAN);
		buf[i] ^= 1;
	}
	/* With a right CRC, but records that are not where they say. */
	((struct nexus_rec_head *)(h + 1))->lsn = cpu_to_le64(4104);
	h->crc = cpu_to_le32(nexus_batch_crc(h, h + 1));
	assert_int_equal(nexus_batch_check(buf, len, zone), -EUCLEAN);
	len = make_batch(buf, 4096);
	h->count = cpu_to_le32(2);
	h->crc = cpu_to_le32(nexus_batch_crc(h, h + 1));
	assert_int_equal(nexus_batch_check(buf, len, zone), -EUCLEAN);
	h->count = cpu_to_le32(4);
	h->crc = cpu_to_le32(nexus_batch_crc(h, h + 1));
	assert_int_equal(nexus_batch_check(buf, len, zone), -EUCLEAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc), cmocka_unit_test(test_keys),
		cmocka_unit_test(test_values), cmocka_unit_test(test_names),
		cmocka_unit_test(test_head), cmocka_unit_test(test_create),
		cmocka_unit_test(test_name_records),
		cmocka_unit_test(test_content_records),
		cmocka_unit_test(test_inline_record),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_clone_records),
		cmocka_unit_test(test_other_records),
		cmocka_unit_test(test_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
