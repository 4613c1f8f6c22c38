/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions with more than one answer: which objects, which subjects, and how
 * it comes about.  All are bounded by the limits of the question, and say when
 * one of them left something out.
 */
#ifndef PERMISSIONS_LIST_H
#define PERMISSIONS_LIST_H

#include "eval.h"

/**
 * struct rebac_found - one of a list
 * @number: of the id; REBAC_EVERY: everybody of the type, but for those with @not
 * @not: this one does not have it, though everybody has
 */
struct rebac_found {
	u32 number;
	bool not;
};

/**
 * struct rebac_listing - a piece of a list
 * @found: the caller's, room for @max; in the order of their numbers
 * @n: how many there are
 * @more: there may be more behind the last one
 * @why: REBAC_WHY_, 0: all there is was looked at.  What could not be found out
 *	is not in the list.
 * @contextual: facts took part; of objects
 * @valid_from, @valid_until: as of an answer; of objects
 */
struct rebac_listing {
	struct rebac_found *found;
	u32 max;
	u32 n;
	bool more;
	u32 why;
	bool contextual;
	s64 valid_from, valid_until;
};

/*
 * Objects of @type that the subject of @q has @rel to, and whose number is
 * above @after (REBAC_EVERY: all).  -ENOENT: the policy has no such relation.
 */
int rebac_list_objects(const struct rebac_question *q, u32 type, u32 rel, u32 after,
		       struct rebac_listing *l);
/*
 * Subjects of @type, or (@srel) usersets of objects of that type, that have
 * @rel to @node.  From the beginning with @first, otherwise those with numbers
 * above @after.  The subject of @q is not looked at.
 */
int rebac_list_subjects(const struct rebac_question *q, u64 node, u32 rel, u32 type, u32 srel,
			bool first, u32 after, struct rebac_listing *l);

/* What a branch of an expansion is. */
enum rebac_branch_kind {
	REBAC_BRANCH_RELATION,	/* @node # @rel; what it consists of follows */
	REBAC_BRANCH_SEEN,	/* likewise, but it is elsewhere in the tree */
	REBAC_BRANCH_CUT,	/* likewise, but a limit was met */
	REBAC_BRANCH_SUBJECT,	/* @node, by a tuple */
	REBAC_BRANCH_UNION,
	REBAC_BRANCH_INTERSECTION,
	REBAC_BRANCH_EXCLUSION,	/* the first of two, not the second */
};

/**
 * struct rebac_branch - one branch; those of it follow, one deeper
 * @conditional: only where the condition of its tuple holds
 */
struct rebac_branch {
	enum rebac_branch_kind kind;
	u32 depth;
	u64 node;
	u32 rel;
	bool conditional;
};

/**
 * struct rebac_tree - the caller's, with room for @max
 * @why: REBAC_WHY_, 0: it is whole; REBAC_WHY_NODES: there was no room for more
 */
struct rebac_tree {
	struct rebac_branch *branches;
	u32 max;
	u32 n;
	u32 why;
};

/*
 * Who has @rel to @node, as a tree of subjects and of how they are combined.
 * Tuples that have expired are not in it.
 */
int rebac_expand(const struct rebac_question *q, u64 node, u32 rel, struct rebac_tree *t);

#endif /* PERMISSIONS_LIST_H */
