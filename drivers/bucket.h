/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buckets of others, as a tree of names: what is listed and read there, and never changed.
 *
 * A content driver may have a table of these, too (content_ops.bucket).  Each function may
 * be called from several threads at once, tries again itself where that helps, and ends soon
 * with -ESHUTDOWN once *stop is set.  With an error @err has a line of words.
 */
#ifndef NEXUS_DRIVERS_BUCKET_H
#define NEXUS_DRIVERS_BUCKET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <nexus/types.h>

#include "drivers/errline.h"

#define BUCKET_KEY_MAX	1024u	/* bytes of a key, below the place */
#define BUCKET_ETAG_MAX	128u	/* with its NUL */

struct bucket_ops;

/* First member of every driver's. */
struct bucket_store {
	const struct bucket_ops *ops;
	const atomic_bool *stop;
};

/* An object, or with @is_prefix what several keys have before their next '/', with that. */
struct bucket_object {
	const char *key;	/* below the place; during the call, as @etag */
	const char *etag;
	__u64 size;
	__s64 mtime;		/* seconds since 1970 */
	bool is_prefix;
};

typedef int (*bucket_object_fn)(void *arg, const struct bucket_object *o);

struct bucket_ops {
	/* @where: what follows "s3:": "//BUCKET[/PREFIX][;KEY=VALUE]...". */
	int (*open)(const char *where, const atomic_bool *stop, struct bucket_store **b,
		    struct errline *err);
	void (*close)(struct bucket_store *b);
	/*
	 * A page of what begins with @prefix, in the order of bytes, grouped at '/'; @most: 0:
	 * as many as a page has.  *@token: NULL: the first page; malloc'ed; it becomes that of
	 * the next, or NULL: there is none.  After an error it is freed, and NULL.  What @fn
	 * returns other than 0 is returned.  -ENODEV: there is no such bucket; -EACCES.
	 */
	int (*list)(struct bucket_store *b, const char *prefix, unsigned int most, char **token,
		    bucket_object_fn fn, void *arg, struct errline *err);
	/*
	 * How many bytes from @offset on of the object with this @etag, "": of any; fewer only
	 * if it ends there.  -ESTALE: it is another now; -ENOENT: there is none.
	 */
	ssize_t (*get)(struct bucket_store *b, const char *key, const char *etag, __u64 offset,
		       void *buf, size_t len, struct errline *err);
};

#endif /* NEXUS_DRIVERS_BUCKET_H */
