// SPDX-License-Identifier: GPL-2.0-only
/* Files without a name: unlinked but open, or replaced; tmpfile has those never named. */
#include "nx.h"

static char *pattern(size_t len, int seed)
{
	char *p = malloc(len);
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = i * 11 + i / 4096 + seed;
	return p;
}

/* Scenario B31. */
TEST_F(dir, unlinked_file_goes_on)
{
	enum { SIZE = 300000 };
	char *data = pattern(SIZE, 1), *buf = malloc(2 * SIZE);
	struct stat st;
	int fd;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	ASSERT_EQ(SIZE, write(fd, data, SIZE));
	OK(unlink("f"));
	OK(fstat(fd, &st));
	EXPECT_EQ(0, st.st_nlink);
	EXPECT_EQ(SIZE, st.st_size);
	EXPECT_EQ(SIZE, pread(fd, buf, SIZE, 0));
	EXPECT_EQ(0, memcmp(buf, data, SIZE));
	nx_drop_caches();
	EXPECT_EQ(SIZE, pread(fd, buf, SIZE, 0));
	EXPECT_EQ(0, memcmp(buf, data, SIZE));
	EXPECT_EQ(SIZE, pwrite(fd, data, SIZE, SIZE));
	OK(fsync(fd));
	nx_drop_caches();
	EXPECT_EQ(2 * SIZE, pread(fd, buf, 2 * SIZE, 0));
	EXPECT_EQ(0, memcmp(buf + SIZE, data, SIZE));
	OK(ftruncate(fd, 10));
	OK(fchmod(fd, 0600));
	OK(fstat(fd, &st));
	EXPECT_EQ(10, st.st_size);
	FAILS(ENOENT, stat("f", &st));
	OK(nx_put("f", "another"));
	EXPECT_EQ(10, pread(fd, buf, 100, 0));
	OK(close(fd));
	EXPECT_STREQ("another", nx_get("f"));
	free(data);
	free(buf);
}

TEST_F(dir, replaced_file_goes_on)
{
	char buf[8] = "";
	int fd;

	OK(nx_put("f", "old"));
	GET(fd, open("f", O_RDWR));
	OK(nx_put("n", "new"));
	OK(rename("n", "f"));
	nx_drop_caches();
	EXPECT_EQ(3, pread(fd, buf, 8, 0));
	EXPECT_STREQ("old", buf);
	EXPECT_STREQ("new", nx_get("f"));
	OK(close(fd));
}

TEST_F(dir, no_way_back_for_the_unlinked)
{
	char path[64];
	int fd;

	OK(nx_put("f", "x"));
	GET(fd, open("f", O_RDWR));
	OK(unlink("f"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FAILS(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, "g", AT_SYMLINK_FOLLOW));
	OK(close(fd));
}

/* One of two names gone: the file is none of this. */
TEST_F(dir, one_of_two_names)
{
	struct stat st;
	int fd;

	OK(nx_put("f", "x"));
	OK(link("f", "g"));
	GET(fd, open("f", O_RDWR));
	OK(unlink("f"));
	OK(fstat(fd, &st));
	EXPECT_EQ(1, st.st_nlink);
	OK(close(fd));
	nx_drop_caches();
	EXPECT_STREQ("x", nx_get("g"));
}

TEST_F(dir, five_hundred_at_once)
{
	int fd[500], i;
	char name[16], c;

	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "o%d", i);
		GET(fd[i], open(name, O_RDWR | O_CREAT, 0644));
		c = i;
		ASSERT_EQ(1, write(fd[i], &c, 1));
		OK(unlink(name));
	}
	nx_drop_caches();
	for (i = 0; i < 500; i++) {
		ASSERT_EQ(1, pread(fd[i], &c, 1, 0));
		ASSERT_EQ((char)i, c);
	}
	for (i = 0; i < 500; i++)
		OK(close(fd[(i * 7) % 500]));
	OK(nx_sh("test -z \"$(ls -A)\""));
}

TEST_F(dir, removed_directory)
{
	struct stat st;
	int fd;

	OK(mkdir("d", 0755));
	GET(fd, open("d", O_RDONLY | O_DIRECTORY));
	OK(rmdir("d"));
	OK(fstat(fd, &st));
	EXPECT_EQ(0, st.st_nlink);
	OK(fchmod(fd, 0700));
	OK(fsync(fd));
	nx_drop_caches();
	OK(fstat(fd, &st));
	EXPECT_EQ(S_IFDIR | 0700, st.st_mode);
	OK(close(fd));
}

/* Named, nameless and named again, all the time, by several. */
TEST_F(dir, come_and_go)
{
	int proc, i;

	for (proc = 0; proc < 4; proc++) {
		if (fork())
			continue;
		nx_srand(proc + 1);
		for (i = 0; i < 200; i++) {
			char name[16], c = i;
			int fd;

			snprintf(name, sizeof(name), "n%d", (int)nx_below(20));
			fd = open(name, O_RDWR | O_CREAT, 0644);
			HOLDS(fd >= 0);
			HOLDS(pwrite(fd, &c, 1, nx_below(10000)) == 1);
			if (nx_below(2))
				HOLDS(!unlink(name) || errno == ENOENT);
			HOLDS(pwrite(fd, &c, 1, 20000) == 1);
			HOLDS(pread(fd, &c, 1, 20000) == 1);
			if (nx_below(8) == 0)
				HOLDS(!fsync(fd));
			HOLDS(!close(fd));
		}
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
}

TEST_HARNESS_MAIN
