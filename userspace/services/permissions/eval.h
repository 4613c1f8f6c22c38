/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The evaluator.
 *
 * The answer of (object, relation) for one subject is the least fixpoint of
 * the policy over the tuples, in three values.  A proof that leads back to
 * what it has to prove proves nothing, so a cycle of tuples is "no" where it
 * adds nothing.  A cycle through the second part of an exclusion has no such
 * answer: "yes if no".  It is unknown, with REBAC_WHY_CYCLE.  Limits leave
 * unknown what they cut off.  Unknown is denied.  A yes has a whole proof
 * that met neither.
 */
#ifndef PERMISSIONS_EVAL_H
#define PERMISSIONS_EVAL_H

#include "policy.h"

/* Why an answer is unknown; several at once. */
#define REBAC_WHY_DEPTH		0x01u
#define REBAC_WHY_FANOUT	0x02u
#define REBAC_WHY_NODES		0x04u
#define REBAC_WHY_DEADLINE	0x08u
#define REBAC_WHY_CYCLE		0x10u	/* through an exclusion */
#define REBAC_WHY_CONDITION	0x20u	/* a fact was missing or of another type */
#define REBAC_WHY_READS		0x40u

/**
 * struct rebac_limits - 0: the default, which is also the most
 * @depth: steps from the question to a tuple (50)
 * @fanout: usersets, or objects behind a tuple to userset, that one relation
 *	of one object may lead to (1,000)
 * @nodes: relations of objects that are looked at (10,000)
 * @reads: tuples read from the store (100,000)
 * @time_ms: (1,000)
 */
struct rebac_limits {
	u32 depth;
	u32 fanout;
	u32 nodes;
	u32 reads;
	u32 time_ms;
};

struct rebac_closure;

/* What a step of an explanation is about. */
enum rebac_step_kind {
	REBAC_STEP_RELATION,	/* @node # @rel */
	REBAC_STEP_KNOWN,	/* likewise, from an earlier step or a closure */
	REBAC_STEP_CYCLE,	/* likewise, being asked already */
	REBAC_STEP_TUPLE,	/* @node # @rel @ @subj # @srel */
};

struct rebac_step {
	enum rebac_step_kind kind;
	u8 depth;
	u8 value;
	u32 rel;
	u32 srel;
	u64 node;
	u64 subj;
};

#define REBAC_STEPS_MAX	1000

struct rebac_trace {
	u32 n;
	bool cut;		/* there were more */
	struct rebac_step steps[REBAC_STEPS_MAX];
};

/**
 * struct rebac_question - what is asked of the evaluator
 * @now: for times in tuples, in milliseconds
 * @closure: of the subject, see closure.h; NULL: groups are walked
 * @clock: monotonic ns; NULL: the system's
 * @trace: NULL
 */
struct rebac_question {
	const struct rebac_policy *policy;
	struct rebac_txn *txn;
	u64 subj;
	u32 srel;
	s64 now;
	const struct rebac_fact *facts;
	u32 nfacts;
	struct rebac_limits limits;
	const struct rebac_closure *closure;
	u64 (*clock)(void *arg);
	void *clock_arg;
	struct rebac_trace *trace;
};

/**
 * struct rebac_answer - what came of it
 * @why: REBAC_WHY_, when @value is REBAC_UNKNOWN
 * @valid_from: in milliseconds; with @valid_until: as long as the time is that or
 *	later, and before the other, no time in a tuple changes it
 * @valid_until: likewise
 * @contextual: facts took part, so it is no answer for other facts
 * @nodes, @reads: what it took
 */
struct rebac_answer {
	enum rebac_value value;
	u32 why;
	s64 valid_from;
	s64 valid_until;
	bool contextual;
	u32 nodes;
	u32 reads;
};

/* Fills in defaults, and takes down what is above them. */
void rebac_limits_settle(struct rebac_limits *l);

/*
 * Does the subject have @rel to @node?  0, also for no and unknown; -ENOENT:
 * the policy has no such relation; -ENOMEM, or what the store returned.
 */
int rebac_evaluate(const struct rebac_question *q, u64 node, u32 rel, struct rebac_answer *a);

/*
 * The same for several, one after the other, that share what they found out.
 * @e from rebac_eval_new(), with limits for each by itself.
 */
struct rebac_eval;
struct rebac_eval *rebac_eval_new(const struct rebac_question *q);
int rebac_eval_ask(struct rebac_eval *e, u64 node, u32 rel, struct rebac_answer *a);
void rebac_eval_free(struct rebac_eval *e);

#endif /* PERMISSIONS_EVAL_H */
