/* SPDX-License-Identifier: Apache-2.0 */
/* A call to a Redis server, from a connection to the last answer. */
#ifndef NEXUS_CACHESTORE_REDIS_TALK_H
#define NEXUS_CACHESTORE_REDIS_TALK_H

#include "drivers/cachestore/redis_store.h"

#define GENERATION	"nexus:generation"
#define OVERHEAD	4096u		/* of an answer, beside its values */

/* A name on the server */
struct redis_name {
	size_t size;
	char data[NEXUS_CACHE_KEY_MAX + 64];
};

/* A call under way */
struct redis_talk {
	struct redis_store *s;
	struct redis_link *link;
	int64_t until;
	char generation[17];
	char seen[17];			/* by the server; "": none */
	struct nexus_cache_fault fault;
};

/* A connection, lent until talk_end(), which gets what the call came to; -ENOTCONN. */
int talk_begin(struct redis_store *s, struct redis_talk *t);
int talk_end(struct redis_talk *t, int ret);

/* -ENOTCONN. */
int talk_no_sense(struct redis_talk *t);

/* Commands: sent when an answer is waited for.  -ENOMEM. */
int talk_send(struct redis_talk *t, int argc, const char **argv, const size_t *sizes);
int talk_send_name(struct redis_talk *t, const char *command, const struct redis_name *name);
int talk_send_generation(struct redis_talk *t);

/* An answer of one of two types; an error reply is an errno. */
int talk_reply(struct redis_talk *t, size_t limit, int type, int or_type, redisReply **reply);
int talk_number(struct redis_talk *t, long long *value);
/* @full: set when there was no room; NULL: that is an error */
int talk_ok(struct redis_talk *t, bool *full);
/* What the server says the generation is, into @t.seen. */
void talk_see(struct redis_talk *t, const redisReply *reply);
int talk_generation(struct redis_talk *t);

/* All that there is, is not found any more, by no helper. */
int talk_new_generation(struct redis_talk *t);
/* A call that is made again while the generation is not what it thought. */
int talk_again(struct redis_store *s, int (*call)(struct redis_talk *t, void *arg), void *arg);

/* What a key is called on the server. */
void talk_name(const struct redis_talk *t, const struct cache_bytes *key, struct redis_name *name);

#endif /* NEXUS_CACHESTORE_REDIS_TALK_H */
