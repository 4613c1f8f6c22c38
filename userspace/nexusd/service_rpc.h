/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls from outside into services: what a front end (the control socket) needs
 * of the registry.  Its own methods and those of services are one table to
 * callers (rpc/rpc.h).
 */
#ifndef NEXUSD_SERVICE_RPC_H
#define NEXUSD_SERVICE_RPC_H

#include <nexus/rpc.h>

#include "rpc/feed.h"
#include "service.h"

#define RPC_STREAMS_MAX		1024u	/* at a time, all of them */
#define RPC_STREAMS_USER_MAX	256u	/* of one uid that is not 0 */

/** struct service_method - what is known of a method before it is called */
struct service_method {
	enum nexus_rpc_who who;
	bool stream;
};

/*
 * Of a service that is loaded and takes calls now, or -ENOENT.  May be another
 * a moment later; the call looks again.
 */
int service_rpc_find(struct registry *r, const char *service, const char *method,
		     struct service_method *found);

/* Whether something that is loaded has an RPC service of that name now. */
bool service_rpc_serves(struct registry *r, const char *service);

/* Arguments of a call, to be filled in; service_args_free().  NULL without memory. */
struct nexus_rpc_call *service_rpc_new(const uint8_t *request, size_t len);

/*
 * Calls it, within @timeout_ms (0: as long as a call may take).
 * @call->caller: admin has been found out, if @found->who asks for it
 * @call->stream: from stream_new(), if @found->stream; begun when 0 is returned
 * After -ETIMEDOUT nothing of @call may be looked at.  1: it is not as @found says any
 * more: find it again.  Errors beside those of service_call_op(): -EPERM not for this
 * caller; -EINVAL, -EILSEQ, -EMSGSIZE the request or the answer is none; -EUSERS too
 * many streams.
 */
int service_rpc_call(struct registry *r, const char *service, const char *method,
		     const struct service_method *found, struct nexus_rpc_call *call,
		     uint32_t timeout_ms);

/* ---- streams ----------------------------------------------------------------- */

/*
 * @wake: there is something to take; called by threads of services, with a lock
 *	held: it may not wait, nor call any of this
 */
struct nexus_rpc_stream *stream_new(void (*wake)(void *ctx), void *ctx);
/*
 * The next message, for its reader: 0.  -EAGAIN: none now, @wake will be called.
 * -ENODATA: it is over; *@error is 0 or why, with @text of 256 bytes.
 */
int stream_take(struct registry *r, struct nexus_rpc_stream *stream, struct stream_msg **msg,
		int *error, char *text);
/* The reader goes, once; @wake is not called any more when this returns. */
void stream_drop(struct registry *r, struct nexus_rpc_stream *stream);

/* ---- in the registry ----------------------------------------------------------- */

/* Whether what a descriptor says of calls from outside is sound. */
int rpc_check(const struct nexus_service_desc *d, struct errline *err);

/* For struct nexus_service_host. */
int rpc_answer(struct nexus_rpc_call *call, const struct ProtobufCMessage *msg);
int stream_send(struct nexus_rpc_stream *stream, const void *data, size_t len);
void stream_end(struct nexus_rpc_stream *stream, int error, const char *text);

/* Lock held: the instance takes no part any more, its readers are told so. */
void streams_end(struct nexus_service *inst, int error, const char *text);
/* Lock held, left meanwhile: until the events of all of its streams have returned. */
int streams_wait(struct nexus_service *inst, uint32_t timeout_ms);
/* Lock held: events for which there was no thread before; false: still none. */
bool streams_retry(struct registry *r);
/* Lock held: it belongs to the instance from now on.  -EUSERS. */
int stream_bind(struct nexus_rpc_stream *stream, struct nexus_service *inst, nexus_op event,
		uint32_t uid);
/* Lock held: the call that was to begin it has ended; the first counts.  May be NULL. */
void stream_begun(struct nexus_rpc_stream *stream, void *cookie, int ret);

#endif /* NEXUSD_SERVICE_RPC_H */
