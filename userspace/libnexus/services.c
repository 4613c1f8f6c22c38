// SPDX-License-Identifier: Apache-2.0
/* The control service of services as C functions. */
#include <errno.h>
#include <stdlib.h>

#include "message.h"

#define SERVICES	"nexus.service.v1.Services"

/* A method that answers with an empty message of @type. */
static int change(struct nexus_client *client, const char *method, const ProtobufCMessage *req,
		  const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *res;
	int err = client_message(client, SERVICES, method, req, type, &res);

	if (!err)
		protobuf_c_message_free_unpacked(res, NULL);
	return err;
}

NEXUS_EXPORT int nexus_service_load(struct nexus_client *client, const char *const *names,
				    size_t n)
{
	Nexus__Service__V1__ServicesLoadRequest req =
		NEXUS__SERVICE__V1__SERVICES_LOAD_REQUEST__INIT;

	req.n_names = n;
	req.names = (char **)names;
	return change(client, "Load", &req.base,
		      &nexus__service__v1__services_load_response__descriptor);
}

NEXUS_EXPORT int nexus_service_unload(struct nexus_client *client, const char *name)
{
	Nexus__Service__V1__ServicesUnloadRequest req =
		NEXUS__SERVICE__V1__SERVICES_UNLOAD_REQUEST__INIT;

	req.name = (char *)name;
	return change(client, "Unload", &req.base,
		      &nexus__service__v1__services_unload_response__descriptor);
}

NEXUS_EXPORT int nexus_service_swap(struct nexus_client *client, const char *name)
{
	Nexus__Service__V1__ServicesSwapRequest req =
		NEXUS__SERVICE__V1__SERVICES_SWAP_REQUEST__INIT;

	req.name = (char *)name;
	return change(client, "Swap", &req.base,
		      &nexus__service__v1__services_swap_response__descriptor);
}

static void give_protocols(struct nexus_service_protocol *to,
			   Nexus__Service__V1__Protocol *const *from, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		to[i] = (struct nexus_service_protocol){ from[i]->name, from[i]->version };
}

static int give_service(struct nexus_client *client, const Nexus__Service__V1__Service *msg,
			nexus_service_fn fn, void *arg)
{
	struct nexus_service_protocol *protocols;
	struct nexus_service_status s = {
		.name = msg->name,
		.version = msg->version,
		.state = (enum nexus_service_state)msg->state,
		.reason = msg->reason,
		.mapped = msg->mapped,
		.n_provides = msg->n_provides,
		.n_needs = msg->n_needs,
		.holders = (const char *const *)msg->holders,
		.n_holders = msg->n_holders,
		.calls_running = msg->calls_running,
		.calls = msg->calls,
		.overruns = msg->overruns,
		.loaded = msg->loaded,
		.uid = msg->uid,
	};
	int err;

	protocols = calloc(msg->n_provides + msg->n_needs + 1, sizeof(*protocols));
	if (!protocols)
		return client_fail(client, -ENOMEM, "out of memory");
	give_protocols(protocols, msg->provides, msg->n_provides);
	give_protocols(protocols + msg->n_provides, msg->needs, msg->n_needs);
	s.provides = protocols;
	s.needs = protocols + msg->n_provides;
	err = fn(arg, &s);
	free(protocols);
	return err;
}

NEXUS_EXPORT int nexus_service_list(struct nexus_client *client, nexus_service_fn fn, void *arg)
{
	Nexus__Service__V1__ServicesListRequest req =
		NEXUS__SERVICE__V1__SERVICES_LIST_REQUEST__INIT;
	Nexus__Service__V1__ServicesListResponse *res;
	size_t i;
	int err;

	err = client_message(client, SERVICES, "List", &req.base,
			     &nexus__service__v1__services_list_response__descriptor, &res);
	if (err)
		return err;
	for (i = 0; i < res->n_services && !err; i++)
		err = give_service(client, res->services[i], fn, arg);
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return err;
}

NEXUS_EXPORT int nexus_service_info(struct nexus_client *client, const char *name,
				    nexus_service_fn fn, void *arg)
{
	Nexus__Service__V1__ServicesInfoRequest req =
		NEXUS__SERVICE__V1__SERVICES_INFO_REQUEST__INIT;
	Nexus__Service__V1__ServicesInfoResponse *res;
	size_t i;
	int err;

	req.name = (char *)name;
	err = client_message(client, SERVICES, "Info", &req.base,
			     &nexus__service__v1__services_info_response__descriptor, &res);
	if (err)
		return err;
	for (i = 0; i < res->n_services && !err; i++)
		err = give_service(client, res->services[i], fn, arg);
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return err;
}
