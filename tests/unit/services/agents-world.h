/* SPDX-License-Identifier: Apache-2.0 */
/* An agent registry over SQLite or PostgreSQL, with a clock of the test's. */
#ifndef AGENTS_WORLD_H
#define AGENTS_WORLD_H

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "agents.h"
#include "store-world.h"

#define U1	"user:1000"
#define U2	"user:1001"

extern struct agents a;
extern struct agents_opts opts;
extern atomic_long now, mono;	/* Unix time and another clock, ms */
extern atomic_uint woken;	/* so often was somebody asked to write heartbeats */

int setup(void **state);
int teardown(void **state);
/* Runs the test, but for one on a server that is not there. */
void on(void (*test)(void **), void **state);
void pass(int64_t ms);
/* A helper that ends without a word, and the next. */
void crash(void);

/* The operations; who acts is NULL for one that may do everything. */
int add(const char *as, const char *id, const char *owner);
int to(const char *as, const char *id, uint32_t target, uint64_t generation);
int beat(const char *as, const char *id, uint64_t generation);
int gone(const char *as, const char *id, uint64_t generation);
struct nexus_agent get(const char *id);
struct nexus_agent_registry_state counts(void);
/* It is; its generation. */
uint64_t connected(const char *id);

/* Each test on each store: EACH(RUN_ON), and EACH(LISTED) in a list of tests. */
#define RUN_ON(name)	static void on_##name(void **state) { on(name, state); }
#define LISTED(name) \
	{ #name " (SQLite)", on_##name, setup, teardown, NULL }, \
	{ #name " (PostgreSQL)", on_##name, setup, teardown, postgres },

#endif /* AGENTS_WORLD_H */
