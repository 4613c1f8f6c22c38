// SPDX-License-Identifier: Apache-2.0
/* The registry of services: swaps, and calls that do not return. */
#include <fcntl.h>
#include <pthread.h>

#include <nexus/services/echo.h>

#include "service-world.h"

/* ---- swap ------------------------------------------------------------------------------ */

/* A call that waits for release(). */
struct waiter {
	pthread_t thread;
	struct nexus_ref *ref;
	int fds[2];
	int ret;
	uint32_t timeout_ms;
};

static void *wait_in_call(void *arg)
{
	struct waiter *w = arg;
	char text[32];

	snprintf(text, sizeof(text), "wait %d", w->fds[0]);
	w->ret = say(w->ref, text, NULL, w->timeout_ms);
	return NULL;
}

static void waiter_begin(struct waiter *w, uint32_t timeout_ms)
{
	struct service_info info = { .calls_running = 0 };

	w->timeout_ms = timeout_ms;
	assert_int_equal(pipe2(w->fds, O_CLOEXEC), 0);
	assert_int_equal(service_get(reg, "waiter", NEXUS_ECHO, 1, &w->ref), 0);
	assert_int_equal(pthread_create(&w->thread, NULL, wait_in_call, w), 0);
	if (timeout_ms)
		return;
	while (!info.calls_running) {
		usleep(1000);
		state_of("echo", &info);
	}
}

static void release(struct waiter *w)
{
	assert_int_equal(write(w->fds[1], "x", 1), 1);
}

static int waiter_end(struct waiter *w)
{
	pthread_join(w->thread, NULL);
	service_put(w->ref);
	return w->ret;
}

static void close_fds(struct waiter *w)
{
	close(w->fds[0]);
	close(w->fds[1]);
}

static void *swap_thread(void *arg)
{
	*(int *)arg = swap("echo");
	return NULL;
}

static void test_swap(void **state)
{
	const char *names[] = { "user", "echo" };
	char answer[NEXUS_ECHO_MAX];
	struct waiter w;
	pthread_t thread;
	int ret = 1;

	(void)state;
	world_begin(false, 0);
	put_object("echo-1", "echo");
	put_object("user", "user");
	assert_int_equal(load_all(names, 2), 0);
	assert_int_equal(swap("two"), -ENOENT);
	put_object("echo-other", "echo");
	assert_int_equal(swap("echo"), -EPROTO);
	assert_said("does not provide protocol nexus.echo any more");
	put_object("bad-start-fails", "echo");
	assert_int_equal(swap("echo"), -EPROTO);
	assert_int_equal(mapped(), 2);
	assert_int_equal(ask("test.user", "who", answer), 0);
	assert_string_equal(answer, "1");

	/* A call in the old one goes on there, others are in the new one. */
	waiter_begin(&w, 0);
	put_object("echo-2", "echo");
	assert_int_equal(pthread_create(&thread, NULL, swap_thread, &ret), 0);
	do
		assert_int_equal(ask("test.user", "who", answer), 0);
	while (strcmp(answer, "2"));
	assert_int_equal(mapped(), 3);
	release(&w);
	assert_int_equal(waiter_end(&w), 0);
	close_fds(&w);
	pthread_join(thread, NULL);
	assert_int_equal(ret, 0);
	assert_int_equal(mapped(), 2);
	put_object("echo-1", "echo");
	assert_int_equal(swap("echo"), -EPROTO);
	assert_said("in version 1, 2 in version 2");
	/* One that cannot start leaves all as it was. */
	put_object("user-fails", "user");
	assert_int_equal(swap("user"), -ENOTUNIQ);
	assert_int_equal(ask("test.user", "who", answer), 0);
	assert_int_equal(mapped(), 2);
}

/* ---- overruns --------------------------------------------------------------------------- */

static void test_quarantine(void **state)
{
	char answer[NEXUS_ECHO_MAX];
	struct service_info info;
	struct nexus_ref *ref;
	struct waiter w;

	(void)state;
	world_begin(false, 2000);
	put_object("echo-1", "echo");
	put_object("bad-start-fails", "bad");
	assert_int_equal(load("echo"), 0);
	assert_int_equal(service_get(reg, "test", NEXUS_ECHO, 1, &ref), 0);
	waiter_begin(&w, 0);
	assert_int_equal(waiter_end(&w), -ETIMEDOUT);
	assert_int_equal(state_of("echo", &info), SERVICE_QUARANTINED);
	assert_true(info.mapped);
	assert_int_equal(info.calls_running, 1);
	assert_int_equal(info.overruns, 1);
	assert_int_equal(say(ref, "hello", NULL, 0), -ESHUTDOWN);
	assert_int_equal(ask(NEXUS_ECHO, "hello", NULL), -ENOENT);
	/* Everything else goes on. */
	assert_int_equal(load("bad"), -EADV);
	put_object("twin", "twin");
	assert_int_equal(load("twin"), 0);
	assert_int_equal(ask(NEXUS_ECHO, "who", answer), 0);
	assert_int_equal(unload("twin"), 0);
	assert_int_equal(load("echo"), -EEXIST);
	assert_said("is quarantined");
	assert_int_equal(unload("echo"), -EBUSY);
	assert_said("test holds nexus.echo");
	/* A better build takes its place, with the references there are. */
	put_object("echo-2", "echo");
	assert_int_equal(swap("echo"), 0);
	assert_int_equal(say(ref, "who", answer, 0), 0);
	assert_string_equal(answer, "2");
	assert_int_equal(mapped(), 2);
	service_put(ref);
	release(&w);
	wait_unmapped(1);
	close_fds(&w);
	assert_int_equal(unload("echo"), 0);
}

static void test_quarantine_unload(void **state)
{
	struct waiter w;
	int ret;

	(void)state;
	world_begin(false, 2000);
	put_object("echo-1", "echo");
	assert_int_equal(load("echo"), 0);
	waiter_begin(&w, 0);
	assert_int_equal(waiter_end(&w), -ETIMEDOUT);
	assert_int_equal(unload("echo"), -EBUSY);
	assert_said("a call into it has not returned");
	release(&w);
	wait_unmapped(0);
	close_fds(&w);
	assert_int_equal(state_of("echo", NULL), SERVICE_QUARANTINED);
	do
		ret = unload("echo");
	while (ret == -EBUSY);
	assert_int_equal(ret, 0);
	assert_int_equal(state_of("echo", NULL), 0);
	assert_int_equal(load("echo"), 0);
}

/* Who waits for less goes earlier, and that is no fault of the service. */
static void test_impatient(void **state)
{
	struct waiter w;

	(void)state;
	world_begin(false, 3000);
	put_object("echo-1", "echo");
	assert_int_equal(load("echo"), 0);
	waiter_begin(&w, 10);
	assert_int_equal(waiter_end(&w), -ETIMEDOUT);
	assert_int_equal(state_of("echo", NULL), SERVICE_ACTIVE);
	assert_int_equal(ask(NEXUS_ECHO, "hello", NULL), 0);
	/* The watch finds what nobody waits for any more. */
	while (state_of("echo", NULL) != SERVICE_QUARANTINED)
		usleep(10000);
	release(&w);
	wait_unmapped(0);
	close_fds(&w);
}

static void test_only_reported(void **state)
{
	struct service_info info = { .calls_running = 0 };
	struct waiter w;

	(void)state;
	world_begin(false, 2000);
	registry_end(reg);
	assert_true(registry_free(reg));
	reg_opts.quarantine = false;
	reg = registry_new(&reg_opts);
	put_object("echo-1", "echo");
	assert_int_equal(load("echo"), 0);
	waiter_begin(&w, 0);
	assert_int_equal(waiter_end(&w), -ETIMEDOUT);
	assert_int_equal(state_of("echo", &info), SERVICE_ACTIVE);
	assert_int_equal(info.overruns, 1);
	assert_int_equal(ask(NEXUS_ECHO, "hello", NULL), 0);
	/* Nothing holds it but the call, and it cannot be unmapped beneath that. */
	assert_int_equal(unload("echo"), -ETIMEDOUT);
	assert_said("its object stays");
	assert_int_equal(mapped(), 1);
	assert_int_equal(state_of("echo", NULL), SERVICE_QUARANTINED);
	release(&w);
	wait_unmapped(0);
	close_fds(&w);
}

/* So do steps of a service's life. */
static void test_step_hangs(void **state)
{
	char number[16];
	int fds[2];

	(void)state;
	world_begin(false, 2000);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	snprintf(number, sizeof(number), "%d", fds[0]);
	setenv("NEXUS_TEST_FD", number, 1);
	put_object("bad-start-hangs", "bad");
	assert_int_equal(load("bad"), -ETIMEDOUT);
	assert_said("service_start did not return within 2000 ms");
	assert_int_equal(mapped(), 1);
	assert_int_equal(state_of("bad", NULL), SERVICE_QUARANTINED);
	put_object("echo-1", "echo");
	assert_int_equal(load("echo"), 0);
	assert_int_equal(ask(NEXUS_ECHO, "hello", NULL), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	wait_unmapped(1);

	put_object("bad-stop-hangs", "bad");
	assert_int_equal(load("bad"), 0);
	assert_int_equal(unload("bad"), -ETIMEDOUT);
	assert_said("its object stays");
	assert_int_equal(mapped(), 2);
	assert_int_equal(ask(NEXUS_ECHO, "hello", NULL), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	wait_unmapped(1);
	unsetenv("NEXUS_TEST_FD");
	close(fds[0]);
	close(fds[1]);
}

/* The helper ends although a call does not. */
static void test_end_hangs(void **state)
{
	static struct registry *left;
	struct registry_counts counts;
	struct waiter w;

	(void)state;
	world_begin(false, 2000);
	put_object("echo-1", "echo");
	put_object("user", "user");
	assert_int_equal(load("echo"), 0);
	assert_int_equal(load("user"), 0);
	waiter_begin(&w, 0);
	assert_int_equal(waiter_end(&w), -ETIMEDOUT);
	registry_end(reg);
	assert_int_equal(mapped(), 1);
	assert_false(registry_free(reg));
	/* The process ends with it; here it may come back, and finds all it needs. */
	left = reg;
	reg = NULL;
	release(&w);
	do {
		usleep(1000);
		registry_counts(left, &counts);
	} while (counts.threads);
	assert_false(registry_free(left));
	close_fds(&w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, world_setup, world_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(swap),
		TEST(quarantine),
		TEST(quarantine_unload),
		TEST(impatient),
		TEST(only_reported),
		TEST(step_hangs),
		TEST(end_hangs),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
