// SPDX-License-Identifier: Apache-2.0
#include "rpc-world.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

void events_begin(const char *group)
{
	const char *both[] = { "event_bus", "eventlog" };

	put_file(SERVICES "/eventlog/eventlog.so", "eventlog");
	put_file(SERVICES "/event_bus/event_bus.so", "event_bus");
	begin_with(0, 0, group);
	assert_int_equal(load_all(both, 2), 0);
}

ProtobufCBinaryData bytes(const char *text)
{
	return (ProtobufCBinaryData){ strlen(text), (uint8_t *)text };
}

static uint8_t *packed(const ProtobufCMessage *req, size_t *len)
{
	uint8_t *buf = malloc(protobuf_c_message_get_packed_size(req) + 1);

	assert_non_null(buf);
	*len = protobuf_c_message_pack(req, buf);
	return buf;
}

/* ---- unary -------------------------------------------------------------------------- */

const struct other_way *other_way;

static bool one_call(const char *service, const char *method, const ProtobufCMessage *req,
		     struct answer *a)
{
	uint8_t *buf;
	size_t len;
	bool ok;
	int fd;

	buf = packed(req, &len);
	if (other_way) {
		ok = other_way->call(h->path, service, method, buf, len, a);
	} else {
		fd = raw_connect(h);
		/* Who is refused early cannot send all of it, but has an answer. */
		raw_call(fd, 1, service, method, buf, len, 0);
		ok = raw_answer(fd, a);
		close(fd);
	}
	free(buf);
	return ok;
}

int ask_msg(const char *service, const char *method, const ProtobufCMessage *req, struct answer *a)
{
	if (other_way)
		other_way->begin();
	assert_true(one_call(service, method, req, a));
	return a->code;
}

void refused(const char *service, const char *method, const ProtobufCMessage *req, int code,
	     const char *words)
{
	struct answer a;

	if (ask_msg(service, method, req, &a) != code)
		fail_msg("%s: code %d, not %d: %s", method, a.code, code, a.message);
	assert_has(a.message, words);
	free(a.payload);
}

static uint64_t append_all(const ProtobufCMessage *req)
{
	Nexus__Eventlog__V1__AppendResponse *msg;
	struct answer a;
	uint64_t first;

	assert_int_equal(ask_msg(LOG, "Append", req, &a), RPC_OK);
	msg = nexus__eventlog__v1__append_response__unpack(NULL, a.len, a.payload);
	assert_non_null(msg);
	first = msg->first;
	nexus__eventlog__v1__append_response__free_unpacked(msg, NULL);
	free(a.payload);
	return first;
}

uint64_t append(const char *zone, const void *data, size_t len)
{
	Nexus__Eventlog__V1__AppendRequest req = NEXUS__EVENTLOG__V1__APPEND_REQUEST__INIT;
	Nexus__Eventlog__V1__Record rec = NEXUS__EVENTLOG__V1__RECORD__INIT, *recs[] = { &rec };

	rec.zone = bytes(zone);
	rec.data = (ProtobufCBinaryData){ len, (uint8_t *)data };
	req.records = recs;
	req.n_records = 1;
	return append_all(&req.base);
}

uint64_t publish_data(const char *path, const void *data, size_t len)
{
	Nexus__EventBus__V1__PublishRequest req = NEXUS__EVENT_BUS__V1__PUBLISH_REQUEST__INIT;
	Nexus__EventBus__V1__Event e = NEXUS__EVENT_BUS__V1__EVENT__INIT, *events[] = { &e };
	Nexus__EventBus__V1__PublishResponse *msg;
	struct answer a;
	uint64_t seq;

	e.zone = bytes("z");
	e.path = bytes(path);
	e.data = (ProtobufCBinaryData){ len, (uint8_t *)data };
	req.events = events;
	req.n_events = 1;
	assert_int_equal(ask_msg(BUS, "Publish", &req.base, &a), RPC_OK);
	msg = nexus__event_bus__v1__publish_response__unpack(NULL, a.len, a.payload);
	assert_non_null(msg);
	assert_int_equal(msg->first, msg->last);
	seq = msg->first;
	nexus__event_bus__v1__publish_response__free_unpacked(msg, NULL);
	free(a.payload);
	return seq;
}

uint64_t publish(const char *path)
{
	return publish_data(path, NULL, 0);
}

void truncate_log(uint64_t before)
{
	Nexus__Eventlog__V1__TruncateRequest req = NEXUS__EVENTLOG__V1__TRUNCATE_REQUEST__INIT;
	struct answer a;

	req.before = before;
	assert_int_equal(ask_msg(LOG, "Truncate", &req.base, &a), RPC_OK);
	free(a.payload);
}

void damage_log(off_t at)
{
	char path[300];
	uint8_t byte;
	int fd;

	snprintf(path, sizeof(path), "%s/eventlog/wal-0000000000000001.seg", reg_opts.state);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static uint64_t log_readers(void)
{
	Nexus__Eventlog__V1__StateRequest req = NEXUS__EVENTLOG__V1__STATE_REQUEST__INIT;
	Nexus__Eventlog__V1__StateResponse *msg;
	struct answer a;
	uint64_t n;

	assert_int_equal(ask_msg(LOG, "State", &req.base, &a), RPC_OK);
	msg = nexus__eventlog__v1__state_response__unpack(NULL, a.len, a.payload);
	assert_non_null(msg);
	n = msg->readers;
	nexus__eventlog__v1__state_response__free_unpacked(msg, NULL);
	free(a.payload);
	return n;
}

static uint64_t bus_subscribers(void)
{
	Nexus__EventBus__V1__StateRequest req = NEXUS__EVENT_BUS__V1__STATE_REQUEST__INIT;
	Nexus__EventBus__V1__StateResponse *msg;
	struct answer a;
	uint64_t n;

	assert_int_equal(ask_msg(BUS, "State", &req.base, &a), RPC_OK);
	msg = nexus__event_bus__v1__state_response__unpack(NULL, a.len, a.payload);
	assert_non_null(msg);
	n = msg->subscribers;
	nexus__event_bus__v1__state_response__free_unpacked(msg, NULL);
	free(a.payload);
	return n;
}

/* It follows from the other end's going, but not at once; so long only when it does not. */
static void await(uint64_t (*count_of)(void), uint64_t n)
{
	uint64_t got;
	int i;

	/* Asked once more it may be another already. */
	for (i = 0; (got = count_of()) != n && i < 20000; i++)
		usleep(1000);
	assert_int_equal(got, n);
}

void await_readers(uint32_t n)
{
	await(log_readers, n);
}

void await_subscribers(uint64_t n)
{
	await(bus_subscribers, n);
}

/* ---- streams ------------------------------------------------------------------------- */

int stream_of(const char *service, const char *method, const ProtobufCMessage *req)
{
	int fd = raw_connect(h);
	uint8_t *buf;
	size_t len;

	buf = packed(req, &len);
	assert_true(raw_request(fd, 1, FRAME_REMOTE_CLOSED, service, method, buf, len, 0));
	free(buf);
	return fd;
}

static void read_all(int fd, void *to, size_t len)
{
	assert_int_equal(recv(fd, to, len, MSG_WAITALL), len);
}

void next_of(int fd, struct got_next *g)
{
	uint8_t header[FRAME_HEADER_LEN];
	struct frame_header hdr;
	struct answer a;

	memset(g, 0, sizeof(*g));
	assert_int_equal(recv(fd, header, sizeof(header), MSG_PEEK | MSG_WAITALL), sizeof(header));
	frame_decode(header, &hdr);
	assert_int_equal(hdr.stream, 1);
	if (hdr.type == FRAME_RESPONSE) {
		assert_true(raw_answer(fd, &a));
		free(a.payload);
		g->what = GOT_ERROR;
		g->code = a.code;
		snprintf(g->text, sizeof(g->text), "%s", a.message);
		return;
	}
	assert_int_equal(hdr.type, FRAME_DATA);
	read_all(fd, header, sizeof(header));
	if (hdr.flags == (FRAME_REMOTE_CLOSED | FRAME_NO_DATA)) {
		assert_int_equal(hdr.len, 0);
		g->what = GOT_END;
		return;
	}
	assert_int_equal(hdr.flags, 0);
	g->what = GOT_MESSAGE;
	g->len = hdr.len;
	g->body = malloc(hdr.len + 1);
	assert_non_null(g->body);
	if (hdr.len)
		read_all(fd, g->body, hdr.len);
}

void ends_well(int fd)
{
	struct got_next g;

	next_of(fd, &g);
	if (g.what != GOT_END)
		fail_msg("no end: %d, code %d %s", (int)g.what, g.code, g.text);
	close(fd);
}

void ends_with(int fd, int code, const char *words)
{
	struct got_next g;

	next_of(fd, &g);
	if (g.what != GOT_ERROR || g.code != code)
		fail_msg("what %d, code %d, not %d: %s", (int)g.what, g.code, code, g.text);
	assert_has(g.text, words);
	close(fd);
}

void stream_refused(const char *service, const char *method, const ProtobufCMessage *req, int code,
		    const char *words)
{
	ends_with(stream_of(service, method, req), code, words);
}

/* ---- who ------------------------------------------------------------------------------ */

static const struct { uid_t uid; gid_t gid; } callers[] = { { 0, 0 }, { 4711, 1 }, { 4711, 4711 } };
static struct { pid_t pid; int go; } caller[3];

/* The number of the first call that went another way, or 0. */
static int try_all(size_t column, const struct who_may *may, size_t n)
{
	struct got_next g;
	struct answer a;
	size_t i;
	bool yes;
	int fd;

	for (i = 0; i < n; i++) {
		yes = may[i].who[column] != '-';
		if (may[i].stream) {
			fd = stream_of(may[i].service, may[i].method, may[i].req);
			next_of(fd, &g);
			if (yes ? g.what == GOT_ERROR :
				  g.what != GOT_ERROR || g.code != RPC_PERMISSION_DENIED)
				return (int)i + 1;
			free(g.body);
			close(fd);
			continue;
		}
		if (!one_call(may[i].service, may[i].method, may[i].req, &a) ||
		    a.code != (yes ? RPC_OK : RPC_PERMISSION_DENIED))
			return (int)i + 1;
		free(a.payload);
	}
	return 0;
}

/* As somebody else, as soon as it is told where the socket is. */
static int caller_main(size_t i, int go, const struct who_may *may, size_t n)
{
	static struct harness there;

	if (setgroups(0, NULL) || setresgid(callers[i].gid, callers[i].gid, callers[i].gid) ||
	    setresuid(callers[i].uid, callers[i].uid, callers[i].uid))
		return 99;
	if (read(go, there.path, sizeof(there.path)) != (ssize_t)sizeof(there.path))
		return 98;
	h = &there;
	return try_all(i, may, n);
}

void who_group(char name[WHO_GROUP])
{
	const struct group *group = getgrgid(1);

	if (geteuid() || !group)
		skip();
	snprintf(name, WHO_GROUP, "%s", group->gr_name);
}

void who_begin(const struct who_may *may, size_t n)
{
	int go[2];
	size_t i;

	for (i = 0; i < 3; i++) {
		assert_int_equal(pipe2(go, O_CLOEXEC), 0);
		caller[i].pid = fork();
		assert_true(caller[i].pid >= 0);
		if (!caller[i].pid) {
			close(go[1]);
			_exit(caller_main(i, go[0], may, n));
		}
		close(go[0]);
		caller[i].go = go[1];
	}
}

void assert_who(void)
{
	int status;
	size_t i;

	if (other_way)
		other_way->begin();
	for (i = 0; i < 3; i++) {
		assert_int_equal(write(caller[i].go, h->path, sizeof(h->path)), sizeof(h->path));
		close(caller[i].go);
		assert_int_equal(waitpid(caller[i].pid, &status, 0), caller[i].pid);
		if (status)
			fail_msg("uid %u, gid %u: call %d", (unsigned int)callers[i].uid,
				 (unsigned int)callers[i].gid, WEXITSTATUS(status));
	}
}
