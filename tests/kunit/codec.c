// SPDX-License-Identifier: GPL-2.0-only
/* Keys, sealed values, checksums, names, batches. */
#include <linux/slab.h>

#include "kunit.h"

static void nexus_codec_keys(struct kunit *test)
{
	struct nexus_key *a = kunit_kcalloc(test, 2, sizeof(*a), GFP_KERNEL);
	struct nexus_key *b = a + 1;

	KUNIT_ASSERT_NOT_NULL(test, a);
	nexus_key_inode(a, 0xff);
	nexus_key_inode(b, 0x100);
	KUNIT_EXPECT_EQ(test, a->len, 9);
	KUNIT_EXPECT_EQ(test, a->b[0], NEXUS_KEY_INODE);
	KUNIT_EXPECT_LT_MSG(test, memcmp(a->b, b->b, 9), 0,
			    "byte order must be numeric order");
	KUNIT_EXPECT_EQ(test, nexus_get_be64(a->b + 1), 0xff);

	nexus_key_dirent(a, 1, "ab", 2);
	nexus_key_dirent(b, 1, "abc", 3);
	KUNIT_EXPECT_EQ(test, a->len + 1, b->len);
	KUNIT_EXPECT_EQ(test, memcmp(a->b, b->b, a->len), 0);
}

/* Scenario A12. */
static void nexus_codec_longest_key(struct kunit *test)
{
	struct nexus_key k;
	u8 *name = kunit_kzalloc(test, NEXUS_NAME_MAX, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, name);
	memset(name, 'x', NEXUS_NAME_MAX);
	nexus_key_name(&k, U64_MAX, U64_MAX, name, NEXUS_NAME_MAX);
	KUNIT_EXPECT_LE(test, k.len, (size_t)NEXUS_KEY_MAX);
}

static void nexus_codec_seal(struct kunit *test)
{
	struct nexus_dirent_val val = { .ino = cpu_to_le64(5) };
	u8 *bytes = (u8 *)&val;
	size_t i;

	nexus_val_seal(&val, sizeof(val), NEXUS_KEY_DIRENT);
	KUNIT_EXPECT_EQ(test, nexus_val_check(&val, sizeof(val), NEXUS_KEY_DIRENT,
					      sizeof(val)), 0);
	KUNIT_EXPECT_EQ_MSG(test, nexus_val_check(&val, sizeof(val), NEXUS_KEY_LIST,
						  sizeof(val)), -EUCLEAN,
			    "another type");
	KUNIT_EXPECT_EQ_MSG(test, nexus_val_check(&val, sizeof(val) - 1,
						  NEXUS_KEY_DIRENT, sizeof(val)),
			    -EUCLEAN, "too short");
	for (i = 0; i < sizeof(val); i++) {
		bytes[i] ^= 0x10;
		KUNIT_EXPECT_EQ_MSG(test, nexus_val_check(&val, sizeof(val),
							  NEXUS_KEY_DIRENT,
							  sizeof(val)),
				    -EUCLEAN, "byte %zu changed", i);
		bytes[i] ^= 0x10;
	}
}

static void nexus_codec_crc_of(struct kunit *test,
			       u32 (*fn)(u32 crc, const void *data, size_t len))
{
	/* RFC 3720, B.4 */
	u8 buf[32] = {};

	KUNIT_EXPECT_EQ(test, fn(0, buf, sizeof(buf)), 0x8a9136aa);
	memset(buf, 0xff, sizeof(buf));
	KUNIT_EXPECT_EQ(test, fn(0, buf, sizeof(buf)), 0x62a8ab43);
	KUNIT_EXPECT_EQ_MSG(test, fn(fn(0, buf, 11), buf + 11, 21), 0x62a8ab43,
			    "in two steps");
}

static void nexus_codec_crc(struct kunit *test)
{
	nexus_codec_crc_of(test, nexus_crc32c);
	nexus_codec_crc_of(test, nexus_crc32c_table);
	nexus_codec_crc_of(test, nexus_crc32c_fast);
}

static void nexus_codec_names(struct kunit *test)
{
	char longest[NEXUS_NAME_MAX + 1];

	memset(longest, 'n', sizeof(longest));
	KUNIT_EXPECT_TRUE(test, nexus_name_ok("a", 1));
	KUNIT_EXPECT_TRUE(test, nexus_name_ok("...", 3));
	KUNIT_EXPECT_TRUE(test, nexus_name_ok(longest, NEXUS_NAME_MAX));
	KUNIT_EXPECT_FALSE(test, nexus_name_ok(longest, NEXUS_NAME_MAX + 1));
	KUNIT_EXPECT_FALSE(test, nexus_name_ok("", 0));
	KUNIT_EXPECT_FALSE(test, nexus_name_ok(".", 1));
	KUNIT_EXPECT_FALSE(test, nexus_name_ok("..", 2));
	KUNIT_EXPECT_FALSE(test, nexus_name_ok("a/b", 3));
	KUNIT_EXPECT_FALSE(test, nexus_name_ok("a\0b", 3));

	KUNIT_EXPECT_TRUE(test, nexus_label_ok("root-2", 6));
	KUNIT_EXPECT_TRUE(test, nexus_label_ok(longest, NEXUS_ZONE_NAME_MAX));
	KUNIT_EXPECT_FALSE(test, nexus_label_ok(longest, NEXUS_ZONE_NAME_MAX + 1));
	KUNIT_EXPECT_FALSE(test, nexus_label_ok("", 0));
	KUNIT_EXPECT_FALSE(test, nexus_label_ok("-a", 2));
	KUNIT_EXPECT_FALSE(test, nexus_label_ok("Root", 4));
	KUNIT_EXPECT_FALSE(test, nexus_label_ok("..", 2));
}

static void nexus_codec_batch(struct kunit *test)
{
	struct nexus_rec_create *rec;
	struct nexus_batch_head *head;
	u8 zone[NEXUS_UUID_SIZE] = "0123456789abcde";
	u8 *buf;
	u32 len;

	rec = nexus_test_create(test, 1, 3, 16, S_IFREG | 0644, "name", NULL);
	len = le32_to_cpu(rec->head.len);
	KUNIT_EXPECT_EQ(test, nexus_batch_size(len), NEXUS_BLOCK_SIZE);
	buf = kunit_kzalloc(test, NEXUS_BLOCK_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_EXPECT_EQ_MSG(test, nexus_batch_check(buf, NEXUS_BLOCK_SIZE, zone),
			    -ENODATA, "zeros");

	head = (void *)buf;
	head->magic = cpu_to_le64(NEXUS_BATCH_MAGIC);
	head->version = cpu_to_le32(NEXUS_BATCH_VERSION);
	head->head_len = cpu_to_le32(sizeof(*head));
	memcpy(head->zone, zone, sizeof(zone));
	head->incarnation = cpu_to_le64(1);
	head->segment = cpu_to_le64(1);
	head->first_lsn = cpu_to_le64(NEXUS_FIRST_LSN);
	head->durable = cpu_to_le64(NEXUS_FIRST_LSN);
	head->count = cpu_to_le32(1);
	head->length = cpu_to_le32(len);
	rec->head.lsn = cpu_to_le64(NEXUS_FIRST_LSN);
	memcpy(buf + sizeof(*head), rec, len);
	head->crc = cpu_to_le32(nexus_batch_crc(head, buf + sizeof(*head)));
	KUNIT_EXPECT_EQ(test, nexus_batch_check(buf, NEXUS_BLOCK_SIZE, zone), 0);

	zone[0]++;
	KUNIT_EXPECT_NE_MSG(test, nexus_batch_check(buf, NEXUS_BLOCK_SIZE, zone), 0,
			    "another zone's");
	zone[0]--;
	buf[sizeof(*head) + 60] ^= 1;
	KUNIT_EXPECT_EQ_MSG(test, nexus_batch_check(buf, NEXUS_BLOCK_SIZE, zone),
			    -EUCLEAN, "a bit of a record");
	buf[sizeof(*head) + 60] ^= 1;
	KUNIT_EXPECT_EQ_MSG(test, nexus_batch_check(buf, sizeof(*head) + 8, zone),
			    -EUCLEAN, "cut short");
}

static struct kunit_case nexus_codec_cases[] = {
	KUNIT_CASE(nexus_codec_keys),
	KUNIT_CASE(nexus_codec_longest_key),
	KUNIT_CASE(nexus_codec_seal),
	KUNIT_CASE(nexus_codec_crc),
	KUNIT_CASE(nexus_codec_names),
	KUNIT_CASE(nexus_codec_batch),
	{}
};

struct kunit_suite nexus_codec_suite = {
	.name = "nexus_codec",
	.test_cases = nexus_codec_cases,
};
