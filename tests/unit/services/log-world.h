/* SPDX-License-Identifier: Apache-2.0 */
/* An event log in test_dir, on a disk that can be full or fail. */
#ifndef SERVICES_LOG_WORLD_H
#define SERVICES_LOG_WORLD_H

#include "util.h"

#include <stdatomic.h>

#include "elog.h"

extern _Atomic int64_t disk_left;	/* bytes that can still be written */
extern atomic_bool sync_fails;

extern struct elog elog;
extern char said[512];		/* its last line */
/* What begin() opens it with. */
extern uint64_t keep_bytes, keep_ms;
extern int64_t (*log_now)(void);

int log_setup(void **state);
int try_open(struct elog *l, uint32_t segment_size);
int log_teardown(void **state);
void begin(uint32_t segment_size);
int end(void);			/* closes it */
void crash(void);		/* nothing more is written */

/* For a read; all of it is given back by forget(), in the same thread. */
void *more(void *args, size_t size);
void forget(void);

int append(const char *zone, const char *const *texts, uint32_t n, uint32_t durability,
	   uint64_t *first);
/* One record, which must succeed; its number. */
uint64_t put(const char *text, uint32_t durability);
int read_some(struct nexus_eventlog_read_args *a, uint64_t from, uint32_t max);
void assert_record(const struct nexus_eventlog_record *r, uint64_t seq, const char *text);

#endif /* SERVICES_LOG_WORLD_H */
