// SPDX-License-Identifier: Apache-2.0
/* What is dead in packs is found, given back and moved away from, and nothing else. */
#include <sys/stat.h>

#include "lib/extent_find.h"
#include "space.h"
#include "stats.h"
#include "util.h"
#include "verify.h"

#define PACK_BLOCKS	256u	/* pack_size of test_config() */

struct made {
	struct config cfg;
	struct fake k;
	struct gen g;
	struct zone *z;
	u64 pack;		/* a sealed one, with dead blocks in it */
};

static void append(struct made *m, struct logw *w, struct nexus_rec_head *rec)
{
	if (rec)
		append_both(&m->k, w, rec);
}

static void seal(struct made *m, struct logw *w, u64 pack)
{
	struct nexus_rec_pack rec;

	memset(&rec, 0, sizeof(rec));
	nexus_rec_init(&rec.head, sizeof(rec), NEXUS_REC_PACK, 0, (struct nexus_time){ 1, 0 });
	rec.pack = cpu_to_le64(pack);
	rec.state = cpu_to_le32(NEXUS_PACK_SEALED);
	rec.used = cpu_to_le32(m->g.next_block);
	append(m, w, &rec.head);
}

static u32 plain;	/* as in struct gen */
/* Two packs, nothing of which can be moved; RETIRE of the first of them gives that. */
static int retire_error;

/* Files overwritten in places, and with @clones shared; the pack sealed. */
static void fill(struct made *m, struct logw *w, u64 pack, bool clones)
{
	struct gen_file *f;
	u32 i, n;

	m->g.pack = pack;
	m->g.next_block = 1 + pack_table_blocks(PACK_BLOCKS);
	memset(m->g.file, 0, sizeof(m->g.file));
	for (i = 0; i < 6; i++)
		append(m, w, gen_create(&m->g));
	for (n = 0; n < 400; n++) {
		if (clones) {
			append(m, w, gen_next(&m->g));
			continue;
		}
		f = &m->g.file[rnd(GEN_FILES)];
		append(m, w, f->ino ? gen_extent(&m->g, f) : NULL);
		if (m->g.next_block + 8 > PACK_BLOCKS)
			break;
	}
	seal(m, w, pack);
}

/* Packs are filled; the log is read again, which completes the tables. */
static void make_at(struct made *m, bool clones, u64 rate)
{
	struct logw w;
	u64 lines;

	memset(m, 0, sizeof(*m));
	test_config(&m->cfg, &nexus_ms_lmdb);
	m->cfg.compact_rate = rate;
	test_zone(&m->cfg);
	m->z = fake_open(&m->k, &m->cfg, 1u << 20);
	m->pack = m->k.last_pack;
	gen_init(&m->g, 100, m->pack, PACK_BLOCKS);
	m->g.os = m->z->os;
	m->g.plain = plain;
	log_of(m->z, &w);
	if (retire_error)
		fill(m, &w, --m->pack, clones);
	fill(m, &w, m->k.last_pack, clones);
	logw_batch(&w);
	logw_free(&w);
	power_cut(&m->k, m->z);
	m->z = fake_open(&m->k, &m->cfg, 1u << 20);
	assert_int_equal(replay_tables(&m->z->replay, m->z->sb.uuid, &lines), 0);
	assert_true(lines > 20);
	if (retire_error) {
		m->z->sb.incompat &= ~NEXUS_INCOMPAT_MOVES;
		m->k.retire_error = retire_error;
		m->k.retire_pack = m->pack;
	}
	assert_int_equal(zone_space_start(m->z), 0);
}

/* Nothing happens but when asked for. */
static void make(struct made *m, bool clones)
{
	make_at(m, clones, 0);
}

static void done(struct made *m)
{
	power_cut(&m->k, m->z);
}

static void problem(void *arg, const struct verify_problem *p)
{
	print_message("pack %llu block %u: %s\n", p->pack, p->block, p->what);
	++*(u32 *)arg;
}

/* Every block that is mapped is there, and what it should be. */
static void all_there(struct made *m)
{
	struct verify_cursor c = { .len = 0 };
	u32 problems = 0;
	struct verify *v = verify_new(m->z, false, true, problem, &problems);

	while (!c.done)
		assert_int_equal(verify_step(v, &c, 1u << 20, NULL, 0), 0);
	assert_true(verify_counts(v)->blocks > 20);
	verify_free(v);
	assert_int_equal(problems, 0);
	zone_is_sound(m->z);
}

/* Blocks of the pack that extents map, found the long way. */
static void mapped(struct made *m, bool *live, bool *shared)
{
	struct nexus_key key;
	struct nexus_kext x;
	struct memview v;
	u64 val[64];
	u32 i;
	int ret;

	memset(live, 0, PACK_BLOCKS);
	memset(shared, 0, PACK_BLOCKS);
	nexus_key_extent(&key, 0, 0);
	key.len = 1;
	assert_int_equal(memview_begin(&v, &m->z->mt, NULL), 0);
	while ((ret = nexus_kv_seek(&v.kv, key.b, &key.len, val, sizeof(val))) >= 0 &&
	       key.b[0] == NEXUS_KEY_EXTENT) {
		assert_int_equal(nexus_ext_parse(&key, val, (size_t)ret, &x), 0);
		for (i = 0; x.pack == m->pack && i < x.nblocks; i++) {
			live[x.block + i] = true;
			shared[x.block + i] |= x.flags & NEXUS_EF_SHARED;
		}
		key.b[key.len++] = 0;
	}
	memview_end(&v);
}

static void check_survey(struct made *m, const struct survey *s)
{
	bool live[PACK_BLOCKS], shared[PACK_BLOCKS];
	u32 i, nlive = 0;

	mapped(m, live, shared);
	for (i = 0; i < PACK_BLOCKS; i++) {
		assert_int_equal(bit_get(s->live, i), live[i]);
		assert_int_equal(bit_get(s->shared, i), shared[i]);
		nlive += live[i];
	}
	assert_int_equal(s->nlive, nlive);
}

static u64 host_blocks(struct made *m)
{
	struct stat st;
	u32 blocks;
	int fd = m->z->os->drv->open_pack(m->z->os, m->pack, false, &blocks);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	return (u64)st.st_blocks * 512 / NEXUS_BLOCK_SIZE;
}

static void punch(bool clones)
{
	struct space *sp;
	struct survey s;
	struct made m;
	u64 before;
	u32 dead;

	make(&m, clones);
	sp = m.z->space;
	all_there(&m);
	before = host_blocks(&m);
	assert_int_equal(survey_begin(&s, m.z, &sp->index, m.pack), 0);
	check_survey(&m, &s);
	assert_int_equal(s.nabsent, 0);
	/* The kernel says not now: nothing happens. */
	m.k.retire_error = -EBUSY;
	assert_int_equal(space_punch(sp, &s), -EAGAIN);
	assert_int_equal(host_blocks(&m), before);
	assert_int_equal(s.img.head->absent, 0);
	m.k.retire_error = 0;
	dead = PACK_BLOCKS - s.img.first - s.nlive;
	assert_true(dead > 20);
	assert_int_equal(space_punch(sp, &s), 0);
	assert_int_equal(m.k.retired, dead);
	survey_end(&s);
	assert_true(host_blocks(&m) <= before - dead + 2);
	all_there(&m);
	/* It is written down, and nothing is left to do. */
	assert_int_equal(survey_begin(&s, m.z, &sp->index, m.pack), 0);
	assert_int_equal(le32_to_cpu(s.img.head->absent), dead);
	assert_int_equal(s.nabsent, dead);
	assert_int_equal(survey_dead(&s), 0);
	check_survey(&m, &s);
	survey_end(&s);
	done(&m);
}

static void test_punch(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < 4; i++) {
		punch(false);
		test_teardown(state);
		test_setup(state);
	}
}

static void test_punch_shared(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < 4; i++) {
		punch(true);
		test_teardown(state);
		test_setup(state);
	}
}

/* A table that does not name all that is live, or says that it is gone: hands off. */
static void test_bad_table(void **state)
{
	struct nexus_pack_line line;
	struct pack_image img;
	struct survey s;
	struct made m;
	u32 i = 0;

	(void)state;
	make(&m, false);
	assert_int_equal(survey_begin(&s, m.z, &m.z->space->index, m.pack), 0);
	while (!bit_get(s.live, i))
		i++;
	survey_end(&s);
	assert_int_equal(pack_image_open(m.z->os, m.pack, m.z->sb.uuid, true, &img), 0);
	line = img.table[i];
	img.table[i].data_id = cpu_to_le64(987654);
	assert_int_equal(pack_image_write_lines(&img, i, 1), 0);
	assert_int_equal(survey_begin(&s, m.z, &m.z->space->index, m.pack), -EUCLEAN);
	img.table[i] = line;
	img.table[i].offset |= cpu_to_le64(NEXUS_PL_ABSENT);
	assert_int_equal(pack_image_write_lines(&img, i, 1), 0);
	assert_int_equal(survey_begin(&s, m.z, &m.z->space->index, m.pack), -EUCLEAN);
	img.table[i] = line;
	assert_int_equal(pack_image_write_lines(&img, i, 1), 0);
	assert_int_equal(survey_begin(&s, m.z, &m.z->space->index, m.pack), 0);
	survey_end(&s);
	pack_image_close(&img);
	done(&m);
}

/* What the helper submitted is applied, durable, and in the index. */
static void settle(struct made *m)
{
	assert_int_equal(applier_run(&m->z->applier, 0), 0);
	fake_durable(&m->k, m->k.tail);
	assert_int_equal(zone_fold(m->z, 100, false), 0);
}

static void test_compact(void **state)
{
	struct space_done d = { 0 };
	bool live[PACK_BLOCKS], shared[PACK_BLOCKS];
	u64 after = 0;
	uint64_t pack;
	struct survey s;
	struct made m;
	u32 i, n = 0;

	(void)state;
	make(&m, false);
	pack = m.pack;
	mapped(&m, live, shared);
	for (i = 0; i < PACK_BLOCKS; i++)
		n += live[i];
	assert_int_equal(zone_compact_step(m.z, &pack, 1, false, &after, &d), 0);
	assert_int_equal(after, m.pack);
	assert_int_equal(d.packs, 1);
	assert_int_equal(d.moved, n);
	assert_int_equal(d.skipped, 0);
	assert_int_equal(zone_compact_step(m.z, &pack, 1, false, &after, &d), 0);
	assert_int_equal(after, 0);
	settle(&m);
	all_there(&m);
	mapped(&m, live, shared);
	for (i = 0; i < PACK_BLOCKS; i++)
		assert_false(live[i]);
	assert_int_equal(survey_begin(&s, m.z, &m.z->space->index, m.pack), -ENOENT);
	/* The new one is sealed, full of life, and small. */
	m.pack = m.z->al.next_pack - 1;
	assert_int_equal(survey_begin(&s, m.z, &m.z->space->index, m.pack), 0);
	check_survey(&m, &s);
	assert_int_equal(s.nlive, n);
	assert_true(host_blocks(&m) <= s.img.first + n + 2);
	survey_end(&s);
	done(&m);
}

/* A block that is damaged stays where it is; so does what is shared. */
static void test_compact_some(void **state)
{
	bool live[PACK_BLOCKS], shared[PACK_BLOCKS];
	struct space_done d = { 0 };
	u64 after = 0;
	uint64_t pack;
	u32 i, n = 0;
	struct made m;

	(void)state;
	make(&m, true);
	pack = m.pack;
	mapped(&m, live, shared);
	for (i = 0; i < PACK_BLOCKS; i++)
		n += live[i] && !shared[i];
	assert_int_equal(zone_compact_step(m.z, &pack, 1, false, &after, &d), 0);
	assert_int_equal(d.moved, n);
	settle(&m);
	all_there(&m);
	mapped(&m, live, shared);
	for (i = 0; i < PACK_BLOCKS; i++)
		assert_false(live[i] && !shared[i]);
	done(&m);
}

/* What is overwritten in place is not moved; what is dead of it is punched. */
static void test_compact_plain(void **state)
{
	struct space_done d = { 0 };
	struct survey s;
	u64 after = 0;
	uint64_t pack;
	struct made m;
	u32 n;

	(void)state;
	plain = 3;
	make(&m, false);
	plain = 0;
	pack = m.pack;
	assert_int_equal(survey_begin(&s, m.z, &m.z->space->index, pack), 0);
	check_survey(&m, &s);
	assert_true(s.nplain && s.nplain < s.nlive);
	n = s.nplain;
	assert_int_equal(zone_compact_step(m.z, &pack, 1, false, &after, &d), 0);
	assert_int_equal(d.moved, s.nlive - n);
	assert_int_equal(d.skipped, 0);
	survey_end(&s);
	settle(&m);
	all_there(&m);
	assert_int_equal(survey_begin(&s, m.z, &m.z->space->index, pack), 0);
	check_survey(&m, &s);
	assert_true(s.nlive == n && s.nplain == n);
	/* And nobody tries it again. */
	assert_false(space_worth_moving(m.z->space, &s, PACK_BLOCKS));
	assert_int_equal(space_punch(m.z->space, &s), 0);
	survey_end(&s);
	assert_int_equal(survey_begin(&s, m.z, &m.z->space->index, pack), 0);
	assert_true(s.nlive == n && s.nplain == n && s.nabsent);
	assert_true(host_blocks(&m) <= s.img.first + n + 2);
	survey_end(&s);
	all_there(&m);
	done(&m);
}

static void test_compact_damaged(void **state)
{
	bool live[PACK_BLOCKS], shared[PACK_BLOCKS];
	struct space_done d = { 0 };
	u64 after = 0, *data = NULL;
	uint64_t pack;
	u32 i = 0, j, blocks;
	struct made m;
	int fd;

	(void)state;
	make(&m, false);
	pack = m.pack;
	mapped(&m, live, shared);
	while (!live[i])
		i++;
	assert_int_equal(posix_memalign((void **)&data, 4096, 4096), 0);
	memset(data, 0x55, 4096);
	fd = m.z->os->drv->open_pack(m.z->os, pack, true, &blocks);
	assert_int_equal(pwrite(fd, data, 4096, (off_t)i * 4096), 4096);
	close(fd);
	assert_int_equal(zone_compact_step(m.z, &pack, 1, false, &after, &d), 0);
	assert_int_equal(d.skipped, 1);
	/* Nothing else is in its place. */
	assert_int_equal(pread(m.z->space->to.fd, data, 4096,
			       (off_t)m.z->space->to.first * 4096), 4096);
	for (j = 0; j < 512; j++)
		assert_int_equal(data[j], 0);
	free(data);
	settle(&m);
	mapped(&m, live, shared);
	assert_true(live[i]);
	zone_is_sound(m.z);
	done(&m);
}

/* What is wrong with one file's record keeps nothing of the others. */
static void test_compact_bad_file(void **state)
{
	struct space_done d = { 0 };
	u64 after = 0, ino = 0;
	uint64_t pack;
	struct survey s;
	struct made m;
	u32 i, n = 0;

	(void)state;
	make(&m, false);
	pack = m.pack;
	assert_int_equal(survey_begin(&s, m.z, &m.z->space->index, pack), 0);
	for (i = 0; i < PACK_BLOCKS; i++) {
		if (!bit_get(s.live, i))
			continue;
		if (!ino)
			ino = le64_to_cpu(s.img.table[i].ino);
		n += le64_to_cpu(s.img.table[i].ino) == ino;
	}
	assert_true(n < s.nlive);
	m.k.bad_ino = ino;
	m.k.move_error = -EUCLEAN;
	assert_int_equal(zone_compact_step(m.z, &pack, 1, false, &after, &d), 0);
	assert_int_equal(after, pack);
	assert_int_equal(d.moved, s.nlive - n);
	assert_true(d.skipped > 0);
	survey_end(&s);
	settle(&m);
	all_there(&m);
	assert_int_equal(survey_begin(&s, m.z, &m.z->space->index, pack), 0);
	assert_int_equal(s.nlive, n);
	/* The zone itself cannot: that is said. */
	after = 0;
	m.k.move_error = -EROFS;
	assert_int_equal(zone_compact_step(m.z, &pack, 1, false, &after, &d), -EROFS);
	assert_int_equal(after, 0);
	survey_end(&s);
	done(&m);
}

static void set_urgent(struct space *sp, u32 n)
{
	pthread_mutex_lock(&sp->lock);
	sp->urgent = n;
	pthread_cond_broadcast(&sp->cond);
	pthread_mutex_unlock(&sp->lock);
}

/* Who is waited for stops at the next step, and goes on from there another time. */
static void test_compact_urgent(void **state)
{
	struct space_done d = { 0 };
	u64 after = 0, start;
	struct space *sp;
	uint64_t pack;
	struct survey s;
	struct made m;

	(void)state;
	make(&m, false);
	pack = m.pack;
	sp = m.z->space;
	assert_int_equal(survey_begin(&s, m.z, &sp->index, pack), 0);
	set_urgent(sp, 1);
	/* Nor does it wait for the log. */
	m.k.submit_error = -EAGAIN;
	start = space_clock();
	assert_int_equal(space_compact(sp, &s, &d), -ERESTART);
	assert_true(space_clock() - start < 2000000000ull);
	assert_int_equal(d.moved, 0);
	m.k.submit_error = 0;
	/* What a step may be is what fits. */
	sp->to_next = sp->to.blocks - 8;
	assert_int_equal(space_compact(sp, &s, &d), -ERESTART);
	assert_int_equal(d.moved, 8);
	assert_int_equal(d.packs, 0);
	set_urgent(sp, 0);
	settle(&m);
	assert_int_equal(zone_compact_step(m.z, &pack, 1, false, &after, &d), 0);
	assert_int_equal(d.packs, 1);
	assert_int_equal(d.moved, s.nlive);
	assert_int_equal(d.skipped, 0);
	survey_end(&s);
	settle(&m);
	all_there(&m);
	done(&m);
}

/* Waits for work urgently, and gives it away at once. */
static void *in_a_hurry(void *arg)
{
	struct made *m = arg;
	struct space *sp = m->z->space;
	u32 submits = 0;

	/* Somebody has it, and waits for the log. */
	while (!submits) {
		usleep(1000);
		pthread_mutex_lock(&m->k.lock);
		submits = m->k.submits;
		pthread_mutex_unlock(&m->k.lock);
	}
	set_urgent(sp, 1);
	pthread_mutex_lock(&sp->work);
	pthread_mutex_lock(&m->k.lock);
	m->k.submit_error = 0;
	pthread_mutex_unlock(&m->k.lock);
	set_urgent(sp, 0);
	pthread_mutex_unlock(&sp->work);
	return NULL;
}

/* Whoever asked for a pack gets it compacted all the same. */
static void test_compact_again(void **state)
{
	struct space_done d = { 0 };
	uint64_t pack;
	pthread_t t;
	u64 after = 0;
	struct survey s;
	struct made m;

	(void)state;
	make(&m, false);
	pack = m.pack;
	assert_int_equal(survey_begin(&s, m.z, &m.z->space->index, pack), 0);
	m.k.submit_error = -EAGAIN;
	assert_int_equal(pthread_create(&t, NULL, in_a_hurry, &m), 0);
	assert_int_equal(zone_compact_step(m.z, &pack, 1, false, &after, &d), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(after, pack);
	assert_int_equal(d.packs, 1);
	assert_int_equal(d.moved, s.nlive);
	survey_end(&s);
	settle(&m);
	all_there(&m);
	done(&m);
}

/* A helper that ends in the middle: the next one seals what it wrote to. */
static void test_adopt(void **state)
{
	struct space_done d = { 0 };
	struct nexus_pack_val val;
	u64 after = 0;
	uint64_t pack;
	struct memview v;
	struct made m;

	(void)state;
	make(&m, false);
	pack = m.pack;
	assert_int_equal(zone_compact_step(m.z, &pack, 1, false, &after, &d), 0);
	pack = m.z->al.next_pack - 1;
	assert_int_equal(applier_run(&m.z->applier, 0), 0);
	assert_int_equal(memview_begin(&v, &m.z->mt, NULL), 0);
	assert_int_equal(survey_pack_val(&v.kv, pack, &val), 0);
	memview_end(&v);
	assert_int_equal(le32_to_cpu(val.state), NEXUS_PACK_OPEN);
	assert_int_equal(zone_adopt_packs(m.z), 0);
	assert_int_equal(applier_run(&m.z->applier, 0), 0);
	assert_int_equal(memview_begin(&v, &m.z->mt, NULL), 0);
	assert_int_equal(survey_pack_val(&v.kv, pack, &val), 0);
	memview_end(&v);
	assert_int_equal(le32_to_cpu(val.state), NEXUS_PACK_SEALED);
	settle(&m);
	all_there(&m);
	done(&m);
}

static u64 counted(void)
{
	return atomic_load(&stats_values[STATS_punched_bytes]) +
	       atomic_load(&stats_values[STATS_moves]);
}

/* The thread finds out by itself, while the index is written. */
static void test_by_itself(void **state)
{
	u64 before = counted();
	struct made m;
	u32 i;

	(void)state;
	make_at(&m, true, 1ull << 30);
	for (i = 0; i < 100 && counted() == before; i++) {
		usleep(100000);
		settle(&m);
	}
	assert_true(counted() > before);
	/* Once more round, for what it moved. */
	for (i = 0; i < 15; i++) {
		usleep(100000);
		settle(&m);
		zone_space_kick(m.z);
	}
	atomic_store(&m.z->stopping, true);
	zone_space_stop(m.z);
	settle(&m);
	all_there(&m);
	done(&m);
}

static u64 retired(struct made *m)
{
	u64 n;

	pthread_mutex_lock(&m->k.lock);
	n = m->k.retired;
	pthread_mutex_unlock(&m->k.lock);
	return n;
}

static void until_retired(struct made *m, u64 more_than)
{
	u32 i;

	for (i = 0; i < 200 && retired(m) <= more_than; i++)
		usleep(100000);
	assert_true(retired(m) > more_than);
}

/* A pack that cannot be punched does not keep others from it, and is tried again by itself. */
static void bad_pack(int error)
{
	struct made m;
	u64 n;

	retire_error = error;
	make_at(&m, false, 1ull << 30);
	retire_error = 0;
	until_retired(&m, 0);
	n = retired(&m);
	pthread_mutex_lock(&m.k.lock);
	assert_true(m.k.retires > 1);
	m.k.retire_error = 0;
	pthread_mutex_unlock(&m.k.lock);
	until_retired(&m, n);
	atomic_store(&m.z->stopping, true);
	zone_space_stop(m.z);
	all_there(&m);
	done(&m);
}

static void test_bad_pack(void **state)
{
	(void)state;
	bad_pack(-EIO);
}

static void test_busy_pack(void **state)
{
	(void)state;
	bad_pack(-EBUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, test_setup, test_teardown)
		T(test_punch), T(test_punch_shared), T(test_bad_table), T(test_compact),
		T(test_compact_some), T(test_compact_plain), T(test_compact_damaged), T(test_adopt),
		T(test_compact_bad_file), T(test_compact_urgent), T(test_compact_again),
		T(test_by_itself), T(test_bad_pack), T(test_busy_pack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
