// SPDX-License-Identifier: Apache-2.0
/*
 * How much is kept here: what was used the longest ago goes, when it is elsewhere, and no
 * more than has to; what is not elsewhere stays, and then no more is made.
 */
#include <sys/stat.h>

#include "evictor.h"
#include "fetch.h"
#include "made.h"
#include "pack.h"
#include "space.h"
#include "stats.h"
#include "upload.h"

#define PACKS		10u
#define PACK_BLOCKS	256u
#define PACK_BYTES	((u64)PACK_BLOCKS << NEXUS_BLOCK_SHIFT)
#define LIMIT		(11 * PACK_BYTES)
#define SECOND		1000000000ull
#define LONG_MS		60000u	/* nobody waits for so long but who fails */

struct world {
	struct config cfg;
	struct fake k;
	struct gen g;
	struct zone *z;
	struct evictor *e;
	u64 pack[PACKS];	/* sealed */
	u32 used[PACKS];	/* blocks of it */
	u64 now;
};

static u64 counter(enum stats_counter c)
{
	return atomic_load(&stats_values[c]);
}

/* ---- a zone with some packs --------------------------------------------------------- */

static void fill(struct world *w, struct logw *log, u32 i)
{
	struct nexus_rec_head *rec;
	struct nexus_rec_pack seal;
	u32 j;

	/* Files of its own: what is in other packs stays alive. */
	for (j = 0; j < GEN_FILES; j++)
		w->g.file[j].ino = 0;
	w->g.pack = w->pack[i];
	w->g.next_block = 1 + pack_table_blocks(PACK_BLOCKS);
	for (j = 0; j < GEN_FILES; j++)
		append_both(&w->k, log, gen_create(&w->g));
	while (w->g.next_block + 8 <= PACK_BLOCKS) {
		rec = gen_extent(&w->g, &w->g.file[rnd(GEN_FILES)]);
		append_both(&w->k, log, rec);
	}
	memset(&seal, 0, sizeof(seal));
	nexus_rec_init(&seal.head, sizeof(seal), NEXUS_REC_PACK, 0, (struct nexus_time){ 1, 0 });
	seal.pack = cpu_to_le64(w->pack[i]);
	seal.state = cpu_to_le32(NEXUS_PACK_SEALED);
	w->used[i] = w->g.next_block;
	seal.used = cpu_to_le32(w->used[i]);
	append_both(&w->k, log, &seal.head);
	logw_batch(log);
}

static void reopen(struct world *w)
{
	u64 lines;

	w->z = fake_open(&w->k, &w->cfg, 1u << 20);
	assert_int_equal(replay_tables(&w->z->replay, w->z->sb.uuid, &lines), 0);
	assert_int_equal(zone_fetch_start(w->z), 0);
	assert_int_equal(zone_space_start(w->z), 0);
	zone_upload_start(w->z);
	assert_non_null(w->z->upload);
	w->e = evictor_new(w->z);
	assert_non_null(w->e);
	w->z->evictor = w->e;
	w->now = space_clock();
}

static void cut(struct world *w)
{
	power_cut(&w->k, w->z);
}

/* @plan: what goes wrong with the store from the beginning. */
static void begin(struct world *w, const char *plan)
{
	char path[PATH_MAX];
	struct logw log;
	u32 i;

	memset(w, 0, sizeof(*w));
	test_config(&w->cfg, &nexus_ms_lmdb);
	w->cfg.compact_rate = 0;
	w->cfg.pack_size = PACK_BYTES;
	w->cfg.upload_delay = 1;
	w->cfg.cache_limit = LIMIT;
	snprintf(path, sizeof(path), "%s/elsewhere", test_dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(w->cfg.content, sizeof(w->cfg.content), "test:%.200s", path);
	made_control(plan);
	test_zone(&w->cfg);
	w->z = fake_open(&w->k, &w->cfg, 1u << 20);
	assert_int_equal(zone_take_packs(w->z, PACKS, &w->pack[0]), 0);
	gen_init(&w->g, 100, w->pack[0], PACK_BLOCKS);
	w->g.os = w->z->os;
	w->g.plain = made_plain;
	log_of(w->z, &log);
	for (i = 0; i < PACKS; i++) {
		w->pack[i] = w->pack[0] + i;
		assert_int_equal(pack_create_allocated(w->z->os, w->pack[i], PACK_BLOCKS,
						       w->z->sb.uuid), 0);
		fill(w, &log, i);
	}
	logw_free(&log);
	cut(w);
	reopen(w);
}

static void flush(struct world *w)
{
	struct upload_status st;

	assert_int_equal(zone_upload_flush(w->z, LONG_MS, &st), 0);
	assert_int_equal(st.packs, 0);
}

/* ---- what is seen of it --------------------------------------------------------------- */

/* Each live block is here and right, or away; how many are. */
static u32 away(struct world *w, u32 i)
{
	struct made m = { .z = w->z, .pack = w->pack[i] };
	struct survey s;

	assert_int_equal(survey_begin(&s, w->z, &w->z->space->index, m.pack), 0);
	m.live = s.nlive;
	survey_end(&s);
	assert_true(m.live > 200);
	return made_away(&m);
}

/* A bit for each pack that went. */
static u32 gone(struct world *w)
{
	u32 i, bits = 0;

	for (i = 0; i < PACKS; i++)
		bits |= away(w, i) ? 1u << i : 0;
	return bits;
}

/* As the thread does, until there is nothing to do at once. */
static void run(struct world *w)
{
	u32 i;

	w->now += 2 * SECOND;
	for (i = 0; i < 100 && evictor_step(w->e, w->now) <= w->now; i++)
		;
	assert_true(i < 100);
}

static u32 bits_set(u32 bits)
{
	return (u32)__builtin_popcount(bits);
}

static void used(struct world *w, u32 i, u64 idle)
{
	assert_true(w->k.nuses < FAKE_USES);
	w->k.use[w->k.nuses].pack = w->pack[i];
	w->k.use[w->k.nuses++].idle = idle;
}

/* ---- tests ------------------------------------------------------------------------------ */

/* The ones used the longest ago, and no more than has to. */
static void test_order(void **state)
{
	u64 before = counter(STATS_evictions);
	struct world w;
	u32 went, n, more;

	(void)state;
	begin(&w, "");
	flush(&w);
	/* 3 was read last, 0 before it, 7 before that; of the others nobody knows. */
	used(&w, 7, 30 * SECOND);
	used(&w, 0, 20 * SECOND);
	used(&w, 3, 10 * SECOND);
	/* Those that were put from here are not got again. */
	made_control("fail\n");
	run(&w);
	went = gone(&w);
	n = bits_set(went);
	assert_true(n >= 2 && n <= 6);
	assert_true(w.e->here + w.e->limit_rest <= LIMIT);
	/* With one less that would not have been so. */
	assert_true(w.e->here + w.e->limit_rest + w.e->pack_bytes > LIMIT);
	assert_int_equal(went, (n == 2 ? 0x6 : n == 3 ? 0x16 : n == 4 ? 0x36 : n == 5 ? 0x76 : 0x176));
	assert_int_equal(counter(STATS_evictions) - before, n);
	/* Nothing more goes until the room is used up. */
	run(&w);
	assert_int_equal(gone(&w), went);
	zone_evictor_made(w.z);
	run(&w);
	assert_int_equal(gone(&w), went);
	made_control("");
	/* What was fetched again was used last: others go for it, those of the kernel by age. */
	assert_int_equal(zone_fetch(w.z, w.pack[1], 0, PACK_BLOCKS), 0);
	assert_int_equal(zone_fetch(w.z, w.pack[2], 0, PACK_BLOCKS), 0);
	assert_int_equal(gone(&w) & 0x6, 0);
	run(&w);
	more = gone(&w);
	assert_int_equal(more & 0x6, 0);
	assert_int_equal(more & went, went & ~0x6u);
	assert_int_equal(bits_set(more), n);
	cut(&w);
}

/* Room for what comes ahead of use is made of what was used before, and is elsewhere. */
static void test_fits(void **state)
{
	u64 since, most, stays = 0;
	struct evict_done d = { 0 };
	struct world w;
	u32 i, went;

	(void)state;
	begin(&w, "");
	evictor_step(w.e, w.now);
	assert_true(w.e->looked);
	since = space_clock();
	/* Nothing is elsewhere, so nothing can go. */
	assert_false(zone_evictor_fits(w.z, w.pack[1], PACK_BYTES, since));
	flush(&w);
	run(&w);
	went = gone(&w);
	assert_true(went & 2);
	since = space_clock();
	assert_true(zone_evictor_fits(w.z, w.pack[1], PACK_BYTES, since));
	/* As much as there is, but for what stays free, and for what cannot go. */
	for (i = 0; i < w.e->n; i++)
		if (w.e->packs[i].pack == w.pack[1] || zone_upload_mark(w.z, w.e->packs[i].pack) < MARK_HELD)
			stays += w.e->packs[i].bytes;
	most = LIMIT - w.e->limit_rest - stays;
	assert_true(zone_evictor_fits(w.z, w.pack[1], most, since));
	assert_false(zone_evictor_fits(w.z, w.pack[1], most + 1, since));
	/* What is to come counts, until it has. */
	assert_true(zone_evictor_claim(w.z, w.pack[1], most, since));
	assert_false(zone_evictor_claim(w.z, w.pack[1], 1, since));
	zone_evictor_came(w.z, most);
	assert_true(zone_evictor_fits(w.z, w.pack[1], most, since));
	/* So it is while more is here than the limit, for what can go has not gone yet. */
	w.e->here += most - 1;
	assert_true(w.e->here > LIMIT);
	assert_true(zone_evictor_fits(w.z, w.pack[1], 1, since));
	assert_false(zone_evictor_fits(w.z, w.pack[1], 2, since));
	w.e->here -= most - 1;
	/* Those that the kernel says were used since then do not go. */
	for (i = 0; i < PACKS; i++)
		used(&w, i, SECOND);
	assert_true(zone_evictor_fits(w.z, w.pack[1], PACK_BYTES, since));
	assert_false(zone_evictor_fits(w.z, w.pack[1], PACK_BYTES, since - 2 * SECOND));
	assert_int_equal(zone_warm(w.z, w.pack[1], 0, PACK_BLOCKS, since - 2 * SECOND), -ENOSPC);
	assert_int_equal(away(&w, 1) == 0, 0);
	assert_int_equal(zone_warm(w.z, w.pack[1], 0, PACK_BLOCKS, since), 0);
	assert_int_equal(away(&w, 1), 0);
	/* What came by it does not go for what else comes; all that is older would. */
	w.k.nuses = 0;
	assert_int_equal(zone_warm(w.z, w.pack[2], 0, PACK_BLOCKS, since), 0);
	assert_true(zone_evictor_fits(w.z, w.pack[0], PACK_BYTES, since));
	assert_false(zone_evictor_fits(w.z, w.pack[0], most - PACK_BYTES, since));
	run(&w);
	assert_int_equal(gone(&w) & 0x6, 0);
	assert_int_equal(zone_warm(w.z, w.pack[1], 0, 0, since), -EINVAL);
	/* What could not go, for nothing was here of it, can when it has come. */
	for (i = 0; i < w.e->n; i++)
		w.e->packs[i].not_before = UINT64_MAX;
	since = space_clock();
	assert_false(zone_evictor_fits(w.z, w.pack[0], 2 * PACK_BYTES, since));
	for (i = 0; i < PACKS; i++)
		zone_evictor_used(w.z, w.pack[i], 0);
	assert_true(zone_evictor_fits(w.z, w.pack[0], 2 * PACK_BYTES, space_clock() + 1));
	/* Nor does what goes by hand count any more. */
	stays = w.e->here;
	assert_int_equal(zone_evict(w.z, w.pack[1], &d), 0);
	assert_true(d.blocks > 0);
	assert_int_equal(w.e->here, stays - (d.blocks << NEXUS_BLOCK_SHIFT));
	cut(&w);
}

/* What is not elsewhere stays; whoever wants a pack waits, then is told; it resumes by itself. */
static void test_not_held(void **state)
{
	u64 full = counter(STATS_cache_full), told = counter(STATS_cache_refusals);
	struct evictor_status st;
	struct upload_status up;
	struct world w;

	(void)state;
	begin(&w, "refuse\n");
	do {
		assert_int_equal(zone_upload_flush(w.z, 20, &up), 0);
	} while (!up.error[0]);
	/* Nobody knows yet. */
	assert_true(zone_evictor_room(w.z));
	run(&w);
	run(&w);
	assert_int_equal(gone(&w), 0);
	assert_int_equal(counter(STATS_cache_full) - full, 1);
	assert_false(zone_evictor_room(w.z));
	zone_evictor_status(w.z, &st);
	assert_true(st.on && st.full && st.here > st.limit && st.limit == LIMIT);
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
	assert_int_equal(gone(&w), 0);
	made_control("");
	flush(&w);
	run(&w);
	assert_true(gone(&w) != 0);
	assert_true(zone_evictor_room(w.z));
	assert_false(zone_evictor_gave_up(w.z, true));
	zone_evictor_status(w.z, &st);
	assert_false(st.full);
	assert_string_equal(st.error, "");
	cut(&w);
}

/* While the store does not answer, all that is here stays; nobody asks it all the time. */
static void test_down(void **state)
{
	struct evictor_status st;
	struct world w;

	(void)state;
	begin(&w, "");
	flush(&w);
	made_control("down\n");
	run(&w);
	assert_int_equal(gone(&w), 0);
	zone_evictor_status(w.z, &st);
	assert_non_null(strstr(st.error, "nothing can be evicted: test: Host is down"));
	assert_true(w.e->not_before > w.now);
	made_control("");
	evictor_step(w.e, w.e->not_before - 1);
	assert_int_equal(gone(&w), 0);
	w.now = w.e->not_before;
	run(&w);
	assert_true(gone(&w) != 0);
	zone_evictor_status(w.z, &st);
	assert_string_equal(st.error, "");
	cut(&w);
}

/* Somebody deleted it there: it stays, and is put again. */
static void test_lost(void **state)
{
	struct content *c;
	struct world w;
	u64 bytes;

	(void)state;
	begin(&w, "");
	flush(&w);
	c = w.z->fetch->content;
	assert_int_equal(c->ops->del(c, w.pack[0]), 0);
	run(&w);
	assert_int_equal(gone(&w) & 1, 0);
	assert_true(gone(&w) & 2);
	flush(&w);
	assert_int_equal(c->ops->head(c, w.pack[0], &bytes), 0);
	assert_int_equal(bytes, (u64)w.used[0] << NEXUS_BLOCK_SHIFT);
	assert_int_equal(zone_upload_mark(w.z, w.pack[0]), MARK_PUT);
	cut(&w);
}

/* What was there before it was put may be anything: it is got and compared first. */
static void test_found(void **state)
{
	char path[PATH_MAX + 16];
	struct world w;

	(void)state;
	begin(&w, "");
	flush(&w);
	snprintf(path, sizeof(path), "%s/" UPLOAD_FILE, w.z->dir);
	assert_int_equal(unlink(path), 0);
	cut(&w);
	reopen(&w);
	flush(&w);
	assert_int_equal(zone_upload_mark(w.z, w.pack[0]), MARK_HELD);
	made_control("short 70000\n");
	run(&w);
	assert_int_equal(gone(&w), 0);
	made_control("");
	/* Each is tried again later. */
	w.now += 20 * SECOND;
	run(&w);
	assert_true(gone(&w) & 1);
	assert_int_equal(zone_upload_mark(w.z, w.pack[0]), MARK_PUT);
	cut(&w);
}

/* What is overwritten in place stays, and is not looked at all the time. */
static void test_plain(void **state)
{
	u64 before = counter(STATS_cache_full);
	struct world w;
	u32 i;

	(void)state;
	made_plain = 9;
	begin(&w, "");
	made_plain = 0;
	flush(&w);
	run(&w);
	assert_int_equal(gone(&w), 0);
	assert_int_equal(counter(STATS_cache_full) - before, 1);
	for (i = 0; i < w.e->n; i++)
		if (w.e->packs[i].pack >= w.pack[0] && w.e->packs[i].pack <= w.pack[PACKS - 1])
			assert_true(w.e->packs[i].not_before > w.now);
	w.now += 3600 * SECOND;
	run(&w);
	assert_int_equal(gone(&w), 0);
	cut(&w);
}

/* The module says no, or the machine stops between any two steps. */
static void test_death(void **state)
{
	struct survey s;
	struct world w;
	u64 bytes;
	u32 i;

	(void)state;
	begin(&w, "");
	flush(&w);
	w.k.retire_error = -EBUSY;
	run(&w);
	assert_int_equal(gone(&w), 0);
	w.k.retire_error = 0;
	/* After RETIRE, before the marks: all is as it was. */
	assert_int_equal(survey_begin(&s, w.z, &w.z->space->index, w.pack[5]), 0);
	for (i = s.img.first; i < s.img.blocks; i++)
		if (bit_get(s.live, i))
			bit_set(s.gone, i);
	assert_int_equal(survey_retire(w.z, &s, NEXUS_RT_EVICT), 0);
	survey_end(&s);
	cut(&w);
	reopen(&w);
	assert_int_equal(away(&w, 5), 0);
	/* After the marks, before the punch: away, and its space comes back later. */
	assert_int_equal(survey_begin(&s, w.z, &w.z->space->index, w.pack[5]), 0);
	for (i = s.img.first; i < s.img.blocks; i++)
		if (bit_get(s.live, i))
			bit_set(s.gone, i);
	assert_int_equal(survey_retire(w.z, &s, NEXUS_RT_EVICT), 0);
	assert_int_equal(pack_image_evict(&s.img, s.gone), 0);
	survey_end(&s);
	cut(&w);
	reopen(&w);
	assert_true(away(&w, 5) > 200);
	/* Others were used later. */
	for (i = 0; i < PACKS; i++)
		if (i != 5)
			used(&w, i, SECOND + i);
	assert_int_equal(w.z->os->drv->taken(w.z->os, w.pack[5], &bytes), 0);
	assert_true(bytes >= PACK_BYTES);
	run(&w);
	assert_true(away(&w, 5) > 200);
	assert_int_equal(w.z->os->drv->taken(w.z->os, w.pack[5], &bytes), 0);
	assert_true(bytes < PACK_BYTES / 4);
	assert_int_equal(zone_fetch(w.z, w.pack[5], 0, PACK_BLOCKS), 0);
	assert_int_equal(away(&w, 5), 0);
	cut(&w);
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
	begin(&w, "");
	flush(&w);
	drv = *w.z->os->drv;
	drv.space = host_space;
	w.z->os->drv = &drv;
	host_total = 1000 * PACK_BYTES;
	host_avail = 103 * PACK_BYTES;
	zone_evictor_free(w.z);
	w.cfg.cache_limit = 0;
	strcpy(w.cfg.cache_free, "10%");
	w.e = evictor_new(w.z);
	w.z->evictor = w.e;
	assert_int_equal(w.e->floor / PACK_BYTES, 100);
	/* It takes a twentieth of that, so three are too few; there are to be ten. */
	run(&w);
	n = bits_set(gone(&w));
	assert_true(n >= 7 && n <= 9);
	assert_true(zone_evictor_room(w.z));
	host_avail = 100 * PACK_BYTES;
	w.now += 2 * SECOND;
	evictor_step(w.e, w.now);
	assert_int_equal(bits_set(gone(&w)), PACKS);
	host_avail = 100 * PACK_BYTES;
	run(&w);
	assert_false(zone_evictor_room(w.z));
	host_avail = 200 * PACK_BYTES;
	run(&w);
	assert_true(zone_evictor_room(w.z));
	w.z->os->drv = &nexus_os_localdisk;
	cut(&w);
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
	begin(&w, "down\n");
	run(&w);
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
	flush(&w);
	w.now += 10 * SECOND;
	run(&w);
	until(&w, is_served);
	until(&w, is_not_told);
	atomic_store(&w.z->stopping, true);
	zone_make_stop(w.z);
	cut(&w);
}

/* The thread, with nobody's help. */
static void test_thread(void **state)
{
	u64 before = counter(STATS_evictions);
	struct world w;
	u32 i;

	(void)state;
	begin(&w, "");
	zone_evictor_free(w.z);
	assert_int_equal(zone_evictor_start(w.z), 0);
	assert_non_null(w.z->evictor);
	flush(&w);
	for (i = 0; i < 6000 && counter(STATS_evictions) < before + 2; i++)
		usleep(10000);
	/* Not while blocks are going. */
	atomic_store(&w.z->stopping, true);
	zone_evictor_stop(w.z);
	assert_true(bits_set(gone(&w)) >= 2);
	cut(&w);
	/* Nothing to keep to. */
	w.cfg.cache_limit = 0;
	w.z = fake_open(&w.k, &w.cfg, 1u << 20);
	assert_int_equal(zone_evictor_start(w.z), 0);
	assert_null(w.z->evictor);
	assert_true(zone_evictor_room(w.z));
	zone_evictor_made(w.z);
	zone_evictor_used(w.z, 1, 0);
	assert_true(zone_evictor_fits(w.z, 1, UINT64_MAX / 2, 0));
	cut(&w);
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
		cmocka_unit_test(test_setting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
