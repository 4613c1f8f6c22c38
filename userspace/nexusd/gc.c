// SPDX-License-Identifier: Apache-2.0
/*
 * The steps of a job: pages of the listing; what was never finished; what checkpoints name;
 * packs that were not listed are asked for one by one; and what nobody needs is looked at once
 * more, and deleted.
 *
 * Nothing is deleted before the whole listing was read.
 */
#include "gc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fetch.h"
#include "space.h"
#include "stats.h"
#include "upload.h"
#include "verify.h"

#define KEYS_MAX	(1u << 24)	/* objects of one zone */
#define BATCH		CONTENT_DEL_MOST
#define PROBE_AGE	3600		/* seconds: its maker may be at it */

/* ---- names --------------------------------------------------------------------------- */

/* What can be shown, whatever it is. */
static void show(char *text, size_t size, const char *key)
{
	size_t at = 0;

	for (; *key && at + 8 < size; key++) {
		unsigned char c = (unsigned char)*key;

		if (c >= ' ' && c <= '~' && c != '\\')
			text[at++] = *key;
		else
			at += (size_t)snprintf(text + at, size - at, "\\x%02x", c);
	}
	snprintf(text + at, size - at, "%s", *key ? "..." : "");
}

static void object_name(const struct gc_object *o, char name[GC_NAME_SIZE])
{
	switch (o->kind) {
	case GC_PACK:
		snprintf(name, GC_NAME_SIZE, "pack %" PRIu64, (uint64_t)o->a);
		break;
	case GC_CHECKPOINT:
	case GC_LOG:
		snprintf(name, GC_NAME_SIZE, "%s/%016" PRIx64 "-%016" PRIx64 "/%06x",
			 o->kind == GC_LOG ? "log" : "checkpoint", (uint64_t)o->a, (uint64_t)o->b,
			 o->part);
		break;
	case GC_PROBE:
		snprintf(name, GC_NAME_SIZE, "probe-%016" PRIx64 "%016" PRIx64, (uint64_t)o->a,
			 (uint64_t)o->b);
		break;
	default:
		snprintf(name, GC_NAME_SIZE, "probe");
	}
}

/* Of an object beside the packs: what it is, if it is named as the helper names it. */
static bool parse_name(const char *key, struct gc_object *o)
{
	char again[GC_NAME_SIZE], half[17] = "";
	size_t len = strlen(key);
	u64 a, b;

	if (origin_folder_parse(key, "checkpoint", &a, &b)) {
		*o = (struct gc_object){ .kind = GC_CHECKPOINT, .a = a, .b = b };
	} else if (origin_folder_parse(key, "log", &a, &b)) {
		*o = (struct gc_object){ .kind = GC_LOG, .a = a, .b = b };
	} else if (len == 6 + 2 * NEXUS_UUID_SIZE && !strncmp(key, "probe-", 6)) {
		memcpy(half, key + 6, 16);
		*o = (struct gc_object){ .kind = GC_PROBE, .a = strtoull(half, NULL, 16) };
		o->b = strtoull(key + 22, NULL, 16);
	} else {
		*o = (struct gc_object){ .kind = GC_DRIVER_PROBE };
	}
	if (o->kind == GC_CHECKPOINT || o->kind == GC_LOG)
		o->part = (u32)strtoul(strrchr(key, '/') + 1, NULL, 16);
	object_name(o, again);
	return !strcmp(key, again);
}

static u64 hash(const char *key)
{
	u64 h = 0xcbf29ce484222325ull;

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 0x100000001b3ull;
	return h ? h : 1;
}

/* ---- counting ------------------------------------------------------------------------ */

void gc_count(struct gc *g, struct gc_sum *sum, u64 bytes)
{
	pthread_mutex_lock(&g->lock);
	sum->n++;
	sum->bytes += bytes;
	pthread_mutex_unlock(&g->lock);
}

void gc_count_named(struct gc *g, enum gc_what what, const char *key, u64 bytes)
{
	struct gc_name *name;

	gc_count(g, &g->r.sum[what], bytes);
	if (g->nname[what] == GC_NAMES)
		return;
	name = &g->name[what][g->nname[what]++];
	name->bytes = bytes;
	show(name->text, sizeof(name->text), key);
}

void gc_count_failed(struct gc *g, const char *name, int error)
{
	pthread_mutex_lock(&g->lock);
	if (!g->r.failed++)
		snprintf(g->r.failed_why, sizeof(g->r.failed_why), "%.120s: %s", name,
			 strerror(-error));
	pthread_mutex_unlock(&g->lock);
}

/* ---- what is needed --------------------------------------------------------------------- */

/*
 * As it is, as it is on disk, or as it goes: in the order in which a pack goes.  What the log
 * behind a checkpoint names, and is gone since, is what origin_keeps() knows of; once the
 * helper has found what went before it came.
 */
static int pack_needed(struct gc *g, u64 pack)
{
	struct zone *z = g->z;
	struct nexus_pack_val val;
	u32 blocks;
	bool dying;
	int fd, ret = survey_knows(&z->mt, pack, &val);

	if (!ret)
		ret = survey_knows(&g->index, pack, &val);
	if (ret)
		return ret;
	pthread_mutex_lock(&z->dead_lock);
	fd = z->os->drv->open_pack(z->os, pack, false, &blocks);
	dying = fd != -ENOENT || zone_pack_dying(z, pack);
	pthread_mutex_unlock(&z->dead_lock);
	if (fd >= 0)
		close(fd);
	return dying || zone_upload_unsure(z, pack) || origin_keeps(z, pack) ||
	       zone_upload_busy(z, pack) ||
	       gc_named_pack(&g->named, pack, z->origin ? atomic_load(&z->origin->epoch) : 0);
}

/* One that is being made is in no manifest yet. */
static bool part_needed(const struct gc *g, const struct gc_object *o)
{
	char name[GC_NAME_SIZE];

	object_name(o, name);
	return origin_needs(&g->named.m, name) ||
	       (o->kind == GC_CHECKPOINT && o->a == atomic_load(&g->z->origin->epoch) &&
		o->b > g->named.m.number);
}

static int needed(struct gc *g, const struct gc_object *o)
{
	if (o->kind == GC_PACK)
		return pack_needed(g, o->a);
	return o->kind <= GC_LOG && part_needed(g, o);
}

/* Its content is in the store, by what is known here. */
static int pack_expected(struct gc *g, u64 pack)
{
	struct nexus_pack_val val;
	int ret = survey_knows(&g->z->mt, pack, &val);

	if (ret <= 0)
		return ret;
	return le32_to_cpu(val.state) == NEXUS_PACK_SEALED && val.live &&
	       !zone_upload_busy(g->z, pack) &&
	       (zone_upload_held(g->z, pack) || zone_upload_away(g->z, pack));
}

static bool restore_needs(const struct gc *g, u64 pack)
{
	u32 i;

	for (i = 0; i < g->named.m.count; i++)
		if (gc_set_has(&g->named.at[i].sealed, pack))
			return true;
	return false;
}

/* ---- the listing ------------------------------------------------------------------------- */

static int add_object(struct gc *g, const struct gc_object *o)
{
	size_t cap = g->cap ? g->cap * 2 : BATCH;
	struct gc_object *more;

	if (g->n == g->cap) {
		more = realloc(g->object, cap * sizeof(*more));
		if (!more)
			return -ENOMEM;
		g->object = more;
		g->cap = cap;
	}
	g->object[g->n++] = *o;
	return 0;
}

/* An id that was not handed out here is somebody else's. */
static bool pack_is_ours(struct gc *g, const struct content_object *o)
{
	u64 next;

	if (!o->is_pack || o->pack < NEXUS_FIRST_PACK)
		return false;
	pthread_mutex_lock(&g->z->alloc_lock);
	next = g->z->al.next_pack;
	pthread_mutex_unlock(&g->z->alloc_lock);
	return o->pack < next;
}

bool gc_is_young(const struct gc *g, enum gc_kind kind, s64 mtime)
{
	s64 now = g->now ? g->now : (s64)time(NULL), grace = g->z->cfg->gc_grace;

	if (kind >= GC_PROBE)
		grace = NEXUS_MAX(grace, (s64)PROBE_AGE);
	return !mtime || mtime > now - grace;
}

bool gc_object_of(struct gc *g, const struct content_object *c, struct gc_object *o)
{
	*o = (struct gc_object){ .kind = GC_PACK, .a = c->pack };
	return pack_is_ours(g, c) || (!c->is_pack && g->z->origin && parse_name(c->key, o));
}

u64 gc_epoch_above(const struct gc *g, u64 epoch)
{
	return epoch > atomic_load(&g->z->origin->epoch) ? epoch : 0;
}

static int note_object(void *arg, const struct content_object *c)
{
	struct gc *g = arg;
	struct gc_object o;
	bool known = gc_object_of(g, c, &o), pack = known && o.kind == GC_PACK;
	int ret = pack ? gc_set_add(&g->packs, c->pack) : gc_set_add(&g->keys, hash(c->key));

	/* Some come twice. */
	if (ret <= 0)
		return ret;
	gc_count(g, &g->r.listed, c->bytes);
	if (!c->is_pack && (!strcmp(c->key, ORIGIN_OWNER) || !strcmp(c->key, ORIGIN_MANIFEST)))
		return 0;
	if (!known) {
		gc_count_named(g, GC_FOREIGN, c->key, c->bytes);
		return 0;
	}
	if (o.kind == GC_CHECKPOINT || o.kind == GC_LOG)
		g->later = NEXUS_MAX(g->later, gc_epoch_above(g, o.a));
	o.bytes = c->bytes;
	o.young = gc_is_young(g, o.kind, c->mtime);
	return add_object(g, &o);
}

/*
 * Most objects are needed: only others are remembered.  What is needed now and is not later
 * the zone deletes by itself.
 */
static int drop_needed(struct gc *g, size_t from)
{
	size_t i, n = from;
	int ret = 0;

	for (i = from; ret >= 0 && i < g->n; i++) {
		ret = needed(g, &g->object[i]);
		if (!ret)
			g->object[n++] = g->object[i];
	}
	g->n = n;
	return ret < 0 ? ret : 0;
}

static int list(struct gc *g, struct errline *err)
{
	size_t from = g->n;
	int ret = g->c->ops->list_page(g->c, &g->token, &g->now, note_object, g);

	if (ret)
		return err_set(err, ret, "the listing: %s", strerror(-ret));
	if (g->packs.n + g->keys.n > KEYS_MAX)
		return err_set(err, -E2BIG, "the listing: more than %u objects", KEYS_MAX);
	ret = drop_needed(g, from);
	if (!g->token)
		g->phase = GC_UPLOADS;
	return ret;
}

/* ---- what is missing --------------------------------------------------------------------- */

static int add_lacking(struct gc *g, u64 pack)
{
	size_t cap = g->lacking_cap ? g->lacking_cap * 2 : BATCH;
	u64 *more;

	if (g->nlacking == g->lacking_cap) {
		more = realloc(g->lacking, cap * sizeof(*more));
		if (!more)
			return -ENOMEM;
		g->lacking = more;
		g->lacking_cap = cap;
	}
	g->lacking[g->nlacking++] = pack;
	return 0;
}

static int note_pack(void *arg, const struct pack_info *p)
{
	struct gc *g = arg;
	int ret;

	if (p->state != NEXUS_PACK_SEALED || !p->live || gc_set_has(&g->packs, p->pack))
		return 0;
	ret = pack_expected(g, p->pack);
	return ret > 0 ? add_lacking(g, p->pack) : ret;
}

static int by_id(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static int find_lacking(struct gc *g)
{
	int ret = pack_list(g->z, 0, note_pack, g);
	size_t at, n = 0;
	u32 i;

	for (i = 0; !ret && i < g->named.m.count; i++) {
		const struct gc_set *s = &g->named.at[i].sealed;

		for (at = 0; !ret && at < s->cap; at++)
			if (s->slot[at] && !gc_set_has(&g->packs, s->slot[at]))
				ret = add_lacking(g, s->slot[at]);
	}
	if (ret || !g->nlacking)
		return ret;
	qsort(g->lacking, g->nlacking, sizeof(*g->lacking), by_id);
	for (at = 0; at < g->nlacking; at++)
		if (!n || g->lacking[at] != g->lacking[n - 1])
			g->lacking[n++] = g->lacking[at];
	g->nlacking = n;
	return 0;
}

static int look(struct gc *g, struct errline *err)
{
	int ret;

	if (g->later)
		return err_set(err, -ESTALE, "another owner: there are objects of epoch %llu, this machine's is %llu",
			       g->later, atomic_load(&g->z->origin->epoch));
	ret = gc_named_read(&g->named, g->z, err);
	if (!ret)
		ret = find_lacking(g);
	g->phase = GC_ASKING;
	return ret;
}

/* A pack that was not listed: it may have been put since, or the listing left it out. */
static int ask(struct gc *g, struct errline *err)
{
	struct gc_object o = { .kind = GC_PACK };
	char name[GC_NAME_SIZE];
	__u64 bytes;
	int ret;

	if (g->asked == g->nlacking) {
		g->phase = GC_SWEEPING;
		return 0;
	}
	o.a = g->lacking[g->asked++];
	ret = g->c->ops->head(g->c, o.a, &bytes);
	if (ret != -ENOENT)
		return !ret ? 0 : err_set(err, ret, "pack %llu: %s", o.a, strerror(-ret));
	/* Nor was it deleted meanwhile because it is gone. */
	ret = gc_named_read(&g->named, g->z, err);
	if (!ret)
		ret = restore_needs(g, o.a) ? 1 : pack_expected(g, o.a);
	if (ret <= 0)
		return ret;
	object_name(&o, name);
	log_error("zone %s: %s is missing in %s", g->z->name, name, g->c->ops->name);
	gc_count_named(g, GC_MISSING, name, 0);
	return 0;
}

/* ---- what has leaked --------------------------------------------------------------------- */

struct batch {
	const struct gc_object *object[BATCH];
	int error[BATCH];
	size_t n;
};

static int delete_packs(struct gc *g, struct batch *b)
{
	u64 pack[BATCH];
	int error[BATCH];
	size_t i, n = 0;
	int ret = 0;

	for (i = 0; i < b->n; i++)
		if (b->object[i]->kind == GC_PACK)
			pack[n++] = b->object[i]->a;
	if (n && g->c->ops->del_packs) {
		ret = g->c->ops->del_packs(g->c, pack, n, error);
	} else {
		for (i = 0; i < n; i++) {
			error[i] = g->c->ops->del(g->c, pack[i]);
			ret = ret ? ret : error[i];
		}
	}
	for (i = n = 0; i < b->n; i++)
		if (b->object[i]->kind == GC_PACK)
			b->error[i] = error[n++];
	return ret;
}

static void count_deleted(struct gc *g, const struct gc_object *o, int error)
{
	char name[GC_NAME_SIZE];

	if (!error) {
		gc_count(g, &g->r.deleted, o->bytes);
		if (o->kind == GC_PACK)
			zone_upload_gone(g->z, o->a);
		return;
	}
	object_name(o, name);
	gc_count_failed(g, name, error);
}

static int delete_batch(struct gc *g, struct batch *b)
{
	int ret = delete_packs(g, b);
	char name[GC_NAME_SIZE];
	size_t i;

	for (i = 0; ret != -ESHUTDOWN && i < b->n; i++) {
		if (b->object[i]->kind != GC_PACK) {
			object_name(b->object[i], name);
			b->error[i] = g->c->ops->del_named(g->c, name);
		}
		count_deleted(g, b->object[i], b->error[i]);
	}
	return ret == -ESHUTDOWN ? ret : 0;
}

/* Into the batch, if nobody needs it, as of now. */
static int consider(struct gc *g, const struct gc_object *o, struct batch *b)
{
	char name[GC_NAME_SIZE];
	int ret = needed(g, o);

	if (ret)
		return ret < 0 ? ret : 0;
	if (o->young) {
		gc_count(g, &g->r.young, o->bytes);
		return 0;
	}
	object_name(o, name);
	gc_count_named(g, GC_LEAKED, name, o->bytes);
	b->object[b->n++] = o;
	return 0;
}

static int sweep(struct gc *g, struct errline *err)
{
	size_t end = NEXUS_MIN(g->n, g->at + BATCH);
	struct batch *b;
	int ret;

	if (g->at == g->n) {
		g->phase = GC_ENDING;
		return 0;
	}
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	ret = gc_named_read(&g->named, g->z, err);
	if (!ret && g->r.run)
		ret = gc_owner_check(g->z, err);
	for (; !ret && g->at < end; g->at++)
		ret = consider(g, &g->object[g->at], b);
	if (!ret && g->r.run && b->n)
		ret = delete_batch(g, b);
	free(b);
	return ret;
}

/* ---- the job ------------------------------------------------------------------------------ */

/* Of a phase that takes @ret > 0 more steps. */
static int phase_step(struct gc *g, int ret, enum gc_phase next)
{
	if (!ret)
		g->phase = next;
	return NEXUS_MIN(ret, 0);
}

static int step(struct gc *g, struct errline *err)
{
	if (!origin_owns(g->z))
		return err_set(err, -ESTALE, "another owner: this machine does not own the zone any more");
	switch (g->phase) {
	case GC_BEGINNING:
		g->phase = GC_LISTING;
		return gc_named_read(&g->named, g->z, err);
	case GC_LISTING:
		return list(g, err);
	case GC_UPLOADS:
		return phase_step(g, gc_uploads_list(g, err), GC_LOOKING);
	case GC_LOOKING:
		return look(g, err);
	case GC_ASKING:
		return ask(g, err);
	case GC_SWEEPING:
		return sweep(g, err);
	default:
		return phase_step(g, gc_uploads_sweep(g, err), GC_DONE);
	}
}

static void count_all(const struct gc_report *r, int ret)
{
	stats_add(gc_listed, r->listed.n);
	stats_add(gc_leaked, r->sum[GC_LEAKED].n);
	stats_add(gc_deleted, r->deleted.n);
	stats_add(gc_missing, r->sum[GC_MISSING].n);
	stats_add(gc_errors, r->failed + (ret && ret != -ESHUTDOWN));
	if (!ret)
		stats_inc(gc_runs);
}

void gc_give_up(struct gc *g, int ret, const struct errline *err)
{
	struct gc_report *r = &g->r;
	char buf[128];

	pthread_mutex_lock(&g->lock);
	r->over = true;
	r->error = ret;
	if (ret)
		snprintf(r->why, sizeof(r->why), "%s", err_text(err, ret, buf, sizeof(buf)));
	r->ended = (u64)time(NULL);
	count_all(r, ret);
	pthread_cond_broadcast(&g->cond);
	pthread_mutex_unlock(&g->lock);
	if (ret && ret != -ESHUTDOWN)
		log_warn("zone %s: gc ended: %s", g->z->name, r->why);
	else if (r->run || r->sum[GC_MISSING].n)
		log_info("zone %s: gc: %llu objects, %llu leaked, %llu deleted, %llu missing",
			 g->z->name, r->listed.n, r->sum[GC_LEAKED].n, r->deleted.n,
			 r->sum[GC_MISSING].n);
}

int gc_step(struct gc *g)
{
	struct errline err = { "" };
	int ret = step(g, &err);

	if (!ret && g->phase != GC_DONE)
		return 1;
	gc_give_up(g, ret, &err);
	return ret;
}

static int check(struct zone *z, struct errline *err)
{
	if (z->rdonly)
		return err_set(err, -EROFS, "zone %s is mounted read-only", z->name);
	if (!z->upload || !z->fetch->content->ops->list_page)
		return err_set(err, -EOPNOTSUPP, "zone %s has nothing that would hold its content",
			       z->name);
	if (origin_fenced(z))
		return err_set(err, -EROFS, "zone %s was taken over by another machine", z->name);
	if (!origin_owns(z))
		return err_set(err, -EAGAIN, "zone %s: it is not known whether this machine owns it; the helper's log says why",
			       z->name);
	/* What the helper before us submitted must be known first. */
	if (memtable_applied(&z->mt) < z->floor || atomic_load(&z->dropped))
		return err_set(err, -EAGAIN, "zone %s: what the helper before this one did is not known yet; ask again",
			       z->name);
	return 0;
}

int gc_new(struct zone *z, bool run, struct gc **gc, struct errline *err)
{
	int i, ret = check(z, err);
	struct gc *g;

	if (ret)
		return ret;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->z = z;
	g->c = z->fetch->content;
	g->r.run = run;
	g->r.begun = (u64)time(NULL);
	pthread_mutex_init(&g->lock, NULL);
	zone_cond_init(&g->cond);
	ret = memtable_init(&g->index, z->ms, 0);
	for (i = 0; !ret && i < GC_WHATS; i++) {
		g->name[i] = calloc(GC_NAMES, sizeof(*g->name[i]));
		ret = g->name[i] ? 0 : -ENOMEM;
	}
	*gc = g;
	if (ret)
		gc_free(g);
	return ret;
}

void gc_forget(struct gc *g)
{
	free(g->token);
	free(g->object);
	free(g->lacking);
	g->token = NULL;
	g->object = NULL;
	g->lacking = NULL;
	gc_set_free(&g->packs);
	gc_set_free(&g->keys);
	gc_named_free(&g->named);
	gc_uploads_free(&g->uploads);
}

void gc_free(struct gc *g)
{
	int i;

	if (!g)
		return;
	gc_forget(g);
	for (i = 0; i < GC_WHATS; i++)
		free(g->name[i]);
	memtable_destroy(&g->index);
	pthread_cond_destroy(&g->cond);
	pthread_mutex_destroy(&g->lock);
	free(g);
}
