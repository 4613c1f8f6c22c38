// SPDX-License-Identifier: Apache-2.0
/* What the event bus shares with other helpers, for events state and for status. */
#include <inttypes.h>

#include "events.h"

static const char *how_name(Nexus__EventBus__V1__Sharing how)
{
	switch (how) {
	case NEXUS__EVENT_BUS__V1__SHARING__ALONE:
		return "alone";
	case NEXUS__EVENT_BUS__V1__SHARING__BEGINS:
		return "begins";
	case NEXUS__EVENT_BUS__V1__SHARING__SHARED:
		return "shared";
	case NEXUS__EVENT_BUS__V1__SHARING__CUT_OFF:
		return "cut off";
	default:
		return "unknown";
	}
}

void events_sharing_json(struct json *json, const Nexus__EventBus__V1__StateResponse *bus)
{
	json_open(json, "sharing", '{');
	json_string(json, "how", how_name(bus->sharing));
	json_number(json, "since", bus->sharing_since);
	json_number(json, "origins", bus->origins);
	json_number(json, "sent", bus->sent);
	json_number(json, "unsent", bus->unsent);
	json_number(json, "too_large", bus->too_large);
	json_number(json, "received", bus->received);
	json_number(json, "repeated", bus->repeated);
	json_number(json, "malformed", bus->malformed);
	json_number(json, "missed", bus->missed);
	json_number(json, "gaps", bus->gaps);
	json_close(json, '}');
}

/* @over: what it is shared over */
static void how_text(const Nexus__EventBus__V1__StateResponse *bus, const char *over)
{
	char when[32];

	local_time(when, bus->sharing_since);
	switch (bus->sharing) {
	case NEXUS__EVENT_BUS__V1__SHARING__ALONE:
		printf("in process");
		break;
	case NEXUS__EVENT_BUS__V1__SHARING__BEGINS:
		printf("in process since %s, begins to share", when);
		break;
	case NEXUS__EVENT_BUS__V1__SHARING__SHARED:
		printf("shared over %s since %s", over, when);
		break;
	default:
		printf("in process since %s, the server of the cache store is lost", when);
		break;
	}
}

void events_sharing_text(const Nexus__EventBus__V1__StateResponse *bus)
{
	printf("sharing:   ");
	how_text(bus, "the cache store");
	printf("\n");
	if (bus->sharing == NEXUS__EVENT_BUS__V1__SHARING__ALONE)
		return;
	printf("others:    %" PRIu32 ", %" PRIu64 " events from them, %" PRIu64 " missed (%" PRIu64 " gaps)\n",
	       bus->origins, bus->received, bus->missed, bus->gaps);
	printf("to them:   %" PRIu64 ", %" PRIu64 " not sent, %" PRIu64 " of these too large\n",
	       bus->sent, bus->unsent, bus->too_large);
	if (bus->malformed || bus->repeated)
		printf("dropped:   %" PRIu64 " messages without sense, %" PRIu64 " events that came again\n",
		       bus->malformed, bus->repeated);
}

void events_status(struct ctl *ctl, struct json *json, const char *cachestore)
{
	Nexus__EventBus__V1__StateRequest req = NEXUS__EVENT_BUS__V1__STATE_REQUEST__INIT;
	ProtobufCMessage *answer = NULL;

	/* Not loaded, or ending: there is nothing to say. */
	if (call_service(ctl, BUS, "State", &req.base,
			 &nexus__event_bus__v1__state_response__descriptor, &answer)) {
		if (json)
			json_string(json, "event_bus", NULL);
		return;
	}
	if (json) {
		json_open(json, "event_bus", '{');
		events_sharing_json(json, (const void *)answer);
		json_close(json, '}');
	} else {
		printf("event bus:   ");
		how_text((const void *)answer, cachestore);
		printf("\n");
	}
	protobuf_c_message_free_unpacked(answer, NULL);
}
