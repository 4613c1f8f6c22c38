/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Leases: what a record makes of who holds an inode's.
 *
 * The one place with the rules: the module asks it whether a request would be granted
 * before it logs it, keeps what it says, and apply does what it says to the index.
 * No clock but the record's.
 */
#ifndef NEXUS_LIB_LEASE_H
#define NEXUS_LIB_LEASE_H

#include <nexus/format.h>
#include "port.h"

static inline size_t nexus_lease_size(u32 count)
{
	return sizeof(struct nexus_lease_val) +
	       (size_t)count * sizeof(struct nexus_lease_holder);
}

/* Room for what nexus_lease_step() makes of @old, which may be NULL. */
static inline size_t nexus_lease_room(const struct nexus_lease_val *old)
{
	return nexus_lease_size(old ? le32_to_cpu(old->count) + 1 : 1);
}

/* 1 to NEXUS_LEASE_NAME_MAX bytes without a NUL or control character, then zeros. */
bool nexus_lease_name_ok(const u8 name[NEXUS_LEASE_NAME_MAX]);
bool nexus_lease_id_ok(const u8 id[NEXUS_LEASE_ID_SIZE]);
/* Whether all but head is as it must be, in a value of @len bytes. */
bool nexus_lease_val_ok(const struct nexus_lease_val *v, size_t len);

/*
 * Whether @id holds it at @now, and where; or -1.  @token, if not 0: with that one.
 */
int nexus_lease_find(const struct nexus_lease_val *v, const u8 id[NEXUS_LEASE_ID_SIZE],
		     u64 now);
int nexus_lease_find_token(const struct nexus_lease_val *v, u64 token, u64 now);
/* How many hold it at @now; *@next: when the first of them ends, U64_MAX for none. */
u32 nexus_lease_live(const struct nexus_lease_val *v, u64 now, u64 *next);

/*
 * What @rec, which passed nexus_rec_check(), makes of @old (NULL: nobody holds it): into
 * @new, which has nexus_lease_room().  Its size, 0: nobody holds it any more; or what
 * requirement is not met: -EAGAIN (TAKE: held by as many as may), -EBUSY (TAKE: held
 * with another max_holders), -ESTALE (EXTEND, DROP: not held by @id), -ENOENT (CLEAR),
 * -EOVERFLOW (no token is left).
 * @new is not what it was then.  Its head is not sealed.
 */
int nexus_lease_step(const struct nexus_rec_lease *rec, const struct nexus_lease_val *old,
		     struct nexus_lease_val *new);

#endif /* NEXUS_LIB_LEASE_H */
