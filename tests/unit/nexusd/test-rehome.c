// SPDX-License-Identifier: Apache-2.0
/*
 * Content that only the log has: what the helper keeps of the log for it, and where
 * it is after a power cut.  Scenarios E1, M9.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "dump.h"
#include "lib/extent_find.h"
#include "util.h"

#define FILES	4u
#define BLOCKS	12u
#define BS	NEXUS_BLOCK_SIZE
#define NOW	((struct nexus_time){ .s = 1000, .ns = 5 })

/* What a file is to hold. */
struct model {
	u64 ino, data_id, size;
	u8 data[BLOCKS * BS];
};

struct bench {
	struct config cfg;
	struct fake k;
	struct zone *z;
	struct logw w;
	struct gen g;
	struct model now[FILES], durable[FILES];
	u64 buf[(80u << 10) / 8];
};

static struct bench b;

static int setup(void **state)
{
	int ret = test_setup(state);
	u32 i;

	memset(&b, 0, sizeof(b));
	test_config(&b.cfg, &nexus_ms_lmdb);
	test_zone(&b.cfg);
	gen_init(&b.g, 100, 0, 256);
	b.z = fake_open(&b.k, &b.cfg, 1u << 20);
	log_of(b.z, &b.w);
	for (i = 0; i < FILES; i++) {
		append_both(&b.k, &b.w, gen_create(&b.g));
		b.now[i].ino = b.now[i].data_id = 100 + i;
	}
	memcpy(b.durable, b.now, sizeof(b.now));
	return ret;
}

static void flush(void)
{
	if (b.w.count)
		logw_batch(&b.w);
	fake_durable(&b.k, b.w.lsn);
	memcpy(b.durable, b.now, sizeof(b.now));
}

static void apply(void)
{
	assert_int_equal(applier_run(&b.z->applier, 0), 0);
}

static void fold(void)
{
	apply();
	assert_int_equal(zone_fold(b.z, 0, false), 0);
	if (b.z->mt.frozen)
		assert_int_equal(zone_fold(b.z, 0, false), 0);
	zone_report(b.z);
}

/* The LSN of the record. */
static u64 add(void *rec)
{
	u64 lsn = b.k.tail;

	append_both(&b.k, &b.w, rec);
	return lsn;
}

static u64 add_data(u32 f, u32 at, u32 len)
{
	struct nexus_rec_data *r = (void *)b.buf;
	size_t reclen = NEXUS_ALIGN(sizeof(*r) + len, (size_t)8);
	struct model *m = &b.now[f];
	u64 end = at * BS + len;
	u32 i;

	memset(r, 0, reclen);
	nexus_rec_init(&r->head, reclen, NEXUS_REC_DATA, 0, NOW);
	r->ino = cpu_to_le64(m->ino);
	r->data_id = cpu_to_le64(m->data_id);
	r->offset = cpu_to_le64((u64)at * BS);
	r->mtime_s = r->ctime_s = cpu_to_le64(4000);
	r->len = cpu_to_le32(len);
	for (i = 0; i < len; i++)
		r->data[i] = (u8)rnd(256);
	r->crc = cpu_to_le32(nexus_crc32c(0, r->data, len));
	memset(m->data + at * BS, 0, NEXUS_ALIGN(len, BS));
	memcpy(m->data + at * BS, r->data, len);
	m->size = NEXUS_MAX(m->size, end);
	return add(r);
}

static u64 add_extent(u32 f, u32 at)
{
	struct nexus_rec_extent *r = (void *)b.buf;
	struct model *m = &b.now[f];
	u8 *data = NULL;
	u32 i, blocks;
	int fd;

	assert_int_equal(posix_memalign((void **)&data, BS, BS), 0);
	for (i = 0; i < BS; i++)
		data[i] = (u8)rnd(256);
	fd = b.z->os->drv->open_pack(b.z->os, b.k.last_pack, true, &blocks);
	assert_true(fd >= 0 && b.g.next_block < blocks);
	assert_int_equal(pwrite(fd, data, BS, (off_t)b.g.next_block * BS), BS);
	close(fd);
	memset(r, 0, sizeof(*r) + 8);
	nexus_rec_init(&r->head, nexus_rec_extent_len(1), NEXUS_REC_EXTENT, 0, NOW);
	r->ino = cpu_to_le64(m->ino);
	r->data_id = cpu_to_le64(m->data_id);
	r->offset = cpu_to_le64((u64)at * BS);
	r->size = cpu_to_le64((u64)(at + 1) * BS);
	r->pack = cpu_to_le64(b.k.last_pack);
	r->block = cpu_to_le32(b.g.next_block++);
	r->nblocks = cpu_to_le32(1);
	r->mtime_s = r->ctime_s = cpu_to_le64(5000);
	r->crc[0] = cpu_to_le32(nexus_crc32c(0, data, BS));
	memcpy(m->data + at * BS, data, BS);
	m->size = NEXUS_MAX(m->size, (u64)(at + 1) * BS);
	free(data);
	return add(r);
}

/* Within a block only where no pack has it: no other needs a tail. */
static u64 add_cut(u32 f, u64 size, bool whole)
{
	struct nexus_rec_truncate *r = (void *)b.buf;
	struct model *m = &b.now[f];

	memset(r, 0, sizeof(*r));
	nexus_rec_init(&r->head, sizeof(*r), NEXUS_REC_TRUNCATE, 0, NOW);
	r->ino = cpu_to_le64(m->ino);
	r->data_id = cpu_to_le64(m->data_id);
	r->size = cpu_to_le64(size);
	if (whole) {
		r->new_data_id = cpu_to_le64(b.g.next_ino);
		m->data_id = b.g.next_ino++;
	}
	if (size < sizeof(m->data))
		memset(m->data + size, 0, sizeof(m->data) - size);
	m->size = size;
	return add(r);
}

static u64 add_punch(u32 f, u32 at, u32 n)
{
	struct nexus_rec_range *r = (void *)b.buf;

	memset(r, 0, sizeof(*r));
	nexus_rec_init(&r->head, sizeof(*r), NEXUS_REC_PUNCH, 0, NOW);
	r->ino = cpu_to_le64(b.now[f].ino);
	r->data_id = cpu_to_le64(b.now[f].data_id);
	r->offset = cpu_to_le64((u64)at * BS);
	r->len = cpu_to_le64((u64)n * BS);
	memset(b.now[f].data + at * BS, 0, (size_t)n * BS);
	return add(r);
}

/* ---- what is there ---------------------------------------------------------- */

static int read_log_pack(struct zone *z, u64 pack, u32 block, void *buf)
{
	u32 blocks;
	int fd = zone_log_pack(z, pack, &blocks);

	if (fd < 0)
		return fd;
	assert_true(block < blocks);
	assert_int_equal(pread(fd, buf, BS, (off_t)block * BS), BS);
	close(fd);
	return 0;
}

static void check_block(struct zone *z, struct pack_reader *r, const struct model *m,
			const struct nexus_inode_val *in, u32 at)
{
	static u8 *buf;
	u8 val[64];
	struct nexus_kext x = { 0 };
	struct nexus_key k;
	struct memview v;
	u64 disk = le64_to_cpu(in->disk_size);
	int ret;

	if (!buf)
		assert_int_equal(posix_memalign((void **)&buf, BS, BS), 0);
	assert_int_equal(memview_begin(&v, &z->mt, NULL), 0);
	ret = nexus_ext_seek(&v.kv, m->data_id, at, &k, val, sizeof(val), &x);
	memview_end(&v);
	memset(buf, 0, BS);
	if (ret >= 0 && x.fblock <= at) {
		x.block += (u32)(at - x.fblock);
		if (read_log_pack(z, x.pack, x.block, buf))
			assert_int_equal(pack_read_block(r, x.pack, x.block, buf), 0);
		/* As the kernel reads it. */
		if (disk < (u64)(at + 1) * BS)
			memset(buf + (disk > (u64)at * BS ? disk - (u64)at * BS : 0), 0,
			       (u64)(at + 1) * BS - NEXUS_MAX(disk, (u64)at * BS));
	}
	if (memcmp(buf, m->data + at * BS, BS))
		print_message("inode %llu, block %u\n", m->ino, at);
	assert_memory_equal(buf, m->data + at * BS, BS);
}

/* The files are what they were to be when the log was last flushed. */
static void check_files(struct zone *z)
{
	struct pack_reader *r = pack_reader_new(z->os);
	struct nexus_inode_val in;
	struct nexus_key k;
	struct memview v;
	u32 f, i;

	for (f = 0; f < FILES; f++) {
		nexus_key_inode(&k, b.durable[f].ino);
		assert_int_equal(memview_begin(&v, &z->mt, NULL), 0);
		assert_int_equal(nexus_kv_get(&v.kv, k.b, k.len, &in, sizeof(in)), sizeof(in));
		memview_end(&v);
		assert_int_equal(le64_to_cpu(in.size), b.durable[f].size);
		assert_int_equal(le64_to_cpu(in.data_id), b.durable[f].data_id);
		for (i = 0; i < BLOCKS; i++)
			check_block(z, r, &b.durable[f], &in, i);
	}
	pack_reader_free(r);
	zone_is_sound(z);
}

static void cut_power(void)
{
	logw_free(&b.w);
	power_cut(&b.k, b.z);
	memcpy(b.now, b.durable, sizeof(b.now));
}

static void open_again(void)
{
	b.z = fake_open(&b.k, &b.cfg, 1u << 20);
	b.g.next_block = 1 + pack_table_blocks(256);
	log_of(b.z, &b.w);
	check_files(b.z);
}

static int end(void **state)
{
	cut_power();
	return test_teardown(state);
}

/* For the end of a test that has none of it open. */
static void close_nothing(void)
{
	static struct chan none = { .fd = -1 };
	static const u8 uuid[NEXUS_UUID_SIZE];

	logw_init(&b.w, test_dir, uuid, 1, 1, 4096);
	b.z = zone_new(NULL, &b.cfg, &none, "z");
}

/* ---- tests ------------------------------------------------------------------- */

/* To a pack with lines, and once. */
static void test_moved(void **state)
{
	u64 incarnation = b.z->sb.incarnation, pack;
	u32 blocks;
	int fd;

	(void)state;
	add_data(0, 0, 3 * BS + 10);
	add_extent(1, 2);
	add_data(1, 2, BS);
	add_data(1, 5, 100);
	add_data(2, 0, 2 * BS);
	add_extent(2, 1);
	add_data(3, 3, 700);
	/* What was cut off stays away when the file gets longer. */
	add_cut(3, 3 * BS + 99, false);
	add_cut(3, 6 * BS, false);
	add_data(3, 5, BS);
	flush();
	/* Of which nobody was told. */
	add_data(0, 0, 20);
	cut_power();
	open_again();
	assert_int_equal(b.z->sb.incarnation, incarnation + 1);
	assert_int_equal(nexus_logdata_count(&b.z->applier.data), 0);
	assert_int_equal(b.z->sb.log_from, b.z->sb.checkpoint);
	assert_int_equal(b.z->sb.checkpoint, b.z->replay.tail);
	pack = b.k.last_pack - ZONE_SPARE_PACKS;
	fd = b.z->os->drv->open_pack(b.z->os, pack, false, &blocks);
	assert_true(fd >= 0);
	close(fd);
	/* And it stays there. */
	flush();
	cut_power();
	open_again();
}

/* The index goes on, the log stays from there on.  Scenario E1. */
static void test_kept(void **state)
{
	u64 first, second;

	(void)state;
	flush();
	fold();
	assert_int_equal(b.k.checkpoint, b.k.tail);
	first = add_data(0, 1, BS);
	second = add_data(1, 4, 2 * BS);
	add_extent(2, 0);
	flush();
	fold();
	assert_int_equal(b.z->sb.checkpoint, b.k.tail);
	assert_int_equal(b.z->sb.log_from, first);
	/* What the kernel may use again is said with it. */
	assert_int_equal(b.k.checkpoint, first);
	assert_int_equal(b.k.applied, b.k.tail);
	add_extent(0, 1);
	flush();
	/* Not before it is in the index. */
	apply();
	zone_report(b.z);
	assert_int_equal(b.k.checkpoint, first);
	fold();
	assert_int_equal(b.k.checkpoint, second);
	add_extent(1, 5);
	flush();
	fold();
	assert_int_equal(b.k.checkpoint, second);
	add_extent(1, 4);
	/* Nor before it is durable. */
	apply();
	zone_fold(b.z, 0, false);
	zone_report(b.z);
	assert_int_equal(b.k.checkpoint, second);
	flush();
	fold();
	assert_int_equal(b.k.checkpoint, b.k.tail);
}

/* Found again below the checkpoint, in an earlier segment, too. */
static void test_below(void **state)
{
	u32 i;

	(void)state;
	add_data(0, 1, BS + 5);
	add_data(1, 1, BS);
	flush();
	logw_segment(&b.w, 1, super_segment_blocks(&b.z->sb));
	add_data(1, 1, 9);
	flush();
	fold();
	for (i = 0; i < 5; i++) {
		add_extent(2, i);
		flush();
		fold();
	}
	assert_true(b.z->sb.log_from < b.z->sb.checkpoint);
	cut_power();
	open_again();
}

/* A helper takes over from one that died: the kernel has the content. */
static void test_taken_over(void **state)
{
	struct errline err = { "" };
	struct zone *z;
	u64 first;

	(void)state;
	first = add_data(0, 1, BS);
	add_data(1, 0, 5 * BS);
	add_extent(1, 1);
	flush();
	fold();
	add_data(0, 7, BS);
	flush();
	z = zone_new(NULL, &b.cfg, &b.k.chan, "z");
	assert_int_equal(zone_load(z, false, true, &err), 0);
	assert_int_equal(nexus_logdata_count(&z->applier.data), 0);
	assert_int_equal(applier_look_back(&z->applier, z->sb.log_from), 0);
	assert_int_equal(nexus_logdata_count(&z->applier.data), 5);
	assert_int_equal(nexus_logdata_low(&z->applier.data), first);
	/* The log does not go back that far: said, and not passed over. */
	nexus_logdata_destroy(&z->applier.data);
	assert_int_equal(applier_look_back(&z->applier, first - 4096), -ENOENT);
	z->chan = NULL;
	zone_put(z);
}

/* A death between the pack and the index: once more, from the same log. */
static void test_died_moving(void **state)
{
	struct chan none = { .fd = -1 };
	struct errline err = { "" };
	struct zone *z;
	u32 i;

	(void)state;
	add_data(0, 0, 4 * BS);
	flush();
	fold();
	add_data(1, 0, 4 * BS);
	flush();
	cut_power();
	for (i = 0; i < 3; i++) {
		z = zone_new(NULL, &b.cfg, &none, "z");
		assert_int_equal(zone_load(z, false, false, &err), 0);
		assert_int_equal(nexus_logdata_count(&z->applier.data), 8);
		assert_int_equal(zone_rehome(z, false, &err), 0);
		assert_int_equal(nexus_logdata_count(&z->applier.data), 0);
		zone_put(z);
	}
	open_again();
}

/* As the clean-up of a mount does. */
static void seal(struct zone *z, u64 pack)
{
	struct nexus_rec_pack rec;

	memset(&rec, 0, sizeof(rec));
	nexus_rec_init(&rec.head, sizeof(rec), NEXUS_REC_PACK, 0, NOW);
	rec.pack = cpu_to_le64(pack);
	rec.state = cpu_to_le32(NEXUS_PACK_SEALED);
	rec.used = cpu_to_le32(256);
	pthread_mutex_lock(&z->applier.lock);
	rec.head.lsn = cpu_to_le64(z->applier.pos);
	assert_int_equal(applier_apply(&z->applier, (u8 *)&rec, sizeof(rec)), 0);
	pthread_mutex_unlock(&z->applier.lock);
}

static u32 files_in(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	u32 n = 0;

	assert_non_null(d);
	while ((de = readdir(d)))
		n++;
	closedir(d);
	return n;
}

static int no_room(struct nexus_objectstore *os, u64 pack, u32 blocks)
{
	(void)os;
	(void)pack;
	(void)blocks;
	return -ENOSPC;
}

/* No room for another pack: into the rest of those that were open. */
static void test_full_disk(void **state)
{
	struct chan none = { .fd = -1 };
	struct errline err = { "" };
	struct nexus_os_driver full;
	u64 pack = b.k.last_pack;
	struct nexus_pack_val val;
	struct nexus_key k;
	struct memview v;
	struct zone *z;
	u32 before = b.g.next_block + 2;

	(void)state;
	add_extent(2, 0);
	add_extent(2, 1);
	add_data(0, 0, 7 * BS);
	add_data(1, 3, 2 * BS + 9);
	flush();
	cut_power();
	z = zone_new(NULL, &b.cfg, &none, "z");
	assert_int_equal(zone_load(z, false, false, &err), 0);
	full = *z->os->drv;
	full.create_sparse = no_room;
	z->os->drv = &full;
	assert_int_equal(zone_rehome(z, false, &err), 0);
	check_files(z);
	nexus_key_pack(&k, pack);
	assert_int_equal(memview_begin(&v, &z->mt, NULL), 0);
	assert_int_equal(nexus_kv_get(&v.kv, k.b, k.len, &val, sizeof(val)), sizeof(val));
	memview_end(&v);
	assert_int_equal(le32_to_cpu(val.used), before + 10);
	zone_put(z);
	/* None is open, either. */
	open_again();
	cut_power();
	open_again();
	add_data(0, 0, BS);
	flush();
	cut_power();
	z = zone_new(NULL, &b.cfg, &none, "z");
	assert_int_equal(zone_load(z, false, false, &err), 0);
	for (pack = 1; pack < z->al.next_pack; pack++)
		seal(z, pack);
	z->os->drv = &full;
	assert_int_equal(zone_rehome(z, false, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "mount -o ro"));
	zone_put(z);
	open_again();
}

/* A read-only mount shows it and leaves no trace. */
static void test_read_only(void **state)
{
	struct chan none = { .fd = -1 };
	struct errline err = { "" };
	struct zone *z;
	u32 before, blocks, i;
	u64 n = 0;

	(void)state;
	add_data(0, 0, 4 * BS);
	flush();
	fold();
	add_data(1, 7, 100);
	flush();
	cut_power();
	for (i = 0; i < 2; i++) {
		z = zone_new(NULL, &b.cfg, &none, "z");
		assert_int_equal(zone_load(z, true, false, &err), 0);
		before = files_in(z->dir);
		/* A dump has no place for it. */
		assert_int_equal(dump_write(z, stdout, &n, &err), -EBUSY);
		assert_int_equal(zone_rehome(z, false, &err), 0);
		assert_int_equal(files_in(z->dir), before);
		check_files(z);
		assert_int_equal(zone_log_pack(z, z->al.next_pack + 1, &blocks), -ENOENT);
		zone_put(z);
	}
	open_again();
}

/* What the log was needed for is gone: nobody is told that all is well. */
static void test_damaged(void **state)
{
	struct chan none = { .fd = -1 };
	struct errline err = { "" };
	struct zone *z;
	u32 block, i;

	(void)state;
	flush();
	fold();
	block = b.w.block;
	add_data(0, 0, BS);
	flush();
	for (i = 0; i < 3; i++) {
		add_extent(1, i);
		flush();
	}
	fold();
	logw_spoil(&b.w, 0, block, 1);
	cut_power();
	z = zone_new(NULL, &b.cfg, &none, "z");
	assert_int_equal(zone_load(z, true, false, &err), 0);
	assert_true(z->replay.corrupt);
	assert_non_null(strstr(z->replay.reason, "from where on it holds content"));
	assert_int_equal(zone_error(z, NULL), -EUCLEAN);
	zone_put(z);
	close_nothing();
}

static int drop_inode(struct nexus_metastore *ms, struct nexus_ms_batch *batch, void *arg)
{
	struct nexus_key k;

	nexus_key_inode(&k, *(u64 *)arg);
	return ms->drv->del(batch, k.b, k.len);
}

/* Of a file that is not there: only a repair leaves it out. */
static void test_nobodys(void **state)
{
	struct chan none = { .fd = -1 };
	struct errline err = { "" };
	struct zone *z;

	(void)state;
	add_data(0, 0, BS);
	add_data(1, 0, BS);
	flush();
	fold();
	cut_power();
	z = zone_new(NULL, &b.cfg, &none, "z");
	assert_int_equal(zone_load(z, false, false, &err), 0);
	assert_int_equal(ms_write(z->ms, drop_inode, &b.durable[0].ino), 0);
	assert_int_equal(zone_rehome(z, false, &err), -ENOENT);
	zone_put(z);
	z = zone_new(NULL, &b.cfg, &none, "z");
	assert_int_equal(zone_load(z, false, false, &err), 0);
	assert_int_equal(zone_rehome(z, true, &err), 0);
	assert_int_equal(nexus_logdata_count(&z->applier.data), 1);
	zone_put(z);
	close_nothing();
}

/* No order in the end: the next mount looks at the log. */
static void test_not_clean(void **state)
{
	(void)state;
	add_data(0, 0, BS);
	flush();
	__atomic_store_n(&b.k.ctl->flags, NEXUS_LF_DETACHED, __ATOMIC_RELEASE);
	zone_finish(b.z);
	assert_false(b.z->sb.flags & NEXUS_ZF_CLEAN);
	assert_int_equal(b.z->sb.checkpoint, b.k.tail);
	cut_power();
	open_again();
	add_extent(0, 0);
	flush();
	__atomic_store_n(&b.k.ctl->flags, NEXUS_LF_DETACHED, __ATOMIC_RELEASE);
	zone_finish(b.z);
	assert_true(b.z->sb.flags & NEXUS_ZF_CLEAN);
}

/* Anything, with folds and power cuts at any place. */
static void test_random(void **state)
{
	u32 round, f, at;

	(void)state;
	for (round = 0; round < 1500; round++) {
		f = rnd(FILES);
		at = rnd(BLOCKS);
		switch (rnd(12)) {
		case 0:
			add_cut(f, (u64)at * BS, false);
			break;
		case 1:
			add_cut(f, 0, true);
			break;
		case 2:
			add_punch(f, at, 1 + rnd(BLOCKS - at));
			break;
		case 3:
		case 4:
			if (b.g.next_block < 250)
				add_extent(f, at);
			break;
		default:
			add_data(f, at, 1 + rnd((BLOCKS - at) * BS));
		}
		if (!rnd(4))
			flush();
		if (!rnd(9))
			apply();
		if (!rnd(15)) {
			flush();
			fold();
		}
		if (!rnd(60) || b.w.block > super_segment_blocks(&b.z->sb) - 100) {
			cut_power();
			open_again();
		}
	}
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, end)
	const struct CMUnitTest tests[] = {
		T(test_moved),
		T(test_kept),
		T(test_below),
		T(test_taken_over),
		T(test_died_moving),
		T(test_full_disk),
		T(test_read_only),
		T(test_damaged),
		T(test_nobodys),
		T(test_not_clean),
		T(test_random),
	};

	return cmocka_run_group_tests_name("rehome", tests, NULL, NULL);
}
