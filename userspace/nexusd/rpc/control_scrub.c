// SPDX-License-Identifier: Apache-2.0
/* The control service of the regular check. */
#include "control_impl.h"

static void put_run(Nexus__Control__V1__ScrubRun *msg, const struct control_scrub_run *run)
{
	nexus__control__v1__scrub_run__init(msg);
	msg->begun = run->begun;
	msg->ended = run->ended;
	msg->blocks = run->blocks;
	msg->unchecked = run->unchecked;
	msg->problems = run->problems;
}

static int answer(const struct control_scrub *scrub, struct rpc_reply *reply)
{
	Nexus__Control__V1__ScrubResponse msg =
		NEXUS__CONTROL__V1__SCRUB_RESPONSE__INIT;
	Nexus__Control__V1__ScrubRun run, last;

	put_run(&run, &scrub->run);
	put_run(&last, &scrub->last);
	msg.running = scrub->running;
	msg.run = &run;
	msg.last = &last;
	msg.due = scrub->due;
	return control_pack_reply(reply, &msg.base);
}

static int scrub(void *ctx, const uint8_t *payload, size_t len,
		 struct rpc_reply *reply, enum control_scrub_do what)
{
	struct control_scrub status = { .running = false };
	Nexus__Control__V1__ScrubRequest *req;
	struct control_err err = { "" };
	struct control *c = ctx;
	int ret;

	if (!c->ops->scrub)
		return control_no_core(reply);
	ret = control_unpack(&nexus__control__v1__scrub_request__descriptor,
			     payload, len, reply, &req);
	if (ret)
		return ret;
	ret = control_check_text(reply, "the zone", req->zone);
	if (ret)
		goto out;
	ret = c->ops->scrub(c->ctx, req->zone, what, &status, &err);
	if (ret)
		control_core_error(reply, ret, &err);
	else
		ret = answer(&status, reply);
out:
	protobuf_c_message_free_unpacked(&req->base, NULL);
	return ret;
}

static int scrub_status(void *ctx, const struct rpc_peer *peer,
			const uint8_t *payload, size_t len,
			struct rpc_reply *reply)
{
	(void)peer;
	return scrub(ctx, payload, len, reply, CONTROL_SCRUB_LOOK);
}

static int scrub_start(void *ctx, const struct rpc_peer *peer,
		       const uint8_t *payload, size_t len,
		       struct rpc_reply *reply)
{
	(void)peer;
	return scrub(ctx, payload, len, reply, CONTROL_SCRUB_START);
}

static int scrub_stop(void *ctx, const struct rpc_peer *peer,
		      const uint8_t *payload, size_t len,
		      struct rpc_reply *reply)
{
	(void)peer;
	return scrub(ctx, payload, len, reply, CONTROL_SCRUB_STOP);
}

const struct rpc_method control_scrub_methods[] = {
	{ "Status", scrub_status, 0 },
	{ "Start", scrub_start, RPC_METHOD_CHANGES },
	{ "Stop", scrub_stop, RPC_METHOD_CHANGES },
	{ NULL, NULL, 0 },
};
