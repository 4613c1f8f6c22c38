// SPDX-License-Identifier: Apache-2.0
/* Dumps of what a log holds, and loading more than the index had room for. */
#include "dump.h"
#include "util.h"

static struct config cfg;

static struct zone *load_zone(const char *name, bool rdonly)
{
	static struct chan chan = { .fd = -1 };
	struct errline err = { "" };
	struct zone *z = zone_new(NULL, &cfg, &chan, name);

	assert_non_null(z);
	assert_int_equal(zone_load(z, rdonly, false, &err), 0);
	return z;
}

static FILE *dump_of(const char *name, u64 *count)
{
	struct zone *z = load_zone(name, true);
	struct errline err = { "" };
	FILE *out = tmpfile();

	assert_non_null(out);
	assert_int_equal(dump_write(z, out, count, &err), 0);
	zone_put(z);
	return out;
}

static void same_text(FILE *a, FILE *b)
{
	int x;

	rewind(a);
	rewind(b);
	do {
		x = getc(a);
		assert_int_equal(x, getc(b));
	} while (x != EOF);
}

/* Zone z with @n records that are only in its log. */
static void fill_log(u32 n)
{
	static struct gen g;
	struct fake k;
	struct logw w;
	struct zone *z;
	u32 i;

	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 20);
	gen_init(&g, z->al.next_ino, k.last_pack, 256);
	g.os = z->os;
	log_of(z, &w);
	for (i = 0; i < n; i++) {
		append_both(&k, &w, gen_next(&g));
		if (i % 20 == 19)
			logw_batch(&w);
	}
	if (w.len)
		logw_batch(&w);
	logw_free(&w);
	power_cut(&k, z);
}

static void second_zone(const char *name)
{
	struct store_create sc = {
		.name = name, .segment_size = cfg.segment_size,
		.pack_size = cfg.pack_size, .segments = 2, .packs = 0,
	};
	struct errline err = { "" };

	assert_int_equal(store_create_zone(&cfg, &sc, &err), 0);
}

static int load_into(const char *name, FILE *in, struct errline *err)
{
	const struct atrest_args args = { .zone = name, .data_dir = cfg.data_dir };
	static struct atrest a;
	u64 n = 0;
	int ret;

	assert_int_equal(atrest_open(&a, &args, "test", err), 0);
	a.cfg.map_size = cfg.map_size;
	ret = dump_load(&a, in, &n, err);
	atrest_close(&a);
	return ret;
}

static void test_log_is_in_it(void **state)
{
	struct errline err = { "" };
	struct nexus_omap before, after;
	struct zone *z;
	char cmd[512];
	FILE *dump, *again;
	u64 n, m, tail;

	(void)state;
	fill_log(100);
	z = load_zone("z", true);
	assert_true(z->unclean);
	tail = memtable_applied(&z->mt);
	assert_true(tail > z->sb.checkpoint);
	zone_dump(z, &before);
	zone_put(z);
	dump = dump_of("z", &n);
	second_zone("y");
	snprintf(cmd, sizeof(cmd), "cp -a %s/data/zones/z/packs/. %s/data/zones/y/packs/", test_dir,
		 test_dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(load_into("y", dump, &err), 0);
	again = dump_of("y", &m);
	assert_true(n == m);
	same_text(dump, again);
	z = load_zone("y", false);
	assert_false(z->unclean);
	assert_true(z->sb.checkpoint == tail);
	zone_is_sound(z);
	zone_dump(z, &after);
	same_maps(&before, &after);
	nexus_omap_destroy(&before);
	nexus_omap_destroy(&after);
	zone_put(z);
	fclose(dump);
	fclose(again);
}

/*
 * A million bytes of map are made four, in the middle of the load.
 * Scenarios A11, B15.
 */
static void test_index_grows(void **state)
{
	struct errline err = { "" };
	struct nexus_ms_info info;
	FILE *dump, *again;
	struct gen *g;
	struct fake k;
	struct zone *z;
	u64 n, m;
	u32 i;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 20);
	g = calloc(1, sizeof(*g));
	gen_init(g, z->al.next_ino, 1, 256);
	for (i = 0; i < 6000; i++) {
		memset(g->file, 0, sizeof(g->file));
		fake_append(&k, gen_create(g));
		if (i % 1000 == 999) {
			fake_durable(&k, k.tail);
			assert_int_equal(applier_run(&z->applier, 0), 0);
			assert_int_equal(zone_fold(z, 0, false), 0);
		}
	}
	free(g);
	fake_close(&k, z);
	dump = dump_of("z", &n);
	assert_true(n > 18000);
	second_zone("y");
	assert_int_equal(load_into("y", dump, &err), 0);
	z = load_zone("y", false);
	zone_is_sound(z);
	assert_int_equal(z->ms->drv->info(z->ms, &info), 0);
	assert_true(info.bytes_map > cfg.map_size);
	zone_put(z);
	again = dump_of("y", &m);
	assert_true(n == m);
	same_text(dump, again);
	fclose(dump);
	fclose(again);
}

/* A log that does not end where it was durable is not dumped as if it did. */
static void test_damaged_log(void **state)
{
	const struct atrest_args args = { .zone = "z", .data_dir = cfg.data_dir };
	static struct atrest a;
	struct errline err = { "" };
	struct logw w;

	(void)state;
	fill_log(100);
	assert_int_equal(atrest_open(&a, &args, NULL, &err), 0);
	assert_int_equal(atrest_load(&a, true, &err), 0);
	assert_int_equal(atrest_log_ok(&a, &err), 0);
	log_of(a.z, &w);
	logw_spoil(&w, 0, 0, 1);
	logw_free(&w);
	atrest_unload(&a);
	assert_int_equal(atrest_load(&a, true, &err), 0);
	assert_int_equal(atrest_log_ok(&a, &err), -EUCLEAN);
	assert_non_null(strstr(err.msg, "damaged"));
	atrest_close(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, test_setup, test_teardown)
		T(test_log_is_in_it), T(test_index_grows), T(test_damaged_log),
	};

	return cmocka_run_group_tests_name("dump", tests, NULL, NULL);
}
