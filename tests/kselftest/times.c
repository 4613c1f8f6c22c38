// SPDX-License-Identifier: GPL-2.0-only
/*
 * When atime moves, with each option of a mount; lazytime; and what a directory or a file
 * that is synchronous has made durable when the call returns.
 */
#include "nx.h"

#include <linux/fs.h>
#include <sched.h>

FIXTURE(times)
{
	char path[PATH_MAX / 2];
	bool nexus;
};

FIXTURE_SETUP(times)
{
	if (geteuid())
		SKIP(return, "needs root");
	snprintf(self->path, sizeof(self->path), "%s/times.XXXXXX", nx_base());
	ASSERT_NE(NULL, mkdtemp(self->path));
	OK(unshare(CLONE_NEWNS));
	OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	OK(chdir(self->path));
	self->nexus = nx_is_nexus(".");
	OK(mkdir("disk", 0755));
	OK(mkdir("disk/dir", 0755));
	OK(mkdir("disk/dir/sub", 0755));
	OK(nx_put("disk/file", "text"));
	OK(symlink("file", "disk/symlink"));
	OK(mkdir("view", 0755));
}

FIXTURE_TEARDOWN(times)
{
	if (!self->path[0])
		return;
	umount2("view", MNT_DETACH);
	EXPECT_EQ(0, chdir("/"));
	EXPECT_EQ(0, nx_rm(self->path));
}

static int view(unsigned long flags)
{
	umount2("view", MNT_DETACH);
	return mount("disk", "view", NULL, MS_BIND, NULL) ?:
	       mount(NULL, "view", NULL, MS_BIND | MS_REMOUNT | flags, NULL);
}

/* atime and mtime of a path, in seconds. */
static int set_times(const char *path, time_t atime, time_t mtime)
{
	struct timespec t[2] = { { atime, 0 }, { mtime, 0 } };

	return utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW);
}

static time_t atime_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? -1 : st.st_atim.tv_sec;
}

static void read_one(const char *path)
{
	char buf[16];
	DIR *dir = opendir(path);
	ssize_t n = 0;
	int fd;

	if (dir) {
		while (readdir(dir))
			n++;
		closedir(dir);
		return;
	}
	fd = open(path, O_RDONLY);
	n += read(fd, buf, 4);
	close(fd);
	n += readlink(path, buf, sizeof(buf));
}

TEST_F(times, options_of_mounts)
{
	static const struct {
		const char *name;
		unsigned long flags;
		bool old_file, new_file, old_dir;
	} t[] = {
		{ "relatime", MS_RELATIME, true, false, true },
		{ "noatime", MS_NOATIME, false, false, false },
		{ "nodiratime", MS_RELATIME | MS_NODIRATIME, true, false, false },
		{ "strictatime", MS_STRICTATIME, true, true, true },
		{ "ro", MS_RDONLY, false, false, false },
	};
	int i;

	for (i = 0; i < N_ELEMS(t); i++) {
		OK(view(0));
		/*
		 * An old one is older than mtime and ctime, a new one newer than both.  Set
		 * by the side of it that can be written.
		 */
#define MOVES(path, newer)							\
	({									\
		time_t at_ = time(NULL) + ((newer) ? 1000 : -1000);		\
										\
		OK(set_times("disk/" path, at_, (newer) ? at_ - 2000 : at_ + 10));	\
		read_one("view/" path);						\
		atime_of("disk/" path) != at_;					\
	})
		OK(view(t[i].flags));
		ASSERT_EQ(t[i].old_file, MOVES("file", false)) {
			TH_LOG("%s", t[i].name);
		}
		ASSERT_EQ(t[i].new_file, MOVES("file", true));
		ASSERT_EQ(t[i].old_file, MOVES("symlink", false));
		ASSERT_EQ(t[i].old_dir, MOVES("dir", false));
	}
	OK(view(MS_STRICTATIME));
	OK(set_times("disk/file", 1000, 2000));
	if (!fork()) {
		char c;
		int fd = open("view/file", O_RDONLY | O_NOATIME);

		HOLDS(fd >= 0 && read(fd, &c, 1) == 1);
		_exit(0);
	}
	ASSERT_EQ(0, nx_reap());
	ASSERT_EQ(1000, atime_of("disk/file"));
}

TEST_F(times, kept_when_forgotten)
{
	time_t at;

	OK(view(MS_STRICTATIME));
	OK(set_times("disk/file", 1000, 2000));
	read_one("view/file");
	at = atime_of("disk/file");
	ASSERT_NE(1000, at);
	nx_drop_caches();
	ASSERT_EQ(at, atime_of("disk/file"));
}

/* Of the whole filesystem: times may stay in memory, and are there after sync. */
TEST_F(times, lazytime)
{
	struct stat was, st;
	time_t at;
	int fd;

	if (nx_sh("mount -o remount,lazytime %s", nx_base()))
		SKIP(return, "not the root of a mount");
	OK(view(MS_STRICTATIME));
	OK(set_times("disk/file", 1000, 2000));
	read_one("view/file");
	at = atime_of("disk/file");
	EXPECT_NE(1000, at);
	fd = open("disk/file", O_WRONLY);
	EXPECT_EQ(1, pwrite(fd, "T", 1, 0));
	EXPECT_EQ(0, fsync(fd));
	close(fd);
	EXPECT_EQ(0, stat("disk/file", &was));
	nx_drop_some("2");
	EXPECT_EQ(at, atime_of("disk/file"));
	nx_drop_caches();
	EXPECT_EQ(0, stat("disk/file", &st));
	EXPECT_EQ(at, st.st_atim.tv_sec);
	EXPECT_EQ(was.st_mtim.tv_sec, st.st_mtim.tv_sec);
	EXPECT_EQ(was.st_mtim.tv_nsec, st.st_mtim.tv_nsec);
	EXPECT_EQ(0, nx_sh("mount -o remount,nolazytime %s", nx_base()));
}

static uint64_t lsn(const char *what)
{
	const char *text = nx_get("/mnt/nexus/__sys__/zones/root");
	const char *at = strstr(text, what);

	return at ? strtoull(at + strlen(what), NULL, 0) : 0;
}

static int set_flags(const char *path, int flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = ioctl(fd, FS_IOC_SETFLAGS, &flags);

	close(fd);
	return err;
}

/* Durable when the call is back: the log was flushed beyond where it had ended before. */
#define DURABLE(call)								\
	do {									\
		uint64_t tail_ = lsn("tail: ");					\
										\
		OK(call);							\
		ASSERT_LT(tail_, lsn("durable: ")) {				\
			TH_LOG("%s is not durable", #call);			\
		}								\
	} while (0)

TEST_F(times, synchronous)
{
	int fd;

	if (!self->nexus || !lsn("tail: "))
		SKIP(return, "needs /mnt/nexus");
	OK(set_flags("disk/dir", FS_DIRSYNC_FL));
	DURABLE(mkdir("disk/dir/new", 0755));
	DURABLE(link("disk/file", "disk/dir/hard"));
	DURABLE(rename("disk/dir/hard", "disk/dir/moved"));
	DURABLE(symlink("x", "disk/dir/symlink"));
	DURABLE(mknod("disk/dir/fifo", S_IFIFO | 0600, 0));
	DURABLE(unlink("disk/dir/moved"));
	DURABLE(rmdir("disk/dir/new"));
	OK(set_flags("disk/file", FS_SYNC_FL));
	DURABLE(chmod("disk/file", 0600));
	DURABLE(truncate("disk/file", 1));
	GET(fd, open("disk/file", O_WRONLY));
	DURABLE(write(fd, "sync", 4) == 4 ? 0 : -1);
	close(fd);
	OK(set_flags("disk/dir", 0));
	OK(set_flags("disk/file", 0));
	ASSERT_EQ(0, nx_sh("mount -o remount,sync %s", nx_base()));
	DURABLE(mkdir("disk/two", 0755));
	GET(fd, open("disk/file", O_WRONLY));
	DURABLE(write(fd, "sync", 4) == 4 ? 0 : -1);
	DURABLE(chown("disk/file", 1, 1));
	close(fd);
	/* And it is gone again, for whoever comes next. */
	ASSERT_EQ(0, nx_sh("mount -o remount,async,nolazytime %s", nx_base()));
	ASSERT_EQ(0, nx_sh("! grep ' %s ' /proc/mounts | grep -E 'sync|lazytime'", nx_base()));
}

TEST_HARNESS_MAIN
