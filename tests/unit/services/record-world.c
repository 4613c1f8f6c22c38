// SPDX-License-Identifier: Apache-2.0
#include "record-world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

extern const struct nexus_record_driver nexus_record_driver;

static struct nexus_records *records;

static void say(void *arg, const char *line)
{
	(void)arg;
	print_message("# %s\n", line);
}

static struct rebac_store *make(const char *at, u32 connections)
{
	const struct nexus_record_options options = {
		.at = at, .connections = connections, .busy_ms = 20000,
	};
	struct nexus_record_fault fault;
	struct rebac_store *store;

	assert_null(records);
	if (nexus_record_driver.open(&options, &fault, &records))
		fail_msg("%s", fault.text);
	assert_int_equal(rebac_record_new(records, "permissions", say, NULL, &store), 0);
	return store;
}

struct rebac_store *record_world_new(void)
{
	return make(":memory:", 1);
}

struct rebac_store *record_world_at(const char *path)
{
	return make(path, 8);
}

void record_world_end(void)
{
	nexus_record_driver.close(records);
	records = NULL;
}
