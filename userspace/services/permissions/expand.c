// SPDX-License-Identifier: Apache-2.0
/* Who has a relation, as a tree.  Each relation of an object is in it once. */
#include "list.h"

#include "eval_impl.h"

#define BATCH	64u

struct expansion {
	const struct rebac_question *q;
	struct rebac_limits limits;
	struct memory seen;
	struct rebac_tree *t;
	u64 deadline;
	u32 reads;
};

/* A branch, or false without room for one. */
static bool branch(struct expansion *x, enum rebac_branch_kind kind, u32 depth, u64 node, u32 rel,
		   bool conditional)
{
	if (x->t->n == x->t->max) {
		x->t->why |= REBAC_WHY_NODES;
		return false;
	}
	x->t->branches[x->t->n++] = (struct rebac_branch){ kind, depth, node, rel, conditional };
	return true;
}

static bool go_on(struct expansion *x)
{
	if (x->reads > x->limits.reads)
		x->t->why |= REBAC_WHY_READS;
	if (question_ns(x->q) >= x->deadline)
		x->t->why |= REBAC_WHY_DEADLINE;
	return !(x->t->why & (REBAC_WHY_NODES | REBAC_WHY_READS | REBAC_WHY_DEADLINE));
}

/* NOLINTBEGIN(misc-no-recursion): no deeper than the limit of the question */
static int expand(struct expansion *x, u64 node, u32 rel, u32 level, u32 depth, bool conditional);

struct tuples {
	const struct rebac_relation *r;	/* that they have */
	u64 node;
	u32 into;	/* FROM: the relation to follow; THIS: 0 */
	u32 level, depth;
	u32 followed;
};

static int one_tuple(struct expansion *x, struct tuples *s, const struct rebac_row *row)
{
	u32 rel = s->into ? s->into : row->srel;

	if ((row->expires && x->q->now >= row->expires) ||
	    !rebac_expr_takes(&s->r->expr, row->node, row->srel))
		return 0;
	if (!s->into && !row->srel) {
		branch(x, REBAC_BRANCH_SUBJECT, s->depth, row->node, 0, row->conditional);
		return 0;
	}
	if (s->into && (row->srel || rebac_number(row->node) == REBAC_EVERY))
		return 0;
	if (!rebac_policy_relation(x->q->policy, rebac_type_of(row->node), rel))
		return 0;
	if (s->followed++ == x->limits.fanout)
		x->t->why |= REBAC_WHY_FANOUT;
	if (s->followed > x->limits.fanout)
		return 0;
	return expand(x, row->node, rel, s->level + 1, s->depth, row->conditional);
}

static int all_tuples(struct expansion *x, struct tuples *s)
{
	struct rebac_row rows[BATCH], last;
	bool more = false;
	int n, i, ret = 0;

	do {
		n = x->q->txn->ops->scan(x->q->txn, s->node, s->r->name.sym, more ? &last : NULL,
					 rows, BATCH);
		if (n < 0)
			return n;
		x->reads += (u32)n;
		for (i = 0; i < n && !ret && go_on(x); i++)
			ret = one_tuple(x, s, &rows[i]);
		if (n)
			last = rows[n - 1];
		more = n == (int)BATCH;
	} while (!ret && more && go_on(x));
	return ret;
}

static int expand_expr(struct expansion *x, const struct rebac_relation *r,
		       const struct rebac_expr *e, u64 node, u32 level, u32 depth)
{
	struct tuples s = { .r = r, .node = node, .level = level, .depth = depth + 1 };
	enum rebac_branch_kind kind = REBAC_BRANCH_UNION;
	int ret = 0;
	u32 i;

	if (e->op == REBAC_COMPUTED)
		return expand(x, node, e->rel.sym, level + 1, depth, false);
	if (e->op == REBAC_INTERSECTION)
		kind = REBAC_BRANCH_INTERSECTION;
	else if (e->op == REBAC_EXCLUSION)
		kind = REBAC_BRANCH_EXCLUSION;
	if (!branch(x, kind, depth, node, 0, false))
		return 0;
	if (e->op == REBAC_FROM) {
		s.r = rebac_policy_relation(x->q->policy, rebac_type_of(node), e->tupleset.sym);
		s.into = e->rel.sym;
	}
	if (e->op == REBAC_THIS || e->op == REBAC_FROM)
		return all_tuples(x, &s);
	for (i = 0; i < e->nkids && !ret && go_on(x); i++)
		ret = expand_expr(x, r, &e->kids[i], node, level, depth + 1);
	return ret;
}

/* @level counts relations, as the limit of the depth does; @depth is that in the tree. */
static int expand(struct expansion *x, u64 node, u32 rel, u32 level, u32 depth, bool conditional)
{
	const struct rebac_relation *r =
		rebac_policy_relation(x->q->policy, rebac_type_of(node), rel);
	int place = memory_memo(&x->seen, node, rel);

	if (place < 0)
		return place;
	if (x->seen.memos[place].state != MEMO_NEW) {
		branch(x, REBAC_BRANCH_SEEN, depth, node, rel, conditional);
		return 0;
	}
	if (level > x->limits.depth) {
		x->t->why |= REBAC_WHY_DEPTH;
		branch(x, REBAC_BRANCH_CUT, depth, node, rel, conditional);
		return 0;
	}
	x->seen.memos[place].state = MEMO_DONE;
	if (!branch(x, REBAC_BRANCH_RELATION, depth, node, rel, conditional) || !go_on(x))
		return 0;
	return expand_expr(x, r, &r->expr, node, level, depth + 1);
}
/* NOLINTEND(misc-no-recursion) */

int rebac_expand(const struct rebac_question *q, u64 node, u32 rel, struct rebac_tree *t)
{
	struct expansion x = { .q = q, .limits = q->limits, .t = t };
	int ret;

	t->n = t->why = 0;
	if (!rebac_policy_relation(q->policy, rebac_type_of(node), rel))
		return -ENOENT;
	rebac_limits_settle(&x.limits);
	x.deadline = question_ns(q) + x.limits.time_ms * 1000000ull;
	ret = memory_init(&x.seen);
	if (ret)
		return ret;
	ret = expand(&x, node, rel, 1, 0, false);
	memory_free(&x.seen);
	return ret;
}
