// SPDX-License-Identifier: GPL-2.0-only
/* Changes of names through the VFS, on an in-memory zone that is mounted for each test. */
#include <linux/file.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/security.h>

#include "kunit.h"

struct nexus_tree {
	struct vfsmount *mnt;
	struct dentry *root;
};

static int nexus_tree_init(struct kunit *test)
{
	struct nexus_tree *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	t->mnt = nexus_test_mount();
	if (IS_ERR(t->mnt))
		return PTR_ERR(t->mnt);
	t->root = t->mnt->mnt_root;
	test->priv = t;
	return 0;
}

static void nexus_tree_exit(struct kunit *test)
{
	struct nexus_tree *t = test->priv;

	if (t)
		kern_unmount(t->mnt);
}

/* The dentry of @name, positive or negative; dput() it. */
static struct dentry *nexus_at(struct dentry *dir, const char *name)
{
	struct dentry *dentry;

	inode_lock(d_inode(dir));
	dentry = lookup_one_len(name, dir, strlen(name));
	inode_unlock(d_inode(dir));
	return dentry;
}

static int nexus_make_at(struct dentry *dir, const char *name, umode_t mode)
{
	struct dentry *dentry;
	int err;

	inode_lock(d_inode(dir));
	dentry = lookup_one_len(name, dir, strlen(name));
	if (IS_ERR(dentry)) {
		err = PTR_ERR(dentry);
	} else {
		if (S_ISDIR(mode))
			err = vfs_mkdir(&nop_mnt_idmap, d_inode(dir), dentry, mode & 07777);
		else if (S_ISREG(mode))
			err = vfs_create(&nop_mnt_idmap, d_inode(dir), dentry, mode, true);
		else if (S_ISLNK(mode))
			err = vfs_symlink(&nop_mnt_idmap, d_inode(dir), dentry, "target");
		else
			err = vfs_mknod(&nop_mnt_idmap, d_inode(dir), dentry, mode, 0);
		dput(dentry);
	}
	inode_unlock(d_inode(dir));
	return err;
}

static int nexus_remove_at(struct dentry *dir, const char *name)
{
	struct dentry *dentry;
	int err;

	inode_lock_nested(d_inode(dir), I_MUTEX_PARENT);
	dentry = lookup_one_len(name, dir, strlen(name));
	if (IS_ERR(dentry)) {
		err = PTR_ERR(dentry);
	} else {
		if (d_is_negative(dentry))
			err = -ENOENT;
		else if (d_is_dir(dentry))
			err = vfs_rmdir(&nop_mnt_idmap, d_inode(dir), dentry);
		else
			err = vfs_unlink(&nop_mnt_idmap, d_inode(dir), dentry, NULL);
		dput(dentry);
	}
	inode_unlock(d_inode(dir));
	return err;
}

static int nexus_rename_at(struct dentry *sdir, const char *sname,
			   struct dentry *ddir, const char *dname, unsigned int flags)
{
	struct renamedata rd = {
		.old_mnt_idmap = &nop_mnt_idmap, .new_mnt_idmap = &nop_mnt_idmap,
		.old_dir = d_inode(sdir), .new_dir = d_inode(ddir), .flags = flags,
	};
	struct dentry *trap;
	int err = -ENOENT;

	trap = lock_rename(sdir, ddir);
	if (IS_ERR(trap))
		return PTR_ERR(trap);
	rd.old_dentry = lookup_one_len(sname, sdir, strlen(sname));
	rd.new_dentry = lookup_one_len(dname, ddir, strlen(dname));
	if (!IS_ERR(rd.old_dentry) && !IS_ERR(rd.new_dentry) &&
	    d_is_positive(rd.old_dentry)) {
		if (rd.old_dentry == trap)
			err = -EINVAL;
		else if (rd.new_dentry == trap)
			err = -ENOTEMPTY;
		else
			err = vfs_rename(&rd);
	}
	if (!IS_ERR(rd.old_dentry))
		dput(rd.old_dentry);
	if (!IS_ERR(rd.new_dentry))
		dput(rd.new_dentry);
	unlock_rename(sdir, ddir);
	return err;
}

static int nexus_link_at(struct dentry *sdir, const char *sname,
			 struct dentry *ddir, const char *dname)
{
	struct dentry *old = nexus_at(sdir, sname), *new;
	int err;

	if (IS_ERR(old))
		return PTR_ERR(old);
	inode_lock_nested(d_inode(ddir), I_MUTEX_PARENT);
	new = lookup_one_len(dname, ddir, strlen(dname));
	if (IS_ERR(new)) {
		err = PTR_ERR(new);
	} else {
		err = vfs_link(old, &nop_mnt_idmap, d_inode(ddir), new, NULL);
		dput(new);
	}
	inode_unlock(d_inode(ddir));
	dput(old);
	return err;
}

/* Inode number of a name, 0 if there is none. */
static u64 nexus_ino_at(struct dentry *dir, const char *name)
{
	struct dentry *dentry = nexus_at(dir, name);
	u64 ino = 0;

	if (IS_ERR(dentry))
		return 0;
	if (d_is_positive(dentry))
		ino = d_inode(dentry)->i_ino;
	dput(dentry);
	return ino;
}

/* Everything unused leaves the caches: what follows comes from the store. */
static void nexus_forget_all(struct nexus_tree *t)
{
	down_read(&t->mnt->mnt_sb->s_umount);
	sync_filesystem(t->mnt->mnt_sb);
	up_read(&t->mnt->mnt_sb->s_umount);
	shrink_dcache_sb(t->mnt->mnt_sb);
}

/* ---- tests -------------------------------------------------------------------- */

static void nexus_tree_create(struct kunit *test)
{
	struct nexus_tree *t = test->priv;
	struct inode *root = d_inode(t->root);
	u64 ino;

	KUNIT_EXPECT_EQ(test, root->i_ino, NEXUS_ROOT_INO);
	KUNIT_EXPECT_EQ(test, nexus_make_at(t->root, "f", S_IFREG | 0644), 0);
	KUNIT_EXPECT_EQ(test, nexus_make_at(t->root, "d", S_IFDIR | 0755), 0);
	KUNIT_EXPECT_EQ(test, nexus_make_at(t->root, "l", S_IFLNK | 0777), 0);
	KUNIT_EXPECT_EQ(test, nexus_make_at(t->root, "p", S_IFIFO | 0600), 0);
	KUNIT_EXPECT_EQ(test, nexus_make_at(t->root, "s", S_IFSOCK | 0600), 0);
	KUNIT_EXPECT_EQ(test, nexus_make_at(t->root, "f", S_IFREG | 0644), -EEXIST);
	KUNIT_EXPECT_EQ(test, root->i_nlink, 3);
	KUNIT_EXPECT_EQ(test, NEXUS_I(root)->children, 5);

	ino = nexus_ino_at(t->root, "f");
	KUNIT_EXPECT_GE(test, ino, NEXUS_FIRST_INO);
	nexus_forget_all(t);
	KUNIT_EXPECT_EQ_MSG(test, nexus_ino_at(t->root, "f"), ino, "from the store");
	KUNIT_EXPECT_EQ(test, nexus_ino_at(t->root, "absent"), 0);
}

static void nexus_tree_unlink(struct kunit *test)
{
	struct nexus_tree *t = test->priv;
	struct dentry *d;

	KUNIT_ASSERT_EQ(test, nexus_make_at(t->root, "d", S_IFDIR | 0755), 0);
	d = nexus_at(t->root, "d");
	KUNIT_ASSERT_EQ(test, nexus_make_at(d, "f", S_IFREG | 0644), 0);
	KUNIT_EXPECT_EQ(test, nexus_remove_at(t->root, "d"), -ENOTEMPTY);
	KUNIT_EXPECT_EQ(test, nexus_remove_at(d, "f"), 0);
	KUNIT_EXPECT_EQ(test, nexus_remove_at(d, "f"), -ENOENT);
	dput(d);
	KUNIT_EXPECT_EQ(test, nexus_remove_at(t->root, "d"), 0);
	KUNIT_EXPECT_EQ(test, d_inode(t->root)->i_nlink, 2);
	nexus_forget_all(t);
	KUNIT_EXPECT_EQ(test, nexus_ino_at(t->root, "d"), 0);
}

/* ENOTEMPTY also for a directory whose entries were never looked at. */
static void nexus_tree_rmdir_cold(struct kunit *test)
{
	struct nexus_tree *t = test->priv;
	struct dentry *d;

	KUNIT_ASSERT_EQ(test, nexus_make_at(t->root, "d", S_IFDIR | 0755), 0);
	d = nexus_at(t->root, "d");
	KUNIT_ASSERT_EQ(test, nexus_make_at(d, "f", S_IFREG | 0644), 0);
	dput(d);
	nexus_forget_all(t);
	KUNIT_EXPECT_EQ(test, nexus_remove_at(t->root, "d"), -ENOTEMPTY);
}

static void nexus_tree_link(struct kunit *test)
{
	struct nexus_tree *t = test->priv;
	struct dentry *f;

	KUNIT_ASSERT_EQ(test, nexus_make_at(t->root, "f", S_IFREG | 0644), 0);
	KUNIT_ASSERT_EQ(test, nexus_link_at(t->root, "f", t->root, "g"), 0);
	KUNIT_EXPECT_EQ(test, nexus_link_at(t->root, "f", t->root, "g"), -EEXIST);
	KUNIT_EXPECT_EQ(test, nexus_ino_at(t->root, "f"), nexus_ino_at(t->root, "g"));
	nexus_forget_all(t);
	f = nexus_at(t->root, "f");
	KUNIT_EXPECT_EQ(test, d_inode(f)->i_nlink, 2);
	KUNIT_EXPECT_EQ(test, nexus_remove_at(t->root, "g"), 0);
	KUNIT_EXPECT_EQ(test, d_inode(f)->i_nlink, 1);
	dput(f);
	KUNIT_EXPECT_EQ(test, nexus_remove_at(t->root, "f"), 0);
	KUNIT_EXPECT_EQ(test, NEXUS_I(d_inode(t->root))->children, 0);
}

static void nexus_tree_rename(struct kunit *test)
{
	struct nexus_tree *t = test->priv;
	struct inode *root = d_inode(t->root);
	struct dentry *a, *b;
	u64 f, g;

	KUNIT_ASSERT_EQ(test, nexus_make_at(t->root, "a", S_IFDIR | 0755), 0);
	KUNIT_ASSERT_EQ(test, nexus_make_at(t->root, "b", S_IFDIR | 0755), 0);
	a = nexus_at(t->root, "a");
	b = nexus_at(t->root, "b");
	KUNIT_ASSERT_EQ(test, nexus_make_at(a, "f", S_IFREG | 0644), 0);
	KUNIT_ASSERT_EQ(test, nexus_make_at(b, "g", S_IFREG | 0644), 0);
	f = nexus_ino_at(a, "f");
	g = nexus_ino_at(b, "g");

	/* Within a directory, to another, over another file, exchanged. */
	KUNIT_EXPECT_EQ(test, nexus_rename_at(a, "f", a, "f2", 0), 0);
	KUNIT_EXPECT_EQ(test, nexus_ino_at(a, "f"), 0);
	KUNIT_EXPECT_EQ(test, nexus_ino_at(a, "f2"), f);
	KUNIT_EXPECT_EQ(test, nexus_rename_at(a, "f2", b, "g", RENAME_EXCHANGE), 0);
	KUNIT_EXPECT_EQ(test, nexus_ino_at(a, "f2"), g);
	KUNIT_EXPECT_EQ(test, nexus_ino_at(b, "g"), f);
	KUNIT_EXPECT_EQ(test, nexus_rename_at(a, "f2", b, "g", 1u << 3), -EINVAL);
	KUNIT_EXPECT_EQ(test, nexus_rename_at(a, "f2", b, "g", 0), 0);
	KUNIT_EXPECT_EQ(test, nexus_ino_at(b, "g"), g);
	KUNIT_EXPECT_EQ(test, NEXUS_I(d_inode(a))->children, 0);
	KUNIT_EXPECT_EQ(test, NEXUS_I(d_inode(b))->children, 1);

	/* Directories take their parent's link along. */
	KUNIT_EXPECT_EQ(test, root->i_nlink, 4);
	KUNIT_EXPECT_EQ(test, nexus_rename_at(t->root, "a", b, "a", 0), 0);
	KUNIT_EXPECT_EQ(test, root->i_nlink, 3);
	KUNIT_EXPECT_EQ(test, d_inode(b)->i_nlink, 3);
	KUNIT_EXPECT_EQ_MSG(test, nexus_rename_at(t->root, "b", a, "b", 0), -EINVAL,
			    "into itself");
	dput(a);
	dput(b);
	nexus_forget_all(t);
	b = nexus_at(t->root, "b");
	KUNIT_EXPECT_EQ(test, d_inode(b)->i_nlink, 3);
	KUNIT_EXPECT_EQ(test, nexus_ino_at(b, "g"), g);
	KUNIT_EXPECT_NE(test, nexus_ino_at(b, "a"), 0);
	dput(b);
}

static void nexus_tree_rename_dir_over(struct kunit *test)
{
	struct nexus_tree *t = test->priv;
	u64 a;

	KUNIT_ASSERT_EQ(test, nexus_make_at(t->root, "a", S_IFDIR | 0755), 0);
	KUNIT_ASSERT_EQ(test, nexus_make_at(t->root, "b", S_IFDIR | 0755), 0);
	a = nexus_ino_at(t->root, "a");
	KUNIT_EXPECT_EQ(test, nexus_rename_at(t->root, "a", t->root, "b", 0), 0);
	KUNIT_EXPECT_EQ(test, nexus_ino_at(t->root, "b"), a);
	KUNIT_EXPECT_EQ(test, d_inode(t->root)->i_nlink, 3);
	KUNIT_EXPECT_EQ(test, NEXUS_I(d_inode(t->root))->children, 1);
	nexus_forget_all(t);
	KUNIT_EXPECT_EQ(test, nexus_ino_at(t->root, "b"), a);
	KUNIT_EXPECT_EQ(test, nexus_ino_at(t->root, "a"), 0);
}

static void nexus_tree_setattr(struct kunit *test)
{
	struct nexus_tree *t = test->priv;
	struct iattr attr = {
		.ia_valid = ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_MTIME |
			    ATTR_MTIME_SET | ATTR_CTIME,
		.ia_mode = S_IFREG | 0640,
		.ia_mtime = { .tv_sec = -5, .tv_nsec = 999999999 },
	};
	struct dentry *f;
	struct inode *inode;
	int err;

	KUNIT_ASSERT_EQ(test, nexus_make_at(t->root, "f", S_IFREG | 0644), 0);
	f = nexus_at(t->root, "f");
	attr.ia_vfsuid = VFSUIDT_INIT(KUIDT_INIT(1000));
	attr.ia_vfsgid = VFSGIDT_INIT(KGIDT_INIT(1001));
	inode_lock(d_inode(f));
	err = notify_change(&nop_mnt_idmap, f, &attr, NULL);
	inode_unlock(d_inode(f));
	KUNIT_EXPECT_EQ(test, err, 0);
	dput(f);
	nexus_forget_all(t);

	f = nexus_at(t->root, "f");
	inode = d_inode(f);
	KUNIT_EXPECT_EQ(test, inode->i_mode, S_IFREG | 0640);
	KUNIT_EXPECT_EQ(test, i_uid_read(inode), 1000);
	KUNIT_EXPECT_EQ(test, i_gid_read(inode), 1001);
	KUNIT_EXPECT_EQ(test, inode_get_mtime_sec(inode), -5);
	KUNIT_EXPECT_EQ(test, inode_get_mtime_nsec(inode), 999999999);
	dput(f);
}

/* The reserved name is nobody's to make, warm or cold. */
static void nexus_tree_sys(struct kunit *test)
{
	struct nexus_tree *t = test->priv;
	struct dentry *sys, *stats;

	KUNIT_ASSERT_EQ(test, nexus_make_at(t->root, "d", S_IFDIR | 0755), 0);
	sys = nexus_at(t->root, NEXUS_SYS_NAME);
	KUNIT_ASSERT_FALSE(test, IS_ERR(sys));
	KUNIT_EXPECT_TRUE(test, d_is_dir(sys));
	stats = nexus_at(sys, "stats");
	KUNIT_ASSERT_FALSE(test, IS_ERR(stats));
	KUNIT_EXPECT_TRUE(test, d_is_reg(stats));
	dput(stats);
	KUNIT_EXPECT_EQ(test, nexus_rename_at(t->root, "d", t->root, NEXUS_SYS_NAME, 0),
			-EPERM);
	KUNIT_EXPECT_EQ(test, nexus_rename_at(t->root, NEXUS_SYS_NAME, t->root, "x", 0),
			-EPERM);
	KUNIT_EXPECT_EQ(test, nexus_remove_at(t->root, NEXUS_SYS_NAME), -EPERM);
	KUNIT_EXPECT_LT(test, nexus_make_at(sys, "new", S_IFREG | 0644), 0);
	dput(sys);

	/* Elsewhere it is a name like any other. */
	sys = nexus_at(t->root, "d");
	KUNIT_EXPECT_EQ(test, nexus_make_at(sys, NEXUS_SYS_NAME, S_IFREG | 0644), 0);
	dput(sys);
}

struct nexus_listed {
	struct dir_context ctx;
	struct kunit *test;
	u64 last;
	unsigned int n, stop;
	bool sorted;
};

static bool nexus_listed_actor(struct dir_context *ctx, const char *name, int len,
			       loff_t pos, u64 ino, unsigned int type)
{
	struct nexus_listed *l = container_of(ctx, struct nexus_listed, ctx);

	if (l->n == l->stop)
		return false;
	if (name[0] != '.') {
		if (pos < l->last)
			l->sorted = false;
		l->last = pos;
		l->n++;
	}
	return true;
}

static unsigned int nexus_list_some(struct kunit *test, struct file *file,
				    unsigned int stop, bool *sorted)
{
	struct nexus_listed l = { .ctx.actor = nexus_listed_actor, .stop = stop,
				  .sorted = true };
	int err = iterate_dir(file, &l.ctx);

	KUNIT_EXPECT_EQ(test, err, 0);
	if (sorted)
		*sorted = l.sorted;
	return l.n;
}

/* Cookies hold while names come and go; the end is where it was at the start. */
static void nexus_tree_list(struct kunit *test)
{
	struct nexus_tree *t = test->priv;
	struct path path = { .mnt = t->mnt, .dentry = t->root };
	struct file *file;
	char name[8];
	bool sorted;
	int i;

	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		KUNIT_ASSERT_EQ(test, nexus_make_at(t->root, name, S_IFREG | 0644), 0);
	}
	file = dentry_open(&path, O_RDONLY | O_DIRECTORY, current_cred());
	KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	KUNIT_EXPECT_EQ(test, nexus_list_some(test, file, 50, &sorted), 50);
	KUNIT_EXPECT_TRUE(test, sorted);
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		KUNIT_EXPECT_EQ(test, nexus_remove_at(t->root, name), 0);
		snprintf(name, sizeof(name), "m%d", i);
		KUNIT_EXPECT_EQ(test, nexus_make_at(t->root, name, S_IFREG | 0644), 0);
	}
	KUNIT_EXPECT_EQ_MSG(test, nexus_list_some(test, file, 1000, &sorted), 100,
			    "the names that stayed, none of the new ones");
	KUNIT_EXPECT_TRUE(test, sorted);
	KUNIT_EXPECT_EQ(test, nexus_list_some(test, file, 1000, NULL), 0);
	KUNIT_EXPECT_EQ(test, vfs_llseek(file, 0, SEEK_SET), 0);
	KUNIT_EXPECT_EQ(test, nexus_list_some(test, file, 1000, NULL), 200);
	__fput_sync(file);
}

/* A listed directory answers for names that do not exist, until the dcache shrinks. */
static void nexus_tree_complete(struct kunit *test)
{
	struct nexus_tree *t = test->priv;
	struct path path = { .mnt = t->mnt, .dentry = t->root };
	struct nexus_inode *ni = NEXUS_I(d_inode(t->root));
	struct file *file;
	u64 hits;

	KUNIT_ASSERT_EQ(test, nexus_make_at(t->root, "a", S_IFREG | 0644), 0);
	KUNIT_ASSERT_EQ(test, nexus_make_at(t->root, "b", S_IFDIR | 0755), 0);
	nexus_forget_all(t);
	KUNIT_EXPECT_FALSE(test, test_bit(NEXUS_I_COMPLETE, &ni->state));

	file = dentry_open(&path, O_RDONLY | O_DIRECTORY, current_cred());
	KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	KUNIT_EXPECT_EQ(test, nexus_list_some(test, file, 1000, NULL), 2);
	__fput_sync(file);
	KUNIT_EXPECT_TRUE(test, test_bit(NEXUS_I_COMPLETE, &ni->state));
	hits = nexus_count_read(NEXUS_C_dir_complete_hits);
	KUNIT_EXPECT_EQ(test, nexus_ino_at(t->root, "absent"), 0);
	KUNIT_EXPECT_GT(test, nexus_count_read(NEXUS_C_dir_complete_hits), hits);
	KUNIT_EXPECT_EQ(test, nexus_remove_at(t->root, "a"), 0);
	KUNIT_EXPECT_TRUE_MSG(test, test_bit(NEXUS_I_COMPLETE, &ni->state),
			      "unlink keeps it");
	KUNIT_EXPECT_EQ(test, nexus_make_at(t->root, "c", S_IFREG | 0644), 0);
	KUNIT_EXPECT_TRUE_MSG(test, test_bit(NEXUS_I_COMPLETE, &ni->state),
			      "create keeps it");
	nexus_forget_all(t);
	KUNIT_EXPECT_FALSE(test, test_bit(NEXUS_I_COMPLETE, &ni->state));
	KUNIT_EXPECT_NE_MSG(test, nexus_ino_at(t->root, "c"), 0, "pruned, not gone");
}

static bool nexus_cached_at(struct dentry *dir, const char *name)
{
	struct qstr q = QSTR_INIT(name, strlen(name));
	struct dentry *dentry;
	bool there;

	q.hash = full_name_hash(dir, q.name, q.len);
	dentry = d_lookup(dir, &q);
	there = dentry && d_is_positive(dentry);
	dput(dentry);
	return there;
}

/* Lookups in the directory's order bring the names that follow; others do not. */
static void nexus_tree_ahead(struct kunit *test)
{
	static const int mixed[] = { 150, 20, 80, 190, 110, 50 };
	struct nexus_tree *t = test->priv;
	char name[16];
	u64 lists;
	int i;

	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		KUNIT_ASSERT_EQ(test, nexus_make_at(t->root, name, S_IFREG | 0644), 0);
	}
	nexus_forget_all(t);
	lists = nexus_count_read(NEXUS_C_look_aheads);
	for (i = 0; i < ARRAY_SIZE(mixed); i++) {
		snprintf(name, sizeof(name), "n%d", mixed[i]);
		KUNIT_EXPECT_NE(test, nexus_ino_at(t->root, name), 0);
	}
	KUNIT_EXPECT_EQ(test, nexus_count_read(NEXUS_C_look_aheads), lists);
	KUNIT_EXPECT_FALSE(test, nexus_cached_at(t->root, "n51"));

	KUNIT_EXPECT_NE(test, nexus_ino_at(t->root, "n51"), 0);
	KUNIT_EXPECT_EQ(test, nexus_count_read(NEXUS_C_look_aheads), lists + 1);
	KUNIT_EXPECT_TRUE(test, nexus_cached_at(t->root, "n52"));
	KUNIT_EXPECT_TRUE(test, nexus_cached_at(t->root, "n90"));
	/* What was brought needs no other listing, what follows it one. */
	for (i = 52; i < 200; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		KUNIT_EXPECT_NE(test, nexus_ino_at(t->root, name), 0);
	}
	KUNIT_EXPECT_LE(test, nexus_count_read(NEXUS_C_look_aheads), lists + 4);
	KUNIT_EXPECT_FALSE(test, nexus_cached_at(t->root, "n49"));
}

/* A small directory is soon known as a whole, also by names that are not there. */
static void nexus_tree_ahead_small(struct kunit *test)
{
	struct nexus_tree *t = test->priv;
	struct nexus_inode *ni = NEXUS_I(d_inode(t->root));
	u64 hits;

	KUNIT_ASSERT_EQ(test, nexus_make_at(t->root, "a", S_IFREG | 0644), 0);
	KUNIT_ASSERT_EQ(test, nexus_make_at(t->root, "b", S_IFDIR | 0755), 0);
	nexus_forget_all(t);
	KUNIT_EXPECT_EQ(test, nexus_ino_at(t->root, "x"), 0);
	KUNIT_EXPECT_FALSE(test, test_bit(NEXUS_I_COMPLETE, &ni->state));
	KUNIT_EXPECT_EQ(test, nexus_ino_at(t->root, "y"), 0);
	KUNIT_EXPECT_TRUE(test, test_bit(NEXUS_I_COMPLETE, &ni->state));
	KUNIT_EXPECT_TRUE(test, nexus_cached_at(t->root, "a"));
	hits = nexus_count_read(NEXUS_C_dir_complete_hits);
	KUNIT_EXPECT_EQ(test, nexus_ino_at(t->root, "z"), 0);
	KUNIT_EXPECT_GT(test, nexus_count_read(NEXUS_C_dir_complete_hits), hits);
}

/* O_TMPFILE: no name, then one. */
static void nexus_tree_tmpfile(struct kunit *test)
{
	struct nexus_tree *t = test->priv;
	struct path path = { .mnt = t->mnt, .dentry = t->root };
	struct nexus_inode *ni;
	struct dentry *dentry;
	struct file *file;
	int err;

	file = kernel_tmpfile_open(&nop_mnt_idmap, &path, S_IFREG | 0600, O_RDWR,
				   current_cred());
	KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	ni = NEXUS_I(file_inode(file));
	KUNIT_EXPECT_EQ(test, ni->vfs.i_nlink, 0);
	KUNIT_EXPECT_TRUE(test, test_bit(NEXUS_I_ORPHAN, &ni->state));

	inode_lock_nested(d_inode(t->root), I_MUTEX_PARENT);
	dentry = lookup_one_len("named", t->root, 5);
	err = vfs_link(file->f_path.dentry, &nop_mnt_idmap, d_inode(t->root), dentry, NULL);
	inode_unlock(d_inode(t->root));
	KUNIT_EXPECT_EQ(test, err, 0);
	KUNIT_EXPECT_EQ(test, ni->vfs.i_nlink, 1);
	KUNIT_EXPECT_FALSE(test, test_bit(NEXUS_I_ORPHAN, &ni->state));
	KUNIT_EXPECT_EQ(test, ni->evict_resv.bytes, 0);
	dput(dentry);
	__fput_sync(file);
	nexus_forget_all(t);
	KUNIT_EXPECT_NE(test, nexus_ino_at(t->root, "named"), 0);
}

/* A failed zone takes no change, and nothing of what is cached changes. */
static void nexus_tree_failed_zone(struct kunit *test)
{
	struct nexus_tree *t = test->priv;
	struct nexus_zone *zone = nexus_sb_zone(t->mnt->mnt_sb);
	struct nexus_inode *ni = NEXUS_I(d_inode(t->root));
	u64 pos;

	KUNIT_ASSERT_EQ(test, nexus_make_at(t->root, "f", S_IFREG | 0644), 0);
	pos = ni->next_pos;
	nexus_zone_fail(zone, -EIO, "expected by a test");
	KUNIT_EXPECT_EQ(test, nexus_make_at(t->root, "g", S_IFREG | 0644), -EROFS);
	KUNIT_EXPECT_EQ(test, nexus_make_at(t->root, "d", S_IFDIR | 0755), -EROFS);
	KUNIT_EXPECT_EQ(test, nexus_remove_at(t->root, "f"), -EROFS);
	KUNIT_EXPECT_EQ(test, nexus_rename_at(t->root, "f", t->root, "g", 0), -EROFS);
	KUNIT_EXPECT_EQ(test, nexus_link_at(t->root, "f", t->root, "g"), -EROFS);
	KUNIT_EXPECT_EQ(test, ni->next_pos, pos);
	KUNIT_EXPECT_EQ(test, ni->children, 1);
	KUNIT_EXPECT_NE(test, nexus_ino_at(t->root, "f"), 0);
	KUNIT_EXPECT_EQ(test, nexus_ino_at(t->root, "g"), 0);
}

static u64 nexus_cookie_of(struct nexus_tree *t, struct dentry *dentry)
{
	struct path path = { .mnt = t->mnt, .dentry = dentry };
	struct kstat stat = {};

	if (vfs_getattr_nosec(&path, &stat, STATX_CHANGE_COOKIE, 0) ||
	    !(stat.result_mask & STATX_CHANGE_COOKIE))
		return 0;
	return stat.change_cookie;
}

/* However quickly changes come, whoever looks in between sees each of them. */
static void nexus_tree_cookie(struct kunit *test)
{
	struct nexus_tree *t = test->priv;
	struct iattr attr = { .ia_valid = ATTR_MODE | ATTR_CTIME };
	u64 dir, file, was;
	struct file *to;
	struct dentry *f;
	struct path path;
	loff_t pos = 0;
	int i;

	KUNIT_ASSERT_EQ(test, nexus_make_at(t->root, "f", S_IFREG | 0644), 0);
	f = nexus_at(t->root, "f");
	path = (struct path){ .mnt = t->mnt, .dentry = f };
	to = dentry_open(&path, O_WRONLY, current_cred());
	KUNIT_ASSERT_FALSE(test, IS_ERR(to));
	dir = nexus_cookie_of(t, t->root);
	file = nexus_cookie_of(t, f);
	KUNIT_EXPECT_NE(test, dir, 0);
	KUNIT_EXPECT_EQ_MSG(test, nexus_cookie_of(t, f), file, "nothing changed");
	for (i = 0; i < 200; i++) {
		was = dir;
		KUNIT_EXPECT_EQ(test, nexus_make_at(t->root, "g", S_IFREG | 0644), 0);
		dir = nexus_cookie_of(t, t->root);
		KUNIT_EXPECT_GT(test, dir, was);
		was = dir;
		KUNIT_EXPECT_EQ(test, nexus_rename_at(t->root, "g", t->root, "h", 0), 0);
		dir = nexus_cookie_of(t, t->root);
		KUNIT_EXPECT_GT(test, dir, was);
		was = dir;
		KUNIT_EXPECT_EQ(test, nexus_remove_at(t->root, "h"), 0);
		dir = nexus_cookie_of(t, t->root);
		KUNIT_EXPECT_GT(test, dir, was);

		was = file;
		KUNIT_EXPECT_EQ(test, kernel_write(to, "x", 1, &pos), 1);
		file = nexus_cookie_of(t, f);
		KUNIT_EXPECT_GT(test, file, was);
		was = file;
		attr.ia_mode = S_IFREG | (i % 2 ? 0600 : 0640);
		inode_lock(d_inode(f));
		KUNIT_EXPECT_EQ(test, notify_change(&nop_mnt_idmap, f, &attr, NULL), 0);
		inode_unlock(d_inode(f));
		file = nexus_cookie_of(t, f);
		KUNIT_EXPECT_GT(test, file, was);
	}
	/* Neither forgetting nor reading is a change. */
	__fput_sync(to);
	dput(f);
	nexus_forget_all(t);
	f = nexus_at(t->root, "f");
	KUNIT_EXPECT_EQ(test, nexus_cookie_of(t, f), file);
	KUNIT_EXPECT_EQ(test, nexus_cookie_of(t, t->root), dir);
	dput(f);
}

static struct kunit_case nexus_tree_cases[] = {
	KUNIT_CASE(nexus_tree_create),
	KUNIT_CASE(nexus_tree_unlink),
	KUNIT_CASE(nexus_tree_rmdir_cold),
	KUNIT_CASE(nexus_tree_link),
	KUNIT_CASE(nexus_tree_rename),
	KUNIT_CASE(nexus_tree_rename_dir_over),
	KUNIT_CASE(nexus_tree_setattr),
	KUNIT_CASE(nexus_tree_cookie),
	KUNIT_CASE(nexus_tree_sys),
	KUNIT_CASE(nexus_tree_list),
	KUNIT_CASE(nexus_tree_complete),
	KUNIT_CASE(nexus_tree_ahead),
	KUNIT_CASE(nexus_tree_ahead_small),
	KUNIT_CASE(nexus_tree_tmpfile),
	KUNIT_CASE(nexus_tree_failed_zone),
	{}
};

struct kunit_suite nexus_tree_suite = {
	.name = "nexus_tree",
	.init = nexus_tree_init,
	.exit = nexus_tree_exit,
	.test_cases = nexus_tree_cases,
};
