/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the control services. */
#ifndef NEXUSD_RPC_CONTROL_IMPL_H
#define NEXUSD_RPC_CONTROL_IMPL_H

#include <stddef.h>

#include "control_msg.h"
#include "rpc.h"

/**
 * struct control_call - one call of a method, decoded
 * @ops: the core's, of which the method's own is there
 * @core: their first argument
 * @caller: who calls
 * @req: the request, its strings valid UTF-8; NULL where the method wants none
 * @reply: for control_reply(), or the error
 * @err: the core's line; it belongs to the error that the handler returns
 */
struct control_call {
	const struct control_ops *ops;
	void *core;
	struct control_caller caller;
	const void *req;
	struct rpc_reply *reply;
	struct control_err err;
};

/** struct control_method - what control_handle() does for a method */
struct control_method {
	const ProtobufCMessageDescriptor *request;	/* NULL: nothing is looked at */
	size_t op;					/* offset in struct control_ops */
	int (*handler)(struct control_call *call);	/* 0 or a negative errno */
};

/** control_handle() - the rpc_handler_fn of every control method */
int control_handle(void *ctx, const void *data, const struct rpc_peer *peer,
		   const uint8_t *payload, size_t len, struct rpc_reply *reply);

/**
 * CONTROL_METHOD() - a line of a table of methods
 * @name: of the method
 * @what: RPC_METHOD_*
 * @desc: of the request, or NULL
 * @member: of struct control_ops; without it the method answers EOPNOTSUPP
 * @fn: the handler
 */
#define CONTROL_METHOD(name, what, desc, member, fn)			\
	{ name, control_handle, what,					\
	  &(const struct control_method){				\
		desc, offsetof(struct control_ops, member), fn } }

#define CONTROL_METHODS_END	{ NULL, NULL, 0, NULL }

/** control_reply() - encode the answer; 0 or a negative errno, the reply then set */
int control_reply(struct control_call *call, const ProtobufCMessage *msg);

extern const struct rpc_method control_pack_methods[];
extern const struct rpc_method control_scrub_methods[];
extern const struct rpc_method control_upload_methods[];
extern const struct rpc_method control_gc_methods[];
extern const struct rpc_method control_bucket_methods[];
extern const struct rpc_method control_quota_methods[];
extern const struct rpc_method control_service_methods[];

/* Of control_boot.c, in the table of Session. */
int session_boot(struct control_call *call);
int session_profile(struct control_call *call);

#endif /* NEXUSD_RPC_CONTROL_IMPL_H */
