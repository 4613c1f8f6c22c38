// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_uring: which operations are done, or waited for, without a thread of io_uring's own
 * (they are threads of this process, named iou-wrk-*), and that all of them are right.
 */
#include "nx.h"
#include "nx_stats.h"

#include <liburing.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { BLOCK = 4096, BLOCKS = 2048, READS = 64 };

static void fill(void *mem, unsigned int value)
{
	unsigned int *word = mem, k;

	for (k = 0; k < BLOCK / sizeof(*word); k++)
		word[k] = value;
}

/* What all of a block's words are; ~0: not all are the same. */
static unsigned int filled(const void *mem)
{
	const unsigned int *word = mem;
	unsigned int k;

	for (k = 1; k < BLOCK / sizeof(*word); k++)
		if (word[k] != word[0])
			return ~0u;
	return word[0];
}

static int make_file(const char *path)
{
	unsigned int *block = malloc(BLOCK);
	int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600), i;

	for (i = 0; i < BLOCKS && fd >= 0; i++) {
		fill(block, i);
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
	ASSERT_EQ(0, nx_workers());
	/* On disk, and known where. */
	for (i = 0; i < 4; i++) {
		nx_drop_some("1");
		ASSERT_EQ(1, pread(fd, &c, 1, 0));
		ASSERT_EQ(0, read_all(&ring, fd, buf));
		ASSERT_EQ(0, nx_workers());
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

/* Writes @READS different blocks, each with @add more than its number, all at once. */
static int write_all(struct io_uring *ring, int fd, char *buf, unsigned int add)
{
	unsigned int at, step = 1 + 2 * nx_below(BLOCKS / READS / 2);
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	int i, bad = 0;

	for (i = 0; i < READS; i++) {
		at = i * step;
		fill(buf + i * BLOCK, at + add);
		sqe = io_uring_get_sqe(ring);
		io_uring_prep_write(sqe, fd, buf + i * BLOCK, BLOCK, (off_t)at * BLOCK);
	}
	if (io_uring_submit(ring) != READS)
		return -1;
	for (i = 0; i < READS; i++) {
		if (io_uring_wait_cqe(ring, &cqe))
			return -1;
		bad += cqe->res != BLOCK;
		io_uring_cqe_seen(ring, cqe);
	}
	for (i = 0; i < READS; i++)
		bad += pread(fd, buf, BLOCK, (off_t)i * step * BLOCK) != BLOCK ||
		       filled(buf) != i * step + add;
	return bad;
}

/* One read or write of @len bytes: its result. */
static int one(struct io_uring *ring, int fd, void *buf, unsigned int len, off_t at, bool write)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int res;

	if (write)
		io_uring_prep_write(sqe, fd, buf, len, at);
	else
		io_uring_prep_read(sqe, fd, buf, len, at);
	if (io_uring_submit(ring) != 1 || io_uring_wait_cqe(ring, &cqe))
		return -EIO;
	res = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return res;
}

/* Around the page cache nothing takes a worker but what there is no room for yet. */
TEST_F(dir, direct)
{
	struct io_uring ring;
	int fd, i;
	char *buf;

	nx_seed();
	ASSERT_EQ(0, posix_memalign((void **)&buf, BLOCK, BLOCKS * BLOCK));
	if (io_uring_queue_init(READS, &ring, 0))
		SKIP(return, "no io_uring");
	GET(fd, make_file("file"));
	close(fd);
	GET(fd, open("file", O_RDWR | O_DIRECT));
	ASSERT_EQ(BLOCK, pread(fd, buf, BLOCK, 0));
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, read_all(&ring, fd, buf));
	ASSERT_EQ(0, nx_workers());
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, write_all(&ring, fd, buf, 0));
		ASSERT_EQ(0, read_all(&ring, fd, buf));
	}
	/* All of it at once, and back. */
	for (i = 0; i < BLOCKS; i++)
		fill(buf + i * BLOCK, i + 9);
	ASSERT_EQ(BLOCKS * BLOCK, one(&ring, fd, buf, BLOCKS * BLOCK, 0, true));
	memset(buf, 0, BLOCKS * BLOCK);
	ASSERT_EQ(BLOCKS * BLOCK, one(&ring, fd, buf, BLOCKS * BLOCK, 0, false));
	for (i = 0; i < BLOCKS; i++)
		ASSERT_EQ(i + 9, filled(buf + i * BLOCK));
	for (i = 0; i < BLOCKS; i++)
		fill(buf + i * BLOCK, i);
	ASSERT_EQ(BLOCKS * BLOCK, one(&ring, fd, buf, BLOCKS * BLOCK, 0, true));
	/* ext4 takes one now and then. */
	if (self->nexus)
		ASSERT_EQ(0, nx_workers());
	/* Over the end, and what is written behind it. */
	for (i = 0; i < READS; i++)
		fill(buf + i * BLOCK, 3);
	ASSERT_EQ(READS / 2 * BLOCK, one(&ring, fd, buf, READS * BLOCK,
					 (off_t)(BLOCKS - READS / 2) * BLOCK, false));
	ASSERT_EQ(BLOCKS - 1, filled(buf + (READS / 2 - 1) * BLOCK));
	ASSERT_EQ(3, filled(buf + READS / 2 * BLOCK));
	ASSERT_EQ(BLOCK, one(&ring, fd, buf, BLOCK, (off_t)BLOCKS * BLOCK, true));
	close(fd);
	io_uring_queue_exit(&ring);
	free(buf);
}

/* O_DSYNC, O_SYNC and nodatacow, by themselves and together: without a worker, and as they should be. */
TEST_F(dir, direct_durable_and_in_place)
{
	static const struct {
		int open, flag;
	} how[] = {
		{ O_DSYNC, 0 },
		{ O_SYNC, 0 },
		{ 0, FS_NOCOW_FL },
		{ O_DSYNC, FS_NOCOW_FL },
		/* Times that no record of blocks carries may take a worker. */
		{ O_SYNC, FS_NOCOW_FL },
	};
	struct nx_stats before, after;
	struct io_uring ring;
	unsigned int k;
	int fd, i;
	char *buf;

	nx_seed();
	ASSERT_EQ(0, posix_memalign((void **)&buf, BLOCK, READS * BLOCK));
	if (io_uring_queue_init(READS, &ring, 0))
		SKIP(return, "no io_uring");
	for (k = 0; k < ARRAY_SIZE(how); k++) {
		GET(fd, open("file", O_CREAT | O_RDWR, 0600));
		if (how[k].flag && ioctl(fd, FS_IOC_SETFLAGS, &how[k].flag))
			break;
		close(fd);
		GET(fd, make_file("file"));
		close(fd);
		GET(fd, open("file", O_RDWR | O_DIRECT | how[k].open));
		ASSERT_EQ(BLOCK, pread(fd, buf, BLOCK, 0));
		ASSERT_TRUE(!self->nexus || nx_stats_read(&before));
		for (i = 0; i < 4; i++) {
			ASSERT_EQ(0, write_all(&ring, fd, buf, 0));
			ASSERT_EQ(0, read_all(&ring, fd, buf));
		}
		ASSERT_EQ(0, write_all(&ring, fd, buf, 7));
		if (self->nexus) {
			ASSERT_TRUE(nx_stats_read(&after));
			if (how[k].open != O_SYNC || !how[k].flag)
				ASSERT_EQ(0, nx_workers());
			EXPECT_EQ(how[k].open ? 5 * READS : 0, nx_grew(&before, &after, "fsyncs"));
			EXPECT_EQ(how[k].flag ? 5 * READS : 0,
				  nx_grew(&before, &after, "pack_write_inplace_blocks"));
			nx_stats_free(&before);
			nx_stats_free(&after);
		}
		close(fd);
		OK(unlink("file"));
	}
	io_uring_queue_exit(&ring);
	free(buf);
}

/* Makes @n direct reads or writes of random places, and does not look at the results. */
static int start_some(struct io_uring *ring, int fd, char *buf, int n, int salt)
{
	struct io_uring_sqe *sqe;
	int i, len;

	for (i = 0; i < n; i++) {
		off_t at = (off_t)nx_below(READS) * BLOCK;

		len = 1 + nx_below(n - i);
		sqe = io_uring_get_sqe(ring);
		if (!sqe)
			break;
		if (nx_below(3)) {
			memset(buf + i * BLOCK, 1 + (salt + i) % 250, len * BLOCK);
			io_uring_prep_write(sqe, fd, buf + i * BLOCK, len * BLOCK, at);
		} else {
			io_uring_prep_read(sqe, fd, buf + (READS + i) * BLOCK, len * BLOCK, at);
		}
	}
	return io_uring_submit(ring) == i ? i : -1;
}

/* What takes blocks away, shares or promises them, while others are written. */
static int disturb(int fd, int plain, int other, char *buf)
{
	off_t at = (off_t)nx_below(READS) * BLOCK, to = (off_t)nx_below(READS) * BLOCK;
	struct {
		struct file_dedupe_range range;
		struct file_dedupe_range_info info;
	} same = {
		.range = { .src_offset = at, .src_length = 4 * BLOCK, .dest_count = 1 },
		.info = { .dest_fd = plain, .dest_offset = to },
	};
	int from = nx_below(2) ? plain : other;
	struct file_clone_range clone = { from, at, 4 * BLOCK, to };
	void *map;

	switch (nx_below(14)) {
	case 0:
		return ftruncate(plain, at + nx_below(2 * BLOCK));
	case 1:
		return ftruncate(plain, READS * BLOCK);
	case 2:
		return fallocate(plain, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, 3 * BLOCK);
	case 3:
		return fallocate(plain, 0, at, 2 * BLOCK);
	case 4:
		/* The two overlap, or it is beyond the end. */
		return ioctl(plain, FICLONERANGE, &clone) && errno != EINVAL &&
		       errno != EOPNOTSUPP ? -1 : 0;
	case 5 ... 10:
		return ioctl(from, FIDEDUPERANGE, &same) && errno != EINVAL &&
		       errno != EOPNOTSUPP ? -1 : 0;
	case 11:
		memset(buf, 251, BLOCK);
		return pwrite(plain, buf, BLOCK, at) == BLOCK ? 0 : -1;
	case 12:
		map = mmap(NULL, READS * BLOCK, PROT_READ, MAP_SHARED, plain, 0);
		if (map == MAP_FAILED || madvise(map, READS * BLOCK, MADV_WILLNEED))
			return -1;
		return munmap(map, READS * BLOCK);
	default:
		return nx_below(2) ? fdatasync(fd) : fsync(plain);
	}
}

/* @seconds of it; processes end in the middle of what they have started. */
static int beside(int proc, int seconds)
{
	time_t end = time(NULL) + seconds;
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	int fd, plain, other, n, round;
	char *buf;

	nx_srand(nx_below(1000000) + proc);
	fd = open("file", O_RDWR | O_DIRECT | (proc / 2 % 2 ? O_DSYNC : 0));
	plain = open("file", O_RDWR);
	other = open("other", O_RDWR);
	if (fd < 0 || plain < 0 || other < 0 || posix_memalign((void **)&buf, BLOCK, 2 * READS * BLOCK) ||
	    io_uring_queue_init(READS, &ring, 0))
		return 1;
	for (round = 0; time(NULL) < end; round++) {
		if (proc % 2) {
			if (disturb(fd, plain, other, buf))
				return 2;
			continue;
		}
		n = start_some(&ring, fd, buf, 1 + nx_below(16), round);
		if (n < 0)
			return 3;
		for (; n; n--) {
			if (io_uring_wait_cqe(&ring, &cqe))
				return 4;
			if (cqe->res < 0)
				return 5;
			io_uring_cqe_seen(&ring, cqe);
		}
	}
	/* With all of it in flight. */
	return start_some(&ring, fd, buf, 16, round) < 0;
}

/* One writer's, as far as it was not cut off. */
static bool of_one(const char *block)
{
	int n = BLOCK, i;

	while (n && !block[n - 1])
		n--;
	for (i = 1; i < n; i++)
		if (block[i] != block[0])
			return false;
	return true;
}

FIXTURE(mixed)
{
	char path[256];
};

FIXTURE_VARIANT(mixed)
{
	int flag;
};

FIXTURE_VARIANT_ADD(mixed, plain)
{
};

FIXTURE_VARIANT_ADD(mixed, nodatacow)
{
	.flag = FS_NOCOW_FL,
};

FIXTURE_SETUP(mixed)
{
	snprintf(self->path, sizeof(self->path), "%s/uring.XXXXXX", nx_base());
	ASSERT_NE(NULL, mkdtemp(self->path));
	OK(chdir(self->path));
}

FIXTURE_TEARDOWN(mixed)
{
	EXPECT_EQ(0, chdir("/"));
	EXPECT_EQ(0, nx_rm(self->path));
}

/* Every block is one writer's, whole, or nothing, and nobody waits for ever. */
TEST_F(mixed, direct_beside_all_else)
{
	enum { PROCS = 4 };
	const char *seconds = getenv("NEXUS_SECONDS");
	char *buf = malloc(BLOCK);
	unsigned int proc;
	struct stat st;
	int fd, other;
	off_t at;

	nx_seed();
	GET(fd, open("file", O_RDWR | O_CREAT, 0600));
	if (variant->flag && ioctl(fd, FS_IOC_SETFLAGS, &variant->flag))
		SKIP(return, "no nodatacow");
	OK(ftruncate(fd, READS * BLOCK));
	memset(buf, 252, BLOCK);
	GET(other, open("other", O_WRONLY | O_CREAT, 0600));
	for (at = 0; at < READS * BLOCK; at += BLOCK)
		ASSERT_EQ(BLOCK, pwrite(other, buf, BLOCK, at));
	close(other);
	for (proc = 0; proc < PROCS; proc++)
		if (!fork())
			_exit(beside(proc, seconds && *seconds ? atoi(seconds) : 4));
	ASSERT_EQ(0, nx_reap());
	nx_drop_caches();
	OK(fstat(fd, &st));
	for (at = 0; at + BLOCK <= st.st_size; at += BLOCK) {
		ASSERT_EQ(BLOCK, pread(fd, buf, BLOCK, at));
		ASSERT_TRUE(of_one(buf));
	}
	close(fd);
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
