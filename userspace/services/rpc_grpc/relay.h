/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of TCP: forwarded, as they are, to a socket of the core, which speaks TLS.
 * The core's own listener on TCP has no limit, and stops for good when descriptors are
 * used up.
 */
#ifndef RPC_GRPC_RELAY_H
#define RPC_GRPC_RELAY_H

#include "server.h"

struct relay;

/* All on the loop's thread, lock held. */

/* Takes a client in; the descriptor is its own from now on. */
void relay_new(struct grpc_front *f, int fd);
/* An event of one of its two ends. */
void relay_event(struct grpc_front *f, struct watch *end, uint32_t events);
/* Called by conn_gone(): hangs up on both sides. */
void relay_end(struct grpc_front *f, struct relay *relay);
/* Those that ended are freed: no event points at them any more. */
void relay_bury(struct grpc_front *f);

#endif /* RPC_GRPC_RELAY_H */
