/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * nexusfs on-disk formats: leases.  A part of format.h, which includes this where the
 * heads of values and records are known.
 */
#ifndef NEXUS_LEASEREC_H
#define NEXUS_LEASEREC_H

#define NEXUS_INCOMPAT_LEASES	(1ull << 13) /* H, LEASE records */

#define NEXUS_KEY_LEASE		'H'	/* H ino8 */

#define NEXUS_LEASE_ID_SIZE	16
#define NEXUS_LEASE_NAME_MAX	64u	/* bytes of a holder's name */
#define NEXUS_LEASE_HOLDERS_MAX	128u	/* of one inode; a value fits a reply */
#define NEXUS_LEASE_TTL_MAX	86400u	/* seconds */
/* Times are nanoseconds since 1970; the latest there is. */
#define NEXUS_LEASE_TIME_MAX	0x7fffffffffffffffull
#define NEXUS_LEASE_TOKEN_MAX	0x7fffffffffffffffull

/* One who holds a lease; its time may be over. */
struct nexus_lease_holder {
	__u8	id[NEXUS_LEASE_ID_SIZE]; /* not all 0 */
	__le64	acquired;
	__le64	expires;	/* not before acquired; from then on it holds nothing */
	__le64	token;		/* LSN of the record by which it got the lease; never one twice */
	__u8	name[NEXUS_LEASE_NAME_MAX]; /* 1 byte at least, then zeros */
};

/* H: who holds a lease on an inode.  Holders are in the order of their tokens. */
struct nexus_lease_val {
	struct nexus_val_head head;
	__le64	now;		/* of the last record about it */
	__le32	max_holders;	/* 1..NEXUS_LEASE_HOLDERS_MAX; 1: a mutex */
	__le32	count;		/* 1..max_holders */
	struct nexus_lease_holder holder[];
};

/* nexus_rec_lease.op */
#define NEXUS_LEASE_TAKE	1u	/* a new holder, or more time for one there is */
#define NEXUS_LEASE_EXTEND	2u	/* more time for one there is */
#define NEXUS_LEASE_DROP	3u	/* that holder goes */
#define NEXUS_LEASE_CLEAR	4u	/* all go */
#define NEXUS_LEASE_PRUNE	5u	/* nothing but what all do: those whose time is over go */

/*
 * LEASE: first those holders go whose time is over at the record's time, which is never
 * taken to be before the one of the last record about this inode; then what @op says.
 * The last holder takes H with it.  No inode changes.  Feature LEASES.
 * Requires: a regular file or directory; TAKE: @id holds it, or others have it with
 * the same @max_holders and are fewer than that; EXTEND, DROP: @id holds it; CLEAR:
 * there is H.
 */
struct nexus_rec_lease {
	struct nexus_rec_head head;
	__le64	ino;
	__le64	expires;	/* TAKE, EXTEND; else 0 */
	__le32	op;		/* NEXUS_LEASE_* */
	__le32	max_holders;	/* TAKE; else 0 */
	__u8	id[NEXUS_LEASE_ID_SIZE]; /* TAKE, EXTEND, DROP; else 0 */
	__u8	name[NEXUS_LEASE_NAME_MAX]; /* TAKE; else 0 */
};

NEXUS_STATIC_ASSERT(sizeof(struct nexus_lease_holder) == 104);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_lease_val) == 24);
NEXUS_STATIC_ASSERT(sizeof(struct nexus_rec_lease) == 136);

#endif /* NEXUS_LEASEREC_H */
