// SPDX-License-Identifier: Apache-2.0
/* Publishing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bus.h"

static uint64_t wall_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

void bus_deliver(struct bus *b, const struct nexus_bus_event *e)
{
	struct bus_subscriber *found[NEXUS_EVENT_SUBSCRIBERS_MAX];
	size_t n = index_find(b, e, found), i, live = 0;
	uint64_t given = 0;
	struct bus_event *ev;

	for (i = 0; i < n; i++)
		if (found[i]->live && e->seq >= found[i]->next)
			found[live++] = found[i];
	if (!live)
		return;
	ev = bus_event_new(e, (unsigned int)live);
	for (i = 0; i < live; i++) {
		if (ev)
			given += queue_push(found[i], ev, &b->overflows);
		else
			queue_lose(found[i], e->seq, e->seq);
	}
	atomic_fetch_add(&b->deliveries, given);
	atomic_fetch_add(&b->lost, live - given);
}

/* The events as records; the arguments of an append, or NULL. */
static struct nexus_eventlog_append_args *to_records(struct bus *b,
						     struct nexus_event_publish_args *a)
{
	struct nexus_eventlog_append_args *log = b->host->args_new(sizeof(*log));
	uint64_t now = wall_clock();
	size_t bytes = 0;
	uint8_t *p;
	uint32_t i;

	if (!log)
		return NULL;
	for (i = 0; i < a->count; i++)
		bytes += a->events[i].zone_len + event_size(&a->events[i]);
	log->count = a->count;
	log->records = b->host->args_more(log, a->count * sizeof(*log->records));
	p = log->records ? b->host->args_more(log, bytes) : NULL;
	if (!p) {
		b->host->args_free(log);
		return NULL;
	}
	for (i = 0; i < a->count; i++) {
		struct nexus_bus_event *e = &a->events[i];
		struct nexus_eventlog_record *r = &log->records[i];

		if (!e->time)
			e->time = now;
		r->zone = memcpy(p, e->zone, e->zone_len);
		r->zone_len = e->zone_len;
		p += e->zone_len;
		event_put(p, e);
		r->data = p;
		r->data_len = (uint32_t)event_size(e);
		p += r->data_len;
	}
	return log;
}

static int publish_locked(struct bus *b, struct nexus_event_publish_args *a,
			  struct nexus_eventlog_append_args *log)
{
	uint64_t before = atomic_load(&b->deliveries);
	uint32_t i;
	int ret;

	ret = nexus_service_call(b->host, b->log, struct nexus_eventlog_ops, append, log, 0);
	if (ret)
		return ret;
	a->first = log->first;
	a->last = log->last;
	/* Others may write to the log: a build before this one, or past the bus. */
	if (a->first > b->last + 1)
		replay_missed(b, a->first - 1);
	for (i = 0; i < a->count; i++) {
		a->events[i].seq = a->first + i;
		bus_deliver(b, &a->events[i]);
	}
	b->last = a->last;
	a->deliveries = atomic_load(&b->deliveries) - before;
	return 0;
}

static int enter(struct bus *b, struct nexus_event_publish_args *a, bool ours)
{
	struct nexus_eventlog_append_args *log = to_records(b, a);
	int ret;

	if (!log)
		return -ENOMEM;
	pthread_mutex_lock(&b->order);
	ret = publish_locked(b, a, log);
	if (!ret && ours)
		share_offer(&b->share, a->events, a->count);
	pthread_mutex_unlock(&b->order);
	b->host->args_free(log);
	return ret;
}

int bus_enter_foreign(struct bus *b, struct nexus_bus_event *events, uint32_t count)
{
	struct nexus_event_publish_args a = { .events = events, .count = count };

	return enter(b, &a, false);
}

int bus_enter_missed(struct bus *b, uint64_t missed)
{
	struct nexus_bus_event e = {
		.kind = NEXUS_EVENT_MISSED, .missed = missed, .zone = "", .path = "",
	};

	return bus_enter_foreign(b, &e, 1);
}

int bus_publish(struct bus *b, struct nexus_event_publish_args *a)
{
	uint32_t i;
	int ret;

	if (!a->count)
		return -EINVAL;
	if (a->count > NEXUS_EVENT_BATCH_MAX)
		return -EMSGSIZE;
	for (i = 0; i < a->count; i++) {
		ret = event_check(&a->events[i]);
		if (ret)
			return ret;
		a->events[i].kind = NEXUS_EVENT_IS;
		a->events[i].origin = 0;
	}
	ret = enter(b, a, true);
	if (ret)
		return ret;
	atomic_fetch_add(&b->published, a->count);
	return a->durable ?
	       nexus_service_call(b->host, b->log, struct nexus_eventlog_ops, sync, NULL, 0) : 0;
}
