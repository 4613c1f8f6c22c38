/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a service is called from outside of the helper: methods of RPC services,
 * which its descriptor names.  They are on the same table as the helper's own:
 * who can open the control socket finds them there while the service is loaded,
 * and no longer.  A swap replaces them with those of the newer build.
 *
 * Documentation/services/README.md, "How to be called from outside".
 */
#ifndef NEXUS_RPC_H
#define NEXUS_RPC_H

#include <nexus/service.h>

/* Of <protobuf-c/protobuf-c.h>. */
struct ProtobufCMessage;
struct ProtobufCMessageDescriptor;

#define NEXUS_RPC_SERVICES_MAX	16u		/* of one descriptor */
#define NEXUS_RPC_METHODS_MAX	64u		/* of one RPC service */
#define NEXUS_RPC_NAME_MAX	128u		/* of a service or a method, with its NUL */
#define NEXUS_RPC_REQUEST_MAX	(512u << 10)	/* bytes of an encoded request */
#define NEXUS_RPC_ANSWER_MAX	((4u << 20) - 16)	/* of an answer, or a message of a stream */
#define NEXUS_RPC_STREAM_BYTES	(64u << 10)	/* a stream holds, or one message */
#define NEXUS_RPC_STREAM_MESSAGES	1024u	/* likewise */
#define NEXUS_RPC_NO_UID	UINT32_MAX	/* of a caller from another machine */

/**
 * enum nexus_rpc_who - who may call a method; nobody else's call reaches it
 * @NEXUS_RPC_ROOT: uid 0
 * @NEXUS_RPC_ADMIN: uid 0 and the members of group nexusfs
 * @NEXUS_RPC_SELF: those, and a subject for itself: whose subject is what the
 *	request names (nexus_rpc_method.subject)
 * @NEXUS_RPC_ALL: who can open the socket
 */
enum nexus_rpc_who {
	NEXUS_RPC_ROOT	= 1,
	NEXUS_RPC_ADMIN	= 2,
	NEXUS_RPC_SELF	= 3,
	NEXUS_RPC_ALL	= 4,
};

/**
 * struct nexus_rpc_caller - who calls
 * @uid: or NEXUS_RPC_NO_UID
 * @pid: or 0
 * @admin: uid 0 or a member of group nexusfs.  Found out for methods that ask
 *	for it only: with NEXUS_RPC_ALL it is false for all but uid 0.
 * @subject: "user:1000" of a uid; of others what their certificate says
 */
struct nexus_rpc_caller {
	uint32_t uid;
	int32_t pid;
	bool admin;
	char subject[256];
};

struct nexus_rpc_stream;

/**
 * struct nexus_rpc_call - arguments of nexus_rpc_method.call
 * @caller: may make this call; that is checked
 * @request: encoded
 * @request_len: at most NEXUS_RPC_REQUEST_MAX
 * @msg: decoded, its strings valid UTF-8, when the method has a descriptor for
 *	requests.  It lives as long as the call.
 * @stream: of a method with streams, else NULL
 * @cookie: of a method with streams: set by the service, given back with events
 * @answer: encoded, set by the service; it is copied when the method returns.
 *	See nexus_rpc_answer().  NULL: an empty message.
 * @answer_len: at most NEXUS_RPC_ANSWER_MAX
 * @error: one line for the user beside a negative errno; may stay empty
 */
struct nexus_rpc_call {
	struct nexus_rpc_caller caller;
	const uint8_t *request;
	size_t request_len;
	const struct ProtobufCMessage *msg;
	struct nexus_rpc_stream *stream;
	void *cookie;
	const void *answer;
	size_t answer_len;
	char error[256];
};

enum nexus_rpc_what {
	NEXUS_RPC_READY		= 1,	/* a stream that was full has room again */
	NEXUS_RPC_CLOSED	= 2,	/* it is over */
};

/** struct nexus_rpc_event - arguments of nexus_rpc_method.event */
struct nexus_rpc_event {
	enum nexus_rpc_what what;
	struct nexus_rpc_stream *stream;
	void *cookie;
};

/**
 * struct nexus_rpc_method - a method; an array ends with a NULL name
 * @name: such as "Echo"
 * @who: may call it
 * @subject: for NEXUS_RPC_SELF: the string field of the request that names the
 *	subject; empty in the request, it is the caller
 * @request: what the request is, or NULL: bytes that only the service knows
 * @response: what an answer, or a message of the stream, is; or NULL
 * @call: a nexus_op with struct nexus_rpc_call, under the rules of all operations
 *	(deadline, threads).  Of a stream it only begins: it keeps call->stream
 *	and sets call->cookie, and messages follow whenever there are some.  After
 *	an error there is no stream, and no event of it.
 * @event: of a method with streams, else NULL: a nexus_op with struct
 *	nexus_rpc_event.  One at a time for a stream, NEXUS_RPC_CLOSED once and as the
 *	last: whoever has ended it, and before service_stop.  The stream is
 *	not to be used after that event; what belongs to it is freed there.
 */
struct nexus_rpc_method {
	const char *name;
	enum nexus_rpc_who who;
	const char *subject;
	const struct ProtobufCMessageDescriptor *request;
	const struct ProtobufCMessageDescriptor *response;
	nexus_op call;
	nexus_op event;
};

#define NEXUS_RPC_METHODS_END	{ .name = NULL }

/**
 * struct nexus_rpc_service - an RPC service; an array ends with a NULL name
 * @name: such as "nexus.echo.v1.Echo": the name of a protocol that the descriptor
 *	provides, a dot, and more
 * @methods: at most NEXUS_RPC_METHODS_MAX
 */
struct nexus_rpc_service {
	const char *name;
	const struct nexus_rpc_method *methods;
};

#define NEXUS_RPC_SERVICES_END	{ .name = NULL }

/**
 * nexus_rpc_answer() - encode the answer of a call, and set it
 * @host: struct nexus_service_host
 * @call: the call
 * @msg: the answer, &message.base
 *
 * Return: 0, -EMSGSIZE or -ENOMEM.
 */
#define nexus_rpc_answer(host, call, msg)	((host)->rpc_answer(call, msg))

#endif /* NEXUS_RPC_H */
