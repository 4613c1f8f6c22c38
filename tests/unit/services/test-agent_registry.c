// SPDX-License-Identifier: Apache-2.0
/* The agent registry: life cycle and generations, who may what, input, quotas, lists. */
#include "agents-world.h"

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

/* What the next transactions end with; told. */
static struct nexus_record_fault next_fault;
static unsigned int lines;

static void count_line(void *arg, const char *line)
{
	lines++;
	say_line(arg, line);
}

static int refused(struct nexus_records *store, enum nexus_record_mode mode,
		   nexus_record_work work, void *arg, struct nexus_record_fault *fault)
{
	(void)store;
	(void)mode;
	(void)work;
	(void)arg;
	*fault = next_fault;
	return fault->error;
}

/* The helper's password is no matter of whose an agent is. */
static void test_store_refuses(void **state)
{
	const struct nexus_record_ops ops = { .run = refused };
	struct nexus_records *good = a.table.records, bad = { .ops = &ops };
	struct nexus_agent_get_args args = { .id = "a" };

	(void)state;
	next_fault = (struct nexus_record_fault){ -EACCES, "a wrong password" };
	assert_int_equal(add(NULL, "a", U1), 0);
	a.table.records = &bad;
	assert_int_equal(agents_get(&a, &args), -ENOTCONN);
	assert_int_equal(to(NULL, "a", NEXUS_AGENT_CONNECTED, 0), -ENOTCONN);
	a.table.records = good;
	assert_int_equal(agents_get(&a, &args), 0);
	assert_int_equal(args.agent.state, NEXUS_AGENT_UNKNOWN);
}

/* Who asks again and again does not fill the log. */
static void test_store_told_once(void **state)
{
	const struct nexus_record_ops ops = { .run = refused };
	struct nexus_records *good = a.table.records, bad = { .ops = &ops };
	struct nexus_agent_get_args args = { .id = "a" };
	unsigned int i;

	(void)state;
	assert_int_equal(add(NULL, "a", U1), 0);
	a.table.faults.say = count_line;
	lines = 0;
	a.table.records = &bad;
	next_fault = (struct nexus_record_fault){ -ENOTCONN, "the server is away" };
	for (i = 0; i < 5; i++) {
		assert_int_equal(agents_get(&a, &args), -ENOTCONN);
		assert_int_equal(to(NULL, "a", NEXUS_AGENT_CONNECTED, 0), -ENOTCONN);
	}
	assert_int_equal(lines, 1);
	next_fault = (struct nexus_record_fault){ -EACCES, "a wrong password" };
	for (i = 0; i < 5; i++)
		assert_int_equal(agents_get(&a, &args), -ENOTCONN);
	assert_int_equal(lines, 2);
	/* It works, and is lost again in the same way. */
	a.table.records = good;
	assert_int_equal(agents_get(&a, &args), 0);
	a.table.records = &bad;
	assert_int_equal(agents_get(&a, &args), -ENOTCONN);
	assert_int_equal(lines, 3);
	/* A full disk can be read, which is not its end. */
	next_fault = (struct nexus_record_fault){ -ENOSPC, "the disk is full" };
	for (i = 0; i < 5; i++) {
		a.table.records = &bad;
		assert_int_equal(to(NULL, "a", NEXUS_AGENT_CONNECTED, 0), -ENOSPC);
		a.table.records = good;
		assert_int_equal(agents_get(&a, &args), 0);
	}
	assert_int_equal(lines, 4);
	assert_int_equal(to(NULL, "a", NEXUS_AGENT_CONNECTED, 0), 0);
	a.table.records = &bad;
	assert_int_equal(to(NULL, "a", NEXUS_AGENT_IDLE, 0), -ENOSPC);
	assert_int_equal(lines, 5);
	a.table.records = good;
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

#define EACH(T) \
	T(test_ways) T(test_generations) T(test_store_refuses) \
	T(test_store_told_once) T(test_who) T(test_input) \
	T(test_quota) T(test_list)

EACH(RUN_ON)

int main(void)
{
	const struct CMUnitTest tests[] = { EACH(LISTED) };

	return cmocka_run_group_tests(tests, store_group_setup, store_group_teardown);
}
