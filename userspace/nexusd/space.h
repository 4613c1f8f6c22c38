/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space that dies inside of packs: the thread that looks for it, and what its
 * parts share.  The thread waits for the disk and for the kernel, and the maker
 * must never wait for that, so it is one of its own.
 */
#ifndef NEXUSD_SPACE_H
#define NEXUSD_SPACE_H

#include "survey.h"

/* What is known of a pack since it was looked at last. */
struct space_hint {
	u64 pack;
	u32 live;		/* then */
	u32 absent;		/* by its head */
	u32 content;		/* blocks that were written */
	bool small;		/* and all of it can be moved: to one with others */
	bool unheld;		/* elsewhere, then: to be looked into once it is */
	u32 waits;		/* how often in a row it had to be left for later */
	u64 due;		/* ns, of space_clock(): when it is looked into again; or 0 */
};

struct space {
	struct zone *z;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool kick;			/* lock */
	u32 urgent;			/* lock; who wait for work, with writers behind them */
	struct memtable index;		/* the metastore alone */
	/* In the order of ids, of the last pass and of the one under way. */
	struct space_hint *hints, *next;
	size_t nhints, nnext, next_cap;
	u64 looked_at;			/* checkpoint of the last pass */
	u64 due;			/* the first of the hints'; or 0 */
	u64 tail;			/* of the log, when we last paid */
	u64 own;			/* of it since, bytes of our records; work */
	bool cannot_punch;		/* the host's filesystem has no holes */
	bool ready;			/* work; nobody else writes packs for us any more */

	pthread_mutex_t work;		/* one pack at a time, whoever asks; and below */
	struct pack_image to;		/* where live blocks go */
	u32 to_next;			/* its next free block; 0: there is none */
	u8 *buf;
	u64 asked_end;			/* of who asks for compaction: packs made since */
};

/* What was done with one pack, or several. */
struct space_done {
	u64 packs;
	u64 moved;			/* blocks */
	u64 skipped;			/* pieces */
};

/* space_turn.c */
#define SPACE_SLEEP_MAX_NS	2000000000ull

enum space_until { SPACE_NS, SPACE_FOLDED, SPACE_URGENT };

u64 space_clock(void);
/* For so long, or until the zone ends, or until something was folded, or work is urgent. */
void space_sleep(struct space *sp, u64 ns, enum space_until what);
/* Takes work, for what nobody waits for: a mutex goes to who is awake, so others come first. */
void space_lock(struct space *sp);
/* Whoever has work goes on to the end of a step, or of a pack, but does not sleep. */
void space_lock_urgently(struct space *sp);
/*
 * Has used the disk for @bytes and @ns: sleeps for as long as is due, or less when
 * the zone ends, or work is wanted to make room for writers.
 */
void space_pay(struct space *sp, u64 bytes, u64 ns);
/* Whether an error is of the zone, and not of the pack or the file where it was met. */
bool space_zone_error(int err);

/* punch.c */
/*
 * Gives dead blocks of a surveyed pack back to the host.  0 also if there are none, or the
 * pack must be put first (s->unheld); -EAGAIN: not now, the pack is to be looked into
 * again; or another error.
 */
int space_punch(struct space *sp, struct survey *s);
/* Whether the pack is not punched yet: it is to be put first, and there is room until then. */
bool space_waits(struct zone *z, u64 pack);
/*
 * RETIREs what is to go (s->gone), with @flags (NEXUS_RT_*), of a pack that the kernel
 * is given first if need be.  As the ioctl; -ENOENT: the pack itself goes.
 */
int survey_retire(struct zone *z, const struct survey *s, u32 flags);

/* compact.c; work held */
/* Whether moving what is alive of @content blocks pays, and punching does not. */
bool space_worth_moving(struct space *sp, const struct survey *s, u32 content);
/* Whether nearly all of what is alive can be moved. */
bool space_movable(struct space *sp, const struct survey *s);
/*
 * Moves what can be moved; what is wrong with one piece is logged, and it stays.  0;
 * -EOPNOTSUPP: not in this zone; -ENOSPC: no room to move it to; -EAGAIN: not now, some
 * of it cannot be fetched; -ERESTART: somebody waits for work urgently, and not all is
 * moved; or an error that ends the pass.
 */
int space_compact(struct space *sp, struct survey *s, struct space_done *done);
/* What was written to is sealed, and another one made when there is need. */
int space_seal(struct space *sp);

struct evict_done;
/* evict.c; work held.  As zone_evict(), or with @held as zone_evict_held(). */
int space_evict(struct space *sp, u64 pack, bool held, struct evict_done *done);

/* space.c, for the control socket */
/*
 * Moves what can be moved out of the next pack above *@after that is wanted: one
 * of @packs, or with @n 0 one that is less than half alive, or with @all one of
 * which anything is dead.  *@after becomes its id, or 0 when there is none left.
 * Begins by writing the index, so that what is known to be dead is; may take long.
 * Where the host has no room to move it to, what is dead is given back instead.
 * A pack that has to be left as it is counts as skipped.  0; -EOPNOTSUPP as above; -EROFS:
 * the zone is read-only; -ESHUTDOWN: it is closed.
 */
int zone_compact_step(struct zone *z, const uint64_t *packs, size_t n, bool all, u64 *after,
		      struct space_done *done);

#endif /* NEXUSD_SPACE_H */
