// SPDX-License-Identifier: Apache-2.0
/*
 * The bytes of streams: records of all lengths in and out, which positions are one's,
 * what is found after any of the writes is missing, and bytes that are anything.
 */
#include "lib/stream.h"
#include "util.h"

#define SIZE	(8u << 20)

/* A stream in memory, and what is known of it. */
struct stream {
	struct nexus_stream_io io;
	u8	*bytes;
	u64	size;		/* as the file has it */
	u64	end, seq, durable;
	u64	pos[4096];
	u32	len[4096];
	u32	n;
};

static int stream_read(const struct nexus_stream_io *io, u64 pos, u8 *buf, size_t len)
{
	const struct stream *s = NEXUS_CONTAINER(io, const struct stream, io);

	u64 there = pos < s->size ? NEXUS_MIN(s->size - pos, (u64)len) : 0;

	if (there)
		memcpy(buf, s->bytes + pos, there);
	memset(buf + there, 0, len - there);
	return 0;
}

static struct stream *stream_new(void)
{
	struct stream *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->bytes = calloc(1, SIZE);
	assert_non_null(s->bytes);
	s->io.read = stream_read;
	return s;
}

static void stream_free(struct stream *s)
{
	free(s->bytes);
	free(s);
}

static void fill(u8 *data, u32 len, u64 seq)
{
	u32 i;

	for (i = 0; i < len; i++)
		data[i] = (u8)(seq * 31 + i);
}

/* What is to be written of a record, and where. */
static size_t image(struct stream *s, u32 len, u8 *out, u64 *at)
{
	struct nexus_stream_rec rec = { .pos = s->end, .seq = s->seq, .time = 7 + s->seq, .len = len };
	u8 *data = malloc(len);
	size_t n;

	assert_non_null(data);
	fill(data, len, s->seq);
	n = nexus_stream_image(out, &rec, data, s->durable, at);
	free(data);
	assert_true(n <= nexus_stream_span(len));
	assert_int_equal(*at + n, nexus_stream_end(s->end, len));
	if (s->n < 4096) {
		s->pos[s->n] = s->end;
		s->len[s->n++] = len;
	}
	s->end = nexus_stream_next(s->end, len);
	s->seq++;
	assert_true(nexus_stream_pos_ok(s->end));
	return n;
}

static void append(struct stream *s, u32 len)
{
	u8 *out = malloc(nexus_stream_span(len));
	size_t n;
	u64 at;

	assert_non_null(out);
	n = image(s, len, out, &at);
	assert_true(at + n <= SIZE);
	memcpy(s->bytes + at, out, n);
	s->size = at + n;
	free(out);
}

static void expect_record(struct stream *s, u64 pos, u32 len, u64 seq)
{
	struct nexus_stream_rec rec = { .pos = pos };
	u64 at = nexus_stream_head_at(pos), end;
	u8 *raw, *want = malloc(len);

	assert_non_null(want);
	fill(want, len, seq);
	assert_int_equal(nexus_stream_get_head(s->bytes + at, &rec), 0);
	assert_int_equal(rec.len, len);
	assert_int_equal(rec.time, 7 + seq);
	end = nexus_stream_end(pos, len);
	raw = malloc(end - at);
	assert_non_null(raw);
	memcpy(raw, s->bytes + at, end - at);
	assert_int_equal(nexus_stream_unpack(raw, &rec), 0);
	assert_memory_equal(raw, want, len);
	free(raw);
	free(want);
}

static u32 some_len(void)
{
	switch (rnd(8)) {
	case 0:
		return 1 + rnd(20000);
	case 1:
		return 4000 + rnd(120);
	case 3:
		/* From the begin of a block, up to the next. */
		return 4041 + rnd(16);
	case 2:
		return 1 + rnd(4);
	default:
		return 1 + rnd(1200);
	}
}

/* ---- in and out -------------------------------------------------------------------- */

/* Every offset of a block for a record to begin at, and every length about a block's. */
static void test_all_places(void **state)
{
	u32 first, len;

	(void)state;
	for (first = 1; first < 4096; first += 1 + first % 3) {
		struct stream *s = stream_new();

		append(s, first);
		for (len = 4030; len < 4110; len += 7)
			append(s, len);
		for (len = 0; len < s->n; len++)
			expect_record(s, s->pos[len], s->len[len], len);
		stream_free(s);
	}
}

/* One position a record, and no other. */
static void test_positions(void **state)
{
	struct stream *s = stream_new();
	u64 pos, seq;
	u32 n = 0;
	int err;

	(void)state;
	while (s->end < 400000)
		append(s, some_len());
	for (pos = 0; pos < s->end; pos++) {
		err = nexus_stream_find(s->bytes + (pos & ~4095ull), pos, &seq);
		if (n < s->n && pos == s->pos[n]) {
			assert_int_equal(err, 0);
			assert_int_equal(seq, n);
			n++;
		} else {
			assert_int_equal(err, -EINVAL);
		}
	}
	assert_int_equal(n, s->n);
	stream_free(s);
}

/* ---- the front ---------------------------------------------------------------------- */

static void test_blocks_go_from_the_front(void **state)
{
	struct stream *s = stream_new();
	struct nexus_stream_state st;
	struct nexus_stream_rec rec;
	u64 base;
	u32 n = 0;

	(void)state;
	while (s->end < 400000)
		append(s, some_len());
	for (base = 4096; base < s->size; base += 4096) {
		memset(s->bytes + base - 4096, 0, 4096);
		while (n < s->n && s->pos[n] < base)
			n++;
		assert_int_equal(nexus_stream_first_from(&s->io, base, s->end, s->seq, &rec), 0);
		assert_int_equal(rec.pos, n < s->n ? s->pos[n] : s->end);
		assert_int_equal(rec.seq, n);
		assert_int_equal(nexus_stream_recover(&s->io, base, s->size, &st), 0);
		assert_int_equal(st.start, rec.pos);
		assert_int_equal(st.start_seq, n);
		assert_int_equal(st.tail, s->end);
		assert_int_equal(st.tail_seq, s->seq);
	}
	/* All of it. */
	assert_int_equal(nexus_stream_recover(&s->io, U64_MAX, s->size, &st), 0);
	assert_int_equal(st.start, st.tail);
	assert_true(st.start >= s->size && nexus_stream_pos_ok(st.start));
	stream_free(s);
}

static void test_a_start_within_a_block(void **state)
{
	struct stream *s = stream_new();
	struct nexus_stream_first first;
	struct nexus_stream_state st;
	u64 base, seq;
	u32 n;

	(void)state;
	while (s->end < 100000)
		append(s, 1 + rnd(900));
	for (n = 0; n < s->n; n++) {
		base = s->pos[n] & ~4095ull;
		if (s->pos[n] == base)
			continue;
		memset(s->bytes, 0, base);
		assert_int_equal(nexus_stream_first(s->bytes + base, base, &first), 0);
		first.pos = s->pos[n];
		first.seq = n;
		nexus_stream_set_first(s->bytes + base, &first);
		assert_int_equal(nexus_stream_recover(&s->io, base, s->size, &st), 0);
		assert_int_equal(st.start, s->pos[n]);
		assert_int_equal(st.start_seq, n);
		assert_int_equal(st.tail_seq, s->seq);
		if (n && s->pos[n - 1] >= base)
			assert_int_equal(nexus_stream_find(s->bytes + base, s->pos[n - 1], &seq),
					 -EINVAL);
	}
	stream_free(s);
}

/* ---- crashes ---------------------------------------------------------------------- */

/*
 * Records of which some are durable and of the others any blocks have got there: what is
 * durable is found, nothing that was not whole, and nothing behind what is missing.
 */
static void test_crashes(void **state)
{
	int round;

	(void)state;
	for (round = 0; round < 400; round++) {
		struct stream *s = stream_new(), *disk = stream_new();
		struct nexus_stream_state st;
		u32 durable = 0, n, whole;
		u64 block, last = 0;

		for (n = 0; n < 60; n++) {
			append(s, some_len());
			if (rnd(4))
				continue;
			/* A flush: all of it is there. */
			memcpy(disk->bytes, s->bytes, s->size);
			disk->size = s->size;
			s->durable = s->end;
			durable = s->n;
		}
		for (block = 0; block < s->size; block += 4096) {
			if (!memcmp(disk->bytes + block, s->bytes + block, 4096) || rnd(2))
				continue;
			memcpy(disk->bytes + block, s->bytes + block, 4096);
			last = NEXUS_MIN(block + 4096, s->size);
			disk->size = NEXUS_MAX(disk->size, last);
		}
		/* Records that happen to be whole, up to the first that is not. */
		for (whole = 0; whole < s->n; whole++) {
			u64 from = nexus_stream_head_at(s->pos[whole]);
			u64 to = nexus_stream_end(s->pos[whole], s->len[whole]);

			if (from % 4096 == NEXUS_STREAM_BHEAD)
				from -= NEXUS_STREAM_BHEAD;
			if (to > disk->size || memcmp(disk->bytes + from, s->bytes + from, to - from))
				break;
		}
		assert_true(whole >= durable);
		for (block = 0; block < disk->size; block += 4096)
			if (disk->bytes[block])
				break;
		if (block && durable)
			fail_msg("the first block was durable");
		if (block < disk->size || !disk->size) {
			assert_int_equal(nexus_stream_recover(&disk->io, disk->size ? block : U64_MAX,
							      disk->size, &st), 0);
			if (!block && disk->size) {
				assert_int_equal(st.start, 0);
				assert_int_equal(st.tail_seq, whole);
				assert_int_equal(st.tail, whole < s->n ? s->pos[whole] : s->end);
			}
		}
		stream_free(disk);
		stream_free(s);
	}
}

/* A record that is known to have been durable is not what a crash has left. */
static void test_damage_is_no_crash(void **state)
{
	struct stream *s = stream_new();
	struct nexus_stream_state st;

	(void)state;
	while (s->end < 100000) {
		append(s, 1 + rnd(900));
		s->durable = s->end;
	}
	s->bytes[nexus_stream_head_at(s->pos[2]) + NEXUS_STREAM_RHEAD] ^= 1;
	assert_int_equal(nexus_stream_recover(&s->io, 0, s->size, &st), 0);
	assert_int_equal(st.start, 0);
	assert_int_equal(st.tail, s->end);
	assert_int_equal(st.tail_seq, s->seq);
	stream_free(s);
}

/* One bit of what is not known to be durable: it ends there. */
static void test_flipped_bits(void **state)
{
	int round;

	(void)state;
	for (round = 0; round < 2000; round++) {
		struct stream *s = stream_new();
		struct nexus_stream_state st;
		u32 n;
		u64 at;

		for (n = 0; n < 8; n++)
			append(s, some_len());
		at = rnd64() % s->size;
		s->bytes[at] ^= (u8)(1u << rnd(8));
		if (!nexus_stream_recover(&s->io, 0, s->size, &st)) {
			assert_true(st.tail <= s->end);
			assert_true(nexus_stream_pos_ok(st.tail));
			for (n = 0; n < st.tail_seq - st.start_seq && n < s->n; n++)
				if (s->pos[n] >= st.start && s->pos[n] < st.tail && st.start == 0)
					expect_record(s, s->pos[n], s->len[n], n);
		}
		stream_free(s);
	}
}

/* ---- anything ---------------------------------------------------------------------- */

static void test_garbage(void **state)
{
	struct nexus_stream_block *b;
	int round;

	(void)state;
	for (round = 0; round < 20000; round++) {
		u32 size = 1 + rnd(5 * 4096), i;
		struct stream s = { .io = { .read = stream_read }, .size = size };
		struct nexus_stream_state st;
		u64 seq, pos = rnd(size);
		u8 block[4096];

		/* Exactly so many, so that a byte beyond is seen. */
		s.bytes = malloc(size);
		assert_non_null(s.bytes);
		for (i = 0; i < size; i++)
			s.bytes[i] = rnd(3) ? 0 : (u8)rnd(256);
		for (i = 0; i + sizeof(*b) <= size; i += 4096) {
			struct nexus_stream_block head = {
				.magic = cpu_to_le32(NEXUS_STREAM_MAGIC),
				.first = cpu_to_le16((u16)(rnd(3) ? rnd(4097) : 24)),
				.durable = cpu_to_le64(rnd(2) ? rnd(size) : 0),
				.seq = cpu_to_le64(rnd(10) ? rnd(100) : rnd64()),
			};

			if (rnd(10))
				memcpy(s.bytes + i, &head, sizeof(head));
		}
		if (!nexus_stream_recover(&s.io, rnd(2) ? 0 : rnd(size), size, &st)) {
			assert_true(nexus_stream_pos_ok(st.tail));
			assert_true(nexus_stream_pos_ok(st.start));
		}
		memset(block, 0, sizeof(block));
		memcpy(block, s.bytes, NEXUS_MIN(size, 4096u));
		nexus_stream_find(block, pos & 4095, &seq);
		free(s.bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_places),
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_blocks_go_from_the_front),
		cmocka_unit_test(test_a_start_within_a_block),
		cmocka_unit_test(test_crashes),
		cmocka_unit_test(test_damage_is_no_crash),
		cmocka_unit_test(test_flipped_bits),
		cmocka_unit_test(test_garbage),
	};

	seed_init(20261127);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
