/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What services with tables in the record store have in common: transactions whose
 * faults are logged, rows one after the other, texts that come in, and a thread that
 * ticks.
 */
#ifndef SERVICES_TABLE_H
#define SERVICES_TABLE_H

#include <pthread.h>

#include <nexus/recordstore.h>
#include <nexus/service.h>

#include "faults.h"

/**
 * struct table - the tables of a service
 * @records: the store
 * @faults: what was said of it
 * @writing: held by the one that writes: stores with optimistic transactions would make
 *	writers of one process try again and again.  What the service remembers of the
 *	store is changed under it, too
 */
struct table {
	struct nexus_records *records;
	struct faults faults;
	pthread_mutex_t writing;
};

#define TABLE_I(v)	{ .type = NEXUS_RECORD_INT, .number = (int64_t)(v) }
#define TABLE_T(s)	{ .type = NEXUS_RECORD_TEXT, .data = (s), .size = strlen(s) }
/* Parameters, and how many. */
#define TABLE_P(...)	((const struct nexus_record_value[]){ __VA_ARGS__ }), \
			sizeof((const struct nexus_record_value[]){ __VA_ARGS__ }) / \
			sizeof(struct nexus_record_value)

void table_init(struct table *t, struct nexus_records *records,
		void (*say)(void *arg, const char *line), void *arg);
void table_end(struct table *t);

/** table_migrate() - nexus_record_migrate(), and a line in the log when it fails */
int table_migrate(struct table *t, const char *service, const struct nexus_record_step *steps,
		  size_t count);

/** table_run() - nexus_records_run(); the store's errors are logged, once each.  Whoever
 *	writes holds @writing
 */
int table_run(struct table *t, enum nexus_record_mode mode, nexus_record_work work, void *arg);

/** typedef table_each - looks at a row; not 0 ends it */
typedef int (*table_each)(const struct nexus_record_value *row, void *arg);

/**
 * table_rows() - all rows of a query
 *
 * Return: 0; what @each returned when that was not 0; or a negative errno.
 */
int table_rows(struct nexus_records *records, struct nexus_record_tx *tx, const char *sql,
	       const struct nexus_record_value *params, size_t count, table_each each, void *arg);

/** table_numbers() - whole numbers of the only row; -ENOENT without one */
int table_numbers(struct nexus_records *records, struct nexus_record_tx *tx, const char *sql,
		  const struct nexus_record_value *params, size_t count, int64_t *values,
		  uint32_t n);

/* ---- texts ---------------------------------------------------------------------- */

/** text_ok() - at most @max bytes (-ENAMETOOLONG) without control characters (-EINVAL); NULL is fine */
int text_ok(const char *text, size_t max);
/** text_name() - the same; and A-Z a-z 0-9 first, then these and . _ @ -, at least one */
int text_name(const char *name, size_t max);
/** text_subject() - the same; and TYPE:ID, a-z first, then a-z 0-9 _ - for the type */
int text_subject(const char *subject, size_t max);

static inline const char *text_or_empty(const char *text)
{
	return text ? text : "";
}

/* ---- a thread that ticks ---------------------------------------------------------- */

struct ticker {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	pthread_t thread;
	bool running, ending, due;
	uint32_t every_ms;
	void (*tick)(void *arg);
	void *arg;
};

/** ticker_init() - for service_init; no thread yet */
void ticker_init(struct ticker *t, uint32_t every_ms, void (*tick)(void *arg), void *arg);
/** ticker_start() - for service_start; -EAGAIN: no thread to be had */
int ticker_start(struct ticker *t);
/** ticker_kick() - tick now */
void ticker_kick(struct ticker *t);
/** ticker_stop() - no tick runs any more when this returns */
void ticker_stop(struct ticker *t);
void ticker_destroy(struct ticker *t);

#endif /* SERVICES_TABLE_H */
