/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of a zone as text, for moving and keeping it.  The format is
 * described in Documentation/dump.md; it knows nothing of kinds of keys, so a
 * zone with kinds that this version does not know is dumped whole.
 */
#ifndef NEXUSD_DUMP_H
#define NEXUSD_DUMP_H

#include <stdio.h>

#include "atrest.h"

#define DUMP_VERSION	1u

/*
 * Writes the whole index of a zone that was loaded, as it is with the log applied:
 * the superblock says so.  Checksums that only the log holds go into the tables of
 * packs first.  A damaged value is -EUCLEAN, and what was written until then has no
 * end.  @out is flushed.  *count: keys.
 */
int dump_write(struct zone *z, FILE *out, u64 *count, struct errline *err);

/*
 * Makes the dump in @in, which can be rewound, the index of @a, a new and empty
 * zone whose lock is held and which is not loaded.  The packs that the dump names
 * have to lie there.  Everything is checked before the one commit that changes
 * anything.
 *
 * -EPROTONOSUPPORT: of a newer version; -EINVAL: no dump; -EUCLEAN: cut short or
 * damaged; -ENOTEMPTY; -ENODATA: packs are missing; each with a line.
 */
int dump_load(struct atrest *a, FILE *in, u64 *count, struct errline *err);

#endif /* NEXUSD_DUMP_H */
