// SPDX-License-Identifier: Apache-2.0
/* The control service of quotas. */
#include <errno.h>
#include <stdlib.h>

#include "control_impl.h"

static void fill_msg(Nexus__Control__V1__Quota *msg, const struct control_quota *q)
{
	nexus__control__v1__quota__init(msg);
	msg->kind = (Nexus__Control__V1__QuotaKind)q->kind;
	msg->id = q->id;
	msg->inodes = q->inodes;
	msg->blocks = q->blocks;
	msg->inodes_hard = q->inodes_hard;
	msg->inodes_soft = q->inodes_soft;
	msg->blocks_hard = q->blocks_hard;
	msg->blocks_soft = q->blocks_soft;
	msg->inodes_time = q->inodes_time;
	msg->blocks_time = q->blocks_time;
	msg->inodes_grace = q->inodes_grace;
	msg->blocks_grace = q->blocks_grace;
}

/* Values that are not in the enum come through as they are. */
static int check_kind(struct control_call *call, Nexus__Control__V1__QuotaKind kind)
{
	if (kind <= NEXUS__CONTROL__V1__QUOTA_KIND__QUOTA_KIND_PROJECT)
		return 0;
	return control_err(&call->err, -EINVAL, "there is no kind %u of quotas",
			   (unsigned int)kind);
}

static int collect(void *arg, const struct control_quota *q)
{
	struct msg_page *page = arg;
	Nexus__Control__V1__Quota *msg;

	if (msg_page_full(page))
		return -ECANCELED;
	msg = malloc(sizeof(*msg));
	if (msg)
		fill_msg(msg, q);
	return msg_list_add(&page->list, msg);
}

static int quotas_list(struct control_call *call)
{
	const Nexus__Control__V1__QuotasListRequest *req = call->req;
	Nexus__Control__V1__QuotasListResponse msg =
		NEXUS__CONTROL__V1__QUOTAS_LIST_RESPONSE__INIT;
	struct msg_page page = { { NULL, 0, 0 }, false };
	int ret;

	ret = check_kind(call, req->kind);
	if (ret)
		return ret;
	ret = call->ops->quota_list(call->core, req->zone, req->kind, req->from,
				    collect, &page, &call->err);
	if (!ret || page.more) {
		msg.n_quotas = page.list.n;
		msg.quotas = (Nexus__Control__V1__Quota **)page.list.items;
		msg.more = page.more;
		ret = control_reply(call, &msg.base);
	}
	msg_list_free(&page.list);
	return ret;
}

static int quotas_get(struct control_call *call)
{
	const Nexus__Control__V1__QuotasGetRequest *req = call->req;
	Nexus__Control__V1__QuotasGetResponse msg =
		NEXUS__CONTROL__V1__QUOTAS_GET_RESPONSE__INIT;
	struct control_quota q = { .kind = req->kind, .id = req->id };
	Nexus__Control__V1__Quota quota;
	int ret;

	ret = check_kind(call, req->kind);
	if (!ret)
		ret = call->ops->quota_get(call->core, req->zone, &q, &call->err);
	if (ret)
		return ret;
	fill_msg(&quota, &q);
	msg.quota = &quota;
	return control_reply(call, &msg.base);
}

static int quotas_set(struct control_call *call)
{
	const Nexus__Control__V1__QuotasSetRequest *req = call->req;
	Nexus__Control__V1__QuotasSetResponse msg =
		NEXUS__CONTROL__V1__QUOTAS_SET_RESPONSE__INIT;
	struct control_quota q = { .id = 0 };
	int ret;

	if (!req->quota)
		return control_err(&call->err, -EINVAL,
				   "there is no quota in the request");
	ret = check_kind(call, req->quota->kind);
	if (ret)
		return ret;
	q.kind = req->quota->kind;
	q.id = req->quota->id;
	q.inodes_hard = req->quota->inodes_hard;
	q.inodes_soft = req->quota->inodes_soft;
	q.blocks_hard = req->quota->blocks_hard;
	q.blocks_soft = req->quota->blocks_soft;
	ret = call->ops->quota_set(call->core, req->zone, &q, &call->err);
	return ret ? ret : control_reply(call, &msg.base);
}

static int quotas_grace(struct control_call *call)
{
	const Nexus__Control__V1__QuotasGraceRequest *req = call->req;
	Nexus__Control__V1__QuotasGraceResponse msg =
		NEXUS__CONTROL__V1__QUOTAS_GRACE_RESPONSE__INIT;
	int ret;

	ret = check_kind(call, req->kind);
	if (!ret)
		ret = call->ops->quota_grace(call->core, req->zone, req->kind,
					     req->inodes, req->blocks, &call->err);
	return ret ? ret : control_reply(call, &msg.base);
}

const struct rpc_method control_quota_methods[] = {
	CONTROL_METHOD("List", RPC_METHOD_LONG,
		       &nexus__control__v1__quotas_list_request__descriptor,
		       quota_list, quotas_list),
	CONTROL_METHOD("Get", RPC_METHOD_LONG,
		       &nexus__control__v1__quotas_get_request__descriptor,
		       quota_get, quotas_get),
	CONTROL_METHOD("Set", RPC_METHOD_CHANGES | RPC_METHOD_LONG,
		       &nexus__control__v1__quotas_set_request__descriptor,
		       quota_set, quotas_set),
	CONTROL_METHOD("Grace", RPC_METHOD_CHANGES | RPC_METHOD_LONG,
		       &nexus__control__v1__quotas_grace_request__descriptor,
		       quota_grace, quotas_grace),
	CONTROL_METHODS_END,
};
