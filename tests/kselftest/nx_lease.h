/* SPDX-License-Identifier: GPL-2.0-only */
/* Leases, as the programs that test them ask for them. */
#ifndef NX_LEASE_H
#define NX_LEASE_H

#include "nx_plock.h"

#include <linux/nexusfs_lease.h>

#define TTL 1000	/* seconds; longer than any test */

static inline struct nexus_lease_arg arg_of(unsigned char id, unsigned int ttl, unsigned int max,
				     long long ms)
{
	struct nexus_lease_arg a = {
		.id = { id }, .ttl = ttl, .max_holders = max,
		.timeout_ms = ms == FOREVER ? 0 : ms,
		.flags = ms == FOREVER ? NEXUS_LEASE_F_FOREVER : 0,
	};

	snprintf((char *)a.name, sizeof(a.name), "holder %u", id);
	return a;
}

static uint64_t last_token, last_expires;

static inline int acquire(int fd, unsigned char id, unsigned int ttl, unsigned int max, long long ms)
{
	struct nexus_lease_arg a = arg_of(id, ttl, max, ms);
	int ret = ioctl(fd, NEXUS_IOC_LEASE_ACQUIRE, &a);

	if (!ret) {
		last_token = a.token;
		last_expires = a.expires;
	}
	return ret;
}

static inline int plain(int fd, unsigned long cmd, unsigned char id, unsigned int ttl)
{
	struct nexus_lease_arg a = { .id = { id }, .ttl = ttl };
	int ret = ioctl(fd, cmd, &a);

	if (!ret) {
		last_token = a.token;
		last_expires = a.expires;
	}
	return ret;
}

static inline int extend(int fd, unsigned char id, unsigned int ttl)
{
	return plain(fd, NEXUS_IOC_LEASE_EXTEND, id, ttl);
}

static inline int release(int fd, unsigned char id)
{
	return plain(fd, NEXUS_IOC_LEASE_RELEASE, id, 0);
}

static inline int force(int fd, unsigned char id)
{
	return plain(fd, NEXUS_IOC_LEASE_BREAK, id, 0);
}

static inline int check(int fd, uint64_t token)
{
	return ioctl(fd, NEXUS_IOC_LEASE_CHECK, &token);
}

static struct nexus_lease_who holders[NEXUS_LEASE_COUNT_MAX];

static inline struct nexus_lease_info info_of(int fd)
{
	struct nexus_lease_info info = {
		.holders = (uintptr_t)holders, .room = N_ELEMS(holders),
	};

	memset(holders, 0, sizeof(holders));
	if (ioctl(fd, NEXUS_IOC_LEASE_GET, &info))
		info.count = (unsigned int)-errno;
	return info;
}

/* Until so many wait for it. */
static inline void until_queued(int fd, unsigned int n)
{
	int i;

	for (i = 0; i < 6000 && info_of(fd).waiting != n; i++)
		usleep(10000);
	HOLDS(info_of(fd).waiting == n);
}

#endif
