/* SPDX-License-Identifier: Apache-2.0 */
/* What other commands show of service permissions. */
#ifndef NEXUSCTL_REBAC_H
#define NEXUSCTL_REBAC_H

#include "nexusctl.h"

/* Its line of status, or its part of the JSON; @cachestore: the driver's name. */
void rebac_status(struct ctl *ctl, struct json *json, const char *cachestore);

#endif /* NEXUSCTL_REBAC_H */
