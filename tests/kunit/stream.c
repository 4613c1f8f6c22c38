// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams in memory as they are in the module, of an in-memory zone that is mounted for
 * each test: what begins where, what goes, who is woken.
 */
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/kthread.h>
#include <linux/mount.h>
#include <linux/namei.h>

#include "kunit.h"
#include "../../kmod/stream/stream.h"

#define NEXUS_STREAMTEST_BYTES	16384

struct nexus_streamtest {
	struct vfsmount *mnt;
	struct file *file;
	struct nexus_stream *s;
};

/* A new file that nobody else knows becomes one. */
static struct file *nexus_streamtest_make(struct nexus_streamtest *t)
{
	const struct nexus_stream_create sc = { .max_bytes = NEXUS_STREAMTEST_BYTES };
	struct path path = { .mnt = t->mnt };
	struct dentry *root = t->mnt->mnt_root, *dentry;
	struct file *file;
	int err;

	inode_lock(d_inode(root));
	dentry = lookup_one_len("s", root, 1);
	err = PTR_ERR_OR_ZERO(dentry);
	if (!err)
		err = vfs_create(&nop_mnt_idmap, d_inode(root), dentry, S_IFREG | 0600, true);
	inode_unlock(d_inode(root));
	if (err) {
		if (!IS_ERR(dentry))
			dput(dentry);
		return ERR_PTR(err);
	}
	nexus_stream_set(d_inode(dentry), nexus_stream_pack_opts(&sc) & ~NEXUS_DENTRY_STREAM);
	path.dentry = dentry;
	file = dentry_open(&path, O_RDWR, current_cred());
	dput(dentry);
	return file;
}

static int nexus_streamtest_init(struct kunit *test)
{
	struct nexus_streamtest *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	t->mnt = nexus_test_mount();
	if (IS_ERR(t->mnt))
		return PTR_ERR(t->mnt);
	t->file = nexus_streamtest_make(t);
	if (IS_ERR(t->file)) {
		kern_unmount(t->mnt);
		return PTR_ERR(t->file);
	}
	t->s = nexus_stream_of(t->file);
	test->priv = t;
	return 0;
}

static void nexus_streamtest_exit(struct kunit *test)
{
	struct nexus_streamtest *t = test->priv;

	if (!t)
		return;
	__fput_sync(t->file);
	kern_unmount(t->mnt);
}

/* One record of @len bytes, each of which is @byte; its position, or -errno. */
static s64 nexus_streamtest_append(struct nexus_streamtest *t, u8 byte, u32 len)
{
	static u8 data[8192];
	ssize_t ret;
	u64 pos;

	memset(data, byte, len);
	ret = nexus_stream_append(t->file, data, &len, 1, false, &pos);
	return ret < 0 ? ret : ret == 1 ? (s64)pos : -EIO;
}

/* What a read of @room bytes at @pos says; -EBADMSG: other bytes than those of @byte. */
static ssize_t nexus_streamtest_read(struct nexus_streamtest *t, loff_t pos, u8 byte, u32 room)
{
	static u8 buf[8192];
	ssize_t ret = kernel_read(t->file, buf, room, &pos);

	return ret > 0 && memchr_inv(buf, byte, ret) ? -EBADMSG : ret;
}

/* ---- positions ------------------------------------------------------------------------- */

static void nexus_stream_positions(struct kunit *test)
{
	static const u32 len[] = { 1, 100, 3900, 17, 600, 3 };
	struct nexus_streamtest *t = test->priv;
	s64 pos[ARRAY_SIZE(len)];
	u64 at, tail, hits = 0;
	u32 i;

	KUNIT_EXPECT_EQ(test, t->s->tail, 0);
	KUNIT_EXPECT_EQ(test, nexus_streamtest_read(t, 0, 0, 10), 0);
	for (i = 0; i < ARRAY_SIZE(len); i++) {
		tail = t->s->tail;
		pos[i] = nexus_streamtest_append(t, i + 1, len[i]);
		KUNIT_ASSERT_EQ(test, pos[i], tail);
		KUNIT_EXPECT_EQ(test, t->s->tail, nexus_stream_next(pos[i], len[i]));
		KUNIT_EXPECT_EQ(test, t->s->tail_seq, i + 1);
	}
	tail = t->s->tail;
	KUNIT_EXPECT_EQ(test, i_size_read(file_inode(t->file)), tail);
	for (at = 0, i = 0; at < tail; at++) {
		/* So that no place is known because it was read up to. */
		nexus_stream_file(t->file)->known = U64_MAX;
		if (i == ARRAY_SIZE(len) || at != pos[i]) {
			if (nexus_streamtest_read(t, at, 0, 8192) != -EINVAL)
				hits++;
			continue;
		}
		KUNIT_EXPECT_EQ(test, nexus_streamtest_read(t, at, i + 1, 8192), len[i]);
		KUNIT_EXPECT_EQ(test, nexus_streamtest_read(t, at, i + 1, len[i]), len[i]);
		if (len[i] > 1)
			KUNIT_EXPECT_EQ(test, nexus_streamtest_read(t, at, i + 1, len[i] - 1),
					-EMSGSIZE);
		i++;
	}
	KUNIT_EXPECT_EQ(test, i, ARRAY_SIZE(len));
	KUNIT_EXPECT_EQ_MSG(test, hits, 0, "a read elsewhere is EINVAL");
	KUNIT_EXPECT_EQ(test, nexus_streamtest_read(t, tail, 0, 10), 0);
	KUNIT_EXPECT_EQ(test, nexus_streamtest_read(t, tail + 1, 0, 10), -EINVAL);
	KUNIT_EXPECT_EQ(test, nexus_streamtest_read(t, NEXUS_STREAM_POS_MAX, 0, 10), -EINVAL);
}

/* Where there are no positions any more: nothing is appended, what is there is read. */
static void nexus_stream_last_position(struct kunit *test)
{
	struct nexus_streamtest *t = test->priv;
	struct nexus_stream *s = t->s;
	u64 near = NEXUS_STREAM_POS_MAX - 2 * NEXUS_STREAM_BLOCK;
	s64 pos;

	s->start = near;
	s->tail = near;
	s->end = near;
	pos = nexus_streamtest_append(t, 7, 5000);
	KUNIT_EXPECT_EQ(test, pos, near);
	KUNIT_EXPECT_EQ(test, nexus_streamtest_append(t, 8, 5000), -EFBIG);
	KUNIT_EXPECT_EQ(test, s->tail, nexus_stream_next(near, 5000));
	KUNIT_EXPECT_EQ(test, s->end, s->tail);
	KUNIT_EXPECT_EQ(test, s->tail_seq, 1);
	KUNIT_EXPECT_EQ(test, nexus_streamtest_read(t, near, 7, 8192), 5000);
	pos = nexus_streamtest_append(t, 9, 10);
	KUNIT_EXPECT_EQ(test, pos, nexus_stream_next(near, 5000));
	KUNIT_EXPECT_EQ(test, nexus_streamtest_read(t, pos, 9, 8192), 10);
}

/* ---- what goes ------------------------------------------------------------------------- */

static void nexus_stream_trims(struct kunit *test)
{
	struct nexus_streamtest *t = test->priv;
	struct nexus_stream *s = t->s;
	s64 pos[10];
	int i;

	for (i = 0; i < 10; i++) {
		pos[i] = nexus_streamtest_append(t, i, 1000);
		KUNIT_ASSERT_GE(test, pos[i], 0);
	}
	KUNIT_EXPECT_EQ(test, nexus_stream_trim(t->file, pos[4] + 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, nexus_stream_trim(t->file, s->tail + 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, s->start, 0);
	KUNIT_EXPECT_EQ(test, nexus_stream_trim(t->file, 0), 0);
	KUNIT_EXPECT_EQ(test, s->start_seq, 0);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&s->nr_pages), 3);
	KUNIT_EXPECT_EQ(test, nexus_stream_trim(t->file, pos[4]), 0);
	KUNIT_EXPECT_EQ(test, s->start, pos[4]);
	KUNIT_EXPECT_EQ(test, s->start_seq, 4);
	KUNIT_EXPECT_EQ_MSG(test, atomic_long_read(&s->nr_pages), 2, "record 4 is in the second");
	for (i = 0; i < 10; i++) {
		nexus_stream_file(t->file)->known = U64_MAX;
		KUNIT_EXPECT_EQ(test, nexus_streamtest_read(t, pos[i], i, 1000),
				i < 4 ? -ESTALE : 1000);
	}
	/* What is gone is gone, whether or not a record began there. */
	KUNIT_EXPECT_EQ(test, nexus_streamtest_read(t, pos[4] - 1, 0, 10), -ESTALE);
	KUNIT_EXPECT_EQ(test, nexus_stream_trim(t->file, pos[3]), -ESTALE);
	/* Also where its block is there. */
	KUNIT_EXPECT_EQ(test, nexus_stream_trim(t->file, pos[5]), 0);
	KUNIT_EXPECT_EQ(test, nexus_stream_trim(t->file, pos[4]), -ESTALE);
	KUNIT_EXPECT_EQ(test, s->start, pos[5]);
	KUNIT_EXPECT_EQ(test, nexus_stream_trim(t->file, s->tail), 0);
	KUNIT_EXPECT_EQ(test, s->start, s->tail);
	KUNIT_EXPECT_EQ(test, s->start_seq, s->tail_seq);
	KUNIT_EXPECT_EQ(test, nexus_streamtest_read(t, s->tail, 0, 10), 0);
	pos[0] = nexus_streamtest_append(t, 11, 20);
	KUNIT_EXPECT_EQ(test, pos[0], s->start);
	KUNIT_EXPECT_EQ(test, nexus_streamtest_read(t, pos[0], 11, 20), 20);
}

static void nexus_stream_bounded(struct kunit *test)
{
	struct nexus_streamtest *t = test->priv;
	struct nexus_stream *s = t->s;
	u64 seq = 0, at;
	u32 len, n;
	s64 pos;

	for (n = 0; n < 400; n++) {
		/* Up to the longest there may be. */
		len = 1 + n * 37 % nexus_stream_record_max(NEXUS_STREAMTEST_BYTES);
		len = min(len, 8192u);
		pos = nexus_streamtest_append(t, n, len);
		KUNIT_ASSERT_GE(test, pos, 0);
		KUNIT_ASSERT_LE(test, s->tail - s->start, NEXUS_STREAMTEST_BYTES);
		KUNIT_ASSERT_LE(test, atomic_long_read(&s->nr_pages),
				NEXUS_STREAMTEST_BYTES / NEXUS_STREAM_BLOCK);
		KUNIT_ASSERT_EQ(test, s->tail_seq, n + 1);
		KUNIT_ASSERT_EQ_MSG(test, nexus_streamtest_read(t, pos, n, len), len,
				    "the one that came last is there");
	}
	KUNIT_EXPECT_EQ(test, nexus_streamtest_read(t, 0, 0, 10), -ESTALE);
	/* From the start on it is whole, and as many as it says. */
	for (at = s->start; at < s->tail; seq++) {
		n = s->start_seq + seq;
		len = min(1 + n * 37 % nexus_stream_record_max(NEXUS_STREAMTEST_BYTES), 8192u);
		KUNIT_ASSERT_EQ(test, nexus_streamtest_read(t, at, n, 8192), len);
		at = nexus_stream_next(at, len);
	}
	KUNIT_EXPECT_EQ(test, at, s->tail);
	KUNIT_EXPECT_EQ(test, s->start_seq + seq, s->tail_seq);
}

/* ---- who is woken ------------------------------------------------------------------------- */

struct nexus_streamtest_waiter {
	struct nexus_stream *s;
	u64 pos;
	int ret;
	struct completion woken;
	struct task_struct *task;
};

static int nexus_streamtest_wait(void *arg)
{
	struct nexus_streamtest_waiter *w = arg;

	w->ret = nexus_stream_wait(w->s, w->pos);
	complete(&w->woken);
	return nexus_test_stay();
}

/* Until so many sleep, which is as soon as they are scheduled. */
static bool nexus_streamtest_asleep(struct nexus_stream *s, size_t n)
{
	size_t now;
	int i;

	for (i = 0; i < 6000; i++) {
		spin_lock_irq(&s->wait.lock);
		now = list_count_nodes(&s->wait.head);
		spin_unlock_irq(&s->wait.lock);
		if (now == n)
			return true;
		msleep(20);
	}
	return false;
}

static bool nexus_streamtest_woken(struct nexus_streamtest_waiter *w)
{
	return wait_for_completion_timeout(&w->woken, 20 * HZ) && !w->ret;
}

#define NEXUS_STREAMTEST_WAITERS 4

static void nexus_stream_wakes(struct kunit *test)
{
	struct nexus_streamtest *t = test->priv;
	struct nexus_streamtest_waiter *w;
	int i, n = NEXUS_STREAMTEST_WAITERS;
	u64 second;

	KUNIT_ASSERT_EQ(test, nexus_streamtest_append(t, 1, 10), 0);
	KUNIT_EXPECT_EQ_MSG(test, nexus_stream_wait(t->s, 0), 0, "there is one");
	w = kunit_kcalloc(test, n, sizeof(*w), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, w);
	/* All but one at the tail; that one for what comes behind the next record. */
	second = nexus_stream_next(t->s->tail, 10);
	for (i = 0; i < n; i++) {
		w[i].s = t->s;
		w[i].pos = i ? t->s->tail : second;
		init_completion(&w[i].woken);
		w[i].task = kthread_run(nexus_streamtest_wait, &w[i], "nexus_stream/%d", i);
	}
	KUNIT_EXPECT_TRUE(test, nexus_streamtest_asleep(t->s, n));
	/* What goes is no record for who waits. */
	KUNIT_EXPECT_EQ(test, nexus_stream_trim(t->file, t->s->tail), 0);
	KUNIT_EXPECT_TRUE(test, nexus_streamtest_asleep(t->s, n));
	for (i = 0; i < n; i++)
		KUNIT_EXPECT_FALSE(test, completion_done(&w[i].woken));
	KUNIT_EXPECT_GT(test, nexus_streamtest_append(t, 2, 10), 0);
	/* Nothing is consumed: it is for each of them. */
	for (i = 1; i < n; i++)
		KUNIT_EXPECT_TRUE(test, nexus_streamtest_woken(&w[i]));
	KUNIT_EXPECT_TRUE(test, nexus_streamtest_asleep(t->s, 1));
	KUNIT_EXPECT_FALSE(test, completion_done(&w[0].woken));
	KUNIT_EXPECT_EQ(test, nexus_streamtest_append(t, 3, 10), second);
	KUNIT_EXPECT_TRUE(test, nexus_streamtest_woken(&w[0]));
	KUNIT_EXPECT_TRUE(test, nexus_streamtest_asleep(t->s, 0));
	for (i = 0; i < n; i++) {
		if (IS_ERR(w[i].task))
			continue;
		/* This wakes it if nobody has, and then there is something for it. */
		kthread_stop(w[i].task);
	}
}

static struct kunit_case nexus_stream_cases[] = {
	KUNIT_CASE(nexus_stream_positions),
	KUNIT_CASE(nexus_stream_last_position),
	KUNIT_CASE(nexus_stream_trims),
	KUNIT_CASE(nexus_stream_bounded),
	KUNIT_CASE(nexus_stream_wakes),
	{}
};

struct kunit_suite nexus_stream_suite = {
	.name = "nexus_stream",
	.init = nexus_streamtest_init,
	.exit = nexus_streamtest_exit,
	.test_cases = nexus_stream_cases,
};
