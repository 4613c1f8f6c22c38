/* SPDX-License-Identifier: GPL-2.0-only */
/* What the channel asks of packs on the helper's behalf, once their content dies. */
#ifndef NEXUS_DATA_RETIRE_H
#define NEXUS_DATA_RETIRE_H

#include "../nexusfs.h"

/* Whether pack @id is one the kernel writes to, or is going to. */
bool nexus_packs_own(struct nexus_zone *zone, u64 id);
/*
 * Blocks of pack @r->pack are about to go from its file, see struct nexus_retire;
 * @range is a copy of what it points to.  Mounted; process context; waits killably.
 */
int nexus_packs_retire(struct nexus_zone *zone, const struct nexus_retire *r,
		       const struct nexus_pack_range *range);

#endif /* NEXUS_DATA_RETIRE_H */
