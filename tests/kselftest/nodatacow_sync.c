// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is overwritten in place (chattr +C) and written back is on stable storage after
 * an fsync, whoever asks for it.
 */
#include "nx.h"
#include "nx_stats.h"

#include <linux/fs.h>
#include <sys/ioctl.h>

static int make(const char *name)
{
	int flags = FS_NOCOW_FL;
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	return fd < 0 || ioctl(fd, FS_IOC_SETFLAGS, &flags) ? -1 : fd;
}

/* How often the disk was told to flush while @fd was synced; -1: it failed. */
static int64_t flushes(int fd)
{
	struct nx_stats a, b;
	int64_t n = -1;

	if (!nx_stats_read(&a))
		return -1;
	if (!fdatasync(fd) && nx_stats_read(&b)) {
		n = nx_grew(&a, &b, "log_flushes");
		nx_stats_free(&b);
	}
	nx_stats_free(&a);
	return n;
}

/* Overwritten in place and written back, all in vain if the power goes now. */
static bool dirtied_below(int fd, const void *from, size_t len)
{
	return pwrite(fd, from, len, 0) == (ssize_t)len &&
	       !sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				SYNC_FILE_RANGE_WAIT_AFTER);
}

/*
 * Its inode leaves memory, as the system itself would have it: without a sync.  The log
 * has what there is to say of it on stable storage then.
 */
static bool forgotten(const char *name)
{
	int64_t before = nx_counter("inodes_read"), flushed;
	int i;

	/* Hundredths of a second. */
	if (nx_put("/proc/sys/vm/dirty_writeback_centisecs", "10") ||
	    nx_put("/proc/sys/vm/dirty_expire_centisecs", "10"))
		return false;
	for (i = 0; i < 600 && nx_counter("inodes_read") == before; i++) {
		usleep(100000);
		nx_drop_some("3");
		if (access(name, F_OK))
			break;
	}
	nx_put("/proc/sys/vm/dirty_writeback_centisecs", "500");
	nx_put("/proc/sys/vm/dirty_expire_centisecs", "3000");
	do {
		flushed = nx_counter("log_flushes");
		sleep(3);
	} while (nx_counter("log_flushes") != flushed);
	return nx_counter("inodes_read") > before;
}

/*
 * There is no record that would tell what is not yet on stable storage, neither the
 * file's next life in memory nor who gets its blocks by a clone.
 */
TEST_F(dir, later)
{
	char data[8 * 4096];
	int fd, to;

	if (!self->nexus)
		SKIP(return, "needs nexusfs");
	GET(fd, make("f"));
	memset(data, 'd', sizeof(data));
	ASSERT_EQ(sizeof(data), pwrite(fd, data, sizeof(data), 0));
	OK(fsync(fd));
	sync();
	EXPECT_EQ(0, flushes(fd));

	ASSERT_TRUE(dirtied_below(fd, data, sizeof(data)));
	close(fd);
	ASSERT_TRUE(forgotten("f"));
	GET(fd, open("f", O_RDWR));
	EXPECT_LE(1, flushes(fd));
	EXPECT_EQ(0, flushes(fd));

	ASSERT_TRUE(dirtied_below(fd, data, sizeof(data)));
	GET(to, make("to"));
	OK(ioctl(to, FICLONE, fd));
	/* That of the pack and that of the log. */
	EXPECT_LE(2, flushes(to));
	EXPECT_EQ(0, flushes(to));
	close(to);
	close(fd);
}

TEST_HARNESS_MAIN
