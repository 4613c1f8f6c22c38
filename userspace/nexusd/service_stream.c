// SPDX-License-Identifier: Apache-2.0
/*
 * Streams: messages of a service on their way to a reader outside.  Between the
 * two is a queue of bounded size.  Neither waits for the other: the service is
 * told that it is full, and then that there is room; the reader is woken.
 *
 * A stream is bound to an instance from the call that begins it until its
 * last event has returned.  The events of an instance run one after the other
 * on one thread of the registry, at most BATCH in a call.
 *
 * Locks: registry.lock > stream.lock; @wake is called with the latter.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service_impl.h"
#include "service_rpc.h"

#define BATCH	16

struct nexus_rpc_stream {
	struct nexus_rpc_stream *next;	/* registry: of nexus_service.streams */
	struct nexus_service *inst;	/* registry: or NULL, not bound */
	nexus_op event;
	struct nexus_rpc_event *args;	/* of the event that runs */
	uint32_t uid;
	bool begun;			/* registry: it gets events */
	bool ready_due, closed_due;	/* registry: those that have not run */

	atomic_uint refs;		/* the reader, and the binding */
	pthread_mutex_t lock;
	struct stream_msg *first, **tail;
	size_t bytes, n;
	bool full;			/* a message was refused */
	bool waiting;			/* the reader found nothing */
	bool dropped, ended;
	int error;
	char text[256];
	void (*wake)(void *ctx);
	void *wake_ctx;
};

struct nexus_rpc_stream *stream_new(void (*wake)(void *ctx), void *ctx)
{
	struct nexus_rpc_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->args = service_args_new(sizeof(*s->args));
	if (!s->args) {
		free(s);
		return NULL;
	}
	atomic_init(&s->refs, 1);
	pthread_mutex_init(&s->lock, NULL);
	s->tail = &s->first;
	s->waiting = true;
	s->wake = wake;
	s->wake_ctx = ctx;
	return s;
}

static void drop_queue(struct nexus_rpc_stream *s)
{
	struct stream_msg *msg;

	while ((msg = s->first)) {
		s->first = msg->next;
		free(msg);
	}
	s->tail = &s->first;
	s->bytes = 0;
	s->n = 0;
}

static void put(struct nexus_rpc_stream *s)
{
	if (atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	drop_queue(s);
	pthread_mutex_destroy(&s->lock);
	service_args_free(s->args);
	free(s);
}

/* stream.lock held. */
static void wake(struct nexus_rpc_stream *s)
{
	if (s->waiting && s->wake)
		s->wake(s->wake_ctx);
	s->waiting = false;
}

static void finish(struct nexus_rpc_stream *s, int error, const char *text)
{
	pthread_mutex_lock(&s->lock);
	if (!s->ended && !s->dropped) {
		s->ended = true;
		s->error = error;
		snprintf(s->text, sizeof(s->text), "%s", text ? text : "");
		wake(s);
	}
	pthread_mutex_unlock(&s->lock);
}

/* ---- events; registry.lock held --------------------------------------------------- */

static struct nexus_rpc_stream *find_due(struct nexus_service *inst)
{
	struct nexus_rpc_stream *s;

	for (s = inst->streams; s; s = s->next)
		if (s->begun && (s->closed_due || s->ready_due))
			return s;
	return NULL;
}

static void unbind(struct nexus_rpc_stream *s)
{
	struct nexus_service *inst = s->inst;
	struct nexus_rpc_stream **sp;

	for (sp = &inst->streams; *sp != s; sp = &(*sp)->next)
		;
	*sp = s->next;
	s->inst = NULL;
	inst->r->streams--;
	pthread_cond_broadcast(&inst->r->idle_cond);
	put(s);
}

static void poke(struct nexus_service *inst);

/* On a thread of the registry, lock not held. */
static int run_events(struct nexus_service *inst)
{
	struct registry *r = inst->r;
	struct nexus_rpc_stream *s;
	int i;

	pthread_mutex_lock(&r->lock);
	for (i = 0; i < BATCH && (s = find_due(inst)); i++) {
		s->args->what = s->closed_due ? NEXUS_RPC_CLOSED : NEXUS_RPC_READY;
		s->ready_due = false;
		pthread_mutex_unlock(&r->lock);
		s->event(inst->self, s->args);
		pthread_mutex_lock(&r->lock);
		if (s->args->what == NEXUS_RPC_CLOSED)
			unbind(s);
	}
	inst->events_running = false;
	poke(inst);
	pthread_mutex_unlock(&r->lock);
	return 0;
}

static void poke(struct nexus_service *inst)
{
	if (inst->events_running || !find_due(inst))
		return;
	/* Without a thread for it the watch tries again. */
	inst->events_running = !instance_post(inst, "an event of a stream", run_events);
	if (!inst->events_running)
		inst->r->streams_late = true;
}

bool streams_retry(struct registry *r)
{
	struct nexus_service *inst;
	struct service *sv;

	r->streams_late = false;
	for (sv = r->services; sv; sv = sv->next)
		if (sv->cur)
			poke(sv->cur);
	for (inst = r->retired; inst; inst = inst->next)
		poke(inst);
	return !r->streams_late;
}

void streams_end(struct nexus_service *inst, int error, const char *text)
{
	struct nexus_rpc_stream *s;

	for (s = inst->streams; s; s = s->next) {
		finish(s, error, text);
		s->closed_due = true;
	}
	poke(inst);
}

int streams_wait(struct nexus_service *inst, uint32_t timeout_ms)
{
	uint64_t until = service_now() + timeout_ms * 1000000ull, next;

	while (inst->streams || inst->events_running) {
		next = service_now() + 1000000000ull;
		if (registry_wait(inst->r, next < until ? next : until) && next >= until)
			return -ETIMEDOUT;
		poke(inst);
	}
	return 0;
}

int stream_bind(struct nexus_rpc_stream *s, struct nexus_service *inst, nexus_op event,
		uint32_t uid)
{
	const struct nexus_rpc_stream *other;
	struct registry *r = inst->r;
	struct nexus_service *i;
	struct service *sv;
	unsigned int n = 0;

	if (r->streams >= RPC_STREAMS_MAX)
		return -EUSERS;
	for (sv = r->services; uid && sv; sv = sv->next)
		for (other = sv->cur ? sv->cur->streams : NULL; other; other = other->next)
			n += other->uid == uid;
	for (i = r->retired; uid && i; i = i->next)
		for (other = i->streams; other; other = other->next)
			n += other->uid == uid;
	if (n >= RPC_STREAMS_USER_MAX)
		return -EUSERS;
	s->inst = inst;
	s->event = event;
	s->args->stream = s;
	s->uid = uid;
	s->next = inst->streams;
	inst->streams = s;
	r->streams++;
	atomic_fetch_add(&s->refs, 1);
	return 0;
}

void stream_begun(struct nexus_rpc_stream *s, void *cookie, int ret)
{
	if (!s || !s->inst || s->begun)
		return;
	if (ret) {
		unbind(s);
		return;
	}
	s->args->cookie = cookie;
	s->begun = true;
	poke(s->inst);
}

/* ---- the service ------------------------------------------------------------------- */

int stream_send(struct nexus_rpc_stream *s, const void *data, size_t len)
{
	struct stream_msg *msg;
	int ret = 0;

	if (len > NEXUS_RPC_ANSWER_MAX)
		return -EMSGSIZE;
	msg = malloc(sizeof(*msg) + len);
	if (!msg)
		return -ENOMEM;
	msg->next = NULL;
	msg->len = len;
	if (len)
		memcpy(msg->data, data, len);
	pthread_mutex_lock(&s->lock);
	if (s->dropped || s->ended) {
		ret = -EPIPE;
	} else if (s->n && (s->bytes + len > NEXUS_RPC_STREAM_BYTES ||
			    s->n >= NEXUS_RPC_STREAM_MESSAGES)) {
		s->full = true;
		ret = -EAGAIN;
	} else {
		*s->tail = msg;
		s->tail = &msg->next;
		s->bytes += len;
		s->n++;
		wake(s);
	}
	pthread_mutex_unlock(&s->lock);
	if (ret)
		free(msg);
	return ret;
}

/* The binding keeps it: whoever calls this is before the last event. */
void stream_end(struct nexus_rpc_stream *s, int error, const char *text)
{
	struct registry *r = s->inst->r;

	finish(s, error, text);
	pthread_mutex_lock(&r->lock);
	s->closed_due = true;
	poke(s->inst);
	pthread_mutex_unlock(&r->lock);
}

/* ---- the reader -------------------------------------------------------------------- */

static void due(struct registry *r, struct nexus_rpc_stream *s, bool closed)
{
	pthread_mutex_lock(&r->lock);
	if (s->inst) {
		*(closed ? &s->closed_due : &s->ready_due) = true;
		poke(s->inst);
	}
	pthread_mutex_unlock(&r->lock);
}

int stream_take(struct registry *r, struct nexus_rpc_stream *s, struct stream_msg **out,
		int *error, char *text)
{
	struct stream_msg *msg;
	bool room = false;
	int ret = 0;

	pthread_mutex_lock(&s->lock);
	msg = s->first;
	if (msg) {
		s->first = msg->next;
		if (!s->first)
			s->tail = &s->first;
		s->bytes -= msg->len;
		s->n--;
		room = s->full && s->bytes <= NEXUS_RPC_STREAM_BYTES / 2 &&
			s->n <= NEXUS_RPC_STREAM_MESSAGES / 2;
		if (room)
			s->full = false;
		*out = msg;
	} else if (s->ended) {
		*error = s->error;
		memcpy(text, s->text, sizeof(s->text));
		ret = -ENODATA;
	} else {
		s->waiting = true;
		ret = -EAGAIN;
	}
	pthread_mutex_unlock(&s->lock);
	if (room)
		due(r, s, false);
	return ret;
}

void stream_drop(struct registry *r, struct nexus_rpc_stream *s)
{
	pthread_mutex_lock(&s->lock);
	s->dropped = true;
	s->wake = NULL;
	drop_queue(s);
	pthread_mutex_unlock(&s->lock);
	due(r, s, true);
	put(s);
}
