// SPDX-License-Identifier: Apache-2.0
/* The event log over the control socket: what it tells, what it refuses, and to whom. */
#include "rpc-world.h"

#include <sys/stat.h>

#include <nexus/services/eventlog.h>

typedef Nexus__Eventlog__V1__ReplayRequest Request;
typedef Nexus__Eventlog__V1__ReplayResponse Message;

#define RECORD		NEXUS__EVENTLOG__V1__REPLAY_RESPONSE__KIND__RECORD
#define GONE		NEXUS__EVENTLOG__V1__REPLAY_RESPONSE__KIND__GONE
#define DAMAGED		NEXUS__EVENTLOG__V1__REPLAY_RESPONSE__KIND__DAMAGED
#define TOO_LARGE	NEXUS__EVENTLOG__V1__REPLAY_RESPONSE__KIND__TOO_LARGE

static Request request(uint64_t from, uint64_t to, uint64_t records, bool follow)
{
	Request req = NEXUS__EVENTLOG__V1__REPLAY_REQUEST__INIT;

	req.from = from;
	req.to = to;
	req.count = records;
	req.follow = follow;
	return req;
}

static int replay(uint64_t from, uint64_t to, uint64_t records, bool follow)
{
	Request req = request(from, to, records, follow);

	return stream_of(LOG, "Replay", &req.base);
}

static Message *next(int fd)
{
	struct got_next g;
	Message *msg;

	next_of(fd, &g);
	if (g.what != GOT_MESSAGE)
		fail_msg("no message: code %d %s", g.code, g.text);
	msg = nexus__eventlog__v1__replay_response__unpack(NULL, g.len, g.body);
	free(g.body);
	assert_non_null(msg);
	return msg;
}

static void expect(int fd, int kind, uint64_t seq, uint64_t lost_to)
{
	Message *msg = next(fd);

	assert_int_equal(msg->kind, kind);
	assert_int_equal(msg->seq, seq);
	assert_int_equal(msg->lost_to, lost_to);
	nexus__eventlog__v1__replay_response__free_unpacked(msg, NULL);
}

static Nexus__Eventlog__V1__StateResponse *log_state(void)
{
	Nexus__Eventlog__V1__StateRequest req = NEXUS__EVENTLOG__V1__STATE_REQUEST__INIT;
	Nexus__Eventlog__V1__StateResponse *msg;
	struct answer a;

	assert_int_equal(ask_msg(LOG, "State", &req.base, &a), RPC_OK);
	msg = nexus__eventlog__v1__state_response__unpack(NULL, a.len, a.payload);
	assert_non_null(msg);
	free(a.payload);
	return msg;
}

static uint64_t last_number(void)
{
	Nexus__Eventlog__V1__StateResponse *st = log_state();
	uint64_t last = st->last;

	nexus__eventlog__v1__state_response__free_unpacked(st, NULL);
	return last;
}

/* ---- state, append, truncate ------------------------------------------------------------ */

static void test_state(void **state)
{
	Nexus__Eventlog__V1__StateRequest req = NEXUS__EVENTLOG__V1__STATE_REQUEST__INIT;
	Nexus__Eventlog__V1__StateResponse *st;

	(void)state;
	events_begin(NULL);
	st = log_state();
	assert_int_equal(st->last, 0);
	assert_int_equal(st->next, 1);
	assert_int_equal(st->readers, 0);
	nexus__eventlog__v1__state_response__free_unpacked(st, NULL);
	append("z", "one", 3);
	append("", "", 0);
	truncate_log(2);
	st = log_state();
	assert_int_equal(st->first, 2);
	assert_int_equal(st->last, 2);
	assert_int_equal(st->next, 3);
	assert_int_equal(st->files, 1);
	assert_true(st->bytes > 64);
	assert_int_equal(st->cut, 0);
	assert_int_equal(st->damaged, 0);
	assert_false(st->failed);
	nexus__eventlog__v1__state_response__free_unpacked(st, NULL);
	assert_int_equal(unload("event_bus"), 0);
	assert_int_equal(unload("eventlog"), 0);
	refused(LOG, "State", &req.base, RPC_UNIMPLEMENTED, "unknown method nexus.eventlog.v1.Log/State");
	end();
}

static void test_append(void **state)
{
	Nexus__Eventlog__V1__AppendRequest req = NEXUS__EVENTLOG__V1__APPEND_REQUEST__INIT;
	static Nexus__Eventlog__V1__Record rec[NEXUS_EVENTLOG_BATCH_MAX + 1];
	static Nexus__Eventlog__V1__Record *recs[NEXUS_EVENTLOG_BATCH_MAX + 1];
	Nexus__Eventlog__V1__AppendResponse *msg;
	static char zone[300], text[256];
	struct answer a;
	size_t i;
	int fd;

	(void)state;
	events_begin(NULL);
	memset(zone, 'z', sizeof(zone));
	for (i = 0; i <= NEXUS_EVENTLOG_BATCH_MAX; i++) {
		rec[i] = (Nexus__Eventlog__V1__Record)NEXUS__EVENTLOG__V1__RECORD__INIT;
		recs[i] = &rec[i];
	}
	req.records = recs;
	refused(LOG, "Append", &req.base, RPC_INVALID_ARGUMENT, "no record in the request");
	req.n_records = NEXUS_EVENTLOG_BATCH_MAX + 1;
	refused(LOG, "Append", &req.base, RPC_INVALID_ARGUMENT, "at most 4096 records");
	/* All or none. */
	req.n_records = 3;
	rec[2].zone = (ProtobufCBinaryData){ 256, (uint8_t *)zone };
	refused(LOG, "Append", &req.base, RPC_INVALID_ARGUMENT, "at most 255 bytes");
	rec[2].zone = (ProtobufCBinaryData){ 3, (uint8_t *)"a\0b" };
	refused(LOG, "Append", &req.base, RPC_INVALID_ARGUMENT, "no NUL");
	fd = raw_connect(h);
	assert_int_equal(call_on(fd, LOG, "Append", "\x0a\x7fx", 3, text, sizeof(text)), RPC_INVALID_ARGUMENT);
	assert_has(text, "the payload is no nexus.eventlog.v1.AppendRequest");
	close(fd);
	assert_int_equal(last_number(), 0);
	rec[2].zone = (ProtobufCBinaryData){ 255, (uint8_t *)zone };
	req.durable = true;
	assert_int_equal(ask_msg(LOG, "Append", &req.base, &a), RPC_OK);
	msg = nexus__eventlog__v1__append_response__unpack(NULL, a.len, a.payload);
	assert_int_equal(msg->first, 1);
	assert_int_equal(msg->last, 3);
	nexus__eventlog__v1__append_response__free_unpacked(msg, NULL);
	free(a.payload);
	end();
}

static void test_truncate(void **state)
{
	Nexus__Eventlog__V1__TruncateRequest req = NEXUS__EVENTLOG__V1__TRUNCATE_REQUEST__INIT;
	int i, fd;

	(void)state;
	events_begin(NULL);
	for (i = 0; i < 6; i++)
		append("z", "x", 1);
	req.before = 8;
	refused(LOG, "Truncate", &req.base, RPC_OUT_OF_RANGE, "has not come to number 8");
	req.before = UINT64_MAX;
	refused(LOG, "Truncate", &req.base, RPC_OUT_OF_RANGE, "has not come");
	truncate_log(4);
	truncate_log(2);
	fd = replay(2, 0, 0, false);
	expect(fd, GONE, 2, 3);
	for (i = 4; i <= 6; i++)
		expect(fd, RECORD, (uint64_t)i, 0);
	ends_well(fd);
	/* Whoever does not ask for what is gone is not told either. */
	fd = replay(0, 0, 1, false);
	expect(fd, RECORD, 4, 0);
	ends_well(fd);
	fd = replay(1, 2, 0, false);
	expect(fd, GONE, 1, 2);
	ends_well(fd);
	truncate_log(7);
	fd = replay(0, 0, 0, false);
	ends_well(fd);
	end();
}

/* ---- replay ------------------------------------------------------------------------------- */

static void test_replay(void **state)
{
	Request req = request(0, 0, 0, false);
	static char zone[300];
	Message *msg;
	int i, fd;

	(void)state;
	events_begin(NULL);
	fd = replay(0, 0, 0, false);
	ends_well(fd);
	fd = replay(1, 0, 0, false);
	ends_well(fd);
	req.from = 2;
	stream_refused(LOG, "Replay", &req.base, RPC_OUT_OF_RANGE, "number 2 yet; the next is 1");
	for (i = 0; i < 9; i++)
		append(i % 3 ? "odd" : "even", "data\0\xff", 6);
	fd = replay(3, 5, 0, false);
	for (i = 3; i <= 5; i++) {
		msg = next(fd);
		assert_int_equal(msg->seq, i);
		assert_int_equal(msg->kind, RECORD);
		assert_int_equal(msg->size, 6);
		assert_int_equal(msg->data.len, 6);
		assert_memory_equal(msg->data.data, "data\0\xff", 6);
		assert_int_equal(msg->zone.len, i % 3 == 1 ? 4 : 3);
		nexus__eventlog__v1__replay_response__free_unpacked(msg, NULL);
	}
	ends_well(fd);
	fd = replay(8, 100, 0, false);
	expect(fd, RECORD, 8, 0);
	expect(fd, RECORD, 9, 0);
	ends_well(fd);
	fd = replay(2, 0, 2, false);
	expect(fd, RECORD, 2, 0);
	expect(fd, RECORD, 3, 0);
	ends_well(fd);
	fd = replay(10, 0, 0, false);
	ends_well(fd);
	req = request(0, 0, 2, false);
	req.zone = bytes("even");
	fd = stream_of(LOG, "Replay", &req.base);
	expect(fd, RECORD, 1, 0);
	expect(fd, RECORD, 4, 0);
	ends_well(fd);
	req = request(11, 0, 0, true);
	stream_refused(LOG, "Replay", &req.base, RPC_OUT_OF_RANGE, "number 11 yet; the next is 10");
	req = request(5, 4, 0, false);
	stream_refused(LOG, "Replay", &req.base, RPC_INVALID_ARGUMENT, "below the first, 5");
	memset(zone, 'z', sizeof(zone));
	req.zone = (ProtobufCBinaryData){ 256, (uint8_t *)zone };
	stream_refused(LOG, "Replay", &req.base, RPC_INVALID_ARGUMENT, "at most 255");
	req.zone = (ProtobufCBinaryData){ 2, (uint8_t *)"z" };
	stream_refused(LOG, "Replay", &req.base, RPC_INVALID_ARGUMENT, "no NUL");
	await_readers(0);
	end();
}

static void test_follow(void **state)
{
	int i, fd, bounded;

	(void)state;
	events_begin(NULL);
	fd = replay(0, 0, 0, true);
	bounded = replay(1, 20, 15, true);
	await_readers(2);
	for (i = 1; i <= 30; i++) {
		/* Of the bus, too: whoever appends. */
		if (i % 2)
			append("z", "x", 1);
		else
			publish("/a");
		expect(fd, RECORD, (uint64_t)i, 0);
	}
	for (i = 1; i <= 15; i++)
		expect(bounded, RECORD, (uint64_t)i, 0);
	ends_well(bounded);
	await_readers(1);
	/* It goes away: nothing is left of it. */
	close(fd);
	await_readers(0);
	end();
}

static void test_damage(void **state)
{
	int i, fd;

	(void)state;
	events_begin(NULL);
	for (i = 0; i < 5; i++)
		append("z", "something", 9);
	/* 64 bytes of head, records of 56: in the data of the third. */
	damage_log(64 + 2 * 56 + 44);
	fd = replay(1, 0, 0, false);
	expect(fd, RECORD, 1, 0);
	expect(fd, RECORD, 2, 0);
	expect(fd, DAMAGED, 3, 5);
	ends_well(fd);
	end();
}

/* Larger than a message can be: told, with its size, and it goes on behind. */
static void test_too_large(void **state)
{
	struct nexus_eventlog_append_args *a;
	size_t size = 5u << 20;
	struct nexus_ref *ref;
	Message *msg;
	int fd;

	(void)state;
	events_begin(NULL);
	assert_int_equal(service_get(reg, "the test", NEXUS_EVENTLOG, 1, &ref), 0);
	a = service_args_new(sizeof(*a));
	a->count = 1;
	a->records = service_args_more(a, sizeof(*a->records));
	a->records[0].data = service_args_more(a, size);
	a->records[0].data_len = (uint32_t)size;
	assert_int_equal(service_call(ref, struct nexus_eventlog_ops, append, a, 0), 0);
	service_args_free(a);
	service_put(ref);
	append("z", "x", 1);
	fd = replay(1, 0, 0, false);
	msg = next(fd);
	assert_int_equal(msg->kind, TOO_LARGE);
	assert_int_equal(msg->seq, 1);
	assert_int_equal(msg->size, size);
	assert_int_equal(msg->data.len, 0);
	nexus__eventlog__v1__replay_response__free_unpacked(msg, NULL);
	expect(fd, RECORD, 2, 0);
	ends_well(fd);
	end();
}

/* One that does not read keeps nobody, and misses nothing. */
static void test_slow_reader(void **state)
{
	static char data[60000];
	int i, slow, fast;

	(void)state;
	events_begin(NULL);
	for (i = 0; i < 50; i++)
		append("z", data, sizeof(data));
	slow = replay(1, 0, 0, true);
	await_readers(1);
	fast = replay(1, 0, 0, false);
	for (i = 1; i <= 50; i++)
		expect(fast, RECORD, (uint64_t)i, 0);
	ends_well(fast);
	append("z", "x", 1);
	for (i = 1; i <= 51; i++)
		expect(slow, RECORD, (uint64_t)i, 0);
	close(slow);
	await_readers(0);
	/* Another goes while it is full. */
	slow = replay(1, 0, 0, true);
	await_readers(1);
	close(slow);
	await_readers(0);
	end();
}

static void test_service_goes(void **state)
{
	int fd;

	(void)state;
	events_begin(NULL);
	append("z", "x", 1);
	fd = replay(1, 0, 0, true);
	expect(fd, RECORD, 1, 0);
	assert_int_equal(swap("eventlog"), 0);
	ends_with(fd, RPC_UNAVAILABLE, "the service was replaced");
	append("z", "x", 1);
	fd = replay(2, 0, 0, true);
	expect(fd, RECORD, 2, 0);
	assert_int_equal(unload("event_bus"), 0);
	assert_int_equal(unload("eventlog"), 0);
	ends_with(fd, RPC_UNAVAILABLE, "the service was unloaded");
	end();
}

/* ---- who ------------------------------------------------------------------------------------ */

static void test_who(void **state)
{
	Nexus__Eventlog__V1__StateRequest st = NEXUS__EVENTLOG__V1__STATE_REQUEST__INIT;
	Nexus__Eventlog__V1__AppendRequest app = NEXUS__EVENTLOG__V1__APPEND_REQUEST__INIT;
	Nexus__Eventlog__V1__TruncateRequest cut = NEXUS__EVENTLOG__V1__TRUNCATE_REQUEST__INIT;
	Nexus__Eventlog__V1__Record rec = NEXUS__EVENTLOG__V1__RECORD__INIT, *recs[] = { &rec };
	Request rep = request(0, 0, 0, false);
	const struct who_may may[] = {
		{ LOG, "State", "rgo", &st.base, false },
		{ LOG, "Append", "rg-", &app.base, false },
		{ LOG, "Replay", "rg-", &rep.base, true },
		{ LOG, "Truncate", "rg-", &cut.base, false },
	};
	char name[WHO_GROUP];

	(void)state;
	who_group(name);
	app.records = recs;
	app.n_records = 1;
	who_begin(may, sizeof(may) / sizeof(may[0]));
	events_begin(name);
	assert_int_equal(chmod(h->path, 0666), 0);
	assert_who();
	/* Who is refused has not reached it. */
	assert_int_equal(last_number(), 2);
	end();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_IN_WORLD(test_state),
		TEST_IN_WORLD(test_append),
		TEST_IN_WORLD(test_truncate),
		TEST_IN_WORLD(test_replay),
		TEST_IN_WORLD(test_follow),
		TEST_IN_WORLD(test_damage),
		TEST_IN_WORLD(test_too_large),
		TEST_IN_WORLD(test_slow_reader),
		TEST_IN_WORLD(test_service_goes),
		TEST_IN_WORLD(test_who),
	};

	world_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
