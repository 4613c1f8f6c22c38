/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a sealed pack is in use.  Its table names the first owner of each block;
 * the block is live if the owner's extent still is there, or a reference (R).
 *
 * The index is asked as it is on disk: a block that is dead there is dead for good,
 * whatever a power cut leaves of the log.  In a sealed pack blocks only die, so the
 * parts of a survey may be of different moments.
 */
#ifndef NEXUSD_SURVEY_H
#define NEXUSD_SURVEY_H

#include "presence.h"

struct survey {
	struct pack_image img;
	u64 *live;		/* a bit for each block */
	u64 *shared;		/* of them, those that others may refer to as well */
	u64 *gone;		/* free for the caller */
	u32 nlive;
	u32 nshared;
	u32 nplain;		/* live, and may change in place */
	u32 nabsent;		/* by the table */
	u32 naway;		/* of them, those that are live and held elsewhere */
	u32 nruns;		/* of live blocks */
	bool retry;		/* for the caller: what is marked may not be punched */
	bool unheld;		/* what is dead stays until the pack is held elsewhere */
};

/*
 * @index: the metastore alone, with no memtable over it.  0, and then survey_end()
 * is due; -ENOENT: no such pack, not sealed, or nothing of it is live; -EUCLEAN:
 * damaged, or the table does not name all that is live; or another error.
 */
int survey_begin(struct survey *s, struct zone *z, struct memtable *index, u64 pack);
void survey_end(struct survey *s);
/* Blocks of content that are dead and not marked absent; their bits go to s->gone. */
u32 survey_dead(struct survey *s);

/* The record of a pack in @kv.  0, -ENOENT, or the store's error. */
int survey_pack_val(struct nexus_kv *kv, u64 pack, struct nexus_pack_val *val);
/* The same in a view of @index.  1: there is one; 0; or the store's error. */
int survey_knows(struct memtable *index, u64 pack, struct nexus_pack_val *val);

#endif /* NEXUSD_SURVEY_H */
