// SPDX-License-Identifier: Apache-2.0
/*
 * nexusctl gc in a real S3 server, through a proxy that does to answers what networks and
 * servers do: whatever becomes of it, nothing that is needed goes, and what has leaked goes
 * as soon as it can be seen for sure.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/nexusd/gc-world.h"
#include "fetch.h"
#include "upload.h"
#include "world.h"

#define FLUSH_MS	100000u	/* nobody waits for so long but who fails */
#define ALWAYS		1000000u
#define NEEDED_MAX	64u

static char place[CONTENT_SPEC_MAX];
static struct content *direct;	/* the same place, without the proxy */
static atomic_bool stop;

static void spec(char *text, size_t len, const char *endpoint)
{
	const struct s3_settings set = world_settings();

	snprintf(text, len, "s3://%s/gc/;endpoint=%s;attempts=2;deadline=5;part=5M", set.bucket, endpoint);
}

static int begin_all(void **state)
{
	struct errline err = { "" };
	char secret[128];
	int ret;

	snprintf(secret, sizeof(secret), "%s", world_env("AWS_SECRET_ACCESS_KEY"));
	content_set_dir(NEXUS_BUILT_DRIVERS);
	ret = content_load("s3://any", &err);
	/* Loading the driver hides it. */
	setenv("AWS_SECRET_ACCESS_KEY", secret, 1);
	return ret ? ret : world_begin(state);
}

/* ---- a zone, and what is in its place ----------------------------------------------------- */

struct listed {
	char key[NEEDED_MAX][64];
	u32 n;
};

static int note(void *arg, const struct content_object *o)
{
	struct listed *l = arg;

	assert_true(l->n < NEEDED_MAX);
	snprintf(l->key[l->n++], sizeof(l->key[0]), "%s", o->key);
	return 0;
}

static void list_all(struct listed *l)
{
	char *token = NULL;
	__s64 now;

	l->n = 0;
	do {
		assert_int_equal(direct->ops->list_page(direct, &token, &now, note, l), 0);
	} while (token);
}

static bool has_key(const struct listed *l, const char *key)
{
	u32 i;

	for (i = 0; i < l->n; i++)
		if (!strcmp(l->key[i], key))
			return true;
	return false;
}

static void begin_zone_there(struct world *m, struct listed *needed)
{
	struct errline err = { "" };
	struct upload_status st;
	char text[CONTENT_SPEC_MAX];

	world_fault("none", 0, "");
	spec(place, sizeof(place), world_env("NEXUS_S3_PROXY_ENDPOINT"));
	world_content = place;
	make(m);
	m->cfg.upload_delay = 1;
	m->cfg.upload_parallel = 1;
	m->cfg.gc_grace = 0;
	own(m);
	work(m);
	assert_int_equal(zone_fetch_start(m->z), 0);
	zone_upload_start(m->z);
	assert_int_equal(zone_upload_flush(m->z, FLUSH_MS, &st), 0);
	assert_int_equal(st.packs, 0);
	spec(text, sizeof(text), world_env("NEXUS_S3_ENDPOINT"));
	atomic_store(&stop, false);
	assert_int_equal(content_open(text, m->z->sb.uuid, &stop, &direct, &err), 0);
	list_all(needed);
	/* Two packs, owner, manifest, two checkpoints, log. */
	assert_true(needed->n >= 6);
	assert_true(has_key(needed, ORIGIN_MANIFEST) && has_key(needed, ORIGIN_OWNER));
}

#define LEAKED	5u

/* Two packs of nobody, parts of a checkpoint and of the log. */
static void leak(struct world *m, u64 pack[2])
{
	static const char *const part[] = {
		"checkpoint/0000000000000000-0000000000000007/000000",
		"checkpoint/0000000000000000-0000000000000007/000001",
		"log/0000000000000000-0000000000000123/000000",
	};
	int i, fd = open(test_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 5000), 0);
	for (i = 0; i < 2; i++) {
		if (!pack[i])
			pack[i] = lost_pack(m);
		assert_int_equal(direct->ops->put(direct, pack[i], fd, 5000), 0);
	}
	for (i = 0; i < 3; i++)
		assert_int_equal(direct->ops->put_named(direct, part[i], "x", 1, CONTENT_ANY, NULL), 0);
	close(fd);
}

static void all_needed_there(const struct listed *needed, struct listed *now)
{
	u32 i;

	list_all(now);
	for (i = 0; i < needed->n; i++) {
		if (has_key(now, needed->key[i]))
			continue;
		print_message("gone: %s\n", needed->key[i]);
		fail();
	}
}

/* ---- tests --------------------------------------------------------------------------------- */

/* What gc does: the listing; manifest, owner and checkpoints; packs at once, others one by one. */
static const char *const what[] = { "list-type=2", "/manifest", "/owner", "/checkpoint/", "POST ", "DELETE " };

/* A check has time for the first of them; with NEXUS_LOOPS all. */
static const char *const faults[] = {
	"status:404:NoSuchKey", "clip", "drop-answer", "status:503:SlowDown",
	"corrupt", "twice", "drop-request", "reset", "truncate", "status:500:InternalError", "lost-500",
	"web-page",
};

#define FEW	2u

static void spoiled(struct world *m, const char *fault, unsigned int times, const char *filter,
		    const struct listed *needed, u64 pack[2], bool run)
{
	struct gc *g = new_gc(m, run);
	struct listed now;
	int ret;

	world_fault(fault, times, filter);
	ret = finish_gc(g);
	world_fault("none", 0, "");
	all_needed_there(needed, &now);
	/* What is there is not called missing, whatever the listing was. */
	assert_int_equal(g->r.sum[GC_MISSING].n, 0);
	assert_true(g->r.deleted.n <= LEAKED);
	if (!run)
		assert_int_equal(now.n, needed->n + LEAKED);
	/* What it says it has done it has. */
	if (run && !ret && !g->r.failed && g->r.sum[GC_LEAKED].n == LEAKED)
		assert_int_equal(now.n, needed->n);
	if (now.n < needed->n + LEAKED)
		leak(m, pack);
	gc_free(g);
}

static void each_fault(unsigned int times)
{
	struct listed needed, now;
	u64 pack[2] = { 0, 0 };
	struct world m;
	size_t i, j, n = getenv("NEXUS_LOOPS") ? sizeof(faults) / sizeof(faults[0]) : FEW;
	struct gc *g;

	begin_zone_there(&m, &needed);
	leak(&m, pack);
	for (i = 0; i < n; i++)
		for (j = 0; j < sizeof(what) / sizeof(what[0]); j++) {
			/* Without deleting, what is read of the listing is all there is to it. */
			if (!j)
				spoiled(&m, faults[i], times, what[j], &needed, pack, false);
			spoiled(&m, faults[i], times, what[j], &needed, pack, true);
		}
	/* In the end all is as it should be. */
	g = new_gc(&m, true);
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->r.deleted.n, LEAKED);
	assert_int_equal(g->r.failed + g->r.sum[GC_MISSING].n, 0);
	gc_free(g);
	all_needed_there(&needed, &now);
	assert_int_equal(now.n, needed.n);
	content_close(direct);
	zone_fetch_stop(m.z);
	end_zone(&m);
	forget(&m);
}

/* Once: it is tried again, and mostly goes well. */
static void test_once(void **state)
{
	(void)state;
	each_fault(1);
}

/* Each time. */
static void test_always(void **state)
{
	(void)state;
	each_fault(ALWAYS);
}

/* ---- what was never finished ------------------------------------------------------------------ */

#define PARTS	3u
#define PARTS_LEN	(PARTS * S3_PART_LEAST)

static const unsigned char big[PARTS_LEN];

/* An upload of that zone's that nobody ends, as when a helper is killed. */
static void die_in_the_middle(const u8 *zone, u64 pack)
{
	struct s3_settings set = world_settings();
	struct s3_put put = { .data = big, .len = PARTS_LEN, .fd = -1 };
	struct world_count count = { 0 };
	char prefix[64], key[64], text[37] = "";
	struct world_client dying;
	struct s3_stats stats;
	size_t i, at = 0;

	for (i = 0; i < NEXUS_UUID_SIZE; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%02x",
				       i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", zone[i]);
	snprintf(prefix, sizeof(prefix), "gc/%s/", text);
	snprintf(key, sizeof(key), "packs/%016llx", pack);
	put.key = key;
	set.prefix = prefix;
	set.part = S3_PART_LEAST;
	/* Slow enough to be caught in the middle. */
	set.up = 1u << 20;
	dying = world_open(&set);
	assert_int_equal(s3_upload_start(dying.s3, &put, world_counted, &count), 0);
	do {
		usleep(10000);
		s3_stats(dying.s3, &stats);
	} while (stats.requests < 2);
	world_close(&dying);
	assert_int_equal(count.error, -ECANCELED);
}

static int count_upload(void *arg, const struct content_object *o, const char *id)
{
	assert_true(o->is_pack && o->mtime && id[0]);
	++*(u32 *)arg;
	return 0;
}

static u32 unfinished(struct content *c)
{
	char *token = NULL;
	__s64 now;
	u32 n = 0;

	do {
		assert_int_equal(c->ops->uploads_page(c, &token, &now, count_upload, &n), 0);
	} while (token);
	return n;
}

struct putting {
	struct world *m;
	u64 pack;
	int ret;
};

static void *put_slowly(void *arg)
{
	struct content *c = ((struct putting *)arg)->m->z->fetch->content;
	struct putting *p = arg;
	int fd = open(test_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	p->ret = fd < 0 || ftruncate(fd, PARTS_LEN) ? -errno : c->ops->put(c, p->pack, fd, PARTS_LEN);
	close(fd);
	return NULL;
}

/* What this helper is at is not what nobody finishes. */
static void while_putting(struct world *m, u32 left)
{
	struct putting p = { .m = m, .pack = lost_pack(m) };
	pthread_t thread;
	struct gc *g;

	world_fault("delay:3000", 1, "partNumber=3");
	assert_int_equal(pthread_create(&thread, NULL, put_slowly, &p), 0);
	while (unfinished(direct) == left)
		usleep(10000);
	assert_int_equal(unfinished(m->z->fetch->content), left);
	g = new_gc(m, true);
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->r.sum[GC_LEAKED].n, left);
	gc_free(g);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(p.ret, 0);
	assert_int_equal(direct->ops->del(direct, p.pack), 0);
	world_fault("none", 0, "");
}

static void test_unfinished(void **state)
{
	static const char *const filter[] = { "?uploads", "DELETE " };
	struct listed needed, now;
	u8 other[NEXUS_UUID_SIZE];
	struct errline err;
	struct content *theirs;
	char text[CONTENT_SPEC_MAX];
	struct world m;
	u64 pack;
	size_t i, n = 2 * (getenv("NEXUS_LOOPS") ? sizeof(faults) / sizeof(faults[0]) : FEW);
	struct gc *g;

	(void)state;
	begin_zone_there(&m, &needed);
	assert_int_equal(unfinished(direct), 0);
	memcpy(other, m.z->sb.uuid, sizeof(other));
	other[NEXUS_UUID_SIZE - 1] ^= 1;
	die_in_the_middle(other, 7);
	assert_int_equal(zone_take_packs(m.z, 1, &pack), 0);
	die_in_the_middle(m.z->sb.uuid, pack);
	assert_int_equal(unfinished(direct), 1);
	/* As young as it is, it stays. */
	m.cfg.gc_grace = 3600;
	g = new_gc(&m, true);
	assert_int_equal(finish_gc(g), 0);
	assert_int_equal(g->r.young.n, 1);
	gc_free(g);
	m.cfg.gc_grace = 0;
	g = new_gc(&m, false);
	assert_int_equal(finish_gc(g), 0);
	snprintf(text, sizeof(text), "unfinished pack %llu", pack);
	assert_true(named(g, GC_LEAKED, text));
	gc_free(g);
	assert_int_equal(unfinished(direct), 1);
	for (i = 0; i < n; i++) {
		if (!unfinished(direct))
			die_in_the_middle(m.z->sb.uuid, pack);
		world_fault(faults[i / 2], i % 3 ? 1 : ALWAYS, filter[i % 2]);
		g = new_gc(&m, true);
		(void)finish_gc(g);
		world_fault("none", 0, "");
		assert_int_equal(unfinished(direct), !g->r.deleted.n);
		gc_free(g);
		all_needed_there(&needed, &now);
		assert_int_equal(now.n, needed.n);
	}
	while_putting(&m, unfinished(direct));
	assert_int_equal(unfinished(direct), 0);
	all_needed_there(&needed, &now);
	/* The other zone's is nobody else's. */
	spec(text, sizeof(text), world_env("NEXUS_S3_ENDPOINT"));
	assert_int_equal(content_open(text, other, &stop, &theirs, &err), 0);
	assert_int_equal(unfinished(theirs), 1);
	content_close(theirs);
	content_close(direct);
	zone_fetch_stop(m.z);
	end_zone(&m);
	forget(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_once, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_always, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_unfinished, test_setup, test_teardown),
	};

	cmocka_set_test_filter(getenv("NEXUS_TESTS"));
	return cmocka_run_group_tests_name("s3-gc", tests, begin_all, world_end);
}
