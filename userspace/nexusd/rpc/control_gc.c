// SPDX-License-Identifier: Apache-2.0
/* The control service of what a content store has too much, and too little. */
#include <stdlib.h>
#include <string.h>

#include "control_impl.h"

static Nexus__Control__V1__GcObject *object_message(const struct control_gc_object *o)
{
	size_t len = strlen(o->name) + 1;
	Nexus__Control__V1__GcObject *msg = malloc(sizeof(*msg) + len);

	if (!msg)
		return NULL;
	nexus__control__v1__gc_object__init(msg);
	msg->what = (Nexus__Control__V1__GcWhat)o->what;
	msg->name = memcpy(msg + 1, o->name, len);
	msg->bytes = o->bytes;
	return msg;
}

static int collect(void *arg, const struct control_gc_object *object)
{
	return msg_list_add(arg, object_message(object));
}

static int gc_start(struct control_call *call)
{
	const Nexus__Control__V1__GcStartRequest *req = call->req;
	Nexus__Control__V1__GcStartResponse res = NEXUS__CONTROL__V1__GC_START_RESPONSE__INIT;
	struct control_gc gc = { .start = true, .run = req->run };
	int ret = call->ops->gc(call->core, req->zone, &gc, NULL, NULL, &call->err);

	if (ret)
		return ret;
	res.job = gc.job;
	return control_reply(call, &res.base);
}

static void put_sum(Nexus__Control__V1__GcSum *msg, const struct control_gc_sum *sum)
{
	nexus__control__v1__gc_sum__init(msg);
	msg->objects = sum->objects;
	msg->bytes = sum->bytes;
}

static int answer(struct control_call *call, struct control_gc *gc, const struct msg_list *list)
{
	Nexus__Control__V1__GcStatusResponse res = NEXUS__CONTROL__V1__GC_STATUS_RESPONSE__INIT;
	Nexus__Control__V1__GcSum listed, leaked, missing, foreign, young, deleted;

	put_sum(&listed, &gc->listed);
	put_sum(&leaked, &gc->sum[CONTROL_GC_LEAKED]);
	put_sum(&missing, &gc->sum[CONTROL_GC_MISSING]);
	put_sum(&foreign, &gc->sum[CONTROL_GC_FOREIGN]);
	put_sum(&young, &gc->young);
	put_sum(&deleted, &gc->deleted);
	res.run = gc->run;
	res.over = gc->over;
	res.error = (uint32_t)-gc->error;
	res.why = gc->why;
	res.begun = gc->begun;
	res.ended = gc->ended;
	res.listed = &listed;
	res.leaked = &leaked;
	res.missing = &missing;
	res.foreign = &foreign;
	res.young = &young;
	res.deleted = &deleted;
	res.failed = gc->failed;
	res.failed_why = gc->failed_why;
	res.n_objects = list->n;
	res.objects = (Nexus__Control__V1__GcObject **)list->items;
	return control_reply(call, &res.base);
}

static int gc_status(struct control_call *call)
{
	const Nexus__Control__V1__GcStatusRequest *req = call->req;
	struct control_gc gc = { .job = req->job };
	struct msg_list list = { NULL, 0, 0 };
	int ret = call->ops->gc(call->core, req->zone, &gc, collect, &list, &call->err);

	if (!ret)
		ret = answer(call, &gc, &list);
	msg_list_free(&list);
	return ret;
}

const struct rpc_method control_gc_methods[] = {
	CONTROL_METHOD("Start", RPC_METHOD_CHANGES | RPC_METHOD_LONG,
		       &nexus__control__v1__gc_start_request__descriptor, gc, gc_start),
	CONTROL_METHOD("Status", RPC_METHOD_CHANGES | RPC_METHOD_LONG,
		       &nexus__control__v1__gc_status_request__descriptor, gc, gc_status),
	CONTROL_METHODS_END,
};
