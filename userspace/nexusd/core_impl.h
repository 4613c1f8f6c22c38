/* SPDX-License-Identifier: Apache-2.0 */
/* Between core.c, core_packs.c and core_stats.c. */
#ifndef NEXUSD_CORE_IMPL_H
#define NEXUSD_CORE_IMPL_H

#include "control.h"

uint64_t core_count_segments(const char *dir);
int core_pack_list(void *ctx, const char *zone, uint64_t after, control_pack_fn fn,
		   void *arg, struct control_err *err);
int core_pack_verify(void *ctx, const char *zone, struct control_verify *verify,
		     control_problem_fn fn, void *arg, struct control_err *err);
int core_pack_compact(void *ctx, const char *zone, struct control_compact *compact,
		      struct control_err *err);
int core_stats(void *ctx, control_stat_fn fn, void *arg, struct control_err *err);
int core_status(void *ctx, struct control_status *status, struct control_err *err);
int core_version(void *ctx, struct control_version *version, struct control_err *err);

#endif /* NEXUSD_CORE_IMPL_H */
