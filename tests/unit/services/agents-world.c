// SPDX-License-Identifier: Apache-2.0
#include "agents-world.h"

#include <errno.h>

#define TABLES	"agent_registry_agent, agent_registry_owner, agent_registry_state"

struct agents a;
atomic_long now, mono;
atomic_uint woken;

static int64_t now_ms(void)
{
	return atomic_load(&now);
}

static int64_t mono_ms(void)
{
	return atomic_load(&mono);
}

void pass(int64_t ms)
{
	atomic_fetch_add(&now, ms);
	atomic_fetch_add(&mono, ms);
}

static void wake(void *arg)
{
	(void)arg;
	atomic_fetch_add(&woken, 1);
}

struct agents_opts opts = {
	.now_ms = now_ms, .mono_ms = mono_ms, .more = more, .full = wake,
};

static void open_registry(void)
{
	assert_int_equal(agents_open(&a, records, &opts, say_line, NULL), 0);
}

int setup(void **state)
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

int teardown(void **state)
{
	if (!records)
		return 0;
	agents_close(&a);
	store_end(*state, TABLES);
	return 0;
}

void on(void (*test)(void **), void **state)
{
	if (!records)
		skip();
	test(state);
}

/* A helper that ends without a word, and the next. */
void crash(void)
{
	agents_close(&a);
	store_reopen();
	open_registry();
}

/* ---- calls -------------------------------------------------------------------------- */

int add(const char *as, const char *id, const char *owner)
{
	struct nexus_agent_add_args args = { .as = as, .id = id, .owner = owner };

	return agents_add(&a, &args);
}

struct nexus_agent get(const char *id)
{
	struct nexus_agent_get_args args = { .id = id };

	assert_int_equal(agents_get(&a, &args), 0);
	return args.agent;
}

int to(const char *as, const char *id, uint32_t target, uint64_t generation)
{
	struct nexus_agent_transition_args args = {
		.as = as, .id = id, .target = target, .generation = generation,
	};
	int ret = agents_transition(&a, &args);

	if (!ret)
		assert_int_equal(args.agent.state, target);
	return ret;
}

uint64_t connected(const char *id)
{
	assert_int_equal(to(NULL, id, NEXUS_AGENT_CONNECTED, 0), 0);
	return get(id).generation;
}

int beat(const char *as, const char *id, uint64_t generation)
{
	struct nexus_agent_heartbeat_args args = { .as = as, .id = id, .generation = generation };

	return agents_heartbeat(&a, &args);
}

int gone(const char *as, const char *id, uint64_t generation)
{
	struct nexus_agent_remove_args args = { .as = as, .id = id, .generation = generation };

	return agents_remove(&a, &args);
}

struct nexus_agent_registry_state counts(void)
{
	struct nexus_agent_registry_state st = { 0 };

	assert_int_equal(agents_state(&a, &st), 0);
	return st;
}
