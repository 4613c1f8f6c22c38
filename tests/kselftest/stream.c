// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams: records appended and read, in memory and on disk alike; what both do is
 * tested with both.
 */
#include "nx_stream.h"

#include <linux/fs.h>

#include "../../userspace/libnexus/include/nexus/stream.h"
#define NEXUS_EXPORT
#include "../../userspace/libnexus/stream.c"

/* ---- records ---------------------------------------------------------------------- */

TEST_F(stream, a_write_is_a_record_and_a_read_returns_it)
{
	unsigned char buf[70000], want[70000];
	struct nexus_stream_stat st;
	struct stat sb;
	size_t len;
	int n;

	OK(fstat(self->fd, &sb));
	ASSERT_TRUE(S_ISREG(sb.st_mode));
	ASSERT_EQ(0644, sb.st_mode & 07777);
	ASSERT_EQ(0, sb.st_size);
	/* Of all lengths around a block's, and long ones. */
	for (n = 0; n < 300; n++) {
		len = stream_record(n, n % 50 ? 5000 : 60000, want);
		ASSERT_EQ(len, write(self->fd, want, len));
	}
	/* Its own offset has not moved. */
	ASSERT_EQ(0, lseek(self->fd, 0, SEEK_CUR));
	st = stream_stat(self->fd);
	ASSERT_EQ(0, st.start);
	ASSERT_EQ(300, st.records);
	OK(fstat(self->fd, &sb));
	ASSERT_EQ(st.tail, sb.st_size);
	ASSERT_NE(0, sb.st_blocks);
	for (n = 0; n < 300; n++) {
		len = stream_record(n, n % 50 ? 5000 : 60000, want);
		ASSERT_EQ(len, read(self->fd, buf, sizeof(buf)));
		ASSERT_EQ(0, memcmp(buf, want, len));
	}
	ASSERT_EQ(st.tail, lseek(self->fd, 0, SEEK_CUR));
	ASSERT_EQ(0, read(self->fd, buf, sizeof(buf)));
	/* Nothing was consumed. */
	ASSERT_EQ(0, lseek(self->fd, 0, SEEK_SET));
	ASSERT_EQ(stream_record(0, 60000, want), read(self->fd, buf, sizeof(buf)));
}

/* Two that end in a block's last bytes, where no head fits. */
TEST_F(stream, records_at_the_end_of_a_block)
{
	static unsigned char want[5000], buf[5000];
	uint64_t pos[3000], first;
	int n, len;

	memset(want, 'x', sizeof(want));
	for (n = 0; n < 60; n++) {
		len = 4096 - 24 - 16 - n;
		OK(nexus_stream_append(self->fd, want, len, &pos[n]));
		/* To a begin of a block. */
		first = pos[n] + 4096 - pos[n] % 4096;
		len = first - stream_stat(self->fd).tail;
		if (len > 16 && len < 4096)
			ASSERT_EQ(len - 16, write(self->fd, want, len - 16));
	}
	for (n = 0; n < 60; n++)
		ASSERT_EQ(4096 - 24 - 16 - n, pread(self->fd, buf, sizeof(buf), pos[n]));
}

TEST_F(stream, every_reader_has_its_offset)
{
	char buf[16];
	int other;

	ASSERT_EQ(1, write(self->fd, "a", 1));
	ASSERT_EQ(2, write(self->fd, "bb", 2));
	GET(other, open("s", O_RDONLY));
	ASSERT_EQ(1, read(self->fd, buf, sizeof(buf)));
	ASSERT_EQ(2, read(self->fd, buf, sizeof(buf)));
	ASSERT_EQ(1, read(other, buf, sizeof(buf)));
	ASSERT_EQ('a', buf[0]);
	ASSERT_EQ(3, write(self->fd, "ccc", 3));
	ASSERT_EQ(2, read(other, buf, sizeof(buf)));
	ASSERT_EQ(3, read(other, buf, sizeof(buf)));
	ASSERT_EQ(0, memcmp(buf, "ccc", 3));
	close(other);
}

TEST_F(stream, a_short_buffer)
{
	char buf[100] = "";

	ASSERT_EQ(100, write(self->fd, buf, 100));
	FAILS(EMSGSIZE, read(self->fd, buf, 99));
	ASSERT_EQ(0, lseek(self->fd, 0, SEEK_CUR));
	FAILS(EMSGSIZE, pread(self->fd, buf, 1, 0));
	ASSERT_EQ(0, read(self->fd, buf, 0));
	ASSERT_EQ(100, read(self->fd, buf, 100));
}

TEST_F(stream, nothing_is_no_record)
{
	ASSERT_EQ(0, write(self->fd, "", 0));
	ASSERT_EQ(0, stream_stat(self->fd).tail);
}

TEST_F(stream, the_longest_record)
{
	size_t most = NEXUS_STREAM_RECORD_MAX;
	unsigned char *buf = calloc(1, most + 1), *got = calloc(1, most + 1);
	int fd;

	OK(stream_make("big", 4 << 20, variant->flags));
	GET(fd, open("big", O_RDWR));
	ASSERT_EQ(most, stream_stat(fd).record_max);
	FAILS(EMSGSIZE, write(fd, buf, most + 1));
	ASSERT_EQ(0, stream_stat(fd).tail);
	memset(buf, 'q', most);
	ASSERT_EQ(most, write(fd, buf, most));
	ASSERT_EQ(most, read(fd, got, most + 1));
	ASSERT_EQ(0, memcmp(buf, got, most));
	close(fd);
	/* Of a small stream less. */
	OK(stream_make("small", 8192, variant->flags));
	GET(fd, open("small", O_RDWR));
	most = stream_stat(fd).record_max;
	ASSERT_LT(3900, most);
	ASSERT_GT(4096, most);
	FAILS(EMSGSIZE, write(fd, buf, most + 1));
	ASSERT_EQ(most, write(fd, buf, most));
	ASSERT_EQ(most, write(fd, buf, most));
	ASSERT_LE(1, stream_stat(fd).records);
	close(fd);
	free(buf);
	free(got);
}

TEST_F(stream, vectors_are_one_record)
{
	struct iovec out[3] = { { "ab", 2 }, { "", 0 }, { "cde", 3 } };
	char a[2], b[10];
	struct iovec in[2] = { { a, 2 }, { b, 10 } };

	ASSERT_EQ(5, writev(self->fd, out, 3));
	ASSERT_EQ(5, readv(self->fd, in, 2));
	ASSERT_EQ(0, memcmp(a, "ab", 2));
	ASSERT_EQ(0, memcmp(b, "cde", 3));
}

TEST_F(stream, memory_that_is_missing)
{
	char buf[8], *none = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	FAILS(EFAULT, write(self->fd, none, 10));
	ASSERT_EQ(0, stream_stat(self->fd).tail);
	ASSERT_EQ(3, write(self->fd, "abc", 3));
	FAILS(EFAULT, read(self->fd, none, 10));
	ASSERT_EQ(0, lseek(self->fd, 0, SEEK_CUR));
	ASSERT_EQ(3, read(self->fd, buf, sizeof(buf)));
}

/* ---- positions ---------------------------------------------------------------------- */

TEST_F(stream, only_a_records_position_is_read)
{
	unsigned char want[3000], buf[3000];
	uint64_t pos[40], at, tail;
	size_t len;
	int n, hits = 0;

	for (n = 0; n < 40; n++) {
		len = stream_record(n, 500, want);
		OK(nexus_stream_append(self->fd, want, len, &pos[n]));
	}
	tail = stream_stat(self->fd).tail;
	for (at = 0, n = 0; at < tail; at++) {
		if (n < 40 && at == pos[n]) {
			len = stream_record(n++, 500, want);
			ASSERT_EQ(len, pread(self->fd, buf, sizeof(buf), at));
			ASSERT_EQ(0, memcmp(want, buf, len));
			hits++;
		} else {
			FAILS(EINVAL, pread(self->fd, buf, sizeof(buf), at));
		}
	}
	ASSERT_EQ(40, hits);
	ASSERT_EQ(0, pread(self->fd, buf, sizeof(buf), tail));
	FAILS(EINVAL, pread(self->fd, buf, sizeof(buf), tail + 1));
	FAILS(EINVAL, pread(self->fd, buf, sizeof(buf), 1ull << 40));
	/* pread has moved nothing. */
	ASSERT_EQ(0, lseek(self->fd, 0, SEEK_CUR));
}

TEST_F(stream, lseek_goes_anywhere_up_to_the_tail)
{
	uint64_t tail;
	char buf[16];

	ASSERT_EQ(5, write(self->fd, "12345", 5));
	ASSERT_EQ(5, write(self->fd, "67890", 5));
	tail = stream_stat(self->fd).tail;
	ASSERT_EQ(tail, lseek(self->fd, 0, SEEK_END));
	ASSERT_EQ(0, read(self->fd, buf, sizeof(buf)));
	FAILS(EINVAL, lseek(self->fd, 1, SEEK_END));
	FAILS(EINVAL, lseek(self->fd, -1, SEEK_SET));
	FAILS(EINVAL, lseek(self->fd, tail + 1, SEEK_SET));
	ASSERT_EQ(3, lseek(self->fd, 3, SEEK_SET));
	FAILS(EINVAL, read(self->fd, buf, sizeof(buf)));
	FAILS(EINVAL, lseek(self->fd, -4, SEEK_CUR));
	ASSERT_EQ(0, lseek(self->fd, -3, SEEK_CUR));
	ASSERT_EQ(5, read(self->fd, buf, sizeof(buf)));
	FAILS(EINVAL, lseek(self->fd, 0, SEEK_DATA));
	FAILS(EINVAL, lseek(self->fd, 0, SEEK_HOLE));
}

/* ---- refused ---------------------------------------------------------------------- */

TEST_F(stream, what_is_refused)
{
	struct file_clone_range clone = { .src_fd = self->fd };
	loff_t off = 0;
	int fd, other;
	char buf[8];

	ASSERT_EQ(3, write(self->fd, "abc", 3));
	FAILS(ESPIPE, pwrite(self->fd, "x", 1, 0));
	FAILS(ESPIPE, pwrite(self->fd, "x", 1, 1000));
	FAILS(EPERM, ftruncate(self->fd, 0));
	FAILS(EPERM, ftruncate(self->fd, stream_stat(self->fd).tail));
	FAILS(EPERM, truncate("s", 0));
	FAILS(EPERM, open("s", O_WRONLY | O_TRUNC));
	FAILS(EINVAL, open("s", O_RDONLY | O_DIRECT));
	FAILS(EOPNOTSUPP, fallocate(self->fd, 0, 0, 4096));
	FAILS(EOPNOTSUPP, fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
	ASSERT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0));
	ASSERT_EQ(ENODEV, errno);
	ASSERT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, self->fd, 0));
	ASSERT_EQ(ENODEV, errno);
	GET(fd, open("plain", O_RDWR | O_CREAT, 0644));
	FAILS(EOPNOTSUPP, ioctl(fd, FICLONERANGE, &clone));
	ASSERT_EQ(5, write(fd, "plain", 5));
	clone.src_fd = fd;
	FAILS(EOPNOTSUPP, ioctl(self->fd, FICLONERANGE, &clone));
	FAILS(EXDEV, copy_file_range(fd, &off, self->fd, NULL, 5, 0));
	OK(stream_make("t", 65536, variant->flags));
	GET(other, open("t", O_WRONLY));
	off = 0;
	FAILS(EOPNOTSUPP, copy_file_range(self->fd, &off, other, NULL, 3, 0));
	close(other);
	/* An ordinary file is no stream. */
	FAILS(ENOTTY, ioctl(fd, NEXUS_IOC_STREAM_STAT, &clone));
	close(fd);
	ASSERT_EQ(1, stream_stat(self->fd).records);
	ASSERT_EQ(3, read(self->fd, buf, sizeof(buf)));
	GET(fd, open("s", O_RDONLY));
	FAILS(EBADF, write(fd, "x", 1));
	FAILS(EBADF, stream_trim(fd, 0));
	close(fd);
	GET(fd, open("s", O_WRONLY | O_APPEND));
	ASSERT_EQ(1, write(fd, "y", 1));
	FAILS(EBADF, read(fd, buf, sizeof(buf)));
	FAILS(EBADF, stream_wait(fd));
	close(fd);
}

TEST_F(stream, creation_refused)
{
	struct nexus_stream_create sc = { .max_bytes = 65536, .mode = 0600 };
	int dir;

	FAILS(EEXIST, stream_create(&sc, "s"));
	FAILS(EINVAL, stream_create(&sc, ""));
	FAILS(EINVAL, stream_create(&sc, "."));
	FAILS(EINVAL, stream_create(&sc, "a/b"));
	sc.max_bytes = 8191;
	FAILS(EINVAL, stream_create(&sc, "t"));
	sc.max_bytes = NEXUS_STREAM_BYTES_MAX + 1;
	FAILS(EINVAL, stream_create(&sc, "t"));
	sc.max_bytes = 65536;
	sc.flags = 2;
	FAILS(EINVAL, stream_create(&sc, "t"));
	sc.flags = 0;
	sc.reserved = 1;
	FAILS(EINVAL, stream_create(&sc, "t"));
	sc.reserved = 0;
	sc.mode = 010000;
	FAILS(EINVAL, stream_create(&sc, "t"));
	sc.mode = 0600;
	sc.max_age = 0x80000000u;
	FAILS(EINVAL, stream_create(&sc, "t"));
	FAILS(ENOTDIR, ioctl(self->fd, NEXUS_IOC_STREAM_CREATE, &sc));
	GET(dir, open("/tmp", O_RDONLY | O_DIRECTORY));
	FAILS(ENOTTY, ioctl(dir, NEXUS_IOC_STREAM_CREATE, &sc));
	close(dir);
}

static void as_nobody(void *arg)
{
	struct nexus_stream_create sc = { .max_bytes = 65ull << 20, .mode = 0600 };

	HOLDS(stream_create(&sc, "mine") == -1 && errno == EPERM);
	/* On disk it is what quotas are for. */
	sc.flags = NEXUS_STREAM_PERSIST;
	HOLDS(stream_create(&sc, "mine") == 0);
	HOLDS(open("s", O_WRONLY) == -1 && errno == EACCES);
	HOLDS(open("s", O_RDONLY) >= 0);
}

TEST_F(stream, permissions_and_the_administrators_limit)
{
	OK(chmod(".", 0777));
	ASSERT_EQ(0, nx_as_nobody(as_nobody, NULL));
}

/* ---- bounds ---------------------------------------------------------------------- */

TEST_F(stream, bounded_by_size)
{
	unsigned char want[2000], buf[2000];
	struct nexus_stream_stat st, before;
	uint64_t n, first;
	size_t len;
	int fd, old;

	OK(stream_make("b", 65536, variant->flags));
	GET(fd, open("b", O_RDWR));
	GET(old, open("b", O_RDONLY));
	for (n = 0; n < 500; n++) {
		len = stream_record(n, 1000, want);
		ASSERT_EQ(len, write(fd, want, len));
		before = stream_stat(fd);
		ASSERT_GE(65536, before.tail - before.start);
	}
	st = stream_stat(fd);
	ASSERT_LT(0, st.start);
	/* No more than need be has gone. */
	ASSERT_LE(65536 - 3 * 4096, st.tail - st.start);
	if (!variant->flags)
		ASSERT_GE(65536, st.bytes);
	/* What is left is the last of it. */
	first = 500 - st.records;
	FAILS(ESTALE, pread(fd, buf, sizeof(buf), 0));
	FAILS(ESTALE, read(old, buf, sizeof(buf)));
	ASSERT_EQ(st.start, lseek(old, st.start, SEEK_SET));
	for (n = first; n < 500; n++) {
		len = stream_record(n, 1000, want);
		ASSERT_EQ(len, read(old, buf, sizeof(buf)));
		ASSERT_EQ(0, memcmp(want, buf, len));
	}
	ASSERT_EQ(0, read(old, buf, sizeof(buf)));
	close(old);
	/* Who opens it now begins there. */
	GET(old, open("b", O_RDONLY));
	ASSERT_EQ(st.start, lseek(old, 0, SEEK_CUR));
	ASSERT_EQ(stream_record(first, 1000, want), read(old, buf, sizeof(buf)));
	close(old);
	close(fd);
}

/* A batch that is many times as long as the stream keeps: the last of it is there. */
TEST_F(stream, bounded_by_size_in_a_batch)
{
	static unsigned char out[1024 * 1000], buf[1000];
	static uint32_t lens[1024];
	struct nexus_stream_append sa = {
		.buf = (uintptr_t)out,
		.lens = (uintptr_t)lens,
		.count = N_ELEMS(lens),
	};
	struct nexus_stream_stat st;
	int fd, n;

	for (n = 0; n < (int)N_ELEMS(lens); n++) {
		lens[n] = 1000;
		memset(out + n * 1000, n * 7, 1000);
	}
	OK(stream_make("b", 8192, variant->flags));
	GET(fd, open("b", O_RDWR));
	OK(ioctl(fd, NEXUS_IOC_STREAM_APPEND, &sa));
	ASSERT_EQ(N_ELEMS(lens), sa.done);
	st = stream_stat(fd);
	ASSERT_GE(8192, st.tail - st.start);
	ASSERT_LE(4, st.records);
	if (!variant->flags)
		ASSERT_GE(8192, st.bytes);
	FAILS(ESTALE, pread(fd, buf, sizeof(buf), 0));
	ASSERT_EQ(st.start, lseek(fd, st.start, SEEK_SET));
	for (n = (int)(N_ELEMS(lens) - st.records); n < (int)N_ELEMS(lens); n++) {
		ASSERT_EQ(1000, read(fd, buf, sizeof(buf)));
		ASSERT_EQ(0, memcmp(out + n * 1000, buf, 1000));
	}
	ASSERT_EQ(0, read(fd, buf, sizeof(buf)));
	close(fd);
}

TEST_F(stream, bounded_by_age)
{
	struct nexus_stream_create sc = {
		.max_bytes = 65536, .mode = 0600, .max_age = 1, .flags = variant->flags,
	};
	char buf[8];
	int fd, i;

	OK(stream_create(&sc, "a"));
	GET(fd, open("a", O_RDWR));
	ASSERT_EQ(1, stream_stat(fd).max_age);
	ASSERT_EQ(3, write(fd, "old", 3));
	for (i = 0; i < 1000 && stream_stat(fd).records; i++)
		usleep(10000);
	FAILS(ESTALE, pread(fd, buf, sizeof(buf), 0));
	ASSERT_EQ(stream_stat(fd).start, stream_stat(fd).tail);
	ASSERT_EQ(3, write(fd, "new", 3));
	FAILS(ESTALE, read(fd, buf, sizeof(buf)));
	ASSERT_LE(0, lseek(fd, stream_stat(fd).start, SEEK_SET));
	close(fd);
	/* Without a limit it stays. */
	ASSERT_EQ(3, write(self->fd, "old", 3));
	ASSERT_EQ(1, stream_stat(self->fd).records);
}

TEST_F(stream, trimmed_when_told)
{
	unsigned char want[2000], buf[2000];
	uint64_t pos[30];
	size_t len;
	int n, k;

	for (n = 0; n < 30; n++) {
		len = stream_record(n, 1000, want);
		OK(nexus_stream_append(self->fd, want, len, &pos[n]));
	}
	ASSERT_EQ(-EINVAL, nexus_stream_trim(self->fd, pos[5] + 1));
	ASSERT_EQ(-EINVAL, nexus_stream_trim(self->fd, stream_stat(self->fd).tail + 1));
	ASSERT_EQ(0, stream_stat(self->fd).start);
	if (!geteuid()) {
		int none = 0, attr = FS_APPEND_FL;

		OK(ioctl(self->fd, FS_IOC_SETFLAGS, &attr));
		ASSERT_EQ(-EPERM, nexus_stream_trim(self->fd, pos[1]));
		ASSERT_EQ(0, stream_stat(self->fd).start);
		OK(ioctl(self->fd, FS_IOC_SETFLAGS, &none));
	}
	for (n = 1; n < 30; n += 3) {
		OK(nexus_stream_trim(self->fd, pos[n]));
		ASSERT_EQ(pos[n], stream_stat(self->fd).start);
		ASSERT_EQ(30 - n, stream_stat(self->fd).records);
		ASSERT_EQ(-ESTALE, nexus_stream_trim(self->fd, pos[n - 1]));
		FAILS(ESTALE, pread(self->fd, buf, sizeof(buf), pos[n - 1]));
		for (k = n; k < 30; k++) {
			len = stream_record(k, 1000, want);
			ASSERT_EQ(len, pread(self->fd, buf, sizeof(buf), pos[k]));
			ASSERT_EQ(0, memcmp(want, buf, len));
		}
	}
	OK(nexus_stream_trim(self->fd, stream_stat(self->fd).tail));
	ASSERT_EQ(0, stream_stat(self->fd).records);
	OK(nexus_stream_append(self->fd, "next", 4, &pos[0]));
	ASSERT_EQ(1, stream_stat(self->fd).records);
	ASSERT_EQ(4, pread(self->fd, buf, sizeof(buf), pos[0]));
}

TEST_HARNESS_MAIN
