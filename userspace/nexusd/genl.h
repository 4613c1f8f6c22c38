/* SPDX-License-Identifier: Apache-2.0 */
/* What only the kernel knows, over generic netlink. */
#ifndef NEXUSD_GENL_H
#define NEXUSD_GENL_H

#include <stddef.h>
#include <stdint.h>

/*
 * Calls @fn for every counter of the module.  -ENOENT when the module is not
 * loaded.
 */
int genl_stats(int (*fn)(void *arg, const char *name, uint64_t value), void *arg);

/*
 * Why the module has made a zone of @session read-only.  -ENOENT when it has not;
 * then, and on other errors, @reason is empty or cut short.
 */
int genl_zone_reason(const char *session, const char *name, char *reason, size_t size);

/* What the kernel caches of a zone's names is asked for again.  0, -ENOENT, -EIO, -ENOMEM. */
int genl_invalidate(const char *session, const char *name);

#endif /* NEXUSD_GENL_H */
