// SPDX-License-Identifier: Apache-2.0
/*
 * Content in the log: what a DATA record does to the index, and which records end
 * what it says.  Scenario E1.
 */
#include "lib/logdata.h"
#include "records.h"

static struct nexus_logdata d;
static u64 lsn;

static int setup(void **state)
{
	(void)state;
	nexus_logdata_init(&d);
	lsn = 4096;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nexus_logdata_destroy(&d);
	assert_int_equal(d.blocks.count + d.order.count, 0);
	return 0;
}

/* DATA of @len bytes from file block @at on. */
static void *data(u64 data_id, u64 at, u32 len)
{
	static char bytes[NEXUS_DATA_BLOCKS_MAX * NEXUS_BLOCK_SIZE + 1];

	memset(bytes, 'd', sizeof(bytes) - 1);
	bytes[len] = '\0';
	return rec_data(data_id, data_id, at * NEXUS_BLOCK_SIZE, bytes);
}

/* The LSN of the record. */
static u64 feed(void *rec)
{
	struct nexus_rec_head *head = rec;
	u64 at = lsn;

	head->lsn = cpu_to_le64(lsn);
	assert_int_equal(nexus_rec_check(head, le32_to_cpu(head->len)), 0);
	assert_int_equal(nexus_logdata_feed(&d, head), 0);
	lsn += le32_to_cpu(head->len);
	return at;
}

/* Bytes of a block that are in force; 0: none. */
static u32 of(u64 data_id, u64 at)
{
	struct nexus_logdata_block b;

	if (!nexus_logdata_find(&d, data_id, at, &b))
		return 0;
	assert_int_equal(b.ino, data_id);
	return b.len;
}

static void test_order(void **state)
{
	u64 first, second, third;

	(void)state;
	assert_int_equal(nexus_logdata_low(&d), 0);
	first = feed(data(20, 0, 4096 + 100));
	second = feed(data(21, 5, 4096));
	third = feed(data(20, 0, 50));
	assert_int_equal(of(20, 0), 50);
	assert_int_equal(of(20, 1), 100);
	assert_int_equal(of(20, 2), 0);
	assert_int_equal(nexus_logdata_count(&d), 3);
	/* The rest of the first record is still needed. */
	assert_int_equal(nexus_logdata_low(&d), first);
	feed(rec_extent(20, 20, 1, 8192, 5, 1, 1, 0));
	assert_int_equal(nexus_logdata_low(&d), second);
	feed(rec_extent(21, 21, 0, 32768, 5, 1, 8, 0));
	assert_int_equal(nexus_logdata_low(&d), third);
	feed(rec_forget(20, 20, 100));
	assert_int_equal(nexus_logdata_low(&d), 0);
	assert_int_equal(nexus_logdata_count(&d), 0);
}

/* Which records end it, to the block, and which do not.  Scenario E1. */
static void test_rules(void **state)
{
	struct clone_args from = { .src = 20, .src_id = 20, .from = 0, .ino = 21, .id = 21,
				   .to = 0, .nblocks = 8, .size = 100 };
	struct clone_args to = { .src = 21, .src_id = 21, .from = 0, .ino = 20, .id = 20,
				 .to = 2, .nblocks = 1, .size = 100 };
	struct move_args mv = { .ino = 20, .id = 20, .at = 0, .from_pack = 5, .to_pack = 6,
				.from_block = 1, .to_block = 1, .nblocks = 8 };
	const struct {
		void *rec;
		u32 len[5];	/* bytes of blocks 0 to 4 that are left */
	} rules[] = {
#define WHOLE	4096, 4096, 4096, 4096, 50
		{ NULL, { WHOLE } },
#define RULE(r, ...)	{ memcpy(malloc(le32_to_cpu(((struct nexus_rec_head *)(r))->len)), \
				 r, le32_to_cpu(((struct nexus_rec_head *)(r))->len)), \
			  { __VA_ARGS__ } }
		RULE(rec_extent(20, 20, 1, 4096, 5, 1, 2, 0), 4096, 0, 0, 4096, 50),
		RULE(rec_extent(20, 99, 0, 4096, 5, 1, 5, 0), WHOLE),
		RULE(rec_extent(20, 20, 5, 4096, 5, 1, 5, 0), WHOLE),
		RULE(rec_truncate(20, 20, 0, 0, 0, 0), 0),
		RULE(rec_truncate(20, 20, 30, 0, 0, 0), 0),
		RULE(rec_truncate(20, 20, 0, 2 * 4096, 0, 0), 4096, 4096),
		RULE(rec_truncate(20, 20, 0, 2 * 4096 + 7, 0, 0), 4096, 4096, 7),
		/* The block in which it was cut is in a pack. */
		RULE(rec_truncate(20, 20, 0, 2 * 4096 + 7, 5, 1), 4096, 4096),
		RULE(rec_truncate(20, 20, 0, 4 * 4096 + 50, 0, 0), WHOLE),
		RULE(rec_truncate(20, 20, 0, 9 * 4096 + 50, 0, 0), WHOLE),
		RULE(rec_range(NEXUS_REC_PUNCH, 20, 20, 3, 9, 0), 4096, 4096, 4096),
		RULE(rec_range(NEXUS_REC_RESERVE, 20, 20, 0, 9, 0), WHOLE),
		RULE(rec_clone(&to), 4096, 4096, 0, 4096, 50),
		RULE(rec_clone(&from), WHOLE),
		RULE(rec_share(20, 20, 0, 9), WHOLE),
		RULE(rec_move(&mv), WHOLE),
		RULE(rec_inline(20, 20, "abc", 3), 0),
		RULE(rec_forget(20, 20, 9), 0),
		RULE(rec_bulk(20, 9), WHOLE),
		RULE(rec_setattr(20, NEXUS_SA_UID, 0, 5, 0, 0), WHOLE),
		RULE(rec_unlink(1, 3, 20, "f"), WHOLE),
		RULE(rec_nop(), WHOLE),
	};
	size_t i;
	u32 b;

	(void)state;
	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		feed(data(20, 0, 4 * 4096 + 50));
		feed(data(19, 0, 5 * 4096));
		feed(data(22, 0, 5 * 4096));
		if (rules[i].rec)
			feed(rules[i].rec);
		for (b = 0; b < 5; b++) {
			if (of(20, b) != rules[i].len[b])
				print_message("rule %zu, block %u\n", i, b);
			assert_int_equal(of(20, b), rules[i].len[b]);
			/* Of that file alone. */
			assert_int_equal(of(19, b), 4096);
			assert_int_equal(of(22, b), 4096);
		}
		free(rules[i].rec);
		nexus_logdata_destroy(&d);
	}
}

#define FILES	3u
#define BLOCKS	8u

/* Any records, beside the same told simply; and any stretch of them a second time. */
static void test_random(void **state)
{
	struct simple { u64 lsn; u32 len; } m[FILES][BLOCKS], *b;
	u64 seed = seed_init(77), low;
	u32 round, i, f, at, n, again;
	void *rec;

	(void)state;
	memset(m, 0, sizeof(m));
	for (round = 0; round < 20000; round++) {
		f = rnd(FILES);
		at = rnd(BLOCKS);
		n = 1 + rnd(BLOCKS - at);
		b = m[f];
		switch (rnd(6)) {
		case 0:
			rec = rec_extent(f + 1, f + 1, at, 1, 5, 1, n, 0);
			memset(&b[at], 0, n * sizeof(*b));
			break;
		case 1:
			rec = rec_range(NEXUS_REC_PUNCH, f + 1, f + 1, at, n, 0);
			memset(&b[at], 0, n * sizeof(*b));
			break;
		case 2:
			n = rnd(4096);
			rec = rec_truncate(f + 1, f + 1, 0, at * 4096ull + n, 0, 0);
			b[at].len = NEXUS_MIN(b[at].len, n);
			memset(&b[at + 1], 0, (BLOCKS - at - 1) * sizeof(*b));
			break;
		default:
			i = rnd(4096);
			rec = data(f + 1, at, n * 4096 - i);
			for (; n; n--, at++)
				b[at] = (struct simple){ lsn, n == 1 ? 4096 - i : 4096 };
		}
		again = rnd(3);
		feed(rec);
		if (!again) {
			lsn = le64_to_cpu(((struct nexus_rec_head *)rec)->lsn);
			feed(rec);
		}
		for (low = 0, f = 0; f < FILES; f++) {
			for (i = 0; i < BLOCKS; i++) {
				b = &m[f][i];
				if (of(f + 1, i) != b->len)
					print_message("seed %llu, round %u\n", seed, round);
				assert_int_equal(of(f + 1, i), b->len);
				if (b->len && (!low || b->lsn < low))
					low = b->lsn;
			}
		}
		assert_int_equal(nexus_logdata_low(&d), low);
		assert_int_equal(d.blocks.count, d.order.count);
	}
}

/* Size and times are in the index at once, the bytes never. */
static void test_apply(void **state)
{
	struct create_args a = { .parent = 1, .pos = 4, .ino = 21, .data_id = 21, .name = "g",
				 .mode = S_IFREG | 0644, .iflags = NEXUS_IF_INLINE,
				 .content = "inline", .contentlen = 6 };
	struct nexus_inode_val before, after;
	struct store s;

	(void)state;
	store_mkfs(&s);
	must(&s, rec_mk(1, 3, 20, "f", S_IFREG | 0644));
	must(&s, rec_extent(20, 20, 0, 4096, 5, 1, 1, 0));
	before = *store_inode(&s, 20);
	must(&s, data(20, 1, 100));
	after = *store_inode(&s, 20);
	assert_int_equal(le64_to_cpu(after.size), 4196);
	assert_int_equal(le64_to_cpu(after.disk_size), 4096);
	assert_int_equal(le64_to_cpu(after.blocks), 1);
	assert_int_equal(le64_to_cpu(after.mtime_s), NOW.s);
	assert_int_equal(le64_to_cpu(after.ctime_s), NOW.s);
	assert_int_equal(le64_to_cpu(after.version), le64_to_cpu(before.version) + 1);
	assert_int_equal(le64_to_cpu(after.gen), le64_to_cpu(before.gen) + 1);
	/* No file gets shorter by it. */
	must(&s, data(20, 0, 100));
	assert_int_equal(le64_to_cpu(store_inode(&s, 20)->size), 4196);
	assert_int_equal(store_problems(&s, true), 0);
	refused(&s, rec_data(20, 99, 0, "x"), "inode has another data id");
	refused(&s, rec_data(1, 1, 0, "x"), "content of no regular file");
	must(&s, rec_create(&a));
	refused(&s, rec_data(21, 21, 0, "x"), "content in the log beside an inline body");
	assert_int_equal(store_problems(&s, true), 0);
	store_destroy(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_apply, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
