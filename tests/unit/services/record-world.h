/* SPDX-License-Identifier: Apache-2.0 */
/* Tuples in a record store, with the drivers that are installed. */
#ifndef RECORD_WORLD_H
#define RECORD_WORLD_H

#include <nexus/recordstore.h>

#include "rebac.h"

/* Lines the stores have said. */
extern unsigned int record_world_said;

/* SQLite in memory, for one transaction at a time. */
struct rebac_store *record_world_new(void);
/* SQLite in a file, or PostgreSQL, for several. */
struct rebac_store *record_world_at(const char *path);
struct rebac_store *record_world_postgres(const char *at);
/* The same once more, as another helper has it. */
struct rebac_store *record_world_again(const char *at);
/* A statement; must be done. */
void record_world_do(const char *sql);
/* When the stores were closed. */
void record_world_end(void);

#endif /* RECORD_WORLD_H */
