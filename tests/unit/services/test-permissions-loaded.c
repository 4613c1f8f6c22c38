// SPDX-License-Identifier: Apache-2.0
/* The service permissions, loaded, with the record store that the helper has. */
#include "service-world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include <nexus/services/permissions.h>

#include "lib/port.h"
#include "recordstore.h"

static struct recordstore *store;
static char drivers[160], at[192];
static struct nexus_ref *perm;

static void get(void)
{
	assert_int_equal(service_get(reg, "the test", NEXUS_PERMISSIONS, 1, &perm), 0);
}

static void begin(bool trial)
{
	const struct recordstore_opts opts = {
		.driver = "sqlite", .at = at, .dir = drivers, .owner = geteuid(),
		.connections = 4, .busy_ms = 20000,
	};

	put_file(SERVICES "/permissions/permissions.so", "permissions");
	world_begin(trial, 0);
	registry_end(reg);
	assert_true(registry_free(reg));
	store = recordstore_new(&opts);
	assert_non_null(store);
	reg_opts.records = store;
	reg = registry_new(&reg_opts);
	assert_non_null(reg);
	assert_int_equal(load("permissions"), 0);
	get();
}

static void end(void)
{
	service_put(perm);
	perm = NULL;
	world_end();
	recordstore_free(store);
	store = NULL;
}

static int setup(void **state)
{
	char from[256], to[256];

	world_setup(state);
	snprintf(drivers, sizeof(drivers), "%s/drivers", test_dir);
	snprintf(at, sizeof(at), "%s/records", test_dir);
	assert_int_equal(mkdir(drivers, 0755), 0);
	put_file(SQLITE, "sqlite");
	object_path(from, sizeof(from), "sqlite");
	snprintf(to, sizeof(to), "%s/sqlite.so", drivers);
	assert_int_equal(rename(from, to), 0);
	return 0;
}

static int teardown(void **state)
{
	if (reg)
		end();
	return world_teardown(state);
}

/* ---- calls ------------------------------------------------------------ */

static const char policy[] =
	"types:\n"
	"  user:\n"
	"  group:\n"
	"    relations: { member: { this: [user, group#member] } }\n"
	"  doc:\n"
	"    relations: { viewer: { this: [user, group#member] } }\n"
	"    permissions: { read: [[[[[[[viewer]]]]]]] }\n";

static char *keep(void *args, const char *text)
{
	char *p = service_args_more(args, strlen(text) + 1);

	assert_non_null(p);
	return strcpy(p, text);
}

static void set_policy(void)
{
	struct nexus_permission_policy_args *a = service_args_new(sizeof(*a));

	a->text = keep(a, policy);
	a->len = sizeof(policy) - 1;
	assert_int_equal(service_call(perm, struct nexus_permissions_ops, policy_set, a, 0), 0);
	assert_true(a->token[0] != 0);
	service_args_free(a);
}

static struct nexus_permission_tuple tuple(void *args, const char *type, const char *id,
					   const char *relation, const char *stype, const char *sid,
					   const char *srelation)
{
	return (struct nexus_permission_tuple){
		keep(args, type), keep(args, id), keep(args, relation), keep(args, stype),
		keep(args, sid), srelation ? keep(args, srelation) : NULL,
	};
}

static void change(uint32_t kind, const char *type, const char *id, const char *relation,
		   const char *stype, const char *sid, const char *srelation)
{
	struct nexus_permission_write_args *a = service_args_new(sizeof(*a));
	struct nexus_permission_update *u = service_args_more(a, sizeof(*u));

	u->kind = kind;
	u->tuple = tuple(a, type, id, relation, stype, sid, srelation);
	a->updates = u;
	a->nupdates = 1;
	assert_int_equal(service_call(perm, struct nexus_permissions_ops, write, a, 0), 0);
	service_args_free(a);
}

static int check(const char *type, const char *id, const char *relation, const char *user,
		 uint32_t *why)
{
	struct nexus_permission_check_args *a = service_args_new(sizeof(*a));
	struct nexus_permission_tuple *t = service_args_more(a, sizeof(*t));
	int ret;

	*t = tuple(a, type, id, relation, "user", user, NULL);
	a->questions = t;
	a->count = 1;
	ret = service_call(perm, struct nexus_permissions_ops, check, a, 0);
	if (!ret) {
		assert_int_equal(a->answers[0].error, 0);
		if (why)
			*why = a->answers[0].why;
		ret = a->answers[0].allowed;
	}
	service_args_free(a);
	return ret;
}

/* ---- tests ------------------------------------------------------------ */

/* All of its operations, with the trial that the helper makes. */
static void test_operations(void **state)
{
	struct nexus_permission_explain_args *e;
	struct nexus_permission_expand_args *x;
	struct nexus_permission_list_args *l;
	struct nexus_permission_delete_args *d;
	struct nexus_permission_policy_args *p;
	struct nexus_permission_clean_args *c;

	(void)state;
	begin(true);
	p = service_args_new(sizeof(*p));
	assert_int_equal(service_call(perm, struct nexus_permissions_ops, policy_get, p, 0), -ENODATA);
	assert_int_equal(check("doc", "d", "read", "u", NULL), -ENODATA);
	set_policy();
	assert_int_equal(service_call(perm, struct nexus_permissions_ops, policy_get, p, 0), 0);
	assert_string_equal(p->text, policy);
	service_args_free(p);

	assert_int_equal(check("doc", "d", "read", "u", NULL), 0);
	change(NEXUS_PERMISSION_PUT, "group", "g", "member", "user", "u", NULL);
	change(NEXUS_PERMISSION_PUT, "doc", "d", "viewer", "group", "g", "member");
	assert_int_equal(check("doc", "d", "read", "u", NULL), 1);

	e = service_args_new(sizeof(*e));
	e->question = tuple(e, "doc", "d", "read", "user", "u", NULL);
	assert_int_equal(service_call(perm, struct nexus_permissions_ops, explain, e, 0), 0);
	assert_true(e->answer.allowed);
	assert_string_equal(e->lines[0], "yes: doc:d#read");
	service_args_free(e);

	x = service_args_new(sizeof(*x));
	x->object_type = keep(x, "doc");
	x->object_id = keep(x, "d");
	x->relation = keep(x, "viewer");
	assert_int_equal(service_call(perm, struct nexus_permissions_ops, expand, x, 0), 0);
	assert_int_equal(x->nbranches, 5);
	assert_string_equal(x->branches[4].id, "u");
	service_args_free(x);

	l = service_args_new(sizeof(*l));
	l->tuple = tuple(l, "doc", "", "read", "user", "u", NULL);
	assert_int_equal(service_call(perm, struct nexus_permissions_ops, list_objects, l, 0), 0);
	assert_int_equal(l->nitems, 1);
	assert_string_equal(l->items[0].id, "d");
	l->tuple = tuple(l, "doc", "d", "read", "user", "", NULL);
	assert_int_equal(service_call(perm, struct nexus_permissions_ops, list_subjects, l, 0), 0);
	assert_int_equal(l->nitems, 1);
	assert_string_equal(l->items[0].id, "u");
	service_args_free(l);

	d = service_args_new(sizeof(*d));
	d->match.object_type = keep(d, "doc");
	d->match.object_id = keep(d, "d");
	assert_int_equal(service_call(perm, struct nexus_permissions_ops, delete, d, 0), 0);
	assert_int_equal(d->deleted, 1);
	service_args_free(d);
	assert_int_equal(check("doc", "d", "read", "u", NULL), 0);

	c = service_args_new(sizeof(*c));
	assert_int_equal(service_call(perm, struct nexus_permissions_ops, clean, c, 0), 0);
	assert_int_equal(c->removed, 0);
	service_args_free(c);
}

/* What was written is there for the next build, and for the next helper. */
static void test_lasts(void **state)
{
	(void)state;
	begin(false);
	set_policy();
	change(NEXUS_PERMISSION_PUT, "doc", "d", "viewer", "user", "u", NULL);
	assert_int_equal(swap("permissions"), 0);
	assert_int_equal(check("doc", "d", "read", "u", NULL), 1);
	end();
	begin(false);
	assert_int_equal(check("doc", "d", "read", "u", NULL), 1);
	assert_int_equal(check("doc", "d", "read", "v", NULL), 0);
}

/* Without a record store it does not start. */
static void test_without_records(void **state)
{
	(void)state;
	put_file(SERVICES "/permissions/permissions.so", "permissions");
	world_begin(false, 0);
	reg_opts.records = NULL;
	assert_int_equal(load("permissions"), -EOPNOTSUPP);
	world_end();
}

/* As deep as it goes, in objects that are too large for a page: the stack of a call is enough. */
static void test_deep(void **state)
{
	char id[20], of[20];
	uint32_t i, j, why = 0;

	(void)state;
	begin(false);
	set_policy();
	for (i = 0; i < 60; i++) {
		struct nexus_permission_write_args *a = service_args_new(sizeof(*a));
		struct nexus_permission_update *u = service_args_more(a, 40 * sizeof(*u));

		snprintf(id, sizeof(id), "g%u", i);
		for (j = 0; j < 40; j++) {
			snprintf(of, sizeof(of), "g%u", j ? 1000 + j : i + 1);
			u[j].tuple = tuple(a, "group", id, "member", "group", of, "member");
		}
		a->updates = u;
		a->nupdates = 40;
		assert_int_equal(service_call(perm, struct nexus_permissions_ops, write, a, 0), 0);
		service_args_free(a);
	}
	change(NEXUS_PERMISSION_PUT, "group", "g49", "member", "user", "u", NULL);
	change(NEXUS_PERMISSION_PUT, "group", "g55", "member", "user", "v", NULL);
	assert_int_equal(check("group", "g0", "member", "u", &why), 1);
	assert_int_equal(check("group", "g0", "member", "v", &why), 0);
	assert_int_equal(why, NEXUS_PERMISSION_DEPTH);
	for (i = 0; i < 2; i++) {
		struct nexus_permission_expand_args *x = service_args_new(sizeof(*x));

		x->object_type = keep(x, "group");
		x->object_id = keep(x, "g0");
		x->relation = keep(x, "member");
		assert_int_equal(service_call(perm, struct nexus_permissions_ops, expand, x, 0), 0);
		assert_true(x->why != 0);
		service_args_free(x);
	}
}

/* ---- calls, a swap in between, and what a revocation means then -------- */

#define CALLERS	3

static atomic_uint phase, late, asked, failed;
static atomic_bool over;

static void *caller(void *arg)
{
	(void)arg;
	while (!atomic_load(&over)) {
		uint32_t before = atomic_load(&phase), after;
		int ret = check("doc", "d", "read", "u", NULL);

		after = atomic_load(&phase);
		atomic_fetch_add(&asked, 1);
		if (ret < 0 && ret != -EAGAIN)
			atomic_fetch_add(&failed, 1);
		else if (ret == 1 && before == after && before % 2 == 0)
			atomic_fetch_add(&late, 1);
	}
	return NULL;
}

static void test_swap_under_calls(void **state)
{
	pthread_t threads[CALLERS];
	uint32_t i, seen;

	(void)state;
	begin(false);
	set_policy();
	for (i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, caller, NULL), 0);
	for (i = 0; i < 20; i++) {
		atomic_fetch_add(&phase, 1);
		change(NEXUS_PERMISSION_PUT, "doc", "d", "viewer", "user", "u", NULL);
		assert_int_equal(swap("permissions"), 0);
		change(NEXUS_PERMISSION_DELETE, "doc", "d", "viewer", "user", "u", NULL);
		atomic_fetch_add(&phase, 1);
		seen = atomic_load(&asked);
		while (atomic_load(&asked) < seen + CALLERS)
			sched_yield();
	}
	atomic_store(&over, true);
	for (i = 0; i < CALLERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&late), 0);
	assert_int_equal(atomic_load(&failed), 0);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_operations), T(test_lasts), T(test_without_records), T(test_deep),
		T(test_swap_under_calls),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
