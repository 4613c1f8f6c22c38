/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Ordered map from byte strings to byte strings or tombstones.  One
 * implementation serves the helper's memtable, the mem metastore driver and the
 * module's in-memory store.  Not synchronised.
 */
#ifndef NEXUS_LIB_OMAP_H
#define NEXUS_LIB_OMAP_H

#include "kv.h"

struct nexus_omap_entry {
	u16	klen;
	u16	tombstone;	/* nonzero: the key is deleted below, too */
	u32	vlen;
	u8	data[];		/* key, then value */
};

static inline const u8 *nexus_omap_key(const struct nexus_omap_entry *e)
{
	return e->data;
}

static inline const u8 *nexus_omap_val(const struct nexus_omap_entry *e)
{
	return e->data + e->klen;
}

struct nexus_omap_node;

struct nexus_omap {
	struct nexus_kv kv;	/* nexus_kv view: tombstones are absent, del removes */
	struct nexus_omap_node *root;
	u64	count;		/* entries, tombstones included */
	u64	bytes;		/* memory held by entries and nodes */
};

void nexus_omap_init(struct nexus_omap *map);
/* Frees every entry and node; the map is empty and usable again. */
void nexus_omap_destroy(struct nexus_omap *map);

/* The entry with exactly this key, tombstones included, or NULL. */
const struct nexus_omap_entry *
nexus_omap_find(const struct nexus_omap *map, const void *key, size_t klen);
/* The first entry with key >= @key (> with @after), tombstones included. */
const struct nexus_omap_entry *
nexus_omap_lower(const struct nexus_omap *map, const void *key, size_t klen,
		 bool after);

/* Insert or replace.  0 or -ENOMEM (the map is unchanged then). */
int nexus_omap_put(struct nexus_omap *map, const void *key, size_t klen,
		   const void *val, size_t vlen);
/* Insert or replace by a tombstone. */
int nexus_omap_tombstone(struct nexus_omap *map, const void *key, size_t klen);
/* Remove the entry altogether.  True if there was one. */
bool nexus_omap_remove(struct nexus_omap *map, const void *key, size_t klen);

#endif /* NEXUS_LIB_OMAP_H */
