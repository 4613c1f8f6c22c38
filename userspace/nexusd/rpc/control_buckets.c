// SPDX-License-Identifier: Apache-2.0
/* The control service of buckets that are mounted. */
#include "control_impl.h"

static int refresh(struct control_call *call)
{
	const Nexus__Control__V1__BucketsRefreshRequest *req = call->req;
	Nexus__Control__V1__BucketsRefreshResponse res =
		NEXUS__CONTROL__V1__BUCKETS_REFRESH_RESPONSE__INIT;
	struct control_refresh r = { .inode = req->inode };
	int ret = call->ops->refresh(call->core, req->zone, &r, &call->err);

	if (ret)
		return ret;
	res.entries = r.entries;
	res.added = r.added;
	res.changed = r.changed;
	res.removed = r.removed;
	res.hidden = r.hidden;
	res.hidden_all = r.hidden_all;
	return control_reply(call, &res.base);
}

const struct rpc_method control_bucket_methods[] = {
	CONTROL_METHOD("Refresh", RPC_METHOD_CHANGES | RPC_METHOD_LONG,
		       &nexus__control__v1__buckets_refresh_request__descriptor,
		       refresh, refresh),
	CONTROL_METHODS_END,
};
