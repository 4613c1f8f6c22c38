/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers that go on: what is fetched before they ask for it.
 *
 * The kernel asks only for what it does not know to be here, so a reader who is served well
 * is not heard of.  Of what is fetched ahead one piece, the trip, is therefore not told
 * before it is asked for: then the next is fetched, while half a window is still to be read.
 * The window doubles each time, from 4 MiB on.
 *
 * The caller holds a lock of its own; nothing here waits, or fails.
 */
#ifndef NEXUSD_READON_H
#define NEXUSD_READON_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/port.h"

#define READON_STREAMS	16u	/* readers remembered: the last ones */
#define READON_PIECE	256ull	/* blocks; windows are multiples of it, trips lie at them */
#define READON_NONE	UINT64_MAX

struct readon {
	struct readon_stream {
		u64 id;		/* of what is read: a pack, an object */
		u64 at, end;	/* asked for last at @at; up to @end it was, or is fetched */
		u64 trip;	/* who gets there has more fetched; READON_NONE: @end is that of @id */
		u64 window;	/* blocks; 0: has not gone on yet */
		u64 used;	/* of the clock; 0: nobody */
	} stream[READON_STREAMS];
	u64 clock;
};

/* Blocks [from, to), of which [trip, trip + READON_PIECE) is not to be told, unless READON_NONE. */
struct readon_ahead {
	u64 from, to, trip;
};

/* What somebody asks for, and what may be done for him; all in blocks. */
struct readon_ask {
	u64 id, at, end;	/* [at, end) of @id */
	u64 size;		/* of @id */
	u64 most;		/* ahead of a reader */
	u64 room;		/* for what is fetched ahead, now */
	bool chained;		/* who has read one @id to its end goes on at the begin of another */
};

/* True: @ahead is to be fetched, and is not empty; it is not asked for again. */
bool readon_next(struct readon *ro, const struct readon_ask *ask, struct readon_ahead *ahead);

#endif /* NEXUSD_READON_H */
