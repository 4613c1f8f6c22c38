/* SPDX-License-Identifier: Apache-2.0 */
/* What only the kernel knows, over generic netlink. */
#ifndef NEXUSD_GENL_H
#define NEXUSD_GENL_H

#include <stdint.h>

/*
 * Calls @fn for every counter of the module.  -ENOENT when the module is not
 * loaded.
 */
int genl_stats(int (*fn)(void *arg, const char *name, uint64_t value), void *arg);

#endif /* NEXUSD_GENL_H */
