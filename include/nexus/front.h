/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Front ends: services that take calls from outside their own way (gRPC), and make them
 * on the one table of methods, that of the control socket: the helper's own, and
 * those of what is loaded.  Who may call what is decided there, not here; a front
 * end says who calls.
 *
 * A call runs on a thread of the helper and belongs to it: a front end may drop it at any
 * time, and go, whatever becomes of it.
 */
#ifndef NEXUS_FRONT_H
#define NEXUS_FRONT_H

#include <nexus/rpc.h>

struct nexus_front_call;	/* a call under way, to the helper */

/**
 * struct nexus_front_peer - who calls
 * @uid: NEXUS_RPC_NO_UID: no user of this machine, only a subject
 * @gid: of the user; 0xffffffff when it is not known
 * @pid: or 0
 * @fd: connected Unix socket with the caller at its other end, whose groups count as
 *	well; it is not used after the return of call().  -1: none
 * @subject: "" : "user:UID"
 */
struct nexus_front_peer {
	uint32_t uid;
	uint32_t gid;
	int32_t pid;
	int fd;
	char subject[256];
};

/**
 * struct nexus_front_request - a call to be made
 * @peer: who makes it
 * @service: full name, such as "nexus.control.v1.Zones"
 * @method: such as "List"
 * @payload: encoded request, copied
 * @len: its length, at most NEXUS_FRONT_MESSAGE_MAX
 * @timeout_ms: 0: none
 * @wake: there is something to take().  Any thread, with locks held: it may neither wait nor
 *	call any of this.
 * @cookie: its argument
 */
struct nexus_front_request {
	struct nexus_front_peer peer;
	const char *service;
	const char *method;
	const void *payload;
	size_t len;
	uint32_t timeout_ms;
	void (*wake)(void *cookie);
	void *cookie;
};

#define NEXUS_FRONT_MESSAGE_MAX	(4u << 20)	/* bytes, as on the control socket */

/**
 * struct nexus_front_answer - what take() gives; valid until the next call with the same call
 * @last: it is the outcome; else a message of a stream, and more follows
 * @stream: the method answers with a stream, whose outcome has no data
 * @code: of the outcome: google.rpc.Code
 * @message: of the outcome, for the user
 * @data: encoded message
 * @len: its length
 * @status: of an outcome that is no success: google.rpc.Status, encoded, with its details
 * @status_len: its length
 */
struct nexus_front_answer {
	bool last;
	bool stream;
	int code;
	const char *message;
	const void *data;
	size_t len;
	const void *status;
	size_t status_len;
};

/**
 * struct nexus_front - what the helper offers to front ends; from nexus_service_host.front
 * @setting: a setting of the helper that front ends may know, as text, such as "group" and
 *	"grpc_socket"; NULL: there is none of that name.  Valid as long as the handle.
 * @number: likewise of one that is a number, such as "grpc_connections"; 0: there is none
 * @serves: whether some method of an RPC service can be called now
 * @call: begin a call.  Nothing of the request is needed afterwards.  0, -ENOMEM, -EMSGSIZE.
 * @take: the next thing of a call.  0; -EAGAIN: nothing yet, and @wake will be called.
 * @drop: the caller wants no more of it, or has had the outcome; once for each call.  @wake
 *	is not called any more when this returns.  A call that has not begun does not;
 *	one that runs goes on to its end.
 * @rewake: another wake() for a call, of a newer build that takes it over; the older one is not
 *	called any more when this returns
 * @place: a place for one pointer, NULL at first, by which builds of one service find each
 *	other; from service_start and service_stop only, of which one runs at a time.  NULL:
 *	no memory.
 * @refusal: an outcome that the front end itself has found: sets @status of @answer by its
 *	code and message, in @room bytes at @buf
 */
struct nexus_front {
	const char *(*setting)(const struct nexus_front *front, const char *name);
	uint32_t (*number)(const struct nexus_front *front, const char *name);
	bool (*serves)(const struct nexus_front *front, const char *service);
	int (*call)(const struct nexus_front *front, const struct nexus_front_request *request,
		    struct nexus_front_call **call);
	int (*take)(struct nexus_front_call *call, struct nexus_front_answer *answer);
	void (*drop)(struct nexus_front_call *call);
	void (*rewake)(struct nexus_front_call *call, void (*wake)(void *cookie));
	void **(*place)(const struct nexus_front *front, const char *service);
	void (*refusal)(struct nexus_front_answer *answer, void *buf, size_t room);
};

#endif /* NEXUS_FRONT_H */
