// SPDX-License-Identifier: Apache-2.0
/*
 * Two helpers of one record store that share their answers: each is right whatever the other
 * one writes, and so is whoever comes later and finds what they left.
 */
#include "helpers-world.h"
#include "policy-model.h"
#include "record-world.h"

#include "seal.h"

/* ---- what one found out ------------------------------------------------- */

static void test_found(void **state)
{
	(void)state;
	put("doc:d#viewer@user:u");
	put("doc:e#viewer@user:v");
	is(&b, "doc:d#read@user:u", true);
	is(&b, "doc:e#read@user:u", false);
	found(&b, 0, 2);
	is(&two, "doc:d#read@user:u", true);
	is(&two, "doc:e#read@user:u", false);
	found(&two, 2, 0);
	/* It is kept there now. */
	is(&two, "doc:d#read@user:u", true);
	found(&two, 0, 0);
	/* What has nothing to do with it; a helper that was not there before. */
	change_by(&two, NEXUS_PERMISSION_PUT, "doc:d#public@user:x");
	begin_late();
	is(&late, "doc:d#read@user:u", true);
	found(&late, 1, 0);
	/* What has: by one, by the other. */
	change_by(&two, NEXUS_PERMISSION_PUT, "doc:d#banned@user:u");
	is(&b, "doc:d#read@user:u", false);
	found(&b, 0, 1);
	is(&late, "doc:d#read@user:u", false);
	found(&late, 1, 0);
	change_by(&b, NEXUS_PERMISSION_DELETE, "doc:d#banned@user:u");
	is(&late, "doc:d#read@user:u", true);
	is(&two, "doc:d#read@user:u", true);
	change_by(&late, NEXUS_PERMISSION_DELETE, "doc:d#viewer@user:u");
	is(&two, "doc:d#read@user:u", false);
	is(&b, "doc:d#read@user:u", false);
	/* As it was before, but it is not the same write. */
	change_by(&late, NEXUS_PERMISSION_PUT, "doc:d#viewer@user:u");
	is(&two, "doc:d#read@user:u", true);
	is(&b, "doc:d#read@user:u", true);
	found(&b, 2, 0);
	/* A policy changes all. */
	set_policy(policy);
	found(&two, 1, 2);
	is(&two, "doc:d#read@user:u", true);
	found(&two, 0, 1);
}

/* Other helpers' writes cost what follows from them, and nothing else. */
static void test_not_emptied(void **state)
{
	struct cache_stats was, is_now;

	(void)state;
	put("doc:d#viewer@user:u");
	is(&b, "doc:d#read@user:u", true);
	cache_stats(b.cache, &was);
	change_by(&two, NEXUS_PERMISSION_PUT, "doc:d#public@user:x");
	is(&b, "doc:d#read@user:u", true);
	cache_stats(b.cache, &is_now);
	assert_int_equal(is_now.hits, was.hits + 1);
	assert_int_equal(is_now.emptied, was.emptied);
}

static void test_lists(void **state)
{
	struct nexus_permission_list_args a = {
		.tuple = { .object_type = "doc", .relation = "read", .subject_type = "user",
			   .subject_id = "u" },
	};
	char text[80];
	u32 i;

	(void)state;
	for (i = 0; i < 50; i++) {
		snprintf(text, sizeof(text), "doc:d%u#viewer@user:u", i);
		put(text);
	}
	assert_int_equal(base_list_objects(&b, &a), 0);
	assert_int_equal(a.nitems, 50);
	found(&b, 0, 1);
	assert_int_equal(base_list_objects(&two, &a), 0);
	assert_int_equal(a.nitems, 50);
	assert_string_equal(a.items[49].id, "d49");
	found(&two, 1, 0);
	/* All of it: so what is not in it is known, too. */
	is(&two, "doc:d0#read@user:u", true);
	found(&two, 0, 0);
	change_by(&two, NEXUS_PERMISSION_PUT, "doc:d7#banned@user:u");
	assert_int_equal(base_list_objects(&b, &a), 0);
	assert_int_equal(a.nitems, 49);
	begin_late();
	assert_int_equal(base_list_objects(&late, &a), 0);
	assert_int_equal(a.nitems, 49);
	found(&late, 1, 0);
	/* None at all is a list as well. */
	a.tuple.subject_id = "v";
	put("doc:x#owner@user:v");
	change_by(&b, NEXUS_PERMISSION_DELETE, "doc:x#owner@user:v");
	assert_int_equal(base_list_objects(&b, &a), 0);
	assert_int_equal(base_list_objects(&two, &a), 0);
	assert_int_equal(a.nitems, 0);
	found(&two, 1, 0);
}

static void test_times(void **state)
{
	struct nexus_permission_list_args a = {
		.tuple = { .object_type = "doc", .relation = "viewer", .subject_type = "user",
			   .subject_id = "u" },
	};

	(void)state;
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "doc:d#viewer@user:u", now + 100000, NULL), 0);
	is(&b, "doc:d#read@user:u", true);
	assert_true(last_ttl <= 100000);
	assert_int_equal(base_list_objects(&b, &a), 0);
	assert_int_equal(a.nitems, 1);
	assert_true(last_ttl <= 100000);
	now += 99999;
	is(&two, "doc:d#read@user:u", true);
	assert_int_equal(ask_of(&two, "doc:d#read@user:u").valid_until_ms, now + 1);
	found(&two, 1, 0);
	/* It is there yet, and good no more. */
	now++;
	is(&two, "doc:d#read@user:u", false);
	found(&two, 0, 1);
	begin_late();
	assert_int_equal(base_list_objects(&late, &a), 0);
	assert_int_equal(a.nitems, 0);
	found(&late, 0, 1);
	put("doc:e#viewer@user:u");
	is(&b, "doc:e#viewer@user:u", true);
	assert_int_equal(last_ttl, 300000);
	is(&b, "doc:d#viewer@user:u", false);
	assert_int_equal(last_ttl, 60000);
}

/* What is not sure, or depends on facts, is nobody else's. */
static void test_not_put(void **state)
{
	static const struct nexus_permission_fact fact = { "hour", NULL, 9 };
	struct nexus_permission_tuple t = tuple("doc:d#read@user:u");
	struct nexus_permission_check_args a = { .questions = &t, .count = 1 };
	struct nexus_permission_answer deep;
	char text[80];
	u32 i;

	(void)state;
	assert_int_equal(update(NEXUS_PERMISSION_PUT, "doc:d#viewer@user:u", 0, "hour < 18"), 0);
	for (i = 0; i < 60; i++) {
		snprintf(text, sizeof(text), "group:g%u#member@group:g%u#member", i, i + 1);
		put(text);
	}
	put("group:g60#member@user:u");
	sets = 0;
	for (i = 0; i < 3; i++) {
		a.read.facts = &fact;
		a.read.nfacts = 1;
		assert_int_equal(base_check(helpers[i & 1], &a), 0);
		assert_true(a.answers[0].allowed);
		a.read.nfacts = 0;
		assert_int_equal(base_check(helpers[i & 1], &a), 0);
		assert_int_equal(a.answers[0].why, NEXUS_PERMISSION_CONDITION);
		deep = ask_of(helpers[i & 1], "group:g0#member@user:u");
		assert_true(!deep.allowed && deep.why == NEXUS_PERMISSION_DEPTH);
		/* Nor what is nobody in particular yet. */
		is(helpers[i & 1], "doc:none#read@user:none", false);
	}
	assert_int_equal(sets, 0);
}

/* ---- whom it trusts ------------------------------------------------------ */

static void replace(const u8 *key, const void *value, size_t size)
{
	const struct nexus_cache_part part = NEXUS_CACHE_P(key, 41);
	const struct nexus_cache_key k = { &part, 1, false };

	assert_int_equal(real->set(server, &k, value, size, 0), 0);
}

static void test_forged(void **state)
{
	u8 key[64], value[64], other_key[64];
	size_t size;
	u32 i;

	(void)state;
	put("doc:d#viewer@user:u");
	put("doc:e#viewer@user:v");
	is(&b, "doc:d#read@user:u", true);
	memcpy(key, last_key, sizeof(key));
	memcpy(value, last_value, sizeof(value));
	size = last_size;
	is(&b, "doc:d#read@user:v", false);
	memcpy(other_key, last_key, sizeof(other_key));
	/* A yes of another question; each byte of one; more and less of it. */
	replace(other_key, value, size);
	is(&two, "doc:d#read@user:v", false);
	assert_int_equal(counts(&two).refused, 1);
	for (i = 0; i < size; i++) {
		value[i] ^= 1;
		replace(key, value, size);
		value[i] ^= 1;
		begin_late();
		is(&late, "doc:d#read@user:u", true);
		assert_int_equal(counts(&late).refused, 1);
	}
	for (i = 0; i < 3; i++) {
		replace(key, value, i == 0 ? size - 1 : i == 1 ? size + 1 : 0);
		begin_late();
		is(&late, "doc:d#read@user:u", true);
		assert_int_equal(counts(&late).refused, 1);
	}
	replace(key, value, size);
	begin_late();
	is(&late, "doc:d#read@user:u", true);
	assert_int_equal(counts(&late).refused, 0);
	found(&late, 1, 0);
}

/* Of the paper's authors: the bytes 0, 1, 2 ... under the key 0, 1, 2 ... */
static void test_seal(void **state)
{
	static const struct {
		u32 size;
		u64 tag;
	} known[] = {
		{ 0, 0x726fdb47dd0e0e31ull }, { 1, 0x74f839c593dc67fdull },
		{ 8, 0x93f5f5799a932462ull }, { 15, 0xa129ca6149be45e5ull },
	};
	u8 bytes[16];
	u32 i;

	(void)state;
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (u8)i;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		assert_int_equal(seal(bytes, bytes, known[i].size), known[i].tag);
}

/* ---- a server that goes --------------------------------------------------- */

static void test_lost(void **state)
{
	u32 i;

	(void)state;
	assert_int_equal(counts(&b).how, NEXUS_PERMISSION_SHARED);
	assert_true(counts(&b).since > 0);
	put("doc:d#viewer@user:u");
	is(&b, "doc:d#read@user:u", true);
	memset(told, 0, sizeof(told));
	reach = NEXUS_CACHE_CUT_OFF;
	sets = 0;
	for (i = 0; i < 3; i++) {
		is(&two, "doc:d#read@user:u", true);
		is(&b, "doc:d#viewer@user:u", true);
		change_by(&b, NEXUS_PERMISSION_DELETE, "doc:d#viewer@user:u");
		is(&two, "doc:d#read@user:u", false);
		change_by(&b, NEXUS_PERMISSION_PUT, "doc:d#viewer@user:u");
	}
	assert_int_equal(sets, 0);
	found(&two, 0, 0);
	/* Once by each. */
	assert_int_equal(counts(&b).how, NEXUS_PERMISSION_CUT_OFF);
	assert_int_equal(told[0], 2);
	assert_int_equal(told[1], 0);
	reach = NEXUS_CACHE_SHARED;
	for (i = 0; i < 3; i++) {
		is(&b, "doc:d#read@user:u", true);
		is(&two, "doc:d#read@user:u", true);
	}
	found(&two, 1, 0);
	assert_int_equal(told[0], 2);
	assert_int_equal(told[1], 2);
	assert_int_equal(counts(&two).how, NEXUS_PERMISSION_SHARED);
}

/* Without a server there is nothing to share. */
static void test_alone(void **state)
{
	const struct nexus_cache_driver *const drivers[] = { &cache_driver_mem, &cache_driver_null };
	struct share *s;
	u32 i;
	int ret;

	(void)state;
	for (i = 0; i < 2; i++) {
		server_begin(drivers[i]);
		reach = NEXUS_CACHE_ALONE;
		s = share_new(server, note_switch, NULL, &ret);
		assert_null(s);
		assert_int_equal(ret, 0);
		server_end(drivers[i]);
	}
}

/* One that takes nothing, or keeps nothing, is no harm. */
static int full(struct nexus_cache *cache, const struct nexus_cache_key *key, const void *data,
		size_t size, uint64_t ttl_ms)
{
	(void)cache;
	(void)key;
	(void)data;
	(void)size;
	(void)ttl_ms;
	return -ENOSPC;
}

static void test_full(void **state)
{
	struct nexus_cache_ops ops = *server->ops;
	const struct nexus_cache_ops *was = server->ops;

	(void)state;
	ops.set = full;
	server->ops = &ops;
	put("doc:d#viewer@user:u");
	is(&b, "doc:d#read@user:u", true);
	is(&two, "doc:d#read@user:u", true);
	assert_int_equal(counts(&two).failed, 1);
	assert_int_equal(counts(&two).put, 0);
	server->ops = was;
}

/* ---- others who write ------------------------------------------------------ */

static const struct rebac_store_ops *their_ops;

static int no_stamp(struct rebac_txn *txn, const struct rebac_stamp *stamp)
{
	(void)txn;
	(void)stamp;
	return 0;
}

/* A helper of before there were stamps. */
static void old_write(u32 kind, const char *text)
{
	struct rebac_store_ops ops = *store->ops;

	their_ops = store->ops;
	ops.stamp = no_stamp;
	store->ops = &ops;
	change_by(&b, kind, text);
	store->ops = their_ops;
	record_world_do("UPDATE rebac_state SET stamped = stamped - 1");
}

static void test_old_writer(void **state)
{
	u32 i;

	if (!*state)
		return;
	put("doc:d#viewer@user:u");
	for (i = 0; i < 3; i++) {
		is(&two, "doc:d#read@user:u", true);
		begin_late();
		is(&late, "doc:d#read@user:u", true);
		old_write(NEXUS_PERMISSION_DELETE, "doc:d#viewer@user:u");
		is(&two, "doc:d#read@user:u", false);
		is(&two, "doc:d#read@user:u", false);
		begin_late();
		is(&late, "doc:d#read@user:u", false);
		/* Behind one of ours, of something else. */
		if (i)
			change_by(&two, NEXUS_PERMISSION_PUT, i == 1 ? "doc:d#public@user:x" :
				  "doc:d#public@user:y");
		is(&two, "doc:d#read@user:u", false);
		begin_late();
		is(&late, "doc:d#read@user:u", false);
		old_write(NEXUS_PERMISSION_PUT, "doc:d#viewer@user:u");
		is(&two, "doc:d#read@user:u", true);
	}
	/* And it goes on. */
	change_by(&two, NEXUS_PERMISSION_PUT, "doc:d#public@user:z");
	is(&two, "doc:d#read@user:u", true);
	begin_late();
	is(&late, "doc:d#read@user:u", true);
	found(&late, 1, 0);
}

/* A store of before there were stamps: what is in it is there, and it has a secret. */
static void test_upgrade(void **state)
{
	static const char *const columns[] = { "stamped", "mark", "secret1", "secret2" };
	char sql[80];
	u8 secret[REBAC_SECRET], none[REBAC_SECRET] = { 0 };
	struct rebac_txn *txn;
	u32 i;

	if (!*state)
		return;
	put("doc:d#viewer@user:u");
	record_world_do("DROP TABLE rebac_stamp");
	for (i = 0; i < 4; i++) {
		snprintf(sql, sizeof(sql), "ALTER TABLE rebac_state DROP COLUMN %s", columns[i]);
		record_world_do(sql);
	}
	record_world_do("UPDATE nexus_schema SET version = 1 WHERE service = 'permissions'");
	server_begin(&cache_driver_mem);
	their_store_again(state);
	assert_int_equal(two.store->ops->begin(two.store, false, &txn), 0);
	assert_int_equal(txn->ops->secret(txn, secret), 0);
	txn->ops->abort(txn);
	assert_memory_not_equal(secret, none, sizeof(secret));
	/* Nobody said yet what is as it was. */
	is(&two, "doc:d#read@user:u", true);
	assert_int_equal(counts(&two).put, 0);
	change_by(&two, NEXUS_PERMISSION_PUT, "doc:d#public@user:x");
	is(&two, "doc:d#read@user:u", true);
	assert_int_equal(counts(&two).put, 1);
	begin_late();
	is(&late, "doc:d#read@user:u", true);
	found(&late, 1, 0);
	change_by(&late, NEXUS_PERMISSION_DELETE, "doc:d#viewer@user:u");
	is(&two, "doc:d#read@user:u", false);
}

/* Without the second helper, whose store is opened by the test. */
static int upgrade_teardown(void **state)
{
	return b.store && *state ? share_teardown(state) : teardown(state);
}

static void keep_state(void)
{
	record_world_do("CREATE TABLE keep_state AS SELECT * FROM rebac_state");
	record_world_do("CREATE TABLE keep_stamp AS SELECT * FROM rebac_stamp");
	record_world_do("CREATE TABLE keep_tuple AS SELECT * FROM rebac_tuple");
}

static void put_back(void)
{
	record_world_do("DELETE FROM rebac_state");
	record_world_do("INSERT INTO rebac_state SELECT * FROM keep_state");
	record_world_do("DELETE FROM rebac_stamp");
	record_world_do("INSERT INTO rebac_stamp SELECT * FROM keep_stamp");
	record_world_do("DELETE FROM rebac_tuple");
	record_world_do("INSERT INTO rebac_tuple SELECT * FROM keep_tuple");
	record_world_do("DROP TABLE keep_state");
	record_world_do("DROP TABLE keep_stamp");
	record_world_do("DROP TABLE keep_tuple");
}

/* From a copy, and then as many writes as there were: others. */
static void test_put_back(void **state)
{
	u32 i, j;

	if (!*state)
		return;
	begin_late();
	put("doc:d#viewer@user:v");
	put("doc:e#owner@user:u");
	is(&b, "doc:d#read@user:v", true);
	for (i = 1; i < 4; i++) {
		keep_state();
		for (j = 0; j < i; j++)
			put("doc:d#viewer@user:u");
		is(&b, "doc:d#read@user:u", true);
		is(&two, "doc:d#read@user:u", true);
		put_back();
		for (j = 0; j < i + (i == 3); j++)
			change_by(&late, NEXUS_PERMISSION_PUT, "doc:d#viewer@user:v");
		is(&b, "doc:d#read@user:u", false);
		is(&two, "doc:d#read@user:u", false);
		is(&two, "doc:d#read@user:v", true);
		begin_late();
		is(&late, "doc:d#read@user:u", false);
	}
}

#define TESTS \
	X(test_found) X(test_not_emptied) X(test_lists) X(test_times) X(test_not_put) \
	X(test_forged) X(test_lost) X(test_full) X(test_old_writer) X(test_put_back)

#define X(name)	RUN_ON(name)
TESTS
X(test_upgrade)
#undef X

int main(void)
{
#define X(name)	ON_SHARED(name)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seal), cmocka_unit_test(test_alone),
		TESTS
		{ "test_upgrade (SQLite)", on_test_upgrade, setup_kept, upgrade_teardown, sqlite },
		{ "test_upgrade (PostgreSQL)", on_test_upgrade, setup_kept, upgrade_teardown, postgres },
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
