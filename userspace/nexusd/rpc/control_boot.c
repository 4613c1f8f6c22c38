// SPDX-License-Identifier: Apache-2.0
/* The start of the helper and its profile, of the control service of sessions. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control_impl.h"

/* A text behind a message, in the memory of both; *@at moves on. */
static char *put_text(char **at, const char *text)
{
	size_t len = strlen(text) + 1;
	char *to = memcpy(*at, text, len);

	*at += len;
	return to;
}

static int collect_step(void *arg, const struct control_boot_step *step)
{
	size_t len = strlen(step->name) + strlen(step->reason) + 2;
	Nexus__Control__V1__BootStep *msg = malloc(sizeof(*msg) + len);
	char *at = (char *)(msg + 1);

	if (!msg)
		return msg_list_add(arg, NULL);
	nexus__control__v1__boot_step__init(msg);
	msg->stage = (Nexus__Control__V1__BootStep__Stage)step->stage;
	msg->tier = (Nexus__Control__V1__BootStep__Tier)step->tier;
	msg->outcome = (Nexus__Control__V1__BootStep__Outcome)step->outcome;
	msg->name = put_text(&at, step->name);
	msg->reason = put_text(&at, step->reason);
	msg->at_us = step->at_us;
	msg->took_us = step->took_us;
	return msg_list_add(arg, msg);
}

int session_boot(struct control_call *call)
{
	Nexus__Control__V1__SessionBootResponse msg =
		NEXUS__CONTROL__V1__SESSION_BOOT_RESPONSE__INIT;
	struct control_boot boot = { .running = false };
	struct msg_list list = { NULL, 0, 0 };
	int ret;

	ret = call->ops->boot(call->core, &boot, collect_step, &list, &call->err);
	if (!ret) {
		msg.profile = boot.profile;
		msg.running = boot.running;
		msg.took_us = boot.took_us;
		msg.n_steps = list.n;
		msg.steps = (Nexus__Control__V1__BootStep **)list.items;
		ret = control_reply(call, &msg.base);
	}
	msg_list_free(&list);
	return ret;
}

static int collect_brick(void *arg, const struct control_brick *brick)
{
	size_t len = strlen(brick->name) + strlen(brick->what) + strlen(brick->by) +
		strlen(brick->services) + strlen(brick->absent) + 5;
	Nexus__Control__V1__Brick *msg = malloc(sizeof(*msg) + len);
	char *at = (char *)(msg + 1);

	if (!msg)
		return msg_list_add(arg, NULL);
	nexus__control__v1__brick__init(msg);
	msg->name = put_text(&at, brick->name);
	msg->what = put_text(&at, brick->what);
	msg->on = brick->on;
	msg->why = (Nexus__Control__V1__Brick__Why)brick->why;
	msg->by = put_text(&at, brick->by);
	msg->missing = brick->missing;
	msg->services = put_text(&at, brick->services);
	msg->absent = put_text(&at, brick->absent);
	return msg_list_add(arg, msg);
}

int session_profile(struct control_call *call)
{
	const Nexus__Control__V1__SessionProfileRequest *req = call->req;
	Nexus__Control__V1__SessionProfileResponse msg =
		NEXUS__CONTROL__V1__SESSION_PROFILE_RESPONSE__INIT;
	char name[CONTROL_NAME_MAX] = "";
	struct msg_list list = { NULL, 0, 0 };
	int ret;

	ret = call->ops->profile(call->core, req->name, name, collect_brick, &list, &call->err);
	if (!ret) {
		msg.profile = name;
		msg.n_bricks = list.n;
		msg.bricks = (Nexus__Control__V1__Brick **)list.items;
		ret = control_reply(call, &msg.base);
	}
	msg_list_free(&list);
	return ret;
}
