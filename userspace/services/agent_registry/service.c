// SPDX-License-Identifier: Apache-2.0
/*
 * Service agent_registry: agents in the helper's record store, for the registry.
 *
 * During a swap two builds have the store at once. What one knows of heartbeats
 * and has not written yet is written when it stops.
 */
#include "rpc.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define TICK_MS		5000u
#define SWEEP_MS	60000u

#define OP(name, type) \
	static int op_##name(void *self, void *args) \
	{ \
		return agents_##name(&((struct agent_registry *)self)->agents, (struct type *)args); \
	}

OP(add, nexus_agent_add_args)
OP(get, nexus_agent_get_args)
OP(transition, nexus_agent_transition_args)
OP(heartbeat, nexus_agent_heartbeat_args)
OP(list, nexus_agent_list_args)
OP(remove, nexus_agent_remove_args)
OP(state, nexus_agent_registry_state)

static int64_t clock_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static int64_t now_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

static int64_t mono_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

static void say(void *arg, const char *line)
{
	struct agent_registry *s = arg;

	s->host->log(s->me, NEXUS_SERVICE_ERROR, line);
}

static void tick(void *arg)
{
	agents_tick(&((struct agent_registry *)arg)->agents);
}

static void full(void *arg)
{
	ticker_kick(&((struct agent_registry *)arg)->ticker);
}

static int registry_init(const struct nexus_service_host *host, struct nexus_service *me,
			 void **self)
{
	struct agent_registry *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->host = host;
	s->me = me;
	ticker_init(&s->ticker, TICK_MS, tick, s);
	*self = s;
	return 0;
}

static int registry_start(void *self)
{
	struct agent_registry *s = self;
	const struct agents_opts opts = {
		.agents_max = NEXUS_AGENTS_MAX, .owner_max = NEXUS_AGENTS_OF_OWNER_MAX,
		.flush_ms = NEXUS_AGENT_FLUSH_MS, .silence_ms = NEXUS_AGENT_SILENCE_MS,
		.sweep_ms = SWEEP_MS, .now_ms = now_ms, .mono_ms = mono_ms,
		.more = s->host->args_more, .full = full, .arg = s,
	};
	struct nexus_records *records;
	int ret;

	ret = s->host->records(s->me, &records);
	if (!ret)
		ret = agents_open(&s->agents, records, &opts, say, s);
	if (ret)
		return ret;
	s->open = true;
	return ticker_start(&s->ticker);
}

static int registry_stop(void *self)
{
	struct agent_registry *s = self;

	ticker_stop(&s->ticker);
	return agents_flush(&s->agents);
}

static void registry_cleanup(void *self)
{
	struct agent_registry *s = self;

	if (s->open)
		agents_close(&s->agents);
	ticker_destroy(&s->ticker);
	free(s);
}

static const struct nexus_agent_registry_ops ops = {
	.add = op_add,
	.get = op_get,
	.transition = op_transition,
	.heartbeat = op_heartbeat,
	.list = op_list,
	.remove = op_remove,
	.state = op_state,
};

static const struct nexus_protocol provides[] = {
	NEXUS_PROTOCOL(NEXUS_AGENT_REGISTRY, NEXUS_AGENT_REGISTRY_VERSION, ops),
	NEXUS_PROTOCOLS_END,
};

NEXUS_SERVICE = {
	.abi = NEXUS_SERVICE_ABI,
	.name = "agent_registry",
	.version = "1.0",
	.provides = provides,
	.service_init = registry_init,
	.service_start = registry_start,
	.service_stop = registry_stop,
	.service_cleanup = registry_cleanup,
	.rpc = agent_registry_rpc,
};
