/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cache store: values that may be gone at any time, and messages, for services.
 *
 * Nothing may depend on it: what is read is found again elsewhere when it is not
 * there, and a store that keeps nothing is a store.  A service never sees which
 * driver it is.  What it may rely on: a value that was replaced or deleted is
 * not given any more to who asks after that call's return, on this helper.
 *
 * A key is a list of parts, any bytes each: ("a:b", "c") and ("a", "b:c")
 * are two.  Every service has keys and channels of its own; that of another
 * cannot be named.  A pattern is a list of parts as well, some of which may be
 * globs (NEXUS_CACHE_GLOB).
 *
 * Errors are the negative errno below.
 *
 *   -ENOENT	there is none
 *   -EINVAL	no parts, a kind of part that is not allowed here, a time
 *		beyond NEXUS_CACHE_TTL_MAX
 *   -ENAMETOOLONG	a key beyond NEXUS_CACHE_PARTS_MAX or NEXUS_CACHE_KEY_MAX
 *   -EMSGSIZE	a value or message that is too large
 *   -E2BIG	a batch with too many items, or too many bytes
 *   -ENOSPC	a value did not fit into the store; what was under its key is gone
 *   -EUSERS	NEXUS_CACHE_SUBSCRIBERS_MAX
 *   -EIO	the store is lost again and again
 *   -EMFILE, -ENOMEM
 *
 * No call waits for a server beyond a limit (Documentation/cachestore.md).
 *
 * Threads: a struct nexus_cache may be used by any number of them at once, a
 * subscription by one at a time.
 */
#ifndef NEXUS_CACHESTORE_H
#define NEXUS_CACHESTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEXUS_CACHE_PARTS_MAX		16u		/* of a key, one of them the service's name */
#define NEXUS_CACHE_KEY_MAX		1024u		/* all parts, and a few bytes more for each */
#define NEXUS_CACHE_VALUE_MAX		(1u << 20)
#define NEXUS_CACHE_BATCH_MAX		64u		/* items */
#define NEXUS_CACHE_BATCH_BYTES		(8u << 20)	/* of the values of a set_many */
#define NEXUS_CACHE_TTL_MAX		(7ull * 24 * 3600 * 1000)	/* ms */
#define NEXUS_CACHE_MESSAGE_MAX		(64u << 10)
#define NEXUS_CACHE_QUEUE_DEFAULT	256u		/* messages */
#define NEXUS_CACHE_QUEUE_MAX		4096u
#define NEXUS_CACHE_QUEUE_BYTES		(4u << 20)
#define NEXUS_CACHE_SUBSCRIBERS_MAX	1024u		/* of a store */
#define NEXUS_CACHE_FAULT_MAX		256		/* with its NUL */

struct nexus_cache;	/* a store */

enum nexus_cache_kind {
	NEXUS_CACHE_EXACT	= 0,	/* these bytes */
	NEXUS_CACHE_GLOB	= 1,	/* of a pattern: * any bytes, ? one, \ the next as it is */
};

/** struct nexus_cache_part - of a key or a pattern; @data may be NULL with @size 0 */
struct nexus_cache_part {
	const void *data;
	uint32_t size;
	uint32_t kind;
};

/**
 * struct nexus_cache_key - a key, a channel, or a pattern
 * @parts: @count of them
 * @below: of a pattern: keys with more parts than it has are meant, too
 */
struct nexus_cache_key {
	const struct nexus_cache_part *parts;
	uint32_t count;
	bool below;
};

#define NEXUS_CACHE_P(data, size)	{ (data), (uint32_t)(size), NEXUS_CACHE_EXACT }
#define NEXUS_CACHE_ANY			{ "*", 1, NEXUS_CACHE_GLOB }
#define NEXUS_CACHE_KEY(array)	\
	((struct nexus_cache_key){ (array), sizeof(array) / sizeof((array)[0]), false })

/**
 * struct nexus_cache_item - of a batch
 * @key: of the item
 * @data: set_many: the value; get_many: set, for free(3), or NULL: there is none
 * @size: of it
 */
struct nexus_cache_item {
	struct nexus_cache_key key;
	void *data;
	size_t size;
};

enum nexus_cache_what {
	NEXUS_CACHE_MESSAGE	= 0,
	NEXUS_CACHE_LOST	= 1,	/* the queue was full: .lost messages */
	NEXUS_CACHE_GAP		= 2,	/* the store was lost or is back: nobody knows how many */
};

/**
 * struct nexus_cache_message - what came for a subscriber
 * @what: enum nexus_cache_what
 * @data: of a message, else NULL; for free(3)
 * @size: of @data
 * @lost: of NEXUS_CACHE_LOST
 */
struct nexus_cache_message {
	uint32_t what;
	void *data;
	size_t size;
	uint64_t lost;
};

/**
 * struct nexus_cache_wish - how a subscriber wants it
 * @queue: messages that may wait; 0: NEXUS_CACHE_QUEUE_DEFAULT
 * @wake: called when the first message waits, with a lock held: it calls nothing of the
 *	store, and does not wait.  Not after the return of unsubscribe.  NULL: there is a descriptor
 * @arg: for @wake
 */
struct nexus_cache_wish {
	uint32_t queue;
	void (*wake)(void *arg);
	void *arg;
};

/**
 * struct nexus_cache_sub - a subscription
 * @cache: the store it is of
 * @fd: readable while something waits; -1 with nexus_cache_wish.wake
 */
struct nexus_cache_sub {
	struct nexus_cache *cache;
	int fd;
};

/**
 * struct nexus_cache_stats - of a store, as far as it is in this process
 * @entries: kept now
 * @bytes: they take
 * @evicted: gone for lack of room
 * @expired: gone for their time
 * @subscribers: now
 */
struct nexus_cache_stats {
	uint64_t entries;
	uint64_t bytes;
	uint64_t evicted;
	uint64_t expired;
	uint64_t subscribers;
};

/** enum nexus_cache_reach - whom messages reach now */
enum nexus_cache_reach {
	NEXUS_CACHE_ALONE	= 0,	/* this helper; there is no server */
	NEXUS_CACHE_CUT_OFF	= 1,	/* this helper, until the server is back */
	NEXUS_CACHE_SHARED	= 2,	/* all helpers of the server */
};

/**
 * struct nexus_cache_ops - what a store can do; services use the inline
 *	functions below, which say what each is
 * @attach, @detach: for the helper: a subscription that is of another store, too
 * @clear: for the helper: all entries go, and nobody is told
 * @stats: for the helper
 * @reach: the helper's; NULL in a driver
 */
struct nexus_cache_ops {
	int (*get)(struct nexus_cache *cache, const struct nexus_cache_key *key, void **data,
		   size_t *size);
	int (*set)(struct nexus_cache *cache, const struct nexus_cache_key *key, const void *data,
		   size_t size, uint64_t ttl_ms);
	int (*del)(struct nexus_cache *cache, const struct nexus_cache_key *key);
	int (*ttl)(struct nexus_cache *cache, const struct nexus_cache_key *key, uint64_t *ms);
	int (*get_many)(struct nexus_cache *cache, struct nexus_cache_item *items, size_t count);
	int (*set_many)(struct nexus_cache *cache, const struct nexus_cache_item *items,
			size_t count, uint64_t ttl_ms);
	int (*del_matching)(struct nexus_cache *cache, const struct nexus_cache_key *pattern,
			    uint64_t *deleted);
	int (*publish)(struct nexus_cache *cache, const struct nexus_cache_key *channel,
		       const void *data, size_t size, uint64_t *receivers);
	int (*subscribe)(struct nexus_cache *cache, const struct nexus_cache_key *channel,
			 const struct nexus_cache_wish *wish, struct nexus_cache_sub **sub);
	int (*fetch)(struct nexus_cache_sub *sub, struct nexus_cache_message *msg);
	void (*unsubscribe)(struct nexus_cache_sub *sub);
	int (*attach)(struct nexus_cache *cache, struct nexus_cache_sub *sub);
	void (*detach)(struct nexus_cache *cache, struct nexus_cache_sub *sub);
	void (*clear)(struct nexus_cache *cache);
	void (*stats)(struct nexus_cache *cache, struct nexus_cache_stats *stats);
	enum nexus_cache_reach (*reach)(struct nexus_cache *cache);
};

/** struct nexus_cache - a store; drivers keep theirs around it */
struct nexus_cache {
	const struct nexus_cache_ops *ops;
};

/** nexus_cache_get() - the value under a key; *@data for free(3), not NULL.  -ENOENT */
static inline int nexus_cache_get(struct nexus_cache *cache, const struct nexus_cache_key *key,
				  void **data, size_t *size)
{
	return cache->ops->get(cache, key, data, size);
}

/**
 * nexus_cache_set() - put a value under a key, whatever was there
 * @cache: the store
 * @key: the key
 * @data: copied
 * @size: at most NEXUS_CACHE_VALUE_MAX
 * @ttl_ms: how long it may stay; 0: NEXUS_CACHE_TTL_MAX
 *
 * After an error what was there may be gone, but no value is there that was not set.
 */
static inline int nexus_cache_set(struct nexus_cache *cache, const struct nexus_cache_key *key,
				  const void *data, size_t size, uint64_t ttl_ms)
{
	return cache->ops->set(cache, key, data, size, ttl_ms);
}

/** nexus_cache_delete() - take a value away; -ENOENT when there was none */
static inline int nexus_cache_delete(struct nexus_cache *cache, const struct nexus_cache_key *key)
{
	return cache->ops->del(cache, key);
}

/** nexus_cache_ttl() - whether there is a value, and how long it may stay yet.  -ENOENT */
static inline int nexus_cache_ttl(struct nexus_cache *cache, const struct nexus_cache_key *key,
				  uint64_t *ms)
{
	return cache->ops->ttl(cache, key, ms);
}

/**
 * nexus_cache_get_many() - values under several keys, of one moment
 * @cache: the store
 * @items: their keys; @data and @size are set.  After an error none is
 * @count: at most NEXUS_CACHE_BATCH_MAX
 */
static inline int nexus_cache_get_many(struct nexus_cache *cache, struct nexus_cache_item *items,
				       size_t count)
{
	return cache->ops->get_many(cache, items, count);
}

/** nexus_cache_set_many() - set() of each; after an error some may be set */
static inline int nexus_cache_set_many(struct nexus_cache *cache,
				       const struct nexus_cache_item *items, size_t count,
				       uint64_t ttl_ms)
{
	return cache->ops->set_many(cache, items, count, ttl_ms);
}

/**
 * nexus_cache_delete_matching() - take all values away whose key matches
 * @cache: the store
 * @pattern: part by part
 * @deleted: how many were seen to go; more may be gone.  May be NULL
 */
static inline int nexus_cache_delete_matching(struct nexus_cache *cache,
					      const struct nexus_cache_key *pattern,
					      uint64_t *deleted)
{
	return cache->ops->del_matching(cache, pattern, deleted);
}

/**
 * nexus_cache_publish() - a message to those who subscribe to a channel now
 * @cache: the store
 * @channel: a name like a key; it has nothing to do with the key
 * @data: copied
 * @size: at most NEXUS_CACHE_MESSAGE_MAX
 * @receivers: subscribers in this helper; with a server: helpers.  May be NULL
 */
static inline int nexus_cache_publish(struct nexus_cache *cache,
				      const struct nexus_cache_key *channel, const void *data,
				      size_t size, uint64_t *receivers)
{
	return cache->ops->publish(cache, channel, data, size, receivers);
}

/**
 * nexus_cache_subscribe() - messages of a channel that are published after the return
 * @cache: the store
 * @channel: as in nexus_cache_publish()
 * @wish: NULL: as it is by default
 * @sub: set on success; for nexus_cache_unsubscribe()
 */
static inline int nexus_cache_subscribe(struct nexus_cache *cache,
					const struct nexus_cache_key *channel,
					const struct nexus_cache_wish *wish,
					struct nexus_cache_sub **sub)
{
	return cache->ops->subscribe(cache, channel, wish, sub);
}

/** nexus_cache_fetch() - what waits, in order, without waiting: 1, or 0 for nothing; -ENOMEM */
static inline int nexus_cache_fetch(struct nexus_cache_sub *sub, struct nexus_cache_message *msg)
{
	return sub->cache->ops->fetch(sub, msg);
}

/** nexus_cache_unsubscribe() - end a subscription; NULL is allowed */
static inline void nexus_cache_unsubscribe(struct nexus_cache_sub *sub)
{
	if (sub)
		sub->cache->ops->unsubscribe(sub);
}

/**
 * nexus_cache_reach() - whom messages reach: for those who have to say so
 * @cache: the store
 *
 * Never waits for the server.  NEXUS_CACHE_ALONE stays so; from any other a subscriber is
 * told by a NEXUS_CACHE_GAP, behind which this has changed.
 */
static inline enum nexus_cache_reach nexus_cache_reach(struct nexus_cache *cache)
{
	return cache->ops->reach(cache);
}

/*
 * For the helper, which has the drivers null and mem in it.  Another one is NAME.so
 * in the folder cachestore of drivers_dir, and exports one symbol, nexus_cache_driver.
 * It may rely on SIGPIPE being ignored.
 */
#define NEXUS_CACHE_DRIVER_ABI		2u	/* changes with this file */
#define NEXUS_CACHE_DRIVER_SYMBOL	"nexus_cache_driver"

/** struct nexus_cache_fault - why it failed, in one line for people; never a password */
struct nexus_cache_fault {
	int error;
	char text[NEXUS_CACHE_FAULT_MAX];
};

/**
 * struct nexus_cache_options - how to open a store
 * @at: redis: where the server is; else not looked at
 * @bytes: mem: the most that entries take, with what is needed to find them
 * @entries: mem: the most there are
 * @reply_ms: redis: the longest a call waits for the server
 * @lost: redis: the server is lost: once, on any thread, also within a call.  From then on
 *	each call fails with -ENOTCONN.  It calls nothing of the store
 * @lost_arg: for @lost
 * @now_ms: mem: a clock that only goes forward; NULL: the system's
 */
struct nexus_cache_options {
	const char *at;
	uint64_t bytes;
	uint64_t entries;
	uint32_t reply_ms;
	void (*lost)(void *arg, const struct nexus_cache_fault *fault);
	void *lost_arg;
	uint64_t (*now_ms)(void);
};

/**
 * struct nexus_cache_driver - a driver
 * @abi: NEXUS_CACHE_DRIVER_ABI; nothing else is looked at when it is another
 * @name: that of the file without ".so"
 * @open: an empty store; redis: -ENOTCONN, -EACCES, -EINVAL, -EIO
 * @close: no call may be under way, and no subscription attached
 */
struct nexus_cache_driver {
	uint32_t abi;
	const char *name;
	int (*open)(const struct nexus_cache_options *options, struct nexus_cache_fault *fault,
		    struct nexus_cache **cache);
	void (*close)(struct nexus_cache *cache);
};

#endif /* NEXUS_CACHESTORE_H */
