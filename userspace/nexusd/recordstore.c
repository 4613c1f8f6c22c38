// SPDX-License-Identifier: Apache-2.0
/* The record store: opened when somebody asks, a handle for each service. */
#include "recordstore.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/port.h"
#include "service_object.h"

struct recordstore {
	struct recordstore_opts opts;
	char *driver_name, *at, *dir;

	pthread_mutex_t opening;	/* before lock: held while it is opened */
	struct object object;		/* opening */
	const struct nexus_record_driver *driver;	/* opening: once it is checked */
	struct nexus_records *records;	/* opening: NULL: not open */

	pthread_mutex_t lock;
	struct recordstore_info info;	/* lock */
};

/* What a service has: the store, but for the calls that know who asks. */
struct handle {
	struct nexus_records base;
	struct nexus_record_ops ops;
	struct recordstore *store;
	char service[NEXUS_SERVICE_NAME_MAX];
};

static const struct object_kind object_driver_kind = {
	.noun = "recordstore driver",
	.setting = "drivers_dir",
	.symbol = NEXUS_RECORD_DRIVER_SYMBOL,
	.abi = NEXUS_RECORD_DRIVER_ABI,
};

static struct handle *to_handle(struct nexus_records *records)
{
	return NEXUS_CONTAINER(records, struct handle, base);
}

/* ---- how it is -------------------------------------------------------------------- */

/* Whether an error is of the store, and not of what a service wants from it */
static bool is_trouble(int error)
{
	switch (error) {
	case -ENOTCONN:
	case -EACCES:
	case -ENOSPC:
	case -EUCLEAN:
	case -EIO:
	case -ENOMEM:
		return true;
	default:
		return false;
	}
}

/* Each change is told once; an error is noted whenever there is another. */
static void note(struct recordstore *s, int error, const char *words)
{
	enum recordstore_state before;
	bool other = false;

	if (error && !is_trouble(error))
		return;
	pthread_mutex_lock(&s->lock);
	before = s->info.state;
	s->info.state = error ? RECORDSTORE_FAILED : RECORDSTORE_OPEN;
	if (error) {
		other = strcmp(s->info.error, words) != 0;
		snprintf(s->info.error, sizeof(s->info.error), "%s", words);
		s->info.error_at = time(NULL);
	}
	pthread_mutex_unlock(&s->lock);
	if (error && (other || before != RECORDSTORE_FAILED))
		log_error("record store %s: %s", s->driver_name, words);
	else if (!error && before == RECORDSTORE_FAILED)
		log_info("record store %s works again", s->driver_name);
	else if (!error && before == RECORDSTORE_UNUSED)
		log_info("record store %s is open", s->driver_name);
}

void recordstore_info(struct recordstore *s, struct recordstore_info *info)
{
	pthread_mutex_lock(&s->lock);
	*info = s->info;
	pthread_mutex_unlock(&s->lock);
}

/* ---- handles ------------------------------------------------------------------------ */

static int handle_begin(struct nexus_records *records, enum nexus_record_mode mode,
			struct nexus_record_fault *fault, struct nexus_record_tx **tx)
{
	struct recordstore *s = to_handle(records)->store;
	int ret = nexus_record_begin(s->records, mode, fault, tx);

	note(s, ret, ret ? fault->text : "");
	return ret;
}

static int handle_migrate(struct nexus_records *records, const char *service,
			  const struct nexus_record_step *steps, size_t count,
			  struct nexus_record_fault *fault)
{
	struct handle *h = to_handle(records);
	int ret;

	if (strcmp(service, h->service)) {
		fault->error = -EPERM;
		snprintf(fault->text, sizeof(fault->text), "the schema of %.64s is not that of service %s",
			 service, h->service);
		return -EPERM;
	}
	ret = nexus_record_migrate(h->store->records, service, steps, count, fault);
	note(h->store, ret, ret ? fault->text : "");
	return ret;
}

struct work {
	struct nexus_records *records;
	nexus_record_work fn;
	void *arg;
	bool by_fn;		/* the last word was the service's */
};

static int do_work(struct nexus_records *records, struct nexus_record_tx *tx, void *arg)
{
	struct work *w = arg;
	int ret;

	(void)records;
	ret = w->fn(w->records, tx, w->arg);
	w->by_fn = ret;
	return ret;
}

static int handle_run(struct nexus_records *records, enum nexus_record_mode mode,
		      nexus_record_work work, void *arg, struct nexus_record_fault *fault)
{
	struct work w = { records, work, arg, false };
	struct recordstore *s = to_handle(records)->store;
	int ret;

	fault->error = 0;
	ret = nexus_records_run(s->records, mode, do_work, &w, fault);
	/* A service may return the errno of something else. */
	if (!w.by_fn || fault->error == ret)
		note(s, ret, ret ? fault->text : "");
	return ret;
}

void recordstore_put(struct nexus_records *records)
{
	if (records)
		free(to_handle(records));
}

/* ---- the store ------------------------------------------------------------------------ */

static int link_driver(struct recordstore *s, struct errline *err)
{
	int ret;

	if (s->driver)
		return 0;
	ret = object_driver(&s->object, &object_driver_kind, s->dir, s->driver_name, s->opts.owner, err);
	if (!ret)
		s->driver = s->object.symbol;
	return ret;
}

static int load_driver(struct recordstore *s)
{
	struct errline err = { "" };
	char buf[128];
	int ret = link_driver(s, &err);

	if (!ret)
		return 0;
	pthread_mutex_lock(&s->lock);
	s->info.state = RECORDSTORE_FAILED;
	snprintf(s->info.error, sizeof(s->info.error), "%.250s", err_text(&err, ret, buf, sizeof(buf)));
	s->info.error_at = time(NULL);
	pthread_mutex_unlock(&s->lock);
	log_error("record store: %s", err_text(&err, ret, buf, sizeof(buf)));
	return ret;
}

static int open_store(struct recordstore *s)
{
	const struct nexus_record_options options = {
		.at = s->at,
		.connections = s->opts.connections,
		.busy_ms = s->opts.busy_ms,
		.reply_ms = s->opts.reply_ms,
	};
	struct nexus_record_fault fault = { 0, "" };
	int ret;

	if (s->records)
		return 0;
	ret = load_driver(s);
	if (ret)
		return ret;
	ret = s->driver->open(&options, &fault, &s->records);
	note(s, ret ? (is_trouble(ret) ? ret : -EIO) : 0, fault.text);
	return ret;
}

int recordstore_load(struct recordstore *s)
{
	int ret;

	pthread_mutex_lock(&s->opening);
	ret = load_driver(s);
	pthread_mutex_unlock(&s->opening);
	return ret;
}

int recordstore_open(struct recordstore *s)
{
	int ret;

	pthread_mutex_lock(&s->opening);
	ret = open_store(s);
	pthread_mutex_unlock(&s->opening);
	return ret;
}

int recordstore_get(struct recordstore *s, const char *service, struct nexus_records **records)
{
	struct handle *h;
	int ret;

	ret = recordstore_open(s);
	if (ret)
		return ret;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->ops = *s->records->ops;
	h->ops.begin = handle_begin;
	h->ops.migrate = handle_migrate;
	h->ops.run = handle_run;
	h->base.ops = &h->ops;
	h->base.read_only = s->records->read_only;
	h->store = s;
	snprintf(h->service, sizeof(h->service), "%s", service);
	*records = &h->base;
	return 0;
}

struct recordstore *recordstore_new(const struct recordstore_opts *opts)
{
	struct recordstore *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->opening, NULL);
	pthread_mutex_init(&s->lock, NULL);
	s->opts = *opts;
	s->object = (struct object)OBJECT_NONE;
	s->driver_name = strdup(opts->driver);
	s->at = strdup(opts->at);
	s->dir = strdup(opts->dir);
	if (!s->driver_name || !s->at || !s->dir) {
		recordstore_free(s);
		return NULL;
	}
	snprintf(s->info.driver, sizeof(s->info.driver), "%s", opts->driver);
	s->info.state = RECORDSTORE_UNUSED;
	return s;
}

/*
 * Client libraries leave behind what would call into them later (keys of
 * threads, handlers of exit): the driver goes with the process.
 */
void recordstore_free(struct recordstore *s)
{
	if (!s)
		return;
	if (s->records)
		s->driver->close(s->records);
	pthread_mutex_destroy(&s->opening);
	pthread_mutex_destroy(&s->lock);
	free(s->driver_name);
	free(s->at);
	free(s->dir);
	free(s);
}
