// SPDX-License-Identifier: Apache-2.0
/* The server, by clients that do not behave. Others must not notice. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness.h"

#define STATS	"nexus.control.v1.Stats", "Get"

static int start(void **state)
{
	*state = harness_start(NULL);
	return 0;
}

static int start_short(void **state)
{
	const struct rpc_server_opts opts = { .frame_timeout_ms = 300 };

	*state = harness_start(&opts);
	return 0;
}

static int stop(void **state)
{
	assert_true(works(*state));
	harness_stop(*state);
	return 0;
}

static void garbage(void **state)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
	struct harness *h = *state;
	uint8_t buf[4096];
	int fd, i, round;

	fd = raw_connect(h);
	assert_true(raw_send(fd, http, sizeof(http) - 1));
	assert_true(raw_closed(fd));
	close(fd);

	srand(2);
	for (round = 0; round < 300; round++) {
		fd = raw_connect(h);
		for (i = 0; i < (int)sizeof(buf); i++)
			buf[i] = rand();
		if (round & 1)	/* a good header, then garbage */
			memcpy(buf, "\0\0\x0f\xf6\0\0\0\x01\x01\0", 10);
		raw_send(fd, buf, sizeof(buf));
		close(fd);
	}
}

static void bad_message(void **state)
{
	struct harness *h = *state;
	int fd = raw_connect(h);
	char long_name[300];

	raw_frame(fd, 1, FRAME_REQUEST, 0, "\xff\xff\xff", 3);
	raw_expect(fd, 1, RPC_INVALID_ARGUMENT);
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	raw_call(fd, 3, long_name, "Get", NULL, 0, 0);
	raw_expect(fd, 3, RPC_INVALID_ARGUMENT);
	raw_frame(fd, 5, FRAME_REQUEST, 0, "", 0);
	raw_expect(fd, 5, RPC_UNIMPLEMENTED);
	raw_call(fd, 7, STATS, NULL, 0, 0);
	raw_expect(fd, 7, RPC_OK);
	close(fd);
}

static void odd_frames(void **state)
{
	struct harness *h = *state;
	int fd = raw_connect(h);

	raw_frame(fd, 2, FRAME_REQUEST, 0, "xy", 2);	/* even */
	raw_expect(fd, 2, RPC_INVALID_ARGUMENT);
	raw_frame(fd, 0, FRAME_REQUEST, 0, "", 0);
	raw_expect(fd, 0, RPC_INVALID_ARGUMENT);
	raw_request(fd, 1, FRAME_REMOTE_OPEN, STATS, NULL, 0, 0);
	raw_expect(fd, 1, RPC_UNIMPLEMENTED);
	raw_frame(fd, 1, FRAME_DATA, FRAME_REMOTE_CLOSED, "abc", 3);
	raw_frame(fd, 1, FRAME_DATA, FRAME_NO_DATA, "", 0);
	raw_call(fd, 3, STATS, NULL, 0, 0);
	raw_expect(fd, 3, RPC_OK);
	raw_frame(fd, 5, FRAME_RESPONSE, 0, "", 0);
	assert_true(raw_closed(fd));
	close(fd);
}

/* One byte over the limit: answered, skipped, and the connection goes on. */
static void oversized(void **state)
{
	struct harness *h = *state;
	size_t len = RPC_MESSAGE_MAX + 1;
	char *big = calloc(1, len);
	int fd = raw_connect(h);

	assert_non_null(big);
	assert_true(raw_frame(fd, 1, FRAME_REQUEST, 0, big, len));
	raw_expect(fd, 1, RPC_RESOURCE_EXHAUSTED);
	raw_call(fd, 3, STATS, NULL, 0, 0);
	raw_expect(fd, 3, RPC_OK);
	free(big);
	close(fd);
}

/* Exactly the limit is allowed, and none of it is kept afterwards. */
static void largest(void **state)
{
	struct harness *h = *state;
	size_t len = RPC_MESSAGE_MAX;
	uint8_t *big = calloc(1, len);
	int fd = raw_connect(h);
	uint32_t i;

	assert_non_null(big);
	memcpy(big, "\x0a\x01" "a\x12\x01" "b\x1a", 7);
	big[7] = 0xf5;		/* payload: what is left, 4194304 - 11 */
	big[8] = 0xff;
	big[9] = 0xff;
	big[10] = 0x01;
	for (i = 0; i < 20; i++) {	/* more than may be held at once */
		assert_true(raw_frame(fd, 2 * i + 1, FRAME_REQUEST, 0, big,
				      len));
		raw_expect(fd, 2 * i + 1, RPC_UNIMPLEMENTED);
	}
	free(big);
	close(fd);
}

static void claims_four_gigabytes(void **state)
{
	struct harness *h = *state;
	int fd = raw_connect(h);

	raw_send(fd, "\xff\xff\xff\xff\0\0\0\x01\x01\0", 10);
	raw_expect(fd, 1, RPC_RESOURCE_EXHAUSTED);
	assert_true(raw_closed(fd));	/* it never sends them */
	close(fd);
}

static void half_frames_time_out(void **state)
{
	struct harness *h = *state;
	int a = raw_connect(h), b = raw_connect(h), idle = raw_connect(h);
	char c;

	raw_send(a, "\0\0\0", 3);
	raw_send(b, "\0\0\x10\0\0\0\0\x01\x01\0half", 14);
	assert_true(raw_closed(a));
	assert_true(raw_closed(b));
	/* who has begun nothing may stay */
	assert_int_equal(recv(idle, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	raw_call(idle, 1, STATS, NULL, 0, 0);
	raw_expect(idle, 1, RPC_OK);
	close(a);
	close(b);
	close(idle);
}

/* Bytes drip in for longer than a frame may take. */
static void slow_loris(void **state)
{
	struct harness *h = *state;
	int fd = raw_connect(h), i;

	raw_send(fd, "\0\0\x10\0\0\0\0\x01\x01\0", 10);
	for (i = 0; i < 100 && raw_send(fd, "x", 1); i++)
		usleep(50000);
	assert_true(i < 100);
	close(fd);
}

/* A client that asks and asks and never reads is closed; nothing piles up. */
static void never_reads(void **state)
{
	struct harness *h = *state;
	int fd = raw_connect(h), i, small = 4096;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (i = 1; i < 2000000; i += 2)
		if (!raw_call(fd, i, "no.such.service.at.all", "Method", NULL,
			      0, 0))
			break;
	assert_true(i < 2000000);
	close(fd);
}

static void memory_is_bounded(void **state)
{
	const struct rpc_server_opts opts = { .memory_max = 256 << 10 };
	struct harness *h = harness_start(&opts);
	size_t len = 1 << 20;
	char *big = calloc(1, len);
	int fd = raw_connect(h);

	(void)state;
	assert_non_null(big);
	assert_true(raw_frame(fd, 1, FRAME_REQUEST, 0, big, len));
	raw_expect(fd, 1, RPC_RESOURCE_EXHAUSTED);
	raw_call(fd, 3, STATS, NULL, 0, 0);
	raw_expect(fd, 3, RPC_OK);
	free(big);
	close(fd);
	assert_true(works(h));
	harness_stop(h);
}

#define CROWD	1000

static void thousand_idle_clients(void **state)
{
	struct harness *h = *state;
	struct rlimit lim;
	int *fds = calloc(CROWD, sizeof(*fds)), i;
	char c;

	assert_non_null(fds);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	if (lim.rlim_cur < 2 * CROWD + 100)
		skip();
	for (i = 0; i < CROWD; i++) {
		fds[i] = raw_connect(h);
		if (i % 3 == 1)	/* some have begun a frame */
			raw_send(fds[i], "\0\0", 2);
	}
	assert_true(works(h));
	for (i = 0; i < CROWD; i++) {
		assert_int_equal(recv(fds[i], &c, 1, MSG_DONTWAIT), -1);
		assert_int_equal(errno, EAGAIN);
	}
	assert_true(rpc_server_connections(h->server) >= CROWD);
	for (i = 0; i < CROWD; i += 3) {
		raw_call(fds[i], 1, STATS, NULL, 0, 0);
		raw_expect(fds[i], 1, RPC_OK);
	}
	assert_true(works(h));
	for (i = 0; i < CROWD; i++)
		close(fds[i]);
	free(fds);
}

/* At the limit the longest idle one gives way, who is at work does not. */
static void connection_limit(void **state)
{
	const struct rpc_server_opts opts = { .max_connections = 4 };
	struct harness *h = harness_start(&opts);
	int fds[5], i;

	(void)state;
	for (i = 0; i < 4; i++) {
		fds[i] = raw_connect(h);
		raw_call(fds[i], 1, STATS, NULL, 0, 0);
		raw_expect(fds[i], 1, RPC_OK);
	}
	raw_call(fds[0], 3, STATS, NULL, 0, 0);	/* now 1 is the oldest */
	raw_expect(fds[0], 3, RPC_OK);
	fds[4] = raw_connect(h);
	raw_call(fds[4], 1, STATS, NULL, 0, 0);
	raw_expect(fds[4], 1, RPC_OK);
	assert_true(raw_closed(fds[1]));
	raw_call(fds[0], 5, STATS, NULL, 0, 0);
	raw_expect(fds[0], 5, RPC_OK);
	assert_int_equal(rpc_server_connections(h->server), 4);
	for (i = 0; i < 5; i++)
		close(fds[i]);
	harness_stop(h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
#define SHORT(name) cmocka_unit_test_setup_teardown(name, start_short, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(garbage),
		TEST(bad_message),
		TEST(odd_frames),
		TEST(oversized),
		TEST(largest),
		SHORT(claims_four_gigabytes),
		SHORT(half_frames_time_out),
		SHORT(slow_loris),
		SHORT(never_reads),
		cmocka_unit_test(memory_is_bounded),
		TEST(thousand_idle_clients),
		cmocka_unit_test(connection_limit),
	};

	return cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
}
