// SPDX-License-Identifier: GPL-2.0-only
/* Modes, owners, times: who may change them, what changes them, what does not. */
#include "nx.h"

static struct stat get(const char *path)
{
	struct stat st = {};

	if (lstat(path, &st))
		memset(&st, 0xff, sizeof(st));
	return st;
}

static bool same(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Long enough for the clock of file times to move on. */
TEST_F(dir, chmod_all_bits)
{
	int mode;

	OK(nx_put("f", "x"));
	OK(mkdir("d", 0755));
	for (mode = 0; mode <= 07777; mode += 0111) {
		OK(chmod("f", mode));
		EXPECT_EQ(S_IFREG | mode, get("f").st_mode);
		OK(chmod("d", mode));
		EXPECT_EQ(S_IFDIR | mode, get("d").st_mode);
	}
	OK(chmod("f", 07777));
	nx_drop_caches();
	EXPECT_EQ(S_IFREG | 07777, get("f").st_mode);
	OK(chmod("f", 0));
	nx_drop_caches();
	EXPECT_EQ(S_IFREG, get("f").st_mode);
}

TEST_F(dir, chown_by_root)
{
	if (!self->root)
		SKIP(return, "needs root");
	OK(nx_put("f", "x"));
	OK(chown("f", 1000, 2000));
	EXPECT_EQ(1000, get("f").st_uid);
	EXPECT_EQ(2000, get("f").st_gid);
	OK(chown("f", -1, 7));
	OK(chown("f", 8, -1));
	OK(chown("f", -1, -1));
	EXPECT_EQ(8, get("f").st_uid);
	EXPECT_EQ(7, get("f").st_gid);
	OK(chown("f", 4294967294u, 4294967293u));
	nx_drop_caches();
	EXPECT_EQ(4294967294u, get("f").st_uid);
	EXPECT_EQ(4294967293u, get("f").st_gid);
	OK(symlink("f", "l"));
	OK(lchown("l", 5, 6));
	EXPECT_EQ(5, get("l").st_uid);
	EXPECT_EQ(4294967294u, get("f").st_uid);
}

static void stranger(void *arg)
{
	struct timespec set[2] = { { 1, 0 }, { 1, 0 } };
	int fd;

	HOLDS(chmod("f", 0777) == -1 && errno == EPERM);
	HOLDS(chown("f", 65534, -1) == -1 && errno == EPERM);
	HOLDS(utimensat(AT_FDCWD, "f", set, 0) == -1 && errno == EPERM);
	HOLDS(utimensat(AT_FDCWD, "f", NULL, 0) == -1 && errno == EACCES);
	HOLDS(truncate("f", 0) == -1 && errno == EACCES);
	HOLDS(open("secret", O_RDONLY) == -1 && errno == EACCES);
	HOLDS(open("f", O_WRONLY) == -1 && errno == EACCES);
	fd = open("f", O_RDONLY);
	HOLDS(fd >= 0);
	HOLDS(fchmod(fd, 0777) == -1 && errno == EPERM);
	close(fd);
	HOLDS(open("closed/f", O_RDONLY) == -1 && errno == EACCES);
	HOLDS(mkdir("new", 0755) == -1 && errno == EACCES);
	HOLDS(link("f", "new") == -1);
	/* May write, so may say "now", but nothing else. */
	HOLDS(!utimensat(AT_FDCWD, "open", NULL, 0));
	HOLDS(utimensat(AT_FDCWD, "open", set, 0) == -1 && errno == EPERM);
	/* Its own. */
	HOLDS(!chmod("own", 0600));
	HOLDS(!utimensat(AT_FDCWD, "own", set, 0));
	HOLDS(!chown("own", 65534, 65534));
	HOLDS(chown("own", 0, -1) == -1 && errno == EPERM);
	HOLDS(chown("own", -1, 0) == -1 && errno == EPERM);
}

TEST_F(dir, what_a_stranger_may)
{
	if (!self->root)
		SKIP(return, "needs root");
	OK(nx_put("f", "x"));
	OK(nx_put("secret", "x"));
	OK(chmod("secret", 0600));
	OK(nx_put("open", "x"));
	OK(chmod("open", 0666));
	OK(nx_put("own", "x"));
	OK(chown("own", 65534, 65534));
	OK(mkdir("closed", 0700));
	OK(nx_put("closed/f", "x"));
	EXPECT_EQ(0, nx_as_nobody(stranger, NULL));
	EXPECT_EQ(1, get("f").st_size);
}

static void write_as_stranger(void *arg)
{
	int fd = open("s", O_WRONLY);

	HOLDS(fd >= 0);
	HOLDS(write(fd, "y", 1) == 1);
	close(fd);
	fd = open("t", O_WRONLY | O_TRUNC);
	HOLDS(fd >= 0);
	close(fd);
}

TEST_F(dir, setuid_is_cleared)
{
	if (!self->root)
		SKIP(return, "needs root");
	OK(nx_put("s", "x"));
	OK(nx_put("t", "x"));
	OK(nx_put("c", "x"));
	OK(nx_put("m", "x"));
	OK(chmod("s", 06777));
	OK(chmod("t", 06777));
	OK(chmod("c", 06777));
	OK(chmod("m", 02766));
	EXPECT_EQ(0, nx_as_nobody(write_as_stranger, NULL));
	EXPECT_EQ(S_IFREG | 0777, get("s").st_mode);
	EXPECT_EQ(S_IFREG | 0777, get("t").st_mode);
	OK(chown("c", 1, 1));
	EXPECT_EQ(S_IFREG | 0777, get("c").st_mode);
	/* Without group execution it means something else and stays. */
	OK(chown("m", 1, 1));
	EXPECT_EQ(S_IFREG | 02766, get("m").st_mode);
	nx_drop_caches();
	EXPECT_EQ(S_IFREG | 0777, get("s").st_mode);
	EXPECT_EQ(S_IFREG | 0777, get("t").st_mode);
	EXPECT_EQ(S_IFREG | 0777, get("c").st_mode);
}

static void chmod_of_foreign_group(void *arg)
{
	HOLDS(!chmod("foreign", 02755));
	HOLDS(!chmod("own", 02755));
}

TEST_F(dir, setgid_of_a_foreign_group)
{
	if (!self->root)
		SKIP(return, "needs root");
	OK(nx_put("foreign", "x"));
	OK(chown("foreign", 65534, 4));
	OK(nx_put("own", "x"));
	OK(chown("own", 65534, 65534));
	EXPECT_EQ(0, nx_as_nobody(chmod_of_foreign_group, NULL));
	EXPECT_EQ(S_IFREG | 0755, get("foreign").st_mode);
	EXPECT_EQ(S_IFREG | 02755, get("own").st_mode);
}

TEST_F(dir, setgid_directory)
{
	if (!self->root)
		SKIP(return, "needs root");
	OK(mkdir("d", 0755));
	OK(chown("d", 0, 42));
	OK(chmod("d", 02775));
	OK(nx_put("d/f", "x"));
	EXPECT_EQ(42, get("d/f").st_gid);
	OK(mkdir("d/sub", 0755));
	EXPECT_EQ(42, get("d/sub").st_gid);
	EXPECT_EQ(S_IFDIR | 02755, get("d/sub").st_mode);
	OK(symlink("x", "d/l"));
	EXPECT_EQ(42, get("d/l").st_gid);
}

TEST_F(dir, utimensat)
{
	struct timespec set[2] = { { 1234567890, 123456789 }, { 987654321, 1 } };
	struct stat before, after;

	OK(nx_put("f", "x"));
	before = get("f");
	nx_tick();
	OK(utimensat(AT_FDCWD, "f", set, 0));
	after = get("f");
	EXPECT_TRUE(same(set[0], after.st_atim));
	EXPECT_TRUE(same(set[1], after.st_mtim));
	EXPECT_FALSE(same(before.st_ctim, after.st_ctim));
	/* One of the two. */
	set[0].tv_nsec = UTIME_OMIT;
	set[1].tv_sec = 5;
	OK(utimensat(AT_FDCWD, "f", set, 0));
	EXPECT_EQ(1234567890, get("f").st_atim.tv_sec);
	EXPECT_EQ(123456789, get("f").st_atim.tv_nsec);
	EXPECT_EQ(5, get("f").st_mtim.tv_sec);
	set[0].tv_nsec = UTIME_NOW;
	set[1].tv_nsec = UTIME_OMIT;
	OK(utimensat(AT_FDCWD, "f", set, 0));
	EXPECT_LE(before.st_atim.tv_sec, get("f").st_atim.tv_sec);
	EXPECT_EQ(5, get("f").st_mtim.tv_sec);
	/* None: nothing at all. */
	before = get("f");
	nx_tick();
	set[0].tv_nsec = UTIME_OMIT;
	OK(utimensat(AT_FDCWD, "f", set, 0));
	after = get("f");
	EXPECT_TRUE(same(before.st_ctim, after.st_ctim));
	EXPECT_TRUE(same(before.st_atim, after.st_atim));
	nx_drop_caches();
	after = get("f");
	EXPECT_TRUE(same(before.st_ctim, after.st_ctim));
	EXPECT_TRUE(same(before.st_atim, after.st_atim));
	EXPECT_TRUE(same(before.st_mtim, after.st_mtim));
	set[0].tv_nsec = 1000000000;
	FAILS(EINVAL, utimensat(AT_FDCWD, "f", set, 0));
}

TEST_F(dir, times_far_away)
{
	static const time_t when[] = {
		-2147483000ll, -1, 0, 2147483647ll, 2147483648ll, 4294967296ll,
		8589934592ll, 15000000000ll,
	};
	struct timespec set[2];
	size_t i;

	OK(nx_put("f", "x"));
	OK(symlink("f", "l"));
	for (i = 0; i < N_ELEMS(when); i++) {
		set[0] = (struct timespec){ when[i], 999999999 };
		set[1] = (struct timespec){ when[i], 1 };
		OK(utimensat(AT_FDCWD, "f", set, 0));
		OK(utimensat(AT_FDCWD, "l", set, AT_SYMLINK_NOFOLLOW));
		if (i % 3 == 2)
			nx_drop_caches();
		EXPECT_TRUE(same(set[0], get("f").st_atim)) {
			TH_LOG("%lld became %lld.%09ld", (long long)when[i],
			       (long long)get("f").st_atim.tv_sec,
			       get("f").st_atim.tv_nsec);
		}
		EXPECT_TRUE(same(set[1], get("f").st_mtim));
		EXPECT_TRUE(same(set[1], get("l").st_mtim));
	}
}

TEST_F(dir, birth_time)
{
	struct timespec set[2] = { { 5, 0 }, { 5, 0 } };
	struct statx first, later;
	struct timespec now;

	OK(nx_put("f", "x"));
	OK(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &first));
	if (!(first.stx_mask & STATX_BTIME))
		SKIP(return, "no birth time here");
	clock_gettime(CLOCK_REALTIME, &now);
	EXPECT_GE(now.tv_sec, first.stx_btime.tv_sec);
	EXPECT_LT(now.tv_sec - 60, first.stx_btime.tv_sec);
	nx_tick();
	OK(nx_put("f", "more"));
	OK(chmod("f", 0600));
	OK(utimensat(AT_FDCWD, "f", set, 0));
	OK(rename("f", "g"));
	nx_drop_caches();
	OK(statx(AT_FDCWD, "g", 0, STATX_BASIC_STATS | STATX_BTIME, &later));
	EXPECT_EQ(first.stx_btime.tv_sec, later.stx_btime.tv_sec);
	EXPECT_EQ(first.stx_btime.tv_nsec, later.stx_btime.tv_nsec);
}

/* Bits of what(): which times moved. */
enum { A = 1, M = 2, C = 4 };

static int moved(const struct stat *before, const char *path)
{
	struct stat after = get(path);

	return (same(before->st_atim, after.st_atim) ? 0 : A) |
	       (same(before->st_mtim, after.st_mtim) ? 0 : M) |
	       (same(before->st_ctim, after.st_ctim) ? 0 : C);
}

TEST_F(dir, times_of_file_operations)
{
	struct stat st;
	char c[8];
	int fd;

	OK(nx_put("f", "text"));
	st = get("f");
	nx_tick();
	GET(fd, open("f", O_RDWR));
	EXPECT_EQ(0, moved(&st, "f"));
	EXPECT_EQ(4, pwrite(fd, "more", 4, 0));
	EXPECT_EQ(M | C, moved(&st, "f"));
	/* relatime: a read counts when the file changed since the last. */
	st = get("f");
	nx_tick();
	EXPECT_EQ(4, pread(fd, c, 4, 0));
	EXPECT_EQ(0, moved(&st, "f") & (M | C));
	st = get("f");
	nx_tick();
	EXPECT_EQ(0, pwrite(fd, "", 0, 0));
	EXPECT_EQ(0, pread(fd, c, 0, 0));
	EXPECT_EQ(0, moved(&st, "f"));
	OK(fchmod(fd, 0600));
	EXPECT_EQ(C, moved(&st, "f"));
	st = get("f");
	nx_tick();
	OK(ftruncate(fd, 100));
	EXPECT_EQ(M | C, moved(&st, "f"));
	st = get("f");
	nx_tick();
	OK(ftruncate(fd, 1));
	EXPECT_EQ(M | C, moved(&st, "f"));
	st = get("f");
	nx_tick();
	OK(link("f", "g"));
	EXPECT_EQ(C, moved(&st, "f"));
	st = get("f");
	nx_tick();
	OK(unlink("g"));
	EXPECT_EQ(C, moved(&st, "f"));
	st = get("f");
	nx_tick();
	OK(fsync(fd));
	OK(close(fd));
	EXPECT_EQ(0, moved(&st, "f"));
	nx_drop_caches();
	EXPECT_EQ(0, moved(&st, "f"));
	GET(fd, open("f", O_WRONLY | O_TRUNC));
	OK(close(fd));
	EXPECT_EQ(M | C, moved(&st, "f"));
}

TEST_F(dir, times_of_directory_operations)
{
	struct stat st;

	OK(mkdir("d", 0755));
	st = get("d");
	nx_tick();
	OK(nx_put("d/f", "x"));
	EXPECT_EQ(M | C, moved(&st, "d"));
	st = get("d");
	nx_tick();
	OK(nx_put("d/f", "again"));
	EXPECT_EQ(0, moved(&st, "d"));
	FAILS(EEXIST, mkdir("d/f", 0755));
	FAILS(ENOENT, unlink("d/none"));
	EXPECT_EQ(0, moved(&st, "d"));
	OK(mkdir("d/s", 0755));
	EXPECT_EQ(M | C, moved(&st, "d"));
	st = get("d");
	nx_tick();
	FAILS(ENOTEMPTY, rmdir("d"));
	OK(nx_put("d/s/x", "x"));
	EXPECT_EQ(0, moved(&st, "d"));
	OK(unlink("d/s/x"));
	OK(rmdir("d/s"));
	EXPECT_EQ(M | C, moved(&st, "d"));
	st = get("d");
	nx_tick();
	OK(symlink("x", "d/l"));
	EXPECT_EQ(M | C, moved(&st, "d"));
	st = get("d");
	nx_tick();
	OK(mknod("d/p", S_IFIFO | 0644, 0));
	EXPECT_EQ(M | C, moved(&st, "d"));
	st = get("d");
	nx_tick();
	OK(rename("d/l", "d/m"));
	EXPECT_EQ(M | C, moved(&st, "d"));
	st = get("d");
	nx_drop_caches();
	EXPECT_EQ(0, moved(&st, "d") & (M | C));
}

TEST_F(dir, mapped_write_moves_times)
{
	struct stat st;
	char *map;
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	OK(ftruncate(fd, 4096));
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	st = get("f");
	nx_tick();
	map[0] = 'x';
	OK(msync(map, 4096, MS_SYNC));
	EXPECT_EQ(M | C, moved(&st, "f"));
	OK(munmap(map, 4096));
	OK(close(fd));
}

/* Sizes and blocks as du and tar want them.  Scenario B27. */
TEST_F(dir, blocks)
{
	char block[4096];
	struct stat st;
	int fd;

	memset(block, 'x', sizeof(block));
	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	EXPECT_EQ(0, get("f").st_blocks);
	EXPECT_EQ(1, write(fd, "x", 1));
	/* Not written yet, but not a hole either. */
	EXPECT_LT(0, get("f").st_blocks);
	OK(fsync(fd));
	EXPECT_LT(0, get("f").st_blocks);
	EXPECT_EQ(4096, pwrite(fd, block, 4096, 1 << 20));
	OK(fsync(fd));
	st = get("f");
	EXPECT_EQ((1 << 20) + 4096, st.st_size);
	EXPECT_LE(8, st.st_blocks);
	EXPECT_GE(64, st.st_blocks);
	EXPECT_LE(512, st.st_blksize);
	OK(ftruncate(fd, 0));
	EXPECT_EQ(0, get("f").st_blocks);
	OK(ftruncate(fd, 1 << 20));
	/* nexusfs never says 0 of a file that is not empty. */
	EXPECT_GE(self->nexus ? 8 : 0, get("f").st_blocks);
	OK(close(fd));
	nx_drop_caches();
	EXPECT_GE(self->nexus ? 8 : 0, get("f").st_blocks);
	EXPECT_EQ(1 << 20, get("f").st_size);
}

TEST_F(dir, everything_survives_the_cache)
{
	struct timespec set[2] = { { 11, 12 }, { 13, 14 } };
	struct stat before[100], after;
	char name[16];
	int i;

	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		OK(nx_put(name, "0123456789" + i % 10));
		OK(chmod(name, 0400 + i));
		if (self->root) {
			OK(chown(name, i, 2 * i));
		}
		set[1].tv_sec = i;
		OK(utimensat(AT_FDCWD, name, set, 0));
		before[i] = get(name);
	}
	nx_drop_caches();
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		after = get(name);
		EXPECT_EQ(before[i].st_ino, after.st_ino);
		EXPECT_EQ(before[i].st_mode, after.st_mode);
		EXPECT_EQ(before[i].st_uid, after.st_uid);
		EXPECT_EQ(before[i].st_gid, after.st_gid);
		EXPECT_EQ(before[i].st_size, after.st_size);
		EXPECT_EQ(0, moved(&before[i], name));
	}
}

/* The limit of a process for its own writes counts here as anywhere. */
TEST_F(dir, file_size_limit)
{
	struct rlimit limit = { 5000, RLIM_INFINITY };
	char block[4096];
	int fd;

	memset(block, 'x', sizeof(block));
	signal(SIGXFSZ, SIG_IGN);
	OK(setrlimit(RLIMIT_FSIZE, &limit));
	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	EXPECT_EQ(4096, write(fd, block, 4096));
	EXPECT_EQ(904, write(fd, block, 4096));
	FAILS(EFBIG, (int)write(fd, block, 4096));
	FAILS(EFBIG, ftruncate(fd, 5001));
	OK(ftruncate(fd, 5000));
	OK(fsync(fd));
	OK(close(fd));
	EXPECT_EQ(5000, get("f").st_size);
}

TEST_HARNESS_MAIN
