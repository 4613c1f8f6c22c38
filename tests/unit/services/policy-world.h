/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store with a policy, and tuples and questions as text:
 * "doc:readme#viewer@group:eng#member".  '#' and '@' in ids have no text.
 */
#ifndef POLICY_WORLD_H
#define POLICY_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "eval.h"

struct world {
	struct rebac_store *store;
	struct rebac_policy *policy;
	struct rebac_limits limits;
	const struct rebac_fact *facts;
	u32 nfacts;
	s64 now;
	u64 (*clock)(void *arg);	/* NULL: the system's */
	void *clock_arg;
	struct rebac_trace *trace;
};

/* A new store, and what is to be done when it was closed; NULL: in memory. */
extern struct rebac_store *(*world_store_new)(void);
extern void (*world_store_gone)(void);

void policy_begin(struct world *w, const char *policy);
void policy_end(struct world *w);
/* Writes; the tuple is one the policy takes. */
void world_put(struct world *w, const char *tuple);
void world_put_until(struct world *w, const char *tuple, s64 expires, const char *cond);
void world_del(struct world *w, const char *tuple);
/* What the evaluator says of a tuple's text. */
struct rebac_answer world_ask(struct world *w, const char *question);
void world_expect(struct world *w, const char *question, enum rebac_value value);
/* The same with its parts as numbers; ids that are not there are REBAC_NOBODY. */
struct rebac_key world_key(struct world *w, struct rebac_txn *txn, const char *text, bool create);

#endif /* POLICY_WORLD_H */
