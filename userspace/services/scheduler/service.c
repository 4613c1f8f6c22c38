// SPDX-License-Identifier: Apache-2.0
/* Service scheduler: tasks in the helper's record store, for the registry. */
#include "rpc.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define TICK_MS		5000u
#define KEPT_MAX	100000u

#define OP(name, type) \
	static int op_##name(void *self, void *args) \
	{ \
		return tasks_##name(&((struct scheduler *)self)->tasks, (struct type *)args); \
	}

OP(submit, nexus_task_submit_args)
OP(claim, nexus_task_claim_args)
OP(renew, nexus_task_finish_args)
OP(finish, nexus_task_finish_args)
OP(cancel, nexus_task_cancel_args)
OP(get, nexus_task_get_args)
OP(list, nexus_task_list_args)
OP(state, nexus_scheduler_state)

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void say(void *arg, const char *line)
{
	struct scheduler *s = arg;

	s->host->log(s->me, NEXUS_SERVICE_ERROR, line);
}

static void tick(void *arg)
{
	tasks_tick(&((struct scheduler *)arg)->tasks);
}

static int scheduler_init(const struct nexus_service_host *host, struct nexus_service *me,
			  void **self)
{
	struct scheduler *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->host = host;
	s->me = me;
	ticker_init(&s->ticker, TICK_MS, tick, s);
	*self = s;
	return 0;
}

static int scheduler_start(void *self)
{
	struct scheduler *s = self;
	const struct tasks_opts opts = {
		.tasks_max = NEXUS_TASKS_MAX, .owner_max = NEXUS_TASKS_OF_OWNER_MAX,
		.running_max = NEXUS_TASKS_RUNNING_MAX, .claims_max = NEXUS_TASK_CLAIMS_MAX,
		.kept_ms = NEXUS_TASK_KEPT_MS, .kept_max = KEPT_MAX, .now_ms = now_ms,
		.more = s->host->args_more,
	};
	struct nexus_records *records;
	int ret;

	ret = s->host->records(s->me, &records);
	if (!ret)
		ret = tasks_open(&s->tasks, records, &opts, say, s);
	if (ret)
		return ret;
	s->open = true;
	return ticker_start(&s->ticker);
}

/* Nothing is in memory alone, so two builds have the store at once during a swap. */
static int scheduler_stop(void *self)
{
	struct scheduler *s = self;

	ticker_stop(&s->ticker);
	return 0;
}

static void scheduler_cleanup(void *self)
{
	struct scheduler *s = self;

	if (s->open)
		tasks_close(&s->tasks);
	ticker_destroy(&s->ticker);
	free(s);
}

static const struct nexus_scheduler_ops ops = {
	.submit = op_submit,
	.claim = op_claim,
	.renew = op_renew,
	.finish = op_finish,
	.cancel = op_cancel,
	.get = op_get,
	.list = op_list,
	.state = op_state,
};

static const struct nexus_protocol provides[] = {
	NEXUS_PROTOCOL(NEXUS_SCHEDULER, NEXUS_SCHEDULER_VERSION, ops),
	NEXUS_PROTOCOLS_END,
};

NEXUS_SERVICE = {
	.abi = NEXUS_SERVICE_ABI,
	.name = "scheduler",
	.version = "1.0",
	.provides = provides,
	.service_init = scheduler_init,
	.service_start = scheduler_start,
	.service_stop = scheduler_stop,
	.service_cleanup = scheduler_cleanup,
	.rpc = scheduler_rpc,
};
