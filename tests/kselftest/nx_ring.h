/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests of rings share. */
#ifndef NX_RING_H
#define NX_RING_H

#include "nx.h"

#include <linux/nexusfs_ring.h>
#include <poll.h>

/* Makes a ring in the current directory; -1 with errno. */
static inline int ring_make_mode(const char *name, uint64_t capacity, unsigned int mode)
{
	struct nexus_ring_create rc = { .capacity = capacity, .mode = mode };
	int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err, code;

	strncpy((char *)rc.name, name, sizeof(rc.name) - 1);
	err = ioctl(dir, NEXUS_IOC_RING_CREATE, &rc);
	code = errno;
	close(dir);
	errno = code;
	return err;
}

static inline int ring_make(const char *name, uint64_t capacity)
{
	return ring_make_mode(name, capacity, 0644);
}

/* Both ends of a ring that nobody has open: [0] to read, [1] to write. */
static inline int ring_ends(const char *name, int fd[2], int flags)
{
	fd[0] = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	fd[1] = fd[0] < 0 ? -1 : open(name, O_WRONLY | O_CLOEXEC | flags);
	if (fd[1] < 0)
		return -1;
	return flags & O_NONBLOCK ? 0 : fcntl(fd[0], F_SETFL, 0);
}

static inline struct nexus_ring_stat ring_stat(int fd)
{
	struct nexus_ring_stat st = { .capacity = 0 };

	if (ioctl(fd, NEXUS_IOC_RING_STAT, &st))
		perror("# NEXUS_IOC_RING_STAT");
	return st;
}

/* Times a process went to sleep of its own accord. */
static inline int switches(pid_t pid)
{
	char path[64];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	at = strstr(nx_get(path), "\nvoluntary_ctxt_switches:");
	return at ? atoi(at + 25) : -1;
}

/* What poll(2) says now. */
static inline int ring_poll(int fd, int events)
{
	struct pollfd p = { .fd = fd, .events = (short)events };

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

#endif
