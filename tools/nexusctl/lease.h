/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of nexusctl: what its commands for leases share. */
#ifndef NEXUSCTL_LEASE_H
#define NEXUSCTL_LEASE_H

#include <nexus/lease.h>

#include "nexusctl.h"

#define LEASE_ID_DIGITS	32	/* of an id, as text */

/**
 * lease_failed() - say on stderr what went wrong
 * @path: with what
 * @err: negative errno of a function of <nexus/lease.h>
 *
 * Return: EXIT_FAILED.
 */
int lease_failed(const char *path, int err);

/** lease_id_text() - an id as it is given on the command line */
void lease_id_text(const uint8_t id[NEXUS_LEASE_ID_LEN], char text[LEASE_ID_DIGITS + 1]);

/**
 * lease_take() - acquire a lease on the first argument as the options say
 * @ctl: the run
 * @lease: filled in
 * @ttl: how long it is held, in seconds
 * @fd: what it is on, open; the caller closes it
 *
 * Return: EXIT_OK; else it was said on stderr: EXIT_USAGE, EXIT_FAILED.
 */
int lease_take(const struct ctl *ctl, struct nexus_lease *lease, uint32_t *ttl, int *fd);

#endif /* NEXUSCTL_LEASE_H */
