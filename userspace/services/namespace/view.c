// SPDX-License-Identifier: Apache-2.0
#include "view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int view_add(struct view_maker *m, const char *id)
{
	char key[KEY_SIZE];
	bool readonly;
	char **more;
	uint32_t room;

	if (path_id(id, key)) {
		m->ignored++;
		return 0;
	}
	switch (path_rule(key, &readonly)) {
	case NEXUS_NAMESPACE_ADMIN_ONLY:
	case NEXUS_NAMESPACE_OTHER_ZONE:
		/* Not visible whatever is granted, and so no way to it, either. */
		return 0;
	default:
		break;
	}
	if (m->n == NEXUS_NAMESPACE_ENTRIES_MAX)
		return -ENOSPC;
	if (m->n == m->room) {
		room = m->room ? m->room * 2 : 64;
		more = realloc(m->keys, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		m->keys = more;
		m->room = room;
	}
	m->keys[m->n] = strdup(key);
	if (!m->keys[m->n])
		return -ENOMEM;
	m->n++;
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return path_cmp(*(char *const *)a, *(char *const *)b);
}

/* What is below another one goes; bytes of those left. */
static size_t subsume(struct view_maker *m)
{
	uint32_t i, n = 0;
	size_t bytes = 0;

	if (m->n)
		qsort(m->keys, m->n, sizeof(*m->keys), by_path);
	for (i = 0; i < m->n; i++) {
		if (n && path_at_or_below(m->keys[n - 1], m->keys[i])) {
			free(m->keys[i]);
			continue;
		}
		m->keys[n++] = m->keys[i];
		bytes += strlen(m->keys[i]) + 1;
	}
	m->n = n;
	return bytes;
}

struct view *view_make(struct view_maker *m)
{
	size_t text = subsume(m), table = m->n * sizeof(char *), len;
	struct view *v = calloc(1, sizeof(*v) + table + text);
	char *to;
	uint32_t i;

	if (v) {
		atomic_init(&v->refs, 1);
		v->bytes = sizeof(*v) + table + text;
		v->ignored = m->ignored;
		v->n = m->n;
		v->keys = (const char **)(v + 1);
		to = (char *)(v + 1) + table;
		for (i = 0; i < m->n; i++) {
			len = strlen(m->keys[i]) + 1;
			v->keys[i] = memcpy(to, m->keys[i], len);
			to += len;
		}
	}
	view_maker_end(m);
	return v;
}

void view_maker_end(struct view_maker *m)
{
	uint32_t i;

	for (i = 0; i < m->n; i++)
		free(m->keys[i]);
	free(m->keys);
	memset(m, 0, sizeof(*m));
}

struct view *view_get(struct view *v)
{
	atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
	return v;
}

void view_put(struct view *v)
{
	if (v && atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) == 1)
		free(v);
}

bool view_same(const struct view *a, const struct view *b)
{
	uint32_t i;

	if (a->n != b->n || a->unknown != b->unknown)
		return false;
	for (i = 0; i < a->n; i++)
		if (strcmp(a->keys[i], b->keys[i]))
			return false;
	return true;
}

/* The first entry that is not in front of @key, or (@behind) not @key either. */
static uint32_t find(const struct view *v, const char *key, bool behind)
{
	uint32_t low = 0, high = v->n, mid;
	int c;

	while (low < high) {
		mid = low + (high - low) / 2;
		c = path_cmp(v->keys[mid], key);
		if (c < 0 || (behind && !c))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* As none is below another one, it can only be the last that is not behind @key. */
const char *view_cover(const struct view *v, const char *key)
{
	uint32_t i = find(v, key, true);

	return i && path_at_or_below(v->keys[i - 1], key) ? v->keys[i - 1] : NULL;
}

bool view_leads(const struct view *v, const char *key)
{
	uint32_t i = find(v, key, true);

	return i < v->n && path_at_or_below(key, v->keys[i]);
}

uint32_t view_behind(const struct view *v, const char *key)
{
	return key ? find(v, key, true) : 0;
}
