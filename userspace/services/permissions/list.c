// SPDX-License-Identifier: Apache-2.0
/*
 * Candidates are found by walking the graph as if every operator were a union
 * and nothing were excluded; each is then asked of the evaluator.
 */
#include "list.h"

#define BATCH	64u

/* A set of (node, rel) in the order they came. */
struct pair {
	u64 node;
	u32 rel;
};

struct walk {
	const struct rebac_question *q;
	struct rebac_limits limits;
	struct pair *pairs;
	u32 n, room;
	u32 *table;		/* index + 1 */
	u32 slots;
	u32 reads;
	u32 why;
};

static u32 slot_of(const struct walk *w, u64 node, u32 rel)
{
	u64 h = (node ^ (u64)rel << 40) * 0x9e3779b97f4a7c15ull;
	u32 i = (u32)(h >> 32) & (w->slots - 1);

	while (w->table[i] && (w->pairs[w->table[i] - 1].node != node ||
			       w->pairs[w->table[i] - 1].rel != rel))
		i = (i + 1) & (w->slots - 1);
	return i;
}

static int grow(struct walk *w)
{
	u32 room = w->room ? w->room * 2 : 64, i;
	struct pair *pairs = realloc(w->pairs, room * sizeof(*pairs));
	u32 *table;

	if (!pairs)
		return -ENOMEM;
	w->pairs = pairs;
	table = calloc((size_t)room * 2, sizeof(*table));
	if (!table)
		return -ENOMEM;
	free(w->table);
	w->table = table;
	w->slots = room * 2;
	w->room = room;
	for (i = 0; i < w->n; i++)
		w->table[slot_of(w, w->pairs[i].node, w->pairs[i].rel)] = i + 1;
	return 0;
}

static int push(struct walk *w, u64 node, u32 rel)
{
	u32 slot;
	int ret;

	if (w->n == w->room) {
		ret = grow(w);
		if (ret)
			return ret;
	}
	slot = slot_of(w, node, rel);
	if (w->table[slot])
		return 0;
	if (w->n == w->limits.nodes) {
		w->why |= REBAC_WHY_NODES;
		return 0;
	}
	w->pairs[w->n].node = node;
	w->pairs[w->n].rel = rel;
	w->table[slot] = ++w->n;
	return 0;
}

static int walk_init(struct walk *w, const struct rebac_question *q)
{
	memset(w, 0, sizeof(*w));
	w->q = q;
	w->limits = q->limits;
	rebac_limits_settle(&w->limits);
	return grow(w);
}

static void walk_free(struct walk *w)
{
	free(w->pairs);
	free(w->table);
}

static bool counted(struct walk *w, int n)
{
	w->reads += (u32)n;
	if (w->reads > w->limits.reads)
		w->why |= REBAC_WHY_READS;
	return w->reads <= w->limits.reads;
}

static bool mentions(const struct rebac_expr *e, enum rebac_op op, u32 rel, u32 tupleset)
{
	u32 i;

	if (e->op == op && e->rel.sym == rel && (!tupleset || e->tupleset.sym == tupleset))
		return true;
	for (i = 0; i < e->nkids; i++)
		if (mentions(&e->kids[i], op, rel, tupleset))
			return true;
	return false;
}

/* ---- objects: against the arrows -------------------------------------- */

/* @of: 0, or the relation that those behind a tuple to userset are asked for. */
static int back(struct walk *w, u64 node, u32 srel, u32 of)
{
	struct rebac_row rows[BATCH], after = { 0 };
	const struct rebac_type *t;
	int n, i, ret = 0;
	bool first = true;
	u32 r;

	do {
		n = w->q->txn->ops->reverse(w->q->txn, node, srel, first ? NULL : &after, rows, BATCH);
		if (n < 0)
			return n;
		if (!counted(w, n))
			return 0;
		for (i = 0; i < n && !ret; i++) {
			if (!of)
				ret = push(w, rows[i].node, rows[i].rel);
			for (t = w->q->policy->types; of && t < w->q->policy->types + w->q->policy->ntypes; t++)
				for (r = 0; r < t->nrels && !ret; r++)
					if (t->name.sym == rebac_type_of(rows[i].node) &&
					    mentions(&t->rels[r].expr, REBAC_FROM, of, rows[i].rel))
						ret = push(w, rows[i].node, t->rels[r].name.sym);
		}
		if (n)
			after = rows[n - 1];
		first = false;
	} while (!ret && n == (int)BATCH);
	return ret;
}

static bool asked_from(const struct rebac_policy *p, u32 rel)
{
	u32 i;

	for (i = 0; i < p->nrels; i++)
		if (mentions(&p->all[i]->expr, REBAC_FROM, rel, 0))
			return true;
	return false;
}

static int back_from(struct walk *w, struct pair at)
{
	const struct rebac_type *t;
	int ret;
	u32 r;

	for (t = w->q->policy->types; t < w->q->policy->types + w->q->policy->ntypes; t++)
		for (r = 0; r < t->nrels; r++)
			if (t->name.sym == rebac_type_of(at.node) &&
			    mentions(&t->rels[r].expr, REBAC_COMPUTED, at.rel, 0)) {
				ret = push(w, at.node, t->rels[r].name.sym);
				if (ret)
					return ret;
			}
	ret = back(w, at.node, at.rel, 0);
	if (!ret && asked_from(w->q->policy, at.rel))
		ret = back(w, at.node, 0, at.rel);
	return ret;
}

static int walk_back(struct walk *w)
{
	const struct rebac_question *q = w->q;
	int ret;
	u32 i;

	ret = q->srel ? push(w, q->subj, q->srel) : 0;
	if (!ret)
		ret = back(w, q->subj, q->srel, 0);
	if (!ret && !q->srel)
		ret = back(w, rebac_node(rebac_type_of(q->subj), REBAC_EVERY), 0, 0);
	if (!ret && !q->srel)
		ret = back(w, REBAC_ANYBODY, 0, 0);
	for (i = 0; i < w->n && !ret && !(w->why & REBAC_WHY_READS); i++)
		ret = back_from(w, w->pairs[i]);
	return ret;
}

/* ---- subjects: along the arrows --------------------------------------- */

/* Subjects of tuples; @into: the relation to ask them for, or 0: as they are. */
static int along_tuples(struct walk *w, u64 node, u32 rel, u32 into)
{
	struct rebac_row rows[BATCH], after = { 0 };
	bool first = true;
	int n, i, ret = 0;

	do {
		n = w->q->txn->ops->scan(w->q->txn, node, rel, first ? NULL : &after, rows, BATCH);
		if (n < 0)
			return n;
		if (!counted(w, n))
			return 0;
		/* A plain subject has no relation: it is what is looked for. */
		for (i = 0; i < n && !ret; i++)
			if (!into || !rows[i].srel)
				ret = push(w, rows[i].node, into ? into : rows[i].srel);
		if (n)
			after = rows[n - 1];
		first = false;
	} while (!ret && n == (int)BATCH);
	return ret;
}

static int along(struct walk *w, const struct rebac_expr *e, struct pair at)
{
	int ret = 0;
	u32 i;

	switch (e->op) {
	case REBAC_THIS:
		return along_tuples(w, at.node, at.rel, 0);
	case REBAC_COMPUTED:
		return push(w, at.node, e->rel.sym);
	case REBAC_FROM:
		return along_tuples(w, at.node, e->tupleset.sym, e->rel.sym);
	default:
		for (i = 0; i < e->nkids && !ret; i++)
			if (!i || e->op != REBAC_EXCLUSION)
				ret = along(w, &e->kids[i], at);
		return ret;
	}
}

static int walk_along(struct walk *w, u64 node, u32 rel)
{
	const struct rebac_relation *r;
	struct pair at;
	int ret;
	u32 i;

	ret = push(w, node, rel);
	for (i = 0; i < w->n && !ret && !(w->why & REBAC_WHY_READS); i++) {
		at = w->pairs[i];
		r = at.rel ? rebac_policy_relation(w->q->policy, rebac_type_of(at.node), at.rel) : NULL;
		if (r)
			ret = along(w, &r->expr, at);
	}
	return ret;
}

/* ---- both ------------------------------------------------------------- */

void rebac_list_free(struct rebac_list *l)
{
	free(l->nodes);
	memset(l, 0, sizeof(*l));
}

static int by_number(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* Candidates: of @type with @rel, behind @after. */
static int candidates(const struct walk *w, u32 type, u32 rel, u32 after, bool wildcard,
		      struct rebac_list *l)
{
	u32 i;

	l->nodes = malloc((w->n ? w->n : 1) * sizeof(*l->nodes));
	if (!l->nodes)
		return -ENOMEM;
	l->room = w->n;
	l->why = w->why;
	for (i = 0; i < w->n; i++) {
		u64 node = w->pairs[i].node;

		if (w->pairs[i].rel == rel && rebac_type_of(node) == type &&
		    (rebac_number(node) > after || (wildcard && !after && !rebac_number(node))))
			l->nodes[l->n++] = node;
	}
	qsort(l->nodes, l->n, sizeof(*l->nodes), by_number);
	return 0;
}

int rebac_list_objects(const struct rebac_question *q, u32 type, u32 rel, u32 after, u32 max,
		       struct rebac_list *l)
{
	struct rebac_eval *e = NULL;
	struct rebac_answer a;
	struct walk w;
	u32 i, n = 0;
	int ret;

	memset(l, 0, sizeof(*l));
	if (!rebac_policy_relation(q->policy, type, rel))
		return -ENOENT;
	ret = walk_init(&w, q);
	if (!ret)
		ret = walk_back(&w);
	if (!ret)
		ret = candidates(&w, type, rel, after, false, l);
	walk_free(&w);
	if (ret)
		goto out;
	e = rebac_eval_new(q);
	ret = e ? 0 : -ENOMEM;
	for (i = 0; i < l->n && n < max && !ret; i++) {
		ret = rebac_eval_ask(e, l->nodes[i], rel, &a);
		if (!ret && a.value == REBAC_YES)
			l->nodes[n++] = l->nodes[i];
		else if (!ret)
			l->why |= a.why;
	}
	l->n = n;
out:
	rebac_eval_free(e);
	if (ret)
		rebac_list_free(l);
	return ret;
}

int rebac_list_subjects(const struct rebac_question *q, u64 node, u32 rel, u32 type, u32 after,
			u32 max, struct rebac_list *l)
{
	struct rebac_question each = *q;
	struct rebac_answer a;
	struct walk w;
	u32 i, n = 0;
	int ret;

	memset(l, 0, sizeof(*l));
	if (!rebac_policy_relation(q->policy, rebac_type_of(node), rel))
		return -ENOENT;
	ret = walk_init(&w, q);
	if (!ret)
		ret = walk_along(&w, node, rel);
	if (!ret)
		ret = candidates(&w, type, 0, after, true, l);
	walk_free(&w);
	each.srel = 0;
	each.known = NULL;
	for (i = 0; i < l->n && n < max && !ret; i++) {
		each.subj = l->nodes[i];
		ret = rebac_evaluate(&each, node, rel, &a);
		if (!ret && a.value == REBAC_YES)
			l->nodes[n++] = l->nodes[i];
		else if (!ret)
			l->why |= a.why;
	}
	l->n = n;
	if (ret)
		rebac_list_free(l);
	return ret;
}

/* ---- expand ----------------------------------------------------------- */

static bool part(struct rebac_tree *t, u32 depth, enum rebac_op op, u64 node, u32 rel)
{
	if (t->n == REBAC_STEPS_MAX) {
		t->cut = true;
		return false;
	}
	t->parts[t->n++] = (struct rebac_part){
		.depth = (u8)depth, .op = op, .node = node, .rel = rel,
	};
	return true;
}

static int expand_tuples(const struct rebac_question *q, struct rebac_tree *t, u64 node, u32 rel,
			 u32 into, u32 depth)
{
	const struct rebac_relation *r = rebac_policy_relation(q->policy, rebac_type_of(node), rel);
	struct rebac_row rows[BATCH], after = { 0 };
	bool first = true;
	int n, i;

	do {
		n = q->txn->ops->scan(q->txn, node, rel, first ? NULL : &after, rows, BATCH);
		if (n < 0)
			return n;
		for (i = 0; i < n; i++) {
			if ((rows[i].expires && q->now >= rows[i].expires) || (into && rows[i].srel) ||
			    !rebac_expr_takes(&r->expr, rows[i].node, rows[i].srel))
				continue;
			if (!part(t, depth, into ? REBAC_COMPUTED : REBAC_THIS, rows[i].node,
				  into ? into : rows[i].srel))
				return 0;
		}
		if (n)
			after = rows[n - 1];
		first = false;
	} while (n == (int)BATCH);
	return 0;
}

static int expand(const struct rebac_question *q, struct rebac_tree *t, const struct rebac_expr *e,
		  u64 node, u32 rel, u32 depth)
{
	int ret = 0;
	u32 i;

	if (e->op == REBAC_THIS)
		return expand_tuples(q, t, node, rel, 0, depth);
	if (!part(t, depth, e->op, node, e->op == REBAC_COMPUTED || e->op == REBAC_FROM ?
		  e->rel.sym : rel))
		return 0;
	if (e->op == REBAC_FROM)
		return expand_tuples(q, t, node, e->tupleset.sym, e->rel.sym, depth + 1);
	for (i = 0; i < e->nkids && !ret; i++)
		ret = expand(q, t, &e->kids[i], node, rel, depth + 1);
	return ret;
}

int rebac_expand(const struct rebac_question *q, u64 node, u32 rel, struct rebac_tree *t)
{
	const struct rebac_relation *r = rebac_policy_relation(q->policy, rebac_type_of(node), rel);

	t->n = 0;
	t->cut = false;
	return r ? expand(q, t, &r->expr, node, rel, 0) : -ENOENT;
}
