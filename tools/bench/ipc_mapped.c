// SPDX-License-Identifier: Apache-2.0
/* A ring of nexusfs that both sides have mapped, by libnexus' own functions. */
#define _GNU_SOURCE
#include <errno.h>

#define NEXUS_EXPORT
#include "lib/spsc.c"
#include "userspace/libnexus/ring_map.c"

#include "ipc.h"

enum { RX, TX };

/* The process that is the first to use a side has it until it ends. */
static struct nexus_ring_map *side(struct channel *c, int which)
{
	int err = c->map ? 0 : nexus_ring_map_open(c->fd[which], 0, &c->map);

	if (!err)
		return c->map;
	errno = -err;
	return NULL;
}

static ssize_t put(struct channel *c, const char *buf, size_t len)
{
	struct nexus_ring_map *map = side(c, TX);
	int err;

	if (!map)
		return -1;
	err = nexus_ring_map_send(map, buf, len, NEXUS_RING_FOREVER);
	errno = -err;
	return err ? -1 : (ssize_t)len;
}

static ssize_t take(struct channel *c, char *buf, size_t len)
{
	struct nexus_ring_map *map = side(c, RX);
	ssize_t got;

	if (!map)
		return -1;
	got = nexus_ring_map_recv(map, buf, len, NEXUS_RING_FOREVER);
	if (got >= 0)
		return got;
	errno = (int)-got;
	return -1;
}

const struct means ipc_mapped = {
	"ring-mapped", false, false, 1, ipc_make_ring, put, take, ipc_shut
};
