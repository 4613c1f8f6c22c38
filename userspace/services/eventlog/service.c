// SPDX-License-Identifier: Apache-2.0
/*
 * Service eventlog: the event log for the registry.
 *
 * During a swap the build before still has the files when this one starts; they are
 * opened by the first operation that comes when it has gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "service.h"

#define WAIT_STEPS	200	/* of 10 ms, for the build before to go */
#define RETAIN_MS	10000u	/* and whenever a segment begins */

static void say(void *arg, enum nexus_service_level level, const char *line)
{
	struct eventlog *e = arg;

	e->host->log(e->me, level, line);
}

static int open_log(struct eventlog *e)
{
	struct elog_opts opts = {
		.segment_size = ELOG_SEGMENT_SIZE, .reserve = ELOG_RESERVE, .log = say, .arg = e,
		.max_bytes = e->max_bytes, .max_age_ms = e->max_age * 1000,
	};
	int fd = e->host->state_dir(e->me);
	int ret;

	if (fd < 0)
		return fd;
	ret = elog_open(&e->log, fd, &opts);
	e->open = !ret;
	return ret;
}

int eventlog_opened(struct eventlog *e)
{
	struct timespec step = { 0, 10000000 };
	int ret = 0, i;

	pthread_mutex_lock(&e->opening);
	for (i = 0; !e->open && i < WAIT_STEPS; i++) {
		ret = open_log(e);
		if (ret != -EAGAIN)
			break;
		nanosleep(&step, NULL);
	}
	pthread_mutex_unlock(&e->opening);
	return ret;
}

int eventlog_append(struct eventlog *e, struct nexus_eventlog_append_args *a)
{
	int ret = eventlog_opened(e);

	if (ret)
		return ret;
	ret = elog_append(&e->log, a);
	/* Of a failed sync the records may be there. */
	feeder_wake_all(&e->feeder);
	if (elog_due(&e->log))
		ticker_kick(&e->ticker);
	return ret;
}

static int append(void *self, void *args)
{
	return eventlog_append(self, args);
}

static int read_op(void *self, void *args)
{
	struct eventlog *e = self;
	int ret = eventlog_opened(e);

	return ret ? ret : elog_read(&e->log, args, e->host->args_more);
}

static int sync_op(void *self, void *args)
{
	struct eventlog *e = self;
	int ret = eventlog_opened(e);

	(void)args;
	return ret ? ret : elog_sync(&e->log);
}

static int truncate_op(void *self, void *args)
{
	struct eventlog *e = self;
	int ret = eventlog_opened(e);

	return ret ? ret : elog_truncate(&e->log, args);
}

static int state(void *self, void *args)
{
	struct eventlog *e = self;
	int ret = eventlog_opened(e);

	if (!ret)
		elog_state(&e->log, args);
	return ret;
}

static int retention(void *self, void *args)
{
	struct eventlog *e = self;
	int ret = eventlog_opened(e);

	if (!ret)
		elog_retention(&e->log, args);
	return ret;
}

/* Readers that are behind what goes are told when they come to it. */
static void retain(void *arg)
{
	struct eventlog *e = arg;
	bool open;

	pthread_mutex_lock(&e->opening);
	open = e->open;
	pthread_mutex_unlock(&e->opening);
	/* A failure is in the log, and the next tick tries again. */
	if (open)
		(void)elog_retain(&e->log);
}

static int eventlog_init(const struct nexus_service_host *host, struct nexus_service *me,
			 void **self)
{
	struct eventlog *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->host = host;
	e->me = me;
	pthread_mutex_init(&e->opening, NULL);
	feeder_init(&e->feeder, host, &eventlog_feeder_ops);
	ticker_init(&e->ticker, RETAIN_MS, retain, e);
	*self = e;
	return 0;
}

static int eventlog_start(void *self)
{
	struct eventlog *e = self;
	int ret;

	/* Without these keys everything stays. */
	(void)e->host->setting(e->me, "max_bytes", &e->max_bytes);
	(void)e->host->setting(e->me, "max_age", &e->max_age);
	ret = open_log(e);
	if (ret && ret != -EAGAIN)
		return ret;
	ret = e->max_bytes || e->max_age ? ticker_start(&e->ticker) : 0;
	if (ret && e->open)
		elog_close(&e->log);
	return ret;
}

static int eventlog_stop(void *self)
{
	struct eventlog *e = self;
	int ret;

	ticker_stop(&e->ticker);
	feeder_end(&e->feeder);
	ret = e->open ? elog_close(&e->log) : 0;
	e->open = false;
	return ret;
}

static void eventlog_cleanup(void *self)
{
	struct eventlog *e = self;

	ticker_destroy(&e->ticker);
	feeder_destroy(&e->feeder);
	pthread_mutex_destroy(&e->opening);
	free(e);
}

static const struct nexus_eventlog_ops ops = {
	.append = append,
	.read = read_op,
	.sync = sync_op,
	.truncate = truncate_op,
	.state = state,
	.retention = retention,
};

static const struct nexus_protocol provides[] = {
	NEXUS_PROTOCOL(NEXUS_EVENTLOG, NEXUS_EVENTLOG_VERSION, ops),
	NEXUS_PROTOCOLS_END,
};

NEXUS_SERVICE = {
	.abi = NEXUS_SERVICE_ABI,
	.name = "eventlog",
	.version = "1.1",
	.provides = provides,
	.service_init = eventlog_init,
	.service_start = eventlog_start,
	.service_stop = eventlog_stop,
	.service_cleanup = eventlog_cleanup,
	.rpc = eventlog_rpc,
};
