// SPDX-License-Identifier: Apache-2.0
/* The registry of services: what is loaded, and who needs whom. */
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <nexus/services/echo.h>

#include "service-world.h"

/* ---- what is loaded ------------------------------------------------------------------ */

static void test_names(void **state)
{
	static const char *const bad[] = {
		"", "Echo", "../echo", "echo.so", "/echo", "1echo", "-echo", "echo/x", "e cho", ".",
		"\xc3\xa9", "a123456789b123456789c123456789d123456789e123456789f123456789abcd",
	};
	const char *twice[] = { "echo", "echo" };
	size_t i;

	(void)state;
	world_begin(false, 0);
	put_object("echo-1", "echo");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(load(bad[i]), -EINVAL);
		assert_said("is no name of a service");
		assert_int_equal(swap(bad[i]), -ENOENT);
		assert_int_equal(unload(bad[i]), -ENOENT);
	}
	assert_int_equal(load_all(twice, 2), -EINVAL);
	assert_int_equal(load_all(twice, 0), -EINVAL);
	assert_int_equal(mapped(), 0);
}

static void test_files(void **state)
{
	char path[256], dir[256], other[256];

	(void)state;
	world_begin(false, 0);
	assert_int_equal(load("echo"), -ENOENT);
	assert_said("there is no service echo");

	object_path(path, sizeof(path), "echo");
	put_object("echo-1", "other");
	object_path(other, sizeof(other), "other");
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(load("echo"), -EACCES);
	assert_said("symbolic link");
	unlink(path);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_int_equal(load("echo"), -EACCES);
	assert_said("no regular file");
	unlink(path);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(load("echo"), -EACCES);
	rmdir(path);

	put_object("echo-1", "echo");
	assert_int_equal(chmod(path, 0664), 0);
	assert_int_equal(load("echo"), -EACCES);
	assert_said("its group");
	assert_int_equal(chmod(path, 0646), 0);
	assert_int_equal(load("echo"), -EACCES);
	assert_said("its others");
	assert_int_equal(chmod(path, 0644), 0);
	if (!geteuid()) {
		assert_int_equal(chown(path, 1, 0), 0);
		assert_int_equal(load("echo"), -EACCES);
		assert_said("belongs to uid 1");
		assert_int_equal(chown(path, 0, 0), 0);
	}
	snprintf(dir, sizeof(dir), "%s/services", test_dir);
	assert_int_equal(chmod(dir, 0775), 0);
	assert_int_equal(load("echo"), -EACCES);
	assert_said("its group");
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(load("echo"), 0);
	assert_int_equal(load("echo"), -EEXIST);
	assert_said("loaded already");
	world_end();

	world_begin(false, 0);
	snprintf(other, sizeof(other), "%s/gone", test_dir);
	assert_int_equal(rename(dir, other), 0);
	assert_int_equal(load("echo"), -ENOENT);
	assert_said("services_dir");
	assert_int_equal(rename(other, dir), 0);
	/* It must be the helper's user, not just anybody's. */
	registry_end(reg);
	assert_true(registry_free(reg));
	reg_opts.owner++;
	reg = registry_new(&reg_opts);
	assert_int_equal(load("echo"), -EACCES);
	assert_said("belongs to uid");
}

/* Writes over bytes of the object's file. */
static void patch(const char *name, off_t at, const void *bytes, size_t n)
{
	char path[256];
	int fd;

	object_path(path, sizeof(path), name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), (ssize_t)n);
	close(fd);
}

static void test_objects(void **state)
{
	static const uint16_t other_machine = EM_S390, executable = ET_EXEC;
	static const char text[] = "#!/bin/sh\n", class = ELFCLASS32;
	char path[256];

	(void)state;
	world_begin(false, 0);
	object_path(path, sizeof(path), "echo");
	put_object("echo-1", "echo");
	patch("echo", 0, text, sizeof(text));
	assert_int_equal(load("echo"), -ENOEXEC);
	assert_said("no shared object");
	put_object("echo-1", "echo");
	patch("echo", offsetof(Elf64_Ehdr, e_machine), &other_machine, 2);
	assert_int_equal(load("echo"), -ENOEXEC);
	assert_said("another architecture (ELF machine 22");
	put_object("echo-1", "echo");
	patch("echo", EI_CLASS, &class, 1);
	assert_int_equal(load("echo"), -ENOEXEC);
	assert_said("another architecture");
	put_object("echo-1", "echo");
	patch("echo", offsetof(Elf64_Ehdr, e_type), &executable, 2);
	assert_int_equal(load("echo"), -ENOEXEC);
	put_object("echo-1", "echo");
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(load("echo"), -ENOEXEC);
	assert_int_equal(truncate(path, 1ll << 40), 0);
	assert_int_equal(load("echo"), -EFBIG);
	put_object("echo-1", "echo");
	assert_int_equal(truncate(path, 4096), 0);
	assert_int_equal(load("echo"), -ENOEXEC);
	assert_said("is damaged");

	put_object("bad-nodesc", "bad");
	assert_int_equal(load("bad"), -ENOEXEC);
	assert_said("no symbol nexus_service");
	put_object("bad-abi", "bad");
	assert_int_equal(load("bad"), -EPROTO);
	assert_said("ABI version 5, this helper has 4");
	put_object("bad-name", "bad");
	assert_int_equal(load("bad"), -EPROTO);
	assert_said("holds service \"worse\"");
	put_object("bad-stop", "bad");
	assert_int_equal(load("bad"), -EPROTO);
	assert_said("lacks service_stop");
	put_object("bad-symbol", "bad");
	assert_int_equal(load("bad"), -ENOEXEC);
	assert_said("bad.so cannot be loaded: undefined symbol: nexus_of_nowhere");
	put_object("bad-init-fails", "bad");
	assert_int_equal(load("bad"), -ENOTUNIQ);
	assert_said("service_init failed");
	put_object("bad-start-fails", "bad");
	assert_int_equal(load("bad"), -EADV);
	assert_said("service_start failed: Advertise error; it is broken");
	assert_int_equal(mapped(), 0);
}

/* What happens in the trial does not happen here. */
static void test_trial(void **state)
{
	(void)state;
	world_begin(true, 0);
	put_object("bad-ctor", "bad");
	assert_int_equal(load("bad"), -ECONNABORTED);
	assert_said("crashed in its constructors");
	put_object("bad-init-crashes", "bad");
	assert_int_equal(load("bad"), -ECONNABORTED);
	assert_said("crashed in service_init when it was tried: Aborted");
	put_object("bad-init-exits", "bad");
	assert_int_equal(load("bad"), -ECONNABORTED);
	assert_said("ended the process in service_init");
	put_object("bad-init-says", "bad");
	assert_int_equal(load("bad"), -ECONNABORTED);
	assert_said("crashed in service_init when it was tried: Aborted");
	put_object("bad-init-forks", "bad");
	assert_int_equal(load("bad"), -EPERM);
	assert_said("forked");
	put_object("bad-init-fails", "bad");
	assert_int_equal(load("bad"), -ENOTUNIQ);
	put_object("bad-abi", "bad");
	assert_int_equal(load("bad"), -EPROTO);
	assert_said("ABI version 5");
	put_object("bad-symbol", "bad");
	assert_int_equal(load("bad"), -ENOEXEC);
	assert_said("undefined symbol: nexus_of_nowhere");
	assert_int_equal(mapped(), 0);
	/* To print much is no fault, nor is to ask for what there is only after the start. */
	put_object("bad-init-prints", "bad");
	assert_int_equal(load("bad"), 0);
	assert_int_equal(unload("bad"), 0);
	put_object("bad-init-asks", "bad");
	assert_int_equal(load("bad"), 0);
	assert_int_equal(unload("bad"), 0);
	put_object("example", "echo");
	assert_int_equal(load("echo"), 0);
	assert_int_equal(mapped(), 1);
	/* No child is left behind. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_trial_hangs(void **state)
{
	(void)state;
	world_begin(true, 5000);
	put_object("bad-init-hangs", "bad");
	assert_int_equal(load("bad"), -ETIMEDOUT);
	assert_said("service_init did not return within 5000 ms when it was tried");
	assert_int_equal(mapped(), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* The helper, of which the forked child would be a copy, finds it out itself, too. */
static void test_forks(void **state)
{
	struct nexus_ref *ref;

	(void)state;
	world_begin(true, 0);
	put_object("bad-init-forks-later", "bad");
	assert_int_equal(load("bad"), -EPERM);
	assert_said("forked in service_init");
	assert_int_equal(mapped(), 0);
	put_object("echo-1", "echo");
	assert_int_equal(load("echo"), 0);
	assert_int_equal(service_get(reg, "test", NEXUS_ECHO, 1, &ref), 0);
	assert_int_equal(say(ref, "fork", NULL, 0), 0);
	assert_int_equal(say(ref, "hello", NULL, 0), 0);
	service_put(ref);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

/* ---- calls --------------------------------------------------------------------------- */

static void test_calls(void **state)
{
	struct nexus_echo_args *a;
	char answer[NEXUS_ECHO_MAX], path[256];
	struct service_info info;
	struct nexus_ref *ref;

	(void)state;
	world_begin(false, 0);
	assert_int_equal(ask(NEXUS_ECHO, "hello", answer), -ENOENT);
	put_object("echo-1", "echo");
	assert_int_equal(load("echo"), 0);
	assert_int_equal(ask(NEXUS_ECHO, "hello", answer), 0);
	assert_string_equal(answer, "hello");
	assert_int_equal(ask(NEXUS_ECHO, "fail", answer), -ENOTTY);
	assert_int_equal(ask(NEXUS_ECHO, "more", answer), 0);
	assert_int_equal(service_get(reg, "test", NEXUS_ECHO, 2, &ref), -ENOENT);
	assert_int_equal(service_get(reg, "test", NEXUS_ECHO, 1, &ref), 0);
	assert_int_equal(service_call_op(ref, "x", sizeof(struct nexus_echo_ops), NULL, 0),
			 -EOPNOTSUPP);
	assert_int_equal(service_call_op(ref, "x", 1, NULL, 0), -EOPNOTSUPP);
	a = service_args_new(sizeof(*a));
	a->len = NEXUS_ECHO_MAX + 1;
	assert_int_equal(service_call(ref, struct nexus_echo_ops, echo, a, 0), -EMSGSIZE);
	service_args_free(a);
	assert_int_equal(state_of("echo", &info), SERVICE_ACTIVE);
	assert_int_equal(info.nholders, 1);
	assert_int_equal(info.uid, 7);
	assert_true(info.mapped);
	/* The file may be written over: what was checked is what runs. */
	object_path(path, sizeof(path), "echo");
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(say(ref, "who", answer, 0), 0);
	assert_string_equal(answer, "1");
	assert_int_equal(unload("echo"), -EBUSY);
	assert_said("in use: test holds nexus.echo");
	service_put(ref);
	service_put(NULL);
	assert_int_equal(mapped(), 1);
	assert_int_equal(unload("echo"), 0);
	assert_int_equal(mapped(), 0);
	assert_int_equal(unload("echo"), -ENOENT);
	assert_int_equal(state_of("echo", NULL), 0);
}

/* ---- who needs whom ------------------------------------------------------------------- */

static void test_needs(void **state)
{
	const char *names[] = { "user2", "user", "echo" };
	char answer[NEXUS_ECHO_MAX];
	int fds[2];

	(void)state;
	world_begin(false, 0);
	trace_begin(fds);
	put_object("echo-1", "echo");
	put_object("twin", "twin");
	put_object("user", "user");
	put_object("user2", "user2");
	assert_int_equal(load("user"), -ENOENT);
	assert_said("service user needs protocol nexus.echo, which no loaded service provides");
	assert_int_equal(load_all(names, 2), -ENOENT);
	assert_int_equal(load_all(names, 3), 0);
	assert_traced(fds[0], "start echo\nstart user\nstart user2\n");
	assert_int_equal(ask("test.user2", "hello", answer), 0);
	assert_string_equal(answer, "hello");
	assert_int_equal(load("twin"), -EEXIST);
	assert_said("protocol nexus.echo is provided by service echo already");

	assert_int_equal(unload("echo"), -EBUSY);
	assert_said("service user needs nexus.echo");
	assert_said("service user holds nexus.echo");
	assert_int_equal(unload("user"), -EBUSY);
	assert_int_equal(unload("user2"), 0);
	assert_traced(fds[0], "stop user2\ncleanup user2\n");
	assert_int_equal(unload("user"), 0);
	put_object("user-v2", "user");
	assert_int_equal(load("user"), -ENOENT);
	assert_said("needs protocol nexus.echo in version 2; service echo provides version 1");
	assert_int_equal(mapped(), 1);
	trace_end(fds);
}

static void test_cycles(void **state)
{
	const char *names[] = { "one", "two" };
	const char *more[] = { "echo", "user" };

	(void)state;
	world_begin(false, 0);
	put_object("one", "one");
	put_object("two", "two");
	assert_int_equal(load_all(names, 2), -ELOOP);
	assert_said("one -> two -> one");
	put_object("echo-self", "echo");
	assert_int_equal(load("echo"), -ELOOP);
	assert_said("echo -> echo");
	/* A swap could close one, too. */
	put_object("echo-1", "echo");
	put_object("user", "user");
	assert_int_equal(load_all(more, 2), 0);
	put_object("echo-cycle", "echo");
	assert_int_equal(swap("echo"), -ELOOP);
	assert_said("-> echo");
	assert_int_equal(ask("test.user", "hello", NULL), 0);
	assert_int_equal(mapped(), 2);
}

static void test_rollback(void **state)
{
	const char *names[] = { "user", "echo" };
	int fds[2];

	(void)state;
	world_begin(false, 0);
	trace_begin(fds);
	put_object("echo-1", "echo");
	put_object("user-fails", "user");
	assert_int_equal(load_all(names, 2), -ENOTUNIQ);
	assert_traced(fds[0], "start echo\nstart user\ncleanup user\nstop echo\ncleanup echo\n");
	assert_int_equal(state_of("echo", NULL), 0);
	assert_int_equal(mapped(), 0);
	trace_end(fds);
}

static void test_end(void **state)
{
	const char *names[] = { "user2", "user", "echo" };
	int fds[2];

	(void)state;
	world_begin(false, 0);
	put_object("echo-1", "echo");
	put_object("user", "user");
	put_object("user2", "user2");
	assert_int_equal(load_all(names, 3), 0);
	trace_begin(fds);
	registry_end(reg);
	assert_traced(fds[0], "stop user2\ncleanup user2\nstop user\ncleanup user\n"
		      "stop echo\ncleanup echo\n");
	assert_int_equal(mapped(), 0);
	assert_int_equal(load("echo"), -ESHUTDOWN);
	assert_int_equal(swap("echo"), -ESHUTDOWN);
	trace_end(fds);
}

static void test_leak(void **state)
{
	const char *names[] = { "user", "echo" };

	(void)state;
	world_begin(false, 0);
	put_object("echo-1", "echo");
	put_object("user-leaks", "user");
	assert_int_equal(load_all(names, 2), 0);
	assert_int_equal(unload("user"), 0);
	assert_int_equal(mapped(), 1);
	/* It was taken from the one that is gone. */
	assert_int_equal(unload("echo"), 0);
	assert_int_equal(mapped(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, world_setup, world_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(names),
		TEST(files),
		TEST(objects),
		TEST(trial),
		TEST(trial_hangs),
		TEST(forks),
		TEST(calls),
		TEST(needs),
		TEST(cycles),
		TEST(rollback),
		TEST(end),
		TEST(leak),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
