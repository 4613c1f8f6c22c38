// SPDX-License-Identifier: Apache-2.0
/* The service namespace, loaded behind permissions, called by others and over the control socket. */
#include "records-rpc.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include <nexus/services/namespace.h>

#define NAMES		"nexus.namespace.v1.Namespace"
#define PERMISSIONS	"nexus.permissions.v1.Permissions"
#define M(name)		Nexus__Namespace__V1__##name
#define P(name)		Nexus__Permissions__V1__##name
#define WHY(name)	NEXUS__NAMESPACE__V1__WHY__WHY_##name

static char policy[] =
	"types:\n"
	"  user:\n"
	"  file:\n"
	"    relations: { viewer: { this: [user] } }\n"
	"    permissions: { read: [viewer] }\n";

static void begin_both(const char *group)
{
	P(SetPolicyRequest) req = NEXUS__PERMISSIONS__V1__SET_POLICY_REQUEST__INIT;

	records_begin("permissions", group);
	put_file(SERVICES "/namespace/namespace.so", "namespace");
	assert_int_equal(load("namespace"), 0);
	req.text = policy;
	release(ask_ok(PERMISSIONS, "SetPolicy", &req.base,
		       &nexus__permissions__v1__set_policy_response__descriptor));
}

/* file:main:PATH#viewer@user:ID is there from now on, or not. */
static void grant(const char *path, const char *user, bool there)
{
	static char file[] = "file", viewer[] = "viewer", type[] = "user";
	P(WriteRequest) req = NEXUS__PERMISSIONS__V1__WRITE_REQUEST__INIT;
	P(Update) update = NEXUS__PERMISSIONS__V1__UPDATE__INIT, *updates = &update;
	P(Tuple) tuple = NEXUS__PERMISSIONS__V1__TUPLE__INIT;
	char id[128];

	snprintf(id, sizeof(id), "main:%s", path);
	tuple.object_type = file;
	tuple.object_id = id;
	tuple.relation = viewer;
	tuple.subject_type = type;
	tuple.subject_id = (char *)user;
	update.tuple = &tuple;
	update.kind = there ? NEXUS__PERMISSIONS__V1__UPDATE_KIND__UPDATE_KIND_PUT :
			      NEXUS__PERMISSIONS__V1__UPDATE_KIND__UPDATE_KIND_DELETE;
	req.updates = &updates;
	req.n_updates = 1;
	release(ask_ok(PERMISSIONS, "Write", &req.base,
		       &nexus__permissions__v1__write_response__descriptor));
}

static M(VisibleRequest) question(const char *subject, const char *path)
{
	M(VisibleRequest) req = NEXUS__NAMESPACE__V1__VISIBLE_REQUEST__INIT;

	req.subject = (char *)subject;
	req.zone = (char *)"main";
	req.path = (char *)path;
	return req;
}

static M(ListRequest) list_of(const char *subject, uint32_t max, const char *after)
{
	M(ListRequest) req = NEXUS__NAMESPACE__V1__LIST_REQUEST__INIT;

	req.subject = (char *)subject;
	req.max = max;
	req.after = (char *)after;
	return req;
}

static M(FilterRequest) filter_of(const char *subject, char **paths, size_t n)
{
	M(FilterRequest) req = NEXUS__NAMESPACE__V1__FILTER_REQUEST__INIT;

	req.subject = (char *)subject;
	req.zone = (char *)"main";
	req.paths = paths;
	req.n_paths = n;
	return req;
}

static void sees(const char *subject, const char *path, M(Why) why)
{
	M(VisibleRequest) req = question(subject, path);
	M(VisibleResponse) *resp = ask_ok(NAMES, "Visible", &req.base,
					  &nexus__namespace__v1__visible_response__descriptor);
	bool seen = why != WHY(NO_GRANT) && why != WHY(ADMIN_ONLY);

	if (resp->answer->why != why || resp->answer->visible != seen ||
	    resp->answer->error != (seen ? 0 : ENOENT))
		fail_msg("%s %s: why %d, visible %d, error %u", subject, path, resp->answer->why,
			 resp->answer->visible, resp->answer->error);
	release(resp);
}

/* ---- tests ------------------------------------------------------------------------ */

static void test_methods(void **state)
{
	char *paths[] = { (char *)"/a/b", (char *)"/a", (char *)"/c", (char *)"c" };
	M(StateRequest) st = NEXUS__NAMESPACE__V1__STATE_REQUEST__INIT;
	M(VisibleRequest) one = question("user:7", "/a/b/c");
	M(FilterRequest) many = filter_of("user:7", paths, 4);
	M(ListRequest) list = list_of("user:7", 1, "");
	M(StateResponse) *numbers;
	M(VisibleResponse) *v;
	M(ExplainResponse) *e;
	M(FilterResponse) *f;
	M(ListResponse) *l;

	(void)state;
	begin_both(NULL);
	grant("/a/b", "7", true);
	grant("/z", "7", true);
	v = ask_ok(NAMES, "Visible", &one.base, &nexus__namespace__v1__visible_response__descriptor);
	assert_true(v->answer->visible && v->answer->why == WHY(GRANT));
	assert_string_equal(v->answer->entry, "main:/a/b");
	assert_true(v->basis->generation && v->basis->token[0] && !v->basis->n_unknown);
	assert_true(v->basis->valid_until_ms == INT64_MAX);
	e = ask_ok(NAMES, "Explain", &one.base, &nexus__namespace__v1__explain_response__descriptor);
	assert_true(e->answer->visible && e->n_lines == 3);
	assert_string_equal(e->lines[1], "by file:main:/a/b#read@user:7");
	assert_true(e->basis->generation == v->basis->generation);
	release(e);
	release(v);
	f = ask_ok(NAMES, "Filter", &many.base, &nexus__namespace__v1__filter_response__descriptor);
	assert_int_equal(f->n_answers, 4);
	assert_int_equal(f->answers[0]->why, WHY(GRANT));
	assert_int_equal(f->answers[1]->why, WHY(WAY));
	assert_int_equal(f->answers[2]->error, ENOENT);
	assert_int_equal(f->answers[3]->error, EINVAL);
	release(f);
	l = ask_ok(NAMES, "List", &list.base, &nexus__namespace__v1__list_response__descriptor);
	assert_true(l->n_entries == 1 && l->more && !l->all);
	assert_string_equal(l->entries[0], "main:/a/b");
	release(l);
	list = list_of("user:7", 0, "main:/a/b");
	l = ask_ok(NAMES, "List", &list.base, &nexus__namespace__v1__list_response__descriptor);
	assert_true(l->n_entries == 1 && !l->more);
	assert_string_equal(l->entries[0], "main:/z");
	release(l);
	numbers = ask_ok(NAMES, "State", &st.base, &nexus__namespace__v1__state_response__descriptor);
	assert_true(numbers->subjects == 1 && numbers->entries == 2 && numbers->built == 1 &&
		    numbers->hits == 4 && numbers->limit == 16u << 20);
	release(numbers);
	/* Who asks, and is an administrator, sees everything; who is asked for does not. */
	if (!geteuid()) {
		sees("", "/system/x", WHY(ADMIN));
		sees("user:0", "/system/x", WHY(ADMIN));
	}
	sees("user:7", "/system/x", WHY(ADMIN_ONLY));
	grant("/a/b", "7", false);
	sees("user:7", "/a/b", WHY(NO_GRANT));
	records_end();
}

static void test_bad(void **state)
{
	static char text[5000];
	static char *paths[1001];
	M(ListRequest) list = list_of("user:7", 1001, "");
	M(FilterRequest) none = filter_of("user:7", paths, 0), many = filter_of("user:7", paths, 1001);
	M(VisibleRequest) req = question("nobody", "/a");
	M(Read) read = NEXUS__NAMESPACE__V1__READ__INIT;
	P(SetPolicyRequest) bare = NEXUS__PERMISSIONS__V1__SET_POLICY_REQUEST__INIT;
	size_t i;

	(void)state;
	begin_both(NULL);
	ask_fails(NAMES, "Visible", &req.base, EINVAL, "");
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "user:", 5);
	req.subject = text;
	ask_fails(NAMES, "Visible", &req.base, EINVAL, "");
	req = question("user:7", "/a");
	read.freshness = NEXUS__NAMESPACE__V1__FRESHNESS__FRESHNESS_AT_LEAST;
	read.token = (char *)"nonsense";
	req.read = &read;
	ask_fails(NAMES, "Visible", &req.base, EINVAL, "");
	read.token = text;
	ask_fails(NAMES, "Visible", &req.base, EINVAL, "");
	for (i = 0; i < 1001; i++)
		paths[i] = (char *)"/a";
	ask_fails(NAMES, "Filter", &none.base, EINVAL, "");
	ask_fails(NAMES, "Filter", &many.base, EMSGSIZE, "");
	ask_fails(NAMES, "List", &list.base, EMSGSIZE, "");
	list = list_of("user:7", 0, "no entry");
	ask_fails(NAMES, "List", &list.base, EINVAL, "");
	bare.text = (char *)"types:\n  user:\n";
	release(ask_ok(PERMISSIONS, "SetPolicy", &bare.base,
		       &nexus__permissions__v1__set_policy_response__descriptor));
	req = question("user:7", "/a");
	ask_fails(NAMES, "Visible", &req.base, ENODATA, "no policy with a relation read");
	records_end();
}

/* It needs the permissions, and holds them. */
static void test_needs(void **state)
{
	const char *both[] = { "namespace", "permissions" };
	M(VisibleRequest) req = question("user:7", "/a");

	(void)state;
	records_begin("permissions", NULL);
	put_file(SERVICES "/namespace/namespace.so", "namespace");
	assert_int_equal(unload("permissions"), 0);
	assert_int_equal(load("namespace"), -ENOENT);
	assert_said("nexus.permissions");
	assert_int_equal(load_all(both, 2), 0);
	assert_int_equal(unload("permissions"), -EBUSY);
	assert_said("namespace");
	assert_int_equal(unload("namespace"), 0);
	assert_int_equal(unload("permissions"), 0);
	refused(NAMES, "Visible", &req.base, RPC_UNIMPLEMENTED, "");
	records_end();
}

/* ---- swaps ------------------------------------------------------------------------- */

#define CALLERS	3

static atomic_uint phase, asked, late, failed;
static atomic_bool over;

/* As another service would: by its own reference. */
static void *caller(void *arg)
{
	struct nexus_namespace_visible_args *a;
	struct nexus_ref *ref = arg;
	uint32_t before;
	int ret;

	while (!atomic_load(&over)) {
		a = service_args_new(sizeof(*a));
		a->who.subject = "user:7";
		a->zone = "main";
		a->path = "/a";
		before = atomic_load(&phase);
		ret = service_call(ref, struct nexus_namespace_ops, visible, a, 0);
		if (ret && ret != -EAGAIN)
			atomic_fetch_add(&failed, 1);
		else if (!ret && a->answer.visible && before % 2 == 0 && before == atomic_load(&phase))
			atomic_fetch_add(&late, 1);
		service_args_free(a);
		atomic_fetch_add(&asked, 1);
	}
	return NULL;
}

static void await_callers(void)
{
	uint32_t seen = atomic_load(&asked);

	while (atomic_load(&asked) < seen + CALLERS)
		sched_yield();
}

static void test_swap(void **state)
{
	pthread_t threads[CALLERS];
	struct nexus_ref *ref;
	uint32_t i;

	(void)state;
	begin_both(NULL);
	assert_int_equal(service_get(reg, "the test", NEXUS_NAMESPACE, 1, &ref), 0);
	for (i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, caller, ref), 0);
	for (i = 0; i < 10; i++) {
		atomic_fetch_add(&phase, 1);
		grant("/a", "7", true);
		await_callers();
		sees("user:7", "/a", WHY(GRANT));
		assert_int_equal(swap(i % 2 ? "namespace" : "permissions"), 0);
		sees("user:7", "/a", WHY(GRANT));
		grant("/a", "7", false);
		atomic_fetch_add(&phase, 1);
		await_callers();
		assert_int_equal(swap(i % 2 ? "permissions" : "namespace"), 0);
		sees("user:7", "/a", WHY(NO_GRANT));
	}
	atomic_store(&over, true);
	for (i = 0; i < CALLERS; i++)
		pthread_join(threads[i], NULL);
	service_put(ref);
	assert_int_equal(atomic_load(&late), 0);
	assert_int_equal(atomic_load(&failed), 0);
	records_end();
}

/* ---- who ---------------------------------------------------------------------------- */

static void test_who(void **state)
{
	char *paths[] = { (char *)"/a" };
	M(StateRequest) st = NEXUS__NAMESPACE__V1__STATE_REQUEST__INIT;
	M(VisibleRequest) own = question("", "/a"), named = question("user:4711", "/a");
	M(VisibleRequest) other = question("user:1", "/a"), root = question("user:0", "/a");
	M(FilterRequest) fown = filter_of("", paths, 1), fother = filter_of("user:1", paths, 1);
	M(ListRequest) lown = list_of("", 0, ""), lother = list_of("user:0", 0, "");
	const struct who_may may[] = {
		{ NAMES, "Visible", "rgo", &own.base, false },
		{ NAMES, "Visible", "rgo", &named.base, false },
		{ NAMES, "Visible", "rg-", &other.base, false },
		{ NAMES, "Visible", "rg-", &root.base, false },
		{ NAMES, "Filter", "rgo", &fown.base, false },
		{ NAMES, "Filter", "rg-", &fother.base, false },
		{ NAMES, "List", "rgo", &lown.base, false },
		{ NAMES, "List", "rg-", &lother.base, false },
		{ NAMES, "Explain", "rg-", &own.base, false },
		{ NAMES, "Explain", "rg-", &named.base, false },
		{ NAMES, "State", "rg-", &st.base, false },
	};
	char name[WHO_GROUP];

	(void)state;
	who_group(name);
	who_begin(may, sizeof(may) / sizeof(may[0]));
	begin_both(name);
	assert_int_equal(chmod(h->path, 0666), 0);
	assert_who();
	records_end();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		/* The first: it forks. */
		TEST_IN_WORLD(test_who),
		TEST_IN_WORLD(test_methods),
		TEST_IN_WORLD(test_bad),
		TEST_IN_WORLD(test_needs),
		TEST_IN_WORLD(test_swap),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
