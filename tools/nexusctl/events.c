// SPDX-License-Identifier: Apache-2.0
/* nexusctl events: what services eventlog and event_bus know. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nexus/services/event_bus.h>

#include "nexus-proto.h"
#include "nexusctl.h"

#define LOG	"nexus.eventlog.v1.Log"
#define BUS	"nexus.event_bus.v1.Bus"

static const char *const types[] = {
	"write", "delete", "rename", "metadata", "dir_create", "dir_delete", "conflict", "copy",
	"mount", "unmount",
};

static int usage(const char *what, const char *arg)
{
	fprintf(stderr, "nexusctl: %s %s; see: nexusctl help\n", what, arg);
	return EXIT_USAGE;
}

static int no_memory(void)
{
	fputs("nexusctl: out of memory\n", stderr);
	return EXIT_FAILED;
}

/* ---- calls ------------------------------------------------------------------------ */

static int not_loaded(const char *service)
{
	const char *name = !strcmp(service, LOG) ? "eventlog" : "event_bus";

	fprintf(stderr, "nexusctl: service %s is not loaded; see: nexusctl service load %s\n", name,
		name);
	return EXIT_FAILED;
}

static int call_failed(const struct ctl *ctl, const char *service, int err)
{
	return err == -EOPNOTSUPP ? not_loaded(service) : ctl_failed(ctl);
}

static void *packed(const ProtobufCMessage *req, size_t *len)
{
	uint8_t *buf = malloc(protobuf_c_message_get_packed_size(req) + 1);

	if (buf)
		*len = protobuf_c_message_pack(req, buf);
	return buf;
}

/* *@answer is to be freed.  An errno, of which nothing is said yet. */
static int call(struct ctl *ctl, const char *service, const char *method,
		const ProtobufCMessage *req, const ProtobufCMessageDescriptor *desc,
		ProtobufCMessage **answer)
{
	size_t len, reply_len;
	void *reply, *buf = packed(req, &len);
	int ret = buf ? nexus_call(ctl->client, service, method, buf, len, &reply, &reply_len) :
			-ENOMEM;

	free(buf);
	if (ret)
		return ret;
	*answer = protobuf_c_message_unpack(desc, NULL, reply_len, reply);
	free(reply);
	return *answer ? 0 : -EBADMSG;
}

static int say_failed(const struct ctl *ctl, const char *service, int err)
{
	if (err == -ENOMEM)
		return no_memory();
	if (err == -EBADMSG) {
		fputs("nexusctl: the answer is not understood\n", stderr);
		return EXIT_FAILED;
	}
	return call_failed(ctl, service, err);
}

/* ---- publish ---------------------------------------------------------------------- */

static bool parse_type(const char *text, uint32_t *type)
{
	uint64_t n;

	for (n = 0; n < sizeof(types) / sizeof(types[0]); n++)
		if (!strcmp(text, types[n]))
			break;
	if (n == sizeof(types) / sizeof(types[0]) && !parse_number(text, 0, 63, &n))
		return false;
	*type = (uint32_t)n;
	return true;
}

static ProtobufCBinaryData bytes(const char *text)
{
	return (ProtobufCBinaryData){ strlen(text), (uint8_t *)text };
}

/* What it carries: a word, or standard input, whose buffer is to be freed. */
static int take_data(const char *data, ProtobufCBinaryData *out, char **buf)
{
	if (!data)
		return EXIT_OK;
	if (strcmp(data, "-")) {
		*out = bytes(data);
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
	ret = call(ctl, BUS, "Publish", &req.base,
		   &nexus__event_bus__v1__publish_response__descriptor, &answer);
	if (ret)
		return say_failed(ctl, BUS, ret);
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
		return usage("a type of event is write, delete, rename, ... or 0 to 63, not", ctl->args[1]);
	event.zone = bytes(ctl->args[0]);
	event.path = bytes(ctl->args[2]);
	if (ctl->n_args > 3)
		event.new_path = bytes(ctl->args[3]);
	ret = take_data(ctl->data, &event.data, &buf);
	if (ret == EXIT_OK)
		ret = ctl_connect(ctl);
	if (ret == EXIT_OK)
		ret = publish(ctl, &event);
	free(buf);
	return ret;
}

/* ---- what comes, as text or JSON ---------------------------------------------------- */

/* Names of files are any bytes: none of them moves the cursor. */
static void put_name(const ProtobufCBinaryData *name)
{
	size_t i;

	for (i = 0; i < name->len; i++) {
		if (name->data[i] < 0x20 || name->data[i] == 0x7f || name->data[i] == '\\')
			printf("\\%03o", name->data[i]);
		else
			putchar(name->data[i]);
	}
}

static bool json_name(struct json *json, const char *key, const ProtobufCBinaryData *name)
{
	char *text = strndup(name->len ? (const char *)name->data : "", name->len);

	if (text)
		json_string(json, key, text);
	free(text);
	return text;
}

static bool json_data(struct json *json, const ProtobufCBinaryData *data)
{
	char *text = malloc(data->len / 3 * 4 + 5);

	if (!text)
		return false;
	base64(data->data, data->len, text);
	json_string(json, "base64", text);
	free(text);
	return true;
}

/* Never silent: what is missing is on standard error, or in the JSON. */
static int print_missing(const struct ctl *ctl, const char *kind, uint64_t from, uint64_t to,
			 const char *why)
{
	struct json json = { .out = stdout };

	if (!ctl->json) {
		fflush(stdout);
		fprintf(stderr, "nexusctl: %" PRIu64 " to %" PRIu64 " are %s\n", from, to, why);
		return EXIT_OK;
	}
	json_open(&json, NULL, '{');
	json_string(&json, "kind", kind);
	json_number(&json, "from", from);
	json_number(&json, "to", to);
	json_close(&json, '}');
	return EXIT_OK;
}

static int event_json(const Nexus__EventBus__V1__Event *e)
{
	struct json json = { .out = stdout };
	bool ok;

	json_open(&json, NULL, '{');
	json_string(&json, "kind", "event");
	json_number(&json, "seq", e->seq);
	json_number(&json, "time", e->time);
	if (e->type < sizeof(types) / sizeof(types[0]))
		json_string(&json, "type", types[e->type]);
	else
		json_number(&json, "type", e->type);
	ok = json_name(&json, "zone", &e->zone) && json_name(&json, "path", &e->path);
	if (e->new_path.len)
		ok = ok && json_name(&json, "new_path", &e->new_path);
	else
		json_string(&json, "new_path", NULL);
	json_number(&json, "bytes", e->data.len);
	ok = ok && json_data(&json, &e->data);
	json_close(&json, '}');
	return ok ? EXIT_OK : no_memory();
}

static void event_text(const Nexus__EventBus__V1__Event *e)
{
	char when[32];

	local_time(when, e->time / 1000000000u);
	printf("%" PRIu64 "  %s  ", e->seq, when);
	if (e->type < sizeof(types) / sizeof(types[0]))
		printf("%-10s  ", types[e->type]);
	else
		printf("%-10" PRIu32 "  ", e->type);
	put_name(&e->zone);
	fputs("  ", stdout);
	put_name(&e->path);
	if (e->new_path.len) {
		fputs(" -> ", stdout);
		put_name(&e->new_path);
	}
	if (e->data.len)
		printf("  (%zu bytes)", e->data.len);
	putchar('\n');
}

/* Where to go on, if the stream breaks: behind all that was told. */
struct feed {
	struct ctl *ctl;
	uint64_t next;
};

static int print_event(struct feed *f, const ProtobufCMessage *message)
{
	const Nexus__EventBus__V1__TailResponse *msg = (const void *)message;
	int ret = EXIT_OK;

	switch (msg->kind) {
	case NEXUS__EVENT_BUS__V1__TAIL_RESPONSE__KIND__BEGUN:
		f->next = msg->first;
		return EXIT_OK;
	case NEXUS__EVENT_BUS__V1__TAIL_RESPONSE__KIND__LOST:
		f->next = msg->last + 1;
		return print_missing(f->ctl, "lost", msg->first, msg->last,
				     "lost: they came faster than they were read; they may be in the log, see: nexusctl events replay --from");
	case NEXUS__EVENT_BUS__V1__TAIL_RESPONSE__KIND__GONE:
		f->next = msg->last + 1;
		return print_missing(f->ctl, "gone", msg->first, msg->last, "not in the log any more");
	default:
		break;
	}
	if (!msg->event)
		return EXIT_OK;
	if (f->ctl->json)
		ret = event_json(msg->event);
	else
		event_text(msg->event);
	f->next = msg->event->seq + 1;
	return ret;
}

static int record_json(const Nexus__Eventlog__V1__ReplayResponse *msg, bool whole)
{
	struct json json = { .out = stdout };
	bool ok;

	json_open(&json, NULL, '{');
	json_string(&json, "kind", "record");
	json_number(&json, "seq", msg->seq);
	ok = json_name(&json, "zone", &msg->zone);
	json_number(&json, "bytes", msg->size);
	if (whole)
		ok = ok && json_data(&json, &msg->data);
	else
		json_string(&json, "base64", NULL);
	json_close(&json, '}');
	return ok ? EXIT_OK : no_memory();
}

static int print_record(struct feed *f, const ProtobufCMessage *message)
{
	const Nexus__Eventlog__V1__ReplayResponse *msg = (const void *)message;
	bool whole = msg->kind == NEXUS__EVENTLOG__V1__REPLAY_RESPONSE__KIND__RECORD;

	switch (msg->kind) {
	case NEXUS__EVENTLOG__V1__REPLAY_RESPONSE__KIND__GONE:
		f->next = msg->lost_to + 1;
		return print_missing(f->ctl, "gone", msg->seq, msg->lost_to, "not in the log any more");
	case NEXUS__EVENTLOG__V1__REPLAY_RESPONSE__KIND__DAMAGED:
		f->next = msg->lost_to + 1;
		return print_missing(f->ctl, "damaged", msg->seq, msg->lost_to, "damaged in the log");
	default:
		break;
	}
	f->next = msg->seq + 1;
	if (f->ctl->json)
		return record_json(msg, whole);
	printf("%" PRIu64 "  ", msg->seq);
	put_name(&msg->zone);
	printf("  %" PRIu64 " bytes\n", msg->size);
	return EXIT_OK;
}

/* ---- streams ------------------------------------------------------------------------ */

/* Who waits for events notices by nothing else that nobody wants them any more. */
static void *watch_stdout(void *arg)
{
	struct pollfd p = { .fd = STDOUT_FILENO };

	(void)arg;
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	if (p.revents & (POLLERR | POLLHUP)) {
		kill(getpid(), SIGPIPE);
		_exit(EXIT_FAILED);
	}
	return NULL;
}

static int broken(const struct ctl *ctl, const char *service, const struct feed *f, int err)
{
	/* Of one that was refused nothing is to go on with. */
	if (err == -EOPNOTSUPP || !f->next)
		return call_failed(ctl, service, err);
	fprintf(stderr, "nexusctl: %s (to go on: --from %" PRIu64 ")\n", nexus_error(ctl->client),
		f->next);
	return EXIT_FAILED;
}

static int print_all(struct feed *f, const char *service, const ProtobufCMessageDescriptor *desc,
		     int (*print)(struct feed *f, const ProtobufCMessage *msg))
{
	ProtobufCMessage *msg;
	void *message;
	size_t len;
	int ret;

	for (;;) {
		ret = nexus_feed_next(f->ctl->client, &message, &len);
		if (ret <= 0)
			return ret ? broken(f->ctl, service, f, ret) : EXIT_OK;
		msg = protobuf_c_message_unpack(desc, NULL, len, message);
		free(message);
		if (!msg)
			return say_failed(f->ctl, service, -EBADMSG);
		ret = print(f, msg);
		protobuf_c_message_free_unpacked(msg, NULL);
		if (ret == EXIT_OK && fflush(stdout)) {
			fprintf(stderr, "nexusctl: standard output: %s\n", strerror(errno));
			ret = EXIT_FAILED;
		}
		if (ret != EXIT_OK)
			return ret;
	}
}

static int stream(struct ctl *ctl, const char *service, const char *method,
		  const ProtobufCMessage *req, const ProtobufCMessageDescriptor *desc,
		  int (*print)(struct feed *f, const ProtobufCMessage *msg))
{
	struct feed f = { .ctl = ctl };
	size_t len = 0;
	void *buf;
	int ret;

	/* It may be long until something happens. */
	nexus_set_timeout(ctl->client, 0);
	if (ctl_connect(ctl))
		return EXIT_FAILED;
	buf = packed(req, &len);
	if (!buf)
		return no_memory();
	ret = nexus_feed_begin(ctl->client, service, method, buf, len);
	free(buf);
	return ret ? call_failed(ctl, service, ret) : print_all(&f, service, desc, print);
}

/* --from and --count, as both have them. */
static int parse_range(const struct ctl *ctl, uint64_t *from, uint64_t *count)
{
	if (ctl->from && !parse_number(ctl->from, 1, UINT64_MAX, from))
		return usage("--from: the number of an event, not", ctl->from);
	if (ctl->count && !parse_number(ctl->count, 1, UINT64_MAX, count))
		return usage("--count: a number from 1 on, not", ctl->count);
	return EXIT_OK;
}

static int tail(struct ctl *ctl, bool follow)
{
	Nexus__EventBus__V1__TailRequest req = NEXUS__EVENT_BUS__V1__TAIL_REQUEST__INIT;
	Nexus__EventBus__V1__Pattern pattern[FILTERS_MAX], *patterns[FILTERS_MAX];
	pthread_t watch;
	int ret;
	size_t i;

	ret = parse_range(ctl, &req.from, &req.count);
	if (ret != EXIT_OK)
		return ret;
	for (i = 0; i < ctl->n_filters; i++) {
		pattern[i] = (Nexus__EventBus__V1__Pattern)NEXUS__EVENT_BUS__V1__PATTERN__INIT;
		pattern[i].text = bytes(ctl->filters[i]);
		if (strpbrk(ctl->filters[i], "*?[\\"))
			pattern[i].kind = NEXUS__EVENT_BUS__V1__PATTERN__KIND__GLOB;
		patterns[i] = &pattern[i];
	}
	req.patterns = patterns;
	req.n_patterns = ctl->n_filters;
	req.follow = follow;
	/* One that ends by itself is not ended by who has read enough. */
	if (follow && !ctl->count && pthread_create(&watch, NULL, watch_stdout, NULL))
		return no_memory();
	return stream(ctl, BUS, "Tail", &req.base, &nexus__event_bus__v1__tail_response__descriptor,
		      print_event);
}

int cmd_events_tail(struct ctl *ctl)
{
	return tail(ctl, true);
}

int cmd_events_replay(struct ctl *ctl)
{
	Nexus__Eventlog__V1__ReplayRequest req = NEXUS__EVENTLOG__V1__REPLAY_REQUEST__INIT;
	int ret;

	if (!ctl->raw)
		return tail(ctl, false);
	if (ctl->n_filters)
		return usage("records as they are have no paths: only one of --raw and", "--filter");
	ret = parse_range(ctl, &req.from, &req.count);
	if (ret != EXIT_OK)
		return ret;
	return stream(ctl, LOG, "Replay", &req.base,
		      &nexus__eventlog__v1__replay_response__descriptor, print_record);
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
	json_close(&json, '}');
	if (bus) {
		json_open(&json, "bus", '{');
		json_number(&json, "subscribers", bus->subscribers);
		json_number(&json, "published", bus->published);
		json_number(&json, "deliveries", bus->deliveries);
		json_number(&json, "lost", bus->lost);
		json_number(&json, "overflows", bus->overflows);
		json_number(&json, "last", bus->last);
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
}

int cmd_events_state(struct ctl *ctl)
{
	Nexus__Eventlog__V1__StateRequest log_req = NEXUS__EVENTLOG__V1__STATE_REQUEST__INIT;
	Nexus__EventBus__V1__StateRequest bus_req = NEXUS__EVENT_BUS__V1__STATE_REQUEST__INIT;
	ProtobufCMessage *log, *bus = NULL;
	int ret;

	if (ctl_connect(ctl))
		return EXIT_FAILED;
	ret = call(ctl, LOG, "State", &log_req.base,
		   &nexus__eventlog__v1__state_response__descriptor, &log);
	if (ret)
		return say_failed(ctl, LOG, ret);
	ret = call(ctl, BUS, "State", &bus_req.base,
		   &nexus__event_bus__v1__state_response__descriptor, &bus);
	/* The log can do without. */
	if (ret == -EOPNOTSUPP)
		ret = 0;
	if (ret)
		ret = say_failed(ctl, BUS, ret);
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
		return usage("the number of an event is wanted, not", ctl->args[0]);
	if (ctl_connect(ctl))
		return EXIT_FAILED;
	ret = call(ctl, LOG, "Truncate", &req.base,
		   &nexus__eventlog__v1__truncate_response__descriptor, &answer);
	if (ret)
		return say_failed(ctl, LOG, ret);
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
