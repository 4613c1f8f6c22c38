// SPDX-License-Identifier: Apache-2.0
/* A server that lies: whatever it says, it is lost, and nothing worse. */
#include <stdio.h>

#include "fake-redis.h"
#include "redis-lies.h"

#define S(text)	(text), sizeof(text) - 1

static const struct {
	const char *say;
	size_t size;
} nonsense[] = {
	{ S("\r\n") },
	{ S("garbage without a form\r\n") },
	{ S("\0\0\0\0\r\n") },
	{ S("$-5\r\n") },
	{ S("$abc\r\n") },
	{ S("$99999999999999999999999\r\n") },
	{ S("*1000000000\r\n") },
	{ S("*9223372036854775807\r\n") },
	{ S("*4294967297\r\n") },
	{ S("*-7\r\n") },
	{ S("*2\r\n*2\r\n*2\r\n*2\r\n*2\r\n*2\r\n*2\r\n*2\r\n*2\r\n*2\r\n*2\r\n*2\r\n") },
	{ S("*1\r\n*65536\r\n") },
	{ S("*3\r\n$1\r\na\r\n*65536\r\n") },
	{ S(":5\r\n") },
	{ S("+OK\r\n") },
	{ S("$3\r\nabc\r\n") },
	{ S("$-1\r\n") },
	{ S("*-1\r\n") },
	{ S("*0\r\n") },
	{ S("*1\r\n$-1\r\n") },
	{ S("*3\r\n$16\r\n{g}\r\n$1\r\na\r\n$1\r\na\r\n") },
	{ S("*2\r\n$16\r\n{g}\r\n:5\r\n") },
	{ S("*2\r\n$16\r\n{g}\r\n*1\r\n$1\r\na\r\n") },
	{ S("*2\r\n$16\r\n{g}\r\n-ERR in it\r\n") },
	{ S("-OOM of nothing that was set\r\n") },
	{ S("-ERR what? \x01\x02\r\n") },
	{ S("-\r\n") },
	{ S("%2\r\n") },
	{ S("#t\r\n") },
	/* Half of something. */
	{ S("") },
	{ S("*") },
	{ S("*2\r\n$16\r\n{g}\r\n$10\r\nabc") },
	{ S("*2\r\n$16\r\n{g}\r\n$10") },
};

/* The calls that a connection is good for: INFO and SET. */
#define CONNECTED	2

#define F(text, what)	{ .good = CONNECTED, .say = (text), .size = sizeof(text) - 1, .end = (what) }

static struct nexus_cache *open_fake(const struct fake_script *script, uint32_t reply_ms)
{
	const struct nexus_cache_options options = {
		.at = fake_redis_begin(script), .reply_ms = reply_ms, .lost = note_loss,
	};

	losses = 0;
	return open_cache(&options);
}

static void lies(void **state)
{
	struct fake_script script = { .good = CONNECTED, .end = FAKE_CLOSE };
	struct nexus_cache *c;
	uint64_t ms;
	size_t i, call;
	int ret;

	(void)state;
	for (i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		script.say = nonsense[i].say;
		script.size = nonsense[i].size;
		for (call = 0; call < 6; call++) {
			c = open_fake(&script, LONG_MS);
			ret = call == 0 ? get(c, "a") : call == 1 ? set(c, "a", "1", 0) :
				call == 2 ? nexus_cache_delete(c, key_of("a")) :
				call == 3 ? nexus_cache_ttl(c, key_of("a"), &ms) :
				call == 4 ? call_match(c) : call_publish(c);
			/* ":5" is how many heard it. */
			if (call == 5 && !strcmp(script.say, ":5\r\n"))
				assert_int_equal(ret, 0);
			else if (ret != -ENOTCONN || losses != 1)
				fail_msg("answer %zu to call %zu: %d", i, call, ret);
			assert_null(strpbrk(fault.text, "\r\n\x01"));
			driver->close(c);
			fake_redis_end();
		}
	}
}

/* The same while it connects, and to who subscribes. */
static void lies_early(void **state)
{
	struct fake_script script = { .end = FAKE_CLOSE };
	struct nexus_cache_sub *sub = NULL;
	struct nexus_cache *c;
	size_t i;
	int ret;

	(void)state;
	for (i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		script.say = nonsense[i].say;
		script.size = nonsense[i].size;
		for (script.good = 0; script.good < CONNECTED; script.good++) {
			ret = try_at(fake_redis_begin(&script), LONG_MS);
			if (script.good == 1 && !strcmp(script.say, "+OK\r\n"))
				assert_int_equal(ret, 0);
			else if (ret != -ENOTCONN && ret != -EIO)
				fail_msg("answer %zu to step %u: %d", i, script.good, ret);
			fake_redis_end();
		}
	}
	/* INFO and SET on the first connection: INFO on the second, and SUBSCRIBE. */
	for (i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		script.say = nonsense[i].say;
		script.size = nonsense[i].size;
		script.good = CONNECTED;
		script.next = 1;
		c = open_fake(&script, LONG_MS);
		if (nexus_cache_subscribe(c, key_of("ch"), NULL, &sub) != -ENOTCONN || losses != 1)
			fail_msg("answer %zu to who subscribes", i);
		driver->close(c);
		fake_redis_end();
	}
}

static void too_large(void **state)
{
	static const char *const says[] = { "a", "+aaaaaaaa", "$1000000\r\nx" };
	struct fake_script script = { .good = CONNECTED, .end = FAKE_FLOOD };
	struct nexus_cache *c;
	size_t i;

	(void)state;
	for (i = 1; i < 3; i++) {
		script.say = says[i];
		script.size = strlen(says[i]);
		c = open_fake(&script, LONG_MS);
		assert_int_equal(set(c, "a", "1", 0), -ENOTCONN);
		if (i == 1)
			expect_lost(c, "too large");
		driver->close(c);
		fake_redis_end();
	}
}

/* Neither silence nor one byte after another holds a caller beyond the limit. */
static void slow_on_purpose(void **state)
{
	static const struct fake_script scripts[] = {
		F("*2\r\n$16\r\n{g}\r\n$10\r\nabc", FAKE_SILENT),
		F("", FAKE_SILENT),
		F("+", FAKE_DRIP),
	};
	struct nexus_cache *c;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		c = open_fake(&scripts[i], 1000);
		assert_int_equal(get(c, "a"), -ENOTCONN);
		expect_lost(c, "does not answer in time");
		driver->close(c);
		fake_redis_end();
	}
	for (i = 0; i < 3; i++) {
		struct fake_script early = scripts[i];

		early.good = 1;
		assert_int_equal(try_at(fake_redis_begin(&early), 1000), -ENOTCONN);
		fake_redis_end();
	}
}

/* What comes when nobody asked is not taken for the answer to the next. */
static void unasked(void **state)
{
	static const struct fake_script script =
		F("*2\r\n$16\r\n{g}\r\n$3\r\nabc\r\n*2\r\n$16\r\n{g}\r\n$3\r\nbad\r\n", FAKE_SILENT);
	struct nexus_cache *c = open_fake(&script, LONG_MS);

	(void)state;
	expect(c, "a", "abc");
	/* A new connection: to one that is silent now, as the fake serves one at a time. */
	fake_redis_end();
	assert_int_equal(get(c, "b"), -ENOTCONN);
	driver->close(c);
}

static void random_bytes(void **state)
{
	static const char letters[] = "*$+-:0123456789\r\n\r\n\r\n{g}abc\0\xff,#%>_(";
	struct fake_script script = { .good = CONNECTED, .end = FAKE_CLOSE };
	struct nexus_cache *c;
	uint64_t seed = 0x9e3779b97f4a7c15ull;
	char bytes[64];
	size_t i, k;

	(void)state;
	for (i = 0; i < 1000; i++) {
		script.size = 0;
		for (k = 0; k < sizeof(bytes); k++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			bytes[k] = letters[(seed >> 33) % (sizeof(letters) - 1)];
		}
		script.say = bytes;
		script.size = 1 + i % sizeof(bytes);
		c = open_fake(&script, LONG_MS);
		if (i % 2)
			assert_int_not_equal(get(c, "a"), 0);
		else
			assert_int_not_equal(set(c, "a", "1", 0), 0);
		driver->close(c);
		fake_redis_end();
	}
}

int lies_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lies),
		cmocka_unit_test(lies_early),
		cmocka_unit_test(too_large),
		cmocka_unit_test(slow_on_purpose),
		cmocka_unit_test(unasked),
		cmocka_unit_test(random_bytes),
	};

	return cmocka_run_group_tests_name("redis-lies", tests, NULL, NULL);
}
