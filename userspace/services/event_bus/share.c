// SPDX-License-Identifier: Apache-2.0
/* Sharing: what goes to other helpers, and when it begins and ends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "bus.h"

#define END_MS		1000	/* for what waits when it ends */

struct nexus_cache_key share_channel(const struct share *s, struct nexus_cache_part part[2])
{
	part[0] = (struct nexus_cache_part)NEXUS_CACHE_P("events", 6);
	part[1] = (struct nexus_cache_part)NEXUS_CACHE_P(s->group, strlen(s->group));
	return (struct nexus_cache_key){ part, 2, false };
}

/* ---- what waits; lock held ------------------------------------------------------------- */

static void drop_first(struct share *s)
{
	struct share_item *item = s->first;

	s->first = item->next;
	if (!s->first)
		s->last = &s->first;
	s->count--;
	s->bytes -= item->size;
	free(item);
}

static bool put_event(struct share *s, const struct nexus_bus_event *e)
{
	size_t size = share_event_size(e);
	struct share_item *item;

	if (size > SHARE_EVENT_MAX) {
		atomic_fetch_add(&s->n_too_large, 1);
		return false;
	}
	if (!s->on || s->count == SHARE_QUEUE_MAX || s->bytes + size > SHARE_QUEUE_BYTES)
		return false;
	item = malloc(sizeof(*item) + size);
	if (!item)
		return false;
	item->next = NULL;
	item->number = s->number;
	item->size = (uint32_t)size;
	share_event_put(item->bytes, e);
	*s->last = item;
	s->last = &item->next;
	s->count++;
	s->bytes += size;
	return true;
}

void share_offer(struct share *s, const struct nexus_bus_event *events, uint32_t count)
{
	uint32_t i;

	if (atomic_load(&s->how) == NEXUS_EVENT_BUS_ALONE)
		return;
	pthread_mutex_lock(&s->lock);
	for (i = 0; i < count; i++) {
		s->number++;
		if (!put_event(s, &events[i]))
			atomic_fetch_add(&s->n_unsent, 1);
	}
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

void share_switch(struct share *s, bool on)
{
	pthread_mutex_lock(&s->lock);
	s->on = on;
	s->due = on;
	/* What the server was not given it will not be: its order would be another. */
	for (; !on && s->first; drop_first(s))
		atomic_fetch_add(&s->n_unsent, 1);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

/* ---- the sender -------------------------------------------------------------------------- */

/* What goes with the next message, out of the queue; its size.  Lock held. */
static size_t fill(struct share *s, uint8_t *buf, struct share_head *h)
{
	size_t size = SHARE_HEAD_SIZE;

	*h = (struct share_head){ .origin = s->me };
	h->first = s->first ? s->first->number : s->number + 1;
	if (h->first != s->sent + 1)
		h->flags |= SHARE_CUT;
	while (s->first && h->count < NEXUS_EVENT_BATCH_MAX &&
	       s->first->number == h->first + h->count &&
	       size + s->first->size <= NEXUS_CACHE_MESSAGE_MAX) {
		memcpy(buf + size, s->first->bytes, s->first->size);
		size += s->first->size;
		h->count++;
		drop_first(s);
	}
	s->sent = h->first + h->count - 1;
	s->due = false;
	if (s->ending && s->sent == s->number)
		h->flags |= SHARE_BYE;
	share_head_put(buf, h);
	return size;
}

static bool over(const struct timespec *until)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > until->tv_sec ||
	       (now.tv_sec == until->tv_sec && now.tv_nsec > until->tv_nsec);
}

static void *send(void *arg)
{
	struct timespec until = { .tv_sec = 0 };
	struct nexus_cache_part parts[2];
	struct share *s = arg;
	struct nexus_cache_key channel = share_channel(s, parts);
	struct share_head h = { .flags = 0 };
	uint8_t *buf = malloc(NEXUS_CACHE_MESSAGE_MAX);
	size_t size;

	pthread_mutex_lock(&s->lock);
	while (buf && !(h.flags & SHARE_BYE)) {
		while (!s->ending && !(s->on && (s->due || s->sent < s->number)))
			pthread_cond_wait(&s->wake, &s->lock);
		if (s->ending && !until.tv_sec) {
			clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_sec += END_MS / 1000;
		}
		if (s->ending && (!s->on || over(&until)))
			break;
		size = fill(s, buf, &h);
		pthread_mutex_unlock(&s->lock);
		if (nexus_cache_publish(s->cache, &channel, buf, size, NULL))
			atomic_fetch_add(&s->n_unsent, h.count);
		else
			atomic_fetch_add(&s->n_sent, h.count);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	free(buf);
	return NULL;
}

/* ---- begin and end -------------------------------------------------------------------------- */

bool share_note(struct share *s, enum nexus_event_bus_how how)
{
	bool change = atomic_exchange(&s->how, how) != how;

	if (change)
		atomic_store(&s->since, (unsigned long long)time(NULL));
	return change;
}

void share_init(struct share *s, struct bus *b)
{
	s->b = b;
	s->stop = s->turn = -1;
	s->last = &s->first;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
}

int share_start(struct share *s)
{
	const struct nexus_service_host *host = s->b->host;
	uint64_t group = 1;
	int ret;

	/* Without this key it is as above. */
	(void)host->setting(s->b->me, "group", &group);
	snprintf(s->group, sizeof(s->group), "%llu", (unsigned long long)group);
	share_note(s, NEXUS_EVENT_BUS_ALONE);
	atomic_store(&s->since, (unsigned long long)time(NULL));
	if (!group)
		return 0;
	while (!s->me)
		if (getrandom(&s->me, sizeof(s->me), 0) != (ssize_t)sizeof(s->me))
			return -EIO;
	s->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->stop < 0)
		return -errno;
	share_note(s, NEXUS_EVENT_BUS_BEGINS);
	ret = pthread_create(&s->sender, NULL, send, s);
	if (ret)
		return -ret;
	ret = pthread_create(&s->keeper, NULL, share_keep, s);
	if (!ret) {
		s->running = true;
		return 0;
	}
	pthread_mutex_lock(&s->lock);
	s->ending = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->sender, NULL);
	return -ret;
}

void share_end(struct share *s)
{
	uint64_t one = 1;
	ssize_t n;

	if (!s->running)
		return;
	pthread_mutex_lock(&s->lock);
	s->ending = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	/* A counter of one: it cannot fail or wait. */
	n = write(s->stop, &one, sizeof(one));
	(void)n;
	pthread_join(s->keeper, NULL);
	pthread_join(s->sender, NULL);
	s->running = false;
	if (s->sub)
		nexus_cache_unsubscribe(s->sub);
	s->sub = NULL;
	/* The next build may begin. */
	if (s->turn >= 0)
		close(s->turn);
	s->turn = -1;
}

void share_destroy(struct share *s)
{
	while (s->first)
		drop_first(s);
	if (s->stop >= 0)
		close(s->stop);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
}

void share_counts(struct share *s, struct nexus_event_bus_sharing *st)
{
	*st = (struct nexus_event_bus_sharing){
		.how = atomic_load(&s->how),
		.origins = atomic_load(&s->known),
		.since = atomic_load(&s->since),
		.sent = atomic_load(&s->n_sent),
		.unsent = atomic_load(&s->n_unsent),
		.too_large = atomic_load(&s->n_too_large),
		.received = atomic_load(&s->n_received),
		.repeated = atomic_load(&s->n_repeated),
		.malformed = atomic_load(&s->n_malformed),
		.missed = atomic_load(&s->n_missed),
		.gaps = atomic_load(&s->n_gaps),
	};
}
