// SPDX-License-Identifier: Apache-2.0
/* A zone with its threads, between a disk and a kernel that is not one. */
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "quota.h"
#include "util.h"

/* Asks the maker as the kernel does, and waits for it. */
static void want(struct fake *k, struct zone *z, u32 flag)
{
	u32 i;

	__atomic_store_n(&k->ctl->flags, flag, __ATOMIC_RELEASE);
	zone_make_kick(z);
	for (i = 0; i < 500 && __atomic_load_n(&k->ctl->flags, __ATOMIC_ACQUIRE); i++)
		usleep(10000);
	assert_int_equal(__atomic_load_n(&k->ctl->flags, __ATOMIC_ACQUIRE), 0);
}

static void test_hand_over(void **state)
{
	struct config cfg;
	struct zone *z;
	struct fake k;
	u64 first, last_ino, last_pack;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 20);
	assert_int_equal(k.segments, cfg.segments);
	assert_int_equal(k.packs, ZONE_SPARE_PACKS);
	assert_int_equal(k.ranges, 1);
	/* Zeros where they are asked for: of two there were one stays for that. */
	assert_true(k.zeroed_packs == 1 && z->nrecycle == 1);
	assert_int_equal(zone_make_start(z), 0);
	want(&k, z, NEXUS_LF_WANT_PACK);
	assert_true(k.packs == 3 && k.zeroed_packs == 1);
	want(&k, z, NEXUS_LF_WANT_ZEROED);
	assert_true(k.packs == 4 && k.zeroed_packs == 2);
	atomic_store(&z->stopping, true);
	zone_make_stop(z);
	assert_int_equal(k.last_ino_end - NEXUS_FIRST_INO, ZONE_INO_RANGE);
	assert_int_equal(zone_take_packs(z, 3, &first), 0);
	assert_true(first > k.last_pack);
	last_ino = k.last_ino_end;
	last_pack = first + 2;
	power_cut(&k, z);
	/* Whatever was handed out is never handed out again. */
	z = fake_open(&k, &cfg, 1u << 20);
	assert_int_equal(k.packs, ZONE_SPARE_PACKS);
	assert_true(z->first_pack > last_pack);
	assert_true(k.last_ino_end >= last_ino + ZONE_INO_RANGE);
	assert_int_equal(z->sb.incarnation, 2);
	power_cut(&k, z);
}

/* Descriptors of files that are in no directory any more. */
static u32 open_and_removed(void)
{
	char path[64], to[PATH_MAX];
	u32 fd, n = 0;
	ssize_t len;

	for (fd = 0; fd < 1024; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%u", fd);
		len = readlink(path, to, sizeof(to) - 1);
		if (len <= 0)
			continue;
		to[len] = '\0';
		n += strstr(to, test_dir) && strstr(to, ".seg (deleted)");
	}
	return n;
}

/* Segments beyond what is needed are let go, space and all. */
static void test_segments_let_go(void **state)
{
	struct config cfg;
	struct zone *z;
	struct fake k;
	char path[PATH_MAX + 32];
	u32 i, left = 0;
	int fd;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	for (i = 2; i < 9; i++) {
		snprintf(path, sizeof(path), "%s/zones/z/log/%06u.seg", cfg.data_dir, i);
		fd = open(path, O_RDWR | O_CREAT, 0600);
		assert_true(fd >= 0);
		assert_int_equal(ftruncate(fd, i == 2 ? 4096 : (off_t)cfg.segment_size), 0);
		close(fd);
	}
	z = fake_open(&k, &cfg, 1u << 20);
	assert_int_equal(k.segments, 2 * cfg.segments);
	for (i = 0; i < 9; i++) {
		snprintf(path, sizeof(path), "%s/zones/z/log/%06u.seg", cfg.data_dir, i);
		left += !access(path, F_OK);
	}
	assert_int_equal(left, 2 * cfg.segments);
	assert_int_equal(open_and_removed(), 0);
	power_cut(&k, z);
}

/* Nothing beyond what is durable gets into the index.  Scenario M1. */
static void test_fold_waits(void **state)
{
	struct config cfg;
	struct zone *z;
	struct fake k;
	struct gen g;
	u64 start;
	u32 i;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 20);
	start = k.tail;
	gen_init(&g, 100, 50, 4000);
	for (i = 0; i < 50; i++)
		fake_append(&k, gen_next(&g));
	assert_int_equal(applier_run(&z->applier, 0), 0);
	assert_int_equal(zone_fold(z, 0, false), -EAGAIN);
	assert_int_equal(atomic_load(&z->checkpoint), start);
	zone_is_sound(z);
	for (i = 0; i < 50; i++)
		fake_append(&k, gen_next(&g));
	assert_int_equal(applier_run(&z->applier, 0), 0);
	fake_durable(&k, k.tail);
	assert_int_equal(zone_fold(z, 0, false), 0);
	assert_true(atomic_load(&z->checkpoint) > start);
	assert_true(atomic_load(&z->checkpoint) < k.tail);
	assert_int_equal(zone_fold(z, 0, false), 0);
	assert_int_equal(atomic_load(&z->checkpoint), k.tail);
	zone_is_sound(z);
	zone_report(z);
	assert_int_equal(k.checkpoint, k.tail);
	power_cut(&k, z);
}

/*
 * Power cuts one after the other: what was durable is there, and goes on.
 * Scenarios A2, A23.
 */
static void test_incarnations(void **state)
{
	struct nexus_omap before, after;
	struct config cfg;
	struct logw w;
	struct zone *z;
	struct fake k;
	struct gen g;
	u32 round, i;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	gen_init(&g, 100, 0, 256);
	nexus_omap_init(&before);
	for (round = 0; round < 8; round++) {
		z = fake_open(&k, &cfg, 1u << 20);
		if (round) {
			zone_dump(z, &after);
			same_maps(&before, &after);
			nexus_omap_destroy(&after);
			nexus_omap_destroy(&before);
		}
		assert_int_equal(z->sb.incarnation, round + 1);
		/* Data goes to a pack of this incarnation. */
		g.pack = k.last_pack;
		g.next_block = 1 + pack_table_blocks(256);
		g.os = z->os;
		log_of(z, &w);
		for (i = 0; i < 150; i++) {
			append_both(&k, &w, gen_next(&g));
			if (i % 30 == 29) {
				logw_batch(&w);
				fake_durable(&k, w.lsn);
			}
			if (i == 75) {
				assert_int_equal(applier_run(&z->applier, 0), 0);
				zone_fold(z, 0, false);
			}
		}
		assert_int_equal(applier_run(&z->applier, 0), 0);
		zone_is_sound(z);
		zone_dump(z, &before);
		logw_free(&w);
		power_cut(&k, z);
	}
	nexus_omap_destroy(&before);
}

/* A clean end leaves nothing to replay, even with the log gone. */
static void test_finish(void **state)
{
	struct errline err = { "" };
	struct chan none = { .fd = -1 };
	struct config cfg;
	struct logw w;
	struct zone *z;
	struct fake k;
	struct gen g;
	u64 tail;
	u32 i;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 20);
	gen_init(&g, 100, 50, 4000);
	log_of(z, &w);
	for (i = 0; i < 100; i++)
		append_both(&k, &w, gen_next(&g));
	logw_batch(&w);
	logw_free(&w);
	fake_durable(&k, k.tail);
	__atomic_store_n(&k.ctl->flags, NEXUS_LF_DETACHED, __ATOMIC_RELEASE);
	tail = k.tail;
	zone_finish(z);
	fake_close(&k, z);

	z = zone_new(NULL, &cfg, &none, "z");
	assert_int_equal(zone_load(z, true, false, &err), 0);
	assert_true(z->sb.flags & NEXUS_ZF_CLEAN);
	assert_int_equal(z->sb.checkpoint, tail);
	assert_false(z->unclean);
	zone_is_sound(z);
	zone_put(z);
	/* Open for a mount: not clean any more. */
	z = fake_open(&k, &cfg, 1u << 20);
	assert_false(z->sb.flags & NEXUS_ZF_CLEAN);
	power_cut(&k, z);
}

static void limit(struct zone *z, u32 kind, u64 id, u64 blocks_soft)
{
	struct nexus_rec_quota rec = {
		.id = cpu_to_le64(id), .kind = cpu_to_le32(kind),
		.blocks_soft = cpu_to_le64(blocks_soft),
	};
	struct errline err = { "" };

	assert_int_equal(quota_record(z, &rec, &err), 0);
	assert_int_equal(zone_append(z, &rec.head, &err), 0);
}

/* A limit set while nobody has the zone mounted, also after a crash. */
static void test_at_rest(void **state)
{
	struct chan none = { .fd = -1 };
	struct nexus_quota_reply q;
	struct errline err = { "" };
	struct config cfg;
	struct logw w;
	struct zone *z;
	struct fake k;
	struct gen g;
	u64 kinds, tail, used;
	u32 i;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 20);
	gen_init(&g, 100, k.last_pack, 256);
	g.os = z->os;
	log_of(z, &w);
	for (i = 0; i < 100; i++)
		append_both(&k, &w, gen_next(&g));
	logw_batch(&w);
	logw_free(&w);
	tail = k.tail;
	/* Nothing of it is in the index. */
	power_cut(&k, z);

	z = zone_new(NULL, &cfg, &none, "z");
	assert_int_equal(zone_load(z, false, false, &err), 0);
	assert_int_equal(zone_limits(z, &kinds), 0);
	assert_int_equal(kinds, 0);
	assert_int_equal(quota_get(z, NEXUS_QUOTA_ZONE, 0, &q), 0);
	used = q.inodes;
	limit(z, NEXUS_QUOTA_USER, 5, 7);
	limit(z, NEXUS_QUOTA_GRACE + NEXUS_QUOTA_USER, 0, 60);
	zone_is_sound(z);
	zone_put(z);

	z = zone_new(NULL, &cfg, &none, "z");
	assert_int_equal(zone_load(z, true, false, &err), 0);
	assert_false(z->unclean);
	assert_int_equal(z->sb.checkpoint, tail + 2 * sizeof(struct nexus_rec_quota));
	assert_int_equal(zone_limits(z, &kinds), 0);
	assert_int_equal(kinds, 1u << NEXUS_QUOTA_USER);
	assert_int_equal(quota_get(z, NEXUS_QUOTA_USER, 5, &q), 0);
	assert_int_equal(q.blocks_soft, 7);
	assert_int_equal(q.blocks_grace, 60);
	assert_int_equal(quota_get(z, NEXUS_QUOTA_ZONE, 0, &q), 0);
	assert_int_equal(q.inodes, used);
	zone_is_sound(z);
	zone_put(z);

	/* And the log goes on behind it. */
	z = fake_open(&k, &cfg, 1u << 20);
	assert_int_equal(k.tail, tail + 2 * sizeof(struct nexus_rec_quota));
	log_of(z, &w);
	append_both(&k, &w, gen_next(&g));
	logw_batch(&w);
	logw_free(&w);
	fake_durable(&k, k.tail);
	assert_int_equal(applier_run(&z->applier, 0), 0);
	zone_is_sound(z);
	power_cut(&k, z);
	z = zone_new(NULL, &cfg, &none, "z");
	assert_int_equal(zone_load(z, true, false, &err), 0);
	zone_is_sound(z);
	assert_int_equal(quota_get(z, NEXUS_QUOTA_USER, 5, &q), 0);
	assert_int_equal(q.blocks_soft, 7);
	zone_put(z);
}

/* An end that was not durable is not clean, and leaves the index where it was. */
static void test_finish_undurable(void **state)
{
	struct config cfg;
	struct zone *z;
	struct fake k;
	struct gen g;
	u64 start;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 20);
	start = k.tail;
	gen_init(&g, 100, 50, 4000);
	fake_append(&k, gen_create(&g));
	__atomic_store_n(&k.ctl->flags, NEXUS_LF_DETACHED | NEXUS_LF_READONLY,
			 __ATOMIC_RELEASE);
	zone_finish(z);
	assert_int_equal(atomic_load(&z->checkpoint), start);
	assert_false(z->sb.flags & NEXUS_ZF_CLEAN);
	fake_close(&k, z);
}

/* Orphans and open packs of the last incarnation, bulk deletion, dead packs. */
static void run_clean(struct fake *k, struct zone *z)
{
	u32 i;

	for (i = 0; i < 6; i++) {
		zone_clean_step(z);
		assert_int_equal(applier_run(&z->applier, 0), 0);
		fake_durable(k, k->tail);
		assert_int_equal(zone_fold(z, 0, false), 0);
		assert_int_equal(k->fails, 0);
	}
}

static struct nexus_rec_head *truncate_all(struct gen *g, struct gen_file *f)
{
	struct nexus_rec_truncate *rec = (void *)g->buf;

	memset(rec, 0, sizeof(*rec));
	nexus_rec_init(&rec->head, sizeof(*rec), NEXUS_REC_TRUNCATE, 0,
		       (struct nexus_time){ 1, 0 });
	rec->ino = cpu_to_le64(f->ino);
	rec->data_id = cpu_to_le64(f->data_id);
	rec->new_data_id = cpu_to_le64(g->next_ino++);
	f->data_id = le64_to_cpu(rec->new_data_id);
	f->size = 0;
	return &rec->head;
}

static u64 count_keys(struct zone *z, u8 letter)
{
	u8 key[NEXUS_KEY_MAX + 1] = { letter };
	struct memview v;
	size_t klen = 1;
	u64 n = 0;

	assert_int_equal(memview_begin(&v, &z->mt, NULL), 0);
	while (nexus_kv_seek(&v.kv, key, &klen, NULL, 0) >= 0 && key[0] == letter) {
		n++;
		key[klen++] = 0;
	}
	memview_end(&v);
	return n;
}

/* Scenario M13. */
static void test_clean(void **state)
{
	struct gen_file *f = NULL;
	struct config cfg;
	struct logw w;
	struct zone *z;
	struct fake k;
	struct gen g;
	u64 pack;
	u32 i, blocks;
	int fd;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 20);
	gen_init(&g, 100, k.last_pack, 256);
	g.os = z->os;
	pack = k.last_pack;
	log_of(z, &w);
	append_both(&k, &w, gen_create(&g));
	for (i = 0; i < GEN_FILES; i++)
		if (g.file[i].ino)
			f = &g.file[i];
	for (i = 0; i < 20; i++)
		append_both(&k, &w, gen_extent(&g, f));
	append_both(&k, &w, truncate_all(&g, f));
	append_both(&k, &w, gen_extent(&g, f));
	nexus_rec_unlink(g.buf, NEXUS_ROOT_INO, f->pos, f->ino, f->name, strlen(f->name),
			 false, (struct nexus_time){ 1, 0 });
	append_both(&k, &w, (void *)g.buf);
	logw_batch(&w);
	logw_free(&w);
	power_cut(&k, z);

	z = fake_open(&k, &cfg, 1u << 20);
	assert_int_equal(count_keys(z, NEXUS_KEY_ORPHAN), 2);
	assert_int_equal(z->leftovers.norphans, 1);
	assert_int_equal(z->leftovers.npacks, 1);
	/* Not mounted yet: nothing happens, nothing is lost. */
	k.submit_error = -ENOTCONN;
	zone_clean_step(z);
	assert_int_equal(z->leftovers.norphans, 1);
	k.submit_error = 0;
	run_clean(&k, z);
	zone_is_sound(z);
	assert_int_equal(count_keys(z, NEXUS_KEY_ORPHAN), 0);
	assert_int_equal(count_keys(z, NEXUS_KEY_EXTENT), 0);
	assert_int_equal(count_keys(z, NEXUS_KEY_PACK), 0);
	assert_int_equal(count_keys(z, NEXUS_KEY_INODE), 1);
	fd = z->os->drv->open_pack(z->os, pack, false, &blocks);
	assert_int_equal(fd, -ENOENT);
	power_cut(&k, z);
}

/* An orphan that is in use again stays, and nobody insists.  Scenario A5. */
static void test_clean_busy(void **state)
{
	struct config cfg;
	struct logw w;
	struct zone *z;
	struct fake k;
	struct gen g;
	u32 submits;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 20);
	gen_init(&g, 100, 50, 4000);
	log_of(z, &w);
	append_both(&k, &w, gen_create(&g));
	nexus_rec_unlink(g.buf, NEXUS_ROOT_INO, NEXUS_FIRST_POS, 100, "f100", 4, false,
			 (struct nexus_time){ 1, 0 });
	append_both(&k, &w, (void *)g.buf);
	logw_batch(&w);
	logw_free(&w);
	power_cut(&k, z);
	z = fake_open(&k, &cfg, 1u << 20);
	k.submit_error = -EBUSY;
	zone_clean_step(z);
	submits = k.submits;
	assert_int_equal(submits, 1);
	zone_clean_step(z);
	assert_int_equal(k.submits, submits);
	power_cut(&k, z);
}

/* What the kernel wants kept is set aside, over a restart too, and used. */
static u64 handed;

static int hand_kept(struct zone *z, u64 pack, u32 flags)
{
	u32 blocks;
	int fd = z->os->drv->open_pack(z->os, pack, true, &blocks);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(flags, NEXUS_HF_KEPT | NEXUS_HF_ZEROED);
	assert_int_equal(blocks, super_pack_blocks(&z->sb));
	handed = pack;
	return 0;
}

static void test_keep(void **state)
{
	struct config cfg;
	struct zone *z;
	struct fake k;
	u64 usable;
	u32 reports;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 20);
	usable = super_pack_usable(&z->sb);
	k.ctl->keep = 2 * usable + 1;
	zone_keep_step(z);
	assert_true(k.kept == 3 * usable && k.kept_for == 2 * usable + 1);
	/* Nothing new, nothing said; asked again, said again. */
	reports = k.reports;
	zone_keep_step(z);
	assert_int_equal(k.reports, reports);
	k.ctl->flags = NEXUS_LF_WANT_KEEP;
	zone_keep_step(z);
	assert_int_equal(k.reports, reports + 1);
	k.ctl->flags = 0;
	power_cut(&k, z);

	z = fake_open(&k, &cfg, 1u << 20);
	assert_true(z->kept == 3);
	k.ctl->keep = 2 * usable + 1;
	assert_int_equal(zone_keep_use(z, hand_kept), 0);
	assert_true(handed >= z->first_pack);
	zone_report(z);
	assert_true(k.kept == 2 * usable);
	/* One too many is let be, more or none wanted not. */
	k.ctl->keep = usable;
	zone_keep_step(z);
	assert_true(k.kept == 2 * usable && k.kept_for == usable);
	/* What cannot be had is not begun. */
	k.ctl->keep = 1ull << 50;
	zone_keep_step(z);
	assert_true(k.kept == 2 * usable && k.kept_for == 1ull << 50);
	k.ctl->keep = 0;
	zone_keep_step(z);
	assert_true(k.kept == 0 && k.kept_for == 0);
	assert_int_equal(zone_keep_use(z, hand_kept), -ENOENT);
	power_cut(&k, z);
}

/* What a mount learns of what is promised: not what orphans had. */
static void test_unwritten(void **state)
{
	struct nexus_rec_range r = { 0 };
	struct config cfg;
	struct logw w;
	struct zone *z;
	struct fake k;
	struct gen g;
	u64 n = 77;
	int i;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 20);
	assert_int_equal(zone_unwritten(z, &n), 0);
	assert_true(n == 0);
	gen_init(&g, 100, 50, 4000);
	log_of(z, &w);
	append_both(&k, &w, gen_create(&g));
	append_both(&k, &w, gen_create(&g));
	for (i = 0; i < 2; i++) {
		nexus_rec_init(&r.head, sizeof(r), NEXUS_REC_RESERVE, 0,
			       (struct nexus_time){ 1, 0 });
		r.ino = cpu_to_le64(100 + i);
		r.data_id = r.ino;
		r.len = cpu_to_le64((i ? 500 : 30) * 4096ull);
		append_both(&k, &w, &r.head);
	}
	nexus_rec_unlink(g.buf, NEXUS_ROOT_INO, NEXUS_FIRST_POS + 1, 101, "f101", 4,
			 false, (struct nexus_time){ 1, 0 });
	append_both(&k, &w, (void *)g.buf);
	logw_batch(&w);
	logw_free(&w);
	power_cut(&k, z);
	z = fake_open(&k, &cfg, 1u << 20);
	assert_int_equal(zone_unwritten(z, &n), 0);
	assert_true(n == 30);
	zone_is_sound(z);
	power_cut(&k, z);
}

/* Threads that fold and make, a kernel that appends, readers: all at once. */
struct crowd {
	struct zone *z;
	atomic_bool stop;
	atomic_uint bad;
};

static void *crowd_read(void *arg)
{
	struct crowd *c = arg;
	struct nexus_inode_val root;
	struct nexus_key key;
	struct memview v;

	nexus_key_inode(&key, NEXUS_ROOT_INO);
	while (!atomic_load(&c->stop)) {
		applier_run(&c->z->applier, 0);
		if (memview_begin(&v, &c->z->mt, NULL))
			continue;
		if (nexus_kv_get(&v.kv, key.b, key.len, &root, sizeof(root)) !=
		    (int)sizeof(root) || nexus_val_check(&root, sizeof(root), 'I', sizeof(root)))
			atomic_fetch_add(&c->bad, 1);
		memview_end(&v);
		zone_report(c->z);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct crowd c = { 0 };
	pthread_t threads[2];
	struct config cfg;
	struct zone *z;
	struct fake k;
	struct gen g;
	u32 i;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	cfg.fold_size = 64u << 10;
	cfg.memtable_limit = 2u << 20;
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 20);
	c.z = z;
	gen_init(&g, 100, 50, 100000);
	assert_int_equal(zone_fold_start(z), 0);
	assert_int_equal(zone_make_start(z), 0);
	pthread_create(&threads[0], NULL, crowd_read, &c);
	pthread_create(&threads[1], NULL, crowd_read, &c);
	for (i = 0; i < 4000; i++) {
		while (k.tail - memtable_applied(&z->mt) > 300000)
			usleep(100);
		fake_append(&k, gen_next(&g));
		if (i % 50 == 0) {
			fake_durable(&k, k.tail);
			zone_fold_kick(z);
		}
		if (i % 1000 == 500)
			__atomic_store_n(&k.ctl->flags, NEXUS_LF_WANT_INO, __ATOMIC_RELEASE);
		if (i % 1000 == 600)
			__atomic_store_n(&k.ctl->flags, 0, __ATOMIC_RELEASE);
	}
	fake_durable(&k, k.tail);
	assert_int_equal(applier_wait(&z->applier, k.tail, 20000), 0);
	for (i = 0; i < 500 && atomic_load(&z->checkpoint) != k.tail; i++) {
		zone_fold_kick(z);
		usleep(10000);
	}
	assert_int_equal(atomic_load(&z->checkpoint), k.tail);
	atomic_store(&c.stop, true);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	zone_stop(z);
	assert_int_equal(atomic_load(&c.bad), 0);
	assert_int_equal(k.fails, 0);
	zone_is_sound(z);
	fake_close(&k, z);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, test_setup, test_teardown)
	const struct CMUnitTest tests[] = {
		T(test_hand_over),
		T(test_segments_let_go),
		T(test_fold_waits),
		T(test_incarnations),
		T(test_finish),
		T(test_at_rest),
		T(test_finish_undurable),
		T(test_clean),
		T(test_clean_busy),
		T(test_keep),
		T(test_unwritten),
		T(test_threads),
	};

	return cmocka_run_group_tests_name("zone", tests, NULL, NULL);
}
