/* SPDX-License-Identifier: Apache-2.0 */
/* A zone in use whose content store is a directory, and what leaks there. */
#ifndef NEXUSD_GC_WORLD_H
#define NEXUSD_GC_WORLD_H

#include "gc.h"
#include "origin-world.h"

#define OLD	1000000	/* seconds ago */
#define LEAKS	7u

extern const char *const leaks[LEAKS];	/* files of objects that nobody needs */
extern u64 sealed[8];	/* packs of the zone that are with the store */
extern u32 nsealed;

void path_of(const struct world *m, const char *file, char path[PATH_MAX]);
void age(const struct world *m, const char *file, time_t ago);
void put(const struct world *m, const char *file, size_t bytes, time_t ago);
bool has(const struct world *m, const char *file);
void put_pack(const struct world *m, u64 pack, size_t bytes, time_t ago);
bool has_pack(const struct world *m, u64 pack);
void drop_pack(const struct world *m, u64 pack);
u32 age_all(const struct world *m);
void flush(struct world *m);
void begin(struct world *m);
void finish(struct world *m);
u64 lost_pack(struct world *m);
struct gc *new_gc(struct world *m, bool run);
int finish_gc(struct gc *g);
struct gc_report gc(struct world *m, bool run, int error);
bool named(const struct gc *g, enum gc_what what, const char *name);
void forget_pack(struct world *m, u64 pack);

#endif /* NEXUSD_GC_WORLD_H */
