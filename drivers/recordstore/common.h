/* SPDX-License-Identifier: Apache-2.0 */
/* What the record store drivers share: the dialect, checks, migrations. */
#ifndef NEXUS_RECORDSTORE_COMMON_H
#define NEXUS_RECORDSTORE_COMMON_H

#include <errno.h>
#include <stdio.h>

#include <nexus/recordstore.h>

/** struct record_dialect - what the words of the common dialect are here */
struct record_dialect {
	char parameter;		/* '?' or '$' */
	const char *id;
	const char *blob;
	const char *real;
	const char *text;
	const char *forupdate;
};

/**
 * record_fail() - note why it failed
 * @fault: is set, text and all
 * @error: a negative errno
 * @words: for people, without a newline; cut when too long
 *
 * Return: @error.
 */
static inline int record_fail(struct nexus_record_fault *fault, int error,
			      const char *words)
{
	fault->error = error;
	snprintf(fault->text, sizeof(fault->text), "%s", words);
	return error;
}

/**
 * record_translate() - a statement of the common dialect, in the store's own
 * @dialect: the store's
 * @sql: the statement
 * @out: NEXUS_RECORD_SQL_MAX bytes
 * @fault: says what is wrong
 *
 * Return: 0 or -EINVAL: too long, a word in braces that there is not, a plain
 * ?, an open quote or comment, or not one of the statements a service may run.
 */
int record_translate(const struct record_dialect *dialect, const char *sql, char *out,
		     struct nexus_record_fault *fault);

/** record_check_params() - 0, or -EINVAL for too many or a bad text */
int record_check_params(const struct nexus_record_value *params, size_t count,
			struct nexus_record_fault *fault);

/** record_migrate() - nexus_record_ops.migrate of every driver */
int record_migrate(struct nexus_records *records, const char *service,
		   const struct nexus_record_step *steps, size_t count,
		   struct nexus_record_fault *fault);

/** record_run() - nexus_record_ops.run of every driver */
int record_run(struct nexus_records *records, enum nexus_record_mode mode,
	       nexus_record_work work, void *arg, struct nexus_record_fault *fault);

#endif /* NEXUS_RECORDSTORE_COMMON_H */
