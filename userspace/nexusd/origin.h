/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A zone's origin: its content store as the place from where the zone can be made again.
 * There are who owns it (owner.h), checkpoints of the index, and the log behind them.
 *
 * One thread for each zone that is open for writing, for which only fsync with
 * durability=origin waits; and one that deletes, for which nobody does.
 */
#ifndef NEXUSD_ORIGIN_H
#define NEXUSD_ORIGIN_H

#include "origin_stream.h"
#include "owner.h"
#include "zone.h"

#define ORIGIN_RENEW_MS		20000u	/* between two looks at who owns the zone */
#define ORIGIN_RETRY_MS		10000u	/* after an error */
#define ORIGIN_RETRY_WANTED_MS	1000u	/* while somebody waits */

/* How long a mount waits for the store, of a zone that was this machine's; tests have less. */
extern unsigned int origin_mount_ms;

#define ORIGIN_SHARE		50u	/* percent: origin.share */

/* A pack that is no more, and may be in checkpoints up to one. */
struct origin_dead {
	struct origin_dead *next;
	u64 pack;
	u64 number;
};

struct origin {
	struct zone *z;
	struct content *content;
	atomic_bool stop;
	struct owner owner;
	atomic_bool owned;		/* this helper took it */
	atomic_bool fenced;		/* another has it */
	_Atomic u64 epoch;		/* it was taken in; for others than the thread */
	atomic_bool manifested;		/* a manifest was seen, or put; likewise */
	struct origin_manifest manifest;	/* count 0: none */
	/* Streams of its checkpoints as they were put, for increments; .spool NULL: not here. */
	struct origin_stream_kept {
		struct origin_checkpoint cp;
		FILE *spool;
	} kept[NEXUS_MANIFEST_MAX];
	u32 share;			/* percent of a whole one that increments on it may be */
	char manifest_etag[CONTENT_ETAG_SIZE];	/* "": there is none */
	u64 number;			/* of the last checkpoint that was begun; dead_lock */
	bool numbered;			/* dead_lock; the store was asked for that */
	u64 *there;			/* packs known to be with the store, in order */
	size_t nthere;
	struct seg_cursor cursor;	/* behind the last batch that is with the store */
	u64 end;			/* LSN there; 0: a checkpoint comes first */
	size_t part_bytes;		/* of parts that are written */
	bool failed;			/* the last step; said once */
	struct origin_first *first;	/* of the mount, under way; or NULL */

	pthread_mutex_t dead_lock;
	struct origin_dead *dead;	/* dead_lock */

	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool quit;			/* lock */
	u64 reached;			/* lock; LSN: below it everything is with the store */
	u64 wanted;			/* lock; the highest somebody waits for, or waited */
	u32 waiting;			/* lock */
	pthread_cond_t done;		/* a step was made, or quit */

	pthread_t tidier;
	bool tidying;			/* there is that thread */
	pthread_cond_t tidy_cond;	/* with lock: tidy_due, or quit */
	bool tidy_due;			/* lock */
	struct origin_manifest tidy_manifest;	/* lock; what it goes by */
	u64 renew_at, checkpoint_at, log_at;	/* ms, of the clock of origin_step() */
};

/*
 * Before anything of a zone is changed, after it was loaded; z->origin stays NULL where
 * there is no content store or it has no named objects, and owns nothing where the store
 * cannot be opened.  An error refuses the zone, with a
 * line.  @alive: it was taken over from a helper: the store is asked later, by the thread,
 * and a zone that another owns is failed then.
 */
int origin_open(struct zone *z, bool alive, struct errline *err);
int origin_start(struct zone *z);
/* What is under way ends soon, unfinished. */
void origin_stop(struct zone *z);
/*
 * After the last fold of a zone that was unmounted.  @whole: all of its log is in the index:
 * a last checkpoint is made, and the store released if that went well; taken before, if this
 * helper did not come to that.  Else there is a line.
 */
void origin_end(struct zone *z, bool whole);
void origin_free(struct zone *z);

/*
 * Waits until everything below @lsn, which is durable here, is with the store: what there is
 * goes at once then.  0; -ETIMEDOUT: nothing has gone there for origin_timeout; -EROFS: another owns
 * the zone; -ESHUTDOWN: origin_stop(); -EOPNOTSUPP: of this zone nothing is kept there.
 */
int origin_sync(struct zone *z, u64 lsn);
/* Whether origin_sync() can work; else an error with a line. */
int origin_can_sync(struct zone *z, struct errline *err);

/* Whether packs may be put and deleted: nobody else owns the zone, as far as is known. */
bool origin_owns(struct zone *z);
/* Whether it is known that another does. */
bool origin_fenced(struct zone *z);
/* A pack is gone for good.  False: its copy is to go at once. */
bool origin_forget(struct zone *z, u64 pack);
/* Whether it waits for that: a checkpoint may name it. */
bool origin_keeps(struct zone *z, u64 pack);
/*
 * Whether the part @name of a checkpoint or of the log belongs to what @m names; of other
 * names always.
 */
bool origin_needs(const struct origin_manifest *m, const char *name);

struct taking;

/*
 * What is due at @now (ms, never going back): renewal, checkpoint, log.  When the next
 * is.  For the thread, and for tests, which have none.
 */
u64 origin_step(struct origin *o, u64 now);
/* What is not there, and somebody waits for; 0: nobody does. */
u64 origin_awaited(struct origin *o);
/* A checkpoint of the index as it is on disk.  0, or an error with a line. */
int origin_checkpoint(struct origin *o, struct errline *err);
/* The log that is durable by now and not with the store.  -ESTALE: no longer here, whole. */
int origin_log(struct origin *o, struct errline *err);
/*
 * origin_tidy.c: the manifest has changed, so something may go: by the thread, if it was
 * started before that of origin_step(), which nobody waits for; else at once.
 */
void origin_tidy(struct origin *o);
int origin_tidy_start(struct origin *o);
/* With quit set and tidy_cond signalled, after the other thread's end. */
void origin_tidy_stop(struct origin *o);
/* Another owns the zone: it is read-only from now on, with that as the reason. */
void origin_fence(struct origin *o, const char *why);

/* origin_increment.c: what makes one checkpoint of another */
/*
 * Whether @t's stream of @bytes is to be put as an increment, which is in @out then; its file
 * is the caller's to close.  False: whole.
 */
bool origin_increment(struct origin *o, struct taking *t, u64 bytes, struct origin_stream_out *out);
/* It is the newest of the manifest now: its stream stays. */
void origin_keep_stream(struct origin *o, const struct origin_checkpoint *cp, struct taking *t);
/* Whether there were any. */
bool origin_drop_streams(struct origin *o);

/* origin_packs.c: those of @t's index that are sealed are with the store after it.  -ESTALE: the index is too old */
int origin_put_packs(struct origin *o, struct taking *t, struct errline *err);

/* origin_take.c: what a stream is made of */
struct open_pack {
	u64 pack;
	u32 blocks;
	u64 *need;		/* bits: blocks that are in use */
	struct nexus_pack_line *table;
};

/* A pack that batches of a stretch speak of. */
struct held_pack {
	u64 pack;
	u32 lines;		/* of the stretch */
	u32 used;		/* blocks up to its last; once it is sealed */
	bool sealed;		/* by a record of the stretch */
	bool asked;		/* the kernel has been, to seal it */
	bool named;		/* it is with the store: its blocks need not be in the stream */
};

struct taking {
	struct zone *z;
	struct origin_stream_out out;
	struct seglog log;
	u64 lsn, log_from, incarnation;	/* of the index that was taken */
	u64 end;			/* of the log that was */
	bool bad;			/* a block was no longer what its record says */
	u64 *sealed;			/* packs with anything alive, in order */
	size_t nsealed;
	struct open_pack *open;		/* others, in order */
	size_t nopen;
	struct held_pack *held;		/* of the stretch of the log, in order */
	size_t nheld;
	bool naming;			/* the stream has some of them */
	struct pack_reader *reader;
	u8 *block;
};

/* 0 or an error; taking_end() is due in any case. */
int taking_begin(struct taking *t, struct zone *z);
void taking_end(struct taking *t);
/* All keys of the index on disk, of one moment. */
int take_index(struct taking *t);
/*
 * Batches from @t->end on, which @c stands before, to where the log is durable, and the
 * blocks they name.  -ESTALE: not there any more.
 */
int take_log(struct taking *t, struct seg_cursor *c);
/*
 * origin_held.c: packs that batches from where @c stands up to *@target fill and seal are
 * with the store then, as far as that works, and named in the stream in place of their
 * blocks.  Those with much of it that are still open are sealed first, and *@target is
 * behind that.  -ESTALE: a batch is not there any more.
 */
int take_held(struct taking *t, const struct seg_cursor *c, u64 *target);
bool taking_names(const struct taking *t, u64 pack);
/* The one of that number among those that are open in the index, or NULL. */
struct open_pack *taking_open(const struct taking *t, u64 pack);
/* Blocks of the packs that are open in the index. */
int take_open(struct taking *t);
/* What was handed out by now: the last item. */
int take_alloc(struct taking *t);

#endif /* NEXUSD_ORIGIN_H */
