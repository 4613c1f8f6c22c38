// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioctls of our own on what is open in a mounted zone.  Each has one function, which
 * gets the file and the argument and returns what ioctl(2) does; may sleep.
 */
#include "ring/ring.h"

long nexus_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case NEXUS_IOC_RING_CREATE:
		return nexus_ring_create(file, arg);
	case NEXUS_IOC_RING_STAT_AT:
	case NEXUS_IOC_RING_PEEK_AT:
	case NEXUS_IOC_RING_CLOSE_AT:
		return nexus_ring_at(file, cmd, arg);
	default:
		return nexus_ring_ioctl(file, cmd, arg);
	}
}
