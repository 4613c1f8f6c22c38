// SPDX-License-Identifier: Apache-2.0
/*
 * A service to be called from outside: a method for each kind of caller, one that
 * is slow, streams that never end, and counts of what has come.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nexus/rpc.h>

#include "nexus/echo/v1/echo.pb-c.h"

#ifndef VERSION
#define VERSION	"1"
#endif

static const struct nexus_service_host *host;
static atomic_int reached, opened, closed, ready, running, late, stopped;

/* Says its name: it was reached. */
static int hello(void *self, void *args)
{
	struct nexus_rpc_call *call = args;

	(void)self;
	atomic_fetch_add(&reached, 1);
	call->answer = "hello from " VERSION;
	call->answer_len = sizeof("hello from " VERSION) - 1;
	return 0;
}

/* What others look like to it. */
static int counts(void *self, void *args)
{
	struct nexus_rpc_call *call = args;
	char *text = host->args_more(call, 160);

	(void)self;
	if (!text)
		return -ENOMEM;
	call->answer_len = (size_t)snprintf(text, 160,
		"reached=%d opened=%d closed=%d ready=%s late=%d subject=%s admin=%d",
		atomic_load(&reached), atomic_load(&opened), atomic_load(&closed),
		atomic_load(&ready) ? "yes" : "no", atomic_load(&late), call->caller.subject,
		call->caller.admin);
	call->answer = text;
	return 0;
}

static int fails(void *self, void *args)
{
	struct nexus_rpc_call *call = args;

	(void)self;
	snprintf(call->error, sizeof(call->error), "it is not yours");
	return -EKEYEXPIRED;
}

/* -ESTALE is its own, and not that of the table. */
static int stale(void *self, void *args)
{
	(void)self;
	(void)args;
	atomic_fetch_add(&reached, 1);
	return -ESTALE;
}

static int large(void *self, void *args)
{
	struct nexus_rpc_call *call = args;

	(void)self;
	call->answer_len = NEXUS_RPC_ANSWER_MAX + 1;
	call->answer = host->args_more(call, call->answer_len);
	return call->answer ? 0 : -ENOMEM;
}

/* Until somebody closes the other end. */
static int hangs(void *self, void *args)
{
	struct pollfd p = { .fd = atoi(getenv("NEXUS_TEST_FD")), .events = POLLIN };

	(void)self;
	(void)args;
	return poll(&p, 1, -1) < 0;
}

/* ---- streams ----------------------------------------------------------------- */

struct flow {
	struct nexus_rpc_stream *stream;
	uint32_t next;
	bool flood;
};

static void pump(struct flow *f)
{
	uint8_t message[1024] = { 0 };
	int ret;

	do {
		memcpy(message, &f->next, sizeof(f->next));
		ret = host->stream_send(f->stream, message, sizeof(message));
		f->next += !ret;
	} while (!ret);
	if (ret != -EAGAIN)
		host->stream_end(f->stream, ret, NULL);
}

static int begin(struct nexus_rpc_call *call, bool flood)
{
	struct flow *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->stream = call->stream;
	f->flood = flood;
	call->cookie = f;
	atomic_fetch_add(&opened, 1);
	if (flood)
		pump(f);
	return 0;
}

static int flood(void *self, void *args)
{
	(void)self;
	return begin(args, true);
}

static int silent(void *self, void *args)
{
	(void)self;
	return begin(args, false);
}

/* An error behind two messages. */
static int breaks(void *self, void *args)
{
	struct nexus_rpc_call *call = args;
	int ret = begin(call, false);

	(void)self;
	if (ret)
		return ret;
	host->stream_send(call->stream, "one", 3);
	host->stream_send(call->stream, NULL, 0);
	host->stream_end(call->stream, -ENOSPC, "no more of it");
	host->stream_end(call->stream, 0, NULL);
	if (host->stream_send(call->stream, "more", 4) != -EPIPE)
		atomic_fetch_add(&late, 1);
	return 0;
}

static int refuses(void *self, void *args)
{
	(void)self;
	(void)args;
	return -EXDEV;
}

static int event(void *self, void *args)
{
	struct nexus_rpc_event *ev = args;
	struct flow *f = ev->cookie;

	(void)self;
	if (!f || f->stream != ev->stream || atomic_load(&stopped))
		atomic_fetch_add(&late, 1);
	if (atomic_fetch_add(&running, 1) < 0)
		atomic_fetch_add(&late, 1);
	if (ev->what == NEXUS_RPC_CLOSED) {
		atomic_fetch_add(&closed, 1);
		free(f);
	} else {
		atomic_fetch_add(&ready, 1);
		pump(f);
	}
	atomic_fetch_sub(&running, 1);
	return 0;
}

#define METHOD(n, w, fn) { .name = n, .who = w, .call = fn }
#define STREAM(n, w, fn) { .name = n, .who = w, .call = fn, .event = event }

static const struct nexus_rpc_method methods[] = {
	METHOD("Root", NEXUS_RPC_ROOT, hello),
	METHOD("Admin", NEXUS_RPC_ADMIN, hello),
	{
		.name = "Self",
		.who = NEXUS_RPC_SELF,
		.subject = "text",
		.request = &nexus__echo__v1__echo_request__descriptor,
		.call = hello,
	},
	METHOD("All", NEXUS_RPC_ALL, hello),
	METHOD("Counts", NEXUS_RPC_ALL, counts),
	METHOD("Fails", NEXUS_RPC_ALL, fails),
	METHOD("Stale", NEXUS_RPC_ALL, stale),
	METHOD("Large", NEXUS_RPC_ALL, large),
	METHOD("Hangs", NEXUS_RPC_ALL, hangs),
	STREAM("Flood", NEXUS_RPC_ALL, flood),
	STREAM("Silent", NEXUS_RPC_ALL, silent),
	STREAM("Breaks", NEXUS_RPC_ALL, breaks),
	STREAM("Refuses", NEXUS_RPC_ALL, refuses),
	STREAM("AdminStream", NEXUS_RPC_ADMIN, silent),
	NEXUS_RPC_METHODS_END,
};

#ifdef BAD_NAME
#define SERVICE_NAME	"nexus.control.v1.Zones"
#else
#define SERVICE_NAME	"test.rpc.v1.Test"
#endif

static const struct nexus_rpc_service rpc[] = {
	{ SERVICE_NAME, methods },
	NEXUS_RPC_SERVICES_END,
};

static int rpc_init(const struct nexus_service_host *h, struct nexus_service *me, void **self)
{
	(void)me;
	host = h;
	*self = NULL;
	return 0;
}

static int nothing(void *self)
{
	(void)self;
	return 0;
}

/* Every stream has had its last event by now. */
static int rpc_stop(void *self)
{
	(void)self;
	atomic_store(&stopped, 1);
	return atomic_load(&opened) == atomic_load(&closed) ? 0 : -EUCLEAN;
}

static void rpc_cleanup(void *self)
{
	(void)self;
}

struct ops {
	nexus_op hello;
};

static const struct ops ops = { hello };

static const struct nexus_protocol provides[] = {
	NEXUS_PROTOCOL("test.rpc", 1, ops),
	NEXUS_PROTOCOLS_END,
};

NEXUS_SERVICE = {
	.abi = NEXUS_SERVICE_ABI,
	.name = "rpc",
	.version = VERSION,
	.provides = provides,
	.service_init = rpc_init,
	.service_start = nothing,
	.service_stop = rpc_stop,
	.service_cleanup = rpc_cleanup,
	.rpc = rpc,
};
