/* SPDX-License-Identifier: Apache-2.0 */
/* A service with tables behind a control socket. */
#ifndef SERVICES_RECORDS_RPC_H
#define SERVICES_RECORDS_RPC_H

#include "rpc-world.h"

/* Loads it, from where it is built; whoever is in @group is an administrator. */
void records_begin(const char *service, const char *group);
void records_end(void);
/* The next helper, with the store of this one. */
void records_again(const char *service);

/* A call that must succeed; the answer, to be freed by release(). */
void *ask_ok(const char *service, const char *method, const ProtobufCMessage *req,
	     const ProtobufCMessageDescriptor *desc);
void release(void *msg);
/* One that must fail with that errno, in words. */
void ask_fails(const char *service, const char *method, const ProtobufCMessage *req, int error,
	       const char *words);

#endif /* SERVICES_RECORDS_RPC_H */
