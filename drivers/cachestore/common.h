/* SPDX-License-Identifier: Apache-2.0 */
/* What the cache store drivers share: keys, checks, subscriptions. */
#ifndef NEXUS_CACHESTORE_COMMON_H
#define NEXUS_CACHESTORE_COMMON_H

#include <errno.h>
#include <pthread.h>

#include <nexus/cachestore.h>

/* ---- key.c: the one place that knows what a key is in bytes -------------------- */

/** struct cache_bytes - a key, encoded */
struct cache_bytes {
	uint32_t size;
	uint8_t data[NEXUS_CACHE_KEY_MAX];
};

/**
 * cache_key_encode() - a key as bytes: of each part its size in decimal, ":", the part
 *
 * No key is the beginning of the bytes of another but one with fewer parts.
 *
 * Return: 0, -EINVAL or -ENAMETOOLONG.
 */
int cache_key_encode(const struct nexus_cache_key *key, struct cache_bytes *out);

/** cache_pattern_check() - 0, or what is wrong with a pattern, as for a key */
int cache_pattern_check(const struct nexus_cache_key *pattern);

/** cache_pattern_prefix() - bytes that every key begins with that a good pattern matches */
void cache_pattern_prefix(const struct nexus_cache_key *pattern, struct cache_bytes *out);

/** cache_pattern_match() - whether encoded bytes are a key that a good pattern matches */
bool cache_pattern_match(const struct nexus_cache_key *pattern, const uint8_t *data, size_t size);

/* ---- check.c ------------------------------------------------------------------- */

/** cache_check_value() - 0, -EMSGSIZE, -EINVAL */
int cache_check_value(size_t size, uint64_t ttl_ms);

/** cache_check_batch() - of a set_many with @ttl_ms, or a get_many: 0, -E2BIG, and more */
int cache_check_batch(const struct nexus_cache_item *items, size_t count, const uint64_t *ttl_ms);

/** cache_items_free() - what a get_many that failed has set already */
void cache_items_free(struct nexus_cache_item *items, size_t count);

/** cache_copy() - @size bytes for free(3), never NULL with memory */
void *cache_copy(const void *data, size_t size);

/** cache_fail() - note why it failed; returns @error */
int cache_fail(struct nexus_cache_fault *fault, int error, const char *words);

/* ---- sub.c: a subscriber's queue ------------------------------------------------ */

/** cache_sub_new() - one that is attached to nothing; the errors of subscribe */
int cache_sub_new(struct nexus_cache *cache, const struct nexus_cache_key *channel,
		  const struct nexus_cache_wish *wish, struct nexus_cache_sub **sub);
/** cache_sub_free() - attached to nothing any more */
void cache_sub_free(struct nexus_cache_sub *sub);
/** cache_sub_channel() - what it was made with, encoded */
const struct cache_bytes *cache_sub_channel(const struct nexus_cache_sub *sub);
/** cache_sub_push() - a message; never waits.  What finds no room is counted */
void cache_sub_push(struct nexus_cache_sub *sub, const void *data, size_t size);
/** cache_sub_lose() - a message that cannot be given */
void cache_sub_lose(struct nexus_cache_sub *sub);
/** cache_sub_gap() - messages may be missing from here */
void cache_sub_gap(struct nexus_cache_sub *sub);

/* nexus_cache_ops of every driver; the first two by its attach and detach. */
int cache_subscribe(struct nexus_cache *cache, const struct nexus_cache_key *channel,
		    const struct nexus_cache_wish *wish, struct nexus_cache_sub **sub);
void cache_unsubscribe(struct nexus_cache_sub *sub);
int cache_fetch(struct nexus_cache_sub *sub, struct nexus_cache_message *msg);

/* ---- hub.c: who subscribes to what, in this process ------------------------------ */

#define CACHE_HUB_BUCKETS	256u

struct cache_hub {
	pthread_mutex_t lock;		/* above those of subscribers */
	struct cache_seat *buckets[CACHE_HUB_BUCKETS];
	uint32_t seats;
};

void cache_hub_init(struct cache_hub *hub);
void cache_hub_destroy(struct cache_hub *hub);
/** cache_hub_has() - whether anybody has a channel */
bool cache_hub_has(struct cache_hub *hub, const struct cache_bytes *channel);
/** cache_hub_attach() - -EUSERS, -ENOMEM */
int cache_hub_attach(struct cache_hub *hub, struct nexus_cache_sub *sub);
/** cache_hub_detach() - nothing is pushed after the return; @last: nobody has it any more */
void cache_hub_detach(struct cache_hub *hub, struct nexus_cache_sub *sub, bool *last);
/** cache_hub_push() - to all of a channel; @data NULL: it is lost.  How many there are */
uint64_t cache_hub_push(struct cache_hub *hub, const uint8_t *channel, size_t channel_size,
			const void *data, size_t size);
uint32_t cache_hub_count(struct cache_hub *hub);

/** cache_hash() - of bytes; who does not know @seed cannot make them collide on purpose */
uint64_t cache_hash(uint64_t seed, const uint8_t *data, size_t size);

/* ---- drivers that need no library ------------------------------------------------ */

extern const struct nexus_cache_driver cache_driver_null;
extern const struct nexus_cache_driver cache_driver_mem;

#endif /* NEXUS_CACHESTORE_COMMON_H */
