// SPDX-License-Identifier: GPL-2.0-only
/*
 * Idmapped mounts: ids on disk 0 to 999 are 10000 to 10999 in the mount, and nobody else
 * is there.  What is made, changed and asked through it, looked at from both sides.
 */
#include "nx.h"

#include <linux/fs.h>
#include <linux/mount.h>
#include <sched.h>

#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000
#endif

enum { BASE = 10000, COUNT = 1000 };

/* A user namespace with the map; a descriptor. */
static int mapped_namespace(void)
{
	char path[64], map[64];
	int from[2], to[2], fd = -1;
	pid_t pid;
	char c;

	if (pipe(from) || pipe(to))
		return -1;
	pid = fork();
	if (!pid) {
		close(to[1]);
		c = unshare(CLONE_NEWUSER) ? 'n' : 'y';
		HOLDS(write(from[1], &c, 1) == 1);
		HOLDS(read(to[0], &c, 1) >= 0);
		_exit(0);
	}
	if (pid > 0 && read(from[0], &c, 1) == 1 && c == 'y') {
		snprintf(map, sizeof(map), "0 %d %d", BASE, COUNT);
		snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
		if (!nx_put(path, map)) {
			snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
			nx_put(path, map);
			snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
			fd = open(path, O_RDONLY | O_CLOEXEC);
		}
	}
	close(to[1]);
	close(to[0]);
	close(from[0]);
	close(from[1]);
	waitpid(pid, NULL, 0);
	return fd;
}

FIXTURE(idmap)
{
	char path[PATH_MAX / 2];
	/* Below it: "disk", and "seen" where that is mounted with other ids. */
	bool nexus;
};

FIXTURE_SETUP(idmap)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	int ns, tree;

	if (geteuid())
		SKIP(return, "needs root");
	umask(022);
	snprintf(self->path, sizeof(self->path), "%s/idmap.XXXXXX", nx_base());
	ASSERT_NE(NULL, mkdtemp(self->path));
	OK(chmod(self->path, 0755));
	OK(chdir(self->path));
	self->nexus = nx_is_nexus(".");
	OK(mkdir("disk", 0777));
	OK(chmod("disk", 0777));
	OK(mkdir("seen", 0777));
	ns = mapped_namespace();
	if (ns < 0)
		SKIP(return, "no user namespaces");
	OK(unshare(CLONE_NEWNS));
	OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	GET(tree, syscall(SYS_open_tree, AT_FDCWD, "disk", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
	attr.userns_fd = ns;
	OK(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)));
	OK(syscall(SYS_move_mount, tree, "", AT_FDCWD, "seen", MOVE_MOUNT_F_EMPTY_PATH));
	close(tree);
	close(ns);
}

FIXTURE_TEARDOWN(idmap)
{
	if (!self->path[0])
		return;
	umount2("seen", MNT_DETACH);
	EXPECT_EQ(0, chdir("/"));
	EXPECT_EQ(0, nx_rm(self->path));
}

/* Runs @body as @uid of group @uid + 1 in a child. */
static int as(uid_t uid, void (*body)(void))
{
	gid_t gid = uid + 1;
	pid_t pid = fork();
	int status;

	if (!pid) {
		umask(022);
		HOLDS(!setgroups(0, NULL) && !setresgid(gid, gid, gid) &&
		      !setresuid(uid, uid, uid));
		body();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

#define OWNED(name, uid, gid)						\
	do {								\
		struct stat st_;					\
									\
		OK(lstat("disk/" name, &st_));				\
		ASSERT_EQ(uid, st_.st_uid);				\
		ASSERT_EQ(gid, st_.st_gid);				\
		OK(lstat("seen/" name, &st_));				\
		ASSERT_EQ(BASE + (uid), st_.st_uid);			\
		ASSERT_EQ(BASE + (gid), st_.st_gid);			\
	} while (0)

static void make_all(void)
{
	char nameless[64];
	int fd;

	HOLDS((fd = open("seen/file", O_CREAT | O_RDWR, 0644)) >= 0);
	HOLDS(write(fd, "text", 4) == 4);
	HOLDS(!mkdir("seen/dir", 0755));
	HOLDS(!symlink("target", "seen/symlink"));
	HOLDS(!mkfifo("seen/fifo", 0644));
	HOLDS(!link("seen/file", "seen/hard"));
	HOLDS((fd = open("seen", O_TMPFILE | O_RDWR, 0644)) >= 0);
	snprintf(nameless, sizeof(nameless), "/proc/self/fd/%d", fd);
	HOLDS(!linkat(AT_FDCWD, nameless, AT_FDCWD, "seen/tmp", AT_SYMLINK_FOLLOW));
	HOLDS(!rename("seen/tmp", "seen/moved"));
}

TEST_F(idmap, made)
{
	OK(as(BASE + 5, make_all));
	OWNED("file", 5, 6);
	OWNED("hard", 5, 6);
	OWNED("dir", 5, 6);
	OWNED("symlink", 5, 6);
	OWNED("fifo", 5, 6);
	OWNED("moved", 5, 6);
	nx_drop_caches();
	OWNED("file", 5, 6);
	OWNED("symlink", 5, 6);
}

static void make_unmapped(void)
{
	errno = 0;
	HOLDS(open("seen/file", O_CREAT | O_RDWR, 0644) == -1 && errno == EOVERFLOW);
	errno = 0;
	HOLDS(mkdir("seen/dir", 0755) == -1 && errno == EOVERFLOW);
	errno = 0;
	HOLDS(symlink("target", "seen/symlink") == -1 && errno == EOVERFLOW);
	errno = 0;
	HOLDS(mkfifo("seen/fifo", 0600) == -1 && errno == EOVERFLOW);
	errno = 0;
	HOLDS(open("seen", O_TMPFILE | O_RDWR, 0600) == -1 && errno == EOVERFLOW);
}

static void white_out_unmapped(void)
{
	errno = 0;
	HOLDS(renameat2(AT_FDCWD, "seen/wide/a", AT_FDCWD, "seen/wide/b", RENAME_WHITEOUT) == -1 &&
	      errno == EOVERFLOW);
	HOLDS(rename("seen/wide/a", "seen/wide/b") == 0);
}

/* The VFS does not ask whose the whiteout would be when the new name is there. */
TEST_F(idmap, nobodys_whiteout)
{
	OK(mkdir("disk/wide", 0));
	OK(chmod("disk/wide", 0777));
	OK(nx_put("disk/wide/a", "a"));
	OK(nx_put("disk/wide/b", "b"));
	OK(as(5, white_out_unmapped));
	ASSERT_STREQ("a", nx_get("disk/wide/b"));
	/* And what comes then is applied. */
	nx_drop_caches();
	ASSERT_STREQ("a", nx_get("disk/wide/b"));
	OK(nx_put("disk/wide/c", "c"));
}

TEST_F(idmap, nobody_else)
{
	struct stat st;

	OK(as(5, make_unmapped));
	OK(as(0, make_unmapped));
	OK(as(BASE + COUNT, make_unmapped));
	OK(nx_put("disk/far", "text"));
	OK(chown("disk/far", 5000, 5000));
	OK(stat("seen/far", &st));
	ASSERT_EQ(65534, st.st_uid);
	ASSERT_EQ(65534, st.st_gid);
	FAILS(EOVERFLOW, chmod("seen/far", 0600));
}

TEST_F(idmap, owners_change)
{
	OK(nx_put("disk/file", "text"));
	OWNED("file", 0, 0);
	OK(chown("seen/file", BASE + 7, BASE + 8));
	OWNED("file", 7, 8);
	OK(chown("seen/file", -1, BASE + 9));
	OWNED("file", 7, 9);
	FAILS(EOVERFLOW, chown("seen/file", 7, -1));
	FAILS(EOVERFLOW, chown("seen/file", -1, BASE + COUNT));
	OWNED("file", 7, 9);
	OK(lchown("disk/file", 11, 12));
	OWNED("file", 11, 12);
}

static void change_own(void)
{
	struct timespec times[2] = { { 1, 1 }, { 2, 2 } };

	HOLDS(!chmod("seen/file", 0640));
	HOLDS(!utimensat(AT_FDCWD, "seen/file", times, 0));
	HOLDS(!chown("seen/file", -1, BASE + 6));
	errno = 0;
	HOLDS(chown("seen/file", BASE + 6, -1) == -1 && errno == EPERM);
	HOLDS(!truncate("seen/file", 2));
	HOLDS(!unlink("seen/sticky/mine"));
	errno = 0;
	HOLDS(unlink("seen/sticky/other") == -1 && (errno == EPERM || errno == EACCES));
}

static void change_others(void)
{
	errno = 0;
	HOLDS(chmod("seen/file", 0600) == -1 && errno == EPERM);
	errno = 0;
	HOLDS(open("seen/file", O_WRONLY) == -1 && errno == EACCES);
	/* On disk the file is this user's. */
	errno = 0;
	HOLDS(chmod("disk/file", 0600) == 0 || getuid() != 5);
}

TEST_F(idmap, who_may)
{
	OK(nx_put("disk/file", "text"));
	OK(chown("disk/file", 5, 6));
	OK(mkdir("disk/sticky", 0));
	OK(chmod("disk/sticky", 01777));
	OK(nx_put("disk/sticky/mine", "text"));
	OK(nx_put("disk/sticky/other", "text"));
	OK(chown("disk/sticky/mine", 5, 6));
	OK(chown("disk/sticky/other", 7, 6));
	OK(as(5, change_others));
	OK(as(BASE + 7, change_others));
	OK(chmod("disk/file", 0644));
	OK(as(BASE + 5, change_own));
	OWNED("file", 5, 6);
}

static void make_in_setgid(void)
{
	HOLDS(mknod("seen/dir/file", S_IFREG | 0644, 0) == 0);
	HOLDS(mkdir("seen/dir/sub", 0755) == 0);
	/* Not of the group: the bit goes. */
	HOLDS(mknod("seen/dir/set", S_IFREG | 02755, 0) == 0);
}

TEST_F(idmap, setgid)
{
	struct stat st;

	OK(mkdir("disk/dir", 0));
	OK(chown("disk/dir", 1, 42));
	OK(chmod("disk/dir", 02777));
	OK(as(BASE + 5, make_in_setgid));
	OWNED("dir/file", 5, 42);
	OWNED("dir/sub", 5, 42);
	OWNED("dir/set", 5, 42);
	OK(stat("disk/dir/sub", &st));
	ASSERT_EQ(02755, st.st_mode & 07777);
	OK(stat("disk/dir/set", &st));
	ASSERT_EQ(0755, st.st_mode & 07777);
}

static void write_set(void)
{
	int fd = open("seen/set", O_WRONLY);

	HOLDS(fd >= 0 && write(fd, "x", 1) == 1);
}

TEST_F(idmap, privileges_go)
{
	struct stat st;

	OK(nx_put("disk/set", "text"));
	OK(chmod("disk/set", 06777));
	OK(as(BASE + 5, write_set));
	OK(stat("disk/set", &st));
	ASSERT_EQ(0777, st.st_mode & 07777);
	OK(chmod("disk/set", 06755));
	OK(chown("seen/set", BASE + 1, BASE + 1));
	OK(stat("disk/set", &st));
	ASSERT_EQ(0755, st.st_mode & 07777);
}

TEST_F(idmap, flags)
{
	int fd, flags = FS_NODUMP_FL;
	struct fsxattr fsx;

	OK(nx_put("disk/file", "text"));
	OK(chown("disk/file", 5, 6));
	GET(fd, open("seen/file", O_RDONLY));
	OK(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	if (self->nexus) {
		OK(ioctl(fd, FS_IOC_FSGETXATTR, &fsx));
		fsx.fsx_projid = 77;
		OK(ioctl(fd, FS_IOC_FSSETXATTR, &fsx));
		fsx.fsx_projid = 0;
		OK(ioctl(fd, FS_IOC_FSGETXATTR, &fsx));
		ASSERT_EQ(77, fsx.fsx_projid);
	}
	close(fd);
}

TEST_HARNESS_MAIN
