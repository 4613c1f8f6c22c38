// SPDX-License-Identifier: Apache-2.0
/*
 * The smallest service: gives back what it is given, to other services and, over
 * the control socket, to whoever may open it.
 *
 *	protoc-c -I /usr/share/nexusfs/proto --c_out=. nexus/echo/v1/echo.proto
 *	cc -shared -fPIC -O2 -Wall -I. -o echo.so service-echo.c \
 *		nexus/echo/v1/echo.pb-c.c -lprotobuf-c
 *	install -o root -m 644 echo.so /usr/lib/nexusfs/services/
 *	nexusctl service load echo
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <nexus/rpc.h>
#include <nexus/services/echo.h>

#include "nexus/echo/v1/echo.pb-c.h"

struct echo {
	const struct nexus_service_host *host;
	struct nexus_service *me;
};

static int echo(void *self, void *args)
{
	struct nexus_echo_args *a = args;

	(void)self;
	if (a->len > sizeof(a->in))
		return -EMSGSIZE;
	memcpy(a->out, a->in, a->len);
	return 0;
}

/* ---- from outside ---------------------------------------------------------- */

static int rpc_echo(void *self, void *args)
{
	struct nexus_rpc_call *call = args;
	const Nexus__Echo__V1__EchoRequest *req = (const void *)call->msg;
	Nexus__Echo__V1__EchoResponse answer = NEXUS__ECHO__V1__ECHO_RESPONSE__INIT;
	struct echo *e = self;

	if (strlen(req->text) > NEXUS_ECHO_MAX)
		return -EMSGSIZE;
	answer.text = req->text;
	return nexus_rpc_answer(e->host, call, &answer.base);
}

/* A message that is sent again and again, as fast as the reader takes it. */
struct repeat {
	struct nexus_rpc_stream *stream;
	uint32_t left;
	size_t len;
	uint8_t message[NEXUS_ECHO_MAX + 8];
};

static void send_more(const struct echo *e, struct repeat *r)
{
	int ret = 0;

	for (; r->left && !ret; r->left -= !ret)
		ret = e->host->stream_send(r->stream, r->message, r->len);
	/* Full: an event says when there is room. */
	if (ret != -EAGAIN)
		e->host->stream_end(r->stream, ret, NULL);
}

static int rpc_repeat(void *self, void *args)
{
	struct nexus_rpc_call *call = args;
	const Nexus__Echo__V1__RepeatRequest *req = (const void *)call->msg;
	Nexus__Echo__V1__EchoResponse answer = NEXUS__ECHO__V1__ECHO_RESPONSE__INIT;
	struct repeat *r;

	if (strlen(req->text) > NEXUS_ECHO_MAX)
		return -EMSGSIZE;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	answer.text = req->text;
	r->len = nexus__echo__v1__echo_response__pack(&answer, r->message);
	r->left = req->count;
	r->stream = call->stream;
	call->cookie = r;
	send_more(self, r);
	return 0;
}

static int repeat_event(void *self, void *args)
{
	struct nexus_rpc_event *ev = args;

	if (ev->what == NEXUS_RPC_CLOSED)
		free(ev->cookie);
	else
		send_more(self, ev->cookie);
	return 0;
}

static const struct nexus_rpc_method methods[] = {
	{
		.name = "Echo",
		.who = NEXUS_RPC_ALL,
		.request = &nexus__echo__v1__echo_request__descriptor,
		.response = &nexus__echo__v1__echo_response__descriptor,
		.call = rpc_echo,
	},
	{
		.name = "Repeat",
		.who = NEXUS_RPC_ALL,
		.request = &nexus__echo__v1__repeat_request__descriptor,
		.response = &nexus__echo__v1__echo_response__descriptor,
		.call = rpc_repeat,
		.event = repeat_event,
	},
	NEXUS_RPC_METHODS_END,
};

static const struct nexus_rpc_service rpc[] = {
	{ "nexus.echo.v1.Echo", methods },
	NEXUS_RPC_SERVICES_END,
};

/* ---- its life --------------------------------------------------------------- */

static int echo_init(const struct nexus_service_host *host, struct nexus_service *me, void **self)
{
	struct echo *e = malloc(sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->host = host;
	e->me = me;
	*self = e;
	return 0;
}

static int echo_start(void *self)
{
	struct echo *e = self;

	e->host->log(e->me, NEXUS_SERVICE_INFO, "gives back what it is given");
	return 0;
}

static int echo_stop(void *self)
{
	(void)self;
	return 0;
}

static const struct nexus_echo_ops ops = { .echo = echo };

static const struct nexus_protocol provides[] = {
	NEXUS_PROTOCOL(NEXUS_ECHO, NEXUS_ECHO_VERSION, ops),
	NEXUS_PROTOCOLS_END,
};

NEXUS_SERVICE = {
	.abi = NEXUS_SERVICE_ABI,
	.name = "echo",
	.version = "1.0",
	.provides = provides,
	.service_init = echo_init,
	.service_start = echo_start,
	.service_stop = echo_stop,
	.service_cleanup = free,
	.rpc = rpc,
};
