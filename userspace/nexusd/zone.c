// SPDX-License-Identifier: Apache-2.0
#include "zone.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bucket/bucket.h"
#include "evictor.h"
#include "fetch.h"
#include "upload.h"
#include "origin.h"

#define REPORT_SPACE	(1u << 20)	/* bytes; less is not worth a report */


void zone_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

struct zone *zone_new(struct helper *h, const struct config *cfg, struct chan *chan,
		      const char *name)
{
	struct zone *z = calloc(1, sizeof(*z));

	if (!z)
		return NULL;
	z->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (z->wake_fd < 0) {
		free(z);
		return NULL;
	}
	atomic_init(&z->refs, 1);
	z->helper = h;
	z->cfg = cfg;
	z->chan = chan;
	snprintf(z->name, sizeof(z->name), "%s", name);
	z->lock_fd = -1;
	z->applog.dirfd = -1;
	z->foldlog.dirfd = -1;
	pthread_mutex_init(&z->alloc_lock, NULL);
	pthread_mutex_init(&z->fold_lock, NULL);
	pthread_mutex_init(&z->make_lock, NULL);
	pthread_mutex_init(&z->reason_lock, NULL);
	pthread_mutex_init(&z->report_lock, NULL);
	pthread_mutex_init(&z->dead_lock, NULL);
	pthread_mutex_init(&z->scrub_lock, NULL);
	pthread_mutex_init(&z->gc_lock, NULL);
	zone_cond_init(&z->fold_cond);
	zone_cond_init(&z->make_cond);
	return z;
}

void zone_get(struct zone *z)
{
	atomic_fetch_add(&z->refs, 1);
}

/* The store is closed by the last one who may read it. */
void zone_put(struct zone *z)
{
	if (!z || atomic_fetch_sub(&z->refs, 1) != 1)
		return;
	bucket_free(z->bucket);
	zone_evictor_free(z);
	zone_space_free(z);
	zone_upload_free(z);
	zone_fetch_free(z);
	origin_free(z);
	chan_unmap_ring(&z->ring);
	applier_destroy(&z->applier);
	memtable_destroy(&z->mt);
	if (z->applog.dirfd >= 0)
		seglog_close(&z->applog);
	if (z->foldlog.dirfd >= 0)
		seglog_close(&z->foldlog);
	if (z->os)
		z->os->drv->close(z->os);
	if (z->ms)
		z->ms->drv->close(z->ms);
	if (z->lock_fd >= 0)
		close(z->lock_fd);
	zone_log_packs_free(z);
	zone_clean_free(z);
	free(z->recycle);
	close(z->wake_fd);
	pthread_cond_destroy(&z->make_cond);
	pthread_cond_destroy(&z->fold_cond);
	pthread_mutex_destroy(&z->scrub_lock);
	pthread_mutex_destroy(&z->gc_lock);
	pthread_mutex_destroy(&z->report_lock);
	pthread_mutex_destroy(&z->dead_lock);
	pthread_mutex_destroy(&z->reason_lock);
	pthread_mutex_destroy(&z->make_lock);
	pthread_mutex_destroy(&z->fold_lock);
	pthread_mutex_destroy(&z->alloc_lock);
	free(z);
}

void zone_fail(struct zone *z, int error, u64 lsn, const char *reason)
{
	struct nexus_zone_fail zf = { .zone = z->id, .error = error, .lsn = lsn };
	bool first;
	int ret;

	pthread_mutex_lock(&z->reason_lock);
	first = !z->error;
	if (first) {
		z->error = error;
		snprintf(z->reason, sizeof(z->reason), "%s", reason);
	}
	pthread_mutex_unlock(&z->reason_lock);
	/* Without a helper: a check, which has its own words for it. */
	if (first && z->helper)
		log_error("zone %s is read-only now: %s", z->name, reason);
	if (!z->id)
		return;
	snprintf(zf.reason, sizeof(zf.reason), "%s", reason);
	ret = chan_ioctl(z->chan, NEXUS_IOC_ZONE_FAIL, &zf);
	if (ret && ret != -ENOENT && ret != -ESHUTDOWN)
		log_warn("zone %s: the module was not told: %s", z->name, strerror(-ret));
}

int zone_error(struct zone *z, char reason[112])
{
	int error;

	pthread_mutex_lock(&z->reason_lock);
	error = z->error;
	if (reason)
		memcpy(reason, z->reason, sizeof(z->reason));
	pthread_mutex_unlock(&z->reason_lock);
	return error;
}

u64 zone_durable(const struct zone *z)
{
	return z->ring.ctl ? __atomic_load_n(&z->ring.ctl->durable, __ATOMIC_ACQUIRE) : 0;
}

u32 zone_flags(const struct zone *z)
{
	return z->ring.ctl ? __atomic_load_n(&z->ring.ctl->flags, __ATOMIC_ACQUIRE) : 0;
}

u64 zone_keep(const struct zone *z)
{
	return z->ring.ctl ? __atomic_load_n(&z->ring.ctl->keep, __ATOMIC_ACQUIRE) : 0;
}

static int get_quota(struct memview *v, u8 kind, u64 *inodes, u64 *blocks)
{
	struct nexus_quota_val q;
	struct nexus_key k;
	int ret;

	nexus_key_quota(&k, kind, 0);
	ret = nexus_kv_get(&v->kv, k.b, k.len, &q, sizeof(q));
	if (ret < 0)
		return ret;
	if (ret < (int)sizeof(q))
		return -EUCLEAN;
	*inodes = le64_to_cpu(q.inodes);
	*blocks = le64_to_cpu(q.blocks);
	return 0;
}

int zone_usage(struct zone *z, u64 *inodes, u64 *blocks)
{
	struct memview v;
	int ret;

	ret = memview_begin(&v, &z->mt, NULL);
	if (ret)
		return ret;
	ret = get_quota(&v, NEXUS_QUOTA_ZONE, inodes, blocks);
	memview_end(&v);
	return ret;
}

/*
 * Orphans that the last incarnation left are only waiting to be forgotten, and
 * the kernel is not told how much of them is unwritten then.
 */
static int take_orphans(struct zone *z, struct memview *v, u64 *blocks)
{
	struct nexus_inode_val in;
	struct nexus_key k;
	size_t i;
	int ret;

	for (i = 0; i < z->leftovers.norphans; i++) {
		nexus_key_inode(&k, z->leftovers.orphans[i * 2]);
		ret = nexus_kv_get(&v->kv, k.b, k.len, &in, sizeof(in));
		if (ret < (int)sizeof(in))
			return ret < 0 ? ret : -EUCLEAN;
		if (le64_to_cpu(in.unwritten) > *blocks)
			return -EUCLEAN;
		*blocks -= le64_to_cpu(in.unwritten);
	}
	return 0;
}

int zone_unwritten(struct zone *z, u64 *blocks)
{
	struct memview v;
	u64 unused;
	int ret;

	ret = memview_begin(&v, &z->mt, NULL);
	if (ret)
		return ret;
	ret = get_quota(&v, NEXUS_QUOTA_UNWRITTEN, &unused, blocks);
	if (ret == -ENOENT) {
		*blocks = 0;
		ret = 0;
	}
	if (!ret)
		ret = take_orphans(z, &v, blocks);
	memview_end(&v);
	return ret;
}

static bool has_limit(const struct nexus_quota_val *q)
{
	return q->inodes_hard || q->inodes_soft || q->blocks_hard || q->blocks_soft;
}

/* Whether any id of @kind has a limit: 1 or 0. */
static int kind_limited(struct memview *v, u8 kind)
{
	struct nexus_quota_val q;
	u8 val[512];
	struct nexus_key k;
	int len;

	nexus_key_quota(&k, kind, 0);
	while ((len = nexus_kv_seek(&v->kv, k.b, &k.len, val, sizeof(val))) >= 0) {
		if (k.b[0] != NEXUS_KEY_QUOTA || k.b[1] != kind)
			return 0;
		if (k.len != 10 || len < (int)sizeof(q))
			return -EUCLEAN;
		memcpy(&q, val, sizeof(q));
		if (has_limit(&q))
			return 1;
		k.b[k.len++] = 0;	/* the next key there can be */
	}
	return len == -ENOENT ? 0 : len;
}

int zone_limits(struct zone *z, u64 *kinds)
{
	struct memview v;
	int ret;
	u8 kind;

	*kinds = 0;
	ret = memview_begin(&v, &z->mt, NULL);
	if (ret)
		return ret;
	for (kind = 0; kind < NEXUS_QUOTA_LIMITED && ret >= 0; kind++) {
		ret = kind_limited(&v, kind);
		if (ret > 0)
			*kinds |= 1ull << kind;
	}
	memview_end(&v);
	return ret < 0 ? ret : 0;
}

void zone_report(struct zone *z)
{
	struct nexus_report rp = { .zone = z->id };
	u64 avail = 0, reserve = zone_growth_reserve(z);
	int ret;

	if (!z->id || atomic_load(&z->dropped))
		return;
	/* One at a time: what was read first is told first. */
	pthread_mutex_lock(&z->report_lock);
	rp.applied = memtable_applied(&z->mt);
	/* For the kernel it is from where on the log is needed. */
	rp.checkpoint = NEXUS_MIN(atomic_load(&z->checkpoint), atomic_load(&z->log_from));
	if (!z->os->drv->space(z->os, &rp.space_total, &avail)) {
		z->reported_avail = avail;
		rp.space_free = avail > reserve ? avail - reserve : 0;
	}
	if (atomic_load(&z->nospace)) {
		rp.flags |= NEXUS_RP_NOSPACE;
		rp.space_free = 0;
	}
	if (!z->bucket)
		zone_usage(z, &rp.files, &rp.blocks);
	rp.kept = z->kept * super_pack_usable(&z->sb);
	rp.kept_for = z->kept_for;
	ret = chan_ioctl(z->chan, NEXUS_IOC_REPORT, &rp);
	pthread_mutex_unlock(&z->report_lock);
	if (ret && ret != -ENOENT && ret != -ESHUTDOWN)
		log_warn("zone %s: report refused: %s (applied %llu, checkpoint %llu)",
			 z->name, strerror(-ret), (u64)rp.applied, (u64)rp.checkpoint);
}

void zone_report_space(struct zone *z)
{
	u64 total, avail, before;

	if (z->os->drv->space(z->os, &total, &avail))
		return;
	pthread_mutex_lock(&z->report_lock);
	before = z->reported_avail;
	pthread_mutex_unlock(&z->report_lock);
	if ((avail > before ? avail - before : before - avail) >= REPORT_SPACE)
		zone_report(z);
}
