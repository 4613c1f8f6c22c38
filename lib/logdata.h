/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Which content of DATA records is in force: what no later record of the log has
 * replaced, moved to a pack or cut off.  The log must be kept from the oldest of them
 * on.  Not synchronised.
 */
#ifndef NEXUS_LIB_LOGDATA_H
#define NEXUS_LIB_LOGDATA_H

#include "omap.h"

struct nexus_logdata {
	struct nexus_omap blocks;	/* data id, file block: where it is */
	struct nexus_omap order;	/* LSN, data id, file block: nothing */
};

struct nexus_logdata_block {
	u64	lsn;		/* of the record that holds it */
	u64	ino;
	u32	len;		/* bytes of the block that count, 1..4096; zeros follow */
	u32	reserved;
};

void nexus_logdata_init(struct nexus_logdata *d);
void nexus_logdata_destroy(struct nexus_logdata *d);

/*
 * Takes over a checked record, in the order of the log.  0 or -ENOMEM: then the same
 * record is to be given again.
 */
int nexus_logdata_feed(struct nexus_logdata *d, const struct nexus_rec_head *rec);

/* LSN of the oldest record with content in force; 0: there is none. */
u64 nexus_logdata_low(const struct nexus_logdata *d);

/* Whether file block @fblock has content in force, and which. */
bool nexus_logdata_find(const struct nexus_logdata *d, u64 data_id, u64 fblock,
			struct nexus_logdata_block *b);

static inline u64 nexus_logdata_count(const struct nexus_logdata *d)
{
	return d->blocks.count;
}

#endif /* NEXUS_LIB_LOGDATA_H */
