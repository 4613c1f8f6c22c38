// SPDX-License-Identifier: GPL-2.0-only
/* Reading and writing, against a model in memory and at the edges. */
#include "nx.h"

#include <sys/sendfile.h>
#include <sys/swap.h>

static unsigned char *pattern(size_t len, unsigned int seed)
{
	unsigned char *p = malloc(len ? len : 1);
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (i * 7 + i / 251 + seed * 13 + 1) & 0xff;
	return p;
}

/* Random writes, reads, truncations and caches dropped, one file, one model. */
TEST_F(dir, against_a_model)
{
	enum { MAX = 1 << 20 };
	unsigned char *model = calloc(1, MAX), *buf = malloc(MAX);
	size_t size = 0;
	int fd, i;

	nx_seed();
	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	for (i = 0; i < 1500; i++) {
		size_t at = nx_below(nx_below(4) ? MAX / 8 : MAX - 1);
		size_t len = nx_below(nx_below(4) ? 5000 : 100000), j;
		struct stat st;
		ssize_t n;

		if (at + len > MAX)
			len = MAX - at;
		switch (nx_below(10)) {
		case 0 ... 3:
			for (j = 0; j < len; j++)
				buf[j] = nx_rand();
			ASSERT_EQ(len, pwrite(fd, buf, len, at));
			memcpy(model + at, buf, len);
			if (len && at + len > size)
				size = at + len;
			break;
		case 4 ... 7:
			n = pread(fd, buf, len, at);
			ASSERT_EQ(at >= size ? 0 : at + len > size ? size - at : len, n);
			ASSERT_EQ(0, memcmp(buf, model + at, n)) {
				TH_LOG("step %d: %zd bytes at %zu differ", i, n, at);
			}
			break;
		case 8:
			OK(ftruncate(fd, at));
			if (at < size)
				memset(model + at, 0, size - at);
			size = at;
			break;
		default:
			if (nx_below(4))
				OK(fsync(fd));
			else if (i % 5 == 0)
				nx_drop_caches();
			OK(fstat(fd, &st));
			ASSERT_EQ(size, st.st_size);
		}
	}
	OK(close(fd));
	nx_drop_caches();
	GET(fd, open("f", O_RDONLY));
	ASSERT_EQ(size, read(fd, buf, MAX));
	ASSERT_EQ(0, memcmp(buf, model, size));
	OK(close(fd));
	free(model);
	free(buf);
}

TEST_F(dir, holes_are_zeros)
{
	unsigned char buf[20000], zero[20000] = {};
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	EXPECT_EQ(1, pwrite(fd, "x", 1, 1000000));
	EXPECT_EQ(1, pwrite(fd, "y", 1, 500000));
	nx_drop_caches();
	EXPECT_EQ(20000, pread(fd, buf, 20000, 0));
	EXPECT_EQ(0, memcmp(buf, zero, 20000));
	EXPECT_EQ(20000, pread(fd, buf, 20000, 500001));
	EXPECT_EQ(0, memcmp(buf, zero, 20000));
	EXPECT_EQ(2, pread(fd, buf, 2, 499999));
	EXPECT_EQ(0, buf[0]);
	EXPECT_EQ('y', buf[1]);
	EXPECT_EQ(1, pread(fd, buf, 100, 1000000));
	EXPECT_EQ('x', buf[0]);
	OK(close(fd));
}

TEST_F(dir, far_offsets)
{
	static const off_t far[] = {
		1ll << 31, (1ll << 32) - 1, 1ll << 33, (1ll << 40) - 2, 1ll << 43,
	};
	struct stat st;
	char c[4];
	size_t i;
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	for (i = 0; i < N_ELEMS(far); i++) {
		if (far[i] >= 1ll << 43 && !self->nexus)
			break;
		EXPECT_EQ(3, pwrite(fd, "abc", 3, far[i])) {
			TH_LOG("%lld: %s", (long long)far[i], strerror(errno));
		}
		OK(fstat(fd, &st));
		EXPECT_EQ(far[i] + 3, st.st_size);
	}
	nx_drop_caches();
	while (i--) {
		EXPECT_EQ(3, pread(fd, c, 3, far[i]));
		EXPECT_EQ(0, memcmp(c, "abc", 3));
		EXPECT_EQ(3, pread(fd, c, 3, far[i] - 3));
		EXPECT_EQ(0, memcmp(c, "\0\0\0", 3));
	}
	OK(fstat(fd, &st));
	EXPECT_GE(4096, st.st_blocks);
	OK(ftruncate(fd, 0));
	OK(close(fd));
}

/* The largest size there is, and one more. */
TEST_F(dir, the_end_of_all_files)
{
	off_t end = INT64_MAX;
	struct stat st;
	char c = 0;
	int fd;

	if (!self->nexus)
		SKIP(return, "ext4 ends earlier");
	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	OK(ftruncate(fd, end));
	OK(fstat(fd, &st));
	EXPECT_EQ(end, st.st_size);
	EXPECT_EQ(1, pwrite(fd, "x", 1, end - 1));
	/* Off the scale of offsets, and off the scale of files. */
	FAILS(EINVAL, (int)pwrite(fd, "x", 1, end));
	FAILS(EINVAL, (int)pwrite(fd, "yz", 2, end - 1));
	EXPECT_EQ(1, pwrite(fd, "y", 1, end - 1));
	OK(fsync(fd));
	nx_drop_caches();
	EXPECT_EQ(1, pread(fd, &c, 1, end - 1));
	EXPECT_EQ('y', c);
	/* The VFS itself: offset and count together leave the scale. */
	FAILS(EINVAL, (int)pread(fd, &c, 1, end));
	FAILS(EINVAL, ftruncate(fd, -1));
	FAILS(EINVAL, (int)pread(fd, &c, 1, -1));
	OK(close(fd));
}

/* What was cut off must not come back when the file grows again. */
TEST_F(dir, truncated_bytes_are_gone)
{
	static const int cuts[] = { 0, 1, 100, 4095, 4096, 4097, 8191, 10000 };
	unsigned char *data = pattern(20000, 1), buf[20000];
	size_t i, j;
	int fd, round;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < N_ELEMS(cuts); i++) {
			GET(fd, open("f", O_RDWR | O_CREAT | O_TRUNC, 0644));
			EXPECT_EQ(20000, write(fd, data, 20000));
			if (round)
				OK(fsync(fd));
			OK(ftruncate(fd, cuts[i]));
			if (round)
				nx_drop_caches();
			OK(ftruncate(fd, 20000));
			EXPECT_EQ(20000, pread(fd, buf, 20000, 0));
			EXPECT_EQ(0, memcmp(buf, data, cuts[i]));
			for (j = cuts[i]; j < 20000; j++)
				ASSERT_EQ(0, buf[j]);
			nx_drop_caches();
			EXPECT_EQ(20000, pread(fd, buf, 20000, 0));
			EXPECT_EQ(0, memcmp(buf, data, cuts[i]));
			for (j = cuts[i]; j < 20000; j++)
				ASSERT_EQ(0, buf[j]);
			OK(close(fd));
		}
	}
	free(data);
}

/* Beyond the end, in the last block: zeros, also after growing by a write. */
TEST_F(dir, grow_by_writing_behind_the_end)
{
	unsigned char buf[10000];
	int fd, i;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	EXPECT_EQ(3, write(fd, "abc", 3));
	OK(fsync(fd));
	nx_drop_caches();
	EXPECT_EQ(3, pwrite(fd, "def", 3, 6000));
	OK(fsync(fd));
	nx_drop_caches();
	EXPECT_EQ(6003, pread(fd, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(buf, "abc", 3));
	for (i = 3; i < 6000; i++)
		ASSERT_EQ(0, buf[i]);
	EXPECT_EQ(0, memcmp(buf + 6000, "def", 3));
	OK(close(fd));
}

TEST_F(dir, appends_of_several)
{
	struct { int proc, number; char fill[92]; } rec;
	int proc, i, fd, next[4] = {}, n = 0;

	for (proc = 0; proc < 4; proc++) {
		if (fork())
			continue;
		fd = open("f", O_WRONLY | O_CREAT | O_APPEND, 0644);
		HOLDS(fd >= 0);
		for (i = 0; i < 300; i++) {
			rec.proc = proc;
			rec.number = i;
			memset(rec.fill, 'a' + proc, sizeof(rec.fill));
			HOLDS(write(fd, &rec, sizeof(rec)) == sizeof(rec));
		}
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
	nx_drop_caches();
	GET(fd, open("f", O_RDONLY));
	while (read(fd, &rec, sizeof(rec)) == sizeof(rec)) {
		ASSERT_TRUE(rec.proc >= 0 && rec.proc < 4);
		ASSERT_EQ(next[rec.proc], rec.number);
		ASSERT_EQ('a' + rec.proc, rec.fill[91]);
		next[rec.proc]++;
		n++;
	}
	EXPECT_EQ(1200, n);
	OK(close(fd));
}

TEST_F(dir, open_flags)
{
	char c[8];
	int fd, rd;

	OK(nx_put("f", "0123456789"));
	GET(rd, open("f", O_RDONLY));
	GET(fd, open("f", O_WRONLY | O_TRUNC));
	EXPECT_EQ(0, read(rd, c, 8));
	FAILS(EBADF, (int)read(fd, c, 1));
	FAILS(EBADF, (int)write(rd, c, 1));
	OK(close(fd));
	FAILS(EINVAL, ftruncate(rd, 5));
	OK(close(rd));
	GET(fd, open("f", O_WRONLY | O_APPEND));
	EXPECT_EQ(3, write(fd, "abc", 3));
	OK(lseek(fd, 0, SEEK_SET));
	EXPECT_EQ(3, write(fd, "def", 3));
	EXPECT_STREQ("abcdef", nx_get("f"));
	OK(close(fd));
	GET(fd, open("f", O_RDWR));
	EXPECT_EQ(6, lseek(fd, 0, SEEK_END));
	EXPECT_EQ(0, read(fd, c, 8));
	FAILS(EINVAL, (int)lseek(fd, -7, SEEK_END));
	EXPECT_EQ(2, lseek(fd, -4, SEEK_CUR));
	EXPECT_EQ(4, read(fd, c, 8));
	EXPECT_EQ(0, memcmp(c, "cdef", 4));
	FAILS(EFAULT, (int)pread(fd, (void *)8, 4, 0));
	FAILS(EFAULT, (int)pwrite(fd, (void *)8, 4, 0));
	EXPECT_STREQ("abcdef", nx_get("f"));
	OK(close(fd));
	OK(truncate("f", 3));
	EXPECT_STREQ("abc", nx_get("f"));
	FAILS(EISDIR, truncate(".", 0));
	FAILS(ENOENT, truncate("none", 0));
}

TEST_F(dir, vectors)
{
	unsigned char *data = pattern(30000, 5), *buf = calloc(1, 30000);
	struct iovec out[] = {
		{ data, 1 }, { data + 1, 4095 }, { data + 4096, 0 },
		{ data + 4096, 10000 }, { data + 14096, 15904 },
	};
	struct iovec in[] = {
		{ buf, 9999 }, { buf + 9999, 1 }, { buf + 10000, 20000 },
	};
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	EXPECT_EQ(30000, pwritev(fd, out, 5, 777));
	nx_drop_caches();
	EXPECT_EQ(30000, preadv(fd, in, 3, 777));
	EXPECT_EQ(0, memcmp(data, buf, 30000));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_SET));
	EXPECT_EQ(30000, writev(fd, out, 5));
	EXPECT_EQ(777, pread(fd, buf, 30000, 30000));
	EXPECT_EQ(0, memcmp(buf, data + 29223, 777));
	OK(close(fd));
	free(data);
	free(buf);
}

TEST_F(dir, copies_inside_the_kernel)
{
	unsigned char *data = pattern(200000, 9), *buf = malloc(200000);
	int in, out, pipes[2];
	off_t at = 0;
	ssize_t n, sum = 0;

	GET(in, open("in", O_RDWR | O_CREAT, 0644));
	EXPECT_EQ(200000, write(in, data, 200000));
	GET(out, open("out", O_RDWR | O_CREAT, 0644));
	while (sum < 200000) {
		GET(n, sendfile(out, in, &at, 200000 - sum));
		ASSERT_LT(0, n);
		sum += n;
	}
	EXPECT_EQ(200000, pread(out, buf, 200000, 0));
	EXPECT_EQ(0, memcmp(buf, data, 200000));
	OK(ftruncate(out, 0));
	at = 0;
	for (sum = 0; sum < 200000; sum += n) {
		off_t to = sum;

		GET(n, copy_file_range(in, &at, out, &to, 200000 - sum, 0));
		ASSERT_LT(0, n);
	}
	nx_drop_caches();
	EXPECT_EQ(200000, pread(out, buf, 200000, 0));
	EXPECT_EQ(0, memcmp(buf, data, 200000));
	OK(ftruncate(out, 0));
	OK(pipe(pipes));
	at = 0;
	for (sum = 0; sum < 200000;) {
		loff_t from = sum;

		GET(n, splice(in, &from, pipes[1], NULL, 60000, 0));
		ASSERT_LT(0, n);
		while (n > 0) {
			ssize_t m = splice(pipes[0], NULL, out, &at, n, 0);

			ASSERT_LT(0, m);
			n -= m;
			sum += m;
		}
	}
	EXPECT_EQ(200000, pread(out, buf, 200000, 0));
	EXPECT_EQ(0, memcmp(buf, data, 200000));
	OK(close(in));
	OK(close(out));
	free(data);
	free(buf);
}

/* Small overwrites around writeback: neither the old nor a mixture. */
TEST_F(dir, overwrites_between_flushes)
{
	unsigned char *model = pattern(65536, 3), *buf = malloc(65536);
	int fd, i;

	nx_srand(42);
	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	EXPECT_EQ(65536, write(fd, model, 65536));
	for (i = 0; i < 200; i++) {
		size_t at = nx_below(65000), len = 1 + nx_below(500);

		memset(model + at, i, len);
		ASSERT_EQ(len, pwrite(fd, model + at, len, at));
		if (i % 3 == 0)
			OK(fdatasync(fd));
		if (i % 40 == 0)
			nx_drop_caches();
		ASSERT_EQ(65536, pread(fd, buf, 65536, 0));
		ASSERT_EQ(0, memcmp(buf, model, 65536));
	}
	OK(close(fd));
	nx_drop_caches();
	GET(fd, open("f", O_RDONLY));
	EXPECT_EQ(65536, read(fd, buf, 65536));
	EXPECT_EQ(0, memcmp(buf, model, 65536));
	OK(close(fd));
	free(model);
	free(buf);
}

/* More than a segment or a batch holds. */
TEST_F(dir, forty_megabytes)
{
	enum { CHUNK = 1 << 20, CHUNKS = 40 };
	unsigned char *data, *buf = malloc(CHUNK);
	int fd, i;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	for (i = 0; i < CHUNKS; i++) {
		data = pattern(CHUNK, i);
		ASSERT_EQ(CHUNK, write(fd, data, CHUNK));
		free(data);
	}
	OK(fsync(fd));
	nx_drop_caches();
	OK(lseek(fd, 0, SEEK_SET));
	for (i = 0; i < CHUNKS; i++) {
		data = pattern(CHUNK, i);
		ASSERT_EQ(CHUNK, read(fd, buf, CHUNK));
		ASSERT_EQ(0, memcmp(data, buf, CHUNK));
		free(data);
	}
	OK(close(fd));
	free(buf);
}

/* Every second block: as many extents as blocks.  Scenarios A13, M10. */
TEST_F(dir, a_file_in_pieces)
{
	enum { PIECES = 3000 };
	unsigned char block[4096];
	int fd, i;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	for (i = PIECES - 1; i >= 0; i--) {
		memset(block, i, sizeof(block));
		*(int *)block = i;
		ASSERT_EQ(4096, pwrite(fd, block, 4096, 8192ll * i));
	}
	OK(fsync(fd));
	OK(close(fd));
	nx_drop_caches();
	GET(fd, open("f", O_RDONLY));
	for (i = 0; i < PIECES; i += 7) {
		ASSERT_EQ(4096, pread(fd, block, 4096, 8192ll * i));
		ASSERT_EQ(i, *(int *)block);
		ASSERT_EQ((unsigned char)i, block[4095]);
		if (i == PIECES - 1)
			break;
		ASSERT_EQ(4096, pread(fd, block, 4096, 8192ll * i + 4096));
		ASSERT_EQ(0, block[0]);
		ASSERT_EQ(0, block[4095]);
	}
	OK(close(fd));
	OK(truncate("f", 8192 * 10 + 100));
	nx_drop_caches();
	GET(fd, open("f", O_RDONLY));
	ASSERT_EQ(100, pread(fd, block, 4096, 8192 * 10));
	ASSERT_EQ(10, *(int *)block);
	OK(close(fd));
}

/* Two write, two read: what is read is whole and of one of them. */
TEST_F(dir, parallel_writes_are_whole)
{
	unsigned char block[4096];
	int proc, i, j, fd;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	memset(block, 1, sizeof(block));
	for (i = 0; i < 8; i++)
		ASSERT_EQ(4096, pwrite(fd, block, 4096, 4096 * i));
	for (proc = 1; proc <= 4; proc++) {
		if (fork())
			continue;
		nx_srand(proc);
		for (i = 0; i < 500; i++) {
			off_t at = 4096 * nx_below(8);

			if (proc <= 2) {
				memset(block, proc, sizeof(block));
				HOLDS(pwrite(fd, block, 4096, at) == 4096);
			} else {
				HOLDS(pread(fd, block, 4096, at) == 4096);
				HOLDS(block[0] == 1 || block[0] == 2);
			}
			if (i % 50 == 0)
				HOLDS(!fdatasync(fd));
		}
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(4096, pread(fd, block, 4096, 4096 * i));
		for (j = 1; j < 4096; j++)
			ASSERT_EQ(block[0], block[j]);
	}
	OK(close(fd));
}

/* Pages swapped out to it would need memory to be written. */
TEST_F(dir, no_swap)
{
	static unsigned char page[4096];
	int fd, i;

	if (!nx_is_nexus("."))
		SKIP(return, "needs nexusfs");
	/* As mkswap writes it: version 1, the number of the last page, the magic. */
	page[1024] = 1;
	page[1028] = 255;
	memcpy(page + 4086, "SWAPSPACE2", 10);
	GET(fd, open("swap", O_RDWR | O_CREAT, 0600));
	for (i = 255; i >= 0; i--)
		ASSERT_EQ(4096, pwrite(fd, page, 4096, 4096 * i));
	OK(fsync(fd));
	FAILS(EINVAL, swapon("swap", 0));
	OK(close(fd));
}

TEST_HARNESS_MAIN
