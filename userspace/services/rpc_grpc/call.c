// SPDX-License-Identifier: Apache-2.0
/*
 * A call: its request comes, it is made on the table, its messages and its outcome go.
 *
 * At most one message is on its way to the client: what a slow one does not take stays
 * in its stream, which is bounded.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include "server.h"

#define SLOTS		32u		/* calls the core may bring at once */
#define MEMORY_MAX	(64u << 20)	/* requests of all calls */
#define TICK_MS		1000
#define CODE_DEADLINE	4
#define CODE_INVALID	3
#define CODE_EXHAUSTED	8
#define CODE_INTERNAL	13
#define CODE_UNAVAILABLE 14
#define CODE_UNAUTHENTICATED 16
#define CODE_UNIMPLEMENTED 12

/* ---- life ------------------------------------------------------------------------- */

static struct call *call_new(struct grpc_front *f)
{
	struct call *c = calloc(1, sizeof(*c));
	int i;

	if (!c)
		return NULL;
	c->front = f;
	for (i = 0; i < EVENTS; i++)
		c->tags[i] = (struct tag){ (enum event)i, c };
	grpc_call_details_init(&c->details);
	grpc_metadata_array_init(&c->metadata);
	c->details_slice = grpc_empty_slice();
	c->status_slice = grpc_empty_slice();
	return c;
}

static void unwake(struct call *c)
{
	struct grpc_front *f = c->front;
	struct call **cp;

	pthread_mutex_lock(&f->wake_lock);
	for (cp = &f->woken; *cp; cp = &(*cp)->next_woken)
		if (*cp == c) {
			*cp = c->next_woken;
			break;
		}
	c->is_woken = false;
	pthread_mutex_unlock(&f->wake_lock);
}

static void drop_request(struct call *c)
{
	if (c->request)
		grpc_byte_buffer_destroy(c->request);
	c->request = NULL;
	c->front->memory -= c->held;
	c->held = 0;
}

static void drop(struct call *c)
{
	if (!c->under_way)
		return;
	c->front->front->drop(c->under_way);
	c->under_way = NULL;
	unwake(c);
}

static void call_free(struct call *c)
{
	drop(c);
	drop_request(c);
	if (c->call)
		grpc_call_unref(c->call);
	grpc_call_details_destroy(&c->details);
	grpc_metadata_array_destroy(&c->metadata);
	grpc_slice_unref(c->details_slice);
	grpc_slice_unref(c->status_slice);
	free(c->service);
	free(c);
}

/* Off the list, unless something of it is still under way. */
static void maybe_free(struct call *c)
{
	struct grpc_front *f = c->front;

	if (c->pending || !(c->ended || c->cancelled))
		return;
	if (c->prev)
		c->prev->next = c->next;
	else
		f->calls = c->next;
	if (c->next)
		c->next->prev = c->prev;
	f->n_calls--;
	f->watches -= c->watch;
	if (c->conn)
		conn_release(f, c->conn);
	call_free(c);
}

void calls_refill(struct grpc_front *f)
{
	struct call *c;

	while (!f->stopping && f->slots < SLOTS) {
		c = call_new(f);
		if (!c)
			return;
		if (grpc_server_request_call(f->server, &c->call, &c->details, &c->metadata, f->cq,
					     f->cq, &c->tags[EVENT_NEW]) != GRPC_CALL_OK) {
			call_free(c);
			return;
		}
		f->slots++;
	}
}

static bool start(struct call *c, const grpc_op *ops, size_t n, enum event event)
{
	if (grpc_call_start_batch(c->call, ops, n, &c->tags[event], NULL) != GRPC_CALL_OK) {
		front_log(c->front, NEXUS_SERVICE_ERROR, "%s/%s: the core refuses an operation",
			  c->service, c->method);
		grpc_call_cancel_with_status(c->call, GRPC_STATUS_INTERNAL, "refused", NULL);
		return false;
	}
	c->pending++;
	return true;
}

/* ---- to the client ------------------------------------------------------------------ */

static size_t add_begin(struct call *c, grpc_op *op)
{
	if (c->begun)
		return 0;
	c->begun = true;
	*op = (grpc_op){ .op = GRPC_OP_SEND_INITIAL_METADATA };
	return 1;
}

static grpc_byte_buffer *add_message(grpc_op *op, const void *data, size_t len)
{
	grpc_slice slice = grpc_slice_from_copied_buffer(data, len);
	grpc_byte_buffer *bytes = grpc_raw_byte_buffer_create(&slice, 1);

	grpc_slice_unref(slice);
	*op = (grpc_op){ .op = GRPC_OP_SEND_MESSAGE };
	op->data.send_message.send_message = bytes;
	return bytes;
}

void call_send(struct call *c, const void *data, size_t len)
{
	grpc_byte_buffer *bytes;
	grpc_op ops[2];
	size_t n = add_begin(c, ops);

	bytes = add_message(&ops[n++], data, len);
	c->sending = start(c, ops, n, EVENT_SENT);
	c->since = front_now();
	grpc_byte_buffer_destroy(bytes);
}

/* The last that is sent. */
static void finish(struct call *c, const struct nexus_front_answer *a)
{
	grpc_metadata details;
	grpc_byte_buffer *bytes = NULL;
	grpc_op ops[3];
	size_t n;

	if (c->ended || c->cancelled)
		return;
	n = add_begin(c, ops);
	if (!a->code && !c->streaming)
		bytes = add_message(&ops[n++], a->data, a->len);
	ops[n] = (grpc_op){ .op = GRPC_OP_SEND_STATUS_FROM_SERVER };
	ops[n].data.send_status_from_server.status = (grpc_status_code)a->code;
	if (a->code) {
		c->details_slice = grpc_slice_from_copied_string(a->message);
		ops[n].data.send_status_from_server.status_details = &c->details_slice;
	}
	if (a->code && a->status) {
		c->status_slice = grpc_slice_from_copied_buffer(a->status, a->status_len);
		details = (grpc_metadata){
			.key = grpc_slice_from_copied_string("grpc-status-details-bin"),
			.value = c->status_slice,
		};
		ops[n].data.send_status_from_server.trailing_metadata_count = 1;
		ops[n].data.send_status_from_server.trailing_metadata = &details;
	}
	n++;
	c->ended = true;
	c->since = front_now();
	start(c, ops, n, EVENT_ENDED);
	if (bytes)
		grpc_byte_buffer_destroy(bytes);
	if (a->code && a->status)
		grpc_slice_unref(details.key);
}

void call_answer(struct call *c, const void *data, size_t len)
{
	const struct nexus_front_answer a = { .last = true, .data = data, .len = len };

	finish(c, &a);
}

void call_refuse(struct call *c, int code, const char *fmt, ...)
{
	struct nexus_front_answer a = { .last = true, .code = code };
	char text[400];
	uint8_t status[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	a.message = text;
	c->front->front->refusal(&a, status, sizeof(status));
	finish(c, &a);
	drop(c);
}

/* What the table has for it, as far as the client takes it. */
static void pump(struct call *c)
{
	struct nexus_front_answer a;
	int ret;

	if (!c->under_way || c->sending || c->ended || c->cancelled)
		return;
	ret = c->front->front->take(c->under_way, &a);
	c->streaming |= a.stream;
	if (ret && c->streaming && c->front->stopping) {
		call_refuse(c, CODE_UNAVAILABLE, "the service was unloaded or replaced; call again");
	} else if (!ret && a.last) {
		finish(c, &a);
		drop(c);
	} else if (!ret) {
		call_send(c, a.data, a.len);
	} else {
		c->since = 0;
	}
}

void call_wake(void *cookie)
{
	struct call *c = cookie;
	struct grpc_front *f = c->front;
	bool first;

	pthread_mutex_lock(&f->wake_lock);
	first = !c->is_woken;
	if (first) {
		c->is_woken = true;
		c->next_woken = f->woken;
		f->woken = c;
	}
	pthread_mutex_unlock(&f->wake_lock);
	if (first)
		loop_wake(f);
}

void calls_pump(struct grpc_front *f)
{
	struct call *c;

	for (;;) {
		pthread_mutex_lock(&f->wake_lock);
		c = f->woken;
		if (c) {
			f->woken = c->next_woken;
			c->is_woken = false;
		}
		pthread_mutex_unlock(&f->wake_lock);
		if (!c)
			return;
		pump(c);
	}
}

/* ---- from the client ---------------------------------------------------------------- */

/* "/package.Service/Method"; both in one piece of memory. */
static int split_path(struct call *c)
{
	char *path = grpc_slice_to_c_string(c->details.method), *slash;

	c->service = strdup(path[0] == '/' ? path + 1 : path);
	gpr_free(path);
	if (!c->service)
		return -ENOMEM;
	slash = strrchr(c->service, '/');
	if (slash)
		*slash = '\0';
	c->method = slash ? slash + 1 : c->service + strlen(c->service);
	return 0;
}

static uint32_t time_left(const struct call *c)
{
	gpr_timespec end = gpr_convert_clock_type(c->details.deadline, GPR_CLOCK_MONOTONIC);
	gpr_timespec left;

	if (!gpr_time_cmp(c->details.deadline, gpr_inf_future(c->details.deadline.clock_type)))
		return 0;
	left = gpr_time_sub(end, gpr_now(GPR_CLOCK_MONOTONIC));
	if (left.tv_sec >= 1000000)
		return 0;
	return left.tv_sec < 0 ? 1 : (uint32_t)left.tv_sec * 1000 + (uint32_t)left.tv_nsec / 1000000 + 1;
}

static void begin(struct call *c)
{
	struct grpc_front *f = c->front;
	const char *why = "";
	grpc_op op;

	c->next = f->calls;
	if (f->calls)
		f->calls->prev = c;
	f->calls = c;
	f->n_calls++;
	op = (grpc_op){ .op = GRPC_OP_RECV_CLOSE_ON_SERVER };
	op.data.recv_close_on_server.cancelled = &c->close_cancelled;
	start(c, &op, 1, EVENT_CLOSED);
	c->since = front_now();
	if (split_path(c)) {
		call_refuse(c, CODE_EXHAUSTED, "the helper has no memory for the call");
	} else if (peer_find(f, c, &why)) {
		call_refuse(c, CODE_UNAUTHENTICATED, "%s", why);
	} else {
		op = (grpc_op){ .op = GRPC_OP_RECV_MESSAGE };
		op.data.recv_message.recv_message = &c->request;
		start(c, &op, 1, EVENT_REQUEST);
	}
}

static void make_call(struct call *c, const uint8_t *data, size_t len)
{
	struct nexus_front_request req = {
		.peer = c->peer,	/* but for what may be gone meanwhile */
		.service = c->service,
		.method = c->method,
		.payload = data,
		.len = len,
		.timeout_ms = time_left(c),
		.wake = call_wake,
		.cookie = c,
	};
	int ret;

	req.peer.fd = c->conn->relay ? -1 : c->conn->fd;
	c->since = 0;
	if (!strcmp(c->service, HEALTH)) {
		health_call(c, data, len);
		return;
	}
	ret = c->front->front->call(c->front->front, &req, &c->under_way);
	if (ret == -EMSGSIZE)
		call_refuse(c, CODE_EXHAUSTED, "the request has %zu bytes, at most %u are allowed", len,
			    NEXUS_FRONT_MESSAGE_MAX);
	else if (ret)
		call_refuse(c, CODE_EXHAUSTED, "the helper has no memory for the call");
}

static void got_request(struct call *c)
{
	struct grpc_front *f = c->front;
	grpc_byte_buffer_reader reader;
	grpc_slice all;

	if (c->ended || c->cancelled)
		return;
	if (!c->request) {
		call_refuse(c, CODE_INVALID, "there is no request");
		return;
	}
	if (c->request->data.raw.compression != GRPC_COMPRESS_NONE) {
		call_refuse(c, CODE_UNIMPLEMENTED, "compressed requests are not taken");
		return;
	}
	c->held = grpc_byte_buffer_length(c->request);
	f->memory += c->held;
	if (f->memory > MEMORY_MAX) {
		call_refuse(c, CODE_EXHAUSTED, "too many requests at a time; try again");
		return;
	}
	if (!grpc_byte_buffer_reader_init(&reader, c->request)) {
		call_refuse(c, CODE_INTERNAL, "the request cannot be read");
		return;
	}
	all = grpc_byte_buffer_reader_readall(&reader);
	make_call(c, GRPC_SLICE_START_PTR(all), GRPC_SLICE_LENGTH(all));
	grpc_slice_unref(all);
	grpc_byte_buffer_reader_destroy(&reader);
	/* The table has a copy; what it holds is counted until the outcome has gone. */
	grpc_byte_buffer_destroy(c->request);
	c->request = NULL;
}

void call_event(struct call *c, enum event event, bool ok)
{
	if (event == EVENT_NEW) {
		c->front->slots--;
		if (ok)
			begin(c);
		else
			call_free(c);
		return;
	}
	c->pending--;
	switch (event) {
	case EVENT_REQUEST:
		got_request(c);
		break;
	case EVENT_CLOSED:
		if (c->close_cancelled || !ok) {
			c->cancelled = true;
			drop(c);
		}
		break;
	case EVENT_SENT:
		c->sending = false;
		if (c->watch)
			c->since = 0;
		else if (ok)
			pump(c);
		break;
	default:
		c->since = 0;
		break;
	}
	maybe_free(c);
}

void calls_adopt(struct grpc_front *f)
{
	struct call *c;

	for (c = f->calls; c; c = c->next)
		if (c->under_way)
			f->front->rewake(c->under_way, call_wake);
}

/* ---- time ---------------------------------------------------------------------------- */

int calls_expire(struct grpc_front *f)
{
	uint64_t now = front_now();
	struct call *c, *next;
	bool waiting = false;

	for (c = f->calls; c; c = next) {
		next = c->next;
		if (!c->since)
			continue;
		waiting = true;
		if (now - c->since < f->set.timeout_ms)
			continue;
		c->since = 0;
		if (c->sending || c->ended)
			grpc_call_cancel_with_status(c->call, GRPC_STATUS_UNAVAILABLE,
						     "the client does not take its answers", NULL);
		else
			call_refuse(c, CODE_DEADLINE, "the request has not come within %u ms",
				    f->set.timeout_ms);
	}
	return waiting ? TICK_MS : -1;
}

void calls_end(struct grpc_front *f, bool all)
{
	struct call *c, *next;

	for (c = f->calls; c; c = next) {
		next = c->next;
		if (all || c->streaming || c->watch)
			call_refuse(c, CODE_UNAVAILABLE,
				    "the service was unloaded or replaced; call again");
	}
}
