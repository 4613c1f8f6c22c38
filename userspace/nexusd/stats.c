// SPDX-License-Identifier: Apache-2.0
#include "stats.h"

_Atomic uint64_t stats_values[STATS_MAX];

static const struct {
	const char *name;
	const char *help;
} counters[STATS_MAX] = {
#define X(n, h) [STATS_##n] = { "nexus_helper_" #n "_total", h },
	STATS_COUNTERS(X)
#undef X
};

const char *stats_name(enum stats_counter c)
{
	return counters[c].name;
}

const char *stats_help(enum stats_counter c)
{
	return counters[c].help;
}
