/* SPDX-License-Identifier: Apache-2.0 */
/* Service cache, between its files. */
#ifndef SERVICE_CACHE_H
#define SERVICE_CACHE_H

#include <stdatomic.h>

#include <nexus/rpc.h>
#include <nexus/services/cache.h>

struct cache {
	const struct nexus_service_host *host;
	struct nexus_service *me;
	struct nexus_cache *store;
	atomic_ullong hits, misses, sets, deletes;
};

/* service.c: the operations; @data of a get is for free(3). */
int cache_get(struct cache *c, const struct nexus_cache_key *key, void **data, size_t *size);
int cache_set(struct cache *c, const struct nexus_cache_set_args *a);
int cache_del(struct cache *c, const struct nexus_cache_key *key);
int cache_del_matching(struct cache *c, const struct nexus_cache_key *pattern, uint64_t *deleted);
void cache_state(struct cache *c, struct nexus_cache_state *st);

/* rpc.c */
extern const struct nexus_rpc_service cache_rpc[];

#endif /* SERVICE_CACHE_H */
