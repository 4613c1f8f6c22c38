// SPDX-License-Identifier: Apache-2.0
/* Subscriptions: begin, fetch, end. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bus.h"

static void subscriber_free(struct bus_subscriber *sub)
{
	/* Who waits for more shall come and be told; a stream has been. */
	if (sub->fd >= 0)
		queue_wake(sub, true);
	for (; sub->count; sub->count--) {
		bus_event_put(sub->queue[sub->head]);
		sub->head = (sub->head + 1) % sub->cap;
	}
	if (sub->fd >= 0)
		close(sub->fd);
	pthread_mutex_destroy(&sub->fetching);
	pthread_mutex_destroy(&sub->lock);
	free(sub->queue);
	free(sub->patterns);
	free(sub);
}

static void put(struct bus *b, struct bus_subscriber *sub)
{
	bool last;

	pthread_mutex_lock(&b->table);
	last = !--sub->refs;
	pthread_mutex_unlock(&b->table);
	if (last)
		subscriber_free(sub);
}

static struct bus_subscriber *get(struct bus *b, uint64_t id)
{
	struct bus_subscriber *sub;

	pthread_mutex_lock(&b->table);
	sub = b->subs[id % NEXUS_EVENT_SUBSCRIBERS_MAX];
	if (sub && sub->id == id)
		sub->refs++;
	else
		sub = NULL;
	pthread_mutex_unlock(&b->table);
	return sub;
}

static int set_patterns(struct bus_subscriber *sub, const struct nexus_event_subscribe_args *a)
{
	uint32_t i, n = a->count ? a->count : 1;
	int ret = 0;

	sub->patterns = calloc(n, sizeof(*sub->patterns));
	if (!sub->patterns)
		return -ENOMEM;
	sub->npatterns = n;
	if (!a->count)
		return pattern_set(&sub->patterns[0], NEXUS_EVENT_PREFIX, "/", 1);
	for (i = 0; i < n && !ret; i++)
		ret = pattern_set(&sub->patterns[i], a->patterns[i].kind, a->patterns[i].text,
				  a->patterns[i].len);
	return ret;
}

static int subscriber_new(const struct nexus_event_subscribe_args *a, struct feeder_flow *flow,
			  struct bus_subscriber **out)
{
	struct bus_subscriber *sub;
	int ret;

	if (a->count > NEXUS_EVENT_PATTERNS_MAX || a->zone_len > NEXUS_EVENT_ZONE_MAX ||
	    a->queue > NEXUS_EVENT_QUEUE_MAX)
		return -EMSGSIZE;
	sub = calloc(1, sizeof(*sub));
	if (!sub)
		return -ENOMEM;
	pthread_mutex_init(&sub->fetching, NULL);
	pthread_mutex_init(&sub->lock, NULL);
	sub->refs = 1;
	sub->types = a->types ? a->types : UINT64_MAX;
	sub->zone_len = a->zone_len;
	if (a->zone_len)
		memcpy(sub->zone, a->zone, a->zone_len);
	memcpy(sub->name, a->name, sizeof(sub->name) - 1);
	sub->cap = a->queue ? a->queue : NEXUS_EVENT_QUEUE_DEFAULT;
	sub->queue = malloc(sub->cap * sizeof(struct bus_event *));
	sub->flow = flow;
	sub->fd = flow ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!sub->queue)
		ret = -ENOMEM;
	else
		ret = !flow && sub->fd < 0 ? -errno : set_patterns(sub, a);
	if (ret) {
		subscriber_free(sub);
		return ret;
	}
	*out = sub;
	return 0;
}

/* Into the table, and from when on it gets what. */
static int enter(struct bus *b, struct bus_subscriber *sub, uint64_t from)
{
	uint32_t slot;
	int ret = 0;

	pthread_mutex_lock(&b->order);
	pthread_mutex_lock(&b->table);
	for (slot = 0; slot < NEXUS_EVENT_SUBSCRIBERS_MAX && b->subs[slot]; slot++)
		;
	if (slot == NEXUS_EVENT_SUBSCRIBERS_MAX) {
		ret = -EUSERS;
	} else {
		sub->id = (b->salt + ++b->serial) * NEXUS_EVENT_SUBSCRIBERS_MAX + slot;
		b->subs[slot] = sub;
	}
	pthread_mutex_unlock(&b->table);
	if (!ret) {
		sub->live = !from;
		sub->next = from ? from : b->last + 1;
		index_add(b, sub);
		if (from)
			queue_wake(sub, true);
	}
	pthread_mutex_unlock(&b->order);
	return ret;
}

int bus_subscribe(struct bus *b, struct nexus_event_subscribe_args *a)
{
	struct bus_subscriber *sub;
	int ret, fd;

	ret = subscriber_new(a, NULL, &sub);
	if (ret)
		return ret;
	fd = fcntl(sub->fd, F_DUPFD_CLOEXEC, 0);
	ret = fd < 0 ? -errno : enter(b, sub, a->from);
	if (ret) {
		if (fd >= 0)
			close(fd);
		subscriber_free(sub);
		return ret;
	}
	a->id = sub->id;
	a->fd = fd;
	return 0;
}

static void leave(struct bus *b, struct bus_subscriber *sub)
{
	uint32_t slot = (uint32_t)(sub->id % NEXUS_EVENT_SUBSCRIBERS_MAX);
	bool there;

	pthread_mutex_lock(&b->order);
	pthread_mutex_lock(&b->table);
	there = b->subs[slot] == sub;
	if (there)
		b->subs[slot] = NULL;
	pthread_mutex_unlock(&b->table);
	if (there)
		index_remove(b, sub);
	pthread_mutex_unlock(&b->order);
	if (there)
		put(b, sub);
}

int bus_attach(struct bus *b, const struct nexus_event_subscribe_args *a, struct feeder_flow *flow,
	       struct bus_subscriber **out)
{
	struct bus_subscriber *sub;
	int ret;

	ret = subscriber_new(a, flow, &sub);
	if (ret)
		return ret;
	ret = enter(b, sub, a->from);
	if (ret)
		subscriber_free(sub);
	else
		*out = sub;
	return ret;
}

void bus_detach(struct bus *b, struct bus_subscriber *sub)
{
	leave(b, sub);
}

int bus_unsubscribe(struct bus *b, struct nexus_event_unsubscribe_args *a)
{
	struct bus_subscriber *sub = get(b, a->id);

	if (!sub)
		return -ESTALE;
	leave(b, sub);
	put(b, sub);
	return 0;
}

int bus_fetch_for(struct bus *b, struct bus_subscriber *sub, struct nexus_event_fetch_args *a,
		  uint32_t max_bytes)
{
	int ret;

	pthread_mutex_lock(&sub->fetching);
	ret = sub->live ? queue_fetch(b, sub, a, max_bytes) : replay_fetch(b, sub, a, max_bytes);
	pthread_mutex_unlock(&sub->fetching);
	return ret;
}

int bus_fetch(struct bus *b, struct nexus_event_fetch_args *a)
{
	struct bus_subscriber *sub;
	int ret;

	a->count = 0;
	a->more = false;
	a->events = NULL;
	if (!a->max)
		a->max = NEXUS_EVENT_FETCH_MAX;
	if (a->max > NEXUS_EVENT_FETCH_MAX)
		return -EMSGSIZE;
	sub = get(b, a->id);
	if (!sub)
		return -ESTALE;
	ret = bus_fetch_for(b, sub, a, BUS_FETCH_BYTES);
	put(b, sub);
	return ret;
}

void bus_end(struct bus *b)
{
	uint32_t i;

	for (i = 0; i < NEXUS_EVENT_SUBSCRIBERS_MAX; i++)
		if (b->subs[i])
			leave(b, b->subs[i]);
}
