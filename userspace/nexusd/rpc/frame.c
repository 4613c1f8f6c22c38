// SPDX-License-Identifier: Apache-2.0
/* The framing of ttrpc and its request envelope. */
#include <errno.h>
#include <string.h>

#include "frame.h"

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

static int take_varint(struct frame_span *c, uint64_t *out)
{
	uint64_t v = 0;
	unsigned int shift;

	for (shift = 0; shift < 70; shift += 7) {
		uint8_t b;

		if (!c->len)
			return -EBADMSG;
		b = *c->data++;
		c->len--;
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

static int take_bytes(struct frame_span *c, uint64_t n, struct frame_span *out)
{
	if (n > c->len)
		return -EBADMSG;
	out->data = c->data;
	out->len = n;
	c->data += n;
	c->len -= n;
	return 0;
}

int frame_take_field(struct frame_span *rest, struct frame_field *field)
{
	struct frame_span c = *rest;
	uint64_t tag, n;
	int err;

	*field = (struct frame_field){ 0 };
	err = take_varint(&c, &tag);
	if (err)
		return err;
	if (tag > UINT32_MAX || tag >> 3 == 0)
		return -EBADMSG;

	field->number = tag >> 3;
	field->wire = tag & 7;
	switch (field->wire) {
	case FRAME_VARINT:
		err = take_varint(&c, &field->value);
		break;
	case FRAME_I64:
		err = take_bytes(&c, 8, &field->bytes);
		break;
	case FRAME_I32:
		err = take_bytes(&c, 4, &field->bytes);
		break;
	case FRAME_LEN:
		err = take_varint(&c, &n);
		if (!err)
			err = take_bytes(&c, n, &field->bytes);
		break;
	default:
		err = -EBADMSG;
	}
	*rest = c;
	return err;
}

int frame_parse_request(const uint8_t *data, size_t len,
			struct frame_request *req)
{
	struct frame_span rest = { data, len };
	struct frame_field f;
	int err;

	memset(req, 0, sizeof(*req));
	while (rest.len) {
		err = frame_take_field(&rest, &f);
		if (err)
			return err;
		if (f.wire == FRAME_LEN && f.number == REQ_SERVICE)
			req->service = f.bytes;
		else if (f.wire == FRAME_LEN && f.number == REQ_METHOD)
			req->method = f.bytes;
		else if (f.wire == FRAME_LEN && f.number == REQ_PAYLOAD)
			req->payload = f.bytes;
		else if (f.wire == FRAME_VARINT && f.number == REQ_TIMEOUT)
			req->timeout_ns = (int64_t)f.value;
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
