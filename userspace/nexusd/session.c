// SPDX-License-Identifier: Apache-2.0
/* The session with the module: attaching, taking zones over, leaving. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bucket/bucket.h"
#include "helper.h"
#include "queue.h"
#include "stats.h"
#include "zone.h"

/* The zone stays with the kernel; whoever reads it gets an error that says so. */
static void refuse(struct helper *h, const struct nexus_zone_next *zn, int error,
		   const char *why)
{
	struct nexus_zone_fail zf = { .zone = zn->id, .error = error };

	log_error("zone %.63s cannot be taken over: %s", zn->name, why);
	snprintf(zf.reason, sizeof(zf.reason), "%s", why);
	chan_ioctl(&h->chan, NEXUS_IOC_ZONE_FAIL, &zf);
}

static int take_over(struct helper *h, const struct nexus_zone_next *zn)
{
	struct errline err = { "" };
	char name[NEXUS_ZONE_NAME_LEN], buf[128];
	struct zone *z;
	int ret;

	memcpy(name, zn->name, sizeof(name));
	name[sizeof(name) - 1] = '\0';
	/* Somebody may be asking about it through the control socket already. */
	ret = helper_zone_begin(h, name, &z);
	if (ret)
		return ret;
	ret = bucket_known(&h->cfg, name) ? bucket_reattach(z, zn, &err) :
					    zone_reattach(z, zn, &err);
	if (ret)
		refuse(h, zn, ret, err_text(&err, ret, buf, sizeof(buf)));
	else
		stats_inc(zones_taken_over);
	/* Whoever unmounts it meanwhile has its own thread close it at once. */
	helper_zone_end(h, z, name, ret);
	return ret == -ENOMEM ? ret : 0;
}

static int take_over_all(struct helper *h)
{
	struct nexus_zone_next zn;
	u32 id = 0;
	int ret;

	for (;;) {
		memset(&zn, 0, sizeof(zn));
		zn.id = id;
		ret = chan_ioctl(&h->chan, NEXUS_IOC_ZONE_NEXT, &zn);
		if (ret)
			return ret == -ENOENT ? 0 : ret;
		id = zn.id;
		ret = take_over(h, &zn);
		if (ret)
			return ret;
	}
}

static int start_queues(struct helper *h)
{
	u32 i;
	int ret;

	h->queues = calloc(h->chan.queues, sizeof(*h->queues));
	if (!h->queues)
		return -ENOMEM;
	h->nqueues = h->chan.queues;
	for (i = 0; i < h->nqueues; i++) {
		ret = queue_new(h, i, &h->queues[i]);
		if (ret)
			return ret;
	}
	for (i = 0; i < h->nqueues; i++) {
		ret = queue_start(h->queues[i]);
		if (ret)
			return ret;
	}
	return 0;
}

static bool is_open(void *arg, const char *name)
{
	struct zone *z = helper_zone_by_name(arg, name);

	zone_put(z);
	return z;
}

int session_attach(struct helper *h, struct errline *err)
{
	int ret;

	ret = chan_attach(&h->chan, h->cfg.device, h->cfg.session, h->cfg.queues, err);
	if (ret)
		return ret;
	ret = take_over_all(h);
	if (!ret)
		bucket_sweep(&h->cfg, is_open, h);
	if (!ret)
		ret = start_queues(h);
	if (ret) {
		session_end(h);
		return err_set(err, ret, "the session cannot be started: %s", strerror(-ret));
	}
	atomic_store(&h->attached, true);
	log_info("attached to session %s: %u queues that poll for %u us at most, epoch %u, %u zones taken over",
		 h->cfg.session, h->nqueues, h->patience.limit_us, h->chan.epoch,
		 helper_zone_count(h));
	return 0;
}

/* An open zone that nobody closes yet, referenced and marked; or NULL. */
static struct zone *next_to_leave(struct helper *h)
{
	struct zone_slot *s;
	struct zone *z = NULL;

	pthread_mutex_lock(&h->lock);
	for (s = h->slots; s; s = s->next) {
		if (!s->zone || atomic_exchange(&s->zone->closing, true))
			continue;
		z = s->zone;
		zone_get(z);
		break;
	}
	pthread_mutex_unlock(&h->lock);
	return z;
}

static struct zone *next_to_put(struct helper *h)
{
	struct zone_slot *s;
	struct zone *z = NULL;

	pthread_mutex_lock(&h->lock);
	while (!z && (s = h->slots)) {
		h->slots = s->next;
		z = s->zone;
		free(s);
	}
	pthread_mutex_unlock(&h->lock);
	return z;
}

/*
 * Zones first, while requests are still answered; then the queues.  What was
 * being opened ends with an error, for the kernel drops it.
 */
void session_end(struct helper *h)
{
	struct zone *z;
	u32 i;

	atomic_store(&h->stopping, true);
	while ((z = next_to_leave(h))) {
		zone_leave(z);
		zone_put(z);
	}
	for (i = 0; i < h->nqueues; i++)
		queue_stop(h->queues[i]);
	workers_free(h->fetchers);
	h->fetchers = NULL;
	workers_free(h->workers);
	h->workers = NULL;
	for (i = 0; i < h->nqueues; i++)
		queue_free(h->queues[i]);
	free(h->queues);
	h->queues = NULL;
	h->nqueues = 0;
	while ((z = next_to_put(h))) {
		zone_stop(z);
		zone_put(z);
	}
	atomic_store(&h->attached, false);
	chan_close(&h->chan);
}
