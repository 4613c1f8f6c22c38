// SPDX-License-Identifier: Apache-2.0
/*
 * Sealed packs go where copies of them are held: once, not too early, in the end whatever
 * fails meanwhile; and nothing that is held is written over by less.
 */
#include <fcntl.h>

#include "made.h"
#include "stats.h"
#include "upload.h"

#define LONG_MS	60000u	/* nobody waits for so long but who fails */

static u64 counter(enum stats_counter c)
{
	return atomic_load(&stats_values[c]);
}

static void begin(struct made *m)
{
	made_new(m);
	m->cfg.upload_delay = 1;
	m->cfg.upload_parallel = 2;
	zone_upload_start(m->z);
	assert_non_null(m->z->upload);
}

static void again(struct made *m)
{
	made_cut(m);
	made_open(m);
	zone_upload_start(m->z);
	assert_non_null(m->z->upload);
}

/* Until all is held; the status then. */
static struct upload_status flush(struct made *m)
{
	struct upload_status st;

	assert_int_equal(zone_upload_flush(m->z, LONG_MS, &st), 0);
	assert_int_equal(st.packs, 0);
	assert_int_equal(st.deletes, 0);
	assert_string_equal(st.error, "");
	return st;
}

static int head(struct made *m, u64 *bytes)
{
	struct content *c = m->z->fetch->content;

	return c->ops->head(c, m->pack, bytes);
}

/* Of the pack, up to its last block. */
static u64 used(const struct made *m)
{
	return (u64)m->g.next_block << NEXUS_BLOCK_SHIFT;
}

static bool held(struct made *m)
{
	u64 bytes;

	return !head(m, &bytes) && bytes == used(m);
}

static void lose_marks(struct made *m)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/" UPLOAD_FILE, m->z->dir);
	assert_int_equal(unlink(path), 0);
}

/* What is held is the pack, and is enough to bring it back. */
static void test_put(void **state)
{
	u64 before = counter(STATS_uploads);
	struct upload_status st;
	struct made m;

	(void)state;
	begin(&m);
	st = flush(&m);
	assert_true(held(&m));
	assert_int_equal(st.put_packs, 1);
	assert_int_equal(st.put_bytes, used(&m));
	assert_true(used(&m) < m.z->sb.pack_size);
	assert_int_equal(counter(STATS_uploads) - before, 1);
	made_evict(&m);
	assert_int_equal(made_away(&m), m.live);
	assert_int_equal(zone_fetch(m.z, m.pack, 0, MADE_BLOCKS), 0);
	assert_int_equal(made_away(&m), 0);
	/* The next helper knows, and one that does not asks. */
	again(&m);
	flush(&m);
	lose_marks(&m);
	again(&m);
	flush(&m);
	assert_int_equal(counter(STATS_uploads) - before, 1);
	made_cut(&m);
}

/* An object of @bytes, of which the first are the pack's. */
static void put_object(struct made *m, u64 bytes)
{
	struct content *c = m->z->fetch->content;
	int fd = open(test_dir, O_TMPFILE | O_RDWR, 0600), from;
	u32 blocks;

	from = m->z->os->drv->open_pack(m->z->os, m->pack, false, &blocks);
	assert_true(fd >= 0 && from >= 0);
	assert_int_equal(copy_file_range(from, NULL, fd, NULL, m->z->sb.pack_size, 0),
			 m->z->sb.pack_size);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	assert_int_equal(c->ops->put(c, m->pack, fd, bytes), 0);
	close(from);
	close(fd);
}

/* What has all that is in use is held, up to a whole pack; anything else is put over. */
static void test_lengths(void **state)
{
	u64 bytes, before = counter(STATS_uploads), n = 0;
	struct made m;
	u32 i;

	(void)state;
	made_new(&m);
	m.cfg.upload_delay = 1;
	m.cfg.upload_parallel = 1;
	for (i = 0; i < 5; i++) {
		u64 there[] = {
			0, used(&m) - NEXUS_BLOCK_SIZE, used(&m), m.z->sb.pack_size,
			m.z->sb.pack_size + NEXUS_BLOCK_SIZE,
		};
		bool all = there[i] >= used(&m) && there[i] <= m.z->sb.pack_size;

		put_object(&m, there[i]);
		zone_upload_start(m.z);
		flush(&m);
		n += !all;
		assert_int_equal(counter(STATS_uploads) - before, n);
		assert_int_equal(head(&m, &bytes), 0);
		assert_int_equal(bytes, all ? there[i] : used(&m));
		made_evict(&m);
		assert_int_equal(zone_fetch(m.z, m.pack, 0, MADE_BLOCKS), 0);
		assert_int_equal(made_away(&m), 0);
		lose_marks(&m);
		made_cut(&m);
		made_open(&m);
	}
	made_cut(&m);
}

/* What cannot be put waits, and goes once it can, with nobody's help. */
static void test_down(void **state)
{
	struct upload_status st;
	struct made m;

	(void)state;
	made_new(&m);
	made_control("refuse\n");
	m.cfg.upload_delay = 1;
	m.cfg.upload_parallel = 2;
	zone_upload_start(m.z);
	do {
		assert_int_equal(zone_upload_flush(m.z, 20, &st), 0);
		assert_int_equal(st.packs, 1);
	} while (!st.error[0]);
	assert_int_equal(st.bytes, used(&m));
	assert_non_null(strstr(st.error, "cannot be given to test"));
	assert_true(st.error_at > 0);
	assert_false(held(&m));
	/* The zone ends for all that, and the next helper goes on. */
	again(&m);
	assert_int_equal(zone_upload_flush(m.z, 20, &st), 0);
	assert_int_equal(st.packs, 1);
	made_control("");
	flush(&m);
	assert_true(held(&m));
	made_cut(&m);
}

/* A file with holes is not put over, nor instead of, the only copy. */
static void test_holes(void **state)
{
	struct upload_status st;
	struct made m;

	(void)state;
	begin(&m);
	flush(&m);
	made_evict(&m);
	m.z->fetch->content->ops->del(m.z->fetch->content, m.pack);
	lose_marks(&m);
	again(&m);
	do {
		assert_int_equal(zone_upload_flush(m.z, 20, &st), 0);
	} while (!st.error[0]);
	assert_int_equal(st.packs, 1);
	assert_false(held(&m));
	made_cut(&m);
}

/* Its record may still be lost: then the pack would be another one. */
static void test_durable(void **state)
{
	struct upload_status st;
	struct made m;
	u64 durable;

	(void)state;
	made_new(&m);
	m.cfg.upload_delay = 1;
	m.cfg.upload_parallel = 1;
	durable = zone_durable(m.z);
	fake_durable(&m.k, durable - 8);
	zone_upload_start(m.z);
	assert_int_equal(zone_upload_flush(m.z, 300, &st), 0);
	assert_int_equal(st.packs, 1);
	assert_int_equal(st.busy, 0);
	assert_string_equal(st.error, "");
	assert_false(held(&m));
	fake_durable(&m.k, durable);
	flush(&m);
	assert_true(held(&m));
	made_cut(&m);
}

/* Copies of what is gone go, of what this helper knows and of what the one before did. */
static void test_forget(void **state)
{
	u64 before = counter(STATS_upload_deletes);
	struct uploadmarks marks;
	struct content *c;
	struct made m;
	u64 bytes;
	int fd;

	(void)state;
	begin(&m);
	flush(&m);
	assert_true(held(&m));
	zone_fetch_forget(m.z, m.pack);
	/* The index still has it, so it may be put again meanwhile. */
	while (counter(STATS_upload_deletes) == before)
		usleep(1000);
	made_cut(&m);
	/* A pack that no index names. */
	made_open(&m);
	assert_int_equal(uploadmarks_open(&marks, m.z->dir), 0);
	assert_int_equal(uploadmarks_set(&marks, 777777, MARK_BEGUN), 0);
	uploadmarks_close(&marks);
	m.pack = 777777;
	c = m.z->fetch->content;
	fd = open(test_dir, O_TMPFILE | O_RDWR, 0600);
	assert_true(fd >= 0);
	assert_int_equal(c->ops->put(c, m.pack, fd, 0), 0);
	close(fd);
	assert_int_equal(head(&m, &bytes), 0);
	zone_upload_start(m.z);
	flush(&m);
	assert_int_equal(head(&m, &bytes), -ENOENT);
	assert_int_equal(uploadmarks_get(&m.z->upload->marks, 777777), MARK_NONE);
	made_cut(&m);
}

static void *evict_main(void *arg)
{
	struct made *m = arg;
	struct evict_done d = { 0 };
	u32 i;

	for (i = 0; i < 20; i++) {
		if (zone_evict(m->z, m->pack, &d) ||
		    zone_fetch(m->z, m->pack, 0, MADE_BLOCKS))
			return arg;
	}
	return NULL;
}

/* While it is put again and again it is evicted: neither loses what the other needs. */
static void test_beside(void **state)
{
	pthread_t thread;
	struct made m;
	void *failed;
	u32 i;

	(void)state;
	begin(&m);
	assert_int_equal(pthread_create(&thread, NULL, evict_main, &m), 0);
	for (i = 0; i < 20; i++) {
		pthread_mutex_lock(&m.z->upload->mark_lock);
		uploadmarks_set(&m.z->upload->marks, m.pack, MARK_BEGUN);
		pthread_mutex_unlock(&m.z->upload->mark_lock);
		flush(&m);
	}
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_true(held(&m));
	assert_int_equal(made_away(&m), 0);
	made_evict(&m);
	assert_int_equal(zone_fetch(m.z, m.pack, 0, MADE_BLOCKS), 0);
	assert_int_equal(made_away(&m), 0);
	made_cut(&m);
}

/* ---- marks -------------------------------------------------------------------------- */

#define MARKED	40u

static void fill_marks(void)
{
	struct uploadmarks m;
	u64 i;

	assert_int_equal(uploadmarks_open(&m, test_dir), 0);
	for (i = MARKED; i; i--)
		assert_int_equal(uploadmarks_set(&m, i * 3, MARK_BEGUN), 0);
	for (i = 1; i <= MARKED; i++)
		assert_int_equal(uploadmarks_set(&m, i * 3, i % 4 ? MARK_HELD : MARK_GONE), 0);
	uploadmarks_close(&m);
}

/* What a pack is called after every moment there was, at the most. */
static bool may_be(u64 pack, enum upload_mark mark)
{
	if (mark == MARK_NONE || mark == MARK_BEGUN)
		return true;
	return pack % 3 == 0 && pack && pack <= MARKED * 3 && (pack / 3) % 4;
}

static void test_marks(void **state)
{
	struct uploadmarks m;
	char path[PATH_MAX];
	u8 byte;
	off_t size;
	u64 i;
	int fd;

	(void)state;
	fill_marks();
	assert_int_equal(uploadmarks_open(&m, test_dir), 0);
	assert_int_equal(m.n, MARKED - MARKED / 4);
	for (i = 0; i < MARKED * 4; i++)
		assert_int_equal(uploadmarks_get(&m, i),
				 i && i % 3 == 0 && i <= MARKED * 3 && i / 3 % 4 ? MARK_HELD :
				 MARK_NONE);
	uploadmarks_close(&m);
	snprintf(path, sizeof(path), "%s/" UPLOAD_FILE, test_dir);
	fd = open(path, O_RDWR);
	size = lseek(fd, 0, SEEK_END);
	/* Any byte is another one. */
	for (i = 0; i < (u64)size; i++) {
		u64 pack;

		assert_int_equal(pread(fd, &byte, 1, (off_t)i), 1);
		byte ^= 1u << rnd(8);
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)i), 1);
		assert_int_equal(uploadmarks_open(&m, test_dir), 0);
		for (pack = 0; pack < MARKED * 4; pack++)
			assert_true(may_be(pack, uploadmarks_get(&m, pack)));
		/* What comes after it is read again. */
		assert_int_equal(uploadmarks_set(&m, 1000, MARK_HELD), 0);
		uploadmarks_close(&m);
		assert_int_equal(uploadmarks_open(&m, test_dir), 0);
		assert_int_equal(uploadmarks_get(&m, 1000), MARK_HELD);
		uploadmarks_close(&m);
		close(fd);
		unlink(path);
		fill_marks();
		fd = open(path, O_RDWR);
	}
	/* It ends anywhere. */
	for (; size >= 0; size--) {
		assert_int_equal(ftruncate(fd, size), 0);
		assert_int_equal(uploadmarks_open(&m, test_dir), 0);
		for (i = 0; i < MARKED * 4; i++)
			assert_true(may_be(i, uploadmarks_get(&m, i)));
		uploadmarks_close(&m);
	}
	close(fd);
}

/* Of a long past little is kept. */
static void test_marks_rewritten(void **state)
{
	struct uploadmarks m;
	char path[PATH_MAX];
	off_t before;
	u64 i;
	int fd;

	(void)state;
	assert_int_equal(uploadmarks_open(&m, test_dir), 0);
	for (i = 0; i < 5000; i++)
		assert_int_equal(uploadmarks_set(&m, i, MARK_HELD), 0);
	for (i = 10; i < 5000; i++)
		assert_int_equal(uploadmarks_set(&m, i, MARK_GONE), 0);
	before = lseek(m.fd, 0, SEEK_END);
	uploadmarks_close(&m);
	for (i = 0; i < 2; i++) {
		assert_int_equal(uploadmarks_open(&m, test_dir), 0);
		assert_int_equal(m.n, 10);
		assert_int_equal(uploadmarks_get(&m, 9), MARK_HELD);
		uploadmarks_close(&m);
	}
	snprintf(path, sizeof(path), "%s/" UPLOAD_FILE, test_dir);
	fd = open(path, O_RDONLY);
	assert_true(lseek(fd, 0, SEEK_END) * 100 < before);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_put, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_lengths, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_down, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_holes, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_durable, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_forget, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_beside, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_marks, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_marks_rewritten, test_setup, test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
