// SPDX-License-Identifier: Apache-2.0
/* The control service of the regular check as C functions. */
#include "message.h"

static void take_run(const Nexus__Control__V1__ScrubRun *msg, struct nexus_scrub_run *run)
{
	*run = (struct nexus_scrub_run){ .begun = 0 };
	if (!msg)
		return;
	run->begun = msg->begun;
	run->ended = msg->ended;
	run->blocks = msg->blocks;
	run->unchecked = msg->unchecked;
	run->problems = msg->problems;
}

static int scrub(struct nexus_client *client, const char *method, const char *zone,
		 struct nexus_scrub *scrub)
{
	Nexus__Control__V1__ScrubRequest req =
		NEXUS__CONTROL__V1__SCRUB_REQUEST__INIT;
	Nexus__Control__V1__ScrubResponse *res;
	int err;

	req.zone = (char *)zone;
	err = client_message(client, SERVICE("Scrub"), method, &req.base,
			     &nexus__control__v1__scrub_response__descriptor, &res);
	if (err)
		return err;
	scrub->running = res->running;
	take_run(res->run, &scrub->run);
	take_run(res->last, &scrub->last);
	scrub->due = res->due;
	protobuf_c_message_free_unpacked(&res->base, NULL);
	return 0;
}

NEXUS_EXPORT int nexus_scrub_status(struct nexus_client *client, const char *zone,
				    struct nexus_scrub *status)
{
	return scrub(client, "Status", zone, status);
}

NEXUS_EXPORT int nexus_scrub_start(struct nexus_client *client, const char *zone,
				   struct nexus_scrub *status)
{
	return scrub(client, "Start", zone, status);
}

NEXUS_EXPORT int nexus_scrub_stop(struct nexus_client *client, const char *zone,
				  struct nexus_scrub *status)
{
	return scrub(client, "Stop", zone, status);
}
