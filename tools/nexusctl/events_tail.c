// SPDX-License-Identifier: Apache-2.0
/* nexusctl events tail and replay: streams of events, as lines or as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "events.h"
#include "offline.h"

#define WAIT_MS	60000u	/* for the next helper, unless --wait says something else */

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

/* Of those of other helpers nobody knows the numbers they would have had here. */
static int print_missed(const struct ctl *ctl, uint64_t seq, uint64_t missed)
{
	struct json json = { .out = stdout };

	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_string(&json, "kind", "missed");
		json_number(&json, "seq", seq);
		if (missed)
			json_number(&json, "missed", missed);
		else
			json_string(&json, "missed", NULL);
		json_close(&json, '}');
		return EXIT_OK;
	}
	fflush(stdout);
	if (missed)
		fprintf(stderr, "nexusctl: %" PRIu64 " events of other helpers are missing here, at %" PRIu64 "\n",
			missed, seq);
	else
		fprintf(stderr, "nexusctl: events of other helpers may be missing here, at %" PRIu64 "\n", seq);
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
	if (e->origin)
		json_number(&json, "origin", e->origin);
	else
		json_string(&json, "origin", NULL);
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

/**
 * struct feed - a stream under way
 * @next: where to go on, if it breaks: behind all that was told; 0: nothing was
 * @tail: what was asked for, if it is to go on by itself; else NULL
 * @wait_ms: how long that is tried
 * @deadline: of a try, 0: the stream is whole; @why: what broke it
 * @said: that it is waited for
 * @done: all that was asked for has come
 */
struct feed {
	struct ctl *ctl;
	const char *service, *method;
	const ProtobufCMessage *req;
	const ProtobufCMessageDescriptor *desc;
	int (*print)(struct feed *f, const ProtobufCMessage *msg);
	uint64_t next;
	Nexus__EventBus__V1__TailRequest *tail;
	unsigned int wait_ms;
	int64_t deadline;
	char why[256];
	bool said, done;
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
	case NEXUS__EVENT_BUS__V1__TAIL_RESPONSE__KIND__MISSED:
		f->next = msg->last + 1;
		return print_missed(f->ctl, msg->first, msg->missed);
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
	if (f->tail && f->tail->count && !--f->tail->count)
		f->done = true;
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

static int broken(const struct feed *f, int err)
{
	/* Of one that was refused nothing is to go on with. */
	if (!f->next || (err == -EOPNOTSUPP && !f->deadline))
		return events_failed(f->ctl, f->service, err);
	fprintf(stderr, "nexusctl: %s (to go on: --from %" PRIu64 ")\n",
		f->deadline ? f->why : nexus_error(f->ctl->client), f->next);
	return EXIT_FAILED;
}

/* ---- going on by itself: after a swap, or with the next helper ------------------------ */

#define TRY_MS	200

static int64_t mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* What passes when the next build or the next helper is there; before, it has no bus. */
static bool passes(const struct feed *f, int err)
{
	switch (err) {
	case -ESHUTDOWN:
	case -EAGAIN:
	case -ECONNRESET:
	case -ECONNREFUSED:
	case -ENOTCONN:
	case -EPIPE:
	case -EHOSTDOWN:
	case -EHOSTUNREACH:
		return true;
	case -ENOENT:
	case -EACCES:
	case -EOPNOTSUPP:
		return f->deadline != 0;
	}
	return false;
}

/* Whether to begin the stream anew.  The first try is at once: a swap is over by then. */
static bool again(struct feed *f, int err)
{
	const struct timespec pause = { 0, TRY_MS * 1000000L };

	if (!f->tail || !f->next || !passes(f, err))
		return false;
	if (!f->deadline) {
		snprintf(f->why, sizeof(f->why), "%s", nexus_error(f->ctl->client));
		f->deadline = mono_ms() + f->wait_ms;
		f->said = false;
		return f->wait_ms != 0;
	}
	if (mono_ms() >= f->deadline)
		return false;
	if (!f->said)
		fprintf(stderr, "nexusctl: %s; it is waited for, to go on from event %" PRIu64 "\n",
			f->why, f->next);
	f->said = true;
	nanosleep(&pause, NULL);
	return true;
}

/* ---- messages ------------------------------------------------------------------------- */

static int begin_feed(struct feed *f)
{
	size_t len = 0;
	void *buf;
	int ret = ctl_open(f->ctl);

	if (ret)
		return ret;
	if (f->tail && f->next)
		f->tail->from = f->next;
	buf = call_pack(f->req, &len);
	if (!buf)
		return -ENOMEM;
	ret = nexus_feed_begin(f->ctl->client, f->service, f->method, buf, len);
	free(buf);
	return ret;
}

static int print_message(struct feed *f, void *message, size_t len)
{
	ProtobufCMessage *msg = protobuf_c_message_unpack(f->desc, NULL, len, message);
	int ret;

	free(message);
	if (!msg)
		return events_failed(f->ctl, f->service, -EBADMSG);
	f->deadline = 0;
	ret = f->print(f, msg);
	protobuf_c_message_free_unpacked(msg, NULL);
	if (ret == EXIT_OK && fflush(stdout)) {
		fprintf(stderr, "nexusctl: standard output: %s\n", strerror(errno));
		ret = EXIT_FAILED;
	}
	return ret;
}

static int stream(struct feed *f)
{
	bool begun = false;
	size_t len = 0;
	void *message;
	int ret;

	/* It may be long until something happens. */
	nexus_set_timeout(f->ctl->client, 0);
	if (ctl_connect(f->ctl))
		return EXIT_FAILED;
	for (;;) {
		ret = begun ? nexus_feed_next(f->ctl->client, &message, &len) : begin_feed(f);
		if (ret < 0) {
			if (f->done)
				return EXIT_OK;
			if (!again(f, ret))
				return broken(f, ret);
			begun = false;
			continue;
		}
		if (begun && !ret)
			return EXIT_OK;
		ret = begun ? print_message(f, message, len) : EXIT_OK;
		if (ret != EXIT_OK)
			return ret;
		begun = true;
	}
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
	struct feed f = {
		.ctl = ctl, .service = BUS, .method = "Tail", .req = &req.base,
		.desc = &nexus__event_bus__v1__tail_response__descriptor, .print = print_event,
		.tail = follow ? &req : NULL, .wait_ms = WAIT_MS,
	};
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
	if (ctl->wait)
		offline_wait_ms(ctl->wait, &f.wait_ms);
	return stream(&f);
}

int cmd_events_tail(struct ctl *ctl)
{
	return tail(ctl, true);
}

int cmd_events_replay(struct ctl *ctl)
{
	Nexus__Eventlog__V1__ReplayRequest req = NEXUS__EVENTLOG__V1__REPLAY_REQUEST__INIT;
	struct feed f = {
		.ctl = ctl, .service = LOG, .method = "Replay", .req = &req.base,
		.desc = &nexus__eventlog__v1__replay_response__descriptor, .print = print_record,
	};
	int ret;

	if (ctl->wait)
		return events_usage("--wait is only for", "events tail");
	if (!ctl->raw)
		return tail(ctl, false);
	if (ctl->n_filters)
		return events_usage("records as they are have no paths: only one of --raw and", "--filter");
	ret = parse_range(ctl, &req.from, &req.count);
	if (ret != EXIT_OK)
		return ret;
	return stream(&f);
}
