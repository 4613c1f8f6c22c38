/* SPDX-License-Identifier: GPL-2.0-only */
/* Path locks, as the programs that test them ask for them. */
#ifndef NX_PLOCK_H
#define NX_PLOCK_H

#include "nx.h"

#include <linux/nexusfs.h>
#include <pthread.h>

#define FOREVER (-1ll)

static inline int plock(int fd, unsigned long cmd, unsigned int mode, long long ms)
{
	struct nexus_plock_arg a = {
		.mode = mode,
		.flags = ms == FOREVER ? NEXUS_PLOCK_F_FOREVER : 0,
		.timeout_ms = ms == FOREVER ? 0 : ms,
	};

	return ioctl(fd, cmd, &a);
}

static inline int take(int fd, char mode, long long ms)
{
	return plock(fd, NEXUS_IOC_PLOCK_LOCK,
		     mode == 'x' ? NEXUS_PLOCK_EXCLUSIVE : NEXUS_PLOCK_SHARED, ms);
}

static inline int convert(int fd, char mode, long long ms)
{
	return plock(fd, NEXUS_IOC_PLOCK_CONVERT,
		     mode == 'x' ? NEXUS_PLOCK_EXCLUSIVE : NEXUS_PLOCK_SHARED, ms);
}

static inline int drop(int fd)
{
	return ioctl(fd, NEXUS_IOC_PLOCK_UNLOCK, 0);
}

static inline struct nexus_plock_info who(int fd, char mode)
{
	struct nexus_plock_info info = {
		.mode = mode == 'x' ? NEXUS_PLOCK_EXCLUSIVE : NEXUS_PLOCK_SHARED,
	};

	if (ioctl(fd, NEXUS_IOC_PLOCK_GET, &info))
		info.place = (unsigned int)-errno;
	return info;
}

static inline int at(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* How often the list of locks has @text. */
static inline int listed(const char *text)
{
	static char all[1 << 20];
	int n = 0, fd;
	ssize_t len = 0, got;
	char *p;
	char name[PATH_MAX];

	snprintf(name, sizeof(name), "%s/__sys__/locks", nx_base());
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	while ((got = read(fd, all + len, sizeof(all) - 1 - len)) > 0)
		len += got;
	close(fd);
	all[len] = '\0';
	for (p = all; (p = strstr(p, text)); p++)
		n++;
	return n;
}

/* Until so many wait; it is the only program that does. */
static inline void until_waiting(int n)
{
	int i;

	for (i = 0; i < 6000 && listed(" waits ") != n; i++)
		usleep(10000);
	HOLDS(listed(" waits ") == n);
}

static inline void say(int fd)
{
	HOLDS(write(fd, "x", 1) == 1);
}

static inline void hear(int fd)
{
	char c;

	HOLDS(read(fd, &c, 1) == 1);
}

static inline int make_tree(void)
{
	return mkdir("a", 0755) || mkdir("a/b", 0755) || nx_put("a/b/f", "text") ||
	       mkdir("c", 0755) ? -1 : 0;
}

/* A counter of the module; the helper may be dead. */
static inline uint64_t nx_counter(const char *name)
{
	char path[PATH_MAX], line[128];
	unsigned long long value = 0;
	size_t len = strlen(name);
	FILE *f;

	snprintf(path, sizeof(path), "%s/__sys__/stats", nx_base());
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ' ')
			value = strtoull(line + len, NULL, 10);
	if (f)
		fclose(f);
	return value;
}

#define NEEDS_NEXUS(self) \
	do { if (!(self)->nexus) SKIP(return, "needs nexusfs"); } while (0)

#endif
