// SPDX-License-Identifier: Apache-2.0
/*
 * Services called over the control socket: the registry and the server as they are
 * in the helper, who may call what, and what a swap or a quarantine makes of it.
 */
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <nexus/rpc.h>

#include "nexus-proto.h"
#include "service-caller.h"

/* ---- unary ------------------------------------------------------------------------- */

static void test_echo(void **state)
{
	static const char deep[] = "\x0a\x7fshort", nul[] = "\x0a\x03" "a\0b";
	char req[1024], text[1024], big[512];
	Nexus__Echo__V1__EchoResponse *msg;
	struct answer a;
	size_t len;
	int fd;

	(void)state;
	begin();
	fd = raw_connect(h);
	len = echo_request(req, "größe");
	assert_int_equal(call_on(fd, ECHO, "Echo", req, len, text, sizeof(text)), RPC_UNIMPLEMENTED);
	load_echo();
	assert_true(raw_call(fd, 3, ECHO, "Echo", req, len, 0));
	assert_true(raw_answer(fd, &a));
	assert_int_equal(a.code, RPC_OK);
	msg = nexus__echo__v1__echo_response__unpack(NULL, a.len, a.payload);
	assert_non_null(msg);
	assert_string_equal(msg->text, "größe");
	nexus__echo__v1__echo_response__free_unpacked(msg, NULL);
	free(a.payload);

	memset(big, 'x', 300);
	big[300] = '\0';
	len = echo_request(req, big);
	assert_int_equal(call_on(fd, ECHO, "Echo", req, len, NULL, 0), RPC_INVALID_ARGUMENT);
	len = echo_request(req, "\xff");
	assert_int_equal(call_on(fd, ECHO, "Echo", req, len, text, sizeof(text)), RPC_INVALID_ARGUMENT);
	assert_has(text, "the text is not valid UTF-8");
	/* Not up to the NUL, either. */
	assert_int_equal(call_on(fd, ECHO, "Echo", nul, sizeof(nul) - 1, text, sizeof(text)),
			 RPC_INVALID_ARGUMENT);
	assert_has(text, "the text is not valid UTF-8");
	assert_int_equal(call_on(fd, ECHO, "Echo", deep, sizeof(deep) - 1, text, sizeof(text)),
			 RPC_INVALID_ARGUMENT);
	assert_has(text, "the payload is no nexus.echo.v1.EchoRequest");
	assert_int_equal(call_on(fd, ECHO, "Nothing", NULL, 0, text, sizeof(text)), RPC_UNIMPLEMENTED);
	assert_int_equal(call_on(fd, "nexus.echo.v1", "Echo", NULL, 0, NULL, 0), RPC_UNIMPLEMENTED);
	/* Nobody has to be called for it to go. */
	assert_int_equal(unload("echo"), 0);
	assert_int_equal(call_on(fd, ECHO, "Echo", req, 0, NULL, 0), RPC_UNIMPLEMENTED);
	close(fd);
	end();
}

static void test_request_size(void **state)
{
	char *big = calloc(1, NEXUS_RPC_REQUEST_MAX + 1), text[256];
	int fd;

	(void)state;
	assert_non_null(big);
	begin();
	load_rpc();
	fd = raw_connect(h);
	assert_int_equal(call_on(fd, TEST, "All", big, NEXUS_RPC_REQUEST_MAX, NULL, 0), RPC_OK);
	assert_int_equal(call_on(fd, TEST, "All", big, NEXUS_RPC_REQUEST_MAX + 1, text, sizeof(text)),
			 RPC_INVALID_ARGUMENT);
	assert_has(text, "524289 bytes");
	assert_int_equal(count("reached"), 1);
	close(fd);
	free(big);
	end();
}

static void test_errors(void **state)
{
	char text[512];
	struct answer a;
	int fd;

	(void)state;
	begin();
	load_rpc();
	fd = raw_connect(h);
	assert_true(raw_call(fd, 1, TEST, "Fails", NULL, 0, 0));
	assert_true(raw_answer(fd, &a));
	assert_int_equal(a.code, RPC_UNAUTHENTICATED);
	assert_int_equal(a.error, EKEYEXPIRED);
	assert_string_equal(a.message, "it is not yours");
	assert_int_equal(call("Stale", text, sizeof(text)), RPC_ABORTED);
	assert_int_equal(count("reached"), 1);
	assert_int_equal(call("Large", text, sizeof(text)), RPC_INVALID_ARGUMENT);
	assert_int_equal(call("Flood", text, sizeof(text)), RPC_INVALID_ARGUMENT);
	assert_has(text, "answers with a stream");
	assert_true(raw_request(fd, 5, FRAME_REMOTE_OPEN, TEST, "All", NULL, 0, 0));
	expect_error(fd, 5, RPC_UNIMPLEMENTED, "takes no stream");
	assert_true(raw_request(fd, 7, FRAME_REMOTE_CLOSED, TEST, "All", NULL, 0, 0));
	raw_expect(fd, 7, RPC_OK);
	assert_true(raw_request(fd, 9, FRAME_REMOTE_CLOSED, TEST, "Refuses", NULL, 0, 0));
	expect_error(fd, 9, RPC_FAILED_PRECONDITION, "");
	close(fd);
	end();
}

static void test_bad_name(void **state)
{
	(void)state;
	begin();
	put_object("rpc-bad-name", "rpc");
	assert_int_equal(load("rpc"), -EPROTO);
	assert_said("has not the name of a protocol it provides");
	end();
}

/* ---- who ---------------------------------------------------------------------------- */

struct try_call {
	const char *method;
	const char *subject;
	bool stream;
	int root, admin, other;		/* codes */
};

static const struct try_call tries[] = {
	{ "Root", NULL, false, RPC_OK, RPC_PERMISSION_DENIED, RPC_PERMISSION_DENIED },
	{ "Admin", NULL, false, RPC_OK, RPC_OK, RPC_PERMISSION_DENIED },
	{ "Self", "user:4711", false, RPC_OK, RPC_OK, RPC_OK },
	{ "Self", "", false, RPC_OK, RPC_OK, RPC_OK },
	{ "Self", "user:4712", false, RPC_OK, RPC_OK, RPC_PERMISSION_DENIED },
	{ "Self", "user:47110", false, RPC_OK, RPC_OK, RPC_PERMISSION_DENIED },
	{ "Self", "agent:4711", false, RPC_OK, RPC_OK, RPC_PERMISSION_DENIED },
	{ "All", NULL, false, RPC_OK, RPC_OK, RPC_OK },
	{ "AdminStream", NULL, true, RPC_OK, RPC_OK, RPC_PERMISSION_DENIED },
};

/* In a process of its own, as somebody else; the number of the first wrong one, or 0. */
static int try_as(uid_t uid, gid_t gid, size_t column)
{
	char req[512];
	struct answer a;
	size_t i, len;
	int fd, want;

	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return 99;
	fd = raw_connect(h);
	for (i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		const struct try_call *t = &tries[i];

		want = column == 0 ? t->root : column == 1 ? t->admin : t->other;
		len = t->subject ? echo_request(req, t->subject) : 0;
		if (!raw_request(fd, (uint32_t)i * 2 + 1, t->stream ? FRAME_REMOTE_OPEN : 0, TEST,
				 t->method, req, len, 0))
			return (int)i + 1;
		/* A stream that has begun says nothing until its end. */
		if (t->stream && want == RPC_OK) {
			raw_frame(fd, (uint32_t)i * 2 + 1, FRAME_DATA,
				  FRAME_REMOTE_CLOSED | FRAME_NO_DATA, "", 0);
			expect_end(fd, (uint32_t)i * 2 + 1);
			continue;
		}
		if (!raw_answer(fd, &a) || a.code != want)
			return (int)i + 1;
		free(a.payload);
	}
	return 0;
}

struct caller {
	pid_t pid;
	int go;
};

/* Made before there are threads, and waits to be told where the socket is. */
static struct caller caller_new(uid_t uid, gid_t gid, size_t column)
{
	static struct harness there;
	struct caller c;
	int go[2];

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	c.pid = fork();
	assert_true(c.pid >= 0);
	if (!c.pid) {
		close(go[1]);
		h = &there;
		_exit(read(go[0], there.path, sizeof(there.path)) == (ssize_t)sizeof(there.path) ?
		      try_as(uid, gid, column) : 98);
	}
	close(go[0]);
	c.go = go[1];
	return c;
}

static void test_who(void **state)
{
	static const struct { uid_t uid; gid_t gid; } who[] = { { 0, 0 }, { 4711, 1 }, { 4711, 4711 } };
	const struct group *group = getgrgid(1);
	struct caller callers[3];
	int i, status, reached = 0;
	char name[64];

	(void)state;
	if (geteuid() || !group)
		skip();
	snprintf(name, sizeof(name), "%s", group->gr_name);
	for (i = 0; i < 3; i++)
		callers[i] = caller_new(who[i].uid, who[i].gid, (size_t)i);
	begin_with(0, 0, name);
	assert_int_equal(chmod(h->path, 0666), 0);
	load_rpc();
	for (i = 0; i < 3; i++) {
		assert_int_equal(write(callers[i].go, h->path, sizeof(h->path)), sizeof(h->path));
		close(callers[i].go);
		assert_int_equal(waitpid(callers[i].pid, &status, 0), callers[i].pid);
		assert_int_equal(status, 0);
		/* Who is refused does not reach it. */
		reached += i == 0 ? 8 : i == 1 ? 7 : 3;
		assert_int_equal(count("reached"), reached);
		assert_int_equal(count("opened"), i == 0 ? 1 : 2);
	}
	end();
}

static void test_caller(void **state)
{
	char text[256], want[64];

	(void)state;
	begin();
	load_rpc();
	assert_int_equal(call("Counts", text, sizeof(text)), RPC_OK);
	snprintf(want, sizeof(want), "subject=user:%u admin=%d", (unsigned int)geteuid(), !geteuid());
	assert_has(text, want);
	end();
}

/* ---- swap and quarantine ------------------------------------------------------------- */

static atomic_bool over;
static atomic_uint done, wrong;

static void *call_on_and_on(void *arg)
{
	int fd = raw_connect(h), code;
	char text[64];

	(void)arg;
	while (!atomic_load(&over)) {
		code = call_on(fd, TEST, "All", NULL, 0, text, sizeof(text));
		if (code != RPC_OK ||
		    (strcmp(text, "hello from 1") && strcmp(text, "hello from 2")))
			atomic_fetch_add(&wrong, 1);
		atomic_fetch_add(&done, 1);
	}
	close(fd);
	return NULL;
}

static void test_swap(void **state)
{
	pthread_t thread[2];
	unsigned int i, before;
	char text[64];
	int fd;

	(void)state;
	atomic_store(&over, false);
	begin();
	load_rpc();
	fd = raw_connect(h);
	stream_begin(fd, 1, FRAME_REMOTE_CLOSED, "Silent");
	await_count("opened", 1);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, call_on_and_on, NULL), 0);
	for (i = 0; i < 50; i++) {
		put_object(i % 2 ? "rpc-1" : "rpc-2", "rpc");
		before = atomic_load(&done);
		assert_int_equal(swap("rpc"), 0);
		assert_int_equal(call("All", text, sizeof(text)), RPC_OK);
		assert_string_equal(text, i % 2 ? "hello from 1" : "hello from 2");
		while (atomic_load(&done) < before + 2)
			usleep(20);
	}
	atomic_store(&over, true);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(atomic_load(&wrong), 0);
	/* The first swap took it. */
	expect_error(fd, 1, RPC_UNAVAILABLE, "was replaced");
	close(fd);
	assert_int_equal(mapped(), 1);
	end();
}

static void test_quarantine(void **state)
{
	char text[256], number[16];
	int fds[2], fd;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	snprintf(number, sizeof(number), "%d", fds[0]);
	setenv("NEXUS_TEST_FD", number, 1);
	begin_with(5000, 0, NULL);
	load_rpc();
	fd = raw_connect(h);
	stream_begin(fd, 1, FRAME_REMOTE_CLOSED, "Silent");
	await_count("opened", 1);
	/* A client with less patience changes nothing. */
	assert_true(raw_call(fd, 3, TEST, "Hangs", NULL, 0, 20000000));
	expect_error(fd, 3, RPC_DEADLINE_EXCEEDED, "did not answer in time");
	assert_int_equal(call("All", text, sizeof(text)), RPC_OK);
	assert_int_equal(call("Hangs", text, sizeof(text)), RPC_DEADLINE_EXCEEDED);
	expect_error(fd, 1, RPC_UNAVAILABLE, "was quarantined");
	assert_int_equal(call("All", text, sizeof(text)), RPC_UNIMPLEMENTED);
	assert_int_equal(state_of("rpc", NULL), SERVICE_QUARANTINED);
	close(fd);
	close(fds[1]);
	harness_stop(h);
	/* Both calls return, which the registry waits for no more. */
	wait_unmapped(0);
	world_end();
	close(fds[0]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_IN_WORLD(test_echo),
		TEST_IN_WORLD(test_request_size),
		TEST_IN_WORLD(test_errors),
		TEST_IN_WORLD(test_bad_name),
		TEST_IN_WORLD(test_who),
		TEST_IN_WORLD(test_caller),
		TEST_IN_WORLD(test_swap),
		TEST_IN_WORLD(test_quarantine),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
