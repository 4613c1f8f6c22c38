// SPDX-License-Identifier: Apache-2.0
/*
 * The helper's cache store on a Redis server that goes and comes back: what services get
 * meanwhile, and what they never get.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "../drivers/redis-server.h"
#include "cachestore.h"
#include "util.h"

#define LONG_MS	600000u

static struct cachestore *store;
static struct nexus_cache *a, *b;		/* of two services */
static char drivers[160];

static void begin_with(const char *driver, const char *at, uint32_t reply_ms)
{
	const struct cachestore_opts opts = {
		.driver = driver, .at = at, .dir = drivers, .owner = geteuid(), .bytes = 4u << 20,
		.entries = 1000, .reply_ms = reply_ms, .retry_ms = 5,
	};

	store = cachestore_new(&opts);
	assert_non_null(store);
}

static void handles(void)
{
	assert_int_equal(cachestore_get(store, "one", &a), 0);
	assert_int_equal(cachestore_get(store, "two", &b), 0);
}

static void put_driver(void)
{
	char command[512];

	snprintf(command, sizeof(command), "install -m 644 %s %s/redis.so", OBJECT, drivers);
	assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
	test_setup(state);
	snprintf(drivers, sizeof(drivers), "%s/drivers", test_dir);
	assert_int_equal(mkdir(drivers, 0755), 0);
	put_driver();
	return 0;
}

static int teardown(void **state)
{
	cachestore_put(a);
	cachestore_put(b);
	a = b = NULL;
	cachestore_free(store);
	store = NULL;
	return test_teardown(state);
}

static enum cachestore_state how(char *error)
{
	struct cachestore_info info;

	cachestore_info(store, &info);
	if (error)
		memcpy(error, info.error, sizeof(info.error));
	return info.state;
}

#define PATIENCE_MS	60000	/* of a test that would hang otherwise */

static void until(enum cachestore_state state)
{
	int i;

	for (i = 0; i < PATIENCE_MS && how(NULL) != state; i++)
		poll(NULL, 0, 1);
	assert_int_equal(how(NULL), state);
}

static struct nexus_cache_key key_of(const char *name, struct nexus_cache_part *part)
{
	*part = (struct nexus_cache_part)NEXUS_CACHE_P(name, strlen(name));
	return (struct nexus_cache_key){ part, 1, false };
}

static int set(struct nexus_cache *c, const char *name, const char *value)
{
	struct nexus_cache_part part;
	struct nexus_cache_key key = key_of(name, &part);

	return nexus_cache_set(c, &key, value, strlen(value), 0);
}

static int del(struct nexus_cache *c, const char *name)
{
	struct nexus_cache_part part;
	struct nexus_cache_key key = key_of(name, &part);

	return nexus_cache_delete(c, &key);
}

static void expect(struct nexus_cache *c, const char *name, const char *value)
{
	struct nexus_cache_part part;
	struct nexus_cache_key key = key_of(name, &part);
	void *data = NULL;
	size_t size = 0;
	int ret = nexus_cache_get(c, &key, &data, &size);

	assert_int_equal(ret, value ? 0 : -ENOENT);
	if (value) {
		assert_int_equal(size, strlen(value));
		assert_memory_equal(data, value, size);
	}
	free(data);
}

static struct nexus_cache_sub *subscribe(struct nexus_cache *c, const char *name)
{
	struct nexus_cache_part part;
	struct nexus_cache_key key = key_of(name, &part);
	struct nexus_cache_sub *sub = NULL;

	assert_int_equal(nexus_cache_subscribe(c, &key, NULL, &sub), 0);
	return sub;
}

static void publish(struct nexus_cache *c, const char *name, const char *text)
{
	struct nexus_cache_part part;
	struct nexus_cache_key key = key_of(name, &part);

	assert_int_equal(nexus_cache_publish(c, &key, text, strlen(text), NULL), 0);
}

static void expect_next(struct nexus_cache_sub *sub, const char *text)
{
	struct pollfd fd = { .fd = sub->fd, .events = POLLIN };
	struct nexus_cache_message msg;

	assert_int_equal(poll(&fd, 1, -1), 1);
	assert_int_equal(nexus_cache_fetch(sub, &msg), 1);
	assert_int_equal(msg.what, text ? NEXUS_CACHE_MESSAGE : NEXUS_CACHE_GAP);
	if (text) {
		assert_int_equal(msg.size, strlen(text));
		assert_memory_equal(msg.data, text, msg.size);
	}
	free(msg.data);
}

static void test_local(void **state)
{
	struct nexus_cache_sub *sub;
	struct nexus_cache_stats st;

	(void)state;
	begin_with("mem", "", LONG_MS);
	assert_int_equal(how(NULL), CACHESTORE_UNUSED);
	handles();
	assert_int_equal(how(NULL), CACHESTORE_OPEN);
	/* Each has its own. */
	assert_int_equal(set(a, "k", "of a"), 0);
	expect(b, "k", NULL);
	assert_int_equal(set(b, "k", "of b"), 0);
	expect(a, "k", "of a");
	sub = subscribe(a, "ch");
	publish(b, "ch", "of b");
	publish(a, "ch", "of a");
	expect_next(sub, "of a");
	nexus_cache_unsubscribe(sub);
	a->ops->clear(a);
	expect(a, "k", NULL);
	expect(b, "k", "of b");
	a->ops->stats(a, &st);
	assert_int_equal(st.entries, 1);
}

static void test_nothing(void **state)
{
	struct nexus_cache_sub *sub;

	(void)state;
	begin_with("null", "", LONG_MS);
	handles();
	assert_int_equal(set(a, "k", "v"), 0);
	expect(a, "k", NULL);
	sub = subscribe(a, "ch");
	publish(a, "ch", "x");
	nexus_cache_unsubscribe(sub);
	assert_int_equal(how(NULL), CACHESTORE_OPEN);
}

/* The bounds of keys are those a service sees: one part is its name. */
static void test_limits(void **state)
{
	struct nexus_cache_part parts[NEXUS_CACHE_PARTS_MAX];
	struct nexus_cache_key key = { parts, NEXUS_CACHE_PARTS_MAX - 1, false };
	struct nexus_cache_item items[NEXUS_CACHE_BATCH_MAX + 1];
	size_t i;

	(void)state;
	begin_with("mem", "", LONG_MS);
	handles();
	for (i = 0; i < NEXUS_CACHE_PARTS_MAX; i++)
		parts[i] = (struct nexus_cache_part)NEXUS_CACHE_P("p", 1);
	assert_int_equal(nexus_cache_set(a, &key, "v", 1, 0), 0);
	for (i = 0; i <= NEXUS_CACHE_BATCH_MAX; i++)
		items[i] = (struct nexus_cache_item){ key, (void *)"v", 1 };
	assert_int_equal(nexus_cache_set_many(a, items, NEXUS_CACHE_BATCH_MAX, 0), 0);
	assert_int_equal(nexus_cache_set_many(a, items, NEXUS_CACHE_BATCH_MAX + 1, 0), -E2BIG);
	assert_int_equal(nexus_cache_get_many(a, items, 2), 0);
	assert_non_null(items[1].data);
	free(items[0].data);
	free(items[1].data);
	key.count++;
	assert_int_equal(nexus_cache_set(a, &key, "v", 1, 0), -ENAMETOOLONG);
	key.count = 0;
	assert_int_equal(nexus_cache_set(a, &key, "v", 1, 0), -EINVAL);
	assert_int_equal(nexus_cache_delete_matching(a, &key, NULL), -EINVAL);
}

static void test_comes_back(void **state)
{
	char error[NEXUS_CACHE_FAULT_MAX];
	struct nexus_cache_sub *sub, *later;

	(void)state;
	begin_with("redis", redis_server_at(), LONG_MS);
	handles();
	assert_int_equal(how(error), CACHESTORE_OPEN);
	assert_string_equal(error, "");
	sub = subscribe(a, "ch");
	assert_int_equal(set(a, "k", "server"), 0);
	assert_int_equal(set(a, "deleted", "server"), 0);
	redis_server_do("SAVE");
	publish(a, "ch", "1");
	expect_next(sub, "1");

	redis_server_kill();
	/* Whoever asks gets an answer, and not that of before. */
	expect(a, "k", NULL);
	assert_int_equal(how(error), CACHESTORE_DEGRADED);
	assert_true(error[0] != '\0');
	assert_int_equal(set(a, "k", "here"), 0);
	expect(a, "k", "here");
	assert_int_equal(del(a, "deleted"), -ENOENT);
	expect_next(sub, NULL);
	publish(a, "ch", "2");
	expect_next(sub, "2");
	later = subscribe(a, "ch");
	publish(a, "ch", "3");
	expect_next(sub, "3");
	expect_next(later, "3");

	redis_server_start();
	until(CACHESTORE_OPEN);
	/* Neither what was set meanwhile, nor what the server had on its disk. */
	expect(a, "k", NULL);
	expect(a, "deleted", NULL);
	expect_next(sub, NULL);
	expect_next(later, NULL);
	publish(a, "ch", "4");
	expect_next(sub, "4");
	expect_next(later, "4");
	assert_int_equal(set(a, "k", "again"), 0);
	expect(a, "k", "again");
	assert_int_equal(redis_server_do("DBSIZE") >= 2, 1);
	nexus_cache_unsubscribe(sub);
	nexus_cache_unsubscribe(later);
	redis_server_do("FLUSHALL");
	redis_server_do("SAVE");
}

/* Twice: what was here the last time is not here the next. */
static void test_local_is_empty(void **state)
{
	int i;

	(void)state;
	begin_with("redis", redis_server_at(), LONG_MS);
	handles();
	for (i = 0; i < 2; i++) {
		redis_server_kill();
		expect(a, "k", NULL);
		assert_int_equal(how(NULL), CACHESTORE_DEGRADED);
		assert_int_equal(set(a, "k", "here"), 0);
		expect(a, "k", "here");
		redis_server_start();
		until(CACHESTORE_OPEN);
	}
}

/* Nobody calls: the subscription finds out, and it comes back. */
static void test_unasked(void **state)
{
	struct nexus_cache_sub *sub;

	(void)state;
	begin_with("redis", redis_server_at(), LONG_MS);
	handles();
	sub = subscribe(a, "ch");
	redis_server_kill();
	expect_next(sub, NULL);
	redis_server_start();
	until(CACHESTORE_OPEN);
	nexus_cache_unsubscribe(sub);
}

static void test_silent(void **state)
{
	char error[NEXUS_CACHE_FAULT_MAX];

	(void)state;
	begin_with("redis", redis_server_at(), 2000);
	handles();
	assert_int_equal(set(a, "k", "server"), 0);
	assert_int_equal(kill(redis_server_pid(), SIGSTOP), 0);
	expect(a, "k", NULL);
	assert_int_equal(how(error), CACHESTORE_DEGRADED);
	assert_non_null(strstr(error, "in time"));
	assert_int_equal(set(a, "k", "here"), 0);
	assert_int_equal(kill(redis_server_pid(), SIGCONT), 0);
	until(CACHESTORE_OPEN);
	expect(a, "k", NULL);
}

/* What is wrong is shown, and mended while it runs. */
static void test_absent(void **state)
{
	char error[NEXUS_CACHE_FAULT_MAX], path[200];

	(void)state;
	snprintf(path, sizeof(path), "%s/redis.so", drivers);
	assert_int_equal(unlink(path), 0);
	begin_with("redis", redis_server_at(), LONG_MS);
	handles();
	assert_int_equal(how(error), CACHESTORE_DEGRADED);
	assert_non_null(strstr(error, "there is no cachestore driver redis"));
	assert_int_equal(set(a, "k", "here"), 0);
	expect(a, "k", "here");
	put_driver();
	until(CACHESTORE_OPEN);
	expect(a, "k", NULL);
	cachestore_put(a);
	cachestore_put(b);
	cachestore_free(store);

	assert_int_equal(chmod(path, 0664), 0);
	begin_with("redis", redis_server_at(), LONG_MS);
	handles();
	assert_int_equal(how(error), CACHESTORE_DEGRADED);
	assert_non_null(strstr(error, "can be written by its group"));
	cachestore_put(a);
	cachestore_put(b);
	cachestore_free(store);

	assert_int_equal(chmod(path, 0644), 0);
	begin_with("redis", "password=hunter2", LONG_MS);
	handles();
	assert_int_equal(how(error), CACHESTORE_DEGRADED);
	assert_null(strstr(error, "hunter2"));
	assert_int_equal(set(a, "k", "here"), 0);
	expect(a, "k", "here");
}

static void test_password(void **state)
{
	char error[NEXUS_CACHE_FAULT_MAX];

	(void)state;
	redis_server_do("CONFIG SET requirepass hunter2");
	begin_with("redis", redis_server_at(), LONG_MS);
	handles();
	assert_int_equal(how(error), CACHESTORE_DEGRADED);
	assert_non_null(strstr(error, "NOAUTH"));
	redis_server_kill();
	redis_server_start();
	until(CACHESTORE_OPEN);
}

/* ---- under load ----------------------------------------------------------------------- */

#define WORKERS	4

struct worker {
	unsigned int id;
	atomic_bool *over;
	unsigned int rounds;
	char wrong[160];
};

/*
 * Each has a key that nobody else changes: it never finds any value but its last one, or
 * none, and none after it was deleted.
 */
static void *work(void *arg)
{
	struct nexus_cache_sub *sub = NULL;
	struct nexus_cache_message msg;
	struct nexus_cache_part part, channel;
	struct worker *w = arg;
	struct nexus_cache_key key, all = key_of("all", &channel);
	char name[16], value[32];
	unsigned int i;
	void *data;
	size_t size;
	int ret;

	snprintf(name, sizeof(name), "w%u", w->id);
	key = key_of(name, &part);
	for (i = 0; !atomic_load(w->over) && !w->wrong[0]; i++) {
		snprintf(value, sizeof(value), "%u", i);
		ret = nexus_cache_set(a, &key, value, strlen(value), 0);
		if (ret && ret != -EIO)
			snprintf(w->wrong, sizeof(w->wrong), "set: %d", ret);
		ret = nexus_cache_get(a, &key, &data, &size);
		if (!ret) {
			if (size != strlen(value) || memcmp(data, value, size))
				snprintf(w->wrong, sizeof(w->wrong), "%.*s instead of %s", (int)size,
					 (char *)data, value);
			free(data);
		} else if (ret != -ENOENT && ret != -EIO) {
			snprintf(w->wrong, sizeof(w->wrong), "get: %d", ret);
		}
		if (i % 3 == 0) {
			ret = nexus_cache_delete(a, &key);
			if (ret != -EIO && !nexus_cache_get(a, &key, &data, &size)) {
				snprintf(w->wrong, sizeof(w->wrong), "%.*s, which was deleted",
					 (int)size, (char *)data);
				free(data);
			}
		}
		if (!sub && nexus_cache_subscribe(a, &all, NULL, &sub))
			snprintf(w->wrong, sizeof(w->wrong), "subscribe");
		nexus_cache_publish(a, &all, value, strlen(value), NULL);
		while (sub && nexus_cache_fetch(sub, &msg) == 1)
			free(msg.data);
		if (i % 50 == 49) {
			nexus_cache_unsubscribe(sub);
			sub = NULL;
		}
	}
	nexus_cache_unsubscribe(sub);
	w->rounds = i;
	return NULL;
}

static void test_load(void **state)
{
	struct worker w[WORKERS] = { { 0 } };
	pthread_t thread[WORKERS];
	atomic_bool over = false;
	unsigned int i;

	(void)state;
	begin_with("redis", redis_server_at(), LONG_MS);
	handles();
	for (i = 0; i < WORKERS; i++) {
		w[i].id = i;
		w[i].over = &over;
		assert_int_equal(pthread_create(&thread[i], NULL, work, &w[i]), 0);
	}
	for (i = 0; i < 5; i++) {
		poll(NULL, 0, 50);
		redis_server_kill();
		until(CACHESTORE_DEGRADED);
		poll(NULL, 0, 20);
		redis_server_start();
		until(CACHESTORE_OPEN);
	}
	atomic_store(&over, true);
	for (i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < WORKERS; i++) {
		assert_string_equal(w[i].wrong, "");
		assert_true(w[i].rounds > 10);
	}
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_local),
		T(test_nothing),
		T(test_limits),
		T(test_comes_back),
		T(test_local_is_empty),
		T(test_unasked),
		T(test_silent),
		T(test_absent),
		T(test_password),
		T(test_load),
	};
	int failed;

	signal(SIGPIPE, SIG_IGN);
	if (!redis_server_make())
		return 1;
	failed = cmocka_run_group_tests_name("cachestore", tests, NULL, NULL);
	redis_server_remove();
	return failed;
}
