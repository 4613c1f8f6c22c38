/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing a zone at rest up to date. */
#ifndef NEXUSD_UPGRADE_H
#define NEXUSD_UPGRADE_H

#include "config.h"

/*
 * Gives the zone in @dir the features that new zones have.  Takes its lock; -EBUSY
 * with a line that names the holder, -EPROTONOSUPPORT for what is newer.  A zone
 * that has them all is not touched.
 */
int upgrade_zone(const struct config *cfg, const char *name, const char *dir,
		 struct errline *err);

#endif /* NEXUSD_UPGRADE_H */
