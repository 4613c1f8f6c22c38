/* SPDX-License-Identifier: Apache-2.0 */
/* Threads for what may take long. */
#ifndef NEXUSD_WORKER_H
#define NEXUSD_WORKER_H

#include "lib/port.h"

struct workers;

typedef void (*work_fn)(void *arg);

/*
 * @max: threads at the same time; they are started when needed, and run where the caller may,
 * wherever who adds work is bound to.  @name: of each, at most 15 bytes, kept.
 */
struct workers *workers_new(unsigned int max, const char *name);
/*
 * Runs @fn on some thread.  Jobs of one @key begin in their order, and never have all threads:
 * those of others go on, however long they take.  @key 0: no more than that there are so many
 * threads.  0 or a negative errno.
 */
int workers_add(struct workers *w, u64 key, work_fn fn, void *arg);
/* Runs what was added, then ends every thread. */
void workers_free(struct workers *w);

#endif /* NEXUSD_WORKER_H */
