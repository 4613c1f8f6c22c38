// SPDX-License-Identifier: Apache-2.0
#include "mount-machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char machine[160];

static char *path_of(const char *name, char path[256])
{
	snprintf(path, 256, "%s/%s", machine, name);
	return path;
}

void machine_begin(const char *folder)
{
	static const char *const programs[] = { "mount.nexusfs", "umount", "systemd-run" };
	char path[256];
	size_t i;

	snprintf(machine, sizeof(machine), "%s", folder);
	for (i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		assert_int_equal(symlink(FAKE, path_of(programs[i], path)), 0);
	machine_put("table-1", "1 0 8:1 / / rw - ext4 /dev/sda rw\n");
	assert_int_equal(symlink("table-1", path_of("table-self", path)), 0);
	assert_int_equal(setenv("NEXUS_TEST_MOUNTS", machine, 1), 0);
	assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "hushhush", 1), 0);
}

void machine_apart(void)
{
	machine_drop("table-self");
	machine_put("table-self", "99 0 8:1 / / rw - ext4 /dev/sda rw\n");
	machine_put("systemd", "");
}

bool machine_has(const char *name)
{
	char path[256];

	return !access(path_of(name, path), F_OK);
}

void machine_put(const char *name, const char *text)
{
	char path[256];
	FILE *file = fopen(path_of(name, path), "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

void machine_drop(const char *name)
{
	char path[256];

	assert_int_equal(unlink(path_of(name, path)), 0);
}

void machine_text(const char *name, char *text, size_t room)
{
	char path[256];
	FILE *file = fopen(path_of(name, path), "r");
	size_t n = file ? fread(text, 1, room - 1, file) : 0;

	text[n] = '\0';
	if (file)
		fclose(file);
}
