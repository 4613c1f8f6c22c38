/* SPDX-License-Identifier: GPL-2.0-only */
/* quotactl_fd(2), and children that are somebody else. */
#ifndef NX_QUOTA_H
#define NX_QUOTA_H

#include "nx.h"

#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif

enum { BLOCK = 4096 };

static inline int nx_quotactl(int cmd, int type, unsigned int id, void *arg)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY), ret;

	if (fd < 0)
		return -1;
	ret = syscall(SYS_quotactl_fd, fd, QCMD(cmd, type), id, arg);
	close(fd);
	return ret;
}

/* Limits in blocks of 4 KiB and inodes; 0: none. */
static inline int nx_limit(int type, unsigned int id, unsigned long bhard,
			   unsigned long bsoft, unsigned long ihard,
			   unsigned long isoft)
{
	struct if_dqblk d = {
		.dqb_bhardlimit = bhard * 4,	/* KiB */
		.dqb_bsoftlimit = bsoft * 4,
		.dqb_ihardlimit = ihard,
		.dqb_isoftlimit = isoft,
		.dqb_valid = QIF_LIMITS,
	};

	return nx_quotactl(Q_SETQUOTA, type, id, &d);
}

/* Blocks in use, or -1. */
static inline long nx_blocks(int type, unsigned int id)
{
	struct if_dqblk d;

	if (nx_quotactl(Q_GETQUOTA, type, id, &d))
		return -1;
	return d.dqb_curspace / BLOCK;
}

static inline long nx_inodes(int type, unsigned int id)
{
	struct if_dqblk d;

	if (nx_quotactl(Q_GETQUOTA, type, id, &d))
		return -1;
	return d.dqb_curinodes;
}

static inline int nx_project(const char *path, unsigned int id, bool inherit)
{
	int fd = open(path, O_RDONLY), ret;
	struct fsxattr fsx;

	if (fd < 0)
		return -1;
	ret = ioctl(fd, FS_IOC_FSGETXATTR, &fsx);
	fsx.fsx_projid = id;
	fsx.fsx_xflags &= ~FS_XFLAG_PROJINHERIT;
	if (inherit)
		fsx.fsx_xflags |= FS_XFLAG_PROJINHERIT;
	if (!ret)
		ret = ioctl(fd, FS_IOC_FSSETXATTR, &fsx);
	close(fd);
	return ret;
}

/*
 * Runs @body in a child as user and group @id, without any capability; as
 * nx_as_nobody().
 */
static inline int nx_as(unsigned int id, void (*body)(void *), void *arg)
{
	gid_t gid = id;
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (setgroups(1, &gid) || setresgid(id, id, id) || setresuid(id, id, id))
			_exit(255);
		body(arg);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

#endif
