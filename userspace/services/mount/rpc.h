/* SPDX-License-Identifier: Apache-2.0 */
/* The service as the registry has it, and how it is called from outside. */
#ifndef MOUNT_RPC_H
#define MOUNT_RPC_H

#include <nexus/rpc.h>

#include "mounts.h"
#include "run.h"

/**
 * struct mount_service - the service
 * @mounts, @run: from service_start on
 */
struct mount_service {
	const struct nexus_service_host *host;
	struct nexus_service *me;
	struct mounts_machine machine;
	struct run run;
	struct mounts mounts;
	bool open;
};

extern const struct nexus_rpc_service mount_rpc[];

#endif /* MOUNT_RPC_H */
