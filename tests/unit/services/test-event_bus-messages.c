// SPDX-License-Identifier: Apache-2.0
/* What an event bus makes of messages that others put into its channel. */
#include "share-world.h"

static void numbers(void **state)
{
	(void)state;
	helper_begin(one, "redis", 1);
	until_how(one, NEXUS_EVENT_BUS_SHARED);
	subscribe(one, "/", NULL, 0);
	/* One that was there before: what it sent then is nobody's loss. */
	forge_message(5, 3, 2, 0);
	expect_number(one, 5, "3");
	expect_number(one, 5, "4");
	/* Again, in part again, and old. */
	forge_message(5, 3, 2, 0);
	forge_message(5, 4, 2, 0);
	forge_message(5, 1, 1, 0);
	expect_number(one, 5, "5");
	/* Some are missing; of another one nothing is. */
	forge_message(6, 1, 1, 0);
	forge_message(5, 8, 1, 0);
	expect_number(one, 6, "1");
	expect_missed(one, 2);
	expect_number(one, 5, "8");
	/* What is missing behind the last is told without an event. */
	forge_message(6, 5, 0, SHARE_CUT);
	expect_missed(one, 3);
	/* One that could not be heard so far. */
	forge_message(7, 4, 1, SHARE_CUT);
	expect_missed(one, 0);
	expect_number(one, 7, "4");
	assert_int_equal(sharing(one).origins, 3);
	assert_int_equal(sharing(one).repeated, 4);
	forge_message(7, 5, 0, SHARE_BYE);
	until_known(one, 2);
	assert_int_equal(sharing(one).missed, 5);
	until(sharing(one).gaps == 3);
	assert_int_equal(sharing(one).malformed, 0);
}

/* Behind a loss of the server nobody knows what is missing: that is told, and only once. */
static void after_a_loss(void **state)
{
	(void)state;
	helper_begin(one, "redis", 1);
	until_how(one, NEXUS_EVENT_BUS_SHARED);
	subscribe(one, "/", NULL, 0);
	forge_message(5, 1, 1, 0);
	expect_number(one, 5, "1");
	redis_server_kill();
	until_how(one, NEXUS_EVENT_BUS_CUT_OFF);
	redis_server_start();
	until_how(one, NEXUS_EVENT_BUS_SHARED);
	expect_missed(one, 0);
	forge_message(5, 4, 1, 0);
	expect_number(one, 5, "4");
	assert_int_equal(sharing(one).missed, 2);
	forge_message(5, 7, 1, 0);
	expect_missed(one, 2);
	expect_number(one, 5, "7");
	assert_int_equal(sharing(one).missed, 4);
}

static void malformed(void **state)
{
	struct nexus_bus_event *events = calloc(NEXUS_EVENT_BATCH_MAX, sizeof(*events));
	uint8_t buf[512], other[512], *copy;
	struct share_head h;
	size_t size = message(buf, 5, 1, 3, 0), i;
	uint32_t good = 0, k;

	(void)state;
	assert_int_equal(share_get(buf, size, &h, events), 0);
	for (i = 0; i < size; i++) {
		copy = malloc(i + 1);
		memcpy(copy, buf, i);
		assert_int_equal(share_get(copy, i, &h, events), -EBADMSG);
		free(copy);
	}
	copy = malloc(size);
	for (i = 0; i < size * 8; i++) {
		memcpy(copy, buf, size);
		copy[i / 8] ^= (uint8_t)(1 << i % 8);
		if (share_get(copy, size, &h, events))
			continue;
		good++;
		assert_true(h.count <= 3 && h.first && h.origin);
		for (k = 0; k < h.count; k++) {
			assert_int_equal(event_check(&events[k]), 0);
			assert_int_equal(events[k].origin, h.origin);
			assert_int_equal(events[k].kind, NEXUS_EVENT_IS);
		}
	}
	assert_true(good > 0);
	/* Only events, of nobody else, with a time; and nothing behind them. */
	for (i = 0; i < 4; i++) {
		struct nexus_bus_event e = {
			.kind = i == 1 ? NEXUS_EVENT_MISSED : NEXUS_EVENT_IS, .origin = i == 2 ? 9 : 0,
			.time = i == 3 ? 0 : 77, .zone = "z", .zone_len = i != 1, .path = "/n",
			.path_len = i == 1 ? 0 : 2,
		};

		share_head_put(other, &(struct share_head){ .origin = 5, .first = 1, .count = 1 });
		share_event_put(other + SHARE_HEAD_SIZE, &e);
		k = (uint32_t)(SHARE_HEAD_SIZE + share_event_size(&e));
		assert_int_equal(share_get(other, k, &h, events), i ? -EBADMSG : 0);
		other[k] = 0;
		assert_int_equal(share_get(other, k + 1, &h, events), -EBADMSG);
	}
	/* And over the server: nothing of it comes, and all goes on. */
	helper_begin(one, "redis", 1);
	until_how(one, NEXUS_EVENT_BUS_SHARED);
	subscribe(one, "/", NULL, 0);
	redis_server_do("PUBLISH nexus:channel:9:event_bus6:events1:1 rubbish");
	forge(buf, size - 1);
	forge("", 0);
	forge_message(0, 1, 1, 0);
	forge_message(5, 0, 1, 0);
	forge_message(5, UINT64_MAX, 1, 0);
	forge_message(5, 1, 1, 4);
	forge_message(5, 1, 1, 0);
	expect_number(one, 5, "1");
	assert_int_equal(sharing(one).malformed, 7);
	until(sharing(one).received == 1);
	free(copy);
	free(events);
}

/* Whoever is silent the longest is forgotten, and that is not silent. */
static void many_origins(void **state)
{
	uint64_t i;

	(void)state;
	helper_begin(one, "redis", 1);
	until_how(one, NEXUS_EVENT_BUS_SHARED);
	subscribe(one, "/", NULL, 0);
	for (i = 1; i <= SHARE_ORIGINS_MAX + 1; i++) {
		forge_message(i, 1, 1, 0);
		expect_number(one, i, "1");
	}
	assert_int_equal(sharing(one).origins, SHARE_ORIGINS_MAX);
	forge_message(1, 3, 1, 0);
	expect_missed(one, 0);
	expect_number(one, 1, "3");
	forge_message(3, 3, 1, 0);
	expect_missed(one, 1);
	expect_number(one, 3, "3");
}

int main(int argc, char **argv)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, share_setup, share_teardown)
	const struct CMUnitTest tests[] = {
		T(numbers), T(after_a_loss), T(malformed), T(many_origins),
	};

	return share_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
