/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files that look at zones at rest. */
#ifndef NEXUSCTL_OFFLINE_IMPL_H
#define NEXUSCTL_OFFLINE_IMPL_H

#include "atrest.h"
#include "content.h"
#include "offline.h"

/* Opens and locks the zone, as atrest_open(). */
int offline_open(struct offline *o, struct atrest *a, const char *owner,
		 struct errline *err);
/* Sets the line for the user, in front of it the zone unless the line names it; @ret. */
int offline_failed(struct offline *o, int ret, const struct errline *err);

#endif /* NEXUSCTL_OFFLINE_IMPL_H */
