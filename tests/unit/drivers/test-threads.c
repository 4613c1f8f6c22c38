// SPDX-License-Identifier: Apache-2.0
/* Every driver used by several threads at once, as their contracts allow. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <nexus/metastore.h>
#include <nexus/objectstore.h>

#include "lib/port.h"

#define KEYS		24
#define WRITERS		2
#define READERS		3
#define ROUNDS		60	/* batches of a writer */
#define FILLER		8192	/* bytes a batch adds: the map has to grow */

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/var/tmp/nexus-th-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

/* ---- metastores ------------------------------------------------------------ */

/* What the threads share.  Asserts are the main thread's; the others count. */
static struct {
	struct nexus_metastore *ms;
	atomic_uint wrong;
	atomic_uint writers;		/* still at work */
	atomic_uint snapshots;
	atomic_uint grown;
} m;

/* Adds one to every key, and a filler under a key of its own. */
static int add_one(struct nexus_ms_batch *b, unsigned int writer, unsigned int round)
{
	const struct nexus_ms_driver *drv = m.ms->drv;
	static const char filler[FILLER];
	char key[32];
	int i, len, ret;

	for (i = 0; i < KEYS; i++) {
		u64 value = ((u64)round << 8) | writer;

		len = snprintf(key, sizeof(key), "k%02d", i);
		ret = drv->put(b, key, (size_t)len, &value, sizeof(value));
		if (ret)
			return ret;
	}
	len = snprintf(key, sizeof(key), "x%u-%u", writer, round);
	return drv->put(b, key, (size_t)len, filler, sizeof(filler));
}

static void *write_rounds(void *arg)
{
	const struct nexus_ms_driver *drv = m.ms->drv;
	unsigned int writer = (unsigned int)(uintptr_t)arg, round;

	for (round = 0; round < ROUNDS; round++) {
		struct nexus_ms_batch *b;
		int ret;

		if (drv->begin_write(m.ms, &b)) {
			atomic_fetch_add(&m.wrong, 1);
			break;
		}
		ret = add_one(b, writer, round);
		/* Now and then a batch that nobody may ever see. */
		if (round % 7 == 6 && !ret) {
			u64 never = ~0ull;

			ret = drv->put(b, "k00", 3, &never, sizeof(never));
			drv->abort(b);
			if (ret && ret != -ENOSPC)
				atomic_fetch_add(&m.wrong, 1);
			continue;
		}
		/* No room in the map: commit makes it grow and says so. */
		if (ret && ret != -ENOSPC)
			drv->abort(b);
		else
			ret = drv->commit(b);
		if (ret == -EAGAIN) {
			atomic_fetch_add(&m.grown, 1);
			round--;
		} else if (ret) {
			atomic_fetch_add(&m.wrong, 1);
		}
	}
	atomic_fetch_sub(&m.writers, 1);
	return NULL;
}

/* All keys of a snapshot are one batch's, by get and by seek. */
static void one_snapshot(void)
{
	const struct nexus_ms_driver *drv = m.ms->drv;
	const void *key = "k", *val;
	struct nexus_ms_snap *snap;
	size_t klen = 1, vlen;
	u64 first = 0, value;
	int i, ret;

	if (drv->begin_read(m.ms, &snap)) {
		atomic_fetch_add(&m.wrong, 1);
		return;
	}
	for (i = 0; i < KEYS; i++) {
		char name[8];

		ret = drv->seek(snap, key, klen, i > 0, &key, &klen, &val, &vlen);
		if (ret == -ENOENT && !i)
			break;
		if (ret || vlen != sizeof(value)) {
			atomic_fetch_add(&m.wrong, 1);
			break;
		}
		memcpy(&value, val, sizeof(value));
		if (!i)
			first = value;
		if (value != first || value == ~0ull)
			atomic_fetch_add(&m.wrong, 1);
		snprintf(name, sizeof(name), "k%02d", i);
		if (drv->get(snap, name, 3, &val, &vlen) || memcmp(val, &value, vlen))
			atomic_fetch_add(&m.wrong, 1);
	}
	drv->end_read(snap);
	atomic_fetch_add(&m.snapshots, 1);
}

static void *read_rounds(void *arg)
{
	(void)arg;
	while (atomic_load(&m.writers)) {
		one_snapshot();
		usleep(200);
	}
	one_snapshot();
	return NULL;
}

static void metastore(const struct nexus_ms_driver *drv)
{
	struct nexus_ms_opts opts = { .create = true, .map_size = 128 << 10 };
	pthread_t threads[WRITERS + READERS];
	char err[256] = "";
	unsigned int i;

	memset(&m, 0, sizeof(m));
	assert_int_equal(drv->open(dir, &opts, &m.ms, err, sizeof(err)), 0);
	atomic_store(&m.writers, WRITERS);
	for (i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_rounds,
						(void *)(uintptr_t)i), 0);
	for (i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[WRITERS + i], NULL, read_rounds, NULL), 0);
	for (i = 0; i < WRITERS + READERS; i++)
		pthread_join(threads[i], NULL);
	print_message("# %s: %u snapshots, grown %u times\n", drv->name,
		      atomic_load(&m.snapshots), atomic_load(&m.grown));
	assert_int_equal(atomic_load(&m.wrong), 0);
	assert_true(atomic_load(&m.snapshots) >= READERS);
	drv->close(m.ms);
}

/* Scenarios A10, B15. */
static void test_metastore_lmdb(void **state)
{
	(void)state;
	metastore(&nexus_ms_lmdb);
	/* Otherwise the readers never met a map that moved. */
	assert_true(atomic_load(&m.grown) > 0);
}

static void test_metastore_mem(void **state)
{
	(void)state;
	metastore(&nexus_ms_mem);
}

/* ---- object stores ----------------------------------------------------------- */

#define MAKERS	3
#define PACKS	8		/* of a maker; half of them stay */
#define BLOCKS	8

static struct {
	struct nexus_objectstore *os;
	atomic_uint wrong;
	atomic_bool done;
} o;

static void *make_packs(void *arg)
{
	const struct nexus_os_driver *drv = o.os->drv;
	u64 base = 100 * (1 + (u64)(uintptr_t)arg), i;

	for (i = 0; i < PACKS; i++) {
		u64 total, avail;
		u32 blocks = 0;
		int fd, bad;

		bad = drv->create(o.os, base + i, BLOCKS) != 0;
		fd = drv->open_pack(o.os, base + i, true, &blocks);
		bad |= fd < 0 || blocks != BLOCKS;
		if (fd >= 0)
			close(fd);
		if (i % 2)
			bad |= drv->remove(o.os, base + i) != 0;
		else
			bad |= drv->recycle(o.os, base + i, base + PACKS + i) != 0;
		bad |= drv->space(o.os, &total, &avail) != 0;
		if (bad)
			atomic_fetch_add(&o.wrong, 1);
	}
	return NULL;
}

static int known(void *arg, u64 pack)
{
	unsigned int *n = arg;

	(*n)++;
	return pack >= 100 && pack < 100 * (1 + MAKERS) && pack % 100 < PACKS * 2 ? 0 : -EINVAL;
}

static void *list_packs(void *arg)
{
	(void)arg;
	while (!atomic_load(&o.done)) {
		unsigned int n = 0;

		if (o.os->drv->list(o.os, known, &n) || n > MAKERS * PACKS)
			atomic_fetch_add(&o.wrong, 1);
		usleep(500);
	}
	return NULL;
}

static void objectstore(const struct nexus_os_driver *drv)
{
	pthread_t makers[MAKERS], lister;
	unsigned int i, n = 0;

	memset(&o, 0, sizeof(o));
	assert_int_equal(drv->open(dir, &o.os), 0);
	assert_int_equal(pthread_create(&lister, NULL, list_packs, NULL), 0);
	for (i = 0; i < MAKERS; i++)
		assert_int_equal(pthread_create(&makers[i], NULL, make_packs,
						(void *)(uintptr_t)i), 0);
	for (i = 0; i < MAKERS; i++)
		pthread_join(makers[i], NULL);
	atomic_store(&o.done, true);
	pthread_join(lister, NULL);
	assert_int_equal(atomic_load(&o.wrong), 0);
	assert_int_equal(drv->list(o.os, known, &n), 0);
	assert_int_equal(n, MAKERS * PACKS / 2);
	drv->close(o.os);
}

static void test_objectstore_localdisk(void **state)
{
	(void)state;
	objectstore(&nexus_os_localdisk);
}

static void test_objectstore_mem(void **state)
{
	(void)state;
	objectstore(&nexus_os_mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_metastore_lmdb, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_metastore_mem, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_objectstore_localdisk, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_objectstore_mem, make_dir, remove_dir),
	};

	return cmocka_run_group_tests_name("driver-threads", tests, NULL, NULL);
}
