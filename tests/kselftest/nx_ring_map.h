/* SPDX-License-Identifier: GPL-2.0-only */
/* Mapped rings: libnexus' own functions, and what the tests of them share. */
#ifndef NX_RING_MAP_H
#define NX_RING_MAP_H

#include "nx_ring.h"

#include <nexus/ring.h>

#define NEXUS_EXPORT
#include "../../userspace/libnexus/ring_map.c"

/* Both ends of a new ring, and what it is mapped by. */
struct pair {
	int fd[2];
	struct nexus_ring_map *rx, *tx;
};

static inline int pair_open(struct pair *p, const char *name, uint64_t capacity)
{
	memset(p, 0, sizeof(*p));
	if (ring_make(name, capacity) || ring_ends(name, p->fd, O_NONBLOCK))
		return -errno;
	return 0;
}

static inline int pair_map(struct pair *p, const char *name, uint64_t capacity)
{
	int err = pair_open(p, name, capacity);

	if (!err)
		err = nexus_ring_map_open(p->fd[0], 0, &p->rx);
	if (!err)
		err = nexus_ring_map_open(p->fd[1], 0, &p->tx);
	return err;
}

static inline void pair_close(struct pair *p)
{
	nexus_ring_map_close(p->tx);
	nexus_ring_map_close(p->rx);
	close(p->fd[0]);
	close(p->fd[1]);
}

#endif
