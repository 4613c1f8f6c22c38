// SPDX-License-Identifier: Apache-2.0
/*
 * What waits for a subscriber.  A full queue loses what comes next, from the first that
 * finds no room up to the fetch that says so: one range, behind all that waits.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus.h"

/* Lays out what @from points to at @p. */
static void copy_event(struct nexus_bus_event *to, const struct nexus_bus_event *from, char *p)
{
	*to = *from;
	to->zone = memcpy(p, from->zone, from->zone_len);
	p += from->zone_len;
	to->path = memcpy(p, from->path, from->path_len);
	p += from->path_len;
	to->new_path = p;
	if (from->new_path_len)
		memcpy(p, from->new_path, from->new_path_len);
	p += from->new_path_len;
	to->data = p;
	if (from->data_len)
		memcpy(p, from->data, from->data_len);
}

static size_t copy_size(const struct nexus_bus_event *e)
{
	return (size_t)e->zone_len + e->path_len + e->new_path_len + e->data_len;
}

int event_give(struct bus *b, void *args, struct nexus_bus_event *to, const struct nexus_bus_event *e)
{
	char *p = b->host->args_more(args, copy_size(e) + 1);

	if (!p)
		return -ENOMEM;
	copy_event(to, e, p);
	return 0;
}

struct bus_event *bus_event_new(const struct nexus_bus_event *e, unsigned int refs)
{
	size_t size = copy_size(e);
	struct bus_event *ev = malloc(sizeof(*ev) + size);

	if (!ev)
		return NULL;
	atomic_init(&ev->refs, refs);
	ev->size = sizeof(*ev) + size;
	copy_event(&ev->e, e, ev->bytes);
	return ev;
}

void bus_event_put(struct bus_event *ev)
{
	if (atomic_fetch_sub(&ev->refs, 1) == 1)
		free(ev);
}

void queue_wake(struct bus_subscriber *sub, bool readable)
{
	uint64_t value = 1;
	ssize_t n;

	if (sub->readable == readable)
		return;
	sub->readable = readable;
	if (sub->flow) {
		if (readable)
			feeder_wake(sub->flow);
		return;
	}
	/* A counter of one at most: neither can fail or wait. */
	n = readable ? write(sub->fd, &value, sizeof(value)) : read(sub->fd, &value, sizeof(value));
	(void)n;
}

static void lose(struct bus_subscriber *sub, uint64_t from, uint64_t to)
{
	if (!sub->lost_from || from < sub->lost_from)
		sub->lost_from = from;
	if (to > sub->lost_to)
		sub->lost_to = to;
	queue_wake(sub, true);
}

void queue_lose(struct bus_subscriber *sub, uint64_t from, uint64_t to)
{
	pthread_mutex_lock(&sub->lock);
	lose(sub, from, to);
	pthread_mutex_unlock(&sub->lock);
}

bool queue_push(struct bus_subscriber *sub, struct bus_event *ev, atomic_ullong *overflows)
{
	bool room;

	pthread_mutex_lock(&sub->lock);
	room = !sub->lost_from && sub->count < sub->cap &&
	       (!sub->count || sub->bytes + ev->size <= NEXUS_EVENT_QUEUE_BYTES);
	if (room) {
		sub->queue[(sub->head + sub->count++) % sub->cap] = ev;
		sub->bytes += ev->size;
		queue_wake(sub, true);
	} else {
		if (!sub->lost_from)
			atomic_fetch_add(overflows, 1);
		lose(sub, ev->e.seq, ev->e.seq);
	}
	pthread_mutex_unlock(&sub->lock);
	if (!room)
		bus_event_put(ev);
	return room;
}

/* What fits into one fetch, out of the queue; and a loss behind the last of it. */
static uint32_t take(struct bus_subscriber *sub, struct bus_event **events, uint32_t max,
		     size_t max_bytes, size_t *bytes, struct nexus_bus_event *loss, bool *more)
{
	uint32_t n = 0;

	*bytes = 0;
	pthread_mutex_lock(&sub->lock);
	while (n < max && sub->count && (!n || *bytes < max_bytes)) {
		events[n] = sub->queue[sub->head];
		sub->head = (sub->head + 1) % sub->cap;
		sub->count--;
		sub->bytes -= events[n]->size;
		*bytes += copy_size(&events[n++]->e);
	}
	if (!sub->count && sub->lost_from && n < max) {
		*loss = (struct nexus_bus_event){
			.kind = NEXUS_EVENT_LOST, .seq = sub->lost_from, .lost_to = sub->lost_to,
		};
		sub->lost_from = sub->lost_to = 0;
	}
	*more = sub->count || sub->lost_from;
	queue_wake(sub, *more);
	pthread_mutex_unlock(&sub->lock);
	return n;
}

int queue_fetch(struct bus *b, struct bus_subscriber *sub, struct nexus_event_fetch_args *a,
		size_t max_bytes)
{
	struct nexus_bus_event loss = { .kind = NEXUS_EVENT_IS };
	struct bus_event **events = malloc(a->max * sizeof(struct bus_event *));
	char *p = NULL;
	size_t bytes;
	uint32_t n, i;

	if (!events)
		return -ENOMEM;
	n = take(sub, events, a->max, max_bytes, &bytes, &loss, &a->more);
	if (n || loss.kind)
		a->events = b->host->args_more(a, (n + 1) * sizeof(*a->events));
	if (n && a->events)
		p = b->host->args_more(a, bytes + 1);
	if ((n && !p) || (loss.kind && !a->events)) {
		/* They have left the queue; that is told when there is memory again. */
		queue_lose(sub, n ? events[0]->e.seq : loss.seq,
			   loss.kind ? loss.lost_to : events[n - 1]->e.seq);
		for (i = 0; i < n; i++)
			bus_event_put(events[i]);
		free(events);
		return -ENOMEM;
	}
	for (i = 0; i < n; i++) {
		copy_event(&a->events[i], &events[i]->e, p);
		p += copy_size(&events[i]->e);
		bus_event_put(events[i]);
	}
	if (loss.kind)
		a->events[n] = loss;
	a->count = n + (loss.kind != NEXUS_EVENT_IS);
	free(events);
	return 0;
}
