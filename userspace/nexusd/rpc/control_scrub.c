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

static int answer(struct control_call *call, const struct control_scrub *scrub)
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
	return control_reply(call, &msg.base);
}

static int scrub(struct control_call *call, enum control_scrub_do what)
{
	const Nexus__Control__V1__ScrubRequest *req = call->req;
	struct control_scrub status = { .running = false };
	int ret;

	ret = call->ops->scrub(call->core, req->zone, what, &status, &call->err);
	return ret ? ret : answer(call, &status);
}

static int scrub_status(struct control_call *call)
{
	return scrub(call, CONTROL_SCRUB_LOOK);
}

static int scrub_start(struct control_call *call)
{
	return scrub(call, CONTROL_SCRUB_START);
}

static int scrub_stop(struct control_call *call)
{
	return scrub(call, CONTROL_SCRUB_STOP);
}

const struct rpc_method control_scrub_methods[] = {
	CONTROL_METHOD("Status", 0, &nexus__control__v1__scrub_request__descriptor,
		       scrub, scrub_status),
	CONTROL_METHOD("Start", RPC_METHOD_CHANGES,
		       &nexus__control__v1__scrub_request__descriptor,
		       scrub, scrub_start),
	CONTROL_METHOD("Stop", RPC_METHOD_CHANGES,
		       &nexus__control__v1__scrub_request__descriptor,
		       scrub, scrub_stop),
	CONTROL_METHODS_END,
};
