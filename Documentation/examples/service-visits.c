// SPDX-License-Identifier: Apache-2.0
/*
 * A service with a table: counts how often it has been asked about each name.
 *
 *	cc -shared -fPIC -O2 -Wall -o visits.so service-visits.c
 *	install -o root -m 644 visits.so /usr/lib/nexusfs/services/
 *	nexusctl service load visits
 *
 * Its protocol "example.visits" has the operations of nexus.echo: what goes in is
 * a name, what comes out its count.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nexus/recordstore.h>
#include <nexus/service.h>
#include <nexus/services/echo.h>

struct visits {
	const struct nexus_service_host *host;
	struct nexus_service *me;
	struct nexus_records *records;
};

/* All versions of the schema there ever were; tables begin with the service's name. */
static const char *const first[] = {
	"CREATE TABLE visits_name (name {text} PRIMARY KEY, n BIGINT NOT NULL)",
	NULL,
};
static const char *const second[] = {
	"ALTER TABLE visits_name ADD COLUMN hidden BIGINT NOT NULL DEFAULT 0",
	"CREATE INDEX visits_by_number ON visits_name (n)",
	NULL,
};
static const struct nexus_record_step steps[] = { { 1, first }, { 2, second } };

struct visit {
	struct nexus_record_value name;
	int64_t n;
};

/* May run several times, each time on a state of the store without the last one. */
static int count_one(struct nexus_records *records, struct nexus_record_tx *tx, void *arg)
{
	const struct nexus_record_value *row;
	struct nexus_record_rows *rows;
	struct visit *v = arg;
	int ret;

	ret = nexus_record_query(records, tx,
				 "INSERT INTO visits_name (name, n) VALUES ($1, 1) "
				 "ON CONFLICT (name) DO UPDATE SET n = visits_name.n + 1 RETURNING n",
				 &v->name, 1, &rows);
	if (ret)
		return ret;
	/* Rows of a RETURNING are read to their end. */
	while ((ret = nexus_record_next(records, rows, &row, NULL)) == 1)
		v->n = row[0].number;
	nexus_record_done(records, rows);
	return ret;
}

static int visit(void *self, void *args)
{
	struct nexus_record_fault fault = { 0, "" };
	struct nexus_echo_args *a = args;
	struct visits *s = self;
	struct visit v = { .name = NEXUS_RECORD_T(a->in, a->len) };
	int ret;

	if (a->len > sizeof(a->in))
		return -EMSGSIZE;
	ret = nexus_records_run(s->records, NEXUS_RECORD_WRITE, count_one, &v, &fault);
	if (ret) {
		s->host->log(s->me, NEXUS_SERVICE_WARNING, fault.text);
		return ret;
	}
	snprintf(a->out, sizeof(a->out), "%lld", (long long)v.n);
	return 0;
}

static int visits_init(const struct nexus_service_host *host, struct nexus_service *me, void **self)
{
	struct visits *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->host = host;
	s->me = me;
	*self = s;
	return 0;
}

static int visits_start(void *self)
{
	struct nexus_record_fault fault = { 0, "" };
	struct visits *s = self;
	int ret;

	/* Why it cannot be opened, the helper has said in its log. */
	ret = s->host->records(s->me, &s->records);
	if (ret)
		return ret;
	ret = nexus_record_migrate(s->records, "visits", steps, sizeof(steps) / sizeof(steps[0]),
				   &fault);
	if (ret)
		s->host->log(s->me, NEXUS_SERVICE_ERROR, fault.text);
	return ret;
}

static int visits_stop(void *self)
{
	(void)self;
	return 0;
}

static void visits_cleanup(void *self)
{
	free(self);
}

static const struct nexus_echo_ops ops = { .echo = visit };

static const struct nexus_protocol provides[] = {
	NEXUS_PROTOCOL("example.visits", 1, ops),
	NEXUS_PROTOCOLS_END,
};

NEXUS_SERVICE = {
	.abi = NEXUS_SERVICE_ABI,
	.name = "visits",
	.version = "1.0",
	.provides = provides,
	.service_init = visits_init,
	.service_start = visits_start,
	.service_stop = visits_stop,
	.service_cleanup = visits_cleanup,
};
