// SPDX-License-Identifier: Apache-2.0
/* The control service of content that goes elsewhere. */
#include "control_impl.h"

static void put_uploads(Nexus__Control__V1__UploadState *msg, struct control_uploads *u)
{
	nexus__control__v1__upload_state__init(msg);
	msg->packs = u->packs;
	msg->bytes = u->bytes;
	msg->oldest = u->oldest;
	msg->deletes = u->deletes;
	msg->busy = u->busy;
	msg->put_packs = u->put_packs;
	msg->put_bytes = u->put_bytes;
	msg->error = u->error;
	msg->error_at = u->error_at;
	msg->circuit = u->circuit;
	msg->store_error = u->store_error;
	msg->requests = u->requests;
	msg->retries = u->retries;
	msg->sent = u->sent;
	msg->received = u->received;
	msg->memory = u->memory;
	msg->memory_peak = u->memory_peak;
	msg->here = u->here;
	msg->cache_limit = u->cache_limit;
	msg->cache_full = u->cache_full;
	msg->cache_error = u->cache_error;
}

static int uploads_status(struct control_call *call)
{
	const Nexus__Control__V1__UploadsStatusRequest *req = call->req;
	Nexus__Control__V1__UploadsStatusResponse res =
		NEXUS__CONTROL__V1__UPLOADS_STATUS_RESPONSE__INIT;
	struct control_uploads u = { .packs = 0 };
	Nexus__Control__V1__UploadState msg;
	int ret = call->ops->uploads(call->core, req->zone, false, &u, &call->err);

	if (ret)
		return ret;
	put_uploads(&msg, &u);
	res.uploads = &msg;
	return control_reply(call, &res.base);
}

static int uploads_flush(struct control_call *call)
{
	const Nexus__Control__V1__UploadsFlushRequest *req = call->req;
	Nexus__Control__V1__UploadsFlushResponse res =
		NEXUS__CONTROL__V1__UPLOADS_FLUSH_RESPONSE__INIT;
	struct control_uploads u = { .packs = 0 };
	Nexus__Control__V1__UploadState msg;
	int ret = call->ops->uploads(call->core, req->zone, true, &u, &call->err);

	if (ret)
		return ret;
	put_uploads(&msg, &u);
	res.uploads = &msg;
	return control_reply(call, &res.base);
}

const struct rpc_method control_upload_methods[] = {
	CONTROL_METHOD("Status", 0, &nexus__control__v1__uploads_status_request__descriptor,
		       uploads, uploads_status),
	CONTROL_METHOD("Flush", RPC_METHOD_CHANGES | RPC_METHOD_LONG,
		       &nexus__control__v1__uploads_flush_request__descriptor,
		       uploads, uploads_flush),
	CONTROL_METHODS_END,
};
