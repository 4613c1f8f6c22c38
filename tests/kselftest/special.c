// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that are no files: devices, FIFOs, sockets; symbolic links as deep and paths as
 * long as there can be; openat2(2).
 */
#include "nx.h"

#include <linux/openat2.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>

TEST_F(dir, device_numbers)
{
	const dev_t numbers[] = {
		makedev(0, 0), makedev(1, 3), makedev(255, 255), makedev(256, 0),
		makedev(4095, 1048575), makedev(0, 1048575), makedev(4095, 0),
	};
	char name[32];
	struct stat st;
	int i;

	if (!self->root)
		SKIP(return, "needs root");
	for (i = 0; i < N_ELEMS(numbers) * 2; i++) {
		snprintf(name, sizeof(name), "%d", i);
		OK(mknod(name, (i % 2 ? S_IFCHR : S_IFBLK) | 0640, numbers[i / 2]));
	}
	nx_drop_caches();
	for (i = 0; i < N_ELEMS(numbers) * 2; i++) {
		snprintf(name, sizeof(name), "%d", i);
		OK(lstat(name, &st));
		ASSERT_EQ(numbers[i / 2], st.st_rdev);
		ASSERT_EQ((i % 2 ? S_IFCHR : S_IFBLK) | 0640, st.st_mode);
	}
	FAILS(EEXIST, mknod("0", S_IFCHR | 0600, 0));
	FAILS(EPERM, mknod("dir", S_IFDIR | 0755, 0));
	FAILS(EINVAL, mknod("link", S_IFLNK | 0777, 0));
	FAILS(EINVAL, mknod("what", 0170000 | 0600, 0));
	OK(mknod("plain", 0644, makedev(1, 3)));
	OK(lstat("plain", &st));
	ASSERT_EQ(S_IFREG | 0644, st.st_mode);
	ASSERT_EQ(0, st.st_rdev);
}

static void mknod_as_nobody(void *arg)
{
	errno = 0;
	HOLDS(mknod("open/dev", S_IFCHR | 0600, makedev(1, 3)) == -1 && errno == EPERM);
	errno = 0;
	HOLDS(mknod("open/dev", S_IFBLK | 0600, makedev(7, 0)) == -1 && errno == EPERM);
	HOLDS(!mknod("open/fifo", S_IFIFO | 0600, 0));
	HOLDS(!mknod("open/socket", S_IFSOCK | 0600, 0));
	/* What overlayfs hides names with is no device. */
	HOLDS(!mknod("open/whiteout", S_IFCHR | 0000, 0));
}

TEST_F(dir, devices_of_nobody)
{
	if (!self->root)
		SKIP(return, "needs root");
	OK(mkdir("open", 0777));
	OK(chmod("open", 0777));
	ASSERT_EQ(0, nx_as_nobody(mknod_as_nobody, NULL));
}

TEST_F(dir, devices_work)
{
	char buf[8] = "xxxxxxx";
	int fd;

	if (!self->root)
		SKIP(return, "needs root");
	OK(mknod("zero", S_IFCHR | 0666, makedev(1, 5)));
	OK(mknod("none", S_IFBLK | 0666, makedev(4000, 5)));
	GET(fd, open("zero", O_RDWR));
	ASSERT_EQ(8, read(fd, buf, 8));
	ASSERT_EQ(0, buf[0]);
	ASSERT_EQ(8, write(fd, buf, 8));
	close(fd);
	FAILS(ENXIO, open("none", O_RDWR));
	/* A device on a file system that has none, by a mount of it. */
	if (!fork()) {
		HOLDS(!unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
		HOLDS(!mkdir("view", 0755) && !mount(".", "view", NULL, MS_BIND, NULL));
		HOLDS(!mount(NULL, "view", NULL, MS_BIND | MS_REMOUNT | MS_NODEV, NULL));
		errno = 0;
		HOLDS(open("view/zero", O_RDONLY) == -1 && errno == EACCES);
		HOLDS(open("zero", O_RDONLY) >= 0);
		HOLDS(open("view/zero", O_PATH) >= 0);
		_exit(0);
	}
	ASSERT_EQ(0, nx_reap());
}

TEST_F(dir, fifo)
{
	struct stat was, st;
	char buf[8];
	int r, w;

	OK(mkfifo("fifo", 0600));
	FAILS(ENXIO, open("fifo", O_WRONLY | O_NONBLOCK));
	GET(r, open("fifo", O_RDONLY | O_NONBLOCK));
	GET(w, open("fifo", O_WRONLY));
	ASSERT_EQ(4, write(w, "text", 4));
	nx_drop_caches();
	ASSERT_EQ(4, read(r, buf, sizeof(buf)));
	ASSERT_EQ(0, memcmp(buf, "text", 4));
	FAILS(ESPIPE, lseek(r, 0, SEEK_SET));
	FAILS(ESPIPE, pread(r, buf, 1, 0));
	FAILS(EINVAL, ftruncate(w, 0));
	FAILS(EINVAL, fsync(w));
	/* Under another name, and without one. */
	OK(stat("fifo", &was));
	OK(rename("fifo", "moved"));
	OK(unlink("moved"));
	ASSERT_EQ(4, write(w, "more", 4));
	ASSERT_EQ(4, read(r, buf, sizeof(buf)));
	OK(fstat(w, &st));
	ASSERT_EQ(was.st_ino, st.st_ino);
	ASSERT_EQ(0, st.st_nlink);
	ASSERT_EQ(0, st.st_size);
	close(w);
	ASSERT_EQ(0, read(r, buf, sizeof(buf)));
	close(r);
}

TEST_F(dir, socket)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "socket" };
	int s, c, a;

	GET(s, socket(AF_UNIX, SOCK_STREAM, 0));
	OK(bind(s, (void *)&at, sizeof(at)));
	OK(listen(s, 1));
	FAILS(ENXIO, open("socket", O_RDONLY));
	GET(c, socket(AF_UNIX, SOCK_STREAM, 0));
	FAILS(EADDRINUSE, bind(c, (void *)&at, sizeof(at)));
	nx_drop_caches();
	OK(connect(c, (void *)&at, sizeof(at)));
	GET(a, accept(s, NULL, NULL));
	ASSERT_EQ(1, write(c, "x", 1));
	close(a);
	close(c);
	/* The inode is what is connected to, whatever it is called. */
	OK(rename("socket", "moved"));
	strcpy(at.sun_path, "moved");
	GET(c, socket(AF_UNIX, SOCK_STREAM, 0));
	OK(connect(c, (void *)&at, sizeof(at)));
	close(c);
	close(s);
	GET(c, socket(AF_UNIX, SOCK_STREAM, 0));
	FAILS(ECONNREFUSED, connect(c, (void *)&at, sizeof(at)));
	close(c);
}

TEST_F(dir, link_depth)
{
	char name[16], target[16];
	int i;

	OK(nx_put("0", "text"));
	for (i = 1; i <= 41; i++) {
		snprintf(name, sizeof(name), "%d", i);
		snprintf(target, sizeof(target), "%d", i - 1);
		OK(symlink(target, name));
	}
	ASSERT_STREQ("text", nx_get("40"));
	FAILS(ELOOP, open("41", O_RDONLY));
	nx_drop_caches();
	FAILS(ELOOP, open("41", O_RDONLY));
	ASSERT_STREQ("text", nx_get("40"));
	OK(symlink("loop", "loop"));
	FAILS(ELOOP, open("loop", O_RDONLY));
	FAILS(ELOOP, open("loop/x", O_RDONLY));
	FAILS(ELOOP, open("1", O_RDONLY | O_NOFOLLOW));
	FAILS(ENOTDIR, open("0/x", O_RDONLY));
}

TEST_F(dir, path_length)
{
	char path[PATH_MAX + 8];
	size_t len = 0;
	int fd, depth;

	/* As long as can be said in one go: PATH_MAX with its NUL. */
	while (len + 2 < PATH_MAX) {
		path[len++] = '.';
		path[len++] = '/';
	}
	path[len - 1] = 'f';
	path[len] = '\0';
	while (len < PATH_MAX - 1) {
		path[len++] = 'f';
		path[len] = '\0';
	}
	ASSERT_EQ(PATH_MAX - 1, strlen(path));
	GET(fd, open(path, O_CREAT | O_RDWR, 0600));
	close(fd);
	OK(unlink(path));
	strcat(path, "f");
	FAILS(ENAMETOOLONG, open(path, O_CREAT | O_RDWR, 0600));
	/* And deeper than that. */
	memset(path, 'd', 200);
	path[200] = '\0';
	for (depth = 0; depth < 30; depth++) {
		OK(mkdir(path, 0755));
		OK(chdir(path));
	}
	OK(nx_put("deep", "text"));
	nx_drop_caches();
	ASSERT_STREQ("text", nx_get("deep"));
	FAILS(ENAMETOOLONG, syscall(SYS_getcwd, path, PATH_MAX));
	for (; depth; depth--)
		OK(chdir(".."));
	ASSERT_EQ(0, nx_sh("rm -rf ddd*"));
}

static int open2(int dirfd, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags, .resolve = resolve };

	return syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

TEST_F(dir, resolve)
{
	struct {
		struct open_how how;
		uint64_t more;
	} future = { .how = { .flags = O_RDONLY }, .more = 0 };
	int d, fd;

	OK(mkdir("root", 0755));
	OK(mkdir("root/dir", 0755));
	OK(nx_put("root/dir/file", "inside"));
	OK(nx_put("file", "outside"));
	OK(symlink("dir/file", "root/inside"));
	OK(symlink("../file", "root/outside"));
	OK(symlink("/dir/file", "root/absolute"));
	GET(d, open("root", O_RDONLY | O_DIRECTORY));
	GET(fd, open2(d, "dir/../inside", O_RDONLY, RESOLVE_BENEATH));
	close(fd);
	FAILS(EXDEV, open2(d, "outside", O_RDONLY, RESOLVE_BENEATH));
	FAILS(EXDEV, open2(d, "absolute", O_RDONLY, RESOLVE_BENEATH));
	FAILS(EXDEV, open2(d, "../file", O_RDONLY, RESOLVE_BENEATH));
	FAILS(ENOENT, open2(d, "outside", O_RDONLY, RESOLVE_IN_ROOT));
	GET(fd, open2(d, "absolute", O_RDONLY, RESOLVE_IN_ROOT));
	close(fd);
	GET(fd, open2(d, "/../../inside", O_RDONLY, RESOLVE_IN_ROOT));
	close(fd);
	FAILS(ELOOP, open2(d, "inside", O_RDONLY, RESOLVE_NO_SYMLINKS));
	GET(fd, open2(d, "dir/file", O_RDONLY, RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV));
	close(fd);
	FAILS(EXDEV, open2(d, "/proc/self/status", O_RDONLY, RESOLVE_NO_XDEV));
	FAILS(ELOOP, open2(d, "/proc/self/exe", O_RDONLY, RESOLVE_NO_MAGICLINKS));
	/* What is in memory, or nothing. */
	nx_drop_caches();
	FAILS(EAGAIN, open2(d, "dir/file", O_RDONLY, RESOLVE_CACHED));
	GET(fd, open("root/dir/file", O_RDONLY));
	close(fd);
	GET(fd, open2(d, "dir/file", O_RDONLY, RESOLVE_CACHED));
	close(fd);
	FAILS(EAGAIN, open2(d, "dir/new", O_RDWR | O_CREAT, RESOLVE_CACHED));
	FAILS(EINVAL, open2(d, "dir/file", O_RDONLY, 1 << 30));
	FAILS(EINVAL, open2(d, "dir/file", 1ull << 40, 0));
	GET(fd, syscall(SYS_openat2, d, "dir/file", &future, sizeof(future)));
	close(fd);
	future.more = 1;
	FAILS(E2BIG, syscall(SYS_openat2, d, "dir/file", &future, sizeof(future)));
	close(d);
}

TEST_HARNESS_MAIN
