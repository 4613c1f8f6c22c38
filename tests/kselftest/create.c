// SPDX-License-Identifier: GPL-2.0-only
/* Making, finding and removing names. */
#include "nx.h"

#include <sched.h>

static const char *name_of(size_t len, char fill)
{
	static char name[PATH_MAX];

	memset(name, fill, len);
	name[len] = '\0';
	return name;
}

TEST_F(dir, create_and_exclusive)
{
	struct stat st;
	int fd;

	FAILS(ENOENT, stat("f", &st));
	FAILS(ENOENT, open("f", O_RDWR));
	GET(fd, open("f", O_RDWR | O_CREAT | O_EXCL, 0666));
	OK(fstat(fd, &st));
	EXPECT_EQ(S_IFREG | 0644, st.st_mode);
	EXPECT_EQ(1, st.st_nlink);
	EXPECT_EQ(0, st.st_size);
	EXPECT_EQ(0, st.st_blocks);
	EXPECT_EQ(geteuid(), st.st_uid);
	OK(close(fd));
	FAILS(EEXIST, open("f", O_RDWR | O_CREAT | O_EXCL, 0666));
	GET(fd, open("f", O_RDWR | O_CREAT, 0600));
	OK(fstat(fd, &st));
	EXPECT_EQ(S_IFREG | 0644, st.st_mode);
	OK(close(fd));
}

TEST_F(dir, negative_then_positive)
{
	struct stat st;
	char name[16];
	int fd, i;

	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		FAILS(ENOENT, stat(name, &st));
		GET(fd, creat(name, 0644));
		OK(close(fd));
		OK(stat(name, &st));
		OK(unlink(name));
		FAILS(ENOENT, stat(name, &st));
		OK(mkdir(name, 0755));
		OK(stat(name, &st));
		EXPECT_TRUE(S_ISDIR(st.st_mode));
		OK(rmdir(name));
		FAILS(ENOENT, stat(name, &st));
	}
}

TEST_F(dir, name_of_255_bytes)
{
	const char *name = name_of(255, 'x');
	struct stat st;
	int fd;

	GET(fd, creat(name, 0644));
	OK(close(fd));
	OK(stat(name, &st));
	nx_drop_caches();
	OK(stat(name, &st));
	OK(unlink(name));
	OK(mkdir(name, 0755));
	OK(rmdir(name));
	OK(symlink("t", name));
	OK(unlink(name));
}

TEST_F(dir, name_of_256_bytes)
{
	const char *name = name_of(256, 'x');
	struct stat st;

	OK(nx_put("f", "x"));
	OK(mkdir("d", 0755));
	FAILS(ENAMETOOLONG, open(name, O_RDONLY));
	FAILS(ENAMETOOLONG, open(name, O_WRONLY | O_CREAT, 0644));
	FAILS(ENAMETOOLONG, mkdir(name, 0755));
	FAILS(ENAMETOOLONG, mknod(name, S_IFIFO | 0644, 0));
	FAILS(ENAMETOOLONG, symlink("t", name));
	FAILS(ENAMETOOLONG, link("f", name));
	FAILS(ENAMETOOLONG, rename("f", name));
	FAILS(ENAMETOOLONG, rename("d", name));
	FAILS(ENAMETOOLONG, rename(name, "g"));
	FAILS(ENAMETOOLONG, stat(name, &st));
	FAILS(ENAMETOOLONG, unlink(name));
	FAILS(ENAMETOOLONG, rmdir(name));
	OK(stat("f", &st));
	OK(stat("d", &st));
}

TEST_F(dir, names_of_any_byte)
{
	char name[4] = "a?z";
	struct stat st;
	int c, n = 0, fd;
	struct dirent *de;
	DIR *d;

	for (c = 1; c < 256; c++) {
		if (c == '/')
			continue;
		name[1] = c;
		GET(fd, open(name, O_WRONLY | O_CREAT | O_EXCL, 0644));
		OK(close(fd));
	}
	nx_drop_caches();
	for (c = 1; c < 256; c++) {
		if (c == '/')
			continue;
		name[1] = c;
		OK(stat(name, &st));
	}
	d = opendir(".");
	ASSERT_NE(NULL, d);
	while ((de = readdir(d)))
		n += de->d_name[0] == 'a' && strlen(de->d_name) == 3;
	closedir(d);
	EXPECT_EQ(254, n);
}

/* Names are bytes: what differs in case or in normal form is another name. */
TEST_F(dir, names_are_bytes)
{
	OK(nx_put("Name", "1"));
	OK(nx_put("name", "2"));
	OK(nx_put("\xc3\xa9", "3"));
	OK(nx_put("e\xcc\x81", "4"));
	OK(nx_put("\xff\xfe", "5"));
	EXPECT_STREQ("1", nx_get("Name"));
	EXPECT_STREQ("2", nx_get("name"));
	EXPECT_STREQ("3", nx_get("\xc3\xa9"));
	EXPECT_STREQ("4", nx_get("e\xcc\x81"));
	EXPECT_STREQ("5", nx_get("\xff\xfe"));
}

TEST_F(dir, dots)
{
	struct stat st, up;

	FAILS(EEXIST, mkdir(".", 0755));
	FAILS(EEXIST, mkdir("..", 0755));
	FAILS(EINVAL, rmdir("."));
	FAILS(ENOTEMPTY, rmdir(".."));
	FAILS(EISDIR, unlink("."));
	FAILS(EISDIR, open(".", O_WRONLY));
	OK(mkdir("d", 0755));
	OK(stat("d/..", &up));
	OK(stat(".", &st));
	EXPECT_EQ(st.st_ino, up.st_ino);
	OK(stat("d/.", &up));
	OK(stat("d", &st));
	EXPECT_EQ(st.st_ino, up.st_ino);
	OK(nx_put("...", "three"));
	EXPECT_STREQ("three", nx_get("..."));
}

TEST_F(dir, unlink_errors)
{
	OK(nx_put("f", "x"));
	OK(mkdir("d", 0755));
	FAILS(ENOENT, unlink("none"));
	FAILS(EISDIR, unlink("d"));
	FAILS(ENOTDIR, unlink("f/x"));
	FAILS(ENOTDIR, unlink("f/"));
	FAILS(ENOENT, unlink("none/x"));
	FAILS(ENOENT, unlink(""));
	OK(unlink("f"));
	FAILS(ENOENT, unlink("f"));
}

TEST_F(dir, mkdir_and_links_of_directories)
{
	struct stat st;
	char name[16];
	int i;

	OK(mkdir("d", 0777));
	OK(stat("d", &st));
	EXPECT_EQ(S_IFDIR | 0755, st.st_mode);
	EXPECT_EQ(2, st.st_nlink);
	FAILS(EEXIST, mkdir("d", 0755));
	OK(nx_put("f", "x"));
	FAILS(EEXIST, mkdir("f", 0755));
	FAILS(ENOTDIR, mkdir("f/d", 0755));
	FAILS(ENOENT, mkdir("none/d", 0755));
	OK(mkdir("slash/", 0755));
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "d/%d", i);
		OK(mkdir(name, 0755));
		OK(stat("d", &st));
		EXPECT_EQ(3 + i, st.st_nlink);
	}
	OK(nx_put("d/file", "x"));
	OK(stat("d", &st));
	EXPECT_EQ(52, st.st_nlink);
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "d/%d", i);
		OK(rmdir(name));
	}
	OK(stat("d", &st));
	EXPECT_EQ(2, st.st_nlink);
}

TEST_F(dir, rmdir_errors)
{
	OK(mkdir("d", 0755));
	OK(nx_put("d/f", "x"));
	OK(nx_put("f", "x"));
	FAILS(ENOTEMPTY, rmdir("d"));
	FAILS(ENOTDIR, rmdir("f"));
	FAILS(ENOENT, rmdir("none"));
	OK(symlink("d", "l"));
	FAILS(ENOTDIR, rmdir("l"));
	/* Fullness is known without the cache, too. */
	nx_drop_caches();
	FAILS(ENOTEMPTY, rmdir("d"));
	OK(unlink("d/f"));
	OK(rmdir("d"));
	FAILS(ENOENT, rmdir("d"));
}

TEST_F(dir, removed_directory_takes_nothing)
{
	struct stat st;
	int fd;

	OK(mkdir("d", 0755));
	GET(fd, open("d", O_RDONLY | O_DIRECTORY));
	OK(chdir("d"));
	OK(rmdir("../d"));
	FAILS(ENOENT, open("x", O_WRONLY | O_CREAT, 0644));
	FAILS(ENOENT, mkdir("x", 0755));
	FAILS(ENOENT, symlink("t", "x"));
	FAILS(ENOENT, mknodat(fd, "x", S_IFIFO | 0644, 0));
	FAILS(ENOENT, openat(fd, "..x", O_RDONLY));
	OK(fstat(fd, &st));
	EXPECT_EQ(0, st.st_nlink);
	OK(close(fd));
	OK(chdir(self->path));
	OK(mkdir("d", 0755));
	OK(stat("d", &st));
	EXPECT_EQ(2, st.st_nlink);
}

TEST_F(dir, special_files)
{
	struct stat st;
	int fd, wr;
	char c;

	OK(mknod("fifo", S_IFIFO | 0640, 0));
	OK(mknod("sock", S_IFSOCK | 0600, 0));
	if (self->root) {
		OK(mknod("chr", S_IFCHR | 0666, makedev(1, 3)));
		OK(mknod("blk", S_IFBLK | 0660, makedev(259, 70000)));
	}
	nx_drop_caches();
	OK(stat("fifo", &st));
	EXPECT_EQ(S_IFIFO | 0640, st.st_mode);
	OK(stat("sock", &st));
	EXPECT_EQ(S_IFSOCK | 0600, st.st_mode);
	if (self->root) {
		OK(stat("chr", &st));
		EXPECT_TRUE(S_ISCHR(st.st_mode));
		EXPECT_EQ(makedev(1, 3), st.st_rdev);
		OK(stat("blk", &st));
		EXPECT_TRUE(S_ISBLK(st.st_mode));
		EXPECT_EQ(makedev(259, 70000), st.st_rdev);
	}
	/* An ordinary FIFO is one. */
	GET(fd, open("fifo", O_RDONLY | O_NONBLOCK));
	GET(wr, open("fifo", O_WRONLY | O_NONBLOCK));
	EXPECT_EQ(1, write(wr, "x", 1));
	EXPECT_EQ(1, read(fd, &c, 1));
	OK(close(wr));
	EXPECT_EQ(0, read(fd, &c, 1));
	OK(close(fd));
	FAILS(ENXIO, open("sock", O_RDONLY));
	OK(unlink("fifo"));
	OK(unlink("sock"));
}

TEST_F(dir, ways_to_open)
{
	struct stat st;
	int fd;

	OK(nx_put("f", "x"));
	OK(mkdir("d", 0755));
	OK(symlink("f", "l"));
	OK(symlink("none", "dangling"));
	FAILS(ENOTDIR, open("f", O_RDONLY | O_DIRECTORY));
	FAILS(ENOTDIR, open("f/", O_RDONLY));
	FAILS(ELOOP, open("l", O_RDONLY | O_NOFOLLOW));
	FAILS(EISDIR, open("d", O_WRONLY));
	FAILS(EISDIR, open("d", O_RDWR | O_CREAT, 0644));
	FAILS(EISDIR, open("new/", O_WRONLY | O_CREAT, 0644));
	FAILS(EEXIST, open("dangling", O_WRONLY | O_CREAT | O_EXCL, 0644));
	FAILS(ENOENT, open("dangling", O_RDONLY));
	GET(fd, open("dangling", O_WRONLY | O_CREAT, 0644));
	OK(close(fd));
	OK(stat("none", &st));
	GET(fd, open("l", O_PATH | O_NOFOLLOW));
	OK(fstat(fd, &st));
	EXPECT_TRUE(S_ISLNK(st.st_mode));
	OK(close(fd));
	/* A mode without permission for the one who makes it. */
	GET(fd, open("w", O_RDWR | O_CREAT | O_EXCL, 0000));
	EXPECT_EQ(1, write(fd, "x", 1));
	OK(close(fd));
}

TEST_F(dir, deep_tree)
{
	int depth, fd;

	for (depth = 0; depth < 200; depth++) {
		OK(mkdir("deep-directory-name", 0755));
		OK(chdir("deep-directory-name"));
	}
	OK(nx_put("bottom", "here"));
	nx_drop_caches();
	EXPECT_STREQ("here", nx_get("bottom"));
	for (depth = 0; depth < 200; depth++) {
		GET(fd, open("..", O_RDONLY | O_DIRECTORY));
		OK(fchdir(fd));
		OK(close(fd));
	}
	OK(nx_put("top", "there"));
	EXPECT_STREQ("there", nx_get("top"));
}

TEST_F(dir, two_thousand_files)
{
	struct stat st, seen;
	char name[32];
	ino_t first;
	int i, fd;

	for (i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		GET(fd, open(name, O_WRONLY | O_CREAT | O_EXCL, 0644));
		OK(close(fd));
	}
	OK(stat("file-0", &st));
	first = st.st_ino;
	for (i = 0; i < 2000; i += 2) {
		snprintf(name, sizeof(name), "file-%d", i);
		OK(unlink(name));
	}
	nx_drop_caches();
	for (i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		if (i % 2)
			OK(stat(name, &seen));
		else
			FAILS(ENOENT, stat(name, &seen));
	}
	/* A number is not given to two files that live at one time. */
	GET(fd, creat("again", 0644));
	OK(close(fd));
	OK(stat("again", &st));
	if (self->nexus)
		EXPECT_NE(first, st.st_ino);
}

TEST_F(dir, one_winner_of_exclusive_create)
{
	int proc, i, wins, total = 0, pipes[2];
	char name[32];

	OK(pipe(pipes));
	for (proc = 0; proc < 4; proc++) {
		if (fork())
			continue;
		for (wins = 0, i = 0; i < 300; i++) {
			int fd;

			snprintf(name, sizeof(name), "race-%d", i);
			fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
			HOLDS(fd >= 0 || errno == EEXIST);
			wins += fd >= 0;
			if (fd >= 0)
				close(fd);
		}
		HOLDS(write(pipes[1], &wins, sizeof(wins)) == sizeof(wins));
		_exit(0);
	}
	for (proc = 0; proc < 4; proc++) {
		ASSERT_EQ(sizeof(wins), read(pipes[0], &wins, sizeof(wins)));
		total += wins;
	}
	EXPECT_EQ(0, nx_reap());
	EXPECT_EQ(300, total);
}

TEST_F(dir, one_winner_of_unlink)
{
	int proc, i, wins, total = 0, pipes[2], fd;
	char name[32];

	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "race-%d", i);
		GET(fd, creat(name, 0644));
		OK(close(fd));
	}
	OK(pipe(pipes));
	for (proc = 0; proc < 4; proc++) {
		if (fork())
			continue;
		for (wins = 0, i = 0; i < 300; i++) {
			snprintf(name, sizeof(name), "race-%d", i);
			if (!unlink(name))
				wins++;
			else
				HOLDS(errno == ENOENT);
		}
		HOLDS(write(pipes[1], &wins, sizeof(wins)) == sizeof(wins));
		_exit(0);
	}
	for (proc = 0; proc < 4; proc++) {
		ASSERT_EQ(sizeof(wins), read(pipes[0], &wins, sizeof(wins)));
		total += wins;
	}
	EXPECT_EQ(0, nx_reap());
	EXPECT_EQ(300, total);
}

/*
 * mkdir and rmdir against create inside: no file in a directory that is gone.
 * Scenario A29.
 */
TEST_F(dir, create_against_rmdir)
{
	int i, fd, made = 0;
	pid_t pid;

	pid = fork();
	if (!pid) {
		for (i = 0; i < 400; i++) {
			HOLDS(!mkdir("d", 0755) || errno == EEXIST);
			if (i % 4)
				sched_yield();
			if (rmdir("d"))
				HOLDS(errno == ENOTEMPTY);
		}
		_exit(0);
	}
	for (i = 0; i < 1200; i++) {
		fd = open("d/f", O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (fd < 0) {
			ASSERT_TRUE(errno == ENOENT || errno == EEXIST) {
				TH_LOG("%s", strerror(errno));
			}
			continue;
		}
		made++;
		OK(close(fd));
		OK(unlink("d/f"));
	}
	EXPECT_EQ(0, nx_reap());
	TH_LOG("%d files made between the two", made);
}

TEST_HARNESS_MAIN
