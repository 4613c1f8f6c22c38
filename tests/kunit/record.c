// SPDX-License-Identifier: GPL-2.0-only
/* Every record builder makes what the structural check accepts, and no more. */
#include "kunit.h"

#define BUF	1024

static u8 *nexus_rec_buf(struct kunit *test)
{
	u8 *buf = kunit_kzalloc(test, BUF, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	return buf;
}

/* Whole, and refused in every shorter piece and with a wrong length. */
static void nexus_rec_expect(struct kunit *test, void *buf, size_t len, u16 type)
{
	struct nexus_rec_head *rec = buf;
	size_t cut;

	KUNIT_EXPECT_EQ(test, len % 8, 0);
	KUNIT_EXPECT_EQ(test, le32_to_cpu(rec->len), len);
	KUNIT_EXPECT_EQ(test, le16_to_cpu(rec->type), type);
	KUNIT_EXPECT_EQ_MSG(test, nexus_rec_check(rec, len), 0, "%s",
			    nexus_rec_name(type));
	for (cut = 0; cut < len; cut += 8)
		KUNIT_EXPECT_EQ_MSG(test, nexus_rec_check(rec, cut), -EUCLEAN,
				    "%s cut to %zu", nexus_rec_name(type), cut);
	rec->len = cpu_to_le32(len - 8);
	KUNIT_EXPECT_EQ_MSG(test, nexus_rec_check(rec, len), -EUCLEAN,
			    "%s too short", nexus_rec_name(type));
	rec->len = cpu_to_le32(len + 4);
	KUNIT_EXPECT_EQ_MSG(test, nexus_rec_check(rec, BUF), -EUCLEAN,
			    "%s not a multiple of 8", nexus_rec_name(type));
	rec->len = cpu_to_le32(len);
}

static void nexus_rec_builders(struct kunit *test)
{
	struct nexus_rename_args a = {
		.sparent = 1, .spos = 3, .ino = 16, .dparent = 17, .dpos = 4,
		.sname = "from", .snamelen = 4, .dname = "to", .dnamelen = 2,
	};
	u8 *buf = nexus_rec_buf(test);
	size_t len;

	len = nexus_rec_link(buf, 1, 3, 16, "name", 4, nexus_test_time);
	nexus_rec_expect(test, buf, len, NEXUS_REC_LINK);
	KUNIT_EXPECT_EQ(test, len, nexus_rec_name_len(4));
	len = nexus_rec_unlink(buf, 1, 3, 16, "name", 4, false, nexus_test_time);
	nexus_rec_expect(test, buf, len, NEXUS_REC_UNLINK);
	len = nexus_rec_unlink(buf, 1, 3, 16, "name", 4, true, nexus_test_time);
	nexus_rec_expect(test, buf, len, NEXUS_REC_UNLINK);
	len = nexus_rec_rename(buf, &a, nexus_test_time);
	nexus_rec_expect(test, buf, len, NEXUS_REC_RENAME);
	KUNIT_EXPECT_EQ(test, len, nexus_rec_rename_len(4, 2));
	len = nexus_rec_setxattr(buf, 16, "user.a", 6, "v", 1, 0, nexus_test_time);
	nexus_rec_expect(test, buf, len, NEXUS_REC_SETXATTR);
	len = nexus_rec_removexattr(buf, 16, "user.a", 6, nexus_test_time);
	nexus_rec_expect(test, buf, len, NEXUS_REC_REMOVEXATTR);
	len = nexus_rec_forget(buf, 16, 16, 10, nexus_test_time);
	nexus_rec_expect(test, buf, len, NEXUS_REC_FORGET);
	len = nexus_rec_bulk(buf, 16, 10, nexus_test_time);
	nexus_rec_expect(test, buf, len, NEXUS_REC_BULK);
}

static void nexus_rec_create(struct kunit *test)
{
	struct nexus_rec_create *rec;

	rec = nexus_test_create(test, 1, 3, 16, S_IFLNK | 0777, "link", "target");
	KUNIT_EXPECT_EQ(test, nexus_rec_check(&rec->head,
					      le32_to_cpu(rec->head.len)), 0);
	rec->mode = cpu_to_le32(0644);
	KUNIT_EXPECT_EQ_MSG(test, nexus_rec_check(&rec->head,
						  le32_to_cpu(rec->head.len)),
			    -EUCLEAN, "no type");
	rec->mode = cpu_to_le32(S_IFLNK | 0777);
	rec->namelen = cpu_to_le16(200);
	KUNIT_EXPECT_EQ_MSG(test, nexus_rec_check(&rec->head,
						  le32_to_cpu(rec->head.len)),
			    -EUCLEAN, "the name is longer than the record");
}

static void nexus_rec_names(struct kunit *test)
{
	u8 *buf = nexus_rec_buf(test);
	size_t len;

	len = nexus_rec_link(buf, 1, 3, 16, "a/b", 3, nexus_test_time);
	KUNIT_EXPECT_EQ(test, nexus_rec_check((void *)buf, len), -EUCLEAN);
	len = nexus_rec_link(buf, 1, 3, 16, "..", 2, nexus_test_time);
	KUNIT_EXPECT_EQ(test, nexus_rec_check((void *)buf, len), -EUCLEAN);
}

static struct kunit_case nexus_record_cases[] = {
	KUNIT_CASE(nexus_rec_builders),
	KUNIT_CASE(nexus_rec_create),
	KUNIT_CASE(nexus_rec_names),
	{}
};

struct kunit_suite nexus_record_suite = {
	.name = "nexus_record",
	.test_cases = nexus_record_cases,
};
