// SPDX-License-Identifier: Apache-2.0
/*
 * Metastore driver over LMDB, in its default synchronous mode: a commit that
 * returned is on disk.
 *
 * The map grows here.  LMDB can only change its size while the process has no
 * transaction at all, so snapshots hold @map_lock shared and growth takes it
 * exclusively; the batch that ran into the end is given up and its writer
 * does it again.
 *
 * What the index may grow by has its place on the disk before (keep_ahead): removing
 * files is what helps when others have filled the disk, and it is written like all else.
 *
 * A commit whose last write fails leaves LMDB's environment good for nothing, for
 * readers too (MDB_PANIC): it is closed and opened again, like growth.  What is on
 * disk then is the state before or after that commit, and its writer does it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nexus/format.h>
#include <nexus/metastore.h>

#include "lib/port.h"
#include "lmdb_file.h"

#define LMDB_MAP_DEFAULT	(1ull << 30)
#define LMDB_READERS		1024
#define LMDB_AHEAD		(8L << 20)	/* of the disk, behind the index */
#define LMDB_LOCK_BYTES		((LMDB_READERS + 8) * 64L)	/* a line each, and a head */

struct lmdb_snap {
	struct lmdb_store *store;
	MDB_txn *txn;
	MDB_cursor *cursor;
	struct lmdb_snap *next;
};

struct lmdb_batch {
	struct lmdb_store *store;
	MDB_txn *txn;
	bool full;
	int error;			/* the first; then nothing is committed */
};

struct lmdb_store {
	struct nexus_metastore base;
	MDB_env *env;			/* NULL: could not be opened again */
	MDB_dbi dbi;
	char *dir;
	u64 map_size;
	u64 ahead;			/* the disk has given space up to there; under write_lock */
	bool rdonly;
	pthread_rwlock_t map_lock;
	pthread_mutex_t write_lock;
	struct lmdb_batch batch;	/* under write_lock */
	pthread_mutex_t pool_lock;
	struct lmdb_snap *pool;		/* snapshots at rest */
};

/* The one translation of LMDB's errors. */
static int lmdb_errno(int rc)
{
	static const struct {
		int rc;
		int error;
	} table[] = {
		{ MDB_SUCCESS,		0 },
		{ MDB_KEYEXIST,		-EEXIST },
		{ MDB_NOTFOUND,		-ENOENT },
		{ MDB_PAGE_NOTFOUND,	-EUCLEAN },
		{ MDB_CORRUPTED,	-EUCLEAN },
		{ MDB_PANIC,		-EIO },
		{ MDB_VERSION_MISMATCH,	-EPROTONOSUPPORT },
		{ MDB_INVALID,		-EUCLEAN },
		{ MDB_MAP_FULL,		-ENOSPC },
		{ MDB_DBS_FULL,		-ENOSPC },
		{ MDB_READERS_FULL,	-EBUSY },
		{ MDB_TLS_FULL,		-EBUSY },
		{ MDB_TXN_FULL,		-ENOSPC },
		{ MDB_CURSOR_FULL,	-EIO },
		{ MDB_PAGE_FULL,	-EIO },
		{ MDB_MAP_RESIZED,	-EAGAIN },
		{ MDB_INCOMPATIBLE,	-EUCLEAN },
		{ MDB_BAD_RSLOT,	-EIO },
		{ MDB_BAD_TXN,		-EIO },
		{ MDB_BAD_VALSIZE,	-EINVAL },
		{ MDB_BAD_DBI,		-EIO },
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].rc == rc)
			return table[i].error;
	return rc > 0 ? -rc : -EIO;
}

static struct lmdb_store *to_store(struct nexus_metastore *ms)
{
	return NEXUS_CONTAINER(ms, struct lmdb_store, base);
}

static int check_size(struct lmdb_store *store, const char *dir, char *err,
		      size_t errlen)
{
	MDB_envinfo info;
	struct stat st;
	MDB_stat mst;
	u64 need;
	int fd, rc;

	rc = mdb_env_info(store->env, &info);
	if (!rc)
		rc = mdb_env_stat(store->env, &mst);
	if (!rc)
		rc = mdb_env_get_fd(store->env, &fd);
	if (rc)
		return lmdb_errno(rc);
	if (fstat(fd, &st))
		return -errno;
	need = ((u64)info.me_last_pgno + 1) * mst.ms_psize;
	if (info.me_last_txnid && (u64)st.st_size < need &&
	    !lmdb_pages_free(store->env, (u64)st.st_size / mst.ms_psize, info.me_last_pgno)) {
		snprintf(err, errlen,
			 "%s/data.mdb is truncated: %lld bytes, %llu are in use",
			 dir, (long long)st.st_size, (unsigned long long)need);
		return -EUCLEAN;
	}
	if (mdb_env_get_maxkeysize(store->env) < NEXUS_KEY_MAX) {
		snprintf(err, errlen,
			 "this LMDB takes keys of %d bytes, %d are needed",
			 mdb_env_get_maxkeysize(store->env), NEXUS_KEY_MAX);
		return -EOPNOTSUPP;
	}
	return 0;
}

static int init_locks(struct lmdb_store *store)
{
	pthread_rwlockattr_t attr;
	int ret;

	ret = pthread_rwlockattr_init(&attr);
	if (ret)
		return -ret;
	/* Growth must not starve behind an endless stream of readers. */
	pthread_rwlockattr_setkind_np(&attr,
			PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	ret = pthread_rwlock_init(&store->map_lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	if (ret)
		return -ret;
	pthread_mutex_init(&store->write_lock, NULL);
	pthread_mutex_init(&store->pool_lock, NULL);
	return 0;
}

static void destroy_locks(struct lmdb_store *store)
{
	pthread_mutex_destroy(&store->pool_lock);
	pthread_mutex_destroy(&store->write_lock);
	pthread_rwlock_destroy(&store->map_lock);
}

/*
 * LMDB writes to its lock file through a mapping of a sparse file: on a full disk
 * that would be a SIGBUS instead of an error.
 */
static int alloc_lock_file(const char *dir)
{
	char path[PATH_MAX];
	int fd, rc;

	if (snprintf(path, sizeof(path), "%s/lock.mdb", dir) >= (int)sizeof(path))
		return ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	rc = posix_fallocate(fd, 0, LMDB_LOCK_BYTES);
	close(fd);
	return rc;
}

/*
 * Space of the disk behind the pages in use, not in the file's size, which LMDB goes by.
 * Where the disk has none or cannot tell, what it gave before is used up.  write_lock
 * held, or nobody else has the store.
 */
static void keep_ahead(struct lmdb_store *store)
{
	MDB_envinfo info;
	MDB_stat st;
	u64 end;
	int fd;

	if (mdb_env_info(store->env, &info) || mdb_env_stat(store->env, &st) ||
	    mdb_env_get_fd(store->env, &fd))
		return;
	end = ((u64)info.me_last_pgno + 1) * st.ms_psize;
	if (end + LMDB_AHEAD / 2 <= store->ahead)
		return;
	if (!fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)end, LMDB_AHEAD))
		store->ahead = end + LMDB_AHEAD;
}

static void close_env(struct lmdb_store *store)
{
	struct lmdb_snap *snap;

	while ((snap = store->pool)) {
		store->pool = snap->next;
		mdb_cursor_close(snap->cursor);
		mdb_txn_abort(snap->txn);
		free(snap);
	}
	if (store->env)
		mdb_env_close(store->env);
	store->env = NULL;
}

/* On an error the caller closes it. */
static int open_env(struct lmdb_store *store)
{
	unsigned int flags = MDB_NOTLS;
	MDB_txn *txn;
	int rc;

	if (store->rdonly)
		flags |= MDB_RDONLY | MDB_NOLOCK;
	rc = mdb_env_create(&store->env);
	if (!rc && !store->rdonly)
		rc = alloc_lock_file(store->dir);
	if (!rc)
		rc = mdb_env_set_mapsize(store->env, store->map_size);
	if (!rc)
		rc = mdb_env_set_maxreaders(store->env, LMDB_READERS);
	if (!rc)
		rc = mdb_env_open(store->env, store->dir, flags, 0600);
	if (!rc)
		rc = mdb_txn_begin(store->env, NULL,
				   store->rdonly ? MDB_RDONLY : 0, &txn);
	if (rc)
		return rc;
	rc = mdb_dbi_open(txn, NULL, 0, &store->dbi);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	return mdb_txn_commit(txn);
}

static int lmdb_open(const char *dir, const struct nexus_ms_opts *opts,
		     struct nexus_metastore **ms, char *err, size_t errlen)
{
	struct lmdb_store *store;
	int ret, rc;

	if (errlen)
		err[0] = '\0';
	ret = lmdb_check_file(dir, opts->create, err, errlen);
	if (ret)
		return ret;
	store = calloc(1, sizeof(*store));
	if (!store)
		return -ENOMEM;
	store->base.drv = &nexus_ms_lmdb;
	store->rdonly = opts->rdonly;
	store->batch.store = store;
	store->map_size = opts->map_size ? opts->map_size : LMDB_MAP_DEFAULT;
	store->dir = strdup(dir);
	ret = store->dir ? init_locks(store) : -ENOMEM;
	if (ret)
		goto free_store;
	rc = open_env(store);
	if (rc) {
		ret = lmdb_errno(rc);
		snprintf(err, errlen, "%s/data.mdb: %s", dir, mdb_strerror(rc));
		goto close;
	}
	ret = check_size(store, dir, err, errlen);
	if (ret)
		goto close;
	if (!store->rdonly)
		keep_ahead(store);
	*ms = &store->base;
	return 0;

close:
	close_env(store);
	destroy_locks(store);
free_store:
	free(store->dir);
	free(store);
	return ret;
}

static void lmdb_close(struct nexus_metastore *ms)
{
	struct lmdb_store *store = to_store(ms);

	close_env(store);
	destroy_locks(store);
	free(store->dir);
	free(store);
}

/* After MDB_PANIC; write_lock held.  Snapshots are waited for. */
static int reopen_env(struct lmdb_store *store)
{
	MDB_envinfo info;
	int rc;

	pthread_rwlock_wrlock(&store->map_lock);
	if (store->env && !mdb_env_info(store->env, &info))
		store->map_size = info.me_mapsize;
	close_env(store);
	rc = open_env(store);
	if (rc)
		close_env(store);
	pthread_rwlock_unlock(&store->map_lock);
	return lmdb_errno(rc);
}

/* ---- snapshots ------------------------------------------------------- */

static struct lmdb_snap *snap_get(struct lmdb_store *store)
{
	struct lmdb_snap *snap;

	pthread_mutex_lock(&store->pool_lock);
	snap = store->pool;
	if (snap)
		store->pool = snap->next;
	pthread_mutex_unlock(&store->pool_lock);
	return snap;
}

/* An error of LMDB. */
static int snap_new(struct lmdb_store *store, struct lmdb_snap **out)
{
	struct lmdb_snap *snap = calloc(1, sizeof(*snap));
	int rc;

	if (!snap)
		return ENOMEM;
	snap->store = store;
	rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &snap->txn);
	if (rc)
		goto free_snap;
	rc = mdb_cursor_open(snap->txn, store->dbi, &snap->cursor);
	if (rc)
		goto abort_txn;
	*out = snap;
	return 0;

abort_txn:
	mdb_txn_abort(snap->txn);
free_snap:
	free(snap);
	return rc;
}

/* An error of LMDB. */
static int try_begin_read(struct lmdb_store *store, struct lmdb_snap **out)
{
	struct lmdb_snap *snap;
	int rc;

	pthread_rwlock_rdlock(&store->map_lock);
	snap = store->env ? snap_get(store) : NULL;
	if (!store->env) {
		rc = MDB_PANIC;
	} else if (!snap) {
		rc = snap_new(store, &snap);
	} else {
		rc = mdb_txn_renew(snap->txn);
		if (!rc)
			rc = mdb_cursor_renew(snap->txn, snap->cursor);
		if (rc) {
			mdb_cursor_close(snap->cursor);
			mdb_txn_abort(snap->txn);
			free(snap);
		}
	}
	if (rc)
		pthread_rwlock_unlock(&store->map_lock);
	else
		*out = snap;
	return rc;
}

static int lmdb_begin_read(struct nexus_metastore *ms, struct nexus_ms_snap **out)
{
	struct lmdb_store *store = to_store(ms);
	struct lmdb_snap *snap;
	int rc = try_begin_read(store, &snap);

	if (rc == MDB_PANIC && !store->rdonly) {
		pthread_mutex_lock(&store->write_lock);
		/* Unless somebody has. */
		rc = try_begin_read(store, &snap);
		if (rc == MDB_PANIC && !reopen_env(store))
			rc = try_begin_read(store, &snap);
		pthread_mutex_unlock(&store->write_lock);
	}
	if (!rc)
		*out = (struct nexus_ms_snap *)snap;
	return lmdb_errno(rc);
}

static void lmdb_end_read(struct nexus_ms_snap *s)
{
	struct lmdb_snap *snap = (struct lmdb_snap *)s;
	struct lmdb_store *store = snap->store;

	mdb_txn_reset(snap->txn);
	pthread_mutex_lock(&store->pool_lock);
	snap->next = store->pool;
	store->pool = snap;
	pthread_mutex_unlock(&store->pool_lock);
	pthread_rwlock_unlock(&store->map_lock);
}

static int lmdb_get(struct nexus_ms_snap *s, const void *key, size_t klen,
		    const void **val, size_t *vlen)
{
	struct lmdb_snap *snap = (struct lmdb_snap *)s;
	MDB_val k = { klen, (void *)key };
	MDB_val v;
	int rc = mdb_get(snap->txn, snap->store->dbi, &k, &v);

	if (rc)
		return lmdb_errno(rc);
	*val = v.mv_data;
	*vlen = v.mv_size;
	return 0;
}

static int lmdb_seek(struct nexus_ms_snap *s, const void *key, size_t klen,
		     bool after, const void **fkey, size_t *fklen,
		     const void **val, size_t *vlen)
{
	struct lmdb_snap *snap = (struct lmdb_snap *)s;
	MDB_val k = { klen, (void *)key };
	MDB_val v;
	int rc;

	rc = mdb_cursor_get(snap->cursor, &k, &v, klen ? MDB_SET_RANGE : MDB_FIRST);
	if (!rc && after && k.mv_size == klen && !memcmp(k.mv_data, key, klen))
		rc = mdb_cursor_get(snap->cursor, &k, &v, MDB_NEXT);
	if (rc)
		return lmdb_errno(rc);
	*fkey = k.mv_data;
	*fklen = k.mv_size;
	*val = v.mv_data;
	*vlen = v.mv_size;
	return 0;
}

/* ---- batches --------------------------------------------------------- */

static int lmdb_begin_write(struct nexus_metastore *ms, struct nexus_ms_batch **out)
{
	struct lmdb_store *store = to_store(ms);
	int rc;

	if (store->rdonly)
		return -EROFS;
	pthread_mutex_lock(&store->write_lock);
	rc = store->env ? mdb_txn_begin(store->env, NULL, 0, &store->batch.txn) : MDB_PANIC;
	if (rc == MDB_PANIC && !reopen_env(store))
		rc = mdb_txn_begin(store->env, NULL, 0, &store->batch.txn);
	if (rc) {
		pthread_mutex_unlock(&store->write_lock);
		return lmdb_errno(rc);
	}
	store->batch.full = false;
	store->batch.error = 0;
	*out = (struct nexus_ms_batch *)&store->batch;
	return 0;
}

static int batch_result(struct lmdb_batch *batch, int rc)
{
	int ret = lmdb_errno(rc);

	if (rc == MDB_MAP_FULL)
		batch->full = true;
	if (ret && !batch->error)
		batch->error = ret;
	return ret;
}

static int lmdb_put(struct nexus_ms_batch *b, const void *key, size_t klen,
		    const void *val, size_t vlen)
{
	struct lmdb_batch *batch = (struct lmdb_batch *)b;
	MDB_val k = { klen, (void *)key };
	MDB_val v = { vlen, (void *)val };

	return batch_result(batch, mdb_put(batch->txn, batch->store->dbi, &k, &v, 0));
}

static int lmdb_del(struct nexus_ms_batch *b, const void *key, size_t klen)
{
	struct lmdb_batch *batch = (struct lmdb_batch *)b;
	MDB_val k = { klen, (void *)key };
	int rc = mdb_del(batch->txn, batch->store->dbi, &k, NULL);

	return rc == MDB_NOTFOUND ? 0 : batch_result(batch, rc);
}

/* Nobody but us has a transaction of writing; readers are waited for. */
static int grow(struct lmdb_store *store)
{
	MDB_envinfo info;
	int rc;

	pthread_rwlock_wrlock(&store->map_lock);
	rc = mdb_env_info(store->env, &info);
	if (!rc)
		rc = mdb_env_set_mapsize(store->env, info.me_mapsize * 2);
	pthread_rwlock_unlock(&store->map_lock);
	return rc ? lmdb_errno(rc) : -EAGAIN;
}

static int end_batch(struct lmdb_batch *batch, int ret)
{
	struct lmdb_store *store = batch->store;

	batch->txn = NULL;
	if (batch->full)
		ret = grow(store);
	pthread_mutex_unlock(&store->write_lock);
	return ret;
}

static int lmdb_commit(struct nexus_ms_batch *b)
{
	struct lmdb_batch *batch = (struct lmdb_batch *)b;
	int ret;

	/* The disk may have been full before the map was: LMDB writes ahead. */
	if (batch->error) {
		mdb_txn_abort(batch->txn);
		return end_batch(batch, batch->error);
	}
	ret = batch_result(batch, mdb_txn_commit(batch->txn));
	if (!ret)
		keep_ahead(batch->store);
	return end_batch(batch, ret);
}

static void lmdb_abort(struct nexus_ms_batch *b)
{
	struct lmdb_batch *batch = (struct lmdb_batch *)b;

	mdb_txn_abort(batch->txn);
	end_batch(batch, 0);
}

static int lmdb_info(struct nexus_metastore *ms, struct nexus_ms_info *out)
{
	struct lmdb_store *store = to_store(ms);
	MDB_envinfo info;
	MDB_stat st;
	int rc;

	pthread_rwlock_rdlock(&store->map_lock);
	rc = store->env ? mdb_env_info(store->env, &info) : MDB_PANIC;
	if (!rc)
		rc = mdb_env_stat(store->env, &st);
	pthread_rwlock_unlock(&store->map_lock);
	if (rc)
		return lmdb_errno(rc);
	out->entries = st.ms_entries;
	out->bytes_used = ((u64)info.me_last_pgno + 1) * st.ms_psize;
	out->bytes_map = info.me_mapsize;
	return 0;
}

const struct nexus_ms_driver nexus_ms_lmdb = {
	.name		= "lmdb",
	.persistent	= true,
	.open		= lmdb_open,
	.close		= lmdb_close,
	.begin_read	= lmdb_begin_read,
	.end_read	= lmdb_end_read,
	.get		= lmdb_get,
	.seek		= lmdb_seek,
	.begin_write	= lmdb_begin_write,
	.put		= lmdb_put,
	.del		= lmdb_del,
	.commit		= lmdb_commit,
	.abort		= lmdb_abort,
	.info		= lmdb_info,
};
