/* SPDX-License-Identifier: Apache-2.0 */
/* Where the tests of the record store get one from: a file or a server. */
#ifndef NEXUS_TEST_RECORD_WORLD_H
#define NEXUS_TEST_RECORD_WORLD_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <nexus/recordstore.h>

extern const struct nexus_record_driver *driver;
extern struct nexus_record_fault fault;		/* of the last error */

/* Before the first test and behind the last; nonzero: there is no store to test. */
int world_begin(void);
void world_end(void);
/* An empty store; where it is. */
const char *world_fresh(void);
/* It may go. */
void world_forget(void);
/* The tests that only this driver has; how many failed. */
int world_own_tests(void);

/* The helpers of the common tests. */
struct nexus_records *open_at(const char *at, bool read_only);
struct nexus_record_tx *begin(struct nexus_records *r, enum nexus_record_mode mode);
int once(struct nexus_records *r, const char *sql, const struct nexus_record_value *params,
	 size_t count);
int64_t number(struct nexus_records *r, const char *sql);
/* A store with the tables parent, child and later, in *@state. */
int record_setup(void **state);
int record_teardown(void **state);

#endif /* NEXUS_TEST_RECORD_WORLD_H */
