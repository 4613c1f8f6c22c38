// SPDX-License-Identifier: GPL-2.0-only
/* Replies with one wrong field each: refused, and the field is named. */
#include "kunit.h"

struct nexus_reply_env {
	struct nexus_request req;
	union {
		struct nexus_entry_reply er;
		struct nexus_list_reply lr;
		u8 bytes[1024];
	};
	size_t len;
};

static struct nexus_reply_env *nexus_good_entry(struct kunit *test)
{
	struct nexus_reply_env *env = kunit_kzalloc(test, sizeof(*env), GFP_KERNEL);
	struct nexus_extent *ext;

	KUNIT_ASSERT_NOT_NULL(test, env);
	env->req.op = NEXUS_OP_LOOKUP;
	env->req.ino = 1;
	env->er.attr = (struct nexus_attr){
		.ino = 16, .mode = S_IFREG | 0644, .nlink = 1, .size = 8192,
		.blocks = 2, .parent = 1, .pos = 3, .data_id = 16,
	};
	env->er.pos = 3;
	env->er.nextents = 2;
	env->er.flags = NEXUS_ER_EXTENTS_ALL;
	ext = (void *)(&env->er + 1);
	ext[0] = (struct nexus_extent){ .offset = 0, .pack = 1, .block = 200,
					.nblocks = 1 };
	ext[1] = (struct nexus_extent){ .offset = 4096, .pack = 2, .block = 300,
					.nblocks = 1 };
	env->len = sizeof(env->er) + 2 * sizeof(*ext);
	return env;
}

static void nexus_refused(struct kunit *test, struct nexus_reply_env *env,
			  const char *what)
{
	const char *field = NULL;

	KUNIT_EXPECT_EQ_MSG(test, nexus_reply_check(&env->req, env->bytes, env->len,
						    &field), -EIO, "%s", what);
	KUNIT_EXPECT_NOT_NULL_MSG(test, field, "%s", what);
}

static void nexus_reply_good(struct kunit *test)
{
	struct nexus_reply_env *env = nexus_good_entry(test);
	const char *field;

	KUNIT_EXPECT_EQ(test, nexus_reply_check(&env->req, env->bytes, env->len,
						&field), 0);
}

/* @change makes a good reply bad. */
#define BAD(change) do { \
	struct nexus_reply_env *env = nexus_good_entry(test); \
	struct nexus_extent *ext = (void *)(&env->er + 1); \
	(void)ext; \
	change; \
	nexus_refused(test, env, #change); \
} while (0)

static void nexus_reply_attr(struct kunit *test)
{
	BAD(env->er.attr.ino = 0);
	BAD(env->er.attr.ino = env->req.ino);
	BAD(env->er.attr.mode = 0644);
	BAD(env->er.attr.mode |= 0x10000000);
	BAD(env->er.attr.uid = U32_MAX);
	BAD(env->er.attr.gid = U32_MAX);
	BAD(env->er.attr.nlink = U32_MAX);
	BAD(env->er.attr.size = U64_MAX);
	BAD(env->er.attr.blocks = U64_MAX);
	BAD(env->er.attr.mtime_ns = 1000000000);
	BAD(env->er.attr.data_id = 0);
	BAD(env->er.pos = 0);
	BAD(env->er.pos = NEXUS_POS_MAX + 1);
	BAD(env->req.op = NEXUS_OP_GETATTR);
}

/* Scenario C38. */
static void nexus_reply_extents(struct kunit *test)
{
	BAD(env->er.nextents = 3);
	BAD(env->er.nextents = U32_MAX);
	BAD(env->len -= 1);
	BAD(env->len = 10);
	BAD(ext[1].offset = 0);
	BAD(ext[1].offset = 4097);
	BAD(ext[0].nblocks = 2);
	BAD(ext[0].nblocks = 0);
	BAD(ext[0].nblocks = U32_MAX);
	BAD(ext[0].block = 0);
	BAD(ext[0].block = NEXUS_PACK_BLOCKS_MAX);
	BAD(ext[0].pack = 0);
	BAD(env->er.attr.mode = S_IFDIR | 0755);
}

static struct nexus_reply_env *nexus_good_list(struct kunit *test)
{
	struct nexus_reply_env *env = kunit_kzalloc(test, sizeof(*env), GFP_KERNEL);
	struct nexus_list_ent *ent;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, env);
	env->req.op = NEXUS_OP_LIST;
	env->req.ino = 1;
	env->req.arg0 = 3;
	env->req.arg1 = 10;
	env->lr.count = 2;
	env->lr.flags = NEXUS_LR_END;
	env->lr.next_pos = 5;
	ent = (void *)(&env->lr + 1);
	for (i = 0; i < 2; i++) {
		ent[0] = (struct nexus_list_ent){
			.ino = 16 + i, .pos = 3 + i,
			.reclen = sizeof(*ent) + 8, .dtype = DT_REG, .namelen = 1,
		};
		ent->name[0] = 'a' + i;
		ent = (void *)ent + ent->reclen;
	}
	env->len = (u8 *)ent - env->bytes;
	return env;
}

#define BAD_LIST(change) do { \
	struct nexus_reply_env *env = nexus_good_list(test); \
	struct nexus_list_ent *first = (void *)(&env->lr + 1); \
	struct nexus_list_ent *second = (void *)first + first->reclen; \
	(void)second; \
	change; \
	nexus_refused(test, env, #change); \
} while (0)

static void nexus_reply_list(struct kunit *test)
{
	struct nexus_reply_env *good = nexus_good_list(test);
	const char *field;

	KUNIT_EXPECT_EQ(test, nexus_reply_check(&good->req, good->bytes, good->len,
						&field), 0);
	BAD_LIST(env->lr.count = 3);
	BAD_LIST(env->lr.count = 1);
	BAD_LIST(env->lr.flags = U32_MAX);
	BAD_LIST(env->lr.next_pos = 4);
	BAD_LIST(first->reclen = 8);
	BAD_LIST(first->reclen = 60000);
	BAD_LIST(first->namelen = 0);
	BAD_LIST(first->namelen = 200);
	BAD_LIST(first->name[0] = '/');
	BAD_LIST(first->name[0] = '.');
	BAD_LIST(first->ino = 1);
	BAD_LIST(first->pos = 2);
	BAD_LIST(second->pos = 3);
	BAD_LIST(second->pos = 10);
	BAD_LIST(first->flags = NEXUS_DE_ENTRY);
}

static struct kunit_case nexus_reply_cases[] = {
	KUNIT_CASE(nexus_reply_good),
	KUNIT_CASE(nexus_reply_attr),
	KUNIT_CASE(nexus_reply_extents),
	KUNIT_CASE(nexus_reply_list),
	{}
};

struct kunit_suite nexus_reply_suite = {
	.name = "nexus_reply",
	.test_cases = nexus_reply_cases,
};
