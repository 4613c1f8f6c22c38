// SPDX-License-Identifier: Apache-2.0
/*
 * When a checkpoint is put as an increment, and on which one.
 *
 * On the one before the last, so that the two of the manifest never have an object in
 * common: what is wrong with one of them is not wrong with the other.
 */
#include "origin.h"

#include <string.h>

#include "origin_delta.h"

static bool same(const struct origin_checkpoint *a, const struct origin_checkpoint *b)
{
	return a->epoch == b->epoch && a->number == b->number && a->bytes == b->bytes &&
	       a->crc == b->crc && a->put_crc == b->put_crc;
}

static struct origin_stream_kept *kept_of(struct origin *o, const struct origin_checkpoint *cp)
{
	size_t i;

	for (i = 0; i < NEXUS_MANIFEST_MAX; i++)
		if (o->kept[i].spool && same(&o->kept[i].cp, cp))
			return &o->kept[i];
	return NULL;
}

static void drop(struct origin_stream_kept *k)
{
	if (k->spool)
		fclose(k->spool);
	k->spool = NULL;
}

bool origin_drop_streams(struct origin *o)
{
	bool any = false;
	size_t i;

	for (i = 0; i < NEXUS_MANIFEST_MAX; i++) {
		any |= o->kept[i].spool != NULL;
		drop(&o->kept[i]);
	}
	return any;
}

/* Of all increments of a chain, with the one at its top. */
static u64 increments(const struct origin_checkpoint *top, const struct origin_base *base)
{
	u64 sum = top->delta ? top->put_bytes : 0;
	u32 i;

	for (i = 0; i < base->n; i++)
		sum += base->step[i].delta ? base->step[i].put_bytes : 0;
	return sum;
}

/* What it would stand on; NULL: there is none, or its chain is long enough. */
static struct origin_stream_kept *find_base(struct origin *o)
{
	const struct origin_manifest *m = &o->manifest;
	const u32 last = NEXUS_MANIFEST_MAX - 1;

	if (m->count != NEXUS_MANIFEST_MAX || m->checkpoint[last].epoch != o->owner.epoch ||
	    m->base[last].n + 2 > NEXUS_CHAIN_MAX)
		return NULL;
	return kept_of(o, &m->checkpoint[last]);
}

static int make(struct origin_stream_kept *base, struct taking *t, struct origin_stream_out *out,
		u64 *bytes)
{
	u32 crc;
	int ret = origin_stream_sum(base->spool, bytes, &crc);

	/* What the disk gives now is not what was put. */
	if (!ret && (*bytes != base->cp.bytes || crc != base->cp.crc))
		ret = -EUCLEAN;
	if (!ret)
		ret = origin_delta_make(base->spool, t->out.spool, out);
	return ret ? ret : origin_stream_sum(out->spool, bytes, &crc);
}

bool origin_increment(struct origin *o, struct taking *t, u64 bytes, struct origin_stream_out *out)
{
	const u32 last = NEXUS_MANIFEST_MAX - 1;
	struct origin_stream_kept *base = find_base(o);
	u64 own, all;
	int ret;

	if (!base)
		return false;
	out->spool = origin_stream_spool(o->z->dir);
	ret = out->spool ? make(base, t, out, &own) : -errno;
	if (ret) {
		log_warn("zone %s: a checkpoint is put whole: its increment cannot be made: %s",
			 o->z->name, strerror(-ret));
		origin_drop_streams(o);
	} else {
		all = own + increments(&o->manifest.checkpoint[last], &o->manifest.base[last]);
		if (all <= bytes / 100 * o->share)
			return true;
	}
	if (out->spool)
		fclose(out->spool);
	out->spool = NULL;
	return false;
}

void origin_keep_stream(struct origin *o, const struct origin_checkpoint *cp, struct taking *t)
{
	const struct origin_manifest *m = &o->manifest;
	struct origin_stream_kept *to = NULL;
	size_t i;

	/* Of what is no longer in the manifest there is nothing to be made. */
	for (i = 0; i < NEXUS_MANIFEST_MAX; i++) {
		struct origin_stream_kept *k = &o->kept[i];

		if (m->count < 2 || !k->spool || !same(&k->cp, &m->checkpoint[1])) {
			drop(k);
			to = k;
		}
	}
	if (!to)
		return;
	*to = (struct origin_stream_kept){ .cp = *cp, .spool = t->out.spool };
	t->out.spool = NULL;
}
