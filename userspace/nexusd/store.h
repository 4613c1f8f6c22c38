/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Zones on disk: DATA/zones/NAME/ with
 *
 *	LOCK			flock'ed by whoever may change the zone
 *	index/data.mdb		the metastore
 *	log/NNNNNN.seg		segment files; the number is the file's, not the segment's
 *	packs/XX/ID.pack	packs
 *	applying		which record is being applied (poison.h)
 *	content			what holds its content, unless the helper's settings say
 *	uploads			which packs that has (upload.c)
 */
#ifndef NEXUSD_STORE_H
#define NEXUSD_STORE_H

#include <limits.h>
#include <stdatomic.h>

#include "config.h"
#include "super.h"

struct content;

#define STORE_LOCK	"LOCK"
#define STORE_INDEX	"index"
#define STORE_LOG	"log"
#define STORE_PACKS	"packs"
#define STORE_SCRUB	"scrub"		/* where the regular check stands */
#define STORE_CONTENT	"content"	/* a line, as the setting of that name */
#define STORE_CONTENT_MAX	1024u	/* with its NUL */

/* Makes DATA and DATA/zones, locks DATA for this process, clears leftovers. */
int store_open_data(const struct config *cfg, int *lock_fd, struct errline *err);

/*
 * Refuses filesystems that cannot hold a store, unless allowed; warns about
 * those nobody tried.
 */
int store_check_host(const char *path, bool allow_any, struct errline *err);

/* DATA/zones/NAME[/SUB]; -ENAMETOOLONG. */
int store_path(const struct config *cfg, const char *zone, const char *sub,
	       char path[PATH_MAX]);

struct store_create {
	const char *name;
	u64 segment_size;
	u64 pack_size;
	u32 segments;
	u32 packs;
	const char *content;		/* as the setting; NULL: the helper's */
};

/* A zone being made: everything in a sibling directory, renamed at the end. */
struct store_new {
	const char *name;
	char dir[PATH_MAX];		/* of the half-made zone */
	char path[PATH_MAX];		/* where it will be */
	int dirfd;
	int lockfd;			/* its lock, held: it is being made */
};

/* Its directory, with LOCK and what is to be filled.  store_new_end() is due in any case. */
int store_new_begin(struct store_new *n, const struct config *cfg, const char *name,
		    struct errline *err);
/* With @ret 0 the zone is there, durably; else nothing is left of it.  @ret, or an error. */
int store_new_end(struct store_new *n, int ret, struct errline *err);

/*
 * What shall hold the content is asked before whether it can be read and written.
 */
int store_create_zone(const struct config *cfg, const struct store_create *sc,
		      struct errline *err);

/* What holds the content of the zone in @dir.  -ENOENT: as the helper's settings say. */
int store_read_content(const char *dir, char spec[STORE_CONTENT_MAX], struct errline *err);
int store_write_content(int dirfd, const char *spec);
/* What that names, open; *@c NULL: nothing does.  As content_open(). */
int store_open_content(const struct config *cfg, const char *dir, const __u8 zone[NEXUS_UUID_SIZE],
		       const atomic_bool *stop, struct content **c, struct errline *err);
/* Loads the drivers of all that there is, as content_load(); what fails is logged. */
void store_load_content(const struct config *cfg);

void store_remove_tree(const char *path);
/*
 * Who makes a zone holds its lock, so a half-made one that nobody has locked was left by one that
 * was killed, and goes.  @unlocked: also if it has no lock yet.  Whether it did.
 */
bool store_remove_left(const char *dir, bool unlocked);

/*
 * Opens and locks a zone's LOCK file and writes @owner into it, unless it is
 * NULL.  -EBUSY with a line that names the holder.  @wait_ms: how long to try.
 */
int store_lock_zone(const char *dir, const char *owner, unsigned int wait_ms,
		    int *fd, struct errline *err);

/* -ENOENT with a line when the zone does not exist; -EINVAL for its name. */
int store_find_zone(const struct config *cfg, const char *name, char path[PATH_MAX],
		    struct errline *err);

/* Names of the zones, sorted; free each and the array. */
int store_list_zones(const struct config *cfg, char ***names, size_t *count);

/* Opens metastore and object store of the zone in @dir. */
int store_open_index(const struct config *cfg, const char *dir, bool rdonly,
		     struct nexus_metastore **ms, struct errline *err);
int store_open_packs(const struct config *cfg, const char *dir,
		     struct nexus_objectstore **os, struct errline *err);

#endif /* NEXUSD_STORE_H */
