// SPDX-License-Identifier: Apache-2.0
/* Leases: what LEASE records make of who holds them, and what is damaged. */
#include "records.h"
#include "lib/lease.h"
#include "lib/repair.h"

#define FILE_MODE (S_IFREG | 0644)
#define DIR_MODE (S_IFDIR | 0755)
#define S(n) ((u64)(n) * 1000000000)

static struct store s;

static int setup(void **state)
{
	(void)state;
	store_mkfs(&s);
	must(&s, rec_mk(1, 3, 20, "f", FILE_MODE));
	must(&s, rec_mk(1, 4, 21, "d", DIR_MODE));
	return 0;
}

static int teardown(void **state)
{
	s64 problems = store_problems(&s, true);

	(void)state;
	store_destroy(&s);
	return problems != 0;
}

static u64 lsn = 5000;

static void *rec(u32 op, u64 ino, u8 id, u64 now, u32 ttl, u32 max)
{
	lsn += 200;
	return rec_lease(&(struct lease_args) {
		.ino = ino, .op = op, .id = id, .now = now, .ttl = ttl, .max = max,
		.lsn = lsn });
}

static void *take(u64 ino, u8 id, u64 now, u32 ttl, u32 max)
{
	return rec(NEXUS_LEASE_TAKE, ino, id, now, ttl, max);
}

static void *extend(u64 ino, u8 id, u64 now, u32 ttl)
{
	return rec(NEXUS_LEASE_EXTEND, ino, id, now, ttl, 0);
}

static void *drop(u64 ino, u8 id, u64 now)
{
	return rec(NEXUS_LEASE_DROP, ino, id, now, 0, 0);
}

/* A copy, good until the next one. */
static const struct nexus_lease_val *lease(u64 ino)
{
	static u64 copy[NEXUS_VALUE_MAX / 8];
	struct nexus_key k;
	size_t len;
	const void *v;

	nexus_key_lease(&k, ino);
	v = store_get(&s, &k, &len);
	if (!v)
		return NULL;
	memcpy(copy, v, len);
	assert_true(nexus_lease_val_ok((const void *)copy, len));
	return (const void *)copy;
}

static u32 count(u64 ino)
{
	return lease(ino) ? le32_to_cpu(lease(ino)->count) : 0;
}

#define FULL "lease is held by as many as may"
#define OTHER "lease is held with another number of holders"
#define NOT_HELD "lease is not held by that one"

static void test_mutex(void **state)
{
	const struct nexus_lease_val *v;

	(void)state;
	must(&s, take(20, 1, 100, 10, 1));
	v = lease(20);
	assert_int_equal(le32_to_cpu(v->count), 1);
	assert_int_equal(le32_to_cpu(v->max_holders), 1);
	assert_true(le64_to_cpu(v->now) == S(100));
	assert_true(le64_to_cpu(v->holder[0].acquired) == S(100));
	assert_true(le64_to_cpu(v->holder[0].expires) == S(110));
	assert_true(le64_to_cpu(v->holder[0].token) == lsn);
	assert_string_equal((const char *)v->holder[0].name, "holder");
	refused(&s, take(20, 2, 109, 10, 1), FULL);
	/* Of another inode, nobody is in the way. */
	must(&s, take(21, 2, 100, 10, 1));
	must(&s, drop(20, 1, 101));
	assert_null(lease(20));
	must(&s, take(20, 2, 101, 10, 1));
}

static void test_semaphore(void **state)
{
	u32 i;

	(void)state;
	for (i = 1; i <= NEXUS_LEASE_HOLDERS_MAX; i++)
		must(&s, take(21, (u8)i, 100 + i, 1000, NEXUS_LEASE_HOLDERS_MAX));
	refused(&s, take(21, 200, 300, 5, NEXUS_LEASE_HOLDERS_MAX), FULL);
	refused(&s, take(21, 200, 300, 5, 2), OTHER);
	/* Also when it is one's own. */
	refused(&s, take(21, 5, 300, 5, 2), OTHER);
	must(&s, drop(21, 7, 300));
	assert_int_equal(count(21), NEXUS_LEASE_HOLDERS_MAX - 1);
	assert_int_equal(nexus_lease_find(lease(21), (u8[16]){ 7 }, S(300)), -1);
	assert_int_equal(nexus_lease_find(lease(21), (u8[16]){ 8 }, S(300)), 6);
	must(&s, take(21, 200, 300, 5, NEXUS_LEASE_HOLDERS_MAX));
	refused(&s, take(21, 201, 304, 5, NEXUS_LEASE_HOLDERS_MAX), FULL);
}

/* Who has it already gets time, and is the same holder with the same token. */
static void test_again(void **state)
{
	const struct nexus_lease_val *v;
	u64 token;

	(void)state;
	must(&s, take(20, 1, 100, 10, 2));
	token = lsn;
	must(&s, take(20, 1, 105, 10, 2));
	v = lease(20);
	assert_int_equal(le32_to_cpu(v->count), 1);
	assert_true(le64_to_cpu(v->holder[0].expires) == S(115));
	assert_true(le64_to_cpu(v->holder[0].acquired) == S(100));
	assert_true(le64_to_cpu(v->holder[0].token) == token);
	must(&s, extend(20, 1, 106, 1));
	v = lease(20);
	assert_true(le64_to_cpu(v->holder[0].expires) == S(107));
	assert_true(le64_to_cpu(v->holder[0].token) == token);
	refused(&s, extend(20, 2, 106, 1), NOT_HELD);
	refused(&s, extend(20, 1, 107, 1), NOT_HELD);
	/* It is over: whoever comes now is new. */
	must(&s, take(20, 1, 107, 1, 2));
	assert_true(le64_to_cpu(lease(20)->holder[0].token) == lsn);
}

static void test_expiry(void **state)
{
	u64 token, next;

	(void)state;
	must(&s, take(20, 1, 100, 10, 2));
	must(&s, take(20, 2, 100, 20, 2));
	token = lsn;
	assert_int_equal(nexus_lease_live(lease(20), S(109), &next), 2);
	assert_true(next == S(110));
	assert_int_equal(nexus_lease_live(lease(20), S(110), &next), 1);
	assert_true(next == S(120));
	assert_int_equal(nexus_lease_live(lease(20), S(120), &next), 0);
	assert_true(next == U64_MAX);
	assert_int_equal(nexus_lease_find_token(lease(20), token, S(119)), 1);
	assert_int_equal(nexus_lease_find_token(lease(20), token, S(120)), -1);
	assert_int_equal(nexus_lease_find_token(lease(20), 77, S(119)), -1);
	refused(&s, take(20, 3, 109, 10, 2), FULL);
	must(&s, take(20, 3, 110, 10, 2));
	assert_int_equal(count(20), 2);
	refused(&s, drop(20, 1, 110), NOT_HELD);
	/* Nobody has it any more: it can be something else. */
	must(&s, take(20, 4, 120, 10, 1));
	assert_int_equal(count(20), 1);
	assert_int_equal(le32_to_cpu(lease(20)->max_holders), 1);
}

/* A clock that was set back gives nobody time, and takes none. */
static void test_back(void **state)
{
	const struct nexus_lease_val *v;

	(void)state;
	must(&s, take(20, 1, 100, 10, 2));
	must(&s, extend(20, 1, 90, 5));
	v = lease(20);
	assert_true(le64_to_cpu(v->now) == S(100));
	assert_true(le64_to_cpu(v->holder[0].expires) == S(100));
	must(&s, take(20, 2, 90, 15, 2));
	v = lease(20);
	assert_int_equal(le32_to_cpu(v->count), 1);
	assert_true(le64_to_cpu(v->holder[0].acquired) == S(100));
	assert_true(le64_to_cpu(v->holder[0].expires) == S(105));
}

static void test_tokens(void **state)
{
	u64 last;

	(void)state;
	must(&s, take(20, 1, 100, 10, 3));
	last = lsn;
	must(&s, drop(20, 1, 100));
	must(&s, take(20, 1, 100, 10, 3));
	assert_true(le64_to_cpu(lease(20)->holder[0].token) > last);
	last = le64_to_cpu(lease(20)->holder[0].token);
	/* Even where the log began anew. */
	must(&s, rec_lease(&(struct lease_args) {
		.ino = 20, .op = NEXUS_LEASE_TAKE, .id = 2, .now = 100, .ttl = 5, .max = 3,
		.lsn = 4096 }));
	assert_true(le64_to_cpu(lease(20)->holder[1].token) == last + 1);
	must(&s, rec_lease(&(struct lease_args) {
		.ino = 21, .op = NEXUS_LEASE_TAKE, .id = 2, .now = 100, .ttl = 5, .max = 3,
		.lsn = NEXUS_LEASE_TOKEN_MAX }));
	refused(&s, take(21, 3, 100, 5, 3), "no lease");
}

static void test_clear(void **state)
{
	(void)state;
	refused(&s, rec(NEXUS_LEASE_CLEAR, 20, 0, 100, 0, 0), "no lease");
	must(&s, rec(NEXUS_LEASE_PRUNE, 20, 0, 100, 0, 0));
	must(&s, take(20, 1, 100, 10, 3));
	must(&s, take(20, 2, 100, 20, 3));
	must(&s, rec(NEXUS_LEASE_PRUNE, 20, 0, 109, 0, 0));
	assert_int_equal(count(20), 2);
	must(&s, rec(NEXUS_LEASE_PRUNE, 20, 0, 110, 0, 0));
	assert_int_equal(count(20), 1);
	must(&s, rec(NEXUS_LEASE_PRUNE, 20, 0, 120, 0, 0));
	assert_null(lease(20));
	must(&s, take(20, 1, 120, 10, 3));
	must(&s, take(20, 2, 120, 20, 3));
	must(&s, rec(NEXUS_LEASE_CLEAR, 20, 0, 120, 0, 0));
	assert_null(lease(20));
}

/* The inode does not change, and takes the lease with it. */
static void test_inode(void **state)
{
	struct nexus_inode_val before = *store_inode(&s, 20);

	(void)state;
	must(&s, take(20, 1, 100, 10, 1));
	assert_memory_equal(&before, store_inode(&s, 20), sizeof(before));
	must(&s, rec_rename(1, 3, 20, "f", 21, 3, 0, "g", 0));
	assert_int_equal(count(20), 1);
	must(&s, rec_unlink(21, 3, 20, "g"));
	must(&s, take(20, 1, 101, 10, 1));
	must(&s, rec_forget(20, 20, 10));
	assert_null(lease(20));
	refused(&s, take(20, 1, 102, 10, 1), "inode does not exist");
	must(&s, rec_mk(1, 5, 30, "fifo", S_IFIFO | 0644));
	refused(&s, take(30, 1, 102, 10, 1), "lease on neither file nor directory");
}

#define BAD(make, change) do {							\
	struct nexus_rec_lease *r = (make);					\
	assert_int_equal(nexus_rec_check(&r->head, le32_to_cpu(r->head.len)), 0); \
	change;									\
	assert_int_equal(nexus_rec_check(&r->head, le32_to_cpu(r->head.len)), -EUCLEAN); \
} while (0)

static void test_records(void **state)
{
	(void)state;
#define TAKE take(20, 1, 100, NEXUS_LEASE_TTL_MAX, 5)
	BAD(TAKE, r->head.flags = cpu_to_le16(1));
	BAD(TAKE, r->head.len = cpu_to_le32(sizeof(*r) + 8));
	BAD(TAKE, r->ino = 0);
	BAD(TAKE, r->op = 0);
	BAD(TAKE, r->op = cpu_to_le32(6));
	BAD(TAKE, r->expires = cpu_to_le64(S(100)));
	BAD(TAKE, r->expires = cpu_to_le64(S(100 + NEXUS_LEASE_TTL_MAX) + 1));
	BAD(TAKE, r->expires = cpu_to_le64(~0ull));
	BAD(TAKE, r->head.time_s = cpu_to_le64(~0ull));
	BAD(TAKE, r->head.time_s = cpu_to_le64(NEXUS_LEASE_TIME_MAX / 1000000000));
	BAD(TAKE, r->max_holders = 0);
	BAD(TAKE, r->max_holders = cpu_to_le32(NEXUS_LEASE_HOLDERS_MAX + 1));
	BAD(TAKE, r->id[0] = 0);
	BAD(TAKE, r->name[0] = 0);
	BAD(TAKE, r->name[2] = 0);
	BAD(TAKE, r->name[2] = '\n');
	BAD(TAKE, r->name[NEXUS_LEASE_NAME_MAX - 1] = 'x');
	BAD(extend(20, 1, 100, 5), r->max_holders = cpu_to_le32(1));
	BAD(extend(20, 1, 100, 5), r->name[0] = 'x');
	BAD(extend(20, 1, 100, 5), r->expires = 0);
	BAD(drop(20, 1, 100), r->expires = cpu_to_le64(S(101)));
	BAD(drop(20, 1, 100), r->id[0] = 0);
	BAD(rec(NEXUS_LEASE_CLEAR, 20, 0, 100, 0, 0), r->id[5] = 1);
	BAD(rec(NEXUS_LEASE_PRUNE, 20, 0, 100, 0, 0), r->max_holders = cpu_to_le32(1));
}

static void test_values(void **state)
{
	u64 buf[(sizeof(struct nexus_lease_val) + 3 * sizeof(struct nexus_lease_holder)) / 8];
	struct nexus_lease_val *v = (void *)buf;
	const struct nexus_lease_val *good;
	size_t len = nexus_lease_size(2);

	(void)state;
	must(&s, take(20, 1, 100, 10, 2));
	must(&s, take(20, 2, 101, 20, 2));
	good = lease(20);
#define BAD_VAL(change) do {							\
	memcpy(buf, good, len);							\
	assert_true(nexus_lease_val_ok(v, len));				\
	change;									\
	assert_false(nexus_lease_val_ok(v, len));				\
} while (0)
	BAD_VAL(v->count = 0);
	BAD_VAL(v->count = cpu_to_le32(3));
	BAD_VAL((v->count = cpu_to_le32(3), v->max_holders = cpu_to_le32(3)));
	BAD_VAL(v->max_holders = cpu_to_le32(1));
	BAD_VAL(v->max_holders = cpu_to_le32(NEXUS_LEASE_HOLDERS_MAX + 1));
	BAD_VAL((v->count = cpu_to_le32(~0u), v->max_holders = cpu_to_le32(~0u)));
	BAD_VAL(v->now = cpu_to_le64(S(100)));
	BAD_VAL(v->now = cpu_to_le64(~0ull));
	BAD_VAL(v->holder[1].id[0] = 1);
	BAD_VAL(v->holder[1].id[0] = 0);
	BAD_VAL(v->holder[0].name[0] = 0);
	BAD_VAL(v->holder[0].expires = cpu_to_le64(S(99)));
	BAD_VAL(v->holder[0].expires = cpu_to_le64(~0ull));
	BAD_VAL(v->holder[0].token = 0);
	BAD_VAL(v->holder[0].token = cpu_to_le64(~0ull));
	BAD_VAL(v->holder[1].token = v->holder[0].token);
	memcpy(buf, good, len);
	assert_false(nexus_lease_val_ok(v, len - 1));
	assert_false(nexus_lease_val_ok(v, 23));
	/* What a later version puts behind it. */
	assert_true(nexus_lease_val_ok(v, len + 8));
}

static s64 repair(struct store *t)
{
	const struct nexus_repair r = { .kv = &t->kv, .now = { 5000, 7 } };

	return nexus_store_repair(&r);
}

/*
 * Every byte of a value wrong, with a right checksum or not: records are applied or
 * refused wholly, reads give what passes the checks, fsck sees it or it is harmless,
 * and mends it.
 */
static void test_damage(void **state)
{
	static u8 out[NEXUS_REPLY_DATA_MAX] __attribute__((aligned(8)));
	struct nexus_request req = { .op = NEXUS_OP_LEASES, .reply_max = sizeof(out) };
	size_t len = nexus_lease_size(2), at;
	u32 seal, seen = 0, applied = 0;
	const char *field;
	struct nexus_key k;

	(void)state;
	must(&s, take(20, 1, 100, 10, 2));
	must(&s, take(20, 2, 101, 20, 2));
	nexus_key_lease(&k, 20);
	for (at = 0; at < 2 * len; at++) {
		struct store t;
		u8 *v;
		int n;

		seal = at >= len;
		store_copy(&t, &s);
		v = (u8 *)(uintptr_t)store_get(&t, &k, NULL);
		v[at % len] ^= (u8)(1 + at % 255);
		if (seal) {
			u64 copy[64];

			memcpy(copy, v, len);
			nexus_val_seal(copy, len, 'H');
			memcpy(v, copy, len);
		}
		n = nexus_read(&t.kv, &req, NULL, out, sizeof(out));
		if (n >= 0)
			assert_int_equal(nexus_reply_check(&req, out, (size_t)n, &field), 0);
		else
			assert_int_equal(n, -EUCLEAN);
		if (store_problems(&t, false)) {
			seen++;
			refused(&t, take(20, 1, 102, 10, 2), "damaged value");
			assert_int_equal(repair(&t), 1);
			assert_int_equal(store_problems(&t, true), 0);
		} else {
			applied += !nexus_apply(&t.kv, take(20, 1, 102, 10, 2), NULL);
			assert_int_equal(store_problems(&t, true), 0);
		}
		store_destroy(&t);
	}
	printf("# %u of %zu seen, %u applied\n", seen, 2 * len, applied);
	/* Without the checksum, what is left is times, tokens and other names. */
	assert_true(seen > len && seen < 2 * len && applied > 10);
}

static void test_mended(void **state)
{
	struct nexus_key k;
	struct store t;

	(void)state;
	must(&s, take(20, 1, 100, 10, 2));
	store_copy(&t, &s);
	nexus_key_inode(&k, 20);
	must(&t, rec_unlink(1, 3, 20, "f"));
	must(&t, rec_forget(20, 20, 1));
	/* It comes back, of no inode. */
	nexus_key_lease(&k, 20);
	{
		size_t len;
		const void *v = store_get(&s, &k, &len);

		nexus_kv_put(&t.kv, k.b, k.len, v, len);
	}
	assert_int_equal(store_problems(&t, true), 1);
	assert_int_equal(repair(&t), 1);
	assert_null(store_get(&t, &k, NULL));
	assert_int_equal(store_problems(&t, true), 0);
	store_destroy(&t);
}

static void test_reads(void **state)
{
	static u8 out[NEXUS_REPLY_DATA_MAX] __attribute__((aligned(8)));
	const struct nexus_lease_ent *e = (const void *)out;
	u32 i, n = 0, replies = 0;
	u64 from = 0;
	int len;

	(void)state;
	assert_int_equal(do_read(&s, NEXUS_OP_LEASES, 0, 0, 0, NULL, out), 0);
	for (i = 1; i <= NEXUS_LEASE_HOLDERS_MAX; i++)
		must(&s, take(21, (u8)i, 100 + i, 1000, NEXUS_LEASE_HOLDERS_MAX));
	for (i = 0; i < 200; i++) {
		char name[8];

		snprintf(name, sizeof(name), "n%u", i);
		must(&s, rec_mk(1, 100 + i, 100 + i, name, FILE_MODE));
		must(&s, take(100 + i, 1, 100, 10, 1));
	}
	while ((len = do_read(&s, NEXUS_OP_LEASES, from, 0, 0, NULL, out)) > 0) {
		u8 *p = out;

		replies++;
		for (; p < out + len; p += e->reclen, n++) {
			e = (const void *)p;
			assert_true(e->ino == (n ? 99 + n : 21));
			from = e->ino + 1;
		}
	}
	assert_int_equal(len, 0);
	assert_int_equal(n, 201);
	assert_true(replies > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_mutex), T(test_semaphore), T(test_again), T(test_expiry),
		T(test_back), T(test_tokens), T(test_clear), T(test_inode),
		T(test_records), T(test_values), T(test_damage), T(test_mended),
		T(test_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
