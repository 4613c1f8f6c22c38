// SPDX-License-Identifier: Apache-2.0
/*
 * Breadth first against the direction of the tuples: first over those without
 * a condition, which finds the shortest way to each group, then over all.
 */
#include "closure.h"

#define BATCH		64u
#define DEPTH_MAX	255u

struct item {
	u64 node;
	u32 rel;
	u32 depth;
};

struct items {
	struct item *list;
	u32 n, room;
};

/*
 * @sure: groups that tuples without conditions lead to, in the order they were found
 * @maybe: those that others lead to; some may turn out to be sure
 * @conditional: the second turn, over all tuples
 */
struct making {
	const struct rebac_question *q;
	struct rebac_closure *c;
	struct items sure, maybe;
	u64 deadline;
	u32 reads;
	bool conditional;
};

static int push(struct items *to, u64 node, u32 rel, u32 depth)
{
	u32 room = to->room ? 2 * to->room : 64;
	struct item *more;

	if (to->n == REBAC_CLOSURE_NODES)
		return -EFBIG;
	if (to->n == to->room) {
		more = realloc(to->list, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		to->list = more;
		to->room = room;
	}
	to->list[to->n++] = (struct item){ node, rel, depth };
	return 0;
}

/* The subject is in this group, if (@sure) there is no condition to it. */
static int reach(struct making *m, u64 node, u32 rel, u32 depth, bool sure)
{
	const struct rebac_relation *r =
		rebac_policy_relation(m->q->policy, rebac_type_of(node), rel);
	struct memo *memo;
	int place;

	if (!r || !r->closed)
		return 0;
	if (!sure && !m->conditional)
		return push(&m->maybe, node, rel, depth);
	place = memory_memo(&m->c->mem, node, rel);
	if (place < 0)
		return place;
	memo = &m->c->mem.memos[place];
	if (memo->state == MEMO_DONE)
		return 0;
	memo->state = MEMO_DONE;
	memo->value = m->conditional ? REBAC_UNKNOWN : REBAC_YES;
	memo->depth = (u8)(depth < DEPTH_MAX ? depth : DEPTH_MAX);
	return push(m->conditional ? &m->maybe : &m->sure, node, rel, depth);
}

/* Relations of @node, in which the expression leads to one of the group that was reached. */
static int reach_mentions(struct making *m, u64 node, enum rebac_op op, u32 tupleset, u32 rel,
			  u32 depth, bool sure)
{
	const struct rebac_policy *p = m->q->policy;
	int ret = 0;
	u32 i;

	for (i = 0; i < p->nrels && !ret; i++)
		if (p->owner[i]->name.sym == rebac_type_of(node) && p->all[i]->closed &&
		    rebac_expr_mentions(&p->all[i]->expr, op, tupleset, rel))
			ret = reach(m, node, p->all[i]->name.sym, depth, sure);
	return ret;
}

/* One tuple of the subject (@subj, @srel); @into: a tupleset, for that relation of it. */
static int follow(struct making *m, const struct rebac_row *row, u64 subj, u32 srel, u32 into,
		  u32 depth)
{
	const struct rebac_relation *r =
		rebac_policy_relation(m->q->policy, rebac_type_of(row->node), row->rel);

	if (!r || !r->direct || !rebac_expr_takes(&r->expr, subj, srel))
		return 0;
	if (row->expires) {
		rebac_span_narrow(&m->c->valid_from, &m->c->valid_until, m->q->now, row->expires);
		if (m->q->now >= row->expires)
			return 0;
	}
	return into ?
		reach_mentions(m, row->node, REBAC_FROM, row->rel, into, depth, !row->conditional) :
		reach(m, row->node, row->rel, depth, !row->conditional);
}

/* Tuples of the subject with this relation. */
static int backward(struct making *m, u64 subj, u32 srel, u32 rel, u32 into, u32 depth)
{
	struct rebac_row rows[BATCH], after = { .rel = rel };
	int n, i, ret = 0;

	do {
		if (m->reads > REBAC_CLOSURE_READS || question_ns(m->q) >= m->deadline)
			return -EFBIG;
		n = m->q->txn->ops->reverse(m->q->txn, subj, srel, &after, rows, BATCH);
		if (n < 0)
			return n;
		for (i = 0; i < n && !ret; i++) {
			m->reads++;
			if (rows[i].rel != rel)
				return 0;
			ret = follow(m, &rows[i], subj, srel, into, depth);
		}
		if (n)
			after = rows[n - 1];
	} while (!ret && n == (int)BATCH);
	return ret;
}

/* Names are shared by types: the first relation of those that have it. */
static bool is_first(const struct rebac_policy *p, u32 index)
{
	u32 i;

	for (i = 0; i < index; i++)
		if (p->all[i]->name.sym == p->all[index]->name.sym)
			return false;
	return true;
}

/* Tuples of all groups of which the subject may be a member. */
static int members(struct making *m, u64 subj, u32 srel, u32 depth)
{
	const struct rebac_policy *p = m->q->policy;
	int ret = 0;
	u32 i;

	for (i = 0; i < p->nrels && !ret; i++)
		if (rebac_set_has(p->closed, i) && is_first(p, i))
			ret = backward(m, subj, srel, p->all[i]->name.sym, 0, depth);
	return ret;
}

/* Tuplesets behind which @rel of their subject is asked for. */
static int tuplesets(struct making *m, u64 node, u32 rel, u32 depth)
{
	const struct rebac_policy *p = m->q->policy;
	int ret = 0;
	u32 i, j;

	for (i = 0; i < p->nrels && !ret; i++) {
		if (!is_first(p, i))
			continue;
		for (j = 0; j < p->nrels; j++)
			if (p->all[j]->closed &&
			    rebac_expr_mentions(&p->all[j]->expr, REBAC_FROM,
						p->all[i]->name.sym, rel))
				break;
		if (j < p->nrels)
			ret = backward(m, node, 0, p->all[i]->name.sym, rel, depth);
	}
	return ret;
}

/* What leads on from one that was reached. */
static int go_on(struct making *m, const struct item *at)
{
	u32 depth = at->depth + 1;
	int ret;

	ret = reach_mentions(m, at->node, REBAC_COMPUTED, 0, at->rel, depth, true);
	if (!ret)
		ret = members(m, at->node, at->rel, depth);
	if (!ret)
		ret = tuplesets(m, at->node, at->rel, depth);
	return ret;
}

static int begin(struct making *m)
{
	u64 subj = m->q->subj, every = rebac_node(rebac_type_of(subj), REBAC_EVERY);
	int ret;

	if (m->q->srel)
		return reach(m, subj, m->q->srel, 0, true);
	ret = members(m, subj, 0, 0);
	if (!ret && subj != every)
		ret = members(m, every, 0, 0);
	if (!ret && subj != REBAC_ANYBODY && every != REBAC_ANYBODY)
		ret = members(m, REBAC_ANYBODY, 0, 0);
	return ret;
}

static int make(struct making *m)
{
	u32 i, first;
	int ret = begin(m);

	for (i = 0; i < m->sure.n && !ret; i++) {
		struct item at = m->sure.list[i];

		ret = go_on(m, &at);
	}
	/* Those in the list are reached now; others are put behind them. */
	m->conditional = true;
	first = m->maybe.n;
	for (i = 0; i < first && !ret; i++) {
		struct item at = m->maybe.list[i];

		ret = reach(m, at.node, at.rel, at.depth, false);
	}
	for (i = first; i < m->maybe.n && !ret; i++) {
		struct item at = m->maybe.list[i];

		ret = go_on(m, &at);
	}
	return ret;
}

int rebac_closure_make(const struct rebac_question *q, struct rebac_closure **closure)
{
	struct making m = { .q = q };
	int ret;

	m.c = calloc(1, sizeof(*m.c));
	if (!m.c)
		return -ENOMEM;
	atomic_init(&m.c->refs, 1);
	m.c->valid_from = INT64_MIN;
	m.c->valid_until = INT64_MAX;
	m.deadline = question_ns(q) + REBAC_CLOSURE_MS * 1000000ull;
	ret = memory_init(&m.c->mem);
	if (!ret)
		ret = make(&m);
	free(m.sure.list);
	free(m.maybe.list);
	if (ret) {
		rebac_closure_put(m.c);
		return ret;
	}
	/* Only memos are in it. */
	free(m.c->mem.pages);
	m.c->mem.pages = NULL;
	m.c->bytes = sizeof(*m.c) + m.c->mem.room * sizeof(*m.c->mem.memos);
	*closure = m.c;
	return 0;
}

struct rebac_closure *rebac_closure_get(struct rebac_closure *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void rebac_closure_put(struct rebac_closure *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	memory_free(&c->mem);
	free(c);
}

int rebac_closure_has(const struct rebac_closure *c, u64 node, u32 rel, u32 steps)
{
	const struct memo *memo = memory_find(&c->mem, node, rel);

	if (!memo)
		return 0;
	return memo->value == REBAC_YES && memo->depth <= steps ? 1 : -1;
}
