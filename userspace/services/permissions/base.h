/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of nexus.permissions, over any store of tuples: text becomes
 * numbers and back, and each operation is one transaction.
 *
 * A read begins its transaction when it is called, so it sees all that was
 * written before.  What is kept from one to the next is looked up by the
 * revision that the transaction sees (cache.h): that is why a check that
 * begins after the answer to a revocation cannot say yes.
 */
#ifndef PERMISSIONS_BASE_H
#define PERMISSIONS_BASE_H

#include <pthread.h>

#include <nexus/services/permissions.h>

#include "share.h"

struct base_policy;

/**
 * struct base - all of the service
 * @store: the tuples; the caller's
 * @more: memory that lives as long as the arguments, NULL without
 * @now_ms: Unix time; NULL: the system's
 * @clock: monotonic ns; likewise
 * @writing: held by the one that writes: stores with optimistic transactions would
 *	make writers of one process try again and again
 * @cache: what is kept, freed by base_end(); NULL: nothing
 * @share: likewise, for other helpers, too; nothing without @cache
 * @lock: of @policy
 * @policy: that was used last, parsed
 */
struct base {
	struct rebac_store *store;
	void *(*more)(void *args, size_t size);
	s64 (*now_ms)(void);
	u64 (*clock)(void *arg);
	struct cache *cache;
	struct share *share;
	pthread_mutex_t writing;
	pthread_mutex_t lock;
	struct base_policy *policy;
};

void base_init(struct base *b, struct rebac_store *store, void *(*more)(void *args, size_t size));
void base_end(struct base *b);

/* The operations, see <nexus/services/permissions.h>. */
int base_check(struct base *b, struct nexus_permission_check_args *a);
int base_write(struct base *b, struct nexus_permission_write_args *a);
int base_delete(struct base *b, struct nexus_permission_delete_args *a);
int base_explain(struct base *b, struct nexus_permission_explain_args *a);
int base_expand(struct base *b, struct nexus_permission_expand_args *a);
int base_list_objects(struct base *b, struct nexus_permission_list_args *a);
int base_list_subjects(struct base *b, struct nexus_permission_list_args *a);
int base_policy_set(struct base *b, struct nexus_permission_policy_args *a);
int base_policy_get(struct base *b, struct nexus_permission_policy_args *a);
int base_clean(struct base *b, struct nexus_permission_clean_args *a);
int base_state(struct base *b, struct nexus_permission_state *a);
int base_sharing(struct base *b, struct nexus_permission_sharing *a);
int base_objects_until(struct base *b, struct nexus_permission_objects_args *a);
int base_revision(struct base *b, struct nexus_permission_revision_args *a);

/* ---- for the files of it ---------------------------------------------- */

#define BASE_BATCH_MS	2000	/* for all questions of a check */
#define BASE_TRIES	16	/* of a transaction that is in the way of another */

/**
 * struct base_view - a transaction with its policy
 * @policy: NULL: there is none
 * @begun: the state it had at the beginning
 * @touched: set of relations of which a writer changed tuples
 * @all: a writer changed the policy
 */
struct base_view {
	struct base *base;
	struct rebac_txn *txn;
	struct rebac_state state, begun;
	struct base_policy *held;
	const struct rebac_policy *policy;
	u64 touched[REBAC_SET_WORDS];
	bool all;
};

/* What is done in one; -EAGAIN: again, from the beginning. */
typedef int (*base_work)(struct base_view *v, void *arg);

s64 base_now(const struct base *b);
/* By a writer, behind all of its changes: which relations they are of. */
int base_stamp(struct base_view *v);
/* Once or several times until it is not in the way of another. */
int base_run(struct base *b, bool write, base_work work, void *arg);
/* The same for a read, which is refused when the store has not come so far. */
int base_read(struct base *b, struct nexus_permission_read *read, base_work work, void *arg);
void base_token(const struct rebac_state *state, char *token);
/* A name that is there twice, or NULL.  All have names. */
const char *base_twice(const struct nexus_permission_fact *facts, u32 n);
/* A question with its facts and the time.  @facts has room for them.  -EINVAL, -EMSGSIZE */
int base_question(struct base_view *v, const struct nexus_permission_read *read,
		  struct rebac_fact *facts, struct rebac_question *q);

/*
 * As rebac_evaluate() and rebac_list_objects() of the question's subject, with what is kept.
 */
int base_evaluate(struct base_view *v, struct rebac_question *q, u64 node, u32 rel,
		  struct rebac_answer *a);
int base_objects(struct base_view *v, struct rebac_question *q, u32 type, u32 rel, u32 after,
		 struct rebac_listing *l);

static inline bool base_given(const char *text)
{
	return text && text[0];
}

/* Symbols of a type, and of one of its relations; -ENOENT */
int base_type(const struct base_view *v, const char *type, u32 *sym);
int base_relation(const struct base_view *v, const char *type, const char *relation, u32 *sym);
/*
 * A question's key.  Ids that are not there get numbers that no tuple has: two
 * that differ differ.  -EINVAL, -ENOENT.
 */
int base_key(struct base_view *v, const struct nexus_permission_tuple *t, struct rebac_key *key);
/* A tuple's key, to be written or (not @create) found: -ENOENT.  -EINVAL with words. */
int base_tuple(struct base_view *v, const struct nexus_permission_tuple *t, bool create,
	       struct rebac_key *key, struct rebac_err *err);
/* Names, in memory of the arguments; NULL without any, or on an error in *@ret. */
const char *base_symbol_text(struct base_view *v, void *args, u32 sym, int *ret);
const char *base_id_text(struct base_view *v, void *args, u64 node, int *ret);

#endif /* PERMISSIONS_BASE_H */
