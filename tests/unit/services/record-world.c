// SPDX-License-Identifier: Apache-2.0
#include "record-world.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct nexus_record_driver *driver;
static struct nexus_records *records, *others;

unsigned int record_world_said;

static void say(void *arg, const char *line)
{
	(void)arg;
	record_world_said++;
	print_message("# %s\n", line);
}

/* The driver stays mapped: some of its library does, too. */
static struct rebac_store *open_at(const char *at, u32 connections, struct nexus_records **to)
{
	const struct nexus_record_options options = {
		.at = at, .connections = connections, .busy_ms = 20000,
	};
	struct nexus_record_fault fault;
	struct rebac_store *store;

	assert_null(*to);
	if (driver->open(&options, &fault, to))
		fail_msg("%s", fault.text);
	assert_int_equal(rebac_record_new(*to, "permissions", say, NULL, &store), 0);
	return store;
}

static struct rebac_store *make(const char *object, const char *at, u32 connections)
{
	void *handle;

	handle = dlopen(object, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		fail_msg("%s", dlerror());
	driver = dlsym(handle, NEXUS_RECORD_DRIVER_SYMBOL);
	assert_non_null(driver);
	return open_at(at, connections, &records);
}

struct rebac_store *record_world_new(void)
{
	return make(SQLITE, ":memory:", 1);
}

struct rebac_store *record_world_at(const char *path)
{
	return make(SQLITE, path, 8);
}

struct rebac_store *record_world_postgres(const char *at)
{
	return make(POSTGRES, at, 8);
}

struct rebac_store *record_world_again(const char *at)
{
	return open_at(at, 8, &others);
}

void record_world_do(const char *sql)
{
	struct nexus_record_tx *tx;
	struct nexus_record_fault fault;

	if (nexus_record_begin(records, NEXUS_RECORD_WRITE, &fault, &tx) ||
	    nexus_record_exec(records, tx, sql, NULL, 0, NULL) || nexus_record_commit(records, tx))
		fail_msg("%s: %s", sql, fault.text);
}

void record_world_end(void)
{
	driver->close(records);
	if (others)
		driver->close(others);
	records = others = NULL;
}
