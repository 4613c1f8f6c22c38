// SPDX-License-Identifier: Apache-2.0
#include "queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <nexus/services/scheduler.h>

void queue_init(struct queue *q, uint32_t running_max)
{
	*q = (struct queue){ .running_max = running_max };
}

static void free_task(struct queue_task *t)
{
	free(t->executor);
	free(t->type);
	free(t);
}

static void free_owner(struct queue_owner *o)
{
	free(o->name);
	free(o);
}

void queue_clear(struct queue *q)
{
	uint32_t i;

	for (i = 0; i < q->n; i++)
		free_task(q->tasks[i]);
	for (i = 0; i < q->n_owners; i++)
		q->owners[i]->queued = q->owners[i]->running = 0;
	q->n = q->running = 0;
}

void queue_end(struct queue *q)
{
	uint32_t i;

	queue_clear(q);
	for (i = 0; i < q->n_owners; i++)
		free_owner(q->owners[i]);
	free(q->tasks);
	free(q->owners);
	queue_init(q, q->running_max);
}

/* One more pointer at @at. */
static int insert(void ***array, uint32_t *n, uint32_t *room, uint32_t at, void *p)
{
	if (*n == *room) {
		uint32_t more = *room ? *room * 2 : 16;
		void **grown = realloc(*array, more * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		*array = grown;
		*room = more;
	}
	memmove(*array + at + 1, *array + at, (*n - at) * sizeof(**array));
	(*array)[at] = p;
	++*n;
	return 0;
}

/* ---- owners ------------------------------------------------------------------------- */

static bool idle(const struct queue_owner *o)
{
	return !o->queued && !o->running;
}

/* The least that one with tasks has used. */
static uint64_t least_used(const struct queue *q)
{
	uint64_t least = UINT64_MAX;
	uint32_t i;

	for (i = 0; i < q->n_owners; i++)
		if (!idle(q->owners[i]) && q->owners[i]->used < least)
			least = q->owners[i]->used;
	return least == UINT64_MAX ? 0 : least;
}

/* Where it is, or would be. */
static uint32_t owner_place(const struct queue *q, const char *name)
{
	uint32_t from = 0, to = q->n_owners, mid;

	while (from < to) {
		mid = from + (to - from) / 2;
		if (strcmp(q->owners[mid]->name, name) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

struct queue_owner *queue_owner(const struct queue *q, const char *name)
{
	uint32_t at = owner_place(q, name);

	return at < q->n_owners && !strcmp(q->owners[at]->name, name) ? q->owners[at] : NULL;
}

/* Those without tasks go, first of all those that would begin with what they have used. */
static void forget_owners(struct queue *q)
{
	uint64_t least = least_used(q);
	uint32_t pass, i, n;

	for (pass = 0; pass < 2 && q->n_owners >= QUEUE_OWNERS_MAX; pass++) {
		for (i = n = 0; i < q->n_owners; i++) {
			struct queue_owner *o = q->owners[i];

			if (idle(o) && (pass || o->used <= least))
				free_owner(o);
			else
				q->owners[n++] = o;
		}
		q->n_owners = n;
	}
}

static struct queue_owner *new_owner(struct queue *q, const char *name)
{
	struct queue_owner *o = calloc(1, sizeof(*o));

	if (q->n_owners >= QUEUE_OWNERS_MAX)
		forget_owners(q);
	if (!o)
		return NULL;
	o->name = strdup(name);
	if (!o->name || insert((void ***)&q->owners, &q->n_owners, &q->owners_room,
			       owner_place(q, name), o)) {
		free_owner(o);
		return NULL;
	}
	return o;
}

/* ---- tasks -------------------------------------------------------------------------- */

static uint32_t task_place(const struct queue *q, uint64_t id)
{
	uint32_t from = 0, to = q->n, mid;

	while (from < to) {
		mid = from + (to - from) / 2;
		if (q->tasks[mid]->id < id)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

struct queue_task *queue_find(const struct queue *q, uint64_t id)
{
	uint32_t at = task_place(q, id);

	return at < q->n && q->tasks[at]->id == id ? q->tasks[at] : NULL;
}

int queue_add(struct queue *q, const struct queue_task *t, const char *owner,
	      const char *executor, const char *type)
{
	struct queue_owner *o = queue_owner(q, owner);
	struct queue_task *copy;
	bool fresh = !o;

	if (!o)
		o = new_owner(q, owner);
	copy = o ? malloc(sizeof(*copy)) : NULL;
	if (!copy)
		return -ENOMEM;
	*copy = *t;
	copy->owner = o;
	copy->executor = strdup(executor);
	copy->type = strdup(type);
	if (!copy->executor || !copy->type ||
	    insert((void ***)&q->tasks, &q->n, &q->room, task_place(q, t->id), copy)) {
		free_task(copy);
		return -ENOMEM;
	}
	/* Who was away has not saved up. */
	if (idle(o) && (fresh || !q->loading) && o->used < least_used(q))
		o->used = least_used(q);
	o->queued += !t->running;
	o->running += t->running;
	q->running += t->running;
	return 0;
}

static uint32_t charge(const struct queue_task *t)
{
	return t->service_ms < 1000 ? 1000 : t->service_ms;
}

void queue_claim(struct queue *q, struct queue_task *t, uint64_t claim, int64_t now,
		 int64_t lease)
{
	t->running = true;
	t->claim = claim;
	t->started = now;
	t->lease = lease;
	t->owner->queued--;
	t->owner->running++;
	t->owner->used += charge(t);
	q->running++;
}

/* What it took beyond what was said is used, too. */
static void stop(struct queue *q, struct queue_task *t, int64_t now)
{
	if (now - t->started > charge(t))
		t->owner->used += (uint64_t)(now - t->started) - charge(t);
	t->owner->running--;
	q->running--;
}

void queue_back(struct queue *q, struct queue_task *t, int64_t now)
{
	stop(q, t, now);
	t->owner->queued++;
	t->running = false;
	t->lease = 0;
}

void queue_remove(struct queue *q, struct queue_task *t, int64_t now)
{
	uint32_t at = task_place(q, t->id);

	if (t->running)
		stop(q, t, now);
	else
		t->owner->queued--;
	memmove(q->tasks + at, q->tasks + at + 1, (q->n - at - 1) * sizeof(*q->tasks));
	q->n--;
	free_task(t);
}

/* ---- which one ---------------------------------------------------------------------- */

/* A clock that was set back has made nobody wait. */
static int64_t waited(const struct queue_task *t, int64_t now)
{
	return now > t->submitted ? now - t->submitted : 0;
}

uint32_t queue_tier(const struct queue_task *t, int64_t now)
{
	int64_t up = t->boost + waited(t, now) / NEXUS_TASK_TIER_MS;

	return up >= t->priority ? 0 : t->priority - (uint32_t)up;
}

bool queue_late(const struct queue_task *t, int64_t now)
{
	return t->deadline && t->deadline <= now;
}

static bool overdue(const struct queue_task *t, int64_t now)
{
	return waited(t, now) >= NEXUS_TASK_OVERDUE_MS;
}

/* Whether @a goes before @b. */
static bool before(const struct queue_task *a, const struct queue_task *b, int64_t now)
{
	uint64_t left, right;

	if (overdue(a, now) != overdue(b, now))
		return overdue(a, now);
	if (overdue(a, now) && a->submitted != b->submitted)
		return a->submitted < b->submitted;
	if (overdue(a, now))
		return a->id < b->id;
	if (queue_tier(a, now) != queue_tier(b, now))
		return queue_tier(a, now) < queue_tier(b, now);
	if (a->owner->used != b->owner->used)
		return a->owner->used < b->owner->used;
	/* wait / service, multiplied out; both are less than a day. */
	left = (uint64_t)waited(a, now) * b->service_ms;
	right = (uint64_t)waited(b, now) * a->service_ms;
	return left != right ? left > right : a->id < b->id;
}

static bool may_have(const struct queue_who *who, const struct queue_task *t)
{
	if (t->executor[0] && strcmp(t->executor, who->worker) != 0)
		return false;
	if (who->type[0] && strcmp(t->type, who->type) != 0)
		return false;
	return who->any || t->executor[0] || !strcmp(t->owner->name, who->worker);
}

struct queue_task *queue_next(const struct queue *q, const struct queue_who *who, int64_t now)
{
	struct queue_task *best = NULL, *t;
	uint32_t i;

	for (i = 0; i < q->n; i++) {
		t = q->tasks[i];
		if (t->running || t->owner->running >= q->running_max || queue_late(t, now))
			continue;
		/* The comparison first: most are not better, and it touches less. */
		if ((!best || before(t, best, now)) && may_have(who, t))
			best = t;
	}
	return best;
}

uint32_t queue_due(const struct queue *q, int64_t now, struct queue_task **due, uint32_t max)
{
	struct queue_task *t;
	uint32_t i, n = 0;

	for (i = 0; i < q->n && n < max; i++) {
		t = q->tasks[i];
		if (queue_late(t, now) || (t->running && t->lease <= now))
			due[n++] = t;
	}
	return n;
}
