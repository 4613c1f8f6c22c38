/* SPDX-License-Identifier: Apache-2.0 */
/* The service as the registry has it, and how it is called from outside. */
#ifndef NAMESPACE_RPC_H
#define NAMESPACE_RPC_H

#include <nexus/rpc.h>

#include "names.h"

/**
 * struct namespace - the service
 * @permissions: a reference, from service_start on
 */
struct namespace {
	const struct nexus_service_host *host;
	struct nexus_service *me;
	struct nexus_ref *permissions;
	struct names names;
};

extern const struct nexus_rpc_service namespace_rpc[];

#endif /* NAMESPACE_RPC_H */
