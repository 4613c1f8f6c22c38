// SPDX-License-Identifier: Apache-2.0
/*
 * A zone whose content is in a real S3 server: put in the background, evicted, fetched
 * again and compared, through a proxy that does to answers what networks do, and when the
 * helper is killed meanwhile.  And what a store says that cannot be used.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "tests/unit/nexusd/made.h"
#include "stats.h"
#include "upload.h"
#include "world.h"

#define FLUSH_MS	100000u	/* nobody waits for so long but who fails */

static u64 counter(enum stats_counter c)
{
	return atomic_load(&stats_values[c]);
}

/* Of the bucket of this process; fast to give up and to come back. */
static void spec(char *text, size_t len, const char *endpoint, const char *more)
{
	const struct s3_settings set = world_settings();

	snprintf(text, len, "s3://%s/a//b/;endpoint=%s;attempts=2;deadline=5%s", set.bucket,
		 endpoint, more);
}

static char secret[128];	/* loading the driver hides it, and others want it, too */

static int load(void)
{
	struct errline err = { "" };
	int ret;

	content_set_dir(NEXUS_BUILT_DRIVERS);
	ret = content_load("s3://any", &err);
	if (ret)
		fprintf(stderr, "# %s\n", err.msg);
	return ret;
}

static int begin(void **state)
{
	int ret;

	snprintf(secret, sizeof(secret), "%s", world_env("AWS_SECRET_ACCESS_KEY"));
	ret = load();
	setenv("AWS_SECRET_ACCESS_KEY", secret, 1);
	return ret ? ret : world_begin(state);
}

static int begin_test(void **state)
{
	world_fault("none", 0, "");
	return test_setup(state);
}

/* ---- the driver alone ----------------------------------------------------------- */

static const u8 uuid[NEXUS_UUID_SIZE] = { 0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
static atomic_bool stop;

static struct content *open_driver(const char *endpoint)
{
	struct errline err = { "" };
	char text[CONTENT_SPEC_MAX];
	struct content *c;
	int ret;

	spec(text, sizeof(text), endpoint, "");
	atomic_store(&stop, false);
	ret = content_open(text, uuid, &stop, &c, &err);
	if (ret)
		print_message("%s\n", err.msg);
	assert_int_equal(ret, 0);
	return c;
}

struct names {
	char all[2048];
	u32 n;
};

static int add_name(void *arg, const char *name, __u64 bytes)
{
	struct names *names = arg;
	size_t at = strlen(names->all);

	snprintf(names->all + at, sizeof(names->all) - at, "%s %llu,", name,
		 (unsigned long long)bytes);
	return ++names->n == 5 ? -ECANCELED : 0;
}

/* As anybody else sees it. */
static void test_names(void **state)
{
	struct content *c = open_driver(world_env("NEXUS_S3_ENDPOINT"));
	struct s3_settings set = world_settings();
	struct world_client other = world_open(&set);
	int fd = open(test_dir, O_TMPFILE | O_RDWR, 0600);
	u8 data[3 * 4096], got[4096];
	__u64 bytes;

	(void)state;
	world_fill(data, sizeof(data), 1);
	assert_int_equal(pwrite(fd, data, sizeof(data), 0), sizeof(data));
	assert_int_equal(c->ops->head(c, 0x12ab, &bytes), -ENOENT);
	assert_int_equal(c->ops->get(c, 0x12ab, 0, got, 10), -ENOENT);
	assert_int_equal(c->ops->put(c, 0x12ab, fd, sizeof(data)), 0);
	assert_int_equal(c->ops->head(c, 0x12ab, &bytes), 0);
	assert_int_equal(bytes, sizeof(data));
	world_expect(other.s3, "a//b/deadbeef-0102-0304-0506-0708090a0b0c/packs/00000000000012ab",
		     data, sizeof(data));
	assert_int_equal(c->ops->get(c, 0x12ab, 8000, got, sizeof(got)), 4096);
	assert_memory_equal(got, data + 8000, 4096);
	assert_int_equal(c->ops->get(c, 0x12ab, 12000, got, sizeof(got)), 288);
	assert_int_equal(c->ops->get(c, 0x12ab, 1 << 20, got, sizeof(got)), 0);
	assert_int_equal(c->ops->del(c, 0x12ab), 0);
	assert_int_equal(c->ops->del(c, 0x12ab), 0);
	assert_int_equal(c->ops->head(c, 0x12ab, &bytes), -ENOENT);
	/* The file ends too early, or cannot be read: that is none of the store's errors. */
	assert_int_equal(c->ops->put(c, 0x12ab, fd, sizeof(data) + 4096), -EBADFD);
	assert_int_equal(c->ops->head(c, 0x12ab, &bytes), -ENOENT);
	close(fd);
	content_close(c);
	world_close(&other);
}

static void test_named(void **state)
{
	struct content *c = open_driver(world_env("NEXUS_S3_ENDPOINT"));
	char tag[CONTENT_ETAG_SIZE], old[CONTENT_ETAG_SIZE], again[CONTENT_ETAG_SIZE], got[64];
	static const char *const bad[] = { "", "/a", "a/", "a//b", "A", "a b", "packs/1", "ö" };
	struct names names = { "", 0 };
	char name[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(c->ops->put_named(c, bad[i], "x", 1, CONTENT_ANY, NULL), -EINVAL);
	memset(name, 'a', 201);
	name[201] = '\0';
	assert_int_equal(c->ops->put_named(c, name, "x", 1, CONTENT_ANY, NULL), -EINVAL);
	assert_int_equal(c->ops->get_named(c, "owner", 0, got, sizeof(got), NULL), -ENOENT);
	assert_int_equal(c->ops->put_named(c, "owner", "first", 5, CONTENT_ABSENT, tag), 0);
	assert_int_equal(c->ops->put_named(c, "owner", "second", 6, CONTENT_ABSENT, NULL), -EEXIST);
	assert_int_equal(c->ops->get_named(c, "owner", 0, got, sizeof(got), again), 5);
	assert_memory_equal(got, "first", 5);
	assert_string_equal(again, tag);
	memcpy(old, tag, sizeof(old));
	assert_int_equal(c->ops->put_named(c, "owner", "third", 5, CONTENT_MATCH, tag), 0);
	assert_string_not_equal(tag, old);
	assert_int_equal(c->ops->put_named(c, "owner", "fourth", 6, CONTENT_MATCH, old), -EEXIST);
	assert_int_equal(c->ops->get_named(c, "owner", 2, got, 2, NULL), 2);
	assert_memory_equal(got, "ir", 2);
	assert_int_equal(c->ops->put_named(c, "owner", "", 0, CONTENT_ANY, NULL), 0);
	assert_int_equal(c->ops->get_named(c, "owner", 0, got, sizeof(got), NULL), 0);
	assert_int_equal(c->ops->put_named(c, "log/2", "22", 2, CONTENT_ANY, NULL), 0);
	assert_int_equal(c->ops->put_named(c, "log/10", "1010", 4, CONTENT_ANY, NULL), 0);
	assert_int_equal(c->ops->put_named(c, "zone", "z", 1, CONTENT_ANY, NULL), 0);
	/* Packs are no names. */
	i = (size_t)open(test_dir, O_TMPFILE | O_RDWR, 0600);
	for (int pack = 1; pack < 4; pack++)
		assert_int_equal(c->ops->put(c, (u64)pack, (int)i, 0), 0);
	close((int)i);
	assert_int_equal(c->ops->list_named(c, "", add_name, &names), 0);
	assert_string_equal(names.all, "log/10 4,log/2 2,owner 0,zone 1,");
	names = (struct names){ "", 0 };
	assert_int_equal(c->ops->list_named(c, "log/", add_name, &names), 0);
	assert_string_equal(names.all, "log/10 4,log/2 2,");
	names = (struct names){ "", 4 };
	assert_int_equal(c->ops->list_named(c, "o", add_name, &names), -ECANCELED);
	assert_int_equal(c->ops->del_named(c, "owner"), 0);
	assert_int_equal(c->ops->del_named(c, "owner"), 0);
	assert_int_equal(c->ops->put_named(c, "owner", "x", 1, CONTENT_MATCH, tag), -EEXIST);
	content_close(c);
}

static int add_object(void *arg, const struct content_object *o)
{
	struct names *names = arg;
	size_t at = strlen(names->all);

	assert_true(o->mtime > 0);
	snprintf(names->all + at, sizeof(names->all) - at, "%s%s %llu,", o->is_pack ? "+" : "",
		 o->key, (unsigned long long)(o->is_pack ? o->pack : o->bytes));
	return 0;
}

/* Everything, whatever it is called; and packs deleted at once. */
static void test_objects(void **state)
{
	struct content *c = open_driver(world_env("NEXUS_S3_ENDPOINT"));
	struct s3_settings set = world_settings();
	struct world_client other = world_open(&set);
	const __u64 packs[] = { 0xab, 0xcd, 0xef };
	struct names names = { "", 0 };
	static const char *const keys[] = {
		"../x", "a//b", "packs/00000000000000AB", "packs/00000000000000ab",
		"packs/00000000000000cd", "packs/1", "q\x01",
	};
	char *token = NULL, key[200];
	__s64 now = 0;
	int errors[3] = { 1, 1, 1 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		snprintf(key, sizeof(key), "a//b/deadbeef-0102-0304-0506-0708090a0b0c/%s", keys[i]);
		world_put(other.s3, key, "xyz", 3, 0);
	}
	assert_int_equal(c->ops->list_page(c, &token, &now, add_object, &names), 0);
	assert_null(token);
	assert_true(now > 0);
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_non_null(strstr(names.all, keys[i]));
	assert_non_null(strstr(names.all, "+packs/00000000000000ab 171,"));
	assert_non_null(strstr(names.all, "+packs/00000000000000cd 205,"));
	assert_null(strstr(names.all, "+packs/00000000000000AB"));
	assert_null(strstr(names.all, "+packs/1"));
	assert_int_equal(c->ops->del_packs(c, packs, 3, errors), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(errors[i], 0);
	names = (struct names){ "", 0 };
	assert_int_equal(c->ops->list_page(c, &token, &now, add_object, &names), 0);
	assert_null(strstr(names.all, "+packs/00000000000000ab"));
	assert_null(strstr(names.all, "+packs/00000000000000cd"));
	assert_non_null(strstr(names.all, "packs/00000000000000AB"));
	content_close(c);
	world_close(&other);
}

static void *stopper(void *arg)
{
	usleep(200000);
	atomic_store(&stop, true);
	return arg;
}

/* Who waits for a store that says nothing is let go when the zone ends. */
static void test_stop(void **state)
{
	struct content *c = open_driver(world_env("NEXUS_S3_PROXY_ENDPOINT"));
	pthread_t thread;
	u8 got[100];

	(void)state;
	world_fault("hang", 1000, "");
	pthread_create(&thread, NULL, stopper, NULL);
	assert_int_equal(c->ops->get(c, 1, 0, got, sizeof(got)), -ESHUTDOWN);
	pthread_join(thread, NULL);
	content_close(c);
	world_fault("none", 0, "");
}

static __u64 requests(struct content *c)
{
	struct content_state st;

	c->ops->state(c, &st);
	return st.requests;
}

/* Who opens a zone's store twice has one client, and each gives up waiting alone. */
static void test_shared(void **state)
{
	static const u8 other[NEXUS_UUID_SIZE] = { 1 };
	char text[CONTENT_SPEC_MAX];
	struct errline err;
	struct content *a, *b, *c, *d;
	atomic_bool stop_a = false;
	__u64 bytes, before;
	u8 got[10];

	(void)state;
	b = open_driver(world_env("NEXUS_S3_PROXY_ENDPOINT"));
	spec(text, sizeof(text), world_env("NEXUS_S3_PROXY_ENDPOINT"), "");
	assert_int_equal(content_open(text, uuid, &stop_a, &a, &err), 0);
	assert_int_equal(content_open(text, other, &stop, &c, &err), 0);
	spec(text, sizeof(text), world_env("NEXUS_S3_PROXY_ENDPOINT"), ";up=100M");
	assert_int_equal(content_open(text, uuid, &stop, &d, &err), 0);
	before = requests(b);
	assert_int_equal(a->ops->head(a, 77, &bytes), -ENOENT);
	assert_int_equal(requests(a), before + 1);
	assert_int_equal(requests(b) + requests(c) + requests(d), before + 1);
	world_fault("hang", 1, "GET ");
	atomic_store(&stop_a, true);
	assert_int_equal(a->ops->get(a, 77, 0, got, sizeof(got)), -ESHUTDOWN);
	/* Which is under way still, and of no concern to the other. */
	content_close(a);
	assert_int_equal(b->ops->head(b, 77, &bytes), -ENOENT);
	assert_true(requests(b) > before + 1);
	world_fault("none", 0, "");
	content_close(b);
	content_close(c);
	content_close(d);
	/* The next begins anew. */
	b = open_driver(world_env("NEXUS_S3_PROXY_ENDPOINT"));
	assert_int_equal(requests(b), 0);
	content_close(b);
}

/* What is said of a store that cannot be used, by who makes a zone. */
static void test_probe(void **state)
{
	static const struct {
		const char *fault;
		int error;
		const char *words;
	} cases[] = {
		{ "status:403:AccessDenied", -EACCES, "AccessDenied" },
		{ "status:404:NoSuchBucket", -ENODEV, "the bucket does not exist" },
		{ "status:301:PermanentRedirect", -EREMOTE, "in another region" },
		{ "elsewhere:eu-north-1", -EREMOTE, "in another region: made up: the region is eu-north-1" },
		{ "status:403:SignatureDoesNotMatch", -EKEYREJECTED, "the secret key is wrong" },
		{ "status:403:InvalidAccessKeyId", -EKEYREJECTED, "does not know the access key" },
		{ "status:400:ExpiredToken", -EKEYEXPIRED, "have expired" },
		{ "status:403:RequestTimeTooSkewed", -ETIME, "clock" },
		{ "skew:90000", -ETIME, "the clock of this machine is wrong" },
	};
	char text[CONTENT_SPEC_MAX];
	struct errline err;
	struct content *c = open_driver(world_env("NEXUS_S3_PROXY_ENDPOINT")), *other;
	size_t i;

	(void)state;
	assert_int_equal(c->ops->probe(c, &err), 0);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		world_fault(cases[i].fault, 100, "");
		err.msg[0] = '\0';
		assert_int_equal(c->ops->probe(c, &err), cases[i].error);
		if (!strstr(err.msg, cases[i].words))
			fail_msg("%s: %s", cases[i].fault, err.msg);
	}
	/* Which zone is there is not asked for ever. */
	world_fault("circle:list", 1000, "");
	spec(text, sizeof(text), world_env("NEXUS_S3_PROXY_ENDPOINT"), "");
	err.msg[0] = '\0';
	assert_int_equal(content_open(text, NULL, &stop, &other, &err), -EPROTO);
	assert_non_null(strstr(err.msg, "does not end"));
	assert_int_equal(world_tell("hits\n"), 2);
	/* It may be listed, and not be written. */
	world_fault("status:403:AccessDenied", 100, "PUT");
	assert_int_equal(c->ops->probe(c, &err), -EACCES);
	assert_non_null(strstr(err.msg, "nothing can be written there"));
	world_fault("none", 0, "");
	content_close(c);
	/* Nobody there; a certificate of nobody. */
	c = open_driver("http://127.0.0.1:1");
	assert_int_equal(c->ops->probe(c, &err), -ECONNREFUSED);
	content_close(c);
	c = open_driver(world_env("NEXUS_S3_TLS_ENDPOINT"));
	assert_int_equal(c->ops->probe(c, &err), -EPERM);
	assert_non_null(strstr(err.msg, "certificate"));
	content_close(c);
	spec(text, sizeof(text), world_env("NEXUS_S3_ENDPOINT"), ";profile=nobody");
	assert_true(content_open(text, uuid, &stop, &c, &err) < 0);
	assert_non_null(strstr(err.msg, "nobody"));
}

/* ---- the key of SSE-C --------------------------------------------------------------- */

#define KEY_TEXT	"dGhpcnR5LXR3byBieXRlcyBvZiBhIHNlY3JldCBrZXk="	/* "thirty-two bytes of a secret key" */
#define OTHER_TEXT	"dGhpcnR5LXR3byBieXRlcyBvZiBhIHNlY3JldCBLRVk="

/* Its name in the settings. */
static void key_file(char *more, size_t size, const char *name, const char *text, mode_t mode)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", test_dir, name);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	snprintf(more, size, ";sse=c;sse_key_file=%s", path);
}

static int open_key(const char *endpoint, const char *text, mode_t mode, struct content **c, struct errline *err)
{
	char more[192], where[CONTENT_SPEC_MAX];

	key_file(more, sizeof(more), "key", text, mode);
	spec(where, sizeof(where), endpoint, more);
	return content_open(where, uuid, &stop, c, err);
}

static void test_key_file(void **state)
{
	static const char *const bad[] = {
		"", "\n", "dGhpcnR5", KEY_TEXT "=", KEY_TEXT "\nx", " " KEY_TEXT, "thirty-two bytes of a secret key",
		"dGhpcnR5LXR3byBieXRlcyBvZiBhIHNlY3JldCBrZQ==",	/* 31 bytes */
		"dGhpcnR5LXR3byBieXRlcyBvZiBhIHNlY3JldCBrZXlz",	/* 33 */
		"dGhpcnR5LXR3byBieXRlcyBvZiB=IHNlY3JldCBrZXk=",
	};
	const char *endpoint = world_env("NEXUS_S3_ENDPOINT");
	struct errline err;
	char where[256];
	struct content *c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.msg[0] = '\0';
		assert_int_equal(open_key(endpoint, bad[i], 0600, &c, &err), -EINVAL);
		assert_non_null(strstr(err.msg, "32 bytes in base64"));
		if (strlen(bad[i]) > 1)
			assert_null(strstr(err.msg, bad[i]));
	}
	assert_int_equal(open_key(endpoint, KEY_TEXT, 0640, &c, &err), -EPERM);
	assert_non_null(strstr(err.msg, "chmod 600"));
	assert_int_equal(open_key("http://192.0.2.1", KEY_TEXT, 0600, &c, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "not https"));
	assert_null(strstr(err.msg, KEY_TEXT));
	snprintf(where, sizeof(where), "s3://b;sse=c;sse_key_file=%s/none", test_dir);
	assert_int_equal(content_open(where, uuid, &stop, &c, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "/none: No such file"));
	snprintf(where, sizeof(where), "s3://b;sse=c;sse_key_file=%s", test_dir);
	assert_int_equal(content_open(where, uuid, &stop, &c, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "no regular file"));
}

/* ---- a zone ------------------------------------------------------------------------- */

static void begin_zone_with(struct made *m, const char *endpoint, const char *more)
{
	made_new(m);
	made_cut(m);
	m->cfg.upload_delay = 1;
	m->cfg.upload_parallel = 2;
	spec(m->cfg.content, sizeof(m->cfg.content), endpoint, more);
	made_open(m);
}

static void begin_zone(struct made *m, const char *endpoint)
{
	begin_zone_with(m, endpoint, "");
}

static void flush(struct made *m)
{
	struct upload_status st;

	assert_int_equal(zone_upload_flush(m->z, FLUSH_MS, &st), 0);
	if (st.packs)
		print_message("%s; %s\n", st.error, st.driver.error);
	assert_int_equal(st.packs, 0);
	assert_string_equal(st.error, "");
}

/* All of it goes, and comes back as it was. */
static void there_and_back(struct made *m)
{
	made_evict(m);
	assert_int_equal(made_away(m), m->live);
	assert_int_equal(zone_fetch(m->z, m->pack, 0, MADE_BLOCKS), 0);
	assert_int_equal(made_away(m), 0);
}

static void test_round(void **state)
{
	u64 before = counter(STATS_uploads);
	struct upload_status st;
	struct made m;

	(void)state;
	begin_zone(&m, world_env("NEXUS_S3_ENDPOINT"));
	zone_upload_start(m.z);
	flush(&m);
	assert_int_equal(counter(STATS_uploads) - before, 1);
	assert_int_equal(zone_upload_status(m.z, &st), 0);
	assert_string_equal(st.driver.circuit, "closed");
	assert_true(st.driver.sent >= (u64)m.g.next_block << NEXUS_BLOCK_SHIFT);
	there_and_back(&m);
	made_cut(&m);
}

/* Nobody reads it without the key, the server's owner neither; with it all is as ever. */
static void test_key(void **state)
{
	const char *endpoint = world_env("NEXUS_S3_ENDPOINT");
	char with[192], other[192];
	struct content_state driver;
	struct upload_status st;
	struct errline err;
	struct content *c;
	struct made m;
	u8 buf[4096], zone[NEXUS_UUID_SIZE];
	u64 pack;

	(void)state;
	key_file(with, sizeof(with), "key", KEY_TEXT "\n", 0600);
	key_file(other, sizeof(other), "other", OTHER_TEXT, 0400);
	begin_zone_with(&m, endpoint, with);
	pack = m.pack;
	memcpy(zone, m.z->sb.uuid, sizeof(zone));
	zone_upload_start(m.z);
	flush(&m);
	there_and_back(&m);
	assert_int_equal(zone_upload_status(m.z, &st), 0);
	assert_null(strstr(st.driver.error, "secret"));
	made_cut(&m);
	/* Another key, and none. */
	spec(m.cfg.content, sizeof(m.cfg.content), endpoint, other);
	assert_int_equal(content_open(m.cfg.content, zone, &stop, &c, &err), 0);
	assert_true(c->ops->get(c, pack, 0, buf, sizeof(buf)) < 0);
	c->ops->state(c, &driver);
	assert_non_null(strstr(driver.error, "the key of SSE-C may be another"));
	content_close(c);
	spec(m.cfg.content, sizeof(m.cfg.content), endpoint, "");
	assert_int_equal(content_open(m.cfg.content, zone, &stop, &c, &err), 0);
	assert_true(c->ops->get(c, pack, 0, buf, sizeof(buf)) < 0);
	content_close(c);
	spec(m.cfg.content, sizeof(m.cfg.content), endpoint, with);
	assert_int_equal(content_open(m.cfg.content, zone, &stop, &c, &err), 0);
	assert_int_equal(c->ops->get(c, pack, 0, buf, sizeof(buf)), sizeof(buf));
	content_close(c);
}

/* Whatever happens to what is put: it is there in the end, with nobody's help. */
static void test_faults(void **state)
{
	static const char *const faults[] = {
		"drop-request", "drop-answer", "reset", "truncate", "corrupt", "corrupt-request",
		"lost-500", "status:500:InternalError", "status:503:SlowDown",
		"status:403:AccessDenied", "status:404:NoSuchBucket", "status:400:ExpiredToken",
		"garbage", "twice",
	};
	char path[PATH_MAX + 16];
	struct made m;
	size_t i;

	(void)state;
	begin_zone(&m, world_env("NEXUS_S3_PROXY_ENDPOINT"));
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct content *c = m.z->fetch->content;

		snprintf(path, sizeof(path), "%s/" UPLOAD_FILE, m.z->dir);
		unlink(path);
		assert_int_equal(c->ops->del(c, m.pack), 0);
		/* As often as one put tries. */
		world_fault(faults[i], 2, "PUT");
		zone_upload_start(m.z);
		flush(&m);
		assert_true(world_tell("hits\n") > 0);
		world_fault("none", 0, "");
		there_and_back(&m);
		made_cut(&m);
		made_open(&m);
	}
	made_cut(&m);
}

/* What is read wrong is not shown to anybody, and is right as soon as it can be. */
static void test_read_faults(void **state)
{
	static const char *const faults[] = {
		"drop-answer", "truncate", "corrupt", "clip", "status:500:InternalError",
		"status:403:AccessDenied", "status:404:NoSuchKey",
	};
	struct made m;
	u32 away;
	size_t i;

	(void)state;
	begin_zone(&m, world_env("NEXUS_S3_PROXY_ENDPOINT"));
	zone_upload_start(m.z);
	flush(&m);
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		made_evict(&m);
		world_fault(faults[i], 1000000, "GET");
		assert_true(zone_fetch(m.z, m.pack, 0, MADE_BLOCKS) < 0);
		made_sound(&m, &away);
		assert_true(away > 0);
		world_fault("none", 0, "");
		assert_int_equal(zone_fetch(m.z, m.pack, 0, MADE_BLOCKS), 0);
		assert_int_equal(made_away(&m), 0);
	}
	made_cut(&m);
}

/* A helper of its own, which puts what there is until it is killed. */
static int be_killed(char **argv)
{
	struct made m = { .z = NULL };

	alarm(60);
	snprintf(test_dir, sizeof(test_dir), "%s", argv[1]);
	test_config(&m.cfg, &nexus_ms_lmdb);
	m.cfg.pack_size = MADE_BLOCKS << NEXUS_BLOCK_SHIFT;
	m.cfg.upload_delay = 1;
	m.cfg.upload_parallel = 2;
	snprintf(m.cfg.content, sizeof(m.cfg.content), "%s", argv[2]);
	if (load())
		return 1;
	made_open(&m);
	zone_upload_start(m.z);
	for (;;)
		pause();
}

static void begin_killed(const struct made *m, pid_t *pid)
{
	*pid = fork();
	assert_true(*pid >= 0);
	if (*pid)
		return;
	/* Secrets are not there after a fork. */
	setenv("AWS_SECRET_ACCESS_KEY", secret, 1);
	execl("/proc/self/exe", "test-s3-content", test_dir, m->cfg.content, NULL);
	_exit(1);
}

/* A helper that is killed while it puts, anywhere: the next one goes on. */
static void test_killed(void **state)
{
	/* Before the server has it, while it is asked, and when it has it and nobody knows. */
	static const char *const moments[][2] = {
		{ "hang", "PUT" }, { "hang", "HEAD" }, { "hang", "PUT" }, { "delay:1000000", "PUT" },
	};
	u64 before = counter(STATS_uploads);
	struct made m;
	u32 i;

	(void)state;
	begin_zone(&m, world_env("NEXUS_S3_PROXY_ENDPOINT"));
	made_cut(&m);
	for (i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
		int status;
		pid_t pid;

		world_fault(moments[i][0], 1000, moments[i][1]);
		begin_killed(&m, &pid);
		while (!world_tell("hits\n") && !waitpid(pid, &status, WNOHANG))
			usleep(1000);
		usleep(100000u * i);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	world_fault("none", 0, "");
	made_open(&m);
	zone_upload_start(m.z);
	flush(&m);
	assert_int_equal(counter(STATS_uploads), before);
	there_and_back(&m);
	made_cut(&m);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names, begin_test, test_teardown),
		cmocka_unit_test_setup_teardown(test_named, begin_test, test_teardown),
		cmocka_unit_test_setup_teardown(test_objects, begin_test, test_teardown),
		cmocka_unit_test_setup_teardown(test_stop, begin_test, test_teardown),
		cmocka_unit_test_setup_teardown(test_shared, begin_test, test_teardown),
		cmocka_unit_test_setup_teardown(test_probe, begin_test, test_teardown),
		cmocka_unit_test_setup_teardown(test_round, begin_test, test_teardown),
		cmocka_unit_test_setup_teardown(test_key_file, begin_test, test_teardown),
		cmocka_unit_test_setup_teardown(test_key, begin_test, test_teardown),
		cmocka_unit_test_setup_teardown(test_faults, begin_test, test_teardown),
		cmocka_unit_test_setup_teardown(test_read_faults, begin_test, test_teardown),
		cmocka_unit_test_setup_teardown(test_killed, begin_test, test_teardown),
	};
	const char *only = getenv("NEXUS_TESTS");

	if (argc == 3)
		return be_killed(argv);
	if (only)
		cmocka_set_test_filter(only);
	return cmocka_run_group_tests_name("s3-content", tests, begin, world_end);
}
