// SPDX-License-Identifier: GPL-2.0-only
/* Streams by io_uring: a read is one record, and has no thread while it waits. */
#include "nx_stream.h"
#include "nx_uring.h"

/* A read at @offset; -1: the file's own. */
static int read_at(struct io_uring *u, int fd, char *buf, unsigned int len, int64_t offset)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(u);

	io_uring_prep_read(sqe, fd, buf, len, (uint64_t)offset);
	sqe->user_data = 1;
	return io_uring_submit(u);
}

TEST_F(dir, waits_without_workers)
{
	struct io_uring_sqe *sqe;
	struct io_uring u;
	char buf[100];
	int fd, out, i, res;

	if (io_uring_queue_init(8, &u, 0))
		SKIP(return, "no io_uring");
	OK(stream_make("s", 65536, 0));
	GET(fd, open("s", O_RDONLY));
	GET(out, open("s", O_WRONLY));
	/* Without being asked to, it does not wait. */
	ASSERT_EQ(1, read_at(&u, fd, buf, sizeof(buf), -1));
	ASSERT_EQ(1, completed(&u, &res));
	ASSERT_EQ(0, res);
	OK(stream_wait(fd));
	for (i = 1; i < 20; i++) {
		ASSERT_EQ(1, read_at(&u, fd, buf, sizeof(buf), -1));
		ASSERT_TRUE(nothing_completed(&u));
		if (i == 1)
			ASSERT_EQ(0, nx_workers());
		ASSERT_EQ(i, write(out, "12345678901234567890", i));
		ASSERT_EQ(1, completed(&u, &res));
		ASSERT_EQ(i, res);
	}
	/* Writes append, wherever they say. */
	for (i = 0; i < 5; i++) {
		sqe = io_uring_get_sqe(&u);
		io_uring_prep_write(sqe, out, "abcdef", 2 + i, i * 1000);
		sqe->user_data = 2;
		ASSERT_EQ(1, io_uring_submit(&u));
		ASSERT_EQ(2, completed(&u, &res));
		ASSERT_EQ(2 + i, res);
		ASSERT_EQ(2 + i, read(fd, buf, sizeof(buf)));
	}
	/* One record, whatever there is behind it and room for. */
	ASSERT_EQ(1, read_at(&u, fd, buf, sizeof(buf), 0));
	ASSERT_EQ(1, completed(&u, &res));
	ASSERT_EQ(1, res);
	ASSERT_EQ(1, read_at(&u, fd, buf, sizeof(buf), 24 + 16 + 1));
	ASSERT_EQ(1, completed(&u, &res));
	ASSERT_EQ(2, res);
	/* One that still waits goes with the ring. */
	ASSERT_EQ(1, read_at(&u, fd, buf, sizeof(buf), -1));
	ASSERT_TRUE(nothing_completed(&u));
	io_uring_queue_exit(&u);
	close(out);
	close(fd);
}

TEST_F(dir, what_persists)
{
	struct io_uring_sqe *sqe;
	struct io_uring u;
	char buf[100];
	int fd, i, res;

	if (io_uring_queue_init(8, &u, 0))
		SKIP(return, "no io_uring");
	OK(stream_make("s", 65536, NEXUS_STREAM_PERSIST));
	GET(fd, open("s", O_RDWR));
	OK(stream_wait(fd));
	for (i = 1; i < 20; i++) {
		ASSERT_EQ(1, read_at(&u, fd, buf, sizeof(buf), -1));
		ASSERT_TRUE(nothing_completed(&u));
		sqe = io_uring_get_sqe(&u);
		io_uring_prep_write(sqe, fd, "12345678901234567890", i, 0);
		sqe->user_data = 1;
		ASSERT_EQ(1, io_uring_submit(&u));
		ASSERT_EQ(1, completed(&u, &res));
		ASSERT_EQ(i, res);
		ASSERT_EQ(1, completed(&u, &res));
		ASSERT_EQ(i, res);
	}
	io_uring_queue_exit(&u);
	close(fd);
}

TEST_HARNESS_MAIN
