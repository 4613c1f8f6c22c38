// SPDX-License-Identifier: Apache-2.0
/*
 * The operations of nexus.permissions, over tuples in memory and in a record
 * store: each test runs on both.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base.h"
#include "record-world.h"

static struct base b;
static struct rebac_store *store;
static char path[64];
static s64 now;

/* ---- memory of arguments ---------------------------------------------- */

struct piece {
	struct piece *next;
	u64 data[];
};

static struct piece *pieces;
static pthread_mutex_t pieces_lock = PTHREAD_MUTEX_INITIALIZER;

static void *more(void *args, size_t size)
{
	struct piece *p = calloc(1, sizeof(*p) + size);

	(void)args;
	assert_non_null(p);
	pthread_mutex_lock(&pieces_lock);
	p->next = pieces;
	pieces = p;
	pthread_mutex_unlock(&pieces_lock);
	return p->data;
}

static s64 clock_ms(void)
{
	return now;
}

/* ---- stores ----------------------------------------------------------- */

static const char policy[] =
	"types:\n"
	"  user:\n"
	"  group:\n"
	"    relations: { member: { this: [user, group#member] } }\n"
	"  doc:\n"
	"    relations:\n"
	"      owner: { this: [user] }\n"
	"      banned: { this: [user] }\n"
	"      viewer: [{ this: [user, \"user:*\", group#member, doc#viewer] }, owner]\n"
	"    permissions: { read: { exclusion: [viewer, banned] } }\n";

static void set_policy(const char *text)
{
	struct nexus_permission_policy_args a = { .text = text, .len = (u32)strlen(text) };

	if (base_policy_set(&b, &a))
		fail_msg("%s", a.error);
	assert_string_equal(a.error, "");
}

static int setup(void **state)
{
	now = 1000000;
	if (*state) {
		snprintf(path, sizeof(path), "/tmp/rebac-XXXXXX");
		close(mkstemp(path));
		store = record_world_at(path);
	} else {
		store = rebac_mem_new();
	}
	assert_non_null(store);
	base_init(&b, store, more);
	b.now_ms = clock_ms;
	set_policy(policy);
	return 0;
}

static void remove_file(const char *end)
{
	char name[80];

	snprintf(name, sizeof(name), "%s%s", path, end);
	unlink(name);
}

static int teardown(void **state)
{
	struct piece *p;

	base_end(&b);
	store->ops->close(store);
	if (*state) {
		record_world_end();
		remove_file("");
		remove_file("-wal");
		remove_file("-shm");
	}
	while ((p = pieces)) {
		pieces = p->next;
		free(p);
	}
	return 0;
}

/* ---- tuples as text --------------------------------------------------- */

static const char *part(const char *text, size_t len)
{
	char *p = more(NULL, len + 1);

	memcpy(p, text, len);
	return p;
}

/* TYPE:ID#RELATION@TYPE:ID[#RELATION]; the first ':' ends a type. */
static struct nexus_permission_tuple tuple(const char *text)
{
	struct nexus_permission_tuple t = { 0 };
	const char *hash = strchr(text, '#'), *at = strchr(hash, '@'), *colon;

	colon = strchr(text, ':');
	t.object_type = part(text, (size_t)(colon - text));
	t.object_id = part(colon + 1, (size_t)(hash - colon - 1));
	t.relation = part(hash + 1, (size_t)(at - hash - 1));
	colon = strchr(at, ':');
	t.subject_type = part(at + 1, (size_t)(colon - at - 1));
	hash = strchr(colon, '#');
	t.subject_id = part(colon + 1, hash ? (size_t)(hash - colon - 1) : strlen(colon + 1));
	t.subject_relation = hash ? part(hash + 1, strlen(hash + 1)) : NULL;
	return t;
}

static struct nexus_permission_write_args last_write;

static int update(u32 kind, const char *text, s64 expires, const char *condition)
{
	struct nexus_permission_update u = {
		.kind = kind, .tuple = tuple(text), .expires_ms = expires, .condition = condition,
	};

	last_write = (struct nexus_permission_write_args){ .updates = &u, .nupdates = 1 };
	return base_write(&b, &last_write);
}

static void put(const char *text)
{
	if (update(NEXUS_PERMISSION_PUT, text, 0, NULL))
		fail_msg("%s: %s", text, last_write.error);
}

static void del(const char *text)
{
	assert_int_equal(update(NEXUS_PERMISSION_DELETE, text, 0, NULL), 0);
}

static u64 revision(const char *token)
{
	return strtoull(strchr(token, '-') + 1, NULL, 16);
}

static struct nexus_permission_answer ask(const char *text)
{
	struct nexus_permission_tuple t = tuple(text);
	struct nexus_permission_check_args a = { .questions = &t, .count = 1 };
	int ret = base_check(&b, &a);

	if (ret)
		fail_msg("%s: %d", text, ret);
	return a.answers[0];
}

static void yes(const char *text)
{
	if (!ask(text).allowed)
		fail_msg("%s: no", text);
}

static void no(const char *text)
{
	struct nexus_permission_answer a = ask(text);

	if (a.allowed || a.why || a.error)
		fail_msg("%s: %d %x %d", text, a.allowed, a.why, a.error);
}

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
	assert_int_equal(get.len, sizeof(policy) - 1);
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

/* ---- threads ---------------------------------------------------------- */

#define READERS	3
#define GRANTS	100

/* Even: the answer to the revocation has come; odd: the tuple may be there. */
static atomic_uint phase;
static atomic_bool over;
static atomic_uint asked, denied, allowed, late;

static void *reader(void *arg)
{
	(void)arg;
	while (!atomic_load(&over)) {
		struct nexus_permission_tuple t = { "doc", "d", "read", "user", "u", NULL };
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

static void test_revocation(void **state)
{
	pthread_t threads[READERS];
	u32 i, seen;

	(void)state;
	atomic_store(&phase, 0);
	atomic_store(&over, false);
	asked = denied = allowed = late = 0;
	put("group:g#member@user:u");
	for (i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, NULL), 0);
	for (i = 0; i < GRANTS; i++) {
		atomic_fetch_add(&phase, 1);
		put("doc:d#viewer@group:g#member");
		seen = atomic_load(&allowed);
		while (atomic_load(&allowed) == seen)
			sched_yield();
		del("doc:d#viewer@group:g#member");
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

	if (!*state)
		skip();
	put("doc:d#viewer@user:u");
	strcpy(token, last_write.token);
	base_end(&b);
	store->ops->close(store);
	record_world_end();
	store = record_world_at(path);
	base_init(&b, store, more);
	b.now_ms = clock_ms;
	a.read.freshness = NEXUS_PERMISSION_AT_LEAST;
	strcpy(a.read.token, token);
	assert_int_equal(base_check(&b, &a), 0);
	assert_true(a.answers[0].allowed);
	assert_string_equal(a.read.at, token);
}

int main(void)
{
	static int record = 1;
#define T(name) \
	{ #name " (memory)", name, setup, teardown, NULL }, \
	{ #name " (record store)", name, setup, teardown, &record }
	const struct CMUnitTest tests[] = {
		T(test_check), T(test_strangers), T(test_bad_input), T(test_facts), T(test_tokens),
		T(test_preconditions), T(test_cleaning), T(test_delete), T(test_policy),
		T(test_without_policy), T(test_explain), T(test_expand), T(test_lists),
		T(test_errors_of_the_store), T(test_revocation), T(test_writers),
		{ "test_reopen", test_reopen, setup, teardown, &record },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
