/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Mending a whole store, so that nexus_store_check() finds nothing any more.
 *
 * What is said twice is mended from the other place, what can be counted is
 * counted, what has lost its name gets one in /lost+found, and what nothing can
 * be made of is dropped.  Documentation/repair.md has the table.  Values that are
 * right are not touched, and what a later version keeps behind a value stays.
 */
#ifndef NEXUS_LIB_REPAIR_H
#define NEXUS_LIB_REPAIR_H

#include "extent_find.h"
#include "kv.h"
#include "record.h"

/* A change that was made. */
struct nexus_repair_note {
	u8	letter;		/* kind of the key that was changed */
	u64	id;		/* its number: inode, data id, pack, user */
	u64	other;		/* a second one (parent, pos, offset, count), or 0 */
	const char *what;	/* static text */
	const u8 *name;		/* of the entry concerned, or NULL */
	size_t	namelen;
};

struct nexus_repair {
	struct nexus_kv *kv;		/* changed */
	struct nexus_time now;		/* times of what is made */
	bool	alloc;			/* the store has N, which is made if it is missing */
	u64	min_pack;		/* packs up to this are there, whatever the index says */
	void	*arg;			/* first argument of the below */
	void	(*note)(void *arg, const struct nexus_repair_note *note);
	/*
	 * What the packs say; NULL: they are not asked.  fits: the blocks lie in
	 * the pack, behind its table.  owner: the inode that the table names for
	 * the block if it is a block of that data id, else 0.
	 */
	bool	(*fits)(void *arg, const struct nexus_kext *x);
	u64	(*owner)(void *arg, u64 data_id, u64 pack, u32 block);
};

/*
 * The number of changes, or -ENOMEM, or -errno of the store, which holds some of
 * the changes then; the caller throws them away.  Z is not touched.
 */
s64 nexus_store_repair(const struct nexus_repair *repair);

/*
 * Puts a value right that has one wrong byte, which its checksum tells: when
 * exactly one change of one byte makes type and checksum right.  0 or -EUCLEAN.
 */
int nexus_val_mend(void *val, size_t len, u8 type);

#endif /* NEXUS_LIB_REPAIR_H */
