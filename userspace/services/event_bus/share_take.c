// SPDX-License-Identifier: Apache-2.0
/*
 * Sharing: what comes from other helpers.
 *
 * Whatever they lose on the way here is told in the log, in its place, once: with a
 * number when that is known, and without when the server was lost, or
 * nobody listened here.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "bus.h"

#define TURN_MS		20	/* between two looks whether another build has ended */
#define AGAIN_MS	20	/* likewise whether the log is there again */
#define AGAIN_TRIES	200u
#define OWED_MS		1000

/* Whether it is to end; else after @ms. */
static bool pause_ms(struct share *s, int ms)
{
	struct pollfd p = { .fd = s->stop, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* ---- into the log ------------------------------------------------------------------------ */

/* What could not be told is told before anything else. */
static void tell_owed(struct share *s)
{
	if (!s->owed || bus_enter_missed(s->b, s->owed_n))
		return;
	s->owed = false;
	atomic_fetch_add(&s->n_gaps, 1);
}

static void tell_missed(struct share *s, uint64_t missed)
{
	/* Of two, one may be without a number. */
	s->owed_n = !s->owed ? missed : s->owed_n && missed ? s->owed_n + missed : 0;
	s->owed = true;
	tell_owed(s);
}

static void enter_events(struct share *s, struct nexus_bus_event *events, uint32_t count)
{
	unsigned int tries = 0;
	int ret;

	do {
		tell_owed(s);
		ret = s->owed ? -EAGAIN : bus_enter_foreign(s->b, events, count);
	} while (ret == -EAGAIN && tries++ < AGAIN_TRIES && !pause_ms(s, AGAIN_MS));
	if (!ret) {
		atomic_fetch_add(&s->n_received, count);
		return;
	}
	atomic_fetch_add(&s->n_missed, count);
	tell_missed(s, count);
}

/* ---- who has come how far ------------------------------------------------------------------- */

/* Its place, or one that it may have: a free one, else that of who was silent the longest. */
static struct share_origin *find(struct share *s, uint64_t id)
{
	struct share_origin *o, *place = s->origins;

	/* A free one was heard before all others. */
	for (o = s->origins; o < s->origins + SHARE_ORIGINS_MAX; o++) {
		if (o->id == id)
			return o;
		if (o->heard < place->heard)
			place = o;
	}
	return place;
}

static void excuse_all(struct share *s)
{
	struct share_origin *o;

	for (o = s->origins; o < s->origins + SHARE_ORIGINS_MAX; o++)
		o->excused = true;
}

static struct share_origin *meet(struct share *s, const struct share_head *h)
{
	struct share_origin *o = find(s, h->origin);

	if (o->id == h->origin)
		return o;
	if (o->id)
		s->forgot = true;
	else
		atomic_fetch_add(&s->known, 1);
	*o = (struct share_origin){ .id = h->origin, .seen = h->first - 1 };
	/* What it sent before we listened is nobody's loss; what it did not send may be. */
	if (h->first > 1 && (h->flags & SHARE_CUT || s->forgot))
		tell_missed(s, 0);
	return o;
}

static void note_missed(struct share *s, struct share_origin *o, uint64_t missed)
{
	atomic_fetch_add(&s->n_missed, missed);
	if (!o->excused)
		tell_missed(s, missed);
}

static void take(struct share *s, const struct nexus_cache_message *msg)
{
	struct share_origin *o;
	struct share_head h;
	uint64_t skip;

	if (share_get(msg->data, msg->size, &h, s->events)) {
		atomic_fetch_add(&s->n_malformed, 1);
		return;
	}
	if (h.origin == s->me)
		return;
	o = meet(s, &h);
	o->heard = ++s->messages;
	if (h.first > o->seen + 1) {
		note_missed(s, o, h.first - 1 - o->seen);
		o->seen = h.first - 1;
	}
	o->excused = false;
	skip = o->seen - (h.first - 1);
	if (skip > h.count)
		skip = h.count;
	atomic_fetch_add(&s->n_repeated, skip);
	if (h.count > skip) {
		o->seen = h.first + h.count - 1;
		enter_events(s, s->events + skip, h.count - (uint32_t)skip);
	}
	if (h.flags & SHARE_BYE) {
		*o = (struct share_origin){ .id = 0 };
		atomic_fetch_sub(&s->known, 1);
	}
}

/* ---- the server -------------------------------------------------------------------------------- */

static bool log_is_empty(struct share *s)
{
	bool empty;

	pthread_mutex_lock(&s->b->order);
	empty = !s->b->last;
	pthread_mutex_unlock(&s->b->order);
	return empty;
}

/* Nobody knows what others have published while nobody listened here. */
static void look(struct share *s)
{
	const struct nexus_service_host *host = s->b->host;
	bool on = nexus_cache_reach(s->cache) == NEXUS_CACHE_SHARED;

	if (on) {
		excuse_all(s);
		if (s->joined || !log_is_empty(s))
			tell_missed(s, 0);
		s->joined = true;
	}
	share_switch(s, on);
	/* What is published from here on is as this says. */
	if (share_note(s, on ? NEXUS_EVENT_BUS_SHARED : NEXUS_EVENT_BUS_CUT_OFF))
		host->log(s->b->me, on ? NEXUS_SERVICE_INFO : NEXUS_SERVICE_WARNING, on ?
			  "events are shared with other helpers through the cache store" :
			  "the cache store's server is lost: events stay in this helper until it is back");
}

static void fetch_all(struct share *s)
{
	struct nexus_cache_message msg;

	while (!pause_ms(s, 0) && nexus_cache_fetch(s->sub, &msg) == 1) {
		switch (msg.what) {
		case NEXUS_CACHE_MESSAGE:
			take(s, &msg);
			break;
		case NEXUS_CACHE_LOST:
			/* Messages: of how many events their numbers will say. */
			excuse_all(s);
			tell_missed(s, 0);
			break;
		default:
			look(s);
			break;
		}
		free(msg.data);
	}
}

/* Until no other build has it; false: it is to end before. */
static bool take_turn(struct share *s)
{
	int dir = s->b->host->state_dir(s->b->me);
	bool ok = true;

	/* A helper that keeps nothing swaps nothing that is kept twice. */
	if (dir < 0)
		return true;
	s->turn = openat(dir, "sharing", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	close(dir);
	while (ok && s->turn >= 0 && flock(s->turn, LOCK_EX | LOCK_NB) &&
	       (errno == EWOULDBLOCK || errno == EINTR))
		ok = !pause_ms(s, TURN_MS);
	return ok;
}

static int begin(struct share *s)
{
	const struct nexus_cache_wish wish = { .queue = NEXUS_CACHE_QUEUE_MAX };
	struct nexus_cache_part parts[2];
	struct nexus_cache_key channel = share_channel(s, parts);
	int ret = s->b->host->cache(s->b->me, &s->cache);

	/* No cache store at all is one without a server. */
	if (ret == -EOPNOTSUPP || (!ret && nexus_cache_reach(s->cache) == NEXUS_CACHE_ALONE)) {
		share_note(s, NEXUS_EVENT_BUS_ALONE);
		return 1;
	}
	return ret ? ret : nexus_cache_subscribe(s->cache, &channel, &wish, &s->sub);
}

void *share_keep(void *arg)
{
	struct share *s = arg;
	struct pollfd p[2] = { { .fd = s->stop, .events = POLLIN }, { .events = POLLIN } };
	int ret;

	if (!take_turn(s))
		return NULL;
	/* No memory, no descriptors: that may be otherwise soon. */
	while ((ret = begin(s)) < 0)
		if (pause_ms(s, OWED_MS))
			return NULL;
	if (ret)
		return NULL;
	look(s);
	p[1].fd = s->sub->fd;
	while (!p[0].revents) {
		if (poll(p, 2, s->owed ? OWED_MS : -1) < 0 && errno != EINTR)
			break;
		fetch_all(s);
		tell_owed(s);
	}
	return NULL;
}
