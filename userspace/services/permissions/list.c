// SPDX-License-Identifier: Apache-2.0
/*
 * Lists: first who or what comes into question, then each is asked for.
 *
 * Objects are found from the subject on, against the direction of the tuples;
 * subjects from the object on, along it.  Both follow every part of an
 * expression.  That finds too much (an intersection is followed by each of its
 * parts), never too little, and the evaluator has the last word.
 */
#include "list.h"

#include "eval_impl.h"

#define BATCH		64u
#define NO_RELATION	0xffffffffu	/* in sets: a plain subject */

struct pair {
	u64 node;
	u32 rel;
};

/* Pairs, in the order they were found. */
struct set {
	struct memory mem;
	struct pair *items;
	u32 n, room;
};

struct search {
	struct rebac_question q;
	struct set met;		/* relations of nodes */
	struct set named;	/* who is asked for in the end */
	u64 deadline;
	u32 reads;
	u32 why;
	u32 type, srel;		/* of the subjects that are wanted */
	s64 from, until;	/* when no time in a tuple changes what was found */
};

static int set_add(struct search *s, struct set *set, u64 node, u32 rel)
{
	int place = memory_memo(&set->mem, node, rel);
	struct pair *more;

	if (place < 0)
		return place;
	if (set->mem.memos[place].state != MEMO_NEW)
		return 0;
	if (set->n == s->q.limits.nodes) {
		s->why |= REBAC_WHY_NODES;
		return 0;
	}
	if (set->n == set->room) {
		u32 room = set->room ? set->room * 2 : 64;

		more = realloc(set->items, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		set->items = more;
		set->room = room;
	}
	set->mem.memos[place].state = MEMO_DONE;
	set->items[set->n++] = (struct pair){ node, rel };
	return 0;
}

static int meet(struct search *s, u64 node, u32 rel)
{
	if (!rebac_policy_relation(s->q.policy, rebac_type_of(node), rel))
		return 0;
	return set_add(s, &s->met, node, rel);
}

static int search_begin(struct search *s, const struct rebac_question *q)
{
	memset(s, 0, sizeof(*s));
	s->q = *q;
	s->q.trace = NULL;
	rebac_limits_settle(&s->q.limits);
	s->from = INT64_MIN;
	s->until = INT64_MAX;
	s->deadline = question_ns(q) + s->q.limits.time_ms * 1000000ull;
	if (memory_init(&s->met.mem))
		return -ENOMEM;
	if (!memory_init(&s->named.mem))
		return 0;
	memory_free(&s->met.mem);
	return -ENOMEM;
}

static void search_end(struct search *s)
{
	memory_free(&s->met.mem);
	memory_free(&s->named.mem);
	free(s->met.items);
	free(s->named.items);
}

/* The limits of the whole, but for that of nodes. */
static bool go_on(struct search *s)
{
	if (s->reads > s->q.limits.reads)
		s->why |= REBAC_WHY_READS;
	if (question_ns(&s->q) >= s->deadline)
		s->why |= REBAC_WHY_DEADLINE;
	return !(s->why & (REBAC_WHY_READS | REBAC_WHY_DEADLINE));
}

/* Does such a tuple count, or may it, if its condition holds? */
static bool counts(struct search *s, u64 obj, u32 rel, u64 subj, u32 srel, s64 expires)
{
	const struct rebac_relation *r = rebac_policy_relation(s->q.policy, rebac_type_of(obj), rel);

	if (expires)
		rebac_span_narrow(&s->from, &s->until, s->q.now, expires);
	return r && r->direct && (!expires || s->q.now < expires) &&
	       rebac_expr_takes(&r->expr, subj, srel);
}

/* ---- objects: against the direction of the tuples --------------------- */

static int meet_mentions(struct search *s, u64 node, enum rebac_op op, u32 tupleset, u32 rel)
{
	const struct rebac_type *t;
	int ret = 0;
	u32 i;

	for (t = s->q.policy->types; t < s->q.policy->types + s->q.policy->ntypes; t++) {
		if (t->name.sym != rebac_type_of(node))
			continue;
		for (i = 0; i < t->nrels && !ret; i++)
			if (rebac_expr_mentions(&t->rels[i].expr, op, tupleset, rel))
				ret = meet(s, node, t->rels[i].name.sym);
	}
	return ret;
}

/* Tuples of the subject (@subj, @srel); @into: as tuplesets, for that relation of it. */
static int backward(struct search *s, u64 subj, u32 srel, u32 into)
{
	struct rebac_row rows[BATCH], last;
	int n, i, ret = 0;
	bool more = false;

	do {
		n = s->q.txn->ops->reverse(s->q.txn, subj, srel, more ? &last : NULL, rows, BATCH);
		if (n < 0)
			return n;
		s->reads += (u32)n;
		for (i = 0; i < n && !ret; i++) {
			const struct rebac_row *row = &rows[i];

			if (!counts(s, row->node, row->rel, subj, srel, row->expires))
				continue;
			ret = into ? meet_mentions(s, row->node, REBAC_FROM, row->rel, into) :
				meet(s, row->node, row->rel);
		}
		if (n)
			last = rows[n - 1];
		more = n == (int)BATCH;
	} while (!ret && more && go_on(s));
	return ret;
}

static bool is_from(const struct rebac_policy *p, u32 rel)
{
	u32 i, j;

	for (i = 0; i < p->nrels; i++)
		for (j = 0; j < p->nrels; j++)
			if (rebac_expr_mentions(&p->all[i]->expr, REBAC_FROM, p->all[j]->name.sym, rel))
				return true;
	return false;
}

static int reach_objects(struct search *s)
{
	u64 everybody = rebac_node(rebac_type_of(s->q.subj), REBAC_EVERY);
	int ret;
	u32 i;

	if (s->q.srel) {
		ret = meet(s, s->q.subj, s->q.srel);
	} else {
		ret = backward(s, s->q.subj, 0, 0);
		if (!ret && s->q.subj != everybody)
			ret = backward(s, everybody, 0, 0);
		if (!ret && s->q.subj != REBAC_ANYBODY)
			ret = backward(s, REBAC_ANYBODY, 0, 0);
	}
	for (i = 0; i < s->met.n && !ret && go_on(s); i++) {
		struct pair p = s->met.items[i];

		ret = meet_mentions(s, p.node, REBAC_COMPUTED, 0, p.rel);
		if (!ret)
			ret = backward(s, p.node, p.rel, 0);
		if (!ret && is_from(s->q.policy, p.rel))
			ret = backward(s, p.node, 0, p.rel);
	}
	return ret;
}

static int by_number(const void *a, const void *b)
{
	u32 x = rebac_number(((const struct pair *)a)->node);
	u32 y = rebac_number(((const struct pair *)b)->node);

	return x < y ? -1 : x > y;
}

/* Those of the type and relation come first, in order; how many. */
static u32 pick(struct set *set, u32 type, u32 rel)
{
	u32 i, n = 0;

	for (i = 0; i < set->n; i++)
		if (rebac_type_of(set->items[i].node) == type && set->items[i].rel == rel)
			set->items[n++] = set->items[i];
	if (n)
		qsort(set->items, n, sizeof(*set->items), by_number);
	return n;
}

static int ask_objects(struct search *s, struct rebac_eval *e, u32 n, u32 after,
		       struct rebac_listing *l)
{
	struct rebac_answer a;
	int ret;
	u32 i;

	for (i = 0; i < n; i++) {
		const struct pair *p = &s->met.items[i];

		if (rebac_number(p->node) <= after || rebac_number(p->node) > REBAC_NUMBER_MAX)
			continue;
		if (l->n == l->max) {
			l->more = true;
			break;
		}
		if (!go_on(s))
			break;
		ret = rebac_eval_ask(e, p->node, p->rel, &a);
		if (ret)
			return ret;
		s->why |= a.why;
		l->contextual |= a.contextual;
		s->from = a.valid_from > s->from ? a.valid_from : s->from;
		s->until = a.valid_until < s->until ? a.valid_until : s->until;
		if (a.value == REBAC_YES)
			l->found[l->n++] = (struct rebac_found){ rebac_number(p->node), false };
	}
	return 0;
}

int rebac_list_objects(const struct rebac_question *q, u32 type, u32 rel, u32 after,
		       struct rebac_listing *l)
{
	struct rebac_eval *e = NULL;
	struct search s;
	int ret;

	l->n = l->why = 0;
	l->more = l->contextual = false;
	if (!rebac_policy_relation(q->policy, type, rel))
		return -ENOENT;
	ret = search_begin(&s, q);
	if (ret)
		return ret;
	ret = reach_objects(&s);
	if (!ret) {
		e = rebac_eval_new(&s.q);
		ret = e ? ask_objects(&s, e, pick(&s.met, type, rel), after, l) : -ENOMEM;
	}
	rebac_eval_free(e);
	l->why = s.why;
	l->valid_from = s.from;
	l->valid_until = s.until;
	search_end(&s);
	return ret;
}

/* ---- subjects: along the tuples --------------------------------------- */

static int name_subject(struct search *s, const struct rebac_row *row)
{
	if (row->srel)
		return meet(s, row->node, row->srel);
	if (s->srel)
		return 0;
	if (row->node == REBAC_ANYBODY)
		return set_add(s, &s->named, rebac_node(s->type, REBAC_EVERY), NO_RELATION);
	return rebac_type_of(row->node) == s->type ?
		set_add(s, &s->named, row->node, NO_RELATION) : 0;
}

/* Tuples of (@node, @rel); @into: their subjects are asked for that relation. */
static int forward(struct search *s, u64 node, u32 rel, u32 into)
{
	struct rebac_row rows[BATCH], last;
	int n, i, ret = 0;
	bool more = false;

	do {
		n = s->q.txn->ops->scan(s->q.txn, node, rel, more ? &last : NULL, rows, BATCH);
		if (n < 0)
			return n;
		s->reads += (u32)n;
		for (i = 0; i < n && !ret; i++) {
			const struct rebac_row *row = &rows[i];

			if (!counts(s, node, rel, row->node, row->srel, row->expires))
				continue;
			if (!into)
				ret = name_subject(s, row);
			else if (!row->srel && rebac_number(row->node) != REBAC_EVERY)
				ret = meet(s, row->node, into);
		}
		if (n)
			last = rows[n - 1];
		more = n == (int)BATCH;
	} while (!ret && more && go_on(s));
	return ret;
}

/* NOLINTBEGIN(misc-no-recursion): expressions are nested no deeper than policy.c reads them */
static int reach_expr(struct search *s, const struct rebac_expr *e, u64 node, u32 rel)
{
	int ret = 0;
	u32 i;

	if (e->op == REBAC_THIS)
		return forward(s, node, rel, 0);
	if (e->op == REBAC_COMPUTED)
		return meet(s, node, e->rel.sym);
	if (e->op == REBAC_FROM)
		return forward(s, node, e->tupleset.sym, e->rel.sym);
	for (i = 0; i < e->nkids && !ret; i++)
		ret = reach_expr(s, &e->kids[i], node, rel);
	return ret;
}
/* NOLINTEND(misc-no-recursion) */

static int reach_subjects(struct search *s)
{
	const struct rebac_relation *r;
	int ret = 0;
	u32 i;

	for (i = 0; i < s->met.n && !ret && go_on(s); i++) {
		struct pair p = s->met.items[i];

		if (s->srel && rebac_type_of(p.node) == s->type && p.rel == s->srel)
			ret = set_add(s, &s->named, p.node, p.rel);
		r = rebac_policy_relation(s->q.policy, rebac_type_of(p.node), p.rel);
		if (!ret)
			ret = reach_expr(s, &r->expr, p.node, p.rel);
	}
	return ret;
}

static int ask_subject(struct search *s, u64 subj, u64 node, u32 rel, bool *has)
{
	struct rebac_answer a;
	int ret;

	s->q.subj = subj;
	s->q.srel = s->srel;
	ret = rebac_evaluate(&s->q, node, rel, &a);
	if (ret)
		return ret;
	s->why |= a.why;
	*has = a.value == REBAC_YES;
	return 0;
}

static int ask_subjects(struct search *s, u64 node, u32 rel, bool first, u32 after,
			struct rebac_listing *l)
{
	u32 i, n = pick(&s->named, s->type, s->srel ? s->srel : NO_RELATION);
	bool every = false, has;
	int ret = 0;

	if (n && rebac_number(s->named.items[0].node) == REBAC_EVERY)
		ret = ask_subject(s, s->named.items[0].node, node, rel, &every);
	for (i = 0; i < n && !ret; i++) {
		u64 subj = s->named.items[i].node;

		if ((!first && rebac_number(subj) <= after) || rebac_number(subj) > REBAC_NUMBER_MAX)
			continue;
		if (l->n == l->max) {
			l->more = true;
			break;
		}
		if (!go_on(s))
			break;
		ret = ask_subject(s, subj, node, rel, &has);
		if (!ret && (has || every))
			l->found[l->n++] = (struct rebac_found){ rebac_number(subj), !has };
	}
	return ret;
}

int rebac_list_subjects(const struct rebac_question *q, u64 node, u32 rel, u32 type, u32 srel,
			bool first, u32 after, struct rebac_listing *l)
{
	struct search s;
	int ret;

	l->n = l->why = 0;
	l->more = false;
	if (!rebac_policy_relation(q->policy, rebac_type_of(node), rel) ||
	    (srel && !rebac_policy_relation(q->policy, type, srel)))
		return -ENOENT;
	ret = search_begin(&s, q);
	if (ret)
		return ret;
	s.type = type;
	s.srel = srel;
	ret = meet(&s, node, rel);
	if (!ret)
		ret = reach_subjects(&s);
	if (!ret)
		ret = ask_subjects(&s, node, rel, first, after, l);
	l->why = s.why;
	search_end(&s);
	return ret;
}
