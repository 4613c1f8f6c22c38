// SPDX-License-Identifier: Apache-2.0
/*
 * Methods of nexus.agent_registry.v1.Agents: messages become arguments of the
 * operations, whose memory lives until the answer is encoded.
 */
#include "rpc.h"

#include <errno.h>

#include "method.h"
#include "nexus-proto.h"

#define M(name)	Nexus__AgentRegistry__V1__##name

/* What its states have to do with EBUSY. */
#define NO_WAY		"there is no way from the agent's state to that one"
#define NOT_CONNECTED	"the agent is not connected"

static int begin(struct method *m, void *self, void *call, size_t size)
{
	return method_begin(m, ((struct agent_registry *)self)->host, call, size);
}

static struct agents *agents_of(void *self)
{
	return &((struct agent_registry *)self)->agents;
}

static const char *words(int ret, const char *busy)
{
	switch (ret) {
	case -EKEYEXPIRED:
		return "the generation is not the agent's any more";
	case -EACCES:
		return "neither the agent nor its owner";
	case -EBUSY:
		return busy;
	case -EDQUOT:
		return "the owner has as many agents as it may";
	case -ENOSPC:
		return "there is no room for more";
	case -EEXIST:
		return "there is an agent of this id";
	case -ENOENT:
		return "there is no such agent";
	case -ENOTCONN:
		return METHOD_NO_STORE;
	default:
		return NULL;
	}
}

static int end(const struct method *m, int ret)
{
	return method_end(m, ret, words(ret, NO_WAY));
}

/* ---- answers ---------------------------------------------------------------------- */

static void say_agent(const struct nexus_agent *from, M(Agent) *to)
{
	nexus__agent_registry__v1__agent__init(to);
	to->id = (char *)from->id;
	to->owner = (char *)from->owner;
	to->zone = (char *)from->zone;
	to->name = (char *)from->name;
	if (from->metadata)
		to->metadata = (char *)from->metadata;
	to->state = (M(AgentState))from->state;
	to->generation = from->generation;
	to->registered_ms = from->registered_ms;
	to->changed_ms = from->changed_ms;
	to->seen_ms = from->seen_ms;
}

static int answer_agent(const struct method *m, const struct nexus_agent *agent)
{
	M(AgentResponse) resp = NEXUS__AGENT_REGISTRY__V1__AGENT_RESPONSE__INIT;
	M(Agent) msg;

	say_agent(agent, &msg);
	resp.agent = &msg;
	return nexus_rpc_answer(m->host, m->call, &resp.base);
}

/* ---- methods ---------------------------------------------------------------------- */

static int rpc_add(void *self, void *call)
{
	struct nexus_agent_add_args *a;
	const M(AddRequest) *req;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	a->id = req->id;
	a->owner = method_subject(&m, req->owner);
	a->zone = req->zone;
	a->name = req->name;
	a->metadata = req->metadata;
	ret = agents_add(agents_of(self), a);
	return end(&m, ret ? ret : answer_agent(&m, &a->agent));
}

static int rpc_get(void *self, void *call)
{
	struct nexus_agent_get_args *a;
	const M(GetRequest) *req;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	a->as = method_as(&m, req->as);
	a->id = req->id;
	ret = agents_get(agents_of(self), a);
	return end(&m, ret ? ret : answer_agent(&m, &a->agent));
}

static int rpc_transition(void *self, void *call)
{
	struct nexus_agent_transition_args *a;
	const M(TransitionRequest) *req;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	a->as = method_as(&m, req->as);
	a->id = req->id;
	a->target = (uint32_t)req->target;
	a->generation = req->generation;
	ret = agents_transition(agents_of(self), a);
	return end(&m, ret ? ret : answer_agent(&m, &a->agent));
}

static int rpc_heartbeat(void *self, void *call)
{
	M(HeartbeatResponse) resp = NEXUS__AGENT_REGISTRY__V1__HEARTBEAT_RESPONSE__INIT;
	struct nexus_agent_heartbeat_args *a;
	const M(HeartbeatRequest) *req;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	a->as = method_as(&m, req->as);
	a->id = req->id;
	a->generation = req->generation;
	ret = agents_heartbeat(agents_of(self), a);
	resp.state = (M(AgentState))a->state;
	if (!ret)
		ret = nexus_rpc_answer(m.host, m.call, &resp.base);
	return method_end(&m, ret, words(ret, NOT_CONNECTED));
}

static int rpc_remove(void *self, void *call)
{
	struct nexus_agent_remove_args *a;
	const M(RemoveRequest) *req;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	a->as = method_as(&m, req->as);
	a->id = req->id;
	a->generation = req->generation;
	return end(&m, agents_remove(agents_of(self), a));
}

static int answer_list(const struct method *m, const struct nexus_agent_list_args *a)
{
	M(ListResponse) resp = NEXUS__AGENT_REGISTRY__V1__LIST_RESPONSE__INIT;
	M(Agent) *msgs = method_room(m, a->count, sizeof(*msgs));
	uint32_t i;

	resp.agents = method_room(m, a->count, sizeof(*resp.agents));
	if (!msgs || !resp.agents)
		return -ENOMEM;
	for (i = 0; i < a->count; i++) {
		say_agent(&a->agents[i], &msgs[i]);
		resp.agents[i] = &msgs[i];
	}
	resp.n_agents = a->count;
	resp.more = a->more;
	return nexus_rpc_answer(m->host, m->call, &resp.base);
}

static int rpc_list(void *self, void *call)
{
	struct nexus_agent_list_args *a;
	const M(ListRequest) *req;
	struct method m;
	int ret = begin(&m, self, call, sizeof(*a));

	if (ret)
		return ret;
	a = m.args;
	req = (const void *)m.call->msg;
	a->owner = m.call->caller.admin ? req->owner : method_subject(&m, req->owner);
	a->zone = req->zone;
	a->state = (uint32_t)req->state;
	a->after = req->after;
	a->max = req->max;
	ret = agents_list(agents_of(self), a);
	return end(&m, ret ? ret : answer_list(&m, a));
}

static int rpc_state(void *self, void *call)
{
	M(StateResponse) resp = NEXUS__AGENT_REGISTRY__V1__STATE_RESPONSE__INIT;
	struct agent_registry *s = self;
	struct nexus_agent_registry_state st;
	int ret = agents_state(&s->agents, &st);

	if (ret)
		return ret == -ENOTCONN ? refuse(call, ret, METHOD_NO_STORE) : ret;
	resp.agents = st.agents;
	resp.known = st.known;
	resp.pending = st.pending;
	resp.heartbeats = st.heartbeats;
	resp.written = st.written;
	resp.silenced = st.silenced;
	return nexus_rpc_answer(s->host, (struct nexus_rpc_call *)call, &resp.base);
}

#define METHOD(n, word, by, on, answer) { \
	.name = (n), .who = (by), .subject = (on), \
	.request = &nexus__agent_registry__v1__##word##_request__descriptor, \
	.response = &nexus__agent_registry__v1__##answer##_response__descriptor, \
	.call = rpc_##word, \
}

static const struct nexus_rpc_method methods[] = {
	METHOD("Add", add, NEXUS_RPC_SELF, "owner", agent),
	METHOD("Get", get, NEXUS_RPC_SELF, "as", agent),
	METHOD("Transition", transition, NEXUS_RPC_SELF, "as", agent),
	METHOD("Heartbeat", heartbeat, NEXUS_RPC_SELF, "as", heartbeat),
	METHOD("List", list, NEXUS_RPC_SELF, "owner", list),
	METHOD("Remove", remove, NEXUS_RPC_SELF, "as", remove),
	METHOD("State", state, NEXUS_RPC_ALL, NULL, state),
	NEXUS_RPC_METHODS_END,
};

const struct nexus_rpc_service agent_registry_rpc[] = {
	{ "nexus.agent_registry.v1.Agents", methods },
	NEXUS_RPC_SERVICES_END,
};
