/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a zone's content store has and nobody needs any more, and what it lacks: its
 * listing compared with what the zone names.
 *
 * A pack is needed while the index names it, as it is or as it is on disk; while its file
 * is here, or its copy is being put or deleted; and while one of the two checkpoints in the
 * manifest names it, from which another machine may make the zone.  Ids are not used again,
 * so what none of them names, looked at in this order, never is named again.
 *
 * One job at a time for each zone, by a thread of its own that ends when nobody asks for it
 * any more.  Locks: zone.gc_lock > gc.lock, which is a leaf.
 */
#ifndef NEXUSD_GC_H
#define NEXUSD_GC_H

#include "origin.h"

#define GC_NAMES	1000u	/* of each kind that are kept to be shown */
#define GC_NAME_SIZE	320u	/* of a name as it is shown */

enum gc_what { GC_LEAKED, GC_MISSING, GC_FOREIGN, GC_WHATS };

struct gc_sum {
	u64 n, bytes;
};

struct gc_report {
	u64 job;
	bool run;		/* what has leaked is deleted */
	bool over;
	int error;		/* why it ended before its end; 0: it did not */
	char why[512];		/* the same in words */
	u64 begun, ended;	/* seconds since 1970 */
	struct gc_sum listed;	/* objects, each once */
	struct gc_sum young;	/* nobody needs them, and they stay: gc_grace */
	struct gc_sum deleted;
	u64 failed;		/* could not be */
	char failed_why[256];	/* the first of them */
	struct gc_sum sum[GC_WHATS];	/* GC_MISSING: no bytes; leaked: with those deleted */
};

/* Packs, or hashes of names: 0 is in none. */
struct gc_set {
	u64 *slot;
	size_t n, cap;
};

int gc_set_add(struct gc_set *s, u64 id);	/* 1: it was not there; 0; -ENOMEM */
bool gc_set_has(const struct gc_set *s, u64 id);
void gc_set_free(struct gc_set *s);

/* ---- gc_named.c: what checkpoints name ----------------------------------------------- */

struct gc_checkpoint {
	struct origin_checkpoint cp;
	struct gc_set packs;	/* that it names */
	struct gc_set sealed;	/* of them, those that a restore needs from the store */
};

struct gc_named {
	struct origin_manifest m;	/* count 0: there is none */
	struct gc_checkpoint at[NEXUS_MANIFEST_MAX];
};

/*
 * Reads the manifest, and those of its checkpoints that were not read before.  An error, with
 * a line: it is not known what they name.  -ESTALE: another's manifest.
 */
int gc_named_read(struct gc_named *g, struct zone *z, struct errline *err);
void gc_named_free(struct gc_named *g);
/*
 * By one of them; or that is not known, for one is of another owner than this one of @epoch,
 * and the log behind it names packs, too.
 */
bool gc_named_pack(const struct gc_named *g, u64 pack, u64 epoch);
/* 0: the store says that this machine owns the zone; -ESTALE; or another error; with a line. */
int gc_owner_check(struct zone *z, struct errline *err);

/* ---- the job -------------------------------------------------------------------------- */

enum gc_kind { GC_PACK, GC_CHECKPOINT, GC_LOG, GC_PROBE, GC_DRIVER_PROBE };

/* Something that nobody may need. */
struct gc_object {
	u8 kind;
	bool young;
	u32 part;		/* of a checkpoint, of the log */
	u64 a, b;		/* pack; epoch and number or LSN; the token */
	u64 bytes;
};

enum gc_phase {
	GC_BEGINNING, GC_LISTING, GC_UPLOADS, GC_LOOKING, GC_ASKING, GC_SWEEPING, GC_ENDING, GC_DONE
};

/* What was begun to be put and is not over. */
struct gc_uploads {
	struct gc_upload *upload;
	size_t n, cap, at;	/* [0, at) are dealt with, and freed */
	char *token;		/* of the next page */
};

struct gc {
	struct zone *z;
	struct content *c;
	pthread_t thread;
	bool running;			/* zone.gc_lock: to be joined */
	enum gc_phase phase;
	struct memtable index;		/* the metastore alone */
	char *token;			/* of the next page */
	__s64 now;			/* the store's clock; 0: it does not tell */
	struct gc_set packs, keys;	/* listed: packs; hashes of other names */
	struct gc_object *object;
	size_t n, cap, at;
	u64 *lacking;			/* packs that should have been listed, in order */
	size_t nlacking, lacking_cap, asked;
	u64 later;			/* an epoch above ours; 0: none */
	struct gc_named named;
	struct gc_uploads uploads;

	pthread_mutex_t lock;
	pthread_cond_t cond;		/* over */
	u64 asked_at;			/* lock; ns, when somebody wanted to know */
	struct gc_report r;		/* lock */
	struct gc_name {
		u64 bytes;
		char text[GC_NAME_SIZE];
	} *name[GC_WHATS];		/* lock until it is over */
	size_t nname[GC_WHATS];
};

/* Whether it is named as the helper names it, and what it is then. */
bool gc_object_of(struct gc *g, const struct content_object *c, struct gc_object *o);
/* By the store's clock, if it tells; what has no time may be as young as can be. */
bool gc_is_young(const struct gc *g, enum gc_kind kind, s64 mtime);
u64 gc_epoch_above(const struct gc *g, u64 epoch);	/* 0: it is not above this machine's */
void gc_count(struct gc *g, struct gc_sum *sum, u64 bytes);
/* One more of that kind, with its name while there is room. */
void gc_count_named(struct gc *g, enum gc_what what, const char *key, u64 bytes);
/* It could not be deleted. */
void gc_count_failed(struct gc *g, const char *name, int error);

/* gc_uploads.c: 1: there is more; 0; or an error, with a line */
int gc_uploads_list(struct gc *g, struct errline *err);
int gc_uploads_sweep(struct gc *g, struct errline *err);
void gc_uploads_free(struct gc_uploads *us);

/*
 * A job of the zone, to be done step by step.  -EOPNOTSUPP: no store, or one without a listing;
 * -EROFS: the zone is read-only, or another's; -EAGAIN: not known yet whose it is.  With a line.
 */
int gc_new(struct zone *z, bool run, struct gc **gc, struct errline *err);
/* A piece of it: 1: there is more; 0: it is done; or an error, which ends it. */
int gc_step(struct gc *g);
/* Ends it with @ret, and why. */
void gc_give_up(struct gc *g, int ret, const struct errline *err);
/* It is over: only what is told of it stays. */
void gc_forget(struct gc *g);
void gc_free(struct gc *g);

/* As gc_new(), by a thread.  -EALREADY: there is one.  *@job: its number, not 0. */
int zone_gc_start(struct zone *z, bool run, u64 *job, struct errline *err);
/*
 * Waits up to @wait_ms for its end.  Names only then, of each @fn is called, until it returns
 * other than 0, which is returned.  -ESRCH: there is no such job any more.
 */
int zone_gc_look(struct zone *z, u64 job, unsigned int wait_ms, struct gc_report *r,
		 int (*fn)(void *arg, enum gc_what what, const char *name, u64 bytes), void *arg);
/* After zone_fetch_stop(): it ends, and there is no other. */
void zone_gc_stop(struct zone *z);

#endif /* NEXUSD_GC_H */
