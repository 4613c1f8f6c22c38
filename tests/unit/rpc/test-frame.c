// SPDX-License-Identifier: Apache-2.0
/*
 * The framing, against bytes written down from the published description:
 * ten bytes of header, then a protobuf message.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frame.h"
#include "nexus-proto.h"
#include "server.h"

/* A call of "s" / "Get" on stream 3 with payload "xyz". */
static const uint8_t request_frame[] = {
	0x00, 0x00, 0x00, 0x17,		/* length 23 */
	0x00, 0x00, 0x00, 0x03,		/* stream 3 */
	0x01,				/* request */
	0x00,				/* flags */
	0x0a, 0x01, 's',		/* 1: service */
	0x12, 0x03, 'G', 'e', 't',	/* 2: method */
	0x1a, 0x03, 'x', 'y', 'z',	/* 3: payload */
	0x20, 0xac, 0x02,		/* 4: timeout_nano 300 */
	0x2a, 0x05,			/* 5: metadata */
	0x0a, 0x01, 'k', 0x12, 0x00,
};

static const uint8_t *const request = request_frame + FRAME_HEADER_LEN;
#define REQUEST_LEN	(sizeof(request_frame) - FRAME_HEADER_LEN)

static void header_matches_fixture(void **state)
{
	struct frame_header hdr;
	uint8_t out[FRAME_HEADER_LEN];

	(void)state;
	frame_decode(request_frame, &hdr);
	assert_int_equal(hdr.len, REQUEST_LEN);
	assert_int_equal(hdr.stream, 3);
	assert_int_equal(hdr.type, FRAME_REQUEST);
	assert_int_equal(hdr.flags, 0);
	frame_encode(&hdr, out);
	assert_memory_equal(out, request_frame, sizeof(out));
}

static void header_takes_every_value(void **state)
{
	static const struct frame_header all = {
		.len = 0xfedcba98, .stream = 0x89abcdef, .type = 0xff,
		.flags = 0x81,
	};
	uint8_t out[FRAME_HEADER_LEN];
	struct frame_header hdr;

	(void)state;
	frame_encode(&all, out);
	assert_int_equal(out[0], 0xfe);
	assert_int_equal(out[7], 0xef);
	frame_decode(out, &hdr);
	assert_int_equal(hdr.len, all.len);
	assert_int_equal(hdr.stream, all.stream);
	assert_int_equal(hdr.type, all.type);
	assert_int_equal(hdr.flags, all.flags);
}

static void request_matches_fixture(void **state)
{
	struct frame_request req;

	(void)state;
	assert_int_equal(frame_parse_request(request, REQUEST_LEN, &req), 0);
	assert_int_equal(req.service.len, 1);
	assert_memory_equal(req.service.data, "s", 1);
	assert_int_equal(req.method.len, 3);
	assert_memory_equal(req.method.data, "Get", 3);
	assert_int_equal(req.payload.len, 3);
	assert_memory_equal(req.payload.data, "xyz", 3);
	assert_int_equal(req.timeout_ns, 300);
}

static void request_agrees_with_protobuf(void **state)
{
	Ttrpc__Request *msg;

	(void)state;
	msg = ttrpc__request__unpack(NULL, REQUEST_LEN, request);
	assert_non_null(msg);
	assert_string_equal(msg->service, "s");
	assert_string_equal(msg->method, "Get");
	assert_int_equal(msg->timeout_nano, 300);
	assert_int_equal(msg->n_metadata, 1);
	assert_string_equal(msg->metadata[0]->key, "k");
	ttrpc__request__free_unpacked(msg, NULL);
}

static void request_empty(void **state)
{
	struct frame_request req;

	(void)state;
	assert_int_equal(frame_parse_request(request, 0, &req), 0);
	assert_int_equal(req.service.len, 0);
	assert_int_equal(req.timeout_ns, 0);
}

/* Cut anywhere, the rest must either parse or be refused, never be overread. */
static void request_cut_anywhere(void **state)
{
	struct frame_request req;
	size_t cut, good = 0;
	uint8_t *copy;

	(void)state;
	for (cut = 0; cut < REQUEST_LEN; cut++) {
		copy = malloc(cut ? cut : 1);	/* ASan guards its end */
		assert_non_null(copy);
		memcpy(copy, request, cut);
		if (!frame_parse_request(copy, cut, &req))
			good++;
		free(copy);
	}
	assert_int_equal(good, 5);	/* between the five fields, and empty */
}

static void request_bad_encodings(void **state)
{
	static const struct {
		uint8_t bytes[12];
		size_t len;
	} bad[] = {
		{ { 0x00 }, 1 },			/* field 0 */
		{ { 0x0b }, 1 },			/* group */
		{ { 0x0f, 0x00 }, 2 },			/* wire type 7 */
		{ { 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		    0x01 }, 11 },			/* length 2^64 - 1 */
		{ { 0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		    0x02 }, 11 },			/* varint of 65 bits */
		{ { 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x00 }, 7 },
		{ { 0x09, 1, 2, 3, 4, 5, 6, 7 }, 8 },	/* 7 of 8 bytes */
		{ { 0x0d, 1, 2, 3 }, 4 },		/* 3 of 4 bytes */
	};
	struct frame_request req;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(frame_parse_request(bad[i].bytes, bad[i].len,
						     &req), -EBADMSG);
}

static void request_unknown_fields(void **state)
{
	static const uint8_t bytes[] = {
		0x31, 1, 2, 3, 4, 5, 6, 7, 8,	/* 6: fixed64 */
		0x3d, 1, 2, 3, 4,		/* 7: fixed32 */
		0x0a, 0x01, 'a',
		0xfa, 0x01, 0x02, 'h', 'i',	/* 31: bytes */
		0x0a, 0x01, 'b',		/* the last one counts */
		0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0x01,				/* timeout -1 */
	};
	struct frame_request req;

	(void)state;
	assert_int_equal(frame_parse_request(bytes, sizeof(bytes), &req), 0);
	assert_int_equal(req.service.len, 1);
	assert_memory_equal(req.service.data, "b", 1);
	assert_int_equal(req.timeout_ns, -1);
}

static void request_random(void **state)
{
	uint8_t buf[64];
	struct frame_request req;
	size_t i, j, len;

	(void)state;
	srand(1);
	for (i = 0; i < 200000; i++) {
		len = rand() % sizeof(buf);
		for (j = 0; j < len; j++)
			buf[j] = rand();
		if (i & 1) {	/* half of them begin well */
			len = len < REQUEST_LEN ? len : REQUEST_LEN;
			memcpy(buf, request, len);
			if (len)
				buf[rand() % len] ^= 1 << rand() % 8;
		}
		if (frame_parse_request(buf, len, &req))
			continue;
		assert_true(req.service.len <= len);
		assert_true(req.payload.len <= len);
	}
}

/* What goes out: an answer, and an error with the errno in its detail. */
static void response_matches_fixture(void **state)
{
	static const uint8_t answer[] = {
		0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x05, 0x02, 0x00,
		0x12, 0x02, 'o', 'k',
	};
	static const uint8_t empty[] = {
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, 0x02, 0x00,
	};
	static const uint8_t error[] = {
		0x00, 0x00, 0x00, 0x0b, 0x00, 0x00, 0x00, 0x09, 0x02, 0x00,
		0x0a, 0x09,			/* status */
		0x08, 0x0e,			/* UNAVAILABLE */
		0x12, 0x05, 'l', 'a', 't', 'e', 'r',
	};
	struct rpc_reply reply = { 0 };
	struct rpc_out *out;

	(void)state;
	memcpy(rpc_reply_alloc(&reply, 2), "ok", 2);
	out = response_build(5, &reply);
	assert_int_equal(out->len, sizeof(answer));
	assert_memory_equal(out->data, answer, sizeof(answer));
	free(out);
	rpc_reply_release(&reply);

	out = response_build(7, &reply);
	assert_int_equal(out->len, sizeof(empty));
	assert_memory_equal(out->data, empty, sizeof(empty));
	free(out);

	rpc_reply_code(&reply, RPC_UNAVAILABLE, "later");
	out = response_build(9, &reply);
	assert_int_equal(out->len, sizeof(error));
	assert_memory_equal(out->data, error, sizeof(error));
	free(out);
}

static void response_of_every_length(void **state)
{
	static const size_t lens[] = { 1, 127, 128, 16383, 16384, 2097151,
				       2097152, RPC_REPLY_MAX };
	struct rpc_reply reply = { 0 };
	Ttrpc__Response *msg;
	struct rpc_out *out;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		memset(rpc_reply_alloc(&reply, lens[i]), 'x', lens[i]);
		out = response_build(1, &reply);
		assert_non_null(out);
		assert_true(out->len <= FRAME_HEADER_LEN + RPC_MESSAGE_MAX);
		msg = ttrpc__response__unpack(NULL,
					      out->len - FRAME_HEADER_LEN,
					      out->data + FRAME_HEADER_LEN);
		assert_non_null(msg);
		assert_int_equal(msg->payload.len, lens[i]);
		ttrpc__response__free_unpacked(msg, NULL);
		free(out);
		rpc_reply_release(&reply);
	}
}

static void utf8(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		bool ok;
	} cases[] = {
		{ "", 0, true },
		{ "abc", 3, true },
		{ "a\0b", 3, false },
		{ "\xc3\xa4", 2, true },
		{ "\xc3", 1, false },
		{ "\xe2\x82\xac", 3, true },
		{ "\xe2\x82", 2, false },
		{ "\xf0\x9f\x98\x80", 4, true },
		{ "\xc0\x80", 2, false },		/* overlong */
		{ "\xe0\x80\x80", 3, false },
		{ "\xed\xa0\x80", 3, false },		/* surrogate */
		{ "\xf4\x90\x80\x80", 4, false },	/* over U+10FFFF */
		{ "\x80", 1, false },
		{ "\xff", 1, false },
		{ "\xc3\x28", 2, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(frame_utf8((const uint8_t *)cases[i].text,
					    cases[i].len), cases[i].ok);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_matches_fixture),
		cmocka_unit_test(header_takes_every_value),
		cmocka_unit_test(request_matches_fixture),
		cmocka_unit_test(request_agrees_with_protobuf),
		cmocka_unit_test(request_empty),
		cmocka_unit_test(request_cut_anywhere),
		cmocka_unit_test(request_bad_encodings),
		cmocka_unit_test(request_unknown_fields),
		cmocka_unit_test(request_random),
		cmocka_unit_test(response_matches_fixture),
		cmocka_unit_test(response_of_every_length),
		cmocka_unit_test(utf8),
	};

	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
