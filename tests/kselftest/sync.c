// SPDX-License-Identifier: GPL-2.0-only
/* fsync and its relatives, and what statfs says. */
#include "nx.h"

#include <sys/vfs.h>

/* Scenario B34. */
TEST_F(dir, fsync_of_everything)
{
	int fd, dir;

	GET(fd, open("f", O_RDWR | O_CREAT, 0644));
	EXPECT_EQ(4, write(fd, "text", 4));
	OK(fdatasync(fd));
	OK(fsync(fd));
	OK(fsync(fd));
	OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE |
			   SYNC_FILE_RANGE_WAIT_AFTER));
	OK(close(fd));
	/* Reading is enough. */
	GET(fd, open("f", O_RDONLY));
	OK(fsync(fd));
	OK(syncfs(fd));
	OK(close(fd));
	GET(dir, open(".", O_RDONLY | O_DIRECTORY));
	OK(fsync(dir));
	OK(fdatasync(dir));
	OK(syncfs(dir));
	OK(close(dir));
	GET(fd, open("f", O_PATH));
	FAILS(EBADF, fsync(fd));
	OK(close(fd));
	OK(mknod("p", S_IFIFO | 0644, 0));
	GET(fd, open("p", O_RDONLY | O_NONBLOCK));
	FAILS(EINVAL, fsync(fd));
	OK(close(fd));
}

TEST_F(dir, synchronous_writes)
{
	char buf[8192];
	int fd, i;

	memset(buf, 's', sizeof(buf));
	GET(fd, open("f", O_RDWR | O_CREAT | O_SYNC, 0644));
	for (i = 0; i < 10; i++)
		EXPECT_EQ(5000, write(fd, buf, 5000));
	OK(close(fd));
	GET(fd, open("f", O_RDWR | O_DSYNC));
	EXPECT_EQ(8192, pwrite(fd, buf, 8192, 100));
	OK(close(fd));
	GET(fd, open("f", O_RDWR));
	struct iovec v = { buf, 100 };

	EXPECT_EQ(100, pwritev2(fd, &v, 1, 7, RWF_DSYNC));
	EXPECT_EQ(100, pwritev2(fd, &v, 1, 7, RWF_SYNC));
	OK(close(fd));
}

/* fsync while others write the same file: all of it is there in the end. */
TEST_F(dir, fsync_against_writes)
{
	int proc, i, fd, last;

	for (proc = 0; proc < 4; proc++) {
		if (fork())
			continue;
		fd = open("f", O_RDWR | O_CREAT, 0644);
		HOLDS(fd >= 0);
		for (i = 0; i < 60; i++) {
			HOLDS(pwrite(fd, &i, sizeof(i), proc * 5000) == sizeof(i));
			HOLDS(!fsync(fd));
		}
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
	nx_drop_caches();
	GET(fd, open("f", O_RDONLY));
	for (proc = 0; proc < 4; proc++) {
		ASSERT_EQ(sizeof(last), pread(fd, &last, sizeof(last), proc * 5000));
		EXPECT_EQ(59, last);
	}
	OK(close(fd));
}

/* Scenario E8. */
TEST_F(dir, syncfs_against_creates)
{
	int proc, i, fd;
	char name[32];

	for (proc = 0; proc < 3; proc++) {
		if (fork())
			continue;
		for (i = 0; i < 200; i++) {
			snprintf(name, sizeof(name), "f%d-%d", proc, i);
			HOLDS(!nx_put(name, name));
		}
		_exit(0);
	}
	GET(fd, open(".", O_RDONLY));
	for (i = 0; i < 40; i++)
		OK(syncfs(fd));
	EXPECT_EQ(0, nx_reap());
	OK(close(fd));
	EXPECT_STREQ("f2-199", nx_get("f2-199"));
}

TEST_F(dir, statfs_makes_sense)
{
	struct statfs a, b;
	int fd;

	OK(statfs(".", &a));
	EXPECT_LT(0, a.f_bsize);
	EXPECT_LT(0, a.f_blocks);
	EXPECT_GE(a.f_blocks, a.f_bfree);
	EXPECT_GE(a.f_bfree, a.f_bavail);
	EXPECT_LT(0, a.f_bavail);
	EXPECT_EQ(255, a.f_namelen);
	OK(nx_put("f", "x"));
	GET(fd, open("f", O_RDONLY));
	OK(fstatfs(fd, &b));
	OK(close(fd));
	EXPECT_EQ(a.f_type, b.f_type);
	EXPECT_EQ(a.f_bsize, b.f_bsize);
	EXPECT_EQ(a.f_namelen, b.f_namelen);
	EXPECT_EQ(a.f_fsid.__val[0], b.f_fsid.__val[0]);
	EXPECT_EQ(a.f_fsid.__val[1], b.f_fsid.__val[1]);
	if (self->nexus) {
		EXPECT_EQ(4096, a.f_bsize);
		EXPECT_NE(0, a.f_fsid.__val[0] | a.f_fsid.__val[1]);
	}
	OK(nx_sh("df . > /dev/null"));
	OK(nx_sh("df -i . > /dev/null"));
}

TEST_HARNESS_MAIN
