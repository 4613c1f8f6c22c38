// SPDX-License-Identifier: Apache-2.0
/* What is said of the setting of a store in S3 before anything is sent anywhere. */
#include <stdlib.h>

#include "tests/unit/nexusd/util.h"
#include "content.h"

static const u8 uuid[NEXUS_UUID_SIZE] = { 0xde, 0xad };
static atomic_bool stop;

static int load(void **state)
{
	struct errline err = { "" };
	int ret;

	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "MADEUP", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "madeup-too", 1);
	content_set_dir(NEXUS_BUILT_DRIVERS);
	ret = content_load("s3://any", &err);
	if (ret)
		fprintf(stderr, "# %s\n", err.msg);
	return ret;
}

/* Settings that make no sense. */
static void test_settings(void **state)
{
	static const char *const bad[] = {
		"s3://b;endpoint", "s3://b;colour=red", "s3://b;part=1", "s3://b;part=5G5",
		"s3://b;style=none", "s3://b;sse=x", "s3://b;requester_pays=1", "s3://b;=x",
		"s3://b//c", "s3://b;memory=99999999999999999999", "s3://b;concurrency=0",
		"s3://b;endpoint=ftp://x", "s3://b;sse=c", "s3://b;sse_key_file=/k",
		"s3://b?x;style=host", "s3://b#;style=host", "s3://key:secret@b",
		"s3://b;sse=kms;sse_key_file=/k", "s3://b;sse=c;sse_key_file=k",
	};
	struct errline err;
	struct content *c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.msg[0] = '\0';
		if (content_open(bad[i], uuid, &stop, &c, &err) != -EINVAL || !err.msg[0])
			fail_msg("%s: %s", bad[i], err.msg);
	}
	assert_false(content_spec_ok("s3:b"));
	assert_false(content_spec_ok("s3://"));
	assert_false(content_spec_ok("s3:///b"));
	assert_false(content_spec_ok("s3://;x=y"));
	assert_false(content_spec_ok("s3://b\nx"));
	assert_true(content_spec_ok("s3://b"));
}

/* What is kept in the open is no place for a password, and what is wrong is said without it. */
static void test_proxy_secret(void **state)
{
	static const char secret_line[] = "s3://b;proxy=http://me:hush@127.0.0.1:1;attempts=1;deadline=1";
	struct errline err = { "" };
	struct content *c;

	(void)state;
	assert_int_equal(content_open(secret_line, NULL, &stop, &c, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "https_proxy"));
	assert_null(strstr(err.msg, "hush"));
	/* A zone that has it goes on; none is made. */
	err.msg[0] = '\0';
	assert_int_equal(content_open(secret_line, uuid, &stop, &c, &err), 0);
	assert_int_equal(c->ops->probe(c, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "https_proxy"));
	assert_null(strstr(err.msg, "hush"));
	content_close(c);
	/* Of no proxy. */
	assert_int_equal(content_open("s3://b;proxy=http://127.0.0.1:1;sse_key=@;attempts=1;deadline=1", uuid,
				      &stop, &c, &err), 0);
	assert_int_not_equal(c->ops->probe(c, &err), -EINVAL);
	content_close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_proxy_secret),
	};

	return cmocka_run_group_tests_name("s3-settings", tests, load, NULL);
}
