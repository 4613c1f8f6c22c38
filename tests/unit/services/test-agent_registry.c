// SPDX-License-Identifier: Apache-2.0
/*
 * The agent registry over SQLite and PostgreSQL, with a clock of the test's: life cycle and
 * generations, who may what, heartbeats in memory and in the store, the silent.
 */
#include "store-world.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "agents.h"

#define TABLES	"agent_registry_agent, agent_registry_owner, agent_registry_state"
#define U1	"user:1000"
#define U2	"user:1001"

static struct agents a;
static atomic_long now, mono;
static atomic_uint woken;

static int64_t now_ms(void)
{
	return atomic_load(&now);
}

static int64_t mono_ms(void)
{
	return atomic_load(&mono);
}

static void pass(int64_t ms)
{
	atomic_fetch_add(&now, ms);
	atomic_fetch_add(&mono, ms);
}

static void wake(void *arg)
{
	(void)arg;
	atomic_fetch_add(&woken, 1);
}

static struct agents_opts opts = {
	.now_ms = now_ms, .mono_ms = mono_ms, .more = more, .full = wake,
};

static void open_registry(void)
{
	assert_int_equal(agents_open(&a, records, &opts, say_line, NULL), 0);
}

static int setup(void **state)
{
	now = 1000000000;
	mono = 5000;
	opts.agents_max = 1200;
	opts.owner_max = 1100;
	opts.flush_ms = 60000;
	opts.silence_ms = 300000;
	opts.sweep_ms = 60000;
	a.opts.more = NULL;
	if (store_begin(*state))
		open_registry();
	return 0;
}

static int teardown(void **state)
{
	if (!records)
		return 0;
	agents_close(&a);
	store_end(*state, TABLES);
	return 0;
}

static void on(void (*test)(void **), void **state)
{
	if (!records)
		skip();
	test(state);
}

/* A helper that ends without a word, and the next. */
static void crash(void)
{
	agents_close(&a);
	store_reopen();
	open_registry();
}

/* ---- calls -------------------------------------------------------------------------- */

static int add(const char *as, const char *id, const char *owner)
{
	struct nexus_agent_add_args args = { .as = as, .id = id, .owner = owner };

	return agents_add(&a, &args);
}

static struct nexus_agent get(const char *id)
{
	struct nexus_agent_get_args args = { .id = id };

	assert_int_equal(agents_get(&a, &args), 0);
	return args.agent;
}

static int to(const char *as, const char *id, uint32_t target, uint64_t generation)
{
	struct nexus_agent_transition_args args = {
		.as = as, .id = id, .target = target, .generation = generation,
	};
	int ret = agents_transition(&a, &args);

	if (!ret)
		assert_int_equal(args.agent.state, target);
	return ret;
}

static uint64_t connected(const char *id)
{
	assert_int_equal(to(NULL, id, NEXUS_AGENT_CONNECTED, 0), 0);
	return get(id).generation;
}

static int beat(const char *as, const char *id, uint64_t generation)
{
	struct nexus_agent_heartbeat_args args = { .as = as, .id = id, .generation = generation };

	return agents_heartbeat(&a, &args);
}

static int gone(const char *as, const char *id, uint64_t generation)
{
	struct nexus_agent_remove_args args = { .as = as, .id = id, .generation = generation };

	return agents_remove(&a, &args);
}

static struct nexus_agent_registry_state counts(void)
{
	struct nexus_agent_registry_state st = { 0 };

	assert_int_equal(agents_state(&a, &st), 0);
	return st;
}

/* ---- life cycle ----------------------------------------------------------------------- */

/* Every state to every other: the ways there are, and no more. */
static void test_ways(void **state)
{
	static const uint32_t path[5][3] = {
		[NEXUS_AGENT_UNKNOWN] = { 0 },
		[NEXUS_AGENT_CONNECTED] = { NEXUS_AGENT_CONNECTED },
		[NEXUS_AGENT_IDLE] = { NEXUS_AGENT_CONNECTED, NEXUS_AGENT_IDLE },
		[NEXUS_AGENT_SUSPENDED] = { NEXUS_AGENT_CONNECTED, NEXUS_AGENT_SUSPENDED },
	};
	static const char *const ways[5] = { "", ".C..", "..IS", ".C.S", ".C.." };
	uint32_t from, target, i;
	uint64_t before;
	char id[16];
	bool may;

	(void)state;
	for (from = 1; from <= 4; from++)
		for (target = 1; target <= 4; target++) {
			snprintf(id, sizeof(id), "a%u%u", from, target);
			assert_int_equal(add(NULL, id, U1), 0);
			for (i = 0; i < 3 && path[from][i]; i++)
				assert_int_equal(to(NULL, id, path[from][i], 0), 0);
			before = get(id).generation;
			may = ways[from][target - 1] != '.';
			pass(7);
			assert_int_equal(to(NULL, id, target, 0), may ? 0 : -EBUSY);
			assert_int_equal(get(id).state, may ? target : from);
			assert_int_equal(get(id).generation,
					 before + (may && target == NEXUS_AGENT_CONNECTED));
			if (may)
				assert_int_equal(get(id).changed_ms, now);
		}
	assert_int_equal(to(NULL, "a11", 0, 0), -EINVAL);
	assert_int_equal(to(NULL, "a11", 5, 0), -EINVAL);
}

static void test_generations(void **state)
{
	uint64_t g;

	(void)state;
	assert_int_equal(add(NULL, "a", U1), 0);
	assert_int_equal(get("a").generation, 0);
	assert_int_equal(beat(NULL, "a", 0), -EKEYEXPIRED);
	g = connected("a");
	assert_int_equal(g, 1);
	assert_int_equal(beat(NULL, "a", g), 0);
	assert_int_equal(beat(NULL, "a", g + 1), -EKEYEXPIRED);
	assert_int_equal(to(NULL, "a", NEXUS_AGENT_IDLE, g + 1), -EKEYEXPIRED);
	assert_int_equal(to(NULL, "a", NEXUS_AGENT_IDLE, g), 0);
	assert_int_equal(beat(NULL, "a", g), 0);
	assert_int_equal(connected("a"), g + 1);
	/* The session before is over. */
	assert_int_equal(beat(NULL, "a", g), -EKEYEXPIRED);
	assert_int_equal(to(NULL, "a", NEXUS_AGENT_IDLE, g), -EKEYEXPIRED);
	assert_int_equal(gone(NULL, "a", g), -EKEYEXPIRED);
	assert_int_equal(gone(NULL, "a", g + 1), 0);
	/* And with the agent all of them, whoever asks. */
	assert_int_equal(beat(NULL, "a", g + 1), -EKEYEXPIRED);
	assert_int_equal(to(NULL, "a", NEXUS_AGENT_CONNECTED, g + 1), -EKEYEXPIRED);
	assert_int_equal(to(NULL, "a", NEXUS_AGENT_CONNECTED, 0), -ENOENT);
	assert_int_equal(gone(NULL, "a", 0), -ENOENT);
	/* Whoever comes by that name is another. */
	assert_int_equal(add(NULL, "a", U2), 0);
	assert_true(get("a").generation > g + 1);
	assert_int_equal(beat(NULL, "a", g + 1), -EKEYEXPIRED);
	assert_int_equal(to(NULL, "a", NEXUS_AGENT_CONNECTED, g + 1), -EKEYEXPIRED);
	assert_true(connected("a") > g + 2);
	assert_int_equal(beat(NULL, "a", g + 1), -EKEYEXPIRED);
	crash();
	assert_int_equal(beat(NULL, "a", g + 1), -EKEYEXPIRED);
	assert_int_equal(beat(NULL, "a", get("a").generation), 0);
}

static void test_who(void **state)
{
	struct nexus_agent_get_args args = { .as = U2, .id = "a" };
	struct nexus_agent_list_args list = { .as = U2 };

	(void)state;
	assert_int_equal(add(U1, "a", U2), -EACCES);
	assert_int_equal(add(U1, "a", U1), 0);
	assert_int_equal(add(NULL, "b", U2), 0);
	assert_int_equal(to(U2, "a", NEXUS_AGENT_CONNECTED, 0), -EACCES);
	assert_int_equal(to("agent:b", "a", NEXUS_AGENT_CONNECTED, 0), -EACCES);
	assert_int_equal(to("agent:a", "a", NEXUS_AGENT_CONNECTED, 0), 0);
	assert_int_equal(to(U1, "a", NEXUS_AGENT_IDLE, 1), 0);
	/* In memory, and out of the store. */
	assert_int_equal(beat(U2, "a", 1), -EACCES);
	crash();
	assert_int_equal(beat(U2, "a", 1), -EACCES);
	assert_int_equal(beat("agent:a", "a", 1), 0);
	assert_int_equal(beat(U1, "a", 1), 0);
	assert_int_equal(beat("agent:ab", "a", 1), -EACCES);
	assert_int_equal(agents_get(&a, &args), -EACCES);
	args.as = "agent:a";
	assert_int_equal(agents_get(&a, &args), 0);
	assert_string_equal(args.agent.owner, U1);
	assert_int_equal(agents_list(&a, &list), -EACCES);
	list.owner = U2;
	assert_int_equal(agents_list(&a, &list), 0);
	assert_int_equal(list.count, 1);
	assert_int_equal(gone(U2, "a", 0), -EACCES);
	assert_int_equal(gone(U1, "a", 0), 0);
	/* Another owner's now: the one before may no more, in memory neither. */
	assert_int_equal(add(U2, "a", U2), 0);
	assert_int_equal(to(U2, "a", NEXUS_AGENT_CONNECTED, 0), 0);
	assert_int_equal(beat(U1, "a", get("a").generation), -EACCES);
	assert_int_equal(beat(U2, "a", get("a").generation), 0);
}

static void test_input(void **state)
{
	static const char *const bad[] = {
		"", ".a", "-a", "a b", "a/b", "a\n", "\xc3\xa4", "a:b", "..", "a\x7f",
	};
	static const char *const owners[] = {
		"", "user", "user:", ":1", "User:1", "us er:1", "user:\x01", "1user:1",
	};
	struct nexus_agent_add_args args = { .id = "a", .owner = U1 };
	static char text[5000];
	struct nexus_agent got;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(add(NULL, bad[i], U1), -EINVAL);
		assert_int_equal(beat(NULL, bad[i], 1), -EINVAL);
		assert_int_equal(to(NULL, bad[i], NEXUS_AGENT_CONNECTED, 0), -EINVAL);
		assert_int_equal(gone(NULL, bad[i], 0), -EINVAL);
	}
	assert_int_equal(add(NULL, NULL, U1), -EINVAL);
	for (i = 0; i < sizeof(owners) / sizeof(owners[0]); i++)
		assert_int_equal(add(NULL, "a", owners[i]), -EINVAL);
	assert_int_equal(add(NULL, "a", NULL), -EINVAL);
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(add(NULL, text + sizeof(text) - 1 - 129, U1), -ENAMETOOLONG);
	assert_int_equal(add(NULL, text + sizeof(text) - 1 - 128, U1), 0);
	memcpy(text, "user:", 5);
	text[256] = '\0';
	assert_int_equal(add(NULL, "a", text), -ENAMETOOLONG);
	text[255] = '\0';
	assert_int_equal(add(NULL, "owned", text), 0);
	memset(text, 'x', sizeof(text) - 1);
	args.zone = text + sizeof(text) - 1 - 256;
	assert_int_equal(agents_add(&a, &args), -ENAMETOOLONG);
	args.zone++;
	args.name = "a\x1b[0m";
	assert_int_equal(agents_add(&a, &args), -EINVAL);
	args.name = text + sizeof(text) - 1 - 256;
	assert_int_equal(agents_add(&a, &args), -ENAMETOOLONG);
	args.name = "\xc3\xa4 name";
	args.metadata = text + sizeof(text) - 1 - 4097;
	assert_int_equal(agents_add(&a, &args), -ENAMETOOLONG);
	args.metadata++;
	assert_int_equal(agents_add(&a, &args), 0);
	assert_int_equal(agents_add(&a, &args), -EEXIST);
	got = get("a");
	assert_string_equal(got.zone, args.zone);
	assert_string_equal(got.name, args.name);
	assert_string_equal(got.metadata, args.metadata);
	assert_int_equal(got.state, NEXUS_AGENT_UNKNOWN);
	assert_int_equal(got.registered_ms, now);
	assert_int_equal(got.seen_ms, 0);
	assert_int_equal(counts().agents, 3);
}

/* Of an owner and of all; what went makes room. */
static void test_quota(void **state)
{
	char id[16];
	int i;

	(void)state;
	a.opts.owner_max = 5;
	a.opts.agents_max = 8;
	for (i = 0; i < 5; i++) {
		snprintf(id, sizeof(id), "a%d", i);
		assert_int_equal(add(NULL, id, U1), 0);
	}
	assert_int_equal(add(NULL, "b0", U1), -EDQUOT);
	assert_int_equal(add(NULL, "a0", U1), -EEXIST);
	for (i = 0; i < 3; i++) {
		snprintf(id, sizeof(id), "b%d", i);
		assert_int_equal(add(NULL, id, U2), 0);
	}
	assert_int_equal(add(NULL, "b9", U2), -ENOSPC);
	assert_int_equal(gone(NULL, "a3", 0), 0);
	assert_int_equal(counts().agents, 7);
	assert_int_equal(add(NULL, "b9", U2), 0);
	assert_int_equal(add(NULL, "a9", U1), -ENOSPC);
	crash();
	a.opts.owner_max = 5;
	assert_int_equal(add(NULL, "a9", U1), 0);
	assert_int_equal(add(NULL, "a10", U1), -EDQUOT);
}

/* ---- lists ---------------------------------------------------------------------------- */

static void test_list(void **state)
{
	struct nexus_agent_list_args args = { .max = 7 };
	uint32_t seen = 0, of_zone = 0, i;
	char id[16], last[16] = "";

	(void)state;
	for (i = 0; i < 60; i++) {
		struct nexus_agent_add_args new = {
			.id = id, .owner = i % 3 ? U1 : U2, .zone = i % 4 ? "z" : "", .metadata = "m",
		};

		snprintf(id, sizeof(id), "%c%u", i % 2 ? 'B' : 'a', i * 7919 % 100);
		assert_int_equal(agents_add(&a, &new), 0);
		if (i % 5 == 0)
			connected(id);
	}
	do {
		assert_int_equal(agents_list(&a, &args), 0);
		assert_true(args.count <= 7);
		for (i = 0; i < args.count; i++) {
			/* By bytes, and none twice. */
			assert_true(strcmp(last, args.agents[i].id) < 0);
			strcpy(last, args.agents[i].id);
			of_zone += !strcmp(args.agents[i].zone, "z");
			assert_null(args.agents[i].metadata);
		}
		seen += args.count;
		args.after = last;
		args.max = 7;
	} while (args.more);
	assert_int_equal(seen, 60);
	assert_int_equal(of_zone, 45);
	args = (struct nexus_agent_list_args){ .owner = U2 };
	assert_int_equal(agents_list(&a, &args), 0);
	assert_int_equal(args.count, 20);
	args = (struct nexus_agent_list_args){ .zone = "z", .state = NEXUS_AGENT_UNKNOWN };
	assert_int_equal(agents_list(&a, &args), 0);
	assert_int_equal(args.count, 36);
	for (i = 0; i < args.count; i++)
		assert_int_equal(args.agents[i].state, NEXUS_AGENT_UNKNOWN);
	args = (struct nexus_agent_list_args){ .zone = "z", .owner = U2, .max = 15 };
	assert_int_equal(agents_list(&a, &args), 0);
	assert_int_equal(args.count, 15);
	assert_false(args.more);
	args.max = 1001;
	assert_int_equal(agents_list(&a, &args), -EINVAL);
	args.max = 1;
	args.state = 5;
	assert_int_equal(agents_list(&a, &args), -EINVAL);
}

/* ---- heartbeats ----------------------------------------------------------------------- */

/* In memory until it is time, and then in the store. */
static void test_flush(void **state)
{
	uint64_t g, h;

	(void)state;
	assert_int_equal(add(NULL, "a", U1), 0);
	assert_int_equal(add(NULL, "b", U1), 0);
	assert_int_equal(beat(NULL, "a", 1), -EKEYEXPIRED);
	g = connected("a");
	h = connected("b");
	pass(59999);
	assert_int_equal(beat(NULL, "a", g), 0);
	assert_int_equal(beat(NULL, "a", g), 0);
	assert_int_equal(get("a").seen_ms, now);
	agents_tick(&a);
	assert_int_equal(counts().pending, 1);
	assert_int_equal(counts().heartbeats, 2);
	/* What a crash may lose. */
	crash();
	assert_int_equal(get("a").seen_ms, now - 59999);
	assert_int_equal(beat(NULL, "a", g), 0);
	assert_int_equal(beat(NULL, "b", h), 0);
	pass(60000);
	agents_tick(&a);
	assert_int_equal(counts().pending, 0);
	assert_int_equal(counts().written, 2);
	crash();
	assert_int_equal(get("a").seen_ms, now - 60000);
	/* A clean end loses none. */
	pass(10);
	assert_int_equal(beat(NULL, "a", g), 0);
	assert_int_equal(agents_flush(&a), 0);
	crash();
	assert_int_equal(get("a").seen_ms, now);
}

/* What another helper did to it meanwhile is found out when heartbeats are written. */
static void test_another(void **state)
{
	struct agents other;
	uint64_t g;

	(void)state;
	assert_int_equal(add(NULL, "a", U1), 0);
	g = connected("a");
	assert_int_equal(agents_open(&other, records, &opts, say_line, NULL), 0);
	assert_int_equal(agents_transition(&other, &(struct nexus_agent_transition_args){
		.id = "a", .target = NEXUS_AGENT_SUSPENDED }), 0);
	assert_int_equal(agents_transition(&other, &(struct nexus_agent_transition_args){
		.id = "a", .target = NEXUS_AGENT_CONNECTED }), 0);
	/* Who comes with the new one is known at once. */
	assert_int_equal(beat(NULL, "a", g), 0);
	assert_int_equal(beat(NULL, "a", g + 1), 0);
	assert_int_equal(beat(NULL, "a", g), -EKEYEXPIRED);
	assert_int_equal(agents_transition(&other, &(struct nexus_agent_transition_args){
		.id = "a", .target = NEXUS_AGENT_IDLE }), 0);
	assert_int_equal(agents_transition(&other, &(struct nexus_agent_transition_args){
		.id = "a", .target = NEXUS_AGENT_CONNECTED }), 0);
	pass(10);
	assert_int_equal(beat(NULL, "a", g + 1), 0);
	pass(60000);
	agents_tick(&a);
	assert_int_equal(beat(NULL, "a", g + 1), -EKEYEXPIRED);
	assert_int_equal(beat(NULL, "a", g + 2), 0);
	agents_close(&other);
}

/* Many at once, in several transactions, and whoever writes is woken in time. */
static void test_many(void **state)
{
	char id[16];
	uint32_t i;

	(void)state;
	a.opts.agents_max = 1100;
	for (i = 0; i < 1050; i++) {
		snprintf(id, sizeof(id), "a%u", i);
		assert_int_equal(add(NULL, id, U1), 0);
		connected(id);
	}
	woken = 0;
	pass(1);
	for (i = 0; i < 1050; i++) {
		snprintf(id, sizeof(id), "a%u", i);
		assert_int_equal(beat(NULL, id, 1), 0);
	}
	assert_int_equal(woken, 1);
	assert_int_equal(counts().pending, 1050);
	agents_tick(&a);
	assert_int_equal(counts().pending, 0);
	assert_int_equal(counts().written, 1050);
	crash();
	for (i = 0; i < 1050; i += 50) {
		snprintf(id, sizeof(id), "a%u", i);
		assert_int_equal(get(id).seen_ms, now);
	}
}

/* Memory is bounded: those that are written make room, and a full one says so. */
static void test_room(void **state)
{
	char id[16];
	uint32_t i;

	(void)state;
	for (i = 0; i < 12; i++) {
		snprintf(id, sizeof(id), "a%u", i);
		assert_int_equal(add(NULL, id, U1), 0);
		connected(id);
	}
	crash();
	a.opts.agents_max = 10;
	pass(1);
	for (i = 0; i < 12; i++) {
		snprintf(id, sizeof(id), "a%u", i);
		assert_int_equal(beat(NULL, id, 1), i < 10 ? 0 : -ENOSPC);
	}
	assert_int_equal(counts().known, 10);
	agents_tick(&a);
	assert_int_equal(beat(NULL, "a11", 1), 0);
	assert_int_equal(counts().known, 1);
}

/* ---- the silent ----------------------------------------------------------------------- */

static void test_silence(void **state)
{
	uint64_t g, h;

	(void)state;
	assert_int_equal(add(NULL, "a", U1), 0);
	assert_int_equal(add(NULL, "b", U1), 0);
	assert_int_equal(add(NULL, "c", U1), 0);
	g = connected("a");
	h = connected("b");
	assert_int_equal(to(NULL, "b", NEXUS_AGENT_IDLE, 0), 0);
	pass(200000);
	agents_tick(&a);
	assert_int_equal(beat(NULL, "a", g), 0);
	pass(100000);
	agents_tick(&a);
	/* Not a moment too early. */
	assert_int_equal(get("b").state, NEXUS_AGENT_IDLE);
	pass(60000);
	agents_tick(&a);
	assert_int_equal(get("a").state, NEXUS_AGENT_CONNECTED);
	assert_int_equal(get("b").state, NEXUS_AGENT_SUSPENDED);
	assert_int_equal(get("b").changed_ms, now);
	assert_int_equal(get("b").generation, h);
	assert_int_equal(get("c").state, NEXUS_AGENT_UNKNOWN);
	assert_int_equal(counts().silenced, 1);
	assert_int_equal(beat(NULL, "b", h), -ENOTCONN);
	assert_int_equal(beat(NULL, "a", g), 0);
	crash();
	assert_int_equal(beat(NULL, "b", h), -ENOTCONN);
	assert_int_equal(connected("b"), h + 1);
	assert_int_equal(beat(NULL, "b", h), -EKEYEXPIRED);
	assert_int_equal(beat(NULL, "b", h + 1), 0);
}

/* More than a transaction takes, in one go. */
static void test_all_silent(void **state)
{
	char id[16];
	uint32_t i;

	(void)state;
	for (i = 0; i < 450; i++) {
		snprintf(id, sizeof(id), "a%u", i);
		assert_int_equal(add(NULL, id, U1), 0);
		connected(id);
	}
	pass(350000);
	for (i = 0; i < 450; i += 10) {
		snprintf(id, sizeof(id), "a%u", i);
		assert_int_equal(beat(NULL, id, 1), 0);
	}
	agents_tick(&a);
	assert_int_equal(counts().silenced, 405);
	for (i = 0; i < 450; i++) {
		snprintf(id, sizeof(id), "a%u", i);
		assert_int_equal(get(id).state, i % 10 ? NEXUS_AGENT_SUSPENDED : NEXUS_AGENT_CONNECTED);
	}
}

/* Nobody is silent while nobody listens, and a clock that is set silences nobody. */
static void test_clock(void **state)
{
	uint64_t g;

	(void)state;
	assert_int_equal(add(NULL, "a", U1), 0);
	assert_int_equal(add(NULL, "b", U1), 0);
	g = connected("a");
	connected("b");
	/* The helper was not there for a day. */
	pass(86400000);
	crash();
	agents_tick(&a);
	pass(250000);
	agents_tick(&a);
	assert_int_equal(get("a").state, NEXUS_AGENT_CONNECTED);
	assert_int_equal(beat(NULL, "a", g), 0);
	pass(60000);
	agents_tick(&a);
	assert_int_equal(get("a").state, NEXUS_AGENT_CONNECTED);
	assert_int_equal(get("b").state, NEXUS_AGENT_SUSPENDED);
	/* Forward by a day. */
	now += 86400000;
	agents_tick(&a);
	pass(250000);
	agents_tick(&a);
	assert_int_equal(get("a").state, NEXUS_AGENT_CONNECTED);
	assert_int_equal(beat(NULL, "a", g), 0);
	pass(60000);
	agents_tick(&a);
	assert_int_equal(get("a").state, NEXUS_AGENT_CONNECTED);
	/* Back by a day: what is of the future is not alive for ever. */
	now -= 86400000;
	agents_tick(&a);
	assert_int_equal(get("a").state, NEXUS_AGENT_CONNECTED);
	pass(310000);
	agents_tick(&a);
	assert_int_equal(get("a").state, NEXUS_AGENT_SUSPENDED);
}

/* ---- all at once ---------------------------------------------------------------------- */

#define AGENTS		4u
#define THREADS		4u
#define ROUNDS		250u

/*
 * What is known for sure of an agent: entries into CONNECTED that have begun, and
 * those that have ended.  A heartbeat that is let in has a generation in between.
 */
static struct {
	atomic_uint begun, ended;
	char id[4];
} model[AGENTS];

static atomic_uint wrong, heard, refused;

static void connect_one(uint32_t i)
{
	struct nexus_agent_transition_args args = { .id = model[i].id, .target = NEXUS_AGENT_CONNECTED };
	int ret;

	atomic_fetch_add(&model[i].begun, 1);
	ret = agents_transition(&a, &args);
	if (!ret)
		atomic_fetch_add(&model[i].ended, 1);
	else
		atomic_fetch_sub(&model[i].begun, 1);
	if (ret && ret != -EBUSY)
		atomic_fetch_add(&wrong, 1);
}

static void beat_one(uint32_t i, uint32_t back)
{
	uint32_t least = atomic_load(&model[i].ended), most;
	uint64_t g = least > back ? least - back : 1;
	int ret = beat(NULL, model[i].id, g);

	most = atomic_load(&model[i].begun);
	if (!ret && (g < least || g > most))
		atomic_fetch_add(&wrong, 1);
	/* Nobody has begun another: it is that one. */
	if (ret == -EKEYEXPIRED && g == least && most == least)
		atomic_fetch_add(&wrong, 1);
	if (ret && ret != -EKEYEXPIRED && ret != -ENOTCONN)
		atomic_fetch_add(&wrong, 1);
	atomic_fetch_add(ret ? &refused : &heard, 1);
}

static void *busy(void *arg)
{
	uint32_t seed = 12345u * (uint32_t)(uintptr_t)arg, n, i;
	int ret;

	for (n = 0; n < ROUNDS; n++) {
		seed = seed * 1664525u + 1013904223u;
		i = seed >> 8 & (AGENTS - 1);
		switch (seed >> 16 & 7) {
		case 0:
			connect_one(i);
			break;
		case 1:
			ret = to(NULL, model[i].id, NEXUS_AGENT_IDLE, 0);
			if (ret && ret != -EBUSY)
				atomic_fetch_add(&wrong, 1);
			break;
		case 2:
			pass(1);
			agents_flush(&a);
			break;
		default:
			beat_one(i, seed >> 20 & 1);
		}
	}
	return NULL;
}

static void test_concurrent(void **state)
{
	pthread_t threads[THREADS];
	uint32_t i;

	(void)state;
	wrong = heard = refused = 0;
	for (i = 0; i < AGENTS; i++) {
		model[i].begun = model[i].ended = 1;
		snprintf(model[i].id, sizeof(model[i].id), "a%u", i);
		assert_int_equal(add(NULL, model[i].id, U1), 0);
		connected(model[i].id);
	}
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, busy, (void *)(uintptr_t)(i + 1)), 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(wrong, 0);
	assert_true(heard > 100 && refused > 20);
	for (i = 0; i < AGENTS; i++)
		assert_int_equal(get(model[i].id).generation, model[i].ended);
	crash();
	for (i = 0; i < AGENTS; i++)
		assert_int_equal(get(model[i].id).generation, model[i].ended);
}

#define EACH(T) \
	T(test_ways) T(test_generations) T(test_who) T(test_input) T(test_quota) T(test_list) \
	T(test_flush) T(test_another) T(test_many) T(test_room) T(test_silence) \
	T(test_all_silent) T(test_clock) T(test_concurrent)
#define RUN_ON(name)	static void on_##name(void **state) { on(name, state); }
#define LISTED(name) \
	{ #name " (SQLite)", on_##name, setup, teardown, NULL }, \
	{ #name " (PostgreSQL)", on_##name, setup, teardown, postgres },

EACH(RUN_ON)

int main(void)
{
	const struct CMUnitTest tests[] = { EACH(LISTED) };

	return cmocka_run_group_tests(tests, store_group_setup, store_group_teardown);
}
