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

#include "space.h"
#include "upload.h"

#define TRIES		3	/* the log may be used again while it is read */

/* ---- the manifest ------------------------------------------------------------------ */

/* It was written by us, or by somebody else, while we did not know. */
static int changed_manifest(struct origin *o, const u8 *mine, size_t len, struct errline *err)
{
	u8 buf[ORIGIN_MANIFEST_BYTES + 1];
	ssize_t n = o->content->ops->get_named(o->content, ORIGIN_MANIFEST, 0, buf, sizeof(buf),
					       o->manifest_etag);
	int ret;

	if (n == (ssize_t)len && !memcmp(buf, mine, len))
		return 0;
	ret = owner_renew(&o->owner, (u64)time(NULL), err);
	if (ret)
		return ret;
	/* An owner before us, at the last moment. */
	if (n < 0 || origin_manifest_parse(buf, (size_t)n, &o->manifest))
		o->manifest.count = 0;
	return err_set(err, -EAGAIN, "object " ORIGIN_MANIFEST " was changed by somebody else");
}

/* An increment stands on the older of the two, which goes; so the two have nothing in common. */
static void next_manifest(const struct origin *o, const struct origin_checkpoint *cp,
			  struct origin_manifest *m)
{
	const struct origin_manifest *now = &o->manifest;
	const struct origin_base *base = &now->base[NEXUS_MANIFEST_MAX - 1];

	*m = (struct origin_manifest){
		.epoch = o->owner.epoch, .number = cp->number, .count = 1, .checkpoint[0] = *cp,
	};
	memcpy(m->zone, o->owner.zone, sizeof(m->zone));
	if (cp->delta) {
		m->base[0].n = base->n + 1;
		m->base[0].step[0] = now->checkpoint[NEXUS_MANIFEST_MAX - 1];
		memcpy(&m->base[0].step[1], base->step, base->n * sizeof(base->step[0]));
	}
	if (now->count) {
		m->base[m->count] = now->base[0];
		m->checkpoint[m->count++] = now->checkpoint[0];
	}
}

static int put_manifest(struct origin *o, const struct origin_checkpoint *cp, struct errline *err)
{
	enum content_cond cond = o->manifest_etag[0] ? CONTENT_MATCH : CONTENT_ABSENT;
	int ret = owner_renew(&o->owner, (u64)time(NULL), err);
	u8 raw[ORIGIN_MANIFEST_BYTES];
	struct origin_manifest m;
	size_t len;

	if (ret)
		return ret;
	next_manifest(o, cp, &m);
	len = origin_manifest_encode(&m, raw);
	ret = o->content->ops->put_named(o->content, ORIGIN_MANIFEST, raw, len,
					 o->owner.unfenced ? CONTENT_ANY : cond, o->manifest_etag);
	if (ret == -EEXIST)
		ret = changed_manifest(o, raw, len, err);
	else if (ret)
		err_set(err, ret, "object " ORIGIN_MANIFEST ": %s", strerror(-ret));
	if (!ret) {
		o->manifest = m;
		atomic_store(&o->manifested, true);
	}
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

/*
 * What is put: *@out is the increment if there is one, which is less than what the chain may
 * grow by; else the whole stream.
 */
static int choose(struct origin *o, struct taking *t, struct origin_checkpoint *cp,
		  struct origin_stream_out *delta, struct origin_stream_out **out)
{
	int ret = origin_stream_sum(t->out.spool, &cp->bytes, &cp->crc);

	*out = &t->out;
	if (ret || !origin_increment(o, t, cp->bytes, delta))
		return ret;
	cp->delta = true;
	*out = delta;
	return 0;
}

static int put_checkpoint(struct origin *o, struct taking *t, u64 number, struct errline *err)
{
	struct origin_checkpoint cp = {
		.epoch = o->owner.epoch, .number = number, .lsn = t->lsn, .end = t->end,
		.incarnation = t->incarnation, .time_s = (u64)time(NULL),
	};
	struct origin_part p = {
		.epoch = cp.epoch, .lsn = cp.lsn, .end = cp.end, .incarnation = cp.incarnation,
	};
	struct origin_stream_out delta = { .spool = NULL }, *out;
	u64 begun = space_clock();
	char folder[ORIGIN_FOLDER];
	int ret = choose(o, t, &cp, &delta, &out);

	if (ret)
		return err_set(err, ret, "a checkpoint cannot be read again: %s", strerror(-ret));
	p.kind = cp.delta ? NEXUS_STREAM_DELTA : NEXUS_STREAM_CHECKPOINT;
	p.naming = t->naming;
	memcpy(p.zone, o->owner.zone, sizeof(p.zone));
	origin_checkpoint_folder(p.epoch, number, folder);
	ret = origin_stream_put(out, o->content, folder, &p, o->part_bytes, &cp.put_bytes,
				&cp.parts, &cp.put_crc);
	if (delta.spool)
		fclose(delta.spool);
	if (ret)
		return err_set(err, ret, "object %s%06x: %s", folder, cp.parts, strerror(-ret));
	ret = put_manifest(o, &cp, err);
	if (ret)
		return ret;
	log_debug("zone %s: checkpoint %llu, %s: %llu of %llu bytes put, %llu ms", o->z->name, number,
		  cp.delta ? "an increment" : "whole", cp.put_bytes, cp.bytes,
		  (space_clock() - begun) / 1000000);
	origin_keep_stream(o, &cp, t);
	return 0;
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
		ret = origin_put_packs(o, &t, err);
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
		/* Without the streams of those before there may be room for a whole one. */
		if (ret == -ENOSPC && origin_drop_streams(o)) {
			ret = -ESTALE;
			err->msg[0] = '\0';
		}
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
	origin_tidy(o);
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
	p.naming = t.naming;
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
