/* SPDX-License-Identifier: Apache-2.0 */
/* Two helpers whose event buses share their events through a Redis server. */
#ifndef NEXUS_TEST_SHARE_WORLD_H
#define NEXUS_TEST_SHARE_WORLD_H

#include "service-world.h"

#include <poll.h>

#include "../drivers/redis-server.h"
#include "bus.h"
#include "cachestore.h"

#define PATIENCE_MS	60000	/* of a test that would hang otherwise */

/* What is counted is counted behind what it counts. */
#define until(condition) \
	do { \
		for (int until_i = 0; until_i < PATIENCE_MS && !(condition); until_i++) \
			poll(NULL, 0, 1); \
		assert_true(condition); \
	} while (0)

struct helper {
	struct cachestore *store;
	struct registry *reg;
	struct nexus_ref *bus;
	uint64_t group;
	char files[200];
	/* Its one subscription. */
	uint64_t sub;
	int fd;
	struct nexus_event_fetch_args *got;
	uint32_t at;
};

extern struct helper helpers[2];
#define one	(&helpers[0])
#define two	(&helpers[1])

int share_setup(void **state);
int share_teardown(void **state);
/* The program's result. */
int share_main(int argc, char **argv, const struct CMUnitTest *tests, size_t n);

/* One whose cache store is of a driver; and its end, if there was a beginning. */
void helper_begin(struct helper *h, const char *driver, uint64_t group);
void helper_end(struct helper *h);
/* Both, until each hears the other, with a subscription to all from now on. */
void both_begin(void);
/* Until it is NEXUS_EVENT_BUS_...; until it has heard of so many others. */
void until_how(struct helper *h, uint32_t how);
void until_known(struct helper *h, uint32_t origins);
struct nexus_event_bus_sharing sharing(struct helper *h);

void publish(struct helper *h, const char *path);
void publish_data(struct helper *h, const char *path, const void *data, size_t len, uint32_t count);
/* Instead of the one it has; @zone NULL: all. */
void subscribe(struct helper *h, const char *prefix, const char *zone, uint64_t from);
/* The next of its subscription, which is waited for; good until the next call. */
const struct nexus_bus_event *next(struct helper *h);
void expect(struct helper *h, const char *path, bool foreign);
void expect_missed(struct helper *h, uint64_t missed);

/*
 * Somebody who has the right words for the server, and says what he likes to the first helper.
 * Of a message he makes, each event has its number as data.
 */
void forge(const void *data, size_t size);
size_t message(uint8_t *buf, uint64_t origin, uint64_t first, uint32_t count, uint32_t flags);
void forge_message(uint64_t origin, uint64_t first, uint32_t count, uint32_t flags);
void expect_number(struct helper *h, uint64_t origin, const char *number);

#endif /* NEXUS_TEST_SHARE_WORLD_H */
