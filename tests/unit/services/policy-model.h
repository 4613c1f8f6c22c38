/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random policies and tuples, and an evaluator that knows no shortcuts.
 *
 * It computes, for one subject, all relations of all objects at once: the
 * alternating fixpoint, that is the well-founded model.  A low estimate (what
 * is surely so) and a high one (what is perhaps so) are computed in turn from
 * each other, each as a least fixpoint with the other one behind every
 * exclusion, until nothing changes.  What is in the low one is yes, what is
 * not in the high one no, and the rest has no answer.
 */
#ifndef POLICY_MODEL_H
#define POLICY_MODEL_H

#include "policy-world.h"

#define TYPES		2u
#define RELS		5u
#define IDS		4u
#define TUPLES		28u
#define NODES		(TYPES * IDS)
#define TUPLE_TEXT	48u

struct text {
	char s[8192];
	size_t n;
};

struct model {
	struct world *w;
	struct rebac_key tuples[TUPLES];
	char texts[TUPLES][TUPLE_TEXT];	/* the same */
	u32 n;
	u64 subj;	/* whose answers they are */
	u32 srel;	/* of a userset, or 0 */
	u64 nodes[NODES];
	bool low[NODES][RELS], high[NODES][RELS];
};

/* The seed of what comes next; other worlds than the usual ones with NEXUS_SEED=N. */
void model_seed(u64 seed);
/* How much is seen of which answer is known of the usual worlds only. */
bool model_usual(void);
/* A number below @n. */
u32 model_pick(u32 n);
/* @excl: how many of 8 operators are exclusions. */
void model_policy(struct text *t, u32 excl);
/* A store with tuples, for the subject user:u0; not solved yet. */
void model_make(struct model *m, struct world *w);
/* Fills @low and @high for the subject. */
void model_solve(struct model *m);
/* Symbol of a relation of a node. */
u32 model_rel(const struct model *m, u32 node, u32 r);
/* REBAC_YES, NO or UNKNOWN, of what was solved. */
u32 model_value(const struct model *m, u32 node, u32 r);

#endif /* POLICY_MODEL_H */
