/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket that is mounted: a zone that is read-only, whose index is what was listed of the
 * bucket (tree.h), and whose packs are a cache of ranges of its objects.
 *
 * Locks: bucket.lock is a leaf, of who lists and of the cache; tree.lock is taken outside of
 * it or without it.  No request is waited for with either.
 */
#ifndef NEXUSD_BUCKET_H
#define NEXUSD_BUCKET_H

#include <stdatomic.h>

#include <linux/nexusfs.h>

#include "config.h"
#include "../readon.h"
#include "tree.h"

#define BUCKET_SOURCE	512u	/* with its NUL */

struct zone;

/* A file of the cache. */
struct bpack {
	struct bpack *next;
	u64 id;
	int fd;
	bool evicting;
	unsigned int telling;	/* threads that tell the kernel what is in it */
	u64 present;		/* blocks */
	u64 bits[BTREE_PACK_BLOCKS / 64];	/* from the first of content on */
};

/* Blocks that are being fetched. */
struct bop {
	struct bop *next;
	u64 vblock, n;
};

struct bucket {
	struct zone *zone;		/* NULL in tests of what needs none */
	char source[BUCKET_SOURCE];	/* as it was mounted */
	struct bucket_store *store;
	atomic_bool stop;
	u64 ttl;			/* ms */
	_Atomic u64 forgotten;		/* ms; what was listed by then is not believed */
	struct btree tree;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	u64 now;			/* lock; ms, of the last listing: no two are alike */
	u64 hidden;			/* lock; keys that cannot be shown, of all listed so far */

	int dirfd;			/* of the cache's files */
	struct bpack *packs;		/* lock */
	struct bop *ops;		/* lock */
	u64 inflight;			/* lock; bytes */
	u64 cached;			/* lock; blocks */
	u64 limit, ahead, flight;	/* bytes: kept, fetched ahead, in flight at most */
	struct readon readers;		/* lock; of blocks of objects, by inode */
};

/* open.c */
/* True: @name is that of a bucket which this helper, or one before it, has mounted. */
bool bucket_known(const struct config *cfg, const char *name);
/* Answers OPEN_ZONE with OPEN_BUCKET: looks at the bucket, attaches, starts. */
int bucket_open(struct zone *z, const char *source, u64 ticket, struct errline *err);
/* Takes a living one over from a helper that died. */
int bucket_reattach(struct zone *z, const struct nexus_zone_next *zn, struct errline *err);
/* What is left of buckets that no mount has any more, as after the machine died. */
void bucket_sweep(const struct config *cfg, bool (*in_use)(void *arg, const char *name), void *arg);
/* What waits ends, as nothing is answered any more.  NULL is allowed, as below. */
void bucket_stop(struct bucket *b);
/* It is unmounted: the cache goes. */
void bucket_finish(struct zone *z);
void bucket_free(struct bucket *b);

/* list.c */
/* The driver for "s3://..." and the settings; *@store is closed with its ops. */
/*
 * Whether it can be listed: a mount that could not show anything fails, soon, and @err says
 * why.  -ENOENT: there is no such bucket.
 */
int bucket_try(const struct config *cfg, const char *source, const atomic_bool *stop,
	       struct errline *err);
int bucket_open_store(const struct config *cfg, const char *source, const atomic_bool *stop,
		      struct bucket_store **store, struct errline *err);
/* @b is zeroed but for what list.c needs none of.  0 or -ENOMEM. */
int bucket_init(struct bucket *b, u64 ttl);
/*
 * Before @req is answered out of the tree: has what it needs listed, if that is not known, or
 * not for the ttl.  0; -EAGAIN: not without waiting, and @may_block is false; or what the
 * caller is to see.  -ESHUTDOWN.
 */
int bucket_look(struct bucket *b, const struct nexus_request *req, bool may_block);

struct bucket_counts {
	u64 entries, hidden;
	struct bmerge m;
};

/* Lists a directory now; of a file the one it is in.  @counts may be NULL.  As bucket_look(). */
int bucket_list(struct bucket *b, u64 ino, struct bucket_counts *counts, struct errline *err);
/* What is known of names is to be asked for again. */
void bucket_forget(struct bucket *b);

/* data.c */
/* Hands the pack's file over, for OPEN_PACK. */
int bucket_offer_pack(struct bucket *b, u64 pack);
/* Brings blocks of it, for ENSURE.  0, -ESTALE: the object is another now; or -errno. */
int bucket_fetch(struct bucket *b, u64 pack, u32 block, u32 n);
void bucket_close_packs(struct bucket *b);

/* Any request of a bucket's zone but to open it: what goes into the reply, or -errno. */
int bucket_answer(struct bucket *b, const struct nexus_request *req, void *out, bool may_block);

/* test.c: a directory instead of a bucket, "test:/DIR", for tests */
extern const struct bucket_ops bucket_test_ops;

#endif /* NEXUSD_BUCKET_H */
