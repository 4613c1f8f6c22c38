// SPDX-License-Identifier: Apache-2.0
/*
 * Mutated bytes against every check, under the sanitizers.  A record that passes
 * its check is applied, too: whatever it asks for, the store stays consistent or
 * untouched.
 */
#include "records.h"

#define ROUNDS 150000
#define SAMPLES 29u

static struct store s;

static int setup(void **state)
{
	(void)state;
	store_mkfs(&s);
	must(&s, rec_mk(1, 3, 20, "dir", S_IFDIR | 0755));
	must(&s, rec_mk(1, 4, 21, "file", S_IFREG | 0644));
	must(&s, rec_mk(20, 3, 22, "in", S_IFREG | 0644));
	must(&s, rec_link(1, 5, 22, "hard"));
	must(&s, rec_extent(21, 21, 0, 8192, 5, 1, 200, 0));
	must(&s, rec_extent(21, 21, 300, 8192, 5, 300, 2, 0));
	must(&s, rec_range(NEXUS_REC_RESERVE, 21, 21, 250, 20, 0));
	must(&s, rec_setxattr(21, "user.a", "value", 0));
	must(&s, rec_setting(5, "/a/b", "value"));
	must(&s, rec_mk(0, 0, 23, NULL, S_IFREG | 0600));
	must(&s, rec_mk(1, 8, 24, "shared", S_IFREG | 0644));
	must(&s, rec_extent(24, 24, 0, 8192, 6, 1, 20, 0));
	must(&s, rec_share(24, 24, 0, 20));
	must(&s, rec_clone(&(struct clone_args) {
		.src = 24, .src_id = 24, .ino = 22, .id = 22, .to = 250, .nblocks = 20,
		.mapped = 20 }));
	must(&s, rec_lease(&(struct lease_args) {
		.ino = 21, .op = NEXUS_LEASE_TAKE, .id = 1, .now = 1000, .ttl = 9, .max = 3 }));
	must(&s, rec_lease(&(struct lease_args) {
		.ino = 21, .op = NEXUS_LEASE_TAKE, .id = 2, .now = 1000, .ttl = 99, .max = 3 }));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_destroy(&s);
	return 0;
}

static void *sample(u32 i)
{
	struct create_args a = {
		.parent = 1, .pos = 9, .ino = 30, .data_id = 30, .name = "new",
		.mode = S_IFREG | 0644, .content = "abc", .contentlen = 3,
		.xname = "user.a", .xval = "v",
	};

	switch (i) {
	case 0: return rec_create(&a);
	case 1: return rec_link(1, 9, 21, "new");
	case 2: return rec_unlink(1, 4, 21, "file");
	case 3: return rec_rename(1, 4, 21, "file", 20, 9, 0, "new", 0);
	case 4: return rec_rename(1, 4, 21, "file", 20, 3, 22, "in", 1);
	case 5: return rec_setattr(21, 7, 0644, 1, 2, 3);
	case 6: return rec_truncate(21, 21, 0, 5000, 7, 1);
	case 7: return rec_truncate(21, 21, 40, 0, 0, 0);
	case 8: return rec_extent(21, 21, 250, 4096, 5, 400, 20, 0);
	case 9: return rec_setxattr(21, "user.a", "w", 0);
	case 10: return rec_removexattr(21, "user.a");
	case 11: return rec_forget(23, 23, 5);
	case 12: return rec_bulk(40, 5);
	case 13: return rec_pack(5, NEXUS_PACK_SEALED, 400);
	case 14: return rec_setting(5, "/a/b", "x");
	case 15: return rec_quota(1, 0, 5, 5);
	case 16: return rec_data(21, 21, 0, "bytes");
	case 17: return rec_share(21, 21, 0, 20);
	case 18: return rec_clone(&(struct clone_args) {
		.src = 24, .src_id = 24, .from = 2, .ino = 21, .id = 21, .to = 4,
		.nblocks = 8, .mapped = 8, .size = 9000 });
	case 19: return rec_clone(&(struct clone_args) {
		.src = 22, .src_id = 22, .from = 252, .ino = 22, .id = 22,
		.to = 200, .nblocks = 30, .mapped = 18 });
	case 20: return rec_extent(22, 22, 252, 4096, 7, 400, 20, 0);
	case 21: return rec_range(NEXUS_REC_PUNCH, 21, 21, 190, 120, 0);
	case 22: return rec_range(NEXUS_REC_RESERVE, 21, 21, 190, 400, 5000);
	case 23: return rec_move(&(struct move_args) {
		.ino = 22, .id = 22, .at = 200, .from_pack = 5, .from_block = 400,
		.to_pack = 8, .to_block = 20, .nblocks = 60 });
	case 24: return rec_inline(30, 30, "tiny", 4);
	case 25: return rec_inline(21, 21, "tiny", 4);
	case 26: return rec_lease(&(struct lease_args) {
		.ino = 21, .op = NEXUS_LEASE_TAKE, .id = 3, .now = 1001, .ttl = 9, .max = 3 });
	case 27: return rec_lease(&(struct lease_args) {
		.ino = 21, .op = NEXUS_LEASE_DROP, .id = 2, .now = 1020 });
	default: return rec_nop();
	}
}

static void mutate(u8 *p, size_t len)
{
	u32 i, n = 1 + rnd(rnd(4) ? 2 : 12);

	for (i = 0; i < n; i++) {
		size_t at = rnd(2) ? rnd((u32)len) : rnd((u32)NEXUS_MIN(len, (size_t)128));
		static const u8 odd[] = { 0, 1, 2, 0x7f, 0x80, 0xff, '/', '.' };

		switch (rnd(3)) {
		case 0:
			p[at] ^= (u8)(1u << rnd(8));
			break;
		case 1:
			p[at] = odd[rnd(sizeof(odd))];
			break;
		default:
			memset(p + at, rnd(2) ? 0xff : 0, NEXUS_MIN(len - at, (size_t)8));
		}
	}
}

static void test_records(void **state)
{
	u32 i, passed = 0, applied = 0;

	(void)state;
	seed_init(21);
	for (i = 0; i < ROUNDS; i++) {
		struct nexus_rec_head *good = sample(rnd(SAMPLES));
		u32 len = le32_to_cpu(good->len);
		u8 *copy = malloc(len);	/* of that very size, for ASan */
		struct store t;
		int ret;

		memcpy(copy, good, len);
		mutate(copy, len);
		if (nexus_rec_check((void *)copy, rnd(50) ? len : rnd(len))) {
			free(copy);
			continue;
		}
		passed++;
		if (passed % 16 == 0) {
			store_copy(&t, &s);
			ret = nexus_apply(&t.kv, (void *)copy, NULL);
			assert_true(ret == 0 || (ret == -EUCLEAN && !t.writes));
			applied += !ret;
			/*
			 * CREATE may name a data id that is in use, EXTENT and
			 * TRUNCATE blocks: not the tree's matter.
			 */
			if (!ret && copy[4] != NEXUS_REC_CREATE &&
			    copy[4] != NEXUS_REC_EXTENT && copy[4] != NEXUS_REC_TRUNCATE)
				assert_int_equal(store_problems(&t, true), 0);
			store_destroy(&t);
		}
		free(copy);
	}
	printf("# %u of %u mutants well-formed, %u applied\n", passed, i, applied);
	assert_true(passed > 1000 && applied > 100);
}

static void test_batches(void **state)
{
	u32 i, j, whole = 0;

	(void)state;
	seed_init(22);
	for (i = 0; i < ROUNDS; i++) {
		static u8 buf[4096] __attribute__((aligned(8)));
		struct nexus_batch_head *h = (void *)buf;
		size_t at = sizeof(*h);
		u8 zone[16], *copy;

		memset(buf, 0, sizeof(*h));
		memset(zone, 9, 16);
		memset(h->zone, 9, 16);
		h->magic = cpu_to_le64(NEXUS_BATCH_MAGIC);
		h->version = cpu_to_le32(1);
		h->head_len = cpu_to_le32(sizeof(*h));
		h->count = cpu_to_le32(3);
		for (j = 0; j < 3; j++) {
			struct nexus_rec_head *r = sample(rnd(SAMPLES));

			r->lsn = cpu_to_le64(at - sizeof(*h));
			memcpy(buf + at, r, le32_to_cpu(r->len));
			at += le32_to_cpu(r->len);
		}
		h->length = cpu_to_le32((u32)(at - sizeof(*h)));
		copy = malloc(at);
		memcpy(copy, buf, at);
		if (rnd(20))
			mutate(copy, at);
		h = (void *)copy;
		/* Mostly a right CRC, or nothing behind it is ever reached. */
		if (rnd(10) && le32_to_cpu(h->length) <= at - sizeof(*h))
			h->crc = cpu_to_le32(nexus_batch_crc(h, copy + sizeof(*h)));
		whole += !nexus_batch_check(copy, at, zone);
		free(copy);
	}
	printf("# %u of %u batches whole\n", whole, i);
	assert_true(whole > 1000 && whole < ROUNDS / 2);
}

static void test_replies(void **state)
{
	static const struct { u32 op; u64 ino, arg0, arg1; const char *name; } ops[] = {
		{ NEXUS_OP_LOOKUP, 1, 0, 0, "dir" },
		{ NEXUS_OP_LOOKUP, 1, 0, 0, "file" },
		{ NEXUS_OP_GETATTR, 22, 0, 0, NULL },
		{ NEXUS_OP_LIST, 1, 0, 0, NULL },
		{ NEXUS_OP_LIST, 1, 3, 5, NULL },
		{ NEXUS_OP_EXTENTS, 21, 21, 4096, NULL },
		{ NEXUS_OP_GETXATTR, 21, 0, 0, "user.a" },
		{ NEXUS_OP_LISTXATTR, 21, 0, 0, NULL },
		{ NEXUS_OP_GETNAME, 22, 0, 0, NULL },
		{ NEXUS_OP_SETTINGS, 0, 0, 0, NULL },
		{ NEXUS_OP_STATFS, 0, 0, 0, NULL },
		{ NEXUS_OP_LEASES, 0, 0, 0, NULL },
		{ NEXUS_OP_QUOTA, 0, NEXUS_QUOTA_USER | NEXUS_QUOTA_NEXT, 0, NULL },
	};
	static u8 out[NEXUS_REPLY_DATA_MAX] __attribute__((aligned(8)));
	u32 i, passed = 0;

	(void)state;
	seed_init(23);
	for (i = 0; i < ROUNDS; i++) {
		u32 o = rnd(sizeof(ops) / sizeof(ops[0]));
		struct nexus_request req = {
			.op = ops[o].op, .ino = ops[o].ino, .arg0 = ops[o].arg0,
			.arg1 = ops[o].arg1, .reply_max = NEXUS_REPLY_DATA_MAX,
		};
		int len = do_read(&s, ops[o].op, ops[o].ino, ops[o].arg0,
				  ops[o].arg1, ops[o].name, out);
		const char *field;
		size_t n;
		u8 *copy;

		assert_true(len > 0);
		n = rnd(10) ? (size_t)len : rnd((u32)len + 1);
		copy = malloc(n ? n : 1);
		memcpy(copy, out, n);
		if (n)
			mutate(copy, n);
		passed += !nexus_reply_check(&req, copy, n, &field);
		free(copy);
	}
	printf("# %u of %u mutants passed\n", passed, i);
	assert_true(passed > 100 && passed < ROUNDS);
}

/* Damaged stores: reads and the check end, with an error or without. */
static void test_stores(void **state)
{
	static u8 out[NEXUS_REPLY_DATA_MAX] __attribute__((aligned(8)));
	const struct nexus_omap_entry *e;
	u32 i, op;

	(void)state;
	seed_init(24);
	for (i = 0; i < 4000; i++) {
		struct store t;
		u32 skip;

		store_copy(&t, &s);
		e = nexus_omap_lower(&t.map, "", 0, false);
		for (skip = rnd((u32)t.map.count); skip; skip--)
			e = nexus_omap_lower(&t.map, e->data, e->klen, true);
		mutate((u8 *)nexus_omap_val(e), e->vlen);
		/* With a right CRC, or the CRC is all that is tested. */
		if (rnd(4)) {
			static u64 val[128];

			assert_true(e->vlen <= sizeof(val));
			memcpy(val, nexus_omap_val(e), e->vlen);
			nexus_val_seal(val, e->vlen, e->data[0]);
			memcpy((u8 *)nexus_omap_val(e), val, e->vlen);
		}
		for (op = NEXUS_OP_LOOKUP; op <= NEXUS_OP_LEASES; op++) {
			struct nexus_request req = {
				.op = op, .ino = 1 + rnd(24), .arg0 = rnd(30), .len = 4,
				.reply_max = NEXUS_REPLY_DATA_MAX,
			};

			assert_true(nexus_read(&t.kv, &req, "file", out,
					       sizeof(out)) <= (int)sizeof(out));
		}
		assert_true(store_problems(&t, false) >= 0);
		if (nexus_apply(&t.kv, sample(rnd(SAMPLES)), NULL))
			assert_true(t.writes == 0);
		store_destroy(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_records), T(test_batches), T(test_replies), T(test_stores),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
