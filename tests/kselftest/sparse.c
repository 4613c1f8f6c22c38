// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sparse files: holes found, punched, zeroed; space reserved before it is
 * written.  Looked at from the disk as well as from the page cache.
 */
#include "nx.h"

#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <pthread.h>

#define BLOCK 4096
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#ifndef FS_IOC_FIEMAP
#define FS_IOC_FIEMAP _IOWR('f', 11, struct fiemap)
#endif

/* The next read of @fd is one of the disk. */
static int forget(int fd)
{
	return fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) ? -1 : 0;
}

static int fill(int fd, char c, off_t at, size_t len)
{
	char *data = malloc(len);
	int bad;

	memset(data, c, len);
	bad = pwrite(fd, data, len, at) != (ssize_t)len;
	free(data);
	return bad ? -1 : 0;
}

/* How many bytes of [from, to) are not @c; -1 when not all can be read. */
static int differ(int fd, off_t from, off_t to, char c)
{
	char *data = malloc(to - from);
	int bad = 0;
	ssize_t i, n;

	n = pread(fd, data, to - from, from);
	for (i = 0; i < n; i++)
		bad += data[i] != c;
	free(data);
	return n == to - from ? bad : -1;
}

static blkcnt_t blocks_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : st.st_blocks / 8;
}

static off_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : st.st_size;
}

/* ---- SEEK_HOLE and SEEK_DATA ---------------------------------------------- */

/* A file of 100 blocks, data in 10..19, 30, and 99 in part. */
static void seeks(struct __test_metadata *_metadata, int fd)
{
	const off_t end = 99 * BLOCK + 5;

	EXPECT_EQ(10 * BLOCK, lseek(fd, 0, SEEK_DATA));
	EXPECT_EQ(10 * BLOCK, lseek(fd, 0, SEEK_CUR));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_HOLE));
	EXPECT_EQ(7, lseek(fd, 7, SEEK_HOLE));
	EXPECT_EQ(20 * BLOCK, lseek(fd, 10 * BLOCK, SEEK_HOLE));
	EXPECT_EQ(20 * BLOCK, lseek(fd, 15 * BLOCK + 3, SEEK_HOLE));
	EXPECT_EQ(15 * BLOCK + 3, lseek(fd, 15 * BLOCK + 3, SEEK_DATA));
	EXPECT_EQ(30 * BLOCK, lseek(fd, 20 * BLOCK, SEEK_DATA));
	EXPECT_EQ(31 * BLOCK, lseek(fd, 30 * BLOCK, SEEK_HOLE));
	EXPECT_EQ(99 * BLOCK, lseek(fd, 31 * BLOCK + 1, SEEK_DATA));
	/* There is a hole at the end of every file. */
	EXPECT_EQ(end, lseek(fd, 99 * BLOCK, SEEK_HOLE));
	EXPECT_EQ(end - 1, lseek(fd, end - 1, SEEK_DATA));
	EXPECT_EQ(-1, lseek(fd, end, SEEK_DATA));
	EXPECT_EQ(ENXIO, errno);
	EXPECT_EQ(-1, lseek(fd, end, SEEK_HOLE));
	EXPECT_EQ(ENXIO, errno);
	EXPECT_EQ(-1, lseek(fd, -1, SEEK_DATA));
	EXPECT_EQ(ENXIO, errno);
	EXPECT_EQ(-1, lseek(fd, INT64_MAX, SEEK_HOLE));
	EXPECT_EQ(ENXIO, errno);
}

TEST_F(dir, seek_hole_and_data)
{
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	FAILS(ENXIO, (int)lseek(fd, 0, SEEK_DATA));
	FAILS(ENXIO, (int)lseek(fd, 0, SEEK_HOLE));
	OK(fill(fd, 'a', 10 * BLOCK, 10 * BLOCK));
	OK(fill(fd, 'b', 30 * BLOCK + 100, 7));
	OK(fill(fd, 'c', 99 * BLOCK, 5));
	seeks(_metadata, fd);
	OK(fsync(fd));
	seeks(_metadata, fd);
	nx_drop_caches();
	seeks(_metadata, fd);
	/* Holes that were read are holes. */
	EXPECT_EQ(0, differ(fd, 40 * BLOCK, 50 * BLOCK, 0));
	seeks(_metadata, fd);
	OK(ftruncate(fd, 200 * BLOCK));
	EXPECT_EQ(100 * BLOCK, lseek(fd, 99 * BLOCK, SEEK_HOLE));
	FAILS(ENXIO, (int)lseek(fd, 100 * BLOCK, SEEK_DATA));
	OK(close(fd));
}

TEST_F(dir, seek_in_what_is_reserved)
{
	char *map;
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	OK(fallocate(fd, 0, 0, 100 * BLOCK));
	FAILS(ENXIO, (int)lseek(fd, 0, SEEK_DATA));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_HOLE));
	OK(fill(fd, 'a', 5 * BLOCK, BLOCK));
	EXPECT_EQ(5 * BLOCK, lseek(fd, 0, SEEK_DATA));
	EXPECT_EQ(6 * BLOCK, lseek(fd, 5 * BLOCK, SEEK_HOLE));
	map = mmap(NULL, 100 * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	map[50 * BLOCK] = 1;
	/* ext4 calls data what was read ahead, too. */
	if (self->nexus) {
		EXPECT_EQ(50 * BLOCK, lseek(fd, 6 * BLOCK, SEEK_DATA));
		EXPECT_EQ(51 * BLOCK, lseek(fd, 50 * BLOCK, SEEK_HOLE));
	}
	OK(munmap(map, 100 * BLOCK));
	nx_drop_caches();
	EXPECT_EQ(5 * BLOCK, lseek(fd, 0, SEEK_DATA));
	EXPECT_EQ(50 * BLOCK, lseek(fd, 6 * BLOCK, SEEK_DATA));
	FAILS(ENXIO, (int)lseek(fd, 51 * BLOCK, SEEK_DATA));
	OK(close(fd));
}

/* ---- FIEMAP ------------------------------------------------------------------ */

struct map {
	struct fiemap head;
	struct fiemap_extent ext[64];
};

static int fiemap(int fd, struct map *m, uint64_t from, uint64_t len, uint32_t flags)
{
	memset(m, 0, sizeof(*m));
	m->head.fm_start = from;
	m->head.fm_length = len;
	m->head.fm_flags = flags;
	m->head.fm_extent_count = N_ELEMS(m->ext);
	return ioctl(fd, FS_IOC_FIEMAP, &m->head);
}

/* Whether an extent with these flags, and none of the others, holds @block. */
static bool mapped(const struct map *m, uint64_t block, uint32_t flags, uint32_t not)
{
	const struct fiemap_extent *e = m->ext;
	unsigned int i;

	for (i = 0; i < m->head.fm_mapped_extents; i++, e++)
		if (e->fe_logical <= block * BLOCK &&
		    e->fe_logical + e->fe_length > block * BLOCK)
			return (e->fe_flags & (flags | not)) == flags;
	return false;
}

static bool hole(const struct map *m, uint64_t block)
{
	return !mapped(m, block, 0, 0);
}

TEST_F(dir, fiemap)
{
	const uint32_t not = FIEMAP_EXTENT_UNWRITTEN | FIEMAP_EXTENT_DELALLOC;
	struct map m;
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	OK(fiemap(fd, &m, 0, ~0ull, 0));
	EXPECT_EQ(0, m.head.fm_mapped_extents);
	OK(fill(fd, 'a', 10 * BLOCK, 10 * BLOCK));
	OK(fallocate(fd, 0, 40 * BLOCK, 10 * BLOCK));
	if (self->nexus) {
		/* Not in a pack yet. */
		OK(fiemap(fd, &m, 0, ~0ull, 0));
		ASSERT_LE(2, m.head.fm_mapped_extents);
		EXPECT_TRUE(mapped(&m, 49, FIEMAP_EXTENT_UNWRITTEN | FIEMAP_EXTENT_LAST, 0));
	}
	OK(fill(fd, 'b', 60 * BLOCK, 1));
	if (self->nexus) {
		OK(fiemap(fd, &m, 0, ~0ull, 0));
		EXPECT_TRUE(mapped(&m, 60, FIEMAP_EXTENT_DELALLOC |
				   FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_LAST, 0));
	}
	OK(fiemap(fd, &m, 0, ~0ull, FIEMAP_FLAG_SYNC));
	EXPECT_TRUE(hole(&m, 9));
	EXPECT_TRUE(mapped(&m, 10, 0, not));
	EXPECT_TRUE(mapped(&m, 19, 0, not | FIEMAP_EXTENT_LAST));
	EXPECT_TRUE(hole(&m, 20));
	EXPECT_TRUE(hole(&m, 39));
	EXPECT_TRUE(mapped(&m, 40, FIEMAP_EXTENT_UNWRITTEN, FIEMAP_EXTENT_DELALLOC));
	EXPECT_TRUE(mapped(&m, 49, FIEMAP_EXTENT_UNWRITTEN, FIEMAP_EXTENT_LAST));
	EXPECT_TRUE(mapped(&m, 60, FIEMAP_EXTENT_LAST, not));
	if (self->nexus)
		EXPECT_TRUE(mapped(&m, 10, FIEMAP_EXTENT_ENCODED, 0));
	/* A part, and only the number. */
	OK(fiemap(fd, &m, 15 * BLOCK, 10 * BLOCK, 0));
	EXPECT_EQ(1, m.head.fm_mapped_extents);
	/* ext4 says so of the last one of the part. */
	if (self->nexus)
		EXPECT_TRUE(mapped(&m, 15, 0, not | FIEMAP_EXTENT_LAST));
	m.head.fm_start = 0;
	m.head.fm_length = ~0ull;
	m.head.fm_extent_count = 0;
	OK(ioctl(fd, FS_IOC_FIEMAP, &m.head));
	EXPECT_EQ(3, m.head.fm_mapped_extents);
	FAILS(EBADR, fiemap(fd, &m, 0, ~0ull, 0x40000000));
	OK(close(fd));
}

/* ---- punching and zeroing ------------------------------------------------------- */

static const struct {
	off_t from, len;
} ranges[] = {
	{ 10 * BLOCK, 5 * BLOCK },		/* whole blocks */
	{ 20 * BLOCK + 5, 10 },			/* inside of one */
	{ 22 * BLOCK + 100, BLOCK },		/* parts of two */
	{ 30 * BLOCK - 7, 3 * BLOCK + 20 },	/* parts and blocks */
	{ 40 * BLOCK, 1 }, { 41 * BLOCK - 1, 1 },
	{ 90 * BLOCK + 1, 9 * BLOCK + 4095 },	/* up to the end */
	{ 0, 100 },
};

/* 100 blocks of 'A' with the ranges above made zeros by @mode. */
static void zeroes(struct __test_metadata *_metadata, int mode, int how)
{
	unsigned char *want = malloc(100 * BLOCK), *is = malloc(100 * BLOCK);
	size_t i;
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT | O_TRUNC, 0644));
	OK(fill(fd, 'A', 0, 100 * BLOCK));
	memset(want, 'A', 100 * BLOCK);
	if (how)
		OK(how == 1 ? fsync(fd) : forget(fd));
	for (i = 0; i < N_ELEMS(ranges); i++) {
		OK(fallocate(fd, mode, ranges[i].from, ranges[i].len));
		memset(want + ranges[i].from, 0, ranges[i].len);
		ASSERT_EQ(100 * BLOCK, pread(fd, is, 100 * BLOCK, 0));
		ASSERT_EQ(0, memcmp(want, is, 100 * BLOCK)) {
			TH_LOG("range %zu, case %d", i, how);
		}
	}
	EXPECT_EQ(100 * BLOCK, size_of(fd));
	OK(forget(fd));
	ASSERT_EQ(100 * BLOCK, pread(fd, is, 100 * BLOCK, 0));
	EXPECT_EQ(0, memcmp(want, is, 100 * BLOCK));
	nx_drop_caches();
	ASSERT_EQ(100 * BLOCK, pread(fd, is, 100 * BLOCK, 0));
	EXPECT_EQ(0, memcmp(want, is, 100 * BLOCK));
	OK(close(fd));
	free(want);
	free(is);
}

TEST_F(dir, punch)
{
	int i;

	for (i = 0; i < 3; i++)
		zeroes(_metadata, PUNCH, i);
}

TEST_F(dir, zero_range)
{
	int i;

	for (i = 0; i < 3; i++) {
		zeroes(_metadata, FALLOC_FL_ZERO_RANGE, i);
		zeroes(_metadata, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, i);
	}
}

/* The last block goes before it was written, and with it what told of the size. */
TEST_F(dir, punched_end)
{
	static const int modes[] = { PUNCH, FALLOC_FL_ZERO_RANGE };
	struct stat st;
	size_t i;
	int fd;

	for (i = 0; i < 2; i++) {
		GET(fd, open("end", O_RDWR | O_CREAT | O_EXCL, 0644));
		OK(fill(fd, 'a', 0, 8 * BLOCK + 100));
		OK(fallocate(fd, modes[i], 8 * BLOCK, 100));
		OK(fsync(fd));
		OK(close(fd));
		/* Out of the index. */
		sync();
		nx_drop_caches();
		OK(stat("end", &st));
		EXPECT_EQ(8 * BLOCK + 100, st.st_size);
		GET(fd, open("end", O_RDONLY));
		EXPECT_EQ(0, differ(fd, 0, 8 * BLOCK, 'a'));
		EXPECT_EQ(0, differ(fd, 8 * BLOCK, 8 * BLOCK + 100, 0));
		OK(close(fd));
		OK(unlink("end"));
	}
}

/* Scenario M10. */
TEST_F(dir, punch_frees)
{
	struct stat before, after;
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	OK(fill(fd, 'A', 0, 100 * BLOCK));
	OK(fsync(fd));
	OK(fstat(fd, &before));
	EXPECT_LE(100, before.st_blocks / 8);
	nx_tick();
	OK(fallocate(fd, PUNCH, 10 * BLOCK + 1, 50 * BLOCK));
	OK(fsync(fd));
	OK(fstat(fd, &after));
	EXPECT_EQ(before.st_blocks - 49 * 8, after.st_blocks);
	EXPECT_EQ(before.st_size, after.st_size);
	EXPECT_LT(before.st_mtim.tv_sec * 1000000000l + before.st_mtim.tv_nsec,
		  after.st_mtim.tv_sec * 1000000000l + after.st_mtim.tv_nsec);
	EXPECT_EQ(60 * BLOCK, lseek(fd, 11 * BLOCK, SEEK_DATA));
	/* Far behind the end, and all there is. */
	OK(fallocate(fd, PUNCH, 200 * BLOCK, 1l << 40));
	OK(fstat(fd, &after));
	EXPECT_EQ(before.st_blocks - 49 * 8, after.st_blocks);
	OK(fallocate(fd, PUNCH, 0, 1l << 50 >> 8));
	OK(fstat(fd, &after));
	EXPECT_EQ(100 * BLOCK, after.st_size);
	EXPECT_GT(8, after.st_blocks);
	EXPECT_EQ(0, differ(fd, 0, 100 * BLOCK, 0));
	/* Dirty pages over a hole go, too. */
	OK(fill(fd, 'B', 5 * BLOCK, 20 * BLOCK));
	OK(fallocate(fd, PUNCH, 5 * BLOCK, 20 * BLOCK));
	EXPECT_EQ(0, differ(fd, 0, 100 * BLOCK, 0));
	FAILS(ENXIO, (int)lseek(fd, 0, SEEK_DATA));
	OK(fstat(fd, &after));
	EXPECT_GT(8, after.st_blocks);
	OK(close(fd));
	nx_drop_caches();
	GET(fd, open("f", O_RDWR));
	OK(fstat(fd, &after));
	EXPECT_EQ(100 * BLOCK, after.st_size);
	EXPECT_GT(8, after.st_blocks);
	EXPECT_EQ(0, differ(fd, 0, 100 * BLOCK, 0));
	OK(close(fd));
}

TEST_F(dir, zero_range_reserves)
{
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	OK(fill(fd, 'A', 0, 10 * BLOCK));
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 5 * BLOCK,
		     20 * BLOCK));
	EXPECT_EQ(10 * BLOCK, size_of(fd));
	OK(fsync(fd));
	EXPECT_LE(25, blocks_of(fd));
	EXPECT_EQ(0, differ(fd, 0, 5 * BLOCK, 'A'));
	EXPECT_EQ(0, differ(fd, 5 * BLOCK, 10 * BLOCK, 0));
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 7 * BLOCK + 5, 30 * BLOCK));
	EXPECT_EQ(37 * BLOCK + 5, size_of(fd));
	OK(fsync(fd));
	EXPECT_LE(38, blocks_of(fd));
	EXPECT_EQ(0, differ(fd, 5 * BLOCK, 37 * BLOCK + 5, 0));
	nx_drop_caches();
	EXPECT_EQ(0, differ(fd, 0, 5 * BLOCK, 'A'));
	EXPECT_EQ(0, differ(fd, 5 * BLOCK, 37 * BLOCK + 5, 0));
	OK(close(fd));
}

/* ---- reserving ------------------------------------------------------------------- */

/* Blocks that were unwritten when room was asked for, and are written a moment later. */
TEST_F(dir, zero_range_keeps_promises)
{
	const off_t much = 300l << 20;
	struct statvfs at_first;
	int fd, other, i;

	sync();
	OK(statvfs(".", &at_first));
	GET(other, open("other", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	OK(fallocate(other, 0, 0, much));
	GET(fd, open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	for (i = 0; i < 4; i++) {
		OK(fallocate(fd, 0, 0, 16 * BLOCK));
		OK(fill(fd, 'x', 0, 16 * BLOCK));
		/* Once it is the call that writes them, once they are being written. */
		if (i & 1)
			OK(sync_file_range(fd, 0, 16 * BLOCK, SYNC_FILE_RANGE_WRITE));
		else
			OK(fill(fd, 'y', 256 * BLOCK, BLOCK));
		OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 16 * BLOCK));
		ASSERT_EQ(0, differ(fd, 0, 16 * BLOCK, 0));
		OK(ftruncate(fd, 0));
	}
	/* The helper gives back a moment later what nobody was promised. */
	EXPECT_FALSE(nx_space_back(&at_first, much / 2, 3));
	OK(close(other));
	OK(unlink("other"));
	EXPECT_TRUE(nx_space_back(&at_first, 64 << 20, 10));
}

TEST_F(dir, reserve)
{
	/* Where the map of a file takes blocks, too. */
	const blkcnt_t own = self->nexus ? 0 : 4;
	blkcnt_t n;
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	OK(fill(fd, 'A', 10 * BLOCK, BLOCK));
	OK(fallocate(fd, 0, 0, 100 * BLOCK));
	EXPECT_EQ(100 * BLOCK, size_of(fd));
	n = blocks_of(fd);
	EXPECT_LE(100, n);
	EXPECT_EQ(0, differ(fd, 0, 10 * BLOCK, 0));
	EXPECT_EQ(0, differ(fd, 10 * BLOCK, 11 * BLOCK, 'A'));
	EXPECT_EQ(0, differ(fd, 11 * BLOCK, 100 * BLOCK, 0));
	/* A second time, and written to: no block more. */
	OK(fallocate(fd, 0, 0, 100 * BLOCK));
	EXPECT_EQ(n, blocks_of(fd));
	OK(fill(fd, 'B', 20 * BLOCK, 30 * BLOCK));
	EXPECT_EQ(n, blocks_of(fd));
	OK(fill(fd, 'C', 70 * BLOCK + 5, 10));
	OK(fsync(fd));
	EXPECT_GE(n + own, blocks_of(fd));
	nx_drop_caches();
	EXPECT_GE(n + own, blocks_of(fd));
	if (self->nexus)
		EXPECT_EQ(100, blocks_of(fd));
	EXPECT_EQ(0, differ(fd, 11 * BLOCK, 20 * BLOCK, 0));
	EXPECT_EQ(0, differ(fd, 20 * BLOCK, 50 * BLOCK, 'B'));
	EXPECT_EQ(0, differ(fd, 50 * BLOCK, 70 * BLOCK + 5, 0));
	EXPECT_EQ(0, differ(fd, 70 * BLOCK + 5, 70 * BLOCK + 15, 'C'));
	EXPECT_EQ(0, differ(fd, 70 * BLOCK + 15, 100 * BLOCK, 0));
	/* Without the size, behind the end. */
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 100 * BLOCK, 50 * BLOCK));
	EXPECT_EQ(100 * BLOCK, size_of(fd));
	EXPECT_LE(n + 50, blocks_of(fd));
	EXPECT_EQ(0, pread(fd, &n, 1, 100 * BLOCK));
	/* The size it has gives that back; a smaller one the rest. */
	OK(ftruncate(fd, 100 * BLOCK));
	EXPECT_GT(110, blocks_of(fd));
	OK(ftruncate(fd, 90 * BLOCK));
	EXPECT_GT(100, blocks_of(fd));
	OK(fallocate(fd, PUNCH, 80 * BLOCK, 10 * BLOCK));
	EXPECT_GT(90, blocks_of(fd));
	OK(ftruncate(fd, 0));
	EXPECT_GT(8, blocks_of(fd));
	OK(close(fd));
}

/* Many blocks are reserved at once, and come back. */
TEST_F(dir, reserve_much)
{
	struct statvfs before, now;
	int fd;

	sync();
	OK(statvfs(".", &before));
	if (before.f_bavail * before.f_frsize < 1ul << 30)
		SKIP(return, "less than a GiB free");
	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	OK(fallocate(fd, 0, 0, 700 << 20));
	EXPECT_LE((700 << 20) / BLOCK, blocks_of(fd));
	OK(statvfs(".", &now));
	/* Within a pack or two. */
	EXPECT_GE(before.f_bavail * before.f_frsize - (500ul << 20),
		  now.f_bavail * now.f_frsize);
	OK(fill(fd, 'A', 350 << 20, 64 << 10));
	OK(forget(fd));
	EXPECT_EQ(0, differ(fd, (350 << 20) - 100, 350 << 20, 0));
	EXPECT_EQ(0, differ(fd, 350 << 20, (350 << 20) + (64 << 10), 'A'));
	OK(close(fd));
	OK(unlink("f"));
	EXPECT_TRUE(nx_space_back(&before, 200 << 20, 10));
}

TEST_F(dir, reserve_too_much)
{
	struct statvfs sv;
	int fd;

	OK(statvfs(".", &sv));
	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	FAILS(ENOSPC, fallocate(fd, 0, 0, (sv.f_bavail + 100000) * sv.f_frsize));
	if (self->nexus) {
		EXPECT_EQ(0, size_of(fd));
		EXPECT_EQ(0, blocks_of(fd));
		FAILS(ENOSPC, fallocate(fd, 0, 0, 1l << 60));
	}
	OK(fallocate(fd, 0, 0, 1 << 20));
	OK(close(fd));
}

/* ---- refusals --------------------------------------------------------------------- */

TEST_F(dir, refused)
{
	struct rlimit old, limit = { 50 * BLOCK, RLIM_INFINITY };
	int fd, rd, ends[2];

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	GET(rd, open("f", O_RDONLY));
	FAILS(EBADF, fallocate(rd, 0, 0, 1));
	FAILS(EINVAL, fallocate(fd, 0, -1, 1));
	FAILS(EINVAL, fallocate(fd, 0, 0, 0));
	FAILS(EINVAL, fallocate(fd, PUNCH, 0, -1));
	FAILS(EFBIG, fallocate(fd, 0, INT64_MAX - 1, 2));
	FAILS(EOPNOTSUPP, fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1));
	FAILS(EOPNOTSUPP, fallocate(fd, PUNCH | FALLOC_FL_ZERO_RANGE, 0, 1));
	FAILS(EOPNOTSUPP, fallocate(fd, 0x4000, 0, 1));
	if (self->nexus) {
		FAILS(EOPNOTSUPP, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, BLOCK));
		FAILS(EOPNOTSUPP, fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, BLOCK));
		FAILS(EOPNOTSUPP, fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, BLOCK));
	}
	OK(pipe(ends));
	FAILS(ESPIPE, fallocate(ends[1], 0, 0, 1));
	OK(close(rd));
	GET(rd, open(".", O_RDONLY | O_DIRECTORY));
	FAILS(EBADF, fallocate(rd, 0, 0, 1));
	OK(close(rd));
	EXPECT_EQ(0, size_of(fd));
	/* The limit of a file's size is for what grows it. */
	signal(SIGXFSZ, SIG_IGN);
	OK(getrlimit(RLIMIT_FSIZE, &old));
	OK(setrlimit(RLIMIT_FSIZE, &limit));
	FAILS(EFBIG, fallocate(fd, 0, 0, 51 * BLOCK));
	FAILS(EFBIG, fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 51 * BLOCK));
	OK(fallocate(fd, 0, 0, 50 * BLOCK));
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 60 * BLOCK));
	OK(setrlimit(RLIMIT_FSIZE, &old));
	EXPECT_EQ(50 * BLOCK, size_of(fd));
	OK(close(fd));
	/* Appending only is for write(). */
	GET(fd, open("f", O_WRONLY | O_APPEND));
	OK(fallocate(fd, PUNCH, 0, BLOCK));
	OK(fallocate(fd, 0, 0, 60 * BLOCK));
	OK(close(fd));
}

static void as_nobody(void *arg)
{
	int fd = open("f", O_RDWR);

	HOLDS(fd >= 0);
	HOLDS(!fallocate(fd, *(int *)arg, 0, BLOCK));
}

TEST_F(dir, privileges_go)
{
	int modes[] = { 0, FALLOC_FL_KEEP_SIZE, PUNCH, FALLOC_FL_ZERO_RANGE };
	struct stat st;
	size_t i;
	int fd;

	if (!self->root)
		SKIP(return, "not root");
	OK(chmod(".", 0777));
	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	OK(fill(fd, 'A', 0, 3 * BLOCK));
	for (i = 0; i < N_ELEMS(modes); i++) {
		OK(chmod("f", 06777));
		OK(nx_as_nobody(as_nobody, &modes[i]));
		OK(fstat(fd, &st));
		EXPECT_EQ(0777, st.st_mode & 07777);
	}
	OK(close(fd));
}

/* ---- beside stores, reads and writeback ---------------------------------------------- */

enum { RACE_BLOCKS = 16 };

struct race {
	int fd;
	unsigned char *map;
	bool stop;
};

static void *stores(void *arg)
{
	struct race *r = arg;
	uint64_t n = 0;

	/* Into the even blocks only. */
	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		volatile unsigned char *at = r->map + n % (RACE_BLOCKS / 2) * 2 * BLOCK;

		at[n % BLOCK] = 1 + n % 255;
		n++;
	}
	return NULL;
}

static void *write_back(void *arg)
{
	struct race *r = arg;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED))
		sync_file_range(r->fd, 0, 0, SYNC_FILE_RANGE_WRITE |
				SYNC_FILE_RANGE_WAIT_AFTER);
	return NULL;
}

/* What the odd blocks hold, was written whole or punched: never a mixture. */
static void *reads(void *arg)
{
	unsigned char block[BLOCK];
	struct race *r = arg;
	unsigned int n = 0, i;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		off_t at = (n++ % (RACE_BLOCKS / 2) * 2 + 1) * BLOCK;

		if (pread(r->fd, block, BLOCK, at) != BLOCK)
			return (void *)1;
		for (i = 1; i < BLOCK; i++)
			if (block[i] != 0 && block[i] != 'A')
				return (void *)2;
	}
	return NULL;
}

TEST_F(dir, races)
{
	static void *(*const threads[])(void *) = { stores, write_back, reads };
	unsigned char *before = malloc(RACE_BLOCKS * BLOCK);
	unsigned char *after = malloc(RACE_BLOCKS * BLOCK);
	int i, j, n = nx_env("NEXUS_OPS", 500) / 20;
	struct race r;
	pthread_t t[3];
	void *bad;

	nx_seed();
	GET(r.fd, open("f", O_RDWR | O_CREAT, 0644));
	OK(ftruncate(r.fd, RACE_BLOCKS * BLOCK));
	r.map = mmap(NULL, RACE_BLOCKS * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED,
		     r.fd, 0);
	ASSERT_NE(MAP_FAILED, r.map);
	for (i = 0; i < n; i++) {
		r.stop = false;
		for (j = 0; j < 3; j++)
			OK(pthread_create(&t[j], NULL, threads[j], &r));
		for (j = 0; j < 20; j++) {
			int mode = (const int []){ PUNCH, FALLOC_FL_ZERO_RANGE, 0,
				PUNCH }[nx_below(4)];
			off_t at = nx_below(RACE_BLOCKS * BLOCK - 1);
			off_t len = 1 + nx_below(RACE_BLOCKS * BLOCK - at);

			OK(fallocate(r.fd, mode, at, len));
			for (at = 1; at < RACE_BLOCKS; at += 2)
				if (nx_below(2))
					OK(fill(r.fd, 'A', at * BLOCK, BLOCK));
		}
		__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
		for (j = 0; j < 3; j++) {
			OK(pthread_join(t[j], &bad));
			ASSERT_EQ(NULL, bad);
		}
		/* What is seen now is what is on disk. */
		memcpy(before, r.map, RACE_BLOCKS * BLOCK);
		OK(madvise(r.map, RACE_BLOCKS * BLOCK, MADV_DONTNEED));
		OK(forget(r.fd));
		ASSERT_EQ(RACE_BLOCKS * BLOCK, pread(r.fd, after, RACE_BLOCKS * BLOCK, 0));
		ASSERT_EQ(0, memcmp(before, after, RACE_BLOCKS * BLOCK));
		/* All of it punched: nobody stores any more, so all is gone. */
		OK(fallocate(r.fd, PUNCH, 0, RACE_BLOCKS * BLOCK));
		for (j = 0; j < RACE_BLOCKS * BLOCK; j++)
			ASSERT_EQ(0, r.map[j]);
		ASSERT_GT(8, blocks_of(r.fd));
	}
	OK(munmap(r.map, RACE_BLOCKS * BLOCK));
	OK(close(r.fd));
}

TEST_HARNESS_MAIN
