/* SPDX-License-Identifier: GPL-2.0-only */
/* Statistics (stats.c). */
#ifndef NEXUS_KMOD_STATS_H
#define NEXUS_KMOD_STATS_H

#include <linux/types.h>

/* Module-wide counters, shown by netlink and nexusctl stats; names in stats.c. */
enum nexus_counter {
	NEXUS_C_requests,		/* requests sent to the helper */
	NEXUS_C_req_lookup,		/* LOOKUP requests */
	NEXUS_C_req_getattr,		/* GETATTR requests */
	NEXUS_C_req_list,		/* LIST requests */
	NEXUS_C_req_extents,		/* EXTENTS requests */
	NEXUS_C_req_xattr,		/* GETXATTR and LISTXATTR requests */
	NEXUS_C_req_open_pack,		/* OPEN_PACK requests */
	NEXUS_C_req_ensure,		/* ENSURE requests */
	NEXUS_C_req_origin,		/* ORIGIN requests */
	NEXUS_C_req_other,		/* other requests */
	NEXUS_C_req_killed,		/* requests whose waiter was killed */
	NEXUS_C_req_bad,		/* replies refused by validation */
	NEXUS_C_doorbells,		/* WAIT commands completed to wake the helper */
	NEXUS_C_doorbells_saved,	/* submissions that needed no doorbell */
	NEXUS_C_log_records,		/* records appended */
	NEXUS_C_log_bytes,		/* bytes of records appended */
	NEXUS_C_log_batches,		/* batches written to segments */
	NEXUS_C_log_batch_bytes,	/* bytes of batches written, padding included */
	NEXUS_C_log_flushes,		/* flushes of host files */
	NEXUS_C_log_waits,		/* waits for log space */
	NEXUS_C_log_data,		/* blocks of content put into the log */
	NEXUS_C_fsyncs,			/* fsync and syncfs calls */
	NEXUS_C_pack_writes,		/* writes to packs */
	NEXUS_C_pack_write_blocks,	/* blocks written to packs */
	NEXUS_C_pack_write_inplace_blocks, /* of them, those that were overwritten in place */
	NEXUS_C_pack_reads,		/* reads from packs */
	NEXUS_C_pack_read_blocks,	/* blocks read from packs */
	NEXUS_C_crc_errors,		/* blocks whose checksum did not match */
	NEXUS_C_inodes_read,		/* inodes made from replies */
	NEXUS_C_inodes_stale,		/* replies older than a known change, asked again */
	NEXUS_C_dir_complete_hits,	/* negative lookups answered by a complete directory */
	NEXUS_C_look_aheads,	/* listings that lookups made, for the names to come */
	NEXUS_C_sessions_lost,		/* sessions lost */
	NEXUS_C_plocks,			/* path locks taken, changes included */
	NEXUS_C_plock_waits,		/* requests for one that had to wait */
	NEXUS_C_plock_wakes,		/* times that somebody woke while waiting for one */
	NEXUS_C_plock_timeouts,		/* requests that waited too long */
	NEXUS_C_plock_deadlocks,	/* requests that would have waited for themselves */
	NEXUS_C_leases,			/* leases acquired, prolonged or given up */
	NEXUS_C_lease_waits,		/* times that somebody began to wait for one */
	NEXUS_C_lease_timeouts,		/* requests that waited too long */
	/* Of rings, to ring_empty: see ring/count.c. */
	NEXUS_C_rings,			/* times that a ring got memory: was opened, not being so */
	NEXUS_C_rings_freed,		/* times that one gave it back */
	NEXUS_C_ring_sent,		/* messages sent */
	NEXUS_C_ring_sent_bytes,	/* their payload */
	NEXUS_C_ring_received,		/* messages received */
	NEXUS_C_ring_received_bytes,	/* their payload */
	NEXUS_C_ring_full,		/* sends that had to wait, or could not */
	NEXUS_C_ring_empty,		/* receives that had to wait, or could not */
	NEXUS_C_MAX
};

/* Any context. */
void nexus_count_add(enum nexus_counter c, u64 n);
#define nexus_count(name)	nexus_count_add(NEXUS_C_##name, 1)
#define nexus_count_n(name, n)	nexus_count_add(NEXUS_C_##name, n)
/* May sleep. */
u64 nexus_count_read(enum nexus_counter c);
const char *nexus_count_name(enum nexus_counter c);
int nexus_stats_init(void);
void nexus_stats_exit(void);

#endif /* NEXUS_KMOD_STATS_H */
