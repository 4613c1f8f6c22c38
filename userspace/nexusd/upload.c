// SPDX-License-Identifier: Apache-2.0
/*
 * The threads that put packs and delete copies.  Each does what comes next; now and
 * then one of them looks for what is sealed by now.
 *
 * A pack that fails is tried again after a while, with others meanwhile.  When others fail,
 * too, it is what holds the copies: nothing is put there for a while, and then one pack,
 * until that works.  The same goes for deletes, apart from it.
 */
#include "upload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "origin.h"
#include "presence.h"
#include "space.h"
#include "stats.h"

#define OWNER_NS	200000000ull	/* between two looks at who owns the zone */
#define PAUSE_NS	1000000000ull	/* after the first failure; then twice as long */
#define PAUSE_MAX_NS	30000000000ull
#define LOCAL_PAUSE_NS	60000000000ull	/* before a pack is read again that cannot be */

/* ---- one pack ------------------------------------------------------------------- */

static int mark(struct upload *u, u64 pack, enum upload_mark what)
{
	int ret;

	pthread_mutex_lock(&u->mark_lock);
	ret = uploadmarks_set(&u->marks, pack, what);
	pthread_mutex_unlock(&u->mark_lock);
	return ret;
}

/* *local: what is wrong is here. */
static int put_pack(struct upload *u, u64 pack, u64 *bytes, bool *local)
{
	struct content *c = u->z->fetch->content;
	struct pack_image img;
	bool put;
	int ret;

	*local = true;
	ret = pack_image_open(u->z->os, pack, u->z->sb.uuid, false, &img);
	/* Gone since it was found: its copy goes, too. */
	if (ret == -ENOENT)
		return 0;
	if (ret)
		return ret;
	*bytes = pack_image_bytes(&img);
	ret = mark(u, pack, MARK_BEGUN);
	if (ret)
		goto out;
	/* A file with holes is not to become the only copy. */
	ret = content_put_pack(c, &img, &put);
	*local = !ret || content_put_local(ret);
	if (ret)
		goto out;
	if (put) {
		stats_inc(uploads);
		stats_add(uploaded_bytes, *bytes);
	}
	ret = mark(u, pack, put ? MARK_PUT : MARK_HELD);
out:
	pack_image_close(&img);
	return ret;
}

/* As put_pack(). */
static int delete_copy(struct upload *u, u64 pack, bool *local)
{
	struct content *c = u->z->fetch->content;
	int ret = c->ops->del(c, pack);

	*local = !ret;
	if (!ret)
		stats_inc(upload_deletes);
	return ret ? ret : mark(u, pack, MARK_GONE);
}

/* ---- how it went ------------------------------------------------------------------ */

static u64 pause_after(unsigned int failures)
{
	u64 ns = PAUSE_NS;

	while (--failures && ns < PAUSE_MAX_NS)
		ns *= 2;
	return NEXUS_MIN(ns, PAUSE_MAX_NS);
}

/* lock held.  What is wrong with it, and how many @others there are. */
static void describe(const struct upload *u, const struct upload_item *item, u64 others,
		     char *buf, size_t size)
{
	int n = snprintf(buf, size, "pack %llu cannot be %s %s: %s", item->pack,
			 item->del ? "deleted from" : "given to",
			 u->z->fetch->content->ops->name, content_put_why(item->error));

	if (others && n > 0 && (size_t)n < size)
		snprintf(buf + n, size - (size_t)n, "; and %llu other%s", others,
			 others > 1 ? "s" : "");
}

/* lock held. */
static void note_failure(struct upload *u, struct upload_item *item, int ret, bool local)
{
	struct upload_side *s = &u->side[item->del];
	u64 now = space_clock();
	char text[256];

	stats_inc(upload_errors);
	item->failures++;
	item->error = ret;
	item->error_at = time(NULL);
	item->local = local;
	/* Whoever waits for it has given up. */
	item->first = false;
	if (local) {
		item->not_before = now + LOCAL_PAUSE_NS;
	} else {
		/* Once more the same one tells nothing about others. */
		s->failures += !item->counted;
		item->counted = true;
		item->not_before = now + pause_after(item->failures);
		if (upload_fails(s))
			s->not_before = now + pause_after(s->failures - 1);
		if (!item->del && (ret == -EDQUOT || ret == -ENOSPC))
			u->full = true;
	}
	describe(u, item, 0, text, sizeof(text));
	if (local || (item->failures == 1 && !upload_fails(s)))
		log_error("zone %s: %s; it is tried again", u->z->name, text);
}

/* lock held. */
static void note_success(struct upload *u, const struct upload_item *item, u64 bytes)
{
	struct upload_side *s = &u->side[item->del];
	size_t i;

	/* It was gone, and the store was not asked. */
	if (!item->del && !bytes)
		return;
	if (upload_fails(s) || (item->failures && !item->local))
		log_info("zone %s: %s %s again", u->z->name, item->del ?
			 "copies can be deleted from" : "content can be given to",
			 u->z->fetch->content->ops->name);
	for (i = 0; s->failures && i < u->nitems; i++)
		if (u->items[i].del == item->del)
			u->items[i].counted = false;
	s->failures = 0;
	s->not_before = 0;
	if (item->del)
		return;
	u->full = false;
	u->put_packs++;
	u->put_bytes += bytes;
}

/* lock held. */
static void end_item(struct upload *u, u64 pack, int ret, u64 bytes, bool local)
{
	struct upload_item *item = upload_find(u, pack);

	item->busy = false;
	u->side[item->del].busy--;
	if (!ret)
		note_success(u, item, bytes);
	else if (ret != -ESHUTDOWN && !item->then_del)
		note_failure(u, item, ret, local);
	if (item->then_del)
		*item = (struct upload_item){ .pack = pack, .del = true, .since = item->since };
	else if (!ret)
		upload_remove(u, pack);
	pthread_cond_broadcast(&u->cond);
}

/* ---- the threads -------------------------------------------------------------------- */

/* lock held, and given up meanwhile. */
static void do_item(struct upload *u, const struct upload_item *item)
{
	bool del = item->del, local = false;
	u64 pack = item->pack, bytes = 0;
	int ret;

	pthread_mutex_unlock(&u->lock);
	ret = del ? delete_copy(u, pack, &local) : put_pack(u, pack, &bytes, &local);
	pthread_mutex_lock(&u->lock);
	end_item(u, pack, ret, bytes, local);
}

static u64 scan_period(const struct upload *u)
{
	return (u64)u->z->cfg->upload_delay * 1000000000ull / 2;
}

/* lock held, and given up meanwhile. */
static void do_scan(struct upload *u)
{
	int ret;

	u->scanning = true;
	u->scan_now = false;
	pthread_mutex_unlock(&u->lock);
	ret = upload_scan(u);
	if (ret)
		log_warn("zone %s: what is to be given away is looked for again: %s",
			 u->z->name, strerror(-ret));
	pthread_mutex_lock(&u->lock);
	u->scanning = false;
	u->scans += !ret;
	u->scan_at = space_clock() + scan_period(u);
	pthread_cond_broadcast(&u->cond);
}

void upload_wait(struct upload *u, u64 ns)
{
	const struct timespec until = {
		.tv_sec = (time_t)(ns / 1000000000ull), .tv_nsec = (long)(ns % 1000000000ull),
	};

	pthread_cond_timedwait(&u->cond, &u->lock, &until);
}

static void *upload_main(void *arg)
{
	struct upload *u = arg;
	struct zone *z = u->z;

	pthread_setname_np(pthread_self(), "nexusd-upload");
	pthread_mutex_lock(&u->lock);
	while (!atomic_load(&z->fetch->stop)) {
		u64 now = space_clock(), until = now + scan_period(u);
		struct upload_item *item;

		if (!u->scanning && (u->scan_now || u->scan_at <= now)) {
			do_scan(u);
			continue;
		}
		if (!u->scanning)
			until = NEXUS_MIN(until, u->scan_at);
		/* Until it is known, or for good: what is there may be another's. */
		if (!origin_owns(z)) {
			upload_wait(u, NEXUS_MIN(until, now + OWNER_NS));
			continue;
		}
		item = upload_next(u, zone_durable(z), now, &until);
		if (item)
			do_item(u, item);
		else
			upload_wait(u, until);
	}
	pthread_mutex_unlock(&u->lock);
	return NULL;
}

/* ---- for others ------------------------------------------------------------------------ */

/* lock held.  The last error of what is left; of puts, if there is one. */
static void fill_error(const struct upload *u, struct upload_status *st)
{
	const struct upload_item *last = NULL;
	u64 n = 0;
	size_t i;

	for (i = 0; i < u->nitems; i++) {
		const struct upload_item *item = &u->items[i];

		if (!item->error)
			continue;
		n++;
		if (!last || (last->del && !item->del) ||
		    (last->del == item->del && last->error_at < item->error_at))
			last = item;
	}
	if (last) {
		describe(u, last, n - 1, st->error, sizeof(st->error));
		st->error_at = (u64)last->error_at;
		st->failing = !last->del;
	} else if (!origin_owns(u->z)) {
		snprintf(st->error, sizeof(st->error), "it is not known whether this machine owns the zone; the helper's log says why");
		st->error_at = (u64)time(NULL);
		st->failing = true;
	}
}

/* lock held. */
static void fill_status(const struct upload *u, struct upload_status *st)
{
	u64 now = space_clock(), oldest = now;
	size_t i;

	memset(st, 0, sizeof(*st));
	for (i = 0; i < u->nitems; i++) {
		const struct upload_item *item = &u->items[i];

		st->deletes += item->del;
		if (item->del)
			continue;
		st->packs++;
		st->bytes += item->bytes;
		oldest = NEXUS_MIN(oldest, item->since);
	}
	st->oldest = (now - oldest) / 1000000000ull;
	st->put_packs = u->put_packs;
	st->put_bytes = u->put_bytes;
	st->busy = u->side[0].busy + u->side[1].busy;
	fill_error(u, st);
}

static void ask_driver(struct zone *z, struct upload_status *st)
{
	struct content *c = z->fetch->content;

	if (c->ops->state)
		c->ops->state(c, &st->driver);
}

int zone_upload_status(struct zone *z, struct upload_status *st)
{
	struct upload *u = z->upload;

	if (!u)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&u->lock);
	fill_status(u, st);
	pthread_mutex_unlock(&u->lock);
	ask_driver(z, st);
	return 0;
}

int zone_upload_flush(struct zone *z, unsigned int wait_ms, struct upload_status *st)
{
	u64 until = space_clock() + (u64)wait_ms * 1000000ull;
	struct upload *u = z->upload;
	u64 scans;
	int ret;

	if (!u)
		return -EOPNOTSUPP;
	if (origin_fenced(z))
		return -EROFS;
	pthread_mutex_lock(&u->lock);
	/* One that is under way may have begun too early. */
	scans = u->scans + u->scanning + 1;
	u->scan_now = true;
	pthread_cond_broadcast(&u->cond);
	while ((u->scans < scans || u->nitems) && !atomic_load(&z->fetch->stop) &&
	       space_clock() < until)
		upload_wait(u, until);
	fill_status(u, st);
	/* Not looked for yet is not nothing. */
	if (u->scans < scans && !st->packs)
		st->packs = 1;
	ret = atomic_load(&z->fetch->stop) ? -ESHUTDOWN : 0;
	pthread_mutex_unlock(&u->lock);
	ask_driver(z, st);
	return ret;
}

void zone_upload_forget(struct zone *z, u64 pack)
{
	struct upload *u = z->upload;
	struct upload_item *item;

	pthread_mutex_lock(&u->lock);
	item = upload_add(u, pack);
	if (item && item->busy && !item->del)
		item->then_del = true;
	else if (item && !item->busy)
		*item = (struct upload_item){ .pack = pack, .del = true, .since = space_clock() };
	pthread_cond_signal(&u->cond);
	pthread_mutex_unlock(&u->lock);
	if (!item)
		log_warn("zone %s: pack %llu is gone, and its copy goes after the next mount",
			 z->name, pack);
}

bool zone_upload_busy(struct zone *z, u64 pack)
{
	struct upload *u = z->upload;
	bool busy;

	pthread_mutex_lock(&u->lock);
	busy = u->held == pack || upload_find(u, pack);
	pthread_mutex_unlock(&u->lock);
	return busy;
}

bool zone_upload_held(struct zone *z, u64 pack)
{
	enum upload_mark mark = zone_upload_mark(z, pack);

	return mark == MARK_HELD || mark == MARK_PUT;
}

bool zone_upload_unsure(struct zone *z, u64 pack)
{
	struct upload *u = z->upload;

	return u && !atomic_load(&u->looked_back) && zone_upload_mark(z, pack) != MARK_NONE;
}

void zone_upload_gone(struct zone *z, u64 pack)
{
	struct upload *u = z->upload;

	pthread_mutex_lock(&u->mark_lock);
	if (uploadmarks_get(&u->marks, pack) != MARK_NONE &&
	    uploadmarks_set(&u->marks, pack, MARK_GONE))
		log_warn("zone %s: pack %llu is deleted once more after the next mount", z->name, pack);
	pthread_mutex_unlock(&u->mark_lock);
}

bool zone_upload_away(struct zone *z, u64 pack)
{
	struct pack_image img;
	int ret = pack_image_open(z->os, pack, z->sb.uuid, false, &img);
	bool away;

	/* Nobody can tell. */
	if (ret)
		return ret == -EUCLEAN;
	away = pack_image_away(&img);
	pack_image_close(&img);
	return away;
}

int zone_upload_hold(struct zone *z, u64 pack)
{
	struct upload *u = z->upload;
	struct upload_item *item;
	int ret = 0;

	if (!u)
		return 0;
	pthread_mutex_lock(&u->lock);
	u->held = pack;
	while ((item = upload_find(u, pack)) && item->busy && !atomic_load(&z->fetch->stop))
		pthread_cond_wait(&u->cond, &u->lock);
	if (item && item->busy)
		ret = -ESHUTDOWN;
	if (ret)
		u->held = 0;
	pthread_mutex_unlock(&u->lock);
	if (ret)
		return ret;
	pthread_mutex_lock(&u->mark_lock);
	if (uploadmarks_get(&u->marks, pack) == MARK_NONE)
		ret = uploadmarks_set(&u->marks, pack, MARK_BEGUN);
	pthread_mutex_unlock(&u->mark_lock);
	if (ret)
		zone_upload_release(z, pack, false);
	return ret;
}

void zone_upload_release(struct zone *z, u64 pack, bool held)
{
	struct upload *u = z->upload;
	struct upload_item *item;

	if (!u)
		return;
	if (held && !mark(u, pack, MARK_PUT)) {
		pthread_mutex_lock(&u->lock);
		item = upload_find(u, pack);
		if (item && !item->del)
			upload_remove(u, pack);
		pthread_mutex_unlock(&u->lock);
	}
	pthread_mutex_lock(&u->lock);
	u->held = 0;
	pthread_cond_broadcast(&u->cond);
	pthread_mutex_unlock(&u->lock);
}

enum upload_mark zone_upload_mark(struct zone *z, u64 pack)
{
	struct upload *u = z->upload;
	enum upload_mark mark;

	if (!u)
		return MARK_NONE;
	pthread_mutex_lock(&u->mark_lock);
	mark = uploadmarks_get(&u->marks, pack);
	pthread_mutex_unlock(&u->mark_lock);
	return mark;
}

void zone_upload_again(struct zone *z, u64 pack)
{
	struct upload *u = z->upload;
	struct upload_item *item;

	if (mark(u, pack, MARK_BEGUN))
		return;
	pthread_mutex_lock(&u->lock);
	item = upload_find(u, pack);
	if (!item) {
		item = upload_add(u, pack);
		if (item) {
			item->since = space_clock();
			item->bytes = z->sb.pack_size;
		}
	}
	pthread_cond_signal(&u->cond);
	pthread_mutex_unlock(&u->lock);
}

/* ---- life ------------------------------------------------------------------------------- */

void zone_upload_free(struct zone *z)
{
	struct upload *u = z->upload;

	if (!u)
		return;
	uploadmarks_close(&u->marks);
	pthread_mutex_destroy(&u->mark_lock);
	pthread_mutex_destroy(&u->lock);
	pthread_cond_destroy(&u->cond);
	free(u->items);
	free(u);
	z->upload = NULL;
}

static int start(struct upload *u)
{
	struct zone *z = u->z;
	unsigned int n = NEXUS_MIN(z->cfg->upload_parallel, UPLOAD_THREADS_MAX);
	int ret = uploadmarks_open(&u->marks, z->dir);

	while (!ret && u->nthreads < n) {
		ret = -pthread_create(&u->threads[u->nthreads], NULL, upload_main, u);
		u->nthreads += !ret;
	}
	return u->nthreads ? 0 : ret;
}

void zone_upload_start(struct zone *z)
{
	struct upload *u;
	int ret;

	if (!z->fetch->content)
		return;
	u = calloc(1, sizeof(*u));
	if (!u) {
		log_error("zone %s: no memory to give its content away", z->name);
		return;
	}
	u->z = z;
	zone_cond_init(&u->cond);
	pthread_mutex_init(&u->lock, NULL);
	pthread_mutex_init(&u->mark_lock, NULL);
	z->upload = u;
	ret = start(u);
	if (!ret)
		return;
	log_error("zone %s: its content cannot be given away: %s", z->name, strerror(-ret));
	zone_upload_free(z);
}

void zone_upload_stop(struct zone *z)
{
	struct upload *u = z->upload;

	if (!u)
		return;
	pthread_mutex_lock(&u->lock);
	pthread_cond_broadcast(&u->cond);
	pthread_mutex_unlock(&u->lock);
	while (u->nthreads)
		pthread_join(u->threads[--u->nthreads], NULL);
}
