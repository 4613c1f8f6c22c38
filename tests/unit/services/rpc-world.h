/* SPDX-License-Identifier: Apache-2.0 */
/* The event log and the bus behind a control socket, and callers in raw bytes. */
#ifndef SERVICES_RPC_WORLD_H
#define SERVICES_RPC_WORLD_H

#include <nexus/rpc.h>

#include "nexus-proto.h"
#include "service-caller.h"

#define LOG	"nexus.eventlog.v1.Log"
#define BUS	"nexus.event_bus.v1.Bus"

/* Whoever is in @group (NULL: as it is by default) is an administrator. */
void events_begin(const char *group);

/**
 * struct other_way - another one than the control socket, for unary calls
 * @begin: makes it be there, once
 * @call: a call of the helper whose control socket is @socket; false: there was no answer
 */
struct other_way {
	void (*begin)(void);
	bool (*call)(const char *socket, const char *service, const char *method,
		     const uint8_t *req, size_t len, struct answer *a);
};

/* over-grpc.c sets it before main(); NULL: the control socket. */
extern const struct other_way *other_way;

/* A unary call on a connection of its own; its code, which the test asserts. */
int ask_msg(const char *service, const char *method, const ProtobufCMessage *req, struct answer *a);
/* The same, and its message must have these words. */
void refused(const char *service, const char *method, const ProtobufCMessage *req, int code,
	     const char *words);
/* The same of a method that answers with a stream. */
void stream_refused(const char *service, const char *method, const ProtobufCMessage *req, int code,
		    const char *words);

/* A stream on a connection of its own. */
int stream_of(const char *service, const char *method, const ProtobufCMessage *req);

enum got { GOT_MESSAGE, GOT_END, GOT_ERROR };

/* What came next; of a message @body, free() it; of an error its code and text. */
struct got_next {
	enum got what;
	uint8_t *body;
	size_t len;
	int code;
	char text[RPC_ERROR_MAX];
};

void next_of(int fd, struct got_next *g);
/* The stream must end so. */
void ends_well(int fd);
void ends_with(int fd, int code, const char *words);

/* One record or event, which must succeed; its number. */
uint64_t append(const char *zone, const void *data, size_t len);
uint64_t publish(const char *path);
uint64_t publish_data(const char *path, const void *data, size_t len);
void truncate_log(uint64_t before);
/* Changes a byte of its first file. */
void damage_log(off_t at);
/* Of a state: streams of the log, subscribers of the bus; until it is so many. */
void await_readers(uint32_t n);
void await_subscribers(uint64_t n);

/* @text, as bytes. */
ProtobufCBinaryData bytes(const char *text);

/*
 * who_begin() makes callers of @n methods with @req: root, a member of the group and somebody
 * else; before there are threads, one of which may have a lock of malloc().  @who says
 * who may: "rg-" root and group, "rgo" all.
 */
struct who_may {
	const char *service, *method, *who;
	const ProtobufCMessage *req;
	bool stream;
};

void who_begin(const struct who_may *may, size_t n);
#define WHO_GROUP	64u
/* The name of the group of the second one; skips the test where nobody can be somebody else. */
void who_group(char name[WHO_GROUP]);
void assert_who(void);

#endif /* SERVICES_RPC_WORLD_H */
