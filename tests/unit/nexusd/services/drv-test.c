// SPDX-License-Identifier: Apache-2.0
/*
 * A record store driver for tests: it keeps nothing, and is away while there is
 * a file of the name it was opened with.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nexus/recordstore.h>

#ifndef ABI
#define ABI	NEXUS_RECORD_DRIVER_ABI
#endif

struct store {
	struct nexus_records base;
	char *at;
};

struct nexus_record_tx {
	int unused;
};

static struct nexus_record_tx the_tx;

static int look(const char *at, struct nexus_record_fault *fault)
{
	bool away = !access(at, F_OK);

	fault->error = away ? -ENOTCONN : 0;
	snprintf(fault->text, sizeof(fault->text), "%s", away ? "nobody answers" : "");
	return fault->error;
}

static int begin(struct nexus_records *records, enum nexus_record_mode mode,
		 struct nexus_record_fault *fault, struct nexus_record_tx **tx)
{
	(void)mode;
	*tx = &the_tx;
	return look(((struct store *)records)->at, fault);
}

static int commit(struct nexus_record_tx *tx)
{
	(void)tx;
	return 0;
}

static int migrate(struct nexus_records *records, const char *service,
		   const struct nexus_record_step *steps, size_t count,
		   struct nexus_record_fault *fault)
{
	(void)service;
	(void)steps;
	(void)count;
	return look(((struct store *)records)->at, fault);
}

static int run(struct nexus_records *records, enum nexus_record_mode mode, nexus_record_work work,
	       void *arg, struct nexus_record_fault *fault)
{
	int ret = look(((struct store *)records)->at, fault);

	(void)mode;
	(void)work;
	(void)arg;
	return ret;
}

static const struct nexus_record_ops ops = {
	.begin = begin,
	.commit = commit,
	.migrate = migrate,
	.run = run,
};

static void close_store(struct nexus_records *records)
{
	free(((struct store *)records)->at);
	free(records);
}

static int open_store(const struct nexus_record_options *options,
		      struct nexus_record_fault *fault, struct nexus_records **records)
{
	struct store *s;

	if (look(options->at, fault))
		return fault->error;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->base.ops = &ops;
	s->at = strdup(options->at);
	*records = &s->base;
	return 0;
}

__attribute__((visibility("default")))
extern const struct nexus_record_driver nexus_record_driver;

const struct nexus_record_driver nexus_record_driver = {
	.abi = ABI,
	.name = "test",
	.open = open_store,
	.close = close_store,
};
