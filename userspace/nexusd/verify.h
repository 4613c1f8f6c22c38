/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs against what the index says of them: heads, tables, and the data of every
 * block that an extent maps.  For fsck.nexusfs, and for nexusctl pack verify of
 * zones at rest and of zones that are served.
 */
#ifndef NEXUSD_VERIFY_H
#define NEXUSD_VERIFY_H

#include "zone.h"

#define VERIFY_CURSOR_MAX	32u
/* What one step of a zone that is served looks at: a few MiB, so nobody waits long. */
#define VERIFY_STEP_BLOCKS	1024u
#define VERIFY_STEP_KEYS	4096u

struct verify_problem {
	u64 pack;
	u32 block;		/* 0: the pack as a whole */
	u64 ino;		/* 0: not known */
	u64 data_id;		/* 0: no extent is concerned */
	u64 offset;		/* bytes, in the file */
	int error;		/* of reading, negative; else 0 */
	const char *what;	/* a static text behind "pack 7: " or "block 9 of pack 7 " */
};

typedef void (*verify_report)(void *arg, const struct verify_problem *p);

struct verify;

/*
 * @served: the zone is in use.  Then what looks wrong is looked at once more, and
 * it counts only if the index still maps the block; and a block of an open pack may
 * have no line in the table yet.  @data: read the blocks, too.  NULL: no memory.
 */
struct verify *verify_new(struct zone *z, bool served, bool data, verify_report report,
			  void *arg);
void verify_free(struct verify *v);
/* Lines that are only in the log of a zone that was not closed in order. */
int verify_add_log(struct verify *v);
/* 0 or -ENOMEM; what is wrong is reported. */
int verify_pack(struct verify *v, u64 pack, const struct nexus_pack_val *val);
int verify_extent(struct verify *v, u64 data_id, u64 offset,
		  const struct nexus_extent_val *val);

/* The inode that the table names for a block of this data id; 0: it does not. */
u64 verify_owner(struct verify *v, u64 data_id, u64 pack, u32 block);
/* False: the pack is there, and these are no blocks of content in it. */
bool verify_fits(struct verify *v, u64 pack, u32 block, u32 n);

struct verify_counts {
	u64 packs;
	u64 extents;
	u64 blocks;		/* whose data was read */
	u64 unchecked;		/* blocks without a checksum by now, or for good */
	u64 away;		/* blocks held elsewhere */
};
const struct verify_counts *verify_counts(const struct verify *v);

/*
 * Where a walk over all packs and extents is.  A new one is all zeros; it is over
 * when @done.
 */
struct verify_cursor {
	u8 key[VERIFY_CURSOR_MAX];
	u32 len;
	bool done;
};

/*
 * Goes on for one step of about @max blocks: the last extent is looked at whole.
 * @packs, @n: only these; 0 for all.  0; -EINVAL: no cursor
 * of ours; -ENOMEM; or the store's error.
 */
int verify_step(struct verify *v, struct verify_cursor *c, u32 max, const uint64_t *packs,
		size_t n);

/* 0; -ENOENT with *missing: the index has no record of it. */
int verify_known(struct zone *z, const uint64_t *packs, size_t n, u64 *missing);
/* What is wrong, and why it could not be read. */
void verify_text(const struct verify_problem *p, char *buf, size_t len);

/* ---- which packs there are ------------------------------------------------ */

struct pack_info {
	u64 pack;
	u32 state;		/* NEXUS_PACK_*; 0: a file the index does not name */
	u32 blocks;		/* of the file; 0: there is none */
	u32 used;		/* highest block ever mapped + 1 */
	u32 live;		/* blocks mapped now */
	u8 hash_alg;		/* of a sealed one; 0: none */
	u8 hash[32];
};

/*
 * Calls @fn for every pack above @after, in the order of their ids; what it returns
 * other than 0 ends it and is returned.
 */
int pack_list(struct zone *z, u64 after, int (*fn)(void *arg, const struct pack_info *p),
	      void *arg);

#endif /* NEXUSD_VERIFY_H */
