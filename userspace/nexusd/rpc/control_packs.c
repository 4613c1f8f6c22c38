// SPDX-License-Identifier: Apache-2.0
/* The control service of packs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control_impl.h"

static int collect_pack(void *arg, const struct control_pack *pack)
{
	struct msg_page *page = arg;

	if (msg_page_full(page))
		return -ECANCELED;
	return msg_list_add(&page->list, msg_pack(pack));
}

static int packs_list(void *ctx, const struct rpc_peer *peer,
		      const uint8_t *payload, size_t len,
		      struct rpc_reply *reply)
{
	Nexus__Control__V1__PacksListResponse msg =
		NEXUS__CONTROL__V1__PACKS_LIST_RESPONSE__INIT;
	Nexus__Control__V1__PacksListRequest *req;
	struct msg_page page = { { NULL, 0, 0 }, false };
	struct control_err err = { "" };
	struct control *c = ctx;
	int ret;

	(void)peer;
	if (!c->ops->pack_list)
		return control_no_core(reply);
	ret = control_unpack(&nexus__control__v1__packs_list_request__descriptor,
			     payload, len, reply, &req);
	if (ret)
		return ret;
	ret = control_check_text(reply, "the zone", req->zone);
	if (ret)
		goto out;
	ret = c->ops->pack_list(c->ctx, req->zone, req->after, collect_pack,
				&page, &err);
	if (ret && !page.more) {
		control_core_error(reply, ret, &err);
	} else {
		msg.n_packs = page.list.n;
		msg.packs = (Nexus__Control__V1__Pack **)page.list.items;
		msg.more = page.more;
		ret = control_pack_reply(reply, &msg.base);
	}
out:
	msg_list_free(&page.list);
	protobuf_c_message_free_unpacked(&req->base, NULL);
	return ret;
}

static int collect_problem(void *arg, const struct control_pack_problem *problem)
{
	return msg_list_add(arg, msg_problem(problem));
}

static int answer_verify(const struct control_verify *v,
			 const struct msg_list *list, struct rpc_reply *reply)
{
	Nexus__Control__V1__PacksVerifyResponse msg =
		NEXUS__CONTROL__V1__PACKS_VERIFY_RESPONSE__INIT;

	msg.n_problems = list->n;
	msg.problems = (Nexus__Control__V1__PackProblem **)list->items;
	msg.cursor.data = (uint8_t *)v->cursor;
	msg.cursor.len = v->cursor_len;
	msg.packs = v->seen_packs;
	msg.extents = v->seen_extents;
	msg.blocks = v->seen_blocks;
	msg.unchecked = v->unchecked;
	msg.away = v->away;
	return control_pack_reply(reply, &msg.base);
}

static int packs_verify(void *ctx, const struct rpc_peer *peer,
			const uint8_t *payload, size_t len,
			struct rpc_reply *reply)
{
	Nexus__Control__V1__PacksVerifyRequest *req;
	struct msg_list list = { NULL, 0, 0 };
	struct control_verify v = { .npacks = 0 };
	struct control_err err = { "" };
	struct control *c = ctx;
	int ret;

	(void)peer;
	if (!c->ops->pack_verify)
		return control_no_core(reply);
	ret = control_unpack(&nexus__control__v1__packs_verify_request__descriptor,
			     payload, len, reply, &req);
	if (ret)
		return ret;
	ret = control_check_text(reply, "the zone", req->zone);
	if (ret)
		goto out;
	if (req->cursor.len > sizeof(v.cursor)) {
		ret = rpc_reply_error(reply, -EINVAL,
				      "the cursor is none of this helper's");
		goto out;
	}
	v.packs = req->packs;
	v.npacks = req->n_packs;
	if (req->cursor.len)
		memcpy(v.cursor, req->cursor.data, req->cursor.len);
	v.cursor_len = req->cursor.len;
	ret = c->ops->pack_verify(c->ctx, req->zone, &v, collect_problem, &list,
				  &err);
	if (ret)
		control_core_error(reply, ret, &err);
	else
		ret = answer_verify(&v, &list, reply);
out:
	msg_list_free(&list);
	protobuf_c_message_free_unpacked(&req->base, NULL);
	return ret;
}

static int packs_compact(void *ctx, const struct rpc_peer *peer,
			 const uint8_t *payload, size_t len,
			 struct rpc_reply *reply)
{
	Nexus__Control__V1__PacksCompactResponse msg =
		NEXUS__CONTROL__V1__PACKS_COMPACT_RESPONSE__INIT;
	Nexus__Control__V1__PacksCompactRequest *req;
	struct control_compact cc = { .npacks = 0 };
	struct control_err err = { "" };
	struct control *c = ctx;
	int ret;

	(void)peer;
	if (!c->ops->pack_compact)
		return control_no_core(reply);
	ret = control_unpack(&nexus__control__v1__packs_compact_request__descriptor,
			     payload, len, reply, &req);
	if (ret)
		return ret;
	ret = control_check_text(reply, "the zone", req->zone);
	if (ret)
		goto out;
	cc.packs = req->packs;
	cc.npacks = req->n_packs;
	cc.all = req->all;
	cc.after = req->after;
	ret = c->ops->pack_compact(c->ctx, req->zone, &cc, &err);
	msg.after = cc.after;
	msg.packs = cc.done_packs;
	msg.blocks = cc.blocks;
	msg.skipped = cc.skipped;
	if (ret)
		control_core_error(reply, ret, &err);
	else
		ret = control_pack_reply(reply, &msg.base);
out:
	protobuf_c_message_free_unpacked(&req->base, NULL);
	return ret;
}

static int packs_evict(void *ctx, const struct rpc_peer *peer,
		       const uint8_t *payload, size_t len,
		       struct rpc_reply *reply)
{
	Nexus__Control__V1__PacksEvictResponse msg =
		NEXUS__CONTROL__V1__PACKS_EVICT_RESPONSE__INIT;
	Nexus__Control__V1__PacksEvictRequest *req;
	struct control_err err = { "" };
	struct control *c = ctx;
	int ret;

	(void)peer;
	if (!c->ops->pack_evict)
		return control_no_core(reply);
	ret = control_unpack(&nexus__control__v1__packs_evict_request__descriptor,
			     payload, len, reply, &req);
	if (ret)
		return ret;
	ret = control_check_text(reply, "the zone", req->zone);
	if (ret)
		goto out;
	ret = c->ops->pack_evict(c->ctx, req->zone, req->pack, &msg.blocks, &err);
	if (ret)
		control_core_error(reply, ret, &err);
	else
		ret = control_pack_reply(reply, &msg.base);
out:
	protobuf_c_message_free_unpacked(&req->base, NULL);
	return ret;
}

const struct rpc_method control_pack_methods[] = {
	{ "List", packs_list, 0 },
	{ "Verify", packs_verify, RPC_METHOD_CHANGES | RPC_METHOD_LONG },
	{ "Compact", packs_compact, RPC_METHOD_CHANGES | RPC_METHOD_LONG },
	{ "Evict", packs_evict, RPC_METHOD_CHANGES | RPC_METHOD_LONG },
	{ NULL, NULL, 0 },
};
