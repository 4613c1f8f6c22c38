// SPDX-License-Identifier: Apache-2.0
/* Which revisions there are, and what they changed. */
#include "cache_impl.h"

u64 cache_known(struct cache *c)
{
	u64 known = 0;

	if (c) {
		pthread_mutex_lock(&c->lock);
		known = c->known;
		pthread_mutex_unlock(&c->lock);
	}
	return known;
}

bool cache_met(struct cache *c, u64 known, const struct rebac_state *state)
{
	bool news;

	if (!c)
		return false;
	pthread_mutex_lock(&c->lock);
	/*
	 * Another store; one that was put back to an earlier state, and may have come as far
	 * again; or a revision that none of our writers is about to tell of.
	 */
	news = state->store != c->now.store || state->revision < known ||
	       (state->revision == c->known && (c->blank || state->mark != c->mark)) ||
	       (state->revision > c->known && state->revision != c->pending);
	if (news && state->stamped != state->revision) {
		if (state->store != c->now.store || state->revision != c->known ||
		    state->mark != c->mark)
			cache_empty(c, state);
		news = false;
	}
	pthread_mutex_unlock(&c->lock);
	return news;
}

/* By relation: the last stamp of what it depends on. */
static void find_stamps(const struct rebac_policy *policy, const struct cache_news *news,
			struct rebac_stamp *last)
{
	const struct rebac_relation *r;
	const struct rebac_stamp *s;
	u32 i;

	memset(last, 0, STAMPS * sizeof(*last));
	for (s = news->stamps; s < news->stamps + news->n; s++) {
		r = s->type ? rebac_policy_relation(policy, s->type, s->rel) : NULL;
		/* Of an earlier policy; what changed it is a stamp of all. */
		if (s->type && !r)
			continue;
		for (i = 0; i < policy->nrels; i++)
			if (s->revision > last[i].revision &&
			    (!r || rebac_depends(policy->all[i], r)))
				last[i] = *s;
		if (s->revision > last[CLOSURE].revision &&
		    (!r || rebac_set_has(policy->closed, r->index)))
			last[CLOSURE] = *s;
	}
}

/* Is there one that has changed and is not behind what is known?  Then others made history. */
static bool went_back(const struct cache *c, const struct rebac_state *state,
		      const struct rebac_stamp *last)
{
	u32 i;

	if (c->blank || state->revision == c->known)
		return state->revision != c->known || state->mark != c->mark;
	for (i = 0; i < STAMPS; i++)
		if (last[i].mark != c->marks[i] && last[i].revision <= c->known)
			return true;
	return false;
}

void cache_learn(struct cache *c, u64 known, const struct rebac_state *state,
		 const struct rebac_policy *policy, const struct cache_news *news)
{
	struct rebac_stamp *last = policy ? malloc(STAMPS * sizeof(*last)) : NULL;
	u32 i;

	if (last)
		find_stamps(policy, news, last);
	pthread_mutex_lock(&c->lock);
	if (state->store == c->now.store && state->revision >= known && state->revision < c->known) {
		/* Somebody was told of a later one meanwhile. */
	} else if (!last) {
		cache_empty(c, state);
	} else {
		if (state->store != c->now.store || state->policy != c->now.policy ||
		    state->revision < known || went_back(c, state, last))
			cache_empty(c, state);
		for (i = 0; i < STAMPS; i++) {
			c->stamps[i] = last[i].revision;
			c->marks[i] = last[i].mark;
		}
		memcpy(c->secret, news->secret, sizeof(c->secret));
		c->known = state->revision;
		c->mark = state->mark;
		c->blank = false;
	}
	pthread_mutex_unlock(&c->lock);
	free(last);
}

void cache_lost(struct cache *c)
{
	/* No store has this number. */
	const struct rebac_state none = { .store = UINT64_MAX };

	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	if (c->now.store != none.store)
		cache_empty(c, &none);
	pthread_mutex_unlock(&c->lock);
}

void cache_will(struct cache *c, const struct rebac_state *state,
		const struct rebac_policy *policy, const u64 *touched)
{
	u32 i;

	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->pending = state->revision;
	c->will_state = *state;
	c->will_all = !policy;
	memset(c->will, 0, sizeof(c->will));
	for (i = 0; policy && i < policy->nrels; i++)
		c->will[i] = rebac_sets_meet(policy->all[i]->deps, touched);
	if (policy)
		c->will[CLOSURE] = rebac_sets_meet(policy->closed, touched);
	pthread_mutex_unlock(&c->lock);
}

void cache_did(struct cache *c, bool done)
{
	u64 revision;
	u32 i;

	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	revision = c->pending;
	c->pending = 0;
	if (!done || revision <= c->known) {
		/* Not done; or somebody's later one was met, and all was given up. */
	} else if (c->will_all || revision != c->known + 1 ||
		   c->will_state.policy != c->now.policy ||
		   c->will_state.store != c->now.store) {
		/* What it may be true of is asked of the store. */
		cache_empty(c, &c->will_state);
	} else {
		for (i = 0; i < STAMPS; i++)
			if (c->will[i]) {
				c->stamps[i] = revision;
				c->marks[i] = c->will_state.mark;
			}
		c->known = revision;
		c->mark = c->will_state.mark;
	}
	pthread_mutex_unlock(&c->lock);
}
