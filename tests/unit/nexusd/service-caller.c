// SPDX-License-Identifier: Apache-2.0
#include "service-caller.h"

#include <stdatomic.h>

#include <nexus/rpc.h>

#include "core_rpc.h"
#include "nexus-proto.h"

struct harness *h;
const char *world_group;
void (*world_ending)(void);

void begin_with(uint32_t service_timeout_ms, unsigned int frame_timeout_ms,
		       const char *group)
{
	struct rpc_server_opts opts = {
		.loaded = &core_rpc,
		.frame_timeout_ms = frame_timeout_ms,
		.group = group,
	};

	world_group = group;
	world_begin(false, service_timeout_ms);
	opts.loaded_ctx = reg;
	h = harness_start(&opts);
}

void begin(void)
{
	begin_with(0, 0, NULL);
}

void end(void)
{
	if (world_ending)
		world_ending();
	assert_true(works(h));
	harness_stop(h);
	world_end();
}

void load_rpc(void)
{
	put_object("rpc-1", "rpc");
	assert_int_equal(load("rpc"), 0);
}

void load_echo(void)
{
	put_object("example", "echo");
	assert_int_equal(load("echo"), 0);
}

/* ---- a client ---------------------------------------------------------------------- */

/* A unary call; its code, *@text gets the payload or the message. */
int call_on(int fd, const char *service, const char *method, const void *req, size_t len,
		   char *text, size_t room)
{
	static atomic_uint next;
	struct answer a;
	uint32_t id = atomic_fetch_add(&next, 2) + 1;

	assert_true(raw_call(fd, id | 1, service, method, req, len, 0));
	assert_true(raw_answer(fd, &a));
	assert_int_equal(a.stream, id | 1);
	if (text && a.code == RPC_OK)
		snprintf(text, room, "%.*s", (int)a.len, a.payload ? (char *)a.payload : "");
	else if (text)
		snprintf(text, room, "%s", a.message);
	free(a.payload);
	return a.code;
}

int call(const char *method, char *text, size_t room)
{
	int fd = raw_connect(h), code;

	code = call_on(fd, TEST, method, NULL, 0, text, room);
	close(fd);
	return code;
}

void assert_has(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("\"%s\" is not in: %s", words, text);
}

/* One of the numbers the service has counted. */
int count(const char *name)
{
	char text[256], key[32], *at;

	assert_int_equal(call("Counts", text, sizeof(text)), RPC_OK);
	snprintf(key, sizeof(key), "%s=", name);
	at = strstr(text, key);
	assert_non_null(at);
	return atoi(at + strlen(key));
}

/* Until the service has counted so many; it is told by the other end's going. */
void await_count(const char *name, int want)
{
	int i;

	for (i = 0; i < 20000 && count(name) != want; i++)
		usleep(1000);
	assert_int_equal(count(name), want);
}

size_t echo_request(char *out, const char *text)
{
	Nexus__Echo__V1__EchoRequest req = NEXUS__ECHO__V1__ECHO_REQUEST__INIT;

	req.text = (char *)text;
	return nexus__echo__v1__echo_request__pack(&req, (uint8_t *)out);
}

void stream_begin(int fd, uint32_t id, uint8_t flags, const char *method)
{
	assert_true(raw_request(fd, id, flags, TEST, method, NULL, 0, 0));
}

void repeat_begin(int fd, uint32_t id, const char *text, uint32_t n)
{
	Nexus__Echo__V1__RepeatRequest req = NEXUS__ECHO__V1__REPEAT_REQUEST__INIT;
	uint8_t buf[512];
	size_t len;

	req.text = (char *)text;
	req.count = n;
	len = nexus__echo__v1__repeat_request__pack(&req, buf);
	assert_true(raw_request(fd, id, FRAME_REMOTE_CLOSED, ECHO, "Repeat", buf, len, 0));
}

static void read_full(int fd, void *to, size_t len)
{
	uint8_t *p = to;
	ssize_t n;

	for (; len; p += n, len -= (size_t)n) {
		n = read(fd, p, len);
		assert_true(n > 0);
	}
}

/* The next frame, its body into @body of 8 KiB. */
struct frame_header next_frame(int fd, uint8_t *body)
{
	uint8_t header[FRAME_HEADER_LEN];
	struct frame_header hdr;

	read_full(fd, header, sizeof(header));
	frame_decode(header, &hdr);
	assert_true(hdr.len <= 8192);
	read_full(fd, body, hdr.len);
	return hdr;
}

/* The frame must be a response with this code; words of its message. */
void expect_error(int fd, uint32_t id, int code, const char *words)
{
	struct answer a;

	assert_true(raw_answer(fd, &a));
	assert_int_equal(a.stream, id);
	if (a.code != code)
		print_error("%d %s\n", a.code, a.message);
	assert_int_equal(a.code, code);
	assert_has(a.message, words);
	free(a.payload);
}

void expect_end(int fd, uint32_t id)
{
	uint8_t body[8192];
	struct frame_header hdr = next_frame(fd, body);

	assert_int_equal(hdr.type, FRAME_DATA);
	assert_int_equal(hdr.flags, FRAME_REMOTE_CLOSED | FRAME_NO_DATA);
	assert_int_equal(hdr.stream, id);
	assert_int_equal(hdr.len, 0);
}
