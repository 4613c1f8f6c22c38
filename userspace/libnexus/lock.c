// SPDX-License-Identifier: Apache-2.0
/* Path locks: ioctls of the module as C functions. */
#include <errno.h>
#include <linux/nexusfs.h>
#include <sys/ioctl.h>

#include <nexus/lock.h>

_Static_assert((int)NEXUS_LOCK_EXCLUSIVE == NEXUS_PLOCK_EXCLUSIVE &&
	       (int)NEXUS_LOCK_SHARED == NEXUS_PLOCK_SHARED, "modes are the kernel's");
_Static_assert((int)NEXUS_LOCK_QUEUE == NEXUS_PLOCK_QUEUE &&
	       (int)NEXUS_LOCK_BELOW == NEXUS_PLOCK_BELOW, "places are the kernel's");

static int take(int fd, unsigned long cmd, enum nexus_lock_mode mode,
		int64_t timeout_ms)
{
	struct nexus_plock_arg arg = { .mode = (uint32_t)mode };

	if (timeout_ms == NEXUS_LOCK_FOREVER)
		arg.flags = NEXUS_PLOCK_F_FOREVER;
	else
		arg.timeout_ms = timeout_ms;
	return ioctl(fd, cmd, &arg) ? -errno : 0;
}

NEXUS_EXPORT int nexus_lock(int fd, enum nexus_lock_mode mode, int64_t timeout_ms)
{
	return take(fd, NEXUS_IOC_PLOCK_LOCK, mode, timeout_ms);
}

NEXUS_EXPORT int nexus_unlock(int fd)
{
	return ioctl(fd, NEXUS_IOC_PLOCK_UNLOCK, 0) ? -errno : 0;
}

NEXUS_EXPORT int nexus_lock_convert(int fd, enum nexus_lock_mode mode,
				    int64_t timeout_ms)
{
	return take(fd, NEXUS_IOC_PLOCK_CONVERT, mode, timeout_ms);
}

NEXUS_EXPORT int nexus_lock_get(int fd, enum nexus_lock_mode mode,
				struct nexus_lock_info *info)
{
	struct nexus_plock_info k = { .mode = (uint32_t)mode };

	if (ioctl(fd, NEXUS_IOC_PLOCK_GET, &k))
		return -errno;
	info->held = (enum nexus_lock_mode)k.held;
	info->place = (enum nexus_lock_place)k.place;
	info->other = (enum nexus_lock_mode)k.other;
	info->pid = k.pid;
	info->ino = k.ino;
	return 0;
}
