// SPDX-License-Identifier: Apache-2.0
/*
 * Content elsewhere: what is evicted is held and right, what is fetched is checked, in
 * bounds and once, and a death at any point shows neither zeros nor wrong bytes.
 */
#include "helper.h"
#include "made.h"
#include "stats.h"

/* fdatasync() of whoever fetches, who then must not say that anything is here. */
static atomic_bool fetch_fails;
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd)
{
	if (atomic_load(&fetch_fails)) {
		errno = EIO;
		return -1;
	}
	return __real_fdatasync(fd);
}

static u64 counter(enum stats_counter c)
{
	return atomic_load(&stats_values[c]);
}

static int fetch_all(struct made *m)
{
	return zone_fetch(m->z, m->pack, 0, MADE_BLOCKS);
}

/* There and back. */
static void test_round(void **state)
{
	struct made m;
	struct pack_image img;
	u64 bytes;

	(void)state;
	made_new(&m);
	assert_int_equal(made_away(&m), 0);
	made_evict(&m);
	assert_int_equal(m.k.evicted, m.live);
	assert_int_equal(made_away(&m), m.live);
	assert_int_equal(fetch_all(&m), 0);
	assert_int_equal(made_away(&m), 0);
	/* The kernel was told of all that is here, and of nothing else. */
	assert_true(m.k.presented >= m.live);
	/* Nothing is fetched that is here. */
	bytes = counter(STATS_fetched_bytes);
	assert_int_equal(fetch_all(&m), 0);
	assert_int_equal(counter(STATS_fetched_bytes), bytes);
	/* The head may count what is back; what is dead is counted right. */
	assert_int_equal(pack_image_open(m.z->os, m.pack, m.z->sb.uuid, false, &img), 0);
	assert_int_equal(pack_image_dead(&img), 0);
	assert_int_equal(le32_to_cpu(img.head->absent), m.live);
	assert_true(le32_to_cpu(img.head->flags) & NEXUS_PACK_AWAY_FLAG);
	pack_image_close(&img);
	assert_int_equal(zone_fetch(m.z, m.pack, MADE_BLOCKS * 2, 1), -EINVAL);
	assert_int_equal(zone_fetch(m.z, m.pack, UINT32_MAX, UINT32_MAX), -EINVAL);
	assert_int_equal(zone_fetch(m.z, 999999, 20, 1), -ENOENT);
	made_cut(&m);
}

/* What is wrong stays away, and what is good of it comes. */
static void test_wrong(void **state)
{
	static const char *const plans[] = {
		"corrupt\n", "short 0\n", "short 5000\n", "short 4095\n", "end 5000\n", "fail\n",
	};
	struct made m;
	u32 i, n;

	(void)state;
	made_new(&m);
	for (i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		made_evict(&m);
		made_control(plans[i]);
		assert_int_equal(fetch_all(&m), -EIO);
		n = made_away(&m);
		assert_true(n > 0);
		/* Again, with no better luck. */
		assert_int_equal(fetch_all(&m), -EIO);
		made_control("");
		assert_int_equal(fetch_all(&m), 0);
		assert_int_equal(made_away(&m), 0);
	}
	made_cut(&m);
}

/* Nothing goes that is not held elsewhere, and right. */
static void test_evict_refused(void **state)
{
	static const char *const plans[] = { "refuse\n", "corrupt\n", "short 70000\n", "fail\n" };
	struct evict_done d = { 0 };
	struct made m;
	u32 i;

	(void)state;
	made_new(&m);
	for (i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		made_control(plans[i]);
		assert_true(zone_evict(m.z, m.pack, &d) < 0);
		assert_int_equal(made_away(&m), 0);
		assert_int_equal(m.k.evicted, 0);
	}
	made_control("");
	m.k.retire_error = -EBUSY;
	assert_int_equal(zone_evict(m.z, m.pack, &d), -EBUSY);
	assert_int_equal(made_away(&m), 0);
	m.k.retire_error = 0;
	assert_int_equal(zone_evict(m.z, 999999, &d), -ENOENT);
	assert_int_equal(d.blocks, 0);
	made_evict(&m);
	/* Of what is away, the copy that is held is the only one. */
	assert_int_equal(zone_evict(m.z, m.pack, &d), 0);
	assert_int_equal(d.blocks, 0);
	made_cut(&m);
}

/* What may change in place under the copy stays. */
static void test_evict_plain(void **state)
{
	struct evict_done d = { 0 };
	struct made m;

	(void)state;
	made_plain = 9;
	made_new(&m);
	made_plain = 0;
	assert_int_equal(zone_evict(m.z, m.pack, &d), -ETXTBSY);
	assert_int_equal(d.blocks, 0);
	assert_int_equal(made_away(&m), 0);
	assert_int_equal(m.k.evicted, 0);
	made_cut(&m);
}

struct reader {
	struct made *m;
	pthread_t thread;
	u32 block;
	int ret;
};

static void *reader_main(void *arg)
{
	struct reader *r = arg;

	r->ret = zone_fetch(r->m->z, r->m->pack, r->block, 1);
	return NULL;
}

static void read_all(struct made *m, struct reader *r, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++) {
		r[i] = (struct reader){ .m = m, .block = i * 37 % MADE_BLOCKS };
		assert_int_equal(pthread_create(&r[i].thread, NULL, reader_main, &r[i]), 0);
	}
}

static void join_all(struct reader *r, u32 n, int ret)
{
	u32 i;

	for (i = 0; i < n; i++) {
		pthread_join(r[i].thread, NULL);
		assert_int_equal(r[i].ret, ret);
	}
}

/* As many readers as there may be: so many bytes in flight, and each piece once. */
static void test_bounds(void **state)
{
	struct reader r[32];
	u64 before, now, max;
	struct made m;

	(void)state;
	made_new(&m);
	made_evict(&m);
	before = counter(STATS_fetches);
	made_control("delay 100\n");
	read_all(&m, r, 32);
	join_all(r, 32, 0);
	assert_int_equal(made_away(&m), 0);
	assert_int_equal(counter(STATS_fetches) - before, MADE_BLOCKS / FETCH_PIECE);
	assert_true(counter(STATS_fetch_shared) > 0);
	zone_fetch_bytes(m.z, &now, &max);
	assert_int_equal(now, 0);
	assert_int_equal(max, m.cfg.fetch_limit);
	made_cut(&m);
}

/* With threads that fetch ahead, of which there may be one piece. */
static void ahead_begin(struct made *m, struct helper *h)
{
	*h = (struct helper){ .fetchers = workers_new(4, "test-fetch") };
	assert_non_null(h->fetchers);
	made_new(m);
	assert_int_equal(MADE_BLOCKS, 4 * FETCH_PIECE);
	assert_int_equal(m->cfg.fetch_limit, 2 * FETCH_PIECE << NEXUS_BLOCK_SHIFT);
	made_evict(m);
	m->z->helper = h;
}

static void ahead_over(struct made *m)
{
	u64 now = 1, max;

	while (now)
		zone_fetch_bytes(m->z, &now, &max);
	assert_true(max <= m->cfg.fetch_limit);
}

static void ahead_end(struct made *m, struct helper *h)
{
	ahead_over(m);
	workers_free(h->fetchers);
	m->z->helper = NULL;
	assert_int_equal(made_away(m), 0);
	made_cut(m);
}

static u64 told(struct made *m)
{
	u64 in;

	pthread_mutex_lock(&m->k.lock);
	in = m->k.presented_in;
	pthread_mutex_unlock(&m->k.lock);
	return in;
}

/* Who goes on finds the next here, and is heard of: the kernel is told when it asks. */
static void test_ahead(void **state)
{
	u64 before = counter(STATS_fetches);
	struct helper h;
	struct made m;

	(void)state;
	ahead_begin(&m, &h);
	assert_int_equal(zone_fetch(m.z, m.pack, 200, 1), 0);
	ahead_over(&m);
	assert_int_equal(counter(STATS_fetches) - before, 1);
	assert_int_equal(zone_fetch(m.z, m.pack, 1 * FETCH_PIECE, 1), 0);
	ahead_over(&m);
	assert_int_equal(counter(STATS_fetches) - before, 3);
	assert_int_equal(told(&m), 0x3);
	/* It is asked for: told without being got again, and the last is fetched. */
	assert_int_equal(zone_fetch(m.z, m.pack, 2 * FETCH_PIECE, 1), 0);
	assert_int_equal(told(&m) & 0x7, 0x7);
	ahead_over(&m);
	assert_int_equal(told(&m), 0xf);
	assert_int_equal(zone_fetch(m.z, m.pack, 3 * FETCH_PIECE, 1), 0);
	assert_int_equal(counter(STATS_fetches) - before, 4);
	ahead_end(&m, &h);
}

static void *late_main(void *arg)
{
	usleep(200000);
	return reader_main(arg);
}

/* Asked for while it is on its way: who waits for it has it told. */
static void test_ahead_asked(void **state)
{
	struct helper h;
	struct made m;
	struct reader r = { .m = &m, .block = 2 * FETCH_PIECE };

	(void)state;
	ahead_begin(&m, &h);
	assert_int_equal(zone_fetch(m.z, m.pack, 200, 1), 0);
	made_control("delay 1000\n");
	assert_int_equal(pthread_create(&r.thread, NULL, late_main, &r), 0);
	assert_int_equal(zone_fetch(m.z, m.pack, 1 * FETCH_PIECE, 1), 0);
	join_all(&r, 1, 0);
	assert_true(told(&m) & 1 << 2);
	made_control("");
	assert_int_equal(fetch_all(&m), 0);
	ahead_end(&m, &h);
}

/* Who waits for what is held back does not keep a zone from ending. */
static void test_stop(void **state)
{
	struct reader r[8];
	struct made m;
	u64 now = 0, max;

	(void)state;
	made_new(&m);
	made_evict(&m);
	made_control("hold\n");
	read_all(&m, r, 8);
	while (!now)
		zone_fetch_bytes(m.z, &now, &max);
	zone_fetch_stop(m.z);
	join_all(r, 8, -ESHUTDOWN);
	assert_int_equal(fetch_all(&m), -ESHUTDOWN);
	assert_int_equal(made_away(&m), m.live);
	made_cut(&m);
}

/*
 * While some fetch, it is evicted again and again: what is here is right, always.
 * Scenario A21.
 */
static void test_evict_beside(void **state)
{
	struct evict_done d = { 0 };
	struct reader r[16];
	struct made m;
	u32 i;

	(void)state;
	made_new(&m);
	for (i = 0; i < 10; i++) {
		made_evict(&m);
		read_all(&m, r, 16);
		assert_int_equal(zone_evict(m.z, m.pack, &d), 0);
		made_away(&m);
		join_all(r, 16, 0);
		assert_int_equal(fetch_all(&m), 0);
		assert_int_equal(made_away(&m), 0);
	}
	made_cut(&m);
}

/* What comes back while the rest is compared, before it goes, is here. */
static void test_evict_meanwhile(void **state)
{
	struct evict_done d = { 0 };
	struct made m;
	struct reader r = { .m = &m, .block = 3 * FETCH_PIECE };

	(void)state;
	made_new(&m);
	made_evict(&m);
	assert_int_equal(zone_fetch(m.z, m.pack, FETCH_PIECE, 1), 0);
	made_control("delay 2000\n");
	assert_int_equal(pthread_create(&r.thread, NULL, late_main, &r), 0);
	assert_int_equal(zone_evict(m.z, m.pack, &d), 0);
	join_all(&r, 1, 0);
	assert_int_equal(d.packs, 1);
	assert_true(made_away(&m) < m.live);
	made_cut(&m);
}

#define SLOW_STEPS	60u

struct slow {
	struct space *sp;
	pthread_t thread;
	atomic_bool begun;
};

/* Compacts at a rate that has it sleep for 2 s after each step, as in compact.c. */
static void *slow_main(void *arg)
{
	struct slow *s = arg;
	u32 i;

	pthread_mutex_lock(&s->sp->work);
	atomic_store(&s->begun, true);
	for (i = 0; i < SLOW_STEPS; i++)
		space_pay(s->sp, 1ull << 30, 0);
	pthread_mutex_unlock(&s->sp->work);
	return NULL;
}

/* Writers may wait for what is to go: nobody sleeps in its way. */
static void test_evict_urgent(void **state)
{
	struct slow s = { .begun = false };
	struct made m;
	u64 begun;

	(void)state;
	made_new(&m);
	s.sp = m.z->space;
	assert_int_equal(pthread_create(&s.thread, NULL, slow_main, &s), 0);
	while (!atomic_load(&s.begun))
		usleep(1000);
	begun = space_clock();
	made_evict(&m);
	assert_true(space_clock() - begun < SLOW_STEPS * 1000000000ull);
	pthread_join(s.thread, NULL);
	made_cut(&m);
}

/*
 * A death between any two steps of fetching: data in the file and lines that say away,
 * or the kernel not told.  The next helper finds the pack sound, and goes on.
 */
static void test_death(void **state)
{
	struct evict_done d = { 0 };
	struct made m;

	(void)state;
	made_new(&m);
	made_evict(&m);
	/* After the lines, before the kernel: it is told by the next who asks. */
	m.k.present_error = -EIO;
	assert_int_equal(fetch_all(&m), -EIO);
	m.k.present_error = 0;
	m.k.presented = 0;
	assert_int_equal(fetch_all(&m), 0);
	assert_true(m.k.presented >= m.live);
	assert_int_equal(made_away(&m), 0);
	made_cut(&m);
	made_open(&m);
	assert_int_equal(made_away(&m), 0);
	made_evict(&m);
	made_cut(&m);
	made_open(&m);
	/* After the mark, before the punch: away, however much of it is in the file. */
	assert_int_equal(made_away(&m), m.live);
	assert_int_equal(zone_fetch(m.z, m.pack, 300, 1), 0);
	assert_true(made_away(&m) < m.live);
	made_cut(&m);
	made_open(&m);
	assert_true(made_away(&m) > 0);
	assert_int_equal(fetch_all(&m), 0);
	assert_int_equal(made_away(&m), 0);
	assert_int_equal(zone_evict(m.z, m.pack, &d), 0);
	made_cut(&m);
}

/* As a reader has it: the kernel is given the pack, with what is not there of it. */
static void read_once(struct made *m)
{
	assert_int_equal(zone_offer_pack(m->z, m->pack), 0);
	made_away(m);
}

/* What a line says is away the kernel was told of. */
static bool away_known(struct made *m)
{
	struct pack_image img;
	bool known = true;
	u32 i;

	assert_int_equal(pack_image_open(m->z->os, m->pack, m->z->sb.uuid, false, &img), 0);
	for (i = img.first; i < img.blocks; i++)
		known &= !pack_line_away(&img.table[i], m->pack) || !fake_reads(&m->k, m->pack, i);
	pack_image_close(&img);
	return known;
}

/* As before anything is marked. */
static void put_whole(struct made *m)
{
	struct pack_image img;
	bool put;

	assert_int_equal(pack_image_open(m->z->os, m->pack, m->z->sb.uuid, false, &img), 0);
	assert_int_equal(content_put_pack(m->z->fetch->content, &img, &put), 0);
	assert_true(put);
	pack_image_close(&img);
}

/* What is alive goes, and the machine stops after the first flush of the marks. */
static void stop_in_marks(struct made *m)
{
	struct survey s;
	u32 i;

	assert_int_equal(survey_begin(&s, m->z, &m->z->space->index, m->pack), 0);
	for (i = s.img.first; i < s.img.blocks; i++)
		if (bit_get(s.live, i))
			bit_set(s.gone, i);
	assert_int_equal(survey_retire(m->z, &s, NEXUS_RT_EVICT), 0);
	atomic_store(&fetch_fails, true);
	assert_int_equal(pack_image_evict(&s.img, s.gone), -EIO);
	atomic_store(&fetch_fails, false);
	survey_end(&s);
}

/* As helpers left it that wrote the lines first: those of some table blocks, or of all. */
static void mark_lines_alone(struct made *m, u32 step)
{
	struct pack_image img;
	u32 i, block;

	assert_int_equal(pack_image_open(m->z->os, m->pack, m->z->sb.uuid, true, &img), 0);
	for (i = img.first; i < img.blocks; i++)
		if (pack_line_is(&img.table[i], m->pack) && img.table[i].ino)
			img.table[i].offset |= cpu_to_le64(NEXUS_PL_ABSENT | NEXUS_PL_AWAY);
	for (block = 0; block < img.blocks; block += step * NEXUS_PACK_LINES_PER_BLOCK)
		assert_int_equal(pack_image_write_lines(&img, block, 1), 0);
	assert_int_equal(img.head->absent, 0);
	pack_image_close(&img);
}

/*
 * A death between the two flushes of the marks, and an eviction after the next mount: the
 * kernel may have been told that all is here.
 */
static void test_death_in_marks(void **state)
{
	struct evict_done d = { 0 };
	struct made m;
	u32 i;

	for (i = 0; i < 3; i++) {
		made_new(&m);
		put_whole(&m);
		if (i)
			mark_lines_alone(&m, i);
		else
			stop_in_marks(&m);
		made_cut(&m);
		made_open(&m);
		read_once(&m);
		assert_int_equal(away_known(&m), i == 0);
		assert_int_equal(zone_evict(m.z, m.pack, &d), 0);
		made_away(&m);
		assert_int_equal(zone_evict_held(m.z, m.pack, &d), 0);
		assert_int_equal(made_away(&m), m.live);
		/* Nor at the next mount. */
		made_cut(&m);
		made_open(&m);
		read_once(&m);
		assert_true(away_known(&m));
		assert_int_equal(made_away(&m), m.live);
		assert_int_equal(fetch_all(&m), 0);
		assert_int_equal(made_away(&m), 0);
		made_cut(&m);
		test_teardown(state);
		test_setup(state);
	}
}

/* Data comes before lines: where it cannot be written, nothing is said to be here. */
static void test_order(void **state)
{
	struct made m;
	u64 told;

	(void)state;
	made_new(&m);
	made_evict(&m);
	told = m.k.presented;
	atomic_store(&fetch_fails, true);
	assert_int_equal(fetch_all(&m), -EIO);
	atomic_store(&fetch_fails, false);
	assert_int_equal(made_away(&m), m.live);
	assert_int_equal(m.k.presented, told);
	assert_int_equal(fetch_all(&m), 0);
	assert_int_equal(made_away(&m), 0);
	made_cut(&m);
}

/* Dead blocks are punched beside those that are away, which stay so. */
static void test_punch(void **state)
{
	struct survey s;
	struct made m;

	(void)state;
	made_new(&m);
	made_evict(&m);
	assert_int_equal(survey_begin(&s, m.z, &m.z->space->index, m.pack), 0);
	m.z->unclean = true;
	assert_int_equal(zone_fetch(m.z, m.pack, 300, 1), 0);
	/* With lines from before the fetch. */
	assert_int_equal(space_punch(m.z->space, &s), 0);
	survey_end(&s);
	assert_true(made_away(&m) < m.live);
	assert_int_equal(fetch_all(&m), 0);
	assert_int_equal(made_away(&m), 0);
	made_cut(&m);
}

/* Compaction fetches what it moves. */
static void test_compact(void **state)
{
	struct space_done d = { 0 };
	struct survey s;
	uint64_t pack;
	u64 after = 0;
	struct made m;

	(void)state;
	made_new(&m);
	pack = m.pack;
	made_evict(&m);
	assert_int_equal(zone_compact_step(m.z, &pack, 1, false, &after, &d), 0);
	assert_int_equal(d.moved, m.live);
	assert_int_equal(d.skipped, 0);
	assert_int_equal(zone_compact_step(m.z, &pack, 1, false, &after, &d), 0);
	assert_int_equal(applier_run(&m.z->applier, 0), 0);
	fake_durable(&m.k, m.k.tail);
	assert_int_equal(zone_fold(m.z, 100, false), 0);
	m.pack = m.z->al.next_pack - 1;
	assert_int_equal(survey_begin(&s, m.z, &m.z->space->index, m.pack), 0);
	assert_int_equal(s.nlive, m.live);
	assert_int_equal(s.nabsent, 0);
	survey_end(&s);
	assert_int_equal(made_away(&m), 0);
	made_cut(&m);
}

/* What cannot be fetched now is asked for once, and left for later. */
static void test_compact_later(void **state)
{
	struct space_done d = { 0 };
	u64 after = 0, errors;
	uint64_t pack;
	struct made m;

	(void)state;
	made_new(&m);
	pack = m.pack;
	made_evict(&m);
	made_control("fail\n");
	errors = counter(STATS_fetch_errors);
	assert_int_equal(zone_compact_step(m.z, &pack, 1, false, &after, &d), 0);
	assert_int_equal(after, pack);
	assert_int_equal(d.packs, 0);
	assert_int_equal(d.moved, 0);
	assert_int_equal(d.skipped, 1);
	assert_int_equal(counter(STATS_fetch_errors), errors + 1);
	made_control("");
	after = 0;
	assert_int_equal(zone_compact_step(m.z, &pack, 1, false, &after, &d), 0);
	assert_int_equal(d.packs, 1);
	assert_int_equal(d.moved, m.live);
	made_cut(&m);
}

/* No line names a block that was not written, whatever is written beside it later. */
static void test_compact_unwritten(void **state)
{
	struct space_done d = { 0 };
	u32 i, before, lines = 0;
	uint64_t pack;
	u64 after = 0;
	struct space *sp;
	struct made m;

	(void)state;
	made_new(&m);
	pack = m.pack;
	sp = m.z->space;
	/* So that there is a pack to write to. */
	m.k.submit_error = -EROFS;
	assert_int_equal(zone_compact_step(m.z, &pack, 1, false, &after, &d), -EROFS);
	m.k.submit_error = 0;
	before = sp->to_next;
	atomic_store(&fetch_fails, true);
	assert_int_equal(zone_compact_step(m.z, &pack, 1, false, &after, &d), -EIO);
	atomic_store(&fetch_fails, false);
	assert_true(sp->to_next > before);
	for (i = before; i < sp->to_next; i++)
		lines += !!sp->to.table[i].ino;
	assert_int_equal(lines, 0);
	made_cut(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_wrong, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_evict_refused, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_evict_plain, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_bounds, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_ahead, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_ahead_asked, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_stop, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_evict_beside, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_evict_meanwhile, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_evict_urgent, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_death, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_death_in_marks, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_order, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_punch, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_compact, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_compact_later, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_compact_unwritten, test_setup, test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
