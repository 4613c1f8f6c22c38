// SPDX-License-Identifier: Apache-2.0
/* Every metastore driver against the ordered map, and LMDB through a death. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <nexus/metastore.h>

#include "lib/omap.h"

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/var/tmp/nexus-ms-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static struct nexus_metastore *open_store(const struct nexus_ms_driver *drv, bool create,
					  u64 map_size)
{
	struct nexus_ms_opts opts = { .create = create, .map_size = map_size };
	struct nexus_metastore *ms = NULL;
	char err[256] = "";
	int ret = drv->open(dir, &opts, &ms, err, sizeof(err));

	if (ret)
		print_message("%s: %d %s\n", drv->name, ret, err);
	assert_int_equal(ret, 0);
	return ms;
}

static u32 state_rnd = 1;

static u32 rnd(u32 below)
{
	state_rnd ^= state_rnd << 13;
	state_rnd ^= state_rnd >> 17;
	state_rnd ^= state_rnd << 5;
	return state_rnd % below;
}

static size_t make_key(u8 *key)
{
	size_t len = 1 + rnd(rnd(8) ? 4 : NEXUS_KEY_MAX);
	size_t i;

	for (i = 0; i < len; i++)
		key[i] = (u8)('a' + rnd(3));
	return len;
}

/* Walks both and looks every key up. */
static void same(struct nexus_metastore *ms, struct nexus_omap *map)
{
	const struct nexus_omap_entry *e = nexus_omap_lower(map, "", 0, false);
	const void *key = "", *val;
	size_t klen = 0, vlen;
	struct nexus_ms_snap *snap;
	u64 n = 0;
	int ret;

	assert_int_equal(ms->drv->begin_read(ms, &snap), 0);
	for (;;) {
		ret = ms->drv->seek(snap, key, klen, n > 0, &key, &klen, &val, &vlen);
		if (!e)
			break;
		assert_int_equal(ret, 0);
		assert_int_equal(klen, e->klen);
		assert_memory_equal(key, e->data, klen);
		assert_int_equal(vlen, e->vlen);
		assert_memory_equal(val, nexus_omap_val(e), vlen);
		assert_int_equal(ms->drv->get(snap, key, klen, &val, &vlen), 0);
		assert_int_equal(vlen, e->vlen);
		e = nexus_omap_lower(map, e->data, e->klen, true);
		n++;
	}
	assert_int_equal(ret, -ENOENT);
	ms->drv->end_read(snap);
}

static int fill(struct nexus_ms_batch *b, const struct nexus_ms_driver *drv,
		const struct nexus_omap *changes)
{
	const struct nexus_omap_entry *e;
	int ret = 0;

	for (e = nexus_omap_lower(changes, "", 0, false); e && !ret;
	     e = nexus_omap_lower(changes, e->data, e->klen, true))
		ret = e->tombstone ? drv->del(b, e->data, e->klen) :
			drv->put(b, e->data, e->klen, nexus_omap_val(e), e->vlen);
	return ret;
}

static int write_changes(struct nexus_metastore *ms, const struct nexus_omap *changes)
{
	struct nexus_ms_batch *b;
	int ret;

	do {
		assert_int_equal(ms->drv->begin_write(ms, &b), 0);
		ret = fill(b, ms->drv, changes);
		if (ret && ret != -ENOSPC) {
			ms->drv->abort(b);
			return ret;
		}
		ret = ms->drv->commit(b);
	} while (ret == -EAGAIN);
	return ret;
}

static void random_changes(struct nexus_omap *changes, u32 n, u32 vmax)
{
	u8 key[NEXUS_KEY_MAX], *val = calloc(1, vmax + 1);
	size_t klen;

	while (n--) {
		klen = make_key(key);
		val[0] = (u8)rnd(256);
		if (rnd(3))
			nexus_omap_put(changes, key, klen, val, rnd(vmax) + 1);
		else
			nexus_omap_tombstone(changes, key, klen);
	}
	free(val);
}

static void apply_to(struct nexus_omap *map, const struct nexus_omap *changes)
{
	const struct nexus_omap_entry *e;

	for (e = nexus_omap_lower(changes, "", 0, false); e;
	     e = nexus_omap_lower(changes, e->data, e->klen, true)) {
		if (e->tombstone)
			nexus_omap_remove(map, e->data, e->klen);
		else
			nexus_omap_put(map, e->data, e->klen, nexus_omap_val(e), e->vlen);
	}
}

/* The smallest map there is: it has to grow all the time, unnoticed. */
static void model(const struct nexus_ms_driver *drv, u64 map_size)
{
	struct nexus_metastore *ms = open_store(drv, true, map_size);
	struct nexus_omap map, changes;
	int i;

	nexus_omap_init(&map);
	nexus_omap_init(&changes);
	for (i = 0; i < 60; i++) {
		random_changes(&changes, 1 + rnd(200), rnd(5) ? 100 : 65000);
		assert_int_equal(write_changes(ms, &changes), 0);
		apply_to(&map, &changes);
		nexus_omap_destroy(&changes);
		if (!(i % 7))
			same(ms, &map);
		if (!(i % 20)) {
			drv->close(ms);
			ms = open_store(drv, false, map_size);
		}
	}
	same(ms, &map);
	drv->close(ms);
	nexus_omap_destroy(&map);
}

static void test_model_mem(void **state)
{
	(void)state;
	model(&nexus_ms_mem, 0);
}

static void test_model_lmdb(void **state)
{
	(void)state;
	model(&nexus_ms_lmdb, 1u << 20);
}

static void test_snapshot_stays(void **state)
{
	struct nexus_metastore *ms = open_store(&nexus_ms_lmdb, true, 0);
	struct nexus_ms_snap *snap;
	struct nexus_omap changes;
	const void *val;
	size_t vlen;

	(void)state;
	nexus_omap_init(&changes);
	nexus_omap_put(&changes, "k", 1, "old", 3);
	assert_int_equal(write_changes(ms, &changes), 0);
	assert_int_equal(ms->drv->begin_read(ms, &snap), 0);
	nexus_omap_put(&changes, "k", 1, "newer", 5);
	assert_int_equal(write_changes(ms, &changes), 0);
	assert_int_equal(ms->drv->get(snap, "k", 1, &val, &vlen), 0);
	assert_int_equal(vlen, 3);
	ms->drv->end_read(snap);
	assert_int_equal(ms->drv->begin_read(ms, &snap), 0);
	assert_int_equal(ms->drv->get(snap, "k", 1, &val, &vlen), 0);
	assert_int_equal(vlen, 5);
	assert_int_equal(ms->drv->get(snap, "l", 1, &val, &vlen), -ENOENT);
	ms->drv->end_read(snap);
	nexus_omap_destroy(&changes);
	ms->drv->close(ms);
}

static void test_abort_changes_nothing(void **state)
{
	const struct nexus_ms_driver *const drivers[] = { &nexus_ms_lmdb, &nexus_ms_mem };
	struct nexus_ms_batch *b;
	struct nexus_omap map;
	size_t i;

	(void)state;
	nexus_omap_init(&map);
	for (i = 0; i < 2; i++) {
		struct nexus_metastore *ms = open_store(drivers[i], true, 0);

		assert_int_equal(ms->drv->begin_write(ms, &b), 0);
		assert_int_equal(ms->drv->put(b, "k", 1, "v", 1), 0);
		ms->drv->abort(b);
		same(ms, &map);
		ms->drv->close(ms);
	}
}

/* Nothing of a batch gets in once a part of it was refused.  Scenario A9. */
static void test_failed_put_spoils_the_batch(void **state)
{
	struct nexus_metastore *ms = open_store(&nexus_ms_lmdb, true, 0);
	struct nexus_ms_batch *b;
	struct nexus_ms_snap *snap;
	const void *val;
	size_t len;

	(void)state;
	assert_int_equal(ms->drv->begin_write(ms, &b), 0);
	assert_int_equal(ms->drv->put(b, "good", 4, "v", 1), 0);
	assert_true(ms->drv->put(b, "", 0, "v", 1) < 0);
	assert_int_equal(ms->drv->put(b, "late", 4, "v", 1), 0);
	assert_true(ms->drv->commit(b) < 0);
	assert_int_equal(ms->drv->begin_read(ms, &snap), 0);
	assert_int_equal(ms->drv->get(snap, "good", 4, &val, &len), -ENOENT);
	ms->drv->end_read(snap);
	/* And the next one is none the worse for it. */
	assert_int_equal(ms->drv->begin_write(ms, &b), 0);
	assert_int_equal(ms->drv->put(b, "good", 4, "v", 1), 0);
	assert_int_equal(ms->drv->commit(b), 0);
	ms->drv->close(ms);
}

/* LMDB's own writes come by here: those to its first two pages end a commit. */
static bool fail_meta;

ssize_t pwrite_of_lmdb(int fd, const void *buf, size_t len, off_t at) __asm__("pwrite");

ssize_t pwrite_of_lmdb(int fd, const void *buf, size_t len, off_t at)
{
	if (fail_meta && at < 2 * 4096) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, buf, len, at);
}

static void put_one(struct nexus_metastore *ms, const char *key, int expected)
{
	struct nexus_ms_batch *b;
	int ret = ms->drv->begin_write(ms, &b);

	if (!ret) {
		assert_int_equal(ms->drv->put(b, key, strlen(key), "v", 1), 0);
		ret = ms->drv->commit(b);
	}
	assert_int_equal(ret, expected);
}

static void has(struct nexus_metastore *ms, const char *key, bool there)
{
	struct nexus_ms_snap *snap;
	const void *val;
	size_t len;

	assert_int_equal(ms->drv->begin_read(ms, &snap), 0);
	assert_int_equal(ms->drv->get(snap, key, strlen(key), &val, &len),
			 there ? 0 : -ENOENT);
	ms->drv->end_read(snap);
}

/*
 * The last write of a commit fails.  The store can be read all the time, is as
 * before, and written again when the disk can be.
 * Scenario A9.
 */
static void test_last_write_of_a_commit_fails(void **state)
{
	struct nexus_metastore *ms = open_store(&nexus_ms_lmdb, true, 0);

	(void)state;
	put_one(ms, "before", 0);
	has(ms, "before", true);
	fail_meta = true;
	put_one(ms, "lost", -EIO);
	has(ms, "before", true);
	has(ms, "lost", false);
	put_one(ms, "lost", -EIO);
	fail_meta = false;
	put_one(ms, "after", 0);
	has(ms, "before", true);
	has(ms, "lost", false);
	ms->drv->close(ms);
	ms = open_store(&nexus_ms_lmdb, false, 0);
	has(ms, "before", true);
	has(ms, "after", true);
	has(ms, "lost", false);
	ms->drv->close(ms);
}

static off_t behind_the_end(void)
{
	char path[sizeof(dir) + 16];
	struct stat st;

	snprintf(path, sizeof(path), "%s/data.mdb", dir);
	assert_int_equal(stat(path, &st), 0);
	return (off_t)st.st_blocks * 512 - st.st_size;
}

/* A full disk can be emptied: the index has what it needs for that before. */
static void test_space_ahead(void **state)
{
	struct nexus_metastore *ms = open_store(&nexus_ms_lmdb, true, 0);
	static const char val[40000];
	struct nexus_ms_batch *b;
	u32 i;

	(void)state;
	if (!behind_the_end())
		skip();
	assert_true(behind_the_end() >= 7 << 20);
	for (i = 0; i < 200; i++) {
		assert_int_equal(ms->drv->begin_write(ms, &b), 0);
		assert_int_equal(ms->drv->put(b, &i, sizeof(i), val, sizeof(val)), 0);
		assert_int_equal(ms->drv->commit(b), 0);
		assert_true(behind_the_end() >= 3 << 20);
	}
	ms->drv->close(ms);
	assert_true(behind_the_end() >= 3 << 20);
}

/*
 * A process dies at any moment of a commit: the store holds a whole number of
 * batches, all that were reported among them.
 */
static void crash_child(int fd)
{
	struct nexus_metastore *ms = open_store(&nexus_ms_lmdb, false, 1u << 20);
	u32 i, j;

	for (i = 1;; i++) {
		struct nexus_ms_batch *b;
		int ret;

		do {
			if (ms->drv->begin_write(ms, &b))
				_exit(1);
			ret = 0;
			for (j = 0; j < 50 && !ret; j++) {
				char key[16], val[512] = "";
				int n = snprintf(key, sizeof(key), "%u", j);

				memcpy(val, &i, sizeof(i));
				ret = ms->drv->put(b, key, (size_t)n, val, 100 + j * 8);
			}
			ret = ms->drv->commit(b);
		} while (ret == -EAGAIN);
		if (ret || write(fd, &i, sizeof(i)) != sizeof(i))
			_exit(1);
	}
}

static void check_after_crash(u32 reported)
{
	struct nexus_metastore *ms = open_store(&nexus_ms_lmdb, false, 0);
	struct nexus_ms_snap *snap;
	u32 first = 0, got, j;

	assert_int_equal(ms->drv->begin_read(ms, &snap), 0);
	for (j = 0; j < 50; j++) {
		char key[16];
		int n = snprintf(key, sizeof(key), "%u", j);
		const void *val;
		size_t vlen;
		int ret = ms->drv->get(snap, key, (size_t)n, &val, &vlen);

		got = 0;
		if (!ret)
			memcpy(&got, val, sizeof(got));
		if (!j)
			first = got;
		assert_int_equal(got, first);
	}
	assert_true(first >= reported);
	ms->drv->end_read(snap);
	ms->drv->close(ms);
}

static void test_killed_in_commit(void **state)
{
	struct nexus_metastore *ms = open_store(&nexus_ms_lmdb, true, 1u << 20);
	int round, pipefd[2], status;

	(void)state;
	ms->drv->close(ms);
	for (round = 0; round < 12; round++) {
		u32 last = 0, got;
		pid_t pid;

		assert_int_equal(pipe(pipefd), 0);
		pid = fork();
		if (!pid) {
			close(pipefd[0]);
			crash_child(pipefd[1]);
		}
		close(pipefd[1]);
		usleep(20000 + rnd(60000));
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status));
		while (read(pipefd[0], &got, sizeof(got)) == sizeof(got))
			last = got;
		close(pipefd[0]);
		check_after_crash(last);
	}
}

static void expect_refused(int want, const char *words)
{
	struct nexus_ms_opts opts = { .create = false };
	struct nexus_metastore *ms;
	char err[256] = "";
	int ret = nexus_ms_lmdb.open(dir, &opts, &ms, err, sizeof(err));

	assert_int_equal(ret, want);
	if (!strstr(err, words))
		print_message("\"%s\" lacks \"%s\"\n", err, words);
	assert_non_null(strstr(err, words));
}

static void data_file(const char *how, off_t size)
{
	char path[128], buf[8192];
	int fd;

	snprintf(path, sizeof(path), "%s/data.mdb", dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	if (!strcmp(how, "garbage")) {
		memset(buf, 'x', sizeof(buf));
		assert_int_equal(write(fd, buf, sizeof(buf)), sizeof(buf));
	} else {
		assert_int_equal(ftruncate(fd, size), 0);
	}
	close(fd);
}

static void test_bad_files(void **state)
{
	struct nexus_metastore *ms;
	struct nexus_omap changes;

	(void)state;
	expect_refused(-ENOENT, "No such file");
	data_file("empty", 0);
	expect_refused(-EUCLEAN, "truncated");
	data_file("garbage", 0);
	expect_refused(-EUCLEAN, "data.mdb");
	remove_dir(NULL);
	assert_int_equal(mkdir(dir, 0700), 0);
	ms = open_store(&nexus_ms_lmdb, true, 0);
	nexus_omap_init(&changes);
	random_changes(&changes, 500, 2000);
	assert_int_equal(write_changes(ms, &changes), 0);
	nexus_omap_destroy(&changes);
	ms->drv->close(ms);
	data_file("cut", 16384);
	expect_refused(-EUCLEAN, "truncated");
}

/* How long the file would be with all pages LMDB counts: from the newer of its two heads. */
static off_t counted(const char *path)
{
	u64 head[2][2];	/* last page, transaction */
	int fd = open(path, O_RDONLY | O_CLOEXEC), i;

	assert_true(fd >= 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(pread(fd, head[i], 16, i * 4096 + 136), 16);
	close(fd);
	return (off_t)(head[head[1][1] > head[0][1]][0] + 1) * 4096;
}

/* Takes @n pages and gives them up again, in one batch. */
static void take_and_give(struct nexus_metastore *ms, int n)
{
	struct nexus_ms_batch *b;
	char key[16], val[3000];
	int i;

	memset(val, 'v', sizeof(val));
	assert_int_equal(ms->drv->begin_write(ms, &b), 0);
	for (i = 0; i < 2 * n; i++) {
		snprintf(key, sizeof(key), "~%06d", i % n);
		if (i < n)
			assert_int_equal(ms->drv->put(b, key, 7, val, sizeof(val)), 0);
		else
			assert_int_equal(ms->drv->del(b, key, 7), 0);
	}
	assert_int_equal(ms->drv->commit(b), 0);
}

/*
 * A batch that takes pages and gives them up again leaves a file without the last ones:
 * nothing is lost with them.  Of a file that lacks others that is told, without a signal.
 */
static void test_file_without_free_pages(void **state)
{
	struct nexus_ms_opts opts = {};
	struct nexus_metastore *ms = open_store(&nexus_ms_lmdb, true, 0);
	struct nexus_omap map, changes;
	struct stat st;
	char path[4096], err[256];
	int n, ret, without = 0, refused = 0;
	off_t size;

	(void)state;
	nexus_omap_init(&map);
	nexus_omap_init(&changes);
	random_changes(&changes, 500, 2000);
	apply_to(&map, &changes);
	assert_int_equal(write_changes(ms, &changes), 0);
	nexus_omap_destroy(&changes);
	snprintf(path, sizeof(path), "%s/data.mdb", dir);
	for (n = 1; n < 40; n++) {
		take_and_give(ms, n);
		ms->drv->close(ms);
		assert_int_equal(stat(path, &st), 0);
		without += st.st_size < counted(path);
		assert_int_equal(nexus_ms_lmdb.open(dir, &opts, &ms, err, sizeof(err)), 0);
		same(ms, &map);
	}
	ms->drv->close(ms);
	assert_true(without > 0);

	for (size = st.st_size - 4096; size >= 2 * 4096; size -= 4096) {
		assert_int_equal(truncate(path, size), 0);
		opts.rdonly = size / 4096 % 2;
		ret = nexus_ms_lmdb.open(dir, &opts, &ms, err, sizeof(err));
		if (!ret) {
			assert_int_equal(refused, 0);
			same(ms, &map);
			ms->drv->close(ms);
			continue;
		}
		assert_int_equal(ret, -EUCLEAN);
		assert_non_null(strstr(err, "truncated"));
		refused++;
	}
	assert_true(refused > 1);
	nexus_omap_destroy(&map);
}

static void test_read_only(void **state)
{
	struct nexus_ms_opts opts = { .rdonly = true };
	struct nexus_metastore *ms = open_store(&nexus_ms_lmdb, true, 0);
	struct nexus_ms_batch *b;
	struct nexus_omap map;
	char err[256];

	(void)state;
	nexus_omap_init(&map);
	nexus_omap_put(&map, "k", 1, "v", 1);
	assert_int_equal(write_changes(ms, &map), 0);
	ms->drv->close(ms);
	assert_int_equal(nexus_ms_lmdb.open(dir, &opts, &ms, err, sizeof(err)), 0);
	same(ms, &map);
	assert_int_equal(ms->drv->begin_write(ms, &b), -EROFS);
	ms->drv->close(ms);
	nexus_omap_destroy(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_model_mem, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_model_lmdb, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_snapshot_stays, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_abort_changes_nothing, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_failed_put_spoils_the_batch, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_last_write_of_a_commit_fails, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_space_ahead, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_killed_in_commit, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_bad_files, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_file_without_free_pages, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_read_only, make_dir, remove_dir),
	};

	return cmocka_run_group_tests_name("metastore", tests, NULL, NULL);
}
