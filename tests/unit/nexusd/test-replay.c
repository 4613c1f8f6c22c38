// SPDX-License-Identifier: Apache-2.0
/* Where the log of a zone ends, after every kind of end. */
#include <fcntl.h>
#include <sys/stat.h>

#include "util.h"

#define BLOCKS		256u	/* of a segment file here */
#define LSN0		NEXUS_FIRST_LSN

static const u8 uuid[NEXUS_UUID_SIZE] = "replay-test-uui";
static const u8 other[NEXUS_UUID_SIZE] = "another-zone-uu";

/* A block of a file that gives no answer. */
static struct {
	ino_t ino;	/* 0: none */
	off_t off;
	unsigned int asked;
} bad;

ssize_t __real_pread64(int fd, void *buf, size_t len, off_t off);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t off);

ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t off)
{
	struct stat st;

	if (bad.ino && off < bad.off + 4096 && off + (off_t)len > bad.off &&
	    !fstat(fd, &st) && st.st_ino == bad.ino) {
		bad.asked++;
		errno = EIO;
		return -1;
	}
	return __real_pread64(fd, buf, len, off);
}

static void spoil_sector(const char *name, u32 block)
{
	char path[200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", test_dir, name);
	assert_int_equal(stat(path, &st), 0);
	bad.ino = st.st_ino;
	bad.off = (off_t)block * 4096;
	bad.asked = 0;
}

static void mend_sector(void)
{
	assert_true(bad.asked);
	bad.ino = 0;
}

struct bench {
	struct logw w;
	struct gen g;
	struct seglog log;
	struct replay r;
	u64 records;		/* seen by the walk */
	u64 next;
};

static void begin(struct bench *b, u64 incarnation, u64 segment, u64 lsn)
{
	memset(b, 0, sizeof(*b));
	logw_init(&b->w, test_dir, uuid, incarnation, segment, lsn);
	logw_segment(&b->w, 0, BLOCKS);
	gen_init(&b->g, 100, 1, 256);
}

static void end(struct bench *b)
{
	logw_free(&b->w);
}

static void batch(struct bench *b, u32 records)
{
	while (records--)
		logw_add(&b->w, gen_next(&b->g));
	logw_batch(&b->w);
}

static int count(void *arg, const u8 *records, size_t len)
{
	struct bench *b = arg;
	size_t off;

	for (off = 0; off < len;) {
		const struct nexus_rec_head *rec = (const void *)(records + off);

		assert_int_equal(le64_to_cpu(rec->lsn), b->next);
		off += le32_to_cpu(rec->len);
		b->next += le32_to_cpu(rec->len);
		b->records++;
	}
	return 0;
}

static void scan_seg(struct bench *b, u64 checkpoint, u64 checkpoint_seg)
{
	assert_int_equal(seglog_open(&b->log, test_dir, uuid), 0);
	b->r = (struct replay){
		.log = &b->log, .incarnation = b->w.incarnation,
		.checkpoint = checkpoint, .from = checkpoint, .checkpoint_seg = checkpoint_seg, .os = b->g.os,
	};
	assert_int_equal(replay_scan(&b->r), 0);
	b->records = 0;
	b->next = checkpoint;
	assert_int_equal(replay_records(&b->r, checkpoint, b->r.tail, count, b), 0);
	assert_int_equal(b->next, b->r.tail > checkpoint ? b->r.tail : checkpoint);
	seglog_close(&b->log);
}

static void scan(struct bench *b, u64 checkpoint)
{
	scan_seg(b, checkpoint, 0);
}

static void test_whole(void **state)
{
	struct bench b;
	u32 i;

	(void)state;
	begin(&b, 3, 7, LSN0);
	for (i = 0; i < 20; i++)
		batch(&b, 1 + rnd(30));
	logw_segment(&b.w, 1, BLOCKS);
	for (i = 0; i < 5; i++)
		batch(&b, 10);
	scan(&b, LSN0);
	assert_false(b.r.corrupt);
	assert_int_equal(b.r.tail, b.w.lsn);
	assert_int_equal(b.r.prev_crc, b.w.prev_crc);
	assert_int_equal(b.r.dropped, 0);
	assert_int_equal(seglog_open(&b.log, test_dir, uuid), 0);
	assert_int_equal(seglog_max_number(&b.log), 8);
	assert_int_equal(seglog_next_index(&b.log), 2);
	seglog_close(&b.log);
	end(&b);
}

/* A checkpoint in the middle of a batch, and in a later segment. */
static void test_checkpoints(void **state)
{
	u64 marks[40];
	struct bench b;
	u32 i, n = 0;

	(void)state;
	begin(&b, 1, 1, LSN0);
	for (i = 0; i < 40; i++) {
		logw_add(&b.w, gen_next(&b.g));
		marks[n++] = b.w.lsn;
		if (i % 7 == 6)
			logw_batch(&b.w);
		if (i == 20)
			logw_segment(&b.w, 1, BLOCKS);
	}
	logw_batch(&b.w);
	for (i = 0; i < n; i++) {
		scan(&b, marks[i]);
		assert_false(b.r.corrupt);
		assert_int_equal(b.r.tail, b.w.lsn);
		assert_int_equal(b.records, n - 1 - i);
	}
	end(&b);
}

/* The last batch is torn: nobody was told, the log ends before it. */
static void test_torn_end(void **state)
{
	struct bench b;
	u64 good;

	(void)state;
	begin(&b, 1, 1, LSN0);
	batch(&b, 10);
	batch(&b, 10);
	good = b.w.lsn;
	batch(&b, 200);
	assert_true(b.w.block > b.w.last_block + 1);
	logw_spoil(&b.w, 0, b.w.last_block + 1, 0x40);
	scan(&b, LSN0);
	assert_false(b.r.corrupt);
	assert_int_equal(b.r.tail, good);
	end(&b);
}

/*
 * M2 a: a torn batch, and one behind it that the disk wrote first.  The next
 * incarnation reuses the LSNs; it must not walk into the old one.
 * Scenario M2.
 */
static void test_stale_tail(void **state)
{
	struct bench b, old;
	u64 torn;

	(void)state;
	begin(&old, 1, 1, LSN0);
	batch(&old, 10);
	torn = old.w.lsn;
	batch(&old, 10);
	old.w.durable = torn;
	logw_spoil(&old.w, 0, old.w.last_block, 0x11);
	batch(&old, 10);
	/* It promises no more than the first did: the log ends before both. */
	scan(&old, LSN0);
	assert_false(old.r.corrupt);
	assert_int_equal(old.r.tail, torn);
	assert_true(old.r.dropped > 0);

	/* The next incarnation begins in a segment of its own, at the same LSN. */
	memset(&b, 0, sizeof(b));
	logw_init(&b.w, test_dir, uuid, 2, 3, torn);
	logw_segment(&b.w, 1, BLOCKS);
	gen_init(&b.g, 1000, 1, 256);
	batch(&b, 10);
	scan(&b, torn);
	assert_false(b.r.corrupt);
	assert_int_equal(b.r.tail, b.w.lsn);
	/* Twice over the same file: the old life of a recycled segment is dead. */
	logw_segment(&b.w, 0, BLOCKS);
	batch(&b, 3);
	scan(&b, torn);
	assert_false(b.r.corrupt);
	assert_int_equal(b.r.tail, b.w.lsn);
	end(&old);
	end(&b);
}

/*
 * M2 b: a bad block in the middle of what was durable is named, never dropped.
 * Scenario M2.
 */
static void test_damaged_middle(void **state)
{
	struct bench b;
	u64 good;
	u32 block;

	(void)state;
	begin(&b, 1, 1, LSN0);
	batch(&b, 10);
	good = b.w.lsn;
	batch(&b, 10);
	block = b.w.last_block;
	batch(&b, 10);
	batch(&b, 10);
	logw_spoil(&b.w, 0, block, 0x01);
	scan(&b, LSN0);
	assert_true(b.r.corrupt);
	assert_int_equal(b.r.tail, good);
	assert_non_null(strstr(b.r.reason, "damaged"));
	/* The index holds it: then it is none of the log's business. */
	scan_seg(&b, b.w.lsn, 1);
	assert_false(b.r.corrupt);
	good = b.w.lsn;
	batch(&b, 10);
	scan_seg(&b, good, 1);
	assert_false(b.r.corrupt);
	assert_int_equal(b.r.tail, b.w.lsn);
	end(&b);
}

static void unreadable(struct bench *b, u64 checkpoint, u64 tail, const char *where)
{
	scan(b, checkpoint);
	assert_true(b->r.corrupt);
	assert_non_null(strstr(b->r.reason, where));
	assert_non_null(strstr(b->r.reason, "Input/output error"));
	assert_int_equal(b->r.tail, tail);
	mend_sector();
	/* It was a passing one: all is there. */
	scan(b, checkpoint);
	assert_false(b->r.corrupt);
	assert_int_equal(b->r.tail, b->w.lsn);
}

/*
 * A disk that gives no answer where the last batch is did not tear it: somebody may
 * have been told that it is durable.  At its head, further on, and where the next
 * one would be; but not where nothing of this log can be.
 * Scenario M2.
 */
static void test_unreadable_end(void **state)
{
	struct bench b;
	u64 good;
	u32 last;

	(void)state;
	begin(&b, 1, 1, LSN0);
	batch(&b, 10);
	good = b.w.lsn;
	batch(&b, 200);
	last = b.w.last_block;
	assert_true(b.w.block > last + 1);
	spoil_sector("000000.seg", last);
	unreadable(&b, LSN0, good, "segment file 000000 cannot be read at block 1:");
	spoil_sector("000000.seg", last + 1);
	unreadable(&b, LSN0, good, "segment file 000000 cannot be read at block 2:");
	spoil_sector("000000.seg", b.w.block);
	unreadable(&b, LSN0, b.w.lsn, "segment file 000000 cannot be read at block");
	/* Further on nothing is looked for. */
	spoil_sector("000000.seg", b.w.block + 1);
	scan(&b, good);
	assert_false(b.r.corrupt);
	assert_int_equal(b.r.tail, b.w.lsn);
	mend_sector();
	/* The head of a file: the log may go on in it, or not have begun. */
	logw_segment(&b.w, 1, BLOCKS);
	good = b.w.lsn;
	batch(&b, 3);
	spoil_sector("000001.seg", 0);
	unreadable(&b, LSN0, good, "segment file 000001 cannot be read at block 0:");
	spoil_sector("000000.seg", 0);
	unreadable(&b, LSN0, LSN0, "segment file 000000 cannot be read at block 0:");
	end(&b);
}

/* One of another life of the file is not missed. */
static void test_unreadable_leftover(void **state)
{
	struct bench b, old;

	(void)state;
	begin(&old, 1, 1, LSN0);
	batch(&old, 10);
	batch(&old, 200);
	assert_true(old.w.block > old.w.last_block + 1);
	memset(&b, 0, sizeof(b));
	logw_init(&b.w, test_dir, uuid, 2, 3, old.w.lsn);
	logw_segment(&b.w, 0, BLOCKS);
	gen_init(&b.g, 1000, 1, 256);
	while (b.w.block < old.w.last_block)
		batch(&b, 1);
	assert_int_equal(b.w.block, old.w.last_block);
	spoil_sector("000000.seg", old.w.last_block + 1);
	scan(&b, old.w.lsn);
	assert_false(b.r.corrupt);
	assert_int_equal(b.r.tail, b.w.lsn);
	mend_sector();
	end(&old);
	end(&b);
}

/* The same, with the end of the chain in the next segment. */
static void test_missing_segment(void **state)
{
	struct bench b;
	char path[200];

	(void)state;
	begin(&b, 1, 1, LSN0);
	batch(&b, 10);
	logw_segment(&b.w, 1, BLOCKS);
	batch(&b, 10);
	logw_segment(&b.w, 2, BLOCKS);
	batch(&b, 10);
	snprintf(path, sizeof(path), "%s/000001.seg", test_dir);
	assert_int_equal(unlink(path), 0);
	scan(&b, LSN0);
	assert_true(b.r.corrupt);
	end(&b);
}

/* Cut at every block: a prefix of batches, and corrupt exactly when it must be. */
static void test_cut_everywhere(void **state)
{
	u64 ends[64];
	u32 starts[64], n = 0, i, cut;
	struct bench b;
	char path[200];

	(void)state;
	begin(&b, 1, 1, LSN0);
	for (i = 0; i < 12; i++) {
		batch(&b, 1 + rnd(60));
		starts[n] = b.w.last_block;
		ends[n++] = b.w.lsn;
	}
	snprintf(path, sizeof(path), "%s/000000.seg", test_dir);
	for (cut = b.w.block; cut-- > 1;) {
		u64 want = LSN0;

		assert_int_equal(truncate(path, (off_t)cut * 4096), 0);
		scan(&b, LSN0);
		for (i = 0; i < n; i++) {
			u32 next = i + 1 < n ? starts[i + 1] : b.w.block;

			if (next <= cut)
				want = ends[i];
		}
		assert_int_equal(b.r.tail, want);
		assert_false(b.r.corrupt);
	}
	end(&b);
}

/* Garbage and other zones' batches are not ours.  Scenario A2. */
static void test_foreign(void **state)
{
	struct bench b, f;

	(void)state;
	begin(&b, 1, 1, LSN0);
	batch(&b, 10);
	memset(&f, 0, sizeof(f));
	logw_init(&f.w, test_dir, other, 1, 2, b.w.lsn);
	logw_segment(&f.w, 5, BLOCKS);
	gen_init(&f.g, 50, 1, 256);
	batch(&f, 10);
	batch(&f, 10);
	scan(&b, LSN0);
	assert_false(b.r.corrupt);
	assert_int_equal(b.r.tail, b.w.lsn);
	end(&b);
	end(&f);
}

static void test_empty(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 1, 1, LSN0);
	scan(&b, LSN0);
	assert_false(b.r.corrupt);
	assert_int_equal(b.r.tail, LSN0);
	end(&b);
}

/* The index says more than the log: forced ahead of it, or the log was put back. */
static void test_index_ahead(void **state)
{
	struct bench b;
	u64 ahead;

	(void)state;
	begin(&b, 1, 4, LSN0);
	batch(&b, 10);
	ahead = b.w.lsn + 800;
	scan_seg(&b, ahead, 4);
	assert_true(b.r.corrupt);
	assert_non_null(strstr(b.r.reason, "index"));
	/* Its segment is being overwritten by the next: nothing is missing. */
	scan_seg(&b, ahead, 5);
	assert_false(b.r.corrupt);
	assert_int_equal(b.r.tail, ahead);
	end(&b);
}

static struct gen_file *only_file(struct gen *g)
{
	u32 i;

	for (i = 0; i < GEN_FILES; i++)
		if (g->file[i].ino)
			return &g->file[i];
	return NULL;
}

#define PACK	"packs/01/0000000000000001.pack"

/* With pack 1 in a folder of its own; close what is returned. */
static struct nexus_objectstore *begin_packed(struct bench *b)
{
	struct nexus_objectstore *os;
	char path[200];

	snprintf(path, sizeof(path), "%s/packs", test_dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(nexus_os_localdisk.open(path, &os), 0);
	assert_int_equal(pack_create(os, 1, 256, uuid), 0);
	begin(b, 1, 1, LSN0);
	b->g.os = os;
	return os;
}

/* Data that did not reach the pack takes its whole batch with it.  Scenario A23. */
static void test_data_of_last_batch(void **state)
{
	struct nexus_objectstore *os;
	struct bench b;
	u64 good, lines;
	u32 blocks, spoil;
	u8 byte = 0x5a;
	char path[200];
	int fd;

	(void)state;
	os = begin_packed(&b);
	logw_add(&b.w, gen_create(&b.g));
	logw_add(&b.w, gen_extent(&b.g, only_file(&b.g)));
	logw_batch(&b.w);
	good = b.w.lsn;
	spoil = b.g.next_block;
	logw_add(&b.w, gen_extent(&b.g, only_file(&b.g)));
	logw_add(&b.w, gen_next(&b.g));
	logw_batch(&b.w);
	scan(&b, LSN0);
	assert_int_equal(b.r.tail, b.w.lsn);
	/* No answer is not "no". */
	spoil_sector(PACK, spoil);
	snprintf(path, sizeof(path), "block %u of pack 1, which cannot be read", spoil);
	unreadable(&b, LSN0, good, path);

	fd = os->drv->open_pack(os, 1, true, &blocks);
	close(fd);
	snprintf(path, sizeof(path), "%s/" PACK, test_dir);
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)spoil * 4096 + 77), 1);
	fsync(fd);
	close(fd);
	/* It may be away, if the table could be asked. */
	spoil_sector(PACK, 1);
	scan(&b, LSN0);
	assert_true(b.r.corrupt);
	mend_sector();
	scan(&b, LSN0);
	assert_false(b.r.corrupt);
	assert_int_equal(b.r.tail, good);
	assert_true(b.r.dropped > 0);

	/* Somebody was told: then it is the data that is damaged, not the log. */
	logw_add(&b.w, gen_create(&b.g));
	logw_batch(&b.w);
	scan(&b, LSN0);
	assert_int_equal(b.r.tail, b.w.lsn);

	/* The table gets its lines, once, also in lots. */
	assert_int_equal(seglog_open(&b.log, test_dir, uuid), 0);
	b.r.table_lines = 2;
	assert_int_equal(replay_tables(&b.r, uuid, &lines), 0);
	assert_true(lines > 2);
	b.r.table_lines = 0;
	assert_int_equal(replay_tables(&b.r, uuid, &lines), 0);
	assert_int_equal(lines, 0);
	seglog_close(&b.log);
	os->drv->close(os);
	end(&b);
}

/*
 * What has no checksums cannot be missed: the kernel flushed it first.  The table says
 * whose it is all the same.
 */
static void test_data_without_checksums(void **state)
{
	struct nexus_objectstore *os;
	struct nexus_pack_line line[256];
	struct bench b;
	u32 blocks, spoil, i, n = 0;
	u64 lines;
	u8 byte = 0x5a;
	char path[200];
	int fd;

	(void)state;
	os = begin_packed(&b);
	logw_add(&b.w, gen_create(&b.g));
	logw_batch(&b.w);
	b.g.plain = 1;
	spoil = b.g.next_block;
	logw_add(&b.w, gen_extent(&b.g, only_file(&b.g)));
	logw_batch(&b.w);
	fd = os->drv->open_pack(os, 1, true, &blocks);
	close(fd);
	snprintf(path, sizeof(path), "%s/" PACK, test_dir);
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)spoil * 4096 + 77), 1);
	fsync(fd);
	scan(&b, LSN0);
	assert_false(b.r.corrupt);
	assert_int_equal(b.r.tail, b.w.lsn);
	assert_int_equal(seglog_open(&b.log, test_dir, uuid), 0);
	assert_int_equal(replay_tables(&b.r, uuid, &lines), 0);
	assert_int_equal(lines, b.g.next_block - spoil);
	seglog_close(&b.log);
	assert_int_equal(pread(fd, line, sizeof(line), 4096), sizeof(line));
	for (i = 0; i < 256; i++) {
		if (!line[i].ino)
			continue;
		n++;
		assert_true(i >= spoil && i < b.g.next_block);
		assert_int_equal(le64_to_cpu(line[i].offset) & 4095, NEXUS_PL_NOCRC);
		assert_int_equal(line[i].crc, 0);
	}
	assert_int_equal(n, lines);
	close(fd);
	os->drv->close(os);
	end(&b);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, test_setup, test_teardown)
	const struct CMUnitTest tests[] = {
		T(test_whole),
		T(test_checkpoints),
		T(test_torn_end),
		T(test_stale_tail),
		T(test_damaged_middle),
		T(test_unreadable_end), T(test_unreadable_leftover),
		T(test_missing_segment),
		T(test_cut_everywhere),
		T(test_foreign),
		T(test_empty),
		T(test_index_ahead),
		T(test_data_of_last_batch), T(test_data_without_checksums),
	};

	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
