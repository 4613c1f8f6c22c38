// SPDX-License-Identifier: Apache-2.0
/* A request on its way through the pool and back. */
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"
#include "server.h"

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
	} else {
		call->args.payload = call->payload.data;
		call->args.len = call->payload.len;
		call->args.fd = call->conn->fd;
		call->args.feed = call->feed;
		call->opened = rpc_table_call(&server->table, &call->args, &reply);
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

/* Why a request is not one; NULL when it is. */
static const char *call_parse(struct rpc_call *call, size_t len)
{
	struct rpc_call_args *args = &call->args;
	struct frame_request req;
	uint64_t limit;

	if (frame_parse_request(call->body, len, &req))
		return "the message is no ttrpc.Request";
	if (!rpc_name_copy(args->service, req.service.data, req.service.len) ||
	    !rpc_name_copy(args->method, req.method.data, req.method.len))
		return "service or method is not a name";
	call->payload = req.payload;
	if (req.timeout_ns > 0) {
		limit = (uint64_t)req.timeout_ns / 1000000;
		args->deadline = server_now() + limit + 1;
	}
	rpc_table_find(&call->conn->server->table, args->service, args->method, &args->entry);
	call->job.is_long = args->entry.is_long;
	return NULL;
}

/* Whether the flags suit the method; a stream gets its feed.  NULL, or why not. */
static const char *call_stream(struct rpc_call *call, int *code)
{
	const struct rpc_server_opts *opts = &call->conn->server->opts;
	uint8_t flags = call->conn->frame.flags;

	if (!call->args.entry.is_loaded || !call->args.entry.found.stream) {
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
	if (peer_read(conn->fd, &call->args.peer)) {
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
			   (int)call->args.peer.pid);
		free(call->out);
		conn_close(conn);
	} else {
		call_queue(conn, call->out);
		conn_flush(conn);
	}
	call_free(call);
}
