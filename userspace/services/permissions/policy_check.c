// SPDX-License-Identifier: Apache-2.0
/* What a policy that was read refers to, and what follows from it. */
#include "policy.h"

struct rebac_type *rebac_policy_type(const struct rebac_policy *p, const char *name)
{
	u32 i;

	for (i = 0; i < p->ntypes; i++)
		if (!strcmp(p->types[i].name.name, name))
			return &p->types[i];
	return NULL;
}

struct rebac_relation *rebac_type_relation(const struct rebac_type *t, const char *name)
{
	u32 i;

	for (i = 0; i < t->nrels; i++)
		if (!strcmp(t->rels[i].name.name, name))
			return &t->rels[i];
	return NULL;
}

const struct rebac_relation *rebac_policy_relation(const struct rebac_policy *p, u32 type, u32 rel)
{
	const struct rebac_type *t;
	u32 i;

	for (t = p->types; t < p->types + p->ntypes; t++)
		if (t->name.sym == type)
			for (i = 0; i < t->nrels; i++)
				if (t->rels[i].name.sym == rel)
					return &t->rels[i];
	return NULL;
}

/* NOLINTBEGIN(misc-no-recursion): expressions are nested no deeper than policy.c reads them */
static void free_expr(struct rebac_expr *e)
{
	u32 i;

	for (i = 0; i < e->nkids; i++)
		free_expr(&e->kids[i]);
	free(e->kids);
	free(e->allowed);
}

void rebac_policy_free(struct rebac_policy *p)
{
	u32 i;

	if (!p)
		return;
	for (i = 0; i < p->nrels; i++)
		free_expr(&p->all[i]->expr);
	for (i = 0; i < p->ntypes; i++)
		free(p->types[i].rels);
	free(p->types);
	free(p);
}

/* ---- references ------------------------------------------------------- */

static int check_allowed(const struct rebac_policy *p, const struct rebac_allowed *a,
			 const char *file, struct rebac_err *err)
{
	const struct rebac_type *t;

	if (!a->type.name[0])
		return 0;
	t = rebac_policy_type(p, a->type.name);
	if (!t)
		return rebac_fail(err, -EINVAL, "%s:%zu: there is no type %s", file, a->line,
				  a->type.name);
	if (a->rel.name[0] && !rebac_type_relation(t, a->rel.name))
		return rebac_fail(err, -EINVAL, "%s:%zu: type %s has no relation %s", file, a->line,
				  a->type.name, a->rel.name);
	return 0;
}

/* Can a subject of @t stand in tuples of @e? */
static bool takes(const struct rebac_expr *e, const struct rebac_type *t)
{
	u32 i;

	for (i = 0; i < e->nkids; i++)
		if (takes(&e->kids[i], t))
			return true;
	if (e->op != REBAC_THIS)
		return false;
	for (i = 0; i < e->nallowed; i++)
		if (!e->allowed[i].rel.name[0] && !e->allowed[i].every &&
		    !strcmp(e->allowed[i].type.name, t->name.name))
			return true;
	return !e->nallowed;
}

static int check_from(const struct rebac_policy *p, const struct rebac_type *t,
		      const struct rebac_expr *e, const char *file, struct rebac_err *err)
{
	const struct rebac_relation *set = rebac_type_relation(t, e->tupleset.name);
	u32 i;

	if (!set)
		return rebac_fail(err, -EINVAL, "%s:%zu: type %s has no relation %s", file, e->line,
				  t->name.name, e->tupleset.name);
	if (!set->direct)
		return rebac_fail(err, -EINVAL, "%s:%zu: from: %s, which has no tuples", file,
				  e->line, e->tupleset.name);
	for (i = 0; i < p->ntypes; i++)
		if (takes(&set->expr, &p->types[i]) &&
		    rebac_type_relation(&p->types[i], e->rel.name))
			return 0;
	return rebac_fail(err, -EINVAL, "%s:%zu: no type that %s leads to has a relation %s", file,
			  e->line, e->tupleset.name, e->rel.name);
}

static int check_expr(const struct rebac_policy *p, const struct rebac_type *t,
		      const struct rebac_expr *e, const char *file, struct rebac_err *err)
{
	int ret = 0;
	u32 i;

	if (e->op == REBAC_COMPUTED && !rebac_type_relation(t, e->rel.name))
		return rebac_fail(err, -EINVAL, "%s:%zu: type %s has no relation %s", file, e->line,
				  t->name.name, e->rel.name);
	if (e->op == REBAC_FROM)
		return check_from(p, t, e, file, err);
	for (i = 0; i < e->nallowed && !ret; i++)
		ret = check_allowed(p, &e->allowed[i], file, err);
	for (i = 0; i < e->nkids && !ret; i++)
		ret = check_expr(p, t, &e->kids[i], file, err);
	return ret;
}

/* ---- what follows ----------------------------------------------------- */

static bool add_deps(u64 *to, const u64 *from)
{
	bool more = false;
	u32 i;

	for (i = 0; i < REBAC_RELATIONS_MAX / 64; i++) {
		more |= (from[i] & ~to[i]) != 0;
		to[i] |= from[i];
	}
	return more;
}

static bool depend(struct rebac_relation *r, const struct rebac_relation *on)
{
	bool more = r->pure && !on->pure;

	r->pure &= on->pure;
	return add_deps(r->deps, on->deps) || more;
}

static bool depend_this(const struct rebac_policy *p, struct rebac_relation *r,
			const struct rebac_expr *e)
{
	bool more = false;
	u32 i;

	/* A userset of anything may come. */
	for (i = 0; i < p->nrels && !e->nallowed; i++)
		more |= depend(r, p->all[i]);
	for (i = 0; i < e->nallowed; i++)
		if (e->allowed[i].rel.name[0])
			more |= depend(r, rebac_type_relation(
				rebac_policy_type(p, e->allowed[i].type.name),
				e->allowed[i].rel.name));
	return more;
}

static bool depend_expr(const struct rebac_policy *p, const struct rebac_type *t,
			struct rebac_relation *r, const struct rebac_expr *e)
{
	const struct rebac_relation *on;
	bool more = false;
	u32 i;

	switch (e->op) {
	case REBAC_THIS:
		return depend_this(p, r, e);
	case REBAC_COMPUTED:
		return depend(r, rebac_type_relation(t, e->rel.name));
	case REBAC_FROM:
		more = depend(r, rebac_type_relation(t, e->tupleset.name));
		for (i = 0; i < p->ntypes; i++) {
			on = rebac_type_relation(&p->types[i], e->rel.name);
			if (on)
				more |= depend(r, on);
		}
		return more;
	case REBAC_INTERSECTION:
	case REBAC_EXCLUSION:
		more = r->pure;
		r->pure = false;
		break;
	case REBAC_UNION:
		break;
	}
	for (i = 0; i < e->nkids; i++)
		more |= depend_expr(p, t, r, &e->kids[i]);
	return more;
}

/* ---- groups ----------------------------------------------------------- */

static void close_over(struct rebac_policy *p, const struct rebac_relation *r)
{
	if (r->pure)
		add_deps(p->closed, r->deps);
}

/* Those that tuples of the expression can have as a userset. */
static void close_expr(struct rebac_policy *p, const struct rebac_expr *e)
{
	u32 i;

	for (i = 0; i < e->nkids; i++)
		close_expr(p, &e->kids[i]);
	if (e->op != REBAC_THIS)
		return;
	for (i = 0; i < p->nrels && !e->nallowed; i++)
		close_over(p, p->all[i]);
	for (i = 0; i < e->nallowed; i++)
		if (e->allowed[i].rel.name[0])
			close_over(p, rebac_type_relation(
				rebac_policy_type(p, e->allowed[i].type.name),
				e->allowed[i].rel.name));
}

int rebac_policy_validate(struct rebac_policy *p, const char *file, struct rebac_err *err)
{
	bool more = true;
	int ret;
	u32 i;

	for (i = 0; i < p->nrels; i++) {
		ret = check_expr(p, p->owner[i], &p->all[i]->expr, file, err);
		if (ret)
			return ret;
		p->all[i]->pure = true;
		p->all[i]->deps[i / 64] |= 1ull << i % 64;
	}
	while (more) {
		more = false;
		for (i = 0; i < p->nrels; i++)
			more |= depend_expr(p, p->owner[i], p->all[i], &p->all[i]->expr);
	}
	for (i = 0; i < p->nrels; i++)
		close_expr(p, &p->all[i]->expr);
	for (i = 0; i < p->nrels; i++)
		p->all[i]->closed = p->all[i]->pure && rebac_set_has(p->closed, i);
	return 0;
}

/* ---- symbols ---------------------------------------------------------- */

static int bind(struct rebac_ref *ref, struct rebac_txn *txn, bool create)
{
	int ret;

	if (!ref->name[0])
		return 0;
	ret = txn->ops->symbol(txn, ref->name, create);
	if (ret < 0)
		return ret;
	ref->sym = (u32)ret;
	return 0;
}

static int bind_expr(struct rebac_expr *e, struct rebac_txn *txn, bool create)
{
	int ret;
	u32 i;

	ret = bind(&e->rel, txn, create);
	if (!ret)
		ret = bind(&e->tupleset, txn, create);
	for (i = 0; i < e->nallowed && !ret; i++) {
		ret = bind(&e->allowed[i].type, txn, create);
		if (!ret)
			ret = bind(&e->allowed[i].rel, txn, create);
	}
	for (i = 0; i < e->nkids && !ret; i++)
		ret = bind_expr(&e->kids[i], txn, create);
	return ret;
}

int rebac_policy_bind(struct rebac_policy *p, struct rebac_txn *txn, bool create)
{
	int ret = 0;
	u32 i;

	for (i = 0; i < p->ntypes && !ret; i++)
		ret = bind(&p->types[i].name, txn, create);
	for (i = 0; i < p->nrels && !ret; i++) {
		ret = bind(&p->all[i]->name, txn, create);
		if (!ret)
			ret = bind_expr(&p->all[i]->expr, txn, create);
	}
	return ret;
}

/* ---- tuples ----------------------------------------------------------- */

bool rebac_expr_mentions(const struct rebac_expr *e, enum rebac_op op, u32 tupleset, u32 rel)
{
	u32 i, n = e->op == REBAC_EXCLUSION ? 1 : e->nkids;

	if (e->op == op && e->rel.sym == rel && (op != REBAC_FROM || e->tupleset.sym == tupleset))
		return true;
	for (i = 0; i < n; i++)
		if (rebac_expr_mentions(&e->kids[i], op, tupleset, rel))
			return true;
	return false;
}

bool rebac_expr_takes(const struct rebac_expr *e, u64 subj, u32 srel)
{
	bool every = rebac_number(subj) == REBAC_EVERY;
	u32 i;

	for (i = 0; i < e->nkids; i++)
		if (rebac_expr_takes(&e->kids[i], subj, srel))
			return true;
	if (e->op != REBAC_THIS)
		return false;
	for (i = 0; i < e->nallowed; i++)
		if (e->allowed[i].type.sym == rebac_type_of(subj) &&
		    e->allowed[i].rel.sym == srel && e->allowed[i].every == every)
			return true;
	return !e->nallowed;
}

int rebac_policy_admits(const struct rebac_policy *p, const struct rebac_key *key,
			struct rebac_err *err)
{
	const struct rebac_relation *r = rebac_policy_relation(p, rebac_type_of(key->obj), key->rel);

	if (!r)
		return rebac_fail(err, -EINVAL, "the policy has no such relation of the object's type");
	if (!r->direct)
		return rebac_fail(err, -EINVAL, "%s follows from others: it has no tuples",
				  r->name.name);
	if (key->srel && !rebac_policy_relation(p, rebac_type_of(key->subj), key->srel))
		return rebac_fail(err, -EINVAL, "the policy has no such relation of the subject's type");
	if (key->srel && !rebac_number(key->subj))
		return rebac_fail(err, -EINVAL, "a wildcard has no relation");
	if (!rebac_expr_takes(&r->expr, key->subj, key->srel))
		return rebac_fail(err, -EINVAL, "%s does not take such a subject", r->name.name);
	return 0;
}
/* NOLINTEND(misc-no-recursion) */
