// SPDX-License-Identifier: Apache-2.0
/* nexusctl mount: object stores that are mounted. */
#include <inttypes.h>

#include "nexus-proto.h"
#include "call.h"

#define M(name)	Nexus__Mount__V1__##name

static const struct call_target target = { "nexus.mount.v1.Mounts", "mount" };

static const char *state_name(unsigned int state)
{
	static const char *const names[] = { "?", "attached", "waiting", "failed", "gone" };

	return names[state < sizeof(names) / sizeof(names[0]) ? state : 0];
}

/* What @method answers says nothing more. */
static int change(struct ctl *ctl, const char *method, const ProtobufCMessage *req,
		  const ProtobufCMessageDescriptor *desc)
{
	struct json json = { .out = stdout };
	void *answer = call(ctl, &target, method, req, desc);

	if (!answer)
		return EXIT_FAILED;
	release(answer);
	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_close(&json, '}');
	}
	return EXIT_OK;
}

int cmd_mount_attach(struct ctl *ctl)
{
	M(AttachRequest) req = NEXUS__MOUNT__V1__ATTACH_REQUEST__INIT;

	req.source = ctl->args[0];
	req.directory = ctl->args[1];
	if (ctl->n_args > 2)
		req.options = ctl->args[2];
	return change(ctl, "Attach", &req.base, &nexus__mount__v1__attach_response__descriptor);
}

int cmd_mount_detach(struct ctl *ctl)
{
	M(DetachRequest) req = NEXUS__MOUNT__V1__DETACH_REQUEST__INIT;

	req.directory = ctl->args[0];
	req.lazy = ctl->lazy;
	return change(ctl, "Detach", &req.base, &nexus__mount__v1__detach_response__descriptor);
}

static void mount_json(struct json *json, const M(Mount) *m)
{
	json_open(json, NULL, '{');
	json_string(json, "source", m->source);
	json_string(json, "directory", m->directory);
	json_string(json, "options", m->options);
	json_string(json, "state", state_name(m->state));
	json_bool(json, "saved", m->saved);
	json_number(json, "since_ms", (uint64_t)m->since_ms);
	json_string(json, "reason", m->reason);
	json_close(json, '}');
}

static void mount_text(const M(Mount) *m)
{
	char since[32] = "-";

	if (m->since_ms)
		local_time(since, (uint64_t)m->since_ms / 1000);
	printf("%-8s %-5s %-19s %s on %s%s%s\n", state_name(m->state), m->saved ? "saved" : "-", since,
	       m->source, m->directory, m->options[0] ? " " : "", m->options);
	if (m->reason[0])
		printf("         %s\n", m->reason);
}

int cmd_mount_list(struct ctl *ctl)
{
	M(ListRequest) req = NEXUS__MOUNT__V1__LIST_REQUEST__INIT;
	M(ListResponse) *resp = call(ctl, &target, "List", &req.base,
				     &nexus__mount__v1__list_response__descriptor);
	struct json json = { .out = stdout };
	size_t i;

	if (!resp)
		return EXIT_FAILED;
	if (ctl->json)
		json_open(&json, NULL, '[');
	for (i = 0; i < resp->n_mounts; i++) {
		if (ctl->json)
			mount_json(&json, resp->mounts[i]);
		else
			mount_text(resp->mounts[i]);
	}
	if (ctl->json)
		json_close(&json, ']');
	else if (!resp->n_mounts)
		puts("no mounts");
	release(resp);
	return EXIT_OK;
}

int cmd_mount_save(struct ctl *ctl)
{
	M(SaveRequest) req = NEXUS__MOUNT__V1__SAVE_REQUEST__INIT;
	M(SaveResponse) *resp = call(ctl, &target, "Save", &req.base,
				     &nexus__mount__v1__save_response__descriptor);
	struct json json = { .out = stdout };

	if (!resp)
		return EXIT_FAILED;
	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_number(&json, "saved", resp->count);
		json_close(&json, '}');
	} else {
		printf("%" PRIu32 " saved\n", resp->count);
	}
	release(resp);
	return EXIT_OK;
}
