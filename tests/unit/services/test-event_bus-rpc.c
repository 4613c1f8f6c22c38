// SPDX-License-Identifier: Apache-2.0
/* The event bus over the control socket: who gets what, and who is told that something is missing. */
#include "rpc-world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include <nexus/services/event_bus.h>

typedef Nexus__EventBus__V1__TailRequest Request;
typedef Nexus__EventBus__V1__TailResponse Message;
typedef Nexus__EventBus__V1__Event Event;

#define EVENT	NEXUS__EVENT_BUS__V1__TAIL_RESPONSE__KIND__EVENT
#define LOST	NEXUS__EVENT_BUS__V1__TAIL_RESPONSE__KIND__LOST
#define GONE	NEXUS__EVENT_BUS__V1__TAIL_RESPONSE__KIND__GONE
#define BEGUN	NEXUS__EVENT_BUS__V1__TAIL_RESPONSE__KIND__BEGUN

static Request request(uint64_t from, uint64_t events, bool follow)
{
	Request req = NEXUS__EVENT_BUS__V1__TAIL_REQUEST__INIT;

	req.from = from;
	req.count = events;
	req.follow = follow;
	return req;
}

static Message *next(int fd)
{
	struct got_next g;
	Message *msg;

	next_of(fd, &g);
	if (g.what != GOT_MESSAGE)
		fail_msg("no message: code %d %s", g.code, g.text);
	msg = nexus__event_bus__v1__tail_response__unpack(NULL, g.len, g.body);
	free(g.body);
	assert_non_null(msg);
	assert_int_equal(msg->kind == EVENT, msg->event != NULL);
	return msg;
}

static void done_with(Message *msg)
{
	nexus__event_bus__v1__tail_response__free_unpacked(msg, NULL);
}

static void expect_range(int fd, int kind, uint64_t first, uint64_t last)
{
	Message *msg = next(fd);

	assert_int_equal(msg->kind, kind);
	assert_int_equal(msg->first, first);
	assert_int_equal(msg->last, last);
	done_with(msg);
}

static void expect_event(int fd, uint64_t seq)
{
	Message *msg = next(fd);

	if (msg->kind != EVENT)
		fail_msg("no event but kind %d, %llu to %llu", (int)msg->kind,
			 (unsigned long long)msg->first, (unsigned long long)msg->last);
	assert_int_equal(msg->event->seq, seq);
	done_with(msg);
}

/* It has begun, from there on. */
static int tail_msg(const Request *req, uint64_t begun)
{
	int fd = stream_of(BUS, "Tail", &req->base);

	expect_range(fd, BEGUN, begun, 0);
	return fd;
}

static int tail(uint64_t from, uint64_t events, bool follow, uint64_t begun)
{
	Request req = request(from, events, follow);

	return tail_msg(&req, begun);
}

static Nexus__EventBus__V1__StateResponse bus_state(void)
{
	Nexus__EventBus__V1__StateRequest req = NEXUS__EVENT_BUS__V1__STATE_REQUEST__INIT;
	Nexus__EventBus__V1__StateResponse *msg, st;
	struct answer a;

	assert_int_equal(ask_msg(BUS, "State", &req.base, &a), RPC_OK);
	msg = nexus__event_bus__v1__state_response__unpack(NULL, a.len, a.payload);
	assert_non_null(msg);
	st = *msg;
	nexus__event_bus__v1__state_response__free_unpacked(msg, NULL);
	free(a.payload);
	return st;
}

/* ---- publish -------------------------------------------------------------------------- */

static void refused_event(const Event *e, const char *words)
{
	Nexus__EventBus__V1__PublishRequest req = NEXUS__EVENT_BUS__V1__PUBLISH_REQUEST__INIT;
	Event good = NEXUS__EVENT_BUS__V1__EVENT__INIT, *events[] = { &good, (Event *)e };

	good.zone = bytes("z");
	good.path = bytes("/good");
	req.events = events;
	req.n_events = 2;
	refused(BUS, "Publish", &req.base, RPC_INVALID_ARGUMENT, words);
}

static void test_publish_bad(void **state)
{
	static char large[NEXUS_EVENT_DATA_MAX + 1], text[256];
	static Event many[NEXUS_EVENT_BATCH_MAX + 1], *events[NEXUS_EVENT_BATCH_MAX + 1];
	Nexus__EventBus__V1__PublishRequest req = NEXUS__EVENT_BUS__V1__PUBLISH_REQUEST__INIT;
	Event e = NEXUS__EVENT_BUS__V1__EVENT__INIT, bad;
	size_t i;
	int fd;

	(void)state;
	events_begin(NULL);
	memset(large, '/', sizeof(large));
	e.zone = bytes("z");
	e.path = bytes("/a");
#define BAD(field, value, words) do { \
	bad = e; \
	bad.field = value; \
	refused_event(&bad, words); \
} while (0)
#define RAW(len, text)	((ProtobufCBinaryData){ len, (uint8_t *)(text) })
	BAD(type, 64, "type 64");
	BAD(zone, bytes(""), "a zone and a path");
	BAD(zone, RAW(256, large), "zone has 256 bytes");
	BAD(zone, RAW(3, "a\0b"), "zone has a NUL");
	BAD(path, bytes(""), "a zone and a path");
	BAD(path, bytes("a"), "path does not begin with /");
	BAD(path, RAW(4096, large), "path has 4096 bytes");
	BAD(path, RAW(4, "/a\0b"), "path has a NUL");
	BAD(new_path, bytes("b"), "new path does not begin with /");
	BAD(new_path, RAW(4, "/a\0b"), "new path has a NUL");
	BAD(data, RAW(sizeof(large), large), "data has 65537 bytes");
	refused(BUS, "Publish", &req.base, RPC_INVALID_ARGUMENT, "no event in the request");
	for (i = 0; i <= NEXUS_EVENT_BATCH_MAX; i++) {
		many[i] = e;
		events[i] = &many[i];
	}
	req.events = events;
	req.n_events = NEXUS_EVENT_BATCH_MAX + 1;
	refused(BUS, "Publish", &req.base, RPC_INVALID_ARGUMENT, "at most 1024 events");
	/* More than a request may have. */
	for (i = 0; i < 9; i++)
		many[i].data = RAW(NEXUS_EVENT_DATA_MAX, large);
	req.n_events = 9;
	refused(BUS, "Publish", &req.base, RPC_INVALID_ARGUMENT, "at most 524288 are allowed");
	fd = raw_connect(h);
	assert_int_equal(call_on(fd, BUS, "Publish", "\x0a\x7fx", 3, text, sizeof(text)), RPC_INVALID_ARGUMENT);
	assert_has(text, "the payload is no nexus.event_bus.v1.PublishRequest");
	close(fd);
	/* Nothing of all that has reached anybody. */
	assert_int_equal(bus_state().published, 0);
	assert_int_equal(publish("/a"), 1);
	end();
}

static void test_publish(void **state)
{
	Nexus__EventBus__V1__PublishRequest req = NEXUS__EVENT_BUS__V1__PUBLISH_REQUEST__INIT;
	static char large[NEXUS_EVENT_DATA_MAX];
	Event e[2] = { NEXUS__EVENT_BUS__V1__EVENT__INIT, NEXUS__EVENT_BUS__V1__EVENT__INIT };
	Event *events[] = { &e[0], &e[1] };
	Nexus__EventBus__V1__PublishResponse *answer;
	struct answer a;
	Message *msg;
	int fd;

	(void)state;
	events_begin(NULL);
	fd = tail(0, 0, true, 1);
	e[0].zone = e[1].zone = bytes("work");
	e[0].path = bytes("/old \xff");
	e[0].new_path = bytes("/new");
	e[0].type = NEXUS_EVENT_RENAME;
	e[0].time = 42;
	e[0].seq = 4711;
	e[1].path = bytes("/large");
	e[1].data = RAW(sizeof(large), large);
	req.events = events;
	req.n_events = 2;
	req.durable = true;
	assert_int_equal(ask_msg(BUS, "Publish", &req.base, &a), RPC_OK);
	answer = nexus__event_bus__v1__publish_response__unpack(NULL, a.len, a.payload);
	assert_int_equal(answer->first, 1);
	assert_int_equal(answer->last, 2);
	assert_int_equal(answer->deliveries, 2);
	nexus__event_bus__v1__publish_response__free_unpacked(answer, NULL);
	free(a.payload);
	msg = next(fd);
	assert_int_equal(msg->event->seq, 1);
	assert_int_equal(msg->event->time, 42);
	assert_int_equal(msg->event->type, NEXUS_EVENT_RENAME);
	assert_int_equal(msg->event->zone.len, 4);
	assert_int_equal(msg->event->path.len, 6);
	assert_memory_equal(msg->event->path.data, "/old \xff", 6);
	assert_int_equal(msg->event->new_path.len, 4);
	assert_memory_equal(msg->event->new_path.data, "/new", 4);
	assert_int_equal(msg->event->data.len, 0);
	done_with(msg);
	msg = next(fd);
	assert_int_equal(msg->event->seq, 2);
	assert_true(msg->event->time > 42);
	assert_int_equal(msg->event->new_path.len, 0);
	assert_int_equal(msg->event->data.len, sizeof(large));
	done_with(msg);
	close(fd);
	await_subscribers(0);
	assert_int_equal(bus_state().published, 2);
	assert_int_equal(bus_state().last, 2);
	end();
}

/* ---- tail: what it asks for -------------------------------------------------------------- */

static void refused_pattern(int kind, ProtobufCBinaryData text, const char *words)
{
	Nexus__EventBus__V1__Pattern good = NEXUS__EVENT_BUS__V1__PATTERN__INIT, bad = good;
	Nexus__EventBus__V1__Pattern *patterns[] = { &good, &bad };
	Request req = request(0, 0, true);

	good.text = bytes("/");
	bad.kind = (Nexus__EventBus__V1__Pattern__Kind)kind;
	bad.text = text;
	req.patterns = patterns;
	req.n_patterns = 2;
	stream_refused(BUS, "Tail", &req.base, RPC_INVALID_ARGUMENT, words);
}

static void test_tail_bad(void **state)
{
	Nexus__EventBus__V1__Pattern good = NEXUS__EVENT_BUS__V1__PATTERN__INIT, *patterns[17];
	static char large[300];
	Request req;
	size_t i;

	(void)state;
	events_begin(NULL);
	memset(large, '/', sizeof(large));
	refused_pattern(0, bytes(""), "pattern 2 is none");
	refused_pattern(0, bytes("a"), "pattern 2 is none");
	refused_pattern(1, bytes("/[ab"), "pattern 2 is none");
	refused_pattern(1, bytes("/a\\"), "pattern 2 is none");
	refused_pattern(0, RAW(4, "/a\0b"), "pattern 2 is none");
	refused_pattern(2, bytes("/a"), "pattern 2 is none");
	refused_pattern(-1, bytes("/a"), "pattern 2 is none");
	refused_pattern(0, RAW(256, large), "pattern 2 has more than 255 bytes");
	good.text = bytes("/");
	for (i = 0; i < 17; i++)
		patterns[i] = &good;
	req = request(0, 0, true);
	req.patterns = patterns;
	req.n_patterns = 17;
	stream_refused(BUS, "Tail", &req.base, RPC_INVALID_ARGUMENT, "at most 16 patterns");
	req = request(0, 0, true);
	req.queue = 65537;
	stream_refused(BUS, "Tail", &req.base, RPC_INVALID_ARGUMENT, "at most 65536 events");
	req = request(0, 0, true);
	req.zone = RAW(256, large);
	stream_refused(BUS, "Tail", &req.base, RPC_INVALID_ARGUMENT, "zone has 256 bytes");
	req.zone = RAW(2, "z");
	stream_refused(BUS, "Tail", &req.base, RPC_INVALID_ARGUMENT, "zone has a NUL");
	publish("/a");
	req = request(3, 0, true);
	stream_refused(BUS, "Tail", &req.base, RPC_OUT_OF_RANGE, "number 3 yet; the next is 2");
	req = request(UINT64_MAX, 0, false);
	stream_refused(BUS, "Tail", &req.base, RPC_OUT_OF_RANGE, "has not come to number");
	assert_int_equal(bus_state().subscribers, 0);
	end();
}

static uint64_t publish_as(const char *zone, uint32_t type, const char *path, const char *new_path)
{
	Nexus__EventBus__V1__PublishRequest req = NEXUS__EVENT_BUS__V1__PUBLISH_REQUEST__INIT;
	Event e = NEXUS__EVENT_BUS__V1__EVENT__INIT, *events[] = { &e };
	struct answer a;

	e.zone = bytes(zone);
	e.type = type;
	e.path = bytes(path);
	e.new_path = bytes(new_path);
	req.events = events;
	req.n_events = 1;
	assert_int_equal(ask_msg(BUS, "Publish", &req.base, &a), RPC_OK);
	free(a.payload);
	return bus_state().last;
}

static void test_filters(void **state)
{
	Nexus__EventBus__V1__Pattern p[2] = { NEXUS__EVENT_BUS__V1__PATTERN__INIT, NEXUS__EVENT_BUS__V1__PATTERN__INIT };
	Nexus__EventBus__V1__Pattern *patterns[] = { &p[0], &p[1] };
	Request req = request(0, 0, true);
	int live, old;

	(void)state;
	events_begin(NULL);
	p[0].text = bytes("/a");
	p[1].kind = NEXUS__EVENT_BUS__V1__PATTERN__KIND__GLOB;
	p[1].text = bytes("/b/*.txt");
	req.patterns = patterns;
	req.n_patterns = 2;
	req.types = 1u << NEXUS_EVENT_WRITE | 1u << NEXUS_EVENT_RENAME;
	req.zone = bytes("z");
	live = tail_msg(&req, 1);
	publish_as("z", NEXUS_EVENT_WRITE, "/a/x", "");		/* 1 */
	publish_as("z", NEXUS_EVENT_WRITE, "/ab", "");
	publish_as("z", NEXUS_EVENT_WRITE, "/b/x.txt", "");	/* 3 */
	publish_as("z", NEXUS_EVENT_WRITE, "/b/c/x.txt", "");
	publish_as("y", NEXUS_EVENT_WRITE, "/a", "");
	publish_as("z", NEXUS_EVENT_DELETE, "/a", "");
	publish_as("z", NEXUS_EVENT_RENAME, "/c", "/b/y.txt");	/* 7 */
	expect_event(live, 1);
	expect_event(live, 3);
	expect_event(live, 7);
	/* The same out of the log. */
	req.follow = false;
	old = tail_msg(&req, 1);
	expect_event(old, 1);
	expect_event(old, 3);
	expect_event(old, 7);
	ends_well(old);
	close(live);
	await_subscribers(0);
	end();
}

static void test_from(void **state)
{
	int i, fd;

	(void)state;
	events_begin(NULL);
	fd = tail(0, 0, false, 1);
	ends_well(fd);
	fd = tail(1, 0, false, 1);
	ends_well(fd);
	for (i = 1; i <= 6; i++)
		publish("/a");
	fd = tail(0, 0, false, 1);
	for (i = 1; i <= 6; i++)
		expect_event(fd, (uint64_t)i);
	ends_well(fd);
	fd = tail(2, 3, true, 2);
	for (i = 2; i <= 4; i++)
		expect_event(fd, (uint64_t)i);
	ends_well(fd);
	/* Some of them go. */
	truncate_log(4);
	fd = tail(2, 0, true, 2);
	expect_range(fd, GONE, 2, 3);
	for (i = 4; i <= 6; i++)
		expect_event(fd, (uint64_t)i);
	/* And it goes on, live. */
	publish("/b");
	expect_event(fd, 7);
	/* What no event is, and what others append. */
	append("z", "no event", 8);
	publish("/b");
	expect_event(fd, 9);
	close(fd);
	fd = tail(0, 0, false, 4);
	for (i = 4; i <= 7; i++)
		expect_event(fd, (uint64_t)i);
	expect_event(fd, 9);
	ends_well(fd);
	fd = tail(10, 1, true, 10);
	publish("/b");
	expect_event(fd, 10);
	ends_well(fd);
	await_subscribers(0);
	end();
}

static void test_damage(void **state)
{
	int i, fd;

	(void)state;
	events_begin(NULL);
	for (i = 0; i < 5; i++)
		publish("/a");
	/* Of 40 bytes, a zone of one and an event of 26, to a multiple of 8. */
	damage_log(64 + 2 * 72 + 44);
	fd = tail(1, 0, false, 1);
	expect_event(fd, 1);
	expect_event(fd, 2);
	expect_range(fd, GONE, 3, 5);
	ends_well(fd);
	end();
}

/* ---- slow, gone, unloaded ------------------------------------------------------------------- */

#define LARGE		60000
#define EVENTS		200u

/* One that does not read fills what it may, loses the rest, is told all of it, and goes on. */
static void test_slow_reader(void **state)
{
	static char data[LARGE];
	Request req = request(0, 0, true);
	uint64_t seen = 0, lost = 0, got = 0, i;
	int slow, fast;
	Message *msg;

	(void)state;
	events_begin(NULL);
	fast = tail(0, 0, true, 1);
	req.queue = 4;
	slow = tail_msg(&req, 1);
	for (i = 1; i <= EVENTS; i++) {
		assert_int_equal(publish_data("/a", data, LARGE), i);
		/* Others do not wait for it, nor lose anything. */
		expect_event(fast, i);
	}
	assert_true(bus_state().lost > 0);
	assert_int_equal(bus_state().overflows, 1);
	while (seen < EVENTS) {
		msg = next(slow);
		if (msg->kind == EVENT) {
			assert_int_equal(msg->event->seq, seen + 1);
			seen++;
			got++;
		} else {
			assert_int_equal(msg->kind, LOST);
			assert_int_equal(msg->first, seen + 1);
			assert_true(msg->last >= msg->first);
			lost += msg->last - msg->first + 1;
			seen = msg->last;
		}
		done_with(msg);
	}
	assert_int_equal(seen, EVENTS);
	assert_int_equal(lost, bus_state().lost);
	assert_true(got >= 4);
	publish("/b");
	expect_event(slow, EVENTS + 1);
	expect_event(fast, EVENTS + 1);
	close(slow);
	close(fast);
	await_subscribers(0);
	/* All that was lost is in the log. */
	fast = tail(1, 0, false, 1);
	for (i = 1; i <= EVENTS + 1; i++)
		expect_event(fast, i);
	ends_well(fast);
	end();
}

static void test_reader_goes(void **state)
{
	static char data[LARGE];
	int fd[3], i;

	(void)state;
	events_begin(NULL);
	for (i = 1; i <= 40; i++)
		publish_data("/a", data, LARGE);
	fd[0] = tail(0, 0, true, 41);		/* idle */
	fd[1] = tail(1, 0, true, 1);		/* full, out of the log */
	fd[2] = tail(0, 0, true, 41);		/* full, of live ones */
	for (i = 1; i <= 40; i++)
		publish_data("/a", data, LARGE);
	await_subscribers(3);
	for (i = 0; i < 3; i++)
		close(fd[i]);
	await_subscribers(0);
	/* One that has said that it takes no more, and has the connection still. */
	fd[0] = tail(0, 0, true, 81);
	assert_true(raw_frame(fd[0], 1, FRAME_DATA, 0, "x", 1));
	ends_with(fd[0], RPC_INVALID_ARGUMENT, "takes no stream");
	await_subscribers(0);
	end();
}

static void test_service_goes(void **state)
{
	Request req = request(0, 0, true);
	int fd;

	(void)state;
	events_begin(NULL);
	fd = tail(0, 0, true, 1);
	publish("/a");
	expect_event(fd, 1);
	/* The log is replaced beneath it: it does not notice. */
	assert_int_equal(swap("eventlog"), 0);
	publish("/a");
	expect_event(fd, 2);
	assert_int_equal(swap("event_bus"), 0);
	ends_with(fd, RPC_UNAVAILABLE, "the service was replaced");
	publish("/a");
	fd = tail(3, 0, true, 3);
	expect_event(fd, 3);
	assert_int_equal(unload("event_bus"), 0);
	ends_with(fd, RPC_UNAVAILABLE, "the service was unloaded");
	stream_refused(BUS, "Tail", &req.base, RPC_UNIMPLEMENTED, "unknown method nexus.event_bus.v1.Bus/Tail");
	end();
}

/* ---- many ------------------------------------------------------------------------------------ */

#define READERS		6
#define ROUNDS		150u

static atomic_uint readers_left;

/* Each number once, in order, whatever becomes of service and connection in between. */
static void *read_all(void *arg)
{
	uint64_t seen = 0, again = 0;
	struct got_next g;
	Message *msg;
	Request req;
	int fd = -1;

	(void)arg;
	while (seen < ROUNDS) {
		if (fd < 0) {
			req = request(seen + 1, 0, true);
			fd = stream_of(BUS, "Tail", &req.base);
		}
		next_of(fd, &g);
		if (g.what != GOT_MESSAGE) {
			/* Swapped; or in that very moment. */
			assert_int_equal(g.what, GOT_ERROR);
			assert_int_equal(g.code, RPC_UNAVAILABLE);
			close(fd);
			fd = -1;
			continue;
		}
		msg = nexus__event_bus__v1__tail_response__unpack(NULL, g.len, g.body);
		free(g.body);
		assert_non_null(msg);
		if (msg->kind == BEGUN) {
			assert_int_equal(msg->first, seen + 1);
		} else {
			assert_int_equal(msg->kind, EVENT);
			assert_int_equal(msg->event->seq, seen + 1);
			seen++;
		}
		done_with(msg);
		/* Now and then it goes by itself. */
		if (++again % 50 == 0) {
			close(fd);
			fd = -1;
		}
	}
	if (fd >= 0)
		close(fd);
	atomic_fetch_sub(&readers_left, 1);
	return NULL;
}

static void test_many(void **state)
{
	pthread_t thread[READERS];
	uint64_t i;

	(void)state;
	events_begin(NULL);
	atomic_store(&readers_left, READERS);
	for (i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, read_all, NULL), 0);
	for (i = 1; i <= ROUNDS; i++) {
		assert_int_equal(publish("/a"), i);
		if (i % 40 == 0)
			assert_int_equal(swap(i % 80 ? "event_bus" : "eventlog"), 0);
	}
	for (i = 0; i < READERS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(atomic_load(&readers_left), 0);
	await_subscribers(0);
	end();
}

/* ---- who ------------------------------------------------------------------------------------ */

static void test_who(void **state)
{
	Nexus__EventBus__V1__StateRequest st = NEXUS__EVENT_BUS__V1__STATE_REQUEST__INIT;
	Nexus__EventBus__V1__PublishRequest pub = NEXUS__EVENT_BUS__V1__PUBLISH_REQUEST__INIT;
	Event e = NEXUS__EVENT_BUS__V1__EVENT__INIT, *events[] = { &e };
	Request tail_req = request(0, 0, false);
	const struct who_may may[] = {
		{ BUS, "State", "rgo", &st.base, false },
		{ BUS, "Publish", "rg-", &pub.base, false },
		{ BUS, "Tail", "rg-", &tail_req.base, true },
	};
	char name[WHO_GROUP];

	(void)state;
	who_group(name);
	e.zone = bytes("z");
	e.path = bytes("/a");
	pub.events = events;
	pub.n_events = 1;
	who_begin(may, sizeof(may) / sizeof(may[0]));
	events_begin(name);
	assert_int_equal(chmod(h->path, 0666), 0);
	assert_who();
	/* Who is refused has not reached it. */
	assert_int_equal(bus_state().published, 2);
	end();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_IN_WORLD(test_publish_bad),
		TEST_IN_WORLD(test_publish),
		TEST_IN_WORLD(test_tail_bad),
		TEST_IN_WORLD(test_filters),
		TEST_IN_WORLD(test_from),
		TEST_IN_WORLD(test_damage),
		TEST_IN_WORLD(test_slow_reader),
		TEST_IN_WORLD(test_reader_goes),
		TEST_IN_WORLD(test_service_goes),
		TEST_IN_WORLD(test_many),
		TEST_IN_WORLD(test_who),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
