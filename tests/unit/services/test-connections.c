// SPDX-License-Identifier: Apache-2.0
/*
 * As many connections at once as there may be, ten thousand or what the limit of open files
 * allows: all of them stay, others are served meanwhile, and nothing of them is left.
 * Their other ends are in a process of its own.
 */
#include "grpc-world.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "core_rpc.h"

#define MANY	10000u
#define STEP	1000u
#define SPARE	2500u	/* descriptors for all else: what the helper keeps, and more */
#define OTHERS	32u	/* that come or go meanwhile, of libraries and of those that are served */
#define ROUNDS	3u
#define GROWTH	64u	/* bytes of a connection that is gone; one that is kept has hundreds */

#define HELLO	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"

/* ---- the clients ------------------------------------------------------------------- */

enum { OPEN, HELD, CLOSE };

struct order {
	int what;
	uint32_t n;
	bool grpc;
	char path[108];
};

static int orders[2], reports[2];
static pid_t clients;

static int connect_to(const struct order *o)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	memcpy(addr.sun_path, o->path, sizeof(addr.sun_path));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    (o->grpc && send(fd, HELLO, sizeof(HELLO) - 1, MSG_NOSIGNAL) < 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool held(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

	return n > 0 || (n < 0 && errno == EAGAIN);
}

/* What it is ordered; each report is a number of connections. */
static int clients_main(void)
{
	static int fds[MANY];
	uint32_t have = 0, n, i;
	struct order o;

	while (read(orders[0], &o, sizeof(o)) == (ssize_t)sizeof(o)) {
		n = 0;
		switch (o.what) {
		case OPEN:
			for (i = 0; i < o.n && have < MANY; i++) {
				fds[have] = connect_to(&o);
				if (fds[have] < 0)
					break;
				have++;
			}
			n = have;
			break;
		case HELD:
			for (i = 0; i < have; i++)
				n += held(fds[i]);
			break;
		default:
			while (have)
				close(fds[--have]);
		}
		if (write(reports[1], &n, sizeof(n)) != (ssize_t)sizeof(n))
			return 1;
	}
	return 0;
}

static uint32_t order(int what, uint32_t n, bool grpc, const char *path)
{
	struct order o = { .what = what, .n = n, .grpc = grpc };
	uint32_t report;

	snprintf(o.path, sizeof(o.path), "%s", path);
	assert_int_equal(write(orders[1], &o, sizeof(o)), sizeof(o));
	assert_int_equal(read(reports[0], &report, sizeof(report)), sizeof(report));
	return report;
}

/* Before there are threads, and with as many descriptors as may be. */
static int clients_begin(void **state)
{
	struct rlimit lim;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	lim.rlim_cur = lim.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
	assert_int_equal(pipe2(orders, O_CLOEXEC) | pipe2(reports, O_CLOEXEC), 0);
	clients = fork();
	assert_true(clients >= 0);
	if (!clients) {
		close(orders[1]);
		_exit(clients_main());
	}
	close(orders[0]);
	close(reports[1]);
	return 0;
}

static int clients_end(void **state)
{
	int status;

	(void)state;
	close(orders[1]);
	assert_int_equal(waitpid(clients, &status, 0), clients);
	assert_int_equal(status, 0);
	return 0;
}

/* So many that @each of them find room. */
static uint32_t allowed(uint32_t each)
{
	struct rlimit lim;
	rlim_t room;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	room = lim.rlim_cur > 2 * SPARE ? (lim.rlim_cur - SPARE) / each : 0;
	return room < MANY ? (uint32_t)room : MANY;
}

/* ---- the helper's end ---------------------------------------------------------------- */

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t allocated(void)
{
	return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes() :
		mallinfo2().uordblks;
}

static uint32_t open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint32_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* It follows from what the other ends have done, but not at once; so long only when it does not. */
static void await_fds(uint32_t least, uint32_t most)
{
	uint32_t n = open_fds();
	int i;

	for (i = 0; i < 20000 && (n < least || n > most); i++) {
		usleep(1000);
		n = open_fds();
	}
	if (n < least || n > most)
		fail_msg("%u descriptors are open, not %u to %u", n, least, most);
}

static void served(void *conn)
{
	struct outcome o;

	assert_true(works(h));
	if (!conn)
		return;
	ask_grpc(conn, TEST, "All", "", 0, WAIT_MS, &o);
	assert_int_equal(o.code, RPC_OK);
	outcome_free(&o);
}

/*
 * @n of them come, stay and go. @each: descriptors of one here, at least; @conn: of somebody
 * else who is served over gRPC, too.
 */
static void crowd(uint32_t n, uint32_t each, bool grpc, const char *path, void *conn)
{
	uint32_t before = open_fds(), have = 0, more;

	while (have < n) {
		more = n - have < STEP ? n - have : STEP;
		assert_int_equal(order(OPEN, more, grpc, path), have + more);
		have += more;
		served(conn);
	}
	await_fds(before + each * n - OTHERS, UINT32_MAX);
	served(conn);
	assert_int_equal(order(HELD, 0, grpc, path), n);
	assert_int_equal(order(CLOSE, 0, grpc, path), 0);
	await_fds(0, before + OTHERS);
	served(conn);
}

static void crowds(uint32_t n, uint32_t each, bool grpc, const char *path, void *conn)
{
	size_t first = 0, now = 0;
	uint32_t i;

	if (n < STEP)
		skip();
	print_message("# %u connections at once over %s\n", n, grpc ? "gRPC" : "the control socket");
	/* The first makes what is there for as long as the helper. */
	for (i = 0; i < ROUNDS; i++) {
		crowd(n, each, grpc, path, conn);
		now = allocated();
		if (!i)
			first = now;
	}
	if (now > first + (size_t)n * GROWTH)
		fail_msg("%zu bytes more than after the first %u", now - first, n);
}

static void test_control(void **state)
{
	struct rpc_server_opts opts = { .loaded = &core_rpc, .max_connections = MANY + STEP };

	(void)state;
	world_begin(false, 0);
	opts.loaded_ctx = reg;
	h = harness_start(&opts);
	crowds(allowed(1), 1, false, h->path, NULL);
	end();
}

static void test_grpc(void **state)
{
	const struct grpc_numbers numbers = { .connections = MANY + STEP };
	void *conn;

	(void)state;
	grpc_begin(NULL, &numbers);
	load_rpc();
	conn = grpc_connect();
	served(conn);
	/* It has two or three for each. */
	crowds(allowed(3), 2, true, grpc_path, conn);
	way->close(conn);
	grpc_end();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_IN_WORLD(test_control),
		TEST_IN_WORLD(test_grpc),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, clients_begin, clients_end);
}
