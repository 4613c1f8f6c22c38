// SPDX-License-Identifier: Apache-2.0
/* Schema versions of services: a row for each in the table nexus_schema. */
#include <stdio.h>
#include <string.h>

#include "drivers/recordstore/common.h"

#define GET_VERSION	"SELECT version FROM nexus_schema WHERE service = $1"

struct migration {
	const char *service;
	const struct nexus_record_step *steps;
	size_t count;
	struct nexus_record_fault *fault;
	bool more;
};

static int make_table(struct nexus_records *records, struct nexus_record_tx *tx, void *arg)
{
	int ret;

	(void)arg;
	ret = nexus_record_exec(records, tx,
				"CREATE TABLE IF NOT EXISTS nexus_schema "
				"(service {text} PRIMARY KEY, version BIGINT NOT NULL)",
				NULL, 0, NULL);
	/*
	 * In PostgreSQL two can find at once that it does not, and the second is told so of
	 * its row, or of the type that comes with it; the statement itself is right.
	 */
	return ret == -EEXIST || ret == -EINVAL ? -EAGAIN : ret;
}

/* Sets *@version, 0 without a row; -EPROTO beyond what the code knows */
static int get_version(struct nexus_records *records, struct nexus_record_tx *tx,
		       const struct migration *m, const char *sql, size_t *version)
{
	const struct nexus_record_value name = NEXUS_RECORD_T(m->service, strlen(m->service));
	const struct nexus_record_value *row;
	struct nexus_record_rows *rows;
	char words[NEXUS_RECORD_FAULT_MAX];
	int64_t found = 0;
	int ret;

	ret = nexus_record_query(records, tx, sql, &name, 1, &rows);
	if (ret)
		return ret;
	ret = nexus_record_next(records, rows, &row, NULL);
	if (ret == 1) {
		found = row[0].number;
		ret = nexus_record_next(records, rows, &row, NULL);
	}
	nexus_record_done(records, rows);
	if (ret < 0)
		return ret;
	if (found < 0 || (uint64_t)found > m->count) {
		snprintf(words, sizeof(words),
			 "schema of %s has version %lld, this build knows %zu",
			 m->service, (long long)found, m->count);
		return record_fail(m->fault, -EPROTO, words);
	}
	*version = (size_t)found;
	return 0;
}

/* One step, so that an error in a later one does not undo it */
static int one_step(struct nexus_records *records, struct nexus_record_tx *tx, void *arg)
{
	struct migration *m = arg;
	struct nexus_record_value params[2] = {
		NEXUS_RECORD_T(m->service, strlen(m->service)),
	};
	const char *const *sql;
	size_t version = 0;
	int ret;

	m->more = false;
	/* Whoever comes second waits at one of these two for the first to be done. */
	ret = nexus_record_exec(records, tx,
				"INSERT INTO nexus_schema (service, version) VALUES ($1, 0) "
				"ON CONFLICT (service) DO NOTHING", params, 1, NULL);
	if (!ret)
		ret = get_version(records, tx, m, GET_VERSION " {forupdate}", &version);
	if (ret || version == m->count)
		return ret;
	for (sql = m->steps[version].sql; *sql; sql++) {
		ret = nexus_record_exec(records, tx, *sql, NULL, 0, NULL);
		if (ret)
			return ret;
	}
	m->more = true;
	params[1].type = NEXUS_RECORD_INT;
	params[1].number = (int64_t)version + 1;
	return nexus_record_exec(records, tx,
				 "UPDATE nexus_schema SET version = $2 WHERE service = $1",
				 params, 2, NULL);
}

static int only_compare(struct nexus_records *records, struct nexus_record_tx *tx, void *arg)
{
	struct migration *m = arg;
	size_t version = 0;
	int ret;

	ret = get_version(records, tx, m, GET_VERSION, &version);
	/* The statement is right, so it is the table that is missing. */
	if (ret == -EINVAL || (!ret && version < m->count))
		return record_fail(m->fault, -ESTALE, "the schema is older than this build");
	return ret;
}

int record_migrate(struct nexus_records *records, const char *service,
		   const struct nexus_record_step *steps, size_t count,
		   struct nexus_record_fault *fault)
{
	struct migration m = { service, steps, count, fault, false };
	size_t i;
	int ret;

	for (i = 0; i < count; i++)
		if (steps[i].version != i + 1)
			return record_fail(fault, -EINVAL, "steps are not 1, 2, 3 ...");
	if (records->read_only)
		return nexus_records_run(records, NEXUS_RECORD_READ, only_compare, &m, fault);
	ret = nexus_records_run(records, NEXUS_RECORD_WRITE, make_table, &m, fault);
	if (ret)
		return ret;
	do {
		ret = nexus_records_run(records, NEXUS_RECORD_WRITE, one_step, &m, fault);
	} while (!ret && m.more);
	return ret;
}
