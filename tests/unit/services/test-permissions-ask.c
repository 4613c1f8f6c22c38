// SPDX-License-Identifier: Apache-2.0
/*
 * Explanations, expansions and lists in words; a store that fails; threads, and
 * what a revocation means for them: on every store.
 */
#include "base-world.h"

#include <stdatomic.h>

/* ---- explain, expand, lists ------------------------------------------- */

static void test_explain(void **state)
{
	struct nexus_permission_explain_args a = { .question = tuple("doc:d#read@user:u") };

	(void)state;
	put("group:g#member@user:u");
	put("doc:d#viewer@group:g#member");
	assert_int_equal(base_explain(&b, &a), 0);
	assert_true(a.answer.allowed);
	assert_false(a.cut);
	assert_int_equal(a.nlines, 6);
	assert_string_equal(a.lines[0], "yes: doc:d#read");
	assert_string_equal(a.lines[1], "  yes: doc:d#viewer");
	assert_string_equal(a.lines[2], "  yes: doc:d#viewer@group:g#member (tuple)");
	assert_string_equal(a.lines[3], "    yes: group:g#member");
	assert_string_equal(a.lines[4], "    yes: group:g#member@user:u (tuple)");
	assert_string_equal(a.lines[5], "  no: doc:d#banned");
	a.question = tuple("doc:new#read@user:u");
	assert_int_equal(base_explain(&b, &a), 0);
	assert_false(a.answer.allowed);
	assert_string_equal(a.lines[0], "no: doc:(not there)#read");
	a.question = tuple("doc:d#nothing@user:u");
	assert_int_equal(base_explain(&b, &a), 0);
	assert_int_equal(a.answer.error, -ENOENT);
	assert_int_equal(a.nlines, 0);
}

static void test_expand(void **state)
{
	struct nexus_permission_expand_args a = {
		.object_type = "doc", .object_id = "d", .relation = "read",
	};
	static const struct { u32 kind, depth; const char *id, *relation; } tree[] = {
		{ NEXUS_PERMISSION_RELATION, 0, "d", "read" },
		{ NEXUS_PERMISSION_EXCLUSION, 1, NULL, NULL },
		{ NEXUS_PERMISSION_RELATION, 2, "d", "viewer" },
		{ NEXUS_PERMISSION_UNION, 3, NULL, NULL },
		{ NEXUS_PERMISSION_UNION, 4, NULL, NULL },
		{ NEXUS_PERMISSION_SUBJECT, 5, "*", NULL },
		{ NEXUS_PERMISSION_SUBJECT, 5, "u", NULL },
		{ NEXUS_PERMISSION_RELATION, 4, "d", "owner" },
		{ NEXUS_PERMISSION_UNION, 5, NULL, NULL },
		{ NEXUS_PERMISSION_RELATION, 2, "d", "banned" },
		{ NEXUS_PERMISSION_UNION, 3, NULL, NULL },
	};
	u32 i;

	(void)state;
	assert_int_equal(base_expand(&b, &a), 0);
	assert_int_equal(a.nbranches, 0);
	put("doc:d#viewer@user:u");
	put("doc:d#viewer@user:*");
	assert_int_equal(base_expand(&b, &a), 0);
	assert_int_equal(a.why, 0);
	assert_int_equal(a.nbranches, sizeof(tree) / sizeof(tree[0]));
	for (i = 0; i < a.nbranches; i++) {
		assert_int_equal(a.branches[i].kind, tree[i].kind);
		assert_int_equal(a.branches[i].depth, tree[i].depth);
		if (tree[i].id)
			assert_string_equal(a.branches[i].id, tree[i].id);
		else
			assert_null(a.branches[i].id);
		if (tree[i].relation)
			assert_string_equal(a.branches[i].relation, tree[i].relation);
	}
	a.max = 4;
	assert_int_equal(base_expand(&b, &a), 0);
	assert_int_equal(a.nbranches, 4);
	assert_int_equal(a.why, NEXUS_PERMISSION_NODES);
	a.max = NEXUS_PERMISSION_LIST_MAX + 1;
	assert_int_equal(base_expand(&b, &a), -EMSGSIZE);
	a.max = 0;
	a.relation = "nothing";
	assert_int_equal(base_expand(&b, &a), -ENOENT);
}

static void test_lists(void **state)
{
	struct nexus_permission_list_args a = {
		.tuple = { .object_type = "doc", .relation = "read", .subject_type = "user",
			   .subject_id = "u" },
		.max = 2,
	};
	char text[80];
	u32 i;

	(void)state;
	for (i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "doc:d%u#viewer@user:u", i);
		put(text);
	}
	put("doc:d3#banned@user:u");
	assert_int_equal(base_list_objects(&b, &a), 0);
	assert_int_equal(a.nitems, 2);
	assert_true(a.more);
	assert_string_equal(a.items[0].id, "d0");
	assert_string_equal(a.items[1].id, "d1");
	a.after = a.items[1].id;
	assert_int_equal(base_list_objects(&b, &a), 0);
	assert_int_equal(a.nitems, 2);
	assert_false(a.more);
	assert_string_equal(a.items[0].id, "d2");
	assert_string_equal(a.items[1].id, "d4");
	a.after = "nothing";
	assert_int_equal(base_list_objects(&b, &a), -EINVAL);
	a.after = NULL;
	a.tuple.object_id = "d0";
	assert_int_equal(base_list_objects(&b, &a), -EINVAL);
	a.tuple.object_id = NULL;
	a.tuple.relation = "nothing";
	assert_int_equal(base_list_objects(&b, &a), -ENOENT);

	/* Subjects, of whom everybody is one. */
	put("doc:d3#viewer@user:*");
	put("doc:d3#viewer@group:g#member");
	a.tuple = (struct nexus_permission_tuple){ .object_type = "doc", .object_id = "d3",
						   .relation = "read", .subject_type = "user" };
	a.max = 1;
	assert_int_equal(base_list_subjects(&b, &a), 0);
	assert_int_equal(a.nitems, 1);
	assert_string_equal(a.items[0].id, "*");
	assert_false(a.items[0].not);
	a.after = "*";
	assert_int_equal(base_list_subjects(&b, &a), 0);
	assert_int_equal(a.nitems, 1);
	assert_string_equal(a.items[0].id, "u");
	assert_true(a.items[0].not);
	a.after = NULL;
	a.tuple.subject_type = "group";
	a.tuple.subject_relation = "member";
	assert_int_equal(base_list_subjects(&b, &a), 0);
	assert_int_equal(a.nitems, 1);
	assert_string_equal(a.items[0].id, "g");
	a.tuple.object_id = "not there";
	assert_int_equal(base_list_subjects(&b, &a), 0);
	assert_int_equal(a.nitems, 0);
	a.max = NEXUS_PERMISSION_LIST_MAX + 1;
	assert_int_equal(base_list_subjects(&b, &a), -EMSGSIZE);
}

/* Whoever it is, of whatever type; and one id of two types. */
static void test_anybody(void **state)
{
	struct nexus_permission_expand_args x = {
		.object_type = "doc", .object_id = "same", .relation = "public",
	};
	struct nexus_permission_list_args l = {
		.tuple = { .object_type = "doc", .object_id = "same", .relation = "public",
			   .subject_type = "user" },
	};
	struct nexus_permission_delete_args d = {
		.match = { .object_type = "doc", .object_id = "same", .relation = "public" },
	};

	(void)state;
	put("doc:same#public@*:*");
	put("doc:same#public@user:same");
	yes("doc:same#public@user:anybody");
	yes("doc:same#public@group:anybody");
	assert_int_equal(base_expand(&b, &x), 0);
	assert_int_equal(x.nbranches, 4);
	assert_string_equal(x.branches[2].type, "*");
	assert_string_equal(x.branches[2].id, "*");
	assert_string_equal(x.branches[3].type, "user");
	assert_string_equal(x.branches[3].id, "same");
	assert_int_equal(base_list_subjects(&b, &l), 0);
	assert_int_equal(l.nitems, 2);
	assert_string_equal(l.items[0].id, "*");
	assert_string_equal(l.items[1].id, "same");
	l.tuple = (struct nexus_permission_tuple){ .object_type = "doc", .relation = "public",
						   .subject_type = "user", .subject_id = "x" };
	assert_int_equal(base_list_objects(&b, &l), 0);
	assert_int_equal(l.nitems, 1);
	assert_string_equal(l.items[0].id, "same");
	assert_int_equal(base_delete(&b, &d), 0);
	assert_int_equal(d.deleted, 2);
	no("doc:same#public@user:anybody");
	no("doc:same#public@user:same");
}

/* ---- a store that fails ----------------------------------------------- */

static int fail_scan(struct rebac_txn *txn, u64 obj, u32 rel, const struct rebac_row *after,
		     struct rebac_row *rows, u32 max)
{
	(void)txn;
	(void)obj;
	(void)rel;
	(void)after;
	(void)rows;
	(void)max;
	return -EIO;
}

static int fail_twice(struct rebac_store *s, bool write, struct rebac_txn **txn)
{
	static u32 times;

	if (++times % 3)
		return -EAGAIN;
	return ((const struct rebac_store_ops *)(store->ops + 1))->begin(s, write, txn);
}

/* An error is no yes; a conflict is tried again. */
static void test_errors_of_the_store(void **state)
{
	struct nexus_permission_tuple t = tuple("doc:d#read@user:u");
	struct nexus_permission_check_args a = { .questions = &t, .count = 1 };
	const struct rebac_store_ops *was = store->ops;
	struct rebac_store_ops ops[2] = { *was, *was };

	(void)state;
	put("doc:d#viewer@user:u");
	ops[0].scan = fail_scan;
	store->ops = ops;
	assert_int_equal(base_check(&b, &a), -EIO);
	assert_false(a.answers[0].allowed);
	ops[0] = *was;
	ops[0].begin = fail_twice;
	assert_int_equal(base_check(&b, &a), 0);
	assert_true(a.answers[0].allowed);
	put("doc:d#viewer@user:v");
	store->ops = was;
	yes("doc:d#viewer@user:v");
}

static u64 hurried(void *arg)
{
	static u64 ns;

	(void)arg;
	return ns += 100000000;
}

/* All questions of a batch have two seconds; who is late is not allowed, and told. */
static void test_batch_deadline(void **state)
{
	struct nexus_permission_tuple t[100];
	struct nexus_permission_check_args a = { .questions = t, .count = 100 };
	u32 i, known;

	(void)state;
	put("doc:d#viewer@user:u");
	for (i = 0; i < 100; i++)
		t[i] = tuple("doc:d#read@user:u");
	assert_int_equal(base_check(&b, &a), 0);
	assert_true(a.answers[99].allowed);
	b.clock = hurried;
	assert_int_equal(base_check(&b, &a), 0);
	for (known = 0; a.answers[known].allowed; known++)
		;
	assert_in_range(known, 3, 20);
	for (i = known; i < 100; i++) {
		assert_false(a.answers[i].allowed);
		assert_int_equal(a.answers[i].why, NEXUS_PERMISSION_DEADLINE);
	}
}

/* ---- threads ---------------------------------------------------------- */

#define READERS	3
#define GRANTS	40

/* Even: the answer to the revocation has come; odd: the tuple may be there. */
static atomic_uint phase;
static atomic_bool over;
static atomic_uint asked, denied, allowed, late;

/* Of several documents of one group: an answer that is kept, or the closure of the user. */
static void *reader(void *arg)
{
	static const char *const docs[] = { "d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7" };
	u32 i;

	(void)arg;
	for (i = 0; !atomic_load(&over); i++) {
		struct nexus_permission_tuple t = { "doc", docs[i % 8], "read", "user", "u", NULL };
		struct nexus_permission_check_args a = { .questions = &t, .count = 1 };
		u32 before = atomic_load(&phase), after;

		if (base_check(&b, &a))
			abort();
		after = atomic_load(&phase);
		atomic_fetch_add(&asked, 1);
		atomic_fetch_add(a.answers[0].allowed ? &allowed : &denied, 1);
		if (a.answers[0].allowed && before == after && before % 2 == 0)
			atomic_fetch_add(&late, 1);
	}
	return NULL;
}

/* The tuple that is granted and revoked is one on the way to all of them. */
static void revocations(const char *granted)
{
	pthread_t threads[READERS];
	char text[40];
	u32 i, seen;

	atomic_store(&phase, 0);
	atomic_store(&over, false);
	asked = denied = allowed = late = 0;
	put("group:all#member@group:g#member");
	for (i = 0; i < 8; i++) {
		snprintf(text, sizeof(text), "doc:d%u#viewer@group:all#member", i);
		put(text);
	}
	put("group:g#member@user:u");
	del(granted);
	for (i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, NULL), 0);
	for (i = 0; i < GRANTS; i++) {
		atomic_fetch_add(&phase, 1);
		put(granted);
		seen = atomic_load(&allowed);
		while (atomic_load(&allowed) == seen)
			sched_yield();
		del(granted);
		atomic_fetch_add(&phase, 1);
		seen = atomic_load(&asked);
		while (atomic_load(&asked) < seen + READERS)
			sched_yield();
	}
	atomic_store(&over, true);
	for (i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(atomic_load(&denied) >= GRANTS);
	assert_int_equal(atomic_load(&late), 0);
}

static void test_revocation(void **state)
{
	(void)state;
	revocations("group:all#member@group:g#member");
}

static void test_revocation_of_member(void **state)
{
	(void)state;
	revocations("group:g#member@user:u");
}

#define WRITERS		4
#define WRITES		25

static u64 revisions[WRITERS * WRITES];

static void *writer(void *arg)
{
	u32 w = (u32)(uintptr_t)arg, i;
	char id[20];

	for (i = 0; i < WRITES; i++) {
		struct nexus_permission_update u = { .tuple = { "doc", id, "viewer", "user", "u", NULL } };
		struct nexus_permission_write_args a = { .updates = &u, .nupdates = 1 };

		snprintf(id, sizeof(id), "w%u-%u", w, i);
		if (base_write(&b, &a))
			abort();
		revisions[w * WRITES + i] = revision(a.token);
	}
	return NULL;
}

static int by_value(const void *x, const void *y)
{
	return *(const u64 *)x < *(const u64 *)y ? -1 : *(const u64 *)x > *(const u64 *)y;
}

/* Each write has a revision of its own, and none is left out. */
static void test_writers(void **state)
{
	pthread_t threads[WRITERS];
	u32 i;

	(void)state;
	for (i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, writer, (void *)(uintptr_t)i), 0);
	for (i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	qsort(revisions, WRITERS * WRITES, sizeof(*revisions), by_value);
	for (i = 1; i < WRITERS * WRITES; i++)
		assert_int_equal(revisions[i], revisions[0] + i);
	yes("doc:w3-24#viewer@user:u");
}

/* ---- the same store again --------------------------------------------- */

static void test_reopen(void **state)
{
	char token[NEXUS_PERMISSION_TOKEN_SIZE];
	struct nexus_permission_tuple t = tuple("doc:d#read@user:u");
	struct nexus_permission_check_args a = { .questions = &t, .count = 1 };

	(void)state;
	put("doc:d#viewer@user:u");
	strcpy(token, last_write.token);
	reopen();
	a.read.freshness = NEXUS_PERMISSION_AT_LEAST;
	strcpy(a.read.token, token);
	assert_int_equal(base_check(&b, &a), 0);
	assert_true(a.answers[0].allowed);
	assert_string_equal(a.read.at, token);
}

#define TESTS \
	X(test_explain) X(test_expand) X(test_lists) X(test_anybody) \
	X(test_errors_of_the_store) X(test_batch_deadline) X(test_revocation) X(test_writers)

#define X(name)	RUN_ON(name)
TESTS
#undef X
RUN_ON(test_revocation_of_member)

int main(void)
{
#define X(name)	ON_ALL(name)
	const struct CMUnitTest tests[] = {
		TESTS
		ON_KEPT(test_revocation_of_member)
		{ "test_reopen", test_reopen, setup, teardown, sqlite },
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
