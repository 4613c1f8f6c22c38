// SPDX-License-Identifier: Apache-2.0
/*
 * Streams of a connection.  A frame is taken out of a feed only while little is
 * on its way to the client: what a slow one does not read stays in the feed,
 * which is bounded, and nobody else notices.
 *
 * ttrpc has no frame that cancels.  A stream ends early with its connection,
 * or, when it was begun with "remote open", as soon as the client closes its side.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "feed.h"
#include "server.h"

void stream_wake(void *ctx)
{
	struct rpc_call *call = ctx;
	struct rpc_server *server = call->conn->server;
	uint64_t one = 1;
	bool first;

	pthread_mutex_lock(&server->done_lock);
	first = !call->is_woken;
	if (first) {
		call->is_woken = true;
		call->next_woken = server->woken;
		server->woken = call;
	}
	pthread_mutex_unlock(&server->done_lock);
	if (first && write(server->done_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		server_log(server, RPC_LOG_ERROR, "eventfd: %s", strerror(errno));
}

void stream_unwake(struct rpc_call *call)
{
	struct rpc_server *server = call->conn->server;
	struct rpc_call **cp;

	pthread_mutex_lock(&server->done_lock);
	for (cp = &server->woken; *cp; cp = &(*cp)->next_woken)
		if (*cp == call) {
			*cp = call->next_woken;
			break;
		}
	call->is_woken = false;
	pthread_mutex_unlock(&server->done_lock);
}

static void link_last(struct rpc_call *call)
{
	struct rpc_call **cp;

	for (cp = &call->conn->open; *cp; cp = &(*cp)->next_open)
		;
	call->next_open = NULL;
	*cp = call;
}

bool stream_busy(const struct rpc_conn *conn, uint32_t stream)
{
	const struct rpc_call *call;
	unsigned int i;

	for (i = 0; i < conn->calls; i++)
		if (conn->streams[i] == stream)
			return true;
	for (call = conn->open; call; call = call->next_open)
		if (call->stream == stream)
			return true;
	return false;
}

/* Off the list already. */
static void end(struct rpc_call *call, struct rpc_out *last)
{
	struct rpc_conn *conn = call->conn;

	conn->n_open--;
	call_free(call);
	if (last)
		call_queue(conn, last);
	else
		conn_close(conn);
}

static struct rpc_out *end_build(const struct rpc_call *call, int error, const char *text)
{
	struct rpc_reply reply = { 0 };
	struct rpc_out *out;

	if (!error)
		return data_build(call->stream, FRAME_REMOTE_CLOSED | FRAME_NO_DATA, NULL, 0);
	rpc_reply_error(&reply, error, text[0] ? "%s" : NULL, text);
	out = response_build(call->stream, &reply);
	rpc_reply_release(&reply);
	return out;
}

void stream_open(struct rpc_call *call, bool closed)
{
	free(call->body);
	call->body = NULL;
	call->linked = true;
	call->conn->n_open++;
	if (closed)
		end(call, end_build(call, 0, ""));
	else
		link_last(call);
}

void stream_data(struct rpc_conn *conn, const struct frame_header *frame)
{
	struct rpc_call **cp, *call;
	bool closes = frame->flags & FRAME_REMOTE_CLOSED;
	unsigned int i;

	for (cp = &conn->open; (call = *cp); cp = &call->next_open)
		if (call->stream == frame->stream)
			break;
	/* One that is being begun; or it was refused, or has ended just now. */
	for (i = 0; !call && i < conn->calls; i++)
		if (conn->streams[i] == frame->stream && closes)
			conn->closed[i] = true;
	if (!call)
		return;
	if (frame->len && !(frame->flags & FRAME_NO_DATA)) {
		*cp = call->next_open;
		end(call, end_build(call, -EINVAL, "the method takes no stream of messages"));
	} else if (closes) {
		*cp = call->next_open;
		end(call, end_build(call, 0, ""));
	}
}

/* The next frame of a stream, into *@out.  False: there is none now. */
static bool take(struct rpc_call *call, struct rpc_out **out, bool *last)
{
	const struct rpc_server_opts *opts = &call->conn->server->opts;
	struct stream_msg *msg = NULL;
	char text[256];
	int error = 0, ret;

	ret = opts->loaded->stream_take(opts->loaded_ctx, call->feed, &msg, &error, text);
	if (ret == -EAGAIN)
		return false;
	*last = ret;
	*out = ret ? end_build(call, error, text) : data_build(call->stream, 0, msg->data, msg->len);
	free(msg);
	return true;
}

size_t stream_pull(struct rpc_conn *conn)
{
	struct rpc_call *call;
	struct rpc_out *out;
	unsigned int idle = 0;
	size_t total = 0;
	bool last;

	/* In turn, until all of them have nothing. */
	while (conn->open && idle < conn->n_open && conn->out_bytes <= CONN_OUT_MAX) {
		call = conn->open;
		conn->open = call->next_open;
		if (!take(call, &out, &last)) {
			link_last(call);
			idle++;
			continue;
		}
		idle = 0;
		if (out)
			total += out->len;
		if (last || !out) {
			end(call, out);
			if (!out)
				return total;
			continue;
		}
		call_queue(conn, out);
		link_last(call);
	}
	return total;
}

void stream_close_all(struct rpc_conn *conn)
{
	struct rpc_call *call;

	while ((call = conn->open)) {
		conn->open = call->next_open;
		conn->n_open--;
		call_free(call);
	}
}

void stream_refuse_all(struct rpc_conn *conn)
{
	struct rpc_call *call;

	if (!conn->open)
		return;
	conn_flush(conn);
	while (!conn->dead && (call = conn->open)) {
		conn->open = call->next_open;
		end(call, end_build(call, -ESHUTDOWN, "the helper is stopping"));
	}
	if (!conn->dead)
		conn_flush(conn);
}
