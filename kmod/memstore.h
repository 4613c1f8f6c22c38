/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NEXUS_MEMSTORE_H
#define NEXUS_MEMSTORE_H

#include "nexusfs.h"

/*
 * memstore.c: the in-memory metastore and its pack store, for "mount -o mem".
 *
 * Such a zone has zone->mem, no session and no log (zone->log stays NULL);
 * functions of log/ see that:
 *   nexus_log_reserve	-EROFS on a failed zone, else succeeds at once
 *   nexus_mutate	calls zone->ms->mutate, as for every zone
 *   nexus_log_flush	0, or -EIO on a failed zone
 *   tail, durable, applied	nexus_memstore_lsn()
 *   nexus_log_set_flags	nexus_memstore_want(zone, set)
 *   stop, kick, wake_all, free	nothing
 * Its packs are real ones: memstore hands shmem files to nexus_packs_add(), with
 * NEXUS_HF_ZEROED | NEXUS_HF_SPARE, at the start and whenever
 * NEXUS_LF_WANT_PACK is set.
 */
int nexus_memstore_start(struct nexus_zone *zone);
/* Before nexus_packs_free(): no more packs are handed over. */
void nexus_memstore_stop(struct nexus_zone *zone);
void nexus_memstore_free(struct nexus_zone *zone);
u64 nexus_memstore_lsn(struct nexus_zone *zone);
/* Brings files_used, blocks_used and the space fields of the zone up to date. */
void nexus_memstore_statfs(struct nexus_zone *zone);
/* NEXUS_LF_* somebody waits for.  Any context. */
void nexus_memstore_want(struct nexus_zone *zone, u32 flags);

#endif /* NEXUS_MEMSTORE_H */
