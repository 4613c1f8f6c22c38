// SPDX-License-Identifier: Apache-2.0
#include "restore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "origin_delta.h"
#include "owner.h"
#include "rebuild.h"

struct restoring {
	const struct config *cfg;
	const struct restore_args *args;
	struct restored *done;
	struct errline *err;
	atomic_bool own_stop;
	atomic_bool *stop;
	struct content *c;
	struct origin_manifest m;
	struct owner o;
	bool owned;
	struct store_new new;
	struct rebuild b;
};

/* ---- manifest and owner ------------------------------------------------------------ */

static int read_manifest(struct restoring *r)
{
	u8 buf[ORIGIN_MANIFEST_BYTES + 1];
	char why[320];
	ssize_t n = r->c->ops->get_named(r->c, ORIGIN_MANIFEST, 0, buf, sizeof(buf), NULL);
	int ret = n < 0 ? (int)n : origin_manifest_parse(buf, (size_t)n, &r->m);

	if (!ret)
		return 0;
	return err_set(r->err, ret, "object " ORIGIN_MANIFEST ": %s",
		       ret == -ENOENT ? "there is none, so there is nothing to restore from" :
		       ret == -EUCLEAN ? "it is damaged" :
		       ret == -EPROTONOSUPPORT ? "it is of a newer nexusfs" :
		       n < 0 ? content_why(r->c, ret, why, sizeof(why)) : strerror(-ret));
}

static int become_owner(struct restoring *r)
{
	struct errline *err = r->err;
	struct owner *o = &r->o;
	bool known;
	int ret;

	o->c = r->c;
	o->unfenced = r->cfg->content_unfenced;
	memcpy(o->zone, r->m.zone, sizeof(o->zone));
	ret = owner_token(r->new.dir, o, &known);
	if (ret)
		return err_set(err, ret, "%s/" OWNER_FILE ": %s", r->new.dir, strerror(-ret));
	if (!o->unfenced) {
		ret = owner_probe(o);
		if (ret)
			return err_set(err, ret, ret == -EOPNOTSUPP ?
				       "%s has no conditional writes: two machines could write to one zone; --unfenced allows it" :
				       "%s cannot be written to", r->c->ops->name);
	}
	ret = owner_take(o, r->m.epoch, 0, r->args->take_over, (u64)time(NULL), err);
	if (ret == -EBUSY) {
		char who[400];

		snprintf(who, sizeof(who), "%.399s", err->msg);
		return err_set(err, ret, "%s; if that machine is lost, --take-over makes this one the owner", who);
	}
	r->done->epoch = o->epoch;
	r->owned = !ret;
	if (!ret)
		owner_keep(r->new.dir, true);
	return ret ? ret : owner_saw(r->new.dir, o, r->m.epoch, r->m.number);
}

/* ---- streams ------------------------------------------------------------------------ */

/* A line more of what was left out. */
static void note(struct restoring *r, const char *what)
{
	size_t len = strlen(r->done->note);

	snprintf(r->done->note + len, sizeof(r->done->note) - len, "%s%.250s", len ? "; " : "", what);
}

/* The newest that is whole; -ENODATA: none is. */
static int pick_checkpoint(struct restoring *r, struct origin_checkpoint **cp, FILE **spool)
{
	char why[600];
	u32 i;
	int ret;

	for (i = 0; i < r->m.count; i++) {
		*cp = &r->m.checkpoint[i];
		ret = origin_chain_get(r->c, &r->m, i, r->new.dir, spool, r->err);
		if (!ret)
			return 0;
		if (ret != -ENOENT && ret != -EUCLEAN && ret != -EPROTONOSUPPORT)
			return ret;
		snprintf(why, sizeof(why), "checkpoint %llu: %s", (*cp)->number, r->err->msg);
		note(r, why);
		r->err->msg[0] = '\0';
	}
	return err_set(r->err, -ENODATA, "no checkpoint is whole: %.450s", r->done->note);
}

/* 1: one more stretch is part of the zone; 0: there is none that follows. */
static int add_log(struct restoring *r, const struct origin_checkpoint *cp, u64 *end)
{
	struct origin_part p = { .epoch = cp->epoch, .lsn = *end, .kind = NEXUS_STREAM_LOG };
	FILE *spool = origin_stream_spool(r->new.dir);
	char folder[ORIGIN_FOLDER];
	u64 bytes;
	u32 crc;
	int ret;

	if (!spool)
		return -errno;
	memcpy(p.zone, r->m.zone, sizeof(p.zone));
	origin_log_folder(cp->epoch, *end, folder);
	ret = origin_stream_get(r->c, folder, &p, spool, &bytes, &crc, r->err);
	if (!ret && (p.incarnation != cp->incarnation || p.end <= *end)) {
		err_set(r->err, -EUCLEAN, "objects %s: of another incarnation", folder);
		ret = -EUCLEAN;
	}
	if (ret == -EUCLEAN || ret == -EPROTONOSUPPORT)
		note(r, r->err->msg);
	if (ret == -EUCLEAN || ret == -EPROTONOSUPPORT || ret == -ENOENT) {
		r->err->msg[0] = '\0';
		fclose(spool);
		return 0;
	}
	if (!ret)
		ret = rebuild_log(&r->b, spool, r->err);
	fclose(spool);
	if (ret == -ENODATA) {
		note(r, r->err->msg);
		r->err->msg[0] = '\0';
		return 0;
	}
	*end = p.end;
	return ret ? ret : 1;
}

static int fill(struct restoring *r)
{
	struct origin_checkpoint *cp = NULL;
	FILE *spool = NULL;
	u64 end;
	int ret = pick_checkpoint(r, &cp, &spool);

	if (ret)
		return ret;
	end = cp->end;
	ret = rebuild_begin(&r->b, r->cfg, &r->new, r->c, r->m.zone, spool, r->err);
	if (!ret)
		do {
			ret = add_log(r, cp, &end);
		} while (ret == 1);
	if (!ret)
		ret = rebuild_end(&r->b, spool, r->err);
	rebuild_free(&r->b);
	fclose(spool);
	r->done->checkpoint = cp->lsn;
	r->done->time_s = cp->time_s;
	r->done->end = end;
	r->done->packs = r->b.npacks;
	return ret;
}

static int interrupted(const struct restoring *r)
{
	return err_set(r->err, -EINTR, "zone %s was not restored: that was interrupted", r->args->name);
}

/* After a failure: whoever tries again is another. */
static void give_back(struct restoring *r)
{
	char why[sizeof(r->err->msg)];

	/* Who asks for the second time does not want this, either. */
	atomic_store(r->stop, false);
	if (!r->owned || !owner_release(&r->o, (u64)time(NULL), NULL))
		return;
	snprintf(why, sizeof(why), "%.380s", r->err->msg);
	err_set(r->err, 0, "%s; the content store stays owned by this machine: --take-over is needed next time", why);
}

int zone_restore(const struct config *cfg, const struct restore_args *args, struct restored *done,
		 struct errline *err)
{
	struct restoring r = { .cfg = cfg, .args = args, .done = done, .err = err };
	int ret;

	memset(done, 0, sizeof(*done));
	r.stop = args->stop ? args->stop : &r.own_stop;
	ret = content_open(args->spec, NULL, r.stop, &r.c, err);
	if (!ret && (!r.c || !r.c->ops->get_named))
		ret = err_set(err, -EOPNOTSUPP, "\"%s\" holds nothing to restore from", args->spec);
	if (ret && atomic_load(r.stop))
		ret = interrupted(&r);
	if (ret)
		goto close_content;
	ret = store_new_begin(&r.new, cfg, args->name, err);
	if (!ret)
		ret = read_manifest(&r);
	if (!ret)
		ret = become_owner(&r);
	/* Whoever was the owner may have written one more until then, and none after. */
	if (!ret)
		ret = read_manifest(&r);
	if (!ret)
		ret = fill(&r);
	if (!ret)
		ret = store_write_content(r.new.dirfd, args->spec);
	if (atomic_load(r.stop))
		ret = interrupted(&r);
	ret = store_new_end(&r.new, ret, err);
	if (ret && !err->msg[0])
		err_set(err, ret, "zone %s cannot be made: %s", args->name, strerror(-ret));
	if (ret)
		give_back(&r);
close_content:
	content_close(r.c);
	return ret;
}
