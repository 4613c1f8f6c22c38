// SPDX-License-Identifier: Apache-2.0
/* The control service of quotas as C functions. */
#include <stdbool.h>
#include <stdint.h>
#include <errno.h>

#include "message.h"

static int give_quota(const Nexus__Control__V1__Quota *msg, nexus_quota_fn fn,
		      void *arg)
{
	const struct nexus_quota quota = {
		.kind = (enum nexus_quota_kind)msg->kind,
		.id = msg->id,
		.inodes = msg->inodes,
		.blocks = msg->blocks,
		.inodes_hard = msg->inodes_hard,
		.inodes_soft = msg->inodes_soft,
		.blocks_hard = msg->blocks_hard,
		.blocks_soft = msg->blocks_soft,
		.inodes_time = msg->inodes_time,
		.blocks_time = msg->blocks_time,
		.inodes_grace = msg->inodes_grace,
		.blocks_grace = msg->blocks_grace,
	};

	return fn(arg, &quota);
}

NEXUS_EXPORT int nexus_quota_list(struct nexus_client *client, const char *zone,
				  enum nexus_quota_kind kind, nexus_quota_fn fn,
				  void *arg)
{
	Nexus__Control__V1__QuotasListRequest req =
		NEXUS__CONTROL__V1__QUOTAS_LIST_REQUEST__INIT;
	Nexus__Control__V1__QuotasListResponse *res;
	bool more = true;
	size_t i;
	int err = 0;

	req.zone = (char *)zone;
	req.kind = (Nexus__Control__V1__QuotaKind)kind;
	while (more && !err) {
		err = client_message(client, SERVICE("Quotas"), "List", &req.base,
				     &nexus__control__v1__quotas_list_response__descriptor,
				     &res);
		if (err)
			return err;
		more = res->more && res->n_quotas;
		for (i = 0; i < res->n_quotas && !err; i++) {
			err = give_quota(res->quotas[i], fn, arg);
			more = more && res->quotas[i]->id != UINT32_MAX;
			req.from = res->quotas[i]->id + 1;
		}
		protobuf_c_message_free_unpacked(&res->base, NULL);
	}
	return err;
}

NEXUS_EXPORT int nexus_quota_get(struct nexus_client *client, const char *zone,
				 enum nexus_quota_kind kind, uint32_t id,
				 nexus_quota_fn fn, void *arg)
{
	Nexus__Control__V1__QuotasGetRequest req =
		NEXUS__CONTROL__V1__QUOTAS_GET_REQUEST__INIT;
	Nexus__Control__V1__QuotasGetResponse *res;
	int err;

	req.zone = (char *)zone;
	req.kind = (Nexus__Control__V1__QuotaKind)kind;
	req.id = id;
	err = client_message(client, SERVICE("Quotas"), "Get", &req.base,
			     &nexus__control__v1__quotas_get_response__descriptor,
			     &res);
	if (err)
		return err;
	if (res->quota)
		err = give_quota(res->quota, fn, arg);
	else
		err = client_fail(client, -EPROTO, "the helper's answer has no quota");
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return err;
}

NEXUS_EXPORT int nexus_quota_set(struct nexus_client *client, const char *zone,
				 const struct nexus_quota *quota)
{
	Nexus__Control__V1__QuotasSetRequest req =
		NEXUS__CONTROL__V1__QUOTAS_SET_REQUEST__INIT;
	Nexus__Control__V1__Quota msg = NEXUS__CONTROL__V1__QUOTA__INIT;
	Nexus__Control__V1__QuotasSetResponse *res;
	int err;

	msg.kind = (Nexus__Control__V1__QuotaKind)quota->kind;
	msg.id = quota->id;
	msg.inodes_hard = quota->inodes_hard;
	msg.inodes_soft = quota->inodes_soft;
	msg.blocks_hard = quota->blocks_hard;
	msg.blocks_soft = quota->blocks_soft;
	req.zone = (char *)zone;
	req.quota = &msg;
	err = client_message(client, SERVICE("Quotas"), "Set", &req.base,
			     &nexus__control__v1__quotas_set_response__descriptor,
			     &res);
	if (!err)
		protobuf_c_message_free_unpacked(&res->base, NULL);
	return err;
}

NEXUS_EXPORT int nexus_quota_grace(struct nexus_client *client, const char *zone,
				   enum nexus_quota_kind kind, uint64_t inodes,
				   uint64_t blocks)
{
	Nexus__Control__V1__QuotasGraceRequest req =
		NEXUS__CONTROL__V1__QUOTAS_GRACE_REQUEST__INIT;
	Nexus__Control__V1__QuotasGraceResponse *res;
	int err;

	req.zone = (char *)zone;
	req.kind = (Nexus__Control__V1__QuotaKind)kind;
	req.inodes = inodes;
	req.blocks = blocks;
	err = client_message(client, SERVICE("Quotas"), "Grace", &req.base,
			     &nexus__control__v1__quotas_grace_response__descriptor,
			     &res);
	if (!err)
		protobuf_c_message_free_unpacked(&res->base, NULL);
	return err;
}
