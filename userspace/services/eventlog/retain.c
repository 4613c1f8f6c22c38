// SPDX-License-Identifier: Apache-2.0
/* What is too old or too much goes by itself, a few files at a time. */
#include "elog.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STEP_FILES	8u	/* between two of them others get to the log */

int64_t elog_now(const struct elog *l)
{
	struct timespec ts;

	if (l->opts.now_ms)
		return l->opts.now_ms();
	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static bool older(const struct elog *l, int64_t since, int64_t now)
{
	return l->opts.max_age_ms && since <= now && (uint64_t)(now - since) >= l->opts.max_age_ms;
}

/*
 * One that is seldom written would keep what is in it for ever: it is ended, on disk, when its
 * first record is too old, and goes when the last is.  Lock held, left while the disk is waited for.
 */
static int end_old(struct elog *l, int64_t now)
{
	struct elog_segment *seg = l->active ? &l->segs[l->nsegs - 1] : NULL;
	uint64_t first, last;
	int ret;

	if (!seg || !seg->last || !older(l, seg->begun, now))
		return 0;
	first = seg->first;
	last = seg->last;
	ret = elog_sync_to(l, last);
	if (ret)
		return ret;
	/* Whoever appended meanwhile has it for some more time. */
	seg = l->active ? &l->segs[l->nsegs - 1] : NULL;
	if (!seg || seg->first != first || seg->last != last || l->syncing)
		return 0;
	close(seg->fd);
	seg->fd = -1;
	l->active = false;
	return 0;
}

/* How many of the first files are to go in this step, and what is in them.  Lock held. */
static size_t too_many(const struct elog *l, int64_t now, struct elog_retained *r)
{
	uint64_t total = 0, bytes = 0;
	const struct elog_segment *seg;
	bool large, old;
	size_t i;

	for (i = 0; i < l->nsegs; i++)
		total += l->segs[i].bytes;
	for (i = 0; i < l->nsegs && i < STEP_FILES; i++) {
		seg = &l->segs[i];
		if (seg->fd >= 0)
			break;
		large = l->opts.max_bytes && total - bytes > l->opts.max_bytes;
		old = older(l, seg->written, now);
		if (!large && !old)
			break;
		r->by_bytes |= large;
		r->by_age |= old;
		bytes += seg->bytes;
		if (seg->last >= r->before)
			r->before = seg->last + 1;
	}
	r->bytes += bytes;
	return i;
}

static int step(struct elog *l, struct elog_retained *r, bool *more)
{
	struct nexus_eventlog_truncate_args a;
	size_t n;
	int ret;

	pthread_mutex_lock(&l->lock);
	ret = l->failed ? -EIO : end_old(l, elog_now(l));
	n = ret ? 0 : too_many(l, elog_now(l), r);
	pthread_mutex_unlock(&l->lock);
	*more = n == STEP_FILES;
	if (!n)
		return ret;
	a.before = r->before;
	ret = elog_truncate(l, &a);
	r->files += a.files;
	return ret;
}

int elog_retain(struct elog *l)
{
	struct elog_retained r = { .before = 0 };
	bool more = true;
	int ret = 0;

	if (!l->opts.max_bytes && !l->opts.max_age_ms)
		return 0;
	while (!ret && more)
		ret = step(l, &r, &more);
	if (r.files)
		elog_say(l, NEXUS_SERVICE_INFO, "records before %llu are gone, with %llu files of %llu bytes, by %s%s%s",
			 (unsigned long long)r.before, (unsigned long long)r.files,
			 (unsigned long long)r.bytes, r.by_bytes ? "eventlog_max_bytes" : "",
			 r.by_bytes && r.by_age ? " and " : "", r.by_age ? "eventlog_max_age" : "");
	if (ret && ret != l->retain_error)
		elog_say(l, NEXUS_SERVICE_ERROR, "what is too old or too much cannot be removed: %s", strerror(-ret));
	pthread_mutex_lock(&l->lock);
	l->retain_error = ret;
	l->retained.files += r.files;
	l->retained.bytes += r.files ? r.bytes : 0;
	if (r.files && r.before > l->retained.before)
		l->retained.before = r.before;
	pthread_mutex_unlock(&l->lock);
	return ret;
}

bool elog_due(struct elog *l)
{
	return atomic_exchange(&l->rolled, false) && l->opts.max_bytes;
}

void elog_retention(struct elog *l, struct nexus_eventlog_retention *a)
{
	pthread_mutex_lock(&l->lock);
	*a = (struct nexus_eventlog_retention){
		.max_bytes = l->opts.max_bytes, .max_age_ms = l->opts.max_age_ms,
		.files = l->retained.files, .bytes = l->retained.bytes,
		.before = l->retained.before, .failing = l->retain_error != 0,
	};
	pthread_mutex_unlock(&l->lock);
}
