// SPDX-License-Identifier: Apache-2.0
/*
 * bench plock N HELD DIR: taking a lock that nobody contends for and giving it up, N
 * times each, in turn: flock(2), a path lock on a file four directories down, and the
 * same with HELD other path locks held there (each needs a file and a descriptor).  Five
 * rounds, of which the fastest counts; then a line each, in nanoseconds for the two calls:
 *
 *	flock|plock|flock-HELD|plock-HELD EXCLUSIVE SHARED
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../include/uapi/linux/nexusfs.h"
#include "bench.h"

static int stop(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	return 1;
}

static double flocks(int fd, long n, bool shared)
{
	double from = now();
	long i;

	for (i = 0; i < n; i++)
		if (flock(fd, shared ? LOCK_SH : LOCK_EX) || flock(fd, LOCK_UN))
			return -1;
	return (now() - from) / (double)n;
}

static double plocks(int fd, long n, bool shared)
{
	struct nexus_plock_arg a = {
		.mode = shared ? NEXUS_PLOCK_SHARED : NEXUS_PLOCK_EXCLUSIVE,
	};
	double from = now();
	long i;

	for (i = 0; i < n; i++)
		if (ioctl(fd, NEXUS_IOC_PLOCK_LOCK, &a) ||
		    ioctl(fd, NEXUS_IOC_PLOCK_UNLOCK, 0))
			return -1;
	return (now() - from) / (double)n;
}

/* Other files, a hundred to a directory beside ours, held one way or the other. */
static int hold(long held)
{
	struct nexus_plock_arg a = {};
	char path[64];
	long i;
	int fd;

	for (i = 0; i < held; i++) {
		snprintf(path, sizeof(path), "a/d%ld", i / 100);
		if (i % 100 == 0 && mkdir(path, 0755) && errno != EEXIST)
			return stop(path);
		snprintf(path, sizeof(path), "a/d%ld/%ld", i / 100, i);
		fd = open(path, O_RDWR | O_CREAT, 0644);
		if (fd < 0)
			return stop(path);
		a.mode = i % 2 ? NEXUS_PLOCK_SHARED : NEXUS_PLOCK_EXCLUSIVE;
		if (ioctl(fd, NEXUS_IOC_PLOCK_LOCK, &a))
			return stop("lock");
	}
	return 0;
}

int plock_main(int argc, char **argv)
{
	long n = strtol(argv[0], NULL, 10), held = strtol(argv[1], NULL, 10);
	struct rlimit files = { (rlim_t)held + 1024, (rlim_t)held + 1024 };
	double best[2][2], ns;
	int fd, round, kind, shared;
	bool more;

	(void)argc;
	if (n < 1 || setrlimit(RLIMIT_NOFILE, &files) || chdir(argv[2]))
		return stop(argv[2]);
	if ((mkdir("a", 0755) || mkdir("a/b", 0755) || mkdir("a/b/c", 0755)) &&
	    errno != EEXIST)
		return stop("mkdir");
	fd = open("a/b/c/file", O_RDWR | O_CREAT, 0644);
	if (fd < 0)
		return stop("file");
	for (more = false;; more = true) {
		if (more && hold(held))
			return 1;
		memset(best, 0, sizeof(best));
		for (round = 0; round < 20; round++) {
			kind = round % 2;
			shared = round / 2 % 2;
			ns = kind ? plocks(fd, n, shared) : flocks(fd, n, shared);
			if (ns < 0)
				return stop(kind ? "path lock" : "flock");
			if (!best[kind][shared] || ns < best[kind][shared])
				best[kind][shared] = ns;
		}
		for (kind = 0; kind < 2; kind++) {
			printf(more ? "%s-%ld" : "%s", kind ? "plock" : "flock", held);
			printf(" %.0f %.0f\n", best[kind][0], best[kind][1]);
		}
		if (more)
			return 0;
	}
}
