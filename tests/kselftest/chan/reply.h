/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tree the fake helper answers from.  A name says what it is: fN an empty
 * file, xN a file of two extents, yN one whose extents must be asked for, dN a
 * directory of three entries, lN a symlink whose target must be asked for, mN
 * one with its target, aN an empty file with extended attributes, which the others have
 * not; nothing else exists.
 */
#ifndef REPLY_H
#define REPLY_H

#include <stdint.h>
#include <linux/nexusfs.h>
#include <linux/nexusfs_lease.h>

/* A holder of a lease, and the value that has some: include/nexus/leaserec.h. */
struct lease_holder {
	uint8_t id[NEXUS_LEASE_ID_LEN];
	uint64_t acquired, expires, token;
	uint8_t name[NEXUS_LEASE_NAME_LEN];
};

struct lease_val {
	uint64_t head, now;
	uint32_t max, count;
	struct lease_holder holder[];
};

/*
 * The right answer to LEASES: that of f5 is a mutex, of f6 a semaphore of 3 that two hold,
 * and the next answer has one of f7.
 */
#define LEASE_TOKEN	100	/* of f5's holder; each other one has one more */
/* Puts a lease of @ino with @count holders of @max at @p; its length. */
uint32_t put_lease(void *p, uint64_t ino, uint32_t max, uint32_t count, uint64_t token);

/* Fills @r (status, len, data) with the right answer. */
void make_reply(const struct nexus_request *req, struct nexus_reply *r);

#endif /* REPLY_H */
