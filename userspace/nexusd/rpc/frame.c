// SPDX-License-Identifier: Apache-2.0
/* The framing of ttrpc and its request envelope. */
#include <errno.h>
#include <string.h>

#include "frame.h"

/* Wire types of protobuf. */
enum { WIRE_VARINT = 0, WIRE_I64 = 1, WIRE_LEN = 2, WIRE_I32 = 5 };

/* Field numbers of ttrpc.Request. */
enum { REQ_SERVICE = 1, REQ_METHOD = 2, REQ_PAYLOAD = 3, REQ_TIMEOUT = 4 };

static void put_be32(uint8_t *out, uint32_t v)
{
	out[0] = v >> 24;
	out[1] = v >> 16;
	out[2] = v >> 8;
	out[3] = v;
}

static uint32_t get_be32(const uint8_t *in)
{
	return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 |
	       (uint32_t)in[2] << 8 | in[3];
}

void frame_encode(const struct frame_header *hdr, uint8_t *out)
{
	put_be32(out, hdr->len);
	put_be32(out + 4, hdr->stream);
	out[8] = hdr->type;
	out[9] = hdr->flags;
}

void frame_decode(const uint8_t *in, struct frame_header *hdr)
{
	hdr->len = get_be32(in);
	hdr->stream = get_be32(in + 4);
	hdr->type = in[8];
	hdr->flags = in[9];
}

/* What is left of a message. */
struct cursor {
	const uint8_t *p;
	size_t left;
};

static int take_varint(struct cursor *c, uint64_t *out)
{
	uint64_t v = 0;
	unsigned int shift;

	for (shift = 0; shift < 70; shift += 7) {
		uint8_t b;

		if (!c->left)
			return -EBADMSG;
		b = *c->p++;
		c->left--;
		if (shift == 63 && (b & 0x7e))
			return -EBADMSG;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*out = v;
			return 0;
		}
	}
	return -EBADMSG;
}

static int take_bytes(struct cursor *c, uint64_t n, struct frame_span *out)
{
	if (n > c->left)
		return -EBADMSG;
	out->data = c->p;
	out->len = n;
	c->p += n;
	c->left -= n;
	return 0;
}

static int take_field(struct cursor *c, struct frame_request *req)
{
	struct frame_span span = { NULL, 0 };
	uint64_t tag, num = 0;
	int err;

	err = take_varint(c, &tag);
	if (err)
		return err;
	if (tag > UINT32_MAX || tag >> 3 == 0)
		return -EBADMSG;

	switch (tag & 7) {
	case WIRE_VARINT:
		err = take_varint(c, &num);
		break;
	case WIRE_I64:
		err = take_bytes(c, 8, &span);
		break;
	case WIRE_I32:
		err = take_bytes(c, 4, &span);
		break;
	case WIRE_LEN:
		err = take_varint(c, &num);
		if (!err)
			err = take_bytes(c, num, &span);
		break;
	default:
		err = -EBADMSG;
	}
	if (err)
		return err;

	if ((tag & 7) == WIRE_LEN && tag >> 3 == REQ_SERVICE)
		req->service = span;
	else if ((tag & 7) == WIRE_LEN && tag >> 3 == REQ_METHOD)
		req->method = span;
	else if ((tag & 7) == WIRE_LEN && tag >> 3 == REQ_PAYLOAD)
		req->payload = span;
	else if ((tag & 7) == WIRE_VARINT && tag >> 3 == REQ_TIMEOUT)
		req->timeout_ns = (int64_t)num;
	return 0;
}

int frame_parse_request(const uint8_t *data, size_t len,
			struct frame_request *req)
{
	struct cursor c = { data, len };
	int err;

	memset(req, 0, sizeof(*req));
	while (c.left) {
		err = take_field(&c, req);
		if (err)
			return err;
	}
	return 0;
}

/* Length of the UTF-8 sequence at @p, 0 when there is no valid one. */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
	uint32_t min, cp;
	size_t n, i;

	if (p[0] < 0x80)
		return p[0] ? 1 : 0;
	if ((p[0] & 0xe0) == 0xc0) {
		n = 2;
		min = 0x80;
		cp = p[0] & 0x1f;
	} else if ((p[0] & 0xf0) == 0xe0) {
		n = 3;
		min = 0x800;
		cp = p[0] & 0x0f;
	} else if ((p[0] & 0xf8) == 0xf0) {
		n = 4;
		min = 0x10000;
		cp = p[0] & 0x07;
	} else {
		return 0;
	}
	if (n > left)
		return 0;
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (p[i] & 0x3f);
	}
	if (cp < min || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	return n;
}

bool frame_utf8(const uint8_t *data, size_t len)
{
	size_t n;

	while (len) {
		n = utf8_sequence(data, len);
		if (!n)
			return false;
		data += n;
		len -= n;
	}
	return true;
}
