/* SPDX-License-Identifier: Apache-2.0 */
/* Tuples in a record store, with the drivers that are installed: one store at a time. */
#ifndef RECORD_WORLD_H
#define RECORD_WORLD_H

#include <nexus/recordstore.h>

#include "rebac.h"

/* SQLite in memory, for one transaction at a time. */
struct rebac_store *record_world_new(void);
/* SQLite in a file, or PostgreSQL, for several. */
struct rebac_store *record_world_at(const char *path);
struct rebac_store *record_world_postgres(const char *at);
/* When the store was closed. */
void record_world_end(void);

#endif /* RECORD_WORLD_H */
