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
static int check_kind(struct rpc_reply *reply, Nexus__Control__V1__QuotaKind kind)
{
	if (kind <= NEXUS__CONTROL__V1__QUOTA_KIND__QUOTA_KIND_PROJECT)
		return 0;
	return rpc_reply_error(reply, -EINVAL, "there is no kind %u of quotas",
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

static int quotas_list(void *ctx, const struct rpc_peer *peer,
		       const uint8_t *payload, size_t len,
		       struct rpc_reply *reply)
{
	Nexus__Control__V1__QuotasListResponse msg =
		NEXUS__CONTROL__V1__QUOTAS_LIST_RESPONSE__INIT;
	Nexus__Control__V1__QuotasListRequest *req;
	struct msg_page page = { { NULL, 0, 0 }, false };
	struct control_err err = { "" };
	struct control *c = ctx;
	int ret;

	(void)peer;
	if (!c->ops->quota_list)
		return control_no_core(reply);
	ret = control_unpack(&nexus__control__v1__quotas_list_request__descriptor,
			     payload, len, reply, &req);
	if (ret)
		return ret;
	ret = control_check_text(reply, "the zone", req->zone);
	if (!ret)
		ret = check_kind(reply, req->kind);
	if (ret)
		goto out;
	ret = c->ops->quota_list(c->ctx, req->zone, req->kind, req->from, collect,
				 &page, &err);
	if (ret && !page.more) {
		control_core_error(reply, ret, &err);
	} else {
		msg.n_quotas = page.list.n;
		msg.quotas = (Nexus__Control__V1__Quota **)page.list.items;
		msg.more = page.more;
		ret = control_pack_reply(reply, &msg.base);
	}
out:
	msg_list_free(&page.list);
	protobuf_c_message_free_unpacked(&req->base, NULL);
	return ret;
}

static int quotas_get(void *ctx, const struct rpc_peer *peer,
		      const uint8_t *payload, size_t len,
		      struct rpc_reply *reply)
{
	Nexus__Control__V1__QuotasGetResponse msg =
		NEXUS__CONTROL__V1__QUOTAS_GET_RESPONSE__INIT;
	Nexus__Control__V1__QuotasGetRequest *req;
	Nexus__Control__V1__Quota quota;
	struct control_quota q = { .id = 0 };
	struct control_err err = { "" };
	struct control *c = ctx;
	int ret;

	(void)peer;
	if (!c->ops->quota_get)
		return control_no_core(reply);
	ret = control_unpack(&nexus__control__v1__quotas_get_request__descriptor,
			     payload, len, reply, &req);
	if (ret)
		return ret;
	ret = control_check_text(reply, "the zone", req->zone);
	if (!ret)
		ret = check_kind(reply, req->kind);
	if (ret)
		goto out;
	q.kind = req->kind;
	q.id = req->id;
	ret = c->ops->quota_get(c->ctx, req->zone, &q, &err);
	if (ret) {
		control_core_error(reply, ret, &err);
	} else {
		fill_msg(&quota, &q);
		msg.quota = &quota;
		ret = control_pack_reply(reply, &msg.base);
	}
out:
	protobuf_c_message_free_unpacked(&req->base, NULL);
	return ret;
}

static int quotas_set(void *ctx, const struct rpc_peer *peer,
		      const uint8_t *payload, size_t len,
		      struct rpc_reply *reply)
{
	Nexus__Control__V1__QuotasSetResponse msg =
		NEXUS__CONTROL__V1__QUOTAS_SET_RESPONSE__INIT;
	Nexus__Control__V1__QuotasSetRequest *req;
	struct control_quota q = { .id = 0 };
	struct control_err err = { "" };
	struct control *c = ctx;
	int ret;

	(void)peer;
	if (!c->ops->quota_set)
		return control_no_core(reply);
	ret = control_unpack(&nexus__control__v1__quotas_set_request__descriptor,
			     payload, len, reply, &req);
	if (ret)
		return ret;
	ret = control_check_text(reply, "the zone", req->zone);
	if (ret)
		goto out;
	if (!req->quota) {
		ret = rpc_reply_error(reply, -EINVAL, "there is no quota in the request");
		goto out;
	}
	ret = check_kind(reply, req->quota->kind);
	if (ret)
		goto out;
	q.kind = req->quota->kind;
	q.id = req->quota->id;
	q.inodes_hard = req->quota->inodes_hard;
	q.inodes_soft = req->quota->inodes_soft;
	q.blocks_hard = req->quota->blocks_hard;
	q.blocks_soft = req->quota->blocks_soft;
	ret = c->ops->quota_set(c->ctx, req->zone, &q, &err);
	if (ret)
		control_core_error(reply, ret, &err);
	else
		ret = control_pack_reply(reply, &msg.base);
out:
	protobuf_c_message_free_unpacked(&req->base, NULL);
	return ret;
}

static int quotas_grace(void *ctx, const struct rpc_peer *peer,
			const uint8_t *payload, size_t len,
			struct rpc_reply *reply)
{
	Nexus__Control__V1__QuotasGraceResponse msg =
		NEXUS__CONTROL__V1__QUOTAS_GRACE_RESPONSE__INIT;
	Nexus__Control__V1__QuotasGraceRequest *req;
	struct control_err err = { "" };
	struct control *c = ctx;
	int ret;

	(void)peer;
	if (!c->ops->quota_grace)
		return control_no_core(reply);
	ret = control_unpack(&nexus__control__v1__quotas_grace_request__descriptor,
			     payload, len, reply, &req);
	if (ret)
		return ret;
	ret = control_check_text(reply, "the zone", req->zone);
	if (!ret)
		ret = check_kind(reply, req->kind);
	if (ret)
		goto out;
	ret = c->ops->quota_grace(c->ctx, req->zone, req->kind, req->inodes,
				  req->blocks, &err);
	if (ret)
		control_core_error(reply, ret, &err);
	else
		ret = control_pack_reply(reply, &msg.base);
out:
	protobuf_c_message_free_unpacked(&req->base, NULL);
	return ret;
}

const struct rpc_method control_quota_methods[] = {
	{ "List", quotas_list, RPC_METHOD_LONG },
	{ "Get", quotas_get, RPC_METHOD_LONG },
	{ "Set", quotas_set, RPC_METHOD_CHANGES | RPC_METHOD_LONG },
	{ "Grace", quotas_grace, RPC_METHOD_CHANGES | RPC_METHOD_LONG },
	{ NULL, NULL, 0 },
};
