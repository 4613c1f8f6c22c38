// SPDX-License-Identifier: Apache-2.0
#include "policy-model.h"

static u64 rng;

void model_seed(u64 seed)
{
	const char *other = getenv("NEXUS_SEED");

	if (other)
		seed ^= strtoull(other, NULL, 0) * 0xd1342543de82ef95ull;
	rng = seed ? seed : 1;
}

bool model_usual(void)
{
	return !getenv("NEXUS_SEED");
}

u32 model_pick(u32 n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (u32)(rng >> 20) % n;
}

static void say(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *t, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	t->n += (size_t)vsnprintf(t->s + t->n, sizeof(t->s) - t->n, fmt, args);
	va_end(args);
	assert_true(t->n < sizeof(t->s));
}

/* ---- random policies and tuples --------------------------------------- */

/* @excl: how many of 8 operators are exclusions. */
static void random_expr(struct text *t, u32 nest, u32 excl)
{
	u32 what = model_pick(8), i, n;

	if (nest == 2 || what < 3) {
		say(t, what % 2 ? "this" : "r%u", model_pick(RELS));
		return;
	}
	if (what == 3) {
		say(t, "{from: r0, relation: r%u}", model_pick(RELS));
		return;
	}
	if (model_pick(8) < excl) {
		say(t, "{exclusion: [");
		n = 2;
	} else {
		say(t, model_pick(2) ? "{union: [" : "{intersection: [");
		n = 1 + model_pick(3);
	}
	for (i = 0; i < n; i++) {
		if (i)
			say(t, ", ");
		random_expr(t, nest + 1, excl);
	}
	say(t, "]}");
}

void model_policy(struct text *t, u32 excl)
{
	u32 i, r;

	t->n = 0;
	say(t, "types:\n  user:\n");
	for (i = 0; i < TYPES; i++) {
		say(t, "  t%u:\n    relations:\n      r0: this\n", i);
		for (r = 1; r < RELS; r++) {
			say(t, "      r%u: ", r);
			random_expr(t, 0, excl);
			say(t, "\n");
		}
	}
}

static void random_tuple(char *text, size_t room)
{
	u32 n = (u32)snprintf(text, room, "t%u:o%u#r%u@", model_pick(TYPES), model_pick(IDS), model_pick(RELS));
	u32 what = model_pick(10);

	if (what < 3)
		snprintf(text + n, room - n, "user:u%u", model_pick(2));
	else if (what == 3)
		snprintf(text + n, room - n, "user:*");
	else if (what < 6)
		snprintf(text + n, room - n, "t%u:o%u", model_pick(TYPES), model_pick(IDS));
	else
		snprintf(text + n, room - n, "t%u:o%u#r%u", model_pick(TYPES), model_pick(IDS), model_pick(RELS));
}

/* ---- the one without shortcuts ---------------------------------------- */

static int place(const struct model *m, u64 node)
{
	u32 i;

	for (i = 0; i < NODES; i++)
		if (m->nodes[i] == node)
			return (int)i;
	return -1;
}

static u32 rel_place(const struct model *m, u32 node, u32 sym)
{
	const struct rebac_type *t = &m->w->policy->types[1 + node / IDS];
	u32 r;

	for (r = 0; r < RELS; r++)
		if (t->rels[r].name.sym == sym)
			return r;
	fail();
	return 0;
}

/* @now: the estimate being made, @other: behind exclusions. */
static bool holds(const struct model *m, const struct rebac_expr *e, u32 node, u32 sym,
		  bool (*now)[RELS], bool (*other)[RELS])
{
	u32 i, op = e->op;
	int to;

	if (op == REBAC_COMPUTED)
		return now[node][rel_place(m, node, e->rel.sym)];
	if (op == REBAC_UNION || op == REBAC_INTERSECTION) {
		for (i = 0; i < e->nkids; i++)
			if (holds(m, &e->kids[i], node, sym, now, other) == (op == REBAC_UNION))
				return op == REBAC_UNION;
		return op == REBAC_INTERSECTION;
	}
	if (op == REBAC_EXCLUSION)
		return holds(m, &e->kids[0], node, sym, now, other) &&
		       !holds(m, &e->kids[1], node, sym, other, now);
	for (i = 0; i < m->n; i++) {
		const struct rebac_key *k = &m->tuples[i];

		if (k->obj != m->nodes[node] || k->rel != (op == REBAC_THIS ? sym : e->tupleset.sym))
			continue;
		to = place(m, k->subj);
		if (op == REBAC_FROM) {
			if (!k->srel && to >= 0 && now[to][rel_place(m, (u32)to, e->rel.sym)])
				return true;
		} else if (k->srel) {
			if (now[to][rel_place(m, (u32)to, k->srel)])
				return true;
		} else if (!m->srel && (k->subj == m->subj ||
					k->subj == rebac_node(rebac_type_of(m->subj), 0))) {
			return true;
		}
	}
	return false;
}

static void least(const struct model *m, bool (*now)[RELS], bool (*other)[RELS])
{
	bool more = true;
	u32 n, r;

	memset(now, 0, sizeof(m->low));
	/* A userset is in itself. */
	if (m->srel)
		now[place(m, m->subj)][rel_place(m, (u32)place(m, m->subj), m->srel)] = true;
	while (more) {
		more = false;
		for (n = 0; n < NODES; n++)
			for (r = 0; r < RELS; r++) {
				const struct rebac_relation *rel =
					&m->w->policy->types[1 + n / IDS].rels[r];

				if (now[n][r] || !holds(m, &rel->expr, n, rel->name.sym, now, other))
					continue;
				now[n][r] = true;
				more = true;
			}
	}
}

void model_solve(struct model *m)
{
	bool before[NODES][RELS];

	memset(m->high, 1, sizeof(m->high));
	memset(m->low, 0, sizeof(m->low));
	do {
		memcpy(before, m->low, sizeof(before));
		least(m, m->high, m->low);
		least(m, m->low, m->high);
	} while (memcmp(before, m->low, sizeof(before)) != 0);
}

u32 model_rel(const struct model *m, u32 node, u32 r)
{
	return m->w->policy->types[1 + node / IDS].rels[r].name.sym;
}

u32 model_value(const struct model *m, u32 node, u32 r)
{
	return m->low[node][r] ? REBAC_YES : m->high[node][r] ? REBAC_UNKNOWN : REBAC_NO;
}

/* ---- a world ---------------------------------------------------------- */

void model_make(struct model *m, struct world *w)
{
	struct rebac_txn *txn;
	char text[TUPLE_TEXT];
	u32 i, n = 1 + model_pick(TUPLES);

	memset(m, 0, sizeof(*m));
	m->w = w;
	assert_int_equal(w->store->ops->begin(w->store, true, &txn), 0);
	for (i = 0; i < NODES; i++) {
		snprintf(text, sizeof(text), "t%u:o%u#r0@user:u0", i / IDS, i % IDS);
		m->nodes[i] = world_key(w, txn, text, true).obj;
	}
	while (n--) {
		struct rebac_key key;
		struct rebac_row row;

		random_tuple(text, sizeof(text));
		key = world_key(w, txn, text, true);
		if (rebac_policy_admits(w->policy, &key, NULL) || !txn->ops->find(txn, &key, &row))
			continue;
		assert_int_equal(txn->ops->put(txn, &key, 0, NULL), 0);
		memcpy(m->texts[m->n], text, sizeof(text));
		m->tuples[m->n++] = key;
	}
	m->subj = world_key(w, txn, "t0:o0#r0@user:u0", true).subj;
	assert_int_equal(txn->ops->commit(txn), 0);
}
