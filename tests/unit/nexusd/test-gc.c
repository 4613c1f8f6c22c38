// SPDX-License-Identifier: Apache-2.0
/*
 * What a zone's content store has that nobody needs, and what it lacks: found, and deleted
 * only when no index, no checkpoint and nothing under way names it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "fetch.h"
#include "gc-world.h"
#include "stats.h"
#include "upload.h"

static u64 counter(enum stats_counter c)
{
	return atomic_load(&stats_values[c]);
}

/* ---- what has leaked ------------------------------------------------------------------- */

static void test_leaked(void **state)
{
	u64 runs = counter(STATS_gc_runs), listed = counter(STATS_gc_listed);
	u64 leaked = counter(STATS_gc_leaked), deleted = counter(STATS_gc_deleted);
	struct gc_report r;
	char text[64];
	struct gc *g;
	struct world m;
	u64 pack[2];
	size_t i;
	u32 before;

	(void)state;
	begin(&m);
	before = age_all(&m);
	r = gc(&m, false, 0);
	assert_int_equal(r.listed.n, before);
	assert_int_equal(r.sum[GC_LEAKED].n + r.sum[GC_FOREIGN].n + r.sum[GC_MISSING].n, 0);
	for (i = 0; i < 2; i++) {
		pack[i] = lost_pack(&m);
		put_pack(&m, pack[i], 5000, OLD);
	}
	for (i = 0; i < LEAKS; i++)
		put(&m, leaks[i], 100, OLD);
	g = new_gc(&m, false);
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->r.listed.n, before + 2 + LEAKS);
	assert_int_equal(g->r.sum[GC_LEAKED].n, 2 + LEAKS);
	assert_int_equal(g->r.sum[GC_LEAKED].bytes, 10000 + 100 * LEAKS);
	assert_int_equal(g->r.deleted.n, 0);
	snprintf(text, sizeof(text), "pack %llu", pack[1]);
	assert_true(named(g, GC_LEAKED, text));
	assert_true(named(g, GC_LEAKED, "checkpoint/0000000000000001-0000000000000001/000123"));
	assert_true(named(g, GC_LEAKED, "probe-0123456789abcdef0123456789abcdef"));
	gc_free(g);
	assert_int_equal(age_all(&m), before + 2 + LEAKS);
	r = gc(&m, true, 0);
	assert_int_equal(r.sum[GC_LEAKED].n, 2 + LEAKS);
	assert_int_equal(r.deleted.n, 2 + LEAKS);
	assert_int_equal(r.deleted.bytes, r.sum[GC_LEAKED].bytes);
	assert_int_equal(r.failed, 0);
	assert_int_equal(age_all(&m), before);
	for (i = 0; i < LEAKS; i++)
		assert_false(has(&m, leaks[i]));
	r = gc(&m, true, 0);
	assert_int_equal(r.sum[GC_LEAKED].n + r.deleted.n, 0);
	assert_int_equal(counter(STATS_gc_runs) - runs, 4);
	assert_int_equal(counter(STATS_gc_listed) - listed, 4 * before + 2 * (2 + LEAKS));
	assert_int_equal(counter(STATS_gc_leaked) - leaked, 2 * (2 + LEAKS));
	assert_int_equal(counter(STATS_gc_deleted) - deleted, 2 + LEAKS);
	finish(&m);
}

/* What could be anybody's, by its name, is nobody's to delete. */
static void test_foreign(void **state)
{
	static const char *const foreign[] = {
		"@checkpoint=0000000000000001-0000000000000001=", "@checkpoint=1-1=000000",
		"@checkpoint=0000000000000001-0000000000000001=00012g", "@checkpoint=x",
		"@checkpoint=0000000000000001-0000000000000001=000001=x", "@log", "@log=",
		"@log=0000000000000001-0000000000000001=-00001", "@log=..=..", "@a==b",
		"@probe-0123456789abcdef0123456789abcdeg", "@probe-", "@probes",
		"@log=0000000000000001-000000000000000A=000000",
		"@checkpoint=0000000000000001-0000000000000001=1ffffffff", "with space",
		"\x01\x7f\\\xff.", "000000000000001G", "0000000000000000", "00000000000001",
		"00000000000000AB", "ffffffffffffffff",
	};
	const size_t n = sizeof(foreign) / sizeof(foreign[0]);
	struct world m;
	struct gc *g;
	size_t i;

	(void)state;
	begin(&m);
	age_all(&m);
	for (i = 0; i < n; i++)
		put(&m, foreign[i], 10, OLD);
	/* Of ids that were not handed out here. */
	put_pack(&m, m.z->al.next_pack, 10, OLD);
	g = new_gc(&m, true);
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->r.sum[GC_FOREIGN].n, n + 1);
	assert_int_equal(g->r.sum[GC_FOREIGN].bytes, 10 * (n + 1));
	assert_int_equal(g->r.sum[GC_LEAKED].n + g->r.deleted.n, 0);
	assert_true(named(g, GC_FOREIGN, "\\x01\\x7f\\x5c\\xff."));
	assert_true(named(g, GC_FOREIGN, "with space"));
	assert_true(named(g, GC_FOREIGN, "a//b"));
	assert_true(named(g, GC_FOREIGN, "log/../.."));
	gc_free(g);
	for (i = 0; i < n; i++)
		assert_true(has(&m, foreign[i]));
	assert_true(has_pack(&m, m.z->al.next_pack));
	finish(&m);
}

static void test_young(void **state)
{
	struct gc_report r;
	struct world m;
	u64 pack;

	(void)state;
	begin(&m);
	pack = lost_pack(&m);
	put_pack(&m, pack, 10, 86000);
	put(&m, leaks[0], 10, 0);
	put(&m, leaks[6], 10, -1000);
	r = gc(&m, true, 0);
	assert_int_equal(r.young.n, 3);
	assert_int_equal(r.young.bytes, 30);
	assert_int_equal(r.sum[GC_LEAKED].n, 0);
	m.cfg.gc_grace = 85000;
	r = gc(&m, true, 0);
	assert_int_equal(r.young.n, 2);
	assert_int_equal(r.deleted.n, 1);
	assert_false(has_pack(&m, pack));
	/* Whoever made a probe may be at it. */
	m.cfg.gc_grace = 0;
	age(&m, leaks[0], 1);
	age(&m, leaks[6], 600);
	r = gc(&m, true, 0);
	assert_int_equal(r.deleted.n, 1);
	assert_false(has(&m, leaks[0]));
	assert_true(has(&m, leaks[6]));
	finish(&m);
}

/* Part of a checkpoint that is being made, which no manifest names. */
static void test_in_the_making(void **state)
{
	char file[100];
	struct gc_report r;
	struct world m;

	(void)state;
	begin(&m);
	m.cfg.gc_grace = 0;
	age_all(&m);
	snprintf(file, sizeof(file), "@checkpoint=%016llx-%016llx=000000",
		 m.z->origin->owner.epoch, m.z->origin->manifest.number + 1);
	put(&m, file, 10, OLD);
	r = gc(&m, true, 0);
	assert_int_equal(r.sum[GC_LEAKED].n, 0);
	assert_true(has(&m, file));
	finish(&m);
}

/* ---- whose it is ------------------------------------------------------------------------ */

/* Objects of a later epoch: somebody else is at work, and all stays. */
static void test_later_epoch(void **state)
{
	static const char *const later[] = {
		"@log=0000000000000002-0000000000000001=000000",
		"@checkpoint=0000000000000009-0000000000000001=000000",
	};
	struct gc_report r;
	struct world m;
	size_t i;
	u32 n;

	(void)state;
	begin(&m);
	put_pack(&m, lost_pack(&m), 10, OLD);
	for (i = 0; i < 2; i++) {
		char path[PATH_MAX];

		put(&m, later[i], 10, OLD);
		n = age_all(&m);
		r = gc(&m, true, -ESTALE);
		assert_non_null(strstr(r.why, "another owner"));
		assert_int_equal(age_all(&m), n);
		path_of(&m, later[i], path);
		assert_int_equal(unlink(path), 0);
	}
	r = gc(&m, true, 0);
	assert_int_equal(r.deleted.n, 1);
	finish(&m);
}

/* Another takes the zone over meanwhile, and nobody here knows yet. */
static void test_taken_over(void **state)
{
	u8 buf[sizeof(struct nexus_origin_owner)];
	struct nexus_origin_owner raw;
	struct origin_owner o;
	struct gc_report r;
	struct errline err;
	struct content *c;
	struct world m;
	struct gc *g;
	u32 kind, n;

	(void)state;
	for (kind = 0; kind < 3; kind++) {
		begin(&m);
		c = m.z->fetch->content;
		put_pack(&m, lost_pack(&m), 10, OLD);
		n = age_all(&m);
		g = new_gc(&m, true);
		while (g->phase != GC_SWEEPING)
			assert_int_equal(gc_step(g), 1);
		assert_int_equal(c->ops->get_named(c, "owner", 0, buf, sizeof(buf), NULL), sizeof(buf));
		assert_int_equal(origin_owner_parse(buf, sizeof(buf), &o), 0);
		if (kind == 0)
			o.epoch++;
		else if (kind == 1)
			o.token[3] ^= 1;
		else
			o.state = NEXUS_OWNER_RELEASED;
		origin_owner_encode(&o, &raw);
		assert_int_equal(c->ops->put_named(c, "owner", &raw, sizeof(raw), CONTENT_ANY, NULL), 0);
		assert_int_equal(finish_gc(g), -ESTALE);
		assert_non_null(strstr(g->r.why, "another owner"));
		gc_free(g);
		assert_int_equal(age_all(&m), n);
		/* And once it is known it does not begin. */
		origin_fence(m.z->origin, "test");
		assert_int_equal(gc_new(m.z, true, &g, &err), -EROFS);
		finish(&m);
	}
	begin(&m);
	m.z->origin->owned = false;
	assert_int_equal(gc_new(m.z, false, &g, &err), -EAGAIN);
	m.z->origin->owned = true;
	put_pack(&m, lost_pack(&m), 10, OLD);
	g = new_gc(&m, true);
	assert_int_equal(gc_step(g), 1);
	origin_fence(m.z->origin, "test");
	assert_int_equal(finish_gc(g), -ESTALE);
	r = g->r;
	assert_int_equal(r.deleted.n, 0);
	gc_free(g);
	finish(&m);
}

/* ---- what checkpoints name --------------------------------------------------------------- */

/* Another machine may make the zone of either checkpoint, and reads this pack then. */
static void test_named_by_checkpoints(void **state)
{
	struct errline err = { "" };
	struct gc_report r;
	struct world m;
	u64 pack;
	u32 i;

	(void)state;
	begin(&m);
	m.cfg.gc_grace = 0;
	fold(&m);
	pack = sealed[0];
	forget_pack(&m, pack);
	age_all(&m);
	for (i = 0; i < 2; i++) {
		r = gc(&m, true, 0);
		assert_int_equal(r.sum[GC_LEAKED].n, 0);
		assert_true(has_pack(&m, pack));
		/* It is in the older one alone now, then in none. */
		assert_int_equal(origin_checkpoint(m.z->origin, &err), 0);
		age_all(&m);
	}
	r = gc(&m, true, 0);
	assert_int_equal(r.deleted.n, 1);
	assert_false(has_pack(&m, pack));
	assert_true(has_pack(&m, sealed[1]));
	finish(&m);
}

/* A checkpoint that comes while it runs counts, too. */
static void test_new_checkpoint(void **state)
{
	struct errline err = { "" };
	struct world m;
	struct gc *g;
	u32 old;

	(void)state;
	begin(&m);
	m.cfg.gc_grace = 0;
	fold(&m);
	put_pack(&m, lost_pack(&m), 10, OLD);
	age_all(&m);
	g = new_gc(&m, true);
	while (g->phase != GC_SWEEPING)
		assert_int_equal(gc_step(g), 1);
	old = (u32)g->named.m.number;
	assert_int_equal(origin_checkpoint(m.z->origin, &err), 0);
	age_all(&m);
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->named.m.number, old + 1);
	/* What it makes superfluous the zone has deleted. */
	assert_int_equal(g->r.sum[GC_LEAKED].n, 1);
	assert_int_equal(g->r.deleted.n, 1);
	gc_free(g);
	finish(&m);
}

/* What a checkpoint stands on is needed as it is itself; what stood below those before leaks. */
static void test_increments(void **state)
{
	struct errline err = { "" };
	char file[100];
	struct gc_report r;
	struct origin *o;
	struct world m;
	u32 i, before;

	(void)state;
	begin(&m);
	m.cfg.gc_grace = 0;
	o = m.z->origin;
	o->share = 1000000;
	for (i = 0; i < 4; i++)
		assert_int_equal(origin_checkpoint(o, &err), 0);
	assert_int_equal(o->manifest.base[0].n + o->manifest.base[1].n, 4);
	before = age_all(&m);
	assert_int_equal(objects_of(&o->manifest) + 2 + nsealed, before);
	r = gc(&m, true, 0);
	assert_int_equal(r.sum[GC_LEAKED].n + r.sum[GC_FOREIGN].n + r.sum[GC_MISSING].n, 0);
	assert_int_equal(age_all(&m), before);
	/* Nothing of this number is in either, and it is older than what is. */
	snprintf(file, sizeof(file), "@checkpoint=%016llx-%016llx=000000", o->owner.epoch,
		 o->manifest.base[1].step[o->manifest.base[1].n - 1].number - 1);
	put(&m, file, 10, OLD);
	r = gc(&m, true, 0);
	assert_int_equal(r.deleted.n, 1);
	assert_false(has(&m, file));
	assert_int_equal(age_all(&m), before);
	/* What one of them stands on is gone: it is not known what it names. */
	put_pack(&m, lost_pack(&m), 10, OLD);
	snprintf(file, sizeof(file), "checkpoint/%016llx-%016llx/000000", o->owner.epoch,
		 o->manifest.base[1].step[1].number);
	assert_int_equal(o->content->ops->del_named(o->content, file), 0);
	before = age_all(&m);
	r = gc(&m, true, -ENOENT);
	assert_non_null(strstr(r.why, file));
	assert_int_equal(age_all(&m), before);
	finish(&m);
}

/* What it names is not known: nothing goes. */
static void test_damaged_checkpoint(void **state)
{
	static struct named l;
	struct gc_report r;
	struct content *c;
	char path[PATH_MAX];
	struct world m;
	u64 pack;

	(void)state;
	begin(&m);
	pack = lost_pack(&m);
	put_pack(&m, pack, 10, OLD);
	age_all(&m);
	c = m.z->fetch->content;
	l.n = 0;
	assert_int_equal(c->ops->list_named(c, "checkpoint/", note_name, &l), 0);
	assert_int_equal(c->ops->put_named(c, l.name[0], "x", 1, CONTENT_ANY, NULL), 0);
	r = gc(&m, true, -EUCLEAN);
	assert_non_null(strstr(r.why, l.name[0]));
	assert_int_equal(c->ops->del_named(c, l.name[0]), 0);
	r = gc(&m, true, -ENOENT);
	assert_non_null(strstr(r.why, l.name[0]));
	path_of(&m, "@manifest", path);
	assert_int_equal(truncate(path, 100), 0);
	r = gc(&m, true, -EUCLEAN);
	assert_non_null(strstr(r.why, "manifest"));
	/* It is known that there was one. */
	assert_int_equal(unlink(path), 0);
	r = gc(&m, true, -EUCLEAN);
	assert_non_null(strstr(r.why, "manifest: it is gone"));
	assert_int_equal(r.sum[GC_LEAKED].n, 0);
	assert_true(has_pack(&m, pack));
	finish(&m);
}

/* ---- what is under way -------------------------------------------------------------------- */

/* A pack that is put while the store is listed, in any of its steps. */
static void test_put_meanwhile(void **state)
{
	struct world m;
	struct gc *g;
	u32 at, i;
	bool more = true;

	(void)state;
	for (at = 0; more; at++) {
		begin(&m);
		m.cfg.gc_grace = 0;
		control("page 3\n");
		age_all(&m);
		g = new_gc(&m, true);
		for (i = 0; i < at && more; i++)
			more = gc_step(g) == 1;
		if (more) {
			write_some(&m);
			seal(&m);
			fold(&m);
			flush(&m);
			age_all(&m);
			assert_int_equal(finish_gc(g), 0);
		}
		assert_int_equal(g->r.sum[GC_LEAKED].n + g->r.deleted.n + g->r.sum[GC_MISSING].n, 0);
		gc_free(g);
		nsealed = 0;
		for (i = 1; i < m.z->al.next_pack; i++)
			nsealed += has_pack(&m, i);
		assert_int_equal(nsealed, more ? 3 : 2);
		control("");
		finish(&m);
	}
	assert_true(at > 5);
}

/* Its copy is to be deleted, and waits for the store; or somebody else puts it. */
static void test_queued(void **state)
{
	struct upload_status st;
	struct gc_report r;
	struct world m;
	u64 pack, other;

	(void)state;
	begin(&m);
	pack = lost_pack(&m);
	put_pack(&m, pack, 10, OLD);
	other = lost_pack(&m);
	put_pack(&m, other, 10, OLD);
	age_all(&m);
	control("refuse\n");
	zone_upload_forget(m.z, pack);
	assert_int_equal(zone_upload_hold(m.z, other), 0);
	r = gc(&m, false, 0);
	assert_int_equal(r.sum[GC_LEAKED].n, 0);
	zone_upload_release(m.z, other, false);
	r = gc(&m, false, 0);
	assert_int_equal(r.sum[GC_LEAKED].n, 1);
	control("");
	assert_int_equal(zone_upload_flush(m.z, 60000, &st), 0);
	assert_int_equal(st.deletes, 0);
	assert_false(has_pack(&m, pack));
	/* What was begun of it is over, with its mark. */
	assert_int_equal(uploadmarks_get(&m.z->upload->marks, other), MARK_BEGUN);
	r = gc(&m, true, 0);
	assert_int_equal(r.deleted.n, 1);
	assert_int_equal(uploadmarks_get(&m.z->upload->marks, other), MARK_NONE);
	finish(&m);
}

/* The pack is gone, and what it leaves goes in order. */
static void test_going(void **state)
{
	struct zone_dead_pack *d = calloc(1, sizeof(*d));
	struct gc_report r;
	struct world m;
	u64 dying, kept, here;

	(void)state;
	assert_non_null(d);
	begin(&m);
	dying = lost_pack(&m);
	kept = lost_pack(&m);
	here = lost_pack(&m);
	put_pack(&m, dying, 10, OLD);
	put_pack(&m, kept, 10, OLD);
	put_pack(&m, here, 10, OLD);
	*d = (struct zone_dead_pack){ .pack = dying, .lsn = UINT64_MAX };
	m.z->dead = d;
	assert_true(origin_forget(m.z, kept));
	assert_int_equal(pack_create(m.z->os, here, PACK_BLOCKS, m.z->sb.uuid), 0);
	r = gc(&m, true, 0);
	assert_int_equal(r.sum[GC_LEAKED].n, 0);
	assert_true(has_pack(&m, dying) && has_pack(&m, kept) && has_pack(&m, here));
	m.z->dead = NULL;
	free(d);
	assert_int_equal(m.z->os->drv->remove(m.z->os, here), 0);
	r = gc(&m, true, 0);
	assert_int_equal(r.deleted.n, 2);
	assert_true(!has_pack(&m, dying) && has_pack(&m, kept) && !has_pack(&m, here));
	finish(&m);
}

/* What nobody needed when it was listed is needed when it would go. */
static void test_made_meanwhile(void **state)
{
	struct world m;
	struct gc *g;
	u64 pack;

	(void)state;
	begin(&m);
	pack = lost_pack(&m);
	put_pack(&m, pack, 10, OLD);
	g = new_gc(&m, true);
	while (g->phase != GC_SWEEPING)
		assert_int_equal(gc_step(g), 1);
	assert_int_equal(pack_create(m.z->os, pack, PACK_BLOCKS, m.z->sb.uuid), 0);
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->r.sum[GC_LEAKED].n + g->r.deleted.n, 0);
	assert_true(has_pack(&m, pack));
	gc_free(g);
	finish(&m);
}

/* ---- what was never finished ---------------------------------------------------------- */

static void unfinished(const struct world *m, const char *id, u64 pack, time_t ago)
{
	char file[100];

	snprintf(file, sizeof(file), ".parts-%s-%016llx", id, pack);
	put(m, file, 10, ago);
}

static u32 count_unfinished(const struct world *m)
{
	char path[PATH_MAX];
	struct dirent *de;
	u32 n = 0;
	DIR *dir;

	path_of(m, "", path);
	dir = opendir(path);
	assert_non_null(dir);
	while ((de = readdir(dir)))
		n += !strncmp(de->d_name, ".parts-", 7);
	closedir(dir);
	return n;
}

/* Old ones go, whatever their names are needed for: what is there is another, and whole. */
static void test_unfinished(void **state)
{
	struct gc_report r;
	struct world m;
	struct gc *g;
	char text[64];
	u32 before;
	u64 lost;

	(void)state;
	begin(&m);
	control("page 2\n");
	before = age_all(&m);
	lost = lost_pack(&m);
	unfinished(&m, "1", sealed[0], OLD);
	unfinished(&m, "2", sealed[0], OLD);
	unfinished(&m, "3", lost, OLD);
	put(&m, ".parts-4-@checkpoint=0000000000000000-0000000000000007=000000", 10, OLD);
	unfinished(&m, "5", sealed[1], 86000);
	put(&m, ".parts-6-@with space", 10, OLD);
	unfinished(&m, "7", m.z->al.next_pack, OLD);
	g = new_gc(&m, false);
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->r.listed.n, before + 7);
	assert_int_equal(g->r.sum[GC_LEAKED].n, 4);
	assert_int_equal(g->r.sum[GC_LEAKED].bytes, 0);
	assert_int_equal(g->r.young.n, 1);
	assert_int_equal(g->r.sum[GC_FOREIGN].n, 2);
	assert_int_equal(g->r.sum[GC_MISSING].n + g->r.deleted.n, 0);
	snprintf(text, sizeof(text), "unfinished pack %llu", lost);
	assert_true(named(g, GC_LEAKED, text));
	assert_true(named(g, GC_LEAKED, "unfinished checkpoint/0000000000000000-0000000000000007/000000"));
	assert_true(named(g, GC_FOREIGN, "unfinished with space"));
	gc_free(g);
	assert_int_equal(count_unfinished(&m), 7);
	/* One that this helper may be at. */
	assert_int_equal(zone_upload_hold(m.z, lost), 0);
	r = gc(&m, true, 0);
	assert_int_equal(r.deleted.n, 3);
	assert_int_equal(count_unfinished(&m), 4);
	zone_upload_release(m.z, lost, false);
	control("refuse\n");
	r = gc(&m, true, 0);
	assert_int_equal(r.failed, 1);
	assert_non_null(strstr(r.failed_why, "unfinished pack"));
	control("");
	r = gc(&m, true, 0);
	assert_int_equal(r.deleted.n, 1);
	assert_int_equal(count_unfinished(&m), 3);
	assert_int_equal(age_all(&m), before);
	finish(&m);
}

/* Of a later owner, or once there is one: all stays. */
static void test_unfinished_of_others(void **state)
{
	u8 buf[sizeof(struct nexus_origin_owner)];
	struct nexus_origin_owner raw;
	struct origin_owner o;
	struct content *c;
	struct world m;
	char path[PATH_MAX];
	struct gc *g;

	(void)state;
	begin(&m);
	c = m.z->fetch->content;
	age_all(&m);
	put(&m, ".parts-1-@checkpoint=0000000000000009-0000000000000001=000000", 10, OLD);
	unfinished(&m, "2", sealed[0], OLD);
	assert_non_null(strstr(gc(&m, true, -ESTALE).why, "another owner"));
	assert_int_equal(count_unfinished(&m), 2);
	path_of(&m, ".parts-1-@checkpoint=0000000000000009-0000000000000001=000000", path);
	assert_int_equal(unlink(path), 0);
	g = new_gc(&m, true);
	while (g->phase != GC_ENDING)
		assert_int_equal(gc_step(g), 1);
	assert_int_equal(c->ops->get_named(c, "owner", 0, buf, sizeof(buf), NULL), sizeof(buf));
	assert_int_equal(origin_owner_parse(buf, sizeof(buf), &o), 0);
	o.epoch++;
	origin_owner_encode(&o, &raw);
	assert_int_equal(c->ops->put_named(c, "owner", &raw, sizeof(raw), CONTENT_ANY, NULL), 0);
	assert_int_equal(finish_gc(g), -ESTALE);
	gc_free(g);
	assert_int_equal(count_unfinished(&m), 1);
	finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_leaked, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_foreign, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_young, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_in_the_making, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_later_epoch, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_taken_over, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_named_by_checkpoints, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_new_checkpoint, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_increments, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_damaged_checkpoint, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_put_meanwhile, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_made_meanwhile, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_queued, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_unfinished, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_unfinished_of_others, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_going, test_setup, test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
