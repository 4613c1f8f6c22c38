// SPDX-License-Identifier: Apache-2.0
/*
 * Depth first, with what was found out remembered.
 *
 * A question that is asked again while it is open is "no" for the moment: the
 * answer that comes of it is tainted by the depth of the open one.  A tainted
 * "yes" is a yes (what was taken for "no" can only add to it).  A tainted "no"
 * is provisional until the open ones have ended: with "no", it is right; with
 * anything else, it is forgotten.  Behind an exclusion (@wall: the depth it
 * was met at) nothing open may be taken for "no": that is unknown.
 */
#include "closure.h"
#include "eval_impl.h"

#define BATCH	64u

struct rebac_eval {
	struct rebac_question q;
	struct memory mem;
	struct rebac_answer a;
	u64 deadline;
	int error;		/* of the store: the end */
	u32 over;		/* REBAC_WHY_ of a limit of the whole: the end, too */
};

struct res {
	enum rebac_value value;
	u32 why;
	u64 taint;
};

static const struct res no = { REBAC_NO, 0, 0 };
static const struct res yes = { REBAC_YES, 0, 0 };

static struct res unknown(u32 why)
{
	return (struct res){ REBAC_UNKNOWN, why, 0 };
}

static struct res either(struct res a, struct res b)
{
	if (a.value == REBAC_YES || b.value == REBAC_YES)
		return yes;
	return (struct res){
		.value = a.value == REBAC_UNKNOWN ? a.value : b.value,
		.why = a.why | b.why,
		.taint = a.taint | b.taint,
	};
}

static struct res both(struct res a, struct res b)
{
	if (a.value == REBAC_NO)
		return a;
	if (b.value == REBAC_NO)
		return b;
	return (struct res){
		.value = a.value == REBAC_UNKNOWN ? a.value : b.value,
		.why = a.why | b.why,
		.taint = a.taint | b.taint,
	};
}

/* Taints come from this side of the wall only, and have ended. */
static struct res opposite(struct res a)
{
	if (a.value != REBAC_UNKNOWN)
		a.value = a.value == REBAC_YES ? REBAC_NO : REBAC_YES;
	return a;
}

/* Nothing more is to be found out. */
static bool ended(const struct rebac_eval *e)
{
	return e->error || e->over;
}

static struct res end(struct rebac_eval *e, int error, u32 over)
{
	if (!ended(e)) {
		e->error = error;
		e->over = over;
	}
	return unknown(e->over);
}

/* ---- steps of an explanation ------------------------------------------ */

static u32 step(struct rebac_eval *e, enum rebac_step_kind kind, u32 depth, u64 node, u32 rel,
		const struct rebac_row *row, enum rebac_value value)
{
	struct rebac_trace *t = e->q.trace;
	struct rebac_step *s;

	if (!t)
		return 0;
	if (t->n == REBAC_STEPS_MAX) {
		t->cut = true;
		return REBAC_STEPS_MAX;
	}
	s = &t->steps[t->n];
	*s = (struct rebac_step){
		.kind = kind, .depth = (u8)depth, .value = (u8)value, .node = node, .rel = rel,
		.subj = row ? row->node : 0, .srel = row ? row->srel : 0,
	};
	return t->n++;
}

/* ---- tuples ----------------------------------------------------------- */

static bool count_rows(struct rebac_eval *e, int n)
{
	e->a.reads += (u32)n;
	if (e->a.reads <= e->q.limits.reads)
		return true;
	end(e, 0, REBAC_WHY_READS);
	return false;
}

/* All of a small object; NULL when it has more, or at the end. */
static const struct page *page_of(struct rebac_eval *e, u64 node)
{
	struct rebac_row rows[PAGE_ROWS + 1];
	struct page *p = memory_page(&e->mem, node);
	int n;

	if (!p) {
		end(e, -ENOMEM, 0);
		return NULL;
	}
	if (!p->used) {
		n = e->q.txn->ops->scan(e->q.txn, node, 0, NULL, rows, PAGE_ROWS + 1);
		if (n < 0) {
			end(e, n, 0);
			return NULL;
		}
		if (!count_rows(e, n))
			return NULL;
		p->whole = n <= (int)PAGE_ROWS;
		if (memory_rows(&e->mem, p, rows, p->whole ? (u32)n : 0)) {
			end(e, -ENOMEM, 0);
			return NULL;
		}
		p->node = node;
		p->used = true;
		e->mem.page_used++;
	}
	return p->whole ? p : NULL;
}

static enum rebac_value condition(struct rebac_eval *e, u64 node, const struct rebac_row *row)
{
	struct rebac_key key = { node, row->rel, row->srel, row->node };
	char text[REBAC_COND_MAX + 1];
	int n;

	n = e->q.txn->ops->condition(e->q.txn, &key, text);
	if (n < 0) {
		end(e, n, 0);
		return REBAC_UNKNOWN;
	}
	e->a.contextual = true;
	return rebac_cond_eval(text, e->q.facts, e->q.nfacts);
}

/* Does the tuple hold, here and now? */
static struct res valid(struct rebac_eval *e, const struct rebac_relation *r, u64 node,
			const struct rebac_row *row, u32 depth)
{
	struct res v = yes;

	if ((row->expires && e->q.now >= row->expires) ||
	    !rebac_expr_takes(&r->expr, row->node, row->srel))
		v = no;
	else if (row->conditional)
		v.value = condition(e, node, row);
	if (v.value == REBAC_UNKNOWN)
		v.why = REBAC_WHY_CONDITION;
	if (row->expires)
		rebac_span_narrow(&e->a.valid_from, &e->a.valid_until, e->q.now, row->expires);
	step(e, REBAC_STEP_TUPLE, depth, node, row->rel, row, v.value);
	return v;
}

/* The subject itself, or everybody. */
static bool meant(const struct rebac_eval *e, const struct rebac_row *row)
{
	if (row->srel != e->q.srel)
		return false;
	if (row->node == e->q.subj)
		return true;
	return !row->srel && (row->node == REBAC_ANYBODY ||
			      row->node == rebac_node(rebac_type_of(e->q.subj), REBAC_EVERY));
}

/* NOLINTBEGIN(misc-no-recursion): no deeper than the limit of the question */
static struct res ask(struct rebac_eval *e, u64 node, u32 rel, u32 depth, u32 wall);

struct walk {
	const struct rebac_relation *r;	/* that the tuples have */
	u64 node;
	u32 depth, wall;
	u32 into;	/* FROM: the relation to ask of their subjects; THIS: 0 */
	u32 followed;
	struct res found;
};

/* One tuple; true when nothing more can come. */
static bool follow(struct rebac_eval *e, struct walk *w, const struct rebac_row *row)
{
	u32 rel = w->into ? w->into : row->srel;
	struct res v;

	if (w->into ? row->srel || rebac_number(row->node) == REBAC_EVERY : !row->srel)
		return false;
	if (w->into && !rebac_policy_relation(e->q.policy, rebac_type_of(row->node), rel))
		return false;
	if (w->followed++ == e->q.limits.fanout) {
		w->found = either(w->found, unknown(REBAC_WHY_FANOUT));
		return true;
	}
	v = valid(e, w->r, w->node, row, w->depth);
	if (v.value != REBAC_NO)
		v = both(v, ask(e, row->node, rel, w->depth + 1, w->wall));
	w->found = either(w->found, v);
	return w->found.value == REBAC_YES || ended(e);
}

/* Usersets of the relation, or (FROM) its plain subjects, in batches. */
static void walk_store(struct rebac_eval *e, struct walk *w)
{
	struct rebac_row rows[BATCH], after = {
		.rel = w->r->name.sym, .srel = w->into ? 0 : 1, .node = 0,
	};
	int n, i;

	do {
		n = e->q.txn->ops->scan(e->q.txn, w->node, w->r->name.sym, &after, rows, BATCH);
		if (n < 0) {
			end(e, n, 0);
			return;
		}
		if (!count_rows(e, n))
			return;
		for (i = 0; i < n; i++)
			if ((w->into && rows[i].srel) || follow(e, w, &rows[i]))
				return;
		if (n)
			after = rows[n - 1];
	} while (n == (int)BATCH);
}

static void walk(struct rebac_eval *e, struct walk *w)
{
	const struct page *p = page_of(e, w->node);
	u32 i, n, first;

	if (ended(e))
		return;
	if (!p) {
		walk_store(e, w);
		return;
	}
	/* Places change while others are asked. */
	first = p->first;
	n = p->n;
	for (i = 0; i < n; i++) {
		struct rebac_row row = e->mem.rows[first + i];

		if (row.rel == w->r->name.sym && follow(e, w, &row))
			return;
	}
}

static struct res direct_find(struct rebac_eval *e, const struct rebac_relation *r, u64 node,
			      u32 depth)
{
	u64 subjects[3] = { e->q.subj, rebac_node(rebac_type_of(e->q.subj), REBAC_EVERY),
			    REBAC_ANYBODY };
	struct res found = no;
	struct rebac_row row;
	int i, ret;

	for (i = 0; i < (e->q.srel ? 1 : 3); i++) {
		struct rebac_key key = { node, r->name.sym, e->q.srel, subjects[i] };

		if ((i && subjects[i] == subjects[0]) ||
		    !rebac_expr_takes(&r->expr, subjects[i], e->q.srel))
			continue;
		ret = e->q.txn->ops->find(e->q.txn, &key, &row);
		if (ret == -ENOENT)
			continue;
		if (ret)
			return end(e, ret, 0);
		if (!count_rows(e, 1))
			return unknown(e->over);
		found = either(found, valid(e, r, node, &row, depth));
	}
	return found;
}

static struct res direct(struct rebac_eval *e, const struct rebac_relation *r, u64 node, u32 depth)
{
	const struct page *p = page_of(e, node);
	struct res found = no;
	u32 i;

	if (ended(e))
		return unknown(e->over);
	if (!p)
		return direct_find(e, r, node, depth);
	for (i = 0; i < p->n; i++) {
		const struct rebac_row *row = &e->mem.rows[p->first + i];

		if (row->rel == r->name.sym && meant(e, row))
			found = either(found, valid(e, r, node, row, depth));
	}
	return found;
}

/* ---- expressions ------------------------------------------------------ */

static bool takes_usersets(const struct rebac_expr *e)
{
	u32 i;

	for (i = 0; i < e->nallowed; i++)
		if (e->allowed[i].rel.name[0])
			return true;
	return !e->nallowed;
}

static struct res expr(struct rebac_eval *e, const struct rebac_relation *r,
		       const struct rebac_expr *x, u64 node, u32 depth, u32 wall)
{
	struct walk w = { .r = r, .node = node, .depth = depth, .wall = wall, .found = no };
	struct res v;
	u32 i;

	switch (x->op) {
	case REBAC_THIS:
		w.found = direct(e, r, node, depth);
		if (w.found.value != REBAC_YES && !ended(e) && takes_usersets(x))
			walk(e, &w);
		return ended(e) ? unknown(e->over) : w.found;
	case REBAC_COMPUTED:
		return ask(e, node, x->rel.sym, depth + 1, wall);
	case REBAC_FROM:
		w.r = rebac_policy_relation(e->q.policy, rebac_type_of(node), x->tupleset.sym);
		w.into = x->rel.sym;
		walk(e, &w);
		return ended(e) && w.found.value != REBAC_YES ? unknown(e->over) : w.found;
	case REBAC_UNION:
		v = no;
		for (i = 0; i < x->nkids && v.value != REBAC_YES; i++)
			v = either(v, expr(e, r, &x->kids[i], node, depth, wall));
		return v;
	case REBAC_INTERSECTION:
		v = yes;
		for (i = 0; i < x->nkids && v.value != REBAC_NO; i++)
			v = both(v, expr(e, r, &x->kids[i], node, depth, wall));
		return v;
	case REBAC_EXCLUSION:
		v = expr(e, r, &x->kids[0], node, depth, wall);
		if (v.value == REBAC_NO)
			return v;
		return both(v, opposite(expr(e, r, &x->kids[1], node, depth, depth + 1)));
	}
	return no;
}

/* ---- questions -------------------------------------------------------- */

static u64 below(u32 depth)
{
	return (1ull << depth) - 1;
}

/*
 * The question at @depth has ended with @v: what was provisional because of
 * it is so no more.
 */
static void settle(struct rebac_eval *e, u32 from, u32 depth, const struct res *v)
{
	u64 bit = 1ull << depth;
	u32 i, keep = from;

	for (i = from; i < e->mem.prov_n; i++) {
		struct memo *m = &e->mem.memos[e->mem.provisional[i]];

		if (m->state != MEMO_PROVISIONAL)
			continue;
		if (m->taint & bit) {
			if (v->value != REBAC_NO) {
				m->state = MEMO_NEW;
				continue;
			}
			m->taint = (m->taint & ~bit) | v->taint;
		}
		if (m->taint)
			e->mem.provisional[keep++] = e->mem.provisional[i];
		else
			m->state = MEMO_DONE;
	}
	e->mem.prov_n = keep;
}

static void remember(struct rebac_eval *e, u64 node, u32 rel, const struct res *v)
{
	int place = memory_memo(&e->mem, node, rel);
	struct memo *m;

	if (place < 0) {
		end(e, -ENOMEM, 0);
		return;
	}
	m = &e->mem.memos[place];
	m->value = (u8)v->value;
	m->why = v->why;
	m->taint = v->taint;
	/* What a limit cut off here may fit in elsewhere, and in the next question. */
	if (v->value == REBAC_UNKNOWN)
		m->state = v->taint || (v->why & ~(REBAC_WHY_FANOUT | REBAC_WHY_CONDITION)) ?
			MEMO_NEW : MEMO_DONE;
	else if (!v->taint)
		m->state = MEMO_DONE;
	else {
		m->state = MEMO_PROVISIONAL;
		if (memory_provisional(&e->mem, (u32)place))
			end(e, -ENOMEM, 0);
	}
}

/* What the closure of the subject knows, as long as it does. */
static bool from_closure(struct rebac_eval *e, u64 node, u32 rel, u32 depth, struct res *v)
{
	const struct rebac_closure *c = e->q.closure;
	int known = rebac_closure_has(c, node, rel, e->q.limits.depth - depth);

	if (known < 0)
		return false;
	*v = known ? yes : no;
	if (c->valid_from > e->a.valid_from)
		e->a.valid_from = c->valid_from;
	if (c->valid_until < e->a.valid_until)
		e->a.valid_until = c->valid_until;
	return true;
}

/* Is it known already?  Else it is open now. */
static bool recall(struct rebac_eval *e, const struct rebac_relation *r, u64 node, u32 depth,
		   u32 wall, struct res *v)
{
	u32 rel = r->name.sym;
	struct memo *m;
	int place;

	if (node == e->q.subj && rel == e->q.srel) {
		*v = yes;
		return true;
	}
	place = memory_memo(&e->mem, node, rel);
	if (place < 0) {
		*v = end(e, -ENOMEM, 0);
		return true;
	}
	m = &e->mem.memos[place];
	if (m->state == MEMO_OPEN) {
		*v = m->depth < wall ? unknown(REBAC_WHY_CYCLE) : no;
		v->taint = 1ull << m->depth;
		step(e, REBAC_STEP_CYCLE, depth, node, rel, NULL, v->value);
		return true;
	}
	if (m->state == MEMO_DONE || (m->state == MEMO_PROVISIONAL && !(m->taint & below(wall)))) {
		*v = (struct res){ (enum rebac_value)m->value, m->why, m->taint };
		step(e, REBAC_STEP_KNOWN, depth, node, rel, NULL, v->value);
		return true;
	}
	if (e->q.closure && r->closed && from_closure(e, node, rel, depth, v)) {
		step(e, REBAC_STEP_KNOWN, depth, node, rel, NULL, v->value);
		return true;
	}
	m->state = MEMO_OPEN;
	m->depth = (u8)depth;
	return false;
}

/* The limits of the whole. */
static bool go_on(struct rebac_eval *e)
{
	if (!ended(e) && ++e->a.nodes > e->q.limits.nodes)
		end(e, 0, REBAC_WHY_NODES);
	if (!ended(e) && e->a.nodes % 16 == 1 && question_ns(&e->q) >= e->deadline)
		end(e, 0, REBAC_WHY_DEADLINE);
	return !ended(e);
}

static struct res ask(struct rebac_eval *e, u64 node, u32 rel, u32 depth, u32 wall)
{
	const struct rebac_relation *r;
	u32 provisional, at;
	struct res v;

	if (ended(e))
		return unknown(e->over);
	if (depth > e->q.limits.depth)
		return unknown(REBAC_WHY_DEPTH);
	r = rebac_policy_relation(e->q.policy, rebac_type_of(node), rel);
	if (!r)
		return no;
	if (recall(e, r, node, depth, wall, &v))
		return v;
	if (!go_on(e))
		return unknown(e->over);
	at = step(e, REBAC_STEP_RELATION, depth, node, rel, NULL, REBAC_UNKNOWN);
	provisional = e->mem.prov_n;
	v = expr(e, r, &r->expr, node, depth, wall);
	v.taint &= v.value == REBAC_YES ? 0 : ~(1ull << depth);
	if (ended(e) && v.value != REBAC_YES)
		return unknown(e->over);
	settle(e, provisional, depth, &v);
	remember(e, node, rel, &v);
	if (e->q.trace && at < REBAC_STEPS_MAX)
		e->q.trace->steps[at].value = (u8)v.value;
	return v;
}

/* ---- from outside ----------------------------------------------------- */

static void limit(u32 *value, u32 most)
{
	if (!*value || *value > most)
		*value = most;
}

void rebac_limits_settle(struct rebac_limits *l)
{
	limit(&l->depth, 50);
	limit(&l->fanout, 1000);
	limit(&l->nodes, 10000);
	limit(&l->reads, 100000);
	limit(&l->time_ms, 1000);
}

struct rebac_eval *rebac_eval_new(const struct rebac_question *q)
{
	struct rebac_eval *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->q = *q;
	rebac_limits_settle(&e->q.limits);
	e->a.valid_from = INT64_MIN;
	e->a.valid_until = INT64_MAX;
	if (memory_init(&e->mem)) {
		free(e);
		return NULL;
	}
	return e;
}

void rebac_eval_free(struct rebac_eval *e)
{
	if (!e)
		return;
	memory_free(&e->mem);
	free(e);
}

int rebac_eval_ask(struct rebac_eval *e, u64 node, u32 rel, struct rebac_answer *a)
{
	struct res v;

	if (!rebac_policy_relation(e->q.policy, rebac_type_of(node), rel))
		return -ENOENT;
	if (e->error)
		return e->error;
	e->over = 0;
	e->a.nodes = e->a.reads = 0;
	e->deadline = question_ns(&e->q) + e->q.limits.time_ms * 1000000ull;
	v = ask(e, node, rel, 1, 0);
	/* A yes that came before an error would not be the same again. */
	if (e->error)
		return e->error;
	*a = e->a;
	a->value = v.value;
	a->why = v.value == REBAC_UNKNOWN ? v.why : 0;
	if (e->over) {
		/* Questions that were left open are not to be met by the next one. */
		memory_free(&e->mem);
		e->error = memory_init(&e->mem);
	}
	return 0;
}

int rebac_evaluate(const struct rebac_question *q, u64 node, u32 rel, struct rebac_answer *a)
{
	struct rebac_eval *e = rebac_eval_new(q);
	int ret;

	if (!e)
		return -ENOMEM;
	ret = rebac_eval_ask(e, node, rel, a);
	rebac_eval_free(e);
	return ret;
}
/* NOLINTEND(misc-no-recursion) */
