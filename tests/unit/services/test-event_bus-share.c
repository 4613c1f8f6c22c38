// SPDX-License-Identifier: Apache-2.0
/*
 * Two helpers whose event buses share their events through a Redis server: what comes, what
 * comes once, and what is told when something cannot come.
 */
#include "share-world.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

/* ---- what comes -------------------------------------------------------------------------- */

static void both_ways(void **state)
{
	(void)state;
	both_begin();
	publish(one, "/a/1");
	publish(one, "/a/2");
	expect(two, "/a/1", true);
	expect(two, "/a/2", true);
	publish(two, "/b/1");
	/* Its own once each, and in one order with those of others. */
	expect(one, "/a/1", false);
	expect(one, "/a/2", false);
	expect(one, "/b/1", true);
	expect(two, "/b/1", false);
	publish(one, "/end");
	expect(one, "/end", false);
	expect(two, "/end", true);
	/* They are in the log here: a subscription from a number on has them. */
	subscribe(two, "/", NULL, 2);
	expect(two, "/a/2", true);
	expect(two, "/b/1", false);
	expect(two, "/end", true);
	until(sharing(one).sent == 3);
	until(sharing(one).received == 1);
	until(sharing(two).received == 3);
	assert_int_equal(sharing(two).missed + sharing(two).gaps + sharing(two).repeated, 0);
	assert_int_equal(sharing(one).missed + sharing(one).gaps + sharing(one).repeated, 0);
}

static void filters(void **state)
{
	static const char large[NEXUS_EVENT_DATA_MAX];

	(void)state;
	both_begin();
	subscribe(two, "/a", NULL, 0);
	publish(one, "/b");
	publish(one, "/a/1");
	expect(two, "/a/1", true);
	subscribe(two, "/", "other", 0);
	publish(one, "/b");
	/* What is missed is for all, of whatever zone they want: live, and out of the log. */
	publish_data(one, "/large", large, sizeof(large), 1);
	expect_missed(two, 1);
	subscribe(two, "/", "other", 1);
	expect_missed(two, 1);
}

#define PUBLISHERS	2
#define EACH		400
#define BATCH		5

struct stamp {
	uint32_t helper, publisher, number;
};

static void *publisher(void *arg)
{
	const intptr_t n = (intptr_t)arg;
	struct stamp s = { (uint32_t)(n / PUBLISHERS), (uint32_t)(n % PUBLISHERS), 0 };

	/* All of a batch have one stamp. */
	for (; s.number < EACH; s.number++)
		publish_data(&helpers[s.helper], "/x", &s, sizeof(s), BATCH);
	return NULL;
}

static void *subscriber(void *arg)
{
	uint32_t seen[2][PUBLISHERS] = { { 0 } }, i;
	const struct nexus_bus_event *e;
	struct helper *h = arg;
	uint64_t last = 0;
	struct stamp s;

	for (i = 0; i < 2 * PUBLISHERS * EACH * BATCH; i++) {
		e = next(h);
		assert_int_equal(e->kind, NEXUS_EVENT_IS);
		assert_true(e->seq > last);
		last = e->seq;
		assert_int_equal(e->data_len, sizeof(s));
		memcpy(&s, e->data, sizeof(s));
		/* Of each publisher all, once, in its order. */
		assert_int_equal(s.number, seen[s.helper][s.publisher]++ / BATCH);
		assert_int_equal(e->origin != 0, &helpers[s.helper] != h);
	}
	return NULL;
}

static void load_both(void **state)
{
	pthread_t threads[2 * PUBLISHERS + 2];
	intptr_t i;

	(void)state;
	both_begin();
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, subscriber, &helpers[i]), 0);
	for (i = 0; i < 2 * PUBLISHERS; i++)
		assert_int_equal(pthread_create(&threads[i + 2], NULL, publisher, (void *)i), 0);
	for (i = 0; i < 2 * PUBLISHERS + 2; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < 2; i++) {
		until(sharing(&helpers[i]).received == PUBLISHERS * EACH * BATCH);
		assert_int_equal(sharing(&helpers[i]).unsent, 0);
	}
}

/* ---- what cannot come --------------------------------------------------------------------- */

static void server_lost(void **state)
{
	const struct nexus_bus_event *e;
	uint32_t told = 0;

	(void)state;
	both_begin();
	publish(one, "/before");
	expect(one, "/before", false);
	expect(two, "/before", true);
	redis_server_kill();
	until_how(one, NEXUS_EVENT_BUS_CUT_OFF);
	until_how(two, NEXUS_EVENT_BUS_CUT_OFF);
	assert_true(sharing(one).since > 0);
	/* All goes on here. */
	publish_data(one, "/alone", "", 0, 5);
	for (told = 0; told < 5; told++)
		expect(one, "/alone", false);
	redis_server_start();
	until_how(one, NEXUS_EVENT_BUS_SHARED);
	until_how(two, NEXUS_EVENT_BUS_SHARED);
	publish(one, "/after");
	for (told = 0; (e = next(two))->kind == NEXUS_EVENT_MISSED; told++)
		;
	assert_true(told > 0);
	assert_int_equal(e->path_len, 6);
	assert_memory_equal(e->path, "/after", 6);
	/* Not told twice when it is known how many they were. */
	assert_int_equal(sharing(two).missed, 5);
	assert_int_equal(sharing(two).repeated, 0);
	assert_int_equal(sharing(one).unsent, 5);
	assert_int_equal(sharing(one).origins, 1);
	/* The other direction, too: nothing is missing, but nobody can know. */
	expect_missed(one, 0);
	publish(two, "/back");
	expect(one, "/after", false);
	expect(one, "/back", true);
}

/* A server that hangs: publishing does not wait, and what finds no room is told. */
static void overflow(void **state)
{
	const uint32_t batches = 2 * SHARE_QUEUE_MAX / NEXUS_EVENT_BATCH_MAX;
	const uint64_t all = (uint64_t)batches * NEXUS_EVENT_BATCH_MAX;
	const struct nexus_bus_event *e;
	uint64_t came = 0, dropped;
	uint32_t i;

	(void)state;
	both_begin();
	assert_int_equal(kill(redis_server_pid(), SIGSTOP), 0);
	for (i = 0; i < batches; i++)
		publish_data(one, "/x", "", 0, NEXUS_EVENT_BATCH_MAX);
	for (i = 0; i < all; i++)
		expect(one, "/x", false);
	dropped = sharing(one).unsent;
	assert_true(dropped > 0);
	assert_int_equal(kill(redis_server_pid(), SIGCONT), 0);
	/* Behind the last of them, though none follows that would show it. */
	while ((e = next(two))->kind == NEXUS_EVENT_IS)
		came++;
	assert_int_equal(e->kind, NEXUS_EVENT_MISSED);
	assert_int_equal(e->missed, dropped);
	assert_int_equal(came + dropped, all);
	publish(one, "/end");
	expect(two, "/end", true);
	until(sharing(two).gaps == 1);
}

static void too_large(void **state)
{
	char *data = malloc(NEXUS_EVENT_DATA_MAX);
	const struct nexus_bus_event *e;
	uint32_t i, fits = SHARE_EVENT_MAX - 256;

	(void)state;
	for (i = 0; i < NEXUS_EVENT_DATA_MAX; i++)
		data[i] = (char)rnd(256);
	both_begin();
	publish_data(one, "/fits", data, fits, 3);
	publish_data(one, "/large", data, NEXUS_EVENT_DATA_MAX, 1);
	for (i = 0; i < 3; i++) {
		e = next(two);
		assert_int_equal(e->data_len, fits);
		assert_memory_equal(e->data, data, fits);
	}
	expect_missed(two, 1);
	for (i = 0; i < 3; i++)
		expect(one, "/fits", false);
	expect(one, "/large", false);
	assert_int_equal(sharing(one).too_large, 1);
	assert_int_equal(sharing(one).unsent, 1);
	publish(one, "/end");
	expect(two, "/end", true);
	free(data);
}

/* ---- begin and end ---------------------------------------------------------------------------- */

static atomic_bool enough;

static void *flood(void *arg)
{
	struct stamp s = { 1, 0, 0 };

	(void)arg;
	for (; !atomic_load(&enough); s.number++)
		publish_data(two, "/x", &s, sizeof(s), 1);
	return NULL;
}

/* Builds that take turns: what comes meanwhile is in the log once, or told to be missing. */
static void swapped(void **state)
{
	const struct service_caller me = { 7, 77 };
	const struct nexus_bus_event *e;
	uint32_t i, wanted = 0;
	pthread_t thread;
	bool told = false;
	struct stamp s;

	(void)state;
	both_begin();
	atomic_store(&enough, false);
	assert_int_equal(pthread_create(&thread, NULL, flood, NULL), 0);
	for (i = 0; i < 4; i++) {
		until(sharing(one).received);
		assert_int_equal(service_swap(one->reg, "event_bus", &me, &reg_err), 0);
		until_how(one, NEXUS_EVENT_BUS_SHARED);
	}
	until(sharing(one).received);
	atomic_store(&enough, true);
	pthread_join(thread, NULL);
	publish(two, "/end");
	publish(one, "/one");
	/* The builds that have ended said so. */
	while ((e = next(two))->path_len != 4 || memcmp(e->path, "/one", 4))
		assert_int_equal(e->kind, NEXUS_EVENT_IS);
	assert_int_equal(sharing(two).origins, 1);
	subscribe(one, "/", NULL, 1);
	while ((e = next(one))->kind != NEXUS_EVENT_IS || e->path_len != 4 || memcmp(e->path, "/end", 4)) {
		if (e->kind == NEXUS_EVENT_MISSED || e->path_len == 4) {
			told |= e->kind == NEXUS_EVENT_MISSED;
			continue;
		}
		memcpy(&s, e->data, sizeof(s));
		assert_true(told ? s.number >= wanted : s.number == wanted);
		wanted = s.number + 1;
		told = false;
	}
}

static void restarted(void **state)
{
	(void)state;
	both_begin();
	publish(one, "/1");
	expect(two, "/1", true);
	expect(one, "/1", false);
	helper_end(two);
	until_known(one, 0);
	publish(one, "/2");
	helper_begin(two, "redis", 1);
	until_known(one, 1);
	publish(one, "/3");
	/* Who goes on where he was is told that something may be missing in between. */
	subscribe(two, "/", NULL, 1);
	expect(two, "/1", true);
	expect_missed(two, 0);
	expect(two, "/3", true);
	assert_int_equal(sharing(two).missed, 0);
}

static void not_shared(void **state)
{
	(void)state;
	/* Without a server; and each with others. */
	helper_begin(one, "mem", 1);
	until_how(one, NEXUS_EVENT_BUS_ALONE);
	subscribe(one, "/", NULL, 0);
	publish(one, "/a");
	expect(one, "/a", false);
	helper_end(one);
	helper_begin(one, "redis", 0);
	until_how(one, NEXUS_EVENT_BUS_ALONE);
	publish(one, "/a");
	helper_end(one);
	helper_begin(one, "redis", 1);
	helper_begin(two, "redis", 2);
	until_how(one, NEXUS_EVENT_BUS_SHARED);
	until_how(two, NEXUS_EVENT_BUS_SHARED);
	publish(two, "/b");
	forge_message(5, 1, 1, 0);
	subscribe(one, "/n", NULL, 1);
	while (next(one)->kind != NEXUS_EVENT_IS)
		;
	assert_int_equal(sharing(one).origins, 1);
	assert_int_equal(sharing(two).origins, 0);
}

/* There is no server yet when it begins. */
static void late_server(void **state)
{
	(void)state;
	redis_server_kill();
	helper_begin(one, "redis", 1);
	until_how(one, NEXUS_EVENT_BUS_CUT_OFF);
	subscribe(one, "/", NULL, 0);
	publish(one, "/a");
	expect(one, "/a", false);
	redis_server_start();
	until_how(one, NEXUS_EVENT_BUS_SHARED);
	expect_missed(one, 0);
	forge_message(5, 1, 1, 0);
	expect_number(one, 5, "1");
}

int main(int argc, char **argv)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, share_setup, share_teardown)
	const struct CMUnitTest tests[] = {
		T(both_ways), T(filters), T(load_both), T(server_lost), T(overflow), T(too_large),
		T(swapped), T(restarted), T(not_shared), T(late_server),
	};

	return share_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
