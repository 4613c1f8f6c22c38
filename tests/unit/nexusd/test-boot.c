// SPDX-License-Identifier: Apache-2.0
/* The start, step by step: what comes of a service of each tier that fails, and in which order. */
#include <fcntl.h>
#include <sys/wait.h>

#include "boot.h"
#include "service-world.h"

static struct boot *boot;
static struct errline err;
static char note[200];

static void boot_with(const struct brick_start *starts, size_t n, const struct brick_set *set)
{
	struct boot_plan plan = {
		.starts = starts,
		.n = n,
		.set = set,
		.services_dir = reg_opts.dir,
		.note = note,
	};

	snprintf(note, sizeof(note), "%s/starting", test_dir);
	boot = boot_new();
	assert_non_null(boot);
	assert_int_equal(boot_set_plan(boot, &plan), 0);
	err.msg[0] = '\0';
}

#define BOOT(starts)	boot_with(starts, sizeof(starts) / sizeof(starts[0]), NULL)

/* As a helper does it: the fatal ones, then the others, until they are done. */
static int go(void)
{
	struct boot_state state;
	int ret = boot_fatal(boot, reg, &err);

	if (!ret)
		assert_int_equal(boot_others(boot, reg), 0);
	for (;;) {
		boot_state(boot, &state);
		if (!state.running)
			break;
		usleep(1000);
	}
	assert_int_equal(state.failed, ret != 0);
	return ret;
}

static void over(void)
{
	boot_stop(boot);
	boot_free(boot);
	boot = NULL;
}

static int teardown(void **state)
{
	if (boot)
		over();
	return world_teardown(state);
}

static int look(void *arg, const struct boot_step *s)
{
	struct boot_step *want = arg;

	if (strcmp(s->name, want->name))
		return 0;
	*want = *s;
	return 1;
}

static void assert_step(const char *name, enum boot_outcome outcome, const char *words)
{
	struct boot_step s = { .stage = BOOT_DRIVER };

	snprintf(s.name, sizeof(s.name), "%s", name);
	assert_int_equal(boot_steps(boot, look, &s), 1);
	assert_int_equal(s.outcome, outcome);
	if (!strstr(s.reason, words))
		fail_msg("%s: \"%s\" is not in: %s", name, words, s.reason);
}

static void assert_lacks(const char *words)
{
	char text[512];

	boot_lacks(boot, reg, text, sizeof(text));
	if (words[0] ? !strstr(text, words) : text[0])
		fail_msg("\"%s\" is not: %s", words, text);
}

static const struct brick_start three_tiers[] = {
	{ "echo", BRICK_PERMISSIONS, TIER_FATAL, false },
	{ "user", BRICK_EVENTLOG, TIER_DEGRADED, false },
	{ "user2", BRICK_IPC, TIER_SILENT, false },
};

static void put_three(void)
{
	put_object("echo-1", "echo");
	put_object("user", "user");
	put_object("user2", "user2");
}

static int count(void *arg, const struct boot_step *s)
{
	(void)s;
	++*(unsigned int *)arg;
	return 0;
}

static void test_all_start(void **state)
{
	struct boot_step s = { .name = "user2" };
	unsigned int steps = 0;
	int fds[2];

	(void)state;
	world_begin(false, 0);
	trace_begin(fds);
	put_three();
	BOOT(three_tiers);
	boot_say(boot);
	assert_int_equal(boot_fatal(boot, reg, &err), 0);
	/* The others are not waited for, and not begun. */
	assert_traced(fds[0], "start echo\n");
	assert_int_equal(go(), 0);
	assert_traced(fds[0], "start user\nstart user2\n");
	assert_step("echo", BOOT_OK, "");
	assert_step("user", BOOT_OK, "");
	assert_lacks("");
	assert_int_equal(boot_steps(boot, look, &s), 1);
	assert_int_equal(s.tier, TIER_SILENT);
	assert_true(s.took_us > 0);
	assert_true(s.at_us > 0);
	/* go() found echo there, which is as good. */
	boot_steps(boot, count, &steps);
	assert_int_equal(steps, 4);
	over();
	world_end();
	assert_traced(fds[0], "stop user2\ncleanup user2\nstop user\ncleanup user\nstop echo\ncleanup echo\n");
	trace_end(fds);
}

static void test_none(void **state)
{
	struct registry_counts counts;

	(void)state;
	world_begin(false, 0);
	boot_with(NULL, 0, NULL);
	assert_int_equal(go(), 0);
	assert_lacks("");
	registry_counts(reg, &counts);
	assert_int_equal(counts.threads, 0);
}

static void test_fatal(void **state)
{
	static const struct brick_start starts[] = {
		{ "echo", BRICK_EVENTLOG, TIER_FATAL, false },
		{ "user", BRICK_EVENTLOG, TIER_FATAL, false },
		{ "bad", BRICK_PERMISSIONS, TIER_FATAL, false },
		{ "user2", BRICK_IPC, TIER_FATAL, false },
	};
	int fds[2];

	(void)state;
	world_begin(false, 0);
	trace_begin(fds);
	put_three();
	put_object("bad-start-fails", "bad");
	BOOT(starts);
	assert_int_equal(go(), -EADV);
	assert_non_null(strstr(err.msg, "service bad, without which brick permissions cannot be, did not start"));
	assert_non_null(strstr(err.msg, "service_start failed"));
	/* Back, in reverse, and what comes behind it was not begun. */
	assert_traced(fds[0], "start echo\nstart user\nstop user\ncleanup user\nstop echo\ncleanup echo\n");
	assert_int_equal(mapped(), 0);
	assert_step("bad", BOOT_FAILED, "service_start failed");
	assert_int_equal(load("echo"), -ESHUTDOWN);
	trace_end(fds);
}

static void test_degraded(void **state)
{
	static const struct brick_start starts[] = {
		{ "user", BRICK_EVENTLOG, TIER_DEGRADED, false },
		{ "bad", BRICK_IPC, TIER_SILENT, false },
		{ "echo", BRICK_IPC, TIER_SILENT, false },
	};

	(void)state;
	world_begin(false, 0);
	put_three();
	put_object("bad-start-fails", "bad");
	BOOT(starts);
	boot_say(boot);
	assert_int_equal(go(), 0);
	assert_step("user", BOOT_FAILED, "needs protocol nexus.echo");
	/* A silent one is nobody's business, and those behind it start. */
	assert_step("bad", BOOT_FAILED, "service_start failed");
	assert_step("echo", BOOT_OK, "");
	assert_lacks("user: service user needs protocol nexus.echo");
	/* It is what is there that counts, not what was. */
	assert_int_equal(load("user"), 0);
	assert_lacks("");
	assert_int_equal(unload("user"), 0);
	assert_lacks("user: service user needs");
	assert_int_equal(unload("echo"), 0);
	assert_lacks("user: ");
}

static void test_unloaded(void **state)
{
	static const struct brick_start starts[] = {
		{ "echo", BRICK_EVENTLOG, TIER_DEGRADED, false },
	};

	(void)state;
	world_begin(false, 0);
	put_three();
	BOOT(starts);
	assert_int_equal(go(), 0);
	assert_lacks("");
	assert_int_equal(unload("echo"), 0);
	assert_lacks("echo: unloaded");
}

static void test_missing(void **state)
{
	static const struct brick_start optional[] = {
		{ "echo", BRICK_EVENTLOG, TIER_DEGRADED, false },
		{ "user", BRICK_IPC, TIER_SILENT, true },
	};
	static const struct brick_start must[] = {
		{ "echo", BRICK_PERMISSIONS, TIER_FATAL, true },
	};
	struct brick_wishes w = { .of[0].wish = WISH_PROFILE };
	struct brick_set set;

	(void)state;
	world_begin(false, 0);
	assert_int_equal(profile_resolve(PROFILE_CLOUD, &w, &set, &err), 0);
	boot_with(optional, 2, &set);
	boot_say(boot);
	assert_int_equal(go(), 0);
	assert_step("echo", BOOT_MISSING, "no object of it in services_dir");
	assert_step("user", BOOT_MISSING, "no object of it in services_dir");
	assert_step("federation", BOOT_MISSING, "no service of this version");
	assert_lacks("");
	assert_false(boot_wants_records(boot));
	over();
	BOOT(must);
	/* Without an object nothing asks for records. */
	assert_false(boot_wants_records(boot));
	assert_int_equal(go(), -ENOENT);
	assert_non_null(strstr(err.msg, "did not start: there is no object of it in services_dir"));
	over();
	put_three();
	BOOT(must);
	assert_true(boot_wants_records(boot));
}

static void test_by_hand(void **state)
{
	(void)state;
	world_begin(false, 0);
	put_three();
	assert_int_equal(load("echo"), 0);
	put_object("twin", "user");
	BOOT(three_tiers);
	assert_int_equal(go(), 0);
	assert_step("echo", BOOT_OK, "");
	/* That something is provided already is another matter. */
	assert_step("user", BOOT_FAILED, "holds service \"twin\"");
}

static void test_hangs(void **state)
{
	static const struct brick_start starts[] = {
		{ "bad", BRICK_EVENTLOG, TIER_DEGRADED, false },
		{ "echo", BRICK_IPC, TIER_SILENT, false },
	};
	char number[16];
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	snprintf(number, sizeof(number), "%d", fds[0]);
	setenv("NEXUS_TEST_FD", number, 1);
	/* Long enough for the one that returns, under sanitizers, too. */
	world_begin(false, 3000);
	put_three();
	put_object("bad-start-hangs", "bad");
	BOOT(starts);
	assert_int_equal(go(), 0);
	assert_step("bad", BOOT_FAILED, "did not return within 3000 ms");
	assert_step("echo", BOOT_OK, "");
	assert_lacks("bad: ");
	assert_int_equal(write(fds[1], "", 1), 1);
	wait_unmapped(1);
	over();
	world_end();
	close(fds[0]);
	close(fds[1]);
	unsetenv("NEXUS_TEST_FD");
}

static void test_stopped(void **state)
{
	(void)state;
	world_begin(false, 0);
	put_three();
	BOOT(three_tiers);
	assert_int_equal(boot_fatal(boot, reg, &err), 0);
	boot_stop(boot);
	assert_int_equal(boot_others(boot, reg), 0);
	boot_stop(boot);
	assert_int_equal(state_of("echo", NULL), SERVICE_ACTIVE);
	assert_int_equal(state_of("user", NULL), 0);
}

/* One that takes the helper along is left out of the next start, and tried in the one after. */
static void test_crash(void **state)
{
	static const struct brick_start starts[] = {
		{ "echo", BRICK_EVENTLOG, TIER_DEGRADED, false },
		{ "bad", BRICK_EVENTLOG, TIER_DEGRADED, false },
		{ "user", BRICK_IPC, TIER_SILENT, false },
	};
	int status;
	pid_t pid;

	(void)state;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		world_begin(false, 0);
		put_three();
		put_object("bad-start-crashes", "bad");
		BOOT(starts);
		go();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	world_begin(false, 0);
	BOOT(starts);
	assert_int_equal(access(note, F_OK), -1);
	assert_int_equal(go(), 0);
	assert_step("echo", BOOT_OK, "");
	assert_step("bad", BOOT_FAILED, "its start ended the last helper");
	assert_step("user", BOOT_OK, "");
	assert_lacks("bad: its start ended the last helper");
	over();
	world_end();
	world_begin(false, 0);
	put_object("bad-start-fails", "bad");
	BOOT(starts);
	assert_int_equal(go(), 0);
	assert_step("bad", BOOT_FAILED, "service_start failed");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_start, world_setup, teardown),
		cmocka_unit_test_setup_teardown(test_none, world_setup, teardown),
		cmocka_unit_test_setup_teardown(test_fatal, world_setup, teardown),
		cmocka_unit_test_setup_teardown(test_degraded, world_setup, teardown),
		cmocka_unit_test_setup_teardown(test_unloaded, world_setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing, world_setup, teardown),
		cmocka_unit_test_setup_teardown(test_by_hand, world_setup, teardown),
		cmocka_unit_test_setup_teardown(test_hangs, world_setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped, world_setup, teardown),
		cmocka_unit_test_setup_teardown(test_crash, world_setup, teardown),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
