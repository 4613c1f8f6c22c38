// SPDX-License-Identifier: GPL-2.0-only
/* Apply and typed reads over the ordered map, in the kernel. */
#include <linux/slab.h>

#include "kunit.h"

struct nexus_apply_env {
	struct nexus_omap map;
	u64 lsn;
	void *out;
};

static int nexus_apply_init(struct kunit *test)
{
	struct nexus_apply_env *env = kunit_kzalloc(test, sizeof(*env), GFP_KERNEL);

	if (!env)
		return -ENOMEM;
	env->out = kunit_kzalloc(test, NEXUS_REPLY_DATA_MAX, GFP_KERNEL);
	if (!env->out)
		return -ENOMEM;
	nexus_omap_init(&env->map);
	env->lsn = NEXUS_FIRST_LSN;
	test->priv = env;
	return nexus_apply_mkfs(&env->map.kv, S_IFDIR | 0755, 0, 0,
				nexus_test_time);
}

static void nexus_apply_exit(struct kunit *test)
{
	struct nexus_apply_env *env = test->priv;

	if (env)
		nexus_omap_destroy(&env->map);
}

static int nexus_do(struct nexus_apply_env *env, void *record)
{
	struct nexus_apply_error why = {};
	struct nexus_rec_head *rec = record;
	int err;

	rec->lsn = cpu_to_le64(env->lsn);
	err = nexus_rec_check(rec, le32_to_cpu(rec->len));
	if (!err)
		err = nexus_apply(&env->map.kv, rec, &why);
	if (!err)
		env->lsn += le32_to_cpu(rec->len);
	return err;
}

static int nexus_ask(struct nexus_apply_env *env, u32 op, u64 ino,
		     const char *name, u64 arg0, u64 arg1)
{
	struct nexus_request req = {
		.op = op, .ino = ino, .arg0 = arg0, .arg1 = arg1,
		.len = name ? strlen(name) : 0,
	};
	const char *field;
	int n = nexus_read(&env->map.kv, &req, name, env->out,
			   NEXUS_REPLY_DATA_MAX);

	if (n >= 0 && nexus_reply_check(&req, env->out, n, &field))
		return -EIO;
	return n;
}

static void nexus_apply_names(struct kunit *test)
{
	struct nexus_apply_env *env = test->priv;
	struct nexus_entry_reply *er = env->out;
	u8 buf[256];

	KUNIT_ASSERT_EQ(test, nexus_do(env, nexus_test_create(test, 1, 3, 16,
							      S_IFDIR | 0755,
							      "d", NULL)), 0);
	KUNIT_ASSERT_EQ(test, nexus_do(env, nexus_test_create(test, 16, 3, 17,
							      S_IFREG | 0644,
							      "f", NULL)), 0);
	KUNIT_ASSERT_GT(test, nexus_ask(env, NEXUS_OP_LOOKUP, 1, "d", 0, 0), 0);
	KUNIT_EXPECT_EQ(test, er->attr.ino, 16);
	KUNIT_EXPECT_EQ(test, er->pos, 3);
	KUNIT_EXPECT_EQ(test, er->attr.nlink, 2);
	KUNIT_EXPECT_EQ(test, er->attr.children, 1);
	KUNIT_EXPECT_EQ(test, er->attr.next_pos, 4);
	KUNIT_ASSERT_GT(test, nexus_ask(env, NEXUS_OP_GETATTR, 1, NULL, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, er->attr.nlink, 3);

	nexus_rec_link(buf, 1, 4, 17, "g", 1, nexus_test_time);
	KUNIT_ASSERT_EQ(test, nexus_do(env, buf), 0);
	KUNIT_ASSERT_GT(test, nexus_ask(env, NEXUS_OP_GETATTR, 17, NULL, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, er->attr.nlink, 2);
	KUNIT_EXPECT_EQ(test, er->attr.parent, 0);
	nexus_rec_unlink(buf, 16, 3, 17, "f", 1, false, nexus_test_time);
	KUNIT_ASSERT_EQ(test, nexus_do(env, buf), 0);
	KUNIT_ASSERT_GT(test, nexus_ask(env, NEXUS_OP_GETATTR, 17, NULL, 0, 0), 0);
	KUNIT_EXPECT_EQ_MSG(test, er->attr.parent, 1, "the name that stayed");
	KUNIT_EXPECT_EQ(test, er->attr.pos, 4);
	KUNIT_EXPECT_EQ(test, nexus_ask(env, NEXUS_OP_LOOKUP, 16, "f", 0, 0),
			-ENOENT);
}

/* A failed precondition is corruption, and leaves the store as it was. */
static void nexus_apply_refuses(struct kunit *test)
{
	struct nexus_apply_env *env = test->priv;
	u64 count, bytes;
	u8 buf[256];

	KUNIT_ASSERT_EQ(test, nexus_do(env, nexus_test_create(test, 1, 3, 16,
							      S_IFDIR | 0755,
							      "d", NULL)), 0);
	count = env->map.count;
	bytes = env->map.bytes;
	KUNIT_EXPECT_EQ_MSG(test, nexus_do(env, nexus_test_create(test, 1, 4, 17,
								  S_IFREG, "d",
								  NULL)),
			    -EUCLEAN, "the name exists");
	KUNIT_EXPECT_EQ_MSG(test, nexus_do(env, nexus_test_create(test, 1, 3, 17,
								  S_IFREG, "e",
								  NULL)),
			    -EUCLEAN, "the position is taken");
	KUNIT_EXPECT_EQ_MSG(test, nexus_do(env, nexus_test_create(test, 1, 4, 16,
								  S_IFREG, "e",
								  NULL)),
			    -EUCLEAN, "the inode exists");
	KUNIT_EXPECT_EQ_MSG(test, nexus_do(env, nexus_test_create(test, 99, 3, 17,
								  S_IFREG, "e",
								  NULL)),
			    -EUCLEAN, "there is no such parent");
	nexus_rec_unlink(buf, 1, 4, 16, "d", 1, true, nexus_test_time);
	KUNIT_EXPECT_EQ_MSG(test, nexus_do(env, buf), -EUCLEAN, "another position");
	nexus_rec_link(buf, 1, 5, 16, "l", 1, nexus_test_time);
	KUNIT_EXPECT_EQ_MSG(test, nexus_do(env, buf), -EUCLEAN, "a directory");
	nexus_rec_forget(buf, 16, 16, 10, nexus_test_time);
	KUNIT_EXPECT_EQ_MSG(test, nexus_do(env, buf), -EUCLEAN, "it has links");
	KUNIT_EXPECT_EQ(test, env->map.count, count);
	KUNIT_EXPECT_EQ(test, env->map.bytes, bytes);
}

static void nexus_apply_orphan(struct kunit *test)
{
	struct nexus_apply_env *env = test->priv;
	struct nexus_entry_reply *er = env->out;
	u64 count = env->map.count;
	u8 buf[256];

	KUNIT_ASSERT_EQ(test, nexus_do(env, nexus_test_create(test, 1, 3, 16,
							      S_IFREG | 0600,
							      "f", NULL)), 0);
	nexus_rec_unlink(buf, 1, 3, 16, "f", 1, false, nexus_test_time);
	KUNIT_ASSERT_EQ(test, nexus_do(env, buf), 0);
	KUNIT_ASSERT_GT(test, nexus_ask(env, NEXUS_OP_GETATTR, 16, NULL, 0, 0), 0);
	KUNIT_EXPECT_EQ_MSG(test, er->attr.nlink, 0, "it may still be open");
	nexus_rec_forget(buf, 16, 16, 10, nexus_test_time);
	KUNIT_ASSERT_EQ(test, nexus_do(env, buf), 0);
	KUNIT_EXPECT_EQ(test, nexus_ask(env, NEXUS_OP_GETATTR, 16, NULL, 0, 0),
			-ENOENT);
	KUNIT_EXPECT_LE_MSG(test, env->map.count, count + 2,
			    "only usage counters may stay");
}

/* The same records make the same bytes. */
static void nexus_apply_twice(struct kunit *test)
{
	struct nexus_apply_env *env = test->priv, other = { .lsn = NEXUS_FIRST_LSN };
	const struct nexus_omap_entry *a, *b;
	struct nexus_rec_create *rec;
	char name[8];
	int i;

	nexus_omap_init(&other.map);
	KUNIT_ASSERT_EQ(test, nexus_apply_mkfs(&other.map.kv, S_IFDIR | 0755, 0, 0,
					       nexus_test_time), 0);
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%d", i * 7 % 100);
		rec = nexus_test_create(test, 1, 3 + i, 16 + i, S_IFREG | 0644,
					name, NULL);
		KUNIT_EXPECT_EQ(test, nexus_do(env, rec), 0);
		KUNIT_EXPECT_EQ(test, nexus_do(&other, rec), 0);
	}
	KUNIT_EXPECT_EQ(test, env->map.count, other.map.count);
	a = nexus_omap_lower(&env->map, "", 0, false);
	b = nexus_omap_lower(&other.map, "", 0, false);
	while (a && b) {
		KUNIT_ASSERT_EQ(test, a->klen, b->klen);
		KUNIT_ASSERT_EQ(test, a->vlen, b->vlen);
		KUNIT_ASSERT_EQ(test, memcmp(a->data, b->data, a->klen + a->vlen), 0);
		a = nexus_omap_lower(&env->map, nexus_omap_key(a), a->klen, true);
		b = nexus_omap_lower(&other.map, nexus_omap_key(b), b->klen, true);
	}
	KUNIT_EXPECT_TRUE(test, !a && !b);
	nexus_omap_destroy(&other.map);
}

/* A listing in pieces gives each entry once, in order of position. */
static void nexus_apply_list(struct kunit *test)
{
	struct nexus_apply_env *env = test->priv;
	struct nexus_list_reply *lr = env->out;
	const struct nexus_list_ent *ent;
	u64 pos = NEXUS_FIRST_POS, seen = 0;
	char name[8];
	int i, n, rounds;

	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		KUNIT_ASSERT_EQ(test, nexus_do(env, nexus_test_create(test, 1, 3 + i,
								      16 + i,
								      S_IFREG | 0644,
								      name, NULL)), 0);
	}
	for (rounds = 0; rounds < 100; rounds++) {
		n = nexus_ask(env, NEXUS_OP_LIST, 1, NULL, pos, 303);
		KUNIT_ASSERT_GT(test, n, 0);
		ent = (void *)(lr + 1);
		for (i = 0; i < lr->count; i++) {
			KUNIT_EXPECT_EQ(test, ent->pos, 3 + seen);
			KUNIT_EXPECT_EQ(test, ent->ino, 16 + seen);
			seen++;
			ent = (void *)ent + ent->reclen;
		}
		if (lr->flags & NEXUS_LR_END)
			break;
		pos = lr->next_pos;
	}
	KUNIT_EXPECT_EQ(test, seen, 300);
	KUNIT_EXPECT_GT_MSG(test, rounds, 0, "300 entries need more than one reply");
}

static struct kunit_case nexus_apply_cases[] = {
	KUNIT_CASE(nexus_apply_names),
	KUNIT_CASE(nexus_apply_refuses),
	KUNIT_CASE(nexus_apply_orphan),
	KUNIT_CASE(nexus_apply_twice),
	KUNIT_CASE(nexus_apply_list),
	{}
};

struct kunit_suite nexus_apply_suite = {
	.name = "nexus_apply",
	.init = nexus_apply_init,
	.exit = nexus_apply_exit,
	.test_cases = nexus_apply_cases,
};
