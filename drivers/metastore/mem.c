// SPDX-License-Identifier: Apache-2.0
/*
 * Metastore driver in memory: the ordered map of lib/.  A store lives as long
 * as the process; opening the directory again, under whatever name, finds it
 * again.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <nexus/metastore.h>

#include "lib/omap.h"

struct mem_batch {
	struct mem_store *store;
	struct nexus_omap changes;
};

struct mem_store {
	struct nexus_metastore base;
	struct mem_store *next;
	dev_t dev;			/* the directory it belongs to */
	ino_t ino;
	unsigned int users;
	bool rdonly;
	pthread_rwlock_t lock;
	pthread_mutex_t write_lock;
	struct nexus_omap map;
	struct mem_batch batch;
};

static pthread_mutex_t stores_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mem_store *stores;

static struct mem_store *to_store(struct nexus_metastore *ms)
{
	return NEXUS_CONTAINER(ms, struct mem_store, base);
}

static struct mem_store *find_store(const struct stat *st)
{
	struct mem_store *s;

	for (s = stores; s; s = s->next)
		if (s->dev == st->st_dev && s->ino == st->st_ino)
			return s;
	return NULL;
}

static struct mem_store *new_store(const struct stat *st)
{
	struct mem_store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->dev = st->st_dev;
	s->ino = st->st_ino;
	s->base.drv = &nexus_ms_mem;
	s->batch.store = s;
	pthread_rwlock_init(&s->lock, NULL);
	pthread_mutex_init(&s->write_lock, NULL);
	nexus_omap_init(&s->map);
	s->next = stores;
	stores = s;
	return s;
}

static int mem_open(const char *dir, const struct nexus_ms_opts *opts,
		    struct nexus_metastore **ms, char *err, size_t errlen)
{
	struct mem_store *s;
	struct stat st;
	int ret = 0;

	if (stat(dir, &st)) {
		ret = -errno;
		snprintf(err, errlen, "%s: %s", dir, strerror(errno));
		return ret;
	}
	pthread_mutex_lock(&stores_lock);
	s = find_store(&st);
	if (!s && !opts->create) {
		snprintf(err, errlen,
			 "%s: the mem metastore keeps nothing when the helper ends", dir);
		ret = -ENOENT;
	} else if (s && opts->create) {
		nexus_omap_destroy(&s->map);
	} else if (!s) {
		s = new_store(&st);
		if (!s)
			ret = -ENOMEM;
	}
	if (!ret) {
		s->users++;
		s->rdonly = opts->rdonly;
		*ms = &s->base;
	}
	pthread_mutex_unlock(&stores_lock);
	return ret;
}

static void mem_close(struct nexus_metastore *ms)
{
	struct mem_store *s = to_store(ms);

	pthread_mutex_lock(&stores_lock);
	s->users--;
	pthread_mutex_unlock(&stores_lock);
}

/* At the end of the process, for leak checkers. */
__attribute__((destructor))
static void mem_exit(void)
{
	struct mem_store *s;

	while ((s = stores)) {
		stores = s->next;
		nexus_omap_destroy(&s->map);
		pthread_rwlock_destroy(&s->lock);
		pthread_mutex_destroy(&s->write_lock);
		free(s);
	}
}

static int mem_begin_read(struct nexus_metastore *ms, struct nexus_ms_snap **snap)
{
	struct mem_store *s = to_store(ms);

	pthread_rwlock_rdlock(&s->lock);
	*snap = (struct nexus_ms_snap *)s;
	return 0;
}

static void mem_end_read(struct nexus_ms_snap *snap)
{
	struct mem_store *s = (struct mem_store *)snap;

	pthread_rwlock_unlock(&s->lock);
}

static int mem_get(struct nexus_ms_snap *snap, const void *key, size_t klen,
		   const void **val, size_t *vlen)
{
	struct mem_store *s = (struct mem_store *)snap;
	const struct nexus_omap_entry *e = nexus_omap_find(&s->map, key, klen);

	if (!e)
		return -ENOENT;
	*val = nexus_omap_val(e);
	*vlen = e->vlen;
	return 0;
}

static int mem_seek(struct nexus_ms_snap *snap, const void *key, size_t klen,
		    bool after, const void **fkey, size_t *fklen,
		    const void **val, size_t *vlen)
{
	struct mem_store *s = (struct mem_store *)snap;
	const struct nexus_omap_entry *e;

	e = nexus_omap_lower(&s->map, key, klen, after);
	if (!e)
		return -ENOENT;
	*fkey = nexus_omap_key(e);
	*fklen = e->klen;
	*val = nexus_omap_val(e);
	*vlen = e->vlen;
	return 0;
}

static int mem_begin_write(struct nexus_metastore *ms, struct nexus_ms_batch **out)
{
	struct mem_store *s = to_store(ms);

	if (s->rdonly)
		return -EROFS;
	pthread_mutex_lock(&s->write_lock);
	nexus_omap_init(&s->batch.changes);
	*out = (struct nexus_ms_batch *)&s->batch;
	return 0;
}

static int mem_put(struct nexus_ms_batch *b, const void *key, size_t klen,
		   const void *val, size_t vlen)
{
	struct mem_batch *batch = (struct mem_batch *)b;

	return nexus_omap_put(&batch->changes, key, klen, val, vlen);
}

static int mem_del(struct nexus_ms_batch *b, const void *key, size_t klen)
{
	struct mem_batch *batch = (struct mem_batch *)b;

	return nexus_omap_tombstone(&batch->changes, key, klen);
}

static void mem_abort(struct nexus_ms_batch *b)
{
	struct mem_batch *batch = (struct mem_batch *)b;
	struct mem_store *s = batch->store;

	nexus_omap_destroy(&batch->changes);
	pthread_mutex_unlock(&s->write_lock);
}

/* Puts first: they alone can fail, and then what they did is put again. */
static int merge(struct mem_store *s)
{
	struct nexus_omap *changes = &s->batch.changes;
	const struct nexus_omap_entry *e;
	int ret;

	for (e = nexus_omap_lower(changes, "", 0, false); e;
	     e = nexus_omap_lower(changes, e->data, e->klen, true)) {
		if (e->tombstone)
			continue;
		ret = nexus_omap_put(&s->map, e->data, e->klen,
				     nexus_omap_val(e), e->vlen);
		if (ret)
			return ret;
	}
	for (e = nexus_omap_lower(changes, "", 0, false); e;
	     e = nexus_omap_lower(changes, e->data, e->klen, true))
		if (e->tombstone)
			nexus_omap_remove(&s->map, e->data, e->klen);
	return 0;
}

static int mem_commit(struct nexus_ms_batch *b)
{
	struct mem_batch *batch = (struct mem_batch *)b;
	struct mem_store *s = batch->store;
	int ret;

	pthread_rwlock_wrlock(&s->lock);
	ret = merge(s);
	pthread_rwlock_unlock(&s->lock);
	mem_abort(b);
	/* Half a batch in memory cannot be taken back. */
	if (ret)
		abort();
	return 0;
}

static int mem_info(struct nexus_metastore *ms, struct nexus_ms_info *info)
{
	struct mem_store *s = to_store(ms);

	pthread_rwlock_rdlock(&s->lock);
	info->entries = s->map.count;
	info->bytes_used = s->map.bytes;
	info->bytes_map = 0;
	pthread_rwlock_unlock(&s->lock);
	return 0;
}

const struct nexus_ms_driver nexus_ms_mem = {
	.name		= "mem",
	.persistent	= false,
	.open		= mem_open,
	.close		= mem_close,
	.begin_read	= mem_begin_read,
	.end_read	= mem_end_read,
	.get		= mem_get,
	.seek		= mem_seek,
	.begin_write	= mem_begin_write,
	.put		= mem_put,
	.del		= mem_del,
	.commit		= mem_commit,
	.abort		= mem_abort,
	.info		= mem_info,
};
