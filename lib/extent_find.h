/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Finding extents in a store that can only seek forwards.
 *
 * An E record never leaves its window of 1 MiB of the file, so whatever covers a
 * block begins in the same window, and a few seeks find it.
 */
#ifndef NEXUS_LIB_EXTENT_FIND_H
#define NEXUS_LIB_EXTENT_FIND_H

#include "key.h"
#include "kv.h"

/* Blocks of a window; no EXTENT record is longer. */
#define NEXUS_EXT_WINDOW	NEXUS_EXTENT_BLOCKS_MAX
/* File blocks below this number can be mapped. */
#define NEXUS_EXT_FBLOCK_MAX	((NEXUS_SIZE_MAX >> NEXUS_BLOCK_SHIFT) + 1)

struct nexus_kext {
	u64	fblock;
	u64	pack;
	u32	block;
	u32	nblocks;
	u32	flags;		/* NEXUS_EF_* */
};

/*
 * Both return the length of the value, which is checked and lies in @buf (@cap
 * bytes), with its key in @key; -ENOENT: no such extent; -EUCLEAN: damaged.
 */

/* First extent that begins at or above @fblock. */
int nexus_ext_next(struct nexus_kv *kv, u64 data_id, u64 fblock,
		   struct nexus_key *key, void *buf, size_t cap,
		   struct nexus_kext *ext);
/* First extent that ends above @fblock. */
int nexus_ext_seek(struct nexus_kv *kv, u64 data_id, u64 fblock,
		   struct nexus_key *key, void *buf, size_t cap,
		   struct nexus_kext *ext);
/* Reads and checks an E value; 0 or -EUCLEAN. */
int nexus_ext_parse(const struct nexus_key *key, const void *val, size_t len,
		    struct nexus_kext *ext);

#endif /* NEXUS_LIB_EXTENT_FIND_H */
