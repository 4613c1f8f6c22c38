// SPDX-License-Identifier: Apache-2.0
/* nexusctl agent: which agents there are, whose they are, and whether they live. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nexus-proto.h"
#include "call.h"

#define M(name)	Nexus__AgentRegistry__V1__##name

static const struct call_target target = { "nexus.agent_registry.v1.Agents", "agent_registry" };

static const char *const states[] = { "", "unknown", "connected", "idle", "suspended" };

#define STATES	(sizeof(states) / sizeof(states[0]))

static const char *state_name(M(AgentState) state)
{
	return (size_t)state < STATES && state ? states[state] : "?";
}

static bool parse_state(const char *text, M(AgentState) *state)
{
	size_t i;

	for (i = 1; i < STATES; i++)
		if (!strcmp(text, states[i]))
			break;
	*state = (M(AgentState))i;
	return i < STATES;
}

/* ---- one agent ----------------------------------------------------------------------- */

static void agent_json(struct json *json, const M(Agent) *a, bool whole)
{
	json_open(json, NULL, '{');
	json_string(json, "id", a->id);
	json_string(json, "owner", a->owner);
	json_string(json, "zone", a->zone);
	json_string(json, "name", a->name);
	if (whole)
		json_string(json, "metadata", a->metadata);
	json_string(json, "state", state_name(a->state));
	json_number(json, "generation", a->generation);
	json_number(json, "registered_ms", (uint64_t)a->registered_ms);
	json_number(json, "changed_ms", (uint64_t)a->changed_ms);
	json_number(json, "seen_ms", (uint64_t)a->seen_ms);
	json_close(json, '}');
}

static void agent_text(const M(Agent) *a)
{
	char registered[32], changed[32], seen[32];

	local_time(registered, (uint64_t)a->registered_ms / 1000);
	local_time(changed, (uint64_t)a->changed_ms / 1000);
	local_time(seen, (uint64_t)a->seen_ms / 1000);
	printf("id:          %s\nowner:       %s\n", a->id, a->owner);
	if (a->zone[0])
		printf("zone:        %s\n", a->zone);
	if (a->name[0])
		printf("name:        %s\n", a->name);
	printf("state:       %s\ngeneration:  %" PRIu64 "\n", state_name(a->state), a->generation);
	printf("registered:  %s\nchanged:     %s\nseen:        %s\n", registered, changed, seen);
	if (a->metadata[0])
		printf("metadata:    %s\n", a->metadata);
}

/* What @method answers to, which is an agent. */
static int print_agent(struct ctl *ctl, const char *method, const ProtobufCMessage *req)
{
	M(AgentResponse) *resp = call(ctl, &target, method, req,
				      &nexus__agent_registry__v1__agent_response__descriptor);
	struct json json = { .out = stdout };

	if (!resp || !resp->agent) {
		release(resp);
		return EXIT_FAILED;
	}
	if (ctl->json)
		agent_json(&json, resp->agent, true);
	else
		agent_text(resp->agent);
	release(resp);
	return EXIT_OK;
}

int cmd_agent_add(struct ctl *ctl)
{
	M(AddRequest) req = NEXUS__AGENT_REGISTRY__V1__ADD_REQUEST__INIT;

	req.id = ctl->args[0];
	if (ctl->n_args > 1)
		req.zone = ctl->args[1];
	if (ctl->owner)
		req.owner = (char *)ctl->owner;
	if (ctl->lease_name)
		req.name = (char *)ctl->lease_name;
	if (ctl->data)
		req.metadata = (char *)ctl->data;
	return print_agent(ctl, "Add", &req.base);
}

int cmd_agent_get(struct ctl *ctl)
{
	M(GetRequest) req = NEXUS__AGENT_REGISTRY__V1__GET_REQUEST__INIT;

	req.id = ctl->args[0];
	return print_agent(ctl, "Get", &req.base);
}

static bool read_generation(const struct ctl *ctl, uint64_t *generation)
{
	*generation = 0;
	return !ctl->generation || parse_number(ctl->generation, 1, UINT64_MAX, generation);
}

int cmd_agent_set(struct ctl *ctl)
{
	M(TransitionRequest) req = NEXUS__AGENT_REGISTRY__V1__TRANSITION_REQUEST__INIT;

	req.id = ctl->args[0];
	if (!parse_state(ctl->args[1], &req.target))
		return wrong("a state is connected, idle or suspended", ctl->args[1]);
	if (!read_generation(ctl, &req.generation))
		return wrong("--generation: a number from 1 on", ctl->generation);
	return print_agent(ctl, "Transition", &req.base);
}

int cmd_agent_beat(struct ctl *ctl)
{
	M(HeartbeatRequest) req = NEXUS__AGENT_REGISTRY__V1__HEARTBEAT_REQUEST__INIT;
	struct json json = { .out = stdout };
	M(HeartbeatResponse) *resp;

	req.id = ctl->args[0];
	if (!parse_number(ctl->args[1], 1, UINT64_MAX, &req.generation))
		return wrong("a generation is a number from 1 on", ctl->args[1]);
	resp = call(ctl, &target, "Heartbeat", &req.base,
		    &nexus__agent_registry__v1__heartbeat_response__descriptor);
	if (!resp)
		return EXIT_FAILED;
	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_string(&json, "state", state_name(resp->state));
		json_close(&json, '}');
	} else {
		puts(state_name(resp->state));
	}
	release(resp);
	return EXIT_OK;
}

int cmd_agent_remove(struct ctl *ctl)
{
	M(RemoveRequest) req = NEXUS__AGENT_REGISTRY__V1__REMOVE_REQUEST__INIT;
	void *resp;

	req.id = ctl->args[0];
	if (!read_generation(ctl, &req.generation))
		return wrong("--generation: a number from 1 on", ctl->generation);
	resp = call(ctl, &target, "Remove", &req.base,
		    &nexus__agent_registry__v1__remove_response__descriptor);
	if (!resp)
		return EXIT_FAILED;
	if (ctl->json)
		puts("{}");
	else
		printf("agent %s removed\n", ctl->args[0]);
	release(resp);
	return EXIT_OK;
}

/* ---- all of them ---------------------------------------------------------------------- */

static void print_list(const struct ctl *ctl, const M(ListResponse) *resp)
{
	struct json json = { .out = stdout };
	char seen[32];
	size_t i;

	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_open(&json, "agents", '[');
		for (i = 0; i < resp->n_agents; i++)
			agent_json(&json, resp->agents[i], false);
		json_close(&json, ']');
		json_bool(&json, "more", resp->more);
		json_close(&json, '}');
		return;
	}
	for (i = 0; i < resp->n_agents; i++) {
		const M(Agent) *a = resp->agents[i];

		local_time(seen, (uint64_t)a->seen_ms / 1000);
		printf("%-24s %-10s %6" PRIu64 "  %-19s  %s\n", a->id, state_name(a->state),
		       a->generation, seen, a->owner);
	}
	if (resp->more)
		fprintf(stderr, "there is more: --after %s\n",
			resp->n_agents ? resp->agents[resp->n_agents - 1]->id : "");
}

int cmd_agent_list(struct ctl *ctl)
{
	M(ListRequest) req = NEXUS__AGENT_REGISTRY__V1__LIST_REQUEST__INIT;
	M(ListResponse) *resp;
	uint64_t max = 0;

	if (ctl->in_state && !parse_state(ctl->in_state, &req.state))
		return wrong("a state is unknown, connected, idle or suspended", ctl->in_state);
	if (ctl->lease_limit && !parse_number(ctl->lease_limit, 1, 1000, &max))
		return wrong("--limit: 1 to 1000", ctl->lease_limit);
	req.max = (uint32_t)max;
	if (ctl->n_args)
		req.zone = ctl->args[0];
	if (ctl->owner)
		req.owner = (char *)ctl->owner;
	if (ctl->after)
		req.after = (char *)ctl->after;
	resp = call(ctl, &target, "List", &req.base, &nexus__agent_registry__v1__list_response__descriptor);
	if (!resp)
		return EXIT_FAILED;
	print_list(ctl, resp);
	release(resp);
	return EXIT_OK;
}

int cmd_agent_state(struct ctl *ctl)
{
	M(StateRequest) req = NEXUS__AGENT_REGISTRY__V1__STATE_REQUEST__INIT;
	struct json json = { .out = stdout };
	M(StateResponse) *resp;

	resp = call(ctl, &target, "State", &req.base, &nexus__agent_registry__v1__state_response__descriptor);
	if (!resp)
		return EXIT_FAILED;
	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_number(&json, "agents", resp->agents);
		json_number(&json, "known", resp->known);
		json_number(&json, "pending", resp->pending);
		json_number(&json, "heartbeats", resp->heartbeats);
		json_number(&json, "written", resp->written);
		json_number(&json, "silenced", resp->silenced);
		json_close(&json, '}');
	} else {
		printf("agents:      %" PRIu64 "\n", resp->agents);
		printf("heartbeats:  %" PRIu64 " of agents in memory, %" PRIu64 " of them not yet written\n",
		       resp->known, resp->pending);
		printf("             %" PRIu64 " since the service was loaded, %" PRIu64 " written\n",
		       resp->heartbeats, resp->written);
		printf("silent:      %" PRIu64 " suspended\n", resp->silenced);
	}
	release(resp);
	return EXIT_OK;
}
