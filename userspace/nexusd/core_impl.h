/* SPDX-License-Identifier: Apache-2.0 */
/* Between the core*.c. */
#ifndef NEXUSD_CORE_IMPL_H
#define NEXUSD_CORE_IMPL_H

#include "control.h"

struct config;
struct zone;

/* A zone that is mounted, with a reference for zone_put(); else -ENOENT, -ENXIO. */
int core_get_zone(void *ctx, const char *name, struct zone **z, struct control_err *err);
uint64_t core_count_segments(const char *dir);
int core_pack_list(void *ctx, const char *zone, uint64_t after, control_pack_fn fn,
		   void *arg, struct control_err *err);
int core_pack_verify(void *ctx, const char *zone, struct control_verify *verify,
		     control_problem_fn fn, void *arg, struct control_err *err);
int core_pack_compact(void *ctx, const char *zone, struct control_compact *compact,
		      struct control_err *err);
int core_pack_evict(void *ctx, const char *zone, uint64_t pack, uint64_t *blocks,
		    struct control_err *err);
int core_scrub(void *ctx, const char *zone, enum control_scrub_do what,
	       struct control_scrub *out, struct control_err *err);
int core_uploads(void *ctx, const char *zone, bool flush, struct control_uploads *out,
		 struct control_err *err);
int core_gc(void *ctx, const char *zone, struct control_gc *gc, control_gc_fn fn, void *arg,
	    struct control_err *err);
int core_refresh(void *ctx, const char *zone, struct control_refresh *r, struct control_err *err);
int core_quota_list(void *ctx, const char *zone, uint32_t kind, uint32_t from,
		    control_quota_fn fn, void *arg, struct control_err *err);
int core_quota_get(void *ctx, const char *zone, struct control_quota *quota,
		   struct control_err *err);
int core_quota_set(void *ctx, const char *zone, const struct control_quota *quota,
		   struct control_err *err);
int core_quota_grace(void *ctx, const char *zone, uint32_t kind, uint64_t inodes,
		     uint64_t blocks, struct control_err *err);
int core_service_list(void *ctx, const char *name, control_service_fn fn, void *arg,
		      struct control_err *err);
int core_service_load(void *ctx, const char *const *names, size_t n,
		      const struct control_caller *caller, struct control_err *err);
int core_service_swap(void *ctx, const char *name, const struct control_caller *caller,
		      struct control_err *err);
int core_service_unload(void *ctx, const char *name, const struct control_caller *caller,
			struct control_err *err);
int core_boot(void *ctx, struct control_boot *boot, control_boot_step_fn fn, void *arg,
	      struct control_err *err);
/* Of those that are on. */
uint32_t core_bricks_missing(const struct config *cfg);
int core_profile(void *ctx, const char *name, char name_out[CONTROL_NAME_MAX],
		 control_brick_fn fn, void *arg, struct control_err *err);
int core_stats(void *ctx, control_stat_fn fn, void *arg, struct control_err *err);
int core_status(void *ctx, struct control_status *status, struct control_err *err);
int core_version(void *ctx, struct control_version *version, struct control_err *err);

#endif /* NEXUSD_CORE_IMPL_H */
