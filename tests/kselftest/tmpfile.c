// SPDX-License-Identifier: GPL-2.0-only
/* O_TMPFILE: files that begin without a name, and the linkat(2) that gives them one. */
#include "nx.h"

#include <pthread.h>

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

enum { SIZE = 100000 };

static char *pattern(size_t len, int seed)
{
	char *p = malloc(len);
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = i * 11 + i / 4096 + seed;
	return p;
}

static const char *proc(int fd)
{
	static __thread char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static int by_proc(int fd, const char *name)
{
	return linkat(AT_FDCWD, proc(fd), AT_FDCWD, name, AT_SYMLINK_FOLLOW);
}

static long links(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : (long)st.st_nlink;
}

/* Whether the open file or the one called @name holds the pattern. */
static bool holds(int fd, const char *name, const char *data, size_t len)
{
	char *buf = malloc(len + 1);
	bool same;

	if (name)
		fd = open(name, O_RDONLY);
	same = pread(fd, buf, len + 1, 0) == (ssize_t)len && !memcmp(buf, data, len);
	if (name)
		close(fd);
	free(buf);
	return same;
}

TEST_F(dir, nameless)
{
	char *data = pattern(SIZE, 1);
	struct stat st, dir, after;
	int fd;

	OK(stat(".", &dir));
	GET(fd, open(".", O_TMPFILE | O_RDWR, 0640));
	OK(fstat(fd, &st));
	EXPECT_EQ(0, st.st_nlink);
	EXPECT_EQ(S_IFREG | 0640, st.st_mode);
	EXPECT_EQ(0, st.st_size);
	EXPECT_EQ(geteuid(), st.st_uid);
	ASSERT_EQ(SIZE, write(fd, data, SIZE));
	nx_drop_caches();
	EXPECT_TRUE(holds(fd, NULL, data, SIZE));
	OK(fsync(fd));
	OK(fchmod(fd, 0600));
	OK(ftruncate(fd, 5000));
	nx_drop_caches();
	EXPECT_TRUE(holds(fd, NULL, data, 5000));
	OK(fstat(fd, &st));
	EXPECT_EQ(S_IFREG | 0600, st.st_mode);
	/* Nothing of it shows in the directory. */
	OK(nx_sh("test -z \"$(ls -A)\""));
	OK(stat(".", &after));
	EXPECT_EQ(dir.st_mtim.tv_sec, after.st_mtim.tv_sec);
	EXPECT_EQ(dir.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	EXPECT_EQ(dir.st_nlink, after.st_nlink);
	OK(close(fd));
	free(data);
}

/* A file of its own through /proc, with what the first has written. */
TEST_F(dir, opened_again)
{
	int fd, again;
	char c;

	GET(fd, open(".", O_TMPFILE | O_WRONLY, 0600));
	EXPECT_EQ(1, write(fd, "x", 1));
	FAILS(EBADF, (int)pread(fd, &c, 1, 0));
	GET(again, open(proc(fd), O_RDONLY));
	OK(close(fd));
	EXPECT_EQ(1, read(again, &c, 1));
	EXPECT_EQ('x', c);
	EXPECT_EQ(0, links(again));
	OK(close(again));
}

TEST_F(dir, gets_a_name)
{
	char *data = pattern(SIZE, 2);
	struct stat st, named;
	int fd;

	GET(fd, open(".", O_TMPFILE | O_RDWR, 0640));
	ASSERT_EQ(SIZE, write(fd, data, SIZE));
	nx_drop_caches();
	OK(fstat(fd, &st));
	OK(by_proc(fd, "named"));
	OK(stat("named", &named));
	EXPECT_EQ(st.st_ino, named.st_ino);
	EXPECT_EQ(1, named.st_nlink);
	EXPECT_EQ(S_IFREG | 0640, named.st_mode);
	EXPECT_TRUE(holds(-1, "named", data, SIZE));
	OK(close(fd));
	nx_drop_caches();
	OK(stat("named", &named));
	EXPECT_EQ(st.st_ino, named.st_ino);
	EXPECT_EQ(1, named.st_nlink);
	EXPECT_EQ(st.st_mtim.tv_sec, named.st_mtim.tv_sec);
	EXPECT_EQ(st.st_mtim.tv_nsec, named.st_mtim.tv_nsec);
	EXPECT_TRUE(holds(-1, "named", data, SIZE));
	/* And is a file like any other from then on. */
	OK(rename("named", "moved"));
	OK(unlink("moved"));
	FAILS(ENOENT, stat("moved", &st));
	free(data);
}

/* The first name of none, then a second of one, then one of two goes. */
TEST_F(dir, names_come_and_go)
{
	struct stat st;
	int fd;

	OK(mkdir("d", 0755));
	GET(fd, open("d", O_TMPFILE | O_RDWR, 0644));
	ASSERT_EQ(4, write(fd, "text", 4));
	OK(by_proc(fd, "first"));
	EXPECT_EQ(1, links(fd));
	FAILS(EEXIST, by_proc(fd, "first"));
	OK(by_proc(fd, "d/second"));
	EXPECT_EQ(2, links(fd));
	nx_drop_caches();
	EXPECT_STREQ("text", nx_get("d/second"));
	OK(unlink("first"));
	EXPECT_EQ(1, links(fd));
	nx_drop_caches();
	OK(stat("d/second", &st));
	EXPECT_EQ(1, st.st_nlink);
	OK(unlink("d/second"));
	EXPECT_EQ(0, links(fd));
	/* It had a name and lost it: no way back. */
	FAILS(ENOENT, by_proc(fd, "third"));
	nx_drop_caches();
	EXPECT_TRUE(holds(fd, NULL, "text", 4));
	OK(close(fd));
	OK(rmdir("d"));
}

TEST_F(dir, by_empty_path)
{
	int fd;

	if (!self->root)
		SKIP(return, "needs root");
	GET(fd, open(".", O_TMPFILE | O_WRONLY, 0644));
	EXPECT_EQ(4, write(fd, "text", 4));
	OK(linkat(fd, "", AT_FDCWD, "named", AT_EMPTY_PATH));
	EXPECT_EQ(1, links(fd));
	OK(linkat(fd, "", AT_FDCWD, "again", AT_EMPTY_PATH));
	OK(close(fd));
	nx_drop_caches();
	EXPECT_STREQ("text", nx_get("named"));
	EXPECT_STREQ("text", nx_get("again"));
}

TEST_F(dir, exclusive_stays_nameless)
{
	int fd;

	GET(fd, open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600));
	EXPECT_EQ(1, write(fd, "x", 1));
	OK(fsync(fd));
	FAILS(ENOENT, by_proc(fd, "named"));
	if (self->root)
		FAILS(ENOENT, linkat(fd, "", AT_FDCWD, "named", AT_EMPTY_PATH));
	EXPECT_EQ(0, links(fd));
	nx_drop_caches();
	EXPECT_TRUE(holds(fd, NULL, "x", 1));
	OK(close(fd));
	OK(nx_sh("test -z \"$(ls -A)\""));
}

TEST_F(dir, refused)
{
	char name[300];
	int fd, dir;

	FAILS(EINVAL, open(".", O_TMPFILE | O_RDONLY, 0600));
	FAILS(ENOENT, open("none", O_TMPFILE | O_RDWR, 0600));
	OK(nx_put("f", ""));
	FAILS(ENOTDIR, open("f", O_TMPFILE | O_RDWR, 0600));

	GET(fd, open(".", O_TMPFILE | O_RDWR, 0600));
	FAILS(EEXIST, by_proc(fd, "f"));
	FAILS(ENOENT, by_proc(fd, "none/g"));
	FAILS(ENOTDIR, by_proc(fd, "f/g"));
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	FAILS(ENAMETOOLONG, by_proc(fd, name));
	FAILS(EXDEV, by_proc(fd, "/dev/shm/elsewhere"));
	EXPECT_EQ(0, links(fd));
	/* A refusal costs nothing: it can still have its name. */
	name[255] = '\0';
	OK(by_proc(fd, name));
	OK(close(fd));
	OK(unlink(name));

	/* Where there is nothing to be in any more. */
	OK(mkdir("d", 0755));
	GET(dir, open("d", O_RDONLY | O_DIRECTORY));
	OK(rmdir("d"));
	FAILS(EPERM, openat(dir, ".", O_TMPFILE | O_RDWR, 0600));
	OK(close(dir));
}

static void as_nobody(void *arg)
{
	int fd;

	HOLDS(open("closed", O_TMPFILE | O_RDWR, 0600) == -1 && errno == EACCES);
	HOLDS(open("listed", O_TMPFILE | O_RDWR, 0600) == -1 && errno == EACCES);
	fd = open("open", O_TMPFILE | O_RDWR, 0640);
	HOLDS(fd >= 0);
	HOLDS(write(fd, "mine", 4) == 4);
	HOLDS(by_proc(fd, "listed/n") == -1 && errno == EACCES);
	HOLDS(!by_proc(fd, "open/n"));
}

TEST_F(dir, rights)
{
	struct stat st;

	if (!self->root)
		SKIP(return, "needs root");
	OK(mkdir("closed", 0700));
	OK(mkdir("listed", 0755));
	OK(mkdir("open", 0755));
	OK(chmod("open", 01777));
	ASSERT_EQ(0, nx_as_nobody(as_nobody, NULL));
	OK(stat("open/n", &st));
	EXPECT_EQ(65534, st.st_uid);
	EXPECT_EQ(S_IFREG | 0640, st.st_mode);
	EXPECT_STREQ("mine", nx_get("open/n"));
}

/* The group of a directory with the set-group-ID bit; the umask. */
TEST_F(dir, group_and_umask)
{
	struct stat st;
	int fd;

	if (!self->root)
		SKIP(return, "needs root");
	OK(mkdir("d", 0755));
	OK(chown("d", 0, 4711));
	OK(chmod("d", 02755));
	umask(027);
	GET(fd, open("d", O_TMPFILE | O_RDWR, 0777));
	umask(022);
	OK(fstat(fd, &st));
	EXPECT_EQ(4711, st.st_gid);
	EXPECT_EQ(S_IFREG | 0750, st.st_mode);
	OK(close(fd));
}

/* The directory it began in may go: it was never in it. */
TEST_F(dir, directory_removed)
{
	int fd;

	OK(mkdir("d", 0755));
	GET(fd, open("d", O_TMPFILE | O_RDWR, 0600));
	OK(rmdir("d"));
	EXPECT_EQ(4, write(fd, "text", 4));
	OK(by_proc(fd, "named"));
	OK(close(fd));
	nx_drop_caches();
	EXPECT_STREQ("text", nx_get("named"));
}

/* How an editor saves: whole, under a new name, then over the old one. */
TEST_F(dir, saved)
{
	int fd, i;
	char text[32];

	OK(nx_put("file", "old"));
	for (i = 0; i < 20; i++) {
		GET(fd, open(".", O_TMPFILE | O_WRONLY, 0644));
		snprintf(text, sizeof(text), "version %d", i);
		ASSERT_EQ((ssize_t)strlen(text), write(fd, text, strlen(text)));
		OK(fdatasync(fd));
		OK(by_proc(fd, "new"));
		OK(rename("new", "file"));
		OK(close(fd));
		EXPECT_STREQ(text, nx_get("file"));
	}
	OK(nx_sh("test \"$(ls -A)\" = file"));
}

struct namer {
	int fd, won;
	char name[16];
};

static void *name_it(void *arg)
{
	struct namer *n = arg;

	n->won = !by_proc(n->fd, n->name);
	return NULL;
}

/* Several threads name one file at once; each succeeds, and all count. */
TEST_F(dir, named_by_several)
{
	struct namer n[8];
	pthread_t thread[8];
	int fd, round, i;

	for (round = 0; round < 20; round++) {
		GET(fd, open(".", O_TMPFILE | O_RDWR, 0600));
		for (i = 0; i < 8; i++) {
			n[i].fd = fd;
			snprintf(n[i].name, sizeof(n[i].name), "n%d", i);
			ASSERT_EQ(0, pthread_create(&thread[i], NULL, name_it, &n[i]));
		}
		for (i = 0; i < 8; i++) {
			ASSERT_EQ(0, pthread_join(thread[i], NULL));
			EXPECT_EQ(1, n[i].won);
		}
		EXPECT_EQ(8, links(fd));
		nx_drop_caches();
		EXPECT_EQ(8, links(fd));
		for (i = 0; i < 8; i++)
			OK(unlink(n[i].name));
		EXPECT_EQ(0, links(fd));
		OK(close(fd));
	}
}

static long inodes_used(void)
{
	struct statfs sf;

	sync();
	return statfs(".", &sf) ? -1 : (long)(sf.f_files - sf.f_ffree);
}

/* They count while they are open, and are gone when the last one closes. */
/* When what was made and removed before is counted, this test's directory too. */
static long inodes_settled(void)
{
	long last, n = inodes_used();
	int tries = 0;

	do {
		last = n;
		usleep(500000);
		n = inodes_used();
	} while (n != last && tries++ < 40);
	return n;
}

TEST_F(dir, inodes_come_back)
{
	char *data = pattern(SIZE, 3);
	int fd[64], i, tries;
	long before = inodes_settled();

	for (i = 0; i < 64; i++) {
		GET(fd[i], open(".", O_TMPFILE | O_RDWR, 0600));
		ASSERT_EQ(SIZE, write(fd[i], data, SIZE));
	}
	/* Counted where the log is applied, which may lag behind. */
	for (tries = 0; tries < 100 && inodes_used() < before + 64; tries++)
		usleep(100000);
	EXPECT_LT(tries, 100);
	for (i = 0; i < 64; i++)
		OK(close(fd[i]));
	for (tries = 0; tries < 100 && inodes_used() > before; tries++)
		usleep(100000);
	EXPECT_LT(tries, 100);
	free(data);
}

/* Made, written, named or not, and closed, by several processes. */
TEST_F(dir, come_and_go)
{
	int proc, i;

	for (proc = 0; proc < 4; proc++) {
		if (fork())
			continue;
		nx_srand(proc + 1);
		for (i = 0; i < 100; i++) {
			char name[32], c = i;
			int fd = open(".", O_TMPFILE | O_RDWR, 0600);

			HOLDS(fd >= 0);
			HOLDS(pwrite(fd, &c, 1, nx_below(10000)) == 1);
			snprintf(name, sizeof(name), "n%d", (int)nx_below(20));
			if (nx_below(2))
				HOLDS(!by_proc(fd, name) || errno == EEXIST);
			if (nx_below(4) == 0)
				HOLDS(!fsync(fd));
			if (nx_below(2))
				HOLDS(!unlink(name) || errno == ENOENT);
			HOLDS(pwrite(fd, &c, 1, 20000) == 1);
			HOLDS(pread(fd, &c, 1, 20000) == 1 && c == (char)i);
			HOLDS(!close(fd));
		}
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
}

TEST_HARNESS_MAIN
