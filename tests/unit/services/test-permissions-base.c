// SPDX-License-Identifier: Apache-2.0
/* What is written, what is answered then, and from which state: on every store. */
#include "base-world.h"
#include "record-world.h"

/* ---- checks ----------------------------------------------------------- */

static void test_check(void **state)
{
	struct nexus_permission_tuple t[3] = {
		tuple("doc:d#read@user:u"), tuple("doc:d#read@user:v"), tuple("doc:d#write@user:u"),
	};
	struct nexus_permission_check_args a = { .questions = t, .count = 3 };
	struct nexus_permission_tuple *many;

	(void)state;
	no("doc:d#read@user:u");
	put("group:g#member@user:u");
	put("doc:d#viewer@group:g#member");
	assert_int_equal(base_check(&b, &a), 0);
	assert_true(a.answers[0].allowed);
	assert_false(a.answers[1].allowed);
	assert_false(a.answers[2].allowed);
	assert_int_equal(a.answers[2].error, -ENOENT);
	assert_string_equal(a.read.at, last_write.token);
	yes("doc:d#viewer@group:g#member");
	put("doc:d#banned@user:u");
	no("doc:d#read@user:u");
	del("doc:d#banned@user:u");
	yes("doc:d#read@user:u");
	del("group:g#member@user:u");
	no("doc:d#read@user:u");

	a.count = 0;
	assert_int_equal(base_check(&b, &a), -EINVAL);
	many = calloc(NEXUS_PERMISSION_BATCH_MAX + 1, sizeof(*many));
	assert_non_null(many);
	for (a.count = 0; a.count <= NEXUS_PERMISSION_BATCH_MAX; a.count++)
		many[a.count] = t[0];
	a.questions = many;
	assert_int_equal(base_check(&b, &a), -EMSGSIZE);
	a.count--;
	assert_int_equal(base_check(&b, &a), 0);
	assert_false(a.answers[a.count - 1].allowed);
	free(many);
}

/* Two ids that no tuple has are still two. */
static void test_strangers(void **state)
{
	(void)state;
	no("doc:x#viewer@doc:y#viewer");
	yes("doc:x#viewer@doc:x#viewer");
	put("doc:x#viewer@user:u");
	no("doc:x#viewer@doc:y#viewer");
	no("doc:y#viewer@doc:x#viewer");
	yes("doc:x#viewer@doc:x#viewer");
	no("group:x#member@group:y#member");
	no("doc:z#viewer@user:z");
}

static void bad(struct nexus_permission_tuple t, int error)
{
	struct nexus_permission_check_args a = { .questions = &t, .count = 1 };
	struct nexus_permission_update u = { .tuple = t };
	struct nexus_permission_write_args w = { .updates = &u, .nupdates = 1 };

	assert_int_equal(base_check(&b, &a), 0);
	assert_false(a.answers[0].allowed);
	assert_int_equal(a.answers[0].error, error);
	assert_int_equal(base_write(&b, &w), -EINVAL);
	assert_true(w.error[0] != 0);
	assert_string_equal(w.token, "");
}

static void test_bad_input(void **state)
{
	const struct nexus_permission_tuple good = tuple("doc:d#viewer@user:u");
	struct nexus_permission_tuple t;
	char *large = malloc(1 << 20);

	(void)state;
	assert_non_null(large);
	memset(large, 'a', (1 << 20) - 1);
	large[(1 << 20) - 1] = '\0';
#define BAD(field, value, error) do { t = good; t.field = (value); bad(t, error); } while (0)
	BAD(object_id, large, -EINVAL);
	BAD(subject_id, large, -EINVAL);
	BAD(object_type, large, -EINVAL);
	BAD(subject_type, large, -EINVAL);
	BAD(relation, large, -EINVAL);
	BAD(subject_relation, large, -EINVAL);
	BAD(object_id, "", -EINVAL);
	BAD(object_id, NULL, -EINVAL);
	BAD(object_id, "*", -EINVAL);
	BAD(object_id, "a\nb", -EINVAL);
	BAD(subject_id, NULL, -EINVAL);
	BAD(subject_id, "\xff", -EINVAL);
	BAD(object_type, NULL, -EINVAL);
	BAD(object_type, "nothing", -ENOENT);
	BAD(subject_type, "nothing", -ENOENT);
	BAD(relation, NULL, -EINVAL);
	BAD(relation, "nothing", -ENOENT);
	BAD(relation, "member", -ENOENT);
	BAD(subject_relation, "member", -ENOENT);
	BAD(subject_type, "*", -EINVAL);
#undef BAD
	free(large);
	/* What a policy does not take cannot be written, but asked. */
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "doc:d#read@user:u", 0, NULL), -EINVAL);
	assert_non_null(strstr(last_write.error, "read follows from others"));
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "doc:d#owner@group:g#member", 0, NULL), -EINVAL);
	assert_non_null(strstr(last_write.error, "owner does not take"));
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "doc:d#viewer@group:*#member", 0, NULL), -EINVAL);
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "doc:d#viewer@user:u", 0, "hour >"), -EINVAL);
	assert_non_null(strstr(last_write.error, "condition, byte"));
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "doc:d#viewer@user:u", -1, NULL), -EINVAL);
	assert_int_equal(update(3, "doc:d#viewer@user:u", 0, NULL), -EINVAL);
	assert_int_equal(ask("doc:d#viewer@group:*#member").error, -EINVAL);
	no("doc:d#viewer@user:u");
	/* Colons belong to the id. */
	put("doc:a:b#viewer@user:c:d");
	yes("doc:a:b#viewer@user:c:d");
	no("doc:a#viewer@user:c:d");
	no("doc:a:b#viewer@user:c");
	/* Back to itself. */
	put("group:g#member@group:g#member");
	no("group:g#member@user:u");
}

static void test_facts(void **state)
{
	struct nexus_permission_fact facts[65] = { { "hour", NULL, 9 } };
	struct nexus_permission_tuple t = tuple("doc:d#read@user:u");
	struct nexus_permission_check_args a = { .questions = &t, .count = 1 };

	(void)state;
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "doc:d#viewer@user:u", now + 500, "hour < 18"), 0);
	assert_int_equal(base_check(&b, &a), 0);
	assert_false(a.answers[0].allowed);
	assert_int_equal(a.answers[0].why, NEXUS_PERMISSION_CONDITION);
	a.read.facts = facts;
	a.read.nfacts = 1;
	assert_int_equal(base_check(&b, &a), 0);
	assert_true(a.answers[0].allowed);
	assert_true(a.answers[0].contextual);
	assert_int_equal(a.answers[0].valid_until_ms, now + 500);
	facts[0].number = 18;
	assert_int_equal(base_check(&b, &a), 0);
	assert_false(a.answers[0].allowed);
	assert_int_equal(a.answers[0].why, 0);
	/* Whichever counted, somebody would be wrong; the same value twice is a mistake, too. */
	facts[1] = (struct nexus_permission_fact){ "net", "office", 0 };
	facts[2] = (struct nexus_permission_fact){ "hour", NULL, 9 };
	a.read.nfacts = 3;
	assert_int_equal(base_check(&b, &a), -EINVAL);
	facts[2].number = 18;
	assert_int_equal(base_check(&b, &a), -EINVAL);
	facts[2].name = "hours";
	assert_int_equal(base_check(&b, &a), 0);
	facts[1].name = NULL;
	a.read.nfacts = 65;
	assert_int_equal(base_check(&b, &a), -EMSGSIZE);
	a.read.nfacts = 2;	/* one without a name */
	assert_int_equal(base_check(&b, &a), -EINVAL);
}

/* ---- revisions and tokens --------------------------------------------- */

static void test_tokens(void **state)
{
	struct nexus_permission_tuple t = tuple("doc:d#read@user:u");
	struct nexus_permission_check_args a = { .questions = &t, .count = 1 };
	static const char *const wrong[] = {
		"", "x", "0", "-1", "0000000000000000-1", "00000000000000000000-1", "zz-1",
	};
	char token[NEXUS_PERMISSION_TOKEN_SIZE], copy[NEXUS_PERMISSION_TOKEN_SIZE];
	u64 first, i;

	(void)state;
	put("doc:d#viewer@user:u");
	strcpy(token, last_write.token);
	first = revision(token);
	/* One for each write that changes something. */
	for (i = 1; i <= 20; i++) {
		put("doc:d#viewer@user:v");
		assert_int_equal(revision(last_write.token), first + i);
	}
	del("doc:d#viewer@user:nobody");
	assert_int_equal(revision(last_write.token), first + 20);
	assert_int_equal(last_write.changed, 0);

	a.read.freshness = NEXUS_PERMISSION_AT_LEAST;
	strcpy(a.read.token, token);
	assert_int_equal(base_check(&b, &a), 0);
	assert_true(a.answers[0].allowed);
	assert_int_equal(revision(a.read.at), first + 20);
	strcpy(a.read.token, last_write.token);
	assert_int_equal(base_check(&b, &a), 0);
	/* What has not been written yet. */
	snprintf(a.read.token, sizeof(a.read.token), "%.17s%llx", token,
		 (unsigned long long)first + 21);
	assert_int_equal(base_check(&b, &a), -ESTALE);
	assert_false(a.answers[0].allowed);
	put("doc:d#viewer@user:w");
	assert_int_equal(base_check(&b, &a), 0);
	/* Another store's, and none. */
	strcpy(copy, token);
	copy[3] = copy[3] == '0' ? '1' : '0';
	strcpy(a.read.token, copy);
	assert_int_equal(base_check(&b, &a), -EINVAL);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		strcpy(a.read.token, wrong[i]);
		assert_int_equal(base_check(&b, &a), -EINVAL);
	}
	snprintf(a.read.token, sizeof(a.read.token), "%s ", token);
	assert_int_equal(base_check(&b, &a), -EINVAL);
	memset(a.read.token, '1', sizeof(a.read.token));
	assert_int_equal(base_check(&b, &a), -EINVAL);
	a.read.freshness = NEXUS_PERMISSION_FULLY;
	assert_int_equal(base_check(&b, &a), 0);
	a.read.freshness = 3;
	assert_int_equal(base_check(&b, &a), -EINVAL);
}

static void test_preconditions(void **state)
{
	struct nexus_permission_precondition p[2] = {
		{ tuple("doc:d#owner@user:u"), false }, { tuple("doc:d#banned@user:u"), true },
	};
	struct nexus_permission_update u[3] = {
		{ .tuple = tuple("doc:d#viewer@user:x") }, { .tuple = tuple("doc:d#viewer@user:y") },
		{ .kind = NEXUS_PERMISSION_CREATE, .tuple = tuple("doc:d#viewer@user:z") },
	};
	struct nexus_permission_write_args a = {
		.preconditions = p, .npreconditions = 2, .updates = u, .nupdates = 3,
	};
	u64 before;

	(void)state;
	put("doc:other#owner@user:o");
	before = revision(last_write.token);
	assert_int_equal(base_write(&b, &a), -ECANCELED);
	assert_int_equal(a.failed, 0);
	assert_non_null(strstr(a.error, "not there"));
	no("doc:d#viewer@user:x");
	put("doc:d#owner@user:u");
	put("doc:d#banned@user:u");
	assert_int_equal(base_write(&b, &a), -ECANCELED);
	assert_int_equal(a.failed, 1);
	del("doc:d#banned@user:u");
	/* All of it or nothing. */
	put("doc:d#viewer@user:z");
	assert_int_equal(base_write(&b, &a), -EEXIST);
	assert_int_equal(a.failed, 4);
	no("doc:d#viewer@user:x");
	assert_int_equal(revision(last_write.token), before + 4);
	del("doc:d#viewer@user:z");
	assert_int_equal(base_write(&b, &a), 0);
	assert_int_equal(a.changed, 3);
	assert_int_equal(revision(a.token), before + 6);
	yes("doc:d#viewer@user:z");
	/* One that has expired is not there. */
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "doc:d#banned@user:u", now + 1, NULL), 0);
	u[2].kind = NEXUS_PERMISSION_PUT;
	assert_int_equal(base_write(&b, &a), -ECANCELED);
	now++;
	assert_int_equal(base_write(&b, &a), 0);
	a.npreconditions = NEXUS_PERMISSION_BATCH_MAX + 1;
	assert_int_equal(base_write(&b, &a), -EMSGSIZE);
	a.npreconditions = 0;
	a.nupdates = NEXUS_PERMISSION_BATCH_MAX + 1;
	assert_int_equal(base_write(&b, &a), -EMSGSIZE);
}

/* ---- times ------------------------------------------------------------ */

static u32 rows_left(void)
{
	struct rebac_key keys[300];
	struct rebac_txn *txn;
	int n;

	assert_int_equal(store->ops->begin(store, false, &txn), 0);
	n = txn->ops->expired(txn, now, keys, 300);
	assert_true(n >= 0);
	txn->ops->abort(txn);
	return (u32)n;
}

static void test_cleaning(void **state)
{
	struct nexus_permission_clean_args c = { 0 };
	char text[80];
	u32 i;

	(void)state;
	for (i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "doc:d%u#viewer@user:u", i);
		assert_int_equal(update(NEXUS_PERMISSION_PUT, text, now + 1 + i / 50, NULL), 0);
		yes(text);
	}
	assert_int_equal(rows_left(), 0);
	now++;
	assert_int_equal(rows_left(), 50);
	no("doc:d0#viewer@user:u");
	no("doc:d49#viewer@user:u");
	yes("doc:d50#viewer@user:u");
	/* Written anew, with another time and without one. */
	assert_int_equal(update(NEXUS_PERMISSION_CREATE, "doc:d0#viewer@user:u", now + 9, NULL), 0);
	assert_int_equal(update(NEXUS_PERMISSION_CREATE, "doc:d60#viewer@user:u", 0, NULL), -EEXIST);
	put("doc:d60#viewer@user:u");
	/* Each write took a few along. */
	assert_int_equal(rows_left(), 0);
	now++;
	assert_int_equal(rows_left(), 49);
	no("doc:d50#viewer@user:u");
	yes("doc:d60#viewer@user:u");
	put("doc:x#viewer@user:u");
	assert_int_equal(rows_left(), 17);
	assert_int_equal(base_clean(&b, &c), 0);
	assert_int_equal(c.removed, 17);
	assert_false(c.more);
	assert_int_equal(rows_left(), 0);
	assert_int_equal(base_clean(&b, &c), 0);
	assert_int_equal(c.removed, 0);
	yes("doc:d0#viewer@user:u");
	yes("doc:d60#viewer@user:u");
	/* Removed before its time. */
	del("doc:d0#viewer@user:u");
	now += 100;
	assert_int_equal(rows_left(), 0);
}

/* ---- tuples that match ------------------------------------------------ */

static int delete(struct nexus_permission_tuple match, u32 max, u32 deleted, bool rest)
{
	struct nexus_permission_delete_args a = { .match = match, .max = max };
	int ret = base_delete(&b, &a);

	if (!ret) {
		assert_int_equal(a.deleted, deleted);
		assert_int_equal(a.more, rest);
	}
	return ret;
}

static void test_delete(void **state)
{
	struct nexus_permission_tuple m = { .object_type = "doc", .object_id = "d" };
	char text[80];
	u32 i;

	(void)state;
	for (i = 0; i < 150; i++) {
		snprintf(text, sizeof(text), "doc:d#viewer@user:u%u", i);
		put(text);
		snprintf(text, sizeof(text), "doc:e%u#owner@user:u", i);
		put(text);
	}
	put("doc:d#owner@user:u");
	put("doc:e0#viewer@user:u");
	put("doc:e0#viewer@group:g#member");
	m.relation = "owner";
	assert_int_equal(delete(m, 0, 1, false), 0);
	no("doc:d#owner@user:u");
	yes("doc:d#viewer@user:u0");
	m.relation = NULL;
	m.subject_type = "user";
	m.subject_id = "u7";
	assert_int_equal(delete(m, 0, 1, false), 0);
	no("doc:d#viewer@user:u7");
	m.subject_type = m.subject_id = NULL;
	assert_int_equal(delete(m, 100, 100, true), 0);
	assert_int_equal(delete(m, 100, 49, false), 0);
	no("doc:d#viewer@user:u149");
	yes("doc:e0#owner@user:u");
	/* By the subject. */
	m = (struct nexus_permission_tuple){ .subject_type = "user", .subject_id = "u" };
	m.relation = "viewer";
	assert_int_equal(delete(m, 0, 1, false), 0);
	m.relation = NULL;
	assert_int_equal(delete(m, 0, 150, false), 0);
	no("doc:e149#owner@user:u");
	m = (struct nexus_permission_tuple){ .subject_type = "group", .subject_id = "g" };
	assert_int_equal(delete(m, 0, 0, false), 0);
	m.subject_relation = "member";
	assert_int_equal(delete(m, 0, 1, false), 0);
	/* Of what is not there there is nothing; too little is refused. */
	m.subject_id = "nothing";
	assert_int_equal(delete(m, 0, 0, false), 0);
	m.subject_type = "nothing";
	assert_int_equal(delete(m, 0, 0, false), 0);
	m.subject_id = NULL;
	assert_int_equal(delete(m, 0, 0, false), -EINVAL);
	m = (struct nexus_permission_tuple){ .relation = "viewer" };
	assert_int_equal(delete(m, 0, 0, false), -EINVAL);
	m.object_type = "doc";
	assert_int_equal(delete(m, 0, 0, false), -EINVAL);
	m.subject_type = "user";
	m.subject_id = "u";
	assert_int_equal(delete(m, 0, 0, false), -EINVAL);
	assert_int_equal(delete(m, NEXUS_PERMISSION_BATCH_MAX + 1, 0, false), -EMSGSIZE);
}

/* ---- the policy ------------------------------------------------------- */

static void test_policy(void **state)
{
	static const char twice[] = "types:\n  user:\n  user:\n";
	struct nexus_permission_policy_args a = { .text = twice, .len = sizeof(twice) - 1 };
	struct nexus_permission_policy_args get = { 0 };
	u64 before;

	(void)state;
	put("group:g#member@user:u");
	put("doc:d#viewer@group:g#member");
	put("doc:d#viewer@user:v");
	before = revision(last_write.token);
	assert_int_equal(base_policy_set(&b, &a), -EINVAL);
	assert_string_equal(a.error, "policy:3: type user is there twice");
	assert_int_equal(base_policy_get(&b, &get), 0);
	assert_int_equal(get.len, strlen(policy));
	assert_string_equal(get.text, policy);
	assert_int_equal(revision(get.token), before);
	/* The next check goes by the new one, whatever was written by the old one. */
	set_policy("types:\n  user:\n  doc:\n    relations: { viewer: { this: [user] } }\n");
	no("doc:d#viewer@user:u");
	yes("doc:d#viewer@user:v");
	assert_int_equal(ask("doc:d#read@user:v").error, -ENOENT);
	assert_int_equal(ask("group:g#member@user:u").error, -ENOENT);
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "group:g#member@user:w", 0, NULL), -EINVAL);
	/* What it no longer knows can be removed. */
	del("group:g#member@user:u");
	assert_int_equal(last_write.changed, 1);
	set_policy(policy);
	no("doc:d#viewer@user:u");
	yes("doc:d#read@user:v");
	a.text = NULL;
	assert_int_equal(base_policy_set(&b, &a), -EINVAL);
}

static void test_without_policy(void **state)
{
	struct nexus_permission_tuple t = tuple("doc:d#read@user:u");
	struct nexus_permission_check_args a = { .questions = &t, .count = 1 };
	struct nexus_permission_policy_args get = { 0 };
	struct rebac_store *old = b.store;

	(void)state;
	b.store = rebac_mem_new();
	assert_non_null(b.store);
	assert_int_equal(base_check(&b, &a), -ENODATA);
	assert_false(a.answers[0].allowed);
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "doc:d#viewer@user:u", 0, NULL), -ENODATA);
	assert_int_equal(base_policy_get(&b, &get), -ENODATA);
	b.store->ops->close(b.store);
	b.store = old;
}

/* A table that is gone fails each call, and is told once until it is back. */
static void test_told_once(void **state)
{
	static const char text[] = "doc:d#viewer@user:u";
	struct nexus_permission_tuple t = tuple(text);
	struct nexus_permission_check_args a = { .questions = &t, .count = 1 };
	int i, round;

	if (!*state)
		return;
	for (round = 0; round < 2; round++) {
		record_world_said = 0;
		record_world_do("ALTER TABLE rebac_state RENAME TO rebac_away");
		for (i = 0; i < 5; i++) {
			assert_true(base_check(&b, &a) < 0);
			assert_true(update(NEXUS_PERMISSION_PUT, text, 0, NULL) < 0);
		}
		assert_int_equal(record_world_said, 1);
		record_world_do("ALTER TABLE rebac_away RENAME TO rebac_state");
		put(text);
		yes(text);
		assert_int_equal(record_world_said, 1);
	}
}

#define TESTS \
	X(test_check) X(test_strangers) X(test_bad_input) X(test_facts) X(test_tokens) \
	X(test_preconditions) X(test_cleaning) X(test_delete) X(test_policy) \
	X(test_without_policy) X(test_told_once)

#define X(name)	RUN_ON(name)
TESTS
#undef X

int main(void)
{
#define X(name)	ON_ALL(name)
	const struct CMUnitTest tests[] = {
		TESTS
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
