// SPDX-License-Identifier: Apache-2.0
/* What is kept, and whether it is good for a question. */
#include "cache_impl.h"

#include "idset.h"

#define NONE_MS		10000			/* until a closure is tried again */
#define BUCKET_BYTES	512u			/* of the limit, for each bucket */

enum entry_state {
	ENTRY_NEW,	/* of a closure: asked for once */
	ENTRY_LISTED,	/* a part of the list was asked for, once */
	ENTRY_MAKING,	/* of a closure: somebody is about it */
	ENTRY_NONE,	/* there can be no closure, no whole list */
	ENTRY_WHOLE,	/* there is */
};

/**
 * struct entry - answers about one relation to objects of one type, or a closure
 * @next: in the bucket
 * @newer, @older: in the order of use
 * @index: of the relation, or CLOSURE
 * @made: revision it was made at, the lowest it is known to be right for
 * @from, @until: times between which it is right
 * @yes, @no: objects; all that are not in @yes are in @no when it is whole
 * @closure: when it is whole
 * @bytes: of all of it
 */
struct entry {
	struct entry *next, *newer, *older;
	u64 subj;
	u32 srel;
	u32 type;
	u32 rel;
	u32 index;
	enum entry_state state;
	u64 made;
	s64 from, until;
	struct idset yes, no;
	struct rebac_closure *closure;
	size_t bytes;
};

struct cache *cache_new(size_t limit, bool closures)
{
	struct cache *c = calloc(1, sizeof(*c));
	u32 buckets = 16;

	if (!c)
		return NULL;
	while (buckets < limit / BUCKET_BYTES && buckets < 1u << 20)
		buckets *= 2;
	c->buckets = calloc(buckets, sizeof(struct entry *));
	if (!c->buckets) {
		free(c);
		return NULL;
	}
	c->mask = buckets - 1;
	c->limit = c->stats.limit = limit;
	c->closures = closures;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

/* ---- entries ---------------------------------------------------------- */

static struct entry **bucket(struct cache *c, u64 subj, u32 srel, u32 type, u32 rel, u32 index)
{
	u64 x = subj * 0x9e3779b97f4a7c15ull + srel * 0xff51afd7ed558ccdull;

	x ^= ((u64)type << 32 | rel) * 0xc4ceb9fe1a85ec53ull + index;
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ull;
	return &c->buckets[(x >> 32) & c->mask];
}

static void unlink_use(struct cache *c, struct entry *e)
{
	*(e->newer ? &e->newer->older : &c->newest) = e->older;
	*(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void link_use(struct cache *c, struct entry *e)
{
	e->newer = NULL;
	e->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = e;
	c->newest = e;
}

static void drop(struct cache *c, struct entry *e)
{
	struct entry **at = bucket(c, e->subj, e->srel, e->type, e->rel, e->index);

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	unlink_use(c, e);
	c->stats.bytes -= e->bytes;
	c->stats.entries--;
	idset_free(&e->yes);
	idset_free(&e->no);
	rebac_closure_put(e->closure);
	free(e);
}

void cache_empty(struct cache *c, const struct rebac_state *state)
{
	while (c->oldest)
		drop(c, c->oldest);
	memset(c->stamps, 0, sizeof(c->stamps));
	memset(c->marks, 0, sizeof(c->marks));
	c->blank = true;
	c->mark = state->mark;
	c->now = *state;
	c->known = c->floor = state->revision;
	c->stats.emptied++;
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	while (c->oldest)
		drop(c, c->oldest);
	pthread_mutex_destroy(&c->lock);
	free(c->buckets);
	free(c);
}

void cache_stats(struct cache *c, struct cache_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	*stats = c->stats;
	pthread_mutex_unlock(&c->lock);
}

/* After it grew or shrank; the oldest go when there are too many bytes. */
static void settle(struct cache *c, struct entry *e)
{
	size_t bytes = sizeof(*e) + e->yes.bytes + e->no.bytes +
		(e->closure ? e->closure->bytes : 0);

	c->stats.bytes += bytes - e->bytes;
	e->bytes = bytes;
	while (c->oldest && c->stats.bytes > c->limit) {
		drop(c, c->oldest);
		c->stats.evicted++;
	}
}

/* ---- is it good for this question? ------------------------------------ */

/* The cache knows of the state that the question is about. */
static bool usable(const struct cache *c, const struct cache_question *q)
{
	return q->state.store == c->now.store && q->state.policy == c->now.policy &&
	       q->state.revision >= c->floor && q->state.revision <= c->known;
}

/* Nothing it depends on has changed between it and the question. */
static bool good(const struct cache *c, const struct entry *e, const struct cache_question *q)
{
	u64 stamp = c->stamps[e->index];

	/* It says nothing: it only spares us to find out again that it is too large. */
	if (e->index == CLOSURE && e->state == ENTRY_NONE)
		return q->now < e->until;
	return stamp <= e->made && stamp <= q->state.revision && e->from <= q->now &&
	       q->now < e->until;
}

static struct entry *find(struct cache *c, const struct cache_question *q, u32 index)
{
	bool closure = index == CLOSURE;
	u32 type = closure ? 0 : q->type, rel = closure ? 0 : q->rel;
	struct entry *e = *bucket(c, q->subj, q->srel, type, rel, index);

	while (e && (e->subj != q->subj || e->srel != q->srel || e->index != index ||
		     e->type != type || e->rel != rel))
		e = e->next;
	return e;
}

/* The entry, good for the question, or NULL.  One that is good no more goes. */
static struct entry *look(struct cache *c, const struct cache_question *q, u32 index)
{
	struct entry *e = usable(c, q) ? find(c, q, index) : NULL;

	if (!e)
		return NULL;
	if (good(c, e, q)) {
		unlink_use(c, e);
		link_use(c, e);
		return e;
	}
	/* A question about what there was before does not take away what is there now. */
	if (c->stamps[index] > e->made || q->now >= e->until) {
		drop(c, e);
		c->stats.invalidated++;
	}
	return NULL;
}

/* The same, made when there is none; NULL when it would not be good for the present. */
static struct entry *look_or_make(struct cache *c, const struct cache_question *q, u32 index)
{
	struct entry *e = look(c, q, index), **at;

	if (e || !usable(c, q) || c->stamps[index] > q->state.revision || find(c, q, index))
		return e;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->subj = q->subj;
	e->srel = q->srel;
	e->type = index == CLOSURE ? 0 : q->type;
	e->rel = index == CLOSURE ? 0 : q->rel;
	e->index = index;
	e->made = q->state.revision;
	e->from = INT64_MIN;
	e->until = INT64_MAX;
	at = bucket(c, e->subj, e->srel, e->type, e->rel, index);
	e->next = *at;
	*at = e;
	link_use(c, e);
	c->stats.entries++;
	return e;
}

static void narrow(struct entry *e, s64 from, s64 until)
{
	if (from > e->from)
		e->from = from;
	if (until < e->until)
		e->until = until;
}

/* ---- answers ---------------------------------------------------------- */

bool cache_place(struct cache *c, const struct cache_question *q, struct cache_place *place)
{
	bool ok;

	pthread_mutex_lock(&c->lock);
	ok = usable(c, q) && c->marks[q->index] && c->stamps[q->index] <= q->state.revision;
	if (ok) {
		*place = (struct cache_place){
			.store = q->state.store, .mark = c->marks[q->index], .subj = q->subj,
			.srel = q->srel, .type = q->type, .rel = q->rel,
		};
		memcpy(place->secret, c->secret, sizeof(place->secret));
	}
	pthread_mutex_unlock(&c->lock);
	return ok;
}

bool cache_answer(struct cache *c, const struct cache_question *q, u32 number,
		  struct rebac_answer *a)
{
	struct entry *e;
	bool yes, known = false;

	if (!c)
		return false;
	pthread_mutex_lock(&c->lock);
	e = look(c, q, q->index);
	if (e) {
		yes = idset_has(&e->yes, number);
		known = yes || e->state == ENTRY_WHOLE || idset_has(&e->no, number);
		*a = (struct rebac_answer){
			.value = yes ? REBAC_YES : REBAC_NO,
			.valid_from = e->from, .valid_until = e->until,
		};
	}
	if (known)
		c->stats.hits++;
	else
		c->stats.misses++;
	pthread_mutex_unlock(&c->lock);
	return known;
}

void cache_keep(struct cache *c, const struct cache_question *q, u32 number,
		const struct rebac_answer *a)
{
	struct entry *e;

	if (!c || a->value == REBAC_UNKNOWN || a->contextual)
		return;
	pthread_mutex_lock(&c->lock);
	e = look_or_make(c, q, q->index);
	if (e && !idset_add(a->value == REBAC_YES ? &e->yes : &e->no, number))
		narrow(e, a->valid_from, a->valid_until);
	if (e)
		settle(c, e);
	pthread_mutex_unlock(&c->lock);
}

static void fill_list(const struct entry *e, u32 after, struct rebac_listing *l)
{
	u32 id = after;

	l->n = l->why = 0;
	l->more = false;
	l->valid_from = e->from;
	l->valid_until = e->until;
	while (idset_next(&e->yes, id + 1, &id)) {
		if (l->n == l->max) {
			l->more = true;
			break;
		}
		l->found[l->n++] = (struct rebac_found){ id, false };
	}
}

bool cache_list(struct cache *c, const struct cache_question *q, u32 after,
		struct rebac_listing *l, bool *whole)
{
	struct entry *e;
	bool known;

	*whole = false;
	if (!c)
		return false;
	pthread_mutex_lock(&c->lock);
	e = look(c, q, q->index);
	known = e && e->state == ENTRY_WHOLE;
	if (known) {
		fill_list(e, after, l);
		c->stats.hits++;
	} else {
		e = look_or_make(c, q, q->index);
		if (e) {
			*whole = e->state == ENTRY_LISTED;
			e->state = e->state == ENTRY_NEW ? ENTRY_LISTED : ENTRY_NONE;
			settle(c, e);
		}
		c->stats.misses++;
	}
	pthread_mutex_unlock(&c->lock);
	return known;
}

void cache_keep_list(struct cache *c, const struct cache_question *q,
		     const struct rebac_listing *l)
{
	struct entry *e;
	int ret = 0;
	u32 i;

	if (!c || l->why || l->more || l->contextual)
		return;
	pthread_mutex_lock(&c->lock);
	e = look_or_make(c, q, q->index);
	if (e) {
		for (i = 0; i < l->n && !ret; i++)
			ret = idset_add(&e->yes, l->found[i].number);
		narrow(e, l->valid_from, l->valid_until);
		if (!ret) {
			idset_free(&e->no);
			e->state = ENTRY_WHOLE;
		}
		settle(c, e);
	}
	pthread_mutex_unlock(&c->lock);
}

/* ---- closures --------------------------------------------------------- */

struct rebac_closure *cache_closure(struct cache *c, const struct cache_question *q, bool *make)
{
	struct rebac_closure *closure = NULL;
	struct entry *e;

	*make = false;
	if (!c || !c->closures)
		return NULL;
	pthread_mutex_lock(&c->lock);
	e = look(c, q, CLOSURE);
	if (e && e->state == ENTRY_WHOLE) {
		closure = rebac_closure_get(e->closure);
		c->stats.closure_hits++;
	} else if (e && e->state == ENTRY_NEW) {
		e->state = ENTRY_MAKING;
		*make = true;
	} else if (!e) {
		e = look_or_make(c, q, CLOSURE);
		if (e)
			settle(c, e);
	}
	pthread_mutex_unlock(&c->lock);
	return closure;
}

void cache_keep_closure(struct cache *c, const struct cache_question *q,
			struct rebac_closure *closure, bool none)
{
	struct entry *e;

	pthread_mutex_lock(&c->lock);
	c->stats.closures += closure != NULL;
	c->stats.closures_refused += none;
	e = look_or_make(c, q, CLOSURE);
	if (e && e->state != ENTRY_WHOLE) {
		e->state = closure ? ENTRY_WHOLE : none ? ENTRY_NONE : ENTRY_NEW;
		if (closure) {
			e->closure = rebac_closure_get(closure);
			narrow(e, closure->valid_from, closure->valid_until);
		} else if (none) {
			narrow(e, INT64_MIN, q->now + NONE_MS);
		}
		settle(c, e);
	}
	pthread_mutex_unlock(&c->lock);
}
