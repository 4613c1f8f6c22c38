// SPDX-License-Identifier: GPL-2.0-only
/* Mount options and sources, through an fs_context as mount(2) makes one. */
#include <linux/fs_context.h>
#include <linux/mount.h>

#include "kunit.h"

/* Parses "a=1,b" and gets the tree; the superblock goes at once. */
static int nexus_try_mount(struct kunit *test, const char *source, char *options)
{
	struct fs_context *fc;
	char *opt, *value;
	int err = 0;

	fc = fs_context_for_mount(&nexus_fs_type, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(fc));
	if (source)
		err = vfs_parse_fs_string(fc, "source", source, strlen(source));
	while (!err && (opt = strsep(&options, ","))) {
		value = strchr(opt, '=');
		if (value)
			*value++ = '\0';
		if (*opt)
			err = vfs_parse_fs_string(fc, opt, value,
						  value ? strlen(value) : 0);
	}
	if (!err)
		err = vfs_get_tree(fc);
	if (!err)
		up_write(&fc->root->d_sb->s_umount);
	put_fs_context(fc);
	return err;
}

struct nexus_option_case {
	const char *source, *options;
	int err;
};

static const struct nexus_option_case nexus_option_table[] = {
	{ "zone", "mem", 0 },
	{ "zone", "mem,grace=0", 0 },
	{ "zone", "mem,grace=86400", 0 },
	{ "zone", "mem,durability=local,verify=always", 0 },
	{ "zone", "mem,grace=86401", -EINVAL },
	{ "zone", "mem,grace=-1", -EINVAL },
	{ "zone", "mem,grace=x", -EINVAL },
	{ "zone", "mem,grace", -EINVAL },
	{ "zone", "mem,durability=origin", -EOPNOTSUPP },
	{ "zone", "mem,durability=soon", -EINVAL },
	{ "zone", "mem,verify=never", -EINVAL },
	{ "zone", "mem,gate", -EOPNOTSUPP },
	{ "zone", "mem=1", -EINVAL },
	{ "zone", "mem,helper=lmdb", -EINVAL },
	{ NULL, "mem", -EINVAL },
	{ "", "mem", -EINVAL },
	{ "Zone", "mem", -EINVAL },
	{ "..", "mem", -EINVAL },
	{ "-zone", "mem", -EINVAL },
	{ "a/b", "mem", -EINVAL },
	{ "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde", "mem", 0 },
	{ "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "mem", -EINVAL },
	{ "s3://bucket/prefix", "", -ENOTCONN },
	{ "s3://bucket/prefix", "mem", -EINVAL },
	{ "s3://bucket/prefix", "durability=origin", -EINVAL },
	{ "default:zone", "mem", -EINVAL },
	{ ":zone", "", -EINVAL },
	{ "default:", "", -EINVAL },
	{ "no-such-session:zone", "", -ENOTCONN },
};

static void nexus_options_table(struct kunit *test)
{
	const struct nexus_option_case *c;
	char buf[64];
	int i;

	for (i = 0; i < ARRAY_SIZE(nexus_option_table); i++) {
		c = &nexus_option_table[i];
		strscpy(buf, c->options, sizeof(buf));
		KUNIT_EXPECT_EQ_MSG(test, nexus_try_mount(test, c->source, buf), c->err,
				    "%s -o %s", c->source, c->options);
	}
}

/* The same zone twice: one superblock, or EBUSY when they do not agree. */
static void nexus_options_shared(struct kunit *test)
{
	char same[] = "mem,grace=5", other[] = "mem,grace=6", none[] = "mem";
	struct vfsmount *mnt;

	mnt = vfs_kern_mount(&nexus_fs_type, SB_KERNMOUNT, "shared", same);
	KUNIT_ASSERT_FALSE(test, IS_ERR(mnt));
	strscpy(same, "mem,grace=5", sizeof(same));
	KUNIT_EXPECT_EQ(test, nexus_try_mount(test, "shared", same), 0);
	KUNIT_EXPECT_EQ(test, nexus_try_mount(test, "shared", other), -EBUSY);
	KUNIT_EXPECT_EQ(test, nexus_try_mount(test, "shared", none), -EBUSY);
	strscpy(none, "mem", sizeof(none));
	KUNIT_EXPECT_EQ_MSG(test, nexus_try_mount(test, "another", none), 0,
			    "another zone is no matter");
	kern_unmount(mnt);
}

static void nexus_options_differ_each(struct kunit *test)
{
	struct nexus_opts a = { .grace = 60 }, b = a;

	KUNIT_EXPECT_NULL(test, nexus_opts_differ(&a, &b));
	b.grace = 1;
	KUNIT_EXPECT_STREQ(test, nexus_opts_differ(&a, &b), "grace");
	b = a;
	b.verify = NEXUS_VERIFY_ALWAYS;
	KUNIT_EXPECT_STREQ(test, nexus_opts_differ(&a, &b), "verify");
	b = a;
	b.durability = NEXUS_DURABLE_ORIGIN;
	KUNIT_EXPECT_STREQ(test, nexus_opts_differ(&a, &b), "durability");
	b = a;
	b.mem = true;
	KUNIT_EXPECT_STREQ(test, nexus_opts_differ(&a, &b), "mem");
	b = a;
	b.gate = true;
	KUNIT_EXPECT_STREQ(test, nexus_opts_differ(&a, &b), "gate");
}

static struct kunit_case nexus_options_cases[] = {
	KUNIT_CASE(nexus_options_table),
	KUNIT_CASE(nexus_options_shared),
	KUNIT_CASE(nexus_options_differ_each),
	{}
};

struct kunit_suite nexus_options_suite = {
	.name = "nexus_options",
	.test_cases = nexus_options_cases,
};
