// SPDX-License-Identifier: Apache-2.0
/* Verifying packs of a zone that is served: what is wrong is told, what changes is not. */
#include "lib/record.h"
#include "util.h"
#include "verify.h"

static struct config cfg;
static struct fake k;
static struct zone *z;
static struct gen g;
static struct pack_tables *tables;
static u32 reported;
static struct verify_problem last;
static void (*meanwhile)(void);	/* called once, by the driver's next open_pack */

static void report(void *arg, const struct verify_problem *p)
{
	(void)arg;
	reported++;
	last = *p;
}

/* The store of packs, with something that happens between two looks. */
static struct nexus_os_driver drv;

static int open_pack(struct nexus_objectstore *os, u64 pack, bool writable, u32 *blocks)
{
	void (*now)(void) = meanwhile;

	meanwhile = NULL;
	if (now)
		now();
	return nexus_os_localdisk.open_pack(os, pack, writable, blocks);
}

static int setup(void **state)
{
	test_setup(state);
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 22);
	drv = nexus_os_localdisk;
	drv.open_pack = open_pack;
	z->os->drv = &drv;
	gen_init(&g, z->al.next_ino, k.last_pack, 256);
	g.os = z->os;
	tables = pack_tables_new();
	reported = 0;
	return 0;
}

static int teardown(void **state)
{
	pack_tables_free(tables);
	fake_close(&k, z);
	return test_teardown(state);
}

static void apply(struct nexus_rec_head *rec)
{
	fake_append(&k, rec);
	fake_durable(&k, k.tail);
	assert_int_equal(applier_run(&z->applier, 0), 0);
	assert_int_equal(pack_tables_add(tables, (void *)rec, le32_to_cpu(rec->len)), 0);
}

/* A file with one extent; its inode number. */
static struct gen_file *file(void)
{
	struct gen_file *f;
	u32 i;

	apply(gen_create(&g));
	for (i = 0; g.file[i].ino != g.next_ino - 1; i++)
		;
	f = &g.file[i];
	apply(gen_extent(&g, f));
	return f;
}

static void write_tables(void)
{
	u64 lines;

	assert_int_equal(pack_tables_write(tables, z->os, z->sb.uuid, &lines), 0);
}

static void seal(void)
{
	struct nexus_rec_pack rec;

	memset(&rec, 0, sizeof(rec));
	nexus_rec_init(&rec.head, sizeof(rec), NEXUS_REC_PACK, 0,
		       (struct nexus_time){ 1000, 5 });
	rec.pack = cpu_to_le64(g.pack);
	rec.state = cpu_to_le32(NEXUS_PACK_SEALED);
	rec.used = cpu_to_le32(g.next_block);
	fake_append(&k, &rec.head);
	fake_durable(&k, k.tail);
	assert_int_equal(applier_run(&z->applier, 0), 0);
}

static void spoil(u32 block, u32 at, u8 byte)
{
	u8 *buf = NULL;
	u32 blocks;
	int fd = nexus_os_localdisk.open_pack(z->os, g.pack, true, &blocks);

	assert_true(fd >= 0);
	assert_int_equal(posix_memalign((void **)&buf, 4096, 4096), 0);
	assert_int_equal(pread(fd, buf, 4096, (off_t)block * 4096), 4096);
	buf[at] ^= byte;
	assert_int_equal(pwrite(fd, buf, 4096, (off_t)block * 4096), 4096);
	free(buf);
	close(fd);
}

static struct verify_counts verify(bool served)
{
	struct verify_counts sum = { 0 };
	struct verify_cursor c = { .len = 0 };
	u32 steps = 0;

	reported = 0;
	while (!c.done) {
		struct verify *v = verify_new(z, served, true, report, NULL);

		assert_non_null(v);
		assert_int_equal(verify_step(v, &c, 4, NULL, 0), 0);
		assert_true(verify_counts(v)->blocks < 4 + 4);
		sum.packs += verify_counts(v)->packs;
		sum.extents += verify_counts(v)->extents;
		sum.blocks += verify_counts(v)->blocks;
		sum.unchecked += verify_counts(v)->unchecked;
		verify_free(v);
		assert_true(++steps < 1000);
	}
	return sum;
}

/* Scenario M4. */
static void test_lines_not_there_yet(void **state)
{
	struct verify_counts n;

	(void)state;
	file();
	n = verify(true);
	assert_int_equal(reported, 0);
	assert_int_equal(n.packs, 1);
	assert_true(n.unchecked && !n.blocks);
	/* At rest, or sealed, there is no excuse. */
	verify(false);
	assert_int_equal(reported, n.unchecked);
	assert_string_equal(last.what, "has no checksum");
	seal();
	verify(true);
	assert_int_equal(reported, n.unchecked);
	write_tables();
	assert_int_equal(verify(true).blocks, n.unchecked);
	assert_int_equal(reported, 0);
}

/* Scenario A17. */
static void test_damage(void **state)
{
	struct gen_file *f = file();
	u32 block = g.next_block - 1;

	(void)state;
	write_tables();
	assert_int_equal(verify(true).unchecked, 0);
	assert_int_equal(reported, 0);
	spoil(block, 4095, 1);
	verify(true);
	assert_int_equal(reported, 1);
	assert_string_equal(last.what, "is damaged");
	assert_true(last.ino == f->ino && last.pack == g.pack && last.block == block);
	assert_true(last.offset < f->size && last.offset % 4096 == 0);
	spoil(block, 4095, 1);
	/* Its line: another checksum, another owner. */
	spoil(1 + block / 128, block % 128 * 32 + 24, 1);
	verify(true);
	assert_int_equal(reported, 1);
	assert_string_equal(last.what, "is damaged");
	spoil(1 + block / 128, block % 128 * 32 + 24, 1);
	spoil(1 + block / 128, block % 128 * 32 + 8, 1);
	verify(true);
	assert_string_equal(last.what, "belongs to another file");
	spoil(1 + block / 128, block % 128 * 32 + 8, 1);
	spoil(0, 20, 1);
	verify(true);
	assert_int_equal(reported, 1);
	assert_string_equal(last.what, "its head is damaged or of another pack");
	assert_true(!last.data_id && last.pack == g.pack);
	spoil(0, 20, 1);
	verify(true);
	assert_int_equal(reported, 0);
}

/* Blocks that are overwritten in place: whose they are and that they can be read. */
static void test_without_checksums(void **state)
{
	struct verify_counts n;
	u32 block;

	(void)state;
	g.plain = 1;
	file();
	g.plain = 0;
	block = g.next_block - 1;
	write_tables();
	n = verify(true);
	assert_int_equal(reported, 0);
	assert_true(n.unchecked && n.blocks == n.unchecked);
	spoil(block, 4095, 1);
	assert_int_equal(verify(true).unchecked, n.unchecked);
	assert_int_equal(verify(false).unchecked, n.unchecked);
	assert_int_equal(reported, 0);
	spoil(1 + block / 128, block % 128 * 32 + 8, 1);
	verify(true);
	assert_int_equal(reported, 1);
	assert_string_equal(last.what, "belongs to another file");
	spoil(1 + block / 128, block % 128 * 32 + 8, 1);
	/* Of others it is damage when the line has none. */
	file();
	block = g.next_block - 1;
	write_tables();
	verify(true);
	assert_int_equal(reported, 0);
	spoil(1 + block / 128, block % 128 * 32 + 16, NEXUS_PL_NOCRC);
	verify(true);
	assert_int_equal(reported, 1);
	assert_string_equal(last.what, "has no checksum");
	assert_int_equal(last.block, block);
}

static struct gen_file *victim;

static void truncate_victim(void)
{
	struct nexus_rec_truncate rec;

	memset(&rec, 0, sizeof(rec));
	nexus_rec_init(&rec.head, sizeof(rec), NEXUS_REC_TRUNCATE, 0,
		       (struct nexus_time){ 1000, 5 });
	rec.ino = cpu_to_le64(victim->ino);
	rec.data_id = cpu_to_le64(victim->data_id);
	apply(&rec.head);
	/* And whoever got the block wrote to it. */
	spoil(g.next_block - 1, 0, 0xff);
}

/* Freed between the look into the index and the one at the block. */
static void test_freed_meanwhile(void **state)
{
	struct verify_cursor c = { .len = 9, .key = { NEXUS_KEY_EXTENT } };
	struct verify *v;

	(void)state;
	file();
	victim = file();
	write_tables();
	nexus_put_be64(c.key + 1, victim->data_id);
	meanwhile = truncate_victim;
	v = verify_new(z, true, true, report, NULL);
	assert_int_equal(verify_step(v, &c, 1, NULL, 0), 0);
	assert_null(meanwhile);
	assert_int_equal(verify_counts(v)->extents, 1);
	assert_int_equal(reported, 0);
	verify_free(v);
	verify(true);
	assert_int_equal(reported, 0);
}

/* A pack that is removed or shortened. */
static void test_files(void **state)
{
	char path[PATH_MAX + 64];

	(void)state;
	file();
	write_tables();
	snprintf(path, sizeof(path), "%s/packs/%02x/%016llx.pack", z->dir,
		 (unsigned int)(g.pack & 0xff), g.pack);
	assert_int_equal(truncate(path, 5 * 4096), 0);
	verify(true);
	assert_int_equal(reported, 1);
	assert_string_equal(last.what, "its head is damaged or of another pack");
	assert_int_equal(unlink(path), 0);
	verify(false);
	assert_int_equal(reported, 1);
	assert_string_equal(last.what, "cannot be opened");
}

static void test_steps(void **state)
{
	struct verify_cursor c = { .len = 5, .key = "Inode" };
	const uint64_t only = k.last_pack;
	struct verify *v;
	u64 missing = 0;
	u32 i;

	(void)state;
	for (i = 0; i < 60; i++)
		file();
	write_tables();
	assert_int_equal(verify(true).blocks, g.next_block - 3);
	assert_int_equal(reported, 0);
	v = verify_new(z, true, true, report, NULL);
	assert_int_equal(verify_step(v, &c, 4, NULL, 0), -EINVAL);
	c = (struct verify_cursor){ .len = 1000 };
	assert_int_equal(verify_step(v, &c, 4, NULL, 0), -EINVAL);
	c = (struct verify_cursor){ .len = 0 };
	assert_int_equal(verify_step(v, &c, 1000, &only, 1), 0);
	assert_true(verify_counts(v)->blocks == g.next_block - 3);
	verify_free(v);
	assert_int_equal(verify_known(z, &only, 1, &missing), 0);
	assert_int_equal(verify_known(z, (const uint64_t[]){ only, 77 }, 2, &missing), -ENOENT);
	assert_true(missing == 77);
}

static int count_pack(void *arg, const struct pack_info *p)
{
	u64 *n = arg;

	if (p->pack == g.pack) {
		assert_int_equal(p->state, NEXUS_PACK_OPEN);
		assert_int_equal(p->blocks, 256);
		assert_int_equal(p->used, g.next_block);
		assert_int_equal(p->live, g.next_block - 3);
	} else {
		assert_int_equal(p->state, 0);
	}
	assert_true(p->pack > n[1]);
	n[1] = p->pack;
	n[0]++;
	return n[0] == n[2] ? -ECANCELED : 0;
}

static void test_list(void **state)
{
	u64 n[3] = { 0, 0, 0 };
	u64 all;

	(void)state;
	file();
	assert_int_equal(pack_list(z, 0, count_pack, n), 0);
	all = n[0];
	assert_true(all >= 2);
	memset(n, 0, sizeof(n));
	n[2] = 1;
	assert_int_equal(pack_list(z, 0, count_pack, n), -ECANCELED);
	n[0] = 0;
	n[2] = 0;
	assert_int_equal(pack_list(z, n[1], count_pack, n), 0);
	assert_true(n[0] == all - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_lines_not_there_yet), T(test_damage), T(test_without_checksums), T(test_freed_meanwhile),
		T(test_files), T(test_steps), T(test_list),
	};

	return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
