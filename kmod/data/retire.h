/* SPDX-License-Identifier: GPL-2.0-only */
/* What the channel asks of packs on the helper's behalf, once their content dies. */
#ifndef NEXUS_DATA_RETIRE_H
#define NEXUS_DATA_RETIRE_H

#include "../nexusfs.h"

/* Whether pack @id is one that the kernel writes to, or has written to. */
bool nexus_packs_own(struct nexus_zone *zone, u64 id);
/*
 * Blocks of pack @r->pack are about to go from its file (@gone), or are there again,
 * see struct nexus_retire; @range is a copy of what it points to.  Mounted; process
 * context; with @gone waits killably.
 */
int nexus_packs_retire(struct nexus_zone *zone, const struct nexus_retire *r,
		       const struct nexus_pack_range *range, bool gone);

/*
 * *@ns: how long nothing of the pack was read from its file, or told to be there, since it
 * was sealed or handed over.  0 or -ENXIO: there is none.  Mounted; process context.
 */
int nexus_packs_idle(struct nexus_zone *zone, u64 id, u64 *ns);

/*
 * An open pack takes no new data from here on, and is sealed when the writes to it end; the
 * log is flushed behind the record of that.  0: it is on the way, or was sealed before;
 * -ENXIO; -EBUSY: it is spare, or was zeroed, for less than half of it; -EAGAIN: what is left
 * without it would not be enough, and more is asked for; -ENOSPC: there would not be.
 * Mounted; process context.
 */
int nexus_packs_seal(struct nexus_zone *zone, u64 id);

/*
 * Appends a checked MOVE record if the file still has what it says, and changes the
 * file's map.  May wait for the helper, killably.  0 and *@lsn; -ENODATA: it has
 * not; -ENXIO, -EBUSY, -EINVAL: the pack it goes to is not at hand, written by the
 * kernel, or does not have these blocks; -EOPNOTSUPP: the store has no feature MOVES;
 * -EAGAIN: no room in the log.
 */
int nexus_data_move(struct nexus_zone *zone, struct super_block *sb,
		    struct nexus_rec_move *rec, u64 *lsn);

#endif /* NEXUS_DATA_RETIRE_H */
