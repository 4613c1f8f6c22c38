// SPDX-License-Identifier: Apache-2.0
/* The merged view against a plain map, and readers beside a writer. */
#include <stdatomic.h>
#include <sys/stat.h>

#include "util.h"

static struct nexus_metastore *open_ms(const struct nexus_ms_driver *drv)
{
	struct nexus_ms_opts opts = { .create = true, .map_size = 1u << 20 };
	struct nexus_metastore *ms;
	char err[256];

	assert_int_equal(drv->open(test_dir, &opts, &ms, err, sizeof(err)), 0);
	return ms;
}

static size_t make_key(u8 *key)
{
	size_t i, len = 1 + rnd(4);

	for (i = 0; i < len; i++)
		key[i] = (u8)('a' + rnd(3));
	return len;
}

static int fill_map(struct nexus_metastore *ms, struct nexus_ms_batch *b, void *arg)
{
	const struct nexus_omap *map = arg;
	const struct nexus_omap_entry *e;
	int ret = 0;

	for (e = nexus_omap_lower(map, "", 0, false); e && !ret;
	     e = nexus_omap_lower(map, e->data, e->klen, true))
		ret = e->tombstone ? ms->drv->del(b, e->data, e->klen) :
			ms->drv->put(b, e->data, e->klen, nexus_omap_val(e), e->vlen);
	return ret;
}

static void same_view(struct memview *v, struct nexus_omap *model)
{
	u8 a[NEXUS_KEY_MAX], b[NEXUS_KEY_MAX], va[64], vb[64];
	size_t la, lb;
	u32 i;

	for (i = 0; i < 60; i++) {
		int x, y;

		la = make_key(a);
		memcpy(b, a, la);
		lb = la;
		x = nexus_kv_get(&v->kv, a, la, va, sizeof(va));
		y = nexus_kv_get(&model->kv, b, lb, vb, sizeof(vb));
		assert_int_equal(x, y);
		if (x > 0)
			assert_memory_equal(va, vb, x);
		x = nexus_kv_seek(&v->kv, a, &la, va, sizeof(va));
		y = nexus_kv_seek(&model->kv, b, &lb, vb, sizeof(vb));
		assert_int_equal(x, y);
		if (x < 0)
			continue;
		assert_int_equal(la, lb);
		assert_memory_equal(a, b, la);
		assert_memory_equal(va, vb, x);
	}
}

/* Random puts and deletes in all layers; a plain map says what must be seen. */
static void model(const struct nexus_ms_driver *drv)
{
	struct nexus_metastore *ms = open_ms(drv);
	struct nexus_omap overlay, plain;
	struct memtable mt;
	struct memview v;
	u64 lsn = 8;
	u32 round, i;

	nexus_omap_init(&overlay);
	nexus_omap_init(&plain);
	assert_int_equal(memtable_init(&mt, ms, lsn), 0);
	for (round = 0; round < 300; round++) {
		assert_int_equal(memview_begin(&v, &mt, &overlay), 0);
		for (i = rnd(20); i; i--) {
			u8 key[8], val[16] = { (u8)rnd(256) };
			size_t klen = make_key(key);

			if (rnd(2)) {
				nexus_kv_put(&v.kv, key, klen, val, 1 + rnd(15));
				nexus_omap_put(&plain, key, klen,
					       nexus_omap_val(nexus_omap_find(&overlay, key, klen)),
					       nexus_omap_find(&overlay, key, klen)->vlen);
			} else {
				nexus_kv_del(&v.kv, key, klen);
				nexus_omap_remove(&plain, key, klen);
			}
		}
		same_view(&v, &plain);
		memview_end(&v);
		if (rnd(2)) {
			lsn += 8;
			assert_int_equal(memtable_publish(&mt, &overlay, lsn), 0);
			nexus_omap_destroy(&overlay);
			assert_int_equal(memtable_applied(&mt), lsn);
			assert_int_equal(memview_begin(&v, &mt, NULL), 0);
			same_view(&v, &plain);
			assert_int_equal(nexus_kv_put(&v.kv, "a", 1, "b", 1), -EROFS);
			memview_end(&v);
		}
		if (!rnd(4) && !overlay.count)
			memtable_freeze(&mt);
		if (!rnd(4) && mt.frozen) {
			assert_int_equal(ms_write(ms, fill_map, mt.frozen), 0);
			memtable_thaw(&mt);
		}
	}
	nexus_omap_destroy(&overlay);
	nexus_omap_destroy(&plain);
	memtable_destroy(&mt);
	ms->drv->close(ms);
}

static void test_model_mem(void **state)
{
	(void)state;
	model(&nexus_ms_mem);
}

static void test_model_lmdb(void **state)
{
	(void)state;
	model(&nexus_ms_lmdb);
}

static void test_freeze(void **state)
{
	struct nexus_metastore *ms = open_ms(&nexus_ms_mem);
	struct nexus_omap overlay;
	struct memtable mt;

	(void)state;
	nexus_omap_init(&overlay);
	assert_int_equal(memtable_init(&mt, ms, 100), 0);
	assert_int_equal(memtable_freeze(&mt), -ENODATA);
	nexus_omap_put(&overlay, "k", 1, "v", 1);
	assert_int_equal(memtable_publish(&mt, &overlay, 108), 0);
	assert_int_equal(memtable_freeze(&mt), 0);
	assert_int_equal(mt.frozen_lsn, 108);
	assert_int_equal(memtable_publish(&mt, &overlay, 116), 0);
	assert_int_equal(memtable_freeze(&mt), -EBUSY);
	memtable_thaw(&mt);
	assert_int_equal(memtable_freeze(&mt), 0);
	memtable_destroy(&mt);
	nexus_omap_destroy(&overlay);
	ms->drv->close(ms);
}

/* Two keys change together always; nobody may see one without the other. */
struct race {
	struct memtable mt;
	struct nexus_metastore *ms;
	atomic_bool stop;
	atomic_uint torn;
};

static void *race_read(void *arg)
{
	struct race *r = arg;
	struct memview v;
	u64 a, b;

	while (!atomic_load(&r->stop)) {
		if (memview_begin(&v, &r->mt, NULL))
			continue;
		a = b = 0;
		nexus_kv_get(&v.kv, "a", 1, &a, sizeof(a));
		nexus_kv_get(&v.kv, "z", 1, &b, sizeof(b));
		memview_end(&v);
		if (a != b)
			atomic_fetch_add(&r->torn, 1);
	}
	return NULL;
}

static void *race_fold(void *arg)
{
	struct race *r = arg;

	while (!atomic_load(&r->stop)) {
		if (memtable_freeze(&r->mt))
			continue;
		assert_int_equal(ms_write(r->ms, fill_map, r->mt.frozen), 0);
		memtable_thaw(&r->mt);
	}
	return NULL;
}

/* Scenario A10. */
static void test_readers_see_whole_records(void **state)
{
	struct race r = { .ms = open_ms(&nexus_ms_lmdb) };
	struct nexus_omap overlay;
	pthread_t threads[3];
	u64 i;

	(void)state;
	nexus_omap_init(&overlay);
	assert_int_equal(memtable_init(&r.mt, r.ms, 8), 0);
	pthread_create(&threads[0], NULL, race_read, &r);
	pthread_create(&threads[1], NULL, race_read, &r);
	pthread_create(&threads[2], NULL, race_fold, &r);
	for (i = 1; i < 3000; i++) {
		nexus_omap_put(&overlay, "a", 1, &i, sizeof(i));
		nexus_omap_put(&overlay, "z", 1, &i, sizeof(i));
		assert_int_equal(memtable_publish(&r.mt, &overlay, 8 + i * 8), 0);
		nexus_omap_destroy(&overlay);
	}
	atomic_store(&r.stop, true);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&r.torn), 0);
	memtable_destroy(&r.mt);
	r.ms->drv->close(r.ms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_model_mem, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_model_lmdb, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_freeze, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_readers_see_whole_records, test_setup,
						test_teardown),
	};

	return cmocka_run_group_tests_name("memtable", tests, NULL, NULL);
}
