// SPDX-License-Identifier: Apache-2.0
/* A checkpoint, out of the whole one it stands on and the increments behind that. */
#include "origin_delta.h"

#include <errno.h>
#include <string.h>

/* The objects of one step, as they are. */
static int get_step(struct content *c, const u8 *zone, const struct origin_checkpoint *cp,
		    const char *folder, FILE *spool, struct errline *err)
{
	struct origin_part p = {
		.epoch = cp->epoch, .lsn = cp->lsn,
		.kind = cp->delta ? NEXUS_STREAM_DELTA : NEXUS_STREAM_CHECKPOINT,
	};
	u64 bytes;
	u32 crc;
	int ret;

	memcpy(p.zone, zone, sizeof(p.zone));
	ret = origin_stream_get(c, folder, &p, spool, &bytes, &crc, err);
	if (!ret && (bytes != cp->put_bytes || crc != cp->put_crc || p.end != cp->end ||
		     p.incarnation != cp->incarnation || p.part + 1 != cp->parts))
		ret = err_set(err, -EUCLEAN, "objects %s: they are not those that the manifest names",
			      folder);
	return ret;
}

/* *@spool becomes what @delta makes of it. */
static int apply(FILE **spool, FILE *delta, const struct origin_checkpoint *cp, const char *folder,
		 const char *dir, struct errline *err)
{
	FILE *next = origin_stream_spool(dir);
	u64 bytes = 0;
	u32 crc = 0;
	int ret = next ? origin_delta_apply(*spool, delta, next, cp->bytes) : -errno;

	if (!ret)
		ret = origin_stream_sum(next, &bytes, &crc);
	if (!ret && (bytes != cp->bytes || crc != cp->crc))
		ret = -EUCLEAN;
	if (ret) {
		if (next)
			fclose(next);
		return err_set(err, ret, "objects %s: %s", folder, ret == -EUCLEAN ?
			       "with the checkpoint before they do not make the one that the manifest names" :
			       strerror(-ret));
	}
	fclose(*spool);
	*spool = next;
	return 0;
}

static int add_step(struct content *c, const u8 *zone, const struct origin_checkpoint *cp,
		    const char *dir, FILE **spool, struct errline *err)
{
	char folder[ORIGIN_FOLDER];
	FILE *got = origin_stream_spool(dir);
	int ret;

	if (!got)
		return err_set(err, -errno, "%s: %s", dir, strerror(errno));
	origin_checkpoint_folder(cp->epoch, cp->number, folder);
	ret = get_step(c, zone, cp, folder, got, err);
	if (!ret && cp->delta)
		ret = apply(spool, got, cp, folder, dir, err);
	if (ret || cp->delta)
		fclose(got);
	else
		*spool = got;
	return ret;
}

int origin_chain_get(struct content *c, const struct origin_manifest *m, u32 i, const char *dir,
		     FILE **spool, struct errline *err)
{
	const struct origin_base *base = &m->base[i];
	u32 n = base->n;
	int ret = 0;

	*spool = NULL;
	while (!ret && n)
		ret = add_step(c, m->zone, &base->step[--n], dir, spool, err);
	if (!ret)
		ret = add_step(c, m->zone, &m->checkpoint[i], dir, spool, err);
	if (ret && *spool) {
		fclose(*spool);
		*spool = NULL;
	}
	return ret;
}
