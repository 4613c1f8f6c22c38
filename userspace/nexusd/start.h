/* SPDX-License-Identifier: Apache-2.0 */
/* What the helper is built of at its start, in this order: drivers, stores, services. */
#ifndef NEXUSD_START_H
#define NEXUSD_START_H

#include "helper.h"

#define TRY_WORD	"--try-service"	/* not for people: see service_trial.c */

/*
 * Drivers and stores, the registry, and the plan of what it will load; says nothing, so
 * that the line of an error stands alone.  @h->boot is there.
 */
int start_build(struct helper *h, struct errline *err);
/* After that, and after an error of it: all but the data directory, which is helper_free()'s. */
void start_undo(struct helper *h);

/*
 * Into the background: returns in a child, whose parent ends when it is known
 * how the start went: 0 from background_ready(), else 1.  No thread may run yet.
 */
int background_begin(int *ready);
void background_ready(int ready);

#endif /* NEXUSD_START_H */
