// SPDX-License-Identifier: Apache-2.0
/* Keys as bytes: two lists of parts never have the same, and patterns against a model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/cachestore/common.h"

static uint64_t seed = 0x2545f4914f6cdd1dull;

static unsigned int random_below(unsigned int n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned int)((seed >> 16) % n);
}

#define PARTS	4
#define SIZE	6

struct words {
	struct nexus_cache_part parts[PARTS];
	char text[PARTS][SIZE];
	struct nexus_cache_key key;
};

/* Of few letters, and those the encoding is made of: what could be confused is. */
static void random_words(struct words *w, const char *letters, bool pattern)
{
	unsigned int i, k;

	w->key = (struct nexus_cache_key){ w->parts, 1 + random_below(PARTS),
					   pattern && random_below(3) == 0 };
	for (i = 0; i < w->key.count; i++) {
		w->parts[i] = (struct nexus_cache_part){ w->text[i], random_below(SIZE),
							 pattern && random_below(2) };
		for (k = 0; k < w->parts[i].size; k++)
			w->text[i][k] = letters[random_below((unsigned int)strlen(letters))];
	}
}

static bool same_words(const struct words *a, const struct words *b)
{
	unsigned int i;

	if (a->key.count != b->key.count)
		return false;
	for (i = 0; i < a->key.count; i++)
		if (a->parts[i].size != b->parts[i].size ||
		    memcmp(a->text[i], b->text[i], a->parts[i].size))
			return false;
	return true;
}

static void encoded(void **state)
{
	static const struct nexus_cache_part ab_c[] = { NEXUS_CACHE_P("a:b", 3), NEXUS_CACHE_P("c", 1) };
	static const struct nexus_cache_part a_bc[] = { NEXUS_CACHE_P("a", 1), NEXUS_CACHE_P("b:c", 3) };
	struct cache_bytes bytes;

	(void)state;
	assert_int_equal(cache_key_encode(&NEXUS_CACHE_KEY(ab_c), &bytes), 0);
	assert_int_equal(bytes.size, 8);
	assert_memory_equal(bytes.data, "3:a:b1:c", 8);
	assert_int_equal(cache_key_encode(&NEXUS_CACHE_KEY(a_bc), &bytes), 0);
	assert_memory_equal(bytes.data, "1:a3:b:c", 8);
}

static void never_meet(void **state)
{
	struct cache_bytes x, y;
	unsigned int i, same = 0;
	struct words a, b;

	(void)state;
	for (i = 0; i < 2000000; i++) {
		random_words(&a, "1:", false);
		random_words(&b, "1:", false);
		assert_int_equal(cache_key_encode(&a.key, &x), 0);
		assert_int_equal(cache_key_encode(&b.key, &y), 0);
		assert_int_equal(same_words(&a, &b), x.size == y.size && !memcmp(x.data, y.data, x.size));
		same += same_words(&a, &b);
	}
	assert_true(same > 100);
}

static bool model_glob(const char *p, size_t np, const char *s, size_t ns)
{
	if (!np)
		return !ns;
	if (*p == '*')
		return model_glob(p + 1, np - 1, s, ns) || (ns && model_glob(p, np, s + 1, ns - 1));
	if (!ns)
		return false;
	if (*p == '\\' && np > 1)
		return p[1] == *s && model_glob(p + 2, np - 2, s + 1, ns - 1);
	return (*p == '?' || *p == *s) && model_glob(p + 1, np - 1, s + 1, ns - 1);
}

static bool model_match(const struct words *p, const struct words *k)
{
	unsigned int i;

	if (p->key.below ? k->key.count < p->key.count : k->key.count != p->key.count)
		return false;
	for (i = 0; i < p->key.count; i++) {
		if (p->parts[i].kind == NEXUS_CACHE_GLOB) {
			if (!model_glob(p->text[i], p->parts[i].size, k->text[i], k->parts[i].size))
				return false;
		} else if (p->parts[i].size != k->parts[i].size ||
			   memcmp(p->text[i], k->text[i], p->parts[i].size)) {
			return false;
		}
	}
	return true;
}

static void matched(void **state)
{
	struct cache_bytes bytes, prefix;
	unsigned int i, yes = 0;
	struct words p, k;

	(void)state;
	for (i = 0; i < 2000000; i++) {
		random_words(&p, "a*?\\:", true);
		random_words(&k, "a:*\\", false);
		assert_int_equal(cache_pattern_check(&p.key), 0);
		assert_int_equal(cache_key_encode(&k.key, &bytes), 0);
		assert_int_equal(cache_pattern_match(&p.key, bytes.data, bytes.size), model_match(&p, &k));
		if (!model_match(&p, &k))
			continue;
		yes++;
		/* What a server is asked for has it. */
		cache_pattern_prefix(&p.key, &prefix);
		assert_true(prefix.size <= bytes.size && !memcmp(prefix.data, bytes.data, prefix.size));
	}
	assert_true(yes > 1000);
}

/* Bytes that are no key: of somebody else's on the same server. */
static void no_key(void **state)
{
	static const char *const bad[] = {
		"", "1", "1:", "2:a", ":a", "01:a", "00:", "+1:a", " 1:a", "1:a1", "1:aa", "99999:a",
		"18446744073709551617:a", "-1:a", "1:a:",
	};
	static const struct nexus_cache_part any[] = { NEXUS_CACHE_ANY };
	const struct nexus_cache_key all = { any, 1, true };
	uint8_t data[16];
	unsigned int i, k, n;
	size_t size;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size = strlen(bad[i]);
		assert_false(cache_pattern_match(&all, (const uint8_t *)bad[i], size));
	}
	assert_true(cache_pattern_match(&all, (const uint8_t *)"0:", 2));
	for (i = 0; i < 500000; i++) {
		n = random_below(sizeof(data));
		for (k = 0; k < n; k++)
			data[k] = (uint8_t)"0123:a\xff"[random_below(7)];
		cache_pattern_match(&all, data, n);
	}
}

/* One that takes for ever if it goes back to every *. */
static void patient(void **state)
{
	static char stars[800], text[900];
	struct nexus_cache_part pattern = { stars, sizeof(stars), NEXUS_CACHE_GLOB };
	struct nexus_cache_part part = NEXUS_CACHE_P(text, sizeof(text));
	struct cache_bytes bytes;
	size_t i;

	(void)state;
	for (i = 0; i + 1 < sizeof(stars); i += 2)
		memcpy(stars + i, "*a", 2);
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = 'b';
	assert_int_equal(cache_key_encode(&(struct nexus_cache_key){ &part, 1, false }, &bytes), 0);
	assert_false(cache_pattern_match(&(struct nexus_cache_key){ &pattern, 1, false }, bytes.data,
					 bytes.size));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encoded),
		cmocka_unit_test(never_meet),
		cmocka_unit_test(matched),
		cmocka_unit_test(no_key),
		cmocka_unit_test(patient),
	};

	return cmocka_run_group_tests_name("cachekey", tests, NULL, NULL);
}
