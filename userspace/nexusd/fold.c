// SPDX-License-Identifier: Apache-2.0
/*
 * Folding: the frozen generation of the memtable becomes one commit of the
 * metastore, together with the LSN it was cut at.
 *
 * The cut waits until the log is durable up to it, so the index never gets
 * ahead of the log.  A commit that fails changes nothing and is done again.
 */
#include "zone.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define RETRY_MS	1000u
#define DURABLE_POLL_MS	20

static u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / 1000000;
}

static void wait_ms(struct zone *z, unsigned int ms)
{
	struct timespec until;
	u64 at = now_ms() + ms;

	until.tv_sec = (time_t)(at / 1000);
	until.tv_nsec = (long)(at % 1000) * 1000000;
	pthread_mutex_lock(&z->fold_lock);
	if (!z->fold_kick && !atomic_load(&z->stopping))
		pthread_cond_timedwait(&z->fold_cond, &z->fold_lock, &until);
	pthread_mutex_unlock(&z->fold_lock);
}

/* ---- one commit ---------------------------------------------------------- */

static int fill_frozen(struct nexus_metastore *ms, struct nexus_ms_batch *batch,
		       void *arg)
{
	struct zone *z = arg;
	const struct nexus_omap *map = z->mt.frozen;
	const struct nexus_omap_entry *e;
	int ret = 0;

	if (!map)
		return super_put(ms, batch, &z->sb);
	for (e = nexus_omap_lower(map, "", 0, false); e && !ret;
	     e = nexus_omap_lower(map, e->data, e->klen, true)) {
		if (e->tombstone)
			ret = ms->drv->del(batch, e->data, e->klen);
		else
			ret = ms->drv->put(batch, e->data, e->klen,
					   nexus_omap_val(e), e->vlen);
	}
	return ret ? ret : super_put(ms, batch, &z->sb);
}

/* In which segment @lsn lies, for whoever follows the log from there. */
static void find_segment(struct zone *z, u64 lsn)
{
	struct seg_file *f;
	u64 max;

	if (seglog_scan(&z->foldlog))
		return;
	f = seglog_find(&z->foldlog, z->sb.incarnation, lsn);
	if (f && f->number > z->sb.checkpoint_seg)
		z->sb.checkpoint_seg = f->number;
	max = seglog_max_number(&z->foldlog);
	if (max >= z->sb.next_segment)
		z->sb.next_segment = max + 1;
}

static int commit_frozen(struct zone *z, u64 checkpoint, bool clean)
{
	struct super before = z->sb;
	int ret;

	find_segment(z, checkpoint);
	z->sb.checkpoint = checkpoint;
	z->sb.log_from = z->frozen_log_from;
	if (clean)
		z->sb.flags |= NEXUS_ZF_CLEAN;
	ret = ms_write(z->ms, fill_frozen, z);
	if (ret) {
		z->sb = before;
		return ret;
	}
	atomic_store(&z->checkpoint, checkpoint);
	atomic_store(&z->log_from, z->sb.log_from);
	memtable_thaw(&z->mt);
	return 0;
}

/* applier.lock held. */
static int freeze(struct zone *z)
{
	int ret = memtable_freeze(&z->mt);

	if (!ret)
		z->frozen_log_from = applier_log_from(&z->applier, z->mt.frozen_lsn);
	return ret;
}

/* -EAGAIN: not in time, or never: the zone went read-only. */
static int wait_durable(struct zone *z, u64 lsn, unsigned int ms)
{
	u64 until = now_ms() + ms;

	while (zone_durable(z) < lsn) {
		struct timespec nap = { 0, DURABLE_POLL_MS * 1000000L };

		if (now_ms() >= until || atomic_load(&z->dropped))
			return -EAGAIN;
		if (zone_flags(z) & (NEXUS_LF_READONLY | NEXUS_LF_DETACHED) &&
		    zone_durable(z) < lsn)
			return -EAGAIN;
		nanosleep(&nap, NULL);
	}
	return 0;
}

int zone_fold(struct zone *z, unsigned int wait, bool clean)
{
	int ret;

	if (z->rdonly)
		return 0;
	if (!z->mt.frozen) {
		pthread_mutex_lock(&z->applier.lock);
		ret = freeze(z);
		pthread_mutex_unlock(&z->applier.lock);
		if (ret == -ENODATA && clean) {
			z->frozen_log_from = z->sb.log_from;
			return commit_frozen(z, z->sb.checkpoint, true);
		}
		if (ret == -ENODATA)
			return 0;
		if (ret)
			return ret;
	}
	ret = wait_durable(z, z->mt.frozen_lsn, wait);
	if (ret)
		return ret;
	/* What was applied since the cut makes it anything but clean. */
	if (memtable_applied(&z->mt) != z->mt.frozen_lsn)
		clean = false;
	return commit_frozen(z, z->mt.frozen_lsn, clean);
}

/*
 * In the middle of a replay: the log is known to its end by then, and what is
 * read from the disk is flushed by the commit, so nothing gets ahead of it.
 */
int zone_fold_replay(struct zone *z)
{
	int ret = freeze(z);

	return ret ? ret : commit_frozen(z, z->mt.frozen_lsn, false);
}

int zone_fold_open(struct zone *z)
{
	struct super before = z->sb;
	u64 max = seglog_max_number(&z->applog);
	int ret;

	ret = memtable_freeze(&z->mt);
	if (ret && ret != -ENODATA)
		return ret;
	if (max >= z->sb.next_segment)
		z->sb.next_segment = max + 1;
	if (z->sb.checkpoint_seg >= z->sb.next_segment)
		z->sb.next_segment = z->sb.checkpoint_seg + 1;
	z->sb.checkpoint = z->replay.tail;
	z->sb.log_from = z->sb.checkpoint;
	z->sb.checkpoint_seg = z->sb.next_segment;
	z->sb.incarnation++;
	z->sb.flags &= ~NEXUS_ZF_CLEAN;
	ret = ms_write(z->ms, fill_frozen, z);
	if (ret) {
		z->sb = before;
		return ret;
	}
	z->applier.incarnation = z->sb.incarnation;
	atomic_store(&z->checkpoint, z->sb.checkpoint);
	atomic_store(&z->log_from, z->sb.log_from);
	memtable_thaw(&z->mt);
	return 0;
}

/* ---- the thread ------------------------------------------------------------ */

static void fold_failed(struct zone *z, int ret)
{
	if (ret == -EAGAIN)
		return;
	/* One line a streak; the memtable and then the log hold the changes. */
	if (!atomic_fetch_add(&z->fold_errors, 1))
		log_error("zone %s: the index cannot be written: %s; trying again",
			  z->name, strerror(-ret));
	if (ret == -ENOSPC && !atomic_exchange(&z->nospace, true))
		zone_report(z);
}

static void fold_done(struct zone *z)
{
	if (atomic_exchange(&z->fold_errors, 0))
		log_info("zone %s: the index is written again", z->name);
	zone_report(z);
	/* Something may have died with it. */
	zone_make_kick(z);
	zone_space_kick(z);
}

static bool due(struct zone *z, bool kick, u64 last)
{
	u64 applied = memtable_applied(&z->mt);

	if (z->mt.frozen)
		return true;
	if (applied == atomic_load(&z->checkpoint))
		return false;
	return kick || zone_flags(z) & NEXUS_LF_WANT_CHECKPOINT ||
	       memtable_bytes(&z->mt) >= z->cfg->fold_size ||
	       now_ms() - last >= (u64)z->cfg->fold_age * 1000;
}

static void *fold_main(void *arg)
{
	struct zone *z = arg;
	u64 last = now_ms();
	bool kick = false;
	int ret;

	pthread_setname_np(pthread_self(), "nexusd-fold");
	while (!atomic_load(&z->stopping)) {
		if (due(z, kick, last)) {
			u64 before = atomic_load(&z->checkpoint);

			ret = zone_fold(z, RETRY_MS, false);
			if (ret)
				fold_failed(z, ret);
			else if (atomic_load(&z->checkpoint) != before)
				fold_done(z);
			if (!ret)
				last = now_ms();
			if (ret)
				wait_ms(z, ret == -EAGAIN ? DURABLE_POLL_MS : RETRY_MS);
		} else {
			/* Nothing to fold: the age counts from the next change. */
			if (memtable_applied(&z->mt) == atomic_load(&z->checkpoint))
				last = now_ms();
			/* Others use the disk, too, and df asks the kernel. */
			zone_report_space(z);
			wait_ms(z, 500);
		}
		pthread_mutex_lock(&z->fold_lock);
		kick = z->fold_kick;
		z->fold_kick = false;
		pthread_mutex_unlock(&z->fold_lock);
	}
	return NULL;
}

int zone_fold_start(struct zone *z)
{
	int ret = pthread_create(&z->fold_thread, NULL, fold_main, z);

	if (ret)
		return -ret;
	z->fold_running = true;
	return 0;
}

void zone_fold_kick(struct zone *z)
{
	pthread_mutex_lock(&z->fold_lock);
	z->fold_kick = true;
	pthread_cond_signal(&z->fold_cond);
	pthread_mutex_unlock(&z->fold_lock);
}

void zone_fold_stop(struct zone *z)
{
	if (!z->fold_running)
		return;
	pthread_mutex_lock(&z->fold_lock);
	pthread_cond_broadcast(&z->fold_cond);
	pthread_mutex_unlock(&z->fold_lock);
	pthread_join(z->fold_thread, NULL);
	z->fold_running = false;
}
