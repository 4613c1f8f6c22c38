// SPDX-License-Identifier: Apache-2.0
/* What there is to put and to delete, in the order of packs. */
#include <stdlib.h>
#include <string.h>

#include "upload.h"

#define DURABLE_LOOK_NS	100000000ull	/* between two looks at the log */

static size_t place_of(const struct upload *u, u64 pack)
{
	size_t from = 0, end = u->nitems;

	while (from < end) {
		size_t mid = (from + end) / 2;

		if (u->items[mid].pack < pack)
			from = mid + 1;
		else
			end = mid;
	}
	return from;
}

struct upload_item *upload_find(struct upload *u, u64 pack)
{
	size_t at = place_of(u, pack);

	return at < u->nitems && u->items[at].pack == pack ? &u->items[at] : NULL;
}

struct upload_item *upload_add(struct upload *u, u64 pack)
{
	size_t at = place_of(u, pack), cap = u->cap ? u->cap * 2 : 64;
	struct upload_item *item;

	if (at < u->nitems && u->items[at].pack == pack)
		return &u->items[at];
	if (u->nitems == u->cap) {
		item = realloc(u->items, cap * sizeof(*item));
		if (!item)
			return NULL;
		u->items = item;
		u->cap = cap;
	}
	item = &u->items[at];
	memmove(item + 1, item, (u->nitems++ - at) * sizeof(*item));
	*item = (struct upload_item){ .pack = pack };
	return item;
}

void upload_remove(struct upload *u, u64 pack)
{
	struct upload_item *item = upload_find(u, pack);

	if (!item)
		return;
	u->nitems--;
	memmove(item, item + 1, (u->nitems - (size_t)(item - u->items)) * sizeof(*item));
}

/* In the order of packs, which is about that of their ages; whoever waits is passed by. */
struct upload_item *upload_next(struct upload *u, u64 durable, u64 now, u64 *until)
{
	size_t i;

	if (u->not_before > now) {
		*until = NEXUS_MIN(*until, u->not_before);
		return NULL;
	}
	/* What was wrong is tried with one. */
	if (u->failures && u->busy)
		return NULL;
	for (i = 0; i < u->nitems; i++) {
		struct upload_item *item = &u->items[i];

		if (item->busy || item->pack == u->held)
			continue;
		/* Nobody tells when it is. */
		if (item->lsn > durable) {
			*until = NEXUS_MIN(*until, now + DURABLE_LOOK_NS);
			continue;
		}
		if (item->not_before > now) {
			*until = NEXUS_MIN(*until, item->not_before);
			continue;
		}
		item->busy = true;
		u->busy++;
		return item;
	}
	return NULL;
}
