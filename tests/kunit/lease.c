// SPDX-License-Identifier: GPL-2.0-only
/* Leases of an in-memory zone that is mounted for each test: the table, and its limit. */
#include <linux/file.h>
#include <linux/mount.h>
#include <linux/namei.h>

#include "kunit.h"
#include "../../kmod/lease.h"

#define NEXUS_LEASE_LONG	(1000ull * NSEC_PER_SEC)

struct nexus_lease_test {
	struct vfsmount *mnt;
	struct inode *root;
	struct nexus_zone *zone;
};

static int nexus_lease_init(struct kunit *test)
{
	struct nexus_lease_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	t->mnt = nexus_test_mount();
	if (IS_ERR(t->mnt))
		return PTR_ERR(t->mnt);
	t->root = d_inode(t->mnt->mnt_root);
	t->zone = nexus_sb_zone(t->root->i_sb);
	test->priv = t;
	return nexus_leases_load(t->zone);
}

static void nexus_lease_exit(struct kunit *test)
{
	struct nexus_lease_test *t = test->priv;

	if (t)
		kern_unmount(t->mnt);
}

static u64 nexus_lease_token;

static int nexus_lease_ask(struct inode *inode, u32 op, u8 id, u32 max, u64 ttl)
{
	struct nexus_lease_req rq = {
		.op = op, .max_holders = max, .ttl = ttl, .id = { id },
	};
	int err;

	if (op == NEXUS_LEASE_TAKE)
		strscpy(rq.name, "kunit", sizeof(rq.name));
	err = nexus_lease_change(inode, &rq);
	nexus_lease_token = rq.token;
	return err;
}

static int nexus_lease_take(struct inode *inode, u8 id, u32 max, u64 ttl)
{
	return nexus_lease_ask(inode, NEXUS_LEASE_TAKE, id, max, ttl);
}

/* How many are known of @inode, over or not. */
static int nexus_lease_known(struct inode *inode)
{
	struct nexus_lease_val *val;
	u32 waiting;
	u64 now;
	int n;

	val = nexus_lease_copy(inode, &waiting, &now);
	if (IS_ERR_OR_NULL(val))
		return PTR_ERR_OR_ZERO(val);
	n = le32_to_cpu(val->count);
	kvfree(val);
	return n;
}

static void nexus_lease_holds(struct kunit *test)
{
	struct nexus_lease_test *t = test->priv;
	u64 first;

	KUNIT_EXPECT_EQ(test, nexus_lease_take(t->root, 1, 1, NEXUS_LEASE_LONG), 0);
	first = nexus_lease_token;
	KUNIT_EXPECT_EQ(test, nexus_lease_take(t->root, 2, 1, NEXUS_LEASE_LONG), -EAGAIN);
	KUNIT_EXPECT_EQ(test, nexus_lease_take(t->root, 2, 2, NEXUS_LEASE_LONG), -EBUSY);
	KUNIT_EXPECT_EQ(test, nexus_lease_take(t->root, 1, 1, NEXUS_LEASE_LONG), 0);
	KUNIT_EXPECT_EQ(test, nexus_lease_token, first);
	KUNIT_EXPECT_EQ(test, nexus_lease_ask(t->root, NEXUS_LEASE_DROP, 2, 0, 0), -ESTALE);
	KUNIT_EXPECT_EQ(test, nexus_lease_ask(t->root, NEXUS_LEASE_DROP, 1, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, nexus_lease_known(t->root), 0);
	KUNIT_EXPECT_EQ(test, nexus_lease_ask(t->root, NEXUS_LEASE_CLEAR, 0, 0, 0), -ENOENT);
	KUNIT_EXPECT_EQ(test, nexus_lease_take(t->root, 2, 2, NEXUS_LEASE_LONG), 0);
	KUNIT_EXPECT_GT(test, nexus_lease_token, first);
	KUNIT_EXPECT_EQ(test, READ_ONCE(t->zone->error), 0);
}

/* A nanosecond is over by the next question. */
static void nexus_lease_ends(struct kunit *test)
{
	struct nexus_lease_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, nexus_lease_take(t->root, 1, 2, 1), 0);
	KUNIT_EXPECT_EQ(test, nexus_lease_known(t->root), 1);
	KUNIT_EXPECT_EQ(test, nexus_lease_ask(t->root, NEXUS_LEASE_EXTEND, 1, 0, 5), -ESTALE);
	KUNIT_EXPECT_EQ(test, nexus_lease_take(t->root, 2, 1, NEXUS_LEASE_LONG), 0);
	KUNIT_EXPECT_EQ(test, nexus_lease_known(t->root), 1);
	KUNIT_EXPECT_EQ(test, nexus_lease_ask(t->root, NEXUS_LEASE_EXTEND, 2, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, nexus_leases_sweep(t->root->i_sb), 0);
	KUNIT_EXPECT_EQ(test, nexus_lease_known(t->root), 0);
	KUNIT_EXPECT_EQ(test, READ_ONCE(t->zone->error), 0);
}

static struct inode *nexus_lease_file(struct nexus_lease_test *t, unsigned int n)
{
	struct dentry *dentry, *root = t->mnt->mnt_root;
	struct inode *inode = NULL;
	char name[16];

	snprintf(name, sizeof(name), "%u", n);
	inode_lock(t->root);
	dentry = lookup_one_len(name, root, strlen(name));
	if (!IS_ERR(dentry)) {
		if (d_is_positive(dentry) ||
		    !vfs_create(&nop_mnt_idmap, t->root, dentry, S_IFREG | 0600, true))
			inode = igrab(d_inode(dentry));
		dput(dentry);
	}
	inode_unlock(t->root);
	return inode;
}

/* As many as there may be, and one more. */
static void nexus_lease_limit(struct kunit *test)
{
	const unsigned int files = 4;
	struct nexus_lease_test *t = test->priv;
	u32 max = nexus_leases_max;
	struct inode *inode;
	unsigned int i, id;
	int err = 0;

	nexus_leases_max = files * NEXUS_LEASE_HOLDERS_MAX;
	for (i = 0; i < files && !err; i++) {
		inode = nexus_lease_file(t, i);
		if (!inode)
			err = -ENOMEM;
		for (id = 1; id <= NEXUS_LEASE_HOLDERS_MAX && !err; id++)
			err = nexus_lease_take(inode, id, NEXUS_LEASE_HOLDERS_MAX,
					       NEXUS_LEASE_LONG);
		iput(inode);
	}
	KUNIT_EXPECT_EQ(test, err, 0);
	KUNIT_EXPECT_EQ(test, nexus_lease_take(t->root, 1, 1, NEXUS_LEASE_LONG), -ENOLCK);
	inode = nexus_lease_file(t, files / 2);
	KUNIT_ASSERT_NOT_NULL(test, inode);
	/* More time for one there is, and its end. */
	KUNIT_EXPECT_EQ(test, nexus_lease_take(inode, 7, NEXUS_LEASE_HOLDERS_MAX,
					       NEXUS_LEASE_LONG), 0);
	KUNIT_EXPECT_EQ(test, nexus_lease_ask(inode, NEXUS_LEASE_EXTEND, 7, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, nexus_lease_take(t->root, 1, 1, NEXUS_LEASE_LONG), -ENOLCK);
	KUNIT_EXPECT_EQ(test, nexus_leases_sweep(t->root->i_sb), 0);
	KUNIT_EXPECT_EQ(test, nexus_lease_known(inode), NEXUS_LEASE_HOLDERS_MAX - 1);
	KUNIT_EXPECT_EQ(test, nexus_lease_take(t->root, 1, 1, NEXUS_LEASE_LONG), 0);
	KUNIT_EXPECT_EQ(test, nexus_lease_take(inode, 7, NEXUS_LEASE_HOLDERS_MAX,
					       NEXUS_LEASE_LONG), -ENOLCK);
	iput(inode);
	nexus_leases_max = max;
	KUNIT_EXPECT_EQ(test, READ_ONCE(t->zone->error), 0);
}

static struct kunit_case nexus_lease_cases[] = {
	KUNIT_CASE(nexus_lease_holds),
	KUNIT_CASE(nexus_lease_ends),
	KUNIT_CASE(nexus_lease_limit),
	{}
};

struct kunit_suite nexus_lease_suite = {
	.name = "nexus_lease",
	.init = nexus_lease_init,
	.exit = nexus_lease_exit,
	.test_cases = nexus_lease_cases,
};
