/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of ids, small when ids are few or lie close together.
 *
 * Ids with the same upper 16 bits are one chunk: a sorted list of their lower
 * halves, or from IDSET_LIST on a bitmap of 8 KiB, whichever is smaller.
 */
#ifndef PERMISSIONS_IDSET_H
#define PERMISSIONS_IDSET_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/port.h"

#define IDSET_LIST	4096u	/* members of a list, at most */

/**
 * struct idset_chunk - ids of one upper half
 * @high: the upper half
 * @n: how many there are
 * @room: of @list; 0: it is a bitmap
 */
struct idset_chunk {
	u16 high;
	u32 n;
	u32 room;
	union {
		u16 *list;
		u64 *bits;
	};
};

/**
 * struct idset - all zeros is the empty one
 * @bytes: of memory that it has
 */
struct idset {
	struct idset_chunk *chunks;
	u32 n, room;
	size_t bytes;
};

/* -ENOMEM: it is as it was. */
int idset_add(struct idset *s, u32 id);
bool idset_has(const struct idset *s, u32 id);
/* The smallest id that is @from or above; false: there is none. */
bool idset_next(const struct idset *s, u32 from, u32 *id);
void idset_free(struct idset *s);

#endif /* PERMISSIONS_IDSET_H */
