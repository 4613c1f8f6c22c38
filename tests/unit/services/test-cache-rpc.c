// SPDX-License-Identifier: Apache-2.0
/* Service cache over the control socket: what it keeps, what it refuses, and whom. */
#include "rpc-world.h"

#include <sys/stat.h>

#include <nexus/services/cache.h>

#include "cachestore.h"

#define CACHE	"nexus.cache.v1.Cache"

static void cache_begin(const char *group)
{
	const struct cachestore_opts opts = {
		.driver = "mem", .at = "", .dir = test_dir, .bytes = 4u << 20, .entries = 100,
		.reply_ms = 1000, .retry_ms = 1000,
	};
	const char *name = "cache";

	put_file(SERVICES "/cache/cache.so", "cache");
	world_cache = cachestore_new(&opts);
	assert_non_null(world_cache);
	begin_with(0, 0, group);
	assert_int_equal(load_all(&name, 1), 0);
}

static void cache_end(void)
{
	end();
	cachestore_free(world_cache);
	world_cache = NULL;
}

static int set(ProtobufCBinaryData *key, size_t n, const char *value, uint64_t ttl_ms)
{
	Nexus__Cache__V1__SetRequest req = NEXUS__CACHE__V1__SET_REQUEST__INIT;
	struct answer a;
	int code;

	req.key = key;
	req.n_key = n;
	req.value = bytes(value);
	req.ttl_ms = ttl_ms;
	code = ask_msg(CACHE, "Set", &req.base, &a);
	free(a.payload);
	return code;
}

static void expect(ProtobufCBinaryData *key, size_t n, const char *value)
{
	Nexus__Cache__V1__GetRequest req = NEXUS__CACHE__V1__GET_REQUEST__INIT;
	Nexus__Cache__V1__GetResponse *msg;
	struct answer a;

	req.key = key;
	req.n_key = n;
	assert_int_equal(ask_msg(CACHE, "Get", &req.base, &a), value ? RPC_OK : RPC_NOT_FOUND);
	if (value) {
		msg = nexus__cache__v1__get_response__unpack(NULL, a.len, a.payload);
		assert_non_null(msg);
		assert_int_equal(msg->value.len, strlen(value));
		assert_memory_equal(msg->value.data, value, msg->value.len);
		nexus__cache__v1__get_response__free_unpacked(msg, NULL);
	}
	free(a.payload);
}

static Nexus__Cache__V1__StateResponse counts(void)
{
	Nexus__Cache__V1__StateRequest req = NEXUS__CACHE__V1__STATE_REQUEST__INIT;
	Nexus__Cache__V1__StateResponse *msg, st;
	struct answer a;

	assert_int_equal(ask_msg(CACHE, "State", &req.base, &a), RPC_OK);
	msg = nexus__cache__v1__state_response__unpack(NULL, a.len, a.payload);
	assert_non_null(msg);
	st = *msg;
	nexus__cache__v1__state_response__free_unpacked(msg, NULL);
	free(a.payload);
	return st;
}

static void test_values(void **state)
{
	ProtobufCBinaryData one[] = { bytes("a:b"), bytes("c") }, two[] = { bytes("a"), bytes("b:c") };
	Nexus__Cache__V1__DeleteRequest del = NEXUS__CACHE__V1__DELETE_REQUEST__INIT;
	struct answer a;

	(void)state;
	cache_begin(NULL);
	expect(one, 2, NULL);
	assert_int_equal(set(one, 2, "1", 0), RPC_OK);
	expect(two, 2, NULL);
	assert_int_equal(set(two, 2, "", 1000000), RPC_OK);
	expect(one, 2, "1");
	expect(two, 2, "");
	assert_int_equal(counts().entries, 2);
	del.key = one;
	del.n_key = 2;
	assert_int_equal(ask_msg(CACHE, "Delete", &del.base, &a), RPC_OK);
	free(a.payload);
	assert_int_equal(ask_msg(CACHE, "Delete", &del.base, &a), RPC_NOT_FOUND);
	free(a.payload);
	expect(one, 2, NULL);
	assert_int_equal(counts().hits, 2);
	assert_int_equal(counts().misses, 3);
	assert_int_equal(counts().sets, 2);
	assert_int_equal(counts().deletes, 2);
	cache_end();
}

static uint64_t clear(const char *text, bool glob, bool below)
{
	Nexus__Cache__V1__DeleteMatchingRequest req = NEXUS__CACHE__V1__DELETE_MATCHING_REQUEST__INIT;
	Nexus__Cache__V1__Part part = NEXUS__CACHE__V1__PART__INIT, *parts[] = { &part };
	Nexus__Cache__V1__DeleteMatchingResponse *msg;
	struct answer a;
	uint64_t n;

	part.text = bytes(text);
	part.glob = glob;
	req.pattern = parts;
	req.n_pattern = 1;
	req.below = below;
	assert_int_equal(ask_msg(CACHE, "DeleteMatching", &req.base, &a), RPC_OK);
	msg = nexus__cache__v1__delete_matching_response__unpack(NULL, a.len, a.payload);
	assert_non_null(msg);
	n = msg->deleted;
	nexus__cache__v1__delete_matching_response__free_unpacked(msg, NULL);
	free(a.payload);
	return n;
}

static void test_matching(void **state)
{
	ProtobufCBinaryData one[] = { bytes("a*"), bytes("x") }, two[] = { bytes("ab") };

	(void)state;
	cache_begin(NULL);
	assert_int_equal(set(one, 2, "1", 0), RPC_OK);
	assert_int_equal(set(one, 1, "2", 0), RPC_OK);
	assert_int_equal(set(two, 1, "3", 0), RPC_OK);
	assert_int_equal(clear("a*", false, false), 1);
	assert_int_equal(clear("a*", true, false), 1);
	expect(one, 2, "1");
	assert_int_equal(clear("a*", true, true), 1);
	expect(one, 2, NULL);
	cache_end();
}

static void test_bad(void **state)
{
	static char large[1100];
	ProtobufCBinaryData key[16], long_key = { sizeof(large), (uint8_t *)large };
	Nexus__Cache__V1__GetRequest get = NEXUS__CACHE__V1__GET_REQUEST__INIT;
	Nexus__Cache__V1__SetRequest req = NEXUS__CACHE__V1__SET_REQUEST__INIT;
	Nexus__Cache__V1__DeleteMatchingRequest match = NEXUS__CACHE__V1__DELETE_MATCHING_REQUEST__INIT;
	Nexus__Cache__V1__Part part = NEXUS__CACHE__V1__PART__INIT, *parts[16];
	size_t i;

	(void)state;
	cache_begin(NULL);
	for (i = 0; i < 16; i++) {
		key[i] = bytes("k");
		parts[i] = &part;
	}
	refused(CACHE, "Get", &get.base, RPC_INVALID_ARGUMENT, "a part at least");
	refused(CACHE, "DeleteMatching", &match.base, RPC_INVALID_ARGUMENT, "a part at least");
	get.key = key;
	get.n_key = 16;
	refused(CACHE, "Get", &get.base, RPC_INVALID_ARGUMENT, "at most 15 parts");
	match.pattern = parts;
	match.n_pattern = 16;
	refused(CACHE, "DeleteMatching", &match.base, RPC_INVALID_ARGUMENT, "at most 15 parts");
	get.n_key = 15;
	expect(key, 15, NULL);
	req.key = &long_key;
	req.n_key = 1;
	refused(CACHE, "Set", &req.base, RPC_INVALID_ARGUMENT, "1024 bytes");
	req.key = key;
	req.ttl_ms = NEXUS_CACHE_TTL_MAX + 1;
	refused(CACHE, "Set", &req.base, RPC_INVALID_ARGUMENT, "604800000 ms at most");
	assert_int_equal(counts().sets, 0);
	cache_end();
}

static void test_who(void **state)
{
	Nexus__Cache__V1__StateRequest st = NEXUS__CACHE__V1__STATE_REQUEST__INIT;
	Nexus__Cache__V1__SetRequest put = NEXUS__CACHE__V1__SET_REQUEST__INIT;
	Nexus__Cache__V1__GetRequest get = NEXUS__CACHE__V1__GET_REQUEST__INIT;
	Nexus__Cache__V1__DeleteMatchingRequest match = NEXUS__CACHE__V1__DELETE_MATCHING_REQUEST__INIT;
	Nexus__Cache__V1__Part part = NEXUS__CACHE__V1__PART__INIT, *parts[] = { &part };
	ProtobufCBinaryData key[] = { bytes("k") };
	const struct who_may may[] = {
		{ CACHE, "State", "rgo", &st.base, false },
		{ CACHE, "Set", "rg-", &put.base, false },
		{ CACHE, "Get", "rg-", &get.base, false },
		{ CACHE, "DeleteMatching", "rg-", &match.base, false },
	};
	char name[WHO_GROUP];

	(void)state;
	who_group(name);
	get.key = put.key = key;
	get.n_key = put.n_key = 1;
	part.text = bytes("nothing");
	match.pattern = parts;
	match.n_pattern = 1;
	who_begin(may, sizeof(may) / sizeof(may[0]));
	cache_begin(name);
	assert_int_equal(chmod(h->path, 0666), 0);
	assert_who();
	/* Who is refused has not reached it. */
	assert_int_equal(counts().sets, 2);
	assert_int_equal(counts().hits, 2);
	assert_int_equal(counts().deletes, 2);
	cache_end();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_IN_WORLD(test_values),
		TEST_IN_WORLD(test_matching),
		TEST_IN_WORLD(test_bad),
		TEST_IN_WORLD(test_who),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests_name("cache-rpc", tests, NULL, NULL);
}
