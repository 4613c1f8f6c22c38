/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The ordered key-value interface that apply and typed reads work on.
 *
 * Implementations: the ordered map of lib/omap.c (the module's in-memory store,
 * KUnit, the mem driver, the memtable) and, in the helper, the merge of
 * memtable and metastore driver.  Keys are 1..NEXUS_KEY_MAX bytes compared as
 * memcmp does, shorter first.  Values are at most NEXUS_VALUE_MAX bytes.
 *
 * Locking is the implementation's or the caller's: apply needs exclusive use,
 * typed reads a view that does not change.
 */
#ifndef NEXUS_LIB_KV_H
#define NEXUS_LIB_KV_H

#include <nexus/format.h>
#include "port.h"

#define NEXUS_VALUE_MAX	(NEXUS_XATTR_VALUE_MAX + 64u)

struct nexus_kv;

struct nexus_kv_ops {
	/*
	 * Copies at most @cap bytes of the value into @buf and returns its whole
	 * length, or -ENOENT, or another -errno of the store.
	 */
	int (*get)(struct nexus_kv *kv, const void *key, size_t klen,
		   void *buf, size_t cap);
	/* Stores a copy.  0, -ENOMEM, -ENOSPC, -EIO. */
	int (*put)(struct nexus_kv *kv, const void *key, size_t klen,
		   const void *val, size_t vlen);
	/* 0 also when the key is absent. */
	int (*del)(struct nexus_kv *kv, const void *key, size_t klen);
	/*
	 * First key >= @key.  @key is in and out and has room for
	 * NEXUS_KEY_MAX bytes; @klen in and out.  The value as with get; returns
	 * its whole length, -ENOENT when there is none.
	 */
	int (*seek)(struct nexus_kv *kv, void *key, size_t *klen,
		    void *buf, size_t cap);
};

struct nexus_kv {
	const struct nexus_kv_ops *ops;
};

static inline int nexus_kv_get(struct nexus_kv *kv, const void *key,
			       size_t klen, void *buf, size_t cap)
{
	return kv->ops->get(kv, key, klen, buf, cap);
}

static inline int nexus_kv_put(struct nexus_kv *kv, const void *key,
			       size_t klen, const void *val, size_t vlen)
{
	return kv->ops->put(kv, key, klen, val, vlen);
}

static inline int nexus_kv_del(struct nexus_kv *kv, const void *key,
			       size_t klen)
{
	return kv->ops->del(kv, key, klen);
}

static inline int nexus_kv_seek(struct nexus_kv *kv, void *key, size_t *klen,
				void *buf, size_t cap)
{
	return kv->ops->seek(kv, key, klen, buf, cap);
}

#endif /* NEXUS_LIB_KV_H */
