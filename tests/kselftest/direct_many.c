// SPDX-License-Identifier: GPL-2.0-only
/* O_DIRECT by many at once: io_submit, io_uring, processes, and what races with it. */
#include "nx_direct.h"

#include <liburing.h>
#include <linux/aio_abi.h>
#include <pthread.h>

#include "nx_mount.h"

TEST_F(dir, by_io_submit)
{
	enum { N = 64 };
	unsigned char *data = pattern(N * BLOCK, 17), *buf = memory(N * BLOCK);
	struct iocb cb[N], *list[N];
	struct io_event event[N];
	aio_context_t ctx = 0;
	int fd, i, round, got;

	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	OK((int)syscall(SYS_io_setup, N, &ctx));
	for (round = 0; round < 3; round++) {
		/* Growing, then inside, then read. */
		for (i = 0; i < N; i++) {
			unsigned char *mem = round == 2 ? buf : data;

			memset(&cb[i], 0, sizeof(cb[i]));
			cb[i].aio_fildes = fd;
			cb[i].aio_lio_opcode = round == 2 ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE;
			cb[i].aio_buf = (uintptr_t)(mem + i * BLOCK);
			cb[i].aio_nbytes = BLOCK;
			cb[i].aio_offset = (i * 7 % N) * BLOCK;
			list[i] = &cb[i];
		}
		for (i = 0; i < N; i += got)
			GET(got, (int)syscall(SYS_io_submit, ctx, N - i, list + i));
		for (i = 0; i < N; i += got)
			GET(got, (int)syscall(SYS_io_getevents, ctx, 1, N, event + i, NULL));
		for (i = 0; i < N; i++)
			EXPECT_EQ(BLOCK, event[i].res);
	}
	EXPECT_EQ(0, memcmp(buf, data, N * BLOCK));
	OK((int)syscall(SYS_io_destroy, ctx));
	OK(close(fd));
	free(data);
	free(buf);
}

TEST_F(dir, by_io_uring)
{
	enum { N = 64 };
	unsigned char *data = pattern(N * BLOCK, 18), *buf = memory(N * BLOCK);
	struct iovec iov = { buf, N * BLOCK };
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	int fd, i, round, err;

	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	err = io_uring_queue_init(N, &ring, 0);
	if (err)
		SKIP(return, "no io_uring: %s", strerror(-err));
	ASSERT_EQ(0, io_uring_register_buffers(&ring, &iov, 1));
	for (round = 0; round < 4; round++) {
		memset(buf, 0, round < 2 ? 0 : N * BLOCK);
		for (i = 0; i < N; i++) {
			size_t at = i * 5 % N * BLOCK;

			sqe = io_uring_get_sqe(&ring);
			if (round < 2)
				io_uring_prep_write(sqe, fd, data + at, BLOCK, at);
			else if (round == 2)
				io_uring_prep_read(sqe, fd, buf + at, BLOCK, at);
			else
				io_uring_prep_read_fixed(sqe, fd, buf + at, BLOCK, at, 0);
		}
		ASSERT_EQ(N, io_uring_submit(&ring));
		for (i = 0; i < N; i++) {
			ASSERT_EQ(0, io_uring_wait_cqe(&ring, &cqe));
			EXPECT_EQ(BLOCK, cqe->res);
			io_uring_cqe_seen(&ring, cqe);
		}
		if (round >= 2)
			EXPECT_EQ(0, memcmp(buf, data, N * BLOCK));
	}
	io_uring_queue_exit(&ring);
	OK(close(fd));
	EXPECT_TRUE(is("f", data, N * BLOCK));
	free(data);
	free(buf);
}

/* Each writes blocks of its own, inside of the file, all at the same time. */
TEST_F(dir, by_processes)
{
	enum { PROCS = 4, BLOCKS = 128 };
	unsigned char *data = memory(BLOCKS * BLOCK);
	int fd, proc, i;

	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	OK(ftruncate(fd, BLOCKS * BLOCK));
	for (proc = 0; proc < PROCS; proc++) {
		if (fork())
			continue;
		for (i = 0; i < 2 * BLOCKS; i++) {
			size_t at = (size_t)((i * 7 + 1) % (BLOCKS / PROCS) * PROCS + proc) * BLOCK;

			fill(data, BLOCK, at / BLOCK + i / BLOCKS);
			HOLDS(pwrite(fd, data, BLOCK, at) == BLOCK);
			HOLDS(pread(fd, data + BLOCK, BLOCK, at) == BLOCK);
			HOLDS(!memcmp(data, data + BLOCK, BLOCK));
		}
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
	OK(close(fd));
	for (i = 0; i < BLOCKS; i++)
		fill(data + i * BLOCK, BLOCK, i + 1);
	EXPECT_TRUE(is("f", data, BLOCKS * BLOCK));
	free(data);
}

/* All write the same blocks: each is one writer's, whole, wherever one looks. */
TEST_F(dir, one_block_many_writers)
{
	enum { PROCS = 3, BLOCKS = 8 };
	unsigned char *data = memory(BLOCKS * BLOCK), *buf = memory(BLOCKS * BLOCK);
	int fd, proc, i, b;

	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	OK(ftruncate(fd, BLOCKS * BLOCK));
	for (proc = 0; proc <= PROCS; proc++) {
		if (fork())
			continue;
		nx_srand(proc + 1);
		for (i = 0; i < 150; i++) {
			size_t n = 1 + nx_below(BLOCKS), at = nx_below(BLOCKS - n + 1);

			if (proc < PROCS) {
				memset(data, proc * 50 + i % 50 + 1, n * BLOCK);
				HOLDS(pwrite(fd, data, n * BLOCK, at * BLOCK) ==
				      (ssize_t)(n * BLOCK));
				continue;
			}
			HOLDS(pread(fd, data, n * BLOCK, at * BLOCK) == (ssize_t)(n * BLOCK));
			for (b = 0; b < (int)n; b++)
				HOLDS(!memcmp(data + b * BLOCK, data + b * BLOCK + 1, BLOCK - 1));
		}
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
	ASSERT_EQ(BLOCKS * BLOCK, pread(fd, data, BLOCKS * BLOCK, 0));
	for (b = 0; b < BLOCKS; b++)
		EXPECT_EQ(0, memcmp(data + b * BLOCK, data + b * BLOCK + 1, BLOCK - 1));
	OK(close(fd));
	EXPECT_TRUE(is("f", data, BLOCKS * BLOCK));
	free(data);
	free(buf);
}

/* Stores through a mapping, buffered and direct writes at once; then all agree. */
TEST_F(dir, everything_at_once)
{
	enum { BLOCKS = 16, SIZE = BLOCKS * BLOCK };
	unsigned char *data = pattern(SIZE, 19), *map, *buf = memory(SIZE);
	int fd, plain, proc, i;

	if (!self->nexus)
		SKIP(return, "fails with EIO on ext4, which says why in the kernel's log");
	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	GET(plain, open("f", O_RDWR));
	ASSERT_EQ(SIZE, pwrite(fd, data, SIZE, 0));
	for (proc = 0; proc < 4; proc++) {
		if (fork())
			continue;
		nx_srand(proc + 7);
		map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		HOLDS(map != MAP_FAILED);
		for (i = 0; i < 300; i++) {
			size_t at = nx_below(BLOCKS) * BLOCK, off = nx_below(BLOCK - 8);

			if (proc == 0) {
				HOLDS(pwrite(fd, data, BLOCK, at) == BLOCK);
			} else if (proc == 1) {
				map[at + off] = i;
				if (i % 32 == 0)
					HOLDS(!msync(map, SIZE, MS_SYNC));
			} else if (proc == 2) {
				HOLDS(pwrite(plain, "12345678", 8, at + off) == 8);
			} else {
				HOLDS(pread(fd, buf, SIZE, 0) == SIZE);
			}
		}
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
	ASSERT_EQ(SIZE, pread(plain, data, SIZE, 0));
	EXPECT_TRUE(is("f", data, SIZE));
	OK(fsync(fd));
	nx_drop_caches();
	EXPECT_TRUE(is("f", data, SIZE));
	OK(close(plain));
	OK(close(fd));
	free(data);
	free(buf);
}

/*
 * What is cut off is not seen again: block n holds n or zeros, and a block that
 * was cut and not written since is zeros.
 */
TEST_F(dir, while_truncated)
{
	enum { BLOCKS = 32, SIZE = BLOCKS * BLOCK };
	unsigned char *data = memory(SIZE), *buf = memory(SIZE);
	int fd, proc, i, b;
	ssize_t n, at;

	for (b = 0; b < BLOCKS; b++)
		memset(data + b * BLOCK, b + 1, BLOCK);
	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	for (proc = 0; proc < 3; proc++) {
		if (fork())
			continue;
		nx_srand(proc + 20);
		for (i = 0; i < 200; i++) {
			b = nx_below(BLOCKS);
			if (proc == 0) {
				HOLDS(!ftruncate(fd, b * BLOCK + nx_below(2) * 100));
				HOLDS(!ftruncate(fd, SIZE));
				HOLDS(pread(fd, buf, BLOCK, SIZE - BLOCK) == BLOCK);
			} else if (proc == 1) {
				HOLDS(pwrite(fd, data + b * BLOCK, SIZE - b * BLOCK, b * BLOCK) > 0);
			} else {
				n = pread(fd, buf, SIZE, 0);
				HOLDS(n >= 0);
				for (at = 0; at < n; at++)
					HOLDS(!buf[at] || buf[at] == at / BLOCK + 1);
			}
		}
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
	OK(ftruncate(fd, 3 * BLOCK));
	OK(ftruncate(fd, SIZE));
	ASSERT_EQ(SIZE, pread(fd, buf, SIZE, 0));
	EXPECT_TRUE(zeros(buf + 3 * BLOCK, SIZE - 3 * BLOCK));
	OK(close(fd));
	free(data);
	free(buf);
}

struct scribbler {
	unsigned char *buf;
	size_t len;
	bool stop;
};

static void *scribble(void *arg)
{
	struct scribbler *s = arg;
	unsigned int i = 0;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED))
		s->buf[(i += 4099) % s->len]++;
	return NULL;
}

/*
 * Memory that changes while it is written: some of both is there, and its
 * checksums are those of what is there; memory that changes while it is read is
 * no wrong checksum.
 * Scenario A18.
 */
TEST_F(dir, memory_that_changes)
{
	enum { SIZE = 64 * BLOCK };
	struct scribbler s = { .buf = pattern(SIZE, 21), .len = SIZE };
	unsigned char *buf = memory(SIZE);
	pthread_t thread;
	int fd, i;

	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	ASSERT_EQ(0, pthread_create(&thread, NULL, scribble, &s));
	for (i = 0; i < 12; i++)
		ASSERT_EQ(SIZE, pwrite(fd, s.buf, SIZE, i % 4 * SIZE));
	if (self->nexus && self->root)
		OK(nx_remount(nx_base(), "verify=always"));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(SIZE, pread(fd, buf, SIZE, i * SIZE));
		EXPECT_EQ(SIZE, pread(fd, s.buf, SIZE, i * SIZE));
	}
	if (self->nexus && self->root)
		OK(nx_remount(nx_base(), "verify=remote"));
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	OK(close(fd));
	free(s.buf);
	free(buf);
}

TEST_HARNESS_MAIN
