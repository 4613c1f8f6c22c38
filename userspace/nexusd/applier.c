// SPDX-License-Identifier: Apache-2.0
#include "applier.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define CHUNK		(256u << 10)	/* bytes copied out of the ring at once */
#define PUBLISH_EVERY	64u		/* records readers wait for at most */

NEXUS_STATIC_ASSERT(CHUNK >= 2 * NEXUS_REC_LEN_MAX);

int applier_init(struct applier *a, struct memtable *mt, u64 pos, u64 limit,
		 const struct applier_ops *ops, void *ctx)
{
	pthread_condattr_t attr;

	memset(a, 0, sizeof(*a));
	if (posix_memalign((void **)&a->buf, 64, CHUNK))
		return -ENOMEM;
	a->mt = mt;
	a->pos = pos;
	a->limit = limit;
	a->ops = ops;
	a->ctx = ctx;
	a->poison.page = &a->poison.own;
	nexus_omap_init(&a->overlay);
	nexus_logdata_init(&a->data);
	pthread_mutex_init(&a->lock, NULL);
	pthread_mutex_init(&a->wait_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->wait_cond, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

void applier_destroy(struct applier *a)
{
	if (!a->buf)
		return;
	nexus_omap_destroy(&a->overlay);
	nexus_logdata_destroy(&a->data);
	poison_close(&a->poison);
	pthread_cond_destroy(&a->wait_cond);
	pthread_mutex_destroy(&a->wait_lock);
	pthread_mutex_destroy(&a->lock);
	free(a->buf);
	a->buf = NULL;
}

void applier_set_ring(struct applier *a, const struct nexus_log_ctl *ctl,
		      const u8 *ring, u64 ring_size)
{
	pthread_mutex_lock(&a->lock);
	a->ctl = ctl;
	a->ring = ring;
	a->ring_size = ring_size;
	pthread_mutex_unlock(&a->lock);
}

/* ---- applying ---------------------------------------------------------- */

static void wake(struct applier *a)
{
	pthread_mutex_lock(&a->wait_lock);
	pthread_cond_broadcast(&a->wait_cond);
	pthread_mutex_unlock(&a->wait_lock);
}

static int fail(struct applier *a, int error, u64 lsn, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int fail(struct applier *a, int error, u64 lsn, const char *fmt, ...)
{
	char reason[112];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	__atomic_store_n(&a->error, error, __ATOMIC_RELEASE);
	a->ops->fail(a->ctx, error, lsn, reason);
	wake(a);
	return error;
}

int applier_take_data(struct applier *a, const u8 *records, size_t len)
{
	size_t off;
	int ret = 0;

	for (off = 0; !ret && off < len;) {
		const struct nexus_rec_head *rec = (const void *)(records + off);

		off += le32_to_cpu(rec->len);
		ret = nexus_logdata_feed(&a->data, rec);
	}
	return ret;
}

u64 applier_log_from(const struct applier *a, u64 lsn)
{
	u64 low = nexus_logdata_low(&a->data);

	return low && low < lsn ? low : lsn;
}

/*
 * What the overlay holds becomes visible as a whole, and so does what its records,
 * [records, + len), say of content in the log.
 */
static void publish(struct applier *a, const u8 *records, size_t len)
{
	bool told = false;

	if (!a->overlay.count && a->pos == memtable_applied(a->mt))
		return;
	/* Once more from the first is the same as once. */
	while (applier_take_data(a, records, len)) {
		if (!told)
			log_error("out of memory while applying; waiting for some");
		told = true;
		usleep(10000);
	}
	/* A half of it is of no use to anyone: only memory can be short. */
	while (memtable_publish(a->mt, &a->overlay, a->pos)) {
		if (!told)
			log_error("out of memory while applying; waiting for some");
		told = true;
		usleep(10000);
	}
	nexus_omap_destroy(&a->overlay);
}

/* Why a record was not applied; told when no lock of readers is held any more. */
struct refusal {
	char reason[112];
};

static int refuse(struct refusal *why, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(struct refusal *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->reason, sizeof(why->reason), fmt, ap);
	va_end(ap);
	return -EUCLEAN;
}

static int apply_one(struct applier *a, struct memview *v,
		     const struct nexus_rec_head *rec, size_t avail, struct refusal *why)
{
	struct nexus_apply_error err = { 0 };
	u64 lsn = a->pos;
	int ret;

	if (nexus_rec_check(rec, avail) || le64_to_cpu(rec->lsn) != lsn)
		return refuse(why, "malformed record at LSN %llu", lsn);
	if (!poison_enter(&a->poison, lsn))
		return refuse(why, "%u helpers died while applying the record at LSN %llu",
			      POISON_DEATHS, lsn);
	ret = nexus_apply(&v->kv, rec, &err);
	poison_leave(&a->poison);
	if (ret == -EUCLEAN)
		return refuse(why, "%s of inode %llu at LSN %llu: %s",
			      nexus_rec_name(le16_to_cpu(rec->type)), err.ino, lsn,
			      err.what ? err.what : "a stored value is damaged");
	return ret;
}

int applier_apply(struct applier *a, const u8 *records, size_t len)
{
	u64 published = a->pos, failed;
	struct refusal why = { "" };
	struct memview v;
	u32 n = 0;
	size_t off = 0, done = 0;
	int ret;

	ret = memview_begin(&v, a->mt, &a->overlay);
	if (ret)
		return ret;
	while (off < len) {
		const struct nexus_rec_head *rec = (const void *)(records + off);

		ret = apply_one(a, &v, rec, len - off, &why);
		if (ret)
			break;
		off += le32_to_cpu(rec->len);
		a->pos += le32_to_cpu(rec->len);
		a->records++;
		if (++n % PUBLISH_EVERY)
			continue;
		memview_end(&v);
		publish(a, records + done, off - done);
		published = a->pos;
		done = off;
		ret = memview_begin(&v, a->mt, &a->overlay);
		if (ret)
			return ret;
	}
	memview_end(&v);
	if (ret) {
		/* Whatever half a record left goes, with what nobody has seen. */
		nexus_omap_destroy(&a->overlay);
		failed = a->pos;
		a->pos = published;
		return ret == -EUCLEAN ? fail(a, ret, failed, "%s", why.reason) : ret;
	}
	publish(a, records + done, off - done);
	return 0;
}

/* ---- where records come from -------------------------------------------- */

/*
 * Copies [pos, pos + n) out of the ring, wrapping.  The kernel may overwrite it
 * meanwhile; the window tells afterwards.
 */
static bool copy_ring(struct applier *a, u64 pos, size_t n)
{
	const u64 *ring = (const u64 *)a->ring;
	u64 words = a->ring_size / 8;
	u64 *to = (u64 *)a->buf;
	size_t i;

	/* Acquire: the copy comes before the look at the window. */
	for (i = 0; i < n / 8; i++)
		to[i] = __atomic_load_n(&ring[(pos / 8 + i) & (words - 1)],
					__ATOMIC_ACQUIRE);
	return __atomic_load_n(&a->ctl->window, __ATOMIC_RELAXED) <= pos;
}

/* Bytes of whole records at the beginning of [buf, + len). */
static size_t whole_records(const u8 *buf, size_t len)
{
	size_t off = 0;

	while (len - off >= sizeof(struct nexus_rec_head)) {
		const struct nexus_rec_head *rec = (const void *)(buf + off);
		u32 n = le32_to_cpu(rec->len);

		if (n < sizeof(*rec) || n > len - off || n % 8)
			break;
		off += n;
	}
	return off;
}

static int step_ring(struct applier *a, u64 tail)
{
	size_t n = tail - a->pos < CHUNK ? (size_t)(tail - a->pos) : CHUNK;
	size_t whole;

	if (!copy_ring(a, a->pos, n))
		return -EOVERFLOW;
	whole = whole_records(a->buf, n);
	if (!whole)
		return fail(a, -EUCLEAN, a->pos, "malformed record at LSN %llu"
			    " of the ring", a->pos);
	return applier_apply(a, a->buf, whole);
}

/*
 * Catches up out of the segments, up to what is durable.  The ring's window is
 * never above that, so the ring is met again.
 */
static int step_segments(struct applier *a)
{
	u64 durable = __atomic_load_n(&a->ctl->durable, __ATOMIC_ACQUIRE);
	u64 from = a->pos;
	struct seg_cursor c;
	struct seg_batch b;
	size_t off, len;
	int ret;

	a->overruns++;
	if (!a->log)
		return fail(a, -EIO, a->pos, "records at LSN %llu left the ring", a->pos);
	ret = seglog_scan(a->log);
	if (ret)
		return ret;
	ret = seg_cursor_seek(&c, a->log, a->incarnation, a->pos);
	while (!ret && a->pos < durable) {
		ret = seg_cursor_next(&c, &b);
		if (ret != 1)
			break;
		ret = 0;
		if (b.end <= a->pos)
			continue;
		off = (size_t)(a->pos - b.lsn);
		len = b.length - off;
		if (b.end > durable)
			break;
		ret = applier_apply(a, b.records + off, len);
		if (!ret && memtable_bytes(a->mt) > a->limit)
			return 0;
	}
	if (ret < 0 && ret != -ENOENT)
		return ret;
	if (a->pos == from)
		return fail(a, -EUCLEAN, a->pos,
			    "log is damaged at LSN %llu, but was durable up to %llu",
			    a->pos, durable);
	return 0;
}

int applier_look_back(struct applier *a, u64 from)
{
	struct seg_cursor c;
	struct seg_batch b;
	size_t off, len;
	u64 at = from;
	int ret;

	if (from >= a->pos)
		return 0;
	ret = seg_cursor_seek(&c, a->log, a->incarnation, from);
	while (!ret && at < a->pos) {
		ret = seg_cursor_next(&c, &b);
		if (ret != 1)
			return ret ? ret : -ENOENT;
		ret = 0;
		if (b.end <= at)
			continue;
		off = (size_t)(at - b.lsn);
		len = (size_t)(NEXUS_MIN(b.end, a->pos) - at);
		ret = applier_take_data(a, b.records + off, len);
		at = b.end;
	}
	return ret;
}

static int step(struct applier *a, u64 tail)
{
	int ret;

	if (memtable_bytes(a->mt) > a->limit) {
		a->ops->full(a->ctx);
		return -ENOBUFS;
	}
	if (__atomic_load_n(&a->ctl->window, __ATOMIC_ACQUIRE) > a->pos)
		return step_segments(a);
	ret = step_ring(a, tail);
	return ret == -EOVERFLOW ? step_segments(a) : ret;
}

int applier_run(struct applier *a, u64 upto)
{
	u64 before, tail;
	int ret = 0;

	pthread_mutex_lock(&a->lock);
	before = a->pos;
	while (!ret) {
		if (a->error) {
			ret = a->error;
			break;
		}
		if (!a->ctl || (upto && a->pos >= upto))
			break;
		tail = __atomic_load_n(&a->ctl->tail, __ATOMIC_ACQUIRE);
		if (a->pos >= tail)
			break;
		ret = step(a, tail);
	}
	if (a->pos != before) {
		a->ops->progress(a->ctx, a->pos);
		wake(a);
	}
	pthread_mutex_unlock(&a->lock);
	return ret;
}

/* ---- waiting ------------------------------------------------------------- */

int applier_wait(struct applier *a, u64 lsn, unsigned int timeout_ms)
{
	struct timespec until;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&a->wait_lock);
	while (memtable_applied(a->mt) < lsn) {
		ret = __atomic_load_n(&a->error, __ATOMIC_ACQUIRE);
		if (!ret && a->stopped)
			ret = -ESHUTDOWN;
		if (ret)
			break;
		ret = -pthread_cond_timedwait(&a->wait_cond, &a->wait_lock, &until);
		if (ret && memtable_applied(a->mt) >= lsn)
			ret = 0;
		if (ret)
			break;
	}
	pthread_mutex_unlock(&a->wait_lock);
	return ret;
}

void applier_stop(struct applier *a)
{
	pthread_mutex_lock(&a->wait_lock);
	a->stopped = true;
	pthread_cond_broadcast(&a->wait_cond);
	pthread_mutex_unlock(&a->wait_lock);
}
