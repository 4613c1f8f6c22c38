// SPDX-License-Identifier: GPL-2.0-only
/*
 * File handles: what name_to_handle_at(2) gives opens by open_by_handle_at(2), whatever
 * was forgotten in between, and what is gone is ESTALE.
 */
#include "nx.h"

#include <linux/fs.h>

/* Room for the largest handle, and what the kernel puts before it. */
struct handle {
	struct file_handle h;
	unsigned char bytes[MAX_HANDLE_SZ];
};

#define HANDLE_IS_NUMBER_AND_GENERATION 0x81

static int name_to(int dirfd, const char *path, struct handle *h, int flags)
{
	int mount;

	memset(h, 0, sizeof(*h));
	h->h.handle_bytes = MAX_HANDLE_SZ;
	return name_to_handle_at(dirfd, path, &h->h, &mount, flags);
}

/* Opens a handle of the filesystem that holds the current directory. */
static int open_by(struct handle *h, int flags)
{
	int mount = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd, code;

	if (mount < 0)
		return -1;
	fd = open_by_handle_at(mount, &h->h, flags | O_CLOEXEC);
	code = errno;
	close(mount);
	errno = code;
	return fd;
}

static uint64_t handle_ino(const struct handle *h)
{
	uint64_t ino;

	memcpy(&ino, h->bytes, sizeof(ino));
	return ino;
}

static void set_ino(struct handle *h, uint64_t ino)
{
	memcpy(h->bytes, &ino, sizeof(ino));
}

TEST_F(dir, every_type)
{
	const struct {
		const char *name;
		mode_t mode;
		dev_t dev;
	} made[] = {
		{ "file", S_IFREG | 0644, 0 }, { "fifo", S_IFIFO | 0600, 0 },
		{ "socket", S_IFSOCK | 0755, 0 },
		{ "char", S_IFCHR | 0600, makedev(1, 3) },
		{ "block", S_IFBLK | 0600, makedev(7, 200) },
	};
	struct handle h[N_ELEMS(made) + 2];
	struct stat old[N_ELEMS(h)], st;
	const char *name;
	int i, fd;

	if (!self->root)
		SKIP(return, "needs root");
	for (i = 0; i < N_ELEMS(made); i++)
		OK(mknod(made[i].name, made[i].mode, made[i].dev));
	OK(mkdir("dir", 0755));
	OK(symlink("target", "symlink"));
	for (i = 0; i < N_ELEMS(h); i++) {
		name = i < N_ELEMS(made) ? made[i].name :
		       i == N_ELEMS(made) ? "dir" : "symlink";
		OK(lstat(name, &old[i]));
		OK(name_to(AT_FDCWD, name, &h[i], 0));
		if (self->nexus) {
			ASSERT_EQ(HANDLE_IS_NUMBER_AND_GENERATION, h[i].h.handle_type);
			ASSERT_EQ(12, h[i].h.handle_bytes);
			ASSERT_EQ(old[i].st_ino, handle_ino(&h[i]));
		}
	}
	nx_drop_caches();
	for (i = 0; i < N_ELEMS(h); i++) {
		GET(fd, open_by(&h[i], O_PATH));
		OK(fstat(fd, &st));
		ASSERT_EQ(old[i].st_ino, st.st_ino);
		ASSERT_EQ(old[i].st_dev, st.st_dev);
		ASSERT_EQ(old[i].st_mode, st.st_mode);
		ASSERT_EQ(old[i].st_rdev, st.st_rdev);
		ASSERT_EQ(old[i].st_nlink, st.st_nlink);
		close(fd);
	}
}

TEST_F(dir, version)
{
	struct handle h;
	int fd, i, version = 0;

	OK(mkdir("dir", 0755));
	ASSERT_EQ(0, nx_sh("touch file"));
	for (i = 0; i < 2; i++) {
		OK(name_to(AT_FDCWD, i ? "dir" : "file", &h, 0));
		GET(fd, open(i ? "dir" : "file", O_RDONLY | O_CLOEXEC));
		OK(ioctl(fd, FS_IOC_GETVERSION, &version));
		if (self->nexus)
			ASSERT_EQ(0, memcmp(h.bytes + sizeof(uint64_t), &version, sizeof(version)));
		/* Of 32-bit programs. */
		version = ~version;
		if (ioctl(fd, FS_IOC32_GETVERSION, &version))
			ASSERT_EQ(ENOTTY, errno);
		FAILS(EFAULT, ioctl(fd, FS_IOC_GETVERSION, NULL));
		FAILS(ENOTTY, ioctl(fd, FS_IOC_SETVERSION, &version));
		close(fd);
	}
}

TEST_F(dir, content)
{
	static const char *size[] = { "100", "4096", "300000" };
	struct handle h[N_ELEMS(size)];
	char path[64];
	int i, fd;

	if (!self->root)
		SKIP(return, "needs root");
	for (i = 0; i < N_ELEMS(size); i++) {
		ASSERT_EQ(0, nx_sh("head -c %s /dev/urandom > f%d && cp f%d g%d",
				   size[i], i, i, i));
		snprintf(path, sizeof(path), "f%d", i);
		OK(name_to(AT_FDCWD, path, &h[i], 0));
		/* Another name is the same handle's. */
		snprintf(path, sizeof(path), "moved%d", i);
		ASSERT_EQ(0, nx_sh("mkdir -p d && mv f%d d/%s", i, path));
	}
	nx_drop_caches();
	for (i = 0; i < N_ELEMS(size); i++) {
		GET(fd, open_by(&h[i], O_RDWR));
		ASSERT_EQ(0, nx_sh("cmp g%d /proc/%d/fd/%d", i, getpid(), fd));
		ASSERT_EQ(1, pwrite(fd, "x", 1, 0));
		close(fd);
		snprintf(path, sizeof(path), "d/moved%d", i);
		ASSERT_EQ('x', nx_get(path)[0]);
	}
}

/* A directory that nothing leads to in memory gets its place. */
TEST_F(dir, deep_directory)
{
	char path[PATH_MAX], link[64];
	struct handle h;
	ssize_t n;
	int i, fd;

	if (!self->root)
		SKIP(return, "needs root");
	strcpy(path, ".");
	for (i = 0; i < 40; i++) {
		sprintf(path + strlen(path), "/d%d", i);
		OK(mkdir(path, 0755));
	}
	ASSERT_EQ(0, nx_sh("touch %s/leaf", path));
	OK(name_to(AT_FDCWD, path, &h, 0));
	/* Moved above and below since. */
	OK(rename("d0/d1", "else"));
	OK(mkdir("d0/d1", 0755));
	OK(chdir("/"));
	nx_drop_caches();
	OK(chdir(self->path));
	GET(fd, open_by(&h, O_RDONLY | O_DIRECTORY));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	GET(n, readlink(link, path, sizeof(path) - 1));
	path[n] = '\0';
	ASSERT_EQ(0, strncmp(path, self->path, strlen(self->path)));
	ASSERT_EQ(0, strncmp(path + strlen(self->path), "/else/d2/d3/", 12));
	ASSERT_NE(NULL, strstr(path, "/d38/d39"));
	OK(faccessat(fd, "leaf", F_OK, 0));
	OK(faccessat(fd, "../../../d37/d38/d39/leaf", F_OK, 0));
	OK(renameat(fd, "leaf", AT_FDCWD, "leaf"));
	close(fd);
	OK(access("leaf", F_OK));
}

TEST_F(dir, hard_links)
{
	struct handle a, b;
	struct stat st;
	int fd;

	if (!self->root)
		SKIP(return, "needs root");
	OK(mkdir("d", 0755));
	OK(nx_put("a", "text"));
	OK(link("a", "d/b"));
	OK(name_to(AT_FDCWD, "a", &a, 0));
	OK(name_to(AT_FDCWD, "d/b", &b, 0));
	ASSERT_EQ(0, memcmp(a.bytes, b.bytes, a.h.handle_bytes));
	OK(unlink("a"));
	nx_drop_caches();
	GET(fd, open_by(&a, O_RDONLY));
	OK(fstat(fd, &st));
	ASSERT_EQ(1, st.st_nlink);
	OK(unlink("d/b"));
	close(fd);
	FAILS(ESTALE, open_by(&b, O_RDONLY));
}

TEST_F(dir, gone)
{
	struct handle file, sub, other;
	int fd, held;

	if (!self->root)
		SKIP(return, "needs root");
	OK(nx_put("file", "text"));
	OK(nx_put("other", "text"));
	OK(mkdir("sub", 0755));
	OK(name_to(AT_FDCWD, "file", &file, 0));
	OK(name_to(AT_FDCWD, "other", &other, 0));
	OK(name_to(AT_FDCWD, "sub", &sub, 0));
	GET(held, open("file", O_RDONLY));
	OK(unlink("file"));
	OK(rmdir("sub"));
	OK(rename("other", "new"));
	/* Without a name, and in use. */
	GET(fd, open_by(&file, O_RDONLY));
	close(fd);
	close(held);
	FAILS(ESTALE, open_by(&file, O_RDONLY));
	FAILS(ESTALE, open_by(&sub, O_RDONLY));
	GET(fd, open_by(&other, O_RDONLY));
	close(fd);
	OK(nx_put("over", "text"));
	OK(rename("over", "new"));
	FAILS(ESTALE, open_by(&other, O_RDONLY));
	nx_drop_caches();
	FAILS(ESTALE, open_by(&file, O_RDONLY));
	FAILS(ESTALE, open_by(&sub, O_RDONLY));
	FAILS(ESTALE, open_by(&other, O_RDONLY));
}

TEST_F(dir, nameless)
{
	char link[64];
	struct handle h;
	int fd, again;

	if (!self->root)
		SKIP(return, "needs root");
	GET(fd, open(".", O_TMPFILE | O_RDWR, 0600));
	OK(name_to(fd, "", &h, AT_EMPTY_PATH));
	GET(again, open_by(&h, O_RDWR));
	ASSERT_EQ(4, write(again, "text", 4));
	close(again);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, link, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	close(fd);
	nx_drop_caches();
	GET(again, open_by(&h, O_RDWR));
	close(again);
	ASSERT_STREQ("text", nx_get("named"));
	OK(unlink("named"));
	FAILS(ESTALE, open_by(&h, O_RDWR));
}

/* Every bit of a handle counts. */
TEST_F(dir, garbage)
{
	static const uint64_t number[] = {
		0, 2, 1ull << 32, 1ull << 40, 1ull << 61, 1ull << 62, (1ull << 62) + 1,
		1ull << 63, INT64_MAX, UINT64_MAX,
	};
	struct handle good, h;
	int i, fd;

	if (!self->root)
		SKIP(return, "needs root");
	OK(nx_put("file", "text"));
	OK(name_to(AT_FDCWD, "file", &good, 0));
	for (i = 0; i < 8 * good.h.handle_bytes; i++) {
		h = good;
		h.bytes[i / 8] ^= 1 << i % 8;
		FAILS(ESTALE, open_by(&h, O_RDONLY));
	}
	for (i = 0; i < N_ELEMS(number) && self->nexus; i++) {
		h = good;
		set_ino(&h, number[i]);
		FAILS(ESTALE, open_by(&h, O_RDONLY));
	}
	for (i = 0; i < 256; i++) {
		h = good;
		h.h.handle_type = i;
		if (i == good.h.handle_type || i == good.h.handle_type + 1)
			continue;
		FAILS(ESTALE, open_by(&h, O_RDONLY));
	}
	for (i = 1; i < good.h.handle_bytes; i++) {
		h = good;
		h.h.handle_bytes = i;
		FAILS(ESTALE, open_by(&h, O_RDONLY));
	}
	/* The next type has the parent behind, which nobody asks for here. */
	if (self->nexus) {
		h = good;
		h.h.handle_type++;
		h.h.handle_bytes = 24;
		GET(fd, open_by(&h, O_RDONLY));
		close(fd);
	}
	h = good;
	h.h.handle_bytes = 0;
	FAILS(EINVAL, open_by(&h, O_RDONLY));
	h.h.handle_bytes = MAX_HANDLE_SZ + 1;
	FAILS(EINVAL, open_by(&h, O_RDONLY));
}

TEST_F(dir, room)
{
	struct handle h = {};
	int mount, i, want;

	OK(nx_put("file", "text"));
	OK(name_to(AT_FDCWD, "file", &h, 0));
	want = h.h.handle_bytes;
	for (i = 0; i < want; i++) {
		memset(&h, 0x55, sizeof(h));
		h.h.handle_bytes = i;
		FAILS(EOVERFLOW, name_to_handle_at(AT_FDCWD, "file", &h.h, &mount, 0));
		ASSERT_EQ(want, h.h.handle_bytes);
		ASSERT_EQ(0x55, h.bytes[0]);
	}
	h.h.handle_bytes = MAX_HANDLE_SZ + 1;
	FAILS(EINVAL, name_to_handle_at(AT_FDCWD, "file", &h.h, &mount, 0));
}

static void open_as_nobody(void *arg)
{
	errno = 0;
	HOLDS(open_by(arg, O_RDONLY) == -1 && errno == EPERM);
}

TEST_F(dir, privilege)
{
	struct handle h;

	if (!self->root)
		SKIP(return, "needs root");
	OK(nx_put("file", "text"));
	OK(name_to(AT_FDCWD, "file", &h, 0));
	ASSERT_EQ(0, nx_as_nobody(open_as_nobody, &h));
}

/* More than anything keeps, in another order. */
TEST_F(dir, many)
{
	enum { FILES = 600 };
	struct handle *h = calloc(FILES, sizeof(*h));
	char name[32], text[32];
	int i, fd;
	ssize_t n;

	if (!self->root)
		SKIP(return, "needs root");
	ASSERT_NE(NULL, h);
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%d", i);
		OK(nx_put(name, name));
		OK(name_to(AT_FDCWD, name, &h[i], 0));
	}
	nx_drop_caches();
	nx_seed();
	for (i = 0; i < FILES; i++) {
		int one = nx_below(FILES);

		GET(fd, open_by(&h[one], O_RDONLY));
		GET(n, read(fd, text, sizeof(text) - 1));
		text[n] = '\0';
		snprintf(name, sizeof(name), "%d", one);
		ASSERT_STREQ(name, text);
		close(fd);
	}
	free(h);
}

/*
 * Names that come and go while others open by handle: found or ESTALE.  ext4 also says
 * ENOMEM, of an inode that is about to go.
 */
TEST_F(dir, beside_changes)
{
	enum { ROUNDS = 400 };
	int i, fd, way[2];
	struct handle h;
	pid_t pid;

	if (!self->root)
		SKIP(return, "needs root");
	OK(pipe(way));
	GET(pid, fork());
	if (!pid) {
		close(way[1]);
		while (read(way[0], &h, sizeof(h)) == sizeof(h)) {
			for (i = 0; i < 4; i++) {
				errno = 0;
				fd = open_by(&h, O_RDONLY);
				HOLDS(fd >= 0 || errno == ESTALE ||
				      (errno == ENOMEM && !self->nexus));
				close(fd);
			}
		}
		_exit(0);
	}
	close(way[0]);
	for (i = 0; i < ROUNDS; i++) {
		if (i % 2)
			OK(mkdir("one", 0755));
		else
			OK(nx_put("one", "text"));
		OK(name_to(AT_FDCWD, "one", &h, 0));
		ASSERT_EQ(sizeof(h), write(way[1], &h, sizeof(h)));
		OK(rename("one", "two"));
		if (i % 16 == 0)
			nx_drop_some("2");
		OK(remove("two"));
	}
	close(way[1]);
	ASSERT_EQ(0, nx_reap());
}

TEST_F(dir, below_sys)
{
	struct handle h;

	if (!self->nexus || !self->root)
		SKIP(return, "needs nexusfs and root");
	OK(name_to(AT_FDCWD, "/mnt/nexus/__sys__/stats", &h, 0));
	FAILS(ESTALE, open_by(&h, O_RDONLY));
}

TEST_HARNESS_MAIN
