// SPDX-License-Identifier: Apache-2.0
/* nexusctl events: what services eventlog and event_bus know. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"

const char *const event_types[EVENT_TYPES] = {
	"write", "delete", "rename", "metadata", "dir_create", "dir_delete", "conflict", "copy",
	"mount", "unmount",
};

int events_usage(const char *what, const char *arg)
{
	fprintf(stderr, "nexusctl: %s %s; see: nexusctl help\n", what, arg);
	return EXIT_USAGE;
}

/* ---- calls ------------------------------------------------------------------------ */

int events_failed(const struct ctl *ctl, const char *service, int err)
{
	return call_failed(ctl, !strcmp(service, LOG) ? "eventlog" : "event_bus", err);
}

/* ---- publish ---------------------------------------------------------------------- */

static bool parse_type(const char *text, uint32_t *type)
{
	uint64_t n;

	for (n = 0; n < EVENT_TYPES; n++)
		if (!strcmp(text, event_types[n]))
			break;
	if (n == EVENT_TYPES && !parse_number(text, 0, 63, &n))
		return false;
	*type = (uint32_t)n;
	return true;
}

ProtobufCBinaryData bytes_of(const char *text)
{
	return (ProtobufCBinaryData){ strlen(text), (uint8_t *)text };
}

/* What it carries: a word, or standard input, whose buffer is to be freed. */
static int take_data(const char *data, ProtobufCBinaryData *out, char **buf)
{
	if (!data)
		return EXIT_OK;
	if (strcmp(data, "-")) {
		*out = bytes_of(data);
		return EXIT_OK;
	}
	/* One byte more than any can have is enough to see. */
	*buf = malloc(NEXUS_EVENT_DATA_MAX + 1);
	if (!*buf)
		return no_memory();
	out->data = (uint8_t *)*buf;
	out->len = fread(*buf, 1, NEXUS_EVENT_DATA_MAX + 1, stdin);
	if (!ferror(stdin))
		return EXIT_OK;
	fprintf(stderr, "nexusctl: standard input: %s\n", strerror(errno));
	return EXIT_FAILED;
}

static int publish(struct ctl *ctl, Nexus__EventBus__V1__Event *event)
{
	Nexus__EventBus__V1__PublishRequest req = NEXUS__EVENT_BUS__V1__PUBLISH_REQUEST__INIT;
	Nexus__EventBus__V1__PublishResponse *msg;
	struct json json = { .out = stdout };
	ProtobufCMessage *answer;
	int ret;

	req.events = &event;
	req.n_events = 1;
	req.durable = ctl->durable;
	ret = call_service(ctl, BUS, "Publish", &req.base,
		   &nexus__event_bus__v1__publish_response__descriptor, &answer);
	if (ret)
		return events_failed(ctl, BUS, ret);
	msg = (Nexus__EventBus__V1__PublishResponse *)answer;
	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_number(&json, "seq", msg->first);
		json_number(&json, "deliveries", msg->deliveries);
		json_close(&json, '}');
	} else {
		printf("event %" PRIu64 "\n", msg->first);
	}
	protobuf_c_message_free_unpacked(answer, NULL);
	return EXIT_OK;
}

int cmd_events_publish(struct ctl *ctl)
{
	Nexus__EventBus__V1__Event event = NEXUS__EVENT_BUS__V1__EVENT__INIT;
	char *buf = NULL;
	int ret;

	if (!parse_type(ctl->args[1], &event.type))
		return events_usage("a type of event is write, delete, rename, ... or 0 to 63, not", ctl->args[1]);
	event.zone = bytes_of(ctl->args[0]);
	event.path = bytes_of(ctl->args[2]);
	if (ctl->n_args > 3)
		event.new_path = bytes_of(ctl->args[3]);
	ret = take_data(ctl->data, &event.data, &buf);
	if (ret == EXIT_OK)
		ret = ctl_connect(ctl);
	if (ret == EXIT_OK)
		ret = publish(ctl, &event);
	free(buf);
	return ret;
}

/* ---- state and truncate -------------------------------------------------------------- */

static void state_json(const Nexus__Eventlog__V1__StateResponse *log,
		       const Nexus__EventBus__V1__StateResponse *bus)
{
	struct json json = { .out = stdout };

	json_open(&json, NULL, '{');
	json_open(&json, "log", '{');
	json_number(&json, "first", log->first);
	json_number(&json, "last", log->last);
	json_number(&json, "next", log->next);
	json_number(&json, "synced", log->synced);
	json_number(&json, "bytes", log->bytes);
	json_number(&json, "files", log->files);
	json_number(&json, "cut", log->cut);
	json_number(&json, "damaged", log->damaged);
	json_bool(&json, "failed", log->failed);
	json_number(&json, "readers", log->readers);
	json_number(&json, "max_bytes", log->max_bytes);
	json_number(&json, "max_age_ms", log->max_age_ms);
	json_number(&json, "removed_files", log->removed_files);
	json_number(&json, "removed_bytes", log->removed_bytes);
	json_number(&json, "removed_before", log->removed_before);
	json_bool(&json, "removing_failed", log->removing_failed);
	json_close(&json, '}');
	if (bus) {
		json_open(&json, "bus", '{');
		json_number(&json, "subscribers", bus->subscribers);
		json_number(&json, "published", bus->published);
		json_number(&json, "deliveries", bus->deliveries);
		json_number(&json, "lost", bus->lost);
		json_number(&json, "overflows", bus->overflows);
		json_number(&json, "last", bus->last);
		events_sharing_json(&json, bus);
		json_close(&json, '}');
	} else {
		json_string(&json, "bus", NULL);
	}
	json_close(&json, '}');
}

static void state_text(const Nexus__Eventlog__V1__StateResponse *log,
		       const Nexus__EventBus__V1__StateResponse *bus)
{
	if (log->last < log->first || !log->last)
		printf("log:       empty; the next number is %" PRIu64 " or higher\n", log->next);
	else
		printf("log:       %" PRIu64 " to %" PRIu64 ", on disk up to %" PRIu64 "\n", log->first,
		       log->last, log->synced);
	printf("files:     %" PRIu64 ", %" PRIu64 " bytes\n", log->files, log->bytes);
	if (log->removed_files)
		printf("removed:   %" PRIu64 " files, %" PRIu64 " bytes, all before %" PRIu64 "\n",
		       log->removed_files, log->removed_bytes, log->removed_before);
	if (log->removing_failed)
		printf("failed:    what is too old or too much cannot be removed; see the log\n");
	if (log->cut)
		printf("cut off:   %" PRIu64 " bytes that a crash had left\n", log->cut);
	if (log->damaged)
		printf("damaged:   %" PRIu64 " files\n", log->damaged);
	if (log->failed)
		printf("failed:    the disk; nothing can be appended until eventlog is loaded anew\n");
	if (!bus) {
		printf("bus:       not loaded\n");
		return;
	}
	printf("bus:       %" PRIu64 " published, up to %" PRIu64 "\n", bus->published, bus->last);
	printf("delivered: %" PRIu64 " to %" PRIu64 " subscribers, %" PRIu64
	       " lost by slow ones\n", bus->deliveries, bus->subscribers, bus->lost);
	events_sharing_text(bus);
}

int cmd_events_state(struct ctl *ctl)
{
	Nexus__Eventlog__V1__StateRequest log_req = NEXUS__EVENTLOG__V1__STATE_REQUEST__INIT;
	Nexus__EventBus__V1__StateRequest bus_req = NEXUS__EVENT_BUS__V1__STATE_REQUEST__INIT;
	ProtobufCMessage *log, *bus = NULL;
	int ret;

	if (ctl_connect(ctl))
		return EXIT_FAILED;
	ret = call_service(ctl, LOG, "State", &log_req.base,
		   &nexus__eventlog__v1__state_response__descriptor, &log);
	if (ret)
		return events_failed(ctl, LOG, ret);
	ret = call_service(ctl, BUS, "State", &bus_req.base,
		   &nexus__event_bus__v1__state_response__descriptor, &bus);
	/* The log can do without. */
	if (ret == -EOPNOTSUPP)
		ret = 0;
	if (ret)
		ret = events_failed(ctl, BUS, ret);
	else if (ctl->json)
		state_json((const void *)log, (const void *)bus);
	else
		state_text((const void *)log, (const void *)bus);
	protobuf_c_message_free_unpacked(log, NULL);
	if (bus)
		protobuf_c_message_free_unpacked(bus, NULL);
	return ret ? EXIT_FAILED : EXIT_OK;
}

int cmd_events_truncate(struct ctl *ctl)
{
	Nexus__Eventlog__V1__TruncateRequest req = NEXUS__EVENTLOG__V1__TRUNCATE_REQUEST__INIT;
	struct json json = { .out = stdout };
	ProtobufCMessage *answer;
	uint64_t files;
	int ret;

	if (!parse_number(ctl->args[0], 1, UINT64_MAX, &req.before))
		return events_usage("the number of an event is wanted, not", ctl->args[0]);
	if (ctl_connect(ctl))
		return EXIT_FAILED;
	ret = call_service(ctl, LOG, "Truncate", &req.base,
		   &nexus__eventlog__v1__truncate_response__descriptor, &answer);
	if (ret)
		return events_failed(ctl, LOG, ret);
	files = ((Nexus__Eventlog__V1__TruncateResponse *)answer)->files;
	protobuf_c_message_free_unpacked(answer, NULL);
	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_number(&json, "before", req.before);
		json_number(&json, "files", files);
		json_close(&json, '}');
	} else {
		printf("all before event %" PRIu64 " is gone; %" PRIu64 " files removed\n", req.before,
		       files);
	}
	return EXIT_OK;
}
