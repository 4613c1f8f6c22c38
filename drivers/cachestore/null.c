// SPDX-License-Identifier: Apache-2.0
/* A store that keeps nothing: every key is good, none has a value, nobody hears a message. */
#include <stdlib.h>

#include "drivers/cachestore/common.h"

static int no_entry(const struct nexus_cache_key *key)
{
	struct cache_bytes bytes;
	int ret = cache_key_encode(key, &bytes);

	return ret ? ret : -ENOENT;
}

static int null_get(struct nexus_cache *cache, const struct nexus_cache_key *key, void **data,
		    size_t *size)
{
	(void)cache;
	(void)data;
	(void)size;
	return no_entry(key);
}

static int null_set(struct nexus_cache *cache, const struct nexus_cache_key *key,
		    const void *data, size_t size, uint64_t ttl_ms)
{
	struct cache_bytes bytes;
	int ret = cache_key_encode(key, &bytes);

	(void)cache;
	(void)data;
	return ret ? ret : cache_check_value(size, ttl_ms);
}

static int null_del(struct nexus_cache *cache, const struct nexus_cache_key *key)
{
	(void)cache;
	return no_entry(key);
}

static int null_ttl(struct nexus_cache *cache, const struct nexus_cache_key *key, uint64_t *ms)
{
	(void)cache;
	(void)ms;
	return no_entry(key);
}

static int null_get_many(struct nexus_cache *cache, struct nexus_cache_item *items, size_t count)
{
	size_t i;

	(void)cache;
	for (i = 0; i < count; i++) {
		items[i].data = NULL;
		items[i].size = 0;
	}
	return cache_check_batch(items, count, NULL);
}

static int null_set_many(struct nexus_cache *cache, const struct nexus_cache_item *items,
			 size_t count, uint64_t ttl_ms)
{
	(void)cache;
	return cache_check_batch(items, count, &ttl_ms);
}

static int null_del_matching(struct nexus_cache *cache, const struct nexus_cache_key *pattern,
			     uint64_t *deleted)
{
	(void)cache;
	if (deleted)
		*deleted = 0;
	return cache_pattern_check(pattern);
}

static int null_publish(struct nexus_cache *cache, const struct nexus_cache_key *channel,
			const void *data, size_t size, uint64_t *receivers)
{
	struct cache_bytes bytes;
	int ret = cache_key_encode(channel, &bytes);

	(void)cache;
	(void)data;
	if (!ret && size > NEXUS_CACHE_MESSAGE_MAX)
		ret = -EMSGSIZE;
	if (receivers)
		*receivers = 0;
	return ret;
}

static int null_attach(struct nexus_cache *cache, struct nexus_cache_sub *sub)
{
	(void)cache;
	(void)sub;
	return 0;
}

static void null_detach(struct nexus_cache *cache, struct nexus_cache_sub *sub)
{
	(void)cache;
	(void)sub;
}

static void null_clear(struct nexus_cache *cache)
{
	(void)cache;
}

static void null_stats(struct nexus_cache *cache, struct nexus_cache_stats *stats)
{
	(void)cache;
	*stats = (struct nexus_cache_stats){ 0 };
}

static const struct nexus_cache_ops null_ops = {
	.get = null_get,
	.set = null_set,
	.del = null_del,
	.ttl = null_ttl,
	.get_many = null_get_many,
	.set_many = null_set_many,
	.del_matching = null_del_matching,
	.publish = null_publish,
	.subscribe = cache_subscribe,
	.fetch = cache_fetch,
	.unsubscribe = cache_unsubscribe,
	.attach = null_attach,
	.detach = null_detach,
	.clear = null_clear,
	.stats = null_stats,
};

static int null_open(const struct nexus_cache_options *options, struct nexus_cache_fault *fault,
		     struct nexus_cache **cache)
{
	(void)options;
	*cache = calloc(1, sizeof(**cache));
	if (!*cache)
		return cache_fail(fault, -ENOMEM, "no memory");
	(*cache)->ops = &null_ops;
	return 0;
}

static void null_close(struct nexus_cache *cache)
{
	free(cache);
}

const struct nexus_cache_driver cache_driver_null = {
	.abi = NEXUS_CACHE_DRIVER_ABI,
	.name = "null",
	.open = null_open,
	.close = null_close,
};
