// SPDX-License-Identifier: Apache-2.0
/* Transactions, the policy in use, and what text means in them. */
#include "base.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

/* A policy in use; the base has one reference, each transaction with it another. */
struct base_policy {
	atomic_uint refs;
	u64 revision;
	struct rebac_policy *policy;
};

void base_init(struct base *b, struct rebac_store *store, void *(*more)(void *args, size_t size))
{
	memset(b, 0, sizeof(*b));
	b->store = store;
	b->more = more;
	pthread_mutex_init(&b->writing, NULL);
	pthread_mutex_init(&b->lock, NULL);
}

static void put_policy(struct base_policy *p)
{
	if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	rebac_policy_free(p->policy);
	free(p);
}

void base_end(struct base *b)
{
	cache_free(b->cache);
	share_free(b->share);
	put_policy(b->policy);
	pthread_mutex_destroy(&b->lock);
	pthread_mutex_destroy(&b->writing);
}

s64 base_now(const struct base *b)
{
	struct timespec ts;

	if (b->now_ms)
		return b->now_ms();
	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* ---- the policy ------------------------------------------------------- */

static struct base_policy *known_policy(struct base *b, u64 revision)
{
	struct base_policy *p;

	pthread_mutex_lock(&b->lock);
	p = b->policy && b->policy->revision == revision ? b->policy : NULL;
	if (p)
		atomic_fetch_add(&p->refs, 1);
	pthread_mutex_unlock(&b->lock);
	return p;
}

static int read_policy(struct base_view *v, struct base_policy *p)
{
	char *text;
	size_t len;
	int ret;

	ret = v->txn->ops->policy(v->txn, &text, &len);
	if (ret)
		return ret == -ENOENT ? -EUCLEAN : ret;
	/* It was good when it was set. */
	ret = rebac_policy_parse(text, len, "policy", &p->policy, NULL);
	free(text);
	if (ret)
		return ret == -ENOMEM ? ret : -EUCLEAN;
	ret = rebac_policy_bind(p->policy, v->txn, false);
	if (ret)
		rebac_policy_free(p->policy);
	return ret == -ENOENT ? -EUCLEAN : ret;
}

static int hold_policy(struct base_view *v)
{
	struct base_policy *p, *old = NULL;
	int ret;

	v->held = NULL;
	v->policy = NULL;
	if (!v->state.policy)
		return 0;
	p = known_policy(v->base, v->state.policy);
	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return -ENOMEM;
		ret = read_policy(v, p);
		if (ret) {
			free(p);
			return ret;
		}
		p->revision = v->state.policy;
		atomic_init(&p->refs, 1);
		pthread_mutex_lock(&v->base->lock);
		/* A transaction that began before must not take the newer one away. */
		if (!v->base->policy || v->base->policy->revision < p->revision) {
			old = v->base->policy;
			v->base->policy = p;
			atomic_fetch_add(&p->refs, 1);
		}
		pthread_mutex_unlock(&v->base->lock);
		put_policy(old);
	}
	v->held = p;
	v->policy = p->policy;
	return 0;
}

/* ---- transactions ----------------------------------------------------- */

/* What was changed is told before the answer, and to nobody when it was not done. */
static int commit(struct base_view *v)
{
	bool changed = v->state.revision != v->begun.revision;
	int ret = changed ? base_stamp(v) : 0;

	if (ret) {
		v->txn->ops->abort(v->txn);
		return ret;
	}
	if (changed)
		cache_will(v->base->cache, &v->state, v->all ? NULL : v->policy, v->touched);
	ret = v->txn->ops->commit(v->txn);
	if (changed)
		cache_did(v->base->cache, !ret);
	return ret;
}

/* What has changed since the cache was told last, by others. */
static int learn(struct base_view *v, u64 known)
{
	struct rebac_stamp *stamps = malloc(REBAC_STAMPS_MAX * sizeof(*stamps));
	u8 secret[REBAC_SECRET];
	int ret;

	if (!stamps)
		return -ENOMEM;
	ret = v->txn->ops->stamps(v->txn, stamps, REBAC_STAMPS_MAX);
	/* More than a policy has relations: none of ours wrote that. */
	if (ret == -EFBIG)
		ret = 0;
	if (ret >= 0) {
		u32 n = (u32)ret;

		ret = v->txn->ops->secret(v->txn, secret);
		if (!ret)
			cache_learn(v->base->cache, known, &v->state, v->policy,
				    &(struct cache_news){ stamps, n, secret });
	}
	free(stamps);
	return ret;
}

static int run_once(struct base *b, bool write, base_work work, void *arg)
{
	struct base_view v = { .base = b };
	u64 known = cache_known(b->cache);
	bool news = false;
	int ret;

	ret = b->store->ops->begin(b->store, write, &v.txn);
	if (ret) {
		if (ret != -EAGAIN)
			cache_lost(b->cache);
		return ret;
	}
	ret = v.txn->ops->state(v.txn, &v.state);
	v.begun = v.state;
	if (!ret) {
		news = cache_met(b->cache, known, &v.state);
		ret = hold_policy(&v);
	}
	if (!ret && news)
		ret = learn(&v, known);
	if (!ret)
		ret = work(&v, arg);
	if (ret || !write)
		v.txn->ops->abort(v.txn);
	else
		ret = commit(&v);
	put_policy(v.held);
	return ret;
}

int base_run(struct base *b, bool write, base_work work, void *arg)
{
	int ret, tries = 0;

	if (write)
		pthread_mutex_lock(&b->writing);
	do
		ret = run_once(b, write, work, arg);
	while (ret == -EAGAIN && ++tries < BASE_TRIES);
	if (write)
		pthread_mutex_unlock(&b->writing);
	return ret;
}

/*
 * STORE-REVISION, in hexadecimal.  It is only looked at here, so that no caller
 * depends on what is in it.
 */
void base_token(const struct rebac_state *state, char *token)
{
	snprintf(token, NEXUS_PERMISSION_TOKEN_SIZE, "%016llx-%llx", (unsigned long long)state->store,
		 (unsigned long long)state->revision);
}

static int read_token(const char *token, struct rebac_state *state)
{
	char again[NEXUS_PERMISSION_TOKEN_SIZE];
	char *end;

	if (!memchr(token, 0, NEXUS_PERMISSION_TOKEN_SIZE))
		return -EINVAL;
	state->store = strtoull(token, &end, 16);
	if (*end != '-')
		return -EINVAL;
	state->revision = strtoull(end + 1, NULL, 16);
	/* What is not read to its end, or is too large, is not the same again. */
	base_token(state, again);
	return strcmp(token, again) != 0 ? -EINVAL : 0;
}

struct reading {
	struct nexus_permission_read *read;
	struct rebac_state least;
	base_work work;
	void *arg;
};

static int fresh_enough(struct base_view *v, void *arg)
{
	struct reading *r = arg;

	if (r->read->freshness == NEXUS_PERMISSION_AT_LEAST) {
		if (r->least.store != v->state.store)
			return -EINVAL;
		/* From the future: the store was put back to an earlier state. */
		if (r->least.revision > v->state.revision)
			return -ESTALE;
	}
	base_token(&v->state, r->read->at);
	return r->work(v, r->arg);
}

int base_read(struct base *b, struct nexus_permission_read *read, base_work work, void *arg)
{
	struct reading r = { .read = read, .work = work, .arg = arg };
	int ret;

	if (read->freshness > NEXUS_PERMISSION_FULLY)
		return -EINVAL;
	if (read->freshness == NEXUS_PERMISSION_AT_LEAST) {
		ret = read_token(read->token, &r.least);
		if (ret)
			return ret;
	}
	return base_run(b, false, fresh_enough, &r);
}

const char *base_twice(const struct nexus_permission_fact *facts, u32 n)
{
	u32 i, j;

	for (i = 1; i < n; i++)
		for (j = 0; j < i; j++)
			if (!strcmp(facts[i].name, facts[j].name))
				return facts[i].name;
	return NULL;
}

int base_question(struct base_view *v, const struct nexus_permission_read *read,
		  struct rebac_fact *facts, struct rebac_question *q)
{
	u32 i;

	if (!v->policy)
		return -ENODATA;
	if (read->nfacts > NEXUS_PERMISSION_FACTS_MAX)
		return -EMSGSIZE;
	for (i = 0; i < read->nfacts; i++) {
		if (!base_given(read->facts[i].name))
			return -EINVAL;
		facts[i] = (struct rebac_fact){ read->facts[i].name, read->facts[i].text,
						read->facts[i].number };
	}
	/* Either could be meant, and the answer may depend on which. */
	if (base_twice(read->facts, read->nfacts))
		return -EINVAL;
	*q = (struct rebac_question){
		.policy = v->policy, .txn = v->txn, .now = base_now(v->base), .facts = facts,
		.nfacts = read->nfacts, .clock = v->base->clock,
	};
	return 0;
}

/* ---- text ------------------------------------------------------------- */

int base_type(const struct base_view *v, const char *type, u32 *sym)
{
	const struct rebac_type *t;

	if (!base_given(type) || !rebac_name_ok(type, strnlen(type, REBAC_NAME_MAX + 1)))
		return -EINVAL;
	t = rebac_policy_type(v->policy, type);
	if (!t)
		return -ENOENT;
	*sym = t->name.sym;
	return 0;
}

int base_relation(const struct base_view *v, const char *type, const char *relation, u32 *sym)
{
	const struct rebac_relation *r;
	u32 t;
	int ret;

	ret = base_type(v, type, &t);
	if (ret)
		return ret;
	if (!base_given(relation) || !rebac_name_ok(relation, strnlen(relation, REBAC_NAME_MAX + 1)))
		return -EINVAL;
	r = rebac_type_relation(rebac_policy_type(v->policy, type), relation);
	if (!r)
		return -ENOENT;
	*sym = r->name.sym;
	return 0;
}

/* Number of an id; -ENOENT is not an error of the text. */
static int number_of(struct base_view *v, u32 type, const char *id, bool create, u32 *number)
{
	size_t len = id ? strnlen(id, REBAC_ID_MAX + 1) : 0;

	if (!rebac_id_ok(id, len))
		return -EINVAL;
	return v->txn->ops->number(v->txn, type, id, len, create, number);
}

static bool is_star(const char *text)
{
	return text && !strcmp(text, "*");
}

/* The subject; @stranger: for an id that is not there. */
static int subject_of(struct base_view *v, const struct nexus_permission_tuple *t, bool create,
		      u64 *subj)
{
	u32 type = 0, number = REBAC_EVERY;
	int ret;

	if (is_star(t->subject_type)) {
		*subj = REBAC_ANYBODY;
		return is_star(t->subject_id) ? 0 : -EINVAL;
	}
	ret = base_type(v, t->subject_type, &type);
	if (!ret && !is_star(t->subject_id))
		ret = number_of(v, type, t->subject_id, create, &number);
	*subj = rebac_node(type, number);
	return ret;
}

int base_key(struct base_view *v, const struct nexus_permission_tuple *t, struct rebac_key *key)
{
	u32 type, number;
	int ret;

	memset(key, 0, sizeof(*key));
	ret = base_relation(v, t->object_type, t->relation, &key->rel);
	if (!ret)
		ret = base_type(v, t->object_type, &type);
	if (ret)
		return ret;
	ret = number_of(v, type, t->object_id, false, &number);
	if (ret == -ENOENT)
		number = REBAC_NOBODY;
	else if (ret)
		return ret;
	key->obj = rebac_node(type, number);
	/* The type is looked at first: what is not there afterwards is the id. */
	if (!is_star(t->subject_type)) {
		ret = base_type(v, t->subject_type, &type);
		if (ret)
			return ret;
	}
	ret = subject_of(v, t, false, &key->subj);
	if (ret == -ENOENT)
		key->subj = rebac_node(type, key->obj == rebac_node(type, REBAC_NOBODY) &&
				       !strcmp(t->object_id, t->subject_id) ?
				       REBAC_NOBODY : REBAC_STRANGER);
	else if (ret)
		return ret;
	if (!base_given(t->subject_relation))
		return 0;
	if (rebac_number(key->subj) == REBAC_EVERY)
		return -EINVAL;
	return base_relation(v, t->subject_type, t->subject_relation, &key->srel);
}

/* Why it failed, in words, for whoever wrote it. */
static int explain(struct rebac_err *err, int ret, const char *what, const char *text)
{
	return rebac_fail(err, ret == -ENOENT ? -EINVAL : ret, "%s \"%.80s\" %s", what,
			  text ? text : "",
			  ret == -ENOENT ? "is not in the policy" : "is no identifier");
}

int base_tuple(struct base_view *v, const struct nexus_permission_tuple *t, bool create,
	       struct rebac_key *key, struct rebac_err *err)
{
	u32 type, number;
	int ret;

	memset(key, 0, sizeof(*key));
	ret = base_type(v, t->object_type, &type);
	if (ret)
		return explain(err, ret, "type", t->object_type);
	ret = base_relation(v, t->object_type, t->relation, &key->rel);
	if (ret)
		return explain(err, ret, "relation", t->relation);
	if (!is_star(t->subject_type)) {
		ret = base_type(v, t->subject_type, &number);
		if (ret)
			return explain(err, ret, "type", t->subject_type);
	}
	if (base_given(t->subject_relation)) {
		if (is_star(t->subject_type) || is_star(t->subject_id))
			return rebac_fail(err, -EINVAL, "a wildcard has no relation");
		ret = base_relation(v, t->subject_type, t->subject_relation, &key->srel);
		if (ret)
			return explain(err, ret, "relation", t->subject_relation);
	}
	ret = number_of(v, type, t->object_id, create, &number);
	if (ret)
		return ret == -EINVAL ? explain(err, ret, "id", t->object_id) : ret;
	key->obj = rebac_node(type, number);
	ret = subject_of(v, t, create, &key->subj);
	if (ret)
		return ret == -EINVAL ? explain(err, ret, "id", t->subject_id) : ret;
	return create ? rebac_policy_admits(v->policy, key, err) : 0;
}

static const char *keep(struct base_view *v, void *args, const char *text, int len, int *ret)
{
	char *p;

	if (len < 0) {
		*ret = len;
		return NULL;
	}
	p = v->base->more(args, (size_t)len + 1);
	if (!p)
		*ret = -ENOMEM;
	else
		memcpy(p, text, (size_t)len + 1);
	return p;
}

const char *base_symbol_text(struct base_view *v, void *args, u32 sym, int *ret)
{
	char buf[REBAC_NAME_MAX + 1] = "*";
	int len = 1;

	if (sym)
		len = v->txn->ops->symbol_name(v->txn, sym, buf);
	if (len > 0)
		len = (int)strlen(buf);
	return keep(v, args, buf, len, ret);
}

const char *base_id_text(struct base_view *v, void *args, u64 node, int *ret)
{
	char buf[REBAC_ID_MAX + 1] = "*";
	int len = 1;

	if (rebac_number(node) != REBAC_EVERY)
		len = v->txn->ops->id(v->txn, node, buf);
	return keep(v, args, buf, len, ret);
}
