// SPDX-License-Identifier: Apache-2.0
/*
 * What is fetched ahead: a reader as the kernel is, who asks only for what he was not told to be
 * here, and never finds himself before nothing once he has gone on.
 */
#include "readon.h"
#include "util.h"

#define BLOCKS	(64u * READON_PIECE)	/* of a pack */
#define MOST	(32u * READON_PIECE)

/* A reader of whole pieces: which are here, and which of them he knows of. */
struct reader {
	struct readon ro;
	u64 id;
	bool here[BLOCKS / READON_PIECE], told[BLOCKS / READON_PIECE];
	unsigned int asked;	/* how often */
	unsigned int waited;	/* for what nobody had fetched ahead */
	u64 ahead_max;
};

static void reader_open(struct reader *r, u64 id)
{
	r->id = id;
	memset(r->here, 0, sizeof(r->here));
	memset(r->told, 0, sizeof(r->told));
}

static void take(struct reader *r, u64 piece, const struct readon_ahead *ahead)
{
	u64 at;

	/* Nothing twice, and not what was just asked for. */
	assert_true(ahead->from > piece * READON_PIECE);
	assert_true(ahead->to > ahead->from && ahead->to <= BLOCKS);
	for (at = ahead->from / READON_PIECE; at * READON_PIECE < ahead->to; at++) {
		assert_false(r->here[at]);
		r->here[at] = true;
		r->told[at] = at * READON_PIECE != ahead->trip;
	}
	if (ahead->to - (piece + 1) * READON_PIECE > r->ahead_max)
		r->ahead_max = ahead->to - (piece + 1) * READON_PIECE;
}

static void read_piece(struct reader *r, u64 piece, u64 most, u64 room)
{
	struct readon_ask ask = {
		.id = r->id, .at = piece * READON_PIECE, .end = (piece + 1) * READON_PIECE,
		.size = BLOCKS, .most = most, .room = room, .chained = true,
	};
	struct readon_ahead ahead;

	if (r->told[piece])
		return;
	r->asked++;
	r->waited += !r->here[piece];
	r->here[piece] = true;
	r->told[piece] = true;
	if (readon_next(&r->ro, &ask, &ahead))
		take(r, piece, &ahead);
}

/* From the begin of a pack to its end: waits twice, and then never. */
static void test_on(void **state)
{
	static struct reader r;
	u64 i;

	(void)state;
	reader_open(&r, 7);
	for (i = 0; i < BLOCKS / READON_PIECE; i++)
		read_piece(&r, i, MOST, UINT64_MAX);
	assert_int_equal(r.waited, 2);
	/* Each window is asked for once, half of it before. */
	assert_in_range(r.asked, 6, 10);
	assert_int_equal(r.ahead_max, MOST);
	/* Into the next pack, with the window there was; once for it. */
	reader_open(&r, 9);
	r.ahead_max = 0;
	read_piece(&r, 0, MOST, UINT64_MAX);
	assert_int_equal(r.ahead_max, MOST);
	for (i = 1; i < BLOCKS / READON_PIECE; i++)
		read_piece(&r, i, MOST, UINT64_MAX);
	assert_int_equal(r.waited, 3);
}

/* What may be ahead is never more than is allowed, and it goes on with that. */
static void test_most(void **state)
{
	static const u64 most[] = { 1, READON_PIECE, 2 * READON_PIECE, 3 * READON_PIECE, 5 * READON_PIECE + 1 };
	static struct reader r;
	size_t i;
	u64 at;

	(void)state;
	for (i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
		memset(&r, 0, sizeof(r));
		reader_open(&r, 1);
		for (at = 0; at < BLOCKS / READON_PIECE; at++)
			read_piece(&r, at, most[i], UINT64_MAX);
		assert_int_equal(r.waited, 2);
		assert_true(r.ahead_max < most[i] + READON_PIECE);
	}
	memset(&r, 0, sizeof(r));
	reader_open(&r, 1);
	for (at = 0; at < BLOCKS / READON_PIECE; at++)
		read_piece(&r, at, 0, UINT64_MAX);
	assert_int_equal(r.waited, BLOCKS / READON_PIECE);
}

/* Without room nothing comes, and everything again as soon as there is some. */
static void test_room(void **state)
{
	static struct reader r;
	u64 at;

	(void)state;
	reader_open(&r, 1);
	for (at = 0; at < 8; at++)
		read_piece(&r, at, MOST, READON_PIECE - 1);
	assert_int_equal(r.waited, 8);
	for (; at < 16; at++)
		read_piece(&r, at, MOST, 2 * READON_PIECE);
	assert_int_equal(r.waited, 9);
	for (; at < BLOCKS / READON_PIECE; at++)
		read_piece(&r, at, MOST, UINT64_MAX);
	assert_int_equal(r.waited, 9);
}

/* Who jumps about has nothing fetched, nor does one who goes back. */
static void test_not_on(void **state)
{
	static struct reader r;
	u64 at;

	(void)state;
	reader_open(&r, 1);
	for (at = BLOCKS / READON_PIECE; at-- > 0; )
		read_piece(&r, at, MOST, UINT64_MAX);
	assert_int_equal(r.ahead_max, 0);
	memset(&r, 0, sizeof(r));
	reader_open(&r, 1);
	for (at = 0; at < BLOCKS / READON_PIECE; at += 2)
		read_piece(&r, at, MOST, UINT64_MAX);
	assert_int_equal(r.ahead_max, 0);
	/* The same again is not on, either. */
	memset(&r, 0, sizeof(r));
	for (at = 0; at < 4; at++) {
		reader_open(&r, 1);
		read_piece(&r, 3, MOST, UINT64_MAX);
	}
	assert_int_equal(r.ahead_max, 0);
}

/* As many at once as are remembered: each has his own. */
static void test_many(void **state)
{
	static struct reader one[READON_STREAMS];
	static struct readon ro;
	unsigned int i;
	u64 at;

	(void)state;
	memset(&ro, 0, sizeof(ro));
	for (i = 0; i < READON_STREAMS; i++)
		reader_open(&one[i], i + 1);
	for (at = 0; at < BLOCKS / READON_PIECE; at++) {
		for (i = 0; i < READON_STREAMS; i++) {
			one[i].ro = ro;
			read_piece(&one[i], at, MOST, UINT64_MAX);
			ro = one[i].ro;
		}
	}
	for (i = 0; i < READON_STREAMS; i++)
		assert_int_equal(one[i].waited, 2);
}

/* Objects that do not go on in one another, of any size, in steps that are no pieces. */
static void test_steps(void **state)
{
	static struct readon ro;
	struct readon_ask ask = { .id = 3, .size = 10000, .most = MOST, .room = UINT64_MAX };
	struct readon_ahead ahead;
	u64 to = 0;

	(void)state;
	for (ask.at = 0; ask.at < ask.size; ask.at += 61) {
		ask.end = NEXUS_MIN(ask.at + 61, ask.size);
		if (!readon_next(&ro, &ask, &ahead))
			continue;
		assert_true(ahead.from == NEXUS_MAX(to, ask.end));
		assert_true(ahead.to <= ask.size && ahead.to - ask.end <= MOST);
		to = ahead.to;
	}
	assert_int_equal(to, ask.size);
	ask.id = 4;
	ask.at = 0;
	ask.end = 61;
	assert_false(readon_next(&ro, &ask, &ahead));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_on),
		cmocka_unit_test(test_most),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_not_on),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_steps),
	};

	return cmocka_run_group_tests_name("readon", tests, NULL, NULL);
}
