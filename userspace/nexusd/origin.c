// SPDX-License-Identifier: Apache-2.0
#include "origin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fetch.h"

static u64 now_s(void)
{
	return (u64)time(NULL);
}

static u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / 1000000;
}

/* For the next mount, which the store may not answer. */
static void keep_owner(struct origin *o, bool taken)
{
	int ret = owner_keep(o->z->dir, taken);

	if (ret)
		log_warn("zone %s: %s/" OWNER_FILE ": %s; whether this machine owns the zone is not known at the next mount",
			 o->z->name, o->z->dir, strerror(-ret));
}

void origin_fence(struct origin *o, const char *why)
{
	char reason[112];

	if (atomic_exchange(&o->fenced, true))
		return;
	keep_owner(o, false);
	snprintf(reason, sizeof(reason), "taken over: %s", why);
	zone_fail(o->z, -EROFS, 0, reason);
}

bool origin_fenced(struct zone *z)
{
	return z->origin && atomic_load(&z->origin->fenced);
}

bool origin_owns(struct zone *z)
{
	struct origin *o = z->origin;

	return !o || (atomic_load(&o->owned) && !atomic_load(&o->fenced));
}

/* ---- opening --------------------------------------------------------------------- */

static void set_number(struct origin *o, u64 number)
{
	struct origin_dead *d;

	pthread_mutex_lock(&o->dead_lock);
	o->number = number;
	o->numbered = true;
	/* What died before that was known may be in any of them. */
	for (d = o->dead; d; d = d->next)
		d->number = NEXUS_MAX(d->number, number);
	pthread_mutex_unlock(&o->dead_lock);
}

static int read_manifest(struct origin *o, struct errline *err)
{
	u8 buf[ORIGIN_MANIFEST_BYTES + 1];
	char why[320];
	ssize_t n = o->content->ops->get_named(o->content, ORIGIN_MANIFEST, 0, buf, sizeof(buf),
					       o->manifest_etag);
	int ret = n < 0 ? (int)n : origin_manifest_parse(buf, (size_t)n, &o->manifest);

	if (n < 0)
		o->manifest_etag[0] = '\0';
	if (n == -ENOENT) {
		set_number(o, 0);
		return 0;
	}
	if (!ret && memcmp(o->manifest.zone, o->owner.zone, sizeof(o->owner.zone)))
		ret = -EXDEV;
	if (ret)
		o->manifest.count = 0;
	if (ret == -EUCLEAN) {
		log_error("zone %s: object " ORIGIN_MANIFEST " is damaged; the next checkpoint makes another",
			  o->z->name);
		/* Above all numbers that were ever counted. */
		set_number(o, now_s());
		return 0;
	}
	if (ret)
		return err_set(err, ret, "object " ORIGIN_MANIFEST ": %s", ret == -EXDEV ?
			       "the content store is another zone's" :
			       n < 0 ? content_why(o->content, ret, why, sizeof(why)) : strerror(-ret));
	set_number(o, o->manifest.number);
	atomic_store(&o->manifested, true);
	return 0;
}

/* The index has all of the manifest. */
static int saw_manifest(struct origin *o, struct errline *err)
{
	int ret;

	if (!o->manifest.count)
		return 0;
	ret = owner_saw(o->z->dir, &o->owner, o->manifest.epoch, o->manifest.number);
	return ret ? err_set(err, ret, "%s/" OWNER_FILE ": %s", o->z->dir, strerror(-ret)) : 0;
}

static int take(struct origin *o, struct errline *err)
{
	int ret = read_manifest(o, err);
	u64 epoch, number;
	char why[320];

	if (!ret && !o->owner.unfenced) {
		ret = owner_probe(&o->owner);
		if (ret == -EOPNOTSUPP)
			return err_set(err, ret, "%s has no conditional writes: two machines could write to one zone; the setting content_unfenced allows it",
				       o->content->ops->name);
		if (ret)
			return err_set(err, ret, "%s cannot be written to: %s",
				       o->content->ops->name,
				       content_why(o->content, ret, why, sizeof(why)));
	}
	epoch = o->manifest.count ? o->manifest.epoch : 0;
	number = o->manifest.count ? o->manifest.number : 0;
	if (!ret)
		ret = owner_take(&o->owner, epoch, number, false, now_s(), err);
	if (!ret)
		ret = saw_manifest(o, err);
	o->owned = !ret;
	if (ret)
		return ret;
	atomic_store(&o->epoch, o->owner.epoch);
	keep_owner(o, true);
	return 0;
}

/* Nobody else, and nothing that time would not mend. */
static bool may_wait(int ret)
{
	return ret != -EBUSY && ret != -ESTALE && ret != -EXDEV && ret != -EUCLEAN && ret != -EOPNOTSUPP &&
	       ret != -EPROTONOSUPPORT;
}

unsigned int origin_mount_ms = 3000;

/* A take() that the mount did not wait for. */
struct origin_first {
	struct origin *o;
	pthread_t thread;
	struct errline err;
	int ret;
	bool over;		/* o->lock */
};

static void *take_main(void *arg)
{
	struct origin_first *f = arg;
	int ret = take(f->o, &f->err);

	pthread_mutex_lock(&f->o->lock);
	f->ret = ret;
	f->over = true;
	pthread_cond_broadcast(&f->o->done);
	pthread_mutex_unlock(&f->o->lock);
	return NULL;
}

/* False: it takes longer. */
static bool wait_first(struct origin_first *f, unsigned int ms)
{
	struct origin *o = f->o;
	struct timespec until;
	u64 at = now_ms() + ms;
	bool over;

	until.tv_sec = (time_t)(at / 1000);
	until.tv_nsec = (long)(at % 1000) * 1000000;
	pthread_mutex_lock(&o->lock);
	while (!f->over && pthread_cond_timedwait(&o->done, &o->lock, &until) != ETIMEDOUT)
		;
	over = f->over;
	pthread_mutex_unlock(&o->lock);
	return over;
}

/* Waits for its end; what it returned. */
static int end_first(struct origin *o, struct errline *err)
{
	struct origin_first *f = o->first;
	int ret;

	pthread_join(f->thread, NULL);
	*err = f->err;
	ret = f->ret;
	free(f);
	o->first = NULL;
	return ret;
}

/*
 * The zone was ours when we last saw it, so nobody is to wait for a store that does not
 * answer.  It is not broken off, for a write that was sent may come to be at any time: the
 * first origin_step() waits for it.  As take().
 */
static int take_known(struct origin *o, struct errline *err)
{
	struct origin_first *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->o = o;
	if (pthread_create(&f->thread, NULL, take_main, f)) {
		free(f);
		return take(o, err);
	}
	o->first = f;
	if (wait_first(f, origin_mount_ms))
		return end_first(o, err);
	return err_set(err, -ETIMEDOUT, "%s does not answer", o->content->ops->name);
}

static struct origin *origin_new(struct zone *z)
{
	struct origin *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->z = z;
	o->part_bytes = ORIGIN_PART;
	o->share = ORIGIN_SHARE;
	o->owner.unfenced = z->cfg->content_unfenced;
	memcpy(o->owner.zone, z->sb.uuid, sizeof(o->owner.zone));
	pthread_mutex_init(&o->dead_lock, NULL);
	pthread_mutex_init(&o->lock, NULL);
	zone_cond_init(&o->cond);
	zone_cond_init(&o->done);
	zone_cond_init(&o->tidy_cond);
	return o;
}

int origin_open(struct zone *z, bool alive, struct errline *err)
{
	int ret, unusable;
	struct origin *o;
	bool known;

	if (z->rdonly)
		return 0;
	o = origin_new(z);
	if (!o)
		return -ENOMEM;
	z->origin = o;
	unusable = store_open_content(z->cfg, z->dir, z->sb.uuid, &o->stop, &o->content, err);
	if (!unusable && (!o->content || !o->content->ops->put_named)) {
		origin_free(z);
		return 0;
	}
	o->owner.c = o->content;
	ret = owner_token(z->dir, &o->owner, &known);
	if (ret)
		return err_set(err, ret, "%s/" OWNER_FILE ": %s", z->dir, strerror(-ret));
	/* The directory may be a copy, and another machine write to the zone. */
	if (unusable && !known && !alive)
		return unusable;
	/* It stays, owned by nobody we know: so that nothing is put or deleted there. */
	if (unusable) {
		log_error("zone %s: %s; nothing of it is kept there", z->name, err->msg);
		err->msg[0] = '\0';
		return 0;
	}
	/* The zone is in use: nobody is to wait for the store, and the thread asks. */
	if (alive)
		return 0;
	ret = known ? take_known(o, err) : take(o, err);
	if (ret && may_wait(ret) && known) {
		/* It was ours when we last saw it. */
		log_error("zone %s: %s; trying again", z->name, err->msg);
		err->msg[0] = '\0';
		return 0;
	}
	if (ret && !may_wait(ret))
		keep_owner(o, false);
	return ret;
}

/* ---- what is due ------------------------------------------------------------------ */

/* The first error of a row is said. */
static void note(struct origin *o, int ret, const struct errline *err)
{
	if (ret && ret != -ESHUTDOWN && !o->failed)
		log_error("zone %s: %s; trying again", o->z->name, err->msg);
	else if (!ret && o->failed)
		log_info("zone %s: %s works again", o->z->name, o->content->ops->name);
	if (ret != -ESHUTDOWN)
		o->failed = ret != 0;
}

static int renew(struct origin *o, struct errline *err)
{
	int ret;

	if (o->first)
		ret = end_first(o, err);
	else
		ret = o->owned ? owner_renew(&o->owner, now_s(), err) : take(o, err);
	if (ret == -ESTALE || (ret && !o->owned && !may_wait(ret)))
		origin_fence(o, err->msg);
	return ret;
}

u64 origin_awaited(struct origin *o)
{
	u64 lsn;

	pthread_mutex_lock(&o->lock);
	lsn = o->waiting && o->wanted > o->reached ? o->wanted : 0;
	pthread_mutex_unlock(&o->lock);
	return lsn;
}

static bool log_due(const struct origin *o, u64 now, u64 lsn)
{
	if (!o->end || zone_durable(o->z) <= o->end)
		return false;
	return now >= o->log_at || (lsn > o->end && !o->failed);
}

static u64 retry_ms(u64 lsn, u64 usual)
{
	return lsn ? ORIGIN_RETRY_WANTED_MS : usual;
}

static int step_checkpoint(struct origin *o, u64 now, u64 lsn, struct errline *err)
{
	int ret = origin_checkpoint(o, err);

	o->checkpoint_at = now + (ret ? retry_ms(lsn, ORIGIN_RETRY_MS) :
				  (u64)o->z->cfg->checkpoint_interval * 1000);
	return ret;
}

static int step_log(struct origin *o, u64 now, u64 lsn, struct errline *err)
{
	u64 begun = now_ms(), took;
	int ret = origin_log(o, err);

	/*
	 * Half of the time at most goes into stretches that nobody waits for: where the store
	 * is slow, what would be in them is in sealed packs meanwhile, which go once.
	 */
	took = now_ms() - begun;
	o->log_at = now + (ret ? retry_ms(lsn, ORIGIN_RETRY_MS) :
			   NEXUS_MAX((u64)o->z->cfg->log_upload_delay * 1000, 2 * took));
	if (ret != -ESTALE)
		return ret;
	/* What is not there any more is in the index. */
	o->end = 0;
	o->checkpoint_at = now;
	err->msg[0] = '\0';
	return 0;
}

u64 origin_step(struct origin *o, u64 now)
{
	const struct config *cfg = o->z->cfg;
	u64 lsn = origin_awaited(o);
	struct errline err = { "" };
	int ret = 0;

	if (atomic_load(&o->fenced))
		return UINT64_MAX;
	if (now >= o->renew_at || o->first) {
		ret = renew(o, &err);
		o->renew_at = now + (ret ? retry_ms(lsn, ORIGIN_RENEW_MS) : ORIGIN_RENEW_MS);
		note(o, ret, &err);
	}
	if (ret || !o->owned || !cfg->checkpoint_interval)
		return o->renew_at;
	if (log_due(o, now, lsn))
		ret = step_log(o, now, lsn, &err);
	/* Without one there is nothing that the log could be behind. */
	if (!ret && (now >= o->checkpoint_at || (lsn && !o->end && !o->failed)))
		ret = step_checkpoint(o, now, lsn, &err);
	note(o, ret, &err);
	now = NEXUS_MIN(o->renew_at, o->checkpoint_at);
	return o->end ? NEXUS_MIN(now, o->log_at) : now;
}

/* ---- the thread ------------------------------------------------------------------- */

#define LOOK_MS		1000u	/* at whether there is more log */

static void *origin_main(void *arg)
{
	struct origin *o = arg;

	pthread_setname_np(pthread_self(), "nexusd-origin");
	pthread_mutex_lock(&o->lock);
	while (!o->quit) {
		struct timespec until;
		u64 now = now_ms(), next;

		pthread_mutex_unlock(&o->lock);
		next = origin_step(o, now);
		pthread_mutex_lock(&o->lock);
		o->reached = NEXUS_MAX(o->reached, o->end);
		pthread_cond_broadcast(&o->done);
		/* They came while it was busy. */
		if (o->waiting && o->wanted > o->reached && o->owned && !o->failed &&
		    !atomic_load(&o->fenced) && zone_durable(o->z) > o->reached)
			continue;
		next = NEXUS_MAX(next, now + LOOK_MS);
		until.tv_sec = (time_t)NEXUS_MIN(next / 1000, (u64)INT64_MAX / 1000000);
		until.tv_nsec = (long)(next % 1000) * 1000000;
		if (!o->quit)
			pthread_cond_timedwait(&o->cond, &o->lock, &until);
	}
	pthread_mutex_unlock(&o->lock);
	return NULL;
}

int origin_start(struct zone *z)
{
	struct origin *o = z->origin;
	int ret;

	if (!o || !o->content || atomic_load(&o->fenced))
		return 0;
	o->renew_at = now_ms() + (o->owned ? ORIGIN_RENEW_MS : 0);
	ret = origin_tidy_start(o);
	if (!ret)
		ret = -pthread_create(&o->thread, NULL, origin_main, o);
	o->running = !ret;
	return ret;
}

void origin_stop(struct zone *z)
{
	struct origin *o = z->origin;
	struct errline err;

	if (!o)
		return;
	atomic_store(&o->stop, true);
	pthread_mutex_lock(&o->lock);
	o->quit = true;
	pthread_cond_signal(&o->cond);
	pthread_cond_broadcast(&o->done);
	pthread_cond_signal(&o->tidy_cond);
	pthread_mutex_unlock(&o->lock);
	if (o->running)
		pthread_join(o->thread, NULL);
	o->running = false;
	origin_tidy_stop(o);
	if (o->first)
		end_first(o, &err);
}

int origin_can_sync(struct zone *z, struct errline *err)
{
	if (!z->origin || !z->origin->content)
		return err_set(err, -EOPNOTSUPP, "durability=origin: the zone has no content store that could keep it");
	if (!z->cfg->checkpoint_interval)
		return err_set(err, -EOPNOTSUPP, "durability=origin: checkpoint_interval is 0, so nothing of the log is kept there");
	return 0;
}

/* Bytes that the store has taken of the log and of packs; or more. */
static u64 taken(struct zone *z)
{
	struct content *c[2] = { z->origin->content, z->fetch ? z->fetch->content : NULL };
	u64 bytes = 0;
	size_t i;

	for (i = 0; i < 2; i++) {
		struct content_state st = { .taken = 0 };

		if (c[i] && c[i]->ops->state)
			c[i]->ops->state(c[i], &st);
		bytes += st.taken;
	}
	return bytes;
}

/* More than owner_renew() writes in any origin_timeout: that is no content. */
#define GOES_ON_BYTES	16384u

struct patience {
	u64 taken;	/* when it was last seen to go on */
	u64 until;	/* ms */
};

/* Whoever waits does so while the store takes content. */
static bool has_patience(struct zone *z, struct patience *p, u64 now)
{
	u64 bytes = taken(z);

	if (bytes - p->taken >= GOES_ON_BYTES) {
		p->until = now + (u64)z->cfg->origin_timeout * 1000;
		p->taken = bytes;
	}
	return now < p->until;
}

/* lock held, and given up meanwhile. */
static void wait_for(struct origin *o, u64 lsn, u64 ms)
{
	struct timespec until = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };

	o->wanted = NEXUS_MAX(o->wanted, lsn);
	o->waiting++;
	pthread_cond_signal(&o->cond);
	pthread_cond_timedwait(&o->done, &o->lock, &until);
	o->waiting--;
}

int origin_sync(struct zone *z, u64 lsn)
{
	struct origin *o = z->origin;
	struct errline err;
	struct patience p;
	u64 now = now_ms();
	int ret = origin_can_sync(z, &err);

	if (ret)
		return ret;
	p.taken = taken(z);
	p.until = now + (u64)z->cfg->origin_timeout * 1000;
	pthread_mutex_lock(&o->lock);
	for (; !ret && o->reached < lsn; now = now_ms()) {
		if (atomic_load(&o->fenced))
			ret = -EROFS;
		else if (o->quit)
			ret = -ESHUTDOWN;
		else if (!has_patience(z, &p, now))
			ret = -ETIMEDOUT;
		else
			wait_for(o, lsn, NEXUS_MIN(p.until, now + LOOK_MS));
	}
	pthread_mutex_unlock(&o->lock);
	return ret;
}

void origin_end(struct zone *z, bool whole)
{
	struct origin *o = z->origin;
	struct errline err = { "" };
	char buf[128];
	int ret = 0;

	/* Of one that could not be opened there is a line already. */
	if (!o || !o->content || atomic_load(&o->fenced))
		return;
	atomic_store(&o->stop, false);
	/* Taken over as it was closed: the thread did not come to it. */
	if (!o->owned)
		ret = take(o, &err);
	if (!ret && z->cfg->checkpoint_interval) {
		ret = origin_checkpoint(o, &err);
		/* Released, it is whoever has that who may take it. */
		if (!ret)
			ret = saw_manifest(o, &err);
		if (!ret && !whole)
			ret = err_set(&err, -EAGAIN, "its end was not in order");
	}
	/* Whoever restores it then is told that something may be missing. */
	if (ret) {
		log_error("zone %s: not all of it is with %s: %s%s", z->name,
			  o->content->ops->name, err_text(&err, ret, buf, sizeof(buf)),
			  o->owned ? "; it stays the owner there" : "");
		return;
	}
	ret = owner_release(&o->owner, now_s(), &err);
	if (ret)
		log_error("zone %s: %s", z->name, err.msg);
}

void origin_free(struct zone *z)
{
	struct origin *o = z->origin;
	struct origin_dead *d, *next;
	struct errline err;

	if (!o)
		return;
	/* Of a zone that could not be opened for another reason. */
	atomic_store(&o->stop, true);
	if (o->first)
		end_first(o, &err);
	content_close(o->content);
	for (d = o->dead; d; d = next) {
		next = d->next;
		free(d);
	}
	free(o->there);
	origin_drop_streams(o);
	pthread_cond_destroy(&o->cond);
	pthread_cond_destroy(&o->done);
	pthread_cond_destroy(&o->tidy_cond);
	pthread_mutex_destroy(&o->lock);
	pthread_mutex_destroy(&o->dead_lock);
	free(o);
	z->origin = NULL;
}
