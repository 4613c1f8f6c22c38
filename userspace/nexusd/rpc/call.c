// SPDX-License-Identifier: Apache-2.0
/* A request on its way through the pool and back. */
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"
#include "server.h"

#define FIND_TRIES	3	/* of a method whose service is being replaced */

void call_queue(struct rpc_conn *conn, struct rpc_out *out)
{
	struct rpc_server *server = conn->server;

	if (!conn->out)
		conn->out_deadline = server_now() + server->opts.frame_timeout_ms;
	*conn->out_tail = out;
	conn->out_tail = &out->next;
	conn->out_bytes += out->len;
	server->memory += out->len;
}

void call_refuse(struct rpc_conn *conn, uint32_t stream, int code,
		 const char *message)
{
	struct rpc_reply reply = { 0 };
	struct rpc_out *out;

	rpc_reply_code(&reply, code, "%s", message);
	out = response_build(stream, &reply);
	rpc_reply_release(&reply);
	if (out)
		call_queue(conn, out);
	else
		conn_close(conn);
}

/* On a worker: into a service, which may be replaced at any moment. */
static void call_loaded(struct rpc_call *call, struct rpc_reply *reply)
{
	const struct rpc_server_opts *opts = &call->conn->server->opts;
	uint64_t now = server_now();
	uint32_t left = 0;
	bool stream = call->feed;
	int ret = 1, tries;

	if (call->deadline)
		left = call->deadline - now < UINT32_MAX ? call->deadline - now : UINT32_MAX;
	if (call->deadline && !left)
		left = 1;
	for (tries = 0; ret == 1 && tries < FIND_TRIES; tries++) {
		if (tries && (opts->loaded->find(opts->loaded_ctx, call->service, call->method,
						 &call->found) || call->found.stream != stream))
			break;
		if (call->found.asks && !call->peer.may_change)
			call->peer.may_change = peer_may_change(call->conn->fd, &call->peer,
								opts->group);
		ret = opts->loaded->call(opts->loaded_ctx, call->service, call->method,
					 &call->found, &call->peer, call->payload.data,
					 call->payload.len, left, call->feed, reply);
	}
	if (ret == 1)
		rpc_reply_code(reply, RPC_UNIMPLEMENTED, "%s/%s is not there any more",
			       call->service, call->method);
	else if (ret && reply->code == RPC_OK)
		rpc_reply_error(reply, ret, NULL);
	call->opened = !ret && stream;
}

/* On a worker. */
static void call_run(struct pool_job *job, bool cancelled)
{
	struct rpc_call *call = (struct rpc_call *)job;
	struct rpc_server *server = call->conn->server;
	struct rpc_reply reply = { 0 };
	uint64_t one = 1;

	if (cancelled) {
		rpc_reply_code(&reply, RPC_UNAVAILABLE,
			       "the helper is stopping; try again");
	} else if (call->deadline && server_now() > call->deadline) {
		rpc_reply_code(&reply, RPC_DEADLINE_EXCEEDED,
			       "the call waited longer than its time limit");
	} else if (call->is_loaded) {
		call_loaded(call, &reply);
		if (reply.code == RPC_PERMISSION_DENIED)
			server_log(server, RPC_LOG_WARNING, "%s/%s was refused to uid %u, pid %d",
				   call->service, call->method, (unsigned int)call->peer.uid,
				   (int)call->peer.pid);
	} else {
		if (call->changes)
			call->peer.may_change =
				peer_may_change(call->conn->fd, &call->peer,
						server->opts.group);
		rpc_dispatch(server->services, &call->peer, call->service,
			     call->method, call->payload.data,
			     call->payload.len, &reply);
		if (call->changes && !call->peer.may_change)
			server_log(server, RPC_LOG_WARNING, "%s/%s was refused to uid %u, pid %d",
				   call->service, call->method, (unsigned int)call->peer.uid,
				   (int)call->peer.pid);
	}
	if (!call->opened)
		call->out = response_build(call->stream, &reply);
	rpc_reply_release(&reply);

	pthread_mutex_lock(&server->done_lock);
	call->next = server->done;
	server->done = call;
	pthread_mutex_unlock(&server->done_lock);
	if (write(server->done_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		server_log(server, RPC_LOG_ERROR, "eventfd: %s",
			   strerror(errno));
}

/* Copy a name out of the request; false when it cannot be one. */
static bool copy_name(char *to, const struct frame_span *from)
{
	if (from->len >= SERVER_NAME_MAX || !frame_utf8(from->data, from->len))
		return false;
	if (from->len)
		memcpy(to, from->data, from->len);
	to[from->len] = '\0';
	return true;
}

/* Why a request is not one; NULL when it is. */
static const char *call_parse(struct rpc_call *call, size_t len)
{
	const struct rpc_method *method;
	const struct rpc_server_opts *opts = &call->conn->server->opts;
	struct frame_request req;
	uint64_t limit;

	if (frame_parse_request(call->body, len, &req))
		return "the message is no ttrpc.Request";
	if (!copy_name(call->service, &req.service) ||
	    !copy_name(call->method, &req.method))
		return "service or method is not a name";
	call->payload = req.payload;
	if (req.timeout_ns > 0) {
		limit = (uint64_t)req.timeout_ns / 1000000;
		call->deadline = server_now() + limit + 1;
	}
	method = rpc_find(call->conn->server->services, call->service,
			  call->method, NULL);
	if (method) {
		call->changes = method->flags & RPC_METHOD_CHANGES;
		call->job.is_long = method->flags & RPC_METHOD_LONG;
	} else if (opts->loaded && !opts->loaded->find(opts->loaded_ctx, call->service,
						       call->method, &call->found)) {
		call->is_loaded = true;
		call->job.is_long = true;
	}
	return NULL;
}

/* Whether the flags suit the method; a stream gets its feed.  NULL, or why not. */
static const char *call_stream(struct rpc_call *call, int *code)
{
	const struct rpc_server_opts *opts = &call->conn->server->opts;
	uint8_t flags = call->conn->frame.flags;

	if (!call->is_loaded || !call->found.stream) {
		*code = RPC_UNIMPLEMENTED;
		return flags & FRAME_REMOTE_OPEN ?
			"the method takes no stream of messages" : NULL;
	}
	if (!(flags & (FRAME_REMOTE_OPEN | FRAME_REMOTE_CLOSED))) {
		*code = RPC_INVALID_ARGUMENT;
		return "the method answers with a stream, and the call is unary";
	}
	*code = RPC_RESOURCE_EXHAUSTED;
	if (call->conn->n_open + call->conn->n_opening >= CONN_STREAMS_MAX)
		return "the connection has 64 streams open";
	call->feed = opts->loaded->stream_new(stream_wake, call);
	return call->feed ? NULL : "the helper has no memory for the stream";
}

void call_free(struct rpc_call *call)
{
	const struct rpc_server_opts *opts = &call->conn->server->opts;

	if (call->feed) {
		opts->loaded->stream_drop(opts->loaded_ctx, call->feed);
		stream_unwake(call);
	}
	free(call->body);
	free(call);
}

void call_begin(struct rpc_conn *conn)
{
	struct rpc_server *server = conn->server;
	const char *wrong = "the helper has no memory for the call";
	int code = RPC_RESOURCE_EXHAUSTED;
	struct rpc_call *call;

	call = calloc(1, sizeof(*call));
	if (!call)
		goto refuse;
	call->job.run = call_run;
	call->conn = conn;
	call->stream = conn->frame.stream;
	call->body = conn->body;
	call->body_cap = conn->body_cap;

	code = RPC_INVALID_ARGUMENT;
	wrong = call_parse(call, conn->body_have);
	if (wrong)
		goto refuse;
	if (peer_read(conn->fd, &call->peer)) {
		code = RPC_UNAUTHENTICATED;
		wrong = "the kernel does not say who is calling";
		goto refuse;
	}
	wrong = call_stream(call, &code);
	if (wrong)
		goto refuse;

	conn->body = NULL;
	conn->body_cap = 0;
	conn->closed[conn->calls] = false;
	conn->streams[conn->calls++] = call->stream;
	conn->n_opening += call->feed != NULL;
	server->calls++;
	pool_submit(server->pool, &call->job);
	return;

refuse:
	free(call);
	call_refuse(conn, conn->frame.stream, code, wrong);
}

void call_finish(struct rpc_call *call)
{
	struct rpc_conn *conn = call->conn;
	struct rpc_server *server = conn->server;
	unsigned int i;
	bool closed;

	server->memory -= call->body_cap;
	server->calls--;
	conn->n_opening -= call->feed != NULL;
	for (i = 0; i < conn->calls; i++)
		if (conn->streams[i] == call->stream)
			break;
	closed = conn->closed[i];
	conn->calls--;
	conn->streams[i] = conn->streams[conn->calls];
	conn->closed[i] = conn->closed[conn->calls];

	if (conn->dead) {
		free(call->out);
		call_free(call);
		conn_close(conn);
		return;
	}
	if (call->opened) {
		stream_open(call, closed);
		conn_flush(conn);
		return;
	}
	if (!call->out) {
		server_log(server, RPC_LOG_WARNING,
			   "no memory for an answer, connection closed");
		conn_close(conn);
	} else if (conn->out && server->memory + call->out->len >
				server->opts.memory_max) {
		server_log(server, RPC_LOG_WARNING,
			   "a client of pid %d does not take its answers, connection closed",
			   (int)call->peer.pid);
		free(call->out);
		conn_close(conn);
	} else {
		call_queue(conn, call->out);
		conn_flush(conn);
	}
	call_free(call);
}
