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

static int packs_list(struct control_call *call)
{
	const Nexus__Control__V1__PacksListRequest *req = call->req;
	Nexus__Control__V1__PacksListResponse msg =
		NEXUS__CONTROL__V1__PACKS_LIST_RESPONSE__INIT;
	struct msg_page page = { { NULL, 0, 0 }, false };
	int ret;

	ret = call->ops->pack_list(call->core, req->zone, req->after, collect_pack,
				   &page, &call->err);
	if (!ret || page.more) {
		msg.n_packs = page.list.n;
		msg.packs = (Nexus__Control__V1__Pack **)page.list.items;
		msg.more = page.more;
		ret = control_reply(call, &msg.base);
	}
	msg_list_free(&page.list);
	return ret;
}

static int collect_problem(void *arg, const struct control_pack_problem *problem)
{
	return msg_list_add(arg, msg_problem(problem));
}

static int answer_verify(struct control_call *call, const struct control_verify *v,
			 const struct msg_list *list)
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
	return control_reply(call, &msg.base);
}

static int packs_verify(struct control_call *call)
{
	const Nexus__Control__V1__PacksVerifyRequest *req = call->req;
	struct control_verify v = { .npacks = 0 };
	struct msg_list list = { NULL, 0, 0 };
	int ret;

	if (req->cursor.len > sizeof(v.cursor))
		return control_err(&call->err, -EINVAL,
				   "the cursor is none of this helper's");
	v.packs = req->packs;
	v.npacks = req->n_packs;
	if (req->cursor.len)
		memcpy(v.cursor, req->cursor.data, req->cursor.len);
	v.cursor_len = req->cursor.len;
	ret = call->ops->pack_verify(call->core, req->zone, &v, collect_problem,
				     &list, &call->err);
	if (!ret)
		ret = answer_verify(call, &v, &list);
	msg_list_free(&list);
	return ret;
}

static int packs_compact(struct control_call *call)
{
	const Nexus__Control__V1__PacksCompactRequest *req = call->req;
	Nexus__Control__V1__PacksCompactResponse msg =
		NEXUS__CONTROL__V1__PACKS_COMPACT_RESPONSE__INIT;
	struct control_compact cc = {
		.packs = req->packs,
		.npacks = req->n_packs,
		.all = req->all,
		.after = req->after,
	};
	int ret;

	ret = call->ops->pack_compact(call->core, req->zone, &cc, &call->err);
	if (ret)
		return ret;
	msg.after = cc.after;
	msg.packs = cc.done_packs;
	msg.blocks = cc.blocks;
	msg.skipped = cc.skipped;
	return control_reply(call, &msg.base);
}

static int packs_evict(struct control_call *call)
{
	const Nexus__Control__V1__PacksEvictRequest *req = call->req;
	Nexus__Control__V1__PacksEvictResponse msg =
		NEXUS__CONTROL__V1__PACKS_EVICT_RESPONSE__INIT;
	int ret;

	ret = call->ops->pack_evict(call->core, req->zone, req->pack, &msg.blocks,
				    &call->err);
	return ret ? ret : control_reply(call, &msg.base);
}

const struct rpc_method control_pack_methods[] = {
	CONTROL_METHOD("List", 0, &nexus__control__v1__packs_list_request__descriptor,
		       pack_list, packs_list),
	CONTROL_METHOD("Verify", RPC_METHOD_CHANGES | RPC_METHOD_LONG,
		       &nexus__control__v1__packs_verify_request__descriptor,
		       pack_verify, packs_verify),
	CONTROL_METHOD("Compact", RPC_METHOD_CHANGES | RPC_METHOD_LONG,
		       &nexus__control__v1__packs_compact_request__descriptor,
		       pack_compact, packs_compact),
	CONTROL_METHOD("Evict", RPC_METHOD_CHANGES | RPC_METHOD_LONG,
		       &nexus__control__v1__packs_evict_request__descriptor,
		       pack_evict, packs_evict),
	CONTROL_METHODS_END,
};
