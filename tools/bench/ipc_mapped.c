// SPDX-License-Identifier: Apache-2.0
/* A ring of nexusfs that both sides have mapped, by libnexus' own functions. */
#define _GNU_SOURCE
#include <errno.h>

#define NEXUS_EXPORT
#include "userspace/libnexus/ring_map.c"

#include "ipc.h"

enum { RX, TX };

/* The process has its side until it ends. */
static int join(struct channel *c, bool sends)
{
	int err = nexus_ring_map_open(c->fd[sends ? TX : RX], 0, &c->map);

	errno = -err;
	return err ? -1 : 0;
}

static ssize_t put(struct channel *c, const char *buf, size_t len)
{
	int err = nexus_ring_map_send(c->map, buf, len, NEXUS_RING_FOREVER);

	if (!err)
		return (ssize_t)len;
	errno = -err;
	return -1;
}

static ssize_t take(struct channel *c, char *buf, size_t len)
{
	ssize_t got = nexus_ring_map_recv(c->map, buf, len, NEXUS_RING_FOREVER);

	if (got >= 0)
		return got;
	errno = (int)-got;
	return -1;
}

const struct means ipc_mapped = {
	"ring-mapped", false, false, 1, ipc_make_ring, join, put, take, ipc_shut
};
