/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * References to shared blocks (R), and the question whether a block has any.
 *
 * No reference is longer than an extent may be, so those that cover a block
 * begin at most so far below it.  Of all that begin at one block only the longest
 * matters, and it comes first.  So the answer takes a number of seeks that depends on
 * these bounds and not on how many files share the block.
 */
#ifndef NEXUS_LIB_SHARED_H
#define NEXUS_LIB_SHARED_H

#include "extent_find.h"

#define NEXUS_SHARED_KEY_LEN	31u

struct nexus_ref {
	u64	data_id;
	struct nexus_kext x;	/* SHARED */
};

/* The key of the R record that belongs to a SHARED extent. */
void nexus_ref_key(struct nexus_key *k, u64 data_id, const struct nexus_kext *x);
/* What an R key says; 0 or -EUCLEAN. */
int nexus_ref_parse(const struct nexus_key *k, struct nexus_ref *ref);

/*
 * How many blocks of @x, an extent of @data_id, nobody refers to once file blocks
 * [gone, end of x) of that data id are unmapped.  Unmapping extents one after the
 * other in ascending order, with one @gone, thus counts each block once, at its
 * last reference, although the store still has all of them.
 * 0 or -errno of the store, -EUCLEAN.  Changes @k.
 */
int nexus_ref_last(struct nexus_kv *kv, struct nexus_key *k, u64 data_id,
		   u64 gone, const struct nexus_kext *x, u32 *count);

/*
 * Which of the blocks of @x, a place of at most NEXUS_EXTENT_BLOCKS_MAX blocks,
 * somebody refers to: their bits in @seen, from that of x->block on.  Returns as
 * above; changes @k.
 */
#define NEXUS_REF_WORDS	(NEXUS_EXTENT_BLOCKS_MAX / 64)

int nexus_ref_cover(struct nexus_kv *kv, struct nexus_key *k,
		    const struct nexus_kext *x, u64 seen[NEXUS_REF_WORDS]);

#endif /* NEXUS_LIB_SHARED_H */
