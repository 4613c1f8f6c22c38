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

/*
 * Makes sure that the next @n changes cannot fail for memory.  0 or -ENOMEM.
 * May sleep; call before the log mutex.
 */
int nexus_extmap_reserve(struct nexus_extmap *map, u32 n);

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
