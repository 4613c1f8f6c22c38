// SPDX-License-Identifier: Apache-2.0
/*
 * Answers and closures that are kept: whatever happens to tuples, policy and time, by
 * this helper or another one, the answers are those of a base that keeps nothing.
 */
#include "base-world.h"
#include "policy-model.h"

/* ---- beside one that keeps nothing ------------------------------------ */

#define STEPS	400u
#define ASKED	6u

static struct base plain;
static u64 differed, agreed;

static s64 time_ms(void)
{
	return now;
}

static void plain_begin(void)
{
	base_init(&plain, store, more);
	plain.now_ms = time_ms;
	plain.clock = b.clock;
}

static void random_question(struct nexus_permission_tuple *t)
{
	char text[TUPLE_TEXT];
	u32 n = (u32)snprintf(text, sizeof(text), "t%u:o%u#r%u@", model_pick(TYPES),
			      model_pick(IDS), model_pick(RELS));

	if (model_pick(4))
		snprintf(text + n, sizeof(text) - n, "user:u%u", model_pick(3));
	else
		snprintf(text + n, sizeof(text) - n, "t%u:o%u#r%u", model_pick(TYPES),
			 model_pick(IDS), model_pick(RELS));
	*t = tuple(text);
}

static void same_check(bool facts)
{
	static const struct nexus_permission_fact fact = { "f", NULL, 1 };
	struct nexus_permission_tuple t[ASKED];
	struct nexus_permission_check_args a = { .questions = t, .count = ASKED }, p;
	u32 i;

	for (i = 0; i < ASKED; i++)
		random_question(&t[i]);
	if (facts) {
		a.read.facts = &fact;
		a.read.nfacts = 1;
	}
	p = a;
	assert_int_equal(base_check(&b, &a), 0);
	assert_int_equal(base_check(&plain, &p), 0);
	for (i = 0; i < ASKED; i++) {
		const struct nexus_permission_answer *x = &a.answers[i], *y = &p.answers[i];

		assert_int_equal(x->error, y->error);
		agreed += y->allowed;
		/* A closure may know what a cycle left open, but not the other way round. */
		if (y->why == NEXUS_PERMISSION_CYCLE) {
			differed += x->why != y->why;
			continue;
		}
		if (x->allowed != y->allowed || x->why != y->why)
			fail_msg("%s:%s#%s@%s:%s#%s: %d %x, not %d %x", t[i].object_type,
				 t[i].object_id, t[i].relation, t[i].subject_type, t[i].subject_id,
				 t[i].subject_relation ? t[i].subject_relation : "", x->allowed,
				 x->why, y->allowed, y->why);
		/* Not longer than it is so. */
		assert_true(x->valid_until_ms <= y->valid_until_ms || !x->allowed || x->why ||
			    x->valid_until_ms > now);
	}
}

static void same_list(u32 max)
{
	struct nexus_permission_list_args a = { .max = max }, p;
	u32 i;

	random_question(&a.tuple);
	a.tuple.object_id = NULL;
	do {
		p = a;
		assert_int_equal(base_list_objects(&b, &a), 0);
		assert_int_equal(base_list_objects(&plain, &p), 0);
		if (p.why)
			return;
		assert_int_equal(a.why, 0);
		assert_int_equal(a.nitems, p.nitems);
		for (i = 0; i < a.nitems; i++)
			assert_string_equal(a.items[i].id, p.items[i].id);
		if (a.nitems)
			a.after = a.items[a.nitems - 1].id;
		/* There may be more, and was not. */
		assert_true(p.more || !a.more);
	} while (p.more && a.nitems);
}

/* One change, mostly by the base with the cache. */
static void random_change(void)
{
	struct base *by = model_pick(8) ? &b : &plain;
	struct nexus_permission_update u = { .kind = NEXUS_PERMISSION_PUT };
	struct nexus_permission_write_args w = { .updates = &u, .nupdates = 1 };
	struct nexus_permission_delete_args d = { .max = 3 };
	u32 what = model_pick(20);

	random_question(&u.tuple);
	if (what < 4) {
		u.kind = NEXUS_PERMISSION_DELETE;
	} else if (what == 4) {
		d.match.object_type = u.tuple.object_type;
		d.match.object_id = u.tuple.object_id;
		assert_int_equal(base_delete(by, &d), 0);
		return;
	} else if (what == 5) {
		d.match.subject_type = u.tuple.subject_type;
		d.match.subject_id = u.tuple.subject_id;
		d.match.subject_relation = u.tuple.subject_relation;
		assert_int_equal(base_delete(by, &d), 0);
		return;
	} else if (what < 8) {
		u.expires_ms = now + model_pick(4);
	} else if (what < 10) {
		u.condition = "f == 1";
	} else if (what < 12) {
		now++;
		return;
	} else if (what == 12) {
		u.tuple.subject_type = "user";
		u.tuple.subject_id = "*";
		u.tuple.subject_relation = NULL;
	} else if (what < 15) {
		/* A group in a group. */
		u.tuple.subject_type = u.tuple.object_type;
		u.tuple.subject_id = tuple("t0:o1#r1@user:u0").object_id;
		u.tuple.subject_relation = u.tuple.relation;
	}
	/* The policy may not take it. */
	if (base_write(by, &w))
		assert_true(w.error[0] != 0);
}

static void random_policy(u64 seed, u32 excl)
{
	static struct text text;
	struct rebac_policy *p;

	do {
		model_seed(seed++ * 0x9e3779b97f4a7c15ull + 1);
		model_policy(&text, excl);
	} while (rebac_policy_parse(text.s, text.n, "random", &p, NULL));
	rebac_policy_free(p);
	set_policy(text.s);
}

static void test_random(void **state)
{
	struct cache_stats stats;
	u32 i, j;

	differed = agreed = 0;
	plain_begin();
	for (i = 0; i < STEPS * (*state ? 1 : 8); i++) {
		if (i % 50 == 0)
			random_policy(i + 1, i % 100 ? 4 : 0);
		random_change();
		for (j = 0; j < 3; j++)
			same_check(model_pick(4) == 0);
		same_list(1 + model_pick(3));
	}
	base_end(&plain);
	cache_stats(b.cache, &stats);
	/* It was used for all of it. */
	assert_true(!model_usual() || (agreed > STEPS && differed < agreed));
	assert_true(stats.hits > STEPS && stats.misses > STEPS);
	assert_true(stats.invalidated > STEPS / 4);
	assert_true(stats.closures > STEPS / 16 && stats.closure_hits > STEPS / 4);
	assert_true(stats.emptied > STEPS / 50);
	assert_true(stats.bytes <= CACHE_BYTES);
}

/* ---- what is kept, and what is given up ------------------------------- */

static struct cache_stats before;

static void mark(void)
{
	cache_stats(b.cache, &before);
}

/* What was counted since then. */
static void counted(u64 hits, u64 misses, u64 invalidated)
{
	struct cache_stats s;

	cache_stats(b.cache, &s);
	assert_int_equal(s.hits - before.hits, hits);
	assert_int_equal(s.misses - before.misses, misses);
	assert_int_equal(s.invalidated - before.invalidated, invalidated);
	mark();
}

static void test_kept(void **state)
{
	(void)state;
	put("doc:d#viewer@user:u");
	put("doc:e#viewer@user:v");
	mark();
	yes("doc:d#read@user:u");
	no("doc:e#read@user:u");
	counted(0, 2, 0);
	yes("doc:d#read@user:u");
	no("doc:e#read@user:u");
	counted(2, 0, 0);
	/* What has nothing to do with it. */
	put("doc:d#public@user:u");
	put("doc:d#public@user:x");
	yes("doc:d#read@user:u");
	counted(1, 0, 0);
	/* And what has: it follows from these. */
	put("doc:d#banned@user:u");
	no("doc:d#read@user:u");
	counted(0, 1, 1);
	yes("doc:d#viewer@user:u");
	counted(0, 1, 0);
	del("doc:d#banned@user:u");
	yes("doc:d#viewer@user:u");
	counted(1, 0, 0);
	yes("doc:d#read@user:u");
	counted(0, 1, 1);
	/* A policy changes all. */
	set_policy(policy);
	mark();
	yes("doc:d#viewer@user:u");
	counted(0, 1, 0);
	/* Ids no tuple has are nobody in particular. */
	no("doc:nothing#viewer@user:nobody");
	no("doc:nothing#viewer@user:nobody");
	counted(0, 0, 0);
	put("doc:nothing#viewer@user:nobody");
	yes("doc:nothing#viewer@user:nobody");
}

static void test_times(void **state)
{
	(void)state;
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "doc:d#viewer@user:u", now + 10, NULL), 0);
	put("group:g#member@user:v");
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "group:h#member@group:g#member", now + 20, NULL), 0);
	put("doc:d#viewer@group:h#member");
	yes("doc:d#read@user:u");
	yes("doc:d#read@user:v");
	yes("doc:d#viewer@user:v");
	mark();
	yes("doc:d#read@user:u");
	assert_int_equal(ask("doc:d#read@user:u").valid_until_ms, now + 10);
	counted(2, 0, 0);
	now += 9;
	yes("doc:d#read@user:u");
	counted(1, 0, 0);
	now++;
	no("doc:d#read@user:u");
	yes("doc:d#read@user:v");
	assert_int_equal(ask("doc:d#read@user:v").valid_until_ms, now + 10);
	now += 10;
	no("doc:d#read@user:v");
	no("doc:d#viewer@user:v");
	no("group:h#member@user:v");
	yes("group:g#member@user:v");
	/* And back, before anything was removed: it is as it was. */
	now -= 10;
	yes("doc:d#read@user:v");
	no("doc:d#read@user:u");
}

static void test_facts(void **state)
{
	static const struct nexus_permission_fact fact = { "hour", NULL, 9 };
	struct nexus_permission_tuple t = tuple("doc:d#read@user:u");
	struct nexus_permission_check_args a = { .questions = &t, .count = 1 };
	u32 i;

	(void)state;
	put("doc:d#viewer@group:g#member");
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "group:g#member@user:u", 0, "hour < 18"), 0);
	for (i = 0; i < 4; i++) {
		a.read.facts = &fact;
		a.read.nfacts = 1;
		assert_int_equal(base_check(&b, &a), 0);
		assert_true(a.answers[0].allowed && a.answers[0].contextual);
		a.read.nfacts = 0;
		assert_int_equal(base_check(&b, &a), 0);
		assert_false(a.answers[0].allowed);
		assert_int_equal(a.answers[0].why, NEXUS_PERMISSION_CONDITION);
	}
}

/* ---- lists ------------------------------------------------------------ */

static void test_lists(void **state)
{
	struct nexus_permission_list_args a = {
		.tuple = { .object_type = "doc", .relation = "read", .subject_type = "user",
			   .subject_id = "u" }, .max = 10,
	};
	char text[80];
	u32 i;

	(void)state;
	for (i = 0; i < 50; i++) {
		snprintf(text, sizeof(text), "doc:d%u#viewer@user:u", i);
		put(text);
	}
	put("doc:d7#banned@user:u");
	mark();
	for (i = 0; i < 5; i++) {
		assert_int_equal(base_list_objects(&b, &a), 0);
		assert_int_equal(a.nitems, i == 4 ? 9 : 10);
		assert_int_equal(a.more, i < 4);
		a.after = a.items[a.nitems - 1].id;
	}
	/* The first piece; the second found all of them; the others were there. */
	counted(4, 2, 0);
	/* So are checks. */
	yes("doc:d49#read@user:u");
	no("doc:d7#read@user:u");
	counted(2, 0, 0);
	del("doc:d49#viewer@user:u");
	no("doc:d49#read@user:u");
	/* Of the closure, too: viewers of a document may be viewers of another one. */
	counted(0, 1, 2);
	a.after = NULL;
	a.max = 0;
	assert_int_equal(base_list_objects(&b, &a), 0);
	assert_int_equal(a.nitems, 48);
	assert_int_equal(base_list_objects(&b, &a), 0);
	assert_int_equal(a.nitems, 48);
	counted(1, 1, 0);
}

/* ---- closures --------------------------------------------------------- */

static u64 reads;
static const struct rebac_store_ops *real;

static int count_scan(struct rebac_txn *txn, u64 obj, u32 rel, const struct rebac_row *after,
		      struct rebac_row *rows, u32 max)
{
	reads++;
	return real->scan(txn, obj, rel, after, rows, max);
}

/* Groups in groups, 40 deep, and a document for each of many: walked once. */
static void test_deep_groups(void **state)
{
	struct rebac_store_ops ops = *store->ops;
	struct cache_stats s;
	char text[80];
	u32 i;

	(void)state;
	for (i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "group:g%u#member@group:g%u#member", i, i + 1);
		put(text);
		snprintf(text, sizeof(text), "doc:d%u#viewer@group:g0#member", i);
		put(text);
	}
	put("group:g40#member@user:u");
	yes("doc:d0#viewer@user:u");
	yes("doc:d1#viewer@user:u");
	real = store->ops;
	ops.scan = count_scan;
	store->ops = &ops;
	reads = 0;
	for (i = 2; i < 40; i++) {
		snprintf(text, sizeof(text), "doc:d%u#read@user:u", i);
		yes(text);
	}
	store->ops = real;
	/* One read for each: of the document, of no group. */
	assert_int_equal(reads, 38);
	cache_stats(b.cache, &s);
	assert_int_equal(s.closures, 1);
	assert_int_equal(s.closure_hits, 38);
	/* Taken apart in the middle. */
	del("group:g20#member@group:g21#member");
	no("doc:d0#viewer@user:u");
	no("doc:d1#viewer@user:u");
	no("doc:d2#viewer@user:u");
	yes("group:g21#member@user:u");
	no("group:g20#member@user:u");
	put("group:g20#member@group:g21#member");
	yes("doc:d0#viewer@user:u");
	yes("doc:d1#viewer@user:u");
	yes("doc:d2#viewer@user:u");
}

/* What is too deep stays so, however it is found. */
static void test_depth_stays(void **state)
{
	struct nexus_permission_answer a;
	char text[80];
	u32 i, j;

	(void)state;
	for (i = 0; i < 60; i++) {
		snprintf(text, sizeof(text), "group:g%u#member@group:g%u#member", i, i + 1);
		put(text);
	}
	put("group:g49#member@user:u");
	put("group:g50#member@user:v");
	for (j = 0; j < 3; j++) {
		assert_true(ask("group:g0#member@user:u").allowed);
		assert_true(ask("group:g1#member@user:v").allowed);
		a = ask("group:g0#member@user:v");
		assert_false(a.allowed);
		assert_int_equal(a.why, NEXUS_PERMISSION_DEPTH);
	}
}

/* A subject in too many groups has no closure, and the same answers. */
static void test_too_many_groups(void **state)
{
	struct nexus_permission_update u[1000];
	struct nexus_permission_write_args w = { .updates = u, .nupdates = 1000 };
	struct cache_stats s;
	char text[80];
	u32 i, j;

	(void)state;
	memset(u, 0, sizeof(u));
	for (i = 0; i < 5; i++) {
		for (j = 0; j < 1000; j++) {
			snprintf(text, sizeof(text), "group:g%u#member@user:u", i * 1000 + j);
			u[j].tuple = tuple(text);
		}
		assert_int_equal(base_write(&b, &w), 0);
	}
	put("doc:d#viewer@group:g4999#member");
	for (i = 0; i < 3; i++) {
		yes("doc:d#viewer@user:u");
		yes("doc:d#read@user:u");
		no("doc:d#owner@user:u");
	}
	/* It is not tried again with every change, but from time to time. */
	put("group:other#member@user:x");
	for (i = 0; i < 3; i++)
		yes("group:g4998#member@user:u");
	cache_stats(b.cache, &s);
	assert_int_equal(s.closures, 0);
	assert_int_equal(s.closures_refused, 1);
	assert_int_equal(s.closure_hits, 0);
	now += 10000;
	for (i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "group:g%u#member@user:u", i);
		yes(text);
	}
	cache_stats(b.cache, &s);
	assert_int_equal(s.closures_refused, 2);
}

static int fail_reverse(struct rebac_txn *txn, u64 subj, u32 srel, const struct rebac_row *after,
			struct rebac_row *rows, u32 max)
{
	(void)txn;
	(void)subj;
	(void)srel;
	(void)after;
	(void)rows;
	(void)max;
	return -EIO;
}

/* A closure that could not be made is no answer, and is made later. */
static void test_closure_fails(void **state)
{
	struct nexus_permission_tuple t = tuple("doc:d1#read@user:u");
	struct nexus_permission_check_args a = { .questions = &t, .count = 1 };
	const struct rebac_store_ops *was = store->ops;
	struct rebac_store_ops ops = *was;
	struct cache_stats s;

	(void)state;
	put("group:g#member@user:u");
	put("doc:d0#viewer@group:g#member");
	put("doc:d1#viewer@group:g#member");
	yes("doc:d0#read@user:u");
	ops.reverse = fail_reverse;
	store->ops = &ops;
	assert_int_equal(base_check(&b, &a), -EIO);
	assert_false(a.answers[0].allowed);
	store->ops = was;
	yes("doc:d1#read@user:u");
	cache_stats(b.cache, &s);
	assert_int_equal(s.closures, 1);
	assert_int_equal(s.closures_refused, 0);
}

/* ---- another helper, and a store that fails --------------------------- */

static void test_another_writer(void **state)
{
	struct nexus_permission_update u = { .tuple = tuple("doc:d#viewer@user:u") };
	struct nexus_permission_write_args w = { .updates = &u, .nupdates = 1 };
	u32 i;

	(void)state;
	plain_begin();
	for (i = 0; i < 5; i++) {
		u.kind = NEXUS_PERMISSION_PUT;
		assert_int_equal(base_write(&plain, &w), 0);
		yes("doc:d#read@user:u");
		yes("doc:d#read@user:u");
		u.kind = NEXUS_PERMISSION_DELETE;
		assert_int_equal(base_write(&plain, &w), 0);
		no("doc:d#read@user:u");
		no("doc:d#read@user:u");
		put("doc:other#viewer@user:u");
	}
	base_end(&plain);
}

static int fail_commit(struct rebac_txn *txn)
{
	real->abort(txn);
	return -EIO;
}

/* It says it was not done, and it was. */
static int lie_commit(struct rebac_txn *txn)
{
	return real->commit(txn) ? -EIO : -ENOTCONN;
}

static void test_commit_fails(void **state)
{
	struct rebac_store_ops ops = *store->ops;

	(void)state;
	real = store->ops;
	put("doc:d#viewer@user:u");
	yes("doc:d#read@user:u");
	mark();
	ops.commit = fail_commit;
	store->ops = &ops;
	assert_int_equal(update(NEXUS_PERMISSION_DELETE, "doc:d#viewer@user:u", 0, NULL), -EIO);
	store->ops = real;
	yes("doc:d#read@user:u");
	counted(1, 0, 0);
	ops.commit = lie_commit;
	store->ops = &ops;
	assert_int_equal(update(NEXUS_PERMISSION_DELETE, "doc:d#viewer@user:u", 0, NULL), -ENOTCONN);
	store->ops = real;
	no("doc:d#read@user:u");
	put("doc:d#viewer@user:u");
	yes("doc:d#read@user:u");
}

#define TESTS \
	X(test_random) X(test_kept) X(test_times) X(test_facts) X(test_lists) \
	X(test_deep_groups) X(test_depth_stays) X(test_too_many_groups) X(test_closure_fails) \
	X(test_another_writer) X(test_commit_fails)

#define X(name)	RUN_ON(name)
TESTS
#undef X

int main(void)
{
#define X(name)	ON_KEPT(name)
	const struct CMUnitTest tests[] = {
		TESTS
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
