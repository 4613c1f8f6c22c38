// SPDX-License-Identifier: Apache-2.0
/* nexusctl events tail and replay: streams of events, as lines or as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "events.h"

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
static int print_missing(const struct ctl *ctl, const char *kind, uint64_t from, uint64_t to)
{
	struct json json = { .out = stdout };

	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_string(&json, "kind", kind);
		json_number(&json, "from", from);
		json_number(&json, "to", to);
		json_close(&json, '}');
		return EXIT_OK;
	}
	fflush(stdout);
	fprintf(stderr, "nexusctl: events %" PRIu64 " to %" PRIu64, from, to);
	if (!strcmp(kind, "lost"))
		fprintf(stderr, " came faster than they were read and are lost here; see: nexusctl events replay --from %"
			PRIu64 "\n", from);
	else if (!strcmp(kind, "damaged"))
		fputs(" are damaged in the log\n", stderr);
	else
		fputs(" are not in the log any more\n", stderr);
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
	if (e->type < EVENT_TYPES)
		json_string(&json, "type", event_types[e->type]);
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
	if (e->type < EVENT_TYPES)
		printf("%-10s  ", event_types[e->type]);
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
		return print_missing(f->ctl, "lost", msg->first, msg->last);
	case NEXUS__EVENT_BUS__V1__TAIL_RESPONSE__KIND__GONE:
		f->next = msg->last + 1;
		return print_missing(f->ctl, "gone", msg->first, msg->last);
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
		return print_missing(f->ctl, "gone", msg->seq, msg->lost_to);
	case NEXUS__EVENTLOG__V1__REPLAY_RESPONSE__KIND__DAMAGED:
		f->next = msg->lost_to + 1;
		return print_missing(f->ctl, "damaged", msg->seq, msg->lost_to);
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
		return events_failed(ctl, service, err);
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
			return events_failed(f->ctl, service, -EBADMSG);
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
	buf = call_pack(req, &len);
	if (!buf)
		return no_memory();
	ret = nexus_feed_begin(ctl->client, service, method, buf, len);
	free(buf);
	return ret ? events_failed(ctl, service, ret) : print_all(&f, service, desc, print);
}

/* --from and --count, as both have them. */
static int parse_range(const struct ctl *ctl, uint64_t *from, uint64_t *count)
{
	if (ctl->from && !parse_number(ctl->from, 1, UINT64_MAX, from))
		return events_usage("--from: the number of an event, not", ctl->from);
	if (ctl->count && !parse_number(ctl->count, 1, UINT64_MAX, count))
		return events_usage("--count: a number from 1 on, not", ctl->count);
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
		pattern[i].text = bytes_of(ctl->filters[i]);
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
		return events_usage("records as they are have no paths: only one of --raw and", "--filter");
	ret = parse_range(ctl, &req.from, &req.count);
	if (ret != EXIT_OK)
		return ret;
	return stream(ctl, LOG, "Replay", &req.base,
		      &nexus__eventlog__v1__replay_response__descriptor, print_record);
}
