// SPDX-License-Identifier: Apache-2.0
#include "service-feed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <nexus/nexus.h>

#define TEST	"test.rpc.v1.Test"

void feeds_of_library(const char *path, void (*await)(const char *name, int want))
{
	static const uint8_t request[] = "\x0a\x05" "again" "\x10\x03";
	struct nexus_client *client = nexus_new();
	void *message;
	size_t len, i;

	assert_non_null(client);
	assert_int_equal(nexus_feed_begin(client, "nexus.echo.v1.Echo", "Repeat", NULL, 0), -ENOTCONN);
	assert_int_equal(nexus_connect(client, path), 0);
	assert_int_equal(nexus_feed_next(client, &message, &len), -ENODATA);
	assert_int_equal(nexus_feed_begin(client, "nexus.echo.v1.Echo", "Repeat", request, sizeof(request) - 1), 0);
	assert_int_equal(nexus_call(client, TEST, "All", NULL, 0, NULL, NULL), -EBUSY);
	for (i = 0; i < 3; i++) {
		assert_int_equal(nexus_feed_next(client, &message, &len), 1);
		assert_int_equal(len, 7);
		assert_memory_equal(message, request, 7);
		free(message);
	}
	assert_int_equal(nexus_feed_next(client, &message, &len), 0);
	/* The connection is free again, for whatever is refused, too. */
	assert_int_equal(nexus_call(client, TEST, "All", NULL, 0, NULL, NULL), 0);
	assert_int_equal(nexus_feed_begin(client, TEST, "Refuses", NULL, 0), 0);
	assert_int_equal(nexus_feed_next(client, &message, &len), -EXDEV);
	assert_int_equal(nexus_feed_begin(client, TEST, "Breaks", NULL, 0), 0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(nexus_feed_next(client, &message, &len), 1);
		assert_int_equal(len, i ? 0 : 3);
		free(message);
	}
	assert_int_equal(nexus_feed_next(client, &message, &len), -ENOSPC);
	assert_string_equal(nexus_error(client), "no more of it");
	/* Nothing comes: the time is over, and with it the connection. */
	assert_int_equal(nexus_feed_begin(client, TEST, "Silent", NULL, 0), 0);
	await("opened", 2);
	nexus_set_timeout(client, 1);
	assert_int_equal(nexus_feed_next(client, &message, &len), -ETIMEDOUT);
	assert_int_equal(nexus_feed_next(client, &message, &len), -ENODATA);
	await("closed", 2);
	nexus_free(client);
}
