// SPDX-License-Identifier: GPL-2.0-only
/* Extended attributes, as every filesystem has them, and the nexus.* facts. */
#include "nx_stats.h"

#include <linux/xattr.h>
#include <sys/xattr.h>

static char big[XATTR_SIZE_MAX + 1];
static char got[XATTR_SIZE_MAX + 1];

/* How often @name is in the list of @path; -1 if it cannot be listed. */
static int listed(const char *path, const char *name)
{
	static char list[XATTR_LIST_MAX];
	ssize_t n = llistxattr(path, list, sizeof(list)), at = 0;
	int times = 0;

	if (n < 0)
		return -1;
	while (at < n) {
		times += !strcmp(list + at, name);
		at += strlen(list + at) + 1;
	}
	return at == n ? times : -1;
}

/* Whether the attribute is there with that value, with and without asking for its size. */
static bool is(const char *path, const char *name, const void *value, size_t len)
{
	return lgetxattr(path, name, NULL, 0) == (ssize_t)len &&
	       lgetxattr(path, name, got, sizeof(got)) == (ssize_t)len &&
	       !memcmp(got, value, len);
}

TEST_F(dir, set_get_list_remove)
{
	char buf[16];

	OK(nx_put("f", "text"));
	FAILS(ENODATA, getxattr("f", "user.a", buf, sizeof(buf)));
	FAILS(ENODATA, removexattr("f", "user.a"));
	EXPECT_EQ(0, listxattr("f", NULL, 0));
	OK(setxattr("f", "user.a", "one", 3, 0));
	EXPECT_TRUE(is("f", "user.a", "one", 3));
	OK(setxattr("f", "user.a", "three", 5, 0));
	EXPECT_TRUE(is("f", "user.a", "three", 5));
	OK(setxattr("f", "user.empty", NULL, 0, 0));
	EXPECT_TRUE(is("f", "user.empty", "", 0));
	EXPECT_EQ(18, listxattr("f", NULL, 0));
	EXPECT_EQ(1, listed("f", "user.a"));
	EXPECT_EQ(1, listed("f", "user.empty"));
	FAILS(ERANGE, listxattr("f", buf, 10));
	FAILS(ERANGE, getxattr("f", "user.a", buf, 4));
	EXPECT_EQ(5, getxattr("f", "user.a", buf, 5));
	OK(removexattr("f", "user.a"));
	FAILS(ENODATA, getxattr("f", "user.a", buf, sizeof(buf)));
	EXPECT_EQ(0, listed("f", "user.a"));
	EXPECT_TRUE(is("f", "user.empty", "", 0));
}

TEST_F(dir, flags)
{
	OK(nx_put("f", ""));
	FAILS(ENODATA, setxattr("f", "user.a", "1", 1, XATTR_REPLACE));
	OK(setxattr("f", "user.a", "1", 1, XATTR_CREATE));
	FAILS(EEXIST, setxattr("f", "user.a", "2", 1, XATTR_CREATE));
	OK(setxattr("f", "user.a", "3", 1, XATTR_REPLACE));
	FAILS(EINVAL, setxattr("f", "user.a", "3", 1, 4));
	EXPECT_TRUE(is("f", "user.a", "3", 1));
}

TEST_F(dir, names)
{
	char name[300] = "user.";

	OK(nx_put("f", ""));
	memset(name + 5, 'n', 250);
	OK(setxattr("f", name, "v", 1, 0));
	EXPECT_TRUE(is("f", name, "v", 1));
	name[255] = 'n';
	FAILS(ERANGE, setxattr("f", name, "v", 1, 0));
	FAILS(ERANGE, setxattr("f", "", "v", 1, 0));
	FAILS(EOPNOTSUPP, setxattr("f", "other.a", "v", 1, 0));
	FAILS(EOPNOTSUPP, setxattr("f", "none", "v", 1, 0));
	FAILS(EOPNOTSUPP, getxattr("f", "other.a", got, 1));
	FAILS(EINVAL, setxattr("f", "user.", "v", 1, 0));
	/* Any bytes but a NUL, and no order. */
	OK(setxattr("f", "user.\xff\x01/", "1", 1, 0));
	OK(setxattr("f", "user.b", "2", 1, 0));
	OK(setxattr("f", "user.a", "3", 1, 0));
	EXPECT_TRUE(is("f", "user.\xff\x01/", "1", 1));
	EXPECT_EQ(1, listed("f", "user.\xff\x01/"));
	nx_drop_caches();
	EXPECT_TRUE(is("f", "user.\xff\x01/", "1", 1));
	EXPECT_TRUE(is("f", "user.b", "2", 1));
	EXPECT_EQ(1, listed("f", "user.a"));
}

/* Linux bounds a value, and ext4 by a block. */
TEST_F(dir, sizes)
{
	static const int sizes[] = { 1, 255, 4000, 16300, 16352, 16353, 40000, 65535, 65536 };
	char name[32];
	int i, fd;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	for (i = 0; i < (int)sizeof(big); i++)
		big[i] = i * 7 + i / 256;
	FAILS(E2BIG, setxattr("f", "user.a", big, XATTR_SIZE_MAX + 1, 0));
	for (i = 0; i < (int)N_ELEMS(sizes); i++) {
		if (sizes[i] > 1000 && !self->nexus)
			break;
		snprintf(name, sizeof(name), "user.%d", sizes[i]);
		OK(setxattr("f", name, big, sizes[i], 0));
		EXPECT_TRUE(is("f", name, big, sizes[i]));
	}
	OK(fsync(fd));
	OK(close(fd));
	nx_drop_caches();
	while (i-- > 0) {
		snprintf(name, sizeof(name), "user.%d", sizes[i]);
		EXPECT_TRUE(is("f", name, big, sizes[i])) {
			TH_LOG("%d bytes", sizes[i]);
		}
		/* And once more from memory, as far as there is room. */
		EXPECT_TRUE(is("f", name, big, sizes[i]));
	}
}

TEST_F(dir, many)
{
	char name[32], value[32];
	int i, n;

	/* ext4 has a block for all of them. */
	n = self->nexus ? 2000 : 50;
	OK(nx_put("f", ""));
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "user.name-%d", i);
		snprintf(value, sizeof(value), "value %d", i);
		OK(setxattr("f", name, value, strlen(value), XATTR_CREATE));
	}
	nx_drop_caches();
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "user.name-%d", i);
		snprintf(value, sizeof(value), "value %d", i);
		ASSERT_TRUE(is("f", name, value, strlen(value)));
		if (i % 2)
			OK(removexattr("f", name));
	}
	nx_drop_caches();
	for (i = 0; i < n; i += n / 25) {
		snprintf(name, sizeof(name), "user.name-%d", i);
		EXPECT_EQ(i % 2 ? 0 : 1, listed("f", name));
	}
}

/* No more names than a list can have: the next one is ENOSPC, as where the room ends on ext4. */
TEST_F(dir, no_more_than_can_be_listed)
{
	char name[300] = "user.";
	int i, n = 0, ret = 0;

	OK(nx_put("f", ""));
	memset(name + 5, 'x', 250);
	for (i = 0; i < 1000 && !ret; i++) {
		snprintf(name + 5, 5, "%04d", i);
		name[9] = 'x';
		ret = setxattr("f", name, "", 0, 0);
		n += !ret;
	}
	EXPECT_EQ(-1, ret);
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(n * 256, listxattr("f", NULL, 0));
	if (self->nexus)
		EXPECT_EQ(256, n);
	nx_drop_caches();
	EXPECT_EQ(n * 256, listxattr("f", NULL, 0));
	snprintf(name + 5, 5, "%04d", 0);
	name[9] = 'x';
	OK(removexattr("f", name));
	OK(setxattr("f", name, "again", 5, XATTR_CREATE));
	EXPECT_TRUE(is("f", name, "again", 5));
}

TEST_F(dir, types)
{
	OK(mkdir("d", 0755));
	OK(mkfifo("p", 0644));
	OK(mknod("n", S_IFCHR | 0644, 0));
	OK(symlink("d", "l"));
	OK(setxattr("d", "user.a", "d", 1, 0));
	FAILS(EPERM, setxattr("p", "user.a", "p", 1, 0));
	FAILS(EPERM, setxattr("n", "user.a", "n", 1, 0));
	FAILS(EPERM, lsetxattr("l", "user.a", "l", 1, 0));
	FAILS(ENODATA, getxattr("p", "user.a", got, 1));
	/* Those of the administrator are for all of them. */
	OK(setxattr("d", "trusted.a", "d", 1, 0));
	OK(setxattr("p", "trusted.a", "p", 1, 0));
	OK(setxattr("n", "trusted.a", "n", 1, 0));
	OK(lsetxattr("l", "trusted.a", "l", 1, 0));
	OK(lsetxattr("l", "security.a", "l", 1, 0));
	nx_drop_caches();
	EXPECT_TRUE(is("d", "user.a", "d", 1));
	EXPECT_TRUE(is("d", "trusted.a", "d", 1));
	EXPECT_TRUE(is("p", "trusted.a", "p", 1));
	EXPECT_TRUE(is("n", "trusted.a", "n", 1));
	EXPECT_TRUE(is("l", "trusted.a", "l", 1));
	EXPECT_TRUE(is("l", "security.a", "l", 1));
	EXPECT_EQ(1, listed("l", "trusted.a"));
	EXPECT_EQ(1, listed("l", "security.a"));
	/* Not those of what it points at. */
	EXPECT_EQ(0, listed("l", "user.a"));
}

static int as_nobody(int (*fn)(void))
{
	pid_t pid = fork();

	if (!pid) {
		if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
		    setresuid(65534, 65534, 65534))
			_exit(99);
		_exit(fn());
	}
	return nx_reap();
}

static int nobody_reads(void)
{
	HOLDS(is("f", "user.a", "1", 1));
	HOLDS(getxattr("f", "trusted.a", got, 1) < 0 && errno == ENODATA);
	HOLDS(is("f", "security.a", "3", 1));
	HOLDS(listed("f", "user.a") == 1);
	HOLDS(listed("f", "trusted.a") == 0);
	HOLDS(listed("f", "security.a") == 1);
	HOLDS(setxattr("f", "user.a", "2", 1, 0) < 0 && errno == EACCES);
	HOLDS(setxattr("f", "trusted.a", "2", 1, 0) < 0 && errno == EPERM);
	HOLDS(setxattr("f", "security.a", "2", 1, 0) < 0 && errno == EPERM);
	HOLDS(getxattr("secret", "user.a", got, 1) < 0 && errno == EACCES);
	/* In a sticky directory the owner alone. */
	HOLDS(setxattr("sticky", "user.a", "2", 1, 0) < 0 && errno == EPERM);
	return 0;
}

TEST_F(dir, permissions)
{
	OK(nx_put("f", "x"));
	OK(nx_put("secret", "x"));
	OK(chmod("secret", 0600));
	OK(mkdir("sticky", 0755));
	OK(chmod("sticky", 01777));
	OK(setxattr("f", "user.a", "1", 1, 0));
	OK(setxattr("f", "trusted.a", "2", 1, 0));
	OK(setxattr("f", "security.a", "3", 1, 0));
	OK(setxattr("secret", "user.a", "1", 1, 0));
	EXPECT_EQ(1, listed("f", "trusted.a"));
	EXPECT_EQ(0, as_nobody(nobody_reads));
}

TEST_F(dir, times)
{
	struct stat st, after;
	int i;

	OK(nx_put("f", "x"));
	for (i = 0; i < 3; i++) {
		OK(stat("f", &st));
		usleep(20000);
		switch (i) {
		case 0:
			OK(setxattr("f", "user.a", "1", 1, 0));
			break;
		case 1:
			OK(setxattr("f", "user.a", "2", 1, 0));
			break;
		case 2:
			OK(removexattr("f", "user.a"));
			break;
		}
		OK(stat("f", &after));
		EXPECT_EQ(0, memcmp(&st.st_mtim, &after.st_mtim, sizeof(st.st_mtim)));
		EXPECT_EQ(0, memcmp(&st.st_atim, &after.st_atim, sizeof(st.st_atim)));
		EXPECT_NE(0, memcmp(&st.st_ctim, &after.st_ctim, sizeof(st.st_ctim)));
		nx_drop_caches();
		OK(stat("f", &st));
		EXPECT_EQ(0, memcmp(&st.st_ctim, &after.st_ctim, sizeof(st.st_ctim)));
	}
	/* What fails changes nothing. */
	usleep(20000);
	FAILS(ENODATA, removexattr("f", "user.a"));
	FAILS(ENODATA, setxattr("f", "user.a", "1", 1, XATTR_REPLACE));
	OK(stat("f", &after));
	EXPECT_EQ(0, memcmp(&st.st_ctim, &after.st_ctim, sizeof(st.st_ctim)));
}

/* With the file, whatever its names; and gone with it. */
TEST_F(dir, names_come_and_go)
{
	int fd;

	OK(nx_put("f", "x"));
	OK(setxattr("f", "user.a", "1", 1, 0));
	OK(link("f", "g"));
	OK(setxattr("g", "user.b", "2", 1, 0));
	OK(rename("f", "h"));
	EXPECT_TRUE(is("h", "user.a", "1", 1));
	EXPECT_TRUE(is("h", "user.b", "2", 1));
	nx_drop_caches();
	EXPECT_TRUE(is("g", "user.a", "1", 1));
	GET(fd, open("g", O_RDWR));
	OK(unlink("g"));
	OK(unlink("h"));
	OK(fsetxattr(fd, "user.c", "3", 1, 0));
	EXPECT_EQ(1, fgetxattr(fd, "user.c", got, 1));
	EXPECT_EQ(1, fgetxattr(fd, "user.a", got, 1));
	OK(fremovexattr(fd, "user.a"));
	EXPECT_EQ(14, flistxattr(fd, NULL, 0));
	OK(close(fd));
	/* A file without a name has them, too, and keeps them when it gets one. */
	GET(fd, open(".", O_TMPFILE | O_RDWR, 0644));
	OK(fsetxattr(fd, "user.tmp", "4", 1, 0));
	snprintf(got, sizeof(got), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, got, AT_FDCWD, "tmp", AT_SYMLINK_FOLLOW));
	OK(close(fd));
	nx_drop_caches();
	EXPECT_TRUE(is("tmp", "user.tmp", "4", 1));
}

/* A write takes capabilities away, and a second one does not look for any. */
TEST_F(dir, capability)
{
	static const uint32_t cap[5] = { 0x02000001, 1 << 10, 0, 0, 0 };
	struct nx_stats before, after;
	int fd, i;

	OK(nx_put("f", "x"));
	OK(setxattr("f", "security.capability", cap, sizeof(cap), 0));
	EXPECT_TRUE(is("f", "security.capability", cap, sizeof(cap)));
	nx_drop_caches();
	GET(fd, open("f", O_RDWR));
	EXPECT_EQ(1, pwrite(fd, "y", 1, 0));
	FAILS(ENODATA, getxattr("f", "security.capability", got, sizeof(got)));
	OK(close(fd));
	/* The bit that says so goes when one is set. */
	OK(setxattr("f", "security.capability", cap, sizeof(cap), 0));
	GET(fd, open("f", O_RDWR));
	EXPECT_EQ(1, pwrite(fd, "y", 1, 0));
	FAILS(ENODATA, getxattr("f", "security.capability", got, sizeof(got)));
	if (self->nexus && nx_stats_read(&before)) {
		for (i = 0; i < 100; i++)
			EXPECT_EQ(1, pwrite(fd, "y", 1, 0));
		ASSERT_TRUE(nx_stats_read(&after));
		EXPECT_EQ(0, nx_grew(&before, &after, "requests"));
		nx_stats_free(&before);
		nx_stats_free(&after);
	}
	OK(close(fd));
}

/* Several that change and read at once: each value read is one that was set, whole. */
TEST_F(dir, concurrent)
{
	enum { ROUNDS = 300 };
	size_t size = self->nexus ? 30000 : 500;
	int i, j, proc;

	OK(nx_put("f", ""));
	memset(big, 'a', size);
	OK(setxattr("f", "user.a", big, size, 0));
	nx_drop_caches();
	for (proc = 0; proc < 4; proc++) {
		if (fork())
			continue;
		for (i = 0; i < ROUNDS; i++) {
			if (proc < 2) {
				memset(big, 'a' + (i * 2 + proc) % 26, size);
				HOLDS(!setxattr("f", "user.a", big, size, 0));
				if (proc && i % 20 == 0)
					nx_drop_some("2");
				continue;
			}
			HOLDS(getxattr("f", "user.a", got, sizeof(got)) == (ssize_t)size);
			for (j = 1; j < (int)size; j++)
				HOLDS(got[j] == got[0]);
		}
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
}

TEST_F(dir, facts)
{
	struct stat st;
	char text[64], buf[64];
	unsigned long long version;
	ssize_t n;

	if (!self->nexus)
		SKIP(return, "needs nexusfs");
	OK(nx_put("f", "x"));
	OK(stat("f", &st));
	snprintf(text, sizeof(text), "%llu", (unsigned long long)st.st_ino);
	EXPECT_TRUE(is("f", "nexus.ino", text, strlen(text)));
	EXPECT_TRUE(is("f", "nexus.data_id", text, strlen(text)));
	EXPECT_LT(0, getxattr("f", "nexus.generation", buf, sizeof(buf)));
	EXPECT_LT(0, getxattr("f", "nexus.zone", buf, sizeof(buf)));
	GET(n, getxattr("f", "nexus.version", buf, sizeof(buf) - 1));
	buf[n] = '\0';
	version = strtoull(buf, NULL, 10);
	OK(setxattr("f", "user.a", "1", 1, 0));
	/* However short the time between. */
	GET(n, getxattr("f", "nexus.version", text, sizeof(text) - 1));
	text[n] = '\0';
	EXPECT_LT(version, strtoull(text, NULL, 10));
	EXPECT_TRUE(is("f", "nexus.version", text, n));
	nx_drop_caches();
	EXPECT_TRUE(is("f", "nexus.version", text, n));
	FAILS(ERANGE, getxattr("f", "nexus.zone", buf, 1));
	FAILS(ENODATA, getxattr("f", "nexus.none", buf, sizeof(buf)));
	FAILS(EPERM, setxattr("f", "nexus.ino", "1", 1, 0));
	FAILS(EPERM, removexattr("f", "nexus.ino"));
	/* Copying programs copy what is listed. */
	EXPECT_EQ(0, listed("f", "nexus.ino"));
}

TEST_HARNESS_MAIN
