// SPDX-License-Identifier: Apache-2.0
/*
 * Who decides what is evicted, and when.
 *
 * What is here is what the files of packs take of the host, without their heads and
 * tables, which stay.  It is looked up anew, at most every second and for a small part of
 * the time: it changes in many ways, and nothing of that need be counted twice.
 *
 * A pack may go when it was put whole, and the store says that it is there.  The order is
 * that of the last use, which is the later of what the kernel says (reads of its file) and
 * what was fetched here.  Packs of which nobody knows a use since the zone was opened go
 * first, in the order they were made.
 *
 * While the store does not answer nothing is evicted: what is here is all that can be read.
 */
#include "evictor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fetch.h"
#include "presence.h"
#include "space.h"
#include "stats.h"
#include "upload.h"

#define TICK_NS		1000000000ull
#define LOOK_SHARE	20u		/* of the time, looking takes one in so many parts */
#define STORE_PAUSE_NS	5000000000ull	/* after an error of the store */
#define WAIT_NS		5000000000ull	/* before a pack is tried again that could not go */
#define WAIT_MAX_NS	3600000000000ull
#define STEP_PACKS	16u
#define USE_SLACK_NS	100000000ull	/* of two looks at when a pack was used */

/* ---- what is here ------------------------------------------------------------------- */

/* lock held. */
static size_t place_of(const struct evictor *e, u64 pack)
{
	size_t from = 0, end = e->n;

	while (from < end) {
		size_t mid = (from + end) / 2;

		if (e->packs[mid].pack < pack)
			from = mid + 1;
		else
			end = mid;
	}
	return from;
}

/* lock held. */
static struct evictor_pack *find(struct evictor *e, u64 pack)
{
	size_t at = place_of(e, pack);

	return at < e->n && e->packs[at].pack == pack ? &e->packs[at] : NULL;
}

struct look {
	struct evictor *e;
	struct evictor_pack *packs;
	size_t n, cap;
	u64 here;
};

static int look_at(void *arg, u64 pack)
{
	struct look *l = arg;
	struct zone *z = l->e->z;
	u64 bytes, rest = z->sb.pack_size - l->e->pack_bytes;
	int ret = z->os->drv->taken(z->os, pack, &bytes);

	if (ret)
		return ret == -ENOENT ? 0 : ret;
	if (atomic_load(&z->stopping))
		return -ESHUTDOWN;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 256;
		void *more = realloc(l->packs, cap * sizeof(*l->packs));

		if (!more)
			return -ENOMEM;
		l->packs = more;
		l->cap = cap;
	}
	bytes = bytes > rest ? bytes - rest : 0;
	l->here += bytes;
	l->packs[l->n++] = (struct evictor_pack){ .pack = pack, .bytes = bytes };
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct evictor_pack *x = a, *y = b;

	return x->pack < y->pack ? -1 : x->pack > y->pack;
}

/* lock held: what was known of packs that are there still. */
static void take_over(struct evictor *e, struct look *l)
{
	size_t i, j = 0;

	for (i = 0; i < l->n; i++) {
		while (j < e->n && e->packs[j].pack < l->packs[i].pack)
			j++;
		if (j == e->n)
			return;
		if (e->packs[j].pack != l->packs[i].pack)
			continue;
		l->packs[i].used = e->packs[j].used;
		l->packs[i].wait = e->packs[j].wait;
		l->packs[i].not_before = e->packs[j].not_before;
	}
}

/* lock held.  What was made since the look began may have been seen in part, or not at all. */
static void count_made(struct evictor *e, struct look *l)
{
	struct evictor_pack key, *p;
	u32 i;

	for (i = 0; i < e->nmade; i++) {
		key.pack = e->made[i];
		p = l->n ? bsearch(&key, l->packs, l->n, sizeof(key), by_id) : NULL;
		if (p && p->bytes < e->pack_bytes) {
			l->here += e->pack_bytes - p->bytes;
			p->bytes = e->pack_bytes;
		} else if (!p) {
			l->here += e->pack_bytes;
		}
	}
}

static int look(struct evictor *e, u64 now)
{
	struct look l = { .e = e };
	struct zone *z = e->z;
	u64 total, avail = UINT64_MAX, begun = space_clock();
	int ret;

	pthread_mutex_lock(&e->lock);
	e->nmade = 0;
	pthread_mutex_unlock(&e->lock);
	ret = z->os->drv->list(z->os, look_at, &l);
	if (!ret && e->floor)
		ret = z->os->drv->space(z->os, &total, &avail);
	e->look_at = now + NEXUS_MAX(TICK_NS, (space_clock() - begun) * LOOK_SHARE);
	if (ret) {
		free(l.packs);
		return ret;
	}
	if (l.n)
		qsort(l.packs, l.n, sizeof(*l.packs), by_id);
	pthread_mutex_lock(&e->lock);
	take_over(e, &l);
	count_made(e, &l);
	free(e->packs);
	e->packs = l.packs;
	e->n = l.n;
	e->cap = l.cap;
	e->here = l.here;
	e->avail = avail;
	e->looked = true;
	pthread_mutex_unlock(&e->lock);
	return 0;
}

/* ---- how much room there is ---------------------------------------------------------- */

/* lock held.  Whether there is room for @limit_room bytes below the limit and so on. */
static bool room(const struct evictor *e, u64 limit_room, u64 floor_room)
{
	return (!e->limit || e->here + limit_room <= e->limit) &&
	       (!e->floor || e->avail >= e->floor + floor_room);
}

bool zone_evictor_room(struct zone *z)
{
	struct evictor *e = z->evictor;
	bool yes;

	if (!e)
		return true;
	pthread_mutex_lock(&e->lock);
	yes = !e->looked || room(e, e->pack_bytes, e->pack_bytes);
	if (yes) {
		e->full_since = 0;
		e->gave_up = false;
	}
	pthread_mutex_unlock(&e->lock);
	return yes;
}

void zone_evictor_made(struct zone *z, u64 pack)
{
	struct evictor *e = z->evictor;

	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	e->here += e->pack_bytes;
	e->avail -= NEXUS_MIN(e->avail, e->pack_bytes);
	if (e->nmade < EVICTOR_MADE)
		e->made[e->nmade++] = pack;
	e->kick = true;
	pthread_cond_signal(&e->cond);
	pthread_mutex_unlock(&e->lock);
}

bool zone_evictor_gave_up(struct zone *z, bool wanted)
{
	u64 now = space_clock(), patience = (u64)z->cfg->origin_timeout * 1000000000ull;
	struct evictor *e = z->evictor;
	bool yes;

	pthread_mutex_lock(&e->lock);
	if (!e->full_since && wanted)
		e->full_since = now;
	if (!e->gave_up && e->full_since && now - e->full_since >= patience) {
		e->gave_up = true;
		stats_inc(cache_refusals);
	}
	yes = e->gave_up;
	pthread_mutex_unlock(&e->lock);
	return yes;
}

void zone_evictor_used(struct zone *z, u64 pack, u64 bytes)
{
	struct evictor *e = z->evictor;
	struct evictor_pack *p;

	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	p = find(e, pack);
	if (p) {
		p->used = space_clock();
		p->bytes += bytes;
		/* It could not go when there was nothing of it. */
		p->wait = 0;
		p->not_before = 0;
	}
	e->here += bytes;
	e->avail -= NEXUS_MIN(e->avail, bytes);
	pthread_mutex_unlock(&e->lock);
}

/* ---- evicting ------------------------------------------------------------------------- */

/* Of the kernel; as it was if it does not know. */
static u64 last_use(struct zone *z, u64 pack, u64 used, u64 now)
{
	struct nexus_pack_use u = { .zone = z->id, .pack = pack };

	if (chan_ioctl(z->chan, NEXUS_IOC_PACK_USE, &u) || u.idle > now)
		return used;
	return NEXUS_MAX(used, now - u.idle);
}

/* The first behind @after of which something is here that may be tried now. */
static bool next_here(struct evictor *e, u64 after, u64 now, struct evictor_pack *p)
{
	size_t i;
	bool found = false;

	pthread_mutex_lock(&e->lock);
	for (i = place_of(e, after + 1); i < e->n && !found; i++) {
		found = e->packs[i].bytes && e->packs[i].not_before <= now;
		if (found)
			*p = e->packs[i];
	}
	pthread_mutex_unlock(&e->lock);
	return found;
}

/* With @gone bytes of what is here gone.  @claim: they are claimed then. */
static bool fits(struct evictor *e, u64 bytes, u64 gone, bool claim)
{
	u64 all;
	bool yes;

	pthread_mutex_lock(&e->lock);
	all = bytes + e->claimed;
	/* More may be here than the limit: what came goes a little later. */
	yes = !e->looked ||
	      ((!e->limit || e->here + e->limit_rest + all <= e->limit + gone) &&
	       (!e->floor || e->avail + gone >= e->floor + e->floor_rest + all));
	if (yes && claim)
		e->claimed = all;
	pthread_mutex_unlock(&e->lock);
	return yes;
}

static bool may_come(struct zone *z, u64 pack, u64 bytes, u64 since, bool claim)
{
	struct evictor_pack p = { .pack = 0 };
	struct evictor *e = z->evictor;
	u64 now = space_clock(), gone = 0;

	if (!e)
		return true;
	while (!fits(e, bytes, gone, claim)) {
		if (!next_here(e, p.pack, now, &p))
			return false;
		if (p.pack != pack && zone_upload_mark(z, p.pack) >= MARK_HELD &&
		    last_use(z, p.pack, p.used, now) < since)
			gone += p.bytes;
	}
	return true;
}

bool zone_evictor_fits(struct zone *z, u64 pack, u64 bytes, u64 since)
{
	return may_come(z, pack, bytes, since, false);
}

bool zone_evictor_claim(struct zone *z, u64 pack, u64 bytes, u64 since)
{
	return may_come(z, pack, bytes, since, true);
}

void zone_evictor_came(struct zone *z, u64 bytes)
{
	struct evictor *e = z->evictor;

	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	e->claimed -= bytes;
	pthread_mutex_unlock(&e->lock);
}

static int by_use(const void *a, const void *b)
{
	const struct evictor_pack *x = a, *y = b;

	return x->used != y->used ? (x->used < y->used ? -1 : 1) : by_id(a, b);
}

/* What could go, in the order in which it is to; to be freed.  NULL: no memory. */
static struct evictor_pack *choose(struct evictor *e, u64 now, size_t *n)
{
	struct evictor_pack *list;
	size_t i, all = 0, some = 0;

	pthread_mutex_lock(&e->lock);
	list = calloc(e->n + 1, sizeof(*list));
	for (i = 0; list && i < e->n; i++)
		if (e->packs[i].bytes && e->packs[i].not_before <= now)
			list[all++] = e->packs[i];
	pthread_mutex_unlock(&e->lock);
	for (i = 0; i < all; i++) {
		if (zone_upload_mark(e->z, list[i].pack) < MARK_HELD)
			continue;
		list[some] = list[i];
		list[some].used = last_use(e->z, list[i].pack, list[i].used, now);
		some++;
	}
	if (list)
		qsort(list, some, sizeof(*list), by_use);
	*n = some;
	return list;
}

/* What concerns the zone, and so all of its packs. */
static bool of_zone(int ret)
{
	return ret == -EROFS || ret == -ESHUTDOWN || ret == -ENOTCONN || ret == -EAGAIN ||
	       ret == -EINTR || ret == -ENOMEM || ret == -EOPNOTSUPP;
}

/* lock held. */
static void count_gone(struct evictor *e, struct evictor_pack *p, u64 bytes)
{
	if (p && bytes) {
		p->bytes -= NEXUS_MIN(p->bytes, bytes);
		p->wait = 0;
	}
	e->here -= NEXUS_MIN(e->here, bytes);
	if (e->floor)
		e->avail += bytes;
}

static void note(struct evictor *e, u64 pack, u64 bytes, u64 now)
{
	struct evictor_pack *p;

	pthread_mutex_lock(&e->lock);
	p = find(e, pack);
	count_gone(e, p, bytes);
	if (p && !bytes) {
		p->wait = p->wait ? NEXUS_MIN(p->wait * 2, WAIT_MAX_NS) : WAIT_NS;
		p->not_before = now + p->wait;
	}
	pthread_mutex_unlock(&e->lock);
}

/* The index on disk does not know yet that it is sealed: it is about to. */
static void note_early(struct evictor *e, u64 pack, u64 now)
{
	struct evictor_pack *p;

	pthread_mutex_lock(&e->lock);
	p = find(e, pack);
	if (p)
		p->not_before = now + TICK_NS;
	pthread_mutex_unlock(&e->lock);
	zone_fold_kick(e->z);
}

void zone_evictor_gone(struct zone *z, u64 pack, u64 bytes)
{
	struct evictor *e = z->evictor;

	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	count_gone(e, find(e, pack), bytes);
	pthread_mutex_unlock(&e->lock);
}

static void say(struct evictor *e, const char *error)
{
	bool changed;

	pthread_mutex_lock(&e->lock);
	changed = strcmp(e->error, error) != 0;
	snprintf(e->error, sizeof(e->error), "%s", error);
	pthread_mutex_unlock(&e->lock);
	if (changed && error[0])
		log_warn("zone %s: %s", e->z->name, error);
	else if (changed)
		log_info("zone %s: there is room for content again", e->z->name);
}

/*
 * Whether what was put is there still: 0; -ENODATA: not, it is put again; or an error, of
 * the store if it says so.
 */
static int still_there(struct zone *z, u64 pack, bool *store)
{
	struct content *c = z->fetch->content;
	u64 bytes = 0, least, most;
	struct pack_image img;
	int ret = pack_image_open(z->os, pack, z->sb.uuid, false, &img);

	*store = false;
	if (ret)
		return ret;
	least = pack_image_bytes(&img);
	most = pack_image_full(&img);
	pack_image_close(&img);
	ret = c->ops->head(c, pack, &bytes);
	if (ret ? ret != -ENOENT : bytes >= least && bytes <= most) {
		*store = ret != 0;
		return ret;
	}
	log_warn("zone %s: pack %llu is not with %s any more, as it was put there; it is put again",
		 z->name, pack, c->ops->name);
	zone_upload_again(z, pack);
	return -ENODATA;
}

/* 0: it went, if *@blocks, or is put off; or an error that concerns all packs. */
static int evict_one(struct evictor *e, const struct evictor_pack *p, u64 now, u64 *blocks)
{
	struct evict_done d = { 0 };
	bool store;
	int ret = still_there(e->z, p->pack, &store);

	if (!ret)
		ret = zone_evict_held(e->z, p->pack, &d);
	*blocks = d.blocks;
	if (ret && (store || of_zone(ret)))
		return ret;
	if (ret == -ENOENT) {
		note_early(e, p->pack, now);
		return 0;
	}
	if (ret)
		log_debug("zone %s: pack %llu stays for a while: %s", e->z->name, p->pack,
			  strerror(-ret));
	note(e, p->pack, d.blocks << NEXUS_BLOCK_SHIFT, now);
	return 0;
}

/*
 * 0; -ENOENT: nothing is left that could go; or an error of the store or the zone.  What
 * somebody has used since the list was made goes only if nothing else does.
 */
static int evict_some(struct evictor *e, u64 now)
{
	struct evictor_pack *list;
	u32 done = 0;
	size_t i, n;
	bool enough = false;
	u64 blocks;
	int ret = 0;

	list = choose(e, now, &n);
	if (!list)
		return -ENOMEM;
	for (i = 0; !ret && i < n && done < STEP_PACKS && !enough; i++) {
		if (done && last_use(e->z, list[i].pack, list[i].used, space_clock()) >
				    list[i].used + USE_SLACK_NS)
			continue;
		ret = evict_one(e, &list[i], now, &blocks);
		if (ret || !blocks)
			continue;
		done++;
		stats_inc(evictions);
		zone_make_kick(e->z);
		pthread_mutex_lock(&e->lock);
		enough = room(e, e->limit_rest, e->floor_rest);
		pthread_mutex_unlock(&e->lock);
	}
	free(list);
	return ret ? ret : done ? 0 : -ENOENT;
}

static bool short_of_room(struct evictor *e)
{
	bool yes;

	pthread_mutex_lock(&e->lock);
	yes = e->looked && !room(e, e->limit_low, e->floor_low);
	pthread_mutex_unlock(&e->lock);
	return yes;
}

static void tell(struct evictor *e, int ret)
{
	struct content *c = e->z->fetch->content;
	char text[sizeof(e->error)];

	/* What is on its way to the store goes soon enough as long as nobody waits for room. */
	if (ret == -ENOENT && zone_evictor_room(e->z))
		ret = 0;
	if (!ret) {
		say(e, "");
	} else if (ret == -ENOENT) {
		if (!e->stuck)
			stats_inc(cache_full);
		say(e, "the cache is full, and nothing of it can be evicted: it was not uploaded yet, or is overwritten in place");
	} else if (ret != -ESHUTDOWN && ret != -EROFS) {
		snprintf(text, sizeof(text), "nothing can be evicted: %s: %s", c->ops->name,
			 strerror(-ret));
		say(e, text);
	}
	e->stuck = ret == -ENOENT;
}

/* Asked for what cannot be in the near future: the zone is ending, or not ours. */
static bool idle(struct zone *z)
{
	return atomic_load(&z->dropped) || atomic_load(&z->stopping) ||
	       zone_flags(z) & (NEXUS_LF_DETACHED | NEXUS_LF_READONLY);
}

u64 evictor_step(struct evictor *e, u64 now)
{
	int ret;

	if (idle(e->z))
		return now + TICK_NS;
	if (now >= e->look_at && look(e, now))
		return now + TICK_NS;
	if (!short_of_room(e)) {
		tell(e, 0);
		return e->look_at;
	}
	if (now < e->not_before)
		return NEXUS_MAX(e->not_before, now + TICK_NS);
	ret = evict_some(e, now);
	tell(e, ret);
	if (!ret)
		return short_of_room(e) ? now : e->look_at;
	if (ret != -ENOENT)
		e->not_before = now + STORE_PAUSE_NS;
	return now + TICK_NS;
}

void zone_evictor_status(struct zone *z, struct evictor_status *st)
{
	struct evictor *e = z->evictor;

	memset(st, 0, sizeof(*st));
	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	st->on = true;
	st->here = e->here;
	st->limit = e->limit;
	st->full = e->looked && !room(e, e->pack_bytes, e->pack_bytes);
	memcpy(st->error, e->error, sizeof(st->error));
	pthread_mutex_unlock(&e->lock);
}
