/* SPDX-License-Identifier: Apache-2.0 */
/* A server in a thread, and sockets that speak to it in raw bytes. */
#ifndef TESTS_RPC_HARNESS_H
#define TESTS_RPC_HARNESS_H

#include <pthread.h>

#include "nexus-proto.h"
#include "fake.h"
#include "frame.h"
#include "rpc.h"

#define WAIT_MS		20000	/* far longer than anything takes */

/** struct harness - a running server with the core in memory */
struct harness {
	char dir[64];
	char path[96];
	struct fake_core fake;
	const struct rpc_service *services;
	struct rpc_server *server;
	pthread_t thread;
	int result;		/* of rpc_server_run() */
	bool running;
};

/**
 * harness_start() - bind and run
 *
 * For an ordinary user the group that may change things is his own.
 */
struct harness *harness_start(const struct rpc_server_opts *opts);

/** harness_stop() - stop, check how it ended, free */
void harness_stop(struct harness *h);

/** raw_connect() - a socket connected to the server */
int raw_connect(const struct harness *h);

/** raw_send() - send all of it; false when the server has hung up */
bool raw_send(int fd, const void *data, size_t len);

/** raw_frame() - send a frame of any kind */
bool raw_frame(int fd, uint32_t stream, uint8_t type, uint8_t flags,
	       const void *data, size_t len);

/** raw_call() - send a request; payload may be NULL */
bool raw_call(int fd, uint32_t stream, const char *service, const char *method,
	      const void *payload, size_t len, int64_t timeout_ns);

/** raw_request() - the same with flags of the frame */
bool raw_request(int fd, uint32_t stream, uint8_t flags, const char *service,
		 const char *method, const void *payload, size_t len, int64_t timeout_ns);

/** struct answer - a response, decoded */
struct answer {
	uint32_t stream;
	int code;
	int error;		/* errno of the detail, 0 without one */
	char message[RPC_ERROR_MAX];
	uint8_t *payload;
	size_t len;
};

/** raw_status() - what a status says, into the answer */
void raw_status(const Google__Rpc__Status *status, struct answer *answer);

/** raw_answer() - read the next response; false at the end of the stream */
bool raw_answer(int fd, struct answer *answer);

/** raw_expect() - read a response and check stream and code; drop the rest */
void raw_expect(int fd, uint32_t stream, int code);

/** raw_closed() - wait until the server hangs up; what still comes is dropped */
bool raw_closed(int fd);

/** works() - a fresh client gets its answer */
bool works(const struct harness *h);

#endif /* TESTS_RPC_HARNESS_H */
