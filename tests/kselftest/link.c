// SPDX-License-Identifier: GPL-2.0-only
/* Hard links and symbolic links. */
#include "nx.h"

static nlink_t links(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? 0 : st.st_nlink;
}

static ino_t number(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? 0 : st.st_ino;
}

TEST_F(dir, two_names_one_file)
{
	OK(nx_put("a", "one"));
	OK(link("a", "b"));
	EXPECT_EQ(2, links("a"));
	EXPECT_EQ(2, links("b"));
	EXPECT_EQ(number("a"), number("b"));
	OK(nx_put("b", "two"));
	EXPECT_STREQ("two", nx_get("a"));
	nx_drop_caches();
	EXPECT_EQ(2, links("a"));
	EXPECT_EQ(number("a"), number("b"));
	OK(unlink("a"));
	EXPECT_EQ(1, links("b"));
	EXPECT_STREQ("two", nx_get("b"));
	OK(chmod("b", 0600));
	OK(link("b", "a"));
	EXPECT_EQ(2, links("a"));
	OK(unlink("b"));
	nx_drop_caches();
	EXPECT_STREQ("two", nx_get("a"));
	EXPECT_EQ(1, links("a"));
}

TEST_F(dir, between_directories)
{
	OK(mkdir("x", 0755));
	OK(mkdir("y", 0755));
	OK(nx_put("x/f", "f"));
	OK(link("x/f", "y/g"));
	OK(rename("x", "z"));
	nx_drop_caches();
	EXPECT_EQ(number("z/f"), number("y/g"));
	OK(unlink("z/f"));
	OK(rmdir("z"));
	EXPECT_STREQ("f", nx_get("y/g"));
	EXPECT_EQ(1, links("y/g"));
	/* And the last name can move on, as any. */
	OK(rename("y/g", "g"));
	nx_drop_caches();
	EXPECT_STREQ("f", nx_get("g"));
}

TEST_F(dir, link_errors)
{
	OK(nx_put("a", "a"));
	OK(nx_put("b", "b"));
	OK(mkdir("d", 0755));
	FAILS(EEXIST, link("a", "b"));
	FAILS(EEXIST, link("a", "a"));
	FAILS(EEXIST, link("a", "d"));
	FAILS(EPERM, link("d", "e"));
	FAILS(ENOENT, link("none", "x"));
	FAILS(ENOENT, link("a", "none/x"));
	FAILS(ENOTDIR, link("a", "b/x"));
	FAILS(EXDEV, link("a", "/dev/shm/nexus-link"));
	EXPECT_EQ(1, links("a"));
	EXPECT_EQ(1, links("b"));
	EXPECT_EQ(2, links("d"));
}

TEST_F(dir, link_of_special_files)
{
	OK(mknod("fifo", S_IFIFO | 0644, 0));
	OK(link("fifo", "fifo2"));
	EXPECT_EQ(2, links("fifo"));
	OK(symlink("target", "l"));
	OK(link("l", "l2"));
	EXPECT_EQ(2, links("l"));
	EXPECT_EQ(number("l"), number("l2"));
	FAILS(ENOENT, linkat(AT_FDCWD, "l", AT_FDCWD, "l3", AT_SYMLINK_FOLLOW));
	OK(nx_put("target", "x"));
	OK(linkat(AT_FDCWD, "l", AT_FDCWD, "l3", AT_SYMLINK_FOLLOW));
	EXPECT_EQ(number("target"), number("l3"));
}

TEST_F(dir, a_thousand_names)
{
	char name[32];
	int i;

	OK(nx_put("f", "many"));
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "link-%d", i);
		OK(link("f", name));
	}
	EXPECT_EQ(1001, links("f"));
	nx_drop_caches();
	EXPECT_EQ(1001, links("link-999"));
	OK(unlink("f"));
	for (i = 0; i < 999; i++) {
		snprintf(name, sizeof(name), "link-%d", i);
		OK(unlink(name));
	}
	EXPECT_EQ(1, links("link-999"));
	nx_drop_caches();
	EXPECT_STREQ("many", nx_get("link-999"));
}

TEST_F(dir, parallel_links)
{
	int proc, i;
	char name[32];

	OK(nx_put("f", "x"));
	for (proc = 0; proc < 4; proc++) {
		if (fork())
			continue;
		for (i = 0; i < 200; i++) {
			snprintf(name, sizeof(name), "l-%d-%d", proc, i);
			HOLDS(!link("f", name));
			if (i % 2)
				HOLDS(!unlink(name));
		}
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
	EXPECT_EQ(401, links("f"));
	nx_drop_caches();
	EXPECT_EQ(401, links("f"));
}

/* The last name goes while another one is made: one of the two wins. */
TEST_F(dir, link_against_unlink)
{
	int i, made = 0;
	pid_t pid;

	for (i = 0; i < 200; i++) {
		OK(nx_put("f", "x"));
		pid = fork();
		if (!pid)
			_exit(unlink("f") ? 1 : 0);
		if (!link("f", "g")) {
			made++;
			EXPECT_EQ(0, nx_reap());
			EXPECT_EQ(1, links("g"));
			OK(unlink("g"));
		} else {
			EXPECT_EQ(ENOENT, errno);
			EXPECT_EQ(0, nx_reap());
		}
	}
	TH_LOG("%d of 200 linked in time", made);
}

TEST_F(dir, times_of_link)
{
	struct stat before, after, dir, dir2;

	OK(nx_put("f", "x"));
	OK(stat("f", &before));
	OK(stat(".", &dir));
	nx_tick();
	OK(link("f", "g"));
	OK(stat("f", &after));
	OK(stat(".", &dir2));
	EXPECT_NE(before.st_ctim.tv_nsec, after.st_ctim.tv_nsec);
	EXPECT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	EXPECT_NE(dir.st_mtim.tv_nsec, dir2.st_mtim.tv_nsec);
}

/* Lengths around what a filesystem may store in different ways. */
TEST_F(dir, symlink_lengths)
{
	static const int lengths[] = {
		1, 2, 59, 60, 63, 64, 255, 256, 1000, 1899, 1900, 1901, 2048,
		4000, 4095,
	};
	static char target[PATH_MAX + 1], got[PATH_MAX + 1];
	char name[32];
	struct stat st;
	size_t i;

	for (i = 0; i < N_ELEMS(lengths); i++) {
		memset(target, 'a' + i, lengths[i]);
		target[lengths[i]] = '\0';
		snprintf(name, sizeof(name), "l%d", lengths[i]);
		OK(symlink(target, name));
	}
	nx_drop_caches();
	for (i = 0; i < N_ELEMS(lengths); i++) {
		memset(target, 'a' + i, lengths[i]);
		snprintf(name, sizeof(name), "l%d", lengths[i]);
		OK(lstat(name, &st));
		EXPECT_EQ(lengths[i], st.st_size);
		EXPECT_EQ(S_IFLNK | 0777, st.st_mode);
		EXPECT_EQ(lengths[i], readlink(name, got, sizeof(got)));
		EXPECT_EQ(0, memcmp(got, target, lengths[i]));
	}
	memset(target, 'x', PATH_MAX);
	target[PATH_MAX] = '\0';
	FAILS(ENAMETOOLONG, symlink(target, "too-long"));
	FAILS(ENOENT, symlink("", "empty"));
}

TEST_F(dir, readlink_limits)
{
	char got[32];

	OK(symlink("a-target-of-some-length", "l"));
	memset(got, '#', sizeof(got));
	EXPECT_EQ(8, readlink("l", got, 8));
	EXPECT_EQ(0, memcmp(got, "a-target#", 9));
	FAILS(EINVAL, readlink("l", got, 0));
	OK(nx_put("f", "x"));
	FAILS(EINVAL, readlink("f", got, sizeof(got)));
	FAILS(EINVAL, readlink(".", got, sizeof(got)));
	FAILS(ENOENT, readlink("none", got, sizeof(got)));
}

TEST_F(dir, symlinks_are_followed)
{
	struct stat st;

	OK(mkdir("d", 0755));
	OK(nx_put("d/f", "deep"));
	OK(symlink("d", "dl"));
	OK(symlink("dl/f", "fl"));
	OK(symlink("../d/f", "d/up"));
	EXPECT_STREQ("deep", nx_get("fl"));
	EXPECT_STREQ("deep", nx_get("dl/up"));
	nx_drop_caches();
	EXPECT_STREQ("deep", nx_get("dl/up"));
	OK(symlink("self", "self"));
	FAILS(ELOOP, stat("self", &st));
	OK(symlink("pong", "ping"));
	OK(symlink("ping", "pong"));
	FAILS(ELOOP, open("ping", O_RDONLY));
	FAILS(EEXIST, symlink("x", "self"));
	FAILS(EEXIST, symlink("x", "d"));
	FAILS(ENOENT, symlink("x", "none/x"));
	OK(unlink("self"));
}

TEST_F(dir, a_chain_of_symlinks)
{
	char name[16], to[16];
	int i;

	OK(nx_put("s0", "end"));
	for (i = 1; i <= 41; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		snprintf(to, sizeof(to), "s%d", i - 1);
		OK(symlink(to, name));
	}
	EXPECT_STREQ("end", nx_get("s40"));
	FAILS(ELOOP, open("s41", O_RDONLY));
}

TEST_F(dir, symlink_that_was_replaced)
{
	char got[64] = "";
	int i;

	/* As a program does that switches versions. */
	for (i = 0; i < 50; i++) {
		char to[16];

		snprintf(to, sizeof(to), "version-%d", i);
		OK(symlink(to, "next"));
		OK(rename("next", "current"));
		memset(got, 0, sizeof(got));
		EXPECT_LT(0, readlink("current", got, sizeof(got)));
		EXPECT_STREQ(to, got);
	}
}

TEST_HARNESS_MAIN
