// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks shared between files: FICLONE, FICLONERANGE, FIDEDUPERANGE and
 * copy_file_range(2); what they refuse, that nothing is copied, and that
 * files which share stay apart whatever is done to one of them.
 */
#include <linux/fiemap.h>

#include "nx_clone.h"
#include "nx_stats.h"
#include "nx_still.h"

#ifndef FS_IOC_FIEMAP
#define FS_IOC_FIEMAP _IOWR('f', 11, struct fiemap)
#endif

static void pattern(unsigned char *p, size_t len, unsigned int seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (unsigned char)((seed * 131 + i * 7 + (i >> 12) * 29) | 1);
}

/* A new file with @len bytes of a pattern. */
static int make(const char *name, size_t len, unsigned int seed)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	unsigned char *p = malloc(len + 1);

	if (fd < 0 || !p)
		return -1;
	pattern(p, len, seed);
	if (write(fd, p, len) != (ssize_t)len)
		fd = -1;
	free(p);
	return fd;
}

/* Whether @len bytes at @at are those of pattern @seed from @from on; seed 0: zeros. */
static bool holds(int fd, off_t at, size_t len, unsigned int seed, size_t from)
{
	unsigned char *want = calloc(1, from + len + 1), *got = malloc(len + 1);
	bool same;

	if (seed)
		pattern(want, from + len, seed);
	same = pread(fd, got, len, at) == (ssize_t)len &&
	       !memcmp(got, want + from, len);
	free(want);
	free(got);
	return same;
}

static long blocks_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : st.st_blocks;
}

FIXTURE(share)
{
	char path[PATH_MAX / 2];
	bool nexus;
};

FIXTURE_SETUP(share)
{
	umask(022);
	snprintf(self->path, sizeof(self->path), "%s/clone.XXXXXX", nx_base());
	ASSERT_NE(NULL, mkdtemp(self->path));
	OK(chmod(self->path, 0755));
	OK(chdir(self->path));
	self->nexus = nx_is_nexus(self->path);
	if (!nx_shares())
		SKIP(return, "the filesystem shares no blocks");
}

FIXTURE_TEARDOWN(share)
{
	EXPECT_EQ(0, chdir("/"));
	EXPECT_EQ(0, nx_rm(self->path));
}

/* Flags of the extent that has @block, of what is on disk; -1: none has it. */
static long flags_at(int fd, unsigned long block)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
	} u = {};

	u.map.fm_start = block * BS;
	u.map.fm_length = BS;
	u.map.fm_flags = FIEMAP_FLAG_SYNC;
	u.map.fm_extent_count = 1;
	if (ioctl(fd, FS_IOC_FIEMAP, &u.map) || !u.map.fm_mapped_extents)
		return -1;
	return u.map.fm_extents[0].fe_flags;
}

/* ---- what it does -------------------------------------------------------- */

TEST_F(share, whole_file)
{
	size_t len = 700 * BS + 1234;
	int a, b;

	GET(a, make("a", len, 1));
	GET(b, make("b", 3 * len / 2, 2));
	OK(ftruncate(b, 0));
	OK(ioctl(b, FICLONE, a));
	EXPECT_EQ(len, size_of(b));
	EXPECT_TRUE(holds(b, 0, len, 1, 0));
	EXPECT_EQ(blocks_of(a), blocks_of(b));
	/* Also from the disk. */
	nx_drop_caches();
	EXPECT_TRUE(holds(b, 0, len, 1, 0));
	EXPECT_TRUE(holds(a, 0, len, 1, 0));
	/* And as the index has it. */
	close(a);
	close(b);
	nx_drop_caches();
	GET(b, open("b", O_RDWR | O_CLOEXEC));
	EXPECT_TRUE(holds(b, 0, len, 1, 0));
	EXPECT_EQ(len, size_of(b));
	EXPECT_EQ(((len + BS - 1) / BS) * 8, blocks_of(b));
}

/* As programs find out that a file is a clone. */
TEST_F(share, shown)
{
	int a, b;

	GET(a, make("a", 16 * BS, 1));
	GET(b, make("b", 16 * BS, 2));
	EXPECT_EQ(0, flags_at(a, 6) & FIEMAP_EXTENT_SHARED);
	OK(clone_range(a, 4 * BS, b, 8 * BS, 4 * BS));
	EXPECT_NE(0, flags_at(a, 6) & FIEMAP_EXTENT_SHARED);
	EXPECT_NE(0, flags_at(b, 10) & FIEMAP_EXTENT_SHARED);
	EXPECT_EQ(0, flags_at(b, 2) & FIEMAP_EXTENT_SHARED);
	/* Also when the index says it. */
	close(a);
	close(b);
	nx_drop_caches();
	GET(a, open("a", O_RDWR | O_CLOEXEC));
	GET(b, open("b", O_RDWR | O_CLOEXEC));
	EXPECT_NE(0, flags_at(a, 6) & FIEMAP_EXTENT_SHARED);
	EXPECT_NE(0, flags_at(b, 10) & FIEMAP_EXTENT_SHARED);
	/* What is written anew is the file's own. */
	EXPECT_EQ(5, pwrite(b, "mine!", 5, 10 * BS));
	EXPECT_EQ(0, flags_at(b, 10) & FIEMAP_EXTENT_SHARED);
	EXPECT_NE(0, flags_at(a, 6) & FIEMAP_EXTENT_SHARED);
}

TEST_F(share, nothing_is_copied)
{
	struct nx_stats before, after;
	int a, b;

	if (!self->nexus || !nx_stats_read(&before))
		SKIP(return, "needs the module's counters");
	nx_stats_free(&before);
	GET(a, make("a", 16 << 20, 1));
	OK(fsync(a));
	GET(b, open("b", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	ASSERT_TRUE(nx_stats_read(&before));
	OK(ioctl(b, FICLONE, a));
	OK(fsync(b));
	ASSERT_TRUE(nx_stats_read(&after));
	EXPECT_EQ(0, nx_grew(&before, &after, "pack_write_blocks"));
	EXPECT_EQ(0, nx_grew(&before, &after, "pack_read_blocks"));
	/* Two records for 4 MiB each, and what others do meanwhile. */
	EXPECT_GT(30, nx_grew(&before, &after, "log_records"));
	nx_stats_free(&before);
	nx_stats_free(&after);
}

TEST_F(share, apart)
{
	int a, b, c;

	GET(a, make("a", 20 * BS, 1));
	GET(b, open("b", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	GET(c, open("c", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	OK(ioctl(b, FICLONE, a));
	OK(ioctl(c, FICLONE, b));
	ASSERT_EQ(5, pwrite(b, "hello", 5, 3 * BS + 17));
	OK(ftruncate(c, 7 * BS + 9));
	nx_drop_caches();
	EXPECT_TRUE(holds(a, 0, 20 * BS, 1, 0));
	EXPECT_TRUE(holds(b, 0, 3 * BS + 17, 1, 0));
	EXPECT_TRUE(holds(b, 3 * BS + 22, 16 * BS, 1, 3 * BS + 22));
	EXPECT_TRUE(holds(c, 0, 7 * BS + 9, 1, 0));
	/* What was cut off does not come back. */
	OK(ftruncate(c, 9 * BS));
	EXPECT_TRUE(holds(c, 7 * BS + 9, 2 * BS - 9, 0, 0));
	/* The first owner goes. */
	ASSERT_EQ(20 * BS, pwrite(a, memset(malloc(20 * BS), 'x', 20 * BS), 20 * BS, 0));
	OK(fsync(a));
	close(a);
	OK(unlink("a"));
	nx_drop_caches();
	EXPECT_TRUE(holds(b, 4 * BS, 16 * BS, 1, 4 * BS));
	EXPECT_TRUE(holds(c, 0, 7 * BS + 9, 1, 0));
}

TEST_F(share, ranges)
{
	int a, b;

	GET(a, make("a", 10 * BS + 100, 1));
	GET(b, make("b", 20 * BS, 2));
	OK(clone_range(a, 2 * BS, b, 5 * BS, 3 * BS));
	EXPECT_EQ(20 * BS, size_of(b));
	EXPECT_TRUE(holds(b, 0, 5 * BS, 2, 0));
	EXPECT_TRUE(holds(b, 5 * BS, 3 * BS, 1, 2 * BS));
	EXPECT_TRUE(holds(b, 8 * BS, 12 * BS, 2, 8 * BS));
	/* To the source's end, behind the destination's: a hole in between. */
	OK(ftruncate(b, 20 * BS + 50));
	OK(clone_range(a, 9 * BS, b, 30 * BS, 0));
	EXPECT_EQ(31 * BS + 100, size_of(b));
	EXPECT_TRUE(holds(b, 20 * BS, 10 * BS, 0, 0));
	EXPECT_TRUE(holds(b, 30 * BS, BS + 100, 1, 9 * BS));
	nx_drop_caches();
	EXPECT_TRUE(holds(b, 8 * BS, 12 * BS, 2, 8 * BS));
	EXPECT_TRUE(holds(b, 20 * BS, 10 * BS, 0, 0));
	EXPECT_TRUE(holds(b, 30 * BS, BS + 100, 1, 9 * BS));
	/* The end of the file again, exactly. */
	OK(clone_range(a, 10 * BS, b, 31 * BS, 100));
	EXPECT_EQ(31 * BS + 100, size_of(b));
	/* Behind that end are zeros. */
	OK(ftruncate(b, 32 * BS));
	EXPECT_TRUE(holds(b, 31 * BS + 100, BS - 100, 0, 0));
	/* The last whole block a file can have. */
	OK(clone_range(a, 0, b, 0x7fffffffffffe000, BS));
	EXPECT_EQ(0x7ffffffffffff000, size_of(b));
	nx_drop_caches();
	EXPECT_TRUE(holds(b, 0x7fffffffffffe000, BS, 1, 0));
	OK(ftruncate(b, 31 * BS));
	/* Holes are cloned as holes. */
	OK(ftruncate(a, 0));
	OK(ftruncate(a, 4 * BS));
	OK(clone_range(a, 0, b, 5 * BS, 4 * BS));
	EXPECT_TRUE(holds(b, 5 * BS, 4 * BS, 0, 0));
	EXPECT_TRUE(holds(b, 9 * BS, 10 * BS, 2, 9 * BS));
}

TEST_F(share, within_a_file)
{
	int a;

	GET(a, make("a", 8 * BS, 1));
	OK(clone_range(a, 0, a, 8 * BS, 8 * BS));
	OK(clone_range(a, 2 * BS, a, 5 * BS, 3 * BS));
	nx_drop_caches();
	EXPECT_EQ(16 * BS, size_of(a));
	EXPECT_TRUE(holds(a, 0, 5 * BS, 1, 0));
	EXPECT_TRUE(holds(a, 5 * BS, 3 * BS, 1, 2 * BS));
	EXPECT_TRUE(holds(a, 8 * BS, 8 * BS, 1, 0));
	FAILS(EINVAL, clone_range(a, 0, a, 4 * BS, 5 * BS));
	FAILS(EINVAL, clone_range(a, 4 * BS, a, 3 * BS, 2 * BS));
	FAILS(EINVAL, ioctl(a, FICLONE, a));
	OK(ftruncate(a, BS));
	EXPECT_TRUE(holds(a, 0, BS, 1, 0));
}

TEST_F(share, many_extents)
{
	size_t n = 700, i;
	char block[BS];
	int a, b;

	/* Every second block, backwards, so that nothing joins. */
	GET(a, open("a", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	for (i = n; i--;) {
		memset(block, 'a' + i % 26, BS);
		ASSERT_EQ(BS, pwrite(a, block, BS, i * 2 * BS));
		if (i % 50 == 0)
			OK(fdatasync(a));
	}
	GET(b, open("b", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	OK(ioctl(b, FICLONE, a));
	EXPECT_EQ(n * 8, blocks_of(b));
	OK(clone_range(a, 0, b, 2 * n * BS, 0));
	EXPECT_EQ(2 * n * 8, blocks_of(b));
	close(a);
	close(b);
	OK(unlink("a"));
	nx_drop_caches();
	GET(b, open("b", O_RDWR | O_CLOEXEC));
	EXPECT_EQ(2 * n * 8, blocks_of(b));
	for (i = 0; i < n; i++) {
		ASSERT_EQ(BS, pread(b, block, BS, (i + (i % 2) * n) * 2 * BS));
		ASSERT_EQ('a' + i % 26, block[i % BS]);
	}
}

TEST_F(share, unnamed_and_removed)
{
	int a, b;

	GET(a, make("a", 10 * BS, 1));
	GET(b, open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	OK(unlink("a"));
	OK(ioctl(b, FICLONE, a));
	close(a);
	nx_drop_caches();
	EXPECT_TRUE(holds(b, 0, 10 * BS, 1, 0));
}

TEST_F(share, times_and_rights)
{
	struct stat st, after;
	int a, b;

	GET(a, make("a", 2 * BS, 1));
	GET(b, make("b", 5 * BS, 2));
	OK(fchmod(b, 06755));
	OK(fstat(b, &st));
	nx_tick();
	/* Without the right to keep them the bits go, as by a write. */
	if (!fork()) {
		HOLDS(!nx_drop_user());
		HOLDS(!ioctl(b, FICLONE, a));
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
	OK(fstat(b, &after));
	EXPECT_EQ(0755, after.st_mode & 07777);
	EXPECT_TRUE(after.st_mtime != st.st_mtime ||
		    after.st_mtim.tv_nsec != st.st_mtim.tv_nsec);
	EXPECT_EQ(5 * BS, after.st_size);
	st = after;
	nx_tick();
	EXPECT_EQ(0, dedupe(a, 0, b, 0, BS));
	OK(fstat(b, &after));
	EXPECT_EQ(st.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

/* ---- mappings ---------------------------------------------------------------- */

TEST_F(share, mapped)
{
	unsigned char *ma, *mb;
	int a, b;

	GET(a, make("a", 8 * BS, 1));
	GET(b, make("b", 8 * BS, 2));
	ma = mmap(NULL, 8 * BS, PROT_READ | PROT_WRITE, MAP_SHARED, a, 0);
	mb = mmap(NULL, 8 * BS, PROT_READ | PROT_WRITE, MAP_SHARED, b, 0);
	ASSERT_NE(MAP_FAILED, ma);
	ASSERT_NE(MAP_FAILED, mb);
	/* Stored and not written yet, in both. */
	memset(ma + BS, 'A', BS);
	memset(mb + BS, 'B', 3 * BS);
	OK(clone_range(a, 0, b, 0, 3 * BS));
	EXPECT_EQ(0, memcmp(ma, mb, 3 * BS));
	EXPECT_EQ('A', mb[2 * BS - 1]);
	EXPECT_EQ('B', mb[3 * BS]);
	/* From now on each has its own. */
	memset(ma, 'C', 3 * BS);
	EXPECT_EQ('A', mb[BS]);
	memset(mb, 'D', 2 * BS);
	OK(msync(mb, 8 * BS, MS_SYNC));
	OK(munmap(ma, 8 * BS));
	OK(munmap(mb, 8 * BS));
	nx_drop_caches();
	ma = mmap(NULL, 8 * BS, PROT_READ, MAP_SHARED, a, 0);
	mb = mmap(NULL, 8 * BS, PROT_READ, MAP_SHARED, b, 0);
	EXPECT_EQ('C', ma[2 * BS]);
	EXPECT_EQ('D', mb[2 * BS - 1]);
	EXPECT_TRUE(holds(b, 2 * BS, BS, 1, 2 * BS));
	EXPECT_EQ('B', mb[3 * BS]);
	OK(munmap(ma, 8 * BS));
	OK(munmap(mb, 8 * BS));
}

/* A store through a mapping of the destination, all the time. */
TEST_F(share, dedupe_loses_no_store)
{
	volatile uint64_t *map;
	uint64_t seen, n = 0;
	int a, b, i, loops = nx_env("NEXUS_SHORT", 0) ? 100 : 400;
	int same = 0, different = 0, status;
	pid_t pid;

	GET(a, make("a", 4 * BS, 1));
	GET(b, make("b", 4 * BS, 1));
	map = mmap(NULL, 4 * BS, PROT_READ | PROT_WRITE, MAP_SHARED, b, 0);
	ASSERT_NE(MAP_FAILED, map);
	seen = map[1];
	GET(pid, fork());
	if (!pid) {
		/* Changed and changed back, then counted where nobody dedupes. */
		for (;;) {
			map[1] = seen + 1;
			if (map[1] != seen + 1)
				_exit(1);
			usleep(n % 3 * 50);
			map[1] = seen;
			map[3 * BS / 8] = ++n;
			usleep(n % 5 * 50);
		}
	}
	for (i = 0; i < loops; i++) {
		status = dedupe(a, 0, b, 0, 2 * BS);
		ASSERT_LE(0, status);
		same += !status;
		different += status == FILE_DEDUPE_RANGE_DIFFERS;
		usleep(i % 7 * 30);
	}
	OK(kill(pid, SIGKILL) || waitpid(pid, &status, 0) != pid);
	ASSERT_TRUE(WIFSIGNALED(status)) {
		TH_LOG("a store was lost");
	}
	TH_LOG("%d same, %d different", same, different);
	OK(munmap((void *)map, 4 * BS));
	EXPECT_TRUE(holds(a, 0, 4 * BS, 1, 0));
}

/* ---- FIDEDUPERANGE, copy_file_range -------------------------------------------- */

TEST_F(share, deduplicated)
{
	int a, b;

	GET(a, make("a", 4200 * BS + 77, 1));
	GET(b, make("b", 4200 * BS + 77, 1));
	ASSERT_EQ(1, pwrite(b, "!", 1, 4150 * BS));
	EXPECT_EQ(0, dedupe(a, 0, b, 0, 4150 * BS));
	EXPECT_EQ(FILE_DEDUPE_RANGE_DIFFERS, dedupe(a, 4000 * BS, b, 4000 * BS, 180 * BS));
	EXPECT_EQ(FILE_DEDUPE_RANGE_DIFFERS, dedupe(a, 0, b, BS, BS));
	/* The end of both. */
	EXPECT_EQ(0, dedupe(a, 4199 * BS, b, 4199 * BS, BS + 77));
	FAILS(EINVAL, dedupe(a, 0, b, 0, 6000 * BS));
	FAILS(EINVAL, dedupe(a, 1, b, 1, BS));
	FAILS(EINVAL, dedupe(a, 0, a, 2 * BS, 4 * BS));
	nx_drop_caches();
	EXPECT_TRUE(holds(a, 0, 4200 * BS + 77, 1, 0));
	EXPECT_TRUE(holds(b, 0, 4150 * BS, 1, 0));
	EXPECT_TRUE(holds(b, 4151 * BS, 49 * BS + 77, 1, 4151 * BS));
	ASSERT_EQ(1, pwrite(b, "?", 1, 10));
	EXPECT_TRUE(holds(a, 0, BS, 1, 0));
}

TEST_F(share, copied)
{
	loff_t from, to;
	size_t done, len = 40 * BS + 321, skip;
	ssize_t n;
	int a, b;

	GET(a, make("a", len, 1));
	for (skip = 0; skip < 3; skip++) {
		GET(b, make("b", 3, 2));
		from = skip * 100;
		to = skip * (BS - 50);
		for (done = 0; done < len - skip * 100; done += n) {
			n = copy_file_range(a, &from, b, &to, len, 0);
			ASSERT_LT(0, n) {
				TH_LOG("%s", strerror(errno));
			}
		}
		EXPECT_EQ(0, copy_file_range(a, &from, b, &to, len, 0));
		nx_drop_caches();
		EXPECT_TRUE(holds(b, skip * (BS - 50), len - skip * 100, 1, skip * 100));
		if (skip)
			EXPECT_TRUE(holds(b, 3, skip * (BS - 50) - 3, 0, 0));
		close(b);
	}
}

/* ---- what it refuses ------------------------------------------------------------- */

TEST_F(share, refused)
{
	int a, b, dir, fifo, app, rdonly, wronly, other;
	struct file_clone_range r = { .src_fd = -1 };
	char path[] = "/tmp/clone.XXXXXX";

	GET(a, make("a", 4 * BS + 5, 1));
	GET(b, make("b", 8 * BS, 2));
	FAILS(EINVAL, clone_range(a, 1, b, 0, BS));
	FAILS(EINVAL, clone_range(a, 0, b, 1, BS));
	FAILS(EINVAL, clone_range(a, 0, b, 0, BS + 1));
	/* The partial block at the end would be in the middle. */
	FAILS(EINVAL, clone_range(a, 4 * BS, b, 0, 5));
	FAILS(EINVAL, clone_range(a, 0, b, 0, 0));
	FAILS(EINVAL, clone_range(a, 5 * BS, b, 0, BS));
	FAILS(EINVAL, clone_range(a, 0, b, 0, 6 * BS));
	FAILS(EINVAL, clone_range(a, ~0ul << 12, b, 0, BS));
	FAILS(EINVAL, clone_range(a, 0, b, 1ull << 63, BS));
	FAILS(EINVAL, clone_range(a, 0, b, 0x7ffffffffffff000, BS));
	FAILS(EBADF, ioctl(b, FICLONERANGE, &r));
	FAILS(EBADF, ioctl(b, FICLONE, -1));

	OK(mkdir("dir", 0755));
	OK(mkfifo("fifo", 0644));
	GET(dir, open("dir", O_RDONLY | O_CLOEXEC));
	GET(fifo, open("fifo", O_RDWR | O_CLOEXEC));
	GET(app, open("b", O_RDWR | O_APPEND | O_CLOEXEC));
	GET(rdonly, open("b", O_RDONLY | O_CLOEXEC));
	GET(wronly, open("a", O_WRONLY | O_CLOEXEC));
	FAILS(EISDIR, ioctl(b, FICLONE, dir));
	FAILS(EISDIR, ioctl(dir, FICLONE, a));
	FAILS(EINVAL, ioctl(b, FICLONE, fifo));
	/* ioctl(2) on a FIFO is not the filesystem's. */
	EXPECT_EQ(-1, ioctl(fifo, FICLONE, a));
	FAILS(EBADF, ioctl(app, FICLONE, a));
	FAILS(EBADF, ioctl(rdonly, FICLONE, a));
	FAILS(EBADF, ioctl(b, FICLONE, wronly));

	GET(other, mkstemp(path));
	unlink(path);
	FAILS(EXDEV, ioctl(b, FICLONE, other));
	FAILS(EXDEV, ioctl(other, FICLONE, a));
	EXPECT_TRUE(holds(a, 0, 4 * BS + 5, 1, 0));
	EXPECT_TRUE(holds(b, 0, 8 * BS, 2, 0));
}

static void limited(void *arg)
{
	struct rlimit rl = { 6 * BS, 6 * BS };
	int *fd = arg;

	signal(SIGXFSZ, SIG_IGN);
	HOLDS(!setrlimit(RLIMIT_FSIZE, &rl));
	HOLDS(clone_range(fd[0], 0, fd[1], 4 * BS, 4 * BS) == -1);
	HOLDS(errno == EFBIG || errno == EINVAL);
	HOLDS(clone_range(fd[0], 0, fd[1], 6 * BS, BS) == -1 && errno == EFBIG);
	HOLDS(!clone_range(fd[0], 0, fd[1], 2 * BS, 4 * BS));
}

TEST_F(share, file_size_limit)
{
	int fd[2];

	GET(fd[0], make("a", 4 * BS, 1));
	GET(fd[1], make("b", BS, 2));
	EXPECT_EQ(0, nx_as_nobody(limited, fd));
	EXPECT_EQ(6 * BS, size_of(fd[1]));
}

TEST_F(share, synthesized_files)
{
	char path[PATH_MAX];
	int a, b, sys;

	if (!self->nexus)
		SKIP(return, "needs nexusfs");
	snprintf(path, sizeof(path), "%s/__sys__/stats", nx_base());
	sys = open(path, O_RDONLY | O_CLOEXEC);
	if (sys < 0)
		SKIP(return, "no /__sys__/");
	GET(a, make("a", BS, 1));
	GET(b, make("b", BS, 2));
	EXPECT_EQ(-1, ioctl(b, FICLONE, sys));
	EXPECT_EQ(-1, ioctl(sys, FICLONE, a));
	EXPECT_EQ(-1, dedupe(a, 0, sys, 0, BS));
}

/* ---- programs ----------------------------------------------------------------------- */

TEST_F(share, programs)
{
	int a;

	GET(a, make("a", 300 * BS + 7, 1));
	OK(ftruncate(a, 900 * BS + 1));
	ASSERT_EQ(3, pwrite(a, "end", 3, 1200 * BS));
	close(a);
	EXPECT_EQ(0, nx_sh("cp --reflink=always a b && cmp a b"));
	EXPECT_EQ(0, nx_sh("cp --reflink=never --sparse=always a c && cmp a c"));
	EXPECT_EQ(0, nx_sh("cp a d && cmp a d"));
	EXPECT_EQ(0, nx_sh("dd if=a of=e bs=64k status=none && cmp a e"));
	EXPECT_EQ(0, nx_sh("mkdir t u && cp a t/ && cp -a --reflink=always t u && diff -r t u/t"));
	EXPECT_EQ(0, nx_sh("command -v rsync > /dev/null || exit 0; "
			   "rsync -a t/ v/ && diff -r t v"));
}

TEST_HARNESS_MAIN
