// SPDX-License-Identifier: Apache-2.0
/* The frame that answers a call: ttrpc.Response in a header. */
#include <stdlib.h>
#include <string.h>

#include "nexus-proto.h"
#include "server.h"

#define DETAIL_TYPE	"type.googleapis.com/nexus.control.v1.ErrorDetail"
#define TAG_PAYLOAD	0x12	/* field 2, length-delimited */

static struct rpc_out *out_new(uint32_t stream, uint8_t type, uint8_t flags, size_t len)
{
	struct frame_header hdr = {
		.len = len,
		.stream = stream,
		.type = type,
		.flags = flags,
	};
	struct rpc_out *out;

	out = malloc(sizeof(*out) + FRAME_HEADER_LEN + len);
	if (!out)
		return NULL;
	out->next = NULL;
	out->len = FRAME_HEADER_LEN + len;
	out->sent = 0;
	frame_encode(&hdr, out->data);
	return out;
}

static struct rpc_out *build_answer(uint32_t stream,
				    const struct rpc_reply *reply)
{
	uint8_t head[11];
	size_t n = 0, left = reply->len;
	struct rpc_out *out;

	if (reply->len) {
		head[n++] = TAG_PAYLOAD;
		do {
			head[n++] = (left & 0x7f) | (left > 0x7f ? 0x80 : 0);
			left >>= 7;
		} while (left);
	}
	out = out_new(stream, FRAME_RESPONSE, 0, n + reply->len);
	if (!out)
		return NULL;
	memcpy(out->data + FRAME_HEADER_LEN, head, n);
	if (reply->len)
		memcpy(out->data + FRAME_HEADER_LEN + n, reply->data,
		       reply->len);
	return out;
}

static struct rpc_out *build_error(uint32_t stream,
				   const struct rpc_reply *reply)
{
	Nexus__Control__V1__ErrorDetail detail =
		NEXUS__CONTROL__V1__ERROR_DETAIL__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	Google__Protobuf__Any *details[] = { &any };
	Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
	Ttrpc__Response response = TTRPC__RESPONSE__INIT;
	const char *name = strerrorname_np(-reply->error);
	uint8_t packed[64];
	struct rpc_out *out;

	status.code = reply->code;
	status.message = (char *)reply->message;
	response.status = &status;
	if (reply->error) {
		detail.number = -reply->error;
		detail.name = (char *)(name ? name : "");
		any.type_url = (char *)DETAIL_TYPE;
		any.value.len =
			nexus__control__v1__error_detail__pack(&detail, packed);
		any.value.data = packed;
		status.n_details = 1;
		status.details = details;
	}
	out = out_new(stream, FRAME_RESPONSE, 0, ttrpc__response__get_packed_size(&response));
	if (out)
		ttrpc__response__pack(&response, out->data + FRAME_HEADER_LEN);
	return out;
}

struct rpc_out *data_build(uint32_t stream, uint8_t flags, const void *data, size_t len)
{
	struct rpc_out *out = out_new(stream, FRAME_DATA, flags, len);

	if (out && len)
		memcpy(out->data + FRAME_HEADER_LEN, data, len);
	return out;
}

struct rpc_out *response_build(uint32_t stream, const struct rpc_reply *reply)
{
	if (reply->code == RPC_OK)
		return build_answer(stream, reply);
	return build_error(stream, reply);
}
