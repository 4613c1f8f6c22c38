// SPDX-License-Identifier: Apache-2.0
/*
 * What cannot be put or deleted waits alone: others go on, unless it is the store that
 * fails.
 */
#include "content_test.h"
#include "fetch.h"
#include "gc-world.h"
#include "space.h"
#include "stats.h"
#include "upload.h"

#define LONG_NS		20000000000ull	/* nobody waits for so long but who fails */
#define GONE		1ull		/* below all packs that are there */

static u64 errors(void)
{
	return atomic_load(&stats_values[STATS_upload_errors]);
}

/* A zone that uploads, and looks for what is sealed when it is told to. */
static void begin_uploading(struct world *m, u32 threads)
{
	make(m);
	own(m);
	m->cfg.upload_delay = 3600;
	m->cfg.upload_parallel = threads;
	assert_int_equal(zone_fetch_start(m->z), 0);
	zone_upload_start(m->z);
	assert_non_null(m->z->upload);
	flush(m);
}

static void end_uploading(struct world *m)
{
	control("");
	flush(m);
	zone_fetch_stop(m->z);
	zone_upload_stop(m->z);
	lose(m);
	forget(m);
}

static u64 new_pack(struct world *m)
{
	u64 pack = m->g.pack;
	u32 end = m->g.next_block + 40;

	while (m->g.next_block < end)
		write_some(m);
	seal(m);
	return pack;
}

/* What there is, once it has been looked for. */
static struct upload_status look(struct world *m)
{
	u64 scans, late = space_clock() + LONG_NS;
	struct upload *u = m->z->upload;
	struct upload_status st;
	bool looked;

	pthread_mutex_lock(&u->lock);
	scans = u->scans + u->scanning + 1;
	pthread_mutex_unlock(&u->lock);
	do {
		assert_true(space_clock() < late);
		assert_int_equal(zone_upload_flush(m->z, 20, &st), 0);
		pthread_mutex_lock(&u->lock);
		looked = u->scans >= scans;
		pthread_mutex_unlock(&u->lock);
	} while (!looked);
	assert_int_equal(zone_upload_status(m->z, &st), 0);
	return st;
}

static void until_held(struct world *m, u64 pack)
{
	u64 late = space_clock() + LONG_NS;

	while (!zone_upload_held(m->z, pack) || zone_upload_busy(m->z, pack)) {
		assert_true(space_clock() < late);
		look(m);
	}
	assert_true(has_pack(m, pack));
}

static void until_errors(struct world *m, u64 n)
{
	u64 late = space_clock() + LONG_NS;

	while (errors() < n) {
		assert_true(space_clock() < late);
		look(m);
	}
}

/* Deletes alone are forbidden: packs are put, now and later. */
static void test_delete_forbidden(void **state)
{
	struct upload_status st;
	u64 before = errors();
	struct world m;
	u32 i;

	(void)state;
	begin_uploading(&m, 1);
	control("forbid\n");
	zone_upload_forget(m.z, GONE);
	zone_upload_forget(m.z, GONE + 1);
	until_errors(&m, before + 3);
	for (i = 0; i < 3; i++) {
		until_held(&m, new_pack(&m));
		st = look(&m);
		assert_int_equal(st.packs, 0);
		assert_false(st.failing);
		assert_int_equal(st.deletes, 2);
		assert_non_null(strstr(st.error, "cannot be deleted from test"));
		assert_non_null(strstr(st.error, "and 1 other"));
		assert_true(st.error_at > 0);
	}
	assert_int_equal(m.z->upload->side[0].failures, 0);
	end_uploading(&m);
}

/* One is refused: those behind it are put, those that come later as well. */
static void test_one_refused(void **state)
{
	u64 bad, pack[3], before = errors();
	struct upload_status st;
	struct world m;
	char text[64];
	u32 i;

	(void)state;
	begin_uploading(&m, 1);
	bad = m.g.pack;
	snprintf(text, sizeof(text), "refuse %llu\n", bad);
	control(text);
	assert_true(new_pack(&m) == bad);
	for (i = 0; i < 3; i++)
		pack[i] = new_pack(&m);
	for (i = 0; i < 3; i++)
		until_held(&m, pack[i]);
	/* Nothing else is there to show that the store works. */
	until_errors(&m, before + 3);
	until_held(&m, new_pack(&m));
	st = look(&m);
	assert_int_equal(st.packs, 1);
	assert_true(st.failing);
	snprintf(text, sizeof(text), "pack %llu cannot be given to test: Input/output error", bad);
	assert_string_equal(st.error, text);
	assert_false(has_pack(&m, bad));
	end_uploading(&m);
}

/* No room in the store: what makes some goes first. */
static void test_quota(void **state)
{
	u64 pack[3], before = errors();
	struct world m;
	u32 i;

	(void)state;
	begin_uploading(&m, 1);
	control("quota 2\n");
	for (i = 0; i < 3; i++)
		pack[i] = new_pack(&m);
	until_errors(&m, before + 1);
	zone_upload_forget(m.z, 1000000);
	zone_upload_forget(m.z, 1000001);
	for (i = 0; i < 3; i++)
		until_held(&m, pack[i]);
	assert_int_equal(look(&m).deletes, 0);
	assert_string_equal(look(&m).error, "");
	assert_false(m.z->upload->full);
	end_uploading(&m);
}

/* Puts go first otherwise, whatever there is to be deleted. */
static void test_order(void **state)
{
	u64 pack[2], until = UINT64_MAX, now = space_clock();
	struct upload_item *item;
	struct upload *u;
	struct world m;
	u32 i;

	(void)state;
	begin_uploading(&m, 1);
	u = m.z->upload;
	pthread_mutex_lock(&u->lock);
	for (i = 0; i < 2; i++) {
		assert_non_null(upload_add(u, 10 + i));
		upload_find(u, 10 + i)->del = true;
	}
	for (i = 0; i < 2; i++)
		assert_non_null(upload_add(u, 20 + i));
	for (i = 0; i < 2; i++) {
		item = upload_next(u, UINT64_MAX, now, &until);
		assert_non_null(item);
		pack[i] = item->pack;
	}
	assert_true(pack[0] == 20 && pack[1] == 21);
	u->full = true;
	upload_find(u, 20)->busy = false;
	u->side[0].busy--;
	item = upload_next(u, UINT64_MAX, now, &until);
	assert_true(item && item->pack == 10);
	/* Who is waited for goes before all. */
	upload_find(u, 20)->first = true;
	item = upload_next(u, UINT64_MAX, now, &until);
	assert_true(item && item->pack == 20);
	u->full = false;
	memset(u->side, 0, sizeof(u->side));
	for (i = 0; i < 2; i++) {
		upload_remove(u, 10 + i);
		upload_remove(u, 20 + i);
	}
	pthread_mutex_unlock(&u->lock);
	end_uploading(&m);
}

/* A file that cannot be read says nothing about the store. */
static void test_unread(void **state)
{
	u64 bad, good, before = errors();
	struct upload_status st;
	struct world m;
	char text[96];

	(void)state;
	begin_uploading(&m, 1);
	bad = m.g.pack;
	snprintf(text, sizeof(text), "unread %llu\n", bad);
	control(text);
	assert_true(new_pack(&m) == bad);
	good = new_pack(&m);
	until_held(&m, good);
	assert_int_equal(errors(), before + 1);
	st = look(&m);
	assert_int_equal(st.packs, 1);
	snprintf(text, sizeof(text), "pack %llu cannot be given to test: its file cannot be read",
		 bad);
	assert_string_equal(st.error, text);
	pthread_mutex_lock(&m.z->upload->lock);
	assert_int_equal(m.z->upload->side[0].failures, 0);
	assert_true(upload_find(m.z->upload, bad)->not_before > space_clock() + LONG_NS);
	upload_find(m.z->upload, bad)->not_before = 0;
	pthread_mutex_unlock(&m.z->upload->lock);
	end_uploading(&m);
}

/* The store fails for all: it is asked now and then, not once for each. */
static void test_outage(void **state)
{
	u64 pack[8], late, before = errors();
	struct upload_status st;
	struct world m;
	u32 i;

	(void)state;
	begin_uploading(&m, 2);
	control("refuse\n");
	for (i = 0; i < 8; i++)
		pack[i] = new_pack(&m);
	late = space_clock() + 2500000000ull;
	do {
		st = look(&m);
		assert_int_equal(st.packs, 8);
	} while (space_clock() < late);
	assert_true(errors() - before >= 2 && errors() - before <= 6);
	assert_non_null(strstr(st.error, "cannot be given to test"));
	assert_true(st.failing);
	control("");
	for (i = 0; i < 8; i++)
		until_held(&m, pack[i]);
	assert_int_equal(m.z->upload->side[0].failures, 0);
	assert_string_equal(look(&m).error, "");
	end_uploading(&m);
}

/* ---- before a checkpoint ------------------------------------------------------------- */

/* The others are put, and not asked for again. */
static void test_checkpoint(void **state)
{
	struct errline err = { "" };
	u64 pack[7], writes;
	struct test_content *t;
	struct world m;
	char text[64];
	u32 i;

	(void)state;
	make(&m);
	m.cfg.upload_parallel = 1;
	own(&m);
	t = (struct test_content *)m.z->origin->content;
	for (i = 0; i < 7; i++)
		pack[i] = new_pack(&m);
	fold(&m);
	for (i = 0; i < 2; i++) {
		snprintf(text, sizeof(text), i ? "unread %llu\n" : "refuse %llu\n", pack[1]);
		control(text);
		assert_int_equal(origin_checkpoint(m.z->origin, &err), i ? -EBADFD : -EIO);
		snprintf(text, sizeof(text), "pack %llu cannot be put", pack[1]);
		assert_non_null(strstr(err.msg, text));
	}
	for (i = 0; i < 7; i++)
		assert_int_equal(has_pack(&m, pack[i]), i != 1);
	/* Where all fail not all are tried. */
	for (i = 0; i < 7; i++)
		if (i != 1)
			drop_pack(&m, pack[i]);
	m.z->origin->nthere = 0;
	control("refuse\n");
	writes = atomic_load(&t->writes);
	assert_int_equal(origin_checkpoint(m.z->origin, &err), -EIO);
	assert_true(atomic_load(&t->writes) - writes < 7);
	control("");
	assert_int_equal(origin_checkpoint(m.z->origin, &err), 0);
	for (i = 0; i < 7; i++)
		assert_true(has_pack(&m, pack[i]));
	lose(&m);
	forget(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_delete_forbidden, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_one_refused, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_quota, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_order, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_unread, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_outage, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_checkpoint, test_setup, test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
