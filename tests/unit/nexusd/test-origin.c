// SPDX-License-Identifier: Apache-2.0
/*
 * A zone with its content store, when the machine is lost at any moment: what comes back is
 * the zone as it was at one batch of the log, not before what was with the store.
 */
#include <sched.h>

#include "content_test.h"
#include "fetch.h"
#include "origin-world.h"

/* Everything went well until the machine was gone. */
static void test_lost(void **state)
{
	struct restored done;
	struct errline err;
	struct world m;

	(void)state;
	make(&m);
	own(&m);
	work(&m);
	assert_true(m.acked == m.at[m.n - 1].lsn);
	lose(&m);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	assert_true(done.packs >= 2);
	assert_string_equal(done.note, "");
	check_restored(&m, &done);
	forget(&m);
}

/* It was gone between any two writes to the store. */
static void test_lost_anywhere(void **state)
{
	struct restored done;
	struct errline err;
	u32 cut, none = 0;
	struct world m;
	bool whole;
	char text[32];
	int ret;

	(void)state;
	for (cut = 0, whole = false; !whole; cut++) {
		make(&m);
		snprintf(text, sizeof(text), "cut %u\n", cut);
		control(text);
		ret = origin_open(m.z, false, &err);
		if (ret)
			origin_free(m.z);
		else
			m.z->origin->part_bytes = 20000, m.z->origin->share = m.share;
		work(&m);
		whole = m.z->origin && m.acked == m.at[m.n - 1].lsn && !m.z->origin->failed;
		lose(&m);
		control("");
		ret = restore_as(&m, "z", true, &done, &err);
		if (ret) {
			/* Nothing was ever whole, and nobody was told so. */
			assert_true(m.acked == 0);
			assert_true(ret == -ENOENT);
			none++;
		} else {
			check_restored(&m, &done);
		}
		forget(&m);
	}
	assert_true(cut > 30);
	assert_true(none > 3 && none < cut / 2);
}

/* A clean end is a checkpoint, and anybody may go on. */
static void test_clean(void **state)
{
	struct restored done;
	struct errline err;
	struct world m;

	(void)state;
	make(&m);
	own(&m);
	write_some(&m);
	seal(&m);
	write_some(&m);
	assert_int_equal(zone_fold(m.z, 0, true), 0);
	assert_true(m.z->sb.flags & NEXUS_ZF_CLEAN);
	origin_stop(m.z);
	origin_end(m.z, true);
	m.acked = memtable_applied(&m.z->mt);
	lose(&m);
	assert_int_equal(restore_as(&m, "z", false, &done, &err), 0);
	assert_true(done.checkpoint == m.acked && done.epoch == 2);
	check_restored(&m, &done);
	/* And on from there. */
	forget(&m);
	begin_zone(&m);
	own(&m);
	assert_true(m.z->origin->owner.epoch == 2);
	work(&m);
	lose(&m);
	assert_int_equal(restore_as(&m, "z", false, &done, &err), -EBUSY);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	assert_true(done.epoch == 3);
	check_restored(&m, &done);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), -EEXIST);
	forget(&m);
}

/* What no checkpoint needs goes, also packs that are no more; and not before. */
static void test_cleaned(void **state)
{
	static struct named l;
	struct errline err = { "" };
	struct world m;
	struct origin *o;
	u64 pack, bytes;

	(void)state;
	make(&m);
	own(&m);
	work(&m);
	o = m.z->origin;
	pack = o->there[0];
	assert_int_equal(zone_fetch_start(m.z), 0);
	zone_fetch_forget(m.z, pack);
	assert_int_equal(o->content->ops->head(o->content, pack, &bytes), 0);
	assert_int_equal(origin_checkpoint(o, &err), 0);
	assert_int_equal(o->content->ops->head(o->content, pack, &bytes), 0);
	assert_int_equal(origin_checkpoint(o, &err), 0);
	assert_int_equal(o->content->ops->head(o->content, pack, &bytes), -ENOENT);
	l.n = 0;
	assert_int_equal(o->content->ops->list_named(o->content, "", note_name, &l), 0);
	/* Manifest, owner, two checkpoints, no log. */
	assert_int_equal(l.n, 2 + objects_of(&o->manifest));
	end_zone(&m);
	forget(&m);
}

/* A helper that takes over a zone in use has not asked the store yet, and keeps what it may have. */
static void test_not_asked(void **state)
{
	struct errline err = { "" };
	struct restored done;
	struct world m;
	struct origin *o;
	u64 pack, bytes;

	(void)state;
	make(&m);
	own(&m);
	work(&m);
	pack = m.z->origin->there[0];
	lose(&m);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	forget(&m);
	begin_zone(&m);
	assert_int_equal(origin_open(m.z, true, &err), 0);
	o = m.z->origin;
	assert_false(origin_owns(m.z));
	assert_int_equal(zone_fetch_start(m.z), 0);
	zone_fetch_forget(m.z, pack);
	/* Now it does, and the two checkpoints there are go one by one. */
	step(&m, 0);
	assert_true(origin_owns(m.z));
	assert_int_equal(o->content->ops->head(o->content, pack, &bytes), 0);
	assert_int_equal(origin_checkpoint(o, &err), 0);
	assert_int_equal(o->content->ops->head(o->content, pack, &bytes), -ENOENT);
	end_zone(&m);
	forget(&m);
}

/* A log that went round while the store was away is in the next checkpoint. */
static void test_overtaken(void **state)
{
	struct restored done;
	struct errline err;
	struct world m;
	u64 n;

	(void)state;
	make(&m);
	own(&m);
	write_some(&m);
	step(&m, 1);
	control("refuse\n");
	write_some(&m);
	step(&m, 6000);
	assert_true(m.z->origin->failed);
	fold(&m);
	/* Its segment is written over by the next. */
	m.w.segment++;
	logw_segment(&m.w, 0, super_segment_blocks(&m.z->sb));
	write_some(&m);
	control("");
	/* A kernel that forgot the lines: what would come back is not all, and it is seen. */
	step(&m, 20000);
	step(&m, 20000);
	assert_true(m.z->origin->failed && !m.z->origin->end);
	assert_int_equal(pack_tables_write(m.lines, m.z->os, m.z->sb.uuid, &n), 0);
	step(&m, 20000);
	assert_true(m.acked == m.at[m.n - 1].lsn);
	lose(&m);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	check_restored(&m, &done);
	forget(&m);
}

/* The thread does it by itself, beside the others, and stops in the middle. */
static void test_thread(void **state)
{
	struct restored done;
	struct errline err;
	struct world m;
	struct origin *o;
	u64 number = 0;
	u32 i;

	(void)state;
	make(&m);
	m.cfg.log_upload_delay = 0;
	own(&m);
	o = m.z->origin;
	assert_int_equal(zone_fetch_start(m.z), 0);
	assert_int_equal(origin_start(m.z), 0);
	for (i = 0; i < ROUNDS; i++) {
		write_some(&m);
		fold(&m);
		zone_fetch_forget(m.z, 1000 + i);
	}
	while (!number) {
		pthread_mutex_lock(&o->dead_lock);
		number = o->number;
		pthread_mutex_unlock(&o->dead_lock);
		sched_yield();
	}
	origin_stop(m.z);
	assert_int_equal(zone_fold(m.z, 0, true), 0);
	origin_end(m.z, true);
	m.acked = m.at[m.n - 1].lsn;
	lose(&m);
	assert_int_equal(restore_as(&m, "z", false, &done, &err), 0);
	check_restored(&m, &done);
	forget(&m);
}

/* Durable in the log at that moment, as fsync knows it. */
static u64 durable_now(struct world *m)
{
	return m->at[m->n - 1].lsn;
}

/* What nobody needs goes while others wait for their fsync, which does not wait for that. */
static void test_tidy(void **state)
{
	struct named left = { .n = 1 };
	struct errline err = { "" };
	char name[ORIGIN_FOLDER + 16];
	struct origin *o;
	struct world m;
	u64 i;

	(void)state;
	make(&m);
	m.cfg.log_upload_delay = 3600;
	/* It would wait for so long. */
	m.cfg.origin_timeout = 86400;
	own(&m);
	write_some(&m);
	fold(&m);
	o = m.z->origin;
	for (i = 0; i < 3; i++) {
		origin_log_folder(1, i, name);
		strcat(name, "000000");
		assert_int_equal(o->content->ops->put_named(o->content, name, "x", 1, CONTENT_ANY, NULL), 0);
	}
	control("undelete\n");
	assert_int_equal(zone_fetch_start(m.z), 0);
	assert_int_equal(origin_start(m.z), 0);
	for (i = 0; i < ROUNDS; i++) {
		write_some(&m);
		assert_int_equal(origin_sync(m.z, durable_now(&m)), 0);
	}
	left.n = 0;
	assert_int_equal(o->content->ops->list_named(o->content, "log/0000000000000001-000000000000000",
						     note_name, &left), 0);
	assert_true(left.n >= 3);
	control("");
	while (left.n) {
		left.n = 0;
		for (i = 0; i < 3; i++) {
			origin_log_folder(1, i, name);
			assert_true(o->content->ops->list_named(o->content, name, note_name, &left) >= 0);
		}
		sched_yield();
	}
	assert_string_equal(err.msg, "");
	origin_stop(m.z);
	lose(&m);
	forget(&m);
}

#define STRETCHES	1100u	/* more than are deleted at once */

/* However many stretches there were before a checkpoint, none stays behind two. */
static void test_many_stretches(void **state)
{
	struct restored done;
	struct errline err = { "" };
	char name[ORIGIN_FOLDER + 16];
	struct named left = { .n = 0 };
	struct world m;
	struct origin *o;
	u64 i;

	(void)state;
	make(&m);
	own(&m);
	work(&m);
	o = m.z->origin;
	assert_true(o->manifest.checkpoint[1].end > STRETCHES);
	for (i = 0; i < STRETCHES; i++) {
		origin_log_folder(1, i, name);
		strcat(name, "000000");
		assert_int_equal(o->content->ops->put_named(o->content, name, "x", 1, CONTENT_ANY, NULL), 0);
	}
	assert_int_equal(origin_checkpoint(o, &err), 0);
	m.acked = NEXUS_MAX(m.acked, o->end);
	assert_true(o->content->ops->list_named(o->content, "log/", note_name, &left) >= 0);
	assert_true(left.n < 20);
	lose(&m);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	check_restored(&m, &done);
	forget(&m);
}

/* A zone of which nothing gets there in time unless somebody waits for it. */
static void begin_waiting(struct world *m, u32 timeout)
{
	make(m);
	m->cfg.log_upload_delay = 3600;
	m->cfg.origin_timeout = timeout;
	own(m);
	assert_int_equal(zone_fetch_start(m->z), 0);
	assert_int_equal(origin_start(m->z), 0);
}

/*
 * What was waited for is with the store, long before its turn; what was not is not.
 * Scenario A35.
 */
static void test_sync(void **state)
{
	struct restored done;
	struct errline err;
	struct world m;
	struct origin *o;
	u32 i;

	(void)state;
	begin_waiting(&m, 60);
	o = m.z->origin;
	for (i = 0; i < ROUNDS; i++) {
		write_some(&m);
		assert_int_equal(origin_sync(m.z, durable_now(&m)), 0);
		m.acked = durable_now(&m);
		assert_true(o->reached >= m.acked);
		/* It is known, so the store is not asked. */
		control("refuse\n");
		assert_int_equal(origin_sync(m.z, m.acked), 0);
		control("");
	}
	write_some(&m);
	origin_stop(m.z);
	assert_int_equal(origin_sync(m.z, durable_now(&m)), -ESHUTDOWN);
	lose(&m);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	assert_true(done.end == m.acked);
	check_restored(&m, &done);
	forget(&m);
}

static void *sync_one(void *arg)
{
	struct world *m = arg;

	return (void *)(long)origin_sync(m->z, durable_now(m));
}

/* The store does not work: it is told in time, and what comes after goes on by itself. */
static void test_sync_fails(void **state)
{
	pthread_t waiter[8];
	struct restored done;
	struct errline err;
	struct world m;
	void *ret;
	size_t i;

	(void)state;
	begin_waiting(&m, 60);
	write_some(&m);
	assert_int_equal(origin_sync(m.z, durable_now(&m)), 0);
	m.acked = durable_now(&m);
	control("refuse\n");
	m.cfg.origin_timeout = 1;
	write_some(&m);
	assert_int_equal(origin_sync(m.z, durable_now(&m)), -ETIMEDOUT);
	/* Many wait, and then it works again. */
	m.cfg.origin_timeout = 300;
	for (i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&waiter[i], NULL, sync_one, &m), 0);
	usleep(100000);
	control("");
	for (i = 0; i < 8; i++) {
		pthread_join(waiter[i], &ret);
		assert_null(ret);
	}
	m.acked = durable_now(&m);
	/* Somebody else has it. */
	assert_int_equal(restore_as(&m, "y", true, &done, &err), 0);
	origin_fence(m.z->origin, "by y");
	write_some(&m);
	assert_int_equal(origin_sync(m.z, durable_now(&m)), -EROFS);
	origin_stop(m.z);
	end_zone(&m);
	forget(&m);
}

static atomic_bool waited;

/* As renewals go through where content does not; after ten seconds all does. */
static void *renewals(void *arg)
{
	struct test_content *t = arg;
	u32 i;

	for (i = 0; i < 200 && !atomic_load(&waited); i++) {
		atomic_fetch_add(&t->sent, 10);
		usleep(50000);
	}
	control("");
	return NULL;
}

/* It works, and all of it takes longer than anybody waits: they wait on while anything goes there. */
static void test_sync_slow(void **state)
{
	struct restored done;
	struct errline err;
	pthread_t thread;
	struct world m;
	u32 first;

	(void)state;
	begin_waiting(&m, 5);
	write_some(&m);
	assert_int_equal(origin_sync(m.z, durable_now(&m)), 0);
	/* Eight objects, and more. */
	first = m.g.next_block;
	while ((u64)(m.g.next_block - first) * NEXUS_BLOCK_SIZE < 8 * m.z->origin->part_bytes)
		write_some(&m);
	control("slow 1000\n");
	assert_int_equal(origin_sync(m.z, durable_now(&m)), 0);
	m.acked = durable_now(&m);
	/* Nothing goes: the time counts. */
	m.cfg.origin_timeout = 1;
	control("silent\n");
	write_some(&m);
	atomic_store(&waited, false);
	assert_int_equal(pthread_create(&thread, NULL, renewals, m.z->origin->content), 0);
	assert_int_equal(origin_sync(m.z, durable_now(&m)), -ETIMEDOUT);
	atomic_store(&waited, true);
	pthread_join(thread, NULL);
	origin_stop(m.z);
	lose(&m);
	assert_int_equal(restore_as(&m, "z", true, &done, &err), 0);
	check_restored(&m, &done);
	forget(&m);
}

/* Where nothing is kept there is nothing to wait for, and it is said. */
static void test_sync_refused(void **state)
{
	struct errline err = { "" };
	struct world m;

	(void)state;
	make(&m);
	assert_int_equal(origin_can_sync(m.z, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.msg, "no content store"));
	own(&m);
	assert_int_equal(origin_can_sync(m.z, &err), 0);
	m.cfg.checkpoint_interval = 0;
	assert_int_equal(origin_can_sync(m.z, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.msg, "checkpoint_interval"));
	assert_int_equal(origin_sync(m.z, 1), -EOPNOTSUPP);
	end_zone(&m);
	forget(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lost, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_lost_anywhere, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_clean, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_cleaned, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_not_asked, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_overtaken, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_thread, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_many_stretches, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_tidy, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_sync, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_sync_fails, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_sync_slow, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_sync_refused, test_setup, test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
