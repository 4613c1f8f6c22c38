/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * nexusfs: leases of files and directories, by ioctl on what is open.
 *
 * A lease has an end, a holder with a name, and is on disk when a call returns: it
 * outlives the process, the mount and the machine's power, and ends by itself.  It is
 * cooperative, like path locks, and knows nothing of them.  Documentation/leases.md is
 * the contract.
 */
#ifndef _UAPI_LINUX_NEXUSFS_LEASE_H
#define _UAPI_LINUX_NEXUSFS_LEASE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define NEXUS_LEASE_ID_LEN	16
#define NEXUS_LEASE_NAME_LEN	64
#define NEXUS_LEASE_SECONDS_MAX	86400
#define NEXUS_LEASE_COUNT_MAX	128	/* holders of a semaphore */

/**
 * struct nexus_lease_arg - NEXUS_IOC_LEASE_ACQUIRE, _EXTEND, _RELEASE, _BREAK
 * @id: who; ACQUIRE: all 0: one is made up (out).  BREAK: all 0: everybody
 * @name: ACQUIRE: what others are to see, 1 to 64 bytes without control characters,
 *	then zeros; else zeros
 * @ttl: ACQUIRE, EXTEND: seconds from now on, 1 to NEXUS_LEASE_SECONDS_MAX; else 0
 * @max_holders: ACQUIRE: 1: a mutex; up to NEXUS_LEASE_COUNT_MAX: a semaphore; else 0
 * @timeout_ms: ACQUIRE: how long to wait, 0: not at all; at most 2,147,483,647; else 0
 * @flags: ACQUIRE: NEXUS_LEASE_F_FOREVER; else 0
 * @reserved: 0
 * @token: ACQUIRE, EXTEND (out): the fencing token
 * @expires: ACQUIRE, EXTEND (out): when it ends, nanoseconds since 1970
 * @reserved2: 0
 *
 * All: ENOTTY (not on nexusfs; neither a file nor a directory; in /__sys__/), EBADF (open
 * neither for reading nor for writing), EINVAL, EFAULT, ENOMEM, EOPNOTSUPP (the zone does
 * not have the feature), EACCES and EROFS (may not write), EINTR, ENOTCONN and EIO (it
 * could not be read, or not made durable).
 * ACQUIRE: EAGAIN (held, and timeout_ms is 0), ETIMEDOUT, EBUSY (held with another
 * max_holders), ENOLCK (the zone has too many).
 * EXTEND, RELEASE: ESTALE (not held by @id, or not any more).
 * BREAK: EPERM (neither owner nor administrator); ENOENT (nobody has it); ESTALE (as above).
 */
struct nexus_lease_arg {
	__u8	id[NEXUS_LEASE_ID_LEN];
	__u8	name[NEXUS_LEASE_NAME_LEN];
	__u32	ttl;
	__u32	max_holders;
	__s64	timeout_ms;
	__u32	flags;
	__u32	reserved;
	__u64	token;
	__u64	expires;
	__u64	reserved2[2];
};

#define NEXUS_LEASE_F_FOREVER	(1u << 0)	/* wait without end; timeout_ms is 0 */

/**
 * struct nexus_lease_who - one who holds it
 * @id: zeros for whoever may not write the file
 * @acquired: nanoseconds since 1970
 * @expires: likewise
 * @token: the fencing token
 * @name: with zeros behind it, if it is shorter
 */
struct nexus_lease_who {
	__u8	id[NEXUS_LEASE_ID_LEN];
	__u64	acquired;
	__u64	expires;
	__u64	token;
	__u8	name[NEXUS_LEASE_NAME_LEN];
};

/**
 * struct nexus_lease_info - NEXUS_IOC_LEASE_GET
 * @holders: address of struct nexus_lease_who[@room]
 * @room: at most so many are written there; 0: none
 * @count: so many hold it (out)
 * @max_holders: so many may; 0: nobody does (out)
 * @waiting: so many wait (out)
 * @now: the zone's time, nanoseconds since 1970 (out)
 * @reserved: 0
 */
struct nexus_lease_info {
	__u64	holders;
	__u32	room;
	__u32	count;
	__u32	max_holders;
	__u32	waiting;
	__u64	now;
	__u64	reserved[2];
};

#define NEXUS_IOC_LEASE_ACQUIRE	_IOWR(0xE6, 0x48, struct nexus_lease_arg)
#define NEXUS_IOC_LEASE_EXTEND	_IOWR(0xE6, 0x49, struct nexus_lease_arg)
#define NEXUS_IOC_LEASE_RELEASE	_IOW(0xE6, 0x4a, struct nexus_lease_arg)
#define NEXUS_IOC_LEASE_GET	_IOWR(0xE6, 0x4b, struct nexus_lease_info)
/* Ends what others hold: the file's owner, CAP_FOWNER or CAP_SYS_ADMIN. */
#define NEXUS_IOC_LEASE_BREAK	_IOW(0xE6, 0x4c, struct nexus_lease_arg)
/* Whether somebody holds the lease with this token: ESTALE if not, or not any more. */
#define NEXUS_IOC_LEASE_CHECK	_IOW(0xE6, 0x4d, __u64)

/**
 * struct nexus_lease_ent - of NEXUS_OP_LEASES, between module and helper
 * @ino: the inode
 * @reclen: bytes, a multiple of 8
 * @reserved: 0
 * @val: who holds it: the value of the index, as include/nexus/leaserec.h has it
 *
 * In ascending order of inodes; a reply without one is the end.
 */
struct nexus_lease_ent {
	__u64	ino;
	__u32	reclen;
	__u32	reserved;
	__u8	val[];
};

#endif /* _UAPI_LINUX_NEXUSFS_LEASE_H */
