// SPDX-License-Identifier: GPL-2.0-only
/*
 * Flags of inodes (chattr): who may set them, what each forbids or changes, and with
 * which errno, what is handed on to new files, that they stay.
 */
#include "nx.h"

#include <linux/fs.h>

static int get_flags(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), flags = 0, err;

	if (fd < 0)
		return -1;
	err = ioctl(fd, FS_IOC_GETFLAGS, &flags);
	close(fd);
	/* What ext4 tells of its own format. */
	return err ? -1 : flags & ~(FS_EXTENT_FL | FS_INDEX_FL | FS_INLINE_DATA_FL);
}

/* Changes flags of a path: those of @on are set, those of @off cleared. */
static int set_flags(const char *path, int on, int off)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), flags, err, code;

	if (fd < 0)
		return -1;
	err = ioctl(fd, FS_IOC_GETFLAGS, &flags);
	flags = (flags | on) & ~off;
	if (!err)
		err = ioctl(fd, FS_IOC_SETFLAGS, &flags);
	code = errno;
	close(fd);
	errno = code;
	return err;
}

static uint64_t stat_flags(const char *path)
{
	struct statx st;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st))
		return UINT64_MAX;
	return st.stx_attributes & st.stx_attributes_mask &
	       (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP);
}

#define LOCKS (FS_IMMUTABLE_FL | FS_APPEND_FL)

FIXTURE(flags)
{
	char path[PATH_MAX / 2];
	bool nexus;
};

FIXTURE_SETUP(flags)
{
	umask(022);
	snprintf(self->path, sizeof(self->path), "%s/flags.XXXXXX", nx_base());
	ASSERT_NE(NULL, mkdtemp(self->path));
	OK(chdir(self->path));
	self->nexus = nx_is_nexus(self->path);
	if (geteuid())
		SKIP(return, "needs root");
	OK(nx_put("file", "some text"));
	OK(nx_put("other", "other"));
	OK(mkdir("dir", 0755));
	OK(nx_put("dir/file", "in it"));
	OK(mkdir("dir/sub", 0755));
}

static int unlock_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
		set_flags(path, 0, LOCKS);
	(void)type;
	return 0;
}

FIXTURE_TEARDOWN(flags)
{
	EXPECT_EQ(0, nftw(self->path, unlock_one, 16, FTW_PHYS));
	EXPECT_EQ(0, chdir("/"));
	EXPECT_EQ(0, nx_rm(self->path));
}

TEST_F(flags, set_and_kept)
{
	static const int each[] = {
		FS_IMMUTABLE_FL, FS_APPEND_FL, FS_NODUMP_FL, FS_NOATIME_FL, FS_SYNC_FL,
		FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL, LOCKS | FS_NODUMP_FL,
	};
	struct fsxattr fsx;
	struct stat was, st;
	int i, fd;

	for (i = 0; i < N_ELEMS(each); i++) {
		OK(stat("file", &was));
		OK(set_flags("file", each[i], 0));
		ASSERT_EQ(each[i], get_flags("file"));
		OK(set_flags("dir", each[i] | FS_DIRSYNC_FL, 0));
		ASSERT_EQ(each[i] | FS_DIRSYNC_FL, get_flags("dir"));
		OK(stat("file", &st));
		ASSERT_EQ(was.st_mtim.tv_nsec, st.st_mtim.tv_nsec);
		ASSERT_EQ(was.st_size, st.st_size);
		ASSERT_EQ(each[i] & FS_IMMUTABLE_FL ? STATX_ATTR_IMMUTABLE : 0,
			  stat_flags("file") & STATX_ATTR_IMMUTABLE);
		ASSERT_EQ(each[i] & FS_APPEND_FL ? STATX_ATTR_APPEND : 0,
			  stat_flags("file") & STATX_ATTR_APPEND);
		ASSERT_EQ(each[i] & FS_NODUMP_FL ? STATX_ATTR_NODUMP : 0,
			  stat_flags("dir") & STATX_ATTR_NODUMP);
		/* The same seen through the other call. */
		GET(fd, open("file", O_RDONLY));
		OK(ioctl(fd, FS_IOC_FSGETXATTR, &fsx));
		close(fd);
		ASSERT_EQ(!!(each[i] & FS_IMMUTABLE_FL), !!(fsx.fsx_xflags & FS_XFLAG_IMMUTABLE));
		ASSERT_EQ(!!(each[i] & FS_APPEND_FL), !!(fsx.fsx_xflags & FS_XFLAG_APPEND));
		ASSERT_EQ(!!(each[i] & FS_NODUMP_FL), !!(fsx.fsx_xflags & FS_XFLAG_NODUMP));
		ASSERT_EQ(!!(each[i] & FS_NOATIME_FL), !!(fsx.fsx_xflags & FS_XFLAG_NOATIME));
		ASSERT_EQ(!!(each[i] & FS_SYNC_FL), !!(fsx.fsx_xflags & FS_XFLAG_SYNC));
		nx_drop_caches();
		ASSERT_EQ(each[i], get_flags("file"));
		ASSERT_EQ(each[i] | FS_DIRSYNC_FL, get_flags("dir"));
		if (each[i] & FS_IMMUTABLE_FL)
			FAILS(EPERM, open("file", O_WRONLY));
		OK(set_flags("file", 0, each[i]));
		OK(set_flags("dir", 0, each[i] | FS_DIRSYNC_FL));
		ASSERT_EQ(0, get_flags("file"));
	}
	FAILS(EOPNOTSUPP, set_flags("file", FS_DIRSYNC_FL, 0));
	FAILS(EOPNOTSUPP, set_flags("file", FS_ENCRYPT_FL << 20, 0));
	ASSERT_EQ(0, get_flags("file"));
}

static void flags_as_nobody(void *path)
{
	errno = 0;
	HOLDS(set_flags(path, FS_NODUMP_FL, 0) == -1 && (errno == EPERM || errno == EACCES));
	/* One's own file: all but what takes a capability. */
	HOLDS(!set_flags("mine", FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL, 0));
	errno = 0;
	HOLDS(set_flags("mine", FS_IMMUTABLE_FL, 0) == -1 && errno == EPERM);
	errno = 0;
	HOLDS(set_flags("mine", FS_APPEND_FL, 0) == -1 && errno == EPERM);
}

TEST_F(flags, who_may)
{
	OK(nx_put("mine", "text"));
	OK(chown("mine", 65534, 65534));
	OK(chmod(self->path, 0755));
	ASSERT_EQ(0, nx_as_nobody(flags_as_nobody, "file"));
	OK(set_flags("mine", FS_APPEND_FL, 0));
	ASSERT_EQ(FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL | FS_APPEND_FL, get_flags("mine"));
}

TEST_F(flags, immutable_file)
{
	struct timespec times[2] = { { 1, 1 }, { 2, 2 } };
	struct stat was, st;
	char text[16];
	char *map;
	int fd, dfd, ro;

	GET(fd, open("file", O_RDWR));
	GET(dfd, open("file", O_RDWR | O_DIRECT));
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	map[0] = 'S';
	OK(set_flags("file", FS_IMMUTABLE_FL, 0));
	OK(stat("file", &was));

	FAILS(EPERM, open("file", O_WRONLY));
	FAILS(EPERM, open("file", O_RDWR | O_APPEND));
	FAILS(EPERM, open("file", O_RDONLY | O_TRUNC));
	FAILS(EPERM, truncate("file", 0));
	FAILS(EPERM, chmod("file", 0600));
	FAILS(EPERM, chown("file", 1, 1));
	FAILS(EPERM, utimensat(AT_FDCWD, "file", times, 0));
	FAILS(EPERM, utimensat(AT_FDCWD, "file", NULL, 0));
	FAILS(EPERM, link("file", "hard"));
	FAILS(EPERM, unlink("file"));
	FAILS(EPERM, rename("file", "moved"));
	FAILS(EPERM, rename("other", "file"));
	FAILS(EPERM, renameat2(AT_FDCWD, "other", AT_FDCWD, "file", RENAME_EXCHANGE));
	FAILS(EPERM, set_flags("file", FS_NODUMP_FL, 0));
	/* Also by who had it open. */
	FAILS(EPERM, write(fd, "x", 1));
	FAILS(EPERM, pwrite(fd, "x", 1, 0));
	FAILS(EPERM, pwrite(dfd, "x", 1, 0));
	FAILS(EPERM, ftruncate(fd, 0));
	FAILS(EPERM, fallocate(fd, 0, 0, 8192));
	FAILS(EPERM, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4));
	FAILS(EPERM, fchmod(fd, 0600));
	FAILS(EPERM, futimens(fd, times));
	if (!fork()) {
		map[1] = 'X';
		_exit(0);
	}
	ASSERT_EQ(1, nx_reap());
	OK(stat("file", &st));
	ASSERT_EQ(0, memcmp(&was.st_ctim, &st.st_ctim, sizeof(st.st_ctim)));
	ASSERT_EQ(9, st.st_size);
	ASSERT_EQ(1, st.st_nlink);
	/* Reading is not forbidden, nor changing what is around it. */
	GET(ro, open("file", O_RDONLY));
	ASSERT_EQ(9, read(ro, text, sizeof(text)));
	ASSERT_EQ(0, memcmp(text, "Some text", 9));
	close(ro);
	OK(nx_put("beside", "x"));
	OK(set_flags("file", 0, FS_IMMUTABLE_FL));
	ASSERT_EQ(1, pwrite(fd, "x", 1, 0));
	map[1] = 'X';
	munmap(map, 4096);
	close(fd);
	close(dfd);
	OK(rename("file", "moved"));
}

TEST_F(flags, immutable_directory)
{
	int fd;

	OK(set_flags("dir", FS_IMMUTABLE_FL, 0));
	FAILS(EPERM, open("dir/new", O_CREAT | O_WRONLY, 0600));
	FAILS(EPERM, mkdir("dir/new", 0755));
	FAILS(EPERM, mknod("dir/new", S_IFIFO | 0600, 0));
	FAILS(EPERM, symlink("x", "dir/new"));
	FAILS(EPERM, link("file", "dir/new"));
	FAILS(EPERM, unlink("dir/file"));
	FAILS(EPERM, rmdir("dir/sub"));
	FAILS(EPERM, rename("dir/file", "out"));
	FAILS(EPERM, rename("file", "dir/in"));
	FAILS(EPERM, rename("dir/file", "dir/else"));
	FAILS(EPERM, rename("dir", "moved"));
	FAILS(EPERM, rmdir("dir"));
	FAILS(EPERM, open("dir", O_TMPFILE | O_RDWR, 0600));
	FAILS(EPERM, chmod("dir", 0700));
	FAILS(EEXIST, mkdir("dir/sub", 0755));
	FAILS(ENOENT, unlink("dir/none"));
	/* What is in it is not what it is. */
	OK(nx_put("dir/file", "changed"));
	OK(nx_put("dir/sub/new", "new"));
	GET(fd, open("dir/file", O_RDONLY));
	close(fd);
	OK(set_flags("dir", 0, FS_IMMUTABLE_FL));
	OK(unlink("dir/file"));
}

TEST_F(flags, append_only_file)
{
	struct timespec times[2] = { { 1, 1 }, { 2, 2 } };
	int fd, before;

	GET(before, open("file", O_RDWR));
	OK(set_flags("file", FS_APPEND_FL, 0));
	FAILS(EPERM, open("file", O_WRONLY));
	FAILS(EPERM, open("file", O_RDWR));
	FAILS(EPERM, open("file", O_WRONLY | O_APPEND | O_TRUNC));
	FAILS(EPERM, truncate("file", 0));
	FAILS(EPERM, ftruncate(before, 0));
	FAILS(EPERM, chmod("file", 0600));
	FAILS(EPERM, chown("file", 1, 1));
	FAILS(EPERM, utimensat(AT_FDCWD, "file", times, 0));
	FAILS(EPERM, link("file", "hard"));
	FAILS(EPERM, unlink("file"));
	FAILS(EPERM, rename("file", "moved"));
	FAILS(EPERM, rename("other", "file"));
	FAILS(EPERM, fallocate(before, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4));
	ASSERT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, before, 0));
	ASSERT_EQ(EACCES, errno);
	/* Now: permitted. */
	OK(utimensat(AT_FDCWD, "file", NULL, 0));
	GET(fd, open("file", O_WRONLY | O_APPEND));
	FAILS(EPERM, fcntl(fd, F_SETFL, 0));
	ASSERT_EQ(5, write(fd, " more", 5));
	close(fd);
	close(before);
	ASSERT_STREQ("some text more", nx_get("file"));
	OK(set_flags("file", 0, FS_APPEND_FL));
	OK(truncate("file", 0));
}

TEST_F(flags, append_only_directory)
{
	int fd;

	OK(set_flags("dir", FS_APPEND_FL, 0));
	OK(nx_put("dir/new", "new"));
	OK(mkdir("dir/subdir", 0755));
	OK(link("file", "dir/hard"));
	FAILS(EPERM, unlink("dir/new"));
	FAILS(EPERM, rmdir("dir/sub"));
	FAILS(EPERM, rename("dir/new", "out"));
	FAILS(EPERM, rename("dir/new", "dir/else"));
	FAILS(EPERM, rename("file", "dir/new"));
	OK(rename("other", "dir/other"));
	FAILS(EPERM, rename("dir", "moved"));
	FAILS(EPERM, rmdir("dir"));
	FAILS(EPERM, chmod("dir", 0700));
	OK(nx_put("dir/new", "again"));
	GET(fd, open("dir", O_TMPFILE | O_RDWR, 0600));
	close(fd);
}

TEST_F(flags, inherited)
{
	const int given = FS_SYNC_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_DIRSYNC_FL;

	OK(set_flags("dir", given | FS_APPEND_FL, 0));
	OK(nx_put("dir/new", "text"));
	OK(mkdir("dir/newdir", 0755));
	OK(nx_put("dir/newdir/deep", "text"));
	OK(mkfifo("dir/fifo", 0600));
	OK(symlink("target", "dir/symlink"));
	ASSERT_EQ(given & ~FS_DIRSYNC_FL, get_flags("dir/new"));
	ASSERT_EQ(given, get_flags("dir/newdir"));
	ASSERT_EQ(given & ~FS_DIRSYNC_FL, get_flags("dir/newdir/deep"));
	ASSERT_EQ(STATX_ATTR_NODUMP, stat_flags("dir/fifo"));
	ASSERT_EQ(STATX_ATTR_NODUMP, stat_flags("dir/symlink"));
	/* What moves in or is linked stays what it is. */
	OK(rename("file", "dir/file2"));
	ASSERT_EQ(0, get_flags("dir/file2"));
	nx_drop_caches();
	ASSERT_EQ(given & ~FS_DIRSYNC_FL, get_flags("dir/new"));
	ASSERT_EQ(given, get_flags("dir/newdir"));
	ASSERT_EQ(STATX_ATTR_NODUMP, stat_flags("dir/symlink"));
}

/* atime as far back as can be, so that relatime would move it. */
static int old_atime(const char *path)
{
	struct timespec times[2] = { { 1000000, 0 }, { 2000000, 0 } };

	return utimensat(AT_FDCWD, path, times, 0);
}

static int64_t atime_after_read(const char *path)
{
	char byte;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || read(fd, &byte, 1) != 1 || fstat(fd, &st))
		return -1;
	close(fd);
	return st.st_atim.tv_sec;
}

TEST_F(flags, noatime)
{
	OK(old_atime("file"));
	OK(set_flags("file", FS_NOATIME_FL, 0));
	ASSERT_EQ(1000000, atime_after_read("file"));
	OK(set_flags("file", 0, FS_NOATIME_FL));
	ASSERT_LT(1000000, atime_after_read("file"));
	OK(set_flags("dir", FS_NOATIME_FL, 0));
	OK(nx_put("dir/new", "text"));
	OK(old_atime("dir/new"));
	ASSERT_EQ(1000000, atime_after_read("dir/new"));
}

TEST_HARNESS_MAIN
