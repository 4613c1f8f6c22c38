// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_uring: which operations are done, or waited for, without a thread of io_uring's own
 * (they are threads of this process, named iou-wrk-*), and that all of them are right.
 */
#include "nx.h"

#include <liburing.h>

enum { BLOCK = 4096, BLOCKS = 2048, READS = 64 };

/* Worker threads of this process. */
static int workers(void)
{
	char path[300];
	struct dirent *e;
	DIR *dir = opendir("/proc/self/task");
	int n = 0;

	while (dir && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		n += !strncmp(nx_get(path), "iou-wrk-", 8);
	}
	if (dir)
		closedir(dir);
	return n;
}

static int make_file(const char *path)
{
	unsigned int *block = malloc(BLOCK);
	int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600), i, k;

	for (i = 0; i < BLOCKS && fd >= 0; i++) {
		for (k = 0; k < BLOCK / 4; k++)
			block[k] = i;
		if (write(fd, block, BLOCK) != BLOCK)
			return -1;
	}
	free(block);
	if (fsync(fd))
		return -1;
	return fd;
}

/* Reads at @READS random blocks, all at once; 0 when all have what they should. */
static int read_all(struct io_uring *ring, int fd, char *buf)
{
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	unsigned int at[READS];
	int i, bad = 0;

	for (i = 0; i < READS; i++) {
		at[i] = nx_below(BLOCKS);
		sqe = io_uring_get_sqe(ring);
		io_uring_prep_read(sqe, fd, buf + i * BLOCK, BLOCK, (off_t)at[i] * BLOCK);
		sqe->user_data = i;
	}
	if (io_uring_submit(ring) != READS)
		return -1;
	for (i = 0; i < READS; i++) {
		if (io_uring_wait_cqe(ring, &cqe))
			return -1;
		bad += cqe->res != BLOCK ||
		       *(unsigned int *)(buf + cqe->user_data * BLOCK) != at[cqe->user_data];
		io_uring_cqe_seen(ring, cqe);
	}
	return bad;
}

TEST_F(dir, buffered_reads)
{
	struct io_uring ring;
	char *buf, c;
	int fd, i;

	nx_seed();
	ASSERT_EQ(0, posix_memalign((void **)&buf, BLOCK, READS * BLOCK));
	if (io_uring_queue_init(READS, &ring, 0))
		SKIP(return, "no io_uring");
	GET(fd, make_file("file"));
	/* Cached. */
	ASSERT_EQ(0, read_all(&ring, fd, buf));
	ASSERT_EQ(0, workers());
	/* On disk, and known where. */
	for (i = 0; i < 4; i++) {
		nx_drop_some("1");
		ASSERT_EQ(1, pread(fd, &c, 1, 0));
		ASSERT_EQ(0, read_all(&ring, fd, buf));
		ASSERT_EQ(0, workers());
	}
	/* Nothing known: whoever has to wait for the index does so elsewhere. */
	close(fd);
	nx_drop_caches();
	GET(fd, open("file", O_RDONLY));
	ASSERT_EQ(0, read_all(&ring, fd, buf));
	close(fd);
	io_uring_queue_exit(&ring);
	free(buf);
}

/* Reads, writes, syncs, names and attributes mixed, each with its result. */
TEST_F(dir, everything_else)
{
	enum { OPS = 10 };
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	char text[8] = "";
	struct statx stx;
	int fd, i, res[OPS];

	if (io_uring_queue_init(OPS, &ring, 0))
		SKIP(return, "no io_uring");
	GET(fd, open("file", O_CREAT | O_RDWR, 0600));
	io_uring_prep_write(io_uring_get_sqe(&ring), fd, "text", 4, 0);
	io_uring_prep_fsync(io_uring_get_sqe(&ring), fd, 0);
	io_uring_prep_read(io_uring_get_sqe(&ring), fd, text, sizeof(text), 0);
	io_uring_prep_fallocate(io_uring_get_sqe(&ring), fd, 0, 0, 16384);
	io_uring_prep_statx(io_uring_get_sqe(&ring), AT_FDCWD, "file", 0, STATX_SIZE, &stx);
	io_uring_prep_mkdirat(io_uring_get_sqe(&ring), AT_FDCWD, "dir", 0755);
	io_uring_prep_linkat(io_uring_get_sqe(&ring), AT_FDCWD, "file", AT_FDCWD, "dir/hard", 0);
	io_uring_prep_renameat(io_uring_get_sqe(&ring), AT_FDCWD, "file", AT_FDCWD, "moved", 0);
	io_uring_prep_unlinkat(io_uring_get_sqe(&ring), AT_FDCWD, "moved", 0);
	io_uring_prep_openat(io_uring_get_sqe(&ring), AT_FDCWD, "dir/hard", O_RDONLY, 0);
	for (i = 0; i < OPS; i++) {
		ring.sq.sqes[i].user_data = i;
		if (i < OPS - 1)
			ring.sq.sqes[i].flags |= IOSQE_IO_HARDLINK;
	}
	ASSERT_EQ(OPS, io_uring_submit(&ring));
	for (i = 0; i < OPS; i++) {
		OK(io_uring_wait_cqe(&ring, &cqe));
		res[cqe->user_data] = cqe->res;
		io_uring_cqe_seen(&ring, cqe);
	}
	ASSERT_EQ(4, res[0]);
	ASSERT_EQ(0, res[1]);
	ASSERT_EQ(4, res[2]);
	ASSERT_EQ(0, memcmp(text, "text", 5));
	for (i = 3; i < 9; i++)
		ASSERT_EQ(0, res[i]);
	ASSERT_EQ(16384, stx.stx_size);
	ASSERT_LE(0, res[9]);
	close(res[9]);
	close(fd);
	io_uring_queue_exit(&ring);
}

TEST_HARNESS_MAIN
