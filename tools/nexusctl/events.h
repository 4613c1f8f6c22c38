/* SPDX-License-Identifier: Apache-2.0 */
/* nexusctl events, between its files. */
#ifndef NEXUSCTL_EVENTS_H
#define NEXUSCTL_EVENTS_H

#include <nexus/services/event_bus.h>

#include "call.h"
#include "nexus-proto.h"

#define LOG	"nexus.eventlog.v1.Log"
#define BUS	"nexus.event_bus.v1.Bus"

#define EVENT_TYPES	10	/* that have a name */

extern const char *const event_types[EVENT_TYPES];

ProtobufCBinaryData bytes_of(const char *text);
/* Each says what is wrong, and returns an exit code. */
int events_usage(const char *what, const char *arg);
/* What is shared with other helpers, of the state of the bus. */
void events_sharing_text(const Nexus__EventBus__V1__StateResponse *bus);
void events_sharing_json(struct json *json, const Nexus__EventBus__V1__StateResponse *bus);
/* The same in a line of nexusctl status, or in its JSON; nothing when there is no bus. */
void events_status(struct ctl *ctl, struct json *json, const char *cachestore);
/* What a call of LOG or BUS returned. */
int events_failed(const struct ctl *ctl, const char *service, int err);

#endif /* NEXUSCTL_EVENTS_H */
