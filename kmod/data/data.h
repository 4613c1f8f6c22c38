/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside of content: packs, extent maps, and the I/O between them and the page
 * cache.
 *
 * Each block of a folio that is to be written holds one pack block and the log
 * bytes of one EXTENT record of one block (NEXUS_FOLIO_BYTES), counted in its
 * inode; folio private says which.  They are taken before the folio is locked,
 * moved to the I/O at writeback, and given back when the block goes without having
 * been written.  A file with dirty folios has a fully known extent map.
 *
 * Locks: folio lock > log_mutex > map_sem; load_mutex > log_mutex.  table_mutex
 * is never held while a record is appended.
 */
#ifndef NEXUS_DATA_DATA_H
#define NEXUS_DATA_DATA_H

#include <linux/pagemap.h>

#include "../nexusfs.h"
#include "inplace.h"
#include "io.h"

/* A page is a block. */
static_assert(PAGE_SIZE == NEXUS_BLOCK_SIZE);

/* Waits for the helper: only a kill ends them, and suspend may freeze them. */
#define NEXUS_WAIT_STATE	(TASK_KILLABLE | TASK_FREEZABLE_UNSAFE)

/* ---- packs (pack.c, table.c) -------------------------------------------- */

enum nexus_pack_state {
	NEXUS_PS_SPARE,		/* empty, for new data */
	NEXUS_PS_OPEN,		/* taking new data */
	NEXUS_PS_FULL,		/* sealed once its last write ended */
	NEXUS_PS_SEALED,	/* only read */
};

struct nexus_pack {
	struct kref ref;
	struct nexus_zone *zone;	/* not referenced; gone before the zone */
	struct file *file;
	u64 id;
	u32 blocks;
	u32 table_blocks;
	bool zeroed;			/* writes change no metadata of the host */
	bool written;			/* by the kernel, since it was handed over */
	bool writable;			/* its file: blocks can be overwritten */

	/* nexus_packs.lock */
	enum nexus_pack_state state;
	u32 next;			/* first block never given out */
	u32 writes;			/* in flight */
	bool awaited;			/* that it is sealed: the record is flushed */
	bool unflushed;			/* data written, not flushed */
	bool plain;			/* of that, some is without checksums */
	struct list_head inplace;	/* nexus_inplace.packs */
	struct list_head own;		/* nexus_packs.own, until sealed */
	struct list_head spare;

	/* Only packs we write have these, and only until they are sealed. */
	struct nexus_pack_line *lines;
	unsigned long *dirty;		/* table blocks to be written */
	struct nexus_pack_head *head;	/* one page */
	bool head_written;
	struct nexus_resv seal_resv;
	struct work_struct seal_work;

	struct mutex cache_mutex;	/* cache, and lines going away */
	struct xarray cache;		/* pages of the table of a sealed pack */
	unsigned int cached;

	/* Presence (retire.c); read_lock, in interrupts, too. */
	spinlock_t read_lock;
	unsigned long *absent;		/* a bit for each block; NULL: all are there */
	u32 reads[2];			/* in flight, by the epoch they began in */
	unsigned int epoch;		/* 0 or 1 */
	wait_queue_head_t read_wait;	/* the last read of an epoch ended */
	u64 used;			/* ns, coarse: read, present, sealed or handed over */
};

/*
 * Two packs are open.  What one fsync after another writes goes to blocks that were
 * written before, so that it changes no metadata of the host, which a flush would
 * have to commit; and what is written in bulk goes elsewhere, so that it lies in one
 * piece and nobody needs to write zeros for it first.
 */
enum nexus_packs_kind {
	NEXUS_PACKS_STREAM,
	NEXUS_PACKS_SMALL,
	NEXUS_PACKS_KINDS
};

/* The largest write that may be a small one. */
#define NEXUS_SMALL_BLOCKS	64u

struct nexus_packs {
	struct nexus_zone *zone;
	spinlock_t lock;		/* lists, states and counts */
	struct xarray packs;		/* id -> pack; one reference each */
	struct list_head own;		/* in order of hand-over; removal: table_mutex, too */
	struct list_head spares;
	struct nexus_pack *open[NEXUS_PACKS_KINDS];
	u64 free;			/* blocks of open packs and spares */
	u64 zeroed;			/* of them, those of zeroed packs */
	u64 reserved;
	u64 promised;			/* to unwritten extents (promise.c) */
	u64 asked;			/* by those who wait to be promised something */
	u64 kept;			/* by the store, beyond the packs here */
	u64 kept_for;			/* what it was asked to keep then */
	u32 pack_blocks;
	wait_queue_head_t wait;		/* for blocks */
	struct mutex ask_mutex;		/* one OPEN_PACK at a time */
	struct mutex table_mutex;	/* tables and flushes of packs */
	struct mutex retire_mutex;	/* one RETIRE at a time */
	struct nexus_inplace inplace;	/* blocks overwritten where they are */
	struct workqueue_struct *wq;	/* sealing, tables */
	struct work_struct tables_work;
	int tables_err;
};

static inline u32 nexus_pack_table_blocks(u32 blocks)
{
	return DIV_ROUND_UP(blocks, NEXUS_PACK_LINES_PER_BLOCK);
}

/* Blocks of data a pack of @blocks blocks has. */
static inline u32 nexus_pack_usable(u32 blocks)
{
	return blocks - 1 - nexus_pack_table_blocks(blocks);
}

/* First block that holds data. */
static inline u32 nexus_pack_first(const struct nexus_pack *pack)
{
	return 1 + pack->table_blocks;
}

/*
 * What blocks are for.  The last NEXUS_PACKS_KEPT ones are not for growth: one
 * half is for cuts as well, so that a full zone can be emptied, and the rest for
 * folios that got dirty without a reservation (nexus_folio_late()).  Growth
 * leaves alone what is promised, too.
 */
enum nexus_packs_use {
	NEXUS_PACKS_GROW,
	NEXUS_PACKS_PROMISED,	/* into unwritten extents */
	NEXUS_PACKS_CUT,
	NEXUS_PACKS_LATE,
	NEXUS_PACKS_INPLACE,	/* none is needed: only room in the log is taken */
};

#define NEXUS_PACKS_KEPT	256u

/* Waits killably for @n blocks.  0, -EINTR, -ENOSPC, -EROFS. */
int nexus_packs_reserve(struct nexus_zone *zone, u32 n,
			enum nexus_packs_use use);
void nexus_packs_unreserve(struct nexus_zone *zone, u32 n);
/* Reserves if there is room, without waiting. */
bool nexus_packs_try_reserve(struct nexus_zone *zone, u32 n,
			     enum nexus_packs_use use);
/* lock held: blocks the store should keep. */
u64 nexus_packs_keep(const struct nexus_packs *packs);
/* lock held: with so many blocks more, every promise is kept. */
bool nexus_promises_hold(const struct nexus_packs *packs, u64 promise,
			 u64 reserve);
/*
 * Promises @n blocks to unwritten extents that are about to be made.  Waits
 * killably for the store to keep them.  0, -EINTR, -ENOSPC, -EROFS.
 */
int nexus_packs_promise(struct nexus_zone *zone, u64 n);
/* The same for blocks that are unwritten already, room or not. */
void nexus_packs_promise_late(struct nexus_zone *zone, u64 n);
/*
 * Takes a run of 1..n reserved blocks, of the pack for @kind where there is one: a
 * reservation is for any.  The pack, referenced and with a write begun, or NULL when
 * the caller has no reservation after all.
 */
struct nexus_pack *nexus_packs_alloc(struct nexus_zone *zone, u32 n,
				     enum nexus_packs_kind kind, u32 *block,
				     u32 *got);
/* The write begun by nexus_packs_alloc() is over, its record appended. */
void nexus_pack_written(struct nexus_pack *pack);
/* Pack @id, referenced, if the kernel has it. */
struct nexus_pack *nexus_packs_find(struct nexus_zone *zone, u64 id);
/* The same, asking the helper for it if need be; killable.  Or ERR_PTR. */
struct nexus_pack *nexus_packs_get(struct nexus_zone *zone, u64 id);
void nexus_pack_put(struct nexus_pack *pack);
/*
 * Seals what takes new data, and waits until nothing is being sealed.  At the end of a
 * mount, when nothing is written any more: the next one would not append to it.
 */
void nexus_packs_seal_all(struct nexus_zone *zone);

int nexus_pack_init_own(struct nexus_pack *pack);
void nexus_pack_free_own(struct nexus_pack *pack);
void nexus_pack_seal_work(struct work_struct *work);
void nexus_packs_tables_work(struct work_struct *work);
/* nexus_packs_write_tables() for callers that are workers. */
int nexus_packs_tables_sync(struct nexus_zone *zone);
/*
 * Notes owner and checksum of a block just written.  Before the record that says
 * so is appended, or recycling might miss the line.  @offset: as in the line.
 */
void nexus_pack_note(struct nexus_pack *pack, u32 block, u64 ino, u64 data_id,
		     u64 offset, u32 crc);
/* Lines of a pack the helper writes: read them again. */
void nexus_pack_forget_lines(struct nexus_pack *pack, u32 block, u32 n);
/* Data was written that is not flushed; @plain: whose records have no checksums. */
void nexus_pack_dirtied(struct nexus_pack *pack, bool plain);
/* Whether block @block may have this checksum.  0, or -EIO; in a worker. */
int nexus_pack_verify(struct nexus_pack *pack, u32 block, u32 crc, u64 ino);

/* ---- presence (retire.c) ---------------------------------------------------- */

void nexus_presence_init(struct nexus_pack *pack);
/* Somebody had use for it just now.  Any context. */
static inline void nexus_pack_touch(struct nexus_pack *pack)
{
	WRITE_ONCE(pack->used, ktime_get_coarse_ns());
}

void nexus_presence_free(struct nexus_pack *pack);
/* The bits of a hand-over with HF_ABSENT.  0, -EFAULT, -EINVAL, -ENOMEM. */
int nexus_presence_load(struct nexus_pack *pack, const void __user *bits);
/*
 * Begins a read of *@nr blocks from @block on, or of less if some of them are
 * gone: an epoch for nexus_pack_read_end(), or -ESTALE when @block itself is.
 * What was found in a map before is found to be elsewhere then, if it is anywhere.
 */
int nexus_pack_read_begin(struct nexus_pack *pack, u32 block, u32 *nr);
void nexus_pack_read_end(struct nexus_pack *pack, int epoch);
/* Something of *@nr blocks from *@block on is absent: from what is on, so many. */
bool nexus_pack_missing(struct nexus_pack *pack, u32 *block, u32 *nr);
/* How many of @nr blocks from @block on are absent; looks with a spinlock, so at few. */
u32 nexus_pack_absent(struct nexus_pack *pack, u32 block, u32 nr);
/* The inode has an extent map now; and it has none any more. */
void nexus_mapped_add(struct nexus_inode *ni);
void nexus_mapped_del(struct nexus_inode *ni);

/* ---- what is not there (fetch.c) ----------------------------------------------- */

/*
 * Has the helper fetch what is absent of [pos, pos + len).  Waits killably, so without
 * a folio lock or invalidate_lock.  1: something of it is there that was not, or is
 * elsewhere; 0: nothing was missing; -errno: the first that was missing still is,
 * which with @loud was said.
 */
int nexus_content_fetch(struct inode *inode, loff_t pos, size_t len, bool loud);
/*
 * The same of one extent of at most NEXUS_ENSURE_BLOCKS, a piece of the map.  @since: for
 * whom it is no matter when it comes (as in struct nexus_content), who is told of any error
 * of the helper and the store; or NULL.
 */
int nexus_fetch_extent(struct inode *inode, const struct nexus_ext *e, bool loud,
		       const __le64 *since);
/*
 * Reading of [pos, pos + len) through the page cache has failed with *@err.  True: it
 * is to be tried again: something was fetched, or may have been meanwhile.  *@tries: 0 at first.
 */
bool nexus_content_mend(struct inode *inode, loff_t pos, size_t len, int *err,
			unsigned int *tries);

/* ---- where content is (where.c) -------------------------------------------------- */

/* NEXUS_IOC_CONTENT, for nexus_ioctl(). */
long nexus_content_ioctl(struct file *file, void __user *arg);

/* ---- extent maps (extents.c) ----------------------------------------------- */

/* Loads the whole map unless it is known.  Killable. */
int nexus_extents_load(struct inode *inode);
/*
 * The same, and opens the packs of what is at [pos, pos + len).  Both may wait
 * for the helper, killably: whoever is going to read calls it first, without a
 * folio lock or invalidate_lock, which others wait for unkillably.
 */
int nexus_content_load(struct inode *inode, loff_t pos, size_t len);

/* True if that would wait for nothing. */
static inline bool nexus_content_ready(const struct inode *inode)
{
	const struct nexus_inode *ni = NEXUS_I(inode);

	return test_bit_acquire(NEXUS_I_EXTENTS, &ni->state) &&
	       test_bit(NEXUS_I_PACKS, &ni->state);
}

/* Memory for @n more changes of the map.  Process context, NOFS. */
int nexus_map_prepare(struct nexus_inode *ni, u32 n);
void nexus_map_unprepare(struct nexus_inode *ni, u32 n);
/*
 * One prepared change each; log_mutex held.  They keep i_blocks, and give back
 * what was promised to unwritten extents that go.
 */
void nexus_map_insert(struct nexus_inode *ni, u64 fblock, u64 pack, u32 block,
		      u32 nblocks, u32 flags);
/*
 * Maps @nr extents; all of [fblock, fblock + n), in which they lie then, changes
 * at once, or with @n 0 what they cover.  1 + @nr prepared changes, or @nr.
 */
void nexus_map_replace(struct nexus_inode *ni, u64 fblock, u64 n,
		       const struct nexus_ext *ext, u32 nr);
void nexus_map_punch(struct nexus_inode *ni, u64 fblock, u64 n);
/*
 * Makes [fblock, fblock + n) unwritten; *@promise, blocks the caller was
 * promised, gets less by what was not unwritten before.  More than that were
 * when they were counted, and have been written since: they are promised now.
 */
void nexus_map_unwrite(struct nexus_inode *ni, u64 fblock, u64 n, u64 *promise);
/* Blocks of [fblock, end) without an extent. */
u64 nexus_map_holes(struct nexus_inode *ni, u64 fblock, u64 end);
/* As nexus_extmap_next(). */
bool nexus_map_next(struct nexus_inode *ni, u64 fblock, struct nexus_ext *e);
/*
 * The extent in a pack that holds @fblock, from there on, with the disk_size of
 * the same moment.  False where zeros are read: holes and unwritten extents.
 */
bool nexus_map_find(struct nexus_inode *ni, u64 fblock, struct nexus_ext *e,
		    u64 *disk_size);
/*
 * Whether an extent names a block of @pack that is set in @blocks; @plain: one without
 * checksums.
 */
bool nexus_map_names(struct nexus_inode *ni, u64 pack,
		     const unsigned long *blocks, bool plain);
/* @fblock has an extent; *@unwritten: of that kind. */
bool nexus_map_has(struct nexus_inode *ni, u64 fblock, bool *unwritten);

/* ---- folios (folio.c) ---------------------------------------------------------- */

#define NEXUS_FOLIO_BYTES	ALIGN(sizeof(struct nexus_rec_extent) + 4, 8)
/* The largest folio: 256 KiB.  Larger ones only cost reclaim more. */
#define NEXUS_FOLIO_ORDER	6
#define NEXUS_FOLIO_BYTES_MAX	(PAGE_SIZE << NEXUS_FOLIO_ORDER)

/* Room for blocks that are about to be dirty. */
struct nexus_room {
	struct nexus_resv resv;		/* NEXUS_FOLIO_BYTES for each */
	enum nexus_packs_use use;
	u32 blocks;
	u64 quota;			/* taken of quotas, for as long as there is room */
	bool ask;			/* nexus_quota_load() first */
	bool beside;			/* direct writes: see nexus_folio_begin() */
};

/* What a block is for that is written at @index. */
enum nexus_packs_use nexus_folio_use(struct inode *inode, pgoff_t index);
/* Takes room for @n blocks; waits killably.  0, -EINTR, -ENOSPC, -EROFS. */
int nexus_room_take(struct inode *inode, u32 n, enum nexus_packs_use use,
		    struct nexus_room *room);
/*
 * The same for 1..@n blocks from @index on: for those that are for the same, and for
 * less where a disk is nearly full.
 */
int nexus_room_some(struct inode *inode, pgoff_t index, u32 n,
		    struct nexus_room *room);
/* The same for all of them, without waiting, where none is promised: 0, or -EAGAIN. */
int nexus_room_try(struct inode *inode, pgoff_t index, u32 n, struct nexus_room *room);
/* Gives back what is left.  Safe on zeroed room. */
void nexus_room_give(struct inode *inode, struct nexus_room *room);

/*
 * Folio private; a bit for each block.  It changes with the folio locked and not
 * under writeback; of the parts in flight, only the counts.  It stays until the
 * folio is released or invalidated.
 */
struct nexus_fstate {
	u64 marked;		/* holding a reservation: to be written */
	u64 bare;		/* of them, those that hold no block of a pack: INPLACE */
	u64 delayed;		/* of them, those that had no extent */
	u64 logged;		/* of them, those the log has, if the folio is "checked" */
	union {
		u64 writing;	/* up to date: those of the last writeback */
		atomic64_t good; /* not up to date: those that were read */
	};
	atomic_t parts;		/* of a read or a writeback in flight */
	bool pinned;		/* a device may have written to "writing" since */
	bool failed;		/* a part of the last read */
};

/*
 * khugepaged may make larger folios of what is mapped and not open for writing,
 * whatever the largest is said to be.  They are clean and have no state; who is
 * going to write drops them first.
 */
static inline bool nexus_folio_oversize(const struct folio *folio)
{
	return folio_order(folio) > NEXUS_FOLIO_ORDER;
}

/* Drops such a folio, neither locked nor dirty.  0 or -errno. */
int nexus_folio_shrink(struct inode *inode, pgoff_t index);

/* The state, attached if need be; NULL: no memory. */
struct nexus_fstate *nexus_folio_state(struct folio *folio);
/* Blocks [first, end) of a folio. */
static inline u64 nexus_folio_mask(u32 first, u32 end)
{
	return first < end ? GENMASK_ULL(end - 1, first) : 0;
}

static inline u64 nexus_folio_all(const struct folio *folio)
{
	return nexus_folio_mask(0, folio_nr_pages(folio));
}

/* What is to be written of a folio that has marks, or where a device may have. */
static inline u64 nexus_folio_wanted(const struct nexus_fstate *fs)
{
	return fs->marked | (fs->pinned ? fs->writing : 0);
}

/* Blocks of a locked folio that are not on disk. */
u64 nexus_folio_pending(struct folio *folio);
/*
 * Takes quota, for @room, for those of the *@n blocks from @index on that the file
 * does not have; less of *@n when there is no more.  0 with *@n 0: nexus_quota_load()
 * is needed, room->ask says so.  -EDQUOT, -ENOSPC.  As for nexus_folio_mark().
 */
int nexus_folio_quota(struct inode *inode, struct folio *folio, pgoff_t index,
		      u32 *n, struct nexus_room *room);
/*
 * So many of the @n blocks from @index on can be marked with @room: what it was taken
 * for may have been written meanwhile.  0: the caller gives it back and takes other
 * room.  The folio is as for nexus_folio_mark().
 */
u32 nexus_folio_fits(struct inode *inode, struct folio *folio, pgoff_t index,
		     u32 n, const struct nexus_room *room);
/*
 * Marks blocks of a folio, locked, not under writeback and with its state; those
 * that are not marked yet take of @room.  The caller makes the folio dirty.
 */
void nexus_folio_mark(struct inode *inode, struct folio *folio, pgoff_t index,
		      u32 n, struct nexus_room *room);
/* Those of @blocks that are marked give back what they hold. */
void nexus_folio_unmark(struct inode *inode, struct folio *folio, u64 blocks);
/*
 * Moves what marked blocks hold to @resv and returns which of @blocks hold a block of
 * a pack, too.  nexus_folio_landed() is to follow for *@delayed.
 */
u64 nexus_folio_take(struct inode *inode, struct folio *folio, u64 blocks,
		     struct nexus_resv *resv, u64 *delayed);
/* Makes a locked folio dirty whose changed blocks are marked. */
void nexus_folio_dirty(struct folio *folio);
/* @n blocks that had no extent have one now, or never will. */
void nexus_folio_landed(struct inode *inode, u32 n);
/* Blocks [first, end) of a locked folio, not under writeback, need not be written. */
void nexus_folio_forget(struct inode *inode, struct folio *folio, u32 first,
			u32 end);
/*
 * Waits for writeback of bytes [from, to], whose errors stay where they are.
 * -EINTR: a fatal signal came.
 */
int nexus_wait_written(struct address_space *mapping, loff_t from, loff_t to);
/* 0: locked, and not under writeback; -EINTR: a fatal signal came. */
int nexus_folio_lock_stable(struct folio *folio);
/*
 * Writes what is dirty of bytes [from, to] first.  What was made dirty or written by
 * others meanwhile may be left, so a wait that takes all and reports errors follows.
 */
int nexus_write_and_settle(struct inode *inode, loff_t from, loff_t to);
/* ->dirty_folio, ->is_partially_uptodate, ->invalidate_folio, ->release_folio */
bool nexus_dirty_folio(struct address_space *mapping, struct folio *folio);
bool nexus_folio_part_uptodate(struct folio *folio, size_t from, size_t count);
void nexus_invalidate_folio(struct folio *folio, size_t offset, size_t length);
bool nexus_release_folio(struct folio *folio, gfp_t gfp);
/*
 * Drops what is cached of blocks [fblock, end), dirty or not, before they get
 * another content; what else is in their folios is written first.  invalidate_lock
 * is held for writing, and whoever calls write() wants it, or i_rwsem.  0, or -errno
 * of that writing and nothing was dropped.
 */
int nexus_cache_drop(struct inode *inode, u64 fblock, u64 end);

/* ---- writing into the page cache (buffered.c) ------------------------------------ */

/*
 * The folio that holds @pos, locked, not under writeback, with its state, and room
 * for what is going to be written there: *@bytes, which may get fewer.  What is not
 * overwritten is up to date.  @cut: with what is kept for cuts.  Or ERR_PTR.  Waits
 * killably.  nexus_folio_end() follows.
 *
 * @room->beside: direct writes may be under way that drop what is cached of their blocks,
 * and then change these; until nexus_folio_end() invalidate_lock is held shared.
 */
struct folio *nexus_folio_begin(struct inode *inode, loff_t pos, size_t *bytes,
				bool cut, struct nexus_room *room);
/*
 * @copied of the @bytes have been written.  Makes the folio dirty and the file as
 * long as that, unlocks and puts it, gives back what is left of @room.  Returns how
 * many bytes count: @copied, or 0 where the rest of a block is not known.
 */
size_t nexus_folio_end(struct inode *inode, struct folio *folio, loff_t pos,
		       size_t bytes, size_t copied, struct nexus_room *room);
/* ->read_iter */
ssize_t nexus_read_iter(struct kiocb *iocb, struct iov_iter *to);
/* As generic_perform_write(); i_rwsem held. */
ssize_t nexus_perform_write(struct kiocb *iocb, struct iov_iter *from);
/* Zeroes cached bytes [from, to or end of folio) that an extension shows; -EINTR. */
int nexus_zero_beyond(struct inode *inode, loff_t from, loff_t to);

/* ---- tiny files (inline.c) --------------------------------------------------------- */

/* A reply's inline body, into a new inode.  0 or -ENOMEM. */
int nexus_inline_prime(struct inode *inode, const void *content, u32 len);
/* The same for nexus_data_learn(). */
void nexus_inline_learn(struct inode *inode, u64 data_id, const void *data,
			u32 len);
/* Asks for it; of nexus_extents_load(). */
int nexus_inline_load(struct inode *inode);
/* Fills @page if block @fblock is inline.  Looked at before the map. */
bool nexus_inline_read(struct inode *inode, u64 fblock, struct page *page);
/* Bytes of the inline body; 0: none. */
u32 nexus_inline_len(struct inode *inode);
/*
 * Writeback of the one block of a file of @size bytes, its folio locked and clean:
 * true if it was stored inline, or failed, and is over.  Gives back what the block
 * held, which is in @resv and @delayed.
 */
bool nexus_inline_write(struct inode *inode, struct folio *folio, loff_t size,
			u64 delayed, struct nexus_resv *resv);
/*
 * The body is about to be what cannot be inline: from now on it is not.  Before
 * anything is dirtied for that.  May write block 0, with room for @use, and waits
 * killably for that and for the helper: VFS locks at most, without invalidate_lock.
 */
int nexus_inline_end(struct inode *inode, enum nexus_packs_use use);

/* True if that would do nothing. */
static inline bool nexus_inline_ended(const struct inode *inode)
{
	const struct nexus_inode *ni = NEXUS_I(inode);

	return test_bit(NEXUS_I_SPREAD, &ni->state) &&
	       !(READ_ONCE(ni->iflags) & NEXUS_IF_INLINE);
}

/*
 * The first @len bytes of @dst become all of @src, if that is and fits inline; -EAGAIN
 * if not.  i_rwsem of both is held.  Waits killably.
 */
int nexus_inline_copy(struct inode *src, struct inode *dst, loff_t len);
/* The body is, or may become, inline; log_mutex to be exact. */
bool nexus_inline_may(struct nexus_inode *ni);
/* log_mutex held: block 0 has an extent. */
void nexus_inline_gone(struct nexus_inode *ni);
/* log_mutex held: the file was cut to @size. */
void nexus_inline_cut(struct nexus_inode *ni, loff_t size);

/* ---- small fsyncs (logged.c) ----------------------------------------------------------- */

/*
 * What is dirty of bytes [from, to] is in the log afterwards; the caller flushes it, and
 * waits for what is under writeback.  0; -EAGAIN: it is to be written; -EINTR: a fatal
 * signal; -errno.  Waits killably for the disk, not for the helper.
 */
int nexus_logged_sync(struct inode *inode, loff_t from, loff_t to);

/* ---- shared blocks (clone.c) ---------------------------------------------------- */

/* ->remap_file_range */
loff_t nexus_remap_file_range(struct file *file_in, loff_t pos_in,
			      struct file *file_out, loff_t pos_out,
			      loff_t len, unsigned int flags);

/* ---- sparse files (seek.c, fallocate.c) ------------------------------------------- */

/* The first data at or behind @offset, or -ENXIO; i_rwsem held, extents loaded. */
loff_t nexus_seek_data(struct inode *inode, loff_t offset, loff_t size);
loff_t nexus_llseek(struct file *file, loff_t offset, int whence);
int nexus_fiemap(struct inode *inode, struct fiemap_extent_info *info, u64 start,
		 u64 len);
long nexus_fallocate(struct file *file, int mode, loff_t offset, loff_t len);

/* ---- writing (writeback.c) ------------------------------------------------------ */

/* A write of contiguous file blocks. */
struct nexus_wio {
	struct work_struct work;
	struct inode *inode;
	struct cgroup_subsys_state *css; /* who pays for the I/O; referenced; NULL: nobody */
	struct nexus_resv resv;		/* log bytes of its records, at least */
	u64 fblock;
	u64 size;			/* end of what is written; zeros behind it */
	u32 nr;				/* blocks */
	u32 segs;			/* of bvec: whole blocks each */
	enum nexus_packs_kind kind;
	u32 flags;			/* NEXUS_EF_* of its extents */
	bool inplace;			/* no blocks are reserved */
	DECLARE_BITMAP(delayed, NEXUS_EXTENT_BLOCKS_MAX); /* blocks without an extent */
	/* Not in the record before it is begun: nexus_rec_init() clears there. */
	__le32 crc[NEXUS_EXTENT_BLOCKS_MAX];
	struct bio_vec bvec[NEXUS_EXTENT_BLOCKS_MAX];
	union {
		struct nexus_rec_extent rec;
		u8 room[sizeof(struct nexus_rec_extent) +
			4 * NEXUS_EXTENT_BLOCKS_MAX];
	};
};

/*
 * The part of one that goes to contiguous blocks of one pack, which
 * nexus_packs_alloc() has given.
 */
struct nexus_run {
	struct nexus_wio *wio;
	struct nexus_pack *pack;
	u32 block;
	u32 first, nr;			/* of the wio's blocks */
};

/* Adds @nr blocks at the end. */
void nexus_wio_add(struct nexus_wio *wio, struct page *page, u32 nr);
/* The record, as file and pack are now; log_mutex held. */
void nexus_run_record(struct nexus_run *run);
/* Writes the blocks; in a worker, between nexus_host_begin() and its end. */
int nexus_run_write(struct nexus_run *run);
/* In any task; false: a worker is to do it.  See nexus_host_write_here(). */
bool nexus_run_write_here(struct nexus_run *run);
/*
 * Appends the record of blocks that are written and makes them the file's.  Uses
 * up one prepared change of the map, also when it fails.
 */
int nexus_run_commit(struct nexus_run *run);
/*
 * Writes one page to a newly given out block for which the caller holds a
 * reservation; *@pack has a write begun.  0 or -errno.
 */
int nexus_write_block(struct nexus_zone *zone, struct page *page,
		      struct nexus_pack **pack, u32 *block, u32 *crc);
int nexus_writepages(struct address_space *mapping,
		     struct writeback_control *wbc);

/* What comes before every write, i_rwsem held and the range checked: 0 or -errno. */
int nexus_write_prepare(struct kiocb *iocb, size_t len);

extern struct workqueue_struct *nexus_misc_wq;	/* may sleep for others */
extern struct workqueue_struct *nexus_read_wq;
extern struct workqueue_struct *nexus_write_wq;
extern struct workqueue_struct *nexus_sync_wq;	/* waits for the others and for flushes */

#endif /* NEXUS_DATA_DATA_H */
