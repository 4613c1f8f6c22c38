/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The framing of ttrpc and its request envelope, as pure functions: no I/O and
 * no allocation. Used by the server and by libnexus.
 */
#ifndef NEXUSD_RPC_FRAME_H
#define NEXUSD_RPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER_LEN	10

enum frame_type {
	FRAME_REQUEST	= 1,
	FRAME_RESPONSE	= 2,
	FRAME_DATA	= 3,
};

enum {
	FRAME_REMOTE_CLOSED	= 1 << 0,
	FRAME_REMOTE_OPEN	= 1 << 1,
	FRAME_NO_DATA		= 1 << 2,
};

/** struct frame_header - what stands in front of every message */
struct frame_header {
	uint32_t len;		/* of the message, without the header */
	uint32_t stream;	/* odd: begun by the client */
	uint8_t type;		/* enum frame_type */
	uint8_t flags;
};

/** struct frame_span - bytes inside a message */
struct frame_span {
	const uint8_t *data;
	size_t len;
};

/** enum frame_wire - wire types of protobuf; groups are not among them */
enum frame_wire { FRAME_VARINT = 0, FRAME_I64 = 1, FRAME_LEN = 2, FRAME_I32 = 5 };

/** struct frame_field - a field of a message, pointing into it */
struct frame_field {
	uint32_t number;
	uint32_t wire;			/* enum frame_wire */
	uint64_t value;			/* FRAME_VARINT */
	struct frame_span bytes;	/* the others */
};

/** struct frame_request - a ttrpc.Request, pointing into its message */
struct frame_request {
	struct frame_span service;
	struct frame_span method;
	struct frame_span payload;
	int64_t timeout_ns;		/* 0: none */
};

/**
 * frame_encode() - write a header
 * @hdr: the header
 * @out: FRAME_HEADER_LEN bytes
 */
void frame_encode(const struct frame_header *hdr, uint8_t *out);

/**
 * frame_decode() - read a header; every value is possible in every field
 * @in: FRAME_HEADER_LEN bytes
 * @hdr: filled
 */
void frame_decode(const uint8_t *in, struct frame_header *hdr);

/**
 * frame_take_field() - the next field of a message
 * @rest: what is left of it, not empty; begins behind the field afterwards
 * @field: filled
 *
 * Return: 0, or -EBADMSG.
 */
int frame_take_field(struct frame_span *rest, struct frame_field *field);

/**
 * frame_parse_request() - take a ttrpc.Request apart without copying
 * @data: the message
 * @len: its length
 * @req: filled; points into @data
 *
 * Unknown fields are skipped, the last of a repeated field counts, as protobuf
 * wants it. The metadata is checked for form only.
 *
 * Return: 0, or -EBADMSG.
 */
int frame_parse_request(const uint8_t *data, size_t len,
			struct frame_request *req);

/**
 * frame_utf8() - is this valid UTF-8 without a NUL
 * @data: the bytes
 * @len: how many
 */
bool frame_utf8(const uint8_t *data, size_t len);

#endif /* NEXUSD_RPC_FRAME_H */
