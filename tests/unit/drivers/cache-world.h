/* SPDX-License-Identifier: Apache-2.0 */
/* Where the tests of the cache store get one from, and what all of them have. */
#ifndef NEXUS_TEST_CACHE_WORLD_H
#define NEXUS_TEST_CACHE_WORLD_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <nexus/cachestore.h>

extern const struct nexus_cache_driver *driver;
extern struct nexus_cache_fault fault;		/* of the last open, or loss */
extern _Atomic unsigned int losses;		/* how often one was told */
extern const bool world_keeps;			/* it is a store that gives back what it got */

/* Before the first test and behind the last; nonzero: there is no store to test. */
int world_begin(void);
void world_end(void);
/* How it is to be opened. */
void world_options(struct nexus_cache_options *options);
/* So much time goes by, or a little less, when it is a server's. */
void world_pass(uint64_t ms);
/* The tests that only this driver has; how many failed. */
int world_own_tests(void);

struct nexus_cache *open_cache(const struct nexus_cache_options *options);
/* Notes a loss in @fault and @losses. */
void note_loss(void *arg, const struct nexus_cache_fault *why);

/* A key of words with one blank between them; "*" in a word makes it a glob if @pattern. */
const struct nexus_cache_key *key_of(const char *words);
const struct nexus_cache_key *pattern_of(const char *words);
int set(struct nexus_cache *c, const char *key, const char *value, uint64_t ttl_ms);
/* NULL: there is to be none. */
void expect(struct nexus_cache *c, const char *key, const char *value);
/* The next of a subscriber, waited for; "LOST n", "GAP" for what is no message. */
void expect_message(struct nexus_cache_sub *sub, const char *text);
void expect_silence(struct nexus_cache_sub *sub);

int cache_setup(void **state);
int cache_teardown(void **state);

#endif /* NEXUS_TEST_CACHE_WORLD_H */
