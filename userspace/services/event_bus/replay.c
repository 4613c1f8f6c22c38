// SPDX-License-Identifier: Apache-2.0
/* What comes out of the event log: subscriptions from a number on, and what was missed. */
#include <errno.h>
#include <string.h>

#include "bus.h"

#define READS_MAX	8u	/* in one fetch that finds nothing it wants */
#define READ_RECORDS	1000u

static int read_log(struct bus *b, struct nexus_eventlog_read_args *a)
{
	return nexus_service_call(b->host, b->log, struct nexus_eventlog_ops, read, a, 0);
}

/* The events among what was read that it wants. */
static int give_wanted(struct bus *b, struct bus_subscriber *sub, struct nexus_event_fetch_args *a,
		       const struct nexus_eventlog_read_args *r)
{
	struct nexus_bus_event e;
	uint32_t i;
	int ret;

	for (i = 0; i < r->count; i++) {
		if (event_get(&r->records[i], &e) || !subscriber_wants(sub, &e))
			continue;
		ret = event_give(b, a, &a->events[a->count], &e);
		if (ret)
			return ret;
		a->count++;
	}
	return 0;
}

/* One read of the log.  1: it is at its end. */
static int replay_some(struct bus *b, struct bus_subscriber *sub, struct nexus_event_fetch_args *a,
		       uint32_t max_bytes)
{
	struct nexus_eventlog_read_args *r = b->host->args_new(sizeof(*r));
	uint64_t next;
	int ret;

	if (!r)
		return -ENOMEM;
	r->from = sub->next;
	r->max_bytes = max_bytes;
	/* One place is for what is gone. */
	r->max = a->max - a->count > READ_RECORDS ? READ_RECORDS : a->max - a->count - 1;
	if (!r->max)
		r->max = 1;
	/* What was missed is of no zone; it is only there where events are shared. */
	if (sub->zone_len && atomic_load(&b->share.how) == NEXUS_EVENT_BUS_ALONE) {
		char *zone = b->host->args_more(r, sub->zone_len);

		if (!zone) {
			b->host->args_free(r);
			return -ENOMEM;
		}
		r->zone = memcpy(zone, sub->zone, sub->zone_len);
		r->zone_len = sub->zone_len;
	}
	ret = read_log(b, r);
	if (ret && ret != -EUCLEAN) {
		b->host->args_free(r);
		return ret;
	}
	if (r->lost_from)
		a->events[a->count++] = (struct nexus_bus_event){
			.kind = NEXUS_EVENT_GONE, .seq = r->lost_from, .lost_to = r->lost_to,
		};
	next = r->next;
	ret = give_wanted(b, sub, a, r);
	if (!ret) {
		sub->next = next;
		ret = r->end;
	} else {
		/* All of it comes again. */
		a->count = 0;
	}
	b->host->args_free(r);
	return ret;
}

/* At the end of the log: from here on through the queue, if none came meanwhile. */
static bool go_live(struct bus *b, struct bus_subscriber *sub)
{
	pthread_mutex_lock(&b->order);
	if (sub->next > b->last) {
		sub->live = true;
		pthread_mutex_lock(&sub->lock);
		queue_wake(sub, false);
		pthread_mutex_unlock(&sub->lock);
	}
	pthread_mutex_unlock(&b->order);
	return sub->live;
}

int replay_fetch(struct bus *b, struct bus_subscriber *sub, struct nexus_event_fetch_args *a,
		 uint32_t max_bytes)
{
	unsigned int reads = 0;
	int ret = 0;

	a->events = b->host->args_more(a, (a->max + 1) * sizeof(*a->events));
	if (!a->events)
		return -ENOMEM;
	while (!a->count && reads++ < READS_MAX && !ret)
		ret = replay_some(b, sub, a, max_bytes);
	a->more = true;
	if (ret < 0)
		return a->count ? 0 : ret;
	if (ret)
		a->more = !go_live(b, sub);
	return 0;
}

void replay_missed(struct bus *b, uint64_t to)
{
	struct nexus_eventlog_read_args *r;
	struct nexus_bus_event e;
	uint32_t i;
	int ret;

	while (b->last < to) {
		r = b->host->args_new(sizeof(*r));
		if (!r)
			break;
		r->from = b->last + 1;
		r->to = to;
		ret = read_log(b, r);
		for (i = 0; !ret && i < r->count; i++)
			if (!event_get(&r->records[i], &e))
				bus_deliver(b, &e);
		if (!ret && r->next > b->last + 1)
			b->last = r->next - 1;
		else
			ret = ret ? ret : -EIO;
		b->host->args_free(r);
		if (ret)
			break;
	}
	if (b->last >= to)
		return;
	/* They are there, but not for us: all are told. */
	pthread_mutex_lock(&b->table);
	for (i = 0; i < NEXUS_EVENT_SUBSCRIBERS_MAX; i++)
		if (b->subs[i] && b->subs[i]->live)
			queue_lose(b->subs[i], b->last + 1, to);
	pthread_mutex_unlock(&b->table);
	b->last = to;
}
