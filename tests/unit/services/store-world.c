// SPDX-License-Identifier: Apache-2.0
#include "store-world.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "pg-server.h"

struct nexus_records *records;
char postgres[] = "postgres";

static const struct nexus_record_driver *driver;
static bool server;
static char path[64];
static const char *place;

/* ---- memory of arguments ---------------------------------------------------------- */

struct piece {
	struct piece *next;
	uint64_t data[];
};

static struct piece *pieces;
static pthread_mutex_t pieces_lock = PTHREAD_MUTEX_INITIALIZER;

void *more(void *args, size_t size)
{
	struct piece *p = calloc(1, sizeof(*p) + size);

	(void)args;
	assert_non_null(p);
	pthread_mutex_lock(&pieces_lock);
	p->next = pieces;
	pieces = p;
	pthread_mutex_unlock(&pieces_lock);
	return p->data;
}

void say_line(void *arg, const char *line)
{
	(void)arg;
	print_message("# %s\n", line);
}

/* ---- stores ------------------------------------------------------------------------- */

int store_group_setup(void **state)
{
	(void)state;
	server = pg_server_make();
	return 0;
}

int store_group_teardown(void **state)
{
	(void)state;
	if (server)
		pg_server_remove();
	return 0;
}

static void open_it(void)
{
	const struct nexus_record_options options = {
		.at = place, .connections = 8, .busy_ms = 20000,
	};
	struct nexus_record_fault fault;

	if (driver->open(&options, &fault, &records))
		fail_msg("%s", fault.text);
}

bool store_begin(const void *state)
{
	void *handle;

	if (state == postgres && !server)
		return false;
	snprintf(path, sizeof(path), "/tmp/store-XXXXXX");
	if (state != postgres)
		close(mkstemp(path));
	place = state == postgres ? pg_server_at() : path;
	/* It stays mapped: some of its library does, too. */
	handle = dlopen(state == postgres ? POSTGRES : SQLITE, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		fail_msg("%s", dlerror());
	driver = dlsym(handle, NEXUS_RECORD_DRIVER_SYMBOL);
	assert_non_null(driver);
	open_it();
	return true;
}

void store_reopen(void)
{
	driver->close(records);
	open_it();
}

static void remove_file(const char *end)
{
	char name[80];

	snprintf(name, sizeof(name), "%s%s", path, end);
	unlink(name);
}

void store_end(const void *state, const char *tables)
{
	char sql[400];
	struct piece *p;

	driver->close(records);
	records = NULL;
	if (state == postgres) {
		snprintf(sql, sizeof(sql), "DROP TABLE %s, nexus_schema", tables);
		pg_server_do(sql);
	} else {
		remove_file("");
		remove_file("-wal");
		remove_file("-shm");
	}
	while ((p = pieces)) {
		pieces = p->next;
		free(p);
	}
}
