// SPDX-License-Identifier: Apache-2.0
/*
 * What services see of the record store, and what becomes of its driver.  Built for
 * each: DRIVER is its name, OBJECT its file; with PG_SERVER it needs one.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include <nexus/services/echo.h>

#include "recordstore.h"
#include "service-world.h"

#ifdef PG_SERVER
#include "../drivers/pg-server.h"
#endif

static struct recordstore *store;
static char drivers[160], at[192];

static int setup(void **state)
{
	world_setup(state);
	snprintf(drivers, sizeof(drivers), "%s/drivers", test_dir);
	snprintf(at, sizeof(at), "%s/at", test_dir);
	assert_int_equal(mkdir(drivers, 0755), 0);
	return 0;
}

/* With the driver that is installed, and nothing in the store. */
static int setup_store(void **state)
{
	setup(state);
#ifdef PG_SERVER
	snprintf(at, sizeof(at), "%s", pg_server_at());
	pg_server_do("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
#endif
	return 0;
}

static void driver_path(char *path, size_t room, const char *name)
{
	snprintf(path, room, "%s/%s.so", drivers, name);
}

/* Into the folder of drivers, by way of the one of services. */
static void put_driver(const char *from, const char *name)
{
	char here[256], there[256];

	put_file(from, name);
	object_path(here, sizeof(here), name);
	driver_path(there, sizeof(there), name);
	assert_int_equal(rename(here, there), 0);
}

static void begin(const char *driver, bool trial)
{
	const struct recordstore_opts opts = {
		.driver = driver, .at = at, .dir = drivers, .owner = geteuid(),
		.connections = 4, .busy_ms = 20000, .reply_ms = 600000,
	};

	world_begin(trial, 0);
	registry_end(reg);
	assert_true(registry_free(reg));
	store = recordstore_new(&opts);
	assert_non_null(store);
	reg_opts.records = store;
	reg = registry_new(&reg_opts);
	assert_non_null(reg);
	put_object("records", "records");
	put_object("records2", "records2");
}

static int teardown(void **state)
{
	if (reg)
		world_end();
	recordstore_free(store);
	store = NULL;
	return world_teardown(state);
}

static enum recordstore_state how(char *error)
{
	struct recordstore_info info;

	recordstore_info(store, &info);
	if (error)
		memcpy(error, info.error, sizeof(info.error));
	return info.state;
}

static bool driver_mapped(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	bool found = false;
	char line[1024];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		found = found || strstr(line, "nexus-recordstore-" DRIVER);
	fclose(f);
	return found;
}

static void assert_answer(const char *protocol, const char *text, const char *expected)
{
	char answer[NEXUS_ECHO_MAX];

	assert_int_equal(ask(protocol, text, answer), 0);
	assert_string_equal(answer, expected);
}

/* First of all, while nothing else has mapped it. */
static void test_lazy(void **state)
{
	(void)state;
	put_driver(OBJECT, DRIVER);
	begin(DRIVER, true);
	put_object("echo-1", "echo");
	assert_int_equal(load("echo"), 0);
	assert_int_equal(how(NULL), RECORDSTORE_UNUSED);
	assert_false(driver_mapped());
	assert_int_equal(load("records"), 0);
	assert_int_equal(how(NULL), RECORDSTORE_OPEN);
	assert_true(driver_mapped());
}

static void test_rows(void **state)
{
	char answer[NEXUS_ECHO_MAX];

	(void)state;
	put_driver(OBJECT, DRIVER);
	begin(DRIVER, false);
	assert_int_equal(load("records"), 0);
	assert_answer("test.records", "count", "1");
	assert_int_equal(ask("test.records", "again", NULL), 0);
	assert_int_equal(ask("test.records", "begin", NULL), 0);
	assert_int_equal(unload("records"), 0);
	assert_int_equal(load("records"), 0);
	assert_int_equal(swap("records"), 0);
	assert_answer("test.records", "count", "3");
	/* Another service has a handle of its own, and the same store. */
	assert_int_equal(load("records2"), 0);
	assert_answer("test.records2", "count", "4");
	assert_answer("test.records", "count", "4");
	assert_int_equal(ask("test.records", "records2", answer), -EPERM);
	assert_int_equal(ask("test.records", "records", NULL), 0);
	assert_int_equal(ask("test.records2", "records", NULL), -EPERM);
	/* A helper that begins again finds it all. */
	world_end();
	recordstore_free(store);
	begin(DRIVER, false);
	assert_int_equal(load("records"), 0);
	assert_answer("test.records", "count", "5");
	/* An error of the service's own says nothing of the store. */
	assert_int_equal(ask("test.records", "own error", NULL), -EIO);
	assert_int_equal(how(answer), RECORDSTORE_OPEN);
	assert_string_equal(answer, "");
}

/* The example in the documentation. */
static void test_example(void **state)
{
	(void)state;
	put_driver(OBJECT, DRIVER);
	begin(DRIVER, true);
	put_object("visits", "visits");
	assert_int_equal(load("visits"), 0);
	assert_answer("example.visits", "a", "1");
	assert_answer("example.visits", "a", "2");
	assert_answer("example.visits", "b", "1");
	assert_int_equal(ask("example.visits", "\xff", NULL), -EINVAL);
	assert_int_equal(swap("visits"), 0);
	assert_answer("example.visits", "a", "3");
}

static void test_none(void **state)
{
	(void)state;
	world_begin(false, 0);
	put_object("records", "records");
	assert_int_equal(load("records"), -EOPNOTSUPP);
}

static void test_driver(void **state)
{
	char path[256], other[256], error[NEXUS_RECORD_FAULT_MAX];

	(void)state;
	begin("test", false);
	driver_path(path, sizeof(path), "test");
	assert_int_equal(load("records"), -ENOENT);
	assert_int_equal(how(error), RECORDSTORE_FAILED);
	assert_non_null(strstr(error, "there is no recordstore driver test"));

	put_driver(OBJECTS "/service-drv-test.so", "other");
	driver_path(other, sizeof(other), "other");
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(load("records"), -EACCES);
	unlink(path);

	put_driver(OBJECTS "/service-echo-1.so", "test");
	assert_int_equal(load("records"), -ENOEXEC);
	/* Also to whoever has no access to the log. */
	assert_said("is no recordstore driver");
	how(error);
	assert_non_null(strstr(error, "is no recordstore driver"));
	put_driver(OBJECTS "/service-drv-abi.so", "test");
	assert_int_equal(load("records"), -EPROTO);
	how(error);
	assert_non_null(strstr(error, "ABI version"));

	put_driver(OBJECTS "/service-drv-test.so", "test");
	assert_int_equal(chmod(path, 0664), 0);
	assert_int_equal(load("records"), -EACCES);
	how(error);
	assert_non_null(strstr(error, "its group"));
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chmod(drivers, 0777), 0);
	assert_int_equal(load("records"), -EACCES);
	assert_int_equal(chmod(drivers, 0755), 0);
	assert_int_equal(load("records"), 0);
	assert_int_equal(how(NULL), RECORDSTORE_OPEN);
}

/* A server that is away, comes, goes and comes again. */
static void test_away(void **state)
{
	char error[NEXUS_RECORD_FAULT_MAX];
	int fd;

	(void)state;
	put_driver(OBJECTS "/service-drv-test.so", "test");
	begin("test", false);
	fd = open(at, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(load("records"), -ENOTCONN);
	assert_int_equal(how(error), RECORDSTORE_FAILED);
	assert_string_equal(error, "nobody answers");
	assert_int_equal(unlink(at), 0);
	assert_int_equal(load("records"), 0);
	assert_int_equal(how(error), RECORDSTORE_OPEN);
	/* What was last wrong stays to be read. */
	assert_string_equal(error, "nobody answers");

	fd = open(at, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(ask("test.records", "begin", NULL), -ENOTCONN);
	assert_int_equal(how(NULL), RECORDSTORE_FAILED);
	assert_int_equal(unlink(at), 0);
	assert_int_equal(ask("test.records", "begin", NULL), 0);
	assert_int_equal(how(NULL), RECORDSTORE_OPEN);
}

static void *ask_again(void *arg)
{
	intptr_t bad = 0;
	int i;

	(void)arg;
	for (i = 0; i < 50; i++) {
		bad += ask("test.records", "again", NULL) != 0;
		bad += ask("test.records", "count", NULL) != 0;
	}
	return (void *)bad;
}

static void test_threads(void **state)
{
	pthread_t thread[6];
	void *bad;
	size_t i;

	(void)state;
	put_driver(OBJECT, DRIVER);
	begin(DRIVER, false);
	assert_int_equal(load("records"), 0);
	for (i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, ask_again, NULL), 0);
	for (i = 0; i < 5; i++)
		assert_int_equal(swap("records"), 0);
	for (i = 0; i < 6; i++) {
		pthread_join(thread[i], &bad);
		assert_null(bad);
	}
}

#ifdef PG_SERVER
/* The service lives on while the server does not, and is told. */
static void test_restart(void **state)
{
	char error[NEXUS_RECORD_FAULT_MAX];

	(void)state;
	put_driver(OBJECT, DRIVER);
	begin(DRIVER, false);
	assert_int_equal(load("records"), 0);
	pg_server_stop();
	assert_int_equal(ask("test.records", "count", NULL), -ENOTCONN);
	assert_int_equal(how(error), RECORDSTORE_FAILED);
	assert_true(error[0] != '\0');
	/* One that begins without it is not loaded. */
	assert_int_equal(load("records2"), -ENOTCONN);
	pg_server_start();
	assert_answer("test.records", "count", "1");
	assert_int_equal(how(NULL), RECORDSTORE_OPEN);
	assert_int_equal(load("records2"), 0);
	assert_answer("test.records", "count", "2");
}
#endif

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lazy, setup_store, teardown),
		cmocka_unit_test_setup_teardown(test_rows, setup_store, teardown),
		cmocka_unit_test_setup_teardown(test_example, setup_store, teardown),
		cmocka_unit_test_setup_teardown(test_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_driver, setup, teardown),
		cmocka_unit_test_setup_teardown(test_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup_store, teardown),
#ifdef PG_SERVER
		cmocka_unit_test_setup_teardown(test_restart, setup_store, teardown),
#endif
	};
	int failed;

	world_main(argc, argv);
#ifdef PG_SERVER
	if (!pg_server_make())
		return 1;
#endif
	failed = cmocka_run_group_tests(tests, NULL, NULL);
#ifdef PG_SERVER
	pg_server_remove();
#endif
	return failed;
}
