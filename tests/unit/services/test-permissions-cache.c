// SPDX-License-Identifier: Apache-2.0
/* The cache by itself, and its sets of ids. */
#include "base-world.h"
#include "policy-model.h"

#include "idset.h"

static const struct rebac_answer sure = {
	.value = REBAC_YES, .valid_from = INT64_MIN, .valid_until = INT64_MAX,
};

/* Views of different ages: none gets what is of another. */
static void test_old_views(void **state)
{
	struct rebac_policy *p;
	struct cache_question old = {
		.state = { 1, 5, 1 }, .subj = rebac_node(1, 1), .type = 2, .rel = 3, .now = 10,
	}, new = old;
	u64 touched[REBAC_SET_WORDS] = { 1 }, other[REBAC_SET_WORDS] = { 1ull << 63 };
	struct cache *c = cache_new(CACHE_BYTES, true);
	struct rebac_answer a;

	(void)state;
	assert_non_null(c);
	assert_int_equal(rebac_policy_parse(policy, strlen(policy), "policy", &p, NULL), 0);
	cache_met(c, 0, &old.state);
	cache_keep(c, &old, 7, &sure);
	assert_true(cache_answer(c, &old, 7, &a));
	/* Being committed, nobody knows of it. */
	new.state.revision = 6;
	cache_will(c, &new.state, p, touched);
	assert_true(cache_answer(c, &old, 7, &a));
	cache_met(c, 5, &new.state);
	assert_false(cache_answer(c, &new, 7, &a));
	cache_did(c, true);
	assert_false(cache_answer(c, &new, 7, &a));
	/* What an old view found out is not for the new one, and the other way round. */
	cache_keep(c, &old, 7, &sure);
	assert_false(cache_answer(c, &new, 7, &a));
	cache_keep(c, &new, 8, &sure);
	assert_true(cache_answer(c, &new, 8, &a));
	assert_false(cache_answer(c, &old, 8, &a));
	/* But for what had nothing to do with it. */
	new.state.revision = 7;
	cache_will(c, &new.state, p, other);
	cache_did(c, true);
	assert_true(cache_answer(c, &new, 8, &a));
	new.state.revision = 6;
	assert_true(cache_answer(c, &new, 8, &a));
	/* A revision that was made by somebody else in our place. */
	new.state.revision = 8;
	cache_will(c, &new.state, p, other);
	cache_did(c, false);
	cache_met(c, 7, &new.state);
	assert_false(cache_answer(c, &new, 8, &a));
	cache_keep(c, &new, 8, &sure);
	assert_true(cache_answer(c, &new, 8, &a));
	/* Later than ours, and met before ours was told. */
	new.state.revision = 9;
	cache_will(c, &new.state, p, other);
	new.state.revision = 10;
	cache_met(c, 8, &new.state);
	cache_did(c, true);
	assert_int_equal(cache_known(c), 10);
	assert_false(cache_answer(c, &new, 8, &a));
	/* Put back to an earlier state. */
	cache_keep(c, &new, 8, &sure);
	new.state.revision = 4;
	cache_met(c, 10, &new.state);
	assert_false(cache_answer(c, &new, 8, &a));
	new.state.revision = 10;
	cache_met(c, 4, &new.state);
	assert_false(cache_answer(c, &new, 8, &a));
	/* It was away. */
	cache_keep(c, &new, 8, &sure);
	cache_lost(c);
	cache_met(c, 0, &new.state);
	assert_false(cache_answer(c, &new, 8, &a));
	/* Another policy, another store. */
	cache_keep(c, &new, 8, &sure);
	new.state.policy = 9;
	assert_false(cache_answer(c, &new, 8, &a));
	new.state.policy = 1;
	assert_true(cache_answer(c, &new, 8, &a));
	new.state.store = 2;
	assert_false(cache_answer(c, &new, 8, &a));
	cache_met(c, 0, &new.state);
	assert_false(cache_answer(c, &new, 8, &a));
	rebac_policy_free(p);
	cache_free(c);
}

/* However much is asked, it has no more than its limit; what was used last is there. */
static void test_bounded(void **state)
{
	struct cache_question q = { .state = { 1, 1, 1 }, .type = 2, .rel = 3 };
	struct cache *c = cache_new(100000, true);
	struct cache_stats s;
	struct rebac_answer a;
	u32 i;

	(void)state;
	assert_non_null(c);
	cache_met(c, 0, &q.state);
	for (i = 1; i <= 20000; i++) {
		q.subj = rebac_node(1, 1 + i % 3000);
		cache_keep(c, &q, i * 7919, &sure);
		cache_stats(c, &s);
		assert_true(s.bytes <= 100000);
		assert_true(cache_answer(c, &q, i * 7919, &a));
		q.subj = rebac_node(1, 5000);
		cache_keep(c, &q, 1, &sure);
	}
	assert_true(s.evicted > 10000 && s.entries > 100);
	assert_true(cache_answer(c, &q, 1, &a));
	cache_free(c);
	cache_free(NULL);
}

static int by_value(const void *x, const void *y)
{
	return *(const u32 *)x < *(const u32 *)y ? -1 : *(const u32 *)x > *(const u32 *)y;
}

/* Against a list: few, many, close together and far apart. */
static void test_idset(void **state)
{
	static const u32 spread[] = { 1, 3, 97, 65536, 65537, 9999991 };
	static u32 ids[30000];
	struct idset s = { 0 };
	u32 i, k, n, at, id;

	(void)state;
	for (k = 0; k < sizeof(spread) / sizeof(spread[0]); k++) {
		model_seed(k + 1);
		for (n = 0; n < 30000; n++) {
			ids[n] = model_pick(60000) * spread[k];
			assert_int_equal(idset_add(&s, ids[n]), 0);
			assert_true(idset_has(&s, ids[n]));
		}
		qsort(ids, n, sizeof(*ids), by_value);
		for (i = at = 0; idset_next(&s, at, &id); i++, at = id + 1) {
			assert_int_equal(id, ids[i]);
			while (i + 1 < n && ids[i + 1] == id)
				i++;
			if (id == UINT32_MAX)
				break;
		}
		assert_int_equal(i, n);
		for (i = 0; i + 1 < n; i++)
			if (ids[i + 1] > ids[i] + 1)
				assert_false(idset_has(&s, ids[i] + 1));
		if (spread[k] == 1)
			assert_true(s.bytes < 10000);
		idset_free(&s);
		assert_int_equal(s.bytes, 0);
	}
	assert_false(idset_has(&s, 0) || idset_next(&s, 0, &id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_old_views), cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_idset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
