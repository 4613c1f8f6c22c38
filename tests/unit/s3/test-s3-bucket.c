// SPDX-License-Identifier: Apache-2.0
/* A bucket of others in a real S3 server, as a mount of it lists and reads it. */
#include <stdarg.h>
#include <setjmp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bucket/bucket.h"
#include "content.h"
#include "world.h"

static char secret[128];	/* loading the driver hides it, and others want it, too */
static struct config cfg;

static int begin(void **state)
{
	struct errline err = { "" };
	int ret;

	snprintf(secret, sizeof(secret), "%s", world_env("AWS_SECRET_ACCESS_KEY"));
	config_defaults(&cfg);
	snprintf(cfg.buckets, sizeof(cfg.buckets), "s3;endpoint=%s;attempts=2;deadline=5",
		 world_env("NEXUS_S3_ENDPOINT"));
	content_set_dir(NEXUS_BUILT_DRIVERS);
	ret = content_load("s3://any", &err);
	if (ret)
		fprintf(stderr, "# %s\n", err.msg);
	setenv("AWS_SECRET_ACCESS_KEY", secret, 1);
	return ret ? ret : world_begin(state);
}

static struct bucket *open_bucket(const char *prefix, int error)
{
	struct bucket *b = calloc(1, sizeof(*b));
	const struct s3_settings set = world_settings();
	struct errline err = { "" };

	assert_non_null(b);
	assert_int_equal(bucket_init(b, 3600 * 1000), 0);
	snprintf(b->source, sizeof(b->source), "s3://%s%s", set.bucket, prefix);
	assert_int_equal(bucket_open_store(&cfg, b->source, &b->stop, &b->store, &err), error);
	if (error)
		print_message("%s\n", err.msg);
	return b;
}

static void ls(struct bucket *b, const char *name, int error, struct bucket_counts *c)
{
	struct errline err = { "" };
	u64 ino = NEXUS_ROOT_INO;

	if (name)
		assert_non_null(btree_find(&b->tree, NEXUS_ROOT_INO, name, strlen(name), &ino));
	assert_int_equal(bucket_list(b, ino, c, &err), error);
	if (error)
		print_message("%s\n", err.msg);
}

static const struct bnode *look(struct bucket *b, u64 dir, const char *name)
{
	u64 ino;

	return btree_find(&b->tree, dir, name, strlen(name), &ino);
}

static void test_names(void **state)
{
	static const char *const keys[] = {
		"v/plain", "v/both", "v/both-between", "v/both/in", "v//lead", "v/a/../b", "v/..",
		"v/con\ttrol", "v/per%20cent + \xc3\xa4", "v/mark/", "v/", "vw/not-below",
	};
	struct s3_settings set = world_settings();
	struct world_client other = world_open(&set);
	struct bucket *b = open_bucket("/v", 0);
	struct bucket_counts c;
	const struct bnode *node;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		world_put(other.s3, keys[i], "data", i % 5, 0);
	ls(b, NULL, 0, &c);
	/* plain, both, both-between, a, control, per, mark; not "", "..", the object both. */
	assert_int_equal(c.entries, 7);
	assert_int_equal(c.hidden, 3);
	assert_non_null(look(b, NEXUS_ROOT_INO, "con\ttrol"));
	assert_non_null(look(b, NEXUS_ROOT_INO, "per%20cent + \xc3\xa4"));
	assert_non_null(look(b, NEXUS_ROOT_INO, "mark")->dir);
	node = look(b, NEXUS_ROOT_INO, "both");
	assert_non_null(node->dir);
	node = look(b, NEXUS_ROOT_INO, "both-between");
	assert_int_equal(node->size, 2);
	assert_true(node->mtime > 1700000000);
	assert_true(strlen(node->etag) > 10);
	ls(b, "both", 0, &c);
	assert_int_equal(c.entries, 1);
	ls(b, "mark", 0, &c);
	assert_int_equal(c.entries, 0);
	ls(b, "a", 0, &c);
	assert_int_equal(c.entries, 0);
	assert_int_equal(c.hidden, 1);
	bucket_free(b);
	world_close(&other);
}

/* Ranges of the object that was listed, and of no other. */
static void test_read(void **state)
{
	struct s3_settings set = world_settings();
	struct world_client other = world_open(&set);
	struct bucket *b = open_bucket("/r/", 0);
	struct errline err = { "" };
	static u8 data[100000], got[100000];
	const struct bucket_ops *ops = b->store->ops;
	struct bucket_counts c;
	char etag[BUCKET_ETAG_MAX];

	(void)state;
	world_fill(data, sizeof(data), 1);
	world_put(other.s3, "r/f %41+", data, sizeof(data), 0);
	ls(b, NULL, 0, &c);
	snprintf(etag, sizeof(etag), "%s", look(b, NEXUS_ROOT_INO, "f %41+")->etag);
	assert_int_equal(ops->get(b->store, "f %41+", etag, 70000, got, 5000, &err), 5000);
	assert_memory_equal(got, data + 70000, 5000);
	assert_int_equal(ops->get(b->store, "f %41+", etag, 99000, got, 5000, &err), 1000);
	data[0]++;
	world_put(other.s3, "r/f %41+", data, sizeof(data), 0);
	assert_int_equal(ops->get(b->store, "f %41+", etag, 70000, got, 5000, &err), -ESTALE);
	ls(b, NULL, 0, &c);
	assert_int_equal(c.m.changed, 1);
	assert_string_not_equal(look(b, NEXUS_ROOT_INO, "f %41+")->etag, etag);
	assert_int_equal(ops->get(b->store, "none", etag, 0, got, 10, &err), -ENOENT);
	bucket_free(b);
	world_close(&other);
}

static int count(void *arg, const struct bucket_object *o)
{
	(void)o;
	(*(unsigned int *)arg)++;
	return 0;
}

/* Groups that lie on two pages come once. */
static void test_pages(void **state)
{
	struct s3_settings set = world_settings();
	struct world_client other = world_open(&set);
	struct bucket *b = open_bucket("/p", 0);
	struct errline err = { "" };
	unsigned int n = 0, pages = 0, i;
	char key[32], *token = NULL;

	(void)state;
	for (i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), i % 2 ? "p/d%02u/%u" : "p/d%02u", i / 4, i);
		world_put(other.s3, key, "", 0, 0);
	}
	do {
		assert_int_equal(b->store->ops->list(b->store, "", 3, &token, count, &n, &err), 0);
		pages++;
	} while (token);
	/* Ten objects and ten groups. */
	assert_int_equal(n, 20);
	assert_true(pages >= 7);
	bucket_free(b);
	world_close(&other);
}

static char profiles[] = "/tmp/nexus-profiles-XXXXXX";

__attribute__((format(printf, 1, 0)))
static void write_profile(const char *text)
{
	static int fd = -1;
	char all[512];

	if (fd < 0)
		fd = mkstemp(profiles);
	assert_true(fd >= 0);
	snprintf(all, sizeof(all), text, world_env("AWS_ACCESS_KEY_ID"));
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, all, strlen(all), 0), strlen(all));
	setenv("AWS_SHARED_CREDENTIALS_FILE", profiles, 1);
}

/* What a mount of it says, and that nothing is taken for an empty directory. */
static void test_refused(void **state)
{
	struct errline err = { "" };
	struct bucket_counts c;
	struct bucket *b;
	char *token = NULL;
	unsigned int n = 0;

	(void)state;
	b = open_bucket("-none/x", 0);
	ls(b, NULL, -ENODEV, &c);
	assert_int_equal(b->store->ops->list(b->store, "", 1, &token, count, &n, &err), -ENODEV);
	assert_non_null(strstr(err.msg, "does not exist"));
	bucket_free(b);
	b = open_bucket("/x;colour=red", -EINVAL);
	bucket_free(b);
	b = open_bucket("/x;endpoint=http://127.0.0.1:1", 0);
	ls(b, NULL, -ECONNREFUSED, &c);
	assert_int_equal(b->tree.nodes[0]->dir->listed, 0);
	bucket_free(b);
	/* Keys that are wrong, and none. */
	write_profile("[wrong]\naws_access_key_id = %s\naws_secret_access_key = wrong\n");
	b = open_bucket("/x;profile=wrong", 0);
	ls(b, NULL, -EKEYREJECTED, &c);
	bucket_free(b);
	write_profile("[empty]\naws_access_key_id =\naws_secret_access_key =\n");
	b = open_bucket("/x;profile=empty", -EINVAL);
	bucket_free(b);
	unlink(profiles);
}

/* What a mount is told of what is not right with the store, or with who asks. */
static void test_told(void **state)
{
	static const struct {
		const char *fault;
		int error;
		const char *words;
	} cases[] = {
		{ "status:403:AccessDenied", -EACCES, "AccessDenied" },
		{ "status:404:NoSuchBucket", -ENOENT, "the bucket does not exist" },
		{ "elsewhere:eu-north-1", -EREMOTE, "the region is eu-north-1" },
		{ "skew:90000", -ETIME, "the clock of this machine is wrong" },
		{ "status:403:SignatureDoesNotMatch", -EKEYREJECTED, "the secret key is wrong" },
		{ "status:403:InvalidAccessKeyId", -EKEYREJECTED, "does not know the access key" },
		{ "status:400:ExpiredToken", -EKEYEXPIRED, "have expired" },
		{ "status:503:SlowDown", -EBUSY, "SlowDown" },
		{ "web-page", -EPROTO, "" },
		{ "hang", -ETIMEDOUT, "" },
	};
	const char *proxy = world_env("NEXUS_S3_PROXY_ENDPOINT");
	char bucket[100], source[BUCKET_SOURCE];
	atomic_bool stop = false;
	struct errline err;
	size_t i;

	(void)state;
	snprintf(bucket, sizeof(bucket), "s3://%s/x", world_settings().bucket);
	world_fault("none", 0, "");
	/* What is set for all ends later, unless the mount itself says so. */
	snprintf(source, sizeof(source), "%s;endpoint=%s;deadline=2", bucket, proxy);
	assert_int_equal(bucket_try(&cfg, source, &stop, &err), 0);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		world_fault(cases[i].fault, 1000, "");
		err.msg[0] = '\0';
		if (bucket_try(&cfg, source, &stop, &err) != cases[i].error ||
		    !err.msg[0] || !strstr(err.msg, cases[i].words))
			fail_msg("%s: %s", cases[i].fault, err.msg);
		print_message("%s: %s\n", cases[i].fault, err.msg);
	}
	world_fault("none", 0, "");
	snprintf(source, sizeof(source), "%s;endpoint=%s", bucket, world_env("NEXUS_S3_TLS_ENDPOINT"));
	assert_int_equal(bucket_try(&cfg, source, &stop, &err), -EPERM);
	assert_non_null(strstr(err.msg, "the server's certificate is not trusted"));
	snprintf(source, sizeof(source), "%s;endpoint=%s;ca_file=%s", bucket,
		 world_env("NEXUS_S3_TLS_ENDPOINT"), world_env("NEXUS_S3_CA_FILE"));
	assert_int_equal(bucket_try(&cfg, source, &stop, &err), 0);
	snprintf(source, sizeof(source), "%s;endpoint=http://127.0.0.1:1", bucket);
	assert_int_equal(bucket_try(&cfg, source, &stop, &err), -ECONNREFUSED);
	assert_non_null(strstr(err.msg, "connect"));
	snprintf(source, sizeof(source), "%s;endpoint=http://nowhere.invalid", bucket);
	assert_int_equal(bucket_try(&cfg, source, &stop, &err), -EHOSTUNREACH);
	assert_non_null(strstr(err.msg, "resolve host: nowhere.invalid"));
}

/* Half of what is needed is not taken for none. */
static void test_half_a_key(void **state)
{
	char *key = strdup(world_env("AWS_ACCESS_KEY_ID")), source[BUCKET_SOURCE];
	atomic_bool stop = false;
	struct errline err = { "" };
	int ret;

	(void)state;
	assert_non_null(key);
	snprintf(source, sizeof(source), "s3://%s/x", world_settings().bucket);
	unsetenv("AWS_ACCESS_KEY_ID");
	ret = bucket_try(&cfg, source, &stop, &err);
	setenv("AWS_ACCESS_KEY_ID", key, 1);
	free(key);
	assert_int_equal(ret, -EINVAL);
	assert_non_null(strstr(err.msg, "AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_half_a_key),
	};

	return cmocka_run_group_tests_name("bucket", tests, begin, world_end);
}
