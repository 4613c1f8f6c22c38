// SPDX-License-Identifier: Apache-2.0
/* What a disk and a power cut can do to the log of a zone, seen from its store. */
#include <fcntl.h>
#include <sys/stat.h>

#include "util.h"

static struct chan none = { .fd = -1 };

static int load(struct config *cfg, bool rdonly, struct zone **z)
{
	struct errline err = { "" };

	*z = zone_new(NULL, cfg, &none, "z");
	return zone_load(*z, rdonly, false, &err);
}

static bool has_name(struct zone *z, const char *name)
{
	struct nexus_key k;
	struct memview v;
	int ret;

	nexus_key_dirent(&k, NEXUS_ROOT_INO, name, strlen(name));
	assert_int_equal(memview_begin(&v, &z->mt, NULL), 0);
	ret = nexus_kv_get(&v.kv, k.b, k.len, NULL, 0);
	memview_end(&v);
	assert_true(ret >= 0 || ret == -ENOENT);
	return ret >= 0;
}

/* A file "fINO"; with three digits every record of this kind has one length. */
static void create(struct fake *k, struct logw *w, struct gen *g, u64 ino)
{
	g->next_ino = ino;
	append_both(k, w, gen_create(g));
}

/*
 * The worst place for an old batch: in the next block of the recycled file,
 * whole, at the very LSN at which the log of the new incarnation goes on.
 * Scenario M2.
 */
static void test_recycled_tail(void **state)
{
	struct config cfg;
	struct gen g, before;
	struct logw w;
	struct zone *z;
	struct fake k;
	u64 good, end;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 20);
	gen_init(&g, 100, k.last_pack, 256);
	log_of(z, &w);
	create(&k, &w, &g, 100);
	logw_batch(&w);
	good = w.lsn;
	before = g;
	/* Torn, and one behind it that reached the disk first. */
	create(&k, &w, &g, 101);
	create(&k, &w, &g, 102);
	logw_batch(&w);
	logw_spoil(&w, 0, w.last_block, 0x40);
	end = w.lsn;
	w.durable = good;
	create(&k, &w, &g, 103);
	logw_batch(&w);
	assert_int_equal(w.last_block, 2);
	logw_free(&w);
	power_cut(&k, z);

	z = fake_open(&k, &cfg, 1u << 20);
	assert_int_equal(z->replay.tail, good);
	assert_true(has_name(z, "f100"));
	assert_false(has_name(z, "f101") || has_name(z, "f103"));
	/* The same LSNs in as many blocks, over the same file. */
	g = before;
	log_of(z, &w);
	create(&k, &w, &g, 201);
	logw_batch(&w);
	create(&k, &w, &g, 202);
	logw_batch(&w);
	assert_int_equal(w.lsn, end);
	assert_int_equal(w.block, 2);
	logw_free(&w);
	power_cut(&k, z);

	z = fake_open(&k, &cfg, 1u << 20);
	assert_int_equal(z->replay.tail, end);
	assert_true(has_name(z, "f201") && has_name(z, "f202"));
	assert_false(has_name(z, "f101") || has_name(z, "f103"));
	/* Once more: behind its first batch stand two lives of the file. */
	log_of(z, &w);
	create(&k, &w, &g, 303);
	logw_batch(&w);
	end = w.lsn;
	logw_free(&w);
	power_cut(&k, z);

	z = fake_open(&k, &cfg, 1u << 20);
	assert_int_equal(z->replay.tail, end);
	assert_true(has_name(z, "f303"));
	assert_false(has_name(z, "f103"));
	zone_is_sound(z);
	power_cut(&k, z);
}

/* What a mount says, and that it changed nothing. */
static void mount_refused(struct config *cfg, const char *words, u64 lsn)
{
	struct errline err = { "" };
	struct zone *z;
	u64 checkpoint;
	char number[32];

	assert_int_equal(load(cfg, true, &z), 0);
	checkpoint = z->sb.checkpoint;
	zone_put(z);
	z = zone_new(NULL, cfg, &none, "z");
	assert_int_equal(zone_open(z, 0, 1, &err), -EUCLEAN);
	if (!strstr(err.msg, words))
		print_message("%s\n", err.msg);
	assert_non_null(strstr(err.msg, words));
	snprintf(number, sizeof(number), "LSN %llu,", lsn);
	assert_non_null(strstr(err.msg, number));
	assert_non_null(strstr(err.msg, "fsck.nexusfs"));
	zone_put(z);
	assert_int_equal(load(cfg, true, &z), 0);
	assert_int_equal(z->sb.checkpoint, checkpoint);
	assert_int_equal(z->sb.incarnation, 1);
	zone_put(z);
}

static void test_damaged_middle(void **state)
{
	struct config cfg;
	struct logw w;
	struct zone *z;
	struct fake k;
	struct gen g;
	u64 good;
	u32 block;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 20);
	gen_init(&g, 100, k.last_pack, 256);
	log_of(z, &w);
	create(&k, &w, &g, 100);
	logw_batch(&w);
	good = w.lsn;
	create(&k, &w, &g, 101);
	logw_batch(&w);
	block = w.last_block;
	create(&k, &w, &g, 102);
	logw_batch(&w);
	power_cut(&k, z);

	logw_spoil(&w, 0, block, 0x04);
	/* Even where there is no memory to keep all of it. */
	cfg.memtable_limit = 100;
	mount_refused(&cfg, "log is damaged at", good);
	assert_int_equal(load(&cfg, true, &z), 0);
	assert_true(has_name(z, "f100"));
	assert_false(has_name(z, "f102"));
	zone_put(z);
	/* The bit is put right: nothing was thrown away. */
	logw_spoil(&w, 0, block, 0x04);
	z = fake_open(&k, &cfg, 1u << 20);
	assert_true(has_name(z, "f100") && has_name(z, "f101") && has_name(z, "f102"));
	power_cut(&k, z);
	logw_free(&w);
}

/* A host that lies about its flush: the index got there, the log did not. */
static void test_index_ahead(void **state)
{
	struct config cfg;
	struct logw w;
	struct zone *z;
	struct fake k;
	struct gen g;
	u64 ahead;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 20);
	gen_init(&g, 100, k.last_pack, 256);
	log_of(z, &w);
	create(&k, &w, &g, 100);
	logw_batch(&w);
	logw_free(&w);
	fake_append(&k, gen_create(&g));
	ahead = k.tail;
	assert_int_equal(applier_run(&z->applier, 0), 0);
	fake_durable(&k, ahead);
	assert_int_equal(zone_fold(z, 0, false), 0);
	assert_int_equal(atomic_load(&z->checkpoint), ahead);
	power_cut(&k, z);
	mount_refused(&cfg, "the log ends below", ahead);
}

/*
 * A log of any length is replayed in the memory there is, whatever interrupts it.
 */
static struct nexus_ms_driver dying_ms;
static int dying_commits;	/* until they fail */

static int dying_commit(struct nexus_ms_batch *b)
{
	if (dying_commits-- > 0)
		return nexus_ms_lmdb.commit(b);
	nexus_ms_lmdb.abort(b);
	return -EIO;
}

static int dying_open(const char *dir, const struct nexus_ms_opts *opts,
		      struct nexus_metastore **ms, char *err, size_t errlen)
{
	int ret = nexus_ms_lmdb.open(dir, opts, ms, err, errlen);

	if (!ret)
		(*ms)->drv = &dying_ms;
	return ret;
}

static void long_log(struct config *cfg, struct nexus_omap *want, u64 *tail)
{
	struct zone *z;
	struct logw w;
	struct fake k;
	struct gen g;
	u32 i;

	z = fake_open(&k, cfg, 4u << 20);
	gen_init(&g, 100, k.last_pack, 256);
	g.os = z->os;
	log_of(z, &w);
	for (i = 0; i < 2500; i++) {
		append_both(&k, &w, gen_next(&g));
		if (i % 100 == 99)
			logw_batch(&w);
	}
	assert_int_equal(applier_run(&z->applier, 0), 0);
	zone_dump(z, want);
	*tail = w.lsn;
	logw_free(&w);
	power_cut(&k, z);
}

static void test_long_replay(void **state)
{
	struct nexus_omap want, got;
	struct config cfg;
	struct zone *z;
	struct fake k;
	struct gen g;
	u64 tail, start;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	long_log(&cfg, &want, &tail);
	/* Looking changes nothing, so it takes the memory that it takes. */
	cfg.memtable_limit = 32u << 10;
	assert_int_equal(load(&cfg, true, &z), 0);
	start = z->sb.checkpoint;
	gen_init(&g, 90000, 1, 256);
	g.next_pos = 90000;
	fake_init(&k, 1u << 20, tail);
	assert_int_equal(memtable_applied(&z->mt), tail);
	assert_int_equal(z->sb.checkpoint, start);
	assert_true(memtable_bytes(&z->mt) > 4 * cfg.memtable_limit);
	/* Nor does it end there for a helper that takes such a mount over. */
	applier_set_ring(&z->applier, k.ctl, k.ring, k.ring_size);
	fake_append(&k, gen_create(&g));
	assert_int_equal(applier_run(&z->applier, 0), 0);
	assert_int_equal(memtable_applied(&z->mt), k.tail);
	fake_free(&k);
	zone_put(z);
	/* One that is interrupted, at the third commit. */
	dying_ms = nexus_ms_lmdb;
	dying_ms.open = dying_open;
	dying_ms.commit = dying_commit;
	dying_commits = 2;
	cfg.metastore = &dying_ms;
	assert_int_equal(load(&cfg, false, &z), -EIO);
	zone_put(z);
	cfg.metastore = &nexus_ms_lmdb;
	assert_int_equal(load(&cfg, true, &z), 0);
	assert_true(z->sb.checkpoint > start && z->sb.checkpoint < tail);
	assert_int_equal(z->sb.incarnation, 1);
	zone_dump(z, &got);
	same_maps(&want, &got);
	nexus_omap_destroy(&got);
	zone_put(z);
	/* And the one that comes to the end. */
	assert_int_equal(load(&cfg, false, &z), 0);
	assert_true(memtable_bytes(&z->mt) < cfg.memtable_limit + (128u << 10));
	zone_is_sound(z);
	zone_put(z);
	z = fake_open(&k, &cfg, 1u << 20);
	assert_int_equal(z->sb.incarnation, 2);
	assert_int_equal(z->sb.checkpoint, tail);
	zone_dump(z, &got);
	same_maps(&want, &got);
	nexus_omap_destroy(&got);
	nexus_omap_destroy(&want);
	power_cut(&k, z);
}

/*
 * A store is kept as it was at each of its checkpoints; the same log, whole,
 * leads from every one of them to the same bytes, in both drivers.
 */
#define MARKS		40u
#define INDEX_PATH	256

struct mark {
	struct nexus_omap map;
	u64 lsn;
};

static void index_path(struct zone *z, char *path, size_t len)
{
	snprintf(path, len, "%.200s/index/data.mdb", z->dir);
}

static void copy_file(const char *from, const char *to)
{
	char cmd[2 * INDEX_PATH + 16];

	snprintf(cmd, sizeof(cmd), "cp %.255s %.255s", from, to);
	assert_int_equal(system(cmd), 0);
}

/* Folds wherever it comes to, also in the middle of what becomes a batch. */
static u32 record_marks(struct zone *z, struct fake *k, struct mark *marks)
{
	char index[INDEX_PATH], copy[INDEX_PATH];
	struct logw w;
	struct gen g;
	u32 i, n = 0;

	gen_init(&g, 100, k->last_pack, 256);
	g.os = z->os;
	index_path(z, index, sizeof(index));
	log_of(z, &w);
	for (i = 0; i < 1200; i++) {
		append_both(k, &w, gen_next(&g));
		if (i % 50 == 49)
			logw_batch(&w);
		if (n == MARKS || rnd(25))
			continue;
		assert_int_equal(applier_run(&z->applier, 0), 0);
		fake_durable(k, k->tail);
		assert_int_equal(zone_fold(z, 0, false), 0);
		marks[n].lsn = atomic_load(&z->checkpoint);
		assert_int_equal(marks[n].lsn, k->tail);
		zone_dump(z, &marks[n].map);
		snprintf(copy, sizeof(copy), "%s/%u.mdb", test_dir, n++);
		copy_file(index, copy);
	}
	assert_int_equal(applier_run(&z->applier, 0), 0);
	logw_free(&w);
	return n;
}

static void from_mark_lmdb(struct config *cfg, const char *index, u32 i,
			   const struct mark *mark, const struct nexus_omap *want)
{
	struct nexus_omap got;
	char copy[INDEX_PATH];
	struct zone *z;

	snprintf(copy, sizeof(copy), "%s/%u.mdb", test_dir, i);
	copy_file(copy, index);
	assert_int_equal(load(cfg, true, &z), 0);
	assert_int_equal(z->sb.checkpoint, mark->lsn);
	assert_int_equal(z->error, 0);
	zone_dump(z, &got);
	same_maps(want, &got);
	nexus_omap_destroy(&got);
	zone_put(z);
}

static int fill_mem(struct nexus_metastore *ms, struct nexus_ms_batch *b, void *arg)
{
	const struct nexus_omap *map = arg;
	const struct nexus_omap_entry *e;
	int ret = 0;

	for (e = nexus_omap_lower(map, "", 0, false); e && !ret;
	     e = nexus_omap_lower(map, e->data, e->klen, true))
		ret = ms->drv->put(b, e->data, e->klen, nexus_omap_val(e), e->vlen);
	return ret;
}

static void ignore_progress(void *ctx, u64 applied)
{
	(void)ctx;
	(void)applied;
}

static void ignore_full(void *ctx)
{
	(void)ctx;
}

static void no_failure(void *ctx, int error, u64 lsn, const char *reason)
{
	(void)ctx;
	print_message("%d at LSN %llu: %s\n", error, lsn, reason);
}

static int apply_stretch(void *arg, const u8 *records, size_t len)
{
	return applier_apply(arg, records, len);
}

static void from_mark_mem(struct zone *z, const struct mark *mark,
			  const struct nexus_omap *want)
{
	static const struct applier_ops ops = { ignore_progress, ignore_full, no_failure };
	struct nexus_ms_opts opts = { .create = true };
	struct nexus_metastore *ms;
	struct nexus_omap got;
	struct memtable mt;
	struct applier a;
	struct memview v;
	struct replay r = {
		.log = &z->applog, .os = z->os, .incarnation = z->sb.incarnation,
		.checkpoint = mark->lsn, .from = mark->lsn,
	};
	char err[256];

	assert_int_equal(nexus_ms_mem.open(test_dir, &opts, &ms, err, sizeof(err)), 0);
	assert_int_equal(ms_write(ms, fill_mem, (void *)&mark->map), 0);
	assert_int_equal(memtable_init(&mt, ms, mark->lsn), 0);
	assert_int_equal(applier_init(&a, &mt, mark->lsn, 64u << 20, &ops, NULL), 0);
	assert_int_equal(seglog_scan(&z->applog), 0);
	assert_int_equal(replay_scan(&r), 0);
	assert_int_equal(r.tail, memtable_applied(&z->mt));
	assert_int_equal(replay_records(&r, r.checkpoint, r.tail, apply_stretch, &a), 0);
	assert_int_equal(memview_begin(&v, &mt, NULL), 0);
	view_dump(&v, &got);
	memview_end(&v);
	same_maps(want, &got);
	nexus_omap_destroy(&got);
	applier_destroy(&a);
	memtable_destroy(&mt);
	ms->drv->close(ms);
}

/* Scenarios A1, M11. */
static void test_any_checkpoint(void **state)
{
	struct mark marks[MARKS];
	char index[INDEX_PATH];
	struct nexus_omap want;
	struct config cfg;
	struct zone *z;
	struct fake k;
	u32 i, n;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 4u << 20);
	n = record_marks(z, &k, marks);
	assert_true(n > MARKS / 2);
	zone_dump(z, &want);
	for (i = 0; i < n; i++)
		from_mark_mem(z, &marks[i], &want);
	index_path(z, index, sizeof(index));
	power_cut(&k, z);
	for (i = 0; i < n; i++)
		from_mark_lmdb(&cfg, index, i, &marks[i], &want);
	/* And are they stores at different points at all? */
	assert_true(marks[0].map.count < want.count);
	for (i = 0; i < n; i++)
		nexus_omap_destroy(&marks[i].map);
	nexus_omap_destroy(&want);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, test_setup, test_teardown)
	const struct CMUnitTest tests[] = {
		T(test_recycled_tail),
		T(test_damaged_middle),
		T(test_index_ahead),
		T(test_long_replay),
		T(test_any_checkpoint),
	};

	return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
