// SPDX-License-Identifier: Apache-2.0
#include "table.h"

#include <errno.h>

void table_init(struct table *t, struct nexus_records *records,
		void (*say)(void *arg, const char *line), void *arg)
{
	*t = (struct table){ .records = records };
	faults_init(&t->faults, say, arg);
	pthread_mutex_init(&t->writing, NULL);
}

void table_end(struct table *t)
{
	pthread_mutex_destroy(&t->writing);
	faults_end(&t->faults);
}

/* What did not come from the store has no words; those there are may be of a try before. */
static int complain(struct table *t, enum nexus_record_mode mode,
		    const struct nexus_record_fault *fault, int ret)
{
	if (ret >= 0)
		faults_over(&t->faults, mode);
	else if (ret != -EAGAIN && ret == fault->error)
		faults_say(&t->faults, mode, fault->text);
	return ret;
}

int table_migrate(struct table *t, const char *service, const struct nexus_record_step *steps,
		  size_t count)
{
	struct nexus_record_fault fault = { 0, "" };
	int ret = nexus_record_migrate(t->records, service, steps, count, &fault);

	return complain(t, NEXUS_RECORD_WRITE, &fault, ret);
}

int table_run(struct table *t, enum nexus_record_mode mode, nexus_record_work work, void *arg)
{
	struct nexus_record_fault fault = { 0, "" };
	int ret = nexus_records_run(t->records, mode, work, arg, &fault);

	complain(t, mode, &fault, ret);
	/* What the store does not let the helper do says nothing about who asked. */
	return ret == -EACCES && fault.error == ret ? -ENOTCONN : ret;
}

int table_rows(struct nexus_records *records, struct nexus_record_tx *tx, const char *sql,
	       const struct nexus_record_value *params, size_t count, table_each each, void *arg)
{
	const struct nexus_record_value *row;
	struct nexus_record_rows *rows;
	int ret;

	ret = nexus_record_query(records, tx, sql, params, count, &rows);
	if (ret)
		return ret;
	while ((ret = nexus_record_next(records, rows, &row, NULL)) == 1) {
		ret = each(row, arg);
		if (ret)
			break;
	}
	nexus_record_done(records, rows);
	return ret;
}

struct numbers {
	int64_t *values;
	uint32_t n;
	bool found;
};

static int one_row(const struct nexus_record_value *row, void *arg)
{
	struct numbers *to = arg;
	uint32_t i;

	for (i = 0; i < to->n; i++)
		to->values[i] = row[i].number;
	to->found = true;
	return 0;
}

int table_numbers(struct nexus_records *records, struct nexus_record_tx *tx, const char *sql,
		  const struct nexus_record_value *params, size_t count, int64_t *values,
		  uint32_t n)
{
	struct numbers to = { values, n, false };
	int ret = table_rows(records, tx, sql, params, count, one_row, &to);

	return ret ? ret : to.found ? 0 : -ENOENT;
}
