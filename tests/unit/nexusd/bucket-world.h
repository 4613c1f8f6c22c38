/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket in memory, and a mounted one on top of it, without a kernel. */
#ifndef TEST_BUCKET_WORLD_H
#define TEST_BUCKET_WORLD_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bucket/bucket.h"
#include "chan.h"
#include "lib/read.h"
#include "zone.h"

struct key {
	char *key;
	char etag[32];
	u64 size;
	s64 mtime;
};

struct world {
	struct bucket_store store;	/* first */
	struct key *keys;		/* in order */
	size_t n, cap;
	unsigned int page;		/* keys in a page */
	int error;			/* of every request */
	unsigned int lists, gets;
	u64 got;			/* bytes */
	void (*between)(struct world *w);	/* after the first page of a listing */

	struct bucket *b;
	struct zone *z;			/* NULL: only what needs none */
	struct chan chan;
	struct config cfg;
	int (*ioctl)(struct world *w, unsigned long cmd, void *arg);
	char dir[64];
	u8 reply[NEXUS_REPLY_DATA_MAX];
	int len;			/* of the last answer, or -errno */
};

struct world *world_new(bool with_zone);
void world_free(struct world *w);
void world_put(struct world *w, const char *key, u64 size, const char *etag);
void world_del(struct world *w, const char *key);
/* What the byte at @at of the object is. */
u8 world_byte(const char *key, const char *etag, u64 at);
/* A request as the kernel's: answered, and looked at as the kernel does.  w->len. */
int world_ask(struct world *w, u32 op, u64 ino, u64 arg0, u64 arg1, const char *name);
/* The inode of a path below the root, or -errno. */
s64 world_walk(struct world *w, const char *path);
/* Names in a directory, read in steps as readdir() does; asserts on order.  How many. */
size_t world_read(struct world *w, u64 dir, void (*fn)(void *arg, const char *name, u64 pos),
		  void *arg);
static inline const struct nexus_entry_reply *world_entry(struct world *w)
{
	return (const void *)w->reply;
}

#endif /* TEST_BUCKET_WORLD_H */
