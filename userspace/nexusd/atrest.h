/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A zone at rest: nobody has it mounted, and a tool looks at it or changes it
 * without the helper.  Its LOCK file is held meanwhile, so neither a helper nor a
 * kernel can open it.
 */
#ifndef NEXUSD_ATREST_H
#define NEXUSD_ATREST_H

#include "zone.h"

/* What the command line says. */
struct atrest_args {
	const char *zone;	/* name, or a path DATA/zones/NAME */
	const char *data_dir;	/* NULL: as configured */
	const char *config;	/* NULL: CONFIG_PATH, if it is there */
	/*
	 * How long to wait for what was unmounted: the helper still writes what the log
	 * holds, and when it is gone, the kernel gives the lock back a little later.
	 */
	unsigned int wait_ms;
};

#define ATREST_WAIT_MS	60000u	/* what tools wait, unless told otherwise */

/* How many seconds @text says, in *@ms unless that is NULL; false: 0 to 86400 was wanted. */
bool atrest_wait_ms(const char *text, unsigned int *ms);

/* The settings alone: of the file, the environment, and @args->data_dir. */
int atrest_settings(struct config *cfg, const struct atrest_args *args, struct errline *err);

struct atrest {
	struct config cfg;
	struct chan chan;
	char name[NEXUS_ZONE_NAME_LEN];
	char dir[PATH_MAX];
	int lock_fd;
	struct zone *z;		/* NULL until atrest_load() */
};

/*
 * Reads the settings, finds the zone and takes its lock.  @owner: whom to name to
 * others who want it.  -EBUSY: mounted, or in use for longer than @args->wait_ms, and
 * what is waited for is said on stderr.  On an error nothing is held.
 */
int atrest_open(struct atrest *a, const struct atrest_args *args, const char *owner,
		struct errline *err);
/*
 * Loads index and log, as a mount does; a log that is not of a clean end is
 * applied in memory.  @rdonly: nothing on disk changes.  Whatever it returns,
 * @a->z is there unless it is -ENOMEM.
 */
int atrest_load(struct atrest *a, bool rdonly, struct errline *err);
/* Closes what atrest_load() opened; the lock stays. */
void atrest_unload(struct atrest *a);
void atrest_close(struct atrest *a);
/* 0, or -EUCLEAN with a line: the log is damaged or does not fit the index. */
int atrest_log_ok(struct atrest *a, struct errline *err);

#endif /* NEXUSD_ATREST_H */
