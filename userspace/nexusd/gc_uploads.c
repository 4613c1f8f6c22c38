// SPDX-License-Identifier: Apache-2.0
/*
 * What was begun to be put in parts and never ended, as when a helper dies in the middle:
 * no listing of objects has it, and all the same it is paid for.
 *
 * Nothing needs it: the pack is put anew, from its beginning.  Only what somebody may be at
 * stays: the store leaves out what this helper is at, the time does for others.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gc.h"
#include "upload.h"

#define UPLOADS_MAX	(1u << 20)	/* of one zone */
#define BATCH		100u		/* aborted between two looks at whose the zone is */

struct gc_upload {
	char *key, *id;
	u64 pack;		/* 0: it is none */
	bool young;
};

static void upload_free(struct gc_upload *u)
{
	free(u->key);
	free(u->id);
}

void gc_uploads_free(struct gc_uploads *us)
{
	size_t i;

	for (i = us->at; i < us->n; i++)
		upload_free(&us->upload[i]);
	free(us->upload);
	free(us->token);
	*us = (struct gc_uploads){ .n = 0 };
}

/* As it is shown. */
static void name_of(const char *key, u64 pack, char name[GC_NAME_SIZE])
{
	if (pack)
		snprintf(name, GC_NAME_SIZE, "unfinished pack %llu", pack);
	else
		snprintf(name, GC_NAME_SIZE, "unfinished %.*s", (int)GC_NAME_SIZE - 20, key);
}

static int add(struct gc_uploads *us, const char *key, const char *id, u64 pack, bool young)
{
	size_t cap = us->cap ? us->cap * 2 : BATCH;
	struct gc_upload *more, *u;

	if (us->n == UPLOADS_MAX)
		return -E2BIG;
	if (us->n == us->cap) {
		more = realloc(us->upload, cap * sizeof(*more));
		if (!more)
			return -ENOMEM;
		us->upload = more;
		us->cap = cap;
	}
	u = &us->upload[us->n];
	*u = (struct gc_upload){ strdup(key), strdup(id), pack, young };
	if (!u->key || !u->id) {
		upload_free(u);
		return -ENOMEM;
	}
	us->n++;
	return 0;
}

static int note_upload(void *arg, const struct content_object *c, const char *id)
{
	struct gc *g = arg;
	struct gc_object o;
	char name[GC_NAME_SIZE];

	gc_count(g, &g->r.listed, 0);
	if (!gc_object_of(g, c, &o) || o.kind > GC_LOG) {
		name_of(c->key, 0, name);
		gc_count_named(g, GC_FOREIGN, name, 0);
		return 0;
	}
	if (o.kind != GC_PACK)
		g->later = NEXUS_MAX(g->later, gc_epoch_above(g, o.a));
	return add(&g->uploads, c->key, id, o.kind == GC_PACK ? o.a : 0, gc_is_young(g, o.kind, c->mtime));
}

int gc_uploads_list(struct gc *g, struct errline *err)
{
	struct gc_uploads *us = &g->uploads;
	int ret = 0;

	if (g->c->ops->uploads_page)
		ret = g->c->ops->uploads_page(g->c, &us->token, &g->now, note_upload, g);
	/* Who may not see them, or whose server has none of it, is told of the rest all the same. */
	if (ret == -EACCES)
		gc_count_failed(g, "the listing of unfinished uploads", ret);
	if (ret == -EACCES || ret == -EOPNOTSUPP)
		return 0;
	if (ret)
		return err_set(err, ret, "the listing of unfinished uploads: %s", strerror(-ret));
	return us->token != NULL;
}

static int end_upload(struct gc *g, const struct gc_upload *u, const char *name)
{
	int ret = g->c->ops->abort_upload(g->c, u->key, u->id);

	if (ret == -ESHUTDOWN)
		return ret;
	if (ret)
		gc_count_failed(g, name, ret);
	else
		gc_count(g, &g->r.deleted, 0);
	return 0;
}

static int consider(struct gc *g, const struct gc_upload *u)
{
	char name[GC_NAME_SIZE];

	/* It may have been begun here meanwhile. */
	if (u->pack && zone_upload_busy(g->z, u->pack))
		return 0;
	if (u->young) {
		gc_count(g, &g->r.young, 0);
		return 0;
	}
	name_of(u->key, u->pack, name);
	gc_count_named(g, GC_LEAKED, name, 0);
	return g->r.run ? end_upload(g, u, name) : 0;
}

int gc_uploads_sweep(struct gc *g, struct errline *err)
{
	struct gc_uploads *us = &g->uploads;
	size_t end = NEXUS_MIN(us->n, us->at + BATCH);
	int ret = us->at < end && g->r.run ? gc_owner_check(g->z, err) : 0;

	for (; !ret && us->at < end; us->at++) {
		ret = consider(g, &us->upload[us->at]);
		upload_free(&us->upload[us->at]);
	}
	return ret ? ret : us->at < us->n;
}
