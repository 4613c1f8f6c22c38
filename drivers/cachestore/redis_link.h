/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to a Redis server on which nothing waits for ever, and that trusts no answer. */
#ifndef NEXUS_CACHESTORE_REDIS_LINK_H
#define NEXUS_CACHESTORE_REDIS_LINK_H

#include <hiredis/hiredis.h>

#include "drivers/cachestore/common.h"

#define REDIS_PASSWORD_MAX	512u

/** struct redis_place - where the server is, and who we are there */
struct redis_place {
	char socket[108];		/* "": by TCP, on this machine */
	char host[46];
	uint16_t port;
	uint32_t db;
	char user[128];
	char passfile[256];
};

/**
 * redis_place_parse() - words "key=value", with blanks between them
 *
 * socket=PATH, or host=ADDRESS port=N on this machine; user=, passfile=, db=.
 *
 * Return: 0 or -EINVAL.
 */
int redis_place_parse(const char *at, struct redis_place *place, struct nexus_cache_fault *fault);

/** struct redis_link - a connection; @c is NULL when it could not be made */
struct redis_link {
	struct redis_link *next;
	redisContext *c;
};

/* ms of a clock that only goes forward */
int64_t redis_now_ms(void);

/**
 * redis_link_open() - connect, and say who we are
 * @until: redis_now_ms() by which it must be done
 * @run_id: 41 bytes: of the server's process
 *
 * Return: 0, -ENOTCONN, -EACCES, -EIO, -ENOMEM.
 */
int redis_link_open(const struct redis_place *place, int64_t until,
		    struct nexus_cache_fault *fault, struct redis_link **link, char run_id[41]);
void redis_link_close(struct redis_link *link);

/** redis_link_idle() - whether nothing came on it while nothing was asked, an end least of all */
bool redis_link_idle(const struct redis_link *link);

/** redis_link_send() - a command, to be sent when an answer is waited for; false: no memory */
bool redis_link_send(struct redis_link *link, int argc, const char **argv, const size_t *sizes);

/** redis_link_write() - send what can be sent; @all: that was all.  -ENOTCONN */
int redis_link_write(struct redis_link *link, bool *all, struct nexus_cache_fault *fault);

/** redis_link_read() - read what is there, without waiting.  -ENOTCONN */
int redis_link_read(struct redis_link *link, size_t *got, struct nexus_cache_fault *fault);

/** redis_link_parse() - an answer that has come, or NULL.  -ENOTCONN: it makes no sense */
int redis_link_parse(struct redis_link *link, redisReply **reply, struct nexus_cache_fault *fault);

/**
 * redis_link_reply() - the next answer
 * @until: redis_now_ms() by which all of it must be there
 * @limit: bytes that it may have
 * @reply: for freeReplyObject(); an error reply is one, too
 *
 * Return: 0, or -ENOTCONN: the connection is of no use any more.
 */
int redis_link_reply(struct redis_link *link, int64_t until, size_t limit,
		     struct nexus_cache_fault *fault, redisReply **reply);

/** redis_error() - what an error reply means: -EACCES, -ENOSPC, -EIO; with its words */
int redis_error(const redisReply *reply, struct nexus_cache_fault *fault);

#endif /* NEXUS_CACHESTORE_REDIS_LINK_H */
