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

/* What is in a status, and all that it points to. */
struct status {
	Google__Rpc__Status msg;
	Google__Protobuf__Any any, *details[1];
	Nexus__Control__V1__ErrorDetail detail;
	uint8_t packed[64];
};

static void fill_status(struct status *s, const struct rpc_reply *reply)
{
	const char *name = strerrorname_np(-reply->error);

	google__rpc__status__init(&s->msg);
	s->msg.code = reply->code;
	s->msg.message = (char *)reply->message;
	if (!reply->error)
		return;
	nexus__control__v1__error_detail__init(&s->detail);
	s->detail.number = -reply->error;
	s->detail.name = (char *)(name ? name : "");
	google__protobuf__any__init(&s->any);
	s->any.type_url = (char *)DETAIL_TYPE;
	s->any.value.len = nexus__control__v1__error_detail__pack(&s->detail, s->packed);
	s->any.value.data = s->packed;
	s->details[0] = &s->any;
	s->msg.n_details = 1;
	s->msg.details = s->details;
}

uint8_t *rpc_status_pack(const struct rpc_reply *reply, size_t *len)
{
	struct status s;
	uint8_t *buf;

	fill_status(&s, reply);
	buf = malloc(google__rpc__status__get_packed_size(&s.msg) + 1);
	if (buf)
		*len = google__rpc__status__pack(&s.msg, buf);
	return buf;
}

static struct rpc_out *build_error(uint32_t stream,
				   const struct rpc_reply *reply)
{
	Ttrpc__Response response = TTRPC__RESPONSE__INIT;
	struct status s;
	struct rpc_out *out;

	fill_status(&s, reply);
	response.status = &s.msg;
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
