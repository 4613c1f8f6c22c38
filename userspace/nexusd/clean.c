// SPDX-License-Identifier: Apache-2.0
/*
 * Cleaning up, by records the kernel appends for us: orphans and open packs the
 * last incarnation left, bulk deletion in steps, packs nothing points into any
 * more.
 *
 * Every step looks at the state its own record before has led to: records with a
 * precondition must not be submitted twice.
 */
#include "zone.h"

#include "fetch.h"
#include "presence.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEP_EXTENTS	1024u	/* freed by one record */
#define STEPS_AT_ONCE	64u
#define APPLY_WAIT_MS	5000u

struct nexus_time zone_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (struct nexus_time){ .s = ts.tv_sec, .ns = (u32)ts.tv_nsec };
}

int zone_submit(struct zone *z, void *rec, size_t len, u64 *lsn)
{
	struct nexus_submit sub = {
		.zone = z->id,
		.len = (u32)len,
		.record = (u64)(uintptr_t)rec,
	};
	int ret = chan_ioctl(z->chan, NEXUS_IOC_SUBMIT, &sub);

	if (!ret && lsn)
		*lsn = sub.lsn;
	return ret;
}

/* Not now: not mounted yet, no room in the log, or nobody to ask. */
static bool later(int ret)
{
	return ret == -EAGAIN || ret == -ENOTCONN || ret == -EROFS || ret == -ENOENT ||
	       ret == -ESHUTDOWN || ret == -ESTALE;
}

/* Calls @fn for each key of one letter; 1 from it ends the walk. */
static int each(struct memview *v, u8 letter,
		int (*fn)(void *arg, const u8 *key, size_t klen, const u8 *val, size_t vlen),
		void *arg)
{
	u8 key[NEXUS_KEY_MAX + 1] = { letter };
	u8 val[256];
	size_t klen = 1;
	int ret;

	while ((ret = nexus_kv_seek(&v->kv, key, &klen, val, sizeof(val))) >= 0) {
		if (key[0] != letter)
			return 0;
		ret = fn(arg, key, klen, val, (size_t)ret);
		if (ret)
			return ret < 0 ? ret : 0;
		if (klen == NEXUS_KEY_MAX)
			return 0;
		key[klen++] = 0;
	}
	return ret == -ENOENT ? 0 : ret;
}

/* ---- what the last incarnation left ---------------------------------------- */

static int push_pair(u64 **list, size_t *n, u64 a, u64 b)
{
	if (!(*n % 64)) {
		u64 *more = realloc(*list, (*n + 64) * 2 * sizeof(u64));

		if (!more)
			return -ENOMEM;
		*list = more;
	}
	(*list)[*n * 2] = a;
	(*list)[*n * 2 + 1] = b;
	(*n)++;
	return 0;
}

static int note_orphan(void *arg, const u8 *key, size_t klen, const u8 *val, size_t vlen)
{
	struct zone_leftovers *lo = arg;
	struct nexus_orphan_val o;

	if (klen != 9 || vlen < sizeof(o))
		return 0;
	memcpy(&o, val, sizeof(o));
	if (le32_to_cpu(o.kind) != NEXUS_ORPHAN_INODE)
		return 0;
	return push_pair(&lo->orphans, &lo->norphans, le64_to_cpu(o.ino),
			 nexus_get_be64(key + 1));
}

static int note_pack(void *arg, const u8 *key, size_t klen, const u8 *val, size_t vlen)
{
	struct zone_leftovers *lo = arg;
	struct nexus_pack_val p;

	if (klen != 9 || vlen < sizeof(p))
		return 0;
	memcpy(&p, val, sizeof(p));
	if (le32_to_cpu(p.state) != NEXUS_PACK_OPEN)
		return 0;
	return push_pair(&lo->packs, &lo->npacks, nexus_get_be64(key + 1),
			 le32_to_cpu(p.used));
}

int zone_find_leftovers(struct zone *z)
{
	struct memview v;
	int ret;

	ret = memview_begin(&v, &z->mt, NULL);
	if (ret)
		return ret;
	ret = each(&v, NEXUS_KEY_ORPHAN, note_orphan, &z->leftovers);
	if (!ret)
		ret = each(&v, NEXUS_KEY_PACK, note_pack, &z->leftovers);
	memview_end(&v);
	return ret;
}

int zone_adopt_packs(struct zone *z)
{
	struct zone_leftovers lo = { 0 };
	struct memview v;
	size_t i;
	int ret;

	ret = memview_begin(&v, &z->mt, NULL);
	if (ret)
		return ret;
	ret = each(&v, NEXUS_KEY_PACK, note_pack, &lo);
	memview_end(&v);
	for (i = 0; !ret && i < lo.npacks; i++) {
		ret = zone_seal_pack(z, lo.packs[i * 2], (u32)lo.packs[i * 2 + 1]);
		ret = ret == -EBUSY ? 0 : ret;
	}
	free(lo.packs);
	return ret;
}

static int forget_orphans(struct zone *z)
{
	struct zone_leftovers *lo = &z->leftovers;
	struct nexus_rec_forget rec;
	int ret;

	while (lo->norphans && !atomic_load(&z->stopping)) {
		u64 *pair = &lo->orphans[(lo->norphans - 1) * 2];

		nexus_rec_forget(&rec, pair[0], pair[1], STEP_EXTENTS, zone_now());
		ret = zone_submit(z, &rec, sizeof(rec), NULL);
		if (later(ret))
			return ret;
		/* In use again by a file handle: its eviction forgets it. */
		if (ret && ret != -EBUSY)
			log_warn("zone %s: orphan %llu stays: %s", z->name, pair[0],
				 strerror(-ret));
		lo->norphans--;
	}
	return 0;
}

int zone_seal_pack(struct zone *z, u64 pack, u32 used)
{
	struct nexus_rec_pack rec;

	memset(&rec, 0, sizeof(rec));
	nexus_rec_init(&rec.head, sizeof(rec), NEXUS_REC_PACK, 0, zone_now());
	rec.pack = cpu_to_le64(pack);
	rec.state = cpu_to_le32(NEXUS_PACK_SEALED);
	rec.used = cpu_to_le32(used);
	return zone_submit(z, &rec, sizeof(rec), NULL);
}

static int seal_packs(struct zone *z)
{
	struct zone_leftovers *lo = &z->leftovers;
	int ret;

	while (lo->npacks && !atomic_load(&z->stopping)) {
		u64 *pair = &lo->packs[(lo->npacks - 1) * 2];

		ret = zone_seal_pack(z, pair[0], (u32)pair[1]);
		if (later(ret))
			return ret;
		if (ret)
			log_warn("zone %s: pack %llu cannot be sealed: %s", z->name,
				 pair[0], strerror(-ret));
		lo->npacks--;
	}
	return 0;
}

/* ---- bulk deletion ----------------------------------------------------------- */

static int note_bulk(void *arg, const u8 *key, size_t klen, const u8 *val, size_t vlen)
{
	struct nexus_orphan_val o;

	if (klen != 9 || vlen < sizeof(o))
		return 0;
	memcpy(&o, val, sizeof(o));
	if (le32_to_cpu(o.kind) != NEXUS_ORPHAN_BULK)
		return 0;
	*(u64 *)arg = nexus_get_be64(key + 1);
	return 1;
}

static int bulk_steps(struct zone *z)
{
	struct nexus_rec_bulk rec;
	struct memview v;
	unsigned int i;
	u64 data_id, lsn = 0;
	int ret;

	for (i = 0; i < STEPS_AT_ONCE && !atomic_load(&z->stopping); i++) {
		data_id = 0;
		ret = memview_begin(&v, &z->mt, NULL);
		if (ret)
			return ret;
		ret = each(&v, NEXUS_KEY_ORPHAN, note_bulk, &data_id);
		memview_end(&v);
		if (ret || !data_id)
			return ret;
		nexus_rec_bulk(&rec, data_id, STEP_EXTENTS, zone_now());
		ret = zone_submit(z, &rec, sizeof(rec), &lsn);
		if (!ret)
			z->bulk_lsn = lsn;
		if (!ret)
			ret = applier_run(&z->applier, lsn);
		if (!ret || ret == -ENOBUFS)
			ret = applier_wait(&z->applier, lsn, APPLY_WAIT_MS);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- dead packs ------------------------------------------------------------- */

struct dead_arg {
	struct zone *z;
	u64 *packs;
	size_t n;
};

bool zone_pack_dying(const struct zone *z, u64 pack)
{
	const struct zone_dead_pack *d;

	for (d = z->dead; d; d = d->next)
		if (d->pack == pack)
			return true;
	return false;
}

static int note_dead(void *arg, const u8 *key, size_t klen, const u8 *val, size_t vlen)
{
	struct dead_arg *da = arg;
	struct nexus_pack_val p;

	if (klen != 9 || vlen < sizeof(p))
		return 0;
	memcpy(&p, val, sizeof(p));
	if (le32_to_cpu(p.state) != NEXUS_PACK_SEALED || le32_to_cpu(p.live) ||
	    zone_pack_dying(da->z, nexus_get_be64(key + 1)))
		return 0;
	return push_pair(&da->packs, &da->n, nexus_get_be64(key + 1),
			 le32_to_cpu(p.used));
}

/* Dead also in what is folded: what freed its last block is durable. */
static bool dead_in_index(struct zone *z, u64 pack)
{
	struct nexus_ms_snap *snap;
	struct nexus_pack_val p;
	struct nexus_key k;
	const void *val;
	bool dead = false;
	size_t len;

	nexus_key_pack(&k, pack);
	if (z->ms->drv->begin_read(z->ms, &snap))
		return false;
	if (!z->ms->drv->get(snap, k.b, k.len, &val, &len) && len >= sizeof(p)) {
		memcpy(&p, val, sizeof(p));
		dead = le32_to_cpu(p.state) == NEXUS_PACK_SEALED && !p.live;
	}
	z->ms->drv->end_read(snap);
	return dead;
}

/*
 * Nobody reads it any more once it is retired; the kernel lets go of its file with
 * the record.
 */
static int reclaim(struct zone *z, u64 pack, u32 used)
{
	struct zone_dead_pack *d = calloc(1, sizeof(*d));
	struct nexus_rec_pack rec;
	int ret;

	if (!d)
		return -ENOMEM;
	memset(&rec, 0, sizeof(rec));
	nexus_rec_init(&rec.head, sizeof(rec), NEXUS_REC_PACK, 0, zone_now());
	rec.pack = cpu_to_le64(pack);
	rec.used = cpu_to_le32(used);
	pthread_mutex_lock(&z->dead_lock);
	ret = zone_retire_pack(z, pack, super_pack_blocks(&z->sb));
	if (!ret)
		ret = zone_submit(z, &rec, sizeof(rec), &d->lsn);
	if (!ret) {
		d->pack = pack;
		d->next = z->dead;
		z->dead = d;
	}
	pthread_mutex_unlock(&z->dead_lock);
	if (ret)
		free(d);
	return ret;
}

static int reclaim_dead(struct zone *z)
{
	struct dead_arg da = { z, NULL, 0 };
	struct memview v;
	bool busy = false;
	size_t i;
	int ret;

	ret = memview_begin(&v, &z->mt, NULL);
	if (ret)
		return ret;
	ret = each(&v, NEXUS_KEY_PACK, note_dead, &da);
	memview_end(&v);
	for (i = 0; !ret && i < da.n && !atomic_load(&z->stopping); i++) {
		if (!dead_in_index(z, da.packs[i * 2]))
			continue;
		ret = reclaim(z, da.packs[i * 2], (u32)da.packs[i * 2 + 1]);
		/* Still read, or refused: that one later, the others now. */
		busy |= ret == -EBUSY;
		ret = ret == -EBUSY ? 0 : ret;
	}
	free(da.packs);
	return ret ? ret : busy ? -EBUSY : 0;
}

/* The files of packs whose record is gone from the index. */
static void remove_dead(struct zone *z)
{
	u64 checkpoint = atomic_load(&z->checkpoint);
	struct zone_dead_pack **dp = &z->dead;

	pthread_mutex_lock(&z->dead_lock);
	while (*dp) {
		struct zone_dead_pack *d = *dp;

		if (d->lsn > checkpoint) {
			dp = &d->next;
			continue;
		}
		if (z->os->drv->remove(z->os, d->pack))
			log_warn("zone %s: the file of pack %llu cannot be removed",
				 z->name, d->pack);
		zone_fetch_forget(z, d->pack);
		*dp = d->next;
		free(d);
	}
	pthread_mutex_unlock(&z->dead_lock);
}

void zone_clean_step(struct zone *z)
{
	u64 checkpoint = atomic_load(&z->checkpoint);
	int ret;

	/* What the helper before us submitted must be known first. */
	if (memtable_applied(&z->mt) < z->floor)
		return;
	ret = forget_orphans(z);
	if (!ret)
		ret = seal_packs(z);
	/* The last step's outcome must be visible before the next is asked for. */
	if (!ret && memtable_applied(&z->mt) >= z->bulk_lsn)
		ret = bulk_steps(z);
	remove_dead(z);
	if (!ret && checkpoint != z->cleaned_at) {
		ret = reclaim_dead(z);
		if (!ret)
			z->cleaned_at = checkpoint;
	}
	if (ret && !later(ret) && ret != -ETIMEDOUT)
		log_debug("zone %s: cleaning up goes on later: %s", z->name, strerror(-ret));
}

void zone_clean_free(struct zone *z)
{
	struct zone_dead_pack *d;

	while ((d = z->dead)) {
		z->dead = d->next;
		free(d);
	}
	free(z->leftovers.orphans);
	free(z->leftovers.packs);
	memset(&z->leftovers, 0, sizeof(z->leftovers));
}
