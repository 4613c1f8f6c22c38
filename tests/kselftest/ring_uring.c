// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rings by io_uring: what waits does so without a thread of io_uring's own (named
 * iou-wrk-*), and batches are commands.
 */
#include "nx_ring.h"
#include "nx_uring.h"

enum { MANY = 32 };

static void prepare_command(struct io_uring *u, int fd, unsigned int cmd, struct nexus_ring_batch *b)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(u);
	__u64 addr = (uintptr_t)b;

	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
	sqe->cmd_op = cmd;
	memcpy(sqe->cmd, &addr, sizeof(addr));
	sqe->user_data = 100;
}

TEST_F(dir, waits_without_workers)
{
	static char buf[MANY][16], big[4096];
	struct io_uring_sqe *sqe;
	struct io_uring u;
	int fd[2], i, res;

	if (io_uring_queue_init(2 * MANY, &u, 0))
		SKIP(return, "no io_uring");
	OK(ring_make("ring", sizeof(big)));
	OK(ring_ends("ring", fd, 0));
	/* Many reads wait; each gets a message of its own. */
	for (i = 0; i < MANY; i++) {
		sqe = io_uring_get_sqe(&u);
		io_uring_prep_read(sqe, fd[0], buf[i], sizeof(buf[i]), 0);
		sqe->user_data = i;
	}
	ASSERT_EQ(MANY, io_uring_submit(&u));
	ASSERT_TRUE(nothing_completed(&u));
	ASSERT_EQ(0, nx_workers());
	for (i = 0; i < MANY; i++) {
		int who;

		ASSERT_EQ(i % 9 + 1, write(fd[1], "123456789", i % 9 + 1));
		who = completed(&u, &res);
		ASSERT_GE(who, 0);
		ASSERT_EQ(i % 9 + 1, res);
		ASSERT_EQ('0' + res, buf[who][res - 1]);
		ASSERT_TRUE(nothing_completed(&u));
	}
	ASSERT_EQ(0, nx_workers());

	/* A write that waits for the bytes it needs. */
	ASSERT_EQ(4000, write(fd[1], big, 4000));
	ASSERT_EQ(90, write(fd[1], big, 90));
	sqe = io_uring_get_sqe(&u);
	io_uring_prep_write(sqe, fd[1], big, 4007, 0);
	sqe->user_data = 7;
	ASSERT_EQ(1, io_uring_submit(&u));
	ASSERT_TRUE(nothing_completed(&u));
	ASSERT_EQ(4000, read(fd[0], big, sizeof(big)));
	ASSERT_TRUE(nothing_completed(&u));
	ASSERT_EQ(90, read(fd[0], big, sizeof(big)));
	ASSERT_EQ(7, completed(&u, &res));
	ASSERT_EQ(4007, res);
	ASSERT_EQ(4007, read(fd[0], big, sizeof(big)));

	/* Poll, and the end. */
	sqe = io_uring_get_sqe(&u);
	io_uring_prep_poll_add(sqe, fd[0], POLLIN);
	sqe->user_data = 8;
	ASSERT_EQ(1, io_uring_submit(&u));
	ASSERT_TRUE(nothing_completed(&u));
	ASSERT_EQ(1, write(fd[1], "x", 1));
	ASSERT_EQ(8, completed(&u, &res));
	ASSERT_EQ(POLLIN, res & POLLIN);
	ASSERT_EQ(1, read(fd[0], big, sizeof(big)));
	sqe = io_uring_get_sqe(&u);
	io_uring_prep_read(sqe, fd[0], big, sizeof(big), 0);
	sqe->user_data = 9;
	ASSERT_EQ(1, io_uring_submit(&u));
	ASSERT_TRUE(nothing_completed(&u));
	close(fd[1]);
	ASSERT_EQ(9, completed(&u, &res));
	ASSERT_EQ(0, res);
	ASSERT_EQ(0, nx_workers());
	io_uring_queue_exit(&u);
}

TEST_F(dir, batches_are_commands)
{
	__u32 lens[3] = { 3, 4, 5 }, got[8];
	struct nexus_ring_batch s, r;
	char buf[64];
	struct io_uring u;
	int fd[2], res;

	if (io_uring_queue_init(8, &u, 0))
		SKIP(return, "no io_uring");
	OK(ring_make("ring", 4096));
	OK(ring_ends("ring", fd, 0));
	s = (struct nexus_ring_batch){ .buf = (uintptr_t)"onetwo!three", .lens = (uintptr_t)lens, .count = 3 };
	r = (struct nexus_ring_batch){ .buf = (uintptr_t)buf, .lens = (uintptr_t)got, .count = 8,
		.bytes = sizeof(buf), .flags = NEXUS_RING_DONTWAIT };
	prepare_command(&u, fd[0], NEXUS_IOC_RING_RECV, &r);
	ASSERT_EQ(1, io_uring_submit(&u));
	ASSERT_EQ(100, completed(&u, &res));
	ASSERT_EQ(-EAGAIN, res);
	prepare_command(&u, fd[1], NEXUS_IOC_RING_SEND, &s);
	ASSERT_EQ(1, io_uring_submit(&u));
	ASSERT_EQ(100, completed(&u, &res));
	ASSERT_EQ(0, res);
	ASSERT_EQ(3, s.done);
	ASSERT_EQ(12, s.bytes);
	prepare_command(&u, fd[0], NEXUS_IOC_RING_RECV, &r);
	ASSERT_EQ(1, io_uring_submit(&u));
	ASSERT_EQ(100, completed(&u, &res));
	ASSERT_EQ(0, res);
	ASSERT_EQ(3, r.done);
	ASSERT_EQ(12, r.bytes);
	ASSERT_EQ(0, memcmp(buf, "onetwo!three", 12));
	ASSERT_EQ(0, memcmp(got, lens, sizeof(lens)));
	ASSERT_EQ(0, nx_workers());
	/* One that waits for a message, by a worker; and what is no command. */
	r.flags = 0;
	r.bytes = sizeof(buf);
	prepare_command(&u, fd[0], NEXUS_IOC_RING_RECV, &r);
	ASSERT_EQ(1, io_uring_submit(&u));
	ASSERT_TRUE(nothing_completed(&u));
	ASSERT_EQ(4, write(fd[1], "late", 4));
	ASSERT_EQ(100, completed(&u, &res));
	ASSERT_EQ(0, res);
	ASSERT_EQ(1, r.done);
	ASSERT_EQ(0, memcmp(buf, "late", 4));
	prepare_command(&u, fd[0], NEXUS_IOC_RING_STAT, &r);
	ASSERT_EQ(1, io_uring_submit(&u));
	ASSERT_EQ(100, completed(&u, &res));
	ASSERT_TRUE(res == -ENOTTY || res == -EOPNOTSUPP);
	prepare_command(&u, fd[1], NEXUS_IOC_RING_RECV, &r);
	ASSERT_EQ(1, io_uring_submit(&u));
	ASSERT_EQ(100, completed(&u, &res));
	ASSERT_EQ(-EBADF, res);
	io_uring_queue_exit(&u);
}

TEST_HARNESS_MAIN
