// SPDX-License-Identifier: Apache-2.0
/* The connection to the helper: frames out, frames in, errors. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "frame.h"
#include "nexus-proto.h"

#define MESSAGE_MAX	(4u << 20)
#define TIMEOUT_MS	30000
#define DETAIL_NAME	"/nexus.control.v1.ErrorDetail"

int client_fail(struct nexus_client *client, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(client->error, sizeof(client->error), fmt, ap);
	va_end(ap);
	return error;
}

NEXUS_EXPORT struct nexus_client *nexus_new(void)
{
	struct nexus_client *client = calloc(1, sizeof(*client));

	if (client) {
		client->fd = -1;
		client->timeout = TIMEOUT_MS;
	}
	return client;
}

void client_hang_up(struct nexus_client *client)
{
	way_close(client);
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	client->feeding = false;
}

NEXUS_EXPORT void nexus_free(struct nexus_client *client)
{
	if (!client)
		return;
	client_hang_up(client);
	free(client);
}

NEXUS_EXPORT void nexus_set_timeout(struct nexus_client *client,
				    unsigned int ms)
{
	client->timeout = ms;
}

NEXUS_EXPORT const char *nexus_error(const struct nexus_client *client)
{
	return client ? client->error : "out of memory";
}

static int connect_failed(struct nexus_client *client, int error,
			  const char *path)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		return client_fail(client, -error,
				   "the helper nexusd is not running (nothing listens on %s); start it with: systemctl start nexusd",
				   path);
	case EACCES:
	case EPERM:
		return client_fail(client, -error,
				   "no permission to open %s: become root, or have your user added to group nexusfs",
				   path);
	case EAGAIN:
		return client_fail(client, -error,
				   "the helper does not accept connections on %s; is it stopped or overloaded?",
				   path);
	default:
		return client_fail(client, -error, "%s: %s", path,
				   strerror(error));
	}
}

NEXUS_EXPORT int nexus_connect(struct nexus_client *client, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval limit;
	int fd, err;

	client_hang_up(client);
	if (!path)
		path = getenv("NEXUS_SOCKET");
	if (!path || !*path)
		path = NEXUS_SOCKET;
	if (strlen(path) >= sizeof(addr.sun_path))
		return client_fail(client, -ENAMETOOLONG,
				   "%s: the path of a socket has at most %zu bytes",
				   path, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path) + 1);

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return client_fail(client, -errno, "socket: %s",
				   strerror(errno));
	/* A full backlog is waited for, but not for ever. */
	limit.tv_sec = client->timeout / 1000;
	limit.tv_usec = client->timeout % 1000 * 1000L;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		err = errno;
		close(fd);
		return connect_failed(client, err, path);
	}
	client->fd = fd;
	client->stream = 1;
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int lost(struct nexus_client *client)
{
	return client_fail(client, -ECONNRESET,
			   "the helper closed the connection; see its log (journalctl -u nexusd) and try again");
}

int client_late(struct nexus_client *client)
{
	return client_fail(client, -ETIMEDOUT,
			   "the helper did not answer within %u ms; it may still be at work",
			   client->timeout);
}

/* Wait until the socket is ready, or the time of the call is over. */
static int wait_for(struct nexus_client *client, short events)
{
	struct pollfd pfd = { .fd = client->fd, .events = events };
	uint64_t now;
	int n, ms = -1;

	do {
		if (client->deadline) {
			now = now_ms();
			ms = now < client->deadline ?
				     (int)(client->deadline - now) : 0;
		}
		n = poll(&pfd, 1, ms);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return client_fail(client, -errno, "poll: %s", strerror(errno));
	return n ? 0 : client_late(client);
}

static int send_all(struct nexus_client *client, const uint8_t *data,
		    size_t len)
{
	ssize_t n;
	int err;

	while (len) {
		n = send(client->fd, data, len,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			err = wait_for(client, POLLOUT);
			if (err)
				return err;
			continue;
		}
		if (n < 0)
			return lost(client);
		data += n;
		len -= n;
	}
	return 0;
}

static int recv_all(struct nexus_client *client, uint8_t *data, size_t len)
{
	ssize_t n;
	int err;

	while (len) {
		n = recv(client->fd, data, len, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			err = wait_for(client, POLLIN);
			if (err)
				return err;
			continue;
		}
		if (n <= 0)
			return lost(client);
		data += n;
		len -= n;
	}
	return 0;
}

static int send_request(struct nexus_client *client, uint8_t flags, const char *service,
			const char *method, const void *request, size_t len)
{
	Ttrpc__Request msg = TTRPC__REQUEST__INIT;
	struct frame_header hdr = {
		.stream = client->stream,
		.type = FRAME_REQUEST,
		.flags = flags,
	};
	size_t size;
	uint8_t *frame;
	int err;

	msg.service = (char *)service;
	msg.method = (char *)method;
	msg.payload.data = (uint8_t *)request;
	msg.payload.len = len;
	if (client->timeout)
		msg.timeout_nano = (int64_t)client->timeout * 1000000;
	size = ttrpc__request__get_packed_size(&msg);
	if (size > MESSAGE_MAX)
		return client_fail(client, -EMSGSIZE,
				   "the request has %zu bytes, at most %u are allowed",
				   size, MESSAGE_MAX);
	frame = malloc(FRAME_HEADER_LEN + size);
	if (!frame)
		return client_fail(client, -ENOMEM, "out of memory");
	hdr.len = size;
	frame_encode(&hdr, frame);
	ttrpc__request__pack(&msg, frame + FRAME_HEADER_LEN);
	err = send_all(client, frame, FRAME_HEADER_LEN + size);
	free(frame);
	return err;
}

/* The next frame of this call, and its message. */
static int recv_frame(struct nexus_client *client, struct frame_header *frame, uint8_t **out)
{
	uint8_t header[FRAME_HEADER_LEN], *data;
	struct frame_header hdr;
	int err;

	err = recv_all(client, header, sizeof(header));
	if (err)
		return err;
	frame_decode(header, &hdr);
	if ((hdr.type != FRAME_RESPONSE && !(hdr.type == FRAME_DATA && client->feeding)) ||
	    hdr.stream != client->stream || hdr.len > MESSAGE_MAX)
		return client_fail(client, -EPROTO,
				   "what answers is not nexusd (frame type %u, stream %u, %u bytes)",
				   hdr.type, hdr.stream, hdr.len);
	data = malloc(hdr.len ? hdr.len : 1);
	if (!data)
		return client_fail(client, -ENOMEM, "out of memory");
	err = recv_all(client, data, hdr.len);
	if (err) {
		free(data);
		return err;
	}
	*out = data;
	*frame = hdr;
	return 0;
}

/* The errno behind a status without a detail, by google.rpc.Code. */
static int code_errno(int code)
{
	static const int table[] = {
		[1] = ECANCELED, [3] = EINVAL, [4] = ETIMEDOUT, [5] = ENOENT,
		[6] = EEXIST, [7] = EPERM, [8] = ENOMEM, [9] = EBUSY,
		[10] = ESTALE, [11] = ERANGE, [12] = EOPNOTSUPP, [13] = EIO,
		[14] = EAGAIN, [15] = EUCLEAN, [16] = EACCES,
	};

	if (code > 0 && (size_t)code < sizeof(table) / sizeof(table[0]) &&
	    table[code])
		return table[code];
	return EIO;
}

static int status_errno(const Google__Rpc__Status *status)
{
	Nexus__Control__V1__ErrorDetail *detail;
	const Google__Protobuf__Any *any;
	const char *slash;
	size_t i;
	int err = 0;

	for (i = 0; i < status->n_details && !err; i++) {
		any = status->details[i];
		slash = strrchr(any->type_url, '/');
		if (!slash || strcmp(slash, DETAIL_NAME))
			continue;
		detail = nexus__control__v1__error_detail__unpack(
			NULL, any->value.len, any->value.data);
		if (!detail)
			continue;
		if (detail->number > 0 && detail->number < 4096)
			err = detail->number;
		nexus__control__v1__error_detail__free_unpacked(detail, NULL);
	}
	return err ? err : code_errno(status->code);
}

int client_status(struct nexus_client *client, const Google__Rpc__Status *status)
{
	return client_fail(client, -status_errno(status), "%s",
			   status->message[0] ? status->message : "the call failed");
}

static int take_response(struct nexus_client *client, const uint8_t *data,
			 size_t len, void **reply, size_t *reply_len)
{
	Ttrpc__Response *msg;
	int err = 0;

	msg = ttrpc__response__unpack(NULL, len, data);
	if (!msg)
		return client_fail(client, -EPROTO,
				   "what answers is not nexusd (its message is no ttrpc.Response)");
	if (msg->status && msg->status->code) {
		err = client_status(client, msg->status);
		goto out;
	}
	if (reply_len)
		*reply_len = msg->payload.len;
	if (reply) {
		*reply = malloc(msg->payload.len ? msg->payload.len : 1);
		if (!*reply)
			err = client_fail(client, -ENOMEM, "out of memory");
		else if (msg->payload.len)
			memcpy(*reply, msg->payload.data, msg->payload.len);
	}
out:
	ttrpc__response__free_unpacked(msg, NULL);
	return err;
}

/* Before a call. */
static int begin(struct nexus_client *client)
{
	if (client->fd < 0 && !client->way_conn)
		return client_fail(client, -ENOTCONN, "not connected to the helper");
	if (client->feeding)
		return client_fail(client, -EBUSY, "a stream has the connection");
	client->deadline = client->timeout ? now_ms() + client->timeout : 0;
	return 0;
}

NEXUS_EXPORT int nexus_call(struct nexus_client *client, const char *service,
			    const char *method, const void *request, size_t len,
			    void **reply, size_t *reply_len)
{
	struct frame_header hdr = { .len = 0 };
	uint8_t *data = NULL;
	int err;

	err = begin(client);
	if (err)
		return err;
	if (client->way_conn)
		return way_call(client, service, method, request, len, reply, reply_len);
	err = send_request(client, 0, service, method, request, len);
	if (err == -EMSGSIZE || err == -ENOMEM)
		return err;
	if (!err)
		err = recv_frame(client, &hdr, &data);
	if (err) {
		client_hang_up(client);
		return err;
	}
	client->stream += 2;
	err = take_response(client, data, hdr.len, reply, reply_len);
	free(data);
	return err;
}

NEXUS_EXPORT int nexus_feed_begin(struct nexus_client *client, const char *service,
				  const char *method, const void *request, size_t len)
{
	int err = begin(client);

	if (err)
		return err;
	if (client->way_conn)
		return way_begin(client, service, method, request, len);
	err = send_request(client, FRAME_REMOTE_CLOSED, service, method, request, len);
	if (!err)
		client->feeding = true;
	else if (err != -EMSGSIZE && err != -ENOMEM)
		client_hang_up(client);
	return err;
}

NEXUS_EXPORT int nexus_feed_next(struct nexus_client *client, void **message, size_t *len)
{
	struct frame_header hdr = { .len = 0 };
	uint8_t *data = NULL;
	int err;

	if (!client->feeding)
		return client_fail(client, -ENODATA, "no stream has begun");
	if (client->way_conn)
		return way_next(client, message, len);
	client->deadline = client->timeout ? now_ms() + client->timeout : 0;
	err = recv_frame(client, &hdr, &data);
	if (err) {
		client_hang_up(client);
		return err;
	}
	if (hdr.type == FRAME_DATA && !(hdr.flags & FRAME_NO_DATA)) {
		*message = data;
		*len = hdr.len;
		return 1;
	}
	client->feeding = false;
	client->stream += 2;
	if (hdr.type == FRAME_RESPONSE)
		err = take_response(client, data, hdr.len, NULL, NULL);
	free(data);
	return err;
}
