/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of libnexus. */
#ifndef LIBNEXUS_CLIENT_H
#define LIBNEXUS_CLIENT_H

#include <nexus/nexus.h>

/**
 * client_fail() - keep the user's line and pass the errno on
 * @client: the client
 * @error: negative errno
 * @fmt: the line
 */
int client_fail(struct nexus_client *client, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* LIBNEXUS_CLIENT_H */
