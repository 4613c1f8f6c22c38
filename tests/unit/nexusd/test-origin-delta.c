// SPDX-License-Identifier: Apache-2.0
/* What a manifest of increments says, what they are made of, and what comes of them. */
#include "origin-world.h"
#include "origin_delta.h"

/* ---- the manifest ------------------------------------------------------------------------ */

static struct origin_checkpoint checkpoint(u64 number, bool delta)
{
	struct origin_checkpoint c = {
		.epoch = 3, .number = number, .lsn = 4096, .end = 8192, .incarnation = 2,
		.time_s = 1, .bytes = 100000, .parts = 1, .crc = 7, .put_bytes = 100000,
		.put_crc = 7, .delta = delta,
	};

	if (delta) {
		c.put_bytes = 96;
		c.put_crc = 9;
	}
	return c;
}

static void chains(struct origin_manifest *m, u32 a, u32 b)
{
	u32 n[2] = { a, b }, i, j;

	*m = (struct origin_manifest){ .epoch = 3, .number = 99, .count = 2, .zone = { 1, 2 } };
	for (i = 0; i < 2; i++) {
		m->checkpoint[i] = checkpoint(99 - i, n[i] > 0);
		m->base[i].n = n[i];
		for (j = 0; j < n[i]; j++)
			m->base[i].step[j] = checkpoint(97 - i - 2 * j, j + 1 < n[i]);
	}
}

static void seal_raw(u8 *raw, size_t len)
{
	__le32 crc;

	crc = cpu_to_le32(origin_crc_without(raw, len, offsetof(struct nexus_origin_chains, crc)));
	memcpy(raw + offsetof(struct nexus_origin_chains, crc), &crc, sizeof(crc));
}

static void test_manifest(void **state)
{
	static u8 raw[ORIGIN_MANIFEST_BYTES], bad[ORIGIN_MANIFEST_BYTES], *end;
	struct nexus_origin_chains head;
	struct origin_manifest m, back;
	const u32 most = NEXUS_CHAIN_MAX - 1;
	u32 a, b, i, good = 0;
	size_t len;

	(void)state;
	for (a = 0; a <= most; a++)
		for (b = 0; b <= most; b += 3) {
			chains(&m, a, b);
			len = origin_manifest_encode(&m, raw);
			memcpy(&head, raw, sizeof(head));
			/* Earlier programs read what they can, and refuse all else by its version. */
			assert_int_equal(le32_to_cpu(head.version), a || b ? 2 : 1);
			assert_int_equal(len, a || b ? 56 + 80 * (a + b + 2) :
					 sizeof(struct nexus_origin_manifest));
			assert_int_equal(origin_manifest_parse(raw, len, &back), 0);
			assert_memory_equal(&m.zone, &back.zone, sizeof(m.zone));
			assert_int_equal(back.base[0].n, a);
			assert_int_equal(back.base[1].n, b);
			assert_int_equal(origin_manifest_encode(&back, bad), len);
			assert_memory_equal(raw, bad, len);
		}
	chains(&m, 3, most);
	len = origin_manifest_encode(&m, raw);
	for (i = 0; i < len; i++) {
		memcpy(bad, raw, len);
		bad[i] ^= 1u << rnd(8);
		assert_int_not_equal(origin_manifest_parse(bad, len, &back), 0);
		/* In a buffer of its own, so that no byte behind it is read unseen. */
		end = malloc(i + 1);
		assert_non_null(end);
		memcpy(end, raw, i);
		assert_int_equal(origin_manifest_parse(end, i, &back), -EUCLEAN);
		free(end);
	}
	for (i = 0; i < 30000; i++) {
		memcpy(bad, raw, len);
		bad[i % 2 ? rnd((u32)len) : rnd(400)] = (u8)rnd(6);
		bad[rnd((u32)len)] = (u8)rnd(256);
		seal_raw(bad, len);
		if (origin_manifest_parse(bad, len, &back))
			continue;
		good++;
		for (a = 0; a < back.count; a++) {
			assert_true(back.base[a].n <= most);
			assert_int_equal(back.checkpoint[a].delta, back.base[a].n > 0);
		}
	}
	assert_true(good > 300 && good < 29700);
}

/* What no chain looks like. */
static void test_manifest_refused(void **state)
{
	u8 raw[ORIGIN_MANIFEST_BYTES];
	struct origin_manifest m, back;
	size_t len;
	u32 i;

	(void)state;
	for (i = 0; i < 7; i++) {
		chains(&m, 3, 2);
		if (i == 0)		/* on a later one */
			m.base[0].step[1].number = 98;
		else if (i == 1)	/* on another owner's */
			m.base[0].step[1].epoch = 2;
		else if (i == 2)	/* on itself */
			m.base[1].step[0].number = m.checkpoint[1].number;
		else if (i == 3)	/* on nothing */
			m.base[1].step[1].delta = true;
		else if (i == 4)	/* no objects */
			m.base[0].step[2].parts = 0;
		else if (i == 5)	/* more than they can hold */
			m.base[0].step[1].put_bytes = 1ull << 40;
		else			/* whole, and not what it is */
			m.base[0].step[2].put_bytes--;
		len = origin_manifest_encode(&m, raw);
		assert_int_equal(origin_manifest_parse(raw, len, &back), -EUCLEAN);
	}
	chains(&m, 3, 2);
	len = origin_manifest_encode(&m, raw);
	raw[8] = 3;
	seal_raw(raw, len);
	assert_int_equal(origin_manifest_parse(raw, len, &back), -EPROTONOSUPPORT);
}

/* ---- streams --------------------------------------------------------------------------------- */

#define KEYS	600u

struct keys {
	u32 value[KEYS];	/* 0: it is not there */
};

static u8 huge[NEXUS_VALUE_MAX];

static FILE *stream_of(const struct keys *k, u32 blocks, bool shuffled)
{
	struct origin_stream_out s = { .spool = origin_stream_spool(test_dir) };
	u8 key[16], data[sizeof(struct nexus_pack_line) + NEXUS_BLOCK_SIZE];
	u32 i, j;

	assert_non_null(s.spool);
	for (i = 0; i < KEYS; i++) {
		j = shuffled ? (i * 7) % KEYS : i;
		memset(key, 0, sizeof(key));
		nexus_put_be64(key, j * 3);
		memset(huge, (int)j, k->value[j] == 7 ? sizeof(huge) : 64);
		memcpy(huge, &k->value[j], 4);
		if (k->value[j])
			origin_stream_item(&s, NEXUS_ITEM_KEY, 8 + j % 5, 0, key, 8 + j % 5, huge,
					   k->value[j] == 7 ? sizeof(huge) : 20 + j % 9);
	}
	for (i = 0; i < blocks; i++) {
		memset(data, (int)(i / 3), sizeof(data));
		/* Far behind what tells most of them apart. */
		data[sizeof(data) - 1] = (u8)k->value[i];
		origin_stream_item(&s, NEXUS_ITEM_BLOCK, 9 - i % 3, i, data, sizeof(data), NULL, 0);
		origin_stream_item(&s, NEXUS_ITEM_BATCH, 0, 0, data, sizeof(struct nexus_batch_head) + i,
				   NULL, 0);
	}
	origin_stream_item(&s, NEXUS_ITEM_KEY, 1, 0, "a", 1, &k->value[0], 4);
	assert_int_equal(origin_stream_end(&s), 0);
	return s.spool;
}

/* How much the increment takes; what comes of it is what it was made of. */
static u64 there_and_back(FILE *base, FILE *new)
{
	struct origin_stream_out d = { .spool = origin_stream_spool(test_dir) };
	FILE *out = origin_stream_spool(test_dir);
	u64 bytes;

	assert_int_equal(origin_delta_make(base, new, &d), 0);
	assert_int_equal(origin_delta_apply(base, d.spool, out, stream_size(new)), 0);
	assert_true(same_stream(new, out));
	rewind(out);
	assert_int_equal(ftruncate(fileno(out), 0), 0);
	assert_int_equal(origin_delta_apply(base, d.spool, out, stream_size(new) - 1), -EUCLEAN);
	bytes = stream_size(d.spool);
	fclose(d.spool);
	fclose(out);
	return bytes;
}

static void change(struct keys *k, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		k->value[rnd(KEYS)] = rnd(3) ? 10 + rnd(1000000) : 0;
}

static void test_delta(void **state)
{
	static struct keys none, a, b;
	FILE *base, *new, *again, *nothing = stream_of(&none, 0, false);
	u32 i;

	(void)state;
	for (i = 0; i < 60; i++) {
		u32 changes = i % 10 ? rnd(40) : KEYS * 3, blocks = rnd(30);

		change(&a, i ? 100 : KEYS * 4);
		b = a;
		change(&b, changes);
		if (i % 7 == 3)
			b.value[rnd(KEYS)] = 7;
		base = stream_of(&a, blocks, false);
		new = stream_of(&b, blocks + rnd(9), false);
		there_and_back(base, new);
		/* All of it is there, and it is known to be: a copy, the end, and one key behind blocks. */
		again = stream_of(&a, blocks, false);
		assert_int_equal(there_and_back(base, again), blocks ? 80 : 48);
		fclose(again);
		there_and_back(nothing, new);
		there_and_back(new, nothing);
		fclose(new);
		/* In any order it is right, if not small. */
		new = stream_of(&b, blocks, true);
		there_and_back(base, new);
		there_and_back(new, base);
		fclose(base);
		fclose(new);
	}
	again = stream_of(&none, 0, false);
	there_and_back(nothing, again);
	fclose(again);
	/* One of 600 is other, more, less. */
	for (i = 0; i < 3; i++) {
		a.value[300] = i == 1 ? 0 : 100;
		b = a;
		b.value[300] = i == 2 ? 0 : 101;
		base = stream_of(&a, 20, false);
		new = stream_of(&b, 20, false);
		assert_true(there_and_back(base, new) < 300);
		fclose(base);
		fclose(new);
	}
	/* So is the last byte of a block. */
	b = a;
	b.value[7] = a.value[7] + 1;
	base = stream_of(&a, 20, false);
	new = stream_of(&b, 20, false);
	assert_true(there_and_back(base, new) > NEXUS_BLOCK_SIZE);
	fclose(base);
	fclose(new);
	fclose(nothing);
}

/* No byte of it is other without its being seen: by itself, or by the checksum of what comes. */
static void test_delta_damaged(void **state)
{
	static struct keys a, b;
	struct origin_stream_out d = { .spool = origin_stream_spool(test_dir) };
	FILE *base, *new, *bad, *out;
	u64 at, size, refused = 0;
	u8 *raw;

	(void)state;
	change(&a, KEYS * 2);
	b = a;
	change(&b, 20);
	base = stream_of(&a, 2, false);
	new = stream_of(&b, 3, false);
	assert_int_equal(origin_delta_make(base, new, &d), 0);
	size = stream_size(d.spool);
	raw = malloc(size);
	assert_non_null(raw);
	assert_int_equal(pread(fileno(d.spool), raw, size, 0), size);
	for (at = 0; at < size; at++) {
		int ret;

		/* Padding is no part of it. */
		bad = origin_stream_spool(test_dir);
		out = origin_stream_spool(test_dir);
		raw[at] ^= 1u << rnd(8);
		assert_int_equal(pwrite(fileno(bad), raw, size, 0), size);
		ret = origin_delta_apply(base, bad, out, stream_size(new));
		assert_true(!ret || ret == -EUCLEAN);
		refused += ret != 0;
		raw[at] = 0;
		assert_int_equal(pread(fileno(d.spool), raw + at, 1, (off_t)at), 1);
		assert_int_equal(ftruncate(fileno(bad), (off_t)at), 0);
		assert_int_equal(origin_delta_apply(base, bad, out, UINT64_MAX >> 1), -EUCLEAN);
		fclose(bad);
		fclose(out);
	}
	assert_true(refused > 100);
	/* Of another stream it makes another, or nothing. */
	out = origin_stream_spool(test_dir);
	if (!origin_delta_apply(new, d.spool, out, stream_size(new)))
		assert_false(same_stream(new, out));
	free(raw);
	fclose(out);
	fclose(base);
	fclose(new);
	fclose(d.spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_manifest, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_manifest_refused, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_delta, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_delta_damaged, test_setup, test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
