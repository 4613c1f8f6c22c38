/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of libnexus. */
#ifndef LIBNEXUS_CLIENT_H
#define LIBNEXUS_CLIENT_H

#include <stdbool.h>

#include <nexus/nexus.h>

#include "nexus-proto.h"

struct transport;

struct nexus_client {
	int fd;
	const struct transport *way;	/* instead of fd, or NULL */
	void *way_conn;			/* NULL: not connected */
	void *way_object;		/* loaded, for good */
	unsigned int timeout;
	uint64_t deadline;		/* of the call at hand; 0: none */
	uint32_t stream;
	bool feeding;			/* nexus_feed_begin() was called */
	char error[768];
};

/**
 * client_fail() - keep the user's line and pass the errno on
 * @client: the client
 * @error: negative errno
 * @fmt: the line
 */
int client_fail(struct nexus_client *client, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** client_hang_up() - not connected any more, whichever way it was */
void client_hang_up(struct nexus_client *client);

/** client_late() - -ETIMEDOUT, and its line */
int client_late(struct nexus_client *client);

/** client_status() - an outcome that is no success, as a negative errno, with its line */
int client_status(struct nexus_client *client, const Google__Rpc__Status *status);

/* grpc.c: the same as the functions without "way", of a client that is connected so. */
int way_call(struct nexus_client *client, const char *service, const char *method,
	     const void *request, size_t len, void **reply, size_t *reply_len);
int way_begin(struct nexus_client *client, const char *service, const char *method,
	      const void *request, size_t len);
int way_next(struct nexus_client *client, void **message, size_t *len);
void way_close(struct nexus_client *client);

#endif /* LIBNEXUS_CLIENT_H */
