/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the control services. */
#ifndef NEXUSD_RPC_CONTROL_IMPL_H
#define NEXUSD_RPC_CONTROL_IMPL_H

#include "control_msg.h"
#include "rpc.h"

/** struct control - context of every handler */
struct control {
	const struct control_ops *ops;
	void *ctx;
};

/** control_unpack() - decode a request into *@out, or set the reply */
int control_unpack(const ProtobufCMessageDescriptor *desc,
		   const uint8_t *payload, size_t len, struct rpc_reply *reply,
		   void *out);

/** control_pack_reply() - encode the answer */
int control_pack_reply(struct rpc_reply *reply, const ProtobufCMessage *msg);

/** control_core_error() - the core's error, with its line if it wrote one */
int control_core_error(struct rpc_reply *reply, int error,
		       const struct control_err *err);

/** control_no_core() - the core does not offer the operation */
int control_no_core(struct rpc_reply *reply);

/** control_check_text() - 0, or the reply says that @what is no UTF-8 */
int control_check_text(struct rpc_reply *reply, const char *what,
		       const char *text);

extern const struct rpc_method control_pack_methods[];
extern const struct rpc_method control_scrub_methods[];
extern const struct rpc_method control_quota_methods[];

#endif /* NEXUSD_RPC_CONTROL_IMPL_H */
