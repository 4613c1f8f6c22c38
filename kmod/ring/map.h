/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mapped rings: one producer and one consumer, whose messages go through memory that both
 * have mapped (lib/spsc.h).
 *
 * While at least one side is mapped, the ring's own memory is empty, and all its credit is
 * taken and broken with -EBUSY: so nobody sends or receives by calls, and those need not
 * know why.  What is on its way moves in when the first side is mapped, and back when both
 * have left.
 *
 * The kernel looks at what the sides wrote only to compare it, while anybody has it mapped;
 * what it moves back goes through the same checks as that of every other consumer.
 */
#ifndef NEXUS_KMOD_RING_MAP_H
#define NEXUS_KMOD_RING_MAP_H

#include <linux/refcount.h>

#include "ring.h"
#include "../../lib/spsc.h"

enum { NEXUS_MAP_SEND, NEXUS_MAP_RECV };

/* Pages, in the order in which they are mapped. */
enum {
	NEXUS_MAP_STATUS,
	NEXUS_MAP_WORDS,		/* of NEXUS_MAP_SEND, then of NEXUS_MAP_RECV */
	NEXUS_MAP_DATA = NEXUS_MAP_WORDS + 2,
};

/* The memory, which is there as long as the ring or an open file refers to it. */
struct nexus_map {
	refcount_t refs;
	u32	capacity;
	u64	size;			/* of the data */
	unsigned int n;			/* pages */
	unsigned int n_mapped;		/* with those of the data twice */
	struct page **pages;		/* @n_mapped */
	u8	*area;			/* all of them */
	struct nexus_ring_user *user;
	wait_queue_head_t wait[2];
	u32	flags;			/* NEXUS_RING_NO_SENDER, NEXUS_RING_NO_RECEIVER */
	/* open_mutex of the ring: */
	struct nexus_map_file *owner[2];
	bool	left[2];		/* had an owner, and has none */
};

/* private_data of the file that NEXUS_IOC_RING_MAP makes. */
struct nexus_map_file {
	struct file *ring_file;		/* keeps the ring, its mount and its side open */
	struct nexus_ring *ring;
	struct nexus_map *map;		/* with a reference; NULL: the side was not had */
	unsigned int side;
	u64	armed;			/* for poll: go on when the other's is not this */
	bool	is_armed;
	/* open_mutex: */
	struct mm_struct *mm;		/* who maps; with a reference to the struct */
	unsigned int vmas;
};

static inline struct nexus_spsc_side *nexus_map_words(const struct nexus_map *map,
						      unsigned int side)
{
	return (void *)(map->area + (NEXUS_MAP_WORDS + side) * PAGE_SIZE);
}

/* map.c */
/* Gives @mf its side and memory.  -EBUSY, -EUCLEAN, -EDQUOT, -ENOMEM.  May sleep. */
int nexus_map_join(struct nexus_map_file *mf);
/* Takes it away, if it still has it.  open_mutex. */
void nexus_map_leave(struct nexus_map_file *mf);
void nexus_map_put(struct nexus_map *map);

/* Whether @mf has its side; without open_mutex a hint. */
static inline bool nexus_map_owns(const struct nexus_map_file *mf)
{
	return mf->map && READ_ONCE(mf->map->owner[mf->side]) == mf;
}

#endif /* NEXUS_KMOD_RING_MAP_H */
