// SPDX-License-Identifier: Apache-2.0
#include "util.h"

char test_dir[128];
#define RND_FIRST	0x2545f491u

static u32 rnd_state = RND_FIRST;

u32 rnd(u32 below)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 17;
	rnd_state ^= rnd_state << 5;
	return rnd_state % below;
}

void rnd_begin(void)
{
	rnd_state = RND_FIRST;
}

int test_setup(void **state)
{
	const char *base = getenv("TEST_DIR");

	(void)state;
	/* Whatever ran before: what a test sees is its own. */
	rnd_begin();
	snprintf(test_dir, sizeof(test_dir), "%.90s/nexusd-test-XXXXXX",
		 base ? base : "/var/tmp");
	log_set_level(getenv("TEST_LOG") ? LOG_L_DEBUG : (enum log_level)0);
	return mkdtemp(test_dir) ? 0 : -1;
}

int test_teardown(void **state)
{
	(void)state;
	store_remove_tree(test_dir);
	return 0;
}

void test_config(struct config *cfg, const struct nexus_ms_driver *ms)
{
	struct errline err = { "" };
	int lock = -1;

	config_defaults(cfg);
	snprintf(cfg->data_dir, sizeof(cfg->data_dir), "%s/data", test_dir);
	cfg->metastore = ms;
	cfg->segment_size = 2u << 20;
	cfg->pack_size = 1u << 20;
	cfg->segments = 2;
	cfg->map_size = 1u << 20;
	cfg->allow_any_host = true;
	assert_int_equal(store_open_data(cfg, &lock, &err), 0);
	close(lock);
}

void test_zone(const struct config *cfg)
{
	struct store_create sc = {
		.name = "z", .segment_size = cfg->segment_size,
		.pack_size = cfg->pack_size, .segments = cfg->segments, .packs = 2,
	};
	struct errline err = { "" };
	int ret = store_create_zone(cfg, &sc, &err);

	if (ret)
		print_message("%d: %s\n", ret, err.msg);
	assert_int_equal(ret, 0);
}

void view_dump(struct memview *v, struct nexus_omap *out)
{
	static u8 val[NEXUS_VALUE_MAX];
	u8 key[NEXUS_KEY_MAX + 1] = { 0 };
	size_t klen = 1;
	int ret;

	nexus_omap_init(out);
	while ((ret = nexus_kv_seek(&v->kv, key, &klen, val, sizeof(val))) >= 0) {
		if (nexus_key_logged(key[0]))
			assert_int_equal(nexus_omap_put(out, key, klen, val, (size_t)ret), 0);
		key[klen++] = 0;
	}
	assert_int_equal(ret, -ENOENT);
}

void same_maps(const struct nexus_omap *a, const struct nexus_omap *b)
{
	const struct nexus_omap_entry *x = nexus_omap_lower(a, "", 0, false);
	const struct nexus_omap_entry *y = nexus_omap_lower(b, "", 0, false);

	while (x && y) {
		assert_int_equal(x->klen, y->klen);
		assert_memory_equal(x->data, y->data, x->klen);
		assert_int_equal(x->vlen, y->vlen);
		assert_memory_equal(nexus_omap_val(x), nexus_omap_val(y), x->vlen);
		x = nexus_omap_lower(a, x->data, x->klen, true);
		y = nexus_omap_lower(b, y->data, y->klen, true);
	}
	assert_null(x);
	assert_null(y);
}

static void report(void *arg, const struct nexus_check_problem *p)
{
	(void)arg;
	print_message("%c %llu (%llu): %s\n", p->letter, p->id, p->other, p->what);
}

void zone_is_sound(struct zone *z)
{
	struct memview v;

	assert_int_equal(memview_begin(&v, &z->mt, NULL), 0);
	assert_int_equal(nexus_store_check(&v.kv, report, NULL), 0);
	memview_end(&v);
}

void zone_dump(struct zone *z, struct nexus_omap *out)
{
	struct memview v;

	assert_int_equal(memview_begin(&v, &z->mt, NULL), 0);
	view_dump(&v, out);
	memview_end(&v);
}
