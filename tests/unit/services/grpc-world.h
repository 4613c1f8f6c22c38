/* SPDX-License-Identifier: Apache-2.0 */
/* The service rpc_grpc beside a control socket, and calls over both. */
#ifndef SERVICES_GRPC_WORLD_H
#define SERVICES_GRPC_WORLD_H

#include "service-caller.h"
#include "transport.h"

#define HEALTH		"grpc.health.v1.Health"

extern const struct transport *way;	/* of grpc.so */
extern struct fronts *fronts;
extern char grpc_path[128];

/* What rpc_grpc is told; 0: its own values. */
struct grpc_numbers {
	uint32_t connections, timeout, service_timeout;
};

/* A control socket and rpc_grpc beside it, both for @group and for all to open. */
void grpc_begin(const char *group, const struct grpc_numbers *numbers);
void grpc_end(void);
/* The same without the control socket, which is there. */
void grpc_beside(const char *group, const struct grpc_numbers *numbers);
void grpc_beside_end(void);

/* What comes of a call, in bytes: a message, or the outcome. */
struct outcome {
	bool last;
	int code;
	char message[RPC_ERROR_MAX];
	uint8_t *status, *data;
	size_t status_len, len;
};

void outcome_free(struct outcome *o);
/* "" when they are the same, or what differs. */
const char *outcome_differs(const struct outcome *a, const struct outcome *b);

/* Connected to grpc_path; the test fails if it cannot be. */
void *grpc_connect(void);
/* Unary, on a connection of its own if @conn is NULL. */
void ask_grpc(void *conn, const char *service, const char *method, const void *req, size_t len,
	      unsigned int timeout_ms, struct outcome *o);
void ask_ttrpc(const char *service, const char *method, const void *req, size_t len, struct outcome *o);
/* The next of a stream that was begun with way->begin(). */
void next_grpc(void *conn, struct outcome *o);
void begin_grpc(void *conn, const char *service, const char *method, const void *req, size_t len);
/* The next of a stream on a raw socket, begun with stream_begin() and the like. */
void next_ttrpc(int fd, struct outcome *o);

#endif /* SERVICES_GRPC_WORLD_H */
