/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libnexus: what the content store of a zone has that nobody needs, and what it lacks.
 *
 * A job is begun, and asked for until it is over: it takes as long as the store takes to
 * list all it has.
 */
#ifndef NEXUS_GC_H
#define NEXUS_GC_H

#include <stdbool.h>
#include <stdint.h>

#include <nexus/nexus.h>

#ifdef __cplusplus
extern "C" {
#endif

/** enum nexus_gc_what - what is wrong with an object of a zone's content store */
enum nexus_gc_what {
	NEXUS_GC_LEAKED,		/* nobody needs it */
	NEXUS_GC_MISSING,		/* a pack that is needed, and not there */
	NEXUS_GC_FOREIGN,		/* no name of nexusfs' */
};

/** struct nexus_gc_object - one of those; @name: printable ASCII, other bytes as \\xNN */
struct nexus_gc_object {
	enum nexus_gc_what what;
	const char *name;
	uint64_t bytes;
};

/** typedef nexus_gc_fn - is given an object; as nexus_zone_fn */
typedef int (*nexus_gc_fn)(void *arg, const struct nexus_gc_object *object);

/** struct nexus_gc_sum - so many objects, and their bytes */
struct nexus_gc_sum {
	uint64_t objects, bytes;
};

/** struct nexus_gc - how far looking through a store is; times are seconds since 1970 */
struct nexus_gc {
	bool run;			/* what has leaked is deleted */
	bool over;
	int error;			/* why it ended before its end: negative errno */
	char why[512];			/* the same in words */
	uint64_t begun, ended;
	struct nexus_gc_sum listed, leaked, missing, foreign;
	struct nexus_gc_sum young;	/* would have leaked, but are younger than gc_grace */
	struct nexus_gc_sum deleted;
	uint64_t failed;		/* could not be deleted */
	char failed_why[256];		/* the first of them */
};

/**
 * nexus_gc_start() - begin to look through the content store of a mounted zone; for root
 * and group nexusfs
 * @client: the client
 * @zone: its name; -ENXIO when it is not mounted, -EOPNOTSUPP without a store, -EROFS when it
 *	is read-only or another machine's, -EALREADY when somebody does
 * @run: delete what nobody needs
 * @job: for nexus_gc_status()
 */
int nexus_gc_start(struct nexus_client *client, const char *zone, bool run, uint64_t *job);
/**
 * nexus_gc_status() - how far it is; waits for the end, a second at most
 * @client: the client
 * @zone: its name
 * @job: as nexus_gc_start() gave it; -ESRCH: there is none any more
 * @gc: filled in
 * @fn: is given what was found, once it is over, a thousand of each kind at most; or NULL
 * @arg: first argument of @fn
 *
 * A job for which nobody asks within a minute ends.
 */
int nexus_gc_status(struct nexus_client *client, const char *zone, uint64_t job,
		    struct nexus_gc *gc, nexus_gc_fn fn, void *arg);

#ifdef __cplusplus
}
#endif

#endif /* NEXUS_GC_H */
