/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept outside, in the cache store, for all helpers with the same record store.
 *
 * It is never stale, for what is there does not become wrong: each entry says what is
 * true behind a certain write, the last one of what it depends on, and has that write's mark in
 * its key (struct rebac_stamp).  Who asks reads from the record store which mark there is now,
 * so behind a revocation it looks under another one.  Times are in the entry.  A seal over
 * key and value, by a secret of the record store, keeps out who only has the cache store.
 *
 * Without a server, or while that is lost, nothing is there and nothing is put: questions
 * are answered from the record store.  All functions may be called by several threads
 * at once, and with a NULL share, which has nothing.
 */
#ifndef PERMISSIONS_SHARE_H
#define PERMISSIONS_SHARE_H

#include <nexus/cachestore.h>
#include <nexus/services/permissions.h>

#include "cache.h"

#define SHARE_YES_MS	300000u		/* how long a yes may stay there */
#define SHARE_NO_MS	60000u
#define SHARE_LIST_MS	3600000u
#define SHARE_LIST_MAX	10000u		/* objects of a list */

struct share;

/*
 * @cache: stays the caller's; @say: told of each switch.  NULL without memory, and *@ret is
 * -ENOMEM; or because @cache has no server, and *@ret is 0.
 */
struct share *share_new(struct nexus_cache *cache, void (*say)(void *arg, bool shared), void *arg,
			int *ret);
void share_free(struct share *s);
/* Asks the store, so that it is how it is now. */
void share_state(struct share *s, struct nexus_permission_sharing *to);

/* The answer about an object, when it is there and good at @now. */
bool share_find(struct share *s, const struct cache_place *p, u32 number, s64 now,
		struct rebac_answer *a);
/* It was found out; what is not sure, or depends on facts, is not put. */
void share_put(struct share *s, const struct cache_place *p, u32 number, s64 now,
	       const struct rebac_answer *a);
/* A list of all objects there are: @l->found is to be freed, and has @l->n. */
bool share_find_list(struct share *s, const struct cache_place *p, s64 now,
		     struct rebac_listing *l);
void share_put_list(struct share *s, const struct cache_place *p, s64 now,
		    const struct rebac_listing *l);

#endif /* PERMISSIONS_SHARE_H */
