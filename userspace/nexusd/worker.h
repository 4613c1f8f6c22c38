/* SPDX-License-Identifier: Apache-2.0 */
/* Threads for what may take long. */
#ifndef NEXUSD_WORKER_H
#define NEXUSD_WORKER_H

struct workers;

typedef void (*work_fn)(void *arg);

/*
 * @max: threads at the same time; they are started when needed, and run where the caller may,
 * wherever who adds work is bound to.  @name: of each, at most 15 bytes, kept.
 */
struct workers *workers_new(unsigned int max, const char *name);
/* Runs @fn on some thread.  0 or a negative errno. */
int workers_add(struct workers *w, work_fn fn, void *arg);
/* Runs what was added, then ends every thread. */
void workers_free(struct workers *w);

#endif /* NEXUSD_WORKER_H */
