// SPDX-License-Identifier: Apache-2.0
/*
 * Checkpoints and stretches of the log, with the store.
 *
 * The order makes a death at any moment harmless: packs that the index names, parts of
 * the stream, the manifest that names it, and only then what no checkpoint of the manifest
 * needs goes.
 */
#include "origin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "presence.h"
#include "upload.h"

#define TRIES		3	/* the log may be used again while it is read */
#define NAMES_MAX	1000u
#define ROUNDS_MAX	64	/* of so many names, for a store that lists what is gone */

/* ---- packs ----------------------------------------------------------------------- */

static bool is_there(const struct origin *o, u64 pack)
{
	size_t lo = 0, hi = o->nthere;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (o->there[mid] < pack)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < o->nthere && o->there[lo] == pack;
}

static int put_pack(struct origin *o, u64 pack, struct errline *err)
{
	struct pack_image img;
	u32 i, away = 0;
	bool put;
	int ret;

	ret = pack_image_open(o->z->os, pack, o->z->sb.uuid, false, &img);
	/* It died since the index was taken. */
	if (ret == -ENOENT)
		return -ESTALE;
	if (ret)
		return err_set(err, ret, "pack %llu cannot be read: %s", pack, strerror(-ret));
	for (i = img.first; i < img.blocks; i++)
		away += pack_line_away(&img.table[i], pack);
	ret = content_put_pack(o->content, pack, img.fd, (u64)img.blocks << NEXUS_BLOCK_SHIFT,
			       away, &put);
	pack_image_close(&img);
	return !ret ? 0 : err_set(err, ret, "pack %llu cannot be put: %s", pack, ret == -ENODATA ?
				  "it is neither here, whole, nor there" : strerror(-ret));
}

static int put_packs(struct origin *o, struct taking *t, struct errline *err)
{
	size_t i;
	int ret = 0;

	for (i = 0; !ret && i < t->nsealed; i++)
		if (!is_there(o, t->sealed[i]))
			ret = put_pack(o, t->sealed[i], err);
	if (ret)
		return ret;
	free(o->there);
	o->there = t->sealed;
	o->nthere = t->nsealed;
	t->sealed = NULL;
	return 0;
}

/* ---- what nobody needs any more ---------------------------------------------------- */

struct old {
	const struct origin *o;
	char (*name)[CONTENT_NAME_MAX + 1];
	size_t n;
};

bool origin_needs(const struct origin_manifest *m, const char *name)
{
	u64 epoch, number;
	u32 i;

	if (origin_folder_parse(name, "checkpoint", &epoch, &number)) {
		for (i = 0; i < m->count; i++)
			if (m->checkpoint[i].epoch == epoch && m->checkpoint[i].number == number)
				return true;
	} else if (origin_folder_parse(name, "log", &epoch, &number)) {
		for (i = 0; i < m->count; i++)
			if (m->checkpoint[i].epoch == epoch && m->checkpoint[i].end <= number)
				return true;
	} else {
		return true;
	}
	return false;
}

static bool needed(const struct origin *o, const char *name)
{
	u64 epoch, number;

	if (origin_needs(&o->manifest, name))
		return true;
	/* Whoever came after us has its own. */
	return (origin_folder_parse(name, "checkpoint", &epoch, &number) ||
		origin_folder_parse(name, "log", &epoch, &number)) && epoch > o->owner.epoch;
}

static int note_old(void *arg, const char *name, __u64 bytes)
{
	struct old *old = arg;

	(void)bytes;
	if (needed(old->o, name) || strlen(name) > CONTENT_NAME_MAX)
		return 0;
	if (old->n == NAMES_MAX)
		return 1;
	strcpy(old->name[old->n++], name);
	return 0;
}

static void remove_old(struct origin *o, const char *prefix)
{
	struct old old = { .o = o, .name = calloc(NAMES_MAX, sizeof(*old.name)) };
	int round = 0;
	size_t i;

	/* Each fsync that waits for the store may have made one. */
	do {
		i = old.n = 0;
		if (old.name && o->content->ops->list_named(o->content, prefix, note_old, &old) >= 0)
			while (i < old.n && !atomic_load(&o->stop) &&
			       !o->content->ops->del_named(o->content, old.name[i]))
				i++;
	} while (i == NAMES_MAX && ++round < ROUNDS_MAX);
	free(old.name);
}

static void remove_dead(struct origin *o)
{
	const struct origin_manifest *m = &o->manifest;
	u64 oldest = m->checkpoint[m->count - 1].number;
	struct origin_dead **at, *d;
	int ret = 0;

	do {
		pthread_mutex_lock(&o->dead_lock);
		for (at = &o->dead; *at && (*at)->number >= oldest; at = &(*at)->next)
			;
		d = *at;
		if (d)
			*at = d->next;
		pthread_mutex_unlock(&o->dead_lock);
		/* With its mark, and behind what may still be put of it. */
		if (d && o->z->upload)
			zone_upload_forget(o->z, d->pack);
		else if (d)
			ret = o->content->ops->del(o->content, d->pack);
		if (ret)
			log_warn("zone %s: the copy of pack %llu, which is gone, stays with %s",
				 o->z->name, d->pack, o->content->ops->name);
		free(d);
	} while (d && !ret);
}

bool origin_forget(struct zone *z, u64 pack)
{
	struct origin *o = z->origin;
	struct origin_dead *d;
	bool named;

	if (!o)
		return false;
	d = malloc(sizeof(*d));
	if (!d)
		return true;
	pthread_mutex_lock(&o->dead_lock);
	*d = (struct origin_dead){ o->dead, pack, o->number };
	named = !o->numbered || o->number != 0;
	if (named)
		o->dead = d;
	pthread_mutex_unlock(&o->dead_lock);
	if (!named)
		free(d);
	return named;
}

bool origin_keeps(struct zone *z, u64 pack)
{
	struct origin *o = z->origin;
	struct origin_dead *d;

	if (!o)
		return false;
	pthread_mutex_lock(&o->dead_lock);
	for (d = o->dead; d && d->pack != pack; d = d->next)
		;
	pthread_mutex_unlock(&o->dead_lock);
	return d;
}

/* ---- the manifest ------------------------------------------------------------------ */

/* It was written by us, or by somebody else, while we did not know. */
static int changed_manifest(struct origin *o, const struct nexus_origin_manifest *mine,
			    struct errline *err)
{
	u8 buf[sizeof(*mine) + 1];
	ssize_t n = o->content->ops->get_named(o->content, ORIGIN_MANIFEST, 0, buf, sizeof(buf),
					       o->manifest_etag);
	int ret;

	if (n == (ssize_t)sizeof(*mine) && !memcmp(buf, mine, sizeof(*mine)))
		return 0;
	ret = owner_renew(&o->owner, (u64)time(NULL), err);
	if (ret)
		return ret;
	/* An owner before us, at the last moment. */
	if (n < 0 || origin_manifest_parse(buf, (size_t)n, &o->manifest))
		o->manifest.count = 0;
	return err_set(err, -EAGAIN, "object " ORIGIN_MANIFEST " was changed by somebody else");
}

static int put_manifest(struct origin *o, const struct origin_checkpoint *cp, struct errline *err)
{
	struct origin_manifest m = {
		.epoch = o->owner.epoch, .number = cp->number, .count = 1, .checkpoint[0] = *cp,
	};
	struct nexus_origin_manifest raw;
	enum content_cond cond = o->manifest_etag[0] ? CONTENT_MATCH : CONTENT_ABSENT;
	int ret = owner_renew(&o->owner, (u64)time(NULL), err);

	if (ret)
		return ret;
	memcpy(m.zone, o->owner.zone, sizeof(m.zone));
	if (o->manifest.count)
		m.checkpoint[m.count++] = o->manifest.checkpoint[0];
	origin_manifest_encode(&m, &raw);
	ret = o->content->ops->put_named(o->content, ORIGIN_MANIFEST, &raw, sizeof(raw),
					 o->owner.unfenced ? CONTENT_ANY : cond, o->manifest_etag);
	if (ret == -EEXIST)
		ret = changed_manifest(o, &raw, err);
	else if (ret)
		err_set(err, ret, "object " ORIGIN_MANIFEST ": %s", strerror(-ret));
	if (!ret)
		o->manifest = m;
	return ret;
}

/* ---- one checkpoint ---------------------------------------------------------------- */

static int take_all(struct taking *t, struct zone *z, struct seg_cursor *c)
{
	int ret = taking_begin(t, z);

	if (!ret)
		ret = take_index(t);
	if (!ret)
		ret = seglog_scan(&t->log);
	if (!ret && seg_cursor_seek(c, &t->log, t->incarnation, t->log_from))
		/* Of a new incarnation nothing was written yet. */
		*c = (struct seg_cursor){ .incarnation = t->incarnation };
	if (!ret)
		ret = take_log(t, c);
	if (!ret)
		ret = take_open(t);
	if (!ret)
		ret = take_alloc(t);
	return ret ? ret : origin_stream_end(&t->out);
}

static int put_checkpoint(struct origin *o, struct taking *t, u64 number, struct errline *err)
{
	struct origin_part p = {
		.epoch = o->owner.epoch, .lsn = t->lsn, .end = t->end,
		.incarnation = t->incarnation, .kind = NEXUS_STREAM_CHECKPOINT,
	};
	struct origin_checkpoint cp = {
		.epoch = p.epoch, .number = number, .lsn = p.lsn, .end = p.end,
		.incarnation = p.incarnation, .time_s = (u64)time(NULL),
	};
	char folder[ORIGIN_FOLDER];
	int ret;

	memcpy(p.zone, o->owner.zone, sizeof(p.zone));
	origin_checkpoint_folder(p.epoch, number, folder);
	ret = origin_stream_put(&t->out, o->content, folder, &p, o->part_bytes, &cp.bytes, &cp.parts,
			 &cp.crc);
	if (ret)
		return err_set(err, ret, "object %s%06x: %s", folder, cp.parts, strerror(-ret));
	return put_manifest(o, &cp, err);
}

static int checkpoint_once(struct origin *o, struct errline *err)
{
	struct seg_cursor c = { .log = NULL };
	struct taking t;
	u64 number;
	int ret;

	pthread_mutex_lock(&o->dead_lock);
	number = ++o->number;
	pthread_mutex_unlock(&o->dead_lock);
	ret = take_all(&t, o->z, &c);
	if (ret && ret != -ESTALE)
		err_set(err, ret, "what a checkpoint is made of cannot be read: %s", strerror(-ret));
	if (!ret)
		ret = put_packs(o, &t, err);
	if (!ret)
		ret = put_checkpoint(o, &t, number, err);
	if (!ret) {
		o->cursor = c;
		o->end = t.end;
	}
	taking_end(&t);
	return ret;
}

int origin_checkpoint(struct origin *o, struct errline *err)
{
	int i, ret = -ESTALE;

	for (i = 0; ret == -ESTALE && i < TRIES && !atomic_load(&o->fenced); i++) {
		err->msg[0] = '\0';
		ret = checkpoint_once(o, err);
		/* Only another owner has a line with it. */
		if (ret == -ESTALE && err->msg[0]) {
			origin_fence(o, err->msg);
			return -EROFS;
		}
	}
	if (ret == -ESTALE)
		return err_set(err, -EAGAIN, "the log was used again while it was read");
	if (ret)
		return ret;
	remove_old(o, "checkpoint/");
	remove_old(o, "log/");
	remove_dead(o);
	return 0;
}

int origin_log(struct origin *o, struct errline *err)
{
	struct origin_part p = {
		.epoch = o->owner.epoch, .lsn = o->end, .kind = NEXUS_STREAM_LOG,
	};
	struct seg_cursor c = o->cursor;
	char folder[ORIGIN_FOLDER];
	u64 bytes;
	u32 parts = 0, crc;
	struct taking t;
	int ret = taking_begin(&t, o->z);

	t.end = o->end;
	t.incarnation = c.incarnation;
	/* The first batch of an incarnation comes after its first checkpoint. */
	if (!ret && !c.segment)
		ret = seglog_scan(&t.log);
	if (!ret && !c.segment && seg_cursor_seek(&c, &t.log, c.incarnation, o->end))
		ret = -ESTALE;
	if (!ret)
		ret = take_log(&t, &c);
	if (!ret)
		ret = take_alloc(&t);
	if (!ret)
		ret = origin_stream_end(&t.out);
	p.end = t.end;
	p.incarnation = t.incarnation;
	memcpy(p.zone, o->owner.zone, sizeof(p.zone));
	origin_log_folder(p.epoch, p.lsn, folder);
	if (!ret)
		ret = origin_stream_put(&t.out, o->content, folder, &p, o->part_bytes, &bytes, &parts, &crc);
	if (!ret) {
		o->cursor = c;
		o->end = t.end;
	}
	taking_end(&t);
	return !ret ? 0 : err_set(err, ret, "object %s%06x: %s", folder, parts, strerror(-ret));
}
