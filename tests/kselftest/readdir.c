// SPDX-License-Identifier: GPL-2.0-only
/* Listings: complete, each name once, with cookies that stay valid. */
#include "nx.h"

static int touch(const char *format, int i)
{
	char name[NAME_MAX + 1];
	int fd;

	snprintf(name, sizeof(name), format, i);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
	return fd < 0 ? -1 : close(fd);
}

static int rm(const char *format, int i)
{
	char name[NAME_MAX + 1];

	snprintf(name, sizeof(name), format, i);
	return unlink(name);
}

/*
 * A listing by getdents64 with a buffer of @size bytes from where @fd stands
 * until at least @limit entries were seen.  Counts in @seen the names
 * PREFIXnumber; gives the number of entries, or -1.
 */
static int list(int fd, size_t size, char prefix, unsigned char *seen,
		int n_seen, int limit)
{
	char buf[65536] __attribute__((aligned(8)));
	struct linux_dirent *de;
	int total = 0, i;
	long n, at;

	while (total < limit) {
		n = syscall(SYS_getdents64, fd, buf, size);
		if (n < 0)
			return -1;
		if (!n)
			break;
		for (at = 0; at < n; at += de->reclen, total++) {
			de = (struct linux_dirent *)(buf + at);
			if (de->name[0] != prefix)
				continue;
			i = atoi(de->name + 1);
			if (i >= 0 && i < n_seen)
				seen[i]++;
		}
	}
	return total;
}

TEST_F(dir, empty)
{
	struct stat st, up;
	struct dirent *de;
	int n = 0, dots = 0;
	DIR *d;

	OK(mkdir("d", 0755));
	OK(stat("d", &st));
	OK(stat(".", &up));
	d = opendir("d");
	ASSERT_NE(NULL, d);
	while ((de = readdir(d))) {
		n++;
		if (!strcmp(de->d_name, ".") && de->d_ino == st.st_ino)
			dots++;
		if (!strcmp(de->d_name, "..") && de->d_ino == up.st_ino)
			dots++;
		EXPECT_EQ(DT_DIR, de->d_type);
	}
	closedir(d);
	EXPECT_EQ(2, n);
	EXPECT_EQ(2, dots);
}

TEST_F(dir, types_and_numbers)
{
	struct dirent *de;
	struct stat st;
	int n = 0;
	DIR *d;

	OK(nx_put("f", "x"));
	OK(mkdir("d", 0755));
	OK(symlink("f", "l"));
	OK(mknod("p", S_IFIFO | 0644, 0));
	OK(mknod("s", S_IFSOCK | 0644, 0));
	if (self->root) {
		OK(mknod("c", S_IFCHR | 0644, makedev(1, 3)));
		OK(mknod("b", S_IFBLK | 0644, makedev(7, 0)));
	}
	nx_drop_caches();
	d = opendir(".");
	ASSERT_NE(NULL, d);
	while ((de = readdir(d))) {
		if (de->d_name[0] == '.')
			continue;
		n++;
		OK(lstat(de->d_name, &st));
		EXPECT_EQ(st.st_ino, de->d_ino);
		EXPECT_EQ(IFTODT(st.st_mode), de->d_type);
	}
	closedir(d);
	EXPECT_EQ(self->root ? 7 : 5, n);
}

TEST_F(dir, large_names)
{
	char name[NAME_MAX + 1];
	int i, fd;

	for (i = 0; i < 300; i++) {
		memset(name, 'x', NAME_MAX);
		name[NAME_MAX] = '\0';
		name[snprintf(name, sizeof(name), "n%d", 1000 + i)] = '-';
		GET(fd, open(name, O_WRONLY | O_CREAT | O_EXCL, 0644));
		OK(close(fd));
	}
	nx_drop_caches();
	for (i = 0; i < 2; i++) {
		unsigned char *all = calloc(1, 1300);
		int j;

		GET(fd, open(".", O_RDONLY | O_DIRECTORY));
		EXPECT_EQ(302, list(fd, i ? 65536 : 600, 'n', all, 1300, INT_MAX));
		for (j = 0; j < 300; j++)
			EXPECT_EQ(1, all[1000 + j]);
		OK(close(fd));
		free(all);
	}
}

TEST_F(dir, ten_thousand)
{
	static unsigned char seen[10000];
	int i, fd, pass;

	for (i = 0; i < 10000; i++)
		OK(touch("e%d", i));
	for (pass = 0; pass < 3; pass++) {
		if (pass == 1)
			nx_drop_caches();
		memset(seen, 0, sizeof(seen));
		GET(fd, open(".", O_RDONLY | O_DIRECTORY));
		EXPECT_EQ(10002, list(fd, pass == 2 ? 300 : 32768, 'e', seen,
				      10000, INT_MAX));
		for (i = 0; i < 10000; i++) {
			ASSERT_EQ(1, seen[i]) {
				TH_LOG("e%d was seen %d times", i, seen[i]);
			}
		}
		OK(close(fd));
	}
}

/* Scenario A30. */
TEST_F(dir, tell_and_seek)
{
	struct { long at; char name[32]; } mark[502];
	struct dirent *de;
	int i, n = 0;
	DIR *d;

	for (i = 0; i < 500; i++)
		OK(touch("f%d", i));
	d = opendir(".");
	ASSERT_NE(NULL, d);
	for (;;) {
		long at = telldir(d);

		de = readdir(d);
		if (!de)
			break;
		ASSERT_GT(502, n);
		mark[n].at = at;
		strcpy(mark[n++].name, de->d_name);
	}
	ASSERT_EQ(502, n);
	nx_srand(1);
	for (i = 0; i < 1000; i++) {
		int k = nx_below(502);

		if (i == 500)
			nx_drop_caches();
		seekdir(d, mark[k].at);
		EXPECT_EQ(mark[k].at, telldir(d));
		de = readdir(d);
		ASSERT_NE(NULL, de);
		EXPECT_STREQ(mark[k].name, de->d_name);
	}
	closedir(d);
	/* A cookie means the same in another open of the directory. */
	d = opendir(".");
	ASSERT_NE(NULL, d);
	de = readdir(d);
	for (i = 0; i < 50; i++) {
		int k = nx_below(502);

		seekdir(d, mark[k].at);
		de = readdir(d);
		ASSERT_NE(NULL, de);
		EXPECT_STREQ(mark[k].name, de->d_name);
	}
	closedir(d);
}

/* Half is read, then names come and go: what stayed is seen once. */
TEST_F(dir, changes_in_the_middle)
{
	static unsigned char seen[3000], fresh[3000];
	int i, fd, round;

	for (i = 0; i < 3000; i++)
		OK(touch("s%d", i));
	for (round = 0; round < 2; round++) {
		memset(seen, 0, sizeof(seen));
		GET(fd, open(".", O_RDONLY | O_DIRECTORY));
		ASSERT_LT(0, list(fd, 500, 's', seen, 3000, 1500));
		for (i = round; i < 3000; i += 3)
			OK(rm("s%d", i));
		for (i = round; i < 3000; i += 3)
			OK(touch("t%d", i));
		if (round)
			nx_drop_caches();
		ASSERT_LE(0, list(fd, 500, 's', seen, 3000, INT_MAX));
		for (i = 0; i < 3000; i++) {
			if (i % 3 <= round)
				continue;
			ASSERT_EQ(1, seen[i]) {
				TH_LOG("s%d was seen %d times", i, seen[i]);
			}
		}
		/* From the start again: what is there now, and nothing else. */
		OK(lseek(fd, 0, SEEK_SET));
		memset(seen, 0, sizeof(seen));
		ASSERT_LE(0, list(fd, 32768, 's', seen, 3000, INT_MAX));
		for (i = 0; i < 3000; i++)
			ASSERT_EQ(i % 3 > round, seen[i]);
		OK(lseek(fd, 0, SEEK_SET));
		memset(fresh, 0, sizeof(fresh));
		ASSERT_LE(0, list(fd, 32768, 't', fresh, 3000, INT_MAX));
		for (i = 0; i < 3000; i++)
			ASSERT_EQ(i % 3 <= round, fresh[i]);
		OK(close(fd));
	}
}

/* seekdir() to a name that is gone goes on with the one after it. */
TEST_F(dir, seek_to_a_removed_name)
{
	struct { int64_t at; char name[32]; } mark[202];
	char buf[4096] __attribute__((aligned(8)));
	struct linux_dirent *de;
	int i, n = 0, fd;
	int64_t next = 0;
	long len, at;

	for (i = 0; i < 200; i++)
		OK(touch("f%d", i));
	GET(fd, open(".", O_RDONLY | O_DIRECTORY));
	while ((len = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
		for (at = 0; at < len; at += de->reclen) {
			de = (struct linux_dirent *)(buf + at);
			mark[n].at = next;
			strcpy(mark[n++].name, de->name);
			next = de->off;
		}
	}
	ASSERT_EQ(0, len);
	ASSERT_EQ(202, n);
	for (i = 2; i + 1 < n; i += 2) {
		if (mark[i].name[0] != 'f' || mark[i + 1].name[0] != 'f')
			continue;
		OK(unlink(mark[i].name));
		if (i == 100)
			nx_drop_caches();
		ASSERT_LE(0, lseek(fd, mark[i].at, SEEK_SET));
		len = syscall(SYS_getdents64, fd, buf, sizeof(buf));
		ASSERT_LT(0, len);
		de = (struct linux_dirent *)buf;
		EXPECT_STREQ(mark[i + 1].name, de->name) {
			TH_LOG("%s was removed", mark[i].name);
		}
	}
	OK(close(fd));
}

TEST_F(dir, rewind_sees_new_names)
{
	unsigned char seen[20] = {};
	struct dirent *de;
	int i, n = 0;
	DIR *d;

	for (i = 0; i < 10; i++)
		OK(touch("r%d", i));
	d = opendir(".");
	ASSERT_NE(NULL, d);
	while (readdir(d))
		n++;
	EXPECT_EQ(12, n);
	for (i = 10; i < 20; i++)
		OK(touch("r%d", i));
	for (i = 0; i < 5; i++)
		OK(rm("r%d", i));
	rewinddir(d);
	while ((de = readdir(d)))
		if (de->d_name[0] == 'r')
			seen[atoi(de->d_name + 1)]++;
	for (i = 0; i < 20; i++)
		EXPECT_EQ(i >= 5, seen[i]);
	closedir(d);
}

/* A listing ends although names are added as fast as it goes.  Scenario A30. */
TEST_F(dir, ends_while_names_move)
{
	char buf[512] __attribute__((aligned(8))), from[300], to[300];
	struct linux_dirent *de;
	int i, fd, total = 0;
	long n, at;

	for (i = 0; i < 200; i++)
		OK(touch("m%d", i));
	GET(fd, open(".", O_RDONLY | O_DIRECTORY));
	while (total < 5000) {
		n = syscall(SYS_getdents64, fd, buf, sizeof(buf));
		ASSERT_LE(0, n);
		if (!n)
			break;
		for (at = 0; at < n; at += de->reclen) {
			de = (struct linux_dirent *)(buf + at);
			if (de->name[0] != 'm')
				continue;
			snprintf(from, sizeof(from), "%s", de->name);
			snprintf(to, sizeof(to), "m%d", 1000 + total++);
			if (rename(from, to))
				EXPECT_EQ(ENOENT, errno);
		}
	}
	OK(close(fd));
	EXPECT_GT(5000, total);
	if (self->nexus)
		EXPECT_GE(200, total);
}

/* Others create and unlink all the time: what stays is in every listing once. */
TEST_F(dir, concurrent_changes)
{
	static unsigned char seen[500];
	int i, j, fd, stop[2];

	for (i = 0; i < 500; i++) {
		OK(touch("s%d", i));
		OK(touch("x%d", i));
	}
	OK(pipe(stop));
	OK(fcntl(stop[0], F_SETFL, O_NONBLOCK));
	for (j = 0; j < 2; j++) {
		if (fork())
			continue;
		char c, name[2][16];

		close(stop[1]);
		nx_srand(j + 1);
		while (read(stop[0], &c, 1) < 0) {
			snprintf(name[0], 16, "x%d", (int)nx_below(500));
			snprintf(name[1], 16, "y%d", (int)nx_below(500));
			switch (nx_below(3)) {
			case 0:
				unlink(name[0]);
				break;
			case 1:
				i = creat(name[1], 0644);
				if (i >= 0)
					close(i);
				break;
			default:
				rename(name[1], name[0]);
			}
		}
		_exit(0);
	}
	for (j = 0; j < 40; j++) {
		memset(seen, 0, sizeof(seen));
		GET(fd, open(".", O_RDONLY | O_DIRECTORY));
		ASSERT_LE(0, list(fd, j % 2 ? 400 : 32768, 's', seen, 500,
				  INT_MAX));
		OK(close(fd));
		for (i = 0; i < 500; i++) {
			ASSERT_EQ(1, seen[i]) {
				TH_LOG("s%d was seen %d times", i, seen[i]);
			}
		}
	}
	OK(close(stop[1]));
	EXPECT_EQ(0, nx_reap());
}

TEST_F(dir, of_a_removed_directory)
{
	char buf[512] __attribute__((aligned(8)));
	int fd;

	OK(mkdir("d", 0755));
	GET(fd, open("d", O_RDONLY | O_DIRECTORY));
	OK(rmdir("d"));
	FAILS(ENOENT, (int)syscall(SYS_getdents64, fd, buf, sizeof(buf)));
	OK(close(fd));
}

TEST_F(dir, bad_arguments)
{
	char buf[512] __attribute__((aligned(8)));
	int fd;

	OK(nx_put("f", "x"));
	GET(fd, open(".", O_RDONLY | O_DIRECTORY));
	FAILS(EINVAL, (int)syscall(SYS_getdents64, fd, buf, 8));
	FAILS(EINVAL, (int)lseek(fd, -1, SEEK_SET));
	FAILS(EISDIR, (int)read(fd, buf, sizeof(buf)));
	FAILS(EFAULT, (int)syscall(SYS_getdents64, fd, (void *)8, 512));
	OK(close(fd));
	GET(fd, open("f", O_RDONLY));
	FAILS(ENOTDIR, (int)syscall(SYS_getdents64, fd, buf, sizeof(buf)));
	OK(close(fd));
	/* Far behind the end there is nothing, and no error. */
	GET(fd, open(".", O_RDONLY | O_DIRECTORY));
	if (lseek(fd, INT64_MAX, SEEK_SET) == INT64_MAX)
		EXPECT_LE(0, syscall(SYS_getdents64, fd, buf, sizeof(buf)));
	OK(close(fd));
}

TEST_HARNESS_MAIN
