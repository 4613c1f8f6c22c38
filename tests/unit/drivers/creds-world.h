/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of credentials share: an environment, a clock, and a log that no
 * secret may be in.  Every secret of a test has MARK in it.
 */
#ifndef CREDS_WORLD_H
#define CREDS_WORLD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/objectstore/s3/creds.h"

#define MARK	"sEcReT"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static struct {
	char dir[64];
	char env[24][2][512];
	unsigned int n_env;
	atomic_llong now;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int fetches;	/* lock: that have ended */
	unsigned int errors;	/* lock: notes of errors */
	char log[16384];	/* lock */
} world = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static const char *world_getenv(void *ctx, const char *name)
{
	unsigned int i;

	(void)ctx;
	for (i = 0; i < world.n_env; i++) {
		if (!strcmp(world.env[i][0], name))
			return world.env[i][1];
	}
	return NULL;
}

static int64_t world_now(void *ctx)
{
	(void)ctx;
	return world.now;
}

static void world_note(void *ctx, bool error, const char *line)
{
	(void)ctx;
	pthread_mutex_lock(&world.lock);
	world.errors += error;
	if (strlen(world.log) + strlen(line) + 2 > sizeof(world.log))
		abort();
	strcat(strcat(world.log, line), "\n");
	pthread_mutex_unlock(&world.lock);
}

static void world_changed(void *ctx)
{
	(void)ctx;
	pthread_mutex_lock(&world.lock);
	world.fetches++;
	pthread_cond_broadcast(&world.changed);
	pthread_mutex_unlock(&world.lock);
}

static const struct s3_creds_settings world_settings = {
	.getenv = world_getenv,
	.now = world_now,
	.note = world_note,
	.changed = world_changed,
};

static void set_env(const char *name, const char *value)
{
	unsigned int i;

	for (i = 0; i < world.n_env && strcmp(world.env[i][0], name); i++)
		;
	if (i == COUNT(world.env))
		abort();
	if (i == world.n_env)
		world.n_env++;
	snprintf(world.env[i][0], sizeof(world.env[i][0]), "%s", name);
	snprintf(world.env[i][1], sizeof(world.env[i][1]), "%s", value);
}

/* Writes a file of the test's folder and returns its path, good until the next. */
static const char *put_file(const char *name, const char *text)
{
	static char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", world.dir, name);
	file = fopen(path, "w");
	if (!file || fputs(text, file) < 0 || fchmod(fileno(file), 0600) || fclose(file))
		abort();
	return path;
}

static int world_begin(void **state)
{
	(void)state;
	strcpy(world.dir, "/var/tmp/nexus-s3-XXXXXX");
	if (!mkdtemp(world.dir))
		return -1;
	world.n_env = 0;
	world.now = 1800000000;	/* 2027-01-15T08:00:00Z */
	world.fetches = world.errors = 0;
	world.log[0] = '\0';
	set_env("AWS_EC2_METADATA_DISABLED", "true");
	return 0;
}

static int world_end(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", world.dir);
	return strstr(world.log, MARK) ? -1 : system(cmd);
}

#endif /* CREDS_WORLD_H */
