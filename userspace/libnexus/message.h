/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files that offer the control services. */
#ifndef LIBNEXUS_MESSAGE_H
#define LIBNEXUS_MESSAGE_H

#include "client.h"
#include "nexus-proto.h"

#define SERVICE(name)	"nexus.control.v1." name

/* Encodes @request, calls, decodes the answer as @desc into *@answer. */
int client_message(struct nexus_client *client, const char *service,
		   const char *method, const ProtobufCMessage *request,
		   const ProtobufCMessageDescriptor *desc, void *answer);

#endif /* LIBNEXUS_MESSAGE_H */
