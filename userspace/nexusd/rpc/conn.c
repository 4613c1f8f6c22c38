// SPDX-License-Identifier: Apache-2.0
/*
 * A connection: frames in, frames out, never more memory than was agreed.
 *
 * Reading stops only between frames (too many calls at work, or answers not
 * taken), so a frame that has begun is always the client's to finish, and has
 * a deadline.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"

#define BODY_FIRST	4096u	/* grows with what really arrives */
#define TURN_BYTES	(256u << 10)	/* then the others' turn */

static void list_remove(struct rpc_conn *conn)
{
	struct rpc_server *server = conn->server;

	*(conn->prev ? &conn->prev->next : &server->first) = conn->next;
	*(conn->next ? &conn->next->prev : &server->last) = conn->prev;
	conn->prev = NULL;
	conn->next = NULL;
}

static void list_append(struct rpc_conn *conn)
{
	struct rpc_server *server = conn->server;

	conn->prev = server->last;
	conn->next = NULL;
	*(conn->prev ? &conn->prev->next : &server->first) = conn;
	server->last = conn;
}

static void drop_body(struct rpc_conn *conn)
{
	conn->server->memory -= conn->body_cap;
	free(conn->body);
	conn->body = NULL;
	conn->body_cap = 0;
}

int conn_new(struct rpc_server *server, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct rpc_conn *conn;
	int err;

	conn = calloc(1, sizeof(*conn));
	if (!conn) {
		err = -ENOMEM;
		goto fail;
	}
	conn->server = server;
	conn->fd = fd;
	conn->events = ev.events;
	conn->out_tail = &conn->out;
	ev.data.ptr = conn;
	if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &ev)) {
		err = -errno;
		goto fail;
	}
	list_append(conn);
	atomic_fetch_add(&server->n_conns, 1);
	return 0;

fail:
	free(conn);
	close(fd);
	return err;
}

bool conn_idle(const struct rpc_conn *conn)
{
	return !conn->calls && !conn->out && !conn->open;
}

void conn_close(struct rpc_conn *conn)
{
	struct rpc_server *server = conn->server;
	struct rpc_out *out;

	if (!conn->dead) {
		conn->dead = true;
		epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
		shutdown(conn->fd, SHUT_RDWR);
		list_remove(conn);
		atomic_fetch_sub(&server->n_conns, 1);
		drop_body(conn);
		stream_close_all(conn);
		while ((out = conn->out)) {
			conn->out = out->next;
			server->memory -= out->len;
			free(out);
		}
	} else if (conn->fd < 0) {
		return;
	}
	if (conn->calls)
		return;		/* its workers still ask the socket */
	close(conn->fd);
	conn->fd = -1;
	conn->next = server->graves;
	server->graves = conn;
}

void conn_bury(struct rpc_server *server)
{
	struct rpc_conn *conn;

	while ((conn = server->graves)) {
		server->graves = conn->next;
		free(conn);
	}
}

void conn_expire(struct rpc_conn *conn, uint64_t now)
{
	if ((conn->frame_deadline && now > conn->frame_deadline) ||
	    (conn->out_deadline && now > conn->out_deadline)) {
		server_log(conn->server, RPC_LOG_DEBUG,
			   "a client is too slow, connection closed");
		conn_close(conn);
	}
}

/* Between frames: is there a reason to read no further? */
static bool conn_blocked(const struct rpc_conn *conn)
{
	if (conn->header_have)
		return false;
	return conn->calls >= CONN_CALLS_MAX || conn->out_bytes > CONN_OUT_MAX;
}

static void conn_watch(struct rpc_conn *conn)
{
	struct epoll_event ev = { .data.ptr = conn };

	if (!conn->eof && !conn->server->draining && !conn_blocked(conn))
		ev.events |= EPOLLIN;
	if (conn->out || conn->more)
		ev.events |= EPOLLOUT;
	if (ev.events == conn->events)
		return;
	if (epoll_ctl(conn->server->epoll_fd, EPOLL_CTL_MOD, conn->fd, &ev))
		conn_close(conn);
	else
		conn->events = ev.events;
}

void conn_flush(struct rpc_conn *conn)
{
	struct rpc_server *server = conn->server;
	struct rpc_out *out;
	size_t total = 0;
	ssize_t n;

	conn->more = false;
	for (;;) {
		total += stream_pull(conn);
		if (conn->dead)
			return;
		out = conn->out;
		if (!out)
			break;
		if (total > TURN_BYTES) {
			conn->more = true;
			break;
		}
		n = send(conn->fd, out->data + out->sent, out->len - out->sent,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			conn_close(conn);
			return;
		}
		out->sent += n;
		if (out->sent < out->len)
			continue;
		conn->out = out->next;
		if (!conn->out)
			conn->out_tail = &conn->out;
		conn->out_bytes -= out->len;
		server->memory -= out->len;
		free(out);
		conn->out_deadline = conn->out ?
			server_now() + server->opts.frame_timeout_ms : 0;
	}
	if (conn->eof && conn_idle(conn) && !conn->more)
		conn_close(conn);
	else
		conn_watch(conn);
}

static void frame_done(struct rpc_conn *conn)
{
	drop_body(conn);
	conn->header_have = 0;
	conn->body_have = 0;
	conn->frame_deadline = 0;
	list_remove(conn);
	list_append(conn);
}

/* Answer the frame with an error and skip what is left of it. */
static void frame_refuse(struct rpc_conn *conn, int code, const char *message)
{
	size_t left = conn->frame.len - conn->body_have;

	drop_body(conn);
	conn->discard = left;
	call_refuse(conn, conn->frame.stream, code, message);
}

/* A header is complete. True when it begins a request that is wanted. */
static bool frame_begin(struct rpc_conn *conn)
{
	struct frame_header *frame = &conn->frame;

	frame_decode(conn->header, frame);
	conn->body_have = 0;
	switch (frame->type) {
	case FRAME_REQUEST:
		break;
	case FRAME_DATA:
		conn->discard = frame->len;
		stream_data(conn, frame);
		return false;
	default:
		server_log(conn->server, RPC_LOG_DEBUG,
			   "not a ttrpc client: frame of type %u, connection closed",
			   frame->type);
		conn_close(conn);
		return false;
	}
	if (frame->len > RPC_MESSAGE_MAX)
		frame_refuse(conn, RPC_RESOURCE_EXHAUSTED,
			     "the message is longer than 4194304 bytes");
	else if (frame->stream % 2 == 0)
		frame_refuse(conn, RPC_INVALID_ARGUMENT,
			     "the stream id of a client must be odd");
	else if (stream_busy(conn, frame->stream))
		frame_refuse(conn, RPC_INVALID_ARGUMENT,
			     "the stream id is in use");
	else
		return true;
	return false;
}

/* Make room for more of the body, as far as it has really come. */
static int body_grow(struct rpc_conn *conn)
{
	struct rpc_server *server = conn->server;
	size_t cap = conn->body_cap ? conn->body_cap * 2 : BODY_FIRST;
	uint8_t *body;

	if (cap > conn->frame.len)
		cap = conn->frame.len;
	if (server->memory + cap - conn->body_cap > server->opts.memory_max)
		return -ENOMEM;
	body = realloc(conn->body, cap);
	if (!body)
		return -ENOMEM;
	server->memory += cap - conn->body_cap;
	conn->body = body;
	conn->body_cap = cap;
	return 0;
}

/* Where the next bytes go; 0 when none are wanted. */
static size_t read_target(struct rpc_conn *conn, uint8_t *scratch,
			  size_t scratch_len, uint8_t **to)
{
	if (conn->header_have < FRAME_HEADER_LEN) {
		*to = conn->header + conn->header_have;
		return FRAME_HEADER_LEN - conn->header_have;
	}
	if (!conn->discard && conn->body_have == conn->body_cap &&
	    conn->body_have < conn->frame.len && body_grow(conn)) {
		frame_refuse(conn, RPC_RESOURCE_EXHAUSTED,
			     "the helper has no memory for the message; try again");
	}
	if (conn->discard) {
		*to = scratch;
		return conn->discard < scratch_len ? conn->discard :
						     scratch_len;
	}
	*to = conn->body + conn->body_have;
	return conn->body_cap - conn->body_have;
}

/* @n bytes have arrived where read_target() wanted them. */
static void read_done(struct rpc_conn *conn, size_t n)
{
	struct rpc_server *server = conn->server;

	if (conn->header_have < FRAME_HEADER_LEN) {
		if (!conn->header_have)
			conn->frame_deadline =
				server_now() + server->opts.frame_timeout_ms;
		conn->header_have += n;
		if (conn->header_have < FRAME_HEADER_LEN)
			return;
		if (!frame_begin(conn)) {
			if (!conn->dead && !conn->discard)
				frame_done(conn);
			return;
		}
	} else if (conn->discard) {
		conn->discard -= n;
		if (!conn->discard)
			frame_done(conn);
		return;
	} else {
		conn->body_have += n;
	}
	if (conn->body_have < conn->frame.len)
		return;
	call_begin(conn);
	if (!conn->dead)
		frame_done(conn);
}

static void conn_read(struct rpc_conn *conn)
{
	uint8_t scratch[16384], *to;
	size_t want, total = 0;
	ssize_t n;

	while (!conn->dead && !conn_blocked(conn) && total < TURN_BYTES) {
		want = read_target(conn, scratch, sizeof(scratch), &to);
		if (conn->dead)
			return;
		n = recv(conn->fd, to, want, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			conn_close(conn);
			return;
		}
		if (n == 0) {
			conn->eof = true;
			conn->frame_deadline = 0;
			return;
		}
		total += n;
		read_done(conn, n);
	}
}

void conn_event(struct rpc_conn *conn, uint32_t events)
{
	if (conn->dead)
		return;
	if (events & (EPOLLHUP | EPOLLERR)) {
		conn_close(conn);
		return;
	}
	if ((events & EPOLLIN) && !conn->eof && !conn->server->draining)
		conn_read(conn);
	if (!conn->dead)
		conn_flush(conn);
}
