// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioctls on what is open in a mounted zone, but for those the VFS knows.  Each has one
 * function, which gets the file and the argument and returns what ioctl(2) does; may
 * sleep.
 */
#include <linux/uaccess.h>

#include <linux/nexusfs_content.h>

#include "data/data.h"
#include "lease.h"
#include "plock.h"
#include "ring/ring.h"
#include "stream/stream.h"

/* An int, whatever the request says its size is; the half of a file handle that is not st_ino. */
static long nexus_get_version(const struct file *file, int __user *version)
{
	return put_user((int)file_inode(file)->i_generation, version);
}

long nexus_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case FS_IOC_GETVERSION:
	case FS_IOC32_GETVERSION:
		return nexus_get_version(file, (int __user *)arg);
	case NEXUS_IOC_RING_CREATE:
		return nexus_ring_create(file, arg);
	case NEXUS_IOC_STREAM_CREATE:
		return nexus_stream_create(file, arg);
	case NEXUS_IOC_PLOCK_LOCK:
	case NEXUS_IOC_PLOCK_CONVERT:
		return nexus_plock_ioctl_take(file, cmd, (void __user *)arg);
	case NEXUS_IOC_PLOCK_UNLOCK:
		return nexus_plock_ioctl_release(file, arg);
	case NEXUS_IOC_PLOCK_GET:
		return nexus_plock_ioctl_get(file, (void __user *)arg);
	case NEXUS_IOC_LEASE_ACQUIRE:
	case NEXUS_IOC_LEASE_EXTEND:
	case NEXUS_IOC_LEASE_RELEASE:
	case NEXUS_IOC_LEASE_GET:
	case NEXUS_IOC_LEASE_BREAK:
	case NEXUS_IOC_LEASE_CHECK:
		return nexus_lease_ioctl(file, cmd, (void __user *)arg);
	case NEXUS_IOC_CONTENT:
		return nexus_content_ioctl(file, (void __user *)arg);
	case NEXUS_IOC_RING_STAT_AT:
	case NEXUS_IOC_RING_PEEK_AT:
	case NEXUS_IOC_RING_CLOSE_AT:
		return nexus_ring_at(file, cmd, arg);
	case NEXUS_IOC_STREAM_STAT:
	case NEXUS_IOC_STREAM_TRIM:
	case NEXUS_IOC_STREAM_MODE:
	case NEXUS_IOC_STREAM_APPEND:
	case NEXUS_IOC_STREAM_READ:
		return nexus_stream_ioctl(file, cmd, arg);
	default:
		return nexus_ring_ioctl(file, cmd, arg);
	}
}
