// SPDX-License-Identifier: Apache-2.0
/* The helper's start and its profile as C functions. */
#include <errno.h>
#include <stdlib.h>

#include <nexus/boot.h>

#include "message.h"

NEXUS_EXPORT int nexus_boot(struct nexus_client *client, nexus_boot_fn fn, void *arg)
{
	Nexus__Control__V1__SessionBootRequest req =
		NEXUS__CONTROL__V1__SESSION_BOOT_REQUEST__INIT;
	Nexus__Control__V1__SessionBootResponse *res;
	struct nexus_boot boot = { .profile = NULL };
	struct nexus_boot_step *steps;
	size_t i;
	int err;

	err = client_message(client, SERVICE("Session"), "Boot", &req.base,
			     &nexus__control__v1__session_boot_response__descriptor, &res);
	if (err)
		return err;
	steps = calloc(res->n_steps + 1, sizeof(*steps));
	if (!steps) {
		err = client_fail(client, -ENOMEM, "out of memory");
		goto out;
	}
	for (i = 0; i < res->n_steps; i++) {
		const Nexus__Control__V1__BootStep *msg = res->steps[i];

		steps[i] = (struct nexus_boot_step){
			.stage = (enum nexus_boot_stage)msg->stage,
			.tier = (enum nexus_boot_tier)msg->tier,
			.outcome = (enum nexus_boot_outcome)msg->outcome,
			.name = msg->name,
			.reason = msg->reason,
			.at_us = msg->at_us,
			.took_us = msg->took_us,
		};
	}
	boot.profile = res->profile;
	boot.running = res->running;
	boot.took_us = res->took_us;
	boot.steps = steps;
	boot.n_steps = res->n_steps;
	err = fn(arg, &boot);
	free(steps);
out:
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return err;
}

NEXUS_EXPORT int nexus_profile(struct nexus_client *client, const char *name, nexus_profile_fn fn,
			       void *arg)
{
	Nexus__Control__V1__SessionProfileRequest req =
		NEXUS__CONTROL__V1__SESSION_PROFILE_REQUEST__INIT;
	Nexus__Control__V1__SessionProfileResponse *res;
	struct nexus_profile profile = { .name = NULL };
	struct nexus_brick *list;
	size_t i;
	int err;

	if (name)
		req.name = (char *)name;
	err = client_message(client, SERVICE("Session"), "Profile", &req.base,
			     &nexus__control__v1__session_profile_response__descriptor, &res);
	if (err)
		return err;
	list = calloc(res->n_bricks + 1, sizeof(*list));
	if (!list) {
		err = client_fail(client, -ENOMEM, "out of memory");
		goto out;
	}
	for (i = 0; i < res->n_bricks; i++) {
		const Nexus__Control__V1__Brick *msg = res->bricks[i];

		list[i] = (struct nexus_brick){
			.name = msg->name,
			.what = msg->what,
			.on = msg->on,
			.why = (enum nexus_brick_why)msg->why,
			.by = msg->by,
			.missing = msg->missing,
			.services = msg->services,
			.absent = msg->absent,
		};
	}
	profile.name = res->profile;
	profile.bricks = list;
	profile.n_bricks = res->n_bricks;
	err = fn(arg, &profile);
	free(list);
out:
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return err;
}
