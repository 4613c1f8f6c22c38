// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "drivers/cachestore/common.h"

/* Of a subscriber, which may have one in another hub at the same time. */
struct cache_seat {
	struct cache_seat *next;
	struct nexus_cache_sub *sub;
};

uint64_t cache_hash(uint64_t seed, const uint8_t *data, size_t size)
{
	uint64_t h = seed ^ size, word;
	size_t n;

	for (; size; data += n, size -= n) {
		n = size < sizeof(word) ? size : sizeof(word);
		word = 0;
		memcpy(&word, data, n);
		h = (h ^ word) * 0x9e3779b97f4a7c15ull;
		h = (h ^ (h >> 29) ^ seed) * 0xbf58476d1ce4e5b9ull;
		h ^= h >> 32;
	}
	return h;
}

void cache_hub_init(struct cache_hub *hub)
{
	memset(hub->buckets, 0, sizeof(hub->buckets));
	pthread_mutex_init(&hub->lock, NULL);
	hub->seats = 0;
}

void cache_hub_destroy(struct cache_hub *hub)
{
	pthread_mutex_destroy(&hub->lock);
}

/* Names of channels are the services' own choice: nothing is gained by a collision. */
static struct cache_seat **bucket(struct cache_hub *hub, const uint8_t *channel, size_t size)
{
	return &hub->buckets[cache_hash(0, channel, size) % CACHE_HUB_BUCKETS];
}

static bool sits_on(const struct cache_seat *seat, const uint8_t *channel, size_t size)
{
	const struct cache_bytes *own = cache_sub_channel(seat->sub);

	return own->size == size && !memcmp(own->data, channel, size);
}

/* Lock held. */
static bool has_any(struct cache_hub *hub, const struct cache_bytes *channel)
{
	const struct cache_seat *seat = *bucket(hub, channel->data, channel->size);

	for (; seat; seat = seat->next)
		if (sits_on(seat, channel->data, channel->size))
			return true;
	return false;
}

bool cache_hub_has(struct cache_hub *hub, const struct cache_bytes *channel)
{
	bool has;

	pthread_mutex_lock(&hub->lock);
	has = has_any(hub, channel);
	pthread_mutex_unlock(&hub->lock);
	return has;
}

int cache_hub_attach(struct cache_hub *hub, struct nexus_cache_sub *sub)
{
	const struct cache_bytes *channel = cache_sub_channel(sub);
	struct cache_seat *seat = malloc(sizeof(*seat)), **at;
	int ret = 0;

	if (!seat)
		return -ENOMEM;
	pthread_mutex_lock(&hub->lock);
	if (hub->seats == NEXUS_CACHE_SUBSCRIBERS_MAX) {
		ret = -EUSERS;
		goto out;
	}
	at = bucket(hub, channel->data, channel->size);
	seat->sub = sub;
	seat->next = *at;
	*at = seat;
	seat = NULL;
	hub->seats++;
out:
	pthread_mutex_unlock(&hub->lock);
	free(seat);
	return ret;
}

void cache_hub_detach(struct cache_hub *hub, struct nexus_cache_sub *sub, bool *last)
{
	const struct cache_bytes *channel = cache_sub_channel(sub);
	struct cache_seat **at, *seat;

	pthread_mutex_lock(&hub->lock);
	*last = false;
	for (at = bucket(hub, channel->data, channel->size); *at; at = &(*at)->next) {
		seat = *at;
		if (seat->sub != sub)
			continue;
		*at = seat->next;
		free(seat);
		hub->seats--;
		*last = !has_any(hub, channel);
		break;
	}
	pthread_mutex_unlock(&hub->lock);
}

uint64_t cache_hub_push(struct cache_hub *hub, const uint8_t *channel, size_t channel_size,
			const void *data, size_t size)
{
	struct cache_seat *seat;
	uint64_t n = 0;

	pthread_mutex_lock(&hub->lock);
	for (seat = *bucket(hub, channel, channel_size); seat; seat = seat->next) {
		if (!sits_on(seat, channel, channel_size))
			continue;
		if (data)
			cache_sub_push(seat->sub, data, size);
		else
			cache_sub_lose(seat->sub);
		n++;
	}
	pthread_mutex_unlock(&hub->lock);
	return n;
}

uint32_t cache_hub_count(struct cache_hub *hub)
{
	uint32_t n;

	pthread_mutex_lock(&hub->lock);
	n = hub->seats;
	pthread_mutex_unlock(&hub->lock);
	return n;
}
