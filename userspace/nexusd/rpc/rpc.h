/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls over a Unix socket in ttrpc framing, and the dispatch table behind it.
 *
 * The table (service, method) -> handler knows nothing about sockets: any
 * other front end can decode a call its own way and use rpc_dispatch().
 */
#ifndef NEXUSD_RPC_RPC_H
#define NEXUSD_RPC_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RPC_MESSAGE_MAX		(4u << 20)	/* of ttrpc */
#define RPC_REPLY_MAX		(RPC_MESSAGE_MAX - 16)	/* less its envelope */
#define RPC_GROUP		"nexusfs"
#define RPC_NO_UID		((uid_t)-1)

/**
 * struct rpc_peer - who makes a call; zero what is not known
 *
 * With uid RPC_NO_UID it is no user of this machine, and may change nothing.
 */
struct rpc_peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	bool may_change;	/* uid 0 or a member of the group */
	const char *subject;	/* NULL: "user:" and the uid */
};

struct rpc_reply;

/**
 * typedef rpc_handler_fn - answers one call
 * @ctx: of the service
 * @data: of the method
 * @peer: the caller; already allowed to make this call
 * @payload: the encoded request message
 * @len: its length
 * @reply: takes the encoded answer (rpc_reply_alloc()) or the error
 *	(rpc_reply_error())
 *
 * Runs on a worker thread and may block.
 *
 * Return: 0, or a negative errno; it becomes the status of the call unless
 * rpc_reply_error() has set a more exact one.
 */
typedef int (*rpc_handler_fn)(void *ctx, const void *data,
			      const struct rpc_peer *peer,
			      const uint8_t *payload, size_t len,
			      struct rpc_reply *reply);

enum {
	RPC_METHOD_CHANGES	= 1 << 0,	/* needs rpc_peer.may_change */
	RPC_METHOD_LONG		= 1 << 1,	/* never takes the last worker */
};

/** struct rpc_method - one method; an array ends with a NULL name */
struct rpc_method {
	const char *name;
	rpc_handler_fn handler;
	unsigned int flags;
	const void *data;
};

/** struct rpc_service - one service; an array ends with a NULL name */
struct rpc_service {
	const char *name;
	const struct rpc_method *methods;
	void *ctx;
};

/** enum rpc_code - google.rpc.Code */
enum rpc_code {
	RPC_OK				= 0,
	RPC_CANCELLED			= 1,
	RPC_UNKNOWN			= 2,
	RPC_INVALID_ARGUMENT		= 3,
	RPC_DEADLINE_EXCEEDED		= 4,
	RPC_NOT_FOUND			= 5,
	RPC_ALREADY_EXISTS		= 6,
	RPC_PERMISSION_DENIED		= 7,
	RPC_RESOURCE_EXHAUSTED		= 8,
	RPC_FAILED_PRECONDITION		= 9,
	RPC_ABORTED			= 10,
	RPC_OUT_OF_RANGE		= 11,
	RPC_UNIMPLEMENTED		= 12,
	RPC_INTERNAL			= 13,
	RPC_UNAVAILABLE			= 14,
	RPC_DATA_LOSS			= 15,
	RPC_UNAUTHENTICATED		= 16,
};

#define RPC_ERROR_MAX	512

/**
 * struct rpc_reply - the outcome of a call; zero it before rpc_dispatch()
 * @data: encoded answer, owned by the reply
 * @len: its length
 * @code: enum rpc_code
 * @error: the negative errno behind @code, 0 if there is none
 * @message: one line for the user when @code is not RPC_OK
 */
struct rpc_reply {
	uint8_t *data;
	size_t len;
	int code;
	int error;
	char message[RPC_ERROR_MAX];
};

/**
 * rpc_reply_alloc() - room for the encoded answer
 * @reply: the reply
 * @len: bytes wanted
 *
 * Return: where to write them; NULL without memory or over RPC_REPLY_MAX,
 * and the reply is then that error.
 */
uint8_t *rpc_reply_alloc(struct rpc_reply *reply, size_t len);

/**
 * rpc_reply_error() - turn the reply into an error
 * @reply: the reply; an answer it held is dropped
 * @error: negative errno
 * @fmt: the line for the user; NULL for the errno's own text
 *
 * Return: @error.
 */
int rpc_reply_error(struct rpc_reply *reply, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * rpc_reply_code() - turn the reply into an error that has no errno
 * @reply: the reply; an answer it held is dropped
 * @code: enum rpc_code, not RPC_OK
 * @fmt: the line for the user
 */
void rpc_reply_code(struct rpc_reply *reply, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * rpc_reply_release() - free what a reply holds and zero it
 * @reply: the reply
 */
void rpc_reply_release(struct rpc_reply *reply);

/**
 * rpc_code_from_errno() - the one table of errno to google.rpc.Code
 * @error: negative errno; 0 is RPC_OK
 */
int rpc_code_from_errno(int error);

/**
 * rpc_find() - look a method up
 * @services: the table
 * @service: full name, e.g. nexus.control.v1.Zones
 * @method: e.g. List
 * @ctx: set to the context of the service; may be NULL
 *
 * Return: the method, or NULL.
 */
const struct rpc_method *rpc_find(const struct rpc_service *services,
				  const char *service, const char *method,
				  void **ctx);

/**
 * rpc_dispatch() - make a call: look up, check the right, run the handler
 * @services: the table
 * @peer: the caller, its may_change already found out
 * @service: full name of the service
 * @method: name of the method
 * @payload: encoded request
 * @len: its length
 * @reply: zeroed; the outcome, release it with rpc_reply_release()
 */
void rpc_dispatch(const struct rpc_service *services,
		  const struct rpc_peer *peer, const char *service,
		  const char *method, const uint8_t *payload, size_t len,
		  struct rpc_reply *reply);

/** struct rpc_found - a method of a service that comes and goes */
struct rpc_found {
	int who;		/* for rpc_loaded.call */
	bool asks;		/* rpc_peer.may_change has to be found out */
	bool stream;		/* it answers with a stream */
};

struct nexus_rpc_stream;
struct stream_msg;

/**
 * struct rpc_loaded - the part of the dispatch table that changes at run time
 * @find: 0, or -ENOENT; never waits
 * @serves: whether there is an RPC service of that name; never waits
 * @call: make a call, or begin a stream; who may is decided there
 *	@timeout_ms: 0: none
 *	@stream: from @stream_new when the method has one, else NULL
 *	Return: as rpc_handler_fn; 1: not what was found any more, find it again.
 * @stream_new: NULL without memory
 * @stream_take, @stream_drop: of service_rpc.h
 */
struct rpc_loaded {
	int (*find)(void *ctx, const char *service, const char *method,
		    struct rpc_found *found);
	bool (*serves)(void *ctx, const char *service);
	int (*call)(void *ctx, const char *service, const char *method,
		    const struct rpc_found *found, const struct rpc_peer *peer,
		    const uint8_t *payload, size_t len, uint32_t timeout_ms,
		    struct nexus_rpc_stream *stream, struct rpc_reply *reply);
	struct nexus_rpc_stream *(*stream_new)(void (*wake)(void *ctx), void *ctx);
	int (*stream_take)(void *ctx, struct nexus_rpc_stream *stream,
			   struct stream_msg **msg, int *error, char *text);
	void (*stream_drop)(void *ctx, struct nexus_rpc_stream *stream);
};

enum rpc_log_level { RPC_LOG_ERROR, RPC_LOG_WARNING, RPC_LOG_INFO, RPC_LOG_DEBUG };

/**
 * struct rpc_server_opts - settings of a server; zero means the default
 * @group: whose members may change things and open the socket (RPC_GROUP)
 * @max_connections: 4096; at the limit the longest idle one gives way
 * @workers: threads that run handlers (4, at least 2)
 * @frame_timeout_ms: a frame begun must be complete, and an answer taken,
 *	within this time (30,000)
 * @memory_max: bytes of requests being received and of answers not yet taken,
 *	all connections together (64 MiB)
 * @loaded: what services add to the table; NULL for nothing
 * @loaded_ctx: its first argument
 * @log: takes a line without newline; NULL for none. Any thread calls it.
 * @log_ctx: its first argument
 */
struct rpc_server_opts {
	const char *group;
	unsigned int max_connections;
	unsigned int workers;
	unsigned int frame_timeout_ms;
	size_t memory_max;
	const struct rpc_loaded *loaded;
	void *loaded_ctx;
	void (*log)(void *ctx, enum rpc_log_level level, const char *line);
	void *log_ctx;
};

struct rpc_server;

/**
 * rpc_server_new() - bind the socket and listen; starts no thread
 * @path: of the socket. A stale one is replaced; one that a living server
 *	listens on is refused with -EADDRINUSE, anything that is no socket with
 *	-EEXIST.
 * @services: dispatch table; must outlive the server
 * @opts: settings, or NULL
 * @error: set to the negative errno when the result is NULL; may be NULL
 *
 * May be called before a fork into the background: threads are only started
 * by rpc_server_run(). The parent then leaves without rpc_server_free(), which
 * would remove the socket of the child.
 *
 * Return: the server, or NULL.
 */
struct rpc_server *rpc_server_new(const char *path,
				  const struct rpc_service *services,
				  const struct rpc_server_opts *opts,
				  int *error);

/**
 * rpc_server_run() - serve until rpc_server_stop()
 * @server: the server
 *
 * The calling thread becomes the epoll thread. On the way out it stops
 * accepting, lets running handlers finish and sends their answers.
 *
 * Return: 0, or a negative errno.
 */
int rpc_server_run(struct rpc_server *server);

/**
 * rpc_server_stop() - make rpc_server_run() return
 * @server: the server
 *
 * From any thread, from a signal handler, more than once, also before run.
 */
void rpc_server_stop(struct rpc_server *server);

/**
 * rpc_server_free() - close the socket, remove its file, free the server
 * @server: the server, not running any more; or NULL
 */
void rpc_server_free(struct rpc_server *server);

/**
 * rpc_server_connections() - how many clients are connected now
 * @server: the server
 */
unsigned int rpc_server_connections(const struct rpc_server *server);

#endif /* NEXUSD_RPC_RPC_H */
