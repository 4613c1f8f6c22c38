// SPDX-License-Identifier: Apache-2.0
#include "drivers/recordstore/pg_value.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "lib/port.h"

#define PG_VALUE_MAX	(1u << 30)	/* the server has no larger ones */

/* Of pg_type.dat, which never changes them. */
enum {
	OID_BOOL = 16, OID_BYTEA = 17, OID_NAME = 19, OID_INT8 = 20, OID_INT2 = 21,
	OID_INT4 = 23, OID_TEXT = 25, OID_FLOAT4 = 700, OID_FLOAT8 = 701, OID_UNKNOWN = 705,
	OID_BPCHAR = 1042, OID_VARCHAR = 1043,
};

bool pg_put(struct pg_params *p, size_t i, const struct nexus_record_value *v)
{
	p->formats[i] = 1;
	p->types[i] = 0;
	p->values[i] = NULL;
	p->lengths[i] = 0;
	switch (v->type) {
	case NEXUS_RECORD_INT:
		p->types[i] = OID_INT8;
		p->numbers[i] = (u64)v->number;
		break;
	case NEXUS_RECORD_REAL:
		p->types[i] = OID_FLOAT8;
		memcpy(&p->numbers[i], &v->real, sizeof(v->real));
		break;
	case NEXUS_RECORD_TEXT:
	case NEXUS_RECORD_BLOB:
		if (v->size > PG_VALUE_MAX)
			return false;
		p->types[i] = v->type == NEXUS_RECORD_TEXT ? OID_TEXT : OID_BYTEA;
		p->values[i] = v->data;
		p->lengths[i] = (int)v->size;
		return true;
	case NEXUS_RECORD_NULL:
	default:
		return true;
	}
	p->numbers[i] = htobe64(p->numbers[i]);
	p->values[i] = (const char *)&p->numbers[i];
	p->lengths[i] = sizeof(p->numbers[i]);
	return true;
}

static s64 read_int(const char *data, int size)
{
	u64 v = 0;
	int i;

	for (i = 0; i < size; i++)
		v = v << 8 | (unsigned char)data[i];
	/* The sign is that of the first byte. */
	if (size < 8 && size > 1 && (data[0] & 0x80))
		v |= ~0ull << 8 * size;
	return (s64)v;
}

int pg_get(const PGresult *result, int at, struct nexus_record_value *v)
{
	const char *data = PQgetvalue(result, 0, at);
	int size = PQgetlength(result, 0, at);
	u32 half;
	u64 bits;
	float f;

	*v = (struct nexus_record_value){ .type = NEXUS_RECORD_NULL };
	if (PQgetisnull(result, 0, at))
		return 0;
	switch (PQftype(result, at)) {
	case OID_BOOL:
	case OID_INT2:
	case OID_INT4:
	case OID_INT8:
		v->type = NEXUS_RECORD_INT;
		v->number = read_int(data, size);
		return 0;
	case OID_FLOAT4:
		half = (u32)read_int(data, size);
		memcpy(&f, &half, sizeof(f));
		v->type = NEXUS_RECORD_REAL;
		v->real = (double)f;
		return 0;
	case OID_FLOAT8:
		bits = (u64)read_int(data, size);
		v->type = NEXUS_RECORD_REAL;
		memcpy(&v->real, &bits, sizeof(v->real));
		return 0;
	case OID_BYTEA:
		v->type = NEXUS_RECORD_BLOB;
		break;
	case OID_TEXT:
	case OID_VARCHAR:
	case OID_BPCHAR:
	case OID_NAME:
	case OID_UNKNOWN:
		v->type = NEXUS_RECORD_TEXT;
		break;
	default:
		return -EINVAL;
	}
	/* libpq has a NUL behind each value. */
	v->data = data;
	v->size = (size_t)size;
	return 0;
}
