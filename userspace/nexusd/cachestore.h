/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache store of the helper.  Opened when the first service asks.  With a server, the
 * store in this process takes over while it is lost, empty each time, and a thread
 * looks for it until it is back.
 */
#ifndef NEXUSD_CACHESTORE_H
#define NEXUSD_CACHESTORE_H

#include <stdint.h>
#include <time.h>

#include <nexus/cachestore.h>

struct cachestore;

/**
 * struct cachestore_opts - settings; copied
 * @driver: "null", "mem", or a driver with a server: "redis"
 * @at: where that is
 * @dir: where the drivers are
 * @owner: whose they and @dir must be (0; tests have others)
 * @bytes, @entries: as in struct nexus_cache_options
 * @reply_ms: the longest a call waits for a server
 * @retry_ms: between two looks for one that is lost; ten times that when it refuses
 */
struct cachestore_opts {
	const char *driver;
	const char *at;
	const char *dir;
	uint32_t owner;
	uint64_t bytes;
	uint64_t entries;
	uint32_t reply_ms;
	uint32_t retry_ms;
};

enum cachestore_state {
	CACHESTORE_UNUSED	= 1,	/* nobody asked for it */
	CACHESTORE_OPEN		= 2,
	CACHESTORE_DEGRADED	= 3,	/* its server is lost: this process has it */
};

/**
 * struct cachestore_info - how it is
 * @driver: its name
 * @state: now
 * @error: why it is, or was last, degraded; ""
 * @error_at: when that began
 */
struct cachestore_info {
	char driver[32];
	enum cachestore_state state;
	char error[NEXUS_CACHE_FAULT_MAX];
	time_t error_at;
};

/* NULL without memory. */
struct cachestore *cachestore_new(const struct cachestore_opts *opts);
/* No handle may be left.  A driver that was loaded stays mapped.  NULL is allowed. */
void cachestore_free(struct cachestore *s);

/*
 * A handle for one service, with keys and channels of its own.  The first waits
 * for a server as long as a call does.  -ENOMEM.
 */
int cachestore_get(struct cachestore *s, const char *service, struct nexus_cache **cache);
/* No call and no subscription of it may be left.  NULL is allowed. */
void cachestore_put(struct nexus_cache *cache);

/* Never waits for the store. */
void cachestore_info(struct cachestore *s, struct cachestore_info *info);

#endif /* NEXUSD_CACHESTORE_H */
