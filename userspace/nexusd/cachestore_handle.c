// SPDX-License-Identifier: Apache-2.0
/* The cache store of one service: its name is the first part of every key and channel. */
#include "cachestore_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/cachestore/common.h"
#include "lib/port.h"
#include "service.h"
#include "stats.h"

struct handle {
	struct nexus_cache base;
	struct cachestore *store;
	char service[NEXUS_SERVICE_NAME_MAX];
};

struct own_key {
	struct nexus_cache_key key;
	struct nexus_cache_part parts[NEXUS_CACHE_PARTS_MAX];
};

static struct handle *to_handle(struct nexus_cache *cache)
{
	return NEXUS_CONTAINER(cache, struct handle, base);
}

static int own(struct handle *h, const struct nexus_cache_key *key, struct own_key *to)
{
	if (!key->count)
		return -EINVAL;
	if (key->count >= NEXUS_CACHE_PARTS_MAX)
		return -ENAMETOOLONG;
	to->parts[0] = (struct nexus_cache_part)NEXUS_CACHE_P(h->service, strlen(h->service));
	memcpy(to->parts + 1, key->parts, key->count * sizeof(*key->parts));
	to->key = (struct nexus_cache_key){ to->parts, key->count + 1, key->below };
	return 0;
}

/* ---- values ------------------------------------------------------------------------- */

static int handle_get(struct nexus_cache *cache, const struct nexus_cache_key *key, void **data,
		      size_t *size)
{
	struct handle *h = to_handle(cache);
	struct cache_use u = { .tries = 0 };
	struct own_key mine;
	int ret = own(h, key, &mine);

	if (ret)
		return ret;
	do {
		cache_use_begin(h->store, &u);
		ret = nexus_cache_get(u.cache, &mine.key, data, size);
	} while (cache_use_end(h->store, &u, &ret));
	if (!ret)
		stats_inc(cache_hits);
	else if (ret == -ENOENT)
		stats_inc(cache_misses);
	return ret;
}

static int handle_set(struct nexus_cache *cache, const struct nexus_cache_key *key,
		      const void *data, size_t size, uint64_t ttl_ms)
{
	struct handle *h = to_handle(cache);
	struct cache_use u = { .tries = 0 };
	struct own_key mine;
	int ret = own(h, key, &mine);

	if (ret)
		return ret;
	do {
		cache_use_begin(h->store, &u);
		ret = nexus_cache_set(u.cache, &mine.key, data, size, ttl_ms);
	} while (cache_use_end(h->store, &u, &ret));
	stats_inc(cache_sets);
	if (ret)
		stats_inc(cache_set_errors);
	return ret;
}

static int handle_del(struct nexus_cache *cache, const struct nexus_cache_key *key)
{
	struct handle *h = to_handle(cache);
	struct cache_use u = { .tries = 0 };
	struct own_key mine;
	int ret = own(h, key, &mine);

	if (ret)
		return ret;
	do {
		cache_use_begin(h->store, &u);
		ret = nexus_cache_delete(u.cache, &mine.key);
	} while (cache_use_end(h->store, &u, &ret));
	stats_inc(cache_deletes);
	return ret;
}

static int handle_ttl(struct nexus_cache *cache, const struct nexus_cache_key *key, uint64_t *ms)
{
	struct handle *h = to_handle(cache);
	struct cache_use u = { .tries = 0 };
	struct own_key mine;
	int ret = own(h, key, &mine);

	if (ret)
		return ret;
	do {
		cache_use_begin(h->store, &u);
		ret = nexus_cache_ttl(u.cache, &mine.key, ms);
	} while (cache_use_end(h->store, &u, &ret));
	return ret;
}

/* A batch with the handle's keys; free() of both. */
struct own_batch {
	struct nexus_cache_item *items;
	struct own_key *keys;
};

static int own_batch(struct handle *h, const struct nexus_cache_item *items, size_t count,
		     struct own_batch *to)
{
	size_t i;
	int ret = 0;

	if (count > NEXUS_CACHE_BATCH_MAX)
		return -E2BIG;
	to->items = calloc(count + 1, sizeof(*to->items));
	to->keys = calloc(count + 1, sizeof(*to->keys));
	if (!to->items || !to->keys)
		ret = -ENOMEM;
	for (i = 0; !ret && i < count; i++) {
		ret = own(h, &items[i].key, &to->keys[i]);
		to->items[i] = (struct nexus_cache_item){ to->keys[i].key, items[i].data,
							  items[i].size };
	}
	return ret;
}

static int handle_get_many(struct nexus_cache *cache, struct nexus_cache_item *items, size_t count)
{
	struct handle *h = to_handle(cache);
	struct cache_use u = { .tries = 0 };
	struct own_batch mine = { NULL, NULL };
	size_t i, hits = 0;
	int ret;

	for (i = 0; i < count; i++) {
		items[i].data = NULL;
		items[i].size = 0;
	}
	ret = own_batch(h, items, count, &mine);
	if (ret)
		goto out;
	do {
		cache_use_begin(h->store, &u);
		ret = nexus_cache_get_many(u.cache, mine.items, count);
	} while (cache_use_end(h->store, &u, &ret));
	for (i = 0; !ret && i < count; i++) {
		items[i].data = mine.items[i].data;
		items[i].size = mine.items[i].size;
		hits += items[i].data != NULL;
	}
	if (!ret) {
		stats_add(cache_hits, hits);
		stats_add(cache_misses, count - hits);
	}
out:
	free(mine.items);
	free(mine.keys);
	return ret;
}

static int handle_set_many(struct nexus_cache *cache, const struct nexus_cache_item *items,
			   size_t count, uint64_t ttl_ms)
{
	struct handle *h = to_handle(cache);
	struct cache_use u = { .tries = 0 };
	struct own_batch mine = { NULL, NULL };
	int ret = own_batch(h, items, count, &mine);

	if (ret)
		goto out;
	do {
		cache_use_begin(h->store, &u);
		ret = nexus_cache_set_many(u.cache, mine.items, count, ttl_ms);
	} while (cache_use_end(h->store, &u, &ret));
	stats_add(cache_sets, count);
	if (ret)
		stats_inc(cache_set_errors);
out:
	free(mine.items);
	free(mine.keys);
	return ret;
}

static int handle_del_matching(struct nexus_cache *cache, const struct nexus_cache_key *pattern,
			       uint64_t *deleted)
{
	struct handle *h = to_handle(cache);
	struct cache_use u = { .tries = 0 };
	struct own_key mine;
	int ret = own(h, pattern, &mine);

	if (ret)
		return ret;
	do {
		cache_use_begin(h->store, &u);
		ret = nexus_cache_delete_matching(u.cache, &mine.key, deleted);
	} while (cache_use_end(h->store, &u, &ret));
	stats_inc(cache_deletes);
	return ret;
}

/* ---- messages -------------------------------------------------------------------------- */

static int handle_publish(struct nexus_cache *cache, const struct nexus_cache_key *channel,
			  const void *data, size_t size, uint64_t *receivers)
{
	struct handle *h = to_handle(cache);
	struct cache_use u = { .tries = 0 };
	struct own_key mine;
	int ret = own(h, channel, &mine);

	if (ret)
		return ret;
	do {
		cache_use_begin(h->store, &u);
		ret = nexus_cache_publish(u.cache, &mine.key, data, size, receivers);
	} while (cache_use_end(h->store, &u, &ret));
	if (!ret)
		stats_inc(cache_messages);
	return ret;
}

static int handle_subscribe(struct nexus_cache *cache, const struct nexus_cache_key *channel,
			    const struct nexus_cache_wish *wish, struct nexus_cache_sub **sub)
{
	struct handle *h = to_handle(cache);
	struct own_key mine;
	int ret = own(h, channel, &mine);

	return ret ? ret : cache_subscribe(cache, &mine.key, wish, sub);
}

/* The server it is of may be lost already: then the keeper does that when it is back. */
static int attach_to_server(struct cachestore *s, struct cache_subscriber *c)
{
	struct cache_inst *inst = cache_inst_now(s);
	int ret;

	if (!inst)
		return 0;
	ret = inst->cache->ops->attach(inst->cache, c->sub);
	if (!ret) {
		c->inst = inst;
		return 0;
	}
	if (ret == -ENOTCONN) {
		cache_inst_leave(s, inst);
		ret = 0;
	}
	cache_inst_put(inst);
	return ret;
}

static int handle_attach(struct nexus_cache *cache, struct nexus_cache_sub *sub)
{
	struct cachestore *s = to_handle(cache)->store;
	struct cache_subscriber *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return -ENOMEM;
	c->sub = sub;
	pthread_mutex_lock(&s->subscribing);
	ret = s->local->ops->attach(s->local, sub);
	if (ret)
		goto out;
	ret = attach_to_server(s, c);
	if (ret) {
		s->local->ops->detach(s->local, sub);
		goto out;
	}
	pthread_mutex_lock(&s->list);
	c->next = s->subscribers;
	s->subscribers = c;
	c = NULL;
	pthread_mutex_unlock(&s->list);
out:
	pthread_mutex_unlock(&s->subscribing);
	free(c);
	return ret;
}

static void handle_detach(struct nexus_cache *cache, struct nexus_cache_sub *sub)
{
	struct cachestore *s = to_handle(cache)->store;
	struct cache_subscriber **at, *c;

	pthread_mutex_lock(&s->subscribing);
	pthread_mutex_lock(&s->list);
	for (at = &s->subscribers; (*at)->sub != sub; at = &(*at)->next)
		;
	c = *at;
	*at = c->next;
	pthread_mutex_unlock(&s->list);
	s->local->ops->detach(s->local, sub);
	if (c->inst)
		c->inst->cache->ops->detach(c->inst->cache, sub);
	pthread_mutex_unlock(&s->subscribing);
	cache_inst_put(c->inst);
	free(c);
}

/* A service's entries are nobody else's. */
static void handle_clear(struct nexus_cache *cache)
{
	static const struct nexus_cache_part any[] = { NEXUS_CACHE_ANY };
	const struct nexus_cache_key all = { any, 1, true };

	handle_del_matching(cache, &all, NULL);
}

static void handle_stats(struct nexus_cache *cache, struct nexus_cache_stats *stats)
{
	struct cachestore *s = to_handle(cache)->store;

	s->local->ops->stats(s->local, stats);
}

static enum nexus_cache_reach handle_reach(struct nexus_cache *cache)
{
	struct cachestore *s = to_handle(cache)->store;
	struct cache_inst *inst = cache_inst_now(s);

	cache_inst_put(inst);
	if (inst)
		return NEXUS_CACHE_SHARED;
	/* The keeper of a server is there from the opening on. */
	return s->keeping ? NEXUS_CACHE_CUT_OFF : NEXUS_CACHE_ALONE;
}

static const struct nexus_cache_ops handle_ops = {
	.get = handle_get,
	.set = handle_set,
	.del = handle_del,
	.ttl = handle_ttl,
	.get_many = handle_get_many,
	.set_many = handle_set_many,
	.del_matching = handle_del_matching,
	.publish = handle_publish,
	.subscribe = handle_subscribe,
	.fetch = cache_fetch,
	.unsubscribe = cache_unsubscribe,
	.attach = handle_attach,
	.detach = handle_detach,
	.clear = handle_clear,
	.stats = handle_stats,
	.reach = handle_reach,
};

int cachestore_get(struct cachestore *s, const char *service, struct nexus_cache **cache)
{
	struct handle *h;
	int ret = cachestore_open(s);

	if (ret)
		return ret;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->base.ops = &handle_ops;
	h->store = s;
	snprintf(h->service, sizeof(h->service), "%s", service);
	*cache = &h->base;
	return 0;
}

void cachestore_put(struct nexus_cache *cache)
{
	if (cache)
		free(to_handle(cache));
}
