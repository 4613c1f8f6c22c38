/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The closure of a subject: all groups it is in, however deep, found once and
 * from the subject on.  A check that has it does not walk groups.
 *
 * Groups are the relations with rebac_relation.closed: neither intersection nor
 * exclusion takes part in them, so being in one means that tuples lead there.
 * What only tuples with conditions lead to is not known here, and walked.
 */
#ifndef PERMISSIONS_CLOSURE_H
#define PERMISSIONS_CLOSURE_H

#include <stdatomic.h>

#include "eval_impl.h"

#define REBAC_CLOSURE_NODES	4096u	/* groups of a subject, at most */
#define REBAC_CLOSURE_READS	20000u	/* tuples to find them */
#define REBAC_CLOSURE_MS	200u	/* and time */

/**
 * struct rebac_closure - it does not change once it is made
 * @refs: whoever uses it
 * @mem: memos of (group, relation): @value is REBAC_YES, or REBAC_UNKNOWN behind
 *	a condition; @depth the steps from there to the tuple of the subject
 * @valid_from: in milliseconds: it is right from then on
 * @valid_until: and before this
 * @bytes: of memory that it has
 */
struct rebac_closure {
	atomic_uint refs;
	struct memory mem;
	s64 valid_from, valid_until;
	size_t bytes;
};

/*
 * Of the subject of @q, at its time.  0; -EFBIG: it is in too many groups, or
 * it took too long; -ENOMEM, or what the store returned.
 */
int rebac_closure_make(const struct rebac_question *q, struct rebac_closure **closure);
/* Another reference; and one given back, NULL is allowed. */
struct rebac_closure *rebac_closure_get(struct rebac_closure *c);
void rebac_closure_put(struct rebac_closure *c);
/*
 * Of a relation that is closed: 1: the subject has it, in @steps or fewer; 0: it
 * has not; negative: that is to be found out.
 */
int rebac_closure_has(const struct rebac_closure *c, u64 node, u32 rel, u32 steps);

#endif /* PERMISSIONS_CLOSURE_H */
