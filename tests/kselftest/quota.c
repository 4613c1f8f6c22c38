// SPDX-License-Identifier: GPL-2.0-only
/* Quotas: what is counted, who is refused what, and what never is. */
#include "nx_quota.h"

#include <dirent.h>
#include <linux/falloc.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/statfs.h>

#define NEEDS_QUOTA()						\
	do {							\
		if (!self->nexus || !self->root)		\
			SKIP(return, "needs nexusfs and root");	\
		OK(chmod(".", 0777));				\
	} while (0)

/* Nobody else's: usage is compared exactly. */
enum { ALICE = 70001, BOB, CAROL, GROUP = 70101, PROJECT = 70201 };

static char buf[64 * BLOCK];

static int put(const char *name, size_t blocks, off_t at)
{
	int fd = open(name, O_WRONLY | O_CREAT, 0666);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = pwrite(fd, buf, blocks * BLOCK, at * BLOCK);
	close(fd);
	return n < 0 ? -1 : n / BLOCK;
}

#define REFUSED(code, expr)	HOLDS((errno = 0, (expr)) == -1 && errno == (code))

/* ---- blocks of a user --------------------------------------------------------- */

static void fill_ten(void *arg)
{
	int fd;

	HOLDS(put("a", 6, 0) == 6);
	/* What fits is written. */
	HOLDS(put("b", 16, 0) == 4);
	REFUSED(EDQUOT, put("b", 1, 4));
	REFUSED(EDQUOT, put("a", 1, 20));
	HOLDS(put("a", 6, 0) == 6);
	HOLDS(!nx_sh("sync -f ."));
	/* In new blocks, as everything, and yet no more. */
	HOLDS(put("a", 6, 0) == 6);
	fd = open("a", O_WRONLY);
	HOLDS(fd >= 0);
	HOLDS(!fsync(fd));
	HOLDS(!ftruncate(fd, 4 * BLOCK + 100));
	HOLDS(put("b", 1, 4) == 1);
	REFUSED(EDQUOT, put("b", 1, 5));
	HOLDS(!unlink("b"));
	HOLDS(put("c", 8, 0) == 5);
	HOLDS(!ftruncate(fd, 0));
	HOLDS(put("c", 5, 5) == 5);
	REFUSED(EDQUOT, put("c", 1, 10));
	close(fd);
}

TEST_F(dir, blocks)
{
	NEEDS_QUOTA();
	OK(nx_limit(USRQUOTA, ALICE, 10, 0, 0, 0));
	EXPECT_EQ(0, nx_as(ALICE, fill_ten, NULL));
	EXPECT_EQ(10, nx_blocks(USRQUOTA, ALICE));
	EXPECT_EQ(2, nx_inodes(USRQUOTA, ALICE));
	OK(nx_sh("sync -f ."));
	EXPECT_EQ(10, nx_blocks(USRQUOTA, ALICE));
	/* Nobody looks at groups yet, so dirty pages did not count there. */
	EXPECT_EQ(10, nx_blocks(GRPQUOTA, ALICE));
	/* Whoever has the right to resources may go on. */
	OK(nx_sh("chown %d .", ALICE));
	ASSERT_EQ(4, put("c", 4, 10));
	OK(nx_sh("sync -f ."));
	EXPECT_EQ(14, nx_blocks(USRQUOTA, ALICE));
	OK(unlink("c"));
	EXPECT_EQ(0, nx_blocks(USRQUOTA, ALICE));
	OK(unlink("a"));
	OK(chown(".", 0, 0));
	EXPECT_EQ(0, nx_inodes(USRQUOTA, ALICE));
	EXPECT_EQ(0, nx_inodes(GRPQUOTA, ALICE));
	OK(nx_limit(USRQUOTA, ALICE, 0, 0, 0, 0));
}

/* ---- inodes --------------------------------------------------------------------- */

static void make_four(void *arg)
{
	int fd;

	HOLDS(!put("f", 0, 0));
	HOLDS(!mkdir("d", 0755));
	HOLDS(!symlink("f", "s"));
	HOLDS(!mkfifo("p", 0644));
	REFUSED(EDQUOT, put("g", 0, 0));
	REFUSED(EDQUOT, mkdir("e", 0755));
	REFUSED(EDQUOT, symlink("f", "t"));
	REFUSED(EDQUOT, mkfifo("q", 0644));
	REFUSED(EDQUOT, open(".", O_TMPFILE | O_RDWR, 0600));
	/* A name is none. */
	HOLDS(!link("f", "h"));
	HOLDS(!unlink("h"));
	HOLDS(!rename("f", "g"));
	fd = open("g", O_RDONLY);
	HOLDS(fd >= 0);
	HOLDS(!unlink("g"));
	/* Without a name and still there. */
	REFUSED(EDQUOT, mkdir("e", 0755));
	close(fd);
	HOLDS(!mkdir("e", 0755));
	HOLDS(!rmdir("e"));
	fd = open(".", O_TMPFILE | O_RDWR, 0600);
	HOLDS(fd >= 0);
	REFUSED(EDQUOT, mkdir("e", 0755));
}

TEST_F(dir, inodes)
{
	NEEDS_QUOTA();
	OK(nx_limit(USRQUOTA, BOB, 0, 0, 4, 0));
	EXPECT_EQ(0, nx_as(BOB, make_four, NULL));
	EXPECT_EQ(3, nx_inodes(USRQUOTA, BOB));
	OK(nx_limit(USRQUOTA, BOB, 0, 0, 0, 0));
}

/* ---- group and project ------------------------------------------------------------- */

static void fill_group(void *arg)
{
	HOLDS(put("a", 8, 0) == 5);
	REFUSED(EDQUOT, put("a", 1, 5));
}

TEST_F(dir, group)
{
	NEEDS_QUOTA();
	OK(nx_limit(GRPQUOTA, GROUP, 5, 0, 3, 0));
	/* setgid: what is made here belongs to the group. */
	OK(chown(".", 0, GROUP));
	OK(chmod(".", 02777));
	EXPECT_EQ(0, nx_as(CAROL, fill_group, NULL));
	EXPECT_EQ(5, nx_blocks(GRPQUOTA, GROUP));
	EXPECT_EQ(5, nx_blocks(USRQUOTA, CAROL));
	EXPECT_EQ(0, nx_blocks(GRPQUOTA, CAROL));
	/* The directory, too. */
	EXPECT_EQ(2, nx_inodes(GRPQUOTA, GROUP));
	OK(chown(".", 0, 0));
	OK(nx_limit(GRPQUOTA, GROUP, 0, 0, 0, 0));
}

static void fill_project(void *arg)
{
	struct fsxattr fsx;
	int fd;

	HOLDS(!mkdir("p/sub", 0777));
	fd = open("p/sub", O_RDONLY);
	HOLDS(fd >= 0);
	HOLDS(!ioctl(fd, FS_IOC_FSGETXATTR, &fsx));
	HOLDS(fsx.fsx_projid == PROJECT);
	HOLDS(fsx.fsx_xflags & FS_XFLAG_PROJINHERIT);
	close(fd);
	HOLDS(put("p/sub/a", 8, 0) == 6);
	REFUSED(EDQUOT, put("p/sub/a", 1, 6));
	HOLDS(put("a", 8, 0) == 8);
	REFUSED(EXDEV, rename("a", "p/a"));
	REFUSED(EXDEV, link("a", "p/a"));
	HOLDS(!rename("p/sub/a", "b"));
	HOLDS(!unlink("b"));
	HOLDS(put("p/sub/a", 8, 0) == 6);
}

TEST_F(dir, project)
{
	struct statfs all, sub, half;

	NEEDS_QUOTA();
	OK(mkdir("p", 0777));
	OK(chmod("p", 0777));
	OK(nx_project("p", PROJECT, true));
	OK(nx_limit(PRJQUOTA, PROJECT, 6, 0, 100, 0));
	EXPECT_EQ(0, nx_as(ALICE, fill_project, NULL));
	EXPECT_EQ(6, nx_blocks(PRJQUOTA, PROJECT));
	EXPECT_EQ(3, nx_inodes(PRJQUOTA, PROJECT));
	OK(statfs(".", &all));
	OK(statfs("p/sub", &sub));
	EXPECT_LT(100, all.f_blocks);
	EXPECT_EQ(6, sub.f_blocks);
	EXPECT_EQ(0, sub.f_bfree);
	EXPECT_EQ(0, sub.f_bavail);
	EXPECT_EQ(100, sub.f_files);
	EXPECT_EQ(97, sub.f_ffree);
	OK(truncate("p/sub/a", 2 * BLOCK));
	OK(statfs("p", &half));
	EXPECT_EQ(4, half.f_bfree);
	OK(nx_project("p/sub/a", 0, false));
	EXPECT_EQ(0, nx_blocks(PRJQUOTA, PROJECT));
	OK(nx_limit(PRJQUOTA, PROJECT, 0, 0, 0, 0));
}

/* Flags that are not kept are refused, and those that are there stay. */
TEST_F(dir, flags)
{
	struct fsxattr fsx;
	int fd, flags;

	NEEDS_QUOTA();
	GET(fd, open("f", O_RDWR | O_CREAT, 0666));
	OK(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	EXPECT_EQ(0, flags);
	flags = FS_COMPR_FL;
	FAILS(EOPNOTSUPP, ioctl(fd, FS_IOC_SETFLAGS, &flags));
	flags = 0;
	OK(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	OK(ioctl(fd, FS_IOC_FSGETXATTR, &fsx));
	fsx.fsx_xflags = FS_XFLAG_EXTSIZE;
	fsx.fsx_extsize = 65536;
	FAILS(EOPNOTSUPP, ioctl(fd, FS_IOC_FSSETXATTR, &fsx));
	fsx = (struct fsxattr){ .fsx_projid = ~0u };
	FAILS(EINVAL, ioctl(fd, FS_IOC_FSSETXATTR, &fsx));
	/* As for XFS, a file cannot hand anything on. */
	OK(nx_project("f", 7, true));
	OK(ioctl(fd, FS_IOC_FSGETXATTR, &fsx));
	EXPECT_EQ(7, fsx.fsx_projid);
	EXPECT_EQ(0, fsx.fsx_xflags);
	nx_drop_caches();
	OK(ioctl(fd, FS_IOC_FSGETXATTR, &fsx));
	EXPECT_EQ(7, fsx.fsx_projid);
	close(fd);
}

/* ---- other ways to take blocks --------------------------------------------------------- */

static void store(void *arg)
{
	int fd = open("m", O_RDWR | O_CREAT, 0666);
	char *p;

	HOLDS(fd >= 0);
	HOLDS(!ftruncate(fd, 8 * BLOCK));
	p = mmap(NULL, 8 * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	HOLDS(p != MAP_FAILED);
	p[0] = 1;
	p[3 * BLOCK] = 1;
	HOLDS(!msync(p, 8 * BLOCK, MS_SYNC));
	/* Again, what is there already. */
	p[0] = 2;
	p[3 * BLOCK] = 2;
	if (arg)
		p[5 * BLOCK] = 1;
}

TEST_F(dir, mapping)
{
	NEEDS_QUOTA();
	OK(nx_limit(USRQUOTA, ALICE, 2, 0, 0, 0));
	EXPECT_EQ(0, nx_as(ALICE, store, NULL));
	EXPECT_EQ(2, nx_blocks(USRQUOTA, ALICE));
	EXPECT_EQ(256 + SIGBUS, nx_as(ALICE, store, "more"));
	EXPECT_EQ(2, nx_blocks(USRQUOTA, ALICE));
	OK(nx_limit(USRQUOTA, ALICE, 0, 0, 0, 0));
}

static void reserve(void *arg)
{
	int fd = open("r", O_RDWR | O_CREAT, 0666);

	HOLDS(fd >= 0);
	REFUSED(EDQUOT, fallocate(fd, 0, 0, 11 * BLOCK));
	HOLDS(!fallocate(fd, 0, 0, 8 * BLOCK));
	HOLDS(put("r", 10, 0) == 10);
	REFUSED(EDQUOT, put("r", 1, 10));
	REFUSED(EDQUOT, fallocate(fd, FALLOC_FL_KEEP_SIZE, 10 * BLOCK, 1));
	HOLDS(!fallocate(fd, 0, 0, 10 * BLOCK));
	HOLDS(!fallocate(fd, FALLOC_FL_ZERO_RANGE, 100, 8 * BLOCK));
	HOLDS(!fsync(fd));
	HOLDS(!fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 10 * BLOCK));
	REFUSED(EDQUOT, fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 11 * BLOCK));
	HOLDS(put("r", 10, 0) == 10);
	HOLDS(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 3 * BLOCK));
	HOLDS(put("q", 2, 0) == 2);
	REFUSED(EDQUOT, put("q", 1, 2));
	HOLDS(!fsync(fd));
	close(fd);
}

TEST_F(dir, fallocate)
{
	NEEDS_QUOTA();
	OK(nx_limit(USRQUOTA, ALICE, 10, 0, 0, 0));
	EXPECT_EQ(0, nx_as(ALICE, reserve, NULL));
	EXPECT_EQ(10, nx_blocks(USRQUOTA, ALICE));
	OK(nx_limit(USRQUOTA, ALICE, 0, 0, 0, 0));
}

static void clone(void *arg)
{
	struct file_clone_range r = { .src_length = 2 * BLOCK };
	int a, b;

	HOLDS(put("a", 4, 0) == 4);
	a = open("a", O_RDWR);
	b = open("b", O_RDWR | O_CREAT, 0666);
	HOLDS(a >= 0 && b >= 0);
	HOLDS(!ioctl(b, FICLONE, a));
	REFUSED(EDQUOT, put("a", 3, 4) == 2 ? put("a", 1, 6) : 0);
	/* Over what is there. */
	HOLDS(!ioctl(b, FICLONE, a) || errno == EDQUOT);
	r.src_fd = a;
	HOLDS(!ioctl(b, FICLONERANGE, &r));
	r.dest_offset = 8 * BLOCK;
	REFUSED(EDQUOT, ioctl(b, FICLONERANGE, &r));
	close(a);
	close(b);
}

TEST_F(dir, clone)
{
	NEEDS_QUOTA();
	OK(nx_limit(USRQUOTA, ALICE, 10, 0, 0, 0));
	EXPECT_EQ(0, nx_as(ALICE, clone, NULL));
	EXPECT_EQ(10, nx_blocks(USRQUOTA, ALICE));
	OK(nx_limit(USRQUOTA, ALICE, 0, 0, 0, 0));
}

static void direct(void *arg)
{
	int fd = open("d", O_RDWR | O_CREAT | O_DIRECT, 0666);
	void *p = aligned_alloc(BLOCK, 16 * BLOCK);

	HOLDS(fd >= 0 && p);
	memset(p, 7, 16 * BLOCK);
	HOLDS(put("d", 4, 0) == 4);
	/* Over dirty pages that count already. */
	HOLDS(pwrite(fd, p, 8 * BLOCK, 0) == 8 * BLOCK);
	HOLDS(pwrite(fd, p, 8 * BLOCK, 0) == 8 * BLOCK);
	REFUSED(EDQUOT, pwrite(fd, p, BLOCK, 8 * BLOCK));
	HOLDS(!ftruncate(fd, 5 * BLOCK));
	/* As much as fits, or a part of it. */
	HOLDS(pwrite(fd, p, 8 * BLOCK, 0) >= 5 * BLOCK);
	HOLDS(put("d", 8, 0) == 8);
	close(fd);
}

TEST_F(dir, direct)
{
	NEEDS_QUOTA();
	OK(nx_limit(USRQUOTA, ALICE, 8, 0, 0, 0));
	EXPECT_EQ(0, nx_as(ALICE, direct, NULL));
	EXPECT_EQ(8, nx_blocks(USRQUOTA, ALICE));
	OK(nx_limit(USRQUOTA, ALICE, 0, 0, 0, 0));
}

/* ---- owners -------------------------------------------------------------------------------- */

/* Loses the right to resources, and keeps that to give files away. */
static void give_away(void *arg)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	HOLDS(!syscall(SYS_capget, &head, data));
	data[CAP_SYS_RESOURCE / 32].effective &= ~(1u << (CAP_SYS_RESOURCE % 32));
	HOLDS(!syscall(SYS_capset, &head, data));
	REFUSED(EDQUOT, chown("big", BOB, -1));
	HOLDS(!chown("small", BOB, -1));
	REFUSED(EDQUOT, chown("small", BOB, GROUP));
	REFUSED(EDQUOT, nx_project("small", PROJECT, false));
	HOLDS(!chown("small", ALICE, -1));
}

TEST_F(dir, owner)
{
	NEEDS_QUOTA();
	OK(nx_limit(USRQUOTA, BOB, 5, 0, 0, 0));
	OK(nx_limit(GRPQUOTA, GROUP, 1, 0, 0, 0));
	OK(nx_limit(PRJQUOTA, PROJECT, 1, 0, 0, 0));
	ASSERT_EQ(6, put("big", 6, 0));
	/* Dirty pages move with it, too. */
	ASSERT_EQ(3, put("small", 3, 0));
	pid_t pid = fork();

	if (!pid) {
		give_away(NULL);
		_exit(0);
	}
	EXPECT_EQ(0, nx_reap());
	EXPECT_EQ(0, nx_blocks(USRQUOTA, BOB));
	EXPECT_EQ(3, nx_blocks(USRQUOTA, ALICE));
	OK(chown("big", BOB, GROUP));
	EXPECT_EQ(6, nx_blocks(USRQUOTA, BOB));
	EXPECT_EQ(6, nx_blocks(GRPQUOTA, GROUP));
	OK(nx_sh("sync -f ."));
	EXPECT_EQ(6, nx_blocks(USRQUOTA, BOB));
	EXPECT_EQ(1, nx_inodes(USRQUOTA, BOB));
	OK(unlink("big"));
	EXPECT_EQ(0, nx_blocks(USRQUOTA, BOB));
	EXPECT_EQ(0, nx_inodes(GRPQUOTA, GROUP));
	OK(nx_limit(USRQUOTA, BOB, 0, 0, 0, 0));
	OK(nx_limit(GRPQUOTA, GROUP, 0, 0, 0, 0));
	OK(nx_limit(PRJQUOTA, PROJECT, 0, 0, 0, 0));
}

/* ---- soft limits ------------------------------------------------------------------------------ */

static void above(void *arg)
{
	HOLDS(put("s", 6, 0) == 6);
	HOLDS(!mkdir("one", 0755));
	sleep(3);
	REFUSED(EDQUOT, put("s", 1, 6));
	REFUSED(EDQUOT, mkdir("two", 0755));
	HOLDS(put("s", 6, 0) == 6);
	HOLDS(!truncate("s", 3 * BLOCK));
	HOLDS(!rmdir("one"));
	HOLDS(put("s", 3, 3) == 3);
	HOLDS(!mkdir("two", 0755));
	/* The hard limit needs no time. */
	HOLDS(put("s", 9, 6) == 2);
	REFUSED(EDQUOT, put("s", 1, 8));
}

TEST_F(dir, soft)
{
	struct if_dqinfo info = { .dqi_bgrace = 2, .dqi_igrace = 2,
				  .dqi_valid = IIF_BGRACE | IIF_IGRACE };
	struct if_dqblk d;

	NEEDS_QUOTA();
	OK(nx_quotactl(Q_SETINFO, USRQUOTA, 0, &info));
	memset(&info, 0, sizeof(info));
	OK(nx_quotactl(Q_GETINFO, USRQUOTA, 0, &info));
	EXPECT_EQ(2, info.dqi_bgrace);
	EXPECT_EQ(2, info.dqi_igrace);
	OK(nx_quotactl(Q_GETINFO, GRPQUOTA, 0, &info));
	EXPECT_EQ(7 * 24 * 3600, info.dqi_bgrace);
	OK(nx_limit(USRQUOTA, CAROL, 8, 4, 0, 1));
	EXPECT_EQ(0, nx_as(CAROL, above, NULL));
	OK(nx_quotactl(Q_GETQUOTA, USRQUOTA, CAROL, &d));
	EXPECT_LT(0, d.dqb_btime);
	EXPECT_EQ(32, d.dqb_bhardlimit);
	EXPECT_EQ(16, d.dqb_bsoftlimit);
	EXPECT_EQ(1, d.dqb_isoftlimit);
	OK(nx_limit(USRQUOTA, CAROL, 0, 0, 0, 0));
	OK(nx_quotactl(Q_GETQUOTA, USRQUOTA, CAROL, &d));
	EXPECT_EQ(0, d.dqb_btime);
	info = (struct if_dqinfo){ .dqi_valid = IIF_BGRACE | IIF_IGRACE };
	OK(nx_quotactl(Q_SETINFO, USRQUOTA, 0, &info));
	OK(nx_quotactl(Q_GETINFO, USRQUOTA, 0, &info));
	EXPECT_EQ(7 * 24 * 3600, info.dqi_bgrace);
}

static void full(void *arg)
{
	int fd;

	HOLDS(put("l", 5, 0) == 5);
	REFUSED(EDQUOT, put("l", 1, 5));
	HOLDS(!nx_sh("sync -f ."));
	HOLDS(put("l", 5, 0) == 5);
	fd = open("l", O_WRONLY);
	HOLDS(!fsync(fd));
	HOLDS(!ftruncate(fd, 2 * BLOCK + 1));
	REFUSED(EDQUOT, put("l", 1, 5));
	HOLDS(!ftruncate(fd, BLOCK));
	HOLDS(put("l", 1, 5) == 1);
	REFUSED(EDQUOT, put("l", 1, 6));
	close(fd);
}

/* What is there may be more than what is allowed: less is always possible. */
TEST_F(dir, lowered)
{
	NEEDS_QUOTA();
	ASSERT_EQ(5, put("l", 5, 0));
	OK(chown("l", ALICE, ALICE));
	OK(nx_limit(USRQUOTA, ALICE, 2, 0, 1, 0));
	EXPECT_EQ(0, nx_as(ALICE, full, NULL));
	EXPECT_EQ(2, nx_blocks(USRQUOTA, ALICE));
	OK(nx_limit(USRQUOTA, ALICE, 0, 0, 0, 0));
}

/* ---- the books ------------------------------------------------------------------------------------ */

static void churn(void *arg)
{
	char name[16];
	int i, fd;

	nx_srand((uintptr_t)arg);
	for (i = 0; i < (getenv("NEXUS_SHORT") ? 200 : 1500); i++) {
		snprintf(name, sizeof(name), "f%llu", (unsigned long long)nx_below(24));
		switch (nx_below(8)) {
		case 0 ... 2:
			put(name, 1 + nx_below(20), nx_below(60));
			break;
		case 3:
			if (truncate(name, nx_below(60 * BLOCK)))
				HOLDS(errno == ENOENT || errno == EACCES || errno == EDQUOT);
			break;
		case 4:
			unlink(name);
			break;
		case 5:
			fd = open(name, O_RDWR);
			if (fd < 0)
				break;
			if (fallocate(fd, nx_below(2) ? 0 : FALLOC_FL_ZERO_RANGE,
				      nx_below(50) * BLOCK, (1 + nx_below(20)) * BLOCK))
				HOLDS(errno == EDQUOT);
			close(fd);
			break;
		case 6:
			fd = open(name, O_RDWR);
			if (fd < 0)
				break;
			if (nx_below(2))
				fsync(fd);
			HOLDS(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					 nx_below(50 * BLOCK), 1 + nx_below(20 * BLOCK)));
			close(fd);
			break;
		default:
			fd = open(name, O_RDWR);
			if (fd < 0)
				break;
			snprintf(name, sizeof(name), "f%llu",
				 (unsigned long long)nx_below(24));
			int to = open(name, O_RDWR);

			if (to >= 0 && ioctl(to, FICLONE, fd))
				HOLDS(errno == EDQUOT || errno == EINVAL);
			if (to >= 0)
				close(to);
			close(fd);
		}
	}
}

/* Everything there is of @uid in this directory. */
static void count(unsigned int uid, long *blocks, long *inodes)
{
	struct dirent *e;
	DIR *d = opendir(".");
	struct stat st;

	*blocks = 0;
	*inodes = 0;
	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, "..") || lstat(e->d_name, &st) || st.st_uid != uid)
			continue;
		*blocks += st.st_blocks / 8;
		++*inodes;
	}
	if (d)
		closedir(d);
}

TEST_F(dir, books)
{
	const unsigned int who[] = { ALICE, BOB, CAROL };
	long blocks, inodes;
	char name[16];
	int i, j;

	NEEDS_QUOTA();
	nx_srand(nx_seed());
	for (i = 0; i < 3; i++) {
		OK(nx_limit(USRQUOTA, who[i], 400, 0, 12, 0));
		if (!fork()) {
			gid_t gid = who[i];

			HOLDS(!setgroups(1, &gid) && !setresgid(gid, gid, gid) &&
			      !setresuid(gid, gid, gid));
			umask(0);
			churn((void *)(uintptr_t)(nx_rand() + i));
			_exit(0);
		}
	}
	for (i = 0; i < 100; i++) {
		usleep(20000);
		snprintf(name, sizeof(name), "f%llu", (unsigned long long)nx_below(24));
		if (!nx_below(4))
			chown(name, who[nx_below(3)], -1);
		for (j = 0; j < 3; j++) {
			/* Root gives files to them beyond their limits; never much. */
			EXPECT_GT(2400, nx_blocks(USRQUOTA, who[j]));
		}
	}
	EXPECT_EQ(0, nx_reap());
	/* Dirty pages count as blocks to be. */
	for (i = 0; i < 3; i++) {
		count(who[i], &blocks, &inodes);
		EXPECT_EQ(inodes, nx_inodes(USRQUOTA, who[i]));
	}
	OK(nx_sh("sync -f ."));
	for (i = 0; i < 3; i++) {
		count(who[i], &blocks, &inodes);
		EXPECT_EQ(blocks, nx_blocks(USRQUOTA, who[i]));
		EXPECT_EQ(inodes, nx_inodes(USRQUOTA, who[i]));
	}
	OK(nx_sh("rm -f f*"));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, nx_blocks(USRQUOTA, who[i]));
		EXPECT_EQ(0, nx_inodes(USRQUOTA, who[i]));
		OK(nx_limit(USRQUOTA, who[i], 0, 0, 0, 0));
	}
}

/* ---- the interface -------------------------------------------------------------------------------- */

static void ask(void *arg)
{
	struct if_dqblk d = { .dqb_valid = QIF_LIMITS };

	HOLDS(!nx_quotactl(Q_GETQUOTA, USRQUOTA, ALICE, &d));
	HOLDS(!nx_quotactl(Q_GETQUOTA, GRPQUOTA, ALICE, &d));
	REFUSED(EPERM, nx_quotactl(Q_GETQUOTA, USRQUOTA, BOB, &d));
	REFUSED(EPERM, nx_quotactl(Q_GETQUOTA, PRJQUOTA, PROJECT, &d));
	REFUSED(EPERM, nx_quotactl(Q_SETQUOTA, USRQUOTA, ALICE, &d));
	REFUSED(EPERM, nx_quotactl(Q_GETNEXTQUOTA, USRQUOTA, 0, &d));
}

TEST_F(dir, interface)
{
	struct if_nextdqblk next;
	struct if_dqblk d = { .dqb_valid = QIF_ALL };
	struct if_dqinfo info = { .dqi_bgrace = 1ull << 40, .dqi_valid = IIF_BGRACE };

	NEEDS_QUOTA();
	EXPECT_EQ(0, nx_as(ALICE, ask, NULL));
	/* Usage is what it is. */
	FAILS(EINVAL, nx_quotactl(Q_SETQUOTA, USRQUOTA, ALICE, &d));
	FAILS(EINVAL, nx_quotactl(Q_GETQUOTA, USRQUOTA, -1, &d));
	FAILS(EINVAL, nx_limit(PRJQUOTA, 0, 1, 0, 0, 0));
	FAILS(EINVAL, nx_quotactl(Q_GETQUOTA, 3, ALICE, &d));
	FAILS(EFAULT, nx_quotactl(Q_GETQUOTA, USRQUOTA, ALICE, (void *)8));
	EXPECT_NE(0, nx_quotactl(Q_QUOTAON, USRQUOTA, 2, "/"));
	EXPECT_NE(0, nx_quotactl(Q_QUOTAOFF, USRQUOTA, 0, NULL));
	nx_quotactl(Q_SETINFO, PRJQUOTA, 0, &info);
	OK(nx_limit(USRQUOTA, ALICE, ULONG_MAX / 4, ULONG_MAX / 4, ULONG_MAX, ULONG_MAX));
	EXPECT_EQ(0, nx_as(ALICE, ask, NULL));
	OK(nx_limit(USRQUOTA, ALICE, 3, 0, 0, 0));
	OK(nx_limit(USRQUOTA, CAROL, 5, 0, 0, 0));
	OK(nx_quotactl(Q_GETNEXTQUOTA, USRQUOTA, ALICE, &next));
	EXPECT_EQ(ALICE, next.dqb_id);
	EXPECT_EQ(12, next.dqb_bhardlimit);
	OK(nx_quotactl(Q_GETNEXTQUOTA, USRQUOTA, BOB + 1, &next));
	EXPECT_EQ(CAROL, next.dqb_id);
	EXPECT_EQ(20, next.dqb_bhardlimit);
	FAILS(ENOENT, nx_quotactl(Q_GETNEXTQUOTA, PRJQUOTA, 4000000000u, &next));
	OK(nx_limit(USRQUOTA, ALICE, 0, 0, 0, 0));
	OK(nx_limit(USRQUOTA, CAROL, 0, 0, 0, 0));
	OK(nx_quotactl(Q_SYNC, USRQUOTA, 0, NULL));
}

TEST_HARNESS_MAIN
