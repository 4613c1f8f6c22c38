/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where content is that is not here: what holds copies of sealed packs, each an object
 * of the pack's file up to what it has last, or longer.
 *
 * A driver is a table of functions, built in or in an object of its own.  Each may be
 * called from several threads at once, returns 0 or a negative errno unless said
 * otherwise, tries again itself where that helps, and ends soon with -ESHUTDOWN once
 * *stop is set.  What it gives is checked by its caller: a driver that is wrong is an
 * error, and no more.
 */
#ifndef NEXUS_DRIVERS_CONTENT_H
#define NEXUS_DRIVERS_CONTENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>

#include <nexus/packfile.h>

#include "drivers/bucket.h"
#include "drivers/errline.h"

#define CONTENT_OPS_VERSION	5u

#define CONTENT_DRIVER_SYMBOL	"nexus_content_driver"	/* a struct content_ops */
#define CONTENT_SPEC_MAX	1024u	/* with its NUL; as STORE_CONTENT_MAX */

/* How a driver does, for people. */
struct content_state {
	char circuit[16];		/* "closed": it is asked */
	char error[256];		/* the last, "" if there was none */
	__u64 requests, retries;
	__u64 sent, received;		/* bytes */
	__u64 taken;			/* of those sent, by requests that went well */
	__u64 memory, memory_peak;	/* bytes in flight */
};

/* First member of every driver's store. */
struct content {
	const struct content_ops *ops;
	const atomic_bool *stop;
};

/* When a named object is written: always; if there is none; if it is still the one of @etag. */
enum content_cond { CONTENT_ANY, CONTENT_ABSENT, CONTENT_MATCH };

#define CONTENT_ETAG_SIZE	128u
#define CONTENT_NAME_MAX	200u

#define CONTENT_DEL_MOST	1000u	/* packs at once */

/* An object of a listing, whoever put it there. */
struct content_object {
	const char *key;	/* below the zone's place: any bytes; during the call */
	bool is_pack;		/* named as put() names @pack */
	__u64 pack;
	__u64 bytes;
	__s64 mtime;		/* seconds since 1970 by the store's clock; 0: not known */
};

typedef int (*content_object_fn)(void *arg, const struct content_object *o);

/* A write that somebody began and has not ended: @o->mtime is its begin, @o->bytes 0: not known. */
typedef int (*content_upload_fn)(void *arg, const struct content_object *o, const char *id);

struct content_ops {
	unsigned int version;		/* CONTENT_OPS_VERSION it was written for */
	const char *name;
	/*
	 * @where: what follows "NAME:" in the setting; @zone: uuid, apart from others;
	 * NULL: whichever zone's is there, and -ENOENT if there is none, to restore it.
	 */
	int (*open)(const char *where, const __u8 *zone, const atomic_bool *stop,
		    struct content **c, struct errline *err);
	void (*close)(struct content *c);
	/* Bytes of the object, once it is whole; -ENOENT: there is none. */
	int (*head)(struct content *c, __u64 pack, __u64 *bytes);
	/* How many bytes from @offset on were read: fewer only if it ends there. */
	ssize_t (*get)(struct content *c, __u64 pack, __u64 offset, void *buf, size_t len);
	/*
	 * The first @bytes of @fd, whole blocks, become the object, durably, or nothing
	 * does.  @fd is open for direct I/O, and may be longer.  -EBADFD: it cannot
	 * be read, which is nothing of the store's.
	 */
	int (*put)(struct content *c, __u64 pack, int fd, __u64 bytes);
	/* 0 also when there is none. */
	int (*del)(struct content *c, __u64 pack);
	/*
	 * Objects beside the packs.  @name: [a-z0-9._-] parts with '/' between, at most
	 * CONTENT_NAME_MAX bytes.  @etag: CONTENT_ETAG_SIZE bytes with NUL; in for
	 * CONTENT_MATCH, out when not NULL.  put: all or nothing, durable; -EEXIST: ABSENT
	 * and there is one, or MATCH and it is another, or there is none.
	 */
	int (*put_named)(struct content *c, const char *name, const void *buf, size_t len,
			 enum content_cond cond, char *etag);
	/* How many bytes from @offset on; -ENOENT. */
	ssize_t (*get_named)(struct content *c, const char *name, __u64 offset, void *buf,
			     size_t len, char *etag);
	/* 0 also when there is none. */
	int (*del_named)(struct content *c, const char *name);
	/* In order of names; what @fn returns other than 0 ends it and is returned. */
	int (*list_named)(struct content *c, const char *prefix,
			  int (*fn)(void *arg, const char *name, __u64 bytes), void *arg);

	/* What follows may be NULL. */
	/* Once in a process, before anything else; lines go to @log, which may be kept. */
	int (*begin)(void (*log)(enum log_level level, const char *fmt, ...),
		     struct errline *err);
	/* Whether it can be read and written, for who makes a zone. */
	int (*probe)(struct content *c, struct errline *err);
	void (*state)(struct content *c, struct content_state *st);
	/*
	 * A page of all that is there, in any order; what changes meanwhile may be missing,
	 * and what is there may come twice.  *@token: NULL: the first page; malloc'ed; it
	 * becomes that of the next, or NULL: there is none.  After an error it is freed,
	 * and NULL.  *@now: the store's clock, before @fn is called; 0: not known.  What @fn returns other than 0
	 * ends it and is returned.
	 */
	int (*list_page)(struct content *c, char **token, __s64 *now, content_object_fn fn,
			 void *arg);
	/*
	 * As del() of @n packs, at most CONTENT_DEL_MOST; @errors: of each.  The first error
	 * is returned.
	 */
	int (*del_packs)(struct content *c, const __u64 *packs, size_t n, int *errors);
	/*
	 * As list_page(): writes that were begun and are not over, without those of this
	 * store itself, which are under way.
	 */
	int (*uploads_page)(struct content *c, char **token, __s64 *now, content_upload_fn fn,
			    void *arg);
	/* One of those ends, and nothing of it stays; 0 also when it is over.  @key, @id: as above. */
	int (*abort_upload)(struct content *c, const char *key, const char *id);
	/* Buckets of others, of who can show them. */
	const struct bucket_ops *bucket;
};

/* Of an object beside the packs. */
static inline bool content_name_ok(const char *name)
{
	size_t len = strlen(name);

	return len && len <= CONTENT_NAME_MAX && name[0] != '/' && name[len - 1] != '/' &&
	       !strstr(name, "//") &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-/") == len;
}

#endif /* NEXUS_DRIVERS_CONTENT_H */
