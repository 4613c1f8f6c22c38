/* SPDX-License-Identifier: Apache-2.0 */
/* A record store with the drivers that are installed, and memory of arguments. */
#ifndef STORE_WORLD_H
#define STORE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <nexus/recordstore.h>

extern struct nexus_records *records;
extern char postgres[];		/* state of tests on a server; NULL: SQLite in a file */

int store_group_setup(void **state);
int store_group_teardown(void **state);
/* Opens it; false: there is no server. */
bool store_begin(const void *state);
/* Closed and opened again. */
void store_reopen(void);
/* @tables go. */
void store_end(const void *state, const char *tables);
/* Memory that lives until store_end(). */
void *more(void *args, size_t size);
/* For the log: lines that no test expects. */
void say_line(void *arg, const char *line);

#endif /* STORE_WORLD_H */
