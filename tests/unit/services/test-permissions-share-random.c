// SPDX-License-Identifier: Apache-2.0
/*
 * Helpers that share their answers, beside an evaluator that knows no shortcuts, and with
 * times and conditions beside one that keeps nothing: whoever writes, and whoever is asked first.
 */
#include "helpers-world.h"
#include "policy-model.h"

#define QUESTIONS	(NODES * RELS)

static u64 answers[3][3];	/* [expected][got] */

static void question(struct nexus_permission_tuple *t, u32 i, const char *subject)
{
	char text[2 * TUPLE_TEXT];

	snprintf(text, sizeof(text), "t%u:o%u#r%u@%s", i / RELS / IDS, i / RELS % IDS, i % RELS, subject);
	*t = tuple(text);
}

static void check_all(struct base *h, const struct model *m, const char *subject)
{
	struct nexus_permission_tuple t[QUESTIONS];
	struct nexus_permission_check_args a = { .questions = t, .count = QUESTIONS };
	u32 i;

	for (i = 0; i < QUESTIONS; i++)
		question(&t[i], i, subject);
	assert_int_equal(base_check(h, &a), 0);
	for (i = 0; i < QUESTIONS; i++) {
		const struct nexus_permission_answer *x = &a.answers[i];
		u32 expected = model_value(m, i / RELS, i % RELS);
		u32 got = x->allowed ? REBAC_YES : x->why ? REBAC_UNKNOWN : REBAC_NO;

		assert_int_equal(x->error, 0);
		answers[expected][got]++;
		if (got != expected &&
		    !(got == REBAC_UNKNOWN && x->why == NEXUS_PERMISSION_CYCLE))
			fail_msg("t%u:o%u#r%u@%s is %u, expected %u", i / RELS / IDS, i / RELS % IDS,
				 i % RELS, subject, got, expected);
	}
}

static void list_all(struct base *h, const struct model *m, u32 type, u32 rel)
{
	struct nexus_permission_list_args a = { .max = NEXUS_PERMISSION_LIST_MAX };
	char text[TUPLE_TEXT];
	bool listed[NODES] = { false };
	u32 i, n;

	snprintf(text, sizeof(text), "t%u:o0#r%u@user:u0", type, rel);
	a.tuple = tuple(text);
	a.tuple.object_id = NULL;
	assert_int_equal(base_list_objects(h, &a), 0);
	for (i = 0; i < a.nitems; i++)
		listed[type * IDS + (u32)(a.items[i].id[1] - '0')] = true;
	for (n = type * IDS; n < (type + 1) * IDS; n++) {
		u32 expected = model_value(m, n, rel);

		if (listed[n] ? expected != REBAC_YES : expected == REBAC_YES && !a.why)
			fail_msg("t%u:o%u#r%u: listed %d, expected %u", type, n % IDS, rel, listed[n],
				 expected);
	}
}

/* One more tuple, or one less, by anybody; then all of them are asked, whoever begins. */
static void walk(struct model *m, u32 *there, u32 steps)
{
	struct base *by, *asked;
	u32 i, j, first, from = m->n;

	/* Some policies take no tuples. */
	for (i = 0; i < steps && from; i++) {
		by = helpers[model_pick(2)];
		if (*there && (*there == from || model_pick(2)))
			change_by(by, NEXUS_PERMISSION_DELETE, m->texts[--*there]);
		else
			change_by(by, NEXUS_PERMISSION_PUT, m->texts[(*there)++]);
		m->n = *there;
		model_solve(m);
		if (model_pick(8) == 0)
			begin_late();
		first = model_pick(HELPERS);
		for (j = 0; j < HELPERS; j++) {
			asked = helpers[(first + j) % HELPERS];
			if (model_pick(3) == 0)
				list_all(asked, m, model_pick(TYPES), model_pick(RELS));
			check_all(asked, m, "user:u0");
		}
	}
	m->n = from;
}

static void one(u64 seed, u32 excl, u32 steps)
{
	static struct text text;
	struct rebac_policy *p;
	u32 i, there = 0;
	struct model m;
	struct world w;

	do {
		model_seed(0x9e3779b97f4a7c15ull * seed++);
		model_policy(&text, excl);
	} while (rebac_policy_parse(text.s, text.n, "random", &p, NULL));
	rebac_policy_free(p);
	policy_begin(&w, text.s);
	model_make(&m, &w);
	set_policy(text.s);
	for (; there < m.n; there++)
		change_by(&b, NEXUS_PERMISSION_PUT, m.texts[there]);
	walk(&m, &there, steps);
	for (i = 0; i < there; i++)
		change_by(&two, NEXUS_PERMISSION_DELETE, m.texts[i]);
	policy_end(&w);
}

static void test_random(void **state)
{
	u64 hits = 0, put = 0;
	u32 i;

	memset(answers, 0, sizeof(answers));
	begin_late();
	for (i = 0; i < (*state ? 4 : 24); i++)
		one(1 + 100 * i, i & 1 ? 4 : 0, 40);
	if (model_usual())
		assert_true(answers[REBAC_YES][REBAC_YES] > 1000 &&
			    answers[REBAC_NO][REBAC_NO] > 1000);
	for (i = 0; i < 2; i++) {
		hits += counts(helpers[i]).hits;
		put += counts(helpers[i]).put;
		assert_int_equal(counts(helpers[i]).refused + counts(helpers[i]).failed, 0);
	}
	assert_true(hits > 500 && put > 500);
}

/* ---- times and conditions, beside one that keeps nothing ------------------- */

static struct base plain;
static u64 allowed;

static void random_tuple(struct nexus_permission_tuple *t)
{
	char text[2 * TUPLE_TEXT];
	u32 n = (u32)snprintf(text, sizeof(text), "t%u:o%u#r%u@", model_pick(TYPES),
			      model_pick(IDS), model_pick(RELS));

	if (model_pick(3))
		snprintf(text + n, sizeof(text) - n, "user:u%u", model_pick(3));
	else
		snprintf(text + n, sizeof(text) - n, "t%u:o%u#r%u", model_pick(TYPES),
			 model_pick(IDS), model_pick(RELS));
	*t = tuple(text);
}

/* A step of time, or a write; the policy may not take it. */
static void random_step(void)
{
	struct nexus_permission_update u = { .kind = NEXUS_PERMISSION_PUT };
	struct nexus_permission_write_args w = { .updates = &u, .nupdates = 1 };
	u32 what = model_pick(12);

	random_tuple(&u.tuple);
	if (what < 3)
		u.kind = NEXUS_PERMISSION_DELETE;
	else if (what < 6)
		u.expires_ms = now + 1 + model_pick(5);
	else if (what == 6)
		u.condition = "f == 1";
	if (what == 7 || what == 8)
		now++;
	else if (base_write(helpers[model_pick(HELPERS)], &w))
		assert_true(w.error[0] != 0);
}

static void same_answers(struct base *h)
{
	static const struct nexus_permission_fact fact = { "f", NULL, 1 };
	struct nexus_permission_tuple t[8];
	struct nexus_permission_check_args a = { .questions = t, .count = 8 }, p;
	u32 i;

	for (i = 0; i < 8; i++)
		random_tuple(&t[i]);
	if (model_pick(4) == 0) {
		a.read.facts = &fact;
		a.read.nfacts = 1;
	}
	p = a;
	assert_int_equal(base_check(h, &a), 0);
	assert_int_equal(base_check(&plain, &p), 0);
	for (i = 0; i < 8; i++) {
		const struct nexus_permission_answer *x = &a.answers[i], *y = &p.answers[i];

		allowed += y->allowed;
		/* Who knows a part of it meets no cycle, and no limit, in it. */
		if (y->why & ~NEXUS_PERMISSION_CONDITION)
			continue;
		if (x->allowed != y->allowed || x->why != y->why || x->error != y->error)
			fail_msg("%s:%s#%s@%s:%s: %d %x, not %d %x", t[i].object_type, t[i].object_id,
				 t[i].relation, t[i].subject_type, t[i].subject_id, x->allowed, x->why,
				 y->allowed, y->why);
		assert_true(!x->allowed || x->valid_until_ms > now);
	}
}

static void same_list(struct base *h)
{
	struct nexus_permission_list_args a = { .max = NEXUS_PERMISSION_LIST_MAX }, p;
	u32 i;

	random_tuple(&a.tuple);
	a.tuple.object_id = NULL;
	p = a;
	assert_int_equal(base_list_objects(h, &a), 0);
	assert_int_equal(base_list_objects(&plain, &p), 0);
	if (p.why)
		return;
	assert_int_equal(a.nitems, p.nitems);
	for (i = 0; i < a.nitems; i++)
		assert_string_equal(a.items[i].id, p.items[i].id);
}

static void times(u64 seed, u32 steps)
{
	static struct text text;
	struct rebac_policy *p;
	u32 i, j, first;

	do {
		model_seed(0x9e3779b97f4a7c15ull * seed++ + 1);
		model_policy(&text, seed & 1 ? 4 : 0);
	} while (rebac_policy_parse(text.s, text.n, "random", &p, NULL));
	rebac_policy_free(p);
	set_policy(text.s);
	for (i = 0; i < steps; i++) {
		random_step();
		if (model_pick(16) == 0)
			begin_late();
		first = model_pick(HELPERS);
		for (j = 0; j < HELPERS; j++) {
			same_answers(helpers[(first + j) % HELPERS]);
			same_list(helpers[(first + j) % HELPERS]);
		}
	}
}

static void test_times(void **state)
{
	u64 hits = 0;
	u32 i;

	allowed = 0;
	begin_late();
	base_init(&plain, store, more);
	plain.now_ms = b.now_ms;
	plain.clock = b.clock;
	for (i = 0; i < (*state ? 4 : 24); i++)
		times(1 + 100 * i, 60);
	base_end(&plain);
	hits = counts(&b).hits + counts(&two).hits;
	assert_true(!model_usual() || (allowed > 500 && hits > 200));
}

RUN_ON(test_random)
RUN_ON(test_times)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_SHARED(test_random)
		ON_SHARED(test_times)
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
