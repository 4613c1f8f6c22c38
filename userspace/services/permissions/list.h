/* SPDX-License-Identifier: Apache-2.0 */
/* Which objects, which subjects, and what a relation is made of. */
#ifndef PERMISSIONS_LIST_H
#define PERMISSIONS_LIST_H

#include "eval.h"

/**
 * struct rebac_list - nodes, in order of their numbers
 * @why: REBAC_WHY_ of what left some out: there may be more
 */
struct rebac_list {
	u64 *nodes;
	u32 n;
	u32 room;
	u32 why;
};

void rebac_list_free(struct rebac_list *l);

/*
 * Objects of @type that the subject of @q has @rel to, behind the number
 * @after, at most @max.  What is unknown is not in it, but in @why.
 */
int rebac_list_objects(const struct rebac_question *q, u32 type, u32 rel, u32 after, u32 max,
		       struct rebac_list *l);
/*
 * Subjects of @type, TYPE:* among them, that have @rel to @node; @q's subject
 * is not looked at.  With TYPE:* in it, those it is not true for are not told.
 */
int rebac_list_subjects(const struct rebac_question *q, u64 node, u32 rel, u32 type, u32 after,
			u32 max, struct rebac_list *l);

/*
 * What @rel of @node is made of: one rewriting, as Zanzibar's Expand.  Usersets
 * are named, not followed.  A step of @depth is part of the one above it with
 * one less.
 */
struct rebac_part {
	u8 depth;
	enum rebac_op op;	/* THIS: a tuple's subject; COMPUTED, FROM: (@node, @rel) */
	u32 rel;
	u64 node;
};

struct rebac_tree {
	u32 n;
	bool cut;
	struct rebac_part parts[REBAC_STEPS_MAX];
};

int rebac_expand(const struct rebac_question *q, u64 node, u32 rel, struct rebac_tree *t);

#endif /* PERMISSIONS_LIST_H */
