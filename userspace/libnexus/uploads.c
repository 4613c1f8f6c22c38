// SPDX-License-Identifier: Apache-2.0
/* The control service of content that goes elsewhere as C functions. */
#include <stdio.h>

#include "message.h"

static void take(const Nexus__Control__V1__UploadState *msg, struct nexus_uploads *u)
{
	*u = (struct nexus_uploads){ .packs = 0 };
	if (!msg)
		return;
	u->packs = msg->packs;
	u->bytes = msg->bytes;
	u->oldest = msg->oldest;
	u->deletes = msg->deletes;
	u->busy = msg->busy;
	u->put_packs = msg->put_packs;
	u->put_bytes = msg->put_bytes;
	u->error_at = msg->error_at;
	u->requests = msg->requests;
	u->retries = msg->retries;
	u->sent = msg->sent;
	u->received = msg->received;
	u->memory = msg->memory;
	u->memory_peak = msg->memory_peak;
	u->here = msg->here;
	u->cache_limit = msg->cache_limit;
	u->cache_full = msg->cache_full;
	snprintf(u->cache_error, sizeof(u->cache_error), "%s", msg->cache_error);
	snprintf(u->error, sizeof(u->error), "%s", msg->error);
	snprintf(u->circuit, sizeof(u->circuit), "%s", msg->circuit);
	snprintf(u->store_error, sizeof(u->store_error), "%s", msg->store_error);
}

NEXUS_EXPORT int nexus_uploads(struct nexus_client *client, const char *zone,
			       struct nexus_uploads *uploads)
{
	Nexus__Control__V1__UploadsStatusRequest req =
		NEXUS__CONTROL__V1__UPLOADS_STATUS_REQUEST__INIT;
	Nexus__Control__V1__UploadsStatusResponse *res;
	int err;

	req.zone = (char *)zone;
	err = client_message(client, SERVICE("Uploads"), "Status", &req.base,
			     &nexus__control__v1__uploads_status_response__descriptor, &res);
	if (err)
		return err;
	take(res->uploads, uploads);
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return 0;
}

NEXUS_EXPORT int nexus_uploads_flush(struct nexus_client *client, const char *zone,
				     struct nexus_uploads *uploads)
{
	Nexus__Control__V1__UploadsFlushRequest req =
		NEXUS__CONTROL__V1__UPLOADS_FLUSH_REQUEST__INIT;
	Nexus__Control__V1__UploadsFlushResponse *res;
	int err;

	req.zone = (char *)zone;
	err = client_message(client, SERVICE("Uploads"), "Flush", &req.base,
			     &nexus__control__v1__uploads_flush_response__descriptor, &res);
	if (err)
		return err;
	take(res->uploads, uploads);
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return 0;
}
