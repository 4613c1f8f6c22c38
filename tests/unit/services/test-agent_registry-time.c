// SPDX-License-Identifier: Apache-2.0
/* The agent registry: heartbeats in memory and in the store, the silent, all at once. */
#include "agents-world.h"

#include <pthread.h>

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
	assert_int_equal(beat(NULL, "b", h), -EBUSY);
	assert_int_equal(beat(NULL, "a", g), 0);
	crash();
	assert_int_equal(beat(NULL, "b", h), -EBUSY);
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
	if (ret && ret != -EKEYEXPIRED && ret != -EBUSY)
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
	T(test_flush) T(test_another) T(test_many) T(test_room) T(test_silence) \
	T(test_all_silent) T(test_clock) T(test_concurrent)

EACH(RUN_ON)

int main(void)
{
	const struct CMUnitTest tests[] = { EACH(LISTED) };

	return cmocka_run_group_tests(tests, store_group_setup, store_group_teardown);
}
