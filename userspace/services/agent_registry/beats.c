// SPDX-License-Identifier: Apache-2.0
/* Who lives, in memory. */
#include "agents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int beats_init(struct beats *b, uint32_t n_buckets)
{
	*b = (struct beats){ .n_buckets = n_buckets };
	b->buckets = calloc(n_buckets, sizeof(*b->buckets));
	return b->buckets ? 0 : -ENOMEM;
}

static struct beat **bucket(const struct beats *b, const char *id)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (; *id; id++)
		hash = (hash ^ (uint8_t)*id) * 0x100000001b3ull;
	return &b->buckets[(hash ^ hash >> 32) & (b->n_buckets - 1)];
}

/* Where it is, or would be. */
static struct beat **place(const struct beats *b, const char *id)
{
	struct beat **p;

	for (p = bucket(b, id); *p && strcmp((*p)->id, id) != 0; p = &(*p)->next)
		;
	return p;
}

struct beat *beats_find(const struct beats *b, const char *id)
{
	return *place(b, id);
}

struct beat *beats_add(struct beats *b, const char *id, const char *owner)
{
	size_t id_size = strlen(id) + 1, owner_size = strlen(owner) + 1;
	struct beat *beat = calloc(1, sizeof(*beat) + id_size + owner_size);
	struct beat **p;

	if (!beat)
		return NULL;
	memcpy(beat->id, id, id_size);
	beat->owner = memcpy(beat->id + id_size, owner, owner_size);
	p = bucket(b, id);
	beat->next = *p;
	*p = beat;
	b->count++;
	return beat;
}

static void drop(struct beats *b, struct beat **p)
{
	struct beat *beat = *p;

	*p = beat->next;
	b->count--;
	b->pending -= beat->seen != beat->written;
	free(beat);
}

void beats_drop(struct beats *b, const char *id)
{
	struct beat **p = place(b, id);

	if (*p)
		drop(b, p);
}

void beats_trim(struct beats *b)
{
	struct beat **p;
	uint32_t i;

	for (i = 0; i < b->n_buckets; i++)
		for (p = &b->buckets[i]; *p;) {
			if ((*p)->seen == (*p)->written)
				drop(b, p);
			else
				p = &(*p)->next;
		}
}

void beats_end(struct beats *b)
{
	uint32_t i;

	for (i = 0; b->buckets && i < b->n_buckets; i++)
		while (b->buckets[i])
			drop(b, &b->buckets[i]);
	free(b->buckets);
	b->buckets = NULL;
}

static void set(struct beats *b, struct beat *beat, int64_t seen, int64_t written)
{
	b->pending -= beat->seen != beat->written;
	beat->seen = seen;
	beat->written = written;
	b->pending += seen != written;
}

void beats_seen(struct beats *b, struct beat *beat, int64_t seen)
{
	set(b, beat, seen, beat->written);
}

void beats_written(struct beats *b, struct beat *beat, int64_t seen)
{
	set(b, beat, beat->seen, seen);
}

void beats_pending(struct beats *b, bool (*each)(struct beat *beat, void *arg), void *arg)
{
	struct beat *beat;
	uint32_t i;

	for (i = 0; i < b->n_buckets; i++)
		for (beat = b->buckets[i]; beat; beat = beat->next)
			if (beat->seen != beat->written && !each(beat, arg))
				return;
}
