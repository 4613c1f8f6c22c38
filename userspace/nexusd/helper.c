// SPDX-License-Identifier: Apache-2.0
#include "helper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bucket/bucket.h"
#include "stats.h"
#include "zone.h"

#define WORKERS_MAX	32u
#define FETCHERS_MAX	128u	/* half of them for one zone, see worker.h */
#define NAME_WAIT_S	5	/* for a zone that is about to be closed */

int helper_init(struct helper *h)
{
	pthread_condattr_t attr;

	h->chan.fd = -1;
	h->data_lock = -1;
	h->started = time(NULL);
	h->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (h->event_fd < 0)
		return -errno;
	patience_init(&h->patience, h->cfg.poll_us);
	h->workers = workers_new(WORKERS_MAX, "nexusd-work");
	h->fetchers = workers_new(FETCHERS_MAX, "nexusd-fetch");
	if (!h->workers || !h->fetchers) {
		workers_free(h->workers);
		workers_free(h->fetchers);
		close(h->event_fd);
		return -ENOMEM;
	}
	pthread_mutex_init(&h->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&h->cond, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

void helper_free(struct helper *h)
{
	workers_free(h->fetchers);
	h->fetchers = NULL;
	workers_free(h->workers);
	h->workers = NULL;
	if (h->data_lock >= 0)
		close(h->data_lock);
	close(h->event_fd);
	pthread_cond_destroy(&h->cond);
	pthread_mutex_destroy(&h->lock);
}

void helper_set_reason(struct helper *h, const char *reason)
{
	pthread_mutex_lock(&h->lock);
	snprintf(h->reason, sizeof(h->reason), "%s", reason);
	pthread_mutex_unlock(&h->lock);
}

/* ---- names --------------------------------------------------------------- */

static struct zone_slot *find_slot(struct helper *h, const char *name)
{
	struct zone_slot *s;

	for (s = h->slots; s; s = s->next)
		if (!strcmp(s->name, name))
			return s;
	return NULL;
}

static struct zone_slot *add_slot(struct helper *h, const char *name)
{
	struct zone_slot *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->next = h->slots;
	h->slots = s;
	return s;
}

static void drop_slot(struct helper *h, const char *name)
{
	struct zone_slot **sp, *s;

	pthread_mutex_lock(&h->lock);
	for (sp = &h->slots; *sp; sp = &(*sp)->next) {
		if (strcmp((*sp)->name, name))
			continue;
		s = *sp;
		*sp = s->next;
		free(s);
		break;
	}
	pthread_cond_broadcast(&h->cond);
	pthread_mutex_unlock(&h->lock);
}

static void set_zone(struct helper *h, const char *name, struct zone *z)
{
	struct zone_slot *s;

	pthread_mutex_lock(&h->lock);
	s = find_slot(h, name);
	/* One that a closer has got hold of already is not shown any more. */
	if (s && s->zone)
		memcpy(s->uuid, s->zone->sb.uuid, sizeof(s->uuid));
	if (s && !(z && atomic_load(&z->closing)))
		s->zone = z;
	/* Whoever wants the name waits in another way from now on. */
	pthread_cond_broadcast(&h->cond);
	pthread_mutex_unlock(&h->lock);
}

/*
 * Takes the name.  One that is being closed is waited for; one that is open will
 * be closed in a moment if the kernel asks for it again, but not for ever.
 */
static int take_name(struct helper *h, const char *name)
{
	struct timespec until;
	struct zone_slot *s;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += NAME_WAIT_S;
	pthread_mutex_lock(&h->lock);
	while ((s = find_slot(h, name))) {
		if (!s->zone) {
			pthread_cond_wait(&h->cond, &h->lock);
			continue;
		}
		ret = pthread_cond_timedwait(&h->cond, &h->lock, &until);
		if (ret && find_slot(h, name)) {
			ret = -EBUSY;
			goto out;
		}
	}
	ret = add_slot(h, name) ? 0 : -ENOMEM;
out:
	pthread_mutex_unlock(&h->lock);
	return ret;
}

/* lock held.  Another one with this uuid. */
static struct zone_slot *find_uuid(struct helper *h, const char *name, const u8 *uuid)
{
	struct zone_slot *s;

	for (s = h->slots; s; s = s->next)
		if (!memcmp(s->zone ? s->zone->sb.uuid : s->uuid, uuid, sizeof(s->uuid)) &&
		    strcmp(s->name, name) != 0)
			return s;
	return NULL;
}

int helper_claim_uuid(struct helper *h, const char *name, const u8 uuid[NEXUS_UUID_SIZE],
		      struct errline *err)
{
	struct timespec until;
	struct zone_slot *s;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += NAME_WAIT_S;
	pthread_mutex_lock(&h->lock);
	while (!ret && (s = find_uuid(h, name, uuid))) {
		/* Its end takes as long as its last checkpoint does. */
		if (!s->zone)
			pthread_cond_wait(&h->cond, &h->lock);
		else if (pthread_cond_timedwait(&h->cond, &h->lock, &until) && (s = find_uuid(h, name, uuid)))
			ret = err_set(err, -EEXIST, "zone %s is mounted, and is the same zone: its uuid is that of %s",
				      s->name, name);
	}
	s = find_slot(h, name);
	if (!ret && s)
		memcpy(s->uuid, uuid, sizeof(s->uuid));
	pthread_mutex_unlock(&h->lock);
	return ret;
}

int helper_claim(struct helper *h, const char *name)
{
	int ret = 0;

	pthread_mutex_lock(&h->lock);
	if (find_slot(h, name))
		ret = -EBUSY;
	else if (!add_slot(h, name))
		ret = -ENOMEM;
	pthread_mutex_unlock(&h->lock);
	return ret;
}

void helper_release(struct helper *h, const char *name)
{
	drop_slot(h, name);
}

u32 helper_zone_count(struct helper *h)
{
	struct zone_slot *s;
	u32 n = 0;

	pthread_mutex_lock(&h->lock);
	for (s = h->slots; s; s = s->next)
		if (s->zone)
			n++;
	pthread_mutex_unlock(&h->lock);
	return n;
}

struct zone *helper_zone(struct helper *h, u32 id)
{
	struct zone *z = NULL;
	struct zone_slot *s;

	pthread_mutex_lock(&h->lock);
	for (s = h->slots; s; s = s->next) {
		if (s->zone && s->zone->id == id) {
			z = s->zone;
			zone_get(z);
			break;
		}
	}
	pthread_mutex_unlock(&h->lock);
	return z;
}

struct zone *helper_zone_by_name(struct helper *h, const char *name)
{
	struct zone *z = NULL;
	struct zone_slot *s;

	pthread_mutex_lock(&h->lock);
	s = find_slot(h, name);
	if (s && s->zone) {
		z = s->zone;
		zone_get(z);
	}
	pthread_mutex_unlock(&h->lock);
	return z;
}

/* ---- open and over ---------------------------------------------------------- */

/* Nobody else may use it when its store is closed. */
static void put_last(struct zone *z)
{
	while (atomic_load(&z->refs) > 1)
		usleep(1000);
	zone_put(z);
}

int helper_zone_begin(struct helper *h, const char *name, struct zone **z)
{
	int ret = take_name(h, name);

	*z = NULL;
	if (ret)
		return ret;
	*z = zone_new(h, &h->cfg, &h->chan, name);
	if (!*z) {
		drop_slot(h, name);
		return -ENOMEM;
	}
	/* Its own thread may find that the zone is over before whoever opens it comes back. */
	zone_get(*z);
	return 0;
}

void helper_zone_end(struct helper *h, struct zone *z, const char *name, int ret)
{
	bool closing;

	if (!ret) {
		set_zone(h, name, z);
		zone_put(z);
		return;
	}
	closing = atomic_exchange(&z->closing, true);
	if (!closing)
		zone_stop(z);
	zone_put(z);
	/* The closer puts the rest, and gives the name back. */
	if (closing)
		return;
	put_last(z);
	drop_slot(h, name);
}

int helper_open_zone(struct helper *h, const char *name, const char *source, u32 how,
		     u64 ticket, struct errline *err)
{
	struct zone *z;
	int ret;

	if (!nexus_label_ok(name, strlen(name)))
		return err_set(err, -EINVAL, "\"%.70s\" is no zone name", name);
	ret = helper_zone_begin(h, name, &z);
	if (ret)
		return ret == -EBUSY ?
		       err_set(err, ret, "zone %s is already mounted from this helper", name) : ret;
	ret = how & NEXUS_OPEN_BUCKET ? bucket_open(z, source, ticket, err) :
					zone_open(z, how, ticket, err);
	if (!ret)
		stats_inc(zones_opened);
	helper_zone_end(h, z, name, ret);
	return ret;
}

struct over {
	struct helper *h;
	struct zone *z;
};

static void zone_over_job(void *arg)
{
	struct over *o = arg;
	struct helper *h = o->h;
	struct zone *z = o->z;
	char name[NEXUS_ZONE_NAME_LEN];
	bool dropped;
	u32 id = z->id;
	int ret;

	memcpy(name, z->name, sizeof(name));
	zone_finish(z);
	dropped = atomic_load(&z->dropped);
	set_zone(h, name, NULL);
	put_last(z);
	/* The store is closed: now the lock may go. */
	if (!dropped) {
		ret = chan_ioctl(&h->chan, NEXUS_IOC_ZONE_DETACH, &id);
		if (ret && ret != -ENOENT && ret != -ESHUTDOWN)
			log_warn("zone %s: detach: %s", name, strerror(-ret));
	}
	drop_slot(h, name);
	free(o);
}

void helper_zone_over(struct helper *h, struct zone *z)
{
	struct over *o;

	if (atomic_load(&h->stopping) || atomic_exchange(&z->closing, true))
		return;
	o = malloc(sizeof(*o));
	if (o) {
		o->h = h;
		o->z = z;
	}
	if (!o || workers_add(h->workers, 0, zone_over_job, o)) {
		log_error("zone %s cannot be closed: out of memory", z->name);
		free(o);
	}
}
