/* SPDX-License-Identifier: Apache-2.0 */
/* Who is at the other end of a Unix socket, and what it may do. */
#ifndef NEXUSD_RPC_PEER_H
#define NEXUSD_RPC_PEER_H

#include "rpc.h"

#define PEER_GROUPS_MAX	65536	/* NGROUPS_MAX of Linux */

/**
 * peer_read() - credentials of the other end (SO_PEERCRED); may_change is false
 * @fd: connected Unix socket
 * @peer: filled
 *
 * Return: 0, or a negative errno.
 */
int peer_read(int fd, struct rpc_peer *peer);

/**
 * peer_may_change() - uid 0, or a member of the group
 * @fd: connected Unix socket, or -1 to use only what the user database says
 * @peer: its credentials
 * @group: name of the group
 *
 * Primary group, the supplementary groups the process had when it connected,
 * and those of its user in the user database count. May block in the user
 * database.
 */
bool peer_may_change(int fd, const struct rpc_peer *peer, const char *group);

/**
 * peer_group_id() - number of a group
 * @group: name
 * @gid: set
 *
 * Return: 0, -ENOENT when there is no such group, or a negative errno.
 */
int peer_group_id(const char *group, gid_t *gid);

#endif /* NEXUSD_RPC_PEER_H */
