// SPDX-License-Identifier: Apache-2.0
/* Settings: every kind, where they come from, and what errors say. */
#include <limits.h>

#include "content.h"
#include "util.h"

static char path[200];

static int write_and_load(struct config *cfg, struct errline *err, const char *text)
{
	FILE *f;

	snprintf(path, sizeof(path), "%s/nexusd.yaml", test_dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	config_defaults(cfg);
	err->msg[0] = '\0';
	return config_file(cfg, path, err);
}

static void refused(const char *text, const char *line, const char *words)
{
	struct errline err;
	struct config cfg;
	char want[300];

	snprintf(want, sizeof(want), "%s:%s", path, line);
	assert_int_equal(write_and_load(&cfg, &err, text), -EINVAL);
	if (strncmp(err.msg, want, strlen(want)) || !strstr(err.msg, words))
		print_message("\"%s\": wanted \"%s\" and \"%s\"\n", err.msg, want, words);
	assert_memory_equal(err.msg, want, strlen(want));
	assert_non_null(strstr(err.msg, words));
}

static void test_good(void **state)
{
	struct errline err;
	struct config cfg;

	(void)state;
	assert_int_equal(write_and_load(&cfg, &err,
		"# comment\n"
		"session: tests\n"
		"data_dir: \"/srv/nexus\"\n"
		"metastore: mem\n"
		"log_level: debug\n"
		"queues: 3\n"
		"poll_us: 50\n"
		"fold_size: 1M\n"
		"segment_size: 4194304\n"
		"pack_size: 1G\n"
		"allow_any_host: yes\n"), 0);
	assert_string_equal(cfg.session, "tests");
	assert_string_equal(cfg.data_dir, "/srv/nexus");
	assert_ptr_equal(cfg.metastore, &nexus_ms_mem);
	assert_int_equal(cfg.log_level, LOG_L_DEBUG);
	assert_int_equal(cfg.queues, 3);
	assert_int_equal(cfg.poll_us, 50);
	assert_int_equal(cfg.fold_size, 1 << 20);
	assert_int_equal(cfg.segment_size, 4194304);
	assert_int_equal(cfg.pack_size, 1 << 30);
	assert_true(cfg.allow_any_host);
	assert_int_equal(config_check(&cfg, &err), 0);
	assert_int_equal(write_and_load(&cfg, &err, ""), 0);
	assert_int_equal(write_and_load(&cfg, &err, "# nothing but this\n"), 0);
	assert_int_equal(write_and_load(&cfg, &err, "---\nsession: tests\n...\n# end\n"), 0);
}

static void test_bad(void **state)
{
	struct errline err;
	struct config cfg;

	(void)state;
	write_and_load(&cfg, &err, "");
	refused("session: a\nbogus: 1\n", "2: ", "no setting \"bogus\"");
	refused("\n\nmetastore: oracle\n", "3: ", "lmdb, mem");
	refused("objectstore: tape\n", "1: ", "localdisk, mem");
	refused("log_level: loud\n", "1: ", "error, warning, info or debug");
	refused("queues: many\n", "1: ", "number");
	refused("queues: 65\n", "1: ", "0 to 64");
	refused("queues: -1\n", "1: ", "number");
	refused("fold_age: 5s\n", "1: ", "number");
	refused("pack_size: 1X\n", "1: ", "number");
	refused("pack_size: 1\n", "1: ", "number");
	refused("pack_size: 99999999999999999999\n", "1: ", "number");
	refused("allow_any_host: maybe\n", "1: ", "true or false");
	refused("session: \"\"\n", "1: ", "characters");
	refused("session: a\nsession: b\n", "2: ", "twice");
	refused("\nsession: a/b\n", "2: ", "session is \"a/b\"");
	refused("\ndata_dir: relative\n", "2: ", "begin with /");
	refused("\ncontent: tape\n", "2: ", "test:/DIRECTORY");
	refused("\nsegment_size: 4194305\n", "2: ", "multiple of 4096");
	refused("\npack_size: 4194305\n", "2: ", "multiple of 4096");
	refused("session: [a, b]\n", "1: ", "one value");
	refused("bogus: [a, b]\n", "1: ", "no setting \"bogus\"");
	refused("- a\n- b\n", "1: ", "name: value");
	refused("session: a\n  indented: b\n", "2: ", "");
	refused("session: \"open\n", "", "");
	refused("session: a\n---\nbogus: 1\n", "2: ", "one document");
	refused("---\nsession: a\n...\n---\n", "4: ", "one document");
	refused("session: a\n--- \"open\n", "", "");
	refused("session: \"a\\0b\"\n", "1: ", "NUL");
	refused("\"session\\0b\": a\n", "1: ", "NUL");
}

static void test_missing_file(void **state)
{
	struct errline err = { "" };
	struct config cfg;

	(void)state;
	config_defaults(&cfg);
	assert_int_equal(config_file(&cfg, "/nonexistent/nexusd.yaml", &err), -ENOENT);
	assert_string_equal(err.msg, "");
	assert_int_equal(config_file(&cfg, "/", &err), -EINVAL);
}

static void test_environment(void **state)
{
	struct errline err = { "" };
	struct config cfg;

	(void)state;
	config_defaults(&cfg);
	setenv("NEXUS_METASTORE", "mem", 1);
	setenv("NEXUS_DATA_DIR", "/tmp/x", 1);
	assert_int_equal(config_env(&cfg, &err), 0);
	assert_ptr_equal(cfg.metastore, &nexus_ms_mem);
	assert_string_equal(cfg.data_dir, "/tmp/x");
	setenv("NEXUS_FOLD_AGE", "never", 1);
	assert_int_equal(config_env(&cfg, &err), -EINVAL);
	assert_memory_equal(err.msg, "NEXUS_FOLD_AGE: ", 16);
	unsetenv("NEXUS_METASTORE");
	unsetenv("NEXUS_DATA_DIR");
	unsetenv("NEXUS_FOLD_AGE");
}

static void test_numbers(void **state)
{
	struct errline err;
	struct config cfg;
	__u64 n = 7;

	(void)state;
	config_defaults(&cfg);
	assert_int_equal(config_number(&cfg, "eventlog_max_bytes", &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(config_set(&cfg, "eventlog_max_age", "86400", "test", &err), 0);
	assert_int_equal(config_number(&cfg, "eventlog_max_age", &n), 0);
	assert_int_equal(n, 86400);
	assert_int_equal(config_number(&cfg, "event_bus_group", &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(config_number(&cfg, "mount_timeout", &n), 0);
	assert_int_equal(n, 8);
	assert_int_equal(config_number(&cfg, "namespace_cache", &n), 0);
	assert_int_equal(n, 16u << 20);
	assert_int_equal(config_number(&cfg, "permissions_cache", &n), 0);
	assert_int_equal(n, 32u << 20);
	assert_int_equal(config_set(&cfg, "permissions_cache", "5G", "test", &err), 0);
	assert_int_equal(config_number(&cfg, "permissions_cache", &n), 0);
	assert_int_equal(n, 5ull << 30);
	assert_int_equal(config_number(&cfg, "permissions_closure", &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(config_set(&cfg, "permissions_closure", "false", "test", &err), 0);
	assert_int_equal(config_number(&cfg, "permissions_closure", &n), 0);
	assert_int_equal(n, 0);
	/* With a database that others may have; unless it is said. */
	assert_int_equal(config_check(&cfg, &err), 0);
	assert_int_equal(config_number(&cfg, "permissions_share", &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(config_set(&cfg, "recordstore", "postgres", "test", &err), 0);
	assert_int_equal(config_set(&cfg, "recordstore_at", "dbname=x", "test", &err), 0);
	assert_int_equal(config_check(&cfg, &err), 0);
	assert_int_equal(config_number(&cfg, "permissions_share", &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(config_set(&cfg, "permissions_share", "no", "test", &err), 0);
	assert_int_equal(config_check(&cfg, &err), 0);
	assert_int_equal(config_number(&cfg, "permissions_share", &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(config_number(&cfg, "service_timeout", &n), 0);
	assert_int_equal(n, 10);
	/* What is no number, and what is not there. */
	assert_int_equal(config_number(&cfg, "session", &n), -ENOENT);
	assert_int_equal(config_number(&cfg, "recordstore_at", &n), -ENOENT);
	assert_int_equal(config_number(&cfg, "permissions", &n), -ENOENT);
	assert_int_equal(n, 10);
}

static void check(const char *key, const char *value, const char *words)
{
	struct errline err = { "" };
	struct config cfg;

	config_defaults(&cfg);
	if (!words) {
		assert_int_equal(config_set(&cfg, key, value, "test", &err), 0);
		assert_int_equal(config_check(&cfg, &err), 0);
		return;
	}
	if (!config_set(&cfg, key, value, "test", &err))
		assert_int_equal(config_check(&cfg, &err), -EINVAL);
	assert_non_null(strstr(err.msg, words));
}

static void test_check(void **state)
{
	(void)state;
	check("session", "a-b-9", NULL);
	check("session", "a.b", "session");
	check("session", "a_b", "session");
	check("session", "Ab", "session");
	check("session", "a b", "session");
	check("session", ".a", "session");
	check("session", "-a", "session");
	check("session", "a/b", "session");
	check("data_dir", "relative", "data_dir");
	check("fold_size", "200M", "memtable_limit");
	check("pack_size", "1048577", "multiple");
	check("drivers_dir", "here", "begin with /");
	check("mount_timeout", "9", NULL);
	check("mount_timeout", "10", "less than service_timeout (10)");
}

/* What service mount has, when only the time of calls is set. */
static void test_timeouts(void **state)
{
	static const struct { const char *call; __u64 mount; } rows[] = {
		{ "10", 8 }, { "5", 4 }, { "2", 1 }, { "1", 1 }, { "3600", 2880 },
	};
	struct errline err = { "" };
	struct config cfg;
	__u64 n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		config_defaults(&cfg);
		assert_int_equal(config_set(&cfg, "service_timeout", rows[i].call, "test", &err), 0);
		assert_int_equal(config_check(&cfg, &err), 0);
		assert_int_equal(config_number(&cfg, "mount_timeout", &n), 0);
		assert_int_equal(n, rows[i].mount);
	}
	assert_int_equal(config_set(&cfg, "mount_timeout", "3600", "test", &err), 0);
	assert_int_equal(config_check(&cfg, &err), -EINVAL);
}

/* @at NULL: not set.  @words NULL: good, and recordstore_at is @set then. */
static void check_store(const char *driver, const char *at, const char *words, const char *set)
{
	struct errline err = { "" };
	struct config cfg;

	config_defaults(&cfg);
	assert_int_equal(config_set(&cfg, "recordstore", driver, "test", &err), 0);
	if (at)
		assert_int_equal(config_set(&cfg, "recordstore_at", at, "test", &err), 0);
	assert_int_equal(config_check(&cfg, &err), words ? -EINVAL : 0);
	if (words) {
		assert_non_null(strstr(err.msg, words));
		/* It may have a password in it. */
		assert_null(at ? strstr(err.msg, at) : NULL);
	} else {
		assert_string_equal(cfg.recordstore_at, set);
	}
}

static void test_cachestore(void **state)
{
	struct errline err = { "" };
	struct config cfg;

	(void)state;
	config_defaults(&cfg);
	assert_string_equal(cfg.cachestore, "null");
	check("cachestore", "memcached", "null, mem, redis");
	check("cachestore", "redis", "needs to know where the server is");
	check("cachestore_size", "1M", "cachestore_size");
	check("cachestore_entries", "0", "cachestore_entries");
	assert_int_equal(config_set(&cfg, "cachestore", "redis", "test", &err), 0);
	assert_int_equal(config_set(&cfg, "cachestore_at", "socket=/x", "test", &err), 0);
	assert_int_equal(config_check(&cfg, &err), 0);
	assert_string_equal(cfg.cachestore, "redis");
}

static void test_recordstore(void **state)
{
	static const char *const above[] = {
		"/var/r.db", "../r.db", "a/../r.db", "a/..", "..", "a//b", "a/",
		"postgresql://user:secret@host/../db",
	};
	struct config cfg;
	size_t i;

	(void)state;
	config_defaults(&cfg);
	assert_string_equal(cfg.recordstore, "sqlite");
	check("recordstore", "oracle", "sqlite, postgres, none");
	check("recordstore", "postgresql", "needs a connection string");
	check_store("sqlite", NULL, NULL, "recordstore.db");
	check_store("sqlite", "a/..b/r.db", NULL, "a/..b/r.db");
	for (i = 0; i < sizeof(above) / sizeof(above[0]); i++)
		check_store("sqlite", above[i], "below data_dir", NULL);
	check_store("postgres", "host=/run/x", NULL, "host=/run/x");
	check_store("none", "whatever", NULL, "whatever");
	assert_string_equal(config_recordstore("postgresql"), "postgres");
}

static void test_sizes(void **state)
{
	u64 v;

	(void)state;
	assert_int_equal(config_parse_size("0", &v), 0);
	assert_int_equal(config_parse_size("12k", &v), 0);
	assert_int_equal(v, 12288);
	assert_int_equal(config_parse_size("3MiB", &v), 0);
	assert_int_equal(v, 3 << 20);
	assert_int_equal(config_parse_size("", &v), -EINVAL);
	assert_int_equal(config_parse_size("1KK", &v), -EINVAL);
	assert_int_equal(config_parse_size("0x10", &v), -EINVAL);
	assert_int_equal(config_parse_size("20000000T", &v), -ERANGE);
}

/* Settings: only what is asked for by name, and with a place. */
static void test_content(void **state)
{
	struct errline err = { "" };
	struct config cfg;

	(void)state;
	config_defaults(&cfg);
	assert_string_equal(cfg.content, "none");
	assert_int_equal(config_check(&cfg, &err), 0);
	assert_true(content_spec_ok("test:/somewhere"));
	assert_false(content_spec_ok("test:"));
	assert_false(content_spec_ok("test:here"));
	assert_false(content_spec_ok("test"));
	assert_false(content_spec_ok("tes:/x"));
	assert_false(content_spec_ok("/somewhere"));
	assert_false(content_spec_ok(""));
	assert_int_equal(config_set(&cfg, "content", "test:/x", "here", &err), 0);
	assert_int_equal(config_set(&cfg, "content", "s3:/x", "here", &err), -EINVAL);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, test_setup, test_teardown)
	const struct CMUnitTest tests[] = {
		T(test_good),
		T(test_bad),
		T(test_missing_file),
		T(test_environment), T(test_numbers),
		T(test_check),
		T(test_timeouts),
		T(test_cachestore),
		T(test_recordstore),
		T(test_sizes),
		cmocka_unit_test(test_content),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
