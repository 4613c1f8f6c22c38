/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Extent map of one file: sorted, non-overlapping ranges of file blocks, each
 * at a place in a pack; contiguous neighbours are merged.  Not synchronised (the
 * module holds the inode's log mutex for changes).
 */
#ifndef NEXUS_LIB_EXTMAP_H
#define NEXUS_LIB_EXTMAP_H

#include <nexus/format.h>
#include "port.h"

struct nexus_ext {
	u64	fblock;		/* file offset / 4 KiB */
	u64	pack;
	u32	block;
	u32	nblocks;	/* never 0 */
	u32	flags;		/* NEXUS_EF_* */
};

struct nexus_extmap;		/* layout in extmap.c; small when empty */

struct nexus_extmap *nexus_extmap_new(void);	/* NULL: no memory */
void nexus_extmap_free(struct nexus_extmap *map);
void nexus_extmap_clear(struct nexus_extmap *map);
u64 nexus_extmap_count(const struct nexus_extmap *map);
u64 nexus_extmap_blocks(const struct nexus_extmap *map);
/* Of them, those in unwritten extents, whose pack and block are 0. */
u64 nexus_extmap_unwritten(const struct nexus_extmap *map);
/*
 * False: no extent is in @pack.  Cheap, and so it may be wrong the other way: for
 * packs that extents were in before, or that look like one of them.
 */
bool nexus_extmap_may_name(const struct nexus_extmap *map, u64 pack);

/*
 * Memory for changes.  A change (insert or punch) takes at most the memory of
 * one reserved change, and must never be made without.
 *
 * nexus_extmap_reserve() makes sure that the next @n changes have theirs; it
 * changes the map, so it needs the lock that changes need, and it may sleep.
 * Where memory must not be allocated under that lock, allocate a spare before
 * it (no map involved) and give it to the map under it (which cannot fail, and
 * adds @changes to what the map may do).  What a change did not need is kept for
 * one more change and freed beyond that.
 */
struct nexus_extmap_spare;

int nexus_extmap_reserve(struct nexus_extmap *map, u32 n); /* 0 or -ENOMEM */
/* NULL: no memory, or @changes is 0. */
struct nexus_extmap_spare *nexus_extmap_spare_alloc(u32 changes);
void nexus_extmap_spare_give(struct nexus_extmap *map,
			     struct nexus_extmap_spare *spare);
void nexus_extmap_spare_free(struct nexus_extmap_spare *spare); /* NULL is fine */

/*
 * Maps [e->fblock, + e->nblocks) to e, replacing what was there.  *@freed gets
 * the number of blocks that were mapped there before.  Needs one reserved change.
 */
void nexus_extmap_insert(struct nexus_extmap *map, const struct nexus_ext *e,
			 u64 *freed);
/* Unmaps [fblock, fblock + n); n may be U64_MAX - fblock.  One reserved change. */
void nexus_extmap_punch(struct nexus_extmap *map, u64 fblock, u64 n, u64 *freed);

/*
 * Looks up @fblock: true and *@e trimmed so that it begins at @fblock; false in
 * a hole, then e->nblocks is the length of the hole up to the next extent
 * (U32_MAX if longer) and e->fblock = @fblock.
 */
bool nexus_extmap_find(const struct nexus_extmap *map, u64 fblock,
		       struct nexus_ext *e);
/* First extent that ends above @fblock, untrimmed; false if none. */
bool nexus_extmap_next(const struct nexus_extmap *map, u64 fblock,
		       struct nexus_ext *e);

#endif /* NEXUS_LIB_EXTMAP_H */
