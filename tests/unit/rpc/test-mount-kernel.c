// SPDX-License-Identifier: Apache-2.0
/*
 * How mount.nexusfs speaks to the kernel, tried on tmpfs in a mount namespace
 * of its own: the same calls, and a file system that is always there.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mount.h"

#define TMPFS_MAGIC_NUMBER	0x01021994

static char dir[] = "/tmp/nexus-mount-XXXXXX";
static char line[2048];
static char text[4096];

void complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
}

void helper_reason(const struct request *req, char *reason, size_t len)
{
	(void)req;
	snprintf(reason, len, "asleep");
}

static int try(const char *where, const char *options)
{
	struct request req = { .spec = "zone", .dir = where };

	line[0] = '\0';
	snprintf(text, sizeof(text), "%s", options);
	assert_int_equal(options_parse(&req, text), EXIT_OK);
	return kernel_mount(&req);
}

static unsigned long flags(void)
{
	struct statvfs st;

	assert_int_equal(statvfs(dir, &st), 0);
	return st.f_flag;
}

static int setup(void **state)
{
	(void)state;
	if (geteuid() || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || !mkdtemp(dir))
		return -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rmdir(dir);
	return 0;
}

static void mounts_with_attributes(void **state)
{
	struct statfs st;

	(void)state;
	assert_int_equal(try(dir, "nosuid,noexec,size=1m"), EXIT_OK);
	assert_int_equal(statfs(dir, &st), 0);
	assert_int_equal(st.f_type, TMPFS_MAGIC_NUMBER);
	assert_int_equal(st.f_blocks * st.f_bsize, 1 << 20);
	assert_true(flags() & ST_NOSUID);
	assert_true(flags() & ST_NOEXEC);
	assert_false(flags() & ST_RDONLY);

	assert_int_equal(try(dir, "remount,ro,exec"), EXIT_OK);
	assert_true(flags() & ST_RDONLY);
	assert_false(flags() & ST_NOEXEC);
	assert_true(flags() & ST_NOSUID);
	assert_int_equal(try(dir, "remount,rw"), EXIT_OK);
	assert_false(flags() & ST_RDONLY);
	assert_int_equal(try(dir, "remount,bind,ro"), EXIT_OK);
	assert_true(flags() & ST_RDONLY);
	assert_int_equal(umount(dir), 0);
}

static void the_kernel_explains(void **state)
{
	(void)state;
	assert_int_equal(try(dir, "nonsense=1"), EXIT_MOUNT);
	assert_non_null(strstr(line, "Unknown parameter 'nonsense'"));
	assert_non_null(strstr(line, "cannot mount zone on /tmp/nexus-mount-"));
	assert_int_equal(try(dir, "size=much"), EXIT_MOUNT);
	assert_non_null(strstr(line, "Bad value for 'size'"));
}

static void sloppy_goes_on(void **state)
{
	struct request req = { .spec = "zone", .dir = dir, .sloppy = true };

	(void)state;
	strcpy(text, "nonsense=1,size=1m");
	assert_int_equal(options_parse(&req, text), EXIT_OK);
	assert_int_equal(kernel_mount(&req), EXIT_OK);
	assert_int_equal(umount(dir), 0);
}

static void wrong_directories(void **state)
{
	(void)state;
	assert_int_equal(try("/tmp/no-such-dir-here", "defaults"), EXIT_USAGE);
	assert_non_null(strstr(line, "there is no such directory"));
	assert_int_equal(try("/etc/passwd", "defaults"), EXIT_MOUNT);
	assert_non_null(strstr(line, "not a directory"));
	assert_int_equal(try(dir, "remount,ro,bind"), EXIT_MOUNT);
	assert_non_null(strstr(line, "cannot remount"));
}

static void ordinary_user(void **state)
{
	pid_t pid = fork();
	int status = 0;

	(void)state;
	if (!pid) {
		if (setresgid(65534, 65534, 65534) ||
		    setresuid(65534, 65534, 65534))
			_exit(99);
		status = try(dir, "defaults");
		_exit(strstr(line, "only root may mount") ? status : 98);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mounts_with_attributes),
		cmocka_unit_test(the_kernel_explains),
		cmocka_unit_test(sloppy_goes_on),
		cmocka_unit_test(wrong_directories),
		cmocka_unit_test(ordinary_user),
	};

	if (geteuid()) {
		printf("1..0 # SKIP only root may mount\n");
		return 77;
	}
	return cmocka_run_group_tests_name("mount-kernel", tests, setup,
					   teardown);
}
