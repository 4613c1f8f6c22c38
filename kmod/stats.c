// SPDX-License-Identifier: GPL-2.0-only
/* Per-CPU counters of the module. */
#include <linux/percpu.h>

#include "nexusfs.h"

struct nexus_counters {
	u64 v[NEXUS_C_MAX];
};

static struct nexus_counters __percpu *nexus_counters;

static const char * const nexus_counter_names[NEXUS_C_MAX] = {
	[NEXUS_C_requests] = "requests",
	[NEXUS_C_req_lookup] = "req_lookup",
	[NEXUS_C_req_getattr] = "req_getattr",
	[NEXUS_C_req_list] = "req_list",
	[NEXUS_C_req_extents] = "req_extents",
	[NEXUS_C_req_xattr] = "req_xattr",
	[NEXUS_C_req_open_pack] = "req_open_pack",
	[NEXUS_C_req_ensure] = "req_ensure",
	[NEXUS_C_req_origin] = "req_origin",
	[NEXUS_C_req_other] = "req_other",
	[NEXUS_C_req_killed] = "req_killed",
	[NEXUS_C_req_bad] = "req_bad",
	[NEXUS_C_doorbells] = "doorbells",
	[NEXUS_C_doorbells_saved] = "doorbells_saved",
	[NEXUS_C_log_records] = "log_records",
	[NEXUS_C_log_bytes] = "log_bytes",
	[NEXUS_C_log_batches] = "log_batches",
	[NEXUS_C_log_batch_bytes] = "log_batch_bytes",
	[NEXUS_C_log_flushes] = "log_flushes",
	[NEXUS_C_log_waits] = "log_waits",
	[NEXUS_C_log_data] = "log_data",
	[NEXUS_C_fsyncs] = "fsyncs",
	[NEXUS_C_pack_writes] = "pack_writes",
	[NEXUS_C_pack_write_blocks] = "pack_write_blocks",
	[NEXUS_C_pack_write_inplace_blocks] = "pack_write_inplace_blocks",
	[NEXUS_C_pack_reads] = "pack_reads",
	[NEXUS_C_pack_read_blocks] = "pack_read_blocks",
	[NEXUS_C_crc_errors] = "crc_errors",
	[NEXUS_C_inodes_read] = "inodes_read",
	[NEXUS_C_inodes_stale] = "inodes_stale",
	[NEXUS_C_dir_complete_hits] = "dir_complete_hits",
	[NEXUS_C_look_aheads] = "look_aheads",
	[NEXUS_C_sessions_lost] = "sessions_lost",
	[NEXUS_C_plocks] = "plocks",
	[NEXUS_C_plock_waits] = "plock_waits",
	[NEXUS_C_plock_wakes] = "plock_wakes",
	[NEXUS_C_plock_timeouts] = "plock_timeouts",
	[NEXUS_C_plock_deadlocks] = "plock_deadlocks",
	[NEXUS_C_leases] = "leases",
	[NEXUS_C_lease_waits] = "lease_waits",
	[NEXUS_C_lease_timeouts] = "lease_timeouts",
	[NEXUS_C_rings] = "rings",
	[NEXUS_C_rings_freed] = "rings_freed",
	[NEXUS_C_ring_sent] = "ring_sent",
	[NEXUS_C_ring_sent_bytes] = "ring_sent_bytes",
	[NEXUS_C_ring_received] = "ring_received",
	[NEXUS_C_ring_received_bytes] = "ring_received_bytes",
	[NEXUS_C_ring_full] = "ring_full",
	[NEXUS_C_ring_empty] = "ring_empty",
};

void nexus_count_add(enum nexus_counter c, u64 n)
{
	this_cpu_add(nexus_counters->v[c], n);
}

static u64 nexus_count_sum(enum nexus_counter c)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(nexus_counters, cpu)->v[c]);
	return sum;
}

u64 nexus_count_read(enum nexus_counter c)
{
	if (c >= NEXUS_C_rings && c <= NEXUS_C_ring_empty)
		return nexus_rings_count(c, nexus_count_sum);
	return nexus_count_sum(c);
}

const char *nexus_count_name(enum nexus_counter c)
{
	return nexus_counter_names[c];
}

int nexus_stats_init(void)
{
	nexus_counters = alloc_percpu(struct nexus_counters);
	return nexus_counters ? 0 : -ENOMEM;
}

void nexus_stats_exit(void)
{
	free_percpu(nexus_counters);
}
