// SPDX-License-Identifier: Apache-2.0
/*
 * What the evaluator says at its limits, and of times, conditions and
 * wildcards: a yes only with a whole proof, and else why not.
 */
#include "policy-world.h"

static const char groups[] =
	"types:\n"
	"  user:\n"
	"  bot:\n"
	"  group:\n"
	"    relations:\n"
	"      member: { this: [user, \"user:*\", group#member] }\n"
	"  folder:\n"
	"    relations:\n"
	"      viewer: { this: [user] }\n"
	"  doc:\n"
	"    relations:\n"
	"      parent: { this: [folder] }\n"
	"      banned: { this: [user, group#member] }\n"
	"      member: { this: [user, \"user:*\", group#member] }\n"
	"      public: { this: [\"*\"] }\n"
	"      viewer: [member, { from: parent, relation: viewer }]\n"
	"    permissions:\n"
	"      read: { exclusion: [viewer, banned] }\n"
	"      sign: { intersection: [viewer, banned] }\n";

static struct world w;

static int setup(void **state)
{
	(void)state;
	policy_begin(&w, groups);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	policy_end(&w);
	return 0;
}

static void putf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void putf(const char *fmt, ...)
{
	char text[700];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	world_put(&w, text);
}

static void expect_why(const char *question, u32 why)
{
	struct rebac_answer a = world_ask(&w, question);

	if (a.value != REBAC_UNKNOWN || a.why != why)
		fail_msg("%s: is %d (why %x), expected unknown because of %x", question,
			 (int)a.value, a.why, why);
}

/* group:NAME1 has user:u; each further one has the members of the one before. */
static void chain(const char *name, u32 n)
{
	u32 i;

	putf("group:%s1#member@user:u", name);
	for (i = 2; i <= n; i++)
		putf("group:%s%u#member@group:%s%u#member", name, i, name, i - 1);
}

/* ---- limits ----------------------------------------------------------- */

static void test_defaults(void **state)
{
	struct rebac_limits l = { 0 }, more = { 51, 1001, 10001, 100001, 1001 };
	struct rebac_limits less = { 1, 2, 3, 4, 5 };

	(void)state;
	rebac_limits_settle(&l);
	rebac_limits_settle(&more);
	assert_memory_equal(&l, &more, sizeof(l));
	assert_int_equal(l.depth, 50);
	assert_int_equal(l.fanout, 1000);
	assert_int_equal(l.nodes, 10000);
	assert_int_equal(l.reads, 100000);
	assert_int_equal(l.time_ms, 1000);
	rebac_limits_settle(&less);
	assert_int_equal(less.depth + less.fanout + less.nodes + less.reads + less.time_ms, 15);
}

static void test_depth(void **state)
{
	(void)state;
	chain("g", 60);
	world_expect(&w, "group:g50#member@user:u", REBAC_YES);
	expect_why("group:g51#member@user:u", REBAC_WHY_DEPTH);
	expect_why("group:g60#member@user:stranger", REBAC_WHY_DEPTH);
	world_expect(&w, "group:g50#member@user:stranger", REBAC_NO);
	w.limits.depth = 3;
	world_expect(&w, "group:g3#member@user:u", REBAC_YES);
	expect_why("group:g4#member@user:u", REBAC_WHY_DEPTH);
	/* Another way, within the limit. */
	world_put(&w, "group:g4#member@group:g2#member");
	world_expect(&w, "group:g4#member@user:u", REBAC_YES);
}

/* What a limit cut off is neither there nor not there. */
static void test_limit_in_operators(void **state)
{
	(void)state;
	chain("g", 60);
	world_put(&w, "doc:d#member@user:u");
	world_put(&w, "doc:d#banned@group:g60#member");
	world_expect(&w, "doc:d#viewer@user:u", REBAC_YES);
	expect_why("doc:d#read@user:u", REBAC_WHY_DEPTH);
	expect_why("doc:d#sign@user:u", REBAC_WHY_DEPTH);
	/* Whoever is no viewer is none, however it is with the ban. */
	world_expect(&w, "doc:d#read@user:v", REBAC_NO);
	world_expect(&w, "doc:d#sign@user:v", REBAC_NO);
	/* And a ban that is found is one. */
	world_put(&w, "doc:d#banned@group:g1#member");
	world_expect(&w, "doc:d#read@user:u", REBAC_NO);
	world_expect(&w, "doc:d#sign@user:u", REBAC_YES);
}

static void test_fanout(void **state)
{
	u32 i;

	(void)state;
	world_put(&w, "group:last#member@user:u");
	for (i = 0; i < 1000; i++)
		putf("doc:d#member@group:f%u#member", i);
	world_expect(&w, "doc:d#member@user:u", REBAC_NO);
	world_put(&w, "doc:d#member@group:zlast#member");
	expect_why("doc:d#member@user:u", REBAC_WHY_FANOUT);
	expect_why("doc:d#read@user:u", REBAC_WHY_FANOUT);
	/* One that is named is found however many there are. */
	world_put(&w, "doc:d#member@user:u");
	world_expect(&w, "doc:d#member@user:u", REBAC_YES);
	/* The same through objects. */
	w.limits.fanout = 40;
	for (i = 0; i < 40; i++)
		putf("doc:e#parent@folder:f%u", i);
	world_put(&w, "folder:f39#viewer@user:u");
	world_expect(&w, "doc:e#viewer@user:u", REBAC_YES);
	world_expect(&w, "doc:e#viewer@user:v", REBAC_NO);
	putf("doc:e#parent@folder:f40");
	world_expect(&w, "doc:e#viewer@user:u", REBAC_YES);
	expect_why("doc:e#viewer@user:v", REBAC_WHY_FANOUT);
}

static void test_nodes_and_reads(void **state)
{
	struct rebac_answer a;

	(void)state;
	chain("g", 20);
	a = world_ask(&w, "group:g20#member@user:u");
	assert_int_equal(a.value, REBAC_YES);
	assert_int_equal(a.nodes, 20);
	assert_int_equal(a.reads, 20);
	w.limits.nodes = 19;
	expect_why("group:g20#member@user:u", REBAC_WHY_NODES);
	w.limits.nodes = 20;
	world_expect(&w, "group:g20#member@user:u", REBAC_YES);
	w.limits.reads = 19;
	expect_why("group:g20#member@user:u", REBAC_WHY_READS);
	w.limits.reads = 20;
	world_expect(&w, "group:g20#member@user:u", REBAC_YES);
}

static u64 ticking(void *arg)
{
	u64 *ns = arg;

	return *ns += 1000000;
}

static void test_deadline(void **state)
{
	u64 ns = 0;

	(void)state;
	chain("g", 40);
	world_put(&w, "doc:d#member@user:u");
	world_put(&w, "doc:d#banned@group:g40#member");
	w.clock = ticking;
	w.clock_arg = &ns;
	/* It is looked at three times: at the start, the 1st, the 17th and the 33rd node. */
	w.limits.time_ms = 3;
	expect_why("group:g40#member@user:u", REBAC_WHY_DEADLINE);
	expect_why("doc:d#read@user:u", REBAC_WHY_DEADLINE);
	w.limits.time_ms = 4;
	world_expect(&w, "group:g40#member@user:u", REBAC_YES);
	world_expect(&w, "doc:d#read@user:u", REBAC_NO);
}

/* What a limit cut off in one question is not the answer of another. */
static void test_shared_after_limit(void **state)
{
	struct rebac_question q = { .policy = w.policy };
	struct rebac_answer a;
	struct rebac_key deep, flat;
	struct rebac_eval *e;

	(void)state;
	chain("g", 60);
	assert_int_equal(w.store->ops->begin(w.store, false, &q.txn), 0);
	deep = world_key(&w, q.txn, "group:g60#member@user:u", false);
	flat = world_key(&w, q.txn, "group:g45#member@user:u", false);
	q.subj = deep.subj;
	e = rebac_eval_new(&q);
	assert_int_equal(rebac_eval_ask(e, deep.obj, deep.rel, &a), 0);
	assert_int_equal(a.value, REBAC_UNKNOWN);
	assert_int_equal(a.why, REBAC_WHY_DEPTH);
	assert_int_equal(rebac_eval_ask(e, flat.obj, flat.rel, &a), 0);
	assert_int_equal(a.value, REBAC_YES);
	/* Now it is known how it goes on. */
	assert_int_equal(rebac_eval_ask(e, deep.obj, deep.rel, &a), 0);
	assert_int_equal(a.value, REBAC_YES);
	rebac_eval_free(e);

	q.limits.nodes = 10;
	e = rebac_eval_new(&q);
	assert_int_equal(rebac_eval_ask(e, flat.obj, flat.rel, &a), 0);
	assert_int_equal(a.why, REBAC_WHY_NODES);
	/* What was left open in between is asked anew. */
	deep = world_key(&w, q.txn, "group:g40#member@user:u", false);
	assert_int_equal(rebac_eval_ask(e, deep.obj, deep.rel, &a), 0);
	assert_int_equal(a.why, REBAC_WHY_NODES);
	deep = world_key(&w, q.txn, "group:g10#member@user:u", false);
	assert_int_equal(rebac_eval_ask(e, deep.obj, deep.rel, &a), 0);
	assert_int_equal(a.value, REBAC_YES);
	rebac_eval_free(e);
	q.txn->ops->abort(q.txn);
}

/* ---- times ------------------------------------------------------------ */

static void test_expiry(void **state)
{
	struct rebac_answer a;

	(void)state;
	w.now = 999;
	world_put_until(&w, "doc:d#member@user:u", 1000, NULL);
	a = world_ask(&w, "doc:d#member@user:u");
	assert_int_equal(a.value, REBAC_YES);
	assert_int_equal(a.valid_until, 1000);
	w.now = 1000;
	a = world_ask(&w, "doc:d#member@user:u");
	assert_int_equal(a.value, REBAC_NO);
	assert_int_equal(a.valid_until, INT64_MAX);
	/* Of a userset, of an object above, of a ban. */
	world_put(&w, "group:g#member@user:v");
	world_put_until(&w, "doc:d#member@group:g#member", 2000, NULL);
	world_put(&w, "folder:f#viewer@user:x");
	world_put_until(&w, "doc:d#parent@folder:f", 1500, NULL);
	world_put_until(&w, "doc:d#banned@user:v", 1800, NULL);
	w.now = 1499;
	world_expect(&w, "doc:d#read@user:x", REBAC_YES);
	world_expect(&w, "doc:d#viewer@user:v", REBAC_YES);
	world_expect(&w, "doc:d#read@user:v", REBAC_NO);
	w.now = 1500;
	world_expect(&w, "doc:d#read@user:x", REBAC_NO);
	w.now = 1800;
	a = world_ask(&w, "doc:d#read@user:v");
	assert_int_equal(a.value, REBAC_YES);
	assert_int_equal(a.valid_until, 2000);
	w.now = 2000;
	world_expect(&w, "doc:d#read@user:v", REBAC_NO);
	/* Written anew, it counts anew. */
	world_put_until(&w, "doc:d#member@group:g#member", 3000, NULL);
	world_expect(&w, "doc:d#read@user:v", REBAC_YES);
	world_put(&w, "doc:d#member@group:g#member");
	w.now = INT64_MAX;
	world_expect(&w, "doc:d#read@user:v", REBAC_YES);
}

/* Expired ones in an object too large to be read at once. */
static void test_expiry_of_large(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < 40; i++)
		putf("doc:d#member@user:u%u", i);
	world_put_until(&w, "doc:d#member@user:t", 1000, NULL);
	world_put_until(&w, "doc:d#member@user:*", 500, NULL);
	w.now = 499;
	world_expect(&w, "doc:d#member@user:nobody", REBAC_YES);
	w.now = 500;
	world_expect(&w, "doc:d#member@user:nobody", REBAC_NO);
	world_expect(&w, "doc:d#member@user:t", REBAC_YES);
	w.now = 1000;
	world_expect(&w, "doc:d#member@user:t", REBAC_NO);
	world_expect(&w, "doc:d#member@user:u39", REBAC_YES);
}

/* ---- conditions ------------------------------------------------------- */

static void test_conditions(void **state)
{
	static const struct rebac_fact day[] = { { "hour", NULL, 9 }, { "net", "office", 0 } };
	static const struct rebac_fact night[] = { { "hour", NULL, 23 }, { "net", "home", 0 } };
	static const struct rebac_fact odd[] = { { "hour", "nine", 0 } };
	struct rebac_answer a;

	(void)state;
	world_put_until(&w, "doc:d#member@user:u", 0, "hour >= 8 && hour < 18");
	world_put(&w, "doc:d#member@user:v");
	world_put_until(&w, "doc:d#banned@user:v", 0, "net != \"office\"");
	a = world_ask(&w, "doc:d#member@user:u");
	assert_int_equal(a.value, REBAC_UNKNOWN);
	assert_int_equal(a.why, REBAC_WHY_CONDITION);
	assert_true(a.contextual);
	expect_why("doc:d#read@user:v", REBAC_WHY_CONDITION);
	w.facts = odd;
	w.nfacts = 1;
	expect_why("doc:d#member@user:u", REBAC_WHY_CONDITION);
	w.facts = day;
	w.nfacts = 2;
	world_expect(&w, "doc:d#member@user:u", REBAC_YES);
	world_expect(&w, "doc:d#read@user:v", REBAC_YES);
	w.facts = night;
	world_expect(&w, "doc:d#member@user:u", REBAC_NO);
	world_expect(&w, "doc:d#read@user:v", REBAC_NO);
	/* Without one the answer is good for all facts. */
	assert_false(world_ask(&w, "doc:d#member@user:v").contextual);
	/* One that is written without a condition has none any more. */
	world_put(&w, "doc:d#member@user:u");
	world_expect(&w, "doc:d#member@user:u", REBAC_YES);
}

static void test_condition_language(void **state)
{
	static const struct rebac_fact facts[] = {
		{ "n", NULL, 5 }, { "neg", NULL, -5 }, { "s", "abc", 0 }, { "t", NULL, 1 },
		{ "f", NULL, 0 }, { "empty", "", 0 },
	};
	static const struct { const char *text; enum rebac_value value; } table[] = {
		{ "n == 5", REBAC_YES }, { "n != 5", REBAC_NO }, { "n<6", REBAC_YES },
		{ "n <= 5 && n >= 5", REBAC_YES }, { "n > 5", REBAC_NO }, { "neg == -5", REBAC_YES },
		{ "s == \"abc\"", REBAC_YES }, { "s < \"abcd\"", REBAC_YES }, { "s > \"abb\"", REBAC_YES },
		{ "s == \"ab\"", REBAC_NO }, { "empty == \"\"", REBAC_YES }, { "empty < \"a\"", REBAC_YES },
		{ "t", REBAC_YES }, { "!t", REBAC_NO }, { "f", REBAC_NO }, { "!!f", REBAC_NO },
		{ "t == true", REBAC_YES }, { "f == false", REBAC_YES },
		/* && before ||. */
		{ "t || f && f", REBAC_YES }, { "(t || f) && f", REBAC_NO }, { "f && f || t", REBAC_YES },
		/* Unknown: a fact that is not there, or of another type. */
		{ "x", REBAC_UNKNOWN }, { "!x", REBAC_UNKNOWN }, { "s", REBAC_UNKNOWN },
		{ "s == 5", REBAC_UNKNOWN }, { "n == \"5\"", REBAC_UNKNOWN }, { "x != 1", REBAC_UNKNOWN },
		{ "x && f", REBAC_NO }, { "f && x", REBAC_NO }, { "x || t", REBAC_YES },
		{ "t || x", REBAC_YES }, { "x && t", REBAC_UNKNOWN }, { "f || x", REBAC_UNKNOWN },
		{ "n == 9223372036854775807", REBAC_NO },
		{ "((((((((((((((((t))))))))))))))))", REBAC_UNKNOWN },	/* one too deep */
		{ "(((((((((((((((t)))))))))))))))", REBAC_YES },
	};
	static const struct { const char *text; const char *byte; } wrong[] = {
		{ "", "byte 1:" }, { "n ==", "byte 5:" }, { "n == 5 5", "byte 8:" }, { "n = 5", "byte 3:" },
		{ "(n == 5", "byte 8:" }, { "n == \"5", "byte 7:" }, { "5 == n", "byte 1:" },
		{ "n == 5 && ", "byte 11:" }, { "n == 9223372036854775808", "too large" },
		{ "N == 5", "byte 1:" }, { "n == 5)", "byte 7:" }, { "n == -", "byte 6:" },
		{ "!!!!!!!!!!!!!!!!!n", "too deep" },
	};
	char text[REBAC_COND_MAX + 2];
	struct rebac_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (rebac_cond_eval(table[i].text, facts, 6) != table[i].value)
			fail_msg("%s is not %d", table[i].text, (int)table[i].value);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(rebac_cond_check(wrong[i].text, &err), -EINVAL);
		if (!strstr(err.msg, wrong[i].byte))
			fail_msg("%s: %s", wrong[i].text, err.msg);
		assert_int_equal(rebac_cond_eval(wrong[i].text, facts, 6), REBAC_UNKNOWN);
	}
	memset(text, ' ', sizeof(text));
	text[0] = 't';
	text[REBAC_COND_MAX] = '\0';
	assert_int_equal(rebac_cond_check(text, &err), 0);
	text[REBAC_COND_MAX] = ' ';
	text[REBAC_COND_MAX + 1] = '\0';
	assert_int_equal(rebac_cond_check(text, &err), -EINVAL);
}

/* ---- wildcards -------------------------------------------------------- */

static void refused(const char *tuple, const char *words)
{
	struct rebac_err err = { "" };
	struct rebac_txn *txn;
	struct rebac_key key;

	assert_int_equal(w.store->ops->begin(w.store, true, &txn), 0);
	key = world_key(&w, txn, tuple, true);
	if (rebac_policy_admits(w.policy, &key, &err) != -EINVAL || !strstr(err.msg, words))
		fail_msg("%s: \"%s\"", tuple, err.msg);
	txn->ops->abort(txn);
}

static void test_wildcard(void **state)
{
	(void)state;
	world_put(&w, "doc:d#member@user:*");
	world_put(&w, "doc:d#banned@user:bad");
	world_put(&w, "doc:p#public@*:*");
	world_expect(&w, "doc:d#read@user:anybody", REBAC_YES);
	world_expect(&w, "doc:d#read@user:*", REBAC_YES);
	world_expect(&w, "doc:d#read@user:bad", REBAC_NO);
	world_expect(&w, "doc:d#read@bot:anybody", REBAC_NO);
	/* Users are meant, not sets of them. */
	world_expect(&w, "doc:d#member@group:g#member", REBAC_NO);
	world_expect(&w, "doc:p#public@bot:anybody", REBAC_YES);
	world_expect(&w, "doc:p#public@user:anybody", REBAC_YES);
	world_expect(&w, "doc:p#public@group:g#member", REBAC_NO);
	/* Through a group. */
	world_put(&w, "group:all#member@user:*");
	world_put(&w, "doc:e#member@group:all#member");
	world_expect(&w, "doc:e#viewer@user:anybody", REBAC_YES);
	world_expect(&w, "doc:e#viewer@bot:anybody", REBAC_NO);
	/* One user is not all of them. */
	world_put(&w, "doc:f#member@user:u");
	world_expect(&w, "doc:f#member@user:*", REBAC_NO);
	world_expect(&w, "doc:f#member@*:*", REBAC_NO);

	refused("folder:f#viewer@user:*", "does not take");
	refused("doc:d#member@*:*", "does not take");
	refused("doc:d#member@group:*#member", "wildcard has no relation");
	refused("doc:d#parent@folder:*", "does not take");
}

/* ---- explanations ----------------------------------------------------- */

static struct rebac_trace trace;

static const struct rebac_step *next(u32 *at, enum rebac_step_kind kind, enum rebac_value value,
				     u32 depth)
{
	const struct rebac_step *s = &trace.steps[(*at)++];

	assert_true(*at <= trace.n);
	assert_int_equal(s->kind, kind);
	assert_int_equal(s->value, value);
	assert_int_equal(s->depth, depth);
	return s;
}

static void test_explain(void **state)
{
	struct rebac_txn *txn;
	struct rebac_key key;
	u32 at = 0;

	(void)state;
	world_put(&w, "group:g#member@user:u");
	world_put(&w, "group:g#member@group:g#member");
	world_put(&w, "doc:d#member@group:g#member");
	w.trace = &trace;
	memset(&trace, 0, sizeof(trace));
	world_expect(&w, "doc:d#read@user:u", REBAC_YES);
	assert_int_equal(w.store->ops->begin(w.store, false, &txn), 0);
	key = world_key(&w, txn, "doc:d#member@group:g#member", false);
	txn->ops->abort(txn);
	next(&at, REBAC_STEP_RELATION, REBAC_YES, 1);	/* read */
	next(&at, REBAC_STEP_RELATION, REBAC_YES, 2);	/* viewer */
	assert_int_equal(next(&at, REBAC_STEP_RELATION, REBAC_YES, 3)->rel, key.rel);
	assert_int_equal(trace.steps[at].subj, key.subj);
	assert_int_equal(trace.steps[at].srel, key.srel);
	next(&at, REBAC_STEP_TUPLE, REBAC_YES, 3);
	assert_int_equal(next(&at, REBAC_STEP_RELATION, REBAC_YES, 4)->node, key.subj);
	next(&at, REBAC_STEP_TUPLE, REBAC_YES, 4);
	next(&at, REBAC_STEP_RELATION, REBAC_NO, 2);	/* banned */
	assert_int_equal(at, trace.n);
	assert_false(trace.cut);

	/* A question that leads back to itself; and one that is known. */
	memset(&trace, 0, sizeof(trace));
	at = 0;
	world_expect(&w, "group:g#member@user:x", REBAC_NO);
	next(&at, REBAC_STEP_RELATION, REBAC_NO, 1);
	next(&at, REBAC_STEP_TUPLE, REBAC_YES, 1);
	next(&at, REBAC_STEP_CYCLE, REBAC_NO, 2);
	assert_int_equal(at, trace.n);
	world_put(&w, "doc:d#banned@group:g#member");
	memset(&trace, 0, sizeof(trace));
	world_expect(&w, "doc:d#sign@user:u", REBAC_YES);
	next(&(u32){ trace.n - 1 }, REBAC_STEP_KNOWN, REBAC_YES, 3);
}

static void test_explain_is_bounded(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < 600; i++)
		putf("doc:d#member@group:f%u#member", i);
	w.trace = &trace;
	memset(&trace, 0, sizeof(trace));
	world_expect(&w, "doc:d#member@user:u", REBAC_NO);
	assert_int_equal(trace.n, REBAC_STEPS_MAX);
	assert_true(trace.cut);
	/* The first one is the question, with its answer. */
	assert_int_equal(trace.steps[0].value, REBAC_NO);
	assert_int_equal(trace.steps[0].depth, 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_defaults), T(test_depth), T(test_limit_in_operators), T(test_fanout),
		T(test_nodes_and_reads), T(test_deadline), T(test_shared_after_limit),
		T(test_expiry), T(test_expiry_of_large), T(test_conditions),
		T(test_condition_language), T(test_wildcard), T(test_explain),
		T(test_explain_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
