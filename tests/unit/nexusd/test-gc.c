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
#include "gc.h"
#include "origin-world.h"
#include "upload.h"

#define OLD	1000000	/* seconds ago */

/* ---- the store's directory --------------------------------------------------------- */

static void path_of(const struct world *m, const char *file, char path[PATH_MAX])
{
	size_t i, at = (size_t)snprintf(path, PATH_MAX, "%s/elsewhere/", test_dir);

	for (i = 0; i < NEXUS_UUID_SIZE; i++)
		at += (size_t)snprintf(path + at, PATH_MAX - at, "%02x", m->z->sb.uuid[i]);
	snprintf(path + at, PATH_MAX - at, "/%s", file);
}

static void age(const struct world *m, const char *file, time_t ago)
{
	const struct timespec t[2] = { { time(NULL) - ago, 0 }, { time(NULL) - ago, 0 } };
	char path[PATH_MAX];

	path_of(m, file, path);
	assert_int_equal(utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW), 0);
}

static void put(const struct world *m, const char *file, size_t bytes, time_t ago)
{
	char path[PATH_MAX];
	int fd;

	path_of(m, file, path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
	age(m, file, ago);
}

static bool has(const struct world *m, const char *file)
{
	char path[PATH_MAX];

	path_of(m, file, path);
	return !access(path, F_OK);
}

static void put_pack(const struct world *m, u64 pack, size_t bytes, time_t ago)
{
	char file[32];

	snprintf(file, sizeof(file), "%016llx", pack);
	put(m, file, bytes, ago);
}

static bool has_pack(const struct world *m, u64 pack)
{
	char file[32];

	snprintf(file, sizeof(file), "%016llx", pack);
	return has(m, file);
}

static void drop_pack(const struct world *m, u64 pack)
{
	char file[32], path[PATH_MAX];

	snprintf(file, sizeof(file), "%016llx", pack);
	path_of(m, file, path);
	assert_int_equal(unlink(path), 0);
}

/* Everything that is there by now is old. */
static u32 age_all(const struct world *m)
{
	char path[PATH_MAX];
	struct dirent *de;
	u32 n = 0;
	DIR *dir;

	path_of(m, "", path);
	dir = opendir(path);
	assert_non_null(dir);
	while ((de = readdir(dir)))
		if (de->d_name[0] != '.') {
			age(m, de->d_name, OLD);
			n++;
		}
	closedir(dir);
	return n;
}

/* ---- a zone that is in use ----------------------------------------------------------- */

static u64 sealed[8];	/* packs of the zone that are with the store */
static u32 nsealed;

static int note_sealed(void *arg, const struct content_object *o)
{
	(void)arg;
	if (o->is_pack)
		sealed[nsealed++] = o->pack;
	assert_true(nsealed < 8);
	return 0;
}

static void flush(struct world *m)
{
	struct upload_status st;

	assert_int_equal(zone_upload_flush(m->z, 60000, &st), 0);
	assert_int_equal(st.packs, 0);
}

static void begin(struct world *m)
{
	struct content *c;
	char *token = NULL;
	__s64 now;

	make(m);
	m->cfg.upload_delay = 1;
	m->cfg.upload_parallel = 1;
	m->cfg.gc_grace = 86400;
	own(m);
	work(m);
	assert_int_equal(zone_fetch_start(m->z), 0);
	zone_upload_start(m->z);
	flush(m);
	nsealed = 0;
	c = m->z->fetch->content;
	assert_int_equal(c->ops->list_page(c, &token, &now, note_sealed, NULL), 0);
	assert_null(token);
	assert_int_equal(nsealed, 2);
}

static void finish(struct world *m)
{
	end_zone(m);
	forget(m);
}

/* An id that was handed out, of which nothing is known any more. */
static u64 lost_pack(struct world *m)
{
	u64 pack;

	assert_int_equal(zone_take_packs(m->z, 1, &pack), 0);
	return pack;
}

static struct gc *new_gc(struct world *m, bool run)
{
	struct errline err = { "" };
	struct gc *g;

	assert_int_equal(gc_new(m->z, run, &g, &err), 0);
	return g;
}

static int finish_gc(struct gc *g)
{
	int ret;

	while ((ret = gc_step(g)) == 1)
		;
	assert_true(g->r.over);
	assert_int_equal(g->r.error, ret);
	assert_int_equal(!ret, !g->r.why[0]);
	return ret;
}

/* All of it; what it found. */
static struct gc_report gc(struct world *m, bool run, int error)
{
	struct gc *g = new_gc(m, run);
	struct gc_report r;

	assert_int_equal(finish_gc(g), error);
	r = g->r;
	gc_free(g);
	return r;
}

static bool named(const struct gc *g, enum gc_what what, const char *name)
{
	size_t i;

	for (i = 0; i < g->nname[what]; i++)
		if (!strcmp(g->name[what][i].text, name))
			return true;
	return false;
}

/* ---- what has leaked ------------------------------------------------------------------- */

static const char *const leaks[] = {
	"@checkpoint=0000000000000001-0000000000000001=000000",
	"@checkpoint=0000000000000001-0000000000000001=000123",
	"@checkpoint=0000000000000000-0000000000000007=000000",
	"@log=0000000000000001-0000000000000001=000000",
	"@log=0000000000000000-ffffffffffffff00=000000",
	"@probe-0123456789abcdef0123456789abcdef",
	"@probe",
};

#define LEAKS	(sizeof(leaks) / sizeof(leaks[0]))

static void test_leaked(void **state)
{
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

/* The index forgets it, and its file goes, as if nothing had ever known of it. */
static void forget_pack(struct world *m, u64 pack)
{
	const struct nexus_ms_driver *drv = m->z->ms->drv;
	struct nexus_ms_batch *b;
	struct nexus_key key;

	nexus_key_pack(&key, pack);
	assert_int_equal(drv->begin_write(m->z->ms, &b), 0);
	assert_int_equal(drv->del(b, key.b, key.len), 0);
	assert_int_equal(drv->commit(b), 0);
	assert_int_equal(m->z->os->drv->remove(m->z->os, pack), 0);
}

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

/* ---- what is missing ---------------------------------------------------------------------- */

static void test_missing(void **state)
{
	struct errline err = { "" };
	char text[64];
	struct world m;
	struct gc *g;
	u64 pack;

	(void)state;
	begin(&m);
	pack = lost_pack(&m);
	put_pack(&m, pack, 10, OLD);
	age_all(&m);
	drop_pack(&m, sealed[1]);
	g = new_gc(&m, true);
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->r.sum[GC_MISSING].n, 1);
	snprintf(text, sizeof(text), "pack %llu", sealed[1]);
	assert_true(named(g, GC_MISSING, text));
	assert_int_equal(g->r.deleted.n, 1);
	gc_free(g);
	/* It is mended by nobody here; the index and the marks are as they were. */
	assert_true(zone_upload_held(m.z, sealed[1]));
	/* A checkpoint alone that needs it is enough. */
	fold(&m);
	forget_pack(&m, sealed[1]);
	assert_int_equal(origin_checkpoint(m.z->origin, &err), 0);
	g = new_gc(&m, false);
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->r.sum[GC_MISSING].n, 1);
	gc_free(g);
	assert_int_equal(origin_checkpoint(m.z->origin, &err), 0);
	g = new_gc(&m, false);
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->r.sum[GC_MISSING].n, 0);
	gc_free(g);
	finish(&m);
}

/* ---- listings ------------------------------------------------------------------------------- */

static struct content_ops mine;
static const struct content_ops *theirs;

/* The zone's driver, some of whose functions a test puts its own in the place of. */
static void wrap(struct world *m)
{
	theirs = m->z->fetch->content->ops;
	mine = *theirs;
	m->z->fetch->content->ops = &mine;
}

static void unwrap(struct world *m)
{
	m->z->fetch->content->ops = theirs;
}

struct held {
	struct content_object o[64];
	char key[64][256];
	u32 n;
};

static int hold(void *arg, const struct content_object *o)
{
	struct held *h = arg;

	assert_true(h->n < 64);
	h->o[h->n] = *o;
	snprintf(h->key[h->n++], 256, "%s", o->key);
	return 0;
}

/* Backwards, and each twice. */
static int list_odd(struct content *c, char **token, __s64 *now, content_object_fn fn, void *arg)
{
	static struct held h;
	int ret;
	u32 i;

	h.n = 0;
	ret = theirs->list_page(c, token, now, hold, &h);
	for (i = h.n * 2; !ret && i-- > 0;) {
		h.o[i / 2].key = h.key[i / 2];
		ret = fn(arg, &h.o[i / 2]);
	}
	return ret;
}

static void test_odd_listing(void **state)
{
	struct gc_report r, odd;
	struct world m;
	size_t i;

	(void)state;
	begin(&m);
	for (i = 0; i < LEAKS; i++)
		put(&m, leaks[i], 100, OLD);
	put_pack(&m, lost_pack(&m), 10, OLD);
	put(&m, "@foreign", 1, OLD);
	age_all(&m);
	r = gc(&m, false, 0);
	wrap(&m);
	mine.list_page = list_odd;
	odd = gc(&m, false, 0);
	assert_int_equal(odd.listed.n, r.listed.n);
	assert_int_equal(odd.listed.bytes, r.listed.bytes);
	assert_memory_equal(odd.sum, r.sum, sizeof(r.sum));
	assert_int_equal(odd.sum[GC_LEAKED].n, LEAKS + 1);
	assert_int_equal(odd.sum[GC_FOREIGN].n, 1);
	unwrap(&m);
	finish(&m);
}

static u64 hidden;

static int unless_hidden(void *arg, const struct content_object *o)
{
	void *const *pair = arg;

	return o->is_pack && o->pack == hidden ? 0 :
	       ((struct { content_object_fn fn; } *)pair[0])->fn(pair[1], o);
}

static int list_less(struct content *c, char **token, __s64 *now, content_object_fn fn, void *arg)
{
	struct { content_object_fn fn; } f = { fn };
	void *pair[2] = { &f, arg };

	return theirs->list_page(c, token, now, unless_hidden, pair);
}

/* A listing that leaves out what is there: it is asked for before it is called missing. */
static void test_left_out(void **state)
{
	struct gc_report r;
	struct world m;

	(void)state;
	begin(&m);
	wrap(&m);
	mine.list_page = list_less;
	hidden = sealed[0];
	r = gc(&m, true, 0);
	assert_int_equal(r.sum[GC_MISSING].n, 0);
	drop_pack(&m, hidden);
	r = gc(&m, true, 0);
	assert_int_equal(r.sum[GC_MISSING].n, 1);
	unwrap(&m);
	finish(&m);
}

/* Objects come and go between any two pages. */
static void test_changes(void **state)
{
	struct world m;
	struct gc *g;
	u64 pack[6];
	char name[64];
	u32 i, n = 0;

	(void)state;
	begin(&m);
	age_all(&m);
	control("page 1\n");
	for (i = 0; i < 6; i++)
		pack[i] = lost_pack(&m);
	for (i = 0; i < 3; i++)
		put_pack(&m, pack[i], 10, OLD);
	g = new_gc(&m, true);
	while (g->phase == GC_LISTING) {
		assert_int_equal(gc_step(g), 1);
		snprintf(name, sizeof(name), "@foreign-%03u", n);
		if (n < 20)
			put(&m, name, 1, OLD);
		if (n == 1)
			drop_pack(&m, pack[0]);
		if (n == 2)
			put_pack(&m, pack[5], 10, OLD);
		n++;
	}
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->r.sum[GC_MISSING].n, 0);
	assert_int_equal(g->r.failed, 0);
	gc_free(g);
	for (i = 1; i < 3; i++)
		assert_false(has_pack(&m, pack[i]));
	for (i = 0; i < 2; i++)
		assert_true(has_pack(&m, sealed[i]));
	for (i = 0; i < NEXUS_MIN(n, 20u); i++) {
		snprintf(name, sizeof(name), "@foreign-%03u", i);
		assert_true(has(&m, name));
	}
	finish(&m);
}

/* It ends in the middle: nothing was deleted. */
static void test_listing_fails(void **state)
{
	struct gc_report r;
	char text[64];
	struct world m;
	u32 n, pages;

	(void)state;
	begin(&m);
	put_pack(&m, lost_pack(&m), 10, OLD);
	n = age_all(&m);
	for (pages = 0; pages < 4; pages++) {
		snprintf(text, sizeof(text), "page 2\nunlist %u\n", pages + 1);
		control(text);
		r = gc(&m, true, -EIO);
		assert_non_null(strstr(r.why, "listing"));
		assert_int_equal(r.deleted.n, 0);
		assert_int_equal(age_all(&m), n);
	}
	control("");
	r = gc(&m, true, 0);
	assert_int_equal(r.deleted.n, 1);
	finish(&m);
}

#define MANY	100000u

static u64 many_first, many_deleted, many_batches;

static int list_many(struct content *c, char **token, __s64 *now, content_object_fn fn, void *arg)
{
	u32 at = *token ? (u32)strtoul(*token, NULL, 10) : 0, end = at + 1000;
	char key[40];
	int ret = 0;

	(void)c;
	*now = time(NULL);
	for (; !ret && at < end; at++) {
		struct content_object o = {
			.key = key, .is_pack = true, .pack = many_first + at, .bytes = 1, .mtime = 1,
		};

		snprintf(key, sizeof(key), "packs/%016llx", (u64)o.pack);
		ret = fn(arg, &o);
	}
	free(*token);
	*token = NULL;
	if (!ret && at < MANY && asprintf(token, "%u", at) < 0)
		ret = -ENOMEM;
	return ret;
}

static int del_many(struct content *c, const __u64 *packs, size_t n, int *errors)
{
	size_t i;

	(void)c;
	assert_true(n <= CONTENT_DEL_MOST);
	for (i = 0; i < n; i++) {
		assert_true(packs[i] >= many_first && packs[i] < many_first + MANY);
		errors[i] = packs[i] == many_first + 7 ? -EIO : 0;
		many_deleted += !errors[i];
	}
	many_batches++;
	return 0;
}

/* 100,000 keys in one prefix: a few bytes of each are held. */
static void test_many(void **state)
{
	struct world m;
	struct gc *g;
	size_t bytes;

	(void)state;
	begin(&m);
	assert_int_equal(zone_take_packs(m.z, MANY, &many_first), 0);
	wrap(&m);
	mine.list_page = list_many;
	mine.del_packs = del_many;
	many_deleted = many_batches = 0;
	g = new_gc(&m, true);
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->r.listed.n, MANY);
	assert_int_equal(g->r.sum[GC_LEAKED].n, MANY);
	assert_int_equal(g->r.sum[GC_LEAKED].bytes, MANY);
	assert_int_equal(g->nname[GC_LEAKED], GC_NAMES);
	assert_int_equal(g->r.deleted.n, MANY - 1);
	assert_int_equal(many_deleted, MANY - 1);
	assert_int_equal(many_batches, MANY / CONTENT_DEL_MOST);
	assert_int_equal(g->r.failed, 1);
	assert_non_null(strstr(g->r.failed_why, strerror(EIO)));
	bytes = g->cap * sizeof(*g->object) + (g->packs.cap + g->keys.cap) * sizeof(u64);
	assert_true(bytes < 100 * MANY);
	/* What the zone has was not listed, and is there: */
	assert_int_equal(g->r.sum[GC_MISSING].n, 0);
	gc_free(g);
	unwrap(&m);
	finish(&m);
}

/* The store takes no deletion: it is said, and counted. */
static void test_refused(void **state)
{
	struct gc_report r;
	struct world m;
	u32 n;

	(void)state;
	begin(&m);
	put_pack(&m, lost_pack(&m), 10, OLD);
	put(&m, leaks[0], 10, OLD);
	n = age_all(&m);
	control("refuse\n");
	r = gc(&m, true, 0);
	assert_int_equal(r.sum[GC_LEAKED].n, 2);
	assert_int_equal(r.deleted.n, 0);
	assert_int_equal(r.failed, 2);
	assert_true(r.failed_why[0]);
	assert_int_equal(age_all(&m), n);
	control("");
	finish(&m);
}

/* ---- by a thread ------------------------------------------------------------------------------ */

static int count_name(void *arg, enum gc_what what, const char *name, u64 bytes)
{
	u32 *n = arg;

	assert_true(name[0] && bytes);
	n[what]++;
	return 0;
}

static int list_waits(struct content *c, char **token, __s64 *now, content_object_fn fn, void *arg)
{
	(void)token;
	(void)now;
	(void)fn;
	(void)arg;
	while (!atomic_load(c->stop))
		usleep(1000);
	return -ESHUTDOWN;
}

static void test_thread(void **state)
{
	u32 n[GC_WHATS] = { 0 };
	struct errline err = { "" };
	struct gc_report r;
	struct world m;
	u64 job, other;

	(void)state;
	begin(&m);
	put_pack(&m, lost_pack(&m), 10, OLD);
	put(&m, "@foreign", 1, OLD);
	assert_int_equal(zone_gc_look(m.z, 1, 0, &r, count_name, n), -ESRCH);
	assert_int_equal(zone_gc_start(m.z, true, &job, &err), 0);
	assert_true(job);
	do {
		assert_int_equal(zone_gc_look(m.z, job, 1000, &r, count_name, n), 0);
	} while (!r.over);
	assert_int_equal(r.error, 0);
	assert_int_equal(r.deleted.n, 1);
	assert_int_equal(n[GC_LEAKED], 1);
	assert_int_equal(n[GC_FOREIGN], 1);
	assert_int_equal(n[GC_MISSING], 0);
	wrap(&m);
	mine.list_page = list_waits;
	assert_int_equal(zone_gc_start(m.z, false, &other, &err), 0);
	assert_int_not_equal(job, other);
	assert_int_equal(zone_gc_look(m.z, job, 0, &r, count_name, n), -ESRCH);
	assert_int_equal(zone_gc_start(m.z, false, &job, &err), -EALREADY);
	assert_int_equal(zone_gc_look(m.z, other, 1, &r, count_name, n), 0);
	assert_false(r.over);
	/* It ends with the zone, and no other begins. */
	zone_stop(m.z);
	assert_int_equal(zone_gc_look(m.z, other, 0, &r, count_name, n), -ESRCH);
	assert_int_equal(zone_gc_start(m.z, false, &job, &err), -ESHUTDOWN);
	unwrap(&m);
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
		cmocka_unit_test_setup_teardown(test_damaged_checkpoint, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_put_meanwhile, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_queued, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_going, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_missing, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_odd_listing, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_left_out, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_changes, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_listing_fails, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_many, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_refused, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_thread, test_setup, test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
