/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol nexus.cache, version 1: values that may be gone at any time, for all who have
 * no cache store of their own (nexus_service_host.cache): people, programs, and
 * services that share them.  Keys are of one space, which no service's own are in.
 * Documentation/services/cache.md.
 */
#ifndef NEXUS_SERVICES_CACHE_H
#define NEXUS_SERVICES_CACHE_H

#include <nexus/cachestore.h>
#include <nexus/service.h>

#define NEXUS_CACHE			"nexus.cache"
#define NEXUS_CACHE_VERSION		1

/**
 * struct nexus_cache_get_args - of get
 * @key: at most NEXUS_CACHE_PARTS_MAX - 1 parts, as everywhere here
 * @data: the value, which belongs to the arguments
 * @size: of it
 *
 * -ENOENT; -EINVAL, -ENAMETOOLONG: the key; -EIO, -ENOMEM, as everywhere here.
 */
struct nexus_cache_get_args {
	struct nexus_cache_key key;
	const void *data;
	size_t size;
};

/**
 * struct nexus_cache_set_args - of set
 * @key: the key
 * @data: the value
 * @size: at most NEXUS_CACHE_VALUE_MAX
 * @ttl_ms: how long it may stay; 0: NEXUS_CACHE_TTL_MAX
 *
 * -EMSGSIZE; -ENOSPC: it did not fit, and what was under the key is gone.
 */
struct nexus_cache_set_args {
	struct nexus_cache_key key;
	const void *data;
	size_t size;
	uint64_t ttl_ms;
};

/** struct nexus_cache_del_args - of del; -ENOENT */
struct nexus_cache_del_args {
	struct nexus_cache_key key;
};

/**
 * struct nexus_cache_del_matching_args - of del_matching
 * @pattern: parts may be globs
 * @deleted: how many were seen to go; more may be gone
 */
struct nexus_cache_del_matching_args {
	struct nexus_cache_key pattern;
	uint64_t deleted;
};

/**
 * struct nexus_cache_state - of state: what calls of this service came to
 * @hits: values that were there
 * @misses: values that were not
 * @sets: values put
 * @deletes: calls of del and del_matching
 * @kept: what this process holds, of all services
 */
struct nexus_cache_state {
	uint64_t hits;
	uint64_t misses;
	uint64_t sets;
	uint64_t deletes;
	struct nexus_cache_stats kept;
};

/** struct nexus_cache_service_ops - the operations */
struct nexus_cache_service_ops {
	nexus_op get;		/* struct nexus_cache_get_args */
	nexus_op set;		/* struct nexus_cache_set_args */
	nexus_op del;		/* struct nexus_cache_del_args */
	nexus_op del_matching;	/* struct nexus_cache_del_matching_args */
	nexus_op state;		/* struct nexus_cache_state */
};

#endif /* NEXUS_SERVICES_CACHE_H */
