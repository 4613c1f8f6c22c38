// SPDX-License-Identifier: Apache-2.0
/* What service mount reads: what it is asked for, the table of mounts, its file, what programs say. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "check.h"
#include "keep.h"
#include "mtab.h"
#include "said.h"

static char dir[] = "/tmp/nexus-mount-input-XXXXXX";
static int dirfd_;

/* ---- what is asked for ------------------------------------------------------------- */

static void test_sources(void **state)
{
	static const char *const good[] = {
		"s3://b", "s3://b/", "s3://my-bucket.x_y/p/q", "s3://b/p;region=eu;profile=me",
		"s3://b;endpoint=http://127.0.0.1:9000", "s3://b/a@b", "s3://b/\xc3\xa4",
		"s3://b;sse=c;sse_key_file=/etc/key@home;deadline=5",
	};
	static const char *const bad[][2] = {
		{ "", "missing" }, { "zone", "no object store" }, { "/dev/sda", "no object store" },
		{ "S3://b", "no object store" }, { "s3:/b", "no object store" }, { "s3://", "no bucket" },
		{ "s3:///p", "no bucket" }, { "s3://key:hushhush@b/p", "no bucket" },
		{ "s3://b?x", "no bucket" }, { "s3://b c", "no bucket" },
		{ "s3://0123456789012345678901234567890123456789012345678901234567890123", "no bucket" },
		{ "s3://b;", "no setting" }, { "s3://b;colour=red", "no setting" },
		{ "s3://b;secret_key=hushhush", "profile" }, { "s3://b;region", "no setting" },
		{ "s3://b;=hushhush", "no setting" }, { "s3://b;regions=x", "no setting" },
		{ "s3://b;region=", "no value" }, { "s3://b;region=x;", "no setting" },
		{ "s3://b;endpoint=https://me:hushhush@host", "do not belong" },
		{ "s3://b;proxy=http://me:hushhush@host", "do not belong" },
		{ "s3://b\n", "control character" }, { "s3://b/\x7f", "control character" },
		{ "s3://b/\xff", "UTF-8" }, { "s3://b/\xc0\xaf", "UTF-8" }, { "s3://b/\xed\xa0\x80", "UTF-8" },
	};
	char words[NEXUS_MOUNT_WORDS_MAX], text[500];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (check_source(good[i], words))
			fail_msg("%s: %s", good[i], words);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(check_source(bad[i][0], words), -EINVAL);
		if (!strstr(words, bad[i][1]))
			fail_msg("%s: %s", bad[i][0], words);
		/* What may be a secret is not said again. */
		assert_null(strstr(words, "hush"));
	}
	assert_int_equal(check_source(NULL, words), -EINVAL);
	memset(text, 'x', sizeof(text));
	memcpy(text, "s3://b/", 7);
	text[NEXUS_MOUNT_SOURCE_MAX] = '\0';
	assert_int_equal(check_source(text, words), 0);
	text[NEXUS_MOUNT_SOURCE_MAX] = 'x';
	text[NEXUS_MOUNT_SOURCE_MAX + 1] = '\0';
	assert_int_equal(check_source(text, words), -ENAMETOOLONG);
}

static void test_directories(void **state)
{
	static const char *const bad[] = {
		"", "mnt", "./mnt", "/", "//", "/a//b", "/a/../b", "/a/.", "/..", "/a\tb", "//a",
	};
	char to[NEXUS_MOUNT_DIRECTORY_MAX + 1], words[NEXUS_MOUNT_WORDS_MAX], text[2000];
	size_t i;

	(void)state;
	assert_int_equal(check_directory("/mnt/a b/...", to, words), 0);
	assert_string_equal(to, "/mnt/a b/...");
	assert_int_equal(check_directory("/mnt///", to, words), 0);
	assert_string_equal(to, "/mnt");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(check_directory(bad[i], to, words), -EINVAL);
	assert_int_equal(check_directory(NULL, to, words), -EINVAL);
	memset(text, 'x', sizeof(text));
	text[0] = '/';
	text[NEXUS_MOUNT_DIRECTORY_MAX] = '\0';
	assert_int_equal(check_directory(text, to, words), 0);
	text[NEXUS_MOUNT_DIRECTORY_MAX] = 'x';
	text[NEXUS_MOUNT_DIRECTORY_MAX + 1] = '\0';
	assert_int_equal(check_directory(text, to, words), -ENAMETOOLONG);
}

static void test_options(void **state)
{
	static const char *const good[] = {
		"", "ro", "ro,nosuid,nodev,noexec,nosymfollow", "grace=0", "grace=86400,verify=always",
	};
	static const char *const bad[] = {
		"rw", "ro,", ",ro", "ro,,nodev", "suid", "exec", "remount", "bind", "shared", "mem",
		"grace=", "grace=1x", "grace=123456", "verify=x", "password=hushhush", "ro nodev",
		"x-mount.mkdir", "context=a",
	};
	char words[NEXUS_MOUNT_WORDS_MAX], to[32];
	size_t i;

	(void)state;
	assert_int_equal(check_options(NULL, words), 0);
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(check_options(good[i], words), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(check_options(bad[i], words), -EINVAL);
		assert_null(strstr(words, "hush"));
	}
	options_known("rw,nosuid,relatime,x,grace=5", to, sizeof(to));
	assert_string_equal(to, "nosuid,relatime,grace=5");
	options_known("noexec,nosuid,relatime,nodev,noatime", to, 16);
	assert_string_equal(to, "noexec,nosuid");
}

/* ---- the table --------------------------------------------------------------------- */

static void write_file(const char *name, const char *text, size_t len)
{
	int fd = openat(dirfd_, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

static void test_table(void **state)
{
	static const char text[] =
		"21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
		"22 21 0:5 / /mnt/a\\040b rw - nexusfs s3://b/x\\134y ro,grace=60\n"
		"23 21 0:5 /sub /mnt/part ro,nosuid shared:2 master:1 - nexusfs s3://b ro\n"
		"24 21 0:6 / /mnt/two ro - nexusfs s3://one ro\n"
		"nonsense\n"
		"x 21 0:6 / /mnt/x ro - nexusfs s3://x ro\n"
		"25 21 0:7 / /mnt/two ro - nexusfs s3://two ro\n"
		"26 21 0:8 / /mnt/zone rw - nexusfs root rw\n"
		"27 21 0:9 / /mnt/dash rw - - - rw\n";
	char path[64];
	struct mtab t;

	(void)state;
	snprintf(path, sizeof(path), "%s/table", dir);
	write_file("table", text, sizeof(text) - 1);
	assert_int_equal(mtab_read(&t, path), 0);
	assert_int_equal(t.count, 7);
	assert_null(mtab_at(&t, "/mnt"));
	assert_true(mtab_is_store(mtab_at(&t, "/mnt/a b")));
	assert_string_equal(mtab_at(&t, "/mnt/a b")->source, "s3://b/x\\y");
	assert_string_equal(mtab_at(&t, "/mnt/a b")->options, "rw");
	assert_string_equal(mtab_at(&t, "/mnt/a b")->fs_options, "ro,grace=60");
	assert_false(mtab_is_store(mtab_at(&t, "/mnt/part")));
	assert_string_equal(mtab_at(&t, "/mnt/two")->source, "s3://two");
	assert_false(mtab_is_store(mtab_at(&t, "/mnt/zone")));
	assert_string_equal(mtab_at(&t, "/mnt/dash")->type, "-");
	mtab_free(&t);
	assert_int_equal(mtab_first_id(path), 21);
	assert_int_equal(mtab_first_id("/nonexistent"), 0);
	assert_int_equal(mtab_read(&t, "/nonexistent"), -ENOENT);
	assert_int_equal(mtab_first_id("/proc/self/mountinfo"), mtab_first_id("/proc/self/mountinfo"));
	assert_true(mtab_first_id("/proc/self/mountinfo") > 0);
}

/* ---- what programs say ---------------------------------------------------------------- */

static void assert_said(const char *said, int error, const char *expected)
{
	char text[600], words[NEXUS_MOUNT_WORDS_MAX];

	snprintf(text, sizeof(text), "%s", said);
	assert_int_equal(said_error(text, words), error);
	assert_string_equal(words, expected);
}

static void test_said(void **state)
{
	(void)state;
	assert_said("mount.nexusfs: mount point /x: No such file or directory\nerrno 2\n", -ENOENT,
		    "mount point /x: No such file or directory");
	assert_said("warning\nmount.nexusfs: cannot mount s3://b on /x: refused\nerrno 13\n", -EACCES,
		    "cannot mount s3://b on /x: refused");
	assert_said("errno 110\n", -ETIMEDOUT, "Connection timed out");
	assert_said("umount: /x: target is busy.\n", -EBUSY, "/x: target is busy.");
	assert_said("umount: /x: not mounted.\n", -ENOENT, "/x: not mounted.");
	assert_said("", -EIO, "Input/output error");
	assert_said("\n\n", -EIO, "Input/output error");
	assert_said("something\n\n", -EIO, "something");
	assert_said("a\nerrno 0\n", -EIO, "errno 0");
	assert_said("a\nerrno 5000\n", -EIO, "errno 5000");
	assert_said("a\tb\x1b[0m", -EIO, "a?b?[0m");
}

/* ---- the file ------------------------------------------------------------------------- */

static char *taken;
static size_t taken_size;
static FILE *taking;

static int take(void *arg, const struct kept *k)
{
	fprintf(taking, "%d %lld %s %s %s;", k->saved, (long long)k->since_ms, k->source, k->directory,
		k->options);
	return arg ? -ENOMEM : 0;
}

static int read_kept(struct keep_mark *mark, const char *expected)
{
	char words[128];
	int ret;

	taking = open_memstream(&taken, &taken_size);
	ret = keep_read(dirfd_, mark, take, NULL, words);
	fclose(taking);
	if (expected)
		assert_string_equal(taken, expected);
	assert_int_equal(words[0] != '\0', ret == -EUCLEAN);
	free(taken);
	return ret;
}

static void test_kept(void **state)
{
	const struct kept lines[] = {
		{ "s3://a", "/mnt/a", "", 0, true }, { "s3://b/x;region=r", "/mnt/b c", "ro,nodev", 17, false },
	};
	struct keep_mark mark = { .inode = 0 }, other = { .inode = 0 };
	char text[300], copy[300];
	ssize_t len, i;
	int fd;

	(void)state;
	assert_int_equal(read_kept(&mark, ""), 0);
	assert_int_equal(keep_write(dirfd_, &mark, lines, 2), 0);
	assert_int_equal(read_kept(&mark, ""), 0);
	assert_int_equal(read_kept(&other, "1 0 s3://a /mnt/a ;0 17 s3://b/x;region=r /mnt/b c ro,nodev;"), 1);
	assert_int_equal(read_kept(&other, ""), 0);
	assert_int_equal(keep_write(dirfd_, &mark, lines, 1), 0);
	assert_int_equal(read_kept(&other, "1 0 s3://a /mnt/a ;"), 1);
	assert_int_equal(keep_write(dirfd_, &mark, lines, 2), 0);
	fd = openat(dirfd_, KEEP_FILE, O_RDONLY);
	len = read(fd, text, sizeof(text));
	close(fd);
	/* Cut anywhere it is damaged, never shorter. */
	for (i = 0; i < len; i++) {
		write_file(KEEP_FILE, text, (size_t)i);
		other.inode = 0;
		assert_int_equal(read_kept(&other, NULL), -EUCLEAN);
	}
	/* With a byte that is another one, it is that or one that is as good. */
	for (i = 0; i < len; i++) {
		memcpy(copy, text, (size_t)len);
		copy[i] ^= 0x81;
		write_file(KEEP_FILE, copy, (size_t)len);
		other.inode = 0;
		assert_int_equal(read_kept(&other, NULL), -EUCLEAN);
	}
	write_file(KEEP_FILE, "nexusfs-mounts 1\nsaved\t0\ts3://b;secret=x\t/mnt\t\nend 1\n", 52);
	other.inode = 0;
	assert_int_equal(read_kept(&other, NULL), -EUCLEAN);
	unlinkat(dirfd_, KEEP_FILE, 0);
	assert_int_equal(read_kept(&mark, ""), 1);
	assert_int_equal(read_kept(&mark, ""), 0);
	/* A link is nothing of ours. */
	assert_int_equal(symlinkat("table", dirfd_, KEEP_FILE), 0);
	assert_int_equal(read_kept(&mark, ""), -ELOOP);
	unlinkat(dirfd_, KEEP_FILE, 0);
	/* What cannot be written leaves what was. */
	assert_int_equal(keep_write(dirfd_, &mark, lines, 1), 0);
	assert_int_equal(mkdirat(dirfd_, KEEP_FILE ".new", 0700), 0);
	assert_int_equal(keep_write(dirfd_, &mark, lines, 2), -EISDIR);
	assert_int_equal(unlinkat(dirfd_, KEEP_FILE ".new", AT_REMOVEDIR), 0);
	other.inode = 0;
	assert_int_equal(read_kept(&other, "1 0 s3://a /mnt/a ;"), 1);
}

static int setup(void **state)
{
	(void)state;
	dirfd_ = mkdtemp(dir) ? open(dir, O_DIRECTORY | O_RDONLY) : -1;
	return dirfd_ < 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	close(dirfd_);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_said),
		cmocka_unit_test(test_kept),
	};

	return cmocka_run_group_tests_name("mount-input", tests, setup, teardown);
}
