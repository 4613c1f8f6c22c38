// SPDX-License-Identifier: Apache-2.0
/* The event log: its format, what it keeps, and what is left of it after anything. */
#include "util.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "elog.h"

/* ---- a disk that can fail -------------------------------------------------------------- */

static _Atomic int64_t disk_left = INT64_MAX;	/* bytes that can still be written */
static atomic_bool sync_fails;

ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off64_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off64_t offset);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
	int64_t left = atomic_load(&disk_left);

	if (left == INT64_MAX)
		return __real_pwrite64(fd, buf, len, offset);
	if (!left) {
		errno = ENOSPC;
		return -1;
	}
	if ((int64_t)len > left)
		len = (size_t)left;
	atomic_fetch_sub(&disk_left, (int64_t)len);
	return __real_pwrite64(fd, buf, len, offset);
}

int __wrap_fdatasync(int fd)
{
	(void)fd;
	errno = EIO;
	return atomic_load(&sync_fails) ? -1 : 0;
}

/* No machine crashes here: the disk need not be waited for. */
int __wrap_fsync(int fd)
{
	(void)fd;
	return 0;
}

/* ---- a log --------------------------------------------------------------------------------- */

static struct elog elog;
static char said[512];

static void hear(void *arg, enum nexus_service_level level, const char *line)
{
	(void)arg;
	(void)level;
	snprintf(said, sizeof(said), "%s", line);
}

static int try_open(struct elog *l, uint32_t segment_size)
{
	struct elog_opts opts = { .segment_size = segment_size, .reserve = 1000, .log = hear };
	int fd = open(test_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	said[0] = '\0';
	return elog_open(l, fd, &opts);
}

static void begin(uint32_t segment_size)
{
	assert_int_equal(try_open(&elog, segment_size), 0);
}

/* Memory of a call: what was given out, until forget(). */
static __thread void *given[8192];
static __thread size_t ngiven;

static void *more(void *args, size_t size)
{
	(void)args;
	assert_true(ngiven < sizeof(given) / sizeof(given[0]));
	given[ngiven] = calloc(1, size);
	return given[ngiven++];
}

static void forget(void)
{
	while (ngiven)
		free(given[--ngiven]);
}

static int append(const char *zone, const char *const *texts, uint32_t n, uint32_t durability,
		  uint64_t *first)
{
	struct nexus_eventlog_record recs[16] = { 0 };
	struct nexus_eventlog_append_args a = {
		.records = recs, .count = n, .durability = durability,
	};
	uint32_t i;
	int ret;

	assert_true(n <= 16);
	for (i = 0; i < n; i++) {
		recs[i].zone = zone;
		recs[i].zone_len = (uint32_t)strlen(zone);
		recs[i].data = texts[i];
		recs[i].data_len = (uint32_t)strlen(texts[i]);
	}
	ret = elog_append(&elog, &a);
	if (!ret) {
		assert_int_equal(a.last - a.first + 1, n);
		assert_int_equal(recs[n - 1].seq, a.last);
		if (first)
			*first = a.first;
	}
	return ret;
}

static uint64_t put(const char *text, uint32_t durability)
{
	uint64_t seq = 0;

	assert_int_equal(append("z", &text, 1, durability, &seq), 0);
	return seq;
}

static int read_some(struct nexus_eventlog_read_args *a, uint64_t from, uint32_t max)
{
	memset(a, 0, sizeof(*a));
	a->from = from;
	a->max = max;
	return elog_read(&elog, a, more);
}

static void assert_record(const struct nexus_eventlog_record *r, uint64_t seq, const char *text)
{
	assert_int_equal(r->seq, seq);
	assert_int_equal(r->data_len, strlen(text));
	assert_memory_equal(r->data, text, r->data_len);
}

static int setup(void **state)
{
	atomic_store(&disk_left, INT64_MAX);
	atomic_store(&sync_fails, false);
	return test_setup(state);
}

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
	assert_int_equal(elog_close(&elog), 0);
	begin(1 << 20);
	assert_int_equal(put("e", NEXUS_EVENTLOG_NONE), 5);
	assert_int_equal(read_some(&r, 1, 10), 0);
	assert_int_equal(r.count, 5);
	assert_int_equal(elog_close(&elog), 0);
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
	elog_abandon(&elog);
	begin(256);
	assert_int_equal(read_some(&r, 1, 100), 0);
	assert_int_equal(r.count, 0);
	assert_true(put("new", NEXUS_EVENTLOG_NONE) >= 21);
	assert_int_equal(elog_close(&elog), 0);
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
	elog_abandon(&elog);
	atomic_store(&disk_left, INT64_MAX);
	begin(512);
	assert_int_equal(read_some(&r, 1, 1000), 0);
	assert_int_equal(r.count, n);
	assert_int_equal(elog_close(&elog), 0);
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
	assert_int_equal(elog_close(&elog), -EIO);
	begin(1 << 20);
	assert_true(put("b", NEXUS_EVENTLOG_SYNC) > 2);
	assert_int_equal(elog_close(&elog), 0);
	forget();
}

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
	elog_abandon(&elog);
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
		elog_abandon(&elog);
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
		elog_abandon(&elog);
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
		assert_int_equal(elog_close(&elog), 0);
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
		assert_int_equal(elog_close(&elog), 0);
		forget();
	}
	/* The last one gone is known, too: the log was closed behind it. */
	begin(300);
	put("x", NEXUS_EVENTLOG_NONE);
	elog_name(name, elog.segs[elog.nsegs - 1].first);
	assert_int_equal(elog_close(&elog), 0);
	find_segment(name);
	assert_int_equal(unlink(seg_path), 0);
	begin(300);
	assert_int_equal(read_some(&r, 0, 10), -EUCLEAN);
	assert_int_equal(elog_close(&elog), 0);
	find_segment("state");
	assert_int_equal(unlink(seg_path), 0);
	begin(300);
	assert_int_equal(elog_close(&elog), 0);
	/* Segments without "state": which numbers were given is not known. */
	begin(300);
	put("x", NEXUS_EVENTLOG_NONE);
	assert_int_equal(elog_close(&elog), 0);
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
			assert_int_equal(elog_close(&elog), 0);
			begin(2048);
			break;
		case 1:
			/* All was given to the system: a helper's end takes nothing. */
			elog_abandon(&elog);
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
	assert_int_equal(elog_close(&elog), 0);
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
	assert_int_equal(elog_close(&elog), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_record),
		cmocka_unit_test_setup_teardown(test_append_read, setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_truncate, setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_disk_full, setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_sync_fails, setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_cut_everywhere, setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_flip_unsynced, setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_flip_synced, setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_middle, setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_model, setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
