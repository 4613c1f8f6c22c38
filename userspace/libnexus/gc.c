// SPDX-License-Identifier: Apache-2.0
/* The control service of what a content store has too much, and too little, as C functions. */
#include <stdio.h>

#include <nexus/gc.h>

#include "message.h"

static struct nexus_gc_sum sum(const Nexus__Control__V1__GcSum *msg)
{
	struct nexus_gc_sum sum = { 0, 0 };

	if (msg)
		sum = (struct nexus_gc_sum){ msg->objects, msg->bytes };
	return sum;
}

static void take(const Nexus__Control__V1__GcStatusResponse *msg, struct nexus_gc *gc)
{
	*gc = (struct nexus_gc){
		.run = msg->run, .over = msg->over, .error = -(int)msg->error,
		.begun = msg->begun, .ended = msg->ended,
		.listed = sum(msg->listed), .leaked = sum(msg->leaked),
		.missing = sum(msg->missing), .foreign = sum(msg->foreign),
		.young = sum(msg->young), .deleted = sum(msg->deleted),
		.failed = msg->failed,
	};
	snprintf(gc->why, sizeof(gc->why), "%s", msg->why);
	snprintf(gc->failed_why, sizeof(gc->failed_why), "%s", msg->failed_why);
}

NEXUS_EXPORT int nexus_gc_start(struct nexus_client *client, const char *zone, bool run,
				uint64_t *job)
{
	Nexus__Control__V1__GcStartRequest req = NEXUS__CONTROL__V1__GC_START_REQUEST__INIT;
	Nexus__Control__V1__GcStartResponse *res;
	int err;

	req.zone = (char *)zone;
	req.run = run;
	err = client_message(client, SERVICE("Gc"), "Start", &req.base,
			     &nexus__control__v1__gc_start_response__descriptor, &res);
	if (err)
		return err;
	*job = res->job;
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return 0;
}

NEXUS_EXPORT int nexus_gc_status(struct nexus_client *client, const char *zone, uint64_t job,
				 struct nexus_gc *gc, nexus_gc_fn fn, void *arg)
{
	Nexus__Control__V1__GcStatusRequest req = NEXUS__CONTROL__V1__GC_STATUS_REQUEST__INIT;
	Nexus__Control__V1__GcStatusResponse *res;
	size_t i;
	int err;

	req.zone = (char *)zone;
	req.job = job;
	err = client_message(client, SERVICE("Gc"), "Status", &req.base,
			     &nexus__control__v1__gc_status_response__descriptor, &res);
	if (err)
		return err;
	take(res, gc);
	for (i = 0; fn && !err && i < res->n_objects; i++) {
		const struct nexus_gc_object o = {
			.what = (enum nexus_gc_what)res->objects[i]->what,
			.name = res->objects[i]->name,
			.bytes = res->objects[i]->bytes,
		};

		err = fn(arg, &o);
	}
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return err;
}
