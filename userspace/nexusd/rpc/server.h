/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the server. One epoll thread owns the server and every connection;
 * a worker owns a call while it runs. Between the two stand the queue of the
 * pool and the list of finished calls.
 */
#ifndef NEXUSD_RPC_SERVER_H
#define NEXUSD_RPC_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "frame.h"
#include "pool.h"
#include "rpc.h"
#include "table.h"

#define CONN_CALLS_MAX		8		/* at once, per connection */
#define CONN_OUT_MAX		(64u << 10)	/* then no more is read */
#define CONN_STREAMS_MAX	64		/* open, per connection */

/** struct rpc_out - a frame on its way to the client */
struct rpc_out {
	struct rpc_out *next;
	size_t len;
	size_t sent;
	uint8_t data[];
};

/** struct rpc_conn - one client */
struct rpc_conn {
	struct rpc_server *server;
	struct rpc_conn *prev, *next;	/* oldest activity first */
	int fd;
	uint32_t events;		/* what epoll watches for */
	bool eof;			/* the client sends no more */
	bool dead;			/* closed; waits for its calls */

	uint8_t header[FRAME_HEADER_LEN];
	size_t header_have;
	struct frame_header frame;
	uint8_t *body;
	size_t body_have;
	size_t body_cap;
	size_t discard;			/* bytes of the frame to drop */
	uint64_t frame_deadline;	/* ms; 0 between frames */

	struct rpc_out *out, **out_tail;
	size_t out_bytes;
	uint64_t out_deadline;		/* ms; 0 with nothing to send */

	unsigned int calls;
	uint32_t streams[CONN_CALLS_MAX];
	bool closed[CONN_CALLS_MAX];	/* the client has closed its side of it */
	unsigned int n_opening;		/* of those calls, that begin a stream */
	struct rpc_call *open;		/* streams; the next to send first */
	unsigned int n_open;
	bool more;			/* of them; others had their turn */
};

/** struct rpc_call - one request, from its last byte to its answer */
struct rpc_call {
	struct pool_job job;
	struct rpc_call *next;		/* in the list of finished calls */
	struct rpc_conn *conn;
	uint32_t stream;
	struct rpc_call_args args;
	uint8_t *body;
	size_t body_cap;
	struct frame_span payload;
	struct rpc_out *out;		/* NULL: no memory for it */

	struct nexus_rpc_stream *feed;	/* of a method with a stream, else NULL */
	bool opened;			/* the feed has begun */
	bool linked;			/* it is in rpc_conn.open; epoll thread */
	struct rpc_call *next_open;	/* of rpc_conn.open */
	struct rpc_call *next_woken;	/* done_lock: of rpc_server.woken */
	bool is_woken;			/* done_lock */
};

struct rpc_server {
	struct rpc_table table;
	struct rpc_server_opts opts;
	char *path;
	char *group;
	int lock_fd, listen_fd, epoll_fd, stop_fd, done_fd, spare_fd;
	dev_t dev;			/* of the socket's file */
	ino_t ino;

	struct pool *pool;
	struct rpc_conn *first, *last;
	struct rpc_conn *graves;	/* freed after the events at hand */
	atomic_uint n_conns;
	size_t memory;			/* bodies and answers held */
	unsigned int calls;
	bool draining;

	pthread_mutex_t done_lock;
	struct rpc_call *done;
	struct rpc_call *woken;		/* their feeds have something */
};

/* server.c */

/** server_now() - monotonic milliseconds */
uint64_t server_now(void);

/** server_log() - a line for the log of the helper */
void server_log(const struct rpc_server *server, enum rpc_log_level level,
		const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* conn.c; all on the epoll thread */

/**
 * conn_new() - take a connection over
 * @server: the server
 * @fd: non-blocking socket; closed on failure
 *
 * Return: 0, or a negative errno.
 */
int conn_new(struct rpc_server *server, int fd);

/** conn_event() - epoll says something about it */
void conn_event(struct rpc_conn *conn, uint32_t events);

/** conn_close() - end it; it is freed when its last call is done */
void conn_close(struct rpc_conn *conn);

/** conn_expire() - end it when a deadline has passed */
void conn_expire(struct rpc_conn *conn, uint64_t now);

/** conn_flush() - send what can be sent, and say to epoll what is awaited */
void conn_flush(struct rpc_conn *conn);

/** conn_idle() - nothing of it is in work or on its way out */
bool conn_idle(const struct rpc_conn *conn);

/** conn_bury() - free the closed ones; no event may point at them any more */
void conn_bury(struct rpc_server *server);

/* call.c */

/**
 * call_begin() - a request is complete: answer it, or give it to a worker
 * @conn: where it came from; its body is taken over
 */
void call_begin(struct rpc_conn *conn);

/** call_refuse() - answer the frame at hand with an error right away */
void call_refuse(struct rpc_conn *conn, uint32_t stream, int code,
		 const char *message);

/** call_queue() - a frame is to be sent */
void call_queue(struct rpc_conn *conn, struct rpc_out *out);

/** call_finish() - on the epoll thread: its answer goes to the client */
void call_finish(struct rpc_call *call);

/** call_free() - its feed is dropped, too */
void call_free(struct rpc_call *call);

/* stream.c; on the epoll thread, but for stream_wake() */

/** stream_wake() - the feed of a call (@ctx) has something; from any thread */
void stream_wake(void *ctx);

/** stream_unwake() - that is not wanted any more */
void stream_unwake(struct rpc_call *call);

/**
 * stream_open() - a feed has begun; the connection has the call from now on
 * @closed: the client wants no more of it already
 */
void stream_open(struct rpc_call *call, bool closed);

/** stream_data() - a data frame of the client has begun; its body is dropped */
void stream_data(struct rpc_conn *conn, const struct frame_header *frame);

/** stream_busy() - is there a stream of that id */
bool stream_busy(const struct rpc_conn *conn, uint32_t stream);

/**
 * stream_pull() - frames of the open streams, until enough is on its way out
 *
 * Return: bytes.
 */
size_t stream_pull(struct rpc_conn *conn);

/** stream_close_all() - the client is gone */
void stream_close_all(struct rpc_conn *conn);

/** stream_refuse_all() - the server goes: what there is, and an error behind it */
void stream_refuse_all(struct rpc_conn *conn);

/* response.c */

/** data_build() - a data frame; NULL without memory */
struct rpc_out *data_build(uint32_t stream, uint8_t flags, const void *data, size_t len);


/**
 * response_build() - the frame that answers a call
 * @stream: of the request
 * @reply: the outcome
 *
 * Return: the frame, or NULL without memory.
 */
struct rpc_out *response_build(uint32_t stream, const struct rpc_reply *reply);

/* socket.c */

/**
 * socket_open() - bind server->path and listen, with the right mode and group
 * @server: gets lock_fd, listen_fd, dev, ino
 *
 * Return: 0, or a negative errno.
 */
int socket_open(struct rpc_server *server);

/** socket_close() - undo socket_open(), in whatever state it is */
void socket_close(struct rpc_server *server);

#endif /* NEXUSD_RPC_SERVER_H */
