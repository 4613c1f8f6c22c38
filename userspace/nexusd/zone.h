/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A zone that is open: its store, memtable, applier, and the threads that fold,
 * make spares and clean up.
 *
 * Locks, outermost first: helper.zones_lock > applier.lock > memtable.lock >
 * driver.  fold_lock and make_lock only guard the flags of their threads, scrub_lock
 * the pointer.
 */
#ifndef NEXUSD_ZONE_H
#define NEXUSD_ZONE_H

#include <stdatomic.h>

#include "applier.h"
#include "chan.h"
#include "config.h"
#include "replay.h"
#include "store.h"

#define ZONE_INO_RANGE		(1ull << 20)	/* inode numbers handed over at once */
#define ZONE_SPARE_PACKS	2u		/* packs handed over at mount */
/*
 * Space of the host that growth leaves alone: for the index, and for compaction,
 * which needs room to make room.
 */
#define ZONE_INDEX_SPACE	(64ull << 20)
#define ZONE_COMPACT_PACKS	2u

struct helper;
struct space;
struct fetch;
struct upload;
struct origin;
struct evictor;
struct log_pack;
struct bucket;

/* What is to be cleaned up after the last incarnation; found before attach. */
struct zone_leftovers {
	u64 *orphans;		/* inode, data id pairs */
	size_t norphans;
	u64 *packs;		/* pack, used pairs: open ones */
	size_t npacks;
};

/* A dead pack whose record is gone at @lsn; the file goes when that is folded. */
struct zone_dead_pack {
	struct zone_dead_pack *next;
	u64 pack;
	u64 lsn;
};

struct zone {
	atomic_uint refs;
	struct helper *helper;
	const struct config *cfg;
	struct chan *chan;
	char name[NEXUS_ZONE_NAME_LEN];
	char dir[PATH_MAX];
	u32 id;
	bool rdonly;
	bool reattached;
	bool unclean;			/* at open */
	int lock_fd;			/* until the kernel has it */
	u64 floor;			/* answer nothing from a state below */

	struct super sb;		/* fold thread, after open */
	pthread_mutex_t alloc_lock;
	struct alloc al;		/* alloc_lock */
	u64 first_pack;			/* lower ids are of earlier incarnations */
	struct nexus_metastore *ms;
	struct nexus_objectstore *os;
	struct seglog applog;		/* applier.lock */
	struct seglog foldlog;		/* fold thread */
	struct memtable mt;
	struct applier applier;
	struct chan_ring ring;
	struct replay replay;

	pthread_t apply_thread;
	struct watch *watch;		/* of the applier thread; NULL: not running */
	int wake_fd;			/* eventfd of the applier thread */
	atomic_bool stopping;
	atomic_bool dropped;		/* the kernel knows the zone no more */
	atomic_bool closing;		/* a closer is at work, or was */

	pthread_mutex_t fold_lock;
	pthread_cond_t fold_cond;
	pthread_t fold_thread;
	bool fold_running;
	bool fold_kick;			/* fold_lock */
	atomic_uint fold_errors;	/* in a row */

	pthread_mutex_t make_lock;
	pthread_cond_t make_cond;
	pthread_t make_thread;
	bool make_running;
	bool make_kick;			/* make_lock */
	u32 next_segment_file;		/* maker thread */
	u64 spare;			/* pack made in advance, 0: none; maker thread */
	u64 *recycle;			/* unused packs of before; maker thread */
	size_t nrecycle;
	atomic_bool nospace;
	u64 kept;			/* packs' room set aside; report_lock */
	u64 reported_avail;		/* the host's bytes, as last reported; report_lock */
	u64 kept_for;			/* the kernel's wish that led to it; report_lock */
	struct zone_leftovers leftovers;	/* maker thread */
	pthread_mutex_t dead_lock;	/* the kernel forgets packs, or is given them */
	struct zone_dead_pack *dead;	/* dead_lock; maker thread */
	u64 bulk_lsn;			/* after the last step of bulk deletion */
	u64 cleaned_at;			/* checkpoint of the last look for dead packs */
	struct space *space;		/* until the last reference goes; NULL: read-only */

	struct fetch *fetch;		/* until the last reference goes; NULL: at rest */
	struct upload *upload;		/* likewise; NULL: read-only, or nowhere to put it */
	struct origin *origin;		/* likewise; NULL: nothing of it is kept elsewhere */

	struct evictor *evictor;	/* likewise; NULL: content may take any room */
	struct bucket *bucket;		/* likewise; NULL: it is no bucket that is shown */

	pthread_mutex_t scrub_lock;	/* of the pointer; outside of scrub's own */
	struct scrub *scrub;		/* scrub_lock; NULL: no thread */

	pthread_mutex_t gc_lock;	/* of the pointer; outside of the job's own */
	struct gc *gc;			/* gc_lock; the last job; NULL: there was none */

	_Atomic u64 checkpoint;
	_Atomic u64 log_from;		/* of the index as it is on disk */
	u64 frozen_log_from;		/* what it will be with the frozen generation; folder */
	struct log_pack *log_packs;	/* rehome.c; NULL: none */
	size_t nlog_packs;
	pthread_mutex_t report_lock;
	pthread_mutex_t reason_lock;
	int error;			/* reason_lock */
	char reason[112];		/* reason_lock: why read-only */
};

/*
 * For workers_add(): a zone whose store hangs keeps no other waiting.  Those that are being
 * opened have no id yet, and are one.
 */
static inline u64 zone_work_key(u32 id)
{
	return (u64)id + 1;
}

static inline u64 zone_growth_reserve(const struct zone *z)
{
	return ZONE_INDEX_SPACE + (u64)ZONE_COMPACT_PACKS * z->sb.pack_size;
}

/* zone.c */
struct zone *zone_new(struct helper *h, const struct config *cfg, struct chan *chan,
		      const char *name);
/* For timed waits on CLOCK_MONOTONIC. */
void zone_cond_init(pthread_cond_t *cond);
void zone_get(struct zone *z);
void zone_put(struct zone *z);
/* Remembers why the zone is read-only, and tells the kernel if it has the zone. */
void zone_fail(struct zone *z, int error, u64 lsn, const char *reason);
int zone_error(struct zone *z, char reason[112]);
void zone_report(struct zone *z);
/* Reports if the host has gained or lost space since it was last told of. */
void zone_report_space(struct zone *z);
/* Everything below is in segments and flushed; 0 without a ring. */
u64 zone_durable(const struct zone *z);
u32 zone_flags(const struct zone *z);
/* Blocks the kernel wants to be kept for what it promised. */
u64 zone_keep(const struct zone *z);
/* Usage of the whole zone, from the merged view. */
int zone_usage(struct zone *z, u64 *inodes, u64 *blocks);
/* Unwritten blocks of files that somebody may still write to. */
int zone_unwritten(struct zone *z, u64 *blocks);
/* Kinds of quotas (bits) with a limit anywhere. */
int zone_limits(struct zone *z, u64 *kinds);

/* open.c: what is needed to read the store: everything but the kernel's side. */
int zone_load(struct zone *z, bool rdonly, bool reattach, struct errline *err);
/* Answers OPEN_ZONE: takes the lock, loads, attaches, starts. */
int zone_open(struct zone *z, u32 how, u64 ticket, struct errline *err);
/*
 * Makes @rec part of a zone at rest that was loaded for writing; durable, and the
 * zone is clean afterwards.  Its LSN is filled in.
 */
int zone_append(struct zone *z, struct nexus_rec_head *rec, struct errline *err);
/* For applier_init(), with the zone. */
extern const struct applier_ops zone_applier_ops;
/* Its attributes and log to the kernel and back; @ttl: ms, of what others change, or 0. */
int zone_attach(struct zone *z, u64 ticket, u64 ttl, struct errline *err);
/* The same of one that lives: zn->id. */
int zone_attach_again(struct zone *z, const struct nexus_zone_next *zn, struct errline *err);
/* Takes a living zone over from a helper that died. */
int zone_reattach(struct zone *z, const struct nexus_zone_next *zn, struct errline *err);

/* close.c */
/* Stops every thread; afterwards only zone_put(). */
void zone_stop(struct zone *z);
/* The kernel unmounted the zone: applies and folds the rest, marks it clean. */
void zone_finish(struct zone *z);
/* The helper ends and the zone lives on: applies and folds what can be. */
void zone_leave(struct zone *z);

/* apply_thread.c */
int zone_apply_start(struct zone *z);
void zone_apply_stop(struct zone *z);

/* fold.c */
int zone_fold_start(struct zone *z);
void zone_fold_stop(struct zone *z);
void zone_fold_kick(struct zone *z);
/*
 * Writes everything applied into the metastore, waiting up to @wait_ms for it
 * to be durable in the log.  @clean: sets the clean flag in the same batch if
 * nothing is left.  0; -EAGAIN: not durable in time; or the store's error.
 */
int zone_fold(struct zone *z, unsigned int wait_ms, bool clean);
/* While a log is replayed, under applier.lock: folds what was applied so far. */
int zone_fold_replay(struct zone *z);
/* At open, before attach: folds what was replayed and opens a new incarnation. */
int zone_fold_open(struct zone *z);

/* rehome.c: content that only the log has */
/*
 * After a replay, before the zone is anybody's: what is in force goes to packs, as by
 * records behind the tail.  Of a zone that is not to be changed the packs are files
 * without a name, for as long as this helper has it open; where they cannot be made,
 * reads of those blocks fail.  @lenient: what belongs to no file is left out.
 */
int zone_rehome(struct zone *z, bool lenient, struct errline *err);
/* A descriptor of such a pack, to be closed, and its blocks; -ENOENT: it is none. */
int zone_log_pack(const struct zone *z, u64 pack, u32 *blocks);
void zone_log_packs_free(struct zone *z);

/* maker.c */
int zone_make_start(struct zone *z);
void zone_make_stop(struct zone *z);
void zone_make_kick(struct zone *z);
/* For another pack to grow into. */
bool zone_host_has_space(struct zone *z);
/* Hands over what a new incarnation begins with. */
int zone_hand_over(struct zone *z, struct errline *err);
/*
 * Pack files nothing points into, for the maker: not known to the index, nor, as ids up
 * to @above may be, to the kernel.
 */
int zone_find_spares(struct zone *z, u64 above);
/* Takes numbers out of N, durably. */
int zone_take_inos(struct zone *z, u64 *first, u64 *end);
int zone_take_packs(struct zone *z, u32 n, u64 *first);

/* keep.c, on the maker thread */
/* At open: what was set aside before. */
int zone_keep_open(struct zone *z);
/* Sets aside what the kernel wants, if there is space for it, and says so. */
void zone_keep_step(struct zone *z);
/* A pack made of what is kept, handed over by @hand.  -ENOENT: nothing is kept. */
int zone_keep_use(struct zone *z, int (*hand)(struct zone *z, u64 pack, u32 flags));

/* clean.c, on the maker thread */
int zone_find_leftovers(struct zone *z);
void zone_clean_step(struct zone *z);
/*
 * Taken over from another helper, and its records known: seals the packs that it was
 * writing.  The kernel says which are its own.
 */
int zone_adopt_packs(struct zone *z);
/* Submits a record; *lsn is that behind it (may be NULL).  As the ioctl. */
int zone_submit(struct zone *z, void *rec, size_t len, u64 *lsn);
int zone_seal_pack(struct zone *z, u64 pack, u32 used);
struct nexus_time zone_now(void);
void zone_clean_free(struct zone *z);
/* dead_lock held: the pack is on its way out. */
bool zone_pack_dying(const struct zone *z, u64 pack);

/* space.c: what dies inside of packs comes back */
int zone_space_start(struct zone *z);
/* Whoever was asking for compaction may still be on its way out afterwards. */
void zone_space_stop(struct zone *z);
void zone_space_free(struct zone *z);
/* Something was folded, and may be dead now. */
void zone_space_kick(struct zone *z);

#endif /* NEXUSD_ZONE_H */
