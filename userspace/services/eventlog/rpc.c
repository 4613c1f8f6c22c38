// SPDX-License-Identifier: Apache-2.0
/*
 * The event log for people: nexus.eventlog.v1.Log.
 *
 * A reader's place is a number.  What its stream has no room for is read again later, so
 * that nothing of it is kept meanwhile.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "method.h"
#include "nexus/eventlog/v1/eventlog.pb-c.h"
#include "service.h"

#define READ_RECORDS	256u
#define READ_BYTES	(64u << 10)
#define RECORD_MAX	(NEXUS_RPC_ANSWER_MAX - 1024)	/* that fits into a message */

typedef Nexus__Eventlog__V1__ReplayResponse Message;

static int check_zone(struct nexus_rpc_call *call, const ProtobufCBinaryData *zone)
{
	if (zone->len > NEXUS_EVENTLOG_ZONE_MAX)
		return refuse(call, -EMSGSIZE, "a zone has at most %u bytes", NEXUS_EVENTLOG_ZONE_MAX);
	if (zone->len && memchr(zone->data, '\0', zone->len))
		return refuse(call, -EINVAL, "a zone has no NUL in it");
	return 0;
}

/* ---- state, append, truncate ---------------------------------------------------- */

static int rpc_state(void *self, void *args)
{
	Nexus__Eventlog__V1__StateResponse answer = NEXUS__EVENTLOG__V1__STATE_RESPONSE__INIT;
	struct nexus_rpc_call *call = args;
	struct nexus_eventlog_retention r;
	struct nexus_eventlog_state st;
	struct eventlog *e = self;
	int ret = eventlog_opened(e);

	if (ret)
		return ret;
	elog_state(&e->log, &st);
	elog_retention(&e->log, &r);
	answer.max_bytes = r.max_bytes;
	answer.max_age_ms = r.max_age_ms;
	answer.removed_files = r.files;
	answer.removed_bytes = r.bytes;
	answer.removed_before = r.before;
	answer.removing_failed = r.failing;
	answer.first = st.first;
	answer.last = st.last;
	answer.next = st.next;
	answer.synced = st.synced;
	answer.bytes = st.bytes;
	answer.files = st.files;
	answer.cut = st.cut;
	answer.damaged = st.damaged;
	answer.failed = st.failed;
	answer.readers = feeder_count(&e->feeder);
	return nexus_rpc_answer(e->host, call, &answer.base);
}

static int rpc_append(void *self, void *args)
{
	Nexus__Eventlog__V1__AppendResponse answer = NEXUS__EVENTLOG__V1__APPEND_RESPONSE__INIT;
	struct nexus_rpc_call *call = args;
	const Nexus__Eventlog__V1__AppendRequest *req = (const void *)call->msg;
	struct nexus_eventlog_append_args a = {
		.durability = req->durable ? NEXUS_EVENTLOG_SYNC : NEXUS_EVENTLOG_NONE,
	};
	struct eventlog *e = self;
	size_t i;
	int ret;

	if (!req->n_records)
		return refuse(call, -EINVAL, "there is no record in the request");
	if (req->n_records > NEXUS_EVENTLOG_BATCH_MAX)
		return refuse(call, -EMSGSIZE, "at most %u records at a time", NEXUS_EVENTLOG_BATCH_MAX);
	a.count = (uint32_t)req->n_records;
	a.records = e->host->args_more(call, a.count * sizeof(*a.records));
	if (!a.records)
		return -ENOMEM;
	for (i = 0; i < a.count; i++) {
		ret = check_zone(call, &req->records[i]->zone);
		if (ret)
			return ret;
		a.records[i] = (struct nexus_eventlog_record){
			.zone = (const char *)req->records[i]->zone.data,
			.zone_len = (uint32_t)req->records[i]->zone.len,
			.data = req->records[i]->data.data,
			.data_len = (uint32_t)req->records[i]->data.len,
		};
	}
	ret = eventlog_append(e, &a);
	if (ret)
		return ret;
	answer.first = a.first;
	answer.last = a.last;
	return nexus_rpc_answer(e->host, call, &answer.base);
}

static int rpc_truncate(void *self, void *args)
{
	Nexus__Eventlog__V1__TruncateResponse answer = NEXUS__EVENTLOG__V1__TRUNCATE_RESPONSE__INIT;
	struct nexus_rpc_call *call = args;
	const Nexus__Eventlog__V1__TruncateRequest *req = (const void *)call->msg;
	struct nexus_eventlog_truncate_args a = { .before = req->before };
	struct eventlog *e = self;
	int ret = eventlog_opened(e);

	if (!ret)
		ret = elog_truncate(&e->log, &a);
	if (ret == -ERANGE)
		return refuse(call, ret, "the log has not come to number %" PRIu64 " yet", req->before);
	if (ret)
		return ret;
	answer.files = a.files;
	return nexus_rpc_answer(e->host, call, &answer.base);
}

/* ---- replay --------------------------------------------------------------------- */

struct replay {
	struct feeder_flow flow;	/* first */
	struct eventlog *e;
	uint64_t next;		/* all below was sent */
	uint64_t to;		/* 0: no end */
	uint64_t left;		/* records */
	bool follow;
	bool over;
	char zone[NEXUS_EVENTLOG_ZONE_MAX];
	uint32_t zone_len;
};

static int send_lost(struct replay *r, const struct nexus_eventlog_read_args *a, bool damaged)
{
	Message msg = NEXUS__EVENTLOG__V1__REPLAY_RESPONSE__INIT;
	int ret;

	msg.kind = damaged ? NEXUS__EVENTLOG__V1__REPLAY_RESPONSE__KIND__DAMAGED :
			     NEXUS__EVENTLOG__V1__REPLAY_RESPONSE__KIND__GONE;
	msg.seq = a->lost_from;
	msg.lost_to = a->lost_to;
	ret = feeder_send(&r->flow, &msg.base);
	if (!ret)
		r->next = a->lost_to + 1;
	return ret;
}

static int send_record(struct replay *r, const struct nexus_eventlog_record *rec)
{
	Message msg = NEXUS__EVENTLOG__V1__REPLAY_RESPONSE__INIT;
	int ret;

	msg.seq = rec->seq;
	msg.zone.data = (uint8_t *)rec->zone;
	msg.zone.len = rec->zone_len;
	msg.size = rec->data_len;
	if (rec->data_len > RECORD_MAX) {
		msg.kind = NEXUS__EVENTLOG__V1__REPLAY_RESPONSE__KIND__TOO_LARGE;
	} else {
		msg.data.data = (uint8_t *)rec->data;
		msg.data.len = rec->data_len;
	}
	ret = feeder_send(&r->flow, &msg.base);
	if (!ret)
		r->next = rec->seq + 1;
	return ret;
}

/* All that one read has found. */
static int send_all(struct replay *r, const struct nexus_eventlog_read_args *a, bool damaged)
{
	uint32_t i;
	int ret;

	if (a->lost_from) {
		ret = send_lost(r, a, damaged);
		if (ret)
			return ret;
	}
	for (i = 0; i < a->count; i++) {
		ret = send_record(r, &a->records[i]);
		if (ret)
			return ret;
		if (!--r->left)
			return FEEDER_END;
	}
	r->next = a->next;
	if (r->to && r->next > r->to)
		return FEEDER_END;
	if (!a->end)
		return FEEDER_MORE;
	return r->follow ? FEEDER_WAIT : FEEDER_END;
}

static int replay_more(struct feeder_flow *flow)
{
	struct replay *r = (struct replay *)flow;
	const struct nexus_service_host *host = r->e->host;
	struct nexus_eventlog_read_args *a;
	int ret;

	if (r->over)
		return FEEDER_END;
	a = host->args_new(sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->from = r->next;
	a->to = r->to;
	a->max = r->left < READ_RECORDS ? (uint32_t)r->left : READ_RECORDS;
	a->max_bytes = READ_BYTES;
	a->zone = r->zone_len ? r->zone : NULL;
	a->zone_len = r->zone_len;
	ret = eventlog_opened(r->e);
	if (!ret)
		ret = elog_read(&r->e->log, a, host->args_more);
	if (!ret || ret == -EUCLEAN)
		ret = send_all(r, a, ret);
	host->args_free(a);
	return ret;
}

static void replay_free(struct feeder_flow *flow)
{
	free(flow);
}

const struct feeder_ops eventlog_feeder_ops = { .more = replay_more, .free = replay_free };

/* From where to where, of what there is now. */
static int replay_bounds(struct replay *r, struct nexus_rpc_call *call,
			 const Nexus__Eventlog__V1__ReplayRequest *req)
{
	struct nexus_eventlog_state st;
	int ret = eventlog_opened(r->e);

	if (ret)
		return ret;
	elog_state(&r->e->log, &st);
	if (req->from > st.next)
		return refuse(call, -ERANGE, "the log has not come to number %" PRIu64
			   " yet; the next is %" PRIu64, req->from, st.next);
	r->next = req->from ? req->from : st.first ? st.first : 1;
	r->to = req->to;
	if (r->to && r->to < r->next)
		return refuse(call, -EINVAL, "the last number wanted is below the first, %" PRIu64, r->next);
	if (r->follow)
		return 0;
	if (!r->to || r->to > st.last)
		r->to = st.last;
	r->over = r->to < r->next;
	return 0;
}

static int rpc_replay(void *self, void *args)
{
	struct nexus_rpc_call *call = args;
	const Nexus__Eventlog__V1__ReplayRequest *req = (const void *)call->msg;
	struct eventlog *e = self;
	struct replay *r;
	int ret = check_zone(call, &req->zone);

	if (ret)
		return ret;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->e = e;
	r->left = req->count ? req->count : UINT64_MAX;
	r->follow = req->follow;
	r->zone_len = (uint32_t)req->zone.len;
	if (r->zone_len)
		memcpy(r->zone, req->zone.data, r->zone_len);
	ret = replay_bounds(r, call, req);
	if (!ret)
		ret = feeder_add(&e->feeder, &r->flow, call);
	if (ret)
		free(r);
	return ret;
}

/* ---- who may call what ---------------------------------------------------------- */

static const struct nexus_rpc_method methods[] = {
	{
		.name = "State",
		.who = NEXUS_RPC_ALL,
		.request = &nexus__eventlog__v1__state_request__descriptor,
		.response = &nexus__eventlog__v1__state_response__descriptor,
		.call = rpc_state,
	},
	{
		.name = "Append",
		.who = NEXUS_RPC_ADMIN,
		.request = &nexus__eventlog__v1__append_request__descriptor,
		.response = &nexus__eventlog__v1__append_response__descriptor,
		.call = rpc_append,
	},
	{
		.name = "Replay",
		.who = NEXUS_RPC_ADMIN,
		.request = &nexus__eventlog__v1__replay_request__descriptor,
		.response = &nexus__eventlog__v1__replay_response__descriptor,
		.call = rpc_replay,
		.event = feeder_event,
	},
	{
		.name = "Truncate",
		.who = NEXUS_RPC_ADMIN,
		.request = &nexus__eventlog__v1__truncate_request__descriptor,
		.response = &nexus__eventlog__v1__truncate_response__descriptor,
		.call = rpc_truncate,
	},
	NEXUS_RPC_METHODS_END,
};

const struct nexus_rpc_service eventlog_rpc[] = {
	{ "nexus.eventlog.v1.Log", methods },
	NEXUS_RPC_SERVICES_END,
};
