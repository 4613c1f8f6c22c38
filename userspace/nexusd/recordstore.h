/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record store of the helper.  Its driver is loaded, and the store opened,
 * when the first service asks; a helper that nobody asks has none of it.
 */
#ifndef NEXUSD_RECORDSTORE_H
#define NEXUSD_RECORDSTORE_H

#include <stdint.h>
#include <time.h>

#include <nexus/recordstore.h>

struct recordstore;

/**
 * struct recordstore_opts - settings; copied
 * @driver: "sqlite", "postgres"
 * @at: a file's path, a connection string; never shown
 * @dir: where the drivers are
 * @owner: whose they and @dir must be (0; tests have others)
 * @connections: the most there are at once
 * @busy_ms, @reply_ms: as in struct nexus_record_options
 */
struct recordstore_opts {
	const char *driver;
	const char *at;
	const char *dir;
	uint32_t owner;
	uint32_t connections;
	uint32_t busy_ms;
	uint32_t reply_ms;
};

enum recordstore_state {
	RECORDSTORE_UNUSED	= 1,	/* nobody asked for it */
	RECORDSTORE_OPEN	= 2,
	RECORDSTORE_FAILED	= 3,	/* could not be opened, or does not answer now */
};

/**
 * struct recordstore_info - how it is
 * @driver: its name
 * @state: now
 * @error: the last one of the store itself, also when it is over; ""
 * @error_at: when that was
 */
struct recordstore_info {
	char driver[32];
	enum recordstore_state state;
	char error[NEXUS_RECORD_FAULT_MAX];
	time_t error_at;
};

/* NULL without memory. */
struct recordstore *recordstore_new(const struct recordstore_opts *opts);
/* No handle may be left.  The driver stays mapped.  NULL is allowed. */
void recordstore_free(struct recordstore *s);

/* Loads its driver, unless it is; so that what is wrong is known before somebody asks. */
int recordstore_load(struct recordstore *s);
/* Opens it, unless it is.  Errors of both are as of recordstore_get(). */
int recordstore_open(struct recordstore *s);

/*
 * A handle for one service, that migrates no schema but that of @service; opens
 * the store, when it is not.  Blocks up to the time that takes.  -ENOMEM, or why it
 * cannot be opened, which is logged.
 */
int recordstore_get(struct recordstore *s, const char *service, struct nexus_records **records);
/* No transaction of it may be open.  NULL is allowed. */
void recordstore_put(struct nexus_records *records);

/* Never waits for the store. */
void recordstore_info(struct recordstore *s, struct recordstore_info *info);

#endif /* NEXUSD_RECORDSTORE_H */
