// SPDX-License-Identifier: GPL-2.0-only
/* Per-CPU counters of the module. */
#include <linux/percpu.h>

#include "nexusfs.h"

struct nexus_counters {
	u64 v[NEXUS_C_MAX];
};

static struct nexus_counters __percpu *nexus_counters;

static const char * const nexus_counter_names[NEXUS_C_MAX] = {
#define X(name, help) [NEXUS_C_##name] = #name,
	NEXUS_COUNTERS(X)
#undef X
};

void nexus_count_add(enum nexus_counter c, u64 n)
{
	this_cpu_add(nexus_counters->v[c], n);
}

u64 nexus_count_read(enum nexus_counter c)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(nexus_counters, cpu)->v[c]);
	return sum;
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
