/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which packs are held elsewhere, as far as this helper and those before it have put
 * them there: a set in memory, and a file of what was added to it and taken away.
 *
 * The file may lose its end, or be gone: then what is held is asked again.  It never
 * names too much.  Not locked: its user does that.
 */
#ifndef NEXUSD_UPLOADMARK_H
#define NEXUSD_UPLOADMARK_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/port.h"

#define UPLOAD_FILE	"uploads"

enum upload_mark {
	MARK_NONE = 0,
	MARK_BEGUN = 'B',	/* some of it may be there */
	MARK_HELD = 'H',	/* an object of its length was there */
	MARK_PUT = 'P',		/* and was put from here, or compared since */
	MARK_GONE = 'G',
};

struct uploadmarks {
	int fd;
	struct upload_marked {
		u64 pack;
		enum upload_mark mark;	/* BEGUN, HELD or PUT */
	} *set;			/* in the order of packs */
	size_t n, cap;
};

/* Reads DIR/uploads, and writes it anew when most of it is of the past. */
int uploadmarks_open(struct uploadmarks *m, const char *dir);
void uploadmarks_close(struct uploadmarks *m);
enum upload_mark uploadmarks_get(const struct uploadmarks *m, u64 pack);
/*
 * 0; or an errno, and then nothing has changed.  That something was begun is durable when this
 * returns: what it leaves behind is found.  The rest need not be.
 */
int uploadmarks_set(struct uploadmarks *m, u64 pack, enum upload_mark mark);

#endif /* NEXUSD_UPLOADMARK_H */
