/* SPDX-License-Identifier: Apache-2.0 */
/* A zone with a sealed pack of which much is alive, and a place for its content elsewhere. */
#ifndef NEXUSD_TEST_MADE_H
#define NEXUSD_TEST_MADE_H

#include "fetch.h"
#include "presence.h"
#include "space.h"
#include "util.h"

#define MADE_BLOCKS	1024u

struct made {
	struct config cfg;
	struct fake k;
	struct gen g;
	struct zone *z;
	u64 pack;		/* sealed */
	u32 live;
};

extern u32 made_plain;		/* as in struct gen */

/* What the driver of content is told, see content_test.c. */
void made_control(const char *text);
/* A pack of which a good part is alive, sealed in the index on disk. */
void made_new(struct made *m);
/* Once more, after made_cut(). */
void made_open(struct made *m);
/* The machine stops. */
void made_cut(struct made *m);
void made_evict(struct made *m);
/*
 * Each live block is away, or in the file and right: *away of them.  Never here and
 * something else, which is what a reader would be shown, be it by the table or by what the
 * kernel was told.
 */
void made_sound(struct made *m, u32 *away);
u32 made_away(struct made *m);

#endif /* NEXUSD_TEST_MADE_H */
