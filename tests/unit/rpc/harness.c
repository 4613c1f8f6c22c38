// SPDX-License-Identifier: Apache-2.0
/* A server in a thread, and sockets that speak to it in raw bytes. */
#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness.h"
#include "nexus-proto.h"

static void *serve(void *arg)
{
	struct harness *h = arg;

	h->result = rpc_server_run(h->server);
	return NULL;
}

struct harness *harness_start(const struct rpc_server_opts *opts)
{
	struct harness *h = calloc(1, sizeof(*h));
	struct rpc_server_opts own = { 0 };
	struct group *group = getgrgid(getegid());
	int err = 0;

	assert_non_null(h);
	if (opts)
		own = *opts;
	if (!own.group && geteuid() && group)
		own.group = group->gr_name;
	strcpy(h->dir, "/tmp/nexus-rpc-XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	assert_int_equal(chmod(h->dir, 0755), 0);
	snprintf(h->path, sizeof(h->path), "%s/nexusd.sock", h->dir);
	fake_core_init(&h->fake);
	h->services = control_services(&fake_ops, &h->fake);
	assert_non_null(h->services);
	h->server = rpc_server_new(h->path, h->services, &own, &err);
	assert_int_equal(err, 0);
	assert_non_null(h->server);
	assert_int_equal(pthread_create(&h->thread, NULL, serve, h), 0);
	h->running = true;
	return h;
}

void harness_stop(struct harness *h)
{
	char lock[128];

	if (h->running) {
		rpc_server_stop(h->server);
		pthread_join(h->thread, NULL);
		assert_int_equal(h->result, 0);
	}
	assert_int_equal(rpc_server_connections(h->server), 0);
	rpc_server_free(h->server);
	control_services_free(h->services);
	assert_int_equal(access(h->path, F_OK), -1);
	snprintf(lock, sizeof(lock), "%s.lock", h->path);
	unlink(lock);
	assert_int_equal(rmdir(h->dir), 0);
	free(h);
}

int raw_connect(const struct harness *h)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
	int fd;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	strcpy(addr.sun_path, h->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	return fd;
}

bool raw_send(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;
	ssize_t n;

	while (len) {
		n = send(fd, p, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

bool raw_frame(int fd, uint32_t stream, uint8_t type, uint8_t flags,
	       const void *data, size_t len)
{
	struct frame_header hdr = {
		.len = len,
		.stream = stream,
		.type = type,
		.flags = flags,
	};
	uint8_t header[FRAME_HEADER_LEN];
	struct iovec iov[2] = {
		{ .iov_base = header, .iov_len = sizeof(header) },
		{ .iov_base = (void *)data, .iov_len = len },
	};
	const struct msghdr msg = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };
	ssize_t n;

	frame_encode(&hdr, header);
	/* At once: what has begun has a time limit. */
	n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EINTR && raw_send(fd, header, sizeof(header)) &&
		       raw_send(fd, data, len);
	if ((size_t)n < sizeof(header))
		return raw_send(fd, header + n, sizeof(header) - (size_t)n) &&
		       raw_send(fd, data, len);
	n -= (ssize_t)sizeof(header);
	return (size_t)n == len || raw_send(fd, (const uint8_t *)data + n, len - (size_t)n);
}

bool raw_request(int fd, uint32_t stream, uint8_t flags, const char *service,
		 const char *method, const void *payload, size_t len, int64_t timeout_ns)
{
	Ttrpc__Request msg = TTRPC__REQUEST__INIT;
	size_t size;
	uint8_t *buf;
	bool ok;

	msg.service = (char *)service;
	msg.method = (char *)method;
	msg.payload.data = (uint8_t *)payload;
	msg.payload.len = len;
	msg.timeout_nano = timeout_ns;
	size = ttrpc__request__get_packed_size(&msg);
	buf = malloc(size ? size : 1);
	assert_non_null(buf);
	ttrpc__request__pack(&msg, buf);
	ok = raw_frame(fd, stream, FRAME_REQUEST, flags, buf, size);
	free(buf);
	return ok;
}

bool raw_call(int fd, uint32_t stream, const char *service, const char *method,
	      const void *payload, size_t len, int64_t timeout_ns)
{
	return raw_request(fd, stream, 0, service, method, payload, len, timeout_ns);
}

static bool recv_full(int fd, void *data, size_t len)
{
	uint8_t *p = data;
	ssize_t n;

	while (len) {
		n = recv(fd, p, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

void raw_status(const Google__Rpc__Status *status,
			struct answer *answer)
{
	Nexus__Control__V1__ErrorDetail *detail;

	answer->code = status->code;
	snprintf(answer->message, sizeof(answer->message), "%s",
		 status->message);
	if (!status->n_details)
		return;
	detail = nexus__control__v1__error_detail__unpack(
		NULL, status->details[0]->value.len,
		status->details[0]->value.data);
	assert_non_null(detail);
	answer->error = detail->number;
	nexus__control__v1__error_detail__free_unpacked(detail, NULL);
}

bool raw_answer(int fd, struct answer *answer)
{
	uint8_t header[FRAME_HEADER_LEN], *body;
	struct frame_header hdr;
	Ttrpc__Response *msg;

	memset(answer, 0, sizeof(*answer));
	if (!recv_full(fd, header, sizeof(header)))
		return false;
	frame_decode(header, &hdr);
	assert_int_equal(hdr.type, FRAME_RESPONSE);
	assert_true(hdr.len <= RPC_MESSAGE_MAX);
	body = malloc(hdr.len ? hdr.len : 1);
	assert_non_null(body);
	if (!recv_full(fd, body, hdr.len)) {
		free(body);
		return false;
	}
	msg = ttrpc__response__unpack(NULL, hdr.len, body);
	free(body);
	assert_non_null(msg);
	answer->stream = hdr.stream;
	if (msg->status)
		raw_status(msg->status, answer);
	answer->len = msg->payload.len;
	answer->payload = msg->payload.data;
	msg->payload.data = NULL;
	msg->payload.len = 0;
	ttrpc__response__free_unpacked(msg, NULL);
	return true;
}

void raw_expect(int fd, uint32_t stream, int code)
{
	struct answer answer;

	assert_true(raw_answer(fd, &answer));
	if (answer.code != code)
		print_error("answer: %d %s\n", answer.code, answer.message);
	assert_int_equal(answer.code, code);
	assert_int_equal(answer.stream, stream);
	free(answer.payload);
}

bool raw_closed(int fd)
{
	char buf[4096];
	ssize_t n;

	do {
		n = recv(fd, buf, sizeof(buf), 0);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n == 0 || errno == ECONNRESET || errno == EPIPE;
}

bool works(const struct harness *h)
{
	struct answer answer = { .code = -1 };
	int fd = raw_connect(h);
	bool ok;

	ok = raw_call(fd, 1, "nexus.control.v1.Health", "Check", NULL, 0, 0) &&
	     raw_answer(fd, &answer) && answer.code == RPC_OK && answer.len;
	free(answer.payload);
	close(fd);
	return ok;
}
