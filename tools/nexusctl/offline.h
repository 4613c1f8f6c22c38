/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nexusctl does with a zone at rest, without the helper.  The files behind
 * it speak the helper's language, not that of libnexus.
 */
#ifndef NEXUSCTL_OFFLINE_H
#define NEXUSCTL_OFFLINE_H

#include <stddef.h>
#include <stdint.h>

struct offline {
	const char *zone;
	const char *data_dir;	/* NULL: as configured */
	const char *config;	/* NULL: the default file */
	char error[600];	/* a line for the user after a failure */
};

/*
 * To @path, by way of a file beside it; NULL: standard output.  0 or -errno.
 * *keys: how many.
 */
int offline_dump(struct offline *o, const char *path, uint64_t *keys);
/* From @path; NULL: standard input. */
int offline_load(struct offline *o, const char *path, uint64_t *keys);

#endif /* NEXUSCTL_OFFLINE_H */
