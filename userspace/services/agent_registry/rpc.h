/* SPDX-License-Identifier: Apache-2.0 */
/* The service as the registry has it, and how it is called from outside. */
#ifndef AGENT_REGISTRY_RPC_H
#define AGENT_REGISTRY_RPC_H

#include <nexus/rpc.h>

#include "agents.h"

/**
 * struct agent_registry - the service
 * @agents: opened by service_start
 */
struct agent_registry {
	const struct nexus_service_host *host;
	struct nexus_service *me;
	struct agents agents;
	struct ticker ticker;
	bool open;
};

extern const struct nexus_rpc_service agent_registry_rpc[];

#endif /* AGENT_REGISTRY_RPC_H */
