// SPDX-License-Identifier: Apache-2.0
/* The event log: what is left of it after anything. */
#include "log-world.h"

#include <fcntl.h>

/* ---- recovery ---------------------------------------------------------------------------------- */

static char seg_path[512];

static void find_segment(const char *name)
{
	snprintf(seg_path, sizeof(seg_path), "%s/%s", test_dir, name);
}

static size_t load_file(uint8_t *buf, size_t room)
{
	int fd = open(seg_path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, buf, room);
	close(fd);
	assert_true(n > 0);
	return (size_t)n;
}

static void store_file(const uint8_t *buf, size_t len)
{
	int fd = open(seg_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, buf, len), len);
	close(fd);
}

/* Records 1..4 alone, 5..7 a batch; where each begins, and the end. */
#define BUILT	7u

static size_t build_log(uint8_t *buf, size_t room, size_t at[BUILT + 1], uint32_t durability)
{
	const char *batch[] = { "five", "six", "seven, and a bit more" };
	struct rec rec;
	size_t len, off = SEG_HEAD_SIZE, n;
	uint32_t salt;

	begin(1 << 20);
	salt = elog.salt;
	for (n = 0; n < 4; n++)
		put("some text", durability);
	assert_int_equal(append("z", batch, 3, durability, NULL), 0);
	crash();
	find_segment("wal-0000000000000001.seg");
	len = load_file(buf, room);
	for (n = 0; n < BUILT; n++) {
		at[n] = off;
		off += (size_t)rec_get(buf + off, len - off, salt, &rec);
	}
	at[BUILT] = off;
	assert_int_equal(off, len);
	return len;
}

/* The state file as it was at the crash, since opening may change it. */
static void test_cut_everywhere(void **state)
{
	struct nexus_eventlog_read_args r;
	struct nexus_eventlog_state st;
	size_t at[BUILT + 1], len, cut, whole;
	uint8_t buf[2048];

	(void)state;
	len = build_log(buf, sizeof(buf), at, NEXUS_EVENTLOG_NONE);
	for (cut = 0; cut <= len; cut++) {
		store_file(buf, cut);
		begin(1 << 20);
		for (whole = 0; whole < BUILT && at[whole + 1] <= cut; whole++)
			;
		/* Half a batch is none of it. */
		if (whole > 4 && whole < BUILT)
			whole = 4;
		assert_int_equal(read_some(&r, 1, 10), 0);
		assert_int_equal(r.count, whole);
		assert_int_equal(r.lost_from, 0);
		elog_state(&elog, &st);
		assert_int_equal(st.damaged, 0);
		assert_int_equal(st.cut, cut - (whole ? at[whole] : 0));
		assert_true(st.next > BUILT);
		/* Its numbers are not given again, and that is told to who reads. */
		uint64_t seq = put("after", NEXUS_EVENTLOG_NONE);

		assert_true(seq > BUILT);
		assert_int_equal(read_some(&r, whole + 1, 10), 0);
		assert_int_equal(r.lost_from, whole + 1);
		assert_int_equal(r.lost_to, seq - 1);
		assert_int_equal(r.count, 1);
		crash();
		char name[ELOG_NAME_MAX], path[512];

		elog_name(name, seq);
		snprintf(path, sizeof(path), "%s/%s", test_dir, name);
		assert_int_equal(unlink(path), 0);
		forget();
	}
}

/* What was never synced is a torn end, what was is damage, and said to be. */
static void flip_everywhere(uint32_t durability)
{
	struct nexus_eventlog_read_args r;
	struct nexus_eventlog_state st;
	size_t at[BUILT + 1], len, i, whole;
	uint8_t buf[2048], saved[STATE_SIZE];
	char seg[512];
	size_t state_len;
	int ret;

	len = build_log(buf, sizeof(buf), at, durability);
	snprintf(seg, sizeof(seg), "%s", seg_path);
	find_segment("state");
	state_len = load_file(saved, sizeof(saved));
	for (i = 0; i < len; i++) {
		find_segment("state");
		store_file(saved, state_len);
		snprintf(seg_path, sizeof(seg_path), "%s", seg);
		buf[i] ^= 0x10;
		store_file(buf, len);
		buf[i] ^= 0x10;
		begin(1 << 20);
		for (whole = 0; whole < BUILT && at[whole + 1] <= i; whole++)
			;
		if (i < SEG_HEAD_SIZE)
			whole = 0;
		else if (whole > 4)
			whole = 4;
		elog_state(&elog, &st);
		/* The very last record's head is the only one that knows of the one before. */
		bool known = i < SEG_HEAD_SIZE || (durability == NEXUS_EVENTLOG_SYNC && i < at[4]);

		if (whole) {
			assert_int_equal(read_some(&r, 1, 10), 0);
			assert_int_equal(r.count, whole);
			assert_int_equal(r.lost_from, 0);
		}
		ret = read_some(&r, whole + 1, 10);
		assert_int_equal(r.count, 0);
		if (known) {
			assert_int_equal(ret, -EUCLEAN);
			assert_int_equal(st.damaged, 1);
			assert_int_equal(r.lost_from, whole + 1);
			assert_true(r.lost_to >= BUILT);
			assert_non_null(strstr(said, "damaged"));
		} else {
			assert_int_equal(ret, 0);
			assert_int_equal(st.damaged, 0);
		}
		crash();
		forget();
	}
}

static void test_flip_unsynced(void **state)
{
	(void)state;
	flip_everywhere(NEXUS_EVENTLOG_NONE);
}

static void test_flip_synced(void **state)
{
	(void)state;
	flip_everywhere(NEXUS_EVENTLOG_SYNC);
}

/* In a segment that others follow, and a segment that is gone. */
static void test_middle(void **state)
{
	struct nexus_eventlog_read_args r;
	uint64_t seq, first[8];
	uint8_t buf[4096];
	size_t n = 0, len;
	char name[ELOG_NAME_MAX];
	int i, gone;

	(void)state;
	for (gone = 0; gone < 2; gone++) {
		begin(300);
		n = 0;
		for (i = 0; i < 24; i++) {
			seq = put("0123456789", NEXUS_EVENTLOG_NONE);
			if (elog.segs[elog.nsegs - 1].first == seq && n < 8)
				first[n++] = seq;
		}
		assert_true(n >= 4);
		assert_int_equal(end(), 0);
		elog_name(name, first[1]);
		find_segment(name);
		if (gone) {
			assert_int_equal(unlink(seg_path), 0);
		} else {
			len = load_file(buf, sizeof(buf));
			buf[SEG_HEAD_SIZE + 20] ^= 1;
			store_file(buf, len);
		}
		begin(300);
		assert_int_equal(read_some(&r, first[0], 100), 0);
		assert_int_equal(r.next, first[1]);
		assert_int_equal(read_some(&r, r.next, 100), -EUCLEAN);
		assert_int_equal(r.lost_from, first[1]);
		assert_int_equal(r.lost_to, first[2] - 1);
		assert_int_equal(read_some(&r, r.next, 100), 0);
		assert_int_equal(r.records[0].seq, first[2]);
		assert_true(r.end);
		struct nexus_eventlog_truncate_args t = { .before = r.next };

		assert_int_equal(elog_truncate(&elog, &t), 0);
		assert_int_equal(end(), 0);
		forget();
	}
	/* The last one gone is known, too: the log was closed behind it. */
	begin(300);
	put("x", NEXUS_EVENTLOG_NONE);
	elog_name(name, elog.segs[elog.nsegs - 1].first);
	assert_int_equal(end(), 0);
	find_segment(name);
	assert_int_equal(unlink(seg_path), 0);
	begin(300);
	assert_int_equal(read_some(&r, 0, 10), -EUCLEAN);
	assert_int_equal(end(), 0);
	find_segment("state");
	assert_int_equal(unlink(seg_path), 0);
	begin(300);
	assert_int_equal(end(), 0);
	/* Segments without "state": which numbers were given is not known. */
	begin(300);
	put("x", NEXUS_EVENTLOG_NONE);
	assert_int_equal(end(), 0);
	assert_int_equal(unlink(seg_path), 0);
	assert_int_equal(try_open(&elog, 300), -EUCLEAN);
	forget();
}

/* ---- against a model --------------------------------------------------------------------------- */

#define MODEL_MAX	4096

static void check_model(const uint64_t *seqs, size_t n, uint64_t first, uint64_t from)
{
	struct nexus_eventlog_read_args r = { .count = 0 };
	uint64_t next = from;
	size_t i, k;
	char text[32];

	for (i = 0; i < n && (seqs[i] < from || seqs[i] < first); i++)
		;
	do {
		assert_int_equal(read_some(&r, next, 1 + rnd(40)), 0);
		for (k = 0; k < r.count; k++, i++) {
			assert_true(i < n);
			snprintf(text, sizeof(text), "record %llu", (unsigned long long)seqs[i]);
			assert_record(&r.records[k], seqs[i], text);
		}
		/* What is told to be lost is exactly what nobody has. */
		if (r.lost_from) {
			assert_true(r.lost_from >= from && r.lost_to >= r.lost_from);
			for (k = 0; k < n; k++)
				assert_false(seqs[k] >= first && seqs[k] >= r.lost_from &&
					     seqs[k] <= r.lost_to);
		}
		assert_true(r.end || r.next > next);
		next = r.next;
		forget();
	} while (!r.end);
	assert_int_equal(i, n);
}

static void test_model(void **state)
{
	static uint64_t seqs[MODEL_MAX];
	char texts[16][32];
	const char *list[16];
	struct nexus_eventlog_truncate_args t;
	uint64_t first = 1, last = 0, got;
	uint32_t i, batch;
	size_t n = 0;
	int round;

	(void)state;
	begin(2048);
	for (round = 0; round < 600 && n < MODEL_MAX - 16; round++) {
		switch (rnd(12)) {
		case 0:
			assert_int_equal(end(), 0);
			begin(2048);
			break;
		case 1:
			/* All was given to the system: a helper's end takes nothing. */
			crash();
			begin(2048);
			break;
		case 2:
			t.before = last ? 1 + rnd((u32)last) : 1;
			if (rnd(4))
				break;
			assert_int_equal(elog_truncate(&elog, &t), 0);
			if (t.before > first)
				first = t.before;
			break;
		case 3:
			check_model(seqs, n, first, 1 + rnd((u32)last + 2));
			break;
		default:
			batch = 1 + rnd(16);
			/* The text has the number, which is not known before: the next. */
			for (i = 0; i < batch; i++) {
				snprintf(texts[i], sizeof(texts[i]), "record %llu",
					 (unsigned long long)(elog.next + i));
				list[i] = texts[i];
			}
			assert_int_equal(append(rnd(2) ? "a" : "bcd", list, batch, rnd(8) == 0, &got), 0);
			assert_true(got > last);
			for (i = 0; i < batch; i++)
				seqs[n++] = got + i;
			last = got + batch - 1;
		}
	}
	check_model(seqs, n, first, 1);
	assert_int_equal(end(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cut_everywhere, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(test_flip_unsynced, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(test_flip_synced, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(test_middle, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(test_model, log_setup, log_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
