/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helpers with one record store and one cache store, the driver mem with a server that
 * is said to be there or lost.
 */
#ifndef HELPERS_WORLD_H
#define HELPERS_WORLD_H

#include "base-world.h"

#include "drivers/cachestore/common.h"

#define HELPERS	3u

/* The first is @b; the third comes late, and has what they left only. */
extern struct base two, late;
extern struct base *const helpers[HELPERS];
extern u32 told[2];		/* of losing it, of having it */

extern struct nexus_cache *server;
extern const struct nexus_cache_ops *real;	/* of its driver */
extern enum nexus_cache_reach reach;
/* What was put there last, and how often. */
extern u64 sets, last_ttl;
extern u8 last_key[64], last_value[64];
extern size_t last_size;

void server_begin(const struct nexus_cache_driver *driver);
void server_end(const struct nexus_cache_driver *driver);
void note_switch(void *arg, bool shared);

int share_setup(void **state);
/* Opens the second's store, and begins it: of share_setup(). */
void their_store_again(void **state);
int share_teardown(void **state);
/* The third, which has just been started. */
void begin_late(void);

struct nexus_permission_answer ask_of(struct base *h, const char *text);
/* It is that, and surely. */
void is(struct base *h, const char *text, bool allowed);
void change_by(struct base *h, u32 kind, const char *text);
struct nexus_permission_sharing counts(struct base *h);
/* What one has found there, and not found, since it was asked this last. */
void found(struct base *h, u64 hits, u64 misses);

/* Each on each store. */
#define ON_SHARED(name) \
	{ #name " (memory)", on_##name, share_setup, share_teardown, NULL }, \
	{ #name " (SQLite)", on_##name, share_setup, share_teardown, sqlite }, \
	{ #name " (PostgreSQL)", on_##name, share_setup, share_teardown, postgres },

#endif /* HELPERS_WORLD_H */
