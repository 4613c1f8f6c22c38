/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libnexus: leases, on any file or directory that is open in a mounted nexusfs. No helper
 * is needed but to read them for the first time after the mount.
 *
 * A lease has a holder and an end. It is on disk when a function returns, and no
 * process's: who has its id may prolong it and give it up. Documentation/leases.md is
 * the contract.
 *
 *	struct nexus_lease lease = { 0 };
 *
 *	if (!nexus_lease_acquire(fd, &lease, "builder 7", 30, 1, 5000)) {
 *		...	work, and tell others lease.token
 *		nexus_lease_release(fd, &lease);
 *	}
 *
 * Functions return 0 or a negative errno, and do not set errno.
 */
#ifndef NEXUS_LEASE_H
#define NEXUS_LEASE_H

#include <stdint.h>

#include <linux/nexusfs_lease.h>

#ifdef __cplusplus
extern "C" {
#endif

/** struct nexus_lease - what one holds */
struct nexus_lease {
	uint8_t id[NEXUS_LEASE_ID_LEN];	/* zeros: acquire makes one up */
	uint64_t token;			/* fencing token: grows with every holder */
	uint64_t expires;		/* nanoseconds since 1970 */
};

#define NEXUS_LEASE_TRY		((int64_t)0)
#define NEXUS_LEASE_FOREVER	INT64_MAX

/**
 * nexus_lease_acquire() - become a holder, or stay one for longer
 * @fd: a directory or regular file that one may write; may be open read-only
 * @lease: its id says who; filled in
 * @name: what others are to see, 1 to 64 bytes without control characters
 * @ttl: seconds from now on, 1 to 86,400
 * @max_holders: 1: a mutex; up to 128: a semaphore
 * @timeout_ms: how long to wait, up to 2,147,483,647; NEXUS_LEASE_TRY, NEXUS_LEASE_FOREVER
 *
 * Return: 0, -EAGAIN (others have it, and it was a try), -ETIMEDOUT, -EINTR (a signal),
 * -EBUSY (they have it with another @max_holders), -EINVAL, -EACCES, -EROFS, -ENOLCK (the
 * zone has too many), -EOPNOTSUPP (an older zone: nexusctl zone upgrade), -ENOTTY (not on
 * nexusfs), -ENOTCONN, -EIO.
 */
int nexus_lease_acquire(int fd, struct nexus_lease *lease, const char *name, uint32_t ttl,
			uint32_t max_holders, int64_t timeout_ms);

/**
 * nexus_lease_extend() - stay a holder for longer, or less long
 * @fd: of what it is on
 * @lease: its id says who; token and expires are filled in
 * @ttl: seconds from now on, 1 to 86,400
 *
 * Return: 0; -ESTALE: it is over, or was never; others as above.
 */
int nexus_lease_extend(int fd, struct nexus_lease *lease, uint32_t ttl);

/**
 * nexus_lease_release() - give it up
 * @fd: of what it is on
 * @lease: its id says who
 *
 * Return: as nexus_lease_extend().
 */
int nexus_lease_release(int fd, const struct nexus_lease *lease);

/**
 * nexus_lease_break() - end what others hold
 * @fd: of what it is on; for its owner and administrators
 * @id: whose; NULL: everybody's
 *
 * Return: 0, -EPERM, -ENOENT (nobody has it), -ESTALE (not @id); others as above.
 */
int nexus_lease_break(int fd, const uint8_t *id);

/**
 * nexus_lease_check() - whether the holder with this fencing token still has it
 * @fd: of what it is on; may be read-only
 * @token: of nexus_lease_acquire()
 *
 * Return: 0; -ESTALE: not any more.
 */
int nexus_lease_check(int fd, uint64_t token);

/**
 * nexus_lease_get() - who has it
 * @fd: of what it is on; may be read-only
 * @info: how many have it, may have it, wait; filled in
 * @who: the first @room of them; may be NULL with 0
 * @room: see there
 */
int nexus_lease_get(int fd, struct nexus_lease_info *info, struct nexus_lease_who *who,
		    uint32_t room);

#ifdef __cplusplus
}
#endif

#endif /* NEXUS_LEASE_H */
