// SPDX-License-Identifier: Apache-2.0
/* The event log: its format, its rules, a full disk and a bad one, many at once. */
#include "log-world.h"

#include <pthread.h>

/* ---- the format ------------------------------------------------------------------------- */

static void test_heads(void **state)
{
	struct seg_head head = { "0123456789abcde", 77, 70, 60 }, h;
	struct log_state st = { "0123456789abcde", 5000, 9, 4000, true }, s;
	uint8_t buf[STATE_SIZE], bad[STATE_SIZE];
	size_t i;

	(void)state;
	seg_head_put(buf, &head);
	assert_int_equal(seg_head_get(buf, &h), 0);
	assert_memory_equal(&h, &head, sizeof(h));
	for (i = 0; i < SEG_HEAD_SIZE * 8; i++) {
		memcpy(bad, buf, sizeof(buf));
		bad[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(seg_head_get(bad, &h), -EUCLEAN);
	}
	log_state_put(buf, &st);
	assert_int_equal(log_state_get(buf, sizeof(buf), &s), 0);
	assert_int_equal(s.reserved, 5000);
	assert_int_equal(s.first, 9);
	assert_int_equal(s.last, 4000);
	assert_true(s.clean);
	for (i = 0; i < STATE_SIZE; i++)
		assert_int_equal(log_state_get(buf, i, &s), -EUCLEAN);
	for (i = 0; i < STATE_SIZE * 8; i++) {
		memcpy(bad, buf, sizeof(buf));
		bad[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(log_state_get(bad, sizeof(bad), &s), -EUCLEAN);
	}
}

static void test_record(void **state)
{
	struct rec in = {
		.seq = 12, .synced = 11, .zone = "zone", .zone_len = 4,
		.data = (const uint8_t *)"some data", .data_len = 9, .flags = REC_LAST,
	}, out;
	uint8_t buf[128] = { 0 }, *exact;
	size_t size = rec_size(4, 9), i;

	(void)state;
	assert_int_equal(size % REC_ALIGN, 0);
	rec_put(buf, 5, &in);
	assert_int_equal(rec_get(buf, sizeof(buf), 5, &out), size);
	assert_int_equal(out.seq, 12);
	assert_int_equal(out.synced, 11);
	assert_int_equal(out.flags, REC_LAST);
	assert_memory_equal(out.zone, "zone", 4);
	assert_memory_equal(out.data, "some data", 9);
	/* Another log's. */
	assert_int_equal(rec_get(buf, sizeof(buf), 6, &out), -EUCLEAN);
	for (i = 0; i < size * 8; i++) {
		buf[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_true(rec_get(buf, size, 5, &out) < 0);
		buf[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	/* Where there is no more, nothing is read. */
	for (i = 0; i < size; i++) {
		exact = malloc(i ? i : 1);
		memcpy(exact, buf, i);
		assert_int_equal(rec_get(exact, i, 5, &out), i ? -ENODATA : 0);
		free(exact);
	}
	assert_true(rec_after(buf, sizeof(buf), 5, 11));
	assert_false(rec_after(buf, sizeof(buf), 5, 12));
	assert_false(rec_after(buf, sizeof(buf), 6, 0));
	memmove(buf + 16, buf, size);
	memset(buf, 0xff, 16);
	assert_true(rec_after(buf, sizeof(buf), 5, 1));
}

/* ---- its rules -------------------------------------------------------------------------- */

static void test_append_read(void **state)
{
	const char *three[] = { "a", "bb", "ccc" };
	struct nexus_eventlog_append_args none = { .count = 0 };
	struct nexus_eventlog_record big = { .zone_len = 256 };
	struct nexus_eventlog_append_args big_args = { .records = &big, .count = 1 };
	struct nexus_eventlog_read_args r;
	struct nexus_eventlog_state st;
	uint64_t first;

	(void)state;
	begin(1 << 20);
	assert_int_equal(read_some(&r, 0, 10), 0);
	assert_true(r.end);
	assert_int_equal(r.next, 1);
	assert_int_equal(append("x", three, 3, NEXUS_EVENTLOG_NONE, &first), 0);
	assert_int_equal(first, 1);
	assert_int_equal(put("dddd", NEXUS_EVENTLOG_SYNC), 4);
	elog_state(&elog, &st);
	assert_int_equal(st.synced, 4);
	assert_int_equal(st.last, 4);
	assert_int_equal(elog_append(&elog, &none), -EINVAL);
	big_args.durability = 2;
	assert_int_equal(elog_append(&elog, &big_args), -EINVAL);
	big_args.durability = 0;
	assert_int_equal(elog_append(&elog, &big_args), -EMSGSIZE);
	big.zone_len = 0;
	big.data_len = NEXUS_EVENTLOG_DATA_MAX + 1;
	assert_int_equal(elog_append(&elog, &big_args), -EMSGSIZE);
	big_args.count = NEXUS_EVENTLOG_BATCH_MAX + 1;
	assert_int_equal(elog_append(&elog, &big_args), -EMSGSIZE);

	assert_int_equal(read_some(&r, 2, 2), 0);
	assert_int_equal(r.count, 2);
	assert_false(r.end);
	assert_record(&r.records[0], 2, "bb");
	assert_memory_equal(r.records[0].zone, "x", 1);
	assert_record(&r.records[1], 3, "ccc");
	assert_int_equal(r.next, 4);
	assert_int_equal(read_some(&r, r.next, 2), 0);
	assert_int_equal(r.count, 1);
	assert_true(r.end);
	assert_int_equal(read_some(&r, 1, NEXUS_EVENTLOG_READ_MAX + 1), -EMSGSIZE);
	memset(&r, 0, sizeof(r));
	r.zone = "z";
	r.zone_len = 1;
	assert_int_equal(elog_read(&elog, &r, more), 0);
	assert_int_equal(r.count, 1);
	assert_record(&r.records[0], 4, "dddd");
	memset(&r, 0, sizeof(r));
	r.to = 2;
	assert_int_equal(elog_read(&elog, &r, more), 0);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.next, 3);
	memset(&r, 0, sizeof(r));
	r.max_bytes = 3;
	assert_int_equal(elog_read(&elog, &r, more), 0);
	assert_int_equal(r.count, 1);	/* with its zone, the second is too much */
	/* Only one has it. */
	struct elog other;

	assert_int_equal(try_open(&other, 1 << 20), -EAGAIN);
	assert_int_equal(end(), 0);
	begin(1 << 20);
	assert_int_equal(put("e", NEXUS_EVENTLOG_NONE), 5);
	assert_int_equal(read_some(&r, 1, 10), 0);
	assert_int_equal(r.count, 5);
	assert_int_equal(end(), 0);
	forget();
}

static void test_truncate(void **state)
{
	struct nexus_eventlog_truncate_args t = { .before = 6 };
	struct nexus_eventlog_read_args r;
	struct nexus_eventlog_state st;
	int i;

	(void)state;
	begin(256);
	for (i = 0; i < 20; i++)
		put("0123456789", NEXUS_EVENTLOG_NONE);
	assert_int_equal(elog_sync(&elog), 0);
	assert_int_equal(elog_truncate(&elog, &t), 0);
	assert_true(t.files > 0);
	assert_int_equal(read_some(&r, 2, 100), 0);
	assert_int_equal(r.lost_from, 2);
	assert_int_equal(r.lost_to, 5);
	assert_int_equal(r.count, 15);
	assert_int_equal(r.records[0].seq, 6);
	t.before = 22;
	assert_int_equal(elog_truncate(&elog, &t), -ERANGE);
	t.before = 3;
	assert_int_equal(elog_truncate(&elog, &t), 0);
	elog_state(&elog, &st);
	assert_int_equal(st.first, 6);
	t.before = 21;
	assert_int_equal(elog_truncate(&elog, &t), 0);
	assert_int_equal(read_some(&r, 1, 100), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(r.lost_to, 20);
	assert_int_equal(r.next, 21);
	/* Not even a crash brings them back, or their numbers. */
	crash();
	begin(256);
	assert_int_equal(read_some(&r, 1, 100), 0);
	assert_int_equal(r.count, 0);
	assert_true(put("new", NEXUS_EVENTLOG_NONE) >= 21);
	assert_int_equal(end(), 0);
	forget();
}

/* ---- a full disk, a bad disk ---------------------------------------------------------------- */

static void test_disk_full(void **state)
{
	const char *batch[] = { "0123456789", "0123456789", "0123456789" };
	struct nexus_eventlog_read_args r;
	uint64_t n = 0, first = 0;
	int64_t left;

	(void)state;
	begin(512);
	/* Whatever is written when it is full, all or nothing of it is there. */
	for (left = 0; left < 600; left += 7) {
		atomic_store(&disk_left, left);
		if (!append("z", batch, 3, NEXUS_EVENTLOG_NONE, &first)) {
			assert_int_equal(first, n + 1);
			n += 3;
		}
		atomic_store(&disk_left, INT64_MAX);
		assert_int_equal(read_some(&r, 1, 1000), 0);
		assert_int_equal(r.count, n);
		assert_int_equal(r.lost_from, 0);
		assert_int_equal(append("z", batch, 3, NEXUS_EVENTLOG_NONE, &first), 0);
		assert_int_equal(first, n + 1);
		n += 3;
		forget();
	}
	atomic_store(&disk_left, 20);
	assert_int_equal(append("z", batch, 3, NEXUS_EVENTLOG_NONE, &first), -ENOSPC);
	crash();
	atomic_store(&disk_left, INT64_MAX);
	begin(512);
	assert_int_equal(read_some(&r, 1, 1000), 0);
	assert_int_equal(r.count, n);
	assert_int_equal(end(), 0);
	forget();
}

static void test_sync_fails(void **state)
{
	struct nexus_eventlog_read_args r;
	struct nexus_eventlog_state st;
	const char *text = "x";

	(void)state;
	begin(1 << 20);
	put("a", NEXUS_EVENTLOG_SYNC);
	atomic_store(&sync_fails, true);
	assert_int_equal(append("z", &text, 1, NEXUS_EVENTLOG_SYNC, NULL), -EIO);
	atomic_store(&sync_fails, false);
	/* It is not tried again: what the system dropped it does not tell twice. */
	assert_int_equal(append("z", &text, 1, NEXUS_EVENTLOG_NONE, NULL), -EIO);
	assert_int_equal(elog_sync(&elog), -EIO);
	elog_state(&elog, &st);
	assert_true(st.failed);
	assert_int_equal(st.synced, 1);
	assert_int_equal(read_some(&r, 1, 10), 0);
	assert_int_equal(r.count, 2);
	assert_int_equal(end(), -EIO);
	begin(1 << 20);
	assert_true(put("b", NEXUS_EVENTLOG_SYNC) > 2);
	assert_int_equal(end(), 0);
	forget();
}

/* ---- threads -------------------------------------------------------------------------------------- */

#define WRITERS		4
#define EACH		150

static void *writer(void *arg)
{
	const char *text = arg;
	int i;

	for (i = 0; i < EACH; i++)
		put(text, i % 3 ? NEXUS_EVENTLOG_NONE : NEXUS_EVENTLOG_SYNC);
	return NULL;
}

static void *reader(void *arg)
{
	struct nexus_eventlog_read_args r;
	uint64_t next = 1, seen = 0;
	uint32_t i;

	while (seen < WRITERS * EACH) {
		assert_int_equal(read_some(&r, next, 50), 0);
		assert_int_equal(r.lost_from, 0);
		for (i = 0; i < r.count; i++)
			assert_int_equal(r.records[i].seq, ++seen);
		next = r.next;
		forget();
	}
	*(uint64_t *)arg = seen;
	return NULL;
}

static void test_threads(void **state)
{
	char names[WRITERS][2] = { "a", "b", "c", "d" };
	pthread_t threads[WRITERS + 2];
	uint64_t seen[2] = { 0, 0 };
	int i;

	(void)state;
	begin(4096);
	for (i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, writer, names[i]), 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[WRITERS + i], NULL, reader, &seen[i]), 0);
	for (i = 0; i < WRITERS + 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(seen[0], WRITERS * EACH);
	assert_int_equal(seen[1], WRITERS * EACH);
	assert_int_equal(end(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_record),
		cmocka_unit_test_setup_teardown(test_append_read, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(test_truncate, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(test_disk_full, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(test_sync_fails, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(test_threads, log_setup, log_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
