// SPDX-License-Identifier: Apache-2.0
/*
 * Two helpers with the service as it is installed, on one PostgreSQL server, that share its
 * answers through a Redis server: what one revokes the other denies, whether that server is
 * there, is lost, or is back.
 */
#include "service-world.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include <nexus/services/permissions.h>

#include "cachestore.h"
#include "lib/port.h"
#include "pg-server.h"
#include "recordstore.h"
#include "redis-server.h"

#define LONG_MS		600000u
#define PATIENCE_MS	60000	/* of a test that would hang otherwise */

struct helper {
	struct recordstore *records;
	struct cachestore *cache;
	struct registry *reg;
	struct nexus_ref *perm;
};

static struct helper helpers[2];
#define one	(&helpers[0])
#define two	(&helpers[1])

static char services_dir[160], drivers_dir[160];
static uint64_t share = 1;

static int setting(const void *arg, const char *key, uint64_t *value)
{
	(void)arg;
	if (strcmp(key, "permissions_share"))
		return -ENOENT;
	*value = share;
	return 0;
}

static void begin(struct helper *h, const char *driver)
{
	const char *name[] = { "permissions" };
	const struct recordstore_opts records = {
		.driver = "postgres", .at = pg_server_at(), .dir = drivers_dir, .owner = geteuid(),
		.connections = 6, .busy_ms = LONG_MS, .reply_ms = LONG_MS,
	};
	const struct cachestore_opts cache = {
		.driver = driver, .at = redis_server_at(), .dir = drivers_dir, .owner = geteuid(),
		.bytes = 4u << 20, .entries = 1000, .reply_ms = LONG_MS, .retry_ms = 5,
	};
	const struct service_caller me = { 7, 77 };
	struct registry_opts opts = {
		.dir = services_dir, .owner = geteuid(), .timeout_ms = LONG_MS, .quarantine = true,
		.setting = setting,
	};

	h->records = recordstore_new(&records);
	h->cache = cachestore_new(&cache);
	assert_true(h->records && h->cache);
	opts.records = h->records;
	opts.cache = h->cache;
	h->reg = registry_new(&opts);
	assert_non_null(h->reg);
	if (service_load(h->reg, name, 1, &me, &reg_err))
		fail_msg("%s", reg_err.msg);
	assert_int_equal(service_get(h->reg, "the test", NEXUS_PERMISSIONS, 4, &h->perm), 0);
}

static void end(struct helper *h)
{
	if (!h->reg)
		return;
	service_put(h->perm);
	registry_end(h->reg);
	assert_true(registry_free(h->reg));
	recordstore_free(h->records);
	cachestore_free(h->cache);
	memset(h, 0, sizeof(*h));
}

static void install(const char *from, const char *to)
{
	char command[512];

	snprintf(command, sizeof(command), "install -m 644 %s %s/%s", from, drivers_dir, to);
	assert_int_equal(system(command), 0);
}

static bool servers;

static int setup(void **state)
{
	world_setup(state);
	snprintf(services_dir, sizeof(services_dir), "%s/services", test_dir);
	snprintf(drivers_dir, sizeof(drivers_dir), "%s/drivers", test_dir);
	assert_int_equal(mkdir(drivers_dir, 0755), 0);
	install(POSTGRES, "postgres.so");
	install(REDIS, "redis.so");
	put_file(SERVICES "/permissions/permissions.so", "permissions");
	share = 1;
	if (servers)
		pg_server_do("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
	return 0;
}

static int teardown(void **state)
{
	end(one);
	end(two);
	assert_int_equal(mapped(), 0);
	return world_teardown(state);
}

/* ---- calls ------------------------------------------------------------------ */

#define call(h, op, args) \
	({ \
		int call_ret; \
		do \
			call_ret = service_call((h)->perm, struct nexus_permissions_ops, op, args, 0); \
		while (call_ret == -EAGAIN); \
		call_ret; \
	})

static char *keep(void *args, const char *text)
{
	char *p = service_args_more(args, strlen(text) + 1);

	assert_non_null(p);
	return strcpy(p, text);
}

static void set_policy(struct helper *h)
{
	static const char text[] =
		"types:\n"
		"  user:\n"
		"  group:\n"
		"    relations: { member: { this: [user, group#member] } }\n"
		"  doc:\n"
		"    relations:\n"
		"      viewer: { this: [user, group#member] }\n"
		"      banned: { this: [user] }\n"
		"    permissions: { read: { exclusion: [viewer, banned] } }\n";
	struct nexus_permission_policy_args *a = service_args_new(sizeof(*a));

	a->text = keep(a, text);
	a->len = sizeof(text) - 1;
	assert_int_equal(call(h, policy_set, a), 0);
	service_args_free(a);
}

static void change(struct helper *h, uint32_t kind, const char *type, const char *id,
		   const char *relation, const char *stype, const char *sid, const char *srelation)
{
	struct nexus_permission_write_args *a = service_args_new(sizeof(*a));
	struct nexus_permission_update *u = service_args_more(a, sizeof(*u));

	u->kind = kind;
	u->tuple = (struct nexus_permission_tuple){
		keep(a, type), keep(a, id), keep(a, relation), keep(a, stype), keep(a, sid),
		srelation ? keep(a, srelation) : NULL,
	};
	a->updates = u;
	a->nupdates = 1;
	assert_int_equal(call(h, write, a), 0);
	service_args_free(a);
}

static void member(struct helper *h, bool is)
{
	change(h, is ? NEXUS_PERMISSION_PUT : NEXUS_PERMISSION_DELETE, "group", "g", "member",
	       "user", "u", NULL);
}

static bool may(struct helper *h, const char *id)
{
	struct nexus_permission_check_args *a = service_args_new(sizeof(*a));
	struct nexus_permission_tuple *t = service_args_more(a, sizeof(*t));
	bool allowed;

	*t = (struct nexus_permission_tuple){
		keep(a, "doc"), keep(a, id), keep(a, "read"), keep(a, "user"), keep(a, "u"), NULL,
	};
	a->questions = t;
	a->count = 1;
	assert_int_equal(call(h, check, a), 0);
	assert_int_equal(a->answers[0].error, 0);
	assert_int_equal(a->answers[0].why, 0);
	allowed = a->answers[0].allowed;
	service_args_free(a);
	return allowed;
}

static struct nexus_permission_sharing sharing(struct helper *h)
{
	struct nexus_permission_sharing *a = service_args_new(sizeof(*a)), s;

	assert_int_equal(call(h, sharing, a), 0);
	s = *a;
	service_args_free(a);
	return s;
}

static void until_how(uint32_t how)
{
	int i, j;

	for (i = 0; i < 2; i++) {
		for (j = 0; j < PATIENCE_MS && sharing(&helpers[i]).how != how; j++)
			poll(NULL, 0, 1);
		assert_int_equal(sharing(&helpers[i]).how, how);
	}
}

static void both_begin(const char *driver)
{
	begin(one, driver);
	begin(two, driver);
	set_policy(one);
	change(one, NEXUS_PERMISSION_PUT, "doc", "d0", "viewer", "group", "g", "member");
	change(two, NEXUS_PERMISSION_PUT, "doc", "d1", "viewer", "group", "g", "member");
}

/* ---- tests -------------------------------------------------------------------- */

/* By one, by the other, and each time the one that did not do it is asked first. */
static void revoke_often(void)
{
	int i;

	for (i = 0; i < 20; i++) {
		member(&helpers[i & 1], true);
		assert_true(may(&helpers[!(i & 1)], "d0"));
		assert_true(may(&helpers[i & 1], "d0"));
		member(&helpers[i & 1], false);
		assert_false(may(&helpers[!(i & 1)], "d0"));
		assert_false(may(&helpers[i & 1], "d0"));
	}
}

static void test_lost(void **state)
{
	struct nexus_permission_sharing s;
	int i;

	(void)state;
	if (!servers)
		skip();
	both_begin("redis");
	until_how(NEXUS_PERMISSION_SHARED);
	revoke_often();
	s = sharing(one);
	assert_true(s.hits >= 20 && s.put >= 20 && s.since > 0);
	assert_int_equal(s.refused + s.failed, 0);
	for (i = 0; i < 3; i++) {
		member(one, true);
		assert_true(may(one, "d1"));
		redis_server_kill();
		/* Whatever it notices first. */
		assert_true(may(two, "d1"));
		member(one, false);
		assert_false(may(two, "d1"));
		until_how(NEXUS_PERMISSION_CUT_OFF);
		s = sharing(two);
		revoke_often();
		assert_int_equal(sharing(two).hits, s.hits);
		assert_int_equal(sharing(two).put, s.put);
		redis_server_start();
		until_how(NEXUS_PERMISSION_SHARED);
		s = sharing(two);
		revoke_often();
		assert_true(sharing(two).hits > s.hits);
	}
}

/* The record store goes, and the answers with it; not so what there is in the cache store. */
static void test_record_store_away(void **state)
{
	struct nexus_permission_sharing s;

	(void)state;
	if (!servers)
		skip();
	both_begin("redis");
	until_how(NEXUS_PERMISSION_SHARED);
	member(one, true);
	assert_true(may(one, "d0"));
	pg_server_stop();
	pg_server_start();
	s = sharing(two);
	assert_true(may(two, "d0"));
	assert_int_equal(sharing(two).hits, s.hits + 1);
	revoke_often();
}

static void test_alone(void **state)
{
	static const char *const drivers[] = { "null", "mem", "redis" };
	int i;

	(void)state;
	if (!servers)
		skip();
	for (i = 0; i < 3; i++) {
		/* The last one could, and is not to. */
		share = i < 2;
		both_begin(drivers[i]);
		revoke_often();
		assert_int_equal(sharing(one).how, NEXUS_PERMISSION_ALONE);
		assert_int_equal(sharing(one).since, 0);
		assert_int_equal(sharing(two).put + sharing(two).hits, 0);
		end(one);
		end(two);
	}
}

/* ---- all at once ------------------------------------------------------------------ */

#define READERS		4
#define GRANTS		30

/* Even: the answer to the revocation has come; odd: the tuple may be there. */
static atomic_uint phase;
static atomic_bool over;
static atomic_uint asked, allowed, late;

static void *reader(void *arg)
{
	struct helper *h = &helpers[(uintptr_t)arg % 2];
	unsigned int i, before;
	bool yes;

	for (i = 0; !atomic_load(&over); i++) {
		before = atomic_load(&phase);
		yes = may(h, i % 2 ? "d1" : "d0");
		if (yes && before % 2 == 0 && before == atomic_load(&phase))
			atomic_fetch_add(&late, 1);
		atomic_fetch_add(&allowed, yes);
		atomic_fetch_add(&asked, 1);
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[READERS];
	unsigned int i, seen;

	(void)state;
	if (!servers)
		skip();
	both_begin("redis");
	atomic_store(&phase, 0);
	atomic_store(&over, false);
	asked = allowed = late = 0;
	for (i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, (void *)(uintptr_t)i), 0);
	for (i = 0; i < GRANTS; i++) {
		atomic_fetch_add(&phase, 1);
		member(&helpers[i % 2], true);
		if (i % 6 == 2)
			redis_server_kill();
		if (i % 6 == 5)
			redis_server_start();
		seen = atomic_load(&allowed);
		while (atomic_load(&allowed) == seen)
			sched_yield();
		member(&helpers[i / 2 % 2], false);
		atomic_fetch_add(&phase, 1);
		seen = atomic_load(&asked);
		while (atomic_load(&asked) < seen + 2 * READERS)
			sched_yield();
	}
	atomic_store(&over, true);
	for (i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&late), 0);
	until_how(NEXUS_PERMISSION_SHARED);
}

static int group_setup(void **state)
{
	(void)state;
	servers = pg_server_make() && redis_server_make();
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	if (servers) {
		redis_server_remove();
		pg_server_remove();
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_record_store_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
