/* SPDX-License-Identifier: Apache-2.0 */
/* Included ahead of a file of lib/: what it allocates is in the world of its test. */
#ifndef NEXUS_SCHED_WORLD_H
#define NEXUS_SCHED_WORLD_H

#include "sync.h"

void *world_alloc(size_t size);
void world_free(void *p);

#define nexus_alloc	world_alloc
#define nexus_free	world_free

#endif /* NEXUS_SCHED_WORLD_H */
