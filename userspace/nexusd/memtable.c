// SPDX-License-Identifier: Apache-2.0
#include "memtable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LAYERS	4	/* overlay, active, frozen, metastore */

static struct nexus_omap *new_map(void)
{
	struct nexus_omap *map = malloc(sizeof(*map));

	if (map)
		nexus_omap_init(map);
	return map;
}

static void free_map(struct nexus_omap *map)
{
	if (!map)
		return;
	nexus_omap_destroy(map);
	free(map);
}

int memtable_init(struct memtable *mt, struct nexus_metastore *ms, u64 applied)
{
	pthread_rwlockattr_t attr;

	memset(mt, 0, sizeof(*mt));
	mt->active = new_map();
	if (!mt->active)
		return -ENOMEM;
	mt->ms = ms;
	mt->applied = applied;
	mt->cut_lsn = applied;
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr,
			PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&mt->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	return 0;
}

void memtable_destroy(struct memtable *mt)
{
	if (!mt->active)
		return;
	free_map(mt->active);
	free_map(mt->frozen);
	mt->active = NULL;
	mt->frozen = NULL;
	pthread_rwlock_destroy(&mt->lock);
}

u64 memtable_bytes(struct memtable *mt)
{
	u64 bytes;

	pthread_rwlock_rdlock(&mt->lock);
	bytes = mt->active->bytes + (mt->frozen ? mt->frozen->bytes : 0);
	pthread_rwlock_unlock(&mt->lock);
	return bytes;
}

u64 memtable_applied(struct memtable *mt)
{
	u64 applied;

	pthread_rwlock_rdlock(&mt->lock);
	applied = mt->applied;
	pthread_rwlock_unlock(&mt->lock);
	return applied;
}

int memtable_freeze(struct memtable *mt)
{
	struct nexus_omap *fresh = new_map();
	int ret = 0;

	if (!fresh)
		return -ENOMEM;
	pthread_rwlock_wrlock(&mt->lock);
	if (mt->frozen) {
		ret = -EBUSY;
	} else if (mt->applied == mt->cut_lsn) {
		ret = -ENODATA;
	} else {
		mt->frozen = mt->active;
		mt->frozen_lsn = mt->applied;
		mt->cut_lsn = mt->applied;
		mt->active = fresh;
	}
	pthread_rwlock_unlock(&mt->lock);
	if (ret)
		free_map(fresh);
	return ret;
}

void memtable_thaw(struct memtable *mt)
{
	struct nexus_omap *done;

	pthread_rwlock_wrlock(&mt->lock);
	done = mt->frozen;
	mt->frozen = NULL;
	pthread_rwlock_unlock(&mt->lock);
	free_map(done);
}

int memtable_publish(struct memtable *mt, struct nexus_omap *overlay, u64 applied)
{
	const struct nexus_omap_entry *e;
	int ret = 0;

	pthread_rwlock_wrlock(&mt->lock);
	for (e = nexus_omap_lower(overlay, "", 0, false); e && !ret;
	     e = nexus_omap_lower(overlay, e->data, e->klen, true)) {
		if (e->tombstone)
			ret = nexus_omap_tombstone(mt->active, e->data, e->klen);
		else
			ret = nexus_omap_put(mt->active, e->data, e->klen,
					     nexus_omap_val(e), e->vlen);
	}
	if (!ret)
		mt->applied = applied;
	pthread_rwlock_unlock(&mt->lock);
	return ret;
}

/* ---- the merged view -------------------------------------------------- */

static int copy_out(const void *val, size_t vlen, void *buf, size_t cap)
{
	size_t n = vlen < cap ? vlen : cap;

	if (n)
		memcpy(buf, val, n);
	return (int)vlen;
}

static const struct nexus_omap *layer_map(const struct memview *v, int layer)
{
	switch (layer) {
	case 0:
		return v->overlay;
	case 1:
		return v->mt->active;
	default:
		return v->mt->frozen;
	}
}

static int view_get(struct nexus_kv *kv, const void *key, size_t klen,
		    void *buf, size_t cap)
{
	struct memview *v = NEXUS_CONTAINER(kv, struct memview, kv);
	const struct nexus_omap_entry *e;
	const void *val;
	size_t vlen;
	int i, ret;

	for (i = 0; i < LAYERS - 1; i++) {
		const struct nexus_omap *map = layer_map(v, i);

		e = map ? nexus_omap_find(map, key, klen) : NULL;
		if (e)
			return e->tombstone ? -ENOENT :
				copy_out(nexus_omap_val(e), e->vlen, buf, cap);
	}
	ret = v->mt->ms->drv->get(v->snap, key, klen, &val, &vlen);
	return ret ? ret : copy_out(val, vlen, buf, cap);
}

/* Where one layer stands in a walk. */
struct place {
	const void *key;	/* NULL: at its end */
	size_t klen;
	const void *val;
	size_t vlen;
	bool tombstone;
};

static int place_layer(struct memview *v, int layer, const void *key, size_t klen,
		       bool after, struct place *p)
{
	int ret;

	p->key = NULL;
	p->tombstone = false;
	if (layer < LAYERS - 1) {
		const struct nexus_omap *map = layer_map(v, layer);
		const struct nexus_omap_entry *e;

		e = map ? nexus_omap_lower(map, key, klen, after) : NULL;
		if (!e)
			return 0;
		p->key = e->data;
		p->klen = e->klen;
		p->val = nexus_omap_val(e);
		p->vlen = e->vlen;
		p->tombstone = e->tombstone;
		return 0;
	}
	ret = v->mt->ms->drv->seek(v->snap, key, klen, after, &p->key, &p->klen,
				   &p->val, &p->vlen);
	if (ret)
		p->key = NULL;
	return ret == -ENOENT ? 0 : ret;
}

static int compare(const struct place *a, const struct place *b)
{
	int c = memcmp(a->key, b->key, a->klen < b->klen ? a->klen : b->klen);

	if (c)
		return c;
	return a->klen < b->klen ? -1 : a->klen > b->klen;
}

/* The smallest key; among equal ones the highest layer. */
static struct place *smallest(struct place *places)
{
	struct place *best = NULL;
	int i;

	for (i = 0; i < LAYERS; i++)
		if (places[i].key && (!best || compare(&places[i], best) < 0))
			best = &places[i];
	return best;
}

static int view_seek(struct nexus_kv *kv, void *key, size_t *klen, void *buf,
		     size_t cap)
{
	struct memview *v = NEXUS_CONTAINER(kv, struct memview, kv);
	struct place places[LAYERS];
	struct place *best, hidden;
	int i, ret;

	for (i = 0; i < LAYERS; i++) {
		ret = place_layer(v, i, key, *klen, false, &places[i]);
		if (ret)
			return ret;
	}
	while ((best = smallest(places)) && best->tombstone) {
		hidden = *best;
		for (i = 0; i < LAYERS; i++) {
			if (!places[i].key || compare(&places[i], &hidden))
				continue;
			ret = place_layer(v, i, hidden.key, hidden.klen, true, &places[i]);
			if (ret)
				return ret;
		}
	}
	if (!best)
		return -ENOENT;
	memcpy(key, best->key, best->klen);
	*klen = best->klen;
	return copy_out(best->val, best->vlen, buf, cap);
}

static int view_put(struct nexus_kv *kv, const void *key, size_t klen,
		    const void *val, size_t vlen)
{
	struct memview *v = NEXUS_CONTAINER(kv, struct memview, kv);

	if (!v->overlay)
		return -EROFS;
	return nexus_omap_put(v->overlay, key, klen, val, vlen);
}

static int view_del(struct nexus_kv *kv, const void *key, size_t klen)
{
	struct memview *v = NEXUS_CONTAINER(kv, struct memview, kv);

	if (!v->overlay)
		return -EROFS;
	return nexus_omap_tombstone(v->overlay, key, klen);
}

static const struct nexus_kv_ops view_ops = {
	.get	= view_get,
	.put	= view_put,
	.del	= view_del,
	.seek	= view_seek,
};

int memview_begin(struct memview *v, struct memtable *mt, struct nexus_omap *overlay)
{
	int ret;

	v->kv.ops = &view_ops;
	v->mt = mt;
	v->overlay = overlay;
	pthread_rwlock_rdlock(&mt->lock);
	ret = mt->ms->drv->begin_read(mt->ms, &v->snap);
	if (ret)
		pthread_rwlock_unlock(&mt->lock);
	return ret;
}

void memview_end(struct memview *v)
{
	v->mt->ms->drv->end_read(v->snap);
	pthread_rwlock_unlock(&v->mt->lock);
}
