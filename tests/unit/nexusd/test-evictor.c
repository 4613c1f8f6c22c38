// SPDX-License-Identifier: Apache-2.0
/*
 * How much is kept here: what was used the longest ago goes, when it is elsewhere, and no
 * more than has to; what is not elsewhere stays, and then no more is made.
 */
#include "pack.h"
#include "space.h"
#include "stats.h"
#include "world.h"

static u64 counter(enum stats_counter c)
{
	return atomic_load(&stats_values[c]);
}

static u32 bits_set(u32 bits)
{
	return (u32)__builtin_popcount(bits);
}

/* ---- tests ------------------------------------------------------------------------------ */

/* The ones used the longest ago, and no more than has to. */
static void test_order(void **state)
{
	u64 before = counter(STATS_evictions);
	struct world w;
	u32 went, n, more;

	(void)state;
	world_begin(&w, "");
	world_flush(&w);
	/* 3 was read last, 0 before it, 7 before that; of the others nobody knows. */
	world_used(&w, 7, 30 * SECOND);
	world_used(&w, 0, 20 * SECOND);
	world_used(&w, 3, 10 * SECOND);
	/* Those that were put from here are not got again. */
	made_control("fail\n");
	world_run(&w);
	went = world_gone(&w);
	n = bits_set(went);
	assert_true(n >= 2 && n <= 6);
	assert_true(w.e->here + w.e->limit_rest <= WORLD_LIMIT);
	/* With one less that would not have been so. */
	assert_true(w.e->here + w.e->limit_rest + w.e->pack_bytes > WORLD_LIMIT);
	assert_int_equal(went, (n == 2 ? 0x6 : n == 3 ? 0x16 : n == 4 ? 0x36 : n == 5 ? 0x76 : 0x176));
	assert_int_equal(counter(STATS_evictions) - before, n);
	/* Nothing more goes until the room is used up. */
	world_run(&w);
	assert_int_equal(world_gone(&w), went);
	zone_evictor_made(w.z, 0);
	world_run(&w);
	assert_int_equal(world_gone(&w), went);
	made_control("");
	/* What was fetched again was used last: others go for it, those of the kernel by age. */
	assert_int_equal(zone_fetch(w.z, w.pack[1], 0, WORLD_PACK_BLOCKS), 0);
	assert_int_equal(zone_fetch(w.z, w.pack[2], 0, WORLD_PACK_BLOCKS), 0);
	assert_int_equal(world_gone(&w) & 0x6, 0);
	world_run(&w);
	more = world_gone(&w);
	assert_int_equal(more & 0x6, 0);
	assert_int_equal(more & went, went & ~0x6u);
	assert_int_equal(bits_set(more), n);
	world_cut(&w);
}

/* Room for what comes ahead of use is made of what was used before, and is elsewhere. */
static void test_fits(void **state)
{
	u64 since, most, stays = 0;
	struct evict_done d = { 0 };
	struct world w;
	u32 i, went;

	(void)state;
	world_begin(&w, "");
	evictor_step(w.e, w.now);
	assert_true(w.e->looked);
	since = space_clock();
	/* Nothing is elsewhere, so nothing can go. */
	assert_false(zone_evictor_fits(w.z, w.pack[1], WORLD_PACK_BYTES, since));
	world_flush(&w);
	world_run(&w);
	went = world_gone(&w);
	assert_true(went & 2);
	since = space_clock();
	assert_true(zone_evictor_fits(w.z, w.pack[1], WORLD_PACK_BYTES, since));
	/* As much as there is, but for what stays free, and for what cannot go. */
	for (i = 0; i < w.e->n; i++)
		if (w.e->packs[i].pack == w.pack[1] || zone_upload_mark(w.z, w.e->packs[i].pack) < MARK_HELD)
			stays += w.e->packs[i].bytes;
	most = WORLD_LIMIT - w.e->limit_rest - stays;
	assert_true(zone_evictor_fits(w.z, w.pack[1], most, since));
	assert_false(zone_evictor_fits(w.z, w.pack[1], most + 1, since));
	/* What is to come counts, until it has. */
	assert_true(zone_evictor_claim(w.z, w.pack[1], most, since));
	assert_false(zone_evictor_claim(w.z, w.pack[1], 1, since));
	zone_evictor_came(w.z, most);
	assert_true(zone_evictor_fits(w.z, w.pack[1], most, since));
	/* So it is while more is here than the limit, for what can go has not gone yet. */
	w.e->here += most - 1;
	assert_true(w.e->here > WORLD_LIMIT);
	assert_true(zone_evictor_fits(w.z, w.pack[1], 1, since));
	assert_false(zone_evictor_fits(w.z, w.pack[1], 2, since));
	w.e->here -= most - 1;
	/* Those that the kernel says were used since then do not go. */
	for (i = 0; i < WORLD_PACKS; i++)
		world_used(&w, i, SECOND);
	assert_true(zone_evictor_fits(w.z, w.pack[1], WORLD_PACK_BYTES, since));
	assert_false(zone_evictor_fits(w.z, w.pack[1], WORLD_PACK_BYTES, since - 2 * SECOND));
	assert_int_equal(zone_warm(w.z, w.pack[1], 0, WORLD_PACK_BLOCKS, since - 2 * SECOND), -ENOSPC);
	assert_true(world_gone(&w) & 2);
	assert_int_equal(zone_warm(w.z, w.pack[1], 0, WORLD_PACK_BLOCKS, since), 0);
	assert_int_equal(world_away(&w, 1), 0);
	/* What came by it does not go for what else comes; all that is older would. */
	w.k.nuses = 0;
	assert_int_equal(zone_warm(w.z, w.pack[2], 0, WORLD_PACK_BLOCKS, since), 0);
	assert_true(zone_evictor_fits(w.z, w.pack[0], WORLD_PACK_BYTES, since));
	assert_false(zone_evictor_fits(w.z, w.pack[0], most - WORLD_PACK_BYTES, since));
	world_run(&w);
	assert_int_equal(world_gone(&w) & 0x6, 0);
	assert_int_equal(zone_warm(w.z, w.pack[1], 0, 0, since), -EINVAL);
	/* What could not go, for nothing was here of it, can when it has come. */
	for (i = 0; i < w.e->n; i++)
		w.e->packs[i].not_before = UINT64_MAX;
	since = space_clock();
	assert_false(zone_evictor_fits(w.z, w.pack[0], 2 * WORLD_PACK_BYTES, since));
	for (i = 0; i < WORLD_PACKS; i++)
		zone_evictor_used(w.z, w.pack[i], 0);
	assert_true(zone_evictor_fits(w.z, w.pack[0], 2 * WORLD_PACK_BYTES, space_clock() + 1));
	/* Nor does what goes by hand count any more. */
	stays = w.e->here;
	assert_int_equal(zone_evict(w.z, w.pack[1], &d), 0);
	assert_true(d.blocks > 0);
	assert_int_equal(w.e->here, stays - (d.blocks << NEXUS_BLOCK_SHIFT));
	world_cut(&w);
}

/* What is not elsewhere stays; whoever wants a pack waits, then is told; it resumes by itself. */
static void test_not_held(void **state)
{
	u64 full = counter(STATS_cache_full), told = counter(STATS_cache_refusals);
	struct evictor_status st;
	struct upload_status up;
	struct world w;

	(void)state;
	world_begin(&w, "refuse\n");
	do {
		assert_int_equal(zone_upload_flush(w.z, 20, &up), 0);
	} while (!up.error[0]);
	/* Nobody knows yet. */
	assert_true(zone_evictor_room(w.z));
	world_run(&w);
	world_run(&w);
	assert_int_equal(world_gone(&w), 0);
	assert_int_equal(counter(STATS_cache_full) - full, 1);
	assert_false(zone_evictor_room(w.z));
	zone_evictor_status(w.z, &st);
	assert_true(st.on && st.full && st.here > st.limit && st.limit == WORLD_LIMIT);
	assert_non_null(strstr(st.error, "not uploaded yet"));
	/* Nobody waits, so nobody has waited for long. */
	assert_false(zone_evictor_gave_up(w.z, false));
	assert_true(w.e->full_since == 0);
	assert_false(zone_evictor_gave_up(w.z, true));
	assert_true(w.e->full_since > 0);
	w.e->full_since -= (w.cfg.origin_timeout + 1) * SECOND;
	assert_true(zone_evictor_gave_up(w.z, false));
	assert_true(zone_evictor_gave_up(w.z, true));
	assert_int_equal(counter(STATS_cache_refusals) - told, 1);
	assert_int_equal(world_gone(&w), 0);
	made_control("");
	world_flush(&w);
	world_run(&w);
	assert_true(world_gone(&w) != 0);
	assert_true(zone_evictor_room(w.z));
	assert_false(zone_evictor_gave_up(w.z, true));
	zone_evictor_status(w.z, &st);
	assert_false(st.full);
	assert_string_equal(st.error, "");
	world_cut(&w);
}

/* While the store does not answer, all that is here stays; nobody asks it all the time. */
static void test_down(void **state)
{
	struct evictor_status st;
	struct world w;

	(void)state;
	world_begin(&w, "");
	world_flush(&w);
	made_control("down\n");
	world_run(&w);
	assert_int_equal(world_gone(&w), 0);
	zone_evictor_status(w.z, &st);
	assert_non_null(strstr(st.error, "nothing can be evicted: test: Host is down"));
	assert_true(w.e->not_before > w.now);
	made_control("");
	evictor_step(w.e, w.e->not_before - 1);
	assert_int_equal(world_gone(&w), 0);
	w.now = w.e->not_before;
	world_run(&w);
	assert_true(world_gone(&w) != 0);
	zone_evictor_status(w.z, &st);
	assert_string_equal(st.error, "");
	world_cut(&w);
}

/* Somebody deleted it there: it stays, and is put again. */
static void test_lost(void **state)
{
	struct content *c;
	struct world w;
	u64 bytes;

	(void)state;
	world_begin(&w, "");
	world_flush(&w);
	c = w.z->fetch->content;
	assert_int_equal(c->ops->del(c, w.pack[0]), 0);
	world_run(&w);
	assert_int_equal(world_gone(&w) & 1, 0);
	assert_true(world_gone(&w) & 2);
	world_flush(&w);
	assert_int_equal(c->ops->head(c, w.pack[0], &bytes), 0);
	assert_int_equal(bytes, (u64)w.used[0] << NEXUS_BLOCK_SHIFT);
	assert_int_equal(zone_upload_mark(w.z, w.pack[0]), MARK_PUT);
	world_cut(&w);
}

/* What was there before it was put may be anything: it is got and compared first. */
static void test_found(void **state)
{
	char path[PATH_MAX + 16];
	struct world w;

	(void)state;
	world_begin(&w, "");
	world_flush(&w);
	snprintf(path, sizeof(path), "%s/" UPLOAD_FILE, w.z->dir);
	assert_int_equal(unlink(path), 0);
	world_cut(&w);
	world_open(&w);
	world_flush(&w);
	assert_int_equal(zone_upload_mark(w.z, w.pack[0]), MARK_HELD);
	made_control("short 70000\n");
	world_run(&w);
	assert_int_equal(world_gone(&w), 0);
	made_control("");
	/* Each is tried again later. */
	w.now += 20 * SECOND;
	world_run(&w);
	assert_true(world_gone(&w) & 1);
	assert_int_equal(zone_upload_mark(w.z, w.pack[0]), MARK_PUT);
	world_cut(&w);
}

/* What is overwritten in place stays, and is not looked at all the time. */
static void test_plain(void **state)
{
	u64 before = counter(STATS_cache_full);
	struct world w;
	u32 i;

	(void)state;
	made_plain = 9;
	world_begin(&w, "");
	made_plain = 0;
	world_flush(&w);
	world_run(&w);
	assert_int_equal(world_gone(&w), 0);
	assert_int_equal(counter(STATS_cache_full) - before, 1);
	for (i = 0; i < w.e->n; i++)
		if (w.e->packs[i].pack >= w.pack[0] && w.e->packs[i].pack <= w.pack[WORLD_PACKS - 1])
			assert_true(w.e->packs[i].not_before > w.now);
	w.now += 3600 * SECOND;
	world_run(&w);
	assert_int_equal(world_gone(&w), 0);
	world_cut(&w);
}

/* The module says no, or the machine stops between any two steps. */
static void test_death(void **state)
{
	struct survey s;
	struct world w;
	u64 bytes;
	u32 i;

	(void)state;
	world_begin(&w, "");
	world_flush(&w);
	w.k.retire_error = -EBUSY;
	world_run(&w);
	assert_int_equal(world_gone(&w), 0);
	w.k.retire_error = 0;
	/* After RETIRE, before the marks: all is as it was. */
	assert_int_equal(survey_begin(&s, w.z, &w.z->space->index, w.pack[5]), 0);
	for (i = s.img.first; i < s.img.blocks; i++)
		if (bit_get(s.live, i))
			bit_set(s.gone, i);
	assert_int_equal(survey_retire(w.z, &s, NEXUS_RT_EVICT), 0);
	survey_end(&s);
	world_cut(&w);
	world_open(&w);
	assert_int_equal(world_away(&w, 5), 0);
	/* After the marks, before the punch: away, and its space comes back later. */
	assert_int_equal(survey_begin(&s, w.z, &w.z->space->index, w.pack[5]), 0);
	for (i = s.img.first; i < s.img.blocks; i++)
		if (bit_get(s.live, i))
			bit_set(s.gone, i);
	assert_int_equal(survey_retire(w.z, &s, NEXUS_RT_EVICT), 0);
	assert_int_equal(pack_image_evict(&s.img, s.gone), 0);
	survey_end(&s);
	world_cut(&w);
	world_open(&w);
	assert_true(world_away(&w, 5) > 200);
	/* Others were used later. */
	for (i = 0; i < WORLD_PACKS; i++)
		if (i != 5)
			world_used(&w, i, SECOND + i);
	assert_int_equal(w.z->os->drv->taken(w.z->os, w.pack[5], &bytes), 0);
	assert_true(bytes >= WORLD_PACK_BYTES);
	world_run(&w);
	assert_true(world_away(&w, 5) > 200);
	assert_int_equal(w.z->os->drv->taken(w.z->os, w.pack[5], &bytes), 0);
	assert_true(bytes < WORLD_PACK_BYTES / 4);
	assert_int_equal(zone_fetch(w.z, w.pack[5], 0, WORLD_PACK_BLOCKS), 0);
	assert_int_equal(world_away(&w, 5), 0);
	world_cut(&w);
}

/* The floor of free space, as a share. */
static u64 host_total, host_avail;

static int host_space(struct nexus_objectstore *os, __u64 *total, __u64 *avail)
{
	(void)os;
	*total = host_total;
	*avail = host_avail;
	return 0;
}

static void test_floor(void **state)
{
	struct nexus_os_driver drv;
	struct world w;
	u32 n;

	(void)state;
	world_begin(&w, "");
	world_flush(&w);
	drv = *w.z->os->drv;
	drv.space = host_space;
	w.z->os->drv = &drv;
	host_total = 1000 * WORLD_PACK_BYTES;
	host_avail = 103 * WORLD_PACK_BYTES;
	zone_evictor_free(w.z);
	w.cfg.cache_limit = 0;
	strcpy(w.cfg.cache_free, "10%");
	w.e = evictor_new(w.z);
	w.z->evictor = w.e;
	assert_int_equal(w.e->floor / WORLD_PACK_BYTES, 100);
	/* It takes a twentieth of that, so three are too few; there are to be ten. */
	world_run(&w);
	n = bits_set(world_gone(&w));
	assert_true(n >= 7 && n <= 9);
	assert_true(zone_evictor_room(w.z));
	host_avail = 100 * WORLD_PACK_BYTES;
	w.now += 2 * SECOND;
	evictor_step(w.e, w.now);
	assert_int_equal(bits_set(world_gone(&w)), WORLD_PACKS);
	host_avail = 100 * WORLD_PACK_BYTES;
	world_run(&w);
	assert_false(zone_evictor_room(w.z));
	host_avail = 200 * WORLD_PACK_BYTES;
	world_run(&w);
	assert_true(zone_evictor_room(w.z));
	w.z->os->drv = &nexus_os_localdisk;
	world_cut(&w);
}

/* Who waits for the maker, who waits for room. */
static void until(struct world *w, bool (*is)(struct world *w))
{
	u32 i;

	for (i = 0; i < 3000 && !is(w); i++) {
		zone_make_kick(w->z);
		usleep(10000);
	}
	assert_true(is(w));
}

static bool has_waited(struct world *w)
{
	bool yes;

	pthread_mutex_lock(&w->e->lock);
	yes = w->e->full_since != 0;
	pthread_mutex_unlock(&w->e->lock);
	return yes;
}

static bool is_told(struct world *w)
{
	bool yes;

	pthread_mutex_lock(&w->k.lock);
	yes = w->k.no_space;
	pthread_mutex_unlock(&w->k.lock);
	return yes;
}

static bool is_not_told(struct world *w)
{
	return !is_told(w);
}

static bool is_served(struct world *w)
{
	return !(__atomic_load_n(&w->k.ctl->flags, __ATOMIC_ACQUIRE) & NEXUS_LF_WANT_PACK);
}

/* No pack is made while there is no room, and whoever waits is told so in the end. */
static void test_maker(void **state)
{
	struct world w;
	u32 packs;

	(void)state;
	world_begin(&w, "down\n");
	world_run(&w);
	assert_false(zone_evictor_room(w.z));
	/* Files of before are no more than there is. */
	w.z->nrecycle = 0;
	packs = w.k.packs;
	__atomic_store_n(&w.k.ctl->flags, NEXUS_LF_WANT_PACK, __ATOMIC_RELEASE);
	assert_int_equal(zone_make_start(w.z), 0);
	until(&w, has_waited);
	assert_false(is_told(&w));
	assert_false(is_served(&w));
	pthread_mutex_lock(&w.e->lock);
	w.e->full_since -= (w.cfg.origin_timeout + 1) * SECOND;
	pthread_mutex_unlock(&w.e->lock);
	until(&w, is_told);
	assert_false(is_served(&w));
	assert_int_equal(w.k.packs, packs);
	/* By itself, once the store is there again. */
	made_control("");
	world_flush(&w);
	w.now += 10 * SECOND;
	world_run(&w);
	until(&w, is_served);
	until(&w, is_not_told);
	atomic_store(&w.z->stopping, true);
	zone_make_stop(w.z);
	world_cut(&w);
}

/* The thread, with nobody's help. */
static void test_thread(void **state)
{
	u64 before = counter(STATS_evictions);
	struct world w;
	u32 i;

	(void)state;
	world_begin(&w, "");
	zone_evictor_free(w.z);
	assert_int_equal(zone_evictor_start(w.z), 0);
	assert_non_null(w.z->evictor);
	world_flush(&w);
	for (i = 0; i < 6000 && counter(STATS_evictions) < before + 2; i++)
		usleep(10000);
	/* Not while blocks are going. */
	atomic_store(&w.z->stopping, true);
	zone_evictor_stop(w.z);
	assert_true(bits_set(world_gone(&w)) >= 2);
	world_cut(&w);
	/* Nothing to keep to. */
	w.cfg.cache_limit = 0;
	w.z = fake_open(&w.k, &w.cfg, 1u << 20);
	assert_int_equal(zone_evictor_start(w.z), 0);
	assert_null(w.z->evictor);
	assert_true(zone_evictor_room(w.z));
	zone_evictor_made(w.z, 0);
	zone_evictor_used(w.z, 1, 0);
	assert_true(zone_evictor_fits(w.z, 1, UINT64_MAX / 2, 0));
	world_cut(&w);
}

static void test_setting(void **state)
{
	static const char *const bad[] = { "", "%", "91%", "-1%", "5 %", "5%%", "x", "10k5" };
	struct errline err = { "" };
	struct config cfg;
	u64 bytes;
	u32 i;

	(void)state;
	assert_int_equal(evictor_floor("10%", 5000, &bytes), 0);
	assert_int_equal(bytes, 500);
	assert_int_equal(evictor_floor("90%", 5000, &bytes), 0);
	assert_int_equal(evictor_floor("3G", 5000, &bytes), 0);
	assert_true(bytes == 3ull << 30);
	assert_int_equal(evictor_floor("0", 5000, &bytes), 0);
	assert_int_equal(bytes, 0);
	config_defaults(&cfg);
	assert_int_equal(cfg.cache_limit, 0);
	assert_int_equal(evictor_floor(cfg.cache_free, 5000, &bytes), 0);
	assert_int_equal(bytes, 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(config_set(&cfg, "cache_free", bad[i], "here", &err), -EINVAL);
	assert_int_equal(config_set(&cfg, "cache_free", "5%", "here", &err), 0);
	assert_int_equal(config_set(&cfg, "cache_limit", "20G", "here", &err), 0);
	assert_true(cfg.cache_limit == 20ull << 30);
}

/* ---- what comes between ------------------------------------------------------------------ */

static struct world *listed;
static const struct nexus_os_driver *plain_driver;

/* Packs are made while a look is at the others. */
static int list_late(struct nexus_objectstore *os, int (*fn)(void *arg, u64 pack), void *arg)
{
	int ret = plain_driver->list(os, fn, arg);

	zone_evictor_made(listed->z, listed->pack[0] + 1000);
	zone_evictor_made(listed->z, listed->pack[1]);
	return ret;
}

static void test_made_beside(void **state)
{
	struct nexus_os_driver late;
	struct world w;
	u64 here;

	(void)state;
	world_begin(&w, "");
	evictor_step(w.e, w.now);
	here = w.e->here;
	listed = &w;
	plain_driver = w.z->os->drv;
	late = *plain_driver;
	late.list = list_late;
	w.z->os->drv = &late;
	w.now += 20 * SECOND;
	evictor_step(w.e, w.now);
	/* One that was seen whole is not counted twice. */
	assert_int_equal(w.e->here, here + w.e->pack_bytes);
	w.z->os->drv = plain_driver;
	w.now += 20 * SECOND;
	evictor_step(w.e, w.now);
	assert_int_equal(w.e->here, here);
	world_cut(&w);
}

static int open_bad(struct nexus_objectstore *os, __u64 pack, bool writable, __u32 *blocks)
{
	return pack == listed->pack[0] ? -EIO : plain_driver->open_pack(os, pack, writable, blocks);
}

/* One pack that cannot be read here is no reason to keep the others, nor the store's fault. */
static void test_bad_pack(void **state)
{
	struct nexus_os_driver bad;
	struct evictor_status st;
	struct world w;
	u64 before;

	(void)state;
	world_begin(&w, "");
	world_flush(&w);
	listed = &w;
	plain_driver = w.z->os->drv;
	bad = *plain_driver;
	bad.open_pack = open_bad;
	w.z->os->drv = &bad;
	before = counter(STATS_evictions);
	world_run(&w);
	assert_true(counter(STATS_evictions) > before);
	zone_evictor_status(w.z, &st);
	assert_string_equal(st.error, "");
	w.z->os->drv = plain_driver;
	assert_int_equal(world_gone(&w) & 1, 0);
	world_cut(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_fits, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_not_held, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_down, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_lost, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_found, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_plain, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_death, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_floor, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_maker, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_thread, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_made_beside, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_bad_pack, test_setup, test_teardown),
		cmocka_unit_test(test_setting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
