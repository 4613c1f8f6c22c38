// SPDX-License-Identifier: Apache-2.0
/* How mount.nexusfs sorts the words of -o. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include <cmocka.h>

#include "mount.h"

static char line[256];

void complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
}

static char text[4096];

static struct request parse(const char *options)
{
	struct request req = { .n_fs = 0 };

	snprintf(text, sizeof(text), "%s", options);
	assert_int_equal(options_parse(&req, text), EXIT_OK);
	return req;
}

static void fs_is(const struct request *req, size_t i, const char *key,
		  const char *value)
{
	assert_true(i < req->n_fs);
	assert_string_equal(req->fs[i].key, key);
	if (value)
		assert_string_equal(req->fs[i].value, value);
	else
		assert_null(req->fs[i].value);
}

static void fstab_words_are_ignored(void **state)
{
	struct request req = parse(
		"defaults,noauto,user,users,nofail,_netdev,x-systemd.automount,"
		"x-gvfs-show=1,X-mount.mkdir,comment=hello,,owner,group");

	(void)state;
	assert_int_equal(req.n_fs, 0);
	assert_int_equal(req.attr_set, 0);
	assert_false(req.remount);
}

static void read_only_is_both(void **state)
{
	struct request req = parse("rw,ro");

	(void)state;
	assert_int_equal(req.attr_set, MOUNT_ATTR_RDONLY);
	assert_int_equal(req.attr_clear, 0);
	assert_int_equal(req.n_fs, 2);
	fs_is(&req, 1, "ro", NULL);
	req = parse("remount,rw");
	assert_true(req.remount);
	assert_int_equal(req.attr_set, 0);
	assert_int_equal(req.attr_clear, MOUNT_ATTR_RDONLY);
	fs_is(&req, 0, "rw", NULL);
}

static void attributes_of_the_mount(void **state)
{
	struct request req = parse("nosuid,nodev,noexec,exec,nodiratime");

	(void)state;
	assert_int_equal(req.attr_set, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			 MOUNT_ATTR_NODIRATIME);
	assert_int_equal(req.n_fs, 0);
	req = parse("noatime,strictatime");
	assert_int_equal(req.attr_set, MOUNT_ATTR_STRICTATIME);
	assert_int_equal(req.attr_clear, MOUNT_ATTR__ATIME);
	req = parse("strictatime,relatime");
	assert_int_equal(req.attr_set, MOUNT_ATTR_RELATIME);
	req = parse("noatime");
	assert_int_equal(req.attr_set, MOUNT_ATTR_NOATIME);
}

static void own_options_pass_through(void **state)
{
	struct request req = parse(
		"grace=30,durability=origin,verify=always,mem,gate,lazytime,nonsense=1,bogus");

	(void)state;
	assert_true(req.mem);
	assert_int_equal(req.n_fs, 8);
	fs_is(&req, 0, "grace", "30");
	fs_is(&req, 1, "durability", "origin");
	fs_is(&req, 2, "verify", "always");
	fs_is(&req, 3, "mem", NULL);
	fs_is(&req, 4, "gate", NULL);
	fs_is(&req, 5, "lazytime", NULL);
	fs_is(&req, 6, "nonsense", "1");
	fs_is(&req, 7, "bogus", NULL);
}

static void values_may_look_like_words(void **state)
{
	struct request req = parse("ro=yes,remount=1,context=\"a:b,c\",x=a=b");

	(void)state;
	assert_false(req.remount);
	assert_int_equal(req.attr_set, 0);
	fs_is(&req, 0, "ro", "yes");
	fs_is(&req, 1, "remount", "1");
	fs_is(&req, 2, "context", "a:b,c");
	fs_is(&req, 3, "x", "a=b");
}

static void propagation(void **state)
{
	struct request req = parse("rslave");

	(void)state;
	assert_int_equal(req.propagation, MS_SLAVE);
	assert_true(req.recursive);
	req = parse("private");
	assert_int_equal(req.propagation, MS_PRIVATE);
	assert_false(req.recursive);
}

static void too_many(void **state)
{
	struct request req = { .n_fs = 0 };
	size_t i;

	(void)state;
	text[0] = '\0';
	for (i = 0; i <= FS_OPTIONS_MAX; i++)
		sprintf(text + strlen(text), "k%zu=v,", i);
	assert_int_equal(options_parse(&req, text), EXIT_USAGE);
	assert_non_null(strstr(line, "too many options"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fstab_words_are_ignored),
		cmocka_unit_test(read_only_is_both),
		cmocka_unit_test(attributes_of_the_mount),
		cmocka_unit_test(own_options_pass_through),
		cmocka_unit_test(values_may_look_like_words),
		cmocka_unit_test(propagation),
		cmocka_unit_test(too_many),
	};

	return cmocka_run_group_tests_name("mount-options", tests, NULL, NULL);
}
