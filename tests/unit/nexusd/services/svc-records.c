// SPDX-License-Identifier: Apache-2.0
/* Service "records": keeps a line in the record store for each start, and counts them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nexus/recordstore.h>
#include <nexus/service.h>
#include <nexus/services/echo.h>

#ifndef NAME
#define NAME	"records"
#endif

struct self {
	const struct nexus_service_host *host;
	struct nexus_service *me;
	struct nexus_records *records;
};

static const char *const first[] = { "CREATE TABLE IF NOT EXISTS starts (n {id}, who {text})", NULL };
static const struct nexus_record_step steps[] = { { 1, first } };

static int add_start(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	const struct nexus_record_value name = NEXUS_RECORD_T(NAME, sizeof(NAME) - 1);

	/* The handle it is called with is the service's own. */
	if (r != ((struct self *)arg)->records)
		return -EXDEV;
	return nexus_record_exec(r, tx, "INSERT INTO starts (who) VALUES ($1)", &name, 1, NULL);
}

static int count_starts(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	const struct nexus_record_value *row;
	struct nexus_record_rows *rows;
	int ret;

	ret = nexus_record_query(r, tx, "SELECT COUNT(*) FROM starts", NULL, 0, &rows);
	if (ret)
		return ret;
	ret = nexus_record_next(r, rows, &row, NULL);
	if (ret == 1)
		*(int64_t *)arg = row[0].number;
	nexus_record_done(r, rows);
	return ret < 0 ? ret : 0;
}

static int no_work(struct nexus_records *r, struct nexus_record_tx *tx, void *arg)
{
	(void)r;
	(void)tx;
	(void)arg;
	return -EIO;
}

/* Anything else than these words is the schema to migrate. */
static int echo(void *arg, void *args)
{
	struct nexus_record_fault fault = { 0, "" };
	struct nexus_echo_args *a = args;
	struct nexus_records *again;
	struct nexus_record_tx *tx;
	struct self *self = arg;
	int64_t n = 0;
	int ret;

	if (!strcmp(a->in, "count")) {
		ret = nexus_records_run(self->records, NEXUS_RECORD_READ, count_starts, &n, &fault);
		snprintf(a->out, sizeof(a->out), "%lld", (long long)n);
		return ret;
	}
	if (!strcmp(a->in, "again")) {
		ret = self->host->records(self->me, &again);
		return ret ? ret : again == self->records ? 0 : -EXDEV;
	}
	if (!strcmp(a->in, "own error"))
		return nexus_records_run(self->records, NEXUS_RECORD_READ, no_work, NULL, &fault);
	if (!strcmp(a->in, "begin")) {
		ret = nexus_record_begin(self->records, NEXUS_RECORD_WRITE, &fault, &tx);
		if (!ret)
			ret = nexus_record_commit(self->records, tx);
		return ret;
	}
	ret = nexus_record_migrate(self->records, a->in, steps, 1, &fault);
	memcpy(a->out, fault.text, sizeof(a->out) < sizeof(fault.text) ? sizeof(a->out) :
	       sizeof(fault.text));
	a->out[sizeof(a->out) - 1] = '\0';
	return ret == -EPERM && fault.error == -EPERM && fault.text[0] ? -EPERM : ret;
}

static int init(const struct nexus_service_host *host, struct nexus_service *me, void **arg)
{
	struct nexus_records *records;
	struct self *self;

	if (host->records(me, &records) != -EAGAIN)
		return -EBADE;
	self = calloc(1, sizeof(*self));
	if (!self)
		return -ENOMEM;
	self->host = host;
	self->me = me;
	*arg = self;
	return 0;
}

static int start(void *arg)
{
	struct nexus_record_fault fault;
	struct self *self = arg;
	int ret;

	ret = self->host->records(self->me, &self->records);
	if (!ret)
		ret = nexus_record_migrate(self->records, NAME, steps, 1, &fault);
	if (!ret)
		ret = nexus_records_run(self->records, NEXUS_RECORD_WRITE, add_start, self, &fault);
	return ret;
}

static int stop(void *arg)
{
	int64_t n = 0;
	struct nexus_record_fault fault;

	/* It may be used to the end. */
	return nexus_records_run(((struct self *)arg)->records, NEXUS_RECORD_READ, count_starts, &n,
				 &fault);
}

static void cleanup(void *arg)
{
	free(arg);
}

static const struct nexus_echo_ops ops = { .echo = echo };

static const struct nexus_protocol provides[] = {
	NEXUS_PROTOCOL("test." NAME, 1, ops),
	NEXUS_PROTOCOLS_END,
};

NEXUS_SERVICE = {
	.abi = NEXUS_SERVICE_ABI,
	.name = NAME,
	.version = "1",
	.provides = provides,
	.service_init = init,
	.service_start = start,
	.service_stop = stop,
	.service_cleanup = cleanup,
};
