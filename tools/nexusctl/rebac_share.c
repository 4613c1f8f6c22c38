// SPDX-License-Identifier: Apache-2.0
/* Whether service permissions shares its answers with other helpers, for status. */
#include "rebac.h"

#include "call.h"
#include "nexus-proto.h"

#define M(name)	Nexus__Permissions__V1__##name

static const char *how_name(M(Sharing) how)
{
	switch (how) {
	case NEXUS__PERMISSIONS__V1__SHARING__SHARING_ALONE:
		return "alone";
	case NEXUS__PERMISSIONS__V1__SHARING__SHARING_SHARED:
		return "shared";
	case NEXUS__PERMISSIONS__V1__SHARING__SHARING_CUT_OFF:
		return "cut off";
	default:
		return "unknown";
	}
}

/* @over: what they are shared over */
static void how_text(const M(StateResponse) *s, const char *over)
{
	char when[32];

	local_time(when, s->sharing_since);
	switch (s->sharing) {
	case NEXUS__PERMISSIONS__V1__SHARING__SHARING_ALONE:
		printf("answers from the record store\n");
		break;
	case NEXUS__PERMISSIONS__V1__SHARING__SHARING_SHARED:
		printf("answers shared over %s since %s\n", over, when);
		break;
	default:
		printf("answers from the record store since %s, the server of the cache store is lost\n",
		       when);
		break;
	}
}

void rebac_status(struct ctl *ctl, struct json *json, const char *cachestore)
{
	M(StateRequest) req = NEXUS__PERMISSIONS__V1__STATE_REQUEST__INIT;
	const M(StateResponse) *s;
	ProtobufCMessage *answer = NULL;

	/* Not loaded, ending, or not for this caller: there is nothing to say. */
	if (call_service(ctl, "nexus.permissions.v1.Permissions", "State", &req.base,
			 &nexus__permissions__v1__state_response__descriptor, &answer)) {
		if (json)
			json_string(json, "permissions", NULL);
		return;
	}
	s = (const void *)answer;
	if (json) {
		json_open(json, "permissions", '{');
		json_string(json, "how", how_name(s->sharing));
		json_number(json, "since", s->sharing_since);
		json_close(json, '}');
	} else {
		printf("permissions: ");
		how_text(s, cachestore);
	}
	protobuf_c_message_free_unpacked(answer, NULL);
}
