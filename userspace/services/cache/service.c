// SPDX-License-Identifier: Apache-2.0
/* Service cache: a cache store for those who have none of their own. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"

int cache_get(struct cache *c, const struct nexus_cache_key *key, void **data, size_t *size)
{
	int ret = nexus_cache_get(c->store, key, data, size);

	if (!ret)
		atomic_fetch_add(&c->hits, 1);
	else if (ret == -ENOENT)
		atomic_fetch_add(&c->misses, 1);
	return ret;
}

int cache_set(struct cache *c, const struct nexus_cache_set_args *a)
{
	int ret = nexus_cache_set(c->store, &a->key, a->data, a->size, a->ttl_ms);

	if (!ret)
		atomic_fetch_add(&c->sets, 1);
	return ret;
}

int cache_del(struct cache *c, const struct nexus_cache_key *key)
{
	atomic_fetch_add(&c->deletes, 1);
	return nexus_cache_delete(c->store, key);
}

int cache_del_matching(struct cache *c, const struct nexus_cache_key *pattern, uint64_t *deleted)
{
	atomic_fetch_add(&c->deletes, 1);
	return nexus_cache_delete_matching(c->store, pattern, deleted);
}

void cache_state(struct cache *c, struct nexus_cache_state *st)
{
	st->hits = atomic_load(&c->hits);
	st->misses = atomic_load(&c->misses);
	st->sets = atomic_load(&c->sets);
	st->deletes = atomic_load(&c->deletes);
	c->store->ops->stats(c->store, &st->kept);
}

/* ---- operations --------------------------------------------------------------------- */

static int op_get(void *self, void *args)
{
	struct nexus_cache_get_args *a = args;
	struct cache *c = self;
	void *data = NULL, *copy;
	size_t size = 0;
	int ret = cache_get(c, &a->key, &data, &size);

	if (ret)
		return ret;
	copy = c->host->args_more(args, size ? size : 1);
	if (copy && size)
		memcpy(copy, data, size);
	free(data);
	a->data = copy;
	a->size = size;
	return copy ? 0 : -ENOMEM;
}

static int op_set(void *self, void *args)
{
	return cache_set(self, args);
}

static int op_del(void *self, void *args)
{
	return cache_del(self, &((struct nexus_cache_del_args *)args)->key);
}

static int op_del_matching(void *self, void *args)
{
	struct nexus_cache_del_matching_args *a = args;

	return cache_del_matching(self, &a->pattern, &a->deleted);
}

static int op_state(void *self, void *args)
{
	cache_state(self, args);
	return 0;
}

static int init(const struct nexus_service_host *host, struct nexus_service *me, void **self)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->host = host;
	c->me = me;
	*self = c;
	return 0;
}

static int start(void *self)
{
	struct cache *c = self;

	return c->host->cache(c->me, &c->store);
}

static int stop(void *self)
{
	(void)self;
	return 0;
}

static void cleanup(void *self)
{
	free(self);
}

static const struct nexus_cache_service_ops ops = {
	.get = op_get,
	.set = op_set,
	.del = op_del,
	.del_matching = op_del_matching,
	.state = op_state,
};

static const struct nexus_protocol provides[] = {
	NEXUS_PROTOCOL(NEXUS_CACHE, NEXUS_CACHE_VERSION, ops),
	NEXUS_PROTOCOLS_END,
};

NEXUS_SERVICE = {
	.abi = NEXUS_SERVICE_ABI,
	.name = "cache",
	.version = "1.0",
	.provides = provides,
	.service_init = init,
	.service_start = start,
	.service_stop = stop,
	.service_cleanup = cleanup,
	.rpc = cache_rpc,
};
