// SPDX-License-Identifier: GPL-2.0-only
/* O_DIRECT: reads and writes around the page cache, one at a time. */
#include "nx_direct.h"

#include <linux/stat.h>

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

/* How many pages of the open file are in the page cache. */
static long cached(int fd, size_t len)
{
	size_t pages = (len + BLOCK - 1) / BLOCK, i;
	unsigned char *vec = calloc(1, pages);
	void *map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	long n = -1;

	if (map != MAP_FAILED && !mincore(map, len, vec))
		for (n = 0, i = 0; i < pages; i++)
			n += vec[i] & 1;
	munmap(map, len);
	free(vec);
	return n;
}

TEST_F(dir, goes_around_the_cache)
{
	enum { SIZE = 64 * BLOCK };
	unsigned char *data = pattern(SIZE, 1), *buf = memory(SIZE);
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	ASSERT_EQ(SIZE, pwrite(fd, data, SIZE, 0));
	EXPECT_EQ(0, cached(fd, SIZE));
	ASSERT_EQ(SIZE, pread(fd, buf, SIZE, 0));
	EXPECT_EQ(0, memcmp(buf, data, SIZE));
	EXPECT_EQ(0, cached(fd, SIZE));
	OK(fsync(fd));
	OK(close(fd));
	nx_drop_caches();
	EXPECT_TRUE(is("f", data, SIZE));
	free(data);
	free(buf);
}

TEST_F(dir, what_statx_says)
{
	struct statx stx = {};
	struct stat st;
	int fd;

	OK(nx_put("f", "text"));
	OK((int)syscall(SYS_statx, AT_FDCWD, "f", 0, STATX_DIOALIGN, &stx));
	if (self->nexus) {
		ASSERT_TRUE(stx.stx_mask & STATX_DIOALIGN);
		EXPECT_EQ(BLOCK, stx.stx_dio_mem_align);
		EXPECT_EQ(BLOCK, stx.stx_dio_offset_align);
	}
	OK((int)syscall(SYS_statx, AT_FDCWD, ".", 0, STATX_DIOALIGN, &stx));
	EXPECT_FALSE(stx.stx_mask & STATX_DIOALIGN);
	/* On and off while it is open. */
	GET(fd, open("f", O_RDWR));
	OK(fcntl(fd, F_SETFL, O_DIRECT));
	EXPECT_TRUE(fcntl(fd, F_GETFL) & O_DIRECT);
	OK(fcntl(fd, F_SETFL, 0));
	EXPECT_EQ(1, pwrite(fd, "T", 1, 0));
	OK(close(fd));
	EXPECT_STREQ("Text", nx_get("f"));
	OK(stat("f", &st));
	EXPECT_EQ(4, st.st_size);
	if (self->nexus)
		FAILS(EINVAL, open("/mnt/nexus/__sys__/stats", O_RDONLY | O_DIRECT));
}

/* Blocks anywhere, in order and not, against a model. */
TEST_F(dir, blocks)
{
	enum { BLOCKS = 200 };
	unsigned char *model = memory(BLOCKS * BLOCK), *buf = memory(BLOCKS * BLOCK);
	size_t at, n, size = 0;
	int fd, i;

	nx_seed();
	memset(model, 0, BLOCKS * BLOCK);
	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	for (i = 0; i < 300; i++) {
		at = nx_below(BLOCKS);
		n = 1 + nx_below(nx_below(3) ? 4 : BLOCKS - at);
		if (at + n > BLOCKS)
			n = BLOCKS - at;
		if (nx_below(2)) {
			fill(model + at * BLOCK, n * BLOCK, i);
			memcpy(buf, model + at * BLOCK, n * BLOCK);
			ASSERT_EQ((ssize_t)(n * BLOCK), pwrite(fd, buf, n * BLOCK, at * BLOCK));
			if (at + n > size)
				size = at + n;
		} else {
			ssize_t want = at >= size ? 0 : at + n > size ? size - at : n;

			ASSERT_EQ(want * BLOCK, pread(fd, buf, n * BLOCK, at * BLOCK));
			ASSERT_EQ(0, memcmp(buf, model + at * BLOCK, want * BLOCK));
		}
	}
	OK(close(fd));
	EXPECT_TRUE(is("f", model, size * BLOCK));
	nx_drop_caches();
	EXPECT_TRUE(is("f", model, size * BLOCK));
	free(model);
	free(buf);
}

/* More than goes at once, in memory that is no whole page either. */
TEST_F(dir, large)
{
	enum { SIZE = 9 * MIB + 3 * BLOCK };
	unsigned char *data = pattern(SIZE, 3), *buf = memory(SIZE + BLOCK);
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	ASSERT_EQ(SIZE, pwrite(fd, data, SIZE, 0));
	ASSERT_EQ(SIZE, pread(fd, buf, SIZE, 0));
	EXPECT_EQ(0, memcmp(buf, data, SIZE));
	/* Memory that only a sector is aligned to. */
	ASSERT_EQ(SIZE, pread(fd, buf + 512, SIZE, 0));
	EXPECT_EQ(0, memcmp(buf + 512, data, SIZE));
	ASSERT_EQ(SIZE - BLOCK, pwrite(fd, buf + 512, SIZE - BLOCK, BLOCK));
	OK(close(fd));
	memmove(data + BLOCK, data, SIZE - BLOCK);
	fill(data, BLOCK, 3);
	EXPECT_TRUE(is("f", data, SIZE));
	free(data);
	free(buf);
}

TEST_F(dir, holes_and_the_end)
{
	unsigned char *data = pattern(4 * BLOCK, 4), *buf = memory(64 * BLOCK);
	struct stat st;
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	EXPECT_EQ(0, pread(fd, buf, BLOCK, 0));
	ASSERT_EQ(4 * BLOCK, pwrite(fd, data, 4 * BLOCK, 20 * BLOCK));
	OK(fstat(fd, &st));
	EXPECT_EQ(24 * BLOCK, st.st_size);
	EXPECT_EQ(4 * BLOCK / 512, st.st_blocks);
	memset(buf, 0xee, 64 * BLOCK);
	EXPECT_EQ(24 * BLOCK, pread(fd, buf, 64 * BLOCK, 0));
	EXPECT_TRUE(zeros(buf, 20 * BLOCK));
	EXPECT_EQ(0, memcmp(buf + 20 * BLOCK, data, 4 * BLOCK));
	EXPECT_EQ(0, pread(fd, buf, BLOCK, 24 * BLOCK));
	EXPECT_EQ(0, pread(fd, buf, BLOCK, 1ll << 40));
	EXPECT_EQ(0, pread(fd, buf, 0, 0));

	/* An end inside of a block: cut, then behind it. */
	OK(ftruncate(fd, 22 * BLOCK + 1000));
	memset(buf, 0xee, 64 * BLOCK);
	EXPECT_EQ(2 * BLOCK + 1000, pread(fd, buf, 8 * BLOCK, 20 * BLOCK));
	EXPECT_EQ(0, memcmp(buf, data, 2 * BLOCK + 1000));
	EXPECT_EQ(1000, pread(fd, buf, BLOCK, 22 * BLOCK));
	EXPECT_EQ(0, pread(fd, buf, BLOCK, 23 * BLOCK));
	OK(ftruncate(fd, 40 * BLOCK));
	EXPECT_EQ(18 * BLOCK, pread(fd, buf, 18 * BLOCK, 22 * BLOCK));
	EXPECT_EQ(0, memcmp(buf, data + 2 * BLOCK, 1000));
	EXPECT_TRUE(zeros(buf + 1000, 18 * BLOCK - 1000));
	ASSERT_EQ(BLOCK, pwrite(fd, data, BLOCK, 39 * BLOCK));
	OK(ftruncate(fd, 39 * BLOCK + 1));
	/* A write behind an end that is inside of a block. */
	ASSERT_EQ(BLOCK, pwrite(fd, data, BLOCK, 50 * BLOCK));
	EXPECT_EQ(12 * BLOCK, pread(fd, buf, 12 * BLOCK, 39 * BLOCK));
	EXPECT_EQ(data[0], buf[0]);
	EXPECT_TRUE(zeros(buf + 1, 11 * BLOCK - 1));
	EXPECT_EQ(0, memcmp(buf + 11 * BLOCK, data, BLOCK));
	/* Far away. */
	ASSERT_EQ(BLOCK, pwrite(fd, data, BLOCK, 1ll << 42));
	EXPECT_EQ(BLOCK, pread(fd, buf, 2 * BLOCK, 1ll << 42));
	EXPECT_EQ(0, memcmp(buf, data, BLOCK));
	OK(close(fd));
	free(data);
	free(buf);
}

/* Bytes behind the end that a mapping put there are no part of the file. */
TEST_F(dir, nothing_behind_the_end_comes_back)
{
	unsigned char *buf = memory(4 * BLOCK), *map;
	int fd;

	if (!self->nexus)
		SKIP(return, "they do, on ext4");
	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	OK(ftruncate(fd, 1000));
	map = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	memset(map, 'm', BLOCK);
	ASSERT_EQ(1000, pread(fd, buf, BLOCK, 0));
	memset(map + 1000, 'n', 100);
	memset(buf, 'd', BLOCK);
	ASSERT_EQ(BLOCK, pwrite(fd, buf, BLOCK, BLOCK));
	ASSERT_EQ(2 * BLOCK, pread(fd, buf, 4 * BLOCK, 0));
	EXPECT_EQ('m', buf[999]);
	EXPECT_TRUE(zeros(buf + 1000, BLOCK - 1000));
	EXPECT_EQ('d', buf[BLOCK]);
	EXPECT_TRUE(zeros(map + 1000, BLOCK - 1000));
	OK(munmap(map, BLOCK));
	OK(close(fd));
	free(buf);
}

/* Any offset, length and memory; where others refuse it, ours takes the long way. */
TEST_F(dir, unaligned)
{
	enum { SIZE = 40 * BLOCK };
	unsigned char *model = calloc(1, SIZE), *buf = memory(SIZE + BLOCK);
	size_t at, len, size = 0;
	int fd, i;

	if (!self->nexus)
		SKIP(return, "EINVAL elsewhere");
	nx_seed();
	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	for (i = 0; i < 400; i++) {
		size_t step = (size_t[]){ 1, 512, BLOCK }[nx_below(3)];
		unsigned char *mem = buf + nx_below(2) * nx_below(BLOCK);

		at = nx_below(SIZE / 2) / step * step;
		len = (1 + nx_below(nx_below(3) ? 3 * BLOCK : SIZE / 2)) / step * step;
		if (nx_below(2)) {
			ssize_t want = at >= size ? 0 : at + len > size ? size - at : len;

			ASSERT_EQ(want, pread(fd, mem, len, at));
			ASSERT_EQ(0, memcmp(mem, model + at, want));
			continue;
		}
		fill(mem, len, i);
		memcpy(model + at, mem, len);
		ASSERT_EQ((ssize_t)len, pwrite(fd, mem, len, at));
		if (len && at + len > size)
			size = at + len;
	}
	OK(close(fd));
	EXPECT_TRUE(is("f", model, size));
	nx_drop_caches();
	EXPECT_TRUE(is("f", model, size));
	free(model);
	free(buf);
}

TEST_F(dir, beside_buffered)
{
	enum { SIZE = 16 * BLOCK };
	unsigned char *data = pattern(SIZE, 5), *buf = memory(SIZE);
	int fd, plain;

	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	GET(plain, open("f", O_RDWR));
	/* Dirty in the cache, read around it. */
	ASSERT_EQ(SIZE, pwrite(plain, data, SIZE, 0));
	ASSERT_EQ(SIZE, pread(fd, buf, SIZE, 0));
	EXPECT_EQ(0, memcmp(buf, data, SIZE));
	/* Clean in the cache, written around it. */
	fill(data + 4 * BLOCK, 2 * BLOCK, 6);
	ASSERT_EQ(2 * BLOCK, pwrite(fd, data + 4 * BLOCK, 2 * BLOCK, 4 * BLOCK));
	ASSERT_EQ(SIZE, pread(plain, buf, SIZE, 0));
	EXPECT_EQ(0, memcmp(buf, data, SIZE));
	/* Dirty in the cache, written around it: what came last is there. */
	fill(buf, SIZE, 7);
	ASSERT_EQ(SIZE, pwrite(plain, buf, SIZE, 0));
	memcpy(data, buf, SIZE);
	fill(data + 8 * BLOCK, BLOCK, 8);
	ASSERT_EQ(BLOCK, pwrite(fd, data + 8 * BLOCK, BLOCK, 8 * BLOCK));
	ASSERT_EQ(SIZE, pread(plain, buf, SIZE, 0));
	EXPECT_EQ(0, memcmp(buf, data, SIZE));
	OK(fsync(plain));
	nx_drop_caches();
	ASSERT_EQ(SIZE, pread(plain, buf, SIZE, 0));
	EXPECT_EQ(0, memcmp(buf, data, SIZE));
	/* Part of a block through the cache, then all of it around. */
	ASSERT_EQ(3, pwrite(plain, "abc", 3, 8 * BLOCK + 100));
	memcpy(data + 8 * BLOCK + 100, "abc", 3);
	ASSERT_EQ(BLOCK, pread(fd, buf, BLOCK, 8 * BLOCK));
	EXPECT_EQ(0, memcmp(buf, data + 8 * BLOCK, BLOCK));
	OK(close(plain));
	OK(close(fd));
	EXPECT_TRUE(is("f", data, SIZE));
	free(data);
	free(buf);
}

TEST_F(dir, beside_mappings)
{
	enum { SIZE = 16 * BLOCK };
	unsigned char *data = pattern(SIZE, 9), *buf = memory(SIZE), *map, *own;
	int fd, i;

	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	ASSERT_EQ(SIZE, pwrite(fd, data, SIZE, 0));
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	own = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_NE(MAP_FAILED, own);
	for (i = 0; i < 50; i++) {
		size_t at = i * 5 % 16 * BLOCK;

		own[at] = i;
		/* Stored, and read around it. */
		map[at + 7] = data[at + 7] = i;
		ASSERT_EQ(SIZE, pread(fd, buf, SIZE, 0));
		ASSERT_EQ(0, memcmp(buf, data, SIZE));
		/* Stored, written around it, seen through the mapping. */
		map[at + 8] = 0xaa;
		fill(data + at, BLOCK, i);
		ASSERT_EQ(BLOCK, pwrite(fd, data + at, BLOCK, at));
		ASSERT_EQ(0, memcmp(map, data, SIZE));
		/* A private copy is the process's. */
		ASSERT_EQ(i, own[at]);
	}
	OK(munmap(map, SIZE));
	OK(munmap(own, SIZE));
	OK(close(fd));
	nx_drop_caches();
	EXPECT_TRUE(is("f", data, SIZE));
	free(data);
	free(buf);
}

/* The memory is a mapping of the very file. */
TEST_F(dir, from_and_to_itself)
{
	enum { SIZE = 16 * BLOCK };
	unsigned char *data = pattern(SIZE, 10), *map;
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	ASSERT_EQ(SIZE, pwrite(fd, data, SIZE, 0));
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	/* One part onto another, and a block onto itself. */
	ASSERT_EQ(4 * BLOCK, pwrite(fd, map, 4 * BLOCK, 8 * BLOCK));
	memcpy(data + 8 * BLOCK, data, 4 * BLOCK);
	EXPECT_EQ(0, memcmp(map, data, SIZE));
	ASSERT_EQ(BLOCK, pwrite(fd, map, BLOCK, 0));
	EXPECT_EQ(0, memcmp(map, data, SIZE));
	ASSERT_EQ(4 * BLOCK, pread(fd, map, 4 * BLOCK, 4 * BLOCK));
	memcpy(data, data + 4 * BLOCK, 4 * BLOCK);
	EXPECT_EQ(0, memcmp(map, data, SIZE));
	ASSERT_EQ(BLOCK, pread(fd, map, BLOCK, 0));
	EXPECT_EQ(0, memcmp(map, data, SIZE));
	OK(msync(map, SIZE, MS_SYNC));
	OK(munmap(map, SIZE));
	OK(close(fd));
	nx_drop_caches();
	EXPECT_TRUE(is("f", data, SIZE));
	free(data);
}

TEST_F(dir, memory_that_is_not_there)
{
	enum { SIZE = 16 * BLOCK };
	unsigned char *data = pattern(SIZE, 11), *buf;
	ssize_t n;
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	ASSERT_EQ(SIZE, pwrite(fd, data, SIZE, 0));
	buf = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, buf);
	memset(buf, 'b', SIZE);
	/* From the sixth block on. */
	OK(mprotect(buf + 5 * BLOCK, SIZE - 5 * BLOCK, PROT_NONE));
	n = pwrite(fd, buf, SIZE, 0);
	EXPECT_TRUE(n == 5 * BLOCK || (n == -1 && errno == EFAULT));
	/* What it says is there is there, the rest is as it was. */
	if (n > 0)
		memset(data, 'b', n);
	OK(mprotect(buf, SIZE, PROT_READ | PROT_WRITE));
	if (n < 0) {
		ASSERT_EQ(5 * BLOCK, pwrite(fd, data, 5 * BLOCK, 0));
	}
	EXPECT_TRUE(is("f", data, SIZE));
	OK(mprotect(buf + 5 * BLOCK, SIZE - 5 * BLOCK, PROT_NONE));
	n = pread(fd, buf, SIZE, 0);
	EXPECT_TRUE(n == 5 * BLOCK || (n == -1 && errno == EFAULT));
	if (n > 0)
		EXPECT_EQ(0, memcmp(buf, data, n));
	FAILS(EFAULT, (int)pread(fd, buf + 5 * BLOCK, BLOCK, 0));
	FAILS(EFAULT, (int)pwrite(fd, buf + 5 * BLOCK, BLOCK, 0));
	FAILS(EFAULT, (int)pwrite(fd, (void *)BLOCK, BLOCK, 0));
	/* Memory that may only be read. */
	OK(mprotect(buf, SIZE, PROT_READ));
	FAILS(EFAULT, (int)pread(fd, buf, BLOCK, 0));
	EXPECT_TRUE(is("f", data, SIZE));
	OK(munmap(buf, SIZE));
	OK(close(fd));
	free(data);
}

TEST_F(dir, vectors)
{
	enum { SIZE = 12 * BLOCK };
	unsigned char *data = pattern(SIZE, 12), *buf = memory(SIZE);
	struct iovec out[] = {
		{ data, BLOCK }, { data + BLOCK, 6 * BLOCK }, { data, 0 },
		{ data + 7 * BLOCK, 5 * BLOCK },
	};
	struct iovec in[] = {
		{ buf, 3 * BLOCK }, { buf + 3 * BLOCK, 8 * BLOCK },
		{ buf + 11 * BLOCK, BLOCK },
	};
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	ASSERT_EQ(SIZE, writev(fd, out, 4));
	EXPECT_EQ(SIZE, lseek(fd, 0, SEEK_CUR));
	OK(lseek(fd, 0, SEEK_SET));
	ASSERT_EQ(SIZE, readv(fd, in, 3));
	EXPECT_EQ(0, memcmp(buf, data, SIZE));
	EXPECT_EQ(0, readv(fd, in, 3));
	OK(close(fd));
	EXPECT_TRUE(is("f", data, SIZE));
	free(data);
	free(buf);
}

/* A block out of very many pieces, of odd sizes and across pages. */
TEST_F(dir, vectors_of_crumbs)
{
	enum { PIECES = 1000, SIZE = 2 * BLOCK };
	unsigned char *data = pattern(SIZE, 31), *crumbs = malloc(PIECES * 4099);
	struct iovec iov[PIECES];
	size_t at = 0, n;
	int fd, i;

	for (i = 0; i < PIECES; i++, at += n) {
		n = i == PIECES - 1 ? SIZE - at : 1 + (i * 7) % 15;
		iov[i] = (struct iovec){ crumbs + i * 4099, n };
		memcpy(iov[i].iov_base, data + at, n);
	}
	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	ASSERT_EQ(SIZE, writev(fd, iov, PIECES));
	OK(close(fd));
	nx_drop_caches();
	EXPECT_TRUE(is("f", data, SIZE));
	free(data);
	free(crumbs);
}

TEST_F(dir, append_sync_and_limits)
{
	unsigned char *data = pattern(8 * BLOCK, 13);
	struct rlimit limit = { 4 * BLOCK, RLIM_INFINITY }, old;
	int fd;

	GET(fd, open("f", O_WRONLY | O_CREAT | O_DIRECT | O_APPEND | O_DSYNC, 0644));
	ASSERT_EQ(BLOCK, pwrite(fd, data, BLOCK, 0));
	ASSERT_EQ(BLOCK, pwrite(fd, data + BLOCK, BLOCK, 0));
	ASSERT_EQ(BLOCK, write(fd, data + 2 * BLOCK, BLOCK));
	OK(getrlimit(RLIMIT_FSIZE, &old));
	signal(SIGXFSZ, SIG_IGN);
	OK(setrlimit(RLIMIT_FSIZE, &limit));
	EXPECT_EQ(BLOCK, write(fd, data + 3 * BLOCK, 2 * BLOCK));
	FAILS(EFBIG, (int)write(fd, data, BLOCK));
	OK(setrlimit(RLIMIT_FSIZE, &old));
	OK(close(fd));
	EXPECT_TRUE(is("f", data, 4 * BLOCK));
	GET(fd, open("f", O_RDONLY | O_DIRECT));
	FAILS(EBADF, (int)pwrite(fd, data, BLOCK, 0));
	FAILS(EINVAL, (int)pread(fd, data, BLOCK, -BLOCK));
	OK(close(fd));
	free(data);
}

static void strip(void *arg)
{
	void *data = pattern(BLOCK, 14);
	struct stat st;
	int fd = open("f", O_RDWR | O_DIRECT);

	HOLDS(fd >= 0);
	HOLDS(pwrite(fd, data, BLOCK, 0) == BLOCK);
	HOLDS(pwrite(fd, data, BLOCK, 0) == BLOCK);
	HOLDS(!fchmod(fd, 04755) && !fstat(fd, &st) && st.st_mode & S_ISUID);
	HOLDS(pwrite(fd, data, BLOCK, 0) == BLOCK);
	HOLDS(!fstat(fd, &st) && !(st.st_mode & S_ISUID));
}

TEST_F(dir, set_user_id_goes)
{
	struct stat st, later;
	void *data = pattern(BLOCK, 15);
	int fd;

	if (!self->root)
		SKIP(return, "needs root");
	OK(nx_put("f", ""));
	OK(chown("f", 65534, 65534));
	OK(chmod("f", 0644));
	OK(chmod(".", 0777));
	ASSERT_EQ(0, nx_as_nobody(strip, NULL));
	/* And times move on. */
	OK(stat("f", &st));
	usleep(20000);
	GET(fd, open("f", O_WRONLY | O_DIRECT));
	ASSERT_EQ(BLOCK, pwrite(fd, data, BLOCK, 0));
	OK(close(fd));
	OK(stat("f", &later));
	EXPECT_TRUE(st.st_mtim.tv_sec != later.st_mtim.tv_sec ||
		    st.st_mtim.tv_nsec != later.st_mtim.tv_nsec);
	nx_drop_caches();
	OK(stat("f", &st));
	EXPECT_EQ(st.st_mtim.tv_sec, later.st_mtim.tv_sec);
	EXPECT_EQ(st.st_mtim.tv_nsec, later.st_mtim.tv_nsec);
	free(data);
}

TEST_F(dir, without_waiting)
{
	unsigned char *data = pattern(4 * BLOCK, 16), *buf = memory(4 * BLOCK);
	struct iovec iov = { buf, 4 * BLOCK };
	ssize_t n;
	int fd, plain;

	GET(fd, open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	ASSERT_EQ(4 * BLOCK, pwrite(fd, data, 4 * BLOCK, 0));
	n = preadv2(fd, &iov, 1, 0, RWF_NOWAIT);
	EXPECT_TRUE(n == 4 * BLOCK || (n == -1 && errno == EAGAIN));
	iov.iov_base = data;
	n = pwritev2(fd, &iov, 1, 0, RWF_NOWAIT);
	EXPECT_TRUE(n == 4 * BLOCK || (n == -1 && errno == EAGAIN));
	iov.iov_base = buf;
	/* What is cached takes no waiting; what is not may come at the second try. */
	GET(plain, open("f", O_RDONLY));
	ASSERT_EQ(4 * BLOCK, pread(plain, buf, 4 * BLOCK, 0));
	memset(buf, 0, 4 * BLOCK);
	ASSERT_EQ(4 * BLOCK, preadv2(plain, &iov, 1, 0, RWF_NOWAIT));
	EXPECT_EQ(0, memcmp(buf, data, 4 * BLOCK));
	OK(posix_fadvise(plain, 0, 0, POSIX_FADV_DONTNEED));
	n = preadv2(plain, &iov, 1, 0, RWF_NOWAIT);
	EXPECT_TRUE(n >= 0 || errno == EAGAIN);
	OK(close(plain));
	OK(close(fd));
	free(data);
	free(buf);
}

TEST_HARNESS_MAIN
