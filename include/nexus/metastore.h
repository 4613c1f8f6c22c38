/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metastore pillar: an ordered key-value store with snapshots and atomic,
 * durable write batches.  Drivers are compiled in and chosen by name at start.
 *
 * Keys are 1..NEXUS_KEY_MAX bytes, compared as memcmp does, shorter first.
 * Values are at most 64 KiB and a little more (NEXUS_VALUE_MAX).
 *
 * Every function returns 0 or a negative errno.  Threads may use one store at
 * the same time; a snapshot and a batch belong to the thread that began them.
 */
#ifndef NEXUS_METASTORE_H
#define NEXUS_METASTORE_H

#include <nexus/types.h>

struct nexus_metastore;
struct nexus_ms_snap;
struct nexus_ms_batch;

struct nexus_ms_opts {
	bool rdonly;		/* nothing on disk changes */
	bool create;		/* the store is new; the directory exists */
	__u64 map_size;	/* address space at first, 0: the driver's default */
};

struct nexus_ms_info {
	__u64 entries;
	__u64 bytes_used;	/* on disk or in memory */
	__u64 bytes_map;	/* address space it may use before it grows */
};

struct nexus_ms_driver {
	const char *name;
	bool persistent;	/* a store outlives the process */

	/*
	 * Opens the store in @dir.  On error @err (of @errlen bytes) gets one
	 * line saying what is wrong.  A missing store without @create: -ENOENT;
	 * a truncated or foreign one: -EUCLEAN.
	 */
	int (*open)(const char *dir, const struct nexus_ms_opts *opts,
		    struct nexus_metastore **ms, char *err, size_t errlen);
	void (*close)(struct nexus_metastore *ms);

	/* A view that does not change.  Held for less than a second. */
	int (*begin_read)(struct nexus_metastore *ms, struct nexus_ms_snap **snap);
	void (*end_read)(struct nexus_ms_snap *snap);
	/* -ENOENT if there is none.  *val is valid until end_read. */
	int (*get)(struct nexus_ms_snap *snap, const void *key, size_t klen,
		   const void **val, size_t *vlen);
	/*
	 * The first key >= @key, or > @key with @after; -ENOENT at the end.  The
	 * pointers are valid until end_read.
	 */
	int (*seek)(struct nexus_ms_snap *snap, const void *key, size_t klen,
		    bool after, const void **fkey, size_t *fklen,
		    const void **val, size_t *vlen);

	/*
	 * One batch at a time; others wait.  After a failed put or del nothing
	 * of the batch can be kept: -ENOSPC is for commit, which says -EAGAIN if
	 * the store could grow; any other error, for abort.  commit and abort end
	 * the batch, whatever they return.  The thread must hold no snapshot
	 * meanwhile.
	 *
	 * commit: the batch is durable when it returns 0.  -EAGAIN: the store
	 * had to grow; nothing was changed; write the same batch again.  Any
	 * other error: nothing was changed.
	 */
	int (*begin_write)(struct nexus_metastore *ms, struct nexus_ms_batch **batch);
	int (*put)(struct nexus_ms_batch *batch, const void *key, size_t klen,
		   const void *val, size_t vlen);
	/* 0 also when the key is absent. */
	int (*del)(struct nexus_ms_batch *batch, const void *key, size_t klen);
	int (*commit)(struct nexus_ms_batch *batch);
	void (*abort)(struct nexus_ms_batch *batch);

	int (*info)(struct nexus_metastore *ms, struct nexus_ms_info *info);
};

/* First member of every driver's store. */
struct nexus_metastore {
	const struct nexus_ms_driver *drv;
};

extern const struct nexus_ms_driver nexus_ms_lmdb;
extern const struct nexus_ms_driver nexus_ms_mem;

/* The drivers there are, ended by NULL, the default first. */
extern const struct nexus_ms_driver *const nexus_ms_drivers[];

#endif /* NEXUS_METASTORE_H */
