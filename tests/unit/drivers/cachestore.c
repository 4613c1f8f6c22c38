// SPDX-License-Identifier: Apache-2.0
/*
 * Every cache store driver by the same tests.  One that keeps nothing passes them, too: what is
 * expected of it is that there is nothing, and the same errors.
 */
#include "cache-world.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

struct nexus_cache_fault fault;
_Atomic unsigned int losses;

void note_loss(void *arg, const struct nexus_cache_fault *why)
{
	(void)arg;
	fault = *why;
	losses++;
}

struct nexus_cache *open_cache(const struct nexus_cache_options *options)
{
	struct nexus_cache *c = NULL;

	if (driver->open(options, &fault, &c))
		fail_msg("open: %s", fault.text);
	return c;
}

int cache_setup(void **state)
{
	struct nexus_cache_options options = { .bytes = 64u << 20, .entries = 10000 };

	losses = 0;
	world_options(&options);
	*state = open_cache(&options);
	return 0;
}

int cache_teardown(void **state)
{
	driver->close(*state);
	return 0;
}

static const struct nexus_cache_key *words_of(const char *words, bool pattern)
{
	static _Thread_local struct nexus_cache_part parts[NEXUS_CACHE_PARTS_MAX + 1];
	static _Thread_local struct nexus_cache_key key;
	size_t n;

	key = (struct nexus_cache_key){ parts, 0, false };
	for (;; words += n + 1) {
		n = strcspn(words, " ");
		if (pattern && !strcmp(words, "...")) {
			key.below = true;
			return &key;
		}
		parts[key.count] = (struct nexus_cache_part)NEXUS_CACHE_P(words, n);
		if (pattern && memchr(words, '*', n))
			parts[key.count].kind = NEXUS_CACHE_GLOB;
		key.count++;
		if (!words[n])
			return &key;
	}
}

const struct nexus_cache_key *key_of(const char *words)
{
	return words_of(words, false);
}

const struct nexus_cache_key *pattern_of(const char *words)
{
	return words_of(words, true);
}

int set(struct nexus_cache *c, const char *key, const char *value, uint64_t ttl_ms)
{
	return nexus_cache_set(c, key_of(key), value, strlen(value), ttl_ms);
}

void expect(struct nexus_cache *c, const char *key, const char *value)
{
	void *data = NULL;
	size_t size = 0;
	int ret = nexus_cache_get(c, key_of(key), &data, &size);

	if (!value || !world_keeps) {
		if (ret != -ENOENT)
			fail_msg("%s: %d instead of nothing", key, ret);
		return;
	}
	if (ret)
		fail_msg("%s: %d instead of %s", key, ret, value);
	if (size != strlen(value) || memcmp(data, value, size))
		fail_msg("%s: %.*s instead of %s", key, (int)size, (char *)data, value);
	free(data);
}

void expect_message(struct nexus_cache_sub *sub, const char *text)
{
	struct pollfd fd = { .fd = sub->fd, .events = POLLIN };
	struct nexus_cache_message msg;
	char got[64];

	assert_int_equal(poll(&fd, 1, -1), 1);
	assert_int_equal(nexus_cache_fetch(sub, &msg), 1);
	if (msg.what == NEXUS_CACHE_LOST)
		snprintf(got, sizeof(got), "LOST %llu", (unsigned long long)msg.lost);
	else if (msg.what == NEXUS_CACHE_GAP)
		snprintf(got, sizeof(got), "GAP");
	else
		snprintf(got, sizeof(got), "%.*s", (int)msg.size, (char *)msg.data);
	free(msg.data);
	assert_string_equal(got, text);
}

void expect_silence(struct nexus_cache_sub *sub)
{
	struct pollfd fd = { .fd = sub->fd, .events = POLLIN };
	struct nexus_cache_message msg;

	assert_int_equal(poll(&fd, 1, 0), 0);
	assert_int_equal(nexus_cache_fetch(sub, &msg), 0);
}

/* What is there, where something may be. */
#define HERE(ret)	(world_keeps ? (ret) : -ENOENT)

/* ---- values ------------------------------------------------------------------------ */

static void values(void **state)
{
	static char large[NEXUS_CACHE_VALUE_MAX + 1];
	struct nexus_cache *c = *state;
	void *data = NULL;
	uint64_t ms = 0;
	size_t size;

	expect(c, "a", NULL);
	assert_int_equal(nexus_cache_delete(c, key_of("a")), -ENOENT);
	assert_int_equal(nexus_cache_ttl(c, key_of("a"), &ms), -ENOENT);
	assert_int_equal(set(c, "a", "1", 0), 0);
	expect(c, "a", "1");
	assert_int_equal(set(c, "a", "22", 0), 0);
	expect(c, "a", "22");
	assert_int_equal(set(c, "a", "", 0), 0);
	expect(c, "a", "");
	assert_int_equal(nexus_cache_ttl(c, key_of("a"), &ms), HERE(0));
	if (world_keeps)
		assert_true(ms > 0 && ms <= NEXUS_CACHE_TTL_MAX);
	assert_int_equal(nexus_cache_delete(c, key_of("a")), HERE(0));
	expect(c, "a", NULL);
	assert_int_equal(nexus_cache_delete(c, key_of("a")), -ENOENT);

	/* Any bytes, up to the limit. */
	memset(large, 0xa5, sizeof(large));
	memcpy(large, "\0\r\n$-1\r\n", 9);
	assert_int_equal(nexus_cache_set(c, key_of("l"), large, sizeof(large) - 1, 0), 0);
	assert_int_equal(nexus_cache_get(c, key_of("l"), &data, &size), HERE(0));
	if (world_keeps) {
		assert_int_equal(size, sizeof(large) - 1);
		assert_memory_equal(data, large, size);
		free(data);
	}
	assert_int_equal(nexus_cache_set(c, key_of("l"), large, sizeof(large), 0), -EMSGSIZE);
	assert_int_equal(nexus_cache_set(c, key_of("l"), "", 0, NEXUS_CACHE_TTL_MAX), 0);
	assert_int_equal(nexus_cache_set(c, key_of("l"), "", 0, NEXUS_CACHE_TTL_MAX + 1), -EINVAL);
}

static void keys(void **state)
{
	static char bytes[NEXUS_CACHE_KEY_MAX];
	struct nexus_cache_part parts[NEXUS_CACHE_PARTS_MAX + 1];
	struct nexus_cache_key key = { parts, 2, false };
	struct nexus_cache *c = *state;
	void *data = NULL;
	size_t size, i;

	assert_int_equal(set(c, "a:b c", "1", 0), 0);
	expect(c, "a b:c", NULL);
	assert_int_equal(set(c, "a b:c", "2", 0), 0);
	expect(c, "a:b c", "1");
	expect(c, "a b:c", "2");
	expect(c, "a b c", NULL);
	expect(c, "a:b:c", NULL);
	assert_int_equal(set(c, "a", "3", 0), 0);
	expect(c, "a ", NULL);
	expect(c, " a", NULL);

	for (i = 0; i <= NEXUS_CACHE_PARTS_MAX; i++)
		parts[i] = (struct nexus_cache_part)NEXUS_CACHE_P("x", 1);
	key.count = NEXUS_CACHE_PARTS_MAX;
	assert_int_equal(nexus_cache_set(c, &key, "n", 1, 0), 0);
	key.count++;
	assert_int_equal(nexus_cache_set(c, &key, "n", 1, 0), -ENAMETOOLONG);
	key.count = 0;
	assert_int_equal(nexus_cache_set(c, &key, "n", 1, 0), -EINVAL);

	/* "4:" and "1015:", and all of them. */
	key.count = 2;
	parts[0] = (struct nexus_cache_part)NEXUS_CACHE_P(bytes, 4);
	parts[1] = (struct nexus_cache_part)NEXUS_CACHE_P(bytes, NEXUS_CACHE_KEY_MAX - 2 - 4 - 5);
	assert_int_equal(nexus_cache_set(c, &key, "large", 5, 0), 0);
	assert_int_equal(nexus_cache_get(c, &key, &data, &size), HERE(0));
	if (world_keeps)
		free(data);
	parts[1].size++;
	assert_int_equal(nexus_cache_set(c, &key, "large", 5, 0), -ENAMETOOLONG);
	assert_int_equal(nexus_cache_get(c, &key, &data, &size), -ENAMETOOLONG);
	assert_int_equal(nexus_cache_delete(c, &key), -ENAMETOOLONG);
	assert_int_equal(nexus_cache_ttl(c, &key, &(uint64_t){ 0 }), -ENAMETOOLONG);
	assert_int_equal(nexus_cache_publish(c, &key, "", 0, NULL), -ENAMETOOLONG);
	parts[1].size = UINT32_MAX;
	assert_int_equal(nexus_cache_get(c, &key, &data, &size), -ENAMETOOLONG);
	/* Only patterns have globs. */
	key.count = 1;
	parts[0] = (struct nexus_cache_part)NEXUS_CACHE_ANY;
	assert_int_equal(nexus_cache_get(c, &key, &data, &size), -EINVAL);
	parts[0] = (struct nexus_cache_part){ NULL, 3, NEXUS_CACHE_EXACT };
	assert_int_equal(nexus_cache_get(c, &key, &data, &size), -EINVAL);
	parts[0] = (struct nexus_cache_part){ NULL, 0, NEXUS_CACHE_EXACT };
	assert_int_equal(nexus_cache_get(c, &key, &data, &size), -ENOENT);
}

static void times(void **state)
{
	struct nexus_cache *c = *state;
	uint64_t ms = 0;

	assert_int_equal(set(c, "short", "s", 20), 0);
	assert_int_equal(set(c, "long", "l", 3600000), 0);
	assert_int_equal(set(c, "again", "1", 20), 0);
	assert_int_equal(set(c, "again", "2", 3600000), 0);
	/* However late it is asked, it goes. */
	while (!nexus_cache_ttl(c, key_of("short"), &ms)) {
		assert_in_range(ms, 0, 20);
		world_pass(10);
	}
	expect(c, "short", NULL);
	assert_int_equal(nexus_cache_delete(c, key_of("short")), -ENOENT);
	expect(c, "long", "l");
	expect(c, "again", "2");
	assert_int_equal(nexus_cache_ttl(c, key_of("long"), &ms), HERE(0));
	if (world_keeps)
		assert_in_range(ms, 1, 3600000);
}

static void batches(void **state)
{
	static char large[NEXUS_CACHE_VALUE_MAX];
	struct nexus_cache_part parts[NEXUS_CACHE_BATCH_MAX + 1];
	struct nexus_cache_item items[NEXUS_CACHE_BATCH_MAX + 1];
	char names[NEXUS_CACHE_BATCH_MAX + 1][8];
	struct nexus_cache *c = *state;
	size_t i;

	for (i = 0; i <= NEXUS_CACHE_BATCH_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "n%zu", i);
		parts[i] = (struct nexus_cache_part)NEXUS_CACHE_P(names[i], strlen(names[i]));
		items[i] = (struct nexus_cache_item){ { &parts[i], 1, false }, names[i],
						      strlen(names[i]) };
	}
	assert_int_equal(nexus_cache_set_many(c, items, 0, 0), 0);
	assert_int_equal(nexus_cache_get_many(c, items, 0), 0);
	assert_int_equal(nexus_cache_set_many(c, items, NEXUS_CACHE_BATCH_MAX + 1, 0), -E2BIG);
	expect(c, "n0", NULL);
	assert_int_equal(nexus_cache_set_many(c, items, NEXUS_CACHE_BATCH_MAX, 0), 0);
	expect(c, "n63", "n63");
	assert_int_equal(nexus_cache_delete(c, key_of("n7")), HERE(0));
	assert_int_equal(nexus_cache_get_many(c, items, NEXUS_CACHE_BATCH_MAX), 0);
	for (i = 0; i < NEXUS_CACHE_BATCH_MAX; i++) {
		assert_int_equal(items[i].data != NULL, world_keeps && i != 7);
		if (items[i].data)
			assert_memory_equal(items[i].data, names[i], strlen(names[i]));
		free(items[i].data);
	}
	assert_int_equal(nexus_cache_get_many(c, items, NEXUS_CACHE_BATCH_MAX + 1), -E2BIG);
	assert_null(items[3].data);
	/* One bad key, and nothing is done. */
	for (i = 0; i < 3; i++) {
		items[i].data = large;
		items[i].size = 1;
	}
	items[2].key.count = 0;
	assert_int_equal(nexus_cache_set_many(c, items, 3, 0), -EINVAL);
	expect(c, "n0", "n0");
	assert_int_equal(nexus_cache_get_many(c, items, 3), -EINVAL);
	assert_null(items[0].data);
	items[2].key.count = 1;
	for (i = 0; i < 9; i++) {
		items[i].data = large;
		items[i].size = sizeof(large);
	}
	assert_int_equal(nexus_cache_set_many(c, items, 8, 0), 0);
	assert_int_equal(nexus_cache_set_many(c, items, 9, 0), -E2BIG);
	items[3].size++;
	assert_int_equal(nexus_cache_set_many(c, items, 8, 0), -EMSGSIZE);
}

static void patterns(void **state)
{
	static const char *const all[] = {
		"perm z user al* read", "perm z user alice read", "perm z user alice write",
		"perm z user bob read", "perm z2 user alice read", "perm z", "perm", "p?rm [z] \\u -^",
		"perm z user alice read deep",
	};
	static const struct {
		const char *pattern;
		unsigned int gone;	/* bit n: all[n] */
	} cases[] = {
		{ "perm z user alice *", 0x006 },
		{ "perm * user alice *", 0x016 },
		{ "perm z user *", 0 },
		{ "perm z user ...", 0x10f },
		{ "perm z ...", 0x12f },
		{ "perm", 0x040 },
		{ "perm ...", 0x17f },
		{ "p?rm [z] \\u -^", 0x080 },
		{ "perm z user al\\* read", 0x001 },
		{ "perm z user al* read", 0x003 },
		{ "perm z user *i*e re*", 0x002 },
		{ "* ...", 0x1ff },
		{ "nothing ...", 0 },
	};
	struct nexus_cache *c = *state;
	size_t i, k, n = sizeof(all) / sizeof(all[0]);
	struct nexus_cache_key none = { NULL, 0, true };
	uint64_t deleted;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (k = 0; k < n; k++)
			assert_int_equal(set(c, all[k], "v", 0), 0);
		assert_int_equal(nexus_cache_delete_matching(c, pattern_of(cases[i].pattern), &deleted), 0);
		assert_int_equal(deleted, world_keeps ? __builtin_popcount(cases[i].gone) : 0);
		for (k = 0; k < n; k++)
			expect(c, all[k], cases[i].gone & (1u << k) ? NULL : "v");
	}
	assert_int_equal(nexus_cache_delete_matching(c, &none, NULL), -EINVAL);
	/* More than one look of a server's. */
	for (i = 0; i < 3000; i++) {
		char name[32];

		snprintf(name, sizeof(name), "many %zu", i);
		assert_int_equal(set(c, name, "v", 0), 0);
	}
	assert_int_equal(nexus_cache_delete_matching(c, pattern_of("many *"), &deleted), 0);
	assert_int_equal(deleted, world_keeps ? 3000 : 0);
	expect(c, "many 1234", NULL);
}

/* ---- messages ------------------------------------------------------------------------- */

static struct nexus_cache_sub *subscribe(struct nexus_cache *c, const char *channel, uint32_t queue)
{
	const struct nexus_cache_wish wish = { .queue = queue };
	struct nexus_cache_sub *sub = NULL;

	assert_int_equal(nexus_cache_subscribe(c, key_of(channel), &wish, &sub), 0);
	return sub;
}

static int publish(struct nexus_cache *c, const char *channel, const char *text)
{
	return nexus_cache_publish(c, key_of(channel), text, strlen(text), NULL);
}

static void messages(void **state)
{
	static char large[NEXUS_CACHE_MESSAGE_MAX + 1];
	struct nexus_cache *c = *state;
	struct nexus_cache_sub *a, *b, *other, *none = NULL;
	struct nexus_cache_wish wish = { .queue = NEXUS_CACHE_QUEUE_MAX + 1 };
	struct nexus_cache_message msg;
	uint64_t receivers = 77;

	assert_int_equal(publish(c, "ch", "nobody"), 0);
	assert_int_equal(nexus_cache_subscribe(c, key_of("ch"), &wish, &none), -E2BIG);
	assert_int_equal(nexus_cache_subscribe(c, &(struct nexus_cache_key){ NULL, 0, false }, NULL,
					       &none), -EINVAL);
	a = subscribe(c, "ch 1", 0);
	b = subscribe(c, "ch 1", 0);
	other = subscribe(c, "ch:1", 0);
	expect_silence(a);
	assert_int_equal(publish(c, "ch 1", "one"), 0);
	assert_int_equal(publish(c, "ch:1", "other"), 0);
	assert_int_equal(publish(c, "ch 1", ""), 0);
	assert_int_equal(nexus_cache_publish(c, key_of("ch 1"), large, sizeof(large), &receivers),
			 -EMSGSIZE);
	assert_int_equal(nexus_cache_publish(c, key_of("ch 1"), large, sizeof(large) - 1, &receivers), 0);
	assert_int_equal(receivers > 0, world_keeps);
	if (world_keeps) {
		expect_message(a, "one");
		expect_message(a, "");
		expect_message(b, "one");
		expect_message(b, "");
		expect_message(other, "other");
		assert_int_equal(poll(&(struct pollfd){ .fd = b->fd, .events = POLLIN }, 1, -1), 1);
		assert_int_equal(nexus_cache_fetch(b, &msg), 1);
		assert_int_equal(msg.size, sizeof(large) - 1);
		free(msg.data);
	}
	expect_silence(b);
	expect_silence(other);
	nexus_cache_unsubscribe(b);
	assert_int_equal(publish(c, "ch 1", "two"), 0);
	nexus_cache_unsubscribe(a);
	/* Nobody, and again somebody. */
	a = subscribe(c, "ch 1", 0);
	assert_int_equal(publish(c, "ch 1", "three"), 0);
	if (world_keeps)
		expect_message(a, "three");
	nexus_cache_unsubscribe(a);
	nexus_cache_unsubscribe(other);
	nexus_cache_unsubscribe(NULL);
}

/* Until so many are in the queue, or were lost: one behind them on a channel of its own. */
static void barrier(struct nexus_cache *c, struct nexus_cache_sub *mark)
{
	assert_int_equal(publish(c, "mark", "m"), 0);
	expect_message(mark, "m");
}

static void slow(void **state)
{
	struct nexus_cache *c = *state;
	struct nexus_cache_sub *sub, *mark, *fast;
	static char large[NEXUS_CACHE_MESSAGE_MAX];
	struct nexus_cache_message msg;
	unsigned int i, n;
	char text[16];

	if (!world_keeps)
		return;
	mark = subscribe(c, "mark", 0);
	sub = subscribe(c, "ch", 4);
	fast = subscribe(c, "ch", 0);
	for (i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "%u", i);
		assert_int_equal(publish(c, "ch", text), 0);
		expect_message(fast, text);
	}
	barrier(c, mark);
	expect_message(sub, "0");
	expect_message(sub, "1");
	assert_int_equal(publish(c, "ch", "a"), 0);
	barrier(c, mark);
	expect_message(sub, "2");
	expect_message(sub, "3");
	/* The loss has its place before what came behind it. */
	expect_message(sub, "LOST 6");
	expect_message(sub, "a");
	expect_silence(sub);
	/* One at the end is told as well. */
	for (i = 0; i < 5; i++)
		assert_int_equal(publish(c, "ch", "b"), 0);
	barrier(c, mark);
	for (i = 0; i < 4; i++)
		expect_message(sub, "b");
	expect_message(sub, "LOST 1");
	expect_silence(sub);
	nexus_cache_unsubscribe(sub);
	nexus_cache_unsubscribe(fast);

	/* By bytes. */
	sub = subscribe(c, "ch", NEXUS_CACHE_QUEUE_MAX);
	for (i = 0; i < NEXUS_CACHE_QUEUE_BYTES / sizeof(large) + 3; i++)
		assert_int_equal(nexus_cache_publish(c, key_of("ch"), large, sizeof(large), NULL), 0);
	barrier(c, mark);
	for (n = 0; nexus_cache_fetch(sub, &msg) == 1 && msg.what == NEXUS_CACHE_MESSAGE; n++)
		free(msg.data);
	assert_int_equal(n, NEXUS_CACHE_QUEUE_BYTES / sizeof(large));
	assert_int_equal(msg.what, NEXUS_CACHE_LOST);
	assert_int_equal(msg.lost, 3);
	nexus_cache_unsubscribe(sub);
	nexus_cache_unsubscribe(mark);
}

static void wake_up(void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
}

static void woken(void **state)
{
	atomic_uint wakes = 0;
	const struct nexus_cache_wish wish = { .wake = wake_up, .arg = &wakes };
	struct nexus_cache_sub *sub = NULL, *mark;
	struct nexus_cache_message msg;
	struct nexus_cache *c = *state;

	assert_int_equal(nexus_cache_subscribe(c, key_of("ch"), &wish, &sub), 0);
	assert_int_equal(sub->fd, -1);
	mark = subscribe(c, "mark", 0);
	assert_int_equal(publish(c, "ch", "1"), 0);
	assert_int_equal(publish(c, "ch", "2"), 0);
	if (world_keeps) {
		barrier(c, mark);
		/* Once, until it has fetched all. */
		assert_int_equal(atomic_load(&wakes), 1);
		assert_int_equal(nexus_cache_fetch(sub, &msg), 1);
		free(msg.data);
		assert_int_equal(nexus_cache_fetch(sub, &msg), 1);
		free(msg.data);
		assert_int_equal(nexus_cache_fetch(sub, &msg), 0);
		assert_int_equal(publish(c, "ch", "3"), 0);
		barrier(c, mark);
		assert_int_equal(atomic_load(&wakes), 2);
	}
	nexus_cache_unsubscribe(sub);
	nexus_cache_unsubscribe(mark);
}

static void many_subscribers(void **state)
{
	static struct nexus_cache_sub *subs[NEXUS_CACHE_SUBSCRIBERS_MAX];
	const struct nexus_cache_wish wish = { .queue = 2, .wake = wake_up, .arg = &(atomic_uint){ 0 } };
	struct nexus_cache_sub *more = NULL;
	struct nexus_cache *c = *state;
	struct nexus_cache_stats st;
	size_t i;

	for (i = 0; i < NEXUS_CACHE_SUBSCRIBERS_MAX; i++)
		assert_int_equal(nexus_cache_subscribe(c, key_of("ch"), &wish, &subs[i]), 0);
	if (world_keeps) {
		assert_int_equal(nexus_cache_subscribe(c, key_of("ch"), &wish, &more), -EUSERS);
		c->ops->stats(c, &st);
		assert_int_equal(st.subscribers, NEXUS_CACHE_SUBSCRIBERS_MAX);
	}
	for (i = 0; i < NEXUS_CACHE_SUBSCRIBERS_MAX; i++)
		nexus_cache_unsubscribe(subs[i]);
	c->ops->stats(c, &st);
	assert_int_equal(st.subscribers, 0);
}

/* ---- threads ------------------------------------------------------------------------------ */

#define WORKERS	6
#define ROUNDS	200

struct worker {
	struct nexus_cache *c;
	unsigned int id;
	char wrong[128];
};

/* cmocka's own are not for threads. */
static void *work(void *arg)
{
	struct nexus_cache_sub *sub = NULL;
	struct nexus_cache_message msg;
	struct worker *w = arg;
	char key[32], value[32];
	unsigned int i;
	uint64_t ms;
	void *data;
	size_t size;
	int ret;

	for (i = 0; i < ROUNDS && !w->wrong[0]; i++) {
		snprintf(key, sizeof(key), "w%u k%u", w->id, i % 7);
		snprintf(value, sizeof(value), "%u/%u", w->id, i);
		ret = set(w->c, key, value, 0);
		data = NULL;
		size = 0;
		if (!ret)
			ret = nexus_cache_get(w->c, key_of(key), &data, &size);
		if (ret != HERE(0) || (world_keeps && (size != strlen(value) ||
						       memcmp(data, value, size))))
			snprintf(w->wrong, sizeof(w->wrong), "%s: %d", key, ret);
		if (!ret)
			free(data);
		/* One all of them have. */
		set(w->c, "shared", value, 1000000);
		nexus_cache_ttl(w->c, key_of("shared"), &ms);
		if (i % 16 == 3)
			nexus_cache_delete_matching(w->c, pattern_of("shared ..."), NULL);
		if (i % 16 == 5 && !sub &&
		    nexus_cache_subscribe(w->c, key_of("all"), NULL, &sub))
			snprintf(w->wrong, sizeof(w->wrong), "subscribe");
		publish(w->c, "all", value);
		while (sub && nexus_cache_fetch(sub, &msg) == 1)
			free(msg.data);
		if (i % 16 == 15) {
			nexus_cache_unsubscribe(sub);
			sub = NULL;
		}
	}
	nexus_cache_unsubscribe(sub);
	return NULL;
}

static void threads(void **state)
{
	struct worker workers[WORKERS] = { { 0 } };
	pthread_t thread[WORKERS];
	unsigned int i;

	for (i = 0; i < WORKERS; i++) {
		workers[i].c = *state;
		workers[i].id = i;
		assert_int_equal(pthread_create(&thread[i], NULL, work, &workers[i]), 0);
	}
	for (i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < WORKERS; i++)
		assert_string_equal(workers[i].wrong, "");
	assert_int_equal(losses, 0);
}

static void cleared(void **state)
{
	struct nexus_cache *c = *state;

	assert_int_equal(set(c, "a", "1", 0), 0);
	c->ops->clear(c);
	expect(c, "a", NULL);
	assert_int_equal(set(c, "a", "2", 0), 0);
	expect(c, "a", "2");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, cache_setup, cache_teardown)
	const struct CMUnitTest tests[] = {
		T(values),
		T(keys),
		T(times),
		T(batches),
		T(patterns),
		T(messages),
		T(slow),
		T(woken),
		T(many_subscribers),
		T(threads),
		T(cleared),
	};
	int failed;

	if (world_begin())
		return 1;
	assert_int_equal(driver->abi, NEXUS_CACHE_DRIVER_ABI);
	failed = cmocka_run_group_tests_name("cachestore", tests, NULL, NULL);
	failed += world_own_tests();
	world_end();
	return failed;
}
