// SPDX-License-Identifier: Apache-2.0
/* What a zone's content store lacks; and listings that change, repeat, fail, or are long. */
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "fetch.h"
#include "gc-world.h"
#include "upload.h"

/* ---- what is missing ---------------------------------------------------------------------- */

static void test_missing(void **state)
{
	struct errline err = { "" };
	char text[64];
	struct world m;
	struct gc *g;
	u64 pack;

	(void)state;
	begin(&m);
	pack = lost_pack(&m);
	put_pack(&m, pack, 10, OLD);
	age_all(&m);
	drop_pack(&m, sealed[1]);
	g = new_gc(&m, true);
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->r.sum[GC_MISSING].n, 1);
	snprintf(text, sizeof(text), "pack %llu", sealed[1]);
	assert_true(named(g, GC_MISSING, text));
	assert_int_equal(g->r.deleted.n, 1);
	gc_free(g);
	/* It is mended by nobody here; the index and the marks are as they were. */
	assert_true(zone_upload_held(m.z, sealed[1]));
	/* A checkpoint alone that needs it is enough. */
	fold(&m);
	forget_pack(&m, sealed[1]);
	assert_int_equal(origin_checkpoint(m.z->origin, &err), 0);
	g = new_gc(&m, false);
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->r.sum[GC_MISSING].n, 1);
	gc_free(g);
	assert_int_equal(origin_checkpoint(m.z->origin, &err), 0);
	g = new_gc(&m, false);
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->r.sum[GC_MISSING].n, 0);
	gc_free(g);
	finish(&m);
}

/* ---- listings ------------------------------------------------------------------------------- */

static struct content_ops mine;
static const struct content_ops *theirs;

/* The zone's driver, some of whose functions a test puts its own in the place of. */
static void wrap(struct world *m)
{
	theirs = m->z->fetch->content->ops;
	mine = *theirs;
	m->z->fetch->content->ops = &mine;
}

static void unwrap(struct world *m)
{
	m->z->fetch->content->ops = theirs;
}

struct held {
	struct content_object o[64];
	char key[64][256];
	u32 n;
};

static int hold(void *arg, const struct content_object *o)
{
	struct held *h = arg;

	assert_true(h->n < 64);
	h->o[h->n] = *o;
	snprintf(h->key[h->n++], 256, "%s", o->key);
	return 0;
}

/* Backwards, and each twice. */
static int list_odd(struct content *c, char **token, __s64 *now, content_object_fn fn, void *arg)
{
	static struct held h;
	int ret;
	u32 i;

	h.n = 0;
	ret = theirs->list_page(c, token, now, hold, &h);
	for (i = h.n * 2; !ret && i-- > 0;) {
		h.o[i / 2].key = h.key[i / 2];
		ret = fn(arg, &h.o[i / 2]);
	}
	return ret;
}

static void test_odd_listing(void **state)
{
	struct gc_report r, odd;
	struct world m;
	size_t i;

	(void)state;
	begin(&m);
	for (i = 0; i < LEAKS; i++)
		put(&m, leaks[i], 100, OLD);
	put_pack(&m, lost_pack(&m), 10, OLD);
	put(&m, "@foreign", 1, OLD);
	age_all(&m);
	r = gc(&m, false, 0);
	wrap(&m);
	mine.list_page = list_odd;
	odd = gc(&m, false, 0);
	assert_int_equal(odd.listed.n, r.listed.n);
	assert_int_equal(odd.listed.bytes, r.listed.bytes);
	assert_memory_equal(odd.sum, r.sum, sizeof(r.sum));
	assert_int_equal(odd.sum[GC_LEAKED].n, LEAKS + 1);
	assert_int_equal(odd.sum[GC_FOREIGN].n, 1);
	unwrap(&m);
	finish(&m);
}

static u64 hidden;

static int unless_hidden(void *arg, const struct content_object *o)
{
	void *const *pair = arg;

	return o->is_pack && o->pack == hidden ? 0 :
	       ((struct { content_object_fn fn; } *)pair[0])->fn(pair[1], o);
}

static int list_less(struct content *c, char **token, __s64 *now, content_object_fn fn, void *arg)
{
	struct { content_object_fn fn; } f = { fn };
	void *pair[2] = { &f, arg };

	return theirs->list_page(c, token, now, unless_hidden, pair);
}

/* A listing that leaves out what is there: it is asked for before it is called missing. */
static void test_left_out(void **state)
{
	struct gc_report r;
	struct world m;

	(void)state;
	begin(&m);
	wrap(&m);
	mine.list_page = list_less;
	hidden = sealed[0];
	r = gc(&m, true, 0);
	assert_int_equal(r.sum[GC_MISSING].n, 0);
	drop_pack(&m, hidden);
	r = gc(&m, true, 0);
	assert_int_equal(r.sum[GC_MISSING].n, 1);
	unwrap(&m);
	finish(&m);
}

/* Objects come and go between any two pages. */
static void test_changes(void **state)
{
	struct world m;
	struct gc *g;
	u64 pack[6];
	char name[64];
	u32 i, n = 0;

	(void)state;
	begin(&m);
	age_all(&m);
	control("page 1\n");
	for (i = 0; i < 6; i++)
		pack[i] = lost_pack(&m);
	for (i = 0; i < 3; i++)
		put_pack(&m, pack[i], 10, OLD);
	g = new_gc(&m, true);
	while (g->phase == GC_LISTING) {
		assert_int_equal(gc_step(g), 1);
		snprintf(name, sizeof(name), "@foreign-%03u", n);
		if (n < 20)
			put(&m, name, 1, OLD);
		if (n == 1)
			drop_pack(&m, pack[0]);
		if (n == 2)
			put_pack(&m, pack[5], 10, OLD);
		n++;
	}
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->r.sum[GC_MISSING].n, 0);
	assert_int_equal(g->r.failed, 0);
	gc_free(g);
	for (i = 1; i < 3; i++)
		assert_false(has_pack(&m, pack[i]));
	for (i = 0; i < 2; i++)
		assert_true(has_pack(&m, sealed[i]));
	for (i = 0; i < NEXUS_MIN(n, 20u); i++) {
		snprintf(name, sizeof(name), "@foreign-%03u", i);
		assert_true(has(&m, name));
	}
	finish(&m);
}

/* It ends in the middle: nothing was deleted. */
static void test_listing_fails(void **state)
{
	struct gc_report r;
	char text[64];
	struct world m;
	u32 n, pages;

	(void)state;
	begin(&m);
	put_pack(&m, lost_pack(&m), 10, OLD);
	n = age_all(&m);
	for (pages = 0; pages < 4; pages++) {
		snprintf(text, sizeof(text), "page 2\nunlist %u\n", pages + 1);
		control(text);
		r = gc(&m, true, -EIO);
		assert_non_null(strstr(r.why, "listing"));
		assert_int_equal(r.deleted.n, 0);
		assert_int_equal(age_all(&m), n);
	}
	control("");
	r = gc(&m, true, 0);
	assert_int_equal(r.deleted.n, 1);
	finish(&m);
}

#define MANY	100000u

static u64 many_first, many_deleted, many_batches;

static int list_many(struct content *c, char **token, __s64 *now, content_object_fn fn, void *arg)
{
	u32 at = *token ? (u32)strtoul(*token, NULL, 10) : 0, end = at + 1000;
	char key[40];
	int ret = 0;

	(void)c;
	*now = time(NULL);
	for (; !ret && at < end; at++) {
		struct content_object o = {
			.key = key, .is_pack = true, .pack = many_first + at, .bytes = 1, .mtime = 1,
		};

		snprintf(key, sizeof(key), "packs/%016llx", (u64)o.pack);
		ret = fn(arg, &o);
	}
	free(*token);
	*token = NULL;
	if (!ret && at < MANY && asprintf(token, "%u", at) < 0)
		ret = -ENOMEM;
	return ret;
}

static int del_many(struct content *c, const __u64 *packs, size_t n, int *errors)
{
	size_t i;

	(void)c;
	assert_true(n <= CONTENT_DEL_MOST);
	for (i = 0; i < n; i++) {
		assert_true(packs[i] >= many_first && packs[i] < many_first + MANY);
		errors[i] = packs[i] == many_first + 7 ? -EIO : 0;
		many_deleted += !errors[i];
	}
	many_batches++;
	return 0;
}

/* 100,000 keys in one prefix: a few bytes of each are held. */
static void test_many(void **state)
{
	struct world m;
	struct gc *g;
	size_t bytes;

	(void)state;
	begin(&m);
	assert_int_equal(zone_take_packs(m.z, MANY, &many_first), 0);
	wrap(&m);
	mine.list_page = list_many;
	mine.del_packs = del_many;
	many_deleted = many_batches = 0;
	g = new_gc(&m, true);
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->r.listed.n, MANY);
	assert_int_equal(g->r.sum[GC_LEAKED].n, MANY);
	assert_int_equal(g->r.sum[GC_LEAKED].bytes, MANY);
	assert_int_equal(g->nname[GC_LEAKED], GC_NAMES);
	assert_int_equal(g->r.deleted.n, MANY - 1);
	assert_int_equal(many_deleted, MANY - 1);
	assert_int_equal(many_batches, MANY / CONTENT_DEL_MOST);
	assert_int_equal(g->r.failed, 1);
	assert_non_null(strstr(g->r.failed_why, strerror(EIO)));
	bytes = g->cap * sizeof(*g->object) + (g->packs.cap + g->keys.cap) * sizeof(u64);
	assert_true(bytes < 100 * MANY);
	/* What the zone has was not listed, and is there: */
	assert_int_equal(g->r.sum[GC_MISSING].n, 0);
	gc_free(g);
	unwrap(&m);
	finish(&m);
}

/* The store takes no deletion: it is said, and counted. */
static void test_refused(void **state)
{
	struct gc_report r;
	struct world m;
	u32 n;

	(void)state;
	begin(&m);
	put_pack(&m, lost_pack(&m), 10, OLD);
	put(&m, leaks[0], 10, OLD);
	n = age_all(&m);
	control("refuse\n");
	r = gc(&m, true, 0);
	assert_int_equal(r.sum[GC_LEAKED].n, 2);
	assert_int_equal(r.deleted.n, 0);
	assert_int_equal(r.failed, 2);
	assert_true(r.failed_why[0]);
	assert_int_equal(age_all(&m), n);
	control("");
	finish(&m);
}

/* ---- by a thread ------------------------------------------------------------------------------ */

static int count_name(void *arg, enum gc_what what, const char *name, u64 bytes)
{
	u32 *n = arg;

	assert_true(name[0] && bytes);
	n[what]++;
	return 0;
}

static int list_waits(struct content *c, char **token, __s64 *now, content_object_fn fn, void *arg)
{
	(void)token;
	(void)now;
	(void)fn;
	(void)arg;
	while (!atomic_load(c->stop))
		usleep(1000);
	return -ESHUTDOWN;
}

static void test_thread(void **state)
{
	u32 n[GC_WHATS] = { 0 };
	struct errline err = { "" };
	struct gc_report r;
	struct world m;
	u64 job, other;

	(void)state;
	begin(&m);
	put_pack(&m, lost_pack(&m), 10, OLD);
	put(&m, "@foreign", 1, OLD);
	assert_int_equal(zone_gc_look(m.z, 1, 0, &r, count_name, n), -ESRCH);
	assert_int_equal(zone_gc_start(m.z, true, &job, &err), 0);
	assert_true(job);
	do {
		assert_int_equal(zone_gc_look(m.z, job, 1000, &r, count_name, n), 0);
	} while (!r.over);
	assert_int_equal(r.error, 0);
	assert_int_equal(r.deleted.n, 1);
	assert_int_equal(n[GC_LEAKED], 1);
	assert_int_equal(n[GC_FOREIGN], 1);
	assert_int_equal(n[GC_MISSING], 0);
	wrap(&m);
	mine.list_page = list_waits;
	assert_int_equal(zone_gc_start(m.z, false, &other, &err), 0);
	assert_int_not_equal(job, other);
	assert_int_equal(zone_gc_look(m.z, job, 0, &r, count_name, n), -ESRCH);
	assert_int_equal(zone_gc_start(m.z, false, &job, &err), -EALREADY);
	assert_int_equal(zone_gc_look(m.z, other, 1, &r, count_name, n), 0);
	assert_false(r.over);
	/* It ends with the zone, and no other begins. */
	zone_stop(m.z);
	assert_int_equal(zone_gc_look(m.z, other, 0, &r, count_name, n), -ESRCH);
	assert_int_equal(zone_gc_start(m.z, false, &job, &err), -ESHUTDOWN);
	unwrap(&m);
	finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_missing, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_odd_listing, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_left_out, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_changes, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_listing_fails, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_many, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_refused, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_thread, test_setup, test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
