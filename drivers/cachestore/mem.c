// SPDX-License-Identifier: Apache-2.0
/*
 * Cache store in this process: bounded in bytes and entries, and who was not asked
 * for the longest goes first.  What is too old goes when it is met.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "drivers/cachestore/common.h"
#include "lib/port.h"

#define BUCKETS_MIN	256u
#define BUCKETS_MAX	(1u << 20)

struct mem_entry {
	struct mem_entry *next;			/* of its bucket */
	struct mem_entry *newer, *older;
	uint64_t hash;
	uint64_t expires;			/* ms of the clock */
	void *data;
	uint32_t size;
	uint32_t key_size;
	uint8_t key[];
};

struct mem_store {
	struct nexus_cache base;
	uint64_t max_bytes, max_entries;
	uint64_t (*now_ms)(void);
	uint64_t seed;
	struct cache_hub hub;

	pthread_mutex_t lock;			/* all below */
	struct mem_entry **buckets;
	uint32_t nbuckets;
	struct mem_entry *newest, *oldest;
	struct nexus_cache_stats stats;
};

static struct mem_store *to_mem(struct nexus_cache *cache)
{
	return NEXUS_CONTAINER(cache, struct mem_store, base);
}

static uint64_t system_ms(void)
{
	return nexus_now_ns() / 1000000;
}

/* ---- entries: lock held ------------------------------------------------------------- */

static uint64_t cost(const struct mem_entry *e)
{
	/* With a bucket, and what malloc() keeps of two pieces. */
	return sizeof(*e) + sizeof(void *) + 32 + e->key_size + e->size;
}

static struct mem_entry **place(struct mem_store *m, uint64_t hash)
{
	return &m->buckets[hash & (m->nbuckets - 1)];
}

static void unlink_age(struct mem_store *m, struct mem_entry *e)
{
	*(e->newer ? &e->newer->older : &m->newest) = e->older;
	*(e->older ? &e->older->newer : &m->oldest) = e->newer;
}

static void link_newest(struct mem_store *m, struct mem_entry *e)
{
	e->newer = NULL;
	e->older = m->newest;
	*(m->newest ? &m->newest->newer : &m->oldest) = e;
	m->newest = e;
}

static void drop(struct mem_store *m, struct mem_entry *e)
{
	struct mem_entry **at = place(m, e->hash);

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	unlink_age(m, e);
	m->stats.entries--;
	m->stats.bytes -= cost(e);
	free(e->data);
	free(e);
}

/* One that may still be used, and is the newest from now on if @use */
static struct mem_entry *find(struct mem_store *m, const struct cache_bytes *key, uint64_t now,
			      bool use)
{
	uint64_t hash = cache_hash(m->seed, key->data, key->size);
	struct mem_entry *e = *place(m, hash);

	while (e && (e->hash != hash || e->key_size != key->size ||
		     memcmp(e->key, key->data, key->size)))
		e = e->next;
	if (e && e->expires <= now) {
		m->stats.expired++;
		drop(m, e);
		return NULL;
	}
	if (e && use) {
		unlink_age(m, e);
		link_newest(m, e);
	}
	return e;
}

/* As many buckets as entries, if there is memory for it. */
static void grow(struct mem_store *m)
{
	struct mem_entry **buckets, *e;
	uint32_t n = m->nbuckets * 2;

	if (m->stats.entries < m->nbuckets || n > BUCKETS_MAX)
		return;
	buckets = calloc(n, sizeof(*buckets));
	if (!buckets)
		return;
	free(m->buckets);
	m->buckets = buckets;
	m->nbuckets = n;
	for (e = m->newest; e; e = e->older) {
		e->next = *place(m, e->hash);
		*place(m, e->hash) = e;
	}
}

static struct mem_entry *entry_new(struct mem_store *m, const struct cache_bytes *key,
				   const void *data, size_t size)
{
	struct mem_entry *e = malloc(sizeof(*e) + key->size);

	if (!e)
		return NULL;
	e->data = cache_copy(data, size);
	if (!e->data) {
		free(e);
		return NULL;
	}
	e->size = (uint32_t)size;
	e->key_size = key->size;
	memcpy(e->key, key->data, key->size);
	e->hash = cache_hash(m->seed, key->data, key->size);
	return e;
}

static int insert(struct mem_store *m, struct mem_entry *e, uint64_t ttl_ms)
{
	if (cost(e) > m->max_bytes)
		return -ENOSPC;
	while (m->oldest && (m->stats.entries >= m->max_entries ||
			     m->stats.bytes + cost(e) > m->max_bytes)) {
		m->stats.evicted++;
		drop(m, m->oldest);
	}
	grow(m);
	e->expires = m->now_ms() + (ttl_ms ? ttl_ms : NEXUS_CACHE_TTL_MAX);
	e->next = *place(m, e->hash);
	*place(m, e->hash) = e;
	link_newest(m, e);
	m->stats.entries++;
	m->stats.bytes += cost(e);
	return 0;
}

/* ---- operations ----------------------------------------------------------------------- */

static int mem_get(struct nexus_cache *cache, const struct nexus_cache_key *key, void **data,
		   size_t *size)
{
	struct mem_store *m = to_mem(cache);
	struct cache_bytes bytes;
	struct mem_entry *e;
	int ret = cache_key_encode(key, &bytes);

	if (ret)
		return ret;
	pthread_mutex_lock(&m->lock);
	e = find(m, &bytes, m->now_ms(), true);
	if (!e) {
		ret = -ENOENT;
		goto out;
	}
	*data = cache_copy(e->data, e->size);
	*size = e->size;
	if (!*data)
		ret = -ENOMEM;
out:
	pthread_mutex_unlock(&m->lock);
	return ret;
}

static int mem_set(struct nexus_cache *cache, const struct nexus_cache_key *key,
		   const void *data, size_t size, uint64_t ttl_ms)
{
	struct mem_store *m = to_mem(cache);
	struct mem_entry *made, *old;
	struct cache_bytes bytes;
	int ret = cache_key_encode(key, &bytes);

	if (!ret)
		ret = cache_check_value(size, ttl_ms);
	if (ret)
		return ret;
	made = entry_new(m, &bytes, data, size);
	pthread_mutex_lock(&m->lock);
	/* Also when there is no room for what replaces it. */
	old = find(m, &bytes, m->now_ms(), false);
	if (old)
		drop(m, old);
	ret = made ? insert(m, made, ttl_ms) : -ENOMEM;
	pthread_mutex_unlock(&m->lock);
	if (ret && made) {
		free(made->data);
		free(made);
	}
	return ret;
}

static int mem_del(struct nexus_cache *cache, const struct nexus_cache_key *key)
{
	struct mem_store *m = to_mem(cache);
	struct cache_bytes bytes;
	struct mem_entry *e;
	int ret = cache_key_encode(key, &bytes);

	if (ret)
		return ret;
	pthread_mutex_lock(&m->lock);
	e = find(m, &bytes, m->now_ms(), false);
	if (e)
		drop(m, e);
	pthread_mutex_unlock(&m->lock);
	return e ? 0 : -ENOENT;
}

static int mem_ttl(struct nexus_cache *cache, const struct nexus_cache_key *key, uint64_t *ms)
{
	struct mem_store *m = to_mem(cache);
	struct cache_bytes bytes;
	struct mem_entry *e;
	uint64_t now;
	int ret = cache_key_encode(key, &bytes);

	if (ret)
		return ret;
	pthread_mutex_lock(&m->lock);
	now = m->now_ms();
	e = find(m, &bytes, now, false);
	if (e)
		*ms = e->expires - now;
	pthread_mutex_unlock(&m->lock);
	return e ? 0 : -ENOENT;
}

static int mem_get_many(struct nexus_cache *cache, struct nexus_cache_item *items, size_t count)
{
	struct mem_store *m = to_mem(cache);
	struct cache_bytes bytes;
	struct mem_entry *e;
	size_t i;
	int ret;

	for (i = 0; i < count; i++) {
		items[i].data = NULL;
		items[i].size = 0;
	}
	ret = cache_check_batch(items, count, NULL);
	if (ret)
		return ret;
	pthread_mutex_lock(&m->lock);
	for (i = 0; !ret && i < count; i++) {
		ret = cache_key_encode(&items[i].key, &bytes);
		e = ret ? NULL : find(m, &bytes, m->now_ms(), true);
		if (!e)
			continue;
		items[i].data = cache_copy(e->data, e->size);
		items[i].size = e->size;
		if (!items[i].data)
			ret = -ENOMEM;
	}
	pthread_mutex_unlock(&m->lock);
	if (ret)
		cache_items_free(items, count);
	return ret;
}

static int mem_set_many(struct nexus_cache *cache, const struct nexus_cache_item *items,
			size_t count, uint64_t ttl_ms)
{
	int ret = cache_check_batch(items, count, &ttl_ms), one;
	size_t i;

	if (ret)
		return ret;
	for (i = 0; i < count; i++) {
		one = mem_set(cache, &items[i].key, items[i].data, items[i].size, ttl_ms);
		if (!ret)
			ret = one;
	}
	return ret;
}

static int mem_del_matching(struct nexus_cache *cache, const struct nexus_cache_key *pattern,
			    uint64_t *deleted)
{
	struct mem_store *m = to_mem(cache);
	struct mem_entry *e, *older;
	uint64_t n = 0, now;
	int ret = cache_pattern_check(pattern);

	if (ret)
		return ret;
	pthread_mutex_lock(&m->lock);
	now = m->now_ms();
	for (e = m->newest; e; e = older) {
		older = e->older;
		if (!cache_pattern_match(pattern, e->key, e->key_size))
			continue;
		n += e->expires > now;
		drop(m, e);
	}
	pthread_mutex_unlock(&m->lock);
	if (deleted)
		*deleted = n;
	return 0;
}

static int mem_publish(struct nexus_cache *cache, const struct nexus_cache_key *channel,
		       const void *data, size_t size, uint64_t *receivers)
{
	struct cache_bytes bytes;
	uint64_t n;
	int ret = cache_key_encode(channel, &bytes);

	if (!ret && size > NEXUS_CACHE_MESSAGE_MAX)
		ret = -EMSGSIZE;
	if (ret)
		return ret;
	n = cache_hub_push(&to_mem(cache)->hub, bytes.data, bytes.size, size ? data : "", size);
	if (receivers)
		*receivers = n;
	return 0;
}

static int mem_attach(struct nexus_cache *cache, struct nexus_cache_sub *sub)
{
	return cache_hub_attach(&to_mem(cache)->hub, sub);
}

static void mem_detach(struct nexus_cache *cache, struct nexus_cache_sub *sub)
{
	bool last;

	cache_hub_detach(&to_mem(cache)->hub, sub, &last);
}

static void mem_clear(struct nexus_cache *cache)
{
	struct mem_store *m = to_mem(cache);

	pthread_mutex_lock(&m->lock);
	while (m->newest)
		drop(m, m->newest);
	pthread_mutex_unlock(&m->lock);
}

static void mem_stats(struct nexus_cache *cache, struct nexus_cache_stats *stats)
{
	struct mem_store *m = to_mem(cache);

	pthread_mutex_lock(&m->lock);
	*stats = m->stats;
	pthread_mutex_unlock(&m->lock);
	stats->subscribers = cache_hub_count(&m->hub);
}

static const struct nexus_cache_ops mem_ops = {
	.get = mem_get,
	.set = mem_set,
	.del = mem_del,
	.ttl = mem_ttl,
	.get_many = mem_get_many,
	.set_many = mem_set_many,
	.del_matching = mem_del_matching,
	.publish = mem_publish,
	.subscribe = cache_subscribe,
	.fetch = cache_fetch,
	.unsubscribe = cache_unsubscribe,
	.attach = mem_attach,
	.detach = mem_detach,
	.clear = mem_clear,
	.stats = mem_stats,
};

static int mem_open(const struct nexus_cache_options *options, struct nexus_cache_fault *fault,
		    struct nexus_cache **cache)
{
	struct mem_store *m = calloc(1, sizeof(*m));

	if (!m)
		return cache_fail(fault, -ENOMEM, "no memory");
	m->buckets = calloc(BUCKETS_MIN, sizeof(*m->buckets));
	if (!m->buckets || getrandom(&m->seed, sizeof(m->seed), 0) != (ssize_t)sizeof(m->seed)) {
		free(m->buckets);
		free(m);
		return cache_fail(fault, -ENOMEM, "no memory");
	}
	m->base.ops = &mem_ops;
	m->nbuckets = BUCKETS_MIN;
	m->max_bytes = options->bytes;
	m->max_entries = options->entries;
	m->now_ms = options->now_ms ? options->now_ms : system_ms;
	pthread_mutex_init(&m->lock, NULL);
	cache_hub_init(&m->hub);
	*cache = &m->base;
	return 0;
}

static void mem_close(struct nexus_cache *cache)
{
	struct mem_store *m = to_mem(cache);

	mem_clear(cache);
	cache_hub_destroy(&m->hub);
	pthread_mutex_destroy(&m->lock);
	free(m->buckets);
	free(m);
}

const struct nexus_cache_driver cache_driver_mem = {
	.abi = NEXUS_CACHE_DRIVER_ABI,
	.name = "mem",
	.open = mem_open,
	.close = mem_close,
};
