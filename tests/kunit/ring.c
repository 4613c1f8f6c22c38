// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rings as they are in the module: credits, messages in a circle, and a ring whose
 * inode and files nobody else knows, also between kthreads.
 */
#include <linux/kthread.h>
#include <linux/uio.h>

#include "kunit.h"
#include "../../kmod/ring/ring.h"

/* ---- the circle ---------------------------------------------------------------------- */

static void nexus_ring_lengths(struct kunit *test)
{
	static const u32 len[] = { 1, 2, 127, 128, 129, 16383, 16384, 2097151, 2097152,
				   NEXUS_RINGBUF_MAX - 1 };
	u32 pos, to, got, i, size = 16;
	u8 data[16];

	for (i = 0; i < ARRAY_SIZE(len); i++) {
		for (pos = 0; pos < size; pos++) {
			to = nexus_ringbuf_put_len(data, size, pos, len[i]);
			KUNIT_EXPECT_LT(test, to, size);
			KUNIT_EXPECT_EQ(test, nexus_ringbuf_get_len(data, size, pos, &got), to);
			KUNIT_EXPECT_EQ(test, got, len[i]);
			/* No more bytes than the message has. */
			KUNIT_EXPECT_LE(test, (to + size - pos) % size,
					min(len[i], NEXUS_RINGBUF_HEADER));
		}
	}
	/* Whatever is there. */
	memset(data, 0xff, sizeof(data));
	nexus_ringbuf_get_len(data, size, 14, &got);
	KUNIT_EXPECT_LT(test, got, NEXUS_RINGBUF_MAX);
}

static void nexus_ring_spans(struct kunit *test)
{
	struct nexus_ringbuf_span s;
	u32 pos, len, size = 16;

	for (pos = 0; pos < size; pos++) {
		for (len = 0; len <= size; len++) {
			nexus_ringbuf_span(size, pos, len, &s);
			KUNIT_EXPECT_EQ(test, s.len[0] + s.len[1], len);
			KUNIT_EXPECT_LE(test, s.off[0] + s.len[0], size);
			KUNIT_EXPECT_TRUE(test, !s.len[1] || s.off[0] + s.len[0] == size);
			KUNIT_EXPECT_EQ(test, (s.off[1] + s.len[1]) % size,
					s.len[1] ? (pos + len) % size : 0);
		}
	}
}

/* ---- credits ------------------------------------------------------------------------- */

static void nexus_ring_credit_new(struct nexus_credit *c, u64 avail, bool drain)
{
	nexus_credit_init(c, avail, drain);
	nexus_mutex_init(&c->lock);
}

static int nexus_ring_credit_take(struct nexus_credit *c, u64 need)
{
	int ret;

	nexus_mutex_lock(&c->lock);
	ret = nexus_credit_take(c, need);
	nexus_mutex_unlock(&c->lock);
	return ret;
}

/* As whoever waits does; 1: is queued. */
static int nexus_ring_credit_wait(struct nexus_credit *c, struct nexus_credit_waiter *w,
				  u64 need)
{
	int ret;

	nexus_mutex_lock(&c->lock);
	ret = nexus_credit_take(c, need);
	if (ret == -EAGAIN)
		ret = nexus_credit_enqueue(c, w, need, current);
	nexus_mutex_unlock(&c->lock);
	return ret;
}

static void nexus_ring_credit_give(struct nexus_credit *c, u64 n)
{
	NEXUS_WAKES(wakes);

	nexus_credit_give(c, n);
	nexus_credit_given(c, &wakes);
	nexus_wakes_done(&wakes);
}

static void nexus_ring_credit(struct kunit *test)
{
	struct nexus_credit c;
	int ret;

	nexus_ring_credit_new(&c, 5, false);
	KUNIT_EXPECT_TRUE(test, nexus_credit_ready(&c, 5));
	KUNIT_EXPECT_FALSE(test, nexus_credit_ready(&c, 6));
	KUNIT_EXPECT_EQ(test, nexus_ring_credit_take(&c, 6), -EAGAIN);
	KUNIT_EXPECT_EQ(test, nexus_ring_credit_take(&c, 5), 0);
	KUNIT_EXPECT_EQ(test, nexus_ring_credit_take(&c, 1), -EAGAIN);
	nexus_ring_credit_give(&c, 3);
	nexus_mutex_lock(&c.lock);
	KUNIT_EXPECT_EQ(test, nexus_credit_shrink(&c, 4), -EBUSY);
	ret = nexus_credit_shrink(&c, 2);
	nexus_mutex_unlock(&c.lock);
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_TRUE(test, nexus_credit_ready(&c, 1));
	KUNIT_EXPECT_FALSE(test, nexus_credit_ready(&c, 2));
}

/* Three in a queue: a long one in front of short ones, and one that gives up. */
static void nexus_ring_credit_queue(struct kunit *test)
{
	NEXUS_WAKES(wakes);
	struct nexus_credit_waiter w[3];
	struct nexus_credit c;

	nexus_ring_credit_new(&c, 1, false);
	KUNIT_ASSERT_EQ(test, nexus_ring_credit_wait(&c, &w[0], 3), 1);
	KUNIT_ASSERT_EQ(test, nexus_ring_credit_wait(&c, &w[1], 1), 1);
	KUNIT_ASSERT_EQ(test, nexus_ring_credit_wait(&c, &w[2], 1), 1);
	KUNIT_EXPECT_FALSE(test, nexus_credit_ready(&c, 1));
	nexus_ring_credit_give(&c, 1);
	KUNIT_EXPECT_TRUE(test, nexus_credit_waits(&w[0]));
	KUNIT_EXPECT_TRUE(test, nexus_credit_waits(&w[1]));
	/* Who gives up lets those behind go on. */
	KUNIT_EXPECT_EQ(test, nexus_credit_leave(&c, &w[0], &wakes), -EINTR);
	nexus_wakes_done(&wakes);
	KUNIT_EXPECT_FALSE(test, nexus_credit_waits(&w[1]));
	KUNIT_EXPECT_FALSE(test, nexus_credit_waits(&w[2]));
	KUNIT_EXPECT_EQ(test, nexus_credit_leave(&c, &w[1], &wakes), 0);
	KUNIT_EXPECT_EQ(test, nexus_credit_leave(&c, &w[2], &wakes), 0);
	KUNIT_EXPECT_FALSE(test, nexus_credit_ready(&c, 1));
	nexus_wakes_done(&wakes);
}

static void nexus_ring_credit_broken(struct kunit *test)
{
	NEXUS_WAKES(wakes);
	struct nexus_credit_waiter w;
	struct nexus_credit c;
	bool drain;

	for (drain = false;; drain = true) {
		nexus_ring_credit_new(&c, 1, drain);
		KUNIT_ASSERT_EQ(test, nexus_ring_credit_wait(&c, &w, 2), 1);
		nexus_credit_break(&c, -EPIPE, &wakes);
		nexus_wakes_done(&wakes);
		KUNIT_EXPECT_EQ(test, nexus_credit_leave(&c, &w, &wakes), -EPIPE);
		KUNIT_EXPECT_EQ(test, nexus_ring_credit_take(&c, 2), -EPIPE);
		KUNIT_EXPECT_EQ(test, nexus_credit_ready(&c, 1), drain);
		KUNIT_EXPECT_EQ(test, nexus_ring_credit_take(&c, 1), drain ? 0 : -EPIPE);
		nexus_credit_mend(&c);
		KUNIT_EXPECT_EQ(test, nexus_ring_credit_take(&c, 1), drain ? -EAGAIN : 0);
		if (drain)
			break;
	}
}

/* ---- a ring ----------------------------------------------------------------------------- */

#define NEXUS_RINGTEST_CAPACITY	100

struct nexus_ringtest {
	struct nexus_zone *zone;
	struct nexus_inode *ni;
	struct completion over;
	atomic_t left;
	int wrong;
	atomic_t received;
};

static int nexus_ringtest_init(struct kunit *test)
{
	struct nexus_ringtest *rt = kunit_kzalloc(test, sizeof(*rt), GFP_KERNEL);

	if (!rt)
		return -ENOMEM;
	rt->ni = kunit_kzalloc(test, sizeof(*rt->ni), GFP_KERNEL);
	rt->zone = rt->ni ? nexus_zone_alloc("kunit-ring") : NULL;
	if (!rt->zone)
		return -ENOMEM;
	/* All of it that rings look at. */
	rt->ni->zone = rt->zone;
	mutex_init(&rt->ni->load_mutex);
	rt->ni->vfs.i_ino = 1000;
	rt->ni->vfs.i_uid = KUIDT_INIT(77);
	put_unaligned_le64(NEXUS_RINGTEST_CAPACITY, rt->ni->target);
	init_completion(&rt->over);
	test->priv = rt;
	return 0;
}

static void nexus_ringtest_exit(struct kunit *test)
{
	struct nexus_ringtest *rt = test->priv;

	if (!rt)
		return;
	nexus_rings_free(rt->zone);
	nexus_zone_put(rt->zone);
}

static int nexus_ringtest_open(struct nexus_ringtest *rt, struct file *file, fmode_t mode,
			       unsigned int flags)
{
	memset(file, 0, sizeof(*file));
	file->f_mode = mode;
	file->f_flags = flags;
	return nexus_ring_fops.open(&rt->ni->vfs, file);
}

static void nexus_ringtest_close(struct nexus_ringtest *rt, struct file *file)
{
	nexus_ring_fops.release(&rt->ni->vfs, file);
}

static ssize_t nexus_ringtest_send(struct file *file, const void *buf, size_t len)
{
	struct kvec kvec = { .iov_base = (void *)buf, .iov_len = len };
	struct kiocb iocb = { .ki_filp = file };
	struct iov_iter from;

	iov_iter_kvec(&from, ITER_SOURCE, &kvec, 1, len);
	return nexus_ring_fops.write_iter(&iocb, &from);
}

static ssize_t nexus_ringtest_recv(struct file *file, void *buf, size_t len)
{
	struct kvec kvec = { .iov_base = buf, .iov_len = len };
	struct kiocb iocb = { .ki_filp = file };
	struct iov_iter to;

	iov_iter_kvec(&to, ITER_DEST, &kvec, 1, len);
	return nexus_ring_fops.read_iter(&iocb, &to);
}

static void nexus_ring_messages(struct kunit *test)
{
	struct nexus_ringtest *rt = test->priv;
	struct file *file = kunit_kzalloc(test, sizeof(*file), GFP_KERNEL);
	u8 buf[NEXUS_RINGTEST_CAPACITY + 1];
	int i, len;

	KUNIT_ASSERT_NOT_NULL(test, file);
	KUNIT_ASSERT_EQ(test, nexus_ringtest_open(rt, file, FMODE_READ | FMODE_WRITE,
						  O_RDWR | O_NONBLOCK), 0);
	KUNIT_EXPECT_EQ(test, nexus_ringtest_recv(file, buf, 1), -EAGAIN);
	KUNIT_EXPECT_EQ(test, nexus_ringtest_send(file, buf, sizeof(buf)), -EMSGSIZE);
	/* Around the circle, in order and whole. */
	for (i = 0; i < 1000; i++) {
		len = 1 + i * 7 % NEXUS_RINGTEST_CAPACITY;
		memset(buf, i, len);
		KUNIT_ASSERT_EQ(test, nexus_ringtest_send(file, buf, len), len);
		memset(buf, 0, sizeof(buf));
		if (len > 1)
			KUNIT_ASSERT_EQ(test, nexus_ringtest_recv(file, buf, len - 1), -EMSGSIZE);
		KUNIT_ASSERT_EQ(test, nexus_ringtest_recv(file, buf, sizeof(buf)), len);
		KUNIT_ASSERT_EQ(test, buf[0], (u8)i);
		KUNIT_ASSERT_EQ(test, buf[len - 1], (u8)i);
	}
	for (i = 0; i < NEXUS_RINGTEST_CAPACITY; i++)
		KUNIT_ASSERT_EQ(test, nexus_ringtest_send(file, &i, 1), 1);
	KUNIT_EXPECT_EQ(test, nexus_ringtest_send(file, &i, 1), -EAGAIN);
	/* They stay when everybody has closed it. */
	nexus_ringtest_close(rt, file);
	KUNIT_EXPECT_NOT_NULL(test, xa_load(&rt->zone->rings, 1000));
	KUNIT_ASSERT_EQ(test, nexus_ringtest_open(rt, file, FMODE_READ, O_NONBLOCK), 0);
	for (i = 0; i < NEXUS_RINGTEST_CAPACITY; i++) {
		KUNIT_ASSERT_EQ(test, nexus_ringtest_recv(file, buf, sizeof(buf)), 1);
		KUNIT_ASSERT_EQ(test, buf[0], (u8)i);
	}
	KUNIT_EXPECT_EQ(test, nexus_ringtest_recv(file, buf, 1), 0);
	nexus_ringtest_close(rt, file);
	KUNIT_EXPECT_NULL(test, xa_load(&rt->zone->rings, 1000));
	/* A capacity that nothing made is refused. */
	put_unaligned_le64(NEXUS_RING_CAPACITY_MAX + 1, rt->ni->target);
	KUNIT_EXPECT_EQ(test, nexus_ringtest_open(rt, file, FMODE_READ, O_NONBLOCK), -EUCLEAN);
}

static void nexus_ring_other_capacity(struct kunit *test)
{
	struct nexus_ringtest *rt = test->priv;
	struct file *file = kunit_kzalloc(test, sizeof(*file), GFP_KERNEL);
	struct nexus_ring *ring;
	u8 buf[300];
	int i;

	KUNIT_ASSERT_NOT_NULL(test, file);
	KUNIT_ASSERT_EQ(test, nexus_ringtest_open(rt, file, FMODE_READ | FMODE_WRITE,
						  O_RDWR | O_NONBLOCK), 0);
	ring = ((struct nexus_ring_file *)file->private_data)->ring;
	/* What waits lies across the end of the circle. */
	for (i = 0; i < (int)ring->size / 51 - 1; i++) {
		KUNIT_ASSERT_EQ(test, nexus_ringtest_send(file, buf, 50), 50);
		KUNIT_ASSERT_EQ(test, nexus_ringtest_recv(file, buf, 50), 50);
	}
	for (i = 1; i < 3; i++) {
		memset(buf, i, 50);
		KUNIT_ASSERT_EQ(test, nexus_ringtest_send(file, buf, 50), 50);
	}
	KUNIT_EXPECT_EQ(test, nexus_ring_resize(ring, 99), -EBUSY);
	KUNIT_EXPECT_EQ(test, ring->capacity, NEXUS_RINGTEST_CAPACITY);
	KUNIT_ASSERT_EQ(test, nexus_ring_resize(ring, 10000), 0);
	KUNIT_EXPECT_EQ(test, nexus_ringtest_send(file, buf, 300), 300);
	for (i = 1; i < 3; i++) {
		KUNIT_ASSERT_EQ(test, nexus_ringtest_recv(file, buf, 300), 50);
		KUNIT_EXPECT_EQ(test, buf[0], i);
		KUNIT_EXPECT_EQ(test, buf[49], i);
	}
	KUNIT_EXPECT_EQ(test, nexus_ringtest_recv(file, buf, 300), 300);
	KUNIT_ASSERT_EQ(test, nexus_ring_resize(ring, 1), 0);
	KUNIT_EXPECT_EQ(test, nexus_ringtest_send(file, buf, 2), -EMSGSIZE);
	KUNIT_EXPECT_EQ(test, nexus_ringtest_send(file, buf, 1), 1);
	KUNIT_EXPECT_EQ(test, nexus_ringtest_send(file, buf, 1), -EAGAIN);
	nexus_ringtest_close(rt, file);
}

/* ---- kthreads --------------------------------------------------------------------------- */

#define NEXUS_RINGTEST_SENDERS	3
#define NEXUS_RINGTEST_ROUNDS	1000

struct nexus_ringtest_thread {
	struct nexus_ringtest *rt;
	struct file *file;
	struct task_struct *task;
	int who;
	u32 last[NEXUS_RINGTEST_SENDERS];
	u8 buf[NEXUS_RINGTEST_CAPACITY];
};

static void nexus_ringtest_sender(struct nexus_ringtest_thread *th)
{
	u32 i, len;

	for (i = 1; i <= NEXUS_RINGTEST_ROUNDS; i++) {
		len = 5 + (i * 13 + th->who * 29) % (NEXUS_RINGTEST_CAPACITY - 4);
		memset(th->buf, i, len);
		th->buf[0] = th->who;
		put_unaligned_le32(i, th->buf + 1);
		if (nexus_ringtest_send(th->file, th->buf, len) != len)
			WRITE_ONCE(th->rt->wrong, __LINE__);
	}
}

static void nexus_ringtest_receiver(struct nexus_ringtest_thread *th)
{
	ssize_t len;
	u32 i;

	while ((len = nexus_ringtest_recv(th->file, th->buf, sizeof(th->buf))) > 0) {
		i = get_unaligned_le32(th->buf + 1);
		if (len < 5 || th->buf[0] >= NEXUS_RINGTEST_SENDERS ||
		    i <= th->last[th->buf[0]] ||
		    len != 5 + (i * 13 + th->buf[0] * 29) % (NEXUS_RINGTEST_CAPACITY - 4) ||
		    (len > 5 && th->buf[len - 1] != (u8)i)) {
			WRITE_ONCE(th->rt->wrong, __LINE__);
			continue;
		}
		th->last[th->buf[0]] = i;
		atomic_inc(&th->rt->received);
	}
	if (len < 0)
		WRITE_ONCE(th->rt->wrong, __LINE__);
}

static int nexus_ringtest_thread(void *arg)
{
	struct nexus_ringtest_thread *th = arg;

	if (th->who >= 0)
		nexus_ringtest_sender(th);
	else
		nexus_ringtest_receiver(th);
	nexus_ringtest_close(th->rt, th->file);
	if (atomic_dec_and_test(&th->rt->left))
		complete(&th->rt->over);
	return nexus_test_stay();
}

static void nexus_ring_threads(struct kunit *test)
{
	struct nexus_ringtest *rt = test->priv;
	struct nexus_ringtest_thread *th;
	int i, n = NEXUS_RINGTEST_SENDERS + 2, started = 0;

	th = kunit_kcalloc(test, n, sizeof(*th), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, th);
	for (i = 0; i < n; i++) {
		th[i].rt = rt;
		th[i].who = i < NEXUS_RINGTEST_SENDERS ? i : -1;
		th[i].file = kunit_kzalloc(test, sizeof(*th[i].file), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, th[i].file);
	}
	/* Receivers first, as nobody is to wait in open. */
	for (i = n - 1; i >= 0; i--) {
		KUNIT_ASSERT_EQ(test, nexus_ringtest_open(rt, th[i].file, th[i].who < 0 ?
							  FMODE_READ : FMODE_WRITE,
							  O_NONBLOCK), 0);
		th[i].file->f_flags = 0;
	}
	atomic_set(&rt->left, n);
	for (i = 0; i < n; i++) {
		th[i].task = kthread_run(nexus_ringtest_thread, &th[i], "nexus_ring/%d", i);
		if (!IS_ERR(th[i].task)) {
			started++;
			continue;
		}
		nexus_ringtest_close(rt, th[i].file);
		if (atomic_dec_and_test(&rt->left))
			complete(&rt->over);
	}
	wait_for_completion(&rt->over);
	for (i = 0; i < n; i++)
		if (!IS_ERR(th[i].task))
			kthread_stop(th[i].task);
	KUNIT_EXPECT_EQ(test, started, n);
	KUNIT_EXPECT_EQ(test, rt->wrong, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&rt->received),
			NEXUS_RINGTEST_SENDERS * NEXUS_RINGTEST_ROUNDS);
	KUNIT_EXPECT_NULL_MSG(test, xa_load(&rt->zone->rings, 1000), "all was received");
}

static struct kunit_case nexus_ring_cases[] = {
	KUNIT_CASE(nexus_ring_lengths),
	KUNIT_CASE(nexus_ring_spans),
	KUNIT_CASE(nexus_ring_credit),
	KUNIT_CASE(nexus_ring_credit_queue),
	KUNIT_CASE(nexus_ring_credit_broken),
	KUNIT_CASE(nexus_ring_messages),
	KUNIT_CASE(nexus_ring_other_capacity),
	KUNIT_CASE(nexus_ring_threads),
	{}
};

struct kunit_suite nexus_ring_suite = {
	.name = "nexus_ring",
	.init = nexus_ringtest_init,
	.exit = nexus_ringtest_exit,
	.test_cases = nexus_ring_cases,
};
