// SPDX-License-Identifier: Apache-2.0
/* Leases: ioctls of the module as C functions. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <nexus/lease.h>

static int call(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) ? -errno : 0;
}

static void take_over(struct nexus_lease *lease, const struct nexus_lease_arg *a)
{
	memcpy(lease->id, a->id, sizeof(lease->id));
	lease->token = a->token;
	lease->expires = a->expires;
}

NEXUS_EXPORT int nexus_lease_acquire(int fd, struct nexus_lease *lease, const char *name,
				     uint32_t ttl, uint32_t max_holders, int64_t timeout_ms)
{
	struct nexus_lease_arg a = { .ttl = ttl, .max_holders = max_holders };
	size_t len = strlen(name);
	int err;

	if (len > sizeof(a.name))
		return -EINVAL;
	memcpy(a.id, lease->id, sizeof(a.id));
	memcpy(a.name, name, len);
	if (timeout_ms == NEXUS_LEASE_FOREVER)
		a.flags = NEXUS_LEASE_F_FOREVER;
	else
		a.timeout_ms = timeout_ms;
	err = call(fd, NEXUS_IOC_LEASE_ACQUIRE, &a);
	if (!err)
		take_over(lease, &a);
	return err;
}

NEXUS_EXPORT int nexus_lease_extend(int fd, struct nexus_lease *lease, uint32_t ttl)
{
	struct nexus_lease_arg a = { .ttl = ttl };
	int err;

	memcpy(a.id, lease->id, sizeof(a.id));
	err = call(fd, NEXUS_IOC_LEASE_EXTEND, &a);
	if (!err)
		take_over(lease, &a);
	return err;
}

NEXUS_EXPORT int nexus_lease_release(int fd, const struct nexus_lease *lease)
{
	struct nexus_lease_arg a = { .ttl = 0 };

	memcpy(a.id, lease->id, sizeof(a.id));
	return call(fd, NEXUS_IOC_LEASE_RELEASE, &a);
}

NEXUS_EXPORT int nexus_lease_break(int fd, const uint8_t *id)
{
	struct nexus_lease_arg a = { .ttl = 0 };

	if (id)
		memcpy(a.id, id, sizeof(a.id));
	return call(fd, NEXUS_IOC_LEASE_BREAK, &a);
}

NEXUS_EXPORT int nexus_lease_check(int fd, uint64_t token)
{
	__u64 k = token;

	return call(fd, NEXUS_IOC_LEASE_CHECK, &k);
}

NEXUS_EXPORT int nexus_lease_get(int fd, struct nexus_lease_info *info,
				 struct nexus_lease_who *who, uint32_t room)
{
	memset(info, 0, sizeof(*info));
	info->holders = (uintptr_t)who;
	info->room = room;
	return call(fd, NEXUS_IOC_LEASE_GET, info);
}
