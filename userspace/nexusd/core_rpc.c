// SPDX-License-Identifier: Apache-2.0
/* Between the dispatch table of the control socket and the registry of services. */
#include "core_rpc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "service_rpc.h"

static int find(void *ctx, const char *service, const char *method, struct rpc_found *found)
{
	struct service_method m;
	int ret = service_rpc_find(ctx, service, method, &m);

	if (!ret)
		*found = (struct rpc_found){
			.who = m.who,
			.asks = m.who == NEXUS_RPC_ADMIN || m.who == NEXUS_RPC_SELF,
			.stream = m.stream,
		};
	return ret;
}

static bool serves(void *ctx, const char *service)
{
	return service_rpc_serves(ctx, service);
}

static int answer(const struct nexus_rpc_call *call, struct rpc_reply *reply)
{
	uint8_t *at = rpc_reply_alloc(reply, call->answer_len);

	if (!at)
		return reply->error;
	if (call->answer_len)
		memcpy(at, call->answer, call->answer_len);
	return 0;
}

static int call_service(void *ctx, const char *service, const char *method,
			const struct rpc_found *found, const struct rpc_peer *peer,
			const uint8_t *payload, size_t len, uint32_t timeout_ms,
			struct nexus_rpc_stream *stream, struct rpc_reply *reply)
{
	const struct service_method m = { (enum nexus_rpc_who)found->who, found->stream };
	struct nexus_rpc_call *call = service_rpc_new(payload, len);
	int ret;

	if (!call)
		return -ENOMEM;
	call->caller.uid = peer->uid;
	call->caller.pid = peer->pid;
	call->caller.admin = peer->may_change || peer->uid == 0;
	if (peer->subject)
		snprintf(call->caller.subject, sizeof(call->caller.subject), "%s", peer->subject);
	else
		snprintf(call->caller.subject, sizeof(call->caller.subject), "user:%u",
			 (unsigned int)peer->uid);
	call->stream = stream;
	ret = service_rpc_call(ctx, service, method, &m, call, timeout_ms);
	if (!ret && !stream)
		ret = answer(call, reply);
	else if (ret == -ETIMEDOUT)	/* @call may be the service's still */
		rpc_reply_error(reply, ret, "%s/%s did not answer in time", service, method);
	else if (ret < 0 && call->error[0])
		rpc_reply_error(reply, ret, "%s", call->error);
	service_args_free(call);
	return ret;
}

static int take(void *ctx, struct nexus_rpc_stream *stream, struct stream_msg **msg, int *error,
		char *text)
{
	return stream_take(ctx, stream, msg, error, text);
}

static void drop(void *ctx, struct nexus_rpc_stream *stream)
{
	stream_drop(ctx, stream);
}

const struct rpc_loaded core_rpc = {
	.find = find,
	.serves = serves,
	.call = call_service,
	.stream_new = stream_new,
	.stream_take = take,
	.stream_drop = drop,
};
