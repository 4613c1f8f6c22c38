// SPDX-License-Identifier: Apache-2.0
/* Service event_bus: the event bus for the registry. */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "bus.h"

static int publish(void *self, void *args)
{
	return bus_publish(self, args);
}

static int subscribe(void *self, void *args)
{
	return bus_subscribe(self, args);
}

static int fetch(void *self, void *args)
{
	return bus_fetch(self, args);
}

static int unsubscribe(void *self, void *args)
{
	return bus_unsubscribe(self, args);
}

void bus_counts(struct bus *b, struct nexus_event_bus_state *st)
{
	uint32_t i;

	pthread_mutex_lock(&b->order);
	st->last = b->last;
	pthread_mutex_unlock(&b->order);
	pthread_mutex_lock(&b->table);
	st->subscribers = 0;
	for (i = 0; i < NEXUS_EVENT_SUBSCRIBERS_MAX; i++)
		st->subscribers += b->subs[i] != NULL;
	pthread_mutex_unlock(&b->table);
	st->published = atomic_load(&b->published);
	st->deliveries = atomic_load(&b->deliveries);
	st->lost = atomic_load(&b->lost);
	st->overflows = atomic_load(&b->overflows);
}

static int state(void *self, void *args)
{
	bus_counts(self, args);
	return 0;
}

static int sharing(void *self, void *args)
{
	share_counts(&((struct bus *)self)->share, args);
	return 0;
}

static int bus_init(const struct nexus_service_host *host, struct nexus_service *me, void **self)
{
	struct bus *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	if (getrandom(&b->salt, sizeof(b->salt), 0) != (ssize_t)sizeof(b->salt)) {
		free(b);
		return -EIO;
	}
	b->salt &= UINT64_MAX >> 12;
	b->host = host;
	b->me = me;
	pthread_mutex_init(&b->order, NULL);
	pthread_mutex_init(&b->table, NULL);
	feeder_init(&b->feeder, host, &bus_feeder_ops);
	share_init(&b->share, b);
	*self = b;
	return 0;
}

static int bus_start(void *self)
{
	struct nexus_eventlog_state *st;
	struct bus *b = self;
	int ret;

	ret = b->host->get(b->me, NEXUS_EVENTLOG, &b->log);
	if (ret)
		return ret;
	st = b->host->args_new(sizeof(*st));
	if (!st)
		return -ENOMEM;
	ret = nexus_service_call(b->host, b->log, struct nexus_eventlog_ops, state, st, 0);
	if (!ret)
		b->last = st->last;
	b->host->args_free(st);
	return ret ? ret : share_start(&b->share);
}

static int bus_stop(void *self)
{
	struct bus *b = self;

	share_end(&b->share);
	feeder_end(&b->feeder);
	bus_end(b);
	return 0;
}

static void bus_cleanup(void *self)
{
	struct bus *b = self;

	b->host->put(b->log);
	feeder_destroy(&b->feeder);
	share_destroy(&b->share);
	pthread_mutex_destroy(&b->order);
	pthread_mutex_destroy(&b->table);
	free(b);
}

static const struct nexus_event_bus_ops ops = {
	.publish = publish,
	.subscribe = subscribe,
	.fetch = fetch,
	.unsubscribe = unsubscribe,
	.state = state,
	.sharing = sharing,
};

static const struct nexus_protocol provides[] = {
	NEXUS_PROTOCOL(NEXUS_EVENT_BUS, NEXUS_EVENT_BUS_VERSION, ops),
	NEXUS_PROTOCOLS_END,
};

static const struct nexus_need needs[] = {
	{ NEXUS_EVENTLOG, 1 },
	NEXUS_NEEDS_END,
};

NEXUS_SERVICE = {
	.abi = NEXUS_SERVICE_ABI,
	.name = "event_bus",
	.version = "1.1",
	.provides = provides,
	.needs = needs,
	.service_init = bus_init,
	.service_start = bus_start,
	.service_stop = bus_stop,
	.service_cleanup = bus_cleanup,
	.rpc = bus_rpc,
};
