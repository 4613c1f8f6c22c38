/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters and columns, in the binary form of PostgreSQL. */
#ifndef NEXUS_RECORDSTORE_PG_VALUE_H
#define NEXUS_RECORDSTORE_PG_VALUE_H

#include <libpq-fe.h>

#include <nexus/recordstore.h>

/** struct pg_params - as libpq wants them; values point into it and into what was given */
struct pg_params {
	Oid types[NEXUS_RECORD_PARAMS_MAX];
	const char *values[NEXUS_RECORD_PARAMS_MAX];
	int lengths[NEXUS_RECORD_PARAMS_MAX];
	int formats[NEXUS_RECORD_PARAMS_MAX];
	uint64_t numbers[NEXUS_RECORD_PARAMS_MAX];
};

/** pg_put() - set parameter @i; false: it is longer than the server takes */
bool pg_put(struct pg_params *p, size_t i, const struct nexus_record_value *v);

/**
 * pg_get() - a column of the first row of @result
 *
 * Return: 0, *@v points into @result; -EINVAL: of a type that services do not have.
 */
int pg_get(const PGresult *result, int at, struct nexus_record_value *v);

#endif /* NEXUS_RECORDSTORE_PG_VALUE_H */
