/* SPDX-License-Identifier: Apache-2.0 */
/* Tuples in SQLite: one store at a time. */
#ifndef RECORD_WORLD_H
#define RECORD_WORLD_H

#include <nexus/recordstore.h>

#include "rebac.h"

/* In memory, for one transaction at a time. */
struct rebac_store *record_world_new(void);
/* In a file, for several. */
struct rebac_store *record_world_at(const char *path);
/* When the store was closed. */
void record_world_end(void);

#endif /* RECORD_WORLD_H */
