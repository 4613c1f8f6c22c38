// SPDX-License-Identifier: Apache-2.0
/* SQLite: a file in a folder of its own. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record-world.h"

static char folder[64], path[96];

int world_begin(void)
{
	return 0;
}

void world_end(void)
{
}

const char *world_fresh(void)
{
	strcpy(folder, "/tmp/records.XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/r.db", folder);
	return path;
}

void world_forget(void)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void cannot_open(void **state)
{
	const struct nexus_record_options nowhere = { "/nonexistent/r.db", false, 1, 0, 0 };
	struct nexus_record_options damaged = { NULL, false, 1, 0, 0 };
	struct nexus_records *records;
	char junk[112];
	int fd;

	(void)state;
	assert_int_equal(driver->open(&nowhere, &fault, &records), -ENOTCONN);
	snprintf(junk, sizeof(junk), "%s/junk", folder);
	fd = open(junk, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(pwrite(fd, "this is no database", 19, 0), 19);
	close(fd);
	damaged.at = junk;
	assert_int_equal(driver->open(&damaged, &fault, &records), -EUCLEAN);
	assert_int_equal(unlink(junk), 0);
}

int world_own_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(cannot_open, record_setup, record_teardown),
	};

	return cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}
