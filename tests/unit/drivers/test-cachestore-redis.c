// SPDX-License-Identifier: Apache-2.0
/* Redis: a server that runs as long as the tests, and what only a server can do. */
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "redis-lies.h"
#include "redis-server.h"

const struct nexus_cache_driver *driver;
const bool world_keeps = true;

int world_begin(void)
{
	void *object = dlopen(NEXUS_TEST_DRIVER, RTLD_NOW | RTLD_LOCAL);

	/* As in the helper. */
	signal(SIGPIPE, SIG_IGN);
	if (!object)
		fail_msg("%s", dlerror());
	driver = dlsym(object, NEXUS_CACHE_DRIVER_SYMBOL);
	return driver && redis_server_make() ? 0 : 1;
}

void world_end(void)
{
	redis_server_remove();
}

void world_options(struct nexus_cache_options *options)
{
	options->at = redis_server_at();
	options->reply_ms = LONG_MS;
	options->lost = note_loss;
}

void world_pass(uint64_t ms)
{
	usleep((useconds_t)ms * 1000);
}

int try_at(const char *at, uint32_t reply_ms)
{
	const struct nexus_cache_options options = {
		.at = at, .reply_ms = reply_ms, .lost = note_loss,
	};
	struct nexus_cache *c = NULL;
	int ret;

	memset(&fault, 0, sizeof(fault));
	ret = driver->open(&options, &fault, &c);
	if (!ret) {
		driver->close(c);
		return 0;
	}
	assert_int_equal(fault.error, ret);
	assert_true(fault.text[0] != '\0');
	assert_null(strpbrk(fault.text, "\r\n\x01"));
	/* All passwords here are of this kind. */
	assert_null(strstr(fault.text, "hunter"));
	return ret;
}

static struct nexus_cache *open_for(uint32_t reply_ms)
{
	const struct nexus_cache_options options = {
		.at = redis_server_at(), .reply_ms = reply_ms, .lost = note_loss,
	};

	return open_cache(&options);
}

void expect_lost(struct nexus_cache *c, const char *words)
{
	struct nexus_cache_sub *sub = NULL;
	size_t size;
	void *data;

	assert_int_equal(losses, 1);
	if (!strstr(fault.text, words))
		fail_msg("\"%s\" instead of \"%s\"", fault.text, words);
	assert_int_equal(nexus_cache_get(c, key_of("a"), &data, &size), -ENOTCONN);
	assert_int_equal(set(c, "a", "2", 0), -ENOTCONN);
	assert_int_equal(nexus_cache_delete(c, key_of("a")), -ENOTCONN);
	assert_int_equal(nexus_cache_delete_matching(c, pattern_of("*"), NULL), -ENOTCONN);
	assert_int_equal(nexus_cache_publish(c, key_of("a"), "", 0, NULL), -ENOTCONN);
	assert_int_equal(nexus_cache_subscribe(c, key_of("a"), NULL, &sub), -ENOTCONN);
	assert_int_equal(losses, 1);
}

int get(struct nexus_cache *c, const char *key)
{
	void *data = NULL;
	size_t size;
	int ret = nexus_cache_get(c, key_of(key), &data, &size);

	free(data);
	return ret;
}

/* ---- where it is, and who we are ------------------------------------------------------- */

static void places(void **state)
{
	static const char *const bad[] = {
		"", "hunter2", "password=hunter2", "redis://x:hunter2@h/", "socket=relative",
		"host=10.0.0.1", "host=example.org", "host=0.0.0.0", "host=::2", "host=127.0.0.1 port=0",
		"host=127.0.0.1 port=65536", "host=127.0.0.1 port=x", "host=127.0.0.1 db=-1",
		"socket=/a host=127.0.0.1", "user=x socket=/a", "socket=/a passfile=b", "socket=",
		"socket=/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaa",
	};
	char at[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (try_at(bad[i], LONG_MS) != -EINVAL)
			fail_msg("%s: %s", bad[i], fault.text);
	assert_int_equal(try_at("socket=/nonexistent/sock", LONG_MS), -ENOTCONN);
	assert_non_null(strstr(fault.text, "No such file"));
	/* A port nobody listens on: the one of a name that is not given to anybody. */
	assert_int_equal(try_at("host=127.0.0.1 port=1", LONG_MS), -ENOTCONN);
	assert_int_equal(try_at("host=::1 port=1", LONG_MS), -ENOTCONN);
	snprintf(at, sizeof(at), "%s db=3", redis_server_at());
	assert_int_equal(try_at(at, LONG_MS), 0);
	snprintf(at, sizeof(at), "%s db=60000", redis_server_at());
	assert_int_equal(try_at(at, LONG_MS), -EIO);
	assert_non_null(strstr(fault.text, "out of range"));
}

static void write_pass(const char *path, const char *text, mode_t mode)
{
	FILE *f;

	unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void passwords(void **state)
{
	char at[256], with_user[300], path[128], link[128];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/pass", redis_server_dir());
	snprintf(link, sizeof(link), "%s/link", redis_server_dir());
	snprintf(at, sizeof(at), "%s passfile=%s", redis_server_at(), path);
	snprintf(with_user, sizeof(with_user), "%s user=nexus", at);
	redis_server_do("ACL SETUSER nexus on >hunter2 ~nexus:* &nexus:* +@all");
	redis_server_do("ACL SETUSER blind on >hunter2 ~nexus:* &nexus:* +@all -info");
	write_pass(path, "hunter2\n", 0600);
	assert_int_equal(try_at(with_user, LONG_MS), 0);
	write_pass(path, "hunter3", 0600);
	assert_int_equal(try_at(with_user, LONG_MS), -EACCES);
	assert_non_null(strstr(fault.text, "refuses user or password"));
	write_pass(path, "hunter2\n", 0640);
	assert_int_equal(try_at(with_user, LONG_MS), -EACCES);
	assert_non_null(strstr(fault.text, "chmod 600"));
	write_pass(path, "\nhunter2", 0600);
	assert_int_equal(try_at(with_user, LONG_MS), -EACCES);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "%0600d", 1);
	fclose(f);
	assert_int_equal(try_at(with_user, LONG_MS), -EACCES);
	assert_non_null(strstr(fault.text, "512"));
	write_pass(path, "hunter2", 0600);
	assert_int_equal(symlink(path, link), 0);
	snprintf(with_user, sizeof(with_user), "%s user=nexus passfile=%s", redis_server_at(), link);
	assert_int_equal(try_at(with_user, LONG_MS), -EACCES);
	unlink(link);
	/* A right that is missing is named. */
	snprintf(with_user, sizeof(with_user), "%s user=blind", at);
	assert_int_equal(try_at(with_user, LONG_MS), -EACCES);
	assert_non_null(strstr(fault.text, "info"));

	/* The default user's, which then everybody needs. */
	redis_server_do("CONFIG SET requirepass hunter2");
	assert_int_equal(try_at(redis_server_at(), LONG_MS), -EACCES);
	assert_int_equal(try_at(at, LONG_MS), 0);
	unlink(path);
	assert_int_equal(try_at(at, LONG_MS), -EACCES);
	redis_server_kill();
	redis_server_start();
}

/* ---- a server that goes ------------------------------------------------------------------- */

static void killed(void **state)
{
	struct nexus_cache_sub *sub = NULL;
	struct nexus_cache *c = *state;

	assert_int_equal(set(c, "a", "1", 0), 0);
	assert_int_equal(nexus_cache_subscribe(c, key_of("ch"), NULL, &sub), 0);
	redis_server_kill();
	assert_int_equal(get(c, "a"), -ENOTCONN);
	redis_server_start();
	/* It is not the one that was told what to forget. */
	expect_lost(c, "");
	nexus_cache_unsubscribe(sub);
}

/* Nobody asks: the subscription finds out. */
static void killed_unasked(void **state)
{
	struct nexus_cache_sub *sub = NULL;
	struct nexus_cache *c = *state;

	assert_int_equal(nexus_cache_subscribe(c, key_of("ch"), NULL, &sub), 0);
	redis_server_kill();
	while (!losses)
		poll(NULL, 0, 1);
	redis_server_start();
	expect_lost(c, "");
	nexus_cache_unsubscribe(sub);
}

/* It comes back with what it had on its disk, which may be older than a deletion. */
static void restored(void **state)
{
	struct nexus_cache *c = *state, *again;

	assert_int_equal(set(c, "a", "old", 0), 0);
	redis_server_do("SAVE");
	assert_int_equal(nexus_cache_delete(c, key_of("a")), 0);
	expect(c, "a", NULL);
	redis_server_kill();
	redis_server_start();
	assert_int_equal(redis_server_do("EXISTS nexus:generation"), 1);
	assert_int_equal(get(c, "a"), -ENOTCONN);
	expect_lost(c, "");
	again = open_for(LONG_MS);
	expect(again, "a", NULL);
	driver->close(again);
	redis_server_do("FLUSHALL");
	redis_server_do("SAVE");
}

/* Connections end, and the server stays: nothing is lost. */
static void idle_closed(void **state)
{
	struct nexus_cache *c = *state;

	assert_int_equal(set(c, "a", "1", 0), 0);
	redis_server_do("CLIENT KILL TYPE normal SKIPME yes");
	expect(c, "a", "1");
	assert_int_equal(losses, 0);
}

/* For who is silent; one that works answers sooner, on a machine that is busy. */
#define SHORT_MS	1000

static void silent_for(struct nexus_cache *c, int (*call)(struct nexus_cache *c))
{
	assert_int_equal(kill(redis_server_pid(), SIGSTOP), 0);
	assert_int_equal(call(c), -ENOTCONN);
	expect_lost(c, "does not answer in time");
	assert_int_equal(kill(redis_server_pid(), SIGCONT), 0);
	driver->close(c);
	losses = 0;
}

static int call_get(struct nexus_cache *c)
{
	return get(c, "a");
}

static int call_set(struct nexus_cache *c)
{
	return set(c, "a", "1", 0);
}

int call_match(struct nexus_cache *c)
{
	return nexus_cache_delete_matching(c, pattern_of("a ..."), NULL);
}

int call_publish(struct nexus_cache *c)
{
	return nexus_cache_publish(c, key_of("ch"), "", 0, NULL);
}

static int call_subscribe(struct nexus_cache *c)
{
	struct nexus_cache_sub *sub = NULL;

	return nexus_cache_subscribe(c, key_of("ch"), NULL, &sub);
}

static int call_nothing(struct nexus_cache *c)
{
	(void)c;
	while (!losses)
		poll(NULL, 0, 1);
	return -ENOTCONN;
}

static void silent(void **state)
{
	struct nexus_cache_sub *sub = NULL;
	struct nexus_cache *c;

	(void)state;
	silent_for(open_for(SHORT_MS), call_get);
	silent_for(open_for(SHORT_MS), call_set);
	silent_for(open_for(SHORT_MS), call_match);
	silent_for(open_for(SHORT_MS), call_publish);
	silent_for(open_for(SHORT_MS), call_subscribe);
	/* One that only listens asks by itself. */
	c = open_for(SHORT_MS);
	assert_int_equal(nexus_cache_subscribe(c, key_of("ch"), NULL, &sub), 0);
	assert_int_equal(kill(redis_server_pid(), SIGSTOP), 0);
	call_nothing(c);
	expect_lost(c, "does not answer in time");
	assert_int_equal(kill(redis_server_pid(), SIGCONT), 0);
	nexus_cache_unsubscribe(sub);
	driver->close(c);
	assert_int_equal(kill(redis_server_pid(), SIGSTOP), 0);
	assert_int_equal(try_at(redis_server_at(), SHORT_MS), -ENOTCONN);
	assert_int_equal(kill(redis_server_pid(), SIGCONT), 0);
}

/* A listener with nothing to hear for a time asks, and goes on. */
static void listens_on(void **state)
{
	struct nexus_cache *c = open_for(SHORT_MS);
	struct nexus_cache_sub *sub = NULL;
	int i;

	(void)state;
	assert_int_equal(nexus_cache_subscribe(c, key_of("ch"), NULL, &sub), 0);
	for (i = 0; i < 3; i++) {
		usleep(SHORT_MS * 750);
		/* A machine that is slow is no server that is lost. */
		if (losses)
			break;
		if (!nexus_cache_publish(c, key_of("ch"), "m", 1, NULL))
			expect_message(sub, "m");
	}
	nexus_cache_unsubscribe(sub);
	driver->close(c);
}

/* ---- a server with its own mind -------------------------------------------------------------- */

static void full(void **state)
{
	static char large[NEXUS_CACHE_VALUE_MAX];
	struct nexus_cache *c = *state;
	struct nexus_cache_part names[2] = { NEXUS_CACHE_P("a", 1), NEXUS_CACHE_P("b", 1) };
	struct nexus_cache_item items[2] = {
		{ { &names[0], 1, false }, large, 10 }, { { &names[1], 1, false }, large, 10 },
	};

	assert_int_equal(set(c, "a", "old", 0), 0);
	assert_int_equal(set(c, "b", "old", 0), 0);
	assert_int_equal(set(c, "c", "other", 0), 0);
	redis_server_do("CONFIG SET maxmemory 1");
	assert_int_equal(nexus_cache_set(c, key_of("a"), large, sizeof(large), 0), -ENOSPC);
	/* Nobody finds what it was to replace. */
	expect(c, "a", NULL);
	expect(c, "c", "other");
	assert_int_equal(nexus_cache_set_many(c, items, 2, 0), -ENOSPC);
	expect(c, "b", NULL);
	assert_int_equal(losses, 0);
	redis_server_do("CONFIG SET maxmemory 0");
	assert_int_equal(set(c, "a", "new", 0), 0);
	expect(c, "a", "new");
}

/* Two helpers of one server. */
static void shared(void **state)
{
	struct nexus_cache *a = *state, *b;
	struct nexus_cache_sub *sub = NULL;

	assert_int_equal(set(a, "k", "1", 0), 0);
	assert_int_equal(set(a, "k2", "1", 0), 0);
	/* Who comes may have missed what was deleted: so all begin anew. */
	b = open_for(LONG_MS);
	expect(a, "k", NULL);
	assert_int_equal(set(b, "k", "2", 0), 0);
	expect(a, "k", "2");
	assert_int_equal(nexus_cache_delete(a, key_of("k")), 0);
	expect(b, "k", NULL);
	assert_int_equal(set(a, "k", "3", 0), 0);
	expect(b, "k", "3");
	/* A deletion that thinks of the last generation takes away what is of the new one. */
	b->ops->clear(b);
	assert_int_equal(set(b, "k", "4", 0), 0);
	assert_int_equal(nexus_cache_delete(a, key_of("k")), 0);
	expect(b, "k", NULL);
	b->ops->clear(b);
	assert_int_equal(set(b, "k", "5", 0), 0);
	assert_int_equal(nexus_cache_delete_matching(a, pattern_of("k"), NULL), 0);
	expect(b, "k", NULL);
	b->ops->clear(b);
	assert_int_equal(set(a, "k", "6", 0), 0);
	expect(b, "k", "6");
	assert_int_equal(nexus_cache_subscribe(b, key_of("ch"), NULL, &sub), 0);
	assert_int_equal(nexus_cache_publish(a, key_of("ch"), "hello", 5, NULL), 0);
	expect_message(sub, "hello");
	nexus_cache_unsubscribe(sub);
	driver->close(b);
	expect(a, "k", "6");
	assert_int_equal(losses, 0);
}

/* Administrators, and evictions, take away what they like. */
static void meddled_with(void **state)
{
	static char large[NEXUS_CACHE_MESSAGE_MAX + 100];
	struct nexus_cache *c = *state;
	struct nexus_cache_sub *sub = NULL;
	char command[256];
	int n;

	assert_int_equal(set(c, "k", "1", 0), 0);
	redis_server_do("DEL nexus:generation");
	expect(c, "k", NULL);
	assert_int_equal(set(c, "k", "2", 0), 0);
	expect(c, "k", "2");
	redis_server_do("FLUSHALL");
	assert_int_equal(set(c, "k", "3", 0), 0);
	expect(c, "k", "3");
	redis_server_do("SET nexus:generation rubbish");
	assert_int_equal(nexus_cache_delete(c, key_of("k")), -ENOENT);
	expect(c, "k", NULL);
	/* Nothing of others is touched, whatever the pattern. */
	redis_server_do("SET other 1");
	redis_server_do("SET nexus:0123456789abcdef:1:k 1");
	assert_int_equal(nexus_cache_delete_matching(c, pattern_of("* ..."), NULL), 0);
	assert_int_equal(redis_server_do("EXISTS other nexus:0123456789abcdef:1:k"), 2);
	/* All that is kept has an end. */
	redis_server_do("FLUSHALL");
	assert_int_equal(set(c, "k", "4", 0), 0);
	expect(c, "k", "4");
	/* What is no message of ours is told as a loss. */
	assert_int_equal(nexus_cache_subscribe(c, key_of("ch"), NULL, &sub), 0);
	memset(large, 'x', sizeof(large) - 1);
	n = snprintf(command, sizeof(command), "EVAL return(redis.call('publish','nexus:channel:2:ch',string.rep('x',%u))) 0",
		     NEXUS_CACHE_MESSAGE_MAX + 1);
	assert_true(n > 0 && (size_t)n < sizeof(command));
	redis_server_do(command);
	expect_message(sub, "LOST 1");
	nexus_cache_unsubscribe(sub);
	assert_int_equal(losses, 0);
}

/* A value of another type under the generation: the server's error is the end. */
static void wrong_type(void **state)
{
	struct nexus_cache *c = *state, *again;

	redis_server_do("DEL nexus:generation");
	redis_server_do("LPUSH nexus:generation 1");
	assert_int_equal(set(c, "k", "1", 0), -ENOTCONN);
	expect_lost(c, "WRONGTYPE");
	/* A new one begins with a SET, which mends it. */
	again = open_for(LONG_MS);
	assert_int_equal(set(again, "k", "1", 0), 0);
	driver->close(again);
}

int world_own_tests(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, cache_setup, cache_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places),
		cmocka_unit_test(passwords),
		T(killed),
		T(killed_unasked),
		T(restored),
		T(idle_closed),
		cmocka_unit_test(silent),
		cmocka_unit_test(listens_on),
		T(full),
		T(shared),
		T(meddled_with),
		T(wrong_type),
	};

	return cmocka_run_group_tests_name("redis", tests, NULL, NULL) + lies_tests();
}
