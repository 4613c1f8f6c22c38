// SPDX-License-Identifier: Apache-2.0
/*
 * What there is to put and to delete, in the order of packs.
 *
 * Puts come first, for content is safe then.  When the store has no room deletes do, for
 * they make some.
 */
#include <stdlib.h>
#include <string.h>

#include "origin.h"
#include "space.h"
#include "upload.h"

#define DURABLE_LOOK_NS	100000000ull	/* between two looks at the log */
#define FIRST_LOOK_NS	200000000ull	/* between two looks at whether it goes on */
#define SCAN_MOST_NS	10000000000ull	/* one takes no longer, if it works */

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

/* Whether it can be done now; else *@until is when to look again at the latest. */
static bool is_due(const struct upload *u, const struct upload_item *item, u64 durable, u64 now,
		   u64 *until)
{
	if (item->busy || item->pack == u->held)
		return false;
	/* Nobody tells when it is. */
	if (item->lsn > durable)
		*until = NEXUS_MIN(*until, now + DURABLE_LOOK_NS);
	else if (item->not_before > now)
		*until = NEXUS_MIN(*until, item->not_before);
	else
		return true;
	return false;
}

/* Whether any of that side may be begun; as is_due(). */
static bool is_open(const struct upload_side *s, u64 now, u64 *until)
{
	if (s->not_before > now) {
		*until = NEXUS_MIN(*until, s->not_before);
		return false;
	}
	/* What was wrong is tried with one. */
	return !(upload_fails(s) && s->busy);
}

/* Less comes first. */
static unsigned int rank(const struct upload *u, const struct upload_item *item)
{
	if (item->del)
		return u->full ? 1 : 3;
	return item->first ? 0 : 2;
}

/*
 * Whether @a, which is behind @b in the order of packs, goes before it all the same: until
 * it is known that the store works, what has not failed tells more.
 */
static bool goes_before(const struct upload *u, const struct upload_item *a,
			const struct upload_item *b)
{
	unsigned int ra = rank(u, a), rb = rank(u, b);

	if (ra != rb)
		return ra < rb;
	return u->side[a->del].failures && a->failures < b->failures;
}

/* In the order of packs, which is about that of their ages; whoever waits is passed by. */
struct upload_item *upload_next(struct upload *u, u64 durable, u64 now, u64 *until)
{
	const bool open[2] = {
		is_open(&u->side[0], now, until), is_open(&u->side[1], now, until),
	};
	struct upload_item *next = NULL;
	size_t i;

	for (i = 0; i < u->nitems; i++) {
		struct upload_item *item = &u->items[i];

		if (open[item->del] && (!next || goes_before(u, item, next)) &&
		    is_due(u, item, durable, now, until))
			next = item;
	}
	if (next) {
		next->busy = true;
		u->side[next->del].busy++;
	}
	return next;
}

/* ---- for who waits ---------------------------------------------------------------- */

/* lock held, and given up meanwhile.  False: it makes no sense to wait longer. */
static bool wait_some(struct upload *u)
{
	upload_wait(u, space_clock() + FIRST_LOOK_NS);
	return !upload_fails(&u->side[0]) && !atomic_load(&u->z->fetch->stop) &&
	       origin_owns(u->z);
}

/* lock held.  How many of them are still to be put, now. */
static size_t put_first(struct upload *u, const u64 *pack, size_t n)
{
	u64 now = space_clock();
	size_t i, left = 0;

	for (i = 0; i < n; i++) {
		struct upload_item *item = upload_find(u, pack[i]);

		if (!item || item->del || item->then_del || item->pack == u->held ||
		    item->not_before > now)
			continue;
		item->first = true;
		item->lsn = 0;
		left++;
	}
	return left;
}

void zone_upload_first(struct zone *z, const u64 *pack, size_t n)
{
	struct upload *u = z->upload;
	u64 scans, late = space_clock() + SCAN_MOST_NS;
	bool on;

	if (!u || !n)
		return;
	pthread_mutex_lock(&u->lock);
	on = !upload_fails(&u->side[0]) && !atomic_load(&z->fetch->stop) && origin_owns(z);
	/* One that is under way may have begun too early. */
	scans = u->scans + u->scanning + 1;
	u->scan_now = true;
	pthread_cond_broadcast(&u->cond);
	while (on && u->scans < scans && space_clock() < late)
		on = wait_some(u);
	while (on && put_first(u, pack, n)) {
		pthread_cond_broadcast(&u->cond);
		on = wait_some(u);
	}
	pthread_mutex_unlock(&u->lock);
}
