/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NEXUSD_CORE_RPC_H
#define NEXUSD_CORE_RPC_H

#include "rpc/rpc.h"

/* What loaded services add to the dispatch table; its context is the registry. */
extern const struct rpc_loaded core_rpc;

#endif /* NEXUSD_CORE_RPC_H */
