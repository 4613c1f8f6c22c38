// SPDX-License-Identifier: Apache-2.0
/* rpc_grpc against the control socket: the same calls, the same answers, the same rights. */
#include "grpc-world.h"

#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <nexus/rpc.h>

#include "nexus-proto.h"
#include "rpc.h"

static void begin_test(const char *group)
{
	grpc_begin(group, NULL);
	load_rpc();
	load_echo();
}

/* ---- the same answers ---------------------------------------------------------------- */

static void same(const char *service, const char *method, const void *req, size_t len)
{
	struct outcome a, b;
	const char *differs;

	fake_clear(&h->fake);
	ask_ttrpc(service, method, req, len, &a);
	fake_clear(&h->fake);
	ask_grpc(NULL, service, method, req, len, 0, &b);
	differs = outcome_differs(&a, &b);
	if (*differs)
		fail_msg("%s/%s: %s", service, method, differs);
	outcome_free(&a);
	outcome_free(&b);
}

static const struct {
	const char *text;
	size_t len;
} payloads[] = {
	{ "", 0 }, { "\xff\xff\xff", 3 }, { "\n\5hello", 7 }, { "\n\2\xc3\x28", 4 }, { "\x08\x01", 2 },
	{ "\n\4zone\x12\4none", 12 },
};

/* Every method of the helper's own, with what it wants and what it cannot want. */
static void test_own_methods(void **state)
{
	const struct rpc_service *s;
	const struct rpc_method *m;
	unsigned int n = 0;
	size_t i;

	(void)state;
	begin_test(NULL);
	for (s = h->services; s->name; s++)
		for (m = s->methods; m->name; m++)
			for (i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++, n++)
				same(s->name, m->name, payloads[i].text, payloads[i].len);
	assert_true(n > 100);
	grpc_end();
}

static void test_loaded_methods(void **state)
{
	static const char *const methods[] = { "Root", "Admin", "Self", "All", "Fails", "Stale", "Large",
		"None", "" };
	char big[NEXUS_RPC_REQUEST_MAX + 1] = { 0 };
	char name[200];
	size_t i, k;

	(void)state;
	begin_test(NULL);
	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		for (k = 0; k < sizeof(payloads) / sizeof(payloads[0]); k++)
			same(TEST, methods[i], payloads[k].text, payloads[k].len);
	same(ECHO, "Echo", "\n\5hello", 7);
	same("no.such.Service", "None", "", 0);
	same(TEST, "Self", big, sizeof(big));
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	same(TEST, name, "", 0);
	same(name, "All", "", 0);
	/* A service that is gone has no methods, on either way. */
	assert_int_equal(unload("rpc"), 0);
	same(TEST, "All", "", 0);
	grpc_end();
}

static void same_stream(const char *service, const char *method, const void *req, size_t len,
			unsigned int messages)
{
	void *conn = grpc_connect();
	int fd = raw_connect(h);
	struct outcome a, b;
	const char *differs;
	unsigned int n = 0;
	bool last;

	assert_true(raw_request(fd, 1, FRAME_REMOTE_CLOSED, service, method, req, len, 0));
	begin_grpc(conn, service, method, req, len);
	do {
		next_ttrpc(fd, &a);
		next_grpc(conn, &b);
		differs = outcome_differs(&a, &b);
		if (*differs)
			fail_msg("%s/%s, message %u: %s", service, method, n, differs);
		last = a.last;
		n += !last;
		outcome_free(&a);
		outcome_free(&b);
	} while (!last);
	assert_int_equal(n, messages);
	way->close(conn);
	close(fd);
}

static void test_streams(void **state)
{
	Nexus__Echo__V1__RepeatRequest req = NEXUS__ECHO__V1__REPEAT_REQUEST__INIT;
	uint8_t buf[300];
	size_t len;

	(void)state;
	begin_test(NULL);
	same_stream(TEST, "Breaks", "", 0, 2);
	same_stream(TEST, "Refuses", "", 0, 0);
	req.text = (char *)"again";
	req.count = 5000;
	len = nexus__echo__v1__repeat_request__pack(&req, buf);
	same_stream(ECHO, "Repeat", buf, len, 5000);
	same_stream(ECHO, "Repeat", "\xff", 1, 0);
	grpc_end();
}

/* ---- the same rights ------------------------------------------------------------------ */

static const struct { uid_t uid; gid_t gid; } callers[] = { { 0, 0 }, { 4711, 1 }, { 4711, 4711 } };

struct where {
	char path[sizeof(((struct harness *)NULL)->path)];
	char grpc[sizeof(grpc_path)];
};

/* What may be called by whom: "rg-" root and members of the group. */
static const struct {
	const char *service, *method, *who, *req;
	size_t len;
} may[] = {
	{ TEST, "Root", "r--", "", 0 },
	{ TEST, "Admin", "rg-", "", 0 },
	{ TEST, "Self", "rgo", "", 0 },
	{ TEST, "Self", "rgo", "\n\11user:4711", 11 },
	{ TEST, "Self", "rg-", "\n\11user:4712", 11 },
	{ TEST, "All", "rgo", "", 0 },
	{ ECHO, "Echo", "rgo", "\n\2hi", 4 },
	{ "nexus.control.v1.Zones", "Create", "rg-", "\n\1z", 3 },
	{ "nexus.control.v1.Zones", "List", "rgo", "", 0 },
	{ "nexus.control.v1.Zones", "Upgrade", "rg-", "\n\1z", 3 },
	{ "nexus.control.v1.Health", "Check", "rgo", "", 0 },
	{ "nexus.control.v1.Version", "Get", "rgo", "", 0 },
	{ "nexus.control.v1.Session", "Status", "rgo", "", 0 },
	{ "nexus.service.v1.Services", "Load", "rg-", "\n\1x", 3 },
	{ "nexus.service.v1.Services", "Unload", "rg-", "\n\1x", 3 },
	{ "nexus.service.v1.Services", "Swap", "rg-", "\n\1x", 3 },
	{ "nexus.service.v1.Services", "List", "rgo", "", 0 },
};

/* The number of the call that went another way, or 0. */
static int try_all(size_t column)
{
	struct outcome a, b;
	size_t i;
	bool yes;

	for (i = 0; i < sizeof(may) / sizeof(may[0]); i++) {
		yes = may[i].who[column] != '-';
		ask_ttrpc(may[i].service, may[i].method, may[i].req, may[i].len, &a);
		ask_grpc(NULL, may[i].service, may[i].method, may[i].req, may[i].len, 0, &b);
		if ((a.code == RPC_PERMISSION_DENIED) == yes || (b.code == RPC_PERMISSION_DENIED) == yes)
			return (int)i + 1;
		/* Where the words do not tell what others have changed meanwhile. */
		if (a.code == RPC_PERMISSION_DENIED && *outcome_differs(&a, &b))
			return (int)i + 101;
		outcome_free(&a);
		outcome_free(&b);
	}
	return 0;
}

static int caller_main(size_t i, int go)
{
	static struct harness there;
	struct where where;

	if (setgroups(0, NULL) || setresgid(callers[i].gid, callers[i].gid, callers[i].gid) ||
	    setresuid(callers[i].uid, callers[i].uid, callers[i].uid))
		return 250;
	if (read(go, &where, sizeof(where)) != (ssize_t)sizeof(where))
		return 251;
	memcpy(there.path, where.path, sizeof(there.path));
	memcpy(grpc_path, where.grpc, sizeof(grpc_path));
	h = &there;
	return try_all(i);
}

static void test_who(void **state)
{
	const struct group *group = getgrgid(1);
	struct where where;
	char name[64];
	pid_t pid[3];
	int go[3][2], status;
	size_t i;

	(void)state;
	if (geteuid() || !group)
		skip();
	snprintf(name, sizeof(name), "%s", group->gr_name);
	/* Before there are threads, one of which may have a lock of malloc(). */
	for (i = 0; i < 3; i++) {
		assert_int_equal(pipe2(go[i], O_CLOEXEC), 0);
		pid[i] = fork();
		assert_true(pid[i] >= 0);
		if (!pid[i]) {
			close(go[i][1]);
			_exit(caller_main(i, go[i][0]));
		}
		close(go[i][0]);
	}
	begin_test(name);
	memcpy(where.path, h->path, sizeof(where.path));
	memcpy(where.grpc, grpc_path, sizeof(where.grpc));
	for (i = 0; i < 3; i++) {
		assert_int_equal(write(go[i][1], &where, sizeof(where)), sizeof(where));
		close(go[i][1]);
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		if (status)
			fail_msg("uid %u, gid %u: call %d, status %x", (unsigned int)callers[i].uid,
				 (unsigned int)callers[i].gid, WEXITSTATUS(status), (unsigned int)status);
	}
	grpc_end();
}

/* ---- deadlines, cancelling ------------------------------------------------------------- */

static void expect(const struct outcome *o, int code, const char *words)
{
	if (o->code != code || !strstr(o->message, words))
		fail_msg("%d %s, and not %d %s", o->code, o->message, code, words);
}

static void test_deadline(void **state)
{
	int hold[2];
	struct outcome o;
	char text[8];

	(void)state;
	begin_test(NULL);
	assert_int_equal(pipe(hold), 0);
	snprintf(text, sizeof(text), "%d", hold[0]);
	setenv("NEXUS_TEST_FD", text, 1);
	ask_grpc(NULL, TEST, "Hangs", "", 0, 50, &o);
	assert_int_equal(o.code, RPC_DEADLINE_EXCEEDED);
	outcome_free(&o);
	/* It is still at work; others are served meanwhile. */
	ask_grpc(NULL, TEST, "All", "", 0, WAIT_MS, &o);
	assert_int_equal(o.code, RPC_OK);
	outcome_free(&o);
	close(hold[1]);
	grpc_end();
	close(hold[0]);
}

/* Who goes is noticed by the service, whose streams end. */
static void test_cancel(void **state)
{
	struct outcome o;
	void *conn;
	int i;

	(void)state;
	begin_test(NULL);
	for (i = 0; i < 8; i++) {
		conn = grpc_connect();
		begin_grpc(conn, TEST, i & 1 ? "Flood" : "Silent", "", 0);
		if (i & 1) {
			next_grpc(conn, &o);
			assert_false(o.last);
			outcome_free(&o);
		}
		if (!(i & 1))
			await_count("opened", i + 1);
		way->close(conn);
	}
	await_count("closed", 8);
	grpc_end();
}

/* One that does not read is not sent more than little, and holds up nobody. */
static void test_slow_reader(void **state)
{
	void *conn, *other;
	uint32_t number, i;
	struct outcome o;

	(void)state;
	begin_test(NULL);
	conn = grpc_connect();
	begin_grpc(conn, TEST, "Flood", "", 0);
	other = grpc_connect();
	for (i = 0; i < 200; i++) {
		ask_grpc(other, TEST, "All", "", 0, WAIT_MS, &o);
		assert_int_equal(o.code, RPC_OK);
		outcome_free(&o);
	}
	for (i = 0; i < 5000; i++) {
		next_grpc(conn, &o);
		assert_int_equal(o.len, 1024);
		memcpy(&number, o.data, sizeof(number));
		assert_int_equal(number, i);
		outcome_free(&o);
	}
	way->close(other);
	way->close(conn);
	await_count("closed", 1);
	grpc_end();
}

/* ---- health ---------------------------------------------------------------------------- */

static void health(void *conn, const char *service, int code, int status)
{
	Grpc__Health__V1__HealthCheckRequest req = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	Grpc__Health__V1__HealthCheckResponse *msg;
	struct outcome o;
	uint8_t buf[300];
	size_t len;

	req.service = (char *)service;
	len = grpc__health__v1__health_check_request__pack(&req, buf);
	ask_grpc(conn, HEALTH, "Check", buf, len, WAIT_MS, &o);
	assert_int_equal(o.code, code);
	if (code == RPC_OK) {
		msg = grpc__health__v1__health_check_response__unpack(NULL, o.len, o.data);
		assert_non_null(msg);
		assert_int_equal(msg->status, status);
		grpc__health__v1__health_check_response__free_unpacked(msg, NULL);
	}
	outcome_free(&o);
}

static void watched(void *conn, int status)
{
	Grpc__Health__V1__HealthCheckResponse *msg;
	struct outcome o;

	next_grpc(conn, &o);
	assert_false(o.last);
	msg = grpc__health__v1__health_check_response__unpack(NULL, o.len, o.data);
	assert_non_null(msg);
	assert_int_equal(msg->status, status);
	grpc__health__v1__health_check_response__free_unpacked(msg, NULL);
	outcome_free(&o);
}

static void test_health(void **state)
{
	Grpc__Health__V1__HealthCheckRequest req = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	struct outcome o;
	uint8_t buf[64];
	size_t len;
	void *conn, *watch;

	(void)state;
	begin_test(NULL);
	conn = grpc_connect();
	health(conn, "", RPC_OK, 1);
	health(conn, "nexus.control.v1.Zones", RPC_OK, 1);
	health(conn, TEST, RPC_OK, 1);
	health(conn, "test.rpc.v1.Tes", RPC_NOT_FOUND, 0);
	ask_grpc(conn, HEALTH, "Check", "\xff", 1, WAIT_MS, &o);
	expect(&o, RPC_INVALID_ARGUMENT, "no grpc.health.v1.HealthCheckRequest");
	outcome_free(&o);
	ask_grpc(conn, HEALTH, "Else", "", 0, WAIT_MS, &o);
	expect(&o, RPC_UNIMPLEMENTED, "unknown method");
	outcome_free(&o);

	watch = grpc_connect();
	req.service = (char *)TEST;
	len = grpc__health__v1__health_check_request__pack(&req, buf);
	begin_grpc(watch, HEALTH, "Watch", buf, len);
	watched(watch, 1);
	assert_int_equal(unload("rpc"), 0);
	watched(watch, 3);
	load_rpc();
	watched(watch, 1);
	/* It ends with the service that tells it. */
	assert_int_equal(unload("rpc_grpc"), 0);
	next_grpc(watch, &o);
	assert_true(o.last);
	expect(&o, RPC_UNAVAILABLE, "");
	outcome_free(&o);
	way->close(watch);
	way->close(conn);
	grpc_end();
}

/* ---- going ------------------------------------------------------------------------------ */

static atomic_int over;

static void *call_on_and_on(void *arg)
{
	void *conn = grpc_connect();
	long calls = 0;
	struct outcome o;

	while (!atomic_load(&over)) {
		ask_grpc(conn, TEST, "All", "", 0, WAIT_MS, &o);
		if (o.code) {
			print_error("call %ld: %d %s\n", calls, o.code, o.message);
			break;
		}
		outcome_free(&o);
		calls++;
	}
	*(bool *)arg = !o.code && calls > 0;
	outcome_free(&o);
	way->close(conn);
	return NULL;
}

/* A newer build takes over: no call fails, no stream ends, no connection does. */
static void test_swap(void **state)
{
	pthread_t thread[4];
	bool ok[4] = { false };
	struct outcome o;
	void *conn, *flood;
	uint32_t next = 0, number;
	int i, k;

	(void)state;
	begin_test(NULL);
	atomic_store(&over, 0);
	flood = grpc_connect();
	begin_grpc(flood, TEST, "Flood", "", 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, call_on_and_on, &ok[i]), 0);
	for (i = 0; i < 20; i++) {
		conn = grpc_connect();
		begin_grpc(conn, TEST, "Silent", "", 0);
		await_count("opened", i + 2);
		if (swap("rpc_grpc"))
			fail_msg("%s", reg_err.msg);
		assert_int_equal(mapped(), 3);	/* with the two that are called */
		for (k = 0; k < 100; k++, next++) {
			next_grpc(flood, &o);
			assert_int_equal(o.len, 1024);
			memcpy(&number, o.data, sizeof(number));
			assert_int_equal(number, next);
			outcome_free(&o);
		}
		/* That it goes is noticed by the build that has not begun it. */
		way->close(conn);
		await_count("closed", i + 1);
	}
	way->close(flood);
	await_count("closed", 21);
	atomic_store(&over, 1);
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		assert_true(ok[i]);
	}
	grpc_end();
}

static void *hang(void *arg)
{
	struct outcome o;

	ask_grpc(NULL, TEST, "Hangs", "", 0, 0, &o);
	*(int *)arg = o.code;
	outcome_free(&o);
	return NULL;
}

/* A call that does not return does not keep it, and is not waited for without end. */
static void test_unload_in_flight(void **state)
{
	const struct grpc_numbers numbers = { .service_timeout = 1 };
	struct service_info info;
	int hold[2], code = -1, i;
	pthread_t thread;
	char text[8];

	(void)state;
	grpc_begin(NULL, &numbers);
	load_rpc();
	assert_int_equal(pipe(hold), 0);
	snprintf(text, sizeof(text), "%d", hold[0]);
	setenv("NEXUS_TEST_FD", text, 1);
	assert_int_equal(pthread_create(&thread, NULL, hang, &code), 0);
	for (i = 0; i < 20000 && (!state_of("rpc", &info) || !info.calls_running); i++)
		usleep(1000);
	assert_int_equal(info.calls_running, 1);
	assert_int_equal(unload("rpc_grpc"), 0);
	assert_int_equal(state_of("rpc_grpc", NULL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(code, RPC_UNAVAILABLE);
	/* The table's side of it goes on, and the other way is open. */
	state_of("rpc", &info);
	assert_int_equal(info.calls_running, 1);
	close(hold[1]);
	grpc_end();
	close(hold[0]);
}

static void test_loaded_again(void **state)
{
	struct outcome o;
	int i;

	(void)state;
	begin_test(NULL);
	for (i = 0; i < 50; i++) {
		ask_grpc(NULL, TEST, "All", "", 0, WAIT_MS, &o);
		assert_int_equal(o.code, RPC_OK);
		outcome_free(&o);
		assert_int_equal(unload("rpc_grpc"), 0);
		assert_int_equal(load("rpc_grpc"), 0);
	}
	grpc_end();
}

/* What keeps it from starting. */
static void test_refused_starts(void **state)
{
	char other[sizeof(grpc_path)];

	(void)state;
	begin_test(NULL);
	assert_int_equal(unload("rpc_grpc"), 0);
	assert_int_equal(mkdir(grpc_path, 0700), 0);
	assert_int_equal(load("rpc_grpc"), -EEXIST);
	assert_int_equal(rmdir(grpc_path), 0);
	memcpy(other, grpc_path, sizeof(other));
	snprintf(grpc_path, sizeof(grpc_path), "/nonexistent/grpc.sock");
	assert_int_equal(load("rpc_grpc"), -ENOENT);
	snprintf(grpc_path, sizeof(grpc_path), "none");
	assert_int_equal(load("rpc_grpc"), -EINVAL);
	memcpy(grpc_path, other, sizeof(other));
	registry_set_front(reg, NULL);
	assert_int_equal(load("rpc_grpc"), -EOPNOTSUPP);
	grpc_end();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		/* The first: it forks. */
		TEST_IN_WORLD(test_who),
		TEST_IN_WORLD(test_own_methods),
		TEST_IN_WORLD(test_loaded_methods),
		TEST_IN_WORLD(test_streams),
		TEST_IN_WORLD(test_deadline),
		TEST_IN_WORLD(test_cancel),
		TEST_IN_WORLD(test_slow_reader),
		TEST_IN_WORLD(test_health),
		TEST_IN_WORLD(test_swap),
		TEST_IN_WORLD(test_unload_in_flight),
		TEST_IN_WORLD(test_loaded_again),
		TEST_IN_WORLD(test_refused_starts),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
