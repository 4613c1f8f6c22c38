// SPDX-License-Identifier: Apache-2.0
/* The programs that mount and unmount: what they are given, what they say, and their end. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mount-machine.h"
#include "run.h"

#define LONG_MS	100000	/* that nobody meets */

static char dir[64], at[96];
static struct run r;
static int dirfd_;

static int begin(int64_t limit_ms)
{
	strcpy(dir, "/tmp/nexus-mount-run-XXXXXX");
	assert_non_null(mkdtemp(dir));
	machine_begin(dir);
	snprintf(at, sizeof(at), "%s", dir);
	dirfd_ = open(dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	return run_init(&r, dirfd_, limit_ms);
}

static void end(void)
{
	char command[128];

	run_destroy(&r);
	close(dirfd_);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

static void attach(const char *source, const char *directory, const char *options, int error,
		   const char *words)
{
	char said[NEXUS_MOUNT_WORDS_MAX] = "";
	int ret = run_attach(&r, source, directory, options, said);

	if (ret != error || (words && !strstr(said, words)))
		fail_msg("%s: %d, not %d: %s", source, ret, error, said);
}

static void detach(const char *directory, bool lazy, int error, const char *words)
{
	char said[NEXUS_MOUNT_WORDS_MAX] = "";
	int ret = run_detach(&r, directory, lazy, said);

	if (ret != error || (words && !strstr(said, words)))
		fail_msg("%s: %d, not %d: %s", directory, ret, error, said);
}

static bool in_table(const char *directory)
{
	struct mtab t;
	bool is;

	assert_int_equal(run_table(&r, &t), 0);
	is = mtab_at(&t, directory);
	mtab_free(&t);
	return is;
}

/* The same here and beyond systemd. */
static void run_all(void)
{
	attach("s3://b;region=x", at, "ro,nodev", 0, NULL);
	assert_true(in_table(at));
	machine_put("busy", "");
	detach(at, false, -EBUSY, "target is busy");
	detach(at, true, 0, NULL);
	machine_drop("busy");
	assert_false(in_table(at));
	detach(at, false, -ENOENT, "not mounted");
	attach("s3://b", at, "", 0, NULL);
	detach(at, false, 0, NULL);
	attach("s3://none", at, "", -ENOENT, "cannot mount s3://none on ");
	attach("s3://b", "/nonexistent", "", -ENOENT, "No such file");
}

static void test_here(void **state)
{
	char text[4096], expected[256];

	(void)state;
	assert_int_equal(begin(LONG_MS), 0);
	run_all();
	attach("s3://mute", at, "", -EIO, "Input/output error");
	attach("s3://crash", at, "", -EIO, "Input/output error");
	assert_false(machine_has("units"));
	/* Nothing of the helper's is given on. */
	machine_text("env", text, sizeof(text));
	assert_non_null(strstr(text, "LC_ALL=C"));
	assert_null(strstr(text, "hushhush"));
	assert_null(strstr(text, "AWS"));
	machine_text("calls", text, sizeof(text));
	snprintf(expected, sizeof(expected), "s3://b;region=x %s -i -o ro,nodev\ns3://b %s -i\n", at, at);
	assert_memory_equal(text, expected, strlen(expected));
	end();
}

static void test_apart(void **state)
{
	char text[4096];

	(void)state;
	assert_int_equal(begin(LONG_MS), 0);
	/* Its own mounts, and no systemd: then those are it. */
	machine_apart();
	machine_drop("systemd");
	assert_false(in_table("/x"));
	attach("s3://b", at, "", 0, NULL);
	assert_false(in_table(at));
	detach(at, false, 0, NULL);
	assert_false(machine_has("units"));
	machine_put("systemd", "");
	run_all();
	machine_text("units", text, sizeof(text));
	assert_non_null(strstr(text, "--service-type=oneshot"));
	assert_non_null(strstr(text, "TimeoutStartSec=100000ms"));
	/* What was said is not left behind. */
	machine_put("no-bus", "");
	attach("s3://b", at, "", -EIO, "Failed to start transient service unit: gone");
	assert_int_equal(system("test -z \"$(find $NEXUS_TEST_MOUNTS -name 'said-*')\""), 0);
	machine_drop("no-bus");
	machine_drop("units");
	machine_drop("table-1");
	assert_false(in_table(at));
	attach("s3://b", at, "", 0, NULL);
	assert_true(machine_has("units"));
	machine_drop("systemd-run");
	attach("s3://b", at, "", -EOPNOTSUPP, "there is no systemd-run");
	end();
}

static void test_missing(void **state)
{
	(void)state;
	assert_int_equal(begin(LONG_MS), 0);
	machine_drop("mount.nexusfs");
	attach("s3://b", at, "", -EOPNOTSUPP, "there is no program mount.nexusfs");
	end();
}

static void test_timeout(void **state)
{
	(void)state;
	assert_int_equal(begin(1), 0);
	attach("s3://hang", at, "", -ETIMEDOUT, "mount_timeout");
	end();
}

static void *stop(void *arg)
{
	const struct timespec step = { 0, 1000000 };

	(void)arg;
	while (!machine_has("hangs"))
		nanosleep(&step, NULL);
	run_stop(&r);
	return NULL;
}

/* The service ends, and does not wait for a store. */
static void test_stop(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(begin(LONG_MS), 0);
	assert_int_equal(pthread_create(&thread, NULL, stop, NULL), 0);
	attach("s3://hang", at, "", -ESHUTDOWN, NULL);
	pthread_join(thread, NULL);
	/* And nothing begins any more. */
	attach("s3://hang", at, "", -ESHUTDOWN, NULL);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_here),
		cmocka_unit_test(test_apart),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests_name("mount-run", tests, NULL, NULL);
}
