/* SPDX-License-Identifier: Apache-2.0 */
/* What the helper offers to front ends (<nexus/front.h>). */
#ifndef NEXUSD_RPC_FRONT_H
#define NEXUSD_RPC_FRONT_H

#include <nexus/front.h>

#include "table.h"

struct fronts;

/**
 * struct fronts_opts - what it is made of
 * @table: the table of methods; what it points to must outlive the fronts
 * @setting: a setting of the helper, or NULL: *@number instead if it is one
 * @setting_ctx: its first argument
 * @workers: threads that run calls (8, at least 2); from the first call on
 */
struct fronts_opts {
	struct rpc_table table;
	const char *(*setting)(void *ctx, const char *name, uint32_t *number);
	void *setting_ctx;
	unsigned int workers;
};

/** fronts_new() - NULL without memory */
struct fronts *fronts_new(const struct fronts_opts *opts);

/** fronts_handle() - for services; lives as long as the fronts */
const struct nexus_front *fronts_handle(struct fronts *fronts);

/**
 * fronts_free() - waits for the calls that run
 * @fronts: no front end uses them any more; or NULL
 */
void fronts_free(struct fronts *fronts);

#endif /* NEXUSD_RPC_FRONT_H */
