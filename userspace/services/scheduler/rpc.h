/* SPDX-License-Identifier: Apache-2.0 */
/* The service as the registry has it, and how it is called from outside. */
#ifndef SCHEDULER_RPC_H
#define SCHEDULER_RPC_H

#include <nexus/rpc.h>

#include "tasks.h"

/**
 * struct scheduler - the service
 * @tasks: opened by service_start
 */
struct scheduler {
	const struct nexus_service_host *host;
	struct nexus_service *me;
	struct tasks tasks;
	struct ticker ticker;
	bool open;
};

extern const struct nexus_rpc_service scheduler_rpc[];

#endif /* SCHEDULER_RPC_H */
