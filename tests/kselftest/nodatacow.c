// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files marked nodatacow (chattr +C): who can be, what is overwritten in place and what
 * is not, and that nobody sees more of it than of other files.  Places are FIEMAP's,
 * which name pack and block; how much was written in place is the module's counter.
 */
#include "nx.h"
#include "nx_clone.h"
#include "nx_mount.h"
#include "nx_stats.h"

#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/statvfs.h>

enum { BLOCK = 4096, MANY = 300, MIB = 1 << 20 };

#define COUNTED "pack_write_inplace_blocks"

static int set_flags(int fd, int flags)
{
	return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static int get_flags(int fd)
{
	int flags = 0;

	return ioctl(fd, FS_IOC_GETFLAGS, &flags) ? -1 : flags;
}

static bool marked(int fd)
{
	int flags = get_flags(fd);

	return flags >= 0 && flags & FS_NOCOW_FL;
}

/* A new file of this mark. */
static int make(const char *name, bool nocow)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	return fd < 0 || (nocow && set_flags(fd, FS_NOCOW_FL)) ? -1 : fd;
}

static void fill(unsigned char *to, size_t len, unsigned int seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		to[i] = 1 + (seed * 41 + i * 7 + i / 4096 * 3) % 251;
}

static bool put(int fd, const void *from, size_t len, off_t at)
{
	return pwrite(fd, from, len, at) == (ssize_t)len;
}

static bool has(int fd, const void *want, size_t len, off_t at)
{
	unsigned char *buf = aligned_alloc(BLOCK, (len + BLOCK - 1) & -BLOCK);
	bool same = pread(fd, buf, (len + BLOCK - 1) & -BLOCK, at) >= (ssize_t)len &&
		    !memcmp(buf, want, len);

	free(buf);
	return same;
}

/* The next read is one of the disk. */
static int forget(int fd)
{
	return fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) ? -1 : 0;
}

/* Where the block at @at is; 0: nowhere, 1: it has no place. */
static uint64_t place(int fd, uint64_t at)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
	} u = {};
	const struct fiemap_extent *e = &u.map.fm_extents[0];

	u.map.fm_start = at;
	u.map.fm_length = 1;
	u.map.fm_extent_count = 1;
	u.map.fm_flags = FIEMAP_FLAG_SYNC;
	if (ioctl(fd, FS_IOC_FIEMAP, &u.map) || !u.map.fm_mapped_extents)
		return 0;
	if (e->fe_flags & (FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_UNWRITTEN |
			   FIEMAP_EXTENT_DATA_INLINE))
		return 1;
	return e->fe_physical + at - e->fe_logical;
}

static void places(int fd, unsigned int n, uint64_t *to)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		to[i] = place(fd, (uint64_t)i * BLOCK);
}

FIXTURE(cow)
{
	unsigned char *data;
	uint64_t before[MANY], after[MANY];
	char path[PATH_MAX / 2];
};

FIXTURE_SETUP(cow)
{
	umask(022);
	snprintf(self->path, sizeof(self->path), "%s/nodatacow.XXXXXX", nx_base());
	ASSERT_NE(NULL, mkdtemp(self->path));
	OK(chdir(self->path));
	self->data = aligned_alloc(BLOCK, MANY * BLOCK);
	if (!nx_is_nexus("."))
		SKIP(return, "needs nexusfs");
}

FIXTURE_TEARDOWN(cow)
{
	free(self->data);
	EXPECT_EQ(0, chdir("/"));
	EXPECT_EQ(0, nx_rm(self->path));
}

/* ---- the flag ------------------------------------------------------------------- */

TEST_F(cow, flag)
{
	struct fsxattr fx;
	int fd, dir, sub;

	GET(fd, make("f", false));
	EXPECT_FALSE(marked(fd));
	OK(set_flags(fd, FS_NOCOW_FL));
	EXPECT_EQ(FS_NOCOW_FL, get_flags(fd));
	/* The other way to set flags does not know it, and leaves it alone. */
	OK(ioctl(fd, FS_IOC_FSGETXATTR, &fx));
	OK(ioctl(fd, FS_IOC_FSSETXATTR, &fx));
	EXPECT_TRUE(marked(fd));
	OK(set_flags(fd, 0));
	EXPECT_FALSE(marked(fd));
	/* What has content stays what it is. */
	ASSERT_TRUE(put(fd, "x", 1, 0));
	FAILS(EINVAL, set_flags(fd, FS_NOCOW_FL));
	EXPECT_FALSE(marked(fd));
	OK(ftruncate(fd, 0));
	OK(set_flags(fd, FS_NOCOW_FL));
	ASSERT_TRUE(put(fd, "x", 1, 0));
	FAILS(EINVAL, set_flags(fd, 0));
	OK(set_flags(fd, FS_NOCOW_FL));
	EXPECT_TRUE(marked(fd));
	/* Also what is only reserved. */
	OK(ftruncate(fd, 0));
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, BLOCK));
	FAILS(EINVAL, set_flags(fd, 0));
	close(fd);

	OK(mkdir("d", 0755));
	GET(dir, open("d", O_RDONLY | O_DIRECTORY));
	OK(close(make("d/before", false)));
	OK(set_flags(dir, FS_NOCOW_FL));
	GET(fd, make("d/after", false));
	EXPECT_TRUE(marked(fd));
	close(fd);
	OK(mkdir("d/sub", 0755));
	GET(sub, open("d/sub", O_RDONLY | O_DIRECTORY));
	EXPECT_TRUE(marked(sub));
	close(sub);
	OK(mkfifo("d/fifo", 0600));
	GET(fd, open("d/fifo", O_RDWR));
	EXPECT_FALSE(marked(fd));
	FAILS(EOPNOTSUPP, set_flags(fd, FS_NOCOW_FL));
	close(fd);
	GET(fd, open("d", O_RDWR | O_TMPFILE, 0600));
	EXPECT_TRUE(marked(fd));
	close(fd);
	/* As they are on disk. */
	nx_drop_caches();
	GET(fd, open("d/before", O_RDWR));
	EXPECT_FALSE(marked(fd));
	close(fd);
	GET(fd, open("d/after", O_RDWR));
	EXPECT_TRUE(marked(fd));
	close(fd);
	/* A directory changes at any time. */
	OK(set_flags(dir, 0));
	GET(fd, make("d/later", false));
	EXPECT_FALSE(marked(fd));
	close(fd);
	close(dir);
}

TEST_F(cow, other_flags)
{
	int fd;

	GET(fd, make("f", true));
	FAILS(EOPNOTSUPP, set_flags(fd, FS_NOCOW_FL | FS_COMPR_FL));
	EXPECT_EQ(FS_NOCOW_FL, get_flags(fd));
	close(fd);
}

/* ---- what goes where ------------------------------------------------------------- */

/* Overwrites blocks 10 to 19, three bytes of 30, and says how many went in place. */
static int64_t overwrite(int fd, unsigned char *data)
{
	int64_t before = nx_counter(COUNTED);

	fill(data + 10 * BLOCK, 10 * BLOCK, 77);
	fill(data + 30 * BLOCK + 5, 3, 78);
	if (!put(fd, data + 10 * BLOCK, 10 * BLOCK, 10 * BLOCK) ||
	    !put(fd, data + 30 * BLOCK + 5, 3, 30 * BLOCK + 5) || fsync(fd))
		return -1;
	return nx_counter(COUNTED) - before;
}

/* Scenario B25. */
TEST_F(cow, overwritten_in_place)
{
	int fd, i;

	GET(fd, make("f", true));
	fill(self->data, MANY * BLOCK, 1);
	ASSERT_TRUE(put(fd, self->data, MANY * BLOCK, 0));
	OK(fsync(fd));
	places(fd, MANY, self->before);
	for (i = 0; i < MANY; i++)
		ASSERT_LT(1, self->before[i]);
	/* From the page cache, and once everything was forgotten. */
	EXPECT_EQ(11, overwrite(fd, self->data));
	OK(forget(fd));
	EXPECT_TRUE(has(fd, self->data, MANY * BLOCK, 0));
	close(fd);
	nx_drop_caches();
	GET(fd, open("f", O_RDWR));
	EXPECT_TRUE(has(fd, self->data, MANY * BLOCK, 0));
	EXPECT_EQ(11, overwrite(fd, self->data));
	places(fd, MANY, self->after);
	EXPECT_EQ(0, memcmp(self->before, self->after, sizeof(self->before)));
	close(fd);
	nx_drop_caches();
	GET(fd, open("f", O_RDWR));
	EXPECT_TRUE(has(fd, self->data, MANY * BLOCK, 0));
	close(fd);
}

TEST_F(cow, others_are_not)
{
	int fd;

	GET(fd, make("f", false));
	fill(self->data, MANY * BLOCK, 1);
	ASSERT_TRUE(put(fd, self->data, MANY * BLOCK, 0));
	OK(fsync(fd));
	places(fd, MANY, self->before);
	EXPECT_EQ(0, overwrite(fd, self->data));
	places(fd, MANY, self->after);
	EXPECT_NE(self->before[10], self->after[10]);
	EXPECT_EQ(self->before[9], self->after[9]);
	close(fd);
}

TEST_F(cow, direct)
{
	int64_t before;
	int fd, df;

	GET(fd, make("f", true));
	GET(df, open("f", O_RDWR | O_DIRECT));
	fill(self->data, MANY * BLOCK, 2);
	/* Into nothing, then over all of it at once, then over a part. */
	ASSERT_TRUE(put(df, self->data, 100 * BLOCK, 0));
	places(fd, MANY, self->before);
	EXPECT_LT(1, self->before[99]);
	before = nx_counter(COUNTED);
	fill(self->data, MANY * BLOCK, 3);
	ASSERT_TRUE(put(df, self->data, MANY * BLOCK, 0));
	ASSERT_TRUE(put(df, self->data + 7 * BLOCK, BLOCK, 7 * BLOCK));
	/* What is cached, and dirty, gives way. */
	ASSERT_TRUE(put(fd, "old", 3, 50 * BLOCK));
	ASSERT_TRUE(put(df, self->data + 50 * BLOCK, 2 * BLOCK, 50 * BLOCK));
	EXPECT_TRUE(has(fd, self->data, MANY * BLOCK, 0));
	EXPECT_EQ(103, nx_counter(COUNTED) - before);
	places(fd, MANY, self->after);
	EXPECT_EQ(0, memcmp(self->before, self->after, 100 * sizeof(uint64_t)));
	OK(forget(fd));
	EXPECT_TRUE(has(df, self->data, MANY * BLOCK, 0));
	close(df);
	close(fd);
}

TEST_F(cow, mapped)
{
	int64_t before;
	unsigned char *p;
	int fd;

	GET(fd, make("f", true));
	fill(self->data, MANY * BLOCK, 4);
	ASSERT_TRUE(put(fd, self->data, MANY * BLOCK, 0));
	OK(fsync(fd));
	places(fd, MANY, self->before);
	before = nx_counter(COUNTED);
	p = mmap(NULL, MANY * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	self->data[3] = p[3] = 'm';
	self->data[200 * BLOCK] = p[200 * BLOCK] = 'n';
	OK(msync(p, MANY * BLOCK, MS_SYNC));
	EXPECT_LE(2, nx_counter(COUNTED) - before);
	self->data[4] = p[4] = 'o';
	OK(munmap(p, MANY * BLOCK));
	places(fd, MANY, self->after);
	EXPECT_EQ(0, memcmp(self->before, self->after, sizeof(self->before)));
	close(fd);
	nx_drop_caches();
	GET(fd, open("f", O_RDONLY));
	EXPECT_TRUE(has(fd, self->data, MANY * BLOCK, 0));
	close(fd);
}

/* Nothing of it is inline, and a block that gets fuller stays where it is. */
TEST_F(cow, grows_in_its_block)
{
	struct stat st;
	uint64_t where;
	int64_t before;
	int fd, n;

	GET(fd, make("f", true));
	fill(self->data, 2 * BLOCK, 5);
	ASSERT_TRUE(put(fd, self->data, 100, 0));
	OK(fsync(fd));
	where = place(fd, 0);
	ASSERT_LT(1, where);
	before = nx_counter(COUNTED);
	for (n = 100; n < BLOCK; n += 999) {
		ASSERT_TRUE(put(fd, self->data + n, 999, n));
		OK(fdatasync(fd));
		EXPECT_EQ(where, place(fd, 0));
		OK(forget(fd));
		ASSERT_TRUE(has(fd, self->data, n + 999, 0));
		close(fd);
		nx_drop_caches();
		GET(fd, open("f", O_RDWR));
		OK(fstat(fd, &st));
		ASSERT_EQ(n + 999, st.st_size);
		ASSERT_TRUE(has(fd, self->data, n + 999, 0));
	}
	EXPECT_LE(4, nx_counter(COUNTED) - before);
	/* What is behind the end when it is moved is zeros. */
	OK(ftruncate(fd, 3 * BLOCK));
	memset(self->data + st.st_size, 0, 3 * BLOCK - st.st_size);
	EXPECT_TRUE(has(fd, self->data, 3 * BLOCK, 0));
	OK(forget(fd));
	EXPECT_TRUE(has(fd, self->data, 3 * BLOCK, 0));
	close(fd);
}

/* fdatasync of what was overwritten is a flush of the pack, and no record. */
TEST_F(cow, no_record)
{
	struct nx_stats a, b;
	int fd, i;

	GET(fd, make("f", true));
	fill(self->data, 8 * BLOCK, 6);
	ASSERT_TRUE(put(fd, self->data, 8 * BLOCK, 0));
	OK(fsync(fd));
	/* Its times are written before. */
	ASSERT_TRUE(put(fd, "first", 5, 0));
	OK(fsync(fd));
	sync();
	ASSERT_TRUE(nx_stats_read(&a));
	for (i = 0; i < 10; i++) {
		ASSERT_TRUE(put(fd, &i, sizeof(i), i % 8 * BLOCK));
		OK(fdatasync(fd));
	}
	ASSERT_TRUE(nx_stats_read(&b));
	EXPECT_EQ(10, nx_grew(&a, &b, COUNTED));
	EXPECT_LE(10, nx_grew(&a, &b, "log_flushes"));
	/* One for the times, now and then; ten extents it would be else. */
	EXPECT_GE(5, nx_grew(&a, &b, "log_records"));
	nx_stats_free(&a);
	nx_stats_free(&b);
	close(fd);
}

TEST_F(cow, reserved_first)
{
	int64_t before;
	int fd;

	GET(fd, make("f", true));
	OK(fallocate(fd, 0, 0, 20 * BLOCK));
	EXPECT_EQ(1, place(fd, 0));
	fill(self->data, 20 * BLOCK, 7);
	before = nx_counter(COUNTED);
	ASSERT_TRUE(put(fd, self->data, 20 * BLOCK, 0));
	OK(fsync(fd));
	EXPECT_EQ(0, nx_counter(COUNTED) - before);
	places(fd, 20, self->before);
	EXPECT_LT(1, self->before[0]);
	ASSERT_TRUE(put(fd, self->data, 20 * BLOCK, 0));
	OK(fsync(fd));
	EXPECT_EQ(20, nx_counter(COUNTED) - before);
	places(fd, 20, self->after);
	EXPECT_EQ(0, memcmp(self->before, self->after, 20 * sizeof(uint64_t)));
	close(fd);
}

/* What is cut inside of a block gets a new one, punched blocks do; others stay. */
TEST_F(cow, cut_and_punched)
{
	int fd;

	GET(fd, make("f", true));
	fill(self->data, 20 * BLOCK, 8);
	ASSERT_TRUE(put(fd, self->data, 20 * BLOCK, 0));
	OK(fsync(fd));
	places(fd, 20, self->before);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * BLOCK, 3 * BLOCK));
	memset(self->data + 2 * BLOCK, 0, 3 * BLOCK);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 7 * BLOCK + 9, 90));
	memset(self->data + 7 * BLOCK + 9, 0, 90);
	OK(ftruncate(fd, 10 * BLOCK + 10));
	OK(ftruncate(fd, 20 * BLOCK));
	memset(self->data + 10 * BLOCK + 10, 0, 10 * BLOCK - 10);
	OK(forget(fd));
	EXPECT_TRUE(has(fd, self->data, 20 * BLOCK, 0));
	fill(self->data + 2 * BLOCK, 9 * BLOCK, 9);
	ASSERT_TRUE(put(fd, self->data + 2 * BLOCK, 9 * BLOCK, 2 * BLOCK));
	OK(forget(fd));
	EXPECT_TRUE(has(fd, self->data, 20 * BLOCK, 0));
	places(fd, 20, self->after);
	EXPECT_EQ(self->before[1], self->after[1]);
	EXPECT_NE(self->before[2], self->after[2]);
	EXPECT_EQ(self->before[7], self->after[7]);
	EXPECT_NE(self->before[10], self->after[10]);
	EXPECT_EQ(0, self->after[11]);
	/* The block that was cut has a place of its own by now. */
	fill(self->data + 10 * BLOCK, BLOCK, 10);
	ASSERT_TRUE(put(fd, self->data + 10 * BLOCK, BLOCK, 10 * BLOCK));
	OK(fsync(fd));
	EXPECT_EQ(self->after[10], place(fd, 10 * BLOCK));
	close(fd);
}

/* ---- clones ------------------------------------------------------------------------ */

TEST_F(cow, clones)
{
	unsigned char *copy = malloc(20 * BLOCK);
	int a, b, plain;
	int64_t before;

	GET(a, make("a", true));
	GET(b, make("b", true));
	GET(plain, make("plain", false));
	fill(self->data, 20 * BLOCK, 11);
	memcpy(copy, self->data, 20 * BLOCK);
	ASSERT_TRUE(put(a, self->data, 20 * BLOCK, 0));
	ASSERT_TRUE(put(plain, self->data, 20 * BLOCK, 0));
	/* One has checksums and one has none. */
	FAILS(EINVAL, ioctl(plain, FICLONE, a));
	FAILS(EINVAL, ioctl(b, FICLONE, plain));
	FAILS(EINVAL, dedupe(plain, 0, a, 0, 20 * BLOCK));
	EXPECT_TRUE(has(plain, self->data, 20 * BLOCK, 0));
	EXPECT_EQ(0, size_of(b));
	/* What cannot be shared is copied where that was asked for. */
	EXPECT_EQ(20 * BLOCK, copy_file_range(a, NULL, plain, NULL, 20 * BLOCK, 0));
	EXPECT_TRUE(has(plain, self->data, 20 * BLOCK, 0));

	OK(ioctl(b, FICLONE, a));
	places(a, 20, self->before);
	places(b, 20, self->after);
	EXPECT_EQ(0, memcmp(self->before, self->after, 20 * sizeof(uint64_t)));
	/* Once each, by whoever comes first, and never into the other's. */
	before = nx_counter(COUNTED);
	fill(self->data + 4 * BLOCK, 2 * BLOCK, 12);
	ASSERT_TRUE(put(a, self->data + 4 * BLOCK, 2 * BLOCK, 4 * BLOCK));
	OK(fsync(a));
	EXPECT_EQ(0, nx_counter(COUNTED) - before);
	EXPECT_NE(self->before[4], place(a, 4 * BLOCK));
	EXPECT_EQ(self->before[3], place(a, 3 * BLOCK));
	EXPECT_EQ(self->before[4], place(b, 4 * BLOCK));
	places(a, 20, self->after);
	ASSERT_TRUE(put(a, self->data + 4 * BLOCK, 2 * BLOCK, 4 * BLOCK));
	OK(fsync(a));
	EXPECT_EQ(2, nx_counter(COUNTED) - before);
	EXPECT_EQ(self->after[4], place(a, 4 * BLOCK));
	OK(forget(a));
	OK(forget(b));
	EXPECT_TRUE(has(a, self->data, 20 * BLOCK, 0));
	EXPECT_TRUE(has(b, copy, 20 * BLOCK, 0));
	/* Within one file; what is overwritten next is not what was shared. */
	OK(clone_range(a, 4 * BLOCK, a, 10 * BLOCK, BLOCK));
	memcpy(self->data + 10 * BLOCK, self->data + 4 * BLOCK, BLOCK);
	fill(self->data + 4 * BLOCK, BLOCK, 13);
	ASSERT_TRUE(put(a, self->data + 4 * BLOCK, BLOCK, 4 * BLOCK));
	OK(forget(a));
	EXPECT_TRUE(has(a, self->data, 20 * BLOCK, 0));
	close(a);
	close(b);
	close(plain);
	free(copy);
	nx_drop_caches();
	GET(a, open("a", O_RDONLY));
	EXPECT_TRUE(has(a, self->data, 20 * BLOCK, 0));
	close(a);
}

/* Writes by every way, for as long as the file "go" is there. */
static void keep_writing(int way)
{
	unsigned char *buf = aligned_alloc(BLOCK, 16 * BLOCK), *p;
	unsigned int n = way;
	int fd, from, at;

	HOLDS((fd = open("live", O_RDWR | (way == 1 ? O_DIRECT : 0))) >= 0);
	HOLDS((from = open("from", O_RDONLY | O_DIRECT)) >= 0);
	p = mmap(NULL, 64 * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	HOLDS(p != MAP_FAILED);
	while (!access("go", F_OK)) {
		at = (n = n * 1103515245 + 12345) / 65536 % 48;
		memset(buf, n, 16 * BLOCK);
		if (way == 2)
			memset(p + at * BLOCK, n, 3 * BLOCK);
		else if (way == 3)
			/* By a device, whatever is under way. */
			HOLDS(pread(from, p + at * BLOCK, 8 * BLOCK, n / 65536 % 8 * BLOCK) ==
			      8 * BLOCK);
		else
			HOLDS(put(fd, buf, (1 + n / 65536 % 16) * BLOCK, at * BLOCK));
		if (!way)
			HOLDS(!fdatasync(fd));
	}
	_exit(0);
}

/* A clone is of one moment, whatever is overwritten in its source from then on. */
TEST_F(cow, clones_of_what_is_written)
{
	unsigned char *first = malloc(64 * BLOCK), *then = malloc(64 * BLOCK);
	int live, snap, from, way, i;

	GET(live, make("live", true));
	GET(from, make("from", false));
	fill(first, 16 * BLOCK, 1);
	ASSERT_TRUE(put(from, first, 16 * BLOCK, 0));
	OK(forget(from));
	close(from);
	memset(first, 1, 64 * BLOCK);
	ASSERT_TRUE(put(live, first, 64 * BLOCK, 0));
	OK(nx_put("go", ""));
	for (way = 0; way < 4; way++)
		if (!fork())
			keep_writing(way);
	for (i = 0; i < (int)nx_env("NEXUS_LOOPS", 10); i++) {
		GET(snap, make("snap", true));
		OK(ioctl(snap, FICLONE, live));
		ASSERT_EQ(64 * BLOCK, pread(snap, first, 64 * BLOCK, 0));
		OK(forget(snap));
		usleep(100000);
		ASSERT_EQ(64 * BLOCK, pread(snap, then, 64 * BLOCK, 0));
		EXPECT_EQ(0, memcmp(first, then, 64 * BLOCK)) TH_LOG("clone %d", i);
		close(snap);
	}
	OK(unlink("go"));
	EXPECT_EQ(0, nx_reap());
	EXPECT_LT(0, nx_counter(COUNTED));
	/* What is cached is what is on disk. */
	ASSERT_EQ(64 * BLOCK, pread(live, first, 64 * BLOCK, 0));
	OK(forget(live));
	EXPECT_TRUE(has(live, first, 64 * BLOCK, 0));
	close(live);
	free(first);
	free(then);
}

/* Neither the kernel nor the helper compares them with what they were first. */
TEST_F(cow, no_checksums)
{
	int fd;

	GET(fd, make("f", true));
	fill(self->data, 20 * BLOCK, 18);
	ASSERT_TRUE(put(fd, self->data, 20 * BLOCK, 0));
	OK(fsync(fd));
	fill(self->data, 10 * BLOCK, 19);
	ASSERT_TRUE(put(fd, self->data, 10 * BLOCK, 0));
	OK(fsync(fd));
	OK(nx_remount(nx_base(), "verify=always"));
	OK(forget(fd));
	EXPECT_TRUE(has(fd, self->data, 20 * BLOCK, 0));
	OK(nx_remount(nx_base(), "verify=remote"));
	close(fd);
	if (nx_sh("nexusctl status > /dev/null 2>&1"))
		SKIP(return, "needs a helper");
	EXPECT_EQ(0, nx_sh("nexusctl pack verify root > log 2>&1 || { cat log; false; }"));
}

/* ---- by every way ---------------------------------------------------------------------- */

TEST_F(cow, random_operations)
{
	static const char * const programs[] = { "fsx", "clonefsx" };
	char bin[PATH_MAX];
	unsigned int i;
	ssize_t n = readlink("/proc/self/exe", bin, sizeof(bin) - 1);
	int dir;

	ASSERT_LT(0, n);
	bin[n] = '\0';
	*strrchr(bin, '/') = '\0';
	OK(mkdir("d", 0755));
	GET(dir, open("d", O_RDONLY));
	OK(set_flags(dir, FS_NOCOW_FL));
	close(dir);
	for (i = 0; i < N_ELEMS(programs); i++)
		EXPECT_EQ(0, nx_sh("NEXUS_TEST_DIR=$PWD/d NEXUS_OPS=%d %s/%s > log 2>&1 || { cat log; false; }",
				   (int)nx_env("NEXUS_OPS", 250), bin, programs[i]));
}

/* ---- a full disk ------------------------------------------------------------------------- */

/* Scenario B25. */
TEST_F(cow, full_disk)
{
	unsigned char *p;
	struct statvfs sv;
	uint64_t step;
	int fd, df, all, rest, plain;

	fill(self->data, MANY * BLOCK, 14);
	GET(fd, make("f", true));
	GET(df, open("f", O_RDWR | O_DIRECT));
	GET(plain, make("plain", false));
	ASSERT_TRUE(put(fd, self->data, MANY * BLOCK, 0));
	ASSERT_TRUE(put(plain, self->data, MANY * BLOCK, 0));
	OK(fsync(fd));
	OK(fsync(plain));
	places(fd, MANY, self->before);
	GET(all, make("all", false));
	GET(rest, make("rest", false));
	OK(fstatvfs(all, &sv));
	for (step = sv.f_bavail * sv.f_frsize; step >= MIB; step /= 2)
		while (!fallocate(all, FALLOC_FL_KEEP_SIZE, lseek(all, 0, SEEK_CUR), step))
			lseek(all, step, SEEK_CUR);
	ASSERT_EQ(ENOSPC, errno);
	while (write(rest, self->data, MIB) == MIB)
		;
	while (write(rest, self->data, BLOCK) == BLOCK)
		;
	EXPECT_EQ(ENOSPC, errno);
	/* Who needs a new place gets none, and who does not need one goes on. */
	FAILS(ENOSPC, pwrite(plain, self->data, MANY * BLOCK, 0));
	fill(self->data, MANY * BLOCK, 15);
	EXPECT_TRUE(put(fd, self->data, MANY * BLOCK, 0));
	EXPECT_EQ(0, fsync(fd));
	fill(self->data, 100 * BLOCK, 16);
	EXPECT_TRUE(put(df, self->data, 100 * BLOCK, 0));
	p = mmap(NULL, MANY * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	fill(self->data + 50 * BLOCK, 100 * BLOCK, 17);
	memcpy(p + 50 * BLOCK, self->data + 50 * BLOCK, 100 * BLOCK);
	EXPECT_EQ(0, msync(p, MANY * BLOCK, MS_SYNC));
	OK(munmap(p, MANY * BLOCK));
	EXPECT_EQ(0, forget(fd));
	EXPECT_TRUE(has(fd, self->data, MANY * BLOCK, 0));
	places(fd, MANY, self->after);
	EXPECT_EQ(0, memcmp(self->before, self->after, sizeof(self->before)));
	OK(ftruncate(all, 0));
	OK(ftruncate(rest, 0));
	close(all);
	close(rest);
	close(plain);
	close(df);
	close(fd);
}

TEST_HARNESS_MAIN
