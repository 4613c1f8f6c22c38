// SPDX-License-Identifier: Apache-2.0
/*
 * What is no good: identifiers, policies, tuples that lead nowhere or back to
 * themselves.  It is refused with a reason, or means "no".
 */
#include "policy-world.h"

/* ---- identifiers ------------------------------------------------------ */

static void test_ids(void **state)
{
	static const char *const good[] = {
		"a", "a:b", ":", "#", "@", "a#b@c:d", "**", "user:*", " ", "a b", "\xc3\xa9",
		"\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "/a/b c/d.txt", "\xc2\xa0",
	};
	static const char *const bad[] = {
		"", "*", "\n", "a\tb", "\x7f", "\x01", "\xff", "\xc3", "\xc3(", "\xc0\xaf",
		"\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xc2\x80",
		"\xe2\x82", "\xf0\x9f\x98", "\x80", "\xf0\x80\x80\x80",
	};
	char *large = malloc(1 << 20);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!rebac_id_ok(good[i], strlen(good[i])))
			fail_msg("good %zu", i);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (rebac_id_ok(bad[i], strlen(bad[i])))
			fail_msg("bad %zu", i);
	assert_false(rebac_id_ok("a\0b", 3));
	assert_false(rebac_id_ok("\xe2\x82\xac", 2));
	assert_non_null(large);
	memset(large, 'a', 1 << 20);
	assert_true(rebac_id_ok(large, REBAC_ID_MAX));
	assert_false(rebac_id_ok(large, REBAC_ID_MAX + 1));
	assert_false(rebac_id_ok(large, 1 << 20));
	assert_true(rebac_name_ok(large, REBAC_NAME_MAX));
	assert_false(rebac_name_ok(large, REBAC_NAME_MAX + 1));
	free(large);
	assert_true(rebac_name_ok("a-b_9", 5));
	assert_false(rebac_name_ok("", 0));
	assert_false(rebac_name_ok("A", 1));
	assert_false(rebac_name_ok("9a", 2));
	assert_false(rebac_name_ok("_a", 2));
	assert_false(rebac_name_ok("a:b", 3));
	assert_false(rebac_name_ok("a b", 3));
}

static const char small[] =
	"types:\n"
	"  user:\n"
	"  group:\n"
	"    relations: { member: { this: [user, group#member] } }\n"
	"  doc:\n"
	"    relations: { viewer: { this: [user, doc#viewer, group#member] }, any: this }\n"
	"    permissions: { read: viewer }\n";

/* Ids that look like something else are only themselves. */
static void test_colons(void **state)
{
	struct world w;

	(void)state;
	policy_begin(&w, small);
	world_put(&w, "doc:a#viewer@user:b:c");
	world_put(&w, "doc:a:b#viewer@user:d");
	world_put(&w, "group:user:u#member@user:x");
	world_expect(&w, "doc:a#viewer@user:b:c", REBAC_YES);
	world_expect(&w, "doc:a#viewer@user:b", REBAC_NO);
	world_expect(&w, "doc:a#viewer@user:c", REBAC_NO);
	world_expect(&w, "doc:a:b#viewer@user:d", REBAC_YES);
	world_expect(&w, "doc:a#viewer@user:d", REBAC_NO);
	world_expect(&w, "group:user:u#member@user:u", REBAC_NO);
	world_expect(&w, "doc:a:b#viewer@user:c", REBAC_NO);
	policy_end(&w);
}

/* ---- tuples ----------------------------------------------------------- */

static void refused(struct world *w, const struct rebac_key *key, const char *words)
{
	struct rebac_err err = { "" };

	assert_int_equal(rebac_policy_admits(w->policy, key, &err), -EINVAL);
	if (!strstr(err.msg, words))
		fail_msg("\"%s\", not \"%s\"", err.msg, words);
	assert_int_equal(rebac_policy_admits(w->policy, key, NULL), -EINVAL);
}

static void test_refused_tuples(void **state)
{
	struct rebac_key key, good;
	struct rebac_answer a;
	struct rebac_txn *txn;
	struct world w;
	int sym;

	(void)state;
	policy_begin(&w, small);
	assert_int_equal(w.store->ops->begin(w.store, true, &txn), 0);
	good = world_key(&w, txn, "doc:d#viewer@user:u", true);
	assert_int_equal(rebac_policy_admits(w.policy, &good, NULL), 0);
	sym = txn->ops->symbol(txn, "member", false);
	assert_true(sym > 0);

	key = good;
	key.rel = (u32)sym;	/* of another type */
	refused(&w, &key, "no such relation of the object's type");
	key.rel = 9999;
	refused(&w, &key, "no such relation of the object's type");
	key = good;
	key.obj = rebac_node(9999, 1);
	refused(&w, &key, "no such relation of the object's type");
	key = world_key(&w, txn, "doc:d#read@user:u", true);
	refused(&w, &key, "follows from others");
	key = good;
	key.srel = (u32)sym;
	refused(&w, &key, "no such relation of the subject's type");
	key = world_key(&w, txn, "doc:d#any@group:*#member", true);
	refused(&w, &key, "wildcard has no relation");
	key = world_key(&w, txn, "doc:d#viewer@doc:e", true);
	refused(&w, &key, "does not take");
	key = world_key(&w, txn, "doc:d#viewer@user:*", true);
	refused(&w, &key, "does not take");
	key = world_key(&w, txn, "doc:d#any@*:*", true);
	assert_int_equal(rebac_policy_admits(w.policy, &key, NULL), 0);
	txn->ops->abort(txn);

	/* Questions likewise. */
	{
		struct rebac_question q = { .policy = w.policy, .subj = good.subj };

		assert_int_equal(w.store->ops->begin(w.store, false, &q.txn), 0);
		assert_int_equal(rebac_evaluate(&q, good.obj, (u32)sym, &a), -ENOENT);
		assert_int_equal(rebac_evaluate(&q, good.obj, 9999, &a), -ENOENT);
		assert_int_equal(rebac_evaluate(&q, rebac_node(9999, 1), good.rel, &a), -ENOENT);
		assert_int_equal(rebac_evaluate(&q, REBAC_ANYBODY, good.rel, &a), -ENOENT);
		q.txn->ops->abort(q.txn);
	}
	policy_end(&w);
}

static void change_policy(struct world *w, const char *text)
{
	struct rebac_txn *txn;

	rebac_policy_free(w->policy);
	assert_int_equal(rebac_policy_parse(text, strlen(text), "new", &w->policy, NULL), 0);
	assert_int_equal(w->store->ops->begin(w->store, true, &txn), 0);
	assert_int_equal(rebac_policy_bind(w->policy, txn, true), 0);
	assert_int_equal(txn->ops->commit(txn), 0);
}

/* A tuple that an earlier policy let in counts only as far as this one takes it. */
static void test_tuples_of_another_policy(void **state)
{
	struct world w;

	(void)state;
	policy_begin(&w, small);
	world_put(&w, "group:g#member@user:u");
	world_put(&w, "doc:d#viewer@group:g#member");
	world_put(&w, "doc:d#viewer@user:v");
	world_expect(&w, "doc:d#viewer@user:u", REBAC_YES);
	change_policy(&w, "types:\n"
		      "  user:\n"
		      "  group:\n"
		      "  doc:\n"
		      "    relations: { viewer: { this: [user] } }\n");
	world_expect(&w, "doc:d#viewer@user:u", REBAC_NO);
	world_expect(&w, "doc:d#viewer@user:v", REBAC_YES);
	change_policy(&w, "types:\n"
		      "  user:\n"
		      "  group:\n"
		      "    relations: { member: { this: [user] } }\n"
		      "  doc:\n"
		      "    relations: { viewer: { this: [doc#viewer, group#member] } }\n");
	world_expect(&w, "doc:d#viewer@user:u", REBAC_YES);
	world_expect(&w, "doc:d#viewer@user:v", REBAC_NO);
	policy_end(&w);
}

static void test_cyclic_tuples(void **state)
{
	struct world w;
	char text[100];
	u32 i;

	(void)state;
	policy_begin(&w, small);
	/* Of itself. */
	world_put(&w, "group:a#member@group:a#member");
	world_expect(&w, "group:a#member@user:u", REBAC_NO);
	world_expect(&w, "group:a#member@group:a#member", REBAC_YES);
	/* In a ring of a hundred, from wherever one begins within the depth. */
	for (i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "group:r%u#member@group:r%u#member", i, (i + 1) % 40);
		world_put(&w, text);
	}
	for (i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "group:r%u#member@user:u", i);
		world_expect(&w, text, REBAC_NO);
	}
	world_put(&w, "group:r17#member@user:u");
	for (i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "group:r%u#member@user:u", i);
		world_expect(&w, text, REBAC_YES);
		snprintf(text, sizeof(text), "group:r%u#member@user:v", i);
		world_expect(&w, text, REBAC_NO);
	}
	policy_end(&w);
}

/* ---- policies --------------------------------------------------------- */

static void test_cyclic_policies(void **state)
{
	struct rebac_answer a;
	struct world w;

	(void)state;
	policy_begin(&w, "types:\n"
		    "  user:\n"
		    "  doc:\n"
		    "    relations:\n"
		    "      up: { this: [doc] }\n"
		    "      a: [b, this]\n"
		    "      b: [a, this]\n"
		    "      self: self\n"
		    "      through: [{ from: up, relation: through }, a]\n"
		    "      not: { exclusion: [a, not] }\n"
		    "      if-not: { exclusion: [a, unless] }\n"
		    "      unless: { exclusion: [a, if-not] }\n");
	world_put(&w, "doc:d#a@user:u");
	world_put(&w, "doc:d#up@doc:d");
	world_put(&w, "doc:e#up@doc:d");
	world_put(&w, "doc:d#up@doc:e");
	world_expect(&w, "doc:d#a@user:u", REBAC_YES);
	world_expect(&w, "doc:d#b@user:u", REBAC_YES);
	world_expect(&w, "doc:d#b@user:v", REBAC_NO);
	world_expect(&w, "doc:d#self@user:u", REBAC_NO);
	world_expect(&w, "doc:e#through@user:u", REBAC_YES);
	world_expect(&w, "doc:e#through@user:v", REBAC_NO);
	/* "Yes if no" has no answer, and says so. */
	a = world_ask(&w, "doc:d#not@user:u");
	assert_int_equal(a.value, REBAC_UNKNOWN);
	assert_int_equal(a.why, REBAC_WHY_CYCLE);
	world_expect(&w, "doc:d#not@user:v", REBAC_NO);
	a = world_ask(&w, "doc:d#if-not@user:u");
	assert_int_equal(a.value, REBAC_UNKNOWN);
	assert_int_equal(a.why, REBAC_WHY_CYCLE);
	world_expect(&w, "doc:d#if-not@user:v", REBAC_NO);
	policy_end(&w);
}

#define DOC "types:\n  user:\n  doc:\n    relations:\n"

static void test_policies(void **state)
{
	static const struct { const char *text; const char *words; } table[] = {
		{ "", "p:1: types: is expected" },
		{ "[]", "p:1: types: is expected" },
		{ "types: {}", "p:1: 1 to 64 types" },
		{ "types: [a]", "p:1: types: takes names" },
		{ "types:\n  user:\nmore: 1\n", "p:1: types: is expected, and nothing beside it" },
		{ "types:\n  User:\n", "p:2: a name is expected" },
		{ "types:\n  user:\n  user:\n", "p:3: type user is there twice" },
		{ "types:\n  user: 5\n", "p:2: relations: and permissions: are expected" },
		{ "types:\n  user:\n    relation: {}\n", "p:3: relations: or permissions: is expected" },
		{ "types:\n  user:\n    relations: []\n", "p:3: names with their expressions" },
		{ DOC "      a: b\n", "p:5: type doc has no relation b" },
		{ DOC "      a: { this: [usr] }\n", "p:5: there is no type usr" },
		{ DOC "      a: { this: [user#b] }\n", "p:5: type user has no relation b" },
		{ DOC "      a: { this: [\"user:b\"] }\n", "p:5: \"user:b\" is no subject" },
		{ DOC "      a: { this: [] }\n", "p:5: this takes 1 to 64" },
		{ DOC "      a: { this: user }\n", "p:5: this takes a list" },
		{ DOC "      a: this\n      a: this\n", "p:6: a of doc is there twice, first in line 5" },
		{ DOC "      this: this\n", "p:5: this is no name" },
		{ DOC "      a: { from: b, relation: c }\n", "p:5: type doc has no relation b" },
		{ DOC "      b: { this: [user] }\n      a: { from: b, relation: c }\n",
		  "p:6: no type that b leads to has a relation c" },
		{ DOC "      c: this\n      b: c\n      a: { from: b, relation: c }\n",
		  "p:7: from: b, which has no tuples" },
		{ DOC "      a: { from: b }\n", "p:5: { from: RELATION, relation: RELATION }" },
		{ DOC "      a: { exclusion: [this] }\n", "p:5: exclusion takes two" },
		{ DOC "      a: { exclusion: [this, this, this] }\n", "p:5: exclusion takes two" },
		{ DOC "      a: { union: [] }\n", "p:5: a list of 1 to 64" },
		{ DOC "      a: { unite: [this] }\n", "p:5: there is no operator \"unite\"" },
		{ DOC "      a: { union: [this], intersection: [this] }\n", "p:5: one of this, union" },
		{ DOC "      a: [[[[[[[[[this]]]]]]]]]\n", "p:5: expressions are nested more than 8" },
		{ DOC "      a: {\n", "p:6: " },
		{ "types:\n  user:\n---\ntypes:\n  user:\n", "p:4: a second document" },
		{ "types:\n  user:\n  doc:\n    permissions: { read: this }\n",
		  "p:4: permission read cannot have tuples" },
		{ "a: &x [*x]\n", "p:1: " },
		{ DOC "      a: &x [*x]\n", "p:5: " },
	};
	struct rebac_policy *p = NULL;
	struct rebac_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int ret = rebac_policy_parse(table[i].text, strlen(table[i].text), "p", &p, &err);

		if (ret != -EINVAL || strncmp(err.msg, table[i].words, strlen(table[i].words)) != 0)
			fail_msg("%zu: %d \"%s\", not \"%s\"", i, ret, ret ? err.msg : "",
				 table[i].words);
	}
}

static size_t say(char *text, size_t at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static size_t say(char *text, size_t at, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text + at, (REBAC_POLICY_MAX * 2) - at, fmt, args);
	va_end(args);
	return at + (size_t)n;
}

static void test_large_policies(void **state)
{
	char *text = malloc(REBAC_POLICY_MAX * 2);
	struct rebac_policy *p = NULL;
	struct rebac_err err;
	size_t n, i, most;

	(void)state;
	assert_non_null(text);
	for (most = 64; most <= 65; most++) {
		n = say(text, 0, "types:\n");
		for (i = 0; i < most; i++)
			n = say(text, n, "  t%zu:\n", i);
		assert_int_equal(rebac_policy_parse(text, n, "p", &p, &err), most > 64 ? -EINVAL : 0);
		if (most == 64)
			rebac_policy_free(p);
	}
	assert_non_null(strstr(err.msg, "1 to 64 types"));
	for (most = 512; most <= 513; most++) {
		n = say(text, 0, "types:\n  t:\n    relations:\n");
		for (i = 0; i < most; i++)
			n = say(text, n, "      r%zu: this\n", i);
		assert_int_equal(rebac_policy_parse(text, n, "p", &p, &err), most > 512 ? -EINVAL : 0);
		if (most == 512)
			rebac_policy_free(p);
	}
	assert_non_null(strstr(err.msg, "p:516: more than 512 relations"));
	/* Aliases of aliases: 16^4 expressions out of a few lines. */
	n = say(text, 0, "types:\n  t:\n    relations:\n      a: &a [");
	for (i = 0; i < 16; i++)
		n = say(text, n, "%sthis", i ? "," : "");
	n = say(text, n, "]\n");
	for (most = 0; most < 4; most++) {
		n = say(text, n, "      b%zu: &%c [", most, (int)('b' + most));
		for (i = 0; i < 16; i++)
			n = say(text, n, "%s*%c", i ? "," : "", (int)('a' + most));
		n = say(text, n, "]\n");
	}
	assert_int_equal(rebac_policy_parse(text, n, "p", &p, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "more than 4096 expressions"));
	/* By its size, whatever is in it. */
	n = say(text, 0, "types:\n  t:\n#");
	memset(text + n, 'x', REBAC_POLICY_MAX * 2 - n);
	assert_int_equal(rebac_policy_parse(text, REBAC_POLICY_MAX, "p", &p, &err), 0);
	rebac_policy_free(p);
	assert_int_equal(rebac_policy_parse(text, REBAC_POLICY_MAX + 1, "p", &p, &err), -EFBIG);
	free(text);
}

/* Any byte of a policy changed: refused with a line, or read; never worse. */
static void test_damaged_policies(void **state)
{
	static const char bytes[] = "\0:#*[]{}&!\"'\n\t a-,\xff";
	char text[sizeof(small)];
	struct rebac_policy *p;
	struct rebac_err err;
	size_t i, b, ok = 0;
	int ret;

	(void)state;
	for (i = 0; i < sizeof(small) - 1; i++)
		for (b = 0; b < sizeof(bytes) - 1; b++) {
			memcpy(text, small, sizeof(small));
			text[i] = bytes[b];
			err.msg[0] = '\0';
			ret = rebac_policy_parse(text, sizeof(small) - 1, "p", &p, &err);
			if (!ret) {
				rebac_policy_free(p);
				ok++;
			} else if (ret != -EINVAL || strncmp(err.msg, "p:", 2) != 0) {
				fail_msg("%zu %zu: %d %s", i, b, ret, err.msg);
			}
		}
	assert_in_range(ok, 100, sizeof(small) * sizeof(bytes) / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids), cmocka_unit_test(test_colons),
		cmocka_unit_test(test_refused_tuples), cmocka_unit_test(test_tuples_of_another_policy),
		cmocka_unit_test(test_cyclic_tuples), cmocka_unit_test(test_cyclic_policies),
		cmocka_unit_test(test_policies), cmocka_unit_test(test_large_policies),
		cmocka_unit_test(test_damaged_policies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
