/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memtable: what was applied and is not in the metastore yet, in two
 * generations, and the merged view of both over a snapshot of the metastore.
 *
 *	overlay		changes of records being applied; the applier's alone
 *	active		applied
 *	frozen		applied, being folded into the metastore; never changes
 *	metastore	everything below the checkpoint
 *
 * A key's value is that of the highest layer that has it; a tombstone hides
 * what is below.  Readers hold @lock shared, so they see whole records only.
 */
#ifndef NEXUSD_MEMTABLE_H
#define NEXUSD_MEMTABLE_H

#include <pthread.h>

#include <nexus/metastore.h>

#include "lib/omap.h"

struct memtable {
	pthread_rwlock_t lock;
	struct nexus_omap *active;	/* lock */
	struct nexus_omap *frozen;	/* lock; NULL: none */
	struct nexus_metastore *ms;
	u64 applied;			/* lock: LSN after the last record in here */
	u64 frozen_lsn;			/* of the cut */
	u64 cut_lsn;			/* where active begins */
};

int memtable_init(struct memtable *mt, struct nexus_metastore *ms, u64 applied);
void memtable_destroy(struct memtable *mt);
/* Bytes in memory; takes the lock. */
u64 memtable_bytes(struct memtable *mt);
u64 memtable_applied(struct memtable *mt);

/*
 * Makes the active generation the frozen one.  Only where no overlay is being
 * filled.  -EBUSY while there is a frozen one; -ENODATA when nothing was applied
 * since the last cut.
 */
int memtable_freeze(struct memtable *mt);
/* The frozen generation is in the metastore. */
void memtable_thaw(struct memtable *mt);
/* Moves the overlay into the active generation. */
int memtable_publish(struct memtable *mt, struct nexus_omap *overlay, u64 applied);

/*
 * A merged view; put and del only with an overlay.  Between begin and end the
 * thread holds the lock shared and a snapshot.
 */
struct memview {
	struct nexus_kv kv;
	struct memtable *mt;
	struct nexus_omap *overlay;
	struct nexus_ms_snap *snap;
};

int memview_begin(struct memview *v, struct memtable *mt, struct nexus_omap *overlay);
void memview_end(struct memview *v);

#endif /* NEXUSD_MEMTABLE_H */
