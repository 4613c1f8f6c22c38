// SPDX-License-Identifier: Apache-2.0
/*
 * The standard health service of gRPC: grpc.health.v1.Health.
 *
 * The name "" is the helper as a whole; others are those of RPC services, which are
 * there or are not.
 */
#include <string.h>

#include "nexus-proto.h"
#include "server.h"

#define CODE_INVALID	3
#define CODE_NOT_FOUND	5
#define CODE_UNIMPLEMENTED 12
#define CODE_EXHAUSTED	8
#define WATCHES_MAX	1024u
#define NAME_MAX_LEN	255u

typedef Grpc__Health__V1__HealthCheckResponse Response;

static int state_of(struct grpc_front *f, const char *service)
{
	if (!service[0] || !strcmp(service, HEALTH) || f->front->serves(f->front, service))
		return GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
	return GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
}

static size_t pack(uint8_t buf[16], int state)
{
	Response msg = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

	msg.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)state;
	return grpc__health__v1__health_check_response__pack(&msg, buf);
}

static void check(struct call *c, int state, const char *service)
{
	uint8_t buf[16];

	if (state == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING)
		call_answer(c, buf, pack(buf, state));
	else
		call_refuse(c, CODE_NOT_FOUND, "there is no service %s", service);
}

static void tell(struct call *c, int state)
{
	uint8_t buf[16];

	c->watched = state;
	call_send(c, buf, pack(buf, state));
}

void health_call(struct call *c, const uint8_t *request, size_t len)
{
	Grpc__Health__V1__HealthCheckRequest *req =
		grpc__health__v1__health_check_request__unpack(NULL, len, request);
	struct grpc_front *f = c->front;
	int state;

	if (!req || strlen(req->service) > NAME_MAX_LEN) {
		call_refuse(c, CODE_INVALID, "the payload is no grpc.health.v1.HealthCheckRequest");
		goto out;
	}
	state = state_of(f, req->service);
	if (!strcmp(c->method, "Check")) {
		check(c, state, req->service);
	} else if (strcmp(c->method, "Watch")) {
		call_refuse(c, CODE_UNIMPLEMENTED, "unknown method %s/%s", c->service, c->method);
	} else if (f->watches >= WATCHES_MAX) {
		call_refuse(c, CODE_EXHAUSTED, "%u watch the health already", WATCHES_MAX);
	} else {
		memcpy(c->peer.subject, req->service, strlen(req->service) + 1);
		c->watch = true;
		c->streaming = true;
		f->watches++;
		tell(c, state);
	}
out:
	if (req)
		grpc__health__v1__health_check_request__free_unpacked(req, NULL);
}

void health_tell(struct grpc_front *f)
{
	struct call *c;
	int state;

	for (c = f->calls; c; c = c->next) {
		if (!c->watch || c->sending || c->ended || c->cancelled)
			continue;
		state = state_of(f, c->peer.subject);
		if (state != c->watched)
			tell(c, state);
	}
}
