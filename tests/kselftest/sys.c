// SPDX-License-Identifier: GPL-2.0-only
/* /__sys__/: there for who asks, in nobody's way, and nobody's to change. */
#include "nx_mount.h"

#define SYS "__sys__"

static void mounted(struct __test_metadata *_metadata, const char *dir)
{
	MOUNTED("t", dir, "mem");
	OK(chdir(dir));
}

TEST_F(mnt, is_there_and_not_listed)
{
	struct dirent *de;
	struct stat st;
	int n = 0;
	DIR *d;

	mounted(_metadata, self->a);
	OK(nx_put("f", "x"));
	OK(stat(SYS, &st));
	EXPECT_TRUE(S_ISDIR(st.st_mode));
	EXPECT_EQ(0, st.st_uid);
	EXPECT_EQ(0, st.st_mode & 0222);
	d = opendir(".");
	ASSERT_NE(NULL, d);
	while ((de = readdir(d))) {
		EXPECT_STRNE(SYS, de->d_name);
		n++;
	}
	closedir(d);
	EXPECT_EQ(3, n);
	/* So it is none of the root's subdirectories either. */
	OK(stat(".", &st));
	EXPECT_EQ(2, st.st_nlink);
}

TEST_F(mnt, what_it_says)
{
	mounted(_metadata, self->a);
	EXPECT_STREQ("none\n", nx_get(SYS "/session"));
	EXPECT_NE(NULL, strstr(nx_get(SYS "/stats"), "requests "));
	EXPECT_NE(NULL, strstr(nx_get(SYS "/zones/t"), "name: t\n"));
	EXPECT_NE(NULL, strstr(nx_get(SYS "/zones/t"), "error: 0\n"));
	FAILS(ENOENT, access(SYS "/zones/u", F_OK));
	FAILS(ENOENT, access(SYS "/nothing", F_OK));
	EXPECT_EQ(0, nx_sh("test \"$(ls " SYS " | tr '\\n' ' ')\" = 'cfg locks session stats zones '"));
	EXPECT_EQ(0, nx_sh("find " SYS " -type f -exec cat {} + > /dev/null"));
	if (self->helper) {
		EXPECT_STREQ("default\n", nx_get("/mnt/nexus/" SYS "/session"));
		EXPECT_NE(NULL, strstr(nx_get("/mnt/nexus/" SYS "/zones/root"),
				       "store: helper\n"));
		EXPECT_NE(NULL, strstr(nx_get("/mnt/nexus/" SYS "/zones/root"), "log_left: "));
	}
	/* In memory there is no log. */
	EXPECT_EQ(NULL, strstr(nx_get(SYS "/zones/t"), "log_"));
}

TEST_F(mnt, cannot_be_changed)
{
	mounted(_metadata, self->a);
	FAILS(EPERM, unlink(SYS "/stats"));
	FAILS(EPERM, rmdir(SYS "/zones"));
	FAILS(EPERM, chmod(SYS, 0777));
	FAILS(EPERM, chmod(SYS "/stats", 0666));
	FAILS(EPERM, chown(SYS "/stats", 1, 1));
	FAILS(EPERM, utimensat(AT_FDCWD, SYS "/stats", NULL, 0));
	EXPECT_EQ(-1, open(SYS "/stats", O_RDWR));
	EXPECT_EQ(-1, open(SYS "/new", O_WRONLY | O_CREAT, 0644));
	EXPECT_EQ(-1, mkdir(SYS "/new", 0755));
	EXPECT_EQ(-1, symlink("x", SYS "/new"));
	EXPECT_EQ(-1, link(SYS "/stats", "stats"));
	EXPECT_EQ(-1, rename(SYS "/stats", "stats"));
	OK(nx_put("f", "x"));
	EXPECT_EQ(-1, rename("f", SYS "/f"));
	EXPECT_EQ(-1, link("f", SYS "/f"));
	EXPECT_STREQ("x", nx_get("f"));
}

TEST_F(mnt, its_name_is_taken)
{
	mounted(_metadata, self->a);
	FAILS(EPERM, mkdir(SYS, 0755));
	FAILS(EPERM, open(SYS, O_WRONLY | O_CREAT | O_EXCL, 0644));
	FAILS(EPERM, symlink("x", SYS));
	FAILS(EPERM, mknod(SYS, S_IFIFO | 0600, 0));
	OK(nx_put("f", "x"));
	OK(mkdir("d", 0755));
	FAILS(EPERM, link("f", SYS));
	FAILS(EPERM, rename("f", SYS));
	FAILS(EPERM, rename("d", SYS));
	FAILS(EPERM, renameat2(AT_FDCWD, "f", AT_FDCWD, SYS, RENAME_EXCHANGE));
	FAILS(EPERM, rename(SYS, "g"));
	FAILS(EPERM, rmdir(SYS));
	FAILS(EPERM, unlink(SYS));
	EXPECT_STREQ("x", nx_get("f"));
	/* Only at the root. */
	OK(nx_put("d/" SYS, "mine"));
	EXPECT_STREQ("mine", nx_get("d/" SYS));
	OK(unlink("d/" SYS));
}

TEST_F(mnt, tools_do_not_meet_it)
{
	mounted(_metadata, self->a);
	OK(mkdir("tree", 0755));
	OK(nx_put("tree/f", "x"));
	OK(nx_sh("cp -a . %s/copy && test ! -e %s/copy/" SYS, self->path, self->path));
	OK(nx_sh("rm -rf %s/copy", self->path));
	OK(nx_sh("du -s . > /dev/null && rm -rf ./* && test -z \"$(ls -A)\""));
	EXPECT_EQ(0, access(SYS "/stats", F_OK));
}

TEST_F(mnt, busy_under_use)
{
	int fd;

	mounted(_metadata, self->a);
	GET(fd, open(SYS "/stats", O_RDONLY));
	OK(chdir("/"));
	FAILS(EBUSY, umount(self->a));
	OK(close(fd));
	OK(umount(self->a));
}

TEST_HARNESS_MAIN
