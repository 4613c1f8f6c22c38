// SPDX-License-Identifier: GPL-2.0-only
/* Mount options: values, refusals that say why, showing, remounting. */
#include "nx_mount.h"

/* The filesystem's own options of what is mounted at @dir, from mountinfo. */
static const char *shown(const char *dir)
{
	static char line[1024];
	FILE *f = fopen("/proc/self/mountinfo", "r");
	char *at;

	while (f && fgets(line, sizeof(line), f)) {
		if (!strstr(line, dir))
			continue;
		fclose(f);
		at = strstr(line, " - nexusfs ");
		return at ? at + strlen(" - nexusfs ") : "another filesystem";
	}
	if (f)
		fclose(f);
	return "not mounted";
}

TEST_F(mnt, unknown)
{
	REFUSED(EINVAL, "nosuch", "t", self->a, "mem,nosuch");
	REFUSED(EINVAL, "nosuch", "t", self->a, "mem,nosuch=1");
	REFUSED(EINVAL, "metastore", "t", self->a, "mem,metastore=lmdb");
	EXPECT_STREQ("not mounted", shown(self->a));
}

TEST_F(mnt, bad_values)
{
	static const struct { const char *options; int error; const char *word; } bad[] = {
		{ "grace=-1", EINVAL, "grace" },
		{ "grace=abc", EINVAL, "grace" },
		{ "grace=86401", EINVAL, "grace" },
		{ "grace=4294967296", EINVAL, "grace" },
		{ "grace=5s", EINVAL, "grace" },
		{ "grace", EINVAL, "grace" },
		{ "durability=maybe", EINVAL, "durability=maybe" },
		{ "durability=Local", EINVAL, "durability=Local" },
		{ "durability", EINVAL, "durability" },
		{ "durability=origin", EOPNOTSUPP, "durability=origin" },
		{ "verify=no", EINVAL, "verify=no" },
		{ "verify", EINVAL, "verify" },
		{ "gate", EOPNOTSUPP, "gate" },
		{ "mem=1", EINVAL, "mem" },
	};
	char options[128];
	size_t i;

	for (i = 0; i < N_ELEMS(bad); i++) {
		snprintf(options, sizeof(options), "mem,%s", bad[i].options);
		REFUSED(bad[i].error, bad[i].word, "t", self->a, options);
	}
	EXPECT_STREQ("not mounted", shown(self->a));
}

TEST_F(mnt, shown_as_given)
{
	MOUNTED("t", self->a, "mem");
	EXPECT_NE(NULL, strstr(shown(self->a), "t rw,mem"));
	EXPECT_EQ(NULL, strstr(shown(self->a), "grace"));
	EXPECT_EQ(NULL, strstr(shown(self->a), "verify"));
	OK(umount(self->a));
	MOUNTED("t", self->a, "mem,grace=0,verify=always,durability=local");
	EXPECT_NE(NULL, strstr(shown(self->a), ",grace=0"));
	EXPECT_NE(NULL, strstr(shown(self->a), ",verify=always"));
	EXPECT_EQ(NULL, strstr(shown(self->a), "durability"));
	OK(umount(self->a));
	MOUNTED("t", self->a, "mem,grace=86400");
	EXPECT_NE(NULL, strstr(shown(self->a), ",grace=86400"));
}

TEST_F(mnt, read_only)
{
	char path[128], other[128];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/f", self->a);
	snprintf(other, sizeof(other), "%s/g", self->a);
	MOUNTED("t", self->a, "mem");
	OK(nx_put(path, "text"));
	OK(nx_remount(self->a, "ro")) ;
	EXPECT_STREQ("text", nx_get(path));
	FAILS(EROFS, open(other, O_WRONLY | O_CREAT, 0644));
	FAILS(EROFS, open(path, O_RDWR));
	FAILS(EROFS, unlink(path));
	FAILS(EROFS, mkdir(other, 0755));
	FAILS(EROFS, rename(path, other));
	FAILS(EROFS, link(path, other));
	FAILS(EROFS, symlink("x", other));
	FAILS(EROFS, chmod(path, 0600));
	FAILS(EROFS, truncate(path, 0));
	FAILS(EROFS, utimensat(AT_FDCWD, path, NULL, 0));
	FAILS(EROFS, mknod(other, S_IFIFO | 0600, 0));
	OK(stat(path, &st));
	GET(fd, open(path, O_RDONLY));
	OK(fsync(fd));
	OK(close(fd));
	OK(nx_remount(self->a, "rw"));
	OK(nx_put(other, "more"));
	/* Not while somebody writes. */
	GET(fd, open(path, O_RDWR));
	EXPECT_EQ(-EBUSY, nx_remount(self->a, "ro"));
	OK(close(fd));
	OK(nx_remount(self->a, "ro"));
	OK(umount(self->a));
	MOUNTED("t", self->a, "mem,ro");
	FAILS(EROFS, mkdir(other, 0755));
}

TEST_F(mnt, remount)
{
	MOUNTED("t", self->a, "mem");
	OK(nx_remount(self->a, "grace=7"));
	EXPECT_NE(NULL, strstr(shown(self->a), ",grace=7"));
	OK(nx_remount(self->a, "verify=always"));
	EXPECT_NE(NULL, strstr(shown(self->a), ",grace=7"));
	EXPECT_NE(NULL, strstr(shown(self->a), ",verify=always"));
	EXPECT_EQ(-EINVAL, nx_remount(self->a, "nosuch"));
	EXPECT_NE(NULL, strstr(nx_why, "nosuch"));
	EXPECT_EQ(-EINVAL, nx_remount(self->a, "grace=x"));
	EXPECT_NE(NULL, strstr(shown(self->a), ",grace=7"));
	OK(nx_remount(self->a, "mem"));
	if (self->helper) {
		EXPECT_EQ(-EINVAL, nx_remount("/mnt/nexus", "mem"));
		EXPECT_NE(NULL, strstr(nx_why, "mem"));
	}
}

/* As mount(8) without the new calls, and what the VFS itself knows. */
TEST_F(mnt, classic_call)
{
	OK(mount("t", self->a, "nexusfs", MS_NOSUID | MS_NODEV | MS_NOATIME,
		 "mem,grace=9"));
	EXPECT_NE(NULL, strstr(shown(self->a), ",grace=9"));
	OK(umount(self->a));
	EXPECT_EQ(-1, mount("t", self->a, "nexusfs", 0, "mem,nosuch"));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, mount("", self->a, "nexusfs", 0, "mem"));
	EXPECT_EQ(EINVAL, errno);
	OK(mount("t", self->a, "nexusfs", MS_SYNCHRONOUS, "mem"));
}

TEST_HARNESS_MAIN
