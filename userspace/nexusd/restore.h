/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A zone is made again out of its content store: index, log, and packs nothing of which
 * is here.  What comes of it is what a power cut would have left of the zone, as of what the
 * store has: the next mount replays the log as ever.
 */
#ifndef NEXUSD_RESTORE_H
#define NEXUSD_RESTORE_H

#include <stdatomic.h>

#include "origin_file.h"
#include "store.h"

struct restore_args {
	const char *spec;	/* as the setting "content" */
	const char *name;	/* of the new zone; may differ from what it was */
	bool take_over;		/* also if another owns it */
	atomic_bool *stop;	/* set by who does not want it any more; NULL: nobody */
};

struct restored {
	u64 epoch;
	u64 checkpoint;		/* LSN of the index */
	u64 end;		/* LSN up to which the zone is there */
	u64 time_s;		/* of the checkpoint */
	u64 packs;
	char note[512];		/* what was left out, and why; "": nothing */
};

/*
 * Becomes the owner, and makes the zone.  -EBUSY: another is, who is named; -EEXIST: there
 * is a zone of that name; -ENOENT: nothing to restore; -EUCLEAN, -ENODATA: what is there is
 * damaged, or not all there is; -EINTR: @stop; each with a line.  On an error nothing is left
 * here, and the ownership is given back, or the line says that it is not.
 */
int zone_restore(const struct config *cfg, const struct restore_args *args, struct restored *done,
		 struct errline *err);

#endif /* NEXUSD_RESTORE_H */
