// SPDX-License-Identifier: Apache-2.0
/* Making zones, refusing bad ones, and the one property everything rests on. */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "util.h"

static int create(const struct config *cfg, const char *name, struct errline *err)
{
	struct store_create sc = {
		.name = name, .segment_size = cfg->segment_size,
		.pack_size = cfg->pack_size, .segments = 2, .packs = 2,
	};

	err->msg[0] = '\0';
	return store_create_zone(cfg, &sc, err);
}

static void test_names(void **state)
{
	static const char *const bad[] = {
		"", "A", "..", ".", "-a", "a/b", "a b", "a_b", "\xc3\xa4",
		"a123456789012345678901234567890123456789012345678901234567890123",
	};
	struct errline err;
	struct config cfg;
	char **names;
	size_t n, i;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(create(&cfg, bad[i], &err), -EINVAL);
		assert_non_null(strstr(err.msg, "no zone name"));
	}
	assert_int_equal(create(&cfg, "b", &err), 0);
	assert_int_equal(create(&cfg, "b", &err), -EEXIST);
	assert_string_equal(err.msg, "zone b exists");
	assert_int_equal(create(&cfg, "a-1", &err), 0);
	assert_int_equal(store_list_zones(&cfg, &names, &n), 0);
	assert_int_equal(n, 2);
	assert_string_equal(names[0], "a-1");
	assert_string_equal(names[1], "b");
	free(names[0]);
	free(names[1]);
	free(names);
}

static int open_zone(const struct config *cfg, struct errline *err)
{
	struct chan chan = { .fd = -1 };
	struct zone *z = zone_new(NULL, cfg, &chan, "z");
	int ret;

	err->msg[0] = '\0';
	ret = zone_load(z, true, false, err);
	zone_put(z);
	return ret;
}

static void says(const struct config *cfg, int want, const char *words)
{
	struct errline err;
	int ret = open_zone(cfg, &err);

	if (ret != want || !strstr(err.msg, words))
		print_message("%d \"%s\": wanted %d \"%s\"\n", ret, err.msg, want, words);
	assert_int_equal(ret, want);
	assert_non_null(strstr(err.msg, words));
}

/* Changes Z behind the helper's back. */
static int change_super(struct nexus_metastore *ms, struct nexus_ms_batch *b, void *arg)
{
	return super_put(ms, b, arg);
}

static void with_super(const struct config *cfg, void (*fn)(struct super *sb))
{
	struct nexus_metastore *ms;
	struct errline err;
	struct super sb;
	char dir[PATH_MAX];
	bool ro;

	assert_int_equal(store_path(cfg, "z", NULL, dir), 0);
	assert_int_equal(store_open_index(cfg, dir, false, &ms, &err), 0);
	assert_int_equal(super_read(ms, &sb, &ro, &err), 0);
	fn(&sb);
	assert_int_equal(ms_write(ms, change_super, &sb), 0);
	ms->drv->close(ms);
}

static void newer(struct super *sb)
{
	sb->format = 2;
}

static void feature(struct super *sb)
{
	sb->incompat = 1ull << 60;
}

static void ro_feature(struct super *sb)
{
	sb->ro_compat = 4;
}

static void foreign(struct super *sb)
{
	sb->checkpoint = 5;
}

static void test_refused(void **state)
{
	struct errline err;
	struct config cfg;
	struct chan chan = { .fd = -1 };
	struct zone *z;
	char path[PATH_MAX];

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	says(&cfg, -ENOENT, "there is no zone z");
	test_zone(&cfg);
	assert_int_equal(open_zone(&cfg, &err), 0);
	with_super(&cfg, newer);
	says(&cfg, -EPROTONOSUPPORT, "format 2");
	store_path(&cfg, "z", NULL, path);
	store_remove_tree(path);
	test_zone(&cfg);
	with_super(&cfg, feature);
	says(&cfg, -EPROTONOSUPPORT, "incompat 0x1000000000000000");
	store_remove_tree(path);
	test_zone(&cfg);
	with_super(&cfg, ro_feature);
	assert_int_equal(open_zone(&cfg, &err), 0);
	z = zone_new(NULL, &cfg, &chan, "z");
	assert_int_equal(zone_load(z, false, false, &err), -EROFS);
	zone_put(z);
	store_remove_tree(path);
	test_zone(&cfg);
	with_super(&cfg, foreign);
	says(&cfg, -EUCLEAN, "impossible");
	store_path(&cfg, "z", "index/data.mdb", path);
	assert_int_equal(truncate(path, 8192), 0);
	says(&cfg, -EUCLEAN, "truncated");
	assert_int_equal(truncate(path, 0), 0);
	says(&cfg, -EUCLEAN, "truncated");
	assert_int_equal(unlink(path), 0);
	says(&cfg, -EUCLEAN, "data.mdb");
}

static void touch(const struct config *cfg, const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%.2000s/%s", cfg->data_dir, name);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
}

/* A zone whose making was interrupted is gone with the next start; others stay. */
static void test_half_made(void **state)
{
	static const char *const folders[] = {
		"zones", "zones/.new-a", "zones/.new-a/index", "zones/.new-b", "zones/whole",
		"elsewhere",
	};
	struct errline err;
	struct config cfg;
	char path[PATH_MAX], target[PATH_MAX];
	size_t i;
	int fd = -1;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, sizeof(path), "%.2000s/%s", cfg.data_dir, folders[i]);
		assert_true(!mkdir(path, 0700) || errno == EEXIST);
	}
	touch(&cfg, "zones/.new-a/index/data.mdb");
	touch(&cfg, "zones/.new-a/LOCK");
	touch(&cfg, "zones/whole/LOCK");
	touch(&cfg, "elsewhere/file");
	/* A link goes, not what it points to. */
	snprintf(path, sizeof(path), "%.2000s/zones/.new-b/link", cfg.data_dir);
	snprintf(target, sizeof(target), "%.2000s/elsewhere", cfg.data_dir);
	assert_int_equal(symlink(target, path), 0);

	assert_int_equal(store_open_data(&cfg, &fd, &err), 0);
	for (i = 1; i < 4; i++) {
		snprintf(path, sizeof(path), "%.2000s/%s", cfg.data_dir, folders[i]);
		assert_int_equal(access(path, F_OK), -1);
	}
	snprintf(path, sizeof(path), "%.2000s/zones/whole/LOCK", cfg.data_dir);
	assert_int_equal(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "%.2000s/elsewhere/file", cfg.data_dir);
	assert_int_equal(access(path, F_OK), 0);
	close(fd);
}

/* What the mem driver held is gone with the process that held it. */
static void test_mem_zone(void **state)
{
	struct errline err;
	struct config cfg;

	(void)state;
	test_config(&cfg, &nexus_ms_mem);
	test_zone(&cfg);
	assert_int_equal(open_zone(&cfg, &err), 0);
}

static void test_locks(void **state)
{
	struct errline err = { "" };
	struct config cfg;
	char dir[PATH_MAX];
	int fd, fd2, data;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	test_zone(&cfg);
	store_path(&cfg, "z", NULL, dir);
	assert_int_equal(store_lock_zone(dir, "the first", 0, &fd, &err), 0);
	assert_int_equal(store_lock_zone(dir, "the second", 30, &fd2, &err), -EBUSY);
	assert_string_equal(err.msg, "the zone is in use: by the first");
	close(fd);
	assert_int_equal(store_lock_zone(dir, NULL, 0, &fd, &err), 0);
	close(fd);
	assert_int_equal(store_open_data(&cfg, &data, &err), 0);
	assert_int_equal(store_open_data(&cfg, &fd2, &err), -EBUSY);
	assert_non_null(strstr(err.msg, "another nexusd"));
	close(data);
}

/* Scenario C28. */
static void test_hosts(void **state)
{
	struct errline err = { "" };

	(void)state;
	assert_int_equal(store_check_host("/dev/shm", false, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.msg, "tmpfs"));
	assert_int_equal(store_check_host("/nonexistent", false, &err), -ENOENT);
	assert_int_equal(store_check_host("/proc", true, &err), 0);
}

static void test_data_dir(void **state)
{
	struct errline err = { "" };
	struct config cfg;
	char path[PATH_MAX];
	int fd;

	(void)state;
	test_config(&cfg, &nexus_ms_lmdb);
	/* Half a zone of a helper that was killed goes. */
	snprintf(path, sizeof(path), "%s/data/zones/.new-half", test_dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/data/zones/.new-half/log", test_dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(store_open_data(&cfg, &fd, &err), 0);
	assert_int_equal(access(path, F_OK), -1);
	close(fd);
	snprintf(cfg.data_dir, sizeof(cfg.data_dir), "/proc/nowhere");
	assert_true(store_open_data(&cfg, &fd, &err) < 0);
	assert_non_null(strstr(err.msg, "/proc/nowhere"));
}

/* ---- the same log gives the same store ---------------------------------------- */

#define RECORDS	600

struct tape {
	u8 *bytes[RECORDS];
	u64 lsn[RECORDS + 1];
	u64 first;
};

static void record_tape(struct tape *t, u64 lsn)
{
	struct gen g;
	u32 i;

	gen_init(&g, NEXUS_FIRST_INO, 100, 4000);
	for (i = 0; i < RECORDS; i++) {
		struct nexus_rec_head *rec = gen_next(&g);
		u32 len = le32_to_cpu(rec->len);

		t->lsn[i] = lsn;
		rec->lsn = cpu_to_le64(lsn);
		t->bytes[i] = malloc(len);
		memcpy(t->bytes[i], rec, len);
		lsn += len;
	}
	t->lsn[RECORDS] = lsn;
}

/*
 * Applies the tape and folds where the dice say; at each checkpoint the process
 * may die: the memtable is lost, and the log is applied from there again.
 */
static void play(const struct nexus_ms_driver *ms, const struct tape *t, u32 seed,
		 struct nexus_omap *out)
{
	struct config cfg;
	struct zone *z;
	struct fake k;
	u32 i = 0, dice = seed;

	test_config(&cfg, ms);
	test_zone(&cfg);
	z = fake_open(&k, &cfg, 1u << 20);
	assert_int_equal(z->replay.tail, t->lsn[0]);
	while (i < RECORDS) {
		fake_append(&k, (void *)t->bytes[i++]);
		dice = dice * 1664525u + 1013904223u;
		if ((dice >> 16) % 40)
			continue;
		assert_int_equal(applier_run(&z->applier, 0), 0);
		fake_durable(&k, k.tail);
		if ((dice >> 8) % 2)
			assert_int_equal(zone_fold(z, 1000, false), 0);
		if ((dice >> 9) % 2)
			continue;
		/* Back to the store's own checkpoint. */
		u64 checkpoint = atomic_load(&z->checkpoint);

		memtable_destroy(&z->mt);
		assert_int_equal(memtable_init(&z->mt, z->ms, checkpoint), 0);
		z->applier.pos = checkpoint;
	}
	assert_int_equal(applier_run(&z->applier, 0), 0);
	fake_durable(&k, k.tail);
	assert_int_equal(zone_fold(z, 1000, false), 0);
	assert_int_equal(zone_fold(z, 1000, false), 0);
	assert_int_equal(atomic_load(&z->checkpoint), t->lsn[RECORDS]);
	zone_is_sound(z);
	/* The memtable is empty: this is what the driver holds. */
	assert_int_equal(z->mt.active->count, 0);
	zone_dump(z, out);
	fake_close(&k, z);
	test_teardown(NULL);
	test_setup(NULL);
}

/* mkfs puts the time into the root inode; the rest must be the same to the byte. */
static void forget_root_times(struct nexus_omap *map)
{
	const struct nexus_omap_entry *e;
	struct nexus_inode_val v;
	struct nexus_key k;

	nexus_key_inode(&k, NEXUS_ROOT_INO);
	e = nexus_omap_find(map, k.b, k.len);
	assert_non_null(e);
	memcpy(&v, nexus_omap_val(e), sizeof(v));
	v.btime_s = v.atime_s = 0;
	v.btime_ns = v.atime_ns = 0;
	nexus_val_seal(&v, sizeof(v), NEXUS_KEY_INODE);
	nexus_omap_put(map, k.b, k.len, &v, sizeof(v));
}

/* Scenario M11. */
static void test_same_store(void **state)
{
	struct nexus_omap first, again;
	static struct tape t;
	u32 i;

	(void)state;
	record_tape(&t, NEXUS_FIRST_LSN);
	play(&nexus_ms_lmdb, &t, 0, &first);
	forget_root_times(&first);
	for (i = 1; i < 8; i++) {
		play(i % 2 ? &nexus_ms_mem : &nexus_ms_lmdb, &t, i * 77777, &again);
		forget_root_times(&again);
		same_maps(&first, &again);
		nexus_omap_destroy(&again);
	}
	nexus_omap_destroy(&first);
	for (i = 0; i < RECORDS; i++)
		free(t.bytes[i]);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, test_setup, test_teardown)
	const struct CMUnitTest tests[] = {
		T(test_names),
		T(test_refused),
		T(test_half_made),
		T(test_mem_zone),
		T(test_locks),
		T(test_hosts),
		T(test_data_dir),
		T(test_same_store),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
