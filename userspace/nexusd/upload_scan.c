// SPDX-License-Identifier: Apache-2.0
/*
 * What there is to do, out of the index and the marks.
 *
 * A pack is put once the record that seals it cannot be lost: until then the next helper
 * may find it open.  What is held of a pack goes when neither the index on disk nor what
 * was applied since names it; ids are not used again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "space.h"
#include "upload.h"

#define BATCH	256u	/* pack records of one view */

struct found {
	u64 pack;
	u64 bytes;		/* up to the last block that was ever referenced */
	bool sealed;		/* with content */
};

struct list {
	struct found *at;
	size_t n, cap;
};

static int add(struct list *l, u64 pack, const struct nexus_pack_val *val)
{
	size_t cap = l->cap ? l->cap * 2 : BATCH;
	struct found *more;

	if (l->n == l->cap) {
		more = realloc(l->at, cap * sizeof(*more));
		if (!more)
			return -ENOMEM;
		l->at = more;
		l->cap = cap;
	}
	l->at[l->n++] = (struct found){
		.pack = pack,
		.bytes = (u64)le32_to_cpu(val->used) << NEXUS_BLOCK_SHIFT,
		.sealed = le32_to_cpu(val->state) == NEXUS_PACK_SEALED && val->live,
	};
	return 0;
}

/* Up to BATCH records from @key on; 1: there may be more. */
static int add_records(struct list *l, struct zone *z, struct nexus_key *key)
{
	union {
		struct nexus_pack_val b;
		u64 raw[64];
	} val;
	struct memview v;
	u32 i;
	int ret = memview_begin(&v, &z->mt, NULL);

	if (ret)
		return ret;
	for (i = 0; i < BATCH; i++) {
		ret = nexus_kv_seek(&v.kv, key->b, &key->len, &val, sizeof(val));
		if (ret < 0 || key->b[0] != NEXUS_KEY_PACK)
			break;
		ret = key->len == 9 && ret >= (int)sizeof(val.b) ?
		      add(l, nexus_get_be64(key->b + 1), &val.b) : 0;
		if (ret)
			break;
		key->b[key->len++] = 0;
	}
	memview_end(&v);
	return ret < 0 && ret != -ENOENT ? ret : i == BATCH;
}

static int list_packs(struct zone *z, struct list *l)
{
	struct nexus_key key;
	int ret;

	nexus_key_pack(&key, 0);
	while ((ret = add_records(l, z, &key)) == 1)
		;
	return ret;
}

/* Leaves those that are to be put. */
static void drop_held(struct upload *u, struct list *l)
{
	size_t i, n = 0;

	pthread_mutex_lock(&u->mark_lock);
	for (i = 0; i < l->n; i++)
		if (l->at[i].sealed &&
		    uploadmarks_get(&u->marks, l->at[i].pack) < MARK_HELD)
			l->at[n++] = l->at[i];
	pthread_mutex_unlock(&u->mark_lock);
	l->n = n;
}

static int queue(struct upload *u, const struct list *l, u64 lsn)
{
	u64 now = space_clock();
	int ret = 0;
	size_t i;

	pthread_mutex_lock(&u->lock);
	for (i = 0; i < l->n && !ret; i++) {
		struct upload_item *item;

		if (upload_find(u, l->at[i].pack))
			continue;
		item = upload_add(u, l->at[i].pack);
		ret = item ? 0 : -ENOMEM;
		if (!item)
			break;
		item->bytes = l->at[i].bytes;
		item->since = now;
		item->lsn = lsn;
	}
	pthread_mutex_unlock(&u->lock);
	return ret;
}

static bool is_listed(const struct list *l, u64 pack)
{
	size_t from = 0, end = l->n;

	while (from < end) {
		size_t mid = (from + end) / 2;

		if (l->at[mid].pack == pack)
			return true;
		if (l->at[mid].pack < pack)
			from = mid + 1;
		else
			end = mid;
	}
	return false;
}

/* The pack that comes behind @after among those marked and in no record; 0: none. */
static u64 next_gone(struct upload *u, const struct list *l, u64 after)
{
	u64 pack = 0;
	size_t i;

	pthread_mutex_lock(&u->mark_lock);
	for (i = 0; i < u->marks.n && !pack; i++)
		if (u->marks.set[i].pack > after && !is_listed(l, u->marks.set[i].pack))
			pack = u->marks.set[i].pack;
	pthread_mutex_unlock(&u->mark_lock);
	return pack;
}

/* What the helper before us had put there, and did not come to delete. */
static int look_back(struct upload *u, const struct list *l)
{
	struct nexus_pack_val val;
	struct memtable index;
	u64 pack = 0;
	int ret = memtable_init(&index, u->z->ms, 0);

	if (ret)
		return ret;
	while (!ret && (pack = next_gone(u, l, pack))) {
		ret = survey_knows(&index, pack, &val);
		if (!ret)
			zone_fetch_forget(u->z, pack);
		ret = ret > 0 ? 0 : ret;
	}
	memtable_destroy(&index);
	atomic_store(&u->looked_back, !ret);
	return ret;
}

int upload_scan(struct upload *u)
{
	struct zone *z = u->z;
	struct list l = { NULL, 0, 0 };
	u64 lsn = memtable_applied(&z->mt);
	int ret;

	/* What the helper before us submitted must be known first. */
	if (lsn < z->floor || atomic_load(&z->dropped))
		return 0;
	if (lsn == u->scanned_lsn && atomic_load(&u->looked_back))
		return 0;
	ret = list_packs(z, &l);
	/* Those of the view may be younger. */
	lsn = memtable_applied(&z->mt);
	if (!ret && !atomic_load(&u->looked_back))
		ret = look_back(u, &l);
	if (!ret) {
		drop_held(u, &l);
		ret = queue(u, &l, lsn);
	}
	free(l.at);
	if (!ret)
		u->scanned_lsn = lsn;
	return ret;
}
