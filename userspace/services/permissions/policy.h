/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy: types, their relations, and which relations follow from others.
 *
 *	types:
 *	  user:
 *	  doc:
 *	    relations:
 *	      owner: { this: [user] }          # tuples, with these subjects
 *	      parent: { this: [folder] }
 *	      banned: this                     # tuples, with any subject
 *	      viewer:                          # a list is a union
 *	        - this: [user, "user:*", group#member]
 *	        - owner                        # of the same object
 *	        - { from: parent, relation: viewer }
 *	    permissions:                       # the same without tuples
 *	      read: { exclusion: [viewer, banned] }
 *	      sign: { intersection: [owner, viewer] }
 */
#ifndef PERMISSIONS_POLICY_H
#define PERMISSIONS_POLICY_H

#include "rebac.h"

#define REBAC_SET_WORDS	(REBAC_RELATIONS_MAX / 64)	/* of a set of relations, by index */

enum rebac_op {
	REBAC_THIS,
	REBAC_COMPUTED,
	REBAC_FROM,		/* tuple to userset */
	REBAC_UNION,
	REBAC_INTERSECTION,
	REBAC_EXCLUSION,	/* the first, not the second */
};

/* A reference by name; the symbol is known once the policy is bound. */
struct rebac_ref {
	char name[REBAC_NAME_MAX + 1];
	u32 sym;
};

/* Subjects that a relation takes: TYPE, TYPE:* (@every) or TYPE#REL; "*" is REBAC_ANYBODY. */
struct rebac_allowed {
	struct rebac_ref type;		/* empty: anybody */
	struct rebac_ref rel;		/* empty: not a userset */
	bool every;
	size_t line;
};

struct rebac_expr {
	enum rebac_op op;
	struct rebac_ref rel;		/* COMPUTED, FROM */
	struct rebac_ref tupleset;	/* FROM */
	struct rebac_allowed *allowed;	/* THIS; none: everything */
	u32 nallowed;
	struct rebac_expr *kids;
	u32 nkids;
	size_t line;
};

/**
 * struct rebac_relation - a relation or permission of a type
 * @index: its place in struct rebac_policy's @all
 * @direct: tuples can have it
 * @pure: neither intersection nor exclusion takes part, so what can be reached
 *	in reverse is true but for conditions and times
 * @closed: it is in the closure of groups (struct rebac_policy's @closed), and
 *	@pure, so that the closure of a subject can answer for it
 * @deps: set of the relations whose tuples can change its answer, by index
 */
struct rebac_relation {
	struct rebac_ref name;
	struct rebac_expr expr;
	size_t line;
	u32 index;
	bool direct;
	bool pure;
	bool closed;
	u64 deps[REBAC_SET_WORDS];
};

struct rebac_type {
	struct rebac_ref name;
	struct rebac_relation *rels;
	u32 nrels;
	size_t line;
};

/**
 * struct rebac_policy - all of it
 * @closed: set of the relations that are groups: those that tuples can have as
 *	a userset, when they are pure, and all they depend on
 */
struct rebac_policy {
	struct rebac_type *types;
	u32 ntypes;
	u32 nrels;
	u64 closed[REBAC_SET_WORDS];
	struct rebac_relation *all[REBAC_RELATIONS_MAX];
	struct rebac_type *owner[REBAC_RELATIONS_MAX];	/* of all[i] */
};

/*
 * Parses and validates; @file is for messages "FILE:LINE: what".  -EINVAL,
 * -EFBIG, -ENOMEM.
 */
int rebac_policy_parse(const char *text, size_t len, const char *file,
		       struct rebac_policy **policy, struct rebac_err *err);
/* Gives every name its symbol; @create by a writer. */
int rebac_policy_bind(struct rebac_policy *policy, struct rebac_txn *txn, bool create);
void rebac_policy_free(struct rebac_policy *policy);

/* By name; NULL. */
struct rebac_type *rebac_policy_type(const struct rebac_policy *p, const char *name);
struct rebac_relation *rebac_type_relation(const struct rebac_type *t, const char *name);
/* By symbol, of a bound policy; NULL. */
const struct rebac_relation *rebac_policy_relation(const struct rebac_policy *p, u32 type, u32 rel);

/*
 * May a tuple of this expression have that subject?  Tuples that an earlier
 * policy let in and this one does not are as if they were not there.
 */
bool rebac_expr_takes(const struct rebac_expr *e, u64 subj, u32 srel);
/* 0 when such a tuple may be written; -EINVAL with a line. */
int rebac_policy_admits(const struct rebac_policy *p, const struct rebac_key *key,
			struct rebac_err *err);
static inline bool rebac_set_has(const u64 *set, u32 index)
{
	return set[index / 64] >> index % 64 & 1;
}

/* Have two sets one in common? */
static inline bool rebac_sets_meet(const u64 *a, const u64 *b)
{
	u32 i;

	for (i = 0; i < REBAC_SET_WORDS; i++)
		if (a[i] & b[i])
			return true;
	return false;
}

/* Is @from among what can change the answer of @to? */
static inline bool rebac_depends(const struct rebac_relation *to, const struct rebac_relation *from)
{
	return rebac_set_has(to->deps, from->index);
}

/*
 * Can a yes of (@op, @rel), of REBAC_FROM by that @tupleset, be one of the
 * expression?
 */
bool rebac_expr_mentions(const struct rebac_expr *e, enum rebac_op op, u32 tupleset, u32 rel);

/* policy_check.c: references, then @deps, @pure and @closed of every relation. */
int rebac_policy_validate(struct rebac_policy *p, const char *file, struct rebac_err *err);

#endif /* PERMISSIONS_POLICY_H */
