/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside of the log.
 *
 * LSNs of a zone:
 *
 *   checkpoint <= applied <= tail, checkpoint <= durable
 *   window <= durable <= tail, tail - window <= ring_size
 *
 * Locks: append_lock (tail, window, the ring) > lock (everything else that
 * changes; a leaf, taken with interrupts off because reservations are given back
 * from anywhere).  tail changes under both.  cur and next belong to the flush
 * worker alone.
 */
#ifndef NEXUS_LOG_LOG_H
#define NEXUS_LOG_LOG_H

#include "../nexusfs.h"

/*
 * The segments at hand are enough for everything that was admitted, whatever the
 * helper does: usable room >= not yet durable + reserved.  So whoever appends
 * waits for nothing but the disk.
 *
 * Usable room is counted for large batches.  A small one, for an fsync, takes a
 * whole block for a few records and may take it only from what is not needed for
 * that.  How much must be left over:
 *
 *   admitting growth	SLACK and the reserve for deletions
 *   admitting the rest	SLACK
 *   a small batch	FSYNC: fsync waits, killably, for a large batch or for room;
 *			with content in the log REHOME, for what tells where it has
 *			moved to is what frees segments
 *   a late folio	FSYNC
 *   sync, freezing	SYNC: with nothing admitted, there is little to sync
 *   unmounting		nothing: it is the last one
 *
 * SYNC is also what is taken without asking: PACK records of sealing.
 */
#define NEXUS_LOG_SLACK		(1024u << 10)
#define NEXUS_LOG_FSYNC		(512u << 10)
#define NEXUS_LOG_REHOME	(256u << 10)
#define NEXUS_LOG_SYNC		(64u << 10)
/* Records of a batch that loses no more than nexus_segment_usable() says. */
#define NEXUS_BATCH_LARGE	(128u << 10)
static_assert(NEXUS_BATCH_LARGE >= 31 * (NEXUS_BLOCK_SIZE +
					 sizeof(struct nexus_batch_head)));
/* Lost at the end of a segment because records are not split. */
#define NEXUS_SEGMENT_TAIL	(NEXUS_REC_LEN_MAX + 2 * NEXUS_BLOCK_SIZE)
#define NEXUS_SEGMENTS_MAX	1024

struct nexus_segment {
	struct list_head list;
	struct file *file;
	u64 index;		/* of the file, for messages */
	u64 number;		/* 0: spare, never 0 once written */
	u64 end;		/* LSN after its last record */
	u32 blocks;
	u32 next;		/* first block not yet written */
};

/* nexus_log.state bits */
enum {
	NEXUS_LOG_TICK,		/* the interval flush is armed */
	NEXUS_LOG_EVENT,	/* a late event is armed */
	NEXUS_LOG_DRY,		/* said once that somebody waits for a segment */
	NEXUS_LOG_SHORT,	/* a small batch waits for room */
	NEXUS_LOG_LAST,		/* unmounting: nothing is reserved any more */
};

struct nexus_log {
	struct nexus_zone *zone;
	struct nexus_log_ctl *ctl; /* vmalloc_user: the control page, then the ring */
	u8 *ring;
	u64 ring_size;
	u64 limit;		/* of tail - applied */
	unsigned long state;

	spinlock_t append_lock;	/* order of records */
	u64 tail, window;
	bool stopped;		/* unmounted: no more records */

	spinlock_t lock;	/* the rest of what changes */
	u64 durable, applied, checkpoint;
	u64 outstanding;	/* bytes reserved and not yet appended */
	u64 flush_to;		/* somebody waits for this LSN */
	u64 sync_to;		/* the same, with the rights of sync */
	u64 told;		/* tail at the last event */
	u64 tables;		/* pack tables on disk cover records below */
	u64 data;		/* LSN after the last DATA record */
	u64 pool;		/* bytes of all segments */
	u64 spare_room;		/* usable bytes of spare segments */
	u64 debt;		/* nanoseconds of throttling not yet slept */
	unsigned int nr_segments, nr_spares;
	struct list_head spares;
	struct list_head full;	/* by number */
	struct nexus_segment *cur;

	/* Flush worker. */
	u64 next_segment, incarnation;
	u32 prev_crc;
	struct page **pages;	/* one batch */
	struct bio_vec *bvec;
	u8 *batch;		/* the pages, mapped */

	wait_queue_head_t flush_wait;	/* durable moved */
	wait_queue_head_t room_wait;	/* reservations */
	wait_queue_head_t segment_wait;	/* the flush worker, for a segment */

	struct workqueue_struct *wq;
	struct work_struct flush_work;
	struct work_struct recycle_work;
	struct work_struct kick_work;	/* writeback of the superblock; holds a zone reference */
	struct delayed_work tick_work;
	struct delayed_work event_work;
};

/* log.c */
void nexus_log_event(struct nexus_log *log);	/* now */
void nexus_log_event_later(struct nexus_log *log);
/* An event although nothing changed: somebody has been waiting for long. */
void nexus_log_nudge(struct nexus_zone *zone);
void nexus_log_flush_to(struct nexus_log *log, u64 lsn);
/* Flushes what there is in @delay unless that is due already. */
void nexus_log_later(struct nexus_log *log, unsigned long delay);

/* reserve.c */
/*
 * Whether a small batch of all that is not durable may be written now.  If not,
 * NEXUS_LOG_SHORT is set and the flush worker called when that changes.
 */
bool nexus_log_may_batch(struct nexus_log *log);
/* Reserves without asking for room: a few bytes that must not wait. */
void nexus_log_reserve_forced(struct nexus_zone *zone, struct nexus_resv *resv,
			      size_t bytes);
void nexus_log_kick_work(struct work_struct *work);
/* A DATA record ends at @lsn. */
void nexus_log_has_data(struct nexus_zone *zone, u64 lsn);
/* Whether there is room for content in the log, beyond what records need. */
bool nexus_log_plenty(struct nexus_zone *zone);
/* Has content moved out of the log if segments are short and may be kept for it. */
void nexus_log_rehome(struct nexus_log *log);
/* Bytes the segment in use has left, spare ones hold and all have.  Process context. */
void nexus_log_space(struct nexus_log *log, u64 *left, u64 *spare, u64 *pool);
/* Room or limit changed for the better. */
void nexus_log_wake_room(struct nexus_log *log);

/* segment.c */
u64 nexus_segment_usable(u64 bytes);
/*
 * The segment the next batch goes to, with room for a record of @len bytes;
 * waits for one.  NULL once the zone failed.  Flush worker only.
 */
struct nexus_segment *nexus_log_segment(struct nexus_log *log, size_t len);
void nexus_log_recycle_work(struct work_struct *work);
void nexus_log_free_segments(struct nexus_log *log);

/* flush.c */
int nexus_log_batch_alloc(struct nexus_log *log);
void nexus_log_batch_free(struct nexus_log *log);
void nexus_log_flush_work(struct work_struct *work);

#endif /* NEXUS_LOG_LOG_H */
