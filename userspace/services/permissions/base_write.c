// SPDX-License-Identifier: Apache-2.0
/* What changes tuples and the policy: each one transaction with one revision. */
#include "base.h"

#include <stdio.h>
#include <sys/random.h>

#define CLEAN_FEW	32u	/* expired tuples that a write takes along */
#define SCAN_BATCH	64u

/* The revision of what is about to be committed. */
static int next_revision(struct base_view *v)
{
	u64 mark = 0;

	while (!mark)
		if (getrandom(&mark, sizeof(mark), 0) != (ssize_t)sizeof(mark))
			return -EIO;
	v->state.stamped = ++v->state.revision;
	v->state.mark = mark;
	return v->txn->ops->set_revision(v->txn, v->state.revision, mark);
}

/*
 * What it changes, for other helpers.  Somebody who left no stamps may have changed
 * anything before.
 */
int base_stamp(struct base_view *v)
{
	struct rebac_stamp s = { .revision = v->state.revision, .mark = v->state.mark };
	int ret = 0;
	u32 i;

	v->all |= !v->policy || v->begun.stamped != v->begun.revision;
	if (v->all)
		return v->txn->ops->stamp(v->txn, &s);
	for (i = 0; i < v->policy->nrels && !ret; i++) {
		if (!rebac_set_has(v->touched, i))
			continue;
		s.type = v->policy->owner[i]->name.sym;
		s.rel = v->policy->all[i]->name.sym;
		ret = v->txn->ops->stamp(v->txn, &s);
	}
	return ret;
}

/* A tuple was changed that the policy may know. */
static void touch(struct base_view *v, const struct rebac_key *key)
{
	const struct rebac_relation *r = !v->policy ? NULL :
		rebac_policy_relation(v->policy, rebac_type_of(key->obj), key->rel);

	if (r)
		v->touched[r->index / 64] |= 1ull << r->index % 64;
}

/* They have expired: no answer changes. */
static int clean_some(struct base_view *v, u32 max, u32 *removed)
{
	struct rebac_key keys[CLEAN_FEW];
	s64 now = base_now(v->base);
	int n, i, ret = 0;

	*removed = 0;
	do {
		u32 most = max - *removed < CLEAN_FEW ? max - *removed : CLEAN_FEW;

		n = v->txn->ops->expired(v->txn, now, keys, most);
		if (n < 0)
			return n;
		for (i = 0; i < n && !ret; i++)
			ret = v->txn->ops->del(v->txn, &keys[i]);
		*removed += (u32)n;
	} while (!ret && n == (int)CLEAN_FEW && *removed < max);
	return ret;
}

/* Is it there?  What has expired is not.  0, 1 or an error. */
static int is_there(struct base_view *v, const struct rebac_key *key)
{
	struct rebac_row row;
	int ret = v->txn->ops->find(v->txn, key, &row);

	if (ret)
		return ret == -ENOENT ? 0 : ret;
	return !row.expires || base_now(v->base) < row.expires;
}

struct write {
	struct nexus_permission_write_args *a;
	struct rebac_err err;
};

static int precondition(struct base_view *v, struct write *w,
			const struct nexus_permission_precondition *p)
{
	struct rebac_key key;
	int ret = base_tuple(v, &p->tuple, false, &key, &w->err);

	if (!ret)
		ret = is_there(v, &key);
	if (ret == -ENOENT)	/* of an id: so it is not there */
		ret = 0;
	if (ret < 0)
		return ret;
	return ret == !p->absent ? 0 :
		rebac_fail(&w->err, -ECANCELED, p->absent ? "the tuple is there" :
			   "the tuple is not there");
}

static int put(struct base_view *v, struct write *w, const struct nexus_permission_update *u)
{
	struct rebac_key key;
	int ret;

	if (u->expires_ms < 0)
		return rebac_fail(&w->err, -EINVAL, "a time before 1970");
	if (base_given(u->condition)) {
		ret = rebac_cond_check(u->condition, &w->err);
		if (ret)
			return ret;
	}
	ret = base_tuple(v, &u->tuple, true, &key, &w->err);
	if (!ret && u->kind == NEXUS_PERMISSION_CREATE) {
		ret = is_there(v, &key);
		if (ret > 0)
			return rebac_fail(&w->err, -EEXIST, "the tuple is there");
	}
	if (!ret)
		ret = v->txn->ops->put(v->txn, &key, u->expires_ms, u->condition);
	if (ret)
		return ret;
	touch(v, &key);
	w->a->changed++;
	return 0;
}

/* A symbol of what an earlier policy may have had. */
static int symbol(struct base_view *v, const char *name, u32 *sym)
{
	int ret;

	*sym = 0;
	if (!base_given(name) || !strcmp(name, "*"))
		return 0;
	if (!rebac_name_ok(name, strnlen(name, REBAC_NAME_MAX + 1)))
		return -EINVAL;
	ret = v->txn->ops->symbol(v->txn, name, false);
	if (ret > 0)
		*sym = (u32)ret;
	return ret < 0 ? ret : 0;
}

static int node(struct base_view *v, const char *type, const char *id, u64 *node)
{
	size_t len = id ? strnlen(id, REBAC_ID_MAX + 1) : 0;
	u32 sym, number = REBAC_EVERY;
	int ret = symbol(v, type, &sym);

	if (ret)
		return ret;
	if (len != 1 || id[0] != '*') {
		if (!sym || !rebac_id_ok(id, len))
			return -EINVAL;
		ret = v->txn->ops->number(v->txn, sym, id, len, false, &number);
	}
	*node = rebac_node(sym, number);
	return ret;
}

/* Whatever the policy says of it now. */
static int take(struct base_view *v, struct write *w, const struct nexus_permission_tuple *t)
{
	struct rebac_key key;
	int ret;

	if (!base_given(t->relation))
		return -EINVAL;
	ret = node(v, t->object_type, t->object_id, &key.obj);
	if (!ret)
		ret = node(v, t->subject_type, t->subject_id, &key.subj);
	if (!ret)
		ret = symbol(v, t->relation, &key.rel);
	if (!ret)
		ret = symbol(v, t->subject_relation, &key.srel);
	if (!ret)
		ret = v->txn->ops->del(v->txn, &key);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	touch(v, &key);
	w->a->changed++;
	return 0;
}

static int do_updates(struct base_view *v, struct write *w)
{
	struct nexus_permission_write_args *a = w->a;
	int ret = 0;
	u32 i;

	for (i = 0; i < a->npreconditions && !ret; i++, a->failed++)
		ret = precondition(v, w, &a->preconditions[i]);
	for (i = 0; i < a->nupdates && !ret; i++, a->failed++) {
		const struct nexus_permission_update *u = &a->updates[i];

		if (u->kind == NEXUS_PERMISSION_DELETE)
			ret = take(v, w, &u->tuple);
		else
			ret = u->kind <= NEXUS_PERMISSION_CREATE ? put(v, w, u) : -EINVAL;
	}
	if (ret)
		a->failed--;
	return ret;
}

static int write_work(struct base_view *v, void *arg)
{
	struct write *w = arg;
	u32 removed;
	int ret;

	w->a->changed = w->a->failed = 0;
	w->err.msg[0] = '\0';
	if (!v->policy)
		return rebac_fail(&w->err, -ENODATA, "there is no policy");
	ret = do_updates(v, w);
	if (!ret)
		ret = clean_some(v, CLEAN_FEW, &removed);
	if (!ret && (w->a->changed || removed))
		ret = next_revision(v);
	base_token(&v->state, w->a->token);
	return ret;
}

int base_write(struct base *b, struct nexus_permission_write_args *a)
{
	struct write w = { .a = a };
	int ret;

	if (a->nupdates > NEXUS_PERMISSION_BATCH_MAX ||
	    a->npreconditions > NEXUS_PERMISSION_BATCH_MAX)
		return -EMSGSIZE;
	ret = base_run(b, true, write_work, &w);
	snprintf(a->error, sizeof(a->error), "%s", ret ? w.err.msg : "");
	if (ret)
		a->token[0] = '\0';
	return ret;
}

/* ---- tuples that match ------------------------------------------------ */

struct match {
	struct nexus_permission_delete_args *a;
	struct rebac_key key;
	bool object, subject;	/* is given, whole */
};

static int read_match(struct base_view *v, struct match *m)
{
	const struct nexus_permission_tuple *t = &m->a->match;
	int ret = symbol(v, t->relation, &m->key.rel);

	m->object = base_given(t->object_type) && base_given(t->object_id);
	m->subject = base_given(t->subject_type) && base_given(t->subject_id);
	if ((!m->object && (!m->subject || base_given(t->object_type) || base_given(t->object_id))) ||
	    (!m->subject && (base_given(t->subject_type) || base_given(t->subject_id) ||
			     base_given(t->subject_relation))))
		return -EINVAL;
	if (!ret && m->object)
		ret = node(v, t->object_type, t->object_id, &m->key.obj);
	if (!ret && m->subject)
		ret = node(v, t->subject_type, t->subject_id, &m->key.subj);
	return ret ? ret : symbol(v, t->subject_relation, &m->key.srel);
}

static bool matches(const struct match *m, const struct rebac_key *k)
{
	return (!m->key.rel || k->rel == m->key.rel) &&
	       (!m->object || k->obj == m->key.obj) &&
	       (!m->subject || (k->subj == m->key.subj && k->srel == m->key.srel));
}

static int delete_matching(struct base_view *v, struct match *m, u32 max)
{
	struct rebac_row rows[SCAN_BATCH], after = { 0 };
	bool begun = false;
	int n, i, ret = 0;

	do {
		n = m->object ?
			v->txn->ops->scan(v->txn, m->key.obj, m->key.rel, begun ? &after : NULL,
					  rows, SCAN_BATCH) :
			v->txn->ops->reverse(v->txn, m->key.subj, m->key.srel,
					     begun ? &after : NULL, rows, SCAN_BATCH);
		if (n < 0)
			return n;
		for (i = 0; i < n && !ret; i++) {
			struct rebac_key k = { m->object ? m->key.obj : rows[i].node, rows[i].rel,
					       rows[i].srel, m->object ? rows[i].node : m->key.subj };

			if (!matches(m, &k))
				continue;
			if (m->a->deleted == max) {
				m->a->more = true;
				return 0;
			}
			ret = v->txn->ops->del(v->txn, &k);
			touch(v, &k);
			m->a->deleted++;
		}
		if (n)
			after = rows[n - 1];
		begun = true;
	} while (!ret && n == (int)SCAN_BATCH);
	return ret;
}

static int delete_work(struct base_view *v, void *arg)
{
	struct match *m = arg;
	u32 max = m->a->max ? m->a->max : NEXUS_PERMISSION_BATCH_MAX;
	int ret;

	m->a->deleted = 0;
	m->a->more = false;
	ret = read_match(v, m);
	if (!ret)
		ret = delete_matching(v, m, max);
	if (ret == -ENOENT)	/* of a name: nothing has it */
		ret = 0;
	if (!ret && m->a->deleted)
		ret = next_revision(v);
	base_token(&v->state, m->a->token);
	return ret;
}

int base_delete(struct base *b, struct nexus_permission_delete_args *a)
{
	struct match m = { .a = a };

	if (a->max > NEXUS_PERMISSION_BATCH_MAX)
		return -EMSGSIZE;
	return base_run(b, true, delete_work, &m);
}

static int clean_work(struct base_view *v, void *arg)
{
	struct nexus_permission_clean_args *a = arg;
	int ret = clean_some(v, NEXUS_PERMISSION_BATCH_MAX, &a->removed);

	a->more = a->removed == NEXUS_PERMISSION_BATCH_MAX;
	if (!ret && a->removed)
		ret = next_revision(v);
	return ret;
}

int base_clean(struct base *b, struct nexus_permission_clean_args *a)
{
	return base_run(b, true, clean_work, a);
}

/* ---- the policy ------------------------------------------------------- */

struct setting {
	struct nexus_permission_policy_args *a;
	struct rebac_policy *policy;
};

static int set_work(struct base_view *v, void *arg)
{
	struct setting *s = arg;
	int ret = rebac_policy_bind(s->policy, v->txn, true);

	if (!ret)
		ret = next_revision(v);
	if (!ret)
		ret = v->txn->ops->set_policy(v->txn, s->a->text, s->a->len, v->state.revision);
	v->state.policy = v->state.revision;
	v->all = true;
	base_token(&v->state, s->a->token);
	return ret;
}

int base_policy_set(struct base *b, struct nexus_permission_policy_args *a)
{
	struct setting s = { .a = a };
	struct rebac_err err = { "" };
	int ret;

	if (!a->text)
		return -EINVAL;
	ret = rebac_policy_parse(a->text, a->len, "policy", &s.policy, &err);
	snprintf(a->error, sizeof(a->error), "%s", err.msg);
	if (ret)
		return ret;
	ret = base_run(b, true, set_work, &s);
	rebac_policy_free(s.policy);
	return ret;
}

static int get_work(struct base_view *v, void *arg)
{
	struct nexus_permission_policy_args *a = arg;
	char *text, *copy;
	size_t len;
	int ret = v->txn->ops->policy(v->txn, &text, &len);

	if (ret)
		return ret == -ENOENT ? -ENODATA : ret;
	copy = v->base->more(a, len + 1);
	if (copy)
		memcpy(copy, text, len + 1);
	free(text);
	a->text = copy;
	a->len = (u32)len;
	base_token(&v->state, a->token);
	return copy ? 0 : -ENOMEM;
}

int base_policy_get(struct base *b, struct nexus_permission_policy_args *a)
{
	return base_run(b, false, get_work, a);
}
