// SPDX-License-Identifier: Apache-2.0
/* The applier on a ring: wrapping, overrun, failures, poison, waiting. */
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "util.h"

struct rig {
	struct fake k;
	struct memtable mt;
	struct applier a;
	struct nexus_metastore *ms;
	struct gen g;
	struct seglog log;
	u64 progress;
	u32 fulls;
	int error;
	u64 error_lsn;
	char reason[112];
};

static void on_progress(void *ctx, u64 applied)
{
	struct rig *r = ctx;

	r->progress = applied;
}

static void on_full(void *ctx)
{
	((struct rig *)ctx)->fulls++;
}

static void on_fail(void *ctx, int error, u64 lsn, const char *reason)
{
	struct rig *r = ctx;

	r->error = error;
	r->error_lsn = lsn;
	snprintf(r->reason, sizeof(r->reason), "%s", reason);
}

static const struct applier_ops ops = { on_progress, on_full, on_fail };

static int mkfs(struct nexus_metastore *ms, struct nexus_ms_batch *b, void *arg)
{
	const struct nexus_omap_entry *e;
	struct nexus_omap map;
	int ret;

	(void)arg;
	nexus_omap_init(&map);
	ret = nexus_apply_mkfs(&map.kv, 0755, 0, 0, (struct nexus_time){ 1, 0 });
	for (e = nexus_omap_lower(&map, "", 0, false); e && !ret;
	     e = nexus_omap_lower(&map, e->data, e->klen, true))
		ret = ms->drv->put(b, e->data, e->klen, nexus_omap_val(e), e->vlen);
	nexus_omap_destroy(&map);
	return ret;
}

static void rig_up(struct rig *r, u64 ring_size)
{
	struct nexus_ms_opts opts = { .create = true };
	char err[256];

	memset(r, 0, sizeof(*r));
	assert_int_equal(nexus_ms_mem.open(test_dir, &opts, &r->ms, err, sizeof(err)), 0);
	assert_int_equal(ms_write(r->ms, mkfs, NULL), 0);
	assert_int_equal(memtable_init(&r->mt, r->ms, NEXUS_FIRST_LSN), 0);
	assert_int_equal(applier_init(&r->a, &r->mt, NEXUS_FIRST_LSN, 64u << 20, &ops, r), 0);
	fake_init(&r->k, ring_size, NEXUS_FIRST_LSN);
	applier_set_ring(&r->a, r->k.ctl, r->k.ring, ring_size);
	gen_init(&r->g, 100, 1, 256);
}

static void rig_down(struct rig *r)
{
	applier_destroy(&r->a);
	memtable_destroy(&r->mt);
	r->ms->drv->close(r->ms);
	fake_free(&r->k);
}

static void check_report(void *arg, const struct nexus_check_problem *p)
{
	(void)arg;
	print_message("%c %llu: %s\n", p->letter, p->id, p->what);
}

static void is_sound(struct rig *r)
{
	struct memview v;

	assert_int_equal(memview_begin(&v, &r->mt, NULL), 0);
	assert_int_equal(nexus_store_check(&v.kv, check_report, NULL), 0);
	memview_end(&v);
}

/* A ring so small that records wrap all the time.  Scenario E2. */
static void test_wraps(void **state)
{
	struct rig r;
	u32 i;

	(void)state;
	rig_up(&r, 16384);
	for (i = 0; i < 2000; i++) {
		u64 end = fake_append(&r.k, gen_next(&r.g));

		if (!rnd(3))
			continue;
		assert_int_equal(applier_run(&r.a, 0), 0);
		assert_int_equal(memtable_applied(&r.mt), end);
		assert_int_equal(r.progress, end);
	}
	assert_int_equal(applier_run(&r.a, 0), 0);
	assert_int_equal(r.a.overruns, 0);
	is_sound(&r);
	rig_down(&r);
}

/*
 * Records left the ring before they were applied: the segments have them.
 * Scenario E2.
 */
static void test_overrun(void **state)
{
	static const u8 uuid[NEXUS_UUID_SIZE] = "overrun-test-uu";
	struct logw w;
	struct rig r;
	u32 round, i;

	(void)state;
	rig_up(&r, 8192);
	logw_init(&w, test_dir, uuid, 5, 1, NEXUS_FIRST_LSN);
	logw_segment(&w, 0, 512);
	assert_int_equal(seglog_open(&r.log, test_dir, uuid), 0);
	r.a.log = &r.log;
	r.a.incarnation = 5;
	for (round = 0; round < 8; round++) {
		for (i = 0; i < 150; i++) {
			struct nexus_rec_head *rec = gen_next(&r.g);

			fake_append(&r.k, rec);
			logw_add(&w, rec);
			if (i % 20 == 19)
				logw_batch(&w);
		}
		logw_batch(&w);
		fake_durable(&r.k, w.lsn);
		if (round == 3)
			logw_segment(&w, 1, 512);
		assert_int_equal(applier_run(&r.a, 0), 0);
		assert_int_equal(memtable_applied(&r.mt), w.lsn);
	}
	assert_true(r.a.overruns > 0);
	is_sound(&r);

	/* They are in neither: corruption, with a name. */
	for (i = 0; i < 200; i++)
		fake_append(&r.k, gen_next(&r.g));
	fake_durable(&r.k, r.k.tail);
	assert_int_equal(applier_run(&r.a, 0), -EUCLEAN);
	assert_non_null(strstr(r.reason, "damaged"));
	seglog_close(&r.log);
	logw_free(&w);
	rig_down(&r);
}

/* A record that does not fit the state stops the zone at its LSN. */
static void test_precondition(void **state)
{
	struct nexus_rec_head *rec;
	struct rig r;
	u64 bad, good;
	u8 copy[512] __attribute__((aligned(8)));

	(void)state;
	rig_up(&r, 65536);
	rec = gen_create(&r.g);
	memcpy(copy, rec, le32_to_cpu(rec->len));
	good = fake_append(&r.k, rec);
	assert_int_equal(applier_run(&r.a, 0), 0);
	bad = r.k.tail;
	fake_append(&r.k, (void *)copy);
	fake_append(&r.k, gen_create(&r.g));
	assert_int_equal(applier_run(&r.a, 0), -EUCLEAN);
	assert_int_equal(r.error, -EUCLEAN);
	assert_int_equal(r.error_lsn, bad);
	assert_non_null(strstr(r.reason, "CREATE"));
	assert_int_equal(memtable_applied(&r.mt), good);
	assert_int_equal(applier_wait(&r.a, r.k.tail, 1000), -EUCLEAN);
	/* What was there still is. */
	assert_int_equal(applier_wait(&r.a, good, 0), 0);
	assert_int_equal(applier_run(&r.a, 0), -EUCLEAN);
	is_sound(&r);
	rig_down(&r);
}

static void test_malformed(void **state)
{
	struct nexus_rec_head *rec;
	struct rig r;

	(void)state;
	rig_up(&r, 65536);
	rec = gen_create(&r.g);
	rec->type = cpu_to_le16(777);
	fake_append(&r.k, rec);
	assert_int_equal(applier_run(&r.a, 0), -EUCLEAN);
	assert_non_null(strstr(r.reason, "malformed"));
	rig_down(&r);
}

/* At its limit the memtable waits for the fold, and goes on after it. */
static void test_full(void **state)
{
	struct rig r;
	u32 i;

	(void)state;
	rig_up(&r, 4u << 20);
	r.a.limit = 20000;
	for (i = 0; i < 6000; i++)
		fake_append(&r.k, gen_next(&r.g));
	assert_int_equal(applier_run(&r.a, 0), -ENOBUFS);
	assert_true(r.fulls > 0);
	assert_true(memtable_applied(&r.mt) < r.k.tail);
	assert_int_equal(applier_wait(&r.a, r.k.tail, 10), -ETIMEDOUT);
	r.a.limit = 64u << 20;
	assert_int_equal(applier_run(&r.a, 0), 0);
	assert_int_equal(applier_wait(&r.a, r.k.tail, 10), 0);
	is_sound(&r);
	rig_down(&r);
}

/* Up to what was asked for, so that a request does no more work than its own. */
static void test_upto(void **state)
{
	struct rig r;
	u64 first;

	(void)state;
	rig_up(&r, 1u << 20);
	first = fake_append(&r.k, gen_create(&r.g));
	assert_int_equal(applier_run(&r.a, first), 0);
	fake_append(&r.k, gen_create(&r.g));
	assert_int_equal(applier_run(&r.a, first), 0);
	assert_int_equal(memtable_applied(&r.mt), first);
	applier_stop(&r.a);
	assert_int_equal(applier_wait(&r.a, r.k.tail, 60000), -ESHUTDOWN);
	rig_down(&r);
}

/* Three deaths at one record, whatever the record is; one that went well resets. */
static void die_at(u64 lsn)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct poison p;

		poison_open(&p, test_dir, false);
		if (!poison_enter(&p, lsn))
			_exit(2);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(WEXITSTATUS(status), 1);
}

static void test_poison(void **state)
{
	struct poison p;
	u32 i;

	(void)state;
	for (i = 0; i < 2; i++)
		die_at(4096);
	die_at(8192);
	for (i = 0; i < 2; i++)
		die_at(4096);
	poison_open(&p, test_dir, false);
	assert_int_equal(p.poisoned, 0);
	assert_int_equal(p.page->deaths, 2);
	assert_true(poison_enter(&p, 4096));
	poison_leave(&p);
	poison_close(&p);
	for (i = 0; i < POISON_DEATHS; i++)
		die_at(12288);
	poison_open(&p, test_dir, false);
	assert_int_equal(p.poisoned, 12288);
	assert_false(poison_enter(&p, 12288));
	assert_true(poison_enter(&p, 12280));
	poison_leave(&p);
	poison_close(&p);
}

/*
 * As it happens: each helper begins at the checkpoint, applies what comes before
 * again, and dies where the one before it died.
 */
static const struct nexus_ms_driver *real_ms;
static struct nexus_key deadly;

static int deadly_get(struct nexus_ms_snap *snap, const void *key, size_t klen,
		      const void **val, size_t *vlen)
{
	if (klen == deadly.len && !memcmp(key, deadly.b, klen))
		_exit(1);
	return real_ms->get(snap, key, klen, val, vlen);
}

/* A life: exit status 1 for a death, 3 when the zone is stopped at @bad. */
static int live(u64 *bad)
{
	struct nexus_ms_driver drv;
	pid_t pid = fork();
	int status, i;

	if (!pid) {
		struct rig r;
		int ret;

		rig_up(&r, 1u << 20);
		poison_open(&r.a.poison, test_dir, false);
		for (i = 0; i < 10; i++) {
			/* Of the fifth, the name is fatal to whoever looks it up. */
			if (i == 5) {
				nexus_key_dirent(&deadly, NEXUS_ROOT_INO, "f105", 4);
				*bad = r.k.tail;
			}
			fake_append(&r.k, gen_create(&r.g));
		}
		drv = *r.ms->drv;
		real_ms = r.ms->drv;
		drv.get = deadly_get;
		r.ms->drv = &drv;
		ret = applier_run(&r.a, 0);
		_exit(ret == -EUCLEAN && r.error_lsn == *bad &&
		      strstr(r.reason, "died") ? 3 : 4);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* Scenario B6. */
static void test_poisoned_behind_others(void **state)
{
	u64 bad = 0;
	u32 i;

	(void)state;
	for (i = 0; i < POISON_DEATHS; i++)
		assert_int_equal(live(&bad), 1);
	assert_int_equal(live(&bad), 3);
	assert_int_equal(live(&bad), 3);
}

static void test_poisoned_record(void **state)
{
	struct rig r;
	u64 bad;

	(void)state;
	rig_up(&r, 1u << 20);
	fake_append(&r.k, gen_create(&r.g));
	bad = r.k.tail;
	fake_append(&r.k, gen_create(&r.g));
	r.a.poison.poisoned = bad;
	assert_int_equal(applier_run(&r.a, 0), -EUCLEAN);
	assert_int_equal(r.error_lsn, bad);
	assert_non_null(strstr(r.reason, "died"));
	rig_down(&r);
}

/* Kernel, applier thread and helping readers at once, over a ring that is tight. */
struct crowd {
	struct rig *r;
	atomic_bool stop;
	atomic_uint late;
};

static void *crowd_apply(void *arg)
{
	struct crowd *c = arg;

	while (!atomic_load(&c->stop))
		applier_run(&c->r->a, 0);
	return NULL;
}

static void *crowd_read(void *arg)
{
	struct crowd *c = arg;
	struct memview v;
	u64 tail;

	while (!atomic_load(&c->stop)) {
		tail = __atomic_load_n(&c->r->k.ctl->tail, __ATOMIC_ACQUIRE);
		applier_run(&c->r->a, tail);
		if (applier_wait(&c->r->a, tail, 5000) || memview_begin(&v, &c->r->mt, NULL))
			continue;
		if (c->r->mt.applied < tail)
			atomic_fetch_add(&c->late, 1);
		memview_end(&v);
	}
	return NULL;
}

/* Scenario E6. */
static void test_crowd(void **state)
{
	struct crowd c = { 0 };
	pthread_t threads[3];
	struct rig r;
	u32 i;

	(void)state;
	rig_up(&r, 65536);
	c.r = &r;
	pthread_create(&threads[0], NULL, crowd_apply, &c);
	pthread_create(&threads[1], NULL, crowd_read, &c);
	pthread_create(&threads[2], NULL, crowd_read, &c);
	for (i = 0; i < 4000; i++) {
		/* As the kernel: never over what was not applied and is not in segments. */
		while (r.k.tail - memtable_applied(&r.mt) > 32768)
			usleep(100);
		fake_append(&r.k, gen_next(&r.g));
	}
	assert_int_equal(applier_wait(&r.a, r.k.tail, 20000), 0);
	atomic_store(&c.stop, true);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&c.late), 0);
	assert_int_equal(r.error, 0);
	is_sound(&r);
	rig_down(&r);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, test_setup, test_teardown)
	const struct CMUnitTest tests[] = {
		T(test_wraps),
		T(test_overrun),
		T(test_precondition),
		T(test_malformed),
		T(test_full),
		T(test_upto),
		T(test_poison),
		T(test_poisoned_behind_others),
		T(test_poisoned_record),
		T(test_crowd),
	};

	return cmocka_run_group_tests_name("applier", tests, NULL, NULL);
}
