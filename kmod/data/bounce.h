/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages of ours for direct I/O: what goes to the disk, or comes from it, where it
 * must not change under our hands.
 *
 * All there is at once is bounded, about, and a part of it is kept for the next one:
 * a page from the kernel is filled with zeros first, only to be overwritten.
 */
#ifndef NEXUS_DATA_BOUNCE_H
#define NEXUS_DATA_BOUNCE_H

#include <linux/mm_types.h>
#include <linux/types.h>

struct nexus_bounce {
	u32 taken;			/* of the bound */
	u32 nr;				/* pages there are; what is in them is old */
	struct page *pages[];		/* in rows that are contiguous, where possible */
};

/* 1..@n pages; callers that find most used up get a few.  NULL: no memory. */
struct nexus_bounce *nexus_bounce_new(u32 n);
void nexus_bounce_free(struct nexus_bounce *b);

int nexus_bounce_init(void);
/* Nobody has any. */
void nexus_bounce_exit(void);

#endif /* NEXUS_DATA_BOUNCE_H */
