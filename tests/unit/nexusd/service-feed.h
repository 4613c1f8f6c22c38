/* SPDX-License-Identifier: Apache-2.0 */
/* Streams through the client library, whose names the core has, too. */
#ifndef NEXUSD_SERVICE_FEED_H
#define NEXUSD_SERVICE_FEED_H

/* @await: as await_count() of service-caller.h */
void feeds_of_library(const char *path, void (*await)(const char *name, int want));

#endif /* NEXUSD_SERVICE_FEED_H */
