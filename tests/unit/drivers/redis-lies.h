/* SPDX-License-Identifier: Apache-2.0 */
/* Redis: tests with a server that lies, and what they share with the others. */
#ifndef NEXUS_TEST_REDIS_LIES_H
#define NEXUS_TEST_REDIS_LIES_H

#include "cache-world.h"

#define LONG_MS		600000u		/* no test waits for it */

/* 0, or the error with its words looked at. */
int try_at(const char *at, uint32_t reply_ms);
/* It is lost, told once, and nothing more is tried. */
void expect_lost(struct nexus_cache *c, const char *words);
int get(struct nexus_cache *c, const char *key);
int call_match(struct nexus_cache *c);
int call_publish(struct nexus_cache *c);

/* How many failed. */
int lies_tests(void);

#endif /* NEXUS_TEST_REDIS_LIES_H */
