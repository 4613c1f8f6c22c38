// SPDX-License-Identifier: Apache-2.0
/*
 * Services called over the control socket: the registry and the server as they are
 * in the helper, clients that speak in raw bytes, good ones and others.
 */
#include <fcntl.h>
#include <grp.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <nexus/rpc.h>

#include "core_rpc.h"
#include "harness.h"
#include "nexus-proto.h"
#include "service-world.h"

#define TEST	"test.rpc.v1.Test"
#define ECHO	"nexus.echo.v1.Echo"

static struct harness *h;

static void begin_with(uint32_t service_timeout_ms, unsigned int frame_timeout_ms,
		       const char *group)
{
	struct rpc_server_opts opts = {
		.loaded = &core_rpc,
		.frame_timeout_ms = frame_timeout_ms,
		.group = group,
	};

	world_begin(false, service_timeout_ms);
	opts.loaded_ctx = reg;
	h = harness_start(&opts);
}

static void begin(void)
{
	begin_with(0, 0, NULL);
}

static void end(void)
{
	assert_true(works(h));
	harness_stop(h);
	world_end();
}

static void load_rpc(void)
{
	put_object("rpc-1", "rpc");
	assert_int_equal(load("rpc"), 0);
}

static void load_echo(void)
{
	put_object("example", "echo");
	assert_int_equal(load("echo"), 0);
}

/* ---- a client ---------------------------------------------------------------------- */

/* A unary call; its code, *@text gets the payload or the message. */
static int call_on(int fd, const char *service, const char *method, const void *req, size_t len,
		   char *text, size_t room)
{
	static atomic_uint next;
	struct answer a;
	uint32_t id = atomic_fetch_add(&next, 2) + 1;

	assert_true(raw_call(fd, id | 1, service, method, req, len, 0));
	assert_true(raw_answer(fd, &a));
	assert_int_equal(a.stream, id | 1);
	if (text && a.code == RPC_OK)
		snprintf(text, room, "%.*s", (int)a.len, a.payload ? (char *)a.payload : "");
	else if (text)
		snprintf(text, room, "%s", a.message);
	free(a.payload);
	return a.code;
}

static int call(const char *method, char *text, size_t room)
{
	int fd = raw_connect(h), code;

	code = call_on(fd, TEST, method, NULL, 0, text, room);
	close(fd);
	return code;
}

static void assert_has(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("\"%s\" is not in: %s", words, text);
}

/* One of the numbers the service has counted. */
static int count(const char *name)
{
	char text[256], key[32], *at;

	assert_int_equal(call("Counts", text, sizeof(text)), RPC_OK);
	snprintf(key, sizeof(key), "%s=", name);
	at = strstr(text, key);
	assert_non_null(at);
	return atoi(at + strlen(key));
}

/* Until the service has counted so many; it is told by the other end's going. */
static void await_count(const char *name, int want)
{
	int i;

	for (i = 0; i < 20000 && count(name) != want; i++)
		usleep(1000);
	assert_int_equal(count(name), want);
}

static size_t echo_request(char *out, const char *text)
{
	Nexus__Echo__V1__EchoRequest req = NEXUS__ECHO__V1__ECHO_REQUEST__INIT;

	req.text = (char *)text;
	return nexus__echo__v1__echo_request__pack(&req, (uint8_t *)out);
}

static void stream_begin(int fd, uint32_t id, uint8_t flags, const char *method)
{
	assert_true(raw_request(fd, id, flags, TEST, method, NULL, 0, 0));
}

static void repeat_begin(int fd, uint32_t id, const char *text, uint32_t n)
{
	Nexus__Echo__V1__RepeatRequest req = NEXUS__ECHO__V1__REPEAT_REQUEST__INIT;
	uint8_t buf[512];
	size_t len;

	req.text = (char *)text;
	req.count = n;
	len = nexus__echo__v1__repeat_request__pack(&req, buf);
	assert_true(raw_request(fd, id, FRAME_REMOTE_CLOSED, ECHO, "Repeat", buf, len, 0));
}

static void read_full(int fd, void *to, size_t len)
{
	uint8_t *p = to;
	ssize_t n;

	for (; len; p += n, len -= (size_t)n) {
		n = read(fd, p, len);
		assert_true(n > 0);
	}
}

/* The next frame, its body into @body of 8 KiB. */
static struct frame_header next_frame(int fd, uint8_t *body)
{
	uint8_t header[FRAME_HEADER_LEN];
	struct frame_header hdr;

	read_full(fd, header, sizeof(header));
	frame_decode(header, &hdr);
	assert_true(hdr.len <= 8192);
	read_full(fd, body, hdr.len);
	return hdr;
}

/* The frame must be a response with this code; words of its message. */
static void expect_error(int fd, uint32_t id, int code, const char *words)
{
	struct answer a;

	assert_true(raw_answer(fd, &a));
	assert_int_equal(a.stream, id);
	if (a.code != code)
		print_error("%d %s\n", a.code, a.message);
	assert_int_equal(a.code, code);
	assert_has(a.message, words);
	free(a.payload);
}

static void expect_end(int fd, uint32_t id)
{
	uint8_t body[8192];
	struct frame_header hdr = next_frame(fd, body);

	assert_int_equal(hdr.type, FRAME_DATA);
	assert_int_equal(hdr.flags, FRAME_REMOTE_CLOSED | FRAME_NO_DATA);
	assert_int_equal(hdr.stream, id);
	assert_int_equal(hdr.len, 0);
}

/* ---- unary ------------------------------------------------------------------------- */

static void test_echo(void **state)
{
	static const char deep[] = "\x0a\x7fshort";
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

static void test_who(void **state)
{
	static const struct { uid_t uid; gid_t gid; } who[] = { { 0, 0 }, { 4711, 1 }, { 4711, 4711 } };
	const struct group *group = getgrgid(1);
	int i, status, reached = 0;
	char name[64];
	pid_t pid;

	(void)state;
	if (geteuid() || !group)
		skip();
	snprintf(name, sizeof(name), "%s", group->gr_name);
	begin_with(0, 0, name);
	assert_int_equal(chmod(h->path, 0666), 0);
	load_rpc();
	for (i = 0; i < 3; i++) {
		pid = fork();
		assert_true(pid >= 0);
		if (!pid)
			_exit(try_as(who[i].uid, who[i].gid, (size_t)i));
		assert_int_equal(waitpid(pid, &status, 0), pid);
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
	begin_with(1000, 0, NULL);
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
	world_end();
	close(fds[0]);
}

/* ---- streams ------------------------------------------------------------------------- */

static void test_repeat(void **state)
{
	uint8_t body[8192];
	unsigned int i, n = 5000;
	struct frame_header hdr;
	int fd;

	(void)state;
	begin();
	load_echo();
	fd = raw_connect(h);
	repeat_begin(fd, 1, "again", n);
	for (i = 0; i < n; i++) {
		hdr = next_frame(fd, body);
		assert_int_equal(hdr.type, FRAME_DATA);
		assert_int_equal(hdr.flags, 0);
		assert_int_equal(hdr.stream, 1);
		assert_int_equal(hdr.len, 7);
		assert_memory_equal(body, "\x0a\x05" "again", 7);
	}
	expect_end(fd, 1);
	/* None at all, and the same id again. */
	repeat_begin(fd, 1, "", 0);
	expect_end(fd, 1);
	close(fd);
	end();
}

static void test_breaks(void **state)
{
	struct frame_header hdr;
	uint8_t body[8192];
	int fd;

	(void)state;
	begin();
	load_rpc();
	fd = raw_connect(h);
	stream_begin(fd, 1, FRAME_REMOTE_CLOSED, "Breaks");
	hdr = next_frame(fd, body);
	assert_int_equal(hdr.len, 3);
	assert_memory_equal(body, "one", 3);
	hdr = next_frame(fd, body);
	assert_int_equal(hdr.type, FRAME_DATA);
	assert_int_equal(hdr.len, 0);
	assert_int_equal(hdr.flags, 0);
	expect_error(fd, 1, RPC_RESOURCE_EXHAUSTED, "no more of it");
	await_count("closed", 1);
	assert_int_equal(count("late"), 0);
	close(fd);
	end();
}

/* One that does not read fills its own queue, and nothing else. */
static void test_slow_reader(void **state)
{
	uint8_t body[8192];
	uint32_t got, want;
	unsigned int i;
	int slow, fd;

	(void)state;
	begin();
	load_rpc();
	load_echo();
	slow = raw_connect(h);
	stream_begin(slow, 1, FRAME_REMOTE_CLOSED, "Flood");
	await_count("opened", 1);
	fd = raw_connect(h);
	repeat_begin(fd, 1, "more", 20000);
	for (i = 0; i < 20000; i++)
		assert_int_equal(next_frame(fd, body).len, 6);
	expect_end(fd, 1);
	close(fd);
	/* It reads after all: nothing is missing, and there is more than was queued. */
	for (want = 0; want < 3000; want++) {
		assert_int_equal(next_frame(slow, body).len, 1024);
		memcpy(&got, body, sizeof(got));
		assert_int_equal(got, want);
	}
	assert_int_equal(count("closed"), 0);
	close(slow);
	await_count("closed", 1);
	assert_int_equal(count("late"), 0);
	end();
}

/* Nobody waits for ever for one that does not read at all. */
static void test_never_reads(void **state)
{
	int fd;

	(void)state;
	begin_with(0, 200, NULL);
	load_rpc();
	fd = raw_connect(h);
	stream_begin(fd, 1, FRAME_REMOTE_CLOSED, "Flood");
	await_count("closed", 1);
	assert_true(raw_closed(fd));
	close(fd);
	end();
}

static void test_client_closes(void **state)
{
	int fd;

	(void)state;
	begin();
	load_rpc();
	fd = raw_connect(h);
	/* Half open for as long as it likes. */
	stream_begin(fd, 1, FRAME_REMOTE_OPEN, "Silent");
	stream_begin(fd, 3, FRAME_REMOTE_OPEN, "Silent");
	await_count("opened", 2);
	raw_call(fd, 5, TEST, "All", NULL, 0, 0);
	raw_expect(fd, 5, RPC_OK);
	/* In use. */
	stream_begin(fd, 3, FRAME_REMOTE_OPEN, "Silent");
	expect_error(fd, 3, RPC_INVALID_ARGUMENT, "in use");
	/* Of no stream. */
	raw_frame(fd, 7, FRAME_DATA, 0, "abc", 3);
	raw_frame(fd, 1, FRAME_DATA, FRAME_REMOTE_CLOSED | FRAME_NO_DATA, "", 0);
	expect_end(fd, 1);
	await_count("closed", 1);
	/* What was not asked for. */
	raw_frame(fd, 3, FRAME_DATA, 0, "abc", 3);
	expect_error(fd, 3, RPC_INVALID_ARGUMENT, "takes no stream");
	await_count("closed", 2);
	/* Closed in the same breath, while it is being begun. */
	stream_begin(fd, 9, FRAME_REMOTE_OPEN, "Silent");
	raw_frame(fd, 9, FRAME_DATA, FRAME_REMOTE_CLOSED | FRAME_NO_DATA, "", 0);
	expect_end(fd, 9);
	await_count("closed", 3);
	close(fd);
	assert_int_equal(count("late"), 0);
	end();
}

static void test_limits(void **state)
{
	int fd[18], refused = 0, i, n;
	char peek;
	struct answer a;

	(void)state;
	if (geteuid())
		skip();
	begin();
	load_rpc();
	fd[0] = raw_connect(h);
	for (n = 0; n < 64; n++)
		stream_begin(fd[0], (uint32_t)n * 2 + 1, FRAME_REMOTE_CLOSED, "Silent");
	await_count("opened", 64);
	stream_begin(fd[0], 201, FRAME_REMOTE_CLOSED, "Silent");
	expect_error(fd[0], 201, RPC_RESOURCE_EXHAUSTED, "64 streams");
	for (i = 1; i < 18; i++) {
		fd[i] = raw_connect(h);
		for (n = 0; n < 60; n++)
			stream_begin(fd[i], (uint32_t)n * 2 + 1, FRAME_REMOTE_CLOSED, "Silent");
	}
	/* 64 and 17 times 60: 60 are too many for all of them. */
	await_count("opened", 1024);
	for (i = 1; refused < 60; i = i % 17 + 1)
		while (refused < 60 && recv(fd[i], &peek, 1, MSG_PEEK | MSG_DONTWAIT) == 1) {
			assert_true(raw_answer(fd[i], &a));
			assert_int_equal(a.code, RPC_RESOURCE_EXHAUSTED);
			refused++;
		}
	for (i = 0; i < 18; i++)
		close(fd[i]);
	await_count("closed", 1024);
	/* And there is room for others. */
	fd[0] = raw_connect(h);
	stream_begin(fd[0], 1, FRAME_REMOTE_CLOSED, "Silent");
	await_count("opened", 1025);
	close(fd[0]);
	end();
}

static void test_unload(void **state)
{
	int fd, i;

	(void)state;
	begin();
	load_rpc();
	fd = raw_connect(h);
	for (i = 0; i < 20; i++)
		stream_begin(fd, (uint32_t)i * 2 + 1, FRAME_REMOTE_CLOSED, "Silent");
	await_count("opened", 20);
	assert_int_equal(unload("rpc"), 0);
	assert_int_equal(mapped(), 0);
	for (i = 0; i < 20; i++) {
		struct answer a;

		assert_true(raw_answer(fd, &a));
		assert_int_equal(a.code, RPC_UNAVAILABLE);
		assert_has(a.message, "was unloaded");
	}
	close(fd);
	end();
}

/* Loaded, streaming, and gone, while clients come and go. */
static void *come_and_go(void *arg)
{
	unsigned int i, seed = (unsigned int)(uintptr_t)arg;
	char buf[4096];
	ssize_t n;
	int fd;

	for (i = 0; !atomic_load(&over); i++) {
		fd = raw_connect(h);
		stream_begin(fd, 1, FRAME_REMOTE_OPEN, "Flood");
		stream_begin(fd, 3, FRAME_REMOTE_CLOSED, "Silent");
		if ((i + seed) % 3 == 0) {
			n = read(fd, buf, sizeof(buf));
			if (n <= 0)
				atomic_fetch_add(&wrong, 1);
		}
		if ((i + seed) % 3 == 1)
			raw_frame(fd, 1, FRAME_DATA, FRAME_REMOTE_CLOSED | FRAME_NO_DATA, "", 0);
		close(fd);
		atomic_fetch_add(&done, 1);
	}
	return NULL;
}

static void test_churn(void **state)
{
	pthread_t thread[2];
	unsigned int i, before;
	int ret;

	(void)state;
	atomic_store(&over, false);
	begin();
	load_rpc();
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, come_and_go,
						(void *)(uintptr_t)i), 0);
	for (i = 0; i < 60; i++) {
		before = atomic_load(&done);
		while (atomic_load(&done) < before + 5)
			usleep(20);
		if (i % 3) {
			assert_int_equal(swap("rpc"), 0);
			continue;
		}
		ret = unload("rpc");
		assert_int_equal(ret, 0);
		assert_int_equal(load("rpc"), 0);
	}
	atomic_store(&over, true);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(atomic_load(&wrong), 0);
	assert_int_equal(unload("rpc"), 0);
	assert_int_equal(mapped(), 0);
	end();
}

/* Two thousand, each with a stream, and then none of them. */
static void test_many(void **state)
{
	int fd, i;

	(void)state;
	begin();
	load_rpc();
	for (i = 1; i <= 2000; i++) {
		fd = raw_connect(h);
		stream_begin(fd, 1, FRAME_REMOTE_CLOSED, "Silent");
		close(fd);
	}
	await_count("opened", count("closed"));
	assert_int_equal(count("late"), 0);
	end();
}

static void test_server_stops(void **state)
{
	int fd;

	(void)state;
	begin();
	load_rpc();
	fd = raw_connect(h);
	stream_begin(fd, 1, FRAME_REMOTE_CLOSED, "Silent");
	await_count("opened", 1);
	harness_stop(h);
	expect_error(fd, 1, RPC_UNAVAILABLE, "is stopping");
	assert_true(raw_closed(fd));
	close(fd);
	world_end();
}

#define TEST_IN_WORLD(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

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
		TEST_IN_WORLD(test_repeat),
		TEST_IN_WORLD(test_breaks),
		TEST_IN_WORLD(test_slow_reader),
		TEST_IN_WORLD(test_never_reads),
		TEST_IN_WORLD(test_client_closes),
		TEST_IN_WORLD(test_limits),
		TEST_IN_WORLD(test_unload),
		TEST_IN_WORLD(test_churn),
		TEST_IN_WORLD(test_many),
		TEST_IN_WORLD(test_server_stops),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
