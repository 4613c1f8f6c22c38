// SPDX-License-Identifier: Apache-2.0
/* A subscriber's queue: bounded, and what it lost has its place in it. */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "drivers/cachestore/common.h"
#include "lib/port.h"

struct cache_sub {
	struct nexus_cache_sub base;
	struct nexus_cache_wish wish;
	struct cache_bytes channel;

	pthread_mutex_t lock;		/* all below */
	struct nexus_cache_message *ring;
	uint32_t head, count;
	size_t bytes;
	uint64_t lost;			/* behind all that is in the ring */
	bool gap;			/* likewise, before @lost */
	bool readable;
};

static struct cache_sub *to_sub(const struct nexus_cache_sub *sub)
{
	return NEXUS_CONTAINER(sub, struct cache_sub, base);
}

int cache_sub_new(struct nexus_cache *cache, const struct nexus_cache_key *channel,
		  const struct nexus_cache_wish *wish, struct nexus_cache_sub **sub)
{
	static const struct nexus_cache_wish plain = { 0 };
	struct cache_sub *s;
	int ret;

	if (!wish)
		wish = &plain;
	if (wish->queue > NEXUS_CACHE_QUEUE_MAX)
		return -E2BIG;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->base.cache = cache;
	s->base.fd = -1;
	s->wish = *wish;
	if (!s->wish.queue)
		s->wish.queue = NEXUS_CACHE_QUEUE_DEFAULT;
	ret = cache_key_encode(channel, &s->channel);
	if (ret)
		goto free_sub;
	s->ring = calloc(s->wish.queue, sizeof(*s->ring));
	if (!s->ring) {
		ret = -ENOMEM;
		goto free_sub;
	}
	if (!wish->wake) {
		s->base.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (s->base.fd < 0) {
			ret = -errno;
			goto free_ring;
		}
	}
	pthread_mutex_init(&s->lock, NULL);
	*sub = &s->base;
	return 0;
free_ring:
	free(s->ring);
free_sub:
	free(s);
	return ret;
}

void cache_sub_free(struct nexus_cache_sub *sub)
{
	struct cache_sub *s = to_sub(sub);

	for (; s->count; s->count--, s->head = (s->head + 1) % s->wish.queue)
		free(s->ring[s->head].data);
	if (s->base.fd >= 0)
		close(s->base.fd);
	pthread_mutex_destroy(&s->lock);
	free(s->ring);
	free(s);
}

const struct cache_bytes *cache_sub_channel(const struct nexus_cache_sub *sub)
{
	return &to_sub(sub)->channel;
}

/* Lock held. */
static void show(struct cache_sub *s, bool readable)
{
	uint64_t one = 1;
	ssize_t n = 0;

	if (s->readable == readable)
		return;
	s->readable = readable;
	if (s->wish.wake) {
		if (readable)
			s->wish.wake(s->wish.arg);
		return;
	}
	/* Neither can fail with a counter that is 0 or 1. */
	if (readable)
		n = write(s->base.fd, &one, sizeof(one));
	else
		n = read(s->base.fd, &one, sizeof(one));
	(void)n;
}

/* Lock held. */
static void put(struct cache_sub *s, const struct nexus_cache_message *msg)
{
	s->ring[(s->head + s->count) % s->wish.queue] = *msg;
	s->count++;
	s->bytes += msg->size;
}

/* Lock held: for a message of @size, and for what was lost before it, which gets its place there. */
static bool has_room(const struct cache_sub *s, size_t size)
{
	return s->count + s->gap + (s->lost > 0) < s->wish.queue &&
	       s->bytes + size <= NEXUS_CACHE_QUEUE_BYTES;
}

/* Lock held: one of them, the first; false: nothing was lost. */
static bool put_loss(struct cache_sub *s)
{
	struct nexus_cache_message gap = { .what = NEXUS_CACHE_GAP };
	struct nexus_cache_message lost = { .what = NEXUS_CACHE_LOST, .lost = s->lost };

	if (s->gap) {
		put(s, &gap);
		s->gap = false;
	} else if (s->lost) {
		put(s, &lost);
		s->lost = 0;
	} else {
		return false;
	}
	return true;
}

void cache_sub_push(struct nexus_cache_sub *sub, const void *data, size_t size)
{
	struct nexus_cache_message msg = { .what = NEXUS_CACHE_MESSAGE, .size = size };
	struct cache_sub *s = to_sub(sub);

	msg.data = cache_copy(data, size);
	pthread_mutex_lock(&s->lock);
	if (msg.data && has_room(s, size)) {
		while (put_loss(s))
			;
		put(s, &msg);
	} else {
		s->lost++;
		free(msg.data);
	}
	show(s, true);
	pthread_mutex_unlock(&s->lock);
}

void cache_sub_lose(struct nexus_cache_sub *sub)
{
	struct cache_sub *s = to_sub(sub);

	pthread_mutex_lock(&s->lock);
	s->lost++;
	show(s, true);
	pthread_mutex_unlock(&s->lock);
}

void cache_sub_gap(struct nexus_cache_sub *sub)
{
	struct cache_sub *s = to_sub(sub);

	pthread_mutex_lock(&s->lock);
	s->gap = true;
	show(s, true);
	pthread_mutex_unlock(&s->lock);
}

int cache_fetch(struct nexus_cache_sub *sub, struct nexus_cache_message *msg)
{
	struct cache_sub *s = to_sub(sub);
	int ret = 0;

	*msg = (struct nexus_cache_message){ 0 };
	pthread_mutex_lock(&s->lock);
	if (!s->count)
		put_loss(s);
	if (s->count) {
		*msg = s->ring[s->head];
		s->head = (s->head + 1) % s->wish.queue;
		s->count--;
		s->bytes -= msg->size;
		ret = 1;
	}
	if (!s->count && !s->gap && !s->lost)
		show(s, false);
	pthread_mutex_unlock(&s->lock);
	return ret;
}

int cache_subscribe(struct nexus_cache *cache, const struct nexus_cache_key *channel,
		    const struct nexus_cache_wish *wish, struct nexus_cache_sub **sub)
{
	struct nexus_cache_sub *made = NULL;
	int ret = cache_sub_new(cache, channel, wish, &made);

	if (ret)
		return ret;
	ret = cache->ops->attach(cache, made);
	if (ret)
		cache_sub_free(made);
	else
		*sub = made;
	return ret;
}

void cache_unsubscribe(struct nexus_cache_sub *sub)
{
	sub->cache->ops->detach(sub->cache, sub);
	cache_sub_free(sub);
}
