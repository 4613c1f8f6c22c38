/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The regular check of a zone that is served: every block an extent maps is read and
 * compared with its checksum, by a thread of the zone, at a rate that leaves the disk
 * to others.  What is wrong goes to the log, and is counted.
 *
 * Where a run stands is kept in the file STORE_SCRUB of the zone, so the next helper
 * goes on with it.  The file is advice: without it, or when it cannot be read, the next
 * run is due a whole interval later.
 */
#ifndef NEXUSD_SCRUB_H
#define NEXUSD_SCRUB_H

#include "lib/port.h"

struct zone;

/* Times are seconds since 1970, 0: never; the rest are blocks of 4 KiB. */
struct scrub_run {
	u64 begun;
	u64 ended;
	u64 blocks;		/* read and compared */
	u64 unchecked;		/* without a checksum, by now or for good */
	u64 problems;
};

struct scrub_status {
	bool running;
	struct scrub_run run;	/* the one on its way, else the last that was stopped or ended */
	struct scrub_run last;	/* the last that came to its end */
	u64 due;		/* when the next begins; 0: never by itself */
};

/* 0 or a negative errno.  Afterwards z->scrub is not NULL. */
int zone_scrub_start(struct zone *z);
/* Ends the thread, within a step of it; what it did is kept for the next. */
void zone_scrub_stop(struct zone *z);

/* Begins a run now: 0, or -EALREADY when there is one; -EROFS without a thread. */
int scrub_begin(struct zone *z);
/* Ends the run: 0, or -EALREADY when there is none; -EROFS without a thread. */
int scrub_end(struct zone *z);
/* 0, or -EROFS without a thread. */
int scrub_look(struct zone *z, struct scrub_status *st);

#endif /* NEXUSD_SCRUB_H */
