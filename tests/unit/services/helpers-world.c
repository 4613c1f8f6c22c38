// SPDX-License-Identifier: Apache-2.0
#include "helpers-world.h"

/* ---- a cache store whose server can go --------------------------------- */

struct nexus_cache *server;
const struct nexus_cache_ops *real;
enum nexus_cache_reach reach;
u64 sets, last_ttl;
u8 last_key[64], last_value[64];
size_t last_size;

static enum nexus_cache_reach fake_reach(struct nexus_cache *cache)
{
	(void)cache;
	return reach;
}

static int fake_set(struct nexus_cache *cache, const struct nexus_cache_key *key, const void *data,
		    size_t size, uint64_t ttl_ms)
{
	sets++;
	last_ttl = ttl_ms;
	last_size = size;
	assert_true(key->count == 1 && key->parts->size <= sizeof(last_key));
	memcpy(last_key, key->parts->data, key->parts->size);
	memcpy(last_value, data, size < sizeof(last_value) ? size : sizeof(last_value));
	return real->set(cache, key, data, size, ttl_ms);
}

void server_begin(const struct nexus_cache_driver *driver)
{
	static struct nexus_cache_ops ops;
	const struct nexus_cache_options options = { .bytes = 64u << 20, .entries = 1000000 };
	struct nexus_cache_fault fault;

	assert_int_equal(driver->open(&options, &fault, &server), 0);
	real = server->ops;
	ops = *real;
	ops.reach = fake_reach;
	ops.set = fake_set;
	server->ops = &ops;
	reach = NEXUS_CACHE_SHARED;
	sets = 0;
}

void server_end(const struct nexus_cache_driver *driver)
{
	server->ops = real;
	driver->close(server);
	server = NULL;
}

/* ---- helpers ------------------------------------------------------------ */

struct base two, late;
struct base *const helpers[HELPERS] = { &b, &two, &late };
static struct rebac_store *their_store;
static struct nexus_permission_sharing before[HELPERS];
u32 told[2];
static s64 (*time_ms)(void);

void note_switch(void *arg, bool shared)
{
	(void)arg;
	told[shared]++;
}

static void share(struct base *h)
{
	int ret;

	h->share = share_new(server, note_switch, NULL, &ret);
	assert_int_equal(ret, 0);
}

static void begin(struct base *h, struct rebac_store *at)
{
	base_init(h, at, more);
	h->now_ms = time_ms;
	h->clock = b.clock;
	h->cache = cache_new(CACHE_BYTES, true);
	assert_non_null(h->cache);
	share(h);
}

void begin_late(void)
{
	if (late.store)
		base_end(&late);
	memset(&before[2], 0, sizeof(before[2]));
	begin(&late, their_store);
}

void their_store_again(void **state)
{
	memset(told, 0, sizeof(told));
	memset(before, 0, sizeof(before));
	time_ms = b.now_ms;
	their_store = another(state);
	begin(&two, their_store);
	late.store = NULL;
}

int share_setup(void **state)
{
	int ret = setup_kept(state);

	if (ret || !b.store)
		return ret;
	server_begin(&cache_driver_mem);
	share(&b);
	their_store_again(state);
	return 0;
}

int share_teardown(void **state)
{
	if (!b.store)
		return 0;
	if (late.store)
		base_end(&late);
	base_end(&two);
	if (their_store != store)
		their_store->ops->close(their_store);
	teardown(state);
	server_end(&cache_driver_mem);
	return 0;
}

struct nexus_permission_answer ask_of(struct base *h, const char *text)
{
	struct nexus_permission_tuple t = tuple(text);
	struct nexus_permission_check_args a = { .questions = &t, .count = 1 };

	assert_int_equal(base_check(h, &a), 0);
	return a.answers[0];
}

void is(struct base *h, const char *text, bool allowed)
{
	struct nexus_permission_answer a = ask_of(h, text);

	if (a.allowed != allowed || a.why || a.error)
		fail_msg("%s: %d %x %d", text, a.allowed, a.why, a.error);
}

void change_by(struct base *h, u32 kind, const char *text)
{
	struct nexus_permission_update u = { .kind = kind, .tuple = tuple(text) };
	struct nexus_permission_write_args w = { .updates = &u, .nupdates = 1 };

	if (base_write(h, &w))
		fail_msg("%s: %s", text, w.error);
}

struct nexus_permission_sharing counts(struct base *h)
{
	struct nexus_permission_sharing s;

	assert_int_equal(base_sharing(h, &s), 0);
	return s;
}

void found(struct base *h, u64 hits, u64 misses)
{
	struct nexus_permission_sharing s = counts(h);
	u32 i = h == &b ? 0 : h == &two ? 1 : 2;

	assert_int_equal(s.hits - before[i].hits, hits);
	assert_int_equal(s.misses - before[i].misses, misses);
	before[i] = s;
}
