// SPDX-License-Identifier: Apache-2.0
#include "share-world.h"

#include <sys/stat.h>

#define LONG_MS		600000u

struct helper helpers[2];

static char services_dir[160], drivers_dir[160];

/* ---- helpers ------------------------------------------------------------------------- */

static int setting(const void *arg, const char *key, uint64_t *value)
{
	if (strcmp(key, "event_bus_group"))
		return -ENOENT;
	*value = *(const uint64_t *)arg;
	return 0;
}

void helper_begin(struct helper *h, const char *driver, uint64_t group)
{
	const char *both[] = { "event_bus", "eventlog" };
	const struct cachestore_opts cache = {
		.driver = driver, .at = redis_server_at(), .dir = drivers_dir, .owner = geteuid(),
		.bytes = 4u << 20, .entries = 1000, .reply_ms = LONG_MS, .retry_ms = 5,
	};
	const struct service_caller me = { 7, 77 };
	struct registry_opts opts = {
		.dir = services_dir, .owner = geteuid(), .timeout_ms = LONG_MS, .quarantine = true,
		.setting = setting, .setting_arg = &h->group,
	};
	snprintf(h->files, sizeof(h->files), "%s/files-%d", test_dir, (int)(h - helpers));
	opts.state = h->files;
	h->group = group;
	h->fd = -1;
	h->store = cachestore_new(&cache);
	assert_non_null(h->store);
	opts.cache = h->store;
	h->reg = registry_new(&opts);
	assert_non_null(h->reg);
	assert_int_equal(service_load(h->reg, both, 2, &me, &reg_err), 0);
	assert_int_equal(service_get(h->reg, "the test", NEXUS_EVENT_BUS, 2, &h->bus), 0);
}

void helper_end(struct helper *h)
{
	if (!h->reg)
		return;
	service_args_free(h->got);
	service_put(h->bus);
	registry_end(h->reg);
	assert_true(registry_free(h->reg));
	cachestore_free(h->store);
	if (h->fd >= 0)
		close(h->fd);
	memset(h, 0, sizeof(*h));
}

int share_setup(void **state)
{
	char command[512];

	world_setup(state);
	snprintf(services_dir, sizeof(services_dir), "%s/services", test_dir);
	snprintf(drivers_dir, sizeof(drivers_dir), "%s/drivers", test_dir);
	assert_int_equal(mkdir(drivers_dir, 0755), 0);
	snprintf(command, sizeof(command), "install -m 644 %s %s/redis.so", DRIVER, drivers_dir);
	assert_int_equal(system(command), 0);
	put_file(SERVICES "/eventlog/eventlog.so", "eventlog");
	put_file(SERVICES "/event_bus/event_bus.so", "event_bus");
	return 0;
}

int share_teardown(void **state)
{
	helper_end(one);
	helper_end(two);
	assert_int_equal(mapped(), 0);
	return world_teardown(state);
}

struct nexus_event_bus_sharing sharing(struct helper *h)
{
	struct nexus_event_bus_sharing *a = service_args_new(sizeof(*a)), st;
	int ret;

	do
		ret = service_call(h->bus, struct nexus_event_bus_ops, sharing, a, 0);
	while (ret == -EAGAIN);
	assert_int_equal(ret, 0);
	st = *a;
	service_args_free(a);
	return st;
}

void until_how(struct helper *h, uint32_t how)
{
	until(sharing(h).how == how);
}

void until_known(struct helper *h, uint32_t origins)
{
	until(sharing(h).origins == origins);
}

/* ---- events ---------------------------------------------------------------------------- */

static char *keep(void *args, const char *text, size_t len)
{
	char *p = service_args_more(args, len + 1);

	assert_non_null(p);
	return memcpy(p, text, len);
}

void publish_data(struct helper *h, const char *path, const void *data, size_t len, uint32_t count)
{
	struct nexus_event_publish_args *a = service_args_new(sizeof(*a));
	uint32_t i;
	int ret;

	a->count = count;
	a->events = service_args_more(a, count * sizeof(*a->events));
	for (i = 0; i < count; i++)
		a->events[i] = (struct nexus_bus_event){
			.type = NEXUS_EVENT_WRITE, .zone = "z", .zone_len = 1,
			.path = keep(a, path, strlen(path)), .path_len = (uint32_t)strlen(path),
			.data = keep(a, data, len), .data_len = (uint32_t)len,
			/* What is set by the service. */
			.origin = 99,
		};
	do
		ret = service_call(h->bus, struct nexus_event_bus_ops, publish, a, 0);
	while (ret == -EAGAIN);
	assert_int_equal(ret, 0);
	service_args_free(a);
}

void publish(struct helper *h, const char *path)
{
	publish_data(h, path, "data", 4, 1);
}

void subscribe(struct helper *h, const char *prefix, const char *zone, uint64_t from)
{
	struct nexus_event_subscribe_args *a = service_args_new(sizeof(*a));
	struct nexus_event_pattern *p = service_args_more(a, sizeof(*p));
	int ret;

	if (h->fd >= 0)
		close(h->fd);
	service_args_free(h->got);
	h->got = NULL;
	*p = (struct nexus_event_pattern){ NEXUS_EVENT_PREFIX, (uint32_t)strlen(prefix),
					   keep(a, prefix, strlen(prefix)) };
	a->patterns = p;
	a->count = 1;
	a->from = from;
	a->queue = NEXUS_EVENT_QUEUE_MAX;
	if (zone) {
		a->zone = keep(a, zone, strlen(zone));
		a->zone_len = (uint32_t)strlen(zone);
	}
	do
		ret = service_call(h->bus, struct nexus_event_bus_ops, subscribe, a, 0);
	while (ret == -EAGAIN);
	assert_int_equal(ret, 0);
	h->sub = a->id;
	h->fd = a->fd;
	service_args_free(a);
}

const struct nexus_bus_event *next(struct helper *h)
{
	struct pollfd p = { .fd = h->fd, .events = POLLIN };
	int ret;

	while (!h->got || h->at == h->got->count) {
		service_args_free(h->got);
		if (poll(&p, 1, PATIENCE_MS) != 1)
			fail_msg("nothing comes any more");
		h->got = service_args_new(sizeof(*h->got));
		h->got->id = h->sub;
		ret = service_call(h->bus, struct nexus_event_bus_ops, fetch, h->got, 0);
		assert_true(!ret || ret == -EAGAIN);
		h->at = 0;
		if (ret)
			h->got->count = 0;
	}
	return &h->got->events[h->at++];
}

void expect(struct helper *h, const char *path, bool foreign)
{
	const struct nexus_bus_event *e = next(h);

	assert_int_equal(e->kind, NEXUS_EVENT_IS);
	if (e->path_len != strlen(path) || memcmp(e->path, path, e->path_len))
		fail_msg("%.*s instead of %s", (int)e->path_len, e->path, path);
	assert_true(e->time > 0);
	assert_int_equal(e->zone_len, 1);
	assert_int_equal(e->origin != 0, foreign);
	assert_true(e->origin != 99);
}

void expect_missed(struct helper *h, uint64_t missed)
{
	const struct nexus_bus_event *e = next(h);

	assert_int_equal(e->kind, NEXUS_EVENT_MISSED);
	assert_int_equal(e->missed, missed);
}

void both_begin(void)
{
	helper_begin(one, "redis", 1);
	until_how(one, NEXUS_EVENT_BUS_SHARED);
	helper_begin(two, "redis", 1);
	until_known(one, 1);
	subscribe(one, "/", NULL, 0);
	subscribe(two, "/", NULL, 0);
}

void forge(const void *data, size_t size)
{
	const struct nexus_cache_part parts[] = {
		NEXUS_CACHE_P("events", 6), NEXUS_CACHE_P("1", 1),
	};
	const struct nexus_cache_key channel = NEXUS_CACHE_KEY(parts);
	struct nexus_cache *cache = NULL;
	uint64_t helpers_told = 0;

	assert_int_equal(cachestore_get(one->store, "event_bus", &cache), 0);
	assert_int_equal(nexus_cache_publish(cache, &channel, data, size, &helpers_told), 0);
	assert_int_equal(helpers_told, 1);
	cachestore_put(cache);
}

size_t message(uint8_t *buf, uint64_t origin, uint64_t first, uint32_t count, uint32_t flags)
{
	const struct share_head h = { .origin = origin, .first = first, .count = count, .flags = flags };
	struct nexus_bus_event e = {
		.type = 1, .time = 77, .zone = "z", .zone_len = 1, .path = "/n", .path_len = 2,
	};
	size_t size = SHARE_HEAD_SIZE;
	char number[24];
	uint32_t i;

	share_head_put(buf, &h);
	for (i = 0; i < count; i++) {
		e.data = number;
		e.data_len = (uint32_t)snprintf(number, sizeof(number), "%llu", (unsigned long long)(first + i));
		share_event_put(buf + size, &e);
		size += share_event_size(&e);
	}
	return size;
}

void forge_message(uint64_t origin, uint64_t first, uint32_t count, uint32_t flags)
{
	uint8_t buf[4096];

	forge(buf, message(buf, origin, first, count, flags));
}

void expect_number(struct helper *h, uint64_t origin, const char *number)
{
	const struct nexus_bus_event *e = next(h);

	assert_int_equal(e->kind, NEXUS_EVENT_IS);
	assert_int_equal(e->origin, origin);
	assert_int_equal(e->time, 77);
	assert_int_equal(e->data_len, strlen(number));
	assert_memory_equal(e->data, number, strlen(number));
}

int share_main(int argc, char **argv, const struct CMUnitTest *tests, size_t n)
{
	int failed;

	world_main(argc, argv);
	if (!redis_server_make())
		return 1;
	failed = _cmocka_run_group_tests("shared", tests, n, NULL, NULL);
	redis_server_remove();
	return failed;
}
