/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record that kills whoever applies it must not kill every successor.
 *
 * The record being applied is named in a small file that is mapped shared, so
 * the name survives the process without costing more than a store to memory.
 * Whoever opens the zone next finds it and counts.
 */
#ifndef NEXUSD_POISON_H
#define NEXUSD_POISON_H

#include "lib/port.h"

#define POISON_FILE	"applying"
#define POISON_DEATHS	3u

struct poison_page {
	u64 magic;
	u64 lsn;		/* being applied; 0: none */
	u64 dead_lsn;		/* at which processes died */
	u64 deaths;
};

struct poison {
	struct poison_page *page;	/* never NULL after open */
	struct poison_page own;		/* where there is no file */
	u64 poisoned;			/* LSN that must not be applied, 0: none */
};

/*
 * Never fails: without a file (read-only host) nothing is counted.  @rdonly: looks
 * at the file, changes nothing on disk.
 */
void poison_open(struct poison *p, const char *dir, bool rdonly);
void poison_close(struct poison *p);

static inline bool poison_enter(struct poison *p, u64 lsn)
{
	if (p->poisoned == lsn)
		return false;
	__atomic_store_n(&p->page->lsn, lsn, __ATOMIC_SEQ_CST);
	return true;
}

/*
 * Applied.  Once that is the record others died at, it is forgiven; the ones
 * before it, which every helper applies again on its way there, say nothing.
 */
static inline void poison_leave(struct poison *p)
{
	u64 lsn = p->page->lsn;

	__atomic_store_n(&p->page->lsn, 0, __ATOMIC_SEQ_CST);
	if (p->page->deaths && lsn >= p->page->dead_lsn)
		p->page->deaths = 0;
}

#endif /* NEXUSD_POISON_H */
