// SPDX-License-Identifier: Apache-2.0
/* The ordered map against a sorted array. */
#include "util.h"

#define N_KEYS 3000

struct ref {
	u16 klen, vlen;
	u8 there;		/* 0 no, 1 value, 2 tombstone */
	u8 key[40];
	u8 val[40];
};

static struct ref ref[N_KEYS];	/* sorted by key */

static int ref_cmp(const void *a, const void *b)
{
	const struct ref *x = a, *y = b;
	int c = memcmp(x->key, y->key, x->klen < y->klen ? x->klen : y->klen);

	return c ? c : (int)x->klen - (int)y->klen;
}

/* Keys of all shapes: short, with common beginnings, with large numbers. */
static void make_keys(void)
{
	static const u8 letters[] = "DELI\0\xff";
	u32 i, j, n = 0;

	for (i = 0; i < N_KEYS; i++) {
		struct ref *r = &ref[i];

		memset(r, 0, sizeof(*r));
		r->klen = (u16)(1 + rnd(39));
		r->key[0] = letters[rnd(6)];
		for (j = 1; j < 40; j++)
			r->key[j] = rnd(3) ? (u8)(rnd(2) * 255) : (u8)rnd64();
		if (rnd(2))
			memset(r->key + 1, 0, 6);
		memset(r->key + r->klen, 0, 40u - r->klen);
	}
	qsort(ref, N_KEYS, sizeof(ref[0]), ref_cmp);
	for (i = 1; i < N_KEYS; i++)
		if (ref_cmp(&ref[n], &ref[i]))
			ref[++n] = ref[i];
	/* The rest: sure to be above, and distinct. */
	for (i = n + 1; i < N_KEYS; i++) {
		memset(&ref[i], 0, sizeof(ref[i]));
		memset(ref[i].key, 0xff, 36);
		ref[i].klen = 40;
		ref[i].key[38] = (u8)(i >> 8);
		ref[i].key[39] = (u8)i;
	}
	qsort(ref, N_KEYS, sizeof(ref[0]), ref_cmp);
}

static void same(const struct nexus_omap_entry *e, const struct ref *r)
{
	if (!r) {
		assert_null(e);
		return;
	}
	assert_non_null(e);
	assert_int_equal(e->klen, r->klen);
	assert_memory_equal(e->data, r->key, r->klen);
	assert_int_equal(e->tombstone, r->there == 2);
	assert_int_equal(e->vlen, r->there == 2 ? 0 : r->vlen);
	if (e->vlen)
		assert_memory_equal(nexus_omap_val(e), r->val, r->vlen);
}

static const struct ref *next_there(u32 i)
{
	for (; i < N_KEYS; i++)
		if (ref[i].there)
			return &ref[i];
	return NULL;
}

static void change(struct nexus_omap *map, struct ref *r, u32 op)
{
	u32 j;

	if (op < 5) {
		r->vlen = (u16)rnd(40);
		for (j = 0; j < r->vlen; j++)
			r->val[j] = (u8)rnd64();
		assert_int_equal(nexus_omap_put(map, r->key, r->klen, r->val,
						r->vlen), 0);
		r->there = 1;
	} else if (op == 5) {
		assert_int_equal(nexus_omap_tombstone(map, r->key, r->klen), 0);
		r->there = 2;
	} else {
		assert_int_equal(nexus_omap_remove(map, r->key, r->klen),
				 r->there != 0);
		r->there = 0;
	}
}

static void compare_all(struct nexus_omap *map)
{
	const struct nexus_omap_entry *e = nexus_omap_lower(map, "", 0, false);
	u64 n = 0;
	u32 i;

	for (i = 0; i < N_KEYS; i++) {
		if (!ref[i].there)
			continue;
		same(e, &ref[i]);
		e = nexus_omap_lower(map, e->data, e->klen, true);
		n++;
	}
	assert_null(e);
	assert_true(map->count == n);
}

static void test_random(void **state)
{
	struct nexus_omap map;
	u32 i, phase;

	(void)state;
	seed_init(7);
	make_keys();
	nexus_omap_init(&map);
	for (i = 0; i < 150000; i++) {
		u32 k = rnd(N_KEYS);

		/* Now it grows, now it shrinks to next to nothing. */
		phase = i / 25000 % 2;
		change(&map, &ref[k], phase ? 5 + rnd(8) : rnd(7));
		k = rnd(N_KEYS);
		same(nexus_omap_find(&map, ref[k].key, ref[k].klen),
		     ref[k].there ? &ref[k] : NULL);
		same(nexus_omap_lower(&map, ref[k].key, ref[k].klen, false),
		     next_there(k));
		same(nexus_omap_lower(&map, ref[k].key, ref[k].klen, true),
		     next_there(k + 1));
		if (i % 5000 == 0)
			compare_all(&map);
	}
	compare_all(&map);
	nexus_omap_destroy(&map);
	assert_true(map.bytes == 0 && map.count == 0);
	assert_null(nexus_omap_lower(&map, "", 0, false));
}

static void test_sequential(void **state)
{
	struct nexus_omap map;
	struct nexus_key k;
	u64 i;

	(void)state;
	nexus_omap_init(&map);
	for (i = 0; i < 50000; i++) {
		nexus_key_list(&k, 1, i);
		assert_int_equal(nexus_omap_put(&map, k.b, k.len, &i, 8), 0);
	}
	for (i = 0; i < 50000; i += 7) {
		nexus_key_list(&k, 1, i);
		assert_memory_equal(nexus_omap_val(nexus_omap_find(&map, k.b, k.len)),
				    &i, 8);
	}
	/* Front to back and back to front. */
	for (i = 0; i < 25000; i++) {
		nexus_key_list(&k, 1, i);
		assert_true(nexus_omap_remove(&map, k.b, k.len));
		nexus_key_list(&k, 1, 49999 - i);
		assert_true(nexus_omap_remove(&map, k.b, k.len));
	}
	assert_true(map.count == 0 && map.bytes == 0);
}

static void test_view(void **state)
{
	struct nexus_omap map;
	u8 key[NEXUS_KEY_MAX], buf[4];
	size_t klen = 1;

	(void)state;
	nexus_omap_init(&map);
	assert_int_equal(nexus_kv_put(&map.kv, "a", 1, "12345", 5), 0);
	assert_int_equal(nexus_omap_tombstone(&map, "b", 1), 0);
	assert_int_equal(nexus_kv_put(&map.kv, "c", 1, "", 0), 0);
	assert_int_equal(nexus_kv_get(&map.kv, "a", 1, buf, 4), 5);
	assert_memory_equal(buf, "1234", 4);
	assert_int_equal(nexus_kv_get(&map.kv, "b", 1, buf, 4), -ENOENT);
	key[0] = 'b';
	assert_int_equal(nexus_kv_seek(&map.kv, key, &klen, buf, 4), 0);
	assert_int_equal(key[0], 'c');
	assert_int_equal(nexus_kv_del(&map.kv, "c", 1), 0);
	assert_int_equal(nexus_kv_del(&map.kv, "c", 1), 0);
	key[0] = 'b';
	assert_int_equal(nexus_kv_seek(&map.kv, key, &klen, buf, 4), -ENOENT);
	assert_int_equal(nexus_omap_put(&map, "", 0, "", 0), -EINVAL);
	assert_int_equal(nexus_omap_put(&map, key, 512, "", 0), -EINVAL);
	nexus_omap_destroy(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_sequential),
		cmocka_unit_test(test_view),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
