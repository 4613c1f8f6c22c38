// SPDX-License-Identifier: Apache-2.0
/* Questions that may have been answered before. */
#include "base.h"

/* Everything the subject has: more than one listing may be. */
#define WHOLE_MAX	10000u

int base_state(struct base *b, struct nexus_permission_state *a)
{
	struct cache_stats s;

	cache_stats(b->cache, &s);
	*a = (struct nexus_permission_state){
		.limit = s.limit, .bytes = s.bytes, .entries = s.entries, .hits = s.hits,
		.misses = s.misses, .invalidated = s.invalidated, .evicted = s.evicted,
		.emptied = s.emptied, .closures = s.closures,
		.closures_refused = s.closures_refused, .closure_hits = s.closure_hits,
	};
	return 0;
}

int base_sharing(struct base *b, struct nexus_permission_sharing *a)
{
	share_state(b->share, a);
	return 0;
}

/* Ids that no tuple has yet get a number when one has: nothing of them is kept. */
static bool may_keep(const struct base_view *v, const struct rebac_question *q)
{
	return v->base->cache && !q->trace && rebac_number(q->subj) <= REBAC_NUMBER_MAX;
}

static void fill(const struct base_view *v, const struct rebac_question *q, u32 type, u32 rel,
		 struct cache_question *cq)
{
	const struct rebac_relation *r = rebac_policy_relation(q->policy, type, rel);

	*cq = (struct cache_question){
		.state = v->state, .subj = q->subj, .srel = q->srel, .type = type, .rel = rel,
		.index = r ? r->index : 0, .now = q->now,
	};
}

/* The closure of the subject, a reference in @q, when there is one, or it is time to make it. */
static int take_closure(struct base_view *v, struct rebac_question *q,
			const struct cache_question *cq)
{
	struct rebac_closure *closure;
	bool make;
	int ret;

	closure = cache_closure(v->base->cache, cq, &make);
	if (make) {
		ret = rebac_closure_make(q, &closure);
		if (ret)
			closure = NULL;
		cache_keep_closure(v->base->cache, cq, closure, ret == -EFBIG);
		if (ret && ret != -EFBIG)
			return ret;
	}
	q->closure = closure;
	return 0;
}

static void give_closure(struct rebac_question *q)
{
	rebac_closure_put((struct rebac_closure *)q->closure);
	q->closure = NULL;
}

/* Where it is kept for other helpers, when it may be. */
static bool find_place(struct base_view *v, const struct cache_question *cq,
		       struct cache_place *place)
{
	return v->base->share && cache_place(v->base->cache, cq, place);
}

int base_evaluate(struct base_view *v, struct rebac_question *q, u64 node, u32 rel,
		  struct rebac_answer *a)
{
	struct cache_place place;
	struct cache_question cq;
	bool shared;
	int ret;

	if (!may_keep(v, q) || rebac_number(node) > REBAC_NUMBER_MAX)
		return rebac_evaluate(q, node, rel, a);
	fill(v, q, rebac_type_of(node), rel, &cq);
	if (cache_answer(v->base->cache, &cq, rebac_number(node), a))
		return 0;
	shared = find_place(v, &cq, &place);
	if (shared && share_find(v->base->share, &place, rebac_number(node), q->now, a)) {
		cache_keep(v->base->cache, &cq, rebac_number(node), a);
		return 0;
	}
	ret = take_closure(v, q, &cq);
	if (!ret)
		ret = rebac_evaluate(q, node, rel, a);
	if (!ret)
		cache_keep(v->base->cache, &cq, rebac_number(node), a);
	if (!ret && shared)
		share_put(v->base->share, &place, rebac_number(node), q->now, a);
	give_closure(q);
	return ret;
}

/* All of them, to be kept; @place NULL: here only. */
static void keep_list(struct base_view *v, const struct rebac_question *q,
		      const struct cache_question *cq, const struct cache_place *place,
		      const struct rebac_listing *l)
{
	cache_keep_list(v->base->cache, cq, l);
	if (place)
		share_put_list(v->base->share, place, q->now, l);
}

/* What another helper has found out, into what is kept here. */
static bool take_list(struct base_view *v, const struct rebac_question *q,
		      const struct cache_question *cq, const struct cache_place *place)
{
	struct rebac_listing l;

	if (!share_find_list(v->base->share, place, q->now, &l))
		return false;
	cache_keep_list(v->base->cache, cq, &l);
	free(l.found);
	return true;
}

/* What comes of it is only looked at when it is all. */
static int list_whole(struct base_view *v, struct rebac_question *q,
		      const struct cache_question *cq, const struct cache_place *place)
{
	struct rebac_listing l = { .max = WHOLE_MAX };
	int ret;

	l.found = calloc(l.max, sizeof(*l.found));
	if (!l.found)
		return -ENOMEM;
	ret = rebac_list_objects(q, cq->type, cq->rel, REBAC_EVERY, &l);
	if (!ret)
		keep_list(v, q, cq, place, &l);
	free(l.found);
	return ret;
}

int base_objects(struct base_view *v, struct rebac_question *q, u32 type, u32 rel, u32 after,
		 struct rebac_listing *l)
{
	struct cache_place where, *place = NULL;
	struct cache_question cq;
	bool whole, again;
	int ret;

	if (!may_keep(v, q))
		return rebac_list_objects(q, type, rel, after, l);
	fill(v, q, type, rel, &cq);
	if (cache_list(v->base->cache, &cq, after, l, &whole))
		return 0;
	if (find_place(v, &cq, &where))
		place = &where;
	if (place && take_list(v, q, &cq, place) &&
	    cache_list(v->base->cache, &cq, after, l, &again))
		return 0;
	ret = take_closure(v, q, &cq);
	if (!ret && whole)
		ret = list_whole(v, q, &cq, place);
	if (!ret && (!whole || !cache_list(v->base->cache, &cq, after, l, &again)))
		ret = rebac_list_objects(q, type, rel, after, l);
	if (!ret && !whole && after == REBAC_EVERY)
		keep_list(v, q, &cq, place, l);
	give_closure(q);
	return ret;
}
