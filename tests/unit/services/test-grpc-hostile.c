// SPDX-License-Identifier: Apache-2.0
/* rpc_grpc among clients that mean no good, or know no better: nobody else notices. */
#include "grpc-world.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <nexus/front.h>

#include "rpc.h"

#define PREFACE		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SETTINGS	"\0\0\0\4\0\0\0\0\0"
#define TRIES		50

enum { H2_DATA, H2_HEADERS, H2_RST = 3, H2_PING = 6, H2_GOAWAY = 7 };

static void begin_test(const struct grpc_numbers *numbers)
{
	grpc_begin(NULL, numbers);
	load_rpc();
}

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* What is closed at one end is soon at the other; so long only when it is not. */
static void await_fds(int most)
{
	int i, n;

	for (i = 0; (n = open_fds()) > most && i < 20000; i++)
		usleep(1000);
	if (n > most)
		fail_msg("%d descriptors are open, not %d", n, most);
}

static void works_over(void *conn)
{
	struct outcome o;

	ask_grpc(conn, TEST, "All", "", 0, WAIT_MS, &o);
	if (o.code)
		fail_msg("%d %s", o.code, o.message);
	outcome_free(&o);
}

/* ---- raw HTTP/2 -------------------------------------------------------------------- */

static int connect_raw(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	memcpy(addr.sun_path, grpc_path, sizeof(addr.sun_path) - 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static bool frame(int fd, uint8_t type, uint8_t flags, uint32_t stream, const void *data, size_t len)
{
	const uint8_t head[9] = { (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, flags,
		(uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream };

	return raw_send(fd, head, sizeof(head)) && raw_send(fd, data, len);
}

static int connect_h2(void)
{
	int fd = connect_raw();

	assert_true(raw_send(fd, PREFACE, sizeof(PREFACE) - 1));
	assert_true(raw_send(fd, SETTINGS, sizeof(SETTINGS) - 1));
	return fd;
}

/* A literal that is not to be kept: names and values are short. */
static size_t header(uint8_t *at, const char *name, const char *value)
{
	size_t n = strlen(name), v = strlen(value);

	at[0] = 0;
	at[1] = (uint8_t)n;
	memcpy(at + 2, name, n);
	at[2 + n] = (uint8_t)v;
	memcpy(at + 3 + n, value, v);
	return 3 + n + v;
}

static bool headers(int fd, uint32_t stream, const char *path, const char *encoding)
{
	uint8_t block[400];
	size_t len = 0;

	len += header(block + len, ":method", "POST");
	len += header(block + len, ":scheme", "http");
	len += header(block + len, ":path", path);
	len += header(block + len, ":authority", "x");
	len += header(block + len, "content-type", "application/grpc");
	len += header(block + len, "te", "trailers");
	if (encoding)
		len += header(block + len, "grpc-encoding", encoding);
	return frame(fd, H2_HEADERS, 4, stream, block, len);
}

/* Frames until one of that type for that stream; false: hung up before. */
static bool await_frame(int fd, uint8_t type, uint32_t stream)
{
	uint8_t head[9], body[65536];
	uint32_t len;

	while (recv(fd, head, sizeof(head), MSG_WAITALL) == (ssize_t)sizeof(head)) {
		len = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
		assert_true(len <= sizeof(body));
		if (len && recv(fd, body, len, MSG_WAITALL) != (ssize_t)len)
			return false;
		if (head[3] == type && head[8] == stream)
			return true;
	}
	return false;
}

/* ---- garbage ------------------------------------------------------------------------ */

static const struct {
	const char *data;
	size_t len;
} garbage[] = {
	{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27 },
	{ "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 30 },
	{ "\x16\x03\x01\0\x05hello and more of it than a preface has", 44 },
	{ PREFACE "\xff\xff\xff\4\0\0\0\0\0", 33 },
	{ PREFACE "\0\0\5\4\0\0\0\0\0hello", 38 },
	{ PREFACE SETTINGS "\0\0\4\1\4\0\0\0\1\xff\xff\xff\xff", 46 },
	{ PREFACE SETTINGS "\0\0\1\1\4\0\0\0\2\x82", 43 },
	{ PREFACE SETTINGS "\0\0\4\x08\0\0\0\0\0\0\0\0\0", 46 },
	{ PREFACE SETTINGS "\0\0\0\0\0\0\0\0\0", 42 },
};

static void test_garbage(void **state)
{
	unsigned int seed = 4711, k;
	size_t i, n;
	uint8_t noise[300];
	void *good;
	int fd, before, t;

	(void)state;
	begin_test(NULL);
	good = grpc_connect();
	works_over(good);
	before = open_fds();
	for (t = 0; t < TRIES; t++) {
		for (i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
			fd = connect_raw();
			raw_send(fd, garbage[i].data, garbage[i].len);
			if (t & 1)
				shutdown(fd, SHUT_WR);
			close(fd);
		}
		/* Random frames, as they come. */
		fd = connect_h2();
		for (k = 0; k < 20; k++) {
			n = (size_t)rand_r(&seed) % sizeof(noise);
			for (i = 0; i < n; i++)
				noise[i] = (uint8_t)rand_r(&seed);
			if (!frame(fd, (uint8_t)rand_r(&seed) % 12, (uint8_t)rand_r(&seed),
				   (uint32_t)rand_r(&seed) % 8, noise, n))
				break;
		}
		close(fd);
		works_over(good);
	}
	await_fds(before);
	way->close(good);
	grpc_end();
}

/* What cannot be HTTP/2 is hung up on. */
static void test_hung_up(void **state)
{
	int fd;

	(void)state;
	begin_test(NULL);
	fd = connect_raw();
	assert_true(raw_send(fd, garbage[0].data, garbage[0].len));
	assert_true(raw_closed(fd));
	close(fd);
	fd = connect_raw();
	assert_true(raw_send(fd, garbage[3].data, garbage[3].len));
	assert_true(raw_closed(fd));
	close(fd);
	grpc_end();
}

/* ---- too much ------------------------------------------------------------------------ */

static void test_oversized(void **state)
{
	static char big[NEXUS_FRONT_MESSAGE_MAX + 1];
	struct outcome o;
	void *conn;
	int i;

	(void)state;
	begin_test(NULL);
	conn = grpc_connect();
	for (i = 0; i < 10; i++) {
		ask_grpc(conn, TEST, "All", big, sizeof(big), WAIT_MS, &o);
		assert_int_equal(o.code, RPC_RESOURCE_EXHAUSTED);
		outcome_free(&o);
	}
	/* The largest that may be sent is judged by the table. */
	ask_grpc(conn, TEST, "All", big, sizeof(big) - 1, WAIT_MS, &o);
	assert_int_equal(o.code, RPC_INVALID_ARGUMENT);
	outcome_free(&o);
	works_over(conn);
	way->close(conn);
	grpc_end();
}

/* A message that says it is compressed: 4 GiB could be in it. */
static void test_compressed(void **state)
{
	int fd;

	(void)state;
	begin_test(NULL);
	fd = connect_h2();
	assert_true(headers(fd, 1, "/" TEST "/All", "gzip"));
	assert_true(frame(fd, H2_DATA, 1, 1, "\1\0\0\0\4\x1f\x8b\0\0", 9));
	assert_true(await_frame(fd, H2_HEADERS, 1));
	assert_int_equal(count("reached"), 0);
	close(fd);
	grpc_end();
}

/* Calls whose request never comes end, and their number has a limit. */
static void test_half_open(void **state)
{
	const struct grpc_numbers numbers = { .timeout = 1 };
	uint32_t i;
	int fd;

	(void)state;
	begin_test(&numbers);
	fd = connect_h2();
	for (i = 0; i < 50; i++)
		assert_true(headers(fd, 2 * i + 1, "/" TEST "/All", NULL));
	/* Half a message does not help. */
	assert_true(frame(fd, H2_DATA, 0, 1, "\0\0\0\0\5he", 7));
	assert_true(await_frame(fd, H2_HEADERS, 99));
	assert_int_equal(count("reached"), 0);
	close(fd);
	grpc_end();
}

/* Who does not take the messages of its stream loses it. */
static void test_never_reads(void **state)
{
	const struct grpc_numbers numbers = { .timeout = 1 };
	void *good;
	int fd;

	(void)state;
	begin_test(&numbers);
	good = grpc_connect();
	fd = connect_h2();
	assert_true(headers(fd, 1, "/" TEST "/Flood", NULL));
	assert_true(frame(fd, H2_DATA, 1, 1, "\0\0\0\0\0", 5));
	await_count("closed", 1);
	works_over(good);
	close(fd);
	way->close(good);
	grpc_end();
}

/* ---- too many ------------------------------------------------------------------------ */

#define LIMIT	64
#define FLOOD	3000

static void test_connections(void **state)
{
	const struct grpc_numbers numbers = { .connections = LIMIT };
	static int fds[FLOOD];
	void *caller, *reader;
	struct outcome o;
	int before, i;

	(void)state;
	begin_test(&numbers);
	caller = grpc_connect();
	works_over(caller);
	reader = grpc_connect();
	begin_grpc(reader, TEST, "Flood", "", 0);
	before = open_fds();
	for (i = 0; i < FLOOD; i++) {
		fds[i] = i & 1 ? connect_raw() : connect_h2();
		if (i % 500 == 0)
			works_over(caller);
	}
	works_over(caller);
	for (i = 0; i < 1000; i++) {
		next_grpc(reader, &o);
		assert_int_equal(o.len, 1024);
		outcome_free(&o);
	}
	/*
	 * Two of each that is there, and the test's own.  Of some that were hung up on the core
	 * notices it only with its next ping, or when the client goes: of the more, the busier the
	 * machine is.  Without an end of theirs there would be two of each.
	 */
	await_fds(before + FLOOD + 2 * LIMIT + FLOOD / 2);
	/* The oldest that have never called give way. */
	for (i = 0; i < FLOOD; i++) {
		if (i < FLOOD - LIMIT)
			assert_true(raw_closed(fds[i]));
		close(fds[i]);
	}
	await_fds(before);
	works_over(caller);
	way->close(reader);
	way->close(caller);
	grpc_end();
}

/* Calls on all of them are nothing that others wait for. */
static void test_many_callers(void **state)
{
	static void *conns[200];
	const size_t n = sizeof(conns) / sizeof(conns[0]);
	int before, round;
	size_t i;

	(void)state;
	begin_test(NULL);
	works_over(NULL);
	before = open_fds();
	for (round = 0; round < 3; round++) {
		for (i = 0; i < n; i++)
			conns[i] = grpc_connect();
		for (i = 0; i < n; i++)
			works_over(conns[i]);
		for (i = 0; i < n; i++)
			way->close(conns[i]);
	}
	await_fds(before);
	grpc_end();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_IN_WORLD(test_garbage),
		TEST_IN_WORLD(test_hung_up),
		TEST_IN_WORLD(test_oversized),
		TEST_IN_WORLD(test_compressed),
		TEST_IN_WORLD(test_half_open),
		TEST_IN_WORLD(test_never_reads),
		TEST_IN_WORLD(test_connections),
		TEST_IN_WORLD(test_many_callers),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
