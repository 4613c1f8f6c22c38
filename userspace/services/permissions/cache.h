/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept from one question to the next: answers, as bitmaps of objects, and
 * closures of subjects.
 *
 * It is never stale, by two rules.  What is kept is good for the revisions between
 * which nothing changed that it depends on, and for no other; and which revision a
 * question is about is not remembered, but read from the store in the transaction
 * that would answer it.  Of a revision that it has not been told of (of another
 * helper, or of a write whose commit failed) the store says what changed, or all is
 * given up.  So a check that begins after a revocation was answered meets a newer
 * revision than what is kept.
 *
 * All functions may be called by several threads at once, those for writers by one at
 * a time.  A NULL cache keeps nothing.
 */
#ifndef PERMISSIONS_CACHE_H
#define PERMISSIONS_CACHE_H

#include "closure.h"
#include "list.h"

struct cache;

/**
 * struct cache_stats - since it was made, but for the first three
 * @limit: bytes there may be
 * @bytes, @entries: there are now
 * @hits: answers, and lists, that were there
 * @misses: that were not
 * @invalidated: entries that were given up because of a change, or a time
 * @evicted: because of the limit
 * @emptied: times that all were given up: a policy, a store that was away or put back
 * @closures: that were made
 * @closures_refused: that would have been too large
 * @closure_hits: questions that had one
 */
struct cache_stats {
	u64 limit, bytes, entries;
	u64 hits, misses;
	u64 invalidated, evicted, emptied;
	u64 closures, closures_refused, closure_hits;
};

/* @limit: bytes; @closures: of subjects are kept, too.  NULL without memory. */
struct cache *cache_new(size_t limit, bool closures);
void cache_free(struct cache *c);
void cache_stats(struct cache *c, struct cache_stats *stats);

/* ---- which revisions there are ----------------------------------------- */

/* The highest it knows of; to be asked before a transaction begins. */
u64 cache_known(struct cache *c);
/*
 * A transaction has begun and sees @state; @known is from before.  true: it is to be told
 * what others did, before it is asked anything.
 */
bool cache_met(struct cache *c, u64 known, const struct rebac_state *state);

/** struct cache_news - of the transaction: all stamps there are, and the store's secret */
struct cache_news {
	const struct rebac_stamp *stamps;
	u32 n;
	const u8 *secret;
};

/* @policy: of that state; NULL: there is none */
void cache_learn(struct cache *c, u64 known, const struct rebac_state *state,
		 const struct rebac_policy *policy, const struct cache_news *news);
/* The store does not answer: who knows what it will be when it does. */
void cache_lost(struct cache *c);
/*
 * A writer is about to commit @state; @touched: relations of tuples that it changed,
 * of @policy; @policy NULL: everything is another.  cache_did() must follow,
 * before anybody gets the writer's answer; @done: it is committed.
 */
void cache_will(struct cache *c, const struct rebac_state *state,
		const struct rebac_policy *policy, const u64 *touched);
void cache_did(struct cache *c, bool done);

/* ---- answers ----------------------------------------------------------- */

/**
 * struct cache_question - whose answers are meant
 * @state: that the transaction sees
 * @subj: with @srel, the subject
 * @rel: the relation, of objects of @type
 * @index: of the relation
 * @now: in milliseconds
 */
struct cache_question {
	struct rebac_state state;
	u64 subj;
	u32 srel;
	u32 type;
	u32 rel;
	u32 index;
	s64 now;
};

/**
 * struct cache_place - of what is kept outside, for other helpers of the store
 * @mark: what it is true of (struct rebac_stamp)
 * @secret: of the store
 */
struct cache_place {
	u64 store;
	u64 mark;
	u64 subj;
	u32 srel;
	u32 type;
	u32 rel;
	u8 secret[REBAC_SECRET];
};

/* false: nothing of the question may come from there, nor go there. */
bool cache_place(struct cache *c, const struct cache_question *q, struct cache_place *place);
/* Has the subject that relation to this object?  false: it is not known. */
bool cache_answer(struct cache *c, const struct cache_question *q, u32 number,
		  struct rebac_answer *a);
/* It was found out.  What is not sure, or depends on facts, is not kept. */
void cache_keep(struct cache *c, const struct cache_question *q, u32 number,
		const struct rebac_answer *a);

/*
 * The list of objects behind @after, up to @l->max; false: it is not known.
 * *@whole: it is worth to find all of them out, for cache_keep_list().
 */
bool cache_list(struct cache *c, const struct cache_question *q, u32 after,
		struct rebac_listing *l, bool *whole);
/* All objects there are, from the first to the last. */
void cache_keep_list(struct cache *c, const struct cache_question *q,
		     const struct rebac_listing *l);

/* ---- closures ---------------------------------------------------------- */

/*
 * That of the subject, a reference, or NULL.  *@make: it is worth to make one
 * for cache_keep_closure(), which must follow; nobody else is told so meanwhile.
 * @q->index, @q->type and @q->rel are not looked at.
 */
struct rebac_closure *cache_closure(struct cache *c, const struct cache_question *q, bool *make);
/* NULL: it failed, to be tried again; or (@none) there can be none, for 10 s. */
void cache_keep_closure(struct cache *c, const struct cache_question *q,
			struct rebac_closure *closure, bool none);

#endif /* PERMISSIONS_CACHE_H */
