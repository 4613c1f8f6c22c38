/* SPDX-License-Identifier: Apache-2.0 */
/* The service as the registry has it, and how it is called from outside. */
#ifndef PERMISSIONS_RPC_H
#define PERMISSIONS_RPC_H

#include <nexus/rpc.h>

#include "base.h"

/**
 * struct permissions - the service
 * @base: whose store is NULL before service_start
 */
struct permissions {
	struct base base;
	const struct nexus_service_host *host;
	struct nexus_service *me;
};

extern const struct nexus_rpc_service permissions_rpc[];

#endif /* PERMISSIONS_RPC_H */
