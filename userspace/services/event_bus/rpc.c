// SPDX-License-Identifier: Apache-2.0
/*
 * The event bus for people: nexus.event_bus.v1.Bus.
 *
 * A stream of Tail is a subscription.  What it has fetched and its reader has no room for
 * is kept, one fetch at most; what comes meanwhile waits in its queue, and is
 * lost there as a slow subscriber loses it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "method.h"
#include "nexus/event_bus/v1/event_bus.pb-c.h"

#define FETCH_EVENTS	64u
#define FETCH_BYTES	(64u << 10)

/* ---- state, publish ------------------------------------------------------------- */

static int rpc_state(void *self, void *args)
{
	Nexus__EventBus__V1__StateResponse answer = NEXUS__EVENT_BUS__V1__STATE_RESPONSE__INIT;
	struct nexus_event_bus_sharing share;
	struct nexus_event_bus_state st;
	struct nexus_rpc_call *call = args;
	struct bus *b = self;

	bus_counts(b, &st);
	share_counts(&b->share, &share);
	answer.subscribers = st.subscribers;
	answer.published = st.published;
	answer.deliveries = st.deliveries;
	answer.lost = st.lost;
	answer.overflows = st.overflows;
	answer.last = st.last;
	answer.sharing = (Nexus__EventBus__V1__Sharing)share.how;
	answer.sharing_since = share.since;
	answer.origins = share.origins;
	answer.sent = share.sent;
	answer.unsent = share.unsent;
	answer.too_large = share.too_large;
	answer.received = share.received;
	answer.repeated = share.repeated;
	answer.malformed = share.malformed;
	answer.missed = share.missed;
	answer.gaps = share.gaps;
	return nexus_rpc_answer(b->host, call, &answer.base);
}

static int check_name(struct nexus_rpc_call *call, const char *what, size_t max,
		      const ProtobufCBinaryData *name)
{
	if (name->len > max)
		return refuse(call, -EMSGSIZE, "the %s has %zu bytes, at most %zu are allowed", what,
			   name->len, max);
	if (name->len && memchr(name->data, '\0', name->len))
		return refuse(call, -EINVAL, "the %s has a NUL in it", what);
	return 0;
}

static int check_path(struct nexus_rpc_call *call, const char *what, const ProtobufCBinaryData *path)
{
	if (path->len && path->data[0] != '/')
		return refuse(call, -EINVAL, "the %s does not begin with /", what);
	return check_name(call, what, NEXUS_EVENT_PATH_MAX, path);
}

/* Of whatever is wrong with it, the first; bus_publish() checks it all again. */
static int check_event(struct nexus_rpc_call *call, const Nexus__EventBus__V1__Event *e)
{
	int ret;

	if (e->type > 63)
		return refuse(call, -EINVAL, "type %u is above 63", e->type);
	if (!e->zone.len || !e->path.len)
		return refuse(call, -EINVAL, "an event has a zone and a path");
	if (e->data.len > NEXUS_EVENT_DATA_MAX)
		return refuse(call, -EMSGSIZE, "the data has %zu bytes, at most %u are allowed",
			   e->data.len, NEXUS_EVENT_DATA_MAX);
	ret = check_name(call, "zone", NEXUS_EVENT_ZONE_MAX, &e->zone);
	if (!ret)
		ret = check_path(call, "path", &e->path);
	if (!ret)
		ret = check_path(call, "new path", &e->new_path);
	return ret;
}

static void to_event(struct nexus_bus_event *to, const Nexus__EventBus__V1__Event *from)
{
	*to = (struct nexus_bus_event){
		.time = from->time,
		.type = from->type,
		.zone = (const char *)from->zone.data,
		.zone_len = (uint32_t)from->zone.len,
		.path = (const char *)from->path.data,
		.path_len = (uint32_t)from->path.len,
		.new_path = (const char *)from->new_path.data,
		.new_path_len = (uint32_t)from->new_path.len,
		.data = from->data.data,
		.data_len = (uint32_t)from->data.len,
	};
}

static int rpc_publish(void *self, void *args)
{
	Nexus__EventBus__V1__PublishResponse answer = NEXUS__EVENT_BUS__V1__PUBLISH_RESPONSE__INIT;
	struct nexus_rpc_call *call = args;
	const Nexus__EventBus__V1__PublishRequest *req = (const void *)call->msg;
	struct nexus_event_publish_args a = { .durable = req->durable };
	struct bus *b = self;
	size_t i;
	int ret;

	if (!req->n_events)
		return refuse(call, -EINVAL, "there is no event in the request");
	if (req->n_events > NEXUS_EVENT_BATCH_MAX)
		return refuse(call, -EMSGSIZE, "at most %u events at a time", NEXUS_EVENT_BATCH_MAX);
	a.count = (uint32_t)req->n_events;
	a.events = b->host->args_more(call, a.count * sizeof(*a.events));
	if (!a.events)
		return -ENOMEM;
	for (i = 0; i < a.count; i++) {
		ret = check_event(call, req->events[i]);
		if (ret)
			return ret;
		to_event(&a.events[i], req->events[i]);
	}
	ret = bus_publish(b, &a);
	if (ret)
		return ret;
	answer.first = a.first;
	answer.last = a.last;
	answer.deliveries = a.deliveries;
	return nexus_rpc_answer(b->host, call, &answer.base);
}

/* ---- tail ----------------------------------------------------------------------- */

struct tail {
	struct feeder_flow flow;		/* first */
	struct bus *b;
	struct bus_subscriber *sub;	/* NULL: there is nothing to come */
	uint64_t from, to;		/* @to is of no meaning with @follow */
	uint64_t left;			/* events */
	bool follow;
	bool begun;
	struct nexus_event_fetch_args *fetched;
	uint32_t at;			/* the next of them */
};

static int send_range(struct tail *t, Nexus__EventBus__V1__TailResponse__Kind kind, uint64_t first,
		      uint64_t last)
{
	Nexus__EventBus__V1__TailResponse msg = NEXUS__EVENT_BUS__V1__TAIL_RESPONSE__INIT;

	msg.kind = kind;
	msg.first = first;
	msg.last = last;
	return feeder_send(&t->flow, &msg.base);
}

static int send_missed(struct tail *t, const struct nexus_bus_event *e)
{
	Nexus__EventBus__V1__TailResponse msg = NEXUS__EVENT_BUS__V1__TAIL_RESPONSE__INIT;

	msg.kind = NEXUS__EVENT_BUS__V1__TAIL_RESPONSE__KIND__MISSED;
	msg.first = msg.last = e->seq;
	msg.missed = e->missed;
	return feeder_send(&t->flow, &msg.base);
}

static int send_event(struct tail *t, const struct nexus_bus_event *e)
{
	Nexus__EventBus__V1__TailResponse msg = NEXUS__EVENT_BUS__V1__TAIL_RESPONSE__INIT;
	Nexus__EventBus__V1__Event out = NEXUS__EVENT_BUS__V1__EVENT__INIT;

	if (e->kind == NEXUS_EVENT_LOST)
		return send_range(t, NEXUS__EVENT_BUS__V1__TAIL_RESPONSE__KIND__LOST, e->seq,
				  e->lost_to);
	if (e->kind == NEXUS_EVENT_GONE)
		return send_range(t, NEXUS__EVENT_BUS__V1__TAIL_RESPONSE__KIND__GONE, e->seq,
				  e->lost_to);
	if (e->kind == NEXUS_EVENT_MISSED)
		return send_missed(t, e);
	out.seq = e->seq;
	out.origin = e->origin;
	out.time = e->time;
	out.type = e->type;
	out.zone = (ProtobufCBinaryData){ e->zone_len, (uint8_t *)e->zone };
	out.path = (ProtobufCBinaryData){ e->path_len, (uint8_t *)e->path };
	out.new_path = (ProtobufCBinaryData){ e->new_path_len, (uint8_t *)e->new_path };
	out.data = (ProtobufCBinaryData){ e->data_len, (uint8_t *)e->data };
	msg.event = &out;
	return feeder_send(&t->flow, &msg.base);
}

/* What was fetched, as far as there is room for it. */
static int send_fetched(struct tail *t)
{
	const struct nexus_bus_event *e;
	int ret;

	for (; t->at < t->fetched->count; t->at++) {
		e = &t->fetched->events[t->at];
		/* Of what came after it had begun. */
		if (!t->follow && e->seq > t->to)
			continue;
		ret = send_event(t, e);
		if (ret)
			return ret;
		if (e->kind == NEXUS_EVENT_IS && !--t->left)
			return FEEDER_END;
	}
	/* The place of a subscription in the log is changed by its fetches only. */
	if (!t->follow && (t->sub->next > t->to || !t->fetched->more))
		return FEEDER_END;
	return t->fetched->more ? FEEDER_MORE : FEEDER_WAIT;
}

static int tail_more(struct feeder_flow *flow)
{
	struct tail *t = (struct tail *)flow;
	const struct nexus_service_host *host = t->b->host;
	bool again = t->fetched;
	int ret;

	if (!t->begun) {
		ret = send_range(t, NEXUS__EVENT_BUS__V1__TAIL_RESPONSE__KIND__BEGUN, t->from, 0);
		if (ret)
			return ret;
		t->begun = true;
	}
	if (!t->sub)
		return FEEDER_END;
	if (!t->fetched) {
		t->fetched = host->args_new(sizeof(*t->fetched));
		if (!t->fetched)
			return -ENOMEM;
		t->at = 0;
		t->fetched->max = FETCH_EVENTS;
		ret = bus_fetch_for(t->b, t->sub, t->fetched, FETCH_BYTES);
		if (ret)
			goto out;
	}
	ret = send_fetched(t);
	if (ret == -EAGAIN)
		return ret;
	/* What has come since it was fetched has woken it already. */
	if (again && ret == FEEDER_WAIT)
		ret = FEEDER_MORE;
out:
	host->args_free(t->fetched);
	t->fetched = NULL;
	return ret;
}

static void tail_free(struct feeder_flow *flow)
{
	struct tail *t = (struct tail *)flow;

	if (t->sub)
		bus_detach(t->b, t->sub);
	t->b->host->args_free(t->fetched);
	free(t);
}

const struct feeder_ops bus_feeder_ops = { .more = tail_more, .free = tail_free };

/* From where to where, of what there is now. */
static int tail_bounds(struct tail *t, struct nexus_rpc_call *call)
{
	const struct nexus_service_host *host = t->b->host;
	struct nexus_eventlog_state *st = host->args_new(sizeof(*st));
	int ret;

	if (!st)
		return -ENOMEM;
	ret = nexus_service_call(host, t->b->log, struct nexus_eventlog_ops, state, st, 0);
	if (!ret && t->from > st->next)
		ret = refuse(call, -ERANGE, "the log has not come to number %" PRIu64
			  " yet; the next is %" PRIu64, t->from, st->next);
	if (!ret && !t->follow) {
		t->to = st->last;
		if (!t->from)
			t->from = st->first ? st->first : 1;
	}
	host->args_free(st);
	return ret;
}

static int check_patterns(struct nexus_rpc_call *call, const Nexus__EventBus__V1__TailRequest *req,
			  struct nexus_event_pattern *to)
{
	const Nexus__EventBus__V1__Pattern *p;
	struct bus_pattern unused;
	size_t i;
	int ret;

	for (i = 0; i < req->n_patterns; i++) {
		p = req->patterns[i];
		to[i].kind = (uint32_t)p->kind;
		to[i].text = (const char *)p->text.data;
		to[i].len = p->text.len > UINT32_MAX ? UINT32_MAX : (uint32_t)p->text.len;
		ret = pattern_set(&unused, to[i].kind, to[i].text, to[i].len);
		if (ret == -EMSGSIZE)
			return refuse(call, ret, "pattern %zu has more than %u bytes", i + 1,
				   NEXUS_EVENT_PATTERN_MAX);
		if (ret)
			return refuse(call, ret, "pattern %zu is none: it begins with /, has no NUL, and [ and \\ in a glob do not end it",
				   i + 1);
	}
	return 0;
}

static int tail_subscribe(struct tail *t, struct nexus_rpc_call *call,
			  const Nexus__EventBus__V1__TailRequest *req)
{
	struct nexus_event_pattern patterns[NEXUS_EVENT_PATTERNS_MAX];
	struct nexus_event_subscribe_args a = {
		.patterns = patterns,
		.count = (uint32_t)req->n_patterns,
		.types = req->types,
		.zone = (const char *)req->zone.data,
		.zone_len = (uint32_t)req->zone.len,
		.from = t->from,
		.queue = req->queue,
	};
	int ret;

	if (req->n_patterns > NEXUS_EVENT_PATTERNS_MAX)
		return refuse(call, -EMSGSIZE, "at most %u patterns", NEXUS_EVENT_PATTERNS_MAX);
	if (req->queue > NEXUS_EVENT_QUEUE_MAX)
		return refuse(call, -EMSGSIZE, "a queue has at most %u events", NEXUS_EVENT_QUEUE_MAX);
	ret = check_name(call, "zone", NEXUS_EVENT_ZONE_MAX, &req->zone);
	if (!ret)
		ret = check_patterns(call, req, patterns);
	if (ret)
		return ret;
	/* Nothing to wait for: it begins, and ends. */
	if (!t->follow && t->from > t->to)
		return 0;
	snprintf(a.name, sizeof(a.name), "%.63s", call->caller.subject);
	t->flow.feeder = &t->b->feeder;
	ret = bus_attach(t->b, &a, &t->flow, &t->sub);
	if (ret == -EUSERS)
		return refuse(call, ret, "there are %u subscribers already", NEXUS_EVENT_SUBSCRIBERS_MAX);
	if (!ret)
		t->from = t->sub->next;
	return ret;
}

static int rpc_tail(void *self, void *args)
{
	struct nexus_rpc_call *call = args;
	const Nexus__EventBus__V1__TailRequest *req = (const void *)call->msg;
	struct tail *t = calloc(1, sizeof(*t));
	struct bus *b = self;
	int ret;

	if (!t)
		return -ENOMEM;
	t->b = b;
	t->from = req->from;
	t->left = req->count ? req->count : UINT64_MAX;
	t->follow = req->follow;
	ret = tail_bounds(t, call);
	if (!ret)
		ret = tail_subscribe(t, call, req);
	if (!ret)
		ret = feeder_add(&b->feeder, &t->flow, call);
	if (ret)
		tail_free(&t->flow);
	return ret;
}

/* ---- who may call what ---------------------------------------------------------- */

static const struct nexus_rpc_method methods[] = {
	{
		.name = "State",
		.who = NEXUS_RPC_ALL,
		.request = &nexus__event_bus__v1__state_request__descriptor,
		.response = &nexus__event_bus__v1__state_response__descriptor,
		.call = rpc_state,
	},
	{
		.name = "Publish",
		.who = NEXUS_RPC_ADMIN,
		.request = &nexus__event_bus__v1__publish_request__descriptor,
		.response = &nexus__event_bus__v1__publish_response__descriptor,
		.call = rpc_publish,
	},
	{
		.name = "Tail",
		.who = NEXUS_RPC_ADMIN,
		.request = &nexus__event_bus__v1__tail_request__descriptor,
		.response = &nexus__event_bus__v1__tail_response__descriptor,
		.call = rpc_tail,
		.event = feeder_event,
	},
	NEXUS_RPC_METHODS_END,
};

const struct nexus_rpc_service bus_rpc[] = {
	{ "nexus.event_bus.v1.Bus", methods },
	NEXUS_RPC_SERVICES_END,
};
