// SPDX-License-Identifier: Apache-2.0
/*
 * Packs that are with the store are named by the log, which carries their blocks no more: so
 * content is put once.  What comes back after that is what comes back otherwise.
 */
#include <fcntl.h>

#include "fetch.h"
#include "gc-world.h"
#include "space.h"
#include "stats.h"
#include "upload.h"

/* ---- a zone that uploads, and what it has put -------------------------------------------- */

static void uploads(struct world *m)
{
	m->cfg.upload_delay = 3600;
	m->cfg.upload_parallel = 2;
	assert_int_equal(zone_fetch_start(m->z), 0);
	zone_upload_start(m->z);
	assert_non_null(m->z->upload);
	/* It has looked once, and does not by itself for a while. */
	flush(m);
}

static void begin_uploading(struct world *m)
{
	make(m);
	own(m);
	uploads(m);
}

/* As zone_stop(). */
static void end_uploads(struct world *m)
{
	zone_fetch_stop(m->z);
	zone_upload_stop(m->z);
}

static void fill(struct world *m, u32 blocks)
{
	while (m->g.next_block < blocks)
		write_some(m);
}

/* As if somebody waited for all there is by now. */
static void await_all(struct world *m, bool on)
{
	struct origin *o = m->z->origin;

	pthread_mutex_lock(&o->lock);
	o->waiting = on;
	o->wanted = memtable_applied(&m->z->mt);
	pthread_mutex_unlock(&o->lock);
}

struct seen {
	u32 packs, blocks, batches;
	u64 pack;		/* the last one named */
	u64 wanted;		/* blocks of this one are counted */
};

static int see(void *arg, const struct origin_stream_item *it)
{
	struct seen *s = arg;

	s->packs += it->type == NEXUS_ITEM_PACK;
	if (it->type == NEXUS_ITEM_PACK)
		s->pack = it->arg;
	s->batches += it->type == NEXUS_ITEM_BATCH;
	s->blocks += it->type == NEXUS_ITEM_BLOCK && it->arg == s->wanted;
	return 0;
}

static void damage(const struct world *m, u64 pack, u32 how)
{
	static const u8 zeros[4096];
	char path[PATH_MAX], file[32];
	int fd;

	snprintf(file, sizeof(file), "%016llx", pack);
	path_of(m, file, path);
	if (how == 0) {
		assert_int_equal(unlink(path), 0);
		return;
	}
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	if (how == 1)
		assert_int_equal(ftruncate(fd, sizeof(zeros)), 0);
	/* Without its last block. */
	else if (how == 3)
		assert_int_equal(ftruncate(fd, lseek(fd, 0, SEEK_END) - NEXUS_BLOCK_SIZE), 0);
	else
		assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 0), sizeof(zeros));
	close(fd);
}

/* The stretch from @lsn on, as it is with the store; and what its parts say. */
static struct seen stretch(struct world *m, u64 lsn, u64 pack, bool *naming)
{
	struct origin *o = m->z->origin;
	struct origin_part p = { .epoch = o->owner.epoch, .lsn = lsn, .kind = NEXUS_STREAM_LOG };
	FILE *spool = origin_stream_spool(test_dir);
	struct seen s = { .wanted = pack };
	struct errline err = { "" };
	char folder[ORIGIN_FOLDER];
	u64 bytes;
	u32 crc;

	assert_non_null(spool);
	memcpy(p.zone, o->owner.zone, sizeof(p.zone));
	origin_log_folder(p.epoch, lsn, folder);
	assert_int_equal(origin_stream_get(o->content, folder, &p, spool, &bytes, &crc, &err), 0);
	assert_int_equal(origin_stream_each(spool, see, &s), 0);
	fclose(spool);
	*naming = p.naming;
	return s;
}

static void lose_uploading(struct world *m)
{
	end_uploads(m);
	lose(m);
}

/* The machine is lost, and all that was with the store is restored. */
static void comes_back(struct world *m)
{
	struct restored done;
	struct errline err;

	lose_uploading(m);
	assert_int_equal(restore_as(m, "z", true, &done, &err), 0);
	assert_string_equal(done.note, "");
	check_restored(m, &done);
	forget(m);
}

/* ---- what is named, and what is not ------------------------------------------------------ */

static void test_named(void **state)
{
	struct seen s;
	struct world m;
	u64 from, pack;
	bool naming;

	(void)state;
	begin_uploading(&m);
	step(&m, 1);
	from = m.z->origin->end;
	pack = m.g.pack;
	fill(&m, 200);
	seal(&m);
	write_some(&m);
	assert_false(has_pack(&m, pack));
	step(&m, 6000);
	assert_true(m.acked == m.at[m.n - 1].lsn);
	assert_true(has_pack(&m, pack));
	s = stretch(&m, from, pack, &naming);
	assert_int_equal(s.packs, 1);
	assert_true(s.pack == pack && s.batches > 2 && naming);
	assert_int_equal(s.blocks, 0);
	/* The one that is open goes in blocks. */
	assert_true(stretch(&m, from, m.g.pack, &naming).blocks > 0);
	/* Nothing is sealed: as ever. */
	from = m.z->origin->end;
	write_some(&m);
	step(&m, 6000);
	s = stretch(&m, from, m.g.pack, &naming);
	assert_int_equal(s.packs, 0);
	assert_true(s.blocks > 0 && !naming);
	comes_back(&m);
}

/* Some of it came as blocks, of which the pack's file was made: it is the object's then. */
static void test_named_later(void **state)
{
	struct seen s;
	struct world m;
	u64 from, pack;
	bool naming;

	(void)state;
	begin_uploading(&m);
	step(&m, 1);
	pack = m.g.pack;
	write_some(&m);
	write_some(&m);
	step(&m, 6000);
	assert_true(m.g.next_block < 80);
	from = m.z->origin->end;
	fill(&m, 250);
	seal(&m);
	step(&m, 6000);
	s = stretch(&m, from, pack, &naming);
	assert_true(s.packs == 1 && s.pack == pack && !s.blocks);
	comes_back(&m);
}

/*
 * The seal and content of the pack are in the last batch, of which no later one says that it
 * was durable: the next mount compares, and what it compares with is away.
 */
static void test_last_batch(void **state)
{
	struct seen s;
	struct world m;
	u64 from, pack;
	bool naming;

	(void)state;
	begin_uploading(&m);
	step(&m, 1);
	from = m.z->origin->end;
	pack = m.g.pack;
	fill(&m, 200);
	add_some(&m);
	seal(&m);
	step(&m, 6000);
	s = stretch(&m, from, pack, &naming);
	assert_true(s.packs == 1 && s.pack == pack);
	assert_true(m.acked == m.at[m.n - 1].lsn);
	comes_back(&m);
}

/* The stretch ends before the record that seals it: then it is open, as far as that goes. */
static void test_sealed_behind(void **state)
{
	struct seen s;
	struct world m;
	u64 from, pack;
	bool naming;

	(void)state;
	begin_uploading(&m);
	step(&m, 1);
	from = m.z->origin->end;
	pack = m.g.pack;
	fill(&m, 200);
	add_seal(&m);
	end_batch(&m, false);
	assert_int_equal(zone_upload_hold(m.z, pack), 0);
	zone_upload_release(m.z, pack, true);
	assert_true(zone_upload_held(m.z, pack));
	step(&m, 6000);
	assert_true(m.z->origin->end < memtable_applied(&m.z->mt));
	s = stretch(&m, from, pack, &naming);
	assert_true(!s.packs && s.blocks > 100 && !naming);
	comes_back(&m);
}

/* Whoever waits does not wait for all of a pack because of a little; one that is there already is named. */
static void test_little(void **state)
{
	struct seen s;
	struct world m;
	u64 from, pack;
	bool naming;

	(void)state;
	begin_uploading(&m);
	step(&m, 1);
	pack = m.g.pack;
	fill(&m, 200);
	step(&m, 6000);
	from = m.z->origin->end;
	write_some(&m);
	seal(&m);
	await_all(&m, true);
	step(&m, 6000);
	assert_false(has_pack(&m, pack));
	s = stretch(&m, from, pack, &naming);
	assert_true(!s.packs && s.blocks > 0 && !naming);
	/* The same with the next one, which is there. */
	pack = m.g.pack;
	fill(&m, 200);
	step(&m, 6000);
	from = m.z->origin->end;
	write_some(&m);
	seal(&m);
	flush(&m);
	assert_true(has_pack(&m, pack));
	step(&m, 6000);
	s = stretch(&m, from, pack, &naming);
	assert_true(s.packs == 1 && s.pack == pack && !s.blocks);
	/* Nobody waits: it is put. */
	await_all(&m, false);
	pack = m.g.pack;
	fill(&m, 200);
	step(&m, 6000);
	from = m.z->origin->end;
	write_some(&m);
	seal(&m);
	step(&m, 6000);
	assert_true(has_pack(&m, pack));
	s = stretch(&m, from, pack, &naming);
	assert_true(s.packs == 1 && s.pack == pack && !s.blocks);
	comes_back(&m);
}

/* Somebody else puts it, or the threads have ended: nobody waits, and blocks go. */
static void test_not_now(void **state)
{
	struct seen s;
	struct world m;
	u64 from, pack;
	bool naming;
	u32 i;

	(void)state;
	begin_uploading(&m);
	step(&m, 1);
	for (i = 0; i < 2; i++) {
		from = m.z->origin->end;
		pack = m.g.pack;
		fill(&m, 200);
		seal(&m);
		if (i)
			end_uploads(&m);
		else
			assert_int_equal(zone_upload_hold(m.z, pack), 0);
		step(&m, 6000);
		assert_true(m.acked == m.at[m.n - 1].lsn);
		s = stretch(&m, from, pack, &naming);
		assert_true(!s.packs && s.blocks > 100 && !naming);
		if (!i)
			zone_upload_release(m.z, pack, false);
	}
	comes_back(&m);
}

/* The store is away while it is waited for, and comes back. */
static void test_store_away(void **state)
{
	struct world m;
	u64 acked;

	(void)state;
	begin_uploading(&m);
	step(&m, 1);
	acked = m.acked;
	fill(&m, 200);
	seal(&m);
	control("refuse\n");
	step(&m, 6000);
	assert_true(m.z->origin->failed && m.acked == acked);
	control("");
	step(&m, ORIGIN_RETRY_MS);
	assert_true(!m.z->origin->failed && m.acked == m.at[m.n - 1].lsn);
	comes_back(&m);
}

/* The stream of the last checkpoint, which the helper has. */
static FILE *newest(struct world *m)
{
	struct origin *o = m->z->origin;
	u32 i;

	for (i = 0; i < NEXUS_MANIFEST_MAX; i++)
		if (o->kept[i].spool && o->kept[i].cp.number == o->manifest.number)
			return o->kept[i].spool;
	fail();
	return NULL;
}

/* Checkpoints name those that the index on disk does not know yet; so do increments. */
static void test_checkpoints(void **state)
{
	struct errline err = { "" };
	struct seen s;
	struct world m;
	u64 pack;
	u32 i;

	(void)state;
	begin_uploading(&m);
	write_some(&m);
	seal(&m);
	pack = m.g.pack;
	fill(&m, 200);
	seal(&m);
	write_some(&m);
	for (i = 0; i < 4; i++) {
		assert_int_equal(origin_checkpoint(m.z->origin, &err), 0);
		s = (struct seen){ .wanted = pack };
		assert_int_equal(origin_stream_each(newest(&m), see, &s), 0);
		assert_true(s.packs == 1 && s.pack == pack && !s.blocks);
		write_some(&m);
	}
	assert_true(m.z->origin->manifest.checkpoint[0].delta);
	m.acked = m.z->origin->end;
	comes_back(&m);
}

/* ---- when it goes wrong -------------------------------------------------------------------- */

/* It was gone between any two writes to the store. */
static void test_lost_anywhere(void **state)
{
	struct restored done;
	struct errline err;
	u32 cut, named = 0;
	struct world m;
	bool whole;
	char text[32];
	int i, ret;

	(void)state;
	for (cut = 12, whole = false; !whole; cut++) {
		make(&m);
		snprintf(text, sizeof(text), "cut %u\n", cut);
		control(text);
		own(&m);
		m.cfg.upload_delay = 3600;
		m.cfg.upload_parallel = 1;
		assert_int_equal(zone_fetch_start(m.z), 0);
		zone_upload_start(m.z);
		step(&m, 1);
		for (i = 0; i < 3; i++) {
			fill(&m, 200);
			seal(&m);
			step(&m, 6000);
			named += m.z->origin->end == m.at[m.n - 1].lsn;
			write_some(&m);
			step(&m, 6000);
			if (i == 1) {
				fold(&m);
				step(&m, 300000);
			}
		}
		whole = m.acked == m.at[m.n - 1].lsn && !m.z->origin->failed;
		lose_uploading(&m);
		control("");
		ret = restore_as(&m, "z", true, &done, &err);
		if (ret)
			assert_true(ret == -ENOENT && m.acked == 0);
		else
			check_restored(&m, &done);
		forget(&m);
	}
	assert_true(cut > 24 && named > 10);
}

/* The pack that a stretch names is gone or damaged: what is before it comes back. */
static void test_missing(void **state)
{
	struct restored done;
	struct errline err;
	char text[64];
	struct world m;
	u64 before, pack, other;
	u32 i;

	(void)state;
	for (i = 0; i < 4; i++) {
		begin_uploading(&m);
		step(&m, 1);
		pack = m.g.pack;
		fill(&m, 200);
		seal(&m);
		step(&m, 6000);
		before = m.acked;
		other = m.g.pack;
		fill(&m, 200);
		seal(&m);
		step(&m, 6000);
		assert_true(has_pack(&m, pack) && has_pack(&m, other) && m.acked > before);
		write_some(&m);
		step(&m, 6000);
		damage(&m, other, i);
		lose_uploading(&m);
		m.acked = before;
		assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
		snprintf(text, sizeof(text), "pack %llu, which the log", other);
		assert_non_null(strstr(done.note, text));
		assert_true(done.end == before);
		check_restored(&m, &done);
		forget(&m);
	}
}

/* A pack that is dead, and was put by whom we do not know: the log of another may name it. */
static void test_of_others(void **state)
{
	struct restored done;
	struct errline err;
	struct gc_report r;
	struct world m;
	u64 pack;
	u32 i;

	(void)state;
	begin(&m);
	pack = lost_pack(&m);
	put_pack(&m, pack, 10, OLD);
	lose_uploading(&m);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	forget(&m);
	begin_zone(&m);
	own(&m);
	uploads(&m);
	for (i = 0; i < 3; i++) {
		r = gc(&m, false, 0);
		assert_int_equal(r.sum[GC_LEAKED].n, i < 2 ? 0 : 1);
		assert_int_equal(origin_checkpoint(m.z->origin, &err), 0);
	}
	finish(&m);
}

/* Nor is it known of one with a mark, until what is gone was looked for. */
static void test_unsure(void **state)
{
	struct gc_report r;
	struct world m;
	u64 pack;

	(void)state;
	begin(&m);
	pack = lost_pack(&m);
	put_pack(&m, pack, 10, OLD);
	assert_int_equal(zone_upload_hold(m.z, pack), 0);
	zone_upload_release(m.z, pack, false);
	atomic_store(&m.z->upload->looked_back, false);
	r = gc(&m, false, 0);
	assert_int_equal(r.sum[GC_LEAKED].n, 0);
	atomic_store(&m.z->upload->looked_back, true);
	r = gc(&m, false, 0);
	assert_int_equal(r.sum[GC_LEAKED].n, 1);
	finish(&m);
}

/* ---- what dies before it is put --------------------------------------------------------- */

/* Blocks that are dead by the index on disk, of them those marked; and what punching does. */
struct dying {
	u32 dead, marked;
	u64 retired;
	bool unheld;
};

static struct dying punch(struct world *m, u64 pack)
{
	u64 before = m->k.retired;
	struct dying d;
	struct survey s;

	assert_int_equal(survey_begin(&s, m->z, &m->z->space->index, pack), 0);
	d.marked = s.nabsent;
	d.dead = survey_dead(&s) + s.nabsent;
	assert_int_equal(space_punch(m->z->space, &s), 0);
	d.unheld = s.unheld;
	d.retired = m->k.retired - before;
	survey_end(&s);
	return d;
}

/* A sealed pack, of which much is dead, and which the store does not take. */
static u64 not_put(struct world *m)
{
	u64 pack = m->g.pack;

	control("refuse\n");
	fill(m, 250);
	seal(m);
	fold(m);
	return pack;
}

static u64 host_avail;

static int host_space(struct nexus_objectstore *os, __u64 *total, __u64 *avail)
{
	(void)os;
	*total = UINT64_MAX;
	*avail = host_avail;
	return 0;
}

/* It stays as it is until it was put; unless the host needs the room. */
static void test_dead_waits(void **state)
{
	struct nexus_os_driver drv;
	struct dying d;
	struct world m;
	u64 pack;

	(void)state;
	make(&m);
	own(&m);
	drv = *m.z->os->drv;
	drv.space = host_space;
	host_avail = UINT64_MAX / 2;
	m.z->os->drv = &drv;
	uploads(&m);
	m.cfg.compact_rate = 0;
	assert_int_equal(zone_space_start(m.z), 0);
	step(&m, 1);
	pack = not_put(&m);
	d = punch(&m, pack);
	assert_true(d.dead > 20 && !d.marked && d.unheld && !d.retired);
	control("");
	flush(&m);
	assert_true(has_pack(&m, pack));
	d = punch(&m, pack);
	assert_true(!d.unheld && !d.marked && d.retired == d.dead);
	/* No room: as in a zone without a store. */
	pack = not_put(&m);
	host_avail = m.z->sb.pack_size;
	d = punch(&m, pack);
	assert_true(!d.unheld && d.retired == d.dead);
	host_avail = UINT64_MAX / 2;
	pack = not_put(&m);
	atomic_store(&m.z->nospace, true);
	d = punch(&m, pack);
	assert_true(!d.unheld && d.retired == d.dead);
	control("");
	lose_uploading(&m);
	forget(&m);
}

/* The thread comes back to it, though nothing else has died. */
static void test_dead_later(void **state)
{
	u64 before = atomic_load(&stats_values[STATS_punched_bytes]), surveyed;
	struct world m;
	u32 i;

	(void)state;
	begin_uploading(&m);
	m.cfg.compact_rate = 1ull << 30;
	m.z->sb.incompat &= ~(u64)NEXUS_INCOMPAT_MOVES;
	step(&m, 1);
	not_put(&m);
	surveyed = atomic_load(&stats_values[STATS_packs_surveyed]);
	assert_int_equal(zone_space_start(m.z), 0);
	for (i = 0; i < 3000 && atomic_load(&stats_values[STATS_packs_surveyed]) == surveyed; i++)
		usleep(10000);
	usleep(3500000);
	assert_int_equal(atomic_load(&stats_values[STATS_punched_bytes]), before);
	/* Nor does it look all the time. */
	assert_int_equal(atomic_load(&stats_values[STATS_packs_surveyed]) - surveyed, 1);
	control("");
	flush(&m);
	for (i = 0; i < 3000 && atomic_load(&stats_values[STATS_punched_bytes]) == before; i++)
		usleep(10000);
	assert_true(atomic_load(&stats_values[STATS_punched_bytes]) > before);
	atomic_store(&m.z->stopping, true);
	zone_space_stop(m.z);
	lose_uploading(&m);
	forget(&m);
}

/* A store that takes long is not given stretches all the time. */
static void test_slow(void **state)
{
	struct world m;

	(void)state;
	make(&m);
	m.cfg.log_upload_delay = 1;
	own(&m);
	write_some(&m);
	step(&m, 0);
	write_some(&m);
	control("slow 700\n");
	step(&m, 5000);
	assert_true(m.z->origin->log_at >= m.now + 1400);
	control("");
	write_some(&m);
	step(&m, 20000);
	assert_true(m.z->origin->log_at >= m.now + 1000);
	lose(&m);
	forget(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_named, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_named_later, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_last_batch, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_sealed_behind, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_little, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_not_now, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_store_away, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_checkpoints, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_lost_anywhere, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_missing, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_of_others, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_unsure, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_dead_waits, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_dead_later, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_slow, test_setup, test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
