// SPDX-License-Identifier: Apache-2.0
/*
 * The evaluator against one that knows no shortcuts (policy-model.h), over
 * random policies and tuples, cycles and exclusions included.
 */
#include "policy-model.h"

#include "record-world.h"

#define ROUNDS		6000u
#define RECORD_ROUNDS	400u

static u64 answers[3][3];	/* [expected][got] */

/* Questions with a memory each, or one for all of them. */
static void compare(struct model *m, bool shared)
{
	struct rebac_question q = { .policy = m->w->policy, .subj = m->subj };
	struct rebac_eval *e;
	struct rebac_answer a;
	u32 n, r, expected;

	assert_int_equal(m->w->store->ops->begin(m->w->store, false, &q.txn), 0);
	e = rebac_eval_new(&q);
	assert_non_null(e);
	for (n = 0; n < NODES; n++)
		for (r = 0; r < RELS; r++) {
			u32 sym = model_rel(m, n, r);

			expected = model_value(m, n, r);
			if (!shared)
				assert_int_equal(rebac_evaluate(&q, m->nodes[n], sym, &a), 0);
			else
				assert_int_equal(rebac_eval_ask(e, m->nodes[n], sym, &a), 0);
			answers[expected][a.value]++;
			if (expected != a.value &&
			    !(a.value == REBAC_UNKNOWN && a.why == REBAC_WHY_CYCLE))
				fail_msg("t%u:o%u#r%u is %d (why %x), expected %u", n / IDS, n % IDS, r,
					 (int)a.value, a.why, expected);
		}
	rebac_eval_free(e);
	q.txn->ops->abort(q.txn);
}

static void run(u32 excl, u32 rounds)
{
	static struct text policy;
	struct rebac_policy *p;
	struct model m;
	struct world w;
	u32 i, done = 0;

	memset(answers, 0, sizeof(answers));
	for (i = 0; done < rounds; i++) {
		model_seed(0x9e3779b97f4a7c15ull * (i + 1));
		model_policy(&policy, excl);
		/* Some have "from" a relation that leads nowhere. */
		if (rebac_policy_parse(policy.s, policy.n, "random", &p, NULL))
			continue;
		rebac_policy_free(p);
		done++;
		policy_begin(&w, policy.s);
		model_make(&m, &w);
		model_solve(&m);
		compare(&m, false);
		compare(&m, true);
		policy_end(&w);
	}
}

/* Without exclusion there is an answer to everything, and it is that one. */
static void test_monotone(void **state)
{
	(void)state;
	run(0, ROUNDS);
	assert_int_equal(answers[REBAC_YES][REBAC_UNKNOWN] + answers[REBAC_NO][REBAC_UNKNOWN], 0);
	assert_true(answers[REBAC_YES][REBAC_YES] > 10000 && answers[REBAC_NO][REBAC_NO] > 10000);
}

/*
 * With exclusions: never another answer, nor one where there is none.  Unknown
 * where the model has an answer is allowed for cycles through an exclusion.
 */
static void test_exclusion(void **state)
{
	u64 open;

	(void)state;
	run(4, ROUNDS);
	open = answers[REBAC_YES][REBAC_UNKNOWN] + answers[REBAC_NO][REBAC_UNKNOWN];
	print_message("# unknown: %llu without an answer, %llu with one, of %llu\n",
		      (unsigned long long)answers[REBAC_UNKNOWN][REBAC_UNKNOWN],
		      (unsigned long long)open,
		      (unsigned long long)(answers[REBAC_YES][REBAC_YES] +
					   answers[REBAC_NO][REBAC_NO]));
	assert_true(answers[REBAC_UNKNOWN][REBAC_UNKNOWN] > 1000);
	assert_true(open < answers[REBAC_UNKNOWN][REBAC_UNKNOWN]);
}

/* The same questions, of tuples in a record store. */
static void test_record_store(void **state)
{
	(void)state;
	world_store_new = record_world_new;
	world_store_gone = record_world_end;
	run(0, RECORD_ROUNDS);
	run(4, RECORD_ROUNDS);
	world_store_new = NULL;
	world_store_gone = NULL;
	assert_true(answers[REBAC_YES][REBAC_YES] > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_monotone),
		cmocka_unit_test(test_exclusion),
		cmocka_unit_test(test_record_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
