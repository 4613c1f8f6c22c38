// SPDX-License-Identifier: Apache-2.0
/*
 * Who wants an event: patterns are found by the folder they are about, so that it takes
 * a lookup for each name of the path, however many subscribers there are.
 */
#include <string.h>

#include "bus.h"

void index_add(struct bus *b, struct bus_subscriber *sub)
{
	struct bus_pattern **bucket;
	uint32_t i;

	for (i = 0; i < sub->npatterns; i++) {
		bucket = &b->buckets[sub->patterns[i].hash % BUS_BUCKETS];
		sub->patterns[i].sub = sub;
		sub->patterns[i].next = *bucket;
		*bucket = &sub->patterns[i];
	}
}

void index_remove(struct bus *b, struct bus_subscriber *sub)
{
	struct bus_pattern **pp;
	uint32_t i;

	for (i = 0; i < sub->npatterns; i++) {
		for (pp = &b->buckets[sub->patterns[i].hash % BUS_BUCKETS];
		     *pp != &sub->patterns[i]; pp = &(*pp)->next)
			;
		*pp = sub->patterns[i].next;
	}
}

/* All but the path. */
static bool wants_kind(const struct bus_subscriber *sub, const struct nexus_bus_event *e)
{
	return (sub->types >> e->type & 1) &&
	       (!sub->zone_len || (sub->zone_len == e->zone_len &&
				   !memcmp(sub->zone, e->zone, e->zone_len)));
}

static size_t find_key(struct bus *b, const struct nexus_bus_event *e, uint64_t hash, const char *path,
		       size_t key, size_t len, struct bus_subscriber **found, size_t n)
{
	struct bus_pattern *p;

	for (p = b->buckets[hash % BUS_BUCKETS]; p; p = p->next) {
		if (p->hash != hash || p->key_len != key || p->sub->stamp == b->stamp ||
		    memcmp(p->text, path, key) || !wants_kind(p->sub, e) ||
		    !pattern_match(p, path, len))
			continue;
		p->sub->stamp = b->stamp;
		found[n++] = p->sub;
	}
	return n;
}

static size_t find_path(struct bus *b, const struct nexus_bus_event *e, const char *path, size_t len,
			struct bus_subscriber **found, size_t n)
{
	uint64_t hash = PATTERN_HASH;
	size_t i;

	for (i = 0; i <= len && i <= NEXUS_EVENT_PATTERN_MAX; i++) {
		if (i == len || path[i] == '/')
			n = find_key(b, e, hash, path, i, len, found, n);
		if (i < len)
			hash = pattern_hash(hash, path + i, 1);
	}
	return n;
}

size_t index_find(struct bus *b, const struct nexus_bus_event *e, struct bus_subscriber **found)
{
	size_t n = 0;
	uint32_t i;

	for (i = 0; e->kind == NEXUS_EVENT_MISSED && i < NEXUS_EVENT_SUBSCRIBERS_MAX; i++)
		if (b->subs[i])
			found[n++] = b->subs[i];
	if (e->kind == NEXUS_EVENT_MISSED)
		return n;
	b->stamp++;
	n = find_path(b, e, e->path, e->path_len, found, 0);
	if (e->new_path_len)
		n = find_path(b, e, e->new_path, e->new_path_len, found, n);
	return n;
}

bool subscriber_wants(const struct bus_subscriber *sub, const struct nexus_bus_event *e)
{
	uint32_t i;

	if (e->kind == NEXUS_EVENT_MISSED)
		return true;
	if (!wants_kind(sub, e))
		return false;
	for (i = 0; i < sub->npatterns; i++)
		if (pattern_match(&sub->patterns[i], e->path, e->path_len) ||
		    (e->new_path_len &&
		     pattern_match(&sub->patterns[i], e->new_path, e->new_path_len)))
			return true;
	return false;
}
