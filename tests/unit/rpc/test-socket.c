// SPDX-License-Identifier: Apache-2.0
/* The server, by clients that behave. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness.h"
#include "peer.h"

#define ZONES	"nexus.control.v1.Zones"
#define NAME_Z	"\x0a\x01z", 3

static int start(void **state)
{
	*state = harness_start(NULL);
	return 0;
}

static int stop(void **state)
{
	harness_stop(*state);
	return 0;
}

/* Byte for byte: Health.Check on stream 1, and its answer. */
static void fixture_on_the_wire(void **state)
{
	static const uint8_t request[] = {
		0x00, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x01, 0x01, 0x00,
		0x0a, 0x17, 'n', 'e', 'x', 'u', 's', '.', 'c', 'o', 'n', 't',
		'r', 'o', 'l', '.', 'v', '1', '.', 'H', 'e', 'a', 'l', 't', 'h',
		0x12, 0x05, 'C', 'h', 'e', 'c', 'k',
	};
	static const uint8_t answer[] = {
		0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00,
		0x12, 0x04, 0x08, 0x02, 0x10, 0x01,
	};
	uint8_t got[sizeof(answer)];
	int fd = raw_connect(*state);

	assert_true(raw_send(fd, request, sizeof(request)));
	assert_int_equal(recv(fd, got, sizeof(got), MSG_WAITALL), sizeof(got));
	assert_memory_equal(got, answer, sizeof(answer));
	close(fd);
}

static void byte_by_byte(void **state)
{
	struct harness *h = *state;
	uint8_t frame[FRAME_HEADER_LEN + 13] = { 0, 0, 0, 13, 0, 0, 0, 9, 1, 0,
		0x0a, 5, 'a', '.', 'b', '.', 'c', 0x12, 4, 'T', 'e', 's', 't' };
	int fd = raw_connect(h);
	size_t i;

	for (i = 0; i < sizeof(frame); i++) {
		assert_true(raw_send(fd, &frame[i], 1));
		usleep(500);
	}
	raw_expect(fd, 9, RPC_UNIMPLEMENTED);
	close(fd);
}

static void zone_life(void **state)
{
	struct harness *h = *state;
	int fd = raw_connect(h);
	struct answer answer;

	raw_call(fd, 1, ZONES, "Info", NAME_Z, 0);
	assert_true(raw_answer(fd, &answer));
	assert_int_equal(answer.code, RPC_NOT_FOUND);
	assert_int_equal(answer.error, ENOENT);
	assert_string_equal(answer.message, "there is no zone z");
	free(answer.payload);
	raw_call(fd, 3, ZONES, "Create", NAME_Z, 0);
	raw_expect(fd, 3, RPC_OK);
	raw_call(fd, 5, ZONES, "List", NULL, 0, 0);
	raw_expect(fd, 5, RPC_OK);
	close(fd);
}

/* Far more requests than are worked on at once, and nobody reads meanwhile. */
static void pipelined(void **state)
{
	struct harness *h = *state;
	int fd = raw_connect(h);
	bool seen[400] = { false };
	struct answer answer;
	uint32_t i;

	for (i = 0; i < 400; i++)
		assert_true(raw_call(fd, 2 * i + 1, "nexus.control.v1.Stats",
				     "Get", NULL, 0, 0));
	for (i = 0; i < 400; i++) {
		assert_true(raw_answer(fd, &answer));
		assert_int_equal(answer.code, RPC_OK);
		assert_true(answer.stream % 2 && answer.stream < 800);
		assert_false(seen[answer.stream / 2]);
		seen[answer.stream / 2] = true;
		free(answer.payload);
	}
	close(fd);
}

static void half_closed(void **state)
{
	struct harness *h = *state;
	int fd = raw_connect(h);

	raw_call(fd, 1, ZONES, "List", NULL, 0, 0);
	shutdown(fd, SHUT_WR);
	raw_expect(fd, 1, RPC_OK);
	assert_true(raw_closed(fd));
	close(fd);
}

/* Nobody may rely on how soon another thread gets to run. */
static void until_begun(struct harness *h, int calls)
{
	int i;

	for (i = 0; i < 1000 && atomic_load(&h->fake.slow) < calls; i++)
		usleep(10000);
	assert_int_equal(atomic_load(&h->fake.slow), calls);
}

/* As many long calls as there are, and a quick one still gets through. */
static void long_calls_leave_room(void **state)
{
	struct harness *h = *state;
	int fds[8], i;

	atomic_store(&h->fake.slow_ms, 60000);
	for (i = 0; i < 8; i++) {
		fds[i] = raw_connect(h);
		raw_call(fds[i], 1, ZONES, "Upgrade", NAME_Z, 0);
	}
	atomic_store(&h->fake.calls, 0);
	assert_true(works(h));
	assert_int_equal(atomic_load(&h->fake.calls), 0);
	atomic_store(&h->fake.slow_ms, 0);
	for (i = 0; i < 8; i++) {
		raw_expect(fds[i], 1, RPC_NOT_FOUND);
		close(fds[i]);
	}
}

static void stream_in_use(void **state)
{
	struct harness *h = *state;
	int fd = raw_connect(h);

	atomic_store(&h->fake.slow_ms, 60000);
	raw_call(fd, 1, ZONES, "Upgrade", NAME_Z, 0);
	raw_call(fd, 1, ZONES, "List", NULL, 0, 0);
	raw_expect(fd, 1, RPC_INVALID_ARGUMENT);
	raw_call(fd, 3, ZONES, "List", NULL, 0, 0);
	raw_expect(fd, 3, RPC_OK);
	atomic_store(&h->fake.slow_ms, 0);
	raw_expect(fd, 1, RPC_NOT_FOUND);
	raw_call(fd, 1, ZONES, "List", NULL, 0, 0);	/* free again */
	raw_expect(fd, 1, RPC_OK);
	close(fd);
}

static void time_limit_in_the_queue(void **state)
{
	struct harness *h = *state;
	int fd = raw_connect(h);
	uint32_t i;

	atomic_store(&h->fake.slow_ms, 300);
	for (i = 0; i < 3; i++)
		raw_call(fd, 2 * i + 1, ZONES, "Upgrade", NAME_Z, 0);
	raw_call(fd, 7, ZONES, "Upgrade", NAME_Z, 1000000);
	for (i = 0; i < 4; i++) {
		struct answer answer;

		assert_true(raw_answer(fd, &answer));
		assert_int_equal(answer.code, answer.stream == 7 ?
				 RPC_DEADLINE_EXCEEDED : RPC_NOT_FOUND);
		free(answer.payload);
	}
	close(fd);
}

static void client_gone_before_the_answer(void **state)
{
	struct harness *h = *state;
	int fd = raw_connect(h);
	int i;

	atomic_store(&h->fake.slow_ms, 200);
	raw_call(fd, 1, ZONES, "Upgrade", NAME_Z, 0);
	until_begun(h, 1);
	close(fd);
	assert_true(works(h));
	for (i = 0; i < 200 && !atomic_load(&h->fake.calls); i++)
		usleep(10000);
	assert_int_equal(atomic_load(&h->fake.calls), 1);
	assert_true(works(h));
}

/* Stopping lets a running call finish and its answer out. */
static void stop_waits_for_calls(void **state)
{
	struct harness *h = *state;
	int fd = raw_connect(h), idle = raw_connect(h);

	atomic_store(&h->fake.slow_ms, 300);
	raw_call(fd, 1, ZONES, "Upgrade", NAME_Z, 0);
	until_begun(h, 1);
	rpc_server_stop(h->server);
	rpc_server_stop(h->server);
	pthread_join(h->thread, NULL);
	h->running = false;
	assert_int_equal(h->result, 0);
	raw_expect(fd, 1, RPC_NOT_FOUND);
	assert_true(raw_closed(fd));
	assert_true(raw_closed(idle));
	close(fd);
	close(idle);
}

static void socket_file(void **state)
{
	struct harness *h = *state;
	struct rpc_server *other;
	struct stat st;
	char path[128], lock[160];
	int err = 0, fd;

	assert_int_equal(stat(h->path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0660);

	other = rpc_server_new(h->path, h->services, NULL, &err);
	assert_null(other);
	assert_int_equal(err, -EADDRINUSE);
	assert_true(works(h));

	snprintf(path, sizeof(path), "%s/file", h->dir);
	snprintf(lock, sizeof(lock), "%s.lock", path);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_null(rpc_server_new(path, h->services, NULL, &err));
	assert_int_equal(err, -EEXIST);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	unlink(lock);

	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_null(rpc_server_new(path, h->services, NULL, &err));
	assert_int_equal(err, -ENAMETOOLONG);
	assert_null(rpc_server_new("/no/such/folder/s", h->services, NULL,
				   &err));
	assert_int_equal(err, -ENOENT);
}

/* Living though it holds no lock; then dead, and its file still there. */
static void stale_and_foreign_socket(void **state)
{
	const struct rpc_service *services = control_services(&fake_ops, NULL);
	char dir[] = "/tmp/nexus-rpc-XXXXXX", path[64], lock[80];
	struct rpc_server *server;
	int err = 0, fds[2];
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	snprintf(lock, sizeof(lock), "%s.lock", path);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (!pid) {	/* a server that is killed */
		server = rpc_server_new(path, services, NULL, NULL);
		unlink(lock);
		if (write(fds[1], server ? "y" : "n", 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(fds[0], lock + sizeof(lock) - 1, 1), 1);
	assert_null(rpc_server_new(path, services, NULL, &err));
	assert_int_equal(err, -EADDRINUSE);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(access(path, F_OK), 0);
	server = rpc_server_new(path, services, NULL, &err);
	assert_non_null(server);
	rpc_server_stop(server);	/* before it runs */
	assert_int_equal(rpc_server_run(server), 0);
	rpc_server_free(server);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(lock, sizeof(lock), "%s.lock", path);
	unlink(lock);
	assert_int_equal(rmdir(dir), 0);
	close(fds[0]);
	close(fds[1]);
	control_services_free(services);
}

/* Connect as somebody else and try to make a zone; returns the code. */
static int create_as(struct harness *h, uid_t uid, gid_t gid, gid_t extra,
		     int *list)
{
	struct answer a = { .code = 99 }, b = { .code = 99 };
	int status, fds[2], codes[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		int fd;

		if (setgroups(extra ? 1 : 0, &extra) ||
		    setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
			_exit(1);
		fd = raw_connect(h);
		raw_call(fd, 1, ZONES, "Create", NAME_Z, 0);
		raw_answer(fd, &a);
		raw_call(fd, 3, ZONES, "List", NULL, 0, 0);
		raw_answer(fd, &b);
		codes[0] = a.code;
		codes[1] = b.code;
		_exit(write(fds[1], codes, sizeof(codes)) != sizeof(codes));
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	assert_int_equal(read(fds[0], codes, sizeof(codes)), sizeof(codes));
	close(fds[0]);
	close(fds[1]);
	*list = codes[1];
	return codes[0];
}

static void credentials(void **state)
{
	struct rpc_server_opts opts = { .group = "games" };
	struct harness *h;
	gid_t games, nogroup;
	struct stat st;
	int list;

	(void)state;
	if (geteuid() || peer_group_id("games", &games) ||
	    peer_group_id("nogroup", &nogroup))
		skip();
	h = harness_start(&opts);
	assert_int_equal(stat(h->path, &st), 0);
	assert_int_equal(st.st_gid, games);
	assert_int_equal(st.st_mode & 0777, 0660);

	/* Everybody may come in for a moment, to see who may change things. */
	assert_int_equal(chmod(h->path, 0666), 0);
	assert_int_equal(create_as(h, 65534, 65534, 0, &list),
			 RPC_PERMISSION_DENIED);
	assert_int_equal(list, RPC_OK);
	assert_int_equal(fake_clear(&h->fake), 0);
	assert_int_equal(create_as(h, 65534, games, 0, &list), RPC_OK);
	assert_int_equal(fake_clear(&h->fake), 1);
	assert_int_equal(create_as(h, 65534, 65534, games, &list),
			 RPC_OK);
	assert_int_equal(fake_clear(&h->fake), 1);
	assert_int_equal(create_as(h, 0, 65534, 0, &list), RPC_OK);
	harness_stop(h);

	/* Member only by the user database: nobody is in nogroup. */
	opts.group = "nogroup";
	h = harness_start(&opts);
	assert_int_equal(chmod(h->path, 0666), 0);
	assert_int_equal(create_as(h, 65534, 54321, 0, &list), RPC_OK);
	assert_int_equal(create_as(h, 54321, 54321, 0, &list),
			 RPC_PERMISSION_DENIED);
	harness_stop(h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fixture_on_the_wire),
		TEST(byte_by_byte),
		TEST(zone_life),
		TEST(pipelined),
		TEST(half_closed),
		TEST(long_calls_leave_room),
		TEST(stream_in_use),
		TEST(time_limit_in_the_queue),
		TEST(client_gone_before_the_answer),
		TEST(stop_waits_for_calls),
		TEST(socket_file),
		cmocka_unit_test(stale_and_foreign_socket),
		cmocka_unit_test(credentials),
	};

	return cmocka_run_group_tests_name("socket", tests, NULL, NULL);
}
