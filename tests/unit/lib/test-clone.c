// SPDX-License-Identifier: Apache-2.0
/*
 * Shared blocks: who refers to what, and when a block dies.  After every record
 * the pack's live blocks are those that the extents name, counted one by one.
 */
#include "records.h"

#define FILE_MODE (S_IFREG | 0644)
#define PACK	5
#define FILES	5u		/* inodes 20, 21, ... */

static struct store s;

static u32 live(void)
{
	u32 refs, n = store_live(&s, PACK, &refs);

	assert_int_equal(store_said_live(&s, PACK), n);
	return n;
}

static u32 refs(void)
{
	u32 n;

	store_live(&s, PACK, &n);
	return n;
}

static int setup(void **state)
{
	char name[2] = "a";
	u32 i;

	(void)state;
	store_mkfs(&s);
	for (i = 0; i < FILES; i++, name[0]++)
		must(&s, rec_mk(1, 3 + i, 20 + i, name, FILE_MODE));
	return 0;
}

static int teardown(void **state)
{
	s64 problems = store_problems(&s, true);

	(void)state;
	live();
	store_destroy(&s);
	return problems != 0;
}

/* Blocks of a file, and how many records hold them. */
static u32 mapped(u64 data_id, u64 from, u32 n, u32 *records)
{
	const struct nexus_omap_entry *e;
	struct nexus_key k;
	u32 sum = 0;

	*records = 0;
	nexus_key_extent(&k, data_id, 0);
	for (e = nexus_omap_lower(&s.map, k.b, k.len, false);
	     e && !memcmp(e->data, k.b, 9);
	     e = nexus_omap_lower(&s.map, e->data, e->klen, true)) {
		u64 at = nexus_get_be64(e->data + 9) >> NEXUS_BLOCK_SHIFT;
		struct nexus_extent_val v;
		u64 end;

		memcpy(&v, nexus_omap_val(e), sizeof(v));
		end = at + le32_to_cpu(v.nblocks);
		at = NEXUS_MAX(at, from);
		end = NEXUS_MIN(end, from + n);
		if (at >= end)
			continue;
		sum += (u32)(end - at);
		(*records)++;
	}
	return sum;
}

static void clone_ids(u64 src, u64 src_id, u64 from, u64 ino, u64 id, u64 to, u32 n)
{
	struct clone_args a = {
		.src = src, .src_id = src_id, .from = from, .ino = ino, .id = id,
		.to = to, .nblocks = n,
	};
	u32 records;

	must(&s, rec_share(src, src_id, from, n));
	a.mapped = mapped(src_id, from, n, &records);
	must(&s, rec_clone(&a));
}

static void clone(u64 src, u64 from, u64 ino, u64 to, u32 n)
{
	clone_ids(src, src, from, ino, ino, to, n);
}

static void write_at(u64 ino, u64 at, u32 block, u32 n)
{
	must(&s, rec_extent(ino, ino, at, (at + n) << NEXUS_BLOCK_SHIFT, PACK, block,
			    n, 0));
}

static void drop(u64 ino)
{
	char name[2] = { (char)('a' + ino - 20), 0 };

	must(&s, rec_unlink(1, 3 + ino - 20, ino, name));
	must(&s, rec_forget(ino, ino, 1000));
}

static u64 blocks_of(u64 ino)
{
	return le64_to_cpu(store_inode(&s, ino)->blocks);
}

static void test_share(void **state)
{
	u64 version, zone;
	u32 records;

	(void)state;
	write_at(20, 0, 100, 4);
	write_at(20, 10, 200, 2);
	version = le64_to_cpu(store_inode(&s, 20)->version);
	zone = blocks_of(20);
	/* The whole extent, though one block is named; and once is enough. */
	must(&s, rec_share(20, 20, 1, 1));
	assert_int_equal(refs(), 1);
	must(&s, rec_share(20, 20, 0, 20));
	assert_int_equal(refs(), 2);
	must(&s, rec_share(20, 20, 0, 20));
	assert_int_equal(refs(), 2);
	assert_int_equal(mapped(20, 0, 20, &records), 6);
	assert_int_equal(records, 2);
	assert_int_equal(live(), 6);
	assert_true(le64_to_cpu(store_inode(&s, 20)->version) == version);
	assert_true(blocks_of(20) == zone);
	/* Nothing is there, nothing changes. */
	must(&s, rec_share(20, 20, 500, 7));
	must(&s, rec_share(21, 21, 0, 1024));
	/* What was never written has nothing to share. */
	must(&s, rec_range(NEXUS_REC_PUNCH, 21, 21, 0, 3, 0));
	must(&s, rec_range(NEXUS_REC_RESERVE, 21, 21, 0, 3, 0));
	must(&s, rec_share(21, 21, 0, 3));
	assert_int_equal(refs(), 2);
}

/*
 * Three files with one body: whichever goes, the blocks stay until the last.
 * Scenario A22.
 */
static void test_every_order(void **state)
{
	static const u8 order[6][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 },
		{ 2, 1, 0 },
	};
	u32 i, j;

	for (i = 0; i < 6; i++) {
		teardown(state);
		setup(state);
		write_at(20, 0, 100, 6);
		write_at(20, 8, 120, 256);
		write_at(20, 264, 376, 44);
		clone(20, 0, 21, 0, 308);
		clone(21, 0, 22, 3, 308);
		assert_int_equal(live(), 306);
		assert_int_equal(blocks_of(21), 306);
		assert_int_equal(blocks_of(22), 306);
		for (j = 0; j < 3; j++) {
			drop(20 + order[i][j]);
			assert_int_equal(live(), j == 2 ? 0 : 306);
			assert_int_equal(store_problems(&s, true), 0);
		}
		assert_int_equal(refs(), 0);
	}
}

static void test_clone(void **state)
{
	const struct nexus_inode_val *in;
	u32 records;

	(void)state;
	write_at(20, 1, 100, 4);
	write_at(21, 0, 200, 10);
	/* A hole of the source becomes one. */
	clone(20, 0, 21, 2, 6);
	assert_int_equal(mapped(21, 0, 12, &records), 2 + 4 + 2);
	assert_int_equal(live(), 4 + 4);
	in = store_inode(&s, 21);
	assert_int_equal(le64_to_cpu(in->mtime_s), 3000);
	assert_int_equal(le64_to_cpu(in->ctime_s), 3001);
	assert_int_equal(le64_to_cpu(in->size), 10 * 4096);
	assert_int_equal(le64_to_cpu(in->gen), 2);
	assert_int_equal(le64_to_cpu(in->blocks), 8);
	/* Again: the same. */
	clone(20, 0, 21, 2, 6);
	assert_int_equal(live(), 8);
	/* Nothing but a hole: what was there goes, and with its last reference. */
	clone(22, 0, 21, 0, 10);
	assert_int_equal(blocks_of(21), 0);
	assert_int_equal(live(), 4);
	/* Never written is a hole, too. */
	must(&s, rec_range(NEXUS_REC_PUNCH, 22, 22, 0, 3, 0));
	must(&s, rec_range(NEXUS_REC_RESERVE, 22, 22, 0, 3, 0));
	must(&s, rec_share(22, 22, 0, 3));
	must(&s, rec_clone(&(struct clone_args) {
		.src = 22, .src_id = 22, .ino = 21, .id = 21, .nblocks = 3 }));
	assert_int_equal(blocks_of(21), 0);
}

/* The windows of source and destination lie apart; neighbours join again. */
static void test_windows(void **state)
{
	u32 records;

	(void)state;
	write_at(20, 0, 100, 256);
	write_at(20, 256, 356, 256);
	clone(20, 0, 21, 100, 512);
	assert_int_equal(mapped(21, 0, 700, &records), 512);
	assert_int_equal(records, 3);
	clone(20, 10, 22, 0, 100);
	clone(20, 110, 22, 100, 100);
	assert_int_equal(mapped(22, 0, 700, &records), 200);
	assert_int_equal(records, 1);
	drop(20);
	drop(22);
	assert_int_equal(live(), 512);
	must(&s, rec_truncate(21, 21, 0, 0, 0, 0));
	assert_int_equal(live(), 0);
}

/* One body twice in a file, cut, overwritten and dropped with one record each. */
static void test_same_file(void **state)
{
	(void)state;
	write_at(20, 0, 100, 8);
	clone(20, 0, 20, 8, 8);
	assert_int_equal(live(), 8);
	assert_int_equal(blocks_of(20), 16);
	/* The extent is the source's end and the destination's beginning. */
	clone(20, 2, 20, 5, 3);
	assert_int_equal(blocks_of(20), 16);
	assert_int_equal(live(), 8);
	/* Over both copies of 100..103 at once. */
	write_at(20, 0, 300, 12);
	assert_int_equal(live(), 4 + 12);
	drop(20);
	assert_int_equal(live(), 0);

	write_at(21, 0, 100, 8);
	clone(21, 0, 21, 8, 8);
	clone(21, 0, 21, 16, 16);
	must(&s, rec_truncate(21, 21, 0, 12 << NEXUS_BLOCK_SHIFT, 0, 0));
	assert_int_equal(live(), 8);
	must(&s, rec_truncate(21, 21, 0, 6 << NEXUS_BLOCK_SHIFT, 0, 0));
	assert_int_equal(live(), 6);
	must(&s, rec_truncate(21, 21, 0, (2 << NEXUS_BLOCK_SHIFT) + 1, PACK, 400));
	assert_int_equal(live(), 3);
}

static void test_overwrite(void **state)
{
	u32 records;

	(void)state;
	write_at(20, 0, 100, 20);
	clone(20, 0, 21, 0, 20);
	/* In the middle of one: the other still has it. */
	write_at(21, 5, 300, 3);
	assert_int_equal(mapped(21, 0, 20, &records), 20);
	assert_int_equal(records, 3);
	assert_int_equal(refs(), 3);
	assert_int_equal(live(), 23);
	/* The shared blocks again, in the place of the private ones: one extent. */
	clone(20, 5, 21, 5, 3);
	assert_int_equal(mapped(21, 0, 20, &records), 20);
	assert_int_equal(records, 2);
	assert_int_equal(live(), 20);
	write_at(21, 5, 300, 3);
	/* And now in both. */
	write_at(20, 4, 310, 3);
	assert_int_equal(live(), 20 - 2 + 3 + 3);
	/* Private blocks do not join shared ones, though they lie behind them. */
	write_at(22, 0, 500, 4);
	clone(22, 0, 23, 0, 4);
	write_at(22, 4, 504, 2);
	assert_int_equal(mapped(22, 0, 6, &records), 6);
	assert_int_equal(records, 2);
	/* A cut in the middle, and one with a new tail. */
	must(&s, rec_truncate(21, 21, 0, 10 << NEXUS_BLOCK_SHIFT, 0, 0));
	must(&s, rec_truncate(20, 20, 0, (10 << NEXUS_BLOCK_SHIFT) - 9, PACK, 600));
	live();
	assert_int_equal(store_problems(&s, true), 0);
}

/*
 * A body that was given away in steps, by two orphans that share it.
 * Scenarios B14, E9.
 */
static void test_bulk(void **state)
{
	u32 i;

	(void)state;
	/* Every second block: each is an extent. */
	for (i = 0; i < 40; i++)
		write_at(20, i * 2, 100 + i * 3, 1);
	clone(20, 0, 21, 0, 80);
	clone(20, 0, 21, 100, 80);
	assert_int_equal(live(), 40);
	must(&s, rec_truncate(21, 21, 50, 0, 0, 0));
	must(&s, rec_unlink(1, 3, 20, "a"));
	must(&s, rec_forget(20, 20, 10));
	assert_int_equal(live(), 40);
	for (i = 0; i < 7; i++)
		must(&s, rec_bulk(21, 10));
	/* The last ten of the second copies are left, and of the first file thirty. */
	assert_int_equal(live(), 30);
	must(&s, rec_bulk(20, 25));
	assert_int_equal(live(), 10);
	must(&s, rec_bulk(20, 25));
	assert_int_equal(live(), 10);
	must(&s, rec_bulk(21, 100));
	assert_int_equal(live(), 0);
	assert_int_equal(refs(), 0);
}

/* A pack with nothing but references is in use; then it may go. */
static void test_pack(void **state)
{
	(void)state;
	write_at(20, 0, 100, 4);
	clone(20, 1, 21, 0, 2);
	drop(20);
	must(&s, rec_pack(PACK, NEXUS_PACK_SEALED, 104));
	refused(&s, rec_pack(PACK, 0, 0), "removed pack is in use");
	drop(21);
	must(&s, rec_pack(PACK, 0, 0));
}

/* Short references between long ones, and the longest that begins elsewhere. */
static void test_cover(void **state)
{
	u32 i;

	(void)state;
	write_at(20, 0, 100, 256);
	clone(20, 0, 21, 0, 256);
	for (i = 0; i < 200; i++)
		clone(20, i, 22, 2 * i, 1 + i % 2);
	drop(20);
	assert_int_equal(live(), 256);
	/* Of 21 only the last block; 22 has 200 from the first on, and one more. */
	must(&s, rec_extent(21, 21, 0, 0, 6, 1, 255, 0));
	assert_int_equal(live(), 202);
	drop(22);
	assert_int_equal(live(), 1);
	drop(21);
	assert_int_equal(live(), 0);
}

/* ---- at random -------------------------------------------------------- */

#define BLOCKS	560u

static u32 next_block;
static u64 ids[FILES], next_id, bulk[16];

static void random_extent(u32 f)
{
	u32 at = rnd(BLOCKS), n = 1 + (rnd(5) ? rnd(5) : rnd(256));

	n = NEXUS_MIN(n, BLOCKS - at);
	must(&s, rec_extent(20 + f, ids[f], at, 0, PACK, next_block, n, 0));
	next_block += n + rnd(2);
}

static void random_clone(u32 f)
{
	u32 g = rnd(3) ? rnd(FILES) : f, from = rnd(BLOCKS), to = rnd(BLOCKS);
	u32 n = 1 + (rnd(4) ? rnd(9) : rnd(BLOCKS));

	n = NEXUS_MIN(n, BLOCKS - NEXUS_MAX(from, to));
	if (f == g && (from > to ? from - to : to - from) < n)
		n = NEXUS_MAX(from, to) - NEXUS_MIN(from, to);
	if (n)
		clone_ids(20 + f, ids[f], from, 20 + g, ids[g], to, n);
}

static void random_truncate(u32 f)
{
	u64 size = (u64)rnd(BLOCKS) << NEXUS_BLOCK_SHIFT;
	u32 i;

	if (rnd(3)) {
		must(&s, rec_truncate(20 + f, ids[f], 0, size + 1, PACK, next_block++));
		return;
	}
	for (i = 0; i < 16 && bulk[i]; i++)
		;
	if (i == 16)
		return;
	if (le64_to_cpu(store_inode(&s, 20 + f)->blocks))
		bulk[i] = ids[f];
	must(&s, rec_truncate(20 + f, ids[f], next_id, 0, 0, 0));
	ids[f] = next_id++;
}

static void random_bulk(void)
{
	u32 i = rnd(16);
	struct nexus_key k;

	if (!bulk[i])
		return;
	must(&s, rec_bulk(bulk[i], 1 + rnd(60)));
	nexus_key_orphan(&k, bulk[i]);
	if (!store_get(&s, &k, NULL))
		bulk[i] = 0;
}

static void test_random(void **state)
{
	u32 i, f, most = 0;

	(void)state;
	seed_init(31);
	for (f = 0; f < FILES; f++)
		ids[f] = 20 + f;
	next_id = 100;
	next_block = 1;
	for (i = 0; i < 6000; i++) {
		f = rnd(FILES);
		switch (rnd(8)) {
		case 0:
		case 1:
			random_extent(f);
			break;
		case 2:
			if (!rnd(4))
				random_truncate(f);
			break;
		case 3:
			random_bulk();
			break;
		default:
			random_clone(f);
		}
		live();
		most = NEXUS_MAX(most, refs());
		if (i % 50 == 0)
			assert_int_equal(store_problems(&s, true), 0);
	}
	printf("# up to %u references\n", most);
	assert_true(most > 200);
	for (f = 0; f < FILES; f++)
		must(&s, rec_truncate(20 + f, ids[f], 0, 0, 0, 0));
	for (i = 0; i < 16; i++)
		if (bulk[i])
			must(&s, rec_bulk(bulk[i], ~0u));
	assert_int_equal(live(), 0);
	assert_int_equal(refs(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_share), T(test_every_order), T(test_clone), T(test_windows),
		T(test_same_file), T(test_overwrite), T(test_bulk), T(test_pack),
		T(test_cover), T(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
