/* SPDX-License-Identifier: Apache-2.0 */
/* A zone with packs that can be evicted, and an evictor that steps when it is told to. */
#ifndef NEXUSD_TEST_WORLD_H
#define NEXUSD_TEST_WORLD_H

#include "evictor.h"
#include "fetch.h"
#include "made.h"
#include "upload.h"

#define WORLD_PACKS		10u
#define WORLD_PACK_BLOCKS	256u
#define WORLD_PACK_BYTES	((u64)WORLD_PACK_BLOCKS << NEXUS_BLOCK_SHIFT)
#define WORLD_LIMIT		(11 * WORLD_PACK_BYTES)
#define SECOND		1000000000ull
#define LONG_MS		60000u	/* nobody waits for so long but who fails */

struct world {
	struct config cfg;
	struct fake k;
	struct gen g;
	struct zone *z;
	struct evictor *e;
	u64 pack[WORLD_PACKS];	/* sealed */
	u32 used[WORLD_PACKS];	/* blocks of it */
	u64 now;
};

/* A new one; @plan: what goes wrong with the store from the beginning. */
void world_begin(struct world *w, const char *plan);
/* The machine stops; and once more. */
void world_cut(struct world *w);
void world_open(struct world *w);
/* Until all is put. */
void world_flush(struct world *w);
/* How many live blocks of a pack are away; the others are right. */
u32 world_away(struct world *w, u32 i);
/* A bit for each pack that went; what is here of them all is right. */
u32 world_gone(struct world *w);
/* As the thread does, until there is nothing to do at once. */
void world_run(struct world *w);
/* The kernel says that the pack was used so long ago. */
void world_used(struct world *w, u32 i, u64 idle);

#endif /* NEXUSD_TEST_WORLD_H */
