/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of nexus.permissions, over tuples in memory, in SQLite and in
 * PostgreSQL, and tuples as text: TYPE:ID#RELATION@TYPE:ID[#RELATION].
 */
#ifndef BASE_WORLD_H
#define BASE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base.h"

#define CACHE_BYTES	(1u << 20)

extern struct base b;
extern struct rebac_store *store;
extern s64 now;			/* Unix time, in milliseconds */
extern char sqlite[], postgres[];	/* states of tests; NULL: in memory */
extern const char policy[];	/* that each test begins with */
extern struct nexus_permission_write_args last_write;

int group_setup(void **state);
int group_teardown(void **state);
int setup(void **state);
/* The same with answers and closures kept. */
int setup_kept(void **state);
int teardown(void **state);
/* Runs the test, but for one on a server that is not there. */
void on(void (*test)(void **), void **state);
/* The same store, closed and opened again: of SQLite. */
void reopen(void);
/* What another helper has of the same store: that itself, in memory, else to be closed. */
struct rebac_store *another(void **state);
/* Memory that lives until teardown. */
void *more(void *args, size_t size);

void set_policy(const char *text);
struct nexus_permission_tuple tuple(const char *text);
/* Writes one tuple into @last_write. */
int update(u32 kind, const char *text, s64 expires, const char *condition);
void put(const char *text);
void del(const char *text);
u64 revision(const char *token);
struct nexus_permission_answer ask(const char *text);
/* It is that, and surely. */
void yes(const char *text);
void no(const char *text);

/*
 * Each test on each store, and with and without a cache: ON_ALL(name) in a list of
 * tests.  ON_KEPT(name): with one.
 */
#define ON_KEPT(name) \
	{ #name " (memory, kept)", on_##name, setup_kept, teardown, NULL }, \
	{ #name " (SQLite, kept)", on_##name, setup_kept, teardown, sqlite }, \
	{ #name " (PostgreSQL, kept)", on_##name, setup_kept, teardown, postgres },
#define ON_ALL(name) \
	{ #name " (memory)", on_##name, setup, teardown, NULL }, \
	{ #name " (SQLite)", on_##name, setup, teardown, sqlite }, \
	{ #name " (PostgreSQL)", on_##name, setup, teardown, postgres }, \
	ON_KEPT(name)
#define RUN_ON(name)	static void on_##name(void **state) { on(name, state); }

#endif /* BASE_WORLD_H */
