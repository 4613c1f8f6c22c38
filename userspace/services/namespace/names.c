// SPDX-License-Identifier: Apache-2.0
#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Another try may find more. */
#define BY_LIMIT	(NEXUS_PERMISSION_DEPTH | NEXUS_PERMISSION_FANOUT | NEXUS_PERMISSION_NODES | \
			 NEXUS_PERMISSION_DEADLINE | NEXUS_PERMISSION_READS)

/**
 * struct names_slot - a subject
 * @users: questions that hold it; it stays
 * @building: one of them reads its entries
 */
struct names_slot {
	struct names_slot *next;		/* in its bucket */
	struct names_slot *newer, *older;	/* by use */
	struct view *view;
	uint32_t users;
	bool building;
	size_t bytes;
	char subject[];
};

/* The system's, unless a test has others. */
static int64_t clock_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static int64_t system_now(void)
{
	return clock_ms(CLOCK_REALTIME);
}

static int64_t system_mono(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

int names_init(struct names *n, uint64_t limit)
{
	pthread_condattr_t attr;
	int ret;

	memset(n, 0, sizeof(*n));
	n->now_ms = system_now;
	n->mono_ms = system_mono;
	n->wait_ms = NAMES_WAIT_MS;
	n->stats.limit = limit;
	/* Above what an earlier life of the service gave. */
	n->stats.generation = (uint64_t)system_now() << 20;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	ret = pthread_cond_init(&n->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (!ret) {
		ret = pthread_mutex_init(&n->lock, NULL);
		if (ret)
			pthread_cond_destroy(&n->changed);
	}
	return -ret;
}

/* ---- slots, under the lock -------------------------------------------------------- */

static uint32_t bucket_of(const char *subject)
{
	uint32_t h = 2166136261u;

	for (; *subject; subject++)
		h = (h ^ (unsigned char)*subject) * 16777619u;
	return (h ^ h >> 16) % NAMES_BUCKETS;
}

static void unlink_use(struct names *n, struct names_slot *s)
{
	*(s->newer ? &s->newer->older : &n->first) = s->older;
	*(s->older ? &s->older->newer : &n->last) = s->newer;
}

static void link_use(struct names *n, struct names_slot *s)
{
	s->newer = NULL;
	s->older = n->first;
	*(n->first ? &n->first->newer : &n->last) = s;
	n->first = s;
}

static void set_view(struct names *n, struct names_slot *s, struct view *v)
{
	if (s->view) {
		n->stats.bytes -= s->view->bytes;
		n->stats.entries -= s->view->n;
		view_put(s->view);
	}
	s->view = v;
	if (v) {
		n->stats.bytes += v->bytes;
		n->stats.entries += v->n;
	}
}

static void drop_slot(struct names *n, struct names_slot *s)
{
	struct names_slot **at = &n->buckets[bucket_of(s->subject)];

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	unlink_use(n, s);
	set_view(n, s, NULL);
	n->stats.bytes -= s->bytes;
	n->stats.subjects--;
	free(s);
}

static struct names_slot *take_slot(struct names *n, const char *subject)
{
	struct names_slot **bucket = &n->buckets[bucket_of(subject)], *s = *bucket;
	size_t len = strlen(subject) + 1;

	while (s && strcmp(s->subject, subject))
		s = s->next;
	if (s) {
		unlink_use(n, s);
	} else {
		s = calloc(1, sizeof(*s) + len);
		if (!s)
			return NULL;
		memcpy(s->subject, subject, len);
		s->bytes = sizeof(*s) + len;
		s->next = *bucket;
		*bucket = s;
		n->stats.bytes += s->bytes;
		n->stats.subjects++;
	}
	link_use(n, s);
	s->users++;
	return s;
}

static void give_slot(struct names *n, struct names_slot *s)
{
	struct names_slot *newer;

	s->users--;
	for (s = n->last; s && n->stats.bytes > n->stats.limit; s = newer) {
		newer = s->newer;
		if (s->users)
			continue;
		/* Without a limit nothing was ever there to be given up. */
		n->stats.evicted += n->stats.limit != 0;
		drop_slot(n, s);
	}
}

void names_end(struct names *n)
{
	while (n->first)
		drop_slot(n, n->first);
	pthread_cond_destroy(&n->changed);
	pthread_mutex_destroy(&n->lock);
}

/* ---- reading the entries ---------------------------------------------------------- */

struct reading {
	struct view_maker maker;
	char last[NEXUS_PERMISSION_ID_MAX + 1];
};

static int take_id(void *arg, const char *id)
{
	struct reading *r = arg;

	if (strlen(id) >= sizeof(r->last))
		return -EPROTO;
	strcpy(r->last, id);
	return view_add(&r->maker, id);
}

static bool not_now(int ret)
{
	return ret == -EAGAIN || ret == -ETIMEDOUT;
}

/* All pieces, one after the other; what is missing is in @all->unknown. */
static int read_pieces(struct names *n, const char *subject, struct reading *r,
		       struct names_piece *all)
{
	int64_t end = n->mono_ms() + n->wait_ms, now;
	struct names_piece p;
	bool first = true;
	int ret;

	*all = (struct names_piece){ .valid_until = INT64_MAX };
	do {
		now = n->mono_ms();
		if (now >= end)
			ret = -ETIMEDOUT;
		else
			ret = n->source->objects(n->arg, subject, first ? NULL : r->last,
						 (uint32_t)(end - now), take_id, r, &p);
		if (ret == -ENOSPC) {
			all->unknown |= NEXUS_PERMISSION_NODES;
			return 0;
		}
		/* Of the first one not even the state is known. */
		if (not_now(ret) && !first) {
			all->unknown |= NEXUS_PERMISSION_DEADLINE;
			return 0;
		}
		if (ret)
			return ret;
		if (first)
			memcpy(all->at, p.at, sizeof(all->at));
		first = false;
		all->unknown |= p.unknown;
		if (p.valid_until < all->valid_until)
			all->valid_until = p.valid_until;
	} while (p.more);
	return 0;
}

static int build(struct names *n, const char *subject, uint64_t ticket, struct view **v)
{
	struct reading *r = calloc(1, sizeof(*r));
	struct names_piece all;
	int ret;

	*v = NULL;
	if (!r)
		return -ENOMEM;
	ret = read_pieces(n, subject, r, &all);
	if (!ret) {
		*v = view_make(&r->maker);
		ret = *v ? 0 : -ENOMEM;
	}
	if (!ret) {
		memcpy((*v)->at, all.at, sizeof(all.at));
		(*v)->ticket = ticket;
		(*v)->valid_until = all.valid_until;
		(*v)->unknown = all.unknown;
		(*v)->partial = (all.unknown & BY_LIMIT) != 0;
	}
	view_maker_end(&r->maker);
	free(r);
	return ret;
}

/* Under the lock: the subject has these now. */
static void publish(struct names *n, struct names_slot *s, struct view *v)
{
	bool same = s->view && s->view->generation && !v->partial && view_same(s->view, v);

	n->stats.built++;
	n->stats.same += same;
	n->stats.partial += v->partial;
	n->stats.ignored += v->ignored;
	if (!v->partial)
		v->generation = same ? s->view->generation : ++n->stats.generation;
	set_view(n, s, view_get(v));
}

/* ---- a question ------------------------------------------------------------------- */

/* Were they read at that state, or begun to be read after the question began? */
static bool good(struct names *n, const struct view *v, const char *at, uint64_t before)
{
	if (!v || n->now_ms() >= v->valid_until)
		return false;
	return v->ticket > before || (!v->partial && !strcmp(v->at, at));
}

/* Under the lock: until somebody is through; false when that is too long. */
static bool wait_for_others(struct names *n, int64_t end)
{
	struct timespec ts = { .tv_sec = end / 1000, .tv_nsec = end % 1000 * 1000000 };

	return pthread_cond_timedwait(&n->changed, &n->lock, &ts) != ETIMEDOUT;
}

/* Under the lock, which is not held while the entries are read. */
static int build_slot(struct names *n, struct names_slot *s, struct view **v)
{
	uint64_t ticket = ++n->ticket;
	int ret;

	s->building = true;
	n->building++;
	n->stats.misses++;
	pthread_mutex_unlock(&n->lock);
	ret = build(n, s->subject, ticket, v);
	pthread_mutex_lock(&n->lock);
	s->building = false;
	n->building--;
	if (!ret)
		publish(n, s, *v);
	pthread_cond_broadcast(&n->changed);
	return ret;
}

static int find_view(struct names *n, struct names_slot *s, const char *at, uint64_t before,
		     struct view **v)
{
	int64_t end = n->mono_ms() + n->wait_ms;

	while (!good(n, s->view, at, before)) {
		if (!s->building && n->building < NAMES_BUILDERS)
			return build_slot(n, s, v);
		if (!wait_for_others(n, end))
			return -ETIMEDOUT;
	}
	n->stats.hits++;
	*v = view_get(s->view);
	return 0;
}

static int denied(struct names *n, struct nexus_namespace_read *read)
{
	read->unknown = NEXUS_PERMISSION_DEADLINE;
	pthread_mutex_lock(&n->lock);
	n->stats.busy++;
	pthread_mutex_unlock(&n->lock);
	return 0;
}

int names_view(struct names *n, const char *subject, struct nexus_namespace_read *read,
	       struct view **v)
{
	struct nexus_permission_read r = { .freshness = read->freshness };
	struct names_slot *s;
	uint64_t before;
	int ret;

	*v = NULL;
	memcpy(r.token, read->token, sizeof(r.token));
	pthread_mutex_lock(&n->lock);
	before = n->ticket;
	pthread_mutex_unlock(&n->lock);
	ret = n->source->revision(n->arg, &r, n->wait_ms);
	if (ret)
		return not_now(ret) ? denied(n, read) : ret;
	pthread_mutex_lock(&n->lock);
	s = take_slot(n, subject);
	ret = s ? find_view(n, s, r.at, before, v) : -ENOMEM;
	if (s)
		give_slot(n, s);
	pthread_mutex_unlock(&n->lock);
	if (not_now(ret))
		return denied(n, read);
	if (ret)
		return ret;
	memcpy(read->at, (*v)->at, sizeof(read->at));
	read->generation = (*v)->generation;
	read->unknown = (*v)->unknown;
	read->valid_until_ms = (*v)->valid_until;
	return 0;
}

int names_state(struct names *n, struct nexus_namespace_state *a)
{
	pthread_mutex_lock(&n->lock);
	*a = n->stats;
	pthread_mutex_unlock(&n->lock);
	return 0;
}
