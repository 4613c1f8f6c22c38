// SPDX-License-Identifier: GPL-2.0-only
/*
 * O_DIRECT beside others: reads make way for whoever waits for all of them, nobody sees
 * zeros that nobody wrote, and a write says that it failed only if it did.
 */
#include "nx_direct.h"

#include <liburing.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

enum { BLOCKS = 64, DEPTH = 32, MOST = 32, READERS = 4, SECONDS = 4 };

/* A child that ends with the test, and by itself. */
static pid_t child(void)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(100);
	}
	return pid;
}

/* Gone, by the signal and not before. */
static bool stopped(pid_t pid)
{
	int status;

	return !waitpid(pid, &status, WNOHANG) && !kill(pid, SIGKILL) &&
	       waitpid(pid, &status, 0) == pid && WIFSIGNALED(status);
}

static bool submit(struct io_uring *ring, int fd, char *buf, bool write, int i, off_t at)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe)
		return false;
	if (write)
		io_uring_prep_write(sqe, fd, buf + i * MOST * BLOCK, BLOCK, at);
	else
		io_uring_prep_read(sqe, fd, buf + i * MOST * BLOCK, MOST * BLOCK, at);
	sqe->user_data = i;
	return io_uring_submit(ring) == 1;
}

/*
 * DEPTH blocks of the file are being written at any time, or stretches of up to MOST
 * read; each result is as it must be.
 */
static int keep_busy(int fd, bool write, int tell)
{
	char *buf = memory(DEPTH * MOST * BLOCK);
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	int i, n;

	if (io_uring_queue_init(DEPTH, &ring, 0))
		return 1;
	memset(buf, 'd', DEPTH * MOST * BLOCK);
	for (i = 0; i < DEPTH; i++)
		if (!submit(&ring, fd, buf, write, i, (off_t)i * BLOCK))
			return 2;
	for (n = 0;; n++) {
		if (n == 4 * DEPTH && tell >= 0)
			close(tell);
		if (io_uring_wait_cqe(&ring, &cqe))
			return 3;
		i = cqe->user_data;
		/* It may be shorter for a while. */
		if (write ? cqe->res != BLOCK : cqe->res < 0)
			return 4;
		io_uring_cqe_seen(&ring, cqe);
		if (!submit(&ring, fd, buf, write, i, (off_t)nx_below(BLOCKS) * BLOCK))
			return 5;
	}
}

/* A file of BLOCKS blocks of it, on disk. */
static int make(const char *name, char what, int flags)
{
	int fd = open(name, O_RDWR | O_CREAT, 0600), i;
	char *buf = memory(BLOCKS * BLOCK);

	for (i = 0; i < BLOCKS * BLOCK; i++)
		buf[i] = what;
	if (fd < 0 || (flags && ioctl(fd, FS_IOC_SETFLAGS, &flags)) ||
	    pwrite(fd, buf, BLOCKS * BLOCK, 0) != BLOCKS * BLOCK || fsync(fd))
		return -1;
	free(buf);
	return fd;
}

/* Some are always under way: whoever needs that none is does not wait for ever. */
TEST_F_TIMEOUT(dir, reads_make_way, 120)
{
	struct {
		struct file_dedupe_range range;
		struct file_dedupe_range_info info;
	} same = {
		.range = { .src_length = 4 * BLOCK, .dest_count = 1 },
		.info = { .dest_offset = 4 * BLOCK },
	};
	int fd, direct, to, tell[2], i;
	pid_t pid[READERS];
	char c;

	GET(fd, make("f", 'x', 0));
	GET(to, make("to", 'x', 0));
	GET(direct, open("f", O_RDONLY | O_DIRECT));
	OK(pipe(tell));
	for (i = 0; i < READERS; i++) {
		pid[i] = child();
		if (!pid[i]) {
			close(tell[0]);
			_exit(keep_busy(direct, false, tell[1]));
		}
	}
	close(tell[1]);
	ASSERT_EQ(0, read(tell[0], &c, 1));
	for (i = 0; i < 20; i++) {
		OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, i * BLOCK, BLOCK));
		OK(fallocate(fd, 0, 0, (BLOCKS + 8) * BLOCK));
		OK(ftruncate(fd, (BLOCKS - 2) * BLOCK - 100));
		OK(ftruncate(fd, BLOCKS * BLOCK));
		if (self->nexus) {
			OK(ioctl(fd, FICLONE, to));
			same.info.dest_fd = fd;
			OK(ioctl(fd, FIDEDUPERANGE, &same));
			ASSERT_EQ(4 * BLOCK, same.info.bytes_deduped);
		}
	}
	for (i = 0; i < READERS; i++)
		ASSERT_TRUE(stopped(pid[i]));
	close(tell[0]);
	close(direct);
	close(to);
	close(fd);
}

static int append(int fd)
{
	char text[1000];

	memset(text, 'a', sizeof(text));
	while (write(fd, text, sizeof(text)) == sizeof(text))
		if (lseek(fd, 0, SEEK_CUR) > 64 * MIB)
			usleep(1000);
	return 1;
}

/* What is added is not there yet, or it is; it is never zeros. */
TEST_F(dir, appended)
{
	char *buf = memory(4 * MIB);
	time_t end = time(NULL) + SECONDS;
	int fd, direct, rounds = 0;
	struct stat st;
	ssize_t n;
	pid_t pid;

	GET(fd, make("f", 'x', 0));
	GET(direct, open("f", O_RDONLY | O_DIRECT));
	ASSERT_EQ(BLOCKS * BLOCK, lseek(fd, 0, SEEK_END));
	pid = child();
	if (!pid)
		_exit(append(fd));
	for (; time(NULL) < end; rounds++) {
		OK(fstat(direct, &st));
		n = pread(direct, buf, 4 * MIB, st.st_size / (2 * BLOCK) * BLOCK);
		ASSERT_LE(0, n);
		ASSERT_EQ(NULL, memchr(buf, 0, n));
	}
	ASSERT_TRUE(stopped(pid));
	ASSERT_LT(10, rounds);
	free(buf);
	close(direct);
	close(fd);
}

static int write_much(int fd)
{
	char *buf = memory(16 * BLOCK);

	memset(buf, 'b', 16 * BLOCK);
	for (;;) {
		size_t len = nx_below(2) ? 16 * BLOCK : 100;
		off_t at = nx_below(BLOCKS / 16) * 16 * BLOCK;

		if (len == 100)
			at += nx_below(16 * BLOCK - 100);
		if (pwrite(fd, buf, len, at) != (ssize_t)len)
			return 1;
	}
}

static void beside_writes(struct __test_metadata *_metadata, int flags)
{
	time_t end = time(NULL) + SECONDS;
	char *buf = memory(BLOCKS * BLOCK);
	int fd, direct, rounds = 0;
	pid_t pid[2];

	nx_seed();
	fd = make("f", 'x', flags);
	if (fd < 0 && flags)
		SKIP(return, "no nodatacow");
	ASSERT_LE(0, fd);
	GET(direct, open("f", O_RDWR | O_DIRECT));
	pid[0] = child();
	if (!pid[0])
		_exit(keep_busy(direct, true, -1));
	pid[1] = child();
	if (!pid[1])
		_exit(write_much(fd));
	for (; time(NULL) < end; rounds++) {
		ASSERT_EQ(BLOCKS * BLOCK, pread(fd, buf, BLOCKS * BLOCK, 0));
		ASSERT_EQ(NULL, memchr(buf, 0, BLOCKS * BLOCK));
	}
	ASSERT_TRUE(stopped(pid[1]));
	ASSERT_TRUE(stopped(pid[0]));
	ASSERT_LT(10, rounds);
	OK(fsync(fd));
	OK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	ASSERT_EQ(BLOCKS * BLOCK, pread(direct, buf, BLOCKS * BLOCK, 0));
	ASSERT_EQ(NULL, memchr(buf, 0, BLOCKS * BLOCK));
	free(buf);
	close(direct);
	close(fd);
}

/* Writes that are not waited for, and such through the page cache, of the same blocks. */
TEST_F(dir, buffered_writes)
{
	beside_writes(_metadata, 0);
}

TEST_F(dir, buffered_writes_nodatacow)
{
	beside_writes(_metadata, FS_NOCOW_FL);
}

/* Stores behind the end are gone once the page is on disk, however little was written. */
TEST_F(dir, stored_behind_the_end)
{
	char *map, *buf = memory(BLOCK);
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT, 0600));
	memset(buf, 'x', BLOCK);
	ASSERT_EQ(3000, pwrite(fd, buf, 3000, 0));
	map = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	map[100] = 'y';
	map[3500] = 'y';
	OK(msync(map, BLOCK, MS_SYNC));
	EXPECT_EQ('y', map[100]);
	EXPECT_EQ(0, map[3500]);
	OK(munmap(map, BLOCK));
	free(buf);
	close(fd);
}

TEST_HARNESS_MAIN
