// SPDX-License-Identifier: Apache-2.0
/* The control service of services. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control_impl.h"

#define NAMES_MAX	64

static int services_load(struct control_call *call)
{
	const Nexus__Service__V1__ServicesLoadRequest *req = call->req;
	Nexus__Service__V1__ServicesLoadResponse msg =
		NEXUS__SERVICE__V1__SERVICES_LOAD_RESPONSE__INIT;
	int ret;

	if (!req->n_names || req->n_names > NAMES_MAX)
		return control_err(&call->err, -EINVAL,
				   "%zu services are named; 1 to %u are allowed",
				   req->n_names, NAMES_MAX);
	ret = call->ops->service_load(call->core, (const char *const *)req->names,
				      req->n_names, &call->caller, &call->err);
	return ret ? ret : control_reply(call, &msg.base);
}

static int services_unload(struct control_call *call)
{
	const Nexus__Service__V1__ServicesUnloadRequest *req = call->req;
	Nexus__Service__V1__ServicesUnloadResponse msg =
		NEXUS__SERVICE__V1__SERVICES_UNLOAD_RESPONSE__INIT;
	int ret;

	ret = call->ops->service_unload(call->core, req->name, &call->caller, &call->err);
	return ret ? ret : control_reply(call, &msg.base);
}

static int services_swap(struct control_call *call)
{
	const Nexus__Service__V1__ServicesSwapRequest *req = call->req;
	Nexus__Service__V1__ServicesSwapResponse msg =
		NEXUS__SERVICE__V1__SERVICES_SWAP_RESPONSE__INIT;
	int ret;

	ret = call->ops->service_swap(call->core, req->name, &call->caller, &call->err);
	return ret ? ret : control_reply(call, &msg.base);
}

/* ---- list -------------------------------------------------------------------- */

/* A message, and what it points to, in one piece of memory. */
struct piece {
	char *at;
};

static void *take(struct piece *p, size_t size)
{
	void *at = p->at;

	p->at += (size + 15) / 16 * 16;
	return at;
}

static char *take_text(struct piece *p, const char *text)
{
	size_t len = strlen(text) + 1;

	return memcpy(take(p, len), text, len);
}

static size_t text_size(const char *text)
{
	return (strlen(text) + 1 + 15) / 16 * 16;
}

static size_t protocols_size(const struct control_protocol *protocols, size_t n)
{
	size_t size = n * (sizeof(void *) + sizeof(Nexus__Service__V1__Protocol) + 32), i;

	for (i = 0; i < n; i++)
		size += text_size(protocols[i].name);
	return size + 16;
}

static Nexus__Service__V1__Protocol **take_protocols(struct piece *p,
						     const struct control_protocol *protocols,
						     size_t n)
{
	Nexus__Service__V1__Protocol **list = take(p, n * sizeof(*list));
	size_t i;

	for (i = 0; i < n; i++) {
		list[i] = take(p, sizeof(*list[i]));
		nexus__service__v1__protocol__init(list[i]);
		list[i]->name = take_text(p, protocols[i].name);
		list[i]->version = protocols[i].version;
	}
	return list;
}

static Nexus__Service__V1__Service *msg_service(const struct control_service *s)
{
	size_t size = sizeof(Nexus__Service__V1__Service) + 16 + text_size(s->name) +
		text_size(s->version) + text_size(s->reason) +
		protocols_size(s->provides, s->nprovides) +
		protocols_size(s->needs, s->nneeds) + s->nholders * sizeof(char *) + 16;
	Nexus__Service__V1__Service *msg;
	struct piece p;
	size_t i;

	for (i = 0; i < s->nholders; i++)
		size += text_size(s->holders[i]);
	p.at = malloc(size);
	if (!p.at)
		return NULL;
	msg = take(&p, sizeof(*msg));
	nexus__service__v1__service__init(msg);
	msg->name = take_text(&p, s->name);
	msg->version = take_text(&p, s->version);
	msg->state = (Nexus__Service__V1__Service__State)s->state;
	msg->reason = take_text(&p, s->reason);
	msg->mapped = s->mapped;
	msg->n_provides = s->nprovides;
	msg->provides = take_protocols(&p, s->provides, s->nprovides);
	msg->n_needs = s->nneeds;
	msg->needs = take_protocols(&p, s->needs, s->nneeds);
	msg->n_holders = s->nholders;
	msg->holders = take(&p, s->nholders * sizeof(char *));
	for (i = 0; i < s->nholders; i++)
		msg->holders[i] = take_text(&p, s->holders[i]);
	msg->calls_running = s->calls_running;
	msg->calls = s->calls;
	msg->overruns = s->overruns;
	msg->loaded = s->loaded;
	msg->uid = s->uid;
	return msg;
}

static int collect(void *arg, const struct control_service *service)
{
	return msg_list_add(arg, msg_service(service));
}

/* The answers of List and Info have the same field. */
static int answer_list(struct control_call *call, const char *name)
{
	Nexus__Service__V1__ServicesListResponse msg =
		NEXUS__SERVICE__V1__SERVICES_LIST_RESPONSE__INIT;
	struct msg_list list = { NULL, 0, 0 };
	int ret;

	ret = call->ops->service_list(call->core, name, collect, &list, &call->err);
	if (!ret) {
		msg.n_services = list.n;
		msg.services = (Nexus__Service__V1__Service **)list.items;
		ret = control_reply(call, &msg.base);
	}
	msg_list_free(&list);
	return ret;
}

static int services_list(struct control_call *call)
{
	return answer_list(call, NULL);
}

static int services_info(struct control_call *call)
{
	const Nexus__Service__V1__ServicesInfoRequest *req = call->req;

	return answer_list(call, req->name);
}

const struct rpc_method control_service_methods[] = {
	CONTROL_METHOD("Load", RPC_METHOD_CHANGES | RPC_METHOD_LONG,
		       &nexus__service__v1__services_load_request__descriptor,
		       service_load, services_load),
	CONTROL_METHOD("Unload", RPC_METHOD_CHANGES | RPC_METHOD_LONG,
		       &nexus__service__v1__services_unload_request__descriptor,
		       service_unload, services_unload),
	CONTROL_METHOD("Swap", RPC_METHOD_CHANGES | RPC_METHOD_LONG,
		       &nexus__service__v1__services_swap_request__descriptor,
		       service_swap, services_swap),
	CONTROL_METHOD("List", 0, NULL, service_list, services_list),
	CONTROL_METHOD("Info", 0, &nexus__service__v1__services_info_request__descriptor,
		       service_list, services_info),
	CONTROL_METHODS_END,
};
