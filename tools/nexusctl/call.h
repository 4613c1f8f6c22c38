/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of loadable services. */
#ifndef NEXUSCTL_CALL_H
#define NEXUSCTL_CALL_H

#include <protobuf-c/protobuf-c.h>

#include "nexusctl.h"

/** call_pack() - an encoded message of *@len bytes, to be freed; NULL without memory */
void *call_pack(const ProtobufCMessage *req, size_t *len);

/**
 * call_service() - call a method, of which nothing is said on stderr
 * @ctl: the run, connected
 * @service: its name in RPC
 * @method: likewise
 * @req: what is asked
 * @desc: of the answer
 * @answer: set to it, to be freed by protobuf_c_message_free_unpacked()
 *
 * Return: 0 or a negative errno, for call_failed().
 */
int call_service(struct ctl *ctl, const char *service, const char *method,
		 const ProtobufCMessage *req, const ProtobufCMessageDescriptor *desc,
		 ProtobufCMessage **answer);

/** struct call_target - a service, as RPC calls it and as nexusctl service does */
struct call_target {
	const char *service;
	const char *name;
};

/**
 * call() - connect and call a method; what fails is said on stderr
 * @ctl: the run
 * @to: whose method
 * @method: its name
 * @req: what is asked
 * @desc: of the answer
 *
 * Return: the answer, for release(), or NULL.
 */
void *call(struct ctl *ctl, const struct call_target *to, const char *method,
	   const ProtobufCMessage *req, const ProtobufCMessageDescriptor *desc);

/** release() - free an answer */
void release(void *msg);

/** wrong() - say what is expected and what was given; EXIT_USAGE */
int wrong(const char *what, const char *arg);

/**
 * call_failed() - say on stderr why a call failed; the service may not be loaded
 * @ctl: the run
 * @name: the service, for nexusctl service load
 * @err: of call_service() or of libnexus
 *
 * Return: EXIT_FAILED.
 */
int call_failed(const struct ctl *ctl, const char *name, int err);

/** no_memory() - say so; EXIT_FAILED */
int no_memory(void);

#endif /* NEXUSCTL_CALL_H */
