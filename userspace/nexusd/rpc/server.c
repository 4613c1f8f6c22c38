// SPDX-License-Identifier: Apache-2.0
/* The server: accepts, waits, and hands events to connections and calls. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "server.h"

#define MAX_CONNECTIONS		4096
#define WORKERS			4
#define FRAME_TIMEOUT_MS	30000
#define MEMORY_MAX		(64u << 20)
#define FD_SPARE		256ul	/* for everything else in the process */
#define EVENTS			64
#define TICK_MS			1000
#define DRAIN_MS		1000

uint64_t server_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void server_log(const struct rpc_server *server, enum rpc_log_level level,
		const char *fmt, ...)
{
	char line[RPC_ERROR_MAX];
	va_list ap;

	if (!server->opts.log)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	server->opts.log(server->opts.log_ctx, level, line);
}

/* Room for the connections among the open files of the process. */
static void fit_open_files(struct rpc_server *server)
{
	struct rlimit lim;
	rlim_t want = (rlim_t)server->opts.max_connections + FD_SPARE;

	if (getrlimit(RLIMIT_NOFILE, &lim) || lim.rlim_cur >= want)
		return;
	lim.rlim_cur = want < lim.rlim_max ? want : lim.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &lim))
		getrlimit(RLIMIT_NOFILE, &lim);
	if (lim.rlim_cur >= want)
		return;
	server->opts.max_connections = lim.rlim_cur > 2 * FD_SPARE ?
		lim.rlim_cur - FD_SPARE : lim.rlim_cur / 2;
	server_log(server, RPC_LOG_INFO,
		   "the limit of open files allows %u control connections",
		   server->opts.max_connections);
}

static int watch_fd(struct rpc_server *server, int *fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = fd };

	if (*fd < 0)
		return -errno;
	if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, *fd, &ev))
		return -errno;
	return 0;
}

static void set_defaults(struct rpc_server_opts *opts)
{
	if (!opts->max_connections)
		opts->max_connections = MAX_CONNECTIONS;
	if (!opts->workers)
		opts->workers = WORKERS;
	if (!opts->frame_timeout_ms)
		opts->frame_timeout_ms = FRAME_TIMEOUT_MS;
	if (!opts->memory_max)
		opts->memory_max = MEMORY_MAX;
}

struct rpc_server *rpc_server_new(const char *path,
				  const struct rpc_service *services,
				  const struct rpc_server_opts *opts,
				  int *error)
{
	struct rpc_server *server;
	int err = -ENOMEM;

	server = calloc(1, sizeof(*server));
	if (!server)
		goto fail;
	if (opts)
		server->opts = *opts;
	set_defaults(&server->opts);
	server->lock_fd = server->listen_fd = server->epoll_fd = -1;
	server->stop_fd = server->done_fd = server->spare_fd = -1;
	pthread_mutex_init(&server->done_lock, NULL);
	server->path = strdup(path);
	server->group = strdup(server->opts.group ? server->opts.group :
						    RPC_GROUP);
	if (!server->path || !server->group)
		goto fail;
	server->opts.group = server->group;
	server->table = (struct rpc_table){
		.services = services,
		.loaded = server->opts.loaded,
		.loaded_ctx = server->opts.loaded_ctx,
		.group = server->group,
		.log = server->opts.log,
		.log_ctx = server->opts.log_ctx,
	};
	fit_open_files(server);

	server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	server->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (server->spare_fd < 0 || server->epoll_fd < 0) {
		err = -errno;
		goto fail;
	}
	err = socket_open(server);
	if (!err)
		err = watch_fd(server, &server->stop_fd);
	if (!err)
		err = watch_fd(server, &server->done_fd);
	if (!err)
		err = watch_fd(server, &server->listen_fd);
	if (!err)
		return server;

fail:
	rpc_server_free(server);
	if (error)
		*error = err;
	return NULL;
}

void rpc_server_free(struct rpc_server *server)
{
	if (!server)
		return;
	socket_close(server);
	if (server->epoll_fd >= 0)
		close(server->epoll_fd);
	if (server->stop_fd >= 0)
		close(server->stop_fd);
	if (server->done_fd >= 0)
		close(server->done_fd);
	if (server->spare_fd >= 0)
		close(server->spare_fd);
	pthread_mutex_destroy(&server->done_lock);
	free(server->group);
	free(server->path);
	free(server);
}

void rpc_server_stop(struct rpc_server *server)
{
	int saved = errno;
	uint64_t one = 1;
	ssize_t n;

	n = write(server->stop_fd, &one, sizeof(one));
	(void)n;	/* only fails when it has been written already */
	errno = saved;
}

unsigned int rpc_server_connections(const struct rpc_server *server)
{
	return atomic_load(&server->n_conns);
}

/* At the limit the longest idle client gives way. */
static bool make_room(struct rpc_server *server)
{
	struct rpc_conn *conn;

	if (atomic_load(&server->n_conns) < server->opts.max_connections)
		return true;
	for (conn = server->first; conn; conn = conn->next) {
		if (conn_idle(conn)) {
			conn_close(conn);
			return true;
		}
	}
	return false;
}

/* No file descriptor is left: take the client with the spare one, and hang up. */
static void hang_up_one(struct rpc_server *server)
{
	int fd;

	if (server->spare_fd >= 0)
		close(server->spare_fd);
	fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	server_log(server, RPC_LOG_WARNING,
		   "no file descriptor left for a control connection");
}

static void accept_some(struct rpc_server *server)
{
	int fd, i;

	for (i = 0; i < EVENTS; i++) {
		fd = accept4(server->listen_fd, NULL, NULL,
			     SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE)
				hang_up_one(server);
			return;
		}
		if (make_room(server))
			conn_new(server, fd);
		else
			close(fd);
	}
}

static void finish_calls(struct rpc_server *server)
{
	struct rpc_call *call, *next;
	struct rpc_conn *conn;
	uint64_t n;

	if (read(server->done_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		server_log(server, RPC_LOG_ERROR, "eventfd: %s",
			   strerror(errno));
	pthread_mutex_lock(&server->done_lock);
	call = server->done;
	server->done = NULL;
	pthread_mutex_unlock(&server->done_lock);
	for (; call; call = next) {
		next = call->next;
		call_finish(call);
	}
	/* One at a time: what sends may close, and that takes others off the list. */
	for (;;) {
		pthread_mutex_lock(&server->done_lock);
		call = server->woken;
		if (call) {
			server->woken = call->next_woken;
			call->is_woken = false;
		}
		pthread_mutex_unlock(&server->done_lock);
		if (!call)
			break;
		conn = call->conn;
		if (call->linked)
			conn_flush(conn);
	}
}

static void expire_some(struct rpc_server *server, uint64_t now)
{
	struct rpc_conn *conn, *next;

	for (conn = server->first; conn; conn = next) {
		next = conn->next;
		conn_expire(conn, now);
	}
	conn_bury(server);
}

/* One wait and what it brought. Returns 1 when asked to stop. */
static int turn(struct rpc_server *server, int timeout)
{
	struct epoll_event ev[EVENTS];
	int i, n, stop = 0;

	n = epoll_wait(server->epoll_fd, ev, EVENTS, timeout);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (i = 0; i < n; i++) {
		if (ev[i].data.ptr == &server->stop_fd)
			stop = 1;
		else if (ev[i].data.ptr == &server->done_fd)
			finish_calls(server);
		else if (ev[i].data.ptr == &server->listen_fd)
			accept_some(server);
		else
			conn_event(ev[i].data.ptr, ev[i].events);
	}
	conn_bury(server);
	return stop;
}

/* Answers that are still on their way get a moment. */
static void drain(struct rpc_server *server)
{
	uint64_t end = server_now() + DRAIN_MS, now;
	struct rpc_conn *conn, *next;

	server->draining = true;
	epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, server->stop_fd, NULL);
	epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, server->listen_fd, NULL);
	pool_stop(server->pool);
	server->pool = NULL;
	finish_calls(server);
	for (conn = server->first; conn; conn = next) {
		next = conn->next;
		stream_refuse_all(conn);
	}
	for (;;) {
		for (conn = server->first; conn; conn = next) {
			next = conn->next;
			if (conn_idle(conn))
				conn_close(conn);
		}
		conn_bury(server);
		now = server_now();
		if (!server->first || now >= end)
			break;
		if (turn(server, (int)(end - now)) < 0)
			break;
	}
	while (server->first)
		conn_close(server->first);
	conn_bury(server);
}

int rpc_server_run(struct rpc_server *server)
{
	uint64_t last = server_now(), now;
	int ret;

	server->pool = pool_new(server->opts.workers);
	if (!server->pool)
		return -EAGAIN;
	do {
		ret = turn(server, server->first ? TICK_MS : -1);
		now = server_now();
		if (now - last >= TICK_MS) {
			expire_some(server, now);
			last = now;
		}
	} while (!ret);
	drain(server);
	return ret < 0 ? ret : 0;
}
